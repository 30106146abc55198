/*
 * parse_int.h - what scanner, grammar and tree builders share
 *
 * One struct parse is one call of parse_string(). The first error wins and
 * stops the token loop; builders return NULL afterwards and accept NULL, so
 * that the grammar's actions need no checks of their own.
 */
#ifndef REEVE_PARSER_PARSE_INT_H
#define REEVE_PARSER_PARSE_INT_H

#include "backend/parser/parser.h"

#define PARSE_STACK_MAX 2000            /* states of the LR stack: 54000 beyond */

struct parse {
    struct arena *arena;
    struct slice text;
    struct report *report;
    enum reeve_err err;
    /* scanner */
    size_t at;                          /* next byte */
    int nesting;                        /* open parentheses and brackets */
    bool prev_number;                   /* the last token was a number or parameter: '%' is a share */
    /* statement under construction */
    int stmt_pos;                       /* of its first token, -1 before it */
    int stmt_tokens;
    int prev_end;                       /* end of the last token shifted */
    struct pvalue first;                /* its first token, for hints */
    int stmt_params, nparams;
    bool expression_only;
    struct ast_expr *expression;
    struct ast_list *list;
    int list_cap;
    /* syntax error found by the grammar */
    bool syntax_error;
};

/* ---- scan.c ---- */

/*
 * Next token into *tok (TK_ code returned, 0 at the end). Keywords carry
 * their folded spelling, so that they can fall back to identifiers. On an
 * error p->err is set and 0 returned. *end: byte after the token.
 */
int scan_token(struct parse *p, struct pvalue *tok, int *end);
/* TK_ code of a folded word, 0: not a keyword. */
int scan_keyword(const char *word, size_t len);

/* ---- the grammar's face ---- */

struct grammar_snapshot {
    int depth;
    uint16_t states[PARSE_STACK_MAX];
};
/* Feeds tokens until the end or the first error. */
void grammar_run(struct parse *p);
/* True when the parser in this state would take the token. */
bool grammar_accepts(const struct grammar_snapshot *snap, int token);
/* For tests: has the token a fallback (is the keyword unreserved)? */
bool grammar_falls_back(int token);

/* ---- parse.c ---- */

enum reeve_err parse_fail(struct parse *p, enum reeve_err code, int pos, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void parse_too_long(struct parse *p, int pos);

/* ---- hint.c: the report of a syntax error ---- */
void hint_syntax_error(struct parse *p, int token, const struct pvalue *tok, int end, const struct grammar_snapshot *s);

#endif
