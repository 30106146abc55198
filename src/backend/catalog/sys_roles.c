/* sys_roles.c - sys.roles, sys.grants, sys.role_members and pg_catalog.pg_roles: never a verifier */
#include "cat_int.h"

#include "backend/access/access.h"

struct rolescan {
    struct cat c;
    struct kv_iter it;
    struct name name;
    struct role_row row;
};

static enum reeve_err next_role(struct rolescan *r)
{
    struct slice key, val;
    enum reeve_err err = region_iter_next(&r->it, &key, &val);
    if (err != REEVE_OK)
        return err;
    if (!name_set(&r->name, key))
        return REEVE_E_CORRUPT;
    return role_row_decode(&r->row, val);
}

static enum reeve_err each_role(struct vscan *s, enum reeve_err (*fn)(struct rolescan *r))
{
    struct rolescan r;
    enum reeve_err err = cat_open(&r.c, s);
    if (err != REEVE_OK)
        return err;
    region_iter_init(&r.c.sn.region, &r.it, 'r', (struct slice){ NULL, 0 });
    while ((err = next_role(&r)) == REEVE_OK)
        TRY(fn(&r));
out:
    cat_close(&r.c);
    return cat_end(err);
}

/* The roles a role is a direct member of. */
static struct datum memberships(struct rolescan *r)
{
    struct vscan *s = r->c.s;
    struct kv_iter it;
    struct slice key, val;
    struct slice *out = arena_alloc(s->row, 64 * sizeof *out);
    int n = 0;
    if (out == NULL)
        return d_null();
    region_iter_init(&r->c.sn.region, &it, 'b', (struct slice){ NULL, 0 });
    while (n < 64 && region_iter_next(&it, &key, &val) == REEVE_OK) {
        const uint8_t *nul = memchr(key.p, 0, key.len);
        if (nul != NULL && slice_eq(slice_of(nul + 1, key.len - (size_t) (nul + 1 - key.p)), name_slice(&r->name)))
            out[n++] = arena_copy(s->row, slice_of(key.p, (size_t) (nul - key.p)));
    }
    return (struct datum){ .kind = D_TEXTS, .texts = { n, out } };
}

static const struct vcolumn roles_columns[] = {
    { "name", T_TEXT, true }, { "login", T_BOOL, true }, { "superuser", T_BOOL, true }, { "createrole", T_BOOL, true },
    { "predefined", T_BOOL, false }, { "has_password", T_BOOL, true }, { "valid_until", T_TIMESTAMPTZ, true },
    { "connection_limit", T_INT4, false }, { "member_of", T_TEXT_ARRAY, true }, { "created", T_TIMESTAMPTZ, false },
};

static enum reeve_err role_out(struct rolescan *r)
{
    const struct role_row *w = &r->row;
    struct datum v[] = {
        d_name(&r->name), d_bool(w->attrs & ROLE_ATTR_LOGIN), d_bool(w->attrs & ROLE_ATTR_SUPERUSER),
        d_bool(w->attrs & ROLE_ATTR_CREATEROLE), d_bool(w->attrs & ROLE_ATTR_PREDEFINED), d_bool(w->verifier[0] != '\0'),
        d_wall(w->valid_until), d_int(w->connection_limit), memberships(r), d_wall(w->created),
    };
    return vscan_row(r->c.s, v);
}

static enum reeve_err scan_roles(struct vscan *s)
{
    return each_role(s, role_out);
}
RELATION(sys_roles, "sys", "roles", roles_columns, VKEY_NONE, scan_roles, NULL);

static const struct vcolumn pg_roles_columns[] = {
    { "oid", T_OID, false }, { "rolname", T_NAME, true }, { "rolsuper", T_BOOL, true }, { "rolinherit", T_BOOL, true },
    { "rolcreaterole", T_BOOL, true }, { "rolcreatedb", T_BOOL, true }, { "rolcanlogin", T_BOOL, true },
    { "rolreplication", T_BOOL, true }, { "rolconnlimit", T_INT4, true }, { "rolpassword", T_TEXT, true },
    { "rolvaliduntil", T_TIMESTAMPTZ, true }, { "rolbypassrls", T_BOOL, true },
};

/* Stable within a build: what joins by oid need. */
static uint32_t role_oid(const struct name *n)
{
    struct datum d = d_text(name_slice(n));
    return 16384u + (uint32_t) (datum_hash(&d, 0) % 1000000000u);
}

static enum reeve_err pg_role_out(struct rolescan *r)
{
    const struct role_row *w = &r->row;
    struct datum v[] = {
        d_int(role_oid(&r->name)), d_name(&r->name), d_bool(w->attrs & ROLE_ATTR_SUPERUSER), d_bool(w->attrs & ROLE_ATTR_INHERIT),
        d_bool(w->attrs & ROLE_ATTR_CREATEROLE), d_bool(false), d_bool(w->attrs & ROLE_ATTR_LOGIN), d_bool(false),
        d_int(w->connection_limit), d_str("********"), d_wall(w->valid_until), d_bool(false),
    };
    return vscan_row(r->c.s, v);
}

static enum reeve_err scan_pg_roles(struct vscan *s)
{
    return each_role(s, pg_role_out);
}
RELATION(pg_roles, "pg_catalog", "pg_roles", pg_roles_columns, VKEY_NONE, scan_pg_roles, NULL);

/* ---- grants ---- */

static const struct vcolumn grants_columns[] = {
    { "grantee", T_TEXT, true }, { "privileges", T_TEXT_ARRAY, true }, { "object_kind", T_TEXT, true },
    { "object", T_TEXT, true }, { "all_objects", T_BOOL, true },
};

static struct datum privilege_names(struct vscan *s, uint32_t mask)
{
    struct slice *out = arena_alloc(s->row, 16 * sizeof *out);
    int n = 0;
    for (uint32_t bit = 1; out != NULL && bit <= PRIV_ADMIN; bit <<= 1)
        if (mask & bit)
            out[n++] = slice_str(access_privilege_name(bit));
    return out ? (struct datum){ .kind = D_TEXTS, .texts = { n, out } } : d_null();
}

static enum reeve_err scan_grants(struct vscan *s)
{
    struct cat c;
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    region_iter_init(&c.sn.region, &it, 'g', (struct slice){ NULL, 0 });
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        const uint8_t *nul = memchr(key.p, 0, key.len);
        struct rd r = rd_of(val);
        uint32_t mask = rd_u32(&r);
        if (nul == NULL || (size_t) (nul - key.p) + 2 > key.len)
            continue;
        struct slice who = slice_of(key.p, (size_t) (nul - key.p));
        uint8_t kind = nul[1];
        struct slice object = slice_of(nul + 2, key.len - who.len - 2);
        struct datum v[] = {
            d_text(arena_copy(s->row, who)), privilege_names(s, mask), d_str(access_kind_name(kind & ~GK_ALL)),
            object.len ? d_text(arena_copy(s->row, object)) : d_null(), d_bool(kind & GK_ALL),
        };
        TRY(vscan_row(s, v));
    }
out:
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_grants, "sys", "grants", grants_columns, VKEY_NONE, scan_grants, NULL);
