# SIGSTOP of one part after the other: the others serve, statements say honestly what is not to be had, and within their
# time; continued, all is as before.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use ReeveServer;

my $s = ReeveServer->new(conf => "agent_heartbeat_interval = 1s\nagent_reconnect_window = 1s\nattest_tick_interval = 1s\n"
    . "attest_submit_timeout = 2s\n");
$s->init->start;
my ($base, $owner, $fleet_pid) = ($s->{base}, $$);
my $count = 24;
my $k = 0;

# SQLSTATE ('' when it went well), seconds, what was printed.
sub statement {
    my ($sql, $timeout) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my $start = time;
    my ($code, $out, $err) = $s->run('psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-h', '127.0.0.1', '-p', $s->port, '-U', 'admin',
        '-d', 'reeve', $timeout ? ('-c', "SET statement_timeout = '$timeout'") : (), '-c', $sql);
    chomp $out;
    my ($state) = $err =~ /ERROR:\s+(\w{5}):/;
    return ($state // ($code ? 'none' : ''), time - $start, $out, $err);
}

sub well {
    my ($sql, $what) = @_;
    my ($state, $took, $out, $err) = statement($sql);
    is($state, '', "$what: is done") or diag($err);
    cmp_ok($took, '<', 5, '... at once');
    return $out;
}

# state: one of several that are honest
sub refused {
    my ($sql, $states, $limit, $what, $timeout) = @_;
    my ($state, $took, $out, $err) = statement($sql, $timeout);
    like($state, qr/^(?:$states)$/, "$what: $states") or diag("$out$err");
    cmp_ok($took, '<', $limit, sprintf '... after %.1f s', $took);
    return $err;
}

sub attested { $k++; return "ALTER CERT 'edge' SET (renew_before = '" . (100000 + $k) . " s')" }
sub fleet { ReeveServer::slurp("$base/fleet.json") =~ /"$_[0]":\s*(\d+)/ ? $1 : -1 }
sub nth { my ($kind, $n) = @_; my @p = $s->children($kind); return $p[$n // 0] }
sub log_sizes_of_chain { return $s->psql('SELECT tree_size FROM sys.chain') }
sub ticks { return $s->psql('SELECT height FROM sys.chain') }
sub heals {
    my ($what) = @_;
    ok($s->wait_for(sub { (statement(attested()))[0] eq '' }, 'an attested change'), "$what continued: attested changes are made again");
    ok($s->wait_for(sub { fleet('connected') == $count && fleet('fresh') == $count }, 'the fleet', 60), "... and all agents are FRESH")
        or diag(ReeveServer::slurp("$base/fleet.json"));
}

$s->psql("CREATE AUTHORITY ca WITH (key_type = 'ecdsa', ttl = '1 year')");
$s->psql("CREATE CERT 'edge' FROM AUTHORITY ca SUBJECT 'CN=edge' VALID FOR '30 days'");
my ($token) = split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = 100, ttl = '1 day')");
open my $tf, '>', "$base/token" or die;
print $tf "$token\n";
close $tf;
mkdir "$base/fleet";
$fleet_pid = fork() // die;
if ($fleet_pid == 0) {
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$base/fleet.out";
    open STDERR, '>', "$base/fleet.err";
    exec 'reeve-bench', 'fleet', '--server', '127.0.0.1:' . $s->agent_port, '--token-file', "$base/token", '--count', $count,
        '--state', "$base/fleet", '--duration', 600, '--status', "$base/fleet.json", '--json' or POSIX::_exit(127);
}
ok($s->wait_for(sub { fleet('fresh') == $count }, 'the fleet'), 'a fleet');

# ---- the validator ----
my $leaves = log_sizes_of_chain();
my $p = nth('validator');
kill 'STOP', $p;
well("SET CONFIG 'x' = '1'", 'validator stopped: a plain change');
is(well("SELECT value FROM sys.config WHERE key = 'x'", 'validator stopped: a question'), 1, '... and what it changed is there');
my $err = refused(attested(), 'RL004|08007', 4, 'validator stopped: an attested change');
like($err, qr/HINT/, '... with a hint');
is(log_sizes_of_chain(), $leaves, '... and it was not made');
is(fleet('connected'), $count, '... agents stay connected');
kill 'CONT', $p;
heals('validator');
my %seen;
$seen{$_}++ for split /\n/, $s->psql("SELECT statement FROM sys.history WHERE object = 'edge'");
is_deeply([grep { $seen{$_} > 1 } keys %seen], [], 'nothing was made twice');

# ---- the signer ----
$p = nth('signer');
kill 'STOP', $p;
well("SET CONFIG 'x' = '2'", 'signer stopped: a plain change');
refused(attested(), 'RL004|08007', 4, 'signer stopped: an attested change');
$err = refused("CREATE AUTHORITY other WITH (key_type = 'ed25519', ttl = '1 year')", '57P03', 15, 'signer stopped: a new authority');
like($err, qr/nothing was changed/, '... and it says that nothing was changed');
is(fleet('connected'), $count, '... agents stay connected');
kill 'CONT', $p;
heals('signer');
is($s->psql("SELECT count(*) FROM sys.authorities"), '1', '... and the refused authority was not made meanwhile');

# ---- the ring ----
$p = nth('ring');
kill 'STOP', $p;
is(well("SELECT value FROM sys.config WHERE key = 'x'", 'ring stopped: a question'), 2, '... is answered from the store');
# Each question to the ring would cost half a second: one serves them all.
my $many = "import psycopg, sys\nwith psycopg.connect(sys.argv[1], autocommit=True) as c, c.pipeline():\n"
    . "    got = [c.execute(\"SELECT value FROM sys.config WHERE key = 'x'\") for _ in range(40)]\n"
    . "    print(''.join(g.fetchone()[0] for g in got))\n";
my $began = time;
is(($s->run('/usr/bin/python3', '-c', $many, $s->conninfo))[1], '2' x 40 . "\n", 'ring stopped: forty questions in a pipeline');
cmp_ok(time - $began, '<', 10, '... wait once, not forty times');
$many =~ s/got = .*\n/got = []\n    for _ in range(6):\n        got.append(c.execute("SELECT value FROM sys.config WHERE key = 'x'"))\n        c.execute("SET application_name = 'y'")\n/;
$began = time;
is(($s->run('/usr/bin/python3', '-c', $many, $s->conninfo))[1], '2' x 6 . "\n", '... six with other statements between them');
cmp_ok(time - $began, '>', 2.5, '... each wait by themselves: what comes behind another statement is asked for anew');
$err = refused("SET CONFIG 'x' = '3'", '08007', 5, 'ring stopped: a plain change, limited to 2 s', '2s');
like($err, qr/the ring did not answer in time; whether the change was made is unknown/, '... says what is not known');
refused(attested(), '08007', 5, 'ring stopped: an attested change', '2s');
is(fleet('connected'), $count, '... agents stay connected');
my $ticks = ticks();
kill 'CONT', $p;
heals('ring');
ok($s->wait_for(sub { $s->psql("SELECT value FROM sys.config WHERE key = 'x'") =~ /^[23]$/ }, 'x'), '... x is one of the two');
is($s->psql("SELECT count(*) FROM sys.history WHERE object = 'x'") <= 3, 1, '... changed at most once');
cmp_ok(ticks(), '>', $ticks, '... the chain went on');

# ---- one gateway of two ----
$p = nth('gateway', 0);
kill 'STOP', $p;
well("SET CONFIG 'x' = '4'", 'one gateway stopped: a plain change');
well(attested(), 'one gateway stopped: an attested change');
cmp_ok(fleet('fresh'), '>', 0, 'those of the other gateway are served');
kill 'CONT', $p;
heals('gateway');

# ---- a backend: nobody else's concern ----
# That of the statement before may be about to end: it is not the one to be stopped.
$s->wait_for(sub { $s->children('backend') == 0 }, 'no backend');
my $c = $s->connect_tcp;
ok($s->wait_for(sub { $s->children('backend') == 1 }, 'a backend'), 'a session');
($p) = $s->children('backend');
kill 'STOP', $p;
well("SET CONFIG 'x' = '5'", 'a backend stopped: another session');
kill 'CONT', $p;
close $c;

unlike($s->log, qr/ended by signal|assert/, 'nobody died of it');
$s->stop;
done_testing();

END {
    my $code = $?;
    kill 'TERM', $fleet_pid if $fleet_pid && $owner == $$;
    $? = $code;
}
