/* follow.c - what a follower does with append requests and heartbeats (5.3). */
#include "raft_int.h"

void raft_follow_heard(struct raft *r, uint32_t leader)
{
    if (r->role != RAFT_FOLLOWER || r->leader != leader)
        raft_become_follower(r, r->term, leader);
    r->leader_heard = r->now;
    r->leader_lost = false;
    r->lord.id = leader;
    r->lord.incarnation = r->caller.incarnation;
    raft_election_rearm(r);
}

static void accept(struct raft *r, uint32_t to, uint64_t index, struct raft_effects *out)
{
    struct raft_msg *a = raft_emit_msg(r, out, RAFT_M_APPEND_REPLY, to, raft_append_after_index(r, index));
    a->index = index;
    a->flags = raft_repair_flags(r);
}

/* What is committed here the leader has too: no use to look further back. */
static void refuse(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    uint64_t hint = raft_log_back_to_term(r, min_u64(m->index, log_last(r)), m->log_term, r->commit);
    struct raft_msg *a = raft_emit_msg(r, out, RAFT_M_APPEND_REPLY, m->from, 0);
    a->flags = (uint8_t) (RAFT_MF_REJECT | raft_repair_flags(r));
    a->index = m->index;
    a->hint = hint;
    a->log_term = log_has_term(r, hint) ? log_term(r, hint) : 0;
}

/* What no leader would send is dropped whole: terms that go back, beyond his own, a configuration that is none. */
static bool entries_sane(const struct raft_msg *m)
{
    struct rd in = rd_of(m->data);
    struct raft_entry e;
    uint64_t term = m->log_term;
    while (raft_msg_entry(&in, &e)) {
        struct raft_conf c;
        if (e.term < term || e.term > m->term || (e.kind == RAFT_CONF && raft_conf_decode(&c, e.data) != REEVE_OK))
            return false;
        term = e.term;
    }
    return true;
}

/*
 * Adds what is missing. An entry held already is passed over, so a request
 * that comes late takes nothing away (scenario 13); the first that differs cuts
 * the log there (14). False: it contradicts what is committed.
 */
static bool take(struct raft *r, const struct raft_msg *m, uint64_t *upto, struct raft_effects *out)
{
    struct rd in = rd_of(m->data);
    struct raft_entry e;
    *upto = m->index;
    while (raft_msg_entry(&in, &e)) {
        e.index = *upto + 1;
        bool held = e.index <= log_last(r);
        bool same = held && (!log_has_term(r, e.index) || log_term(r, e.index) == e.term);
        if (held && !same && e.index <= r->commit)
            return false;
        if (held && !same)
            raft_append_truncate(r, e.index, out);
        if (!same && !log_room(r, 1, e.data.len)) {
            r->dropped++;
            return true;
        }
        if (!same) {
            r->own = false;
            raft_append_entry(r, &e);
        }
        *upto = e.index;
    }
    if (RAFT_BROKEN(TRUNCATE_ALWAYS) && *upto < log_last(r) && *upto >= r->commit && !r->ap_dirty)
        raft_append_truncate(r, *upto + 1, out);
    return true;
}

void raft_on_append(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    uint64_t upto;
    raft_follow_heard(r, m->from);
    if (r->in.asked || !entries_sane(m)) {
        r->dropped++;
        return;
    }
    bool known = m->index <= log_last(r) && log_has_term(r, m->index);
    if (m->index >= r->commit && (!known || log_term(r, m->index) != m->log_term)) {
        refuse(r, m, out);
        return;
    }
    if (!take(r, m, &upto, out)) {
        r->dropped++;
        return;
    }
    raft_commit_to(r, min_u64(m->commit, upto));
    accept(r, m->from, max_u64(upto, r->commit), out);
}

void raft_on_heartbeat(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    raft_follow_heard(r, m->from);
    if (!r->in.asked)
        raft_commit_to(r, min_u64(m->commit, log_last(r)));
    if (m->flags & RAFT_MF_NOTE)
        return;
    struct raft_msg *a = raft_emit_msg(r, out, RAFT_M_HEARTBEAT_REPLY, m->from, 0);
    a->read = m->read;
    a->flags = raft_repair_flags(r);
}
