#!/usr/bin/perl
# 024_rollback_failed.t - nodes that cannot take up the previous generation again: said plainly, and over with the next success
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use RolloutFleet;

my $f = RolloutFleet->new;
my $N = 20;
$f->sql("CREATE AUTHORITY ca");
$f->sql("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
$f->fleet('a', count => $N);
ok($f->wait_for(sub { $f->serving('web') eq "1:$N" }, 'the first generation'), 'everybody serves generation 1');

my $id = $f->begin("ROTATE CERT web CANARY 10 NODES FOR '1 h' THEN 100%");
ok($f->wait_state($id, 'baking'), 'the canary serves generation 2');

# The same nodes again; from now on nobody can install generation 1.
$f->fleet_stop('a');
$f->fleet('a', count => $N, args => ['--fail-share', '1', '--fail-cert', 'web', '--fail-generation', '1']);
$f->sql("ROLLBACK ROLLOUT $id REASON 'try'");
ok($f->wait_state($id, 'rollback_failed', 60), 'the rollback fails after the report timeout');
like($f->rollout($id)->{reason}, qr/still serve it: \d+/, 'it says how many are left: ' . $f->rollout($id)->{reason});
like($f->sql("SELECT kind, object, message, hint FROM sys.issues"), qr/^rollback_failed\|web\|rollout $id: .*\|SHOW ROLLOUT $id NODES$/, 'an issue stands');
is($f->sql("SELECT generation FROM sys.certs WHERE name = 'web'"), 1, 'what is wanted is generation 1 all the same');

my $next = $f->begin("ROTATE CERT web IMMEDIATE");
ok($f->wait_state($next, 'succeeded', 60), 'the way out is forward');
ok($f->wait_for(sub { $f->serving('web') eq "3:$N" }, 'generation 3'), 'everybody serves generation 3');
is($f->sql("SELECT count(*) FROM sys.issues"), 0, 'and the issue is cleared');
ok($f->stop, 'the server stops');

done_testing();
