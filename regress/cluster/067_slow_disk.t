# The log's disk of one of three takes seconds for each write: an issue says whose, changes go on, and the issue goes when the disk
# has been well for half a minute.
use strict;
use warnings;
use Test::More;
use Ring;

my $ring = Ring->new(members => 3);
my @s = $ring->servers;
my ($leader, $slow, $other) = $ring->by_role;
my ($n) = grep { $s[$_ - 1] == $slow } 1 .. 3;
my $flag = "$slow->{base}/slow";
my $k = 0;

# At whom nothing is wrong; who leads may change.
sub well { my ($sql) = @_; for my $s ($leader, $other) { my $out = eval { $s->psql($sql) }; return $out if defined $out } return undef }
sub issue { return well("SELECT severity FROM sys.issues WHERE kind = 'disk_slow' AND object = 'eu-$n'") // '?' }
sub change { return defined well("SET CONFIG 'x' = " . ++$k) }
sub disk { my ($s) = @_; return eval { $s->psql("SELECT disk FROM sys.ring_members WHERE member = 'eu-$n'") } // '?' }

$slow->stop;
{
    local $ENV{LD_PRELOAD} = "$ENV{REEVE_BUILD}/regress/lib/slowdisk.so";
    local $ENV{REEVE_SLOW_DISK} = $flag;
    local $ENV{ASAN_OPTIONS} = join ':', grep { $_ } $ENV{ASAN_OPTIONS}, 'verify_asan_link_order=0';
    $slow->start;
}
ok($slow->wait_for(sub { disk($slow) eq 'ok' }, 'it is back'), 'a member whose disk can be made slow');
# A machine that is busy enough has slow disks by itself.
ok($slow->wait_for(sub { change() && issue() eq '' }, 'no issue', 240), 'nothing is wrong with its disk');

open my $f, '>', $flag or die $!;
close $f;
ok($slow->wait_for(sub { change(); issue() =~ /^[a-z0-9]+$/ }, 'the issue', 90), 'each write to its log takes 2.5 s: an issue says so, at the others');
like(well("SELECT message FROM sys.issues WHERE kind = 'disk_slow' AND object = 'eu-$n'") // '', qr/took longer than a second/, '... and what');
ok($slow->wait_for(sub { disk($other) eq 'slow' }, 'the list'), '... and the list of members');
ok($slow->wait_for(sub { disk($slow) eq 'slow' }, 'its own word'), '... its own, too');
my $before = $k;
ok($slow->wait_for(sub { change(); $k >= $before + 20 }, 'changes', 60), 'changes go on meanwhile');
is($slow->wait_for(sub { (well("SELECT value FROM sys.config WHERE key = 'x'") // '') =~ /^\d+$/ }, 'a read'), 1, '... and reads');

unlink $flag;
ok($slow->wait_for(sub { change(); issue() eq '' }, 'no issue', 240), 'the disk is well again: the issue goes');
ok($slow->wait_for(sub { disk($other) eq 'ok' }, 'the list', 240), '... and the list of members says so');
my $last = well("SELECT value FROM sys.config WHERE key = 'x'") // 0;
ok($slow->wait_for(sub { (eval { $slow->psql("SELECT value FROM sys.config WHERE key = 'x'") } // -1) >= $last }, 'the newest'),
    'it has what was changed meanwhile');
$ring->stop;
done_testing();
