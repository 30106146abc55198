/*
 * repair.c - members that came back with less than they had
 *
 * REPAIR: what the log held is known, parts of it cannot be read. Its end as
 * it was (the shadow) decides votes, so nothing that this member helped to
 * commit can be lost in an election; it does not stand itself. It is over when
 * the log reaches as far again: by a leader's entries, or by its own that another
 * member gave back (FILL).
 *
 * MUTE: what was promised is not known. Votes and acknowledgements are not
 * given (they carry the mark MUTE) until a quorum of the other voters has been
 * heard in a term above the one that was found, and the log holds all that was
 * committed then.
 */
#include "raft_int.h"

uint8_t raft_repair_flags(const struct raft *r)
{
    if (r->mode == RAFT_START_MUTE && !RAFT_BROKEN(MUTE_COUNTS))
        return RAFT_MF_MUTE;
    return r->mode == RAFT_START_REPAIR ? RAFT_MF_REPAIR : 0;
}

static bool shadow_ahead(const struct raft *r)
{
    uint64_t term = log_last_term(r);
    return r->shadow_term > term || (r->shadow_term == term && r->shadow_index > log_last(r));
}

void raft_vote_position(const struct raft *r, uint64_t *index, uint64_t *term)
{
    bool shadow = r->mode == RAFT_START_REPAIR && shadow_ahead(r);
    *index = shadow ? r->shadow_index : log_last(r);
    *term = shadow ? r->shadow_term : log_last_term(r);
}

/* ---- filling (R11) ---- */

static bool fill_sane(const struct raft *r, uint64_t index, struct slice data)
{
    struct rd in = rd_of(data);
    struct raft_entry e;
    struct raft_conf c;
    uint64_t term = log_last_term(r);
    for (; raft_msg_entry(&in, &e); index++) {
        bool end = index == r->shadow_index;
        if (index > r->shadow_index || e.term < term || e.term > r->shadow_term || (end && e.term != r->shadow_term) || e.kind == 0)
            return false;
        if (e.kind == RAFT_CONF && raft_conf_decode(&c, e.data) != REEVE_OK)
            return false;
        term = e.term;
    }
    return rd_done(&in);
}

/* These were this log's entries before it was damaged: as if the disk had given them back. */
void raft_on_fill(struct raft *r, const struct raft_event *e, struct raft_effects *out)
{
    struct rd in = rd_of(e->data);
    struct raft_entry f;
    if (r->mode != RAFT_START_REPAIR || !r->own || raft_led(r) || r->in.have || e->id != log_last(r) + 1) {
        out->verdict = REEVE_E_WRONG_STATE;
        return;
    }
    if (!fill_sane(r, e->id, e->data)) {
        out->verdict = REEVE_E_MALFORMED;
        return;
    }
    while (raft_msg_entry(&in, &f)) {
        f.index = log_last(r) + 1;
        if (!log_room(r, 1, f.data.len)) {
            out->verdict = REEVE_E_BUSY;
            return;
        }
        raft_append_entry(r, &f);
        raft_append_is_fill(r);
    }
}

/* ---- mute ---- */

static uint64_t *heard_slot(struct raft *r, uint32_t id)
{
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX; i++) {
        if (r->heard_id[i] == 0)
            r->heard_id[i] = id;
        if (r->heard_id[i] == id)
            return &r->heard_term[i];
    }
    return NULL;
}

/* Terms that others live in: not those they only ask about. */
void raft_repair_heard(struct raft *r, const struct raft_msg *m)
{
    if (r->mode != RAFT_START_MUTE || m->type == RAFT_M_PREVOTE || m->type == RAFT_M_HOST)
        return;
    uint64_t *t = raft_conf_find(&r->conf, m->from) ? heard_slot(r, m->from) : NULL;
    if (t && (m->type != RAFT_M_PREVOTE_REPLY || (m->flags & RAFT_MF_REJECT)))
        *t = max_u64(*t, m->term);
    /* What was committed when the leader spoke, once its term is known to be everybody's. */
    if (r->mute_target == 0 && m->type == RAFT_M_APPEND && m->term == r->term && r->term > r->start_term)
        r->mute_target = max_u64(m->commit, 1);
}

static bool quorum_in_term(struct raft *r)
{
    uint64_t value[RAFT_MEMBERS_MAX] = { 0 };
    for (unsigned i = 0; i < r->conf.n; i++) {
        uint64_t *t = r->conf.m[i].id == r->c.id ? NULL : heard_slot(r, r->conf.m[i].id);
        value[i] = t && *t >= r->term;
    }
    return raft_conf_quorum(&r->conf, value) == 1;
}

/* Who is only followed by a leader hears nobody else: ask the others for their terms. */
void raft_repair_clock(struct raft *r, struct raft_effects *out)
{
    if (r->mode != RAFT_START_MUTE || r->now.ms < r->heartbeat_at.ms)
        return;
    r->heartbeat_at = later(r->now, r->c.election_ms);
    for (unsigned i = 0; i < r->conf.n; i++) {
        if (r->conf.m[i].id == r->c.id)
            continue;
        struct raft_msg *m = raft_emit_msg(r, out, RAFT_M_PREVOTE, r->conf.m[i].id, 0);
        m->term = 0;
        m->flags = RAFT_MF_MUTE;
    }
}

static bool whole_again(struct raft *r)
{
    if (r->mode == RAFT_START_REPAIR)
        return !shadow_ahead(r);
    return r->mode == RAFT_START_MUTE && r->leader != 0 && r->term > r->start_term && r->mute_target > 0 &&
           r->durable >= r->mute_target && r->commit >= r->mute_target && quorum_in_term(r);
}

void raft_repair_check(struct raft *r, struct raft_effects *out)
{
    if (!whole_again(r))
        return;
    r->mode = RAFT_START_CLEAN;
    raft_emit(out, RAFT_F_REPAIRED);
}
