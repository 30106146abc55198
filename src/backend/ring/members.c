/* members.c - who may join the ring: tokens, as the region's state keeps them. */
#include "backend/ring/driver_int.h"
#include "backend/ring/ring.h"

#include <stdio.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
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

enum reeve_err ring_admit(void *arg, const struct peer_join_request *j)
{
    struct ring *r = arg;
    struct ring_view v;
    struct token_row row;
    uint8_t id[8];
    if (ring_view_open(r, &v) != REEVE_OK)
        return REEVE_E_AGAIN;
    enum reeve_err err = find(&v, j, &row, id);
    ring_view_close(&v);
    return err == REEVE_OK ? forget(r, id) : err;
}

/* ---- changes ---- */

static enum reeve_err not_leader(struct core *core, struct report *rep)
{
    struct core_status st;
    core_status(core, &st);
    const struct raft_member *m = st.member.raft.leader ? raft_conf_find(core_conf(core), st.member.raft.leader) : NULL;
    if (m == NULL)
        return report_set(rep, REEVE_E_NOT_LEADER, "the ring has no leader at the moment");
    report_set(rep, REEVE_E_NOT_LEADER, "member %u leads the ring, this one does not", m->id);
    const char *end = memchr(m->addr, '#', m->addr_len);
    report_hint(rep, "Say it there: %.*s.", (int) (end ? end - m->addr : m->addr_len), m->addr);
    return REEVE_E_NOT_LEADER;
}

static enum reeve_err transfer(struct core *core, uint32_t id, struct report *rep)
{
    struct core_status st;
    core_status(core, &st);
    if (st.member.raft.leader == id)
        return REEVE_OK;
    enum reeve_err err = core_transfer(core, id);
    return err == REEVE_E_NOT_LEADER ? not_leader(core, rep) : err;
}

enum reeve_err ring_change(struct ring *r, uint8_t what, uint32_t id, core_read_done *fn, void *arg, bool *waits,
                           struct report *rep)
{
    static const uint8_t kinds[] = { 0, RAFT_PROMOTE, RAFT_DEMOTE, RAFT_REMOVE };
    struct core *core = r->prop.core;
    const struct raft_member *m = raft_conf_find(core_conf(core), id);
    if (what == 4)
        return transfer(core, id, rep);
    if (what == 0 || what > 4)
        return REEVE_E_MALFORMED;
    if (m == NULL)
        return what == 3 ? REEVE_OK : REEVE_E_UNDEFINED_OBJECT;
    if ((what == 1 && m->role == RAFT_VOTER) || (what == 2 && m->role == RAFT_LEARNER))
        return REEVE_OK;
    struct raft_change change = { .kind = kinds[what], .id = id };
    enum reeve_err err = core_change(core, &change, 1, fn, arg);
    *waits = err == REEVE_OK;
    if (err == REEVE_E_INVALID_VALUE)
        return report_set(rep, err, "the ring would be left without a voter");
    if (err == REEVE_E_AGAIN) {
        report_set(rep, err, "the ring's members cannot be changed at this moment");
        report_hint(rep, "Another change is under way, or the leader is new. Try again.");
        return err;
    }
    return err == REEVE_E_NOT_LEADER ? not_leader(core, rep) : err;
}

/* ---- looking in ---- */

static bool linked(struct core *core, uint32_t id)
{
    struct peer_status s[2 * RAFT_MEMBERS_MAX];
    size_t n = core_peers(core) ? peers_status(core_peers(core), s, 2 * RAFT_MEMBERS_MAX) : 0;
    for (size_t i = 0; i < n; i++)
        if (s[i].id == id && s[i].purpose == PEER_LOG)
            return s[i].state == PEER_L_UP;
    return id == core_id(core);
}

void ring_status(struct ring *r, struct wr *out)
{
    struct core *core = r->prop.core;
    const struct raft_conf *conf = core_conf(core);
    struct core_status st;
    core_status(core, &st);
    wr_u32(out, st.member.raft.leader);
    wr_u64(out, st.member.raft.last);
    wr_u16(out, conf->n);
    for (unsigned i = 0; i < conf->n; i++) {
        struct raft_peer_status p = { .match = 0 };
        bool known = core_peer_status(core, conf->m[i].id, &p);
        wr_u32(out, conf->m[i].id);
        wr_u64(out, conf->m[i].id == core_id(core) ? st.member.raft.durable : known ? p.match : 0);
        wr_u8(out, linked(core, conf->m[i].id));
    }
}

/* ---- the leader looks after the others ---- */

#define AWAY_MS 5000                    /* a restart takes less */

/* Since when, by place in the configuration; another id begins anew. The link's own time is that of its last try. */
static bool is_away(struct ring *r, unsigned place, uint32_t id)
{
    struct away *a = &r->away[place];
    int64_t now = clock_mono().ms;
    if (a->id != id || linked(r->prop.core, id))
        *a = (struct away){ id, now };
    return now - a->linked_ms > AWAY_MS;
}

static const struct raft_member *placed(const struct raft_conf *conf, uint32_t id, unsigned *place)
{
    for (*place = 0; *place < conf->n; ++*place)
        if (conf->m[*place].id == id)
            return &conf->m[*place];
    return NULL;
}

/* An id is never used again, so all that ever were are few. */
void members_run(struct ring *r, struct ring_view *v)
{
    struct core *core = r->prop.core;
    const struct raft_conf *conf = core_conf(core);
    struct name who;
    char text[NAME_MAX_LEN + 32];
    if (core_peers(core) == NULL || conf->last_id < 2)
        return;
    for (uint32_t id = 1; id <= conf->last_id; id++) {
        unsigned place;
        bool away = placed(conf, id, &place) != NULL && is_away(r, place, id);
        snprintf(text, sizeof text, "%.200s-%u", r->region_name.s, id);
        name_set_str(&who, text);
        issue_set(r, v, "member_away", &who, away ? 2 : 0, "a member of the ring cannot be reached",
                  "Start it, or look at the network. If it is lost for good: ALTER RING ... DROP MEMBER, and join another.");
    }
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
