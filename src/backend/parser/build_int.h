/*
 * build_int.h - the tree builders that the grammar's actions call
 *
 * All of them accept NULL for a part that could not be built and answer NULL
 * after an error; p->err then stops the token loop.
 */
#ifndef REEVE_PARSER_BUILD_INT_H
#define REEVE_PARSER_BUILD_INT_H

#include "backend/parser/parse_int.h"

struct limits {
    struct ast_expr *limit, *offset;
};

/* ---- build.c: statements ---- */

/* Zeroed; NULL after an error, which it sets. */
void *build_alloc(struct parse *p, size_t size);
/* Growing array in the arena: room for one more element, NULL after an error. cap is implied by n (powers of 2). */
void *list_grow(struct parse *p, void *v, int n, size_t size, int pos);
#define LIST_ADD(p, list, field, value, at) \
    do { \
        void *grown_ = (p)->err == REEVE_OK ? list_grow((p), (list)->field, (list)->n, sizeof *(list)->field, (at)) : NULL; \
        if (grown_ != NULL) { \
            (list)->field = grown_; \
            (list)->field[(list)->n++] = (value); \
        } \
    } while (0)

struct ast_stmt *stmt_new(struct parse *p, enum ast_kind kind);
void stmt_done(struct parse *p, struct ast_stmt *s);
struct ast_values *values_new(struct parse *p, struct pvalue first);
struct ast_values *values_add(struct parse *p, struct ast_values *l, struct pvalue v);
struct ast_options *options_add(struct parse *p, struct ast_options *l, struct pvalue name, struct pvalue value);
struct pvalue pv_kw(struct pvalue token);                       /* a token as identifier */
struct pvalue pv_bool(struct pvalue token, bool b);
struct pvalue pv_of(struct pvalue token, enum pv_kind kind);
struct pvalue pv_negate(struct parse *p, struct pvalue v, int pos);
struct pvalue pv_duration(struct parse *p, struct pvalue number, enum ast_unit unit);
/* A token standing for a word of another spelling: TIME ZONE is the setting timezone. */
struct pvalue pv_word(struct pvalue token, const char *word);
struct pvalue pv_join(struct parse *p, struct pvalue a, const char *sep, struct pvalue b);

struct ast_stmt *stmt_object(struct parse *p, enum ast_kind kind, struct pvalue name, struct ast_options *options);
struct ast_stmt *stmt_drop(struct parse *p, enum ast_kind kind, bool if_exists, struct pvalue name);
struct ast_stmt *stmt_create(struct parse *p, enum ast_kind kind, bool if_not_exists, struct pvalue name,
                             struct ast_options *options);
struct ast_stmt *stmt_fleet(struct parse *p, enum ast_kind kind, struct pvalue name, struct ast_rollout *r);
struct ast_stmt *stmt_verb(struct parse *p, enum ast_kind kind, struct pvalue id, struct pvalue reason);
struct ast_stmt *stmt_show(struct parse *p, enum ast_kind kind, enum ast_object_kind object, struct pvalue name);
struct ast_stmt *stmt_show_tail(struct parse *p, struct ast_stmt *s, struct ast_expr *where, struct ast_expr *limit);
struct ast_stmt *stmt_setting(struct parse *p, enum ast_kind kind, struct pvalue name);
struct ast_stmt *stmt_show_history(struct parse *p, struct ast_stmt *s, struct ast_history *range);
struct ast_stmt *stmt_history(struct parse *p, enum ast_kind kind, struct ast_history *range, struct ast_options *o);
struct ast_history *history_new(struct parse *p, struct pvalue from, struct pvalue to, struct pvalue since);
struct ast_stmt *stmt_txn(struct parse *p, enum ast_kind kind);
struct ast_stmt *stmt_txn_modes(struct parse *p, enum ast_kind kind, struct ast_txn *modes);
struct ast_txn *txn_mode_new(struct parse *p, int isolation, int access);
struct ast_txn *txn_merge(struct parse *p, struct ast_txn *all, struct ast_txn *one);
struct ast_stmt *stmt_set(struct parse *p, enum ast_kind kind, int scope, struct pvalue name, struct ast_values *values);
struct ast_stmt *stmt_notify(struct parse *p, enum ast_kind kind, struct pvalue channel, struct pvalue payload);
struct ast_stmt *stmt_fetch(struct parse *p, bool move, struct ast_cursor *args, struct pvalue name);
struct ast_cursor *fetch_new(struct parse *p, struct pvalue count, bool all, bool backward);
struct ast_stmt *stmt_policy(struct parse *p, enum ast_kind kind, struct pvalue name, struct ast_policy *policy);
struct ast_policy *policy_new(struct parse *p);
struct ast_policy *policy_term(struct parse *p, struct ast_policy *policy, struct pvalue count, struct pvalue group);
struct ast_stmt *stmt_proposal(struct parse *p, enum ast_kind kind, struct pvalue name);
struct ast_stmt *stmt_grant(struct parse *p, enum ast_kind kind, struct ast_grant *target, struct ast_values *what,
                            struct ast_values *grantees);
struct ast_grant *grant_target(struct parse *p, enum ast_object_kind kind, struct pvalue name, struct pvalue region,
                               bool all);
struct ast_node *node_new(struct parse *p, int action, struct pvalue label, struct pvalue value);
struct ast_cert *cert_new(struct parse *p);
void cert_sans(struct parse *p, struct ast_cert *c, struct ast_values *names, struct pvalue at);
void cert_where(struct parse *p, struct ast_cert *c, struct ast_expr *x, struct pvalue at);
void cert_with(struct parse *p, struct ast_cert *c, struct ast_options *o, struct pvalue at);
struct ast_stmt *stmt_copy(struct parse *p, struct ast_stmt *inner, struct ast_options *o);
struct ast_stmt *stmt_copy_table(struct parse *p, struct ast_from *from, struct ast_options *o);

/* rollout clauses: a duplicate or a contradiction is 42601 at its position */
struct ast_rollout *roll_new(struct parse *p);
struct ast_rollout *roll_clause(struct parse *p, enum roll_clause c, int pos);
struct ast_rollout *roll_merge(struct parse *p, struct ast_rollout *r, struct ast_rollout *one);
void roll_step(struct parse *p, struct ast_rollout *r, const struct ast_step *step);
void roll_steps(struct parse *p, struct ast_rollout *r, struct ast_rollout *more);
/* any other option of which only one may stand: error when the slot is taken */
void opt_once(struct parse *p, struct pvalue *slot, struct pvalue v, struct pvalue at);
void role_word(struct parse *p, struct ast_role *r, struct pvalue word);
struct ast_role *role_new(struct parse *p);
void role_in(struct parse *p, struct ast_role *r, struct ast_values *roles, struct pvalue at);
struct ast_stmt *stmt_role(struct parse *p, enum ast_kind kind, struct pvalue name, struct ast_role *r, bool if_not_exists);

/* ---- build_expr.c: expressions and SELECT ---- */

struct ast_expr *x_value(struct parse *p, struct pvalue v);
struct ast_expr *x_percent(struct parse *p, struct pvalue v);
struct ast_expr *x_column(struct parse *p, struct pvalue *schema, struct pvalue *table, struct pvalue name);
struct ast_expr *x_star(struct parse *p, struct pvalue *table, int pos);
struct ast_expr *x_new(struct parse *p, enum ast_expr_kind kind, enum ast_op op, int pos, struct ast_expr *a,
                       struct ast_expr *b);
struct ast_expr *x_bool(struct parse *p, enum ast_expr_kind kind, int pos, struct ast_expr *a, struct ast_expr *b);
struct ast_expr *x_list(struct parse *p, enum ast_expr_kind kind, int pos, struct ast_expr *first, struct ast_exprs *l);
struct ast_expr *x_func(struct parse *p, struct pvalue *schema, struct pvalue name, struct ast_exprs *args);
struct ast_expr *x_cast(struct parse *p, struct ast_expr *a, struct pvalue type, int pos);
struct ast_expr *x_select(struct parse *p, enum ast_expr_kind kind, int pos, struct ast_expr *first,
                          struct ast_select *s);
struct ast_expr *x_not(struct parse *p, struct ast_expr *x, bool negated);
struct ast_expr *x_any(struct parse *p, struct ast_expr *a, enum ast_op op, int pos, bool all, struct ast_expr *b,
                       struct ast_select *s);
struct ast_expr *x_collate(struct parse *p, struct ast_expr *a, int pos, struct pvalue name);
struct ast_expr *x_between(struct parse *p, int pos, struct ast_expr *a, struct ast_expr *lo, struct ast_expr *hi,
                           bool negated);
/* whens: WHEN, THEN, WHEN, THEN ... */
struct ast_expr *x_case(struct parse *p, int pos, struct ast_expr *base, struct ast_exprs *whens,
                        struct ast_expr *otherwise);
enum ast_op x_op_of(int token);
struct ast_exprs *exprs_add(struct parse *p, struct ast_exprs *l, struct ast_expr *x);
struct ast_targets *targets_add(struct parse *p, struct ast_targets *l, struct ast_expr *x, struct pvalue *alias);
struct ast_from *from_new(struct parse *p, struct pvalue *schema, struct pvalue name);
struct ast_from *from_alias(struct parse *p, struct ast_from *f, struct pvalue alias, struct ast_values *columns);
struct ast_from *from_select(struct parse *p, struct ast_select *s, struct pvalue alias, struct ast_values *columns);
struct ast_from *from_func(struct parse *p, struct ast_expr *func);
struct ast_froms *froms_add(struct parse *p, struct ast_froms *l, struct ast_from *f, enum ast_join j,
                            struct ast_expr *on, struct ast_values *using_columns);
struct ast_orders *orders_add(struct parse *p, struct ast_orders *l, struct ast_expr *x, bool desc, enum ast_nulls n);
struct ast_select *select_new(struct parse *p, int pos);
struct ast_select *select_row(struct parse *p, struct ast_select *s, struct ast_exprs *row, int pos);
struct ast_select *select_union(struct parse *p, struct ast_select *a, int op, struct ast_select *b);

#endif
