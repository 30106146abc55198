/*
 * attest_verify.c - what it costs one core to believe the chain
 *
 *   attest_verify [UPDATES [VALIDATORS [ROUNDS]]]      10000, 50 (34 signatures), 200
 *
 * A chain of UPDATES certificates, one a block, each block final by a quorum.
 * Then, all from the pinned set: one update at an agent that was up to date
 * before it; a cold start (one bundle over the whole log); and every block
 * with its finalization and leaves, as a region's server or an auditor who
 * trusts no state does it. CPU times, one JSON object last.
 */
#include "../unit/attest/world.h"

#include "crypto/hash.h"

#include <time.h>

#define BUNDLE_ROOM (1u << 20)

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

static unsigned quorum(const struct world *w)
{
    return 2u * w->genesis.set.n / 3 + 1;
}

/* As world.h's block(), with a quorum's signatures and no more. */
static void quorum_block(struct world *w, struct slice leaf)
{
    static struct finalization f;
    w->now.ms += 1000;
    struct block_header h = { .view = ++w->view, .time = w->now };
    sim_kv_begin(w->store);
    assert_ok(attest_propose(&w->a, &leaf, 1, &h));
    finalize_by(w, &f, &h, (UINT64_C(1) << quorum(w)) - 1);
    assert_ok(attest_finalize(&w->a, &f, &leaf, 1));
    sim_kv_commit(w->store);
}

static void cert_name(struct name *out, unsigned i)
{
    char text[32];
    snprintf(text, sizeof text, "edge-%05u", i);
    *out = name_of(text);
}

/* Version 1 of certificate i, or its next one. */
static void cert_block(struct world *w, unsigned i)
{
    static struct cert_doc cert;
    struct cert_gen g = cert_gen_sample(w->now);
    struct update u;
    struct name name;
    struct wr mem;
    cert_name(&name, i);
    cert_doc_sample(&cert, "ca");
    assert_ok(cert_gen_append(&cert, 0, &g, NULL));
    assert_ok(cert_gen_activate_first(&cert, NULL));
    assert_ok(update_prepare(&w->a, AT_CERT, &name, PAYLOAD(w, cert, &cert), &u));
    u.region = name_of("home");
    u.actor = name_of("anna");
    struct slice leaf = leaf_signed(w, &u, 0, &mem);
    quorum_block(w, leaf);
    wr_free(&mem);
}

static void pinned(struct world *w, struct trust *t)
{
    struct attest_head head;
    memset(t, 0, sizeof *t);
    assert_ok(attest_head(&w->a, &head));
    t->chain_id = head.chain_id;
    t->set = w->genesis.set;
    t->set_hash = head.set_hash;
}

/* What an agent that serves one certificate follows. */
static void bundle_for(struct world *w, unsigned cert, uint64_t from, struct wr *out)
{
    struct object_key keys[3] = { { AT_REGION, name_of("home") }, { AT_CERT, { 0 } }, { AT_AUTHORITY, name_of("ca") } };
    cert_name(&keys[1].name, cert);
    wr_reset(out);
    assert_ok(attest_bundle(&w->a, from, keys, 3, out));
}

static double open_cost(struct world *w, const struct trust *from, const struct wr *bundle, unsigned rounds)
{
    static struct bundle_object objects[4];
    double *us = calloc(rounds, sizeof *us);
    size_t n;
    for (unsigned i = 0; i < rounds; i++) {
        struct trust t = *from;
        double began = cpu_us();
        assert_ok(bundle_open(w->a.c, &t, wr_slice(bundle), true, objects, 4, &n));
        us[i] = cpu_us() - began;
        assert_int_equal(n, 3);
    }
    double m = median(us, rounds);
    free(us);
    return m;
}

static double blocks_cost(struct world *w, uint64_t top)
{
    static struct finalization f;
    struct trust t;
    double spent = 0;
    pinned(w, &t);
    for (uint64_t h = 1; h <= top; h++) {
        struct slice block;
        assert_ok(attest_block(&w->a, h, &block));
        double began = cpu_us();
        assert_ok(block_verify(w->a.c, block, &t.chain_id, &t.set, &t.set_hash, &f));
        spent += cpu_us() - began;
    }
    return spent;
}

static double signature_cost(struct world *w)
{
    static double us[500];
    const uint8_t text[ATTEST_VOTE_LEN] = { 1 };
    struct sig64 sig;
    sign_detached(&sig, slice_of(text, sizeof text), &w->validator[0]);
    for (unsigned i = 0; i < 500; i++) {
        double began = cpu_us();
        assert_true(sign_verify(&sig, slice_of(text, sizeof text), &w->genesis.set.v[0].key));
        us[i] = cpu_us() - began;
    }
    return median(us, 500);
}

int main(int argc, char **argv)
{
    static struct world w;
    static struct trust cold, warm;
    unsigned updates = argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : 10000;
    unsigned validators = argc > 2 ? (unsigned) strtoul(argv[2], NULL, 10) : 50;
    unsigned rounds = argc > 3 ? (unsigned) strtoul(argv[3], NULL, 10) : 200;
    struct wr bundle = wr_heap(BUNDLE_ROOM);
    size_t n;
    static struct bundle_object objects[4];
    assert_ok(crypto_init());
    world_new(&w, validators);
    sim_kv_strict(w.store, false);
    world_furnish(&w);
    for (unsigned i = 0; i < updates; i++)
        cert_block(&w, i);

    pinned(&w, &cold);
    bundle_for(&w, 0, 0, &bundle);
    size_t cold_bytes = bundle.len;
    double cold_us = open_cost(&w, &cold, &bundle, rounds);
    warm = cold;
    assert_ok(bundle_open(w.a.c, &warm, wr_slice(&bundle), true, objects, 4, &n));
    cert_block(&w, updates);
    bundle_for(&w, updates, warm.log_size, &bundle);
    size_t bytes = bundle.len;
    double one_us = open_cost(&w, &warm, &bundle, rounds);
    double sig_us = signature_cost(&w);
    struct attest_head head;
    assert_ok(attest_head(&w.a, &head));
    double all_us = blocks_cost(&w, head.height);
    printf("{\"bench\":\"agent-verify\",\"validators\":%u,\"signatures\":%u,\"updates\":%u,\"signature_us\":%.1f,"
           "\"one_update_us\":%.1f,\"one_update_bytes\":%zu,\"cold_start_us\":%.1f,\"cold_start_bytes\":%zu,"
           "\"every_block_s\":%.2f,\"every_block_us_each\":%.1f}\n", validators, quorum(&w), updates, sig_us, one_us, bytes,
           cold_us, cold_bytes, all_us / 1e6, all_us / (double) head.height);
    wr_free(&bundle);
    world_free(&w);
    return 0;
}
