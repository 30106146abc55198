#!/usr/bin/perl
# sessions.t - several sessions at once, through psycopg 3; sessions.py prints the TAP
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use ReeveServer;

my $s = ReeveServer->new(conf => "rollout_prepare_window = 100ms\n")->init->start;
$s->wait_for(sub { $s->psql('SELECT count(*) FROM sys.regions') eq '1' }, 'the region is attested');
$| = 1;
my $rc = system '/usr/bin/python3', "$FindBin::Bin/sessions.py", '127.0.0.1', $s->port, $s->agent_port, $s->{superuser}, $ReeveServer::PASSWORD;
print STDERR $s->log if $rc;
$rc ||= !$s->stop;
exit($rc ? 1 : 0);
