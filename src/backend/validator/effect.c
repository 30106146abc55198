/* effect.c - what each of the engine's effects does. */
#include "backend/validator/validator_int.h"

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/ops.h"

#define WORK_RETRY_MS 100

static bool alone(const struct voter *v)
{
    return v->chain.set.n == 1;
}

/* ---- building ---- */

/*
 * The time rule: above the parent's, within max skew of this clock. False
 * when this clock is too far behind the chain: then time must pass first.
 */
static bool block_time(struct voter *v, int64_t parent, struct wall_ms *out)
{
    int64_t now = clock_wall().ms;
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
    v->draft.n = v->draft.used = 0;
    memset(&v->draft.header, 0, sizeof v->draft.header);
}

/* On a parent that is not final an empty block is worth making: it is there to make that one final. */
static enum reeve_err draft_fill(struct voter *v, uint64_t view, struct spec *s)
{
    bool on_head = hash32_eq(&s->head.header_hash, &v->chain.head.header_hash);
    bool ended = s->head.epoch != v->chain.set.epoch;       /* on top of that there are closers only (attest.h, E2) */
    struct block_header header = { .view = view, .proposer = v->config.me, .epoch = v->chain.set.epoch };
    v->draft.header = header;
    if (!block_time(v, s->head.header.time.ms, &v->draft.header.time))
        return REEVE_E_AGAIN;
    if (!ended)
        queue_fill_draft(v, s);
    if (v->draft.n == 0 && on_head && !tick_due(v))
        return REEVE_E_NOT_FOUND;
    return spec_propose(s, &v->draft);
}

static enum reeve_err draft_new(struct voter *v, const struct simplex_block *b)
{
    struct spec s;
    draft_clear(v);
    enum reeve_err err = spec_open(&v->chain, b->parent_view, &b->parent_hash, &s);
    if (err != REEVE_OK)
        return err;
    err = draft_fill(v, b->view, &s);
    spec_close(&s);
    return err == REEVE_OK ? content_save(&v->chain, &v->draft) : err;
}

static void on_work_retry(void *arg)
{
    struct voter *v = arg;
    if (queue_has_work(v))
        drive_work(v);
}

static void not_built(struct voter *v, const struct simplex_vote *vote)
{
    struct simplex_event e = { .type = SXE_NOT_BUILT, .vote = *vote };
    drive_event(v, &e);
    if (queue_has_work(v) && loop_timer_in(v->loop, &v->work_retry, WORK_RETRY_MS, on_work_retry, v) != REEVE_OK)
        log_error("no timer for the next try");
}

static void built(struct voter *v, const struct simplex_vote *vote)
{
    struct simplex_event e = { .type = SXE_BUILT, .vote = *vote };
    e.vote.b.height = v->draft.header.height;
    header_hash(&crypto_ops_real, &e.vote.b.hash, &v->draft.header);
    drive_event(v, &e);
}

/* Not now, but perhaps later: nothing to say, a clock behind, no room, a parent whose content is on its way. */
static bool passing(enum reeve_err err)
{
    return err == REEVE_E_NOT_FOUND || err == REEVE_E_AGAIN || err == REEVE_E_DISK_FULL;
}

/* The block of a view on a parent is made once: what is saved for it is what is built, also after a restart. */
static void build(struct voter *v, const struct simplex_vote *vote)
{
    enum reeve_err err = content_own(&v->chain, vote->b.view, &vote->b.parent_hash, &v->draft);
    if (err == REEVE_E_NOT_FOUND)
        err = draft_new(v, &vote->b);
    if (err == REEVE_OK) {
        built(v, vote);
        return;
    }
    draft_clear(v);
    if (!passing(err)) {
        drive_die(v, err, "a block could not be saved");
        return;
    }
    if (err == REEVE_E_DISK_FULL) {
        log_limited(LOG_SEV_ERROR, "a block could not be saved: %s", reeve_err_text(err));
        queue_refuse_full(v);
    }
    not_built(v, vote);
}

/* ---- final ---- */

/*
 * The certificate that makes this block final is its own, or that of a
 * descendant, whose COMMIT follows in the same step (simplex.h); then the
 * headers between are part of the proof.
 */
static enum reeve_err links_of(struct voter *v, const struct simplex_effect *e, struct finalization *f, uint64_t *view)
{
    struct storage_txn *t;
    const struct simplex_effect *last = &v->effects.e[v->effects.n - 1], *at = e;
    enum reeve_err err = storage_begin(v->chain.store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    while (!at->flag && err == REEVE_OK) {
        do
            at++;
        while (at <= last && at->type != SXF_COMMIT);
        if (at > last || f->n_links == ATTEST_LINKS_MAX)
            err = REEVE_E_NOT_FOUND;
        else
            err = content_header(storage_kv(t), at->vote.b.view, &at->vote.b.hash, &f->link[f->n_links++]);
    }
    storage_abort(t);
    *view = at <= last ? at->vote.b.view : 0;
    return err;
}

static enum reeve_err finalization_of(struct voter *v, const struct simplex_effect *e, struct finalization *f)
{
    static struct simplex_cert cert;
    uint64_t view = e->vote.b.view;
    enum reeve_err err;
    memset(f, 0, sizeof *f);
    if (!e->flag)
        TRY(links_of(v, e, f, &view));
    TRY(simplex_cert_get(v->engine, SX_FINALIZE, view, &cert));
    f->n_bits = v->chain.set.n;
    f->n_sigs = cert.n_sigs;
    memcpy(f->bitmap, cert.bitmap, sizeof f->bitmap);
    memcpy(f->sig, cert.sig, cert.n_sigs * sizeof cert.sig[0]);
out:
    return err;
}

/* A quorum found it valid before we had looked at it. */
static void adopt(struct voter *v, const struct simplex_block *b)
{
    const struct offer *o = net_offer(v, b->view, &b->hash);
    if (o != NULL && draft_decode(&v->draft, slice_of(o->content, o->len)) == REEVE_OK &&
        content_save(&v->chain, &v->draft) != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "the content of a final block could not be kept; it is asked for");
    draft_clear(v);
}

/* NOT_FOUND: content of it, or of what makes it final, is not here. */
static enum reeve_err store_block(struct voter *v, const struct simplex_effect *e, struct wr *block, struct report *rep)
{
    static struct finalization f;
    if (e->vote.b.height != v->chain.head.height + 1 || !hash32_eq(&e->vote.b.parent_hash, &v->chain.head.header_hash))
        return REEVE_E_NOT_FOUND;
    adopt(v, &e->vote.b);
    enum reeve_err err = finalization_of(v, e, &f);
    return err == REEVE_OK ? chain_commit(&v->chain, &e->vote.b, &f, block, rep) : err;
}

static void failed(struct voter *v, enum reeve_err err, struct report *rep)
{
    report_set(rep, err, "%s", reeve_err_text(err));
    log_report(LOG_SEV_ERROR, rep);
    drive_die(v, err, "a final block could not be stored");
}

/* Final by its own certificate: that one leads down to what is missing. Others are below one that is. */
static void missing(struct voter *v, const struct simplex_effect *e)
{
    if (e->flag)
        catchup_behind(v, &e->vote.b, NULL);
    else
        catchup_want(v, e->vote.b.height);
}

/* A store that is full ends the process as well: the votes are kept, and the next start commits the same block. */
static void commit(struct voter *v, const struct simplex_effect *e)
{
    struct report rep = { .code = REEVE_OK };
    if (e->vote.b.height <= v->chain.head.height)
        return;                         /* others' finalization was faster */
    struct wr block = wr_heap(ATTEST_BLOCK_MAX + 4096);
    enum reeve_err err = store_block(v, e, &block, &rep);
    if (err == REEVE_OK) {
        peers_push(v, wr_slice(&block));
        queue_sift(v);
        drive_work(v);
    } else if (err == REEVE_E_NOT_FOUND && !alone(v))
        missing(v, e);
    else
        failed(v, err, &rep);
    wr_free(&block);
}

void effect_caught_up(struct voter *v)
{
    struct simplex_event e = { .type = SXE_COMMITTED, .signer = chain_leader(&v->chain),
                               .vote = { SX_FINALIZE, chain_committed(&v->chain) } };
    if (v->epoch == v->chain.set.epoch)
        drive_event(v, &e);
    else
        drive_turn(v);
    queue_sift(v);
    drive_work(v);
    if (v->check.b.view != 0)
        check_run(v, &v->check);
}

/* The engine sends certificates again while nothing moves; each is kept once. */
static bool is_new(struct voter *v, const struct simplex_vote *vote)
{
    for (unsigned i = 0; i < CERTS_SEEN; i++)
        if (v->seen[i].view == vote->b.view && v->seen[i].type == vote->type)
            return false;
    v->seen[v->seen_turn++ % CERTS_SEEN] = (struct seen){ vote->b.view, vote->type };
    return true;
}

static void keep_cert(struct voter *v, const struct simplex_vote *vote)
{
    if (alone(v))
        return;
    net_send_cert(v, vote);
    if (!is_new(v, vote))
        return;
    if (v->n_certs == CERTS_MAX) {
        enum reeve_err err = chain_certs_save(&v->chain, v->cert, v->n_certs);
        v->n_certs = 0;
        if (err != REEVE_OK)
            log_limited(LOG_SEV_WARNING, "certificates could not be kept: %s", reeve_err_text(err));
    }
    if (simplex_cert_get(v->engine, (enum simplex_type) vote->type, vote->b.view, &v->cert[v->n_certs]) == REEVE_OK)
        v->n_certs++;
}

void effect_obey(struct voter *v, const struct simplex_effect *e)
{
    switch (e->type) {
    case SXF_BUILD: build(v, &e->vote); break;
    case SXF_CHECK: check_run(v, &e->vote); break;
    case SXF_SIGN: sign_ask(v, &e->vote); break;
    case SXF_COMMIT: commit(v, e); break;
    case SXF_SEND_PROPOSAL: net_send_proposal(v, &e->vote, &e->sig); break;
    case SXF_SEND_VOTE: net_send_vote(v, &e->vote, &e->sig); break;
    case SXF_SEND_CERT: keep_cert(v, &e->vote); break;
    case SXF_BEHIND: catchup_behind(v, &e->vote.b, NULL); break;
    case SXF_EVIDENCE: evidence_found(v, e->signer, &e->other, &e->other_sig, &e->vote, &e->sig); break;
    case SXF_WANT: net_want_certs(v, e->vote.b.view); break;
    default:
        drive_die(v, REEVE_E_BUG, "an effect nobody knows");
    }
}
