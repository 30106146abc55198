/* register.c - workloads of nodes, and transitions of their liveness. */
#include "engine/region/region_int.h"

struct reg_item { uint32_t ordinal; uint8_t id[16], op; struct workload_row row; };

static void item_read(struct reg_item *it, struct rd *r)
{
    it->ordinal = rd_u32(r);
    rd_copy(r, it->id, sizeof it->id);
    it->op = rd_u8(r);
    if (it->op == 1)
        workload_row_read(&it->row, r);
    else if (it->op != 2)
        r->bad = true;
}

static bool batch_ok(struct rd r, uint16_t n)
{
    struct reg_item it;
    for (unsigned i = 0; i < n && !r.bad; i++)
        item_read(&it, &r);
    return rd_done(&r) && n <= REGION_BATCH_MAX;
}

/* A put with an older epoch than the stored one was overtaken and changes nothing. */
static enum reeve_err put(struct apply *a, const struct rkey *k, const struct workload_row *row)
{
    struct workload_row old;
    enum reeve_err err = load_workload(a->kv, k, &old);
    if (err == REEVE_OK && old.epoch > row->epoch)
        return REEVE_OK;
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return err;
    return store_workload(a, k, row);
}

static enum reeve_err one(struct apply *a, const struct reg_item *it, uint32_t *done)
{
    struct rkey k;
    bool exists;
    rkey_u32(&k, 'n', it->ordinal);
    enum reeve_err err = key_exists(a->kv, &k, &exists);
    if (err != REEVE_OK || !exists)
        return err;
    rkey_u32(&k, 'k', it->ordinal);
    wr_bytes(&k.w, it->id, sizeof it->id);
    err = it->op == 1 ? put(a, &k, &it->row) : kv_del(a->kv, rkey_slice(&k));
    *done += err == REEVE_OK;
    return err;
}

enum reeve_err apply_register(struct apply *a, struct rd *r)
{
    enum reeve_err err = REEVE_OK;
    uint32_t done = 0;
    uint16_t n = rd_u16(r);
    if (r->bad || !batch_ok(*r, n))
        return refuse(a, REEVE_E_MALFORMED, "malformed batch of registrations");
    if (a->dry)
        return REEVE_OK;
    for (unsigned i = 0; i < n; i++) {
        struct reg_item it;
        item_read(&it, r);
        TRY(one(a, &it, &done));
    }
    result_u32(a, done);
out:
    return err;
}

/* ---- liveness ---- */

static bool liveness_ok(struct rd r, uint16_t n)
{
    for (unsigned i = 0; i < n && !r.bad; i++) {
        (void) rd_u32(&r);
        uint8_t s = rd_u8(&r);
        if (s != NODE_LIVE && s != NODE_LATE && s != NODE_LOST)
            r.bad = true;
    }
    return rd_done(&r) && n <= REGION_BATCH_MAX;
}

/* What an operator decided (drained, cordoned, revoked) is not undone by a heartbeat. */
static enum reeve_err transition(struct apply *a, uint32_t ordinal, uint8_t state, uint32_t *done)
{
    struct node_row row;
    struct rkey k;
    rkey_u32(&k, 'n', ordinal);
    enum reeve_err err = load_node(a->kv, &k, &row);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    if (row.state == state || (row.state != NODE_LIVE && row.state != NODE_LATE && row.state != NODE_LOST))
        return REEVE_OK;
    row.state = state;
    if (state == NODE_LIVE)
        row.last_connect = a->now;
    ++*done;
    TRY(store_node(a, &k, &row));
    TRY(feed_node(a, &row.id));
out:
    return err;
}

enum reeve_err apply_liveness(struct apply *a, struct rd *r)
{
    enum reeve_err err = REEVE_OK;
    uint32_t done = 0;
    a->now = rd_time(r);
    uint16_t n = rd_u16(r);
    if (r->bad || !liveness_ok(*r, n))
        return refuse(a, REEVE_E_MALFORMED, "malformed batch of transitions");
    if (a->dry)
        return REEVE_OK;
    for (unsigned i = 0; i < n; i++) {
        uint32_t ordinal = rd_u32(r);
        uint8_t state = rd_u8(r);
        TRY(transition(a, ordinal, state, &done));
    }
    result_u32(a, done);
out:
    return err;
}
