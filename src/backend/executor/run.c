/*
 * run.c - a plan to rows
 *
 * The first relation of FROM is streamed, the others are kept in memory and
 * looked up by hash where an equality allows it (left-deep nested loops
 * otherwise). With sub-selects in expressions the first is kept too, so that
 * no scan, and no read transaction, runs inside another. Then WHERE, groups, targets, DISTINCT, ORDER BY, LIMIT. What is
 * kept lies in exec.mem and is bounded.
 */
#include <stdio.h>
#include <stdlib.h>

#include "backend/executor/plan_int.h"

#define NO_ROW UINT32_MAX

/* A relation held in memory, with chains by hash of its join key. */
struct held {
    struct datum **rows;
    size_t n, cap;
    uint32_t *heads, *next;
    size_t buckets;
};

struct runner {
    struct exec *e;
    struct plan *p;
    row_fn fn;
    void *arg;
    struct arena row;                   /* reset after each source row */
    struct held held[FROM_MAX];
    struct groups *groups;
    struct rowhash distinct;
    struct datum *out;
    struct datum **kept;                /* for ORDER BY */
    size_t nkept, kept_cap;
    int64_t skip, left;                 /* OFFSET, LIMIT; left < 0: no limit */
};

enum reeve_err exec_tick(struct exec *e)
{
    if ((++e->ticks & 1023) != 0 || e->env->interrupted == NULL)
        return REEVE_OK;
    enum reeve_err err = e->env->interrupted(e->env->session, e->report);
    return err == REEVE_OK ? err : eval_fail(e, err, -1, "%s", reeve_err_text(err));
}

enum reeve_err exec_keep(struct exec *e)
{
    if (++e->rows_kept > e->rows_max)
        return eval_fail(e, REEVE_E_TOO_COMPLEX, -1, "query keeps more than %llu rows", (unsigned long long) e->rows_max);
    return REEVE_OK;
}

static enum reeve_err no_room(struct exec *e)
{
    return eval_fail(e, REEVE_E_TOO_COMPLEX, -1, "query needs more memory than allowed");
}

static enum reeve_err keep_copy(struct exec *e, const struct datum *v, int n, struct datum ***rows, size_t *nrows,
                                size_t *cap)
{
    enum reeve_err err = exec_keep(e);
    if (err != REEVE_OK)
        return err;
    if (*nrows == *cap) {
        size_t want = *cap ? *cap * 2 : 64;
        struct datum **grown = arena_alloc(&e->mem, want * sizeof *grown);
        if (grown == NULL)
            return no_room(e);
        if (*nrows > 0)
            memcpy(grown, *rows, *nrows * sizeof *grown);
        *rows = grown;
        *cap = want;
    }
    struct datum *copy = arena_alloc(&e->mem, sizeof *copy * (size_t) (n ? n : 1));
    for (int i = 0; i < n; i++) {
        if (copy == NULL || !datum_copy(&e->mem, &copy[i], &v[i]))
            return no_room(e);
    }
    if (copy == NULL)
        return no_room(e);
    (*rows)[(*nrows)++] = copy;
    return REEVE_OK;
}

/* ---- output side ---- */

static enum reeve_err send(struct runner *r, const struct datum *v)
{
    if (r->skip > 0) {
        r->skip--;
        return REEVE_OK;
    }
    if (r->left == 0)
        return REEVE_E_CLOSED;
    enum reeve_err err = r->fn(r->arg, v);
    if (r->left > 0)
        r->left--;
    return err == REEVE_OK && r->left == 0 ? REEVE_E_CLOSED : err;
}

static enum reeve_err deliver(struct runner *r)
{
    size_t at;
    bool added = true;
    if (r->p->distinct) {
        if (!rowhash_put(&r->distinct, r->out, &at, &added))
            return no_room(r->e);
        if (!added)
            return REEVE_OK;
    }
    if (r->p->norder > 0)
        return keep_copy(r->e, r->out, r->p->noutputs, &r->kept, &r->nkept, &r->kept_cap);
    return send(r, r->out);
}

static enum reeve_err emit(struct runner *r)
{
    enum reeve_err err = REEVE_OK;
    for (int i = 0; i < r->p->noutputs; i++)
        TRY(eval(r->e, &r->row, r->p, r->p->outputs[i], &r->out[i]));
    err = deliver(r);
out:
    return err;
}

/* A combined row stands in the scope. */
static enum reeve_err take_row(struct runner *r)
{
    bool holds = true;
    enum reeve_err err = exec_tick(r->e);
    if (err == REEVE_OK && r->p->where != NULL)
        err = eval_bool(r->e, &r->row, r->p, r->p->where, &holds);
    if (err != REEVE_OK || !holds)
        return err;
    return r->groups != NULL ? groups_add(r->e, &r->row, r->p, r->groups) : emit(r);
}

/* ---- joins ---- */

static enum reeve_err join_from(struct runner *r, int k);

static enum reeve_err try_right(struct runner *r, int k, const struct datum *right, bool *matched)
{
    const struct plan_from *f = &r->p->from[k];
    bool holds = true;
    memcpy(&r->p->scope.row[f->first], right, sizeof *right * (size_t) f->n);
    enum reeve_err err = exec_tick(r->e);
    if (err == REEVE_OK && f->on != NULL)
        err = eval_bool(r->e, &r->row, r->p, f->on, &holds);
    if (err != REEVE_OK || !holds)
        return err;
    *matched = true;
    return join_from(r, k + 1);
}

static enum reeve_err join_hashed(struct runner *r, int k, bool *matched)
{
    const struct plan_from *f = &r->p->from[k];
    const struct held *h = &r->held[k];
    struct datum key;
    enum reeve_err err = eval(r->e, &r->row, r->p, f->hash_left, &key);
    if (err != REEVE_OK || key.kind == D_NULL || h->n == 0)
        return err;
    for (uint32_t i = h->heads[datum_hash(&key, 1) & (h->buckets - 1)]; i != NO_ROW && err == REEVE_OK; i = h->next[i]) {
        struct datum mine;
        int order;
        memcpy(&r->p->scope.row[f->first], h->rows[i], sizeof(struct datum) * (size_t) f->n);
        TRY(eval(r->e, &r->row, r->p, f->hash_right, &mine));
        if (mine.kind != D_NULL && datum_cmp(&key, &mine, &order) && order == 0)
            TRY(try_right(r, k, h->rows[i], matched));
    }
out:
    return err;
}

static enum reeve_err join_from(struct runner *r, int k)
{
    bool matched = false;
    enum reeve_err err = REEVE_OK;
    if (k == r->p->nfrom)
        return take_row(r);
    const struct plan_from *f = &r->p->from[k];
    if (f->hash_left != NULL) {
        TRY(join_hashed(r, k, &matched));
    } else {
        for (size_t i = 0; i < r->held[k].n; i++)
            TRY(try_right(r, k, r->held[k].rows[i], &matched));
    }
    if (f->join == JOIN_LEFT && !matched) {
        for (int i = 0; i < f->n; i++)
            r->p->scope.row[f->first + i] = d_null();
        err = join_from(r, k + 1);
    }
out:
    return err;
}

static enum reeve_err index_held(struct runner *r, int k)
{
    const struct plan_from *f = &r->p->from[k];
    struct held *h = &r->held[k];
    enum reeve_err err = REEVE_OK;
    if (f->hash_left == NULL || h->n == 0)
        return REEVE_OK;
    for (h->buckets = 16; h->buckets < h->n; h->buckets *= 2)
        ;
    h->heads = arena_alloc(&r->e->mem, h->buckets * sizeof *h->heads);
    h->next = arena_alloc(&r->e->mem, h->n * sizeof *h->next);
    if (h->heads == NULL || h->next == NULL)
        return no_room(r->e);
    memset(h->heads, 0xff, h->buckets * sizeof *h->heads);
    for (size_t i = h->n; i-- > 0;) {       /* backwards, so that chains keep the order of the scan */
        struct datum key;
        memcpy(&r->p->scope.row[f->first], h->rows[i], sizeof(struct datum) * (size_t) f->n);
        TRY(eval(r->e, &r->row, r->p, f->hash_right, &key));
        size_t b = datum_hash(&key, 1) & (h->buckets - 1);
        h->next[i] = h->heads[b];
        h->heads[b] = (uint32_t) i;
        arena_reset(&r->row);
    }
out:
    return err;
}

/* ---- scans ---- */

static enum reeve_err first_row(struct runner *r, const struct datum *v)
{
    const struct plan_from *pf = &r->p->from[0];
    memcpy(&r->p->scope.row[pf->first], v, sizeof *v * (size_t) pf->n);
    enum reeve_err err = join_from(r, 1);
    if (r->row.used > 0)
        arena_reset(&r->row);
    return err;
}

struct feed {
    struct runner *r;
    int k;
};

static enum reeve_err feed_row(void *arg, const struct datum *v)
{
    struct feed *f = arg;
    struct runner *r = f->r;
    const struct plan_from *pf = &r->p->from[f->k];
    if (f->k > 0 || r->p->has_sub) {
        struct held *h = &r->held[f->k];
        return keep_copy(r->e, v, pf->n, &h->rows, &h->n, &h->cap);
    }
    return first_row(r, v);
}

enum reeve_err vscan_row(struct vscan *s, const struct datum *v)
{
    struct feed *f = s->impl;
    enum reeve_err err = exec_tick(f->r->e);
    if (err == REEVE_OK)
        err = feed_row(f, v);
    if (s->row->used > 0)
        arena_reset(s->row);
    return err;
}

static enum reeve_err scan_once(struct runner *r, int k, struct vscan *s, const struct datum *key)
{
    const struct plan_from *f = &r->p->from[k];
    s->has_key = key != NULL;
    if (key != NULL) {
        const struct type_info *t = type_by_oid(f->table->columns[f->table->key_column].type_oid);
        if (key->kind == D_NULL)
            return REEVE_OK;            /* = NULL holds for no row */
        s->has_key = t != NULL && t->kind == key->kind;
        s->key = *key;
    }
    return f->table->scan(s);
}

/* A key that fell out of the hint (wrong kind) means one full scan, not one per value. */
static enum reeve_err scan_keyed(struct runner *r, int k, struct vscan *s, const struct bx *c)
{
    const struct plan_from *f = &r->p->from[k];
    const struct type_info *t = type_by_oid(f->table->columns[f->table->key_column].type_oid);
    struct datum key;
    struct rowhash seen;
    enum reeve_err err = REEVE_OK;
    rowhash_init(&seen, &r->e->mem, 1);
    for (int i = 1; i < c->n; i++) {
        size_t at;
        bool added;
        TRY(eval(r->e, s->arena, r->p, c->args[i], &key));
        if (key.kind != D_NULL && (t == NULL || key.kind != t->kind))
            return scan_once(r, k, s, NULL);
        if (!rowhash_put(&seen, &key, &at, &added))
            return no_room(r->e);
    }
    for (size_t i = 0; i < seen.n; i++)
        TRY(scan_once(r, k, s, &seen.rows[i][0]));
out:
    return err;
}

static enum reeve_err scan_table(struct runner *r, int k)
{
    const struct plan_from *f = &r->p->from[k];
    struct feed feed = { r, k };
    struct arena rows, scan;
    struct datum version = d_null();
    struct vscan s = { .table = f->table, .session = r->e->env->session, .row = &rows, .arena = &scan,
                       .report = r->e->report, .needed = r->p->scope.needed[k], .impl = &feed,
                       .has_as_of = f->has_as_of };
    enum reeve_err err = REEVE_OK;
    arena_init(&rows, 64u << 20);
    arena_init(&scan, 64u << 20);
    if (f->as_of != NULL)
        TRY(eval(r->e, &scan, r->p, f->as_of, &version));
    s.as_of = version.kind == D_INT ? version.i : 0;
    err = f->key != NULL ? scan_keyed(r, k, &s, f->key) : scan_once(r, k, &s, NULL);
    if (err != REEVE_OK && err != REEVE_E_CLOSED && r->e->report->code == REEVE_OK)
        eval_fail(r->e, err, f->pos, "%s", reeve_err_text(err));
out:
    arena_free(&rows);
    arena_free(&scan);
    return err;
}

static enum reeve_err scan_from(struct runner *r, int k)
{
    struct feed feed = { r, k };
    if (r->p->from[k].table != NULL)
        return scan_table(r, k);
    return plan_run(r->e, r->p->from[k].sub, feed_row, &feed);
}

static enum reeve_err run_source(struct runner *r)
{
    enum reeve_err err = REEVE_OK;
    struct plan *p = r->p;
    for (int i = 0; i < p->nrows; i++) {
        for (int k = 0; k < p->ntargets; k++)
            TRY(eval(r->e, &r->row, p, p->rows[i][k], &r->out[k]));
        TRY(deliver(r));
        arena_reset(&r->row);
    }
    if (p->nrows > 0)
        return REEVE_OK;
    for (int k = p->nfrom - 1; k > 0; k--) {
        TRY(scan_from(r, k));
        TRY(index_held(r, k));
    }
    if (p->nfrom == 0)
        return take_row(r);
    err = scan_from(r, 0);
    for (size_t i = 0; err == REEVE_OK && i < r->held[0].n; i++)
        err = first_row(r, r->held[0].rows[i]);
out:
    return err;
}

/* ---- after the source ---- */

static enum reeve_err run_groups(struct runner *r)
{
    struct plan *p = r->p;
    size_t n = groups_count(r->groups);
    bool holds = true;
    enum reeve_err err = REEVE_OK;
    for (size_t i = 0; i < (p->ngroups == 0 ? 1 : n); i++) {
        TRY(exec_tick(r->e));
        TRY(groups_result(r->e, p, r->groups, i));
        if (p->having != NULL)
            TRY(eval_bool(r->e, &r->row, p, p->having, &holds));
        if (holds)
            TRY(emit(r));
        arena_reset(&r->row);
    }
out:
    return err;
}

static int order_rows(const void *x, const void *y, void *arg)
{
    const struct plan *p = arg;
    const struct datum *a = *(struct datum *const *) x, *b = *(struct datum *const *) y;
    for (int i = 0; i < p->norder; i++) {
        const struct plan_order *o = &p->order[i];
        const struct datum *l = &a[o->column], *r = &b[o->column];
        int order = 0;
        if (l->kind == D_NULL || r->kind == D_NULL) {
            if (l->kind == r->kind)
                continue;
            return (l->kind == D_NULL) == o->nulls_first ? -1 : 1;
        }
        if (datum_cmp(l, r, &order) && order != 0)
            return o->desc ? -order : order;
    }
    return 0;
}

static enum reeve_err send_sorted(struct runner *r)
{
    if (r->nkept > 1)
        qsort_r(r->kept, r->nkept, sizeof *r->kept, order_rows, r->p);
    for (size_t i = 0; i < r->nkept; i++) {
        enum reeve_err err = send(r, r->kept[i]);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

static enum reeve_err limits(struct runner *r)
{
    struct datum v;
    enum reeve_err err = REEVE_OK;
    r->left = -1;
    if (r->p->offset != NULL) {
        TRY(eval(r->e, &r->row, r->p, r->p->offset, &v));
        r->skip = v.kind == D_INT ? v.i : 0;
        if (r->skip < 0)
            return eval_fail(r->e, REEVE_E_INVALID_VALUE, r->p->offset->pos, "OFFSET must not be negative");
    }
    if (r->p->limit != NULL) {
        TRY(eval(r->e, &r->row, r->p, r->p->limit, &v));
        r->left = v.kind == D_INT ? v.i : -1;
        if (v.kind == D_INT && v.i < 0)
            return eval_fail(r->e, REEVE_E_INVALID_VALUE, r->p->limit->pos, "LIMIT must not be negative");
    }
out:
    return err;
}

/* One select, without what UNION adds. */
static enum reeve_err run_core(struct runner *r)
{
    enum reeve_err err = REEVE_OK;
    if (r->left == 0)
        return REEVE_OK;
    if (r->p->grouped && (r->groups = groups_new(r->e, r->p)) == NULL)
        return no_room(r->e);
    TRY(run_source(r));
    if (r->groups != NULL)
        TRY(run_groups(r));
    if (r->p->norder > 0)
        err = send_sorted(r);
out:
    return err;
}

/* ---- UNION ---- */

struct union_state {
    struct runner *r;
    struct rowhash seen;
    bool dedupe, sorted;
};

static enum reeve_err union_row(void *arg, const struct datum *v)
{
    struct union_state *u = arg;
    size_t at;
    bool added;
    if (u->dedupe) {
        if (!rowhash_put(&u->seen, v, &at, &added))
            return no_room(u->r->e);
        if (!added)
            return REEVE_OK;
    }
    if (u->sorted)
        return keep_copy(u->r->e, v, u->r->p->ntargets, &u->r->kept, &u->r->nkept, &u->r->kept_cap);
    return send(u->r, v);
}

/* a UNION ALL b UNION c removes duplicates up to the last UNION; what follows by ALL is appended as it is. */
static enum reeve_err run_union(struct runner *r)
{
    struct union_state u = { .r = r, .sorted = r->p->norder > 0 };
    enum reeve_err err = REEVE_OK;
    int member = 0, last = 0;
    for (struct plan *p = r->p; p->next != NULL; p = p->next) {
        member++;
        if (p->set_op == SET_UNION)
            last = member;
    }
    rowhash_init(&u.seen, &r->e->mem, r->p->ntargets);
    member = 0;
    for (struct plan *p = r->p; p != NULL; p = p->next, member++) {
        u.dedupe = member <= last && last > 0;
        struct runner inner = { .e = r->e, .p = p, .fn = union_row, .arg = &u, .left = -1 };
        arena_init(&inner.row, 64u << 20);
        int norder = p->norder;
        p->norder = 0;
        rowhash_init(&inner.distinct, &r->e->mem, p->ntargets);
        inner.out = arena_alloc(&r->e->mem, sizeof *inner.out * (size_t) (p->noutputs + 1));
        err = inner.out ? run_core(&inner) : no_room(r->e);
        p->norder = norder;
        arena_free(&inner.row);
        TRY(err);
    }
    if (r->p->norder > 0)
        err = send_sorted(r);
out:
    return err;
}

enum reeve_err plan_run(struct exec *e, struct plan *p, row_fn fn, void *arg)
{
    struct runner *r = calloc(1, sizeof *r);
    enum reeve_err err = REEVE_OK;
    if (r == NULL)
        return eval_fail(e, REEVE_E_NOMEM, -1, "out of memory");
    r->e = e;
    r->p = p;
    r->fn = fn;
    r->arg = arg;
    arena_init(&r->row, 64u << 20);
    rowhash_init(&r->distinct, &e->mem, p->ntargets);
    r->out = arena_alloc(&e->mem, sizeof *r->out * (size_t) (p->noutputs + 1));
    if (r->out == NULL)
        TRY(no_room(e));
    TRY(limits(r));
    err = p->next != NULL ? run_union(r) : run_core(r);
out:
    arena_free(&r->row);
    free(r);
    return err == REEVE_E_CLOSED ? REEVE_OK : err;
}
