#!/usr/bin/perl
# elections.pl - a ring of three under a write load on a machine without a free core: how many elections that nobody needed
#
# Nothing is stopped, cut or killed: each term above the one at the beginning is one too many. A leader that is itself given
# no core for an election timeout is replaced rightly and counted all the same.
# Environment: BENCH_SECONDS (200), BENCH_WRITERS (6), BENCH_BUSY (2: loops that compute and never wait), BENCH_STALLS (0; 1: every
# other second or so a follower, or all three members together, stand still for 100 to 600 ms, SIGSTOP: what a want of cores does seldom)
use strict;
use warnings;
use Bench;
use Ring;
use Time::HiRes qw(sleep time);

my $seconds = env_int('BENCH_SECONDS', 200);
my $busy = env_int('BENCH_BUSY', 2);
my $writers = env_int('BENCH_WRITERS', 6);
my $where = machine();
my $r = Ring->new(conf => $ENV{BENCH_VERBOSE} ? "log_level = debug\n" : '');

sub term { return $r->somewhere('its term', 'SELECT term FROM sys.ring_members ORDER BY term DESC LIMIT 1') + 0 }
sub loadavg { return (split ' ', ReeveServer::slurp('/proc/loadavg'))[0] }

# A follower, or all of them, in turn; never the leader alone, which would be replaced rightly.
sub stall {
    my ($turn) = @_;
    my $l = $r->leader // return 0;
    my @at = $turn % 2 ? $r->all : ($r->others($l))[rand 2];
    my @pids = map { my $s = $r->server($_); ($s->pid, $s->children) } @at;
    kill 'STOP', @pids;
    sleep 0.1 + rand 0.5;
    kill 'CONT', @pids;
    return 1;
}

my @busy = map { my $pid = fork() // die "fork: $!"; if (!$pid) { 1 while 1 } $pid } 1 .. $busy;
END { local $?; kill 'KILL', $_ for @busy }
my $load = $r->load(writers => $writers);
$load->wait_acks(20 * $writers);
my ($was, $end, @avg) = (term(), time + $seconds);
my $since = Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
my ($turn, $stalls, $next) = (0, 0, time + 10);
srand 4711;
until (time > $end) {
    if ($ENV{BENCH_STALLS}) { $stalls += stall($turn++) }
    sleep 0.5;
    next if time < $next;
    push @avg, loadavg();
    $next += 10;
}
my $terms = term() - $was;
$load->stop;
kill 'KILL', $_ for @busy;
waitpid $_, 0 for @busy;
@busy = ();
my $c = $load->counts;
my ($stall) = sort { $b <=> $a } map { ($_->[3] - $_->[2]) / 1e6 } grep { $_->[2] > $since * 1e9 } $load->events;
say_err("$terms elections in $seconds s, $stalls stalls, $c->{ack} changes, longest wait " . rounded($stall, 0) . ' ms, load ' . join(' ', @avg));
if ($ENV{BENCH_VERBOSE}) { print STDERR map { my $n = $r->name($_); map { "$n: $_\n" } grep { /ring: / } split /\n/, $r->server($_)->log } $r->all }
$_->stop for $r->servers;
finish({ bench => 'elections', machine => $where, seconds => $seconds, busy => $busy, writers => $writers, stalls => $stalls, elections => $terms,
    changes => $c->{ack}, unknown => $c->{lost}, refused => $c->{no}, longest_wait_ms => rounded($stall, 0),
    load => [median(@avg), (sort { $b <=> $a } @avg)[0]] });
