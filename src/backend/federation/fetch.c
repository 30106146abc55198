/*
 * fetch.c - blocks by height: asked of one server after the other, verified, and served to others
 *
 * One that has nothing newer, does not answer or sends what does not verify
 * costs its turn. When all had theirs the answer is what was found: nothing
 * newer, or nobody to ask.
 */
#include "backend/federation/fed_int.h"

#include <stdlib.h>

#include "backend/utils/log.h"
#include "crypto/ops.h"

#define TURN_MS 1000

struct ask {
    struct ask *next;
    struct fed *f;
    struct ipc_channel *ch;                 /* a reference */
    uint64_t id, from, request;
    const struct fed_link *at;              /* whose turn it is */
    bool tried[FED_LINKS_MAX], answered;
    struct loop_timer timer;
};

static void next_turn(struct ask *a);

static void ask_free(struct ask *a)
{
    struct ask **at = &a->f->asks;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    a->f->n_asks--;
    loop_timer_cancel(a->f->loop, &a->timer);
    ipc_unref(a->ch);
    free(a);
}

static void on_turn_over(void *arg)
{
    next_turn(arg);
}

/* Those that say they have it come first; the list begins at another place each time. */
static const struct fed_link *choose(struct ask *a)
{
    struct fed *f = a->f;
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < f->n_links; i++) {
            unsigned at = (f->turn + i) % f->n_links;
            const struct fed_link *k = &f->link[at];
            if (a->tried[at] || k->way == 0 || (pass == 0 && k->head < a->from))
                continue;
            a->tried[at] = true;
            return k;
        }
    return NULL;
}

static void end_empty(struct ask *a)
{
    uint8_t mem[10];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct report rep = { .code = REEVE_OK };
    wr_u64(&w, a->from - 1);
    wr_u16(&w, 0);
    if (a->answered)
        ipc_reply(a->ch, a->id, wr_slice(&w));
    else
        ipc_reply_err(a->ch, a->id, report_set(&rep, REEVE_E_UNAVAILABLE, "no server of another region is linked and answers"), &rep);
    ask_free(a);
}

static void next_turn(struct ask *a)
{
    uint8_t mem[32];
    while ((a->at = choose(a)) != NULL) {
        struct wr w = wr_fixed(mem, sizeof mem);
        a->request = ++a->f->requests;
        letter_begin(LETTER_FETCH, &w);
        wr_u64(&w, a->request);
        wr_u64(&w, a->from);
        if (fed_send(a->f, a->at, wr_slice(&w)) && loop_timer_in(a->f->loop, &a->timer, TURN_MS, on_turn_over, a) == REEVE_OK) {
            peers_flush(a->f->peers);
            return;
        }
    }
    end_empty(a);
}

void fetch_ask(struct fed *f, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct rd in = rd_of(m->body);
    struct report rep = { .code = REEVE_OK };
    uint64_t from = rd_u64(&in);
    struct ask *a = f->n_asks < FED_ASKS_MAX ? calloc(1, sizeof *a) : NULL;
    if (!rd_done(&in) || from == 0 || a == NULL) {
        enum reeve_err err = a == NULL ? REEVE_E_BUSY : REEVE_E_MALFORMED;
        free(a);
        ipc_reply_err(ch, m->id, report_set(&rep, err, "blocks cannot be asked for now"), &rep);
        return;
    }
    *a = (struct ask){ .next = f->asks, .f = f, .ch = ipc_ref(ch), .id = m->id, .from = from };
    f->asks = a;
    f->n_asks++;
    if (f->n_links > 0)
        f->turn = (f->turn + 1) % f->n_links;
    next_turn(a);
}

void fetch_drop(struct fed *f, const struct ipc_channel *ch)
{
    for (struct ask *a = f->asks, *next; a; a = next) {
        next = a->next;
        if (ch == NULL || a->ch == ch)
            ask_free(a);
    }
}

/* ---- answers ---- */

/* Who decides the blocks of one answer, the first of which is in; each end of an epoch among them leads on. */
struct deciders { struct valset set; struct hash32 hash; };

static enum reeve_err begin(struct fed *f, struct slice block, struct deciders *d)
{
    struct block_header h;
    if (block.len < ATTEST_HEADER_LEN || header_decode(&h, slice_of(block.p, ATTEST_HEADER_LEN)) != REEVE_OK)
        return REEVE_E_MALFORMED;
    return fed_set_of(f, h.epoch, &d->set, &d->hash);
}

static enum reeve_err verify(struct fed *f, struct slice block, struct deciders *d, uint64_t *height)
{
    static struct finalization fin;
    enum reeve_err err = block_follow(&crypto_ops_real, block, &f->chain_id, &d->set, &d->hash, &fin);
    *height = fin.header.height;
    return err;
}

/* F1: each one, and that they are those asked for. */
static enum reeve_err verify_all(struct fed *f, uint64_t from, struct slice result, unsigned *n)
{
    static struct deciders d;
    struct rd in = rd_of(result);
    (void) rd_u64(&in);
    *n = rd_u16(&in);
    for (unsigned i = 0; i < *n && !in.bad; i++) {
        uint64_t height;
        struct slice block = rd_str32(&in, ATTEST_BLOCK_MAX);
        enum reeve_err err = in.bad ? REEVE_E_MALFORMED : i == 0 ? begin(f, block, &d) : REEVE_OK;
        if (err == REEVE_OK)
            err = verify(f, block, &d, &height);
        if (err != REEVE_OK)
            return err;
        if (height != from + i)
            return REEVE_E_V_HEIGHT;
    }
    return rd_done(&in) ? REEVE_OK : REEVE_E_MALFORMED;
}

static struct ask *ask_of(struct fed *f, const struct fed_link *k, uint64_t request)
{
    for (struct ask *a = f->asks; a; a = a->next)
        if (a->request == request && a->at == k)
            return a;
    return NULL;
}

void fetch_answered(struct fed *f, const struct fed_link *k, struct slice body)
{
    struct rd in = rd_of(body);
    uint64_t request = rd_u64(&in);
    struct slice result = rd_bytes(&in, rd_left(&in));
    struct ask *a = in.bad ? NULL : ask_of(f, k, request);
    unsigned n = 0;
    if (a == NULL)
        return;
    enum reeve_err err = verify_all(f, a->from, result, &n);
    if (err != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "region \"%s\" sent blocks that do not verify (%s)", k->region.s, reeve_err_name(err));
    if (err == REEVE_OK && n > 0) {
        ipc_reply(a->ch, a->id, result);
        ask_free(a);
        return;
    }
    a->answered |= err == REEVE_OK;
    next_turn(a);
}

void fetch_pushed(struct fed *f, const struct fed_link *k, struct slice body)
{
    struct rd in = rd_of(body);
    struct slice block = rd_str32(&in, ATTEST_BLOCK_MAX);
    static struct deciders d;
    struct block_header h;
    uint64_t height;
    if ((f->rings == NULL && f->validator == NULL) || !rd_done(&in) || block.len < ATTEST_HEADER_LEN ||
        header_decode(&h, slice_of(block.p, ATTEST_HEADER_LEN)) != REEVE_OK)
        return;
    if (h.height <= f->height)              /* several push the same */
        return;
    if (f->validator != NULL) {             /* one that is not in the set takes blocks by height */
        fed_tell_ahead(f, h.height);
        return;
    }
    enum reeve_err err = begin(f, block, &d);
    if (err == REEVE_OK)
        err = verify(f, block, &d, &height);
    if (err == REEVE_E_NOT_FOUND)           /* of an epoch whose beginning we have not seen: it will be fetched */
        return;
    if (err != REEVE_OK) {
        log_limited(LOG_SEV_WARNING, "region \"%s\" pushed a block that does not verify (%s)", k->region.s, reeve_err_name(err));
        return;
    }
    f->height = height;
    for (struct fed_ring *r = f->rings; r; r = r->next)
        if (ipc_send(r->ch, MSG_ATTEST_BLOCK, body, -1) != REEVE_OK)
            log_debug("a block was not pushed to the ring");
}

/* ---- serving ---- */

static void put_blocks(struct fed_view *v, uint64_t from, uint64_t head, struct wr *w)
{
    struct slice block;
    uint16_t n = 0;
    size_t count_at = w->len;
    wr_u16(w, 0);
    for (uint64_t h = from; h <= head && n < UINT16_MAX; h++, n++)
        if (attest_block(&v->attest, h, &block) != REEVE_OK || (n > 0 && w->len + block.len > FED_BLOCKS_MAX))
            break;
        else
            wr_str32(w, block);
    if (!w->bad) {
        w->p[count_at] = (uint8_t) (n >> 8);
        w->p[count_at + 1] = (uint8_t) n;
    }
}

void fetch_serve(struct fed *f, const struct fed_link *k, struct slice body)
{
    struct rd in = rd_of(body);
    uint64_t request = rd_u64(&in), from = rd_u64(&in);
    struct wr w = wr_heap(ATTEST_BLOCK_MAX + FED_BLOCKS_MAX);
    struct fed_view v;
    struct attest_head head;
    if (!rd_done(&in) || from == 0 || fed_view_open(f, &v) != REEVE_OK)
        return;
    if (attest_head(&v.attest, &head) == REEVE_OK) {
        letter_begin(LETTER_BLOCKS, &w);
        wr_u64(&w, request);
        wr_u64(&w, head.height);
        put_blocks(&v, from, head.height, &w);
    }
    fed_view_close(&v);
    if (!w.bad && w.len > 0)
        (void) fed_send(f, k, wr_slice(&w));
    wr_free(&w);
    peers_flush(f->peers);
}
