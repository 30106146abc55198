/*
 * reads.c - ReadIndex (6.4): the newest commit, confirmed by a quorum after the read came
 *
 * Each read is given the next position of this leader's term. Heartbeats carry
 * the newest position and their answers return it, so one answer confirms all
 * reads up to that position, and no answer to anything earlier can (R6).
 */
#include "raft_int.h"

static bool take(struct raft *r, uint64_t id, uint32_t from, struct raft_effects *out)
{
    if (r->read_n == RAFT_READS_MAX)
        return false;
    uint64_t position = RAFT_BROKEN(READ_ID_REUSED) ? (r->read_position = 1) : ++r->read_position;
    r->read[(r->read_head + r->read_n++) % RAFT_READS_MAX] =
        (struct pending_read){ .position = position, .id = id, .index = r->commit, .from = from };
    raft_heartbeat_all(r, out);
    return true;
}

static bool may_serve(const struct raft *r)
{
    return !r->reads_void && (raft_committed_in_term(r) || RAFT_BROKEN(READ_EARLY));
}

void raft_on_read(struct raft *r, uint64_t id, struct raft_effects *out)
{
    if (r->role == RAFT_LEADER && !may_serve(r))
        out->verdict = REEVE_E_AGAIN;
    else if (r->role == RAFT_LEADER)
        out->verdict = take(r, id, 0, out) ? REEVE_OK : REEVE_E_BUSY;
    else if (r->leader == 0)
        out->verdict = REEVE_E_NOT_LEADER;
    else
        raft_emit_msg(r, out, RAFT_M_READ, r->leader, 0)->read = id;
}

static void answer(struct raft *r, uint32_t to, uint64_t id, uint64_t index, uint8_t flags, struct raft_effects *out)
{
    struct raft_msg *a = raft_emit_msg(r, out, RAFT_M_READ_REPLY, to, 0);
    a->read = id;
    a->index = index;
    a->flags = flags;
}

void raft_on_read_request(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    if (r->role != RAFT_LEADER || !may_serve(r) || !raft_conf_find(&r->conf, m->from) || !take(r, m->read, m->from, out))
        answer(r, m->from, m->read, 0, RAFT_MF_REJECT, out);
}

void raft_on_read_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out)
{
    bool refused = m->flags & RAFT_MF_REJECT;
    if (r->role != RAFT_FOLLOWER || m->from != r->leader)
        return;
    struct raft_effect *f = raft_emit(out, refused ? RAFT_F_READ_FAILED : RAFT_F_READ_OK);
    f->id = m->read;
    f->index = m->index;
}

static struct pending_read pop(struct raft *r)
{
    struct pending_read p = r->read[r->read_head];
    r->read_head = (uint16_t) ((r->read_head + 1) % RAFT_READS_MAX);
    r->read_n--;
    return p;
}

/* Who is asked now decides: members of the configuration in force, both majorities while joint (scenario 35). */
static uint64_t confirmed(struct raft *r)
{
    uint64_t value[RAFT_MEMBERS_MAX];
    for (unsigned i = 0; i < r->conf.n; i++) {
        const struct progress *p = raft_progress_of(r, r->conf.m[i].id);
        value[i] = r->conf.m[i].id == r->c.id ? r->read_position : p && !p->mute ? p->read_ack : 0;
    }
    return raft_conf_quorum(&r->conf, value);
}

void raft_reads_confirm(struct raft *r, struct raft_effects *out)
{
    uint64_t upto = r->read_n > 0 && !r->reads_void ? confirmed(r) : 0;
    while (r->read_n > 0 && !r->reads_void && r->read[r->read_head].position <= upto && !raft_effects_tight(r, out)) {
        struct pending_read p = pop(r);
        if (p.from) {
            answer(r, p.from, p.id, p.index, 0, out);
            continue;
        }
        struct raft_effect *f = raft_emit(out, RAFT_F_READ_OK);
        f->id = p.id;
        f->index = p.index;
    }
}

/* The leader's place is lost, and with it every read not confirmed. */
void raft_reads_drop(struct raft *r)
{
    r->reads_void = r->read_n > 0;
}

void raft_reads_flush(struct raft *r, struct raft_effects *out)
{
    while (r->reads_void && !raft_effects_tight(r, out)) {
        struct pending_read p = pop(r);
        if (p.from == 0)
            raft_emit(out, RAFT_F_READ_FAILED)->id = p.id;
        r->reads_void = r->read_n > 0;
    }
}
