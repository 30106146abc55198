#!/usr/bin/perl
# 051_manual.t - the statements of docs/manual/*.md, against a server with thirty agents
#
# ```sql run          must run without an error, in order, each file on a server of its own
# ```sql refused X    each line that ends in a semicolon must be refused with SQLSTATE X
use strict;
use warnings;
use Cwd qw(abs_path);
use Test::More;
use lib 'regress/lib';
use ReeveServer;

my $top = abs_path($ENV{REEVE_TOP} // '.');
my $agents = 30;

sub blocks {
    my ($file) = @_;
    my ($text, @found) = (ReeveServer::slurp($file));
    while ($text =~ /^```sql (run|refused (\w{5}))\n(.*?)^```$/gms) {
        my %b = (refused => $2, sql => $3, line => 1 + substr($text, 0, $-[0]) =~ tr/\n//);
        push @found, \%b;
    }
    return @found;
}

sub shell {
    my ($s, $sql, @args) = @_;
    local @ENV{qw(PGPASSWORD PGHOST)} = ($ReeveServer::PASSWORD, '127.0.0.1');
    my $file = "$s->{base}/block.sql";
    open my $f, '>', $file or die "$file: $!";
    print $f $sql;
    close $f;
    return $s->run('reeve', '-p', $s->port, '-U', 'admin', @args, '-f', $file);
}

sub fleet {
    my ($s) = @_;
    my $token = (split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = $agents, labels = 'tier=edge')"))[0];
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', "$s->{base}/fleet.log";
        open STDERR, '>&', \*STDOUT;
        exec 'reeve-bench', 'fleet', '--server', '127.0.0.1:' . $s->agent_port, '--token', $token, '--count', $agents
            or POSIX::_exit(127);
    }
    ok($s->wait_for(sub { $s->psql("SELECT count(*) FROM sys.nodes WHERE state = 'live'") == $agents }, 'agents'),
        "$agents agents are live");
    return $pid;
}

for my $file (glob "$top/docs/manual/*.md") {
    my ($name) = $file =~ m{([^/]+)$};
    my @blocks = blocks($file) or next;
    my $s = ReeveServer->new;
    $s->init->start;
    my $fleet = fleet($s);
    for my $b (@blocks) {
        my ($code, $out, $err) = shell($s, $b->{sql}, $b->{refused} ? '--keep-going' : ());
        if ($b->{refused}) {
            my ($wanted, $have) = (scalar(() = $b->{sql} =~ /;$/mg), scalar(() = $err =~ /\[$b->{refused}\]/g));
            ok($code == 1 && $have == $wanted, "$name:$b->{line} is refused with $b->{refused}, $wanted times") or diag($out, $err);
        } else {
            is($code, 0, "$name:$b->{line} runs") or diag($out, $err);
        }
    }
    kill 'TERM', $fleet;
    waitpid $fleet, 0;
    ok($s->stop, "$name: the server stops");
}
done_testing();
