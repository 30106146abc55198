#!/usr/bin/perl
# attest_sim.pl - an update's way to finality on real delays, in virtual time (reeve-sim latency); the machine may be busy
#
# The delays are compiled in (regress/sim/data, regress/sim/delays): nothing outside the tree is read. Each choice of cities is a
# process of its own, two at a time. Over the choices: the median of their medians, the worst of their worst.
#
# Environment: BENCH_CHOICES of 33 of the 50 cities (5), BENCH_DRAWS of f crashed validators each (10), BENCH_FROM (1)
use strict;
use warnings;
use Bench;

my ($choices, $draws, $from) = (env_int('BENCH_CHOICES', 5) || 1, env_int('BENCH_DRAWS', 10), env_int('BENCH_FROM', 1));
my $where = machine();
my $sim = "$ENV{REEVE_BUILD}/bin/reeve-sim latency --draws $draws";

# The JSON objects of some commands, two at a time, in their order.
sub objects {
    my @commands = @_;
    my @out;
    for (my $i = 0; $i < @commands; $i += 2) {
        my @pipes = map { open my $h, '-|', $commands[$_] or die "$commands[$_]: $!\n"; $h } $i .. ($i + 1 < @commands ? $i + 1 : $i);
        for my $h (@pipes) {
            local $/;
            my $text = <$h>;
            close $h or die "reeve-sim latency failed\n";
            push @out, JSON::PP->new->decode($text);
        }
    }
    return @out;
}

# Objects of one shape: numbers under the same keys become one.
sub merged {
    my ($name, @v) = @_;
    if (ref $v[0] eq 'HASH') {
        return { map { my $k = $_; $k => merged($k, map { $_->{$k} } @v) } keys %{$v[0]} };
    }
    my @n = grep { defined } @v or return undef;
    return $name eq 'median_ms' ? rounded(median(@n), 1) : percentile(100, @n) if $name =~ /_ms$/;
    my $sum = 0;
    $sum += $_ for @n;
    return $name =~ /^(?:updates|choices)$/ ? $sum : $n[0];
}

my @got = objects((map { "$sim --set cities --choices 1 --from " . ($from + $_) } 0 .. $choices - 1), "$sim --set cloud --from $from");
my $cloud = (pop @got)->{cloud_20};
my $c = merged('', map { $_->{cities_33_of_50} } @got);
my %aim = (
    best_leader_under_550_ms => $c->{best_leader}{reeve}{worst_ms} < 550,
    best_leader_f_crashed_under_900_ms => $c->{best_leader_f_crashed}{reeve}{worst_ms} < 900 &&
        $c->{best_leader_f_nearest_crashed}{reeve}{worst_ms} < 900,
);
finish({ bench => 'attest-sim', machine => $where, costs_us => $got[0]{costs_us}, from_seed => $from, cities_33_of_50 => $c, cloud_20 => $cloud,
    aims => { map { $_ => $aim{$_} ? JSON::PP::true : JSON::PP::false } keys %aim },
    ratio_5_delays_worst => rounded($c->{best_leader}{model_5_delays}{worst_ms} / $c->{best_leader}{reeve}{worst_ms}, 2),
    ratio_5_delays_worst_of_every_leader => rounded($c->{every_leader}{model_5_delays}{worst_ms} / $c->{every_leader}{reeve}{worst_ms}, 2) });
