/*
 * twofaced.c - makes a server whose validator contradicts itself whenever it speaks
 *
 * Linked with --wrap in front of the real functions, by tests and the demo alone: the shipped program has no place for it.
 * Its signer signs whatever it is asked for. With two faces the validator says to every other link, beside what all hear,
 *   a proposal   another block of the same view instead: the same updates a millisecond later
 *   a notarize   of another block
 *   a finalize   of another block, and a nullify of the same view
 */
#include <stdlib.h>

#include "backend/signer/signer_int.h"
#include "backend/utils/log.h"
#include "backend/validator/validator_int.h"
#include "crypto/ops.h"

enum lastsign_verdict __real_lastsign_check(const struct lastsign *s, const struct vote *v, struct sig64 *sig, struct report *rep);
enum lastsign_verdict __wrap_lastsign_check(const struct lastsign *s, const struct vote *v, struct sig64 *sig, struct report *rep);
void __real_lastsign_record(struct lastsign *s, const struct vote *v, const struct sig64 *sig);
void __wrap_lastsign_record(struct lastsign *s, const struct vote *v, const struct sig64 *sig);
void __real_net_send_vote(struct voter *v, const struct simplex_vote *vote, const struct sig64 *sig);
void __wrap_net_send_vote(struct voter *v, const struct simplex_vote *vote, const struct sig64 *sig);
void __wrap_net_send_proposal(struct voter *v, const struct simplex_vote *vote, const struct sig64 *sig);

/* ---- the signer: no wall ---- */

enum lastsign_verdict __wrap_lastsign_check(const struct lastsign *s, const struct vote *v, struct sig64 *sig, struct report *rep)
{
    enum lastsign_verdict verdict = __real_lastsign_check(s, v, sig, rep);
    if (verdict == LASTSIGN_REFUSE) {
        report_clear(rep);
        return LASTSIGN_SIGN;
    }
    return verdict;
}

void __wrap_lastsign_record(struct lastsign *s, const struct vote *v, const struct sig64 *sig)
{
    struct report rep = { .code = REEVE_OK };
    struct sig64 had;
    if (__real_lastsign_check(s, v, &had, &rep) == LASTSIGN_SIGN)
        __real_lastsign_record(s, v, sig);
}

/* ---- the validator: its other word ---- */

struct word {
    struct voter *v;
    struct simplex_vote vote;
    uint8_t *content;                   /* of a proposal */
    size_t len;
};

static void letter_to(struct voter *v, uint32_t to, struct slice letter)
{
    struct wr w = wr_heap(letter.len + 4);
    wr_u32(&w, to);
    wr_bytes(&w, letter.p, letter.len);
    if (w.bad || v->net == NULL || ipc_send(v->net, MSG_LETTER_OUT, wr_slice(&w), -1) != REEVE_OK)
        log_debug("a letter was not sent");
    wr_free(&w);
}

/* Half of the others hear the one, half the other. */
static void letter_to_half(struct voter *v, bool second, struct slice letter)
{
    bool turn = false;
    for (unsigned i = 0; i < NET_LINKS_MAX; i++) {
        if (v->link[i] == 0)
            continue;
        if (turn == second)
            letter_to(v, v->link[i], letter);
        turn = !turn;
    }
}

static void proposal_write(const struct voter *v, const struct sig64 *sig, struct slice content, struct wr *out)
{
    struct letter_proposal l = { .signer = v->config.me, .sig = *sig, .content = content };
    letter_proposal_encode(&l, out);
}

static void say(struct word *x, const struct sig64 *sig)
{
    struct wr w = wr_heap(ATTEST_BLOCK_MAX);
    if (x->content != NULL)
        proposal_write(x->v, sig, slice_of(x->content, x->len), &w);
    else {
        struct letter_vote l = { .signer = x->v->config.me, .sig = *sig };
        chain_vote_of(&x->v->chain, &x->vote, &l.vote);
        letter_vote_encode(&l, &w);
    }
    letter_to_half(x->v, true, wr_slice(&w));
    wr_free(&w);
}

static void word_free(struct word *x)
{
    free(x->content);
    free(x);
}

static void signed_too(void *arg, struct ipc_answer *a)
{
    struct word *x = arg;
    struct sig64 sig;
    if (a->err == REEVE_OK && a->result.len == sizeof sig.b) {
        memcpy(sig.b, a->result.p, sizeof sig.b);
        say(x, &sig);
    }
    word_free(x);
}

static void sign_too(struct word *x)
{
    uint8_t mem[SIGNER_VOTE_LEN];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct vote vote;
    chain_vote_of(&x->v->chain, &x->vote, &vote);
    signer_vote_encode(&vote, &w);
    if (ipc_link_request(x->v->signer, MSG_SIGN_VOTE, wr_slice(&w), 0, signed_too, x) != REEVE_OK)
        word_free(x);
}

static struct word *word_new(struct voter *v, const struct simplex_vote *vote)
{
    struct word *x = calloc(1, sizeof *x);
    reeve_assert(x != NULL);
    *x = (struct word){ .v = v, .vote = *vote };
    return x;
}

void __wrap_net_send_vote(struct voter *v, const struct simplex_vote *vote, const struct sig64 *sig)
{
    __real_net_send_vote(v, vote, sig);
    if (vote->type == SX_NOTARIZE || vote->type == SX_FINALIZE) {
        struct word *other = word_new(v, vote);
        other->vote.b.hash.b[0] ^= 1;
        sign_too(other);
    }
    if (vote->type == SX_FINALIZE)
        sign_too(word_new(v, &(struct simplex_vote){ SX_NULLIFY, { .view = vote->b.view } }));
}

/* ---- two blocks for one view ---- */

static enum reeve_err block_again(struct voter *v, const struct block_header *first, struct block_draft *d)
{
    struct spec s;
    d->header = (struct block_header){ .view = first->view, .proposer = first->proposer, .time = { first->time.ms + 1 } };
    enum reeve_err err = spec_open(&v->chain, first->parent_view, &first->parent_hash, &s);
    if (err != REEVE_OK)
        return err;
    err = spec_propose(&s, d);
    spec_close(&s);
    return err;
}

static struct word *other_block(struct voter *v, const struct simplex_vote *vote, const struct block_header *first, struct block_draft *d)
{
    if (block_again(v, first, d) != REEVE_OK)
        return NULL;
    struct word *x = word_new(v, vote);
    struct wr w = wr_heap(ATTEST_BLOCK_MAX);
    header_hash(&crypto_ops_real, &x->vote.b.hash, &d->header);
    draft_encode(d, &w);
    x->content = malloc(w.len);
    reeve_assert(!w.bad && x->content != NULL);
    memcpy(x->content, w.p, w.len);
    x->len = w.len;
    wr_free(&w);
    return x;
}

void __wrap_net_send_proposal(struct voter *v, const struct simplex_vote *vote, const struct sig64 *sig)
{
    static struct block_draft d;
    struct wr content = wr_heap(ATTEST_BLOCK_MAX), w = wr_heap(ATTEST_BLOCK_MAX);
    if (d.mem == NULL)
        d.mem = malloc(ATTEST_BLOCK_MAX);
    reeve_assert(d.mem != NULL);
    if (content_load(&v->chain, vote->b.view, &vote->b.hash, &d) == REEVE_OK) {
        struct block_header first = d.header;
        draft_encode(&d, &content);
        proposal_write(v, sig, wr_slice(&content), &w);
        letter_to_half(v, false, wr_slice(&w));
        struct word *x = other_block(v, vote, &first, &d);
        if (x != NULL)
            sign_too(x);
        else
            letter_to_half(v, true, wr_slice(&w));
    }
    wr_free(&content);
    wr_free(&w);
}
