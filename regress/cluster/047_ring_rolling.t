# A rolling restart under load fails no request; kill -9 of the leader fails none either, and repeats none. Clients try again at
# another member (counted); what a member answered itself is never taken back.
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use Ring;

my $r = Ring->new;
my $load = $r->load(writers => 6, roam => 1);
ok($load->wait_all, 'a load');
for my $i ($r->all) {
    my $s = $r->server($i);
    ok($s->stop, $r->name($i) . ' is stopped');
    ok($load->wait_all, '... every writer goes on');
    $s->start;
    ok($r->caught_up($i), '... and it is back with everything');
}
$load->stop;
my %n = %{$load->counts};
is($n{lost} + $n{no}, 0, "no request failed ($n{ack} changes, $n{tries} tried again)");
is($n{stale}, 0, 'no read was stale');
$load->verify($_) for $r->all;

# ---- kill -9: those who speak to the others notice a delay, nothing else ----
for my $round (1 .. 2) {
    my $l = $r->wait_leader;
    my $load = $r->load(writers => 6, at => [$r->others($l)]);
    ok($load->wait_all, 'a load at those who follow');
    my $at = $r->kill_server($l);
    ok($load->wait_all, 'the leader is killed: every writer goes on');
    my ($first) = sort { $a <=> $b } map { $_->[3] / 1e9 - $at } $load->acks($at);
    cmp_ok($first, '<', 5, sprintf '... after %.0f ms', $first * 1000);
    $load->stop;
    my %n = %{$load->counts};
    is_deeply([@n{qw(lost no stale)}], [0, 0, 0], "no change failed, none is in doubt ($n{ack})")
        or diag(join "\n", map { "@$_" } grep { $_->[4] ne 'ack' } $load->events);
    $r->server($l)->start;
    ok($r->caught_up($l), 'it is back');
    $load->verify($_) for $r->all;
}
ok($_->stop, 'it stops') for $r->servers;
done_testing;
