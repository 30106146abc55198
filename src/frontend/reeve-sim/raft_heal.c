/* raft_heal.c - without faults a ring must be whole again: one leader, one configuration, one state, a write and a read. */
#include "raft_int.h"

#define U(x) ((unsigned long long) (x))

static bool member_whole(struct rig *r, const struct raft_member *m, const struct node *leader, char *why, size_t len)
{
    struct node *n = node_of(r, m->id);
    struct member_status s, ls;
    if (n == NULL || !node_up(n) || n->incarnation != m->incarnation) {
        snprintf(why, len, "member %u does not run", m->id);
        return false;
    }
    member_status(n->m, &s);
    member_status(leader->m, &ls);
    if (s.raft.mode != RAFT_START_CLEAN || s.quarantined) {
        snprintf(why, len, "member %u (n%d) is in mode %u", m->id, n->slot, s.raft.mode);
        return false;
    }
    if (s.raft.term != ls.raft.term || s.raft.leader != leader->id) {
        snprintf(why, len, "member %u (n%d) is in term %llu under %u, the leader %u in %llu", m->id, n->slot, U(s.raft.term), s.raft.leader,
                 leader->id, U(ls.raft.term));
        return false;
    }
    if (s.applied != r->committed || !state_equal(&n->state, &leader->state)) {
        snprintf(why, len, "member %u (n%d) has applied %llu of %llu", m->id, n->slot, U(s.applied), U(r->committed));
        return false;
    }
    if (raft_conf(member_raft(n->m))->joint || raft_conf(member_raft(n->m))->n != r->last_conf.n) {
        snprintf(why, len, "member %u (n%d) has another configuration", m->id, n->slot);
        return false;
    }
    return true;
}

bool rig_healed(struct rig *r, char *why, size_t len)
{
    struct node *leader = rig_leader(r);
    if (leader == NULL) {
        snprintf(why, len, "nobody leads");
        return false;
    }
    if (r->last_conf.joint) {
        snprintf(why, len, "the configuration is joint");
        return false;
    }
    for (unsigned i = 0; i < r->last_conf.n; i++)
        if (!member_whole(r, &r->last_conf.m[i], leader, why, len))
            return false;
    if (r->final_stage < 2) {
        snprintf(why, len, r->final_stage ? "a fresh read has no answer" : "a fresh write has no answer");
        r->final_wanted = true;
        return false;
    }
    return true;
}
