#!/usr/bin/perl
# regions.pl - one update from COMMIT in one region to the last agent in ten, real processes with the delays of real cities
#
# Ten regions of one server each, some with a validator; between them a relay with half the round trips of regress/sim/data. Every
# region has its share of the agents, each share one process. The update is an attested key of configuration, whose object all
# agents everywhere follow; it counts for an agent when it has verified a header that contains it.
#
# All of it runs on this machine's cores: servers, relay and agents. What the agents' verification alone takes is told besides.
#
# Environment: BENCH_AGENTS in all (2000), BENCH_RUNS (5), BENCH_VALIDATORS of the regions (4)
use strict;
use warnings;
use Bench;
use Distances;
use Federation;
use Time::HiRes qw(sleep time);

my ($agents, $runs, $validators) = (env_int('BENCH_AGENTS', 2000), env_int('BENCH_RUNS', 5), env_int('BENCH_VALIDATORS', 4));
my @cities = ('Washington', 'London', 'San Jose', 'Frankfurt', 'Tokyo', 'Singapore', 'Sao Paulo', 'Bangalore', 'Sydney', 'Johannesburg');
my %city = map { (lc($cities[$_]) =~ s/ /_/r => $cities[$_]) } 0 .. $#cities;
my @names = map { lc =~ s/ /_/gr } @cities;
my $each = int($agents / @names);
my $where = machine();

my $f = Federation->new(validators => [@names[0 .. $validators - 1]], followers => [@names[$validators .. $#names]],
    conf => "attest_submit_timeout = 60s\n");
my $d = Distances->new($f, \%city);
$d->start;
until_true(180, 'all are linked', sub { my $n = eval { $f->psql($names[-1], "SELECT count(*) FROM sys.regions WHERE state = 'ok'") } // 0; $n == @names });

my %fleet;
for my $n (@names) {
    my $s = $f->server($n);
    my $token = (split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = $each, ttl = '1 day')"))[0];
    $fleet{$n} = spawn("$s->{base}/fleet", 'reeve-bench', 'fleet', '--server', "127.0.0.1:$s->{agent_port}", '--token', $token,
        '--count', $each, '--status', "$s->{base}/fleet.json", '--json');
}
my %st;
sub status { my ($n) = @_; return $st{$n} = read_json("$f->{s}{$n}{base}/fleet.json") // $st{$n} }
until_true(600, 'all agents are connected', sub { !grep { !status($_) || $st{$_}{connected} < $each } @names });
say_err(sprintf '%d agents in %d regions are connected, %d validators', $each * @names, scalar @names, $validators);

sub reached { my ($n, $height) = @_; my ($h) = grep { $_->{height} == $height } @{status($n)->{heights}}; return $h && $h->{agents} >= $each ? $h->{last_wall_ms} : undef }
sub quiet { my ($was, $is) = (-1, 0); until_true(120, 'quiet', sub { sleep 1.5; $is = $f->height($names[0]); my $same = $is == $was; $was = $is; return $same && !grep { $f->height($_) < $is } @names }); return $is }

# Of all regions together; until the last agent had the update, so that what follows it (a wave, reports) is in there as far as it was faster.
sub cpu {
    my %sum;
    for my $n (@names) {
        my $c = kinds_cpu($f->server($n), fleet => $fleet{$n});
        $sum{$_} += $c->{$_} for keys %$c;
    }
    return \%sum;
}

my @runs;
for my $i (1 .. $runs) {
    my $top = quiet();
    my $before = cpu();
    my ($u) = sql_times($f->server($names[0]), 1, "SET CONFIG 'security/bench' = 'v$i'");
    my $height = $f->psql($names[0], "SELECT min(height) FROM sys.history WHERE height > $top");     # ticks have heights, too
    my %at;
    until_true(120, 'all agents have it', sub { $at{$_} //= reached($_, $height) for @names; return !grep { !defined $at{$_} } @names });
    my $used = kinds_diff($before, cpu());
    my @by = sort { $at{$a} <=> $at{$b} } @names;
    push @runs, { commit_ms => $u->{us} / 1000, last_ms => $at{$by[-1]} - $u->{wall_ms}, first_region_ms => $at{$by[0]} - $u->{wall_ms},
        (map { ("cpu_$_" => 1e6 * $used->{$_} / ($each * @names)) } qw(gateway fleet)), from_submit_ms => $at{$by[-1]} - $u->{wall_ms} + $u->{us} / 1000 };
    say_err(sprintf 'run %d: COMMIT in %s took %.0f ms; the last agent of %s %.0f ms after it, of %s, the last, %.0f ms; CPU us an agent: fleet %.0f, gateways %.0f', $i, $cities[0],
        @{$runs[-1]}{qw(commit_ms)}, $city{$by[0]}, $runs[-1]{first_region_ms}, $city{$by[-1]}, @{$runs[-1]}{qw(last_ms cpu_fleet cpu_gateway)});
}
kill 'TERM', values %fleet;
until_true(60, 'the fleets end', sub { !grep { !ended($_) } values %fleet });
$f->server($_)->stop for @names;
my %o = map { my $k = $_; $k => rounded(median(map { $_->{$k} } @runs), 0) } qw(commit_ms last_ms first_region_ms from_submit_ms cpu_fleet cpu_gateway);
finish({ bench => 'regions', agents => $each * @names, regions => \@cities, validators => $validators, runs => $runs, machine => $where,
    last_worst_ms => percentile(100, map { $_->{last_ms} } @runs), %o });
