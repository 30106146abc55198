# Ring - several servers of a test's own that keep one region
#
#   my $ring = Ring->new(3);            # the first has the keys; the others joined, and vote
#   my $ring = Ring->new(3, first => $s);   # a server that runs already
#   my ($a, $b, $c) = $ring->servers;   # ReeveServer
#   $ring->leader                       # the server that leads, as the first that answers sees it; undef
#   $ring->kill($b);                    # kill -9 of all its processes
package Ring;
use strict;
use warnings;
use ReeveServer;

sub new {
    my ($class, $n, %o) = @_;
    my $first = delete $o{first};
    my $self = bless { servers => [$first // ReeveServer->new(%o)], conf => $o{conf} // '' }, $class;
    $self->first->init->start if !$first;
    $self->add for 2 .. $n;
    return $self;
}

sub servers { @{ $_[0]{servers} } }
sub first { $_[0]{servers}[0] }

sub token { $_[0]->first->psql("CREATE JOIN_TOKEN WITH (kind = 'member')") =~ s/\|.*//sr }

# One more member; learner => 1: without a vote.
sub add {
    my ($self, %o) = @_;
    my ($s, $first, $n) = (ReeveServer->new, $self->first, 1 + $self->servers);
    my ($code, $out, $err) = $s->ctl('join', '--ring', "localhost:$first->{peer_port}", '--token', $self->token,
        '--address', "localhost:$s->{peer_port}");
    die "join: $err" if $code;
    $s->append_conf("port = $s->{port}\nagent_port = $s->{agent_port}\n$self->{conf}");
    $s->start;
    push @{ $self->{servers} }, $s;
    $self->vote($n) if !$o{learner};
    return $s;
}

sub vote {
    my ($self, $n) = @_;
    my $at = "localhost:$self->{servers}[$n - 1]{peer_port}";
    $self->first->wait_for(sub { $self->said("ALTER RING eu ADD MEMBER 'eu-$n' ADDRESS '$at'") }, "a vote for $n")
        or die "no vote for member $n";
}

# Said at the leader.
sub said {
    my ($self, $sql) = @_;
    my $s = $self->leader // return 0;
    return eval { $s->psql($sql); 1 };
}

sub leader {
    my ($self) = @_;
    for my $s ($self->servers) {
        my ($n) = (eval { $s->psql("SELECT member FROM sys.ring_members WHERE role = 'leader'") } // '') =~ /^\w+-(\d+)$/;
        return $self->{servers}[$n - 1] if $n;
    }
    return;
}

sub kill {
    my ($self, $s) = @_;
    my @all = ($s->pid, $s->children);
    CORE::kill 'KILL', @all;
    return $s->wait_for(sub { !grep { ReeveServer::alive($_) } @all }, 'all are gone');
}

1;
