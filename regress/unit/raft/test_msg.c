/* test_msg.c - messages as bytes: they read back; nothing a peer may send does harm */
#include "../unit.h"
#include "engine/raft.h"

static uint8_t bytes[1u << 16];

static struct raft_msg sample(uint8_t type, struct rng *r)
{
    return (struct raft_msg){ .type = type, .flags = (uint8_t) rng_below(r, 16), .from = rng_below(r, 9) + 1, .to = rng_below(r, 9),
        .from_incarnation = rng_next(r), .to_incarnation = rng_next(r), .ring = rng_next(r), .term = rng_next(r) >> 3,
        .index = rng_next(r) >> 3, .log_term = rng_below(r, 1000), .commit = rng_next(r) >> 40, .hint = rng_below(r, 50),
        .read = rng_next(r), .snap = rng_next(r), .size = 1000000, .offset = rng_below(r, 1000000) };
}

static size_t entries(struct raft_msg *m, uint8_t *into, size_t cap, struct rng *r)
{
    struct wr w = wr_fixed(into, cap);
    m->n_entries = rng_below(r, 5);
    for (uint32_t i = 0; i < m->n_entries; i++) {
        wr_varint(&w, rng_below(r, 100));
        wr_u8(&w, (uint8_t) (1 + rng_below(r, 5)));
        wr_vbytes(&w, slice_of(bytes, rng_below(r, 40)));
    }
    m->data = wr_slice(&w);
    return w.len;
}

static size_t encode(const struct raft_msg *m)
{
    struct wr w = wr_fixed(bytes, sizeof bytes);
    raft_msg_encode(m, NULL, &w);
    assert_false(w.bad);
    return w.len;
}

static struct raft_msg full(uint8_t type, struct rng *r)
{
    static uint8_t data[4096];
    struct raft_msg m = sample(type, r);
    if (type == RAFT_M_APPEND)
        entries(&m, data, sizeof data, r);
    if (type == RAFT_M_SNAPSHOT || type == RAFT_M_HOST)
        m.data = slice_of(data, rng_below(r, 200));
    if (type == RAFT_M_SNAPSHOT)
        m.conf = slice_of(data, 30);
    return m;
}

static void every_type_reads_back_the_same(void **state)
{
    struct rng r = rng_seeded("messages");
    for (int i = 0; i < 20000; i++) {
        struct raft_msg m = full((uint8_t) (1 + i % (RAFT_M__COUNT - 1)), &r), d;
        static uint8_t first[1u << 16];
        size_t len = encode(&m);
        memcpy(first, bytes, len);
        assert_ok(raft_msg_decode(&d, slice_of(first, len)));
        assert_int_equal(d.n_entries, m.n_entries);
        assert_int_equal(encode(&d), len);
        assert_memory_equal(bytes, first, len);
    }
}

static void a_message_cut_short_or_too_long_is_refused(void **state)
{
    struct rng r = rng_seeded("cut messages");
    for (uint8_t type = 1; type < RAFT_M__COUNT; type++) {
        struct raft_msg m = full(type, &r), d;
        size_t len = encode(&m);
        for (size_t n = 0; n < len; n++)
            assert_int_not_equal(raft_msg_decode(&d, slice_of(bytes, n)), REEVE_OK);
        bytes[len] = 1;
        assert_int_not_equal(raft_msg_decode(&d, slice_of(bytes, len + 1)), REEVE_OK);
    }
}

/* Whatever decodes can be walked to its end. */
static void random_bytes_do_no_harm(void **state)
{
    struct rng r = rng_seeded("random messages");
    unsigned good = 0;
    for (int i = 0; i < 300000; i++) {
        struct raft_msg m = full((uint8_t) (1 + rng_below(&r, RAFT_M__COUNT - 1)), &r), d;
        size_t len = encode(&m);
        for (uint32_t k = rng_below(&r, 4); k > 0; k--)
            bytes[rng_below(&r, (uint32_t) len)] = (uint8_t) rng_next(&r);
        if (raft_msg_decode(&d, slice_of(bytes, len)) != REEVE_OK)
            continue;
        good++;
        struct rd in = rd_of(d.data);
        struct raft_entry e;
        uint32_t n = 0;
        while (d.type == RAFT_M_APPEND && raft_msg_entry(&in, &e))
            n++;
        assert_true(d.type != RAFT_M_APPEND || (n == d.n_entries && rd_done(&in)));
    }
    assert_true(good > 1000);
}

static void an_entry_count_that_lies_is_refused(void **state)
{
    struct rng r = rng_seeded("lying messages");
    struct raft_msg m = sample(RAFT_M_APPEND, &r), d;
    static uint8_t data[4096];
    do
        entries(&m, data, sizeof data, &r);
    while (m.n_entries < 2);
    m.n_entries++;
    assert_err(raft_msg_decode(&d, slice_of(bytes, encode(&m))), REEVE_E_MALFORMED);
    m.n_entries -= 2;
    assert_err(raft_msg_decode(&d, slice_of(bytes, encode(&m))), REEVE_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reads_back_the_same),
        cmocka_unit_test(a_message_cut_short_or_too_long_is_refused),
        cmocka_unit_test(random_bytes_do_no_harm),
        cmocka_unit_test(an_entry_count_that_lies_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
