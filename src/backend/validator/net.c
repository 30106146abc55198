/*
 * net.c - other validators and regions: letters out, letters in
 *
 * The federation process carries them and knows which server sent one; what
 * they say counts by its signature. Nothing here waits for anybody: what
 * cannot be sent is lost, and the engine's standstill or the queue sends it
 * again.
 */
#include "backend/validator/validator_int.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/ops.h"

#define WANT_MS 500
#define CERTS_ANSWER_MAX 64

/* ---- out ---- */

/* to 0: every server of a region with a validator. The letter begins where the head ends. */
static void letter_out(struct voter *v, uint32_t to, struct wr *w)
{
    if (w->bad)
        return;
    wr_patch_u32(w, 0, to);
    enum reeve_err err = ipc_send(v->net, MSG_LETTER_OUT, wr_slice(w), -1);
    if (err != REEVE_OK)
        log_debug("a letter was not sent: %s", reeve_err_text(err));
}

/* False where there are no other regions. A set of one may have others that follow and submit. */
static bool letter_new(struct voter *v, size_t max, struct wr *w)
{
    if (v->net == NULL)
        return false;
    *w = wr_heap(max + 4);
    wr_u32(w, 0);
    return true;
}

void net_send_vote(struct voter *v, const struct simplex_vote *vote, const struct sig64 *sig)
{
    struct letter_vote l = { .signer = v->config.me, .sig = *sig };
    struct wr w;
    if (!letter_new(v, 512, &w))
        return;
    chain_vote_of(&v->chain, vote, &l.vote);
    letter_vote_encode(&l, &w);
    letter_out(v, 0, &w);
    wr_free(&w);
}

void net_send_proposal(struct voter *v, const struct simplex_vote *vote, const struct sig64 *sig)
{
    struct letter_proposal l = { .signer = v->config.me, .sig = *sig };
    struct wr w, content = wr_heap(ATTEST_BLOCK_MAX);
    if (letter_new(v, ATTEST_BLOCK_MAX, &w)) {
        if (content_load(&v->chain, vote->b.view, &vote->b.hash, &v->chain.work) == REEVE_OK) {
            draft_encode(&v->chain.work, &content);
            l.content = wr_slice(&content);
            letter_proposal_encode(&l, &w);
            letter_out(v, 0, &w);
        }
        wr_free(&w);
    }
    wr_free(&content);
}

static void send_cert(struct voter *v, const struct simplex_cert *cert, uint32_t to)
{
    static struct letter_cert l;
    struct wr w;
    if (!letter_new(v, 8192, &w))
        return;
    chain_cert_to(&v->chain, cert, &l);
    letter_begin(LETTER_CERT, &w);
    letter_cert_encode(&l, &w);
    letter_out(v, to, &w);
    wr_free(&w);
}

void net_send_cert(struct voter *v, const struct simplex_vote *vote)
{
    static struct simplex_cert cert;
    if (simplex_cert_get(v->engine, (enum simplex_type) vote->type, vote->b.view, &cert) == REEVE_OK)
        send_cert(v, &cert, 0);
}

void net_send_seats_wanted(struct voter *v, struct slice payload)
{
    struct wr w;
    if (!letter_new(v, payload.len + 16, &w))
        return;
    letter_begin(LETTER_SEATS_WANTED, &w);
    wr_bytes(&w, payload.p, payload.len);
    letter_out(v, LETTER_TO_ALL, &w);
    wr_free(&w);
}

void net_send_seat(struct voter *v, const struct letter_seat *l, uint32_t to)
{
    struct wr w;
    if (!letter_new(v, 512, &w))
        return;
    letter_seat_encode(l, &w);
    letter_out(v, to, &w);
    wr_free(&w);
}

void net_send_submission(struct voter *v, const struct submission *s, uint32_t to)
{
    struct letter_submit l = { v->chain.head.height, slice_of(s->mem, s->len) };
    struct wr w;
    if (!letter_new(v, s->len + 64, &w))
        return;
    letter_submit_encode(&l, &w);
    letter_out(v, to, &w);
    wr_free(&w);
}

void net_answer(struct voter *v, uint32_t to, const struct hash32 *digest, enum reeve_err err, const char *message)
{
    struct letter_answer l = { *digest, err, slice_str(message) };
    struct wr w;
    if (!letter_new(v, 1024, &w))
        return;
    letter_answer_encode(&l, &w);
    letter_out(v, to, &w);
    wr_free(&w);
}

void net_send_evidence(struct voter *v, struct slice body, uint32_t to)
{
    struct wr w;
    if (!letter_new(v, LETTER_EVIDENCE_LEN + 16, &w))
        return;
    letter_begin(LETTER_EVIDENCE, &w);
    wr_bytes(&w, body.p, body.len);
    letter_out(v, to, &w);
    wr_free(&w);
}

/* Another one each time. */
static void to_one(struct voter *v, struct wr *w)
{
    for (unsigned i = 0; i < NET_LINKS_MAX; i++) {
        uint32_t to = v->link[++v->want_turn % NET_LINKS_MAX];
        if (to != 0) {
            letter_out(v, to, w);
            return;
        }
    }
}

void net_want(struct voter *v, uint64_t view, const struct hash32 *hash)
{
    int64_t now = clock_mono().ms;
    struct wr w;
    bool same = v->want_view == view && now - v->want_ms < WANT_MS;
    if (same || !letter_new(v, 64, &w))
        return;
    v->want_ms = now;
    v->want_view = view;
    letter_begin(LETTER_WANT, &w);
    wr_u64(&w, view);
    wr_bytes(&w, hash->b, 32);
    to_one(v, &w);
    wr_free(&w);
}

void net_want_certs(struct voter *v, uint64_t view)
{
    struct wr w;
    if (!letter_new(v, 64, &w))
        return;
    letter_begin(LETTER_CERTS, &w);
    wr_u64(&w, view);
    to_one(v, &w);
    wr_free(&w);
}

/* ---- offers ---- */

static void offer_set(struct offer *o, uint64_t view, const struct hash32 *hash, struct slice content)
{
    free(o->content);
    *o = (struct offer){ .view = view, .hash = *hash, .content = malloc(content.len), .len = content.len };
    if (o->content != NULL)
        memcpy(o->content, content.p, content.len);
    else
        o->view = 0;
}

static bool offer_is(const struct offer *o, uint64_t view, const struct hash32 *hash)
{
    return o->view == view && o->content != NULL && hash32_eq(&o->hash, hash);
}

const struct offer *net_offer(const struct voter *v, uint64_t view, const struct hash32 *hash)
{
    for (unsigned i = 0; i < v->chain.set.n; i++)
        for (unsigned k = 0; k < OFFERS_EACH; k++)
            if (offer_is(&v->offer[i][k], view, hash))
                return &v->offer[i][k];
    return offer_is(&v->wanted_content, view, hash) ? &v->wanted_content : NULL;
}

/*
 * The oldest of the signer's gives way; the first of a view stays, as in the engine. NULL: it is kept, or too old; else the
 * offer of that view that was there.
 */
static const struct offer *offer_keep(struct voter *v, const struct simplex_event *e, struct slice content)
{
    const struct simplex_block *b = &e->vote.b;
    struct offer *oldest = &v->offer[e->signer][0];
    for (unsigned k = 0; k < OFFERS_EACH; k++) {
        struct offer *o = &v->offer[e->signer][k];
        if (o->content != NULL && o->view == b->view)
            return o;
        if (o->content == NULL || o->view < oldest->view)
            oldest = o;
    }
    if (oldest->content == NULL || oldest->view < b->view) {
        offer_set(oldest, b->view, &b->hash, content);
        oldest->sig = e->sig;
    }
    return NULL;
}

/* ---- in ---- */

static bool header_of(const struct chain *c, struct slice content, struct block_header *h, struct hash32 *hash)
{
    if (content.len < ATTEST_HEADER_LEN || content.len > ATTEST_BLOCK_MAX ||
        header_decode(h, slice_of(content.p, ATTEST_HEADER_LEN)) != REEVE_OK)
        return false;
    header_hash(&crypto_ops_real, hash, h);
    return hash32_eq(&h->chain_id, &c->head.chain_id) && h->epoch == c->set.epoch && hash32_eq(&h->valset_hash, &c->head.set_hash);
}

static struct simplex_vote proposal_of(const struct block_header *h, const struct hash32 *hash)
{
    return (struct simplex_vote){ SX_PROPOSE, { h->view, h->height, h->parent_view, *hash, h->parent_hash } };
}

/* Two blocks for one view, both signed: the engine hears of the first, whoever keeps evidence of both. */
static void proposed_twice(struct voter *v, const struct offer *first, const struct simplex_event *e)
{
    struct block_header h;
    struct hash32 hash;
    if (hash32_eq(&first->hash, &e->vote.b.hash) || !header_of(&v->chain, slice_of(first->content, first->len), &h, &hash))
        return;
    const struct simplex_vote had = proposal_of(&h, &hash);
    evidence_found(v, e->signer, &had, &first->sig, &e->vote, &e->sig);
}

/* D1 of simplex.h: the signature covers the very fields of the header, and the proposer named there is the signer. */
static void on_proposal(struct voter *v, struct slice body)
{
    struct letter_proposal l;
    struct block_header h;
    struct hash32 hash;
    struct simplex_event e = { .type = SXE_PROPOSAL };
    if (v->engine == NULL || letter_proposal_decode(&l, body) != REEVE_OK || !header_of(&v->chain, l.content, &h, &hash) ||
        h.proposer != l.signer || l.signer >= v->chain.set.n || l.signer == v->config.me || h.view <= v->chain.head.header.view)
        return;
    e.vote = proposal_of(&h, &hash);
    e.signer = l.signer;
    e.sig = l.sig;
    if (!v->config.verify(v->config.arg, &e.vote, l.signer, &l.sig)) {
        log_limited(LOG_SEV_WARNING, "a proposal in the name of validator %u is not signed by it", l.signer);
        return;
    }
    const struct offer *first = offer_keep(v, &e, l.content);
    if (first != NULL)
        proposed_twice(v, first, &e);
    if (net_offer(v, h.view, &e.vote.b.hash) != NULL)
        drive_event(v, &e);
}

static void on_vote(struct voter *v, struct slice body)
{
    struct letter_vote l;
    if (letter_vote_decode(&l, body) != REEVE_OK || !chain_vote_is_ours(&v->chain, &l.vote))
        return;
    struct simplex_event e = { .type = SXE_VOTE, .vote = chain_vote_from(&l.vote), .signer = l.signer, .sig = l.sig };
    drive_event(v, &e);
}

static void on_cert(struct voter *v, struct slice body)
{
    static struct letter_cert l;
    static struct simplex_cert cert;
    if (letter_cert_decode(&l, body) != REEVE_OK || !chain_vote_is_ours(&v->chain, &l.vote) || l.n_bits != v->chain.set.n)
        return;
    chain_cert_from(&l, &cert);
    struct simplex_event e = { .type = SXE_CERT, .cert = &cert };
    drive_event(v, &e);     /* from the loop: stepped before this returns */
    if (cert.type == SX_FINALIZE && v->behind.view == cert.b.view)
        catchup_behind(v, &cert.b, &cert);
}

static void on_submit(struct voter *v, uint32_t from, struct slice body)
{
    struct letter_submit l;
    if (letter_submit_decode(&l, body) == REEVE_OK)
        queue_add_copy(v, from, &l);
}

static void on_want(struct voter *v, uint32_t from, struct slice body)
{
    struct rd in = rd_of(body);
    struct hash32 hash;
    struct wr w;
    uint64_t view = rd_u64(&in);
    rd_copy(&in, hash.b, 32);
    if (!rd_done(&in) || content_load(&v->chain, view, &hash, &v->chain.work) != REEVE_OK || !letter_new(v, ATTEST_BLOCK_MAX, &w))
        return;
    letter_begin(LETTER_CONTENT, &w);
    draft_encode(&v->chain.work, &w);
    letter_out(v, from, &w);
    wr_free(&w);
}

/* Kept only while something is missing; who misses it looks whether it is that. */
static void on_content(struct voter *v, struct slice content)
{
    struct block_header h;
    struct hash32 hash;
    if ((v->check.b.view == 0 && v->behind.view == 0) || !header_of(&v->chain, content, &h, &hash))
        return;
    offer_set(&v->wanted_content, h.view, &hash, content);
    if (v->behind.view != 0)
        catchup_content(v);
    if (v->check.b.view != 0)
        check_run(v, &v->check);
}

struct certs { size_t n; struct simplex_cert cert[CERTS_ANSWER_MAX]; };
static enum reeve_err collect(void *arg, const struct simplex_cert *cert)
{
    struct certs *all = arg;
    all->cert[all->n++] = *cert;
    return REEVE_OK;
}

/* The newest block's finalization first, where that is news; then certificates view by view. */
static void on_certs(struct voter *v, uint32_t from, struct slice body)
{
    static struct certs all;
    struct rd in = rd_of(body);
    uint64_t view = rd_u64(&in);
    all.n = 0;
    if (!rd_done(&in))
        return;
    if (v->chain.head.header.view >= view && chain_head_cert(&v->chain, &all.cert[0]) == REEVE_OK)
        all.n = 1;
    if (v->n_certs > 0 && chain_certs_save(&v->chain, v->cert, v->n_certs) == REEVE_OK)
        v->n_certs = 0;
    if (chain_certs(&v->chain, view, CERTS_ANSWER_MAX - all.n, collect, &all) != REEVE_OK)
        log_debug("certificates could not be read");
    for (size_t i = 0; i < all.n; i++)
        send_cert(v, &all.cert[i], from);
}

static void on_letter(struct voter *v, uint32_t from, struct slice letter)
{
    struct slice body;
    switch (letter_open(letter, &body)) {
    case LETTER_PROPOSAL: on_proposal(v, body); break;
    case LETTER_VOTE: on_vote(v, body); break;
    case LETTER_CERT: on_cert(v, body); break;
    case LETTER_SUBMIT: on_submit(v, from, body); break;
    case LETTER_WANT: on_want(v, from, body); break;
    case LETTER_CONTENT: on_content(v, body); break;
    case LETTER_CERTS: on_certs(v, from, body); break;
    case LETTER_EVIDENCE: evidence_heard(v, body); break;
    case LETTER_SEATS_WANTED: seats_wanted(v, from, body); break;
    case LETTER_SEAT: seats_came(v, body); break;
    default: break;
    }
}

static void on_link(struct voter *v, uint32_t id, bool up)
{
    unsigned free_at = NET_LINKS_MAX, at = NET_LINKS_MAX;
    for (unsigned i = 0; i < NET_LINKS_MAX; i++) {
        if (v->link[i] == id)
            at = i;
        if (v->link[i] == 0 && free_at == NET_LINKS_MAX)
            free_at = i;
    }
    at = at < NET_LINKS_MAX ? at : free_at;
    if (at == NET_LINKS_MAX)
        return;
    v->link[at] = up ? id : 0;
    if (!up)
        return;
    queue_send_again(v, id);
    evidence_send(v, id);
}

void net_message(struct voter *v, struct ipc_msg *m)
{
    struct rd in = rd_of(m->body);
    if (m->type == MSG_CHAIN_AHEAD) {
        uint64_t height = rd_u64(&in);
        if (rd_done(&in))
            catchup_want(v, height);
        return;
    }
    uint32_t id = rd_u32(&in);
    if (m->type == MSG_LINK) {
        uint8_t up = rd_u8(&in);
        if (rd_done(&in) && id != 0)
            on_link(v, id, up);
    } else if (m->type == MSG_LETTER_IN) {
        struct slice letter = rd_bytes(&in, rd_left(&in));
        if (!in.bad)
            on_letter(v, id, letter);
    }
}

void net_forget_offers(struct voter *v)
{
    for (unsigned i = 0; i < ATTEST_VALIDATORS_MAX; i++)
        for (unsigned k = 0; k < OFFERS_EACH; k++)
            free(v->offer[i][k].content);
    free(v->wanted_content.content);
    memset(v->offer, 0, sizeof v->offer);
    memset(&v->wanted_content, 0, sizeof v->wanted_content);
}

void net_close(struct voter *v)
{
    net_forget_offers(v);
}
