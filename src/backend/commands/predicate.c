/*
 * predicate.c - WHERE of a rollout, from syntax to canonical byte code
 *
 * Only what an agent can decide about itself may be asked: region, node_id and
 * label('x'), against constants. Everything else is refused with a position,
 * because a predicate that means one thing here and another on a node would
 * be worse than none.
 */
#include "cmd_int.h"

#include "backend/parser/parser.h"

enum { P_EQ = 0x10, P_NE, P_LT, P_LE, P_GT, P_GE, P_LIKE, P_ISNULL = 0x18, P_AND = 0x20, P_OR, P_NOT };

struct build {
    struct cmd *x;
    struct predicate *p;
    bool bad;
};

static enum reeve_err fail(struct build *b, const struct ast_expr *e, const char *what)
{
    enum reeve_err err = report_set(b->x->rep, REEVE_E_INVALID_VALUE, "%s", what);
    report_hint(b->x->rep, "A target predicate may use region, node_id and label('name'), compared with constants.");
    b->x->rep->position = parse_position(b->x->c->text, e->pos);
    return err;
}

static enum reeve_err constant(struct build *b, const struct ast_expr *e)
{
    if (e->kind != X_VALUE)
        return fail(b, e, "a constant is needed here");
    if (slot_is_null(&b->x->slot, &e->v)) {
        predicate_op(b->p, 0x04, &b->bad);
        return REEVE_OK;
    }
    struct slice s;
    enum reeve_err err = slot_text(&b->x->slot, &e->v, "constant", &s);
    if (err != REEVE_OK)
        return err;
    if (s.len > NAME_MAX_LEN)
        return fail(b, e, "the constant is too long");
    predicate_push_const(b->p, s, &b->bad);
    return REEVE_OK;
}

static bool is_attribute(const struct ast_expr *e)
{
    return e->kind == X_COLUMN || e->kind == X_FUNC;
}

static enum reeve_err attribute(struct build *b, const struct ast_expr *e)
{
    if (e->kind == X_COLUMN && strcmp(e->name, "region") == 0) {
        predicate_op(b->p, 0x02, &b->bad);
        return REEVE_OK;
    }
    if (e->kind == X_COLUMN && strcmp(e->name, "node_id") == 0) {
        predicate_op(b->p, 0x05, &b->bad);
        return REEVE_OK;
    }
    if (e->kind == X_FUNC && strcmp(e->name, "label") == 0 && e->nargs == 1 && e->args[0]->kind == X_VALUE) {
        struct name key;
        enum reeve_err err = slot_name(&b->x->slot, &e->args[0]->v, "label", &key);
        if (err == REEVE_OK)
            predicate_push_label(b->p, name_slice(&key), &b->bad);
        return err;
    }
    return fail(b, e, "not an attribute of a node");
}

static enum reeve_err operand(struct build *b, const struct ast_expr *e)
{
    return is_attribute(e) ? attribute(b, e) : constant(b, e);
}

static enum reeve_err binary(struct build *b, const struct ast_expr *l, const struct ast_expr *r, uint8_t op)
{
    enum reeve_err err = operand(b, l);
    if (err == REEVE_OK)
        err = operand(b, r);
    predicate_op(b->p, op, &b->bad);
    return err;
}

static uint8_t code_of(enum ast_op op)
{
    switch (op) {
    case OP_EQ: return P_EQ;
    case OP_NE: return P_NE;
    case OP_LT: return P_LT;
    case OP_LE: return P_LE;
    case OP_GT: return P_GT;
    case OP_GE: return P_GE;
    default: return 0;
    }
}

static enum reeve_err truth(struct build *b, const struct ast_expr *e);

static enum reeve_err junction(struct build *b, const struct ast_expr *e, uint8_t op)
{
    for (int i = 0; i < e->nargs; i++) {
        enum reeve_err err = truth(b, e->args[i]);
        if (err != REEVE_OK)
            return err;
        if (i > 0)
            predicate_op(b->p, op, &b->bad);
    }
    return REEVE_OK;
}

static enum reeve_err in_list(struct build *b, const struct ast_expr *e)
{
    if (e->select != NULL)
        return fail(b, e, "a sub-select cannot be part of a target predicate");
    if (e->nargs - 1 > 14)
        return fail(b, e, "at most 14 values in a list");
    enum reeve_err err = attribute(b, e->args[0]);
    for (int i = 1; i < e->nargs && err == REEVE_OK; i++)
        err = constant(b, e->args[i]);
    predicate_in(b->p, (uint8_t) (e->nargs - 1), &b->bad);
    return err;
}

static enum reeve_err between(struct build *b, const struct ast_expr *e)
{
    enum reeve_err err = binary(b, e->args[0], e->args[1], P_GE);
    if (err == REEVE_OK)
        err = binary(b, e->args[0], e->args[2], P_LE);
    predicate_op(b->p, P_AND, &b->bad);
    return err;
}

static enum reeve_err truth(struct build *b, const struct ast_expr *e)
{
    enum reeve_err err;
    switch (e->kind) {
    case X_AND: return junction(b, e, P_AND);
    case X_OR:  return junction(b, e, P_OR);
    case X_NOT:
        err = truth(b, e->args[0]);
        predicate_op(b->p, P_NOT, &b->bad);
        return err;
    case X_OP:
        if (e->nargs != 2 || code_of(e->op) == 0)
            return fail(b, e, "this operator cannot be part of a target predicate");
        return binary(b, e->args[0], e->args[1], code_of(e->op));
    case X_LIKE:
        if (e->op != OP_LIKE)
            return fail(b, e, "ILIKE cannot be part of a target predicate");
        err = binary(b, e->args[0], e->args[1], P_LIKE);
        break;
    case X_IS_NULL:
        err = attribute(b, e->args[0]);
        predicate_op(b->p, P_ISNULL, &b->bad);
        break;
    case X_IN:
        err = in_list(b, e);
        break;
    case X_BETWEEN:
        err = between(b, e);
        break;
    default:
        return fail(b, e, "this expression cannot be part of a target predicate");
    }
    if (e->negated)
        predicate_op(b->p, P_NOT, &b->bad);
    return err;
}

enum reeve_err cmd_predicate(struct cmd *x, const struct ast_expr *e, struct predicate *out)
{
    struct build b = { .x = x, .p = out };
    out->len = 0;
    if (e == NULL)
        return REEVE_OK;
    enum reeve_err err = truth(&b, e);
    if (err != REEVE_OK)
        return err;
    if (b.bad || predicate_check(out) != REEVE_OK)
        return fail(&b, e, "the target predicate is too long or too deep");
    return REEVE_OK;
}
