/*
 * history.c - CREATE CHECKPOINT, and what the statements about the signed history share
 *
 * VERSION is an index in the log of the world (sys.history with log = 'global').
 * A head is taken once; the log only grows, so everything else may be read in
 * later snapshots.
 */
#include "history_int.h"

#include "backend/ipc/ipc.h"
#include "crypto/ops.h"

#define NOTE_TRIES 20
#define NOTE_PAUSE_MS 50
#define HEAD_BYTES_MAX 16384

enum reeve_err cmd_need_audit(struct cmd *x)
{
    return cmd_need(x, PRIV_AUDIT, GK_SYSTEM, NULL);
}

/* ---- heads and notes ---- */

static enum reeve_err no_head(struct cmd *x)
{
    return report_set(x->rep, REEVE_E_WRONG_STATE, "nothing has been attested yet");
}

enum reeve_err cmd_history_head(struct cmd *x, struct block_header *head)
{
    struct snap sn;
    struct attest_head h;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    err = attest_head(&sn.attest, &h);
    *head = h.header;
    snap_close(&sn);
    return err == REEVE_OK && h.height == 0 ? no_head(x) : err;
}

/* The request for a checkpoint of the newest head, proved from that size. */
static enum reeve_err note_request(struct cmd *x, uint64_t from, struct wr *body, struct block_header *head)
{
    struct snap sn;
    struct attest_head h;
    uint8_t mem[HEAD_BYTES_MAX];
    struct wr bundle = wr_fixed(mem, sizeof mem);
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    err = attest_head(&sn.attest, &h);
    if (err == REEVE_OK)
        err = h.height == 0 ? no_head(x) : h.log_size < from ? REEVE_E_AGAIN : attest_bundle(&sn.attest, from, NULL, 0, &bundle);
    snap_close(&sn);
    if (err != REEVE_OK)
        return err;
    *head = h.header;
    wr_u8(body, 1);
    wr_u64(body, from);
    wr_str32(body, wr_slice(&bundle));
    return body->bad || bundle.bad ? REEVE_E_TOO_BIG : REEVE_OK;
}

static enum reeve_err note_read(struct cmd *x, struct slice reply, struct head_note *out)
{
    struct rd r = rd_of(reply);
    rd_copy(&r, out->log_key.b, 32);
    out->note = arena_copy(x->arena, rd_str32(&r, HISTORY_NOTE_MAX));
    if (!rd_done(&r) || out->note.len == 0)
        return report_set(x->rep, REEVE_E_BUG, "the signer's answer is malformed");
    return REEVE_OK;
}

static enum reeve_err note_ask(struct cmd *x, struct wr *body, struct wr *reply, struct head_note *out)
{
    enum reeve_err err;
    wr_reset(body);
    wr_reset(reply);
    wr_u8(body, 0);
    TRY(ring_call(x->s, MSG_CREATE_CHECKPOINT, wr_slice(body), reply, x->rep));
    struct rd r = rd_of(wr_slice(reply));
    uint64_t from = rd_u64(&r);
    wr_reset(body);
    TRY(note_request(x, from, body, &out->head));
    wr_reset(reply);
    TRY(ring_call(x->s, MSG_CREATE_CHECKPOINT, wr_slice(body), reply, x->rep));
    err = note_read(x, wr_slice(reply), out);
out:
    return err;
}

enum reeve_err cmd_head_note(struct cmd *x, struct head_note *out)
{
    struct wr body = wr_heap(HEAD_BYTES_MAX + 64), reply = wr_heap(HISTORY_NOTE_MAX + 64);
    enum reeve_err err = REEVE_E_AGAIN;
    for (int i = 0; i < NOTE_TRIES && err == REEVE_E_AGAIN; i++) {
        if (i > 0 && (err = session_wait(x->s, -1, 0, NOTE_PAUSE_MS, x->rep)) != REEVE_E_AGAIN)
            break;
        report_clear(x->rep);
        err = note_ask(x, &body, &reply, out);
    }
    if (err == REEVE_E_AGAIN)
        err = report_set(x->rep, REEVE_E_UNAVAILABLE, "no checkpoint could be made of what this server has; others went on meanwhile");
    wr_free(&body);
    wr_free(&reply);
    return err;
}

/* ---- ranges ---- */

enum reeve_err cmd_history_version(struct cmd *x, const struct pvalue *v, uint64_t size, uint64_t *out)
{
    int64_t n;
    enum reeve_err err = slot_int(&x->slot, v, "version", 0, INT64_MAX, &n);
    if (err != REEVE_OK)
        return err;
    *out = (uint64_t) n;
    if (*out < size)
        return REEVE_OK;
    err = slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "version %lld is not in the log, whose last one is %llu", (long long) n,
                     (unsigned long long) size - 1);
    report_hint(x->rep, "Versions are those of SHOW HISTORY WHERE log = 'global'.");
    return err;
}

static enum reeve_err time_of(struct attest *a, uint64_t index, int64_t *ms)
{
    struct slice leaf, block;
    struct finalization f;
    uint64_t height;
    enum reeve_err err;
    TRY(attest_leaf(a, index, &leaf, &height));
    TRY(attest_block(a, height, &block));
    struct rd r = rd_of(block);
    TRY(finalization_decode(&f, &r));
    *ms = f.header.time.ms;
out:
    return err;
}

/* The first leaf not before t: header times rise with the index. */
static enum reeve_err first_since(struct attest *a, struct wall_ms t, uint64_t size, uint64_t *out)
{
    enum reeve_err err = REEVE_OK;
    uint64_t lo = 0, hi = size;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        int64_t ms = 0;
        TRY(time_of(a, mid, &ms));
        if (ms < t.ms)
            lo = mid + 1;
        else
            hi = mid;
    }
    *out = lo;
out:
    return err;
}

static enum reeve_err range_since(struct cmd *x, const struct pvalue *since, uint64_t size, uint64_t *from)
{
    struct wall_ms t;
    struct snap sn;
    enum reeve_err err;
    TRY(slot_time(&x->slot, since, "since", &t));
    TRY(snap_open_local(x->s, &sn, x->rep));
    err = first_since(&sn.attest, t, size, from);
    snap_close(&sn);
    if (err == REEVE_OK && *from == size)
        err = slot_error(&x->slot, since, REEVE_E_INVALID_VALUE, "nothing was attested since then");
out:
    return err;
}

enum reeve_err cmd_history_range(struct cmd *x, const struct block_header *head, uint64_t *from, uint64_t *to)
{
    const struct ast_history *h = &x->stmt->history;
    enum reeve_err err = REEVE_OK;
    if (head->log_size == 0)
        return no_head(x);
    *from = 0;
    *to = head->log_size - 1;
    if (pv_present(&h->since))
        return range_since(x, &h->since, head->log_size, from);
    if (!pv_present(&h->from))
        return REEVE_OK;
    TRY(cmd_history_version(x, &h->from, head->log_size, from));
    TRY(cmd_history_version(x, &h->to, head->log_size, to));
    if (*from > *to)
        err = slot_error(&x->slot, &h->to, REEVE_E_INVALID_VALUE, "the range ends before it begins");
out:
    return err;
}

/* ---- CREATE CHECKPOINT ---- */

const struct dest_column cmd_checkpoint_columns[5] = {
    { "height", T_INT8 }, { "checkpoint_size", T_INT8 }, { "root_hash", T_TEXT }, { "at", T_TIMESTAMPTZ }, { "checkpoint", T_TEXT },
};

struct datum cmd_hex(struct cmd *x, const struct hash32 *h)
{
    char *text = arena_alloc(x->arena, 65);
    if (text == NULL)
        return d_null();
    hex_encode(text, h->b, 32);
    return d_str(text);
}

enum reeve_err cmd_create_checkpoint(struct cmd *x)
{
    struct head_note n;
    enum reeve_err err;
    TRY(cmd_need_audit(x));
    TRY(cmd_head_note(x, &n));
    struct datum v[] = {
        d_int((int64_t) n.head.height), d_int((int64_t) n.head.log_size), cmd_hex(x, &n.head.log_root), d_wall(n.head.time),
        d_text(n.note),
    };
    TRY(dest_columns(x->dest, 5, cmd_checkpoint_columns));
    err = dest_row(x->dest, 5, v);
out:
    return err;
}
