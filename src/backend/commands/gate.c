/*
 * gate.c - ROLLBACK IF and PAUSE IF, from syntax to gates
 *
 * A gate expression is put into disjunctive form: each OR arm is a gate, each
 * AND arm a term "variable comparison constant".
 */
#include "cmd_int.h"

#include "backend/parser/parser.h"

static const struct { const char *name; uint8_t var; bool ms; } vars[] = {
    { "failed", GATE_FAILED, false }, { "silent", GATE_SILENT, false }, { "rejected", GATE_REJECTED, false },
    { "handshake_fail", GATE_HANDSHAKE_FAIL, false }, { "p50_ms", GATE_P50_MS, true },
    { "p95_ms", GATE_P95_MS, true }, { "p99_ms", GATE_P99_MS, true },
};

static enum reeve_err fail(struct cmd *x, const struct ast_expr *e, const char *what)
{
    enum reeve_err err = report_set(x->rep, REEVE_E_INVALID_VALUE, "%s", what);
    report_hint(x->rep, "A gate compares failed, silent, rejected, handshake_fail, p50_ms, p95_ms or p99_ms "
                        "(or delta(of one)) with a number or a share: failed > 1%%.");
    x->rep->position = parse_position(x->c->text, e->pos);
    return err;
}

static bool variable(const struct ast_expr *e, struct gate_term *t, bool *ms)
{
    if (e->kind == X_FUNC && strcmp(e->name, "delta") == 0 && e->nargs == 1) {
        t->delta = true;
        e = e->args[0];
    }
    if (e->kind != X_COLUMN || e->table != NULL)
        return false;
    for (size_t i = 0; i < sizeof vars / sizeof vars[0]; i++)
        if (strcmp(e->name, vars[i].name) == 0) {
            t->var = vars[i].var;
            *ms = vars[i].ms;
            return true;
        }
    return false;
}

static enum reeve_err constant(struct cmd *x, const struct ast_expr *e, bool ms, struct gate_term *t)
{
    double v;
    if (e->kind == X_PERCENT && !ms) {
        enum reeve_err err = slot_float(&x->slot, &e->v, "share", 0, 100, &v);
        if (err != REEVE_OK)
            return err;
        t->unit = GATE_SHARE_PPM;
        t->value = (uint32_t) (v * 10000 + 0.5);
        return REEVE_OK;
    }
    if (e->kind != X_VALUE)
        return fail(x, e, "a gate compares with a constant");
    int64_t n;
    enum reeve_err err = slot_int(&x->slot, &e->v, "threshold", 0, UINT32_MAX, &n);
    if (err != REEVE_OK)
        return err;
    t->unit = ms ? GATE_MS : GATE_COUNT;
    t->value = (uint32_t) n;
    return REEVE_OK;
}

static uint8_t cmp_of(enum ast_op op, bool swapped)
{
    switch (op) {
    case OP_GT: return swapped ? GATE_LT : GATE_GT;
    case OP_GE: return swapped ? GATE_LE : GATE_GE;
    case OP_LT: return swapped ? GATE_GT : GATE_LT;
    case OP_LE: return swapped ? GATE_GE : GATE_LE;
    default: return 0;
    }
}

static enum reeve_err term(struct cmd *x, const struct ast_expr *e, struct gate *g)
{
    if (e->kind != X_OP || e->nargs != 2)
        return fail(x, e, "not a comparison");
    if (g->n_terms == ROLLOUT_TERMS_MAX)
        return fail(x, e, "too many terms in one gate");
    struct gate_term *t = &g->term[g->n_terms++];
    bool ms = false;
    bool swapped = !variable(e->args[0], t, &ms);
    if (swapped && !variable(e->args[1], t, &ms))
        return fail(x, e, "unknown gate variable");
    t->cmp = cmp_of(e->op, swapped);
    if (t->cmp == 0)
        return fail(x, e, "a gate compares with >, >=, < or <=");
    return constant(x, e->args[swapped ? 0 : 1], ms, t);
}

static enum reeve_err one_gate(struct cmd *x, const struct ast_expr *e, enum gate_action action, uint32_t sample,
                               struct rollout_spec *out)
{
    if (out->n_gates == ROLLOUT_GATES_MAX)
        return fail(x, e, "too many gates");
    struct gate *g = &out->gate[out->n_gates++];
    *g = (struct gate){ .action = (uint8_t) action, .sample = sample };
    if (e->kind != X_AND)
        return term(x, e, g);
    for (int i = 0; i < e->nargs; i++) {
        enum reeve_err err = term(x, e->args[i], g);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

enum reeve_err cmd_gates(struct cmd *x, const struct ast_expr *e, enum gate_action action, uint32_t sample,
                         struct rollout_spec *out)
{
    if (e->kind != X_OR)
        return one_gate(x, e, action, sample, out);
    for (int i = 0; i < e->nargs; i++) {
        enum reeve_err err = one_gate(x, e->args[i], action, sample, out);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}
