/* dest.c - handing rows over, and keeping them for portals */
#include "backend/executor/dest.h"

enum reeve_err dest_columns(struct dest *d, int n, const struct dest_column *cols)
{
    d->ncolumns = n;
    return d->columns != NULL ? d->columns(d, n, cols) : REEVE_OK;
}

enum reeve_err dest_row(struct dest *d, int n, const struct datum *v)
{
    reeve_assert(n == d->ncolumns);
    enum reeve_err err = d->row != NULL ? d->row(d, n, v) : REEVE_OK;
    if (err == REEVE_OK)
        d->rows++;
    return err;
}

static enum reeve_err keep_columns(struct dest *d, int n, const struct dest_column *cols)
{
    struct rowset *rs = d->arg;
    rs->cols = arena_alloc(rs->arena, sizeof *cols * (size_t) (n ? n : 1));
    if (rs->cols == NULL)
        return REEVE_E_NOMEM;
    rs->ncols = n;
    for (int i = 0; i < n; i++) {
        rs->cols[i].type_oid = cols[i].type_oid;
        rs->cols[i].name = arena_strdup(rs->arena, cols[i].name);
        if (rs->cols[i].name == NULL)
            return REEVE_E_NOMEM;
    }
    return REEVE_OK;
}

static enum reeve_err grow(struct rowset *rs)
{
    size_t cap = rs->cap ? rs->cap * 2 : 64;
    struct datum **rows = arena_alloc(rs->arena, cap * sizeof *rows);
    if (rows == NULL)
        return REEVE_E_NOMEM;
    if (rs->nrows > 0)
        memcpy(rows, rs->rows, rs->nrows * sizeof *rows);
    rs->rows = rows;
    rs->cap = cap;
    return REEVE_OK;
}

static enum reeve_err keep_row(struct dest *d, int n, const struct datum *v)
{
    struct rowset *rs = d->arg;
    size_t before = rs->arena->used;
    enum reeve_err err = REEVE_OK;
    if (rs->nrows == rs->cap)
        TRY(grow(rs));
    struct datum *copy = arena_alloc(rs->arena, sizeof *copy * (size_t) (n ? n : 1));
    for (int i = 0; copy != NULL && i < n; i++) {
        if (!datum_copy(rs->arena, &copy[i], &v[i]))
            copy = NULL;
    }
    if (copy == NULL)
        return REEVE_E_NOMEM;
    rs->rows[rs->nrows++] = copy;
    rs->used += rs->arena->used - before;
    err = rs->used > rs->max_bytes ? REEVE_E_TOO_COMPLEX : REEVE_OK;
out:
    return err;
}

void rowset_init(struct rowset *rs, struct arena *a, size_t max_bytes)
{
    memset(rs, 0, sizeof *rs);
    rs->arena = a;
    rs->max_bytes = max_bytes;
    rs->dest = (struct dest){ .columns = keep_columns, .row = keep_row, .arg = rs };
}

const struct datum *rowset_next(struct rowset *rs)
{
    return rs->next < rs->nrows ? rs->rows[rs->next++] : NULL;
}
