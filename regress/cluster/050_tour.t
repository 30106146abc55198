#!/usr/bin/perl
# 050_tour.t - the tour of README.md, command by command, as a reader would type it
#
# The blocks marked ```sh tour run in order in one shell, in a folder of their
# own. Only two things are replaced: the folder /tmp/tour, and the ports 7432,
# 7433 and 7434 by free ones. A block ends with exit code 0, or it failed; so
# does each command in it (set -e). The block ```text shows that follows lists
# lines that must appear, in this order, in what the block printed: blanks do
# not matter, … stands for anything, and a line may be part of a longer one.
use strict;
use warnings;
use utf8;
use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use Test::More;
use lib 'regress/lib';
use ReeveServer;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);

my $top = abs_path($ENV{REEVE_TOP} // '.');
my $bin = abs_path($ENV{REEVE_BUILD} // 'build') . '/bin';
my $folder = tempdir('tour-XXXXXX', TMPDIR => 1, CLEANUP => 1) . '/t';
my %port = map { $_ => Ports::take() } 7432, 7433, 7434;

sub slurp { open my $f, '<:encoding(UTF-8)', $_[0] or return ''; local $/; return scalar(<$f>) // '' }
sub spit { open my $f, '>:encoding(UTF-8)', $_[0] or die "$_[0]: $!"; print $f $_[1]; close $f }

# As README says it, for this run.
sub here {
    my ($text) = @_;
    $text =~ s{/tmp/tour\b}{$folder}g;
    $text =~ s/\b(743[234])\b/$port{$1}/g;
    $text =~ s{\$PWD/build/bin}{$bin}g;
    return $text;
}

# [commands, lines that must show]
sub blocks {
    my @found;
    my $text = slurp("$top/README.md");
    while ($text =~ /^```(sh tour|text shows)\n(.*?)^```$/gms) {
        if ($1 eq 'sh tour') { push @found, [ here($2), [] ] }
        else { $found[-1][1] = [ grep { /\S/ } split /\n/, here($2) ] }
    }
    return @found;
}

sub pattern {
    my ($line) = @_;
    $line =~ s/^\s+|\s+$//g;
    return join '\s*', map { join '.*', map { quotemeta } split /…/, $_, -1 } split /\s+/, $line;
}

sub shows {
    my ($output, $wanted, $what) = @_;
    my @lines = split /\n/, $output;
    for my $want (@$wanted) {
        my $re = pattern($want);
        shift @lines while @lines && $lines[0] !~ /$re/;
        return ok(@lines > 0, "$what shows: $want") || diag($output) if !@lines;
        shift @lines;
    }
    pass("$what shows what README says") if @$wanted;
}

my @blocks = blocks();
cmp_ok(scalar @blocks, '>=', 10, 'README has a tour');

# One shell for all of it; what each block printed, and its exit code, go to files.
my $script = "set -e\n";
for my $i (0 .. $#blocks) {
    spit("$folder.$i.sh", $blocks[$i][0]);
    $script .= ". $folder.$i.sh >$folder.$i.out 2>&1 </dev/null\necho 0 >$folder.$i.rc\n";
}
spit("$folder.sh", $script);
{
    local %ENV = (map({ exists $ENV{$_} ? ($_ => $ENV{$_}) : () } qw(HOME LANG LC_ALL TMPDIR ASAN_OPTIONS UBSAN_OPTIONS)),
        PATH => '/usr/local/bin:/usr/bin:/bin:/usr/sbin');
    chdir $top;
    system 'timeout', '-k', '5', '240', 'bash', "$folder.sh";
}

for my $i (0 .. $#blocks) {
    my ($first) = $blocks[$i][0] =~ /^(.{0,60})/;
    my $output = slurp("$folder.$i.out");
    ok(-e "$folder.$i.rc", "block " . ($i + 1) . " runs: $first") or diag($output), last;
    shows($output, $blocks[$i][1], 'block ' . ($i + 1));
}

# Whatever happened, nothing of it goes on.
END {
    local $?;
    my ($pid) = slurp("$folder/home/reeve.pid") =~ /^(\d+)/;
    system "$bin/reeve-ctl", 'stop', '-D', "$folder/home", '-m', 'immediate' if $pid && ReeveServer::alive($pid);
    for my $p (map { m{/(\d+)$} ? $1 : () } glob '/proc/[0-9]*') {
        my $cwd = readlink("/proc/$p/cwd") // next;
        kill 'TERM', $p if $cwd eq $folder && slurp("/proc/$p/comm") =~ /^reeve-(bench|agent)/;
    }
}
done_testing();
