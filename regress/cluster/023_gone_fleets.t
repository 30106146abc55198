#!/usr/bin/perl
# 023_gone_fleets.t - a fleet that dies in the middle of a rollout: how long it holds a wave, and what is said
#
# A node that never heard of the change is waited for as long as the report
# timeout (2 s here), once per wave. One that was told and does not answer is
# silent after it: that is what the gate over `silent` stops.
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use RolloutFleet;

my $f = RolloutFleet->new;
my $N = 51;
$f->sql("CREATE AUTHORITY ca");
$f->sql("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
$f->fleet('a', count => $N);
ok($f->wait_for(sub { $f->serving('web') eq "1:$N" }, 'the first generation'), 'everybody serves the first generation');

sub events { $f->sql("SELECT event, detail FROM sys.rollout_events WHERE rollout_id = $_[0] ORDER BY seq") }

# The agents stand still when the wave opens, so that none of them hears of it, and die while it is open.
sub die_in_wave_1 {
    my ($statement) = @_;
    kill 'STOP', $f->{fleets}{a}{pid};
    my $id = $f->begin($statement);
    ok($f->wait_for(sub { $f->rollout($id)->{wave} == 1 }, 'wave 1'), "rollout $id: wave 1 is open");
    is($f->rollout($id)->{state}, 'running', 'and waits for its nodes');
    $f->fleet_stop('a', 'KILL');
    return $id;
}

subtest 'config: nobody was told' => sub {
    my $id = die_in_wave_1("SET CONFIG 'k' = 'new' CANARY 10 NODES FOR '0 s' THEN 50% FOR '0 s', 100%");
    ok($f->wait_state($id, 'succeeded', 60), 'each wave is left after the report timeout');
    my $r = $f->rollout($id);
    is($r->{done}, 0, 'nobody has it');
    like($r->{reason}, qr/^every wave is done; 0 of \d+ nodes of wave 3 answered/, "it says so: $r->{reason}");
    like(events($id), qr/^wave_opened\|wave 1 of 3 opened\nunanswered\|0 of 10 nodes of wave 1 answered, .*\nwave_opened\|wave 2 of 3 opened$/m,
        'and said so on the way');
    is($f->sql("SELECT count(*) FROM sys.rollout_waves WHERE rollout_id = $id AND started IS NOT NULL AND bake_until >= started"), 3,
        'each wave keeps when it was opened');
    $f->fleet('a', count => $N);
    ok($f->wait_for(sub { $f->rollout($id)->{done} == $N }, 'the fleet returns'), 'those who return catch up');
};

subtest 'a certificate: nobody was told' => sub {
    my $id = die_in_wave_1("ROTATE CERT web CANARY 10 NODES FOR '0 s' THEN 100%");
    ok($f->wait_state($id, 'succeeded', 60), 'each wave is left after the report timeout');
    is($f->rollout($id)->{done}, 0, 'nobody has it');
    $f->fleet('a', count => $N);
    ok($f->wait_for(sub { $f->serving('web') eq "2:$N" }, 'the fleet returns'), 'those who return catch up');
};

subtest 'a certificate: told, and gone' => sub {
    $f->fleet_stop('a');
    $f->fleet('a', count => $N, args => ['--silent-share', 1]);
    my $id = $f->begin("ROTATE CERT web CANARY 30 NODES FOR '0 s' THEN 100%");
    ok($f->wait_for(sub { $f->sql("SELECT nodes_told FROM sys.rollout_waves WHERE rollout_id = $id AND wave = 1") == 30 }, 'told'),
        'the canary was told');
    $f->fleet_stop('a', 'KILL');
    ok($f->wait_state($id, 'paused'), 'silence stops the rollout');
    # The gate fires as soon as enough are late; what was counted then is what is shown while it is paused.
    like($f->rollout($id)->{reason}, qr/^pause gate: silent > 20% \(\d+ of 30, /, 'by the built-in gate');
    is($f->sql("SELECT kind FROM sys.issues WHERE object = 'web'"), 'rollout_gate', 'and an issue says so');
    cmp_ok($f->sql("SELECT nodes_silent FROM sys.rollout_waves WHERE rollout_id = $id AND wave = 1"), '>', 6, 'the silent are counted');
    $f->sql("ROLLBACK ROLLOUT $id REASON 'the site is dark'");
    ok($f->wait_state($id, 'rolled_back'), 'nobody lives who would have to return');
    $f->fleet('a', count => $N);
    ok($f->wait_for(sub { $f->serving('web') eq "2:$N" }, 'the fleet returns'), 'those who return serve what stands');
};

ok($f->stop, 'the server stops');
done_testing;
