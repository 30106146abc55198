/* test_join.c - a new member asks to be let in: the right one, once, and only with the secret */
#include "world.h"

#include <unistd.h>

#include "crypto/hash.h"

/* What the host of node 1 does with requests; the ring itself is not here. */
static struct {
    uint8_t secret[PEER_SECRET_LEN];
    unsigned asked, uses, silent;       /* silent: so many requests are not answered */
    struct node *elsewhere;             /* the leader is there */
    uint64_t ticket;                    /* of the last one */
} host;

static struct {
    unsigned times;
    enum reeve_err err;
    uint32_t id;
    struct raft_conf conf;
    char text[200];
} outcome;

static void done(void *arg, enum reeve_err err, const struct peer_joined *j, const char *text)
{
    outcome.times++;
    outcome.err = err;
    snprintf(outcome.text, sizeof outcome.text, "%s", text);
    if (j == NULL)
        return;
    outcome.id = j->id;
    assert_int_equal(j->ring, RING_ID);
    assert_ok(raft_conf_decode(&outcome.conf, j->conf));
}

/* The one who was let in already, asking again: same incarnation, same address with its key. 0: nobody. */
static uint32_t let_in_before(const struct node *n, const struct peer_join_request *j)
{
    for (uint16_t i = 0; i < n->conf.n; i++) {
        const struct raft_member *m = &n->conf.m[i];
        if (m->incarnation == j->incarnation && slice_eq(slice_of(m->addr, m->addr_len), j->addr))
            return m->id;
    }
    return 0;
}

/* As a leader would: the configuration with a learner more; the same answer for the same incarnation. */
static void let_in(struct node *n, uint64_t ticket, const struct peer_join_request *j)
{
    uint8_t mem[RAFT_CONF_BYTES_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct raft_conf next;
    uint32_t id = let_in_before(n, j);
    if (id == 0) {
        struct raft_change ch = { .kind = RAFT_ADD_LEARNER, .id = id = n->conf.last_id + 1, .incarnation = j->incarnation,
                                  .addr_len = (uint8_t) j->addr.len };
        memcpy(ch.addr, j->addr.p, j->addr.len);
        assert_ok(raft_conf_change(&next, &n->conf, &ch, 1));
        node_conf(n, &next, n->conf_index + 1);
        host.uses--;
    }
    raft_conf_encode(&n->conf, &w);
    peers_join_accept(n->p, ticket, &(struct peer_joined){ RING_ID, id, n->conf_index, wr_slice(&w) });
}

static void on_join(struct node *n, uint64_t ticket, const struct peer_join_request *j)
{
    host.asked++;
    host.ticket = ticket;
    if (host.silent > 0)
        host.silent--;
    else if (host.elsewhere != NULL && n != host.elsewhere)
        peers_join_elsewhere(n->p, ticket, slice_of(host.elsewhere->addr, host.elsewhere->addr_len));
    else if (!secret_eq(j->secret, host.secret, sizeof host.secret) || (host.uses == 0 && let_in_before(n, j) == 0))
        peers_join_refuse(n->p, ticket, PEER_R_TOKEN);
    else
        let_in(n, ticket, j);
}

/* A ring of nodes 1..members; the last node of the world is the one that joins. */
static struct world *ring_with_host(unsigned members)
{
    struct world *w = world_new(members + 1);
    struct raft_conf c;
    memset(&host, 0, sizeof host);
    memset(&outcome, 0, sizeof outcome);
    host.uses = 1;
    random_bytes(host.secret, sizeof host.secret);
    world_conf(w, &c, (1u << (members + 1)) - 2);
    c.last_id = members;
    for (unsigned i = 1; i <= members; i++) {
        struct node *n = &w->node[i];
        node_stop(n);
        n->on_join = on_join;
        n->config.join_ms = 300;
        node_start(n);
        node_conf(n, &c, 1);
    }
    return w;
}

static struct peer_token token_of(const struct node *n)
{
    struct peer_token t = { .ring = RING_ID, .key = n->identity.key };
    memcpy(t.secret, host.secret, sizeof t.secret);
    return t;
}

static struct peer_join *ask(struct world *w, struct node *joiner, uint16_t port, const struct peer_token *t)
{
    struct peer_join *j;
    struct report rep = { 0 };
    struct peer_join_config c = { .identity = &joiner->identity, .token = t, .host = "127.0.0.1", .port = port,
                                  .incarnation = joiner->incarnation, .addr = slice_of(joiner->addr, joiner->addr_len),
                                  .try_ms = 1000, .give_up_ms = 8000 };
    assert_ok(peer_join_start(&j, w->loop, &c, done, NULL, &rep));
    return j;
}

static void expect(struct world *w, struct peer_join *j, enum reeve_err err)
{
    world_until(w, outcome.times > 0);
    world_for(w, 30);
    assert_int_equal(outcome.times, 1);
    if (outcome.err != err)
        fail_msg("%s (%s), not %s", reeve_err_name(outcome.err), outcome.text, reeve_err_name(err));
    peer_join_free(j);
}

static void who_has_the_token_is_let_in_and_linked(void **state)
{
    struct world *w = ring_with_host(1);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct peer_token t = token_of(a);
    expect(w, ask(w, b, a->port, &t), REEVE_OK);
    assert_true(outcome.id == 2 && outcome.conf.n == 2 && host.asked == 1 && host.uses == 0);
    node_conf(b, &outcome.conf, a->conf_index);
    world_until(w, linked(a, b) && linked(b, a));
    struct raft_msg m = node_msg(a, b, RAFT_M_SNAPSHOT);
    m.data = slice_str("the first chunk");
    m.size = 100;
    node_send(a, &m);
    world_until(w, b->heard[1] == 1);
    world_free(w);
}

static void a_lost_answer_is_asked_for_again_and_uses_the_token_once(void **state)
{
    struct world *w = ring_with_host(1);
    struct node *a = &w->node[1];
    struct peer_token t = token_of(a);
    host.silent = 2;
    struct peer_join *j = ask(w, &w->node[2], a->port, &t);
    world_until(w, host.asked == 3);
    expect(w, j, REEVE_OK);
    memset(&outcome, 0, sizeof outcome);
    expect(w, ask(w, &w->node[2], a->port, &t), REEVE_OK);     /* whose answer came, but who crashed before keeping it */
    assert_true(outcome.id == 2 && host.uses == 0);
    peers_join_refuse(a->p, host.ticket, PEER_R_TOKEN);         /* nobody waits for it any more */
    world_free(w);
}

static void any_member_names_the_leader_by_its_key(void **state)
{
    struct world *w = ring_with_host(2);
    struct peer_token t = token_of(&w->node[1]);
    host.elsewhere = &w->node[2];
    expect(w, ask(w, &w->node[3], w->node[1].port, &t), REEVE_OK);
    assert_true(host.asked == 2 && outcome.id == 3 && w->node[2].conf.n == 3);
    world_free(w);
}

static void a_wrong_secret_ring_or_used_up_token_ends_it(void **state)
{
    struct world *w = ring_with_host(1);
    struct node *a = &w->node[1];
    struct peer_token t = token_of(a);
    t.secret[0] ^= 1;
    expect(w, ask(w, &w->node[2], a->port, &t), REEVE_E_AUTH);
    memset(&outcome, 0, sizeof outcome);
    t = token_of(a);
    t.ring++;
    expect(w, ask(w, &w->node[2], a->port, &t), REEVE_E_V_CHAIN);
    assert_int_equal(host.asked, 1);            /* the host was not troubled with another ring's */
    memset(&outcome, 0, sizeof outcome);
    t = token_of(a);
    host.uses = 0;
    expect(w, ask(w, &w->node[2], a->port, &t), REEVE_E_AUTH);
    assert_int_equal(a->conf.n, 1);
    world_free(w);
}

static void the_secret_is_not_told_to_another_key(void **state)
{
    struct world *w = ring_with_host(1);
    struct node *a = &w->node[1];
    struct peer_token t = token_of(a);
    t.key = w->node[2].identity.key;            /* whoever answers at that address now is not whom the token names */
    expect(w, ask(w, &w->node[2], a->port, &t), REEVE_E_V_KEY);
    assert_int_equal(host.asked, 0);
    world_free(w);
}

static void an_address_with_another_key_is_refused(void **state)
{
    struct world *w = ring_with_host(1);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct peer_token t = token_of(a);
    assert_ok(peer_addr_format(b->addr, &b->addr_len, "127.0.0.1", b->port, &a->identity.key));
    struct peer_join *j = ask(w, b, a->port, &t);
    struct peers_counts n;
    world_until(w, (peers_counts(a->p, &n), n.refused >= 2));   /* tried again, never handed up */
    assert_int_equal(host.asked, 0);
    peer_join_free(j);
    assert_int_equal(outcome.times, 0);
    world_free(w);
}

static void nobody_answers_ends_in_time_and_can_be_given_up(void **state)
{
    struct world *w = ring_with_host(1);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct peer_token t = token_of(a);
    struct report rep = { 0 };
    struct peer_join *j;
    node_stop(a);
    struct peer_join_config c = { .identity = &b->identity, .token = &t, .host = "127.0.0.1", .port = a->port,
                                  .incarnation = 1, .addr = slice_of(b->addr, b->addr_len), .try_ms = 100, .give_up_ms = 300 };
    assert_ok(peer_join_start(&j, w->loop, &c, done, NULL, &rep));
    expect(w, j, REEVE_E_TIMEOUT);
    assert_non_null(strstr(outcome.text, "could not connect"));
    j = ask(w, b, a->port, &t);
    peer_join_free(j);                  /* at once */
    j = ask(w, b, a->port, &t);
    world_for(w, 60);
    peer_join_free(j);
    world_for(w, 60);
    assert_int_equal(outcome.times, 1);
    world_free(w);
}

static void strangers_are_not_heard_where_nobody_may_join(void **state)
{
    struct world *w = world_new(2);
    struct peer_identity stranger;
    struct raft_conf c;
    struct fake f;
    uint8_t kind;
    world_conf(w, &c, 1u << 1);
    node_conf(&w->node[1], &c, 1);
    assert_ok(peer_identity_fresh(&stranger));
    fake_dial(&f, w, w->node[1].port, &stranger);
    if (fake_frame(&f, &kind, NULL))
        assert_int_equal(kind, PEER_F_REFUSED);
    fake_ended(&f);
    fake_close(&f);
    peer_identity_end(&stranger);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_the_token_is_let_in_and_linked),
        cmocka_unit_test(a_lost_answer_is_asked_for_again_and_uses_the_token_once),
        cmocka_unit_test(any_member_names_the_leader_by_its_key),
        cmocka_unit_test(a_wrong_secret_ring_or_used_up_token_ends_it),
        cmocka_unit_test(the_secret_is_not_told_to_another_key),
        cmocka_unit_test(an_address_with_another_key_is_refused),
        cmocka_unit_test(nobody_answers_ends_in_time_and_can_be_given_up),
        cmocka_unit_test(strangers_are_not_heard_where_nobody_may_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
