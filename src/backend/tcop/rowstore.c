/*
 * rowstore.c - rows kept for portals and cursors, in memory and then a file
 *
 * A row is u32 length | per column: u8 kind | value. Datums are kept as they
 * are, so any format can be asked for when they are handed out. Nothing here
 * outlives the process.
 */
#include "backend/tcop/tcop_int.h"

#define STORE_MEM_MAX (4u << 20)
#define ROW_MAX       (256u << 20)

/* ---- one datum ---- */

static void put_texts(struct wr *w, const struct datum *d)
{
    wr_u32(w, (uint32_t) d->texts.n);
    for (int i = 0; i < d->texts.n; i++) {
        struct slice v = d->texts.v[i];
        wr_u32(w, v.p ? (uint32_t) v.len : UINT32_MAX);
        if (v.p)
            wr_bytes(w, v.p, v.len);
    }
}

static uint64_t float_bits(double f)
{
    uint64_t u;
    memcpy(&u, &f, 8);
    return u;
}

static double bits_float(uint64_t u)
{
    double f;
    memcpy(&f, &u, 8);
    return f;
}

static void put_datum(struct wr *w, const struct datum *d)
{
    wr_u8(w, (uint8_t) d->kind);
    switch (d->kind) {
    case D_NULL:
        break;
    case D_BOOL:
        wr_u8(w, d->b);
        break;
    case D_INT:
    case D_TIME:
        wr_u64(w, (uint64_t) d->i);
        break;
    case D_FLOAT:
        wr_u64(w, float_bits(d->f));
        break;
    case D_TEXT:
    case D_BYTEA:
    case D_JSON:
        wr_str32(w, d->s);
        break;
    case D_INTERVAL:
        wr_u64(w, (uint64_t) d->iv.us);
        wr_u32(w, (uint32_t) d->iv.days);
        wr_u32(w, (uint32_t) d->iv.months);
        break;
    case D_TEXTS:
        put_texts(w, d);
        break;
    }
}

static void get_texts(struct rd *r, struct arena *a, struct datum *d)
{
    uint32_t n = rd_u32(r);
    if (r->bad || n > rd_left(r) / 4) {
        r->bad = true;
        return;
    }
    struct slice *v = arena_alloc(a, (n + 1) * sizeof *v);
    for (uint32_t i = 0; v != NULL && i < n; i++) {
        uint32_t len = rd_u32(r);
        v[i] = len == UINT32_MAX ? slice_of(NULL, 0) : rd_bytes(r, len);
    }
    r->bad |= v == NULL;
    d->texts.n = (int) n;
    d->texts.v = v;
}

static void get_datum(struct rd *r, struct arena *a, struct datum *d)
{
    *d = (struct datum){ .kind = rd_u8(r) };
    switch (d->kind) {
    case D_NULL:
        break;
    case D_BOOL:
        d->b = rd_u8(r);
        break;
    case D_INT:
    case D_TIME:
        d->i = (int64_t) rd_u64(r);
        break;
    case D_FLOAT:
        d->f = bits_float(rd_u64(r));
        break;
    case D_TEXT:
    case D_BYTEA:
    case D_JSON:
        d->s = rd_str32(r, ROW_MAX);
        break;
    case D_INTERVAL:
        d->iv.us = (int64_t) rd_u64(r);
        d->iv.days = (int32_t) rd_u32(r);
        d->iv.months = (int32_t) rd_u32(r);
        break;
    case D_TEXTS:
        get_texts(r, a, d);
        break;
    }
}

/* ---- in ---- */

static enum reeve_err store_columns(struct dest *d, int n, const struct dest_column *cols)
{
    struct rowstore *rs = d->arg;
    rs->ncols = n;
    rs->cols = arena_alloc(rs->arena, (size_t) (n + 1) * sizeof *rs->cols);
    if (rs->cols == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < n; i++) {
        rs->cols[i] = cols[i];
        if ((rs->cols[i].name = arena_strdup(rs->arena, cols[i].name)) == NULL)
            return REEVE_E_NOMEM;
    }
    return REEVE_OK;
}

static enum reeve_err store_row(struct dest *d, int n, const struct datum *v)
{
    struct rowstore *rs = d->arg;
    wr_reset(&rs->row);
    wr_u32(&rs->row, 0);
    for (int i = 0; i < n; i++)
        put_datum(&rs->row, &v[i]);
    if (rs->row.bad)
        return REEVE_E_TOO_COMPLEX;
    wr_patch_u32(&rs->row, 0, (uint32_t) (rs->row.len - 4));
    rs->left++;
    return spool_put(&rs->spool, rs->row.p, rs->row.len);
}

void rowstore_init(struct rowstore *rs, struct arena *a, const char *spool_dir)
{
    *rs = (struct rowstore){ .arena = a };
    rs->dest = (struct dest){ .columns = store_columns, .row = store_row, .arg = rs };
    rs->row = wr_heap(ROW_MAX);
    spool_init(&rs->spool, spool_dir, STORE_MEM_MAX);
}

void rowstore_free(struct rowstore *rs)
{
    spool_free(&rs->spool);
    wr_free(&rs->row);
}

/* ---- out ---- */

static enum reeve_err take_row(struct rowstore *rs, struct arena *scratch, struct datum *v)
{
    uint8_t head[4];
    enum reeve_err err;
    TRY(spool_take(&rs->spool, head, 4));
    struct rd r = rd_of(slice_of(head, 4));
    uint32_t len = rd_u32(&r);
    uint8_t *p = arena_alloc(scratch, len + 1);
    if (p == NULL)
        return REEVE_E_NOMEM;
    TRY(spool_take(&rs->spool, p, len));
    r = rd_of(slice_of(p, len));
    for (int i = 0; i < rs->ncols; i++)
        get_datum(&r, scratch, &v[i]);
    err = rd_done(&r) ? REEVE_OK : REEVE_E_BUG;
    rs->left--;
out:
    return err;
}

enum reeve_err rowstore_emit(struct rowstore *rs, struct arena *scratch, uint64_t max, struct dest *to,
                             uint64_t *count)
{
    struct arena row;
    enum reeve_err err = REEVE_OK;
    struct datum *v = arena_alloc(scratch, (size_t) (rs->ncols + 1) * sizeof *v);
    if (v == NULL)
        return REEVE_E_NOMEM;
    arena_init(&row, ROW_MAX * 2ul);
    for (*count = 0; err == REEVE_OK && rs->left > 0 && (max == 0 || *count < max); ++*count) {
        err = take_row(rs, &row, v);
        if (err == REEVE_OK && to != NULL)
            err = dest_row(to, rs->ncols, v);
        arena_reset(&row);
    }
    arena_free(&row);
    return err;
}
