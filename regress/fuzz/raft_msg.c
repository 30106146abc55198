/*
 * raft_msg.c - fuzz target of messages between members, and of all that lies in them
 *
 * What decodes is given to a member of a ring of three as well: nothing a peer
 * sends may trip an assertion.
 */
#include "engine/member.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct member *boot(void)
{
    static void *mem;
    struct member_config c;
    struct member *m;
    struct raft_conf conf = { .n = 3, .last_id = 3 };
    member_config_default(&c);
    c.window_entries = 64;
    c.window_bytes = 1u << 18;
    c.batch_bytes = 4096;
    c.queue_bytes = 1u << 16;
    c.tickets = 16;
    c.origin = c.raft.seed = c.raft.id = 1;
    c.raft.incarnation = 11;
    for (unsigned i = 0; i < 3; i++)
        conf.m[i] = (struct raft_member){ .id = i + 1, .incarnation = 11 + i, .role = RAFT_VOTER };
    if (mem == NULL)
        mem = malloc(member_size(&c));
    struct raft_start st = { .mode = RAFT_START_CLEAN, .conf = &conf };
    if (mem == NULL || member_init(&m, mem, member_size(&c), &c) != REEVE_OK || member_begin(m, &st) != REEVE_OK)
        abort();
    return m;
}

/* A message to this member from one of its peers, whatever it says of itself. */
static void address(struct raft_msg *m)
{
    m->from = m->from % 2 + 2;
    m->from_incarnation = 10 + m->from;
    m->to = 1;
    m->to_incarnation = 11;
    m->ring = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct member_effects out;
    struct rd in = rd_of(slice_of(data, len));
    struct member *m = boot();
    struct member_event e = { .type = MEMBER_E_START };
    struct member_command c;
    member_step(m, &e, &out);
    for (int i = 0; i < 32 && rd_left(&in) > 0; i++) {
        struct raft_msg msg;
        struct slice one = rd_str16(&in, 65535);
        if (in.bad || raft_msg_decode(&msg, one) != REEVE_OK)
            continue;
        address(&msg);
        e = (struct member_event){ .type = MEMBER_E_MESSAGE, .now = { i * 40 }, .msg = &msg };
        member_step(m, &e, &out);
        for (size_t k = 0; k < out.n; k++)
            while (out.e[k].type == MEMBER_F_APPLY && member_apply_next(m, &c))
                ;
    }
    return 0;
}
