/* cat.c - helpers of the scans. */
#include "cat_int.h"

#include "backend/access/access.h"

#include <stdarg.h>

static enum reeve_err open_with(struct cat *c, struct vscan *s,
                                enum reeve_err (*open)(struct session *s, struct snap *out, struct report *rep))
{
    memset(c, 0, sizeof *c);
    c->s = s;
    c->o = arena_alloc(s->arena, sizeof *c->o);
    if (c->o == NULL)
        return report_set(s->report, REEVE_E_NOMEM, "out of memory");
    return open(s->session, &c->sn, s->report);
}

enum reeve_err cat_open(struct cat *c, struct vscan *s) { return open_with(c, s, snap_open); }
enum reeve_err cat_open_local(struct cat *c, struct vscan *s) { return open_with(c, s, snap_open_local); }

void cat_close(struct cat *c)
{
    snap_close(&c->sn);
}

bool cat_may_see(struct cat *c, enum grant_kind kind, const struct name *object)
{
    const struct session *ses = c->s->session;
    if (c->whole_kind != kind) {
        c->whole_kind = (uint8_t) kind;
        c->whole = access_check_region(&c->sn.region, ses, PRIV_SELECT, kind, NULL, NULL) == REEVE_OK;
    }
    return c->whole || access_check_region(&c->sn.region, ses, PRIV_SELECT, kind, object, NULL) == REEVE_OK;
}

void *cat_alloc(struct cat *c, size_t size, enum reeve_err *err)
{
    void *p = arena_alloc(c->s->arena, size);
    *err = p ? REEVE_OK : report_set(c->s->report, REEVE_E_NOMEM, "out of memory");
    return p;
}

enum reeve_err cat_next_object(struct cat *c, enum attest_type type, struct name *after)
{
    enum reeve_err err;
    do
        err = attest_next(&c->sn.attest, type, after, c->o);
    while (err == REEVE_OK && c->o->update.op != 1);
    return err;
}

struct datum d_fmt(struct vscan *s, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return d_str(arena_strdup(s->row, text));
}

struct datum d_hex(struct vscan *s, const void *p, size_t len)
{
    char *text = arena_alloc(s->row, 2 * len + 1);
    if (text == NULL || len == 0)
        return d_null();
    hex_encode(text, p, len);
    return d_str(text);
}

struct datum d_labels(struct vscan *s, const struct labels *l)
{
    struct wr w = wr_heap(65536);
    wr_text(&w, "{");
    for (unsigned i = 0; i < l->n; i++) {
        wr_text(&w, i ? ", " : "");
        json_quote(&w, name_slice(&l->l[i].key));
        wr_text(&w, ": ");
        json_quote(&w, name_slice(&l->l[i].value));
    }
    wr_text(&w, "}");
    struct datum d = d_json(arena_copy(s->row, wr_slice(&w)));
    wr_free(&w);
    return d;
}

struct datum d_names(struct vscan *s, const struct name *v, unsigned n)
{
    struct slice *out = arena_alloc(s->row, (n + 1) * sizeof *out);
    for (unsigned i = 0; out != NULL && i < n; i++)
        out[i] = name_slice(&v[i]);
    return out ? (struct datum){ .kind = D_TEXTS, .texts = { (int) n, out } } : d_null();
}
