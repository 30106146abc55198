/* kv.c - bounds checks before an implementation is asked, and prefix iteration. */
#include "common/kv.h"

static bool key_ok(struct slice key)
{
    return key.len >= 1 && key.len <= KV_KEY_MAX;
}

enum reeve_err kv_get(struct kv *kv, struct slice key, struct slice *val)
{
    reeve_assert(key_ok(key));
    return kv->ops->get(kv->h, key, val);
}

enum reeve_err kv_put(struct kv *kv, struct slice key, struct slice val)
{
    reeve_assert(key_ok(key));
    return kv->ops->put(kv->h, key, val);
}

enum reeve_err kv_del(struct kv *kv, struct slice key)
{
    reeve_assert(key_ok(key));
    return kv->ops->del(kv->h, key);
}

enum reeve_err kv_seek(struct kv *kv, struct slice key, int dir, bool inclusive,
                       struct slice *key_out, struct slice *val)
{
    reeve_assert(key_ok(key) && (dir == 1 || dir == -1));
    return kv->ops->seek(kv->h, key, dir, inclusive, key_out, val);
}

void kv_iter_init(struct kv_iter *it, struct kv *kv, struct slice prefix)
{
    reeve_assert(key_ok(prefix));
    it->kv = kv;
    memcpy(it->key, prefix.p, prefix.len);
    it->key_len = it->prefix_len = prefix.len;
    it->started = false;
}

enum reeve_err kv_iter_next(struct kv_iter *it, struct slice *key, struct slice *val)
{
    struct slice k;
    enum reeve_err err = kv_seek(it->kv, slice_of(it->key, it->key_len), 1, !it->started, &k, val);
    if (err != REEVE_OK)
        return err;
    /* The prefix stays in it->key: every key passed began with it. */
    if (k.len < it->prefix_len || memcmp(k.p, it->key, it->prefix_len) != 0)
        return REEVE_E_NOT_FOUND;
    reeve_assert(k.len <= KV_KEY_MAX);
    memcpy(it->key, k.p, k.len);
    it->key_len = k.len;
    it->started = true;
    *key = k;
    return REEVE_OK;
}
