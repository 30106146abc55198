#!/usr/bin/perl
# scenarios.t - docs/design/raft-scenarios.md has all 62 scenarios, and every test that it names exists
use strict;
use warnings;
use Test::More;

my $top = $ENV{REEVE_TOP} || '.';
sub slurp { my ($f) = @_; open my $h, '<', $f or return ''; local $/; return scalar <$h> }

# "ring/test_core", or the name of a test of raft or member, which needs no folder; a claim may be cut short with "_…".
sub source {
    my ($file) = @_;
    return (grep { -e } "$top/regress/unit/$file.c", "$top/regress/unit/raft/test_$file.c", "$top/regress/unit/member/test_$file.c")[0];
}
sub claims { my ($file, $list) = @_; return map { [ $file, $_ ] } $list =~ /\b([a-z0-9]+(?:_[a-z0-9]+){2,}(?:_…)?)/g }

my (%row, @bad);
for (split /\n/, slurp("$top/docs/design/raft-scenarios.md")) {
    my ($from, $to, $where) = /^\| (\d+)(?:–(\d+))? \| .*? \| (.*?) \|$/ or next;
    last if $row{62};
    $row{$_} = $where for $from .. $to // $from;
    my $named = 0;
    for my $cluster ($where =~ m{cluster/(\w+)}g) {
        $named++;
        push @bad, "$from: cluster/$cluster" if !(() = glob "$top/regress/cluster/$cluster*");
    }
    for my $trace ($where =~ /trace (\w+)/g) { push @bad, "$from: trace $trace" if !-e "$top/regress/scenario/raft/$trace.in" }
    $named++ if $where =~ /\bstorm\b|\bsimulation\b|do not exist/;
    for my $part (split /; /, $where) {
        my ($file, $list) = $part =~ m{^([\w/]+): (.*)} or next;
        my $c = source($file);
        push(@bad, "$from: no file $file"), next if !$c;
        my $text = slurp($c);
        for my $claim (claims($file, $list)) {
            $named++;
            my $name = $claim->[1] =~ s/_…$//r;
            my $whole = $name eq $claim->[1] ? '\(' : '\w*\(';
            push @bad, "$from: $file: $name" if $text !~ /^static void \Q$name\E$whole/m;
        }
    }
    push @bad, "$from names no test" if !$named && $where !~ /\bopen\b/;
}
is_deeply([ grep { !$row{$_} } 1 .. 62 ], [], 'all 62 scenarios are there');
is_deeply(\@bad, [], 'every test that they name exists');
done_testing();
