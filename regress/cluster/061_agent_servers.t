# One agent, several servers: dead and silent ones, all gone, back again; what SIGHUP takes; owner, mode and backup of what it installs.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(sleep);
use Ports;
use ReeveServer;

my $dir = tempdir('/tmp/reeve-servers-XXXXXX', CLEANUP => 1);
my $s = ReeveServer->new(conf => "attest_tick_interval = 1s\nagent_heartbeat_interval = 1s\nagent_reconnect_window = 200ms\n"
    . "listen_addresses = 127.0.0.1, 127.0.0.2\n");
my ($state, $tls, $agent, $owner) = ("$dir/state", "$dir/tls", 0, $$);
my $live = '127.0.0.1:' . $s->agent_port;
my $dead = '127.0.0.1:' . Ports::take();
# It takes connections and never says a word.
my $silent_socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => Ports::take(), Proto => 'tcp', Listen => 20) or die $!;
my $silent = '127.0.0.1:' . $silent_socket->sockport;

sub slurp { ReeveServer::slurp($_[0]) }
sub spew { my ($f, $t) = @_; open my $h, '>', $f or die "$f: $!"; print $h $t; close $h }
sub status { my $t = qx{reeve-agent status --state $state 2>/dev/null}; return $t ? decode_json($t) : {} }
sub cert { my ($name) = @_; return (grep { $_->{name} eq $name } @{ status()->{certificates} || [] })[0] || {} }
sub is_state { my ($want, $seconds) = @_; return $s->wait_for(sub { (status()->{state} || '') eq $want }, $want, $seconds) }
sub conf {
    my (%o) = @_;
    my $sections = join '', map { "[cert $_]\ndirectory = $tls/$_\n" } @{ $o{certs} // ['edge'] };
    spew("$dir/agent.conf", "state = " . ($o{state} // $state) . "\nserver = $o{server}\ntoken_file = $dir/token\ntick_interval = 1 s\nconfig_ttl = 12 s\n"
        . 'identity = ' . ($o{identity} // 'auth') . "\n" . ($o{more} // '') . $sections);
}
sub agent_start {
    $agent = fork // die "fork: $!";
    return if $agent;
    open STDERR, '>>', "$dir/agent.log";
    exec 'reeve-agent', '--config', "$dir/agent.conf" or POSIX::_exit(127);
}
sub agent_stop { return unless $agent; kill $_[0] || 'TERM', $agent; waitpid $agent, 0; $agent = 0 }
sub logged { my ($re) = @_; my $n = () = slurp("$dir/agent.log") =~ /$re/g; return $n }
# SIGHUP, and until the log says what came of it.
sub hup {
    my ($re) = @_;
    my $before = logged($re);
    kill 'HUP', $agent;
    return $s->wait_for(sub { logged($re) > $before }, "$re");
}
my $taken = qr/configuration read again/;

$s->init->start;
$s->psql("CREATE AUTHORITY ca WITH (key_type = 'ecdsa', ttl = '1 year')");
$s->psql("CREATE CERT '$_' FROM AUTHORITY ca SUBJECT 'CN=$_.example' SANS ('$_.example') VALID FOR '30 days'") for qw(edge other);
$s->psql("SET CONFIG 'http/max' = 50 IMMEDIATE");
my ($token) = $s->psql('CREATE JOIN_TOKEN WITH (uses = 1)') =~ /(reeve1\.[\w-]+)/;
spew("$dir/token", "$token\n");
mkdir $tls;

# ---- the third of three answers ----
conf(server => "$dead,$silent,$live");
agent_start();
ok(is_state('FRESH', 60), 'the first server is dead, the second says nothing, with the third it is FRESH');
is(status()->{server}, $live, '... connected to that one');
cmp_ok(status()->{connects}, '>=', 3, '... after it tried the others');
like(slurp("$dir/agent.log"), qr/could not connect to \Q$dead\E.*could not connect to \Q$silent\E: no answer in time/s, '... as the log says');
ok($s->wait_for(sub { (cert('edge')->{serving} || 0) == 1 && cert('edge')->{result} eq 'done' }, 'edge'), '... and serves the certificate');
ok($s->wait_for(sub { (status()->{config_state} || '') eq 'FRESH' && slurp("$state/config.json") =~ /50/ }, 'values'), '... with its values');
is(cert('edge')->{freshness}, 'FRESH', '... each of them FRESH');

# ---- all gone ----
$s->stop;
ok(is_state('STALE'), 'with all of them dead it is STALE');
is(cert('edge')->{freshness}, 'STALE', '... the certificate, too');
ok($s->wait_for(sub { status()->{config_state} eq 'EXPIRED' }, 'EXPIRED'), 'after their TTL the values are EXPIRED');
is(status()->{state}, 'EXPIRED', '... and so is the whole');
is(cert('edge')->{freshness}, 'STALE', '... while the certificate, which is good for days, is STALE as before');
is(qx{reeve-agent get http/max --state $state 2>/dev/null}, "50\n", 'what is EXPIRED is still there');
is(cert('edge')->{serving}, 1, '... and still served');
agent_stop('KILL');
unlink "$dir/token";
agent_start();
ok(is_state('EXPIRED'), 'killed and started again: a TTL does not begin anew');
is(cert('edge')->{serving}, 1, '... it serves from its cache, without the token it once needed');
like(qx{reeve-agent get http/max --state $state --config-ttl 12s 2>&1}, qr/is EXPIRED.*\n50\n/, '... and get says both');
$s->start;
ok(is_state('FRESH', 60), 'with a server back it is FRESH');
ok($s->wait_for(sub { status()->{config_state} eq 'FRESH' && cert('edge')->{freshness} eq 'FRESH' }, 'all fresh'), '... every item');
is($s->psql('SELECT count(*) FROM sys.nodes'), 1, '... and the same node');

# ---- SIGHUP ----
my $connects = status()->{connects};
conf(server => "$dead,$live", certs => ['edge', 'other']);
ok(hup($taken), 'SIGHUP with another list that still names the present server, and one more certificate');
ok($s->wait_for(sub { (cert('other')->{serving} || 0) == 1 }, 'other'), '... installs the certificate');
is(status()->{connects}, $connects, '... over the connection it had');
my $second = '127.0.0.2:' . $s->agent_port;
conf(server => $second, certs => ['edge', 'other']);
ok(hup($taken), 'SIGHUP with a list that does not');
ok($s->wait_for(sub { my $i = status(); $i->{server} eq $second && $i->{connection} eq 'ready' }, 'the other server'), '... takes it to the other server');
is(status()->{connects}, $connects + 1, '... by one new connection');
conf(server => $second, identity => 'mtls', certs => ['edge', 'other']);
ok(hup($taken), 'SIGHUP with another identity');
ok($s->wait_for(sub { my $i = status(); $i->{connects} == $connects + 2 && $i->{connection} eq 'ready' }, 'mtls'), '... connects anew');
is($s->psql('SELECT count(*) FROM sys.nodes'), 1, '... as the same node');
conf(server => 'nonsense', identity => 'auth', certs => ['edge']);
ok(hup(qr/the configuration was not taken: "nonsense" is not host:port/), 'SIGHUP with a value that is wrong: the log says so');
conf(server => $second, more => "no_such = 1\n");
ok(hup(qr/the configuration was not taken: .* there is no option/), '... with an option that is none, too');
is(status()->{connection}, 'ready', '... and nothing changed');
conf(server => $second, identity => 'mtls', state => "$dir/elsewhere");
ok(hup(qr/state ".*elsewhere" needs a restart/), 'what needs a restart is said');
is(status()->{connects}, $connects + 2, '... the rest is taken');

# ---- owner, mode, backup, one rename ----
my ($uid, $gid) = $> == 0 ? (33, 34) : ($>, (split ' ', $))[0]);
is(readlink("$tls/edge/current") =~ /^gen-1-/ ? 1 : 0, 1, 'current is a link to generation 1');
chown $uid, $gid, "$tls/edge/current/key.pem";
chmod 0440, "$tls/edge/current/key.pem";
# A service that looks all the time: whatever current names is whole, and a key and a certificate that belong together.
my $watcher = fork // die "fork: $!";
if (!$watcher) {
    my (%seen, $stop);
    local $SIG{TERM} = sub { $stop = 1 };
    until ($stop) {
        my $to = readlink "$tls/edge/current" or POSIX::_exit(3);
        next if $seen{$to}++;
        -s "$tls/edge/$to/$_" or POSIX::_exit(4) for qw(key.pem cert.pem ca.pem);
        my ($k) = qx{openssl pkey -in $tls/edge/$to/key.pem -pubout 2>/dev/null | sha256sum};
        my ($c) = qx{openssl x509 -in $tls/edge/$to/cert.pem -noout -pubkey 2>/dev/null | sha256sum};
        POSIX::_exit(5) unless $k && $k eq $c;
    }
    POSIX::_exit(scalar(keys %seen) >= 2 ? 0 : 6);
}
for my $gen (2 .. 4) {
    $s->psql("ROTATE CERT 'edge' IMMEDIATE");
    ok($s->wait_for(sub { (cert('edge')->{serving} || 0) == $gen && cert('edge')->{result} eq 'done' }, "generation $gen"), "generation $gen is installed");
    my @st = stat "$tls/edge/current/key.pem";
    is_deeply([$st[4], $st[5], $st[2] & 07777], [$uid, $gid, 0440], '... its key belongs to whom the one before did, with that mode');
    is_deeply([sort map { m{/gen-(\d+)-[0-9a-f]+$} ? $1 : $_ } glob "$tls/edge/gen-*"], [$gen - 1, $gen], '... beside one backup');
    $s->wait_for(sub { $s->psql("SELECT count(*) FROM sys.rollouts WHERE state <> 'succeeded'") eq '0' }, 'the end of the rollout');
}
is_deeply([grep { !/^(?:current|gen-[34]-[0-9a-f]{8})$/ } map { m{([^/]+)$} } glob("$tls/edge/* $tls/edge/.[a-z]*")], [], 'nothing else is left behind');
kill 'TERM', $watcher;
waitpid $watcher, 0;
is($? >> 8, 0, 'who looked all the time saw whole generations only');
agent_stop();
$s->stop;
done_testing();

END {
    my $code = $?;
    agent_stop('KILL') if $owner == $$ && $agent;
    $? = $code;
}
