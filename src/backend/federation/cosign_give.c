/*
 * cosign_give.c - the cosignature of the validator here, for other regions that ask for it
 *
 * What is asked for is looked up in our own store: the finalization of the block with which the log came to that size goes to
 * the signer, which verifies it itself and that the log extends what it cosigned last. So nobody's word gets a cosignature
 * for what is not final. What is not here yet is waited for; what the signer has cosigned past is not given any more.
 */
#include "backend/federation/cosign_int.h"

#include <stdlib.h>

#include "backend/utils/log.h"

#define SIGNER_MS 5000
#define OF_ONE_LINK 4
#define BUNDLE_MAX 65536

static int64_t now(const struct cosigning *c)
{
    return loop_now(c->f->loop).ms;
}

/* ---- what was cosigned lately ---- */

static const struct cosign_line *recent(const struct cosigning *c, const struct letter_cosign *of)
{
    for (unsigned i = 0; i < COSIGN_RECENT; i++) {
        const struct cosign_line *l = &c->recent[i];
        if (l->len > 0 && cosign_same(&l->of, of) && now(c) - l->at_ms < COSIGN_FRESH_MS)
            return l;
    }
    return NULL;
}

static void remember(struct cosigning *c, const struct letter_cosign *of, struct slice line)
{
    struct cosign_line *l = &c->recent[c->next++ % COSIGN_RECENT];
    l->of = *of;
    l->at_ms = now(c);
    l->len = line.len;
    memcpy(l->text, line.p, line.len);
}

/* ---- wishes ---- */

static void wish_end(struct cosigning *c, unsigned i)
{
    c->wish[i] = c->wish[--c->n_wishes];
}

static void give_up(struct cosigning *c, const struct letter_cosign *of)
{
    for (unsigned i = c->n_wishes; i-- > 0;)
        if (cosign_same(&c->wish[i].of, of))
            wish_end(c, i);
}

static void send_line(struct cosigning *c, uint32_t link, const struct cosign_line *l)
{
    uint8_t mem[LETTER_LINE_MAX + 64];
    struct wr w = wr_fixed(mem, sizeof mem);
    const struct fed_link *k = fed_link_find(c->f, link);
    letter_cosigned_encode(&(struct letter_cosigned){ l->of, slice_of(l->text, l->len) }, &w);
    if (k != NULL && !w.bad && fed_send(c->f, k, wr_slice(&w)))
        peers_flush(c->f->peers);
}

/* Those that can be granted out of what is there; those whose time is over. */
static void grant(struct cosigning *c)
{
    for (unsigned i = c->n_wishes; i-- > 0;) {
        const struct cosign_line *l = recent(c, &c->wish[i].of);
        if (l != NULL)
            send_line(c, c->wish[i].link, l);
        if (l != NULL || now(c) >= c->wish[i].until_ms)
            wish_end(c, i);
    }
}

void cosign_serve(struct fed *f, const struct fed_link *k, struct slice body)
{
    struct cosigning *c = f->cosigning;
    struct cosign_wish w = { .link = k->id, .until_ms = loop_now(f->loop).ms + COSIGN_WAIT_MS };
    unsigned theirs = 0;
    for (unsigned i = 0; i < c->n_wishes; i++)
        theirs += c->wish[i].link == k->id;
    if (c->signer == NULL || letter_cosign_decode(&w.of, body) != REEVE_OK || theirs >= OF_ONE_LINK ||
        c->n_wishes == COSIGN_SERVES_MAX)
        return;
    c->wish[c->n_wishes++] = w;
    cosign_give(c);
}

/* ---- the signer ---- */

/* The note's last line, when there is one of ours. */
static struct slice last_line(struct slice note)
{
    size_t at = note.len;
    if (at > 0)
        at--;
    while (at > 0 && note.p[at - 1] != '\n')
        at--;
    return slice_of(note.p + at, note.len - at);
}

static void on_signed(void *arg, struct ipc_answer *a)
{
    struct cosigning *c = arg;
    struct rd in = rd_of(a->result);
    c->asking = false;
    if (a->err == REEVE_E_AGAIN || a->err == REEVE_E_CLOSED)
        return;                             /* looked at again soon */
    (void) rd_bytes(&in, 32);
    struct slice line = last_line(rd_str32(&in, HISTORY_NOTE_MAX));
    if (a->err == REEVE_OK && rd_done(&in) && line.len <= LETTER_LINE_MAX && cosign_whose(c, &c->asked, line) >= 0)
        remember(c, &c->asked, line);
    else {
        log_limited(LOG_SEV_WARNING, "a checkpoint was not cosigned: %s", a->err == REEVE_OK ? "the signer's line is not ours" : a->rep.message);
        give_up(c, &c->asked);
    }
    cosign_give(c);
}

static enum reeve_err request_make(struct cosigning *c, uint64_t from, struct wr *out)
{
    struct fed_view v;
    struct wr bundle = wr_heap(BUNDLE_MAX);
    enum reeve_err err = fed_view_open(c->f, &v);
    if (err == REEVE_OK) {
        err = attest_bundle_of_size(&v.attest, from, c->asked.size, &c->asked.root, &bundle);
        fed_view_close(&v);
    }
    wr_u8(out, 1);
    wr_u64(out, from);
    wr_str32(out, wr_slice(&bundle));
    wr_free(&bundle);
    return err == REEVE_OK && out->bad ? REEVE_E_TOO_BIG : err;
}

/* From which size the signer wants it proved. */
static void on_size(void *arg, struct ipc_answer *a)
{
    struct cosigning *c = arg;
    struct rd in = rd_of(a->result);
    struct wr body = wr_heap(BUNDLE_MAX + 64);
    uint64_t from = rd_u64(&in);
    enum reeve_err err = a->err != REEVE_OK ? REEVE_E_AGAIN : rd_done(&in) ? request_make(c, from, &body) : REEVE_E_MALFORMED;
    if (err == REEVE_OK)
        err = ipc_link_request(c->signer, MSG_SIGN_CHECKPOINT, wr_slice(&body), SIGNER_MS, on_signed, c);
    wr_free(&body);
    if (err == REEVE_OK)
        return;
    c->asking = false;
    if (err == REEVE_E_V_CONSISTENCY)
        give_up(c, &c->asked);
}

/* Is it in our log? V_CONSISTENCY: never will be. */
static enum reeve_err in_log(struct cosigning *c, const struct letter_cosign *of)
{
    uint8_t mem[BUNDLE_MAX];
    struct fed_view v;
    struct wr w = wr_fixed(mem, sizeof mem);
    enum reeve_err err = fed_view_open(c->f, &v);
    if (err != REEVE_OK)
        return err;
    err = attest_bundle_of_size(&v.attest, of->size, of->size, &of->root, &w);
    fed_view_close(&v);
    return err;
}

static void refuse(struct cosigning *c, const struct cosign_wish *w)
{
    const struct fed_link *k = fed_link_find(c->f, w->link);
    log_limited(LOG_SEV_WARNING, "region \"%s\" asks for a cosignature over a log of %llu leaves that is not ours", k ? k->region.s : "?",
                (unsigned long long) w->of.size);
    struct letter_cosign of = w->of;
    give_up(c, &of);
}

void cosign_give(struct cosigning *c)
{
    grant(c);
    if (c->signer == NULL || c->asking || !ipc_link_is_up(c->signer))
        return;
    for (unsigned i = 0; i < c->n_wishes; i++) {
        enum reeve_err err = in_log(c, &c->wish[i].of);
        if (err == REEVE_E_V_CONSISTENCY) {
            refuse(c, &c->wish[i]);
            return;                         /* the list has changed; the rest comes soon */
        }
        if (err != REEVE_OK)
            continue;
        c->asked = c->wish[i].of;
        uint8_t ask = 0;
        c->asking = ipc_link_request(c->signer, MSG_SIGN_CHECKPOINT, slice_of(&ask, 1), SIGNER_MS, on_size, c) == REEVE_OK;
        return;
    }
}

/* ---- opening ---- */

enum reeve_err cosign_open(struct fed *f)
{
    struct ipc_link_handler h = { 0 };
    struct cosigning *c = calloc(1, sizeof *c);
    if (c == NULL)
        return REEVE_E_NOMEM;
    c->f = f;
    f->cosigning = c;
    return f->validator == NULL ? REEVE_OK
                                : ipc_link_open(&c->signer, f->child->postmaster, f->loop, PROC_FEDERATION, PROC_SIGNER, &h);
}

void cosign_close(struct fed *f)
{
    struct cosigning *c = f->cosigning;
    if (c == NULL)
        return;
    cosign_drop(f, NULL);
    ipc_link_close(c->signer);
    free(c);
    f->cosigning = NULL;
}
