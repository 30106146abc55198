/* backlog.c - see backlog.h: the owner's side, then the thread's. */
#include "backend/ring/backlog.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/ring/statefile.h"
#include "common/crc32c.h"

#define HEAD_BYTES 16u
#define RECORD_MAX (RAFT_ENTRY_MAX + 32u)
#define MARK_BYTES (64u << 10)          /* between two places that are known */

/* Where an entry begins, and the term of the one before it. */
struct mark { uint64_t index, prev_term, at; };
enum op_kind { OP_WRITE = 1, OP_READ, OP_PUNCH };
struct op {
    struct op *next;
    uint8_t kind;
    uint64_t at, end;                   /* WRITE: at; READ: from a mark to the end of what was put; PUNCH: both */
    struct wr bytes;                    /* WRITE: what; READ: what came of it */
    uint32_t peer, most;                /* READ */
    uint64_t index, term, want;         /* of the mark; then of the entry before what came */
    size_t n;
};

struct backlog {
    struct loop *loop;
    struct loop_task task;
    backlog_back_fn *fn;
    void *arg;
    /* the owner's */
    struct mark *mark;
    size_t first_mark, n_marks, cap_marks;
    uint64_t next, prev_term, end;      /* of what was put */
    struct wr gathered;
    /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct op *waiting, **waiting_tail, *done, **done_tail;
    uint64_t pending;
    bool closing, failed, no_punch;
    /* the thread's */
    int fd;
};

/* ---- the thread ---- */

static bool write_at(int fd, struct slice s, uint64_t at)
{
    while (s.len > 0) {
        ssize_t n = pwrite(fd, s.p, s.len, (off_t) at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = slice_of(s.p + n, s.len - (size_t) n);
        at += (uint64_t) n;
    }
    return true;
}

struct head { uint32_t len, crc; uint64_t term; };

static bool read_head(int fd, uint64_t at, uint64_t end, struct head *h)
{
    uint8_t mem[HEAD_BYTES];
    if (at + HEAD_BYTES > end || file_read_at(fd, mem, sizeof mem, at) != sizeof mem)
        return false;
    struct rd in = rd_of(slice_of(mem, sizeof mem));
    h->len = rd_u32(&in);
    h->crc = rd_u32(&in);
    h->term = rd_u64(&in);
    return h->len > 0 && h->len <= RECORD_MAX && at + HEAD_BYTES + h->len <= end;
}

static uint32_t sum_of(uint64_t term, struct slice entry)
{
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, term);
    return crc32c(crc32c(0, mem, sizeof mem), entry.p, entry.len);
}

/* False: it is not what was put there. */
static bool take_record(struct backlog *b, struct op *o, uint64_t at, const struct head *h)
{
    uint8_t *mem = wr_reserve(&o->bytes, h->len);
    if (mem == NULL)
        return false;
    bool good = file_read_at(b->fd, mem, h->len, at + HEAD_BYTES) == h->len && sum_of(h->term, slice_of(mem, h->len)) == h->crc;
    if (good)
        o->n++;
    else
        o->bytes.len -= h->len;
    return good;
}

static void run_read(struct backlog *b, struct op *o)
{
    struct head h;
    uint64_t at = o->at, index = o->index;
    o->bytes = wr_heap(o->most + RECORD_MAX);
    while (o->n < RAFT_MSG_ENTRIES_MAX && read_head(b->fd, at, o->end, &h)) {
        if (o->n > 0 && o->bytes.len + h.len > o->most)
            return;
        if (index < o->want)
            o->term = h.term;           /* of the entry before */
        else if (!take_record(b, o, at, &h))
            return;
        at += HEAD_BYTES + h.len;
        index++;
    }
}

static void run_op(struct backlog *b, struct op *o)
{
    bool ok = true, punched = true;
    if (o->kind == OP_READ)
        run_read(b, o);
    else if (o->kind == OP_WRITE)
        ok = write_at(b->fd, wr_slice(&o->bytes), o->at);
    else
        punched = fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) o->at, (off_t) (o->end - o->at)) == 0;
    pthread_mutex_lock(&b->lock);
    if (o->kind == OP_WRITE)
        b->pending -= o->bytes.len;
    b->failed |= !ok;
    b->no_punch |= !punched;
    pthread_mutex_unlock(&b->lock);
}

static void op_free(struct op *o)
{
    wr_free(&o->bytes);
    free(o);
}

static void ops_free(struct op *o)
{
    while (o) {
        struct op *next = o->next;
        op_free(o);
        o = next;
    }
}

/* Nobody waits for it: it takes the rest with it. */
static void thread_end(struct backlog *b)
{
    close(b->fd);
    ops_free(b->waiting);
    ops_free(b->done);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->work);
    free(b->mark);
    wr_free(&b->gathered);
    free(b);
}

static struct op *next_op(struct backlog *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->waiting == NULL && !b->closing)
        pthread_cond_wait(&b->work, &b->lock);
    struct op *o = b->closing ? NULL : b->waiting;
    if (o) {
        b->waiting = o->next;
        if (b->waiting == NULL)
            b->waiting_tail = &b->waiting;
        o->next = NULL;
    }
    pthread_mutex_unlock(&b->lock);
    return o;
}

static void op_done(struct backlog *b, struct op *o)
{
    bool tell = o->kind == OP_READ;
    pthread_mutex_lock(&b->lock);
    if (tell) {
        *b->done_tail = o;
        b->done_tail = &o->next;
    }
    if (!b->closing && (tell || b->failed))
        loop_post(b->loop, &b->task);
    pthread_mutex_unlock(&b->lock);
    if (!tell)
        op_free(o);
}

static void *run(void *arg)
{
    struct backlog *b = arg;
    for (struct op *o; (o = next_op(b)) != NULL;) {
        run_op(b, o);
        op_done(b, o);
    }
    thread_end(b);
    return NULL;
}

/* ---- the owner ---- */

static struct op *done_next(struct backlog *b)
{
    pthread_mutex_lock(&b->lock);
    struct op *o = b->done;
    if (o) {
        b->done = o->next;
        if (b->done == NULL)
            b->done_tail = &b->done;
    }
    bool more = b->done != NULL;
    pthread_mutex_unlock(&b->lock);
    if (more)
        loop_post(b->loop, &b->task);
    return o;
}

/* One a turn: the owner may close this meanwhile. */
static void tell(void *arg)
{
    struct backlog *b = arg;
    struct op *o = done_next(b);
    if (o == NULL)
        return;
    b->fn(b->arg, o->peer, o->want - 1, o->term, o->n, wr_slice(&o->bytes));
    op_free(o);
}

static void hand_over(struct backlog *b, struct op *o)
{
    pthread_mutex_lock(&b->lock);
    *b->waiting_tail = o;
    b->waiting_tail = &o->next;
    if (o->kind == OP_WRITE)
        b->pending += o->bytes.len;
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
}

/* Signals are the loop's. */
static bool start_thread(struct backlog *b)
{
    pthread_t t;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&t, NULL, run, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_detach(t);
    return rc == 0;
}

enum reeve_err backlog_open(struct backlog **out, struct loop *l, int fd, uint64_t first, uint64_t prev_term,
                            backlog_back_fn *fn, void *arg)
{
    struct backlog *b = calloc(1, sizeof *b);
    if (b == NULL) {
        close(fd);
        return REEVE_E_NOMEM;
    }
    b->loop = l;
    b->task = (struct loop_task){ .fn = tell, .arg = b };
    b->fn = fn;
    b->arg = arg;
    b->fd = fd;
    b->next = first;
    b->prev_term = prev_term;
    b->waiting_tail = &b->waiting;
    b->done_tail = &b->done;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work, NULL);
    if (!start_thread(b)) {
        thread_end(b);
        return REEVE_E_NOMEM;
    }
    *out = b;
    return REEVE_OK;
}

void backlog_close(struct backlog *b)
{
    pthread_mutex_lock(&b->lock);
    b->closing = true;
    loop_unpost(b->loop, &b->task);
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
}

static bool put_mark(struct backlog *b)
{
    uint64_t last = b->n_marks ? b->mark[b->first_mark + b->n_marks - 1].at : 0;
    if (b->n_marks && b->end < last + MARK_BYTES)
        return true;
    if (b->first_mark + b->n_marks == b->cap_marks) {
        size_t cap = 2 * b->n_marks + 64;
        struct mark *more = malloc(cap * sizeof *more);
        if (more == NULL)
            return false;
        if (b->n_marks)
            memcpy(more, b->mark + b->first_mark, b->n_marks * sizeof *more);
        free(b->mark);
        b->mark = more;
        b->cap_marks = cap;
        b->first_mark = 0;
    }
    b->mark[b->first_mark + b->n_marks++] = (struct mark){ b->next, b->prev_term, b->end };
    return true;
}

enum reeve_err backlog_put(struct backlog *b, uint64_t term, uint8_t kind, struct slice data)
{
    uint8_t mem[16];
    struct wr head = wr_fixed(mem, sizeof mem);
    struct wr *w = &b->gathered;
    if (!put_mark(b))
        return REEVE_E_NOMEM;
    if (w->p == NULL)
        *w = wr_heap(SIZE_MAX / 2);
    size_t from = w->len;
    for (unsigned i = 0; i < HEAD_BYTES; i++)
        wr_u8(w, 0);
    wr_varint(w, term);
    wr_u8(w, kind);
    wr_vbytes(w, data);
    if (w->bad)
        return REEVE_E_NOMEM;
    struct slice entry = slice_of(w->p + from + HEAD_BYTES, w->len - from - HEAD_BYTES);
    wr_u32(&head, (uint32_t) entry.len);
    wr_u32(&head, sum_of(term, entry));
    wr_u64(&head, term);
    memcpy(w->p + from, mem, HEAD_BYTES);
    b->end += HEAD_BYTES + entry.len;
    b->prev_term = term;
    b->next++;
    return REEVE_OK;
}

void backlog_flush(struct backlog *b)
{
    struct op *o = b->gathered.len > 0 ? calloc(1, sizeof *o) : NULL;
    if (o == NULL)
        return;                         /* without memory: with the next one */
    o->kind = OP_WRITE;
    o->at = b->end - b->gathered.len;
    o->bytes = b->gathered;
    b->gathered = (struct wr){ 0 };
    hand_over(b, o);
}

void backlog_read(struct backlog *b, uint32_t peer, uint64_t first, uint32_t bytes)
{
    struct op *o = first >= backlog_first(b) && first < b->next ? calloc(1, sizeof *o) : NULL;
    if (o == NULL)
        return;                         /* asked again */
    backlog_flush(b);
    const struct mark *m = &b->mark[b->first_mark];
    size_t lo = 0, hi = b->n_marks;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (m[mid].index <= first)
            lo = mid;
        else
            hi = mid;
    }
    *o = (struct op){ .kind = OP_READ, .at = m[lo].at, .end = b->end - b->gathered.len, .peer = peer, .most = bytes, .index = m[lo].index,
                      .term = m[lo].prev_term, .want = first };
    hand_over(b, o);
}

void backlog_trim(struct backlog *b, uint64_t index)
{
    uint64_t from = b->n_marks ? b->mark[b->first_mark].at : 0;
    while (b->n_marks > 1 && b->mark[b->first_mark + 1].index <= index) {
        b->first_mark++;
        b->n_marks--;
    }
    uint64_t to = b->n_marks ? b->mark[b->first_mark].at : 0;
    struct op *o = to > from ? calloc(1, sizeof *o) : NULL;
    if (o == NULL)
        return;
    *o = (struct op){ .kind = OP_PUNCH, .at = from, .end = to };
    hand_over(b, o);
}

uint64_t backlog_first(const struct backlog *b) { return b->n_marks ? b->mark[b->first_mark].index : b->next; }
uint64_t backlog_next(const struct backlog *b) { return b->next; }

uint64_t backlog_bytes(struct backlog *b)
{
    pthread_mutex_lock(&b->lock);
    bool grows = b->no_punch;
    pthread_mutex_unlock(&b->lock);
    return b->end - (b->n_marks && !grows ? b->mark[b->first_mark].at : 0);
}

uint64_t backlog_written(const struct backlog *b) { return b->end; }

uint64_t backlog_pending(struct backlog *b)
{
    pthread_mutex_lock(&b->lock);
    uint64_t n = b->pending;
    pthread_mutex_unlock(&b->lock);
    return n + b->gathered.len;
}

bool backlog_failed(struct backlog *b)
{
    pthread_mutex_lock(&b->lock);
    bool failed = b->failed;
    pthread_mutex_unlock(&b->lock);
    return failed;
}
