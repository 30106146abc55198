#!/usr/bin/perl
# fanout.pl - one update to N connected agents: what it costs a gateway, and from that the last agent of a region
#
# The update is a change of the region's own object, which every agent follows and nobody acts upon; its bundle is padded to the
# size that it has with 34 signatures (bench-agent-verify prints that). Then: finality at the last validator (bench-attest-sim,
# worst submitter, best leader), the push to AGENTS agents of a region by SERVERS servers of CORES gateways and GBIT each, the
# way to the agent, its verification of 34 signatures.
#
# Environment: BENCH_AGENTS (8000), BENCH_RUNS (6), BENCH_PADS (6) objects more, BENCH_RAMP seconds over
# which they connect (a 400th of them), and for the sum BENCH_REGION_AGENTS (100000), BENCH_REGION_SERVERS (3),
# BENCH_REGION_CORES (8), BENCH_REGION_GBIT (10), BENCH_LAST_HOP_MS (20), BENCH_FINAL_MS, BENCH_VERIFY_MS (as in docs/figures.md)
use strict;
use warnings;
use Bench;

my ($n, $runs) = (env_int('BENCH_AGENTS', 8000), env_int('BENCH_RUNS', 6));
my %sum = (agents => env_int('BENCH_REGION_AGENTS', 100_000), servers => env_int('BENCH_REGION_SERVERS', 3),
    cores => env_int('BENCH_REGION_CORES', 8), gbit => env_int('BENCH_REGION_GBIT', 10), last_hop_ms => env_int('BENCH_LAST_HOP_MS', 20),
    final_ms => env_int('BENCH_FINAL_MS', 513), verify_ms => $ENV{BENCH_VERIFY_MS} // 3.2);
my $where = machine();
my $s = server(region => 'eu', conf => "gateways = 2\n");
my $token = (split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = $n, ttl = '1 day')"))[0];
# More objects that everybody follows, until the bundle is as long as with 34 signatures.
$s->psql("SET CONFIG 'security/pad$_' = 'x' REASON '" . 'x' x 300 . "'") for 1 .. env_int('BENCH_PADS', 6);
my $fleet = spawn("$s->{base}/fleet", 'reeve-bench', 'fleet', '--server', "127.0.0.1:$s->{agent_port}", '--token', $token,
    '--count', $n, '--ramp', env_int('BENCH_RAMP', int($n / 400)), '--status', "$s->{base}/fleet.json", '--json');
my $st;
sub status { return $st = read_json("$s->{base}/fleet.json") }
until_true(600, 'all connected', sub { status() && $st->{connected} == $n });

# Quiet: nothing on its way any more.
sub settled {
    my $before = -1;
    until_true(120, 'quiet', sub { Time::HiRes::sleep(1); status() or return 0; my $same = $st->{verified} == $before; $before = $st->{verified}; return $same });
}

# Bytes that the gateways wrote, sockets included.
sub written {
    my $sum = 0;
    for my $p ($s->children('gateway')) {
        ReeveServer::slurp("/proc/$p/io") =~ /^wchar: (\d+)/m and $sum += $1;
    }
    return $sum;
}

settled();
my ($idle, $t0) = (kinds_cpu($s, fleet => $fleet), Time::HiRes::time());
Time::HiRes::sleep(10);
my $idle_s = kinds_diff($idle, kinds_cpu($s, fleet => $fleet));
my $idle_for = Time::HiRes::time() - $t0;

my @runs;
for my $i (1 .. $runs) {
    settled();
    my $top = $s->psql('SELECT max(height) FROM sys.history');
    my ($before, $bytes, $began, $all) = (kinds_cpu($s, fleet => $fleet), written(), Time::HiRes::time());
    my ($u) = sql_times($s, 1, sprintf "ALTER REGION eu %s REASON '%s'", $i % 2 ? 'FREEZE' : 'UNFREEZE', 'y' x 700);
    my $height = $s->psql("SELECT min(height) FROM sys.history WHERE height > $top");      # ticks have heights, too
    until_true(120, 'all have it', sub { ($all) = grep { $_->{height} == $height && $_->{agents} >= $n } @{(status() // {})->{heights} // []}; return $all });
    my ($took, $cpu) = (Time::HiRes::time() - $began, kinds_diff($before, kinds_cpu($s, fleet => $fleet)));
    push @runs, { bytes => (written() - $bytes) / $n, last_ms => $all->{last_wall_ms} - $u->{wall_ms}, commit_ms => $u->{us} / 1000,
        map { $_ => 1e6 * ($cpu->{$_} - $idle_s->{$_} * $took / $idle_for) / $n } qw(gateway fleet) };
    say_err(sprintf 'run %d: %d bytes and %.1f us of a gateway an agent, %.0f us of the fleet; the last had verified it %.0f ms after COMMIT',
        $i, @{$runs[-1]}{qw(bytes gateway fleet last_ms)});
}
kill 'TERM', $fleet;
until_true(60, 'the fleet ends', sub { ended($fleet) });
$s->stop;

my %o = map { my $k = $_; $k => rounded(median(map { $_->{$k} } @runs), 1) } qw(bytes gateway fleet last_ms commit_ms);
my $each = $sum{agents} / $sum{servers};
$sum{cpu_ms} = rounded($o{gateway} * $each / $sum{cores} / 1000, 1);
$sum{wire_ms} = rounded($o{bytes} * 8 * $each / $sum{gbit} / 1e6, 1);
$sum{push_ms} = $sum{cpu_ms} > $sum{wire_ms} ? $sum{cpu_ms} : $sum{wire_ms};
$sum{last_agent_ms} = rounded($sum{final_ms} + $sum{push_ms} + $sum{last_hop_ms} + $sum{verify_ms}, 0);
finish({ bench => 'fanout', agents => $n, runs => $runs, machine => $where, bytes_per_agent => $o{bytes},
    gateway_us_per_agent => $o{gateway}, fleet_us_per_agent => $o{fleet}, last_ms => $o{last_ms}, commit_ms => $o{commit_ms}, region => \%sum });
