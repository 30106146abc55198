/*
 * decide.c - what this node should serve, from the verified objects alone
 *
 * Runs when objects, labels or values changed. It only writes down what is
 * wanted; certs.c makes it so.
 */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"

#define PREPARE_MARGIN_MS 1000
#define FIRST_SPREAD_MS   500           /* a generation nobody prepared: not all agents in one moment */

bool rollout_of(const struct agent *a, uint64_t id, struct rollout_doc *r)
{
    struct name name;
    struct slice payload;
    if (id == 0)
        return false;
    rollout_object_name(&name, id);
    return held_payload(a, AT_ROLLOUT, &name, &payload) && rollout_doc_decode(r, payload) == REEVE_OK && r->n_targets > 0;
}

struct slot *slot_get(struct agent *a, uint8_t type, const struct name *object, bool create)
{
    unsigned n = 0;
    struct slot **at = &a->slots;
    for (; *at != NULL; at = &(*at)->next, n++)
        if ((*at)->type == type && name_eq(&(*at)->object, object))
            return *at;
    if (!create || n >= AGENT_CERTS_MAX + AGENT_OBJECTS_MAX || (*at = calloc(1, sizeof **at)) == NULL)
        return NULL;
    (*at)->type = type;
    (*at)->object = *object;
    return *at;
}

void slot_free(struct slot *s)
{
    for (size_t i = 0; i < MATERIALS_MAX; i++)
        material_clear(&s->m[i]);
    free(s);
}

static const struct rollout_target *target_of(const struct rollout_doc *r, uint8_t type, const struct name *object)
{
    for (uint8_t i = 0; i < r->n_targets; i++)
        if (r->target[i].type == type && name_eq(&r->target[i].name, object))
            return &r->target[i];
    return NULL;
}

static void want(struct agent *a, struct slot *s, uint32_t gen)
{
    if (gen == s->want)
        return;
    s->want = gen;
    s->told = a->told;
    s->retries = 0;
    s->retry_ms = 0;
    if (gen != 0 && gen == s->serving)
        slot_result(a, s, gen, RESULT_DONE, 0, "");
}

/* A generation on its way is prepared before its wave, at the node's own place in prepare_ms. */
static void prepare(struct agent *a, struct slot *s, const struct rollout_doc *r, uint32_t gen)
{
    if (gen == s->prepare)
        return;
    s->prepare = gen;
    if (gen == 0 || gen == s->serving || material_find(s, gen) != NULL)
        return;
    struct material *m = material_make(a, s, gen);
    int64_t span = r->prepare_ms > 4 * PREPARE_MARGIN_MS ? r->prepare_ms - PREPARE_MARGIN_MS : r->prepare_ms * 3 / 4;
    m->state = MAT_DUE;
    m->due_ms = ag_mono(a) + (int64_t) ((double) s->cohort / (double) COHORT_END * (double) span);
}

/* Wanted and not there: now, or with a small spread where a whole fleet learns of it at once. */
static void demand(struct agent *a, struct slot *s)
{
    struct material *m = s->want ? material_find(s, s->want) : NULL;
    if (s->want == 0 || s->want == s->serving)
        return;
    if (m == NULL) {
        m = material_make(a, s, s->want);
        m->state = MAT_DUE;
        m->due_ms = ag_mono(a) + (s->serving == 0 ? ag_random_ms(FIRST_SPREAD_MS) : 0);
    } else if (m->state == MAT_DUE && m->tries == 0 && s->want == s->prepare && m->due_ms > ag_mono(a)) {
        m->due_ms = ag_mono(a);
    }
}

/* ---- a frozen region ---- */

static bool region_frozen(const struct agent *a)
{
    struct region_doc d;
    struct slice payload;
    return held_payload(a, AT_REGION, &a->region, &payload) && region_doc_decode(&d, payload) == REEVE_OK && d.state == REGION_FROZEN;
}

/*
 * What to serve, by the objects. In a frozen region nothing newer than what is served, unless that was revoked or is over; going
 * back goes on. A node that serves nothing takes what rollouts that still run do not give it.
 */
static uint32_t gen_wanted(const struct agent *a, const struct cert_doc *d, const struct rollout_doc *running, const struct name *object,
                           const struct node_view *v, uint32_t serving)
{
    uint32_t gen = cert_gen_for(d, running, object, v);
    if (gen == 0 || gen <= serving || !region_frozen(a))
        return gen;
    const struct cert_gen *g = serving != 0 ? cert_gen_find((struct cert_doc *) d, serving) : NULL;
    bool good = g != NULL && g->state != GEN_REVOKED && a->now.wall.ms < g->not_after.ms;
    return good ? serving : serving == 0 ? cert_gen_for(d, NULL, object, v) : gen;
}

static void decide_cert(struct agent *a, const struct name *object)
{
    struct cert_doc d;
    struct rollout_doc r;
    struct slice payload;
    struct slot *s = slot_get(a, AT_CERT, object, true);
    if (s == NULL)
        return;
    s->seen = true;
    if (!held_payload(a, AT_CERT, object, &payload) || cert_doc_decode(&d, payload) != REEVE_OK) {
        s->applies = false;
        s->want = 0;
        return;
    }
    bool running = rollout_of(a, d.rollout_id, &r);
    if (d.rollout_id != 0 && !running)
        return;                         /* half a picture: what is served stays */
    struct node_view v = ag_view(a, running ? &r.target[0].name : object);
    const struct rollout_target *t = running ? target_of(&r, AT_CERT, object) : NULL;
    s->cohort = v.cohort;
    s->wave = t ? rollout_wave_of(&r, &v.region, v.labels, slice_str(v.id_text), v.cohort) : 0;
    s->applies = predicate_holds(&d.where, &v.region, v.labels, slice_str(v.id_text));
    s->rollout_id = t ? r.id : 0;
    want(a, s, gen_wanted(a, &d, running ? &r : NULL, object, &v, s->serving));
    bool coming = t != NULL && s->applies && s->wave != 0 && !rollout_state_terminal(r.state) && !rollout_state_withdraws(r.state);
    prepare(a, s, &r, coming ? t->to_gen : 0);
    demand(a, s);
}

/* Does the generation say that the key is not there? */
static bool gen_absent(const struct config_doc *d, uint32_t gen)
{
    for (uint8_t i = 0; i < d->n; i++)
        if (d->g[i].gen == gen)
            return d->g[i].absent;
    return gen == 0;
}

/* A config key is "installed" by being chosen: the report says which generation that is. */
static void decide_config(struct agent *a, const struct name *key)
{
    struct config_doc d;
    struct slice payload;
    const struct value *v;
    struct rollout_doc r;
    if (!held_payload(a, AT_CONFIG, key, &payload) || config_doc_decode(&d, payload) != REEVE_OK)
        return;
    struct slot *s = slot_get(a, AT_CONFIG, key, true);
    if (s == NULL)
        return;
    s->seen = s->applies = true;
    bool running = rollout_of(a, d.rollout_id, &r);
    struct node_view view = ag_view(a, running ? &r.target[0].name : key);
    uint32_t gen = config_gen_for(&d, running ? &r : NULL, key, &view);
    s->rollout_id = running ? r.id : 0;
    s->cohort = view.cohort;
    if (gen != s->want) {
        s->want = gen;
        s->told = a->told;
        s->tried = 0;
    }
    enum reeve_err err = value_pick(a, key, &v);
    if (err == REEVE_E_V_LEAF && s->tried != gen) {
        a->stats.refused[err]++;
        ag_log(a, AGENT_LOG_ERROR, "config \"%s\": the value is not the attested one: not used", key->s);
        slot_result(a, s, gen, RESULT_REJECTED, WE_DIGEST, "the value does not match its attested digest");
        return;
    }
    bool there = err == REEVE_OK ? v->gen == gen : err == REEVE_E_NOT_FOUND && gen_absent(&d, gen);
    if (there && s->serving != gen) {
        s->serving = gen;
        slot_result(a, s, gen, RESULT_DONE, 0, "");
    }
}

static void tell_trust(struct agent *a)
{
    struct wr w = wr_heap(1 << 20);
    struct hash32 h;
    agent_trusted(a, &w);
    sha256(&h, wr_slice(&w));
    wr_free(&w);
    if (hash32_eq(&h, &a->trusted))
        return;
    a->trusted = h;
    if (a->host.trust_changed != NULL)
        a->host.trust_changed(a->host.arg, a);
}

void decide(struct agent *a)
{
    a->decide_due = false;
    a->decide_ms = NEVER_MS;
    for (struct slot *s = a->slots; s != NULL; s = s->next)
        s->seen = false;
    for (const struct held *h = a->held; h != NULL; h = h->next) {
        if (h->type == AT_CERT)
            decide_cert(a, &h->name);
        else if (h->type == AT_CONFIG)
            decide_config(a, &h->name);
    }
    for (struct slot *s = a->slots; s != NULL; s = s->next)
        if (!s->seen && a->list_known) {
            s->applies = false;
            s->want = s->prepare = 0;
        }
    if (a->host.trust_changed != NULL)
        tell_trust(a);
}

enum reeve_err agent_permits(const struct agent *a, const struct name *object, uint32_t gen)
{
    struct cert_doc d;
    struct rollout_doc r;
    struct slice payload;
    if (!held_payload(a, AT_CERT, object, &payload) || cert_doc_decode(&d, payload) != REEVE_OK)
        return REEVE_E_NOT_FOUND;
    bool running = rollout_of(a, d.rollout_id, &r);
    struct node_view v = ag_view(a, running ? &r.target[0].name : object);
    const struct cert_gen *g = cert_gen_find(&d, gen);
    const struct slot *s = slot_get((struct agent *) a, AT_CERT, object, false);
    if (gen == 0 || g == NULL || gen_wanted(a, &d, running ? &r : NULL, object, &v, s ? s->serving : 0) != gen)
        return REEVE_E_V_COHORT;
    if (g->state == GEN_REVOKED)
        return REEVE_E_V_REVOKED;
    return a->now.wall.ms >= g->not_after.ms ? REEVE_E_V_EXPIRED : REEVE_OK;
}
