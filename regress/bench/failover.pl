#!/usr/bin/perl
# failover.pl - a ring of three under a write load; the leading server is killed (SIGKILL, all of it), again and again
#
# Counted is the time from the kill to the acknowledgement of the first change that was begun after it, at a member that lives
# (first), until every writer at those members has one (all), and the longest that one of their changes waited (stall).
# Environment: BENCH_KILLS (20), BENCH_WRITERS (6)
use strict;
use warnings;
use Bench;
use Ring;
use Time::HiRes qw(sleep time);

my $kills = env_int('BENCH_KILLS', 20);
my $writers = env_int('BENCH_WRITERS', 6);
my $where = machine();
my $r = Ring->new;
my (@first, @all, @stall, @elected);
my ($lost, $no) = (0, 0);

sub one {
    my ($n) = @_;
    $r->caught_up($_) for $r->all;
    my $l = $r->wait_leader;
    my @live = $r->others($l);
    my $load = $r->load(writers => $writers, at => \@live);
    $load->wait_acks(20 * $writers);
    sleep rand 0.1;
    my $at = $r->kill_server($l);
    until_true(30, 'a change at every writer', sub { my %w = map { $_->[0] => 1 } $load->acks($at); keys %w == $writers });
    $load->stop;
    my %end;
    for my $e (sort { $a->[3] <=> $b->[3] } $load->acks($at)) { $end{$e->[0]} //= $e->[3] / 1e6 - $at * 1e3 }
    my @ms = sort { $a <=> $b } values %end;
    my ($stall) = sort { $b <=> $a } map { ($_->[3] - $_->[2]) / 1e6 } grep { $_->[3] > $at * 1e9 } $load->events;
    push @first, $ms[0];
    push @all, $ms[-1];
    push @stall, $stall;
    my $c = $load->counts;
    $lost += $c->{lost};
    $no += $c->{no};
    say_err(sprintf 'kill %d of %s: first %.0f ms, all %.0f ms, stall %.0f ms, unknown %d, refused %d, stale %d', $n, $r->name($l),
        $ms[0], $ms[-1], $stall, @{$c}{qw(lost no stale)});
    if ($ENV{BENCH_VERBOSE}) { print STDERR $r->server($_)->log =~ s/^/$_: /mgr =~ s/.*\n(?=(?:.*\n){60})//r for @live }
    die "a read was stale\n" if $c->{stale};
    $r->server($l)->start;
}

one($_) for 1 .. $kills;
$_->stop for $r->servers;
# By nearest rank: with fewer than 100 kills p99 is the worst one.
sub rank { my ($p, @v) = @_; @v = sort { $a <=> $b } @v; return rounded($v[POSIX::ceil($p * @v / 100) - 1], 1) }
sub figures { return { p50_ms => rank(50, @_), p99_ms => rank(99, @_), max_ms => rank(100, @_) } }
finish({ bench => 'failover', machine => $where, kills => $kills, writers => $writers, first => figures(@first), all => figures(@all),
    stall => figures(@stall), unknown => $lost, refused => $no });
