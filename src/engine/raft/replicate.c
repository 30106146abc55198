/* replicate.c - what a leader sends: append requests within windows, heartbeats. */
#include "raft_int.h"

struct progress *raft_progress_of(struct raft *r, uint32_t id)
{
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX && id != 0; i++)
        if (r->peer[i].id == id)
            return &r->peer[i];
    return NULL;
}

static void flight_clear(struct progress *p)
{
    p->flight_n = 0;
    p->flight_bytes = 0;
}

void raft_progress_probe(struct progress *p, uint64_t next)
{
    p->state = PROBE;
    p->paused = false;
    p->next = max_u64(next, p->match + 1);
    flight_clear(p);
}

static void progress_add(struct raft *r, uint32_t id)
{
    struct progress *p = NULL;
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX && p == NULL; i++)
        if (r->peer[i].id == 0)
            p = &r->peer[i];
    reeve_assert(p);
    memset(p, 0, sizeof *p);
    p->id = id;
    p->heard = r->now;
    raft_progress_probe(p, log_last(r) + 1);
}

/* One for each other member of the configuration; anew: nothing known of any. */
void raft_progress_sync(struct raft *r, bool anew)
{
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX; i++)
        if (anew || !raft_conf_find(&r->conf, r->peer[i].id))
            r->peer[i].id = 0;
    for (unsigned i = 0; i < r->conf.n; i++)
        if (r->conf.m[i].id != r->c.id && raft_progress_of(r, r->conf.m[i].id) == NULL)
            progress_add(r, r->conf.m[i].id);
}

/* ---- windows ---- */

static bool flight_full(const struct raft *r, const struct progress *p)
{
    return p->flight_n >= min_u64(r->c.window_msgs, RAFT_INFLIGHT_MAX) || p->flight_bytes >= r->c.window_bytes;
}

static void flight_add(struct progress *p, uint64_t last, uint32_t bytes)
{
    p->flight[(p->flight_head + p->flight_n++) % RAFT_INFLIGHT_MAX] = (struct inflight){ last, bytes };
    p->flight_bytes += bytes;
}

void raft_progress_acked(struct progress *p, uint64_t index)
{
    while (p->flight_n > 0 && p->flight[p->flight_head].last <= index) {
        p->flight_bytes -= p->flight[p->flight_head].bytes;
        p->flight_head = (uint16_t) ((p->flight_head + 1) % RAFT_INFLIGHT_MAX);
        p->flight_n--;
    }
}

/* ---- append requests ---- */

static struct raft_msg *request(struct raft *r, struct progress *p, struct raft_effects *out)
{
    struct raft_msg *m = raft_emit_msg(r, out, RAFT_M_APPEND, p->id, 0);
    m->index = p->next - 1;
    m->log_term = log_term(r, p->next - 1);
    m->commit = r->commit;
    p->commit_told = r->commit;
    return m;
}

/* As many entries as fit into a request, at least one; their payload. */
static uint32_t take_entries(const struct raft *r, struct raft_msg *m)
{
    uint64_t last = log_last(r), bytes = 0;
    for (uint64_t i = m->index + 1; i <= last && m->n_entries < RAFT_MSG_ENTRIES_MAX; i++) {
        size_t len = log_entry(r, i).data.len;
        if (m->n_entries > 0 && bytes + len > r->c.append_bytes)
            break;
        bytes += len;
        m->n_entries++;
    }
    return (uint32_t) bytes;
}

static void send_one(struct raft *r, struct progress *p, struct raft_effects *out)
{
    struct raft_msg *m = request(r, p, out);
    uint32_t bytes = take_entries(r, m);
    if (p->state == PROBE) {
        p->paused = true;
        return;
    }
    p->next = m->index + m->n_entries + 1;
    flight_add(p, p->next - 1, bytes);
}

void raft_replicate_empty(struct raft *r, struct progress *p, struct raft_effects *out)
{
    if (p->next >= log_first(r))
        (void) request(r, p, out);
}

void raft_replicate_peer(struct raft *r, struct progress *p, struct raft_effects *out)
{
    while (p->state != SNAPSHOT && !raft_effects_tight(r, out)) {
        if (p->next < raft_kept_first(r)) {
            raft_snapshot_want(r, p, out);
            return;
        }
        if (p->state == PROBE ? p->paused : p->next > log_last(r) || flight_full(r, p))
            return;
        if (p->next < log_first(r)) {
            raft_kept_ask(r, p, out);
            return;
        }
        send_one(r, p, out);
    }
}

/* What the host read back, sent as if it came from the window. */
void raft_replicate_kept(struct raft *r, struct progress *p, const struct raft_event *e, struct raft_effects *out)
{
    struct raft_msg *m = raft_emit_msg(r, out, RAFT_M_APPEND, p->id, 0);
    m->index = e->index;
    m->log_term = e->term;
    m->commit = r->commit;
    m->n_entries = (uint32_t) e->n;
    m->data = e->data;
    if (p->state == PROBE) {
        p->paused = true;
        return;
    }
    if (p->flight_n == 0)
        p->moved = r->now;
    p->next = m->index + m->n_entries + 1;
    flight_add(p, p->next - 1, (uint32_t) e->data.len);
}

void raft_replicate_all(struct raft *r, struct raft_effects *out)
{
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX; i++)
        if (r->peer[i].id)
            raft_replicate_peer(r, &r->peer[i], out);
}

/* ---- heartbeats ---- */

void raft_heartbeat_peer(struct raft *r, struct progress *p, uint8_t flags, struct raft_effects *out)
{
    struct raft_msg *m = raft_emit_msg(r, out, RAFT_M_HEARTBEAT, p->id, 0);
    m->commit = RAFT_BROKEN(COMMIT_NOT_CLAMPED) ? r->commit : min_u64(r->commit, p->match);     /* R7 */
    m->read = r->read_position;
    m->flags = flags;
    p->commit_told = max_u64(p->commit_told, m->commit);
}

void raft_heartbeat_all(struct raft *r, struct raft_effects *out)
{
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX; i++)
        if (r->peer[i].id)
            raft_heartbeat_peer(r, &r->peer[i], 0, out);
    r->heartbeat_at = later(r->now, r->c.heartbeat_ms);
}

/* Time in which this leader stood still itself: nobody could have answered it. */
void raft_progress_excuse(struct raft *r, int64_t ms)
{
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX; i++)
        r->peer[i].heard.ms = r->peer[i].heard.ms + ms < r->now.ms ? r->peer[i].heard.ms + ms : r->now.ms;
}

/* CheckQuorum (6.2). */
static bool quorum_heard(const struct raft *r)
{
    uint64_t value[RAFT_MEMBERS_MAX] = { 0 };
    for (unsigned i = 0; i < r->conf.n; i++) {
        uint32_t id = r->conf.m[i].id;
        const struct progress *p = raft_progress_of((struct raft *) r, id);
        int64_t heard = id == r->c.id ? r->listened.ms : p ? p->heard.ms : INT64_MIN / 2;
        value[i] = r->listened.ms - heard <= RAFT_UNHEARD_ELECTIONS * (int64_t) r->c.election_ms;
    }
    return raft_conf_quorum(&r->conf, value) >= 1;
}

static bool others_vote(const struct raft *r)
{
    for (unsigned i = 0; i < r->conf.n; i++)
        if (r->conf.m[i].id != r->c.id && (r->conf.m[i].role & (RAFT_VOTER | RAFT_VOTER_OLD)))
            return true;
    return false;
}

/* The host wants no leader here, or the disk does not answer (research: hashicorp/raft#503); a ring of one has no choice. */
static bool unfit(const struct raft *r)
{
    bool stalled = raft_disk_slow(r, r->c.disk_ms) && !RAFT_BROKEN(DISK_STALL_LEADS);
    return (stalled || r->benched) && others_vote(r);
}

/* Hands over; when that fails, falls silent. */
static void check_fitness(struct raft *r, struct raft_effects *out)
{
    if (r->transfer.to || !unfit(r))
        return;
    uint32_t best = raft_transfer_best(r);
    if (best)
        raft_transfer_begin(r, best, out);
    else
        raft_become_follower(r, r->term, 0);
}

static void check_transfer(struct raft *r)
{
    if (!r->transfer.to || r->now.ms < r->transfer.until.ms)
        return;
    r->transfer.to = 0;
    if (unfit(r))
        raft_become_follower(r, r->term, 0);
}

void raft_leader_clock(struct raft *r, struct raft_effects *out)
{
    if (!quorum_heard(r)) {
        raft_become_follower(r, r->term, 0);
        return;
    }
    check_transfer(r);
    if (r->role == RAFT_LEADER)
        check_fitness(r, out);
    if (r->role == RAFT_LEADER && r->now.ms >= r->heartbeat_at.ms)
        raft_heartbeat_all(r, out);
}
