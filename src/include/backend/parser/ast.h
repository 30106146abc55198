/*
 * ast.h - the syntax tree of the whole language
 *
 * One tagged union: ast_stmt.kind names the statement (stmtlist.h), the arm of
 * the union follows from the kind by that same list. Every slot for a name or
 * a value is a struct pvalue, because '$n' is legal in all of them; resolve
 * them with backend/executor/slot.h, never by hand. An absent optional slot is
 * a pvalue of kind PV_ABSENT (all zero), so that a zeroed tree says "nothing".
 *
 * Invariants
 *  A1 All memory belongs to the arena given to parse_string(); the tree lives
 *     as long as it does and never points into the statement text.
 *  A2 Positions (pos) are 0-based byte offsets into the text given to
 *     parse_string(); -1 where there is none. parse_position() turns one into
 *     the 1-based character position of struct report.
 *  A3 Strings are NUL-terminated valid UTF-8 without inner NUL. Identifiers
 *     are folded to lower case (ASCII) unless they were quoted.
 *  A4 No expression is deeper than AST_DEPTH_MAX and no list longer than
 *     AST_LIST_MAX: recursion over the tree is safe.
 *  A5 AND and OR are n-ary and flattened; every other operator has 1 or 2
 *     arguments.
 *  A6 A rollout clause set names each clause at most once, and IMMEDIATE
 *     never together with CANARY or USING STRATEGY.
 */
#ifndef REEVE_BACKEND_PARSER_AST_H
#define REEVE_BACKEND_PARSER_AST_H

#include "common/types.h"

struct ast_stmt;
struct ast_select;

#define AST_TEXT_MAX  (1u << 20)    /* bytes of one query string */
#define AST_DEPTH_MAX 200           /* nesting of expressions and sub-selects */
#define AST_LIST_MAX  10000         /* members of any list; statements of a string */
#define AST_PARAM_MAX 65535         /* highest $n: the protocol counts in 16 bits */

/* ---- leaves ------------------------------------------------------------ */

enum pv_kind {
    PV_ABSENT,
    PV_IDENT,       /* s, len: folded unless quoted */
    PV_STRING,      /* s, len */
    PV_INT,         /* i; s: as spelled */
    PV_FLOAT,       /* f; s: as spelled */
    PV_BOOL,        /* i: 0 or 1 */
    PV_NULL,
    PV_INTERVAL,    /* s: the text of INTERVAL '...', or "10 minutes" made from 10 MINUTES */
    PV_PARAM,       /* i: n of $n, 1..AST_PARAM_MAX */
    PV_DEFAULT      /* the word DEFAULT (SET x TO DEFAULT) */
};

struct pvalue {
    enum pv_kind kind;
    int pos;
    const char *s;
    uint32_t len;
    int64_t i;
    double f;
};

static inline bool pv_present(const struct pvalue *v) { return v->kind != PV_ABSENT; }

struct ast_values {
    int n;
    struct pvalue *v;
};

/* k, k = v or k v inside parentheses; value is PV_ABSENT for a bare k. */
struct ast_option {
    struct pvalue name, value;
};
struct ast_options {
    int n;
    int pos;
    struct ast_option *v;
};

/* The kinds of object that SHOW, GRANT, HISTORY FOR and SUBSCRIBE name. */
enum ast_object_kind {
    OBJ_NONE, OBJ_CERT, OBJ_AUTHORITY, OBJ_NODE, OBJ_SERVICE, OBJ_REGION, OBJ_RING, OBJ_STRATEGY, OBJ_CONFIG,
    OBJ_ROLLOUT, OBJ_LEASE, OBJ_MEMBER, OBJ_VALIDATOR, OBJ_APPROVAL, OBJ_ROLE, OBJ_SESSION, OBJ_ISSUE,
    OBJ_EXTENSION, OBJ_WINDOW, OBJ_JOIN_TOKEN, OBJ_SETTING, OBJ_PROPOSAL, OBJ_APPROVER, OBJ_APPROVAL_POLICY, OBJ_SYSTEM
};
/* Lower-case noun, "cert"; the word used in sys.history.object_kind. */
const char *ast_object_name(enum ast_object_kind k);

/* ---- expressions: SELECT, WHERE, rollout predicates and gates ----------- */

enum ast_expr_kind {
    X_VALUE,        /* v: a literal, NULL, INTERVAL or parameter */
    X_PERCENT,      /* v: 1% in a gate; the value is v / 100 */
    X_COLUMN,       /* name, optional table and schema */
    X_STAR,         /* * or table.* in a select list, the argument of count(*) */
    X_AND, X_OR,    /* args[2..] */
    X_NOT,          /* args[0] */
    X_OP,           /* op over args[0] (prefix) or args[0], args[1] */
    X_IS_NULL,      /* args[0]; negated: IS NOT NULL */
    X_IS_BOOL,      /* args[0] IS [NOT] TRUE (op == OP_TRUE), FALSE (OP_FALSE), UNKNOWN (OP_UNKNOWN) */
    X_DISTINCT,     /* args[0] IS [NOT] DISTINCT FROM args[1]; negated: NOT DISTINCT */
    X_IN,           /* args[0] [NOT] IN (args[1..]) or, with select set, IN (SELECT ...) */
    X_BETWEEN,      /* args[0] [NOT] BETWEEN args[1] AND args[2] */
    X_LIKE,         /* args[0] [NOT] LIKE args[1]; op: OP_LIKE or OP_ILIKE */
    X_FUNC,         /* name(args), optional schema; distinct inside; star: f(*); order within not supported */
    X_CASE,         /* args: has_base ? base : -, then WHEN, THEN pairs, then has_else ? ELSE */
    X_CAST,         /* args[0]::type; type name in name (spaces single), array: type[] */
    X_ANY,          /* args[0] op ANY (args[1]); negated: ALL */
    X_ARRAY,        /* ARRAY[args], or with select set ARRAY(SELECT ...) */
    X_SUBSCRIPT,    /* args[0][args[1]] */
    X_EXISTS,       /* EXISTS (select) */
    X_SUBSELECT,    /* (select) as one value */
    X_COLLATE       /* args[0] COLLATE name: carried, without effect on ordering */
};

enum ast_op {
    OP_NONE,
    OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE,
    OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_NEG, OP_CONCAT,
    OP_MATCH, OP_NMATCH, OP_IMATCH, OP_NIMATCH,     /* ~ !~ ~* !~* */
    OP_JSON, OP_JSON_TEXT,                          /* -> ->> */
    OP_LIKE, OP_ILIKE,
    OP_TRUE, OP_FALSE, OP_UNKNOWN,
    OP__COUNT
};
const char *ast_op_text(enum ast_op op);

struct ast_expr {
    enum ast_expr_kind kind;
    enum ast_op op;
    int pos;                    /* of the operator or first token */
    int depth;
    bool negated, distinct, star, array, has_base, has_else;
    const char *schema, *table, *name;
    struct pvalue v;
    int nargs;
    struct ast_expr **args;
    struct ast_select *select;
};
struct ast_exprs {
    int n;
    struct ast_expr **v;
};

/* ---- SELECT ------------------------------------------------------------- */

struct ast_target {             /* one output column */
    struct ast_expr *expr;
    const char *alias;          /* NULL: none written */
};
struct ast_targets {
    int n;
    struct ast_target *v;
};

enum ast_join { JOIN_NONE, JOIN_CROSS, JOIN_INNER, JOIN_LEFT, JOIN_RIGHT, JOIN_FULL };
struct ast_from {               /* items are joined left to right; a comma is JOIN_CROSS */
    enum ast_join join;         /* how it joins what stands left; JOIN_NONE for the first */
    int pos;
    const char *schema, *name;  /* relation or, with is_func, function; NULL with select set */
    const char *alias;
    struct ast_values column_aliases;
    bool is_func;
    struct ast_exprs func_args;
    struct ast_select *select;
    struct ast_expr *on;
    struct ast_values using_columns;
    struct pvalue as_of;        /* AS OF VERSION n */
};
struct ast_froms {
    int n;
    struct ast_from *v;
};

enum ast_nulls { NULLS_DEFAULT, NULLS_FIRST, NULLS_LAST };
struct ast_order {
    struct ast_expr *expr;      /* an integer literal is an ordinal */
    bool desc;
    enum ast_nulls nulls;
};
struct ast_orders {
    int n;
    struct ast_order *v;
};

struct ast_select {
    int pos;
    bool distinct;
    struct ast_targets targets;
    struct ast_froms from;
    struct ast_expr *where;
    struct ast_exprs group_by;
    struct ast_expr *having;
    int nrows;                  /* VALUES: rows of equal length; targets unused */
    struct ast_exprs *rows;
    /* this select, then set_op, then next; ORDER BY and LIMIT stand on the first and hold for the whole */
    enum { SET_NONE, SET_UNION, SET_UNION_ALL, SET_INTERSECT, SET_EXCEPT } set_op;
    struct ast_select *next;
    struct ast_orders order_by;
    struct ast_expr *limit, *offset;
};

/* ---- rollout clauses ---------------------------------------------------- */

enum roll_clause {
    ROLL_WHERE, ROLL_CANARY, ROLL_IMMEDIATE, ROLL_STRATEGY, ROLL_BY_REGION, ROLL_RATE, ROLL_OVERLAP, ROLL_WINDOW,
    ROLL_DEADLINE, ROLL_MANUAL, ROLL_ROLLBACK_IF, ROLL_PAUSE_IF, ROLL_APPROVALS, ROLL_VALID_FOR, ROLL_REASON,
    ROLL_WITH,
    ROLL__COUNT
};

enum ast_unit { UNIT_NONE, UNIT_SECOND, UNIT_MINUTE, UNIT_HOUR, UNIT_DAY };

struct ast_share {              /* 5%, 5 PERCENT, 100 NODES */
    struct pvalue amount;       /* PV_INT, PV_FLOAT or PV_PARAM; PV_ABSENT: no share */
    bool is_nodes;
};

struct ast_step {               /* one wave */
    struct ast_share share;
    struct pvalue bake;         /* FOR duration; PV_ABSENT: the default */
};

struct ast_rollout {
    uint32_t present;           /* bit 1 << enum roll_clause */
    int pos[ROLL__COUNT];       /* valid where present */
    struct ast_expr *where;
    int nsteps;                 /* CANARY first, then THEN's */
    struct ast_step *steps;
    struct pvalue strategy;
    struct ast_values regions;  /* n == 0: BY REGION without a list */
    struct pvalue rate;         /* nodes per rate_unit */
    enum ast_unit rate_unit;
    struct pvalue overlap, deadline, valid_for;     /* durations: string, interval or parameter */
    struct pvalue window;
    struct ast_expr *rollback_if, *pause_if;
    struct pvalue rollback_sample, pause_sample;
    struct pvalue approvals;
    struct pvalue reason;
    struct ast_options with;
};

static inline bool roll_has(const struct ast_rollout *r, enum roll_clause c) { return r->present >> c & 1; }
/* "CANARY", "ROLLBACK IF", ... for messages. */
const char *roll_clause_name(enum roll_clause c);

/* ---- statement families ------------------------------------------------- */

/*
 * ROTATE CERT name [TO GENERATION generation] rollout · SET CONFIG name =
 * value rollout · RESET CONFIG name rollout · ROLLBACK ROLLOUT name(= id)
 * rollout · CREATE STRATEGY [IF NOT EXISTS] name AS rollout
 */
struct ast_fleet {
    struct pvalue name, generation, value;
    bool if_not_exists;
    struct ast_rollout rollout;
};

/*
 * PAUSE|RESUME|CANCEL|APPROVE|REJECT ROLLOUT id [REASON] · PROMOTE ROLLOUT id
 * [TO WAVE to_wave | TO to_share] · ALTER ROLLOUT id SET (options) · WAIT FOR
 * ROLLOUT id [UNTIL until] [TIMEOUT timeout]
 */
struct ast_verb {
    struct pvalue id, to_wave, until, timeout, reason;
    struct ast_share to_share;
    struct ast_options options;
};

/*
 * Whatever is a name with a few slots. DROP x [IF EXISTS] name · CREATE x [IF
 * NOT EXISTS] name [WITH (options)] · ALTER CERT|SERVICE|APPROVER|... name SET
 * (options). CREATE SERVICE: arg = port. CREATE VALIDATOR|APPROVER: arg = key,
 * arg2 = jurisdiction. REVOKE CERT: arg = generation. RESOLVE SERVICE: arg =
 * region. REVOKE LEASE, CANCEL QUERY, TERMINATE SESSION: name = the number.
 * ALTER EXTENSION: arg = version to update to.
 */
struct ast_object {
    struct pvalue name, arg, arg2, reason;
    bool if_exists, if_not_exists;
    struct ast_options options;
};

/* ALTER AUTHORITY name PREPARE|ACTIVATE|TAINT|REVOKE [REASON] | SET (options) */
struct ast_authority {
    struct pvalue name, reason;
    enum { AUTH_PREPARE, AUTH_ACTIVATE, AUTH_TAINT, AUTH_REVOKE, AUTH_SET } action;
    struct ast_options options;
};

/* CREATE CERT [IF NOT EXISTS] name FROM AUTHORITY authority ...; each option at most once. */
struct ast_cert {
    struct pvalue name, authority, subject, valid_for, renew_before, strategy;
    bool if_not_exists;
    struct ast_values sans;
    struct ast_expr *where;
    struct ast_options options;
};

/* ALTER NODE name | ALTER NODES WHERE where; DRAIN | CORDON | UNCORDON | SET LABEL label = value | RESET LABEL label */
struct ast_node {
    struct pvalue name, label, value, reason;
    struct ast_expr *where;
    enum { NODE_DRAIN, NODE_CORDON, NODE_UNCORDON, NODE_SET_LABEL, NODE_RESET_LABEL } action;
};

/* ALTER REGION name FREEZE | UNFREEZE [REASON] | SET (options) */
struct ast_region {
    struct pvalue name, reason;
    enum { REGION_FREEZE, REGION_UNFREEZE, REGION_SET } action;
    struct ast_options options;
};

/* ALTER RING name ADD MEMBER member ADDRESS address [AS LEARNER] | DROP MEMBER member | TRANSFER LEADER TO member */
struct ast_ring {
    struct pvalue name, member, address;
    enum { RING_ADD, RING_ADD_LEARNER, RING_DROP, RING_TRANSFER } action;
};

/* [FROM VERSION from TO VERSION to | SINCE since]; SHOW PROOF FOR VERSION from. */
struct ast_history {
    struct pvalue from, to, since;
    bool config;                    /* SHOW PROOF FOR CONFIG VERSION: of the region's log, not the global one */
    struct ast_options options;     /* COPY HISTORY ... WITH (...) */
};

/*
 * SHOW_RELATION: SHOW ROLLOUTS [WHERE] [LIMIT] · SHOW_OBJECT: SHOW CERT name,
 * SHOW ROLLOUT id · SHOW_ROLLOUT_NODES: SHOW ROLLOUT id NODES ... ·
 * SHOW_HISTORY: [FOR object name] range [WHERE] [LIMIT] · SUBSCRIBE TO kind [WHERE]
 */
struct ast_show {
    enum ast_object_kind object;    /* OBJ_NONE: SHOW HISTORY without FOR */
    struct pvalue name;             /* of the object, or the rollout's id */
    struct pvalue from, to, since;
    struct ast_expr *where;
    struct ast_expr *limit;
};

/* Approval policies and proposals. */
struct ast_policy {
    struct pvalue name;
    bool if_not_exists;
    struct ast_values subjects;     /* "trust root", "validator set": words joined by one space */
    struct ast_policy_term {
        struct pvalue count, group;
    } *require;
    int nrequire;
    struct pvalue distinct_jurisdictions, expires, veto_count, veto_group;
    bool exclude_proposer;
};
struct ast_proposal {
    struct pvalue name, digest, signature, reason;
    struct ast_stmt *stmt;          /* PROPOSE SECURITY UPDATE name AS stmt */
};

/* COPY (select | SUBSCRIBE ... | SHOW HISTORY ...) TO STDOUT [WITH (options)] */
struct ast_copy {
    struct ast_stmt *stmt;
    struct ast_options options;
};

struct ast_explain {
    struct ast_stmt *stmt;
    struct ast_options options;     /* FORMAT JSON, VERBOSE */
};

/* SET [SESSION|LOCAL] name TO values | DEFAULT; the name is lower case, "a.b" for two parts, single spaces between words. */
struct ast_setting {
    const char *name;
    int pos;
    enum { SET_SESSION, SET_LOCAL } scope;
    bool to_default;
    struct ast_values values;
};

/* BEGIN and friends. The word lists are PostgreSQL's; only what changes behaviour is kept. */
struct ast_txn {
    struct pvalue savepoint;
    enum { ISO_DEFAULT, ISO_READ_UNCOMMITTED, ISO_READ_COMMITTED, ISO_REPEATABLE_READ, ISO_SERIALIZABLE } isolation;
    enum { ACCESS_DEFAULT, ACCESS_READ_ONLY, ACCESS_READ_WRITE } access;
    bool chain;                     /* COMMIT AND CHAIN */
    bool session;                   /* SET SESSION CHARACTERISTICS AS TRANSACTION */
};

struct ast_cursor {
    struct pvalue name;             /* PV_ABSENT: CLOSE ALL */
    bool with_hold, scroll, move;   /* move: MOVE instead of FETCH */
    bool backward;
    bool all;                       /* FETCH ALL */
    struct pvalue count;            /* PV_ABSENT: 1 */
    struct ast_stmt *query;         /* DECLARE ... FOR query: a SELECT, SHOW or SUBSCRIBE */
};

struct ast_prepare {
    struct pvalue name;             /* PV_ABSENT: DEALLOCATE ALL */
    struct ast_values types;
    struct ast_stmt *stmt;
    struct ast_exprs args;          /* EXECUTE name (args) */
};

struct ast_notify {
    struct pvalue channel;          /* PV_ABSENT: UNLISTEN * */
    struct pvalue payload;
};

/* CREATE|ALTER ROLE: each attribute at most once. Tri-states: -1 unset, 0 NO..., 1 set. */
struct ast_role {
    struct pvalue name;
    bool if_not_exists;
    int login, superuser, inherit, createrole;
    struct pvalue password;         /* PV_NULL: PASSWORD NULL */
    struct pvalue valid_until, connection_limit;
    struct ast_values in_roles;
};

/*
 * GRANT privileges ON target TO grantees, GRANT roles TO grantees; REVOKE
 * likewise. all_privileges: ALL [PRIVILEGES]. Target: object + name, or
 * all_objects (ON ALL CERTS [IN REGION region]), or OBJ_SYSTEM.
 */
struct ast_grant {
    struct ast_values privileges;   /* or the roles of GRANT_ROLE */
    bool all_privileges, all_objects, with_admin, option_only;
    enum ast_object_kind object;
    struct pvalue name, region;
    struct ast_values grantees;
};

/* ---- statements --------------------------------------------------------- */

enum ast_kind {
#define AST_STMT(sym, tag, flags, member) AST_##sym,
#include "backend/parser/stmtlist.h"
#undef AST_STMT
    AST__COUNT
};

enum {
    STMT_CHANGES = 1, STMT_FLEET = 2, STMT_EXPLAIN = 4, STMT_ROWS = 8, STMT_SELECT = 16, STMT_TXN = 32
};

struct ast_stmt {
    enum ast_kind kind;
    int pos, len;               /* bytes of it in the parsed text, without the semicolon */
    int nparams;                /* highest $n in it; 0: none */
    union {
        struct ast_fleet fleet;
        struct ast_verb verb;
        struct ast_object object;
        struct ast_authority authority;
        struct ast_cert cert;
        struct ast_node node;
        struct ast_region region;
        struct ast_ring ring;
        struct ast_history history;
        struct ast_show show;
        struct ast_policy policy;
        struct ast_proposal proposal;
        struct ast_select *select;
        struct ast_copy copy;
        struct ast_explain explain;
        struct ast_setting setting;
        struct ast_txn txn;
        struct ast_cursor cursor;
        struct ast_prepare prepare;
        struct ast_notify notify;
        struct ast_role role;
        struct ast_grant grant;
        char none;
    };
};

/* "ROTATE CERT"; a tag that takes the row count comes without its '#'. */
const char *ast_tag(enum ast_kind k);
/* True where CommandComplete carries the row count: "SELECT 3". */
bool ast_tag_counts(enum ast_kind k);
/* STMT_* bits. */
unsigned ast_flags(enum ast_kind k);
/* Symbol, "ROTATE_CERT"; for logs and tests. */
const char *ast_name(enum ast_kind k);

#endif
