/* sim_kv.c - a sorted array of counted entries with an undo journal; see the header. */
#include "sim/sim_kv.h"

#include <stdlib.h>

struct entry {
    unsigned refs;
    size_t key_len, val_len;
    uint8_t bytes[];
};

/* What stood under a key before a write of the open transaction; was NULL: nothing. */
struct undo { struct entry *now_key, *was; };

struct lent { struct lent *next; size_t len; uint8_t bytes[]; };

struct sim_kv {
    struct kv kv;
    struct entry **e;
    size_t n, cap;
    struct undo *undo;
    size_t n_undo, cap_undo;
    bool in_txn, frozen, strict;
    unsigned fail_after;
    struct lent *lent;
};

/* ---- entries ---- */

static struct entry *entry_new(struct slice key, struct slice val)
{
    struct entry *e = malloc(sizeof *e + key.len + val.len);
    if (e == NULL)
        return NULL;
    e->refs = 1;
    e->key_len = key.len;
    e->val_len = val.len;
    memcpy(e->bytes, key.p, key.len);
    if (val.len > 0)
        memcpy(e->bytes + key.len, val.p, val.len);
    return e;
}

static void entry_unref(struct entry *e)
{
    if (e != NULL && --e->refs == 0)
        free(e);
}

static struct slice entry_key(const struct entry *e) { return slice_of(e->bytes, e->key_len); }
static struct slice entry_val(const struct entry *e) { return slice_of(e->bytes + e->key_len, e->val_len); }

static int key_cmp(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = memcmp(a.p, b.p, n);
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* Index of the first entry whose key is >= key; *hit tells whether it is equal. */
static size_t lower_bound(const struct sim_kv *s, struct slice key, bool *hit)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (key_cmp(entry_key(s->e[mid]), key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *hit = lo < s->n && key_cmp(entry_key(s->e[lo]), key) == 0;
    return lo;
}

static bool reserve(void **p, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return true;
    size_t to = *cap ? *cap * 2 : 64;
    void *q = realloc(*p, to * size);
    if (q == NULL)
        return false;
    *p = q;
    *cap = to;
    return true;
}

/* Makes e (counted by the caller; NULL: nothing) stand under key and returns what stood there. */
static struct entry *place(struct sim_kv *s, struct slice key, struct entry *e)
{
    bool hit;
    size_t i = lower_bound(s, key, &hit);
    struct entry *was = hit ? s->e[i] : NULL;
    if (hit && e != NULL) {
        s->e[i] = e;
    } else if (hit) {
        memmove(s->e + i, s->e + i + 1, (s->n - i - 1) * sizeof *s->e);
        s->n--;
    } else if (e != NULL) {
        reeve_assert(s->n < s->cap);
        memmove(s->e + i + 1, s->e + i, (s->n - i) * sizeof *s->e);
        s->e[i] = e;
        s->n++;
    }
    return was;
}

/* ---- what strict mode lends out ---- */

static void lent_recall(struct sim_kv *s)
{
    while (s->lent != NULL) {
        struct lent *l = s->lent;
        s->lent = l->next;
        memset(l->bytes, 0xdd, l->len);
        free(l);
    }
}

static struct slice lend(struct sim_kv *s, struct slice v)
{
    if (!s->strict)
        return v;
    struct lent *l = malloc(sizeof *l + v.len);
    reeve_assert(l != NULL);
    l->len = v.len;
    memcpy(l->bytes, v.p, v.len);
    l->next = s->lent;
    s->lent = l;
    return slice_of(l->bytes, v.len);
}

/* ---- the interface ---- */

static enum reeve_err op_get(void *h, struct slice key, struct slice *val)
{
    struct sim_kv *s = h;
    bool hit;
    size_t i = lower_bound(s, key, &hit);
    if (!hit)
        return REEVE_E_NOT_FOUND;
    *val = lend(s, entry_val(s->e[i]));
    return REEVE_OK;
}

static enum reeve_err write_allowed(struct sim_kv *s)
{
    if (s->frozen)
        return REEVE_E_BUG;
    if (s->fail_after > 0 && --s->fail_after == 0)
        return REEVE_E_IO;
    if (!reserve((void **) &s->e, &s->cap, s->n + 1, sizeof *s->e) ||
        !reserve((void **) &s->undo, &s->cap_undo, s->n_undo + 1, sizeof *s->undo))
        return REEVE_E_NOMEM;
    return REEVE_OK;
}

static enum reeve_err write_entry(struct sim_kv *s, struct slice key, struct entry *e)
{
    struct entry *was = place(s, key, e);
    if (!s->in_txn) {
        entry_unref(was);
    } else {
        if (e != NULL)
            e->refs++;
        s->undo[s->n_undo++] = (struct undo){ e, was };
    }
    return REEVE_OK;
}

static enum reeve_err op_put(void *h, struct slice key, struct slice val)
{
    struct sim_kv *s = h;
    enum reeve_err err = write_allowed(s);
    if (err != REEVE_OK)
        return err;
    struct entry *e = entry_new(key, val);      /* val may be a slice lent out earlier: copy first */
    if (e == NULL)
        return REEVE_E_NOMEM;
    lent_recall(s);
    return write_entry(s, entry_key(e), e);
}

static enum reeve_err op_del(void *h, struct slice key)
{
    struct sim_kv *s = h;
    enum reeve_err err = write_allowed(s);
    if (err != REEVE_OK)
        return err;
    bool hit;
    (void) lower_bound(s, key, &hit);
    if (hit)
        err = write_entry(s, key, NULL);
    lent_recall(s);
    return err;
}

static enum reeve_err op_seek(void *h, struct slice key, int dir, bool inclusive,
                              struct slice *key_out, struct slice *val)
{
    struct sim_kv *s = h;
    bool hit;
    size_t i = lower_bound(s, key, &hit);
    if (dir > 0 && hit && !inclusive)
        i++;
    if (dir < 0 && !(hit && inclusive)) {
        if (i == 0)
            return REEVE_E_NOT_FOUND;
        i--;
    }
    if (i >= s->n)
        return REEVE_E_NOT_FOUND;
    *key_out = lend(s, entry_key(s->e[i]));
    *val = lend(s, entry_val(s->e[i]));
    return REEVE_OK;
}

static const struct kv_ops sim_kv_ops = { op_get, op_put, op_del, op_seek };

/* ---- life and transactions ---- */

struct sim_kv *sim_kv_new(void)
{
    struct sim_kv *s = calloc(1, sizeof *s);
    if (s != NULL)
        s->kv = (struct kv){ &sim_kv_ops, s };
    return s;
}

void sim_kv_free(struct sim_kv *s)
{
    if (s == NULL)
        return;
    if (s->in_txn)
        sim_kv_abort(s);
    lent_recall(s);
    for (size_t i = 0; i < s->n; i++)
        entry_unref(s->e[i]);
    free(s->e);
    free(s->undo);
    free(s);
}

struct kv *sim_kv_handle(struct sim_kv *s) { return &s->kv; }
bool sim_kv_in_txn(const struct sim_kv *s) { return s->in_txn; }
void sim_kv_strict(struct sim_kv *s, bool on) { s->strict = on; }
void sim_kv_fail_after(struct sim_kv *s, unsigned writes) { s->fail_after = writes; }
size_t sim_kv_count(const struct sim_kv *s) { return s->n; }

void sim_kv_begin(struct sim_kv *s)
{
    reeve_assert(!s->in_txn);
    lent_recall(s);
    s->in_txn = true;
}

void sim_kv_commit(struct sim_kv *s)
{
    reeve_assert(s->in_txn);
    lent_recall(s);
    for (size_t i = 0; i < s->n_undo; i++) {
        entry_unref(s->undo[i].now_key);
        entry_unref(s->undo[i].was);
    }
    s->n_undo = 0;
    s->in_txn = false;
}

void sim_kv_abort(struct sim_kv *s)
{
    reeve_assert(s->in_txn);
    lent_recall(s);
    while (s->n_undo > 0) {
        struct undo u = s->undo[--s->n_undo];
        struct slice key = entry_key(u.now_key != NULL ? u.now_key : u.was);
        if (u.now_key == NULL)      /* it was a deletion: there is room again, see write_allowed */
            reeve_assert(reserve((void **) &s->e, &s->cap, s->n + 1, sizeof *s->e));
        struct entry *removed = place(s, key, u.was);
        if (u.now_key != NULL) {
            entry_unref(removed);
            entry_unref(u.now_key);
        }
    }
    s->in_txn = false;
}

struct sim_kv *sim_kv_snapshot(const struct sim_kv *from)
{
    struct sim_kv *s = sim_kv_new();
    if (s == NULL)
        return NULL;
    s->cap = from->n + from->n_undo + 1;
    s->e = malloc(s->cap * sizeof *s->e);
    reeve_assert(s->e != NULL);
    s->n = from->n;
    for (size_t i = 0; i < s->n; i++) {
        s->e[i] = from->e[i];
        s->e[i]->refs++;
    }
    for (size_t i = from->n_undo; i > 0; i--) {
        struct undo u = from->undo[i - 1];
        if (u.was != NULL)
            u.was->refs++;
        entry_unref(place(s, entry_key(u.now_key != NULL ? u.now_key : u.was), u.was));
    }
    s->frozen = true;
    return s;
}

bool sim_kv_equal(const struct sim_kv *a, const struct sim_kv *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!slice_eq(entry_key(a->e[i]), entry_key(b->e[i])) || !slice_eq(entry_val(a->e[i]), entry_val(b->e[i])))
            return false;
    return true;
}
