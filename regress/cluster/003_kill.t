# kill -9 of each kind of process: repaired, while the others go on.
use strict;
use warnings;
use Test::More;
use ReeveServer;

my $s = ReeveServer->new;
$s->init->start;
my $pid = $s->pid;

for my $kind (qw(signer validator ring gateway)) {
    my %others = map { $_ => 1 } map { $s->children($_) } qw(signer validator ring gateway);
    my @before = $s->children($kind);
    my $victim = $before[0];
    delete $others{$victim};
    kill 'KILL', $victim;
    ok($s->wait_for(sub { my @now = $s->children($kind); @now == @before && !grep { $_ == $victim } @now }, "$kind again"),
        "$kind is started again");
    ok($s->wait_for(sub { $s->log =~ /process $kind \(pid $victim\) ended by signal 9/ }, 'the line'), '... and its end is in the log');
    is_deeply([grep { !ReeveServer::alive($_) } keys %others], [], '... nobody else was touched');
    ok($s->wait_for(sub { $s->answers }, 'an answer'), '... and the server answers');
}

ok($s->wait_for(sub { $s->children('backend') == 0 }, 'no backend'), 'the sessions of these questions are over');
my $a = $s->connect_tcp;
my $b = $s->connect_tcp;
ok($s->wait_for(sub { $s->children('backend') == 2 }, 'two backends'), 'two sessions');
my ($first, $second) = $s->children('backend');
kill 'KILL', $first;
ok($s->wait_for(sub { $s->children('backend') == 1 }, 'its end'), 'one is killed');
ok($s->wait_for(sub { $s->log =~ /process backend \(pid $first\) ended by signal 9/ }, 'the line'), '... and its end is in the log');
ok(ReeveServer::alive($second), '... the other goes on');
close $_ for $a, $b;
ok($s->wait_for(sub { $s->children('backend') == 0 }, 'their end'), 'a session ends with its client');
ok(ReeveServer::alive($pid), 'the postmaster has been the same all the time');

# A service that dies as soon as it lives must not be restarted in a tight loop.
my $n = 0;
my $end = time + 3;
while (time < $end) {
    my ($ring) = $s->children('ring') or next;
    $n += kill 'KILL', $ring;
    $s->wait_for(sub { !ReeveServer::alive($ring) }, 'its end');
}
cmp_ok($n, '<=', 12, "restarts back off ($n in 3 s)");
ok($s->wait_for(sub { $s->children('ring') == 1 && $s->answers }, 'the ring'), '... and go on when it lives');

# A child that stops taking part is not in the way of the end.
my ($validator) = $s->children('validator');
kill 'STOP', $validator;
ok($s->stop('immediate'), 'an immediate stop does not wait for a stopped child');
ok(!ReeveServer::alive($validator), '... and leaves it no life');

# Nothing outlives the postmaster.
$s->start;
my @all = ($s->pid, $s->children);
my $c = $s->connect_tcp;
$s->wait_for(sub { $s->children('backend') == 1 }, 'a backend');
push @all, $s->children('backend');
kill 'STOP', $s->children('signer');
kill 'KILL', $all[0];
ok($s->wait_for(sub { !grep { ReeveServer::alive($_) } @all }, 'their end', 10), 'kill -9 of the postmaster leaves nothing behind');
$s->start;
ok($s->answers, 'and it starts again');
$s->stop;

done_testing();
