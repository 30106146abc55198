/* commit.c - what is committed, and what follows from it. */
#include "raft_int.h"

bool raft_committed_in_term(const struct raft *r)
{
    return r->role == RAFT_LEADER && r->commit >= r->term_start;
}

void raft_commit_to(struct raft *r, uint64_t index)
{
    uint64_t before = r->commit;
    if (index <= before)
        return;
    reeve_assert(index <= log_last(r));
    for (uint64_t i = before + 1; r->role == RAFT_LEADER && i <= index; i++)
        r->uncommitted_bytes -= min_u64(r->uncommitted_bytes, log_entry(r, i).data.len);
    r->commit = index;
    raft_conf_commit(r, before);
}

static uint64_t held_by(struct raft *r, const struct raft_member *m)
{
    if (m->id == r->c.id)
        return RAFT_BROKEN(LEADER_NOT_DURABLE) ? log_last(r) : r->durable;
    const struct progress *p = raft_progress_of(r, m->id);
    return p == NULL || (p->mute && !RAFT_BROKEN(MUTE_COUNTS)) ? 0 : p->match;
}

/* R4. A leader that is no voter of the configuration does not count, as it has no place in it. */
void raft_commit_count(struct raft *r)
{
    uint64_t value[RAFT_MEMBERS_MAX];
    struct raft_conf c;
    const struct raft_conf *conf = &r->conf;
    if (RAFT_BROKEN(REMOVED_COUNTS) && !raft_conf_find(conf, r->c.id) && conf->n < RAFT_MEMBERS_MAX) {
        c = *conf;
        c.m[c.n++] = (struct raft_member){ .id = r->c.id, .role = RAFT_VOTER };
        conf = &c;
    }
    for (unsigned i = 0; i < conf->n; i++)
        value[i] = held_by(r, &conf->m[i]);
    uint64_t held = min_u64(raft_conf_quorum(conf, value), log_last(r));
    if (held <= r->commit || !log_has_term(r, held))
        return;
    if (log_term(r, held) == r->term || RAFT_BROKEN(COMMIT_OLD_TERM))      /* figure 8 */
        raft_commit_to(r, held);
}

/* Followers who have nothing else to be sent learn at once that they may apply. */
static void spread(struct raft *r, struct raft_effects *out)
{
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX && !raft_effects_tight(r, out); i++) {
        struct progress *p = &r->peer[i];
        if (p->id && p->state == REPLICATE && p->commit_told < min_u64(r->commit, p->match))
            raft_heartbeat_peer(r, p, RAFT_MF_NOTE, out);
    }
}

void raft_commit_tell(struct raft *r, struct raft_effects *out)
{
    if (r->role == RAFT_LEADER)
        spread(r, out);
    if (r->commit == r->told_commit)
        return;
    r->told_commit = r->commit;
    struct raft_effect *f = raft_emit(out, RAFT_F_COMMIT);
    f->index = r->commit;
    f->term = log_has_term(r, r->commit) ? log_term(r, r->commit) : 0;
}
