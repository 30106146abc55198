/* runs.c - a batch becomes a run, and the newest runs become one. */
#include "engine/region/region_int.h"

/* ---- a run being written ---- */

struct run_writer { struct kv *kv; uint32_t ordinal; struct run_ref ref; struct wr w; };

static struct run_writer run_begin(struct runs_scratch *s, struct kv *kv, uint32_t ordinal, uint64_t run)
{
    return (struct run_writer){ kv, ordinal, { run, 0 }, wr_fixed(s->chunk, sizeof s->chunk) };
}

static enum reeve_err chunk_put(struct run_writer *rw)
{
    struct rkey k;
    run_chunk_key(&k, rw->ordinal, rw->ref.run, rw->ref.chunks++);
    enum reeve_err err = put_bytes(rw->kv, &k, wr_slice(&rw->w));
    wr_reset(&rw->w);
    return err;
}

static void entry_write(struct wr *w, const struct run_entry *e)
{
    wr_bytes(w, e->id, 16);
    wr_u8(w, e->kind);
    wr_str16(w, e->row);
}

static enum reeve_err run_put(struct run_writer *rw, const struct run_entry *e)
{
    enum reeve_err err = REEVE_OK;
    if (rw->w.len + RUN_ENTRY_HEAD + e->row.len > RUN_CHUNK_MAX)
        err = chunk_put(rw);
    entry_write(&rw->w, e);
    reeve_assert(!rw->w.bad);
    return err;
}

static enum reeve_err run_end(struct run_writer *rw)
{
    return rw->w.len > 0 ? chunk_put(rw) : REEVE_OK;
}

/* ---- the directory ---- */

static enum reeve_err dir_put(struct kv *kv, const struct run_dir *d)
{
    uint8_t mem[1 + RUNS_MAX * 12];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct rkey k;
    rkey_u32(&k, 'j', d->ordinal);
    if (d->n == 0)
        return kv_del(kv, rkey_slice(&k));
    wr_u8(&w, d->n);
    for (unsigned i = 0; i < d->n; i++) {
        wr_u64(&w, d->ref[i].run);
        wr_u32(&w, d->ref[i].chunks);
    }
    return put_bytes(kv, &k, wr_slice(&w));
}

static uint64_t next_run(const struct run_dir *d)
{
    return d->n > 0 ? d->ref[d->n - 1].run + 1 : 0;
}

/* A run without entries is none (J2). */
static void dir_add(struct run_dir *d, struct run_ref ref)
{
    if (ref.chunks > 0)
        d->ref[d->n++] = ref;
}

/* ---- merging ---- */

/*
 * The newest runs, at least half of them, and older ones as long as they are smaller than all that is newer: so what is left
 * is larger than the result, and an entry is written about log2(chunks) / 2 times in all.
 */
static unsigned merge_from(const struct run_dir *d)
{
    unsigned first = d->n - 1;
    uint64_t newer = d->ref[first].chunks;
    while (first > 0 && (d->n - first < RUNS_MAX / 2 || d->ref[first - 1].chunks < newer))
        newer += d->ref[--first].chunks;
    return first;
}

/* At the bottom a deletion has nothing left to delete, and nothing lies below a row (J4). */
static bool settle(struct run_entry *e, bool bottom)
{
    if (bottom && e->kind == RUN_ANEW)
        e->kind = RUN_ROW;
    return !bottom || e->kind != RUN_DELETED;
}

static enum reeve_err merge_into(struct runs_scratch *s, struct run_writer *rw, bool bottom)
{
    struct run_entry e;
    enum reeve_err err;
    while ((err = run_merge_next(&s->merge, &e)) == REEVE_OK)
        if (settle(&e, bottom))
            TRY(run_put(rw, &e));
    err = err == REEVE_E_NOT_FOUND ? run_end(rw) : err;
out:
    return err;
}

static enum reeve_err run_drop(struct kv *kv, uint32_t ordinal, const struct run_ref *ref)
{
    struct rkey k;
    enum reeve_err err = REEVE_OK;
    for (uint32_t i = 0; i < ref->chunks && err == REEVE_OK; i++) {
        run_chunk_key(&k, ordinal, ref->run, i);
        err = kv_del(kv, rkey_slice(&k));
    }
    return err;
}

static enum reeve_err merge(struct runs_scratch *s, struct kv *kv, struct run_dir *d)
{
    enum reeve_err err;
    unsigned first = merge_from(d);
    struct run_writer rw = run_begin(s, kv, d->ordinal, next_run(d));
    TRY(run_merge_begin(&s->merge, kv, d, first));
    TRY(merge_into(s, &rw, first == 0));
    for (unsigned i = first; i < d->n; i++)
        TRY(run_drop(kv, d->ordinal, &d->ref[i]));
    d->n = (uint8_t) first;
    dir_add(d, rw.ref);
out:
    return err;
}

/* ---- a batch ---- */

static bool after(const struct runs_scratch *s, uint16_t a, uint16_t b)
{
    return memcmp(s->item[a].id, s->item[b].id, 16) > 0;
}

/* Merges order[at, mid) and order[mid, end), both sorted; of equals the first comes first. */
static void merge_order(struct runs_scratch *s, unsigned at, unsigned mid, unsigned end)
{
    unsigned a = at, b = mid;
    if (!after(s, s->order[mid - 1], s->order[mid]))
        return;
    for (unsigned i = at; i < end; i++)
        s->spare[i] = b == end || (a < mid && !after(s, s->order[a], s->order[b])) ? s->order[a++] : s->order[b++];
    memcpy(s->order + at, s->spare + at, (end - at) * sizeof *s->order);
}

/* Merge sort from the bottom up: stable, so an id's words stay in their order. */
static void sort_items(struct runs_scratch *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        s->order[i] = (uint16_t) i;
    for (unsigned len = 1; len < n; len *= 2)
        for (unsigned at = 0; at + len < n; at += 2 * len)
            merge_order(s, at, at + len, at + 2 * len < n ? at + 2 * len : n);
}

static struct run_entry entry_of(const struct run_item *it)
{
    return (struct run_entry){ it->id, it->row.len > 0 ? RUN_ROW : RUN_DELETED, it->row };
}

/* The batch's next id; its words become one entry. */
static struct run_entry next_said(const struct runs_scratch *s, unsigned *i, unsigned n)
{
    struct run_entry e = entry_of(&s->item[s->order[*i]]);
    while (++*i < n && memcmp(s->item[s->order[*i]].id, e.id, 16) == 0) {
        struct run_entry next = entry_of(&s->item[s->order[*i]]);
        e = run_fold(&e, &next);
    }
    return e;
}

static enum reeve_err write_batch(struct runs_scratch *s, struct run_writer *rw, unsigned n, bool bottom)
{
    for (unsigned i = 0; i < n;) {
        struct run_entry e = next_said(s, &i, n);
        enum reeve_err err = settle(&e, bottom) ? run_put(rw, &e) : REEVE_OK;
        if (err != REEVE_OK)
            return err;
    }
    return run_end(rw);
}

static enum reeve_err add_run(struct runs_scratch *s, struct kv *kv, struct run_dir *d, unsigned n)
{
    struct run_writer rw = run_begin(s, kv, d->ordinal, next_run(d));
    enum reeve_err err = write_batch(s, &rw, n, d->n == 0);
    if (err != REEVE_OK)
        return err;
    dir_add(d, rw.ref);
    if (d->n == RUNS_MAX)
        TRY(merge(s, kv, d));
    err = dir_put(kv, d);
out:
    return err;
}

/* The batch as a chunk of a run of its own, in the cursor behind those of the merge. False: more than `room` bytes. */
static bool batch_as_run(struct runs_scratch *s, unsigned n, size_t room)
{
    struct wr w = wr_fixed(s->merge.cursor[s->merge.n].buf, room);
    for (unsigned i = 0; i < n;) {
        struct run_entry e = next_said(s, &i, n);
        entry_write(&w, &e);
    }
    return !w.bad && run_merge_add(&s->merge, w.len) == REEVE_OK;
}

/*
 * A small batch goes into the newest run while that is small too: a host that says one word at a time has one row, that is
 * written in its place, and no directory to write. *done: it did.
 */
static enum reeve_err absorb(struct runs_scratch *s, struct kv *kv, struct run_dir *d, unsigned n, bool *done)
{
    *done = false;
    if (d->n == 0 || d->ref[d->n - 1].chunks > 1 || n > RUN_SMALL_MAX / RUN_ENTRY_HEAD)
        return REEVE_OK;
    struct run_ref *newest = &d->ref[d->n - 1];
    enum reeve_err err = run_merge_begin(&s->merge, kv, d, d->n - 1);
    size_t len = s->merge.cursor[0].len;
    if (err != REEVE_OK || len >= RUN_SMALL_MAX || !batch_as_run(s, n, RUN_SMALL_MAX - len))
        return err;
    struct run_writer rw = run_begin(s, kv, d->ordinal, newest->run);
    TRY(merge_into(s, &rw, d->n == 1));
    *done = true;
    if (rw.ref.chunks > 0)
        return REEVE_OK;
    TRY(run_drop(kv, d->ordinal, newest));
    d->n--;
    err = dir_put(kv, d);
out:
    return err;
}

enum reeve_err runs_add(struct runs_scratch *s, struct kv *kv, struct run_dir *d, unsigned n)
{
    bool done;
    reeve_assert(n <= REGION_BATCH_MAX);
    sort_items(s, n);
    enum reeve_err err = absorb(s, kv, d, n, &done);
    return err != REEVE_OK || done ? err : add_run(s, kv, d, n);
}

enum reeve_err runs_drop(struct kv *kv, uint32_t ordinal)
{
    struct rkey k;
    rkey_u32(&k, 'j', ordinal);
    return del_prefix(kv, &k);
}
