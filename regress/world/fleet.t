#!/usr/bin/perl
# fleet.t - a fleet under load: rotations of both kinds, one that goes wrong and back, kill -9 of kinds, a restart
#
# Meant for builds with sanitizers (make check-world in build-asan), right in any.
# Environment: WORLD_AGENTS (200)
use strict;
use warnings;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use ReeveServer;

my $n = $ENV{WORLD_AGENTS} // 200;
my $s = ReeveServer->new(conf => "attest_tick_interval = 500ms\nagent_heartbeat_interval = 2s\n");
$s->init->start;
my ($fleet, $starts) = (0, 0);

sub fleet_start {
    my (@more) = @_;
    my $out = "$s->{base}/fleet" . ++$starts;
    $fleet = fork() // die "fork: $!";
    return if $fleet;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$out.out";
    open STDERR, '>', "$out.err";
    exec 'reeve-bench', 'fleet', '--server', "127.0.0.1:$s->{agent_port}", '--token-file', "$s->{base}/token", '--count', $n,
        '--state', "$s->{base}/state", @more or POSIX::_exit(127);
}

# The fleet ends as it should, its sanitizers content.
sub fleet_stop {
    my ($what) = @_;
    kill 'TERM', $fleet;
    waitpid $fleet, 0;
    my $code = $?;
    $fleet = 0;
    my $err = ReeveServer::slurp("$s->{base}/fleet$starts.err");
    unlike($err, qr/Sanitizer|runtime error|assert/i, $what) or diag($err);
    ok(!($code & 127), '... by itself') or diag("status $code");
}

sub everywhere {
    my ($cert, $gen, $what) = @_;
    ok($s->wait_for(sub { $s->psql("SELECT on_current FROM sys.certs WHERE name = '$cert' AND generation = $gen") eq $n }, $what, 120), $what);
}

sub rollout_ends {
    my ($state, $count) = @_;
    ok($s->wait_for(sub { $s->psql("SELECT count(*) FROM sys.rollouts WHERE state = '$state'") >= $count }, $state, 120),
        "$count ended as $state");
}

$s->psql("CREATE AUTHORITY ca WITH (key_type = 'ecdsa-p256', ttl = '2 years')");
$s->psql("CREATE CERT 'own' FROM AUTHORITY ca SUBJECT 'CN=edge.example' SANS ('edge.example') VALID FOR '90 days'");
$s->psql("CREATE CERT 'shared' FROM AUTHORITY ca SUBJECT 'CN=edge.example' SANS ('edge.example') VALID FOR '90 days' WITH (shared = 'region')");
my $token = (split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = $n, ttl = '1 day')"))[0];
open my $f, '>', "$s->{base}/token" or die $!;
print $f "$token\n";
close $f;

fleet_start('--fail-share', '0.6', '--fail-cert', 'own', '--fail-generation', 3);
everywhere($_, 1, "all have $_") for qw(own shared);
$s->psql("ROTATE CERT '$_' CANARY 5% FOR '1 s' THEN 100%") for qw(own shared);
everywhere($_, 2, "all have the second $_") for qw(own shared);
rollout_ends('succeeded', 2);
$s->psql("ROTATE CERT 'own' CANARY 20% FOR '1 s' THEN 100% ROLLBACK IF failed > 10% SAMPLE 5");
rollout_ends('rolled_back', 1);

for my $kind (qw(gateway ring validator signer)) {
    my ($pid) = $s->children($kind);
    kill 'KILL', $pid;
    ok($s->wait_for(sub { my @now = $s->children($kind); @now && !grep { $_ == $pid } @now }, "a new $kind"), "a killed $kind is replaced");
}
$s->psql("ROTATE CERT 'shared' IMMEDIATE");
everywhere('shared', 3, 'all have the third shared after that');

is(($s->ctl('restart', '-t', '60'))[0], 0, 'restart under load');
$s->psql("ROTATE CERT 'shared' IMMEDIATE");
everywhere('shared', 4, 'the same fleet goes on');
fleet_stop('the fleet ends clean');
fleet_start();
ok($s->wait_for(sub { $s->psql("SELECT count(*) FROM sys.nodes WHERE state = 'live'") eq $n }, 'the fleet is back', 120), 'the fleet comes back from its keys');
fleet_stop('and ends clean again');
ok($s->stop, 'the server stops');
unlike($s->log, qr/Sanitizer|runtime error|assertion|signal 6|signal 11/, 'its log is quiet');
done_testing();

END {
    my $code = $?;
    kill 'KILL', $fleet if $fleet;
    $? = $code;
}
