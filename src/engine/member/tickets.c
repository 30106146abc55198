/*
 * tickets.c - who waits here for what, and how it ended
 *
 * A ticket is in exactly one list; lists are in order of time, so expiring
 * looks at their heads only. A handle is slot and generation: an item of a
 * ticket that has ended finds nobody.
 */
#include "member_int.h"

static void push(struct member *m, struct list *l, uint32_t t)
{
    struct ticket *x = &m->ticket[t];
    x->prev = l->tail;
    x->next = NONE;
    if (l->tail != NONE)
        m->ticket[l->tail].next = t;
    else
        l->head = t;
    l->tail = t;
    l->n++;
}

static void unlink_from(struct member *m, struct list *l, uint32_t t)
{
    const struct ticket *x = &m->ticket[t];
    if (x->prev != NONE)
        m->ticket[x->prev].next = x->next;
    else
        l->head = x->next;
    if (x->next != NONE)
        m->ticket[x->next].prev = x->prev;
    else
        l->tail = x->prev;
    l->n--;
}

static struct list *list_of(struct member *m, uint8_t state)
{
    switch (state) {
    case T_QUEUED:
    case T_SENT:        return &m->proposals;
    case T_HANDED:      return &m->handed_out;
    case T_FINISHED:    return &m->finished;
    case T_READ_NEXT:   return &m->reads_next;
    case T_READ_FLIGHT: return &m->reads_flight;
    case T_READ_APPLY:  return &m->reads_apply;
    default:            return &m->free;
    }
}

void member_tickets_init(struct member *m)
{
    struct list *all[] = { &m->free, &m->proposals, &m->handed_out, &m->finished, &m->reads_next, &m->reads_flight, &m->reads_apply };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        *all[i] = (struct list){ NONE, NONE, 0 };
    for (uint32_t t = 0; t < m->c.tickets; t++) {
        m->ticket[t] = (struct ticket){ .generation = 1 };
        push(m, &m->free, t);
    }
}

uint32_t member_ticket_new(struct member *m, uint64_t id, struct list *l, enum ticket_state state, uint32_t ms)
{
    uint32_t t = m->free.head;
    if (t == NONE)
        return NONE;
    unlink_from(m, &m->free, t);
    struct ticket *x = &m->ticket[t];
    *x = (struct ticket){ .id = id, .generation = x->generation, .state = state, .until = { m->now.ms + ms } };
    push(m, l, t);
    return t;
}

void member_ticket_move(struct member *m, uint32_t t, struct list *to, enum ticket_state state)
{
    unlink_from(m, list_of(m, m->ticket[t].state), t);
    m->ticket[t].state = state;
    push(m, to, t);
}

void member_ticket_finish(struct member *m, uint32_t t, enum member_outcome outcome, enum reeve_err err)
{
    m->ticket[t].outcome = outcome;
    m->ticket[t].err = err;
    m->ticket[t].generation++;          /* what still names it names nobody */
    member_ticket_move(m, t, &m->finished, T_FINISHED);
}

uint64_t member_ticket_handle(const struct member *m, uint32_t t)
{
    return (uint64_t) m->ticket[t].generation << 32 | t;
}

uint32_t member_ticket_of(const struct member *m, const struct item *it)
{
    uint32_t t = (uint32_t) it->handle;
    if (it->origin != m->c.origin || t >= m->c.tickets || m->ticket[t].generation != it->handle >> 32)
        return NONE;
    return m->ticket[t].state == T_QUEUED || m->ticket[t].state == T_SENT ? t : NONE;
}

static bool due(const struct member *m, const struct list *l)
{
    return l->head != NONE && m->ticket[l->head].until.ms <= m->now.ms;
}

/* What never left the queue was certainly not applied: it is passed over when its turn would come. */
void member_tickets_expire(struct member *m)
{
    while (due(m, &m->proposals)) {
        bool sent = m->ticket[m->proposals.head].state == T_SENT;
        member_ticket_finish(m, m->proposals.head, sent ? MEMBER_UNKNOWN : MEMBER_NOT_APPLIED,
                             sent ? REEVE_E_UNKNOWN_OUTCOME : REEVE_E_NOT_LEADER);
    }
    while (due(m, &m->reads_next))
        member_ticket_finish(m, m->reads_next.head, 0, REEVE_E_AGAIN);
    while (due(m, &m->reads_flight))
        member_ticket_finish(m, m->reads_flight.head, 0, REEVE_E_AGAIN);
    while (due(m, &m->reads_apply))
        member_ticket_finish(m, m->reads_apply.head, 0, REEVE_E_AGAIN);
}

void member_tickets_resolve(struct member *m, uint64_t term)
{
    if (term <= m->resolved_term)
        return;
    m->resolved_term = term;
    for (uint32_t t = m->proposals.head, next; t != NONE; t = next) {
        next = m->ticket[t].next;
        if (m->ticket[t].state == T_SENT && m->ticket[t].term < term)
            member_ticket_finish(m, t, MEMBER_NOT_APPLIED, REEVE_E_NOT_LEADER);
    }
}

void member_tickets_blind(struct member *m, uint64_t term)
{
    for (uint32_t t = m->proposals.head, next; t != NONE; t = next) {
        next = m->ticket[t].next;
        if (m->ticket[t].state != T_SENT || m->ticket[t].term > term)
            continue;
        if (m->ticket[t].term < term && m->ticket[t].term != TERM_BLIND)
            member_ticket_finish(m, t, MEMBER_UNKNOWN, REEVE_E_UNKNOWN_OUTCOME);
        else
            m->ticket[t].term = TERM_BLIND;
    }
}

/* A ticket with an outcome is a proposal's, without one a read's. */
void member_tickets_flush(struct member *m, struct member_effects *out)
{
    while (m->finished.head != NONE && !member_tight(m, out)) {
        uint32_t t = m->finished.head;
        const struct ticket *x = &m->ticket[t];
        struct member_effect *f = member_emit(out, x->outcome ? MEMBER_F_DONE : MEMBER_F_READ_DONE);
        f->ticket = x->id;
        f->outcome = x->outcome;
        f->err = x->err;
        f->index = x->index;
        f->nth = x->nth;
        f->id = x->session;
        member_ticket_move(m, t, &m->free, T_FREE);
    }
}

struct mono_ms member_tickets_wake(const struct member *m)
{
    const struct list *timed[] = { &m->proposals, &m->reads_next, &m->reads_flight, &m->reads_apply };
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++)
        if (timed[i]->head != NONE && m->ticket[timed[i]->head].until.ms < at)
            at = m->ticket[timed[i]->head].until.ms;
    return (struct mono_ms){ at };
}
