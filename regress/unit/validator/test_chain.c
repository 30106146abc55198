/* test_chain.c - the validator's store: blocks under way, blocks that are final through a descendant, blocks of others. */
#include "../unit.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "backend/validator/validator_int.h"
#include "common/text.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/sign.h"

#define N 4
#define T0 1700000000000

static char base[] = "/tmp/reeve-chain-XXXXXX";
static struct sign_key key[N], region_key;
static struct genesis g;
static struct wr genesis_doc;
static struct chain a, b;               /* of validators 0 and 1 */
static struct block_draft draft;
static struct report rep;

static int by_key(const void *x, const void *y)
{
    return memcmp(((const struct validator *) x)->key.b, ((const struct validator *) y)->key.b, 32);
}

static void genesis_make(void)
{
    struct { struct validator v; struct sign_key k; } all[N];
    uint8_t seed[32] = { 3 };
    memset(all, 0, sizeof all);
    for (uint8_t i = 0; i < N; i++) {
        seed[1] = i;
        (void) name_set(&all[i].v.name, slice_of(&"wxyz"[i], 1));
        all[i].v.weight = 1;
        sign_key_from_seed(&all[i].k, &all[i].v.key, seed);
    }
    qsort(all, N, sizeof *all, by_key);
    g.set.n = N;
    for (unsigned i = 0; i < N; i++) {
        g.set.v[i] = all[i].v;
        key[i] = all[i].k;
    }
    seed[1] = 99;
    (void) name_set_str(&g.chain, "test");
    g.time.ms = T0;
    g.n_regions = 1;
    (void) name_set_str(&g.region[0].name, "eu");
    sign_key_from_seed(&region_key, &g.region[0].key, seed);
    genesis_doc = wr_heap(1 << 16);
    genesis_encode(&g, &genesis_doc);
}

static void open_one(struct chain *c, unsigned me)
{
    char dir[64];
    snprintf(dir, sizeof dir, "%s/%u", base, me);
    if (mkdir(dir, 0700) == 0)
        assert_ok(validator_init(dir, wr_slice(&genesis_doc), &g.set.v[me].key, &rep));
    memset(c, 0, sizeof *c);
    assert_ok(chain_open(c, dir, &rep));
    assert_int_equal(c->me, me);
}

static int remove_any(const char *path, const struct stat *st, int type, struct FTW *at) { return remove(path); }

static int setup(void **state)
{
    assert_ok(crypto_init());
    memcpy(base + strlen(base) - 6, "XXXXXX", 6);
    assert_non_null(mkdtemp(base));
    genesis_make();
    open_one(&a, 0);
    open_one(&b, 1);
    draft.mem = malloc(ATTEST_BLOCK_MAX);
    return 0;
}

static int teardown(void **state)
{
    chain_close(&a);
    chain_close(&b);
    free(draft.mem);
    wr_free(&genesis_doc);
    nftw(base, remove_any, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* The region says that it is there: the first leaf of a chain. */
static struct slice region_leaf(void)
{
    static uint8_t leaf[1024], unsigned_bytes[1024], payload[256];
    struct region_doc d = { .key = g.region[0].key, .state = REGION_OK };
    struct wr p = wr_fixed(payload, sizeof payload), w = wr_fixed(leaf, sizeof leaf), u8 = wr_fixed(unsigned_bytes, sizeof unsigned_bytes);
    struct hash32 digest;
    region_doc_encode(&d, &p);
    struct update u = { .type = AT_REGION, .op = 1, .object = g.region[0].name, .version = 1, .payload = wr_slice(&p),
                        .region = g.region[0].name, .actor = g.region[0].name, .reason = slice_str("test") };
    update_encode(&u, false, &u8);
    update_sign_digest(&crypto_ops_real, &digest, &a.head.chain_id, wr_slice(&u8));
    sign_detached(&u.region_sig, slice_of(digest.b, 32), &region_key);
    update_encode(&u, true, &w);
    assert_false(w.bad);
    return wr_slice(&w);
}

/* A block of that view on that parent, kept; its name. leaf.len 0: a tick. */
static struct simplex_block make(struct chain *c, uint64_t view, uint64_t parent_view, const struct hash32 *parent, struct slice leaf)
{
    struct spec s;
    bool known;
    draft.n = draft.used = 0;
    assert_ok(spec_open(c, parent_view, parent, &s));
    draft.header = (struct block_header){ .view = view, .proposer = c->me, .time = { s.head.header.time.ms + 1000 } };
    if (leaf.len > 0) {
        assert_ok(spec_add(&s, &draft, &leaf, 1, &known, &rep));
        assert_false(known);
    }
    assert_ok(spec_propose(&s, &draft));
    spec_close(&s);
    assert_ok(content_save(c, &draft));
    struct simplex_block blk = { view, draft.header.height, draft.header.parent_view, { { 0 } }, draft.header.parent_hash };
    header_hash(&crypto_ops_real, &blk.hash, &draft.header);
    return blk;
}

static void certify(struct finalization *f, const struct block_header *h)
{
    struct vote v;
    uint8_t bytes[ATTEST_VOTE_LEN];
    vote_of_header(&crypto_ops_real, &v, VOTE_FINALIZE, h);
    vote_bytes(&v, bytes);
    f->n_bits = N;
    f->bitmap[0] = 0x7;
    f->n_sigs = 3;
    for (int i = 0; i < 3; i++)
        sign_detached(&f->sig[i], slice_of(bytes, sizeof bytes), &key[i]);
}

static struct block_header header_of(struct chain *c, const struct simplex_block *blk)
{
    assert_ok(content_load(c, blk->view, &blk->hash, &draft));
    return draft.header;
}

static void a_block_is_judged_on_the_state_of_a_parent_that_is_not_final(void **state)
{
    struct slice leaf = region_leaf();
    struct simplex_block one = make(&a, 1, 0, &a.head.header_hash, leaf);
    struct spec s;
    bool known;
    assert_ok(spec_open(&a, 1, &one.hash, &s));
    assert_int_equal(s.head.height, 1);
    draft.n = draft.used = 0;
    draft.header.time.ms = T0 + 5000;
    assert_ok(spec_add(&s, &draft, &leaf, 1, &known, &rep));
    assert_true(known);                         /* there it is done */
    spec_close(&s);
    assert_ok(chain_judge(&a, &leaf, 1, (struct wall_ms){ T0 + 5000 }, &known, &rep));
    assert_false(known);                        /* and here it is not */
    assert_int_equal(a.head.height, 0);
    struct simplex_block two = make(&a, 3, 1, &one.hash, slice_str(""));
    assert_int_equal(two.height, 2);
    two.hash.b[0] ^= 1;
    assert_err(spec_open(&a, 3, &two.hash, &s), REEVE_E_AGAIN);
    assert_err(spec_open(&b, 1, &one.hash, &s), REEVE_E_AGAIN);     /* nobody has told b its content */
}

static void a_block_that_is_final_through_its_descendant_convinces_others(void **state)
{
    static struct finalization f;
    struct simplex_block one = make(&a, 1, 0, &a.head.header_hash, region_leaf()), two = make(&a, 3, 1, &one.hash, slice_str(""));
    struct block_header h = header_of(&a, &two);
    struct wr first = wr_heap(ATTEST_BLOCK_MAX), second = wr_heap(ATTEST_BLOCK_MAX);
    memset(&f, 0, sizeof f);
    certify(&f, &h);
    f.n_links = 1;
    f.link[0] = h;
    assert_ok(chain_commit(&a, &one, &f, &first, &rep));
    assert_int_equal(a.head.height, 1);
    f.n_links = 0;
    assert_ok(chain_commit(&a, &two, &f, &second, &rep));
    assert_int_equal(a.head.height, 2);
    assert_err(content_load(&a, 3, &two.hash, &draft), REEVE_E_NOT_FOUND);      /* under way no more */
    assert_err(chain_take(&b, wr_slice(&second), &rep), REEVE_E_V_HEIGHT);
    report_clear(&rep);
    first.p[first.len - 1] ^= 1;
    assert_int_not_equal(chain_take(&b, wr_slice(&first), &rep), REEVE_OK);
    first.p[first.len - 1] ^= 1;
    assert_ok(chain_take(&b, wr_slice(&first), &rep));
    assert_ok(chain_take(&b, wr_slice(&second), &rep));
    assert_true(hash32_eq(&a.head.header_hash, &b.head.header_hash) && hash32_eq(&a.head.state_root, &b.head.state_root));
    wr_free(&first);
    wr_free(&second);
}

static void too_few_votes_make_nothing_final(void **state)
{
    static struct finalization f;
    struct simplex_block one = make(&a, 1, 0, &a.head.header_hash, slice_str(""));
    struct block_header h = header_of(&a, &one);
    struct wr w = wr_heap(ATTEST_BLOCK_MAX);
    memset(&f, 0, sizeof f);
    certify(&f, &h);
    f.bitmap[0] = 0x3;
    f.n_sigs = 2;
    assert_err(chain_commit(&a, &one, &f, &w, &rep), REEVE_E_V_QUORUM);
    assert_int_equal(a.head.height, 0);
    wr_free(&w);
}

static void own_blocks_are_found_again_by_view_and_parent(void **state)
{
    struct simplex_block one = make(&a, 5, 0, &a.head.header_hash, slice_str(""));
    struct hash32 other = { { 9 } };
    chain_close(&a);
    open_one(&a, 0);
    assert_ok(content_own(&a, 5, &one.parent_hash, &draft));
    assert_int_equal(draft.header.height, 1);
    assert_err(content_own(&a, 5, &other, &draft), REEVE_E_NOT_FOUND);
    assert_err(content_own(&a, 4, &one.parent_hash, &draft), REEVE_E_NOT_FOUND);
    draft.header.proposer = 2;                  /* somebody else's of the same view */
    assert_ok(content_save(&a, &draft));
    a.me = 3;
    assert_err(content_own(&a, 5, &one.parent_hash, &draft), REEVE_E_NOT_FOUND);
    assert_int_equal(content_newest(&a), 5);
}

static unsigned n_votes, n_certs;
static uint64_t first_view;
static enum reeve_err vote_seen(void *arg, const struct simplex_vote *v, const struct sig64 *sig)
{
    if (n_votes++ == 0)
        first_view = v->b.view;
    assert_int_equal(sig->b[0], (uint8_t) v->b.view);
    return REEVE_OK;
}
static enum reeve_err cert_seen(void *arg, const struct simplex_cert *c)
{
    n_certs++;
    assert_int_equal(c->type, SX_NULLIFY);
    assert_int_equal(c->n_sigs, 3);
    return REEVE_OK;
}

static void votes_and_certificates_are_kept_until_a_block_is_final(void **state)
{
    static struct finalization f;
    struct wr w = wr_heap(ATTEST_BLOCK_MAX);
    for (uint64_t view = 1; view <= 200; view++) {
        struct simplex_vote v = { SX_NULLIFY, { .view = view } };
        struct simplex_cert c = { SX_NULLIFY, { .view = view }, { 0x7 }, 3, { { { 0 } } } };
        struct sig64 sig = { { (uint8_t) view } };
        assert_ok(chain_vote_save(&a, &v, &sig, &c, 1));
    }
    chain_close(&a);
    open_one(&a, 0);
    n_votes = n_certs = 0;
    assert_ok(chain_votes(&a, vote_seen, NULL));
    assert_ok(chain_certs(&a, 0, SIZE_MAX, cert_seen, NULL));
    assert_int_equal(n_votes, 64);              /* more than the engine's window */
    assert_int_equal(first_view, 137);
    assert_int_equal(n_certs, 200);             /* each view that was passed can be shown */
    n_certs = 0;
    assert_ok(chain_certs(&a, 150, 20, cert_seen, NULL));
    assert_int_equal(n_certs, 20);              /* as others ask for them */
    struct simplex_block one = make(&a, 190, 0, &a.head.header_hash, slice_str(""));
    struct block_header h = header_of(&a, &one);
    memset(&f, 0, sizeof f);
    certify(&f, &h);
    assert_ok(chain_commit(&a, &one, &f, &w, &rep));
    n_votes = n_certs = 0;
    assert_ok(chain_votes(&a, vote_seen, NULL));
    assert_ok(chain_certs(&a, 0, SIZE_MAX, cert_seen, NULL));
    struct simplex_cert own;
    assert_ok(chain_head_cert(&a, &own));
    assert_true(own.b.view == 190 && own.n_sigs == 3 && hash32_eq(&own.b.hash, &one.hash));
    assert_err(chain_head_cert(&b, &own), REEVE_E_NOT_FOUND);
    assert_int_equal(n_votes, 10);
    assert_int_equal(n_certs, 10);
    wr_free(&w);
}

/* One key for the one block under way, as before sets of several. */
static void what_an_older_program_had_under_way_is_found(void **state)
{
    struct simplex_block one = make(&a, 4, 0, &a.head.header_hash, region_leaf());
    struct wr w = wr_heap(ATTEST_BLOCK_MAX);
    struct storage_txn *t;
    assert_ok(content_load(&a, 4, &one.hash, &draft));
    draft_encode(&draft, &w);
    assert_ok(storage_begin(a.store, STORAGE_WRITE, &t));
    assert_ok(content_drop(storage_kv(t), 9));
    assert_ok(kv_put(storage_kv(t), slice_str("Vp"), wr_slice(&w)));
    assert_ok(storage_commit(t));
    chain_close(&a);
    open_one(&a, 0);
    assert_ok(content_load(&a, 4, &one.hash, &draft));
    assert_int_equal(draft.n, 1);
    assert_int_equal(content_newest(&a), 4);
    chain_close(&a);
    open_one(&a, 0);
    assert_int_equal(content_newest(&a), 4);
    wr_free(&w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_block_is_judged_on_the_state_of_a_parent_that_is_not_final),
        T(a_block_that_is_final_through_its_descendant_convinces_others),
        T(too_few_votes_make_nothing_final),
        T(own_blocks_are_found_again_by_view_and_parent),
        T(votes_and_certificates_are_kept_until_a_block_is_final),
        T(what_an_older_program_had_under_way_is_found),
    };
    return cmocka_run_group_tests_name("validator_chain", tests, NULL, NULL);
}
