# Two of four validators are destroyed for ever. Nothing can be decided until two of three holders of recovery keys, offline,
# sign for another set on top of the height that the survivors have; then it goes on, also at those who never saw the paper.
use strict;
use warnings;
use Test::More;
use File::Temp;
use Federation;

my $keys = File::Temp->newdir;
my @public;
for my $n (1 .. 3) {
    open my $p, '-|', "$ENV{REEVE_BUILD}/bin/reeve-audit", 'keygen', "holder$n", '--key', "$keys/$n" or die $!;
    push @public, scalar <$p>;
    close $p or die 'keygen';
}
open my $list, '>', "$keys/list" or die $!;
print $list "2\n", @public;
close $list;

my $f = Federation->new(validators => [qw(eu us asia africa)], standby => ['moon'], genesis => ['--recovery', "$keys/list"],
    conf => "attest_submit_timeout = 5s\n");
$f->start;
my $eu = $f->server('eu');
my $paper = "$keys/recovery";
sub recover { return $eu->run('reeve-ctl', 'recover', @_) }

ok(eval { $f->psql('eu', 'CREATE AUTHORITY before'); 1 }, 'four decide') or diag $@;
ok($f->wait_authority('before'), '... and all know it');
$f->kill($_) for qw(us africa);
is(eval { $f->psql('eu', 'CREATE AUTHORITY lost'); 1 }, undef, 'two of four decide nothing');

# ---- the paper ----
isnt((recover('draft', '-D', $eu->dir, '--to', $paper))[0], 0, 'nothing is done beside a running server');
$eu->stop;
my ($code, $out, $err) = recover('draft', '-D', $eu->dir, '--to', $paper, '--drop', 'us,africa', "$f->{s}{moon}{base}/card");
is($code, 0, 'a draft of another set') or diag $err;
like($out, qr/^epoch 2 on top of height \d+, .*3 validators, 3 of them decide/ms, '... says on top of what, and who');
unlike($out, qr/ (us|africa)$/m, '... without those who are lost');
isnt((recover('take', '-D', $eu->dir, '--to', $paper))[0], 0, 'nobody has signed it');
is((recover('sign', '--to', $paper, "$keys/1"))[0], 0, 'one signs');
is((recover('sign', '--to', $paper, "$keys/1"))[0], 0, '... twice');
isnt((recover('take', '-D', $eu->dir, '--to', $paper))[0], 0, '... who is too few');
($code, $out, $err) = recover('sign', '--to', $paper, "$keys/3");
like($out, qr/2 of 2 have signed/, 'another one signs') or diag $err;
($code, $out, $err) = recover('take', '-D', $eu->dir, '--to', $paper);
is($code, 0, 'that suffices') or diag $err;

# ---- it goes on ----
$eu->start;
for my $n (qw(eu asia moon)) {
    ok($f->server($n)->wait_for(sub { (eval { $f->psql($n, 'SET read_consistency = local; SELECT max(epoch) FROM sys.validators') } // 0) == 2 },
        "the second epoch at $n", 60), "$n is in the second epoch");
}
ok($eu->wait_for(sub { eval { $f->psql('eu', 'CREATE AUTHORITY after'); 1 } || $@ =~ /already exists/ }, 'a decision', 60), 'the new set decides');
ok($f->wait_authority('after', qw(eu asia moon)), '... and all who are left know it');
ok(eval { $f->psql('moon', 'CREATE AUTHORITY last'); 1 }, 'the newcomer submits') or diag $@;
ok($f->wait_authority('last', qw(eu asia moon)), '... too');

# ---- one of the lost returns after all ----
$f->start('us');
ok($f->wait_authority('last', 'us'), 'who was believed lost returns and follows, without a vote');
unlike($f->server($_)->log, qr/contradicted|PANIC/, "$_: no contradiction") for qw(eu asia moon us);
done_testing();
