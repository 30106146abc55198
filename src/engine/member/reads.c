/*
 * reads.c - linearizable reads in groups
 *
 * One group is in flight at a time, whoever comes meanwhile is in the next:
 * so a round of heartbeats serves as many reads as came during the one before.
 * A confirmed group waits until its index is applied here (M4).
 */
#include "member_int.h"

void member_on_read(struct member *m, const struct member_event *e, struct member_effects *out)
{
    if (m->quarantined || m->stopping)
        out->verdict = REEVE_E_UNAVAILABLE;
    else if (member_ticket_new(m, e->ticket, &m->reads_next, T_READ_NEXT, m->c.read_ms) == NONE)
        out->verdict = REEVE_E_BUSY;
    m->read_now = true;
}

static void move_all(struct member *m, struct list *from, struct list *to, enum ticket_state state, uint64_t index)
{
    while (from->head != NONE) {
        m->ticket[from->head].index = index;
        member_ticket_move(m, from->head, to, state);
    }
}

void member_read_answer(struct member *m, const struct raft_effect *f)
{
    if (f->id != m->read_id)
        return;
    m->read_id = 0;
    m->read_now = true;
    if (f->type == RAFT_F_READ_OK) {
        move_all(m, &m->reads_flight, &m->reads_apply, T_READ_APPLY, f->index);
        return;
    }
    /* Given up by the leader: the group goes with the next one, in front of it. */
    move_all(m, &m->reads_next, &m->reads_flight, T_READ_FLIGHT, 0);
    move_all(m, &m->reads_flight, &m->reads_next, T_READ_NEXT, 0);
    m->read_now = false;
}

static uint32_t retry_ms(const struct member *m) { return m->c.raft.heartbeat_ms; }

/* A question that got lost is asked again under a new number (R6). */
static void ask(struct member *m, struct member_effects *out)
{
    bool lost = m->read_id && m->now.ms - m->read_at.ms >= 2 * (int64_t) retry_ms(m);
    bool due = m->read_now || m->now.ms - m->read_at.ms >= (int64_t) retry_ms(m);
    if ((m->reads_next.n == 0 && !lost) || (m->read_id && !lost) || !due || member_tight(m, out))
        return;
    if (m->read_id == 0)
        move_all(m, &m->reads_next, &m->reads_flight, T_READ_FLIGHT, 0);
    struct raft_event e = { .type = RAFT_E_READ, .id = ++m->reads_asked };
    m->read_id = e.id;
    m->read_at = m->now;
    m->read_now = false;
    if (member_raft_step(m, &e, out) != REEVE_OK && m->read_id == e.id) {
        m->read_id = 0;
        move_all(m, &m->reads_next, &m->reads_flight, T_READ_FLIGHT, 0);
        move_all(m, &m->reads_flight, &m->reads_next, T_READ_NEXT, 0);
    }
}

void member_reads_pump(struct member *m, struct member_effects *out)
{
    if (m->read_id && m->reads_flight.n == 0)
        m->read_id = 0;                 /* all of it expired */
    ask(m, out);
    while (m->reads_apply.head != NONE && !m->quarantined &&
           (m->ticket[m->reads_apply.head].index <= m->applied || RAFT_BROKEN(READ_UNAPPLIED)))
        member_ticket_finish(m, m->reads_apply.head, 0, REEVE_OK);
}
