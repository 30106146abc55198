/*
 * cert.c - certificates: their specification and the revocation of generations
 *
 * CREATE CERT attests generation 1 as active at once: no node serves anything
 * under that name yet, so there is nothing to be careful with. Every later
 * generation comes by ROTATE CERT.
 */
#include "fleet_int.h"

#include "backend/ipc/ipc.h"
#include "crypto/x509.h"

#define DEFAULT_VALIDITY_S (90 * 86400u)

static enum reeve_err seconds(struct cmd *x, const struct pvalue *v, const char *what, uint32_t min, uint32_t *out)
{
    int64_t ms;
    enum reeve_err err = slot_duration_ms(&x->slot, v, what, &ms);
    if (err != REEVE_OK)
        return err;
    if (ms / 1000 < min || ms / 1000 > 20ll * 365 * 86400)
        return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "%s is out of range", what);
    *out = (uint32_t) (ms / 1000);
    return REEVE_OK;
}

static enum reeve_err set_subject(struct cmd *x, const struct pvalue *v, struct cert_doc *doc)
{
    struct slice s;
    enum reeve_err err = slot_text(&x->slot, v, "subject", &s);
    if (err != REEVE_OK)
        return err;
    if (s.len == 0 || s.len >= sizeof doc->subject)
        return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "a subject has 1 to %zu bytes", sizeof doc->subject - 1);
    memset(doc->subject, 0, sizeof doc->subject);
    memcpy(doc->subject, s.p, s.len);
    return REEVE_OK;
}

static enum reeve_err set_sans(struct cmd *x, const struct ast_values *v, struct cert_doc *doc)
{
    if (v->n > 32)
        return slot_error(&x->slot, &v->v[32], REEVE_E_TOO_COMPLEX, "at most 32 alternative names");
    for (int i = 0; i < v->n; i++) {
        enum reeve_err err = slot_name(&x->slot, &v->v[i], "alternative name", &doc->san[i]);
        if (err != REEVE_OK)
            return err;
    }
    doc->n_sans = (uint8_t) v->n;
    return REEVE_OK;
}

/* shared = off (own key per node), region (one key per region), global */
static enum reeve_err set_mode(struct cmd *x, const struct pvalue *v, struct cert_doc *doc)
{
    struct slice s;
    bool on;
    enum reeve_err err = slot_text(&x->slot, v, "shared", &s);
    if (err != REEVE_OK)
        return err;
    if (s.len == 6 && memcmp(s.p, "region", 6) == 0)
        doc->mode = CERT_SHARED_REGION;
    else if (s.len == 6 && memcmp(s.p, "global", 6) == 0)
        doc->mode = CERT_SHARED_GLOBAL;
    else if ((err = slot_bool(&x->slot, v, "shared", &on)) == REEVE_OK)
        doc->mode = on ? CERT_SHARED_REGION : CERT_PER_NODE;
    return err;
}

static enum reeve_err set_key_type(struct cmd *x, const struct pvalue *v, struct cert_doc *doc)
{
    struct slice s;
    enum key_type kt;
    enum reeve_err err = slot_text(&x->slot, v, "key_type", &s);
    if (err != REEVE_OK)
        return err;
    if (!key_type_parse(&kt, s))
        return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "key_type is ecdsa-p256 or ed25519");
    doc->key_type = (uint8_t) kt;
    return REEVE_OK;
}

static enum reeve_err set_option(struct cmd *x, const struct ast_option *o, struct cert_doc *doc)
{
    const char *k = o->name.s;
    if (strcmp(k, "key_type") == 0)
        return set_key_type(x, &o->value, doc);
    if (strcmp(k, "shared") == 0)
        return set_mode(x, &o->value, doc);
    if (strcmp(k, "overlap") == 0)
        return seconds(x, &o->value, "overlap", 0, &doc->overlap_s);
    if (strcmp(k, "valid_for") == 0)
        return seconds(x, &o->value, "validity", 60, &doc->validity_s);
    if (strcmp(k, "renew_before") == 0)
        return seconds(x, &o->value, "renew before", 0, &doc->renew_before_s);
    if (strcmp(k, "subject") == 0)
        return set_subject(x, &o->value, doc);
    if (strcmp(k, "strategy") == 0)
        return slot_name(&x->slot, &o->value, "strategy", &doc->strategy);
    return slot_error(&x->slot, &o->name, REEVE_E_INVALID_VALUE, "a certificate has no option \"%s\"", k);
}

static const char *const options_allowed[] = {
    "key_type", "shared", "overlap", "valid_for", "renew_before", "subject", "strategy", NULL };

static enum reeve_err set_options(struct cmd *x, const struct ast_options *o, struct cert_doc *doc)
{
    enum reeve_err err = slot_options_check(&x->slot, o, options_allowed);
    for (int i = 0; i < o->n && err == REEVE_OK; i++)
        err = set_option(x, &o->v[i], doc);
    return err;
}

static enum reeve_err check_strategy(struct cmd *x, struct snap *sn, const struct cert_doc *doc)
{
    struct strategy_row row;
    if (doc->strategy.len == 0 || region_strategy_get(&sn->region, &doc->strategy, &row) == REEVE_OK)
        return REEVE_OK;
    return report_set(x->rep, REEVE_E_UNDEFINED_OBJECT, "strategy \"%s\" does not exist", doc->strategy.s);
}

/* What X.509 cannot say is refused before anything is attested. */
static enum reeve_err check_names(struct cmd *x, const struct cert_doc *doc)
{
    enum reeve_err err;
    struct x509_spec *spec = cmd_alloc(x, sizeof *spec, &err);
    if (spec == NULL)
        return err;
    spec->subject = slice_str(doc->subject);
    for (int i = 0; i < doc->n_sans; i++)
        spec->sans[i] = name_slice(&doc->san[i]);
    spec->n_sans = doc->n_sans;
    spec->not_before = session_wall_now();
    spec->not_after.ms = spec->not_before.ms + 1000ll * doc->validity_s;
    return x509_spec_check(spec, x->rep);
}

static enum reeve_err check_times(struct cmd *x, const struct cert_doc *doc)
{
    if (doc->renew_before_s < doc->validity_s)
        return REEVE_OK;
    return report_set(x->rep, REEVE_E_INVALID_VALUE, "RENEW BEFORE must be shorter than VALID FOR");
}

static enum reeve_err read_spec(struct cmd *x, const struct ast_cert *a, struct cert_doc *doc)
{
    enum reeve_err err;
    doc->mode = CERT_PER_NODE;
    doc->key_type = KEY_ECDSA_P256;
    doc->validity_s = DEFAULT_VALIDITY_S;
    TRY(slot_name(&x->slot, &a->authority, "authority", &doc->authority));
    if (pv_present(&a->subject))
        TRY(set_subject(x, &a->subject, doc));
    TRY(set_sans(x, &a->sans, doc));
    if (pv_present(&a->valid_for))
        TRY(seconds(x, &a->valid_for, "validity", 60, &doc->validity_s));
    doc->renew_before_s = doc->validity_s / 3;
    if (pv_present(&a->renew_before))
        TRY(seconds(x, &a->renew_before, "renew before", 0, &doc->renew_before_s));
    if (pv_present(&a->strategy))
        TRY(slot_name(&x->slot, &a->strategy, "strategy", &doc->strategy));
    TRY(cmd_predicate(x, a->where, &doc->where));
    if (pv_present(&a->valid_for) || pv_present(&a->renew_before))
        TRY(check_times(x, doc));
    TRY(set_options(x, &a->options, doc));
    /* valid_for as an option moves the third with it, unless renew_before is said too */
    if (slot_option(&a->options, "valid_for") && !slot_option(&a->options, "renew_before") && !pv_present(&a->renew_before))
        doc->renew_before_s = doc->validity_s / 3;
    TRY(check_times(x, doc));
out:
    return err;
}

enum reeve_err cmd_shared_key(struct cmd *x, const struct name *cert, uint32_t gen, uint8_t key_type, struct hash32 *spki)
{
    struct wr body = wr_heap(1024), reply = wr_heap(4096);
    wr_name(&body, cert);
    wr_u32(&body, gen);
    wr_u8(&body, key_type);
    enum reeve_err err = ring_call(x->s, MSG_CREATE_SHARED_KEY, wr_slice(&body), &reply, x->rep);
    if (err == REEVE_OK) {
        struct rd r = rd_of(wr_slice(&reply));
        rd_copy(&r, spki->b, 32);
        if (!rd_done(&r))
            err = report_set(x->rep, REEVE_E_BUG, "the signer's answer is malformed");
    }
    wr_free(&body);
    wr_free(&reply);
    return err;
}

enum reeve_err cmd_new_generation(struct cmd *x, const struct cert_doc *doc, const struct authority_doc *auth,
                                  uint32_t gen, uint32_t validity_s, struct cert_gen *g)
{
    const struct authority_gen *ag = NULL;
    for (int i = 0; i < auth->n; i++)
        if (auth->g[i].state == AUTH_ACTIVE)
            ag = &auth->g[i];
    if (ag == NULL) {
        report_set(x->rep, REEVE_E_WRONG_STATE, "authority \"%s\" has no active generation", doc->authority.s);
        report_hint(x->rep, "ALTER AUTHORITY ... ACTIVATE, or SET (chain = ...) for an external one.");
        return REEVE_E_WRONG_STATE;
    }
    struct wall_ms now = session_wall_now();
    memset(g, 0, sizeof *g);
    g->gen = gen;
    g->state = GEN_PREPARED;
    g->authority_gen = ag->gen;
    g->created = now;
    g->not_before.ms = (now.ms - 300 * 1000) / 1000 * 1000;     /* clocks of nodes may lag a little */
    if (g->not_before.ms < ag->not_before.ms)
        g->not_before = ag->not_before;
    g->not_after.ms = (now.ms + 1000ll * validity_s) / 1000 * 1000;
    if (g->not_after.ms > ag->not_after.ms)
        g->not_after = ag->not_after;
    if (g->not_after.ms <= now.ms)
        return report_set(x->rep, REEVE_E_V_EXPIRED, "authority \"%s\" has expired", doc->authority.s);
    return REEVE_OK;
}

/* gen: 1, or the number after those of a dropped certificate of that name. */
static enum reeve_err first_generation(struct cmd *x, const struct name *name, struct cert_doc *doc,
                                       const struct authority_doc *auth, uint32_t gen)
{
    struct cert_gen *g = &doc->g[0];
    enum reeve_err err = cmd_new_generation(x, doc, auth, gen, doc->validity_s, g);
    if (err == REEVE_OK && doc->mode != CERT_PER_NODE)
        err = cmd_shared_key(x, name, gen, doc->key_type, &g->spki_hash);
    g->state = GEN_ACTIVE;
    doc->n = 1;
    doc->active_gen = gen;
    return err;
}

static enum reeve_err store(struct cmd *x, struct snap *sn, const struct name *name, const struct cert_doc *doc)
{
    struct cmd_outcome o;
    struct slice payload;
    enum reeve_err err = CMD_PAYLOAD(x, cert_doc_encode, doc, &payload);
    if (err == REEVE_OK)
        err = cmd_update(x, sn, AT_CERT, name, payload);
    snap_close(sn);
    return err == REEVE_OK ? cmd_finish(x, &o) : err;
}

enum reeve_err cmd_create_cert(struct cmd *x)
{
    const struct ast_cert *a = &x->stmt->cert;
    struct snap sn = { 0 };
    struct name name, authority;
    uint32_t from, gen;
    bool exists;
    enum reeve_err err;
    struct cert_doc *doc = cmd_alloc(x, sizeof *doc, &err);
    struct authority_doc *auth = doc ? cmd_alloc(x, sizeof *auth, &err) : NULL;
    if (auth == NULL)
        return err;
    TRY(slot_name(&x->slot, &a->name, "certificate", &name));
    TRY(cmd_need(x, PRIV_ADMIN, GK_CERT, &name));
    TRY(read_spec(x, a, doc));
    if (doc->subject[0] == '\0')
        snprintf(doc->subject, sizeof doc->subject, "CN=%.200s", doc->n_sans > 0 ? doc->san[0].s : name.s);
    TRY(check_names(x, doc));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_object_exists(x, &sn, AT_CERT, &name, &exists));
    if (exists) {
        if (a->if_not_exists)
            cmd_skip_notice(x, "certificate \"%s\" already exists, skipping", name.s);
        else
            err = slot_error(&x->slot, &a->name, REEVE_E_DUPLICATE_OBJECT, "certificate \"%s\" already exists", name.s);
        goto out;
    }
    TRY(check_strategy(x, &sn, doc));
    TRY(cmd_get_authority(x, &sn, &a->authority, &authority, auth));
    TRY(attest_gen_numbers(&sn.attest, AT_CERT, &name, &from, &gen));
    snap_close(&sn);
    if (x->explain)
        return cmd_explain_note(x, "attests certificate \"%s\" with generation %u", name.s, gen);
    TRY(first_generation(x, &name, doc, auth, gen));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(store(x, &sn, &name, doc));
out:
    snap_close(&sn);
    return err;
}

static enum reeve_err refuse_running(struct cmd *x, const struct name *name, const struct cert_doc *doc)
{
    if (doc->rollout_id == 0)
        return REEVE_OK;
    report_set(x->rep, REEVE_E_ROLLOUT_RUNNING, "rollout %llu is running on certificate \"%s\"",
               (unsigned long long) doc->rollout_id, name->s);
    report_hint(x->rep, "WAIT FOR ROLLOUT %llu, or CANCEL ROLLOUT %llu.", (unsigned long long) doc->rollout_id,
                (unsigned long long) doc->rollout_id);
    return REEVE_E_ROLLOUT_RUNNING;
}

enum reeve_err cmd_cert_not_running(struct cmd *x, const struct name *name, const struct cert_doc *doc)
{
    return refuse_running(x, name, doc);
}

enum reeve_err cmd_alter_cert(struct cmd *x)
{
    const struct ast_object *a = &x->stmt->object;
    struct snap sn = { 0 };
    struct name name;
    enum reeve_err err;
    struct cert_doc *doc = cmd_alloc(x, sizeof *doc, &err);
    if (doc == NULL)
        return err;
    TRY(slot_name(&x->slot, &a->name, "certificate", &name));
    TRY(cmd_need(x, PRIV_ADMIN, GK_CERT, &name));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_get_cert(x, &sn, &a->name, &name, doc));
    TRY(refuse_running(x, &name, doc));
    uint8_t mode = doc->mode;
    TRY(set_options(x, &a->options, doc));
    if (mode != doc->mode)
        TRY(slot_error(&x->slot, slot_option(&a->options, "shared"), REEVE_E_INVALID_VALUE,
                       "shared is chosen when the certificate is created"));
    TRY(check_times(x, doc));
    TRY(check_strategy(x, &sn, doc));
    TRY(check_names(x, doc));
    if (x->explain) {
        err = cmd_explain_note(x, "changes certificate \"%s\"; the next generation follows it", name.s);
        goto out;
    }
    TRY(store(x, &sn, &name, doc));
out:
    snap_close(&sn);
    return err;
}

enum reeve_err cmd_drop_cert(struct cmd *x)
{
    const struct ast_object *a = &x->stmt->object;
    struct snap sn = { 0 };
    struct cmd_outcome o;
    struct name name;
    enum reeve_err err;
    struct cert_doc *doc = cmd_alloc(x, sizeof *doc, &err);
    if (doc == NULL)
        return err;
    TRY(slot_name(&x->slot, &a->name, "certificate", &name));
    TRY(cmd_need(x, PRIV_ADMIN, GK_CERT, &name));
    TRY(cmd_reason(x, &a->reason, true));
    TRY(snap_open(x->s, &sn, x->rep));
    err = cmd_get_cert(x, &sn, &a->name, &name, doc);
    if (err == REEVE_E_UNDEFINED_OBJECT && a->if_exists) {
        report_clear(x->rep);
        cmd_skip_notice(x, "certificate \"%s\" does not exist, skipping", name.s);
        err = REEVE_OK;
        goto out;
    }
    TRY(err);
    TRY(refuse_running(x, &name, doc));
    if (x->explain) {
        err = cmd_explain_note(x, "drops certificate \"%s\"; nodes keep what they serve", name.s);
        goto out;
    }
    TRY(cmd_update(x, &sn, AT_CERT, &name, (struct slice){ NULL, 0 }));
    snap_close(&sn);
    TRY(cmd_finish(x, &o));
out:
    snap_close(&sn);
    return err;
}

enum reeve_err cmd_revoke_cert(struct cmd *x)
{
    const struct ast_object *a = &x->stmt->object;
    struct snap sn = { 0 };
    struct name name;
    int64_t gen;
    enum reeve_err err;
    struct cert_doc *doc = cmd_alloc(x, sizeof *doc, &err);
    if (doc == NULL)
        return err;
    TRY(slot_name(&x->slot, &a->name, "certificate", &name));
    TRY(cmd_need(x, PRIV_ADMIN, GK_CERT, &name));
    TRY(cmd_reason(x, &a->reason, true));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_get_cert(x, &sn, &a->name, &name, doc));
    TRY(refuse_running(x, &name, doc));
    gen = doc->active_gen;
    if (pv_present(&a->arg))
        TRY(slot_int(&x->slot, &a->arg, "generation", 1, UINT32_MAX, &gen));
    struct cert_gen *g = cert_gen_find(doc, (uint32_t) gen);
    if (g == NULL) {
        err = report_set(x->rep, REEVE_E_UNDEFINED_OBJECT, "certificate \"%s\" has no generation %lld", name.s, (long long) gen);
        goto out;
    }
    if (g->state == GEN_REVOKED) {
        err = report_set(x->rep, REEVE_E_WRONG_STATE, "generation %lld is revoked already", (long long) gen);
        goto out;
    }
    if (x->explain) {
        err = cmd_explain_note(x, "revokes generation %lld of certificate \"%s\"", (long long) gen, name.s);
        goto out;
    }
    bool was_active = doc->active_gen == g->gen;
    uint32_t to = was_active ? cert_gen_fallback(doc, g->gen, session_wall_now()) : 0;
    TRY(cert_gen_revoke(doc, g->gen, to, x->rep));
    if (was_active) {
        if (doc->active_gen == 0)
            session_notice(x->s, NOTICE_WARNING, NULL, "certificate \"%s\" has no good generation left; ROTATE CERT makes one", name.s);
        else
            session_notice(x->s, NOTICE_NOTICE, NULL, "nodes return to generation %u", doc->active_gen);
    }
    TRY(store(x, &sn, &name, doc));
out:
    snap_close(&sn);
    return err;
}
