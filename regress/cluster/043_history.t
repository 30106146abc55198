# A client history of a ring of three, recorded on real processes while members are killed and stand still, is linearizable;
# and the checker that says so sees what is not. record_history FILE records two minutes of it, for anyone's checker.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use ReeveServer;
use Test::More;

my $dir = tempdir('reeve-history-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $top = $ENV{REEVE_TOP} // '.';

sub judged {
    my ($name, @events) = @_;
    my $ns = 0;
    open my $f, '>', "$dir/$name" or die $!;
    print $f encode_json({ process => $_->[0], type => $_->[1], op => $_->[2], key => 'k', value => $_->[3], time_ns => ++$ns }), "\n"
        for @events;
    close $f;
    my $out = `reeve-sim linear $dir/$name 2>&1`;
    return ($? >> 8, $out);
}

# ---- what the checker says of histories that are known to be right or wrong ----
my @write = ([ 1, 'invoke', 'write', 1 ], [ 1, 'ok', 'write', 1 ]);
my ($code, $out) = judged('right', @write, [ 2, 'invoke', 'read', undef ], [ 2, 'ok', 'read', 1 ]);
is($code, 0, 'read what was written') or diag($out);
($code, $out) = judged('stale', @write, [ 2, 'invoke', 'read', undef ], [ 2, 'ok', 'read', undef ]);
is($code, 1, 'a read that misses an acknowledged write is a violation') or diag($out);
like($out, qr/key k: not linearizable/, '... of that key');
($code, $out) = judged('cas', @write, [ 2, 'invoke', 'cas', [ 2, 3 ] ], [ 2, 'ok', 'cas', [ 2, 3 ] ]);
is($code, 1, 'a compare-and-set that found what was not there is one') or diag($out);
($code, $out) = judged('missed', @write, [ 2, 'invoke', 'cas', [ 1, 3 ] ], [ 2, 'fail', 'cas', [ 1, 3 ] ]);
is($code, 1, 'one that did not find what was there is one') or diag($out);
($code, $out) = judged('refused', @write, [ 2, 'invoke', 'write', 2 ], [ 2, 'fail', 'write', 2 ],
    [ 2, 'invoke', 'read', undef ], [ 2, 'ok', 'read', 2 ]);
is($code, 1, 'a write that was refused and is read is one') or diag($out);
($code, $out) = judged('unknown', @write, [ 2, 'invoke', 'write', 2 ], [ 2, 'unknown', 'write', 2 ],
    [ 3, 'invoke', 'read', undef ], [ 3, 'ok', 'read', 1 ], [ 3, 'invoke', 'read', undef ], [ 3, 'ok', 'read', 2 ]);
is($code, 0, 'an unknown write may happen late') or diag($out);
($code, $out) = judged('back', @write, [ 2, 'invoke', 'write', 2 ], [ 2, 'unknown', 'write', 2 ],
    [ 3, 'invoke', 'read', undef ], [ 3, 'ok', 'read', 2 ], [ 3, 'invoke', 'read', undef ], [ 3, 'ok', 'read', 1 ]);
is($code, 1, '... but not be undone') or diag($out);
($code, $out) = judged('again', [ 1, 'invoke', 'write', 1 ], [ 1, 'unknown', 'write', 1 ], [ 1, 'invoke', 'read', undef ]);
is($code, 2, 'a process that met an unknown does not come again') or diag($out);

# ---- the real thing ----
my $file = "$dir/history.jsonl";
system("$top/regress/cluster/record_history $file 20 >$dir/out 2>$dir/err");
is($? >> 8, 0, 'twenty seconds of kills and pauses: linearizable') or diag(ReeveServer::slurp("$dir/out"), ReeveServer::slurp("$dir/err"));
my (%n, %keys, %began, %per_key);
open my $f, '<', $file or die $!;
while (<$f>) {
    my $e = decode_json($_);
    $n{"$e->{op} $e->{type}"}++;
    $keys{$e->{key}}++ if $e->{type} eq 'invoke';
}
cmp_ok(scalar keys %keys, '>=', 20, 'on many keys');
is(scalar(grep { $_ > 300 } values %keys), 0, '... with at most 300 operations each');
cmp_ok($n{$_} // 0, '>=', 50, "it has: $_") for 'read ok', 'write ok', 'cas ok', 'cas fail';
note(map { "$_: $n{$_}\n" } sort keys %n);
done_testing;
