/*
 * attested.c - finalized blocks become the region's rows
 *
 * The host has applied the blocks to the same kv in the same transaction. The
 * leaves since the last time are walked by index; each leaf is copied first,
 * because the next write would invalidate it (K2).
 */
#include "engine/region/region_int.h"

struct attest apply_attest(const struct apply *a)
{
    return (struct attest){ .kv = a->kv, .c = a->r->c };
}

static enum reeve_err one_update(struct apply *a, const struct update *u, uint64_t index)
{
    enum reeve_err err = feed_add(a, u->type, &u->object);
    if (err != REEVE_OK)
        return err;
    switch (u->type) {
    case AT_ROLLOUT: return attested_rollout(a, u, index);
    case AT_CONFIG:  return attested_config(a, u);
    case AT_NODE:    return attested_node(a, u);
    case AT_CHECKPOINT: return attested_checkpoint(a, u);
    default:         return REEVE_OK;
    }
}

/* The leaf at index, decoded over a copy; *beyond when it belongs to a later block. */
static enum reeve_err copy_leaf(struct apply *a, uint64_t index, uint64_t height, struct update *u, bool *beyond)
{
    struct attest at = apply_attest(a);
    struct slice leaf;
    uint64_t at_height;
    enum reeve_err err = attest_leaf(&at, index, &leaf, &at_height);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_E_CORRUPT : err;
    *beyond = at_height > height;
    if (leaf.len > sizeof a->s->leaf)
        return REEVE_E_CORRUPT;
    memcpy(a->s->leaf, leaf.p, leaf.len);
    return update_decode(u, slice_of(a->s->leaf, leaf.len)) == REEVE_OK ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err walk(struct apply *a, uint64_t height, uint64_t log_size)
{
    uint64_t next;
    enum reeve_err err = meta_get(a->kv, "attested_leaves", &next);
    for (; err == REEVE_OK && next < log_size; next++) {
        struct update u;
        bool beyond;
        TRY(copy_leaf(a, next, height, &u, &beyond));
        if (beyond)
            break;
        TRY(one_update(a, &u, next));
    }
    if (err == REEVE_OK)
        err = meta_put(a->kv, "attested_leaves", next);
out:
    return err;
}

enum reeve_err apply_attested(struct apply *a, struct rd *r)
{
    struct attest at;
    struct attest_head head;
    uint64_t had;
    enum reeve_err err;
    uint64_t height = rd_u64(r);
    a->now = rd_time(r);
    if (!rd_done(r))
        return refuse(a, REEVE_E_MALFORMED, "malformed command");
    if (a->dry)
        return REEVE_OK;
    at = apply_attest(a);
    err = attest_head(&at, &head);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && head.height < height))
        return refuse(a, REEVE_E_WRONG_STATE, "height %llu has not been applied", (unsigned long long) height);
    TRY(err);
    TRY(meta_get(a->kv, "attested_height", &had));
    if (height > had) {
        TRY(walk(a, height, head.log_size));
        TRY(meta_put(a->kv, "attested_height", height));
    }
    result_u64(a, height);
out:
    return err;
}

/* A revoked node keeps its row, so that everybody sees why it is shut out. */
enum reeve_err attested_node(struct apply *a, const struct update *u)
{
    struct node_doc d;
    struct node_id id;
    struct node_row row;
    struct rkey k;
    uint32_t ordinal;
    enum reeve_err err;
    if (u->op != 1 || node_doc_decode(&d, u->payload) != REEVE_OK || !d.revoked || !node_id_parse(&id, name_slice(&u->object)))
        return REEVE_OK;
    struct region here = *a->r;
    here.kv = a->kv;
    err = region_node_find(&here, &id, &ordinal);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    rkey_u32(&k, 'n', ordinal);
    TRY(load_node(a->kv, &k, &row));
    row.state = NODE_REVOKED;
    TRY(store_node(a, &k, &row));
    TRY(feed_node(a, &id));
out:
    return err;
}
