/* history_proof.c - SHOW PROOF, and single proofs as files: what of COPY HISTORY is text in other people's formats */
#include "history_int.h"

#include "crypto/ops.h"

/* ---- one leaf under a head ---- */

const struct dest_column cmd_proof_columns[6] = {
    { "version", T_INT8 }, { "height", T_INT8 }, { "leaf_hash", T_TEXT }, { "checkpoint_size", T_INT8 }, { "leaf", T_BYTEA },
    { "proof", T_TEXT },
};

struct proof_parts { struct tlog_proof p; struct slice leaf; uint64_t height; };

static enum reeve_err proof_read(struct cmd *x, uint64_t version, uint64_t size, struct proof_parts *out)
{
    struct snap sn;
    enum reeve_err err = snap_open_local(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    out->p.index = version;
    TRY(attest_inclusion(&sn.attest, version, size, out->p.path, &out->p.n));
    TRY(attest_leaf(&sn.attest, version, &out->leaf, &out->height));
    out->leaf = arena_copy(x->arena, out->leaf);
out:
    snap_close(&sn);
    return err;
}

/* The proof as text, in the heap. */
static enum reeve_err proof_make(struct cmd *x, const struct pvalue *slot, struct head_note *n, struct proof_parts *parts,
                                 struct wr *text)
{
    uint64_t version;
    enum reeve_err err;
    TRY(cmd_head_note(x, n));
    TRY(cmd_history_version(x, slot, n->head.log_size, &version));
    TRY(proof_read(x, version, n->head.log_size, parts));
    parts->p.note = n->note;
    tlog_proof_format(&parts->p, text);
    err = text->bad ? REEVE_E_NOMEM : REEVE_OK;
out:
    return err;
}

static enum reeve_err proof_row(struct cmd *x, const struct head_note *n, const struct proof_parts *parts, struct slice text)
{
    struct hash32 leaf_hash;
    merkle_leaf_hash(&crypto_ops_real, &leaf_hash, parts->leaf);
    struct datum v[] = {
        d_int((int64_t) parts->p.index), d_int((int64_t) parts->height), cmd_hex(x, &leaf_hash), d_int((int64_t) n->head.log_size),
        d_bytes(parts->leaf), d_text(text),
    };
    enum reeve_err err = dest_columns(x->dest, 6, cmd_proof_columns);
    return err == REEVE_OK ? dest_row(x->dest, 6, v) : err;
}

enum reeve_err cmd_show_proof(struct cmd *x)
{
    struct head_note n;
    struct wr text = wr_heap(HISTORY_NOTE_MAX);
    enum reeve_err err;
    struct proof_parts *parts = cmd_alloc(x, sizeof *parts, &err);
    if (parts == NULL)
        return err;
    TRY(cmd_need_audit(x));
    if (x->stmt->history.config) {
        err = cmd_show_config_proof(x);
        goto out;
    }
    TRY(proof_make(x, &x->stmt->history.from, &n, parts, &text));
    err = proof_row(x, &n, parts, wr_slice(&text));
out:
    wr_free(&text);
    return err;
}

/* ---- the same as files ---- */

static enum reeve_err one_version(struct cmd *x, const char *format)
{
    const struct ast_history *h = &x->stmt->history;
    int64_t from = 0, to = 1;
    enum reeve_err err = REEVE_OK;
    if (pv_present(&h->from)) {
        TRY(slot_int(&x->slot, &h->from, "version", 0, INT64_MAX, &from));
        TRY(slot_int(&x->slot, &h->to, "version", 0, INT64_MAX, &to));
    }
    if (from == to)
        return REEVE_OK;
    err = report_set(x->rep, REEVE_E_INVALID_VALUE, "a %s is about one version", format);
    report_hint(x->rep, "COPY HISTORY FROM VERSION n TO VERSION n TO STDOUT WITH (format = '%s').", format);
out:
    return err;
}

enum reeve_err cmd_copy_proof(struct cmd *x)
{
    struct head_note n;
    struct wr text = wr_heap(HISTORY_NOTE_MAX);
    enum reeve_err err;
    struct proof_parts *parts = cmd_alloc(x, sizeof *parts, &err);
    if (parts == NULL)
        return err;
    TRY(one_version(x, "proof"));
    TRY(proof_make(x, &x->stmt->history.from, &n, parts, &text));
    err = cmd_copy_text(x, wr_slice(&text));
out:
    wr_free(&text);
    return err;
}

/* The leaf's bytes, as the log hashes them. */
enum reeve_err cmd_copy_leaf(struct cmd *x)
{
    static const struct dest_column column = { "history", T_BYTEA };
    struct block_header head;
    uint64_t version;
    enum reeve_err err;
    struct proof_parts *parts = cmd_alloc(x, sizeof *parts, &err);
    if (parts == NULL)
        return err;
    TRY(one_version(x, "leaf"));
    TRY(cmd_history_head(x, &head));
    TRY(cmd_history_version(x, &x->stmt->history.from, head.log_size, &version));
    TRY(proof_read(x, version, head.log_size, parts));
    struct datum v = d_bytes(parts->leaf);
    TRY(dest_columns(x->dest, 1, &column));
    err = dest_row(x->dest, 1, &v);
out:
    return err;
}

/* ---- consistency, as a witness is asked (C2SP tlog-witness, add-checkpoint): old size, path, checkpoint ---- */

static enum reeve_err path_read(struct cmd *x, uint64_t old, uint64_t size, struct wr *text)
{
    struct snap sn;
    struct hash32 path[MERKLE_PATH_MAX];
    char line[64];
    size_t n;
    enum reeve_err err = snap_open_local(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    err = attest_consistency(&sn.attest, old, size, path, &n);
    snap_close(&sn);
    wr_printf(text, "old %llu\n", (unsigned long long) old);
    for (size_t i = 0; err == REEVE_OK && i < n; i++) {
        wr_bytes(text, line, base64_encode(line, path[i].b, sizeof path[i].b));
        wr_u8(text, '\n');
    }
    wr_u8(text, '\n');
    return err;
}

enum reeve_err cmd_copy_consistency(struct cmd *x)
{
    const struct ast_history *h = &x->stmt->history;
    struct head_note n;
    struct wr text = wr_heap(HISTORY_NOTE_MAX);
    uint64_t from, to;
    enum reeve_err err;
    TRY(cmd_head_note(x, &n));
    TRY(cmd_history_range(x, &n.head, &from, &to));
    if (!pv_present(&h->from) || from != 0) {
        report_set(x->rep, REEVE_E_INVALID_VALUE, "a proof of consistency begins with the log");
        report_hint(x->rep, "FROM VERSION 0 TO VERSION n, the last version that the other side has.");
        err = REEVE_E_INVALID_VALUE;
        goto out;
    }
    TRY(path_read(x, to + 1, n.head.log_size, &text));
    wr_bytes(&text, n.note.p, n.note.len);
    err = text.bad ? REEVE_E_NOMEM : cmd_copy_text(x, wr_slice(&text));
out:
    wr_free(&text);
    return err;
}
