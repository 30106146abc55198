#!/usr/bin/perl
# run.t - every regress/sql/NN_topic.sql through psql against a server of its own,
# compared with regress/expected/NN_topic.out
#
#   prove regress/sql/run.t                         all topics, one subtest each
#   perl regress/sql/run.t 03 05                    only these
#   REWRITE=1 perl regress/sql/run.t [03]           writes what came out as expected: read the diff
#
# A fresh server for each file (a start takes a tenth of a second) makes numbers of
# rollouts and generations the same in every run. What differs from run to run is
# masked: columns by name (below), and times, hashes, tokens and ids in texts.
# A masked value keeps its kind: NULL stays NULL.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use ReeveServer;
use Test::More;

my $sql_dir = $FindBin::Bin;
my $expected_dir = "$sql_dir/../expected";
my %volatile = map { $_ => 1 } qw(
    version created finished started at since expires token token_id last_used updated_at not_before not_after renew_at
    issued_at leaf_hash height spki_hash chain request pid backend_start xact_start query_start state_change client_port
    root_hash state_root set_hash chain_id tree_size applied_index attested_height region_key key_id view last_seen
    digest addr enrolled_at ack_at told_at bake_until deadline p50_ms p99_ms latency_ms next_open open match_index address);

sub mask_text {
    local ($_) = @_;
    s/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d(?::?\d\d)?|Z)?/<time>/g;
    s/\b[0-9a-f]{64}\b/<hash>/g;
    s/\breeve1?:[A-Za-z0-9_:.-]{20,}/<token>/g;
    s/\b[0-9a-f]{16}\b/<id>/g;
    s/request of \d+ bytes/request of <n> bytes/g;
    s/(process|pid|session) \d+/$1 <pid>/g;
    s/(request of) \d+ bytes/$1 <n> bytes/g;
    s/"version":\d+/"version":<n>/g;
    s/\blocalhost:\d+/localhost:<port>/g;
    s/\brevision \d+/revision <n>/g;
    s/(^LINE .*\bversion = )\d+/$1<n>/gm;
    s/-----BEGIN ([A-Z ]+)-----.*?-----END \1-----/<$1>/gs;
    return $_;
}

# Tables come unaligned: a line of names, lines of values, "(n rows)".
sub mask {
    my ($text) = @_;
    my (@out, $volatile);
    my @lines = split /\n/, mask_text($text), -1;
    for my $i (0 .. $#lines) {
        my $line = $lines[$i];
        if ($line =~ /^\(\d+ rows?\)$/) {
            $volatile = undef;
        } elsif ($volatile) {
            my @v = split /\|/, $line, -1;
            @v = map { $volatile->[$_] && $v[$_] ne 'NULL' ? '*' : $v[$_] } 0 .. $#v;
            $line = join '|', @v;
        } elsif ($line =~ /^[a-z_]+(?:\|[a-z_]+)*$/ && table_follows(\@lines, $i)) {
            $volatile = [map { $volatile{$_} // 0 } split /\|/, $line];
        }
        push @out, $line;
    }
    return join "\n", @out;
}

sub table_follows {
    my ($lines, $i) = @_;
    my $bars = $lines->[$i] =~ tr/|//;
    for my $j ($i + 1 .. $#$lines) {
        return 1 if $lines->[$j] =~ /^\(\d+ rows?\)$/;
        return 0 if ($lines->[$j] =~ tr/|//) != $bars;
    }
    return 0;
}

sub diff {
    my ($want, $have) = @_;
    my $f = File::Temp->new;
    print $f $have;
    close $f;
    return scalar `diff -u $want $f 2>&1 | head -60`;
}

sub run_topic {
    my ($topic) = @_;
    # Long texts of settings that some topics need; none changes what a statement means.
    my $s = ReeveServer->new(conf => "rollout_prepare_window = 200ms\n")->init->start;
    # The region attests itself at its first start, soon after the server answers.
    $s->wait_for(sub { $s->psql('SELECT count(*) FROM sys.regions') eq '1' }, 'the region is attested');
    local $ENV{PGPASSWORD} = $ReeveServer::PASSWORD;
    local $ENV{PGUSER} = 'admin';
    local $ENV{PGDATABASE} = 'reeve';
    local ($ENV{PGHOST}, $ENV{PGPORT}) = ('127.0.0.1', $s->port);
    my $out = "$s->{base}/out";
    system "timeout 60 psql -X -a -q -A -P null=NULL -v VERBOSITY=verbose <'$sql_dir/$topic.sql' >'$out' 2>&1";
    my $have = mask(ReeveServer::slurp($out));
    my $want = "$expected_dir/$topic.out";
    if ($ENV{REWRITE}) {
        open my $f, '>', $want or die "$want: $!";
        print $f $have;
        close $f;
    }
    ok($have eq ReeveServer::slurp($want), "$topic answers as expected") or diag(diff($want, $have));
    unlike($have, qr/XX000|server closed the connection/, 'no internal error');
    my $log = $s->log;
    unlike($log, qr/ended by signal|assertion|open sesame|hunter2/, 'the log is quiet, and without secrets');
    ok($s->stop, 'the server stops');
}

my @topics = sort map { m{([^/]+)\.sql$} } glob "$sql_dir/[0-9][0-9]_*.sql";
@topics = grep { my $t = $_; grep { index($t, $_) == 0 } @ARGV } @topics if @ARGV;
plan tests => scalar @topics;
for my $topic (@topics) {
    subtest $topic => sub { run_topic($topic) };
}
