/*
 * read_role.c - who belongs to what, and what that allows
 *
 * Memberships are few; the roles above one are found by sweeping the table
 * until a sweep adds nothing. Cycles cannot arise (op_member_add) and would
 * do no harm here.
 */
#include "engine/region/region_int.h"

#define CLOSURE_MAX 64

struct closure { unsigned n; struct name name[CLOSURE_MAX]; bool inherits[CLOSURE_MAX]; };

static unsigned closure_find(const struct closure *c, struct slice name)
{
    unsigned i = 0;
    while (i < c->n && !slice_eq(name_slice(&c->name[i]), name))
        i++;
    return i;
}

static enum reeve_err closure_add(struct region *r, struct closure *c, struct slice name)
{
    struct role_row row;
    if (c->n == CLOSURE_MAX)
        return REEVE_E_TOO_COMPLEX;
    if (!name_set(&c->name[c->n], name))
        return REEVE_E_CORRUPT;
    enum reeve_err err = region_role_get(r, &c->name[c->n], &row);
    if (err != REEVE_OK)
        return err;
    c->inherits[c->n++] = row.attrs & ROLE_ATTR_INHERIT;
    return REEVE_OK;
}

/* One membership row: role 00 member. */
static enum reeve_err sweep_row(struct region *r, struct closure *c, struct slice key, bool inherit_only)
{
    const uint8_t *zero = memchr(key.p, 0, key.len);
    if (zero == NULL)
        return REEVE_E_CORRUPT;
    struct slice role = slice_of(key.p, (size_t) (zero - key.p));
    struct slice member = slice_of(zero + 1, key.len - role.len - 1);
    unsigned m = closure_find(c, member);
    if (m == c->n || (inherit_only && !c->inherits[m]) || closure_find(c, role) < c->n)
        return REEVE_OK;
    return closure_add(r, c, role);
}

static enum reeve_err closure_of(struct region *r, struct closure *c, const struct name *role, bool inherit_only)
{
    enum reeve_err err;
    unsigned before;
    c->n = 0;
    TRY(closure_add(r, c, name_slice(role)));
    do {
        struct kv_iter it;
        struct slice key, val;
        before = c->n;
        region_iter_init(r, &it, 'b', (struct slice){ NULL, 0 });
        while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK)
            TRY(sweep_row(r, c, key, inherit_only));
        if (err != REEVE_E_NOT_FOUND)
            goto out;
        err = REEVE_OK;
    } while (c->n > before);
out:
    return err;
}

bool region_role_is_member(struct region *r, const struct name *role, const struct name *member)
{
    struct closure c;
    if (name_eq(role, member))
        return true;
    return closure_of(r, &c, member, false) == REEVE_OK && closure_find(&c, name_slice(role)) < c.n;
}

static enum reeve_err grant_mask(struct region *r, const struct name *role, uint8_t kind, struct slice object,
                                 uint32_t *mask)
{
    struct rkey k;
    struct slice v;
    rkey_grant(&k, role, kind, object);
    enum reeve_err err = kv_get(r->kv, rkey_slice(&k), &v);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    struct rd rd = rd_of(v);
    *mask |= rd_u32(&rd);
    return rd_done(&rd) ? REEVE_OK : REEVE_E_CORRUPT;
}

/* What a role holds itself: on the system, on all of the kind here or everywhere, on the object. */
static enum reeve_err own_mask(struct region *r, const struct name *role, uint8_t kind, const struct name *object,
                               uint32_t *mask)
{
    struct name here;
    struct slice none = { NULL, 0 };
    enum reeve_err err;
    TRY(grant_mask(r, role, GK_SYSTEM, none, mask));
    if (kind == GK_SYSTEM)
        return REEVE_OK;
    TRY(grant_mask(r, role, kind | GK_ALL, none, mask));
    if (region_name(r, &here) == REEVE_OK)
        TRY(grant_mask(r, role, kind | GK_ALL, name_slice(&here), mask));
    if (object != NULL && object->len > 0)
        TRY(grant_mask(r, role, kind, name_slice(object), mask));
out:
    return err;
}

enum reeve_err region_privileges(struct region *r, const struct name *role, enum grant_kind kind,
                                 const struct name *object, uint32_t *mask)
{
    struct closure c;
    struct role_row row;
    enum reeve_err err;
    *mask = 0;
    TRY(region_role_get(r, role, &row));
    if (row.attrs & ROLE_ATTR_SUPERUSER) {
        *mask = PRIV_ALL;
        return REEVE_OK;
    }
    TRY(closure_of(r, &c, role, true));
    for (unsigned i = 0; i < c.n; i++)
        TRY(own_mask(r, &c.name[i], (uint8_t) kind, object, mask));
out:
    return err;
}
