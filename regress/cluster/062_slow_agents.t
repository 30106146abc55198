# Agents that do not read: pushes dropped with a RESYNC once, SLOW the second time; memory stays, others are on time, nothing is lost.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);
use JSON::PP;
use Time::HiRes qw(sleep time);
use ReeveServer;

my $dir = tempdir('/tmp/reeve-slow-XXXXXX', CLEANUP => 1);
my $probe = "$ENV{REEVE_BUILD}/regress/lib/gwprobe";
my $cap = 262144;
my ($values, $len, $many) = (50, 60000, 20);        # a snapshot of 3 MB is twelve times the cap
my $s = ReeveServer->new(conf => "attest_tick_interval = 1s\nagent_heartbeat_interval = 5min\nagent_reconnect_window = 200ms\n"
    . "agent_connection_bytes_max = $cap\ngateways = 1\nlog_level = debug\n");
my ($owner, %pid) = ($$);

sub slurp { my ($f) = @_; open my $h, '<', $f or return ''; local $/; my $t = <$h>; return defined $t ? $t : '' }
sub touch { my ($f) = @_; open my $h, '>', $f or die "$f: $!"; close $h }
sub program {
    my ($name, @cmd) = @_;
    $pid{$name} = fork // die "fork: $!";
    if (!$pid{$name}) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/$name.out";
        open STDERR, '>&', \*STDOUT;
        exec @cmd or POSIX::_exit(127);
    }
}
sub said { my ($name, $re) = @_; return slurp("$dir/$name.out") =~ $re }
sub ended { my ($name) = @_; waitpid $pid{$name}, 0; delete $pid{$name}; return $? >> 8 }
sub resident_kb { my ($gw) = $s->children('gateway'); return slurp("/proc/$gw/status") =~ /VmRSS:\s+(\d+)/ ? $1 : 0 }
sub times_logged { my ($re) = @_; my $n = () = $s->log =~ /$re/g; return $n }

$s->init->start;
my ($token) = $s->psql('CREATE JOIN_TOKEN WITH (uses = 1000)') =~ /(reeve1\.[\w-]+)/;
sub big { my ($k, $c) = @_; return "SET CONFIG 'big/$k' = '" . $c x $len . "' IMMEDIATE" }
$s->psql(big($_, 'a')) for 1 .. $values;

# ---- a set far over the cap reaches whoever reads ----
program('real', 'reeve-agent', '--state', "$dir/real", '--server', '127.0.0.1:' . $s->agent_port, '--token', $token);
sub real { my $t = qx{reeve-agent status --state $dir/real 2>/dev/null}; return $t ? decode_json($t) : {} }
ok($s->wait_for(sub { (real()->{values} || 0) == $values }, 'all values'), 'a configuration of twelve caps reaches a real agent whole');
is(real()->{connects}, 1, '... over its first connection');

# ---- one that floods ----
sub many_slow { local $ENV{GWPROBE_RCVBUF} = 8192; program(@_) }
many_slow('flood', $probe, 'run', $s->agent_port, $token, 'flood', qw(connect hello auth enroll subscribe whole flood));
ok($s->wait_for(sub { said('flood', qr/FLOOD/) }, 'the flood', 40), 'one sends heartbeats and never reads');
ok(said('flood', qr/FLOOD was cut off/), '... and is cut off');
is(ended('flood'), 0, '... which is the end of it');
ok($s->wait_for(sub { $s->log =~ /closing: it does not read \(SLOW\)/ }, 'SLOW'), '... as the log says');

# ---- twenty that follow and do not read ----
my $before = resident_kb();
many_slow("idle$_", $probe, 'run', $s->agent_port, $token, "idle$_", qw(connect hello auth enroll ask), "file=$dir/go",
    'wait=RESYNC', 'subscribe', 'whole', 'heartbeat') for 1 .. $many;
many_slow('twice', $probe, 'run', $s->agent_port, $token, 'twice', qw(connect hello auth enroll ask), "file=$dir/go",
    'wait=RESYNC', 'ask', "file=$dir/end", qw(reconnect hello auth ask whole));
ok($s->wait_for(sub { $s->psql('SELECT count(*) FROM sys.nodes') == $many + 3 }, 'enrolled'), "$many more enrol, ask for everything and read nothing");
my $slowest = 0;
for my $i (1 .. 10) {
    my $began = time;
    $s->psql("SET CONFIG 'small' = $i IMMEDIATE");
    $s->wait_for(sub { slurp("$dir/real/config.json") =~ /"small": $i\b/ }, "small = $i");
    $slowest = time - $began if time - $began > $slowest;
}
cmp_ok($slowest, '<', 5, sprintf('meanwhile each of ten changes is with who reads within 5 s (%.2f s)', $slowest));
$s->psql(big($_, 'b')) for 1 .. 10;                # each a new state: nothing of it may pile up for those who do not read
ok($s->wait_for(sub { times_logged(qr/told to resync/) == $many + 1 }, 'the drop'), 'what waits for those who do not read is dropped');
like($s->log, qr/reads too slowly: \d+ of \d+ waiting bytes dropped/, '... as the log says');
cmp_ok(resident_kb() - $before, '<', 30720, 'the gateway grew by half at most of what they should have read');

# ---- they read again ----
touch("$dir/go");
for my $i (1 .. $many) {
    my $code = ended("idle$i");
    my $text = slurp("$dir/idle$i.out");
    my $bs = () = $text =~ /value big\/\d+ gen=\d+ state=1 b/g;
    ok($code == 0 && $text =~ /RESYNC reason=2 what=3.*CONFIG kind=2 .*value small gen=\d+ state=1 10/s && $bs >= 10,
        "agent $i: RESYNC, then everything, over the same connection") or diag(substr($text =~ s/(.)\1{50,}/$1.../gr, -1500));
}

# ---- the second time ----
my $so_far = times_logged(qr/closing: it does not read \(SLOW\)/);
ok($s->wait_for(sub { times_logged(qr/closing: it does not read \(SLOW\)/) > $so_far }, 'the second SLOW', 40), 'who is slow a second time is cut off');
touch("$dir/end");
is(ended('twice'), 0, '... comes back') or diag(substr(slurp("$dir/twice.out") =~ s/(.)\1{50,}/$1.../gr, -1500));
ok(said('twice', qr{RESYNC reason=2.*AUTH_OK status=1.*CONFIG kind=\d revision=\d+ values=\d+ more=0.*value small gen=\d+ state=1 10}s), '... and receives everything');
is(real()->{connects}, 1, 'the one that reads never lost its connection');
unlike($s->log, qr/assert|ended by signal/, 'nobody crashed');
$s->stop;
done_testing();

END {
    my $code = $?;
    if ($owner == $$) {
        kill 'KILL', values %pid;
        waitpid $_, 0 for values %pid;
    }
    $? = $code;
}
