/* parse.c - the entry points, their bounds, and the names of things in the tree */
#include <stdarg.h>
#include <stdio.h>

#include "backend/parser/parse_int.h"
#include "common/text.h"

enum reeve_err parse_fail(struct parse *p, enum reeve_err code, int pos, const char *fmt, ...)
{
    char message[256];
    va_list ap;
    if (p->err != REEVE_OK)
        return p->err;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    p->err = code;
    report_set(p->report, code, "%s", message);
    p->report->position = parse_position(p->text, pos);
    return code;
}

void parse_too_long(struct parse *p, int pos)
{
    parse_fail(p, REEVE_E_TOO_COMPLEX, pos, "list is longer than %d", AST_LIST_MAX);
}

int parse_position(struct slice text, int byte)
{
    if (byte < 0 || (size_t) byte > text.len)
        return 0;
    int chars = 1;
    for (int i = 0; i < byte; i++)
        chars += (text.p[i] & 0xc0) != 0x80;
    return chars;
}

static enum reeve_err check_text(struct parse *p)
{
    if (p->text.len > AST_TEXT_MAX)
        return parse_fail(p, REEVE_E_TOO_COMPLEX, -1, "statement is longer than %u bytes", AST_TEXT_MAX);
    if (p->text.len > 0 && memchr(p->text.p, 0, p->text.len) != NULL)
        return parse_fail(p, REEVE_E_ENCODING, -1, "statement holds a zero byte");
    if (!utf8_valid(p->text))
        return parse_fail(p, REEVE_E_ENCODING, -1, "statement is not valid UTF-8");
    return REEVE_OK;
}

static enum reeve_err run(struct parse *p)
{
    report_clear(p->report);
    p->stmt_pos = -1;
    if (check_text(p) == REEVE_OK)
        grammar_run(p);
    return p->err;
}

enum reeve_err parse_string(struct arena *a, struct slice text, struct ast_list *list, struct report *rep)
{
    struct parse p = { .arena = a, .text = text, .report = rep, .list = list };
    memset(list, 0, sizeof *list);
    enum reeve_err err = run(&p);
    list->nparams = p.nparams;
    return err;
}

enum reeve_err parse_expression(struct arena *a, struct slice text, struct ast_expr **expr, struct report *rep)
{
    struct ast_list none = { 0 };
    struct parse p = { .arena = a, .text = text, .report = rep, .list = &none, .expression_only = true };
    enum reeve_err err = run(&p);
    *expr = err == REEVE_OK ? p.expression : NULL;
    return err;
}

/* ---- names ---- */

#define C STMT_CHANGES
#define F STMT_FLEET
#define X STMT_EXPLAIN
#define R STMT_ROWS
#define S STMT_SELECT
#define T STMT_TXN
static const struct {
    const char *name, *tag;
    unsigned flags;
} statements[] = {
#define AST_STMT(sym, tag, flags, member) { #sym, tag, flags },
#include "backend/parser/stmtlist.h"
#undef AST_STMT
};
#undef C
#undef F
#undef X
#undef R
#undef S
#undef T

const char *ast_name(enum ast_kind k) { return k < AST__COUNT ? statements[k].name : "?"; }
unsigned ast_flags(enum ast_kind k) { return k < AST__COUNT ? statements[k].flags : 0; }

bool ast_tag_counts(enum ast_kind k)
{
    const char *t = k < AST__COUNT ? statements[k].tag : "";
    return t[0] != '\0' && t[strlen(t) - 1] == '#';
}

const char *ast_tag(enum ast_kind k)
{
    switch (k) {
    case AST_SELECT:
        return "SELECT";
    case AST_FETCH:
        return "FETCH";
    case AST_COPY_HISTORY:
    case AST_COPY_QUERY:
        return "COPY";
    default:
        return k < AST__COUNT ? statements[k].tag : "?";
    }
}

const char *ast_object_name(enum ast_object_kind k)
{
    static const char *const names[] = {
        "", "cert", "authority", "node", "service", "region", "ring", "strategy", "config", "rollout", "lease",
        "member", "validator", "approval", "role", "session", "issue", "extension", "window", "join_token",
        "setting", "proposal", "approver", "approval policy", "system"
    };
    return (size_t) k < sizeof names / sizeof names[0] ? names[k] : "?";
}

const char *ast_op_text(enum ast_op op)
{
    static const char *const text[OP__COUNT] = {
        "", "=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "-", "||", "~", "!~", "~*", "!~*", "->", "->>",
        "LIKE", "ILIKE", "TRUE", "FALSE", "UNKNOWN"
    };
    return op < OP__COUNT ? text[op] : "?";
}

const char *roll_clause_name(enum roll_clause c)
{
    static const char *const names[ROLL__COUNT] = {
        "WHERE", "CANARY", "IMMEDIATE", "USING STRATEGY", "BY REGION", "RATE", "OVERLAP", "DURING WINDOW", "DEADLINE",
        "MANUAL", "ROLLBACK IF", "PAUSE IF", "REQUIRE APPROVALS", "VALID FOR", "REASON", "WITH"
    };
    return c < ROLL__COUNT ? names[c] : "?";
}
