/* members.c - who may join the ring: tokens, as the region's state keeps them. */
#include "backend/ring/driver_int.h"
#include "backend/ring/ring.h"

#include <stdio.h>

#include "backend/utils/clock.h"
#include "crypto/hash.h"

/* Of a member's token the id follows from its secret, of a node's it does not: neither serves as the other here. */
static enum reeve_err find(struct ring_view *v, const struct peer_join_request *j, struct token_row *row, uint8_t id[8])
{
    struct hash32 h;
    sha256(&h, slice_of(j->secret, sizeof j->secret));
    memcpy(id, h.b, 8);
    enum reeve_err err = region_token_get(&v->region, id, row);
    if (err != REEVE_OK || !hash32_eq(&h, &row->secret_hash))
        return REEVE_E_AUTH;
    return row->uses_left == 0 || (row->expires.ms != 0 && row->expires.ms <= clock_wall().ms) ? REEVE_E_AUTH : REEVE_OK;
}

/* It is used up by being forgotten: a member's token is good for one. Whoever got in stands in the configuration. */
static enum reeve_err forget(struct ring *r, const uint8_t id[8])
{
    uint8_t mem[512], session[16];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct name actor;
    size_t n_ops_at;
    random_bytes(session, sizeof session);
    name_set_str(&actor, DRIVER_ACTOR);
    region_txn_begin(&w, session, 1, clock_wall(), &actor, slice_of(NULL, 0), slice_of(NULL, 0), slice_str("a member joined"), &n_ops_at);
    wr_u8(&w, RO_TOKEN_DROP);
    wr_bytes(&w, id, 8);
    region_txn_end(&w, n_ops_at, 1);
    return w.bad ? REEVE_E_BUG : ring_propose(&r->prop, wr_slice(&w), NULL, NULL);
}

enum reeve_err ring_admit(void *arg, const struct peer_join_request *j, uint32_t *last_id)
{
    struct ring *r = arg;
    struct ring_view v;
    struct token_row row;
    uint8_t id[8];
    if (ring_view_open(r, &v) != REEVE_OK)
        return REEVE_E_AGAIN;
    enum reeve_err err = find(&v, j, &row, id);
    *last_id = kin_last_id(r, &v);
    ring_view_close(&v);
    return err == REEVE_OK ? forget(r, id) : err;
}

/* ---- changes ---- */

struct told ring_told(const struct ring *r, uint32_t id)
{
    struct told t;
    snprintf(t.s, sizeof t.s, "%s-%u", r->region_name.s, id);
    return t;
}

bool ring_leads(struct ring *r)
{
    struct core_status st;
    core_status(r->prop.core, &st);
    return st.member.raft.role == RAFT_LEADER;
}

static enum reeve_err not_leader(struct ring *r, struct report *rep)
{
    struct core *core = r->prop.core;
    struct core_status st;
    core_status(core, &st);
    const struct raft_member *m = st.member.raft.leader ? raft_conf_find(core_conf(core), st.member.raft.leader) : NULL;
    if (m == NULL)
        return report_set(rep, REEVE_E_NOT_LEADER, "the ring has no leader at the moment");
    report_set(rep, REEVE_E_NOT_LEADER, "member \"%s\" leads the ring, this one does not", ring_told(r, m->id).s);
    const char *end = memchr(m->addr, '#', m->addr_len);
    report_hint(rep, "Say it there: %.*s.", (int) (end ? end - m->addr : m->addr_len), m->addr);
    return REEVE_E_NOT_LEADER;
}

static enum reeve_err not_now(struct ring *r, enum reeve_err err, struct report *rep)
{
    if (err == REEVE_E_NOT_LEADER)
        return not_leader(r, rep);
    if (err != REEVE_E_AGAIN && err != REEVE_E_WRONG_STATE)
        return err;
    report_set(rep, REEVE_E_AGAIN, "the ring's members cannot be changed at this moment");
    report_hint(rep, "Another change is under way, or the leader is new. Try again.");
    return REEVE_E_AGAIN;
}

static enum reeve_err transfer(struct ring *r, const struct raft_member *m, struct report *rep)
{
    struct core_status st;
    core_status(r->prop.core, &st);
    if (st.member.raft.leader == m->id)
        return REEVE_OK;
    if (st.member.raft.role == RAFT_LEADER && !(m->role & RAFT_VOTER)) {
        report_set(rep, REEVE_E_WRONG_STATE, "member \"%s\" has no vote, so it cannot lead", ring_told(r, m->id).s);
        report_hint(rep, "ALTER RING ... ADD MEMBER '%s' gives it one.", ring_told(r, m->id).s);
        return REEVE_E_WRONG_STATE;
    }
    bool away = st.member.raft.role == RAFT_LEADER && !member_linked(r->prop.core, m->id);
    enum reeve_err err = away ? REEVE_E_UNAVAILABLE : core_transfer(r->prop.core, m->id);
    if (err != REEVE_E_UNAVAILABLE)
        return not_now(r, err, rep);
    report_set(rep, err, "member \"%s\" does not answer, so it cannot lead", ring_told(r, m->id).s);
    report_hint(rep, "SHOW MEMBERS tells who is there.");
    return err;
}

/* A change that holds already; on the leader only, others may not know. */
static enum reeve_err stands(struct ring *r, uint8_t what, const struct raft_member *m, struct report *rep)
{
    struct core_status st;
    core_status(r->prop.core, &st);
    if (st.member.raft.role != RAFT_LEADER || core_conf(r->prop.core)->joint)
        return REEVE_OK;
    if (what == 1 && m->role == RAFT_VOTER) {
        report_set(rep, REEVE_E_DUPLICATE_OBJECT, "member \"%s\" has a vote already", ring_told(r, m->id).s);
        report_hint(rep, "AS LEARNER takes it away, DROP MEMBER ends the membership.");
        return REEVE_E_DUPLICATE_OBJECT;
    }
    if (what == 2 && m->role == RAFT_LEARNER) {
        report_set(rep, REEVE_E_DUPLICATE_OBJECT, "member \"%s\" is a learner already", ring_told(r, m->id).s);
        report_hint(rep, "ADD MEMBER without AS LEARNER gives it a vote.");
        return REEVE_E_DUPLICATE_OBJECT;
    }
    return REEVE_OK;
}

static enum reeve_err refused(struct ring *r, enum reeve_err err, uint32_t id, struct report *rep)
{
    switch (err) {
    case REEVE_E_INVALID_VALUE:
        report_set(rep, REEVE_E_WRONG_STATE, "without member \"%s\" nobody in the ring has a vote", ring_told(r, id).s);
        report_hint(rep, "Give another one a vote first: ALTER RING ... ADD MEMBER. A region is ended by stopping its servers.");
        return REEVE_E_WRONG_STATE;
    case REEVE_E_UNAVAILABLE:
        report_set(rep, err, "with that, most of the ring's voters would be members that do not answer");
        report_hint(rep, "Start them, or drop them first: SHOW MEMBERS.");
        return err;
    case REEVE_E_TOO_MANY:
        report_set(rep, REEVE_E_TOO_COMPLEX, "a ring has at most %d voters and %d learners", RAFT_VOTERS_MAX, RAFT_LEARNERS_MAX);
        report_hint(rep, "Drop one first. Three or five voters are the rule: more make each change slower.");
        return REEVE_E_TOO_COMPLEX;
    default:
        return not_now(r, err, rep);
    }
}

enum reeve_err ring_change(struct ring *r, uint8_t what, uint32_t id, core_read_done *fn, void *arg, bool *waits,
                           struct report *rep)
{
    static const uint8_t kinds[] = { 0, RAFT_PROMOTE, RAFT_DEMOTE, RAFT_REMOVE };
    const struct raft_member *m = raft_conf_find(core_conf(r->prop.core), id);
    struct raft_change change = { .id = id };
    enum reeve_err err;
    if (what == 0 || what > 4)
        return REEVE_E_MALFORMED;
    if (m == NULL)
        return what == 3 ? REEVE_OK : REEVE_E_UNDEFINED_OBJECT;
    if (what == 4)
        return transfer(r, m, rep);
    TRY(stands(r, what, m, rep));
    change.kind = kinds[what];
    err = core_change(r->prop.core, &change, 1, fn, arg);
    *waits = err == REEVE_OK;
    if (err != REEVE_OK)
        err = refused(r, err, id, rep);
out:
    return err;
}

bool ring_change_is_local(struct ring *r, uint8_t what, uint32_t id)
{
    return what == 0 || what > 4 || core_peers(r->prop.core) == NULL || raft_conf_find(core_conf(r->prop.core), id) == NULL ||
           (what == 3 && id == core_id(r->prop.core));
}

/* ---- for readers of the store ---- */

enum reeve_err ring_members_read(struct kv *kv, struct ring_members *out)
{
    static const uint8_t identity_key[] = { LOG_KV_PREFIX, 'i' }, row0_key[] = { LOG_KV_PREFIX, 'r', 0, 0, 0, 0 };
    struct slice v, row0, conf;
    uint64_t index, term;
    enum reeve_err err;
    TRY(kv_get(kv, slice_of(identity_key, sizeof identity_key), &v));
    struct rd r = rd_of(v);
    rd_u8(&r);
    out->self = rd_u32(&r);
    rd_u64(&r);
    out->ring = rd_u64(&r);
    if (!rd_done(&r))
        return REEVE_E_CORRUPT;
    TRY(kv_get(kv, slice_of(row0_key, sizeof row0_key), &row0));
    TRY(member_row_position(row0, &index, &term, &conf));
    err = raft_conf_decode(&out->conf, conf);
out:
    return err;
}
