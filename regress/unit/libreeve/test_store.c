/* test_store.c - what an agent keeps on disk: restarts, tampering, keys. */
#include "gate.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stage g;
static char dir[64];

static int setup(void **state)
{
    strcpy(dir, "/tmp/reeve-store-XXXXXX");
    gate_new(&g, 1);
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    char path[200];
    static const char *const names[] = { "cache.mdb", "cache.mdb-lock", "machine.key", "node.key" };
    gate_free(&g);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static struct agent_store *open_store(void)
{
    struct agent_store *s;
    assert_ok(store_lmdb_open(&s, dir, false, NULL));
    return s;
}

static bool in_service(struct stage *x)
{
    return x->installed_gen != 0 && x->report.result == 2;
}

static struct agent_cert_info web(void)
{
    struct agent_cert_info c;
    assert_true(agent_cert_at(g.a, 0, &c));
    return c;
}

static void enrol(void)
{
    gate_furnish(&g, CERT_PER_NODE);
    gate_agent(&g, open_store(), true);
    assert_true(gate_until(&g, in_service));
    gate_turns(&g, 20);
}

static void a_restart_needs_no_server_and_says_stale(void **state)
{
    enrol();
    struct hash32 fp = g.installed_fp;
    uint64_t verified = agent_stats(g.a)->verified;
    gate_agent_end(&g);
    g.refuse_tcp = true;
    g.installs = 0;
    gate_agent(&g, open_store(), false);
    gate_turns(&g, 50);
    assert_true(agent_enrolled(g.a));
    assert_int_equal(web().serving, 1);
    assert_int_equal(web().want, 1);
    assert_int_equal(agent_freshness(g.a), AGENT_STALE);
    assert_int_equal(agent_stats(g.a)->verified, verified);
    assert_int_equal(g.installs, 0);
    /* the server is back: fresh, and nothing is asked for again */
    g.refuse_tcp = false;
    unsigned asked = g.cert_requests;
    assert_true(gate_until(&g, ready));
    gate_turns(&g, 50);
    assert_int_equal(agent_freshness(g.a), AGENT_FRESH);
    assert_int_equal(g.cert_requests, asked);
    assert_int_equal(g.installs, 0);
    assert_memory_equal(&g.installed_fp, &fp, 32);
    /* time passes the end of the certificate while it is away */
    gate_agent_end(&g);
    g.refuse_tcp = true;
    g.now.wall.ms += 91 * DAY_MS;
    gate_agent(&g, open_store(), false);
    gate_turns(&g, 5);
    assert_int_equal(agent_freshness(g.a), AGENT_EXPIRED);
    assert_int_equal(web().freshness, AGENT_EXPIRED);
}

static void a_report_that_was_not_acknowledged_is_sent_after_a_restart(void **state)
{
    g.install_later = true;
    gate_furnish(&g, CERT_PER_NODE);
    gate_agent(&g, open_store(), true);
    for (int i = 0; i < 3000 && g.installs == 0; i++)
        gate_turns(&g, 1);
    gate_cut(&g);
    g.refuse_tcp = true;
    struct agent_install_result res = { 0 };
    struct name n = name_of("web");
    agent_install_done(g.a, &n, 1, &res, g.now);
    gate_turns(&g, 3);
    gate_agent_end(&g);
    g.refuse_tcp = g.install_later = false;
    g.reports = 0;
    memset(&g.report, 0, sizeof g.report);
    gate_agent(&g, open_store(), false);
    assert_true(gate_until(&g, reported));
    assert_int_equal(g.report.result, 2);
    assert_int_equal(g.report.serving_gen, 1);
}

static void files_are_for_their_owner_alone(void **state)
{
    static const char *const names[] = { "cache.mdb", "machine.key", "node.key" };
    struct agent_identity id, again;
    assert_ok(identity_open(&id, dir, true, NULL));
    assert_ok(identity_open(&again, dir, false, NULL));
    assert_memory_equal(&id, &again, sizeof id);
    enrol();
    for (size_t i = 0; i < 3; i++) {
        char path[200];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
}

static size_t slurp(const char *name, uint8_t **out)
{
    char path[200];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    *out = malloc((size_t) st.st_size);
    assert_int_equal(read(fd, *out, (size_t) st.st_size), st.st_size);
    close(fd);
    return (size_t) st.st_size;
}

/* The names of things may stand there, their contents may not. */
static void the_cache_holds_nothing_in_clear(void **state)
{
    uint8_t *all;
    enrol();
    size_t n = slurp("cache.mdb", &all);
    assert_non_null(memmem(all, n, "web", 3));
    assert_null(memmem(all, n, "edge.example", 12));
    assert_null(memmem(all, n, "Edge CA", 7));
    free(all);
}

static void a_second_agent_on_the_folder_is_refused(void **state)
{
    struct agent_store *s = open_store(), *t;
    assert_err(store_lmdb_open(&t, dir, false, NULL), REEVE_E_LOCKED);
    assert_ok(store_lmdb_open(&t, dir, true, NULL));
    store_close(t);
    store_close(s);
}

static unsigned loaded;
static enum reeve_err count(void *arg, struct slice key, struct slice value)
{
    loaded++;
    return REEVE_OK;
}

static void values_under_another_key_are_forgotten(void **state)
{
    char path[200];
    struct agent_store *s = open_store();
    for (char c = 'a'; c < 'f'; c++)
        assert_ok(s->ops->put(s, slice_of(&c, 1), slice_str("value")));
    assert_ok(s->ops->commit(s));
    store_close(s);
    s = open_store();
    loaded = 0;
    assert_ok(s->ops->load(s, count, NULL));
    assert_int_equal(loaded, 5);
    assert_int_equal(s->unreadable, 0);
    store_close(s);
    snprintf(path, sizeof path, "%s/machine.key", dir);
    unlink(path);
    s = open_store();
    loaded = 0;
    assert_ok(s->ops->load(s, count, NULL));
    assert_int_equal(loaded, 0);
    assert_int_equal(s->unreadable, 5);
    store_close(s);
}

static void what_was_not_committed_is_not_there(void **state)
{
    struct agent_store *s = open_store();
    assert_ok(s->ops->put(s, slice_str("x"), slice_str("1")));
    assert_ok(s->ops->commit(s));
    assert_ok(s->ops->del(s, slice_str("x")));
    assert_ok(s->ops->put(s, slice_str("y"), slice_str("2")));
    store_close(s);
    s = open_store();
    loaded = 0;
    assert_ok(s->ops->load(s, count, NULL));
    assert_int_equal(loaded, 1);
    store_close(s);
}

/* Every byte of a cache may be wrong: an agent starts or says why not, and never believes. */
static void a_cache_of_noise_is_survived(void **state)
{
    struct rng r = rng_seeded("a_cache_of_noise_is_survived");
    static const char letters[] = "TMXOVSCq";
    gate_furnish(&g, CERT_PER_NODE);
    for (int i = 0; i < 200; i++) {
        struct agent_store *s = store_memory_new();
        for (int k = 0; k < 12; k++) {
            uint8_t key[40], value[300];
            size_t kl = 1 + rng_below(&r, 38), vl = rng_below(&r, 300);
            for (size_t b = 0; b < sizeof key; b++)
                key[b] = (uint8_t) (rng_below(&r, 3) ? 'a' + rng_below(&r, 26) : rng_below(&r, 256));
            key[0] = (uint8_t) letters[rng_below(&r, 8)];
            for (size_t b = 0; b < vl; b++)
                value[b] = (uint8_t) (rng_below(&r, 2) ? rng_below(&r, 4) : rng_below(&r, 256));
            assert_ok(s->ops->put(s, slice_of(key, kl), slice_of(value, vl)));
        }
        gate_agent(&g, s, true);
        gate_turns(&g, 2);
        gate_agent_end(&g);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_restart_needs_no_server_and_says_stale), T(a_report_that_was_not_acknowledged_is_sent_after_a_restart),
        T(files_are_for_their_owner_alone), T(the_cache_holds_nothing_in_clear), T(a_second_agent_on_the_folder_is_refused),
        T(values_under_another_key_are_forgotten), T(what_was_not_committed_is_not_there), T(a_cache_of_noise_is_survived),
    };
    return cmocka_run_group_tests_name("libreeve_store", tests, NULL, NULL);
}
