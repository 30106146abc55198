/*
 * linear.c - Wing and Gong's search with Lowe's memory; see the header
 *
 * The history is a doubly linked list of entries in order of time: a call and,
 * where the outcome is known, its return. The search walks from the front.
 * At a call it tries to place the operation there: if the register allows it
 * and this (set of placed operations, state) was never met, both entries leave
 * the list and the walk begins again. At a return nothing before it can be
 * placed any more: the last placed operation is put back and the walk goes on
 * behind its call. The list without returns is success: whoever is left has an
 * unknown outcome and may never have happened.
 */
#include "sim/linear.h"

#include <stdlib.h>

#define WORDS_MAX (LINEAR_OPS_MAX / 64)

struct entry {
    struct entry *prev, *next;
    struct entry *match;        /* call: its return (NULL: unknown); return: NULL */
    bool call;
    uint32_t op;
    int64_t at;
};

/* A configuration met: operations placed, and the register behind them. */
struct met {
    struct met *next;
    uint64_t hash;
    struct linear_value state;
    uint64_t bits[];
};

struct placed { struct entry *call; struct linear_value before; };

struct search {
    const struct linear_op *ops;
    size_t n, words;
    struct entry head, *entries;
    size_t n_returns;           /* still in the list */
    struct linear_value state;
    uint64_t bits[WORDS_MAX];
    struct placed *stack;
    size_t depth;
    struct met **bucket;
    size_t n_buckets, n_met;
    uint64_t steps;
    bool wild[LINEAR_OPS_MAX];
    size_t wild_before[LINEAR_OPS_MAX];     /* the operation that is placed first; n: none */
    struct linear_value wild_value;
    struct linear_evidence best;
    bool have_best;
};

/* ---- the register ---- */

static bool value_eq(struct linear_value a, struct linear_value b)
{
    return a.present == b.present && (!a.present || a.v == b.v);
}

/* May op take effect on state? If so *after is the state behind it. An unknown cas may also have found another value. */
static bool apply(const struct linear_op *op, struct linear_value state, struct linear_value *after)
{
    *after = state;
    bool hit = value_eq(state, op->expected);
    switch (op->kind) {
    case LINEAR_READ:
        return value_eq(state, op->value);
    case LINEAR_WRITE:
        *after = op->value;
        return true;
    case LINEAR_CAS:
        if (op->outcome == LINEAR_FAILED)
            return !hit;
        *after = op->value;
        return hit;             /* unknown: not having happened covers a miss */
    }
    return false;
}

/* ---- what was met ---- */

static uint64_t config_hash(const struct search *s)
{
    uint64_t h = 0xcbf29ce484222325u ^ (s->state.present ? (uint64_t) s->state.v * 0x9e3779b97f4a7c15u : 7);
    for (size_t i = 0; i < s->words; i++) {
        h = (h ^ s->bits[i]) * 0x100000001b3u;
        h ^= h >> 31;
    }
    return h;
}

static bool met_grow(struct search *s)
{
    size_t n = s->n_buckets * 4;
    struct met **b = calloc(n, sizeof *b);
    if (b == NULL)
        return false;
    for (size_t i = 0; i < s->n_buckets; i++)
        for (struct met *m = s->bucket[i], *next; m != NULL; m = next) {
            next = m->next;
            m->next = b[m->hash & (n - 1)];
            b[m->hash & (n - 1)] = m;
        }
    free(s->bucket);
    s->bucket = b;
    s->n_buckets = n;
    return true;
}

/* True when the present configuration is new; it is remembered. */
static bool met_add(struct search *s)
{
    uint64_t h = config_hash(s);
    for (struct met *m = s->bucket[h & (s->n_buckets - 1)]; m != NULL; m = m->next)
        if (m->hash == h && value_eq(m->state, s->state) && memcmp(m->bits, s->bits, s->words * 8) == 0)
            return false;
    if (s->n_met >= s->n_buckets && !met_grow(s))
        return true;            /* short of memory: forgetting costs time, not truth */
    struct met *m = malloc(sizeof *m + s->words * 8);
    if (m == NULL)
        return true;
    m->hash = h;
    m->state = s->state;
    memcpy(m->bits, s->bits, s->words * 8);
    m->next = s->bucket[h & (s->n_buckets - 1)];
    s->bucket[h & (s->n_buckets - 1)] = m;
    s->n_met++;
    return true;
}

/* ---- the list ---- */

static void unlink_entry(struct entry *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
}

static void relink_entry(struct entry *e)
{
    e->prev->next = e;
    e->next->prev = e;
}

static void lift(struct search *s, struct entry *call)
{
    unlink_entry(call);
    if (call->match != NULL) {
        unlink_entry(call->match);
        s->n_returns--;
    }
    s->bits[call->op / 64] |= 1ull << call->op % 64;
}

/* In the opposite order of lift, so that every pointer is right again. */
static void unlift(struct search *s, struct entry *call)
{
    s->bits[call->op / 64] &= ~(1ull << call->op % 64);
    if (call->match != NULL) {
        relink_entry(call->match);
        s->n_returns++;
    }
    relink_entry(call);
}

/* Calls before returns at one instant: such operations count as concurrent. */
static int entry_cmp(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (x->call != y->call)
        return x->call ? -1 : 1;
    return x->op < y->op ? -1 : x->op > y->op;
}

static void link_all(struct search *s, size_t n_entries)
{
    struct entry *last = &s->head, **call_of = calloc(s->n, sizeof *call_of);
    reeve_assert(call_of != NULL);
    qsort(s->entries, n_entries, sizeof *s->entries, entry_cmp);
    for (size_t i = 0; i < n_entries; i++) {
        struct entry *e = &s->entries[i];
        if (e->call)
            call_of[e->op] = e;
        else
            call_of[e->op]->match = e;
        e->prev = last;
        last = last->next = e;
    }
    last->next = &s->head;
    s->head.prev = last;
    free(call_of);
}

/* ---- making the search smaller without changing its answer ---- */

static bool could_see(const struct linear_op *o, struct linear_value v)
{
    return (o->kind == LINEAR_READ && value_eq(o->value, v)) || (o->kind == LINEAR_CAS && value_eq(o->expected, v));
}

static bool sets(const struct linear_op *o, struct linear_value v)
{
    return o->kind != LINEAR_READ && o->outcome != LINEAR_FAILED && value_eq(o->value, v);
}

static bool value_unique(const struct linear_op *ops, size_t n, size_t me)
{
    for (size_t i = 0; i < n; i++)
        if (i != me && sets(&ops[i], ops[me].value))
            return false;
    return ops[me].value.present;
}

/*
 * When an unknown operation's value is its own: seen by somebody known, it
 * must have happened before that one returned, which is as good as a return.
 * LINEAR_NEVER where nothing is known.
 */
static int64_t seen_by(const struct linear_op *ops, size_t n, size_t me)
{
    int64_t first = LINEAR_NEVER;
    if (!value_unique(ops, n, me))
        return first;
    for (size_t i = 0; i < n; i++)
        if (i != me && ops[i].outcome == LINEAR_OK && could_see(&ops[i], ops[me].value) && ops[i].ret < first)
            first = ops[i].ret;
    return first;
}

/* May the register ever hold what this failed cas did not find? If not it says nothing. */
static bool could_hit(const struct linear_op *ops, size_t n, const struct linear_op *failed)
{
    for (size_t i = 0; i < n; i++)
        if (sets(&ops[i], failed->expected))
            return true;
    return !failed->expected.present;
}

/*
 * An unknown operation that nobody needs may as well never have happened. Who
 * could need it: an operation that meets its value and succeeds, or a failed
 * cas, for which any value but the expected one will do.
 */
static bool needed(const struct linear_op *ops, size_t n, size_t me)
{
    for (size_t i = 0; i < n; i++) {
        if (i == me)
            continue;
        bool meets = could_see(&ops[i], ops[me].value), failed = ops[i].outcome == LINEAR_FAILED;
        if (failed ? !meets && ops[i].ret >= ops[me].call : meets)
            return true;
    }
    return false;
}

static bool says_nothing(const struct linear_op *ops, size_t n, size_t me)
{
    if (ops[me].outcome == LINEAR_FAILED)
        return !could_hit(ops, n, &ops[me]);
    return ops[me].outcome == LINEAR_UNKNOWN && (ops[me].kind == LINEAR_READ || !needed(ops, n, me));
}

/* Copies what matters; returns how many. Each one that goes may make another superfluous. */
static size_t reduce(struct linear_op *out, const struct linear_op *ops, size_t n, bool failed_too)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (failed_too || ops[i].outcome != LINEAR_FAILED)
            out[m++] = ops[i];
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < m;) {
            if (!says_nothing(out, m, i)) {
                i++;
                continue;
            }
            out[i] = out[--m];
            again = true;
        }
    }
    return m;
}

static bool wild_alike(const struct linear_op *a, const struct linear_op *b)
{
    return a->kind == b->kind && (a->kind == LINEAR_WRITE || value_eq(a->expected, b->expected));
}

static bool called_before(const struct search *s, size_t a, size_t b)
{
    return s->ops[a].call != s->ops[b].call ? s->ops[a].call < s->ops[b].call : a < b;
}

/*
 * What is left of unknown operations with values nobody could meet serves only
 * to make a cas fail. Such operations are alike: those with the same condition
 * are placed in the order of their calls (any placed one may be exchanged for
 * the earliest, which is available as long), and their values count as one.
 * That turns the subsets of k of them into k + 1 cases.
 */
static void wild_chain(struct search *s)
{
    size_t last = s->n;
    for (size_t i = 0; i < s->n; i++) {
        s->wild_before[i] = s->n;
        s->wild[i] = s->ops[i].outcome == LINEAR_UNKNOWN;
        for (size_t j = 0; s->wild[i] && j < s->n; j++)
            s->wild[i] = j == i || !could_see(&s->ops[j], s->ops[i].value);
        last = s->wild[i] ? i : last;
    }
    if (last < s->n)
        s->wild_value = s->ops[last].value;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; s->wild[i] && j < s->n; j++)
            if (s->wild[j] && wild_alike(&s->ops[i], &s->ops[j]) && called_before(s, j, i) &&
                (s->wild_before[i] == s->n || called_before(s, s->wild_before[i], j)))
                s->wild_before[i] = j;
}

/* ---- the search ---- */

static void note_best(struct search *s)
{
    uint32_t known = 0;
    for (size_t i = 0; i < s->depth; i++)
        known += s->ops[s->stack[i].call->op].outcome != LINEAR_UNKNOWN;
    if (s->have_best && known <= s->best.placed)
        return;
    s->have_best = true;
    s->best = (struct linear_evidence){ .placed = known, .state = s->state };
    for (struct entry *e = s->head.next; e != &s->head && e->call; e = e->next)
        if (e->match != NULL && s->best.n_blocked < 16)
            s->best.blocked[s->best.n_blocked++] = s->ops[e->op].tag;
}

static bool place(struct search *s, struct entry *call)
{
    struct linear_value after, before = s->state;
    size_t first = s->wild_before[call->op];
    if (first < s->n && !(s->bits[first / 64] >> first % 64 & 1))
        return false;
    if (!apply(&s->ops[call->op], before, &after))
        return false;
    if (s->wild[call->op])
        after = s->wild_value;
    lift(s, call);
    s->state = after;
    if (met_add(s)) {
        s->stack[s->depth++] = (struct placed){ call, before };
        return true;
    }
    s->state = before;
    unlift(s, call);
    return false;
}

static bool only_looks(const struct linear_op *o) { return o->kind == LINEAR_READ || o->outcome == LINEAR_FAILED; }

/*
 * Puts back the last placed operation that changed something; returns where the
 * walk goes on, NULL when all was tried. What only looks is placed as soon as
 * it can be and never tried later: whoever could go first with it undone, could
 * as well with it done.
 */
static struct entry *retreat(struct search *s)
{
    note_best(s);
    while (s->depth > 0) {
        struct placed p = s->stack[--s->depth];
        s->state = p.before;
        unlift(s, p.call);
        if (!only_looks(&s->ops[p.call->op]))
            return p.call->next;
    }
    return NULL;
}

static enum linear_verdict search_run(struct search *s)
{
    struct entry *e = s->head.next;
    while (s->n_returns > 0) {
        if (s->steps-- == 0)
            return LINEAR_UNDECIDED;
        if (e->call && e != &s->head) {
            e = place(s, e) ? s->head.next : e->next;
            continue;
        }
        if ((e = retreat(s)) == NULL)
            return LINEAR_NO;
    }
    return LINEAR_YES;
}

static void search_free(struct search *s)
{
    for (size_t i = 0; i < s->n_buckets && s->bucket != NULL; i++)
        for (struct met *m = s->bucket[i], *next; m != NULL; m = next) {
            next = m->next;
            free(m);
        }
    free(s->bucket);
    free(s->stack);
    free(s->entries);
}

static enum reeve_err search_init(struct search *s, const struct linear_op *ops, size_t n, uint64_t steps)
{
    size_t k = 0;
    *s = (struct search){ .ops = ops, .n = n, .words = n / 64 + 1, .steps = steps, .n_buckets = 1024 };
    s->entries = calloc(2 * n + 1, sizeof *s->entries);
    s->stack = calloc(n + 1, sizeof *s->stack);
    s->bucket = calloc(s->n_buckets, sizeof *s->bucket);
    if (s->entries == NULL || s->stack == NULL || s->bucket == NULL)
        return REEVE_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        s->entries[k++] = (struct entry){ .call = true, .op = (uint32_t) i, .at = ops[i].call };
        int64_t ret = ops[i].outcome == LINEAR_UNKNOWN ? seen_by(ops, n, i) : ops[i].ret;
        if (ret == LINEAR_NEVER)
            continue;
        /* Seen before it was called: no order allows that, and the list needs a call before its return. */
        s->entries[k++] = (struct entry){ .op = (uint32_t) i, .at = ret < ops[i].call ? ops[i].call : ret };
        s->n_returns++;
    }
    wild_chain(s);
    link_all(s, k);
    return REEVE_OK;
}

static bool op_sound(const struct linear_op *o)
{
    if (o->kind < LINEAR_READ || o->kind > LINEAR_CAS || o->outcome < LINEAR_OK || o->outcome > LINEAR_UNKNOWN)
        return false;
    if (o->outcome == LINEAR_UNKNOWN)
        return o->ret == LINEAR_NEVER;
    return o->call <= o->ret && o->ret != LINEAR_NEVER && (o->outcome == LINEAR_OK || o->kind == LINEAR_CAS);
}

static enum reeve_err check_once(const struct linear_op *ops, size_t n, uint64_t steps,
                                 enum linear_verdict *verdict, struct linear_evidence *evidence)
{
    enum reeve_err err = REEVE_OK;
    struct search *s = calloc(1, sizeof *s);
    if (s == NULL)
        return REEVE_E_NOMEM;
    TRY(search_init(s, ops, n, steps));
    *verdict = search_run(s);
    if (evidence != NULL)
        *evidence = s->best;
out:
    search_free(s);
    free(s);
    return err;
}

/*
 * First without the failed cas: fewer operations claim less, so a NO stands,
 * and almost every wrong history is wrong already there. Only they make
 * unknown operations matter that nobody saw.
 */
enum reeve_err linear_check(const struct linear_op *ops, size_t n, uint64_t steps,
                            enum linear_verdict *verdict, struct linear_evidence *evidence)
{
    enum reeve_err err = REEVE_OK;
    struct linear_op *few = NULL;
    if (n >= LINEAR_OPS_MAX)
        return REEVE_E_TOO_COMPLEX;
    for (size_t i = 0; i < n; i++)
        if (!op_sound(&ops[i]))
            return REEVE_E_INVALID_VALUE;
    if ((few = calloc(n + 1, sizeof *few)) == NULL)
        return REEVE_E_NOMEM;
    *verdict = LINEAR_YES;
    for (int failed_too = 0; failed_too < 2 && *verdict == LINEAR_YES; failed_too++) {
        size_t m = reduce(few, ops, n, failed_too);
        TRY(check_once(few, m, steps ? steps : 10000000, verdict, evidence));
    }
out:
    free(few);
    return err;
}
