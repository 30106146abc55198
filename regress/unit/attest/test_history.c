/* test_history.c - history bundles: whole, in part, of several validators, tampered with. */
#include "world.h"
#include "crypto/hash.h"
#include "engine/attest_history.h"

#define BUNDLE_MAX (1u << 20)

static struct world w;
static struct history_work work;
static uint8_t bundle_mem[BUNDLE_MAX], copy_mem[BUNDLE_MAX];
static struct report rep;

static void story(unsigned validators)
{
    char key[32];
    struct class_doc doc = { 1 };
    world_new(&w, validators);
    world_furnish(&w);
    for (int i = 0; i < 9; i++) {
        snprintf(key, sizeof key, "prefix%d/", i);
        block_of(&w, AT_CLASS, key, PAYLOAD(&w, class, &doc));
        if (i % 3 == 0)
            block(&w, NULL, 0);         /* a tick */
    }
}

static struct attest_head head(void)
{
    struct attest_head h;
    assert_ok(attest_head(&w.a, &h));
    return h;
}

static void put_digest(struct wr *out)
{
    struct hash32 sum;
    sha256(&sum, wr_slice(out));
    wr_bytes(out, sum.b, 32);
}

/* In pieces of piece bytes. */
static struct slice export(uint64_t from, uint64_t to, uint64_t height, size_t piece, const char *note)
{
    struct wr out = wr_fixed(bundle_mem, sizeof bundle_mem);
    struct history_plan p;
    assert_ok(attest_history_start(&w.a, from, to, height, &p, &out));
    while (p.next < p.end)
        assert_ok(attest_history_blocks(&w.a, &p, out.len + piece, &out));
    assert_ok(attest_history_end(&w.a, &p, slice_str(note), &out));
    put_digest(&out);
    assert_false(out.bad);
    return wr_slice(&out);
}

static enum reeve_err verify(struct slice in)
{
    struct hash32 chain = head().chain_id;
    report_clear(&rep);
    return history_verify(&crypto_ops_real, &chain, in, &work, &rep);
}

static void test_the_whole_history_verifies(void **state)
{
    story(4);
    struct attest_head h = head();
    struct slice b = export(0, h.log_size - 1, h.height, 1, "a note\n");
    assert_ok(verify(b));
    assert_int_equal(work.facts.first, 0);
    assert_int_equal(work.facts.end, h.log_size);
    assert_int_equal(work.facts.head.height, h.height);
    assert_true(slice_eq(work.facts.note, slice_str("a note\n")));
    assert_true(history_checkpoint_is(&work.facts, h.log_size, &h.log_root));
    struct slice again = slice_of(copy_mem, b.len);
    memcpy(copy_mem, b.p, b.len);
    b = export(0, h.log_size - 1, h.height, 1 << 20, "a note\n");
    assert_true(slice_eq(b, again));    /* the pieces do not show */
    world_free(&w);
}

static void test_every_range_under_every_head_verifies(void **state)
{
    story(1);
    struct attest_head h = head();
    for (uint64_t height = 1; height <= h.height; height++)
        for (uint64_t from = 0; from < h.log_size; from++)
            for (uint64_t to = from; to < h.log_size; to++) {
                struct history_plan p;
                struct wr probe = wr_fixed(copy_mem, sizeof copy_mem);
                enum reeve_err err = attest_history_start(&w.a, from, to, height, &p, &probe);
                if (err == REEVE_E_OUT_OF_RANGE)
                    continue;           /* that head's log is shorter */
                assert_ok(err);
                assert_ok(verify(export(from, to, height, 1 << 20, "")));
                assert_true(work.facts.first <= from && work.facts.end > to && work.facts.end <= work.facts.head.log_size);
            }
    assert_int_equal(work.facts.end, h.log_size);
    world_free(&w);
}

static void test_the_reader_gives_the_leaves_back(void **state)
{
    story(1);
    struct attest_head h = head();
    struct slice b = export(0, h.log_size - 1, h.height, 1 << 20, "");
    struct history_reader r;
    uint64_t n = 0;
    enum reeve_err err;
    assert_ok(history_open(&r, b));
    while ((err = history_next(&r, &work.b)) == REEVE_OK)
        for (size_t i = 0; i < work.b.n; i++, n++) {
            struct slice leaf;
            uint64_t height;
            assert_ok(attest_leaf(&w.a, n, &leaf, &height));
            assert_true(slice_eq(leaf, work.b.leaf[i]));
            assert_int_equal(work.b.first + i, n);
            assert_int_equal(work.b.f.header.height, height);
        }
    assert_err(err, REEVE_E_NOT_FOUND);
    assert_int_equal(n, h.log_size);
    assert_ok(history_tail(&r, &work.t));
    world_free(&w);
}

/* The digest made anew: what is refused is refused for its meaning. */
static enum reeve_err verify_with_new_digest(size_t len)
{
    struct wr out = wr_fixed(copy_mem, sizeof copy_mem);
    out.len = len - 32;
    put_digest(&out);
    return verify(wr_slice(&out));
}

static void test_every_changed_byte_is_refused(void **state)
{
    story(1);
    struct attest_head h = head();
    struct slice b = export(3, h.log_size - 3, h.height, 1 << 20, "");
    struct rng r = rng_seeded("test_history");
    memcpy(copy_mem, b.p, b.len);
    assert_ok(verify_with_new_digest(b.len));
    for (size_t i = 0; i < b.len; i++) {
        uint8_t was = copy_mem[i];
        copy_mem[i] ^= (uint8_t) (1 + rng_below(&r, 255));
        assert_int_not_equal(verify(slice_of(copy_mem, b.len)), REEVE_OK);
        assert_true(rep.message[0] != '\0');
        if (i < b.len - 32 && verify_with_new_digest(b.len) == REEVE_OK)
            fail_msg("byte %zu of %zu may be changed", i, b.len);
        memcpy(copy_mem + b.len - 32, b.p + b.len - 32, 32);
        copy_mem[i] = was;
    }
    world_free(&w);
}

static void test_every_shorter_bundle_is_refused(void **state)
{
    story(1);
    struct attest_head h = head();
    struct slice b = export(0, 2, h.height, 1 << 20, "");
    memcpy(copy_mem, b.p, b.len);
    for (size_t len = 0; len < b.len; len++) {
        assert_int_not_equal(verify(slice_of(copy_mem, len)), REEVE_OK);
        if (len < 32)
            continue;
        memcpy(copy_mem, b.p, b.len);
        assert_int_not_equal(verify_with_new_digest(len), REEVE_OK);
        memcpy(copy_mem, b.p, b.len);
    }
    world_free(&w);
}

static void test_a_bundle_of_another_chain_is_refused(void **state)
{
    story(1);
    struct attest_head h = head();
    struct slice b = export(0, h.log_size - 1, h.height, 1 << 20, "");
    struct hash32 other = { { 7 } };
    report_clear(&rep);
    assert_err(history_verify(&crypto_ops_real, &other, b, &work, &rep), REEVE_E_V_CHAIN);
    world_free(&w);
}

/* Writes a bundle of its own: blocks by kind and finalization as told. */
struct forged { uint64_t skip, bare, few; };
static struct slice forge(const struct forged *f)
{
    static struct finalization fin;
    struct attest_head h = head();
    struct slice genesis, block, leaf[ATTEST_BLOCK_LEAVES_MAX];
    struct wr out = wr_fixed(bundle_mem, sizeof bundle_mem), mem = wr_fixed(copy_mem, sizeof copy_mem);
    size_t n;
    assert_ok(attest_genesis(&w.a, &genesis));
    wr_text(&out, HISTORY_MAGIC);
    wr_str32(&out, genesis);
    wr_u64(&out, 0);
    for (uint64_t at = 1; at <= h.height; at++) {
        assert_ok(attest_block(&w.a, at, &block));
        assert_ok(block_decode(&fin, leaf, ATTEST_BLOCK_LEAVES_MAX, &n, block));
        bool bare = f->bare >> at & 1;
        if (f->skip >> at & 1 || (n == 0 && !bare))
            continue;
        struct block_header header = fin.header;
        if (f->few >> at & 1)
            finalize_by(&w, &fin, &header, 3);
        wr_reset(&mem);
        block_encode(&fin, leaf, n, &mem);
        if (bare) {
            wr_reset(&mem);
            header_encode(&fin.header, wr_reserve(&mem, ATTEST_HEADER_LEN));
            wr_u16(&mem, (uint16_t) n);
            for (size_t i = 0; i < n; i++)
                wr_str32(&mem, leaf[i]);
        }
        wr_u8(&out, bare ? 2 : 1);
        wr_str32(&out, wr_slice(&mem));
    }
    wr_u8(&out, 0);
    assert_ok(attest_block(&w.a, h.height, &block));
    assert_ok(block_decode(&fin, leaf, ATTEST_BLOCK_LEAVES_MAX, &n, block));
    finalization_encode(&fin, &out);
    wr_u8(&out, 0);                     /* the log of the last block is the head's */
    wr_str32(&out, slice_of(NULL, 0));
    put_digest(&out);
    assert_false(out.bad);
    return wr_slice(&out);
}

static void test_what_is_left_out_or_has_no_quorum_is_refused(void **state)
{
    story(4);
    assert_ok(verify(forge(&(struct forged){ 0 })));
    assert_err(verify(forge(&(struct forged){ .skip = 1 << 2 })), REEVE_E_V_CONSISTENCY);
    assert_err(verify(forge(&(struct forged){ .few = 1 << 3 })), REEVE_E_V_QUORUM);
    world_free(&w);
}

static void test_a_block_without_a_finalization_is_final_by_its_child(void **state)
{
    story(4);
    assert_ok(verify(forge(&(struct forged){ .bare = 1 << 2 })));
    assert_ok(verify(forge(&(struct forged){ .bare = 0x3c })));
    /* Height 5 is a tick: left out, nothing makes height 4 final. */
    assert_err(verify(forge(&(struct forged){ .bare = 1 << 4, .skip = 1 << 5 })), REEVE_E_V_QUORUM);
    world_free(&w);
}

static void test_names_pin_the_chain(void **state)
{
    struct hash32 id, back;
    char text[HISTORY_ORIGIN_LEN + 1], cosigner[HISTORY_COSIGNER_MAX];
    struct name n = name_of("eu west+1");
    memset(id.b, 0xab, 32);
    history_origin(text, &id);
    assert_true(history_origin_parse(&back, slice_str(text)));
    assert_true(hash32_eq(&id, &back));
    text[10] = 'A';
    assert_false(history_origin_parse(&back, slice_str(text)));
    assert_false(history_origin_parse(&back, slice_str("reeve/")));
    assert_int_equal(history_cosigner(cosigner, &id, &n), HISTORY_ORIGIN_LEN + 1 + strlen("eu%20west%2B1"));
    assert_string_equal(cosigner + HISTORY_ORIGIN_LEN, "/eu%20west%2B1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_whole_history_verifies),
        cmocka_unit_test(test_every_range_under_every_head_verifies),
        cmocka_unit_test(test_the_reader_gives_the_leaves_back),
        cmocka_unit_test(test_every_changed_byte_is_refused),
        cmocka_unit_test(test_every_shorter_bundle_is_refused),
        cmocka_unit_test(test_a_bundle_of_another_chain_is_refused),
        cmocka_unit_test(test_what_is_left_out_or_has_no_quorum_is_refused),
        cmocka_unit_test(test_a_block_without_a_finalization_is_final_by_its_child),
        cmocka_unit_test(test_names_pin_the_chain),
    };
    assert_ok(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
