# Federation - several regions in one chain, each of one real server
#
#   my $f = Federation->new(validators => [qw(eu us asia africa)], followers => ['moon']);      # standby => [one]: its validator is not in the first set
#   $f->start;  $f->psql('eu', 'SELECT 1');  $f->wait_height('us', 5);  $f->kill('asia');
package Federation;
use strict;
use warnings;
use Ports;
use ReeveServer;
use Ring;

# Ticks are seldom by default, so that heights move by what a test does.
my $conf = "gateways = 1\n";

sub new {
    my ($class, %o) = @_;
    my $self = bless { s => {}, validators => $o{validators}, followers => $o{followers} // [], standby => $o{standby} // [] }, $class;
    my @names = ($self->names);
    $self->{s}{$_} = ReeveServer->new(region => $_, conf => $conf . ($o{conf} // ''), fed_port => Ports::take()) for @names;
    my $genesis = "$self->{s}{$names[0]}{base}/chain.genesis";
    my %follows = map { $_ => 1 } @{$self->{followers}};
    my @cards;
    for my $r (@names) {
        my $s = $self->{s}{$r};
        push @cards, "$s->{base}/card";
        run($s, 'init', '-D', $s->dir, '--region', $r, '--address', "localhost:$s->{fed_port}", '--card', $cards[-1],
            $follows{$r} ? '--follower' : ());
    }
    my %waits = map { $_ => 1 } @{$self->{standby}};
    run($self->{s}{$names[0]}, 'genesis', '--to', $genesis, (map { ('--standby', '--region', $_) } @{$self->{standby}}), @{$o{genesis} // []}, @cards);
    for my $r (@names) {
        my $s = $self->{s}{$r};
        my $pw = "$s->{base}/pw";
        open my $f, '>', $pw or die $!;
        print $f "$ReeveServer::PASSWORD\n";
        close $f;
        run($s, 'init', '-D', $s->dir, '--genesis', $genesis, '--superuser', $s->{superuser}, '--password-file', $pw,
            $waits{$r} ? '--standby' : ());
        $s->append_conf("port = $s->{port}\nagent_port = $s->{agent_port}\npeer_port = $s->{peer_port}\n$s->{conf}");
    }
    return $self;
}

sub run {
    my ($s, @words) = @_;
    my ($code, $out, $err) = $s->run('reeve-ctl', @words);
    die "reeve-ctl @words: $err" if $code;
    return $out;
}

sub names { my ($self) = @_; return (@{$self->{validators}}, @{$self->{followers}}, @{$self->{standby}}) }
# The line that shows a region's keys.
sub card {
    my ($self, $name) = @_;
    open my $f, '<', "$self->{s}{$name}{base}/card" or die $!;
    chomp(my $line = <$f>);
    return $line;
}
sub server { $_[0]{s}{$_[1]} }
sub start {
    my ($self, @names) = @_;
    $self->{s}{$_}->start for @names ? @names : $self->names;
    return $self;
}
sub psql { my ($self, $name, $sql) = @_; return $self->{s}{$name}->psql($sql) }

# kill -9 of all that belongs to it.
sub kill {
    my ($self, $name) = @_;
    my $s = $self->{s}{$name};
    my @all = ($s->pid, $s->children);
    CORE::kill 'KILL', @all;
    $s->wait_for(sub { !grep { ReeveServer::alive($_) } @all }, "$name is gone") or die;
}

# What the region has applied; 0: it does not answer.
sub height { my ($self, $name) = @_; return (eval { $self->{s}{$name}->psql('SET read_consistency = local; SELECT max(height) FROM sys.history') } // 0) || 0 }

# Until everybody named knows the authority.
sub wait_authority {
    my ($self, $authority, @names) = @_;
    for my $n (@names ? @names : $self->names) {
        $self->{s}{$n}->wait_for(sub { (eval { $self->{s}{$n}->psql("SELECT count(*) FROM sys.authorities WHERE name = '$authority'") } // 0) > 0 },
            "$authority at $n", 90) or return 0;
    }
    return 1;
}

1;
