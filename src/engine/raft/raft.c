/* raft.c - the engine's door: one event in, effects out; the invariants on the way out. */
#include "raft_int.h"

#ifdef REEVE_BROKEN
unsigned raft_broken;
#endif

size_t raft_size(void)
{
    return sizeof(struct raft);
}

void raft_config_default(struct raft_config *c)
{
    *c = (struct raft_config){ .heartbeat_ms = 30, .election_ms = 150, .disk_ms = 1000, .append_bytes = 1u << 20,
                               .window_msgs = 64, .window_bytes = 8u << 20, .uncommitted_bytes = 32u << 20,
                               .chunk_bytes = 1u << 20, .promote_lag = 4096 };
}

static bool config_sane(const struct raft_config *c)
{
    return c->id > 0 && c->incarnation != 0 && c->heartbeat_ms > 0 && c->election_ms >= 2 * c->heartbeat_ms && c->append_bytes > 0 &&
           c->window_msgs > 0 && c->window_bytes > 0 && c->uncommitted_bytes > 0 && c->chunk_bytes > 0 &&
           c->chunk_bytes <= RAFT_CHUNK_MAX;
}

/* A gap is found out, not stepped over (scenario 41); a log that ends before the state begins anew after it (20). */
static enum reeve_err join_base(struct raft *r, const struct raft_start *s)
{
    if (log_first(r) > s->base_index + 1)
        return REEVE_E_CORRUPT;
    if (log_last(r) < s->base_index || log_term(r, s->base_index) != s->base_term)
        raft_append_reset(r, s->base_index, s->base_term);
    return REEVE_OK;
}

enum reeve_err raft_init(struct raft **out, void *mem, size_t len, const struct raft_config *c, const struct raft_log *log,
                         const struct raft_start *s)
{
    struct raft *r = mem;
    if (len < sizeof *r || !config_sane(c) || s->mode < RAFT_START_CLEAN || s->mode > RAFT_START_MUTE ||
        (s->base_index == 0) != (s->base_term == 0))
        return REEVE_E_INVALID_VALUE;
    memset(r, 0, sizeof *r);
    r->c = *c;
    r->log = *log;
    r->rng = c->seed ? c->seed : 1;
    r->term = r->start_term = max_u64(s->term, s->base_term);
    r->vote = s->term == r->term ? s->vote : 0;
    r->mode = s->mode;
    r->shadow_index = s->last_index;
    r->shadow_term = s->last_term;
    r->role = RAFT_FOLLOWER;
    enum reeve_err err = join_base(r, s);
    if (err != REEVE_OK)
        return err;
    r->own = s->mode == RAFT_START_REPAIR;
    r->durable = log_last(r);
    r->commit = max_u64(s->base_index, min_u64(s->commit, log_last(r)));
    r->told_commit = s->base_index;
    err = raft_confs_init(r, s->conf, s->base_index);
    if (err == REEVE_OK)
        *out = r;
    return err;
}

/* ---- messages ---- */

static bool addressed(const struct raft *r, const struct raft_msg *m)
{
    const struct raft_member *from = raft_conf_find(&r->conf, m->from);
    if (m->to != r->c.id || m->ring != r->c.ring || m->from == r->c.id || m->from == 0)
        return false;
    if (RAFT_BROKEN(WIPED_VOTES))
        return true;
    return m->to_incarnation == r->c.incarnation && (from == NULL || from->incarnation == m->from_incarnation);     /* R9 */
}

static bool from_leader(const struct raft_msg *m)
{
    return m->type == RAFT_M_APPEND || m->type == RAFT_M_HEARTBEAT || m->type == RAFT_M_SNAPSHOT;
}

/* A leader of the past learns that there is a newer term; it would never answer a vote while it believes in itself. */
static void enlighten(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    if (!from_leader(m))
        return;
    struct raft_msg *a = raft_emit_msg(r, out, RAFT_M_APPEND_REPLY, m->from, 0);
    a->flags = (uint8_t) (RAFT_MF_REJECT | raft_repair_flags(r));
}

static void on_timeout_now(struct raft *r, struct raft_effects *out)
{
    if (r->role == RAFT_FOLLOWER && raft_may_campaign(r))
        raft_campaign(r, true, out);
}

static void dispatch_message(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    if (from_leader(m) && r->role == RAFT_LEADER) {
        r->dropped++;                   /* two leaders in a term: not by this protocol */
        return;
    }
    switch (m->type) {
    case RAFT_M_PREVOTE_REPLY:
    case RAFT_M_VOTE_REPLY:      raft_on_vote_reply(r, m, out); break;
    case RAFT_M_APPEND:          raft_on_append(r, m, out); break;
    case RAFT_M_APPEND_REPLY:    raft_on_append_reply(r, m, out); break;
    case RAFT_M_HEARTBEAT:       raft_on_heartbeat(r, m, out); break;
    case RAFT_M_HEARTBEAT_REPLY: raft_on_heartbeat_reply(r, m, out); break;
    case RAFT_M_SNAPSHOT:        raft_on_snapshot(r, m, out); break;
    case RAFT_M_SNAPSHOT_REPLY:  raft_on_snapshot_reply(r, m, out); break;
    case RAFT_M_TIMEOUT_NOW:     on_timeout_now(r, out); break;
    case RAFT_M_READ:            raft_on_read_request(r, m, out); break;
    case RAFT_M_READ_REPLY:      raft_on_read_reply(r, m, out); break;
    default:                     r->dropped++; break;
    }
}

/* Whether a pre-vote was granted is said in a term that nobody lives in yet. */
static bool hypothetical(const struct raft_msg *m)
{
    return m->type == RAFT_M_PREVOTE_REPLY && !(m->flags & RAFT_MF_REJECT);
}

static void on_message(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    if (!addressed(r, m)) {
        r->dropped++;
        return;
    }
    r->caller.id = m->from;
    r->caller.incarnation = m->from_incarnation;
    if (m->type == RAFT_M_HOST) {
        raft_emit(out, RAFT_F_HOST)->msg = *m;
        return;
    }
    raft_repair_heard(r, m);
    if (m->type == RAFT_M_VOTE || m->type == RAFT_M_PREVOTE) {
        raft_on_vote_request(r, m, out);
        return;
    }
    if (m->term < r->term) {
        enlighten(r, m, out);
        return;
    }
    if (m->term > r->term && !hypothetical(m))
        raft_become_follower(r, m->term, from_leader(m) ? m->from : 0);
    dispatch_message(r, m, out);
}

/* ---- other events ---- */

/* A ring of one waits for no timeout; for its own vote on disk it does (election.c), as everybody. */
static void on_start(struct raft *r, struct raft_effects *out)
{
    r->started = true;
    raft_election_rearm(r);
    if (r->conf.n == 1 && raft_is_voter(&r->conf, r->c.id) && raft_may_campaign(r))
        raft_campaign(r, false, out);
}

static void on_propose(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    bool full = r->uncommitted_bytes > 0 && r->uncommitted_bytes + e->data.len > r->c.uncommitted_bytes;
    if (r->role != RAFT_LEADER)
        out->verdict = REEVE_E_NOT_LEADER;
    else if (r->transfer.to)
        out->verdict = REEVE_E_AGAIN;
    else if (e->data.len > RAFT_ENTRY_MAX || e->kind < RAFT_HOST)
        out->verdict = REEVE_E_TOO_BIG;
    else if (full || raft_climb_busy(r) || !log_room(r, 1, e->data.len))
        out->verdict = REEVE_E_BUSY;
    if (out->verdict != REEVE_OK)
        return;
    raft_leader_append(r, e->kind, e->data);
    r->credit -= (int64_t) e->data.len;
    out->index = log_last(r);
    out->term = r->term;
}

static void on_reachable(struct raft *r, uint32_t peer, bool yes)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_progress_of(r, peer) : NULL;
    if (!yes && peer == r->leader)
        raft_election_leader_lost(r);
    if (p == NULL || p->state == SNAPSHOT)
        return;
    if (!yes && p->state == REPLICATE)
        raft_progress_probe(p, p->match + 1);
    if (yes)
        p->paused = false;
}

static void on_send(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    raft_emit_msg(r, out, RAFT_M_HOST, e->peer, 0)->data = e->data;
}

static void on_clock(struct raft *r, struct raft_effects *out)
{
    raft_repair_clock(r, out);
    if (r->role == RAFT_LEADER)
        raft_leader_clock(r, out);
    else
        raft_election_clock(r, out);
}

static void on_appended(struct raft *r, uint64_t seq, struct raft_effects *out)
{
    raft_append_done(r, seq);
    raft_election_vote_durable(r, out);
}

static void dispatch(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    switch (e->type) {
    case RAFT_E_START:          on_start(r, out); break;
    case RAFT_E_CLOCK:          raft_election_listened(r, e->now); break;
    case RAFT_E_MESSAGE:        on_message(r, e->msg, out); break;
    case RAFT_E_APPENDED:       on_appended(r, e->seq, out); break;
    case RAFT_E_PROPOSE:        on_propose(r, e, out); break;
    case RAFT_E_CHANGE:         raft_on_change(r, e, out); break;
    case RAFT_E_TRANSFER:       raft_on_transfer(r, e->peer, out); break;
    case RAFT_E_READ:           raft_on_read(r, e->id, out); break;
    case RAFT_E_UNREACHABLE:    on_reachable(r, e->peer, false); break;
    case RAFT_E_REACHABLE:      on_reachable(r, e->peer, true); break;
    case RAFT_E_SNAP_READY:     raft_on_snap_ready(r, e, out); break;
    case RAFT_E_SNAP_GONE:      raft_on_snap_gone(r, e->peer, out); break;
    case RAFT_E_SNAP_STORED:    raft_on_snap_stored(r, e, out); break;
    case RAFT_E_SNAP_INSTALLED: raft_on_snap_installed(r, e, out); break;
    case RAFT_E_SNAP_FAILED:    raft_on_snap_failed(r, e, out); break;
    case RAFT_E_SEND:           on_send(r, e, out); break;
    case RAFT_E_LOG_KEPT:       raft_on_log_kept(r, e); break;
    case RAFT_E_LOG_BACK:       raft_on_log_back(r, e, out); break;
    case RAFT_E_BENCH:          r->benched = e->n != 0; break;
    case RAFT_E_FILL:           raft_on_fill(r, e, out); break;
    default:                    break;
    }
}

/* What follows from the new state, whatever the event was. */
static void settle(struct raft *r, struct raft_effects *out)
{
    if (r->role == RAFT_LEADER) {
        raft_commit_count(r);
        raft_change_leave(r);
        raft_change_retire(r, out);
    }
    if (r->role == RAFT_LEADER) {
        raft_replicate_all(r, out);
        raft_transfer_check(r, out);
        raft_reads_confirm(r, out);
    }
    raft_reads_flush(r, out);
    raft_repair_check(r, out);
    raft_append_flush(r, out);
    raft_commit_tell(r, out);
    raft_role_tell(r, out);
}

void raft_step(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    out->n = 0;
    out->verdict = REEVE_OK;
    out->index = out->term = 0;
    r->more = false;
    if (e->now.ms > r->now.ms)
        r->now = e->now;
    if (!r->started && e->type != RAFT_E_START)
        return;
    dispatch(r, e, out);
    on_clock(r, out);
    settle(r, out);
    raft_check(r);
}

struct mono_ms raft_wake(const struct raft *r)
{
    int64_t at = INT64_MAX;
    if (r->more)
        return r->now;
    if (!r->started)
        return (struct mono_ms){ at };
    if (r->role == RAFT_LEADER || r->mode == RAFT_START_MUTE)
        at = r->conf.n > 1 ? r->heartbeat_at.ms : INT64_MAX;
    /* Reads put heartbeats off: whether a quorum answers is looked at all the same. */
    if (r->role == RAFT_LEADER && r->conf.n > 1 && r->listened.ms + r->c.heartbeat_ms < at)
        at = r->listened.ms + r->c.heartbeat_ms;
    if (r->role == RAFT_LEADER && r->transfer.to && r->transfer.until.ms < at)
        at = r->transfer.until.ms;
    if (r->role != RAFT_LEADER && raft_election_wake(r).ms < at)
        at = raft_election_wake(r).ms;
    return (struct mono_ms){ at };
}

/* ---- looking in ---- */

const struct raft_conf *raft_conf(const struct raft *r) { return &r->conf; }
const struct raft_conf *raft_conf_committed(const struct raft *r) { return &r->committed_conf; }

void raft_status(const struct raft *r, struct raft_status *out)
{
    *out = (struct raft_status){ .role = r->role, .mode = r->mode, .leader = r->leader, .vote = r->vote, .term = r->term,
        .commit = r->commit, .last = log_last(r), .last_term = log_last_term(r), .durable = r->durable,
        .conf_index = r->conf_index, .committed_in_term = raft_committed_in_term(r), .transferring = r->transfer.to != 0,
        .disk_slow = raft_disk_slow(r, r->c.disk_ms), .benched = r->benched, .led = raft_led(r), .uncommitted_bytes = r->uncommitted_bytes, .dropped = r->dropped };
}

bool raft_peer_status(const struct raft *r, uint32_t id, struct raft_peer_status *out)
{
    const struct progress *p = r->role == RAFT_LEADER ? raft_progress_of((struct raft *) r, id) : NULL;
    if (p == NULL)
        return false;
    *out = (struct raft_peer_status){ .match = p->match, .next = p->next, .snap_offset = p->snap.have ? p->snap.offset : 0,
                                      .state = p->state, .heard = p->heard, .mute = p->mute };
    return true;
}

void raft_check(const struct raft *r)
{
    reeve_assert(r->durable <= log_last(r));                                                    /* R3 */
    reeve_assert(r->commit <= log_last(r) && r->commit + 1 >= log_first(r));                    /* R2, D7 */
    reeve_assert(r->told_commit <= r->commit);
    reeve_assert(r->role != RAFT_LEADER || (r->vote == r->c.id && r->leader == r->c.id));       /* R1 */
    reeve_assert(r->role != RAFT_LEADER || r->mode == RAFT_START_CLEAN || RAFT_BROKEN(REPAIR_LEADS));   /* R10 */
    reeve_assert(r->conf_index <= log_last(r) || RAFT_BROKEN(CONF_KEPT_AT_TRUNCATION) || RAFT_BROKEN(CONF_KEPT_AT_SNAPSHOT));
    reeve_assert(r->committed_conf_index <= r->commit && r->committed_conf_index <= r->conf_index);     /* R5 */
    reeve_assert(r->pending_n <= RAFT_APPENDS_MAX && r->read_n <= RAFT_READS_MAX);              /* R8 */
    reeve_assert(!r->ap_dirty && !r->hard_dirty);
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX && r->role == RAFT_LEADER; i++)
        reeve_assert(r->peer[i].id == 0 || (r->peer[i].match < r->peer[i].next && r->peer[i].match <= log_last(r) &&
                                            r->peer[i].flight_n <= RAFT_INFLIGHT_MAX));
}
