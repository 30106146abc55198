/* core_log.c - appends of the member to the log's files, and the news that they are durable. */
#include <stdlib.h>

#include "backend/ring/core_int.h"

static void log_retry(void *arg);

/* ---- the terms of what the files hold ---- */

static bool terms_room(struct core_terms *t)
{
    if (t->n < t->cap)
        return true;
    size_t cap = t->cap ? 2 * t->cap : 16;
    struct core_term *more = realloc(t->t, cap * sizeof *more);
    if (more == NULL)
        return false;
    t->t = more;
    t->cap = cap;
    return true;
}

/* What stood at index and behind it is superseded. */
static void terms_truncate(struct core_terms *t, uint64_t index)
{
    while (t->n > 0 && t->t[t->n - 1].first >= index)
        t->n--;
    if (t->last >= index)
        t->last = index - 1;
}

/* One after the other; a gap before index means that nothing before it is known any more. */
bool core_terms_put(struct core_terms *t, uint64_t index, uint64_t term)
{
    terms_truncate(t, index);
    if (index != t->last + 1)
        t->n = 0;
    t->last = index;
    if (t->n > 0 && t->t[t->n - 1].term == term)
        return true;
    if (!terms_room(t))
        return false;
    t->t[t->n++] = (struct core_term){ index, term };
    return true;
}

uint64_t core_terms_at(const struct core_terms *t, uint64_t index)
{
    if (index > t->last)
        return 0;
    for (size_t i = t->n; i-- > 0;)
        if (t->t[i].first <= index)
            return t->t[i].term;
    return 0;
}

static void terms_note(struct core *c, const struct wal_append *a)
{
    if (a->flags & WAL_REPAIR)
        return;
    if (a->n == 0)
        terms_truncate(&c->terms, a->first);
    for (size_t i = 0; i < a->n; i++)
        if (!core_terms_put(&c->terms, a->first + i, a->entry[i].term))
            core_die(c, REEVE_E_NOMEM, "append to the log");
}

void core_terms_of_window(struct core *c)
{
    const struct raft_log *log = member_log(c->m);
    c->terms.n = c->terms.last = 0;
    for (uint64_t i = log->ops->first(log->arg); i <= log->ops->last(log->arg); i++)
        if (!core_terms_put(&c->terms, i, log->ops->term(log->arg, i)))
            core_die(c, REEVE_E_NOMEM, "append to the log");
}

/* ---- to the files ---- */

static void note(struct core *c, uint64_t ticket, uint64_t seq)
{
    if (seq == 0)
        return;
    reeve_assert(c->seq_tail - c->seq_head < CORE_SEQS_MAX);
    c->seqs[c->seq_tail % CORE_SEQS_MAX].ticket = ticket;
    c->seqs[c->seq_tail++ % CORE_SEQS_MAX].seq = seq;
}

static void keep(struct core *c, const struct wal_append *a, uint64_t seq)
{
    size_t bytes = 0;
    for (size_t i = 0; i < a->n; i++)
        bytes += a->entry[i].data.len;
    struct core_append *p = malloc(sizeof *p + a->n * sizeof p->entry[0] + bytes);
    if (p == NULL)
        core_die(c, REEVE_E_NOMEM, "keep what the log has no room for");
    *p = (struct core_append){ .seq = seq, .a = *a };
    p->a.entry = p->entry;
    uint8_t *at = (uint8_t *) (p->entry + a->n);
    for (size_t i = 0; i < a->n; i++) {
        p->entry[i] = a->entry[i];
        memcpy(at, a->entry[i].data.p, a->entry[i].data.len);
        p->entry[i].data.p = at;
        at += a->entry[i].data.len;
    }
    *c->pending_tail = p;
    c->pending_tail = &p->next;
}

static bool put(struct core *c, const struct wal_append *a, uint64_t seq)
{
    uint64_t ticket;
    enum reeve_err err = walfile_append(c->wal, a, &ticket);
    if (err == REEVE_OK) {
        note(c, ticket, seq);
        terms_note(c, a);
    }
    else if (err != REEVE_E_AGAIN)
        core_die(c, err, "append to the log");
    return err == REEVE_OK;
}

static void put_or_keep(struct core *c, const struct wal_append *a, uint64_t seq)
{
    if (c->pending != NULL || !put(c, a, seq))
        keep(c, a, seq);
    if (c->pending != NULL && !loop_timer_is_set(&c->log_retry) &&
        loop_timer_in(c->loop, &c->log_retry, CORE_LOG_RETRY_MS, log_retry, c) != REEVE_OK)
        core_die(c, REEVE_E_NOMEM, "set a timer for the log");
}

static void drop_pending(struct core *c)
{
    while (c->pending) {
        struct core_append *next = c->pending->next;
        free(c->pending);
        c->pending = next;
    }
    c->pending_tail = &c->pending;
}

static void put_pending(struct core *c)
{
    while (c->pending && put(c, &c->pending->a, c->pending->seq)) {
        struct core_append *next = c->pending->next;
        free(c->pending);
        c->pending = next;
    }
    if (c->pending == NULL)
        c->pending_tail = &c->pending;
}

static void log_retry(void *arg)
{
    struct core *c = arg;
    put_pending(c);
    if (c->pending && loop_timer_in(c->loop, &c->log_retry, CORE_LOG_RETRY_MS, log_retry, c) != REEVE_OK)
        core_die(c, REEVE_E_NOMEM, "set a timer for the log");
}

/* ---- an append of the member ---- */

static uint64_t term_at(const struct raft_log *log, uint64_t index)
{
    return index == 0 ? 0 : log->ops->term(log->arg, index);
}

static struct wal_entry *entries_of(struct core *c, const struct raft_log *log, uint64_t first, size_t n)
{
    struct wal_entry *e = malloc(n * sizeof *e);
    if (e == NULL)
        core_die(c, REEVE_E_NOMEM, "append to the log");
    for (size_t i = 0; i < n; i++) {
        struct raft_entry from;
        log->ops->entry(log->arg, first + i, &from);
        e[i] = (struct wal_entry){ from.term, from.kind, from.data };
    }
    return e;
}

/* How many of n entries go into one batch. */
static size_t piece(const struct core *c, const struct wal_entry *e, size_t n)
{
    size_t bytes = 0, k = 0;
    while (k < n && (k == 0 || bytes + WAL_ENTRY_HEAD + e[k].data.len <= c->batch_bytes)) {
        bytes += WAL_ENTRY_HEAD + e[k].data.len;
        k++;
    }
    return k;
}

/* In pieces that fit into a batch; the last one answers for all. */
static void append_entries(struct core *c, const struct raft_append *ra, const struct wal_hard *hard)
{
    const struct raft_log *log = member_log(c->m);
    size_t n = (size_t) (ra->last - ra->first + 1);
    struct wal_entry *e = entries_of(c, log, ra->first, n);
    for (size_t i = 0, k; i < n; i += k) {
        k = piece(c, e + i, n - i);
        struct wal_append a = { .first = ra->first + i, .prev_term = term_at(log, ra->first + i - 1), .entry = e + i, .n = k,
                                .hard = *hard };
        put_or_keep(c, &a, i + k == n ? ra->seq : 0);
    }
    free(e);
}

/*
 * A state took the log's place. What the files hold at its index and behind is another history, or raft would not have
 * asked for it: it goes before the cut, which alone would leave the last term as it was.
 */
static void reset(struct core *c, const struct raft_append *ra, const struct wal_hard *hard)
{
    struct wal_status st;
    bool full;
    uint64_t at = ra->reset_index;
    drop_pending(c);
    walfile_status(c->wal, &st, &full);
    if (at <= st.last && at > st.cut) {
        struct wal_append a = { .first = at, .prev_term = core_terms_at(&c->terms, at - 1), .hard = *hard };
        if (!put(c, &a, 0))             /* no room: the log is of no use any more, its successor begins anew */
            core_die(c, REEVE_E_DISK_FULL, "truncate the log");
    }
    walfile_cut(c->wal, at, ra->reset_term);
    c->terms.n = 0;
    if (!core_terms_put(&c->terms, at, ra->reset_term))
        core_die(c, REEVE_E_NOMEM, "append to the log");
}

/* How many from first on, up to last, are all in a hole, or all in none. */
static uint64_t alike(const struct core *c, uint64_t first, uint64_t last, bool *hole)
{
    uint64_t i = first;
    *hole = wal_holes_touch(&c->shelf.holes, first, first);
    while (i <= last && wal_holes_touch(&c->shelf.holes, i, i) == *hole)
        i++;
    return i - first;
}

static void append_repair(struct core *c, uint64_t first, size_t n, const struct wal_hard *hard)
{
    const struct raft_log *log = member_log(c->m);
    struct wal_entry *e = entries_of(c, log, first, n);
    for (size_t i = 0, k; i < n; i += k) {
        k = piece(c, e + i, n - i);
        struct wal_append a = { .first = first + i, .prev_term = term_at(log, first + i - 1), .entry = e + i, .n = k,
                                .hard = *hard, .flags = WAL_REPAIR };
        put_or_keep(c, &a, 0);
    }
    free(e);
}

/* Only the hard state, and behind everything that the files hold. */
static void append_hard(struct core *c, const struct wal_hard *hard, uint64_t seq)
{
    const struct raft_log *log = member_log(c->m);
    uint64_t last = log->ops->last(log->arg);
    struct wal_append a = { .first = (c->tail ? c->tail_last : last) + 1, .prev_term = c->tail ? c->tail_term : term_at(log, last),
                            .hard = *hard };
    put_or_keep(c, &a, seq);
}

/* What the log held before: what can be read of it stands where it stood, holes are filled, nothing is superseded. */
static void append_fill(struct core *c, const struct raft_append *ra, const struct wal_hard *hard)
{
    bool hole;
    for (uint64_t i = ra->first, n; i <= ra->last; i += n) {
        n = alike(c, i, ra->last, &hole);
        if (hole)
            append_repair(c, i, (size_t) n, hard);
    }
    append_hard(c, hard, ra->seq);
    if (ra->last < c->tail_last)
        return;
    c->tail = false;
    core_terms_of_window(c);
}

void core_log_append(struct core *c, const struct raft_append *ra)
{
    const struct raft_log *log = member_log(c->m);
    struct wal_hard hard = { ra->term, ra->vote, ra->commit };
    bool entries = ra->first <= ra->last && ra->last > 0;
    core_back_append(c, ra);
    if (c->tail && ra->fill) {
        append_fill(c, ra, &hard);
        return;
    }
    if (c->tail && !entries && !ra->truncate_from && !ra->reset) {
        append_hard(c, &hard, ra->seq);
        return;
    }
    c->tail = false;                    /* a leader's entries supersede what stands behind the hole; 'L' 'd' keeps what it was */
    if (ra->reset)
        reset(c, ra, &hard);
    if (entries && (ra->truncate_from == 0 || ra->truncate_from >= ra->first)) {
        append_entries(c, ra, &hard);
        return;
    }
    uint64_t first = ra->truncate_from ? ra->truncate_from : log->ops->last(log->arg) + 1;
    struct wal_append a = { .first = first, .prev_term = term_at(log, first - 1), .hard = hard };
    put_or_keep(c, &a, entries ? 0 : ra->seq);
    if (entries)
        append_entries(c, ra, &hard);
}

/* ---- durable ---- */

void core_log_durable(void *arg, uint64_t ticket)
{
    struct core *c = arg;
    struct member_event e = { .type = MEMBER_E_APPENDED };
    while (c->seq_head != c->seq_tail && c->seqs[c->seq_head % CORE_SEQS_MAX].ticket <= ticket)
        e.seq = c->seqs[c->seq_head++ % CORE_SEQS_MAX].seq;
    put_pending(c);
    if (e.seq == 0)
        return;
    c->durable_seq = e.seq;
    core_links_durable(c);
    (void) core_step(c, &e);
}

void core_log_free(struct core *c)
{
    drop_pending(c);
    free(c->terms.t);
    loop_timer_cancel(c->loop, &c->log_retry);
}
