/*
 * drive.c - one block after the other: drafted, saved, voted for, final
 *
 *   IDLE -> (work or a tick is due: draft, sync) -> PROPOSE -> NOTARIZE ->
 *   FINALIZE -> COMMIT (sync, push, answer) -> IDLE
 *
 * Each vote is a request to the signer; while it is away the same vote is
 * asked for again, for as long as it takes: nothing of the block can be
 * changed once it was saved. A signer that contradicts (it has signed for a
 * later view) means that this store is older than its own signatures; then
 * nothing is decided until somebody has looked.
 */
#include "backend/validator/validator_int.h"

#include "backend/signer/signer.h"
#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/ops.h"

#define RETRY_MS 100
#define VOTE_TIMEOUT_MS 30000

static void on_timer(void *arg)
{
    drive(arg);
}

static void retry_later(struct voter *v)
{
    if (!loop_timer_is_set(&v->retry) && loop_timer_in(v->loop, &v->retry, RETRY_MS, on_timer, v) != REEVE_OK)
        log_error("no timer for the next try");
}

/* ---- drafting ---- */

/*
 * The time rule: above the parent's, within max skew of this clock. False
 * when this clock is too far behind the chain: then time must pass first.
 */
static bool block_time(struct voter *v, struct wall_ms *out)
{
    int64_t now = clock_wall().ms, parent = v->chain.head.header.time.ms;
    out->ms = now > parent ? now : parent + 1;
    if (out->ms - now <= settings_int(v->child->settings, SET_attest_max_skew))
        return true;
    log_limited(LOG_SEV_WARNING, "this clock is %lld ms behind the chain; no block until it has caught up",
                (long long) (parent - now));
    return false;
}

static bool tick_due(struct voter *v)
{
    int64_t interval = settings_int(v->child->settings, SET_attest_tick_interval);
    return clock_wall().ms - v->chain.head.header.time.ms >= interval;
}

static void arm_tick(struct voter *v)
{
    int64_t interval = settings_int(v->child->settings, SET_attest_tick_interval);
    int64_t left = v->chain.head.header.time.ms + interval - clock_wall().ms;
    left = left < 1 ? 1 : left > interval ? interval : left;
    if (loop_timer_in(v->loop, &v->tick, left, on_timer, v) != REEVE_OK)
        log_error("no timer for the next tick");
}

static void die(struct voter *v, enum reeve_err err, const char *what)
{
    log_fatal("%s (%s); ending", what, reeve_err_text(err));
    child_stop(v->child, 1);
}

/* False when there is nothing to decide, or not now. */
static bool begin_block(struct voter *v)
{
    struct block_draft *d = &v->draft;
    if (v->queue == NULL && !tick_due(v))
        return false;
    d->n = d->used = 0;
    memset(&d->header, 0, sizeof d->header);
    if (!block_time(v, &d->header.time)) {
        retry_later(v);
        return false;
    }
    d->header.view = v->chain.head.header.view + 1;
    queue_fill_draft(v);
    if (d->n == 0 && !tick_due(v))
        return false;
    enum reeve_err err = chain_draft_save(&v->chain, d);
    if (err == REEVE_OK)
        return true;
    queue_release_block(v);
    if (err != REEVE_E_DISK_FULL)
        die(v, err, "a block could not be saved");
    log_limited(LOG_SEV_ERROR, "a block could not be saved: %s", reeve_err_text(err));
    retry_later(v);
    return false;
}

/* ---- voting ---- */

static enum vote_type vote_of(enum phase p)
{
    return p == PHASE_PROPOSE ? VOTE_PROPOSE : p == PHASE_NOTARIZE ? VOTE_NOTARIZE : VOTE_FINALIZE;
}

static void take_signature(struct voter *v, const uint8_t sig[64])
{
    if (v->phase == PHASE_FINALIZE) {
        v->fin = (struct finalization){ .header = v->draft.header, .view = v->draft.header.view, .n_bits = v->chain.set.n,
                                        .n_sigs = 1 };
        v->fin.bitmap[v->draft.header.proposer / 8] |= (uint8_t) (1u << v->draft.header.proposer % 8);
        memcpy(v->fin.sig[0].b, sig, 64);
    }
    v->phase++;
}

static void on_vote(void *arg, struct ipc_answer *a)
{
    struct voter *v = arg;
    v->signing = false;
    if (a->err == REEVE_OK && a->result.len == 64) {
        take_signature(v, a->result.p);
        drive(v);
        return;
    }
    if (a->err == REEVE_E_CONFLICT || a->err == REEVE_E_V_SET)
        log_limited(LOG_SEV_ERROR, "the signer refuses to vote at height %llu: %s",
                    (unsigned long long) v->draft.header.height, a->rep.message);
    retry_later(v);
}

static void ask_vote(struct voter *v)
{
    uint8_t mem[SIGNER_VOTE_LEN];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct vote vote;
    if (v->signing)
        return;
    vote_of_header(&crypto_ops_real, &vote, vote_of(v->phase), &v->draft.header);
    signer_vote_encode(&vote, &w);
    if (ipc_link_request(v->signer, MSG_SIGN_VOTE, wr_slice(&w), VOTE_TIMEOUT_MS, on_vote, v) == REEVE_OK)
        v->signing = true;
    else
        retry_later(v);
}

/* ---- final ---- */

static void commit(struct voter *v)
{
    struct report rep = { .code = REEVE_OK };
    struct wr block = wr_heap(ATTEST_BLOCK_MAX + 4096);
    enum reeve_err err = chain_commit(&v->chain, &v->draft, &v->fin, &block, &rep);
    if (err == REEVE_OK) {
        v->phase = PHASE_IDLE;
        peers_push(v, wr_slice(&block));
        queue_answer_block(v, v->chain.head.height);
    } else if (err == REEVE_E_DISK_FULL) {
        log_limited(LOG_SEV_ERROR, "a final block could not be stored: %s", reeve_err_text(err));
        retry_later(v);
    } else {
        report_set(&rep, err, "%s", reeve_err_text(err));
        log_report(LOG_SEV_ERROR, &rep);
        die(v, err, "a final block could not be stored");
    }
    wr_free(&block);
}

void drive(struct voter *v)
{
    enum phase before;
    do {
        before = v->phase;
        if (loop_is_stopped(v->loop))
            return;
        if (v->phase == PHASE_IDLE && begin_block(v))
            v->phase = PHASE_PROPOSE;
        else if (v->phase >= PHASE_PROPOSE && v->phase <= PHASE_FINALIZE)
            ask_vote(v);
        else if (v->phase == PHASE_COMMIT)
            commit(v);
    } while (v->phase != before);
    if (v->phase == PHASE_IDLE)
        arm_tick(v);
}

void drive_start(struct voter *v)
{
    enum reeve_err err = chain_draft_load(&v->chain, &v->draft);
    if (err == REEVE_OK) {
        log_info("going on with the block at height %llu", (unsigned long long) v->draft.header.height);
        v->phase = PHASE_PROPOSE;
    } else if (err != REEVE_E_NOT_FOUND)
        die(v, err, "the block under way cannot be read");
    drive(v);
}

void drive_stop(struct voter *v)
{
    loop_timer_cancel(v->loop, &v->tick);
    loop_timer_cancel(v->loop, &v->retry);
    queue_close(v);
}
