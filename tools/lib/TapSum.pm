# TapSum - prove's harness that also appends what it counted to $REEVE_TAP_SUM
#
#   PERL5LIB=tools/lib prove --harness TapSum ...
#
# One line a run: passed, failed, skipped. A program that dies, prints a wrong
# plan or nothing at all counts as one failure even if no test of it failed.
# Before it one line for each claim that failed, "! FILE: what", so that the
# end of a long report can say it again.
package TapSum;
use strict;
use warnings;
use parent 'TAP::Harness';

sub runtests {
    my ($self, @tests) = @_;
    my %broken;    # file => what failed in it
    $self->callback(made_parser => sub {
        my ($parser, $job) = @_;
        $parser->callback(test => sub {
            my $t = shift;
            push @{$broken{$job->[1]}}, $t->as_string unless $t->is_ok;
        });
    });
    my $agg = $self->SUPER::runtests(@tests);
    my ($passed, $failed, $skipped, @said) = (0, 0, 0);
    for my $name ($agg->descriptions) {
        my ($p) = $agg->parsers($name);
        my $bad = () = $p->failed;
        my $skip = () = $p->skipped;
        my $good = () = $p->passed;
        $passed += $good - $skip;
        $failed += $bad ? $bad : $p->has_problems ? 1 : 0;
        $skipped += $skip;
        push @said, map { "$name: $_" } @{$broken{$name} || []};
        push @said, "$name: " . (join(', ', $p->parse_errors) || 'wait status ' . $p->wait) if $p->has_problems && !$bad;
    }
    if (defined(my $file = $ENV{REEVE_TAP_SUM})) {
        open my $h, '>>', $file or die "$file: $!\n";
        print $h "! $_\n" for @said;
        print $h "$passed $failed $skipped\n";
        close $h;
    }
    return $agg;
}

1;
