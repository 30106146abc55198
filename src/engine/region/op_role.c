/* op_role.c - roles and memberships. Verifiers are never written to history. */
#include "engine/region/region_int.h"

static bool read_role_name(struct apply *a, struct rd *r, struct name *out)
{
    rd_name(r, out);
    if (!r->bad && out->len <= ROLE_NAME_MAX)
        return true;
    refuse(a, REEVE_E_INVALID_VALUE, "a role's name has 1 to %d bytes", ROLE_NAME_MAX);
    return false;
}

static enum reeve_err role_load(struct apply *a, const struct name *name, struct role_row *row)
{
    struct rkey k;
    rkey_name(&k, 'r', name);
    enum reeve_err err = load_role(a->kv, &k, row);
    return err == REEVE_E_NOT_FOUND ? refuse(a, REEVE_E_UNDEFINED_OBJECT, "role \"%s\" does not exist", name->s) : err;
}

static void role_json(const struct role_row *row, struct wr *w)
{
    wr_printf(w, "{\"login\":%s,\"superuser\":%s,\"createrole\":%s,\"inherit\":%s,\"password\":%s}",
              row->attrs & ROLE_ATTR_LOGIN ? "true" : "false", row->attrs & ROLE_ATTR_SUPERUSER ? "true" : "false",
              row->attrs & ROLE_ATTR_CREATEROLE ? "true" : "false", row->attrs & ROLE_ATTR_INHERIT ? "true" : "false",
              row->verifier[0] != '\0' ? "true" : "false");
}

static enum reeve_err role_history(struct apply *a, const struct name *name, const char *action,
                                   const struct role_row *before, const struct role_row *after)
{
    struct wr b = wr_fixed(a->s->json[0], sizeof a->s->json[0]), f = wr_fixed(a->s->json[1], sizeof a->s->json[1]);
    if (before != NULL)
        role_json(before, &b);
    if (after != NULL)
        role_json(after, &f);
    return history_add(a, "role", name, action, wr_slice(&b), wr_slice(&f));
}

enum reeve_err op_role_create(struct apply *a, struct rd *r, struct wr *out)
{
    struct name name;
    struct role_row row;
    struct rkey k;
    bool exists;
    enum reeve_err err;
    if (!read_role_name(a, r, &name))
        return a->rep.code;
    role_row_read(&row, r);
    bool lenient = rd_row_flag(r);
    if (r->bad || a->dry)
        return REEVE_OK;
    rkey_name(&k, 'r', &name);
    TRY(key_exists(a->kv, &k, &exists));
    if (exists && lenient)
        return REEVE_OK;
    if (exists)
        return refuse(a, REEVE_E_DUPLICATE_OBJECT, "role \"%s\" already exists", name.s);
    row.attrs &= ~(uint32_t) ROLE_ATTR_PREDEFINED;
    row.created = a->now;
    TRY(store_role(a, &k, &row));
    TRY(role_history(a, &name, "create", NULL, &row));
out:
    return err;
}

struct role_change { uint32_t mask, bits; bool set_verifier, set_valid, set_limit; struct slice verifier;
                     struct wall_ms valid; uint32_t limit; };

static void role_change_read(struct role_change *c, struct rd *r)
{
    c->mask = rd_u32(r);
    c->bits = rd_u32(r);
    c->set_verifier = rd_row_flag(r);
    c->verifier = rd_text16(r, sizeof ((struct role_row *) NULL)->verifier - 1);
    c->set_valid = rd_row_flag(r);
    c->valid = rd_time(r);
    c->set_limit = rd_row_flag(r);
    c->limit = rd_u32(r);
}

static void role_change_apply(const struct role_change *c, struct role_row *row)
{
    uint32_t mask = c->mask & ~(uint32_t) ROLE_ATTR_PREDEFINED;
    row->attrs = (row->attrs & ~mask) | (c->bits & mask);
    if (c->set_verifier) {
        memset(row->verifier, 0, sizeof row->verifier);
        if (c->verifier.len > 0)
            memcpy(row->verifier, c->verifier.p, c->verifier.len);
    }
    if (c->set_valid)
        row->valid_until = c->valid;
    if (c->set_limit)
        row->connection_limit = (int32_t) c->limit;
}

enum reeve_err op_role_alter(struct apply *a, struct rd *r, struct wr *out)
{
    struct name name;
    struct role_change c;
    struct role_row row, before;
    struct rkey k;
    enum reeve_err err;
    if (!read_role_name(a, r, &name))
        return a->rep.code;
    role_change_read(&c, r);
    if (r->bad || a->dry)
        return REEVE_OK;
    TRY(role_load(a, &name, &row));
    if (row.attrs & ROLE_ATTR_PREDEFINED)
        return refuse(a, REEVE_E_WRONG_STATE, "role \"%s\" is predefined", name.s);
    before = row;
    role_change_apply(&c, &row);
    rkey_name(&k, 'r', &name);
    TRY(store_role(a, &k, &row));
    TRY(role_history(a, &name, "alter", &before, &row));
out:
    return err;
}

/* Another superuser who may log in must remain, or nobody could repair the region. */
static enum reeve_err another_superuser(struct apply *a, const struct name *but, bool *yes)
{
    const uint32_t want = ROLE_ATTR_SUPERUSER | ROLE_ATTR_LOGIN;
    struct kv_iter it;
    struct slice key, val;
    struct role_row row;
    enum reeve_err err;
    kv_iter_init(&it, a->kv, slice_of("Rr", 2));
    *yes = false;
    while (!*yes && (err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        if (role_row_decode(&row, val) != REEVE_OK)
            return REEVE_E_CORRUPT;
        *yes = (row.attrs & want) == want && !slice_eq(slice_of(key.p + 2, key.len - 2), name_slice(but));
    }
    return *yes || err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

/* Memberships of the role in others; those in it go by prefix. */
static enum reeve_err leave_all(struct apply *a, const struct name *member)
{
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    kv_iter_init(&it, a->kv, slice_of("Rb", 2));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        if (key.len > member->len + 3u && key.p[key.len - member->len - 1] == 0 &&
            memcmp(key.p + key.len - member->len, member->s, member->len) == 0 &&
            (err = kv_del(a->kv, slice_of(it.key, it.key_len))) != REEVE_OK)
            return err;
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err drop_all_of(struct apply *a, const struct name *name)
{
    struct rkey k;
    enum reeve_err err;
    TRY(leave_all(a, name));
    rkey_name(&k, 'b', name);
    wr_u8(&k.w, 0);
    TRY(del_prefix(a->kv, &k));
    rkey_name(&k, 'g', name);
    wr_u8(&k.w, 0);
    TRY(del_prefix(a->kv, &k));
    rkey_name(&k, 'r', name);
    TRY(kv_del(a->kv, rkey_slice(&k)));
out:
    return err;
}

enum reeve_err op_role_drop(struct apply *a, struct rd *r, struct wr *out)
{
    struct name name;
    struct role_row row;
    bool other;
    enum reeve_err err;
    if (!read_role_name(a, r, &name))
        return a->rep.code;
    bool lenient = rd_row_flag(r);
    if (r->bad || a->dry)
        return REEVE_OK;
    err = role_load(a, &name, &row);
    if (refused(a, err) && lenient) {
        report_clear(&a->rep);
        return REEVE_OK;
    }
    TRY(err);
    if (row.attrs & ROLE_ATTR_PREDEFINED)
        return refuse(a, REEVE_E_WRONG_STATE, "role \"%s\" is predefined", name.s);
    if (name_eq(&name, &a->actor))
        return refuse(a, REEVE_E_IN_USE, "current user cannot be dropped");
    TRY(another_superuser(a, &name, &other));
    if (!other && (row.attrs & ROLE_ATTR_SUPERUSER))
        return refuse(a, REEVE_E_DEPENDENT, "role \"%s\" is the last superuser", name.s);
    TRY(drop_all_of(a, &name));
    TRY(role_history(a, &name, "drop", &row, NULL));
out:
    return err;
}

/* ---- memberships ---- */

static enum reeve_err member_read(struct apply *a, struct rd *r, struct name *role, struct name *member)
{
    if (!read_role_name(a, r, role) || !read_role_name(a, r, member))
        return a->rep.code;
    return REEVE_OK;
}

static enum reeve_err member_history(struct apply *a, const struct name *role, const struct name *member, bool add)
{
    struct wr w = wr_fixed(a->s->json[0], sizeof a->s->json[0]);
    wr_text(&w, "{\"member\":");
    json_text(&w, name_slice(member));
    wr_u8(&w, '}');
    struct slice none = { NULL, 0 };
    return history_add(a, "role", role, add ? "grant" : "revoke", add ? none : wr_slice(&w), add ? wr_slice(&w) : none);
}

enum reeve_err op_member_add(struct apply *a, struct rd *r, struct wr *out)
{
    struct name role, member;
    struct role_row row;
    struct rkey k;
    enum reeve_err err;
    TRY(member_read(a, r, &role, &member));
    if (a->dry)
        return REEVE_OK;
    TRY(role_load(a, &role, &row));
    TRY(role_load(a, &member, &row));
    struct region here = *a->r;
    here.kv = a->kv;
    if (name_eq(&role, &member) || region_role_is_member(&here, &member, &role))
        return refuse(a, REEVE_E_INVALID_VALUE, "role \"%s\" is a member of role \"%s\"", role.s, member.s);
    rkey_pair(&k, 'b', &role, &member);
    TRY(put_bytes(a->kv, &k, (struct slice){ (const uint8_t *) "", 0 }));
    TRY(member_history(a, &role, &member, true));
out:
    return err;
}

enum reeve_err op_member_remove(struct apply *a, struct rd *r, struct wr *out)
{
    struct name role, member;
    struct rkey k;
    bool is;
    enum reeve_err err;
    TRY(member_read(a, r, &role, &member));
    if (a->dry)
        return REEVE_OK;
    rkey_pair(&k, 'b', &role, &member);
    TRY(key_exists(a->kv, &k, &is));
    if (!is)
        return refuse(a, REEVE_E_UNDEFINED_OBJECT, "role \"%s\" is not a member of role \"%s\"", member.s, role.s);
    TRY(kv_del(a->kv, rkey_slice(&k)));
    TRY(member_history(a, &role, &member, false));
out:
    return err;
}
