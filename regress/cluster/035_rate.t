# RATE with a live fleet: whatever stretch of time is looked at, no more nodes change than the rate allows.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use RolloutFleet;

my ($count, $rate, $bake) = (40, 480, 1);               # 480 a minute are 8 in a bake of one second
my $slice = $rate * $bake / 60;
my $f = RolloutFleet->new;
$f->sql("CREATE AUTHORITY ca");
$f->sql("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
$f->fleet('a', count => $count);
ok($f->wait_for(sub { $f->serving('web') eq "1:$count" }, 'generation 1'), "$count agents serve generation 1");

my $waves = int($count / $slice);
my $plan = $f->sql("EXPLAIN ROTATE CERT web CANARY 20% FOR '$bake s' THEN 100% FOR '$bake s' RATE $rate PER MINUTE");
is(scalar(grep { (split /\|/)[2] > $slice } split /\n/, $plan), 0, "no wave of the plan has more than $slice nodes") or diag($plan);
my $began = time;
my $id = $f->begin("ROTATE CERT web CANARY 20% FOR '$bake s' THEN 100% FOR '$bake s' RATE $rate PER MINUTE");

# Each look is bracketed: what it saw was so at some moment between.
my @seen;
while (time - $began < 120) {
    my $before = time;
    my $r = $f->rollout($id);
    my ($n) = $f->serving('web') =~ /\b2:(\d+)/;
    push @seen, [$before, time, $n // 0];
    last if $r->{state} eq 'succeeded';
    sleep 0.1;
}
my $took = time - $began;
is($f->rollout($id)->{state}, 'succeeded', sprintf('it succeeds, after %.1f s', $took));
is($f->serving('web'), "2:$count", 'all have changed');
cmp_ok($f->rollout($id)->{waves}, '>=', $waves, "in $waves waves and more");
cmp_ok($took, '>=', ($waves - 1) * $bake, 'not faster than the rate lets it');
# A stretch of t seconds sees at most t / bake + 1 waves, and one more whose nodes were late to say so.
my ($worst, @at) = (0);
for my $i (0 .. $#seen) {
    for my $j ($i + 1 .. $#seen) {
        my $over = ($seen[$j][2] - $seen[$i][2]) - $slice * (($seen[$j][1] - $seen[$i][0]) / $bake + 2);
        ($worst, @at) = ($over, $i, $j) if $over > $worst;
    }
}
is($worst, 0, 'in no stretch of time do more nodes change than its length allows, and two waves')
    or diag(sprintf('%d nodes too many between %.2f and %.2f s', $worst, map { $_->[0] - $began } @seen[@at]));
my %steps = map { $_->[2] => 1 } @seen;
cmp_ok(scalar(keys %steps), '>=', $waves - 1, 'it went step by step: ' . join ' ', sort { $a <=> $b } keys %steps);
$f->fleet_stop('a');
$f->stop;
done_testing();
