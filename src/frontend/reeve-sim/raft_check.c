/*
 * raft_check.c - what must hold after every event
 *
 * The checker keeps its own book of every log (struct shadow), fed by what was
 * handed to the disk and what came back durable, and one book of what was
 * committed. From these: election safety, log matching, leader completeness,
 * committed on a quorum, committed immutable, what was sent was durable, a
 * restart finds what was promised, state-machine safety, and the order
 * purged <= stored <= applied <= committed <= last.
 */
#include "raft_int.h"

#include <inttypes.h>
#include <stdlib.h>

#define SEEN_CAP (1u << 16)
#define LEADS_STALLED_US 3000000
#define U(x) ((unsigned long long) (x))

uint64_t entry_hash(uint64_t term, uint8_t kind, struct slice data)
{
    uint64_t h = 0xcbf29ce484222325u ^ term * 0x9e3779b97f4a7c15u ^ kind;
    for (size_t i = 0; i < data.len; i++)
        h = (h ^ data.p[i]) * 0x100000001b3u;
    return h ? h : 1;
}

void check_wiped(struct node *n)
{
    memset(&n->sh, 0, sizeof n->sh);
}

/* A member that begins with an empty log; in its store there may be a state. */
void check_boot(struct node *n)
{
    check_wiped(n);
    n->sh.base = n->sh.last = n->sh.durable = n->stored.index;
}

/* ---- log matching ---- */

/* An entry is known by (index, term): its content and the term before it are the same wherever it stands. */
static void check_matching(struct node *n, uint64_t index, uint64_t term, uint64_t hash, uint64_t prev_term)
{
    struct rig *r = n->rig;
    size_t i = (size_t) ((index * 0x9e3779b97f4a7c15u ^ term * 0xd1342543de82ef95u) >> 40) % SEEN_CAP;
    for (;; i = (i + 1) % SEEN_CAP) {
        struct seen_entry *s = &r->seen[i];
        if (s->index == 0) {
            reeve_assert(++r->n_seen < SEEN_CAP / 2);
            *s = (struct seen_entry){ index, term, hash, prev_term };
            return;
        }
        if (s->index != index || s->term != term)
            continue;
        if (s->hash != hash || (s->prev_term != prev_term && s->prev_term != UINT64_MAX && prev_term != UINT64_MAX))
            violation(r, "log matching", "n%d holds an entry (index %llu, term %llu) that differs from another of that place: "
                      "content %016llx and %016llx, term before it %llu and %llu", n->slot, U(index), U(term), U(hash),
                      U(s->hash), U(prev_term), U(s->prev_term));
        return;
    }
}

/* ---- what goes to the disk ---- */

static uint64_t term_before(const struct shadow *sh, uint64_t index)
{
    if (index - 1 == sh->base)
        return sh->base > 0 && sh->base_term == 0 ? UINT64_MAX : sh->base_term;
    return sh->term[index - 1] ? sh->term[index - 1] : UINT64_MAX;
}

static void shadow_truncate(struct node *n, uint64_t from)
{
    struct shadow *sh = &n->sh;
    struct rig *r = n->rig;
    for (uint64_t i = from; i <= sh->last && i <= r->committed; i++)
        if (sh->term[i] == r->c_term[i] && sh->term[i] != 0) {
            violation(r, "committed is immutable", "n%d truncates from %llu; (%llu, term %llu) is committed", n->slot, U(from),
                      U(i), U(sh->term[i]));
            return;
        }
    for (uint64_t i = from; i <= sh->last; i++)
        sh->term[i] = 0;
    if (sh->last >= from)
        sh->last = from - 1;
    if (sh->durable > sh->last)
        sh->durable = sh->last;
}

void check_given_up(struct node *n, uint64_t from)
{
    struct shadow *sh = &n->sh;
    for (uint64_t i = from; i <= sh->last && i < RIG_LOG_MAX; i++)
        sh->term[i] = 0;
    if (from > 0 && sh->last >= from)
        sh->last = from - 1;
    if (sh->durable > sh->last)
        sh->durable = sh->last;
}

void check_append(struct node *n, const struct raft_append *a)
{
    struct shadow *sh = &n->sh;
    const struct raft_log *log = member_log(n->m);
    if (a->term < n->max_term)
        violation(n->rig, "monotone term", "n%d goes from term %llu back to %llu", n->slot, U(n->max_term), U(a->term));
    n->max_term = a->term;
    if (a->reset) {
        for (uint64_t i = a->reset_index; i <= sh->last; i++)
            sh->term[i] = 0;
        sh->base = sh->last = sh->durable = a->reset_index;
        sh->base_term = sh->term[a->reset_index] = a->reset_term;
    }
    if (a->truncate_from > 0)
        shadow_truncate(n, a->truncate_from);
    for (uint64_t i = a->first; i <= a->last; i++) {
        struct raft_entry e;
        log->ops->entry(log->arg, i, &e);
        uint64_t hash = entry_hash(e.term, e.kind, e.data);
        check_matching(n, i, e.term, hash, term_before(sh, i));
        sh->term[i] = e.term;
        sh->hash[i] = hash;
        sh->conf[i] = e.kind == RAFT_CONF;
        if (i > sh->last)
            sh->last = i;
    }
}

void check_durable(struct node *n, const struct raft_append *a, uint64_t cap)
{
    struct shadow *sh = &n->sh;
    uint64_t upto = cap < sh->last ? cap : sh->last;
    if (upto > sh->durable)
        sh->durable = upto;
    sh->hard_term = a->term;
    sh->hard_vote = a->vote;
    sh->hard_commit = a->commit;
}

/* ---- what is sent ---- */

static void check_vote(struct node *n, const struct raft_msg *m)
{
    struct rig *r = n->rig;
    const struct shadow *sh = &n->sh;
    if (sh->hard_term < m->term || (sh->hard_term == m->term && sh->hard_vote != m->to)) {
        violation(r, "a vote is durable before it is given", "n%d votes for %u in term %llu; durable are term %llu, vote %u",
                  n->slot, m->to, U(m->term), U(sh->hard_term), sh->hard_vote);
        return;
    }
    for (size_t i = 0; i < r->n_votes; i++) {
        const struct vote_seen *v = &r->votes[i];
        if (v->id != n->id || v->incarnation != n->incarnation || v->term != m->term)
            continue;
        if (v->vote != m->to)
            violation(r, "one vote in a term", "n%d votes for %u in term %llu and voted for %u", n->slot, m->to, U(m->term), v->vote);
        return;
    }
    if (r->n_votes == r->cap_votes) {
        r->cap_votes = r->cap_votes ? r->cap_votes * 2 : 256;
        r->votes = realloc(r->votes, r->cap_votes * sizeof *r->votes);
        reeve_assert(r->votes != NULL);
    }
    r->votes[r->n_votes++] = (struct vote_seen){ n->id, m->to, n->incarnation, m->term };
}

void check_sent(struct node *n, const struct raft_msg *m)
{
    if (n->mute_mark && !(m->flags & (RAFT_MF_MUTE | RAFT_MF_REJECT)) && (m->type == RAFT_M_VOTE_REPLY || m->type == RAFT_M_APPEND_REPLY))
        violation(n->rig, "a mute member promises nothing", "n%d answers %u without the mark", n->slot, m->to);
    if (m->flags & (RAFT_MF_REJECT | RAFT_MF_MUTE))
        return;
    if (m->type == RAFT_M_VOTE_REPLY)
        check_vote(n, m);
    /* An answer of an earlier term may wait long; nobody counts it. */
    if (m->type == RAFT_M_APPEND_REPLY && m->term == n->max_term && m->index > n->sh.durable && m->index > n->sh.base &&
        m->index > n->stored.index)
        violation(n->rig, "acknowledged is durable", "n%d acknowledges %llu, durable is %llu", n->slot, U(m->index),
                  U(n->sh.durable));
}

/* ---- a restart ---- */

static void check_kept(struct node *n, const struct wal_found *f, const uint64_t *term, const uint64_t *hash)
{
    const struct shadow *sh = &n->sh;
    struct rig *r = n->rig;
    /* What was repaired still lies there damaged until its segment is dropped. */
    if (f->verdict != WAL_CLEAN && f->verdict != WAL_TORN && !(n->was_damaged && f->verdict == WAL_CORRUPT))
        violation(r, "an undamaged log is clean", "n%d: %s, %s", n->slot, wal_verdict_name(f->verdict), f->reason);
    if (f->hard.term < sh->hard_term || (f->hard.term == sh->hard_term && sh->hard_vote != 0 && f->hard.vote != sh->hard_vote))
        violation(r, "term and vote survive", "n%d had term %llu, vote %u; finds %llu, %llu", n->slot, U(sh->hard_term),
                  sh->hard_vote, U(f->hard.term), U(f->hard.vote));
    for (uint64_t i = 1; i <= sh->durable; i++) {
        if (i <= f->cut || i <= sh->base || sh->term[i] == 0 || (term[i] == sh->term[i] && hash[i] == sh->hash[i]))
            continue;
        violation(r, "durable is durable", "n%d: entry %llu of term %llu was durable, the log has term %llu there (last %llu)",
                  n->slot, U(i), U(sh->term[i]), U(term[i]), U(f->last));
        return;
    }
}

/* The store may know better than the log what stands at its index. */
static void stored_base(struct node *n)
{
    struct shadow *sh = &n->sh;
    struct slice row0, conf;
    uint64_t index = 0, term = 0;
    if (state_row(&n->stored, 0, &row0) && member_row_position(row0, &index, &term, &conf) == REEVE_OK && index >= sh->base) {
        sh->base = index;
        sh->base_term = sh->term[index] = term;
    }
}

/* A snapshot that matches the log leaves it as it is, but what it brought is the base from now on. */
void check_installed(struct node *n)
{
    stored_base(n);
}

/* A damaged member's promises stay in the book: what it helped to commit is committed. */
void check_recovered(struct node *n, const struct wal_found *f, const uint64_t *term, const uint64_t *hash)
{
    struct shadow *sh = &n->sh;
    if (!n->damaged)
        check_kept(n, f, term, hash);
    else
        n->rig->n_damage++;
    if (f->verdict > WAL_CORRUPT)
        return;
    for (uint64_t i = f->cut + 1; i <= f->last && i < RIG_LOG_MAX; i++) {
        if (term[i] == 0)
            continue;
        if (sh->term[i] != 0 && n->damaged && i <= sh->durable && (sh->term[i] != term[i] || sh->hash[i] != hash[i]))
            violation(n->rig, "damage is noticed", "n%d: entry %llu was (term %llu, %016llx), the log gives (term %llu, %016llx) for sound",
                      n->slot, U(i), U(sh->term[i]), U(sh->hash[i]), U(term[i]), U(hash[i]));
        sh->term[i] = term[i];
        sh->hash[i] = hash[i];
    }
    if (n->damaged && f->last < sh->durable && n->stored.index < sh->durable)
        violation(n->rig, "damage is noticed", "n%d: the log was durable to %llu, now it ends at %llu as if it never was more (%s)",
                  n->slot, U(sh->durable), U(f->last), wal_verdict_name(f->verdict));
    sh->last = sh->durable = f->last > n->stored.index ? f->last : n->stored.index;
    if (f->hard.term >= sh->hard_term) {
        sh->hard_term = f->hard.term;
        sh->hard_vote = (uint32_t) f->hard.vote;
    }
    stored_base(n);
    n->max_term = sh->hard_term;        /* a term that was not durable may be forgotten */
}

/* ---- commit ---- */

static bool shadow_holds(const struct shadow *sh, uint64_t index, uint64_t term)
{
    return sh->durable >= index && (sh->term[index] == term || (sh->base >= index && sh->term[index] == 0));
}

/* Also who lost its disk since: it had it when it said so, and its vote is gone with it. */
static bool holds_durably(struct rig *r, const struct raft_member *m, uint64_t index, uint64_t term)
{
    const struct node *n = node_of(r, m->id);
    const struct promise *p = m->id < RIG_IDS_MAX ? r->promise[m->id] : NULL;
    return (n != NULL && n->incarnation == m->incarnation && shadow_holds(&n->sh, index, term)) ||
           (p != NULL && p->incarnation == m->incarnation && shadow_holds(&p->sh, index, term));
}

void check_will_be_wiped(struct node *n)
{
    struct promise **p = &n->rig->promise[n->id];
    if (*p == NULL)
        *p = malloc(sizeof **p);
    reeve_assert(*p != NULL);
    **p = (struct promise){ n->incarnation, n->sh };
}

static bool on_quorum(struct rig *r, const struct raft_conf *c, uint64_t index, uint64_t term, char *who, size_t len)
{
    unsigned voters[2] = { 0 }, have[2] = { 0 };
    size_t at = 0;
    for (unsigned i = 0; i < c->n; i++) {
        bool has = holds_durably(r, &c->m[i], index, term);
        voters[0] += (c->m[i].role & RAFT_VOTER) != 0;
        have[0] += has && (c->m[i].role & RAFT_VOTER);
        voters[1] += (c->m[i].role & RAFT_VOTER_OLD) != 0;
        have[1] += has && (c->m[i].role & RAFT_VOTER_OLD);
        at += (size_t) snprintf(who + at, len - at, "%s%u:%x%s", at ? " " : "", c->m[i].id, c->m[i].role, has ? " has it" : "");
        if (at >= len)
            at = len - 1;
    }
    return have[0] * 2 > voters[0] && (!c->joint || have[1] * 2 > voters[1]);
}

static void commit_new(struct node *n, uint64_t index, const struct raft_status *s)
{
    struct rig *r = n->rig;
    char who[512];
    uint64_t term = n->sh.term[index];
    r->c_term[index] = term;
    r->c_hash[index] = n->sh.hash[index];
    r->c_by[index] = s->term;
    r->committed = index;
    /* Whoever commits his own removal leads no more when the step is over. */
    if (s->role != RAFT_LEADER && !(n->seen_life && n->seen.role == RAFT_LEADER)) {
        violation(r, "leaders commit", "n%d (%s) is the first to hold %llu for committed", n->slot, raft_role_name(s->role), U(index));
        return;
    }
    if (!on_quorum(r, raft_conf(member_raft(n->m)), index, term, who, sizeof who))
        violation(r, "committed on a quorum", "n%d commits (%llu, term %llu); of the voters: %s", n->slot, U(index), U(term), who);
}

static void check_commit(struct node *n, const struct raft_status *s)
{
    struct rig *r = n->rig;
    uint64_t from = n->seen_life ? n->seen.commit + 1 : 1, was = r->committed;
    for (uint64_t i = from; i <= s->commit && !r->violated; i++) {
        if (i > r->committed) {
            if (i <= n->sh.base && n->sh.term[i] == 0)
                violation(r, "snapshots hold what was committed", "n%d has a state at %llu, committed is %llu", n->slot, U(i), U(r->committed));
            else
                commit_new(n, i, s);
            continue;
        }
        if (i > n->sh.base && n->sh.term[i] != 0 && (n->sh.term[i] != r->c_term[i] || n->sh.hash[i] != r->c_hash[i]))
            violation(r, "state-machine safety", "n%d holds (%llu, term %llu) for committed, elsewhere it is of term %llu", n->slot,
                      U(i), U(n->sh.term[i]), U(r->c_term[i]));
    }
    if (was < r->committed && s->commit == r->committed && r->c_term[s->commit] != s->term)
        violation(r, "leaders count their own term", "n%d in term %llu commits up to (%llu, term %llu)", n->slot, U(s->term), U(s->commit),
                  U(r->c_term[s->commit]));
    if (s->commit >= r->committed) {
        const struct raft_conf *c = raft_conf_committed(member_raft(n->m));
        r->last_conf = *c;
    }
}

void check_applied(struct node *n, const struct member_command *c)
{
    struct member_status s;
    member_status(n->m, &s);
    if (c->index > s.raft.commit || c->index <= n->state.index)
        violation(n->rig, "applied once, when committed", "n%d applies %llu; applied %llu, committed %llu", n->slot, U(c->index),
                  U(n->state.index), U(s.raft.commit));
}

void check_state(struct node *n)
{
    struct rig *r = n->rig;
    uint64_t *h = &r->state_hash[n->state.index], mine = state_hash(&n->state);
    if (*h == 0)
        *h = mine;
    else if (*h != mine)
        violation(r, "state-machine safety", "n%d at %llu has another state than one that was there before", n->slot, U(n->state.index));
}

/* ---- after every event ---- */

static void check_leader(struct node *n, const struct raft_status *s)
{
    struct rig *r = n->rig;
    if (s->role != RAFT_LEADER || s->term >= sizeof r->leader_of / sizeof r->leader_of[0])
        return;
    uint64_t me = 1 + (uint64_t) n->slot + (uint64_t) r->w.node[n->slot].life * 64;
    uint64_t *seen = &r->leader_of[s->term];
    if (*seen == me)
        return;
    if (*seen != 0) {
        violation(r, "election safety", "n%d and n%d both lead in term %llu", n->slot, (int) ((*seen - 1) % 64), U(s->term));
        return;
    }
    *seen = me;
    r->n_leaders++;
    for (uint64_t i = n->sh.base + 1; i <= r->committed; i++)
        if (r->c_by[i] < s->term && (n->sh.last < i || n->sh.term[i] != r->c_term[i])) {
            violation(r, "leader completeness", "n%d leads in term %llu without (%llu, term %llu); it holds term %llu there, last %llu",
                      n->slot, U(s->term), U(i), U(r->c_term[i]), U(n->sh.term[i]), U(n->sh.last));
            return;
        }
}

static void check_monotone(struct node *n, const struct member_status *s)
{
    struct rig *r = n->rig;
    const struct raft_status *was = &n->seen, *is = &s->raft;
    if (!n->seen_life)
        return;
    if (is->term < was->term || is->commit < was->commit || s->applied < n->seen_applied)
        violation(r, "monotone", "n%d: term %llu to %llu, commit %llu to %llu, applied %llu to %llu", n->slot, U(was->term), U(is->term),
                  U(was->commit), U(is->commit), U(n->seen_applied), U(s->applied));
    if (is->term == was->term && was->vote != 0 && is->vote != was->vote)
        violation(r, "one vote in a term", "n%d: vote %u becomes %u in term %llu", n->slot, was->vote, is->vote, U(is->term));
}

static void check_order(struct node *n, const struct member_status *s)
{
    if (s->window_first > s->applied + 1 || s->applied > s->raft.commit || s->raft.commit > s->raft.last ||
        s->raft.durable > s->raft.last || n->stored.index > n->state.index)
        violation(n->rig, "purged <= stored <= applied <= committed <= last",
                  "n%d: window from %llu, stored %llu, applied %llu, committed %llu, durable %llu, last %llu", n->slot, U(s->window_first),
                  U(n->stored.index), U(s->applied), U(s->raft.commit), U(s->raft.durable), U(s->raft.last));
}

/* R5: the newest configuration of the log is in force, or else the base's. */
static void check_conf(struct node *n, const struct member_status *s)
{
    const struct shadow *sh = &n->sh;
    uint64_t newest = s->raft.last < sh->last ? s->raft.last : sh->last;
    if (s->raft.mode != RAFT_START_CLEAN)
        return;
    while (newest > sh->base && !(sh->conf[newest] && sh->term[newest] != 0))
        newest--;
    if (newest > sh->base ? s->raft.conf_index != newest : s->raft.conf_index > sh->base)
        violation(n->rig, "the newest configuration is in force", "n%d: in force is that of %llu, the newest in the log stands at %llu (base %llu, last %llu)",
                  n->slot, U(s->raft.conf_index), U(newest), U(sh->base), U(sh->last));
}

/* In the newest committed configuration: one that is still on its way may have begun with the disk already still. */
static unsigned voters(const struct node *n)
{
    const struct raft_conf *c = raft_conf_committed(member_raft(n->m));
    unsigned k = 0;
    for (unsigned i = 0; i < c->n; i++)
        k += (c->m[i].role & RAFT_VOTER) != 0;
    return k;
}

/* R10, and a leader whose disk stands still. */
static void check_may_lead(struct node *n, const struct member_status *s)
{
    struct rig *r = n->rig;
    if (s->raft.role < RAFT_PRECANDIDATE)
        return;
    if (s->raft.mode != RAFT_START_CLEAN)
        violation(r, "who is not whole does not stand", "n%d is %s in mode %u", n->slot, raft_role_name(s->raft.role), s->raft.mode);
    if (s->raft.role == RAFT_LEADER && voters(n) > 1 && wal_waits_us(n) > LEADS_STALLED_US)
        violation(r, "a leader whose disk stalls hands over", "n%d leads, its disk has stood still for %lld ms", n->slot,
                  (long long) wal_waits_us(n) / 1000);
}

void check_node(struct node *n)
{
    struct member_status s;
    if (n->m == NULL || n->rig->violated)
        return;
    member_status(n->m, &s);
    check_monotone(n, &s);
    check_order(n, &s);
    check_leader(n, &s.raft);
    check_conf(n, &s);
    check_may_lead(n, &s);
    if (!n->seen_life || s.raft.commit > n->seen.commit) {
        sim_trace(&n->rig->w, n->slot, K_COMMIT, s.raft.commit, s.raft.last, s.raft.term);
        check_commit(n, &s.raft);
    }
    n->seen = s.raft;
    n->seen_applied = s.applied;
    n->seen_life = 1;
}
