/*
 * snapshot.c - a state in chunks, for who is behind the window
 *
 * One chunk is under way at a time; the receiver says how much it holds, so a
 * broken connection costs one chunk. A transfer is named by (sender, id,
 * index): another name begins anew. The entries behind the snapshot leave the
 * window while the transfer runs; where the host keeps them (kept.c) it goes on
 * whatever the window does. What is not kept either makes a transfer be given
 * up for a newer snapshot at once.
 */
#include "raft_int.h"

/* ---- sending ---- */

static bool waited(const struct raft *r, const struct progress *p)
{
    return r->now.ms - p->snap.at.ms >= (int64_t) r->c.election_ms;
}

void raft_snapshot_want(struct raft *r, struct progress *p, struct raft_effects *out)
{
    p->state = SNAPSHOT;
    p->flight_n = 0;
    p->flight_bytes = 0;
    p->snap.have = false;
    p->snap.at = r->now;
    struct raft_effect *f = raft_emit(out, RAFT_F_SNAP_NEED);
    f->peer = p->id;
    f->index = raft_kept_first(r) - 1;
}

static void send_chunk(struct raft *r, struct progress *p, struct raft_effects *out)
{
    struct raft_msg *m = raft_emit_msg(r, out, RAFT_M_SNAPSHOT, p->id, 0);
    struct raft_effect *f = &out->e[out->n - 1];
    f->type = RAFT_F_SNAP_READ;
    m->snap = p->snap.id;
    m->index = p->snap.index;
    m->log_term = p->snap.term;
    m->size = p->snap.size;
    m->offset = p->snap.offset;
    m->conf = slice_of(p->snap.conf, p->snap.conf_len);
    p->snap.at = r->now;
}

static bool outrun(const struct raft *r, const struct progress *p)
{
    return p->snap.have && p->snap.index + 1 < raft_kept_first(r);
}

void raft_on_snap_ready(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_progress_of(r, e->peer) : NULL;
    struct raft_conf c;
    if (p == NULL || p->state != SNAPSHOT || e->snap.index + 1 < raft_kept_first(r) || e->snap.index > r->commit ||
        e->snap.conf.len > RAFT_CONF_BYTES_MAX || raft_conf_decode(&c, e->snap.conf) != REEVE_OK)
        return;
    if (p->snap.id != e->snap.id || p->snap.index != e->snap.index)
        p->snap.offset = 0;
    raft_climb_begin(r, p);
    p->snap.have = true;
    p->snap.id = e->snap.id;
    p->snap.index = e->snap.index;
    p->snap.term = e->snap.term;
    p->snap.size = e->snap.size;
    p->snap.conf_len = (uint16_t) e->snap.conf.len;
    memcpy(p->snap.conf, e->snap.conf.p, e->snap.conf.len);
    send_chunk(r, p, out);
}

void raft_on_snap_gone(struct raft *r, uint32_t peer, struct raft_effects *out)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_progress_of(r, peer) : NULL;
    if (p && p->state == SNAPSHOT)
        raft_snapshot_want(r, p, out);
}

void raft_snapshot_resend(struct raft *r, struct progress *p, struct raft_effects *out)
{
    if (outrun(r, p) || (!p->snap.have && waited(r, p)))
        raft_snapshot_want(r, p, out);
    else if (p->snap.have && waited(r, p))
        send_chunk(r, p, out);
}

void raft_on_snapshot_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_progress_of(r, m->from) : NULL;
    if (p == NULL)
        return;
    p->heard = r->now;
    if (p->state != SNAPSHOT || !p->snap.have || p->snap.id != m->snap || p->snap.index != m->index)
        return;
    if (m->flags & RAFT_MF_REJECT) {    /* it could not be installed: another one, after a while */
        p->snap.have = false;
        p->snap.at = r->now;
        return;
    }
    bool moved = m->offset != p->snap.offset;
    p->snap.offset = min_u64(m->offset, p->snap.size);
    if (moved)
        raft_climb_moved(r, p, 0);
    if (outrun(r, p))
        raft_snapshot_want(r, p, out);
    else if (moved && p->snap.offset < p->snap.size)
        send_chunk(r, p, out);
}

void raft_snapshot_done(struct raft *r, struct progress *p, struct raft_effects *out)
{
    p->snap.have = false;
    raft_emit(out, RAFT_F_SNAP_DONE)->peer = p->id;
    raft_progress_probe(p, p->match + 1);
    raft_climb_begin(r, p);
}

/* ---- receiving ---- */

static void reply(struct raft *r, uint32_t to, uint64_t id, uint64_t index, uint64_t offset, uint8_t flags,
                  struct raft_effects *out)
{
    struct raft_msg *a = raft_emit_msg(r, out, RAFT_M_SNAPSHOT_REPLY, to, 0);
    a->snap = id;
    a->index = index;
    a->offset = offset;
    a->flags = (uint8_t) (flags | raft_repair_flags(r));
}

static void begin(struct raft *r, const struct raft_msg *m)
{
    r->in.have = true;
    r->in.from = m->from;
    r->in.id = m->snap;
    r->in.index = m->index;
    r->in.term = m->log_term;
    r->in.size = m->size;
    r->in.offset = 0;
    r->in.conf_len = (uint16_t) m->conf.len;
    memcpy(r->in.conf, m->conf.p, m->conf.len);
}

static bool same_transfer(const struct raft *r, const struct raft_msg *m)
{
    return r->in.have && r->in.from == m->from && r->in.id == m->snap && r->in.index == m->index && r->in.size == m->size &&
           r->in.term == m->log_term;
}

static void install_if_whole(struct raft *r, struct raft_effects *out)
{
    if (r->in.offset < r->in.size || r->in.asked)
        return;
    r->in.asked = true;
    raft_emit(out, RAFT_F_SNAP_INSTALL)->snap = (struct raft_snap){ .id = r->in.id, .index = r->in.index, .term = r->in.term,
        .size = r->in.size, .conf = slice_of(r->in.conf, r->in.conf_len) };
}

static void held_already(struct raft *r, uint32_t to, struct raft_effects *out)
{
    struct raft_msg *a = raft_emit_msg(r, out, RAFT_M_APPEND_REPLY, to, raft_append_after_index(r, r->commit));
    a->index = r->commit;
    a->flags = raft_repair_flags(r);
}

void raft_on_snapshot(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    struct raft_conf c;
    raft_follow_heard(r, m->from);
    if (m->conf.len > RAFT_CONF_BYTES_MAX || raft_conf_decode(&c, m->conf) != REEVE_OK || m->offset + m->data.len > m->size) {
        r->dropped++;
        return;
    }
    if (m->index <= r->commit) {
        held_already(r, m->from, out);
        return;
    }
    if (r->in.asked)
        return;                         /* busy installing; the answer comes when that is done */
    if (!same_transfer(r, m))
        begin(r, m);
    if (m->offset == r->in.offset && m->data.len > 0) {
        struct raft_effect *f = raft_emit(out, RAFT_F_SNAP_CHUNK);
        f->peer = m->from;
        f->msg = *m;
        return;                         /* answered when it is stored */
    }
    reply(r, m->from, m->snap, m->index, r->in.offset, 0, out);
    install_if_whole(r, out);
}

void raft_on_snap_stored(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    if (!r->in.have || r->in.asked || e->snap.id != r->in.id || e->offset > r->in.size)
        return;
    r->in.offset = e->offset;
    if (r->role == RAFT_FOLLOWER && r->leader == r->in.from)
        reply(r, r->in.from, r->in.id, r->in.index, r->in.offset, 0, out);
    install_if_whole(r, out);
}

/* A log that holds (index, term) agrees with the snapshot and may go on after it (section 5; scenario 38). */
static bool log_fits(const struct raft *r, uint64_t index, uint64_t term)
{
    if (RAFT_BROKEN(SNAPSHOT_KEEPS_LOG) && index <= log_last(r))
        return true;
    return log_has_term(r, index) && log_term(r, index) == term;
}

void raft_on_snap_installed(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    struct raft_conf c;
    if (!r->in.asked || e->snap.index != r->in.index)
        return;
    r->in.asked = r->in.have = false;
    enum reeve_err err = raft_conf_decode(&c, slice_of(r->in.conf, r->in.conf_len));
    reeve_assert(err == REEVE_OK && r->in.index > r->commit);      /* checked as it came; nothing is taken meanwhile */
    if (log_fits(r, r->in.index, r->in.term))
        r->durable = max_u64(r->durable, r->in.index);
    else
        raft_append_reset(r, r->in.index, r->in.term);
    r->commit = r->in.index;
    raft_conf_install(r, r->in.index, &c);
    if (r->role == RAFT_FOLLOWER && r->leader)
        held_already(r, r->leader, out);
}

void raft_on_snap_failed(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    if (!r->in.have || e->snap.id != r->in.id)
        return;
    if (r->role == RAFT_FOLLOWER && r->leader == r->in.from)
        reply(r, r->in.from, r->in.id, r->in.index, 0, RAFT_MF_REJECT, out);
    r->in.have = r->in.asked = false;
}
