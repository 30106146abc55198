# Ports - numbers of ports that belong to one test program as long as it runs
#
#   my $port = Ports::take();
#
# The kernel's own choice (port 0) serves badly: closed again, the number may be handed to the next asker before the
# server listens, and lying in the range of outgoing connections it may become the local end of one - an agent that
# calls a stopped server can even be connected to itself. These lie below that range, and a lock on a file says whose
# they are, to every test on this machine. The server listens on 127.0.0.1 and on every address: both must be free.
package Ports;
use strict;
use warnings;
use Fcntl qw(:DEFAULT :flock);
use IO::Socket::INET;

use constant { FIRST => 12000, LAST => 31999 };

my @held;    # open until the program ends

sub free {
    my ($port) = @_;
    return !grep { !IO::Socket::INET->new(LocalAddr => $_, LocalPort => $port, Proto => 'tcp', Listen => 1, ReuseAddr => 1) }
        '127.0.0.1', '0.0.0.0';
}

sub locked {
    my ($port) = @_;
    my $folder = "/tmp/reeve-ports-$>";
    mkdir $folder, 0700;
    sysopen my $f, "$folder/$port", O_RDWR | O_CREAT | O_NOFOLLOW, 0600 or die "$folder/$port: $!";
    return flock($f, LOCK_EX | LOCK_NB) ? $f : undef;
}

sub take {
    # Not by rand: a test that sets its seed would ask for the same ones again and again.
    my $at = FIRST + ($$ * 37 + @held * 3) % (LAST - FIRST + 1);
    for (FIRST .. LAST) {
        my $port = $at++;
        $at = FIRST if $at > LAST;
        my $lock = locked($port) // next;
        next if !free($port);
        push @held, $lock;
        return $port;
    }
    die 'no free port';
}

1;
