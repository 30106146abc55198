/*
 * sys_ring.c - sys.issues and sys.ring_members
 *
 * By these one looks why the ring does not answer, so neither waits for it:
 * they read what this server has, and ask its own ring process, for a second
 * at most, what it knows beyond that.
 */
#include "cat_int.h"

#include "backend/ring/ring.h"

#define NOW_MS_MAX 1000
#define LEADERLESS_MS 2000

/* What the ring process knows of the members now: how far each is, as the leader sees it, and tells the others once a second. */
struct member_now { uint32_t id, heard_ms; uint64_t match; bool linked, snapshot, behind; };
struct ring_now {
    bool answers;
    uint32_t leader, leaderless_ms;
    uint64_t term, last;                /* of the leader's log; 0: not known */
    uint8_t disk;
    bool quarantined;                   /* this server's own */
    unsigned n;
    struct member_now m[RAFT_MEMBERS_MAX];
};

static void decode_now(struct rd *r, struct ring_now *out)
{
    out->leader = rd_u32(r);
    out->term = rd_u64(r);
    rd_u64(r);
    out->leaderless_ms = rd_u32(r);
    out->disk = rd_u8(r);
    unsigned n = rd_u16(r);
    for (unsigned i = 0; i < n && i < RAFT_MEMBERS_MAX && !r->bad; i++) {
        struct member_now *m = &out->m[out->n++];
        m->id = rd_u32(r);
        m->match = rd_u64(r);
        m->heard_ms = rd_u32(r);
        m->linked = rd_u8(r) != 0;
        m->snapshot = rd_u8(r) != 0;
        m->behind = rd_u8(r) != 0;
    }
    out->quarantined = rd_u8(r) != 0;
    out->last = rd_u64(r);
    out->answers = !r->bad;
}

static enum reeve_err read_now(struct vscan *s, struct ring_now *out)
{
    struct report rep = { .code = REEVE_OK };
    struct wr reply = wr_heap(1 << 16);
    *out = (struct ring_now){ 0 };
    enum reeve_err err = ring_ask(s->session, MSG_RING_STATUS, NOW_MS_MAX, &reply, &rep);
    struct rd r = rd_of(wr_slice(&reply));
    if (err == REEVE_OK)
        decode_now(&r, out);
    wr_free(&reply);
    if (err == REEVE_E_CANCELED || err == REEVE_E_SHUTDOWN || err == REEVE_E_TIMEOUT || err == REEVE_E_SNAPSHOT_OLD)
        return report_set(s->report, err, "%s", rep.message[0] ? rep.message : reeve_err_text(err));
    return REEVE_OK;                    /* without the ring process its members are shown all the same */
}

/* ---- issues: empty when healthy ---- */

static const struct vcolumn issues_columns[] = {
    { "issue_id", T_INT8, true }, { "severity", T_TEXT, true }, { "kind", T_TEXT, true }, { "object", T_TEXT, true },
    { "since", T_TIMESTAMPTZ, true }, { "message", T_TEXT, true }, { "hint", T_TEXT, true },
};

/* What nobody can write down at the moment; numbers below zero, the same ones each time. */
static enum reeve_err issue_here(struct vscan *s, int id, const char *kind, struct datum object, int64_t ms, struct datum message,
                                 const char *hint)
{
    struct wall_ms since = { session_wall_now().ms - ms };
    struct datum v[] = { d_int(id), d_str("critical"), d_str(kind), object, d_wall(since), message, d_str(hint) };
    return vscan_row(s, v);
}

/* Of this server: what its store cannot be told any more. */
static enum reeve_err issues_own(struct vscan *s, struct cat *c, const struct ring_now *now, const struct name *region)
{
    enum reeve_err err = REEVE_OK;
    struct ring_members *m = now->quarantined || now->disk == RING_DISK_FULL ? cat_alloc(c, sizeof *m, &err) : NULL;
    if (m == NULL)
        return err;
    TRY(ring_members_read(&c->sn.kv, m));
    struct datum self = d_fmt(s, "%s-%u", region->s, m->self);
    if (now->disk == RING_DISK_FULL)
        TRY(issue_here(s, -2, "disk_full", self, 0, d_str("this server has no room for changes"),
                       "Free space on its disk, or raise lmdb_map_size; writing then goes on by itself."));
    if (now->quarantined)
        TRY(issue_here(s, -4, "member_quarantined", self, 0, d_str("this server's state is not the ring's: it serves nothing and does not start again"),
                       "ALTER RING ... DROP MEMBER at another member, then reeve-ctl join with an empty directory."));
out:
    return err;
}

static enum reeve_err issues_here(struct vscan *s, struct cat *c, const struct ring_now *now)
{
    struct name region;
    enum reeve_err err;
    TRY(region_name(&c->sn.region, &region));
    if (!now->answers) {
        err = issue_here(s, -3, "ring_silent", d_name(&region), 0, d_str("this server's ring process does not answer"),
                         "Look into its log. Changes wait for it, and reads unless read_consistency is local.");
        goto out;
    }
    if (now->leaderless_ms >= LEADERLESS_MS)
        TRY(issue_here(s, -1, "no_quorum", d_name(&region), now->leaderless_ms,
                       d_fmt(s, "no leader for %u s: changes and linearizable reads are refused here", now->leaderless_ms / 1000),
                       "SHOW MEMBERS tells who is away: start them. SET read_consistency = local reads what this server has."));
    err = issues_own(s, c, now, &region);
out:
    return err;
}

static enum reeve_err scan_issues(struct vscan *s)
{
    static const char *const severities[] = { "?", "info", "warning", "critical" };
    struct ring_now now;
    struct cat c;
    uint64_t id = 0;
    enum reeve_err err = read_now(s, &now);
    if (err == REEVE_OK)
        err = cat_open_local(&c, s);
    if (err != REEVE_OK)
        return err;
    TRY(issues_here(s, &c, &now));
    struct issue_row *row = cat_alloc(&c, sizeof *row, &err);
    while (row != NULL && (err = region_issue_next(&c.sn.region, &id, row)) == REEVE_OK) {
        struct datum v[] = { d_int((int64_t) id), d_str(row->severity < 4 ? severities[row->severity] : "?"), d_name(&row->kind),
                             d_name(&row->object), d_wall(row->since), d_str(row->message), row->hint[0] ? d_str(row->hint) : d_null() };
        TRY(vscan_row(s, v));
    }
out:
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_issues, "sys", "issues", issues_columns, VKEY_NONE, scan_issues, NULL);

/* ---- members ---- */

static const struct vcolumn members_columns[] = {
    { "region", T_TEXT, true }, { "member", T_TEXT, true }, { "role", T_TEXT, true }, { "match_index", T_INT8, true },
    { "lag", T_INT8, true }, { "state", T_TEXT, true }, { "disk", T_TEXT, true }, { "address", T_TEXT, false },
    { "linked", T_BOOL, false }, { "last_contact", T_TIMESTAMPTZ, false }, { "term", T_INT8, false },
    { "signing_key", T_TEXT, false }, { "intermediates", T_INT4, false },
};

/* One scan: who is in the ring, and how each is. */
struct members {
    struct name region;
    struct ring_members ring;
    struct ring_now now;
    bool slow[RAFT_MEMBERS_MAX], quarantined[RAFT_MEMBERS_MAX];     /* as sys.issues says */
    struct region_doc keys;             /* as attested */
    int inters[RAFT_MEMBERS_MAX];       /* authorities' generations that it can issue leaves under by itself */
    struct authority_doc authority;     /* decoded one by one */
};

static const char *role_of(const struct raft_member *m, const struct ring_now *now)
{
    return m->id == now->leader ? "leader" : m->role & RAFT_VOTER ? "voter" : m->role & RAFT_LEARNER ? "learner" : "leaving";
}

static const struct member_now *now_of(const struct ring_now *now, uint32_t id)
{
    for (unsigned i = 0; i < now->n; i++)
        if (now->m[i].id == id)
            return &now->m[i];
    return NULL;
}

/* Of its own quarantine a server's store says nothing. */
static const char *state_of(const struct members *x, unsigned i, const struct member_now *m)
{
    if (x->quarantined[i] || (x->now.quarantined && m->id == x->ring.self))
        return "quarantined";
    return !m->linked ? "away" : m->snapshot ? "snapshot" : m->behind ? "behind" : "up";
}

/* Its own disk a server knows; of another's it knows that nothing was said against it. */
static const char *disk_of(const struct members *x, unsigned i)
{
    if (x->ring.conf.m[i].id == x->ring.self && x->now.disk != RING_DISK_OK)
        return x->now.disk == RING_DISK_FULL ? "full" : "slow";
    return x->slow[i] ? "slow" : "ok";
}

/* Who made the ring signs with the region's own key; the others with theirs, once it is attested. */
static struct datum signing_key(struct vscan *s, struct members *x, uint32_t id)
{
    const struct region_member *m = region_member_find(&x->keys, id);
    return m ? d_hex(s, m->key.b, 32) : id == 1 ? d_hex(s, x->keys.key.b, 32) : d_null();
}

static enum reeve_err member_row(struct vscan *s, struct members *x, unsigned i)
{
    struct datum match = d_null(), lag = d_null(), state = d_null(), disk = d_null(), linked = d_null(), heard = d_null();
    const struct raft_member *m = &x->ring.conf.m[i];
    const struct member_now *n = now_of(&x->now, m->id);
    const char *end = memchr(m->addr, '#', m->addr_len);
    if (n != NULL) {
        linked = d_bool(n->linked);
        state = d_str(state_of(x, i, n));
        if (n->linked)
            disk = d_str(disk_of(x, i));
        if (n->match > 0)
            match = d_int((int64_t) n->match);
        if (n->match > 0 && x->now.last > 0)
            lag = d_int(x->now.last > n->match ? (int64_t) (x->now.last - n->match) : 0);
        if (n->heard_ms != UINT32_MAX)
            heard = d_wall((struct wall_ms){ session_wall_now().ms - n->heard_ms });
    }
    struct datum v[] = { d_name(&x->region), d_fmt(s, "%s-%u", x->region.s, m->id), d_str(role_of(m, &x->now)), match, lag, state, disk,
                         d_fmt(s, "%.*s", (int) (end ? end - m->addr : m->addr_len), m->addr), linked, heard,
                         x->now.answers ? d_int((int64_t) x->now.term) : d_null(), signing_key(s, x, m->id), d_int(x->inters[i]) };
    return vscan_row(s, v);
}

static void note_issue(struct members *x, const struct issue_row *row)
{
    char text[NAME_MAX_LEN + 16];
    for (unsigned i = 0; i < x->ring.conf.n; i++) {
        snprintf(text, sizeof text, "%s-%u", x->region.s, x->ring.conf.m[i].id);
        if (strcmp(row->object.s, text) != 0)
            continue;
        x->slow[i] |= strcmp(row->kind.s, "disk_slow") == 0;
        x->quarantined[i] |= strcmp(row->kind.s, "member_quarantined") == 0;
    }
}

static enum reeve_err read_issues(struct cat *c, struct members *x)
{
    uint64_t id = 0;
    enum reeve_err err;
    struct issue_row *row = cat_alloc(c, sizeof *row, &err);
    while (row != NULL && (err = region_issue_next(&c->sn.region, &id, row)) == REEVE_OK)
        note_issue(x, row);
    return cat_end(err);
}

static enum reeve_err read_keys(struct cat *c, struct members *x)
{
    struct name after = { 0 };
    enum reeve_err err;
    if (attest_get(&c->sn.attest, AT_REGION, &x->region, c->o) == REEVE_OK)
        TRY(region_doc_decode(&x->keys, c->o->update.payload));
    while ((err = cat_next_object(c, AT_AUTHORITY, &after)) == REEVE_OK) {
        TRY(authority_doc_decode(&x->authority, c->o->update.payload));
        for (uint8_t i = 0; i < x->authority.n_inter; i++)
            for (unsigned m = 0; m < x->ring.conf.n; m++)
                x->inters[m] += x->ring.conf.m[m].id == x->authority.inter[i].member;
    }
out:
    return cat_end(err);
}

static enum reeve_err scan_members(struct vscan *s)
{
    struct cat c;
    struct members *x = arena_alloc(s->arena, sizeof *x);
    enum reeve_err err;
    if (x == NULL)
        return report_set(s->report, REEVE_E_NOMEM, "out of memory");
    memset(x, 0, sizeof *x);
    err = read_now(s, &x->now);
    if (err == REEVE_OK)
        err = cat_open_local(&c, s);
    if (err != REEVE_OK)
        return err;
    TRY(region_name(&c.sn.region, &x->region));
    TRY(ring_members_read(&c.sn.kv, &x->ring));
    TRY(read_issues(&c, x));
    TRY(read_keys(&c, x));
    for (unsigned i = 0; i < x->ring.conf.n && err == REEVE_OK; i++)
        err = member_row(s, x, i);
out:
    cat_close(&c);
    return err;
}
RELATION(sys_ring_members, "sys", "ring_members", members_columns, VKEY_NONE, scan_members, NULL);
