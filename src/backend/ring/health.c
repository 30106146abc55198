/*
 * health.c - how the ring's members are: what somebody who looks is told, and what is an issue
 *
 * An issue is a row that all members have, so it can be raised only while there
 * is a quorum: the leader says who is away or behind, every member says that its
 * own disk is slow. What keeps rows from being written (no leader, no room) is
 * told by RING_STATUS alone, and sys.issues makes a row of it where it is read.
 * A member in quarantine proposes nothing either: it tells the others so, once
 * a second, for whichever of them leads to write down.
 */
#include "backend/ring/driver_int.h"
#include "backend/ring/ring.h"

#include <stdio.h>

#include "backend/utils/clock.h"

#define AWAY_MS   5000                  /* a restart takes less */
#define BEHIND_MS 10000
#define SLOW_KEEP_MS 30000              /* a slow disk is not always slow when it is looked at */

bool member_linked(struct core *core, uint32_t id)
{
    struct peer_status s[2 * RAFT_MEMBERS_MAX];
    size_t n = core_peers(core) ? peers_status(core_peers(core), s, 2 * RAFT_MEMBERS_MAX) : 0;
    for (size_t i = 0; i < n; i++)
        if (s[i].id == id && s[i].purpose == PEER_LOG)
            return s[i].state == PEER_L_UP;
    return id == core_id(core);
}

/* ---- marks: how late a member is, without knowing when an entry was made ---- */

bool watch_behind(struct watch *w, uint32_t id, int64_t now_ms, uint64_t last, uint64_t match)
{
    if (w->id != id || w->mark_ms == 0)
        *w = (struct watch){ .id = id, .linked_ms = now_ms, .mark = last, .mark_ms = now_ms };
    bool late = now_ms - w->mark_ms > BEHIND_MS;
    if (match < w->mark) {
        w->behind |= late;
        return w->behind;
    }
    w->behind = late;
    w->mark = last;
    w->mark_ms = now_ms;
    return w->behind;
}

/* Since when, by place in the configuration; another id begins anew. The link's own time is that of its last try. */
static bool is_away(struct ring *r, struct watch *w, uint32_t id)
{
    int64_t now = clock_mono().ms;
    if (w->id != id)
        *w = (struct watch){ .id = id, .linked_ms = now };
    if (member_linked(r->prop.core, id))
        w->linked_ms = now;
    return now - w->linked_ms > AWAY_MS;
}

/* ---- this member's disk ---- */

static enum ring_disk own_disk(struct ring *r, const struct core_status *st)
{
    int64_t now = clock_mono().ms;
    if (st->member.raft.disk_slow)
        r->disk_slow_ms = now;
    if (st->stalled != REEVE_OK || st->wal_full || storage_room(r->store, STORAGE_RESERVE) == REEVE_E_DISK_FULL)
        return RING_DISK_FULL;
    return r->disk_slow_ms != 0 && now - r->disk_slow_ms < SLOW_KEEP_MS ? RING_DISK_SLOW : RING_DISK_OK;
}

/* ---- looking in ---- */

struct progress_of progress_here(struct ring *r, const struct core_status *st, unsigned place, uint32_t id)
{
    struct raft_peer_status p = { .match = 0 };
    bool self = id == core_id(r->prop.core), known = core_peer_status(r->prop.core, id, &p);
    int64_t heard = known && !self && p.heard.ms > 0 ? clock_mono().ms - p.heard.ms : -1;
    return (struct progress_of){
        .id = id, .match = self ? st->member.raft.durable : known ? p.match : 0,
        .heard_ms = heard < 0 || heard > INT32_MAX ? UINT32_MAX : (uint32_t) heard, .snapshot = known && !self && p.state == 3,
        .behind = known && r->watch[place].id == id && r->watch[place].behind,
    };
}

/* told: the leader's word; NULL: there is none. */
static void put_member(struct ring *r, const struct core_status *st, const struct progress *told, unsigned place, uint32_t id, struct wr *out)
{
    struct progress_of m;
    if (id == core_id(r->prop.core) || told == NULL || !progress_find(told, id, clock_mono().ms, &m))
        m = progress_here(r, st, place, id);
    wr_u32(out, id);
    wr_u64(out, m.match);
    wr_u32(out, m.heard_ms);
    wr_u8(out, member_linked(r->prop.core, id));
    wr_u8(out, m.snapshot);
    wr_u8(out, m.behind);
}

void ring_status(struct ring *r, struct wr *out)
{
    const struct raft_conf *conf = core_conf(r->prop.core);
    struct core_status st;
    core_status(r->prop.core, &st);
    bool leads = st.member.raft.leader == core_id(r->prop.core);
    bool counts = !leads && progress_counts(&r->progress, st.member.raft.leader, st.member.raft.term, clock_mono().ms);
    const struct progress *told = counts ? &r->progress : NULL;
    wr_u32(out, st.member.raft.leader);
    wr_u64(out, st.member.raft.term);
    wr_u64(out, st.member.raft.last);
    wr_u32(out, st.leaderless_ms > INT32_MAX ? INT32_MAX : (uint32_t) st.leaderless_ms);
    wr_u8(out, (uint8_t) own_disk(r, &st));
    wr_u16(out, conf->n);
    for (unsigned i = 0; i < conf->n; i++)
        put_member(r, &st, told, i, conf->m[i].id, out);
    wr_u8(out, st.member.quarantined);
    wr_u64(out, leads ? st.member.raft.last : told ? told->last : 0);
}

/* ---- issues ---- */

static bool name_of(struct ring *r, uint32_t id, struct name *out)
{
    char text[NAME_MAX_LEN + 32];
    snprintf(text, sizeof text, "%.200s-%u", r->region_name.s, id);
    return name_set_str(out, text);
}

static bool placed(const struct raft_conf *conf, uint32_t id, unsigned *place)
{
    for (*place = 0; *place < conf->n; ++*place)
        if (conf->m[*place].id == id)
            return true;
    return false;
}

static void set_slow(struct ring *r, struct ring_view *v, const struct name *who, bool slow)
{
    issue_set(r, v, "disk_slow", who, slow ? 2 : 0, "a write to that member's log took longer than a second",
              "Look at its disk. A leader with such a disk gives leadership away.");
}

void quarantine_heard(struct ring *r, uint32_t from)
{
    unsigned place;
    if (placed(core_conf(r->prop.core), from, &place))
        r->odd[place] = from;
}

static void tell_quarantine(struct ring *r)
{
    static const uint8_t news = NEWS_QUARANTINE;
    core_tell(r->prop.core, slice_of(&news, 1));
}

/* It never comes back under that id: the issue ends with its membership. That this process has not heard of it says nothing. */
static void set_quarantined(struct ring *r, struct ring_view *v, const struct name *who, bool in, bool odd)
{
    if (odd || !in)
        issue_set(r, v, "member_quarantined", who, odd ? 3 : 0, "a member's state is not the ring's: it serves nothing and does not start again",
                  "ALTER RING ... DROP MEMBER, then reeve-ctl join with an empty directory. Its log and disk may tell why.");
}

void health_run(struct ring *r, struct ring_view *v)
{
    struct core_status st;
    struct name who;
    core_status(r->prop.core, &st);
    if (st.member.quarantined) {
        tell_quarantine(r);
        return;
    }
    enum ring_disk disk = own_disk(r, &st);
    if (disk != RING_DISK_FULL && name_of(r, core_id(r->prop.core), &who))
        set_slow(r, v, &who, disk == RING_DISK_SLOW);
}

static void watch_member(struct ring *r, struct ring_view *v, const struct core_status *st, uint32_t id)
{
    struct raft_peer_status p = { .match = 0 };
    struct name who;
    unsigned place;
    bool in = placed(core_conf(r->prop.core), id, &place), away = in && is_away(r, &r->watch[place], id), behind = false;
    if (!name_of(r, id, &who))
        return;
    if (in && id != core_id(r->prop.core) && core_peer_status(r->prop.core, id, &p))
        behind = watch_behind(&r->watch[place], id, clock_mono().ms, st->member.raft.last, p.match);
    issue_set(r, v, "member_away", &who, away ? 2 : 0, "a member of the ring cannot be reached",
              "Start it, or look at the network. If it is lost for good: ALTER RING ... DROP MEMBER, and join another.");
    issue_set(r, v, "member_behind", &who, behind && !away ? 2 : 0, "a member of the ring is more than 10 s behind",
              "Its disk or its network is slower than changes come. Until it has caught up it cannot stand in for another.");
    set_quarantined(r, v, &who, in, in && r->odd[place] == id);
    if (!in)
        set_slow(r, v, &who, false);
}

/* An id is never used again, so all that ever were are few. */
void members_run(struct ring *r, struct ring_view *v)
{
    struct core_status st;
    const struct raft_conf *conf = core_conf(r->prop.core);
    if (core_peers(r->prop.core) == NULL || conf->last_id < 2)
        return;
    core_status(r->prop.core, &st);
    for (uint32_t id = 1; id <= conf->last_id; id++)
        watch_member(r, v, &st, id);
}
