/*
 * kept.c - entries that left the window, for who is on the way up
 *
 * A snapshot takes as long as it takes, and the window lasts for seconds. So the
 * host keeps what comes behind the snapshot, outside of memory, and the leader
 * asks for it piece by piece (LOG_READ, LOG_BACK) until the peer has reached the
 * window. Memory stays what it was: a piece at a time for each peer.
 *
 * A peer must also gain on the log. While it is sent entries the leader takes
 * one byte for two that the peer took: so what it lacks shrinks, whatever the
 * load. That binds nobody for the sake of a peer that does not move.
 */
#include "raft_int.h"

#define LOST_ELECTIONS 4

uint64_t raft_kept_first(const struct raft *r)
{
    uint64_t first = log_first(r);
    return r->kept != 0 && r->kept < first && !RAFT_BROKEN(KEPT_FORGOTTEN) ? r->kept : first;
}

void raft_on_log_kept(struct raft *r, const struct raft_event *e)
{
    if (r->role != RAFT_LEADER)
        return;
    r->kept = e->index;
    r->kept_full = e->n != 0;
}

static bool since(const struct raft *r, struct mono_ms t, int64_t ms)
{
    return r->now.ms - t.ms >= ms;
}

void raft_kept_ask(struct raft *r, struct progress *p, struct raft_effects *out)
{
    if (p->reading && !since(r, p->read_at, LOST_ELECTIONS * (int64_t) r->c.election_ms))
        return;
    if (!p->climbing)
        raft_climb_begin(r, p);
    p->reading = true;
    p->read_at = r->now;
    struct raft_effect *f = raft_emit(out, RAFT_F_LOG_READ);
    f->peer = p->id;
    f->index = p->next;
}

/* An answer to an earlier question is of no use: the next one is asked at the end of this step. */
void raft_on_log_back(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_progress_of(r, e->peer) : NULL;
    if (p == NULL || !p->reading)
        return;
    p->reading = false;
    if (p->state == SNAPSHOT || e->index + 1 != p->next || (p->state == PROBE && p->paused))
        return;
    if (e->n == 0)
        raft_snapshot_want(r, p, out);
    else
        raft_replicate_kept(r, p, e, out);
}

bool raft_kept_lost(const struct raft *r, const struct progress *p)
{
    return p->state == REPLICATE && p->next < log_first(r) && p->flight_n > 0 &&
           since(r, p->moved, LOST_ELECTIONS * (int64_t) r->c.election_ms);
}

/* ---- on the way up ---- */

void raft_climb_begin(struct raft *r, struct progress *p)
{
    p->climbing = true;
    p->moved = r->now;
    r->credit = r->c.window_bytes / 2;
}

void raft_climb_moved(struct raft *r, struct progress *p, uint64_t bytes)
{
    uint64_t first = log_first(r), last = log_last(r);
    int64_t most = r->c.window_bytes / 2;
    p->moved = r->now;
    r->credit += (int64_t) bytes / 2;
    if (r->credit > most)
        r->credit = most;
    if (p->state != SNAPSHOT && p->match + 1 >= first && last - p->match <= (last + 1 - first) / 2)
        p->climbing = false;
}

/* Nothing is refused for somebody who is not there. */
static bool moves(const struct raft *r, const struct progress *p, int64_t ms)
{
    return p->id && p->climbing && !since(r, p->moved, ms) && !since(r, p->heard, (int64_t) r->c.election_ms);
}

bool raft_climb_busy(const struct raft *r)
{
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX; i++) {
        const struct progress *p = &r->peer[i];
        if (r->kept_full && moves(r, p, RAFT_CLIMB_BUSY_MS))
            return true;
        if (r->credit <= 0 && p->state != SNAPSHOT && moves(r, p, RAFT_CLIMB_PACE_MS))
            return true;
    }
    return false;
}

uint64_t raft_needed(const struct raft *r)
{
    uint64_t need = UINT64_MAX;
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX && r->role == RAFT_LEADER; i++) {
        const struct progress *p = &r->peer[i];
        if (p->id == 0 || !p->climbing || since(r, p->moved, RAFT_CLIMB_MS) || since(r, p->heard, RAFT_CLIMB_AWAY_MS))
            continue;
        if (p->state != SNAPSHOT)
            need = min_u64(need, p->match + 1);
        else if (p->snap.have)
            need = min_u64(need, p->snap.index + 1);
    }
    return need;
}
