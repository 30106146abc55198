/*
 * linear.h - is a history of one key linearizable?
 *
 * An exact checker for a register with compare-and-set: the search of Wing and
 * Gong (1993) with Lowe's memory of configurations already tried ("Testing for
 * linearizability", 2017), over the list of calls and returns as Porcupine
 * keeps it. Keys are independent, so a history of many keys is checked key by
 * key (Herlihy and Wing's locality).
 *
 * An operation whose outcome is unknown may take effect at any time after its
 * call or never. A failed write never took effect and must not be handed in;
 * a failed cas is an observation: at its point the value was not the expected
 * one. The register begins absent.
 *
 * Exact: LINEAR_YES and LINEAR_NO are proofs. LINEAR_UNDECIDED says that the
 * bound of work was met first; with at most 300 operations and a few dozen
 * unknown ones it does not happen in practice.
 */
#ifndef REEVE_SIM_LINEAR_H
#define REEVE_SIM_LINEAR_H

#include "common/err.h"
#include "common/types.h"

#define LINEAR_OPS_MAX 1024
#define LINEAR_NEVER   INT64_MAX        /* return time of an unknown outcome */

struct linear_value { bool present; int64_t v; };

enum linear_kind { LINEAR_READ = 1, LINEAR_WRITE, LINEAR_CAS };
enum linear_outcome { LINEAR_OK = 1, LINEAR_FAILED, LINEAR_UNKNOWN };

struct linear_op {
    enum linear_kind kind;
    enum linear_outcome outcome;        /* FAILED: of a cas only */
    int64_t call, ret;                  /* call < ret; any unit; ret LINEAR_NEVER for UNKNOWN */
    struct linear_value expected;       /* cas: the old value; absent: it must not exist */
    struct linear_value value;          /* read: what was seen; write, cas: the new value */
    uint32_t tag;                       /* the caller's name for it, in evidence */
};

enum linear_verdict { LINEAR_YES, LINEAR_NO, LINEAR_UNDECIDED };

/*
 * Evidence of a NO: the longest attempt. Among the operations that no
 * continuation could place (blocked) is the one that contradicts the rest.
 */
struct linear_evidence {
    uint32_t placed;                    /* operations in the longest linearization found */
    struct linear_value state;          /* the register behind it */
    uint32_t n_blocked;
    uint32_t blocked[16];               /* tags */
};

/*
 * ops in any order, n <= LINEAR_OPS_MAX; more is refused with TOO_COMPLEX, an
 * operation that is no operation with INVALID_VALUE. steps bounds the work
 * (0: ten million). evidence may be NULL.
 */
enum reeve_err linear_check(const struct linear_op *ops, size_t n, uint64_t steps,
                            enum linear_verdict *verdict, struct linear_evidence *evidence) REEVE_MUST_CHECK;

#endif
