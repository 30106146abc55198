/*
 * check_int.h - judging a list of updates, one by one, each on top of those before
 *
 * The parent state is read from kv; what earlier updates of the list made of
 * an object stands in scratch->seen. Nothing is written. A check_x function
 * judges the payload of one kind; it finds the update in k->now and the object
 * as it stood in k->prev.
 */
#ifndef ENGINE_ATTEST_CHECK_INT_H
#define ENGINE_ATTEST_CHECK_INT_H

#include "refuse_int.h"
#include "state_int.h"

/* A rollout that begins or ends and still waits for the updates of its targets. */
struct group { bool open, begins; uint8_t next; /* target index */ };

/* A proposal of several parts: the next update must be its next one. */
struct bundle { bool open; uint8_t next; struct hash32 digest; struct name proposal; };

struct check {
    struct attest *a;
    struct attest_scratch *s;
    const struct slice *leaves;
    size_t n, at;                   /* at: the update being judged */
    struct wall_ms time;
    struct hash32 chain_id;
    struct report *rep;
    struct update now;
    bool had, live;                 /* there is a previous version; and it was no deletion */
    struct attest_object prev;
    struct group group;             /* its rollout: s->rollout[1] */
    bool member;                    /* the update is the one the open group waited for */
    bool brakes;                    /* allowed while the region is frozen */
    bool stops;                     /* only takes trust away: SUBJECT_REVOCATION instead of its kind */
    bool inner;                     /* the region's inner affair: gives nobody what its key does not give him anyway */
    struct bundle bundle;
    bool recovery;                  /* E4: decided by recovery keys, which stand for region, approvers and seats */
    struct proposal_need *need;     /* only asking: signatures are not looked at, approvals are named and not demanded */
};

/* An object as the updates before k->at leave it. NOT_FOUND. */
enum reeve_err check_lookup(struct check *k, enum attest_type type, const struct name *name,
                            struct attest_object *o) REEVE_MUST_CHECK;
/* Live objects of a kind as the updates before k->at leave them, each once; start with a zeroed walk. NOT_FOUND at the end. */
struct check_walk { struct name after; bool listed; size_t i; };
enum reeve_err check_next(struct check *k, enum attest_type type, struct check_walk *w, struct attest_object *o) REEVE_MUST_CHECK;
/* The same for a live object's generation of an authority; decodes into s->authority[0]. */
enum reeve_err check_authority_gen(struct check *k, const struct name *authority, uint32_t gen,
                                   struct authority_gen **g) REEVE_MUST_CHECK;
enum reeve_err check_region_doc(struct check *k, const struct name *region, struct region_doc *d) REEVE_MUST_CHECK;
enum reeve_err check_key_class(struct check *k, const struct name *key, bool *attested) REEVE_MUST_CHECK;

enum reeve_err check_valset(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_region(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_class(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_node(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_authority(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_cert(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_config(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_rollout(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_approver(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_policy(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_veto(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_checkpoint(struct check *k) REEVE_MUST_CHECK;
/* DROP: may what is left do without it? */
enum reeve_err check_approver_gone(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_policy_gone(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_delete(struct check *k) REEVE_MUST_CHECK;

/* Every update, once its kind has judged it: does a policy ask for approvals, and do those it brings suffice? */
enum reeve_err check_approvals(struct check *k) REEVE_MUST_CHECK;
/* A verdict's signatures: each of a live approver, under the policy named; fills s->approver[0..n). */
enum reeve_err check_verdicts(struct check *k, bool approve, const struct approval_ref *ref, const struct approval *a,
                              uint8_t n) REEVE_MUST_CHECK;
/* The policy a reference names, in s->policy[0]: live, of that version, and not too late. */
enum reeve_err check_policy_named(struct check *k, const struct approval_ref *ref) REEVE_MUST_CHECK;

#endif
