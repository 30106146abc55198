/*
 * authority.c - certificate authorities and the life of their keys
 *
 * A key is made in the signer and never leaves it. CREATE makes generation 1
 * and activates it; ALTER ... PREPARE makes the next one, which nodes trust
 * before it signs anything; ACTIVATE switches; TAINT stops new leaves while
 * old ones stay trusted; REVOKE ends the trust.
 */
#include "cmd_int.h"

#include "backend/ipc/ipc.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

#define DEFAULT_TTL_S (10 * 365 * 86400u)

static enum reeve_err option_text(struct cmd *x, const struct ast_options *o, const char *name, struct slice *out)
{
    const struct pvalue *v = slot_option(o, name);
    return v == NULL ? REEVE_OK : slot_text(&x->slot, v, name, out);
}

static enum reeve_err read_options(struct cmd *x, const struct ast_options *o, struct authority_doc *doc, uint8_t *key_type)
{
    static const char *const allowed[] = { "key_type", "ttl", "subject", "external", NULL };
    struct slice type = slice_str("ecdsa-p256"), subject = { NULL, 0 };
    enum key_type kt;
    int64_t ms = (int64_t) DEFAULT_TTL_S * 1000;
    enum reeve_err err;
    TRY(slot_options_check(&x->slot, o, allowed));
    TRY(option_text(x, o, "key_type", &type));
    if (!key_type_parse(&kt, type))
        return slot_error(&x->slot, slot_option(o, "key_type"), REEVE_E_INVALID_VALUE,
                          "key_type is ecdsa-p256 or ed25519");
    *key_type = (uint8_t) kt;
    TRY(option_text(x, o, "subject", &subject));
    if (subject.len >= sizeof doc->subject)
        return slot_error(&x->slot, slot_option(o, "subject"), REEVE_E_INVALID_VALUE, "the subject is too long");
    if (subject.len > 0)
        memcpy(doc->subject, subject.p, subject.len);
    const struct pvalue *ttl = slot_option(o, "ttl"), *ext = slot_option(o, "external");
    if (ttl != NULL)
        TRY(slot_duration_ms(&x->slot, ttl, "ttl", &ms));
    if (ms < 60000 || ms / 1000 > 50ll * 365 * 86400)
        return slot_error(&x->slot, ttl, REEVE_E_INVALID_VALUE, "an authority lives between 1 minute and 50 years");
    doc->ttl_s = (uint32_t) (ms / 1000);
    bool external = false;
    if (ext != NULL)
        TRY(slot_bool(&x->slot, ext, "external", &external));
    doc->external = external;
out:
    return err;
}

/* Asks the ring (and it the signer) for a key: a self-signed root, or a request for an outside signer. */
static enum reeve_err make_key(struct cmd *x, const struct name *name, const struct authority_doc *doc, uint32_t gen,
                               uint8_t key_type, struct authority_gen *g, struct slice *der)
{
    struct wr body = wr_heap(2048), reply = wr_heap(65536);
    wr_name(&body, name);
    wr_u32(&body, gen);
    wr_u8(&body, key_type);
    wr_u8(&body, doc->external);
    wr_u32(&body, doc->ttl_s);
    wr_str16(&body, slice_str(doc->subject));
    enum reeve_err err = ring_call(x->s, MSG_CREATE_AUTHORITY_KEY, wr_slice(&body), &reply, x->rep);
    if (err == REEVE_OK) {
        struct rd r = rd_of(wr_slice(&reply));
        struct slice hash = rd_str16(&r, 32);
        *der = arena_copy(x->arena, rd_str32(&r, AUTHORITY_CHAIN_MAX));
        memset(g, 0, sizeof *g);
        if (r.bad || hash.len != 32)
            err = report_set(x->rep, REEVE_E_BUG, "the signer's answer is malformed");
        else
            memcpy(g->spki_hash.b, hash.p, 32);
        g->gen = gen;
        g->key_type = key_type;
        g->created = session_wall_now();
    }
    wr_free(&body);
    wr_free(&reply);
    return err;
}

/* The certificate that belongs to the generation's key: its times. */
static enum reeve_err take_chain(struct cmd *x, struct authority_gen *g, struct slice der)
{
    struct x509_info info;
    if (x509_parse(&info, der) != REEVE_OK)
        return report_set(x->rep, REEVE_E_INVALID_VALUE, "the certificate cannot be read");
    if (!hash32_eq(&info.spki_hash, &g->spki_hash))
        return report_set(x->rep, REEVE_E_V_KEY, "the certificate is for another key than this authority's");
    if (!info.is_ca)
        return report_set(x->rep, REEVE_E_INVALID_VALUE, "the certificate is not one of an authority");
    g->not_before = info.not_before;
    g->not_after = info.not_after;
    return REEVE_OK;
}

/* The request of an external authority is public; it is kept where everybody who may see the authority finds it. */
static enum reeve_err tell_request(struct cmd *x, const struct name *name, struct slice der)
{
    session_notice(x->s, NOTICE_NOTICE, NULL, "authority \"%s\" waits for its certificate (request of %d bytes); "
                   "SELECT request FROM sys.authorities WHERE name = '%s' AND state = 'pending'", name->s, (int) der.len, name->s);
    return REEVE_OK;
}

/* The next generation, numbered after all there ever were; a request stands where the chain will be. */
static enum reeve_err add_generation(struct cmd *x, const struct name *name, struct authority_doc *doc,
                                     uint32_t gen_max, uint8_t key_type)
{
    struct slice der;
    enum reeve_err err;
    struct authority_gen *g = cmd_alloc(x, sizeof *g, &err);
    if (g == NULL)
        return err;
    TRY(make_key(x, name, doc, gen_max + 1, key_type, g, &der));
    g->chain_len = (uint16_t) der.len;
    memcpy(g->chain, der.p, der.len);
    g->state = doc->external ? AUTH_PENDING : AUTH_PREPARED;
    if (!doc->external)
        TRY(take_chain(x, g, der));
    TRY(authority_gen_append(doc, gen_max, g, x->rep));
    if (doc->external)
        err = tell_request(x, name, der);
out:
    return err;
}

static enum reeve_err store(struct cmd *x, struct snap *sn, const struct name *name, const struct authority_doc *doc)
{
    struct cmd_outcome o;
    struct slice payload;
    enum reeve_err err = CMD_PAYLOAD(x, authority_doc_encode, doc, &payload);
    if (err == REEVE_OK)
        err = cmd_update(x, sn, AT_AUTHORITY, name, payload);
    snap_close(sn);
    return err == REEVE_OK ? cmd_finish(x, &o) : err;
}

/* The largest number ever given, also by an authority of that name that was dropped. */
static enum reeve_err gen_max_of(struct cmd *x, struct snap *sn, const struct name *name, uint32_t *gen_max)
{
    enum reeve_err err;
    struct attest_object *o = cmd_alloc(x, sizeof *o, &err);
    *gen_max = 0;
    if (o == NULL)
        return err;
    err = attest_get(&sn->attest, AT_AUTHORITY, name, o);
    if (err == REEVE_OK)
        *gen_max = o->gen_max;
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

enum reeve_err cmd_create_authority(struct cmd *x)
{
    const struct ast_object *a = &x->stmt->object;
    struct snap sn = { 0 };
    struct name name;
    uint8_t key_type = 0;
    uint32_t gen_max = 0;
    bool exists;
    enum reeve_err err;
    struct authority_doc *doc = cmd_alloc(x, sizeof *doc, &err);
    if (doc == NULL)
        return err;
    TRY(slot_name(&x->slot, &a->name, "authority", &name));
    TRY(cmd_need(x, PRIV_ADMIN, GK_AUTHORITY, &name));
    TRY(read_options(x, &a->options, doc, &key_type));
    if (doc->subject[0] == '\0')
        snprintf(doc->subject, sizeof doc->subject, "CN=%.200s", name.s);
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_object_exists(x, &sn, AT_AUTHORITY, &name, &exists));
    TRY(gen_max_of(x, &sn, &name, &gen_max));
    TRY(region_name(&sn.region, &doc->region));
    snap_close(&sn);
    if (exists && a->if_not_exists) {
        cmd_skip_notice(x, "authority \"%s\" already exists, skipping", name.s);
        return REEVE_OK;
    }
    if (exists)
        return slot_error(&x->slot, &a->name, REEVE_E_DUPLICATE_OBJECT, "authority \"%s\" already exists", name.s);
    if (x->explain)
        return cmd_explain_note(x, "makes a key in the signer and attests authority \"%s\"", name.s);
    TRY(add_generation(x, &name, doc, gen_max, key_type));
    if (!doc->external)
        doc->g[0].state = AUTH_ACTIVE;
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(store(x, &sn, &name, doc));
out:
    snap_close(&sn);
    return err;
}

static struct authority_gen *newest_in(struct authority_doc *doc, uint8_t state)
{
    for (int i = doc->n - 1; i >= 0; i--)
        if (doc->g[i].state == state)
            return &doc->g[i];
    return NULL;
}

static enum reeve_err not_ready(struct cmd *x, const struct name *name, const char *what, const char *hint)
{
    report_set(x->rep, REEVE_E_WRONG_STATE, "authority \"%s\" has %s", name->s, what);
    report_hint(x->rep, "%s", hint);
    return REEVE_E_WRONG_STATE;
}

static enum reeve_err activate(struct cmd *x, const struct name *name, struct authority_doc *doc)
{
    struct authority_gen *next = newest_in(doc, AUTH_PREPARED), *old = newest_in(doc, AUTH_ACTIVE);
    if (next == NULL)
        return not_ready(x, name, "no prepared generation", "ALTER AUTHORITY ... PREPARE makes one.");
    if (old != NULL)
        old->state = AUTH_TAINTED;
    next->state = AUTH_ACTIVE;
    return REEVE_OK;
}

/* TAINT means what signs now. */
static enum reeve_err taint(struct cmd *x, const struct name *name, struct authority_doc *doc)
{
    struct authority_gen *g = newest_in(doc, AUTH_ACTIVE);
    if (g == NULL)
        return not_ready(x, name, "no active generation", "Nothing signs with it.");
    g->state = AUTH_TAINTED;
    return REEVE_OK;
}

/*
 * REVOKE means what has no use any more, the oldest first: tainted, or a
 * request that is out; then the newest that never signed. Never what signs.
 */
static enum reeve_err revoke_oldest(struct cmd *x, const struct name *name, struct authority_doc *doc)
{
    struct authority_gen *g = NULL;
    for (int i = 0; i < doc->n && g == NULL; i++)
        if (doc->g[i].state == AUTH_TAINTED || doc->g[i].state == AUTH_PENDING)
            g = &doc->g[i];
    if (g == NULL)
        g = newest_in(doc, AUTH_PREPARED);
    if (g == NULL)
        return not_ready(x, name, "no tainted generation", "TAINT it first: then nothing new is signed while leaves are replaced.");
    g->state = AUTH_REVOKED;
    return REEVE_OK;
}

/* SET (chain = 'PEM'): the outside signer's answer to the request. */
static enum reeve_err set_chain(struct cmd *x, const struct name *name, struct authority_doc *doc)
{
    static const char *const allowed[] = { "chain", NULL };
    const struct ast_options *o = &x->stmt->authority.options;
    struct authority_gen *g = newest_in(doc, AUTH_PENDING);
    struct slice pem;
    enum reeve_err err = slot_options_check(&x->slot, o, allowed);
    const struct pvalue *v = slot_option(o, "chain");
    if (err != REEVE_OK || v == NULL)
        return err != REEVE_OK ? err : report_set(x->rep, REEVE_E_INVALID_VALUE, "SET takes chain = 'PEM text'");
    if (g == NULL)
        return not_ready(x, name, "no request waiting for a certificate", "PREPARE makes one for an external authority.");
    if ((err = slot_text(&x->slot, v, "chain", &pem)) != REEVE_OK)
        return err;
    struct wr der = wr_heap(AUTHORITY_CHAIN_MAX);
    size_t first = 0;
    while ((err = x509_pem_next(&pem, &der)) == REEVE_OK)
        first = first ? first : der.len;
    if (err == REEVE_E_NOT_FOUND && first > 0 && !der.bad)
        err = take_chain(x, g, slice_of(der.p, first));
    else
        err = slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "the chain is not PEM, or larger than %d bytes", AUTHORITY_CHAIN_MAX);
    if (err == REEVE_OK)
        err = authority_chain_set(doc, g->gen, g->not_before, g->not_after, wr_slice(&der), x->rep);
    if (err == REEVE_OK)
        session_notice(x->s, NOTICE_NOTICE, NULL, "generation %u is prepared; ALTER AUTHORITY \"%s\" ACTIVATE lets it sign",
                       g->gen, name->s);
    wr_free(&der);
    return err;
}

static enum reeve_err apply_action(struct cmd *x, const struct name *name, struct authority_doc *doc, uint32_t gen_max)
{
    switch (x->stmt->authority.action) {
    case AUTH_PREPARE:  return add_generation(x, name, doc, gen_max, doc->g[doc->n - 1].key_type);
    case AUTH_ACTIVATE: return activate(x, name, doc);
    case AUTH_TAINT:    return taint(x, name, doc);
    case AUTH_REVOKE:   return revoke_oldest(x, name, doc);
    case AUTH_SET:      return set_chain(x, name, doc);
    }
    return REEVE_E_BUG;
}

enum reeve_err cmd_alter_authority(struct cmd *x)
{
    const struct ast_authority *a = &x->stmt->authority;
    struct snap sn = { 0 };
    struct name name;
    uint32_t gen_max = 0;
    enum reeve_err err;
    struct authority_doc *doc = cmd_alloc(x, sizeof *doc, &err);
    if (doc == NULL)
        return err;
    TRY(slot_name(&x->slot, &a->name, "authority", &name));
    TRY(cmd_need(x, PRIV_ADMIN, GK_AUTHORITY, &name));
    TRY(cmd_reason(x, &a->reason, true));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_get_authority(x, &sn, &a->name, &name, doc));
    if (x->explain) {
        err = cmd_explain_note(x, "changes the generations of authority \"%s\"", name.s);
        goto out;
    }
    TRY(gen_max_of(x, &sn, &name, &gen_max));
    snap_close(&sn);        /* the signer may take its time */
    TRY(apply_action(x, &name, doc, gen_max));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(store(x, &sn, &name, doc));
out:
    snap_close(&sn);
    return err;
}

enum reeve_err cmd_drop_authority(struct cmd *x)
{
    const struct ast_object *a = &x->stmt->object;
    struct snap sn = { 0 };
    struct cmd_outcome o;
    struct name name;
    bool exists;
    enum reeve_err err;
    TRY(slot_name(&x->slot, &a->name, "authority", &name));
    TRY(cmd_need(x, PRIV_ADMIN, GK_AUTHORITY, &name));
    TRY(cmd_reason(x, &a->reason, true));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_object_exists(x, &sn, AT_AUTHORITY, &name, &exists));
    if (!exists) {
        if (a->if_exists)
            cmd_skip_notice(x, "authority \"%s\" does not exist, skipping", name.s);
        else
            err = slot_error(&x->slot, &a->name, REEVE_E_UNDEFINED_OBJECT, "authority \"%s\" does not exist", name.s);
        goto out;
    }
    if (x->explain) {
        err = cmd_explain_note(x, "drops authority \"%s\" unless a certificate uses it", name.s);
        goto out;
    }
    TRY(cmd_update(x, &sn, AT_AUTHORITY, &name, (struct slice){ NULL, 0 }));
    snap_close(&sn);
    TRY(cmd_finish(x, &o));
out:
    snap_close(&sn);
    return err;
}
