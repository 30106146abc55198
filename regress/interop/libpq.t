#!/usr/bin/perl
# libpq.t - libpq from C against a real server; libpq_probe prints the TAP
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SqlServer;

my $s = SqlServer->new;
$| = 1;
my $rc = system(($ENV{REEVE_BUILD} // 'build') . '/regress/interop/libpq_probe', $s->conninfo);
$s->stop;
exit($rc ? 1 : 0);
