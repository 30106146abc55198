/* runs_read.c - directories, cursors, and what several runs say together. */
#include "engine/region/region_int.h"

/* ---- keys and directories ---- */

void run_chunk_key(struct rkey *k, uint32_t ordinal, uint64_t run, uint32_t chunk)
{
    rkey_u32(k, 'j', ordinal);
    wr_u64(&k->w, run);
    wr_u32(&k->w, chunk);
}

static enum reeve_err dir_decode(struct run_dir *d, struct slice v)
{
    struct rd r = rd_of(v);
    d->n = rd_u8(&r);
    if (d->n == 0 || d->n >= RUNS_MAX)
        return REEVE_E_CORRUPT;
    for (unsigned i = 0; i < d->n; i++) {
        d->ref[i] = (struct run_ref){ .run = rd_u64(&r), .chunks = rd_u32(&r) };
        if (d->ref[i].chunks == 0 || (i > 0 && d->ref[i].run <= d->ref[i - 1].run))
            return REEVE_E_CORRUPT;
    }
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

enum reeve_err run_dir_get(struct kv *kv, uint32_t ordinal, struct run_dir *out)
{
    struct rkey k;
    struct slice v;
    rkey_u32(&k, 'j', ordinal);
    out->ordinal = ordinal;
    out->n = 0;
    enum reeve_err err = kv_get(kv, rkey_slice(&k), &v);
    return err == REEVE_OK ? dir_decode(out, v) : err;
}

/* ---- one run ---- */

static bool entry_ok(const struct run_entry *e)
{
    return e->kind == RUN_DELETED ? e->row.len == 0
                                  : (e->kind == RUN_ROW || e->kind == RUN_ANEW) && e->row.len > WORKLOAD_ROW_REST;
}

static bool entry_read(struct run_entry *e, struct slice in, size_t *pos)
{
    struct rd r = rd_of(slice_of(in.p + *pos, in.len - *pos));
    e->id = rd_bytes(&r, 16).p;
    e->kind = rd_u8(&r);
    e->row = rd_str16(&r, RUN_CHUNK_MAX);
    *pos = in.len - rd_left(&r);
    return !r.bad && entry_ok(e);
}

static enum reeve_err chunk_load(struct run_merge *m, struct run_cursor *c)
{
    struct rkey k;
    struct slice v;
    run_chunk_key(&k, m->ordinal, c->ref.run, c->chunk);
    enum reeve_err err = kv_get(m->kv, rkey_slice(&k), &v);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_E_CORRUPT : err;
    if (v.len == 0 || v.len > sizeof c->buf)
        return REEVE_E_CORRUPT;
    memcpy(c->buf, v.p, v.len);
    c->len = v.len;
    c->pos = 0;
    c->chunk++;
    return REEVE_OK;
}

static enum reeve_err advance(struct run_merge *m, struct run_cursor *c)
{
    if (c->pos == c->len && c->chunk == c->ref.chunks) {
        c->end = true;
        return REEVE_OK;
    }
    if (c->pos == c->len) {
        enum reeve_err err = chunk_load(m, c);
        if (err != REEVE_OK)
            return err;
    }
    return entry_read(&c->at, slice_of(c->buf, c->len), &c->pos) ? REEVE_OK : REEVE_E_CORRUPT;
}

/* ---- several ---- */

enum reeve_err run_merge_begin(struct run_merge *m, struct kv *kv, const struct run_dir *dir, unsigned first)
{
    m->kv = kv;
    m->ordinal = dir->ordinal;
    m->begun = false;
    m->n = dir->n - first;
    for (unsigned i = 0; i < m->n; i++) {
        struct run_cursor *c = &m->cursor[i];
        c->ref = dir->ref[first + i];
        c->chunk = 0;
        c->len = c->pos = 0;
        c->end = false;
        enum reeve_err err = advance(m, c);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

static uint64_t epoch_of(const struct run_entry *e)
{
    struct rd r = rd_of(slice_of(e->row.p + e->row.len - WORKLOAD_EPOCH_FROM_END, 8));
    return rd_u64(&r);
}

struct run_entry run_fold(const struct run_entry *old, const struct run_entry *new)
{
    struct run_entry e = *new;
    if (new->kind != RUN_ROW)
        return e;
    if (old->kind != RUN_DELETED && epoch_of(old) > epoch_of(new))
        return *old;
    e.kind = old->kind == RUN_ROW ? RUN_ROW : RUN_ANEW;
    return e;
}

enum reeve_err run_merge_add(struct run_merge *m, size_t len)
{
    reeve_assert(m->n < RUNS_MAX && len > 0);
    struct run_cursor *c = &m->cursor[m->n++];
    c->ref = (struct run_ref){ 0, 0 };
    c->chunk = 0;
    c->len = len;
    c->pos = 0;
    c->end = false;
    return advance(m, c);
}

/* Past the id handed out last, in every run that has it (J1: what follows is larger). */
static enum reeve_err move_on(struct run_merge *m)
{
    for (unsigned i = 0; i < m->n; i++) {
        struct run_cursor *c = &m->cursor[i];
        if (c->end || memcmp(c->at.id, m->id, sizeof m->id) != 0)
            continue;
        enum reeve_err err = advance(m, c);
        if (err == REEVE_OK && !c->end && memcmp(c->at.id, m->id, sizeof m->id) <= 0)
            err = REEVE_E_CORRUPT;
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

static const uint8_t *smallest(const struct run_merge *m)
{
    const uint8_t *id = NULL;
    for (unsigned i = 0; i < m->n; i++)
        if (!m->cursor[i].end && (id == NULL || memcmp(m->cursor[i].at.id, id, 16) < 0))
            id = m->cursor[i].at.id;
    return id;
}

/* Cursors stand in order of age. */
enum reeve_err run_merge_next(struct run_merge *m, struct run_entry *out)
{
    enum reeve_err err = m->begun ? move_on(m) : REEVE_OK;
    const uint8_t *id = smallest(m);
    bool any = false;
    if (err != REEVE_OK)
        return err;
    if (id == NULL)
        return REEVE_E_NOT_FOUND;
    memcpy(m->id, id, sizeof m->id);
    m->begun = true;
    for (unsigned i = 0; i < m->n; i++) {
        struct run_cursor *c = &m->cursor[i];
        if (c->end || memcmp(c->at.id, m->id, sizeof m->id) != 0)
            continue;
        *out = any ? run_fold(out, &c->at) : c->at;
        any = true;
    }
    return REEVE_OK;
}
