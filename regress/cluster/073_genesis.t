# Regions that begin a chain together: each makes its keys and shows a card, the cards become one genesis document, each takes it.
use strict;
use warnings;
use Test::More;
use ReeveServer;

my %s = map { $_ => ReeveServer->new(region => $_) } qw(eu us asia africa);
my ($tool) = $s{eu};
my $genesis = "$tool->{base}/chain.genesis";
sub card { "$s{$_[0]}{base}/$_[0].card" }
sub make_card {
    my ($r, @more) = @_;
    return $s{$r}->ctl('init', '--region', $r, '--address', "localhost:$s{$r}{peer_port}", '--card', card($r), @more);
}

my ($code, $out, $err) = make_card('eu');
is($code, 0, 'a region makes its keys and a card') or diag $err;
like(ReeveServer::slurp(card('eu')), qr/^reeve-card-1\.[\w-]+\n$/, '... one line of text');
ok(-e $s{eu}->dir . '/keys/region.key' && -e $s{eu}->dir . '/federation/peer/peer.key', '... the keys stay');
isnt(($s{eu}->ctl('start', '-t', '5'))[0], 0, '... and nothing starts yet');
isnt(($s{eu}->ctl('init', '--region', 'eu', '--address', 'localhost:1', '--card', card('eu')))[0], 0, 'a card is made once');
make_card($_) for qw(us asia);
is((make_card('africa', '--follower'))[0], 0, 'one brings no validator');
isnt(($s{eu}->run('reeve-ctl', 'init', '-D', "$tool->{base}/x", '--region', 'x', '--card', "$tool->{base}/x.card"))[0], 0, 'a card needs an address');

# ---- the document ----
($code, $out, $err) = $tool->run('reeve-ctl', 'genesis', '--to', $genesis, map { card($_) } qw(us africa asia eu));
is($code, 0, 'the cards become a genesis document') or diag $err;
my ($chain) = $out =~ /^chain ([0-9a-f]{64})$/m;
like($out, qr/^3 validators, 3 of them decide; 4 regions:$/m, '... it says who is in it');
isnt(($tool->run('reeve-ctl', 'genesis', '--to', "$genesis.2", card('eu'), card('eu')))[0], 0, 'a card twice is refused');
isnt(($tool->run('reeve-ctl', 'genesis', '--to', "$genesis.2", card('africa')))[0], 0, 'nobody who validates is refused');
my $bad = ReeveServer::slurp(card('us'));
substr($bad, 40, 1) = substr($bad, 40, 1) eq 'A' ? 'B' : 'A';
open my $f, '>', "$genesis.card" or die $!;
print $f $bad;
close $f;
isnt(($tool->run('reeve-ctl', 'genesis', '--to', "$genesis.2", "$genesis.card"))[0], 0, 'a card that was changed is refused');
ok(!-e "$genesis.2", '... and nothing is written');

# ---- taken ----
for my $r (qw(eu us asia africa)) {
    ($code, $out, $err) = $s{$r}->ctl('init', '--genesis', $genesis);
    is($code, 0, "$r takes it") or diag $err;
    like($out, qr/^chain $chain$/m, '... the same chain');
    my $with = $r eq 'africa' ? 0 : 1;
    is(-d $s{$r}->dir . '/validator' ? 1 : 0, $with, $with ? '... with a validator' : '... without one');
    ok(-e $s{$r}->dir . '/reeve.version', '... and can be started');
}
isnt(($s{eu}->ctl('init', '--genesis', $genesis))[0], 0, 'a chain is taken once');
my $own = ReeveServer->new->init;
isnt(($own->ctl('init', '--genesis', $genesis))[0], 0, 'a region with a chain of its own takes no other');
my $stranger = ReeveServer->new(region => 'mars');
$stranger->ctl('init', '--region', 'mars', '--address', 'localhost:1', '--card', "$tool->{base}/mars.card");
($code, $out, $err) = $stranger->ctl('init', '--genesis', $genesis);
isnt($code, 0, 'who is not in it cannot take it');
like($err, qr/does not name this directory's key/, '... and hears why');
ok(-e $stranger->dir . '/keys/region.key' && !-e $stranger->dir . '/keys/trust', '... its keys are as they were');
done_testing();
