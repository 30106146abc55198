/* build.c - statements, leaves and lists */
#include <stdio.h>
#include <stdlib.h>

#include "backend/parser/build_int.h"

#define ABSENT ((struct pvalue){ .kind = PV_ABSENT, .pos = -1 })

void *build_alloc(struct parse *p, size_t size)
{
    void *m = p->err == REEVE_OK ? arena_alloc(p->arena, size) : NULL;
    if (m == NULL)
        parse_fail(p, REEVE_E_NOMEM, -1, "out of memory");
    return m;
}

/* Capacity is the next power of two from 4 up, so it needs no field of its own. */
void *list_grow(struct parse *p, void *v, int n, size_t size, int pos)
{
    if (p->err != REEVE_OK)
        return NULL;
    if (n >= AST_LIST_MAX) {
        parse_too_long(p, pos);
        return NULL;
    }
    bool full = n == 0 || (n >= 4 && (n & (n - 1)) == 0);
    if (!full)
        return v;
    void *m = build_alloc(p, size * (size_t) (n < 4 ? 4 : n * 2));
    if (m != NULL && n > 0)
        memcpy(m, v, size * (size_t) n);
    return m;
}

/* ---- leaves ---- */

struct pvalue pv_of(struct pvalue token, enum pv_kind kind)
{
    token.kind = kind;
    return token;
}

struct pvalue pv_kw(struct pvalue token) { return pv_of(token, PV_IDENT); }

struct pvalue pv_word(struct pvalue token, const char *word)
{
    token.kind = PV_IDENT;
    token.s = word;
    token.len = (uint32_t) strlen(word);
    return token;
}

struct pvalue pv_bool(struct pvalue token, bool b)
{
    token.kind = PV_BOOL;
    token.i = b;
    return token;
}

struct pvalue pv_negate(struct parse *p, struct pvalue v, int pos)
{
    if (v.kind == PV_PARAM) {
        parse_fail(p, REEVE_E_SYNTAX, pos, "a parameter cannot be negated here");
        return v;
    }
    v.i = -v.i;
    v.f = -v.f;
    v.pos = pos;
    v.s = arena_printf(p->arena, "-%s", v.s ? v.s : "");
    v.len++;
    if (v.s == NULL)
        parse_fail(p, REEVE_E_NOMEM, pos, "out of memory");
    return v;
}

struct pvalue pv_duration(struct parse *p, struct pvalue number, enum ast_unit unit)
{
    static const char *const words[] = { "", "seconds", "minutes", "hours", "days" };
    number.kind = PV_INTERVAL;
    number.s = arena_printf(p->arena, "%s %s", number.s, words[unit]);
    if (number.s == NULL)
        parse_fail(p, REEVE_E_NOMEM, number.pos, "out of memory");
    else
        number.len = (uint32_t) strlen(number.s);
    return number;
}

struct pvalue pv_join(struct parse *p, struct pvalue a, const char *sep, struct pvalue b)
{
    a.s = arena_printf(p->arena, "%s%s%s", a.s ? a.s : "", sep, b.s ? b.s : "");
    if (a.s == NULL)
        parse_fail(p, REEVE_E_NOMEM, a.pos, "out of memory");
    else
        a.len = (uint32_t) strlen(a.s);
    return a;
}

struct ast_values *values_add(struct parse *p, struct ast_values *l, struct pvalue v)
{
    if (l == NULL)
        l = build_alloc(p, sizeof *l);
    if (l != NULL)
        LIST_ADD(p, l, v, v, v.pos);
    return l;
}

struct ast_values *values_new(struct parse *p, struct pvalue first)
{
    return values_add(p, NULL, first);
}

struct ast_options *options_add(struct parse *p, struct ast_options *l, struct pvalue name, struct pvalue value)
{
    if (l == NULL && (l = build_alloc(p, sizeof *l)) != NULL)
        l->pos = name.pos;
    struct ast_option o = { name, value };
    if (l != NULL)
        LIST_ADD(p, l, v, o, name.pos);
    return l;
}

void opt_once(struct parse *p, struct pvalue *slot, struct pvalue v, struct pvalue at)
{
    if (pv_present(slot))
        parse_fail(p, REEVE_E_SYNTAX, at.pos, "%s is given twice", at.s ? at.s : "option");
    *slot = v;
}

/* ---- statements ---- */

struct ast_stmt *stmt_new(struct parse *p, enum ast_kind kind)
{
    struct ast_stmt *s = build_alloc(p, sizeof *s);
    if (s != NULL) {
        s->kind = kind;
        s->pos = p->stmt_pos;
        s->len = p->prev_end - p->stmt_pos;
        s->nparams = p->stmt_params;
    }
    return s;
}

void stmt_done(struct parse *p, struct ast_stmt *s)
{
    if (s == NULL)
        return;
    s->len = p->prev_end - s->pos;
    s->nparams = p->stmt_params;
    if (p->stmt_params > p->nparams)
        p->nparams = p->stmt_params;
    p->stmt_params = 0;
    LIST_ADD(p, p->list, v, s, s->pos);
}

struct ast_stmt *stmt_object(struct parse *p, enum ast_kind kind, struct pvalue name, struct ast_options *options)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s == NULL)
        return NULL;
    s->object.name = name;
    if (options != NULL)
        s->object.options = *options;
    return s;
}

struct ast_stmt *stmt_drop(struct parse *p, enum ast_kind kind, bool if_exists, struct pvalue name)
{
    struct ast_stmt *s = stmt_object(p, kind, name, NULL);
    if (s != NULL)
        s->object.if_exists = if_exists;
    return s;
}

struct ast_stmt *stmt_create(struct parse *p, enum ast_kind kind, bool if_not_exists, struct pvalue name,
                             struct ast_options *options)
{
    struct ast_stmt *s = stmt_object(p, kind, name, options);
    if (s != NULL)
        s->object.if_not_exists = if_not_exists;
    return s;
}

struct ast_stmt *stmt_fleet(struct parse *p, enum ast_kind kind, struct pvalue name, struct ast_rollout *r)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s == NULL)
        return NULL;
    s->fleet.name = name;
    if (r != NULL)
        s->fleet.rollout = *r;
    return s;
}

struct ast_stmt *stmt_verb(struct parse *p, enum ast_kind kind, struct pvalue id, struct pvalue reason)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s != NULL) {
        s->verb.id = id;
        s->verb.reason = reason;
    }
    return s;
}

struct ast_stmt *stmt_show(struct parse *p, enum ast_kind kind, enum ast_object_kind object, struct pvalue name)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s != NULL) {
        s->show.object = object;
        s->show.name = name;
    }
    return s;
}

struct ast_stmt *stmt_show_tail(struct parse *p, struct ast_stmt *s, struct ast_expr *where, struct ast_expr *limit)
{
    if (s != NULL) {
        s->show.where = where;
        s->show.limit = limit;
    }
    return s;
}

struct ast_stmt *stmt_show_history(struct parse *p, struct ast_stmt *s, struct ast_history *range)
{
    if (s != NULL && range != NULL) {
        s->show.from = range->from;
        s->show.to = range->to;
        s->show.since = range->since;
    }
    return s;
}

struct ast_history *history_new(struct parse *p, struct pvalue from, struct pvalue to, struct pvalue since)
{
    struct ast_history *h = build_alloc(p, sizeof *h);
    if (h != NULL)
        *h = (struct ast_history){ .from = from, .to = to, .since = since };
    return h;
}

struct ast_stmt *stmt_history(struct parse *p, enum ast_kind kind, struct ast_history *range, struct ast_options *o)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s == NULL || range == NULL)
        return s;
    s->history = *range;
    if (o != NULL)
        s->history.options = *o;
    return s;
}

struct ast_stmt *stmt_copy(struct parse *p, struct ast_stmt *inner, struct ast_options *o)
{
    struct ast_stmt *s = stmt_new(p, AST_COPY_QUERY);
    if (s != NULL) {
        s->copy.stmt = inner;
        if (o != NULL)
            s->copy.options = *o;
    }
    return s;
}

struct ast_stmt *stmt_copy_table(struct parse *p, struct ast_from *from, struct ast_options *o)
{
    struct ast_stmt *inner = stmt_new(p, AST_SELECT);
    struct ast_select *sel = select_new(p, from ? from->pos : -1);
    struct ast_targets *t = targets_add(p, NULL, x_star(p, NULL, from ? from->pos : -1), NULL);
    struct ast_froms *f = froms_add(p, NULL, from, JOIN_NONE, NULL, NULL);
    if (inner == NULL || sel == NULL || t == NULL || f == NULL)
        return NULL;
    sel->targets = *t;
    sel->from = *f;
    inner->select = sel;
    return stmt_copy(p, inner, o);
}

/* ---- settings, transactions, cursors ---- */

struct ast_stmt *stmt_setting(struct parse *p, enum ast_kind kind, struct pvalue name)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s != NULL) {
        s->setting.name = name.s;
        s->setting.pos = name.pos;
    }
    return s;
}

struct ast_stmt *stmt_set(struct parse *p, enum ast_kind kind, int scope, struct pvalue name, struct ast_values *values)
{
    struct ast_stmt *s = stmt_setting(p, kind, name);
    if (s == NULL || values == NULL)
        return s;
    s->setting.scope = scope;
    s->setting.to_default = values->n == 1 && values->v[0].kind == PV_DEFAULT;
    s->setting.values = *values;
    return s;
}

struct ast_stmt *stmt_notify(struct parse *p, enum ast_kind kind, struct pvalue channel, struct pvalue payload)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s != NULL)
        s->notify = (struct ast_notify){ channel, payload };
    return s;
}

struct ast_stmt *stmt_txn(struct parse *p, enum ast_kind kind)
{
    return stmt_new(p, kind);
}

struct ast_stmt *stmt_txn_modes(struct parse *p, enum ast_kind kind, struct ast_txn *modes)
{
    struct ast_stmt *s = stmt_new(p, kind);
    if (s != NULL && modes != NULL)
        s->txn = *modes;
    return s;
}

struct ast_txn *txn_mode_new(struct parse *p, int isolation, int access)
{
    struct ast_txn *t = build_alloc(p, sizeof *t);
    if (t != NULL) {
        t->isolation = isolation;
        t->access = access;
    }
    return t;
}

struct ast_txn *txn_merge(struct parse *p, struct ast_txn *all, struct ast_txn *one)
{
    if (all == NULL || one == NULL)
        return one;
    if (one->isolation != ISO_DEFAULT)
        all->isolation = one->isolation;
    if (one->access != ACCESS_DEFAULT)
        all->access = one->access;
    return all;
}

struct ast_cursor *fetch_new(struct parse *p, struct pvalue count, bool all, bool backward)
{
    struct ast_cursor *c = build_alloc(p, sizeof *c);
    if (c != NULL)
        *c = (struct ast_cursor){ .count = count, .all = all, .backward = backward };
    return c;
}

struct ast_stmt *stmt_fetch(struct parse *p, bool move, struct ast_cursor *args, struct pvalue name)
{
    struct ast_stmt *s = stmt_new(p, AST_FETCH);
    if (s == NULL)
        return NULL;
    if (args != NULL)
        s->cursor = *args;
    s->cursor.move = move;
    s->cursor.name = name;
    return s;
}
