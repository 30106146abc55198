/*
 * core_snap.c - the state on its way to another member, and another's into this store
 *
 * Out: a read transaction is walked by a thread of its own into a file without
 * a name, so that an offset is an offset and a transfer goes on where it broke;
 * the chunks are read from there. One file at a time serves everybody who is
 * not behind it. In: chunks into such a file, then the whole store becomes
 * that state in one transaction of the state writer (C6): running readers move
 * over by beginning their next snapshot, and there is nothing to switch.
 *
 * The file: statefile.h. Rows of this member alone ('L' 'i', 'L' 'j') are left out.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/ring/core_int.h"
#include "backend/ring/statefile.h"
#include "backend/utils/datadir.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

static const uint8_t identity_key[] = { LOG_KV_PREFIX, 'i' };
static const uint8_t joined_key[] = { LOG_KV_PREFIX, 'j' };
static const uint8_t damaged_key[] = { LOG_KV_PREFIX, 'd' };
static const uint8_t diverged_key[] = { LOG_KV_PREFIX, 'q' };
static const uint8_t row0_key[] = { LOG_KV_PREFIX, 'r', 0, 0, 0, 0 };

static bool is_own(struct slice key)
{
    return slice_eq(key, slice_of(identity_key, sizeof identity_key)) || slice_eq(key, slice_of(joined_key, sizeof joined_key)) ||
           slice_eq(key, slice_of(damaged_key, sizeof damaged_key)) || slice_eq(key, slice_of(diverged_key, sizeof diverged_key));
}

/* A file that goes with its descriptor: a dead process leaves nothing. */
int core_nameless_file(const struct core *c, const char *name)
{
    char path[DATADIR_PATH_MAX], file[32];
    snprintf(file, sizeof file, "data/%s", name);
    if (!datadir_path(path, sizeof path, c->dir, file))
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* ---- events that wait for the end of a step (D1) ---- */

static void tell_ready(struct core *c, uint32_t peer);

static void run_later(void *arg)
{
    struct core *c = arg;
    struct member_event e[CORE_LATER_MAX];
    unsigned n = c->n_later;
    memcpy(e, c->later, n * sizeof *e);
    c->n_later = 0;
    for (unsigned i = 0; i < n; i++) {
        if (e[i].type == MEMBER_E_SNAP_READY)
            tell_ready(c, e[i].peer);   /* of the file as it is now */
        else
            (void) core_step(c, &e[i]);
    }
}

void core_later(struct core *c, const struct member_event *e)
{
    if (c->n_later == CORE_LATER_MAX)
        return;
    c->later[c->n_later++] = *e;
    c->later_task.fn = run_later;
    c->later_task.arg = c;
    loop_post(c->loop, &c->later_task);
}

/* ---- out: the file is made ---- */

struct snap_out {
    struct core *core;
    int fd;
    bool ready, ok, abandon;            /* abandon: told to the thread; ok: its verdict, after it has ended */
    uint64_t id, index, term, size;
    size_t conf_len;
    uint8_t conf[RAFT_CONF_BYTES_MAX];
    uint32_t waiting[RAFT_MEMBERS_MAX]; /* who is told when it is ready */
    unsigned n_waiting;
    struct storage_txn *txn;            /* the loop's to begin and end, the thread's to read meanwhile */
    pthread_t thread;
    struct loop_task task;
};

static void *make_thread(void *arg)
{
    struct snap_out *s = arg;
    s->ok = statefile_write(s->fd, storage_kv(s->txn), is_own, &s->abandon, &s->size) == REEVE_OK;
    loop_post(s->core->loop, &s->task);
    return NULL;
}

static void out_free(struct core *c)
{
    struct snap_out *s = c->out;
    if (s == NULL)
        return;
    if (s->txn) {
        __atomic_store_n(&s->abandon, true, __ATOMIC_RELAXED);
        pthread_join(s->thread, NULL);
        loop_unpost(c->loop, &s->task);
        storage_abort(s->txn);
    }
    close(s->fd);
    free(s);
    c->out = NULL;
}

static void tell_ready(struct core *c, uint32_t peer)
{
    const struct snap_out *s = c->out;
    if (s == NULL || !s->ready)
        return;
    struct member_event e = { .type = MEMBER_E_SNAP_READY, .peer = peer,
                              .snap = { s->id, s->index, s->term, s->size, slice_of(s->conf, s->conf_len) } };
    (void) core_step(c, &e);
}

static void made(void *arg)
{
    struct snap_out *s = arg;
    struct core *c = s->core;
    pthread_join(s->thread, NULL);
    storage_abort(s->txn);
    s->txn = NULL;
    if (!s->ok) {                       /* asked for again */
        log_error("a copy of the state for another member could not be written: no room?");
        out_free(c);
        return;
    }
    s->ready = true;
    log_info("a copy of the state at %llu for other members: %llu bytes", (unsigned long long) s->index,
             (unsigned long long) s->size);
    for (unsigned i = 0; i < s->n_waiting && c->out == s; i++)
        tell_ready(c, s->waiting[i]);
}

static enum reeve_err read_position(struct snap_out *s)
{
    struct slice row0, conf;
    enum reeve_err err;
    TRY(kv_get(storage_kv(s->txn), slice_of(row0_key, sizeof row0_key), &row0));
    TRY(member_row_position(row0, &s->index, &s->term, &conf));
    if (conf.len > sizeof s->conf)
        return REEVE_E_BUG;
    s->conf_len = conf.len;
    memcpy(s->conf, conf.p, conf.len);
out:
    return err;
}

/* Signals are the loop's. */
static bool start_thread(struct snap_out *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&s->thread, NULL, make_thread, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0;
}

static bool out_begin(struct core *c, uint64_t index)
{
    struct snap_out *s = calloc(1, sizeof *s);
    if (s == NULL)
        return false;
    s->core = c;
    s->fd = core_nameless_file(c, "snapshot.out");
    s->task = (struct loop_task){ .fn = made, .arg = s };
    random_bytes(&s->id, sizeof s->id);
    s->id |= 1;
    bool ok = s->fd >= 0 && storage_begin(c->store, STORAGE_READ, &s->txn) == REEVE_OK;
    if (ok && read_position(s) == REEVE_OK && s->index >= index && start_thread(s)) {
        c->out = s;
        core_back_begin(c, s->index);
        return true;
    }
    if (s->txn)
        storage_abort(s->txn);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    return false;
}

uint64_t core_snap_making(const struct core *c)
{
    return c->out && (!c->out->ready || c->n_later > 0) ? c->out->index : UINT64_MAX;
}

static void wait_for(struct snap_out *s, uint32_t peer)
{
    for (unsigned i = 0; i < s->n_waiting; i++)
        if (s->waiting[i] == peer)
            return;
    if (s->n_waiting < RAFT_MEMBERS_MAX)
        s->waiting[s->n_waiting++] = peer;
}

static void snap_need(struct core *c, uint32_t peer, uint64_t index)
{
    const struct snap_out *s = c->out;
    if (s && s->ready && s->index >= index) {
        struct member_event e = { .type = MEMBER_E_SNAP_READY, .peer = peer };
        core_back_begin(c, s->index);
        wait_for(c->out, peer);
        core_later(c, &e);
        return;
    }
    if (s && s->ready)                  /* too old for this one; who is in the middle of it gets another, too */
        out_free(c);
    if (c->out || out_begin(c, index))
        wait_for(c->out, peer);
}

/* ---- out: chunks ---- */

static void snap_read(struct core *c, const struct raft_msg *asked)
{
    static uint8_t chunk[RAFT_CHUNK_MAX];
    const struct snap_out *s = c->out;
    struct raft_msg m = *asked;
    struct member_event gone = { .type = MEMBER_E_SNAP_GONE, .peer = m.to };
    if (c->peers == NULL)
        return;
    if (s == NULL || !s->ready || s->id != m.snap || m.offset > s->size) {
        core_later(c, &gone);
        return;
    }
    size_t len = s->size - m.offset < sizeof chunk ? (size_t) (s->size - m.offset) : sizeof chunk;
    m.data = slice_of(chunk, file_read_at(s->fd, chunk, len, m.offset));
    peers_send(c->peers, &m, NULL);
}

static void snap_done(struct core *c, uint32_t peer)
{
    struct snap_out *s = c->out;
    if (s == NULL)
        return;
    for (unsigned i = 0; i < s->n_waiting; i++)
        if (s->waiting[i] == peer)
            s->waiting[i--] = s->waiting[--s->n_waiting];
    if (s->n_waiting == 0)
        out_free(c);
}

/* ---- in: chunks ---- */

static void in_drop(struct core *c)
{
    if (c->in.id != 0)
        close(c->in.fd);
    c->in = (struct snap_in){ .fd = -1 };
}

static bool in_begin(struct core *c, const struct raft_msg *m)
{
    in_drop(c);
    int fd = core_nameless_file(c, "snapshot.in");
    if (fd < 0)
        return false;
    c->in = (struct snap_in){ fd, m->snap, m->index, 0, m->from };
    log_info("the state at %llu comes from member %u: %llu bytes", (unsigned long long) m->index, m->from,
             (unsigned long long) m->size);
    return true;
}

/* Nothing is synced: what came before a crash comes again. Without room the sender hears of no progress, and tries again. */
static void snap_chunk(struct core *c, const struct raft_msg *m)
{
    struct snap_in *in = &c->in;
    bool other = in->id == 0 || in->id != m->snap || in->index != m->index || in->from != m->from;
    if (m->snap == 0 || (other && !in_begin(c, m)))
        return;
    if (m->offset == in->len && m->data.len > 0) {
        if (lseek(in->fd, (off_t) in->len, SEEK_SET) >= 0 && file_write_all(in->fd, m->data))
            in->len += m->data.len;
        else
            log_limited(LOG_SEV_ERROR, "no room for the state that member %u sends", m->from);
    }
    struct member_event e = { .type = MEMBER_E_SNAP_STORED, .snap = { .id = m->snap }, .offset = in->len };
    core_later(c, &e);
}

/* ---- in: the store becomes that state (in the state writer's thread) ---- */

static enum reeve_err check_position(struct kv *kv, const struct core_install *in)
{
    struct slice row0, conf;
    uint64_t index, term;
    enum reeve_err err;
    TRY(kv_get(kv, slice_of(row0_key, sizeof row0_key), &row0));
    TRY(member_row_position(row0, &index, &term, &conf));
    if (index != in->index || term != in->term || !slice_eq(conf, slice_of(in->conf, in->conf_len)))
        err = REEVE_E_MALFORMED;
out:
    return err == REEVE_OK ? err : REEVE_E_MALFORMED;
}

static enum reeve_err replace(struct state_run *run, void *apply_arg, struct storage_txn *txn, struct kv *kv, uint64_t *revision)
{
    struct core_run *r = (struct core_run *) run;
    struct core_install *in = r->install;
    uint8_t mem[64];
    uint64_t at;
    struct slice own, key = slice_of(identity_key, sizeof identity_key);
    enum reeve_err err = kv_get(kv, key, &own);
    if (err != REEVE_OK || own.len > sizeof mem)
        return err != REEVE_OK ? err : REEVE_E_BUG;
    memcpy(mem, own.p, own.len);
    own.p = mem;
    struct slice lost, lost_key = slice_of(damaged_key, sizeof damaged_key);
    uint8_t lost_mem[32];
    bool keep = kv_get(kv, lost_key, &lost) == REEVE_OK && lost.len <= sizeof lost_mem;
    if (keep)                           /* what the log once held is not answered by a state that ends before it */
        memcpy(lost_mem, lost.p, lost.len);
    TRY(storage_clear(txn));
    TRY(kv_put(kv, key, own));
    if (keep)
        TRY(kv_put(kv, lost_key, slice_of(lost_mem, lost.len)));
    TRY(statefile_read(in->fd, 0, in->size, kv, is_own, &at));
    TRY(check_position(kv, in));
    TRY(r->core->host.revision(apply_arg, kv, revision));
out:
    return err;
}

/* ---- in: before and after that ---- */

static void snap_fail(struct core *c, uint64_t id)
{
    struct member_event e = { .type = MEMBER_E_SNAP_FAILED, .snap = { .id = id } };
    in_drop(c);
    core_later(c, &e);
}

static void snap_install(struct core *c, const struct raft_snap *snap)
{
    struct core_run *r = calloc(1, sizeof *r);
    struct core_install *in = calloc(1, sizeof *in);
    if (r == NULL || in == NULL || c->in.id != snap->id || c->in.len != snap->size || snap->conf.len > sizeof in->conf ||
        c->host.revision == NULL) {
        free(r);
        free(in);
        snap_fail(c, snap->id);
        return;
    }
    *in = (struct core_install){ .id = snap->id, .index = snap->index, .term = snap->term, .size = snap->size, .fd = c->in.fd,
                                 .conf_len = snap->conf.len };
    memcpy(in->conf, snap->conf.p, snap->conf.len);
    r->install = in;
    r->core = c;
    r->index = snap->index;
    r->term = snap->term;
    r->run.replace = replace;
    state_put(c->state, &r->run);
    state_flush(c->state);
}

static enum reeve_err restore(struct core *c)
{
    struct storage_txn *t;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    err = core_rows_restore(c, storage_kv(t));
    storage_abort(t);
    return err;
}

void core_snap_installed(struct core *c, struct core_run *r)
{
    struct core_install *in = r->install;
    struct member_event e = { .type = MEMBER_E_SNAP_INSTALLED,
                              .snap = { in->id, in->index, in->term, in->size, slice_of(in->conf, in->conf_len) } };
    if (r->run.replace_err != REEVE_OK) {
        log_error("the state that another member sent was not taken: %s", reeve_err_text(r->run.replace_err));
        in_drop(c);
        e.type = MEMBER_E_SNAP_FAILED;
        (void) core_step(c, &e);
        return;
    }
    enum reeve_err err = restore(c);
    if (err != REEVE_OK)
        core_die(c, err, "take over another member's state");
    in_drop(c);
    c->joining = false;
    c->revision = r->run.index;
    c->synced_index = c->start_index = in->index;
    c->synced_term = in->term;
    (void) core_step(c, &e);
    log_info("the state at %llu is installed: revision %llu", (unsigned long long) in->index, (unsigned long long) c->revision);
    if (c->host.replaced && !c->quiet)
        c->host.replaced(c->host.arg, c->revision);
}

void core_snap_effect(struct core *c, const struct raft_effect *f)
{
    switch (f->type) {
    case RAFT_F_SNAP_NEED: snap_need(c, f->peer, f->index); break;
    case RAFT_F_SNAP_READ: snap_read(c, &f->msg); break;
    case RAFT_F_SNAP_CHUNK: snap_chunk(c, &f->msg); break;
    case RAFT_F_SNAP_INSTALL: snap_install(c, &f->snap); break;
    case RAFT_F_SNAP_DONE: snap_done(c, f->peer); break;
    default: break;
    }
}

void core_snap_free(struct core *c)
{
    out_free(c);
    in_drop(c);
    loop_unpost(c->loop, &c->later_task);
}
