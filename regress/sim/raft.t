#!/usr/bin/perl
# raft.t - whole rings from seeds hold their invariants; the same seed gives the same run
#
#   SIM_SEEDS=300 SIM_FROM=1    how many, from which (make check-world: 10,000)
use strict;
use warnings;
use Test::More;

my $sim = ($ENV{REEVE_BUILD} || 'build') . '/bin/reeve-sim';
my $seeds = $ENV{SIM_SEEDS} || 300;
my $from = $ENV{SIM_FROM} || 1;
my $jobs = 2;

# Runs ARGS, returns exit status and output (a violation is short; a trace is not asked for here).
sub sim {
    my $out = qx{$sim @_ 2>&1};
    return ($? >> 8, $out);
}

# Shares seeds among processes; the first violation of each is told.
sub share {
    my ($first, $count, @args) = @_;
    my @kids;
    for my $j (0 .. $jobs - 1) {
        my $a = $first + int($count * $j / $jobs);
        my $b = $first + int($count * ($j + 1) / $jobs) - 1;
        next if $b < $a;
        open my $h, '-|', "$sim raft --seeds $a-$b --quiet @args 2>&1" or die "$sim: $!\n";
        push @kids, [ $h, "$a-$b" ];
    }
    my $good = 1;
    for my $k (@kids) {
        my ($h, $range) = @$k;
        local $/;
        my $out = <$h>;
        next if close $h;
        $good = 0;
        diag("seeds $range:\n" . substr($out, 0, 4000));
    }
    return $good;
}

ok(share($from, $seeds), "$seeds seeds from $from: no invariant is violated, every ring heals");
for my $n (1, 3, 5) {
    ok(share($from + 1_000_000, 20, "--members $n"), "20 rings of $n");
}

ok(share($from, 20, '--climb'), '20 rings whose snapshots take longer than the window lasts, under load: in step within a bound');

# Seeds that once found something: one a line, the reason behind it.
my $list = ($ENV{REEVE_TOP} || '.') . '/regress/sim/seeds';
open my $l, '<', $list or die "$list: $!\n";
while (<$l>) {
    next unless m{^(\d+)\s+(.*)$};
    my ($status, $out) = sim('raft', '--seed', $1, '--quiet');
    ok($status == 0, "seed $1: $2") or diag(substr($out, 0, 4000));
}
close $l;

for my $seed ($from + 7, $from + 8) {
    my @sum = map { (split ' ', qx{$sim raft --seed $seed --trace | cksum})[0] } 1 .. 2;
    is($sum[0], $sum[1], "seed $seed gives the same trace twice, byte for byte");
}
my ($quiet) = (sim('raft', '--seed', $from + 7))[1] =~ m{trace ([0-9a-f]{16})};
my ($loud) = (sim('raft', '--seed', $from + 7, '--trace'))[1] =~ m{trace ([0-9a-f]{16})\n\z};
is($loud, $quiet, 'printing the trace changes nothing in it');

my ($status, $out) = sim('raft', '--seed', $from);
is((split /\n/, $out)[0], "seed $from", 'the seed is printed first');
($status, $out) = sim('raft', '--seed', 1, '--broken', 1);
is($status, 2, 'the engines that are shipped have no broken rules');
done_testing();
