/* named.c - the session's prepared statements and portals, by name */
#include "backend/tcop/tcop_int.h"

#include <stdlib.h>

/* ---- prepared statements ---- */

struct prepared *prepared_find(struct tcop *t, struct slice name)
{
    struct prepared *p = t->prepared;
    while (p != NULL && !slice_is(name, p->name))
        p = p->next;
    return p;
}

enum reeve_err prepared_missing(struct slice name, struct report *rep)
{
    if (name.len == 0)
        return report_set(rep, REEVE_E_INVALID_PSTMT, "unnamed prepared statement does not exist");
    return report_set(rep, REEVE_E_INVALID_PSTMT, "prepared statement \"%.*s\" does not exist",
                      (int) (name.len < 255 ? name.len : 255), (const char *) name.p);
}

enum reeve_err prepared_new(struct tcop *t, struct slice name, struct slice text, struct prepared **out)
{
    struct prepared *p = calloc(1, sizeof *p);
    if (p == NULL)
        return REEVE_E_NOMEM;
    p->refs = 1;
    arena_init(&p->arena, NAMED_ARENA_MAX);
    p->name = arena_strndup(&p->arena, name.p, name.len);
    char *copy = arena_strndup(&p->arena, text.p, text.len);
    p->text = slice_of(copy, text.len);
    if (p->name == NULL || copy == NULL) {
        prepared_unref(p);
        return REEVE_E_NOMEM;
    }
    *out = p;
    return REEVE_OK;
}

void prepared_unref(struct prepared *p)
{
    if (--p->refs > 0)
        return;
    arena_free(&p->arena);
    free(p);
}

enum reeve_err prepared_add(struct tcop *t, struct prepared *p, struct report *rep)
{
    if (p->name[0] == '\0')
        (void) !prepared_drop(t, slice_of("", 0));
    else if (prepared_find(t, slice_str(p->name)) != NULL)
        return report_set(rep, REEVE_E_DUPLICATE_PSTMT, "prepared statement \"%s\" already exists", p->name);
    if (t->nprepared >= PREPARED_MAX)
        return report_set(rep, REEVE_E_TOO_COMPLEX, "too many prepared statements in one session");
    p->next = t->prepared;
    t->prepared = p;
    t->nprepared++;
    return REEVE_OK;
}

bool prepared_drop(struct tcop *t, struct slice name)
{
    for (struct prepared **at = &t->prepared; *at != NULL; at = &(*at)->next)
        if (slice_is(name, (*at)->name)) {
            struct prepared *p = *at;
            *at = p->next;
            t->nprepared--;
            prepared_unref(p);
            return true;
        }
    return false;
}

void prepared_drop_all(struct tcop *t)
{
    while (t->prepared != NULL)
        (void) !prepared_drop(t, slice_str(t->prepared->name));
}

/* ---- portals ---- */

struct portal *portal_find(struct tcop *t, struct slice name)
{
    struct portal *p = t->portals;
    while (p != NULL && (p->doomed || !slice_is(name, p->name)))
        p = p->next;
    return p;
}

static void portal_free(struct portal *p)
{
    rowstore_free(&p->rows);
    if (p->prepared != NULL)
        prepared_unref(p->prepared);
    arena_free(&p->arena);
    free(p);
}

enum reeve_err portal_new(struct tcop *t, struct slice name, struct portal **out)
{
    struct portal *p = calloc(1, sizeof *p);
    if (p == NULL)
        return REEVE_E_NOMEM;
    arena_init(&p->arena, NAMED_ARENA_MAX);
    rowstore_init(&p->rows, &p->arena, t->start->spool_dir);
    p->name = arena_strndup(&p->arena, name.p, name.len);
    if (p->name == NULL) {
        portal_free(p);
        return REEVE_E_NOMEM;
    }
    *out = p;
    return REEVE_OK;
}

static enum reeve_err name_free(struct tcop *t, struct portal *p, struct report *rep)
{
    struct portal *old = portal_find(t, slice_str(p->name));
    if (old != NULL && p->name[0] != '\0')
        return report_set(rep, REEVE_E_DUPLICATE_CURSOR, "cursor \"%s\" already exists", p->name);
    if (old != NULL)
        portal_drop(t, old);
    if (t->nportals >= PORTALS_MAX)
        return report_set(rep, REEVE_E_TOO_COMPLEX, "too many open portals in one session");
    return REEVE_OK;
}

enum reeve_err portal_add(struct tcop *t, struct portal *p, struct report *rep)
{
    enum reeve_err err = name_free(t, p, rep);
    if (err != REEVE_OK) {
        portal_free(p);
        return err;
    }
    p->next = t->portals;
    t->portals = p;
    t->nportals++;
    return REEVE_OK;
}

void portal_drop(struct tcop *t, struct portal *p)
{
    if (p == t->running) {
        p->doomed = true;
        return;
    }
    struct portal **at = &t->portals;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    t->nportals--;
    portal_free(p);
}

void portals_drop(struct tcop *t, bool held_too)
{
    struct portal *next;
    for (struct portal *p = t->portals; p != NULL; p = next) {
        next = p->next;
        if (held_too || !p->hold)
            portal_drop(t, p);
    }
}

void portal_drop_unnamed(struct tcop *t)
{
    struct portal *p = portal_find(t, slice_of("", 0));
    if (p != NULL)
        portal_drop(t, p);
}
