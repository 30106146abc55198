/* opened.c - issuers and shared keys opened lately: a bounded LRU */
#include "backend/signer/signer_int.h"

#include "crypto/hash.h"

enum { OPENED_ISSUER = 1, OPENED_SHARED };

static void entry_drop(struct opened_entry *e)
{
    x509_issuer_free(e->issuer);
    xkey_free(e->key);
    memset(e, 0, sizeof *e);
}

void opened_clear(struct opened *o)
{
    for (size_t i = 0; i < OPENED_MAX; i++)
        entry_drop(&o->e[i]);
}

static struct opened_entry *find(struct opened *o, uint8_t kind, const struct hash32 *id)
{
    for (size_t i = 0; i < OPENED_MAX; i++)
        if (o->e[i].kind == kind && hash32_eq(&o->e[i].id, id)) {
            o->e[i].used = ++o->clock;
            return &o->e[i];
        }
    return NULL;
}

/* The place of the one not used for longest. */
static struct opened_entry *take(struct opened *o, uint8_t kind, const struct hash32 *id)
{
    struct opened_entry *oldest = &o->e[0];
    for (size_t i = 1; i < OPENED_MAX; i++)
        if (o->e[i].used < oldest->used)
            oldest = &o->e[i];
    entry_drop(oldest);
    oldest->kind = kind;
    oldest->id = *id;
    oldest->used = ++o->clock;
    return oldest;
}

/* Everything that chose the key, and the certificate it goes with. */
static void id_of(struct hash32 *id, const struct name *name, uint32_t gen, const struct hash32 *spki_hash, struct slice cert)
{
    uint8_t g[4] = { (uint8_t) (gen >> 24), (uint8_t) (gen >> 16), (uint8_t) (gen >> 8), (uint8_t) gen };
    const struct slice parts[4] = { slice_of(spki_hash->b, 32), slice_of(g, 4), slice_of(name->s, name->len + 1u), cert };
    sha256_parts(id, parts, 4);
}

static enum reeve_err authority_issuer(struct signer *s, const struct template_ref *t, struct x509_issuer **out, struct report *rep)
{
    struct hash32 id;
    struct xkey *key;
    const struct authority_gen *g = t->authority;
    id_of(&id, &t->authority_name, g->gen, &g->spki_hash, t->issuer);
    struct opened_entry *e = find(&s->opened, OPENED_ISSUER, &id);
    if (e != NULL) {
        *out = e->issuer;
        return REEVE_OK;
    }
    enum reeve_err err = sealed_load(s, "authority", &t->authority_name, g->gen, &g->spki_hash, &key, rep);
    if (err == REEVE_OK)
        err = x509_issuer_new(out, key, t->issuer);
    if (err == REEVE_OK)
        take(&s->opened, OPENED_ISSUER, &id)->issuer = *out;
    return err;
}

/* Told apart by its certificate alone: to parse that for every leaf would cost more than the signature. */
static enum reeve_err inter_issuer(struct signer *s, const struct template_ref *t, struct slice der, struct x509_issuer **out,
                                   struct report *rep)
{
    static const struct hash32 none;
    struct hash32 id;
    struct x509_info info;
    struct xkey *key;
    id_of(&id, &t->authority_name, t->authority->gen, &none, der);
    struct opened_entry *e = find(&s->opened, OPENED_ISSUER, &id);
    if (e != NULL) {
        *out = e->issuer;
        return REEVE_OK;
    }
    enum reeve_err err = x509_parse(&info, der);
    if (err == REEVE_OK)
        err = sealed_load(s, "authority", &t->authority_name, t->authority->gen, &info.spki_hash, &key, rep);
    if (err == REEVE_OK)
        err = x509_issuer_new(out, key, der);
    if (err == REEVE_OK)
        take(&s->opened, OPENED_ISSUER, &id)->issuer = *out;
    return err;
}

enum reeve_err opened_issuer(struct signer *s, const struct template_ref *t, struct x509_issuer **out, struct slice *inter,
                             struct report *rep)
{
    enum reeve_err err = authority_issuer(s, t, out, rep);
    if (inter == NULL)
        return err;
    *inter = slice_of(NULL, 0);
    for (uint8_t i = 0; err == REEVE_E_NOT_FOUND && i < s->authority.n_inter; i++) {
        const struct authority_inter *x = &s->authority.inter[i];
        if (x->gen != t->authority->gen)
            continue;
        report_clear(rep);
        err = inter_issuer(s, t, slice_of(x->der, x->len), out, rep);
        if (err == REEVE_OK)
            *inter = slice_of(x->der, x->len);
    }
    if (err != REEVE_E_NOT_FOUND || !s->member)
        return err;
    report_clear(rep);
    return report_set(rep, REEVE_E_UNAVAILABLE, "this member has no intermediate under generation %u of authority \"%s\" yet",
                      t->authority->gen, t->authority_name.s);
}

enum reeve_err opened_shared(struct signer *s, const struct template_ref *t, const struct xkey **out, struct report *rep)
{
    struct hash32 id;
    struct xkey *key;
    id_of(&id, &t->cert, t->gen->gen, &t->gen->spki_hash, slice_of(NULL, 0));
    struct opened_entry *e = find(&s->opened, OPENED_SHARED, &id);
    if (e != NULL) {
        *out = e->key;
        return REEVE_OK;
    }
    enum reeve_err err = sealed_load(s, "shared", &t->cert, t->gen->gen, &t->gen->spki_hash, &key, rep);
    if (err == REEVE_E_NOT_FOUND && s->member) {
        report_clear(rep);
        return report_set(rep, REEVE_E_UNAVAILABLE, "this member does not have the key of certificate \"%s\" yet", t->cert.s);
    }
    if (err != REEVE_OK)
        return err;
    take(&s->opened, OPENED_SHARED, &id)->key = key;
    *out = key;
    return REEVE_OK;
}
