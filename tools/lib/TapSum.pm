# TapSum - prove's harness that also appends what it counted to $REEVE_TAP_SUM
#
#   PERL5LIB=tools/lib prove --harness TapSum ...
#
# One line a run: passed, failed, skipped. A program that dies, prints a wrong
# plan or nothing at all counts as one failure even if no test of it failed.
package TapSum;
use strict;
use warnings;
use parent 'TAP::Harness';

sub runtests {
    my ($self, @tests) = @_;
    my $agg = $self->SUPER::runtests(@tests);
    my ($passed, $failed, $skipped) = (0, 0, 0);
    for my $p ($agg->parsers($agg->descriptions)) {
        my $bad = () = $p->failed;
        my $skip = () = $p->skipped;
        my $good = () = $p->passed;
        $passed += $good - $skip;
        $failed += $bad ? $bad : $p->has_problems ? 1 : 0;
        $skipped += $skip;
    }
    if (defined(my $file = $ENV{REEVE_TAP_SUM})) {
        open my $h, '>>', $file or die "$file: $!\n";
        print $h "$passed $failed $skipped\n";
        close $h;
    }
    return $agg;
}

1;
