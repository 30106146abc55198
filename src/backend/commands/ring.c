/* ring.c - ALTER RING: who votes in this region's ring, who leads it; tokens for who wants to come in. */
#include "cmd_int.h"

#include "backend/ipc/ipc.h"
#include "backend/peer/wire.h"
#include "backend/ring/ring.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

static enum reeve_err read_members(struct cmd *x, struct ring_members *out, struct name *region)
{
    struct snap sn;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    err = ring_members_read(&sn.kv, out);
    if (err == REEVE_OK)
        err = region_name(&sn.region, region);
    snap_close(&sn);
    return err == REEVE_OK ? err : report_set(x->rep, err, "the ring's members are not known here");
}

/* "REGION-ID", as sys.ring_members has it. */
static const struct raft_member *find(const struct ring_members *m, const struct name *region, struct slice member)
{
    char text[NAME_MAX_LEN + 16];
    for (unsigned i = 0; i < m->conf.n; i++) {
        snprintf(text, sizeof text, "%s-%u", region->s, m->conf.m[i].id);
        if (slice_eq(member, slice_str(text)))
            return &m->conf.m[i];
    }
    return NULL;
}

/* The part before '#', which is a key. */
static struct slice host_of(const struct raft_member *m)
{
    const char *end = memchr(m->addr, '#', m->addr_len);
    return slice_of(m->addr, end ? (size_t) (end - m->addr) : m->addr_len);
}

static enum reeve_err check_address(struct cmd *x, const struct ast_ring *a, const struct raft_member *m)
{
    struct slice address;
    if (!pv_present(&a->address))
        return REEVE_OK;
    enum reeve_err err = slot_text(&x->slot, &a->address, "address", &address);
    if (err != REEVE_OK || slice_eq(address, host_of(m)))
        return err;
    struct slice is = host_of(m);
    slot_error(&x->slot, &a->address, REEVE_E_INVALID_VALUE, "that member's address is \"%.*s\"", (int) is.len, (const char *) is.p);
    report_hint(x->rep, "A member brings its address and its key with it when it joins: reeve-ctl join.");
    return REEVE_E_INVALID_VALUE;
}

static enum reeve_err no_such_member(struct cmd *x, const struct ast_ring *a, struct slice member)
{
    slot_error(&x->slot, &a->member, REEVE_E_UNDEFINED_OBJECT, "the ring has no member \"%.*s\"", (int) member.len,
               (const char *) member.p);
    report_hint(x->rep, "SHOW MEMBERS lists them. A new one comes in by itself, with a token: reeve-ctl join.");
    return REEVE_E_UNDEFINED_OBJECT;
}

static const char *verb(const struct ast_ring *a)
{
    switch (a->action) {
    case RING_ADD:         return "gets a vote";
    case RING_ADD_LEARNER: return "becomes a learner: it gets everything and has no vote";
    case RING_DROP:        return "leaves the ring";
    default:               return "leads the ring from then on";
    }
}

#define TAKE_OVER_MS 3000
#define TAKE_OVER_POLL_MS 20

/* Leadership is handed over by a message; whether it came about is seen. */
static enum reeve_err wait_leader(struct cmd *x, const struct ast_ring *a, uint32_t id)
{
    struct mono_ms end = { session_mono_now().ms + TAKE_OVER_MS };
    uint32_t leader = 0;
    while (session_mono_now().ms < end.ms) {
        struct wr reply = wr_heap(1 << 16);
        enum reeve_err err = ring_ask(x->s, MSG_RING_STATUS, TAKE_OVER_MS, &reply, x->rep);
        struct rd r = rd_of(wr_slice(&reply));
        leader = rd_u32(&r);
        wr_free(&reply);
        if (err != REEVE_OK || leader == id)
            return err;
        err = session_wait(x->s, -1, 0, TAKE_OVER_POLL_MS, x->rep);
        if (err != REEVE_E_AGAIN)
            return err;
    }
    slot_error(&x->slot, &a->member, REEVE_E_AGAIN, "that member did not take over within %d s", TAKE_OVER_MS / 1000);
    report_hint(x->rep, "SHOW MEMBERS tells who leads, and whether it is behind.");
    return REEVE_E_AGAIN;
}

enum reeve_err cmd_alter_ring(struct cmd *x)
{
    const struct ast_ring *a = &x->stmt->ring;
    struct ring_members *m = arena_alloc(x->arena, sizeof *m);
    struct name region, ring;
    struct slice member;
    uint8_t mem[8];
    struct wr body = wr_fixed(mem, sizeof mem), reply = wr_heap(64);
    enum reeve_err err;
    if (m == NULL)
        return REEVE_E_NOMEM;
    TRY(cmd_need_superuser(x, "change the ring's members"));
    if (session_in_block(x->s) && !x->explain)
        TRY(report_set(x->rep, REEVE_E_ACTIVE_TXN, "ALTER RING cannot run inside a transaction block"));
    TRY(slot_name(&x->slot, &a->name, "ring", &ring));
    TRY(slot_text(&x->slot, &a->member, "member", &member));
    TRY(read_members(x, m, &region));
    if (!name_eq(&ring, &region))
        TRY(slot_error(&x->slot, &a->name, REEVE_E_UNDEFINED_OBJECT, "this is the ring of region \"%s\"", region.s));
    const struct raft_member *who = find(m, &region, member);
    if (who == NULL)
        TRY(no_such_member(x, a, member));
    TRY(check_address(x, a, who));
    if (x->explain)
        TRY(cmd_explain_note(x, "member %s-%u %s", region.s, who->id, verb(a)));
    if (x->explain)
        goto out;
    wr_u8(&body, (uint8_t) (a->action + 1));
    wr_u32(&body, who->id);
    TRY(ring_call(x->s, MSG_RING_CHANGE, wr_slice(&body), &reply, x->rep));
    if (a->action == RING_TRANSFER)
        err = wait_leader(x, a, who->id);
out:
    wr_free(&reply);
    return err;
}

/* ---- CREATE JOIN_TOKEN WITH (kind = 'member') ---- */

enum reeve_err cmd_member_token(struct cmd *x, struct token_row *row, char *text)
{
    struct ring_members *m = arena_alloc(x->arena, sizeof *m);
    struct peer_token token = { .expires = row->expires };
    struct peer_addr addr;
    struct cmd_outcome o;
    struct name region;
    struct wr *w;
    enum reeve_err err;
    if (m == NULL)
        return REEVE_E_NOMEM;
    TRY(cmd_need_superuser(x, "let a member into the ring"));
    TRY(read_members(x, m, &region));
    const struct raft_member *me = raft_conf_find(&m->conf, m->self);
    if (me == NULL || peer_addr_parse(&addr, slice_of(me->addr, me->addr_len)) != REEVE_OK)
        TRY(report_set(x->rep, REEVE_E_WRONG_STATE, "this member has no address by which another could find it"));
    token.ring = m->ring;
    token.key = addr.key;
    random_bytes(token.secret, sizeof token.secret);
    sha256(&row->secret_hash, slice_of(token.secret, sizeof token.secret));
    row->uses_left = 1;
    if ((w = cmd_op(x, RO_TOKEN_CREATE, &err)) == NULL)
        goto out;
    wr_bytes(w, row->secret_hash.b, 8);
    token_row_encode(row, w);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
    (void) peer_token_encode(text, &token);
out:
    secret_wipe(&token, sizeof token);
    return err;
}
