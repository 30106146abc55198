/*
 * simplex.h - agreement on blocks: Simplex (ePrint 2023/463) with a stable leader
 *
 * Sans-IO: simplex_step() takes one event with the time in it and returns
 * effects in the order the driver must obey: a vote is an effect SIGN first;
 * the signer's answer comes back as an event and only then is it sent. The
 * block's content is opaque here; validity is the host's answer to CHECK.
 * With n = 1 the same path runs: propose, notarize, finalize, each signed.
 *
 * Words: a view is one attempt at one block; Notar(v, h), Null(v), Final(v, h)
 * are q votes of one kind from distinct validators, q = floor(2n/3) + 1.
 *
 * Rules (TON's Simplex.md, adapted to a low rate)
 *  R1 frontier: the current view is the smallest one not covered by Notar(v, .),
 *     Null(v) or a Final of that view or a later one.
 *  R2 notarize once per view: a proposal by its right leader, justified (Notar of
 *     its parent held, Null of every view between), found valid by CHECK.
 *  R3 Notar(v, h): enter v + 1; finalize(v, h) if we notarized h and never asked to nullify v.
 *  R4 the timer runs only while there is work (updates waiting, a proposal under
 *     way, a tick overdue, a leader not heard); when it ends: nullify(v), unless
 *     we asked to finalize v. It doubles with each view that failed (was nullified, or notarized
 *     and not final before the next was), up to a cap, and halves with each that became final.
 *     A leader who leaves an update out (OVERDUE) is given up: the next view in which we
 *     have not notarized yet is nullified at once, and no block of it gets our vote.
 *  R5 Null(v): enter v + 1. R6 Final(v, h): commit the block and all its ancestors.
 *  R7 what is missing is asked for: blocks by effect BEHIND, answered by COMMITTED; certificates by effect WANT,
 *     answered by CERT events from the view it names upward. Votes beyond what we may keep show that some are missing.
 *  R8 standstill: while there is work and nothing moves, the highest Final, the
 *     certificates above it and all own votes above it are sent again.
 *
 * A block is built on a final parent; on a merely notarized one only when that
 * does not become final within half a timeout.
 *
 * Leader: leader(v) = leader(parent) + number of nullified views between, mod n;
 * so a leader stays until a view of his is nullified, and everybody who holds
 * the parent can compute it. Genesis counts as led by validator 0.
 *
 * Invariants
 *  S1 at most one notarize per view; never finalize and nullify in one view.
 *  S2 a finalize vote follows a notarization of the same block that we notarized ourselves.
 *  S3 the view never decreases; memory for votes is bounded to SIMPLEX_VIEWS_AHEAD views
 *     ahead and as many behind.
 *  S4 nothing is sent that was not signed by the signer after its own durable check.
 *
 * Duties of the driver
 *  D1 a PROPOSAL event only for content it holds, whose hash and consensus fields are those of
 *     the block, signer = the header's proposer. Content is durable before NOTARIZE is signed.
 *  D2 what the signer signed is durable (vote and signature) before it is sent. After a restart, before
 *     START and in order of views: the certificates that were kept (CERT; see D5), then every own
 *     vote above the committed block (RESTORE). Effects of these steps are obeyed like any other. In views
 *     whose own votes come too far ahead for what certificates are left, the engine does not vote again.
 *  D3 a SIGN is answered by SIGNED or REFUSED, a BUILD by BUILT or NOT_BUILT, a CHECK by CHECKED;
 *     late answers are harmless.
 *  D4 CLOCK at or soon after simplex_wake().
 *  D5 Certificates that SEND_CERT names are kept, durably, until their view is at or below the committed block's,
 *     however many views that are, and given to whoever WANTs them, with the newest block's finalization before them
 *     when that is news to him: the engine itself remembers SIMPLEX_VIEWS_AHEAD views and no finalization across a
 *     restart, and who was away longer could never again show that the views between were nullified.
 *
 * Not here: sockets, disks, clocks (backend/validator), simulation (sim),
 * the bytes that are signed (engine/attest; they come in through verify()).
 */
#ifndef REEVE_ENGINE_SIMPLEX_H
#define REEVE_ENGINE_SIMPLEX_H

#include "common/crypto_ops.h"
#include "common/buf.h"

#define SIMPLEX_VALIDATORS_MAX 64
#define SIMPLEX_VIEWS_AHEAD    16
#define SIMPLEX_EFFECTS_MAX    128

/* Numbers as in the signed bytes (attest.h). */
enum simplex_type { SX_PROPOSE = 1, SX_NOTARIZE, SX_NULLIFY, SX_FINALIZE, SX_HEARTBEAT };

/* A block as votes name it; all of it is signed. Nullify and heartbeat: view alone, the rest zero. */
struct simplex_block {
    uint64_t view, height, parent_view;
    struct hash32 hash, parent_hash;
};
struct simplex_vote { uint8_t type; struct simplex_block b; };

/* q or more votes alike; signatures in order of the bits. */
struct simplex_cert {
    uint8_t type;
    struct simplex_block b;
    uint8_t bitmap[SIMPLEX_VALIDATORS_MAX / 8];
    uint16_t n_sigs;
    struct sig64 sig[SIMPLEX_VALIDATORS_MAX];
};

struct simplex_config {
    uint16_t n, me;                     /* validators, and which one we are */
    uint32_t timeout_ms, timeout_ms_max;/* R4 */
    uint32_t tick_ms;                   /* an idle set makes an empty block this often; 0: never */
    uint32_t heartbeat_ms;              /* the leader's, n > 1; he counts as lost after three */
    uint32_t standstill_ms;             /* R8 */
    /* Is sig validator signer's signature of v? Pure; the host knows the bytes and the keys. */
    bool (*verify)(void *arg, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig);
    void *arg;
};

enum simplex_event_type {
    SXE_RESTORE = 1,    /* before START: an own vote from before the restart: vote, sig */
    SXE_START,          /* the first event after restoring */
    SXE_CLOCK,
    SXE_WORK,           /* flag: are there updates waiting? NOT_BUILT means no as well */
    SXE_BUILT,          /* vote.b: the block asked for by BUILD (its hash, height as its parent's + 1) */
    SXE_NOT_BUILT,      /* vote.b.view: nothing could be built */
    SXE_SIGNED,         /* vote, sig */
    SXE_REFUSED,        /* vote: the signer's own durable state forbids it (a signer that is away just has not answered) */
    SXE_CHECKED,        /* vote.b, flag: valid? */
    SXE_PROPOSAL,       /* from a peer: vote.b, sig, signer */
    SXE_VOTE,           /* from a peer: vote, sig, signer */
    SXE_CERT,           /* from a peer: cert */
    SXE_COMMITTED,      /* the host has caught up by itself: vote.b is its newest final block, signer its proposer */
    SXE_OVERDUE         /* flag: an update waits although block after block became final without it (R4). The host says so
                           once, and again only after as many blocks of the next leader; an update it knows to be valid, and
                           that it has passed on to all */
};
struct simplex_event {
    uint8_t type;
    struct mono_ms now;
    bool flag;
    uint16_t signer;
    struct simplex_vote vote;
    struct sig64 sig;
    const struct simplex_cert *cert;    /* borrowed during the step */
};

enum simplex_effect_type {
    SXF_BUILD = 1,      /* make a block: vote.b has view, height and parent; its hash is zero */
    SXF_CHECK,          /* is the content of vote.b valid on top of its parent? */
    SXF_SIGN,           /* ask the signer: vote */
    SXF_SEND_PROPOSAL,  /* to all: vote.b, sig, and the content the host holds */
    SXF_SEND_VOTE,      /* to all: vote, sig */
    SXF_SEND_CERT,      /* to all: simplex_cert_get(vote.type, vote.b.view) */
    SXF_COMMIT,         /* vote.b is final; flag: with a certificate of its own (simplex_cert_get), else by its
                           descendant's, whose COMMIT follows in the same step */
    SXF_BEHIND,         /* vote.b is final, but its ancestors are not known: fetch blocks, answer COMMITTED. They are
                           final with it, so parents fetched by hash do; it may be that nobody has committed them yet */
    SXF_EVIDENCE,       /* validator signer contradicted himself in view vote.b.view: vote and sig, other and other_sig are both
                           his. Once for each validator in the life of an engine; one pair proves it */
    SXF_WANT            /* others are views ahead: ask one of them for the certificates from vote.b.view on (D5) */
};
struct simplex_effect {
    uint8_t type;
    bool flag;
    uint16_t signer;
    struct simplex_vote vote, other;
    struct sig64 sig, other_sig;
};
struct simplex_effects { size_t n; struct simplex_effect e[SIMPLEX_EFFECTS_MAX]; };

struct simplex;
/* Bytes of memory an engine needs (about 2 MB), aligned for any type, the host's. */
size_t simplex_size(void);
/*
 * committed: the newest final block (genesis: view 0, height 0, hash the chain
 * id), proposer: who proposed it (genesis: 0). INVALID_VALUE for a bad config.
 */
enum reeve_err simplex_init(struct simplex **out, void *mem, size_t len, const struct simplex_config *c,
                            const struct simplex_block *committed, uint16_t proposer) REEVE_MUST_CHECK;
/* Never fails: what peers send wrongly is dropped (and counted). */
void simplex_step(struct simplex *s, const struct simplex_event *e, struct simplex_effects *out);
/* When the next CLOCK is due; INT64_MAX: not before another event. */
struct mono_ms simplex_wake(const struct simplex *s);
/* A certificate held of that kind (SX_NOTARIZE, SX_NULLIFY, SX_FINALIZE) and view. NOT_FOUND. Valid right after the step. */
enum reeve_err simplex_cert_get(const struct simplex *s, enum simplex_type type, uint64_t view,
                                struct simplex_cert *out) REEVE_MUST_CHECK;
/* q distinct known signers and every signature good: V_SIGNER, V_QUORUM, V_SIGNATURE. */
enum reeve_err simplex_cert_verify(const struct simplex_config *c, const struct simplex_cert *cert) REEVE_MUST_CHECK;

struct simplex_status { uint64_t view; struct simplex_block committed; uint16_t leader; bool leader_known, working; uint32_t failed; uint64_t dropped; };
void simplex_status(const struct simplex *s, struct simplex_status *out);

/* One line each, without line end, as traces and expected outputs have them. */
void simplex_event_describe(const struct simplex_event *e, struct wr *out);
void simplex_effect_describe(const struct simplex_effect *e, struct wr *out);

#endif
