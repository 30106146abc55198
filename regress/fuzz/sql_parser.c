/*
 * sql_parser.c - fuzz target: statements, from text to an answer
 *
 * Whatever parses must have positions inside the text; a query among it is
 * described and run over one small relation with little memory; an expression
 * that can be printed must print the same again after parsing.
 */
#include "backend/executor/query.h"
#include "backend/parser/parser.h"
#include "crypto/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum reeve_err scan_few(struct vscan *s)
{
    for (int i = 0; i < 3; i++) {
        struct datum v[] = { d_str(i == 2 ? NULL : "x"), d_int(i), d_json(slice_str("{\"tier\":\"edge\"}")),
                             d_time_us(i * 1000000LL) };
        enum reeve_err err = vscan_row(s, v);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}
static const struct vcolumn cols[] = {
    { "a", T_TEXT, true }, { "b", T_INT8, true }, { "labels", T_JSONB, true }, { "at", T_TIMESTAMPTZ, false }
};
static const struct vtable few = { "sys", "nodes", cols, VCOLUMNS(cols), 0, scan_few, false, NULL };
static const struct vtable *const tables[] = { &few };

static int patience;
static enum reeve_err interrupted(void *session)
{
    return ++patience > 20 ? REEVE_E_TIMEOUT : REEVE_OK;
}

static void run_query(struct arena *a, const struct ast_stmt *stmt, struct slice text)
{
    struct dest dest = { 0 };
    struct report rep;
    struct query_shape shape;
    struct query_env env = { .arena = a, .tables = tables, .ntables = 1, .bytes_max = 1 << 20, .rows_max = 10000,
                             .interrupted = interrupted, .user = "fuzz" };
    patience = 0;
    report_clear(&rep);
    enum reeve_err err = query_describe(&env, stmt, text, NULL, 0, &shape, &rep);
    reeve_assert((err == REEVE_OK) == (rep.code == REEVE_OK));
    report_clear(&rep);
    if (err == REEVE_OK && query_run(&env, stmt, text, &dest, &rep) == REEVE_OK)
        reeve_assert(dest.ncolumns == shape.ncols);
}

static void check_list(struct arena *a, struct slice text)
{
    struct ast_list l;
    struct report rep;
    if (parse_string(a, text, &l, &rep) != REEVE_OK) {
        reeve_assert(rep.message[0] != '\0' && rep.position >= 0 && (size_t) rep.position <= text.len + 1);
        return;
    }
    for (int i = 0; i < l.n; i++) {
        const struct ast_stmt *s = l.v[i];
        reeve_assert(s->pos >= 0 && s->len > 0 && (size_t) (s->pos + s->len) <= text.len);
        if (ast_flags(s->kind) & STMT_SELECT)
            run_query(a, s, text);
    }
}

static void check_expression(struct arena *a, struct slice text)
{
    struct ast_expr *x;
    struct report rep;
    struct wr one = wr_heap(1 << 20), two = wr_heap(1 << 20);
    if (parse_expression(a, text, &x, &rep) == REEVE_OK && ast_expr_print(&one, x) &&
        parse_expression(a, wr_slice(&one), &x, &rep) == REEVE_OK) {
        reeve_assert(ast_expr_print(&two, x));
        reeve_assert(slice_eq(wr_slice(&one), wr_slice(&two)));
    }
    wr_free(&one);
    wr_free(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct arena a;
    if (!ready && crypto_init() != REEVE_OK)
        return 0;
    ready = true;
    arena_init(&a, 64u << 20);
    check_list(&a, slice_of(data, size));
    check_expression(&a, slice_of(data, size));
    arena_free(&a);
    return 0;
}
