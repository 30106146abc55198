/*
 * appends.c - the own log: what was added, what is under way to the disk, what is durable
 *
 * Appends complete in order of seq. Each remembers how far the log reached
 * with it; a truncation lowers that for all under way, so that a completion
 * which comes late speaks only for entries that are still the log's (R3).
 */
#include "raft_int.h"

static struct raft_append *ap(struct raft *r)
{
    if (!r->ap_dirty)
        r->ap = (struct raft_append){ .first = 1 };
    r->ap_dirty = true;
    return &r->ap;
}

void raft_append_entry(struct raft *r, const struct raft_entry *e)
{
    struct raft_append *a = ap(r);
    reeve_assert(e->index == log_last(r) + 1);
    r->log.ops->append(r->log.arg, e);
    if (a->first > a->last)
        a->first = e->index;
    a->last = e->index;
    if (e->kind == RAFT_CONF)
        raft_conf_take(r, e);
}

void raft_append_is_fill(struct raft *r)
{
    ap(r)->fill = true;
}

static void cap_pending(struct raft *r, uint64_t last)
{
    if (RAFT_BROKEN(DURABLE_ABA))
        return;
    for (unsigned i = 0; i < r->pending_n; i++) {
        struct pending_append *p = &r->pending[(r->pending_head + i) % RAFT_APPENDS_MAX];
        p->last = min_u64(p->last, last);
    }
}

void raft_append_truncate(struct raft *r, uint64_t from, struct raft_effects *out)
{
    struct raft_append *a = ap(r);
    reeve_assert(from > r->commit && a->first > a->last);       /* R2 */
    r->own = false;
    r->log.ops->truncate(r->log.arg, from);
    a->truncate_from = from;
    r->durable = min_u64(r->durable, from - 1);
    cap_pending(r, from - 1);
    raft_conf_rollback(r, from);
    raft_emit(out, RAFT_F_TRUNCATED)->index = from;
}

/* The state at index is durable by itself. */
void raft_append_reset(struct raft *r, uint64_t index, uint64_t term)
{
    r->ap_dirty = false;
    struct raft_append *a = ap(r);
    r->own = false;
    r->log.ops->reset(r->log.arg, index, term);
    a->reset = true;
    a->reset_index = index;
    a->reset_term = term;
    r->durable = index;
    cap_pending(r, index);
}

void raft_hard_set(struct raft *r, uint64_t term, uint32_t vote)
{
    reeve_assert(term >= r->term);                              /* R2 */
    r->hard_dirty |= term != r->term || vote != r->vote;
    r->term = term;
    r->vote = vote;
}

uint64_t raft_append_after_index(const struct raft *r, uint64_t index)
{
    if (index <= r->durable || RAFT_BROKEN(ACK_NOT_DURABLE))
        return 0;
    for (unsigned i = 0; i < r->pending_n; i++) {
        const struct pending_append *p = &r->pending[(r->pending_head + i) % RAFT_APPENDS_MAX];
        if (p->last >= index)
            return p->seq;
    }
    return r->seq + 1;                  /* the one that this step will give out */
}

uint64_t raft_append_after_hard(const struct raft *r)
{
    if (RAFT_BROKEN(VOTE_NOT_DURABLE))
        return 0;
    if (r->hard_dirty)
        return r->seq + 1;
    return r->hard_seq > r->done_seq ? r->hard_seq : 0;
}

/* Too many to tell apart: the newest two are reported as one. */
static void pending_push(struct raft *r)
{
    unsigned n = r->pending_n < RAFT_APPENDS_MAX ? r->pending_n++ : RAFT_APPENDS_MAX - 1u;
    struct pending_append *p = &r->pending[(r->pending_head + n) % RAFT_APPENDS_MAX];
    if (n + 1u == RAFT_APPENDS_MAX && p->seq > r->done_seq)
        *p = (struct pending_append){ r->seq, log_last(r), p->since };
    else
        *p = (struct pending_append){ r->seq, log_last(r), r->now };
}

void raft_append_flush(struct raft *r, struct raft_effects *out)
{
    if (!r->ap_dirty && !r->hard_dirty)
        return;
    struct raft_append *a = ap(r);
    a->seq = ++r->seq;
    a->term = r->term;
    a->vote = r->vote;
    a->commit = r->commit;
    if (r->hard_dirty)
        r->hard_seq = r->seq;
    pending_push(r);
    raft_emit(out, RAFT_F_APPEND)->append = *a;
    r->ap_dirty = r->hard_dirty = false;
}

void raft_append_done(struct raft *r, uint64_t seq)
{
    if (seq > r->seq || seq <= r->done_seq)
        return;
    r->done_seq = seq;
    while (r->pending_n > 0 && r->pending[r->pending_head].seq <= seq) {
        r->durable = max_u64(r->durable, min_u64(r->pending[r->pending_head].last, log_last(r)));
        r->pending_head = (uint16_t) ((r->pending_head + 1) % RAFT_APPENDS_MAX);
        r->pending_n--;
    }
}

bool raft_disk_slow(const struct raft *r, uint32_t ms)
{
    return ms > 0 && r->pending_n > 0 && r->now.ms - r->pending[r->pending_head].since.ms > (int64_t) ms;
}
