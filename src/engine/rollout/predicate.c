/*
 * predicate.c - checking and evaluating the canonical predicate
 *
 * Check and evaluation walk the same byte code over a stack of PRED_STACK. The
 * check runs on everything from outside; evaluation may then assert.
 */
#include "engine/rollout/predicate_int.h"

bool pred_next(struct rd *r, struct pred_ins *in)
{
    memset(in, 0, sizeof *in);
    if (rd_left(r) == 0)
        return false;
    in->op = rd_u8(r);
    if (in->op == PRED_CONST || in->op == PRED_LABEL)
        in->text = rd_bytes(r, rd_u8(r));
    else if (in->op == PRED_IN)
        in->count = rd_u8(r);
    return !r->bad;
}

/* ---- check: what kind of thing stands where on the stack ---- */

enum kind { K_CONST, K_ATTR, K_TRUTH };
struct shape { unsigned n; uint8_t kind[PRED_STACK]; };

static bool shape_push(struct shape *s, enum kind k)
{
    if (s->n == PRED_STACK)
        return false;
    s->kind[s->n++] = (uint8_t) k;
    return true;
}

static bool shape_pop(struct shape *s, bool truth)
{
    return s->n > 0 && (s->kind[--s->n] == K_TRUTH) == truth;
}

static bool shape_in(struct shape *s, unsigned count)
{
    if (count == 0 || count >= s->n)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (s->kind[--s->n] != K_CONST)
            return false;
    return shape_pop(s, false) && shape_push(s, K_TRUTH);
}

static bool text_ok(struct slice s, bool empty_ok)
{
    return (s.len > 0 || empty_ok) && utf8_valid(s) && (s.len == 0 || memchr(s.p, 0, s.len) == NULL);
}

static bool shape_step(struct shape *s, const struct pred_ins *in)
{
    switch (in->op) {
    case PRED_CONST:
        return text_ok(in->text, true) && shape_push(s, K_CONST);
    case PRED_NULL:
        return shape_push(s, K_CONST);
    case PRED_LABEL:
        return text_ok(in->text, false) && shape_push(s, K_ATTR);
    case PRED_REGION: case PRED_NODE:
        return shape_push(s, K_ATTR);
    case PRED_EQ: case PRED_NE: case PRED_LT: case PRED_LE: case PRED_GT: case PRED_GE: case PRED_LIKE:
        return shape_pop(s, false) && shape_pop(s, false) && shape_push(s, K_TRUTH);
    case PRED_IS_NULL:
        return shape_pop(s, false) && shape_push(s, K_TRUTH);
    case PRED_IN:
        return shape_in(s, in->count);
    case PRED_AND: case PRED_OR:
        return shape_pop(s, true) && shape_pop(s, true) && shape_push(s, K_TRUTH);
    case PRED_NOT:
        return shape_pop(s, true) && shape_push(s, K_TRUTH);
    default:
        return false;
    }
}

enum reeve_err predicate_check(const struct predicate *p)
{
    struct shape s = { 0 };
    struct pred_ins in;
    if (p->len == 0)
        return REEVE_OK;
    if (p->len > ROLLOUT_PRED_MAX)
        return REEVE_E_MALFORMED;
    struct rd r = rd_of(slice_of(p->code, p->len));
    while (pred_next(&r, &in))
        if (!shape_step(&s, &in))
            return REEVE_E_MALFORMED;
    return rd_done(&r) && s.n == 1 && s.kind[0] == K_TRUTH ? REEVE_OK : REEVE_E_MALFORMED;
}

/* ---- evaluation ---- */

/* FALSE < UNKNOWN < TRUE makes AND the minimum and OR the maximum. */
enum truth { T_FALSE, T_UNKNOWN, T_TRUE };
/* hidden: it may be any text, or none */
struct cell { bool null, hidden; uint8_t truth; struct slice text; };
struct machine {
    unsigned n;
    struct cell cell[PRED_STACK];
    const struct name *region;
    const struct labels *labels;
    struct slice node;
    bool hide;                          /* labels and id are not known */
};

static void push_text(struct machine *m, bool null, struct slice text)
{
    reeve_assert(m->n < PRED_STACK);
    m->cell[m->n++] = (struct cell){ .null = null, .text = text };
}

static void push_truth(struct machine *m, enum truth t)
{
    reeve_assert(m->n < PRED_STACK);
    m->cell[m->n++] = (struct cell){ .truth = (uint8_t) t };
}

static struct cell *pop(struct machine *m)
{
    reeve_assert(m->n > 0);
    return &m->cell[--m->n];
}

static void push_hidden(struct machine *m)
{
    push_text(m, true, (struct slice){ NULL, 0 });
    m->cell[m->n - 1].hidden = true;
}

static void push_label(struct machine *m, struct slice key)
{
    for (unsigned i = 0; m->labels != NULL && i < m->labels->n; i++)
        if (slice_eq(name_slice(&m->labels->l[i].key), key)) {
            push_text(m, false, name_slice(&m->labels->l[i].value));
            return;
        }
    push_text(m, true, (struct slice){ NULL, 0 });
}

static int compare(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return c != 0 ? c : a.len < b.len ? -1 : a.len > b.len;
}

/* One pattern element at p: its width, and whether it matches the byte c ('%' is handled by the caller). */
static bool like_one(struct slice pat, size_t p, uint8_t c, size_t *width)
{
    bool escaped = pat.p[p] == '\\' && p + 1 < pat.len;
    *width = escaped ? 2 : 1;
    return (!escaped && pat.p[p] == '_') || pat.p[p + (escaped ? 1 : 0)] == c;
}

/* Greedy with one restart point, the last '%': O(n*m) at worst, no recursion. */
static bool like(struct slice t, struct slice pat)
{
    size_t i = 0, p = 0, star = SIZE_MAX, mark = 0, width;
    while (i < t.len) {
        if (p < pat.len && pat.p[p] == '%') {
            star = p++;
            mark = i;
        } else if (p < pat.len && like_one(pat, p, t.p[i], &width)) {
            i++;
            p += width;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++mark;
        } else {
            return false;
        }
    }
    while (p < pat.len && pat.p[p] == '%')
        p++;
    return p == pat.len;
}

static bool relation(uint8_t op, struct slice a, struct slice b)
{
    int c = op == PRED_LIKE ? 0 : compare(a, b);
    switch (op) {
    case PRED_EQ: return c == 0;
    case PRED_NE: return c != 0;
    case PRED_LT: return c < 0;
    case PRED_LE: return c <= 0;
    case PRED_GT: return c > 0;
    case PRED_GE: return c >= 0;
    default:      return like(a, b);
    }
}

static void eval_relation(struct machine *m, uint8_t op)
{
    const struct cell b = *pop(m), a = *pop(m);
    push_truth(m, a.null || b.null ? T_UNKNOWN : relation(op, a.text, b.text) ? T_TRUE : T_FALSE);
}

/* SQL: x IN (..) is TRUE on a hit, else UNKNOWN when a NULL took part. */
static void eval_in(struct machine *m, unsigned count)
{
    reeve_assert(m->n > count);
    const struct cell x = m->cell[m->n - count - 1];
    enum truth t = x.null ? T_UNKNOWN : T_FALSE;
    for (unsigned i = 0; i < count; i++) {
        const struct cell *c = pop(m);
        if (x.null || t == T_TRUE)
            continue;
        if (c->null)
            t = T_UNKNOWN;
        else if (slice_eq(c->text, x.text))
            t = T_TRUE;
    }
    (void) pop(m);
    push_truth(m, t);
}

static void eval_logic(struct machine *m, uint8_t op)
{
    uint8_t b = pop(m)->truth;
    if (op == PRED_NOT) {
        push_truth(m, (enum truth) (T_TRUE - b));
        return;
    }
    uint8_t a = pop(m)->truth;
    bool take_a = op == PRED_AND ? a < b : a > b;
    push_truth(m, (enum truth) (take_a ? a : b));
}

static void eval_null(struct machine *m)
{
    const struct cell *c = pop(m);
    push_truth(m, c->hidden ? T_UNKNOWN : c->null ? T_TRUE : T_FALSE);
}

static void eval_step(struct machine *m, const struct pred_ins *in)
{
    switch (in->op) {
    case PRED_CONST:   push_text(m, false, in->text); break;
    case PRED_NULL:    push_text(m, true, in->text); break;
    case PRED_REGION:  push_text(m, false, name_slice(m->region)); break;
    case PRED_NODE:    m->hide ? push_hidden(m) : push_text(m, false, m->node); break;
    case PRED_LABEL:   m->hide ? push_hidden(m) : push_label(m, in->text); break;
    case PRED_IS_NULL: eval_null(m); break;
    case PRED_IN:      eval_in(m, in->count); break;
    case PRED_AND: case PRED_OR: case PRED_NOT: eval_logic(m, in->op); break;
    default:           eval_relation(m, in->op); break;
    }
}

static uint8_t eval(struct machine *m, const struct predicate *p)
{
    struct rd r = rd_of(slice_of(p->code, p->len));
    struct pred_ins in;
    while (pred_next(&r, &in))
        eval_step(m, &in);
    return pop(m)->truth;
}

bool predicate_holds(const struct predicate *p, const struct name *region, const struct labels *labels,
                     struct slice node_id_text)
{
    struct machine m = { .region = region, .labels = labels, .node = node_id_text };
    return p->len == 0 || eval(&m, p) == T_TRUE;
}

bool predicate_may_hold(const struct predicate *p, const struct name *region)
{
    struct machine m = { .region = region, .hide = true };
    return p->len == 0 || eval(&m, p) != T_FALSE;
}
