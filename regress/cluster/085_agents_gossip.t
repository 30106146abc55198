#!/usr/bin/perl
# 085_agents_gossip.t - agents tell each other finalized heads; who is shown two histories stops, keeps both, and the region says who
#
# The second history is made with the only validator's own key (regress/lib/forkhead), as somebody would who has a quorum of keys.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);
use JSON::PP;
use lib 'regress/lib';
use ReeveServer;

my $dir = tempdir('/tmp/reeve-gossip-XXXXXX', CLEANUP => 1);
my $s = ReeveServer->new(conf => "attest_tick_interval = 1s\nagent_heartbeat_interval = 2s\ngateways = 2\nagent_reconnect_window = 200ms\n");
my $forkhead = "$ENV{REEVE_BUILD}/regress/lib/forkhead";
my %port = map { $_ => Ports::take() } qw(a b);
my %pid;

sub status { my ($n) = @_; my (undef, $t) = $s->run('reeve-agent', 'status', '--state', "$dir/$n"); return eval { decode_json($t) } // {} }
sub agent_start {
    my ($n, $other, $token) = @_;
    my @first = $token ? ('--token', $token) : ();
    push @first, '--peer-listen', "127.0.0.1:$port{$n}", '--peers', "127.0.0.1:$port{$other}" if defined $other;
    $pid{$n} = fork // die;
    return if $pid{$n};
    open STDERR, '>>', "$dir/$n.log";
    exec 'reeve-agent', '--state', "$dir/$n", '--server', '127.0.0.1:' . $s->agent_port, '--tick-interval', '2 s', @first;
    die;
}
sub agent_stop { my ($n) = @_; return unless $pid{$n}; kill 'TERM', $pid{$n}; waitpid $pid{$n}, 0; delete $pid{$n} }
END { my $rc = $?; agent_stop($_) for keys %pid; $? = $rc }
sub show_head {
    my ($n, @how) = @_;
    my ($code, $out, $err) = do {
        local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
        my $copy = "psql -Xq -h 127.0.0.1 -p @{[$s->port]} -U admin -d reeve -c 'COPY HISTORY TO STDOUT'";
        $s->run('sh', '-c', "$copy | $forkhead $s->{dir}/keys/validator.key 127.0.0.1:$port{$n} @how");
    };
    return is($code, 0, 'told') || diag($err);
}

$s->init->start;
my ($token) = $s->psql('CREATE JOIN_TOKEN WITH (uses = 10)') =~ /(reeve1\.[\w-]+)/;
agent_start('a', 'b', $token);
agent_start('b', 'a', $token);
agent_start('c', undef, $token);        # it has no peers: what it hears comes through its gateway
for my $n ('a', 'b') {
    ok($s->wait_for(sub { (status($n)->{state} // '') eq 'FRESH' }, 'FRESH'), "$n is FRESH") or diag(ReeveServer::slurp("$dir/$n.log"));
    ok($s->wait_for(sub { (status($n)->{heads_heard} // 0) >= 2 }, 'heads'), "... and hears its peer's heads");
}
ok($s->wait_for(sub { (status('c')->{state} // '') eq 'FRESH' }, 'FRESH'), 'c is FRESH');
is(status('a')->{heads_ignored}, 0, 'what comes from a peer is believable');

# ---- junk ----
show_head('a', 'spoiled');
ok($s->wait_for(sub { status('a')->{heads_ignored} >= 1 }, 'the junk'), 'a head that nobody signed is ignored');
is(status('a')->{halted}, '', '... and stops nobody');
is($s->psql("SELECT count(*) FROM sys.issues WHERE kind = 'fork'"), 0, '... and is no issue');

# ---- two histories ----
show_head('a');
ok($s->wait_for(sub { status('a')->{halted} =~ /two histories/ }, 'the fork'), 'a head that the validators signed beside the true one stops the agent');
like(status('a')->{halted}, qr/culprits: \w+/, '... which names the culprits');
is(status('a')->{state}, 'STALE', '... and says STALE');
ok($s->wait_for(sub { -s "$dir/a/fork.evidence" }, 'evidence'), 'both heads are kept');
ok($s->wait_for(sub { $s->psql("SELECT count(*) FROM sys.issues WHERE kind = 'fork'") == 1 }, 'the issue'), 'the region raises an issue');
like($s->psql("SELECT severity, message FROM sys.issues WHERE kind = 'fork'"), qr/^critical\|two histories were made final, at heights \d+ and \d+; culprits: \w+$/,
    '... that names the culprits');
ok($s->wait_for(sub { status('b')->{halted} =~ /culprits: \w+/ }, 'the other agent'), 'the other agent hears of it, and stops');

ok($s->wait_for(sub { status('c')->{halted} =~ /culprits: \w+/ }, 'the third agent'), 'and one without peers, through whichever gateway it is at');

# ---- what it means ----
my $height = status('a')->{height};
ok($s->wait_for(sub { $s->psql("SELECT height FROM sys.chain") > $height + 2 }, 'ticks'), 'the chain goes on');
is(status('a')->{height}, $height, '... and the agent takes nothing of it');
is(status('a')->{connection}, 'ready', 'the region still hears of the node');
agent_stop('a');
agent_start('a', 'b');
ok($s->wait_for(sub { (status('a')->{halted} // '') =~ /two histories/ }, 'the fork'), 'it remembers over a restart');
is(status('a')->{height}, $height, '... and where it was');

done_testing();
