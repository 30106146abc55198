# One region with the only validator, two that follow it: what they ask for is decided there, and a refusal is heard.
use strict;
use warnings;
use Test::More;
use Federation;

my $f = Federation->new(validators => ['eu'], followers => [qw(moon mars)], conf => "attest_submit_timeout = 60s\n");
$f->start;
ok($f->server('eu')->wait_for(sub { (eval { $f->psql('mars', "SELECT count(*) FROM sys.regions WHERE state = 'ok'") } // 0) == 3 }, 'three regions', 90),
    'three regions know each other');
is(eval { $f->psql('moon', 'CREATE AUTHORITY lunar'); 1 }, 1, 'a follower makes an authority') or diag $@;
ok($f->wait_authority('lunar'), '... everywhere');
is(eval { $f->psql('eu', 'CREATE AUTHORITY first'); 1 }, 1, 'so does the region that decides') or diag $@;
ok($f->wait_authority('first'), '... everywhere');

# Two of the same name at once: one of them is refused, in words.
my @asked = map {
    my $r = $_;
    my $file = "$f->{s}{$r}{base}/asked";
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        my $done = eval { $f->psql($r, 'CREATE AUTHORITY both'); 1 };
        open my $out, '>', $file or die $!;
        print $out $done ? 'done' : $@;
        close $out;
        POSIX::_exit(0);
    }
    [$pid, $file];
} qw(moon mars);
waitpid $_->[0], 0 for @asked;
my @said = map { ReeveServer::slurp($_->[1]) } @asked;
is(scalar(grep { $_ eq 'done' } @said), 1, 'of two with one name one is made') or diag explain \@said;
unlike(join('', @said), qr/unknown/, '... and the other hears that it is not');
ok($f->wait_authority('both'), '... everywhere');
done_testing();
