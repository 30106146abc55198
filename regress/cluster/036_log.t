# The write-ahead log of a server: a directory made before there was one, a log that is gone, damage, what waldump says.
use strict;
use warnings;
use Test::More;
use ReeveServer;

my $s = ReeveServer->new;
my $dir = $s->dir;
$s->init;

sub started {
    my ($code, $out, $err) = $s->ctl('start', '-t', '30');
    return ($code, $err . $s->log . ReeveServer::slurp("$dir/log/start.log"));
}

sub waldump {
    my ($code, $out) = $s->run('reeve-ctl', 'waldump', $dir);
    return ($code, $out);
}

# ---- a directory of format 1 ----
my $newest = ReeveServer::slurp("$dir/reeve.version");
$s->write_file('reeve.version', "reeve-data 1\n");
rmdir "$dir/wal" or die "wal: $!";
$s->start;
is(ReeveServer::slurp("$dir/reeve.version"), $newest, 'a directory of format 1 is upgraded at the start');
$s->psql("SET CONFIG 'marker' = 'first-value'");
is((waldump())[0], 0, '... and has a log, which is sound');
like((waldump())[1], qr/batch/, '... with what was written') or diag((waldump())[1]);
ok($s->stop, 'it stops');
$s->start;
is($s->psql("SELECT value FROM sys.config WHERE key = 'marker'"), 'first-value', 'and starts with what it had');

# ---- killed: everything acknowledged is there ----
for my $round (1 .. 5) {
    $s->psql("SET CONFIG 'marker' = 'round-$round'");
    my ($ring) = $s->children('ring');
    kill 'KILL', $ring;
    ok($s->wait_for(sub { (eval { $s->psql("SELECT value FROM sys.config WHERE key = 'marker'") } // '') eq "round-$round" &&
        (($s->children('ring'))[0] // $ring) != $ring }, 'the ring'), "kill -9 of the ring, round $round");
}
ok($s->wait_for(sub { eval { $s->psql("SET CONFIG 'marker' = 'last-value'"); 1 } }, 'a change'), 'and it goes on');
ok($s->stop, 'it stops');

# ---- no log ----
rename "$dir/wal", "$s->{base}/wal.away" or die $!;
mkdir "$dir/wal", 0700;
my ($code, $text) = started();
isnt($code, 0, 'without its log it does not start');
like($text, qr/the write-ahead log cannot be used: missing/, '... and says so');
like($text, qr/put back what is missing, or restore a backup/, '... and what to do');
is_deeply([glob "$dir/wal/*.seg"], [], '... and begins no other');
rmdir "$dir/wal" or diag(join ' ', glob "$dir/wal/*");
rename "$s->{base}/wal.away", "$dir/wal" or die $!;
$s->start;
is($s->psql("SELECT value FROM sys.config WHERE key = 'marker'"), 'last-value', 'with its log it does');
$s->psql("SET CONFIG 'marker' = 'kept-value'");
ok($s->stop, 'it stops');

# ---- damage of what the state has as well ----
my $flipped = 0;
for my $file (glob "$dir/wal/*.seg") {
    open my $f, '+<:raw', $file or die $!;
    local $/;
    my $bytes = <$f>;
    my $at = index $bytes, 'kept-value';
    next if $at < 0;
    seek $f, $at, 0;
    print $f 'lost' or die $!;
    $flipped++;
}
cmp_ok($flipped, '>=', 1, 'a byte of the log is damaged');
is((waldump())[0], 1, '... waldump says so');
($code, $text) = started();
is($code, 0, '... what the state has as well is no loss') or diag($text);
is($s->psql("SELECT value FROM sys.config WHERE key = 'marker'"), 'kept-value', '... and is there');
like($s->log, qr/WARNING: log: segment \d+, offset \d+: /, '... the log says where');
$s->psql("SET CONFIG 'marker' = 'after'");
ok($s->stop, 'it stops');
$s->start;
is($s->psql("SELECT value FROM sys.config WHERE key = 'marker'"), 'after', 'and goes on');
$s->stop;

done_testing();
