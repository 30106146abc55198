#!/usr/bin/perl
# 068_crowds.t - all agents of a ring of three come back at one moment, and the leader dies beside them: changes are made all the
# while, nothing acknowledged is lost, nobody is taken for lost
#
# Two hundred agents, for a test machine; what a million cost is no claim of this test.
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use RolloutFleet;
use Ring;

my $count = 200;
# Late and lost as by default, or a busy machine makes them so.
my $conf = "gateways = 1\nagent_heartbeat_interval = 2s\nagent_reconnect_window = 1s\nnode_late_after = 45s\nnode_lost_after = 90s\n";
my $f = RolloutFleet->new(conf => $conf);
my $r = Ring->new(first => $f, members => 3, conf => $f->{conf});
my @at = map { '127.0.0.1:' . $r->server($_)->agent_port } 1, 2, 0;

sub connected { return $f->status('crowd') =~ /"connected": (\d+),/ ? $1 : 0 }
sub states { my ($i) = @_; return eval { $r->server($i)->psql('SELECT state, count(*) FROM sys.nodes GROUP BY state ORDER BY state') } // '' }
sub longest_ms { my ($load, $since) = @_; my ($most) = sort { $b <=> $a } map { ($_->[3] - $_->[2]) / 1e6 } $load->acks($since); return $most // 0 }
sub now { Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }

$f->fleet('crowd', count => $count, server => join(',', @at), nowait => 1);
ok($f->wait_for(sub { connected() == $count }, 'the crowd', 120), "$count agents");
ok($f->wait_for(sub { states(0) eq "live|$count" }, 'live', 60), '... all live');

# ---- all of them at once ----
my $load = $r->load(writers => 3, roam => 1);
ok($load->wait_all, 'changes are made');
my $began = now();
kill 'KILL', map { $r->server($_)->children('gateway') } $r->all;
ok($f->wait_for(sub { connected() < $count }, 'the loss'), 'all gateways die');
ok($load->wait_all, '... changes are made while all come back');
ok($f->wait_for(sub { connected() == $count }, 'the crowd', 120), '... and all are back');
note(sprintf 'longest change %.0f ms', longest_ms($load, $began));

# ---- the leader dies ----
my $l = $r->wait_leader;
if ($l == 0) {      # it has the keys and watches: another one shall die
    $r->somewhere('another leader', "ALTER RING eu TRANSFER LEADER TO '" . $r->name(1) . "'", 0);
    ok($f->wait_for(sub { defined($l = $r->leader) && $l != 0 }, 'another leader'), 'another member leads');
}
$began = $r->kill_server($l);
ok($load->wait_all, 'the leader dies: changes are made');
note(sprintf 'longest change %.0f ms', longest_ms($load, $began));
my $lost = 0;
ok($f->wait_for(sub { $lost ||= states(0) =~ /lost/; connected() == $count }, 'the crowd', 120), '... its agents are at the others');
ok($f->wait_for(sub { $lost ||= states(0) =~ /lost/; states(0) eq "live|$count" }, 'live', 90), '... all are live');
ok(!$lost, '... and nobody was taken for lost');
is($f->sql("SELECT count(*) FROM sys.issues WHERE kind = 'mass_silence'"), 0, '... nor the lot of them for silent');
$load->stop;
$r->server($l)->start;
ok($r->caught_up($l), 'it comes back and has everything');
$load->verify($_) for $r->all;
is($load->counts->{stale}, 0, 'no read was stale');
$f->fleet_stop('crowd');
$_->stop for @{$r->{s}};
done_testing;
