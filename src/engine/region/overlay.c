/*
 * overlay.c - a transaction's writes, kept until all of it succeeded
 *
 * The operations of a transaction see each other's effects, yet none may
 * remain when a later one is refused; the host's transaction holds other
 * commands too, so it cannot be aborted for that. Entries are sorted by key;
 * bytes are only ever appended, so slices handed out stay valid.
 */
#include "engine/region/region_int.h"

static struct slice entry_key(const struct overlay *o, size_t i)
{
    return slice_of(o->bytes + o->entry[i].key_at, o->entry[i].key_len);
}

static struct slice entry_val(const struct overlay *o, size_t i)
{
    return slice_of(o->bytes + o->entry[i].val_at, o->entry[i].val_len);
}

static int compare(struct slice a, struct slice b)
{
    int c = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
    return c != 0 ? c : a.len < b.len ? -1 : a.len > b.len;
}

/* Index of the first entry not below key. */
static size_t find(const struct overlay *o, struct slice key, bool *exact)
{
    size_t lo = 0, hi = o->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare(entry_key(o, mid), key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *exact = lo < o->n && compare(entry_key(o, lo), key) == 0;
    return lo;
}

static enum reeve_err overlay_get(void *h, struct slice key, struct slice *val)
{
    struct overlay *o = h;
    bool exact;
    size_t i = find(o, key, &exact);
    if (!exact)
        return kv_get(o->base, key, val);
    if (o->entry[i].deleted)
        return REEVE_E_NOT_FOUND;
    *val = entry_val(o, i);
    return REEVE_OK;
}

static bool keep(struct overlay *o, struct slice s, uint32_t *at)
{
    if (s.len > sizeof o->bytes - o->used)
        return false;
    *at = (uint32_t) o->used;
    if (s.len > 0)
        memcpy(o->bytes + o->used, s.p, s.len);
    o->used += s.len;
    return true;
}

static bool make_entry(struct overlay *o, size_t i, struct slice key)
{
    struct overlay_entry e = { .key_len = (uint16_t) key.len };
    if (o->n == OVERLAY_ENTRIES || !keep(o, key, &e.key_at))
        return false;
    memmove(&o->entry[i + 1], &o->entry[i], (o->n - i) * sizeof *o->entry);
    o->entry[i] = e;
    o->n++;
    return true;
}

static enum reeve_err set(struct overlay *o, struct slice key, bool deleted, struct slice val)
{
    bool exact;
    size_t i = find(o, key, &exact);
    uint32_t at = 0;
    if ((!exact && !make_entry(o, i, key)) || !keep(o, val, &at)) {
        o->full = true;
        return REEVE_E_TOO_COMPLEX;
    }
    o->entry[i].deleted = deleted;
    o->entry[i].val_at = at;
    o->entry[i].val_len = (uint32_t) val.len;
    return REEVE_OK;
}

static enum reeve_err overlay_put(void *h, struct slice key, struct slice val)
{
    return set(h, key, false, val);
}

static enum reeve_err overlay_del(void *h, struct slice key)
{
    return set(h, key, true, (struct slice){ NULL, 0 });
}

/* The next entry in that direction that is not deleted; o->n where there is none. */
static size_t seek_entry(const struct overlay *o, struct slice key, int dir, bool inclusive)
{
    bool exact;
    size_t i = find(o, key, &exact);
    if (dir > 0) {
        for (i += exact && !inclusive; i < o->n && o->entry[i].deleted; i++)
            ;
        return i;
    }
    i = exact && inclusive ? i + 1 : i;
    while (i > 0 && o->entry[i - 1].deleted)
        i--;
    return i > 0 ? i - 1 : o->n;
}

/* The same in the base, skipping what the overlay deleted or replaced. */
static enum reeve_err seek_base(struct overlay *o, struct slice key, int dir, bool inclusive, struct slice *key_out,
                                struct slice *val)
{
    enum reeve_err err;
    bool hidden = true;
    while ((err = kv_seek(o->base, key, dir, inclusive, key_out, val)) == REEVE_OK) {
        (void) find(o, *key_out, &hidden);
        if (!hidden)
            break;
        key = *key_out;
        inclusive = false;
    }
    return err;
}

static enum reeve_err overlay_seek(void *h, struct slice key, int dir, bool inclusive, struct slice *key_out,
                                   struct slice *val)
{
    struct overlay *o = h;
    size_t i = seek_entry(o, key, dir, inclusive);
    enum reeve_err err = seek_base(o, key, dir, inclusive, key_out, val);
    if (i == o->n || (err != REEVE_OK && err != REEVE_E_NOT_FOUND))
        return err;
    if (err == REEVE_OK && dir * compare(*key_out, entry_key(o, i)) < 0)
        return REEVE_OK;
    *key_out = entry_key(o, i);
    *val = entry_val(o, i);
    return REEVE_OK;
}

void overlay_begin(struct overlay *o, struct kv *base)
{
    static const struct kv_ops ops = { overlay_get, overlay_put, overlay_del, overlay_seek };
    o->kv = (struct kv){ &ops, o };
    o->base = base;
    o->n = o->used = 0;
    o->full = false;
}

enum reeve_err overlay_flush(struct overlay *o)
{
    enum reeve_err err = REEVE_OK;
    for (size_t i = 0; i < o->n; i++)
        TRY(o->entry[i].deleted ? kv_del(o->base, entry_key(o, i)) : kv_put(o->base, entry_key(o, i), entry_val(o, i)));
out:
    return err;
}
