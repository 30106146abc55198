/*
 * election.c - who becomes leader
 *
 * A follower that misses its leader asks first whether it would be elected
 * (pre-vote, dissertation 9.6), so that one who is cut off does not raise the
 * term. Who has heard a leader within the shortest timeout grants nothing
 * (4.2.3), unless the leader himself wanted the election (3.10). Together with
 * the leader's check for a quorum neither half of a bad network disturbs the other.
 *
 * Silence is counted up to the last CLOCK only (D5): who was away itself has not read yet what says that nobody is missing.
 */
#include "raft_int.h"

static uint64_t random_next(struct raft *r)
{
    r->rng ^= r->rng >> 12;
    r->rng ^= r->rng << 25;
    r->rng ^= r->rng >> 27;
    return r->rng * 0x2545f4914f6cdd1dULL;
}

void raft_election_rearm(struct raft *r)
{
    r->election_at = later(r->now, r->c.election_ms + (uint32_t) (random_next(r) >> 33) % r->c.election_ms);
    r->excused = false;
}

/* Follower: its own timeout; and the end of the lease on the leader, so that it can be asked for its vote from then on. */
struct mono_ms raft_election_wake(const struct raft *r)
{
    struct mono_ms lease = later(r->leader_heard, r->c.election_ms);
    bool protects = r->leader != 0 && !r->leader_lost && r->listened.ms < lease.ms;
    return protects && lease.ms < r->election_at.ms ? lease : r->election_at;
}

static void excuse_leader(struct raft *r)
{
    struct mono_ms at = later(r->now, r->c.heartbeat_ms + (uint32_t) (random_next(r) >> 33) % r->c.heartbeat_ms);
    if (r->leader == 0 || r->leader_lost || r->excused)
        return;
    r->excused = true;
    if (at.ms > r->election_at.ms)
        r->election_at = at;
}

/*
 * A clock that comes later than it was due says that this member stood still, and perhaps the whole machine with the leader on
 * it: then nothing waits to be read, and still nobody is missing. So a follower gives the leader a heartbeat's time more,
 * once in a silence, and a leader does not count the time against its followers. Where the connection broke there is no doubt.
 */
void raft_election_listened(struct raft *r, struct mono_ms upto)
{
    struct mono_ms due = r->role == RAFT_LEADER ? later(r->listened, r->c.heartbeat_ms) : raft_election_wake(r);
    int64_t late = upto.ms - due.ms - r->c.heartbeat_ms;
    if (upto.ms > r->listened.ms)
        r->listened = upto;
    if (late > 0 && r->role == RAFT_LEADER)
        raft_progress_excuse(r, late);
    else if (late > 0)
        excuse_leader(r);
}

/* How many voters stand before this one when the leader is gone, by id. */
static uint32_t rank(const struct raft *r)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < r->conf.n && r->conf.m[i].id < r->c.id; i++)
        n += (r->conf.m[i].role & (RAFT_VOTER | RAFT_VOTER_OLD)) && r->conf.m[i].id != r->leader;
    return n;
}

/*
 * The kernel says at once when the leader's process has died; a timeout says it later. No lease is owed to one who is not
 * heard over a broken connection, and a pre-vote is due: soon, since a false alarm costs nothing (the others
 * hear the leader, and so does this one when the connection is back), after a moment in which the others notice as well,
 * and one after the other, because candidates of one moment split the votes. A few times only within an election
 * timeout (a message of the dead one may still be read after a write to it failed): who hears a leader that it cannot reach
 * would stand and fall with every heartbeat.
 */
#define LOST_MAX 3
void raft_election_leader_lost(struct raft *r)
{
    struct mono_ms at = later(r->now, r->c.heartbeat_ms / 4 + rank(r) * (r->c.heartbeat_ms + r->c.heartbeat_ms / 2));
    if (r->role != RAFT_FOLLOWER || r->leader == 0 || r->leader_lost)
        return;
    if (r->now.ms - r->lost_at.ms >= (int64_t) r->c.election_ms) {
        r->lost_at = r->now;
        r->lost_n = 0;
    }
    if (++r->lost_n > LOST_MAX) {
        r->lost_n = LOST_MAX;
        return;
    }
    r->leader_lost = true;
    if (at.ms < r->election_at.ms)
        r->election_at = at;
}

/*
 * Also one who is a voter only in the committed configuration: it may be the
 * only one with the newest log, and then nobody else could be elected (scenario 30).
 */
bool raft_may_campaign(const struct raft *r)
{
    bool whole = r->mode == RAFT_START_CLEAN || (RAFT_BROKEN(REPAIR_LEADS) && r->mode == RAFT_START_REPAIR);
    return whole && !r->in.asked && !r->benched && (raft_is_voter(&r->conf, r->c.id) || raft_is_voter(&r->committed_conf, r->c.id)) &&
           !raft_disk_slow(r, r->c.disk_ms) && log_room(r, 1, 0);
}

/* ---- asking ---- */

static void set_vote(struct raft *r, uint32_t id, uint8_t how)
{
    const struct raft_member *m = raft_conf_find(&r->conf, id);
    if (m && r->votes[m - r->conf.m] == 0)      /* once each: scenario 4 */
        r->votes[m - r->conf.m] = how;
}

static bool majority_says(const struct raft *r, uint8_t how, bool not)
{
    uint64_t value[RAFT_MEMBERS_MAX];
    for (unsigned i = 0; i < r->conf.n; i++)
        value[i] = (r->votes[i] == how) != not;
    return raft_conf_quorum(&r->conf, value) == 1;
}

static void tally(struct raft *r, struct raft_effects *out)
{
    if (majority_says(r, 1, false)) {
        if (r->role == RAFT_PRECANDIDATE)
            raft_campaign(r, false, out);
        else
            raft_become_leader(r);
    } else if (!majority_says(r, 2, true)) {
        raft_become_follower(r, r->term, 0);
    }
}

static void ask_all(struct raft *r, enum raft_msg_type type, uint64_t term, uint8_t flags, struct raft_effects *out)
{
    memset(r->votes, 0, sizeof r->votes);
    for (unsigned i = 0; i < r->conf.n; i++) {
        const struct raft_member *m = &r->conf.m[i];
        if (m->id == r->c.id || !(m->role & (RAFT_VOTER | RAFT_VOTER_OLD)))
            continue;
        struct raft_msg *q = raft_emit_msg(r, out, type, m->id, 0);
        q->term = term;
        q->flags = flags;
        q->index = log_last(r);
        q->log_term = log_last_term(r);
    }
}

void raft_campaign_prevote(struct raft *r, struct raft_effects *out)
{
    r->role = RAFT_PRECANDIDATE;
    r->leader = 0;
    /* Asking disturbs nobody, and who still protected the leader a moment ago does not answer: again sooner than a candidate. */
    r->election_at = later(r->now, 2 * r->c.heartbeat_ms + (uint32_t) (random_next(r) >> 33) % r->c.heartbeat_ms);
    ask_all(r, RAFT_M_PREVOTE, r->term + 1, 0, out);
    set_vote(r, r->c.id, 1);
    tally(r, out);
}

void raft_campaign(struct raft *r, bool transfer, struct raft_effects *out)
{
    raft_hard_set(r, r->term + 1, r->c.id);
    r->role = RAFT_CANDIDATE;
    r->leader = 0;
    raft_election_rearm(r);
    ask_all(r, RAFT_M_VOTE, r->term, transfer ? RAFT_MF_TRANSFER : 0, out);
}

/* The own vote counts when a crash could not take it back (R1). */
void raft_election_vote_durable(struct raft *r, struct raft_effects *out)
{
    if (r->role != RAFT_CANDIDATE || r->hard_dirty || r->hard_seq > r->done_seq)
        return;
    set_vote(r, r->c.id, 1);
    tally(r, out);
}

/* A candidacy does not outlive its timeout: again from the start, or not at all. */
void raft_election_clock(struct raft *r, struct raft_effects *out)
{
    if (r->role == RAFT_LEADER || r->listened.ms < r->election_at.ms)
        return;
    if (raft_may_campaign(r)) {
        raft_campaign_prevote(r, out);
        return;
    }
    raft_become_follower(r, r->term, r->role == RAFT_FOLLOWER ? r->leader : 0);
    raft_election_rearm(r);
}

void raft_on_vote_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    bool pre = m->type == RAFT_M_PREVOTE_REPLY, refused = m->flags & RAFT_MF_REJECT;
    if (m->flags & RAFT_MF_MUTE)
        return;
    if (r->role != (pre ? RAFT_PRECANDIDATE : RAFT_CANDIDATE) || m->term != r->term + (pre && !refused))
        return;
    set_vote(r, m->from, refused ? 2 : 1);
    tally(r, out);
}

/* ---- being asked ---- */

/* The log's last term is compared first, then its length (5.4.1). */
static bool up_to_date(const struct raft *r, const struct raft_msg *m)
{
    uint64_t index, term;
    raft_vote_position(r, &index, &term);
    if (RAFT_BROKEN(VOTE_BY_LENGTH))
        return m->index >= index;
    return m->log_term > term || (m->log_term == term && m->index >= index);
}

bool raft_led(const struct raft *r)
{
    if (r->role == RAFT_LEADER)
        return true;
    return r->leader != 0 && !r->leader_lost && r->listened.ms - r->leader_heard.ms < (int64_t) r->c.election_ms;
}

static void answer(struct raft *r, const struct raft_msg *m, bool yes, uint64_t term, uint64_t after, struct raft_effects *out)
{
    enum raft_msg_type type = m->type == RAFT_M_PREVOTE ? RAFT_M_PREVOTE_REPLY : RAFT_M_VOTE_REPLY;
    struct raft_msg *a = raft_emit_msg(r, out, type, m->from, after);
    a->term = term;
    a->flags = (uint8_t) ((yes ? 0 : RAFT_MF_REJECT) | raft_repair_flags(r));
}

static void prevote(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    bool yes = m->term > r->term && r->mode != RAFT_START_MUTE && up_to_date(r, m);
    answer(r, m, yes, yes ? m->term : r->term, 0, out);
}

/* A learner votes too when it is asked: the asker may know a newer configuration (scenario 8). */
static void vote(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    bool free = r->vote == m->from || (r->vote == 0 && r->leader == 0) || RAFT_BROKEN(VOTE_TWICE);
    bool counts = r->mode != RAFT_START_MUTE || RAFT_BROKEN(MUTE_COUNTS);
    if (!free || !counts || !up_to_date(r, m)) {
        answer(r, m, false, r->term, 0, out);
        return;
    }
    raft_hard_set(r, r->term, m->from);
    raft_election_rearm(r);
    answer(r, m, true, r->term, raft_append_after_hard(r), out);
}

void raft_on_vote_request(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    bool pre = m->type == RAFT_M_PREVOTE;
    if (m->term < r->term || (pre && m->term == r->term)) {
        answer(r, m, false, r->term, 0, out);
        return;
    }
    if (m->term > r->term && raft_led(r) && !(m->flags & RAFT_MF_TRANSFER)) {
        r->dropped++;
        return;
    }
    if (pre) {
        prevote(r, m, out);
        return;
    }
    if (m->term > r->term)
        raft_become_follower(r, m->term, 0);
    vote(r, m, out);
}
