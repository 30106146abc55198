/*
 * check_cert.c - certificates. From the difference between two versions it is
 * read what was meant; the same edit is made again here, and the payload must
 * be exactly its result. So no rule stands twice.
 */
#include "check_int.h"
#include "common/text.h"

/* The authority must be able to issue this generation now, for as long as it is to last. */
static enum reeve_err fresh_gen_ok(struct check *k, const struct cert_doc *d, const struct cert_gen *g)
{
    struct authority_gen *by;
    enum reeve_err err = check_authority_gen(k, &d->authority, g->authority_gen, &by);
    if (err != REEVE_OK)
        return err;
    if (by == NULL || by->state != AUTH_ACTIVE)
        return refuse(k->rep, REEVE_E_V_UPDATE, "generation %u of authority '%s' is not active", g->authority_gen,
                      d->authority.s);
    if (g->not_after.ms > by->not_after.ms)
        return refuse(k->rep, REEVE_E_V_UPDATE, "generation %u would outlive its authority", g->gen);
    if (g->not_after.ms <= k->time.ms)
        return refuse(k->rep, REEVE_E_V_EXPIRED, "generation %u has expired", g->gen);
    return REEVE_OK;
}

/* A rollout may lead back to a generation that is still valid and whose issuer is still trusted. */
static enum reeve_err target_gen_ok(struct check *k, struct cert_doc *d, uint32_t gen)
{
    struct cert_gen *g = cert_gen_find(d, gen);
    struct authority_gen *by;
    if (g == NULL)
        return REEVE_OK;        /* cert_rollout_begin says so */
    if (g->not_after.ms <= k->time.ms)
        return refuse(k->rep, REEVE_E_V_EXPIRED, "generation %u of '%s' has expired", gen, k->now.object.s);
    enum reeve_err err = check_authority_gen(k, &d->authority, g->authority_gen, &by);
    if (err != REEVE_OK)
        return err;
    if (by == NULL || by->state == AUTH_REVOKED)
        return refuse(k->rep, REEVE_E_V_REVOKED, "the authority of generation %u is revoked", gen);
    return REEVE_OK;
}

/* The last generation of n if it is newer than all that were ever given. */
static struct cert_gen *fresh_of(struct check *k, struct cert_doc *n)
{
    uint32_t max = k->had ? k->prev.gen_max : 0;
    return n->n > 0 && n->g[n->n - 1].gen > max ? &n->g[n->n - 1] : NULL;
}

static enum reeve_err append(struct check *k, struct cert_doc *want, struct cert_doc *n)
{
    enum reeve_err err = REEVE_OK;
    struct cert_gen *fresh = fresh_of(k, n), g;
    if (fresh == NULL)
        return REEVE_OK;
    g = *fresh;
    TRY(fresh_gen_ok(k, n, fresh));
    TRY(cert_gen_append(want, k->had ? k->prev.gen_max : 0, &g, k->rep));
out:
    return err;
}

static enum reeve_err exactly(struct check *k, const struct cert_doc *want, const char *what)
{
    struct wr w = wr_fixed(k->s->payload, sizeof k->s->payload);
    cert_doc_encode(want, &w);
    if (w.bad || !slice_eq(wr_slice(&w), k->now.payload))
        return refuse(k->rep, REEVE_E_V_UPDATE, "certificate '%s': not what %s makes of it", k->now.object.s, what);
    return REEVE_OK;
}

static void template_copy(struct cert_doc *to, const struct cert_doc *from)
{
    to->mode = from->mode;
    to->authority = from->authority;
    memcpy(to->subject, from->subject, sizeof to->subject);
    to->n_sans = from->n_sans;
    memcpy(to->san, from->san, sizeof to->san);
    to->key_type = from->key_type;
    to->validity_s = from->validity_s;
    to->renew_before_s = from->renew_before_s;
    to->overlap_s = from->overlap_s;
    to->strategy = from->strategy;
    to->where = from->where;
}

static enum reeve_err create(struct check *k, struct cert_doc *want, struct cert_doc *n)
{
    enum reeve_err err;
    struct authority_gen *unused;
    memset(want, 0, sizeof *want);
    template_copy(want, n);
    TRY(check_authority_gen(k, &n->authority, 0, &unused));
    TRY(append(k, want, n));
    if (n->active_gen != 0)
        TRY(cert_gen_activate_first(want, k->rep));
    TRY(exactly(k, want, "its creation"));
out:
    return err;
}

static enum reeve_err begin(struct check *k, struct cert_doc *want, struct cert_doc *n)
{
    enum reeve_err err;
    const struct rollout_doc *r = &k->s->rollout[1];
    TRY(append(k, want, n));
    for (uint8_t i = 0; i < r->n_targets; i++)
        if (r->target[i].type == AT_CERT && name_eq(&r->target[i].name, &k->now.object))
            TRY(target_gen_ok(k, want, r->target[i].to_gen));
    TRY(cert_rollout_begin(want, &k->now.object, r, k->rep));
    TRY(exactly(k, want, "the beginning of the rollout"));
out:
    return err;
}

static enum reeve_err end(struct check *k, struct cert_doc *want)
{
    enum reeve_err err;
    TRY(cert_rollout_end(want, &k->now.object, &k->s->rollout[1], k->rep));
    TRY(exactly(k, want, "the end of the rollout"));
    k->brakes = k->s->rollout[1].state != RS_SUCCEEDED;
out:
    return err;
}

/* Generations revoked in n; *any tells whether there is one. */
static enum reeve_err revoke(struct check *k, struct cert_doc *want, struct cert_doc *n, bool *any)
{
    enum reeve_err err = REEVE_OK;
    *any = false;
    for (uint8_t i = 0; i < n->n; i++) {
        struct cert_gen *g = cert_gen_find(want, n->g[i].gen);
        if (g == NULL || n->g[i].state != GEN_REVOKED || g->state == GEN_REVOKED)
            continue;
        *any = true;
        TRY(cert_gen_revoke(want, g->gen, n->active_gen, k->rep));
    }
    struct cert_gen *active = *any ? cert_gen_find(want, want->active_gen) : NULL;
    if (active != NULL && active->not_after.ms <= k->time.ms)
        return refuse(k->rep, REEVE_E_V_EXPIRED, "generation %u has expired", active->gen);
out:
    return err;
}

static enum reeve_err alter(struct check *k, struct cert_doc *want, struct cert_doc *n)
{
    enum reeve_err err;
    struct authority_gen *unused;
    bool any;
    TRY(revoke(k, want, n, &any));
    k->stops = any;
    if (any)
        return exactly(k, want, "the revocation");
    if (want->rollout_id != 0)
        return refuse(k->rep, REEVE_E_ROLLOUT_RUNNING, "rollout %llu is running on '%s'",
                      (unsigned long long) want->rollout_id, k->now.object.s);
    if (fresh_of(k, n) != NULL) {
        TRY(append(k, want, n));
        return exactly(k, want, "the new generation");
    }
    if (want->n > 0 && (want->mode != n->mode || !name_eq(&want->authority, &n->authority)))
        return refuse(k->rep, REEVE_E_V_UPDATE, "mode and authority of '%s' are fixed by its generations", k->now.object.s);
    TRY(check_authority_gen(k, &n->authority, 0, &unused));
    template_copy(want, n);
    TRY(exactly(k, want, "the alteration"));
out:
    return err;
}

enum reeve_err check_cert(struct check *k)
{
    enum reeve_err err;
    struct cert_doc *want = &k->s->cert[0], *n = &k->s->cert[1];
    if (cert_doc_decode(n, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "certificate document");
    if (!k->live)
        return k->member ? refuse(k->rep, REEVE_E_UNDEFINED_OBJECT, "certificate '%s' does not exist", k->now.object.s)
                      : create(k, want, n);
    if (cert_doc_decode(want, k->prev.update.payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    if (k->member)
        return k->group.begins ? begin(k, want, n) : end(k, want);
    TRY(alter(k, want, n));
out:
    return err;
}
