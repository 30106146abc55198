/* core_change.c - who is a member: changes, this member's own address, those who ask to be let in. */
#include <stdlib.h>

#include "backend/ring/core_int.h"
#include "backend/utils/log.h"

#define ADDRESS_RETRY_MS 1000
#define JOIN_RETRY_MS 50

/* ---- one change at a time ---- */

enum reeve_err core_change(struct core *c, const struct raft_change *change, size_t n, core_read_done *fn, void *arg)
{
    struct member_event e = { .type = MEMBER_E_CHANGE, .ticket = CORE_CHANGE_TICKET | (c->n_changes + 1), .change = change, .n = n };
    if (c->closing)
        return REEVE_E_SHUTDOWN;
    if (c->change_ticket != 0)
        return REEVE_E_AGAIN;
    c->n_changes++;
    c->change_ticket = e.ticket;
    c->change_fn = fn;
    c->change_arg = arg;
    enum reeve_err err = core_step(c, &e);
    if (err != REEVE_OK && c->change_ticket == e.ticket)
        c->change_ticket = 0;
    return err;
}

void core_change_ended(struct core *c, uint64_t ticket, enum reeve_err err)
{
    if (ticket != c->change_ticket)
        return;
    c->change_ticket = 0;
    c->change_fn(c->change_arg, err);
}

enum reeve_err core_transfer(struct core *c, uint32_t id)
{
    struct member_event e = { .type = MEMBER_E_TRANSFER, .peer = id };
    return c->closing ? REEVE_E_SHUTDOWN : core_step(c, &e);
}

/* ---- this member's address: of a ring made before there were links, or after the setting changed ---- */

static void address_again(void *arg) { core_address_check(arg); }

static void try_later(struct core *c)
{
    if (!loop_timer_is_set(&c->address_timer) &&
        loop_timer_in(c->loop, &c->address_timer, ADDRESS_RETRY_MS, address_again, c) != REEVE_OK)
        log_error("no timer for this member's address");
}

static void address_told(void *arg, enum reeve_err err)
{
    struct core *c = arg;
    if (err == REEVE_OK)
        log_info("the ring knows this member as %.*s", (int) c->addr_len, c->addr);
    else if (!c->closing)
        try_later(c);
}

/* Only a leader changes members, so a member says it when it leads. */
void core_address_check(struct core *c)
{
    const struct raft_member *me = raft_conf_find(raft_conf(member_raft(c->m)), c->me.id);
    struct raft_change change = { .kind = RAFT_READDRESS, .id = c->me.id, .incarnation = c->me.incarnation,
                                  .addr_len = (uint8_t) c->addr_len };
    if (c->peers == NULL || !c->leads || me == NULL || c->closing)
        return;
    if (me->addr_len == c->addr_len && memcmp(me->addr, c->addr, c->addr_len) == 0)
        return;
    memcpy(change.addr, c->addr, c->addr_len);
    if (core_change(c, &change, 1, address_told, c) != REEVE_OK)
        try_later(c);
}

/* ---- being asked ---- */

static void refuse(struct core *c, uint64_t ticket, enum peer_refusal why)
{
    if (c->peers)
        peers_join_refuse(c->peers, ticket, why);
}

static const struct raft_member *named(const struct core *c, const struct core_joiner *j)
{
    const struct raft_conf *conf = raft_conf_committed(member_raft(c->m));
    for (unsigned i = 0; i < conf->n; i++)
        if (conf->m[i].incarnation == j->incarnation && conf->m[i].addr_len == j->addr_len &&
            memcmp(conf->m[i].addr, j->addr, j->addr_len) == 0)
            return &conf->m[i];
    return NULL;
}

static void accept(struct core *c, struct core_joiner *j, const struct raft_member *m)
{
    const struct raft *r = member_raft(c->m);
    static uint8_t mem[RAFT_CONF_BYTES_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct raft_status st;
    raft_status(r, &st);
    raft_conf_encode(raft_conf_committed(r), &w);
    struct peer_joined joined = { c->me.ring, m->id, st.conf_index, wr_slice(&w) };
    peers_join_accept(c->peers, j->ticket, &joined);
    log_info("member %u joins as a learner: %.*s", m->id, (int) j->addr_len, j->addr);
    j->used = false;
}

static void elsewhere(struct core *c, uint64_t ticket)
{
    const struct raft *r = member_raft(c->m);
    struct raft_status st;
    raft_status(r, &st);
    const struct raft_member *leader = st.leader ? raft_conf_find(raft_conf(r), st.leader) : NULL;
    if (leader == NULL || leader->id == c->me.id || leader->addr_len == 0)
        refuse(c, ticket, PEER_R_NO_LEADER);
    else
        peers_join_elsewhere(c->peers, ticket, slice_of(leader->addr, leader->addr_len));
}

static void joined(void *arg, enum reeve_err err)
{
    struct core *c = arg;
    c->join_changing = false;
    if (c->peers == NULL)
        return;
    for (unsigned i = 0; i < CORE_JOINS_MAX; i++) {
        struct core_joiner *j = &c->joiner[i];
        const struct raft_member *m = j->used ? named(c, j) : NULL;
        if (m)
            accept(c, j, m);
    }
    core_joins_resume(c);
}

static void resume_later(void *arg) { core_joins_resume(arg); }

/* The token is used up by now: who was admitted waits for the change before, and is not sent away. */
static bool waits(struct core *c, enum reeve_err err)
{
    if (err != REEVE_E_AGAIN || !c->leads || c->closing)
        return false;
    return loop_timer_is_set(&c->join_timer) || loop_timer_in(c->loop, &c->join_timer, JOIN_RETRY_MS, resume_later, c) == REEVE_OK;
}

static void add_learner(struct core *c, struct core_joiner *j)
{
    const struct raft_conf *conf = raft_conf(member_raft(c->m));
    uint32_t last_id = conf->last_id > j->above ? conf->last_id : j->above;
    struct raft_change change = { .kind = RAFT_ADD_LEARNER, .id = last_id + 1, .incarnation = j->incarnation,
                                  .addr_len = (uint8_t) j->addr_len };
    memcpy(change.addr, j->addr, j->addr_len);
    enum reeve_err err = core_change(c, &change, 1, joined, c);
    c->join_changing = err == REEVE_OK;
    if (err == REEVE_OK || waits(c, err))
        return;
    j->used = false;
    refuse(c, j->ticket, err == REEVE_E_AGAIN ? PEER_R_BUSY : err == REEVE_E_TOO_MANY ? PEER_R_FULL : PEER_R_NO_LEADER);
}

/* The next one who waits. The one before may have ended in any way. */
void core_joins_resume(struct core *c)
{
    for (unsigned i = 0; i < CORE_JOINS_MAX && !c->join_changing; i++)
        if (c->joiner[i].used)
            add_learner(c, &c->joiner[i]);
}

static struct core_joiner *place(struct core *c, const struct peer_join_request *q, uint64_t ticket)
{
    for (unsigned i = 0; i < CORE_JOINS_MAX; i++) {
        struct core_joiner *j = &c->joiner[i];
        if (j->used)
            continue;
        *j = (struct core_joiner){ .ticket = ticket, .incarnation = q->incarnation, .used = true, .addr_len = q->addr.len };
        memcpy(j->addr, q->addr.p, q->addr.len);
        return j;
    }
    return NULL;
}

/* Who asks again while it waits: the old question is dead. */
static bool asks_again(struct core *c, const struct peer_join_request *q, uint64_t ticket)
{
    for (unsigned i = 0; i < CORE_JOINS_MAX; i++) {
        struct core_joiner *j = &c->joiner[i];
        if (!j->used || j->incarnation != q->incarnation || j->addr_len != q->addr.len || memcmp(j->addr, q->addr.p, j->addr_len) != 0)
            continue;
        j->ticket = ticket;
        return true;
    }
    return false;
}

/* An answer may have been lost: who stands in the configuration already gets it again, whatever has become of the token. */
void core_join_requested(void *arg, uint64_t ticket, const struct peer_join_request *q)
{
    struct core *c = arg;
    if (!c->leads) {
        elsewhere(c, ticket);
        return;
    }
    if (q->addr.len > RAFT_ADDR_MAX || c->closing) {
        refuse(c, ticket, c->closing ? PEER_R_BUSY : PEER_R_MALFORMED);
        return;
    }
    if (asks_again(c, q, ticket))
        return;
    struct core_joiner *j = place(c, q, ticket);
    const struct raft_member *m = j ? named(c, j) : NULL;
    if (m) {
        accept(c, j, m);
        return;
    }
    enum reeve_err err = j ? c->host.admit(c->host.arg, q, &j->above) : REEVE_E_BUSY;
    if (err == REEVE_OK) {
        core_joins_resume(c);
        return;
    }
    if (j)
        j->used = false;
    refuse(c, ticket, err == REEVE_E_AUTH ? PEER_R_TOKEN : PEER_R_BUSY);
}

void core_change_free(struct core *c)
{
    loop_timer_cancel(c->loop, &c->address_timer);
    loop_timer_cancel(c->loop, &c->join_timer);
    if (c->change_ticket != 0)
        core_change_ended(c, c->change_ticket, REEVE_E_SHUTDOWN);
}
