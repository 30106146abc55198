/*
 * renew.c - automatic renewal: a new generation and a rollout of it
 *
 *   a certificate is due -> a rollout id is reserved (log) -> for shared keys a
 *   key is made (signer) -> planned from one snapshot -> submitted
 *
 * One at a time; whatever goes wrong ends the attempt, and the certificate is
 * looked at again after BACKOFF_MS. Nothing is remembered over a restart: if
 * the submission became final, the certificate has a rollout and is not due.
 */
#include "backend/ring/driver_int.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/ops.h"

#define BACKOFF_MS 60000
#define BACKOFFS_MAX 64
#define BACKDATE_MS 300000
#define SET_MEM (2 * (ATTEST_PAYLOAD_MAX + 64))

struct renew {
    struct ring *ring;
    bool busy;
    struct name cert;
    uint64_t rollout_id;
    uint32_t gen;
    struct hash32 spki_hash;
    struct { struct name cert; int64_t until_ms; } backoff[BACKOFFS_MAX];
    unsigned next_backoff;
    /* too large for a stack */
    struct cert_doc doc;
    struct authority_doc authority;
    struct rollout_doc rollout;
    struct rollout_spec spec, base;
    struct update_set set;
};

struct renew *renew_new(void)
{
    return calloc(1, sizeof(struct renew));
}

void renew_free(struct renew *n)
{
    free(n);
}

static bool backing_off(const struct renew *n, const struct name *cert, int64_t now)
{
    for (size_t i = 0; i < BACKOFFS_MAX; i++)
        if (n->backoff[i].until_ms > now && name_eq(&n->backoff[i].cert, cert))
            return true;
    return false;
}

/* The attempt is over; the certificate rests for a while in any case. */
static void finish(struct renew *n, enum reeve_err err, const struct report *rep)
{
    n->backoff[n->next_backoff].cert = n->cert;
    n->backoff[n->next_backoff].until_ms = clock_wall().ms + BACKOFF_MS;
    n->next_backoff = (n->next_backoff + 1) % BACKOFFS_MAX;
    n->busy = false;
    if (err == REEVE_OK)
        log_notice("certificate \"%s\" is being renewed by rollout %llu", n->cert.s, (unsigned long long) n->rollout_id);
    else
        log_limited(LOG_SEV_WARNING, "certificate \"%s\" could not be renewed: %s", n->cert.s,
                    rep && rep->code != REEVE_OK ? rep->message : reeve_err_text(err));
}

/* ---- planning ---- */

static const struct authority_gen *active_authority(const struct authority_doc *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->g[i].state == AUTH_ACTIVE)
            return &d->g[i];
    return NULL;
}

static enum reeve_err join_where(struct predicate *p, const struct predicate *own)
{
    bool bad = false;
    if (own->len == 0)
        return REEVE_OK;
    if ((size_t) p->len + own->len + 1 > ROLLOUT_PRED_MAX)
        return REEVE_E_TOO_COMPLEX;
    bool join = p->len > 0;
    memcpy(p->code + p->len, own->code, own->len);
    p->len = (uint16_t) (p->len + own->len);
    if (join)
        predicate_op(p, 0x20, &bad);
    return bad ? REEVE_E_TOO_COMPLEX : REEVE_OK;
}

static enum reeve_err make_spec(struct renew *n, struct ring_view *v, struct report *rep)
{
    static struct strategy_row row;
    enum reeve_err err;
    memset(&n->spec, 0, sizeof n->spec);
    memset(&n->base, 0, sizeof n->base);
    bool named = n->doc.strategy.len > 0;
    if (named) {
        TRY(region_strategy_get(&v->region, &n->doc.strategy, &row));
        TRY(rollout_spec_decode(&n->base, row.spec));
        n->spec.strategy = n->doc.strategy;
    }
    rollout_spec_default(&n->spec, named ? &n->base : NULL);
    n->spec.where_implied = n->spec.where.len == 0;
    TRY(join_where(&n->spec.where, &n->doc.where));
    err = rollout_spec_check(&n->spec, rep);
out:
    return err;
}

static enum reeve_err make_plan(struct renew *n, struct ring_view *v, uint32_t from, struct report *rep)
{
    static struct region_plan p;
    struct rollout_doc *d = &n->rollout;
    enum reeve_err err;
    TRY(region_plan_regions(&v->region, &n->spec.where, &n->doc.where, &p));
    size_t cap = p.nodes + 1;
    struct plan_source src = { region_plan_each, &v->region, calloc(cap, sizeof(uint64_t)), cap };
    if (src.scratch == NULL)
        return REEVE_E_NOMEM;
    memset(d, 0, sizeof *d);
    d->id = n->rollout_id;
    d->kind = ROLLOUT_CERT;
    d->n_targets = 1;
    d->target[0] = (struct rollout_target){ AT_CERT, n->cert, from, n->gen };
    name_set_str(&d->submitted_by, DRIVER_ACTOR);
    err = rollout_plan(&crypto_ops_real, d, &n->spec, name_slice(&n->cert), p.info, p.n, &src, rep);
    free(src.scratch);
    if (err == REEVE_OK)
        d->prepare_ms = n->doc.mode == CERT_PER_NODE ? 2000 + (uint32_t) p.nodes : 0;
out:
    return err;
}

static void make_gen(const struct renew *n, const struct authority_gen *g, struct cert_gen *out)
{
    int64_t now = clock_wall().ms, end = now + (int64_t) n->doc.validity_s * 1000;
    memset(out, 0, sizeof *out);
    out->gen = n->gen;
    out->state = GEN_PREPARED;
    out->authority_gen = g->gen;
    out->created.ms = now;
    out->not_before.ms = now - BACKDATE_MS > g->not_before.ms ? now - BACKDATE_MS : g->not_before.ms;
    out->not_after.ms = end < g->not_after.ms ? end : g->not_after.ms;
    if (n->doc.mode != CERT_PER_NODE)
        out->spki_hash = n->spki_hash;
}

static void submitted(void *arg, enum reeve_err err, const struct report *rep, uint64_t height, uint64_t first_leaf)
{
    finish(arg, err, rep);
}

static enum reeve_err submit_set(struct renew *n, struct report *rep)
{
    for (size_t i = 0; i < n->set.n; i++) {
        name_set_str(&n->set.u[i].actor, DRIVER_ACTOR);
        n->set.u[i].reason = slice_str("automatic renewal");
    }
    return ring_submit_updates(n->ring, n->set.u, n->set.n, submitted, n, rep);
}

static enum reeve_err begin(struct renew *n, struct ring_view *v, struct report *rep)
{
    struct rollout_change change = { .fresh = true };
    struct wr mem = wr_heap(SET_MEM);
    uint32_t from, next;
    enum reeve_err err;
    TRY(attest_get_cert(&v->attest, &n->cert, &n->doc, NULL));
    TRY(attest_get_authority(&v->attest, &n->doc.authority, &n->authority, NULL));
    TRY(attest_gen_numbers(&v->attest, AT_CERT, &n->cert, &from, &next));
    const struct authority_gen *g = active_authority(&n->authority);
    if (g == NULL || next != n->gen) {
        err = report_set(rep, REEVE_E_WRONG_STATE, g ? "it changed meanwhile" : "its authority has no active key");
        goto out;
    }
    TRY(make_spec(n, v, rep));
    TRY(make_plan(n, v, from, rep));
    make_gen(n, g, &change.cert);
    TRY(attest_rollout_begin(&v->attest, &n->rollout, &change, &mem, &n->set, rep));
    err = submit_set(n, rep);
out:
    wr_free(&mem);
    return err;
}

static void plan_and_submit(struct renew *n)
{
    struct ring_view v;
    struct report rep = { .code = REEVE_OK };
    enum reeve_err err = ring_view_open(n->ring, &v);
    if (err == REEVE_OK) {
        err = begin(n, &v, &rep);
        ring_view_close(&v);
    }
    if (err != REEVE_OK)
        finish(n, err, &rep);
}

/* ---- the steps before ---- */

static void key_made(void *arg, enum reeve_err err, const struct report *rep, struct slice result)
{
    struct renew *n = arg;
    if (err != REEVE_OK || result.len != 32) {
        if (err != REEVE_E_SHUTDOWN)
            finish(n, err == REEVE_OK ? REEVE_E_MALFORMED : err, rep);
        return;
    }
    memcpy(n->spki_hash.b, result.p, 32);
    plan_and_submit(n);
}

static void ask_key(struct renew *n)
{
    uint8_t mem[300];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_name(&w, &n->cert);
    wr_u32(&w, n->gen);
    wr_u8(&w, n->doc.key_type);
    enum reeve_err err = key_call(n->ring, MSG_SHARED_KEY, wr_slice(&w), key_made, n);
    if (err != REEVE_OK)
        finish(n, err, NULL);
}

/* The region's result: one item without error, its data the first id. */
static bool read_reserved(struct slice result, uint64_t *id)
{
    struct rd in = rd_of(result);
    bool ok = rd_u16(&in) == 1 && rd_u16(&in) == REEVE_OK;
    rd_str16(&in, 512);
    struct rd data = rd_of(rd_str16(&in, 64));
    *id = rd_u64(&data);
    return ok && rd_done(&in) && rd_done(&data);
}

static void reserved(void *arg, enum reeve_err err, const struct report *rep, uint64_t index, struct slice result)
{
    struct renew *n = arg;
    if (err == REEVE_OK && !read_reserved(result, &n->rollout_id))
        err = REEVE_E_BUG;
    if (err != REEVE_OK) {
        if (err != REEVE_E_SHUTDOWN)
            finish(n, err, rep);
        return;
    }
    if (n->doc.mode == CERT_PER_NODE)
        plan_and_submit(n);
    else
        ask_key(n);
}

static void attempt(struct renew *n, const struct name *cert, uint32_t gen)
{
    uint8_t mem[4];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u8(&w, 1);
    wr_u8(&w, RC_RESERVE);
    wr_u16(&w, 1);
    n->cert = *cert;
    n->gen = gen;
    n->busy = true;
    enum reeve_err err = ring_propose(&n->ring->prop, wr_slice(&w), reserved, n);
    if (err != REEVE_OK)
        finish(n, err, NULL);
}

static bool is_due(struct renew *n, const struct attest_object *o, int64_t now)
{
    if (o->update.op != 1 || !name_eq(&o->update.region, &n->ring->region_name) ||
        cert_doc_decode(&n->doc, o->update.payload) != REEVE_OK || n->doc.rollout_id != 0)
        return false;
    const struct cert_gen *g = cert_gen_find(&n->doc, n->doc.active_gen);
    return g != NULL && n->doc.renew_before_s > 0 && now >= cert_renew_at(&n->doc, g).ms;
}

void renew_run(struct ring *r, struct renew *n, struct ring_view *v)
{
    struct name after = { 0 };
    struct attest_object o;
    int64_t now = clock_wall().ms;
    uint32_t from, next;
    n->ring = r;
    while (!n->busy && attest_next(&v->attest, AT_CERT, &after, &o) == REEVE_OK) {
        struct name cert = o.update.object;
        if (is_due(n, &o, now) && !backing_off(n, &cert, now) &&
            attest_gen_numbers(&v->attest, AT_CERT, &cert, &from, &next) == REEVE_OK)
            attempt(n, &cert, next);
    }
}
