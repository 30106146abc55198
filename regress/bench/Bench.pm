# Bench - what the benchmarks share: a server of their own, CPU and memory by process kind, medians, one JSON object last.
package Bench;
use strict;
use warnings;
use Exporter 'import';
use JSON::PP;
use POSIX ();
use ReeveServer;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(env_int kinds_cpu kinds_diff gateways_memory median percentile rounded spawn ended until_true
    read_json sql_file server machine finish say_err sql_times bench_dir);

sub env_int { my ($name, $default) = @_; return defined $ENV{$name} && $ENV{$name} =~ /^\d+$/ ? $ENV{$name} : $default }
sub say_err { print STDERR "# @_\n" }

# ---- processes ----

# A child with its output in a file; its pid.
sub spawn {
    my ($out, @cmd) = @_;
    my $pid = fork() // die "fork: $!";
    return $pid if $pid;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$out.out";
    open STDERR, '>', "$out.err";
    exec @cmd or POSIX::_exit(127);
}

my %status;
# True once the child has ended.
sub ended {
    my ($pid) = @_;
    return 1 if exists $status{$pid};
    return 0 if waitpid($pid, POSIX::WNOHANG()) == 0;
    $status{$pid} = $?;
    return 1;
}

sub until_true {
    my ($seconds, $what, $cond) = @_;
    my $end = time + $seconds;
    until ($cond->()) {
        die "not within $seconds s: $what\n" if time > $end;
        sleep 0.02;
    }
}

# CPU time of one process in seconds: the scheduler's own count, finer than the ticks of stat.
sub cpu_of {
    my ($pid) = @_;
    my $sum = 0;
    for my $f (glob "/proc/$pid/task/*/schedstat") {
        my ($ns) = split ' ', ReeveServer::slurp($f);
        $sum += $ns / 1e9 if defined $ns && length $ns;
    }
    return $sum;
}

sub title { ReeveServer::slurp("/proc/$_[0]/cmdline") =~ s/\0.*//sr }

# { kind => seconds of CPU } of a server's processes; backends count by what they did while they lived.
sub kinds_cpu {
    my ($s, %more) = @_;
    my %cpu = (postmaster => cpu_of($s->pid));
    for my $p ($s->children) {
        my ($kind) = title($p) =~ /^reeved: (\w+)/ or next;
        $cpu{$kind} += cpu_of($p);
    }
    $cpu{$_} = cpu_of($more{$_}) for keys %more;
    return \%cpu;
}

sub kinds_diff {
    my ($before, $after) = @_;
    return { map { $_ => ($after->{$_} // 0) - ($before->{$_} // 0) } keys %$after };
}

# Sums over the gateways in bytes: all resident pages (the store's shared ones too), and those of their own.
sub gateways_memory {
    my ($s) = @_;
    my ($rss, $anon) = (0, 0);
    for my $p ($s->children('gateway')) {
        my $st = ReeveServer::slurp("/proc/$p/status");
        $rss += 1024 * $1 if $st =~ /^VmRSS:\s+(\d+)/m;
        $anon += 1024 * $1 if $st =~ /^RssAnon:\s+(\d+)/m;
    }
    return ($rss, $anon);
}

# ---- numbers ----

sub percentile {
    my ($p, @v) = @_;
    @v = sort { $a <=> $b } @v;
    return @v ? $v[int($p * $#v / 100)] : undef;
}
sub median { my @v = sort { $a <=> $b } @_; return @v ? @v % 2 ? $v[$#v / 2] : ($v[@v / 2 - 1] + $v[@v / 2]) / 2 : undef }
sub rounded { my ($v, $digits) = @_; return defined $v ? 0 + sprintf("%.*f", $digits, $v) : undef }

sub read_json {
    my ($path) = @_;
    my $text = ReeveServer::slurp($path);
    return $text =~ /\{/ ? eval { decode_json($text) } : undef;
}

# Which machine and which commit: a figure without them says nothing.
sub machine {
    my ($model) = ReeveServer::slurp('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)$/m;
    my ($load) = split ' ', ReeveServer::slurp('/proc/loadavg');
    my $top = $ENV{REEVE_TOP} // '.';
    chomp(my $commit = `git -C '$top' rev-parse --short HEAD 2>/dev/null` || 'unknown');
    my $dirty = `git -C '$top' status --porcelain --untracked-files=no 2>/dev/null` ? '+changes' : '';
    return { cpu => $model // 'unknown', cores => 0 + `nproc`, load_before => 0 + $load, commit => "$commit$dirty" };
}

sub finish { my ($o) = @_; print JSON::PP->new->canonical->encode($o), "\n" }

# ---- a server ----

sub server {
    my (%o) = @_;
    my $s = ReeveServer->new(%o);
    $s->init;
    $s->start;
    return $s;
}

# sql_latency: each statement's latency in microseconds and the wall clock after it, rounds times.
sub sql_times {
    my ($s, $rounds, @statements) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my $conn = sprintf 'host=127.0.0.1 port=%d user=%s dbname=reeve', $s->port, $s->{superuser};
    my ($code, $out, $err) = $s->run("$ENV{REEVE_BUILD}/regress/bench/sql_latency", $conn, $rounds, @statements);
    die "sql_latency: $err" if $code;
    return map { my ($us, $ms) = split; { us => $us, wall_ms => $ms } } split /\n/, $out;
}

1;
