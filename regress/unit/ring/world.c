/* world.c - signer, validator and ring as real processes. */
#include "world.h"

#include "../utils/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/ipc/child.h"
#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/utils/liveness.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"
#include "crypto/ops.h"

static const enum proc_kind kinds[W_KIDS] = { PROC_SIGNER, PROC_VALIDATOR, PROC_RING };

int64_t world_ms(void) { return clock_mono().ms; }

static const char *reeved(void)
{
    const char *env = getenv("REEVED");
    return env ? env : "bin/reeved";
}

static void run(const char *fmt, const char *a, const char *b)
{
    char cmd[512];
    snprintf(cmd, sizeof cmd, fmt, a, b);
    if (system(cmd) != 0)
        fail_msg("%s failed", cmd);
}

/* ---- the postmaster's part ---- */

static struct kid *kid_of(struct world *w, enum proc_kind kind)
{
    for (int i = 0; i < W_KIDS; i++)
        if (w->kid[i].kind == kind)
            return &w->kid[i];
    return NULL;
}

/* One end of a fresh channel to a kid, which is told who its peer is. */
static int introduce(struct kid *to, enum proc_kind peer, uint32_t pid)
{
    int pair[2];
    uint8_t mem[5];
    struct wr b = wr_fixed(mem, sizeof mem);
    if (to->ch == NULL || !to->ready)
        return -1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    wr_u8(&b, (uint8_t) peer);
    wr_u32(&b, pid);
    enum reeve_err err = ipc_send(to->ch, MSG_PEER, wr_slice(&b), pair[0]);
    close(pair[0]);
    if (err == REEVE_OK)
        return pair[1];
    close(pair[1]);
    return -1;
}

static void on_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct world *w = arg;
    struct kid *from = kid_of(w, ipc_peer(ch));
    if (m->type == MSG_READY)
        from->ready = true;
    if (m->type != MSG_CONNECT)
        return;
    struct kid *to = m->body.len == 1 ? kid_of(w, m->body.p[0]) : NULL;
    int fd = to ? introduce(to, from->kind, (uint32_t) from->pid) : -1;
    uint8_t pid[4] = { 0 };
    if (fd < 0)
        ipc_reply_err(ch, m->id, REEVE_E_AGAIN, NULL);
    else {
        ipc_reply_fd(ch, m->id, slice_of(pid, 4), fd);
        close(fd);
    }
}

static void on_closed(void *arg, struct ipc_channel *ch, const char *why)
{
    struct world *w = arg;
    struct kid *k = kid_of(w, ipc_peer(ch));
    if (k->ch == ch) {
        k->ch = NULL;
        k->ready = false;
    }
}

static void exec_kid(struct world *w, struct kid *k, int fd)
{
    char child[32];
    char *argv[] = { "reeved", child, "-D", w->dir, "--index=0", NULL };
    int lock = fcntl(w->lock, F_DUPFD, 100), ch = fcntl(fd, F_DUPFD, 100);
    snprintf(child, sizeof child, "--child=%s", proc_title(k->kind));
    if (dup2(ch, CHILD_CHANNEL_FD) < 0 || dup2(lock, CHILD_LOCK_FD) < 0)
        _exit(3);
    execv(reeved(), argv);
    _exit(4);
}

void world_start(struct world *w, int which)
{
    struct kid *k = &w->kid[which];
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    k->kind = kinds[which];
    k->ready = false;
    k->pid = fork();
    assert_true(k->pid >= 0);
    if (k->pid == 0)
        exec_kid(w, k, pair[1]);
    close(pair[1]);
    assert_ok(ipc_open(&k->ch, pair[0], PROC_POSTMASTER, k->kind, (uint32_t) k->pid));
    assert_ok(ipc_attach(k->ch, w->loop, &(struct ipc_handler){ w, on_message, on_closed }));
}

void world_kill(struct world *w, int which)
{
    struct kid *k = &w->kid[which];
    if (k->pid <= 0)
        return;
    kill(k->pid, SIGKILL);
    waitpid(k->pid, NULL, 0);
    k->pid = 0;
    ipc_close(k->ch);
    k->ch = NULL;
    k->ready = false;
}

void world_shut_down(struct world *w, int which, int ms)
{
    struct kid *k = &w->kid[which];
    uint8_t fast = SHUTDOWN_FAST;
    int64_t end = world_ms() + ms;
    assert_ok(ipc_send(k->ch, MSG_SHUTDOWN, slice_of(&fast, 1), -1));
    while (k->pid > 0 && world_ms() < end) {
        world_turn(w, 20);
        if (waitpid(k->pid, NULL, WNOHANG) == k->pid)
            k->pid = 0;
    }
    if (k->pid > 0)
        fail_msg("%s does not end within %d ms", proc_title(k->kind), ms);
    ipc_close(k->ch);
    k->ch = NULL;
    k->ready = false;
}

void world_signal(struct world *w, int which, int sig)
{
    assert_int_equal(kill(w->kid[which].pid, sig), 0);
}

/* ---- life ---- */

static void share_settings(struct world *w)
{
    struct settings *s;
    struct report rep = { .code = REEVE_OK };
    assert_ok(settings_load(&s, w->dir, &rep));
    assert_ok(settings_share(s, w->dir, &rep));
    settings_free(s);
}

static void quiet(void)
{
    signal(SIGPIPE, SIG_IGN);
    assert_ok(crypto_init());
    log_init("test");
    log_configure(LOG_SEV_ERROR, LOG_FORM_TEXT);
}

/* The directory is there, and nobody else's. */
static void take_dir(struct world *w)
{
    struct report rep = { .code = REEVE_OK };
    share_settings(w);
    assert_ok(liveness_create(w->dir));
    assert_ok(datadir_lock(&w->lock, w->dir, 0, &rep));
}

void world_new(struct world *w, const char *conf)
{
    char text[300];
    memset(w, 0, sizeof *w);
    w->rng = rng_seeded("processes");
    quiet();
    strcpy(w->dir, "/tmp/reeve-ring-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(rmdir(w->dir), 0);
    run("%s --init -D %s --region home --superuser root", reeved(), w->dir);
    snprintf(text, sizeof text, "%s\npeer_port = %u\n", conf, (unsigned) unit_port());
    run("printf '%%s' '%s' >> %s/reeve.conf", text, w->dir);
    take_dir(w);
    assert_ok(loop_new(&w->loop));
    for (int i = 0; i < W_KIDS; i++)
        world_start(w, i);
    world_ready(w);
}

static bool has_folder(const struct world *w, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    return access(path, F_OK) == 0;
}

void world_open(struct world *w, struct loop *loop, const char *dir)
{
    memset(w, 0, sizeof *w);
    quiet();
    if (strlen(dir) >= sizeof w->dir)
        fail_msg("%s: too long a path", dir);
    strcpy(w->dir, dir);
    take_dir(w);
    w->loop = loop;
    w->given = true;
    w->kid[W_SIGNER].absent = !has_folder(w, "keys");
    w->kid[W_VALIDATOR].absent = !has_folder(w, "validator");
    for (int i = 0; i < W_KIDS; i++)
        if (!w->kid[i].absent)
            world_start(w, i);
}

void world_free(struct world *w)
{
    ipc_close(w->ring);
    ipc_close(w->gateway);
    for (int i = 0; i < W_KIDS; i++)
        world_kill(w, i);
    if (!w->given)
        loop_free(w->loop);
    close(w->lock);
    if (w->given)
        return;
    if (getenv("REEVE_KEEP"))
        fprintf(stderr, "# kept %s\n", w->dir);
    else
        run("rm -rf %s%s", w->dir, "");
}

void world_turn(struct world *w, int ms)
{
    loop_run_once(w->loop, ms);
}

static void ring_closed(void *arg, struct ipc_channel *ch, const char *why)
{
    struct world *w = arg;
    if (w->ring == ch)
        w->ring = NULL;
    if (w->gateway == ch)
        w->gateway = NULL;
}

static void ring_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
}

static void connect_ring(struct world *w, struct ipc_channel **out, enum proc_kind self)
{
    int fd = *out == NULL ? introduce(&w->kid[W_RING], self, 1) : -1;
    if (fd < 0)
        return;
    assert_ok(ipc_open(out, fd, self, PROC_RING, (uint32_t) w->kid[W_RING].pid));
    assert_ok(ipc_attach(*out, w->loop, &(struct ipc_handler){ w, ring_message, ring_closed }));
}

void world_ready(struct world *w)
{
    int64_t end = world_ms() + 20000;
    for (;;) {
        bool all = true;
        for (int i = 0; i < W_KIDS; i++)
            all = all && (w->kid[i].ready || w->kid[i].absent);
        connect_ring(w, &w->ring, PROC_BACKEND);
        connect_ring(w, &w->gateway, PROC_GATEWAY);
        if (all && w->ring && w->gateway)
            return;
        if (world_ms() > end)
            fail_msg("the processes are not ready after 20 s");
        world_turn(w, 20);
    }
}

/* ---- asking ---- */

static void answered(void *arg, struct ipc_answer *a)
{
    struct call *c = arg;
    c->done = true;
    c->err = a->err;
    c->rep = a->rep;
    c->len = a->result.len < sizeof c->result ? a->result.len : sizeof c->result;
    if (c->len)
        memcpy(c->result, a->result.p, c->len);
}

bool world_ask(struct world *w, enum msg_type type, struct slice body, struct call *c)
{
    memset(c, 0, sizeof *c);
    struct ipc_channel *ch = w->as_gateway ? w->gateway : w->ring;
    return ch && ipc_request(ch, type, body, 0, answered, c) == REEVE_OK;
}

enum reeve_err world_call(struct world *w, enum msg_type type, struct slice body, struct call *c, int ms)
{
    int64_t end = world_ms() + ms;
    if (!world_ask(w, type, body, c))
        return REEVE_E_CLOSED;
    while (!c->done && world_ms() < end)
        world_turn(w, 10);
    if (!c->done)
        fail_msg("no answer to %s within %d ms", msg_name(type), ms);
    return c->err;
}

void txn_set(struct wr *w, uint8_t session, uint64_t seq, const char *key, struct slice value)
{
    uint8_t id[16] = { session };
    struct name actor, k;
    size_t at;
    name_set_str(&actor, "root");
    name_set_str(&k, key);
    region_txn_begin(w, id, seq, clock_wall(), &actor, slice_str("test"), slice_str(key), slice_str(""), &at);
    wr_u8(w, RO_CONFIG_SET);
    wr_name(w, &k);
    wr_u8(w, VT_TEXT);
    wr_str32(w, value);
    wr_u64(w, 0);
    region_txn_end(w, at, 1);
    assert_false(w->bad);
}

const char *class_actor = "root";

void submit_class(struct wr *w, const char *prefix)
{
    struct class_doc d = { .attested = 1 };
    uint8_t mem[16];
    struct wr payload = wr_fixed(mem, sizeof mem), u = wr_heap(4096);
    class_doc_encode(&d, &payload);
    struct update up = { .type = AT_CLASS, .op = 1, .version = 1, .payload = wr_slice(&payload) };
    name_set_str(&up.object, prefix);
    name_set_str(&up.actor, class_actor);
    update_encode(&up, false, &u);
    wr_u16(w, 1);
    wr_str32(w, wr_slice(&u));
    assert_false(w->bad);
    wr_free(&u);
}

/* ---- looking ---- */

void look_open(struct world *w, struct look *l, const char *what)
{
    char dir[256];
    struct report rep = { .code = REEVE_OK };
    snprintf(dir, sizeof dir, "%s%s", w->dir, what);
    assert_ok(storage_open(&l->st, dir, STORAGE_READ, 0, 16, &rep));
    assert_ok(storage_begin(l->st, STORAGE_READ, &l->t));
    l->region = (struct region){ storage_kv(l->t), &crypto_ops_real, NULL, 0 };
    l->attest = (struct attest){ storage_kv(l->t), &crypto_ops_real, NULL, 0 };
}

void look_close(struct look *l)
{
    storage_abort(l->t);
    storage_close(l->st);
}
