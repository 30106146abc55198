/*
 * serve_join.c - the side of a join that is asked: what can be judged here is,
 * the rest goes to the host, who answers when the ring has
 */
#include "backend/peer/peer_int.h"

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

static void refuse(struct conn *c, uint8_t reason, const char *why)
{
    uint8_t mem[16];
    struct wr w = wr_fixed(mem, sizeof mem);
    c->p->n.refused++;
    peer_refused_encode(reason, &w);
    peer_conn_last_word(c, &w, why);
}

/* The address that the configuration will hold must end in the key that was just proven. */
static bool own_key(const struct conn *c, struct slice addr)
{
    struct peer_addr a;
    return peer_addr_parse(&a, addr) == REEVE_OK && hash32_eq(&a.key, &c->key);
}

static void on_join_deadline(void *arg)
{
    struct conn *c = arg;
    struct peers *p = c->p;
    peers_enter(p);
    refuse(c, PEER_R_BUSY, "the ring did not answer a join in time");
    peers_leave(p);
}

static void hand_up(struct conn *c, const struct peer_join_request *j)
{
    struct peers *p = c->p;
    if (loop_timer_in(p->loop, &c->deadline, p->c.join_ms, on_join_deadline, c) != REEVE_OK) {
        peer_conn_close(c, "out of memory");
        return;
    }
    c->state = CONN_JOINING;
    p->opening--;
    p->joining++;
    p->n.joins++;
    log_info("%s asks to join as \"%.*s\"", c->from, (int) j->addr.len, (const char *) j->addr.p);
    p->ops.join_requested(p->arg, c->serial, j);
}

void join_serve(struct conn *c, struct slice body)
{
    struct peer_join_request j;
    enum reeve_err err = peer_join_decode(&j, body);
    if (err != REEVE_OK)
        refuse(c, err == REEVE_E_UNSUPPORTED ? PEER_R_VERSION : PEER_R_MALFORMED, "its request to join is malformed");
    else if (j.ring != c->p->c.ring)
        refuse(c, PEER_R_RING, "it wants to join another ring");
    else if (!own_key(c, j.addr))
        refuse(c, PEER_R_KEY, "it wants to join with an address of another key");
    else if (c->p->joining >= JOINING_MAX)
        refuse(c, PEER_R_BUSY, "too many are joining");
    else
        hand_up(c, &j);
    secret_wipe(&j, sizeof j);
    secret_wipe((void *) body.p, body.len);     /* our buffer */
}

/* ---- the host's answers ---- */

static struct conn *asker(struct peers *p, uint64_t ticket)
{
    for (struct conn *c = p->conns; c != NULL; c = c->next)
        if (c->serial == ticket && c->state == CONN_JOINING)
            return c;
    return NULL;
}

static void answer(struct peers *p, uint64_t ticket, const struct wr *w, const char *why)
{
    struct conn *c = asker(p, ticket);
    if (c == NULL)
        return;
    c->quiet = true;
    peer_conn_last_word(c, w, why);
}

void peers_join_accept(struct peers *p, uint64_t ticket, const struct peer_joined *j)
{
    uint8_t mem[PEER_FRAME_HEAD + PEER_OPENING_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    peer_joined_encode(j, &w);
    answer(p, ticket, &w, "it was let in");
}

void peers_join_refuse(struct peers *p, uint64_t ticket, enum peer_refusal reason)
{
    uint8_t mem[16];
    struct wr w = wr_fixed(mem, sizeof mem);
    peer_refused_encode((uint8_t) reason, &w);
    log_notice("a request to join was refused: %s", peer_refusal_text((uint8_t) reason));
    answer(p, ticket, &w, "it was refused");
}

void peers_join_elsewhere(struct peers *p, uint64_t ticket, struct slice addr)
{
    uint8_t mem[PEER_FRAME_HEAD + RAFT_ADDR_MAX + 16];
    struct wr w = wr_fixed(mem, sizeof mem);
    peer_elsewhere_encode(addr, &w);
    answer(p, ticket, &w, "it was sent to the leader");
}
