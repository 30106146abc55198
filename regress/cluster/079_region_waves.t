# A rollout over three regions: it goes on with the counts that each of them signed, waits for one that is away and says so, and
# does not wait for one that is frozen. One region decides (076), so that what is seen here is the rollout's.
use strict;
use warnings;
use Test::More;
use Federation;

my $f = Federation->new(validators => ['eu'], followers => [qw(mars moon)], conf => "attest_submit_timeout = 60s\nrollout_report_timeout = 2s\n");
$f->start;
my $eu = $f->server('eu');
sub value { my ($sql) = @_; return eval { $f->psql('eu', $sql) } // '' }
sub waits_for { my ($sql, $want, $what) = @_; ok($eu->wait_for(sub { value($sql) eq $want }, $what, 90), $what) or diag value($sql) }
sub rotate { my ($more) = @_; return (split /\|/, $f->psql('eu', "ROTATE CERT web $more REASON 'a test'"))[0] }
sub state_is { my ($id, $state, $what) = @_; waits_for("SELECT state FROM sys.rollouts WHERE rollout_id = $id", $state, $what) }

waits_for("SELECT count(*) FROM sys.regions WHERE state = 'ok'", 3, 'three regions know each other');
$f->psql('eu', 'CREATE AUTHORITY ca');
$f->psql('eu', "CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");

# The order of BY REGION, and every other region behind those that are named.
my @plan = split /\n/, $f->psql('eu', "EXPLAIN ROTATE CERT web CANARY 5% FOR '1 s' THEN 100% BY REGION ('moon','eu')");
is(join(' ', map { (split /\|/)[4] } @plan), 'moon, eu, mars', 'those that are named first, then the others; nobody to be careful with, so in one wave')
    or diag explain \@plan;

my $id = rotate("CANARY 5% FOR '1 s' THEN 100%");
state_is($id, 'succeeded', 'it goes on with the counts of all three');

$f->kill('mars');
$id = rotate('IMMEDIATE');
waits_for("SELECT count(*) FROM sys.issues WHERE kind = 'rollout_regions' AND message LIKE '%waits for the counts of region \"mars\"'", 1,
    'an issue names the region that is away');
isnt(value("SELECT state FROM sys.rollouts WHERE rollout_id = $id"), 'succeeded', '... and the rollout waits for it');
$f->start('mars');
state_is($id, 'succeeded', 'it goes on when that region is back');
waits_for("SELECT count(*) FROM sys.issues WHERE kind = 'rollout_regions'", 0, '... and the issue is gone');

# Frozen, it is not waited for.
ok($f->server('mars')->wait_for(sub { eval { $f->psql('mars', "ALTER REGION mars FREEZE REASON 'a fibre was cut'"); 1 } }, 'frozen', 60),
    'a region freezes itself');
waits_for("SELECT count(*) FROM sys.regions WHERE state = 'frozen'", 1, '... and the others know');
$f->kill('mars');
$id = rotate('IMMEDIATE');
state_is($id, 'succeeded', 'others go on without a frozen region, even while it is away');
done_testing();
