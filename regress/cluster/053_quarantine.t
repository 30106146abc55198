# A member whose store lost a row behind everybody's back computes something else from the next command that meets it: at the next
# comparison of states it puts itself into quarantine, serves nothing and does not start again; the others say so and serve on, and
# an empty directory heals the ring.
use strict;
use warnings;
use Test::More;
use File::Path qw(remove_tree);
use lib 'regress/lib';
use Ring;

my $lose = ($ENV{REEVE_BUILD} // 'build') . '/regress/lib/storelose';
plan skip_all => 'the test programs are not built' if !-x $lose;

my $r = Ring->new;
my $first = $r->server(0);

sub ask {
    my ($i, $sql) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $r->server($i)->run('psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-h', '127.0.0.1', '-p', $r->server($i)->port,
        '-U', 'admin', '-d', 'reeve', '-c', $sql);
    return "$out$err";
}
sub issues { my ($i) = @_; return eval { $r->server($i)->psql("SELECT severity, object FROM sys.issues WHERE kind = 'member_quarantined'") } // 'no answer' }
sub state_at { my ($i, $who) = @_; return eval { $r->server($i)->psql("SELECT state FROM sys.ring_members WHERE member = '$who'") } // 'no answer' }
sub becomes {
    my ($what, $want, $get) = @_;
    my $have;
    ok($first->wait_for(sub { ($have = $get->()) eq $want }, $what), $what) or diag("$have, not $want");
}

# ---- one member's store loses a row while it is stopped ----
$r->somewhere('a row', "SET CONFIG 'lost.here' = 'one'");
$r->somewhere('again', "SET CONFIG 'lost.here' = 'two'");
ok($r->caught_up($_), $r->name($_) . ' has it') for $r->all;
my $odd = 2;
my $name = $r->name($odd);
my $s = $r->server($odd);
my @well = $r->others($odd);
ok($s->stop, 'a member stops');
my ($code, $n, $err) = $s->run($lose, $s->dir, 'lost.here');
ok($code == 0 && $n > 0, '... and its store loses a row') or die "storelose: $code $n $err";
ok($s->start, 'it starts: nothing has met that row yet');
ok($r->caught_up($odd), '... and goes on with the others');
is(issues($_), '', 'no issue at ' . $r->name($_)) for $r->all;

# ---- a command meets it; the states are compared at the next 512th entry ----
$r->somewhere('a command that counts versions', "SET CONFIG 'lost.here' = 'three'", @well);
my $load = $r->load(writers => 6, at => [@well]);
ok($first->wait_for(sub { $s->log =~ /the state of this member is not the ring's/ }, 'quarantine'), 'it finds that its state differs')
    or die $s->log;
ok($load->wait_all, 'the load at the others goes on');
$load->stop;
my @acks = $load->acks;
note(scalar @acks . ' changes until then');

like(ask($odd, 'SELECT value FROM sys.config LIMIT 1'), qr/ERROR:/, 'it serves no read');
like(ask($odd, "SET CONFIG 'x' = '1'"), qr/ERROR:/, 'it takes no change');
becomes('it says so itself', "critical|$name", sub { issues($odd) });
becomes('... and shows itself so', 'quarantined', sub { state_at($odd, $name) });
for my $i (@well) {
    becomes('an issue at ' . $r->name($i), "critical|$name", sub { issues($i) });
    becomes('... and in sys.ring_members', 'quarantined', sub { state_at($i, $name) });
}
like($r->server($well[0])->psql("SELECT hint FROM sys.issues WHERE kind = 'member_quarantined'"), qr/DROP MEMBER.*reeve-ctl join/, 'with a hint');
my $leader = $r->wait_leader(@well);
isnt($leader, $odd, 'it leads nobody');
unlike($r->server($_)->log, qr/is not the ring's/, $r->name($_) . ' finds nothing wrong with itself') for @well;

# ---- it does not start again; the others serve on ----
ok($s->stop('fast'), 'it is stopped');
ok(!eval { $s->start; 1 }, 'it does not start again');
like($s->log, qr/not the ring's.*\n/, '... and says why');
my $more = $r->load(writers => 2, at => [@well]);
ok($more->wait_all, 'the two others serve on');
becomes('the issue stays at ' . $r->name($_), "critical|$name", do { my $i = $_; sub { issues($i) } }) for @well;

# ---- replaced: another directory, another id ----
ok($first->wait_for(sub { my $l = $r->leader(@well); defined $l && eval { $r->server($l)->psql("ALTER RING eu DROP MEMBER '$name'") };
    $r->roles($well[0]) !~ /^\Q$name\E\|/m }, 'it is no member'), 'it is dropped');
remove_tree($s->dir);
$r->join_as($s, $odd, via => [@well]);
isnt($r->name($odd), $name, 'an empty directory joins as ' . $r->name($odd));
ok($r->caught_up($odd), '... and has everything');
becomes('no issue at ' . $r->name($_), '', do { my $i = $_; sub { issues($i) } }) for $r->all;
becomes($r->name($odd) . ' is up', 'up', sub { state_at($odd, $r->name($odd)) });
ok($more->wait_all, 'the load goes on');
$more->stop;
for my $i ($r->all) {
    ok($r->caught_up($i), $r->name($i) . ' has everything');
    $_->verify($i) for $load, $more;
}
ok($_->stop, 'it stops') for $r->servers;
done_testing;
