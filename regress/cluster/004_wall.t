# The walls between processes: what each kind must be unable to do, tried from inside its sandbox.
use strict;
use warnings;
use Test::More;
use ReeveServer;

my $s = ReeveServer->new;
$s->init->start;
$s->write_file('keys/walltest', "not a key\n");
mkdir $s->dir . '/federation' or die $!;     # as where a region is in one chain with others
$s->write_file('federation/walltest', "not a key\n");
my ($signer) = $s->children('signer');
$ENV{VICTIM} = $signer;

for my $kind (qw(backend gateway ring validator signer federation mirror)) {
    subtest "a process like the $kind" => sub {
        my ($code, $out, $err) = $s->run('reeved', '--child=walltest', $kind, '-D', $s->dir);
        is($code, 0, 'all of it') or diag($out . $err);
        ok(!/^not ok/, $_) for grep { /^(not )?ok/ } split /\n/, $out;
        like($out, qr/^1\.\.14$/m, 'everything was tried');
    };
}
ok(ReeveServer::alive($signer), 'the signer is as it was');
ok(!-e $s->dir . '/keys/planted', 'nothing was planted among the keys');

# Real children are in their sandboxes: seccomp filters, no new privileges, no capabilities.
my $c = $s->connect_tcp;
$s->wait_for(sub { $s->children('backend') == 1 }, 'a backend');
for my $kind (qw(backend gateway ring validator signer)) {
    my ($pid) = $s->children($kind);
    my $status = ReeveServer::slurp("/proc/$pid/status");
    $s->wait_for(sub { $status = ReeveServer::slurp("/proc/$pid/status"); $status =~ /^Seccomp:\s+2$/m }, 'its filter', 5);
    like($status, qr/^Seccomp:\s+2$/m, "the $kind has a filter");
    like($status, qr/^NoNewPrivs:\s+1$/m, '... can gain nothing');
    like($status, $kind eq 'gateway' ? qr/^CapEff:\s+0*(400)?$/m : qr/^CapEff:\s+0+$/m, '... has no capability it does not need');
}
my @env = split /\0/, ReeveServer::slurp("/proc/$signer/environ");
ok(!(stat "/proc/$signer/mem") || (stat _)[4] == 0, 'the signer cannot be dumped');

# --child by hand is not a way in.
my ($code, $out, $err) = $s->run('reeved', '--child=signer', '-D', $s->dir);
isnt($code, 0, 'a child kind started by hand refuses');
$s->stop;

done_testing();
