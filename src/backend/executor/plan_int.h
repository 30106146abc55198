/*
 * plan_int.h - a bound query: names resolved, types known
 *
 * bind.c turns an ast_select into a struct plan, run.c runs it. A column
 * reference points at the scope whose current row it reads, so a sub-select
 * sees its outer query's row without copying: running a plan again under the
 * next outer row is what "correlated" means here.
 */
#ifndef REEVE_EXECUTOR_PLAN_INT_H
#define REEVE_EXECUTOR_PLAN_INT_H

#include "backend/executor/func.h"
#include "backend/executor/query.h"

#define PLAN_DEPTH_MAX 32               /* nested sub-selects */
#define FROM_MAX 32                     /* relations joined in one FROM */

struct plan;

struct scope_column {
    const char *table, *name;           /* table: the alias it is known by */
    uint32_t type;
};

struct scope {
    struct scope *outer;
    int n;
    struct scope_column *cols;
    struct datum *row;
    uint64_t *needed;                   /* one word per from item, see plan_from.first */
    struct plan *plan;
};

enum bkind {
    B_CONST, B_PARAM, B_COLUMN, B_GROUP, B_AGG, B_FUNC, B_OP, B_AND, B_OR, B_NOT, B_IS_NULL, B_IS_BOOL, B_DISTINCT,
    B_IN, B_LIKE, B_MATCH, B_CASE, B_CAST, B_ANY, B_ARRAY, B_SUBSCRIPT, B_JSON, B_EXISTS, B_SUBSELECT, B_IN_SELECT,
    B_ARRAY_SELECT, B_BETWEEN
};

struct bx {
    enum bkind kind;
    enum ast_op op;
    uint32_t type;                      /* 0: unknown (a literal or parameter nobody has typed yet) */
    int pos;
    bool negated, has_base, has_else;
    int index;                          /* parameter, column, group or aggregate */
    struct datum value;                 /* B_CONST */
    struct scope *scope;                /* B_COLUMN */
    const struct func *func;
    struct plan *sub;
    void *regex;                        /* B_MATCH with a constant pattern: struct regex_cache */
    int n;
    struct bx **args;
};

enum agg_kind { AGG_COUNT_STAR, AGG_COUNT, AGG_SUM, AGG_AVG, AGG_MIN, AGG_MAX, AGG_STRING, AGG_AND, AGG_OR, AGG_ARRAY };
struct agg {
    enum agg_kind kind;
    bool distinct;
    uint32_t type;                      /* of the result */
    struct bx *arg, *arg2;
};

struct plan_from {
    const struct vtable *table;         /* or sub */
    struct plan *sub;
    enum ast_join join;
    int first, n;                       /* its columns in the scope's row */
    int pos;
    struct bx *on;
    bool has_as_of;
    struct bx *as_of;
    struct bx *key;                     /* expression the key column must equal, or B_IN of constants */
    struct bx *hash_left, *hash_right;  /* equality the join may look rows up by */
};

struct plan_order {
    int column;                         /* among the plan's outputs (targets, then hidden ones) */
    bool desc, nulls_first;
};

struct plan {
    struct scope scope;
    int nfrom;
    struct plan_from *from;
    struct bx *where;
    bool grouped, has_sub;
    int ngroups, naggs;
    struct bx **groups;
    struct agg *aggs;
    struct bx *having;
    int ntargets, noutputs;             /* outputs: targets and hidden sort keys */
    struct bx **outputs;
    const char **names;
    bool distinct;
    int nrows;                          /* VALUES */
    struct bx ***rows;
    int set_op;
    struct plan *next;
    int norder;
    struct plan_order *order;
    struct bx *limit, *offset;
    /* while running */
    struct datum *group_values, *agg_values;
};

/* What is being bound: shared by a statement's plans. */
struct binder {
    const struct query_env *env;
    struct arena *arena;
    struct slice text;
    struct report *report;
    int nparams;
    uint32_t *params;                   /* types so far, 0: unknown */
    int depth;
};

/* ---- bind.c, bind_expr.c ---- */

struct bind_ctx {
    struct binder *b;
    struct scope *scope;
    struct plan *plan;                  /* where aggregates go; NULL where none may stand */
    bool grouped;                       /* columns must be grouped */
    bool in_agg;
};
enum reeve_err bind_select(struct binder *b, const struct ast_select *s, struct scope *outer, struct plan **out)
    REEVE_MUST_CHECK;
enum reeve_err bind_expr(struct bind_ctx *c, const struct ast_expr *x, struct bx **out) REEVE_MUST_CHECK;
/* Gives an untyped literal or parameter its type, converts between numbers; DATATYPE_MISMATCH otherwise. */
enum reeve_err bind_coerce(struct binder *b, struct bx **x, uint32_t to) REEVE_MUST_CHECK;
/* What is still unknown becomes text. */
enum reeve_err bind_settle(struct binder *b, struct bx **x) REEVE_MUST_CHECK;
enum reeve_err bind_bool(struct bind_ctx *c, const struct ast_expr *x, const char *clause, struct bx **out)
    REEVE_MUST_CHECK;
bool bx_equal(const struct bx *a, const struct bx *b);
/* True when the expression reads no row of this scope (it may read outer ones). */
bool bx_independent(const struct bx *x, const struct scope *s);
struct bx *bx_new(struct binder *b, enum bkind kind, uint32_t type, int pos, int nargs);
enum reeve_err bind_fail(struct binder *b, enum reeve_err code, int pos, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool type_is_number(uint32_t t);
bool type_is_text(uint32_t t);
const struct func *func_find(const struct query_env *env, const char *name, int nargs);

/* ---- eval.c ---- */

struct exec {
    const struct query_env *env;
    struct slice text;
    struct report *report;
    struct arena mem;                   /* kept rows; bounded by env->bytes_max */
    uint64_t rows_kept, rows_max;
    uint32_t ticks;
    int depth;
};
enum reeve_err eval(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, struct datum *out)
    REEVE_MUST_CHECK;
/* NULL is false. */
enum reeve_err eval_bool(struct exec *e, struct arena *a, struct plan *p, const struct bx *x, bool *out)
    REEVE_MUST_CHECK;
enum reeve_err eval_fail(struct exec *e, enum reeve_err code, int pos, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Three-valued comparison by operator; both not NULL. */
bool compare_holds(enum ast_op op, int order);

/* ---- eval_text.c ---- */
bool like_match(struct slice s, struct slice pattern, bool fold);
enum reeve_err regex_match(struct exec *e, struct arena *a, const struct bx *x, struct slice s, struct slice pattern,
                           bool fold, bool *out) REEVE_MUST_CHECK;

/* ---- agg.c: hash tables over rows, and aggregates ---- */

struct rowhash {
    struct arena *mem;
    int width;
    size_t n, cap;                      /* cap: power of two */
    uint32_t *slots;                    /* index + 1 */
    struct datum **rows;
    uint64_t *hashes;
};
void rowhash_init(struct rowhash *h, struct arena *mem, int width);
/* Index of the row, added when new (deep copy). False: memory is short. */
bool rowhash_put(struct rowhash *h, const struct datum *row, size_t *index, bool *added);

struct groups;
struct groups *groups_new(struct exec *e, struct plan *p);
enum reeve_err groups_add(struct exec *e, struct arena *a, struct plan *p, struct groups *g) REEVE_MUST_CHECK;
size_t groups_count(const struct groups *g);
/* Puts keys and results of a group into p->group_values and p->agg_values. */
enum reeve_err groups_result(struct exec *e, struct plan *p, struct groups *g, size_t i) REEVE_MUST_CHECK;

/* ---- run.c ---- */

/* Called per output row (ntargets datums); CLOSED asks to stop. */
typedef enum reeve_err (*row_fn)(void *arg, const struct datum *v);
enum reeve_err plan_run(struct exec *e, struct plan *p, row_fn fn, void *arg) REEVE_MUST_CHECK;
/* Counts rows kept in memory against rows_max; polls for interrupts. */
enum reeve_err exec_keep(struct exec *e) REEVE_MUST_CHECK;
enum reeve_err exec_tick(struct exec *e) REEVE_MUST_CHECK;

#endif
