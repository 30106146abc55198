/*
 * batch.c - gathering commands into entries, and taking entries apart
 *
 * Commands lie encoded in the queue one after the other; a batch is a run of
 * them with a header written into the bytes before it.
 */
#include "member_int.h"

size_t member_item_size(const struct item *it)
{
    return varint_len(it->session) + varint_len(it->seq) + 8 + varint_len(it->handle) + varint_len(it->command.len) + it->command.len;
}

bool member_item_next(struct rd *in, struct item *out)
{
    if (rd_left(in) == 0)
        return false;
    out->session = rd_varint(in);
    out->seq = rd_varint(in);
    out->origin = rd_u64(in);
    out->handle = rd_varint(in);
    out->command = rd_vbytes(in, MEMBER_COMMAND_MAX);
    return !in->bad;
}

bool member_batch_open(struct slice entry, struct rd *in, uint32_t *n)
{
    *in = rd_of(entry);
    uint8_t version = rd_u8(in);
    *n = rd_u16(in);
    return !in->bad && version == 1 && *n <= MEMBER_BATCH_MAX;
}

/* ---- the queue ---- */

bool member_queue_room(const struct member *m, size_t bytes)
{
    return m->end - m->start + bytes <= m->c.queue_bytes && m->end + bytes <= m->queue_cap;
}

void member_queue_put(struct member *m, const struct item *it)
{
    struct wr w = wr_fixed(m->queue + m->end, m->queue_cap - m->end);
    wr_varint(&w, it->session);
    wr_varint(&w, it->seq);
    wr_u64(&w, it->origin);
    wr_varint(&w, it->handle);
    wr_vbytes(&w, it->command);
    reeve_assert(!w.bad);
    m->end += (uint32_t) w.len;
    m->queued++;
}

/*
 * Commands that another member sent on are for the term in which this one leads: when that is over their sender finds out
 * by the log that they are not in it, and proposes them again.
 */
void member_queue_purge(struct member *m)
{
    struct rd in = rd_of(slice_of(m->queue + m->start, m->end - m->start));
    struct item it;
    uint32_t from = m->start, to = m->start, kept = 0;
    while (member_item_next(&in, &it)) {
        uint32_t next = m->end - (uint32_t) rd_left(&in);
        if (member_ticket_of(m, &it) != NONE || (RAFT_BROKEN(UNSENT_IS_SENT) && it.origin == m->c.origin)) {
            memmove(m->queue + to, m->queue + from, next - from);
            to += next - from;
            kept++;
        }
        from = next;
    }
    m->end = to;
    m->queued = kept;
    m->purge = false;
}

/* At the start of a step nothing is borrowed. The queue has twice the room it may fill, so this copies each byte about once. */
void member_queue_rewind(struct member *m)
{
    m->forwarded = false;
    if (m->start == m->end) {
        m->start = m->end = QUEUE_FRONT;
    } else if (m->start > m->c.queue_bytes) {
        memmove(m->queue + QUEUE_FRONT, m->queue + m->start, m->end - m->start);
        m->end -= m->start - QUEUE_FRONT;
        m->start = QUEUE_FRONT;
    }
}

/* Given up before it was sent: its ticket has been told that it was not applied. */
static bool dead(const struct member *m, const struct item *it)
{
    return it->origin == m->c.origin && member_ticket_of(m, it) == NONE && !RAFT_BROKEN(UNSENT_IS_SENT);
}

/* The next run of living items: how many, how many bytes. Dead ones before it are dropped. */
static uint32_t next_run(struct member *m, uint32_t *bytes)
{
    struct rd in = rd_of(slice_of(m->queue + m->start, m->end - m->start));
    struct item it;
    uint32_t n = 0;
    *bytes = 0;
    while (n < MEMBER_BATCH_MAX && member_item_next(&in, &it)) {
        uint32_t upto = (uint32_t) (in.p - (m->queue + m->start));
        if (dead(m, &it)) {
            if (n > 0)
                break;
            m->start += upto;
            m->queued--;
            in = rd_of(slice_of(m->queue + m->start, m->end - m->start));
            continue;
        }
        if (n > 0 && upto > m->c.batch_bytes)
            break;
        *bytes = upto;
        n++;
    }
    return n;
}

static void mark_sent(struct member *m, uint32_t bytes, uint64_t term)
{
    struct rd in = rd_of(slice_of(m->queue + m->start, bytes));
    struct item it;
    while (member_item_next(&in, &it)) {
        uint32_t t = member_ticket_of(m, &it);
        if (t == NONE)
            continue;
        m->ticket[t].state = T_SENT;
        m->ticket[t].term = term;
    }
}

static void consume(struct member *m, uint32_t n, uint32_t bytes)
{
    m->start += bytes;
    m->queued -= n;
}

/* The header lies right before the items: of an entry three bytes, of a message the whole front. */
static struct slice with_header(struct member *m, uint32_t n, uint32_t bytes, bool message)
{
    uint32_t len = message ? QUEUE_FRONT : 3;
    struct wr w = wr_fixed(m->queue + m->start - len, len);
    wr_u8(&w, 1);
    if (message) {
        wr_u8(&w, 1);
        wr_u64(&w, m->c.origin);
        wr_u64(&w, ++m->forwards);
    }
    wr_u16(&w, (uint16_t) n);
    reeve_assert(!w.bad && w.len == len);
    return slice_of(m->queue + m->start - len, bytes + len);
}

/* An entry of the log: the leader's way. */
static bool cut(struct member *m, uint64_t term, uint32_t n, uint32_t bytes, struct member_effects *out)
{
    struct raft_event e = { .type = RAFT_E_PROPOSE, .kind = MEMBER_K_BATCH, .data = with_header(m, n, bytes, false) };
    if (member_raft_step(m, &e, out) != REEVE_OK)
        return false;
    mark_sent(m, bytes, term);
    m->batches++;
    consume(m, n, bytes);
    return true;
}

static void forward(struct member *m, uint32_t leader, uint64_t term, uint32_t n, uint32_t bytes, struct member_effects *out)
{
    struct slice data = with_header(m, n, bytes, true);
    mark_sent(m, bytes, term);
    m->forwarded = true;
    m->forwarded_at = m->now;
    consume(m, n, bytes);
    member_send(m, leader, data, out);
}

static bool pipeline_open(const struct member *m, const struct raft_status *st)
{
    return st->last - st->commit < m->c.pipeline || m->end - m->start >= m->c.batch_bytes || m->queued >= MEMBER_BATCH_MAX;
}

/* What comes within a millisecond is forwarded together. */
static bool gathering(const struct member *m)
{
    return m->forwarded_at.ms == m->now.ms && m->end - m->start < m->c.batch_bytes;
}

bool member_queue_gathering(const struct member *m)
{
    return m->queued > 0 && !member_leads(m) && gathering(m);
}

void member_queue_pump(struct member *m, struct member_effects *out)
{
    while (m->queued > 0 && !m->forwarded && !m->purge && !member_tight(m, out)) {
        struct raft_status st;
        uint32_t bytes;
        raft_status(m->raft, &st);
        if (st.role == RAFT_LEADER && (st.transferring || !pipeline_open(m, &st)))
            return;
        if (st.role != RAFT_LEADER && st.leader == 0)
            return;
        if (st.role != RAFT_LEADER && gathering(m))
            return;
        uint32_t n = next_run(m, &bytes);
        if (n == 0)
            return;
        if (st.role != RAFT_LEADER)
            forward(m, st.leader, st.term, n, bytes, out);
        else if (!cut(m, st.term, n, bytes, out))
            return;
    }
    m->more |= m->queued > 0 && (m->forwarded || m->purge);
}
