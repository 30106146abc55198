#!/usr/bin/perl
# 052_alter_ring.t - ALTER RING with three servers: every change that would do harm is refused and says why; a leader that
# drops itself; how members are shown
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use lib 'regress/lib';
use Ring;

my $ring = Ring->new(1);
my $a = $ring->first;

sub refused {
    my ($s, $sql, $state, $text, $what) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $s->run('psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-h', '127.0.0.1', '-p', $s->port, '-U', 'admin',
        '-d', 'reeve', '-c', $sql);
    like($err, qr/ERROR:\s+$state:.*$text/s, $what) or diag("$out$err");
    like($err, qr/HINT:/, '... with a hint');
}
sub members { return eval { $_[0]->psql('SELECT member, role, state FROM sys.ring_members ORDER BY member') } // '' }
sub address { my ($n) = @_; return "ADDRESS 'localhost:" . ($ring->servers)[$n - 1]{peer_port} . "'" }

# ---- one voter and a learner ----
my $b = $ring->add(learner => 1);
ok($a->wait_for(sub { members($a) eq "eu-1|leader|up\neu-2|learner|up" }, 'a learner'), 'a learner beside the only voter') or diag(members($a));
refused($a, "ALTER RING eu DROP MEMBER 'eu-1'", '55000', 'nobody in the ring has a vote', 'the last voter is not dropped');
refused($a, "ALTER RING eu ADD MEMBER 'eu-1' " . address(1) . ' AS LEARNER', '55000', 'nobody in the ring has a vote', '... nor made a learner');
refused($a, "ALTER RING eu TRANSFER LEADER TO 'eu-2'", '55000', 'has no vote', 'a learner does not lead');
refused($a, "ALTER RING eu ADD MEMBER 'eu-2' " . address(2) . ' AS LEARNER', '42710', 'is a learner already', 'a learner is not made one again');
refused($a, "ALTER RING eu ADD MEMBER 'eu-2' ADDRESS 'elsewhere:1'", '22023', 'address is "localhost:', 'an address is not changed this way');
refused($b, "ALTER RING eu ADD MEMBER 'eu-2' " . address(2), 'RL008', 'member "eu-1" leads', 'members are changed at the leader');
kill 'STOP', $b->children('ring');
ok($a->wait_for(sub { members($a) =~ /eu-2\|learner\|away/ }, 'away'), 'a silent member is shown as away');
refused($a, "ALTER RING eu ADD MEMBER 'eu-2' " . address(2), '57P03', 'do not answer', '... and gets no vote');
kill 'CONT', $b->children('ring');
$ring->vote(2);
refused($a, "ALTER RING eu ADD MEMBER 'eu-2' " . address(2), '42710', 'has a vote already', 'a voter is not made one again');

# ---- three voters ----
my $c = $ring->add;
ok($a->wait_for(sub { members($a) eq "eu-1|leader|up\neu-2|voter|up\neu-3|voter|up" }, 'three voters'), 'three voters') or diag(members($a));
$a->psql("ALTER RING eu TRANSFER LEADER TO 'eu-2'");
is($a->psql("SELECT member FROM sys.ring_members WHERE role = 'leader'"), 'eu-2', 'when the statement is answered, the other leads');
$b->psql("ALTER RING eu TRANSFER LEADER TO 'eu-2'");
pass('to the leader itself: nothing to do');
is($b->psql("SELECT count(*) FROM sys.ring_members WHERE last_contact > now() - interval '2 s'"), '2', 'the leader hears of the two others')
    or diag($b->psql('SELECT member, last_contact, now() FROM sys.ring_members'));
is($b->psql("SELECT string_agg(disk, ',') FROM sys.ring_members"), 'ok,ok,ok', 'three sound disks');

# ---- with one away the other two are needed ----
$ring->kill($c);
ok($b->wait_for(sub { members($b) =~ /eu-3\|voter\|away/ }, 'away'), 'the third is away');
refused($b, "ALTER RING eu TRANSFER LEADER TO 'eu-3'", '57P03', 'does not answer', 'who is away does not lead');
refused($b, "ALTER RING eu DROP MEMBER 'eu-1'", '57P03', 'do not answer', 'who is needed is not dropped');
ok($b->wait_for(sub { $b->psql("SELECT object FROM sys.issues WHERE kind = 'member_away'") eq 'eu-3' }, 'the issue'), 'it is an issue');
$c->start;
ok($b->wait_for(sub { $b->psql("SELECT count(*) FROM sys.issues") eq '0' }, 'no issue'), '... which goes when it is back');

# ---- a leader drops itself ----
ok(eval { $b->psql("ALTER RING eu DROP MEMBER 'eu-2'"); 1 }, 'a leader drops itself') or diag($@);
ok($a->wait_for(sub { members($a) =~ /^eu-1\|(leader|voter)\|up\neu-3\|(leader|voter)\|up$/ && members($a) =~ /leader/ }, 'two members'),
    'the two others go on') or diag(members($a));
ok($a->wait_for(sub { eval { $a->psql("SET CONFIG 'k' = '1'"); 1 } }, 'a change'), '... and take changes');
refused($b, 'SELECT * FROM sys.config', 'RL004', '', 'who was dropped reads nothing as if it were new');
is($b->psql('SET read_consistency = local; SELECT count(*) FROM sys.config'), '0', '... only what it had');
refused($ring->leader, "ALTER RING eu DROP MEMBER 'eu-2'", '42704', 'has no member "eu-2"', 'nobody is dropped twice');

$_->stop for $ring->servers;
done_testing;
