#!/usr/bin/perl
# ring_vs_etcd.pl - a ring of three and etcd 3.4 of three, on the same machine in the same run, taking turns
#
# Environment: BENCH_SECONDS (each measurement; 6), BENCH_ROUNDS (2), BENCH_KILLS (of each leader; 50), BENCH_CLIENTS
# (unbatched; 1000), BENCH_READERS (100), BENCH_AGENTS (1000), BENCH_VALUE (bytes of padding; 64), BENCH_PARTS (of single,
# unbatched, reads, batched, direct, failover; all), BENCH_WEIGHT (as root, on a machine that does something else too: nice of
# every session of servers and loads, theirs and ours alike; 0). The full one: BENCH_SECONDS=60 BENCH_ROUNDS=5. A look: BENCH_KILLS=5.
# BENCH_BACK: seconds that a killed member has until all three are there again (300); after that, no more of them are killed.
#
# Single, unbatched and batched are registrations by agents over TLS (one row, one row, 100 rows at a time, each agent one
# request under way) against puts and transactions of 100 puts; ..._sql are changes of configuration through the SQL port.
# direct: the batched ones put straight into the three ring processes, without agents, TLS and gateways (ring_direct.c), beside
# etcd's batched ones.
# unbatched_N: the same clients, each with one row under way, at N agents, which send together what their clients say at the
# same time. etcd's clients share connections always (30; reads 3 and 30). Of several ways the better one is compared, on
# either side.
# etcd's figures are its better ones of two: clients at all members, and clients at the leader only. Its client
# (etcd_load.c) is gRPC written by hand over nghttp2; ours is reeve-bench ring, libpq. Both share the machine with the
# servers; what CPU they took is said.
use strict;
use warnings;
use Bench;
use Etcd;
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX ();
use Ring;
use Time::HiRes qw(sleep time clock_gettime CLOCK_MONOTONIC);

$SIG{$_} = sub { exit 1 } for qw(INT TERM);         # what was started is stopped
my $seconds = env_int('BENCH_SECONDS', 6);
my $rounds = env_int('BENCH_ROUNDS', 2);
my $kills = env_int('BENCH_KILLS', 50);
my $back = env_int('BENCH_BACK', 300);
my $clients = env_int('BENCH_CLIENTS', 1000);
my $readers = env_int('BENCH_READERS', 100);
my @hosts = (30, 125);          # agents that all clients share, as containers share a host
my @shared = (3, 30);            # connections that all readers share: both sides try both, the better one counts
my $agents = env_int('BENCH_AGENTS', 1000);
my $padding = env_int('BENCH_VALUE', 64);
my $weight = ($ENV{BENCH_WEIGHT} // 0) =~ /^(-?\d+)$/ ? $1 : 0;
my %part = map { $_ => 1 } split /[ ,]+/, $ENV{BENCH_PARTS} // 'single unbatched reads batched direct failover';
my $where = machine();
$ENV{REEVED} = "$ENV{REEVE_BUILD}/bin/reeved";      # ring_direct starts it
my $base = tempdir('reeve-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);

# Each server is a session of its own, etcd's too, as daemons are; the kernel shares CPU between sessions first.
sub weigh {
    my (@pids) = @_;
    return if !$weight;
    for my $pid (@pids) {
        open my $f, '>', "/proc/$pid/autogroup" or die "autogroup: $!";
        print $f $weight;
        close $f or die "autogroup: $!";
    }
}
sub reeve_start { my ($s) = @_; $s->start; weigh($s->pid) }

my $etcd = Etcd->new($base, \&weigh);
my $load;       # the load under way
END { local $?; kill 'KILL', $load if $load; undef $etcd }

# ---- what is measured, of each ----

my ($ring, $token);
my %got;        # {what}{figure} = [ one a round ]

# CPU of all servers by kind of process, in seconds; backends that have ended are not in it.
sub servers_cpu {
    my %sum = (etcd => 0);
    $sum{etcd} += Bench::cpu_of($_->{pid}) for $etcd->members;
    for my $s ($ring->servers) {
        my $one = kinds_cpu($s);
        $sum{$_} += $one->{$_} for keys %$one;
    }
    return \%sum;
}

# A load to its end; its object, with the cores that each kind of process took while it was measured and prepared.
sub load {
    my ($what, @cmd) = @_;
    my ($begin, $before) = (time, servers_cpu());
    my $pid = $load = spawn("$base/load", @cmd);
    my $last = $before;
    until (ended($pid)) {
        $last = servers_cpu();          # backends end with their clients
        sleep 0.25;
    }
    $load = undef;
    my $d = kinds_diff($before, $last);
    my ($line) = reverse split /\n/, ReeveServer::slurp("$base/load.out");
    my $o = eval { decode_json($line // '') } or die "$what: " . ReeveServer::slurp("$base/load.err");
    $o->{cores} = { map { $_ => rounded($d->{$_} / (time - $begin), 2) } grep { $d->{$_} > 0.05 } keys %$d };
    return $o;
}

sub note_figures {
    my ($name, $o, $kind) = @_;
    my $h = $o->{$kind} // {};
    my %f = (per_second => $o->{rows_per_second} && $kind ne 'reads' ? $o->{rows_per_second} : $h->{per_second},
        map { $_ => $h->{$_} } qw(p50_us p99_us p999_us));
    $f{load_cores} = $o->{load_cores};
    $f{"cores_$_"} = $o->{cores}{$_} for keys %{$o->{cores}};
    push @{$got{$name}{$_}}, $f{$_} // 0 for keys %f;
    say_err(sprintf '%-26s %9.0f/s  p50 %8.2f ms  p99 %8.2f ms  load %.2f cores; %s', $name, $f{per_second} // 0,
        ($f{p50_us} // 0) / 1000, ($f{p99_us} // 0) / 1000, $f{load_cores},
        join ', ', map { "$_ $o->{cores}{$_}" } sort keys %{$o->{cores}});
}

# Few keys: agents get all of them, and a thousand agents that first take ten thousand values each are another benchmark.
sub reeve_load {
    my ($name, $kind, @more) = @_;
    note_figures("reeve $name", load("reeve $name", 'reeve-bench', 'ring', '--json', '--duration', $seconds, '--keys', 100,
        '--value-size', $padding, @more), $kind);
}
sub connects { return map { ('--connect', $_->conninfo) } $ring->servers }

sub etcd_load {
    my ($name, $kind, @more) = @_;
    my %at = (all => [ $etcd->members ], leader => [ $etcd->leader ]);
    for my $which (sort keys %at) {
        note_figures("etcd $name $which", load("etcd $name", "$ENV{REEVE_BUILD}/regress/bench/etcd_load", '--duration', $seconds,
            '--keys', 10000, '--value-size', $padding, (map { ('--target', "127.0.0.1:$_->{port}") } @{$at{$which}}), @more), $kind);
    }
}

# Rows that hosts register through gateways, against transactions of as many puts.
sub reeve_agents {
    my ($name, $clients, $batch, $connections) = @_;
    my $o = load('registrations', 'reeve-bench', 'ring', '--json', '--agents', '127.0.0.1:' . ($ring->servers)[0]->agent_port,
        '--token-file', "$base/token", '--clients', $clients, '--batch', $batch, ($connections ? ('--connections', $connections) : ()), '--duration', $seconds, '--warmup', 2,
        '--seed', 1 + int rand 2000);
    note_figures("reeve $name", $o, 'batches');
}

# The same rows without what stands before the ring: the members' processes are ring_direct's for that time.
sub reeve_direct {
    $ring->stop or die "the servers do not stop\n";
    my $o = load('direct', "$ENV{REEVE_BUILD}/regress/bench/ring_direct", '--duration', $seconds, '--nodes', $agents,
        '--seed', 1 + int rand 2000, map { $_->dir } $ring->servers);
    $o->{rows_per_second} = $o->{rows_per_s};
    $o->{cores}{ring} = $o->{ring_cores};
    note_figures('reeve direct', $o, 'batches');
    reeve_start($_) for $ring->servers;
    $ring->by_role;
}

my @parts = (
    [ single => sub { reeve_load('single_sql', 'writes', connects(), '--clients', 1); reeve_agents('single', 1, 1) },
        sub { etcd_load('single', 'writes', '--clients', 1) } ],
    [ unbatched => sub { reeve_load('unbatched_sql', 'writes', connects(), '--clients', $clients); reeve_agents('unbatched', $agents, 1); reeve_agents("unbatched_$_", $agents, 1, $_) for @hosts },
        sub { etcd_load('unbatched', 'writes', '--clients', $clients) } ],
    [ reads => sub { reeve_load("reads_$_", 'reads', connects(), '--clients', $readers, '--reads', 100, '--connections', $_) for @shared },
        sub { etcd_load("reads_$_", 'reads', '--clients', $readers, '--reads', '--connections', $_) for @shared } ],
    [ batched => sub { reeve_agents('batched', $agents, 100) },
        sub { etcd_load('batched', 'writes', '--clients', 100, '--batch', 100) } ],
    [ direct => \&reeve_direct, sub { } ],
);

# ---- kill -9 of the leader under load: from the kill to the next acknowledged write ----

# Milliseconds; undef: none was acknowledged, up to the end of the load.
sub after_kill {
    my ($t_ns, $gaps, $last_ack_ns) = @_;
    return undef if $last_ack_ns < $t_ns + 1e9;
    my @ms = map { ($_->[1] - $t_ns) / 1e6 } grep { $_->[1] > $t_ns && $_->[0] < $t_ns + 200e6 } @$gaps;
    @ms = sort { $b <=> $a } @ms;
    return $ms[0] // 10;        # no pause of 10 ms or more
}

# Kills until one is not made good within its time: then the figures of those up to there, and why there are no more.
sub kill_them {
    my ($kill, $mend) = @_;
    my @t;
    for (1 .. $kills) {
        return (\@t, "before kill $_: $@") if !eval { push @t, $kill->(); 1 };
        sleep 3;
        return (\@t, "after kill $_: $@") if !eval { $mend->(); 1 };
        sleep 2;
    }
    return (\@t, '');
}

sub failovers {
    my ($name, $cmd, $kill, $mend) = @_;
    my $pid = $load = spawn("$base/failover", @$cmd);
    sleep 4;
    my ($t, $stopped) = kill_them($kill, $mend);
    my $end = now_ns();
    kill 'TERM', $pid;
    sleep 0.05 until ended($pid);
    $load = undef;
    my ($line) = reverse split /\n/, ReeveServer::slurp("$base/failover.out");
    my $o = eval { decode_json($line // '') } or $stopped .= 'the load said nothing: ' . ReeveServer::slurp("$base/failover.err");
    $got{"$name failover"} = failover_figures($name, [ map { $o ? after_kill($_, $o->{gaps}, $o->{last_ack_ns}) : undef } @$t ], [ map { ($end - $_) / 1e6 } @$t ], $stopped);
}

# A kill whose member did not come back in time counts as not recovered, whatever the other two did meanwhile, and so does one
# without a write after it. Each stands with the time that was waited, which is less than it took: the ratio is then "at least".
sub failover_figures {
    my ($name, $measured, $waited, $stopped) = @_;
    my @ms = @$measured;
    my $writes_again = $stopped =~ /^after kill/ ? $ms[-1] : undef;
    $ms[-1] = undef if $stopped =~ /^after kill/;
    my $lost = grep { !defined } @ms;
    @ms = map { $ms[$_] // $waited->[$_] } 0 .. $#ms;
    say_err("$name failover, ms: " . join(' ', map { int } @ms) . ($stopped ? "; ended $stopped" : ''));
    my @sorted = sort { $a <=> $b } @ms;
    # The nearest rank: of fewer than a hundred kills the 99th percentile is the worst one.
    my $rank = sub { @sorted ? rounded($sorted[POSIX::ceil($_[0] * @sorted) - 1], 1) : undef };
    my $f = { kills => scalar @ms, wanted => $kills, not_recovered => $lost, limit_ms => 1000 * $back,
        ms => [ map { rounded($_, 1) } @ms ], p50_ms => $rank->(0.5), p99_ms => $rank->(0.99) };
    chomp($f->{ended} = $stopped) if $stopped;
    $f->{writes_again_ms} = rounded($writes_again, 1) if defined $writes_again;
    return $f;
}

sub now_ns { return clock_gettime(CLOCK_MONOTONIC) * 1e9 }

sub reeve_failovers {
    my $dead;
    failovers('reeve', [ 'reeve-bench', 'ring', '--json', connects(), '--clients', 32, '--keys', 100, '--duration', 100000, '--warmup', 0 ],
        sub { ($dead) = $ring->by_role; my $t = now_ns(); $ring->kill_server($dead); return $t },
        sub { reeve_start($dead); $ring->by_role });
}
sub etcd_failovers {
    my $dead;
    failovers('etcd', [ "$ENV{REEVE_BUILD}/regress/bench/etcd_load", (map { ('--target', "127.0.0.1:$_->{port}") } $etcd->members),
        '--clients', 32, '--connections', 32, '--duration', 100000, '--warmup', 0 ],
        sub { $dead = $etcd->leader($back); my $t = now_ns(); $etcd->kill($dead); return $t },
        sub { $etcd->start($dead); $etcd->leader($back) });
}

# ---- the run ----

$etcd->start($_) for $etcd->members;
weigh($$);
my $per_member = int(($clients + $readers) / 3) + 50;
$ring = Ring->new(conf => "max_connections = $per_member\n");
weigh($_->pid) for $ring->servers;
$etcd->leader;
open my $f, '>', "$base/token" or die $!;
print $f (($ring->servers)[0]->psql('CREATE JOIN_TOKEN WITH (uses = 1000000)') =~ s/\|.*//sr), "\n";
close $f;
for my $round (1 .. $rounds) {
    for my $p (grep { $part{$_->[0]} } @parts) {
        my @turns = $round % 2 ? ($p->[1], $p->[2]) : ($p->[2], $p->[1]);
        $_->() for @turns;
    }
}
if ($part{failover} && $kills > 0) {
    reeve_failovers();
    etcd_failovers();
}

# ---- medians and ratios ----

my %o = (bench => 'ring-vs-etcd', machine => $where, seconds => $seconds, rounds => $rounds);
for my $name (sort keys %got) {
    my ($who, @what) = split ' ', $name;
    my $g = $got{$name};
    $o{$who}{join '_', @what} = $what[0] eq 'failover' ? $g : { map { $_ => rounded(median(@{$g->{$_}}), 2) } keys %$g };
}
sub best { my ($who, $what) = @_; my ($best) = sort { $b <=> $a } map { $o{$who}{$_}{per_second} // 0 } grep { /^\Q$what\E(?:_\d+)?(?:_all|_leader)?$/ } keys %{$o{$who}}; return $best }
for my $what (grep { $part{$_} } qw(batched unbatched reads)) {
    my $theirs = best(etcd => $what);
    $o{"ratio_$what"} = rounded(best(reeve => $what) / $theirs, 2) if $theirs;
}
$o{ratio_direct} = rounded($o{reeve}{direct}{per_second} / best(etcd => 'batched'), 2) if $part{direct} && $part{batched};
$o{ratio_unbatched_sql} = rounded($o{reeve}{unbatched_sql}{per_second} / best(etcd => "unbatched"), 2) if $part{unbatched};
$o{ratio_failover_p99} = rounded($o{etcd}{failover}{p99_ms} / $o{reeve}{failover}{p99_ms}, 2) if $o{reeve}{failover}{p99_ms} && $o{etcd}{failover}{p99_ms};
$o{machine}{load_after} = 0 + (split ' ', ReeveServer::slurp('/proc/loadavg'))[0];
$ring->stop;
finish(\%o);
