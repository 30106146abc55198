# Four validators in four regions and a region without one, as real processes: what any region asks for is decided by three of them,
# with one dead as well; with two dead it is held, not lost, until one returns.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Federation;

my $f = Federation->new(validators => [qw(eu us asia africa)], followers => ['moon'], conf => "attest_submit_timeout = 90s\n");
$f->start;

# ---- all are there ----
is($f->psql('eu', 'SELECT count(*) FROM sys.validators'), '4', 'four validators');
ok($f->server('eu')->wait_for(sub { (eval { $f->psql('moon', "SELECT count(*) FROM sys.regions WHERE state = 'ok'") } // 0) == 5 },
    'five regions', 90), 'every region says that it is there, the one without a validator, too');
is(eval { $f->psql('eu', 'CREATE AUTHORITY first'); 1 }, 1, 'a region with a validator makes an authority') or diag $@;
ok($f->wait_authority('first'), '... and all five know it');
is(eval { $f->psql('moon', 'CREATE AUTHORITY lunar'); 1 }, 1, 'so does the region without one') or diag $@;
ok($f->wait_authority('lunar'), '... and all five know it');

# ---- one is dead: the leader ----
my ($leader, @rest) = split /\n/, $f->psql('eu', 'SELECT validator FROM sys.validators');
$f->kill($leader);
is(eval { $f->psql($rest[0], 'CREATE AUTHORITY second'); 1 }, 1, "without $leader, which led, it goes on") or diag $@;
ok($f->wait_authority('second', @rest, 'moon'), '... and all who live know it');

# ---- two are dead ----
$f->kill($rest[2]);
my $before = $f->height($rest[0]);
my $asked = "$f->{s}{eu}{base}/asked";
my $pid = fork() // die "fork: $!";
if ($pid == 0) {
    my $done = eval { $f->psql($rest[0], 'CREATE AUTHORITY held'); 1 };
    open my $out, '>', "$asked.new" or die $!;
    print $out $done ? 'done' : $@;
    close $out;
    rename "$asked.new", $asked;
    POSIX::_exit(0);
}
sleep 4;
ok(!-e $asked, 'with two dead nothing is decided');
is($f->height($rest[0]), $before, '... the chain stands still');
is($f->psql($rest[0], 'SELECT count(*) FROM sys.authorities'), '3', '... reads go on');
is(eval { $f->psql($rest[1], "SET CONFIG 'a' = 'b'"); 1 }, 1, '... and so does what a region decides alone');
$f->start($leader);
ok($f->server($rest[0])->wait_for(sub { -e $asked }, 'the answer', 120), 'one returns');
waitpid $pid, 0;
is(ReeveServer::slurp($asked), 'done', '... and what was held is done');
ok($f->wait_authority('held', $leader, @rest[0, 1], 'moon'), '... everywhere');
ok($f->wait_authority($_, $leader), "who returned knows '$_'") for qw(second held);

# ---- all return ----
$f->start($rest[2]);
ok($f->wait_authority('held', $rest[2]), 'the last one catches up');
$f->kill($_) for $leader, @rest;
$f->start($leader, @rest);
is(eval { $f->psql($rest[1], 'CREATE AUTHORITY after'); 1 }, 1, 'killed all at once they go on where they were') or diag $@;
ok($f->wait_authority('after'), '... and all five know it');
my $top = $f->height('moon');
my %history = map { $f->server($_)->wait_for(sub { $f->height($_) >= $top }, 'the height', 60);
                    ($_ => $f->psql($_, "SELECT string_agg(leaf_hash, ' ') FROM sys.history WHERE height <= $top")) } $f->names;
is(scalar(grep { $history{$_} ne $history{moon} } $f->names), 0, 'all histories are one') or diag explain \%history;
for my $n ($f->names) {
    unlike($f->server($n)->log, qr/contradicted|FATAL|PANIC/, "$n: no contradiction, no process gave up");
}
done_testing();
