#!/usr/bin/perl
# audit.t - other people's verifiers judge what COPY HISTORY exports: Go's sumdb/note and tlog (Debian's
# golang-golang-x-mod-dev), and npm's @transmute/rfc9162 for the tree
#
# The npm package is fetched by its digest (rfc9162/package-lock.json). Where it cannot be had this test fails rather than
# says that all is well: NPM_CONFIG_CACHE or a registry of your own serve as well as the public one.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Copy qw(copy);
use FindBin;
use File::Path qw(make_path);
use HTTP::Tiny;
use MIME::Base64 ();
use lib "$FindBin::Bin/../lib";
use MirrorTree;
use Ports;
use ReeveServer;
use Test::More;

my $here = abs_path($FindBin::Bin);
my $mirror_port = Ports::take();
my $s = ReeveServer->new(conf => "mirror_port = $mirror_port\n");
$s->init->start;
my $dir = "$s->{base}/audit";
mkdir $dir;

sub put { my ($name, $bytes) = @_; open my $f, '>:raw', "$dir/$name" or die $!; print $f $bytes; close $f; return "$dir/$name" }
sub export {
    my ($name, $rest) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $s->run('psql', '-Xq', '-h', '127.0.0.1', '-p', $s->port, '-U', 'admin', '-d', 'reeve', '-c', "COPY HISTORY $rest");
    die "COPY HISTORY $rest: $err" if $code;
    return put($name, $out);
}
# A byte in the middle of each part that counts.
sub spoilt { my ($name, $at) = @_; my $b = ReeveServer::slurp("$dir/$name"); substr($b, $at, 1) = substr($b, $at, 1) eq 'A' ? 'B' : 'A'; return put('spoilt', $b) }

# ---- the verifiers ----
{
    local %ENV = (%ENV, GO111MODULE => 'off', GOPATH => '/usr/share/gocode', GOCACHE => "$dir/gocache", GOFLAGS => '', CGO_ENABLED => 0, HOME => $dir);
    my ($code, undef, $err) = $s->run('go', 'build', '-o', "$dir/audit_check", "$here/audit_check.go");
    is($code, 0, 'the verifier in Go is built') or BAIL_OUT($err);
}
sub go { my ($code, $out, $err) = $s->run("$dir/audit_check", @_); return wantarray ? ($code, $out, $err) : $code }
mkdir "$dir/npm";
copy("$here/rfc9162/$_", "$dir/npm/$_") or die "$_: $!" for 'package.json', 'package-lock.json', 'verify.js';
my ($got, undef, $why) = $s->run('sh', '-c', "cd $dir/npm && exec timeout 120 npm ci --no-audit --no-fund --ignore-scripts --loglevel=error");
is($got, 0, 'npm has @transmute/rfc9162 of the digest that is expected') or diag($why);
sub js { my ($code) = $s->run('node', "$dir/npm/verify.js", @_); return $code }

# ---- a log, and a checkpoint at each of its sizes ----
ok($s->wait_for(sub { $s->psql('SELECT tree_size FROM sys.chain') eq '1' }, 'the first leaf'), 'a log of one leaf, its region');
my $policy = export('policy.txt', "TO STDOUT WITH (format = 'policy')");
for my $n (1 .. 9) {
    export("checkpoint.$n", "TO STDOUT WITH (format = 'checkpoint')");
    $s->psql("CREATE AUTHORITY ca$n");
}
my $size = 10;
my $checkpoint = export('checkpoint', "TO STDOUT WITH (format = 'checkpoint')");
my ($code, $out, $err) = go('checkpoint', $policy, $checkpoint);
is($code, 0, 'Go opens the checkpoint: the log\'s line, and the cosignature') or diag($err);
my $root = unpack 'H*', MIME::Base64::decode_base64((split ' ', $out)[1] // '');
is("$size|$root", $s->psql("SELECT tree_size, root_hash FROM sys.chain"), '... and finds size and root of the server');
my $text = ReeveServer::slurp($checkpoint);
my ($body, $lines) = split /\n\n/, $text;
for my $at (3, length($body) - 3, length($body) + 120, length($text) - 20) {
    isnt(go('checkpoint', $policy, spoilt('checkpoint', $at)), 0, "... not with byte $at changed");
}

# ---- every leaf ----
my @wrong;
for my $v (0 .. $size - 1) {
    my $leaf = export("$v.leaf", "FROM VERSION $v TO VERSION $v TO STDOUT WITH (format = 'leaf')");
    my $proof = export("$v.proof", "FROM VERSION $v TO VERSION $v TO STDOUT WITH (format = 'proof')");
    push @wrong, "Go refuses $v" if go('inclusion', $policy, $proof, $leaf) != 0;
    push @wrong, "npm refuses $v" if js('inclusion', $proof, $leaf) != 0;
}
is("@wrong", '', 'both find every leaf in the log by its proof');
my $other = "$dir/3.leaf";
is(go('inclusion', $policy, "$dir/4.proof", $other), 1, 'Go does not find another leaf there');
is(js('inclusion', "$dir/4.proof", $other), 1, 'nor does npm');
my $at = index(ReeveServer::slurp("$dir/4.proof"), "\n", 30) + 5;
is(go('inclusion', $policy, spoilt('4.proof', $at), "$dir/4.leaf"), 1, 'Go refuses a changed path');
is(js('inclusion', spoilt('4.proof', $at), "$dir/4.leaf"), 1, 'so does npm');

# ---- from every size ----
for my $n (1 .. 9) {
    my $request = export("$n.consistency", 'FROM VERSION 0 TO VERSION ' . ($n - 1) . " TO STDOUT WITH (format = 'consistency')");
    push @wrong, "Go refuses $n" if go('consistency', $policy, "$dir/checkpoint.$n", $request) != 0;
    push @wrong, "npm refuses $n" if js('consistency', "$dir/checkpoint.$n", $request) != 0;
}
is("@wrong", '', 'both find that the log extends itself from every size');
$at = index(ReeveServer::slurp("$dir/3.consistency"), "\n") + 5;
is(go('consistency', $policy, "$dir/checkpoint.3", spoilt('3.consistency', $at)), 1, 'Go refuses a changed path');
is(js('consistency', "$dir/checkpoint.3", spoilt('3.consistency', $at)), 1, 'so does npm');
my ($was) = ReeveServer::slurp("$dir/checkpoint.3") =~ /\n3\n(\S+)\n/;
my ($is) = ReeveServer::slurp("$dir/checkpoint.5") =~ /\n5\n(\S+)\n/;
put('forked', ReeveServer::slurp("$dir/checkpoint.3") =~ s/\Q$was\E/$is/r);
is(js('consistency', "$dir/forked", "$dir/3.consistency"), 1, 'npm refuses a log that was another one at that size');
is(go('consistency', $policy, "$dir/forked", "$dir/3.consistency"), 1, 'Go does not believe such a checkpoint at all');

# ---- the log over HTTP ----
my $http = HTTP::Tiny->new(timeout => 20);
my $shown = '';
ok($s->wait_for(sub { ($shown = $http->get("http://127.0.0.1:$mirror_port/checkpoint")->{content}) =~ m{^reeve/\w+\n10\n} }, 'the checkpoint', 60), 'the checkpoint');
for my $path ('tile/0/000.p/10', 'tile/entries/000.p/10') {
    make_path("$dir/mirror/" . ($path =~ s{/[^/]*$}{}r));
    put("mirror/$path", $http->get("http://127.0.0.1:$mirror_port/$path")->{content});
}
put('mirror/checkpoint', $shown);
($code, $out, $err) = go('mirror', $policy, "$dir/mirror");
is("$code $out", "0 10\n", "Go's tile reader finds every entry in the tiles, and the tiles under the checkpoint") or diag($err);
for my $path ('tile/0/000.p/10', 'tile/entries/000.p/10') {
    my $whole = ReeveServer::slurp("$dir/mirror/$path");
    put("mirror/$path", ReeveServer::slurp(spoilt("mirror/$path", 7)));
    is(go('mirror', $policy, "$dir/mirror"), 1, "... not with $path changed");
    put("mirror/$path", $whole);
}
# What our own verifier is tried on elsewhere is a mirror for Go as well.
my $tree = MirrorTree->new(3, 2);
my $tree_policy = put('tree.policy', $tree->policy);
$tree->write("$dir/tree", [map { "leaf $_" } 1 .. 700]);
($code, $out, $err) = go('mirror', $tree_policy, "$dir/tree");
is("$code $out", "0 700\n", 'Go and reeve-audit mean the same by a mirror of three tiles') or diag($err);
is(($s->run('reeve-audit', 'verify', "$dir/tree", '--trust-root', $tree_policy))[0], 0, '... which reeve-audit finds sound');

# ---- notes of people ----
(undef, my $vkey) = $s->run('reeve-audit', 'keygen', 'ops/anna', '--key', "$dir/anna");
put('vkey', $vkey);
put('text', "reeve approval v1\n\xc3\xa9\n");
put('note', ($s->run('reeve-audit', 'sign', "$dir/text", '--key', "$dir/anna"))[1]);
($code, $out, $err) = go('note', "$dir/vkey", "$dir/note");
is($code, 0, 'Go opens a note that reeve-audit signed') or diag($err);
is($out, "reeve approval v1\n\xc3\xa9\n", '... and reads its text');
is(go('note', "$dir/vkey", spoilt('note', 2)), 1, '... not a changed one');

ok($s->stop, 'the server stops');
done_testing();
