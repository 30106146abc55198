/* register.c - workloads of nodes, and transitions of their liveness. */
#include "engine/region/region_int.h"

struct reg_item { uint32_t ordinal; struct slice id, row; };     /* an empty row: the workload ends */

static void item_read(struct reg_item *it, struct rd *r)
{
    it->ordinal = rd_u32(r);
    it->id = rd_bytes(r, 16);
    uint8_t op = rd_u8(r);
    it->row = op == 1 ? rd_bytes(r, workload_row_len(*r)) : slice_of(NULL, 0);
    if (op != 1 && op != 2)
        r->bad = true;
}

static bool row_ok(struct slice row)
{
    struct workload_row w;
    return row.len == 0 || workload_row_decode(&w, row) == REEVE_OK;
}

static bool batch_ok(struct rd r, uint16_t n)
{
    struct reg_item it;
    for (unsigned i = 0; i < n && !r.bad; i++) {
        item_read(&it, &r);
        if (!r.bad && !row_ok(it.row))
            return false;
    }
    return rd_done(&r) && n <= REGION_BATCH_MAX;
}

/* The items of one node that stand next to each other; how many. */
static unsigned gather(struct runs_scratch *s, struct rd *r, unsigned left, uint32_t *ordinal)
{
    struct reg_item it;
    unsigned n = 0;
    for (struct rd next = *r; n < left; *r = next) {
        item_read(&it, &next);
        if (n > 0 && it.ordinal != *ordinal)
            break;
        *ordinal = it.ordinal;
        s->item[n++] = (struct run_item){ it.id.p, it.row };
    }
    return n;
}

/* ---- level 0: a row of the store for each workload ---- */

static enum reeve_err put_plain(struct apply *a, const struct rkey *k, struct slice row)
{
    struct workload_row old, new;
    enum reeve_err err = load_workload(a->kv, k, &old);
    if (err == REEVE_E_NOT_FOUND)
        return put_bytes(a->kv, k, row);
    if (err == REEVE_OK)
        err = workload_row_decode(&new, row);
    return err == REEVE_OK && old.epoch <= new.epoch ? put_bytes(a->kv, k, row) : err;
}

static enum reeve_err plain_rows(struct apply *a, uint32_t ordinal, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct run_item *it = &a->s->runs.item[i];
        struct rkey k;
        rkey_u32(&k, 'k', ordinal);
        wr_bytes(&k.w, it->id, 16);
        enum reeve_err err = it->row.len > 0 ? put_plain(a, &k, it->row) : kv_del(a->kv, rkey_slice(&k));
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

/* ---- and since ---- */

static enum reeve_err node_exists(struct kv *kv, uint32_t ordinal, bool *yes)
{
    struct rkey k;
    rkey_u32(&k, 'n', ordinal);
    return key_exists(kv, &k, yes);
}

/* Who has workloads exists: both go together (op_node_drop). */
static enum reeve_err of_node(struct apply *a, uint32_t level, uint32_t ordinal, unsigned n, uint32_t *done)
{
    struct run_dir d;
    bool exists = true;
    enum reeve_err err = run_dir_get(a->kv, ordinal, &d);
    if (err == REEVE_E_NOT_FOUND)
        err = node_exists(a->kv, ordinal, &exists);
    if (err != REEVE_OK || !exists)
        return err;
    *done += n;
    return level == 0 ? plain_rows(a, ordinal, n) : runs_add(&a->s->runs, a->kv, &d, n);
}

/* An item with an older epoch than the workload's was overtaken and changes nothing; it counts as done all the same. */
enum reeve_err apply_register(struct apply *a, struct rd *r)
{
    enum reeve_err err = REEVE_OK;
    uint32_t done = 0, ordinal = 0, level;
    uint16_t n = rd_u16(r);
    if (r->bad || !batch_ok(*r, n))
        return refuse(a, REEVE_E_MALFORMED, "malformed batch of registrations");
    if (a->dry)
        return REEVE_OK;
    TRY(region_level(a->r, &level));
    for (unsigned i = 0, m; i < n; i += m) {
        m = gather(&a->s->runs, r, n - i, &ordinal);
        TRY(of_node(a, level, ordinal, m, &done));
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
