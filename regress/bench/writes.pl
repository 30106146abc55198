#!/usr/bin/perl
# writes.pl - durable changes (SET CONFIG) by 1, 10 and 100 clients at a time, closed loop: changes a second, p50, p99
#
# Environment: BENCH_SECONDS (about, each; 5), REEVE_BUILD: another build, to compare with
use strict;
use warnings;
use Bench;
use Time::HiRes qw(sleep time);

my $seconds = env_int('BENCH_SECONDS', 5);
my $where = machine();
my $s = server(conf => "max_connections = 150\n");
my $conn = sprintf 'host=127.0.0.1 port=%d user=%s dbname=reeve', $s->port, $s->{superuser};
$ENV{PGPASSWORD} = $ReeveServer::PASSWORD;

# So many clients, so many rounds each; seconds from the first start to the last end, and every latency.
sub crowd {
    my ($clients, $rounds) = @_;
    my $begin = time;
    my @pids = map { spawn("$s->{base}/w$_", "$ENV{REEVE_BUILD}/regress/bench/sql_latency", $conn, $rounds,
        "SET CONFIG 'bench.$_' = '%d'") } 1 .. $clients;
    for my $pid (@pids) { sleep 0.005 until ended($pid) }
    my $took = time - $begin;
    my @us = map { map { (split)[0] } split /\n/, ReeveServer::slurp("$s->{base}/w$_.out") } 1 .. $clients;
    die "a client failed: " . ReeveServer::slurp("$s->{base}/w1.err") if @us != $clients * $rounds;
    return ($took, @us);
}

my %o = (bench => 'writes', machine => $where);
crowd(1, 20);
for my $clients (1, 10, 100) {
    my ($trial, @first) = crowd($clients, 20);
    my $rounds = int($seconds * 20 / $trial) + 20;
    my ($took, @us) = crowd($clients, $rounds);
    $o{"clients_$clients"} = { n => scalar @us, per_second => int(@us / $took), p50_us => percentile(50, @us), p99_us => percentile(99, @us) };
    say_err(sprintf '%d clients: %d/s, p50 %d us, p99 %d us', $clients, @{$o{"clients_$clients"}}{qw(per_second p50_us p99_us)});
}
$s->stop;
finish(\%o);
