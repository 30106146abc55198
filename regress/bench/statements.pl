#!/usr/bin/perl
# statements.pl - one client, one statement after the other: a query, a durable change, an attested change; p50 and p99
#
# Environment: BENCH_ROUNDS (1000), BENCH_ATTESTED (200)
use strict;
use warnings;
use Bench;

my ($rounds, $attested) = (env_int('BENCH_ROUNDS', 1000), env_int('BENCH_ATTESTED', 200));
my $where = machine();
my $s = server(region => 'eu');

sub figures {
    my @us = map { $_->{us} } @_;
    return { n => scalar @us, p50_us => percentile(50, @us), p99_us => percentile(99, @us) };
}

my %o = (bench => 'statements', machine => $where);
$s->psql("CREATE AUTHORITY edge_ca WITH (key_type = 'ecdsa-p256', ttl = '2 years')");
$o{select_1} = figures(sql_times($s, $rounds, 'SELECT 1'));
$o{set_config} = figures(sql_times($s, $rounds, "SET CONFIG 'bench.key' = '%d'"));
$o{create_cert} = figures(sql_times($s, $attested, "CREATE CERT 'bench-%d' FROM AUTHORITY edge_ca SUBJECT 'CN=bench' SANS ('bench.example') VALID FOR '90 days'"));
$s->stop;

say_err(sprintf '%s: p50 %d us, p99 %d us', $_, @{$o{$_}}{qw(p50_us p99_us)}) for grep { ref $o{$_} && $o{$_}{n} } sort keys %o;
finish(\%o);
