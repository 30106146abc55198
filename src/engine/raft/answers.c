/* answers.c - what a leader makes of its peers' answers. */
#include "raft_int.h"

static struct progress *heard_from(struct raft *r, const struct raft_msg *m)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_progress_of(r, m->from) : NULL;
    if (p) {
        p->heard = r->now;
        p->mute = m->flags & RAFT_MF_MUTE;
    }
    return p;
}

/* The newest entry that both may have in common, by what the peer said of its log. */
static uint64_t common_point(const struct raft *r, const struct raft_msg *m)
{
    uint64_t at = min_u64(min_u64(m->hint, m->index - 1), log_last(r));
    if (m->log_term == 0)
        return at;
    return raft_log_back_to_term(r, at, m->log_term, log_first(r) - 1);
}

/* A member in repair holds less than it once said. */
static void refused(struct raft *r, struct progress *p, const struct raft_msg *m)
{
    bool shrunk = m->flags & (RAFT_MF_REPAIR | RAFT_MF_MUTE);
    if (p->state == SNAPSHOT || m->index == 0)
        return;
    if (shrunk)
        p->match = min_u64(p->match, m->hint);
    if (m->index <= p->match)
        return;                         /* late: it has said since that it holds this */
    if (p->state == REPLICATE && !shrunk) {
        raft_progress_probe(p, p->match + 1);
        return;
    }
    if (m->index == p->next - 1 || shrunk)
        raft_progress_probe(p, common_point(r, m) + 1);
}

static void accepted(struct raft *r, struct progress *p, const struct raft_msg *m, struct raft_effects *out)
{
    if (m->index > log_last(r)) {
        r->dropped++;
        return;
    }
    if (m->index < p->match)
        return;
    bool more = m->index > p->match;
    uint32_t under_way = p->flight_bytes;
    p->match = m->index;
    p->next = max_u64(p->next, p->match + 1);
    raft_progress_acked(p, m->index);
    if (p->state == SNAPSHOT && p->match + 1 >= raft_kept_first(r))
        raft_snapshot_done(r, p, out);
    if (more && p->climbing)
        raft_climb_moved(r, p, p->state == REPLICATE ? under_way - p->flight_bytes : r->c.append_bytes);
    if (p->state == PROBE) {
        p->state = REPLICATE;
        p->next = p->match + 1;
    }
}

void raft_on_append_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    struct progress *p = heard_from(r, m);
    if (p == NULL)
        return;
    if (m->flags & RAFT_MF_REJECT)
        refused(r, p, m);
    else
        accepted(r, p, m, out);
}

/*
 * A heartbeat's answer also says that the way is open: a probe may be tried
 * again, a full window lets one more through, and an empty request finds out
 * whether something that was sent on ahead got lost (scenario 18).
 */
void raft_on_heartbeat_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    struct progress *p = heard_from(r, m);
    if (p == NULL)
        return;
    p->read_ack = max_u64(p->read_ack, min_u64(m->read, r->read_position));
    if (p->state == SNAPSHOT) {
        raft_snapshot_resend(r, p, out);
        return;
    }
    bool less = m->flags & (RAFT_MF_REPAIR | RAFT_MF_MUTE);     /* it may hold less than it once said: look */
    if (p->state == PROBE)
        p->paused = false;
    else if (raft_kept_lost(r, p))
        raft_progress_probe(p, p->match + 1);
    else if (p->match < log_last(r) ? p->next > log_last(r) || p->flight_n > 0 : less)
        raft_replicate_empty(r, p, out);
}
