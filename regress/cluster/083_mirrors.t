#!/usr/bin/perl
# 083_mirrors.t - one log, several regions: checkpoints with the cosignatures of all validators that answer, and the log over
# HTTP, copied and watched by whoever likes
use strict;
use warnings;
use File::Path qw(make_path);
use HTTP::Tiny;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);
use Federation;
use Ports;

$SIG{PIPE} = 'IGNORE';
my $port = Ports::take();
my $f = Federation->new(validators => [qw(eu us asia africa)], followers => ['moon'], conf => "attest_submit_timeout = 90s\n");
$f->server('eu')->append_conf("mirror_port = $port\n");
$f->start;
my $eu = $f->server('eu');
my $dir = "$eu->{base}/audit";
mkdir $dir;

sub put { my ($name, $bytes) = @_; make_path("$dir/$name" =~ s{/[^/]*$}{}r); open my $o, '>:raw', "$dir/$name" or die $!; print $o $bytes; close $o }
sub ask {
    my ($region, $sql) = @_;
    my $s = $f->server($region);
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    my ($code, $out, $err) = $s->run('psql', '-Xq', '-h', '127.0.0.1', '-p', $s->port, '-U', 'admin', '-d', 'reeve', '-c', $sql);
    die "$sql: $err" if $code;
    return $out;
}
sub audit { return $eu->run('reeve-audit', @_) }
# Until that many validators have cosigned what a region exports; a busy machine may make one of them late.
sub cosigned_by {
    my ($region, $want) = @_;
    my $got = '';
    put("policy.$region", ask($region, "COPY HISTORY TO STDOUT WITH (format = 'policy')"));
    $eu->wait_for(sub {
        put('checkpoint', ask($region, "COPY HISTORY TO STDOUT WITH (format = 'checkpoint')"));
        my ($code, $out) = audit('verify', "$dir/checkpoint", '--trust-root', "$dir/policy.$region");
        ($got) = $out =~ /cosigned by (\d+)/ if $code == 0;
        $got eq $want;
    }, "cosigned by $want", 60);
    return $got;
}

ok($eu->wait_for(sub { (eval { $f->psql('moon', "SELECT count(*) FROM sys.regions WHERE state = 'ok'") } // 0) == 5 }, 'five regions', 90),
    'every region says that it is there');

# ---- cosignatures ----
is(cosigned_by('eu', 4), 4, 'a checkpoint has the cosignatures of all four validators');
is(cosigned_by('moon', 4), 4, '... also where there is no validator');
$f->psql('us', 'CREATE AUTHORITY one');
is(cosigned_by('us', 4), 4, '... and anew when the log has grown');
ok($eu->wait_for(sub {
    put('bundle', ask('eu', 'COPY HISTORY TO STDOUT'));
    return (audit('verify', "$dir/bundle", '--trust-root', "$dir/policy.eu"))[1] =~ /checkpoint cosigned by [34]/;
}, 'a cosigned checkpoint in a bundle', 60), 'a bundle has them, too');
$f->kill('africa');
is(cosigned_by('eu', 3), 3, 'without one of them there are three');
my ($signer) = $f->server('asia')->children('signer');
kill 'STOP', $signer;
ok(defined eval { ask('eu', 'CREATE CHECKPOINT') }, 'a signer that does not answer keeps nobody waiting for long') or diag $@;
kill 'CONT', $signer;
$f->start('africa');
is(cosigned_by('us', 4), 4, 'with all back there are four again');

# ---- HTTP ----
my $url = "http://127.0.0.1:$port";
my $http = HTTP::Tiny->new(timeout => 20);
sub get { my ($path) = @_; return $http->get("$url/$path") }
my @policy = ('--trust-root', "$dir/policy.eu");
my ($rc, $out, $why);
ok($eu->wait_for(sub { ($rc, $out, $why) = audit('verify', $url, @policy); $rc == 0 && $out =~ /cosigned by 4/ }, 'the mirror', 120),
    'the log is sound over HTTP, with every tile, under four cosignatures') or diag("$rc $out$why");
my $r = get('checkpoint');
is($r->{status}, 200, 'its checkpoint');
my ($size) = $r->{content} =~ m{^reeve/[0-9a-f]{64}\n(\d+)\n};
cmp_ok($size, '>=', 6, '... of a log');
is($r->{headers}{'cache-control'}, 'no-cache', '... that is asked for anew each time');
put('mirror/checkpoint', $r->{content});
for my $path ("tile/0/000.p/$size", "tile/entries/000.p/$size") {
    my $t = get($path);
    is($t->{status}, 200, $path);
    like($t->{headers}{'cache-control'}, qr/immutable/, '... for ever');
    put("mirror/$path", $t->{content});
}
is((audit('verify', "$dir/mirror", @policy))[0], 0, 'copied into a folder it is sound');
is(length get("tile/0/000.p/3")->{content}, 96, 'a tile as it was when the log was smaller is there, too');
is(get($_)->{status}, 404, "no such thing: $_")
    for '', 'x', 'tile/0/000', 'tile/0/001.p/1', 'tile/0/000.p/0', 'tile/0/000.p/01', 'tile/0/000.p/256', 'tile/8/000.p/1', 'tile/0/0.p/1',
        'tile/0/x000/000.p/1', 'tile/00/000.p/1', 'tile/entries/000', 'tile/0/x999/x999/x999/x999/x999/x999/999', '../keys/region.key', 'tile/0/000.p/1/';
is($http->request('POST', "$url/checkpoint", { content => 'x' x 100000 })->{status}, 405, 'nothing is taken');
is($http->request('HEAD', "$url/checkpoint")->{status}, 200, 'a head alone is given');
my $hostile = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die $!;
print $hostile "GET /" . 'A' x 100000;
my @idle = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) } 1 .. 10;
is(get('checkpoint')->{status}, 200, 'requests that never end hinder nobody');
close $_ for $hostile, grep { $_ } @idle;

# ---- watched ----
my @monitor = ('monitor', $url, @policy, '--state', "$dir/state");
my $pid = fork() // die "fork: $!";
if ($pid == 0) {
    open STDOUT, '>', "$dir/monitor.out";
    open STDERR, '>', "$dir/monitor.err";
    exec 'reeve-audit', @monitor, '--interval', 1, '--stalled', 0 or POSIX::_exit(127);
}
ok($eu->wait_for(sub { ReeveServer::slurp("$dir/monitor.out") =~ /log size $size, cosigned by \d/ }, 'the first look', 60), 'a monitor reads all of it');
$f->psql('asia', 'CREATE AUTHORITY two');
ok($eu->wait_for(sub { ReeveServer::slurp("$dir/monitor.out") =~ /log size (\d+), [^\n]*\n\z/ && $1 > $size }, 'growth', 60), '... and follows it');
$eu->stop;
sleep 2;
is(waitpid($pid, POSIX::WNOHANG()), 0, 'a mirror that is away is waited for');
kill 'TERM', $pid;
waitpid $pid, 0;
unlike(ReeveServer::slurp("$dir/monitor.err"), qr/ALARM/, '... without an alarm');
is((audit(@monitor, '--once'))[0], 2, 'asked once, it could not be judged');
$eu->start;
ok($eu->wait_for(sub { (audit(@monitor, '--once'))[0] == 0 }, 'the mirror', 60), '... and goes on from where it was');
for my $n ($f->names) {
    unlike($f->server($n)->log, qr/FATAL|PANIC|that is not ours/, "$n: no process gave up");
}
done_testing();
