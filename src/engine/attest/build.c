/* build.c - updates and groups of updates as the checks want them. */
#include "state_int.h"
#include "refuse_int.h"
#include "common/text.h"

enum reeve_err update_prepare(struct attest *a, enum attest_type type, const struct name *object, struct slice payload,
                              struct update *u)
{
    struct attest_object o;
    enum reeve_err err = attest_get(a, type, object, &o);
    bool live = err == REEVE_OK && o.update.op == 1;
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return err;
    if (payload.len == 0 && !live)
        return REEVE_E_UNDEFINED_OBJECT;
    memset(u, 0, sizeof *u);
    u->type = (uint8_t) type;
    u->op = payload.len > 0 ? 1 : 2;
    u->object = *object;
    u->version = err == REEVE_OK ? o.version + 1 : 1;
    if (err == REEVE_OK)
        u->prev = o.leaf_hash;
    u->payload = payload;
    return REEVE_OK;
}

/* ---- newest documents ---- */

static enum reeve_err get_live(struct attest *a, enum attest_type type, const struct name *n, struct attest_object *o)
{
    enum reeve_err err = attest_get(a, type, n, o);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && o->update.op != 1))
        return REEVE_E_UNDEFINED_OBJECT;
    return err;
}

#define GETTER(kind, TYPE) \
    enum reeve_err attest_get_##kind(struct attest *a, const struct name *n, struct kind##_doc *d, struct attest_object *o) \
    { \
        struct attest_object mine; \
        if (o == NULL) \
            o = &mine; \
        enum reeve_err err = get_live(a, TYPE, n, o); \
        if (err != REEVE_OK) \
            return err; \
        return kind##_doc_decode(d, o->update.payload) == REEVE_OK ? REEVE_OK : REEVE_E_CORRUPT; \
    }
GETTER(cert, AT_CERT)
GETTER(authority, AT_AUTHORITY)
GETTER(config, AT_CONFIG)
GETTER(approver, AT_APPROVER)
GETTER(policy, AT_POLICY)

void rollout_object_name(struct name *out, uint64_t id)
{
    char text[20];
    size_t at = sizeof text;
    do {
        text[--at] = (char) ('0' + id % 10);
        id /= 10;
    } while (id > 0);
    bool ok = name_set(out, slice_of(text + at, sizeof text - at));
    reeve_assert(ok);
}

enum reeve_err attest_get_rollout(struct attest *a, uint64_t id, struct rollout_doc *d, struct attest_object *o)
{
    struct attest_object mine;
    struct name name;
    if (o == NULL)
        o = &mine;
    rollout_object_name(&name, id);
    enum reeve_err err = get_live(a, AT_ROLLOUT, &name, o);
    if (err != REEVE_OK)
        return err;
    return rollout_doc_decode(d, o->update.payload) == REEVE_OK ? REEVE_OK : REEVE_E_CORRUPT;
}

enum reeve_err attest_gen_numbers(struct attest *a, enum attest_type type, const struct name *object,
                                  uint32_t *from, uint32_t *next)
{
    struct attest_object o;
    struct attest_scratch *s = attest_scratch(a);
    *from = 0;
    *next = 1;
    enum reeve_err err = attest_get(a, type, object, &o);
    if (err == REEVE_E_NOT_FOUND)
        return REEVE_OK;
    if (err != REEVE_OK)
        return err;
    *next = o.gen_max + 1;
    if (o.update.op != 1)
        return REEVE_OK;
    if (type == AT_CERT) {
        TRY(cert_doc_decode(&s->cert[0], o.update.payload));
        *from = s->cert[0].active_gen;
    } else {
        TRY(config_doc_decode(&s->config[0], o.update.payload));
        *from = s->config[0].active_gen;
    }
out:
    return err;
}

/* ---- groups ---- */

/* Where each payload lies in mem; slices are set at the end, when mem moves no more. */
struct group_builder {
    struct attest *a;
    struct wr *mem;
    struct update_set *set;
    struct report *rep;
    size_t end[1 + ROLLOUT_TARGETS_MAX];
};

/* Closes the payload just written and prepares its update. */
static enum reeve_err group_add(struct group_builder *b, enum attest_type type, const struct name *object)
{
    if (b->mem->bad)
        return refuse(b->rep, REEVE_E_NOMEM, "no room for the updates' payloads");
    size_t i = b->set->n, from = i > 0 ? b->end[i - 1] : 0;
    b->end[i] = b->mem->len;
    enum reeve_err err = update_prepare(b->a, type, object, slice_of(b->mem->p + from, b->mem->len - from), &b->set->u[i]);
    b->set->n += err == REEVE_OK;
    return err;
}

static void group_close(struct group_builder *b)
{
    for (size_t i = 0; i < b->set->n; i++) {
        size_t from = i > 0 ? b->end[i - 1] : 0;
        b->set->u[i].payload = slice_of(b->mem->p + from, b->end[i] - from);
    }
}

static enum reeve_err cert_begin(struct group_builder *b, const struct rollout_doc *r, const struct name *object,
                                 const struct rollout_change *change)
{
    enum reeve_err err;
    struct attest_object o;
    struct cert_doc *d = &attest_scratch(b->a)->cert[0];
    struct cert_gen g = change->cert;
    err = attest_get_cert(b->a, object, d, &o);
    if (err != REEVE_OK)
        return refuse(b->rep, err, "certificate '%s' does not exist", object->s);
    if (change->fresh)
        TRY(cert_gen_append(d, o.gen_max, &g, b->rep));
    TRY(cert_rollout_begin(d, object, r, b->rep));
    cert_doc_encode(d, b->mem);
out:
    return err;
}

static enum reeve_err config_begin(struct group_builder *b, const struct rollout_doc *r, const struct name *object,
                                   const struct rollout_change *change)
{
    enum reeve_err err;
    struct attest_object o = { 0 };
    struct config_doc *d = &attest_scratch(b->a)->config[0];
    const struct config_gen *base = &change->base, *g = &change->config;
    memset(d, 0, sizeof *d);
    err = attest_get(b->a, AT_CONFIG, object, &o);
    if (err == REEVE_OK && o.update.op == 1)
        err = config_doc_decode(d, o.update.payload);
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return err;
    err = REEVE_OK;
    uint32_t max = o.gen_max;
    if (base->gen != 0 && base->gen != d->active_gen) {
        TRY(config_rebase(d, max, base->gen, base->absent, &base->digest, b->rep));
        max = base->gen;
    }
    if (change->fresh)
        TRY(config_gen_append(d, max, g->gen, g->absent, &g->digest, b->rep));
    TRY(config_rollout_begin(d, object, r, b->rep));
    config_doc_encode(d, b->mem);
out:
    return err;
}

static enum reeve_err target_end(struct group_builder *b, const struct rollout_doc *r, const struct rollout_target *t)
{
    enum reeve_err err;
    struct attest_scratch *s = attest_scratch(b->a);
    if (t->type == AT_CERT) {
        TRY(attest_get_cert(b->a, &t->name, &s->cert[0], NULL));
        TRY(cert_rollout_end(&s->cert[0], &t->name, r, b->rep));
        cert_doc_encode(&s->cert[0], b->mem);
    } else {
        TRY(attest_get_config(b->a, &t->name, &s->config[0], NULL));
        TRY(config_rollout_end(&s->config[0], &t->name, r, b->rep));
        config_doc_encode(&s->config[0], b->mem);
    }
out:
    return err;
}

static enum reeve_err group_open(struct group_builder *b, const struct rollout_doc *r)
{
    struct name name;
    wr_reset(b->mem);
    b->set->n = 0;
    rollout_object_name(&name, r->id);
    rollout_doc_encode(r, b->mem);
    return group_add(b, AT_ROLLOUT, &name);
}

enum reeve_err attest_rollout_begin(struct attest *a, const struct rollout_doc *r, const struct rollout_change *change,
                                    struct wr *mem, struct update_set *set, struct report *rep)
{
    enum reeve_err err;
    struct group_builder b = { .a = a, .mem = mem, .set = set, .rep = rep };
    TRY(group_open(&b, r));
    for (uint8_t i = 0; i < r->n_targets; i++) {
        const struct rollout_target *t = &r->target[i];
        if (t->type == AT_CERT)
            TRY(cert_begin(&b, r, &t->name, &change[i]));
        else
            TRY(config_begin(&b, r, &t->name, &change[i]));
        TRY(group_add(&b, (enum attest_type) t->type, &t->name));
    }
    group_close(&b);
out:
    return err;
}

enum reeve_err attest_rollout_step(struct attest *a, const struct rollout_doc *next, struct wr *mem,
                                   struct update_set *set, struct report *rep)
{
    enum reeve_err err;
    struct group_builder b = { .a = a, .mem = mem, .set = set, .rep = rep };
    TRY(group_open(&b, next));
    if (rollout_state_terminal((enum rollout_state) next->state))
        for (uint8_t i = 0; i < next->n_targets; i++) {
            TRY(target_end(&b, next, &next->target[i]));
            TRY(group_add(&b, (enum attest_type) next->target[i].type, &next->target[i].name));
        }
    group_close(&b);
out:
    return err;
}
