#!/usr/bin/perl
# 041_ring_rollout.t - a rollout in a ring of three: the leader, which has no validator, is killed and nobody misses it; the
# member with the keys is killed, the rollout holds and goes on when it is back
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
    $s->append_conf("port = $s->{port}\nagent_port = $s->{agent_port}\n");
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

$f->sql("CREATE AUTHORITY ca");
$f->sql("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
$f->fleet('a', count => 20, label => 'tier=edge');
for my $n (2, 3) {
    join_ring($s[$n - 1]);
    ok(votes($n), "member $n votes");
}
like($s[2]->psql("SELECT count(*) FROM sys.nodes"), qr/^20$/, 'the new members know the fleet');
my $id;
ok($f->wait_for(sub { eval { ($id) = $s[1]->psql("ROTATE CERT web IMMEDIATE REASON 'elsewhere'") =~ /^(\d+)\|/ } }, 'a rollout'),
    'a security update is said where there is no key');
ok($f->wait_state($id, 'succeeded', 60), '... and made');

$f->sql("ALTER RING eu TRANSFER LEADER TO 'eu-2'");
ok($f->wait_for(sub { leader($f) eq 'eu-2' }, 'eu-2 leads'), 'a member without keys leads');
$id = $f->begin("ROTATE CERT web CANARY 5 NODES FOR '2 s' THEN 50% FOR '2 s', 100% REASON 'in a ring'");
ok($f->wait_state($id, 'baking', 60), 'the canary is out');
kill_all($s[1]);
ok($f->wait_state($id, 'done|completed|succeeded', 120), 'without its leader the rollout completes') or diag($f->sql("SELECT state, reason FROM sys.rollouts"));
my $gen = $f->serving('web');
like($gen, qr/^\d+:20$/, 'every node has the new generation');
$s[1]->start;
ok($f->wait_for(sub { ($s[1]->psql("SELECT state FROM sys.rollouts WHERE rollout_id = $id")) eq $f->sql("SELECT state FROM sys.rollouts WHERE rollout_id = $id") },
    'the leader of before knows'), 'who comes back knows it');

$id = $f->begin("ROTATE CERT web CANARY 5 NODES FOR '3 s' THEN 100% REASON 'again'");
ok($f->wait_state($id, 'baking', 60), 'the next canary is out');
kill_all($f);
ok($s[2]->wait_for(sub { leader($s[2]) =~ /^eu-[23]$/ }, 'another leader'), 'the others go on without the member that has the keys');
is($s[2]->psql("SELECT state FROM sys.rollouts WHERE rollout_id = $id"), 'baking', '... and the rollout holds');
ok($s[2]->wait_for(sub { eval { $s[2]->psql("SELECT object FROM sys.issues WHERE kind = 'member_away'") } =~ /eu-1/ }, 'an issue'),
    'its absence is an issue');
$f->start;
ok($f->wait_state($id, 'done|completed|succeeded', 120), 'back again, it completes the rollout');
ok($f->wait_for(sub { $f->serving('web') =~ /^(\d+):20$/ && $f->serving('web') ne $gen }, 'the new generation'), 'every node has it');
ok($s[2]->wait_for(sub { $s[2]->psql("SELECT count(*) FROM sys.issues WHERE kind = 'member_away'") eq '0' }, 'no issue'), 'the issue is gone');
$_->stop for @s;
done_testing;
