# Bits flip in the logs of all three members, at different places, in entries that no state has yet: the members give each other
# back what they held, the ring comes back, everything that was acknowledged is there, and the states agree.
#
# Registrations are answered when their entry is committed and reach the state up to half a second later, so the newest entries are
# above it when all are killed. Whether they were is said by the members when they start; it is tried until all three say so.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use POSIX ();
use lib 'regress/lib';
use Ring;

my $r = Ring->new;
my @s = map { $r->server($_) } $r->all;
my $base = $s[0]{base};
my ($token) = split /\|/, $s[0]->psql("CREATE JOIN_TOKEN WITH (uses = 1000, ttl = '1 day')");
open my $tf, '>', "$base/token" or die $!;
print $tf "$token\n";
close $tf;

# Agents that register new workloads until told to end; acknowledged are those that its JSON counts.
my ($bench, $rounds, $acked) = (0, 0, 0);
sub bench_start {
    my ($seconds) = @_;
    my $out = "$base/bench" . ++$rounds;
    $bench = fork() // die "fork: $!";
    return $out if $bench;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$out.out";
    open STDERR, '>', "$out.err";
    exec 'reeve-bench', 'ring', '--agents', join(',', map { '127.0.0.1:' . $_->agent_port } @s), '--token-file', "$base/token",
        '--clients', 12, '--connections', 6, '--batch', 10, '--duration', $seconds, '--warmup', 0, '--json', '--seed', $rounds or POSIX::_exit(127);
}

# What a finished run was told is done.
sub bench_end {
    my ($out) = @_;
    waitpid $bench, 0;
    my ($rows) = ReeveServer::slurp("$out.out") =~ /"rows": (\d+)/;
    $acked += $rows // 0;
    return $rows;
}
sub workloads { return $_[0]->psql('SELECT count(*) FROM sys.workloads') + 0 }

# [file, offset, first, last] of each batch with entries, in order.
sub batches {
    my ($s) = @_;
    my (undef, $text) = $s->run('reeve-ctl', 'waldump', $s->dir);
    my ($file, @b);
    for (split /\n/, $text) {
        $file = $s->dir . "/wal/$1" if /^segment ([0-9a-f]{8}\.seg)/;
        push @b, [$file, $1, $2, $3] if /^batch +\d+ +(\d+) +\d+ +[0-9a-f]{8} +(\d+)\.\.(\d+) /;
    }
    return @b;
}

# The newest batch whose entries end below that index.
sub batch_below { my ($below, @b) = @_; my ($found) = grep { $_->[3] < $below } reverse @b; return $found }

sub flip {
    my ($file, $at) = @_;
    open my $f, '+<:raw', $file or die "$file: $!";
    seek $f, $at, 0;
    read $f, my $byte, 1;
    seek $f, $at, 0;
    print $f chr(ord($byte) ^ 0x10);
    close $f or die $!;
}

my $damage = qr/WARNING: the log is damaged between (\d+), which the state has, and (\d+)/;
sub said { my ($s) = @_; return scalar(() = $s->log =~ /$damage/g) }

# A change that is not held back brings all states up to the moment; what comes after it waits for the next half second.
my @loads;
sub kill_all_in_the_middle {
    my $before = workloads($s[0]);
    push @loads, $r->load(writers => 3, roam => 1);
    $s[0]->wait_for(sub { workloads($s[0]) > $before + 30 }, 'registrations') or die "no registrations\n";
    $loads[-1]->wait_all;
    $loads[-1]->stop;
    $r->somewhere('a change', "SET CONFIG 'round' = '$rounds'");
    sleep 0.35;
    my @all = map { ($_->pid, $_->children) } @s;
    kill 'KILL', @all;
    $s[0]->wait_for(sub { !grep { ReeveServer::alive($_) } @all }, 'all are gone');
}

sub flip_all {
    my @logs = map { [batches($_)] } @s;
    my ($below) = sort { $a <=> $b } map { $_->[-1][3] } @logs;
    for my $i ($r->all) {
        my $b = batch_below($below, @{$logs[$i]});
        flip($b->[0], $b->[1] + 140);   # behind the header, in its first entry
        diag("$rounds: " . $r->name($i) . " loses $b->[2]..$b->[3] of $logs[$i][-1][3]");
        $below = $b->[2];
    }
}

sub round {
    my %before = map { $_ => said($s[$_]) } $r->all;
    my $out = bench_start(8);
    kill_all_in_the_middle();
    flip_all();
    $_->start for @s;
    ok($s[0]->wait_for(sub { eval { $s[0]->psql("SET CONFIG 'after' = '$rounds'"); 1 } }, 'the ring'), 'the ring comes back') or return 0;
    my $rows = bench_end($out);
    cmp_ok($rows, '>', 0, "$rows registrations were acknowledged");
    ok($r->caught_up($_), $r->name($_) . ' has everything') for $r->all;
    cmp_ok(workloads($_), '>=', $acked, '... and everything that was acknowledged') for @s;
    return !grep { said($s[$_]) == $before{$_} } $r->all;
}

my $all = 0;
$all = round() while !$all && $rounds < 10;
ok($all, 'the logs of all three were damaged above their states at once');
ok($s[0]->wait_for(sub { !grep { $_->log !~ /which the log had lost, came from member|the log holds again/ } @s }, 'repairs'), 'each got back what it had lost');

# ---- the same state: compared every 512 entries, which the load goes past ----
sub last_index { return $s[0]->psql("SELECT max(match_index) FROM sys.ring_members") + 0 }
my $since = last_index();
push @loads, $r->load(writers => 8, roam => 1);
ok($s[0]->wait_for(sub { last_index() > $since + 1100 }, '1,100 entries'), 'states are compared, twice and more');
$loads[-1]->stop;
ok($r->caught_up($_), $r->name($_) . ' has everything') for $r->all;
is($_->psql("SELECT count(*) FROM sys.issues WHERE kind = 'member_quarantined'"), '0', '... and nobody differs') for @s;
for my $i ($r->all) { $_->verify($i) for @loads }

# ---- for good ----
my %repairs = map { $_ => said($s[$_]) } $r->all;
ok($_->stop, 'it stops') for @s;
$_->start for @s;
ok($r->caught_up($_), $r->name($_) . ' starts as any other') for $r->all;
is(said($s[$_]), $repairs{$_}, '... with nothing to repair') for $r->all;
ok($_->stop, 'it stops') for @s;
done_testing;
