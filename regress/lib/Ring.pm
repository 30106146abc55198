# Ring - a ring of several real servers of a test's own, and a load on it
#
#   my $r = Ring->new(members => 3, conf => "log_level = debug\n");
#   my $load = $r->load(writers => 6);  $load->wait_acks(50);  $r->kill_server($r->leader);  $load->stop;  $load->verify;
#   my ($a, $b, $c) = $r->servers;          # ReeveServer
#   my ($leader, @others) = $r->by_role;    # the same
#
# Members are numbered from 0 here, and are eu-1, eu-2, ... in the ring as long as nobody was replaced. Who is killed or stopped
# may be told by its server as well.
package Ring;
use strict;
use warnings;
use ReeveServer;
use Time::HiRes qw(sleep time);

# members: how many, all of which vote when this is back; first: a server that runs already; conf: lines for all.
sub new {
    my ($class, %o) = @_;
    my $self = bless { s => [], name => [], %o }, $class;
    my $first = $o{first} // ReeveServer->new(conf => $o{conf} // '');
    $first->init->start unless $o{first};
    $self->{s}[0] = $first;
    $self->{name}[0] = 'eu-1';
    $self->add for 2 .. $o{members} // 3;
    my $more = $#{$self->{s}};
    for my $i ($self->all) {
        $first->wait_for(sub { my $m = $self->roles($i); $m =~ /\|leader$/m && $more == (() = $m =~ /\|voter$/mg) }, "$more voters and a leader")
            or die "no ring\n";
    }
    return $self;
}

sub servers { @{$_[0]{s}} }
sub server { $_[0]{s}[$_[1]] }
sub name { $_[0]{name}[$_[1]] }
sub number { my ($self, $s) = @_; return (grep { $self->{s}[$_] == $s } $self->all)[0] }
sub all { 0 .. $#{$_[0]{s}} }
sub others { my ($self, @not) = @_; my %n = map { $_ => 1 } @not; return grep { !$n{$_} } $self->all }

# One statement at some member that answers, again until it is done.
sub somewhere {
    my ($self, $what, $sql, @at) = @_;
    @at = $self->all if !@at;
    my $out;
    $self->{s}[$at[0]]->wait_for(sub { for my $i (@at) { return 1 if defined($out = eval { $self->{s}[$i]->psql($sql) }) } 0 }, $what)
        or die "not done: $what\n";
    return $out;
}

# A member that starts with nothing: joined, started, made a voter. Its number here.
sub add {
    my ($self, %o) = @_;
    my $i = $o{at} // @{$self->{s}};
    my $s = ReeveServer->new;
    $self->join_as($s, $i, %o);
    return $i;
}

sub join_as {
    my ($self, $s, $i, %o) = @_;
    my @via = @{$o{via} // [grep { $_ != $i && $self->{s}[$_] && $self->{s}[$_]->pid } $self->all]};
    my ($code, $err) = (1, '');
    # A token names the member that is to be asked.
    for (my $end = time + 30; $code && time < $end; sleep 0.05) {
        my $via = $self->{s}[$via[0]];
        push @via, shift @via;
        my $token = eval { $via->psql("CREATE JOIN_TOKEN WITH (kind = 'member')") =~ s/\|.*//sr } // next;
        ($code, undef, $err) = $s->ctl('join', '--ring', "localhost:$via->{peer_port}", '--token', $token, '--address',
            "localhost:$s->{peer_port}");
    }
    die "join: $err" if $code;
    $s->append_conf("port = $s->{port}\nagent_port = $s->{agent_port}\n" . ($self->{conf} // ''));
    $s->start;
    $self->{s}[$i] = $s;
    $self->{name}[$i] = $self->name_of($s);
    $self->promote($i, @via) if !$o{learner};
}

# By its address.
sub name_of {
    my ($self, $s) = @_;
    my $name;
    $s->wait_for(sub { ($name) = (eval { $s->psql('SELECT member, address FROM sys.ring_members') } // '') =~ /^([\w-]+)\|localhost:$s->{peer_port}\b/m },
        'its name') or die "it does not know itself\n";
    return $name;
}

# A vote for one that has none.
sub promote {
    my ($self, $i) = @_;
    my $s = $self->{s}[$i];
    my $sql = "ALTER RING eu ADD MEMBER '$self->{name}[$i]' ADDRESS 'localhost:$s->{peer_port}'";
    my ($l, $last);
    $s->wait_for(sub {
        return 1 if $self->roles($i) =~ /^\Q$self->{name}[$i]\E\|(voter|leader)$/m;
        $l = $self->leader;
        $last = '';
        eval { $self->{s}[$l]->psql($sql); 1 } or $last = $@ if defined $l;
        return 0;
    }, "a vote for $self->{name}[$i]")
        or die 'no vote; led by ' . ($l // 'nobody') . ": $last" . join("\n", map { $self->roles($_) . "\n" . $self->{s}[$_]->log } $self->all);
}

# "eu-1|leader\neu-2|voter..." as that member sees it; empty while it cannot say.
sub roles { my ($self, $i) = @_; return eval { $self->{s}[$i]->psql('SELECT member, role FROM sys.ring_members ORDER BY member') } // '' }

# The number of who leads, as a majority says; undef: nobody.
sub leader {
    my ($self, @at) = @_;
    my %says;
    for my $i (@at ? @at : $self->all) {
        next if !$self->{s}[$i]->pid;
        my ($name) = $self->roles($i) =~ /^(.*)\|leader$/m or next;
        $says{$name}++;
    }
    my ($most) = sort { $says{$b} <=> $says{$a} } keys %says;
    return undef if !defined $most;
    my ($i) = grep { $self->{name}[$_] eq $most } $self->all;
    return $i;
}

# Its server.
sub leading { my ($self) = @_; my $l = $self->leader; return defined $l ? $self->{s}[$l] : undef }

sub wait_leader {
    my ($self, @at) = @_;
    my $l;
    $self->{s}[$at[0] // 0]->wait_for(sub { defined($l = $self->leader(@at)) && $self->{s}[$l]->pid }, 'a leader') or die "no leader\n";
    return $l;
}

# All servers, the leader first, by the word of two members: one alone may not have heard of the newest yet.
sub by_role {
    my ($self) = @_;
    my $l;
    for (1 .. 600) {
        my %says;
        for my $i (grep { $self->{s}[$_]->pid } $self->all) {
            my ($name) = $self->roles($i) =~ /^(.*)\|leader$/m or next;
            next if ++$says{$name} < 2;
            ($l) = grep { $self->{name}[$_] eq $name && $self->{s}[$_]->pid } $self->all;
            return map { $self->{s}[$_] } $l, $self->others($l) if defined $l;
        }
        sleep 0.05;
    }
    die "nobody leads\n";
}

# The servers of members told by number or as they are.
sub servers_of { my ($self, @who) = @_; return map { ref $_ ? $_ : $self->{s}[$_] } @who }

# kill -9 of everything that belongs to them, at once; the moment (monotonic, seconds).
sub kill_server {
    my ($self, @who) = @_;
    my @s = $self->servers_of(@who);
    my @all = grep { $_ } map { ($_->pid, $_->children) } @s;
    my $at = Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
    kill 'KILL', @all;
    $s[0]->wait_for(sub { !grep { ReeveServer::alive($_) } @all }, 'all are gone');
    return $at;
}

# Everything of a server stands still, as on a machine that does, until its processes are resumed.
sub pause { my ($self, $who) = @_; my ($s) = $self->servers_of($who); my @pids = grep { $_ } $s->pid, $s->children; kill 'STOP', @pids; return @pids }
sub resume { my ($self, @pids) = @_; kill 'CONT', @pids; return }

# True: all that ran have ended as they should.
sub stop { my ($self, $mode) = @_; return !grep { !$_->stop($mode // 'fast') } grep { $_->pid } $self->servers }

# Everything acknowledged up to now is readable at that member.
sub caught_up {
    my ($self, $i) = @_;
    my $mark = 'mark' . ++$self->{marks};
    $self->somewhere('a mark', "SET CONFIG 'test.mark' = '$mark'", $self->others($i));
    my $s = $self->{s}[$i];
    return $s->wait_for(sub { (eval { $s->psql("SELECT value FROM sys.config WHERE key = 'test.mark'") } // '') eq $mark }, 'the newest state');
}

# ---- a load ----

# writers: how many; at: members, each writer starts at one of them in turn; roam: goes to the next member when one fails.
sub load {
    my ($self, %o) = @_;
    my $n = ++$self->{loads};
    my $folder = "$self->{s}[0]{base}/load$n";
    mkdir $folder or die "$folder: $!";
    my @conn = map { sprintf 'host=127.0.0.1 port=%d user=admin password=%s dbname=reeve', $self->{s}[$_]->port, "'$ReeveServer::PASSWORD'" }
        @{$o{at} // [$self->all]};
    my $top = $ENV{REEVE_TOP} // '.';
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$folder/out";
        open STDERR, '>', "$folder/err";
        exec '/usr/bin/python3', "$top/regress/lib/ring_load.py", $folder, $o{writers} // 4, $o{roam} ? 1 : 0, $o{pause_ms} // 0, @conn
            or POSIX::_exit(127);
    }
    return bless { ring => $self, folder => $folder, pid => $pid, owner => $$, writers => $o{writers} // 4, n => $n }, 'Ring::Load';
}

package Ring::Load;
use Test::More;
use Time::HiRes qw(sleep time);

# [writer, value, begun_ns, ended_ns, what, member, tries, text]
sub events {
    my ($self) = @_;
    my @e;
    for my $w (0 .. $self->{writers} - 1) {
        push @e, map { [$w, split / /, $_, 7] } grep { / / } split /\n/, ReeveServer::slurp("$self->{folder}/w$w.log");
    }
    return @e;
}
sub acks {
    my ($self, $since) = @_;
    return grep { $_->[4] eq 'ack' && (!defined $since || $_->[2] >= $since * 1e9) } $self->events;
}
# That many more changes, begun from now on, are acknowledged.
sub wait_acks {
    my ($self, $n, $what) = @_;
    my $now = Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
    return $self->{ring}{s}[0]->wait_for(sub { $self->acks($now) >= $n }, $what // "$n changes");
}
# Every writer has one more.
sub wait_all {
    my ($self) = @_;
    my $now = Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
    return $self->{ring}{s}[0]->wait_for(sub { my %w = map { $_->[0] => 1 } $self->acks($now); keys %w == $self->{writers} }, 'all writers');
}
sub stop {
    my ($self) = @_;
    return if !$self->{pid};
    open my $f, '>', "$self->{folder}/stop" or die $!;
    close $f;
    waitpid $self->{pid}, 0;
    $self->{pid} = 0;
}
# How often the answer was not "done": { lost => ..., no => ..., stale => ... }
sub counts {
    my ($self) = @_;
    my %n = (ack => 0, lost => 0, no => 0, stale => 0, tries => 0);
    $n{$_->[4]}++, $n{tries} += $_->[6] - 1 for $self->events;
    return \%n;
}
# Nothing acknowledged is lost, nothing is older than what was acknowledged before it: at that member.
sub verify {
    my ($self, $i, $name) = @_;
    my $s = $self->{ring}{s}[$i];
    my @bad = map { "writer $_->[0] value $_->[1]: $_->[4] $_->[7]" } grep { $_->[4] eq 'stale' } $self->events;
    my (%acked, %tried);
    for my $e ($self->events) {
        $acked{$e->[0]} = $e->[1] if $e->[4] eq 'ack' && $e->[1] > ($acked{$e->[0]} // 0);
        $tried{$e->[0]} = $e->[1] if $e->[1] > ($tried{$e->[0]} // 0);
    }
    for my $w (sort keys %acked) {
        my $value = $s->psql("SELECT value FROM sys.config WHERE key = 'load$self->{n}/$w'");
        push @bad, "writer $w: has $value, acknowledged $acked{$w}, tried $tried{$w}" if $value < $acked{$w} || $value > $tried{$w};
    }
    is_deeply(\@bad, [], $name // 'nothing acknowledged is lost, nothing comes back') or diag(ReeveServer::slurp("$self->{folder}/err"));
}
sub DESTROY { my ($self) = @_; local $?; $self->stop if $self->{pid} && $self->{owner} == $$ }

1;
