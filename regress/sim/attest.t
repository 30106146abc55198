#!/usr/bin/perl
# attest.t - validator sets from seeds hold their invariants and get their work done; the same seed gives the same run
#
#   SIM_SEEDS=300 SIM_FROM=1    how many, from which (make check-world: 10,000)
use strict;
use warnings;
use JSON::PP;
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
        open my $h, '-|', "$sim attest --seeds $a-$b --quiet @args 2>&1" or die "$sim: $!\n";
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

ok(share($from, $seeds), "$seeds seeds from $from: no invariant is violated, everything submitted becomes final");
ok(share($from, int($seeds / 5) || 1, '--over'), 'more than f faulty: every fork is proven against 2q - n, and nobody honest');
my $forks = () = (sim('attest', '--seeds', '1-30', '--over'))[1] =~ m{, [1-9]\d* forks}g;
cmp_ok($forks, '>', 2, "of thirty such runs $forks fork");
ok(share($from + 1_000_000, 2, '--validators 50'), 'two sets of 50');
ok(share($from + 1_000_000, 4, '--validators 4 --real'), 'four sets of 4 with real signatures');

# Seeds that once found something: one a line, the reason behind it.
my $list = ($ENV{REEVE_TOP} || '.') . '/regress/sim/attest-seeds';
open my $l, '<', $list or die "$list: $!\n";
while (<$l>) {
    next unless m{^(\d+)\s+(.*)$};
    my ($status, $out) = sim('attest', '--seed', $1, '--quiet');
    ok($status == 0, "seed $1: $2") or diag(substr($out, 0, 4000));
}
close $l;

for my $seed ($from + 7, $from + 8) {
    my @sum = map { (split ' ', qx{$sim attest --seed $seed --trace | cksum})[0] } 1 .. 2;
    is($sum[0], $sum[1], "seed $seed gives the same trace twice, byte for byte");
}
my ($quiet) = (sim('attest', '--seed', $from + 7))[1] =~ m{trace ([0-9a-f]{16})};
my ($loud) = (sim('attest', '--seed', $from + 7, '--trace'))[1] =~ m{trace ([0-9a-f]{16})\n\z};
is($loud, $quiet, 'printing the trace changes nothing in it');

# A minute of its own: only where long runs are wanted.
if ($seeds >= 1000) {
    my $json = qx{$sim latency --choices 1 --draws 5 --set cities 2>/dev/null};
    my $bad = $?;
    my $c = eval { JSON::PP->new->decode($json)->{cities_33_of_50} } // {};
    is($bad, 0, '33 of 50 cities: every update becomes final under every leader');
    cmp_ok($c->{best_leader}{reeve}{worst_ms} // 1e9, '<', 550, 'within 550 ms of its submission with the best one');
    cmp_ok($c->{best_leader_f_crashed}{reeve}{worst_ms} // 1e9, '<', 900, 'and within 900 ms with a third crashed');
    cmp_ok($c->{simulation_beside_its_model_ms} // 1e9, '<', 40, 'as sums of delays say');
}

my ($status, $out) = sim('attest', '--seed', $from);
is((split /\n/, $out)[0], "seed $from", 'the seed is printed first');
($status, $out) = sim('attest', '--seed', 1, '--broken', 1);
is($status, 2, 'the engine that is shipped has no broken rules');
done_testing();
