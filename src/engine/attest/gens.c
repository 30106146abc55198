/* gens.c - generations, rules and who serves what, the same for certificates and config keys. */
#include "gens_int.h"
#include "common/text.h"

struct gens cert_gens(struct cert_doc *d)
{
    return (struct gens){
        .type = AT_CERT, .active_gen = &d->active_gen, .rollout_id = &d->rollout_id, .n_rules = &d->n_rules, .n = &d->n,
        .rule = d->rule, .max = CERT_GENS_MAX, .first = (uint8_t *) d->g, .stride = sizeof *d->g,
        .gen_at = offsetof(struct cert_gen, gen), .state_at = offsetof(struct cert_gen, state),
    };
}

struct gens config_gens(struct config_doc *d)
{
    return (struct gens){
        .type = AT_CONFIG, .active_gen = &d->active_gen, .rollout_id = &d->rollout_id, .n_rules = &d->n_rules,
        .n = &d->n, .rule = d->rule, .max = CONFIG_GENS_MAX, .first = (uint8_t *) d->g, .stride = sizeof *d->g,
        .gen_at = offsetof(struct config_gen, gen), .state_at = offsetof(struct config_gen, state),
    };
}

uint32_t gens_number(const struct gens *v, uint8_t i)
{
    uint32_t gen;
    memcpy(&gen, v->first + i * v->stride + v->gen_at, sizeof gen);
    return gen;
}

uint8_t gens_state(const struct gens *v, uint8_t i)
{
    return v->first[i * v->stride + v->state_at];
}

void gens_set_state(struct gens *v, uint8_t i, uint8_t state)
{
    v->first[i * v->stride + v->state_at] = state;
}

int gens_find(const struct gens *v, uint32_t gen)
{
    for (uint8_t i = 0; i < *v->n; i++)
        if (gens_number(v, i) == gen)
            return i;
    return -1;
}

static bool in_use(const struct gens *v, uint32_t gen)
{
    for (uint8_t i = 0; i < *v->n_rules; i++)
        if (v->rule[i].gen == gen)
            return true;
    return gen == *v->active_gen;
}

bool gens_consistent(const struct gens *v)
{
    for (uint8_t i = 0; i < *v->n_rules; i++)
        if (gens_find(v, v->rule[i].gen) < 0)
            return false;
    if (*v->active_gen != 0 && gens_find(v, *v->active_gen) < 0)
        return false;
    for (uint8_t i = 0; i < *v->n; i++)
        if ((gens_state(v, i) == GEN_ACTIVE) != in_use(v, gens_number(v, i)))
            return false;
    return true;
}

const struct rollout_target *gens_target(const struct gens *v, const struct rollout_doc *r, const struct name *object)
{
    for (uint8_t i = 0; r != NULL && i < r->n_targets; i++)
        if (r->target[i].type == v->type && name_eq(&r->target[i].name, object))
            return &r->target[i];
    return NULL;
}

uint32_t gens_for(const struct gens *v, const struct rollout_doc *r, const struct name *object, const struct node_view *n)
{
    struct slice id = slice_str(n->id_text);
    bool running = r != NULL && *v->rollout_id != 0 && r->id == *v->rollout_id;
    const struct rollout_target *t = running ? gens_target(v, r, object) : NULL;
    if (t != NULL && rollout_includes(r, &n->region, n->labels, id, n->cohort)) {
        int i = gens_find(v, t->to_gen);
        if (i >= 0 && gens_state(v, (uint8_t) i) != GEN_REVOKED)
            return t->to_gen;
    }
    for (uint8_t i = *v->n_rules; i > 0; i--)
        if (predicate_holds(&v->rule[i - 1].where, &n->region, n->labels, id))
            return v->rule[i - 1].gen;
    return *v->active_gen;
}

uint32_t cert_gen_for(const struct cert_doc *d, const struct rollout_doc *r, const struct name *object,
                      const struct node_view *n)
{
    if (!predicate_holds(&d->where, &n->region, n->labels, slice_str(n->id_text)))
        return 0;
    struct gens v = cert_gens((struct cert_doc *) d);
    return gens_for(&v, r, object, n);
}

uint32_t config_gen_for(const struct config_doc *d, const struct rollout_doc *r, const struct name *object,
                        const struct node_view *n)
{
    struct gens v = config_gens((struct config_doc *) d);
    return gens_for(&v, r, object, n);
}
