# Parts of one region die or stop, one kind after the other: the chain goes on without that validator, the region itself goes on
# when its part is back, and one that is cut off serves what it has and catches up.
use strict;
use warnings;
use Test::More;
use Federation;

my $f = Federation->new(validators => [qw(eu us asia africa)], followers => ['moon'],
    conf => "attest_submit_timeout = 90s\nattest_view_timeout = 1s\nattest_tick_interval = 2s\n");
$f->start;
my $n = 0;
sub made {
    my ($at, $what) = @_;
    my $name = 'ca' . ++$n;
    is(eval { $f->psql($at, "CREATE AUTHORITY $name"); 1 }, 1, $what) or diag $@;
    return $name;
}
my $name = made('eu', 'all are there');
ok($f->wait_authority($name), '... everywhere');

# ---- killed ----
for my $kind (qw(validator signer federation ring)) {
    my ($pid) = $f->server('eu')->children($kind);
    kill 'KILL', $pid;
    made('us', "eu's $kind process is killed: others go on");
    ok($f->server('eu')->wait_for(sub { my ($now) = $f->server('eu')->children($kind); $now && $now != $pid && $f->server('eu')->answers }, 'its next life', 60),
        '... it comes back');
    my $last;
    ok($f->server('eu')->wait_for(sub { $last = 'ca' . ++$n; eval { $f->psql('eu', "CREATE AUTHORITY $last"); 1 } }, 'a change', 90), '... and so does the region');
    ok($f->wait_authority($last), '... everywhere');
}
my ($links) = $f->server('moon')->children('federation');
kill 'KILL', $links;
$name = made('moon', "the links of the region without a validator are killed: it goes on when they are back");
ok($f->wait_authority($name), '... everywhere');

# ---- stopped ----
for my $kind (qw(validator signer)) {
    my ($pid) = $f->server('asia')->children($kind);
    kill 'STOP', $pid;
    $name = made('us', "asia's $kind process stands still: others go on");
    ok($f->wait_authority($name, qw(us eu africa moon)), '... and know it');
    kill 'CONT', $pid;
    ok($f->wait_authority($name, 'asia'), 'so does asia when it moves again');
}

# ---- cut off ----
($links) = $f->server('africa')->children('federation');
kill 'STOP', $links;
$name = made('us', 'africa is cut off: others go on');
ok($f->wait_authority($name, qw(us eu asia moon)), '... and know it');
is(eval { $f->psql('africa', "SET CONFIG 'a' = 'b'"); 1 }, 1, 'africa decides what it decides alone') or diag $@;
is($f->psql('africa', "SELECT count(*) FROM sys.authorities WHERE name = '$name'"), '0', '... and serves what it has');
made('eu', "others go on for a while") for 1 .. 3;
kill 'CONT', $links;
ok($f->wait_authority("ca$n", 'africa'), 'linked again it catches up');
ok($f->wait_authority(made('africa', '... and takes part')), '... everywhere');

my $top = $f->height('moon');
my %history = map { $f->server($_)->wait_for(sub { $f->height($_) >= $top }, 'the height', 60);
                    ($_ => $f->psql($_, "SELECT string_agg(leaf_hash, ' ') FROM sys.history WHERE height <= $top")) } $f->names;
is(scalar(grep { $history{$_} ne $history{moon} } $f->names), 0, 'all histories are one') or diag explain \%history;
unlike($f->server($_)->log, qr/contradicted|FATAL|PANIC/, "$_: no contradiction, no process gave up") for $f->names;
done_testing();
