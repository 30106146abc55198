# Members come, go and are replaced while a load writes: one joins, one loses its data and is replaced, one leaves.
use strict;
use warnings;
use Test::More;
use File::Path qw(remove_tree);
use lib 'regress/lib';
use Ring;

my $r = Ring->new;
# A writer goes to another member when its own fails it: members disappear here.
my $load = $r->load(writers => 4, roam => 1);
ok($load->wait_all, 'a load');

# ---- joins ----
my $i = $r->add;
is($r->name($i), 'eu-4', 'a fourth joins under load');
ok($r->caught_up($i), '... and has everything');
ok($load->wait_all, '... the load goes on');

# ---- leaves: the one that leads, of all things ----
my $l = $r->wait_leader;
$l = $r->wait_leader if !defined $l;
my $gone = $r->name($l);
my ($o) = $r->others($l);
ok($r->server($l)->wait_for(sub { eval { $r->server($r->wait_leader)->psql("ALTER RING eu DROP MEMBER '$gone'") };
    $r->roles($o) !~ /^\Q$gone\E\|/m }, 'it is no member'), 'the leading one is dropped');
ok($r->server($l)->stop('immediate'), '... and stopped');
ok($load->wait_all, '... the load goes on');
my @left = $r->others($l);
my $new = $r->wait_leader(@left);
isnt($new, $l, '... under another leader');

# ---- loses its data, and is replaced by itself as another ----
my ($lost) = grep { $_ != $new && $_ != 0 } @left;
($lost) = grep { $_ != $new } @left if !defined $lost;
my $name = $r->name($lost);
my $s = $r->server($lost);
$r->kill_server($lost);
remove_tree($s->dir);
my @stay = grep { $_ != $lost } @left;
ok($load->wait_all, 'a member loses its data, the load goes on');
ok($r->server($stay[0])->wait_for(sub { my $w = $r->leader(@stay); eval { $r->server($w)->psql("ALTER RING eu DROP MEMBER '$name'") };
    $r->roles($stay[0]) !~ /^\Q$name\E\|/m }, 'it is no member'), '... it is dropped');
$r->join_as($s, $lost, via => [@stay]);
isnt($r->name($lost), $name, '... and comes back as ' . $r->name($lost));
ok($r->caught_up($lost), '... with everything');
ok($load->wait_all, '... the load goes on');
$load->stop;
my @now = sort map { $r->name($_) } @left;
is(join(' ', map { s/\|.*//r } split /\n/, $r->roles($stay[0])), join(' ', @now), 'the members are who they should be');
ok($r->caught_up($_), $r->name($_) . ' has everything') for @left;
$load->verify($_) for @left;
my %n = %{$load->counts};
is($n{lost} + $n{no}, 0, "no change was given up ($n{ack} changes, $n{tries} tried again)");
ok($r->server($_)->stop, 'it stops') for @left;
done_testing;
