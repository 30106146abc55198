#!/usr/bin/perl
# attest_sim.pl - an update's way to finality on real delays, in virtual time (reeve-sim latency); the machine may be busy
#
# The delays are compiled in (regress/sim/data, regress/sim/delays): nothing outside the tree is read.
#
# Environment: BENCH_CHOICES of 33 of the 50 cities (5), BENCH_DRAWS of f crashed validators each (10), BENCH_FROM (1)
use strict;
use warnings;
use Bench;

my ($choices, $draws, $from) = (env_int('BENCH_CHOICES', 5) || 1, env_int('BENCH_DRAWS', 10), env_int('BENCH_FROM', 1));
my $where = machine();
my $sim = "$ENV{REEVE_BUILD}/bin/reeve-sim";
my $out = `$sim latency --choices $choices --draws $draws --from $from`;
die "reeve-sim latency failed\n" if $?;
my $o = JSON::PP->new->decode((split /\n/, $out)[-1]);
my $c = $o->{cities_33_of_50};
my %aim = (
    best_leader_under_550_ms => $c->{best_leader}{reeve}{worst_ms} < 550,
    best_leader_f_crashed_under_900_ms => $c->{best_leader_f_crashed}{reeve}{worst_ms} < 900 &&
        $c->{best_leader_f_nearest_crashed}{reeve}{worst_ms} < 900,
);
finish({ bench => 'attest-sim', machine => $where, %$o,
    aims => { map { $_ => $aim{$_} ? JSON::PP::true : JSON::PP::false } keys %aim },
    ratio_5_delays_worst => rounded($c->{best_leader}{model_5_delays}{worst_ms} / $c->{best_leader}{reeve}{worst_ms}, 2),
    ratio_5_delays_worst_of_every_leader => rounded($c->{every_leader}{model_5_delays}{worst_ms} / $c->{every_leader}{reeve}{worst_ms}, 2) });
