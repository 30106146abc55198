# A session that reads an old state of the store for long keeps room from being used again: its statement is canceled, and where it
# does not hear that, it is killed. Nobody else is disturbed.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use lib 'regress/lib';
use ReeveServer;

my $s = ReeveServer->new(conf => "gateways = 1\nsnapshot_timeout = 2s\nlmdb_map_size = 32MB\n");
$s->init->start;
my $base = $s->{base};
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
done_testing;
