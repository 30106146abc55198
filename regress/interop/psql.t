#!/usr/bin/perl
# psql.t - psql 15 against a real server: log-in, TLS, errors, transactions, cursors
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SqlServer;
use Test::More;

my $s = SqlServer->new(conf => "log_connections = on\nidle_session_timeout = 0\n");
my ($rc, $out);

# says NAME, SQL, PATTERN, options: psql succeeds and prints
sub says { my ($name, $sql, $re, %o) = @_; ($rc, $out) = $s->psql($sql, %o); ok($rc == 0 && $out =~ $re, $name) or diag "rc $rc: $out" }
# fails NAME, SQL, PATTERN: psql fails and says why
sub fails { my ($name, $sql, $re, %o) = @_; ($rc, $out) = $s->psql($sql, %o); ok($rc != 0 && $out =~ $re, $name) or diag "rc $rc: $out" }

says('log-in with TLS by default', 'SELECT 1', qr/^1$/);
says('channel binding required and met', 'SELECT 1', qr/^1$/, channel_binding => 'require');
says('TLS is optional on loopback', 'SELECT 1', qr/^1$/, sslmode => 'disable');
says('verify-ca against the listener\'s own certificate', 'SELECT 1', qr/^1$/, sslmode => 'verify-ca', sslrootcert => "$s->{dir}/tls/server.crt");
says('the local socket asks a password too', 'SELECT 1', qr/^1$/, host => $s->{dir});
fails('a wrong password', 'SELECT 1', qr/FATAL:  password authentication failed for user "ann"/, password => 'wrong');
fails('an unknown role fails alike', 'SELECT 1', qr/FATAL:  password authentication failed for user "nobody"/, user => 'nobody');
fails('another database', 'SELECT 1', qr/FATAL:  database "postgres" does not exist\nHINT:/, dbname => 'postgres');
fails('an unknown setting in the start-up packet', 'SELECT 1', qr/unrecognized configuration parameter "nosuch"/, options => "'-c nosuch=1'");
says('settings from the start-up packet', 'SHOW statement_timeout', qr/^7s$/, options => "'-c statement_timeout=7s'");

fails('a syntax error has position and hint', 'SELEC 1', qr/ERROR:  syntax error.*\nLINE 1: SELEC 1\n        \^\nHINT:/s);
fails('an unknown relation', 'SELECT * FROM nowhere', qr/relation "nowhere" does not exist\nLINE 1:/);
says('a string of statements is one transaction', "SET application_name = 'x'; SELECT 1; SHOW application_name", qr/^1\nx$/m);
fails('and its error undoes all of it', "SET CONFIG 'interop/a' = 1; SELECT 1/0", qr/division by zero/);
says('nothing of it remained', "SELECT count(*) FROM sys.config WHERE key = 'interop/a'", qr/^0$/);
says('BEGIN, change, ROLLBACK', ['BEGIN', "SET CONFIG 'interop/b' = 1", 'ROLLBACK', "SELECT count(*) FROM sys.config WHERE key = 'interop/b'"], qr/^0$/m);
says('BEGIN, change, COMMIT', ['BEGIN', "SET CONFIG 'interop/b' = 1", 'COMMIT', "SELECT value FROM sys.config WHERE key = 'interop/b'"], qr/^1$/m);
says('ROLLBACK outside warns and points to rollouts', 'ROLLBACK', qr/WARNING:  there is no transaction in progress\nHINT:  To undo a rollout use ROLLBACK ROLLOUT/);
says('FETCH_COUNT reads through a cursor', 'SELECT * FROM (VALUES (1),(2),(3),(4),(5)) v(n)', qr/^1\n2\n3\n4\n5$/m, args => ['-XqAt', '-v', 'FETCH_COUNT=2']);
says('PREPARE and EXECUTE', ["PREPARE p (int8) AS SELECT \$1 + 1", 'EXECUTE p (41)'], qr/^42$/m);
says('COPY to stdout', "COPY (SELECT * FROM (VALUES (1, 'a,b'), (2, NULL)) v(n, t)) TO STDOUT WITH (FORMAT csv, HEADER true)", qr/^n,t\n1,"a,b"\n2,$/m);
says('EXPLAIN, SHOW and sys relations', 'SHOW ROLES', qr/^ann\|t\|t/m);
fails('a statement that takes too long', ["SET statement_timeout = '200ms'", 'SELECT count(*) FROM sys.settings a, sys.settings b, sys.settings c, sys.settings d'], qr/canceling statement due to statement timeout/);

# roles
says('a role with a password', "CREATE ROLE bob LOGIN PASSWORD 'the secret'", qr/^$/);
says('logs in', 'SELECT current_user', qr/^bob$/, user => 'bob', password => "'the secret'");
fails('and may not change what it was not granted', "SET CONFIG 'interop/b' = 2", qr/permission denied for config "interop\/b"/, user => 'bob', password => "'the secret'");
says('after a grant', "GRANT CONFIGURE ON SYSTEM TO bob", qr/^$/);
says('it may', "SET CONFIG 'interop/b' = 2", qr//, user => 'bob', password => "'the secret'");
says('without log-in right', 'ALTER ROLE bob NOLOGIN', qr/^$/);
fails('it is refused like a wrong password', 'SELECT 1', qr/password authentication failed/, user => 'bob', password => "'the secret'");
unlike($s->log, qr/the secret/, 'no password in the log');
like($s->log, qr/connection authorized: user=ann method=scram-sha-256 tls=TLSv1\.3/, 'log-ins are logged when asked for');

done_testing();
