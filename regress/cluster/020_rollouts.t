#!/usr/bin/perl
# 020_rollouts.t - every verb and every end of a rollout, with real agents
#
# Waves that are to stand still bake for an hour, so that nothing depends on
# how fast the machine is; what is to go on has no bake at all.
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use RolloutFleet;

my $f = RolloutFleet->new;
$f->sql("CREATE AUTHORITY ca");
$f->sql("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
$f->fleet('a', count => 30, label => 'tier=edge');
$f->fleet('b', count => 10, label => 'tier=pop');
my ($EDGE, $POP, $ALL) = (30, 10, 40);
my $gen = 1;

sub serves {
    my ($want, $what, $cert) = @_;
    my $have = '';
    $f->wait_for(sub { ($have = $f->serving($cert // 'web')) eq $want }, "$what: $want");
    is($have, $want, $what);
}
sub state_is {
    my ($id, $state, $what) = @_;
    ok($f->wait_state($id, $state), $what // "rollout $id is $state");
}
sub refused {
    my ($sql, $like, $what) = @_;
    like($f->try($sql), $like, $what);
}
sub issues { $f->sql("SELECT kind FROM sys.issues WHERE object = 'web' ORDER BY 1") }

subtest 'waves one after the other, held by hand' => sub {
    serves("1:$ALL", 'everybody serves the first generation');
    my $id = $f->begin("ROTATE CERT web CANARY 4 NODES FOR '1 h' THEN 50% FOR '1 h', 75% FOR '1 h', 100% REASON 'CHG-1'");
    state_is($id, 'baking');
    serves('1:36 2:4', 'exactly the canary');
    is($f->sql("SELECT asked_because FROM sys.rollouts WHERE rollout_id = $id"), 'CHG-1', 'the reason stands');
    is($f->sql("SELECT state, rollout_id FROM sys.certs WHERE name = 'web'"), "rotating|$id", 'the certificate says so');
    refused("ROTATE CERT web", qr/rollout $id is running/, 'a second one is refused');
    refused("DROP CERT web", qr/rollout $id is running/, 'and dropping');
    refused("RESUME ROLLOUT $id", qr/cannot be resumed/, 'what is not paused is not resumed');
    like($f->sql("PAUSE ROLLOUT $id REASON 'looking at p99'"), qr/^$id\|paused\|/, 'paused');
    is($f->rollout($id)->{reason}, 'looking at p99', 'with its reason');
    refused("PAUSE ROLLOUT $id", qr/cannot be paused/, 'once');
    like($f->sql("RESUME ROLLOUT $id"), qr/^$id\|running\|/, 'resumed');
    state_is($id, 'baking');
    like($f->sql("PROMOTE ROLLOUT $id"), qr/^$id\|promoting\|/, 'promoted to the next wave');
    state_is($id, 'baking');
    my ($n) = $f->rollout($id)->{done};
    cmp_ok($n, '>', 4, 'more have it');
    serves('1:' . ($ALL - $n) . " 2:$n", 'as many as the rollout counts');
    refused("PROMOTE ROLLOUT $id TO WAVE 1", qr/not one of the waves 3 to 4/, 'never back by promotion');
    refused("PROMOTE ROLLOUT $id TO WAVE 9", qr/wave must lie between 1 and 4/, 'never beyond');
    like($f->sql("PROMOTE ROLLOUT $id TO 75%"), qr/promoting/, 'to a share');
    $f->wait_for(sub { $f->rollout($id)->{wave} == 3 }, 'wave 3');
    is($f->rollout($id)->{wave}, 3, 'is the wave of that share');
    like($f->sql("PROMOTE ROLLOUT $id TO WAVE 4"), qr/promoting/, 'to the last');
    state_is($id, 'succeeded');
    serves("2:$ALL", 'everybody has it');
    refused("PROMOTE ROLLOUT $id", qr/cannot be promoted/, 'what is over stays over');
    refused("CANCEL ROLLOUT $id", qr/cannot be canceled/, 'also for cancel');
    is($f->sql("SELECT count(*), min(done), max(remaining) FROM (SELECT nodes_done AS done, nodes_remaining AS remaining FROM sys.rollout_waves WHERE rollout_id = $id) x"), '4|4|0',
        'each wave counted its nodes');
};

subtest 'rollback of a finished one, in waves and at once' => sub {
    my $id = $f->begin("ROLLBACK ROLLOUT 1 CANARY 4 NODES FOR '1 h' THEN 100% REASON 'INC-1'");
    state_is($id, 'baking');
    serves('1:4 2:36', 'the canary goes back first');
    like($f->sql("PROMOTE ROLLOUT $id"), qr/promoting/, 'then everybody');
    state_is($id, 'succeeded');
    serves("1:$ALL", 'all are back');
    is($f->sql("SELECT kind, from_gen, to_gen, asked_because FROM sys.rollouts WHERE rollout_id = $id"), 'rollback|2|1|INC-1', 'and it is called what it is');
    my $again = $f->begin("ROTATE CERT web TO GENERATION 2 IMMEDIATE");
    state_is($again, 'succeeded');
    serves("2:$ALL", 'an earlier generation can be chosen');
};

subtest 'rollback and cancel of a running one' => sub {
    my $id = $f->begin("ROTATE CERT web CANARY 10 NODES FOR '1 h' THEN 100%");
    serves('2:30 3:10', 'the canary');
    like($f->sql("ROLLBACK ROLLOUT $id REASON 'INC-2'"), qr/rolling_back/, 'rolling back');
    state_is($id, 'rolled_back');
    serves("2:$ALL", 'nobody serves it');
    is($f->sql("SELECT state FROM sys.cert_generations WHERE cert = 'web' AND generation = 3"), 'withdrawn', 'the generation is withdrawn');
    refused("ROLLBACK ROLLOUT $id", qr/is rolled_back; there is nothing to roll back/, 'nothing is left to roll back');
    $id = $f->begin("ROTATE CERT web CANARY 10 NODES FOR '1 h' THEN 100%");
    serves('2:30 4:10', 'numbers go on');
    like($f->sql("CANCEL ROLLOUT $id REASON 'not today'"), qr/canceled/, 'canceled');
    serves("2:$ALL", 'and taken back as well');
    like($f->try("WAIT FOR ROLLOUT $id"), qr/ended as canceled/, 'WAIT says what became of it');
};

subtest 'targets: labels, and who comes later' => sub {
    my $id = $f->begin("ROTATE CERT web WHERE label('tier') = 'pop' IMMEDIATE");
    state_is($id, 'succeeded');
    serves("2:$EDGE 5:$POP", 'only those with the label');
    is($f->rollout($id)->{targets}, $POP, 'only those were counted');
    refused("EXPLAIN ROTATE CERT web WHERE label('tier') = 'none'", qr/no node matches/, 'nobody is a mistake');
    $id = $f->begin("ROTATE CERT web CANARY 50% FOR '1 h' THEN 100%");
    state_is($id, 'baking');
    $f->fleet('c', count => 5, label => 'tier=pop');
    $f->wait_for(sub { $f->serving('web') !~ /^0:/ }, 'the new ones serve');
    my $r = $f->rollout($id);
    is($r->{targets}, $ALL, 'who enrolled after planning is not counted');
    $f->fleet_stop('b');
    like($f->sql("PROMOTE ROLLOUT $id"), qr/promoting/, 'on while ten are away');
    state_is($id, 'succeeded', 'those away hold nothing up');
    like($f->serving('web'), qr/6:(3[5-9]|4[0-9])/, 'the others have it');
    $f->fleet('b', count => $POP, label => 'tier=pop');
    serves("6:" . ($ALL + 5), 'those who were away catch up');
};

subtest 'gates, with their evidence' => sub {
    # Who is in a wave is drawn: of ten that fail, fewer than two are in it once in 200,000 runs.
    $f->fleet_stop('b');
    $f->fleet('b', count => $POP, label => 'tier=pop', args => ['--fail-share', 1, '--fail-cert', 'web', '--fail-generation', 7]);
    my $id = $f->begin("ROTATE CERT web WHERE label('tier') IN ('edge', 'pop') CANARY 80% FOR '1 h' THEN 100% ROLLBACK IF failed > 1 SAMPLE 2");
    state_is($id, 'rolled_back');
    serves("6:" . ($ALL + 5), 'everybody serves the previous generation');
    my $r = $f->rollout($id);
    like($r->{reason}, qr/failed/, "the reason: $r->{reason}");
    like($f->sql("SELECT evidence->>'failed', evidence->>'fired_gate' FROM sys.rollouts WHERE rollout_id = $id"), qr/^([2-9]|10)\|1$/, 'the evidence');
    like($f->sql("SELECT event FROM sys.rollout_events WHERE rollout_id = $id ORDER BY seq"), qr/planned\nwave_opened\n.*rolling_back\nrolled_back$/s, 'events in order');
    is(issues(), '', 'the issue is over when it is rolled back');
    cmp_ok($f->sql("SELECT count(*) FROM sys.rollout_nodes WHERE rollout_id = $id AND state IN ('failed', 'reverted')"), '>', 1, 'nodes say how it went');
    $f->fleet_stop('b');
    $f->fleet('b', count => $POP, label => 'tier=pop', args => ['--fail-share', 1, '--fail-cert', 'web', '--fail-generation', 8]);
    $id = $f->begin("ROTATE CERT web CANARY 80% FOR '1 h' THEN 100% PAUSE IF failed > 1 SAMPLE 2");
    state_is($id, 'paused');
    is(issues(), 'rollout_gate', 'an issue is raised');
    cmp_ok($f->sql("SELECT count(*) FROM sys.rollout_nodes WHERE rollout_id = $id AND state = 'failed' AND error <> ''"), '>', 1, 'nodes tell their error');
    is($f->sql("SELECT DISTINCT error_code FROM sys.rollout_nodes WHERE rollout_id = $id AND state = 'failed' AND error <> ''"), 'RELOAD',
        'its code has a name');
    like($f->sql("RESUME ROLLOUT $id REASON 'known'"), qr/running/, 'resumed in spite of it');
    state_is($id, 'baking', 'the gate is mute for this wave');
    is(issues(), '', 'the issue is cleared');
    like($f->sql("ROLLBACK ROLLOUT $id"), qr/rolling_back/, 'back');
    state_is($id, 'rolled_back');
    $f->fleet_stop('b');
    $f->fleet('b', count => $POP, label => 'tier=pop', args => ['--silent-share', 1]);
    $id = $f->begin("ROTATE CERT web CANARY 90% FOR '1 h' THEN 100% PAUSE IF silent > 1 SAMPLE 2");
    state_is($id, 'paused', 'silence is noticed too');
    like($f->rollout($id)->{reason}, qr/silent/, 'and said');
    $f->sql("CANCEL ROLLOUT $id");
    $f->fleet_stop('b');
    $f->fleet('b', count => $POP, label => 'tier=pop');
    serves("6:" . ($ALL + 5), 'all as before');
};

subtest 'limits: MANUAL, DEADLINE, RATE, windows, strategies' => sub {
    my $id = $f->begin("ROTATE CERT web CANARY 10% MANUAL");
    state_is($id, 'baking');
    is($f->sql("SELECT phase FROM sys.rollouts WHERE rollout_id = $id"), 'waiting for promotion', 'MANUAL waits for a person');
    $f->sql("CANCEL ROLLOUT $id");
    $id = $f->begin("ROTATE CERT web CANARY 20% FOR '1 h' THEN 100% DEADLINE '2 s'");
    state_is($id, 'expired', 'past its deadline it ends');
    serves("6:" . ($ALL + 5), 'and is taken back');
    my @plan = split /\n/, $f->sql("EXPLAIN ROTATE CERT web CANARY 50% FOR '1 min' THEN 100% FOR '1 min' RATE 8 PER MINUTE");
    cmp_ok(scalar(@plan), '>=', 5, 'RATE cuts waves: ' . @plan);
    is(scalar(grep { (split /\|/)[2] > 8 } @plan), 0, 'none above the rate');
    $f->sql("CREATE WINDOW w WITH (cron = '0 0 29 2 *', duration = '1 min')");
    is($f->sql("SELECT open FROM sys.windows"), 'f', 'a window that opens on leap days');
    $id = $f->begin("ROTATE CERT web IMMEDIATE DURING WINDOW w");
    state_is($id, 'waiting_window', 'the rollout waits for its window');
    $f->sql("DROP WINDOW w");
    $f->sql("CREATE WINDOW w WITH (cron = '* * * * *', duration = '1 min')");
    state_is($id, 'succeeded', 'and goes on when it is open');
    $f->sql("CREATE STRATEGY halves AS CANARY 50% FOR '0 s' THEN 100%");
    $id = $f->begin("ROTATE CERT web USING STRATEGY halves");
    state_is($id, 'succeeded');
    is($f->sql("SELECT waves, strategy FROM sys.rollouts WHERE rollout_id = $id"), '2|halves', 'by a strategy');
    $f->sql("ALTER CERT web SET (strategy = 'halves')");
    $id = $f->begin("ROTATE CERT web");
    state_is($id, 'succeeded');
    is($f->sql("SELECT waves, strategy FROM sys.rollouts WHERE rollout_id = $id"), '2|halves', "by the certificate's own");
    like($f->sql("SET canary_warn_nodes = 3; SET client_min_messages = error; ROTATE CERT web CANARY 50% FOR '1 h' THEN 100%"), qr/\|planned\|/, 'a large canary is allowed');
    my ($last) = $f->sql("SELECT max(rollout_id) FROM sys.rollouts");
    $f->sql("CANCEL ROLLOUT $last");
};

subtest 'config in waves: several keys, one rollout' => sub {
    $f->sql("SET CONFIG 'http/a' = 'old'");
    my @rows = split /\n/, $f->sql("BEGIN; SET CONFIG 'http/a' = 'new' CANARY 4 NODES FOR '1 h' THEN 100% REASON 'CHG-9'; SET CONFIG 'http/b' = 2; COMMIT");
    my ($id) = $rows[-1] =~ /^(\d+)\|/;
    like($rows[0], qr/^$id\|planned\|\|45\|2\|4$/, 'one id for both, no version before COMMIT');
    state_is($id, 'baking');
    is($f->sql("SELECT value, next_value FROM sys.config WHERE key = 'http/a'"), 'old|new', 'old and new value are shown');
    refused("SET CONFIG 'http/b' = 3", qr/rollout $id is running/, 'the keys are taken');
    is($f->rollout($id)->{done}, 4, 'the canary has both');
    $f->sql("ROLLBACK ROLLOUT $id");
    state_is($id, 'rolled_back');
    is($f->sql("SELECT key, value FROM sys.config WHERE key LIKE 'http/%'"), 'http/a|old', 'back to what was');
    $id = $f->begin("SET CONFIG 'http/a' = 'newer' CANARY 4 NODES FOR '0 s' THEN 100%");
    state_is($id, 'succeeded', 'and another one');
    is($f->sql("SELECT value FROM sys.config WHERE key = 'http/a'"), 'newer', 'has its value');
    $f->sql("SET CONFIG 'http/a' = 'plain'");
    is($f->sql("SELECT value FROM sys.config WHERE key = 'http/a'"), 'plain', 'a plain change afterwards works');
};

subtest 'nodes' => sub {
    my @id = split /\n/, $f->sql("SELECT node_id FROM sys.nodes ORDER BY node_id");
    $f->sql("ALTER NODE '$id[0]' DRAIN; ALTER NODE '$id[1]' CORDON REASON 'disk'; ALTER NODE '$id[2]' SET LABEL rack = 'r7'");
    is($f->sql("SELECT state FROM sys.nodes WHERE node_id = '$id[0]'"), 'drained', 'drained');
    is($f->sql("SELECT state FROM sys.nodes WHERE node_id = '$id[1]'"), 'cordoned', 'cordoned');
    is($f->sql("SELECT labels->>'rack' FROM sys.nodes WHERE node_id = '$id[2]'"), 'r7', 'labelled');
    is($f->sql("SELECT count(*) FROM sys.nodes WHERE labels->>'rack' = 'r7'"), 1, 'the label is found');
    $f->sql("ALTER NODES WHERE label('rack') = 'r7' RESET LABEL rack; ALTER NODE '$id[0]' UNCORDON; ALTER NODE '$id[1]' UNCORDON");
    is($f->sql("SELECT count(*) FROM sys.nodes WHERE state <> 'live' OR labels->>'rack' IS NOT NULL"), 0, 'and all of it undone');
    $f->sql("ALTER NODES WHERE label('tier') = 'pop' SET LABEL site = 'fra'");
    is($f->sql("SELECT count(*) FROM sys.nodes WHERE labels->>'site' = 'fra'"), 15, 'many at once');
    refused("ALTER NODES WHERE colour = 'red' DRAIN", qr/not an attribute of a node/, 'by attributes of nodes only');
    refused("ALTER NODE 'n-00' DRAIN", qr/does not exist/, 'an unknown node');
    my ($gone) = split /\n/, $f->sql("SELECT node_id FROM sys.nodes WHERE labels->>'tier' = 'pop' LIMIT 1");
    $f->sql("REVOKE NODE '$gone' REASON 'stolen'");
    is($f->sql("SELECT state FROM sys.nodes WHERE node_id = '$gone'"), 'revoked', 'revoked for good');
    $f->sql("DROP NODE '$gone'");
    is($f->sql("SELECT count(*) FROM sys.nodes WHERE node_id = '$gone'"), 0, 'and forgotten');
    refused("DROP NODE '$gone'", qr/does not exist/, 'once');
    is($f->sql("DROP NODE IF EXISTS '$gone'"), '', 'IF EXISTS');
};

ok($f->stop, 'the server stops');
done_testing;
