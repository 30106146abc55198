/* role.c - what each change of role sets, and telling of it. */
#include "raft_int.h"

bool raft_is_voter(const struct raft_conf *c, uint32_t id)
{
    const struct raft_member *m = raft_conf_find(c, id);
    return m && (m->role & (RAFT_VOTER | RAFT_VOTER_OLD));
}

/* Within a term the vote is kept, whatever happens to the role (scenario 2). */
void raft_become_follower(struct raft *r, uint64_t term, uint32_t leader)
{
    if (term > r->term)
        raft_hard_set(r, term, 0);
    if (r->role == RAFT_LEADER) {
        raft_reads_drop(r);
        r->transfer.to = 0;
    }
    if (leader && leader != r->leader)
        r->leader_heard = r->now;
    if (r->role != RAFT_FOLLOWER || leader != r->leader)
        raft_election_rearm(r);
    if (leader != r->leader)
        r->leader_lost = false;
    r->role = RAFT_FOLLOWER;
    r->leader = leader;
}

static uint64_t tail_bytes(const struct raft *r)
{
    uint64_t sum = 0;
    for (uint64_t i = max_u64(r->commit + 1, log_first(r)); i <= log_last(r); i++)
        sum += log_entry(r, i).data.len;
    return sum;
}

void raft_become_leader(struct raft *r)
{
    reeve_assert(r->vote == r->c.id);                           /* R1 */
    r->role = RAFT_LEADER;
    r->leader = r->c.id;
    r->in.have = false;
    r->transfer.to = 0;
    r->read_position = 0;
    r->kept = 0;
    r->kept_full = false;
    r->uncommitted_bytes = tail_bytes(r);
    r->term_start = log_last(r) + 1;
    raft_progress_sync(r, true);
    raft_leader_append(r, RAFT_EMPTY, slice_of(NULL, 0));
    r->heartbeat_at = later(r->now, r->c.heartbeat_ms);      /* the first append requests say the same sooner */
}

void raft_role_tell(struct raft *r, struct raft_effects *out)
{
    if (r->role != r->told_role || r->leader != r->told_leader || r->term != r->told_term) {
        struct raft_effect *f = raft_emit(out, RAFT_F_ROLE);
        f->role = r->role;
        f->leader = r->leader;
        f->term = r->term;
        r->told_role = r->role;
        r->told_leader = r->leader;
        r->told_term = r->term;
    }
    if (!r->conf_told) {
        raft_emit(out, RAFT_F_CONF)->index = r->conf_index;
        r->conf_told = true;
    }
}
