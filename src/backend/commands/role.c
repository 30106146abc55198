/* role.c - roles, memberships, grants. */
#include "cmd_int.h"

#include "backend/libpq/scram.h"

static enum reeve_err need_role_admin(struct cmd *x, bool about_superuser)
{
    if (session_is_superuser(x->s))
        return REEVE_OK;
    if (!about_superuser && (x->s->role_attributes & ROLE_CREATEROLE))
        return REEVE_OK;
    return report_set(x->rep, REEVE_E_PRIVILEGE, about_superuser ? "must be superuser to change superusers"
                                                                 : "permission denied to manage roles");
}

static enum reeve_err verifier_of(struct cmd *x, const struct pvalue *password, char out[256])
{
    struct slice text;
    out[0] = '\0';
    if (slot_is_null(&x->slot, password))
        return REEVE_OK;
    enum reeve_err err = slot_text(&x->slot, password, "password", &text);
    if (err != REEVE_OK)
        return err;
    if (text.len == 0 || text.len > 1024)
        return slot_error(&x->slot, password, REEVE_E_INVALID_VALUE, "a password has 1 to 1024 bytes");
    /* A verifier may be given instead of the password, as PostgreSQL allows. */
    if (text.len < 256 && text.len > 14 && memcmp(text.p, "SCRAM-SHA-256$", 14) == 0) {
        memcpy(out, text.p, text.len);
        out[text.len] = '\0';
        return REEVE_OK;
    }
    return scram_verifier_make(out, text, (uint32_t) session_int(x->s, SET_scram_iterations));
}

static uint32_t bit_of(int tri, uint32_t bit)
{
    return tri > 0 ? bit : 0;
}

static enum reeve_err valid_until(struct cmd *x, const struct ast_role *a, struct wall_ms *out)
{
    out->ms = 0;
    if (slot_is_null(&x->slot, &a->valid_until))
        return REEVE_OK;
    return slot_time(&x->slot, &a->valid_until, "valid until", out);
}

static enum reeve_err add_member(struct cmd *x, uint8_t op, const struct name *role, const struct name *member)
{
    enum reeve_err err;
    struct wr *w = cmd_op(x, op, &err);
    if (w == NULL)
        return err;
    wr_name(w, role);
    wr_name(w, member);
    return cmd_op_end(x);
}

/*
 * CREATEROLE manages people, not power: it hands on membership only in roles
 * that the manager is in, and touches no superuser.
 */
static enum reeve_err may_hand_on(struct cmd *x, const struct pvalue *slot, const struct name *role)
{
    struct snap sn;
    struct role_row row;
    if (session_is_superuser(x->s))
        return REEVE_OK;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    bool member = name_eq(role, &x->s->role) || region_role_is_member(&sn.region, role, &x->s->role);
    err = region_role_get(&sn.region, role, &row);
    snap_close(&sn);
    if (err == REEVE_E_NOT_FOUND)
        return slot_error(&x->slot, slot, REEVE_E_UNDEFINED_OBJECT, "role \"%s\" does not exist", role->s);
    if (err != REEVE_OK)
        return report_set(x->rep, err, "could not read role \"%s\"", role->s);
    if (!member || row.attrs & ROLE_ATTR_SUPERUSER) {
        report_set(x->rep, REEVE_E_PRIVILEGE, "permission denied for role \"%s\"", role->s);
        return report_hint(x->rep, "Only superusers, and managers of roles who are in it themselves, change who is in a role.");
    }
    return REEVE_OK;
}

static enum reeve_err in_roles(struct cmd *x, const struct ast_role *a, const struct name *member)
{
    for (int i = 0; i < a->in_roles.n; i++) {
        struct name role;
        enum reeve_err err = slot_name(&x->slot, &a->in_roles.v[i], "role", &role);
        if (err == REEVE_OK)
            err = may_hand_on(x, &a->in_roles.v[i], &role);
        if (err == REEVE_OK)
            err = add_member(x, RO_MEMBER_ADD, &role, member);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

static enum reeve_err role_exists(struct cmd *x, const struct name *name, bool *exists)
{
    struct snap sn;
    struct role_row row;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    err = region_role_get(&sn.region, name, &row);
    snap_close(&sn);
    *exists = err == REEVE_OK;
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

enum reeve_err cmd_create_role(struct cmd *x)
{
    const struct ast_role *a = &x->stmt->role;
    struct role_row row;
    struct cmd_outcome o;
    struct name name;
    int64_t limit = -1;
    enum reeve_err err;
    memset(&row, 0, sizeof row);
    TRY(need_role_admin(x, a->superuser > 0));
    TRY(slot_name(&x->slot, &a->name, "role", &name));
    if (strncmp(name.s, "sys_", 4) == 0 || strcmp(name.s, "public") == 0)
        return slot_error(&x->slot, &a->name, REEVE_E_INVALID_VALUE, "role name \"%s\" is reserved", name.s);
    row.attrs = bit_of(a->login, ROLE_ATTR_LOGIN) | bit_of(a->superuser, ROLE_ATTR_SUPERUSER) |
                bit_of(a->createrole, ROLE_ATTR_CREATEROLE) | (a->inherit == 0 ? 0 : ROLE_ATTR_INHERIT);
    TRY(verifier_of(x, &a->password, row.verifier));
    TRY(valid_until(x, a, &row.valid_until));
    if (pv_present(&a->connection_limit))
        TRY(slot_int(&x->slot, &a->connection_limit, "connection limit", -1, 10000, &limit));
    row.connection_limit = (int32_t) limit;
    row.created = session_wall_now();
    bool exists = false;
    if (a->if_not_exists)
        TRY(role_exists(x, &name, &exists));
    if (exists) {
        cmd_skip_notice(x, "role \"%s\" already exists, skipping", name.s);
        goto out;
    }
    if (x->explain)
        return cmd_explain_note(x, "creates role \"%s\"", name.s);
    struct wr *w = cmd_op(x, RO_ROLE_CREATE, &err);
    if (w == NULL)
        return err;
    wr_name(w, &name);
    role_row_encode(&row, w);
    wr_u8(w, a->if_not_exists);
    TRY(cmd_op_end(x));
    TRY(in_roles(x, a, &name));
    TRY(cmd_finish(x, &o));
out:
    secret_wipe(&row, sizeof row);
    return err;
}

static uint32_t mask_of(const struct ast_role *a)
{
    return (a->login >= 0 ? ROLE_ATTR_LOGIN : 0) | (a->superuser >= 0 ? ROLE_ATTR_SUPERUSER : 0) |
           (a->createrole >= 0 ? ROLE_ATTR_CREATEROLE : 0) | (a->inherit >= 0 ? ROLE_ATTR_INHERIT : 0);
}

/* A superuser's row is for superusers. A role of this transaction that is not committed yet counts as existing. */
static enum reeve_err may_touch(struct cmd *x, const struct name *name, bool about_superuser, bool *exists)
{
    struct snap sn;
    struct role_row row;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    err = region_role_get(&sn.region, name, &row);
    snap_close(&sn);
    *exists = err == REEVE_OK || cmd_pending_of(x->s) != NULL;
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return report_set(x->rep, err, "could not read role \"%s\"", name->s);
    return need_role_admin(x, about_superuser || (err == REEVE_OK && row.attrs & ROLE_ATTR_SUPERUSER));
}

/* Everybody may change the own password; anything else is for managers, a superuser's row for superusers. */
static enum reeve_err may_alter(struct cmd *x, const struct ast_role *a, const struct name *name)
{
    bool only_password = mask_of(a) == 0 && !pv_present(&a->valid_until) && !pv_present(&a->connection_limit) &&
                         a->in_roles.n == 0;
    if (only_password && name_eq(name, &x->s->role))
        return REEVE_OK;
    bool exists;
    enum reeve_err err = may_touch(x, name, a->superuser >= 0, &exists);
    if (err == REEVE_OK && !exists)
        err = slot_error(&x->slot, &a->name, REEVE_E_UNDEFINED_OBJECT, "role \"%s\" does not exist", name->s);
    return err;
}

enum reeve_err cmd_alter_role(struct cmd *x)
{
    const struct ast_role *a = &x->stmt->role;
    char verifier[256] = "";
    struct wall_ms until = { 0 };
    struct cmd_outcome o;
    struct name name;
    int64_t limit = -1;
    enum reeve_err err;
    TRY(slot_name(&x->slot, &a->name, "role", &name));
    TRY(may_alter(x, a, &name));
    TRY(verifier_of(x, &a->password, verifier));
    TRY(valid_until(x, a, &until));
    if (pv_present(&a->connection_limit))
        TRY(slot_int(&x->slot, &a->connection_limit, "connection limit", -1, 10000, &limit));
    if (x->explain)
        return cmd_explain_note(x, "alters role \"%s\"", name.s);
    struct wr *w = cmd_op(x, RO_ROLE_ALTER, &err);
    if (w == NULL)
        goto out;
    wr_name(w, &name);
    wr_u32(w, mask_of(a));
    wr_u32(w, bit_of(a->login, ROLE_ATTR_LOGIN) | bit_of(a->superuser, ROLE_ATTR_SUPERUSER) |
              bit_of(a->createrole, ROLE_ATTR_CREATEROLE) | bit_of(a->inherit, ROLE_ATTR_INHERIT));
    wr_u8(w, pv_present(&a->password));
    wr_str16(w, slice_str(verifier));
    wr_u8(w, pv_present(&a->valid_until));
    wr_u64(w, (uint64_t) until.ms);
    wr_u8(w, pv_present(&a->connection_limit));
    wr_u32(w, (uint32_t) (int32_t) limit);
    TRY(cmd_op_end(x));
    TRY(in_roles(x, a, &name));
    TRY(cmd_finish(x, &o));
out:
    secret_wipe(verifier, sizeof verifier);
    return err;
}

enum reeve_err cmd_drop_role(struct cmd *x)
{
    const struct ast_object *a = &x->stmt->object;
    struct cmd_outcome o;
    struct name name;
    enum reeve_err err;
    bool exists;
    TRY(need_role_admin(x, false));
    TRY(cmd_reason(x, &a->reason, false));
    TRY(slot_name(&x->slot, &a->name, "role", &name));
    if (name_eq(&name, &x->s->role) || name_eq(&name, &x->s->login_role))
        return slot_error(&x->slot, &a->name, REEVE_E_IN_USE, "current role cannot be dropped");
    TRY(may_touch(x, &name, false, &exists));
    if (!exists && a->if_exists) {
        cmd_skip_notice(x, "role \"%s\" does not exist, skipping", name.s);
        return REEVE_OK;
    }
    if (x->explain)
        return cmd_explain_note(x, "drops role \"%s\"", name.s);
    struct wr *w = cmd_op(x, RO_ROLE_DROP, &err);
    if (w == NULL)
        return err;
    wr_name(w, &name);
    wr_u8(w, a->if_exists);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
out:
    return err;
}

/* ---- grants ---- */

static const struct { const char *name; uint32_t bit; } privileges[] = {
    { "select", PRIV_SELECT }, { "rotate", PRIV_ROTATE }, { "configure", PRIV_CONFIGURE },
    { "rollback", PRIV_ROLLBACK }, { "approve", PRIV_APPROVE }, { "operate", PRIV_OPERATE },
    { "enroll", PRIV_ENROLL }, { "audit", PRIV_AUDIT }, { "admin", PRIV_ADMIN },
};

static enum reeve_err privilege_bit(struct cmd *x, const struct pvalue *v, uint32_t *mask)
{
    struct slice s;
    enum reeve_err err = slot_text(&x->slot, v, "privilege", &s);
    if (err != REEVE_OK)
        return err;
    for (size_t i = 0; i < sizeof privileges / sizeof privileges[0]; i++)
        if (strlen(privileges[i].name) == s.len && strncasecmp(privileges[i].name, (const char *) s.p, s.len) == 0) {
            *mask |= privileges[i].bit;
            return REEVE_OK;
        }
    slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "there is no privilege \"%.*s\"", (int) s.len, (const char *) s.p);
    report_hint(x->rep, "Privileges are SELECT, ROTATE, CONFIGURE, ROLLBACK, APPROVE, OPERATE, ENROLL, AUDIT and ADMIN.");
    return REEVE_E_INVALID_VALUE;
}

static uint8_t grant_kind_of(enum ast_object_kind k)
{
    switch (k) {
    case OBJ_SYSTEM:    return GK_SYSTEM;
    case OBJ_CERT:      return GK_CERT;
    case OBJ_AUTHORITY: return GK_AUTHORITY;
    case OBJ_CONFIG:    return GK_CONFIG;
    case OBJ_NODE:      return GK_NODE;
    case OBJ_ROLLOUT:   return GK_ROLLOUT;
    case OBJ_STRATEGY:  return GK_STRATEGY;
    case OBJ_REGION:    return GK_REGION;
    case OBJ_SERVICE:   return GK_SERVICE;
    case OBJ_ROLE:      return GK_ROLE;
    default:            return 0;
    }
}

struct grant_target { uint8_t kind; struct name name; uint32_t mask; };

static enum reeve_err grant_target_of(struct cmd *x, const struct ast_grant *a, struct grant_target *t)
{
    enum reeve_err err = REEVE_OK;
    memset(t, 0, sizeof *t);
    t->kind = grant_kind_of(a->object);
    if (t->kind == 0)
        return cmd_unsupported(x, "privileges on this kind of object are not available",
                               "Grant on CERT, AUTHORITY, CONFIG, NODE, ROLLOUT, STRATEGY, REGION or SYSTEM.");
    if (a->all_objects) {
        t->kind |= GK_ALL;
        if (pv_present(&a->region))
            TRY(slot_name(&x->slot, &a->region, "region", &t->name));
    } else if (a->object != OBJ_SYSTEM) {
        TRY(slot_name(&x->slot, &a->name, "name", &t->name));
    }
    if (a->all_privileges)
        t->mask = PRIV_ALL;
    for (int i = 0; i < a->privileges.n && !a->all_privileges; i++)
        TRY(privilege_bit(x, &a->privileges.v[i], &t->mask));
out:
    return err;
}

/* Attested objects must be there, so that a slip of the pen is seen; config keys and nodes may still come. */
static enum reeve_err target_exists(struct cmd *x, const struct ast_grant *a, const struct grant_target *t)
{
    enum attest_type type = t->kind == GK_CERT ? AT_CERT : t->kind == GK_AUTHORITY ? AT_AUTHORITY
                          : t->kind == GK_REGION ? AT_REGION : t->kind == GK_ROLLOUT ? AT_ROLLOUT : 0;
    struct snap sn;
    bool exists = true;
    if (type == 0 || cmd_pending_touches(cmd_pending_of(x->s), type, &t->name))
        return REEVE_OK;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    err = cmd_object_exists(x, &sn, type, &t->name, &exists);
    snap_close(&sn);
    if (err != REEVE_OK)
        return report_set(x->rep, err, "could not read \"%s\"", t->name.s);
    return exists ? REEVE_OK
                  : slot_error(&x->slot, &a->name, REEVE_E_UNDEFINED_OBJECT, "%s \"%s\" does not exist",
                               type == AT_CERT ? "certificate" : attest_type_name(type), t->name.s);
}

enum reeve_err cmd_grant(struct cmd *x)
{
    const struct ast_grant *a = &x->stmt->grant;
    struct grant_target t;
    struct cmd_outcome o;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(grant_target_of(x, a, &t));
    if (x->stmt->kind == AST_GRANT)
        TRY(target_exists(x, a, &t));
    if (x->explain)
        return cmd_explain_note(x, "changes privileges of %d role(s)", a->grantees.n);
    for (int i = 0; i < a->grantees.n; i++) {
        struct name grantee;
        TRY(slot_name(&x->slot, &a->grantees.v[i], "role", &grantee));
        struct wr *w = cmd_op(x, x->stmt->kind == AST_GRANT ? RO_GRANT : RO_REVOKE, &err);
        if (w == NULL)
            return err;
        wr_name(w, &grantee);
        wr_u8(w, t.kind);
        wr_name(w, &t.name);
        wr_u32(w, t.mask);
        TRY(cmd_op_end(x));
    }
    TRY(cmd_finish(x, &o));
out:
    return err;
}

enum reeve_err cmd_grant_role(struct cmd *x)
{
    const struct ast_grant *a = &x->stmt->grant;
    struct cmd_outcome o;
    enum reeve_err err;
    TRY(need_role_admin(x, false));
    if (a->with_admin)
        return cmd_unsupported(x, "WITH ADMIN OPTION is not supported",
                               "A role with CREATEROLE hands on membership in the roles that it is in.");
    if (x->explain)
        return cmd_explain_note(x, "changes the membership of %d role(s)", a->grantees.n);
    for (int r = 0; r < a->privileges.n; r++)
        for (int i = 0; i < a->grantees.n; i++) {
            struct name role, member;
            TRY(slot_name(&x->slot, &a->privileges.v[r], "role", &role));
            TRY(may_hand_on(x, &a->privileges.v[r], &role));
            TRY(slot_name(&x->slot, &a->grantees.v[i], "role", &member));
            TRY(add_member(x, x->stmt->kind == AST_GRANT_ROLE ? RO_MEMBER_ADD : RO_MEMBER_REMOVE, &role, &member));
        }
    TRY(cmd_finish(x, &o));
out:
    return err;
}
