# A ring of three: proposals are the ring's data, so they are made at one member, approved at others, and outlive a leader.
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use NoteSigner;
use Ring;

my $r = Ring->new;

sub psql_at {
    my ($i, $sql) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $r->server($i)->run('psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-h', '127.0.0.1', '-p', $r->server($i)->port,
        '-U', 'admin', '-d', 'reeve', '-c', $sql);
    return "$out$err";
}
sub text_at {
    my ($i, $p) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my (undef, $out) = $r->server($i)->run('psql', '-XAtq', '-F', "\x1f", '-R', "\x1e", '-h', '127.0.0.1', '-p', $r->server($i)->port, '-U', 'admin',
        '-d', 'reeve', '-c', "SHOW PROPOSAL $p");
    my %v = map { split /\x1f/, $_, 2 } split /\x1e/, $out;
    return @v{qw(approve digest)};
}

# Where a change is refused for the moment (an election, a link being made anew) it is tried again.
sub until_like {
    my ($i, $sql, $want, $what) = @_;
    my $have = '';
    ok($r->server($i)->wait_for(sub { ($have = psql_at($i, ref $sql ? $sql->() : $sql)) =~ $want }, $what), $what) or diag($have);
}
sub approved_at {
    my ($i, $p, $who, $want, $what) = @_;
    until_like($i, sub {
        my ($text, $digest) = text_at($i, $p);
        return defined $text ? "APPROVE PROPOSAL $p DIGEST '$digest' SIGNATURE '" . $who->note($text) . "'" : 'SELECT 1';
    }, $want, $what);
}

my %p = map { $_ => NoteSigner->new($_) } qw(security/anna security/bert security/cora);
my $i = 0;
for (sort keys %p) {
    my $at = $i++ % 3;
    until_like($at, "CREATE APPROVER '$_' KEY '" . $p{$_}->vkey . "'", qr/^$|42710/, "$_ is registered at member $at");
}
until_like(1, "CREATE APPROVAL POLICY trust FOR (TRUST ROOT, APPROVAL POLICY) REQUIRE 2 OF GROUP security EXPIRES 1 HOUR", qr/^$|42710/,
    'a policy is made at a joined member');
until_like(2, 'CREATE AUTHORITY ca', qr/RL003.*policy 'trust'.*HINT:  PROPOSE/s, 'it is in force at the others');
until_like(2, 'PROPOSE SECURITY UPDATE p1 AS CREATE AUTHORITY ca', qr/^p1\|pending|42710/, 'a change is proposed at one member');
approved_at(1, 'p1', $p{'security/anna'}, qr/^p1\|pending\|trust\|1\|2/, 'approved at another');

# The member beside the validator may be the leader or not; whoever leads goes.
my $leader = $r->wait_leader;
ok($r->server($leader)->stop('immediate'), 'the leader is gone');
$r->server($leader)->start;
until_like($_, "SELECT approvals_have FROM sys.proposals WHERE proposal = 'p1'", qr/^1$/, 'after a leader is gone member ' . $_ . ' knows it') for $r->all;
approved_at(0, 'p1', $p{'security/bert'}, qr/^p1\|applied|is applied/, 'the last approval, at the third, submits it');
until_like($_, "SELECT count(*) FROM sys.authorities WHERE name = 'ca'", qr/^1$/, "member $_ has it") for $r->all;
until_like($_, "SELECT state FROM sys.proposals WHERE proposal = 'p1'", qr/^applied$/, "... and says so") for $r->all;

ok($r->server($_)->stop, 'a member stops') for $r->all;
done_testing;
