/*
 * checkpoint.c - a checkpoint with the cosignatures of all validators that answer
 *
 * The signer beside us makes the note; in a federation the lines of the others are asked for, by way of the process of the links,
 * and put behind it. Without them the note is what it was: whoever needs a quorum sees that it is none.
 */
#include "backend/ring/ring_int.h"

#include <stdlib.h>

#include "backend/utils/log.h"
#include "engine/attest_history.h"
#include "engine/note.h"

#define GATHER_MS 5000                      /* the federation process answers sooner (COSIGN_WAIT_MS) */

struct checkpoint_call {
    struct ring *r;
    key_done *done;
    void *arg;
    struct wr result;                       /* 32 log key, str32 note */
};

static void finish(struct checkpoint_call *c, enum reeve_err err, const struct report *rep)
{
    c->done(c->arg, err, rep, err == REEVE_OK ? wr_slice(&c->result) : slice_of(NULL, 0));
    wr_free(&c->result);
    free(c);
}

/* The lines belong to a note of 4 + 32 bytes further on; its length is patched. */
static void append(struct checkpoint_call *c, struct slice lines)
{
    size_t len = c->result.len - 36 + lines.len;
    if (len > CHECKPOINT_NOTE_MAX)
        return;
    wr_bytes(&c->result, lines.p, lines.len);
    if (!c->result.bad)
        wr_patch_u32(&c->result, 32, (uint32_t) len);
}

static void gathered(void *arg, struct ipc_answer *a)
{
    struct checkpoint_call *c = arg;
    if (a->err == REEVE_OK)
        append(c, a->result);
    else
        log_debug("no cosignatures of others: %s", reeve_err_text(a->err));
    finish(c, c->result.bad ? REEVE_E_NOMEM : REEVE_OK, NULL);
}

/* What the lines are asked for: size and root of the note. */
static bool head_of(struct slice result, struct wr *out)
{
    static struct note note;
    struct checkpoint cp;
    struct rd in = rd_of(result);
    (void) rd_bytes(&in, 32);
    struct slice text = rd_str32(&in, HISTORY_NOTE_MAX);
    if (!rd_done(&in) || note_parse(&note, text) != REEVE_OK || checkpoint_parse(&cp, note.text) != REEVE_OK)
        return false;
    wr_u64(out, cp.size);
    wr_bytes(out, cp.root.b, 32);
    return !out->bad;
}

static void made(void *arg, enum reeve_err err, const struct report *rep, struct slice result)
{
    struct checkpoint_call *c = arg;
    uint8_t mem[64];
    struct wr ask = wr_fixed(mem, sizeof mem);
    wr_bytes(&c->result, result.p, result.len);
    struct ipc_link *to = c->r->regions;
    if (err == REEVE_OK && c->result.bad)
        err = REEVE_E_NOMEM;
    if (err != REEVE_OK || to == NULL || !head_of(result, &ask) ||
        ipc_link_request(to, MSG_COSIGN, wr_slice(&ask), GATHER_MS, gathered, c) != REEVE_OK)
        finish(c, err, rep);
}

enum reeve_err checkpoint_call(struct ring *r, struct slice body, key_done *done, void *arg)
{
    if (body.len <= 1)                      /* from which size? */
        return key_call(r, MSG_SIGN_CHECKPOINT, body, done, arg);
    struct checkpoint_call *c = calloc(1, sizeof *c);
    if (c == NULL)
        return REEVE_E_NOMEM;
    *c = (struct checkpoint_call){ .r = r, .done = done, .arg = arg, .result = wr_heap(HISTORY_NOTE_MAX + 64) };
    enum reeve_err err = key_call(r, MSG_SIGN_CHECKPOINT, body, made, c);
    if (err != REEVE_OK) {
        wr_free(&c->result);
        free(c);
    }
    return err;
}
