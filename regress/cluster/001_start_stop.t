# init, start, stop, restart, reload, status: what reeve-ctl promises.
use strict;
use warnings;
use Test::More;
use ReeveServer;

my $s = ReeveServer->new;
my ($code, $out, $err) = $s->ctl('status');
is($code, 4, 'status without a directory is 4');
($code, $out, $err) = $s->ctl('start');
is($code, 1, 'start without a directory fails');

$s->init;
is((stat $s->dir)[2] & 0777, 0700, 'the directory is private');
is((stat $s->dir . '/keys')[2] & 0777, 0700, 'so are the keys');
($code, $out, $err) = $s->ctl('init');
is($code, 1, 'init of a directory in use fails');
like($err, qr/is not empty/, '... and says why');
($code, $out) = $s->ctl('status');
is($code, 3, 'status of a stopped server is 3');
($code, $out, $err) = $s->ctl('stop');
is($code, 1, 'stop of a stopped server fails');
like($err, qr/no server is running/, '... and says why');

($code, $out) = $s->ctl('start', '-t', '30');
is($code, 0, 'start');
my $pid = $s->pid;
like($out, qr/started \(pid $pid, port @{[$s->port]}\)/, 'the first line of reeve.pid is the postmaster');
ok($s->answers, 'it answers the moment start returns');
is(scalar($s->children($_)), 1, "one $_") for qw(signer ring validator);
is(scalar($s->children('gateway')), 2, 'two gateways');
ok(-S $s->dir . '/.s.PGSQL.' . $s->port, 'the local socket is there');
ok($s->connect_tcp, 'and the port');

($code, $out, $err) = $s->ctl('start');
is($code, 1, 'a second start fails');
like($err, qr/running already.*pid $pid/, '... and names the one that runs');
($code, $out, $err) = $s->run('reeved', '-D', $s->dir);
is($code, 1, 'so does a second reeved');
like($err, qr/in use by a server \(pid $pid\)/, '... by the lock');
is($s->pid, $pid, '... and the pid file stays that of the first');

$s->append_conf("log_level = debug\n");
($code) = $s->ctl('reload');
is($code, 0, 'reload');
ok($s->wait_for(sub { $s->log =~ /parameter "log_level" changed from "info" to "debug"/ }, 'the reload'), 'a changed setting is taken over');
$s->append_conf("max_connections = 50\n");
$s->ctl('reload');
ok($s->wait_for(sub { $s->log =~ /"max_connections" cannot be changed without restarting/ }, 'the hint'), 'one that needs a restart says so');
$s->append_conf("nonsense = 1\n");
($code, $out, $err) = $s->ctl('reload');
is($code, 1, 'a wrong file is not taken over');
like($err, qr/reeve\.conf:\d+: unrecognized configuration parameter "nonsense"/, '... and the line is named');
ok($s->answers, '... and the server goes on');
my $conf = ReeveServer::slurp($s->dir . '/reeve.conf') =~ s/nonsense.*\n//r;
$s->write_file('reeve.conf', $conf);

($code) = $s->ctl('restart', '-t', '30');
is($code, 0, 'restart');
isnt($s->pid, $pid, '... is another process');
ok($s->answers, '... that answers');

for my $mode (qw(smart fast immediate)) {
    my $p = $s->pid;
    my @kids = $s->children;
    ($code) = $s->ctl('stop', '-m', $mode, '-t', '30');
    is($code, 0, "stop $mode");
    ok(!(grep { ReeveServer::alive($_) } $p, @kids), '... leaves no process');
    ok(!-e $s->dir . '/reeve.pid' && !-e $s->dir . '/.s.PGSQL.' . $s->port, '... nor files');
    $s->start;
}

my $idle = $s->connect_tcp;
ok($s->wait_for(sub { $s->children('backend') == 1 }, 'a backend'), 'an open session');
($code, $out, $err) = $s->ctl('stop', '-m', 'smart', '-t', '1');
is($code, 1, 'smart waits for it');
like($err, qr/has not stopped.*\n.*-m fast/, '... and says what would not');
($code) = $s->ctl('stop', '-m', 'fast', '-t', '30');
is($code, 0, 'fast ends it');

$s->append_conf("log_format = json\n");
$s->start;
like($s->log, qr/^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","pid":\d+,"process":"postmaster","level":"INFO","message":".*"\}$/m,
    'the log in JSON lines');
$s->stop;

done_testing();
