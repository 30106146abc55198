/* trail.c - what a command leaves behind for others: feed rows, history, rollout events. */
#include "engine/region/region_int.h"

static enum reeve_err feed_has(struct apply *a, uint8_t kind, const struct name *name, bool *yes)
{
    struct feed_row f;
    *yes = false;
    for (uint16_t n = 0; n < a->n_feed && !*yes; n++) {
        struct rkey k;
        struct slice v;
        rkey_u64_u16(&k, 'f', a->index, n);
        enum reeve_err err = kv_get(a->kv, rkey_slice(&k), &v);
        if (err != REEVE_OK || (err = feed_row_decode(&f, v)) != REEVE_OK)
            return err;
        *yes = f.kind == kind && name_eq(&f.name, name);
    }
    return REEVE_OK;
}

/*
 * G5: one row per object and revision. Batches name each object once by
 * themselves, so that only short lists are searched.
 */
enum reeve_err feed_add(struct apply *a, uint8_t kind, const struct name *name)
{
    const struct feed_row f = { kind, *name };
    bool has = false;
    enum reeve_err err = a->n_feed <= REGION_OPS_MAX ? feed_has(a, kind, name, &has) : REEVE_OK;
    if (err != REEVE_OK || has)
        return err;
    if (a->n_feed == UINT16_MAX)
        return REEVE_E_TOO_COMPLEX;
    struct rkey k;
    struct wr w = wr_fixed(a->s->row, sizeof a->s->row);
    rkey_u64_u16(&k, 'f', a->index, a->n_feed++);
    feed_row_encode(&f, &w);
    return put_bytes(a->kv, &k, wr_slice(&w));
}

enum reeve_err feed_node(struct apply *a, const struct node_id *id)
{
    char text[NODE_ID_TEXT_LEN + 1];
    struct name n;
    node_id_text(text, id);
    (void) name_set_str(&n, text);
    return feed_add(a, FEED_NODE, &n);
}

static void client_set(struct history_row *h, struct slice client)
{
    size_t len = client.len < sizeof h->client ? client.len : sizeof h->client - 1;
    if (len > 0)
        memcpy(h->client, client.p, len);
    while (!utf8_valid(slice_str(h->client)) && len > 0)
        h->client[--len] = '\0';
}

enum reeve_err history_add(struct apply *a, const char *kind, const struct name *object, const char *action,
                           struct slice before, struct slice after)
{
    struct history_row h = { .at = a->now, .actor = a->actor, .statement = a->statement, .reason = a->reason,
                             .before = before, .after = after, .version = a->index };
    struct rkey k;
    struct wr w = wr_fixed(a->s->row, sizeof a->s->row);
    (void) name_set_str(&h.object_kind, kind);
    (void) name_set_str(&h.action, action);
    h.object = *object;
    client_set(&h, a->client);
    history_row_encode(&h, &w);
    rkey_u64_u16(&k, 'h', a->index, a->n_history++);
    enum reeve_err err = w.bad ? REEVE_E_TOO_COMPLEX : put_bytes(a->kv, &k, wr_slice(&w));
    if (err == REEVE_OK && strcmp(kind, "config") == 0)
        err = config_log_add(a, object, (uint16_t) (a->n_history - 1), wr_slice(&w));
    return err;
}

/* The next sequence number of a rollout's events: one above the last. */
static enum reeve_err event_seq(struct apply *a, uint64_t rollout, uint32_t *seq)
{
    struct rkey k;
    struct slice key, val;
    rkey_u64_u32(&k, 'e', rollout, UINT32_MAX);
    enum reeve_err err = kv_seek(a->kv, rkey_slice(&k), -1, true, &key, &val);
    *seq = 1;
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    if (key.len == k.w.len && memcmp(key.p, k.b, key.len - 4) == 0) {
        struct rd r = rd_of(slice_of(key.p + key.len - 4, 4));
        *seq = rd_u32(&r) + 1;
    }
    return REEVE_OK;
}

enum reeve_err event_add(struct apply *a, uint64_t rollout, const struct name *actor, const char *event,
                         const char *detail, uint64_t leaf_index)
{
    struct event_row e = { .at = a->now, .actor = *actor, .leaf_index = leaf_index };
    struct rkey k;
    uint32_t seq;
    struct wr w = wr_fixed(a->s->row, sizeof a->s->row);
    enum reeve_err err = event_seq(a, rollout, &seq);
    if (err != REEVE_OK)
        return err;
    (void) name_set_str(&e.event, event);
    memcpy(e.detail, detail, strlen(detail) < sizeof e.detail ? strlen(detail) : sizeof e.detail - 1);
    event_row_encode(&e, &w);
    rkey_u64_u32(&k, 'e', rollout, seq);
    return put_bytes(a->kv, &k, wr_slice(&w));
}
