# MirrorTree - a mirror of a log that no server ever had (C2SP tlog-tiles), written from the specification in plain Perl
#
#   my $m = MirrorTree->new(4, 3);             # witnesses, how many of them suffice
#   $m->policy                                 # its text
#   $m->write($dir, \@leaves, time => ..)      # checkpoint and tiles; those of other sizes stay
package MirrorTree;
use strict;
use warnings;
use Digest::SHA qw(sha256);
use File::Path qw(make_path);
use MIME::Base64 qw(encode_base64);
use NoteSigner;

sub new {
    my ($class, $n, $k) = @_;
    my $origin = 'reeve/' . 'ab' x 32;
    return bless { log => NoteSigner->new($origin), k => $k, origin => $origin,
                   w => [map { NoteSigner->new("$origin/v$_", 4) } 1 .. $n] }, $class;
}

sub policy {
    my ($self) = @_;
    my @w = @{$self->{w}};
    return join '', 'log ', $self->{log}->vkey, "\n", (map { "witness v$_ " . $w[$_ - 1]->vkey . "\n" } 1 .. @w),
        "group all $self->{k} ", join(' ', map { "v$_" } 1 .. @w), "\nquorum all\n";
}

# RFC 6962, by its recursive definition.
sub root {
    my (@h) = @_;
    return sha256('') if !@h;
    return $h[0] if @h == 1;
    my $k = 1;
    $k *= 2 while $k * 2 < @h;
    return sha256("\x01" . root(@h[0 .. $k - 1]) . root(@h[$k .. $#h]));
}

sub checkpoint {
    my ($self, $leaves, %o) = @_;
    my @signers = @{$o{by} // $self->{w}};
    my $text = join '', $self->{origin}, "\n", scalar @$leaves, "\n", encode_base64($o{root} // root(map { sha256("\0$_") } @$leaves), ''), "\n";
    return "$text\n" . $self->{log}->line($text) . join '', map { $_->line($text, $o{time} // time) } @signers;
}

sub name {
    my ($level, $n, $width) = @_;
    my @groups = reverse map { my $g = $n % 1000; $n = int($n / 1000); sprintf '%03d', $g } 1 .. ($n > 999999 ? 3 : $n > 999 ? 2 : 1);
    return "tile/$level/" . join('/', map({ "x$_" } @groups[0 .. $#groups - 1]), $groups[-1]) . ($width < 256 ? ".p/$width" : '');
}

sub put {
    my ($path, $bytes) = @_;
    make_path($path =~ s{/[^/]*$}{}r);
    open my $f, '>:raw', $path or die "$path: $!";
    print $f $bytes;
    close $f;
}

sub tiles {
    my ($dir, $level, $make, @items) = @_;
    for (my $n = 0; $n * 256 < @items; $n++) {
        my $to = $n * 256 + 255 < $#items ? $n * 256 + 255 : $#items;
        put("$dir/" . name($level, $n, $to - $n * 256 + 1), join '', map { $make->($_) } @items[$n * 256 .. $to]);
    }
}

sub write {
    my ($self, $dir, $leaves, %o) = @_;
    tiles($dir, 'entries', sub { pack('n/a*', $_[0]) }, @$leaves);
    my @nodes = map { sha256("\0$_") } @$leaves;
    for (my $level = 0; @nodes; $level++) {
        tiles($dir, $level, sub { $_[0] }, @nodes);
        @nodes = map { root(@nodes[$_ * 256 .. $_ * 256 + 255]) } 0 .. int(@nodes / 256) - 1;
    }
    put("$dir/checkpoint", $self->checkpoint($leaves, %o));
}

1;
