#!/usr/bin/perl
# drivers.t - psycopg2 and psycopg 3 against a real server; drivers.py prints the TAP
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SqlServer;

my $s = SqlServer->new;
$| = 1;
my $rc = system '/usr/bin/python3', "$FindBin::Bin/drivers.py", $s->conninfo;
$s->stop;
exit($rc ? 1 : 0);
