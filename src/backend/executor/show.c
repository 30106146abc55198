/*
 * show.c - SHOW as the SELECT it stands for
 *
 * SHOW CERTS WHERE p LIMIT n is SELECT <brief columns> FROM sys.certs WHERE p
 * LIMIT n; SHOW CERT x adds name = x and shows every column. History and
 * rollouts grow for ever, and what is asked about is nearly always what
 * happened last: both come newest first, so that LIMIT n shows the last n.
 */
#include "backend/executor/query.h"

#include <stdio.h>

struct builder {
    struct arena *a;
    bool failed;
};

static void *make(struct builder *b, size_t size)
{
    void *p = arena_alloc(b->a, size);
    b->failed |= p == NULL;
    return p;
}

static struct ast_expr *node(struct builder *b, enum ast_expr_kind kind, int nargs)
{
    struct ast_expr *x = make(b, sizeof *x);
    struct ast_expr **args = make(b, sizeof *args * (size_t) (nargs + 1));
    if (x == NULL || args == NULL)
        return NULL;
    *x = (struct ast_expr){ .kind = kind, .pos = -1, .depth = 1, .nargs = nargs, .args = args };
    return x;
}

static struct ast_expr *column(struct builder *b, const char *name)
{
    struct ast_expr *x = node(b, X_COLUMN, 0);
    if (x != NULL)
        x->name = name;
    return x;
}

static struct ast_expr *value(struct builder *b, struct pvalue v)
{
    struct ast_expr *x = node(b, X_VALUE, 0);
    if (x == NULL)
        return NULL;
    if (v.kind == PV_IDENT)
        v.kind = PV_STRING;
    x->v = v;
    x->pos = v.pos;
    return x;
}

static struct ast_expr *compare(struct builder *b, const char *col, enum ast_op op, struct pvalue v)
{
    struct ast_expr *x = node(b, X_OP, 2);
    if (x == NULL)
        return NULL;
    x->op = op;
    x->args[0] = column(b, col);
    x->args[1] = value(b, v);
    return x;
}

/* History keeps names of objects as text, ids of rollouts among them. */
static struct ast_expr *is_object(struct builder *b, struct pvalue name)
{
    struct ast_expr *x = compare(b, "object", OP_EQ, name), *cast = node(b, X_CAST, 1);
    if (x == NULL || cast == NULL)
        return NULL;
    cast->name = "text";
    cast->args[0] = x->args[1];
    x->args[1] = cast;
    return x;
}

static struct ast_expr *both(struct builder *b, struct ast_expr *l, struct ast_expr *r)
{
    if (l == NULL || r == NULL)
        return l ? l : r;
    struct ast_expr *x = node(b, X_AND, 2);
    if (x != NULL) {
        x->args[0] = l;
        x->args[1] = r;
    }
    return x;
}

/* Relation of an object kind and the column SHOW <kind> name looks at. */
static const struct { const char *relation, *key; } relations[] = {
    [OBJ_NONE] = { "history", "version" }, [OBJ_CERT] = { "certs", "name" }, [OBJ_AUTHORITY] = { "authorities", "name" },
    [OBJ_NODE] = { "nodes", "node_id" }, [OBJ_SERVICE] = { "services", "name" }, [OBJ_REGION] = { "regions", "region" },
    [OBJ_RING] = { "ring_members", "region" }, [OBJ_STRATEGY] = { "strategies", "name" },
    [OBJ_CONFIG] = { "config", "key" }, [OBJ_ROLLOUT] = { "rollouts", "rollout_id" },
    [OBJ_LEASE] = { "leases", "lease_id" }, [OBJ_MEMBER] = { "ring_members", "member" },
    [OBJ_VALIDATOR] = { "validators", "validator" }, [OBJ_APPROVAL] = { "approvals", "proposal" },
    [OBJ_PROPOSAL] = { "proposals", "proposal" }, [OBJ_APPROVER] = { "approvers", "name" },
    [OBJ_APPROVAL_POLICY] = { "approval_policies", "name" },
    [OBJ_ROLE] = { "roles", "name" }, [OBJ_SESSION] = { "stat_activity", "pid" }, [OBJ_ISSUE] = { "issues", "issue_id" },
    [OBJ_EXTENSION] = { "extensions", "name" }, [OBJ_WINDOW] = { "windows", "name" },
    [OBJ_JOIN_TOKEN] = { "join_tokens", "token_id" }, [OBJ_SETTING] = { "settings", "name" }, [OBJ_SYSTEM] = { "settings", "name" },
};

static const char *relation_of(const struct ast_stmt *s)
{
    if (s->kind == AST_SHOW_HISTORY)
        return "history";
    return s->kind == AST_SHOW_ROLLOUT_NODES ? "rollout_nodes" : relations[s->show.object].relation;
}

static struct ast_expr *condition(struct builder *b, const struct ast_stmt *s)
{
    const struct ast_show *show = &s->show;
    struct ast_expr *x = show->where;
    struct pvalue kind = { .kind = PV_STRING, .pos = -1, .s = ast_object_name(show->object) };
    kind.len = (uint32_t) strlen(kind.s);
    if (s->kind == AST_SHOW_HISTORY && show->object != OBJ_NONE)
        x = both(b, both(b, compare(b, "object_kind", OP_EQ, kind), is_object(b, show->name)), x);
    else if (s->kind == AST_SHOW_ROLLOUT_NODES)
        x = both(b, compare(b, "rollout_id", OP_EQ, show->name), x);
    else if (s->kind == AST_SHOW_OBJECT)
        x = both(b, compare(b, relations[show->object].key, OP_EQ, show->name), x);
    if (pv_present(&show->from))
        x = both(b, compare(b, "version", OP_GE, show->from), x);
    if (pv_present(&show->to))
        x = both(b, compare(b, "version", OP_LE, show->to), x);
    if (pv_present(&show->since))
        x = both(b, compare(b, "at", OP_GE, show->since), x);
    return x;
}

static void brief_targets(struct builder *b, const struct vtable *t, bool all, struct ast_targets *out)
{
    struct ast_target *v = make(b, sizeof *v * (size_t) (t->ncolumns + 1));
    int n = 0;
    for (int i = 0; v != NULL && i < t->ncolumns; i++) {
        if (all || t->columns[i].brief)
            v[n++] = (struct ast_target){ column(b, t->columns[i].name), NULL };
    }
    *out = (struct ast_targets){ n, v };
}

/* The region's history and the world's count their versions apart: time orders both, versions what has one time. */
static void newest_first(struct builder *b, const struct ast_stmt *stmt, struct ast_orders *out)
{
    static const char *const by[2][2] = { { "at", "version" }, { "rollout_id", NULL } };
    bool rollouts = stmt->kind == AST_SHOW_RELATION && stmt->show.object == OBJ_ROLLOUT;
    if (stmt->kind != AST_SHOW_HISTORY && !rollouts)
        return;
    struct ast_order *o = make(b, 2 * sizeof *o);
    for (int i = 0; o != NULL && i < 2 && by[rollouts][i] != NULL; i++) {
        o[i] = (struct ast_order){ .expr = column(b, by[rollouts][i]), .desc = true };
        *out = (struct ast_orders){ i + 1, o };
    }
}

const struct ast_select *query_show_select(const struct query_env *env, const struct ast_stmt *stmt, struct report *rep)
{
    struct builder b = { env->arena, false };
    const struct vtable *t = query_table(env, "sys", relation_of(stmt));
    if (t == NULL) {
        report_set(rep, REEVE_E_UNSUPPORTED, "relation sys.%s is not available in this version", relation_of(stmt));
        return NULL;
    }
    struct ast_select *s = make(&b, sizeof *s);
    struct ast_from *f = make(&b, sizeof *f);
    bool all = stmt->kind == AST_SHOW_OBJECT;
    if (s != NULL && f != NULL) {
        *f = (struct ast_from){ .schema = t->schema, .name = t->name, .pos = stmt->pos, .as_of.pos = -1 };
        s->pos = stmt->pos;
        s->from = (struct ast_froms){ 1, f };
        s->where = condition(&b, stmt);
        s->limit = stmt->show.limit;
        newest_first(&b, stmt, &s->order_by);
        brief_targets(&b, t, all, &s->targets);
        if (s->targets.n == 0)
            brief_targets(&b, t, true, &s->targets);
    }
    if (b.failed) {
        report_set(rep, REEVE_E_NOMEM, "out of memory");
        return NULL;
    }
    return s;
}
