/*
 * The three processes together: kill -9, SIGSTOP, a full store. Nothing
 * acknowledged is lost, nothing is applied twice, and the chain never forks.
 */
#include "world.h"

#include <signal.h>
#include <unistd.h>

#include "backend/signer/signer_int.h"
#include "crypto/hash.h"
#include "crypto/ops.h"

#define CONF "attest_submit_timeout = 1500ms\nattest_tick_interval = 500ms\nlog_level = debug\n"

static void call_set(struct world *w, uint64_t seq, const char *key, const char *value, enum reeve_err want, int ms)
{
    struct wr b = wr_heap(1 << 20);
    struct call c;
    txn_set(&b, 1, seq, key, slice_str(value));
    enum reeve_err err = world_call(w, MSG_PROPOSE, wr_slice(&b), &c, ms);
    if (err != want)
        fail_msg("SET %s: %s (%s), not %s", key, reeve_err_name(err), c.rep.message, reeve_err_name(want));
    wr_free(&b);
}

static enum reeve_err call_class(struct world *w, const char *prefix, struct call *c, int ms)
{
    struct wr b = wr_heap(1 << 20);
    submit_class(&b, prefix);
    enum reeve_err err = world_call(w, MSG_SUBMIT, wr_slice(&b), c, ms);
    wr_free(&b);
    return err;
}

static bool has_class(struct look *l, const char *prefix)
{
    struct attest_object o;
    struct name n;
    name_set_str(&n, prefix);
    return attest_get(&l->attest, AT_CLASS, &n, &o) == REEVE_OK && o.version == 1;
}

static void kill_all(struct world *w)
{
    for (int i = 0; i < W_KIDS; i++)
        world_kill(w, i);
}

static void start_all(struct world *w)
{
    for (int i = 0; i < W_KIDS; i++)
        world_start(w, i);
    world_ready(w);
}

/* ---- ---- */

static void a_new_region_attests_itself_and_answers(void **state)
{
    struct world w;
    struct look l;
    struct call c;
    struct name home;
    struct attest_object o;
    world_new(&w, CONF);
    call_set(&w, 1, "greeting", "hello", REEVE_OK, 5000);
    assert_ok(call_class(&w, "payments/", &c, 5000));
    struct rd r = rd_of(slice_of(c.result, c.len));
    uint64_t height = rd_u64(&r), leaf = rd_u64(&r);
    assert_true(rd_done(&r) && height >= 1 && leaf < 2);
    /* The very same update again is done already, also while the chain grows by ticks that are not here yet. */
    for (int64_t end = world_ms() + 1500; world_ms() < end;) {
        assert_ok(call_class(&w, "payments/", &c, 5000));
        struct rd again = rd_of(slice_of(c.result, c.len));
        assert_int_equal(rd_u64(&again), height);
        assert_int_equal(rd_u64(&again), leaf);
    }
    class_actor = "mallory";
    assert_err(call_class(&w, "payments/", &c, 5000), REEVE_E_CONFLICT);
    assert_true(c.rep.message[0] != '\0');
    class_actor = "root";
    assert_ok(world_call(&w, MSG_BARRIER, slice_of(NULL, 0), &c, 1000));
    name_set_str(&home, "home");
    enum reeve_err err = REEVE_E_NOT_FOUND;
    for (int64_t end = world_ms() + 5000; err == REEVE_E_NOT_FOUND && world_ms() < end; world_turn(&w, 20)) {
        look_open(&w, &l, "");
        err = attest_get(&l.attest, AT_REGION, &home, &o);
        assert_true(has_class(&l, "payments/"));
        look_close(&l);
    }
    assert_ok(err);
    world_free(&w);
}

static void other_peoples_commands_are_refused(void **state)
{
    struct world w;
    struct call c;
    uint8_t attested[18] = { 1, RC_ATTESTED }, builtin[2] = { 1, RC_BUILTIN }, enroll[4] = { 1, RC_ENROLL };
    world_new(&w, CONF);
    assert_err(world_call(&w, MSG_PROPOSE, slice_of(attested, sizeof attested), &c, 1000), REEVE_E_DENIED);
    assert_err(world_call(&w, MSG_PROPOSE, slice_of(builtin, sizeof builtin), &c, 1000), REEVE_E_DENIED);
    assert_err(world_call(&w, MSG_PROPOSE, slice_of(enroll, sizeof enroll), &c, 1000), REEVE_E_DENIED);
    assert_err(world_call(&w, MSG_PROPOSE, slice_of(NULL, 0), &c, 1000), REEVE_E_DENIED);
    assert_err(world_call(&w, MSG_SUBMIT, slice_str("junk"), &c, 1000), REEVE_E_MALFORMED);
    call_set(&w, 1, "still", "here", REEVE_OK, 1000);
    world_free(&w);
}

static void a_stopped_validator_or_signer_holds_up_no_proposal(void **state)
{
    struct world w;
    struct call c;
    struct look l;
    uint64_t seq = 1;
    world_new(&w, CONF);
    assert_ok(call_class(&w, "warm/", &c, 5000));
    for (int which = W_SIGNER; which <= W_VALIDATOR; which++) {
        char prefix[16], key[16];
        snprintf(prefix, sizeof prefix, "p%d/", which);
        world_signal(&w, which, SIGSTOP);
        struct wr b = wr_heap(1 << 20);
        struct call late;
        submit_class(&b, prefix);
        assert_true(world_ask(&w, MSG_SUBMIT, wr_slice(&b), &late));
        for (int i = 0; i < 50; i++) {
            snprintf(key, sizeof key, "k%d-%d", which, i);
            call_set(&w, seq++, key, "v", REEVE_OK, 500);
        }
        int64_t end = world_ms() + 5000;
        while (!late.done && world_ms() < end)
            world_turn(&w, 10);
        assert_true(late.done);
        assert_err(late.err, which == W_SIGNER ? REEVE_E_QUORUM_LOST : REEVE_E_UNKNOWN_OUTCOME);
        world_signal(&w, which, SIGCONT);
        wr_free(&b);
        snprintf(prefix, sizeof prefix, "after%d/", which);
        end = world_ms() + 10000;
        while (call_class(&w, prefix, &c, 5000) != REEVE_OK && world_ms() < end)
            world_turn(&w, 100);
        assert_ok(c.err);
    }
    kill_all(&w);
    look_open(&w, &l, "");
    assert_false(has_class(&l, "p0/"));         /* "nothing was changed" was true */
    assert_true(has_class(&l, "after0/") && has_class(&l, "after1/"));
    look_close(&l);
    world_free(&w);
}

/* ---- kill -9 at any moment ---- */

#define KILL_ROUNDS 30
struct load {
    struct world *w;
    uint64_t seq;
    unsigned acked_sets, acked_classes, asked_classes;
    bool class_acked[4096];
    struct call set, class_;
    bool set_busy, class_busy;
    unsigned class_now;
};

static void ask_set(struct load *d)
{
    struct wr b = wr_heap(1 << 20);
    char key[32];
    snprintf(key, sizeof key, "n%llu", (unsigned long long) d->seq);
    txn_set(&b, 9, d->seq, key, slice_str("v"));
    d->set_busy = world_ask(d->w, MSG_PROPOSE, wr_slice(&b), &d->set);
    wr_free(&b);
}

static void ask_class(struct load *d)
{
    struct wr b = wr_heap(1 << 20);
    char prefix[32];
    d->class_now = d->asked_classes++;
    snprintf(prefix, sizeof prefix, "c%u/", d->class_now);
    submit_class(&b, prefix);
    d->class_busy = world_ask(d->w, MSG_SUBMIT, wr_slice(&b), &d->class_);
    wr_free(&b);
}

/* A proposal without an answer is sent again with the same number; a submission is not. */
static void load_turn(struct load *d, int ms)
{
    if (d->set_busy && d->set.done) {
        d->set_busy = false;
        if (d->set.err == REEVE_OK) {
            d->seq++;
            d->acked_sets++;
        }
    }
    if (d->class_busy && d->class_.done) {
        d->class_busy = false;
        if (d->class_.err == REEVE_OK) {
            d->class_acked[d->class_now] = true;
            d->acked_classes++;
        }
    }
    if (!d->set_busy)
        ask_set(d);
    if (!d->class_busy && d->asked_classes < 4096)
        ask_class(d);
    world_turn(d->w, ms);
}

static void check_sets(struct look *l, const struct load *d)
{
    struct kv_iter it;
    struct slice key, val;
    struct history_row h;
    unsigned *seen = calloc(d->seq + 2, sizeof *seen);
    region_iter_init(&l->region, &it, 'h', slice_of(NULL, 0));
    while (region_iter_next(&it, &key, &val) == REEVE_OK) {
        char text[32] = "";
        unsigned long long n;
        assert_ok(history_row_decode(&h, val));
        memcpy(text, h.statement.p, h.statement.len < 31 ? h.statement.len : 31);
        if (sscanf(text, "n%llu", &n) == 1) {
            assert_true(n <= d->seq);
            seen[n]++;
        }
    }
    for (uint64_t n = 1; n < d->seq; n++)
        if (seen[n] != 1)
            fail_msg("acknowledged transaction %llu was applied %u times", (unsigned long long) n, seen[n]);
    assert_true(seen[d->seq] <= 1);
    free(seen);
}

static void check_chains(struct look *ring, struct look *val)
{
    struct attest_head a, b;
    struct slice x, y;
    assert_ok(attest_head(&ring->attest, &a));
    assert_ok(attest_head(&val->attest, &b));
    assert_true(a.height <= b.height);
    for (uint64_t h = 1; h <= a.height; h++) {
        assert_ok(attest_block(&ring->attest, h, &x));
        assert_ok(attest_block(&val->attest, h, &y));
        if (!slice_eq(x, y))
            fail_msg("two blocks at height %llu", (unsigned long long) h);
    }
}

static void check_classes(struct look *l, const struct load *d)
{
    for (unsigned i = 0; i < d->asked_classes; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "c%u/", i);
        if (d->class_acked[i] && !has_class(l, prefix))
            fail_msg("acknowledged update %s is lost", prefix);
    }
}

static void kill_some(struct world *w, unsigned set)
{
    for (int i = 0; i < W_KIDS; i++)
        if (set >> i & 1)
            world_kill(w, i);
    for (int i = 0; i < W_KIDS; i++)
        if (set >> i & 1)
            world_start(w, i);
    world_ready(w);
}

static void nothing_is_lost_or_doubled_by_kill_9(void **state)
{
    struct world w;
    struct load *d = calloc(1, sizeof *d);
    struct look ring, val;
    world_new(&w, CONF);
    d->w = &w;
    d->seq = 1;
    for (int round = 0; round < KILL_ROUNDS; round++) {
        int64_t end = world_ms() + 20 + rng_below(&w.rng, 250);
        while (world_ms() < end)
            load_turn(d, 5);
        kill_some(&w, 1 + rng_below(&w.rng, 7));
    }
    int64_t end = world_ms() + 2000;
    while (world_ms() < end)
        load_turn(d, 5);
    fprintf(stderr, "# %u transactions and %u of %u updates acknowledged over %d kills\n", d->acked_sets, d->acked_classes,
            d->asked_classes, KILL_ROUNDS);
    assert_true(d->acked_sets > KILL_ROUNDS && d->acked_classes > KILL_ROUNDS / 2);
    kill_all(&w);
    look_open(&w, &ring, "");
    look_open(&w, &val, "/validator");
    check_sets(&ring, d);
    check_classes(&ring, d);
    check_chains(&ring, &val);
    look_close(&ring);
    look_close(&val);
    /* and it all starts again */
    start_all(&w);
    call_set(&w, 1, "after", "all", REEVE_OK, 3000);
    world_free(&w);
    free(d);
}

/* ---- a full store ---- */

static void a_full_store_refuses_and_goes_on_reading(void **state)
{
    struct world w;
    struct call c;
    struct look l;
    struct config_row row;
    struct name key;
    uint64_t seq = 1, acked = 0;
    static char value[60000];
    world_new(&w, CONF "lmdb_map_size = 16777216\n");
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = 'a';
    for (;; seq++) {
        struct wr b = wr_heap(1 << 20);
        char text[32];
        snprintf(text, sizeof text, "big%llu", (unsigned long long) seq);
        txn_set(&b, 3, seq, text, slice_of(value, sizeof value));
        enum reeve_err err = world_call(&w, MSG_PROPOSE, wr_slice(&b), &c, 5000);
        wr_free(&b);
        if (err != REEVE_OK) {
            assert_err(err, REEVE_E_DISK_FULL);
            break;
        }
        acked = seq;
        assert_true(seq < 2000);
    }
    assert_true(acked > 10);
    assert_ok(world_call(&w, MSG_BARRIER, slice_of(NULL, 0), &c, 1000));
    look_open(&w, &l, "");
    for (uint64_t i = 1; i <= acked; i++) {
        char text[32];
        snprintf(text, sizeof text, "big%llu", (unsigned long long) i);
        name_set_str(&key, text);
        assert_ok(region_config_get(&l.region, &key, &row));
    }
    look_close(&l);
    world_free(&w);
}

/* ---- private keys stay where they are ---- */

static void grep_for(struct world *w, const void *bytes, size_t len, const char *what)
{
    char cmd[512], hex[2 * 64 + 1], pattern[4 * 64 + 1], b64[128];
    size_t n = len < 64 ? len : 64;
    hex_encode(hex, bytes, n);
    for (size_t i = 0; i < n; i++)
        snprintf(pattern + 4 * i, 5, "\\x%02x", ((const uint8_t *) bytes)[i]);
    base64_encode(b64, bytes, n / 3 * 3);
    snprintf(cmd, sizeof cmd, "LC_ALL=C grep -rqaP '%s' --exclude-dir=keys %s", pattern, w->dir);
    if (system(cmd) == 0)
        fail_msg("%s lies outside DIR/keys", what);
    snprintf(cmd, sizeof cmd, "LC_ALL=C grep -rqaiF -e '%s' -e '%s' --exclude-dir=keys %s", hex, b64, w->dir);
    if (system(cmd) == 0)
        fail_msg("%s lies outside DIR/keys as text", what);
}

static int64_t now_of_test(void) { return 0; }

/* The authority's own key, opened as the signer opens it: its secret part must be nowhere in the clear, DIR/keys included. */
static void grep_for_authority_key(struct world *w, const struct name *ca, const uint8_t spki[32])
{
    static struct signer s;
    struct report rep = { .code = REEVE_OK };
    struct hash32 h;
    struct xkey *key;
    uint8_t der[512];
    struct wr out = wr_fixed(der, sizeof der);
    memcpy(h.b, spki, 32);
    s.now_ms = now_of_test;
    assert_ok(signer_open(&s, w->dir, &rep));
    assert_ok(sealed_load(&s, "authority", ca, 1, &h, &key, &rep));
    assert_ok(xkey_to_der(key, &out));
    /* P-256 in PKCS#8: the 32-byte scalar follows the inner OCTET STRING's head 04 20. */
    const uint8_t *scalar = memmem(der, out.len, "\x04\x20", 2);
    assert_non_null(scalar);
    grep_for(w, scalar + 2, 32, "an authority's private key");
    grep_for(w, der, 64, "an authority's PKCS#8");
    struct world only = *w;
    snprintf(only.dir, sizeof only.dir, "%.40s/keys/auth", w->dir);
    grep_for(&only, scalar + 2, 32, "an authority's private key in the clear");
    xkey_free(key);
    signer_close(&s);
}

static void no_key_leaves_the_key_folder(void **state)
{
    static const char *const files[] = { "region.key", "validator.key", "cosign.key", "master.key" };
    struct world w;
    struct call c;
    struct wr b = wr_heap(4096);
    struct name ca;
    world_new(&w, CONF);
    name_set_str(&ca, "ca");
    wr_name(&b, &ca);
    wr_u32(&b, 1);
    wr_u8(&b, 1);
    wr_u8(&b, 0);
    wr_u32(&b, 86400 * 365);
    wr_str16(&b, slice_str("CN=Canary"));
    assert_ok(world_call(&w, MSG_CREATE_AUTHORITY_KEY, wr_slice(&b), &c, 12000));
    uint8_t spki[32];
    memcpy(spki, c.result + 2, 32);
    assert_ok(call_class(&w, "canary/", &c, 5000));
    call_set(&w, 1, "canary", "v", REEVE_OK, 1000);
    kill_all(&w);
    for (int i = 0; i < 4; i++) {
        char path[256];
        uint8_t key[32];
        snprintf(path, sizeof path, "%s/keys/%s", w.dir, files[i]);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        assert_int_equal(fread(key, 1, 32, f), 32);
        fclose(f);
        grep_for(&w, key, 32, files[i]);
    }
    grep_for_authority_key(&w, &ca, spki);
    wr_free(&b);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_region_attests_itself_and_answers),
        cmocka_unit_test(other_peoples_commands_are_refused),
        cmocka_unit_test(a_stopped_validator_or_signer_holds_up_no_proposal),
        cmocka_unit_test(a_full_store_refuses_and_goes_on_reading),
        cmocka_unit_test(no_key_leaves_the_key_folder),
        cmocka_unit_test(nothing_is_lost_or_doubled_by_kill_9),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
