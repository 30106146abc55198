/*
 * checkpoint.c - the checkpoint that is shown: made anew when the log has grown, and once in a while so that its cosignatures
 * show that somebody looks after it
 */
#include "backend/mirror/mirror_int.h"

#include <stdlib.h>

#include "backend/utils/log.h"

#define LOOK_MS  1000
#define FRESH_MS 60000
#define CALL_MS  20000
#define BUNDLE_MAX 16384

/* ---- showing ---- */

static unsigned quorum(struct mirror *m)
{
    struct mirror_view v;
    struct valset *set = malloc(sizeof *set);
    struct slice doc;
    unsigned q = 1;
    if (set != NULL && mirror_view_open(m, &v) == REEVE_OK) {
        if (attest_valset(&v.attest, set, &doc) == REEVE_OK)
            q = valset_quorum(set->n);
        mirror_view_close(&v);
    }
    free(set);
    return q;
}

/* A larger one, or a fresher one, unless it says less than the one before. */
static bool is_better(struct mirror *m, uint64_t size, unsigned cosigned)
{
    if (m->note.len == 0)
        return true;
    return size >= m->size && (cosigned >= quorum(m) || cosigned >= m->cosigned);
}

static void show(struct mirror *m, struct slice text)
{
    static struct note note;
    struct checkpoint cp;
    if (note_parse(&note, text) != REEVE_OK || checkpoint_parse(&cp, note.text) != REEVE_OK)
        return;
    unsigned cosigned = note.n > 0 ? note.n - 1 : 0;      /* the first line is the log's own */
    if (!is_better(m, cp.size, cosigned))
        return;
    uint8_t *copy = malloc(text.len);
    if (copy == NULL)
        return;
    memcpy(copy, text.p, text.len);
    free((void *) (uintptr_t) m->note.p);
    m->note = slice_of(copy, text.len);
    m->size = cp.size;
    m->cosigned = cosigned;
    m->made_ms = loop_now(m->loop).ms;
}

/* ---- asking ---- */

static void on_made(void *arg, struct ipc_answer *a)
{
    struct mirror *m = arg;
    struct rd in = rd_of(a->result);
    m->asking = false;
    (void) rd_bytes(&in, 32);
    struct slice text = rd_str32(&in, HISTORY_NOTE_MAX);
    if (a->err == REEVE_OK && rd_done(&in))
        show(m, text);
    else if (a->err != REEVE_E_AGAIN)
        log_limited(LOG_SEV_WARNING, "no new checkpoint for mirrors: %s", a->err == REEVE_OK ? "malformed" : a->rep.message);
}

static enum reeve_err request_make(struct mirror *m, uint64_t from, struct wr *body)
{
    uint8_t mem[BUNDLE_MAX];
    struct wr bundle = wr_fixed(mem, sizeof mem);
    struct mirror_view v;
    enum reeve_err err = mirror_view_open(m, &v);
    if (err != REEVE_OK)
        return err;
    err = attest_bundle(&v.attest, from, NULL, 0, &bundle);
    mirror_view_close(&v);
    wr_u8(body, 1);
    wr_u64(body, from);
    wr_str32(body, wr_slice(&bundle));
    return err == REEVE_OK && body->bad ? REEVE_E_TOO_BIG : err;
}

static void on_size(void *arg, struct ipc_answer *a)
{
    struct mirror *m = arg;
    struct rd in = rd_of(a->result);
    uint8_t mem[BUNDLE_MAX + 64];
    struct wr body = wr_fixed(mem, sizeof mem);
    uint64_t from = rd_u64(&in);
    m->asking = a->err == REEVE_OK && rd_done(&in) && request_make(m, from, &body) == REEVE_OK &&
                ipc_link_request(m->ring, MSG_CREATE_CHECKPOINT, wr_slice(&body), CALL_MS, on_made, m) == REEVE_OK;
}

static bool is_due(struct mirror *m)
{
    struct mirror_view v;
    struct attest_head head;
    if (m->asking || mirror_view_open(m, &v) != REEVE_OK)
        return false;
    enum reeve_err err = attest_head(&v.attest, &head);
    mirror_view_close(&v);
    return err == REEVE_OK && head.log_size > 0 &&
           (m->note.len == 0 || head.log_size != m->size || loop_now(m->loop).ms - m->made_ms > FRESH_MS);
}

static void on_look(void *arg)
{
    struct mirror *m = arg;
    uint8_t ask = 0;
    if (is_due(m))
        m->asking = ipc_link_request(m->ring, MSG_CREATE_CHECKPOINT, slice_of(&ask, 1), CALL_MS, on_size, m) == REEVE_OK;
    if (loop_timer_in(m->loop, &m->timer, LOOK_MS, on_look, m) != REEVE_OK)
        log_error("no timer for the mirror's checkpoint");
}

enum reeve_err checkpoint_start(struct mirror *m)
{
    struct ipc_link_handler h = { 0 };
    enum reeve_err err = ipc_link_open(&m->ring, m->child->postmaster, m->loop, PROC_MIRROR, PROC_RING, &h);
    if (err == REEVE_OK)
        on_look(m);
    return err;
}

void checkpoint_stop(struct mirror *m)
{
    loop_timer_cancel(m->loop, &m->timer);
    ipc_link_close(m->ring);
    free((void *) (uintptr_t) m->note.p);
    m->note = slice_of(NULL, 0);
}
