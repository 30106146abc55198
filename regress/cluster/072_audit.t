#!/usr/bin/perl
# 072_audit.t - what is exported is believed without the server, and no byte of it can be changed
#
# A history of several rotations is exported as a bundle, as a single proof and as a checkpoint, and verified by reeve-audit
# with nothing but the policy. Bytes are changed at seeded places: REEVE_SEED repeats a run.
use strict;
use warnings;
use Digest::SHA qw(sha256);
use MIME::Base64 qw(encode_base64);
use Test::More;
use lib 'regress/lib';
use ReeveServer;

my $seed = $ENV{REEVE_SEED} // $ENV{REEVE_CHECK_SEED} // time ^ $$;
diag("REEVE_SEED=$seed");
srand $seed;

my $s = ReeveServer->new;
$s->init->start;
my $dir = "$s->{base}/audit";
mkdir $dir;

sub put {
    my ($name, $bytes) = @_;
    open my $f, '>:raw', "$dir/$name" or die $!;
    print $f $bytes;
    close $f;
}
sub ask {
    my ($program, $sql) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my @quiet = $program eq 'psql' ? '-Xq' : '-q';
    return $s->run($program, @quiet, '-h', '127.0.0.1', '-p', $s->port, '-U', 'admin', '-d', 'reeve', '-c', $sql);
}
sub export {
    my ($name, $sql) = @_;
    my ($code, $out, $err) = ask('psql', $sql);
    is($code, 0, "exported: $sql") or diag($err);
    put($name, $out);
    return $out;
}
sub audit { return $s->run('reeve-audit', @_) }
sub verify { my ($name, $policy) = @_; return audit('verify', "$dir/$name", '--trust-root', "$dir/" . ($policy // 'policy.txt')) }
sub sound { my ($name, $what) = @_; my ($code, $out, $err) = verify($name); is($code, 0, $what) or diag($err); return $out }
# Exit 1 and a reason for each.
sub refused_wherever_changed {
    my ($name, $times, $file) = @_;
    my $whole = ReeveServer::slurp("$dir/$name");
    $file //= $name;
    my @wrong;
    for (1 .. $times) {
        my ($at, $by) = (int rand length $whole, 1 + int rand 255);
        my $changed = $whole;
        substr($changed, $at, 1) = chr(ord(substr $changed, $at, 1) ^ $by);
        put($name, $changed);
        my ($code, $out, $err) = verify($file);
        push @wrong, "byte $at ^ $by: exit $code $out$err" if $code != 1 || $err !~ /refused: \S/ || $out ne '';
    }
    put($name, $whole);
    is(join('', @wrong), '', "$name is refused with exit 1 and a reason, whichever of its bytes is changed");
}

# ---- a history ----
$s->psql("CREATE AUTHORITY ca");
$s->psql("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
for my $n (1 .. 3) {
    my ($id) = $s->psql("ROTATE CERT web IMMEDIATE REASON 'CHG-$n'") =~ /^(\d+)/;
    $s->psql("WAIT FOR ROLLOUT $id UNTIL succeeded TIMEOUT '60 s'");
}
my $size = $s->psql("SELECT tree_size FROM sys.chain");
cmp_ok($size, '>', 9, 'a history');

# ---- the whole of it ----
my $policy = export('policy.txt', "COPY HISTORY TO STDOUT WITH (format = 'policy')");
my ($chain) = $policy =~ m{^log reeve/([0-9a-f]{64})\+}m;
is($chain, $s->psql("SELECT chain_id FROM sys.chain"), 'the policy names the chain');
export('bundle', 'COPY HISTORY TO STDOUT');
like(sound('bundle', 'the bundle is sound'), qr/leaves  0 to \d+.*checkpoint cosigned by 1/s, '... all of it, under a cosigned checkpoint');
my (undef, $shown) = audit('show', "$dir/bundle", '--trust-root', "$dir/policy.txt");
like($shown, qr/actor     admin\n  from      127\.0\.0\.1\n  statement ROTATE CERT web IMMEDIATE REASON 'CHG-$_'\n  reason    CHG-$_\n/,
    "who, from where, which statement, why: CHG-$_") for 1 .. 3;
refused_wherever_changed('bundle', 100);
my $bundle = ReeveServer::slurp("$dir/bundle");
for my $len (0, 1, 24, 100, length($bundle) - 1) {
    put('short', substr $bundle, 0, $len);
    is((verify('short'))[0], 1, "its first $len bytes alone are refused");
}
my (undef, $by_shell) = ask('reeve', "COPY HISTORY FROM VERSION 1 TO VERSION 4 TO STDOUT");
put('by_shell', $by_shell);
like(sound('by_shell', 'a part, by our own shell, is sound'), qr/leaves  1 to [4-9]/, '... and that part');
export('since', "COPY HISTORY SINCE '2020-01-01' TO STDOUT");
like(sound('since', 'a part by time is sound'), qr/leaves  0 to /, '... from the first one then');

# ---- single things ----
export('update.leaf', "COPY HISTORY FROM VERSION 2 TO VERSION 2 TO STDOUT WITH (format = 'leaf')");
export('update.tlog-proof', "COPY HISTORY FROM VERSION 2 TO VERSION 2 TO STDOUT WITH (format = 'proof')");
export('checkpoint', "COPY HISTORY TO STDOUT WITH (format = 'checkpoint')");
sound('update.tlog-proof', 'a single proof is sound');
sound('checkpoint', 'a checkpoint is sound');
refused_wherever_changed('update.tlog-proof', 40);
refused_wherever_changed('update.leaf', 20, 'update.tlog-proof');
refused_wherever_changed('checkpoint', 40);
is(unpack('H*', ReeveServer::slurp("$dir/update.leaf")), $s->psql("SHOW PROOF FOR VERSION 2") =~ s/.*\|\\x([0-9a-f]+)\|.*/$1/sr, 'SHOW PROOF has the same leaf');
like($s->psql("SHOW PROOF FOR VERSION 2"), qr{\|c2sp\.org/tlog-proof\@v1\nindex 2\n}, '... and a proof');
like($s->psql("VERIFY HISTORY"), qr/^0\|\d+\|\d+\|\d+\|\d+\|[0-9a-f]{64}$/, 'the server finds its own store sound');

# ---- other trust roots ----
sub vkey {
    my ($name, $type, $key) = @_;
    my $typed = chr($type) . $key;
    return join '+', $name, unpack('H8', sha256("$name\n$typed")), encode_base64($typed, '');
}
my $other = 'reeve/' . '0' x 64;
my ($log_key) = $policy =~ m{^log [^+]+\+[^+]+\+(\S+)$}m;
my $public = substr MIME::Base64::decode_base64($log_key), 1;
put('other', $policy =~ s{^log \S+}{'log ' . vkey($other, 1, $public)}mer);
my ($code, undef, $err) = verify('bundle', 'other');
is($code, 1, 'the bundle of another chain is refused');
like($err, qr/not that of the chain in the trust root/, '... for that reason');
is((verify('checkpoint', 'other'))[0], 1, 'and its checkpoint');
put('two', $policy =~ s{^group.*}{"witness v2 " . vkey('reeve.example/v2', 4, sha256('x')) . "\ngroup validators 2 v1 v2"}mer);
($code, undef, $err) = verify('checkpoint', 'two');
is($code, 1, 'a witness that is missing is missed');
like($err, qr/too few/, '... for that reason');
put('none', $policy =~ s/^quorum .*/quorum none/mr);
is((verify('bundle', 'none'))[0], 2, 'a policy that believes the log itself is no trust root');
put('nothing', '');
is((verify('bundle', 'nothing'))[0], 2, 'nor is an empty file');
is((verify('bundle', 'missing'))[0], 2, 'a trust root that is not there: 2');
is((verify('missing'))[0], 2, 'a file that is not there: 2');
is((audit('verify', "$dir/bundle"))[0], 2, 'no trust root: 2');
is((audit('verify', "$dir/bundle", '--trust-root', "$dir/policy.txt", '--nonsense'))[0], 2, 'an unknown option: 2');
put('empty', '');
is((verify('empty'))[0], 1, 'an empty file is unsound');

# ---- the signer ----
ok($s->stop && $s->start, 'restarted');
export('later', "COPY HISTORY TO STDOUT WITH (format = 'checkpoint')");
sound('later', 'the log goes on under the same keys');
my ($signer) = $s->children('signer');
kill 'STOP', $signer;
my ($rc, $out, $warning) = ask('psql', 'COPY HISTORY TO STDOUT');
kill 'CONT', $signer;
is($rc, 0, 'a bundle needs no signer');
like($warning, qr/WARNING:.*no checkpoint in it/, '... but says what is missing');
put('alone', $out);
like(sound('alone', '... and is sound by the finalizations'), qr/no checkpoint in it/, '... without a checkpoint');

# ---- people's keys ----
my ($made, $vkey) = audit('keygen', 'ops/anna', '--key', "$dir/anna");
is($made, 0, 'a key is made');
like($vkey, qr{^ops/anna\+[0-9a-f]{8}\+A\S{43}\n$}, '... and its public part printed');
is((stat "$dir/anna")[2] & 0777, 0600, '... for its owner alone');
is((audit('keygen', 'ops/anna', '--key', "$dir/anna"))[0], 2, 'no key is overwritten');
put('text', "I have seen it\n");
my ($signed, $note) = audit('sign', "$dir/text", '--key', "$dir/anna");
is($signed, 0, 'a text is signed');
like($note, qr{^I have seen it\n\n\xe2\x80\x94 ops/anna \S+\n$}, '... as a note');
is((audit('sign', "$dir/text", '--key', "$dir/anna", '--signature'))[1], $note =~ s/.*\n\n//sr, '... or the line alone, the same');
put('text', "no end");
is((audit('sign', "$dir/text", '--key', "$dir/anna"))[0], 2, 'what no note can carry is not signed');
chmod 0644, "$dir/anna";
is((audit('sign', "$dir/text", '--key', "$dir/anna"))[0], 2, 'nor with a key that others may read');

done_testing();
