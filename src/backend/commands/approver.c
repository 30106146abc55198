/*
 * approver.c - approvers: a person, his key, his groups
 *
 * The key is one that signs notes; its private half is made and kept
 * elsewhere. Without other word an approver's group is what stands before the
 * last '/' of his name, and the role he works under what stands behind it.
 */
#include "cmd_int.h"

#include "crypto/ops.h"
#include "crypto/sign.h"

static enum reeve_err read_key(struct cmd *x, const struct pvalue *v, const struct name *approver, struct approver_doc *d)
{
    struct slice text;
    struct name name;
    enum reeve_err err = slot_text(&x->slot, v, "key", &text);
    if (err != REEVE_OK)
        return err;
    if (vkey_read(&crypto_ops_real, &name, &d->key, text) != REEVE_OK || !sign_pubkey_ok(&d->key)) {
        slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "the key is not the public key of a note signer");
        return report_hint(x->rep, "It has the form name+hash+key, as reeve-audit keygen prints it.");
    }
    if (!name_eq(&name, approver)) {
        slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "the key is that of \"%s\"", name.s);
        return report_hint(x->rep, "An approver has the name of his key.");
    }
    return REEVE_OK;
}

/* Cut at the last '/': group/person. */
static void name_parts(const struct name *n, struct slice *group, struct slice *person)
{
    uint8_t at = n->len;
    while (at > 0 && n->s[at - 1] != '/')
        at--;
    *group = slice_of(n->s, at > 0 ? at - 1u : 0);
    *person = slice_of(n->s + at, n->len - (size_t) at);
}

/* Sorted, each once. */
static bool group_add(struct approver_doc *d, struct slice word)
{
    struct name g;
    uint8_t at = 0;
    if (!name_set(&g, word))
        return false;
    while (at < d->n_groups && strcmp(d->group[at].s, g.s) < 0)
        at++;
    if (at < d->n_groups && name_eq(&d->group[at], &g))
        return true;
    if (d->n_groups == APPROVER_GROUPS_MAX)
        return false;
    memmove(&d->group[at + 1], &d->group[at], sizeof g * (size_t) (d->n_groups - at));
    d->group[at] = g;
    d->n_groups++;
    return true;
}

static enum reeve_err read_groups(struct cmd *x, const struct pvalue *v, struct approver_doc *d)
{
    struct slice text;
    bool ok = true;
    enum reeve_err err = slot_text(&x->slot, v, "groups", &text);
    if (err != REEVE_OK)
        return err;
    d->n_groups = 0;
    for (size_t from = 0; from <= text.len && ok;) {
        size_t to = from, end;
        while (to < text.len && text.p[to] != ',')
            to++;
        end = to;
        while (from < end && text.p[from] == ' ')
            from++;
        while (end > from && text.p[end - 1] == ' ')
            end--;
        ok = group_add(d, slice_of(text.p + from, end - from));
        from = to + 1;
    }
    if (!ok)
        return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "groups are 1 to %d names with commas between", APPROVER_GROUPS_MAX);
    return REEVE_OK;
}

/* An empty text takes the name away. */
static enum reeve_err read_optname(struct cmd *x, const struct pvalue *v, const char *what, struct name *out)
{
    struct slice text;
    enum reeve_err err = slot_text(&x->slot, v, what, &text);
    memset(out, 0, sizeof *out);
    if (err != REEVE_OK || text.len == 0 || name_set(out, text))
        return err;
    return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "that is no %s", what);
}

static enum reeve_err read_options(struct cmd *x, const struct ast_options *o, const struct name *name, struct approver_doc *d)
{
    static const char *const allowed[] = { "groups", "role", "jurisdiction", "key", NULL };
    const struct pvalue *groups = slot_option(o, "groups"), *role = slot_option(o, "role"), *key = slot_option(o, "key"),
                        *jurisdiction = slot_option(o, "jurisdiction");
    enum reeve_err err = slot_options_check(&x->slot, o, allowed);
    if (err == REEVE_OK && groups != NULL)
        err = read_groups(x, groups, d);
    if (err == REEVE_OK && role != NULL)
        err = read_optname(x, role, "role", &d->role);
    if (err == REEVE_OK && jurisdiction != NULL)
        err = read_optname(x, jurisdiction, "jurisdiction", &d->jurisdiction);
    if (err == REEVE_OK && key != NULL)
        err = read_key(x, key, name, d);
    return err;
}

static enum reeve_err store(struct cmd *x, struct snap *sn, const struct name *name, const struct approver_doc *d)
{
    struct cmd_outcome o;
    struct slice payload;
    enum reeve_err err = CMD_PAYLOAD(x, approver_doc_encode, d, &payload);
    if (err == REEVE_OK)
        err = cmd_update(x, sn, AT_APPROVER, name, payload);
    snap_close(sn);
    return err == REEVE_OK ? cmd_finish(x, &o) : err;
}

static enum reeve_err read_new(struct cmd *x, const struct ast_object *a, struct name *name, struct approver_doc *d)
{
    struct slice group, person;
    enum reeve_err err;
    TRY(slot_name(&x->slot, &a->name, "approver", name));
    if (!approver_name_ok(name))
        return slot_error(&x->slot, &a->name, REEVE_E_INVALID_VALUE, "the name of an approver is ASCII without spaces and '+'");
    TRY(read_key(x, &a->arg, name, d));
    name_parts(name, &group, &person);
    if (group.len > 0)
        (void) group_add(d, group);
    (void) name_set(&d->role, person);
    if (pv_present(&a->arg2))
        TRY(read_optname(x, &a->arg2, "jurisdiction", &d->jurisdiction));
    TRY(read_options(x, &a->options, name, d));
    if (d->n_groups == 0) {
        err = slot_error(&x->slot, &a->name, REEVE_E_INVALID_VALUE, "approver \"%s\" is in no group", name->s);
        report_hint(x->rep, "Name him group/person, or add WITH (groups = 'a, b').");
    }
out:
    return err;
}

enum reeve_err cmd_create_approver(struct cmd *x)
{
    const struct ast_object *a = &x->stmt->object;
    struct approver_doc d = { .n_groups = 0 };
    struct snap sn = { 0 };
    struct name name;
    bool exists;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(read_new(x, a, &name, &d));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_object_exists(x, &sn, AT_APPROVER, &name, &exists));
    if (exists)
        err = slot_error(&x->slot, &a->name, REEVE_E_DUPLICATE_OBJECT, "approver \"%s\" already exists", name.s);
    else if (x->explain)
        err = cmd_explain_note(x, "attests approver \"%s\"", name.s);
    else
        err = store(x, &sn, &name, &d);
out:
    snap_close(&sn);
    return err;
}

static enum reeve_err get(struct cmd *x, struct snap *sn, const struct pvalue *slot, struct name *name, struct approver_doc *d)
{
    bool exists;
    enum reeve_err err = slot_name(&x->slot, slot, "approver", name);
    if (err == REEVE_OK)
        err = cmd_object_exists(x, sn, AT_APPROVER, name, &exists);
    if (err != REEVE_OK)
        return err;
    if (!exists)
        return slot_error(&x->slot, slot, REEVE_E_UNDEFINED_OBJECT, "approver \"%s\" does not exist", name->s);
    return attest_get_approver(&sn->attest, name, d, NULL);
}

enum reeve_err cmd_alter_approver(struct cmd *x)
{
    const struct ast_object *a = &x->stmt->object;
    struct approver_doc d;
    struct snap sn = { 0 };
    struct name name;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(get(x, &sn, &a->name, &name, &d));
    TRY(read_options(x, &a->options, &name, &d));
    err = x->explain ? cmd_explain_note(x, "changes approver \"%s\"; with another key his signatures so far count no more", name.s)
                     : store(x, &sn, &name, &d);
out:
    snap_close(&sn);
    return err;
}

/* DROP of an attested object that nothing else hangs on for this region. */
static enum reeve_err drop(struct cmd *x, enum attest_type type)
{
    const struct ast_object *a = &x->stmt->object;
    struct snap sn = { 0 };
    struct cmd_outcome o;
    struct name name;
    bool exists;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, attest_type_name(type), &name));
    TRY(cmd_reason(x, &a->reason, true));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_object_exists(x, &sn, type, &name, &exists));
    if (!exists && a->if_exists)
        cmd_skip_notice(x, "%s \"%s\" does not exist, skipping", attest_type_name(type), name.s);
    else if (!exists)
        err = slot_error(&x->slot, &a->name, REEVE_E_UNDEFINED_OBJECT, "%s \"%s\" does not exist", attest_type_name(type), name.s);
    else if (x->explain)
        err = cmd_explain_note(x, "drops %s \"%s\"", attest_type_name(type), name.s);
    else
        err = cmd_update(x, &sn, type, &name, (struct slice){ NULL, 0 });
    snap_close(&sn);
    if (err == REEVE_OK && exists && !x->explain)
        err = cmd_finish(x, &o);
out:
    snap_close(&sn);
    return err;
}

enum reeve_err cmd_drop_approver(struct cmd *x)
{
    return drop(x, AT_APPROVER);
}

enum reeve_err cmd_drop_policy(struct cmd *x)
{
    return drop(x, AT_POLICY);
}
