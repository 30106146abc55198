# Etcd - three members of etcd on loopback, Debian's, with its default times
#
#   my $etcd = Etcd->new($folder, sub { my ($pid) = @_; ... });     # called with each one's pid
#   $etcd->start($_) for $etcd->members;    # { port, dir, pid }
#   my $leader = $etcd->leader;             # waits until all three know one, 300 s or as many as are named; dies
package Etcd;
use strict;
use warnings;
use Bench;
use JSON::PP;
use Ports;
use ReeveServer;

sub new {
    my ($class, $base, $started) = @_;
    my @m = map { { name => "e$_", port => Ports::take(), peer => Ports::take(), dir => "$base/e$_" } } 1 .. 3;
    return bless { base => $base, members => \@m, started => $started // sub { } }, $class;
}
sub members { return @{$_[0]{members}} }

# Each is a session of its own, as daemons are: the kernel shares CPU between sessions first.
sub start {
    my ($self, $e) = @_;
    my $cluster = join ',', map { "$_->{name}=http://127.0.0.1:$_->{peer}" } $self->members;
    $e->{pid} = spawn("$self->{base}/$e->{name}.log", 'setsid', 'etcd', '--name', $e->{name}, '--data-dir', $e->{dir},
        '--listen-client-urls', "http://127.0.0.1:$e->{port}", '--advertise-client-urls', "http://127.0.0.1:$e->{port}",
        '--listen-peer-urls', "http://127.0.0.1:$e->{peer}", '--initial-advertise-peer-urls', "http://127.0.0.1:$e->{peer}",
        '--initial-cluster', $cluster, '--initial-cluster-state', 'new', '--quota-backend-bytes', 8 << 30, '--log-level', 'error');
    until_true(10, 'a session of its own', sub { (ReeveServer::slurp("/proc/$e->{pid}/stat") =~ /\) \w \d+ \d+ (\d+)/)[0] == $e->{pid} });
    $self->{started}->($e->{pid});
}

# { "127.0.0.1:PORT" => status } of those that answer
sub status {
    my ($self, @m) = @_;
    my $endpoints = join ',', map { "127.0.0.1:$_->{port}" } @m;
    my $list = eval { decode_json(`ETCDCTL_API=3 etcdctl --command-timeout=2s --endpoints=$endpoints endpoint status -w json 2>/dev/null`) } // [];
    return map { ($_->{Endpoint} => $_->{Status}) } @$list;
}

sub leader {
    my ($self, $seconds) = @_;
    my $leader;
    until_true($seconds // 300, 'an etcd that leads', sub {
        my %s = $self->status($self->members);
        ($leader) = grep { my $s = $s{"127.0.0.1:$_->{port}"}; $s && $s->{leader} && $s->{leader} == $s->{header}{member_id} } $self->members;
        return $leader && 3 == keys %s;
    });
    return $leader;
}

sub kill {
    my ($self, $e, $signal) = @_;
    CORE::kill $signal // 'KILL', $e->{pid};
    waitpid $e->{pid}, 0;
    delete $e->{pid};
}
sub DESTROY { local $?; CORE::kill 'KILL', grep { $_ } map { $_->{pid} } $_[0]->members }

1;
