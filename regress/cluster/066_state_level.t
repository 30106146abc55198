# Two versions of the program in one ring: members of an older one are replaced one after the other, under load. Nobody fails, the
# state changes its form when the last is there and not before, every member has the same; after that the older program is refused.
use strict;
use warnings;
use Test::More;
use File::Copy qw(copy);
use JSON::PP;
use POSIX ();
use Time::HiRes qw(sleep);
use lib 'regress/lib';
use Ring;

# A server that knows no level of the state, and a reeve-ctl beside it that starts that one.
my $new = $ENV{PATH};
my $s = ReeveServer->new;
my $older = "$s->{base}/older";
mkdir $older or die "$older: $!";
my ($bin) = grep { -x "$_/reeve-ctl" } split /:/, $new;
for my $program ([reeved => "$ENV{REEVE_BUILD}/regress/lib/older"], ['reeve-ctl' => $bin]) {
    copy("$program->[1]/$program->[0]", "$older/$program->[0]") or die "$program->[0]: $!";
    chmod 0755, "$older/$program->[0]";
}
$ENV{PATH} = "$older:$new";
$s->init->start;
my $r = Ring->new(first => $s);

# ---- registrations and changes through all of it ----
my $token = $s->psql('CREATE JOIN_TOKEN WITH (uses = 100)') =~ s/\|.*//sr;
open my $f, '>', "$s->{base}/token" or die $!;
print $f "$token\n";
close $f;
my ($owner, $bench) = ($$, 0);
END { my $code = $?; kill 'KILL', $bench if $bench && $owner == $$; $? = $code }
$bench = fork() // die "fork: $!";
if ($bench == 0) {
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$s->{base}/bench.out";
    open STDERR, '>', "$s->{base}/bench.err";
    $ENV{PATH} = $new;
    exec 'reeve-bench', 'ring', '--json', '--agents', '127.0.0.1:' . $s->agent_port, '--token-file', "$s->{base}/token", '--clients', 8,
        '--batch', 20, '--rows', 400, '--duration', 600, '--warmup', 0 or POSIX::_exit(127);
}
sub rows { my ($i) = @_; return eval { $r->server($i)->psql('SELECT count(*) FROM sys.workloads') } // -1 }
sub all_rows { my ($i) = @_; return $r->server($i)->psql('SELECT workload_id, ordinal, service, port, health, since FROM sys.workloads ORDER BY 1') }
sub raised { my ($i) = @_; return $r->server($i)->log =~ /the state has its new level/ }
ok($s->wait_for(sub { rows(0) == 8 * 400 }, 'a table of workloads', 60), 'agents register at a ring of older programs') or diag(ReeveServer::slurp("$s->{base}/bench.err"));
my $load = $r->load(writers => 3, roam => 1);
ok($load->wait_all, 'a load');
for my $i (1, 2, 0) {
    if ($i == 0) {              # a newer one leads, and one older one is left
        $r->somewhere('a transfer', "ALTER RING eu TRANSFER LEADER TO '" . $r->name(1) . "'");
        ok($s->wait_for(sub { ($r->leader // -1) == 1 }, 'the new leader'), 'a newer program leads');
        sleep 4;                # it looks once a second
        ok(!(grep { raised($_) } $r->all), '... and the state is as it was');
    }
    {
        local $ENV{PATH} = $new;
        ok($r->server($i)->stop, $r->name($i) . ' is stopped');
        ok($load->wait_all, '... every writer goes on');
        $r->server($i)->start;
    }
    ok($r->caught_up($i), '... and it is back with a newer program');
}
$ENV{PATH} = $new;
for my $i ($r->all) {
    ok($s->wait_for(sub { raised($i) }, 'the raise'), $r->name($i) . ' has the state of the new level');
    is(rows($i), 8 * 400, '... with all workloads');
}

# ---- states are compared every 512 entries: who had another would be in quarantine ----
my $before = $s->psql('SELECT max(applied_index) FROM sys.regions');
ok($s->wait_for(sub { (eval { $s->psql('SELECT max(applied_index) FROM sys.regions') } // 0) > $before + 2000 }, 'two thousand entries', 120), 'the load goes on');
is($r->somewhere('issues', "SELECT count(*) FROM sys.issues WHERE kind = 'member_quarantined'"), 0, 'no state is another');
$load->stop;
kill 'TERM', $bench;
waitpid $bench, 0;
$bench = 0;
my %n = %{$load->counts};
is($n{lost} + $n{no}, 0, "no request failed ($n{ack} changes, $n{tries} tried again)");
is($n{stale}, 0, 'no read was stale');
my ($line) = reverse split /\n/, ReeveServer::slurp("$s->{base}/bench.out");
my $o = eval { decode_json($line // '') } // {};
cmp_ok($o->{rows} // 0, '>', 8 * 400, "... nor a registration ($o->{rows} rows)");
is($o->{refused}, 0, '... refused');
ok($r->caught_up($_), $r->name($_) . ' has everything') for $r->all;
$load->verify($_) for $r->all;
my $rows = all_rows(0);
is(all_rows($_), $rows, $r->name($_) . ' has the same rows') for 1, 2;

# ---- back is refused ----
ok($r->server(2)->stop, 'a member is stopped');
{
    local $ENV{PATH} = "$older:$new";
    my ($code) = $r->server(2)->ctl('start', '-t', '10');
    isnt($code, 0, '... and does not start with the older program');
}
like($r->server(2)->log, qr/the region's state is of level 2, and this program knows 0/, '... which says why');
$r->server(2)->ctl('stop', '-m', 'immediate') if $r->server(2)->pid;
$r->server(2)->start;
ok($r->caught_up(2), '... but with the newer one');
ok($_->stop, 'it stops') for $r->servers;
done_testing;
