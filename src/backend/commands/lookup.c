/* lookup.c - objects by name, with the SQLSTATE and wording of a missing one. */
#include "cmd_int.h"

void *cmd_alloc(struct cmd *x, size_t size, enum reeve_err *err)
{
    void *p = arena_alloc(x->arena, size);
    *err = p != NULL ? REEVE_OK : report_set(x->rep, REEVE_E_NOMEM, "out of memory");
    return p;
}

void cmd_skip_notice(struct cmd *x, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    session_notice(x->s, NOTICE_NOTICE, NULL, "%s", text);
}

enum reeve_err cmd_payload(struct cmd *x, void (*encode)(const void *, struct wr *), const void *doc, struct slice *out)
{
    struct wr w = wr_heap(ATTEST_PAYLOAD_MAX);
    encode(doc, &w);
    bool bad = w.bad;
    *out = arena_copy(x->arena, wr_slice(&w));
    wr_free(&w);
    if (bad || out->p == NULL)
        return report_set(x->rep, REEVE_E_TOO_BIG, "the object would become larger than %d bytes", ATTEST_PAYLOAD_MAX);
    return REEVE_OK;
}

void cmd_saw(struct cmd *x, enum attest_type type, const struct name *name, uint64_t version)
{
    for (unsigned i = 0; i < x->n_seen; i++)
        if (x->seen[i].type == type && name_eq(&x->seen[i].name, name))
            return;
    reeve_assert(x->n_seen < CMD_SEEN_MAX);
    x->seen[x->n_seen++] = (struct cmd_seen){ (uint8_t) type, *name, version };
}

/* The newest version's update; UNDEFINED_OBJECT when there is none or it was dropped. */
static enum reeve_err get(struct cmd *x, struct snap *sn, enum attest_type type, const struct pvalue *slot,
                          struct name *name, struct attest_object *o)
{
    enum reeve_err err = slot_name(&x->slot, slot, "name", name);
    if (err != REEVE_OK)
        return err;
    err = attest_get(&sn->attest, type, name, o);
    if (err == REEVE_OK)
        cmd_saw(x, type, name, o->version);
    if (err == REEVE_OK && o->update.op == 1)
        return REEVE_OK;
    if (err == REEVE_OK || err == REEVE_E_NOT_FOUND)
        return slot_error(&x->slot, slot, REEVE_E_UNDEFINED_OBJECT, "%s \"%s\" does not exist",
                          type == AT_CERT ? "certificate" : attest_type_name(type), name->s);
    return report_set(x->rep, err, "could not read %s \"%s\"", attest_type_name(type), name->s);
}

enum reeve_err cmd_object_exists(struct cmd *x, struct snap *sn, enum attest_type type, const struct name *name, bool *exists)
{
    struct attest_object *o = arena_alloc(sn->session->stmt_arena, sizeof *o);
    if (o == NULL)
        return REEVE_E_NOMEM;
    enum reeve_err err = attest_get(&sn->attest, type, name, o);
    *exists = err == REEVE_OK && o->update.op == 1;
    if (err == REEVE_OK || err == REEVE_E_NOT_FOUND)
        cmd_saw(x, type, name, err == REEVE_OK ? o->version : 0);
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

enum reeve_err cmd_get_cert(struct cmd *x, struct snap *sn, const struct pvalue *slot, struct name *name,
                            struct cert_doc *doc)
{
    enum reeve_err err;
    struct attest_object *o = cmd_alloc(x, sizeof *o, &err);
    if (o == NULL || (err = get(x, sn, AT_CERT, slot, name, o)) != REEVE_OK)
        return err;
    err = cert_doc_decode(doc, o->update.payload);
    return err == REEVE_OK ? err : report_set(x->rep, REEVE_E_CORRUPT, "certificate \"%s\" does not decode", name->s);
}

enum reeve_err cmd_get_authority(struct cmd *x, struct snap *sn, const struct pvalue *slot, struct name *name,
                                 struct authority_doc *doc)
{
    enum reeve_err err;
    struct attest_object *o = cmd_alloc(x, sizeof *o, &err);
    if (o == NULL || (err = get(x, sn, AT_AUTHORITY, slot, name, o)) != REEVE_OK)
        return err;
    err = authority_doc_decode(doc, o->update.payload);
    return err == REEVE_OK ? err : report_set(x->rep, REEVE_E_CORRUPT, "authority \"%s\" does not decode", name->s);
}

enum reeve_err cmd_get_rollout(struct cmd *x, struct snap *sn, const struct pvalue *slot, struct rollout_doc *doc)
{
    int64_t id;
    enum reeve_err err = slot_int(&x->slot, slot, "rollout id", 1, INT64_MAX, &id);
    struct attest_object *o = err == REEVE_OK ? cmd_alloc(x, sizeof *o, &err) : NULL;
    if (o == NULL)
        return err;
    struct name name;
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long) id);
    (void) name_set_str(&name, text);
    err = attest_get(&sn->attest, AT_ROLLOUT, &name, o);
    if (err == REEVE_OK)
        cmd_saw(x, AT_ROLLOUT, &name, o->version);
    if (err == REEVE_E_NOT_FOUND)
        return slot_error(&x->slot, slot, REEVE_E_UNDEFINED_OBJECT, "rollout %lld does not exist", (long long) id);
    if (err == REEVE_OK)
        err = rollout_doc_decode(doc, o->update.payload);
    return err == REEVE_OK ? err : report_set(x->rep, REEVE_E_CORRUPT, "rollout %lld does not decode", (long long) id);
}
