/*
 * raft_astray.c - one write that its disk reports as done and that went nowhere, or to another place
 *
 * As it happens: what stood there stays, the member acknowledges its batch and goes on, and what it promised is met again at a
 * restart. That has to be noticed as soon as a record tells of the batch. Before, nobody can tell such a write from a torn one
 * (engine/wal.h: "What this cannot tell"), and the batch was acknowledged; so a member that dies in that time finds the bytes
 * where they belong after all. Everything else is as the disk left it.
 */
#include "raft_int.h"

#include <stdlib.h>

static void forget(struct astray *a)
{
    free(a->bytes);
    free(a->before);
    *a = (struct astray){ 0 };
}

void astray_free(struct node *n) { forget(&n->astray); }

void astray_arm(struct node *n, bool lost)
{
    n->astray = (struct astray){ .armed = true, .lost = lost, .was_damaged = n->was_damaged };
    atlas_mark_damaged(n);
}

static uint8_t *copy(struct slice s)
{
    uint8_t *p = malloc(s.len + 1);
    reeve_assert(p != NULL);
    memcpy(p, s.p, s.len);
    return p;
}

/* The log's write that is about to go astray, perhaps: with it, what the file was before. */
static void remember(struct node *n, const char *name, const struct wal_effect *f)
{
    struct astray *a = &n->astray;
    struct slice file = { 0 };
    reeve_assert(sim_disk_read(&n->disk, name, &file) && a->bytes == NULL && f->data.len >= WAL_HEADER_LEN);
    snprintf(a->name, sizeof a->name, "%s", name);
    a->off = f->offset;
    a->len = f->data.len;
    a->bytes = copy(f->data);
    a->before = copy(file);
    a->before_len = file.len;
    struct rd r = rd_of(slice_of(f->data.p + 24, 8));
    a->seq = rd_u64(&r);
}

void astray_write(struct node *n, const char *name, const struct wal_effect *f)
{
    struct astray *a = &n->astray;
    if (!a->armed || a->happened)
        return;
    /* One that is under way already was not remembered. */
    if (!n->disk.damage && (f->lane == WAL_LANE_LOG || !n->wal.log_writes)) {
        n->disk.damage = true;
        n->disk.p.lost_ppm = a->lost ? 1000000 : 0;
        n->disk.p.misdirected_ppm = a->lost ? 0 : 1000000;
        a->faults = n->disk.n_faults;
    }
    if (n->disk.damage && f->lane == WAL_LANE_LOG)
        remember(n, name, f);
}

/* The first write that completes is the one. */
void astray_done(struct node *n, enum wal_lane lane)
{
    struct astray *a = &n->astray;
    if (!a->armed || a->happened || !n->disk.damage || n->disk.n_faults == a->faults)
        return;
    n->disk.damage = false;
    n->disk.p.lost_ppm = n->disk.p.misdirected_ppm = 0;
    a->happened = true;
    a->of_log = lane == WAL_LANE_LOG;
    n->damage_commit = n->rig->committed;
    n->rig->n_astray++;
}

/* Has nobody written down yet that there was such a batch? */
static bool unknown(const struct node *n)
{
    const struct astray *a = &n->astray;
    struct wal_status s;
    if (!a->happened || !a->of_log || n->wal.w == NULL)
        return false;
    wal_status(n->wal.w, &s);
    return s.recorded < a->seq;
}

static void put_back(struct node *n, uint64_t off, const uint8_t *bytes, size_t len)
{
    bool there = sim_disk_overwrite(&n->disk, n->astray.name, off, slice_of(bytes, len));
    reeve_assert(there);
}

/* Where the bytes went, they may have covered another batch that nobody has written down; it comes back with them. */
static void undo(struct node *n)
{
    struct astray *a = &n->astray;
    struct slice s;
    reeve_assert(sim_disk_read(&n->disk, a->name, &s));
    for (uint64_t at = 0; at + a->len <= s.len && at + a->len <= a->before_len; at += WAL_BLOCK)
        if (at != a->off && memcmp(s.p + at, a->bytes, a->len) == 0) {
            put_back(n, at, a->before + at, a->len);
            break;
        }
    put_back(n, a->off, a->bytes, a->len);
}

bool astray_ends(struct node *n)
{
    bool back = unknown(n);
    n->disk.damage = false;
    n->disk.p.lost_ppm = n->disk.p.misdirected_ppm = 0;
    if (n->astray.armed && !n->astray.happened)
        atlas_unmark(n, n->astray.was_damaged);         /* nothing of it came about */
    return back;
}

void astray_settle(struct node *n, bool back)
{
    if (back) {
        undo(n);
        atlas_unmark(n, n->astray.was_damaged);
        n->rig->n_taken_back++;
    }
    forget(&n->astray);
}
