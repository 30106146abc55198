/*
 * predicate_text.c - a predicate as SQL text
 *
 * Operands of postfix code lie next to each other in the output, in order. So
 * the text grows in place: an operator is inserted between its operands, and
 * a parenthesis before one that binds less tightly.
 */
#include "engine/rollout/predicate_int.h"

/* How tightly the text of a stack entry binds. */
enum binding { B_OR, B_AND, B_NOT, B_RELATION, B_VALUE };
struct piece { size_t at; uint8_t bind; };
struct text { struct wr *out; unsigned n; struct piece piece[PRED_STACK]; };

static void insert(struct wr *w, size_t at, const char *s)
{
    size_t len = strlen(s), tail = w->len - at;
    if (w->bad || wr_reserve(w, len) == NULL)
        return;
    memmove(w->p + at + len, w->p + at, tail);
    memcpy(w->p + at, s, len);
}

static void push(struct text *t, enum binding b)
{
    reeve_assert(t->n < PRED_STACK);
    t->piece[t->n++] = (struct piece){ t->out->len, (uint8_t) b };
}

static void quoted(struct wr *out, struct slice s)
{
    wr_u8(out, '\'');
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '\'')
            wr_u8(out, '\'');
        wr_u8(out, s.p[i]);
    }
    wr_u8(out, '\'');
}

/* Wraps the topmost piece when it binds less tightly than its place needs. */
static void wrap_top(struct text *t, enum binding need)
{
    const struct piece *p = &t->piece[t->n - 1];
    if (p->bind >= need)
        return;
    insert(t->out, p->at, "(");
    wr_u8(t->out, ')');
}

/* The same for the second from the top; what follows it moves. */
static void wrap_second(struct text *t, enum binding need)
{
    const struct piece *p = &t->piece[t->n - 2];
    if (p->bind >= need)
        return;
    insert(t->out, t->piece[t->n - 1].at, ")");
    insert(t->out, p->at, "(");
    t->piece[t->n - 1].at += 2;
}

static void join(struct text *t, const char *op, enum binding left, enum binding right, enum binding self)
{
    reeve_assert(t->n >= 2);
    wrap_top(t, right);
    wrap_second(t, left);
    insert(t->out, t->piece[t->n - 1].at, op);
    t->n--;
    t->piece[t->n - 1].bind = (uint8_t) self;
}

static void in_list(struct text *t, unsigned count)
{
    reeve_assert(t->n > count);
    for (unsigned i = 0; i < count; i++)
        insert(t->out, t->piece[--t->n].at, i + 1 == count ? " IN (" : ", ");
    wr_u8(t->out, ')');
    t->piece[t->n - 1].bind = B_RELATION;
}

static void negate(struct text *t)
{
    wrap_top(t, B_RELATION);
    insert(t->out, t->piece[t->n - 1].at, "NOT ");
    t->piece[t->n - 1].bind = B_NOT;
}

static const char *relation_text(uint8_t op)
{
    static const char *const rel[] = { " = ", " <> ", " < ", " <= ", " > ", " >= ", " LIKE " };
    return rel[op - PRED_EQ];
}

static void describe_step(struct text *t, const struct pred_ins *in)
{
    switch (in->op) {
    case PRED_CONST:   push(t, B_VALUE); quoted(t->out, in->text); break;
    case PRED_NULL:    push(t, B_VALUE); wr_text(t->out, "NULL"); break;
    case PRED_REGION:  push(t, B_VALUE); wr_text(t->out, "region"); break;
    case PRED_NODE:    push(t, B_VALUE); wr_text(t->out, "node_id"); break;
    case PRED_LABEL:
        push(t, B_VALUE);
        wr_text(t->out, "label(");
        quoted(t->out, in->text);
        wr_u8(t->out, ')');
        break;
    case PRED_IS_NULL: wr_text(t->out, " IS NULL"); t->piece[t->n - 1].bind = B_RELATION; break;
    case PRED_IN:      in_list(t, in->count); break;
    case PRED_AND:     join(t, " AND ", B_AND, B_NOT, B_AND); break;
    case PRED_OR:      join(t, " OR ", B_OR, B_AND, B_OR); break;
    case PRED_NOT:     negate(t); break;
    default:           join(t, relation_text(in->op), B_VALUE, B_VALUE, B_RELATION); break;
    }
}

void predicate_describe(const struct predicate *p, struct wr *out)
{
    struct text t = { .out = out };
    struct pred_ins in;
    if (p->len == 0) {
        wr_text(out, "true");
        return;
    }
    struct rd r = rd_of(slice_of(p->code, p->len));
    while (pred_next(&r, &in))
        describe_step(&t, &in);
}
