#!/usr/bin/perl
# 022_renewal.t - certificates that renew themselves, that run out, and that are revoked
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use RolloutFleet;

my $f = RolloutFleet->new;
$f->sql("CREATE AUTHORITY ca");
$f->sql("CREATE STRATEGY now AS CANARY 50% FOR '0 s' THEN 100%");
$f->sql("CREATE CERT short FROM AUTHORITY ca SANS ('s.example') VALID FOR '70 s' RENEW BEFORE '66 s' USING STRATEGY now");
$f->sql("CREATE AUTHORITY brief WITH (ttl = '1 min')");
$f->sql("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')");
$f->fleet('a', count => 10);

sub serves {
    my ($want, $what, $cert) = @_;
    my $have = '';
    $f->wait_for(sub { ($have = $f->serving($cert)) =~ /^$want$/ }, "$what: $want");
    like($have, qr/^$want$/, $what);
}

subtest 'renewal' => sub {
    ok($f->wait_for(sub { $f->sql("SELECT count(*) FROM sys.rollouts WHERE object = 'short'") >= 1 }, 'a renewal begins'), 'by itself');
    my ($id) = split /\n/, $f->sql("SELECT rollout_id FROM sys.rollouts WHERE object = 'short' ORDER BY 1");
    ok($f->wait_state($id, 'succeeded'), 'it succeeds');
    is($f->sql("SELECT strategy FROM sys.rollouts WHERE rollout_id = $id"), 'now', "by the certificate's strategy");
    serves('[2-9]:10', 'everybody has a newer generation', 'short');
    like($f->sql("SELECT submitted_by FROM sys.rollouts WHERE rollout_id = $id"), qr/reeve/, 'nobody asked for it');
};

subtest 'running out' => sub {
    my $count = "SELECT count(*) FROM sys.issues WHERE object = 'brief'";
    ok($f->wait_for(sub { $f->sql($count) >= 1 }, 'an issue about it', 60), 'an issue is raised before an authority ends');
    like($f->sql("SELECT kind, severity, message FROM sys.issues WHERE object = 'brief'"), qr/^authority_expiry\|warning\|.*expires at/, 'and says what');
    $f->sql("ALTER AUTHORITY brief PREPARE");
    $f->sql("ALTER AUTHORITY brief ACTIVATE");
    ok($f->wait_for(sub { $f->sql($count) == 0 }, 'no issue is left'), 'the issue is cleared by a new key');
};

subtest 'revocation' => sub {
    my $id = $f->begin("ROTATE CERT web IMMEDIATE");
    ok($f->wait_state($id, 'succeeded'), 'a second generation');
    serves('2:10', 'everybody has it', 'web');
    $f->sql("REVOKE CERT web GENERATION 2 REASON 'key compromise'");
    serves('1:10', 'revoked: everybody returns to the first', 'web');
    is($f->sql("SELECT generation, state FROM sys.certs WHERE name = 'web'"), '1|active', 'which is active again');
    like($f->try("ROTATE CERT web TO GENERATION 2 IMMEDIATE"), qr/generation 2 is revoked/, 'a revoked one is never served again');
    $f->sql("SET client_min_messages = error; REVOKE CERT web REASON 'this one too'");
    is($f->sql("SELECT state FROM sys.certs WHERE name = 'web'"), 'none', 'none is left');
    $id = $f->begin("ROTATE CERT web IMMEDIATE REASON 'after the compromise'");
    ok($f->wait_state($id, 'succeeded'), 'a new one');
    serves('3:10', 'everybody has it', 'web');
    is($f->sql("SELECT count(*) FROM sys.cert_generations WHERE cert = 'web' AND state = 'revoked'"), 2, 'two are revoked for good');
};

ok($f->stop, 'the server stops');
done_testing;
