#!/usr/bin/perl
# 082_tokens.t - keys that never leave a PKCS#11 token (SoftHSM): people's, by reeve-audit
use strict;
use warnings;
use MIME::Base64 ();
use Test::More;
use lib 'regress/lib';
use ReeveServer;
use Token;

my $s = ReeveServer->new;
my $dir = $s->{base};
my $t = Token->new("$dir/hsm");
$t->make('anna', '4321')->make('other', '9999');

sub put { my ($name, $bytes) = @_; open my $f, '>:raw', "$dir/$name" or die $!; print $f $bytes; close $f; return "$dir/$name" }
sub audit { return $s->run('reeve-audit', @_) }
sub refused {
    my ($uri, $why, $what) = @_;
    my ($code, $out, $err) = audit('sign', "$dir/text", '--pkcs11', $uri);
    is($code, 2, "$what: not signed");
    like($err, $why, '... and said so');
    is($out, '', '... with no note');
    unlike($err, qr/4321|9999/, '... and no PIN');
}

# ---- a key ----
my $uri = $t->uri('anna', 'ops%2Fanna');
my ($code, $vkey, $err) = audit('keygen', 'ops/anna', '--pkcs11', $uri);
is($code, 0, 'a token makes a key') or diag($err);
like($vkey, qr{^ops/anna\+[0-9a-f]{8}\+A\S{43}\n$}, '... and its public part is printed');
($code, undef, $err) = audit('keygen', 'ops/anna', '--pkcs11', $uri);
is($code, 2, 'not a second one under that label');
like($err, qr/has a key "ops\/anna" already/, '... and says so');

# ---- notes ----
put('text', "I have seen it\n");
($code, my $note, $err) = audit('sign', "$dir/text", '--pkcs11', $uri);
is($code, 0, 'it signs a note') or diag($err);
like($note, qr{^I have seen it\n\n\xe2\x80\x94 ops/anna \S+\n$}, '... in the name of its label');
is((audit('sign', "$dir/text", '--pkcs11', $uri, '--signature'))[1], $note =~ s/.*\n\n//sr, '... or the line alone, the same');
like((audit('sign', "$dir/text", '--pkcs11', $uri, '--name', 'anna'))[1], qr{\n\n\xe2\x80\x94 anna \S+\n$}, '... or in another name');
# Judged by OpenSSL, whose verifier has nothing of ours in it.
my ($key64) = $vkey =~ /\+(A\S+)\n/;
my $public = substr MIME::Base64::decode_base64($key64), 1;
put('public.der', pack('H*', '302a300506032b6570032100') . $public);
my ($sig64) = $note =~ / (\S+)\n$/;
put('signature', substr MIME::Base64::decode_base64($sig64), 4);
($code, undef, $err) = $s->run('openssl', 'pkeyutl', '-verify', '-pubin', '-keyform', 'DER', '-inkey', "$dir/public.der", '-rawin',
    '-in', "$dir/text", '-sigfile', "$dir/signature");
is($code, 0, 'OpenSSL verifies the signature') or diag($err);

# ---- what is not there ----
refused($t->uri('nobody', 'key'), qr/has no token "nobody"|could not open the PIN/, 'another token');
refused($t->uri('nobody', 'key', pin => $t->pin_file('anna')), qr/has no token "nobody"/, 'a token that is missing');
refused($t->uri('anna', 'key'), qr/has no private key "key"/, 'a key that is missing');
refused($t->uri('anna', 'ops%2Fanna', module => "$dir/none.so"), qr/could not load the PKCS#11 module: .*none\.so/, 'a module that is missing');
refused($t->uri('anna', 'ops%2Fanna', module => '/usr/lib/x86_64-linux-gnu/libc.so.6'), qr/is no PKCS#11 module/, 'a library that is no module')
    if -e '/usr/lib/x86_64-linux-gnu/libc.so.6';
refused($t->uri('anna', 'ops%2Fanna', pin => $t->pin_file('other')), qr/could not log in: the PIN is wrong/, 'a wrong PIN');
refused($t->uri('anna', 'ops%2Fanna', pin => "$dir/none"), qr/could not open the PIN's file/, 'no PIN');
refused("pkcs11:token=anna;object=x?module-path=$Token::MODULE&pin-value=1", qr/a PIN is no argument/, 'a PIN that everybody sees');
refused("pkcs11:token=anna;object=x", qr/does not name its module/, 'no module named');
refused("pkcs11:token=anna;colour=red?module-path=$Token::MODULE", qr/"colour" of the pkcs11: URI/, 'an attribute that is none');
refused('token=anna', qr/is named by pkcs11:/, 'no URI at all');
chmod 0644, $t->pin_file('anna');
refused($uri, qr/others may use the PIN's file/, 'a PIN that others may read');
chmod 0600, $t->pin_file('anna');
is((audit('sign', "$dir/text", '--pkcs11', $uri, '--key', "$dir/text"))[0], 2, 'a key in two places is a mistake');

# ---- a faulty device ----
my $bad = "$ENV{REEVE_BUILD}/regress/lib/badtoken.so";
$ENV{BADTOKEN_MODULE} = $Token::MODULE;
{
    local $ENV{BADTOKEN} = 'wrong';
    refused($t->uri('anna', 'ops%2Fanna', module => $bad), qr/what the token signed does not verify/, 'a token that signs something else');
}
{
    local $ENV{BADTOKEN} = 'once';
    ($code, my $again, $err) = audit('sign', "$dir/text", '--pkcs11', $t->uri('anna', 'ops%2Fanna', module => $bad));
    is($code, 0, 'a session that breaks is opened anew') or diag($err);
    is($again, $note, '... and the note is the same');
}

done_testing();
