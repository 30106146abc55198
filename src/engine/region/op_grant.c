/* op_grant.c - privileges on objects, kinds and the system. */
#include "engine/region/region_int.h"

struct grant { struct name grantee; uint8_t kind; struct slice object; uint32_t mask; };

static bool kind_ok(uint8_t kind)
{
    uint8_t k = kind & (uint8_t) ~GK_ALL;
    return k >= GK_SYSTEM && k <= GK_ROLE && !(k == GK_SYSTEM && (kind & GK_ALL));
}

static enum reeve_err grant_read(struct apply *a, struct grant *g, struct rd *r)
{
    rd_name(r, &g->grantee);
    g->kind = rd_u8(r);
    g->object = rd_bytes(r, rd_u8(r));
    g->mask = rd_u32(r);
    if (r->bad || g->grantee.len > ROLE_NAME_MAX || !kind_ok(g->kind) || g->mask == 0 || (g->mask & ~PRIV_ALL) != 0 ||
        !utf8_valid(g->object) || (g->object.len > 0 && memchr(g->object.p, 0, g->object.len) != NULL))
        return refuse(a, REEVE_E_MALFORMED, "malformed grant");
    if ((g->object.len == 0) != (g->kind == GK_SYSTEM) && (g->kind & GK_ALL) == 0)
        return refuse(a, REEVE_E_MALFORMED, "a grant names the system or an object");
    return REEVE_OK;
}

static enum reeve_err mask_get(struct apply *a, const struct rkey *k, uint32_t *mask)
{
    struct slice v;
    *mask = 0;
    enum reeve_err err = kv_get(a->kv, rkey_slice(k), &v);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    struct rd r = rd_of(v);
    *mask = rd_u32(&r);
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err mask_put(struct apply *a, const struct rkey *k, uint32_t mask)
{
    uint8_t b[4];
    struct wr w = wr_fixed(b, sizeof b);
    wr_u32(&w, mask);
    return mask == 0 ? kv_del(a->kv, rkey_slice(k)) : put_bytes(a->kv, k, wr_slice(&w));
}

static enum reeve_err grant_history(struct apply *a, const struct grant *g, const char *action, uint32_t before,
                                    uint32_t after)
{
    struct wr w[2];
    uint32_t mask[2] = { before, after };
    for (unsigned i = 0; i < 2; i++) {
        w[i] = wr_fixed(a->s->json[i], sizeof a->s->json[i]);
        wr_printf(&w[i], "{\"kind\":%u,\"object\":", g->kind);
        json_text(&w[i], g->object);
        wr_printf(&w[i], ",\"privileges\":%u}", mask[i]);
    }
    return history_add(a, "grant", &g->grantee, action, wr_slice(&w[0]), wr_slice(&w[1]));
}

static enum reeve_err change(struct apply *a, struct rd *r, bool grant)
{
    struct grant g;
    struct rkey k;
    bool exists;
    uint32_t mask;
    enum reeve_err err;
    TRY(grant_read(a, &g, r));
    if (a->dry)
        return REEVE_OK;
    rkey_name(&k, 'r', &g.grantee);
    TRY(key_exists(a->kv, &k, &exists));
    if (!exists)
        return refuse(a, REEVE_E_UNDEFINED_OBJECT, "role \"%s\" does not exist", g.grantee.s);
    rkey_grant(&k, &g.grantee, g.kind, g.object);
    TRY(mask_get(a, &k, &mask));
    uint32_t after = grant ? mask | g.mask : mask & ~g.mask;
    TRY(mask_put(a, &k, after));
    TRY(grant_history(a, &g, grant ? "grant" : "revoke", mask, after));
out:
    return err;
}

enum reeve_err op_grant(struct apply *a, struct rd *r, struct wr *out)
{
    return change(a, r, true);
}

enum reeve_err op_revoke(struct apply *a, struct rd *r, struct wr *out)
{
    return change(a, r, false);
}
