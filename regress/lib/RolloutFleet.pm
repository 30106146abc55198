# RolloutFleet - a server with a certificate and fleets of reeve-bench, for tests of rollouts
#
#   my $f = RolloutFleet->new(conf => ...);     # server started, authority ca, certificate web
#   $f->fleet('a', count => 40, label => 'tier=edge', args => [...]);
#   $f->sql("ROTATE CERT web ..."), $f->rollout(1)->{state}, $f->wait_state(1, 'succeeded');
package RolloutFleet;
use strict;
use warnings;
use parent -norequire, 'ReeveServer';
use POSIX ();
use ReeveServer;
use Test::More;

sub new {
    my ($class, %o) = @_;
    $o{conf} = "rollout_prepare_window = 300ms\nrollout_report_timeout = 2s\nattest_max_skew = 50ms\n"
        . "agent_heartbeat_interval = 500ms\nagent_reconnect_window = 200ms\nnode_late_after = 3s\nnode_lost_after = 8s\n"
        . ($o{conf} // '');
    my $self = ReeveServer::new($class, %o);
    $self->{fleets} = {};
    $self->init->start;
    $self->wait_for(sub { $self->sql('SELECT count(*) FROM sys.regions') eq '1' }, 'the region is attested');
    return $self;
}

# The answer, or the error's first line.
sub try {
    my ($self, $sql) = @_;
    my $out = eval { $self->psql($sql) };
    return $out if defined $out;
    return $@ =~ /^(?:psql:.*?)?ERROR:\s+(.*)$/m ? $1 : $@;
}
sub sql { $_[0]->psql($_[1]) }

# A fleet in the background; its status file tells what it serves. Started again with the same name: the same nodes.
sub fleet {
    my ($self, $name, %o) = @_;
    my $dir = "$self->{base}/fleet-$name";
    mkdir $dir;
    my $labels = $o{label} ? ", labels = '$o{label}'" : '';
    my $known = $self->{fleets}{$name};
    my $token = $known ? $known->{token} : $o{token}
        // (split /\|/, $self->sql("CREATE JOIN_TOKEN WITH (uses = 10000$labels)"))[0];
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$dir/out";
        open STDERR, '>&', \*STDOUT;
        exec 'reeve-bench', 'fleet', '--server', $o{server} // "127.0.0.1:$self->{agent_port}", '--token', $token, '--count', $o{count},
            '--state', "$dir/state", '--status', "$dir/status", '--duration', $o{duration} // 300, @{ $o{args} // [] } or POSIX::_exit(127);
    }
    $self->{fleets}{$name} = { pid => $pid, dir => $dir, token => $token, %o };
    $self->wait_for(sub { $self->status($name) =~ /"connected": $o{count},/ }, "fleet $name is connected", 60)
        unless $o{nowait};
    return $self;
}

sub status { ReeveServer::slurp("$_[0]{fleets}{$_[1]}{dir}/status") }

sub fleet_stop {
    my ($self, $name, $signal) = @_;
    my $f = $self->{fleets}{$name};
    kill $signal // 'TERM', $f->{pid};
    waitpid $f->{pid}, 0;
    unlink "$f->{dir}/status";
    $f->{pid} = 0;
}

sub rollout {
    my ($self, $id) = @_;
    my @names = qw(state wave waves targets done failed silent reason object to_gen from_gen);
    my @v = split /\|/, $self->sql('SELECT ' . join(', ', @names) . " FROM sys.rollouts WHERE rollout_id = $id"), -1;
    my %r;
    @r{@names} = @v;
    return \%r;
}

# The id that a statement about the fleet answers with.
sub begin {
    my ($self, $sql) = @_;
    my $row = $self->try($sql);
    my ($id) = $row =~ /^(\d+)\|/;
    diag("$sql: $row") unless $id;
    return $id // 0;
}

sub wait_state {
    my ($self, $id, $state, $seconds) = @_;
    my $r;
    return 1 if $self->wait_for(sub { $r = $self->rollout($id); ($r->{state} // '') =~ /^(?:$state)$/ },
        "rollout $id becomes $state", $seconds // 30);
    diag(join ', ', map { "$_=" . ($r->{$_} // '') } sort keys %$r);
    diag($self->sql("SELECT at, actor, event, detail FROM sys.rollout_events WHERE rollout_id = $id ORDER BY seq"));
    return 0;
}

# How many nodes say that they serve each generation: "1:30 2:10".
sub serving {
    my ($self, $cert) = @_;
    my %n;
    $n{$_}++ for split /\n/, $self->sql("SELECT coalesce(cert_generations->>'$cert', '0') FROM sys.nodes");
    return join ' ', map { "$_:$n{$_}" } sort { $a <=> $b } keys %n;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local $?;
    for my $f (values %{ $self->{fleets} }) {
        next unless $f->{pid};
        kill 'KILL', $f->{pid};
        waitpid $f->{pid}, 0;
    }
    $self->SUPER::DESTROY;
}

1;
