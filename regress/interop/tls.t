#!/usr/bin/perl
# tls.t - client certificates, direct TLS, an Ed25519 listener certificate, reload of the hba file
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use SqlServer;
use Test::More;

my $d = tempdir(CLEANUP => 1);
sub openssl { system("openssl @_ >>$d/openssl.log 2>&1") == 0 or die "openssl @_\n" . SqlServer::slurp("$d/openssl.log") }

sub authority { openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $d/$_[0].key -out $d/$_[0].crt -subj /CN=$_[0] -days 2") }
sub client {
    my ($ca, $cn, $file) = @_;
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $d/$file.key -out $d/$file.csr -subj /O=x/CN=$cn");
    openssl("x509 -req -in $d/$file.csr -CA $d/$ca.crt -CAkey $d/$ca.key -CAcreateserial -out $d/$file.crt -days 2");
    chmod 0600, "$d/$file.key";
    return (sslmode => 'require', sslcert => "$d/$file.crt", sslkey => "$d/$file.key");
}
authority('good');
authority('other');
my $s = SqlServer->new(conf => "ssl_ca_file = '$d/good.crt'\n",
    hba => "local all all scram-sha-256\nhostssl all bob 127.0.0.1/32 cert\nhost all all 127.0.0.1/32 scram-sha-256\n");
my ($rc, $out) = $s->psql('CREATE ROLE bob LOGIN; CREATE ROLE eve LOGIN');
is($rc, 0, 'roles without passwords');

($rc, $out) = $s->psql('SELECT current_user', user => 'bob', client('good', 'bob', 'bob'));
is($out, "bob\n", 'a certificate of the right authority and name is let in without a password');
($rc, $out) = $s->psql('SELECT 1', user => 'bob', client('other', 'bob', 'forged'));
like($out, qr/requires a valid client certificate/, 'one of another authority is not');
($rc, $out) = $s->psql('SELECT 1', user => 'bob', client('good', 'eve', 'eve'));
like($out, qr/certificate authentication failed for user "bob"/, 'nor one with another name');
($rc, $out) = $s->psql('SELECT 1', user => 'bob', sslmode => 'require', sslcert => '/nonexistent');
like($out, qr/requires a valid client certificate/, 'nor none');
($rc, $out) = $s->psql('SELECT 1', user => 'bob', sslmode => 'disable');
like($out, qr/password authentication failed/, 'without TLS the next rule decides');

sub direct { my $o = `echo | timeout 10 openssl s_client -connect 127.0.0.1:$s->{port} @_ 2>&1`; return $o }
like(direct('-alpn postgresql'), qr/ALPN protocol: postgresql/, 'TLS from the first byte with ALPN');
direct('');
ok($s->log_says(qr/direct TLS without ALPN/), 'without ALPN it is closed, and the log says why');

openssl("req -x509 -newkey ed25519 -nodes -keyout $d/ed.key -out $d/ed.crt -subj /CN=localhost -days 2");
SqlServer::append_file("$s->{dir}/reeve.conf", "ssl_cert_file = '$d/ed.crt'\nssl_key_file = '$d/ed.key'\n");
$s->run('reeve-ctl', 'restart', '-D', $s->{dir});
($rc, $out) = $s->psql('SELECT 1', sslmode => 'require', channel_binding => 'disable');
is($out, "1\n", 'an Ed25519 listener certificate works without channel binding');
($rc, $out) = $s->psql('SELECT 1', sslmode => 'require', channel_binding => 'require');
isnt($rc, 0, 'and channel binding is not to be had');

SqlServer::write_file("$s->{dir}/reeve_hba.conf", "host all all 127.0.0.1/32 reject\n");
$s->run('reeve-ctl', 'reload', '-D', $s->{dir});
for (1 .. 100) {
    ($rc, $out) = $s->psql('SELECT 1', sslmode => 'disable');
    last if $out =~ /rejects/;
    select undef, undef, undef, 0.05;
}
like($out, qr/reeve_hba.conf rejects connection for host "127.0.0.1", user "ann", database "reeve", no encryption/, 'a changed hba file counts after a reload');
done_testing();
