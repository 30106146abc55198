# The set of validators changes, as real processes: one joins and decides, the leader is dropped and follows, the chain goes on
# from set to set, through a crash of all; an auditor follows with what he pinned at the beginning.
use strict;
use warnings;
use Test::More;
use Federation;

my $f = Federation->new(validators => [qw(eu us asia africa)], standby => ['moon'], conf => "attest_submit_timeout = 90s\n");
$f->start;
my $eu = $f->server('eu');

sub epoch { my ($n) = @_; return eval { $f->psql($n, 'SET read_consistency = local; SELECT max(epoch) FROM sys.validators') } // 0 }
sub wait_epoch {
    my ($epoch, @names) = @_;
    for my $n (@names ? @names : $f->names) {
        $f->server($n)->wait_for(sub { epoch($n) == $epoch }, "epoch $epoch at $n", 90) or return 0;
    }
    return 1;
}
sub authority {
    my ($name, $at) = @_;
    return eval { $f->psql($at, "CREATE AUTHORITY $name"); 1 } // do { diag $@; 0 };
}
sub statement {
    my ($at, $sql) = @_;
    return eval { $f->psql($at, $sql); 1 } // do { diag $@; 0 };
}

sub export {
    my ($at, $name, $sql) = @_;
    my ($s, $file) = ($f->server($at), "$eu->{base}/$name");
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $s->run('psql', '-Xq', '-h', '127.0.0.1', '-p', $s->port, '-U', $s->{superuser}, '-d', 'reeve', '-c', $sql);
    die "$sql: $err" if $code;
    open my $o, '>:raw', $file or die $!;
    print $o $out;
    close $o;
    return $file;
}

is($f->psql('eu', 'SELECT count(*) FROM sys.validators'), '4', 'four validators begin');
ok(authority('first', 'eu'), 'they decide');
ok($f->wait_authority('first'), '... and everybody follows, the validator that waits, too');

# Each server's checkpoints have its own log key, so whom to believe is asked at each.
my %policy = map { $_ => export($_, "policy.$_", "COPY HISTORY TO STDOUT WITH (format = 'policy')") } grep { $_ ne 'moon' } $f->names;

# ---- one joins ----
is(eval { $f->psql('eu', "CREATE VALIDATOR us KEY '" . $f->card('us') . "'"); 1 }, undef, 'nobody is a validator twice');
is(eval { $f->psql('eu', "CREATE VALIDATOR moon KEY '" . $f->card('us') . "'"); 1 }, undef, 'a card is for its own region');
$f->kill('moon');
is(eval { $f->psql('eu', "CREATE VALIDATOR moon KEY '" . $f->card('moon') . "'"); 1 }, undef, 'who is not there is not seated');
like($@, qr/have not signed/, '... for it has not signed');
$f->start('moon');
ok($f->wait_authority('first', 'moon'), 'it returns');
ok($eu->wait_for(sub { eval { $f->psql('eu', "CREATE VALIDATOR moon KEY '" . $f->card('moon') . "'"); 1 } || $@ =~ /already exists/ }, 'the seat', 60),
    'with it five are seated');
ok(wait_epoch(2), '... and the second epoch begins everywhere');
is($f->psql('moon', 'SELECT count(*) FROM sys.validators'), '5', '... with five');
ok(authority('second', 'moon'), 'the newcomer submits');
ok($f->wait_authority('second'), '... and all know it');

# ---- the leader is dropped ----
my ($leader) = split /\n/, $f->psql('eu', 'SELECT validator FROM sys.validators');
my ($other) = grep { $_ ne $leader && $_ ne 'moon' } $f->names;
ok(statement($other, "DROP VALIDATOR $leader"), "$leader, which leads, is dropped");
ok(wait_epoch(3), '... and the third epoch begins everywhere, there, too');
ok(authority('third', $other), 'the others decide');
ok($f->wait_authority('third'), '... and who was dropped follows');
ok(authority('fourth', $leader), '... and submits');
ok($f->wait_authority('fourth'), '... to all');

# ---- crashes ----
my @all = $f->names;
$f->kill($_) for @all;
$f->start(@all);
ok(authority('fifth', 'moon'), 'killed all at once the new set goes on');
ok($f->wait_authority('fifth'), '... everywhere');
is(epoch($_), 3, "$_ knows its epoch") for @all;

# ---- an auditor who pinned the chain at the beginning ----
my $bundle = export($other, 'bundle', 'COPY HISTORY TO STDOUT');
# Of the validators that cosigned its checkpoint the first policy knows all but one, and one was dropped.
my $policy = $policy{$other};
(my $one = ReeveServer::slurp($policy)) =~ s/^group validators \d+/group validators 1/m;
open my $p, '>', $policy or die $!;
print $p $one;
close $p;
my ($code, $out, $err) = $eu->run('reeve-audit', 'verify', $bundle, '--trust-root', $policy);
is($code, 0, 'a bundle over three epochs is sound to who pinned the chain in the first') or diag $err;
like($out, qr/of 4 validators, 3 needed/, '... and says who decides now');
my $bytes = ReeveServer::slurp($bundle);
for my $at (map { int length($bytes) * $_ / 17 } 1 .. 16) {
    open my $o, '>:raw', "$bundle.bad" or die $!;
    print $o substr($bytes, 0, $at) . chr(ord(substr $bytes, $at, 1) ^ 1) . substr($bytes, $at + 1);
    close $o;
    ($code) = $eu->run('reeve-audit', 'verify', "$bundle.bad", '--trust-root', $policy);
    is($code, 1, "... but not with byte $at changed");
}
for my $n ($f->names) {
    unlike($f->server($n)->log, qr/contradicted|FATAL|PANIC/, "$n: no contradiction, no process gave up");
}
done_testing();
