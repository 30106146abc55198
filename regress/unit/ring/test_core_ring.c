/*
 * test_core_ring.c - three members in one loop, over real sockets and files: who is let in gets the state and then the log,
 * any member takes commands and serves reads, a lost leader is replaced, who was away comes back, a state replaces another.
 */
#include "../utils/ports.h"
#include "../utils/tmpdir.h"

#include <signal.h>

#include "backend/ring/core.h"
#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "common/buf.h"
#include "crypto/hash.h"
#include "crypto/ops.h"

#define MAP     (256u << 20)
#define SEGMENT (4u << 20)
#define MEMBERS 3
#define PATIENCE_MS 30000

struct life {
    unsigned nth;
    char dir[128];
    struct peer_identity identity;
    uint16_t port;
    uint32_t window;                    /* bytes of the log in memory; 0: as usual */
    struct storage *st;
    struct core *core;
    unsigned open, done;
    enum reeve_err last;
    uint64_t applied;
    unsigned replaced;
    bool leads, admits;
    size_t map;                         /* 0: MAP */
    bool differs, held;                 /* read by the state writer: this member writes something else; it waits */
};
static struct life node[MEMBERS];
static struct loop *loop;
static uint8_t secret[PEER_SECRET_LEN] = { 1, 2, 3 };

/* ---- the state: 'n' u32 -> u64 revision and payload; "rev" -> u64. Command: u32 id, payload ---- */

static enum reeve_err put_u64(struct kv *kv, struct slice key, uint64_t a)
{
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, a);
    return kv_put(kv, key, wr_slice(&w));
}

static enum reeve_err toy_apply(void *arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out, struct report *rep)
{
    uint8_t key[5] = { 'n' };
    struct slice have;
    memcpy(key + 1, command.p, 4);
    if (kv_get(kv, slice_of(key, 5), &have) == REEVE_OK)
        return report_set(rep, REEVE_E_DUPLICATE_OBJECT, "twice");
    struct life *n = arg;
    while (__atomic_load_n(&n->held, __ATOMIC_RELAXED))
        usleep(1000);
    enum reeve_err err = kv_put(kv, slice_of(key, 5), command);
    if (err == REEVE_OK && __atomic_load_n(&n->differs, __ATOMIC_RELAXED))
        err = put_u64(kv, slice_str("another"), index);
    return err == REEVE_OK ? put_u64(kv, slice_str("rev"), index) : err;
}

static enum reeve_err toy_revision(void *arg, struct kv *kv, uint64_t *out)
{
    struct slice v;
    enum reeve_err err = kv_get(kv, slice_str("rev"), &v);
    struct rd r = rd_of(v);
    if (err == REEVE_OK)
        *out = rd_u64(&r);
    return err;
}

static bool all_early;
static bool toy_early(struct slice command) { return all_early; }

static uint64_t stored_revision(const struct life *n)
{
    struct storage_txn *t;
    uint64_t a = 0;
    assert_ok(storage_begin(n->st, STORAGE_READ, &t));
    (void) !toy_revision(NULL, storage_kv(t), &a);
    storage_abort(t);
    return a;
}

static bool holds(const struct life *n, uint32_t id)
{
    uint8_t mem[5];
    struct wr w = wr_fixed(mem, 5);
    struct storage_txn *t;
    struct slice v;
    wr_u8(&w, 'n');
    wr_u32(&w, id);
    assert_ok(storage_begin(n->st, STORAGE_READ, &t));
    bool has = kv_get(storage_kv(t), wr_slice(&w), &v) == REEVE_OK;
    storage_abort(t);
    return has;
}

/* ---- a member ---- */

/* What certainly was not done is done again, as the proposer does (proposer.h). */
static struct { struct life *n; uint32_t id; } again[1024];
static unsigned n_again;

static void on_done(void *arg, uint64_t ticket, enum reeve_err err, struct state_command *c)
{
    struct life *n = arg;
    if (err == REEVE_E_NOT_LEADER && n_again < 1024) {
        again[n_again].n = n;
        again[n_again++].id = (uint32_t) ticket - 1;
        return;
    }
    n->open--;
    n->last = err != REEVE_OK ? err : c->err;
    n->done += n->last == REEVE_OK;
    if (n->last != REEVE_OK && n->last != REEVE_E_DUPLICATE_OBJECT)
        print_message("# member %u: command %llu: %s\n", n->nth, (unsigned long long) ticket - 1, reeve_err_name(n->last));
}

static void on_applied(void *arg, uint64_t revision, struct slice command) { ((struct life *) arg)->applied = revision; }
static void on_committed(void *arg, uint64_t revision) { }
static void on_fatal(void *arg, enum reeve_err err) { abort(); }
static void on_role(void *arg, bool leads) { ((struct life *) arg)->leads = leads; }

static void on_replaced(void *arg, uint64_t revision)
{
    struct life *n = arg;
    n->replaced++;
    n->applied = revision;
    assert_int_equal(stored_revision(n), revision);
}

static uint32_t state_names_up_to;

static enum reeve_err on_admit(void *arg, const struct peer_join_request *j, uint32_t *last_id)
{
    *last_id = state_names_up_to;
    return memcmp(j->secret, secret, sizeof secret) == 0 ? REEVE_OK : REEVE_E_AUTH;
}

static void life_store(struct life *n)
{
    struct report rep = { 0 };
    assert_ok(storage_open(&n->st, n->dir, STORAGE_WRITE, n->map ? n->map : MAP, 8, &rep));
}

static void life_begin(struct life *n)
{
    static const char *const hosts[] = { "127.0.0.1" };
    struct core_host h = { .apply_arg = n, .apply = toy_apply, .early = toy_early, .arg = n, .done = on_done, .applied = on_applied,
                           .committed = on_committed, .fatal = on_fatal, .hash_every = 32, .window_bytes = n->window, .revision = toy_revision, .replaced = on_replaced,
                           .role = on_role, .admit = on_admit };
    struct core_net net = { .identity = &n->identity, .listen = hosts, .n_listen = 1, .port = n->port, .host = "127.0.0.1" };
    struct report rep = { 0 };
    struct core_status st;
    n->open = n->done = n->replaced = 0;
    enum reeve_err err = core_open(&n->core, loop, n->st, n->dir, SEGMENT, stored_revision(n), &h, &net, &rep);
    if (err != REEVE_OK)
        fail_msg("member %u: %s", n->nth, rep.message);
    core_status(n->core, &st);
    n->applied = st.revision;
    n->leads = st.leads;
    if (n->port == 0) {
        const struct raft_member *m = raft_conf_find(core_conf(n->core), core_id(n->core));
        struct peer_addr a;
        assert_ok(peer_addr_parse(&a, slice_of(m->addr, m->addr_len)));
        n->port = a.port;
    }
}

static void life_end(struct life *n)
{
    core_close(n->core);
    n->core = NULL;
    storage_close(n->st);
    n->st = NULL;
}

static void rounds_until(bool (*ok)(void), const char *what)
{
    struct mono_ms until = clock_deadline(PATIENCE_MS);
    while (clock_left(until) > 0) {
        if (ok())
            return;
        loop_run_once(loop, 10);
    }
    fail_msg("waited in vain: %s", what);
}

static struct life *leader(void)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        if (node[i].core && node[i].leads)
            return &node[i];
    return NULL;
}
static bool somebody_leads(void) { return leader() != NULL; }
/* On a busy machine leadership may be on its way from one to another. */
static struct life *led(void)
{
    rounds_until(somebody_leads, "a leader");
    return leader();
}

/* ---- commands and reads ---- */

static uint32_t next_id;
static size_t pad;

static enum reeve_err propose(struct life *n, uint32_t id)
{
    static uint8_t mem[64 << 10];
    struct wr w = wr_fixed(mem, 24);
    wr_u32(&w, id);
    wr_printf(&w, "marked-%08u.", id);
    n->open++;
    enum reeve_err err = core_propose(n->core, id + 1, slice_of(mem, 4 + pad));
    if (err != REEVE_OK)
        n->open--;
    return err;
}

static void try_again(void)
{
    while (n_again > 0) {
        struct life *n = again[--n_again].n;
        n->open--;
        if (n->core && propose(n, again[n_again].id) != REEVE_OK) {
            n->open++;                  /* no room: later */
            n_again++;
            return;
        }
    }
}

static bool nothing_open(void)
{
    try_again();
    for (unsigned i = 0; i < MEMBERS; i++)
        if (node[i].core && node[i].open)
            return false;
    return true;
}

static void write_some(struct life *n, unsigned count)
{
    unsigned before = n->done;
    for (unsigned i = 0; i < count; i++) {
        while (propose(n, next_id) == REEVE_E_BUSY)
            loop_run_once(loop, 10);
        next_id++;
        if (n->open >= 64)
            loop_run_once(loop, 1);
    }
    rounds_until(nothing_open, "answers");
    assert_ok(n->last);
    assert_int_equal(n->done - before, count);
}

static bool all_equal(void)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (node[i].core == NULL)
            continue;
        if (r != 0 && node[i].applied != r)
            return false;
        r = node[i].applied;
    }
    return true;
}

static bool read_ended;
static enum reeve_err read_err;
static void on_read(void *arg, enum reeve_err err)
{
    read_ended = true;
    read_err = err;
}
static bool read_done(void) { return read_ended; }

/* What was acknowledged anywhere is seen here. */
static void assert_reads_newest(struct life *n)
{
    read_ended = false;
    assert_ok(core_read(n->core, on_read, NULL));
    rounds_until(read_done, "a read");
    assert_ok(read_err);
    assert_true(holds(n, next_id - 1));
}

/* ---- joining ---- */

static struct { bool ended; enum reeve_err err; struct life *n; uint64_t incarnation; } join;

static void on_joined(void *arg, enum reeve_err err, const struct peer_joined *j, const char *text)
{
    join.ended = true;
    join.err = err;
    if (err == REEVE_OK)
        assert_ok(core_join_write(join.n->st, join.incarnation, j));
}
static bool join_ended(void) { return join.ended; }

static enum reeve_err ask_to_join(struct life *n, struct life *via, const uint8_t *with)
{
    char addr[RAFT_ADDR_MAX + 1];
    size_t len;
    struct peer_token token = { .expires = { INT64_MAX } };
    struct peer_join *pj;
    struct report rep = { 0 };
    const struct raft_member *m = raft_conf_find(core_conf(via->core), core_id(via->core));
    struct peer_addr at;
    assert_ok(peer_addr_parse(&at, slice_of(m->addr, m->addr_len)));
    token.key = at.key;
    memcpy(token.secret, with, sizeof token.secret);
    struct core_status st;
    core_status(via->core, &st);
    token.ring = core_ring(via->core);
    assert_ok(peer_addr_format(addr, &len, "127.0.0.1", n->port, &n->identity.key));
    random_bytes(&join.incarnation, sizeof join.incarnation);
    join.incarnation |= 1;
    join.ended = false;
    join.n = n;
    struct peer_join_config c = { &n->identity, &token, "127.0.0.1", at.port, join.incarnation, slice_of(addr, len), 1000, 5000 };
    assert_ok(peer_join_start(&pj, loop, &c, on_joined, NULL, &rep));
    rounds_until(join_ended, "the answer to a request to join");
    peer_join_free(pj);
    return join.err;
}

static bool changed;
static enum reeve_err change_err;
static void on_changed(void *arg, enum reeve_err err)
{
    changed = true;
    change_err = err;
}
static bool change_ended(void) { return changed; }

static void promote(struct life *n)
{
    struct raft_change ch = { .kind = RAFT_PROMOTE, .id = core_id(n->core) };
    for (int i = 0; i < 200; i++) {
        changed = false;
        enum reeve_err err = core_change(led()->core, &ch, 1, on_changed, NULL);
        if (err == REEVE_OK) {
            rounds_until(change_ended, "a change of members");
            assert_ok(change_err);
            return;
        }
        assert_true(err == REEVE_E_AGAIN || err == REEVE_E_NOT_LEADER);
        loop_run_once(loop, 10);
    }
    fail_msg("nobody could be promoted");
}

static void hold(struct life *n, bool held) { __atomic_store_n(&n->held, held, __ATOMIC_RELAXED); }

static int world_begin(void **state)
{
    assert_ok(crypto_init());
    signal(SIGPIPE, SIG_IGN);
    log_init("test");
    log_configure(getenv("RING_LOG") ? LOG_SEV_DEBUG : LOG_SEV_FATAL, LOG_FORM_TEXT);
    tmpdir_make(state);
    assert_ok(loop_new(&loop));
    memset(node, 0, sizeof node);
    next_id = 1;
    state_names_up_to = 0;
    pad = n_again = 0;
    all_early = false;
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct life *n = &node[i];
        n->nth = i + 1;
        snprintf(n->dir, sizeof n->dir, "%s/%u", tmpdir, i + 1);
        assert_int_equal(mkdir(n->dir, 0700), 0);
        assert_ok(peer_identity_fresh(&n->identity));
        n->port = unit_port();          /* kept over its lives */
        life_store(n);
    }
    life_begin(&node[0]);
    return 0;
}

static int world_end(void **state)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        hold(&node[i], false);
        if (node[i].core)
            life_end(&node[i]);
        storage_close(node[i].st);
        peer_identity_end(&node[i].identity);
    }
    loop_free(loop);
    return tmpdir_remove(state);
}

static void make_ring(void)
{
    rounds_until(somebody_leads, "the first leader");
    write_some(&node[0], 50);
    for (unsigned i = 1; i < MEMBERS; i++) {
        assert_ok(ask_to_join(&node[i], &node[0], secret));
        life_begin(&node[i]);           /* returns when the state is there */
        promote(&node[i]);
    }
}

/* ---- the claims ---- */

static void who_is_let_in_gets_the_state_and_then_the_log(void **state)
{
    make_ring();
    assert_int_equal(core_conf(node[0].core)->n, MEMBERS);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_true(holds(&node[i], 1) && holds(&node[i], 50));
    write_some(&node[0], 100);
    rounds_until(all_equal, "the same everywhere");
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_true(holds(&node[i], 150));
}

static void a_wrong_token_lets_nobody_in(void **state)
{
    static const uint8_t wrong[PEER_SECRET_LEN] = { 9 };
    rounds_until(somebody_leads, "the first leader");
    assert_err(ask_to_join(&node[1], &node[0], wrong), REEVE_E_AUTH);
    assert_int_equal(core_conf(node[0].core)->n, 1);
}

static void any_member_takes_commands_and_serves_what_was_acknowledged(void **state)
{
    make_ring();
    for (unsigned i = 0; i < MEMBERS; i++) {
        write_some(&node[i], 30);
        for (unsigned k = 0; k < MEMBERS; k++)
            assert_reads_newest(&node[k]);
    }
}

static bool quarantined(const struct life *n)
{
    struct core_status st;
    core_status(n->core, &st);
    return st.member.quarantined;
}

static bool somebody_else_leads(void)
{
    for (unsigned i = 0; i + 1 < MEMBERS; i++)
        if (node[i].leads)
            return true;
    return false;
}

/* While leadership changes hands a command may find nobody; trying again is the proposer's (proposer.h). */
static void write_or_not(struct life *n)
{
    if (propose(n, next_id++) == REEVE_OK)
        rounds_until(nothing_open, "an answer");
}

static void diverged(struct life *odd)
{
    static const char *const hosts[] = { "127.0.0.1" };
    struct report rep = { 0 };
    struct core_host h = { .apply_arg = odd, .apply = toy_apply, .early = toy_early, .arg = odd, .done = on_done, .applied = on_applied,
                           .committed = on_committed, .fatal = on_fatal, .hash_every = 32, .revision = toy_revision, .replaced = on_replaced };
    struct core_net net = { .identity = &odd->identity, .listen = hosts, .n_listen = 1, .port = odd->port, .host = "127.0.0.1" };
    write_some(&node[0], 1);
    __atomic_store_n(&odd->differs, true, __ATOMIC_RELAXED);
    write_some(&node[0], 1);
    rounds_until(all_equal, "the same log everywhere");
    __atomic_store_n(&odd->differs, false, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 100 && !quarantined(odd); i++)
        write_or_not(&node[0]);
    assert_true(quarantined(odd));
    rounds_until(somebody_else_leads, "a leader of the same state as most");
    write_some(&node[0], 20);
    for (unsigned i = 0; i + 1 < MEMBERS; i++) {
        assert_reads_newest(&node[i]);
        assert_false(quarantined(&node[i]));
    }
    assert_err(core_read(odd->core, on_read, NULL), REEVE_E_UNAVAILABLE);
    assert_err(propose(odd, next_id), REEVE_E_UNAVAILABLE);
    life_end(odd);
    odd->leads = false;
    life_store(odd);
    assert_err(core_open(&odd->core, loop, odd->st, odd->dir, SEGMENT, stored_revision(odd), &h, &net, &rep), REEVE_E_CORRUPT);
    assert_non_null(strstr(rep.message, "not the ring's"));
    write_some(&node[0], 20);
}

static void a_member_whose_state_differs_serves_nothing_and_never_starts_again(void **state)
{
    make_ring();
    diverged(&node[MEMBERS - 1]);
}

static bool last_leads(void) { return node[MEMBERS - 1].leads; }

static void also_a_leader_whose_state_differs(void **state)
{
    make_ring();
    for (unsigned i = 0; i < 20 && !last_leads(); i++) {
        if (leader() != NULL && core_transfer(leader()->core, core_id(node[MEMBERS - 1].core)) != REEVE_OK)
            loop_run_once(loop, 10);
        for (unsigned k = 0; k < 50 && !last_leads(); k++)
            loop_run_once(loop, 10);
    }
    assert_true(last_leads());
    diverged(&node[MEMBERS - 1]);
}

/* A restart and a state from another member keep the sum: nobody is suspected without a reason. */
static void whose_state_came_in_pieces_agrees_with_the_others(void **state)
{
    make_ring();
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < 40; k++)
            write_some(led(), 1);
        struct life *n = &node[i];
        life_end(n);
        n->leads = false;
        rounds_until(somebody_leads, "a leader");
        write_some(led(), 10);
        life_store(n);
        life_begin(n);
        rounds_until(somebody_leads, "a leader");
    }
    rounds_until(all_equal, "the same everywhere");
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_false(quarantined(&node[i]));
}

/* ---- a damaged log ---- */

/* A byte behind that text in the log's files; how many places. */
static unsigned flip(const struct life *n, const char *text)
{
    char cmd[512], path[256];
    unsigned flipped = 0;
    snprintf(cmd, sizeof cmd, "grep -la '%s' %s/wal/*.seg", text, n->dir);
    FILE *p = popen(cmd, "r");
    assert_non_null(p);
    while (fscanf(p, "%255s", path) == 1) {
        static char bytes[SEGMENT];
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        size_t len = fread(bytes, 1, sizeof bytes, f);
        const char *at = memmem(bytes, len, text, strlen(text));
        assert_non_null(at);
        assert_int_equal(fseek(f, at - bytes + (long) strlen(text), SEEK_SET), 0);
        assert_int_equal(fputc('#', f), '#');
        assert_int_equal(fclose(f), 0);
        flipped++;
    }
    pclose(p);
    return flipped;
}

static struct life *small;
static bool is_stalled(void)
{
    struct core_status st;
    core_status(small->core, &st);
    return st.stalled != REEVE_OK;
}
static bool is_whole(void)
{
    struct core_status st;
    core_status(small->core, &st);
    return st.member.raft.mode == RAFT_START_CLEAN;
}
static bool others_lead(void) { return leader() != NULL && leader() != small; }

/* Its state stops at some place, its log goes on; then bits flip in what only the log has. */
static void log_ahead_of_state_and_damaged(void)
{
    char text[32];
    small = &node[2];
    make_ring();
    life_end(small);
    small->leads = false;
    small->map = 2u << 20;
    life_store(small);
    life_begin(small);
    rounds_until(others_lead, "a leader with room");
    struct life *l = led();
    pad = 20000;
    for (unsigned i = 0; i < 500 && !is_stalled(); i++)
        write_some(l, 1);
    assert_true(is_stalled());
    uint32_t hurt = next_id + 10;
    for (unsigned i = 0; i < 40; i++)
        write_some(l, 1);
    for (unsigned i = 0; i < 20; i++)
        loop_run_once(loop, 10);        /* its log gets them, too */
    life_end(small);
    snprintf(text, sizeof text, "marked-%08u.", hurt);
    assert_int_equal(flip(small, text), 1);
    small->map = MAP;
    life_store(small);
}

static void a_log_damaged_above_the_state_is_filled_by_the_others(void **state)
{
    log_ahead_of_state_and_damaged();
    life_begin(small);
    assert_false(is_whole());
    rounds_until(is_whole, "the log is whole");
    rounds_until(all_equal, "the same everywhere");
    assert_reads_newest(small);
    write_some(led(), 20);
    rounds_until(all_equal, "the same everywhere");
    life_end(small);                    /* and it is so for good */
    life_store(small);
    life_begin(small);
    rounds_until(is_whole, "nothing is missing");
    rounds_until(somebody_leads, "a leader");
    write_some(led(), 5);
    rounds_until(all_equal, "the same everywhere");
    assert_reads_newest(small);
}

/* Half repaired it is not whole: a second start knows of it as well, and does not stand. */
static void until_it_is_filled_it_leads_nobody(void **state)
{
    log_ahead_of_state_and_damaged();
    for (unsigned i = 0; i < 2; i++) {
        life_end(&node[i]);
        node[i].leads = false;
    }
    for (unsigned round = 0; round < 2; round++) {
        life_begin(small);
        for (unsigned i = 0; i < 60; i++)
            loop_run_once(loop, 10);
        assert_false(is_whole());
        assert_null(leader());
        life_end(small);
        life_store(small);
    }
    life_begin(small);
    for (unsigned i = 0; i < 2; i++) {
        life_store(&node[i]);
        life_begin(&node[i]);
    }
    rounds_until(is_whole, "the log is whole");
    rounds_until(somebody_leads, "a leader");
    write_some(led(), 5);
    rounds_until(all_equal, "the same everywhere");
    assert_reads_newest(small);
}

static unsigned flip_id(const struct life *n, uint32_t id)
{
    char text[32];
    snprintf(text, sizeof text, "marked-%08u.", id);
    return flip(n, text);
}

/* All stop with entries that no state has: the stores are put back to what they were before these were written. */
static uint32_t all_logs_ahead_of_their_states(void)
{
    char cmd[400];
    make_ring();
    write_some(led(), 20);
    rounds_until(all_equal, "the same everywhere");
    for (unsigned i = 0; i < MEMBERS; i++)
        life_end(&node[i]);
    for (unsigned i = 0; i < MEMBERS; i++) {
        snprintf(cmd, sizeof cmd, "cp -r %s/data %s/data.old", node[i].dir, node[i].dir);
        assert_int_equal(system(cmd), 0);
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        node[i].leads = false;
        life_store(&node[i]);
        life_begin(&node[i]);
    }
    rounds_until(somebody_leads, "a leader");
    uint32_t first = next_id;
    pad = 3000;
    for (unsigned i = 0; i < 40; i++)
        write_some(led(), 1);           /* batches of their own */
    rounds_until(all_equal, "the same everywhere");
    for (unsigned i = 0; i < MEMBERS; i++) {
        life_end(&node[i]);
        node[i].leads = false;
        snprintf(cmd, sizeof cmd, "rm -rf %s/data && mv %s/data.old %s/data", node[i].dir, node[i].dir, node[i].dir);
        assert_int_equal(system(cmd), 0);
    }
    return first;
}

static void all_begin(void)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        life_store(&node[i]);
        life_begin(&node[i]);
    }
}

static bool all_whole(void)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        small = &node[i];
        if (!is_whole())
            return false;
    }
    return true;
}

static void logs_damaged_at_different_places_make_each_other_whole(void **state)
{
    uint32_t first = all_logs_ahead_of_their_states();
    for (unsigned i = 0; i < MEMBERS; i++)
        for (unsigned k = 0; k < 2; k++)
            assert_true(flip_id(&node[i], first + 5 + 3 * i + 15 * k) > 0);
    all_begin();
    assert_false(all_whole());
    rounds_until(all_whole, "all logs are whole");
    rounds_until(somebody_leads, "a leader");
    rounds_until(all_equal, "the same everywhere");
    write_some(led(), 20);
    rounds_until(all_equal, "the same everywhere");
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_reads_newest(&node[i]);
    for (unsigned i = 0; i < MEMBERS; i++) {
        life_end(&node[i]);
        node[i].leads = false;
    }
    all_begin();                        /* for good */
    assert_true(all_whole());
    rounds_until(somebody_leads, "a leader");
    rounds_until(all_equal, "the same everywhere");
}

/* What is lost in all logs may have been acknowledged: nobody leads as if it never was. */
static void what_all_logs_have_lost_stops_the_ring(void **state)
{
    uint32_t first = all_logs_ahead_of_their_states();
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_true(flip_id(&node[i], first + 20) > 0);
    all_begin();
    for (unsigned i = 0; i < 150; i++)
        loop_run_once(loop, 10);
    assert_null(leader());
    for (unsigned i = 0; i < MEMBERS; i++) {
        small = &node[i];
        assert_false(is_whole());
    }
}

static void a_lost_leader_is_replaced_and_comes_back_with_all(void **state)
{
    make_ring();
    struct life *was = led();
    life_end(was);
    was->leads = false;
    rounds_until(somebody_leads, "another leader");
    write_some(led(), 100);
    life_store(was);
    life_begin(was);
    rounds_until(all_equal, "what was missed");
    assert_reads_newest(was);
    for (unsigned i = 0; i < MEMBERS; i++) {        /* everybody again, one after the other */
        life_end(&node[i]);
        node[i].leads = false;
        rounds_until(somebody_leads, "another leader");
        write_some(led(), 20);
        life_store(&node[i]);
        life_begin(&node[i]);
        rounds_until(all_equal, "what was missed");
    }
}

/* Far behind the window: more than it holds is written meanwhile. */
static void who_was_away_too_long_gets_another_state_in_its_store(void **state)
{
    make_ring();
    struct life *away = led() == &node[2] ? &node[1] : &node[2];
    life_end(away);
    pad = 60000;
    write_some(led(), 1500);         /* 90 MB, the window has 48 */
    life_store(away);
    life_begin(away);
    rounds_until(all_equal, "the state");
    assert_true(away->replaced > 0);
    assert_reads_newest(away);
    pad = 0;
    write_some(away, 20);
    rounds_until(all_equal, "the log behind it");
    life_end(away);                     /* what was installed is there after a restart, too */
    life_store(away);
    life_begin(away);
    write_some(led(), 20);
    rounds_until(all_equal, "the log behind it");
    assert_reads_newest(away);
}

static uint64_t applied_of(const struct life *n, uint64_t *first)
{
    struct core_status st;
    core_status(n->core, &st);
    *first = st.member.window_first;
    return st.member.applied;
}

/* The log grows, the state does not: each is refused as one that was there before. */
static void flood(struct life *n)
{
    while (n->open < 64 && propose(n, 1) == REEVE_OK)
        ;
}

/* Floods until ok(). */
static bool flood_until(bool (*ok)(void))
{
    for (struct mono_ms until = clock_deadline(2 * PATIENCE_MS); clock_left(until) > 0;) {
        struct life *l = leader();
        while (n_again > 0)             /* nobody waits for these */
            again[--n_again].n->open--;
        if (l)
            flood(l);
        loop_run_once(loop, 1);
        if (ok())
            return true;
    }
    return false;
}

static struct life *late, *was;
static bool another_leads(void) { return leader() && leader() != was; }
static bool was_replaced(void) { return late->replaced > 0; }
static bool in_step(void)
{
    uint64_t first, l = leader() ? applied_of(leader(), &first) : UINT64_MAX;
    return applied_of(late, &first) + 64 >= l;
}

/*
 * Under load the window is past the state long before that is sent and installed; what came behind it is kept, so the member
 * is in step while the load goes on (scenario 40).
 */
static void a_state_slower_than_the_window_is_sent_once(void **state)
{
    uint64_t window, there, at;
    for (unsigned i = 0; i < MEMBERS; i++)
        node[i].window = 2u << 20;
    life_end(&node[0]);
    life_store(&node[0]);
    life_begin(&node[0]);
    make_ring();
    late = led() == &node[2] ? &node[1] : &node[2];
    life_end(late);
    late->leads = false;
    pad = 60000;
    write_some(led(), 600);
    was = led();
    assert_ok(core_transfer(was->core, 0));  /* who leads now has made no copy of the state yet */
    rounds_until(another_leads, "another leader");
    life_store(late);
    life_begin(late);
    assert_true(flood_until(was_replaced));
    at = applied_of(late, &there);
    (void) applied_of(led(), &window);
    assert_true(at + 1 < window);
    assert_true(flood_until(in_step));
    assert_int_equal(late->replaced, 1);
    for (unsigned i = 0; i < 200; i++)      /* and stays so */
        assert_true(flood_until(in_step));
    assert_int_equal(late->replaced, 1);
    rounds_until(nothing_open, "answers");
    pad = 0;
    write_some(led(), 20);
    rounds_until(all_equal, "the same everywhere");
    assert_reads_newest(late);
}

static void copy(const char *from, const char *to)
{
    char command[1024];
    snprintf(command, sizeof command, "rm -rf %s && cp -r %s %s", to, from, to);
    assert_int_equal(system(command), 0);
}

/* As after a crash at which the store's sync was ahead of the log's, or one between a state's installation and the cut. */
static void a_log_that_ends_before_the_state_goes_on_behind_it(void **state)
{
    make_ring();
    struct life *n = led() == &node[2] ? &node[1] : &node[2];
    char wal[160], kept[160];
    snprintf(wal, sizeof wal, "%s/wal", n->dir);
    snprintf(kept, sizeof kept, "%s/kept", n->dir);
    write_some(led(), 20);
    rounds_until(all_equal, "the same everywhere");
    life_end(n);
    copy(wal, kept);
    life_store(n);
    life_begin(n);
    write_some(led(), 50);
    rounds_until(all_equal, "the same everywhere");
    life_end(n);
    copy(kept, wal);
    life_store(n);
    life_begin(n);
    write_some(led(), 50);
    rounds_until(all_equal, "the same everywhere");
    assert_reads_newest(n);
    life_end(n);
    life_store(n);
    life_begin(n);
    write_some(led(), 5);
    rounds_until(all_equal, "the same everywhere");
}

static struct { struct life *n; bool told; unsigned open; } stop;

static void on_stopped(void *arg)
{
    stop.open = stop.n->open;
    for (unsigned i = 0; i < n_again; i++)
        stop.open -= again[i].n == stop.n;      /* that one has its end */
    stop.told = true;
    if (stop.open == 0)
        core_drain(stop.n->core);               /* as its host does */
}
static bool stop_told(void) { return stop.told; }

/* Who hears of the stop drains, and that ends what is at hand: what ended in the same step has been answered by then. */
static void the_stop_is_told_outside_of_a_step_when_all_is_answered(void **state)
{
    make_ring();
    stop.n = led() == &node[1] ? &node[2] : &node[1];
    stop.told = false;
    all_early = true;
    for (unsigned i = 0; i < 8; i++)
        assert_ok(propose(stop.n, next_id++));
    core_stop(stop.n->core, on_stopped, NULL);
    rounds_until(stop_told, "the end");
    assert_int_equal(stop.open, 0);
}

static struct life *last;
static bool last_is_alone(void) { return last->leads && core_conf(last->core)->n == 1; }

/* What the other one answered as long as it was there is known here by the place of the configuration without it. */
static void who_has_become_alone_reads_what_the_others_had_answered(void **state)
{
    rounds_until(somebody_leads, "the first leader");
    write_some(&node[0], 50);
    assert_ok(ask_to_join(&node[1], &node[0], secret));
    life_begin(&node[1]);
    promote(&node[1]);
    rounds_until(all_equal, "the same everywhere");
    last = led();
    struct life *other = last == &node[0] ? &node[1] : &node[0];
    struct raft_change drop = { .kind = RAFT_REMOVE, .id = core_id(other->core) };
    hold(last, true);
    write_some(other, 1);
    enum reeve_err err = core_change(last->core, &drop, 1, on_changed, NULL);
    if (err == REEVE_OK)
        rounds_until(last_is_alone, "a ring of one");
    read_ended = false;
    if (err == REEVE_OK)
        err = core_read(last->core, on_read, NULL);
    bool early = read_ended;
    hold(last, false);                  /* before anything is judged: its writer could not end */
    assert_ok(err);
    assert_false(early);
    rounds_until(read_done, "a read");
    assert_ok(read_err);
    assert_true(holds(last, next_id - 1));
}

static struct life *heir;
static bool heir_leads(void) { return heir->leads; }

static void leadership_is_handed_over_on_request(void **state)
{
    make_ring();
    heir = led() == &node[1] ? &node[2] : &node[1];
    assert_ok(core_transfer(led()->core, core_id(heir->core)));
    rounds_until(heir_leads, "the new leader");
    write_some(&node[0], 20);
    assert_reads_newest(&node[2]);
}

static uint64_t term_of(const struct life *n)
{
    struct core_status st;
    core_status(n->core, &st);
    return st.member.raft.term;
}

/* It may be a restored one, of a ring that had more members. */
static void a_newcomers_id_is_above_all_that_the_state_names(void **state)
{
    rounds_until(somebody_leads, "the first leader");
    write_some(&node[0], 5);
    for (unsigned i = 1; i < MEMBERS; i++) {
        state_names_up_to = i == 1 ? 7 : 3;
        assert_ok(ask_to_join(&node[i], &node[0], secret));
        life_begin(&node[i]);
        assert_int_equal(core_id(node[i].core), 7 + i);
        promote(&node[i]);
    }
}

/* All of them at once, as on a machine that has no core for them. */
static void members_that_stood_still_keep_their_leader(void **state)
{
    make_ring();
    write_some(&node[0], 20);
    struct life *l = led();
    uint64_t term = term_of(l);
    for (unsigned i = 0; i < 10; i++) {
        usleep(180000 + 37000 * i);
        for (struct mono_ms until = clock_deadline(100); clock_left(until) > 0;)
            loop_run_once(loop, 10);
        assert_ptr_equal(leader(), l);
        assert_int_equal(term_of(l), term);
    }
    write_some(&node[1], 20);
    rounds_until(all_equal, "the same everywhere");
    assert_int_equal(term_of(l), term);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_wrong_token_lets_nobody_in, world_begin, world_end),
        cmocka_unit_test_setup_teardown(who_is_let_in_gets_the_state_and_then_the_log, world_begin, world_end),
        cmocka_unit_test_setup_teardown(a_newcomers_id_is_above_all_that_the_state_names, world_begin, world_end),
        cmocka_unit_test_setup_teardown(any_member_takes_commands_and_serves_what_was_acknowledged, world_begin, world_end),
        cmocka_unit_test_setup_teardown(leadership_is_handed_over_on_request, world_begin, world_end),
        cmocka_unit_test_setup_teardown(the_stop_is_told_outside_of_a_step_when_all_is_answered, world_begin, world_end),
        cmocka_unit_test_setup_teardown(who_has_become_alone_reads_what_the_others_had_answered, world_begin, world_end),
        cmocka_unit_test_setup_teardown(members_that_stood_still_keep_their_leader, world_begin, world_end),
        cmocka_unit_test_setup_teardown(a_lost_leader_is_replaced_and_comes_back_with_all, world_begin, world_end),
        cmocka_unit_test_setup_teardown(a_log_damaged_above_the_state_is_filled_by_the_others, world_begin, world_end),
        cmocka_unit_test_setup_teardown(until_it_is_filled_it_leads_nobody, world_begin, world_end),
        cmocka_unit_test_setup_teardown(logs_damaged_at_different_places_make_each_other_whole, world_begin, world_end),
        cmocka_unit_test_setup_teardown(what_all_logs_have_lost_stops_the_ring, world_begin, world_end),
        cmocka_unit_test_setup_teardown(a_member_whose_state_differs_serves_nothing_and_never_starts_again, world_begin, world_end),
        cmocka_unit_test_setup_teardown(also_a_leader_whose_state_differs, world_begin, world_end),
        cmocka_unit_test_setup_teardown(whose_state_came_in_pieces_agrees_with_the_others, world_begin, world_end),
        cmocka_unit_test_setup_teardown(a_log_that_ends_before_the_state_goes_on_behind_it, world_begin, world_end),
        cmocka_unit_test_setup_teardown(a_state_slower_than_the_window_is_sent_once, world_begin, world_end),
        cmocka_unit_test_setup_teardown(who_was_away_too_long_gets_another_state_in_its_store, world_begin, world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
