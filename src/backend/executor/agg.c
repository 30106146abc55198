/* agg.c - hashed rows, groups and aggregates */
#include "backend/executor/plan_int.h"

#include <stdio.h>

void rowhash_init(struct rowhash *h, struct arena *mem, int width)
{
    *h = (struct rowhash){ .mem = mem, .width = width };
}

static bool row_equal(const struct datum *a, const struct datum *b, int n)
{
    for (int i = 0; i < n; i++) {
        int order;
        if (a[i].kind == D_NULL || b[i].kind == D_NULL) {
            if (a[i].kind != b[i].kind)
                return false;
        } else if (!datum_cmp(&a[i], &b[i], &order) || order != 0) {
            return false;
        }
    }
    return true;
}

static bool rowhash_grow(struct rowhash *h)
{
    size_t cap = h->cap ? h->cap * 2 : 64;
    uint32_t *slots = arena_alloc(h->mem, cap * sizeof *slots);
    struct datum **rows = arena_alloc(h->mem, cap * sizeof *rows);
    uint64_t *hashes = arena_alloc(h->mem, cap * sizeof *hashes);
    if (slots == NULL || rows == NULL || hashes == NULL || cap > UINT32_MAX / 2)
        return false;
    for (size_t i = 0; i < h->n; i++) {
        size_t at = h->hashes[i] & (cap - 1);
        while (slots[at] != 0)
            at = (at + 1) & (cap - 1);
        slots[at] = (uint32_t) i + 1;
        rows[i] = h->rows[i];
        hashes[i] = h->hashes[i];
    }
    h->slots = slots;
    h->rows = rows;
    h->hashes = hashes;
    h->cap = cap;
    return true;
}

bool rowhash_put(struct rowhash *h, const struct datum *row, size_t *index, bool *added)
{
    uint64_t hash = 0x2545f4914f6cdd1dULL;
    *added = false;
    if ((h->n + 1) * 4 > h->cap * 3 && !rowhash_grow(h))
        return false;
    for (int i = 0; i < h->width; i++)
        hash = datum_hash(&row[i], hash);
    size_t at = hash & (h->cap - 1);
    for (; h->slots[at] != 0; at = (at + 1) & (h->cap - 1)) {
        size_t i = h->slots[at] - 1;
        if (h->hashes[i] == hash && row_equal(h->rows[i], row, h->width)) {
            *index = i;
            return true;
        }
    }
    struct datum *copy = arena_alloc(h->mem, sizeof *copy * (size_t) (h->width ? h->width : 1));
    for (int i = 0; i < h->width; i++) {
        if (copy == NULL || !datum_copy(h->mem, &copy[i], &row[i]))
            return false;
    }
    if (copy == NULL)
        return false;
    h->rows[h->n] = copy;
    h->hashes[h->n] = hash;
    h->slots[at] = (uint32_t) h->n + 1;
    *index = h->n++;
    *added = true;
    return true;
}

/* ---- aggregates ---- */

struct acc {
    int64_t n;                          /* values seen, NULL not counted */
    int64_t sum_int;
    double sum;
    struct datum best;                  /* min, max; the interval of sum */
    struct slice *texts;
    size_t ntexts;
};

struct groups {
    struct rowhash keys;
    struct rowhash *seen;               /* per aggregate with DISTINCT: (group, value) */
    struct acc **accs;                  /* by group, naggs each */
    size_t cap;
    struct datum *key;
};

struct groups *groups_new(struct exec *e, struct plan *p)
{
    struct groups *g = arena_alloc(&e->mem, sizeof *g);
    if (g == NULL)
        return NULL;
    rowhash_init(&g->keys, &e->mem, p->ngroups);
    g->seen = arena_alloc(&e->mem, sizeof *g->seen * (size_t) (p->naggs + 1));
    g->key = arena_alloc(&e->mem, sizeof *g->key * (size_t) (p->ngroups + 1));
    if (g->seen == NULL || g->key == NULL)
        return NULL;
    for (int i = 0; i < p->naggs; i++)
        rowhash_init(&g->seen[i], &e->mem, 2);
    return g;
}

size_t groups_count(const struct groups *g) { return g->keys.n; }

static enum reeve_err no_room(struct exec *e)
{
    return eval_fail(e, REEVE_E_TOO_COMPLEX, -1, "query needs more memory than allowed");
}

static enum reeve_err acc_of(struct exec *e, struct plan *p, struct groups *g, size_t i, struct acc **out)
{
    if (i >= g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        struct acc **v = arena_alloc(&e->mem, cap * sizeof *v);
        if (v == NULL)
            return no_room(e);
        if (g->cap > 0)
            memcpy(v, g->accs, g->cap * sizeof *v);
        g->accs = v;
        g->cap = cap;
    }
    if (g->accs[i] == NULL)
        g->accs[i] = arena_alloc(&e->mem, sizeof(struct acc) * (size_t) (p->naggs + 1));
    *out = g->accs[i];
    return *out ? REEVE_OK : no_room(e);
}

static enum reeve_err add_text(struct exec *e, struct acc *a, const struct datum *v)
{
    size_t n = a->ntexts;
    if ((n & (n - 1)) == 0) {
        struct slice *t = n < 1u << 20 ? arena_alloc(&e->mem, sizeof *t * (n ? n * 2 : 1)) : NULL;
        if (t == NULL)
            return no_room(e);
        if (n > 0)
            memcpy(t, a->texts, n * sizeof *t);
        a->texts = t;
    }
    struct datum copy = *v;
    if (v->kind != D_NULL && !datum_copy(&e->mem, &copy, v))
        return no_room(e);
    a->texts[a->ntexts++] = v->kind == D_NULL ? slice_of(NULL, 0) : copy.s;
    return REEVE_OK;
}

static enum reeve_err add_best(struct exec *e, const struct agg *g, struct acc *a, const struct datum *v)
{
    int order = 0;
    if (a->n > 1 && !datum_cmp(v, &a->best, &order))
        return eval_fail(e, REEVE_E_DATATYPE_MISMATCH, g->arg->pos, "values cannot be compared");
    if (a->n > 1 && (g->kind == AGG_MIN ? order >= 0 : order <= 0))
        return REEVE_OK;
    return datum_copy(&e->mem, &a->best, v) ? REEVE_OK : no_room(e);
}

static enum reeve_err add_sum(struct exec *e, const struct agg *g, struct acc *a, const struct datum *v)
{
    if (v->kind == D_INT) {
        if (__builtin_add_overflow(a->sum_int, v->i, &a->sum_int))
            return eval_fail(e, REEVE_E_OUT_OF_RANGE, g->arg->pos, "sum is out of range");
    } else if (v->kind == D_INTERVAL) {
        struct interval *s = &a->best.iv;
        a->best.kind = D_INTERVAL;
        if (__builtin_add_overflow(s->us, v->iv.us, &s->us) || __builtin_add_overflow(s->days, v->iv.days, &s->days) ||
            __builtin_add_overflow(s->months, v->iv.months, &s->months))
            return eval_fail(e, REEVE_E_OUT_OF_RANGE, g->arg->pos, "sum is out of range");
    } else {
        a->sum += v->f;
    }
    return REEVE_OK;
}

static enum reeve_err acc_add(struct exec *e, const struct agg *g, struct acc *a, const struct datum *v,
                              const struct datum *delimiter)
{
    enum reeve_err err = REEVE_OK;
    if (v->kind == D_NULL && g->kind != AGG_COUNT_STAR && g->kind != AGG_ARRAY)
        return REEVE_OK;
    a->n++;
    switch (g->kind) {
    case AGG_COUNT_STAR:
    case AGG_COUNT: break;
    case AGG_SUM:
    case AGG_AVG: return add_sum(e, g, a, v);
    case AGG_MIN:
    case AGG_MAX: return add_best(e, g, a, v);
    case AGG_AND:
    case AGG_OR:
        if (a->n == 1)
            a->best = *v;
        else
            a->best.b = g->kind == AGG_AND ? a->best.b && v->b : a->best.b || v->b;
        break;
    case AGG_STRING:
        if (a->n > 1 && delimiter->kind != D_NULL)
            TRY(add_text(e, a, delimiter));
        TRY(add_text(e, a, v));
        break;
    case AGG_ARRAY: return add_text(e, a, v);
    }
out:
    return err;
}

/* DISTINCT: only the first of equal values in a group counts. */
static enum reeve_err is_repeat(struct exec *e, struct rowhash *seen, size_t group, const struct datum *v, bool *repeat)
{
    struct datum row[2] = { d_int((int64_t) group), *v };
    size_t at;
    bool added;
    if (!rowhash_put(seen, row, &at, &added))
        return no_room(e);
    *repeat = !added;
    return REEVE_OK;
}

enum reeve_err groups_add(struct exec *e, struct arena *a, struct plan *p, struct groups *g)
{
    enum reeve_err err = REEVE_OK;
    struct acc *accs;
    size_t group = 0;
    bool added, repeat;
    for (int i = 0; i < p->ngroups; i++)
        TRY(eval(e, a, p, p->groups[i], &g->key[i]));
    if (!rowhash_put(&g->keys, g->key, &group, &added))
        return no_room(e);
    if (added)
        TRY(exec_keep(e));
    TRY(acc_of(e, p, g, group, &accs));
    for (int i = 0; i < p->naggs; i++) {
        struct datum v = d_bool(true), delimiter = d_null();
        repeat = false;
        if (p->aggs[i].arg != NULL)
            TRY(eval(e, a, p, p->aggs[i].arg, &v));
        if (p->aggs[i].arg2 != NULL)
            TRY(eval(e, a, p, p->aggs[i].arg2, &delimiter));
        if (p->aggs[i].distinct && v.kind != D_NULL)
            TRY(is_repeat(e, &g->seen[i], group, &v, &repeat));
        if (!repeat)
            TRY(acc_add(e, &p->aggs[i], &accs[i], &v, &delimiter));
    }
out:
    return err;
}

static enum reeve_err joined(struct exec *e, const struct acc *a, struct datum *out)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < a->ntexts; i++)
        n += a->texts[i].len;
    char *s = arena_alloc(&e->mem, n + 1);
    if (s == NULL)
        return no_room(e);
    for (size_t i = 0; i < a->ntexts; i++) {
        if (a->texts[i].len > 0)
            memcpy(s + at, a->texts[i].p, a->texts[i].len);
        at += a->texts[i].len;
    }
    *out = d_text(slice_of(s, n));
    return REEVE_OK;
}

static enum reeve_err acc_result(struct exec *e, const struct agg *g, const struct acc *a, struct datum *out)
{
    *out = d_null();
    if (g->kind == AGG_COUNT || g->kind == AGG_COUNT_STAR) {
        *out = d_int(a->n);
        return REEVE_OK;
    }
    if (a->n == 0)
        return REEVE_OK;
    switch (g->kind) {
    case AGG_SUM: *out = g->type == T_INTERVAL ? a->best : g->type == T_INT8 ? d_int(a->sum_int) : d_float(a->sum); break;
    case AGG_AVG: *out = d_float(a->sum / (double) a->n); break;
    case AGG_STRING: return joined(e, a, out);
    case AGG_ARRAY: *out = (struct datum){ .kind = D_TEXTS, .texts = { (int) a->ntexts, a->texts } }; break;
    default: *out = a->best; break;
    }
    return REEVE_OK;
}

enum reeve_err groups_result(struct exec *e, struct plan *p, struct groups *g, size_t i)
{
    static const struct acc none;
    for (int k = 0; k < p->ngroups; k++)
        p->group_values[k] = g->keys.rows[i][k];
    for (int k = 0; k < p->naggs; k++) {
        const struct acc *a = i < g->keys.n ? &g->accs[i][k] : &none;
        enum reeve_err err = acc_result(e, &p->aggs[k], a, &p->agg_values[k]);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}
