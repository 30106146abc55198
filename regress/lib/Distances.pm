# Distances - the regions of a Federation stand in cities: their links go through a relay with the cities' delays
#
#   my $d = Distances->new($federation, { eu => 'Frankfurt', us => 'Washington' });    before it starts
#   $d->start;                                                                         in place of $federation->start
#
# The delays are half the round trips of regress/sim/data. A region dials every other one through a port of the relay that is for
# this pair (regress/lib/relay.c, regress/lib/detour.c). Only links between regions are longer; clients and agents stand beside
# their servers.
package Distances;
use strict;
use warnings;
use Ports;

sub rtt_ms {
    my $file = ($ENV{REEVE_TOP} // '.') . '/regress/sim/data/rtt_50cities_ms.csv';
    my %rtt;
    open my $f, '<', $file or die "$file: $!";
    while (<$f>) {
        my ($from, $to, $ms) = split /,/;
        $rtt{$from}{$to} = $ms;
    }
    return \%rtt;
}

sub new {
    my ($class, $f, $city) = @_;
    my $rtt = rtt_ms();
    my $lib = "$ENV{REEVE_BUILD}/regress/lib";
    my $self = bless { f => $f, detour => "$lib/detour.so", instead => {}, delay_us => {} }, $class;
    pipe(my $theirs, my $mine) or die $!;
    $self->{pid} = open(my $out, '-|') // die "fork: $!";
    if (!$self->{pid}) {
        close $mine;
        open STDIN, '<&', $theirs or POSIX::_exit(1);
        exec "$lib/relay" or POSIX::_exit(127);
    }
    close $theirs;
    for my $from ($f->names) {
        for my $to (grep { $_ ne $from } $f->names) {
            my $ms = $rtt->{$city->{$from}}{$city->{$to}} // die "no delay from $city->{$from} to $city->{$to}\n";
            my $port = Ports::take();
            $self->{instead}{$from}{$f->server($to)->{fed_port}} = $port;
            $self->{delay_us}{$from}{$to} = int($ms * 500);
            print $mine "$port $f->{s}{$to}{fed_port} $self->{delay_us}{$from}{$to}\n";
        }
    }
    print $mine "\n";
    $mine->flush;
    @$self{qw(in out)} = ($mine, $out);     # the relay ends with its standard input
    (<$out> // '') eq "ready\n" or die "the relay does not listen\n";
    return $self;
}

sub start {
    my ($self, @names) = @_;
    for my $n (@names ? @names : $self->{f}->names) {
        my $instead = $self->{instead}{$n};
        local $ENV{REEVE_DETOUR} = join ',', map { "$_=$instead->{$_}" } sort keys %$instead;
        local $ENV{LD_PRELOAD} = $self->{detour};
        $self->{f}->start($n);
    }
    return $self;
}

1;
