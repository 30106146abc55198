/*
 * walproperty.h - random histories, crashes and damage, held against the twin
 *
 * Each run returns NULL, or what was wrong: test_recovery asserts NULL,
 * test_broken that a broken rule does not come out NULL for long.
 */
#ifndef REEVE_UNIT_WALPROPERTY_H
#define REEVE_UNIT_WALPROPERTY_H

#include "waldisk.h"

static const struct wal_config tiny = { 16 * WAL_BLOCK, 6 * WAL_BLOCK };

#define WRONG(...) do { snprintf(wrong, sizeof wrong, __VA_ARGS__); return wrong; } while (0)
static char wrong[1600];

static inline const char *say_found(const struct bench *b)
{
    static char text[600];
    struct wr w = wr_fixed(text, sizeof text - 1);
    wal_found_describe(b->found, &w);
    text[w.len] = '\0';
    return text;
}

/* After a crash without damage: clean or torn, nothing acknowledged missing, nothing invented. */
static inline const char *check_crash(struct bench *b, uint64_t durable, int64_t *ticket)
{
    bench_recover(b);
    if (b->found->verdict != WAL_CLEAN && b->found->verdict != WAL_TORN)
        WRONG("a crash alone gave: %s", say_found(b));
    if (!b->found->may_vote || !b->found->may_lead || b->found->holes.n != 0)
        WRONG("after a crash alone it may not vote or lead");
    *ticket = found_ticket(b, durable);
    if (*ticket < 0)
        WRONG("lost or invented (%s), durable ticket %llu of %llu: %s", differs(b, &b->t.at[durable]),
              (unsigned long long) durable, (unsigned long long) b->t.tickets, say_found(b));
    return NULL;
}

static inline const char *run_crashes(struct rng *r, unsigned lives)
{
    static struct bench b;
    const char *bad = NULL;
    bench_init(&b, &tiny);
    for (unsigned i = 0; i < lives && bad == NULL && b.t.now.last + 60 < LOG_MAX; i++) {
        int64_t ticket;
        bench_random_life(&b, r, 20 + rng_below(r, 200));
        if (rng_below(r, 4) == 0)
            disk_settle(&b.d, b.w);
        uint64_t durable = wal_durable(b.w);
        disk_crash(&b.d, r);
        bad = check_crash(&b, durable, &ticket);
        if (bad == NULL)
            bench_resume(&b, (uint64_t) ticket);
    }
    bench_free(&b);
    return bad;
}

/* ---- damage ---- */

enum damage {
    D_FLIP_HEADER, D_FLIP_PAYLOAD, D_ZERO_SECTOR, D_LOST, D_STALE, D_MISDIRECTED, D_UNREADABLE, D_SEGMENT, D_HALF_SEGMENT,
    D_IDENT_BLOCK, D_IDENT, D_META_A, D_META_B, D__COUNT
};
static const char *const damage_names[] = {
    "bit flip in a header", "bit flip in entries", "zeroed sector", "lost write", "old bytes", "misdirected write",
    "read error", "lost segment", "half a segment zeroed", "newest ident block", "lost ident", "meta A", "meta B"
};

static inline uint8_t *frame_bytes(struct bench *b, const struct wal_frame *f)
{
    return disk_seg(&b->d, f->at.epoch)->p + (size_t) f->at.block * WAL_BLOCK;
}

static inline void stale_over(uint8_t *p, size_t len, struct rng *r)
{
    struct wal_frame f;
    for (size_t at = 0; at < len; at += WAL_BLOCK)
        if (wal_frame_decode(&f, p + at) == REEVE_OK) {
            f.at.epoch -= f.at.epoch > 1 ? 1 : 0;      /* as an earlier use of the file had it */
            f.seq = f.seq > 5 ? f.seq - 5 : 1;
            wal_frame_encode(p + at, &f);
            p[at + WAL_HEADER_LEN] ^= 1;
        }
}

static inline void do_damage(struct bench *b, enum damage kind, const struct wal_frame *f, struct rng *r)
{
    uint8_t *p = frame_bytes(b, f);
    size_t len = (size_t) wal_frame_bytes(f->payload_len);
    switch (kind) {
    case D_FLIP_HEADER:  p[rng_below(r, WAL_HEADER_LEN)] ^= (uint8_t) (1u << rng_below(r, 8)); return;
    case D_FLIP_PAYLOAD: p[WAL_HEADER_LEN + (f->payload_len ? rng_below(r, f->payload_len) : 0)] ^= (uint8_t) (1u << rng_below(r, 8)); return;
    case D_ZERO_SECTOR:  memset(p + rng_below(r, (uint32_t) (len / SECTOR)) * SECTOR, 0, SECTOR); return;
    case D_LOST:         memset(p, 0, len); return;
    case D_STALE:        stale_over(p, len, r); return;
    case D_MISDIRECTED: {
        const struct wal_frame *o = &b->replay.frame[rng_below(r, b->replay.batches)];
        if (o->seq != f->seq && wal_frame_bytes(o->payload_len) <= len)
            memcpy(p, frame_bytes(b, o), (size_t) wal_frame_bytes(o->payload_len));
        return;
    }
    case D_UNREADABLE:   b->d.bad_epoch = f->at.epoch; b->d.bad_block = f->at.block + rng_below(r, (uint32_t) (len / WAL_BLOCK)); return;
    case D_SEGMENT: {
        struct dfile *s = disk_seg(&b->d, f->at.epoch);
        free(s->p);
        *s = (struct dfile){ 0 };
        return;
    }
    case D_HALF_SEGMENT: memset(disk_seg(&b->d, f->at.epoch)->p, 0, b->d.c.segment_bytes / 2); return;
    case D_IDENT_BLOCK:  b->d.ident[b->found->ident.number % WAL_IDENT_BLOCKS * WAL_BLOCK + rng_below(r, 600)] ^= 4; return;
    case D_IDENT:        b->d.has_ident = false; return;
    case D_META_A:       b->d.meta[0][rng_below(r, 100)] ^= 64; return;
    case D_META_B:       b->d.has_meta[1] = false; return;
    case D__COUNT:       return;
    }
}

/* Peers' copies of what cannot be read, as the twin has them. */
static inline void repair(struct bench *b, const struct tstate *s)
{
    for (int guard = 0; guard < LOG_MAX; guard++) {
        static struct wal_status st;
        struct wal_entry e;
        uint64_t ticket, i;
        uint8_t mem[8];
        disk_settle(&b->d, b->w);
        wal_status(b->w, &st);
        if (st.holes.n == 0)
            return;
        i = st.holes.r[0].first;
        memcpy(mem, &s->e[i].id, 8);
        e = (struct wal_entry){ s->e[i].term, 0, slice_of(mem, 8) };
        struct wal_append a = { i, i - 1 > s->cut ? s->e[i - 1].term : 0, &e, 1, s->hard, WAL_REPAIR };
        assert_ok(wal_append(b->w, &a, &ticket));
        twin_apply(b, &a, &s->e[i].id, ticket);
    }
    fail_msg("holes that no repair fills");
}

/* A crash may have torn the other copy: then it must say that it does not know. */
static inline bool may_not_know(enum damage kind, bool at_rest)
{
    return kind == D_UNREADABLE || (!at_rest && (kind == D_IDENT || kind == D_META_A || kind == D_META_B));
}

static inline const char *check_damaged(struct bench *b, enum damage kind, bool at_rest, uint64_t durable, int64_t *ticket)
{
    bench_recover(b);
    const struct wal_found *f = b->found;
    *ticket = -1;
    if (f->verdict > WAL_CORRUPT)
        return f->verdict == WAL_IDENTITY_UNKNOWN && may_not_know(kind, at_rest) ? NULL
             : (snprintf(wrong, sizeof wrong, "%s gave: %s", damage_names[kind], say_found(b)), wrong);
    *ticket = found_ticket(b, durable);
    if (*ticket < 0)
        WRONG("%s: lost or invented (%s), durable ticket %llu of %llu: %s [%s]", damage_names[kind],
              differs(b, &b->t.at[durable]), (unsigned long long) durable, (unsigned long long) b->t.tickets, say_found(b),
              b->replay.text);
    if (f->verdict != WAL_CORRUPT && f->holes.n > 0)
        WRONG("%s: holes under a good verdict", damage_names[kind]);
    if (f->may_lead && f->holes.n > 0)
        WRONG("%s: may lead with holes", damage_names[kind]);
    return NULL;
}

static inline const char *after_repair(struct bench *b, enum damage kind, int64_t ticket, struct rng *r)
{
    b->d.bad_epoch = 0;                 /* a sector that is written anew can be read; ours is given up, which is as good */
    bench_resume(b, (uint64_t) ticket);
    repair(b, &b->t.at[0]);
    b->d.has_ident = b->d.has_ident || kind == D_IDENT;
    uint64_t durable = wal_durable(b->w);
    disk_crash(&b->d, r);
    bench_recover(b);
    if (b->found->verdict > WAL_CORRUPT || !b->found->may_vote || !b->found->may_lead)
        WRONG("%s, repaired: %s", damage_names[kind], say_found(b));
    if (found_ticket(b, durable) < 0)
        WRONG("%s, repaired: lost or invented (%s): %s", damage_names[kind], differs(b, &b->t.at[durable]), say_found(b));
    return NULL;
}

/* One fault in a log at rest, or, in a log that crashed, in any batch but the newest. */
static inline const char *run_damage(struct rng *r, bool at_rest, int only)
{
    static struct bench b;
    const char *bad = NULL;
    int64_t ticket = 0;
    enum damage kind = only >= 0 ? (enum damage) only : (enum damage) rng_below(r, D__COUNT);
    bench_init(&b, &tiny);
    for (unsigned lives = rng_below(r, 3); lives-- > 0 && bad == NULL;) {
        bench_random_life(&b, r, 20 + rng_below(r, 300));
        uint64_t d = wal_durable(b.w);
        disk_crash(&b.d, r);
        bad = check_crash(&b, d, &ticket);
        if (bad == NULL)
            bench_resume(&b, (uint64_t) ticket);
    }
    bench_random_life(&b, r, 100 + rng_below(r, 300));
    if (at_rest)
        disk_settle(&b.d, b.w);
    uint64_t durable = wal_durable(b.w);
    disk_crash(&b.d, r);
    if (bad == NULL)
        bad = check_crash(&b, durable, &ticket);
    unsigned n = b.replay.batches > 0 && !at_rest ? b.replay.batches - 1 : b.replay.batches;
    if (bad == NULL && n > 0) {
        struct wal_frame f = b.replay.frame[rng_below(r, 3) ? rng_below(r, n) : n - 1];
        bool whole = kind == D_SEGMENT || kind == D_HALF_SEGMENT;
        if (!at_rest && whole && f.at.epoch == b.replay.frame[n].at.epoch)
            kind = D_FLIP_HEADER;       /* the newest may not have its record yet */
        do_damage(&b, kind, &f, r);
        bad = check_damaged(&b, kind, at_rest, durable, &ticket);
        if (bad == NULL && ticket >= 0)
            bad = after_repair(&b, kind, ticket, r);
    }
    bench_free(&b);
    return bad;
}

#endif
