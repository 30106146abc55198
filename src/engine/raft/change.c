/*
 * change.c - changes of members (4.3), and of the leader by its own wish (3.10)
 *
 * A change of voters goes through a joint configuration, which the leader ends
 * by itself when it is committed. A leader that is not among the new voters
 * leads until that is committed, then names a successor and falls silent.
 */
#include "raft_int.h"

void raft_leader_append(struct raft *r, uint8_t kind, struct slice data)
{
    struct raft_entry e = { .index = log_last(r) + 1, .term = r->term, .kind = kind, .data = data };
    raft_append_entry(r, &e);
    r->uncommitted_bytes += data.len;
}

static void append_conf(struct raft *r, const struct raft_conf *c)
{
    uint8_t bytes[RAFT_CONF_BYTES_MAX];
    struct wr w = wr_fixed(bytes, sizeof bytes);
    raft_conf_encode(c, &w);
    reeve_assert(!w.bad);
    raft_leader_append(r, RAFT_CONF, wr_slice(&w));
}

/* ---- what an operator asks for ---- */

static bool recently(const struct raft *r, struct mono_ms t) { return r->now.ms - t.ms <= (int64_t) r->c.election_ms; }

/* A learner becomes a voter when it is there and has caught up (scenario 29). */
static bool may_vote_now(struct raft *r, const struct raft_member *m)
{
    const struct raft_member *was = raft_conf_find(&r->conf, m->id);
    if (!(m->role & RAFT_VOTER) || m->id == r->c.id || (was && (was->role & RAFT_VOTER)))
        return true;
    const struct progress *p = raft_progress_of(r, m->id);
    return p && p->match > 0 && recently(r, p->heard) && p->match + r->c.promote_lag >= log_last(r) && !p->mute;
}

/* Would the new voters, as they are heard of now, be a quorum? */
static bool would_work(struct raft *r, const struct raft_conf *next)
{
    struct raft_conf c;
    uint64_t value[RAFT_MEMBERS_MAX];
    raft_conf_leave(&c, next);
    for (unsigned i = 0; i < c.n; i++) {
        const struct progress *p = raft_progress_of(r, c.m[i].id);
        value[i] = c.m[i].id == r->c.id || (p && recently(r, p->heard));
        if (!may_vote_now(r, &c.m[i]))
            return false;
    }
    return raft_conf_quorum(&c, value) >= 1;
}

static enum reeve_err check_change(struct raft *r, const struct raft_event *e, struct raft_conf *next)
{
    if (r->role != RAFT_LEADER)
        return REEVE_E_NOT_LEADER;
    bool early = !raft_committed_in_term(r) || r->conf_index > r->commit || r->conf.joint;
    if (r->transfer.to || (early && !RAFT_BROKEN(CHANGE_EARLY)))
        return REEVE_E_AGAIN;
    enum reeve_err err = raft_conf_change(next, &r->conf, e->change, e->n);
    if (err != REEVE_OK)
        return err;
    if (!would_work(r, next))
        return REEVE_E_UNAVAILABLE;
    return log_room(r, 1, RAFT_CONF_BYTES_MAX) ? REEVE_OK : REEVE_E_BUSY;
}

void raft_on_change(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    struct raft_conf next;
    out->verdict = check_change(r, e, &next);
    if (out->verdict != REEVE_OK)
        return;
    append_conf(r, &next);
    out->index = log_last(r);
    out->term = r->term;
}

/* ---- what follows by itself ---- */

/* Once, by whoever leads when the joint configuration is committed: after that the newest one is not joint. */
void raft_change_leave(struct raft *r)
{
    struct raft_conf next;
    if (!r->conf.joint || r->conf_index > r->commit || !raft_committed_in_term(r) || !log_room(r, 1, RAFT_CONF_BYTES_MAX))
        return;
    raft_conf_leave(&next, &r->conf);
    append_conf(r, &next);
}

void raft_change_retire(struct raft *r, struct raft_effects *out)
{
    if (r->conf_index > r->commit || r->conf.joint || raft_is_voter(&r->conf, r->c.id) || !raft_committed_in_term(r))
        return;
    uint32_t best = raft_transfer_best(r);
    if (best) {
        raft_heartbeat_all(r, out);          /* with the commit, so that the others know it too */
        raft_timeout_now(r, best, out);
    }
    raft_become_follower(r, r->term, 0);
}

/* ---- transfer ---- */

static bool can_take_over(struct raft *r, const struct raft_member *m)
{
    const struct progress *p = raft_progress_of(r, m->id);
    return p && (m->role & RAFT_VOTER) && recently(r, p->heard) && !p->mute;
}

/* The voter that holds most of the log; 0: nobody is there. */
uint32_t raft_transfer_best(struct raft *r)
{
    uint32_t best = 0;
    uint64_t most = 0;
    for (unsigned i = 0; i < r->conf.n; i++) {
        const struct raft_member *m = &r->conf.m[i];
        if (m->id == r->c.id || !can_take_over(r, m) || raft_progress_of(r, m->id)->match < most)
            continue;
        if (best == 0 || raft_progress_of(r, m->id)->match > most)
            best = m->id;
        most = raft_progress_of(r, m->id)->match;
    }
    return best;
}

void raft_transfer_begin(struct raft *r, uint32_t to, struct raft_effects *out)
{
    r->transfer.to = to;
    r->transfer.told = false;
    r->transfer.until = later(r->now, r->c.election_ms);
    raft_transfer_check(r, out);
}

void raft_on_transfer(struct raft *r, uint32_t to, struct raft_effects *out)
{
    if (r->role != RAFT_LEADER || r->transfer.to) {
        out->verdict = r->role != RAFT_LEADER ? REEVE_E_NOT_LEADER : REEVE_E_AGAIN;
        return;
    }
    if (to == 0)
        to = raft_transfer_best(r);
    const struct raft_member *m = raft_conf_find(&r->conf, to);
    if (to == r->c.id || m == NULL || !can_take_over(r, m)) {
        out->verdict = m == NULL || to == r->c.id ? REEVE_E_INVALID_VALUE : REEVE_E_UNAVAILABLE;
        return;
    }
    raft_transfer_begin(r, to, out);
}

void raft_timeout_now(struct raft *r, uint32_t to, struct raft_effects *out)
{
    (void) raft_emit_msg(r, out, RAFT_M_TIMEOUT_NOW, to, 0);
}

void raft_transfer_check(struct raft *r, struct raft_effects *out)
{
    const struct progress *p = raft_progress_of(r, r->transfer.to);
    if (!r->transfer.to || r->transfer.told)
        return;
    if (p == NULL) {
        r->transfer.to = 0;             /* it was removed meanwhile */
    } else if (p->match == log_last(r)) {
        r->transfer.told = true;
        raft_timeout_now(r, r->transfer.to, out);
    }
}
