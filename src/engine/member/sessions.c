/*
 * sessions.c - the table that makes a command apply once
 *
 * Part of the replicated state: it changes only by what the log says, in its
 * order, so all members hold the same. Slots are found by a small hash table
 * that is no part of the state.
 */
#include "member_int.h"

static unsigned bucket_of(uint64_t id)
{
    return (unsigned) ((id * 0x9e3779b97f4a7c15ULL) >> 40) % SESSION_BUCKETS;
}

static uint32_t find(const struct member *m, uint64_t id)
{
    for (unsigned i = 0, b = bucket_of(id); i < SESSION_BUCKETS && m->bucket[b]; i++, b = (b + 1) % SESSION_BUCKETS)
        if (m->session[m->bucket[b] - 1].id == id)
            return m->bucket[b] - 1u;
    return NONE;
}

static void bucket_add(struct member *m, uint32_t slot)
{
    unsigned b = bucket_of(m->session[slot].id);
    while (m->bucket[b])
        b = (b + 1) % SESSION_BUCKETS;
    m->bucket[b] = (uint16_t) (slot + 1);
}

/* One gives way seldom: all are put in anew. */
static void buckets_rebuild(struct member *m)
{
    memset(m->bucket, 0, sizeof m->bucket);
    for (uint32_t i = 0; i < MEMBER_SESSIONS_MAX; i++)
        if (m->session[i].id)
            bucket_add(m, i);
}

void member_sessions_clear(struct member *m)
{
    memset(m->session, 0, sizeof m->session);
    memset(m->bucket, 0, sizeof m->bucket);
}

/* Places are unique and rise with the log: also the ids of sessions. */
static uint64_t place_number(uint64_t index, uint32_t nth)
{
    return index * MEMBER_BATCH_MAX + nth + 1;
}

uint64_t member_session_open(struct member *m, uint64_t index, uint32_t nth)
{
    uint32_t slot = 0;
    for (uint32_t i = 1; i < MEMBER_SESSIONS_MAX && m->session[slot].id; i++)
        if (m->session[i].used < m->session[slot].used)
            slot = i;
    bool evicted = m->session[slot].id != 0;
    m->session[slot] = (struct session){ .id = place_number(index, nth), .used = place_number(index, nth) };
    if (evicted)
        buckets_rebuild(m);
    else
        bucket_add(m, slot);
    member_row_touch(m, 1 + slot);
    return m->session[slot].id;
}

static void mark(struct session *s, uint64_t seq, uint64_t index, uint32_t nth)
{
    if (seq > s->top) {
        uint64_t by = seq - s->top;
        s->mask = (by >= MEMBER_SEQS ? 0 : s->mask << by) | 1;
        s->top = seq;
    } else {
        s->mask |= 1ULL << (s->top - seq);
    }
    s->used = place_number(index, nth);
    s->place[seq % MEMBER_PLACES].index = index;
    s->place[seq % MEMBER_PLACES].nth = nth;
}

static enum verdict judge(const struct session *s, uint64_t seq)
{
    if (seq > s->top)
        return FRESH;
    if (s->top - seq >= MEMBER_SEQS)
        return FORGOTTEN;
    return s->mask >> (s->top - seq) & 1 ? DUPLICATE : FRESH;
}

/* A place is known for the newest seq of its residue only. */
static bool place_known(const struct session *s, uint64_t seq)
{
    for (uint64_t later = seq + MEMBER_PLACES; later <= s->top; later += MEMBER_PLACES)
        if (s->mask >> (s->top - later) & 1)
            return false;
    return true;
}

enum verdict member_session_apply(struct member *m, const struct item *it, uint64_t index, uint32_t nth, uint64_t *where,
                                  uint32_t *where_nth)
{
    uint32_t slot = find(m, it->session);
    *where = 0;
    *where_nth = 0;
    if (slot == NONE)
        return EXPIRED;
    struct session *s = &m->session[slot];
    enum verdict v = RAFT_BROKEN(DEDUP_FORGOTTEN) ? FRESH : judge(s, it->seq);
    if (v == DUPLICATE && place_known(s, it->seq)) {
        *where = s->place[it->seq % MEMBER_PLACES].index;
        *where_nth = s->place[it->seq % MEMBER_PLACES].nth;
    }
    if (v != FRESH)
        return v;
    mark(s, it->seq, index, nth);
    member_row_touch(m, 1 + slot);
    return FRESH;
}

/* u64 id | u64 top | u64 mask | u64 used | places: varint index | varint nth */
void member_session_encode(const struct session *s, struct wr *out)
{
    wr_u64(out, s->id);
    wr_u64(out, s->top);
    wr_u64(out, s->mask);
    wr_u64(out, s->used);
    for (unsigned i = 0; i < MEMBER_PLACES; i++) {
        wr_varint(out, s->place[i].index);
        wr_varint(out, s->place[i].nth);
    }
}

enum reeve_err member_session_restore(struct member *m, uint32_t slot, struct slice value)
{
    struct rd in = rd_of(value);
    struct session s = { .id = rd_u64(&in), .top = 0 };
    s.top = rd_u64(&in);
    s.mask = rd_u64(&in);
    s.used = rd_u64(&in);
    for (unsigned i = 0; i < MEMBER_PLACES; i++) {
        s.place[i].index = rd_varint(&in);
        s.place[i].nth = (uint32_t) rd_varint(&in);
    }
    if (!rd_done(&in) || s.id == 0 || find(m, s.id) != NONE || m->session[slot].id)
        return REEVE_E_CORRUPT;
    m->session[slot] = s;
    bucket_add(m, slot);
    return REEVE_OK;
}
