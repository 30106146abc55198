#!/usr/bin/perl
# external.t - an authority whose certificate is signed outside: the request out, the signed chain in, with openssl
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use ReeveServer;
use Test::More;

my $s = ReeveServer->new->init->start;
$s->wait_for(sub { $s->psql('SELECT count(*) FROM sys.regions') eq '1' }, 'the region is attested');
my $base = $s->{base};

sub openssl {
    my ($code, $out, $err) = $s->run('openssl', @_);
    diag("openssl @_: $err") if $code;
    return $code == 0;
}
sub put { open my $f, '>', "$base/$_[0]" or die; print $f $_[1]; close $f }
sub get { ReeveServer::slurp("$base/$_[0]") }
sub sql { my $out = eval { $s->psql($_[0]) }; return defined $out ? $out : $@ =~ /ERROR:\s+(.*)/ ? "ERROR: $1" : $@ }
sub quoted { return "'" . ($_[0] =~ s/'/''/gr) . "'" }
sub sign {
    my ($out, @ext) = @_;
    put('ext', "[v]\n" . join("\n", @ext) . "\n");
    return openssl('x509', '-req', '-in', "$base/csr", '-CA', "$base/root.crt", '-CAkey', "$base/root.key", '-CAcreateserial',
        '-days', 30, '-extfile', "$base/ext", '-extensions', 'v', '-out', "$base/$out");
}
my $request = "SELECT request FROM sys.authorities WHERE name = 'ext' AND state = 'pending'";

ok(openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 100 -subj /CN=Root), '-keyout', "$base/root.key", '-out', "$base/root.crt"),
    'a root outside');
for my $type ('ecdsa-p256', 'ed25519') {
    subtest $type => sub {
        sql("DROP AUTHORITY IF EXISTS ext");
        is(sql("CREATE AUTHORITY ext WITH (external = on, key_type = '$type', subject = 'CN=Edge CA,O=Example')"), '', 'made');
        put('csr', sql($request) . "\n");
        ok(openssl('req', '-in', "$base/csr", '-noout', '-verify'), 'the request is signed by its key');
        my ($code, $out) = $s->run('openssl', 'req', '-in', "$base/csr", '-noout', '-subject', '-nameopt', 'RFC2253');
        like($out, qr/CN=Edge CA/, 'and has the subject');
        ok(sign('leaf.crt', 'basicConstraints=CA:FALSE'), 'signed as a leaf');
        like(sql('ALTER AUTHORITY ext SET (chain = ' . quoted(get('leaf.crt')) . ')'), qr/not one of an authority/, 'which is refused');
        like(sql('ALTER AUTHORITY ext SET (chain = ' . quoted(get('root.crt')) . ')'), qr/another key/, "another key's is refused");
        ok(sign('ca.crt', 'basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'), 'signed as an authority');
        is(sql('ALTER AUTHORITY ext SET (chain = ' . quoted(get('ca.crt') . get('root.crt')) . ')'), '', 'taken, with its root');
        is(sql("SELECT state, request, chain LIKE '%BEGIN CERTIFICATE%' FROM sys.authorities WHERE name = 'ext'"), 'prepared||t', 'prepared');
        like(sql("CREATE CERT c FROM AUTHORITY ext SANS ('c.example')"), qr/no active generation/, 'it does not sign yet');
        is(sql("ALTER AUTHORITY ext ACTIVATE"), '', 'activated');
        is(sql("CREATE CERT c FROM AUTHORITY ext SANS ('c.example') VALID FOR '1 year'"), '', 'a certificate by it');
        is(sql("SELECT c.not_after <= a.not_after FROM sys.certs c JOIN sys.authorities a ON c.authority = a.name WHERE c.name = 'c'"), 't',
            'which does not outlive its authority');
        is(sql("ALTER AUTHORITY ext PREPARE"), '', 'the next key');
        put('csr', sql($request) . "\n");
        ok(sign('ca2.crt', 'basicConstraints=critical,CA:TRUE'), 'is signed too');
        is(sql('ALTER AUTHORITY ext SET (chain = ' . quoted(get('ca2.crt')) . ')'), '', 'taken');
        is(sql("ALTER AUTHORITY ext ACTIVATE"), '', 'activated');
        is(sql("SELECT generation, state FROM sys.authorities WHERE name = 'ext' ORDER BY 1") =~ s/\d+\|//gr, "tainted\nactive", 'the old one is tainted');
        is(sql("DROP CERT c"), '', 'dropped');
    };
}
ok($s->stop, 'the server stops');
done_testing;
