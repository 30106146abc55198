# Certificates and shared keys asked for over the real protocol: who gets them, and everybody who does not.
use strict;
use warnings;
use Test::More;
use RolloutFleet;

my $f = RolloutFleet->new;
my $probe = "$ENV{REEVE_BUILD}/regress/lib/gwprobe";
$f->sql("CREATE AUTHORITY ca WITH (key_type = 'ecdsa')");
$f->sql("CREATE AUTHORITY ed WITH (key_type = 'ed25519')");
$f->sql("CREATE CERT own FROM AUTHORITY ca SANS ('own.example')");
$f->sql("CREATE CERT own_ed FROM AUTHORITY ed SANS ('own.example') WITH (key_type = 'ed25519')");
$f->sql("CREATE CERT shared_ec FROM AUTHORITY ca SANS ('s.example') WITH (shared = 'region')");
$f->sql("CREATE CERT shared_ed FROM AUTHORITY ca SANS ('s.example') WITH (shared = 'region', key_type = 'ed25519')");
$f->sql("CREATE CERT pops FROM AUTHORITY ca SANS ('pop.example') WHERE label('tier') = 'pop' WITH (shared = 'region')");
$f->sql("CREATE CERT pops_own FROM AUTHORITY ca SANS ('pop.example') WHERE label('tier') = 'pop'");
my %token = map { $_ => (split /\|/, $f->sql("CREATE JOIN_TOKEN WITH (uses = 100, labels = 'tier=$_')"))[0] } qw(edge pop);
my %known;

# A conversation of one node; it enrols the first time.
sub node {
    my ($name, @actions) = @_;
    my ($tier) = $name =~ /^([a-z]+)/;
    my @opening = ('connect', 'hello', 'auth', $known{$name}++ ? () : 'enroll', 'subscribe');
    return scalar qx{$probe run @{[$f->agent_port]} $token{$tier} $name @opening @actions 2>&1};
}
sub asked { my ($name, @a) = @_; return node($name, map { ($_->[0], "wait=$_->[1]") } @a) }
sub answers { my ($text) = @_; return join ' ', map { /^ERROR (\w+)/ ? $1 : /^KEY_REPLY.*opens and fits/ ? 'key' : /^CERT_REPLY/ ? 'leaf' : () } split /\n/, $text }
sub answered {
    my ($name, $want, $what, @a) = @_;
    my $text = asked($name, @a);
    is(answers($text), $want, $what) or diag(substr($text, -1500));
    return $text;
}

answered('edge1', 'leaf leaf', 'a leaf for its own key, of either kind', ['cert=own:1', 'CERT_REPLY'], ['edcert=own_ed:1', 'CERT_REPLY']);
answered('edge1', 'key key', 'shared keys of either kind: sealed to it, opened by it, fitting the certificate',
    ['key=shared_ec:1', 'KEY_REPLY'], ['key=shared_ed:1', 'KEY_REPLY']);
answered('edge2', 'key', 'another node has its own seal', ['key=shared_ec:1', 'KEY_REPLY']);
answered('pop1', 'key leaf', 'a node that the condition names', ['key=pops:1', 'KEY_REPLY'], ['cert=pops_own:1', 'CERT_REPLY']);
answered('edge1', 'UNKNOWN_OBJECT UNKNOWN_OBJECT', '... and one that it does not: as if there were none', ['key=pops:1', 'ERROR'], ['cert=pops_own:1', 'ERROR']);
answered('edge1', 'UNKNOWN_OBJECT UNKNOWN_OBJECT UNKNOWN_OBJECT UNKNOWN_OBJECT', 'generations and names that are not there',
    ['key=shared_ec:2', 'ERROR'], ['key=shared_ec:0', 'ERROR'], ['key=nothing:1', 'ERROR'], ['cert=own:9', 'ERROR']);
answered('edge1', 'NOT_ALLOWED NOT_ALLOWED', 'no key of a certificate that has none, no leaf of one that has', ['key=own:1', 'ERROR'], ['cert=shared_ec:1', 'ERROR']);
answered('edge1', 'AUTH', 'a sealing key that the node has not signed', ['badkey=shared_ec:1', 'ERROR']);
answered('edge1', 'BAD_REQUEST BAD_REQUEST BAD_REQUEST', 'a request altered, or for a key of the other kind',
    ['badcsr=own:1', 'ERROR'], ['edcert=own:1', 'ERROR'], ['cert=own_ed:1', 'ERROR']);
answered('edge1', 'AUTH key', 'a refusal ends the request, not the connection', ['badkey=shared_ec:1', 'ERROR'], ['key=shared_ec:1', 'KEY_REPLY']);

# More at a time than allowed: with the signer stopped they wait, and the fifth is told so.
my ($signer) = $f->children('signer');
my $text = do {
    kill 'STOP', $signer;
    my $pid = open my $h, '-|', "$probe run @{[$f->agent_port]} $token{edge} edge1 connect hello auth subscribe" . ' key=shared_ec:1' x 5 . ' wait=ERROR' . ' wait=KEY_REPLY' x 4 . ' 2>&1' or die;
    my $t = '';
    while (my $line = <$h>) {
        $t .= $line;
        kill 'CONT', $signer if $line =~ /^ERROR/;
    }
    close $h;
    $t;
};
kill 'CONT', $signer;
is(answers($text), 'BUSY key key key key', 'a fifth at a time is BUSY, the four are answered when the signer goes on') or diag($text);

# Generations on their way out.
my $id = $f->begin("ROTATE CERT shared_ec CANARY 50% FOR '1 h' THEN 100%");
$f->wait_for(sub { $f->rollout($id)->{state} =~ /running|baking/ }, 'a rotation');
answered('edge1', 'key key', 'during a rotation both generations can be had', ['key=shared_ec:1', 'KEY_REPLY'], ['key=shared_ec:2', 'KEY_REPLY']);
$f->sql("CANCEL ROLLOUT $id");
ok($f->wait_state($id, 'canceled|rolled_back'), 'it is canceled');
answered('edge1', 'NOT_ALLOWED key', '... and the withdrawn one no more', ['key=shared_ec:2', 'ERROR'], ['key=shared_ec:1', 'KEY_REPLY']);
$f->sql("SET client_min_messages = error; REVOKE CERT shared_ed GENERATION 1 REASON 'test'");
ok($f->wait_for(sub { answers(asked('edge1', ['key=shared_ed:1', 'ERROR'])) eq 'NOT_ALLOWED' }, 'the revocation'), 'a revoked generation cannot be had');

# A node that is out.
my ($node) = $f->sql("SELECT node_id FROM sys.nodes ORDER BY enrolled_at LIMIT 2") =~ /(n-\w+)\s*$/;
my @before = split /\n/, $f->sql('SELECT node_id FROM sys.nodes');
$f->sql("REVOKE NODE '$_'") for @before;
my $out = qx{$probe run @{[$f->agent_port]} $token{edge} edge2 connect hello auth key=shared_ec:1 closed 2>&1};
like($out, qr/ERROR REVOKED/, 'a revoked node is told so');
unlike($out, qr/KEY_REPLY/, '... and gets no key');
$out = qx{$probe run @{[$f->agent_port]} $token{edge} edge9 connect hello key=shared_ec:1 closed 2>&1};
like($out, qr/ERROR UNEXPECTED.*CLOSED/s, 'nor does one that has not said who it is');
$out = qx{$probe run @{[$f->agent_port]} $token{edge} edge9 connect hello auth key=shared_ec:1 closed 2>&1};
like($out, qr/ERROR UNEXPECTED.*CLOSED/s, '... or is not enrolled');
unlike($f->log, qr/assert|ended by signal/, 'nobody crashed');
$f->stop;
done_testing();
