/*
 * level.c - the state's level (region.h G6): every member tells what its program knows; whoever leads raises the state when all
 * know the next
 *
 * News (ring_int.h): u8 NEWS_LEVEL | u8 1 | u32 level, told by everybody once a second. A program that says nothing is older than
 * levels. So a ring is upgraded member by member, in any order, and changes its form when the last one is there; a member whose
 * program is older than the state does not start.
 */
#include "backend/ring/driver_int.h"

#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define HEARD_MS 10000

void level_heard(struct ring *r, uint32_t from, struct rd *in)
{
    const struct raft_conf *conf = core_conf(r->prop.core);
    uint8_t version = rd_u8(in);
    uint32_t level = rd_u32(in);
    for (unsigned i = 0; i < conf->n && version == 1 && !in->bad; i++)
        if (conf->m[i].id == from)
            r->known[i] = (struct known_level){ from, level, clock_mono().ms };
}

static void tell(struct ring *r)
{
    uint8_t mem[6];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u8(&w, NEWS_LEVEL);
    wr_u8(&w, 1);
    wr_u32(&w, region_level_max);
    core_tell(r->prop.core, wr_slice(&w));
}

/* What all members know; 0 while one of them has not said so lately. */
static uint32_t known_to_all(const struct ring *r)
{
    const struct raft_conf *conf = core_conf(r->prop.core);
    int64_t since = clock_mono().ms - HEARD_MS;
    uint32_t level = region_level_max;
    for (unsigned i = 0; i < conf->n; i++) {
        const struct known_level *k = &r->known[i];
        if (conf->m[i].id == core_id(r->prop.core))
            continue;
        if (k->id != conf->m[i].id || k->heard_ms < since)
            return 0;
        if (k->level < level)
            level = k->level;
    }
    return level;
}

/* Proposed again every second until it is there; a second one finds nothing to do. */
void level_run(struct ring *r, struct ring_view *v)
{
    uint8_t mem[6];
    struct wr w = wr_fixed(mem, sizeof mem);
    uint32_t now, to = known_to_all(r);
    if (core_conf(r->prop.core)->n > 1)
        tell(r);
    if (!r->prop.leads || region_level(&v->region, &now) != REEVE_OK || now >= to)
        return;
    wr_u8(&w, 1);
    wr_u8(&w, RC_LEVEL);
    wr_u32(&w, to);
    if (ring_propose(&r->prop, wr_slice(&w), NULL, NULL) == REEVE_OK)
        log_info("all members know level %u of the state: it is raised from %u", to, now);
}

enum reeve_err level_check(struct storage *store, struct report *rep)
{
    struct storage_txn *t;
    uint32_t level;
    enum reeve_err err = storage_begin(store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return report_set(rep, err, "could not read the store (%s)", reeve_err_text(err));
    struct region region = { .kv = storage_kv(t) };
    err = region_level(&region, &level);
    storage_abort(t);
    if (err != REEVE_OK || level <= region_level_max)
        return err;
    report_set(rep, REEVE_E_WRONG_STATE, "the region's state is of level %u, and this program knows %u", level, region_level_max);
    return report_hint(rep, "Other members have newer programs: use theirs here, too.");
}
