#!/usr/bin/perl
# agents.pl - N agents connect, enrol and register: agents per second, server CPU by process kind, memory in the gateways
#
# Environment: BENCH_AGENTS (2000), BENCH_RUNS (5), BENCH_WORKLOADS per agent (1)
use strict;
use warnings;
use Bench;
use Time::HiRes qw(time);

my ($n, $runs, $workloads) = (env_int('BENCH_AGENTS', 2000), env_int('BENCH_RUNS', 5), env_int('BENCH_WORKLOADS', 1));
my $where = machine();
my $settle = env_int('BENCH_SETTLE', 3);
my @runs;

sub one_run {
    my $s = server(region => 'eu');
    $s->psql("CREATE AUTHORITY edge_ca WITH (key_type = 'ecdsa-p256', ttl = '2 years')");
    $s->psql("CREATE CERT 'edge-tls' FROM AUTHORITY edge_ca SUBJECT 'CN=edge.example' SANS ('edge.example') VALID FOR '90 days'")
        if !$ENV{BENCH_NO_CERT};
    my $token = (split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = $n, ttl = '1 day')"))[0];
    my ($rss, $anon) = gateways_memory($s);
    my $before = kinds_cpu($s);
    my $t0 = time;
    my $fleet = spawn("$s->{base}/fleet", 'reeve-bench', 'fleet', '--server', "127.0.0.1:$s->{agent_port}", '--token', $token,
        '--count', $n, '--workloads', $workloads, '--status', "$s->{base}/fleet.json", '--json');
    my ($st, %at);
    until_true(300, 'all agents there', sub {
        $st = read_json("$s->{base}/fleet.json") or return 0;
        my $now = time;
        $at{connected} //= $st->{all_connected_s} if $st->{all_connected_s} > 0;
        my $served = 0;
        $served += $_->{agents} for grep { $_->{generation} >= 1 } @{$st->{generations}};
        $at{served} //= $now - $t0 if $served >= $n || $ENV{BENCH_NO_CERT};
        $at{registered} //= $now - $t0 if $st->{workloads} >= $n * $workloads;
        die "the fleet ended\n" . ReeveServer::slurp("$s->{base}/fleet.err") if ended($fleet);
        return $at{connected} && $at{served} && $at{registered};
    });
    my $cpu = kinds_diff($before, kinds_cpu($s, fleet => $fleet));
    sleep $settle;               # memory of agents that are there, not of their coming
    my ($rss2, $anon2) = gateways_memory($s);
    kill 'TERM', $fleet;
    until_true(30, 'the fleet ends', sub { ended($fleet) });
    my $idle = () = $s->log =~ /IDLE/g;
    my $warnings = ReeveServer::slurp("$s->{base}/fleet.err");
    say_err("the fleet said: $_") for (split /\n/, $warnings)[0 .. 4] ? grep { defined } (split /\n/, $warnings)[0 .. 4] : ();
    if ($ENV{BENCH_KEEP}) { system('cp', '-a', $s->{base}, "$ENV{BENCH_KEEP}/") }
    $s->stop;
    my $all = $at{connected} > $at{registered} ? $at{connected} : $at{registered};
    my $server_cpu = 0;
    $server_cpu += $cpu->{$_} for grep { $_ ne 'fleet' } keys %$cpu;
    return { connected_s => $at{connected}, registered_s => $at{registered}, certificate_s => $at{served}, agents_per_s => $n / $all,
        cpu => $cpu, server_cpu_us => 1e6 * $server_cpu / $n, fleet_cpu_us => 1e6 * $cpu->{fleet} / $n,
        rss_kb => ($rss2 - $rss) / 1024 / $n, anon_kb => ($anon2 - $anon) / 1024 / $n, verified => $st->{verified} / $n,
        connects => $st->{connects}, losses => $st->{losses}, idle => $idle };
}

for my $i (1 .. $runs) {
    my $r = one_run();
    push @runs, $r;
    say_err(sprintf "run %d: connected %.2f s, registered %.2f s, certificate %.2f s; server CPU %.0f us/agent (%s), fleet %.0f us; %.1f KB/agent (%.1f own); %.1f verified; %d connects, %d losses",
        $i, @$r{qw(connected_s registered_s certificate_s server_cpu_us)},
        join(', ', map { sprintf '%s %.0f', $_, 1e6 * $r->{cpu}{$_} / $n } grep { $_ ne 'fleet' } sort keys %{$r->{cpu}}),
        @$r{qw(fleet_cpu_us rss_kb anon_kb verified connects losses)});
}

sub med { my ($k, $d) = @_; return rounded(median(map { $_->{$k} } @runs), $d) }
my %kinds = map { $_ => 1 } map { keys %{$_->{cpu}} } @runs;
finish({ bench => 'agents', agents => $n, runs => scalar @runs, workloads_per_agent => $workloads, machine => $where,
    agents_per_s => med('agents_per_s', 1), connected_s => med('connected_s', 2), registered_s => med('registered_s', 2),
    certificate_s => med('certificate_s', 2), server_cpu_us_per_agent => med('server_cpu_us', 0),
    fleet_cpu_us_per_agent => med('fleet_cpu_us', 0),
    cpu_us_per_agent => { map { my $k = $_; $k => rounded(1e6 * median(map { $_->{cpu}{$k} // 0 } @runs) / $n, 0) } keys %kinds },
    gateway_kb_per_agent => med('rss_kb', 1), gateway_own_kb_per_agent => med('anon_kb', 1),
    verified_per_agent => med('verified', 1), connects => med('connects', 0), losses => med('losses', 0) });
