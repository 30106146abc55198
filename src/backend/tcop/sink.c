/* sink.c - rows as RowDescription and DataRow */
#include "backend/tcop/tcop_int.h"

enum reeve_err sink_row_description(struct tcop *t, int n, const struct dest_column *cols, int nformats,
                                    const uint16_t *formats)
{
    struct wr *w = pq_begin(&t->c, 'T');
    wr_u16(w, (uint16_t) n);
    for (int i = 0; i < n; i++) {
        const struct type_info *type = type_by_oid(cols[i].type_oid);
        pq_cstr(w, cols[i].name);
        wr_u32(w, 0);                                       /* no table */
        wr_u16(w, 0);
        wr_u32(w, cols[i].type_oid);
        wr_u16(w, (uint16_t) (type ? type->len : -1));
        wr_u32(w, UINT32_MAX);                              /* no type modifier */
        wr_u16(w, format_of(nformats, formats, i));
    }
    return pq_end(&t->c);
}

static enum reeve_err sink_columns(struct dest *d, int n, const struct dest_column *cols)
{
    struct sink *k = d->arg;
    if (k->nformats > 1 && k->nformats != n)
        return REEVE_E_BUG;     /* Bind checked the number against Describe's */
    k->ncols = n;
    k->types = arena_alloc(k->t->s.stmt_arena, (size_t) (n + 1) * sizeof *k->types);
    if (k->types == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < n; i++)
        k->types[i] = cols[i].type_oid;
    return k->describe ? sink_row_description(k->t, n, cols, k->nformats, k->formats) : REEVE_OK;
}

static bool put_value(struct wr *w, uint32_t type, uint16_t format, const struct datum *v)
{
    if (v->kind == D_NULL) {
        wr_u32(w, UINT32_MAX);
        return true;
    }
    size_t at = w->len;
    wr_u32(w, 0);
    bool ok = format == 1 ? datum_out_binary(w, type, v) : datum_out_text(w, type, v);
    if (ok && !w->bad)
        wr_patch_u32(w, at, (uint32_t) (w->len - at - 4));
    return ok;
}

static enum reeve_err sink_row(struct dest *d, int n, const struct datum *v)
{
    struct sink *k = d->arg;
    if (k->t->c.dead)
        return REEVE_E_CONNECTION;
    if (n != k->ncols)
        return REEVE_E_BUG;
    struct wr *w = pq_begin(&k->t->c, 'D');
    wr_u16(w, (uint16_t) n);
    for (int i = 0; i < n; i++)
        if (!put_value(w, k->types[i], format_of(k->nformats, k->formats, i), &v[i]) && !w->bad)
            return REEVE_E_BUG;
    return pq_end(&k->t->c);
}

void sink_init(struct sink *k, struct tcop *t, bool describe, int nformats, const uint16_t *formats)
{
    *k = (struct sink){ .t = t, .describe = describe, .nformats = nformats, .formats = formats };
    k->dest = (struct dest){ .columns = sink_columns, .row = sink_row, .arg = k };
}
