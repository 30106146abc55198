/*
 * test_refusals.c - what an agent must refuse, one by one
 *
 * Four validators (three make a quorum). Each refusal has its own code; beside
 * each stands the nearest input that is accepted.
 */
#include "world.h"

static struct world w;
static struct trust trust;
static struct bundle_object objects[4];
static size_t n_objects;
static struct wr bundle;
static struct finalization fin;
static struct hash32 chain_id;

#define FIN_SIGS 4
#define FIN_LEN  (ATTEST_HEADER_LEN + 8 + 2 + 1 + 64 * FIN_SIGS)

static void trust_new(void)
{
    struct attest_head head;
    memset(&trust, 0, sizeof trust);
    assert_ok(attest_head(&w.a, &head));
    trust.chain_id = chain_id = head.chain_id;
    trust.set = w.genesis.set;
    trust.set_hash = head.set_hash;
}

/* A bundle of 'web' and of a certificate that does not exist, for a receiver that knows from_size. */
static void bundle_make(uint64_t from_size)
{
    const struct object_key keys[2] = { { AT_CERT, name_of("web") }, { AT_CERT, name_of("nothing") } };
    wr_reset(&bundle);
    assert_ok(attest_bundle(&w.a, from_size, keys, 2, &bundle));
}

static enum reeve_err open_bytes(struct slice in, bool want_newer)
{
    return bundle_open(w.a.c, &trust, in, want_newer, objects, 4, &n_objects);
}

static enum reeve_err open_bundle(void)
{
    return open_bytes(wr_slice(&bundle), false);
}

static int setup(void **state)
{
    world_new(&w, 4);
    bundle = wr_heap(1 << 20);
    world_furnish(&w);
    trust_new();
    bundle_make(0);
    struct rd r = rd_of(slice_of(bundle.p + 1, bundle.len - 1));
    assert_ok(finalization_decode(&fin, &r));
    return 0;
}

static int teardown(void **state)
{
    wr_free(&bundle);
    world_free(&w);
    return 0;
}

/* The bundle with another finalization in front. */
static enum reeve_err open_with(const struct finalization *f)
{
    struct wr out = wr_heap(1 << 20);
    wr_u8(&out, 1);
    finalization_encode(f, &out);
    wr_bytes(&out, bundle.p + 1 + FIN_LEN, bundle.len - 1 - FIN_LEN);
    enum reeve_err err = open_bytes(wr_slice(&out), false);
    wr_free(&out);
    return err;
}

static enum reeve_err verify(const struct finalization *f)
{
    return finalization_verify(w.a.c, f, &trust.chain_id, &trust.set, &trust.set_hash);
}

static void flipped(size_t at, enum reeve_err want)
{
    struct trust before = trust;
    assert_true(at < bundle.len);
    bundle.p[at] ^= 1;
    assert_err(open_bundle(), want);
    assert_memory_equal(&before, &trust, sizeof trust);
    assert_int_equal(n_objects, 0);
    for (size_t i = 0; i < 4; i++)
        assert_null(objects[i].leaf.p);
    bundle.p[at] ^= 1;
}

/* ---- the good one ---- */

static void a_good_bundle_is_believed(void **state)
{
    assert_ok(open_bundle());
    assert_int_equal(n_objects, 2);
    assert_true(objects[0].present);
    assert_int_equal(objects[0].update.version, 1);
    assert_false(objects[1].present);
    assert_int_equal(trust.height, 3);
    assert_int_equal(trust.log_size, 3);
    assert_int_equal(trust.verified, 1);
}

/* ---- who decided ---- */

static void another_chain_is_refused(void **state)
{
    trust.chain_id.b[31] ^= 1;
    assert_err(open_bundle(), REEVE_E_V_CHAIN);
    trust.chain_id.b[31] ^= 1;
    assert_ok(open_bundle());
}

static void another_epoch_is_refused(void **state)
{
    trust.set.epoch++;
    assert_err(open_bundle(), REEVE_E_V_EPOCH);
    trust.set.epoch--;
    assert_ok(open_bundle());
}

static void another_set_is_refused(void **state)
{
    trust.set_hash.b[0] ^= 1;
    assert_err(open_bundle(), REEVE_E_V_SET);
    trust.set_hash.b[0] ^= 1;
    assert_ok(open_bundle());
}

static void two_of_four_signatures_are_too_few(void **state)
{
    struct block_header h = fin.header;
    finalize_by(&w, &fin, &h, 0x3);
    assert_err(open_with(&fin), REEVE_E_V_QUORUM);
    finalize_by(&w, &fin, &h, 0);
    assert_err(open_with(&fin), REEVE_E_V_QUORUM);
    finalize_by(&w, &fin, &h, 0xd);
    assert_ok(open_with(&fin));
}

static void the_same_signer_twice_does_not_count_twice(void **state)
{
    struct block_header h = fin.header;
    finalize_by(&w, &fin, &h, 0x3);
    /* his signature once more under another validator's bit */
    fin.bitmap[0] = 0x7;
    fin.sig[2] = fin.sig[1];
    fin.n_sigs = 3;
    assert_err(open_with(&fin), REEVE_E_V_SIGNATURE);
    /* or without a bit: the count is the bitmap's, so a signature too many is not even a bundle */
    fin.bitmap[0] = 0x3;
    assert_err(verify(&fin), REEVE_E_V_SIGNER);
    assert_int_not_equal(open_with(&fin), REEVE_OK);
    finalize_by(&w, &fin, &h, 0x7);
    assert_ok(open_with(&fin));
}

static void padding_bits_and_foreign_indexes_are_refused(void **state)
{
    fin.bitmap[0] |= 0x10;      /* index 4 of a set of 4 */
    assert_err(verify(&fin), REEVE_E_V_SIGNER);
    assert_err(open_with(&fin), REEVE_E_MALFORMED);
    fin.bitmap[0] &= 0x0f;
    fin.n_bits = 5;
    assert_err(verify(&fin), REEVE_E_V_SIGNER);
    fin.n_bits = 3;
    assert_err(verify(&fin), REEVE_E_V_SIGNER);
    fin.n_bits = 4;
    assert_ok(verify(&fin));
}

static void one_bad_signature_among_enough_is_refused(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        fin.sig[i].b[5] ^= 1;
        assert_err(open_with(&fin), REEVE_E_V_SIGNATURE);
        fin.sig[i].b[5] ^= 1;
    }
    struct sig64 t = fin.sig[0];        /* right signatures in the wrong order */
    fin.sig[0] = fin.sig[1];
    fin.sig[1] = t;
    assert_err(open_with(&fin), REEVE_E_V_SIGNATURE);
    memset(&fin.sig[0], 0, 64);
    assert_err(open_with(&fin), REEVE_E_V_SIGNATURE);
}

static void other_votes_are_no_finalization(void **state)
{
    struct vote v;
    uint8_t bytes[ATTEST_VOTE_LEN];
    for (unsigned type = VOTE_PROPOSE; type <= VOTE_HEARTBEAT; type++) {
        vote_of_header(w.a.c, &v, (enum vote_type) type, &fin.header);
        vote_bytes(&v, bytes);
        for (unsigned i = 0; i < 4; i++)
            sign_detached(&fin.sig[i], slice_of(bytes, sizeof bytes), &w.validator[i]);
        assert_err(open_with(&fin), type == VOTE_FINALIZE ? REEVE_OK : REEVE_E_V_SIGNATURE);
    }
}

/* Headers 1 to 3 as the chain has them; the certificate is the third's. */
static struct finalization by_descendant(void)
{
    static struct finalization f[3];
    for (unsigned i = 0; i < 3; i++) {
        struct slice block;
        assert_ok(attest_block(&w.a, i + 1, &block));
        struct rd r = rd_of(block);
        assert_ok(finalization_decode(&f[i], &r));
    }
    struct finalization all = f[2];
    all.header = f[0].header;
    all.view = f[0].view;
    all.n_links = 2;
    all.link[0] = f[1].header;
    all.link[1] = f[2].header;
    return all;
}

static void a_block_may_be_final_through_its_descendants(void **state)
{
    struct finalization f = by_descendant(), again;
    struct wr out = wr_heap(1 << 16);
    assert_ok(verify(&f));
    finalization_encode(&f, &out);
    struct rd r = rd_of(wr_slice(&out));
    assert_ok(finalization_decode(&again, &r));
    assert_true(rd_done(&r));
    assert_ok(verify(&again));
    assert_int_equal(again.n_links, 2);
    wr_free(&out);
}

static void descendants_that_do_not_descend_prove_nothing(void **state)
{
    const struct finalization good = by_descendant();
    struct finalization f;
#define NOT(change) f = good; change; assert_err(verify(&f), REEVE_E_V_CONSISTENCY)
    NOT(f.link[0] = f.link[1]; f.n_links = 1);              /* one is left out */
    NOT(f.header.state_root.b[0] ^= 1);                     /* another block below */
    NOT(f.link[0].time.ms++);
    NOT(f.link[1].epoch++);
    NOT(f.link[0].height++);
    f = good;
    f.n_links = 1;                                          /* the certificate is not of the last one */
    assert_err(verify(&f), REEVE_E_V_SIGNATURE);
    f = good;
    f.n_links = 0;
    assert_err(verify(&f), REEVE_E_V_SIGNATURE);
}

static void a_finalization_of_another_view_is_refused(void **state)
{
    fin.view++;
    assert_err(verify(&fin), REEVE_E_V_SIGNATURE);
    assert_err(open_with(&fin), REEVE_E_MALFORMED);
    fin.view--;
    assert_ok(verify(&fin));
}

/* ---- what was decided ---- */

static void no_field_of_the_header_can_be_altered(void **state)
{
    struct finalization f = fin;
#define ALTERED(field, want) f = fin; f.header.field ^= 1; assert_err(open_with(&f), want)
    ALTERED(next_valset_hash.b[3], REEVE_E_V_SIGNATURE);
    ALTERED(height, REEVE_E_V_SIGNATURE);
    ALTERED(parent_hash.b[0], REEVE_E_V_SIGNATURE);
    ALTERED(time.ms, REEVE_E_V_SIGNATURE);
    ALTERED(log_size, REEVE_E_V_SIGNATURE);
    ALTERED(log_root.b[0], REEVE_E_V_SIGNATURE);
    ALTERED(state_root.b[0], REEVE_E_V_SIGNATURE);
    ALTERED(payload_root.b[0], REEVE_E_V_SIGNATURE);
    ALTERED(proposer, REEVE_E_V_SIGNATURE);
    ALTERED(epoch, REEVE_E_V_EPOCH);
    assert_ok(open_with(&fin));
}

static size_t leaf_at(void)     /* offset of the leaf: finalization, count of hashes, count of objects, type, name, present, length */
{
    return 1 + FIN_LEN + 1 + 2 + 1 + 1 + 3 + 1 + 4;
}

static void an_altered_leaf_is_refused(void **state)
{
    size_t at = leaf_at();
    uint32_t len = (uint32_t) bundle.p[at - 2] << 8 | bundle.p[at - 1];
    flipped(at + len - 64, REEVE_E_V_MAP);          /* in its signature */
    flipped(at + len - 70, REEVE_E_V_LEAF);         /* a count: no update any more */
    flipped(at + 5, REEVE_E_V_LEAF);                /* its name: another object's leaf */
    flipped(at + 2, REEVE_E_V_LEAF);                /* put or delete */
    assert_ok(open_bundle());
}

static void a_leaf_of_another_object_is_refused(void **state)
{
    /* 'web' asked for, the leaf and proof of authority 'ca' given */
    const struct object_key key = { AT_AUTHORITY, name_of("ca") };
    wr_reset(&bundle);
    assert_ok(attest_bundle(&w.a, 0, &key, 1, &bundle));
    size_t type_at = 1 + FIN_LEN + 3;
    bundle.p[type_at] = AT_CERT;
    assert_err(open_bundle(), REEVE_E_V_LEAF);
    bundle.p[type_at] = AT_AUTHORITY;
    assert_ok(open_bundle());
}

static void an_altered_map_proof_is_refused(void **state)
{
    size_t at = leaf_at();
    at += (size_t) bundle.p[at - 2] << 8 | bundle.p[at - 1];
    flipped(at + 1, REEVE_E_V_MAP);                 /* a sibling */
    flipped(at + 1 + 32u * bundle.p[at], REEVE_E_V_MAP);    /* what ends the path */
    assert_ok(open_bundle());
}

static void a_present_object_cannot_be_called_absent(void **state)
{
    struct wr out = wr_heap(1 << 20);
    size_t at = leaf_at(), len = (size_t) bundle.p[at - 2] << 8 | bundle.p[at - 1];
    wr_bytes(&out, bundle.p, at - 5);
    wr_u8(&out, 0);
    wr_bytes(&out, bundle.p + at + len, bundle.len - at - len);
    assert_err(open_bytes(wr_slice(&out), false), REEVE_E_V_MAP);
    wr_free(&out);
}

static void an_old_leaf_under_a_new_header_is_refused(void **state)
{
    static struct cert_doc cert;
    struct name web = name_of("web");
    struct wr old = wr_heap(1 << 20), forged = wr_heap(1 << 20);
    wr_bytes(&old, bundle.p, bundle.len);
    assert_ok(attest_get_cert(&w.a, &web, &cert, NULL));
    cert.renew_before_s++;
    block_of(&w, AT_CERT, "web", PAYLOAD(&w, cert, &cert));
    bundle_make(0);
    wr_bytes(&forged, bundle.p, 1 + FIN_LEN);
    wr_bytes(&forged, old.p + 1 + FIN_LEN, old.len - 1 - FIN_LEN);
    assert_err(open_bytes(wr_slice(&forged), false), REEVE_E_V_MAP);
    assert_ok(open_bundle());
    assert_int_equal(objects[0].update.version, 2);
    wr_free(&old);
    wr_free(&forged);
}

/* ---- order ---- */

static void an_older_height_is_refused_and_the_same_only_where_allowed(void **state)
{
    struct wr old = wr_heap(1 << 20);
    wr_bytes(&old, bundle.p, bundle.len);
    assert_ok(open_bundle());
    assert_ok(open_bytes(wr_slice(&old), false));   /* the same again, nothing new */
    assert_err(open_bytes(wr_slice(&bundle), true), REEVE_E_V_HEIGHT);
    block(&w, NULL, 0);
    assert_int_equal(trust.log_size, 3);
    bundle_make(3);
    assert_ok(open_bytes(wr_slice(&bundle), true));
    assert_err(open_bytes(wr_slice(&old), false), REEVE_E_V_HEIGHT);
    wr_free(&old);
}

static void view_and_time_go_on_with_height(void **state)
{
    struct block_header h = fin.header;
    assert_ok(open_bundle());
    bundle_make(3);
    h.height++;
    h.time.ms++;
    finalize_by(&w, &fin, &h, 0xf);
    assert_err(open_with(&fin), REEVE_E_V_HEIGHT);      /* the same view */
    h.view++;
    h.time.ms--;
    finalize_by(&w, &fin, &h, 0xf);
    assert_err(open_with(&fin), REEVE_E_V_TIME);        /* the same time */
    h.time.ms++;
    finalize_by(&w, &fin, &h, 0xf);
    assert_ok(open_with(&fin));
}

static void a_log_that_was_rewritten_is_refused(void **state)
{
    assert_ok(open_bundle());
    block_of(&w, AT_NODE, "n-00000000000000000000000000000001", slice_of("\x01\x01", 2));
    bundle_make(3);
    size_t count_at = 1 + FIN_LEN;
    assert_int_equal(bundle.p[count_at], 3);
    flipped(count_at + 1, REEVE_E_V_CONSISTENCY);
    flipped(count_at + 33, REEVE_E_V_CONSISTENCY);
    /* another past under the same signatures */
    trust.log_root.b[0] ^= 1;
    assert_err(open_bundle(), REEVE_E_V_CONSISTENCY);
    trust.log_root.b[0] ^= 1;
    trust.log_size = 2;
    assert_err(open_bundle(), REEVE_E_V_CONSISTENCY);
    trust.log_size = 9;                             /* a truncated log */
    assert_err(open_bundle(), REEVE_E_V_CONSISTENCY);
    trust.log_size = 3;
    assert_ok(open_bundle());
}

static void a_fork_at_the_same_height_is_refused(void **state)
{
    struct world other;
    static struct cert_doc cert;
    world_new(&other, 4);
    world_furnish(&other);
    assert_ok(open_bundle());
    struct name web = name_of("web");
    assert_ok(attest_get_cert(&other.a, &web, &cert, NULL));
    block(&w, NULL, 0);
    cert.renew_before_s++;
    block_of(&other, AT_CERT, "web", PAYLOAD(&other, cert, &cert));
    bundle_make(3);
    assert_ok(open_bundle());
    const struct object_key key = { AT_CERT, web };
    wr_reset(&bundle);
    assert_ok(attest_bundle(&other.a, 3, &key, 1, &bundle));
    assert_err(open_bundle(), REEVE_E_V_CONSISTENCY);
    world_free(&other);
}

static void an_object_version_must_be_newer(void **state)
{
    assert_ok(open_bundle());
    assert_ok(bundle_object_newer(&objects[0], 0));
    assert_err(bundle_object_newer(&objects[0], 1), REEVE_E_V_VERSION);
    assert_err(bundle_object_newer(&objects[0], 2), REEVE_E_V_VERSION);
    assert_err(bundle_object_newer(&objects[1], 0), REEVE_E_V_VERSION);
}

/* ---- shape ---- */

static void truncated_and_overlong_bundles_are_refused(void **state)
{
    for (size_t len = 0; len < bundle.len; len++)
        assert_int_not_equal(open_bytes(slice_of(bundle.p, len), false), REEVE_OK);
    wr_u8(&bundle, 0);
    assert_err(open_bundle(), REEVE_E_MALFORMED);
    bundle.len--;
    assert_err(bundle_open(w.a.c, &trust, wr_slice(&bundle), false, objects, 1, &n_objects), REEVE_E_TOO_BIG);
    assert_ok(open_bundle());
}

/* What is absent has no bytes of its own: asking for another name gives another true answer. */
static bool about_another_absent_object(void)
{
    struct name nothing = name_of("nothing");
    return !objects[1].present && (objects[1].type != AT_CERT || !name_eq(&objects[1].name, &nothing));
}

static void every_flipped_bit_is_noticed(void **state)
{
    const struct trust before = trust;
    for (size_t at = 0; at < bundle.len; at += at < 300 ? 7 : 3)
        for (int b = 0; b < 8; b += 3) {
            bundle.p[at] ^= (uint8_t) (1 << b);
            trust = before;
            if (open_bundle() == REEVE_OK && !about_another_absent_object())
                fail_msg("byte %zu bit %d", at, b);
            bundle.p[at] ^= (uint8_t) (1 << b);
        }
    assert_ok(open_bundle());
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_good_bundle_is_believed),
        T(another_chain_is_refused),
        T(another_epoch_is_refused),
        T(another_set_is_refused),
        T(two_of_four_signatures_are_too_few),
        T(the_same_signer_twice_does_not_count_twice),
        T(padding_bits_and_foreign_indexes_are_refused),
        T(one_bad_signature_among_enough_is_refused),
        T(other_votes_are_no_finalization),
        T(a_block_may_be_final_through_its_descendants),
        T(descendants_that_do_not_descend_prove_nothing),
        T(a_finalization_of_another_view_is_refused),
        T(no_field_of_the_header_can_be_altered),
        T(an_altered_leaf_is_refused),
        T(a_leaf_of_another_object_is_refused),
        T(an_altered_map_proof_is_refused),
        T(a_present_object_cannot_be_called_absent),
        T(an_old_leaf_under_a_new_header_is_refused),
        T(an_older_height_is_refused_and_the_same_only_where_allowed),
        T(view_and_time_go_on_with_height),
        T(a_log_that_was_rewritten_is_refused),
        T(a_fork_at_the_same_height_is_refused),
        T(an_object_version_must_be_newer),
        T(truncated_and_overlong_bundles_are_refused),
        T(every_flipped_bit_is_noticed),
    };
    return cmocka_run_group_tests_name("attest_refusals", tests, NULL, NULL);
}
