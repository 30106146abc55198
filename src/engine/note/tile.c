/* tile.c - paths of tiles */
#include "engine/note_tile.h"

#include "note_int.h"

uint16_t tile_width(uint64_t size, uint8_t level, uint64_t n)
{
    uint64_t nodes = level > TILE_LEVEL_MAX ? 0 : size >> 8 * level;
    if (n > UINT64_MAX / TILE_WIDTH || n * TILE_WIDTH >= nodes)
        return 0;
    nodes -= n * TILE_WIDTH;
    return (uint16_t) (nodes < TILE_WIDTH ? nodes : TILE_WIDTH);
}

/* ---- reading ---- */

static bool digits3(struct slice s, uint64_t *n)
{
    if (s.len != 3 || *n > UINT64_MAX / 1000 - 1)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < 3; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t) (s.p[i] - '0');
    }
    *n = *n * 1000 + v;
    return true;
}

/* The last group ends the path, or .p/W does. */
static bool number(struct slice s, uint64_t *n, uint16_t *width)
{
    bool first = true;
    struct slice group;
    for (*n = 0; slice_skip(&s, "x"); first = false)
        if (!slice_until(&s, '/', &group) || !digits3(group, n) || (first && *n == 0))
            return false;
    if (s.len < 3 || !digits3(slice_of(s.p, 3), n))
        return false;
    s = slice_of(s.p + 3, s.len - 3);
    *width = TILE_WIDTH;
    if (s.len == 0)
        return true;
    uint64_t w = 0;
    bool ok = slice_skip(&s, ".p/") && decimal_parse(s, &w) && w >= 1 && w < TILE_WIDTH;
    *width = (uint16_t) w;
    return ok;
}

enum reeve_err tile_path_parse(struct tile *t, struct slice path)
{
    struct slice level;
    uint64_t l = 0;
    memset(t, 0, sizeof *t);
    if (path.len > TILE_PATH_MAX || !slice_skip(&path, "tile/") || !slice_until(&path, '/', &level))
        return REEVE_E_MALFORMED;
    t->entries = slice_eq(level, slice_str("entries"));
    if (!t->entries && (!decimal_parse(level, &l) || l > TILE_LEVEL_MAX))
        return REEVE_E_MALFORMED;
    t->level = (uint8_t) l;
    return number(path, &t->n, &t->width) ? REEVE_OK : REEVE_E_MALFORMED;
}

/* ---- writing ---- */

static void wr_digits3(struct wr *out, uint64_t v)
{
    wr_u8(out, (uint8_t) ('0' + v / 100));
    wr_u8(out, (uint8_t) ('0' + v / 10 % 10));
    wr_u8(out, (uint8_t) ('0' + v % 10));
}

static void wr_number(struct wr *out, uint64_t n)
{
    uint64_t unit = 1;
    while (n / unit >= 1000)
        unit *= 1000;
    for (; unit > 1; unit /= 1000) {
        wr_u8(out, 'x');
        wr_digits3(out, n / unit % 1000);
        wr_u8(out, '/');
    }
    wr_digits3(out, n % 1000);
}

void tile_path_format(const struct tile *t, struct wr *out)
{
    wr_text(out, "tile/");
    if (t->entries)
        wr_text(out, "entries");
    else
        wr_decimal(out, t->level);
    wr_u8(out, '/');
    wr_number(out, t->n);
    if (t->width < TILE_WIDTH) {
        wr_text(out, ".p/");
        wr_decimal(out, t->width);
    }
}
