#!/usr/bin/perl
# 042_ring_agents.t - agents at every member of a ring of three: served, counted and watched as at one server; a member dies and
# its agents move; where the keys are away, everything that needs them holds and agents are served on
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use RolloutFleet;

my $f = RolloutFleet->new(conf => "rollout_report_timeout = 30s\n");
my @s = ($f, map { ReeveServer->new } 2 .. 3);

sub join_ring {
    my ($s) = @_;
    my $token = $f->sql("CREATE JOIN_TOKEN WITH (kind = 'member')") =~ s/\|.*//sr;
    my ($code, $out, $err) = $s->ctl('join', '--ring', "localhost:$f->{peer_port}", '--token', $token,
        '--address', "localhost:$s->{peer_port}");
    die $err if $code;
    $s->append_conf("port = $s->{port}\nagent_port = $s->{agent_port}\ngateways = 1\n$f->{conf}");
    $s->start;
}
sub votes {
    my ($n) = @_;
    return $f->wait_for(sub { eval { $f->sql("ALTER RING eu ADD MEMBER 'eu-$n' ADDRESS 'localhost:$s[$n - 1]{peer_port}'"); 1 } },
        "a vote for $n");
}
sub leader { return eval { $_[0]->psql("SELECT member FROM sys.ring_members WHERE role = 'leader'") } // '' }
sub kill_all {
    my ($s) = @_;
    my @all = ($s->pid, $s->children);
    kill 'KILL', @all;
    $s->wait_for(sub { !grep { ReeveServer::alive($_) } @all }, 'all are gone');
}
sub states { my ($s) = @_; return eval { $s->psql("SELECT state, count(*) FROM sys.nodes GROUP BY state ORDER BY state") } // '' }
# As members see them: first the one named, then the others.
sub servers { my (@n) = @_; return join ',', map { "127.0.0.1:$s[$_ - 1]{agent_port}" } @n }

$f->sql("CREATE AUTHORITY ca");
$f->sql("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
$f->sql("CREATE CERT common FROM AUTHORITY ca SANS ('common.example') WITH (shared = 'region')");
# An authority signed outside, by one that allows others below it.
sub openssl { my ($code, $out, $err) = $f->run('openssl', @_); die "openssl @_: $err" if $code }
sub put { open my $h, '>', "$f->{base}/$_[0]" or die $!; print $h $_[1]; close $h }
openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 100 -subj /CN=Root -keyout), "$f->{base}/root.key", '-out', "$f->{base}/root.crt");
$f->sql("CREATE AUTHORITY hq WITH (external = on, subject = 'CN=Edge CA')");
put('csr', $f->sql("SELECT request FROM sys.authorities WHERE name = 'hq'") . "\n");
put('ext', "[v]\nbasicConstraints=critical,CA:TRUE,pathlen:1\nkeyUsage=critical,keyCertSign,cRLSign\n");
openssl(qw(x509 -req -days 30 -CAcreateserial -extensions v), map { m{^-} ? $_ : "$f->{base}/$_" } qw(-in csr -CA root.crt -CAkey root.key -extfile ext -out hq.crt));
$f->sql("ALTER AUTHORITY hq SET (chain = '" . ReeveServer::slurp("$f->{base}/hq.crt") . "')");
$f->sql('ALTER AUTHORITY hq ACTIVATE');
$f->sql("CREATE CERT outside FROM AUTHORITY hq SANS ('outside.example')");
for my $n (2, 3) {
    join_ring($s[$n - 1]);
    ok(votes($n), "member $n votes");
}

my $keys = sub { $f->sql('SELECT count(distinct signing_key) FROM sys.ring_members') . ' ' . $f->sql('SELECT sum(intermediates) FROM sys.ring_members') };
ok($f->wait_for(sub { $keys->() eq '3 4' }, 'keys of members'), 'each member has an attested key, and an intermediate under each authority');
isnt($f->sql("SELECT signing_key FROM sys.ring_members WHERE member = 'eu-2'"), $f->sql('SELECT region_key FROM sys.regions'), 'of its own');

# ---- every member lets agents in ----
$f->fleet('one', count => 6, server => servers(1, 2, 3));
$f->fleet('two', count => 6, server => servers(2, 3, 1));
$f->fleet('three', count => 6, server => servers(3, 1, 2));
is($f->sql('SELECT count(*) FROM sys.nodes'), 18, 'nodes enrolled at three members');
sub at_member {
    my ($s) = @_;
    my $n = 0;
    for my $pid ($s->children('gateway')) {
        my %mine = map { (readlink($_) // '') =~ /^socket:\[(\d+)\]$/ ? ($1 => 1) : () } glob "/proc/$pid/fd/*";
        for (split /\n/, ReeveServer::slurp("/proc/$pid/net/tcp")) {
            my @c = split ' ';
            $n++ if ($c[3] // '') eq '01' && $mine{ $c[9] // '' };
        }
    }
    return $n;
}
is(at_member($s[$_ - 1]), 6, "six of them are at member $_") for 1 .. 3;
is($f->sql("SELECT region_key <> '' FROM sys.regions"), 't', 'the region has its key');

# ---- nobody is taken for silent at another member ----
ok($f->wait_for(sub { $f->serving('web') eq '1:18' }, 'all serve generation 1'), 'all of them serve the certificate');
sleep 5;
is(states($_), 'live|18', 'for longer than node_late_after all are live') for @s;

# ---- a rollout over all of them ----
my $id = $f->begin("ROTATE CERT web CANARY 5 NODES FOR '1 s' THEN 100% REASON 'everywhere'");
ok($f->wait_state($id, 'succeeded', 60), 'a rollout completes');
is($f->serving('web'), '2:18', '... at all nodes');
is($f->sql("SELECT done FROM sys.rollouts WHERE rollout_id = $id"), 18, '... and all were counted');

# ---- a member dies in the middle of one ----
$f->sql("ALTER RING eu TRANSFER LEADER TO 'eu-2'");
ok($f->wait_for(sub { leader($f) eq 'eu-2' }, 'eu-2 leads'), 'a member with agents leads');
$id = $f->begin("ROTATE CERT web CANARY 5 NODES FOR '2 s' THEN 50% FOR '2 s', 100% REASON 'a member dies'");
ok($f->wait_state($id, 'baking', 60), 'the canary is out');
kill_all($s[1]);
ok($f->wait_for(sub { $f->status('two') =~ /"connected": 6,/ && at_member($s[2]) == 12 }, 'they moved', 60), 'its agents move to the next');
ok($f->wait_state($id, 'succeeded', 120), 'the rollout completes');
ok($f->wait_for(sub { $f->serving('web') eq '3:18' }, 'all of them'), '... at all nodes')
    or diag($f->sql("SELECT node_id, state, cert_generations, addr, last_seen FROM sys.nodes ORDER BY ordinal"),
        $f->sql("SELECT node_id, state, generation_seen, ack_at, attempts, counted FROM sys.rollout_nodes WHERE rollout_id = $id"));
$s[1]->start;

# ---- the keys are away ----
$id = $f->begin("ROTATE CERT web CANARY 5 NODES FOR '3 s' THEN 100% REASON 'keys away'");
ok($f->wait_state($id, 'baking', 60), 'another canary is out');
kill_all($f);
ok($s[2]->wait_for(sub { leader($s[2]) =~ /^eu-[23]$/ }, 'another leader'), 'the others go on');
ok($s[2]->wait_for(sub { at_member($s[1]) + at_member($s[2]) == 18 }, 'all are at the others', 60), '... with all agents');
$s[2]->psql("SET CONFIG 'http/max' = 7 IMMEDIATE");
is($s[2]->psql("SELECT state FROM sys.rollouts WHERE rollout_id = $id"), 'baking', '... and the rollout holds');
my $status = sub { join ' ', map { $f->status($_) =~ /"connected": (\d+)/ } qw(one two three) };
ok($f->wait_for(sub { $status->() eq '6 6 6' }, 'connected'), '... agents keep their places');
my ($gateway) = $s[2]->children('gateway');
kill 'KILL', $gateway;
ok($s[2]->wait_for(sub { my ($g) = $s[2]->children('gateway'); $g && $g != $gateway }, 'a new gateway'), 'a gateway is killed there');
ok($f->wait_for(sub { at_member($s[1]) + at_member($s[2]) == 18 && $status->() eq '6 6 6' }, 'back again', 60),
    '... and the member\'s own key lends the region\'s name to the next one');

# ---- and leaves are issued all the same ----
my $token = $s[2]->psql("CREATE JOIN_TOKEN WITH (uses = 10)") =~ s/\|.*//sr;
$f->fleet('four', count => 4, server => servers(3, 2, 1), token => $token);
ok($s[2]->wait_for(sub { $s[2]->psql("SELECT count(*) FROM sys.nodes WHERE (cert_generations->>'web')::int >= 3") eq '22' }, 'they serve', 60),
    'new nodes get their certificates from a member that is not the first');
my $tls = "$f->{base}/tls";
mkdir $tls;
open my $h, '>', "$f->{base}/agent.conf" or die $!;
print $h "state = $f->{base}/agent\nserver = " . servers(2, 3) . "\ntoken_file = $f->{base}/token\n[cert web]\ndirectory = $tls\n[cert common]\ndirectory = $tls-common\n[cert outside]\ndirectory = $tls-outside\n";
close $h;
open $h, '>', "$f->{base}/token" or die $!;
print $h "$token\n";
close $h;
my $agent = fork // die "fork: $!";
if (!$agent) {
    open STDERR, '>', "$f->{base}/agent.log";
    exec 'reeve-agent', '--config', "$f->{base}/agent.conf" or POSIX::_exit(127);
}
ok($f->wait_for(sub { -s "$tls/current/cert.pem" }, 'a certificate', 60), 'an agent installs one')
    or diag(ReeveServer::slurp("$f->{base}/agent.log"));
my $pem = ReeveServer::slurp("$tls/current/cert.pem");
is(scalar(() = $pem =~ /BEGIN CERTIFICATE/g), 2, '... with the intermediate it is under');
like(qx{openssl verify -purpose sslserver -CAfile $tls/current/ca.pem -untrusted $tls/current/cert.pem $tls/current/cert.pem 2>&1}, qr/: OK$/,
    '... and anybody who knows the authority believes it');
my $alone = qx{openssl verify -CAfile $tls/current/ca.pem $tls/current/cert.pem 2>&1};
like($alone, qr/unable to get local issuer/, '... by that intermediate only');
ok($f->wait_for(sub { -s "$tls-common/current/key.pem" }, 'a shared key', 60), '... and a certificate whose key is shared')
    or diag(ReeveServer::slurp("$f->{base}/agent.log"));
like(qx{openssl verify -purpose sslserver -CAfile $tls-common/current/ca.pem -untrusted $tls-common/current/cert.pem $tls-common/current/cert.pem 2>&1},
    qr/: OK$/, '... under the intermediate as well');
ok($f->wait_for(sub { -s "$tls-outside/current/cert.pem" }, 'one by an authority outside', 60), '... and one of an authority that is signed outside')
    or diag(ReeveServer::slurp("$f->{base}/agent.log"));
like(qx{openssl verify -purpose sslserver -CAfile $f->{base}/root.crt -untrusted $f->{base}/hq.crt -untrusted $tls-outside/current/cert.pem $tls-outside/current/cert.pem 2>&1},
    qr/: OK$/, '... which whoever knows the root outside believes');
kill 'TERM', $agent;
waitpid $agent, 0;
$f->start;
ok($f->wait_state($id, 'succeeded', 120), 'with the keys back it completes');
# The agent that was stopped may have been one of the canary: issuing goes on without the keys.
ok($f->wait_for(sub { $f->serving('web') =~ /\b4:2[23]$/ }, 'all of them'), '... at all nodes')
    or diag($f->sql("SELECT node_id, state, cert_generations, addr, last_seen FROM sys.nodes ORDER BY ordinal"),
        $f->sql("SELECT node_id, state, generation_seen, ack_at, attempts, counted FROM sys.rollout_nodes WHERE rollout_id = $id"));

# ---- a member that goes speaks for nobody any more ----
my ($leading) = grep { leader($_) && $_ == $s[(leader($_) =~ /-(\d)$/)[0] - 1] } @s;
$leading->psql("ALTER RING eu TRANSFER LEADER TO 'eu-1'") if $leading != $f;
ok($f->wait_for(sub { leader($f) eq 'eu-1' }, 'eu-1 leads'), 'the first leads');
$f->sql("ALTER RING eu DROP MEMBER 'eu-3'");
ok($f->wait_for(sub { $keys->() eq '2 2' }, 'keys of members'), 'a dropped member has neither key nor intermediate any more');
$f->fleet_stop($_) for qw(one two three four);
$_->stop for @s;
done_testing;
