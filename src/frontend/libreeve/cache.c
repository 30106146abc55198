/*
 * cache.c - what stands in the store, byte by byte
 *
 * Keys: one letter, then names as they are.
 *   T                            trust_encode
 *   H                            the newest finalization verified
 *   F                            evidence of a fork (engine/attest_fork.h)
 *   M                            u8 1 | u8 enrolled | u32 ordinal | name region | u64 epoch | u64 revision | str16 resume |
 *                                u8 n { name key | u8 length, value }
 *   X                            u8 1 by client certificate, else 0 | TLS session (one made without a certificate
 *                                does not prove one when it is resumed)
 *   O type name                  u64 version | leaf
 *   V u32 gen u8 state name      u8 type | u64 revision | value
 *   S type name                  u8 1 | u32 serving | u32 tried | u8 result | u16 code | str16 error | u32 latency |
 *                                u64 rollout | u8 report due
 *   C u32 gen name               str16 key (PKCS#8 DER) | str16 leaf
 * Integers big endian. A value that does not decode is forgotten.
 */
#include "agent_int.h"

#include <stdlib.h>

#include "common/text.h"

/* ---- out ---- */

struct key { uint8_t b[STORE_KEY_MAX]; size_t len; };

static struct slice key_slice(const struct key *k)
{
    return slice_of(k->b, k->len);
}

static struct key key_of(char letter, uint32_t gen, uint8_t byte, const struct name *name)
{
    struct key k;
    struct wr w = wr_fixed(k.b, sizeof k.b);
    wr_u8(&w, (uint8_t) letter);
    if (letter == 'V' || letter == 'C')
        wr_u32(&w, gen);
    if (letter != 'C' && name != NULL)
        wr_u8(&w, byte);
    if (name != NULL)
        wr_bytes(&w, name->s, name->len);
    k.len = w.len;
    return k;
}

static void put(struct agent *a, const struct key *k, const struct wr *w)
{
    if (a->store == NULL)
        return;
    a->store_dirty = true;
    enum reeve_err err = w->bad ? REEVE_E_NOMEM : a->store->ops->put(a->store, key_slice(k), wr_slice(w));
    if (err != REEVE_OK)
        ag_log(a, AGENT_LOG_ERROR, "the cache could not be written: %s", reeve_err_text(err));
}

static void del(struct agent *a, const struct key *k)
{
    if (a->store == NULL)
        return;
    a->store_dirty = true;
    if (a->store->ops->del(a->store, key_slice(k)) != REEVE_OK)
        ag_log(a, AGENT_LOG_ERROR, "the cache could not be written");
}

void cache_commit(struct agent *a)
{
    if (a->store == NULL || !a->store_dirty)
        return;
    a->store_dirty = false;
    enum reeve_err err = a->store->ops->commit(a->store);
    if (err != REEVE_OK)
        ag_log(a, AGENT_LOG_ERROR, "the cache could not be written: %s", reeve_err_text(err));
}

void cache_put_trust(struct agent *a)
{
    struct wr w = wr_heap(1 << 18);
    struct key k = key_of('T', 0, 0, NULL);
    if (a->store != NULL) {
        trust_encode(a->trust, &w);
        put(a, &k, &w);
    }
    wr_free(&w);
}

void cache_put_head(struct agent *a)
{
    struct key k = key_of('H', 0, 0, NULL);
    put(a, &k, &a->head);
}

void cache_put_fork(struct agent *a)
{
    struct key k = key_of('F', 0, 0, NULL);
    put(a, &k, &a->fork);
}

void cache_put_meta(struct agent *a)
{
    struct wr w = wr_heap(1 << 16);
    struct key k = key_of('M', 0, 0, NULL);
    wr_u8(&w, 2);
    wr_u8(&w, a->enrolled);
    wr_u32(&w, a->ordinal);
    wr_name(&w, &a->region);
    wr_u64(&w, a->epoch);
    wr_u64(&w, a->revision);
    wr_str16(&w, wr_slice(&a->resume));
    wr_u8(&w, a->labels.n);
    for (uint8_t i = 0; i < a->labels.n; i++) {
        wr_name(&w, &a->labels.l[i].key);
        wr_u8(&w, a->labels.l[i].value.len);
        wr_bytes(&w, a->labels.l[i].value.s, a->labels.l[i].value.len);
    }
    wr_u64(&w, (uint64_t) config_confirmed_ms(a));
    put(a, &k, &w);
    wr_free(&w);
}

void cache_put_session(struct agent *a)
{
    struct key k = key_of('X', 0, 0, NULL);
    struct wr w = wr_heap(a->session.len + 1);
    (void) wr_reserve(&w, a->session.len + 1);   /* grown at once: no copy of a secret is left behind */
    wr_reset(&w);
    wr_u8(&w, a->mtls);
    wr_bytes(&w, a->session.p, a->session.len);
    put(a, &k, &w);
    secret_wipe(w.p, w.len);
    wr_free(&w);
}

void cache_put_held(struct agent *a, const struct held *h)
{
    struct wr w = wr_heap(1 << 17);
    struct key k = key_of('O', 0, h->type, &h->name);
    wr_u64(&w, h->version);
    wr_bytes(&w, h->leaf.p, h->leaf.len);
    put(a, &k, &w);
    wr_free(&w);
}

void cache_del_held(struct agent *a, const struct held *h)
{
    struct key k = key_of('O', 0, h->type, &h->name);
    del(a, &k);
}

void cache_put_value(struct agent *a, const struct value *v)
{
    struct wr w = wr_heap(1 << 17);
    struct key k = key_of('V', v->gen, v->state, &v->key);
    wr_u8(&w, v->type);
    wr_u64(&w, v->revision);
    wr_bytes(&w, v->bytes.p, v->bytes.len);
    put(a, &k, &w);
    wr_free(&w);
}

void cache_del_value(struct agent *a, const struct value *v)
{
    struct key k = key_of('V', v->gen, v->state, &v->key);
    del(a, &k);
}

void cache_put_slot(struct agent *a, const struct slot *s)
{
    uint8_t mem[512];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct key k = key_of('S', 0, s->type, &s->object);
    wr_u8(&w, 1);
    wr_u32(&w, s->serving);
    wr_u32(&w, s->tried);
    wr_u8(&w, s->result);
    wr_u16(&w, s->code);
    wr_str16(&w, slice_str(s->error));
    wr_u32(&w, s->latency_ms);
    wr_u64(&w, s->rollout_id);
    wr_u8(&w, s->report_due || s->report_reqid != 0);
    put(a, &k, &w);
}

void cache_put_material(struct agent *a, const struct slot *s, const struct material *m)
{
    uint8_t der[512], mem[sizeof der + X509_DER_MAX + 8];
    struct wr d = wr_fixed(der, sizeof der), w = wr_fixed(mem, sizeof mem);
    struct key k = key_of('C', m->gen, 0, &s->object);
    if (a->store != NULL && xkey_to_der(m->key, &d) == REEVE_OK) {
        wr_str16(&w, wr_slice(&d));
        wr_str16(&w, m->leaf);
        put(a, &k, &w);
    }
    secret_wipe(der, sizeof der);
    secret_wipe(mem, sizeof der + 2);
}

void cache_del_material(struct agent *a, const struct slot *s, uint32_t gen)
{
    struct key k = key_of('C', gen, 0, &s->object);
    del(a, &k);
}

/* ---- in ---- */

static bool load_meta(struct agent *a, struct slice v)
{
    struct rd r = rd_of(v);
    uint8_t version = rd_u8(&r);
    a->enrolled = rd_u8(&r) == 1;
    a->ordinal = rd_u32(&r);
    rd_name(&r, &a->region);
    a->epoch = rd_u64(&r);
    a->revision = rd_u64(&r);
    struct slice resume = rd_str16(&r, 64);
    a->labels.n = rd_u8(&r);
    for (uint8_t i = 0; i < a->labels.n && i < ROLLOUT_LABELS_MAX; i++) {
        rd_name(&r, &a->labels.l[i].key);
        struct slice value = rd_bytes(&r, rd_u8(&r));
        if (!r.bad && !name_set(&a->labels.l[i].value, value))
            r.bad = true;
    }
    wr_bytes(&a->resume, resume.p, resume.len);
    a->config_wall_ms = version == 1 ? 0 : (int64_t) rd_u64(&r);      /* 1: before there was one */
    return rd_done(&r) && (version == 1 || version == 2);
}

static bool load_held(struct agent *a, struct rd *key, struct slice v)
{
    struct rd r = rd_of(v);
    struct name name;
    struct update u;
    uint8_t type = rd_u8(key);
    uint64_t version = rd_u64(&r);
    struct slice leaf = rd_bytes(&r, rd_left(&r));
    return !key->bad && !r.bad && name_set(&name, rd_bytes(key, rd_left(key))) && update_decode(&u, leaf) == REEVE_OK &&
           held_put(a, type, &name, version, leaf) == REEVE_OK;
}

static bool load_value(struct agent *a, struct rd *key, struct slice v)
{
    struct rd r = rd_of(v);
    struct name name;
    struct value like = { .seen = true };
    like.gen = rd_u32(key);
    like.state = rd_u8(key);
    like.type = rd_u8(&r);
    like.revision = rd_u64(&r);
    return !key->bad && !r.bad && name_set(&name, rd_bytes(key, rd_left(key))) &&
           value_add(a, &name, &like, rd_bytes(&r, rd_left(&r))) == REEVE_OK;
}

static bool load_slot(struct agent *a, struct rd *key, struct slice v)
{
    struct rd r = rd_of(v);
    struct name name;
    uint8_t type = rd_u8(key), version = rd_u8(&r);
    struct slot *s = name_set(&name, rd_bytes(key, rd_left(key))) ? slot_get(a, type, &name, true) : NULL;
    if (s == NULL)
        return false;
    s->serving = rd_u32(&r);
    s->tried = rd_u32(&r);
    s->result = rd_u8(&r);
    s->code = rd_u16(&r);
    struct slice text = rd_str16(&r, sizeof s->error - 1);
    if (text.len > 0)
        memcpy(s->error, text.p, text.len);
    s->latency_ms = rd_u32(&r);
    s->rollout_id = rd_u64(&r);
    s->report_due = rd_u8(&r) == 1;
    s->want = s->serving;
    return rd_done(&r) && version == 1;
}

static bool load_material(struct agent *a, struct rd *key, struct slice v)
{
    struct rd r = rd_of(v);
    struct name name;
    uint32_t gen = rd_u32(key);
    struct slice der = rd_str16(&r, 512), leaf = rd_str16(&r, X509_DER_MAX);
    struct slot *s = name_set(&name, rd_bytes(key, rd_left(key))) ? slot_get(a, AT_CERT, &name, true) : NULL;
    if (s == NULL || key->bad || !rd_done(&r))
        return false;
    struct material *m = material_make(NULL, s, gen);
    uint8_t *copy = bytes_copy(leaf);
    m->info = calloc(1, sizeof *m->info);
    m->leaf = slice_of(copy, copy ? leaf.len : 0);
    if (copy == NULL || m->info == NULL || x509_parse(m->info, leaf) != REEVE_OK ||
        xkey_from_der(&m->key, der) != REEVE_OK || x509_key_matches(leaf, m->key) != REEVE_OK) {
        material_clear(m);
        return false;
    }
    m->state = MAT_READY;
    return true;
}

static void load_session(struct agent *a, struct slice v)
{
    if (v.len > 1 && v.p[0] == a->mtls)
        wr_bytes(&a->session, v.p + 1, v.len - 1);
}

static enum reeve_err load_one(void *arg, struct slice key, struct slice v)
{
    struct agent *a = arg;
    struct rd k = rd_of(key);
    bool ok = true;
    switch (rd_u8(&k)) {
    case 'T': ok = a->have_trust = trust_decode(a->trust, v) == REEVE_OK; break;
    case 'H': wr_bytes(&a->head, v.p, v.len); break;
    case 'F': wr_bytes(&a->fork, v.p, v.len); break;
    case 'M': ok = load_meta(a, v); break;
    case 'X': load_session(a, v); break;
    case 'O': ok = load_held(a, &k, v); break;
    case 'V': ok = load_value(a, &k, v); break;
    case 'S': ok = load_slot(a, &k, v); break;
    case 'C': ok = load_material(a, &k, v); break;
    default: ok = false;
    }
    if (!ok)
        ag_log(a, AGENT_LOG_WARNING, "the cache holds something unreadable: forgotten");
    return REEVE_OK;
}

static void after_load(struct agent *a)
{
    for (struct slot *s = a->slots; s != NULL; s = s->next) {
        const struct material *m = s->serving ? material_find(s, s->serving) : NULL;
        if (m == NULL || m->info == NULL)
            continue;
        s->serial_len = (uint8_t) m->info->serial_len;
        memcpy(s->serial, m->info->serial, m->info->serial_len);
        s->not_after_ms = m->info->not_after.ms;
    }
    a->stats.verified = a->trust->verified;
    gossip_load(a);
}

enum reeve_err cache_load(struct agent *a)
{
    if (a->store == NULL)
        return REEVE_OK;
    enum reeve_err err = a->store->ops->load(a->store, load_one, a);
    if (err != REEVE_OK)
        return err;
    if (a->store->unreadable > 0)
        ag_log(a, AGENT_LOG_WARNING, "%u items of the cache do not open with this machine's key: forgotten",
               a->store->unreadable);
    if (!a->have_trust) {               /* nothing can be believed without it */
        held_free_all(a);
        a->enrolled = false;
        a->revision = a->epoch = 0;
    }
    after_load(a);
    return REEVE_OK;
}
