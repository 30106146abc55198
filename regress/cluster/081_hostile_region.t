# One region of four is compromised: its gateways show agents something else than what was decided (regress/lib/hostile). The agent
# there refuses each lie by its own proof, says so, installs nothing of it and keeps serving what it has; with the truth back it
# goes on where it was.
use strict;
use warnings;
use Test::More;
use File::Copy qw(copy);
use JSON::PP;
use Time::HiRes qw(sleep);
use Federation;

my $f = Federation->new(validators => [qw(eu us asia africa)],
    conf => "attest_submit_timeout = 90s\nattest_tick_interval = 1s\nagent_heartbeat_interval = 2s\nagent_reconnect_window = 200ms\n");
my $s = $f->server('eu');
my ($dir, $state) = ("$s->{base}/agent", "$s->{base}/agent/state");
my $programs = "$s->{base}/hostile";
mkdir $_ or die $! for $dir, $programs;
my ($bin) = grep { -x "$_/reeve-ctl" } split /:/, $ENV{PATH};
for my $program ("$ENV{REEVE_BUILD}/regress/lib/hostile/reeved", "$bin/reeve-ctl") {
    copy($program, $programs) or die "$program: $!";
    chmod 0755, $programs . '/' . ($program =~ s{.*/}{}r);
}

sub slurp { ReeveServer::slurp($_[0]) }
sub spew { my ($file, $text) = @_; open my $h, '>', $file or die "$file: $!"; print $h $text; close $h }
sub out { my (@cmd) = @_; my (undef, $out) = $s->run(@cmd); return $out }
sub status { my $t = out('reeve-agent', 'status', '--state', $state); return $t ? eval { decode_json($t) } // {} : {} }
sub cert { return (grep { $_->{name} eq 'edge-tls' } @{status()->{certificates} // []})[0] // {} }
sub until_ok { my ($what, $test) = @_; return ok($s->wait_for($test, $what, 90), $what) || diag(slurp("$dir/log") . "\n" . encode_json(status())) }
# The word that the gateways read; the same file all the time.
sub lie { spew($s->dir . '/hostile', "$_[0]\n") }
my $agent = 0;
sub agent_start {
    $agent = fork() // die "fork: $!";
    if (!$agent) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>>', "$dir/log";
        exec 'reeve-agent', '--config', "$dir/agent.conf" or POSIX::_exit(127);
    }
}
sub agent_stop { return unless $agent; kill 'TERM', $agent; waitpid $agent, 0; $agent = 0 }
my $owner = $$;
END { my $code = $?; agent_stop() if $owner == $$; $? = $code }

# ---- an agent at the region that will turn ----
lie('truth');
{
    local $ENV{PATH} = "$programs:$ENV{PATH}";
    $f->start('eu');
}
$f->start(qw(us asia africa));
ok($s->wait_for(sub { (eval { $f->psql('eu', "SELECT count(*) FROM sys.regions WHERE state = 'ok'") } // 0) == 4 }, 'four regions', 90), 'four regions, four validators');
$f->psql('eu', "CREATE AUTHORITY ca WITH (key_type = 'ecdsa-p256', ttl = '1 year')");
$f->psql('eu', "CREATE CERT 'edge-tls' FROM AUTHORITY ca SUBJECT 'CN=edge.example' SANS ('edge.example') WHERE region = 'eu'");
my ($token) = $f->psql('eu', 'CREATE JOIN_TOKEN WITH (uses = 10)') =~ /(reeve1\.[\w-]+)/;
spew("$dir/token", "$token\n");
spew("$dir/agent.conf", "state = $state\nserver = 127.0.0.1:" . $s->agent_port . "\ntoken_file = $dir/token\ntick_interval = 1 s\n[cert edge-tls]\ndirectory = $dir/tls\n");
# Not in the first half, which will be the canary.
for (1 .. 60) {
    system('rm', '-rf', $state);
    out('reeve-agent', 'key', '--state', $state);
    last if out('reeve-agent', 'cohort', 'edge-tls', '--state', $state) =~ / ([\d.]+)%/ && $1 > 50;
}
agent_start();
until_ok('the agent serves generation 1', sub { my $st = status(); ($st->{state} // '') eq 'FRESH' && (cert()->{serving} // 0) == 1 });
$f->psql('eu', "SET CONFIG 'http/max' = 50 IMMEDIATE");
until_ok('... and has a config value', sub { out('reeve-agent', 'get', 'http/max', '--state', $state) eq "50\n" });
my $file = slurp("$dir/tls/current/cert.pem");

# What it serves is what it had, whatever it was shown.
sub keeps_serving {
    my ($generation) = @_;
    is(cert()->{serving}, $generation, "... it keeps serving generation $generation");
    is(slurp("$dir/tls/current/cert.pem"), $file, '... the same file');
    is(out('reeve-agent', 'get', 'http/max', '--state', $state), "50\n", '... and the config value');
}
sub refused { my ($codes) = @_; my $r = status()->{refused} // {}; return scalar grep { /^(?:$codes)$/ } keys %$r }
sub truth_again {
    lie('truth');
    agent_stop();
    agent_start();
    until_ok('... with the truth back it goes on', sub { (status()->{state} // '') eq 'FRESH' });
}

# ---- a rollout whose canary this agent is not in ----
my ($id) = $f->psql('eu', "ROTATE CERT 'edge-tls' CANARY 50% MANUAL") =~ /^(\d+)/;
until_ok('a rotation has opened its first wave', sub { ($f->psql('eu', "SELECT wave FROM sys.rollouts WHERE rollout_id = $id") || 0) >= 1 });

my $n = 0;
for my $case (['waves', 'V_MAP', 'a rollout with all its waves open'], ['forge', 'V_MAP|V_SIGNATURE|MALFORMED', 'a leaf with one bit changed'],
              ['omit', 'V_MAP', 'that its certificate is not there'], ['quorum', 'V_QUORUM', 'a finalization by two of four'],
              ['sign', 'V_SIGNATURE', 'a finalization by other keys'], ['replay', 'V_HEIGHT|V_CONSISTENCY|V_MAP', 'what was shown at first'],
              ['reorder', 'V_HEIGHT|V_CONSISTENCY', 'what came before after what came later']) {
    my ($how, $codes, $what) = @$case;
    lie($how);
    # Something new for everybody, so that there is something to be shown.
    $f->psql('eu', "CREATE CERT 'other" . ++$n . "' FROM AUTHORITY ca SUBJECT 'CN=o' SANS ('o.example') WHERE region = 'eu'");
    until_ok("it is shown $what: refused", sub { refused($codes) });
    keeps_serving(1);
    truth_again();
}

# ---- nothing is shown ----
lie('withhold');
until_ok('nothing is shown any more: it notices that ticks are missing and says STALE', sub { (status()->{state} // '') eq 'STALE' });
keeps_serving(1);
truth_again();

# ---- the region's table is an old one ----
my $known = status()->{height};
ok($s->stop, 'the region stops');
agent_stop();
agent_start();
until_ok('without it the agent says STALE', sub { (status()->{state} // '') eq 'STALE' });
is(status()->{height}, $known, '... and remembers the newest height across its own restart') or diag encode_json(status());
keeps_serving(1);
{
    local $ENV{PATH} = "$programs:$ENV{PATH}";
    lie('replay');      # the gateways' memory is empty now: what they show first they show for ever
    $f->start('eu');
}
until_ok('the region is back, and its table stands still: STALE as long as that lasts', sub { my $st = status(); $st->{connects} > 0 && $st->{state} eq 'STALE' && $st->{height} >= $known });
keeps_serving(1);
truth_again();

# ---- the truth ----
$f->psql('eu', "PROMOTE ROLLOUT $id");
until_ok('its wave is opened: now it installs generation 2', sub { (cert()->{serving} // 0) == 2 });
isnt(slurp("$dir/tls/current/cert.pem"), $file, '... another certificate');
is($f->psql('us', "SELECT count(*) FROM sys.issues WHERE kind = 'validator_contradicts'"), '0', 'nobody else was harmed');
done_testing();
