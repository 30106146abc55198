# A ring of three real servers: members join by token, any of them takes statements, the leader is killed, a member is
# wiped and replaced, leadership is handed over, members are stopped one after the other.
use strict;
use warnings;
use Test::More;
use ReeveServer;

my @s = map { ReeveServer->new } 1 .. 3;
my ($first) = @s;

sub value {
    my ($s, $key) = @_;
    return eval { $s->psql("SELECT value FROM sys.config WHERE key = '$key'") } // '';
}
sub set { my ($s, $key, $value) = @_; return $s->psql("SET CONFIG '$key' = '$value'") }
sub set_somehow {
    my ($s, $key, $value) = @_;
    return $s->wait_for(sub { eval { set($s, $key, $value); 1 } }, "a change of $key");
}
sub members { return eval { $_[0]->psql('SELECT member, role FROM sys.ring_members ORDER BY member') } // '' }
sub leader {
    my ($s) = @_;
    my ($n) = (eval { $s->psql("SELECT member FROM sys.ring_members WHERE role = 'leader'") } // '') =~ /^eu-(\d+)$/;
    return $n // 0;
}
sub token { return $_[0]->psql("CREATE JOIN_TOKEN WITH (kind = 'member')") =~ s/\|.*//sr }

sub join_ring {
    my ($s, $via, $token) = @_;
    my ($code, $out, $err) = $s->ctl('join', '--ring', "localhost:$via->{peer_port}", '--token', $token,
        '--address', "localhost:$s->{peer_port}");
    return ($code, $err) if $code;
    $s->append_conf("port = $s->{port}\nagent_port = $s->{agent_port}\n");
    return (0, '');
}

# ---- a ring of one, and who may come in ----
$first->init;
unlink glob($first->dir . '/peer/*');
rmdir $first->dir . '/peer' or die "peer: $!";
$first->start;
ok(-s $first->dir . '/peer/peer.key', 'a directory made before members had keys gets one');
set($first, 'a', 'before');
like(members($first), qr/^eu-1\|leader$/, 'a ring of one');
my $token = token($first);
like($token, qr/^reeve-ring-1\./, 'a token for a member');
my ($code, $err) = join_ring($s[1], $first, $token =~ s/.{8}(?=.{20}$)/AAAAAAAA/r);
isnt($code, 0, 'a token that is not one lets nobody in');
($code, $err) = join_ring($s[1], $first, $token);
is($code, 0, 'one that is does') or diag($err);
$s[1]->start;
is(value($s[1], 'a'), 'before', 'the new member has the state');
like(members($s[1]), qr/^eu-2\|learner$/m, '... and is a learner');
($code, $err) = join_ring($s[2], $first, $token);
isnt($code, 0, 'a token is good for one');
($code, $err) = join_ring($s[2], $s[1], token($first));
isnt($code, 0, 'a token names the member that is to be asked');
($code, $err) = join_ring($s[2], $first, token($first));
is($code, 0, 'the third') or diag($err);
$s[2]->start;
for my $n (2, 3) {
    ok($first->wait_for(sub { eval { $first->psql("ALTER RING eu ADD MEMBER 'eu-$n' ADDRESS 'localhost:$s[$n - 1]{peer_port}'"); 1 } },
        "a vote for $n"), "member $n gets a vote");
}
ok($first->wait_for(sub { members($s[2]) eq "eu-1|leader\neu-2|voter\neu-3|voter" }, 'three voters'), 'three voters')
    or diag(members($s[2]));

# ---- any member takes any statement, and reads what was acknowledged anywhere ----
for my $i (0 .. 2) {
    ok(eval { set($s[$i], "from$i", "value$i"); 1 }, "member " . ($i + 1) . ' takes a change') or diag($@);
    is(value($s[$_], "from$i"), "value$i", "... seen at member " . ($_ + 1)) for 0 .. 2;
}

# ---- leadership is handed over on request ----
$first->psql("ALTER RING eu TRANSFER LEADER TO 'eu-2'");
ok($first->wait_for(sub { leader($first) == 2 }, 'eu-2 leads'), 'leadership is handed over');
ok($first->wait_for(sub { eval { $s[2]->psql("ALTER RING eu TRANSFER LEADER TO 'eu-3'"); 1 } && leader($first) == 3 }, 'eu-3 leads', 60),
    '... and taken by a member that did not lead');

# ---- kill -9 of the whole leading server ----
my $l = leader($first);
my $was = $s[$l - 1];
my @other = grep { $_ != $was } @s;
kill 'KILL', $was->pid, $was->children;
ok(set_somehow($other[0], 'k', 'after-kill'), 'without its leader the ring goes on');
is(value($other[1], 'k'), 'after-kill', '... everywhere');
$was->start;
ok($was->wait_for(sub { value($was, 'k') eq 'after-kill' }, 'the missed change'), 'who comes back has what was missed');

# ---- all three at once ----
kill 'KILL', map { ($_->pid, $_->children) } @s;
$_->start for @s;
ok($_->wait_for(sub { value($_, 'k') eq 'after-kill' }, 'the state'), 'killed all at once, everything is there') for @s;
ok(set_somehow($s[2], 'k', 'after-all'), '... and it goes on');

# ---- a rolling restart ----
for my $s (@s) {
    ok($s->stop, 'stopped');
    my ($o) = grep { $_ != $s } @s;
    ok(set_somehow($o, 'r', $s->port), '... the others go on');
    $s->start;
    ok($s->wait_for(sub { value($s, 'r') eq $s->port }, 'the missed change'), '... and it has what was missed');
}

# ---- a member goes ----
my $lead = $s[leader($first) - 1];
my $drop = $lead == $s[2] ? 2 : 3;
$lead->psql("ALTER RING eu DROP MEMBER 'eu-$drop'");
ok($lead->wait_for(sub { members($lead) !~ /eu-$drop/ }, 'two members'), 'a member is dropped');
ok(set_somehow($first, 'd', 'without'), '... and the two go on');

$_->stop for @s;
done_testing;
