# One real agent, one real nginx: enrolment, rotation, a failing reload, both identities, the cache without a server.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);
use JSON::PP;
use Time::HiRes qw(sleep);
use ReeveServer;

my $nginx = -x '/usr/sbin/nginx' ? '/usr/sbin/nginx' : undef;
my $dir = tempdir('/tmp/reeve-agent-XXXXXX', CLEANUP => 1);
my $s = ReeveServer->new(conf => "attest_tick_interval = 1s\nagent_heartbeat_interval = 2s\nagent_reconnect_window = 200ms\n");
my ($tls, $state, $web) = ("$dir/tls", "$dir/state", Ports::take());
my ($agent, $nginx_pid) = (0, 0);

sub slurp { my ($f) = @_; open my $h, '<', $f or return ''; local $/; my $t = <$h>; return defined $t ? $t : '' }
sub spew { my ($f, $t) = @_; open my $h, '>', $f or die "$f: $!"; print $h $t; close $h }
sub out { my (@cmd) = @_; open my $h, '-|', @cmd or die; local $/; my $t = <$h>; close $h; return defined $t ? $t : '' }
sub status { my $t = out('sh', '-c', "reeve-agent status --state $state 2>/dev/null"); return $t ? decode_json($t) : {} }
sub cert { my $c = (status()->{certificates} || [])->[0]; return $c || {} }
sub served { my $t = out('sh', '-c', "echo | timeout 5 openssl s_client -connect 127.0.0.1:$web 2>/dev/null | openssl x509 -noout -serial 2>/dev/null"); return $t =~ /serial=(\S+)/ ? lc $1 : '' }
sub agent_start {
    my (@more) = @_;
    $agent = fork;
    if (!$agent) {
        open STDERR, '>>', "$dir/agent.log";
        exec 'reeve-agent', '--config', "$dir/agent.conf", @more;
        die;
    }
}
sub agent_stop { return unless $agent; kill $_[0] || 'TERM', $agent; waitpid $agent, 0; $agent = 0; return $? }

$s->init->start;
$s->psql("CREATE AUTHORITY ca WITH (key_type = 'ecdsa', ttl = '1 year')");
$s->psql("CREATE CERT 'edge-tls' FROM AUTHORITY ca SUBJECT 'CN=edge.example' SANS ('edge.example') VALID FOR '30 days'");
my ($token) = $s->psql('CREATE JOIN_TOKEN WITH (uses = 10)') =~ /(reeve1\.[\w-]+)/;
ok($token, 'a join token');
spew("$dir/token", "$token\n");
spew("$dir/reload", "#!/bin/sh\n" . ($nginx ? "$nginx -p $dir -c $dir/nginx.conf -s reload\n" : "exit 0\n"));
chmod 0755, "$dir/reload";
spew("$dir/agent.conf", "state = $state\nserver = 127.0.0.1:" . $s->agent_port . "\ntoken_file = $dir/token\ntick_interval = 1 s\n"
    . "[cert edge-tls]\ndirectory = $tls\n");

my $id = out('reeve-agent', 'key', '--state', $state);
like($id, qr/^n-[0-9a-f]{32}$/, 'the identity is drawn before anything else');
is(out('reeve-agent', 'key', '--state', $state), $id, '... and stays');
like(out('reeve-agent', 'cohort', 'edge-tls', '--state', $state), qr/^\d+ \d+\.\d{6}%$/, 'its cohort is known beforehand');
is(system("reeve-agent --config $dir/agent.conf --once 2>>$dir/agent.log"), 0, '--once enrols, installs and ends');
ok(-l "$tls/current" && -s "$tls/current/$_", "$_ is installed") for qw(key.pem cert.pem ca.pem);
like(out('openssl', 'verify', '-CAfile', "$tls/current/ca.pem", "$tls/current/cert.pem"), qr/OK/, 'openssl agrees with the chain');

if ($nginx) {
    spew("$dir/nginx.conf", "worker_processes 1;\npid $dir/nginx.pid;\nerror_log $dir/nginx.log;\nevents { worker_connections 64; }\n"
        . "http { access_log off; client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/c;\n"
        . "server { listen 127.0.0.1:$web ssl; ssl_certificate $tls/current/cert.pem; ssl_certificate_key $tls/current/key.pem; return 200 ok; } }\n");
    is(system("$nginx -p $dir -c $dir/nginx.conf 2>>$dir/nginx.log"), 0, 'nginx starts with the installed files');
    ($nginx_pid) = slurp("$dir/nginx.pid") =~ /(\d+)/;
    spew("$dir/agent.conf", slurp("$dir/agent.conf") . "reload = $dir/reload\ntimeout = 5 s\nprobe = 127.0.0.1:$web/edge.example\n");
}
agent_start();
ok($s->wait_for(sub { (status()->{state} || '') eq 'FRESH' }, 'FRESH'), 'the daemon is connected and FRESH');
is(cert()->{serving}, 1, '... and serves generation 1 from its cache');
is(served(), cert()->{serial}, 'nginx presents that serial') if $nginx;

$s->psql("SET CONFIG 'http/max' = 50 IMMEDIATE");
ok($s->wait_for(sub { slurp("$state/config.json") =~ /"http\/max": 50/ }, 'config.json'), 'a config value arrives in the JSON file');
is(out('reeve-agent', 'get', 'http/max', '--state', $state), "50\n", '... and by get');

my $first = cert()->{serial};
$s->psql("ROTATE CERT 'edge-tls' IMMEDIATE");
ok($s->wait_for(sub { (cert()->{serving} || 0) == 2 && cert()->{result} eq 'done' }, 'generation 2'), 'a rotation is installed');
isnt(cert()->{serial}, $first, '... with another serial');
# A worker of before may take a connection until it has heard of the reload.
ok($s->wait_for(sub { served() eq cert()->{serial} }, 'nginx'), '... which nginx presents') if $nginx;
ok($s->wait_for(sub { $s->psql("SELECT state FROM sys.rollouts WHERE rollout_id = 1") eq 'succeeded' }, 'success'), 'the server knows');

my $second = cert()->{serial};
spew("$dir/reload", "#!/bin/sh\ntest \"\$REEVE_GENERATION\" != 3\n");
$s->psql("ROTATE CERT 'edge-tls' CANARY 100% FOR '1 s' ROLLBACK IF failed > 1% SAMPLE 1");
if ($nginx) {
    ok($s->wait_for(sub { my $c = cert(); ($c->{tried} || 0) == 3 && $c->{result} eq 'failed' || $s->psql("SELECT state FROM sys.rollouts WHERE rollout_id = 2") =~ /roll/ }, 'the failure'), 'a reload that fails is reported');
    ok($s->wait_for(sub { $s->psql("SELECT state FROM sys.rollouts WHERE rollout_id = 2") eq 'rolled_back' }, 'rolled_back'), 'the rollout rolls itself back');
    is($s->psql("SELECT error_code, error <> '' FROM sys.rollout_nodes WHERE rollout_id = 2"), 'RELOAD|t', '... and goes on saying why');
    is(readlink("$tls/current") =~ /^gen-2-/ ? 1 : 0, 1, 'the link names the generation before');
    ok($s->wait_for(sub { served() eq $second }, 'nginx'), 'nginx presents that one');
}

$s->stop;
ok($s->wait_for(sub { (status()->{state} || '') eq 'STALE' }, 'STALE'), 'without a server it says STALE');
agent_stop('KILL');
agent_start();
ok($s->wait_for(sub { (status()->{state} || '') eq 'STALE' }, 'STALE again'), 'killed and started without a server: STALE, from its cache');
is(cert()->{serving}, 2, '... still serving');
is(out('reeve-agent', 'get', 'http/max', '--state', $state), "50\n", '... and answering');
is(served(), $second, '... and nginx too') if $nginx;
$s->start;
ok($s->wait_for(sub { (status()->{state} || '') eq 'FRESH' }, 'FRESH'), 'with the server back it is FRESH');
is(agent_stop(), 0, 'SIGTERM ends it cleanly');
is(system("reeve-agent --config $dir/agent.conf --identity mtls --once 2>>$dir/agent.log"), 0, 'the same node by client certificate');
is($s->psql("SELECT count(*) FROM sys.nodes"), 1, '... is one node');
is(system("reeve-agent --state $dir/other --server 127.0.0.1:" . $s->agent_port . " --once --wait 5s 2>>$dir/agent.log") >> 8, 2, 'without a token a new node says so');
unlike(slurp("$dir/agent.log"), qr/refused a/, 'nothing was refused');
done_testing();

END {
    my $code = $?;
    kill 'KILL', $agent if $agent;
    kill 'TERM', $nginx_pid if $nginx_pid;
    $? = $code;
}
