# One validator of four is not itself: it comes back from an old backup, with the data or the keys of another time or of another
# validator, or it contradicts itself whenever it speaks (regress/lib/twofaced). The others go on, nobody forks, nobody honest is
# accused, and the culprit is named with proof. Stopped and killed ones: 074, 075.
use strict;
use warnings;
use Test::More;
use File::Copy qw(copy);
use Federation;

my $f = Federation->new(validators => [qw(eu us asia africa)], conf => "attest_submit_timeout = 90s\nattest_view_timeout = 1s\nattest_tick_interval = 2s\n");
$f->start;
# Genesis counts as led by the first one.
my ($leader, @rest) = split /\n/, $f->psql('eu', 'SELECT validator FROM sys.validators');
my ($old, $other, $third) = @rest;
my $n = 0;
sub made {
    my ($at, $what) = @_;
    my $name = 'ca' . ++$n;
    is(eval { $f->psql($at, "CREATE AUTHORITY $name"); 1 }, 1, $what) or diag $@;
    return $name;
}
sub everywhere { my ($name, @at) = @_; ok($f->wait_authority($name, @at), '... and ' . (@at ? "@at" : 'all') . ' know it') }
sub culprits { my ($at) = @_; return eval { $f->psql($at, "SET read_consistency = local; SELECT object FROM sys.issues WHERE kind = 'validator_contradicts'") } // '?' }
sub spew { my ($name, $bytes) = @_; open my $h, '>:raw', "$f->{s}{$third}{base}/$name" or die $!; print $h $bytes; close $h }
sub sh { system(@_) == 0 or die "@_" }
sub folder { my ($name, $what) = @_; return $f->server($name)->dir . '/' . ($what // '') }
sub kept { my ($name) = @_; return "$f->{s}{$name}{base}/kept" }
sub stop { my ($name) = @_; ok($f->server($name)->stop, "$name is stopped") }
# Moves a copy of one folder of a stopped server in place of what it has.
sub put { my ($from, $to) = @_; sh('rm', '-rf', $to); sh('cp', '-a', $from, $to) }

everywhere(made($leader, 'four validators decide'));

# ---- from an old backup ----
stop($old);
sh('cp', '-a', folder($old), kept($old));
$f->start($old);
everywhere(made($old, "$old goes on after a backup was made")) for 1 .. 3;
stop($old);
sh('cp', '-a', folder($old), kept($old) . '.now');
made($rest[1], "the others go on without $old");
sh('rm', '-rf', folder($old));
sh('cp', '-a', kept($old), folder($old));
$f->start($old);
everywhere(made($other, "$old is back as it was then: the others go on"), $leader, $other, $third);
everywhere("ca$n", $old);
everywhere(made($old, '... it has caught up and takes part'));
stop($old);
for my $case (['keys', 'validator', "its newest chain and an old last-sign state"], ['validator', 'keys', "its newest last-sign state and an old chain"]) {
    my ($then, $now, $what) = @$case;
    put(kept($old) . "/$then", folder($old, $then));
    $f->start($old);
    everywhere(made($third, "$old has $what: the others go on"), $leader, $other, $third);
    everywhere("ca$n", $old);
    stop($old);
}

# ---- with another's data ----
put(folder($old, 'validator'), kept($old) . '.own');
stop($other);
put(folder($other, 'validator'), folder($old, 'validator'));
$f->start($other);
$f->server($old)->ctl('start', '-t', '5');
everywhere(made($leader, "$old has the chain and the votes of $other: the others go on"), $leader, $other, $third);
ok($f->server($old)->wait_for(sub { $f->server($old)->log =~ /FATAL: the signer's key is not this validator's/ }, 'a refusal', 60),
    '... its validator does not speak with them') or diag $f->server($old)->log;
$f->server($old)->stop('immediate');
put(kept($old) . '.own', folder($old, 'validator'));
$f->start($old);
everywhere(made($old, 'with its own again it takes part'));
is(culprits($_), '', "nobody is accused at $_") for $leader, @rest;

# ---- two faces ----
my $programs = "$f->{s}{$leader}{base}/twofaced";
mkdir $programs or die $!;
my ($bin) = grep { -x "$_/reeve-ctl" } split /:/, $ENV{PATH};
for my $program ("$ENV{REEVE_BUILD}/regress/lib/twofaced/reeved", "$bin/reeve-ctl") {
    copy($program, $programs) or die "$program: $!";
    chmod 0755, $programs . '/' . ($program =~ s{.*/}{}r);
}
stop($leader);
{
    local $ENV{PATH} = "$programs:$ENV{PATH}";
    $f->start($leader);
}
made($_, "$leader contradicts itself whenever it speaks: $_ goes on") for @rest;
everywhere("ca$n", @rest);
# It leads when the leaders before it are gone.
for my $gone (@rest) {
    $f->kill($gone);
    $f->start($gone);
    everywhere(made($rest[0], "$gone was killed and is back: they go on"), @rest);
}
for my $r (@rest) {
    ok($f->server($r)->wait_for(sub { culprits($r) eq $leader }, 'the issue', 60), "$r names the culprit in its issues") or diag culprits($r);
    my ($evidence) = $f->server($r)->log =~ /(validator "\w+" contradicted itself in view \d+: \w+ and \w+, both signed)/;
    like($evidence, qr/^validator "$leader"/, '... and nobody else');
}
my $top = $f->height($third);
my %history = map { $f->server($_)->wait_for(sub { $f->height($_) >= $top }, 'the height', 60);
                    ($_ => $f->psql($_, "SET read_consistency = local; SELECT string_agg(leaf_hash, ' ') FROM sys.history WHERE height <= $top")) } @rest;
is(scalar(grep { $history{$_} ne $history{$third} } @rest), 0, 'nobody has forked: all histories are one') or diag explain \%history;

# ---- the proof is kept ----
my (undef, $shown) = $f->server($third)->run('reeve-ctl', 'evidence', folder($third));
my ($key) = $shown =~ /^validator  \Q$leader\E\nfound .*\nkey        ([0-9a-f]{64})\nview /m;
ok($key, 'what is kept is shown') or diag $shown;
my @votes = $shown =~ /^vote       (\w+), the signature is good\nbytes      ([0-9a-f]{350})\nsignature  ([0-9a-f]{128})$/mg;
is(scalar @votes, 6, '... two votes');
spew('key.der', pack 'H*', "302a300506032b6570032100$key");
while (my ($kind, $bytes, $sig) = splice @votes, 0, 3) {
    spew('bytes', pack 'H*', $bytes);
    spew('sig', pack 'H*', $sig);
    my ($code) = $f->server($third)->run(qw(openssl pkeyutl -verify -pubin -keyform DER -rawin), map { ("-$_->[0]", "$f->{s}{$third}{base}/$_->[1]") } ['inkey', 'key.der'], ['in', 'bytes'], ['sigfile', 'sig']);
    is($code, 0, "... and openssl finds the signature of its $kind good");
}
isnt(($f->server($third)->run('reeve-ctl', 'evidence', "$f->{s}{$third}{base}/none"))[0], 0, 'where no validator is nothing is shown');
stop($leader);
my $found = () = $f->server($old)->log =~ /contradicted itself/g;
$f->kill($old);
$f->start($old);
is(culprits($old), $leader, 'after a kill the issue stands');
$f->start($leader);
everywhere(made($leader, "honest again, $leader takes part"));
is(scalar(() = $f->server($old)->log =~ /contradicted itself/g), $found, 'and one proof is enough: what is kept is not found again');
unlike($f->server($_)->log, qr/PANIC/, "$_: no process gave up") for $leader, @rest;
done_testing();
