/*
 * follow.c - the attested chain, block by block, from the validator into the store (where there is none: from the federation
 * process, which asks those of other regions)
 *
 * Blocks are pushed (ATTEST_BLOCK) or fetched by height after a gap, a
 * restart or a refusal. Each goes through the log behind its own RC_ATTESTED
 * command; apply.c verifies it against the set before anything of it counts,
 * so the validator is not trusted, only listened to.
 */
#include "backend/ring/ring_int.h"

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/ops.h"

#define FETCH_TIMEOUT_MS 5000
#define RETRY_MS 500

static void fetch(struct ring *r);

static void on_retry(void *arg)
{
    fetch(arg);
}

static void retry_later(struct ring *r)
{
    if (!loop_timer_is_set(&r->follow.retry) &&
        loop_timer_in(r->loop, &r->follow.retry, RETRY_MS, on_retry, r) != REEVE_OK)
        log_error("no timer for following the chain");
}

/* ---- after a block was applied ---- */

static void tell_leaves(struct ring *r, uint64_t height, struct slice block)
{
    static struct finalization f;
    struct slice leaves[ATTEST_BLOCK_LEAVES_MAX];
    size_t n;
    if (block_decode(&f, leaves, ATTEST_BLOCK_LEAVES_MAX, &n, block) != REEVE_OK || n == 0)
        return;
    submits_applied(r, height, f.header.log_size - n, leaves, n);
    drivers_block(r, leaves, n);
}

void follow_applied(struct ring *r, uint64_t height, struct slice block)
{
    struct follower *f = &r->follow;
    f->applied = height;
    if (f->queued < height)
        f->queued = height;
    tell_leaves(r, height, block);
    wake_later(r);
    submits_poke(r);
}

static void proposed(void *arg, enum reeve_err err, const struct report *rep, uint64_t index, struct slice result)
{
    struct ring *r = arg;
    struct follower *f = &r->follow;
    (void) index;
    (void) result;
    if (err == REEVE_OK || err == REEVE_E_SHUTDOWN)
        return;
    log_limited(LOG_SEV_ERROR, "attested block %llu was not applied: %s", (unsigned long long) f->applied + 1,
                rep ? rep->message : reeve_err_text(err));
    /* What waits behind it fails as well; begin again from the store. */
    f->queued = f->applied;
    f->caught_up = false;
    retry_later(r);
}

/* ---- taking blocks in ---- */

static bool height_of(struct slice block, uint64_t *height)
{
    struct block_header h;
    if (block.len < ATTEST_HEADER_LEN || header_decode(&h, slice_of(block.p, ATTEST_HEADER_LEN)) != REEVE_OK)
        return false;
    *height = h.height;
    return true;
}

static enum reeve_err propose_block(struct ring *r, uint64_t height, struct slice block)
{
    uint8_t mem[PROPOSER_ATTESTED_HEAD];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u8(&w, 1);
    wr_u8(&w, RC_ATTESTED);
    wr_u64(&w, height);
    wr_u64(&w, (uint64_t) clock_wall().ms);
    return ring_propose_parts(&r->prop, wr_slice(&w), block, proposed, r);
}

/* True when the block was taken or is known; false when blocks before it are missing or there is no room. */
static bool take_block(struct ring *r, struct slice block)
{
    struct follower *f = &r->follow;
    uint64_t height;
    if (!height_of(block, &height)) {
        log_limited(LOG_SEV_ERROR, "the validator sent a malformed block");
        return true;
    }
    if (height <= f->queued)
        return true;
    if (height != f->queued + 1 || f->queued - f->applied >= FOLLOW_QUEUE_MAX)
        return false;
    if (propose_block(r, height, block) != REEVE_OK)
        return false;
    f->queued = height;
    return true;
}

void follow_message(struct ring *r, struct ipc_msg *m)
{
    struct rd in = rd_of(m->body);
    if (m->type == MSG_CHAIN_AHEAD) {
        if (rd_u64(&in) > r->follow.queued && rd_done(&in))
            fetch(r);
        return;
    }
    struct slice block = rd_str32(&in, ATTEST_BLOCK_MAX);
    if (m->type != MSG_ATTEST_BLOCK || !rd_done(&in))
        return;
    if (!take_block(r, block))
        fetch(r);
}

/* ---- fetching ---- */

static bool take_fetched(struct ring *r, struct slice result, uint64_t *head)
{
    struct rd in = rd_of(result);
    *head = rd_u64(&in);
    unsigned n = rd_u16(&in);
    for (unsigned i = 0; i < n && !in.bad; i++) {
        struct slice block = rd_str32(&in, ATTEST_BLOCK_MAX);
        if (!in.bad && !take_block(r, block))
            return !in.bad;
    }
    return rd_done(&in);
}

static void fetched(void *arg, struct ipc_answer *a)
{
    struct ring *r = arg;
    struct follower *f = &r->follow;
    uint64_t head = 0, before = f->queued;
    f->fetching = false;
    if (a->err != REEVE_OK || !take_fetched(r, a->result, &head)) {
        if (ipc_link_is_up(r->validator))
            retry_later(r);
        return;
    }
    if (head < f->applied)
        log_limited(LOG_SEV_ERROR, "the validator's chain (height %llu) is behind this store (%llu)",
                    (unsigned long long) head, (unsigned long long) f->applied);
    if (f->queued >= head) {
        f->caught_up = true;
        submits_poke(r);
    } else if (f->queued > before)
        fetch(r);
    else
        retry_later(r);
}

static void fetch(struct ring *r)
{
    struct follower *f = &r->follow;
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (f->fetching || !ipc_link_is_up(r->validator))
        return;
    wr_u64(&w, f->queued + 1);
    if (ipc_link_request(r->validator, MSG_ATTEST_FETCH, wr_slice(&w), FETCH_TIMEOUT_MS, fetched, r) == REEVE_OK)
        f->fetching = true;
    else
        retry_later(r);
}

void follow_up(struct ring *r)
{
    r->follow.caught_up = false;
    fetch(r);
}

void follow_down(struct ring *r)
{
    r->follow.caught_up = false;
}

void follow_start(struct ring *r)
{
    r->follow.queued = r->follow.applied;
}

void follow_replaced(struct ring *r)
{
    struct ring_view v;
    struct attest_head head;
    if (ring_view_open(r, &v) != REEVE_OK)
        return;
    if (attest_head(&v.attest, &head) == REEVE_OK)
        r->follow.applied = head.height;
    ring_view_close(&v);
    if (r->follow.queued < r->follow.applied)
        r->follow.queued = r->follow.applied;
    submits_poke(r);
}

void follow_close(struct ring *r)
{
    loop_timer_cancel(r->loop, &r->follow.retry);
}
