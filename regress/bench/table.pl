#!/usr/bin/perl
# table.pl - a table that grows to millions of registered rows: a ring of three and etcd of three, one after the other
#
# Environment: BENCH_MILLIONS (rows of the ring; 5), BENCH_ETCD_MILLIONS (keys of etcd; the same), BENCH_SECONDS (at least so
# long the ring is loaded, going on with changes of rows that are there; 0). Rows come from 1,000 agents over TLS, 100 a batch;
# etcd's keys from 100 clients in transactions of 100 puts, with values as long as a row. Said: rows a second while it grows,
# memory and disk of a member per million, and how long a follower takes to start again with all of it.
use strict;
use warnings;
use Bench;
use Etcd;
use File::Temp qw(tempdir);
use JSON::PP;
use ReeveServer;
use Ring;
use Time::HiRes qw(sleep time);

$SIG{$_} = sub { exit 1 } for qw(INT TERM);         # what was started is stopped
my $rows = 1e6 * env_int('BENCH_MILLIONS', 5);
my $keys = 1e6 * env_int('BENCH_ETCD_MILLIONS', $rows / 1e6);
my $seconds = env_int('BENCH_SECONDS', 0);
my $where = machine();
my $base = tempdir('reeve-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $VALUE_BYTES = 60;           # as much as a row of ours has beside its key
my $load;
END { local $?; kill 'KILL', $load if $load }

sub run_load {
    my (@cmd) = @_;
    $load = spawn("$base/load", @cmd);
    sleep 0.1 until ended($load);
    $load = undef;
    my ($line) = reverse split /\n/, ReeveServer::slurp("$base/load.out");
    return eval { decode_json($line // '') } // die "@cmd: " . ReeveServer::slurp("$base/load.err");
}

# Bytes of their own, and of files that are mapped (the kernel takes those back when it wants them).
sub memory {
    my ($anon, $file) = (0, 0);
    for my $pid (@_) {
        my $st = ReeveServer::slurp("/proc/$pid/status");
        $anon += 1024 * $1 if $st =~ /^RssAnon:\s+(\d+)/m;
        $file += 1024 * $1 if $st =~ /^RssFile:\s+(\d+)/m;
    }
    return ($anon, $file);
}
sub disk { my ($dir) = @_; return 1024 * (split ' ', `du -sk '$dir'`)[0] }
sub per_million { my ($bytes, $n) = @_; return rounded($bytes / $n, 1) }        # megabytes of a million = bytes of one

sub figures {
    my ($who, $n, $speeds, $dir, $restart, @pids) = @_;
    my ($anon, $file) = memory(@pids);
    my %f = (rows => $n, per_second => [ map { rounded($_, 0) } @$speeds ], memory_mb_per_million => per_million($anon, $n),
        mapped_mb_per_million => per_million($file, $n), disk_mb_per_million => per_million(disk($dir), $n));
    $f{restart_s} = rounded($restart->(), 2);
    say_err("$who: $n rows; a second " . join(' ', @{$f{per_second}}) . "; per million: memory $f{memory_mb_per_million} MB, mapped "
        . "$f{mapped_mb_per_million}, disk $f{disk_mb_per_million}; a start takes $f{restart_s} s");
    return \%f;
}

# ---- the ring ----

# The load went away with batches under way.
sub settled {
    my ($s) = @_;
    my ($n, $was);
    until (defined $n && defined $was && $n == $was) {
        ($was, $n) = ($n, eval { $s->psql('SELECT count(*) FROM sys.workloads') });     # not yet up to date: again
        sleep 0.5;
    }
    return $n;
}

sub ring_figures {
    my $ring = Ring->new(conf => "max_connections = 50\n");
    my ($first) = $ring->servers;
    open my $f, '>', "$base/token" or die $!;
    print $f ($first->psql('CREATE JOIN_TOKEN WITH (uses = 1000000)') =~ s/\|.*//sr), "\n";
    close $f;
    my ($n, $seed, $began, @speeds) = (0, 1, time);
    while ($n < $rows || time - $began < $seconds) {
        my $o = run_load('reeve-bench', 'ring', '--json', '--agents', '127.0.0.1:' . $first->agent_port, '--token-file', "$base/token",
            '--clients', 1000, '--batch', 100, '--duration', 10, '--warmup', 0, '--seed', $n < $rows ? $seed++ : 1);
        push @speeds, $o->{rows_per_second};
        $n = settled($first);
    }
    my ($leader, $other) = $ring->by_role;
    my $figures = figures('reeve', $n, \@speeds, "$other->{dir}", sub {
        $other->stop;
        my $from = time;
        $other->start;
        my $seen = $other->psql('SELECT count(*) FROM sys.workloads');
        die "$seen rows after a restart, not $n\n" if $seen != $n;
        return time - $from;
    }, $other->pid, $other->children);
    $ring->stop;
    return $figures;
}

# ---- etcd ----

sub etcd_figures {
    my $etcd = Etcd->new($base);
    $etcd->start($_) for $etcd->members;
    my $leader = $etcd->leader;
    my ($n, @speeds) = (0);
    for (my $seed = 1; $n < $keys; $seed++) {
        my $o = run_load("$ENV{REEVE_BUILD}/regress/bench/etcd_load", '--target', "127.0.0.1:$leader->{port}", '--clients', 100,
            '--batch', 100, '--seed', $seed, '--value-size', $VALUE_BYTES, '--duration', 10, '--warmup', 0);
        push @speeds, $o->{rows_per_second};
        my $count = `ETCDCTL_API=3 etcdctl --command-timeout=60s --endpoints=127.0.0.1:$leader->{port} get --prefix bench/ --keys-only --limit 1 -w json`;
        $n = decode_json($count)->{count};
    }
    my ($other) = grep { $_ != $leader } $etcd->members;
    return figures('etcd', $n, \@speeds, $other->{dir}, sub {
        $etcd->kill($other, 'TERM');
        my $from = time;
        $etcd->start($other);
        until_true(600, 'etcd is back', sub { my %s = $etcd->status($other); %s });
        return time - $from;
    }, $other->{pid});
}

my %o = (bench => 'table', machine => $where, reeve => ring_figures());
$o{etcd} = etcd_figures() if $keys > 0;
$o{machine}{load_after} = 0 + (split ' ', ReeveServer::slurp('/proc/loadavg'))[0];
finish(\%o);
