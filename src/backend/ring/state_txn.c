/* state_txn.c - runs inside one transaction: applied, refused, applied again. */
#include "backend/ring/state_int.h"

#include <stdlib.h>

#include "common/crc32c.h"

/* ---- a kv that takes notes ---- */

static enum reeve_err noted(struct state_txn *t, enum reeve_err err)
{
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND && t->bad == REEVE_OK)
        t->bad = err;
    return err;
}

static enum reeve_err op_get(void *h, struct slice key, struct slice *val)
{
    struct state_txn *t = h;
    return noted(t, kv_get(t->inner, key, val));
}

static void sum_add(struct state_txn *t, uint8_t op, struct slice key, struct slice val)
{
    uint8_t head[9];
    struct wr w = wr_fixed(head, sizeof head);
    if (!t->summing)
        return;
    wr_u8(&w, op);
    wr_u32(&w, (uint32_t) key.len);
    wr_u32(&w, (uint32_t) val.len);
    t->sum.crc = crc32c(t->sum.crc, head, w.len);
    t->sum.crc = crc32c(t->sum.crc, key.p, key.len);
    t->sum.crc = crc32c(t->sum.crc, val.p, val.len);
    t->sum.writes++;
    t->sum.bytes += key.len + val.len;
}

static enum reeve_err op_put(void *h, struct slice key, struct slice val)
{
    struct state_txn *t = h;
    t->wrote = true;
    sum_add(t, 1, key, val);
    return noted(t, kv_put(t->inner, key, val));
}

static enum reeve_err op_del(void *h, struct slice key)
{
    struct state_txn *t = h;
    t->wrote = true;
    sum_add(t, 0, key, slice_of(NULL, 0));
    return noted(t, kv_del(t->inner, key));
}

static enum reeve_err op_seek(void *h, struct slice key, int dir, bool inclusive, struct slice *key_out, struct slice *val)
{
    struct state_txn *t = h;
    return noted(t, kv_seek(t->inner, key, dir, inclusive, key_out, val));
}

static const struct kv_ops noting = { op_get, op_put, op_del, op_seek };

/* What a machine can run out of or break at; anything else comes of the command. */
static bool is_the_stores(enum reeve_err err)
{
    switch (err) {
    case REEVE_E_DISK_FULL: case REEVE_E_NOMEM: case REEVE_E_IO: case REEVE_E_CORRUPT: case REEVE_E_BUSY:
        return true;
    default:
        return false;
    }
}

/* ---- life ---- */

void state_txn_init(struct state_txn *t, struct storage *store, uint64_t index, const struct state_host *host)
{
    *t = (struct state_txn){ .store = store, .host = host, .index = index, .synced_index = index };
    t->kv = (struct kv){ &noting, t };
    t->tail = &t->first;
}

static const uint8_t sum_name[] = { 'L', 'h' };
static struct slice sum_key(void) { return slice_of(sum_name, sizeof sum_name); }

static enum reeve_err sum_load(struct state_txn *t)
{
    struct slice v;
    t->sum = (struct state_sum){ 0 };
    enum reeve_err err = kv_get(t->inner, sum_key(), &v);
    if (err == REEVE_OK) {
        struct rd r = rd_of(v);
        uint8_t version = rd_u8(&r);
        t->sum.crc = rd_u32(&r);
        t->sum.writes = rd_u64(&r);
        t->sum.bytes = rd_u64(&r);
        err = rd_done(&r) && version == 1 ? REEVE_OK : REEVE_E_CORRUPT;
    }
    t->sum_before = t->sum;
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err sum_store(struct state_txn *t)
{
    uint8_t mem[21];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (t->sum.writes == t->sum_before.writes)
        return REEVE_OK;
    wr_u8(&w, 1);
    wr_u32(&w, t->sum.crc);
    wr_u64(&w, t->sum.writes);
    wr_u64(&w, t->sum.bytes);
    return kv_put(t->inner, sum_key(), wr_slice(&w));
}

static enum reeve_err begin(struct state_txn *t)
{
    enum reeve_err err = storage_begin(t->store, STORAGE_WRITE, &t->txn);
    if (err != REEVE_OK) {
        t->txn = NULL;
        return err;
    }
    t->inner = storage_kv(t->txn);
    t->bad = REEVE_OK;
    t->wrote = false;
    t->index = t->synced_index;
    err = sum_load(t);
    if (err != REEVE_OK)
        state_txn_abort(t);
    return err;
}

void state_txn_abort(struct state_txn *t)
{
    storage_abort(t->txn);
    t->txn = NULL;
    t->index = t->synced_index;
}

enum reeve_err state_txn_commit(struct state_txn *t)
{
    if (t->txn == NULL)
        return REEVE_OK;
    enum reeve_err err = sum_store(t);
    if (err == REEVE_OK)
        err = storage_commit(t->txn);
    else
        storage_abort(t->txn);
    t->txn = NULL;
    if (err == REEVE_OK)
        t->synced_index = t->index;
    else
        t->index = t->synced_index;
    return err;
}

struct state_run *state_txn_take(struct state_txn *t)
{
    struct state_run *runs = t->first;
    t->first = NULL;
    t->tail = &t->first;
    t->n = 0;
    t->bytes = 0;
    return runs;
}

/* ---- applying ---- */

enum outcome { APPLIED, REFUSED, SPOILT, BROKEN };     /* SPOILT: refused after it had written */

static void keep_report(struct state_command *c, const struct report *rep)
{
    if (c->rep == NULL && rep->code != REEVE_OK && (c->rep = malloc(sizeof *rep)) != NULL)
        *c->rep = *rep;
}

/* The answer may be out already (early): a second time it is the same, and what the loop may be reading is left alone. */
static enum reeve_err call(struct state_txn *t, struct state_command *c, struct report *rep)
{
    struct wr again = wr_heap(STATE_RESULT_MAX), *out = c->index ? &again : &c->result;
    reeve_assert(c->index == 0 || c->index == t->index + 1);
    if (c->index == 0) {
        wr_free(&c->result);
        c->result = wr_heap(STATE_RESULT_MAX);
    }
    t->wrote = false;
    t->summing = true;
    enum reeve_err err = t->host->apply(t->host->apply_arg, &t->kv, t->index + 1, c->command, out, rep);
    t->summing = false;
    if (out->bad && t->bad == REEVE_OK)
        t->bad = REEVE_E_NOMEM;
    wr_free(&again);
    return err;
}

/* A command that was refused before is passed over: it would be again. */
static enum outcome apply_one(struct state_txn *t, struct state_command *c)
{
    struct report rep = { .code = REEVE_OK };
    if (c->err != REEVE_OK)
        return REFUSED;
    enum reeve_err err = call(t, c, &rep);
    if (is_the_stores(t->bad))
        return BROKEN;
    if (err == REEVE_OK && t->bad == REEVE_OK) {
        ++t->index;
        if (c->index == 0)
            c->index = t->index;
        return APPLIED;
    }
    c->err = err != REEVE_OK ? err : t->bad;
    keep_report(c, &rep);
    return t->wrote || t->bad != REEVE_OK ? SPOILT : REFUSED;
}

static enum outcome apply_rows(struct state_txn *t, const struct state_run *run)
{
    for (size_t i = 0; i < run->n_rows; i++) {
        struct state_row row = run->row[i];
        enum reeve_err err = row.value.len > 0 ? kv_put(&t->kv, row.key, row.value) : kv_del(&t->kv, row.key);
        if (err != REEVE_OK)
            return BROKEN;
    }
    return APPLIED;
}

/* Refused it has written in vain: everything in this transaction is done again without it. */
static enum outcome apply_replace(struct state_txn *t, struct state_run *run)
{
    if (run->replace_err != REEVE_OK)
        return APPLIED;
    enum reeve_err err = run->replace(run, t->host->apply_arg, t->txn, &t->kv, &run->index);
    if (is_the_stores(t->bad))
        return BROKEN;
    if (err == REEVE_OK && t->bad != REEVE_OK)
        err = t->bad;
    if (err == REEVE_OK) {
        t->index = run->index;
        return sum_load(t) == REEVE_OK ? APPLIED : BROKEN;
    }
    run->replace_err = err;
    return SPOILT;
}

static enum outcome apply_commands(struct state_txn *t, const struct state_run *run)
{
    for (struct state_command *c = run->first; c; c = c->next) {
        enum outcome o = apply_one(t, c);
        if (o == SPOILT || o == BROKEN)
            return o;
    }
    return apply_rows(t, run);
}

static enum outcome apply_run(struct state_txn *t, struct state_run *run)
{
    enum outcome o = run->replace ? apply_replace(t, run) : apply_commands(t, run);
    if (o == APPLIED && (run->sum.crc != t->sum.crc || run->sum.writes != t->sum.writes))
        run->sum = t->sum;              /* a second time it is the same, and the loop may be reading it */
    return o;
}

static enum outcome apply_all(struct state_txn *t)
{
    enum outcome o = APPLIED;
    for (struct state_run *run = t->first; run && o == APPLIED; run = run->next)
        o = apply_run(t, run);
    return o;
}

static enum reeve_err broken(struct state_txn *t)
{
    enum reeve_err err = t->bad != REEVE_OK ? t->bad : REEVE_E_BUG;
    state_txn_abort(t);
    return err;
}

/* Each round leaves out one command more, so it ends. */
enum reeve_err state_txn_again(struct state_txn *t)
{
    for (;;) {
        if (t->txn)
            state_txn_abort(t);
        enum reeve_err err = begin(t);
        if (err != REEVE_OK)
            return err;
        enum outcome o = apply_all(t);
        if (o == APPLIED)
            return REEVE_OK;
        if (o == BROKEN)
            return broken(t);
    }
}

enum reeve_err state_txn_add(struct state_txn *t, struct state_run *run)
{
    run->next = NULL;
    *t->tail = run;
    t->tail = &run->next;
    t->n += run->n;
    t->bytes += run->bytes;
    enum reeve_err err = t->txn ? REEVE_OK : begin(t);
    if (err != REEVE_OK)
        return err;
    switch (apply_run(t, run)) {
    case SPOILT: return state_txn_again(t);
    case BROKEN: return broken(t);
    default: return REEVE_OK;
    }
}
