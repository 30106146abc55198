/* workloads.c - all workloads of a region, node by node, for readers of a snapshot. */
#include "engine/region/region_int.h"

struct region_workloads {
    struct kv *kv;
    uint64_t next;                      /* the first ordinal not yet looked at */
    bool begun, in_node, plain;
    struct kv_iter rows;                /* plain: a row each (level 0) */
    struct run_merge merge;
};

size_t region_workloads_size(void)
{
    return sizeof(struct region_workloads);
}

void region_workloads_begin(struct region_workloads *w, struct region *r)
{
    w->kv = r->kv;
    w->next = 0;
    w->begun = w->in_node = false;
}

/* The next directory: the first row of its node. NOT_FOUND behind the last. */
static enum reeve_err next_node(struct region_workloads *w)
{
    struct rkey k;
    struct slice key, val;
    struct run_dir dir;
    if (w->next > UINT32_MAX)
        return REEVE_E_NOT_FOUND;
    rkey_u32(&k, 'j', (uint32_t) w->next);
    enum reeve_err err = kv_seek(w->kv, rkey_slice(&k), 1, true, &key, &val);
    if (err != REEVE_OK)
        return err;
    if (key.len < 2 || memcmp(key.p, k.b, 2) != 0)
        return REEVE_E_NOT_FOUND;
    struct rd r = rd_of(slice_of(key.p + 2, key.len - 2));
    uint32_t ordinal = rd_u32(&r);
    if (!rd_done(&r))
        return REEVE_E_CORRUPT;
    w->next = (uint64_t) ordinal + 1;
    TRY(run_dir_get(w->kv, ordinal, &dir));
    TRY(run_merge_begin(&w->merge, w->kv, &dir, 0));
out:
    return err;
}

/* The next entry of this node that is a row. */
static enum reeve_err next_row(struct region_workloads *w, struct slice *id, struct slice *row)
{
    struct run_entry e;
    enum reeve_err err;
    do
        err = run_merge_next(&w->merge, &e);
    while (err == REEVE_OK && e.kind == RUN_DELETED);
    *id = slice_of(e.id, 16);
    *row = e.row;
    return err;
}

static enum reeve_err begin(struct region_workloads *w)
{
    struct region r = { .kv = w->kv };
    uint32_t level;
    enum reeve_err err = region_level(&r, &level);
    w->begun = true;
    w->plain = level == 0;
    region_iter_init(&r, &w->rows, 'k', slice_of(NULL, 0));
    return err;
}

static enum reeve_err next_plain(struct region_workloads *w, uint32_t *ordinal, struct slice *id, struct slice *row)
{
    struct slice key;
    enum reeve_err err = region_iter_next(&w->rows, &key, row);
    if (err != REEVE_OK)
        return err;
    struct rd r = rd_of(key);
    *ordinal = rd_u32(&r);
    *id = rd_bytes(&r, 16);
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

enum reeve_err region_workloads_next(struct region_workloads *w, uint32_t *ordinal, struct slice *id, struct slice *row)
{
    enum reeve_err err = w->begun ? REEVE_OK : begin(w);
    if (err != REEVE_OK || w->plain)
        return err != REEVE_OK ? err : next_plain(w, ordinal, id, row);
    for (;;) {
        if (!w->in_node)
            TRY(next_node(w));
        w->in_node = true;
        err = next_row(w, id, row);
        if (err != REEVE_E_NOT_FOUND)
            break;
        w->in_node = false;
    }
    *ordinal = w->merge.ordinal;
out:
    return err;
}
