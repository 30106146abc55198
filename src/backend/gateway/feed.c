/* feed.c - the region's change feed as an iterator (rows 'f' revision u64, u16 n; engine/region.h) */
#include "backend/gateway/gateway_int.h"

#define FEED_KEY_LEN 12                 /* 'R' 'f' u64 u16 */

void feed_iter_init(struct feed_iter *it, struct view *v, uint64_t after)
{
    struct wr w = wr_fixed(it->key, sizeof it->key);
    it->kv = v->region.kv;
    it->first = true;
    wr_u8(&w, REGION_KV_PREFIX);
    wr_u8(&w, 'f');
    wr_u64(&w, after + 1);
    wr_u16(&w, 0);
}

bool feed_iter_next(struct feed_iter *it, struct feed_entry *out)
{
    struct slice key, val;
    static struct feed_row row;
    if (kv_seek(it->kv, slice_of(it->key, FEED_KEY_LEN), 1, it->first, &key, &val) != REEVE_OK)
        return false;
    if (key.len != FEED_KEY_LEN || key.p[0] != REGION_KV_PREFIX || key.p[1] != 'f')
        return false;
    it->first = false;
    memcpy(it->key, key.p, FEED_KEY_LEN);
    struct rd r = rd_of(slice_of(key.p + 2, 8));
    out->revision = rd_u64(&r);
    if (feed_row_decode(&row, val) != REEVE_OK)
        return false;
    out->kind = row.kind;
    out->name = row.name;
    return true;
}

uint64_t feed_retained(struct view *v)
{
    static const uint8_t key[] = { REGION_KV_PREFIX, 'm', 'r', 'e', 't', 'a', 'i', 'n', 'e', 'd' };
    struct slice val;
    if (kv_get(v->region.kv, slice_of(key, sizeof key), &val) != REEVE_OK)
        return 0;
    struct rd r = rd_of(val);
    return rd_u64(&r);
}
