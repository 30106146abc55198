#!/usr/bin/perl
# 049_backup.t - a backup of a live member: whole, private to its owner, without keys; restored into a ring of its own; damaged
# files are refused before anything is written; the attested height is never lowered
use strict;
use warnings;
use Test::More;
use POSIX ();
use Time::HiRes qw(sleep time);
use lib 'regress/lib';
use ReeveServer;

my $s = ReeveServer->new(conf => "agent_heartbeat_interval = 1s\nagent_reconnect_window = 100ms\nattest_tick_interval = 1s\n");
$s->init->start;
my $base = $s->{base};
my $file = "$base/eu.backup";

sub backup { my ($server, $to) = @_; return $server->ctl('backup', '--to', $to) }
sub restore { my ($dir, $from) = @_; return $s->run('reeve-ctl', 'restore', '-D', $dir, '--from', $from) }
sub height { return $_[0]->psql('SELECT attested_height FROM sys.regions') }
sub bytes { return ReeveServer::slurp($_[0]) }
sub put { my ($path, $bytes) = @_; open my $f, '>:raw', $path or die $!; print $f $bytes; close $f }
# An agent of the region; what it has of a key.
my ($owner, $agent) = ($$, 0);
sub agent_start {
    $agent = fork() // die;
    return if $agent;
    open STDERR, '>>', "$base/agent.log";
    exec 'reeve-agent', '--config', "$base/agent.conf" or POSIX::_exit(127);
}
sub agent_stop { return if !$agent; kill 'TERM', $agent; waitpid $agent, 0; $agent = 0 }
sub agent_has { my $v = qx{reeve-agent get --state $base/agent $_[0] 2>/dev/null}; chomp $v; return $v }
END { my $code = $?; agent_stop() if $owner == $$; $? = $code }
# A server over a directory that restore has made, at ports of its own.
sub server_over {
    my ($dir) = @_;
    my $r = ReeveServer->new;
    $r->{dir} = $dir;
    $r->append_conf("port = $r->{port}\nagent_port = $r->{agent_port}\npeer_port = $r->{peer_port}\ngateways = 1\n");
    return $r;
}

$s->psql("CREATE ROLE alice LOGIN PASSWORD 'horse'");
$s->psql("CREATE AUTHORITY ca");
$s->psql("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
$s->psql("SET CONFIG 'k$_' = '" . 'v' x (40 * $_) . "'") for 1 .. 60;

$s->psql("SET CONFIG 'said' = 'before the backup'");
my ($key) = $s->psql('CREATE JOIN_TOKEN WITH (uses = 10)') =~ /(reeve1\.[\w-]+)/;
put("$base/agent.conf", "state = $base/agent\nserver = 127.0.0.1:" . $s->agent_port . "\ntoken = $key\ntick_interval = 1 s\n");
agent_start();
ok($s->wait_for(sub { agent_has('said') eq 'before the backup' }, 'the agent'), 'an agent has the region\'s values');

# A second member, whose keys and notes are in the region's state, and so in the backup.
sub join_to {
    my ($ring) = @_;
    my $j = ReeveServer->new;
    my $token = $ring->psql("CREATE JOIN_TOKEN WITH (kind = 'member')") =~ s/\|.*//sr;
    my ($code, $out, $err) = $j->ctl('join', '--ring', "localhost:$ring->{peer_port}", '--token', $token, '--address', "localhost:$j->{peer_port}");
    is($code, 0, 'a member joins') or diag($err);
    $j->append_conf("port = $j->{port}\nagent_port = $j->{agent_port}\ngateways = 1\n");
    $j->start;
    return $j;
}
sub speaks { my ($ring, $name) = @_; return eval { $ring->psql("SELECT signing_key IS NOT NULL AND intermediates = 1 FROM sys.ring_members WHERE member = '$name'") } // '' }
my $second = join_to($s);
ok($s->wait_for(sub { speaks($s, 'eu-2') eq 't' }, 'its keys', 60), '... and speaks for the region');
my $its_key = $s->psql("SELECT signing_key FROM sys.ring_members WHERE member = 'eu-2'");

# ---- of a live server, under changes ----
my $writer = fork() // die;
if ($writer == 0) {
    for (my $i = 0; ; $i++) {
        eval { $s->psql("BEGIN; SET CONFIG 'a' = '$i'; SET CONFIG 'b' = '$i'; COMMIT") };
    }
}
$s->wait_for(sub { $s->psql("SELECT count(*) FROM sys.config WHERE key = 'a'") }, 'changes');
my ($code, $out, $err) = backup($s, $file);
is($code, 0, 'a backup of a live server') or diag($err);
like($out, qr/^region "eu", revision \d+, attested height \d+, taken 20/, '... says what it holds');
kill 'KILL', $writer;
waitpid $writer, 0;
is((stat $file)[2] & 07777, 0600, '... is its owner\'s alone');
ok(!-e "$file.part", '... and leaves nothing beside it');
my $whole = bytes($file);
($code, $out, $err) = backup($s, $file);
isnt($code, 0, 'a file that is there is not replaced');
like($err, qr/already/, '... and that is said');
is(bytes($file), $whole, '... nor touched');
unlike($whole, qr/PRIVATE KEY/, 'no key in PEM is in it');
my ($known, $dump) = $s->run(($ENV{REEVE_BUILD} // 'build') . '/regress/lib/keydump', $s->dir);
my @keys = map { my ($name, @hex) = split; [$name, map { pack 'H*', $_ } grep { /^[0-9a-f]{64}/ } @hex] } split /\n/, $dump;
cmp_ok(scalar @keys, '>', 2, 'the private keys are known');
is(join(' ', map { my ($name, @forms) = @$_; grep({ index($whole, $_) >= 0 } @forms) ? $name : () } @keys), '', '... and none is in it');
# Signatures and hashes of blocks are in both, as they must be; never a record of it.
my ($last, @found) = (bytes($s->dir . '/keys/lastsign'));
for (my $at = 0; $at + 256 <= length $last; $at += 16) {
    my $part = substr $last, $at, 256;
    push @found, $at if $part =~ /[^\0]/ && index($whole, $part) >= 0;
}
cmp_ok(length $last, '>', 256, 'there is a last-sign state');
is("@found", '', '... and nothing of it is in it');

# ---- into a new ring ----
my $new = "$base/new";
($code, $out, $err) = restore($new, $file);
is($code, 0, 'restored') or diag($err);
ok(!-e "$new/keys" && !-e "$new/validator", '... without keys and validator');
my $r = server_over($new);
$r->start;
my ($a, $b) = map { $r->psql("SELECT value FROM sys.config WHERE key = '$_'") } qw(a b);
is($a, $b, 'a transaction is in it whole or not at all');
is($r->psql("SELECT count(*) FROM sys.config WHERE key LIKE 'k%'"), '60', 'every value is there');
is($r->psql("SELECT value FROM sys.config WHERE key = 'k60'"), 'v' x 2400, '... as it was');
is($r->psql('SELECT 1', user => 'alice', password => 'horse'), '1', 'roles and their passwords are');
is($r->psql('SELECT count(*) FROM sys.certs'), '1', 'certificates are');
is($r->psql('SELECT member, role FROM sys.ring_members'), 'eu-1|leader', 'it is a ring of one');
cmp_ok($r->psql('SELECT applied_index FROM sys.regions'), '>', 1 << 32, 'its revisions are above all that were given out');
$r->psql("SET CONFIG 'after' = '1'");
is($r->psql("SELECT value FROM sys.config WHERE key = 'after'"), '1', 'it takes changes');
my $token = $r->psql("CREATE JOIN_TOKEN WITH (kind = 'member')") =~ s/\|.*//sr;
my $j = ReeveServer->new;
($code, $out, $err) = $j->ctl('join', '--ring', "localhost:$r->{peer_port}", '--token', $token, '--address', "localhost:$j->{peer_port}");
is($code, 0, '... and members') or diag($err);
$j->append_conf("port = $j->{port}\nagent_port = $j->{agent_port}\n");
$j->start;
is($j->psql("SELECT value FROM sys.config WHERE key = 'k2'"), 'v' x 80, '... who get the state');
my $again = "$base/again.backup";
is((backup($j, $again))[0], 0, 'the new member can be backed up as well');
$_->stop for $j, $r;

$second->stop;

# ---- damaged, cut, foreign ----
srand(my $seed = $ENV{REEVE_SEED} // $ENV{REEVE_CHECK_SEED} // time);
diag("seed $seed (REEVE_SEED)");
my $bad = "$base/bad";
my @wrong;
sub refused {
    my ($bytes, $what) = @_;
    put($bad, $bytes);
    my ($code, $out, $err) = restore("$base/never", $bad);
    push @wrong, "$what: exit $code, $err" if $code == 0 || $code > 2 || $err !~ /damaged|no backup|form/ || -e "$base/never" && glob("$base/never/*");
}
my $len = length $whole;
for my $at (0 .. 40, (map { 24 + int rand 200 } 1 .. 40), (map { int rand $len } 1 .. 120), $len - 60 .. $len - 1) {
    my $copy = $whole;
    substr($copy, $at, 1) = chr(ord(substr $copy, $at, 1) ^ (1 << int rand 8));
    refused($copy, "a bit at $at");
}
is("@wrong", '', 'a bit flipped anywhere is found');
@wrong = ();
refused(substr($whole, 0, $_), "cut at $_") for 0 .. 30, (map { int rand $len } 1 .. 60), $len - 33, $len - 32, $len - 1;
is("@wrong", '', 'a file cut anywhere is refused');
@wrong = ();
refused($whole . "\0", 'a byte more');
refused($whole . $whole, 'twice');
refused("-- a dump of another database\n" x 100, 'text');
refused("\xff" x 5000, 'ones');
is("@wrong", '', 'so is what is longer, or something else');
put($bad, $whole);
($code, $out, $err) = restore("$base/never2", "$base/no-such-file");
like($err, qr/no-such-file.*No such file/, 'a file that is not there');
($code, $out, $err) = restore("$base/never3", $base);
isnt($code, 0, 'a folder');

# ---- a directory that has a region ----
($code, $out, $err) = restore($s->dir, $file);
isnt($code, 0, 'nothing is restored over a running server');
like($err, qr/in use/, '... which is said');
$s->stop;
($code, $out, $err) = restore($s->dir, $file);
like($err, qr/already.*HINT:.*data and wal/s, 'nor over a state that is there');
($code, $out, $err) = restore($new, $file);
like($err, qr/not empty/, 'nor into a folder with something else');
$s->start;
is($s->psql("SELECT value FROM sys.config WHERE key = 'k1'"), 'v' x 40, '... and nothing was touched');

# ---- beside the keys, with a chain that is longer than the backup's ----
$s->stop;
my $short = "$base/short";
system('cp', '-a', $s->dir, $short);
$s->start;
$s->psql("CREATE CERT later FROM AUTHORITY ca SANS ('later.example')");
$s->psql("SET CONFIG 'lost' = '1'");
$s->psql("SET CONFIG 'said' = 'after the backup'");
ok($s->wait_for(sub { agent_has('said') eq 'after the backup' }, 'the agent'), 'the agent knows what came after the backup');
agent_stop();
my $height = height($s);
my $late = "$base/late.backup";
is((backup($s, $late))[0], 0, 'a later backup');
$s->stop;
sub set_aside { my ($dir) = @_; system('rm', '-rf', "$dir/data", "$dir/wal") }
set_aside($s->dir);
($code, $out, $err) = restore($s->dir, $file);
is($code, 0, 'the older one is restored beside the keys') or diag($err);
$s->start;
is($s->psql("SELECT count(*) FROM sys.config WHERE key = 'lost'"), '0', 'what came later is gone from the region');
$s->psql("SET CONFIG 'fill' = '$_'") for 1 .. 40;
agent_start();
ok($s->wait_for(sub { agent_has('said') eq 'before the backup' }, 'the agent'), 'an agent that knew a later state takes the restored one, whole')
    or diag(agent_has('said'), bytes("$base/agent.log"));
is(agent_has('fill'), '40', '... with what came since');
$s->psql("SET CONFIG 'said' = 'after the restore'");
ok($s->wait_for(sub { agent_has('said') eq 'after the restore' }, 'the agent'), '... and goes on');
agent_stop();
ok($s->wait_for(sub { height($s) >= $height }, 'the height'), 'the attested height is what it was before') or diag(height($s), " < $height");
is($s->psql("SELECT count(*) FROM sys.certs WHERE name = 'later'"), '1', '... with what was attested after the backup');
$s->psql("CREATE CERT newest FROM AUTHORITY ca SANS ('newest.example')");
cmp_ok(height($s), '>', $height, '... and goes on from there');
# Its members are new ones, though the state and the chain know others: they speak for the region by keys of their own.
my $third = join_to($s);
my $id;
ok($s->wait_for(sub { ($id) = $s->psql('SELECT member FROM sys.ring_members ORDER BY member') =~ /(eu-[2-9])/ }, 'the newcomer', 60), '... and is seen');
ok($s->wait_for(sub { speaks($s, $id) eq 't' }, 'its keys', 60), '... and speaks for the region');
isnt($s->psql("SELECT signing_key FROM sys.ring_members WHERE member = '$id'"), $its_key, '... by a key of its own, not by that of a member of the ring before');
put("$base/agent.conf", "state = $base/agent\nserver = 127.0.0.1:" . $third->agent_port . "\ntoken = $key\ntick_interval = 1 s\n");
agent_start();
$s->psql("SET CONFIG 'said' = 'by a new member'");
ok($s->wait_for(sub { agent_has('said') eq 'by a new member' }, 'the agent', 60), '... to agents') or diag(bytes("$base/agent.log"));
agent_stop();
$third->stop;
$s->stop;

# ---- a chain that ends before the backup's, and another one ----
set_aside($short);
($code, $out, $err) = restore($short, $late);
isnt($code, 0, 'beside a chain that ends before it the backup is not restored');
like($err, qr/ends at height \d+, before the backup's \d+/, '... which is said');
($code, $out, $err) = restore($short, $file);
is($code, 0, '... an older one is') or diag($err);
my $x = ReeveServer->new;
$x->init;
set_aside($x->dir);
($code, $out, $err) = restore($x->dir, $file);
isnt($code, 0, 'nor beside the chain of another region');
like($err, qr/another chain/, '... which is said');

done_testing;
