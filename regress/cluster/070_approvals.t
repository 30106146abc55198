# Approvals from end to end: three of security and one of legal, from two jurisdictions, sign offline, with openssl, what SHOW
# PROPOSAL shows; nobody counts twice; what changes meanwhile voids what was signed; one of security may veto.
use strict;
use warnings;
use Test::More;
use lib 'regress/lib';
use Digest::SHA qw(sha256);
use MIME::Base64 qw(decode_base64 encode_base64);
use NoteSigner;
use ReeveServer;

my $s = ReeveServer->new->init->start;

# Output of psql, errors with their SQLSTATE and hint.
sub ask {
    my ($sql, $user) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $s->run('psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-h', '127.0.0.1', '-p', $s->port, '-U', $user // 'admin',
        '-d', 'reeve', '-c', $sql);
    return "$out$err";
}
sub quote { my ($t) = @_; $t =~ s/'/''/g; return "'$t'" }
sub item { my ($p, $what) = @_; my ($v) = (grep { $_->[0] eq $what } @{ shown($p) })[0]; return $v ? $v->[1] : undef }

# SHOW PROPOSAL as pairs; values may have several lines.
sub shown {
    my ($p) = @_;
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $s->run('psql', '-XAtq', '-F', "\x1f", '-R', "\x1e", '-h', '127.0.0.1', '-p', $s->port, '-U', 'admin', '-d', 'reeve',
        '-c', "SHOW PROPOSAL '$p'");
    $out =~ s/\n\z//;
    return [ map { [ split /\x1f/, $_, 2 ] } split /\x1e/, $out ];
}
sub approve {
    my ($p, $who, %o) = @_;
    my $text = $o{text} // item($p, 'approve');
    return ask("APPROVE PROPOSAL '$p' DIGEST " . quote($o{digest} // item($p, 'digest')) . ' SIGNATURE '
        . quote($o{note} // $who->note($text)) . ($o{reason} ? ' REASON ' . quote($o{reason}) : ''), $o{user});
}
sub reject {
    my ($p, $who) = @_;
    return ask("REJECT PROPOSAL '$p' REASON 'no' SIGNATURE " . quote($who->line(item($p, 'reject'))));
}
sub state_of { my ($p) = @_; return ask("SELECT state FROM sys.proposals WHERE proposal = '$p'") =~ s/\n//r }

# ---- people ----
my %p = map { $_ => NoteSigner->new($_) } qw(security/anna security/bert security/cora security/dora legal/emil legal/fred);
my %at = ('security/anna' => 'DE', 'security/bert' => 'FR', 'security/cora' => 'DE', 'security/dora' => 'DE', 'legal/emil' => 'DE',
    'legal/fred' => 'US');
for (sort keys %p) {
    is(ask("CREATE APPROVER '$_' KEY " . quote($p{$_}->vkey) . " JURISDICTION '$at{$_}'"), '', "$_ becomes an approver");
}
is(ask("SELECT key FROM sys.approvers WHERE name = 'legal/emil'"), $p{'legal/emil'}->vkey . "\n", 'his key is shown as he gave it');
like(ask("CREATE APPROVER 'legal/gina' KEY " . quote($p{'legal/emil'}->vkey)), qr/22023.*key is that of "legal\/emil"/, 'nobody brings another\'s key');
is(ask("CREATE AUTHORITY ca"), '', 'without a policy nothing needs approvals');

my $require = 'REQUIRE 3 OF GROUP security AND 1 OF GROUP legal DISTINCT JURISDICTION 2 EXCLUDE PROPOSER EXPIRES 1 HOUR VETO 1 OF GROUP security';
like(ask("CREATE APPROVAL POLICY trust FOR (TRUST ROOT) $require"), qr/RL118.*cover approval policies/, 'the first policy covers policies');
like(ask("CREATE APPROVAL POLICY trust FOR (APPROVAL POLICY) REQUIRE 5 OF GROUP security"), qr/RL118.*never meet/, 'a threshold nobody reaches is none');
is(ask("CREATE APPROVAL POLICY trust FOR (TRUST ROOT, VALIDATOR SET, APPROVAL POLICY) $require"), '', 'a policy stands');

# ---- what needs approvals, and what does not ----
my $refused = ask("ALTER AUTHORITY ca PREPARE REASON 'next key'");
like($refused, qr/RL003.*needs approvals under policy 'trust'/, 'a new generation of an authority needs approvals');
like($refused, qr/HINT:  PROPOSE SECURITY UPDATE/, '... and the hint says how');
is(ask("SET CONFIG 'a' = '1'") =~ /ERROR/ ? 1 : 0, 0, 'ordinary config does not');
like(ask("PROPOSE SECURITY UPDATE x AS SET CONFIG 'a' = '2'"), qr/0A000/, '... and is not proposed');
like(ask("BEGIN; PROPOSE SECURITY UPDATE x AS ALTER AUTHORITY ca PREPARE"), qr/25001/, 'a proposal stands alone');
like(ask("PROPOSE SECURITY UPDATE x AS REVOKE NODE 'n-00112233445566778899aabbccddeeff'"), qr/55000.*no approval policy/, 'nor what no policy asks for');

# ---- a proposal ----
my $row = ask("PROPOSE SECURITY UPDATE p1 AS ALTER AUTHORITY ca PREPARE REASON 'next key'");
like($row, qr/^p1\|pending\|trust\|0\|4\|/, 'a proposal waits');
like(ask("PROPOSE SECURITY UPDATE p1 AS ALTER AUTHORITY ca PREPARE"), qr/42710/, 'its name is taken');
is(ask("SELECT count(*) FROM sys.authorities WHERE name = 'ca'"), "1\n", 'nothing has changed yet');
my ($chain) = ask('SELECT chain_id FROM sys.chain') =~ /(\w+)/;
my $text = item('p1', 'approve');
like($text, qr/\Areeve approval v1\n$chain\napprove\np1\n\S{44}\ntrust 1\n\d+\n\z/, 'the text to sign names chain, verdict, proposal, digest, policy and end');
is(item('p1', 'reject'), $text =~ s/^approve$/reject/mr, '... and that of a rejection only the verdict differently');
like(item('p1', 'part 1'), qr/^put authority 'ca' version 2, region eu, by admin$/, 'what it does');
like(item('p1', 'part 1 diff'), qr/\A\+ generation 2: prepared, until .*\n\+ generation 2 key .*: [0-9a-f]{64}\z/, '... and what becomes different');

# Whoever trusts no server makes the digest again from the content, with any SHA-256.
my $content = decode_base64(item('p1', 'part 1 content'));
my ($end) = $text =~ /(\d+)\n\z/;
my $name = sub { pack 'C/a*', $_[0] };
my $digest = sha256("reeve-proposal-v1\0" . pack('H*', $chain) . $name->('p1') . pack('Q>', $end) . $name->('trust') . pack('Q>', 1)
    . pack('C', 1) . sha256("reeve-content-v1\0$content"));
is(encode_base64($digest, ''), item('p1', 'digest'), 'the digest is what the documentation says it is');

# ---- signatures ----
like(approve('p1', $p{'security/anna'}), qr/^p1\|pending\|trust\|1\|4/, 'one approves');
like(approve('p1', $p{'security/anna'}), qr/^p1\|pending\|trust\|1\|4/, '... twice, and counts once');
like(approve('p1', $p{'security/bert'}, text => $text =~ s/p1/p2/r), qr/RL106.*another text/, 'another text is no approval');
like(approve('p1', $p{'security/bert'}, note => $p{'security/bert'}->line("x\n")), qr/RL003.*not by the approver's key/, 'nor a signature of something else');
like(approve('p1', NoteSigner->new('security/bert')), qr/RL106.*no approver's key/, 'nor another key of that name');
like(approve('p1', $p{'security/bert'}, digest => '\\x' . '00' x 32), qr/RL107/, 'the digest is what one saw');
like(approve('p1', $p{'security/bert'}, note => 'nonsense'), qr/22023/, 'nonsense is refused as such');
like(approve('p1', $p{'security/cora'}, digest => '\\x' . unpack('H*', $digest)), qr/^p1\|pending\|trust\|2\|4/, 'the digest may be given in hex');
like(approve('p1', $p{'security/dora'}), qr/^p1\|pending\|trust\|3\|4/, 'three of security');
like(approve('p1', $p{'legal/emil'}, reason => 'read it'), qr/^p1\|pending\|trust\|4\|4/, 'and one of legal, but all from one jurisdiction');
is(ask("SELECT count(*) FROM sys.authorities WHERE name = 'ca'"), "1\n", 'nothing has changed yet');
like(approve('p1', $p{'legal/fred'}, note => $p{'legal/fred'}->line($text)), qr/^p1\|applied\|trust\|/, 'with another jurisdiction it takes effect at once');
is(ask("SELECT state FROM sys.authorities WHERE name = 'ca' AND generation = 2"), "prepared\n", 'the generation is there');
like(approve('p1', $p{'security/bert'}), qr/55000.*p1" is applied/, 'what is applied takes no more');
is(ask("SELECT approver, verdict, reason FROM sys.approvals WHERE proposal = 'p1' AND approver LIKE 'legal/%' ORDER BY 1"),
    "legal/emil|approve|read it\nlegal/fred|approve|\n", 'who approved, and why');
like(ask("SELECT statement FROM sys.history WHERE log = 'global' AND object = 'ca' ORDER BY version DESC LIMIT 1"),
    qr/PROPOSE SECURITY UPDATE p1 AS ALTER AUTHORITY ca PREPARE/, 'the history tells it') or diag(ask("SELECT * FROM sys.history LIMIT 3"));
is(ask("SELECT action FROM sys.history WHERE object_kind = 'proposal' AND object = 'p1' ORDER BY version"),
    "propose\n" . "approve\n" x 6 . "apply\n", '... each step of it');

# ---- the proposer ----
is(ask("CREATE ROLE anna LOGIN PASSWORD '$ReeveServer::PASSWORD'; GRANT ADMIN ON SYSTEM TO anna"), '', 'anna is an operator, too');
ask("CREATE ROLE olga LOGIN PASSWORD '$ReeveServer::PASSWORD'; GRANT sys_read_all TO olga");
like(ask("PROPOSE SECURITY UPDATE p2 AS ALTER AUTHORITY ca ACTIVATE", 'anna'), qr/^p2\|pending/, 'she proposes');
like(approve('p2', $p{'security/anna'}), qr/RL003.*who proposes does not approve/, '... and does not approve it herself');
like(approve('p2', $p{'security/bert'}, user => 'olga'), qr/42501/, 'handing a signature over needs the right to');
like(ask("WITHDRAW PROPOSAL p2", 'olga'), qr/42501/, 'only who made it withdraws it');
is(ask("WITHDRAW PROPOSAL p2 REASON 'later'", 'anna'), '', '... she does');
is(state_of('p2'), 'withdrawn', '... and it is');
like(approve('p2', $p{'security/bert'}), qr/55000/, 'no more is taken');

# ---- what changes meanwhile ----
like(ask("PROPOSE SECURITY UPDATE p3 AS ALTER AUTHORITY ca ACTIVATE"), qr/^p3\|pending/, 'one way');
like(ask("PROPOSE SECURITY UPDATE p4 AS ALTER AUTHORITY ca PREPARE"), qr/^p4\|pending/, 'and another, of the same object');
approve('p3', $p{$_}) for qw(security/bert security/cora security/dora);
like(approve('p3', $p{'legal/fred'}), qr/^p3\|applied/, 'the first is applied');
is(state_of('p4'), 'stale', 'the other is void');
like(ask("PROPOSE SECURITY UPDATE p5 AS ALTER APPROVER 'security/bert' SET (key = " . quote($p{'security/bert'}->vkey) . ", jurisdiction = 'IT')"),
    qr/^p5\|pending/, 'a change of an approver needs approvals');
my $lone = ask("DROP APPROVER 'legal/emil'");
like($lone, qr/RL003/, '... and dropping one');

# ---- a veto ----
approve('p5', $p{$_}) for qw(security/anna security/cora security/dora);
like(reject('p5', $p{'legal/emil'}), qr/^p5\|pending/, 'a rejection without a veto is an opinion');
like(reject('p5', $p{'security/bert'}), qr/^p5\|vetoed/, 'one of security vetoes');
like(approve('p5', $p{'legal/fred'}), qr/55000.*vetoed/, '... and it is over');
is(ask("SELECT count(*) FROM sys.history WHERE log = 'global' AND object_kind = 'veto'"), "1\n", 'the veto is attested');

# ---- a rollout: several parts, one proposal ----
like(ask("PROPOSE SECURITY UPDATE p6 AS CREATE APPROVAL POLICY rolls FOR (ROLLOUT) REQUIRE 1 OF GROUP legal EXPIRES 10 MINUTES"), qr/^p6\|pending/,
    'another policy is a proposal');
approve('p6', $p{$_}) for qw(security/bert security/cora security/dora);
like(approve('p6', $p{'legal/fred'}), qr/^p6\|applied/, '... and stands');
like(ask("SET CONFIG 'security/level' = 'high' IMMEDIATE"), qr/RL003.*rolls/, 'now rollouts need approval');
like(ask("PROPOSE SECURITY UPDATE p7 AS SET CONFIG 'security/level' = 'high' IMMEDIATE"), qr/^p7\|pending\|rolls\|0\|1/, 'one is proposed');
is(ask("SELECT parts FROM sys.proposals WHERE proposal = 'p7'"), "2\n", '... with its target');
like(item('p7', 'part 2 diff'), qr/^\+ version \d+: prepared, SHA-256: [0-9a-f]{64}$/m, '... whose digest is signed, too');
like(approve('p7', $p{'security/bert'}), qr/RL003.*in no group/, 'security has no word there');
like(approve('p7', $p{'legal/emil'}), qr/^p7\|applied/, 'legal has');
ok($s->wait_for(sub { ask("SELECT value FROM sys.config WHERE key = 'security/level'") eq "high\n" }, 'value'), 'the rollout runs to its end by itself');

# ---- a restart keeps it all ----
like(ask("PROPOSE SECURITY UPDATE p8 AS ALTER AUTHORITY ca PREPARE"), qr/^p8\|pending/, 'a last one');
approve('p8', $p{'security/bert'});
ok($s->stop && $s->start, 'a restart');
like(ask('SHOW PROPOSALS'), qr/^p8\|pending\|trust\|1\|4/m, 'what was signed is kept');
approve('p8', $p{$_}) for qw(security/cora security/dora);
like(approve('p8', $p{'legal/fred'}), qr/^p8\|applied/, '... and counts');

# ---- who decides is away just when the last approval comes ----
sub held {
    my ($kind, $p, $want, $what) = @_;
    like(ask("PROPOSE SECURITY UPDATE $p AS CREATE AUTHORITY $p"), qr/^$p\|pending/, $what);
    approve($p, $p{$_}) for qw(security/bert security/cora security/dora);
    my ($pid) = $s->children($kind);
    my $note = $p{'legal/fred'}->note(item($p, 'approve'));
    kill 'STOP', $pid;
    my $answer = approve($p, $p{'legal/fred'}, note => $note);
    kill 'CONT', $pid;
    like($answer, $want, "... while the $kind stands still");
}
$s->append_conf("attest_submit_timeout = 1500\n");
$s->ctl('reload');
ok($s->wait_for(sub { ask('SHOW attest_submit_timeout') eq "1500ms\n" }, 'setting'), 'little patience') or diag(ask('SHOW attest_submit_timeout'));
held('validator', 'ca_v', qr/08007|RL004/, 'a change that its validator hears of late');
ok($s->wait_for(sub { state_of('ca_v') =~ /^a/ }, 'state'), 'it is approved or applied');
approve('ca_v', $p{'legal/fred'}) if state_of('ca_v') eq 'approved';
ok($s->wait_for(sub { state_of('ca_v') eq 'applied' }, 'applied'), '... and applied in the end, once');
is(ask("SELECT count(*) FROM sys.history WHERE log = 'global' AND object = 'ca_v'"), "1\n", '... with one leaf');
held('signer', 'ca_s', qr/RL004|08007/, 'a change that is not signed in time');
ok($s->wait_for(sub { state_of('ca_s') eq 'applied' || approve('ca_s', $p{'legal/fred'}) =~ /applied/ }, 'applied'),
    'the approvals were kept: giving one again submits it');
is(ask("SELECT count(*) FROM sys.authorities WHERE name = 'ca_s'"), "1\n", '... and it is there');

ok($s->stop, 'the server stops');
done_testing;
