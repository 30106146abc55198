# kill -9 of everything and of single processes at random moments, under load: nothing acknowledged is lost, nothing is
# applied twice, a rollout under way completes wave by wave, everybody is back.
#
#   REEVE_KILL_SECONDS=30   how long (check-world: longer)      REEVE_KILL_SEED=N   the same choices again
use strict;
use warnings;
use FindBin;
use Test::More;
use Time::HiRes qw(sleep time);
use ReeveServer;

my $seconds = $ENV{REEVE_KILL_SECONDS} // 30;
my $seed = $ENV{REEVE_KILL_SEED} // $ENV{REEVE_CHECK_SEED} // int(time * 1000) % 1000000;
my $fleet_count = 40;
srand $seed;
diag("seed $seed (REEVE_KILL_SEED), $seconds s");

my $s = ReeveServer->new(conf => "agent_heartbeat_interval = 1s\nagent_reconnect_window = 1s\nattest_tick_interval = 1s\n"
    . "attest_submit_timeout = 5s\nlog_level = info\n");
$s->init->start;
my $base = $s->{base};
my (@helpers, $owner);
$owner = $$;

sub spawn {
    my ($name, @cmd) = @_;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$base/$name.out";
        open STDERR, '>', "$base/$name.err";
        exec @cmd or POSIX::_exit(127);
    }
    push @helpers, $pid;
    return $pid;
}

sub text { ReeveServer::slurp($_[0]) }

# The server may be anywhere between dead and well.
sub try_sql { my $out = eval { $s->psql($_[0]) }; return $out; }

# ---- what is written ----

$s->psql("CREATE AUTHORITY ca WITH (key_type = 'ecdsa', ttl = '1 year')");
$s->psql("CREATE CERT 'counted' FROM AUTHORITY ca SUBJECT 'CN=counted' VALID FOR '30 days'");
$s->psql("CREATE CERT 'rolled' FROM AUTHORITY ca SUBJECT 'CN=rolled' VALID FOR '30 days'");
my ($token) = split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = 1000, ttl = '1 day')");
open my $tf, '>', "$base/token" or die;
print $tf "$token\n";
close $tf;
mkdir "$base/fleet";
mkdir "$base/load";

# The fleet enrols over most of the run, so that enrolments are cut off too.
spawn('fleet', 'reeve-bench', 'fleet', '--server', '127.0.0.1:' . $s->agent_port, '--token-file', "$base/token",
    '--count', $fleet_count, '--state', "$base/fleet", '--ramp', int($seconds / 2), '--workloads', 3,
    '--duration', $seconds + 600, '--status', "$base/fleet.json", '--json');
spawn('load', '/usr/bin/python3', "$FindBin::Bin/kill_load.py",
    "host=127.0.0.1 port=" . $s->port . " dbname=reeve user=admin password='$ReeveServer::PASSWORD'", "$base/load", "$base/stop");
ok($s->wait_for(sub { text("$base/load/c0.log") =~ /ack/ && text("$base/load/attested.log") =~ /ack/ }, 'the load'),
    'writers are at work');

sub fleet { text("$base/fleet.json") =~ /"$_[0]":\s*(\d+)/ ? $1 : -1 }
ok($s->wait_for(sub { fleet('connected') > 2 }, 'agents'), 'agents are connected');

# ---- killing ----

my %killed = (everything => 0, postmaster => 0);
my ($rotations, @answered, $down) = (0);

sub kill_everything {
    my $pid = $s->pid or return;
    my @all = sort { rand() <=> 0.5 } $pid, $s->children(undef, $pid);
    kill 'KILL', $_ for @all;
    $killed{everything}++;
    $s->wait_for(sub { !$s->pid }, 'its end');
}

sub kill_postmaster {
    kill 'KILL', $s->pid || return;
    $killed{postmaster}++;
    $s->wait_for(sub { !$s->pid }, 'its end');
}

sub kill_child {
    my $kind = (qw(ring ring signer validator gateway backend))[rand 6];
    my @kids = $s->children($kind);
    my $victim = $kids[rand @kids] // return;
    $killed{$kind}++ if kill 'KILL', $victim;
}

sub keep_a_rollout_going {
    my $n = try_sql("SELECT count(*) FROM sys.rollouts WHERE state NOT IN ('succeeded', 'canceled', 'rolled_back', 'expired')");
    return if !defined $n || $n > 0;
    $rotations++;
    my $row = try_sql("ROTATE CERT 'rolled' CANARY 20% FOR '1 s' THEN 60% FOR '1 s', 100%") // return;
    push @answered, $1 if $row =~ /^(\d+)\|/;
}

my $starts = 0;
my $end = time + $seconds;
while (time < $end) {
    keep_a_rollout_going();
    sleep rand 1.2;
    my $what = rand;
    if ($what < 0.3) { kill_everything() }
    elsif ($what < 0.4) { kill_postmaster() }
    else { kill_child() }
    if (!$s->pid) {
        my ($code, $out, $err) = $s->ctl('start', '-t', '60');
        $starts++;
        is($code, 0, "start $starts") or BAIL_OUT($err . $s->log);
    }
}
diag(join ', ', map { "$_ $killed{$_}" } sort keys %killed);
cmp_ok($starts, '>=', 2, "started again $starts times");
ok($s->wait_for(sub { try_sql('SELECT 1') }, 'an answer'), 'the server answers');

# ---- what stands ----

open my $sf, '>', "$base/stop" or die;
close $sf;
waitpid $helpers[1], 0;
is($?, 0, 'the writers ended') or diag(text("$base/load.err"));
my $settled = 'SELECT max(version) FROM sys.history';
my $before = '';
ok($s->wait_for(sub { my $now = try_sql($settled) // return 0; my $same = $now eq $before; $before = $now; sleep 0.5; $same },
    'rest'), 'no statement is under way');

sub said {
    my ($name) = @_;
    my %said = map { $_ => {} } qw(try ack lost no stale);
    my $log = text("$base/load/$name.log");
    $said{$1}{$2} = 1 while $log =~ /^(\w+) (\d+)/mg;
    return \%said;
}

# Once each, all that was acknowledged, nothing refused, nothing invented.
sub compare {
    my ($what, $said, @stand) = @_;
    my %n;
    $n{$_}++ for @stand;
    is_deeply([grep { $n{$_} > 1 } sort keys %n], [], "$what: nothing twice");
    is_deeply([grep { !$n{$_} } sort keys %{ $said->{ack} }], [],
        "$what: all of " . keys(%{ $said->{ack} }) . ' acknowledged stand');
    is_deeply([grep { !$said->{try}{$_} } keys %n], [], "$what: nothing else");
    is_deeply([grep { $n{$_} } keys %{ $said->{no} }], [], "$what: nothing that was refused");
    is_deeply($said->{stale}, {}, "$what: who was answered saw it");
}

sub history_values {
    my ($key) = @_;
    my @rows = split /\n/, $s->psql("SELECT version, before, after FROM sys.history WHERE object_kind = 'config' AND object = '$key' ORDER BY version");
    my ($last, @values) = ('');
    my $broken = 0;
    for (@rows) {
        my ($version, $was, $is) = split /\|/;
        my ($value) = $is =~ /"value":"(\d+)"/;
        $broken++ if $was ne $last;
        $last = $is;
        push @values, $value;
    }
    is($broken, 0, "$key: each change begins where the last ended");
    is($s->psql("SELECT value FROM sys.config WHERE key = '$key'"), $values[-1], "$key: its value is the last one");
    return @values;
}

for my $name (map { "c$_" } 0 .. 3) {
    compare($name, said($name), history_values("load/$name"));
}
my @a = history_values('pair/a');
my @b = history_values('pair/b');
is_deeply(\@a, \@b, 'two keys of one transaction: both or neither');
compare('pair', said('pair'), @a);

# What was submitted before the last kill may become final after its statement is gone: both are read of one moment.
my @leaves;
sub tree_size { return $s->psql('SELECT tree_size FROM sys.chain') }
ok($s->wait_for(sub {
    @leaves = split /\n/, $s->psql("SELECT version, object_kind, object, object_version, statement FROM sys.history WHERE log = 'global' ORDER BY version");
    return tree_size() == @leaves;
}, 'a chain at rest'), 'the chain says the same size');
my (%version_of, @counted);
my ($gaps, $jumps) = (0, 0);
for my $i (0 .. $#leaves) {
    my ($index, $kind, $object, $version, $statement) = split /\|/, $leaves[$i];
    $gaps++ if $index != $i;
    $jumps++ if $version != ($version_of{"$kind $object"} // 0) + 1;
    $version_of{"$kind $object"} = $version;
    push @counted, $1 - 100000 if $object eq 'counted' && $statement =~ /renew_before = '(\d+) s'/;
}
is($gaps, 0, 'the log of ' . @leaves . ' leaves is dense');
is($jumps, 0, 'versions of every object are dense');
compare('attested', said('attested'), @counted);
is($s->psql('SELECT count(*) FROM (SELECT version, count(*) AS n FROM sys.history WHERE log = \'region\' GROUP BY version) h WHERE n > 2'), '0',
    'a revision holds one statement or one pair');

# ---- rollouts ----

ok($s->wait_for(sub { (try_sql("SELECT count(*) FROM sys.rollouts WHERE state = 'succeeded'") // -1) ==
    (try_sql('SELECT count(*) FROM sys.rollouts') // 0) }, 'rollouts', 150), 'every rollout ended well')
    or diag($s->psql("SELECT * FROM sys.rollouts WHERE state <> 'succeeded'"), "\n", $s->psql("SELECT * FROM sys.rollout_waves"));
my %ids = map { $_ => 1 } split /\n/, $s->psql('SELECT rollout_id FROM sys.rollouts');
cmp_ok(scalar keys %ids, '>=', 1, keys(%ids) . " rollouts, $rotations asked for");
is_deeply([grep { !$ids{$_} } @answered], [], 'each that was answered stands');
for my $id (sort { $a <=> $b } keys %ids) {
    my @waves = split /\n/, $s->psql("SELECT detail FROM sys.rollout_events WHERE rollout_id = $id AND event = 'wave_opened' ORDER BY seq");
    my @seqs = split /\n/, $s->psql("SELECT seq FROM sys.rollout_events WHERE rollout_id = $id ORDER BY seq");
    is_deeply(\@seqs, [map { $_ + $seqs[0] } 0 .. $#seqs], "rollout $id: events are dense");
    is_deeply(\@waves, [map { "wave $_ of 3 opened" } 1 .. 3], "rollout $id: each wave once, in order");
}

# ---- the fleet ----

ok($s->wait_for(sub { fleet('connected') == $fleet_count && (try_sql('SELECT nodes_live FROM sys.regions') // 0) == $fleet_count },
    'the fleet', 120), "all $fleet_count agents are back") or diag(text("$base/fleet.json"));
is($s->psql('SELECT count(*) FROM sys.nodes'), $fleet_count, 'each enrolled once');
is($s->psql('SELECT 1000 - uses_left FROM sys.join_tokens'), $fleet_count, 'and the token was used once for each');
is_deeply([split /\n/, $s->psql('SELECT ordinal FROM sys.nodes ORDER BY ordinal')], [0 .. $fleet_count - 1], 'ordinals are dense');
ok($s->wait_for(sub { (try_sql('SELECT count(*) FROM sys.workloads') // 0) == 3 * $fleet_count }, 'workloads'), 'their workloads are there');
ok($s->wait_for(sub { my $r = try_sql("SELECT targets, on_current FROM sys.certs WHERE name = 'rolled'") // return 0;
    my ($t, $c) = split /\|/, $r; $t == $fleet_count && $c == $fleet_count }, 'generations'), 'all serve the newest generation')
    or diag(try_sql("SELECT * FROM sys.certs"));
unlike($s->log, qr/assert|PANIC|ended by signal (?!9\b)/, 'nobody crashed of itself');
$s->stop;

done_testing();

END {
    my $code = $?;
    if (defined $owner && $owner == $$) {
        if (open my $f, '>', "$base/stop") { close $f }
        kill 'TERM', @helpers;
    }
    $? = $code;
}
