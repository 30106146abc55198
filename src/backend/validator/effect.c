/*
 * effect.c - what each of the engine's effects does
 *
 * A set of one sends nothing: the sending arms are where the network of a
 * larger set will hang, in this order and no other.
 */
#include "backend/validator/validator_int.h"

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/ops.h"

#define WORK_RETRY_MS 100

/* ---- building ---- */

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

/* Half an interval is enough: the engine's own clock decides when a tick is due. */
static bool tick_due(struct voter *v)
{
    int64_t interval = settings_int(v->child->settings, SET_attest_tick_interval);
    return clock_wall().ms - v->chain.head.header.time.ms >= interval / 2;
}

static void draft_clear(struct voter *v)
{
    queue_release_block(v);
    v->draft.n = v->draft.used = 0;
    memset(&v->draft.header, 0, sizeof v->draft.header);
}

static enum reeve_err draft_new(struct voter *v, uint64_t view)
{
    draft_clear(v);
    struct block_header header = { .view = view, .proposer = v->config.me };
    v->draft.header = header;
    if (!block_time(v, &v->draft.header.time))
        return REEVE_E_AGAIN;
    queue_fill_draft(v);
    if (v->draft.n == 0 && !tick_due(v))
        return REEVE_E_NOT_FOUND;
    return chain_draft_save(&v->chain, &v->draft);
}

static void on_work_retry(void *arg)
{
    struct voter *v = arg;
    if (v->queue)
        drive_work(v);
}

static void not_built(struct voter *v, const struct simplex_vote *vote)
{
    struct simplex_event e = { .type = SXE_NOT_BUILT, .vote = *vote };
    drive_event(v, &e);
    if (v->queue && loop_timer_in(v->loop, &v->work_retry, WORK_RETRY_MS, on_work_retry, v) != REEVE_OK)
        log_error("no timer for the next try");
}

static void built(struct voter *v, const struct simplex_vote *vote)
{
    struct simplex_event e = { .type = SXE_BUILT, .vote = *vote };
    e.vote.b.height = v->draft.header.height;
    header_hash(&crypto_ops_real, &e.vote.b.hash, &v->draft.header);
    drive_event(v, &e);
}

/*
 * The block of a view is made once: what is saved for it is what is built,
 * also after a restart. Only on the last final block; a parent that is merely
 * notarized has not been applied here.
 */
static void build(struct voter *v, const struct simplex_vote *vote)
{
    enum reeve_err err = REEVE_E_NOT_FOUND;
    if (!hash32_eq(&vote->b.parent_hash, &v->chain.head.header_hash) || v->draft.header.view > vote->b.view) {
        not_built(v, vote);
        return;
    }
    if (v->draft.header.view == vote->b.view) {
        built(v, vote);
        return;
    }
    err = draft_new(v, vote->b.view);
    if (err == REEVE_OK) {
        built(v, vote);
        return;
    }
    draft_clear(v);
    if (err != REEVE_E_NOT_FOUND && err != REEVE_E_AGAIN && err != REEVE_E_DISK_FULL)
        drive_die(v, err, "a block could not be saved");
    else {
        if (err == REEVE_E_DISK_FULL) {
            log_limited(LOG_SEV_ERROR, "a block could not be saved: %s", reeve_err_text(err));
            queue_refuse_full(v);
        }
        not_built(v, vote);
    }
}

/* ---- checking: a set of one sees no proposal but its own ---- */

static void check(struct voter *v, const struct simplex_vote *vote)
{
    struct hash32 hash;
    header_hash(&crypto_ops_real, &hash, &v->draft.header);
    struct simplex_event e = { .type = SXE_CHECKED, .vote = *vote,
                               .flag = v->draft.header.view == vote->b.view && hash32_eq(&hash, &vote->b.hash) };
    drive_event(v, &e);
}

/* ---- final ---- */

static enum reeve_err finalization_of(struct voter *v, uint64_t view, struct finalization *f)
{
    static struct simplex_cert cert;
    enum reeve_err err = simplex_cert_get(v->engine, SX_FINALIZE, view, &cert);
    if (err != REEVE_OK)
        return err;
    *f = (struct finalization){ .header = v->draft.header, .view = view, .n_bits = v->chain.set.n, .n_sigs = cert.n_sigs };
    memcpy(f->bitmap, cert.bitmap, sizeof f->bitmap);
    memcpy(f->sig, cert.sig, cert.n_sigs * sizeof cert.sig[0]);
    return REEVE_OK;
}

static enum reeve_err store_block(struct voter *v, const struct simplex_effect *e, struct wr *block, struct report *rep)
{
    static struct finalization f;
    struct hash32 hash;
    header_hash(&crypto_ops_real, &hash, &v->draft.header);
    if (!e->flag || !hash32_eq(&hash, &e->vote.b.hash))
        return report_set(rep, REEVE_E_BUG, "a block became final whose content is not here");
    enum reeve_err err = finalization_of(v, e->vote.b.view, &f);
    return err == REEVE_OK ? chain_commit(&v->chain, &v->draft, &f, block, rep) : err;
}

/* A store that is full ends the process as well: the votes are kept, and the next start commits the same block. */
static void commit(struct voter *v, const struct simplex_effect *e)
{
    struct report rep = { .code = REEVE_OK };
    struct wr block = wr_heap(ATTEST_BLOCK_MAX + 4096);
    enum reeve_err err = store_block(v, e, &block, &rep);
    if (err == REEVE_OK) {
        peers_push(v, wr_slice(&block));
        queue_answer_block(v, v->chain.head.height);
        draft_clear(v);
        drive_work(v);
    } else {
        report_set(&rep, err, "%s", reeve_err_text(err));
        log_report(LOG_SEV_ERROR, &rep);
        drive_die(v, err, "a final block could not be stored");
    }
    wr_free(&block);
}

void effect_obey(struct voter *v, const struct simplex_effect *e)
{
    switch (e->type) {
    case SXF_BUILD: build(v, &e->vote); break;
    case SXF_CHECK: check(v, &e->vote); break;
    case SXF_SIGN: sign_ask(v, &e->vote); break;
    case SXF_COMMIT: commit(v, e); break;
    case SXF_EVIDENCE:
        log_error("validator %u contradicted itself in view %llu", e->signer, (unsigned long long) e->vote.b.view);
        break;
    case SXF_SEND_PROPOSAL: case SXF_SEND_VOTE: case SXF_SEND_CERT: case SXF_BEHIND: case SXF_WANT:
        break;
    default:
        drive_die(v, REEVE_E_BUG, "an effect nobody knows");
    }
}
