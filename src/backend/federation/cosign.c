/*
 * cosign.c - cosignatures of other validators over a checkpoint of ours, for the ring that asks
 *
 * Every region with a validator is asked at once; the answer goes out when all that are linked have answered, or when the
 * time is over, with what came. A line counts when it verifies under the key of a validator of the set: verifiers refuse a
 * whole note for one wrong line of a key they know, so none is passed on unverified.
 */
#include "backend/federation/cosign_int.h"

#include <stdlib.h>

#include "backend/utils/log.h"
#include "crypto/ops.h"

struct cosign_ask {
    struct cosign_ask *next;
    struct ipc_channel *ch;                 /* a reference */
    uint64_t id;
    struct letter_cosign of;
    int64_t until_ms;
    unsigned n, wanted;                     /* lines; links that were asked */
    bool have[ATTEST_VALIDATORS_MAX];
    struct wr lines;
};

bool cosign_same(const struct letter_cosign *a, const struct letter_cosign *b)
{
    return a->size == b->size && hash32_eq(&a->root, &b->root);
}

/* ---- judging ---- */

static void keys_make(struct cosigning *c)
{
    const struct valset *set = &c->f->set;
    for (unsigned i = 0; i < set->n; i++) {
        size_t len = history_cosigner(c->name[i], &c->f->chain_id, &set->v[i].name);
        note_key_init(&crypto_ops_real, &c->key[i], slice_of(c->name[i], len), NOTE_COSIGNATURE, &set->v[i].cosign_key);
    }
}

static bool note_make(const struct cosigning *c, const struct letter_cosign *of, struct slice line, struct wr *out)
{
    char origin[HISTORY_ORIGIN_LEN + 1];
    uint8_t mem[512];
    struct wr text = wr_fixed(mem, sizeof mem);
    history_origin(origin, &c->f->chain_id);
    checkpoint_format(&(struct checkpoint){ .origin = slice_of(origin, HISTORY_ORIGIN_LEN), .size = of->size, .root = of->root }, &text);
    note_put_text(out, wr_slice(&text));
    wr_bytes(out, line.p, line.len);
    return !text.bad && !out->bad;
}

int cosign_whose(struct cosigning *c, const struct letter_cosign *of, struct slice line)
{
    uint8_t mem[LETTER_LINE_MAX + 1024];
    struct wr w = wr_fixed(mem, sizeof mem);
    int whose = -1;
    if (!note_make(c, of, line, &w) || note_parse(&c->note, wr_slice(&w)) != REEVE_OK || c->note.n != 1)
        return -1;
    keys_make(c);
    memset(c->seen, 0, sizeof c->seen);
    if (note_verify(&crypto_ops_real, &c->note, c->key, c->f->set.n, c->seen, NULL, NULL) != REEVE_OK)
        return -1;
    for (unsigned i = 0; i < c->f->set.n; i++)
        if (c->seen[i])
            whose = (int) i;
    return whose;
}

/* ---- asking ---- */

static void ask_free(struct cosigning *c, struct cosign_ask *a)
{
    struct cosign_ask **at = &c->asks;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    c->n_asks--;
    ipc_unref(a->ch);
    wr_free(&a->lines);
    free(a);
}

static void ask_end(struct cosigning *c, struct cosign_ask *a)
{
    ipc_reply(a->ch, a->id, a->lines.bad ? slice_of(NULL, 0) : wr_slice(&a->lines));
    ask_free(c, a);
}

/* Letters are lost only with their link: nobody is asked twice. */
static void ask_all(struct cosigning *c, struct cosign_ask *a)
{
    uint8_t mem[64];
    struct wr w = wr_fixed(mem, sizeof mem);
    letter_cosign_encode(&a->of, &w);
    for (unsigned i = 0; i < c->f->n_links; i++) {
        const struct fed_link *k = &c->f->link[i];
        if (k->validates && k->way != 0 && fed_send(c->f, k, wr_slice(&w)))
            a->wanted++;
    }
    peers_flush(c->f->peers);
}

void cosign_ask(struct fed *f, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct cosigning *c = f->cosigning;
    struct report rep = { .code = REEVE_OK };
    struct letter_cosign of;
    bool sound = letter_cosign_decode(&of, m->body) == REEVE_OK;
    struct cosign_ask *a = sound && c->n_asks < COSIGN_ASKS_MAX ? calloc(1, sizeof *a) : NULL;
    if (a == NULL) {
        enum reeve_err err = sound ? REEVE_E_BUSY : REEVE_E_MALFORMED;
        ipc_reply_err(ch, m->id, report_set(&rep, err, "cosignatures cannot be asked for now"), &rep);
        return;
    }
    *a = (struct cosign_ask){ .next = c->asks, .ch = ipc_ref(ch), .id = m->id, .of = of,
                              .until_ms = loop_now(f->loop).ms + COSIGN_WAIT_MS };
    a->lines = wr_heap(HISTORY_NOTE_MAX);
    c->asks = a;
    c->n_asks++;
    ask_all(c, a);
    if (a->wanted == 0)
        ask_end(c, a);
}

void cosign_answered(struct fed *f, const struct fed_link *k, struct slice body)
{
    struct cosigning *c = f->cosigning;
    struct letter_cosigned l;
    struct cosign_ask *a = NULL;
    if (letter_cosigned_decode(&l, body) == REEVE_OK)
        for (a = c->asks; a && !cosign_same(&a->of, &l.of);)
            a = a->next;
    if (a == NULL)
        return;
    int whose = cosign_whose(c, &l.of, l.line);
    if (whose < 0)
        log_limited(LOG_SEV_WARNING, "region \"%s\" sent a cosignature that does not verify", k->region.s);
    for (struct cosign_ask *next; whose >= 0 && a; a = next) {
        next = a->next;
        if (!cosign_same(&a->of, &l.of) || a->have[whose])
            continue;
        a->have[whose] = true;
        wr_bytes(&a->lines, l.line.p, l.line.len);
        if (++a->n == a->wanted)
            ask_end(c, a);
    }
}

void cosign_look(struct fed *f)
{
    struct cosigning *c = f->cosigning;
    for (struct cosign_ask *a = c->asks, *next; a; a = next) {
        next = a->next;
        if (loop_now(f->loop).ms >= a->until_ms)
            ask_end(c, a);
    }
    cosign_give(c);
}

void cosign_drop(struct fed *f, const struct ipc_channel *ch)
{
    struct cosigning *c = f->cosigning;
    for (struct cosign_ask *a = c ? c->asks : NULL, *next; a; a = next) {
        next = a->next;
        if (ch == NULL || a->ch == ch)
            ask_free(c, a);
    }
}
