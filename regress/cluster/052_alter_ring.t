#!/usr/bin/perl
# 052_alter_ring.t - ALTER RING with three servers: every change that would do harm is refused and says why; a leader that
# drops itself; how members are shown. Who leads may change at any time on a busy machine, so statements follow the leader.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use lib 'regress/lib';
use Ring;

my $ring = Ring->new(members => 1);
my $a = $ring->server(0);

sub ask {
    my ($s, $sql) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $s->run('psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-h', '127.0.0.1', '-p', $s->port, '-U', 'admin',
        '-d', 'reeve', '-c', $sql);
    return "$out$err";
}
# Said where the leader is; again while that is in question.
sub said {
    my ($sql, $answer) = @_;
    for (my $end = time + 60; time < $end; sleep 0.1) {
        my $s = $ring->leading // next;
        $answer = ask($s, $sql);
        return $answer if $answer !~ /RL008|RL004|08007|at this moment/;
    }
    return $answer // 'nobody leads';
}
sub refused {
    my ($sql, $state, $text, $what) = @_;
    my $answer = said($sql);
    like($answer, qr/ERROR:\s+$state:.*$text/s, $what) or diag($answer);
    like($answer, qr/HINT:/, '... with a hint');
}
sub done { my ($sql, $what) = @_; my $answer = said($sql); is($answer, '', $what) }
sub members { my ($s) = @_; return eval { ($s // $ring->leading)->psql('SELECT member, role, state FROM sys.ring_members ORDER BY member') } // '' }
sub address { my ($n) = @_; return "ADDRESS 'localhost:" . ($ring->servers)[$n - 1]{peer_port} . "'" }
sub number { my ($s) = @_; return 1 + $ring->number($s) }
sub shown { my ($like, $what) = @_; ok($a->wait_for(sub { members() =~ $like }, $what), $what) or diag(members()) }

# ---- one voter and a learner ----
my $b = $ring->server($ring->add(learner => 1));
shown(qr/^eu-1\|leader\|up\neu-2\|learner\|up$/, 'a learner beside the only voter');
refused("ALTER RING eu DROP MEMBER 'eu-1'", '55000', 'nobody in the ring has a vote', 'the last voter is not dropped');
refused("ALTER RING eu ADD MEMBER 'eu-1' " . address(1) . ' AS LEARNER', '55000', 'nobody in the ring has a vote', '... nor made a learner');
refused("ALTER RING eu TRANSFER LEADER TO 'eu-2'", '55000', 'has no vote', 'a learner does not lead');
refused("ALTER RING eu ADD MEMBER 'eu-2' " . address(2) . ' AS LEARNER', '42710', 'is a learner already', 'a learner is not made one again');
refused("ALTER RING eu ADD MEMBER 'eu-2' ADDRESS 'elsewhere:1'", '22023', 'address is "localhost:', 'an address is not changed this way');
ok($a->wait_for(sub { ask($b, "ALTER RING eu ADD MEMBER 'eu-2' " . address(2) . ' AS LEARNER') =~ /42501.*a learner changes nothing.*HINT:/s }, 'the answer'),
    'who has no vote changes nothing of the ring');
kill 'STOP', $b->children('ring');
shown(qr/eu-2\|learner\|away/, 'a silent member is shown as away');
refused("ALTER RING eu ADD MEMBER 'eu-2' " . address(2), '57P03', 'do not answer', '... and gets no vote');
kill 'CONT', $b->children('ring');
$ring->promote(1);
refused("ALTER RING eu ADD MEMBER 'eu-2' " . address(2), '42710', 'has a vote already', 'a voter is not made one again');
ok($a->wait_for(sub { ask($b, "ALTER RING eu ADD MEMBER 'eu-2' " . address(2)) =~ /42710.*has a vote already.*HINT:/s }, 'the answer'),
    '... whichever voter is told so');

# ---- three voters ----
my $c = $ring->server($ring->add);
shown(qr/^eu-1\|(leader|voter)\|up\neu-2\|(leader|voter)\|up\neu-3\|(leader|voter)\|up$/, 'three voters');
my ($next) = grep { $_ != $ring->leading } $a, $b;
done("ALTER RING eu TRANSFER LEADER TO 'eu-" . number($next) . "'", 'leadership is handed over, and answered when it has come about');
ok($a->wait_for(sub { ($ring->leading // return)->psql("SELECT count(*) FROM sys.ring_members WHERE last_contact > now() - interval '5 s'") eq '2' },
    'two'), 'the leader hears of the two others');
my $known = 'SELECT count(*) FROM sys.ring_members WHERE match_index > 0 AND lag >= 0';
ok($_->wait_for(sub { ask($_, $known) eq "3\n" }, 'three'), 'how far each is can be read at member ' . number($_)) for $ring->servers;
is(said("SELECT string_agg(DISTINCT state, ',') FROM sys.ring_members"), "up\n", 'all are up');

# ---- with one away the other two are needed ----
$ring->kill_server($c);
shown(qr/eu-3\|voter\|away/, 'the third is away');
refused("ALTER RING eu TRANSFER LEADER TO 'eu-3'", '57P03', 'does not answer', 'who is away does not lead');
my $leader = $ring->leading;
my ($follower) = grep { $_ != $leader } $a, $b;
refused("ALTER RING eu DROP MEMBER 'eu-" . number($follower) . "'", '57P03', 'do not answer', 'who is needed is not dropped');
ok($a->wait_for(sub { ($ring->leading // return)->psql("SELECT object FROM sys.issues WHERE kind = 'member_away'") eq 'eu-3' }, 'the issue'), 'it is an issue');
$c->start;
ok($a->wait_for(sub { ($ring->leading // return)->psql("SELECT count(*) FROM sys.issues WHERE kind = 'member_away'") eq '0' }, 'no issue'),
    '... which goes when it is back');

# ---- who was let in is not sent away because another change is under way ----
my $busy = fork() // die;
if ($busy == 0) {
    for (;;) {
        said("ALTER RING eu ADD MEMBER 'eu-3' " . address(3) . " $_") for 'AS LEARNER', '';
    }
}
my @refused;
for my $s (map { ReeveServer->new } 1 .. 3) {
    my ($token, $via);
    $a->wait_for(sub { $via = $ring->leading; $token = eval { $via->psql("CREATE JOIN_TOKEN WITH (kind = 'member')") =~ s/\|.*//sr } }, 'a token');
    my ($code, $out, $err) = $s->ctl('join', '--ring', "localhost:$via->{peer_port}", '--token', $token, '--address', "localhost:$s->{peer_port}");
    push @refused, $err if $code;
}
kill 'KILL', $busy;
waitpid $busy, 0;
is("@refused", '', 'members join while others get votes and lose them');
like(said("ALTER RING eu DROP MEMBER 'eu-$_'"), qr/^$|has no member/, '... and go again') for 4 .. 6;
like(said("ALTER RING eu ADD MEMBER 'eu-3' " . address(3)), qr/^$|already/, 'the third votes');

# ---- a leader drops itself ----
$leader = $ring->leading;
my $gone = number($leader);
is(said("ALTER RING eu DROP MEMBER 'eu-$gone'"), '', 'a leader drops itself');
my ($x, $y) = grep { $_ != $leader } $a, $b, $c;
ok($x->wait_for(sub { my $m = members($x); $m !~ /eu-$gone/ && $m =~ /leader/ }, 'two members'), 'the two others go on') or diag(members($x));
ok($x->wait_for(sub { eval { $x->psql("SET CONFIG 'k' = '1'"); 1 } }, 'a change'), '... and take changes');
like(ask($leader, 'SELECT * FROM sys.config'), qr/RL004/, 'who was dropped reads nothing as if it were new');
like(ask($leader, 'SET read_consistency = local; SELECT count(*) FROM sys.config'), qr/^0$/m, '... only what it had');
like(ask($_, "ALTER RING eu DROP MEMBER 'eu-$gone'"), qr/42704.*has no member "eu-$gone".*HINT:/s, 'nobody is dropped twice') for $x;

$_->stop for $ring->servers;
done_testing;
