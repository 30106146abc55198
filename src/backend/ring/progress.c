/*
 * progress.c - how far the members' logs are: the leader knows, and tells once a second, so that who looks at another member
 * sees the same
 *
 * Message: u8 NEWS_PROGRESS | u8 1 | u64 term | u64 last index | u8 n | n x { u32 member | u64 match index (0: not known) |
 * u32 ms since it was heard (ffffffff: not known) | u8 flags (1: gets a snapshot, 2: behind) }
 *
 * It is shown and nothing else. It counts while it is the word of who leads now, in this term, and not old.
 */
#include "backend/ring/driver_int.h"

#include "backend/utils/clock.h"

#define KEPT_MS  5000                   /* some may be lost */
#define SNAPSHOT 1u
#define BEHIND   2u

void progress_encode(const struct progress *p, struct wr *out)
{
    wr_u8(out, NEWS_PROGRESS);
    wr_u8(out, 1);
    wr_u64(out, p->term);
    wr_u64(out, p->last);
    wr_u8(out, (uint8_t) p->n);
    for (unsigned i = 0; i < p->n; i++) {
        const struct progress_of *m = &p->m[i];
        wr_u32(out, m->id);
        wr_u64(out, m->match);
        wr_u32(out, m->heard_ms);
        wr_u8(out, (m->snapshot ? SNAPSHOT : 0) | (m->behind ? BEHIND : 0));
    }
}

bool progress_decode(struct progress *p, struct rd *in)
{
    *p = (struct progress){ .n = 0 };
    if (rd_u8(in) != 1)
        return false;
    p->term = rd_u64(in);
    p->last = rd_u64(in);
    unsigned n = rd_u8(in);
    if (n > RAFT_MEMBERS_MAX)
        return false;
    for (; p->n < n && !in->bad; p->n++) {
        struct progress_of *m = &p->m[p->n];
        m->id = rd_u32(in);
        m->match = rd_u64(in);
        m->heard_ms = rd_u32(in);
        uint8_t flags = rd_u8(in);
        m->snapshot = flags & SNAPSHOT;
        m->behind = flags & BEHIND;
    }
    return !in->bad;
}

bool progress_counts(const struct progress *p, uint32_t leader, uint64_t term, int64_t now_ms)
{
    return p->from != 0 && p->from == leader && p->term == term && now_ms - p->at_ms < KEPT_MS;
}

bool progress_find(const struct progress *p, uint32_t id, int64_t now_ms, struct progress_of *out)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (p->m[i].id != id)
            continue;
        *out = p->m[i];
        if (out->heard_ms != UINT32_MAX)
            out->heard_ms += (uint32_t) (now_ms - p->at_ms);
        return true;
    }
    return false;
}

/* ---- once a second ---- */

void progress_tell(struct ring *r)
{
    static struct progress p;
    static uint8_t mem[32 + RAFT_MEMBERS_MAX * 17];
    const struct raft_conf *conf = core_conf(r->prop.core);
    struct wr w = wr_fixed(mem, sizeof mem);
    struct core_status st;
    core_status(r->prop.core, &st);
    p = (struct progress){ .term = st.member.raft.term, .last = st.member.raft.last };
    for (; p.n < conf->n; p.n++)
        p.m[p.n] = progress_here(r, &st, p.n, conf->m[p.n].id);
    progress_encode(&p, &w);
    reeve_assert(!w.bad);
    core_tell(r->prop.core, wr_slice(&w));
}

void progress_heard(struct ring *r, uint32_t from, struct rd *in)
{
    static struct progress p;
    struct core_status st;
    core_status(r->prop.core, &st);
    if (from != st.member.raft.leader || !progress_decode(&p, in))
        return;
    r->progress = p;
    r->progress.from = from;
    r->progress.at_ms = clock_mono().ms;
}
