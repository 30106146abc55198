# What an agent holds is not sent again: changes by revision, TLS sessions at whichever gateway answers. --dry-run and --once.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX ();
use Time::HiRes qw(sleep);
use ReeveServer;

my $dir = tempdir('/tmp/reeve-resume-XXXXXX', CLEANUP => 1);
my $probe = "$ENV{REEVE_BUILD}/regress/lib/gwprobe";
my $s = ReeveServer->new(conf => "attest_tick_interval = 1s\nagent_heartbeat_interval = 1s\nagent_reconnect_window = 100ms\ngateways = 4\nrollout_report_timeout = 2s\n");
my ($owner, $agent, $state) = ($$, 0, "$dir/state");

sub slurp { ReeveServer::slurp($_[0]) }
sub spew { my ($f, $t) = @_; open my $h, '>', $f or die "$f: $!"; print $h $t; close $h }
sub status { my $t = qx{reeve-agent status --state $state 2>/dev/null}; return $t ? decode_json($t) : {} }
sub agent_start {
    $agent = fork // die "fork: $!";
    return if $agent;
    open STDERR, '>>', "$dir/agent.log";
    exec 'reeve-agent', '--config', "$dir/agent.conf" or POSIX::_exit(127);
}
sub agent_stop { return unless $agent; kill $_[0] || 'TERM', $agent; waitpid $agent, 0; $agent = 0 }
# Exit code and standard output of the agent, run to its end.
sub once { my (@more) = @_; my $out = qx{reeve-agent --config $dir/agent.conf @more 2>>$dir/agent.log}; return ($? >> 8, $out) }
sub nodes { return $s->psql('SELECT count(*) FROM sys.nodes') }
sub uses_left { return $s->psql('SELECT uses_left FROM sys.join_tokens ORDER BY 1 LIMIT 1') }

$s->init->start;
$s->psql("CREATE AUTHORITY ca WITH (key_type = 'ecdsa', ttl = '1 year')");
$s->psql("CREATE CERT 'edge' FROM AUTHORITY ca SUBJECT 'CN=edge.example' SANS ('edge.example') VALID FOR '30 days'");
$s->psql("SET CONFIG 'k/$_' = $_ IMMEDIATE") for 1 .. 5;
my ($token) = $s->psql('CREATE JOIN_TOKEN WITH (uses = 10)') =~ /(reeve1\.[\w-]+)/;

# ---- by revision ----
my $pid = open my $h, '-|', "exec $probe run @{[$s->agent_port]} $token p1 connect hello auth enroll subscribe reconnect hello auth subscribe file=$dir/go reconnect hello auth subscribe 2>&1" or die;
my $text = '';
while ($text !~ /WELCOME.*WELCOME.*CONFIG kind=1/s) { defined(my $line = <$h>) or last; $text .= $line }
like($text, qr/CONFIG kind=2 .*values=5/, 'the first time it gets all values');
like($text, qr/WELCOME.*WELCOME.*genesis=0 valset=0 proof=0.*CONFIG kind=1 revision=\d+ values=0 more=0/s, 'the second time: nothing changed, nothing is sent');
$s->psql("SET CONFIG 'k/3' = 33 IMMEDIATE");
$s->psql("RESET CONFIG 'k/4' IMMEDIATE");
spew("$dir/go", '');
$text = do { local $/; <$h> };
close $h;
like($text, qr/CONFIG kind=1 revision=\d+ values=2 more=0\n  value k\/3 gen=\d+ state=1 33\n  value k\/4 gen=0 state=3/, '... and what changed meanwhile, no more') or diag($text);

# ---- --dry-run before it is enrolled ----
spew("$dir/reload", "#!/bin/sh\nexit 0\n");
chmod 0755, "$dir/reload";
mkdir "$dir/tls";
spew("$dir/agent.conf", "state = $state\nserver = 127.0.0.1:" . $s->agent_port . "\ntoken = $token\ntick_interval = 1 s\n[cert edge]\ndirectory = $dir/tls/edge\nreload = $dir/reload\n");
my $left = uses_left();
my ($code, $out) = once('--dry-run');
is($code, 0, '--dry-run of a node that is not enrolled');
like($out, qr/^would enrol as n-[0-9a-f]{32} at 127/, '... says so');
is(uses_left(), $left, '... and uses no token');
is(nodes(), 1, '... nor enrols');

# ---- --once ----
is((once('--once'))[0], 0, '--once enrols and installs');
my $link = readlink "$dir/tls/edge/current";
like($link, qr/^gen-1-/, '... generation 1');
is((once('--once'))[0], 0, '... and a second time has nothing to do');
is(readlink "$dir/tls/edge/current", $link, '... and does nothing');

# ---- --dry-run of a change ----
$s->psql("ROTATE CERT 'edge' CANARY 100% FOR '1 h'");
ok($s->wait_for(sub { ($code, $out) = once('--dry-run'); $code == 0 && decode_json($out)->{certificates}[0]{wanted} == 2 }, 'wanted'), '--dry-run shows which generation it would go for');
is(decode_json($out)->{certificates}[0]{serving}, 1, '... and which it serves');
is(readlink "$dir/tls/edge/current", $link, '... and installs nothing');
is($s->psql('SELECT done + failed FROM sys.rollouts WHERE rollout_id = 1'), 0, '... and reports nothing');
spew("$dir/reload", "#!/bin/sh\nexit 1\n");
is((once('--once', '--wait', '20s'))[0], 1, '--once with a reload that fails exits 1');
is(readlink "$dir/tls/edge/current", $link, '... and what was served is served again');
spew("$dir/reload", "#!/bin/sh\nexit 0\n");
agent_start();
ok($s->wait_for(sub { (readlink("$dir/tls/edge/current") // '') =~ /^gen-2-/ }, 'generation 2', 90), 'once the reload works, it is installed');
ok($s->wait_for(sub { (status()->{state} || '') eq 'FRESH' }, 'FRESH'), '... by an agent that goes on');
agent_stop();

# ---- told by a signal; what it trusts ----
my $service = fork // die "fork: $!";
if (!$service) {
    my $n = 0;
    local $SIG{USR1} = sub { spew("$dir/told", ++$n . ' ' . readlink "$dir/tls/edge/current") };
    spew("$dir/service.pid", "$$\n");
    sleep 1 while getppid != 1;
    POSIX::_exit(0);
}
ok($s->wait_for(sub { slurp("$dir/service.pid") =~ /\n/ }, 'the service'), 'a service that takes a signal');
spew("$dir/agent.conf", slurp("$dir/agent.conf") =~ s/^reload.*$/signal = USR1\npidfile = $dir\/service.pid/mr);
$s->psql("CANCEL ROLLOUT 1");
ok($s->wait_for(sub { $s->psql('SELECT state FROM sys.rollouts WHERE rollout_id = 1') =~ /^(?:canceled|rolled_back)$/ }, 'the end'), 'the rotation is over');
$s->psql("ROTATE CERT 'edge' IMMEDIATE");
agent_start();
ok($s->wait_for(sub { slurp("$dir/told") =~ / gen-3-/ }, 'the signal'), '... is told once generation 3 stands');
agent_stop();
kill 'KILL', $service;
waitpid $service, 0;
my $root = $s->psql("SELECT chain FROM sys.authorities WHERE name = 'ca'") . "\n";
is(slurp("$state/trust.pem") =~ s/\s+//gr, $root =~ s/\s+//gr, 'trust.pem holds what the region attests of its authorities');
is(slurp("$dir/tls/edge/current/ca.pem"), slurp("$state/trust.pem"), '... and so does ca.pem beside the certificate');

# ---- one session, four gateways ----
my ($resumed, $tries) = (0, 8);
for (1 .. $tries) {
    agent_start();
    $s->wait_for(sub { (status()->{connection} || '') eq 'ready' }, 'ready');
    $resumed++ if (status()->{resumed} || 0) == 1;
    agent_stop();
}
is($resumed, $tries, "each of $tries connections resumes the session, at whichever of the four gateways");
my @old = $s->children('gateway');
kill 'KILL', @old;
ok($s->wait_for(sub { my %o = map { $_ => 1 } @old; 4 == grep { !$o{$_} } $s->children('gateway') }, 'four new gateways'), 'all gateways are killed and replaced');
agent_start();
ok($s->wait_for(sub { (status()->{connection} || '') eq 'ready' }, 'ready'), 'the agent connects');
is(status()->{resumed}, 1, '... with the session it had: the keys of tickets outlive the gateways');
agent_stop();
$s->stop;
done_testing();

END {
    my $code = $?;
    agent_stop('KILL') if $owner == $$ && $agent;
    $? = $code;
}
