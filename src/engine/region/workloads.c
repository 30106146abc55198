/* workloads.c - all workloads of a region, node by node, for readers of a snapshot. */
#include "engine/region/region_int.h"

struct region_workloads {
    struct kv *kv;
    uint64_t next;                      /* the first ordinal not yet looked at */
    bool in_node;
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
    w->in_node = false;
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

enum reeve_err region_workloads_next(struct region_workloads *w, uint32_t *ordinal, struct slice *id, struct slice *row)
{
    enum reeve_err err = REEVE_OK;
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
