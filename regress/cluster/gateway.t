#!/usr/bin/perl
# gateway.t - agents' connections in the real server: whole conversations, hostile bytes, stopped and killed processes
use strict;
use warnings;
use Test::More;
use IO::Socket::INET;
use IO::Select;
use Time::HiRes qw(sleep time);
use File::Temp qw(tempdir);
use Ports;
use POSIX ":sys_wait_h";

my $build = $ENV{REEVE_BUILD} || "build";
my $probe = "$build/regress/lib/gwprobe";
my $ctl = "$build/bin/reeve-ctl";
my ($port, $agent_port, $peer_port) = map { Ports::take() } 1 .. 3;
my $dir = tempdir("/tmp/reeve-gateway-XXXXXX", CLEANUP => 1);
my $data = "$dir/d";
my $log = "$data/log/reeve.log";
my $started = 0;

sub run_ok { my ($what, @cmd) = @_; my $out = qx{@cmd 2>&1}; is($?, 0, $what) or diag($out); return $out; }
sub log_text { open(my $f, "<", $log) or return ""; local $/; return <$f>; }
sub wait_for { my ($what, $ok, $s) = @_; my $end = time + ($s || 15); while (time < $end) { return 1 if $ok->(); sleep 0.05 } diag("waited in vain for $what"); return 0; }
sub children { my ($kind) = @_; my $pm = (split /\n/, qx{cat $data/reeve.pid})[0];
    return grep { my ($p, $f) = ($_); open($f, "<", "/proc/$p/cmdline") && (<$f> // "") =~ /reeved: $kind/ } split /\s+/, qx{pgrep -P $pm}; }
my $token;
sub agent { my ($seed, @actions) = @_; return scalar qx{$probe run $agent_port $token $seed @actions 2>&1}; }
# A second agent in the background; lines are read with line_like().
my %bg;
sub agent_start { my ($seed, @actions) = @_; my $pid = open(my $f, "-|", "exec $probe run $agent_port $token $seed @actions 2>&1") or die; $f->blocking(0); $bg{$f} = { pid => $pid, text => "" }; return $f; }
sub line_like { my ($f, $re, $s) = @_; my $b = $bg{$f};
    return wait_for($re, sub { my $n = sysread($f, my $t, 65536); $b->{text} .= $t if $n; return $b->{text} =~ s/^.*?$re[^\n]*\n//s; }, $s); }
sub agent_stop { my ($f) = @_; kill 'TERM', $bg{$f}{pid}; close $f; delete $bg{"$f"}; }

open(my $pw, ">", "$dir/pw") or die;
print $pw "test\n";
close $pw;
$ENV{PGPASSWORD} = "test";
sub sql { my ($q) = @_; my $out = qx{psql -h 127.0.0.1 -p $port -U admin -At -c "$q" reeve 2>&1}; chomp $out; return $out; }
run_ok("init", $ctl, "init", "-D", $data, "--region", "eu", "--superuser", "admin", "--password-file", "$dir/pw");
open(my $c, ">>", "$data/reeve.conf") or die;
print $c "port = $port\nagent_port = $agent_port\npeer_port = $peer_port\ngateways = 2\nattest_tick_interval = 500ms\nagent_heartbeat_interval = 2s\n";
close $c;
$token = qx{$probe token $data};
chomp $token;
like($token, qr/^reeve1\./, "a join token was written into the store");
run_ok("start", $ctl, "start", "-D", $data);
$started = 1;

my $out = agent("s1", qw(connect hello auth enroll subscribe heartbeat register=3 report=edge-tls wait=TICK));
like($out, qr/object region eu present/, "the region's key comes with its proof");
like($out, qr/AUTH_OK status=2/, "an unknown node must enrol");
like($out, qr/ENROLLED ordinal=0 labels=2/, "the ring gave the first ordinal; the token's labels were added");
like($out, qr/BUNDLE scope=1 .*BUNDLE scope=3 /s, "its objects come as verified bundles");
like($out, qr/CONFIG kind=2 .*value app\/limit gen=1 state=1 50/s, "and the config as a snapshot");
like($out, qr/HEARTBEAT_ACK.*REGISTER_ACK seq=1 refused=0.*REPORT_ACK.*TICK/s, "what it says is acknowledged, ticks follow");

$out = agent("s1", qw(connect hello auth subscribe));
like($out, qr/AUTH_OK status=1 ordinal=0 labels=2/, "it is known the next time");
$out = agent("s2", qw(connect hello auth enroll reconnect hello auth subscribe));
like($out, qr/ENROLLED ordinal=1.*WELCOME .*genesis=0 valset=0 proof=0.*AUTH_OK status=1/s, "what an agent holds is not sent again");
$out = agent("s1", qw(mtls connect hello auth subscribe));
like($out, qr/AUTH_OK status=1 ordinal=0/, "the same node by client certificate");
$out = agent("s1", qw(connect hello badauth closed));
like($out, qr/ERROR AUTH retry=0.*CLOSED/s, "a wrong proof is refused");

# ---- certificates, config, revocation ----
like(sql("CREATE AUTHORITY ca WITH (key_type = 'ecdsa', ttl = '1 year')"), qr/CREATE AUTHORITY/, "an authority");
like(sql("CREATE CERT 'edge' FROM AUTHORITY ca SUBJECT 'CN=edge.example' SANS ('edge.example') VALID FOR '30 days'"), qr/CREATE CERT/, "a certificate");
$out = agent("s1", qw(connect hello auth subscribe cert=edge:1 wait=CERT_REPLY cert=edge:7 wait=ERROR cert=none:1 wait=ERROR key=edge:1 wait=ERROR));
like($out, qr/object cert edge present.*object authority ca present/s, "an agent follows a certificate and its authority");
like($out, qr/CERT_REPLY reqid=1 leaf=\d+ chain=\d+/, "and gets a leaf for its own key");
like($out, qr/ERROR UNKNOWN_OBJECT.*reqid=2.*ERROR UNKNOWN_OBJECT.*reqid=3.*ERROR NOT_ALLOWED.*reqid=4/s, "but nothing that is not attested, and no key of a certificate without a shared one");
my $s4 = agent_start("s4", qw(connect hello auth enroll subscribe drain=20000));
ok(line_like($s4, qr/CONFIG/), "an agent follows");
sql("SET CONFIG 'web/size' = '7' IMMEDIATE");
ok(line_like($s4, qr/value web\/size gen=1 state=1 7/), "a value is pushed");
sql("RESET CONFIG 'web/size' IMMEDIATE");
ok(line_like($s4, qr/value web\/size gen=0 state=3/), "and that it is gone");
my $node = (split /\n/, sql("SELECT node_id FROM sys.nodes"))[-1];
sql("ALTER NODE '$node' SET LABEL tier = 'pop'");
ok(line_like($s4, qr/AUTH_OK status=1 ordinal=\d+ labels=3/), "a new label reaches the agent");
sql("REVOKE NODE '$node'");
ok(line_like($s4, qr/ERROR REVOKED retry=0/), "a revoked node is told");
ok(line_like($s4, qr/CLOSED/), "and cut off");
agent_stop($s4);
like(agent("s4", qw(connect hello auth)), qr/ERROR REVOKED retry=0/, "for good");

# ---- hostile bytes: each ends its own connection, and no other ----
my $good = agent_start("good", qw(connect hello auth enroll subscribe), ("wait=TICK", "heartbeat") x 400);
ok(line_like($good, qr/CONFIG/), "a good agent is connected");
my %hostile = (
    "an oversized frame" => ["raw=ffffff7f0100", "TOO_BIG"],
    "a length of five bytes" => ["raw=8080808001", "TOO_BIG"],
    "an overlong length" => ["raw=8200080000", "MALFORMED"],
    "a frame too short" => ["raw=0108", "MALFORMED"],
    "an unknown flag" => ["raw=020820", "CRITICAL"],
    "a critical extension" => ["raw=050800030100", "CRITICAL"],
    "a frame of the other side" => ["raw=020900", "UNEXPECTED"],
    "a second HELLO" => ["hello2", "UNEXPECTED"],
);
for my $what (sort keys %hostile) {
    my ($raw, $code) = @{ $hostile{$what} };
    $raw = "raw=" . "33" . "0100" . "52564131" . "01" . "01" . "00" . "808040" . "00" x 16 . "00" . "00" x 6 . "00" x 16 if $raw eq "hello2";
    $out = agent("s1", qw(connect hello auth), $raw, "closed");
    like($out, qr/ERROR $code.*CLOSED/s, "$what is $code and closes");
}
$out = agent("s9", qw(connect), "raw=020800", "closed");
like($out, qr/ERROR UNEXPECTED.*CLOSED/s, "a heartbeat before HELLO is refused");
$out = agent("s9", qw(connect), "raw=85a0010100", "closed");
like($out, qr/ERROR TOO_BIG.*CLOSED/s, "before authentication frames are short");
ok(line_like($good, qr/HEARTBEAT_ACK/), "the good agent did not notice");

my @raw = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $agent_port) } 1 .. 40;
ok((grep { defined } @raw) == 40, "40 connections that say nothing");
my $noise = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $agent_port);
print $noise "GET / HTTP/1.1\r\nHost: x\r\n\r\n" x 50;
ok(wait_for("close", sub { my $s = IO::Select->new($noise); return 0 unless $s->can_read(0.05); my $n = sysread($noise, my $t, 4096); return !$n; }), "garbage before TLS is closed");
ok(line_like($good, qr/HEARTBEAT_ACK/), "the good agent did not notice");
my $open = 40;
ok(wait_for("slow ones closed", sub { $open = grep { my $s = IO::Select->new($_); !($s->can_read(0) && !sysread($_, my $t, 100)) } @raw; return $open == 0; }, 12), "silent connections are closed after the handshake's deadline");
ok(line_like($good, qr/HEARTBEAT_ACK/), "the good agent did not notice");

ok(wait_for("reasons", sub { my $t = log_text(); return $t =~ /closing: oversized frame \(TOO_BIG\)/ && $t =~ /closing: malformed frame \(MALFORMED\)/ && $t =~ /TLS handshake failed/ }), "the log says why each was closed");
my @lines = split /\n/, log_text();
for my $kind ("closing: ", "TLS handshake failed") {
    cmp_ok(scalar(grep { /\Q$kind\E/ } @lines), "<=", 100, "... in few lines: $kind");
}

# ---- stopped processes ----
my ($signer) = children("signer");
my ($ring) = children("ring");
my ($validator) = children("validator");
kill 'STOP', $signer;
$out = agent("s1", qw(connect hello auth subscribe heartbeat register=2));
like($out, qr/REGISTER_ACK/, "with the signer stopped agents connect, follow and register");
kill 'CONT', $signer;
kill 'STOP', $validator;
sleep 1.2;
my $f = agent_start("s3", qw(connect hello auth enroll subscribe), "wait=TICK");
ok(line_like($f, qr/CONFIG/), "with the validator stopped agents enrol and follow");
ok(!line_like($f, qr/TICK/, 1.5), "and hear no tick");
kill 'CONT', $validator;
ok(line_like($f, qr/TICK/), "continued, it ticks again");
agent_stop($f);
kill 'STOP', $ring;
$out = agent("s1", qw(connect hello auth subscribe heartbeat));
like($out, qr/HEARTBEAT_ACK/, "with the ring stopped agents connect and are served with what is known");
$f = agent_start("s1", qw(connect hello auth subscribe register=5));
ok(line_like($f, qr/CONFIG/), "one registers");
ok(!line_like($f, qr/REGISTER_ACK/, 1), "nothing is acknowledged that the ring has not taken");
kill 'CONT', $ring;
ok(line_like($f, qr/REGISTER_ACK seq=1 refused=0/), "continued, it is");
agent_stop($f);
ok(line_like($good, qr/HEARTBEAT_ACK/), "the good agent was served all the time");

# ---- killed processes ----
my @gw = children("gateway");
is(scalar @gw, 2, "two gateways");
kill 'KILL', @gw;
ok(wait_for("new gateways", sub { my @n = grep { my $p = $_; !grep { $_ == $p } @gw } children("gateway"); return @n == 2; }), "killed gateways are replaced");
like(log_text(), qr/process gateway \(pid $gw[0]\) ended by signal 9/, "and the log says so");
ok(wait_for("service", sub { agent("s1", qw(connect hello auth subscribe)) =~ /CONFIG/ }), "agents come back");
kill 'KILL', $ring;
ok(wait_for("ring", sub { my ($r) = children("ring"); return defined $r && $r != $ring; }), "a killed ring is replaced");
$out = agent("s1", qw(connect hello auth subscribe register=4));
like($out, qr/REGISTER_ACK seq=1 refused=0/, "and agents' registrations go on");
agent_stop($good);

# ---- leaving ----
$f = agent_start("s1", qw(connect hello auth subscribe), "closed");
ok(line_like($f, qr/CONFIG/), "an agent is connected");
run_ok("stop", $ctl, "stop", "-D", $data);
$started = 0;
ok(line_like($f, qr/GOAWAY reason=1/), "and is told to come back later");
ok(line_like($f, qr/CLOSED/), "before the connection ends");
unlike(log_text(), qr/assert|PANIC|signal 6|signal 11/, "nobody crashed");
done_testing();

END {
    my $code = $?;
    kill 'CONT', grep { defined } ($signer, $ring, $validator) if $started;
    system("$ctl stop -D $data -m immediate >/dev/null 2>&1") if $started;
    kill 'TERM', map { $_->{pid} } values %bg;
    $? = $code;
}
