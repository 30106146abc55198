# reeve-bench ring drives changes, reads and registrations over connections of their own or shared ones, by the clock or one after
# the other; what it counts is there afterwards.
use strict;
use warnings;
use Test::More;
use JSON::PP;
use lib 'regress/lib';
use ReeveServer;

my $s = ReeveServer->new(conf => "max_connections = 50\n");
$s->init->start;
open my $f, '>', "$s->{base}/token" or die $!;
print $f ($s->psql('CREATE JOIN_TOKEN WITH (uses = 1000)') =~ s/\|.*//sr), "\n";
close $f;
my @sql = ('--connect', $s->conninfo, '--keys', 50);
my @agents = ('--agents', '127.0.0.1:' . $s->agent_port, '--token-file', "$s->{base}/token", '--rows', 100);

sub bench {
    my ($name, @args) = @_;
    my ($code, $out, $err) = $s->run('reeve-bench', 'ring', '--json', '--duration', 2, '--warmup', 0, @args);
    my ($line) = reverse split /\n/, $out;
    my $o = eval { decode_json($line // '') } // {};
    is($code, 0, $name) or diag($err);
    is(($o->{refused} // -1) + ($o->{unknown} // 0), 0, '... nothing is refused or in doubt') or diag($out);
    return $o;
}
# As many as fell due, whatever the machine did meanwhile; those of the last moment may be under way at the end.
sub by_the_clock {
    my ($o, $kind, $rate) = @_;
    my $due = $rate * $o->{seconds};
    is($o->{loop}, 'open', '... an open loop');
    cmp_ok($o->{$kind}{n}, '<=', $due + 2, '... no more than fell due');
    cmp_ok($o->{$kind}{n}, '>', $due / 4, '... and not far fewer');
}

for my $shared ([], ['--connections', 4]) {
    my $how = @$shared ? 'shared connections' : 'a connection each';
    my $o = bench("changes, $how", @sql, '--clients', 20, @$shared);
    cmp_ok($o->{writes}{n}, '>', 20, '... are made');
    is($o->{reads}, undef, '... and nothing else');
    is($o->{connections}, @$shared ? 4 : 20, '... over so many');
    $o = bench("both, $how", @sql, '--clients', 20, '--reads', 50, @$shared);
    cmp_ok($o->{$_}{n}, '>', 20, "... $_") for qw(writes reads);
    by_the_clock(bench("changes by the clock, $how", @sql, '--clients', 20, '--rate', 60, @$shared), 'writes', 60);
    $o = bench("registrations, $how", @agents, '--clients', 20, '--batch', 5, @$shared);
    cmp_ok($o->{rows}, '>', 100, '... rows');
    by_the_clock(bench("registrations by the clock, $how", @agents, '--clients', 20, '--batch', 5, '--rate', 80, @$shared), 'batches', 80);
}
is($s->psql("SELECT count(*) FROM sys.config WHERE key LIKE 'bench/%'"), 50, 'the keys are there');
cmp_ok($s->psql('SELECT count(*) FROM sys.workloads'), '>', 100, 'and workloads');
my ($code) = $s->run('reeve-bench', 'ring', @sql, '--clients', 2, '--connections', 3);
is($code, 2, 'more connections than clients are refused');
ok($s->stop, 'it stops');
done_testing;
