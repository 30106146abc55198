#!/usr/bin/perl
# 021_rollout_restarts.t - a rollout in any state outlives the server: an immediate restart, and kill -9 of everything
#
# The agents stay. After each restart the rollout is where it was, goes on by
# itself where it has something to do, and every node ends up with what it
# should have; ids and generations are never given twice.
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use RolloutFleet;

# Nobody is called silent while the server is away.
my $f = RolloutFleet->new(conf => "rollout_report_timeout = 30s\n");
$f->sql("CREATE AUTHORITY ca");
$f->sql("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
$f->fleet('a', count => 20, label => 'tier=edge');
my $kills = 0;

sub restart {
    my ($code, $out, $err) = $f->ctl('restart', '-m', 'immediate', '-t', '30');
    diag($err) if $code;
    return $code == 0;
}
# Postmaster and children at the same moment.
sub kill_all {
    my $pid = $f->pid;
    kill 'STOP', $pid;
    my @all = ($pid, $f->children(undef, $pid));
    kill 'KILL', @all;
    $f->wait_for(sub { !grep { ReeveServer::alive($_) } @all }, 'all are gone');
    return $f->start ? 1 : 0;
}
sub either { return $kills++ % 2 ? kill_all() : restart() }
sub serves {
    my ($want, $what) = @_;
    my $have = '';
    $f->wait_for(sub { ($have = $f->serving('web')) eq $want }, "$what: $want", 60);
    is($have, $want, $what);
}
sub connected { $f->wait_for(sub { $f->status('a') =~ /"connected": 20,/ }, 'the fleet is back', 60) }
sub state_is { my ($id, $state, $what) = @_; ok($f->wait_state($id, $state, 60), $what // $state) }

for my $round (1) {
    subtest "round $round" => sub {
        my $old = ($f->serving('web') =~ /^(\d+):20$/)[0] // $f->sql("SELECT generation FROM sys.certs");
        my $id = $f->begin("ROTATE CERT web CANARY 5 NODES FOR '1 h' THEN 50% FOR '1 h', 100% REASON 'restarts'");
        ok(either(), 'restarted while planned or running');
        state_is($id, 'baking', 'the canary is out');
        ok(either(), 'restarted while baking');
        is($f->rollout($id)->{state}, 'baking', 'still baking');
        $f->sql("PAUSE ROLLOUT $id REASON 'wait'");
        ok(either(), 'restarted while paused');
        is($f->rollout($id)->{state}, 'paused', 'still paused');
        is($f->rollout($id)->{reason}, 'wait', 'the reason too');
        $f->sql("RESUME ROLLOUT $id");
        connected();
        $f->sql("PROMOTE ROLLOUT $id");
        ok(either(), 'restarted while promoting');
        state_is($id, 'baking', 'the second wave is out');
        $f->sql("PROMOTE ROLLOUT $id");
        state_is($id, 'succeeded', 'it succeeds');
        my $gen = $f->rollout($id)->{to_gen};
        serves("$gen:20", 'everybody has it');
        my $next = $f->begin("ROTATE CERT web CANARY 10 NODES FOR '1 h' THEN 100%");
        is($next, $id + 1, 'the next id') or diag("after $id");
        state_is($next, 'baking', 'another canary');
        $f->sql("ROLLBACK ROLLOUT $next");
        ok(either(), 'restarted while rolling back');
        state_is($next, 'rolled_back', 'rolled back');
        serves("$gen:20", 'everybody is back');
        my $third = $f->begin("SET CONFIG 'k' = $round CANARY 5 NODES FOR '1 h' THEN 100%");
        state_is($third, 'baking', 'a config canary');
        ok(either(), 'restarted');
        $f->sql("CANCEL ROLLOUT $third");
        ok(either(), 'restarted when canceled');
        is($f->rollout($third)->{state}, 'canceled', 'canceled it stays');
        connected();
        is($f->sql("SELECT count(*) FROM sys.config WHERE key = 'k'"), 0, 'nothing of it is left');
    };
}
is($f->sql("SELECT count(*), count(DISTINCT rollout_id) FROM sys.rollouts"), '3|3', 'three rollouts, three ids');
is($f->sql("SELECT count(*) FROM sys.nodes"), 20, 'no node was lost or doubled');
ok($f->stop, 'the server stops');
done_testing;
