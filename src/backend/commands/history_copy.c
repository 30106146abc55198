/*
 * history_copy.c - COPY HISTORY and VERIFY HISTORY: bundles, sent or judged piece by piece
 *
 * Each piece is read in a snapshot of its own and goes out when that is closed: no read transaction waits for a client.
 */
#include "history_int.h"

#include "crypto/ops.h"

#define PIECE_BYTES  (1u << 20)
#define PIECE_MAX    (PIECE_BYTES + ATTEST_BLOCK_MAX + HISTORY_GENESIS_MAX)
#define VERIFY_LEAVES 1024

/* ---- pieces ---- */

enum part { PART_START, PART_BLOCKS, PART_END };

struct export {
    struct cmd *x;
    struct history_plan plan;
    uint64_t from, to, height;
    struct slice note;
    struct wr w;
    enum reeve_err (*sink)(struct export *e);   /* takes what is in w */
    struct sha256_stream sum;
};

static enum reeve_err part_write(struct export *e, struct attest *a, enum part part)
{
    switch (part) {
    case PART_START:  return attest_history_start(a, e->from, e->to, e->height, &e->plan, &e->w);
    case PART_BLOCKS: return attest_history_blocks(a, &e->plan, PIECE_BYTES, &e->w);
    default:          return attest_history_end(a, &e->plan, e->note, &e->w);
    }
}

static enum reeve_err piece(struct export *e, enum part part)
{
    struct snap sn;
    enum reeve_err err;
    struct hash32 sum;
    TRY(session_check_interrupts(e->x->s, e->x->rep));
    TRY(snap_open_local(e->x->s, &sn, e->x->rep));
    wr_reset(&e->w);
    err = part_write(e, &sn.attest, part);
    snap_close(&sn);
    if (err != REEVE_OK)
        return err;
    sha256_add(&e->sum, wr_slice(&e->w));
    if (part == PART_END) {
        sha256_end(&e->sum, &sum);
        wr_bytes(&e->w, sum.b, 32);
    }
    err = e->w.bad ? REEVE_E_NOMEM : e->sink(e);
out:
    return err;
}

static enum reeve_err export(struct export *e)
{
    enum reeve_err err;
    sha256_init(&e->sum);
    TRY(piece(e, PART_START));
    while (e->plan.next < e->plan.end)
        TRY(piece(e, PART_BLOCKS));
    err = piece(e, PART_END);
out:
    return err;
}

/* ---- COPY HISTORY ---- */

static enum reeve_err sink_row(struct export *e)
{
    struct datum v = d_bytes(wr_slice(&e->w));
    return dest_row(e->x->dest, 1, &v);
}

enum reeve_err cmd_copy_text(struct cmd *x, struct slice text)
{
    static const struct dest_column column = { "history", T_TEXT };
    struct datum v = d_text(text);
    enum reeve_err err = dest_columns(x->dest, 1, &column);
    return err == REEVE_OK ? dest_row(x->dest, 1, &v) : err;
}

/* The statement or the session is to stop. */
static bool is_end(enum reeve_err err)
{
    return err == REEVE_E_CANCELED || err == REEVE_E_TIMEOUT || err == REEVE_E_SHUTDOWN || err == REEVE_E_SNAPSHOT_OLD;
}

/* Signature lines begin with a dash (C2SP signed-note); one is the log's own. */
static unsigned cosignatures(struct slice note)
{
    static const char dash[] = "\n\xe2\x80\x94 ";
    unsigned n = 0;
    for (size_t i = 0; i + sizeof dash - 1 <= note.len; i++)
        n += memcmp(note.p + i, dash, sizeof dash - 1) == 0;
    return n > 0 ? n - 1 : 0;
}

/* With fewer than a quorum's the note would make the whole bundle unsound (while validators are away, their lines are). */
static enum reeve_err has_quorum(struct cmd *x, const struct head_note *n)
{
    struct snap sn;
    struct slice doc;
    struct valset *set;
    enum reeve_err err;
    if ((set = cmd_alloc(x, sizeof *set, &err)) == NULL)
        return err;
    TRY(snap_open_local(x->s, &sn, x->rep));
    err = attest_valset(&sn.attest, set, &doc);
    snap_close(&sn);
    if (err == REEVE_OK && cosignatures(n->note) < valset_quorum(set->n))
        err = report_set(x->rep, REEVE_E_V_QUORUM, "%u validators have cosigned it, %u are needed", cosignatures(n->note), valset_quorum(set->n));
out:
    return err;
}

/* A bundle is sound without a checkpoint: that the signer is away hinders nobody. */
static enum reeve_err bundle_head(struct cmd *x, struct head_note *n)
{
    struct report why;
    enum reeve_err err = cmd_head_note(x, n);
    if (err == REEVE_OK)
        err = has_quorum(x, n);
    if (err == REEVE_OK || is_end(err) || err == REEVE_E_WRONG_STATE)
        return err;
    why = *x->rep;
    report_clear(x->rep);
    err = cmd_history_head(x, &n->head);
    if (err == REEVE_OK)
        session_notice(x->s, NOTICE_WARNING, NULL, "the bundle has no checkpoint in it: %s", why.message);
    n->note = slice_of(NULL, 0);
    return err;
}

static enum reeve_err copy_bundle(struct cmd *x)
{
    static const struct dest_column column = { "history", T_BYTEA };
    struct export e = { .x = x, .sink = sink_row };
    struct head_note n;
    enum reeve_err err;
    TRY(bundle_head(x, &n));
    TRY(cmd_history_range(x, &n.head, &e.from, &e.to));
    e.height = n.head.height;
    e.note = n.note;
    TRY(dest_columns(x->dest, 1, &column));
    e.w = wr_heap(PIECE_MAX);
    err = export(&e);
    wr_free(&e.w);
out:
    return err;
}

static enum reeve_err copy_checkpoint(struct cmd *x)
{
    struct head_note n;
    enum reeve_err err = cmd_head_note(x, &n);
    return err == REEVE_OK ? cmd_copy_text(x, n.note) : err;
}

static void put_key_line(struct wr *w, struct slice name, enum note_alg alg, const struct pubkey *key)
{
    struct note_key k;
    note_key_init(&crypto_ops_real, &k, name, alg, key);
    note_key_format(&k, w);
    wr_u8(w, '\n');
}

static void put_policy(struct wr *w, const struct head_note *n, const struct valset *set)
{
    char origin[HISTORY_ORIGIN_LEN + 1], cosigner[HISTORY_COSIGNER_MAX];
    history_origin(origin, &n->head.chain_id);
    wr_text(w, "# Whom to believe about this log. Its name carries the id of the chain: compare it, by another way than\n"
               "# you got this file.\nlog ");
    put_key_line(w, slice_str(origin), NOTE_ED25519, &n->log_key);
    for (unsigned i = 0; i < set->n; i++) {
        size_t len = history_cosigner(cosigner, &n->head.chain_id, &set->v[i].name);
        wr_printf(w, "witness v%u ", i + 1);
        put_key_line(w, slice_of(cosigner, len), NOTE_COSIGNATURE, &set->v[i].cosign_key);
    }
    wr_printf(w, "group validators %u", valset_quorum(set->n));
    for (unsigned i = 0; i < set->n; i++)
        wr_printf(w, " v%u", i + 1);
    wr_text(w, "\nquorum validators\n");
}

static enum reeve_err copy_policy(struct cmd *x)
{
    struct head_note n;
    struct snap sn;
    struct slice doc;
    struct valset *set;
    enum reeve_err err;
    if ((set = cmd_alloc(x, sizeof *set, &err)) == NULL)
        return err;
    TRY(cmd_head_note(x, &n));
    TRY(snap_open_local(x->s, &sn, x->rep));
    err = attest_valset(&sn.attest, set, &doc);
    snap_close(&sn);
    if (err != REEVE_OK)
        return err;
    struct wr w = wr_heap(1 << 20);
    put_policy(&w, &n, set);
    err = w.bad ? REEVE_E_NOMEM : cmd_copy_text(x, wr_slice(&w));
    wr_free(&w);
out:
    return err;
}

static enum reeve_err no_range(struct cmd *x, const char *format)
{
    const struct ast_history *h = &x->stmt->history;
    if (!pv_present(&h->from) && !pv_present(&h->since))
        return REEVE_OK;
    return report_set(x->rep, REEVE_E_INVALID_VALUE, "a %s is about the whole log and takes no range", format);
}

static const struct { const char *name; command_fn fn; bool whole; } formats[] = {
    { "bundle", copy_bundle, false }, { "config", cmd_copy_config, false }, { "checkpoint", copy_checkpoint, true }, { "policy", copy_policy, true },
    { "proof", cmd_copy_proof, false }, { "leaf", cmd_copy_leaf, false }, { "consistency", cmd_copy_consistency, false },
};

enum reeve_err cmd_copy_history(struct cmd *x)
{
    static const char *const allowed[] = { "format", NULL };
    const struct ast_options *o = &x->stmt->history.options;
    const struct pvalue *v;
    struct slice format = slice_str("bundle");
    enum reeve_err err;
    TRY(cmd_need_audit(x));
    TRY(slot_options_check(&x->slot, o, allowed));
    if ((v = slot_option(o, "format")) != NULL)
        TRY(slot_text(&x->slot, v, "format", &format));
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (!slice_eq(format, slice_str(formats[i].name)))
            continue;
        if (formats[i].whole)
            TRY(no_range(x, formats[i].name));
        return formats[i].fn(x);
    }
    err = slot_error(&x->slot, v, REEVE_E_INVALID_VALUE,
                     "COPY HISTORY format must be bundle, config, checkpoint, policy, proof, leaf or consistency");
    report_hint(x->rep, "Rows come from COPY (SHOW HISTORY) TO STDOUT.");
out:
    return err;
}

/* ---- VERIFY HISTORY: what this server stores, judged as an auditor would ---- */

const struct dest_column cmd_verify_columns[6] = {
    { "from_version", T_INT8 }, { "to_version", T_INT8 }, { "blocks", T_INT8 }, { "signatures", T_INT8 }, { "log_size", T_INT8 },
    { "root_hash", T_TEXT },
};

struct verified { uint64_t from, end, blocks, signatures; };

/* One bundle of some leaves, in memory. */
static enum reeve_err judge_some(struct export *e, struct history_work *work, const struct block_header *head)
{
    struct snap sn;
    struct hash32 sum;
    enum reeve_err err;
    TRY(session_check_interrupts(e->x->s, e->x->rep));
    TRY(snap_open_local(e->x->s, &sn, e->x->rep));
    wr_reset(&e->w);
    err = part_write(e, &sn.attest, PART_START);
    while (err == REEVE_OK && e->plan.next < e->plan.end && e->w.len < PIECE_BYTES)
        err = part_write(e, &sn.attest, PART_BLOCKS);
    e->plan.end = e->plan.next;         /* as far as it fits */
    if (err == REEVE_OK)
        err = part_write(e, &sn.attest, PART_END);
    snap_close(&sn);
    if (err != REEVE_OK)
        return err;
    sha256(&sum, wr_slice(&e->w));
    wr_bytes(&e->w, sum.b, 32);
    err = e->w.bad ? REEVE_E_NOMEM : history_verify(&crypto_ops_real, &head->chain_id, wr_slice(&e->w), work, e->x->rep);
out:
    return err;
}

static enum reeve_err judge_all(struct export *e, struct history_work *work, const struct block_header *head, struct verified *v)
{
    enum reeve_err err = REEVE_OK;
    uint64_t last = e->to;
    for (v->from = v->end = e->from; v->end <= last;) {
        e->from = v->end;
        e->to = last - e->from < VERIFY_LEAVES ? last : e->from + VERIFY_LEAVES;
        TRY(judge_some(e, work, head));
        if (v->blocks == 0)
            v->from = work->facts.first;
        v->end = work->facts.end;
        v->blocks += work->facts.blocks;
        v->signatures += work->facts.signatures;
    }
out:
    return err;
}

static enum reeve_err unsound(struct cmd *x, enum reeve_err err)
{
    char why[sizeof x->rep->message];
    if (is_end(err) || err == REEVE_E_NOMEM)
        return err;
    snprintf(why, sizeof why, "%s", x->rep->message[0] ? x->rep->message : reeve_err_text(err));
    report_clear(x->rep);
    report_set(x->rep, REEVE_E_PROOF, "the history that this server stores does not verify");
    report_detail(x->rep, "%s", why);
    return REEVE_E_PROOF;
}

enum reeve_err cmd_verify_history(struct cmd *x)
{
    struct export e = { .x = x };
    struct verified v = { 0 };
    struct block_header head;
    struct history_work *work;
    enum reeve_err err;
    TRY(cmd_need_audit(x));
    if ((work = cmd_alloc(x, sizeof *work, &err)) == NULL)
        return err;
    TRY(cmd_history_head(x, &head));
    TRY(cmd_history_range(x, &head, &e.from, &e.to));
    e.height = head.height;
    e.w = wr_heap(PIECE_MAX);
    err = judge_all(&e, work, &head, &v);
    wr_free(&e.w);
    if (err == REEVE_OK && e.to + 1 == head.log_size)
        err = cmd_verify_config(x);     /* what the newest checkpoints say is part of it */
    if (err != REEVE_OK)
        return unsound(x, err);
    struct datum row[] = {
        d_int((int64_t) v.from), d_int((int64_t) v.end - 1), d_int((int64_t) v.blocks), d_int((int64_t) v.signatures),
        d_int((int64_t) head.log_size), cmd_hex(x, &head.log_root),
    };
    TRY(dest_columns(x->dest, 6, cmd_verify_columns));
    err = dest_row(x->dest, 6, row);
out:
    return err;
}
