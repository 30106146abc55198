#!/usr/bin/perl
# protocol.t - the same raw conversations as PostgreSQL 15 had (protocol.expected): message for message
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SqlServer;
use Test::More;

my $s = SqlServer->new(hba => "local all all trust\n");
open my $in, '-|', '/usr/bin/python3', "$FindBin::Bin/protocol.py", $s->{dir}, $s->{port}, 'ann', 'reeve' or die;
my $got = do { local $/; <$in> };
close $in;

sub talks { my %t; $t{$1} = $2 while $_[0] =~ /^== (.*?)\n(.*?)(?=^== |\z)/gms; return %t }
my %got = talks($got);
my %want = talks(SqlServer::slurp("$FindBin::Bin/protocol.expected"));
is($got{$_} // '', $want{$_}, $_) for sort keys %want;
is_deeply([sort keys %got], [sort keys %want], 'no conversation is missing');
done_testing();
