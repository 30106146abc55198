/* slots.c - the window of views, what is known of each, and who leads. */
#include "simplex_int.h"

bool block_eq(const struct simplex_block *a, const struct simplex_block *b)
{
    return a->view == b->view && a->height == b->height && a->parent_view == b->parent_view &&
           hash32_eq(&a->hash, &b->hash) && hash32_eq(&a->parent_hash, &b->parent_hash);
}

/* The window ends SIMPLEX_VIEWS_AHEAD after the current view and is WINDOW long. */
uint64_t window_first(const struct simplex *s)
{
    uint64_t behind = s->view > SIMPLEX_VIEWS_AHEAD ? s->view - SIMPLEX_VIEWS_AHEAD + 1 : 1;
    return behind > s->committed.view + 1 ? behind : s->committed.view + 1;
}

struct slot *slot_of(const struct simplex *s, uint64_t view)
{
    if (view < window_first(s) || view > s->view + SIMPLEX_VIEWS_AHEAD)
        return NULL;
    struct slot *t = (struct slot *) &s->slot[view % WINDOW];
    if (t->view != view) {
        memset(t, 0, sizeof *t);
        t->view = view;
    }
    return t;
}

/* A view that leaves the window uncommitted: only what justification needs of it is kept. */
static void remember(struct simplex *s, uint64_t view)
{
    const struct slot *t = slot_of(s, view);
    if (t == NULL)
        return;
    int leader = t->notarized ? leader_on(s, t->notar.parent_view, view) : -1;
    if (t->notarized && leader >= 0) {
        s->old = t->notar;
        s->old_leader = (uint16_t) leader;
        s->old_known = s->gap_nullified = true;
    } else if (!t->nullified) {
        s->old_known = s->gap_nullified = false;        /* passed by a later Final's certificate only */
    }
}

/* Below a newer committed block nothing matters any more; above it, what was known still is. */
void window_committed(struct simplex *s, const struct simplex_block *b)
{
    s->committed = *b;
    if (s->old.view <= b->view)
        s->old_known = false;
    if (window_first(s) <= b->view + 1)
        s->gap_nullified = true;
}

void window_move(struct simplex *s, uint64_t view)
{
    while (s->view < view) {
        if (window_first(s) == s->view - SIMPLEX_VIEWS_AHEAD + 1 && s->view >= SIMPLEX_VIEWS_AHEAD)
            remember(s, window_first(s));
        s->view++;
        if (view - s->view > 4 * WINDOW) {      /* a long jump: nothing between can matter */
            s->view = view - WINDOW;
            s->old_known = s->gap_nullified = false;
        }
    }
}

bool is_notarized(const struct simplex *s, uint64_t view, const struct hash32 *hash)
{
    if (view == s->committed.view)
        return hash32_eq(hash, &s->committed.hash);
    if (s->old_known && view == s->old.view)
        return hash32_eq(hash, &s->old.hash);
    const struct slot *t = slot_of(s, view);
    return t != NULL && t->notarized && hash32_eq(hash, &t->notar.hash);
}

bool is_nullified(const struct simplex *s, uint64_t view)
{
    const struct slot *t = slot_of(s, view);
    if (t != NULL)
        return t->nullified;
    return s->gap_nullified && !SIMPLEX_BROKEN(GAP_FORGOTTEN) && view > (s->old_known ? s->old.view : s->committed.view) && view < window_first(s);
}

int leader_on(const struct simplex *s, uint64_t parent_view, uint64_t view)
{
    uint64_t steps = 0;
    for (unsigned i = 0; i <= WINDOW && parent_view < view; i++) {
        steps += SIMPLEX_BROKEN(LEADER_STAYS) ? 0 : view - parent_view - 1;
        if (parent_view == s->committed.view)
            return (int) ((s->committed_leader + steps) % s->c.n);
        if (s->old_known && parent_view == s->old.view)
            return (int) ((s->old_leader + steps) % s->c.n);
        const struct slot *t = slot_of(s, parent_view);
        if (t == NULL || !t->notarized)
            return -1;
        view = parent_view;
        parent_view = t->notar.parent_view;
    }
    return -1;
}

struct simplex_block best_parent(const struct simplex *s)
{
    uint64_t first = window_first(s);
    for (uint64_t v = s->view - 1; v >= first && v > s->committed.view; v--) {
        const struct slot *t = slot_of(s, v);
        if (t != NULL && t->notarized)
            return t->notar;
    }
    return s->old_known && s->old.view > s->committed.view ? s->old : s->committed;
}

int leader_now(const struct simplex *s)
{
    return leader_on(s, best_parent(s).view, s->view);
}
