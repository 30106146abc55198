# ReeveServer - one server of a test's own: a temporary directory, free ports, stopped at the end.
#
#   my $s = ReeveServer->new(conf => "log_level = debug\n");
#   $s->init; $s->start;
#   is($s->psql('SELECT 1'), "1");
#   $s->wait_for(sub { ... }, 'what is waited for');
#
# Programs come from PATH, or from REEVE_BUILD/bin where that is set.
package ReeveServer;
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IPC::Open3;
use POSIX ();
use Ports;
use Scalar::Util qw(weaken);
use Symbol qw(gensym);
use Test::More;
use Time::HiRes qw(sleep time);

my @all;
our $PASSWORD = 'open sesame';
$ENV{PATH} = abs_path($ENV{REEVE_BUILD}) . "/bin:$ENV{PATH}" if $ENV{REEVE_BUILD};

sub new {
    my ($class, %o) = @_;
    # Short: the local socket's name must fit into 107 bytes.
    my $base = tempdir('reeve-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { base => $base, dir => "$base/d", owner => $$, region => 'eu', superuser => 'admin', conf => '', %o },
        $class;
    $self->{$_} ||= Ports::take() for qw(port agent_port peer_port);
    weaken($all[@all] = $self);
    return $self;
}

sub dir { $_[0]{dir} }
sub port { $_[0]{port} }
sub agent_port { $_[0]{agent_port} }

# Exit code, stdout, stderr of a program run to its end.
sub run {
    my ($self, @cmd) = @_;
    my $out = "$self->{base}/out.$$";
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$out.1";
        open STDERR, '>', "$out.2";
        exec @cmd or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    return ($code, slurp("$out.1"), slurp("$out.2"));
}

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or return '';
    local $/;
    return <$f> // '';
}

sub write_file {
    my ($self, $name, $text, $mode) = @_;
    open my $f, $mode // '>', "$self->{dir}/$name" or die "$name: $!";
    print $f $text;
    close $f;
}
sub append_conf { $_[0]->write_file('reeve.conf', $_[1], '>>') }

sub ctl {
    my ($self, $command, @args) = @_;
    return $self->run('reeve-ctl', $command, '-D', $self->{dir}, @args);
}

sub init {
    my ($self) = @_;
    my $pw = "$self->{base}/pw";
    open my $f, '>', $pw or die $!;
    print $f "$PASSWORD\n";
    close $f;
    my ($code, $out, $err) = $self->ctl('init', '--region', $self->{region}, '--superuser', $self->{superuser},
        '--password-file', $pw, @{$self->{init} // []});
    die "init: $err" if $code;
    $self->append_conf("port = $self->{port}\nagent_port = $self->{agent_port}\npeer_port = $self->{peer_port}\n"
        . "gateways = 2\n$self->{conf}");
    return $self;
}

sub start {
    my ($self) = @_;
    my ($code, $out, $err) = $self->ctl('start', '-t', '30');
    die "start: $err" . $self->log if $code;
    return $self;
}

sub stop {
    my ($self, $mode) = @_;
    my ($code, $out, $err) = $self->ctl('stop', '-m', $mode // 'fast', '-t', '30');
    return $code == 0;
}

# The postmaster's pid, 0 without a server.
sub pid {
    my ($self) = @_;
    my ($pid) = slurp("$self->{dir}/reeve.pid") =~ /^(\d+)\n/;
    return $pid && alive($pid) ? $pid : 0;
}

# A zombie counts as gone.
sub alive {
    my ($pid) = @_;
    my $stat = slurp("/proc/$pid/stat");
    return $stat =~ /\)\s+([A-Za-z])/ && $1 ne 'Z';
}

# What libpq takes, for programs other than psql.
sub conninfo {
    my ($self) = @_;
    return "host=127.0.0.1 port=$self->{port} user=$self->{superuser} dbname=reeve password='$PASSWORD' connect_timeout=5";
}

# Pids of children whose title begins so: children('ring'), children('gateway').
sub children {
    my ($self, $kind, $pid) = @_;
    $pid //= $self->pid or return;
    my @found;
    for my $p (map { m{/(\d+)$} ? $1 : () } glob '/proc/[0-9]*') {
        my ($state, $parent) = slurp("/proc/$p/stat") =~ /\)\s+(\w)\s+(\d+)/ or next;
        next if $parent != $pid || $state eq 'Z';
        my $title = slurp("/proc/$p/cmdline") =~ s/\0.*//sr;
        push @found, $p if !defined $kind || $title =~ /^reeved: \Q$kind\E\b/;
    }
    @found = sort { $a <=> $b } @found;
    return @found;
}

sub log { slurp("$_[0]{dir}/log/reeve.log") }

sub answers {
    my ($self) = @_;
    my ($code, $out) = $self->ctl('status');
    return $code == 0 && $out =~ /: answers$/;
}

# Until the condition holds; fails the test after 30 s.
sub wait_for {
    my ($self, $cond, $what, $seconds) = @_;
    my $end = time + ($seconds // 30);
    while (time < $end) {
        return 1 if $cond->();
        sleep 0.02;
    }
    diag("waited in vain for: $what\n" . $self->log);
    return 0;
}

# A connection that says nothing: one backend is forked for it.
sub connect_tcp {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Proto => 'tcp', Timeout => 5);
}

# Unaligned rows, | between columns; dies with the message on an error.
sub psql {
    my ($self, $sql, %o) = @_;
    local $ENV{PGPASSWORD} = $o{password} // $PASSWORD;
    my ($code, $out, $err) = $self->run('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', $self->{port},
        '-U', $o{user} // $self->{superuser}, '-d', 'reeve', '-c', $sql);
    die $err if $code;
    chomp $out;
    return $out;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local $?;
    my $pid = $self->pid or return;
    kill 'CONT', $self->children(undef, $pid);
    $self->ctl('stop', '-m', 'immediate', '-t', '10');
    kill 'KILL', $pid if alive($pid);
}

# Before the folders are removed, which happens ahead of global destruction.
END { $_ && $_->DESTROY for @all }

1;
