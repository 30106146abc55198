#!/usr/bin/perl
# 082_audit_tools.t - what reeve-audit does far from any server: keys that never leave a PKCS#11 token (SoftHSM), whole
# mirrors of a log, and a log followed over time, with its forks
#
# The mirrors are written by MirrorTree.pm, in which there is nothing of ours.
use strict;
use warnings;
use Digest::SHA qw(sha256);
use MIME::Base64 ();
use Test::More;
use lib 'regress/lib';
use File::Path qw(remove_tree);
use MirrorTree;
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

# ---- a server's keys ----
$t->make('server', '2468');
my $server = ReeveServer->new(init => ['--pkcs11', $t->uri('server', undef)], conf => "pkcs11_folder = '$dir/hsm'\n");
$server->init;
for my $name (qw(region validator cosign)) {
    like(ReeveServer::slurp($server->dir . "/keys/$name.key"), qr/^pkcs11:token=server;object=reeve-$name-[0-9a-f]{8}\?.*pin-source=/,
        "the $name key is in the token: its file only names it");
}
$server->start;
$server->psql('CREATE AUTHORITY one');
is($server->psql('SELECT count(*) FROM sys.authorities'), '1', 'updates and votes are signed in the token');
for my $format (qw(policy checkpoint)) {
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    put("server.$format", ($s->run('psql', '-Xq', '-h', '127.0.0.1', '-p', $server->port, '-U', 'admin', '-d', 'reeve', '-c',
        "COPY HISTORY TO STDOUT WITH (format = '$format')"))[1]);
}
($code, my $sound, $err) = audit('verify', "$dir/server.checkpoint", '--trust-root', "$dir/server.policy");
is($code, 0, '... and checkpoints') or diag($err);
ok($server->stop, 'it stops');
$t->put('server.pin', "1357\n");
isnt(($server->ctl('start', '-t', '30'))[0], 0, 'with a wrong PIN it does not start');
like($server->log, qr/could not log in: the PIN is wrong/, '... and says why');
unlike($server->log, qr/1357|2468/, '... without a PIN');
$t->put('server.pin', "2468\n");
$server->start;
$server->psql('CREATE AUTHORITY two');
is($server->psql('SELECT count(*) FROM sys.authorities'), '2', 'with the right one it goes on');
ok($server->stop, 'it stops');
($code, undef, $err) = $s->run('reeve-ctl', 'init', '-D', "$dir/card.d", '--region', 'us', '--address', 'localhost:1', '--card', "$dir/card",
    '--pkcs11', $t->uri('server', undef));
is($code, 0, "a region's card is signed in the token as well") or diag($err);

# ---- whole mirrors ----
my $tree = MirrorTree->new(4, 3);
put('policy', $tree->policy);
my @policy = ('--trust-root', "$dir/policy");
my $mirror = "$dir/mirror";
sub leaves { my ($from, $to, $what) = @_; return map { ($what // 'leaf') . " $_ " . 'x' x ($_ % 50) } $from .. $to }
sub verify { return audit('verify', $mirror, @policy) }
my @wrong;
for my $size (1, 2, 255, 256, 257, 65900, 600) {
    remove_tree($mirror);
    $tree->write($mirror, [leaves(1, $size)]);
    my ($rc, $out, $why) = verify();
    push @wrong, "$size: exit $rc $out$why" if $rc != 0 || $out !~ /sound\n  $size leaves with all their tiles, cosigned by 4\n/;
}
is("@wrong", '', 'mirrors of many sizes are sound');
$tree->write($mirror, [leaves(1, 700)]);
is((verify())[0], 0, 'so is one that keeps the tiles of a smaller log');
my @files = split /\n/, `cd $mirror && find . -type f`;
my @used = grep { !m{\.p/88$} } @files;
is(scalar @used, 3 + 3 + 1 + 1, 'its files');
@wrong = ();
for my $file (@used) {
    my $whole = ReeveServer::slurp("$mirror/$file");
    # Of the checkpoint its text: who signs under another name has not signed, and three of four are enough.
    my $at = int rand($file =~ /checkpoint/ ? index $whole, "\n\n" : length $whole);
    put("mirror/$file", substr($whole, 0, $at) . chr(ord(substr $whole, $at, 1) ^ 1) . substr($whole, $at + 1));
    my ($rc, $out, $why) = verify();
    push @wrong, "$file changed at $at: exit $rc $out$why" if $rc != 1 || $why !~ /refused: \S/ || $out ne '';
    put("mirror/$file", $whole . 'x');
    push @wrong, "$file is longer: exit $rc" if ($rc = (verify())[0]) != 1;
    put("mirror/$file", substr $whole, 0, -1);
    push @wrong, "$file is shorter: exit $rc" if ($rc = (verify())[0]) != 1;
    unlink "$mirror/$file";
    push @wrong, "$file is missing: exit $rc" if ($rc = (verify())[0]) != 1;
    put("mirror/$file", $whole);
}
is(join("\n", @wrong), '', 'a byte changed, added or missing in any of them is refused, and so is a file that is missing');
is((verify())[0], 0, '... and restored it is sound');
put('mirror/checkpoint', $tree->checkpoint([leaves(1, 700)], by => [@{$tree->{w}}[0, 1]]));
like((verify())[2], qr/too few of those who are trusted/, 'two of four witnesses are too few');

# ---- followed over time ----
my $state = "$dir/state";
sub monitor { my (@o) = @_; return audit('monitor', $mirror, @policy, '--state', $state, '--once', @o) }
remove_tree($mirror);
$tree->write($mirror, [leaves(1, 100)]);
my ($rc, $out, $why) = monitor();
is($rc, 0, 'a log is looked at') or diag($why);
like($out, qr/log size 100, cosigned by 4/, '... from its beginning');
is((monitor())[1], '', '... and again, with nothing new');
for my $size (101, 256, 300, 1000) {
    $tree->write($mirror, [leaves(1, $size)]);
    ($rc, $out, $why) = monitor();
    is($rc, 0, "it grows to $size") or diag($why);
    like($out, qr/log size $size, /, '... and that is seen');
}
my $kept = ReeveServer::slurp($state);
remove_tree("$mirror/tile/entries/000");
unlink "$mirror/tile/entries/000";
$tree->write("$dir/more", [leaves(1, 1010)]);
system("cp -r $dir/more/. $mirror/") == 0 or die;
unlink "$mirror/tile/entries/000";
is((monitor())[0], 0, 'entries that were seen are not needed any more');

# What a mirror does alone proves nothing against the log.
sub again { put('state', $kept); remove_tree($mirror); unlink "$state.fork-1", "$state.fork-2" }
again();
$tree->write($mirror, [leaves(1, 900)]);
($rc, $out, $why) = monitor();
is($rc, 2, 'an older checkpoint is not taken');
like($why, qr/older checkpoint/, '... and that is said');
again();
$tree->write($mirror, [leaves(1, 1100)], root => sha256('x'));
($rc, $out, $why) = monitor();
is($rc, 1, 'entries that do not lead to the checkpoint: an alarm');
like($why, qr/ALARM: the mirror's entries do not lead to its checkpoint/, '... about the mirror');
ok(!-e "$state.fork-1", '... and not about the log');
is(ReeveServer::slurp($state), $kept, '... and nothing of it is kept');
again();
is((monitor())[0], 2, 'no mirror at all: it could not be judged');
again();
$tree->write($mirror, [leaves(1, 1010)], by => [@{$tree->{w}}[0, 1]]);
is((monitor())[0], 2, 'a checkpoint of too few is not taken');

# What witnesses have signed does.
for my $fork ([1000, 'of the same size'], [1200, 'of a larger one']) {
    again();
    my ($size, $what) = @$fork;
    $tree->write($mirror, [leaves(1, 500), leaves(501, $size, 'another')]);
    ($rc, $out, $why) = monitor();
    is($rc, 1, "another log $what: an alarm");
    like($why, qr/ALARM: the log has FORKED/, '... of a fork');
    is((audit('verify', "$state.fork-$_", @policy))[0], 0, "... and checkpoint $_ is kept, for everybody's verifier") for 1, 2;
    is(ReeveServer::slurp($state), $kept, '... beside what was known before');
}

# A log that nobody looks after.
again();
$tree->write($mirror, [leaves(1, 1000)], time => time - 3600);
($rc, $out, $why) = monitor();
is($rc, 3, 'cosigned an hour ago, it stands still');
like($why, qr/ALARM: the log stands still/, '... and that is said');
is((monitor('--stalled', 0))[0], 0, '... unless nobody asks for that');
is((monitor('--stalled', 7200))[0], 0, '... or not so soon');
$tree->write($mirror, [leaves(1, 1001)]);
is((monitor())[0], 0, 'it goes on');
put('state', substr($kept, 0, 60) . 'A' . substr $kept, 61);
is((monitor())[0], 2, 'a state that is damaged is not believed');
put('state', $kept);
put('policy', MirrorTree->new(4, 3)->policy);
is((monitor())[0], 2, 'nor one of another trust root');

done_testing();
