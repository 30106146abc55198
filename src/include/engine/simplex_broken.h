/*
 * simplex_broken.h - rules that a test may break, one at a time
 *
 * As raft_broken.h: built with -DREEVE_BROKEN the engine leaves out the rule
 * whose number simplex_broken holds; in every other build SIMPLEX_BROKEN() is
 * the constant 0.
 */
#ifndef REEVE_ENGINE_SIMPLEX_BROKEN_H
#define REEVE_ENGINE_SIMPLEX_BROKEN_H

#define SIMPLEX_BROKEN_LIST(X) \
    X(1,  NOTARIZE_TWICE,     "a second proposal of a view is notarized as well") \
    X(2,  FINALIZE_NULLIFIED, "a view that we asked to nullify is finalized") \
    X(3,  NULLIFY_FINALIZED,  "the timer also nullifies the view before, finalized or not") \
    X(4,  FINALIZE_ANY,       "what others notarized is finalized") \
    X(5,  QUORUM_2F1,         "a quorum is 2f+1 for every n") \
    X(6,  LEADER_UNCHECKED,   "anybody's proposal is taken") \
    X(7,  PARENT_UNNOTARIZED, "a proposal's parent need not be notarized") \
    X(8,  VIEWS_SKIPPED,      "a proposal may skip views that were not nullified") \
    X(9,  VOTES_FORGOTTEN,    "own votes are not restored after a restart") \
    X(10, SIGNATURE_UNCHECKED, "a vote's signature is not looked at") \
    X(11, CERT_UNCHECKED,     "a certificate is believed") \
    X(12, CONTENT_UNCHECKED,  "a proposal's content is believed") \
    X(13, TIMEOUT_FIXED,      "timeouts do not grow") \
    X(14, STANDSTILL_SILENT,  "nothing is sent again") \
    X(15, OWN_VOTE_UNCOUNTED, "own votes do not count here") \
    X(16, LEADER_STAYS,       "a nullified view does not cost the leader his place") \
    X(17, LATE_NOTAR_STAYS,   "who asked to nullify stays in a view that is then notarized") \
    X(18, BEHIND_SILENT,      "missing ancestors are not asked for") \
    X(19, GAP_FORGOTTEN,      "nullified views outside the window are forgotten") \
    X(20, WANT_SILENT,        "missing certificates are not asked for") \
    X(21, SWORN_AGAIN,        "views whose own votes may be forgotten are voted in again") \
    X(22, NOTARIZED_IS_FINAL, "a notarized block is committed") \
    X(23, SLOW_VIEWS_FINE,    "views that are notarized and not final do not lengthen the timeout") \
    X(24, HELP_SILENT,        "who votes in a view that was left is told nothing") \
    X(25, OVERDUE_STAYS,      "a leader who leaves updates out stays")

#define SIMPLEX_BROKEN_ENUM(n, sym, text) SIMPLEX_BROKEN_##sym = n,
enum simplex_broken_rule { SIMPLEX_BROKEN_LIST(SIMPLEX_BROKEN_ENUM) SIMPLEX_BROKEN__END };

#ifdef REEVE_BROKEN
extern unsigned simplex_broken;         /* 0: none */
#define SIMPLEX_BROKEN(sym) (simplex_broken == SIMPLEX_BROKEN_##sym)
#else
#define SIMPLEX_BROKEN(sym) 0
#endif

#endif
