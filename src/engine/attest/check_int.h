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
};

/* An object as the updates before k->at leave it. NOT_FOUND. */
enum reeve_err check_lookup(struct check *k, enum attest_type type, const struct name *name,
                            struct attest_object *o) REEVE_MUST_CHECK;
/* The same for a live object's generation of an authority; decodes into s->authority[0]. */
enum reeve_err check_authority_gen(struct check *k, const struct name *authority, uint32_t gen,
                                   struct authority_gen **g) REEVE_MUST_CHECK;
enum reeve_err check_region_doc(struct check *k, const struct name *region, struct region_doc *d) REEVE_MUST_CHECK;
enum reeve_err check_key_class(struct check *k, const struct name *key, bool *attested) REEVE_MUST_CHECK;

enum reeve_err check_region(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_class(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_node(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_authority(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_cert(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_config(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_rollout(struct check *k) REEVE_MUST_CHECK;
enum reeve_err check_delete(struct check *k) REEVE_MUST_CHECK;

#endif
