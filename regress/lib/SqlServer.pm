# SqlServer - one real server in a folder of its own, for driver tests
#
#   my $s = SqlServer->new;      # superuser ann, password pencil
#   $s->conninfo; $s->psql('SELECT 1'); $s->log; $s->stop;
#
# Ports of its own. Stopped and removed at the end of the test.
package SqlServer;
use strict;
use warnings;
use File::Temp qw(tempdir);
use Ports;
use Scalar::Util qw(weaken);

my @all;

sub new {
    my ($class, %o) = @_;
    my $base = tempdir('reeve-interop-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { %o, base => $base, dir => "$base/data", bin => ($ENV{REEVE_BUILD} // 'build') . '/bin' }, $class;
    write_file("$base/pw", "pencil\n");
    $self->run('reeve-ctl', 'init', '-D', $self->{dir}, '--superuser', 'ann', '--password-file', "$base/pw");
    my ($p, $a, $r) = map { Ports::take() } 1 .. 3;
    $self->{port} = $p;
    append_file("$self->{dir}/reeve.conf", "port = $p\nagent_port = $a\npeer_port = $r\n" . ($o{conf} // ''));
    write_file("$self->{dir}/reeve_hba.conf", $o{hba}) if $o{hba};
    $self->run('reeve-ctl', 'start', '-D', $self->{dir});
    $self->{running} = 1;
    weaken($all[@all] = $self);
    return $self;
}

sub run {
    my ($self, $program, @args) = @_;
    open my $keep, '>&', \*STDOUT or die;
    open STDOUT, '>>', "$self->{base}/out" or die;
    my $rc = system "$self->{bin}/$program", @args;
    open STDOUT, '>&', $keep or die;
    die "$program @args: exit $rc\n" . slurp("$self->{base}/out") if $rc;
}

sub conninfo {
    my ($self, %o) = @_;
    %o = (host => '127.0.0.1', port => $self->{port}, user => 'ann', dbname => 'reeve', password => 'pencil', %o);
    return join ' ', map { "$_=$o{$_}" } sort keys %o;
}

# Exit code, standard output and standard error together.
sub psql {
    my ($self, $sql, %o) = @_;
    my @commands = ref $sql ? @$sql : ($sql);
    my @args = @{ delete $o{args} // ['-XqAt'] };
    my $info = $self->conninfo(%o);
    local $ENV{PGPASSWORD};
    delete $ENV{PGPASSWORD};
    open my $in, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', 'psql', @args, '-d', $info, map { ('-c', $_) } @commands
        or die;
    my $out = do { local $/; <$in> };
    close $in;
    return ($? >> 8, $out // '');
}

sub log { slurp("$_[0]{dir}/log/reeve.log") }

# Waits until the log says it: true within 10 s.
sub log_says {
    my ($self, $re) = @_;
    for (1 .. 200) {
        return 1 if $self->log =~ $re;
        select undef, undef, undef, 0.05;
    }
    return 0;
}

sub stop {
    my ($self) = @_;
    $self->run('reeve-ctl', 'stop', '-D', $self->{dir}) if delete $self->{running};
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    eval { $self->stop };
}

# Before the folders are removed, which happens ahead of global destruction.
END { $_ && $_->DESTROY for @all }

sub slurp { open my $f, '<', $_[0] or return ''; local $/; return scalar(<$f>) // '' }
sub write_file { open my $f, '>', $_[0] or die "$_[0]: $!"; print $f $_[1]; close $f }
sub append_file { open my $f, '>>', $_[0] or die "$_[0]: $!"; print $f $_[1]; close $f }

1;
