/* codec.c - the pieces that spec and doc encode alike. */
#include "engine/rollout/rollout_int.h"

void rd_opt_name(struct rd *r, struct name *out)
{
    memset(out, 0, sizeof *out);
    if (rd_left(r) > 0 && *r->p == 0)
        (void) rd_u8(r);
    else
        rd_name(r, out);
}

bool rollout_rd_flag(struct rd *r)
{
    uint8_t v = rd_u8(r);
    if (v > 1)
        r->bad = true;
    return v == 1;
}

void predicate_encode(const struct predicate *p, struct wr *out)
{
    wr_str16(out, slice_of(p->code, p->len));
}

void predicate_decode(struct predicate *p, struct rd *r)
{
    struct slice s = rd_str16(r, ROLLOUT_PRED_MAX);
    memset(p, 0, sizeof *p);
    if (r->bad)
        return;
    p->len = (uint16_t) s.len;
    if (s.len > 0)
        memcpy(p->code, s.p, s.len);
    if (predicate_check(p) != REEVE_OK)
        r->bad = true;
}

static void term_encode(const struct gate_term *t, struct wr *out)
{
    wr_u8(out, t->var);
    wr_u8(out, t->cmp);
    wr_u8(out, t->unit);
    wr_u8(out, t->delta);
    wr_u32(out, t->value);
}

static void term_decode(struct gate_term *t, struct rd *r)
{
    t->var = rd_u8(r);
    t->cmp = rd_u8(r);
    t->unit = rd_u8(r);
    t->delta = rollout_rd_flag(r);
    t->value = rd_u32(r);
}

void gates_encode(const struct gate *g, uint8_t n, struct wr *out)
{
    wr_u8(out, n);
    for (unsigned i = 0; i < n; i++) {
        wr_u8(out, g[i].action);
        wr_u8(out, g[i].n_terms);
        for (unsigned k = 0; k < g[i].n_terms; k++)
            term_encode(&g[i].term[k], out);
        wr_u32(out, g[i].sample);
    }
}

static void gate_decode(struct gate *g, struct rd *r)
{
    g->action = rd_u8(r);
    g->n_terms = rd_u8(r);
    if (g->n_terms > ROLLOUT_TERMS_MAX) {
        g->n_terms = 0;
        r->bad = true;
    }
    for (unsigned k = 0; k < g->n_terms; k++)
        term_decode(&g->term[k], r);
    g->sample = rd_u32(r);
    if (!r->bad && gate_check(g, NULL) != REEVE_OK)
        r->bad = true;
}

uint8_t gates_decode(struct gate *g, struct rd *r)
{
    uint8_t n = rd_u8(r);
    if (n > ROLLOUT_GATES_MAX)
        r->bad = true;
    for (unsigned i = 0; i < n && !r->bad; i++)
        gate_decode(&g[i], r);
    return r->bad ? 0 : n;
}
