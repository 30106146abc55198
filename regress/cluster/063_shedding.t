# More connections than a gateway takes on: the rest is told to come back in eight plaintext bytes, counted and logged; who is in is served.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(sleep time);
use RolloutFleet;

my ($bound, $over) = (8, 24);
my $dir = tempdir('/tmp/reeve-shed-XXXXXX', CLEANUP => 1);
my $f = RolloutFleet->new(conf => "gateways = 1\nagent_accept_queue = $bound\n");
my ($owner, %pid) = ($$);

sub slurp { ReeveServer::slurp($_[0]) }
sub shed_logged { my @n = $f->log =~ /shed before TLS, (\d+) in all/g; return $n[-1] // 0 }
sub shed_lines { my $n = () = $f->log =~ /shed before TLS/g; return $n }
sub tcp { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $f->agent_port, Proto => 'tcp', Timeout => 5) }
sub agent {
    my ($name) = @_;
    my ($token) = $f->sql('CREATE JOIN_TOKEN WITH (uses = 1)') =~ /(reeve1\.[\w-]+)/;
    $pid{$name} = fork // die "fork: $!";
    return if $pid{$name};
    open STDERR, '>>', "$dir/$name.log";
    exec 'reeve-agent', '--state', "$dir/$name", '--server', '127.0.0.1:' . $f->agent_port, '--token', $token or POSIX::_exit(127);
}
sub status { my $t = qx{reeve-agent status --state $dir/$_[0] 2>/dev/null}; return $t ? decode_json($t) : {} }
# What a connection that says nothing is told until the end of file; undef: nothing within half a second.
sub told {
    my ($c) = @_;
    my $text = '';
    while (IO::Select->new($c)->can_read(0.5)) {
        my $n = sysread $c, $text, 100, length $text;
        return $text unless $n;
    }
    return undef;
}
sub reaches { my ($name, $v) = @_; my $began = time; $f->sql("SET CONFIG 'x' = $v IMMEDIATE");
    $f->wait_for(sub { slurp("$dir/$name/config.json") =~ /"x": $v\b/ }, "x = $v"); return time - $began }

agent('early');
ok($f->wait_for(sub { (status('early')->{connection} || '') eq 'ready' }, 'ready'), 'an agent is in');
is(shed_logged(), 0, 'nobody was shed yet');

# ---- the bound, exactly ----
# The places are held for five seconds at most, so those who hold them are seen to before and after.
my (@held, @told, @silent);
my ($exact, $unsure) = (0, 0);
for (1 .. 5) {
    my $began = time;
    @held = map { tcp() } 1 .. $bound;
    my @more = map { tcp() } 1 .. $over;
    my @said = map { told($_) } @more;
    my @kept = map { IO::Select->new($_)->can_read(0) ? 0 : 1 } @held;
    push @told, grep { defined && length } @said;
    $unsure += grep({ defined && !length } @said) + grep({ !$_ } @kept);
    @silent = grep { !defined } @said;
    my $quick = time - $began < 4;
    last if $quick && ($exact = !@silent && !grep({ !$_ } @kept));
    close $_ for @held, @more;
    sleep 0.2 while time - $began < 5;                 # a slow machine: once more
}
ok($exact, "$bound that say nothing hold the places, $over more are all told something, and at once");
is(scalar(grep { length $_ == 8 && substr($_, 0, 4) eq 'RVRT' } @told), scalar @told, '... RVRT and four bytes, in plaintext, before a byte of TLS');
my @ms = map { unpack 'N', substr $_, 4 } @told;
ok(!grep({ $_ < 50 || $_ > 60000 } @ms), '... 50 ms to 60 s: ' . join(' ', @ms[0 .. 3]) . ' ...');
cmp_ok(reaches('early', 7), '<', 5, 'who is in is served meanwhile');
agent('late');
ok($f->wait_for(sub { (status('late')->{connection} || '') eq 'ready' }, 'ready', 90), 'who is told comes back and is let in');
close $_ for @held;
my $sure = scalar @told;
ok($f->wait_for(sub { shed_logged() >= $sure }, 'the count'), "the log counts at least the $sure");
my $turned_away = shed_logged() - $sure;
cmp_ok($turned_away, '<=', status('late')->{connects} + $unsure, '... and besides only what the late one tried');
cmp_ok(shed_lines(), '<=', 2 + (time - $^T) / 10, '... in a line every ten seconds at most');

# ---- a crowd ----
$f->fleet('crowd', count => 150);
ok($f->wait_for(sub { $f->status('crowd') =~ /"connected": 150,/ }, 'crowd', 60), "150 agents at one time through $bound places: all are in");
cmp_ok(reaches('early', 8), '<', 5, '... and changes are on time');
ok($f->wait_for(sub { shed_logged() > $sure + $turned_away }, 'more'), '... though many were shed on the way: ' . shed_logged());

# ---- afterwards ----
agent('after');
ok($f->wait_for(sub { (status('after')->{connection} || '') eq 'ready' }, 'ready'), 'afterwards a new agent is let in');
is(status('after')->{connects}, 1, '... at its first attempt');
unlike($f->log, qr/assert|ended by signal/, 'nobody crashed');
$f->fleet_stop('crowd');
$f->stop;
done_testing();

END {
    my $code = $?;
    if ($owner == $$) {
        kill 'KILL', values %pid;
        waitpid $_, 0 for values %pid;
    }
    $? = $code;
}
