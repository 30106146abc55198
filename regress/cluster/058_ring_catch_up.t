# Members join while registrations come as fast as the ring takes them: each gets the state once, and is in step while the load goes
# on. One of them is killed while it is sent the state; one was away for long. (That a state slower than the log in memory is sent
# once is ring/test_core_ring's, which has a small one: here it depends on the machine.)
use strict;
use warnings;
use Test::More;
use POSIX ();
use lib 'regress/lib';
use Ring;

my $BOUND = 240;        # seconds, on a machine that does other things as well
my $ROWS = 300_000;

my $r = Ring->new(members => 1, conf => "gateways = 1\n");
my $first = $r->server(0);
my $base = $first->{base};

open my $f, '>', "$base/token" or die $!;
print $f ($first->psql('CREATE JOIN_TOKEN WITH (uses = 1000)') =~ s/\|.*//sr), "\n";
close $f;
my $owner = $$;
my $load = fork() // die "fork: $!";
if ($load == 0) {
    open STDOUT, '>', "$base/load.out";
    open STDERR, '>&', \*STDOUT;
    exec 'reeve-bench', 'ring', '--agents', '127.0.0.1:' . $first->agent_port, '--token-file', "$base/token", '--clients', 200,
        '--connections', 20, '--batch', 100, '--duration', 3600, '--warmup', 0 or POSIX::_exit(127);
}
END { local $?; if ($load && $owner && $owner == $$) { kill 'KILL', $load; waitpid $load, 0 } }

sub rows { my ($s) = @_; return eval { $s->psql('SELECT count(*) FROM sys.workloads') } // 0 }
sub loaded { return waitpid($load, POSIX::WNOHANG()) == 0 }
# What another member lacks, in entries, as the one that leads sees it; 'none': it does not get entries yet.
sub lag {
    my ($i) = @_;
    my $name = $r->name($i);
    my $row = eval { $first->psql("SELECT lag, state FROM sys.ring_members WHERE member = '$name'") } // '';
    my ($lag, $state) = split /\|/, $row;
    return defined $lag && $lag ne '' && ($state // '') ne 'snapshot' ? $lag : 'none';
}
sub in_step { my ($i) = @_; my $lag = lag($i); return $lag ne 'none' && $lag < 100 }
# How often the state was written down, and taken.
sub copies { return scalar(() = $first->log =~ /a copy of the state at/g) }
sub installed { my ($s) = @_; return scalar(() = $s->log =~ /the state at \d+ is installed/g) }

sub join_only {
    my ($s) = @_;
    my $token = $first->psql("CREATE JOIN_TOKEN WITH (kind = 'member')") =~ s/\|.*//sr;
    my ($code, $out, $err) = $s->ctl('join', '--ring', "localhost:$first->{peer_port}", '--token', $token, '--address',
        "localhost:$s->{peer_port}");
    die "join: $err" if $code;
    $s->append_conf("port = $s->{port}\nagent_port = $s->{agent_port}\n$r->{conf}");
}
sub start_member {
    my ($s) = @_;
    my ($code, $out, $err) = $s->ctl('start', '-t', $BOUND);
    diag($err . $s->log) if $code;
    return $code == 0;
}
sub member {
    my ($s) = @_;
    my $i = @{$r->{s}};
    $r->{s}[$i] = $s;
    $r->{name}[$i] = 'eu-' . ($i + 1);
    return $i;
}

ok($first->wait_for(sub { rows($first) >= $ROWS }, 'a table', $BOUND), 'some hundred thousand rows');

# ---- one joins ----
my $s = ReeveServer->new;
join_only($s);
my $one = member($s);
ok(start_member($s), 'a member joins under full load');
ok($first->wait_for(sub { in_step($one) }, 'in step', $BOUND), '... and is in step');
ok(loaded(), '... while the load goes on');
is(installed($s), 1, '... with one state');
is(copies(), 1, '... that was written down once');

# ---- one is killed while it is sent the state ----
my $t = ReeveServer->new;
join_only($t);
my $two = member($t);
my $starter = fork() // die "fork: $!";
if ($starter == 0) {
    open STDERR, '>', '/dev/null';
    $t->ctl('start', '-t', $BOUND);
    POSIX::_exit(0);
}
ok($first->wait_for(sub { $t->log =~ /the state at \d+ comes from member/ }, 'chunks', $BOUND), 'another one is sent the state');
$r->kill_server($two);
waitpid $starter, 0;
my $before = installed($t);
ok(start_member($t), '... killed in the middle of it, it starts again');
ok($first->wait_for(sub { in_step($two) }, 'in step', $BOUND), '... and is in step');
ok(loaded(), '... while the load goes on');
cmp_ok(installed($t), '<=', $before + 1, '... with one state more at most');

# ---- one was away ----
my $was = rows($first);
$r->kill_server($two);
ok($first->wait_for(sub { rows($first) >= $was + $ROWS / 2 }, 'more rows', $BOUND), 'it is away for long');
$before = installed($t);
ok(start_member($t), '... and comes back');
ok($first->wait_for(sub { in_step($two) }, 'in step', $BOUND), '... and is in step');
ok(loaded(), '... while the load goes on');
cmp_ok(installed($t), '<=', $before + 1, '... with one state at most');
cmp_ok(copies(), '<=', 6, 'the state was not written down again and again');

kill 'TERM', $load;
waitpid $load, 0;
$load = 0;
note(scalar(() = $first->log =~ /from where it was kept/g), ' of the three had to be sent what the log in memory held no more');
ok($r->caught_up($_), $r->name($_) . ' has everything') for $one, $two;
my $all;
ok($first->wait_for(sub { my $n = rows($first); my $same = $n > 0 && rows($s) == $n && rows($t) == $n; $all = $n; return $same }, 'the same rows', $BOUND),
    'the same rows everywhere') and note("$all rows");
ok($r->server($_)->stop, 'it stops') for $r->all;
done_testing;
