/*
 * catchup.c - blocks that others have finalized, by height
 *
 * Asked for through the federation process, from one server after another;
 * each is verified and applied here before the engine hears of it.
 */
#include "backend/validator/validator_int.h"

#include "backend/utils/log.h"

#define FETCH_TIMEOUT_MS 10000
#define RETRY_MS 500

static void on_retry(void *arg)
{
    struct voter *v = arg;
    if (v->wanted > v->chain.head.height)
        catchup_ask(v);
}

static void retry_later(struct voter *v)
{
    if (v->wanted > v->chain.head.height && !loop_timer_is_set(&v->fetch_retry) &&
        loop_timer_in(v->loop, &v->fetch_retry, RETRY_MS, on_retry, v) != REEVE_OK)
        log_error("no timer for catching up");
}

/* How many were new. */
static unsigned take(struct voter *v, struct rd *in)
{
    unsigned taken = 0, n = rd_u16(in);
    for (unsigned i = 0; i < n && !in->bad; i++) {
        struct report rep = { .code = REEVE_OK };
        struct slice block = rd_str32(in, ATTEST_BLOCK_MAX);
        if (in->bad)
            break;
        enum reeve_err err = chain_take(&v->chain, block, &rep);
        if (err == REEVE_E_V_HEIGHT && taken == 0)
            continue;                   /* known: our own votes were faster */
        if (err != REEVE_OK) {
            log_limited(LOG_SEV_WARNING, "a block of another region was not taken: %s", rep.code != REEVE_OK ? rep.message : reeve_err_text(err));
            break;
        }
        taken++;
        peers_push(v, block);
    }
    return taken;
}

/* Nobody who is linked has it: somebody said so who lies or is gone. What our own votes made final is wanted all the same. */
static void forget(struct voter *v)
{
    struct simplex_status st;
    simplex_status(v->engine, &st);
    v->wanted = st.committed.height;
}

static void fetched(void *arg, struct ipc_answer *a)
{
    struct voter *v = arg;
    v->fetching = false;
    if (a->err != REEVE_OK) {
        retry_later(v);
        return;
    }
    struct rd in = rd_of(a->result);
    uint64_t head = rd_u64(&in);
    if (take(v, &in) > 0) {
        log_info("caught up to height %llu with blocks of other regions", (unsigned long long) v->chain.head.height);
        effect_caught_up(v);
        if (head > v->chain.head.height || v->wanted > v->chain.head.height)
            catchup_ask(v);
    } else {
        forget(v);
        retry_later(v);
    }
}

void catchup_ask(struct voter *v)
{
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (v->fetching || v->net == NULL || loop_is_stopped(v->loop))
        return;
    wr_u64(&w, v->chain.head.height + 1);
    if (ipc_request(v->net, MSG_ATTEST_FETCH, wr_slice(&w), FETCH_TIMEOUT_MS, fetched, v) == REEVE_OK)
        v->fetching = true;
    else
        retry_later(v);
}

void catchup_want(struct voter *v, uint64_t height)
{
    if (height <= v->chain.head.height)
        return;
    if (height > v->wanted)
        v->wanted = height;
    if (!loop_timer_is_set(&v->fetch_retry))
        catchup_ask(v);
}
