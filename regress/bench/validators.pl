#!/usr/bin/perl
# validators.pl - security updates by sets of real validators on loopback: one client's latency, many clients' rate
#
# Each validator is a region of its own: postmaster, ring, validator, signer, federation, gateway. An update is CREATE CERT,
# decided by a quorum, applied by the region that asked. One client: at each region in turn, one update after the other. Many:
# closed loops, spread over all regions.
#
# Environment: BENCH_SETS (4,7), BENCH_ROUNDS of one client at each region (50), BENCH_CLIENTS in all (16), BENCH_SECONDS (10)
use strict;
use warnings;
use Bench;
use Federation;
use Time::HiRes qw(sleep time);

my ($rounds, $clients, $seconds) = (env_int('BENCH_ROUNDS', 50), env_int('BENCH_CLIENTS', 16), env_int('BENCH_SECONDS', 10));
my $where = machine();
$ENV{PGPASSWORD} = $ReeveServer::PASSWORD;

sub conn { my ($s) = @_; return sprintf 'host=127.0.0.1 port=%d user=%s dbname=reeve', $s->port, $s->{superuser} }
sub update { my ($tag) = @_; return "CREATE CERT '$tag-%d' FROM AUTHORITY edge_ca SUBJECT 'CN=bench' SANS ('bench.example') VALID FOR '90 days'" }

# Clients spread over the regions, so many rounds each: seconds from start to end, and every latency.
sub crowd {
    my ($f, $tag, $clients, $rounds) = @_;
    my @names = $f->names;
    my $begin = time;
    my @out;
    my @pids = map {
        my $s = $f->server($names[$_ % @names]);
        push @out, "$s->{base}/$tag-$_";
        spawn($out[-1], "$ENV{REEVE_BUILD}/regress/bench/sql_latency", conn($s), $rounds, update("$tag-$_"))
    } 0 .. $clients - 1;
    for my $pid (@pids) { sleep 0.005 until ended($pid) }
    my $took = time - $begin;
    my @us = map { map { (split)[0] } split /\n/, ReeveServer::slurp("$_.out") } @out;
    die "a client failed: " . join '', map { ReeveServer::slurp("$_.err") } @out if @us != $clients * $rounds;
    return ($took, @us);
}

sub cpu { my ($f) = @_; my %sum; for my $n ($f->names) { my $c = kinds_cpu($f->server($n)); $sum{$_} += $c->{$_} for keys %$c } return \%sum }

sub one_set {
    my ($n) = @_;
    my $f = Federation->new(validators => [map { "v$_" } 1 .. $n], conf => "attest_submit_timeout = 60s\nmax_connections = 60\n");
    $f->start;
    $f->psql('v1', "CREATE AUTHORITY edge_ca WITH (key_type = 'ecdsa-p256', ttl = '2 years')");
    $f->wait_authority('edge_ca') or die "the regions do not follow\n";
    my %o = (one_client => {});
    my %region;
    for my $name ($f->names) {
        my @us = map { $_->{us} } sql_times($f->server($name), $rounds, update("one-$name"));
        $region{$name} = { p50_us => percentile(50, @us), p99_us => percentile(99, @us) };
    }
    my @by = sort { $region{$a}{p50_us} <=> $region{$b}{p50_us} } keys %region;
    $o{one_client} = { fastest_region => $region{$by[0]}, slowest_region => $region{$by[-1]} };
    crowd($f, 'warm', $clients, 3);
    my ($trial) = crowd($f, 'trial', $clients, 10);
    my $each = int($seconds * 10 / $trial) + 5;
    my $before = cpu($f);
    my ($took, @us) = crowd($f, 'many', $clients, $each);
    my $used = kinds_diff($before, cpu($f));
    $o{many_clients} = { clients => $clients, n => scalar @us, per_second => rounded(@us / $took, 1), p50_us => percentile(50, @us), p99_us => percentile(99, @us) };
    $o{cpu_us_per_update} = { map { $_ => rounded(1e6 * $used->{$_} / @us, 0) } grep { $used->{$_} > 0 } keys %$used };
    $f->server($_)->stop for $f->names;
    say_err(sprintf '%d validators: one client p50 %d us (fastest region) to %d us; %d clients %.0f updates/s, p50 %d us, p99 %d us; CPU us an update: %s',
        $n, $region{$by[0]}{p50_us}, $region{$by[-1]}{p50_us}, $clients, @{$o{many_clients}}{qw(per_second p50_us p99_us)},
        join ', ', map { "$_ $o{cpu_us_per_update}{$_}" } sort keys %{$o{cpu_us_per_update}});
    return \%o;
}

my %o = map { ("validators_$_" => one_set($_)) } split /,/, $ENV{BENCH_SETS} // '4,7';
finish({ bench => 'validators', machine => $where, %o });
