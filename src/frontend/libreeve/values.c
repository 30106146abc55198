/*
 * values.c - config values as the region sends them, and which of them this node uses
 *
 * Values of one key stand together in the list. A key of an attested class is
 * used only with the digest that its attested object names.
 */
#include "agent_int.h"

#include <stdlib.h>

#include "common/text.h"

static void value_free(struct value *v)
{
    free((void *) v->bytes.p);
    free(v);
}

void values_free(struct agent *a)
{
    while (a->values != NULL) {
        struct value *v = a->values;
        a->values = v->next;
        value_free(v);
    }
    a->n_values = 0;
}

static struct value **place_of(struct agent *a, const struct name *key)
{
    struct value **at = &a->values;
    while (*at != NULL && !name_eq(&(*at)->key, key))
        at = &(*at)->next;
    return *at ? at : &a->values;
}

enum reeve_err value_add(struct agent *a, const struct name *key, const struct value *like, struct slice bytes)
{
    if (a->n_values >= AGENT_VALUES_MAX)
        return REEVE_E_TOO_BIG;
    struct value *v = calloc(1, sizeof *v);
    uint8_t *copy = bytes_copy(bytes);
    if (v == NULL || copy == NULL) {
        free(v);
        free(copy);
        return REEVE_E_NOMEM;
    }
    struct value **at = place_of(a, key);
    *v = *like;
    v->key = *key;
    v->bytes = slice_of(copy, bytes.len);
    v->next = *at;
    *at = v;
    a->n_values++;
    return REEVE_OK;
}

static void drop_where(struct agent *a, const struct name *key, bool unseen)
{
    for (struct value **at = &a->values; *at != NULL;) {
        struct value *v = *at;
        if (key != NULL ? !name_eq(&v->key, key) : !(unseen && !v->seen)) {
            at = &v->next;
            continue;
        }
        *at = v->next;
        cache_del_value(a, v);
        value_free(v);
        a->n_values--;
    }
}

/* First what was held of the keys goes, then the new values come: a key's values replace it whole. */
static enum reeve_err take(struct agent *a, struct wire_list list)
{
    struct wire_value w;
    struct wire_list again = list;
    struct name key;
    while (wire_list_next(&again, WG_VALUE, &w))
        if (name_set(&key, w.key))
            drop_where(a, &key, false);
    while (wire_list_next(&list, WG_VALUE, &w)) {
        struct value like = { .gen = (uint32_t) w.gen, .state = w.state, .type = w.type, .revision = w.revision, .seen = true };
        if (w.state == 3 || !name_set(&key, w.key))
            continue;
        enum reeve_err err = value_add(a, &key, &like, w.value);
        if (err != REEVE_OK)
            return err;
        cache_put_value(a, *place_of(a, &key));
    }
    return REEVE_OK;
}

static void whole(struct agent *a, const struct wire_config *w)
{
    if (w->kind == 2)
        drop_where(a, NULL, true);
    a->snapshot_open = false;
    a->epoch = w->epoch;
    a->revision = w->revision;
    a->config_ms = ag_mono(a);
    cache_put_meta(a);
}

void on_config(struct agent *a, const struct wire_config *w, bool more)
{
    if (w->kind == 2 && !a->snapshot_open) {
        for (struct value *v = a->values; v != NULL; v = v->next)
            v->seen = false;
        a->snapshot_open = true;
    }
    enum reeve_err err = take(a, w->values);
    if (err != REEVE_OK) {
        conn_fail(a, WE_TOO_BIG, "more config values than an agent keeps");
        return;
    }
    if (!more)
        whole(a, w);
    a->values_changed = a->decide_due = true;
}

/* ---- the choice ---- */

bool key_attested(const struct agent *a, const struct name *key)
{
    static const char always[] = "security/";
    size_t best = 0;
    bool attested = key->len >= sizeof always - 1 && memcmp(key->s, always, sizeof always - 1) == 0;
    if (attested)
        return true;
    for (const struct held *h = a->held; h != NULL; h = h->next) {
        struct class_doc d;
        struct slice payload;
        if (h->type != AT_CLASS || h->name.len < best || key->len < h->name.len || memcmp(key->s, h->name.s, h->name.len) != 0)
            continue;
        if (held_payload(a, AT_CLASS, &h->name, &payload) && class_doc_decode(&d, payload) == REEVE_OK) {
            best = h->name.len;
            attested = d.attested;
        }
    }
    return attested;
}

static const struct value *with_state(const struct agent *a, const struct name *key, uint8_t state)
{
    for (const struct value *v = a->values; v != NULL; v = v->next)
        if (v->state == state && name_eq(&v->key, key))
            return v;
    return NULL;
}

static const struct value *with_gen(const struct agent *a, const struct name *key, uint32_t gen)
{
    for (const struct value *v = a->values; v != NULL; v = v->next)
        if (v->gen == gen && name_eq(&v->key, key))
            return v;
    return NULL;
}

static enum reeve_err pick_attested(const struct agent *a, const struct name *key, const struct config_doc *d, uint32_t gen,
                                    const struct value **out)
{
    struct hash32 digest;
    for (uint8_t i = 0; i < d->n; i++) {
        if (d->g[i].gen != gen || d->g[i].absent)
            continue;
        const struct value *v = with_gen(a, key, gen);
        if (v == NULL)
            return REEVE_E_NOT_FOUND;
        sha256(&digest, v->bytes);
        if (!hash32_eq(&digest, &d->g[i].digest))
            return REEVE_E_V_LEAF;
        *out = v;
        return REEVE_OK;
    }
    return REEVE_E_NOT_FOUND;
}

enum reeve_err value_pick(const struct agent *a, const struct name *key, const struct value **out)
{
    struct config_doc d;
    struct slice payload;
    struct rollout_doc r;
    bool attested = key_attested(a, key);
    *out = with_state(a, key, 1);
    if (!held_payload(a, AT_CONFIG, key, &payload) || config_doc_decode(&d, payload) != REEVE_OK)
        return attested ? REEVE_E_V_LEAF : *out ? REEVE_OK : REEVE_E_NOT_FOUND;
    bool running = rollout_of(a, d.rollout_id, &r);
    struct node_view view = ag_view(a, running ? &r.target[0].name : key);
    uint32_t gen = config_gen_for(&d, running ? &r : NULL, key, &view);
    if (attested)
        return pick_attested(a, key, &d, gen, out);
    const struct value *chosen = running ? with_gen(a, key, gen) : NULL;
    if (chosen != NULL)
        *out = chosen;
    return *out ? REEVE_OK : REEVE_E_NOT_FOUND;
}
