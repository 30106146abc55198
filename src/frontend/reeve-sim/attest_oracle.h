/*
 * attest_oracle.h - what must hold of validators, judged from the bytes they emit
 *
 * Written from the invariants of the protocol and not from the engine: it
 * includes no engine's header, reads messages by offsets of its own, checks
 * every signature, and keeps every vote of every key that ever left any
 * machine, across restarts.
 *
 *  I1 no two honest machines take different blocks for final at one height
 *  I2 no view has both q finalize votes for a block and q nullify votes
 *  I3 no view has two blocks with q notarize votes
 *  I4 an honest key signs at most one notarize in a view, never finalize and nullify, finalizes only what it notarized
 *  I5 what is final is justified: notarized parent, every view between nullified, itself or a descendant with q finalize votes
 *  I6 nobody honest passes on, and no agent takes, a certificate that is none: distinct members, q of them, every signature good
 *  I7 every log root extends every earlier one
 *  I8 (liveness) and I10 (bounds) are the harness's
 *  I9 with more than f faulty: every fork is proven against 2q - n keys, and never against an honest one
 *
 * q = n - f, f = (n - 1) / 3.
 */
#ifndef REEVE_SIM_ATTEST_ORACLE_H
#define REEVE_SIM_ATTEST_ORACLE_H

#include "common/types.h"

struct oracle_host {
    int n;                              /* validators */
    int q;
    bool over;                          /* more than f are faulty: forks are looked for, not forbidden */
    const bool *faulty;                 /* by validator */
    const uint16_t *validator;          /* by machine */
    int machines;
    struct hash32 chain_id, set_hash;
    void *arg;
    bool (*verify)(void *arg, int who, const uint8_t *bytes, const uint8_t *sig);
    void (*violation)(void *arg, const char *invariant, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
};
struct oracle;
struct oracle *oracle_new(const struct oracle_host *host);
void oracle_free(struct oracle *o);
/* Every message, as it leaves. */
void oracle_emitted(struct oracle *o, int machine, struct slice bytes);
/* A block's content (header, leaves) that a machine takes for final, in order of heights; again after a crash. */
void oracle_final(struct oracle *o, int machine, struct slice content);
/* All that is judged at the end. */
void oracle_end(struct oracle *o);
struct oracle_counts { uint64_t votes, views, heights, forks; };
void oracle_counts(const struct oracle *o, struct oracle_counts *out);

#endif
