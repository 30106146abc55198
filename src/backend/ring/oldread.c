/*
 * oldread.c - who reads an old state of the store for long is ended
 *
 * While a snapshot lives no page that later changes free is used again (storage.h, L3): a backend that stands still inside one
 * would in the end fill the map, and nobody could change anything. So its statement is canceled after snapshot_timeout, as a
 * standby of PostgreSQL does with who holds up its replay; who does not hear that is killed. The postmaster does it, which
 * knows its children; what is none of them (a backup) is named in the log and left alone. A snapshot of the newest
 * state costs nothing, however old it is.
 */
#include "backend/ring/ring_int.h"

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "backend/utils/settings.h"

#define LOOK_MS       1000
#define GRACE_MS      5000              /* from the cancel to the kill */
#define TIGHT_BYTES   (64u << 20)       /* less room than this, or a sixteenth of the map: nobody is waited for long */
#define TIGHT_MS      1000

static const struct old_read *known(const struct old_read *old, unsigned n, const struct storage_reader *now)
{
    for (unsigned i = 0; i < n; i++)
        if (old[i].pid == now->pid && old[i].txn == now->txn)
            return &old[i];
    return NULL;
}

static enum old_verdict judge(struct old_read *o, int64_t now_ms, int64_t patience_ms, int64_t grace_ms)
{
    if (o->said == OLD_LET && now_ms - o->since_ms >= patience_ms) {
        o->said = OLD_CANCEL;
        o->said_ms = now_ms;
        return OLD_CANCEL;
    }
    if (o->said == OLD_CANCEL && now_ms - o->said_ms >= grace_ms) {
        o->said = OLD_KILL;
        return OLD_KILL;
    }
    return OLD_LET;
}

void old_reads_look(struct old_reads *o, const struct storage_reader *now, unsigned n, int64_t now_ms, bool tight,
                    int64_t patience_ms, old_read_fn *fn, void *arg)
{
    struct old_reads was = *o;
    int64_t grace_ms = tight ? TIGHT_MS : GRACE_MS;
    if (tight && patience_ms > TIGHT_MS)
        patience_ms = TIGHT_MS;
    o->n = 0;
    for (unsigned i = 0; i < n && i < OLD_READS_MAX; i++) {
        const struct old_read *k = known(was.r, was.n, &now[i]);
        struct old_read *r = &o->r[o->n++];
        *r = k ? *k : (struct old_read){ .pid = now[i].pid, .txn = now[i].txn, .since_ms = now_ms, .said = OLD_LET };
        enum old_verdict v = judge(r, now_ms, patience_ms, grace_ms);
        if (v != OLD_LET)
            fn(arg, r, v);
    }
}

/* The postmaster says in the log what it did. */
static void tell(void *arg, const struct old_read *o, enum old_verdict v)
{
    struct ring *r = arg;
    uint8_t mem[9];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u32(&w, (uint32_t) o->pid);
    wr_u8(&w, (uint8_t) v);
    wr_u32(&w, (uint32_t) ((clock_mono().ms - o->since_ms) / 1000));
    if (ipc_send(r->child->postmaster, MSG_OLD_SNAPSHOT, wr_slice(&w), -1) != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "process %d keeps an old state of the store, and the postmaster cannot be told", o->pid);
}

static bool is_tight(struct ring *r)
{
    uint64_t part = (uint64_t) settings_int(r->child->settings, SET_lmdb_map_size) / 16;
    return storage_room(r->store, part < TIGHT_BYTES ? part : TIGHT_BYTES) != REEVE_OK;
}

void old_reads_run(void *arg)
{
    struct ring *r = arg;
    struct storage_reader now[OLD_READS_MAX];
    unsigned n = storage_readers_behind(r->store, now, OLD_READS_MAX);
    if (n > 0 && storage_reader_check(r->store) > 0)        /* the dead keep nothing any more */
        n = storage_readers_behind(r->store, now, OLD_READS_MAX);
    old_reads_look(&r->old, now, n, clock_mono().ms, n > 0 && is_tight(r), settings_int(r->child->settings, SET_snapshot_timeout),
                   tell, r);
    if (loop_timer_in(r->loop, &r->old_timer, LOOK_MS, old_reads_run, r) != REEVE_OK)
        log_error("no timer for old snapshots");
}
