/* test_state.c - the state writer's thread against a twin that applies one command at a time, in no hurry. */
#include "../utils/tmpdir.h"

#include <stdatomic.h>
#include <stdio.h>

#include "backend/ring/state.h"

#define MAP (4u << 20)

/* ---- commands: "set K V", "refuse", "spoil K" (writes, then refuses), "needs K" ---- */

static atomic_bool no_room;             /* every write of "set" meets a full map */

static enum reeve_err put_huge(struct kv *kv)
{
    static uint8_t huge[2 * MAP];
    return kv_put(kv, slice_str("huge"), slice_of(huge, sizeof huge));
}

static enum reeve_err toy_apply(void *arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out,
                                struct report *rep)
{
    char text[128], verb[16], key[32] = "", value[32] = "";
    struct slice have;
    ++*(unsigned *) arg;
    snprintf(text, sizeof text, "%.*s", (int) command.len, (const char *) command.p);
    sscanf(text, "%15s %31s %31s", verb, key, value);
    if (strcmp(verb, "refuse") == 0)
        return report_set(rep, REEVE_E_CONFLICT, "refused, as wished");
    if (strcmp(verb, "needs") == 0 && kv_get(kv, slice_str(key), &have) != REEVE_OK)
        return REEVE_E_UNDEFINED_OBJECT;
    if (atomic_load(&no_room))
        return put_huge(kv);
    enum reeve_err err = strcmp(verb, "needs") ? kv_put(kv, slice_str(key), slice_str(value)) : REEVE_OK;
    if (err == REEVE_OK && strcmp(verb, "spoil") == 0)
        return REEVE_E_V_LEAF;
    wr_printf(out, "%s at %llu", key, (unsigned long long) index);
    return err;
}

/* ---- a world: store, loop, state writer, and what came back ---- */

#define RUNS_MAX 4096
struct item { struct state_run run; struct state_command c; char text[96]; struct state_row row; char row_value[24]; };
static struct {
    struct storage *st;
    struct loop *loop;
    struct state *s;
    unsigned applies;
    size_t n, applied, synced;
    struct item *item[RUNS_MAX];
    uint64_t seen;                      /* newest index given back */
} w;

static void on_applied(void *arg, struct state_run *run)
{
    assert_ptr_equal(run, &w.item[w.applied]->run);
    w.applied++;
}

static bool stands(const char *key, const char *value)
{
    struct storage_txn *t;
    struct slice v;
    assert_ok(storage_begin(w.st, STORAGE_READ, &t));
    enum reeve_err err = kv_get(storage_kv(t), slice_str(key), &v);
    bool ok = value ? err == REEVE_OK && slice_eq(v, slice_str(value)) : err == REEVE_E_NOT_FOUND;
    storage_abort(t);
    return ok;
}

/* S3: what is given back can be read. */
static void on_synced(void *arg, struct state_run *runs)
{
    for (struct state_run *run = runs; run; run = run->later) {
        struct item *i = w.item[w.synced++];
        assert_ptr_equal(run, &i->run);
        if (i->c.err != REEVE_OK)
            continue;
        assert_int_equal(i->c.index, w.seen + 1);
        w.seen = i->c.index;
        if (run->n_rows > 0 && run->later == NULL)
            assert_true(stands("row", i->row_value));
    }
}

static void on_fatal(void *arg, enum reeve_err err) { fail_msg("fatal: %s", reeve_err_name(err)); }

static void world_start(bool keep)
{
    struct report rep = { 0 };
    struct state_host h = { &w.applies, toy_apply, NULL, on_applied, on_synced, on_fatal };
    atomic_store(&no_room, false);
    assert_ok(storage_open(&w.st, tmpdir, STORAGE_WRITE, MAP, 8, &rep));
    assert_ok(loop_new(&w.loop));
    assert_ok(state_start(&w.s, w.loop, w.st, 0, keep, &h));
}

static size_t world_stop(void)
{
    struct state_run *left;
    size_t n = 0;
    state_stop(w.s, &left);
    for (; left; left = left->later)
        n++;
    storage_close(w.st);
    loop_free(w.loop);
    for (size_t i = 0; i < w.n; i++) {
        state_command_clear(&w.item[i]->c);
        free(w.item[i]);
    }
    memset(&w, 0, sizeof w);
    return n;
}

static struct item *put(bool early, const char *fmt, ...)
{
    struct item *i = calloc(1, sizeof *i);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(i->text, sizeof i->text, fmt, ap);
    va_end(ap);
    i->c.command = slice_str(i->text);
    snprintf(i->row_value, sizeof i->row_value, "r%zu", w.n);
    i->row = (struct state_row){ slice_str("row"), slice_str(i->row_value) };
    i->run = (struct state_run){ .first = &i->c, .n = 1, .bytes = i->c.command.len, .early = early, .row = &i->row, .n_rows = 1 };
    w.item[w.n++] = i;
    state_put(w.s, &i->run);
    return i;
}

static void turn_until(const size_t *what, size_t n)
{
    for (int i = 0; *what < n && i < 2000; i++)
        loop_run_once(w.loop, 10);
    assert_int_equal(*what, n);
}

/* ---- the twin ---- */

static struct { char key[8], value[16]; bool there; } twin[16];

static bool twin_apply(const char *text)
{
    char verb[16], key[32] = "", value[32] = "";
    sscanf(text, "%15s %31s %31s", verb, key, value);
    unsigned k = key[0] ? (unsigned) atoi(key + 1) : 0;
    if (strcmp(verb, "set") == 0) {
        snprintf(twin[k].key, sizeof twin[k].key, "%.7s", key);
        snprintf(twin[k].value, sizeof twin[k].value, "%.15s", value);
        twin[k].there = true;
        return true;
    }
    return strcmp(verb, "needs") == 0 && twin[k].there;
}

static void random_commands_end_as_the_twin_says(void **state)
{
    struct rng r = rng_seeded("state");
    uint64_t index = 0;
    memset(twin, 0, sizeof twin);
    world_start(rng_below(&r, 2) == 1);
    for (int i = 0; i < 3000; i++) {
        unsigned k = rng_below(&r, 16);
        switch (rng_below(&r, 8)) {
        case 0: put(rng_below(&r, 2), "refuse"); break;
        case 1: put(rng_below(&r, 2), "spoil k%u x%d", k, i); break;
        case 2: put(rng_below(&r, 2), "needs k%u", k); break;
        default: put(rng_below(&r, 2), "set k%u v%d", k, i); break;
        }
        if (rng_below(&r, 200) == 0)
            loop_run_once(w.loop, 0);
        if (rng_below(&r, 400) == 0)
            state_drain(w.s);
    }
    state_drain(w.s);
    assert_int_equal(w.synced, w.n);
    assert_int_equal(w.applied, w.n);
    for (size_t i = 0; i < w.n; i++) {
        char want[64];
        bool ok = twin_apply(w.item[i]->text);
        if (ok != (w.item[i]->c.err == REEVE_OK))
            fail_msg("%s: %s", w.item[i]->text, reeve_err_name(w.item[i]->c.err));
        if (!ok)
            continue;
        char verb[16], key[32];
        sscanf(w.item[i]->text, "%15s %31s", verb, key);
        snprintf(want, sizeof want, "%s at %llu", key, (unsigned long long) ++index);
        assert_true(slice_eq(wr_slice(&w.item[i]->c.result), slice_str(want)));
    }
    for (unsigned k = 0; k < 16; k++)
        if (twin[k].there)
            assert_true(stands(twin[k].key, twin[k].value));
    assert_int_equal(world_stop(), 0);
}

static void a_refused_command_leaves_no_trace_and_its_neighbours_stand(void **state)
{
    world_start(true);
    put(true, "set a 1");               /* early ones share the transaction for certain */
    struct item *spoilt = put(true, "spoil b 2");
    struct item *after = put(true, "set c 3");
    struct item *refused = put(true, "refuse");
    turn_until(&w.applied, 4);
    assert_int_equal(w.synced, 0);
    state_drain(w.s);
    assert_err(spoilt->c.err, REEVE_E_V_LEAF);
    assert_err(refused->c.err, REEVE_E_CONFLICT);
    assert_string_equal(refused->c.rep->message, "refused, as wished");
    assert_int_equal(after->c.index, 2);
    assert_true(stands("a", "1") && stands("b", NULL) && stands("c", "3"));
    assert_int_equal(world_stop(), 0);
}

static void what_is_early_is_answered_before_its_sync_and_synced_on_demand_or_soon(void **state)
{
    world_start(true);
    put(true, "set a 1");
    turn_until(&w.applied, 1);
    assert_true(stands("a", NULL));
    state_flush(w.s);
    turn_until(&w.synced, 1);
    assert_true(stands("a", "1"));
    put(true, "set a 2");
    turn_until(&w.applied, 2);
    turn_until(&w.synced, 2);           /* by itself, after STATE_HOLD_MS */
    put(true, "set b 1");
    put(false, "set b 2");              /* who waits takes the others along */
    turn_until(&w.synced, 4);
    assert_true(stands("b", "2"));
    assert_int_equal(world_stop(), 0);
}

static void without_a_log_a_full_store_is_each_commands_own_answer(void **state)
{
    world_start(false);
    put(false, "set a 1");
    turn_until(&w.synced, 1);
    atomic_store(&no_room, true);
    struct item *full = put(false, "set b 1");
    struct item *still = put(false, "refuse");
    turn_until(&w.synced, 3);
    assert_err(full->c.err, REEVE_E_DISK_FULL);
    assert_err(still->c.err, REEVE_E_CONFLICT);
    atomic_store(&no_room, false);
    put(false, "set b 2");
    turn_until(&w.synced, 4);
    assert_true(stands("a", "1") && stands("b", "2"));
    assert_int_equal(world_stop(), 0);
}

static void with_a_log_a_full_store_waits_and_goes_on_where_it_stood(void **state)
{
    world_start(true);
    put(true, "set a 1");
    put(true, "spoil a 7");
    turn_until(&w.applied, 2);
    atomic_store(&no_room, true);
    put(false, "set b 1");
    for (int i = 0; state_stalled(w.s) == REEVE_OK && i < 2000; i++)
        loop_run_once(w.loop, 10);
    assert_err(state_stalled(w.s), REEVE_E_DISK_FULL);
    assert_true(stands("a", NULL));     /* reading goes on */
    put(false, "set c 1");
    state_drain(w.s);                   /* does not wait for room */
    assert_int_equal(w.synced, 0);
    atomic_store(&no_room, false);
    turn_until(&w.synced, 4);
    assert_ok(state_stalled(w.s));
    assert_int_equal(w.seen, 3);
    assert_true(stands("a", "1") && stands("b", "1") && stands("c", "1"));
    assert_int_equal(world_stop(), 0);
}

static void a_stop_on_a_full_store_gives_back_what_did_not_fit(void **state)
{
    world_start(true);
    atomic_store(&no_room, true);
    put(false, "set a 1");
    put(false, "set b 1");
    for (int i = 0; state_stalled(w.s) == REEVE_OK && i < 2000; i++)
        loop_run_once(w.loop, 10);
    assert_int_equal(world_stop(), 2);
}

static void a_stop_finishes_what_was_put(void **state)
{
    world_start(true);
    for (int i = 0; i < 100; i++)
        put(i % 2, "set k%d 1", i % 16);
    assert_int_equal(world_stop(), 0);
}

static void a_crowd_shares_syncs(void **state)
{
    struct storage_stat before, after;
    world_start(false);
    assert_ok(storage_stat(w.st, &before));
    for (int i = 0; i < 2000; i++)
        put(false, "set k%d v%d", i % 16, i);
    state_drain(w.s);
    assert_ok(storage_stat(w.st, &after));
    assert_true(after.last_txn - before.last_txn < 500);
    assert_int_equal(w.applies, 2000);
    assert_int_equal(world_stop(), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, tmpdir_make, tmpdir_remove)
    const struct CMUnitTest tests[] = {
        T(random_commands_end_as_the_twin_says),
        T(a_refused_command_leaves_no_trace_and_its_neighbours_stand),
        T(what_is_early_is_answered_before_its_sync_and_synced_on_demand_or_soon),
        T(without_a_log_a_full_store_is_each_commands_own_answer),
        T(with_a_log_a_full_store_waits_and_goes_on_where_it_stood),
        T(a_stop_on_a_full_store_gives_back_what_did_not_fit),
        T(a_stop_finishes_what_was_put),
        T(a_crowd_shares_syncs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
