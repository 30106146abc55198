/* world.c - a small chain for the tests of engine/attest. */
#include "world.h"

#define LEAVES_KEPT 4096
static struct wr kept[LEAVES_KEPT];
static size_t n_kept;

struct name name_of(const char *s)
{
    struct name n;
    assert_true(name_set_str(&n, s));
    return n;
}

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct validator *) a)->key.b, ((const struct validator *) b)->key.b, 32);
}

/* Keys from counted seeds; validators sorted by public key, their signing keys alongside. */
static void genesis_fill(struct world *w, unsigned n)
{
    struct genesis *g = &w->genesis;
    struct { struct validator v; struct sign_key k, cosign; } all[ATTEST_VALIDATORS_MAX];
    uint8_t seed[32] = { 7 };
    memset(all, 0, sizeof all);
    g->chain = name_of("test");
    g->time.ms = GENESIS_MS;
    for (unsigned i = 0; i < n; i++) {
        char name[16];
        seed[1] = (uint8_t) (i + 1);
        snprintf(name, sizeof name, "v%u", i);
        all[i].v.name = name_of(name);
        all[i].v.weight = 1;
        seed[1] = (uint8_t) (100 + i);
        sign_key_from_seed(&all[i].cosign, &all[i].v.cosign_key, seed);
        seed[1] = (uint8_t) (i + 1);
        sign_key_from_seed(&all[i].k, &all[i].v.key, seed);
    }
    qsort(all, n, sizeof *all, by_key);
    g->set.epoch = 1;
    g->set.n = (uint16_t) n;
    for (unsigned i = 0; i < n; i++) {
        g->set.v[i] = all[i].v;
        w->validator[i] = all[i].k;
        w->cosign[i] = all[i].cosign;
    }
    g->n_regions = 2;
    for (unsigned i = 0; i < 2; i++) {
        seed[1] = (uint8_t) (200 + i);
        g->region[i].name = name_of(i == 0 ? "home" : "away");
        sign_key_from_seed(&w->region[i], &g->region[i].key, seed);
    }
}

void world_new(struct world *w, unsigned n)
{
    memset(w, 0, sizeof *w);
    genesis_fill(w, n);
    w->genesis_doc = wr_heap(1 << 20);
    w->mem = wr_heap(1 << 20);
    genesis_encode(&w->genesis, &w->genesis_doc);
    w->store = sim_kv_new();
    sim_kv_strict(w->store, true);
    w->a = (struct attest){ sim_kv_handle(w->store), &crypto_ops_real, malloc(attest_scratch_size()), attest_scratch_size() };
    w->now.ms = GENESIS_MS;
    assert_ok(attest_init(&w->a, wr_slice(&w->genesis_doc)));
}

void world_free(struct world *w)
{
    sim_kv_free(w->store);
    free(w->a.scratch);
    wr_free(&w->genesis_doc);
    wr_free(&w->mem);
    while (n_kept > 0)
        wr_free(&kept[--n_kept]);
}

struct slice leaf_signed(struct world *w, const struct update *u, unsigned r, struct wr *mem)
{
    struct attest_head head;
    struct hash32 digest;
    struct update s = *u;
    *mem = wr_heap(ATTEST_LEAF_MAX);
    assert_ok(attest_head(&w->a, &head));
    update_encode(&s, false, mem);
    assert_false(mem->bad);
    update_sign_digest(w->a.c, &digest, &head.chain_id, wr_slice(mem));
    sign_detached(&s.region_sig, slice_of(digest.b, 32), &w->region[r]);
    wr_reset(mem);
    update_encode(&s, true, mem);
    return wr_slice(mem);
}

struct slice leaf_of(struct world *w, struct update u)
{
    assert_true(n_kept < LEAVES_KEPT);
    if (u.region.len == 0)
        u.region = name_of("home");
    if (u.actor.len == 0)
        u.actor = name_of("anna");
    return leaf_signed(w, &u, name_eq(&u.region, &w->genesis.region[1].name), &kept[n_kept++]);
}

struct slice leaf_for(struct world *w, enum attest_type type, const char *object, struct slice payload)
{
    struct update u;
    struct name n = name_of(object);
    assert_ok(update_prepare(&w->a, type, &n, payload, &u));
    return leaf_of(w, u);
}

enum reeve_err check(struct world *w, const struct slice *leaves, size_t n)
{
    report_clear(&w->rep);
    size_t before = sim_kv_count(w->store);
    enum reeve_err err = attest_check(&w->a, leaves, n, (struct wall_ms){ w->now.ms + 1000 }, &w->rep);
    assert_int_equal(sim_kv_count(w->store), before);
    return err;
}

void finalize_by(struct world *w, struct finalization *f, const struct block_header *h, uint64_t signers)
{
    struct vote v;
    uint8_t bytes[ATTEST_VOTE_LEN];
    memset(f, 0, sizeof *f);
    f->header = *h;
    f->view = h->view;
    f->n_bits = w->genesis.set.n;
    vote_of_header(w->a.c, &v, VOTE_FINALIZE, h);
    vote_bytes(&v, bytes);
    for (unsigned i = 0; i < w->genesis.set.n; i++)
        if (signers >> i & 1) {
            f->bitmap[i / 8] |= (uint8_t) (1 << i % 8);
            sign_detached(&f->sig[f->n_sigs++], slice_of(bytes, sizeof bytes), &w->validator[i]);
        }
}

void block(struct world *w, const struct slice *leaves, size_t n)
{
    struct finalization f;
    enum reeve_err err = check(w, leaves, n);
    if (err != REEVE_OK)
        fail_msg("block refused: %s: %s", reeve_err_name(err), w->rep.message);
    w->now.ms += 1000;
    struct block_header h = { .view = ++w->view, .time = w->now };
    sim_kv_begin(w->store);
    assert_ok(attest_propose(&w->a, leaves, n, &h));
    finalize_by(w, &f, &h, ~UINT64_C(0));
    assert_ok(attest_finalize(&w->a, &f, leaves, n));
    sim_kv_commit(w->store);
}

void block_of(struct world *w, enum attest_type type, const char *object, struct slice payload)
{
    struct slice leaf = leaf_for(w, type, object, payload);
    block(w, &leaf, 1);
}

static size_t leaves_of_set(struct world *w, const struct update_set *set, struct slice *leaf)
{
    for (size_t i = 0; i < set->n; i++)
        leaf[i] = leaf_of(w, set->u[i]);
    return set->n;
}

void block_of_set(struct world *w, const struct update_set *set)
{
    struct slice leaf[1 + ROLLOUT_TARGETS_MAX];
    block(w, leaf, leaves_of_set(w, set, leaf));
}

enum reeve_err check_set(struct world *w, const struct update_set *set)
{
    struct slice leaf[1 + ROLLOUT_TARGETS_MAX];
    return check(w, leaf, leaves_of_set(w, set, leaf));
}

/* ---- documents ---- */

void authority_doc_sample(struct authority_doc *d, struct wall_ms now)
{
    memset(d, 0, sizeof *d);
    d->region = name_of("home");
    strcpy(d->subject, "CN=Edge CA");
    d->ttl_s = 63072000;
    struct authority_gen g = { .state = AUTH_PREPARED, .key_type = 2, .not_before = now,
                               .not_after = { now.ms + 730 * DAY_MS }, .created = now, .chain_len = 5, .chain = "chain" };
    memset(g.spki_hash.b, 5, 32);
    assert_ok(authority_gen_append(d, 0, &g, NULL));
    assert_ok(authority_gen_set_state(d, 1, AUTH_ACTIVE, NULL));
}

struct cert_gen cert_gen_sample(struct wall_ms now)
{
    return (struct cert_gen){ .authority_gen = 1, .not_before = now, .not_after = { now.ms + 90 * DAY_MS }, .created = now };
}

void cert_doc_sample(struct cert_doc *d, const char *authority)
{
    memset(d, 0, sizeof *d);
    d->mode = CERT_PER_NODE;
    d->authority = name_of(authority);
    strcpy(d->subject, "CN=*.edge.example");
    d->n_sans = 2;
    d->san[0] = name_of("*.edge.example");
    d->san[1] = name_of("edge.example");
    d->key_type = 1;
    d->validity_s = 90 * 86400;
    d->renew_before_s = 30 * 86400;
}

void rollout_doc_sample(struct rollout_doc *d, uint64_t id, uint8_t type, const char *object, uint32_t from, uint32_t to)
{
    memset(d, 0, sizeof *d);
    d->id = id;
    d->kind = type == AT_CERT ? ROLLOUT_CERT : ROLLOUT_CONFIG;
    d->n_targets = 1;
    d->target[0] = (struct rollout_target){ type, name_of(object), from, to };
    d->n_waves = 2;
    d->wave[0] = (struct rollout_wave){ 50000, 3000 };
    d->wave[1] = (struct rollout_wave){ 1000000, 3000 };
    d->n_regions = 1;
    d->region[0].name = name_of("home");
    d->region[0].ordinal_max = 100;
    d->region[0].bound[0] = COHORT_END / 20;
    d->region[0].bound[1] = COHORT_END;
    d->region[0].nodes[0] = 5;
    d->region[0].nodes[1] = 95;
    d->submitted_by = name_of("anna");
    d->state = RS_PLANNED;
}

void world_furnish(struct world *w)
{
    static struct authority_doc auth;
    static struct cert_doc cert;
    struct region_doc home = { .key = w->genesis.region[0].key, .state = REGION_OK };
    block_of(w, AT_REGION, "home", PAYLOAD(w, region, &home));
    authority_doc_sample(&auth, w->now);
    block_of(w, AT_AUTHORITY, "ca", PAYLOAD(w, authority, &auth));
    cert_doc_sample(&cert, "ca");
    struct cert_gen g = cert_gen_sample(w->now);
    assert_ok(cert_gen_append(&cert, 0, &g, NULL));
    assert_ok(cert_gen_activate_first(&cert, NULL));
    block_of(w, AT_CERT, "web", PAYLOAD(w, cert, &cert));
}
