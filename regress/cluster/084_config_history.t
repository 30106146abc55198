#!/usr/bin/perl
# 084_config_history.t - config changes become a log of their own, which the validators attest: afterwards they cannot be rewritten
#
# Exported changes are verified by reeve-audit with nothing but the policy; bytes are changed at seeded places (REEVE_SEED).
# That the next checkpoint comes no sooner than a minute later is shown in regress/unit/region/test_config_log.c.
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use ReeveServer;

my $seed = $ENV{REEVE_SEED} // time ^ $$;
diag("REEVE_SEED=$seed");
srand $seed;

my $s = ReeveServer->new;
$s->init;
$s->append_conf("config_checkpoint_delay = 1h\n");
$s->start;
my $dir = "$s->{base}/audit";
mkdir $dir;

sub put {
    my ($name, $bytes) = @_;
    open my $f, '>:raw', "$dir/$name" or die $!;
    print $f $bytes;
    close $f;
}
sub ask {
    my ($sql) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    return $s->run('psql', '-Xq', '-h', '127.0.0.1', '-p', $s->port, '-U', 'admin', '-d', 'reeve', '-c', $sql);
}
sub export {
    my ($name, $sql) = @_;
    my ($code, $out, $err) = ask($sql);
    is($code, 0, "exported: $sql") or diag($err);
    put($name, $out);
}
sub audit { my ($what, $name) = @_; return $s->run('reeve-audit', $what, "$dir/$name", '--trust-root', "$dir/policy.txt") }
sub checkpoints { return $s->psql("SELECT count(*) FROM sys.history WHERE log = 'global' AND object_kind = 'region checkpoint'") }

# ---- before there is a checkpoint ----
$s->psql("SET CONFIG 'limit' = 10 REASON 'CHG-1'");
$s->psql("SET CONFIG 'limit' = 20 REASON 'CHG-2'");
$s->psql("SET CONFIG 'motd' = '" . ('x' x 9000) . "'");
$s->psql("BEGIN; SET CONFIG 'a' = 1; SET CONFIG 'b' = 2; COMMIT");
$s->psql("RESET CONFIG 'motd'");
$s->psql("CREATE ROLE nobody_of_config");
export('policy.txt', "COPY HISTORY TO STDOUT WITH (format = 'policy')");
my ($code, undef, $err) = ask("COPY HISTORY TO STDOUT WITH (format = 'config')");
isnt($code, 0, 'what is not attested is not exported');
like($err, qr/no config history of this region has been attested yet.*HINT:.*once a minute/s, '... which is said');
is(checkpoints(), 0, 'a change waits for others');

# ---- attested ----
$s->append_conf("config_checkpoint_delay = 0\n");
$s->ctl('reload');
ok($s->wait_for(sub { checkpoints() == 1 }, 'a checkpoint'), 'a checkpoint is in the global log');
like($s->psql("SELECT actor, object, reason, after FROM sys.history WHERE object_kind = 'region checkpoint'"),
    qr/^reeve\|\w+\|6 changes of config\|\{"size": ?6,/, '... of this region, over all six changes');
$s->append_conf("config_checkpoint_delay = 1h\n");
$s->ctl('reload');
$s->psql("SET CONFIG 'limit' = 30 REASON 'CHG-3'");

export('config', "COPY HISTORY TO STDOUT WITH (format = 'config')");
my ($ok, $out, $why) = audit('verify', 'config');
is($ok, 0, 'the config history is sound') or diag($why);
like($out, qr/config changes 0 to 5 of region \w+, of 6 under its checkpoint 1/, '... all that the checkpoint covers');
my (undef, $shown) = audit('show', 'config');
like($shown, qr/: set config limit at version \d+.*\n  actor     admin\n  from      127\.0\.0\.1.*\n  statement SET CONFIG 'limit' = $_.*\n  reason    CHG-@{[$_ \/ 10]}\n/,
    "who, from where, which statement, why: $_") for 10, 20;
like($shown, qr/: reset config motd/, '... and what was taken away');
unlike($shown, qr/CHG-3|nobody_of_config/, '... without what is not attested yet, or no config');

# ---- one change ----
my ($version) = $s->psql("SELECT version FROM sys.history WHERE log = 'region' AND reason = 'CHG-2'");
export('one', "COPY HISTORY FROM VERSION $version TO VERSION $version TO STDOUT WITH (format = 'config')");
like((audit('verify', 'one'))[1], qr/config changes 1 to 1 /, 'one change alone is sound');
my @proof = split /\|/, $s->psql("SHOW PROOF FOR CONFIG VERSION $version");
is($proof[0], $version, 'SHOW PROOF FOR CONFIG is about that version');
require MIME::Base64;
put('shown', MIME::Base64::decode_base64($proof[5]));
like((audit('show', 'shown'))[1], qr/reason    CHG-2\n/, '... and its proof is such a bundle');
($code, undef, $err) = ask("SHOW PROOF FOR CONFIG VERSION 999999");
like($err, qr/no change of config of that version has been attested/, 'of a version that is not there it says so');

# ---- no byte can be changed ----
for my $name ('config', 'one') {
    my $whole = ReeveServer::slurp("$dir/$name");
    my @wrong;
    for (1 .. 40) {
        my ($at, $by) = (int rand length $whole, 1 + int rand 255);
        my $changed = $whole;
        substr($changed, $at, 1) = chr(ord(substr $changed, $at, 1) ^ $by);
        put('changed', $changed);
        my ($c, $o, $e) = audit('verify', 'changed');
        push @wrong, "byte $at ^ $by: exit $c $o$e" if $c != 1 || $e !~ /refused: \S/ || $o ne '';
    }
    is(join('', @wrong), '', "$name is refused with exit 1 and a reason, whichever of its bytes is changed");
}
like($s->psql("VERIFY HISTORY"), qr/^0\|/, 'the server finds its own store sound, config history included');

# ---- restarts ----
ok($s->stop && $s->start, 'restarted');
export('again', "COPY HISTORY TO STDOUT WITH (format = 'config')");
is((audit('verify', 'again'))[0], 0, 'the config history is still sound');
is($s->psql("SELECT count(*) FROM sys.issues WHERE kind = 'config_history'"), 0, 'nothing is wrong with it');

done_testing();
