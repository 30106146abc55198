# No private key is anywhere but in DIR/keys and in the signer: after a run that uses all kinds of them, every form of every
# key is looked for in every other file, in the memory of every other process, and in what agents were sent.
use strict;
use warnings;
no warnings 'portable';         # addresses have 64 bits
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(sleep time);
use ReeveServer;

my $lib = ($ENV{REEVE_BUILD} // 'build') . '/regress/lib';
plan skip_all => 'the test programs are not built' if !-x "$lib/keydump" || !-x "$lib/gwprobe";

my $s = ReeveServer->new(conf => "agent_heartbeat_interval = 1s\nagent_reconnect_window = 1s\nattest_tick_interval = 1s\n"
    . "log_level = debug\nlog_statement = all\nlog_connections = on\nrollout_report_timeout = 2s\nnode_late_after = 5s\n");
$s->init->start;
my ($base, $owner, $fleet_pid) = ($s->{base}, $$);
my $count = 12;

# ---- a run that uses every kind of key ----

sub fleet { ReeveServer::slurp("$base/fleet.json") =~ /"$_[0]":\s*(\d+)/ ? $1 : -1 }
sub write_text { open my $f, '>', $_[0] or die "$_[0]: $!"; print $f $_[1]; close $f }

$s->psql("CREATE AUTHORITY ca_ec WITH (key_type = 'ecdsa', ttl = '1 year')");
$s->psql("CREATE AUTHORITY ca_ed WITH (key_type = 'ed25519', ttl = '1 year')");
$s->psql('CREATE CHECKPOINT');
$s->psql('COPY HISTORY TO STDOUT');

# An authority whose certificate comes from outside: request out, chain in.
$s->psql("CREATE AUTHORITY ca_out WITH (key_type = 'ecdsa', external = true)");
my $request = $s->psql("SELECT request FROM sys.authorities WHERE name = 'ca_out' AND state = 'pending'");
like($request, qr/BEGIN CERTIFICATE REQUEST/, 'an external authority has a request');
write_text("$base/out.csr", "$request\n");
write_text("$base/ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n");
for my $cmd ("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $base/root.key -out $base/root.crt -days 3650 -subj /CN=root",
    "openssl x509 -req -in $base/out.csr -CA $base/root.crt -CAkey $base/root.key -CAcreateserial -days 300 -extfile $base/ext -out $base/out.crt") {
    system("$cmd >>$base/openssl.log 2>&1") == 0 or diag(ReeveServer::slurp("$base/openssl.log"));
}
my $chain = ReeveServer::slurp("$base/out.crt") . ReeveServer::slurp("$base/root.crt");
$s->psql("ALTER AUTHORITY ca_out SET (chain = '$chain')");
$s->psql('ALTER AUTHORITY ca_out ACTIVATE');
is($s->psql("SELECT state FROM sys.authorities WHERE name = 'ca_out'"), 'active', '... and with the chain it signs');

$s->psql("CREATE CERT 'own_ec' FROM AUTHORITY ca_ec SUBJECT 'CN=own.ec' VALID FOR '30 days'");
$s->psql("CREATE CERT 'own_out' FROM AUTHORITY ca_out SUBJECT 'CN=own.out' VALID FOR '30 days'");
$s->psql("CREATE CERT 'shared_ec' FROM AUTHORITY ca_ec SUBJECT 'CN=shared.ec' VALID FOR '30 days' WITH (shared = 'region')");
$s->psql("CREATE CERT 'shared_ed' FROM AUTHORITY ca_ed SUBJECT 'CN=shared.ed' VALID FOR '30 days' WITH (shared = 'region', key_type = 'ed25519')");
my ($token) = split /\|/, $s->psql("CREATE JOIN_TOKEN WITH (uses = 100, ttl = '1 day')");
write_text("$base/token", "$token\n");
mkdir "$base/fleet";
$fleet_pid = fork() // die;
if ($fleet_pid == 0) {
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$base/fleet.out";
    open STDERR, '>', "$base/fleet.err";
    exec 'reeve-bench', 'fleet', '--server', '127.0.0.1:' . $s->agent_port, '--token-file', "$base/token", '--count', $count,
        '--state', "$base/fleet", '--duration', 600, '--status', "$base/fleet.json", '--json' or POSIX::_exit(127);
}
sub on_current { my $n = eval { $s->psql("SELECT sum(on_current) FROM sys.certs") } // ''; return $n eq 4 * $_[0] }
ok($s->wait_for(sub { on_current($count) }, 'installs'), "$count agents serve all four certificates")
    or diag($s->psql('SELECT name, targets, on_current FROM sys.certs'), ReeveServer::slurp("$base/fleet.json"));

{
    local $ENV{GWPROBE_RECEIVED} = "$base/received";
    my $said = qx{$lib/gwprobe run @{[$s->agent_port]} $token k1 connect hello auth enroll subscribe heartbeat key=shared_ec:1 wait=KEY_REPLY key=shared_ed:1 wait=KEY_REPLY cert=own_out:1 wait=CERT_REPLY 2>&1};
    is(() = $said =~ /KEY_REPLY \S+ opens and fits/g, 2, 'another agent was sent both shared keys, and opens them') or diag($said);
    like($said, qr/CERT_REPLY/, '... and a leaf of the external authority');
}

$s->psql("ALTER SYSTEM SET log_min_messages = 'info'");
$s->psql("ROTATE CERT 'shared_ec' IMMEDIATE");
$s->psql("ROTATE CERT 'own_ec' IMMEDIATE");
ok($s->wait_for(sub { $s->psql("SELECT count(*) FROM sys.rollouts WHERE state = 'succeeded'") eq '2' }, 'rollouts', 60), 'both kinds are rotated')
    or diag($s->psql('SELECT * FROM sys.rollouts'));
my $session = $s->connect_tcp;
ok($s->wait_for(sub { $s->children('backend') }, 'a backend'), 'a session is open');

# ---- the keys, in every form ----

my (%form, @keys);
my ($code, $dump, $err) = $s->run("$lib/keydump", $s->dir);
is($code, 0, 'the keys are known') or diag($err);

# What of the base64 of bytes does not depend on what stands before or after, for each of the three places.
sub base64_forms {
    my ($bytes) = @_;
    my @forms;
    for my $before (0 .. 2) {
        my $text = encode_base64("\0" x $before . $bytes, '');
        $text =~ s/=+$//;
        push @forms, substr $text, ($before ? $before + 1 : 0), length($text) - ($before ? $before + 1 : 0) - 1;
    }
    return @forms;
}
sub key_forms {
    my ($raw) = @_;
    my $hex = unpack 'H*', $raw;
    return ($raw, $hex, uc $hex, base64_forms($raw), join(':', $hex =~ /../g));
}
for (split /\n/, $dump) {
    my ($name, $raw) = split / /;
    push @keys, $name;
    $form{$_} = $name for key_forms(pack 'H*', $raw);
}
is(scalar @keys, 5 + 3 + 3, 'seeds, authorities and shared generations: ' . join ' ', @keys);
my %first;
push @{ $first{substr $_, 0, 8} }, $_ for keys %form;
my $finder = join '|', map { quotemeta } keys %first;
$finder = qr/($finder)/;

# Names of keys that occur in a text, also in one broken into lines.
sub found_in {
    my ($text) = @_;
    my %found;
    my @views = ($text);
    push @views, $text =~ s/\s+//gr if length $text < 64 << 20;
    for my $view (@views) {
        while ($view =~ /$finder/g) {
            my $at = $-[0];
            for my $f (@{ $first{$1} }) { $found{$form{$f}} = 1 if substr($view, $at, length $f) eq $f }
            pos($view) = $at + 1;
        }
    }
    my @names = sort keys %found;
    return @names;
}

# ---- files ----

sub files_under {
    my ($dir, @except) = @_;
    my @files;
    my @todo = ($dir);
    while (my $d = shift @todo) {
        opendir my $h, $d or next;
        for my $e (sort grep { !/^\.\.?$/ } readdir $h) {
            my $p = "$d/$e";
            next if grep { $p eq $_ } @except;
            if (-d $p && !-l $p) { push @todo, $p }
            elsif (-f $p && $p !~ /liveness\.shm$/) { push @files, $p }
        }
    }
    return @files;
}
sub files_with_keys { return grep { found_in(ReeveServer::slurp($_)) } @_ }

my @files = files_under($s->dir, $s->dir . '/keys');
ok((grep { m{/data/data\.mdb$} } @files) == 2 && (grep { m{/log/reeve\.log$} } @files), scalar(@files) . ' files, the stores and the log among them');
is_deeply([files_with_keys(@files)], [], 'no key in any file outside of keys/');
is_deeply([files_with_keys("$base/received")], [], '... and none in what the agent was sent: only sealed');
cmp_ok(-s "$base/received", '>', 1000, '... which was something');
is_deeply([sort map { m{([^/]+)$} ? $1 : () } files_with_keys(files_under($s->dir . '/keys'))],
    [qw(cosign.key log.key master.key region.key validator.key)], 'in keys/ only the five seeds lie open; the rest is sealed');

# ---- memory ----

sub keys_in_memory {
    my ($pid) = @_;
    my (%found, $read);
    open my $maps, '<', "/proc/$pid/maps" or return;
    open my $mem, '<:raw', "/proc/$pid/mem" or return;
    for my $line (<$maps>) {
        my ($from, $to, $flags, $name) = $line =~ /^(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)$/ or next;
        # Files that are mapped shared were searched as files.
        next if $flags =~ /s$/ && $name =~ m{^/} || $name =~ /^\[v/;
        my ($at, $end, $tail) = (hex $from, hex $to, '');
        # What a sanitizer reserves: addresses without pages, and terabytes of its marks.
        next if $end - $at >= ($flags =~ /^-/ ? 1 << 30 : 1 << 40);
        while ($at < $end) {
            my $want = $end - $at < 1 << 20 ? $end - $at : 1 << 20;
            sysseek $mem, $at, 0;
            my $part = '';
            my $n = sysread $mem, $part, $want;
            last if !$n;
            $read += $n;
            $found{$_} = 1 for found_in($tail . $part);
            $tail = substr $part, -200;
            $at += $n;
        }
    }
    return ($read, sort keys %found);
}
my ($signer) = $s->children('signer');
my ($read, @signer_has) = keys_in_memory($signer);
for my $kind (qw(backend gateway validator ring)) {
    for my $pid ($s->children($kind)) {
        my ($bytes, @has) = keys_in_memory($pid);
        SKIP: {
            skip 'memory cannot be read here', 1 if !$bytes;
            is_deeply(\@has, [], sprintf '%s %d: none in %.1f MB of memory', $kind, $pid, $bytes / 1e6);
        }
    }
}
my ($bytes, @has) = keys_in_memory($s->pid);
SKIP: {
    skip 'memory cannot be read here', 1 if !$bytes;
    is_deeply(\@has, [], 'postmaster: none');
}

# ---- the search finds what is there ----

SKIP: {
    skip 'memory of the signer cannot be read here', 1 if !$read;
    ok((grep { $_ eq 'region.key' } @signer_has) && (grep { $_ eq 'validator.key' } @signer_has), "in the signer's memory it finds keys")
        or diag("found: @signer_has");
}
my ($line) = grep { /^authority:ca_ec:1 / } split /\n/, $dump;
my (undef, $raw, $der) = split / /, $line;
my $pem = "-----BEGIN PRIVATE KEY-----\n" . join('', map { "$_\n" } encode_base64(pack('H*', $der), '') =~ /.{1,64}/g) . "-----END PRIVATE KEY-----\n";
my %planted = (raw => 'xx' . pack('H*', $raw) . 'yy', der => pack('H*', $der), hex => "key=$raw;", upper => uc $raw,
    base64 => encode_base64(pack 'H*', $raw), pem => $pem);
for my $how (sort keys %planted) {
    write_text($s->dir . "/tmp/planted.$how", $planted{$how});
    is_deeply([files_with_keys(files_under($s->dir, $s->dir . '/keys'))], [$s->dir . "/tmp/planted.$how"], "planted as $how it is found");
    unlink $s->dir . "/tmp/planted.$how";
}
my $host = fork() // die;
if ($host == 0) { my $held = pack 'H*', $raw; sleep 1 while getppid() == $owner; POSIX::_exit(0) }
($bytes, @has) = keys_in_memory($host);
is_deeply([grep { $_ eq 'authority:ca_ec:1' } @has], ['authority:ca_ec:1'], 'planted in a memory it is found');
kill 'KILL', $host;
waitpid $host, 0;

close $session if $session;
$s->stop;
is_deeply([files_with_keys(files_under($s->dir, $s->dir . '/keys'))], [], 'and stopped, the server leaves none behind');
done_testing();

END {
    my $code = $?;
    kill 'TERM', $fleet_pid if $fleet_pid && $owner == $$;
    $? = $code;
}
