/* test_links.c - members find each other, keep each other, and nobody else comes between */
#include "world.h"

#include <unistd.h>

#include "crypto/hash.h"

/* ---- in peace ---- */

static void every_message_arrives_as_it_was_sent(void **state)
{
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct rng rng = rng_seeded("every_message_arrives");
    static uint8_t bytes[3 << 20];
    world_join_all(w);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) rng_next(&rng);
    for (uint8_t type = 1; type < RAFT_M__COUNT; type++) {
        struct raft_msg m = node_msg(a, b, type);
        uint64_t before = b->n;
        m.term = 40 + type;
        m.data = type == RAFT_M_SNAPSHOT || type == RAFT_M_HOST ? slice_of(bytes, 70000) : slice_of(NULL, 0);
        m.size = 1 << 20;
        node_send(a, &m);
        world_until(w, b->n == before + 1);
        const struct heard *h = &b->last[before % HEARD_MAX];
        assert_true(h->type == type && h->from == 1 && h->term == m.term && h->data == m.data.len);
    }
    /* an append of several megabytes */
    struct wr entries = wr_heap(4 << 20);
    struct raft_msg m = node_msg(a, b, RAFT_M_APPEND);
    for (m.n_entries = 0; m.n_entries < 3; m.n_entries++) {
        wr_varint(&entries, 7);
        wr_u8(&entries, RAFT_HOST);
        wr_vbytes(&entries, slice_of(bytes + m.n_entries, 1 << 20));
    }
    struct hash32 sum;
    m.data = wr_slice(&entries);
    sha256(&sum, m.data);
    uint64_t before = b->n;
    node_send(a, &m);
    world_until(w, b->n == before + 1);
    const struct heard *h = &b->last[before % HEARD_MAX];
    assert_true(h->n_entries == 3 && h->data == m.data.len && hash32_eq(&h->sum, &sum));
    wr_free(&entries);
    assert_int_equal(a->n, 0);
    assert_true(node_status(a, 2, PEER_BULK).frames_out == 1);          /* the chunk, and only it */
    assert_true(node_status(b, 1, PEER_BULK).frames_in == 1);
    world_until(w, node_status(a, 2, PEER_LOG).rtt_us > 0);
    world_free(w);
}

static void three_members_hear_each_other_in_order(void **state)
{
    struct world *w = world_new(3);
    world_join_all(w);
    for (unsigned i = 0; i < 1000; i++)
        for (unsigned from = 1; from <= 3; from++)
            for (unsigned to = 1; to <= 3; to++) {
                struct raft_msg m = node_msg(&w->node[from], &w->node[to], RAFT_M_APPEND_REPLY);
                m.index = i;
                if (from != to)
                    peers_send(w->node[from].p, &m, NULL);
            }
    for (unsigned i = 1; i <= 3; i++)
        peers_flush(w->node[i].p);
    world_until(w, w->node[1].n == 2000 && w->node[2].n == 2000 && w->node[3].n == 2000);
    for (unsigned i = 1; i <= 3; i++)
        for (unsigned from = 1; from <= 3; from++) {
            uint64_t last = 0;
            for (uint64_t k = w->node[i].n - HEARD_MAX; k < w->node[i].n; k++) {
                const struct heard *h = &w->node[i].last[k % HEARD_MAX];
                if (h->from != from)
                    continue;
                assert_true(h->index > last);
                last = h->index;
            }
        }
    world_free(w);
}

/* Whose timer is due wants to know what waits before it judges silence: no turn of the loop comes between. */
static void what_has_come_is_handed_up_when_asked_for(void **state)
{
    struct world *w = world_new(3);
    struct node *b = &w->node[2];
    world_join_all(w);
    for (unsigned from = 1; from <= 3; from += 2)
        for (unsigned i = 0; i < 100; i++) {
            struct raft_msg m = node_msg(&w->node[from], b, RAFT_M_APPEND_REPLY);
            m.index = i;
            node_send(&w->node[from], &m);
        }
    for (int64_t end = now_ms() + 10000; b->n < 200 && now_ms() < end;)
        assert_true(peers_read(b->p));
    assert_int_equal(b->n, 200);
    assert_true(peers_read(b->p));                      /* nothing is left, and asking does no harm */
    assert_int_equal(b->n, 200);
    world_free(w);
}

static void news_reach_whoever_is_linked_and_are_lost_without_harm(void **state)
{
    static const uint8_t bytes[PEER_NEWS_MAX + 1];
    struct world *w = world_new(3);
    struct node *a = &w->node[1], *b = &w->node[2];
    peers_tell(a->p, 2, slice_of(bytes, 10));           /* nobody is known yet */
    world_join_all(w);
    peers_tell(a->p, 2, slice_of(bytes, 10));
    peers_tell(a->p, 2, slice_of(bytes, PEER_NEWS_MAX));
    peers_tell(a->p, 2, slice_of(bytes, PEER_NEWS_MAX + 1));
    peers_tell(a->p, 77, slice_of(bytes, 10));
    peers_flush(a->p);
    world_until(w, b->news >= PEER_NEWS_MAX + 10);
    uint64_t lost = a->lost[2];
    for (int i = 0; i < 10000; i++)                     /* more than may wait: dropped, and no reason to call it lost */
        peers_tell(a->p, 2, slice_of(bytes, PEER_NEWS_MAX));
    assert_true(node_status(a, 2, PEER_LOG).queued_bytes < (1u << 20));
    struct raft_msg m = node_msg(a, b, RAFT_M_APPEND_REPLY);
    peers_send(a->p, &m, NULL);
    peers_flush(a->p);
    world_until(w, b->n == 1);
    assert_int_equal(a->lost[2], lost);
    assert_int_equal(w->node[3].news, 0);
    world_free(w);
}

static void a_letter_arrives_whole_from_whoever_it_is(void **state)
{
    static uint8_t bytes[PEER_LETTER_MAX + 1];
    struct world *w = world_new(3);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct slice head = slice_of(bytes, 3);
    struct hash32 sum;
    uint64_t way = 1;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (i * 7);
    assert_err(peers_letter(a->p, 2, head, head, &way), REEVE_E_UNAVAILABLE);   /* nobody is known yet */
    assert_int_equal(way, 0);
    world_join_all(w);
    world_until(w, peers_way(a->p, 2) != 0);
    assert_err(peers_letter(a->p, 77, head, head, &way), REEVE_E_UNAVAILABLE);
    assert_err(peers_letter(a->p, 2, head, slice_of(bytes, PEER_LETTER_MAX - 2), &way), REEVE_E_TOO_BIG);
    const size_t sizes[] = { 0, 1, 5000, 1u << 20, PEER_LETTER_MAX - 3 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct slice parts[2] = { head, slice_of(bytes, sizes[i]) };
        assert_ok(peers_letter(a->p, 2, parts[0], parts[1], &way));
        assert_true(way != 0 && way == peers_way(a->p, 2));
        peers_flush(a->p);
        world_until(w, b->letters == i + 1);
        sha256_parts(&sum, parts, 2);
        assert_int_equal(b->letter.from, 1);
        assert_int_equal(b->letter.len, 3 + sizes[i]);
        assert_true(hash32_eq(&b->letter.sum, &sum));
    }
    assert_int_equal(w->node[3].letters + a->letters, 0);
    world_free(w);
}

/* What waits behind letters that nobody reads is bounded, and heartbeats go past all of them. */
static void letters_wait_in_a_queue_of_their_own(void **state)
{
    static uint8_t bytes[1u << 20];
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    uint64_t way;
    unsigned n = 0;
    world_join_all(w);
    world_until(w, peers_way(a->p, 2) != 0);
    while (n < 1000 && peers_letter(a->p, 2, slice_of(bytes, 1), slice_of(bytes, sizeof bytes), &way) == REEVE_OK)
        n++;
    assert_true(n >= 4 && n < 64);
    assert_err(peers_letter(a->p, 2, slice_of(bytes, 1), slice_of(bytes, sizeof bytes), &way), REEVE_E_BUSY);
    struct raft_msg m = node_msg(a, b, RAFT_M_HEARTBEAT);
    node_send(a, &m);
    world_until(w, b->n == 1);
    world_until(w, b->letters == n);
    assert_int_equal(a->lost[2], 0);
    world_free(w);
}

static void a_way_ends_with_either_connection_and_never_comes_again(void **state)
{
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    world_join_all(w);
    world_until(w, peers_way(a->p, 2) != 0 && peers_way(b->p, 1) != 0);
    uint64_t first = peers_way(a->p, 2);
    node_stop(b);
    world_until(w, peers_way(a->p, 2) == 0);
    node_start(b);
    world_until(w, peers_way(a->p, 2) != 0 && peers_way(b->p, 1) != 0);
    uint64_t second = peers_way(a->p, 2);
    assert_true(second != first);
    struct raft_conf alone, both = a->conf;
    world_conf(w, &alone, 1u << 1);
    node_conf(a, &alone, 10);
    assert_int_equal(peers_way(a->p, 2), 0);
    node_conf(a, &both, 11);
    world_until(w, peers_way(a->p, 2) != 0);
    assert_true(peers_way(a->p, 2) != first && peers_way(a->p, 2) != second);
    world_free(w);
}

static void a_name_is_looked_up_without_stopping_the_loop(void **state)
{
    struct world *w = world_new(2);
    struct raft_conf c;
    world_conf(w, &c, ~0u);
    size_t len;
    char text[RAFT_ADDR_MAX + 1];
    assert_ok(peer_addr_format(text, &len, "localhost", w->node[2].port, &w->node[2].identity.key));
    memcpy(c.m[1].addr, text, len);
    c.m[1].addr_len = (uint8_t) len;
    node_conf(&w->node[1], &c, 1);
    node_conf(&w->node[2], &c, 1);
    assert_int_equal(node_status(&w->node[1], 2, PEER_LOG).state, PEER_L_RESOLVING);
    world_until(w, linked(&w->node[1], &w->node[2]));
    world_free(w);
}

static void a_question_for_a_name_may_be_left_unanswered(void **state)
{
    struct world *w = world_new(2);
    struct raft_conf c, alone;
    size_t len;
    char text[RAFT_ADDR_MAX + 1];
    world_conf(w, &c, ~0u);
    world_conf(w, &alone, 1u << 1);
    assert_ok(peer_addr_format(text, &len, "no-such-host.invalid", w->node[2].port, &w->node[2].identity.key));
    memcpy(c.m[1].addr, text, len);
    c.m[1].addr_len = (uint8_t) len;
    node_conf(&w->node[1], &c, 1);
    node_conf(&w->node[1], &alone, 2);          /* while it is being asked */
    world_for(w, 50);
    node_conf(&w->node[1], &c, 3);
    world_until(w, strstr(node_status(&w->node[1], 2, PEER_LOG).error, "could not find") != NULL);
    node_conf(&w->node[1], &alone, 4);
    node_conf(&w->node[1], &c, 5);
    node_stop(&w->node[1]);                     /* and again, by the end of everything */
    world_for(w, 100);
    world_free(w);
}

/* ---- losing and finding ---- */

static void a_member_that_comes_back_is_found_again_at_once(void **state)
{
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    a->config.retry_ms_max = 5000;
    node_stop(a);
    node_start(a);
    world_join_all(w);
    assert_true(a->reach[2] && a->found[2] == 1 && a->lost[2] == 0);
    node_stop(b);
    world_until(w, !a->reach[2]);
    assert_true(a->lost[2] >= 1);         /* both ways of it, one after the other */
    world_until(w, node_status(a, 2, PEER_LOG).state == PEER_L_WAITING);
    assert_true(strlen(node_status(a, 2, PEER_LOG).error) > 0);
    int64_t took = 0;
    for (unsigned round = 0; round < 3; round++) {
        world_for(w, 900);              /* it waits longer and longer by now: a second and more */
        int64_t start = now_ms();
        node_start(b);
        world_until(w, linked(a, b) && linked(b, a));
        took += now_ms() - start;
        assert_true(a->reach[2] && a->found[2] == 2 + round);
        if (round < 2)
            node_stop(b);
        world_until(w, round == 2 || !a->reach[2]);
    }
    print_message("# linked again three times, after %lld ms in all\n", (long long) took);
    assert_true(took < 1500);
    struct raft_msg m = node_msg(a, b, RAFT_M_VOTE);
    node_send(a, &m);
    world_until(w, b->heard[1] == 1);
    world_free(w);
}

static void who_is_removed_is_cut_off_and_who_returns_is_let_in(void **state)
{
    struct world *w = world_new(3);
    struct node *a = &w->node[1], *c = &w->node[3];
    struct raft_conf all, without;
    world_join_all(w);
    world_conf(w, &all, ~0u);
    world_conf(w, &without, ~(1u << 3));
    node_conf(a, &without, 2);
    node_conf(&w->node[2], &without, 2);
    world_until(w, !linked(c, a) && !linked(c, &w->node[2]));
    assert_int_equal(node_status(a, 3, PEER_LOG).id, 0);
    struct raft_msg m = node_msg(c, a, RAFT_M_VOTE);
    uint64_t before = a->n;
    node_send(c, &m);
    world_until(w, strstr(node_status(c, 1, PEER_LOG).error, "does not name us") != NULL);
    assert_int_equal(a->n, before);
    assert_true(linked(a, &w->node[2]));        /* the others did not notice */
    node_conf(a, &all, 3);
    world_until(w, linked(c, a) && linked(a, c));
    world_free(w);
}

static void a_member_that_slept_through_changes_is_told_whom_to_let_in(void **state)
{
    struct world *w = world_new(3);
    struct raft_conf old, now;
    world_conf(w, &old, 1u << 1 | 1u << 3);
    world_conf(w, &now, ~0u);
    node_conf(&w->node[3], &old, 1);
    node_conf(&w->node[2], &now, 9);
    node_conf(&w->node[1], &now, 9);
    world_until(w, linked(&w->node[2], &w->node[3]) && linked(&w->node[3], &w->node[2]));
    world_free(w);
}

/* Where the host alone says whom to know, a greeting names nobody else. */
static void fixed_links_learn_nothing_from_greetings(void **state)
{
    struct world *w = world_new(3);
    struct raft_conf old, now;
    struct node *sleeper = &w->node[3];
    node_stop(sleeper);
    sleeper->config.fixed = true;
    node_start(sleeper);
    world_conf(w, &old, 1u << 1 | 1u << 3);
    world_conf(w, &now, ~0u);
    node_conf(sleeper, &old, 1);
    node_conf(&w->node[1], &now, 9);
    world_until(w, linked(&w->node[1], sleeper) && linked(sleeper, &w->node[1]));
    assert_int_equal(peers_status(sleeper->p, NULL, 0), 2);     /* node 1, both purposes */
    world_free(w);
}

static void a_new_address_of_a_member_is_dialed(void **state)
{
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct raft_conf c;
    world_join_all(w);
    node_stop(b);
    b->port = 0;
    b->conf.n = 0;
    node_start(b);
    world_conf(w, &c, ~0u);
    node_conf(b, &c, 2);
    world_until(w, linked(b, a));
    world_until(w, linked(a, b));       /* learned from the greeting of b, whose key is known */
    assert_memory_equal(node_status(a, 2, PEER_LOG).addr, b->addr, b->addr_len);
    world_free(w);
}

/* ---- who does not belong ---- */

static void expect_refusal(struct world *w, struct node *at, const char *what)
{
    struct node *b = &w->node[2];
    world_until(w, strstr(node_status(at, b->id, PEER_LOG).error, what) != NULL);
    assert_int_equal(at->found[b->id], 0);
}

static void another_key_ring_or_incarnation_does_not_come_in(void **state)
{
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct raft_conf c, wrong;
    struct peer_identity other;
    size_t len;
    world_conf(w, &c, ~0u);
    assert_ok(peer_identity_fresh(&other));
    /* b knows another key of a: neither lets b in, nor is let in by it */
    wrong = c;
    assert_ok(peer_addr_format(wrong.m[0].addr, &len, "127.0.0.1", a->port, &other.key));
    node_conf(a, &c, 1);
    node_conf(b, &wrong, 1);
    expect_refusal(w, a, "its configuration does not name us");
    world_until(w, strstr(node_status(b, 1, PEER_LOG).error, "not the one in the configuration") != NULL);
    /* another incarnation */
    wrong = c;
    wrong.m[0].incarnation++;
    node_conf(b, &wrong, 2);
    expect_refusal(w, a, "another incarnation is expected");
    /* another ring */
    node_stop(b);
    b->config.ring++;
    b->conf = c;
    node_start(b);
    expect_refusal(w, a, "another ring");
    /* another id */
    node_stop(b);
    b->config.ring--;
    b->config.id = 4;
    b->conf.n = 0;
    node_start(b);
    wrong = c;
    wrong.m[1].id = 4;
    node_conf(b, &wrong, 1);
    expect_refusal(w, a, "another member than the one called");
    struct peers_counts n;
    peers_counts(b->p, &n);
    assert_true(n.refused > 0 && a->n == 0 && b->n == 0);
    peer_identity_end(&other);
    world_free(w);
}

/* The greeting of node `from`, as it would say it itself. */
static void fake_hello(struct fake *f, const struct node *from, const struct node *to, uint8_t purpose)
{
    uint8_t mem[256], kind;
    struct wr w = wr_fixed(mem, sizeof mem);
    peer_hello_encode(&(struct peer_hello){ 1, 1, purpose, RING_ID, from->id, to->id, from->incarnation, to->incarnation,
                                            0, { NULL, 0 } }, &w);
    fake_write(f, wr_slice(&w));
    assert_true(fake_frame(f, &kind, NULL));
    assert_int_equal(kind, PEER_F_WELCOME);
}

static void raft_frame(struct wr *w, const struct raft_msg *m)
{
    wr_reset(w);
    wr_u32(w, 0);
    wr_u8(w, PEER_F_RAFT);
    raft_msg_encode(m, NULL, w);
    wr_patch_u32(w, 0, (uint32_t) (w->len - 4));
}

static void nobody_speaks_for_another(void **state)
{
    struct world *w = world_new(3);
    struct node *a = &w->node[1], *b = &w->node[2], *c = &w->node[3];
    struct raft_conf conf;
    uint8_t mem[512];
    struct wr out = wr_fixed(mem, sizeof mem);
    world_conf(w, &conf, ~0u);
    node_stop(b);
    node_conf(a, &conf, 1);
    struct raft_msg good = node_msg(b, a, RAFT_M_VOTE), bad[4] = { good, good, good, good };
    bad[0].from = 3;
    bad[0].from_incarnation = c->incarnation;
    bad[1].to = 3;
    bad[2].ring++;
    bad[3].to_incarnation++;
    for (size_t i = 0; i < 4; i++) {
        struct fake f;
        fake_dial(&f, w, a->port, &b->identity);
        fake_hello(&f, b, a, PEER_LOG);
        raft_frame(&out, &good);
        fake_write(&f, wr_slice(&out));
        raft_frame(&out, &bad[i]);
        fake_write(&f, wr_slice(&out));
        fake_ended(&f);
        fake_close(&f);
        assert_int_equal(a->n, i + 1);          /* the good one only */
        assert_int_equal(a->heard[3], 0);
    }
    world_free(w);
}

/* Every member proves a key that the configuration names; it must be the one of the id that is claimed. */
static void a_members_key_opens_its_own_place_only(void **state)
{
    struct world *w = world_new(3);
    struct node *a = &w->node[1], *b = &w->node[2], *c = &w->node[3];
    struct raft_conf conf;
    struct fake f;
    uint8_t mem[256], body_mem[64], kind, reason = 0;
    struct wr out = wr_fixed(mem, sizeof mem), body = wr_fixed(body_mem, sizeof body_mem);
    world_conf(w, &conf, ~0u);
    node_stop(b);
    node_stop(c);
    node_conf(a, &conf, 1);
    peer_hello_encode(&(struct peer_hello){ 1, 1, PEER_LOG, RING_ID, b->id, a->id, b->incarnation, a->incarnation,
                                            0, { NULL, 0 } }, &out);
    fake_dial(&f, w, a->port, &c->identity);
    fake_write(&f, wr_slice(&out));
    assert_true(fake_frame(&f, &kind, &body));
    assert_int_equal(kind, PEER_F_REFUSED);
    assert_ok(peer_refused_decode(&reason, wr_slice(&body)));
    assert_int_equal(reason, PEER_R_KEY);
    fake_ended(&f);
    fake_close(&f);
    assert_false(node_status(a, 2, PEER_LOG).in_up);
    world_free(w);
}

static void junk_harms_its_own_connection_only(void **state)
{
    struct world *w = world_new(3);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct rng rng = rng_seeded("junk_harms");
    struct peer_identity stranger;
    struct fake f;
    uint8_t junk[2000];
    world_join_all(w);
    uint64_t lost = a->lost[2] + a->lost[3] + b->lost[1];
    assert_ok(peer_identity_fresh(&stranger));
    for (unsigned i = 0; i < 60; i++) {
        for (size_t k = 0; k < sizeof junk; k++)
            junk[k] = (uint8_t) rng_next(&rng);
        if (i % 3 == 0)                 /* before TLS */
            fake_dial(&f, w, a->port, NULL);
        else                            /* inside TLS, from a stranger or with a member's key */
            fake_dial(&f, w, a->port, i % 3 == 1 ? &stranger : &b->identity);
        if (i % 2 == 0)                 /* small lengths, so that bodies are looked at */
            memset(junk, 0, 3);
        fake_write(&f, slice_of(junk, sizeof junk));
        fake_ended(&f);
        fake_close(&f);
    }
    struct raft_msg m = node_msg(b, a, RAFT_M_VOTE);
    node_send(b, &m);
    world_until(w, a->heard[2] == 1);
    assert_int_equal(a->lost[2] + a->lost[3] + b->lost[1], lost);
    struct peers_counts n;
    peers_counts(a->p, &n);
    assert_int_equal(n.opening, 0);
    peer_identity_end(&stranger);
    world_free(w);
}

static void without_a_certificate_or_our_protocol_nobody_gets_through_tls(void **state)
{
    struct world *w = world_new(1);
    static const char *const alpn[] = { PEER_ALPN, "reeve/1" };
    struct peers_counts n;
    for (int i = 0; i < 2; i++) {
        struct fake f;
        struct report rep = { 0 };
        uint8_t byte = 0;
        size_t len;
        fake_dial(&f, w, w->node[1].port, NULL);
        assert_ok(tls_ctx_client(&f.ctx, alpn[i], &rep));
        assert_ok(tls_connect_new(&f.tls, f.ctx, f.fd, NULL));
        enum tls_result r;
        int64_t end = now_ms() + 10000;
        while ((r = tls_handshake(f.tls)) == TLS_WANT_READ || r == TLS_WANT_WRITE) {
            loop_run_once(w->loop, 1);
            assert_true(now_ms() < end);
        }
        /* for the client of TLS 1.3 the handshake is over before its certificate is missed */
        while (r == TLS_OK || r == TLS_WANT_READ) {
            r = tls_read(f.tls, &byte, 1, &len);
            loop_run_once(w->loop, 1);
            assert_true(now_ms() < end);
        }
        assert_true(r == TLS_FAIL || r == TLS_EOF);
        fake_close(&f);
    }
    world_until(w, (peers_counts(w->node[1].p, &n), n.opening == 0 && n.accepted == 2));
    world_free(w);
}

static void an_oversized_frame_ends_the_connection_before_it_is_read(void **state)
{
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct raft_conf conf;
    struct fake f;
    uint8_t big[5] = { 0, 0x80, 0, 2, PEER_F_RAFT }, hello[5] = { 0, 0, 0x10, 0, PEER_F_HELLO };
    world_conf(w, &conf, ~0u);
    node_stop(b);
    node_conf(a, &conf, 1);
    fake_dial(&f, w, a->port, &b->identity);
    fake_write(&f, slice_of(hello, 5));         /* a greeting of 4 KiB */
    fake_ended(&f);
    fake_close(&f);
    fake_dial(&f, w, a->port, &b->identity);
    fake_hello(&f, b, a, PEER_LOG);
    fake_write(&f, slice_of(big, 5));           /* one more than the largest */
    fake_ended(&f);
    fake_close(&f);
    assert_int_equal(a->n, 0);
    world_free(w);
}

static void a_crowd_at_the_door_keeps_no_member_out(void **state)
{
    enum { CROWD = 300 };
    static struct fake crowd[CROWD];
    struct world *w = world_new(3);
    struct node *a = &w->node[1], *b = &w->node[2], *c = &w->node[3];
    struct peers_counts n;
    world_join_all(w);
    for (unsigned i = 0; i < CROWD; i++) {      /* they say nothing, or half of something */
        fake_dial(&crowd[i], w, a->port, NULL);
        if (i % 2 == 0)
            fake_write(&crowd[i], slice_of("\x16\x03\x01\x02\x00\x01", 6));
        loop_run_once(w->loop, 0);
        peers_counts(a->p, &n);
        assert_true(n.opening <= a->config.opening_max);
    }
    assert_true(n.crowded_out >= CROWD - a->config.opening_max - n.shed);
    uint64_t before = a->heard[2];
    struct raft_msg m = node_msg(b, a, RAFT_M_HEARTBEAT);
    node_send(b, &m);
    world_until(w, a->heard[2] == before + 1);
    node_stop(c);
    node_start(c);                      /* while they stand there */
    world_until(w, linked(c, a) && linked(a, c));
    assert_true(linked(b, a) && linked(a, b));
    assert_int_equal(a->lost[2], 0);
    for (unsigned i = 0; i < CROWD; i++)
        fake_close(&crowd[i]);
    world_free(w);
}

static void more_connections_than_the_rate_are_shed_before_tls(void **state)
{
    struct world *w = world_new(1);
    struct node *a = &w->node[1];
    struct peers_counts n;
    static struct fake f[100];
    for (unsigned i = 0; i < 100; i++)
        fake_dial(&f[i], w, a->port, NULL);
    world_until(w, (peers_counts(a->p, &n), n.accepted + n.shed == 100));
    assert_true(n.accepted >= a->config.strangers_per_s && n.accepted < 60);
    for (unsigned i = 0; i < 100; i++)
        fake_close(&f[i]);
    world_free(w);
}

/* ---- who does not read ---- */

/* Node 1 knows a node 2 that is the fake; its log connection is returned, greeted. */
static int fake_member(struct world *w, struct fake log[1], struct fake bulk[1])
{
    struct node *a = &w->node[1], *b = &w->node[2];
    struct raft_conf conf;
    uint8_t mem[256], body_mem[PEER_OPENING_MAX], kind;
    struct wr out = wr_fixed(mem, sizeof mem), body = wr_fixed(body_mem, sizeof body_mem);
    node_stop(b);
    int listener = fake_listen(&b->port);
    assert_ok(peer_addr_format(b->addr, &b->addr_len, "127.0.0.1", b->port, &b->identity.key));
    world_conf(w, &conf, ~0u);
    node_conf(a, &conf, 1);
    peer_welcome_encode(&(struct peer_welcome){ PEER_VERSION, b->id, b->incarnation, 0, { NULL, 0 } }, &out);
    for (int i = 0; i < 2; i++) {
        struct fake f;
        struct peer_hello h;
        fake_accept(&f, w, listener, &b->identity);
        assert_true(fake_frame(&f, &kind, &body));
        assert_ok(peer_hello_decode(&h, wr_slice(&body)));
        fake_write(&f, wr_slice(&out));
        *(h.purpose == PEER_LOG ? log : bulk) = f;
    }
    world_until(w, linked(a, b));
    return listener;
}

static struct raft_msg host_message(struct node *a, struct node *b, size_t len)
{
    static uint8_t bytes[1 << 16];
    struct raft_msg m = node_msg(a, b, RAFT_M_HOST);
    m.data = slice_of(bytes, len);
    return m;
}

static void who_does_not_read_costs_a_bounded_queue_and_is_given_up(void **state)
{
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct fake log, bulk;
    node_stop(a);
    a->config.queue_bytes[PEER_LOG] = 1 << 20;
    a->config.dead_ms = 800;
    node_start(a);
    int listener = fake_member(w, &log, &bulk);
    struct raft_msg m = host_message(a, b, 32768), beat = node_msg(a, b, RAFT_M_HEARTBEAT);
    uint64_t lost = a->lost[2];
    for (unsigned i = 0; i < 2000 && node_status(a, 2, PEER_LOG).dropped < 10; i++) {
        node_send(a, &m);
        assert_true(node_status(a, 2, PEER_LOG).queued_bytes <= 1 << 20);
        loop_run_once(w->loop, 0);
    }
    assert_true(node_status(a, 2, PEER_LOG).dropped >= 10);
    world_until(w, a->lost[2] > lost);          /* told, though the connection stands */
    assert_int_equal(node_status(a, 2, PEER_LOG).state, PEER_L_UP);
    for (unsigned i = 0; i < 5; i++)
        node_send(a, &beat);
    assert_int_equal(node_status(a, 2, PEER_LOG).replaced, 4);
    world_until(w, strstr(node_status(a, 2, PEER_LOG).error, "no answer for") != NULL);
    fake_close(&log);
    fake_close(&bulk);
    close(listener);
    world_free(w);
}

static void who_falls_silent_is_given_up(void **state)
{
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct raft_conf conf;
    struct fake f;
    world_conf(w, &conf, ~0u);
    node_stop(b);
    node_stop(a);
    a->config.dead_ms = 200;
    a->config.ping_ms = 50;
    node_start(a);
    node_conf(a, &conf, 1);
    fake_dial(&f, w, a->port, &b->identity);
    fake_hello(&f, b, a, PEER_LOG);
    assert_true(node_status(a, 2, PEER_LOG).in_up);
    fake_ended(&f);                     /* a member would have asked whether we live */
    assert_false(node_status(a, 2, PEER_LOG).in_up);
    fake_close(&f);
    world_free(w);
}

static void who_was_stopped_itself_blames_nobody(void **state)
{
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    for (unsigned i = 1; i <= 2; i++) {
        node_stop(&w->node[i]);
        w->node[i].config.dead_ms = 250;
        w->node[i].config.ping_ms = 20;
        node_start(&w->node[i]);
    }
    world_join_all(w);
    world_for(w, 60);
    for (unsigned i = 0; i < 5; i++) {
        usleep(600000);                 /* the process does not run */
        world_for(w, 60);
    }
    assert_true(linked(a, b) && linked(b, a));
    assert_int_equal(a->lost[2] + b->lost[1], 0);
    world_free(w);
}

static void heartbeats_overtake_what_is_queued(void **state)
{
    struct world *w = world_new(2);
    struct node *a = &w->node[1], *b = &w->node[2];
    struct fake log, bulk;
    static uint8_t body_mem[1 << 16];
    struct wr body = wr_fixed(body_mem, sizeof body_mem);
    int listener = fake_member(w, &log, &bulk);
    struct raft_msg m = host_message(a, b, 40000), beat = node_msg(a, b, RAFT_M_HEARTBEAT), got;
    unsigned sent = 0, before = 0;
    while (node_status(a, 2, PEER_LOG).queued_bytes < 12 << 20) {
        node_send(a, &m);
        sent++;
        loop_run_once(w->loop, 0);
    }
    size_t queued = node_status(a, 2, PEER_LOG).queued_bytes;
    beat.commit = 5;
    node_send(a, &beat);
    for (;; before++) {                 /* what the kernel held already, and then the heartbeat */
        uint8_t kind;
        assert_true(fake_frame(&log, &kind, &body));
        if (kind == PEER_F_RAFT && raft_msg_decode(&got, wr_slice(&body)) == REEVE_OK && got.type == RAFT_M_HEARTBEAT)
            break;
    }
    assert_true(got.commit == 5 && before < sent - queued / 40100 + 10);
    fake_close(&log);
    fake_close(&bulk);
    close(listener);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_arrives_as_it_was_sent),
        cmocka_unit_test(three_members_hear_each_other_in_order),
        cmocka_unit_test(what_has_come_is_handed_up_when_asked_for),
        cmocka_unit_test(news_reach_whoever_is_linked_and_are_lost_without_harm),
        cmocka_unit_test(a_letter_arrives_whole_from_whoever_it_is),
        cmocka_unit_test(letters_wait_in_a_queue_of_their_own),
        cmocka_unit_test(a_way_ends_with_either_connection_and_never_comes_again),
        cmocka_unit_test(a_name_is_looked_up_without_stopping_the_loop),
        cmocka_unit_test(a_question_for_a_name_may_be_left_unanswered),
        cmocka_unit_test(a_member_that_comes_back_is_found_again_at_once),
        cmocka_unit_test(who_is_removed_is_cut_off_and_who_returns_is_let_in),
        cmocka_unit_test(a_member_that_slept_through_changes_is_told_whom_to_let_in),
        cmocka_unit_test(fixed_links_learn_nothing_from_greetings),
        cmocka_unit_test(a_new_address_of_a_member_is_dialed),
        cmocka_unit_test(another_key_ring_or_incarnation_does_not_come_in),
        cmocka_unit_test(nobody_speaks_for_another),
        cmocka_unit_test(a_members_key_opens_its_own_place_only),
        cmocka_unit_test(junk_harms_its_own_connection_only),
        cmocka_unit_test(without_a_certificate_or_our_protocol_nobody_gets_through_tls),
        cmocka_unit_test(an_oversized_frame_ends_the_connection_before_it_is_read),
        cmocka_unit_test(a_crowd_at_the_door_keeps_no_member_out),
        cmocka_unit_test(more_connections_than_the_rate_are_shed_before_tls),
        cmocka_unit_test(who_does_not_read_costs_a_bounded_queue_and_is_given_up),
        cmocka_unit_test(who_falls_silent_is_given_up),
        cmocka_unit_test(who_was_stopped_itself_blames_nobody),
        cmocka_unit_test(heartbeats_overtake_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
