# Token.pm - SoftHSM tokens of a test's own (Debian's softhsm2): a folder, a PIN's file, URIs
#
#   my $t = Token->new("$base/hsm");       # SOFTHSM2_CONF is set for this process and what it starts
#   $t->make('anna', '4321');
#   $t->uri('anna', 'key')                 # pkcs11:token=anna;object=key?module-path=...&pin-source=...
package Token;
use strict;
use warnings;

our ($MODULE) = grep { -e } '/usr/lib/softhsm/libsofthsm2.so', glob '/usr/lib/*/softhsm/libsofthsm2.so';

sub new {
    my ($class, $dir) = @_;
    die "softhsm2 is not installed\n" if !$MODULE;
    mkdir $dir;
    mkdir "$dir/tokens";
    my $self = bless { dir => $dir }, $class;
    $self->put('softhsm.conf', "directories.tokendir = $dir/tokens\nobjectstore.backend = file\nlog.level = ERROR\n");
    $ENV{SOFTHSM2_CONF} = "$dir/softhsm.conf";
    # SoftHSM forgets the curve's name in OpenSSL's memory for each key it looks at; sanitized programs would end with its leak.
    $self->put('leaks', "leak:libcrypto.so\n");
    $ENV{LSAN_OPTIONS} = "suppressions=$dir/leaks:print_suppressions=0";
    return $self;
}

sub put {
    my ($self, $name, $text) = @_;
    open my $f, '>', "$self->{dir}/$name" or die "$name: $!";
    chmod 0600, "$self->{dir}/$name";
    print $f $text;
    close $f;
    return "$self->{dir}/$name";
}

sub make {
    my ($self, $label, $pin) = @_;
    system("softhsm2-util --init-token --free --label '$label' --so-pin 87654321 --pin '$pin' > '$self->{dir}/made' 2>&1") == 0
        or die "softhsm2-util: " . do { local (@ARGV, $/) = "$self->{dir}/made"; <> };
    $self->put("$label.pin", "$pin\n");
    return $self;
}

sub pin_file { my ($self, $label) = @_; return "$self->{dir}/$label.pin" }

sub uri {
    my ($self, $label, $object, %o) = @_;
    my ($module, $pin) = ($o{module} // $MODULE, $o{pin} // $self->pin_file($label));
    return "pkcs11:token=$label" . (defined $object ? ";object=$object" : '') . "?module-path=$module&pin-source=$pin";
}

1;
