# NoteSigner - people with Ed25519 keys who sign notes: openssl and Perl's own SHA-256, nothing of ours
#
#   my $anna = NoteSigner->new('security/anna');
#   $anna->vkey;                   # name+hash+base64(01 key)
#   $anna->note($text);            # the whole note
#   $anna->line($text);            # its signature line alone
#   my $w = NoteSigner->new('v1', 4);
#   $w->line($checkpoint, $time)   # a witness's cosignature/v1
package NoteSigner;
use strict;
use warnings;
use Digest::SHA qw(sha256);
use File::Temp qw(tempdir);
use MIME::Base64 qw(encode_base64);

my $dir = tempdir('reeve-notes-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $n = 0;

sub new {
    my ($class, $name, $type) = @_;
    $type = chr($type // 1);
    my $file = "$dir/" . ++$n;
    system('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', "$file.pem") == 0 or die "openssl genpkey";
    system('openssl', 'pkey', '-in', "$file.pem", '-pubout', '-outform', 'DER', '-out', "$file.der") == 0 or die "openssl pkey";
    my $key = substr slurp("$file.der"), -32;
    return bless { name => $name, file => $file, key => $key, type => $type, id => substr(sha256("$name\n$type$key"), 0, 4) }, $class;
}

sub name { $_[0]{name} }

sub vkey {
    my ($self) = @_;
    return join '+', $self->{name}, unpack('H*', $self->{id}), encode_base64("$self->{type}$self->{key}", '');
}

sub line {
    my ($self, $text, $time) = @_;
    my $stamp = $self->{type} eq "\x04" ? pack('Q>', $time //= time) : '';
    open my $f, '>', "$self->{file}.txt" or die $!;
    print $f $stamp ne '' ? "cosignature/v1\ntime $time\n" : '', $text;
    close $f;
    system('openssl', 'pkeyutl', '-sign', '-rawin', '-inkey', "$self->{file}.pem", '-in', "$self->{file}.txt", '-out', "$self->{file}.sig") == 0
        or die "openssl pkeyutl";
    return "\xe2\x80\x94 $self->{name} " . encode_base64($self->{id} . $stamp . slurp("$self->{file}.sig"), '') . "\n";
}

sub note { "$_[1]\n" . $_[0]->line($_[1]) }

sub slurp {
    my ($path) = @_;
    open my $f, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$f>;
}

1;
