/*
 * catchup.c - blocks that are final and not here
 *
 * By height, asked for through the federation process from one server after
 * another; each is verified and applied here before the engine hears of it.
 * Where nobody has stored the block yet, which its voters may all be about to,
 * its content is asked for by hash, then its parent's, down to the head: the
 * certificate at the top makes all of them final.
 */
#include "backend/validator/validator_int.h"

#include "backend/utils/log.h"
#include "crypto/ops.h"

#define FETCH_TIMEOUT_MS 10000
#define RETRY_MS 500

static void on_retry(void *arg)
{
    struct voter *v = arg;
    if (v->wanted > v->chain.head.height)
        catchup_ask(v);
    catchup_content(v);
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
    struct simplex_status st = { .committed = chain_committed(&v->chain) };
    if (v->engine != NULL)
        simplex_status(v->engine, &st);
    v->wanted = st.committed.height > v->behind.height ? st.committed.height : v->behind.height;
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
        catchup_content(v);
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

/* ---- by hash ---- */

void catchup_behind(struct voter *v, const struct simplex_block *b, const struct simplex_cert *cert)
{
    static struct simplex_cert held;
    if (b->height <= v->chain.head.height)
        return;
    if (cert == NULL && v->engine != NULL && simplex_cert_get(v->engine, SX_FINALIZE, b->view, &held) == REEVE_OK)
        cert = &held;
    if (b->view >= v->behind.view) {
        v->behind = *b;
        if (cert != NULL)
            v->behind_cert = *cert;
    }
    catchup_want(v, b->height);
}

/* Content of it in the store, from an offer if need be. False: it was asked for. */
static bool have(struct voter *v, uint64_t view, const struct hash32 *hash, struct block_header *h)
{
    const struct offer *o = net_offer(v, view, hash);
    enum reeve_err err = content_load(&v->chain, view, hash, &v->draft);
    if (err != REEVE_OK && o != NULL) {
        err = draft_decode(&v->draft, slice_of(o->content, o->len));
        if (err == REEVE_OK)
            err = content_save(&v->chain, &v->draft);
    }
    *h = v->draft.header;
    if (err != REEVE_OK)
        net_want(v, view, hash);
    return err == REEVE_OK;
}

/* From the block that is final down to the head's child: their headers, the highest first; 0: not all are here. */
static size_t walk_down(struct voter *v, struct block_header list[ATTEST_LINKS_MAX + 1])
{
    uint64_t view = v->behind.view;
    struct hash32 hash = v->behind.hash;
    for (size_t n = 0; n <= ATTEST_LINKS_MAX && view > v->chain.head.header.view;) {
        if (!have(v, view, &hash, &list[n]))
            return 0;
        view = list[n].parent_view;
        hash = list[n++].parent_hash;
        if (hash32_eq(&hash, &v->chain.head.header_hash))
            return n;
    }
    return 0;
}

/* list[at] is the head's child; those above it are its links. */
static enum reeve_err commit_one(struct voter *v, const struct block_header list[], size_t at)
{
    static struct finalization f;
    struct report rep = { .code = REEVE_OK };
    struct simplex_block b = { list[at].view, list[at].height, list[at].parent_view, { { 0 } }, list[at].parent_hash };
    struct wr block = wr_heap(ATTEST_BLOCK_MAX);
    memset(&f, 0, sizeof f);
    header_hash(&crypto_ops_real, &b.hash, &list[at]);
    for (size_t i = at; i > 0; i--)
        f.link[f.n_links++] = list[i - 1];
    f.n_bits = v->chain.set.n;
    f.n_sigs = v->behind_cert.n_sigs;
    memcpy(f.bitmap, v->behind_cert.bitmap, sizeof f.bitmap);
    memcpy(f.sig, v->behind_cert.sig, f.n_sigs * sizeof f.sig[0]);
    enum reeve_err err = chain_commit(&v->chain, &b, &f, &block, &rep);
    if (err == REEVE_OK)
        peers_push(v, wr_slice(&block));
    else
        log_limited(LOG_SEV_WARNING, "a final block could not be stored: %s", rep.code != REEVE_OK ? rep.message : reeve_err_text(err));
    wr_free(&block);
    return err;
}

void catchup_content(struct voter *v)
{
    static struct block_header list[ATTEST_LINKS_MAX + 1];
    if (v->behind.view == 0)
        return;
    if (v->behind.height <= v->chain.head.height) {
        v->behind.view = 0;
        return;
    }
    if (v->behind_cert.b.view != v->behind.view)
        return;
    size_t n = walk_down(v, list);
    uint64_t before = v->chain.head.height;
    /* What is above the end of an epoch are its closers. */
    while (n > 0 && v->epoch == v->chain.set.epoch && commit_one(v, list, n - 1) == REEVE_OK)
        n--;
    if (v->chain.head.height > before) {
        log_info("caught up to height %llu with content of other validators", (unsigned long long) v->chain.head.height);
        effect_caught_up(v);
    } else
        retry_later(v);
}
