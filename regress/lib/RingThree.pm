# RingThree - three members of one ring, started, joined and voting
#
#   my $ring = RingThree->new(conf => "max_connections = 200\n");
#   my @s = $ring->members;                 # ReeveServer, one each
#   my ($leader, @others) = $ring->by_role; # waits until one leads
package RingThree;
use strict;
use warnings;
use ReeveServer;
use Time::HiRes qw(sleep);

sub new {
    my ($class, %o) = @_;
    my $self = bless { s => [ map { ReeveServer->new(%o) } 1 .. 3 ] }, $class;
    my ($first, @more) = $self->members;
    $first->init->start;
    for my $n (2, 3) {
        my $s = $self->{s}[$n - 1];
        my $token = $first->psql("CREATE JOIN_TOKEN WITH (kind = 'member')") =~ s/\|.*//sr;
        my ($code, $out, $err) = $s->ctl('join', '--ring', "localhost:$first->{peer_port}", '--token', $token,
            '--address', "localhost:$s->{peer_port}");
        die "join: $err" if $code;
        $s->append_conf("port = $s->{port}\nagent_port = $s->{agent_port}\n" . ($o{conf} // ''));
        $s->start;
    }
    for my $n (2, 3) {
        my $s = $self->{s}[$n - 1];
        $first->wait_for(sub { eval { $first->psql("ALTER RING eu ADD MEMBER 'eu-$n' ADDRESS 'localhost:$s->{peer_port}'"); 1 } },
            "a vote for eu-$n") or die "eu-$n got no vote";
    }
    for my $s ($self->members) {
        $first->wait_for(sub { my $m = roles($s); $m =~ /leader/ && $m !~ /learner/ && 2 == (() = $m =~ /voter/g) }, 'three voters')
            or die 'no ring of three';
    }
    return $self;
}

sub members { return @{$_[0]{s}} }

# "eu-1|leader\neu-2|voter..." as that member sees it; empty while it cannot say.
sub roles { my ($s) = @_; return eval { $s->psql('SELECT member, role FROM sys.ring_members ORDER BY member') } // '' }

# The leader first, by the word of two members: one alone may not have heard of the newest yet.
sub by_role {
    my ($self) = @_;
    my @s = $self->members;
    for (1 .. 600) {
        my %says;
        for my $s (grep { $_->pid } @s) {
            my ($n) = roles($s) =~ /^eu-(\d+)\|leader$/m or next;
            next if ++$says{$n} < 2 || !$s[$n - 1]->pid;
            return ($s[$n - 1], grep { $_ != $s[$n - 1] } @s);
        }
        sleep 0.05;
    }
    die 'nobody leads';
}

# The whole server at once, as losing the machine would.
sub kill_9 { my ($self, $s) = @_; my @pids = ($s->pid, $s->children); kill 'KILL', @pids; return @pids }

# Everything of a server stands still, as on a machine that does.
sub pause { my ($self, $s) = @_; my @pids = grep { $_ } $s->pid, $s->children; kill 'STOP', @pids; return @pids }
sub resume { my ($self, @pids) = @_; kill 'CONT', @pids; return }

sub stop { my ($self, $mode) = @_; $_->stop($mode // 'fast') for grep { $_->pid } $self->members; return }

1;
