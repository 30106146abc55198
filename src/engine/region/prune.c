/* prune.c - forgets feed rows and sessions below a revision; "retained" says where the feed begins. */
#include "engine/region/region_int.h"

static enum reeve_err prune_feed(struct apply *a, uint64_t revision)
{
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    kv_iter_init(&it, a->kv, slice_of("Rf", 2));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct rd r = rd_of(slice_of(key.p + 2, key.len - 2));
        if (rd_u64(&r) >= revision)
            return REEVE_OK;
        if ((err = kv_del(a->kv, slice_of(it.key, it.key_len))) != REEVE_OK)
            return err;
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err prune_sessions(struct apply *a, uint64_t revision)
{
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    kv_iter_init(&it, a->kv, slice_of("Rz", 2));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct rd r = rd_of(val);
        (void) rd_u64(&r);
        if (rd_u64(&r) < revision && (err = kv_del(a->kv, slice_of(it.key, it.key_len))) != REEVE_OK)
            return err;
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

enum reeve_err apply_prune(struct apply *a, struct rd *r)
{
    uint64_t revision = rd_u64(r), had;
    enum reeve_err err;
    if (!rd_done(r) || revision > a->index + (a->dry ? UINT64_MAX - a->index : 0))
        return refuse(a, REEVE_E_MALFORMED, "malformed command");
    if (a->dry)
        return REEVE_OK;
    TRY(meta_get(a->kv, "retained", &had));
    TRY(prune_feed(a, revision));
    TRY(prune_sessions(a, revision));
    if (revision > had)
        TRY(meta_put(a->kv, "retained", revision));
    result_item(a, REEVE_OK, "", (struct slice){ NULL, 0 });
out:
    return err;
}

enum reeve_err region_revision_skip(struct region *r, uint64_t n)
{
    uint64_t applied, config;
    enum reeve_err err;
    TRY(meta_get(r->kv, "applied", &applied));
    TRY(meta_get(r->kv, META_CONFIG_LOG, &config));
    if (n > UINT64_MAX - applied)
        return REEVE_E_OUT_OF_RANGE;
    TRY(meta_put(r->kv, "applied", applied + n));
    TRY(meta_put(r->kv, "retained", applied + n));
    TRY(meta_put(r->kv, META_CONFIG_LOG_BACK, config + 1));
out:
    return err;
}
