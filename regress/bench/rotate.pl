#!/usr/bin/perl
# rotate.pl - ROTATE ... IMMEDIATE with N agents connected: from COMMIT to the last verified install
#
# For a per-node certificate (each agent's own key, a request each) and for a
# shared one (the key sealed to each agent). COMMIT is when the client's
# ROTATE returned; what was installed before that counts as negative.
#
# Environment: BENCH_AGENTS (2000), BENCH_RUNS rotations of each kind (5)
use strict;
use warnings;
use Bench;

my ($n, $runs) = (env_int('BENCH_AGENTS', 2000), env_int('BENCH_RUNS', 5));
my $where = machine();
my %result;

sub times_of {
    my ($st, $cert, $gen) = @_;
    my ($t) = grep { $_->{cert} eq $cert && $_->{generation} == $gen } @{$st->{installs}};
    return $t && $t->{done} >= $n ? $t : undef;
}

sub one_kind {
    my ($kind) = @_;
    my $cert = "edge-$kind";
    my $s = server(region => 'eu');
    $s->psql("CREATE AUTHORITY edge_ca WITH (key_type = 'ecdsa-p256', ttl = '2 years')");
    my $mode = $kind eq 'shared' ? " WITH (shared = 'region')" : '';
    $s->psql("CREATE CERT '$cert' FROM AUTHORITY edge_ca SUBJECT 'CN=edge.example' SANS ('edge.example') VALID FOR '90 days'$mode");
    my $token = (split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = $n, ttl = '1 day')"))[0];
    my $fleet = spawn("$s->{base}/fleet", 'reeve-bench', 'fleet', '--server', "127.0.0.1:$s->{agent_port}", '--token', $token,
        '--count', $n, '--status', "$s->{base}/fleet.json", '--json');
    my @runs;
    for my $gen (1 .. $runs + 1) {
        my $before = kinds_cpu($s, fleet => $fleet);
        my ($rotate) = $gen > 1 ? sql_times($s, 1, "ROTATE CERT '$cert' IMMEDIATE") : ();
        my ($t, $st);
        until_true(300, "generation $gen everywhere", sub {
            die "the fleet ended\n" . ReeveServer::slurp("$s->{base}/fleet.err") if ended($fleet);
            $st = read_json("$s->{base}/fleet.json") or return 0;
            return $t = times_of($st, $cert, $gen);
        });
        if ($gen > 1) {
            my $cpu = kinds_diff($before, kinds_cpu($s, fleet => $fleet));
            push @runs, { cpu => $cpu, commit_ms => $rotate->{us} / 1000,
                map { $_ => $t->{"${_}_wall_ms"} - $rotate->{wall_ms} } qw(first p50 p99 last) };
            say_err(sprintf "%s, generation %d: COMMIT took %.0f ms; first %d, p50 %d, p99 %d, last %d ms after it; CPU us/agent: %s",
                $kind, $gen, @{$runs[-1]}{qw(commit_ms first p50 p99 last)},
                join(', ', map { sprintf '%s %.0f', $_, 1e6 * $cpu->{$_} / $n } sort keys %$cpu));
        }
        # What a rotation leaves (reports, the rollout's end) is no part of the next one.
        until_true(60, "the rollout's end", sub { $s->psql("SELECT count(*) FROM sys.rollouts WHERE state = 'succeeded'") >= $gen - 1 });
    }
    kill 'TERM', $fleet;
    until_true(30, 'the fleet ends', sub { ended($fleet) });
    $s->stop;
    my %o = map { my $k = $_; "${k}_ms" => rounded(median(map { $_->{$k} } @runs), 0) } qw(first p50 p99 last);
    $o{commit_ms} = rounded(median(map { $_->{commit_ms} } @runs), 1);
    $o{p99_worst_ms} = percentile(100, map { $_->{p99} } @runs);
    $o{cpu_us_per_agent} = { map { my $k = $_; $k => rounded(1e6 * median(map { $_->{cpu}{$k} // 0 } @runs) / $n, 0) } keys %{$runs[0]{cpu}} };
    return \%o;
}

$result{$_} = one_kind($_) for $ENV{BENCH_KIND} ? $ENV{BENCH_KIND} : ('per-node', 'shared');
finish({ bench => 'rotate', agents => $n, runs => $runs, machine => $where, %result });
