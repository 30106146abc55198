# A bit flips in the log of one of three, in entries that its state does not have: it says so, gets them from the others again, and
# its state is the others'. So that the log is ahead for certain, the store's map is filled first: then only the log goes on.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use lib 'regress/lib';
use Ring;

my $r = Ring->new;
my $hurt = 2;
my $s = $r->server($hurt);
my @well = $r->others($hurt);
ok($s->stop, 'a member stops');
$s->append_conf("lmdb_map_size = 16777216\n");
$s->start;
ok($r->caught_up($hurt), '... and comes back with little room for its state');
ok($s->wait_for(sub { my $l = $r->leader; defined $l && ($l != $hurt || do { eval { $s->psql("ALTER RING eu TRANSFER LEADER TO 'eu-1'") }; 0 }) },
    'another leads'), 'another one leads');

# Rows of 30,000 bytes, each its own.
my $rows = 0;
sub rows {
    my ($n) = @_;
    my $file = "$s->{base}/rows.sql";
    open my $f, '>', $file or die $!;
    print $f "SET CONFIG 'fill/" . ++$rows . "' = '" . ('x' x 30000) . "';\n" for 1 .. $n;
    close $f;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my $at = $r->server($well[0]);
    my ($code, undef, $err) = $at->run('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', $at->port, '-U', 'admin',
        '-d', 'reeve', '-f', $file);
    die $err if $code;
}
sub count_at { my ($i) = @_; return $r->server($i)->psql("SET read_consistency = local; SELECT count(*) FROM sys.config WHERE key LIKE 'fill/%'") }
sub follows {
    for (my $end = time + 3; time < $end; sleep 0.05) { return 1 if count_at($hurt) == $rows }
    return 0;
}
rows(25) while $rows < 3000 && follows();
my $held = count_at($hurt);
cmp_ok($held, '<', $rows, "its state stops ($held of $rows rows)");

# ---- what only the log has ----
$r->somewhere('a row', "SET CONFIG 'flip' = 'flipped-here'", @well);
rows(10);
my @file;
ok($s->wait_for(sub { @file = grep { index(ReeveServer::slurp($_), 'flipped-here') >= 0 } glob $s->dir . '/wal/*.seg'; @file == 1 }, 'its log'),
    'its log goes on');
is($s->psql("SET read_consistency = local; SELECT count(*) FROM sys.config WHERE key = 'flip'"), '0', '... its state does not');
$r->kill_server($hurt);
my $at = index ReeveServer::slurp($file[0]), 'flipped-here';
open my $f, '+<:raw', $file[0] or die $!;
seek $f, $at, 0;
print $f 'F';
close $f or die $!;
my ($code, $out) = $s->run('reeve-ctl', 'waldump', $s->dir);
is($code, 1, 'a bit of it flips: waldump says so');

# ---- with room again ----
my $load = $r->load(writers => 6, at => [@well]);
$s->append_conf("lmdb_map_size = 268435456\n");
$s->start;
my ($from, $to);
ok($s->wait_for(sub { ($from, $to) = $s->log =~ /WARNING: the log is damaged between (\d+), which the state has, and (\d+): the rest comes from the other members/ },
    'the damage'), 'it says what it lost');
cmp_ok($from, '<', $to, "... entries $from to $to");
ok($s->wait_for(sub { $s->log =~ /the log holds again what it had lost/ }, 'the repair'), '... and has it again');
ok($r->caught_up($hurt), 'it has everything');
is(count_at($hurt), $rows, '... every row');
is($s->psql("SELECT value FROM sys.config WHERE key = 'flip'"), 'flipped-here', '... as it was');

# ---- the same state: compared every 512 entries, which the load goes past ----
sub last_index { return $s->psql("SELECT match_index FROM sys.ring_members WHERE member = '" . $r->name($hurt) . "'") + 0 }
my $since = last_index();
ok($s->wait_for(sub { last_index() > $since + 1100 }, '1,100 entries', 180), 'states are compared, twice and more');
$load->stop;
ok($r->caught_up($_), $r->name($_) . ' has everything') for $r->all;
is($r->server($_)->psql("SELECT count(*) FROM sys.issues WHERE kind = 'member_quarantined'"), '0', '... and nobody differs') for $r->all;
$load->verify($_) for $r->all;

# ---- for good ----
ok($s->stop, 'it stops');
# The batch that cannot be read lies there until the log is cut; what it held stands behind it.
like(($s->run('reeve-ctl', 'waldump', $s->dir))[1], qr/^verdict: .*, may vote, may lead/m, 'its log is whole');
$s->start;
ok($r->caught_up($hurt), '... and it starts as any other');
is(scalar(() = $s->log =~ /the log is damaged between/g), 1, '... with nothing to repair');
ok($_->stop, 'it stops') for $r->servers;
done_testing;
