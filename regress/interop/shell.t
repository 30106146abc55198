#!/usr/bin/perl
# shell.t - reeve, in scripts and at a terminal, against a server with four agents
use strict;
use warnings;
use utf8;
use JSON::PP;
use Test::More;
use lib 'regress/lib';
use ReeveServer;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
my $s = ReeveServer->new(conf => "rollout_prepare_window = 100ms\n");
$s->init->start;
@ENV{qw(PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD)} = ('127.0.0.1', $s->port, 'admin', 'reeve', $ReeveServer::PASSWORD);
@ENV{qw(REEVE_HISTORY TERM)} = ("$s->{base}/history", 'xterm');
delete @ENV{qw(NO_COLOR PGSERVICE)};

sub reeve { return $s->run('reeve', @_) }

sub file {
    my ($name, $text) = @_;
    open my $f, '>:encoding(UTF-8)', "$s->{base}/$name" or die $!;
    print $f $text;
    close $f;
    return "$s->{base}/$name";
}

# Steps at a terminal: exit code, and what was on the screen.
sub terminal {
    my ($columns, $steps, @args) = @_;
    my $in = file('steps', join '', map { encode_json($_) . "\n" } @$steps);
    my ($code, $out, $err) = $s->run('sh', '-c', 'exec /usr/bin/python3 regress/interop/terminal.py "$@" <' . $in,
        'sh', $columns, 'reeve', @args);
    diag($err, $out) if $code == 99;
    return ($code, $out);
}
my $prompt = [ expect => 'reeve=> ' ];

subtest 'statements by -c' => sub {
    my ($code, $out, $err) = reeve('-c', 'SELECT 1 AS one', '-c', "SELECT 'a;b' AS two; SELECT E'it\\'s' AS three");
    is($code, 0, 'exit code 0');
    like($out, qr/^ one\n-----\n   1\n\(1 row\)$/m, 'a table');
    like($out, qr/ a;b\n.* it's\n/s, 'a semicolon in a string ends nothing');
    ($code, $out, $err) = reeve('-c', 'SELEC 1', '-c', 'SELECT 2');
    is($code, 1, 'an error: exit code 1');
    is($out, '', 'what follows is not run');
    like($err, qr/^ERROR:  .*\[42601\]\nLINE 1: SELEC 1\n        \^\nHINT: /, 'the error has its SQLSTATE, its place and a hint');
    ($code, $out) = reeve('--keep-going', '-c', 'SELEC 1', '-c', 'SELECT 2 AS two');
    is($code, 1, '--keep-going: still exit code 1');
    like($out, qr/two/, 'but the rest is run');
};

subtest 'statements from files and pipes' => sub {
    my $f = file('a.sql', "-- a comment; with a semicolon\nSELECT\n  1 AS one\n;\nSELECT \$\$x;\ny\$\$ AS two; /* a /* b; */ c */\n"
        . "SELECT 'back\\slash' AS three;\n\\t on\nSELECT 4 AS four");
    my ($code, $out, $err) = reeve('-f', $f);
    is($code, 0, 'a file runs') or diag($err);
    like($out, qr/one.*x;\n y.*back\\slash.*\n +4\n/s, 'statements of many lines, quotes, comments, a last one without semicolon');
    ($code, $out) = $s->run('sh', '-c', "reeve -f - <$f");
    is($code, 0, '-f - reads standard input');
    ($code, $out) = $s->run('sh', '-c', "reeve <$f");
    is($code, 0, 'so does a pipe');
    like($out, qr/one/, 'with results');
    unlike($out, qr/reeve=>|\x1b/, 'without prompt or colour');
    ($code, $out, $err) = reeve('-f', "$s->{base}/none");
    is($code, 1, 'a file that is not there: exit code 1');
    like($err, qr/No such file/, 'and why');
    ($code, $out, $err) = reeve('-f', file('b.sql', "SELECT 1;\n\n  SELECT\n  nothing;\nSELECT 3 AS three;\n"));
    is($code, 1, 'an error in a file: exit code 1');
    like($err, qr/LINE 2:   nothing/, 'the line is counted within the statement');
    unlike($out, qr/three/, 'the rest is not run');
};

subtest 'forms of results' => sub {
    my $sql = "SELECT 1 AS n, 'a\"b,c' AS t, NULL AS z, true AS b";
    my ($code, $out) = reeve('--csv', '-c', $sql);
    is($out, "n,t,z,b\n1,\"a\"\"b,c\",,t\n", 'CSV');
    ($code, $out) = reeve('--json', '-c', $sql);
    is_deeply(decode_json($out), { n => 1, t => 'a"b,c', z => undef, b => JSON::PP::true }, 'JSON, one object a line');
    ($code, $out) = reeve('--json', '-c', "SELECT E'\\x01\\n' AS c");
    is_deeply(decode_json($out), { c => "\x01\n" }, 'JSON escapes control characters');
    ($code, $out) = reeve('--text', '-c', $sql);
    is($out, "1|a\"b,c||t\n", 'text');
    ($code, $out) = reeve('-x', '-c', $sql);
    like($out, qr/^-\[ 1 \]\nn \| 1\nt \| a"b,c\nz \|\nb \| t$/m, 'one column a line');
    ($code, $out) = reeve('-t', '-c', "SELECT E'\\x1b[31mred' AS c");
    is($out, " \\x1b[31mred\n", 'control characters in data never reach the terminal');
};

subtest 'connections' => sub {
    local $ENV{PGPORT} = Ports::take();
    my ($code, $out, $err) = reeve('-c', 'SELECT 1');
    is($code, 2, 'nobody there: exit code 2');
    like($err, qr/^reeve: .*refused/, 'and why');
    local @ENV{qw(PGPORT PGPASSWORD)} = ($s->port, 'wrong');
    ($code, $out, $err) = reeve('-c', 'SELECT 1');
    is($code, 2, 'a wrong password: exit code 2');
    like($err, qr/password authentication failed/, 'and why');
    ($code, $out, $err) = reeve('--colour');
    is($code, 1, 'an unknown option: exit code 1');
    like($err, qr/--help/, 'with a pointer');
    is((reeve('--help'))[0], 0, '--help: exit code 0');
};

subtest 'backslash commands' => sub {
    my ($code, $out, $err) = reeve('-c', '\h rotate cert');
    like($out, qr/^ROTATE CERT - .*\n\n    ROTATE CERT name/, '\h tells how a statement is written');
    ($code, $out, $err) = reeve('-c', '\h nonsense');
    is($code, 1, '\h of nothing: exit code 1');
    ($code, $out) = reeve('-c', '\h');
    cmp_ok((sort { $b <=> $a } map { length } split /\n/, $out)[0], '<=', 80, '\h fits into 80 columns');
    ($code, $out) = reeve('-c', '\d sys.certs');
    like($out, qr/ name +\| text\n authority +\| text\n generation +\| int4/, '\d shows the columns of a relation');
    is((reeve('-c', '\d nothing'))[0], 1, '\d of nothing: exit code 1');
    ($code, $out, $err) = reeve('-c', '\nonsense');
    is($code, 1, 'an unknown command: exit code 1');
    ($code, $out) = reeve('-c', "SELECT 7 AS seven \\g");
    like($out, qr/seven/, '\g runs what stands before it');
    for my $bad ('x', '0', '-1', '1x', '1e9', 'nan') {
        ($code, $out, $err) = reeve('-c', "SELECT 1 \\watch $bad");
        is($code, 1, "\\watch $bad: exit code 1");
        like($err, qr/0\.1 to 86400/, 'and what it takes');
    }
    like((reeve('-c', '\watch'))[2], qr/there is none/, '\watch of nothing says so');
};

subtest '\watch ends with Ctrl-C' => sub {
    my $out = "$s->{base}/watch";
    my $pid = fork() // die;
    if ($pid == 0) {
        open STDOUT, '>', $out;
        open STDIN, '<', '/dev/null';
        exec 'reeve', '-c', 'SELECT 42 AS answer \watch 0.1' or POSIX::_exit(127);
    }
    ok($s->wait_for(sub { (() = ReeveServer::slurp($out) =~ /answer/g) >= 3 }, 'three rounds'), 'it repeats');
    kill 'INT', $pid;
    waitpid $pid, 0;
    is($? & 127, 0, 'it ends in good order');
};

subtest 'at a terminal' => sub {
    my ($code, $out) = terminal(80, [ $prompt, [ send => "select 1 as\n" ], [ expect => 'reeve-> ' ], [ send => "one;\n" ],
        [ expect => '\(1 row\)' ], $prompt, [ send => "select 'half" ], [ send => "\n" ], [ expect => 'reeve-> ' ], [ send => "\x03" ], $prompt,
        [ send => "select 5 as five;\n" ], [ expect => 'five' ], $prompt, [ send => "nonsense;\n" ], [ expect => 'ERROR' ], $prompt,
        [ send => "alter role admin password 'open sesame';\n" ], [ expect => 'ALTER ROLE' ], $prompt,
        [ send => "BEGIN;\n" ], [ expect => 'reeve\*> ' ], [ send => "nonsense;\n" ], [ expect => 'reeve!> ' ], [ send => "ROLLBACK;\n" ], $prompt,
        [ send => "\\q\n" ], ['gone'] ]);
    is($code, 0, 'statements over lines, Ctrl-C drops a half one, the prompt shows the transaction');
    like($out, qr/\x1b\[31mERROR:/, 'errors are red');
    my $history = ReeveServer::slurp($ENV{REEVE_HISTORY});
    like($history, qr/^select 1 as\x01one;$/m, 'history keeps a statement of two lines as one entry');
    unlike($history, qr/open sesame/, 'and no passwords');
    is((stat $ENV{REEVE_HISTORY})[2] & 0777, 0600, 'for its owner alone');
    ($code, $out) = terminal(80, [ $prompt, [ send => "\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A" ], [ expect => 'as' ], [ send => "\n" ],
        [ expect => '\(1 row\)' ], $prompt, [ send => "\x04" ], ['gone'] ]);
    is($code, 0, 'and brings it back as one; Ctrl-D ends the shell');
    local $ENV{NO_COLOR} = 1;
    ($code, $out) = terminal(80, [ $prompt, [ send => "nonsense;\n" ], [ expect => 'ERROR' ], $prompt, [ send => "exit\n" ], ['gone'] ]);
    is($code, 0, 'exit ends it');
    unlike($out, qr/\x1b\[\d*(;\d+)*m/, 'NO_COLOR: no colour');
};

my $token = (split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = 4)"))[0];
$s->psql($_) for "CREATE AUTHORITY ca WITH (key_type = 'ecdsa-p256')",
    "CREATE CERT 'edge-tls' FROM AUTHORITY ca SUBJECT 'CN=e' SANS ('e.example')";
my $fleet = fork() // die;
if ($fleet == 0) {
    open STDOUT, '>', "$s->{base}/fleet.log";
    open STDERR, '>&', \*STDOUT;
    exec 'reeve-bench', 'fleet', '--server', '127.0.0.1:' . $s->agent_port, '--token', $token, '--count', 4 or POSIX::_exit(127);
}

subtest 'completion' => sub {
    my ($code, $out) = terminal(80, [ $prompt, [ send => "rot\t" ], [ expect => 'rotate ' ], [ send => "c\t" ], [ expect => 'cert ' ], [ send => "ed\t" ],
        [ expect => "'edge-tls'" ], [ send => "\x03" ], $prompt,
        [ send => "SELECT * FROM sys.cha\t" ], [ expect => 'sys\.chain ' ], [ send => "WHERE hei\t" ], [ expect => 'height' ], [ send => "\x03" ], $prompt,
        [ send => "SHOW statement_ti\t" ], [ expect => 'statement_timeout' ], [ send => "\x03" ], $prompt,
        [ send => "CREATE AU\t" ], [ expect => 'AUTHORITY' ], [ send => "\x03" ], $prompt, [ send => "\\wat\t" ], [ expect => 'watch ' ],
        [ send => "\x03" ], $prompt, [ send => "\\q\n" ], ['gone'] ]);
    is($code, 0, 'words of statements, names of objects, relations, columns, settings, commands');
};

subtest 'rollouts' => sub {
    ok($s->wait_for(sub { $s->psql("SELECT on_current FROM sys.certs") == 4 }, 'four agents'), 'four agents serve generation 1');
    my ($code, $out, $err) = reeve('--follow', '-c', "ROTATE CERT 'edge-tls' CANARY 1 NODES FOR '0 s' THEN 100%");
    is($code, 0, 'followed to its success: exit code 0') or diag($out, $err);
    like($out, qr/succeeded.* 4 of 4 nodes/, 'with a view of it');
    unlike($out, qr/\x1b/, 'a pipe gets no escapes');
    ($code, $out) = reeve('--json', '--follow', '-c', "ROTATE CERT 'edge-tls' IMMEDIATE");
    is(decode_json($out)->{state}, 'succeeded', 'with --json the last row alone');

    my @begin = ($prompt, [ send => "ROTATE CERT 'edge-tls' CANARY 1 NODES THEN 100% MANUAL;\n" ],
        [ expect => 'baking' ], [ expect => '1 done' ]);
    ($code, $out) = terminal(80, [ @begin, [ send => "\x03" ], [ expect => 'goes on' ], $prompt, [ send => "WAIT FOR ROLLOUT 3;\n" ],
        [ expect => 'NOTICE' ], [ send => "\x03" ], [ expect => 'cancel' ], $prompt, [ send => "\\q\n" ], ['gone'] ]);
    is($code, 0, 'typed: shown live; Ctrl-C leaves the view, and cancels a statement');
    utf8::decode($out);
    like($out, qr/█/, 'bars');
    $out =~ s/\x1b\[[0-9;?]*[A-Za-z]//g;
    my @waves = grep { /^ +\d+ .*\d left \w+$/ } split /\r*\n/, $out;
    cmp_ok(scalar @waves, '>=', 2, 'a line a wave');
    is((grep { length > 80 } @waves), 0, 'in 80 columns');
    is($s->psql("SELECT state FROM sys.rollouts WHERE rollout_id = 3"), 'baking', 'the rollout did go on');
    reeve('-c', 'CANCEL ROLLOUT 3');
    is((reeve('-c', '\rollout 3'))[0], 3, 'a followed rollout that did not succeed: exit code 3');
    is((reeve('-c', 'WAIT FOR ROLLOUT 3'))[0], 3, 'so does one that was waited for');
    is((reeve('-c', '\rollout 99'))[0], 1, 'one that is not there: exit code 1');

    ($code, $out) = terminal(80, [ $prompt, [ send => "ROTATE CERT 'edge-tls' CANARY 2 NODES THEN 100% MANUAL;\n" ], [ expect => 'baking' ],
        [ send => "\x03" ], $prompt, [ send => "ROLLBACK ROLLOUT 4;\n" ], [ expect => 'rolled_back' ], $prompt, [ send => "\\q\n" ], ['gone'] ]);
    is($code, 0, 'a rollback is followed live, too');
    utf8::decode($out);
    $out =~ s/\x1b\[[0-9;?]*[A-Za-z]//g;
    my @last = (grep { /^ +\d+ .* done / } split /\r*\n/, $out)[-2, -1];
    like($last[0], qr/<<.* 0 done    0 failed    0 silent      2 reverted$/, 'nodes that went back are named reverted') or diag($out);
    like($last[1], qr/ 2 left skipped$/, 'those that were never asked are left');
    is((grep { length > 80 } @last), 0, 'in 80 columns');

    my $cancel = sub { $s->psql('CANCEL ROLLOUT ' . $s->psql('SELECT max(rollout_id) FROM sys.rollouts')) };
    my @rotate = ('-c', "ROTATE CERT 'edge-tls' CANARY 2 NODES FOR '1 h' THEN 100%");
    ($code, $out, $err) = reeve('-c', 'SET canary_warn_nodes = 1', @rotate);
    is($err, "WARNING:  the first wave takes 2 nodes; CANARY n NODES starts smaller\n", 'a canary of many nodes is allowed, with a warning');
    $cancel->();
    ($code, $out, $err) = reeve('-c', 'SET canary_warn_nodes = 2', @rotate);
    is($err, '', 'one at the limit is not warned of');
    $cancel->();
    ($code, $out, $err) = reeve('-c', 'SET canary_warn_nodes = 0', @rotate);
    is($err, '', '0: never');
    $cancel->();

    ($code, $out, $err) = reeve('-c', "SET CONFIG 'shell/key' = 1");
    is($out, "SET CONFIG\n", 'a plain SET CONFIG answers with its tag');
    like($err, qr/^NOTICE:  config key "shell\/key" is set for every node at once, without a rollout: revision \d+$/m, 'and says what it did');
};

kill 'TERM', $fleet;
waitpid $fleet, 0;
ok($s->stop, 'the server stops');
done_testing();
