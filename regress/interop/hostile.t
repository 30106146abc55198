#!/usr/bin/perl
# hostile.t - nonsense on the statement port: that connection ends with a reason in the log, others go on
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use SqlServer;
use Test::More;

my $s = SqlServer->new;

sub talk {
    my ($bytes) = @_;
    my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}, Timeout => 5) or die;
    print $c $bytes;
    $c->flush;
    shutdown $c, 1;
    local $SIG{ALRM} = sub { die "the server did not close\n" };
    alarm 10;
    my $answer = do { local $/; <$c> } // '';
    alarm 0;
    return $answer;
}

my %cases = (
    'HTTP' => "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    'a length of nearly 4 GiB' => "\xff\xff\xff\xff",
    'a length of nothing' => "\0\0\0\0",
    'a start-up packet without an end' => pack('NN', 16, 196608) . 'user' . "\0ann",
    'a TLS record that is none' => "\x16\x03\x01\x00\x05hello",
    'random bytes' => join('', map { chr(($_ * 7919) % 251) } 1 .. 500),
);
for my $name (sort keys %cases) {
    my $answer = talk($cases{$name});
    ok(length($answer) < 1000, "$name: the connection ends");
}
my $answer = talk(pack('NN', 8, 80877103) . pack('NN', 8, 80877103));
like($answer, qr/unencrypted data after SSL request/, 'bytes sent in clear before the TLS handshake are refused');
$answer = talk(pack('NN', 16, 80877102) . pack('NN', 1, 1));
is($answer, '', 'a cancel request with a wrong key is met with silence');
ok($s->log_says(qr/sqlstate=08P01/), 'the log has the reasons');
talk("\0\0\0\0") for 1 .. 40;
my @lines = $s->log =~ /sqlstate=08P01/g;
cmp_ok(scalar(@lines), '<=', 20, 'a flood of them does not fill the log: ' . @lines . ' lines');
my ($rc, $out) = $s->psql('SELECT 1');
is($out, "1\n", 'and the server serves');
done_testing();
