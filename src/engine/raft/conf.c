/* conf.c - configurations: sets of members, what a quorum of them holds, changes, bytes. Pure. */
#include "engine/raft_broken.h"
#include "engine/raft.h"

const struct raft_member *raft_conf_find(const struct raft_conf *c, uint32_t id)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->m[i].id == id)
            return &c->m[i];
    return NULL;
}

/* ---- quorum ---- */

/* The value that a majority of the members with that role has reached: the n/2-th smallest. */
static uint64_t majority_value(const struct raft_conf *c, uint8_t role, const uint64_t *value)
{
    uint64_t sorted[RAFT_MEMBERS_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < c->n; i++) {
        if (!(c->m[i].role & role))
            continue;
        unsigned at = n++;
        for (; at > 0 && sorted[at - 1] > value[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = value[i];
    }
    return n == 0 ? UINT64_MAX : sorted[(n - 1) / 2];
}

uint64_t raft_conf_quorum(const struct raft_conf *c, const uint64_t *value)
{
    uint64_t now = majority_value(c, RAFT_VOTER, value);
    if (!c->joint || RAFT_BROKEN(JOINT_ONE_MAJORITY))
        return now;
    uint64_t old = majority_value(c, RAFT_VOTER_OLD, value);
    return old < now ? old : now;
}

/* ---- changes ---- */

static struct raft_member *find(struct raft_conf *c, uint32_t id)
{
    return (struct raft_member *) raft_conf_find(c, id);
}

static unsigned count(const struct raft_conf *c, uint8_t role)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->n; i++)
        n += (c->m[i].role & role) != 0;
    return n;
}

static void drop(struct raft_conf *c, unsigned i)
{
    memmove(&c->m[i], &c->m[i + 1], (c->n - i - 1u) * sizeof c->m[0]);
    c->n--;
}

/* Members are in order of ids, and a new id is the highest. */
static enum reeve_err add_learner(struct raft_conf *c, const struct raft_change *ch)
{
    if (find(c, ch->id))
        return REEVE_E_DUPLICATE_OBJECT;
    if (ch->id <= c->last_id || ch->addr_len > RAFT_ADDR_MAX)
        return REEVE_E_INVALID_VALUE;
    if (c->n == RAFT_MEMBERS_MAX)
        return REEVE_E_TOO_MANY;
    struct raft_member *m = &c->m[c->n++];
    *m = (struct raft_member){ .id = ch->id, .incarnation = ch->incarnation, .role = RAFT_LEARNER, .addr_len = ch->addr_len };
    memcpy(m->addr, ch->addr, ch->addr_len);
    c->last_id = ch->id;
    return REEVE_OK;
}

static enum reeve_err change_one(struct raft_conf *c, const struct raft_change *ch)
{
    if (ch->kind == RAFT_ADD_LEARNER)
        return add_learner(c, ch);
    struct raft_member *m = find(c, ch->id);
    if (m == NULL)
        return REEVE_E_UNDEFINED_OBJECT;
    switch (ch->kind) {
    case RAFT_PROMOTE:
        m->role = RAFT_VOTER;
        return REEVE_OK;
    case RAFT_DEMOTE:
        m->role = RAFT_LEARNER;
        return REEVE_OK;
    case RAFT_REMOVE:
        m->role = 0;
        return REEVE_OK;
    case RAFT_READDRESS:
        if (ch->addr_len > RAFT_ADDR_MAX)
            return REEVE_E_INVALID_VALUE;
        memset(m->addr, 0, sizeof m->addr);
        memcpy(m->addr, ch->addr, ch->addr_len);
        m->addr_len = ch->addr_len;
        return REEVE_OK;
    default:
        return REEVE_E_INVALID_VALUE;
    }
}

/* Old voters keep their voice until the joint configuration is left; who never had one goes at once. */
static void make_joint(struct raft_conf *out, const struct raft_conf *c)
{
    bool changed = false;
    for (unsigned i = 0; i < out->n; i++) {
        const struct raft_member *was = raft_conf_find(c, out->m[i].id);
        changed |= (was && (was->role & RAFT_VOTER)) != ((out->m[i].role & RAFT_VOTER) != 0);
    }
    out->joint = changed;
    for (unsigned i = 0; changed && i < out->n; i++) {
        const struct raft_member *was = raft_conf_find(c, out->m[i].id);
        if (was && (was->role & RAFT_VOTER))
            out->m[i].role |= RAFT_VOTER_OLD;
    }
    for (unsigned i = out->n; i-- > 0;)
        if (out->m[i].role == 0)
            drop(out, i);
}

enum reeve_err raft_conf_change(struct raft_conf *out, const struct raft_conf *c, const struct raft_change *ch, size_t n)
{
    enum reeve_err err = REEVE_OK;
    if (c->joint)
        return REEVE_E_WRONG_STATE;
    if (n == 0 || n > RAFT_CHANGES_MAX)
        return REEVE_E_INVALID_VALUE;
    *out = *c;
    for (size_t i = 0; i < n; i++)
        TRY(change_one(out, &ch[i]));
    if (count(out, RAFT_VOTER) == 0)
        return REEVE_E_INVALID_VALUE;
    if (count(out, RAFT_VOTER) > RAFT_VOTERS_MAX || count(out, RAFT_LEARNER) > RAFT_LEARNERS_MAX)
        return REEVE_E_TOO_MANY;
    make_joint(out, c);
out:
    return err;
}

void raft_conf_leave(struct raft_conf *out, const struct raft_conf *joint)
{
    *out = *joint;
    out->joint = false;
    for (unsigned i = out->n; i-- > 0;) {
        out->m[i].role &= (uint8_t) ~RAFT_VOTER_OLD;
        if (out->m[i].role == 0)
            drop(out, i);
    }
}

/* ---- bytes ---- */

void raft_conf_encode(const struct raft_conf *c, struct wr *out)
{
    wr_u8(out, 1);
    wr_u8(out, c->joint);
    wr_varint(out, c->last_id);
    wr_u8(out, (uint8_t) c->n);
    for (unsigned i = 0; i < c->n; i++) {
        wr_varint(out, c->m[i].id);
        wr_u64(out, c->m[i].incarnation);
        wr_u8(out, c->m[i].role);
        wr_vbytes(out, slice_of(c->m[i].addr, c->m[i].addr_len));
    }
}

static bool role_sane(uint8_t role, bool joint)
{
    bool learner = role & RAFT_LEARNER;
    if (role == 0 || role > 7 || (learner && (role & RAFT_VOTER)))
        return false;
    return joint || !(role & RAFT_VOTER_OLD);
}

static bool decode_member(struct rd *in, struct raft_member *m, uint32_t above, bool joint)
{
    uint64_t id = rd_varint(in);
    m->incarnation = rd_u64(in);
    m->role = rd_u8(in);
    struct slice addr = rd_vbytes(in, RAFT_ADDR_MAX);
    if (in->bad || id <= above || id > UINT32_MAX || !role_sane(m->role, joint))
        return false;
    m->id = (uint32_t) id;
    m->addr_len = (uint8_t) addr.len;
    if (addr.len > 0)
        memcpy(m->addr, addr.p, addr.len);
    return true;
}

enum reeve_err raft_conf_decode(struct raft_conf *out, struct slice bytes)
{
    struct rd in = rd_of(bytes);
    memset(out, 0, sizeof *out);
    uint8_t version = rd_u8(&in), joint = rd_u8(&in);
    uint64_t last_id = rd_varint(&in);
    out->n = rd_u8(&in);
    if (in.bad || version != 1 || joint > 1 || last_id > UINT32_MAX || out->n == 0 || out->n > RAFT_MEMBERS_MAX)
        return REEVE_E_MALFORMED;
    out->joint = joint;
    out->last_id = (uint32_t) last_id;
    for (unsigned i = 0; i < out->n; i++)
        if (!decode_member(&in, &out->m[i], i == 0 ? 0 : out->m[i - 1].id, joint))
            return REEVE_E_MALFORMED;
    bool sizes = count(out, RAFT_VOTER) >= 1 && count(out, RAFT_VOTER) <= RAFT_VOTERS_MAX &&
                 count(out, RAFT_VOTER_OLD) <= RAFT_VOTERS_MAX && (count(out, RAFT_VOTER_OLD) > 0) == out->joint;
    return rd_done(&in) && sizes && out->m[out->n - 1].id <= out->last_id ? REEVE_OK : REEVE_E_MALFORMED;
}
