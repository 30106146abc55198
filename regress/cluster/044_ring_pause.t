# The leading server of three stands still for ten seconds (SIGSTOP of all its processes) under a write load: the others go on
# within an election, and when it wakes it leads nobody, answers nothing old, and has what it missed.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use lib 'regress/lib';
use Ring;

my $PAUSE = 10;
my $r = Ring->new;
my $l = $r->wait_leader;
my @live = $r->others($l);
my $was = $r->server($l);
my $load = $r->load(writers => 6, at => [@live, $l]);         # two of six speak to the one that will stand still
ok($load->wait_all, 'a load at all three');

my @all = ($was->pid, $was->children);
my $since = Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
my $began = time;
kill 'STOP', @all;
ok($was->wait_for(sub { my %w = map { $_->[0] => 1 } $load->acks($since); keys %w >= 4 }, 'changes at the others'),
    'the others go on');
my ($first) = sort { $a <=> $b } map { $_->[3] / 1e9 - $since } $load->acks($since);
cmp_ok($first, '<', 5, sprintf '... after %.0f ms', $first * 1000);
my $new;        # one of the two may not have heard of it yet
ok($was->wait_for(sub { defined($new = $r->leader(@live)) && $new != $l }, 'another leader'), 'another one leads') or BAIL_OUT('nobody leads');
ok(eval { $r->server($_)->psql("SET CONFIG 'pause.$_' = 'done'"); 1 }, 'member ' . ($_ + 1) . ' takes changes') or diag($@) for @live;
sleep 0.1 while time - $began < $PAUSE;
$r->server($new)->psql("SET CONFIG 'pause' = 'over'");
kill 'CONT', @all;

# The first answer it gives, whatever it believes of itself: what was acknowledged elsewhere, or an error.
my $seen;
ok($was->wait_for(sub { $seen = eval { $was->psql("SELECT value FROM sys.config WHERE key = 'pause'") }; defined $seen }, 'an answer'),
    'awake it answers');
is($seen, 'over', '... with what it slept through');
isnt($r->wait_leader(@live), $l, '... and leads nobody');
ok($load->wait_all, 'all writers go on, also those that waited for it');
$load->stop;
ok($r->caught_up($_), 'member ' . ($_ + 1) . ' has everything') for $r->all;
$load->verify($_) for $r->all;
my %n = %{$load->counts};
is($n{stale}, 0, "no stale read ($n{ack} changes, $n{lost} without an outcome, $n{no} refused)");
ok($_->stop, 'it stops') for $r->servers;
done_testing;
