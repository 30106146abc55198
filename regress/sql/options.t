#!/usr/bin/perl
# options.t - the options of WITH and SET: a wrong one is answered with the right ones, and \h names them all
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use ReeveServer;
use Test::More;

my $s = ReeveServer->new->init->start;
$s->wait_for(sub { $s->psql('SELECT count(*) FROM sys.regions') eq '1' }, 'the region is attested');
$s->psql($_) for 'CREATE AUTHORITY ca', "CREATE CERT web FROM AUTHORITY ca SANS ('web.example')";

sub error { return eval { $s->psql($_[0]) } // $@ }

# Statement of the help, and how it looks with an option that does not exist.
my @statements = (
    [ 'CREATE AUTHORITY', 'CREATE AUTHORITY x WITH (nonsense = 1)' ],
    [ 'ALTER AUTHORITY', 'ALTER AUTHORITY ca SET (nonsense = 1)' ],
    [ 'CREATE CERT', "CREATE CERT x FROM AUTHORITY ca SANS ('x') WITH (nonsense = 1)" ],
    [ 'ALTER CERT', 'ALTER CERT web SET (nonsense = 1)' ],
    [ 'CREATE WINDOW', 'CREATE WINDOW x WITH (nonsense = 1)' ],
    [ 'CREATE JOIN_TOKEN', 'CREATE JOIN_TOKEN WITH (nonsense = 1)' ],
    [ 'EXPLAIN', 'EXPLAIN (nonsense) DROP CERT web' ],
    [ 'COPY', 'COPY (SELECT 1) TO STDOUT WITH (nonsense)' ],
);
for (@statements) {
    my ($statement, $sql) = @$_;
    my $error = error($sql);
    like($error, qr/there is no option "nonsense" here/, "$statement refuses an option it does not know");
    my ($list) = $error =~ /^HINT:.*The options? (?:is|are) (.*)\.$/m;
    my @options = split /, | and /, $list // '';
    ok(scalar @options, "$statement: the hint names the options: @options");
    my $synopsis = $s->psql("SELECT synopsis FROM sys.statement_help WHERE statement = '$statement'");
    is_deeply([ grep { $_ ne 'csv' && $synopsis !~ /\b\Q$_\E\b/i } @options ], [], "$statement: \\h names each of them");
}
like(error('CREATE JOIN_TOKEN WITH (label = 1)'), qr/HINT:  Perhaps you meant labels\. The options are /, 'a slip of the pen is seen');
my @refused = split /\n/, $s->psql("SELECT statement FROM sys.statement_help WHERE synopsis LIKE '%option = value%' ORDER BY 1");
is_deeply(\@refused, [ 'ALTER SERVICE', 'CREATE EXTENSION', 'CREATE REGION' ],
    'options are left unnamed only where the statement is not available yet');
for ("CREATE REGION x WITH (a = 1)", 'ALTER SERVICE x SET (a = 1)', 'CREATE EXTENSION x WITH (a = 1)') {
    like(error($_), qr/^HINT:  /m, "$_: refused, with a hint");
}
ok($s->stop, 'the server stops');
done_testing();
