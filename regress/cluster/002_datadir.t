# Directories that must not be started, and remains that must not hinder.
use strict;
use warnings;
use Test::More;
use ReeveServer;

my $s = ReeveServer->new;
$s->init;

sub refused {
    my ($like, $name) = @_;
    my ($code, $out, $err) = $s->ctl('start', '-t', '20');
    is($code, 1, $name);
    like($err, $like, '... and says why');
    ok(!$s->pid, '... and nothing runs');
}

my $version = ReeveServer::slurp($s->dir . '/reeve.version');
$s->write_file('reeve.version', "reeve-data 999\n");
refused(qr/newer than this program/, 'a newer directory is refused');
$s->write_file('reeve.version', "something else\n");
refused(qr/is not a Reeve data directory/, 'a foreign one is refused');
unlink $s->dir . '/reeve.version';
refused(qr/is not a Reeve data directory.*\n.*detail: .*reeve\.version.*\n.*reeve-ctl init/, 'one without a version is refused');
$s->write_file('reeve.version', $version);
chmod 0755, $s->dir;
refused(qr/can be used by others.*\n.*0700/, 'one open to others is refused');
chmod 0700, $s->dir;

my $conf = ReeveServer::slurp($s->dir . '/reeve.conf');
$s->append_conf("port = none\n");
refused(qr/reeve\.conf:\d+: invalid value for parameter "port"/, 'a wrong setting is refused');
$s->write_file('reeve.conf', $conf);
my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $s->port, Proto => 'tcp', Listen => 1);
refused(qr/could not listen on 127\.0\.0\.1 port @{[$s->port]}: Address already in use/, 'a port in use is refused');
close $taken;

$s->write_file('reeve.pid', "1\n" . $s->dir . "\n");
$s->start;
ok($s->answers, 'a stale pid file of a living stranger is no hindrance');
$s->stop;
$s->write_file('reeve.pid', "999999\n");
my ($code, $out, $err) = $s->ctl('stop');
is($code, 1, 'a stale pid file is no server to stop');
like($err, qr/stale/, '... and called so');
$s->start;

my $pid = $s->pid;
my @kids = map { $s->children($_) } qw(signer validator ring gateway);
is(scalar(@kids), 5, 'five children');
kill 'STOP', $kids[1];
kill 'KILL', $pid;
($code, $out, $err) = $s->ctl('start', '-t', '30');
is($code, 0, 'start right after kill -9 of the postmaster succeeds') or diag($err);
ok(!(grep { ReeveServer::alive($_) } @kids), '... and no child of the first is left, not even a stopped one');
isnt($s->pid, $pid, '... it is a new server');
ok($s->answers, '... that answers');

unlink $s->dir . '/reeve.pid';
$pid = 0;
ok($s->wait_for(sub { $s->log =~ /pid file is gone/ }, 'the end'), 'a server whose directory is taken away ends');

my $half = ReeveServer->new(region => 'x' x 300);
($code, $out, $err) = $half->ctl('init', '--region', $half->{region});
is($code, 1, 'a region name that is too long is refused');
ok(!-e $half->dir, '... before anything is made');
($code, $out, $err) = $half->ctl('init', '--password-file', '/nonexistent');
is($code, 1, 'so is a password file that is not there');
mkdir $half->dir;
$half->write_file('mine', 'precious');
($code, $out, $err) = $half->ctl('init');
is($code, 1, 'init leaves a directory alone that is not empty');
is(ReeveServer::slurp($half->dir . '/mine'), 'precious', '... with what is in it');

done_testing();
