/* forward.c - messages between members: commands for the leader, refusals, hashes of the state. */
#include "member_int.h"

enum { HOST_FORWARD = 1, HOST_REFUSED, HOST_HASH };

void member_send(struct member *m, uint32_t to, struct slice data, struct member_effects *out)
{
    struct raft_event e = { .type = RAFT_E_SEND, .peer = to, .data = data };
    (void) member_raft_step(m, &e, out);
}

/* The handles of a batch that this member does not take, back to where it came from. */
static void refuse(struct member *m, uint32_t to, struct slice items, uint32_t n, bool busy, struct member_effects *out)
{
    struct wr w = wr_fixed(m->reply, sizeof m->reply);
    struct rd in = rd_of(items);
    struct item it;
    wr_u8(&w, 1);
    wr_u8(&w, HOST_REFUSED);
    wr_u8(&w, busy);
    wr_u16(&w, (uint16_t) n);
    while (member_item_next(&in, &it)) {
        wr_u64(&w, it.origin);
        wr_u64(&w, it.handle);
    }
    reeve_assert(!w.bad);
    member_send(m, to, wr_slice(&w), out);
}

static bool items_sane(struct slice items, uint32_t n)
{
    struct rd in = rd_of(items);
    struct item it;
    while (n > 0 && member_item_next(&in, &it))
        n--;
    return n == 0 && rd_done(&in);
}

/*
 * A repeated message must not put its commands into the log twice, nor may one
 * that was refused be taken later: numbers of a sender's life only rise.
 */
static bool first_time(struct member *m, uint64_t origin, uint64_t number)
{
    unsigned i = 0;
    while (i < LIVES_HEARD && m->heard[i].origin != origin)
        i++;
    if (i == LIVES_HEARD) {
        i = m->heard_next++ % LIVES_HEARD;
        m->heard[i].origin = origin;
        m->heard[i].number = 0;
    }
    if (m->heard[i].number >= number)
        return false;
    m->heard[i].number = number;
    return true;
}

/* Taken in the term only in which it was sent: its sender counts on that (member_tickets_resolve). */
static void on_forward(struct member *m, uint32_t from, uint64_t term, struct rd *in, struct member_effects *out)
{
    uint64_t origin = rd_u64(in), number = rd_u64(in);
    uint32_t n = rd_u16(in);
    struct slice items = rd_bytes(in, rd_left(in));
    struct item it;
    if (in->bad || n > MEMBER_BATCH_MAX || !items_sane(items, n) || !first_time(m, origin, number))
        return;
    struct raft_status st;
    raft_status(m->raft, &st);
    bool takes = st.role == RAFT_LEADER && (st.term == term || RAFT_BROKEN(FORWARD_ANY_TERM));
    bool busy = !member_queue_room(m, items.len);
    if (!takes || busy || m->stopping || m->quarantined) {
        refuse(m, from, items, n, busy, out);
        return;
    }
    struct rd walk = rd_of(items);
    while (member_item_next(&walk, &it))
        member_queue_put(m, &it);
}

/* Refused is certainly not done: the leader took none of them. */
static void on_refused(struct member *m, struct rd *in)
{
    bool busy = rd_u8(in);
    uint32_t n = rd_u16(in);
    for (uint32_t i = 0; i < n && !in->bad; i++) {
        struct item it = { .origin = rd_u64(in) };
        it.handle = rd_u64(in);
        uint32_t t = in->bad ? NONE : member_ticket_of(m, &it);
        if (t != NONE)
            member_ticket_finish(m, t, MEMBER_NOT_APPLIED, busy ? REEVE_E_BUSY : REEVE_E_NOT_LEADER);
    }
}

static void on_hash(struct member *m, uint32_t from, struct rd *in, struct member_effects *out)
{
    uint64_t index = rd_u64(in);
    struct hash32 h;
    rd_copy(in, h.b, sizeof h.b);
    if (rd_done(in) && raft_conf_find(raft_conf(m->raft), from))
        member_hash_heard(m, from, index, &h, out);
}

void member_on_host(struct member *m, const struct raft_msg *msg, struct member_effects *out)
{
    struct rd in = rd_of(msg->data);
    uint8_t version = rd_u8(&in), kind = rd_u8(&in);
    if (in.bad || version != 1)
        return;
    if (kind == HOST_FORWARD)
        on_forward(m, msg->from, msg->term, &in, out);
    else if (kind == HOST_REFUSED)
        on_refused(m, &in);
    else if (kind == HOST_HASH)
        on_hash(m, msg->from, &in, out);
}
