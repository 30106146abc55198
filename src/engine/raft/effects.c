/* effects.c - building effects and messages. */
#include "raft_int.h"

struct raft_effect *raft_emit(struct raft_effects *out, enum raft_effect_type type)
{
    reeve_assert(out->n < RAFT_EFFECTS_MAX);
    struct raft_effect *f = &out->e[out->n++];
    memset(f, 0, sizeof *f);
    f->type = type;
    return f;
}

bool raft_effects_tight(struct raft *r, const struct raft_effects *out)
{
    if (out->n + EFFECTS_RESERVE < RAFT_EFFECTS_MAX)
        return false;
    r->more = true;
    return true;
}

/* A leader may be one of a configuration that has not come here yet. */
static uint64_t incarnation_of(const struct raft *r, uint32_t id)
{
    const struct raft_member *m = raft_conf_find(&r->conf, id);
    if (m)
        return m->incarnation;
    return id == r->caller.id ? r->caller.incarnation : id == r->lord.id ? r->lord.incarnation : 0;
}

struct raft_msg *raft_emit_msg(struct raft *r, struct raft_effects *out, enum raft_msg_type type, uint32_t to, uint64_t after)
{
    struct raft_effect *f = raft_emit(out, RAFT_F_SEND);
    f->peer = to;
    f->after = after;
    f->msg = (struct raft_msg){ .type = (uint8_t) type, .from = r->c.id, .to = to, .from_incarnation = r->c.incarnation,
                                .to_incarnation = incarnation_of(r, to), .ring = r->c.ring, .term = r->term };
    return &f->msg;
}

uint64_t raft_log_back_to_term(const struct raft *r, uint64_t i, uint64_t term, uint64_t floor)
{
    while (i > floor && log_has_term(r, i) && log_term(r, i) > term)
        i--;
    return i;
}
