/* walk.c - from a mirror's leaves to the root, one tile in memory at a time */
#include "mirror.h"

#include <inttypes.h>
#include <stdio.h>

#include "crypto/ops.h"

static enum walk_result say(struct walk *w, enum walk_result r, const struct tile *t, const char *why)
{
    char path[TILE_PATH_MAX + 1] = "";
    struct wr p = wr_fixed(path, TILE_PATH_MAX);
    tile_path_format(t, &p);
    path[p.len] = '\0';
    snprintf(w->why, sizeof w->why, "%s: %s", path, why);
    return r;
}

/* A tile that is not there as wide as this may be there full, by now. *whole: what was got is exactly the tile. */
static enum walk_result fetch(struct walk *w, const struct tile *t, struct wr *out, bool *whole)
{
    struct tile full = *t;
    full.width = TILE_WIDTH;
    for (int i = 0; i < (t->width < TILE_WIDTH ? 2 : 1); i++) {
        char path[TILE_PATH_MAX + 1];
        struct wr p = wr_fixed(path, TILE_PATH_MAX);
        tile_path_format(i == 0 ? t : &full, &p);
        path[p.len] = '\0';
        enum source_err err = source_read(w->source, path, out);
        *whole = i == 0;
        if (err == SOURCE_OK)
            return WALK_OK;
        if (err == SOURCE_FAILED)
            return say(w, WALK_FAILED, t, w->source->why);
    }
    return say(w, WALK_FAILED, t, "the mirror does not have it");
}

/* ---- tiles of hashes ---- */

static enum walk_result tile_hold(struct walk *w, uint8_t level)
{
    struct tile t = { .level = level, .n = w->done[level], .width = w->level[level].n };
    struct wr bytes = wr_heap(TILE_BYTES);
    bool whole;
    size_t len = (size_t) t.width * 32;
    enum walk_result r = fetch(w, &t, &bytes, &whole);
    if (r == WALK_OK && ((whole ? bytes.len != len : bytes.len != TILE_BYTES) || memcmp(bytes.p, w->level[level].bytes, len) != 0))
        r = say(w, WALK_UNSOUND, &t, "the tile is not that of the log's entries");
    wr_free(&bytes);
    return r;
}

static void tile_root(const struct walk *w, uint8_t level, struct hash32 *out)
{
    struct merkle_range r;
    struct hash32 h;
    merkle_range_init(&r);
    for (size_t i = 0; i < TILE_WIDTH; i++) {
        memcpy(h.b, w->level[level].bytes + 32 * i, 32);
        merkle_range_append(&crypto_ops_real, &r, &h);
    }
    merkle_range_root(&crypto_ops_real, &r, out);
}

/* A node of that level; a tile that gets full is held against the mirror's and makes a node of the next. */
static enum walk_result push(struct walk *w, struct hash32 h)
{
    for (uint8_t level = 0; level <= TILE_LEVEL_MAX; level++) {
        memcpy(w->level[level].bytes + 32 * w->level[level].n, h.b, 32);
        if (++w->level[level].n < TILE_WIDTH)
            return WALK_OK;
        enum walk_result r = tile_hold(w, level);
        if (r != WALK_OK)
            return r;
        tile_root(w, level, &h);
        w->level[level].n = 0;
        w->done[level]++;
    }
    return WALK_OK;
}

/* ---- entries ---- */

static enum walk_result entries_take(struct walk *w, const struct tile *t, struct slice bytes, bool whole)
{
    struct rd in = rd_of(bytes);
    struct hash32 h;
    enum walk_result r = WALK_OK;
    for (uint64_t i = 0; i < t->width && r == WALK_OK; i++) {
        uint16_t len = rd_u16(&in);
        struct slice leaf = rd_bytes(&in, len);
        if (in.bad)
            return say(w, WALK_UNSOUND, t, "the entries end too soon");
        if (t->n * TILE_WIDTH + i < w->range.size)      /* known already */
            continue;
        merkle_leaf_hash(&crypto_ops_real, &h, leaf);
        merkle_range_append(&crypto_ops_real, &w->range, &h);
        if (w->tiles)
            r = push(w, h);
    }
    return r == WALK_OK && whole && !rd_done(&in) ? say(w, WALK_UNSOUND, t, "something follows the entries") : r;
}

enum walk_result walk_to(struct walk *w, uint64_t size)
{
    enum walk_result r = WALK_OK;
    struct wr bytes = wr_heap(TILE_ENTRIES_BYTES_MAX);
    while (w->range.size < size && r == WALK_OK) {
        struct tile t = { .entries = true, .n = w->range.size / TILE_WIDTH };
        bool whole;
        t.width = tile_width(size, 0, t.n);
        r = fetch(w, &t, &bytes, &whole);
        if (r == WALK_OK)
            r = entries_take(w, &t, wr_slice(&bytes), whole);
    }
    wr_free(&bytes);
    return r;
}

enum walk_result walk_end(struct walk *w, uint64_t size)
{
    enum walk_result r = WALK_OK;
    reeve_assert(w->range.size == size);
    for (uint8_t level = 0; level <= TILE_LEVEL_MAX && w->tiles && r == WALK_OK; level++)
        if (w->level[level].n > 0)
            r = tile_hold(w, level);
    return r;
}
