# A full disk, a full map, a full log: writes are refused and say so, reads go on, agents stay, room makes all well again.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use ReeveServer;

my ($owner, $fleet_pid, @mounts) = ($$);
my $s = ReeveServer->new(conf => "agent_heartbeat_interval = 1s\nagent_reconnect_window = 1s\nattest_tick_interval = 1s\n"
    . "attest_submit_timeout = 3s\n");
my $base = $s->{base};

sub mount_small {
    my ($dir, $size) = @_;
    mkdir $dir;
    system('mount', '-t', 'tmpfs', '-o', "size=$size,mode=0700", 'reeve-test', $dir) == 0 or return 0;
    push @mounts, $dir;
    return 1;
}

END {
    my $code = $?;
    if ($owner == $$) {
        kill 'TERM', $fleet_pid if $fleet_pid;
        undef $s;
        system("umount '$_' 2>/dev/null || umount -l '$_'") for reverse @mounts;
    }
    $? = $code;
}

plan skip_all => 'a small file system cannot be mounted here' if $> != 0 || !mount_small($s->dir, '160m');

# SQLSTATE, '' when it went well; what was printed; the error's text.
sub statement {
    my ($server, $sql) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $server->run('psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-h', '127.0.0.1', '-p', $server->port, '-U', 'admin',
        '-d', 'reeve', '-c', $sql);
    chomp $out;
    my ($state) = $err =~ /ERROR:\s+(\w{5}):/;
    return ($state // ($code ? 'none' : ''), $out, $err);
}

# Takes every byte there is.
sub fill {
    my ($file) = @_;
    open my $f, '>', $file or die "$file: $!";
    $f->autoflush(1);
    for my $size (65536, 4096, 1) {
        1 while syswrite $f, "\0" x $size;
    }
    close $f;
}

# A row of its own each, so that pages are needed sooner or later.
my $n = 0;
my $written = 0;
sub write_until_refused {
    my ($server, $tries) = @_;
    for (1 .. $tries) {
        $n++;
        my ($state, $out, $err) = statement($server, "SET CONFIG 'fill/$n' = '" . ('x' x 30000) . "'");
        return ($state, $err) if $state ne '';
        $written++;
    }
    return ('', '');
}

sub fleet { ReeveServer::slurp("$base/fleet.json") =~ /"$_[0]":\s*(\d+)/ ? $1 : -1 }
my $attested = 0;
sub attested { $attested++; return "ALTER CERT 'edge' SET (renew_before = '" . (100000 + $attested) . " s')" }

$s->init->start;
$s->psql("CREATE AUTHORITY ca WITH (key_type = 'ecdsa', ttl = '1 year')");
$s->psql("CREATE CERT 'edge' FROM AUTHORITY ca SUBJECT 'CN=edge' VALID FOR '30 days'");
$s->psql("SET CONFIG 'x' = '1'");
my ($token) = split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = 100, ttl = '1 day')");
open my $tf, '>', "$base/token" or die;
print $tf "$token\n";
close $tf;
mkdir "$base/fleet";
my $count = 10;
$fleet_pid = fork() // die;
if ($fleet_pid == 0) {
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$base/fleet.out";
    open STDERR, '>', "$base/fleet.err";
    exec 'reeve-bench', 'fleet', '--server', '127.0.0.1:' . $s->agent_port, '--token-file', "$base/token", '--count', $count,
        '--state', "$base/fleet", '--duration', 600, '--status', "$base/fleet.json", '--json' or POSIX::_exit(127);
}
ok($s->wait_for(sub { fleet('fresh') == $count }, 'the fleet'), 'a fleet');
my @before = sort { $a <=> $b } map { $s->children($_) } qw(ring signer validator gateway);

# ---- the disk ----
fill($s->dir . '/ballast');
my ($state, $err) = write_until_refused($s, 400);
is($state, '53100', "a full disk: the change after $written more is refused as 53100") or diag($err);
like($err, qr/disk full|disk is full|no space/i, '... in words');
is((statement($s, "SELECT value FROM sys.config WHERE key = 'x'"))[1], '1', '... what was there can be read');
is((statement($s, "SELECT count(*) FROM sys.config"))[1], $written + 1, '... all of it, and nothing of what was refused');
my ($code) = statement($s, attested());
is($code, '53100', '... an attested change too');
is(fleet('connected'), $count, '... agents stay connected');
my @c = map { $s->connect_tcp } 1 .. 80;
ok($s->wait_for(sub { $s->children('backend') >= 80 }, 'sessions'), '... many sessions');
is((statement($s, 'SELECT 1'))[1], '1', '... and one more is served');
close $_ for @c;
is_deeply([sort { $a <=> $b } map { $s->children($_) } qw(ring signer validator gateway)], \@before, '... no process died of it') or diag($s->log);

unlink $s->dir . '/ballast';
ok($s->wait_for(sub { (statement($s, "SET CONFIG 'x' = '2'"))[0] eq '' }, 'a change'), 'with room again changes are made');
ok($s->wait_for(sub { (statement($s, attested()))[0] eq '' }, 'an attested change'), '... attested ones too');
ok($s->wait_for(sub { fleet('fresh') == $count }, 'the fleet'), '... and the fleet is FRESH');
is_deeply([sort { $a <=> $b } map { $s->children($_) } qw(ring signer validator gateway)], \@before, '... by the same processes');
my $leaves = (statement($s, 'SELECT tree_size FROM sys.chain'))[1];
ok($s->stop, 'it stops');
$s->start;
is((statement($s, 'SELECT tree_size FROM sys.chain'))[1], $leaves, 'and is the same after a restart');

# Started with the disk full: it serves what it has.
$s->stop;
fill($s->dir . '/ballast');
my ($rc, $out, $text) = $s->ctl('start', '-t', '30');
if ($rc == 0) {
    is((statement($s, "SELECT value FROM sys.config WHERE key = 'x'"))[1], '2', 'started on a full disk, it answers');
} else {
    diag($text . $s->log) if $ENV{REEVE_TEST_VERBOSE};
    like($text . $s->log . ReeveServer::slurp($s->dir . '/log/start.log'), qr/space|full/i, 'on a full disk it says why it does not start');
}
unlink $s->dir . '/ballast';
$s->start if $rc != 0;
ok($s->wait_for(sub { (statement($s, "SET CONFIG 'x' = '3'"))[0] eq '' }, 'a change'), 'and with room it writes');
$s->stop;

# ---- the log ----
ok(mount_small($s->dir . '/log', '64k'), 'a log folder of 64 KiB');
$s->append_conf("log_level = debug\nlog_statement = all\n");
$s->start;
fill($s->dir . '/log/ballast');
is(scalar(grep { (statement($s, "SET CONFIG 'x' = '$_'"))[0] eq '' } 4 .. 23), 20, 'a full log stops no statement');
ok((grep { ReeveServer::alive($_) } $s->pid, $s->children) >= 5, '... and no process');
unlink $s->dir . '/log/ballast';
statement($s, "SELECT 'logged again'");
ok($s->wait_for(sub { $s->log =~ /logged again/ }, 'the line'), 'with room the log goes on');
$s->stop;

# ---- the map ----
my $t = ReeveServer->new(conf => "lmdb_map_size = 16MB\n");
$t->init->start;
$t->psql("SET CONFIG 'x' = '1'");
$written = 0;
($state, $err) = write_until_refused($t, 1000);
is($state, '53100', "a full map: the change after $written more is refused as 53100") or diag($err);
is((statement($t, "SELECT count(*) FROM sys.config"))[1], $written + 1, '... all that was written can be read');
ok($t->answers, '... and the server answers');
$t->stop;
$t->append_conf("lmdb_map_size = 64MB\n");
$t->start;
is((statement($t, "SET CONFIG 'x' = '2'"))[0], '', 'with a larger map changes are made');
is((statement($t, "SELECT count(*) FROM sys.config"))[1], $written + 1, '... on what was there');
$t->stop;

done_testing();
