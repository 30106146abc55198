#!/usr/bin/perl
# 055_ring_forward.t - any member takes any statement: what needs the region's keys, its validator or the leader is typed at a
# member that has none of it, done where it can be, and seen where it was typed; where that member is away the error says so and
# nothing was done. On a busy machine leaders change at any time: what was refused for that alone is said again.
use strict;
use warnings;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use lib 'regress/lib';
use Ring;
use RolloutFleet;

my $fleet = RolloutFleet->new(conf => "rollout_report_timeout = 30s\n");
my $ring = Ring->new(first => $fleet, conf => $fleet->{conf});
my ($a, $b, $c) = $ring->servers;               # the keys and the validator are at the first

sub ask {
    my ($s, $sql) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $s->run('psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', $s->port,
        '-U', 'admin', '-d', 'reeve', '-c', $sql);
    return "$out$err";
}
# Nothing was done, and the reason passes.
my $passing = qr/ERROR:\s+(?:RL00[48]|57P03|53400)|at this moment|Try again|did not take over/;
sub said {
    my ($s, $sql, $answer) = @_;
    for (my $end = time + 90; time < $end; sleep 0.1) {
        $answer = ask($s, $sql);
        return $answer if $answer !~ $passing;
    }
    return $answer;
}
sub done { my ($s, $sql, $what) = @_; my $answer = said($s, $sql); unlike($answer, qr/ERROR/, $what // $sql) or diag($answer); return $answer }
# What this member has itself, without asking anybody.
sub here { my ($s, $sql) = @_; return ask($s, "SET read_consistency = local; $sql") =~ s/\n.*//sr }
# Seen there by the time the answer came; a ring without a leader for a while answers earlier.
my $late = 0;
sub seen {
    my ($sql, $want, $what) = @_;
    my $got = here($b, $sql);
    $late++ if $got !~ $want;
    ok($got =~ $want || $b->wait_for(sub { ($got = here($b, $sql)) =~ $want }, $want), $what) or diag($got);
}
sub leads { my ($n) = @_; return here($b, "SELECT member FROM sys.ring_members WHERE role = 'leader'") eq "eu-$n" }
sub lead {
    my ($n) = @_;
    return $a->wait_for(sub { my $l = $ring->leading // return; leads($n) || (said($l, "ALTER RING eu TRANSFER LEADER TO 'eu-$n'"), leads($n))[1] },
        "eu-$n leads", 60);
}

# ---- security updates at a member that joined and does not lead ----
ok(lead(3), 'the third member leads, the keys are at the first');
done($b, 'CREATE AUTHORITY ca');
seen("SELECT count(*) FROM sys.authorities WHERE name = 'ca'", qr/^1$/, '... and it is there where it was said');
done($b, "CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
seen("SELECT generation FROM sys.certs WHERE name = 'web'", qr/^1$/, '... with generation 1');
done($b, "CREATE CERT common FROM AUTHORITY ca SANS ('common.example') WITH (shared = 'region')", 'a certificate with a shared key');
like(done($b, "CREATE AUTHORITY outside WITH (external = true, subject = 'CN=outside')", 'a request for an outside signer'),
    qr/NOTICE:.*request of \d+ bytes/, '... is made');
seen("SELECT count(*) FROM sys.authorities WHERE name = 'outside' AND request LIKE '%CERTIFICATE REQUEST%'", qr/^1$/, '... and shown');
done($b, "SET CONFIG 'http/max' = 7 IMMEDIATE");
seen("SELECT value FROM sys.config WHERE key = 'http/max'", qr/^7$/, '... is read at once');
done($b, "BEGIN; CREATE CERT one FROM AUTHORITY ca SANS ('one.example'); CREATE CERT two FROM AUTHORITY ca SANS ('two.example'); COMMIT",
    'a transaction of two');
seen("SELECT count(*) FROM sys.certs WHERE name IN ('one', 'two')", qr/^2$/, '... is whole');
like(said($b, "CREATE CERT web FROM AUTHORITY ca SANS ('web.example')"), qr/42710/, 'what is refused is refused as at one server');


# ---- the history at a member that has no cosigning key ----
{
    my $dir = $b->{base};
    my $file = sub {
        my ($name, $rest) = @_;
        my ($code, $out, $err);
        local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
        for (my $end = time + 90; time < $end; sleep 0.1) {      # without an error, and without the warning that no checkpoint came
            ($code, $out, $err) = $b->run('psql', '-Xq', '-h', '127.0.0.1', '-p', $b->port, '-U', 'admin', '-d', 'reeve',
                '-c', "COPY HISTORY TO STDOUT $rest");
            last if $err eq '';
        }
        open my $f, '>:raw', "$dir/$name" or die $!;
        print $f $out;
        close $f;
    };
    $file->('policy', "WITH (format = 'policy')");
    $file->('history', '');
    my ($code, $out, $err) = $b->run('reeve-audit', 'verify', "$dir/history", '--trust-root', "$dir/policy");
    is($code, 0, 'a bundle exported there is sound') or diag($err);
    like($out, qr/checkpoint cosigned by 1/, '... under a checkpoint of the member that has the key');
}

# ---- more at once than one member is let in with ----
my @crowd = map {
    my $n = $_;
    my $pid = fork // die "fork: $!";
    POSIX::_exit(said($b, "CREATE CERT crowd$n FROM AUTHORITY ca SANS ('crowd$n.example')") =~ /ERROR/ ? 1 : 0) if $pid == 0;
    $pid;
} 1 .. 24;
is(scalar(grep { waitpid($_, 0); $? } @crowd), 0, 'a crowd waits for its turn');
seen("SELECT count(*) FROM sys.certs WHERE name LIKE 'crowd%'", qr/^24$/, '... and all of it comes');

# ---- a rollout ----
$fleet->fleet('nodes', count => 3);
ok($a->wait_for(sub { $fleet->serving('web') eq '1:3' }, 'all serve generation 1', 60), 'three nodes');
my ($id) = done($b, "ROTATE CERT web CANARY 1 NODES FOR '1 h' THEN 100% REASON 'at another member'") =~ /^(\d+)\|/m;
sub state { return here($b, "SELECT state FROM sys.rollouts WHERE rollout_id = $id") }
ok($a->wait_for(sub { state() eq 'baking' }, 'a wave'), 'a rollout begun there takes its way') or diag(state());
for my $step (["PAUSE ROLLOUT $id REASON 'look'", 'paused'], ["RESUME ROLLOUT $id", 'baking|releasing|preparing|waiting_window'],
    ["CANCEL ROLLOUT $id REASON 'enough'", 'canceled|cancelled|canceling']) {
    done($b, $step->[0]);
    seen("SELECT state FROM sys.rollouts WHERE rollout_id = $id", qr/^(?:$step->[1])$/, '... is read at once');
}
done($b, "REVOKE CERT web GENERATION 2 REASON 'lost'");
done($b, "ALTER REGION eu FREEZE REASON 'hands off'");
like(said($b, "CREATE CERT three FROM AUTHORITY ca SANS ('three.example')"), qr/RL005/, '... and is');
done($b, "ALTER REGION eu UNFREEZE REASON 'go on'");


# ---- members, at one that does not lead ----
# Said until it is in force; the time it is answered so, it is seen at once.
sub becomes {
    my ($sql, $query, $want, $what) = @_;
    my ($answer, $seen);
    for (my $end = time + 90; time < $end; sleep 0.1) {
        $answer = ask($b, $sql);
        $seen = here($b, $query);
        last if $answer !~ /ERROR/ || $answer !~ /$passing|08007|42710/ || ($answer =~ /42710/ && $seen eq $want);
    }
    $late++ if $seen ne $want;
    ok($seen eq $want || $b->wait_for(sub { here($b, $query) eq $want }, $want), $what) or diag($answer);
}
my $third = "ALTER RING eu ADD MEMBER 'eu-3' ADDRESS 'localhost:$c->{peer_port}'";
ok(lead(1), 'the first leads');
becomes("$third AS LEARNER", "SELECT role FROM sys.ring_members WHERE member = 'eu-3'", 'learner', 'a vote is taken away at a follower');
becomes($third, "SELECT role FROM sys.ring_members WHERE member = 'eu-3'", 'voter', '... and given');
ok($a->wait_for(sub { ask($b, "ALTER RING eu TRANSFER LEADER TO 'eu-3'") !~ /ERROR/ && leads(3) }, 'eu-3 leads', 90),
    'leadership is handed over there');
like(said($b, "ALTER RING eu DROP MEMBER 'eu-9'"), qr/42704.*HINT:/s, 'who is no member is not looked for');
like(said($b, "ALTER RING eu ADD MEMBER 'eu-3' ADDRESS 'localhost:$c->{peer_port}'"), qr/42710.*has a vote already.*HINT:/s, 'the leader\'s refusal comes back whole');

# ---- the keys are away ----
# The ring goes on without them, so whatever is refused is refused for them alone.
sub refused {
    my ($sql, $what) = @_;
    my ($answer, $took);
    for (my $end = time + 90; time < $end; sleep 0.1) {
        my $begun = time;
        $answer = ask($b, $sql);
        $took = time - $begun;
        last if $answer !~ /RL00[48]/;
    }
    like($answer, qr/ERROR:\s+57P03: member "eu-1", which has the region's keys.*nothing was changed.*HINT:.*SHOW MEMBERS/s, $what);
    cmp_ok($took, '<', 29, '... in time');
}
ok(lead(3), 'the third leads');
my ($stopped) = $a->children('ring');
kill 'STOP', $stopped;
refused("CREATE CERT away FROM AUTHORITY ca SANS ('away.example')", 'a stopped ring process with the keys');
refused("CREATE AUTHORITY away", '... for a key as well');
done($b, "SET CONFIG 'http/max' = 8 IMMEDIATE", 'what needs no key is changed meanwhile');
kill 'CONT', $stopped;
done($b, "CREATE CERT four FROM AUTHORITY ca SANS ('four.example')", 'when it goes on, so does everything');
is(here($b, "SELECT count(*) FROM sys.certs WHERE name = 'away'") + here($b, "SELECT count(*) FROM sys.authorities WHERE name = 'away'"), 0,
    '... and what was refused was not done late');

ok(lead(3), 'the third leads');
$ring->kill_server($a);
refused("CREATE CERT away FROM AUTHORITY ca SANS ('away.example')", 'a dead server with the keys');
ok($b->wait_for(sub { ask($b, "ALTER RING eu DROP MEMBER 'eu-2'") =~ /RL008.*HINT:.*Say it there/s }, 'the refusal'),
    'who would not hear the answer is sent to the leader');
$a->start;
done($b, "CREATE CERT away FROM AUTHORITY ca SANS ('away.example')", '... which comes back');

# ---- the one with the keys dies while it is at it ----
# Said at the second member until the first one's log has that line; then its ring process dies, and what comes after that is done.
# The answer, and its time.
sub cut_off {
    my ($stopped, $name, $line, $then) = @_;
    my ($out, $mark) = ("$a->{base}/$name", length $a->log);
    ok(lead(3), 'the third leads');
    kill 'STOP', $stopped;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open my $h, '>', $out;
        print $h said($b, "CREATE CERT $name FROM AUTHORITY ca SANS ('$name.example')");
        close $h;
        POSIX::_exit(0);
    }
    ok($a->wait_for(sub { substr($a->log, $mark) =~ $line }, 'the request'), "$name: a request has come");
    my $begun = time;
    kill 'KILL', $a->children('ring');
    kill 'CONT', $stopped;
    $then->() if $then;
    waitpid $pid, 0;
    return (ReeveServer::slurp($out), time - $begun);
}
my ($signer) = $a->children('signer');
my ($answer, $took) = cut_off($signer, 'doubt', qr/member 2 asks for cert "doubt"/);
like($answer, qr/ERROR:\s+08007: member "eu-1" was lost.*unknown.*HINT:/s, 'what has not become final is not known');
cmp_ok($took, '<', 29, '... and said in time');
like(done($b, "CREATE CERT doubt FROM AUTHORITY ca SANS ('doubt.example')", '... and it is said again'), qr/doubt|^$/);
seen("SELECT count(*) FROM sys.certs WHERE name = 'doubt'", qr/^1$/, '... with its effect');

# What the validator has becomes final without the ring process, and the object tells so.
$a->append_conf("log_level = debug\n");
$a->ctl('reload');
my ($validator) = $a->children('validator');
# (Where its ring process takes too long to come back, once more.)
my $name;
for my $n (1 .. 3) {
    $name = "told$n";
    ($answer, $took) = cut_off($validator, $name, qr/member 2 asks for cert "$name".*signed updates are with the validator/s);
    last if $answer !~ /08007/;
}
unlike($answer, qr/ERROR/, 'what became final is answered as done by the one that asked') or diag("$answer, after $took s");
seen("SELECT count(*) FROM sys.certs WHERE name = '$name'", qr/^1$/, '... with its effect');

# Somebody else was there first: certainly not made.
for my $n (1 .. 3) {
    $name = "taken$n";
    ($answer) = cut_off($signer, $name, qr/member 2 asks for cert "$name"/,
        sub { done($c, "CREATE CERT $name FROM AUTHORITY ca SANS ('another.example')", 'another one of that name') });
    last if $answer !~ /08007/;
}
like($answer, qr/ERROR:\s+42710/, '... and the first one is told that it exists') or diag($answer);
$a->append_conf("log_level = info\n");
$a->ctl('reload');

# ---- a member is dropped at another ----
ok(lead(1), 'the first leads');
becomes("ALTER RING eu DROP MEMBER 'eu-3'", "SELECT count(*) FROM sys.ring_members WHERE role <> 'leaving'", 2, 'a member is dropped at a follower');
ok($b->wait_for(sub { here($b, 'SELECT count(*) FROM sys.ring_members') eq '2' }, 'two members'), '... and gone');

cmp_ok($late, '<=', 2, 'what was answered could be read');
$fleet->fleet_stop('nodes');
$_->stop for $ring->servers;
done_testing;
