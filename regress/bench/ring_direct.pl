#!/usr/bin/perl
# ring_direct.pl - registrations straight into the ring processes of three members, without agents, TLS and gateways
#
# Environment: BENCH_SECONDS (each round; 10), BENCH_ROUNDS (3), BENCH_UNDER_WAY (commands at each member; 64),
# BENCH_BATCH (rows a command; 100, which is what an agent sends at once: gateways put those of several into one, up to 1000),
# BENCH_ROWS (of a node: then it changes them; 0: always new ones). The ring is made by servers as everywhere, then they are
# stopped, and ring_direct starts their members' processes. At the end the servers run again and count the rows.
use strict;
use warnings;
use Bench;
use File::Temp qw(tempdir);
use JSON::PP;
use Ring;
use Time::HiRes qw(sleep);

$SIG{$_} = sub { exit 1 } for qw(INT TERM);         # what was started is stopped
my $seconds = env_int('BENCH_SECONDS', 10);
my $rounds = env_int('BENCH_ROUNDS', 3);
my $under_way = env_int('BENCH_UNDER_WAY', 64);
my $batch = env_int('BENCH_BATCH', 100);
my $rows = env_int('BENCH_ROWS', 0);
my $where = machine();
$ENV{REEVED} = "$ENV{REEVE_BUILD}/bin/reeved";
my $base = tempdir('reeve-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $load;
END { local $?; kill 'KILL', $load if $load }

my $ring = Ring->new;
$ring->stop or die "the servers do not stop\n";
my (@got, $total);
for my $round (1 .. $rounds) {
    $load = spawn("$base/load", "$ENV{REEVE_BUILD}/regress/bench/ring_direct", '--duration', $seconds, '--under-way', $under_way,
        '--batch', $batch, '--rows', $rows, '--seed', $round, map { $_->dir } $ring->servers);
    sleep 0.1 until ended($load);
    $load = undef;
    my ($line) = reverse split /\n/, ReeveServer::slurp("$base/load.out");
    my $o = eval { decode_json($line // '') } or die ReeveServer::slurp("$base/load.err");
    say_err(sprintf '%d: %.0f rows/s  p50 %.1f ms  p99 %.1f ms  p99.9 %.1f ms; rings %.2f cores, load %.2f; %d again, %d refused', $round,
        @$o{qw(rows_per_s p50_ms p99_ms p999_ms ring_cores load_cores again refused)});
    push @got, $o;
    $total += $o->{rows_total};
}
# Every row that was acknowledged, and none else.
$_->start for $ring->servers;
my $count;
until_true(600, 'the rows are counted', sub { defined($count = eval { $ring->server(0)->psql('SELECT count(*) FROM sys.workloads') }) });
die "$count rows in the table, $total acknowledged\n" if $rows == 0 && $count != $total;
my %o = (bench => 'ring-direct', machine => $where, seconds => 0 + $seconds, rounds => $rounds, table_rows => 0 + $count,
    map({ $_ => $got[0]{$_} } qw(members nodes batch under_way)), rows => $rows,
    map { my $k = $_; ($k => rounded(median(map { $_->{$k} } @got), 2)) } qw(rows_per_s p50_ms p99_ms p999_ms ring_cores load_cores again refused));
$o{machine}{load_after} = 0 + (split ' ', ReeveServer::slurp('/proc/loadavg'))[0];
$ring->stop;
finish(\%o);
