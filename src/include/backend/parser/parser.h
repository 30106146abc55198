/*
 * parser.h - from text to trees
 *
 * The whole string is parsed before anything runs: a syntax error in the third
 * statement means that the first did not run either. Pure: no catalog, no
 * clock, no I/O. Empty statements are dropped, so a comment gives n == 0
 * (EmptyQueryResponse).
 */
#ifndef REEVE_BACKEND_PARSER_PARSER_H
#define REEVE_BACKEND_PARSER_PARSER_H

#include "backend/parser/ast.h"
#include "common/arena.h"
#include "common/err.h"

struct ast_list {
    int n;
    struct ast_stmt **v;
    int nparams;                /* highest $n of the whole string */
};

/*
 * Parses text into list. Trees live in the arena. Errors, with report filled:
 * SYNTAX (position, and a hint naming the nearest keyword where one is near),
 * ENCODING (not UTF-8, or a NUL byte), TOO_COMPLEX (over a bound of ast.h),
 * NOMEM.
 */
enum reeve_err parse_string(struct arena *a, struct slice text, struct ast_list *list, struct report *rep)
    REEVE_MUST_CHECK;

/* A single expression, e.g. a stored predicate or the setting target_predicate. */
enum reeve_err parse_expression(struct arena *a, struct slice text, struct ast_expr **expr, struct report *rep)
    REEVE_MUST_CHECK;

/* SHOW ROLLOTS: the noun that was probably meant, in upper case; false where none is near. */
bool parse_nearest_show(struct slice word, char out[32]);

/* 1-based character position of a byte offset; 0 for -1 or an offset outside the text. */
int parse_position(struct slice text, int byte);

/*
 * Writes an expression so that parsing gives the same tree again: for
 * definitions that people read (sys.strategies, EXPLAIN). False when it does
 * not fit, or when it holds a sub-select.
 */
struct wr;
bool ast_expr_print(struct wr *w, const struct ast_expr *x);

#endif
