#!/usr/bin/perl
# statements.t - every statement of statements.txt and statements_more.txt, executed
#
# What matters is that nothing is a syntax error or an internal one: a
# statement works, or is refused with an SQLSTATE that says why. Which one
# stands in regress/expected/statements.out (REWRITE=1 writes it anew).
# Parameters get the value '1'.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use ReeveServer;
use Test::More;

my $expected = "$FindBin::Bin/../expected/statements.out";
my $s = ReeveServer->new->init->start;
$s->wait_for(sub { $s->psql('SELECT count(*) FROM sys.regions') eq '1' }, 'the region is attested');
open my $in, '>', "$s->{base}/in" or die;
for my $file ('statements.txt', 'statements_more.txt') {
    for my $line (split /\n/, ReeveServer::slurp("$FindBin::Bin/$file")) {
        next if $line =~ /^\s*(?:--|#|$)/;
        $line =~ s/\s*;?\s*$//;
        my $run = $line =~ s/\b(ROLLOUT|CANARY|RATE) \$\d+\b/$1 1/gr;
        $run =~ s/\$\d+\b/'1'/g unless $run =~ /^PREPARE/;
        $run =~ s/;/\\;/g;
        print $in "$run\n\\g /dev/null\n\\echo :SQLSTATE '\t' ", quote($line), "\nROLLBACK;\n";
    }
}
close $in;

sub quote { return "'" . ($_[0] =~ s/\\/\\\\/gr =~ s/'/''/gr) . "'" }

my ($code, $out) = do {
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    $s->run('sh', '-c', "psql -X -q -h 127.0.0.1 -p $s->{port} -U admin -d reeve <$s->{base}/in");
};
my $have = join "\n", (grep { /^[0-9A-Z]{5} \t/ } split /\n/, $out), '';
if ($ENV{REWRITE}) {
    open my $f, '>', $expected or die;
    print $f $have;
    close $f;
}
my @lines = split /\n/, $have;
cmp_ok(scalar(@lines), '>', 95, 'all statements were run: ' . @lines);
is_deeply([grep { /^(?:XX|08)/ } @lines], [], 'none ends in an internal error or a lost connection');
is_deeply([grep { /^42601/ } @lines], [], 'none is a syntax error');
is($have, ReeveServer::slurp($expected), 'each answers as expected');
ok($s->stop, 'the server stops');
done_testing;
