/* keys.c - the keys of the tables listed in engine/region.h, and the meta table's numbers. */
#include "engine/region/region_int.h"

void rkey_begin(struct rkey *k, uint8_t table)
{
    k->w = wr_fixed(k->b, sizeof k->b);
    wr_u8(&k->w, REGION_KV_PREFIX);
    wr_u8(&k->w, table);
}

struct slice rkey_slice(const struct rkey *k)
{
    reeve_assert(!k->w.bad);
    return slice_of(k->b, k->w.len);
}

void rkey_name(struct rkey *k, uint8_t table, const struct name *name)
{
    rkey_begin(k, table);
    wr_bytes(&k->w, name->s, name->len);
}

void rkey_u32(struct rkey *k, uint8_t table, uint32_t v)
{
    rkey_begin(k, table);
    wr_u32(&k->w, v);
}

void rkey_bytes(struct rkey *k, uint8_t table, const void *p, size_t len)
{
    rkey_begin(k, table);
    wr_bytes(&k->w, p, len);
}

void rkey_name_u32(struct rkey *k, uint8_t table, const struct name *name, uint32_t v)
{
    rkey_name(k, table, name);
    wr_u8(&k->w, 0);
    wr_u32(&k->w, v);
}

void rkey_deploy(struct rkey *k, uint8_t type, const struct name *object, uint32_t ordinal)
{
    rkey_begin(k, 'd');
    wr_u8(&k->w, type);
    wr_bytes(&k->w, object->s, object->len);
    wr_u8(&k->w, 0);
    wr_u32(&k->w, ordinal);
}

void rkey_pair(struct rkey *k, uint8_t table, const struct name *a, const struct name *b)
{
    rkey_name(k, table, a);
    wr_u8(&k->w, 0);
    wr_bytes(&k->w, b->s, b->len);
}

void rkey_grant(struct rkey *k, const struct name *grantee, uint8_t kind, struct slice object)
{
    rkey_name(k, 'g', grantee);
    wr_u8(&k->w, 0);
    wr_u8(&k->w, kind);
    wr_bytes(&k->w, object.p, object.len);
}

void rkey_wave(struct rkey *k, uint64_t rollout, const struct name *region, uint8_t wave)
{
    rkey_begin(k, 'x');
    wr_u64(&k->w, rollout);
    wr_bytes(&k->w, region->s, region->len);
    wr_u8(&k->w, 0);
    wr_u8(&k->w, wave);
}

void rkey_u64_u32(struct rkey *k, uint8_t table, uint64_t a, uint32_t b)
{
    rkey_begin(k, table);
    wr_u64(&k->w, a);
    wr_u32(&k->w, b);
}

void rkey_u64_u16(struct rkey *k, uint8_t table, uint64_t a, uint16_t b)
{
    rkey_begin(k, table);
    wr_u64(&k->w, a);
    wr_u16(&k->w, b);
}

static enum reeve_err get_u64(struct kv *kv, const struct rkey *k, uint64_t *out)
{
    struct slice v;
    *out = 0;
    enum reeve_err err = kv_get(kv, rkey_slice(k), &v);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    struct rd r = rd_of(v);
    *out = rd_u64(&r);
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err put_u64(struct kv *kv, const struct rkey *k, uint64_t v)
{
    uint8_t b[8];
    struct wr w = wr_fixed(b, sizeof b);
    wr_u64(&w, v);
    return kv_put(kv, rkey_slice(k), wr_slice(&w));
}

enum reeve_err meta_get(struct kv *kv, const char *what, uint64_t *out)
{
    struct rkey k;
    rkey_bytes(&k, 'm', what, strlen(what));
    return get_u64(kv, &k, out);
}

enum reeve_err meta_put(struct kv *kv, const char *what, uint64_t v)
{
    struct rkey k;
    rkey_bytes(&k, 'm', what, strlen(what));
    return put_u64(kv, &k, v);
}

/* 'm' "last" 00 type name */
static void last_key(struct rkey *k, uint8_t type, const struct name *object)
{
    rkey_bytes(k, 'm', "last", 5);
    wr_u8(&k->w, type);
    wr_bytes(&k->w, object->s, object->len);
}

enum reeve_err meta_last_rollout(struct kv *kv, uint8_t type, const struct name *object, uint64_t *id)
{
    struct rkey k;
    last_key(&k, type, object);
    return get_u64(kv, &k, id);
}

enum reeve_err meta_set_last_rollout(struct kv *kv, uint8_t type, const struct name *object, uint64_t id)
{
    struct rkey k;
    last_key(&k, type, object);
    return put_u64(kv, &k, id);
}
