# The disk of one of three is full: the others go on, also when it is the leader's; with room again it has everything. Bits flipped
# in the logs of all three at different places: what the state has as well is no loss, and is told.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use lib 'regress/lib';
use Ring;

my ($owner, @mounts) = ($$);
my $small = ReeveServer->new;
END {
    my $code = $?;
    if ($owner == $$) {
        $small->DESTROY;
        system("umount '$_' 2>/dev/null || umount -l '$_'") for @mounts;
    }
    $? = $code;
}
mkdir $small->dir;
plan skip_all => 'a small file system cannot be mounted here'
    if $> != 0 || system('mount', '-t', 'tmpfs', '-o', 'size=200m,mode=0700', 'reeve-test', $small->dir) != 0;
push @mounts, $small->dir;

my $r = Ring->new(first => $small->init->start);
my @others = (1, 2);

sub fill {
    open my $f, '>', $small->dir . '/ballast' or die $!;
    $f->autoflush(1);
    for my $size (65536, 4096, 1) { 1 while syswrite $f, "\0" x $size }
    close $f;
}
# Rows of 30,000 bytes, each its own: pages and segments are needed.
my $rows = 0;
sub rows {
    my ($at, $n) = @_;
    my $file = "$small->{base}/rows.sql";
    open my $f, '>', $file or die $!;
    print $f "SET CONFIG 'fill/" . ++$rows . "' = '" . ('x' x 30000) . "';\n" for 1 .. $n;
    close $f;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, undef, $err) = $at->run('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', $at->port, '-U', 'admin',
        '-d', 'reeve', '-f', $file);
    return $code ? $err : '';
}
sub is_leader { my ($i) = @_; my $l = $r->leader(@others); return defined $l && $l == $i }
sub state_of { my ($sql) = @_; return eval { $small->psql($sql); 1 } ? '' : $@ }

# ---- the leader's disk ----
ok($r->server(1)->wait_for(sub { is_leader(0) || do { my $l = $r->leader; eval { $r->server($l)->psql("ALTER RING eu TRANSFER LEADER TO 'eu-1'") }; 0 } },
    'the first leads'), 'the member with the small disk leads');
my $load = $r->load(writers => 4, at => \@others);
ok($load->wait_all, 'a load at the others');
fill();
my $err = rows($r->server(1), 600);
is($err, '', '18 MB more through another member while the leader\'s disk is full') or diag($small->log);
ok($r->server(1)->wait_for(sub { my $l = $r->leader(@others); defined $l && $l != 0 }, 'another leader'), '... under another leader');
ok($load->wait_all, '... every writer goes on');
like(state_of("SET read_consistency = local; SET CONFIG 'full' = '1'"), qr/full|space/i, '... who has no room takes no change and says why');
is($small->children('ring') && $small->psql("SET read_consistency = local; SELECT 1"), '1', '... and still answers');
is($r->server(1)->psql("SELECT count(*) FROM sys.config WHERE key LIKE 'fill/%'"), $rows, '... the others have all of it');

unlink $small->dir . '/ballast';
ok($r->caught_up(0), 'with room again it has everything');
is($small->psql("SELECT count(*) FROM sys.config WHERE key LIKE 'fill/%'"), $rows, '... every row');
my $said;
ok($small->wait_for(sub { ($said = state_of("SET CONFIG 'full' = '2'")) eq '' }, 'a change'), '... and takes changes') or diag($said);
$load->stop;
my %n = %{$load->counts};
is_deeply([@n{qw(lost no stale)}], [0, 0, 0], "no change failed meanwhile ($n{ack})") or diag(join "\n", map { "@$_" } grep { $_->[4] ne 'ack' } $load->events);
$load->verify($_) for $r->all;

# ---- a bit flipped in each of three logs, at different places, of entries that the states have ----
$r->server(1)->psql("SET CONFIG 'flip' = 'flipped-$_'") for $r->all;
$r->caught_up($_) for $r->all;
$_->stop for $r->servers;
my %at = map { $_ => "flipped-$_" } $r->all;
for my $i (sort keys %at) {
    my $flipped = 0;
    for my $file (sort glob $r->server($i)->dir . '/wal/*.seg') {
        my $bytes = ReeveServer::slurp($file);
        my $pos = index $bytes, $at{$i};
        next if $pos < 0;
        open my $f, '+<:raw', $file or die $!;
        seek $f, $pos + 5, 0;
        print $f chr(ord(substr $bytes, $pos + 5, 1) ^ 4);
        close $f;
        $flipped++;
        last;
    }
    is($flipped, 1, $r->name($i) . ': a bit of its log is flipped');
}
$_->start for $r->servers;
ok($r->caught_up($_), $r->name($_) . ' is back') for $r->all;
for my $i ($r->all) {
    is($r->server($i)->psql("SELECT count(*) FROM sys.config WHERE key LIKE 'fill/%'"), $rows, '... with every row');
    like($r->server($i)->log, qr/WARNING: log: segment \d+, offset \d+: /, '... and its log says where the damage is');
}
ok($_->stop, 'it stops') for $r->servers;
done_testing;
