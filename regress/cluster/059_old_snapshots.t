# A session that reads an old state of the store for long keeps room from being used again: its statement is canceled, and where it
# does not hear that, it is killed. Nobody else is disturbed. Then five hundred sessions of a member whose whole state is replaced.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use lib 'regress/lib';
use Ring;

my $s = ReeveServer->new(conf => "gateways = 1\nsnapshot_timeout = 2s\nlmdb_map_size = 32MB\n");
$s->init->start;
my ($base, $owner) = ($s->{base}, $$);
my $k = 0;

# So many rows that what joins them four times reads for as long as the test may take.
my $rows = join ' ', map { "SET CONFIG 'k$_' = '$_';" } 1 .. 150;
$s->psql("BEGIN; $rows COMMIT");
my $LONG = 'SELECT count(*) FROM sys.config a, sys.config b, sys.config c, sys.config d WHERE a.key < b.key AND c.value < d.value';

# On a busy machine a change's own reading may take that long as well: it is told so, and made again.
sub change {
    $k++;
    until (eval { $s->psql("SET CONFIG 'x' = '$k'"); 1 }) { die $@ if $@ !~ /the age of the state/ }
}
sub changes_until {
    my ($cond, $what) = @_;
    return $s->wait_for(sub { change(); return $cond->() }, $what, 60);
}
# A session of its own process; its pid, that of its backend, and the file with what it said.
sub session {
    my ($name, $sql) = @_;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$base/$name.out";
        open STDERR, '>&', \*STDOUT;
        exec 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $s->conninfo . " application_name=$name", '-c', $sql,
            '-c', "SELECT 'goes on'" or POSIX::_exit(127);
    }
    my $backend;
    $s->wait_for(sub { ($backend) = $s->psql("SELECT pid FROM sys.stat_activity WHERE application_name = '$name' AND state = 'active'") =~ /(\d+)/ },
        "session $name");
    return ($pid, $backend);
}
sub ended { my ($pid) = @_; return waitpid($pid, POSIX::WNOHANG()) == $pid }
sub said { return ReeveServer::slurp("$base/$_[0].out") }

# ---- one that reads and reads ----
my ($client, $backend) = session('reader', $LONG);
ok(changes_until(sub { ended($client) }, 'the end of the statement'), 'a statement that reads for long beside changes ends');
like(said('reader'), qr/ERROR:  40001: canceling statement due to the age of the state that it reads\nHINT:  Try again; setting snapshot_timeout/,
    '... with 40001, and why');
like(said('reader'), qr/^goes on$/m, '... and its session goes on');
like($s->log, qr/session $backend reads a state of the store that is \d+ s old, and keeps room from being used again: canceling its statement/,
    '... and the log names it');

# ---- one that stands still ----
($client, $backend) = session('still', $LONG);
my $other = $s->psql("SELECT pid FROM sys.stat_activity WHERE application_name = 'still'");
is($other, $backend, 'another one, reading');
kill 'STOP', $backend;
ok(changes_until(sub { ended($client) }, 'the end of the session'), 'a session that stands still while it reads is ended');
unlike(said('still'), qr/goes on/, '... its client loses the connection');
like($s->log, qr/session $backend reads a state [^\n]+: canceling its statement\n(?:.*\n)*?.*session $backend reads a state [^\n]+: does not end it; killing it/,
    '... after it was asked');
is($s->psql("SELECT count(*) FROM sys.stat_activity WHERE pid = $backend"), 0, '... and is gone');
is($s->psql("SELECT value FROM sys.config WHERE key = 'x'"), $k, 'all changes beside both were made');

# ---- nobody else ----
is(scalar(() = $s->log =~ /reads a state of the store .*killing it/g), 1, 'nobody else was killed');
ok($s->stop, 'it stops');

# ---- a snapshot of the ring under five hundred sessions ----
my $SESSIONS = 500;
my $r = Ring->new(members => 1, conf => "gateways = 1\nmax_connections = 520\n");
$r->join_as(ReeveServer->new, 1, learner => 1);
my ($a, $b) = $r->servers;
my ($n, $pad) = (0, 'v' x 60000);
# Ten keys that always change together, and nearly all that one entry holds: what the log keeps for others is soon outgrown.
sub many {
    my ($times) = @_;
    open my $f, '>', "$a->{base}/many.sql" or die $!;
    for (1 .. $times) {
        $n++;
        print $f 'BEGIN;', (map { "SET CONFIG 'n$_' = '$n';" } 0 .. 9), ("SET CONFIG 'pad' = '$pad';") x 10, "COMMIT;\n";
    }
    close $f;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $a->run('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $a->conninfo, '-f', "$a->{base}/many.sql");
    die $err if $code;
}
many(1);
ok($r->caught_up(1), 'a member has it');
# As on a machine of one's own: no password is worth the time of five hundred.
$b->write_file('reeve_hba.conf', "host all all 127.0.0.1/32 trust\n");
$b->ctl('reload');
my $readers = fork() // die "fork: $!";
if ($readers == 0) {
    open STDOUT, '>', "$base/readers.out";
    open STDERR, '>&', \*STDOUT;
    exec '/usr/bin/python3', 'regress/cluster/many_readers.py', $b->conninfo, $SESSIONS, "$base/readers.stop" or POSIX::_exit(127);
}
END { local $?; if ($readers && $owner == $$) { kill 'KILL', $readers; waitpid $readers, 0 } }
ok($b->wait_for(sub { said('readers') =~ /ready/ }, 'the sessions', 120), "$SESSIONS sessions read");
my ($ring) = $b->children('ring');
kill 'STOP', $ring;
many(100);
kill 'CONT', $ring;
ok($b->wait_for(sub { $b->log =~ /the state at \d+ is installed/ }, 'another state', 60), 'its ring was away for too long: the state is replaced under them')
    or diag($a->log);
ok($r->caught_up(1), '... and is in step');
many(3);
ReeveServer::write_file({ dir => $base }, 'readers.tmp', $n);
rename "$base/readers.tmp", "$base/readers.stop";
ok($b->wait_for(sub { ended($readers) }, 'the sessions', 120), 'all come to read the newest');
$readers = 0;
my ($last) = said('readers') =~ /^(reads .*)$/m;
note($last);
like($last // said('readers'), qr/failed 0 mixed 0 older 0 /, 'no reading failed, none saw a mix, none an older state than before');
like($last // '', qr/reopened [1-9]\d\d/, '... also while sessions came and went');
ok($_->stop, 'it stops') for $a, $b;
done_testing;
