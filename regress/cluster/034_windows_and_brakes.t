# What the region does by itself: rollouts wait for their window, a mass that falls silent is not declared lost, what comes
# near its end unrenewed is an issue.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use ReeveServer;

my $s = ReeveServer->new(conf => "agent_heartbeat_interval = 1s\nagent_reconnect_window = 1s\nattest_tick_interval = 1s\n"
    . "node_late_after = 3s\nnode_lost_after = 6s\nrollout_report_timeout = 5s\n");
$s->init->start;
my ($base, $owner, $fleet_pid) = ($s->{base}, $$);
my $count = 30;

sub fleet { ReeveServer::slurp("$base/fleet.json") =~ /"$_[0]":\s*(\d+)/ ? $1 : -1 }
sub count_of { my ($state) = @_; return $s->psql("SELECT count(*) FROM sys.nodes WHERE state = '$state'") }
sub issue { return $s->psql("SELECT severity FROM sys.issues WHERE kind = '$_[0]' AND object = '$_[1]'") }
sub start_fleet {
    $fleet_pid = fork() // die;
    return if $fleet_pid;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$base/fleet.out";
    open STDERR, '>', "$base/fleet.err";
    exec 'reeve-bench', 'fleet', '--server', '127.0.0.1:' . $s->agent_port, '--token-file', "$base/token", '--count', $count,
        '--state', "$base/fleet", '--duration', 600, '--status', "$base/fleet.json", '--json' or POSIX::_exit(127);
}
sub stop_fleet { kill 'KILL', $fleet_pid; waitpid $fleet_pid, 0; $fleet_pid = 0; unlink "$base/fleet.json" }

# What will come to its end: a certificate whose authority signs no more, and an authority.
$s->psql("CREATE AUTHORITY dull WITH (key_type = 'ecdsa', ttl = '1 year')");
$s->psql("CREATE AUTHORITY brief WITH (key_type = 'ecdsa', ttl = '1 minute')");
$s->psql("CREATE CERT 'ending' FROM AUTHORITY dull SUBJECT 'CN=ending' VALID FOR '1 minute' RENEW BEFORE '50 s'");
$s->psql('ALTER AUTHORITY dull TAINT');
my $begun = time;

$s->psql("CREATE AUTHORITY ca WITH (key_type = 'ecdsa', ttl = '1 year')");
$s->psql("CREATE CERT 'edge' FROM AUTHORITY ca SUBJECT 'CN=edge' VALID FOR '30 days'");
my ($token) = split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = 100, ttl = '1 day')");
open my $tf, '>', "$base/token" or die;
print $tf "$token\n";
close $tf;
mkdir "$base/fleet";
start_fleet();
ok($s->wait_for(sub { $s->psql("SELECT on_current FROM sys.certs WHERE name = 'edge'") eq $count }, 'the fleet'), 'a fleet');

# ---- windows ----
my ($minute, $hour) = (gmtime(time + 6 * 3600))[1, 2];
$s->psql("CREATE WINDOW shut WITH (cron = '$minute $hour * * *', duration = '60 s')");
$s->psql("CREATE WINDOW always WITH (cron = '* * * * *', duration = '60 s')");
is($s->psql("SELECT open FROM sys.windows WHERE name = 'shut'"), 'f', 'a window is shut');
my ($id) = split /\|/, $s->psql("ROTATE CERT 'edge' CANARY 10% FOR '1 s' THEN 100% DURING WINDOW shut");
sub state { return $s->psql("SELECT state FROM sys.rollouts WHERE rollout_id = $_[0]") }
ok($s->wait_for(sub { state($id) eq 'waiting_window' }, 'the state'), 'a rollout waits for it') or diag(state($id));
is($s->psql("SELECT count(*) FROM sys.cert_generations WHERE cert = 'edge' AND generation = 2 AND nodes > 0"), '0', '... and touches nobody');
kill 'KILL', $s->children('ring');
ok($s->wait_for(sub { (eval { state($id) } // '') eq 'waiting_window' }, 'the ring'), '... also when the ring is new');
$s->psql("CANCEL ROLLOUT $id");
($id) = split /\|/, $s->psql("ROTATE CERT 'edge' CANARY 10% FOR '1 s' THEN 100% DURING WINDOW always");
ok($s->wait_for(sub { state($id) eq 'succeeded' }, 'success'), 'in an open window it runs') or diag($s->psql('SELECT * FROM sys.rollouts'));

# ---- a mass falls silent ----
ok($s->wait_for(sub { count_of('live') eq $count }, 'live'), 'all nodes are live');
stop_fleet();
ok($s->wait_for(sub { count_of('lost') eq $count / 10 }, 'lost'), 'silent, a tenth is declared lost');
ok($s->wait_for(sub { issue('mass_silence', 'eu') eq '3' || issue('mass_silence', 'eu') =~ /\w/ }, 'the issue'), '... an issue says that no more are');
my $until = time + 5;
my $most = 0;
while (time < $until) { my $n = count_of('lost'); $most = $n if $n > $most; sleep 0.5 }
is($most, $count / 10, '... and no more are, in that minute');
is(count_of('late'), $count - $count / 10, '... the others are late');
start_fleet();
ok($s->wait_for(sub { count_of('live') eq $count }, 'live', 60), 'back again, all are live');
ok($s->wait_for(sub { issue('mass_silence', 'eu') eq '' }, 'no issue'), '... and the issue is gone');

# ---- ends ----
sleep 0.5 while time < $begun + 35 && issue('certificate_expiry', 'ending') eq '';
ok($s->wait_for(sub { issue('certificate_expiry', 'ending') ne '' }, 'the issue', 40), 'an unrenewed certificate is an issue before its end');
ok($s->wait_for(sub { issue('authority_expiry', 'brief') ne '' }, 'the issue', 40), '... an authority too');
ok($s->wait_for(sub { time > $begun + 61 && $s->psql("SELECT message FROM sys.issues WHERE kind = 'certificate_expiry'") =~ /expired at/ }, 'the end', 40),
    '... and more so after it');
$s->psql("DROP CERT 'ending'");
ok($s->wait_for(sub { issue('certificate_expiry', 'ending') eq '' }, 'no issue'), '... and none when it is gone');
$s->stop;
done_testing();

END {
    my $code = $?;
    kill 'TERM', $fleet_pid if $fleet_pid && $owner == $$;
    $? = $code;
}
