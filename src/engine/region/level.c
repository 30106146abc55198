/* level.c - the state is raised to a level, and what it holds is rewritten: one step a level. */
#include "engine/region/region_int.h"

enum reeve_err region_level(struct region *r, uint32_t *out)
{
    uint64_t level;
    enum reeve_err err = meta_get(r->kv, "level", &level);
    *out = (uint32_t) level;
    return err;
}

/* ---- to level 1: workloads as runs ---- */

/* Rows of one node, at most a batch of them, copied: they are deleted as they are read. */
struct moving { uint32_t ordinal; unsigned n; struct wr bytes; };

static bool take_row(struct scratch *s, struct moving *m, uint32_t ordinal, struct slice id, struct slice row)
{
    if (m->n == REGION_BATCH_MAX || (m->n > 0 && m->ordinal != ordinal))
        return false;
    uint8_t *at = m->bytes.p + m->bytes.len;
    wr_bytes(&m->bytes, id.p, 16);
    wr_bytes(&m->bytes, row.p, row.len);
    reeve_assert(!m->bytes.bad);
    m->ordinal = ordinal;
    s->runs.item[m->n++] = (struct run_item){ at, slice_of(at + 16, row.len) };
    return true;
}

static enum reeve_err flush_rows(struct apply *a, struct moving *m)
{
    struct run_dir d;
    if (m->n == 0)
        return REEVE_OK;
    enum reeve_err err = run_dir_get(a->kv, m->ordinal, &d);
    if (err == REEVE_OK || err == REEVE_E_NOT_FOUND)
        err = runs_add(&a->s->runs, a->kv, &d, m->n);
    m->n = 0;
    wr_reset(&m->bytes);
    return err;
}

static enum reeve_err workloads_into_runs(struct apply *a)
{
    struct moving m = { .bytes = wr_fixed(a->s->overlay.bytes, sizeof a->s->overlay.bytes) };
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    kv_iter_init(&it, a->kv, slice_of("Rk", 2));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct rd r = rd_of(slice_of(it.key + 2, it.key_len - 2));
        uint32_t ordinal = rd_u32(&r);
        struct slice id = rd_bytes(&r, 16);
        if (!rd_done(&r) || val.len <= WORKLOAD_ROW_REST || val.len > WORKLOAD_ROW_REST + 1 + NAME_MAX_LEN)
            return REEVE_E_CORRUPT;
        if (!take_row(a->s, &m, ordinal, id, val)) {
            TRY(flush_rows(a, &m));
            TRY(kv_get(a->kv, slice_of(it.key, it.key_len), &val));
            (void) take_row(a->s, &m, ordinal, id, val);
        }
        TRY(kv_del(a->kv, slice_of(it.key, it.key_len)));
    }
    err = err == REEVE_E_NOT_FOUND ? flush_rows(a, &m) : err;
out:
    return err;
}

/* ---- the command ---- */

typedef enum reeve_err raise_fn(struct apply *a);
static raise_fn *const raise_to[REGION_LEVEL_NEWEST + 1] = { [1] = workloads_into_runs, [2] = config_log_begin };

/* A level that this program does not know: the others go on with it, so this member must not. */
enum reeve_err apply_level(struct apply *a, struct rd *r)
{
    uint32_t level = rd_u32(r), now;
    enum reeve_err err;
    if (!rd_done(r))
        return refuse(a, REEVE_E_MALFORMED, "malformed command");
    if (a->dry)
        return REEVE_OK;
    if (level > region_level_max)
        return REEVE_E_CORRUPT;
    TRY(region_level(a->r, &now));
    for (; now < level; now++)
        TRY(raise_to[now + 1](a));
    TRY(meta_put(a->kv, "level", now));
    result_u32(a, now);
out:
    return err;
}
