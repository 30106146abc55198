/*
 * history_config.c - the region's own log of config changes: COPY HISTORY WITH (format = 'config'), SHOW PROOF FOR CONFIG,
 * and what VERIFY HISTORY says of it
 *
 * VERSION is a revision of the region here (sys.history with log = 'region'). Only what the newest checkpoint in the global log
 * covers is given out: what came later cannot be proved yet.
 */
#include "history_int.h"

#include "common/text.h"
#include "crypto/ops.h"
#include "engine/region_history.h"

#define PIECE_BYTES  (1u << 20)
#define PIECE_MAX    (PIECE_BYTES + CONFIG_LEAF_MAX + 65536)
#define INNER_MAX    (2 * ATTEST_BLOCK_MAX + HISTORY_GENESIS_MAX)
#define VERIFY_LEAVES 1024

struct config_range {
    struct checkpoint_doc checkpoint;
    uint64_t leaf_index, height;        /* of the checkpoint, and of the head that proves it */
    uint64_t block_height;
    uint64_t first, end;
};

/* ---- what there is, and what is asked for ---- */

static enum reeve_err nothing_yet(struct cmd *x)
{
    report_set(x->rep, REEVE_E_WRONG_STATE, "no config history of this region has been attested yet");
    report_hint(x->rep, "A change of config is attested once a minute at most (config_checkpoint_delay).");
    return REEVE_E_WRONG_STATE;
}

static enum reeve_err checkpoint_read(struct cmd *x, struct snap *sn, struct config_range *c)
{
    struct attest_object o;
    struct attest_head h;
    struct name region;
    enum reeve_err err;
    TRY(region_name(&sn->region, &region));
    err = attest_get(&sn->attest, AT_CHECKPOINT, &region, &o);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? nothing_yet(x) : err;
    if (checkpoint_doc_decode(&c->checkpoint, o.update.payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    c->leaf_index = o.leaf_index;
    c->block_height = o.height;
    TRY(attest_head(&sn->attest, &h));
    c->height = h.height;
out:
    return err;
}

static enum reeve_err range_read(struct cmd *x, struct snap *sn, struct config_range *c)
{
    const struct ast_history *h = &x->stmt->history;
    const struct pvalue *to = pv_present(&h->to) ? &h->to : &h->from;
    int64_t a = 0, b = INT64_MAX - 1;
    enum reeve_err err;
    if (pv_present(&h->since))
        return slot_error(&x->slot, &h->since, REEVE_E_INVALID_VALUE, "a part of the config history is named by its versions");
    if (pv_present(&h->from)) {
        TRY(slot_int(&x->slot, &h->from, "version", 0, INT64_MAX - 1, &a));
        TRY(slot_int(&x->slot, to, "version", 0, INT64_MAX - 1, &b));
    }
    if (a > b)
        return slot_error(&x->slot, to, REEVE_E_INVALID_VALUE, "the range ends before it begins");
    TRY(config_log_find(&sn->region, (uint64_t) a, &c->first));
    TRY(config_log_find(&sn->region, (uint64_t) b + 1, &c->end));
    if (c->end > c->checkpoint.size)
        c->end = c->checkpoint.size;
    if (c->first < c->end)
        return REEVE_OK;
    err = slot_error(&x->slot, &h->from, REEVE_E_INVALID_VALUE, "no change of config of that version has been attested");
    report_hint(x->rep, "Versions are those of SHOW HISTORY WHERE log = 'region' AND object_kind = 'config'; what is new is attested "
                "within a minute or two.");
out:
    return err;
}

static enum reeve_err config_range(struct cmd *x, struct config_range *c)
{
    struct snap sn;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    err = checkpoint_read(x, &sn, c);
    if (err == REEVE_OK)
        err = range_read(x, &sn, c);
    snap_close(&sn);
    return err;
}

/* ---- the bundle, piece by piece ---- */

static void put_digest(struct wr *w)
{
    struct hash32 sum;
    sha256(&sum, wr_slice(w));
    wr_bytes(w, sum.b, 32);
}

/* A history bundle with the block of the checkpoint. */
static enum reeve_err inner_write(struct attest *a, const struct config_range *c, struct wr *out)
{
    struct history_plan p;
    enum reeve_err err;
    TRY(attest_history_start(a, c->leaf_index, c->leaf_index, c->height, &p, out));
    while (p.next < p.end)
        TRY(attest_history_blocks(a, &p, out->len + 1, out));
    TRY(attest_history_end(a, &p, (struct slice){ NULL, 0 }, out));
    put_digest(out);
out:
    return err;
}

static enum reeve_err end_write(struct snap *sn, const struct config_range *c, struct wr *out)
{
    struct wr inner = wr_heap(INNER_MAX);
    enum reeve_err err = inner_write(&sn->attest, c, &inner);
    if (err == REEVE_OK)
        err = inner.bad ? REEVE_E_TOO_BIG : config_history_end(&sn->region, c->end, c->checkpoint.size, c->leaf_index, wr_slice(&inner), out);
    wr_free(&inner);
    return err;
}

typedef enum reeve_err sink_fn(struct cmd *x, struct slice piece);

struct config_export { struct cmd *x; struct config_range c; uint64_t next; struct wr w; struct sha256_stream sum; sink_fn *sink; };
enum part { PART_START, PART_LEAVES, PART_END };

static enum reeve_err part_write(struct config_export *e, struct snap *sn, enum part part)
{
    switch (part) {
    case PART_START:  return config_history_start(&sn->region, e->c.first, e->c.end, &e->w);
    case PART_LEAVES: return config_history_leaves(&sn->region, &e->next, e->c.end, PIECE_BYTES, &e->w);
    default:          return end_write(sn, &e->c, &e->w);
    }
}

static enum reeve_err piece(struct config_export *e, enum part part)
{
    struct snap sn;
    struct hash32 sum;
    enum reeve_err err;
    TRY(session_check_interrupts(e->x->s, e->x->rep));
    TRY(snap_open_local(e->x->s, &sn, e->x->rep));
    wr_reset(&e->w);
    err = part_write(e, &sn, part);
    snap_close(&sn);
    if (err != REEVE_OK)
        return err;
    sha256_add(&e->sum, wr_slice(&e->w));
    if (part == PART_END) {
        sha256_end(&e->sum, &sum);
        wr_bytes(&e->w, sum.b, 32);
    }
    err = e->w.bad ? REEVE_E_NOMEM : e->sink(e->x, wr_slice(&e->w));
out:
    return err;
}

static enum reeve_err export(struct config_export *e)
{
    enum reeve_err err;
    e->w = wr_heap(PIECE_MAX + INNER_MAX);
    e->next = e->c.first;
    sha256_init(&e->sum);
    TRY(piece(e, PART_START));
    while (e->next < e->c.end)
        TRY(piece(e, PART_LEAVES));
    err = piece(e, PART_END);
out:
    wr_free(&e->w);
    return err;
}

static enum reeve_err to_client(struct cmd *x, struct slice bytes)
{
    struct datum v = d_bytes(bytes);
    return dest_row(x->dest, 1, &v);
}

enum reeve_err cmd_copy_config(struct cmd *x)
{
    static const struct dest_column column = { "history", T_BYTEA };
    enum reeve_err err;
    struct config_export *e = cmd_alloc(x, sizeof *e, &err);
    if (e == NULL)
        return err;
    *e = (struct config_export){ .x = x, .sink = to_client };
    TRY(config_range(x, &e->c));
    TRY(dest_columns(x->dest, 1, &column));
    err = export(e);
out:
    return err;
}

/* ---- one change with its proof ---- */

static enum reeve_err bundle_write(struct snap *sn, const struct config_range *c, struct wr *out)
{
    uint64_t next = c->first;
    enum reeve_err err;
    TRY(config_history_start(&sn->region, c->first, c->end, out));
    while (next < c->end)
        TRY(config_history_leaves(&sn->region, &next, c->end, out->len + 1, out));
    TRY(end_write(sn, c, out));
    put_digest(out);
    err = out->bad ? REEVE_E_TOO_BIG : REEVE_OK;
out:
    return err;
}

/* The first change of that revision; a transaction has one for each key. */
static enum reeve_err proof_write(struct cmd *x, struct config_range *c, struct wr *leaf, struct wr *bundle)
{
    struct snap sn;
    enum reeve_err err;
    TRY(config_range(x, c));
    TRY(snap_open_local(x->s, &sn, x->rep));
    err = config_log_leaf(&sn.region, c->first, leaf);
    if (err == REEVE_OK)
        err = bundle_write(&sn, c, bundle);
    snap_close(&sn);
out:
    return err;
}

enum reeve_err cmd_show_config_proof(struct cmd *x)
{
    struct wr leaf = wr_heap(CONFIG_LEAF_MAX), bundle = wr_heap(PIECE_MAX + INNER_MAX);
    struct hash32 hash;
    enum reeve_err err;
    char *text;
    struct config_range *c = cmd_alloc(x, sizeof *c, &err);
    if (c == NULL)
        return err;
    TRY(proof_write(x, c, &leaf, &bundle));
    merkle_leaf_hash(&crypto_ops_real, &hash, wr_slice(&leaf));
    if ((text = arena_alloc(x->arena, (bundle.len + 2) / 3 * 4 + 1)) == NULL) {
        err = REEVE_E_NOMEM;
        goto out;
    }
    size_t len = base64_encode(text, bundle.p, bundle.len);
    struct rd r = rd_of(slice_of(leaf.p + 1, leaf.len - 1));
    struct datum v[] = {
        d_int((int64_t) rd_u64(&r)), d_int((int64_t) c->block_height), cmd_hex(x, &hash), d_int((int64_t) c->checkpoint.size),
        d_bytes(wr_slice(&leaf)), d_text(slice_of(text, len)),
    };
    TRY(dest_columns(x->dest, 6, cmd_proof_columns));
    err = dest_row(x->dest, 6, v);
out:
    wr_free(&leaf);
    wr_free(&bundle);
    return err;
}

/* ---- what is stored, against what was attested ---- */

static enum reeve_err some_hashes(struct cmd *x, struct merkle_range *log, uint64_t end, struct wr *leaf)
{
    struct snap sn;
    struct hash32 h;
    enum reeve_err err;
    TRY(session_check_interrupts(x->s, x->rep));
    TRY(snap_open_local(x->s, &sn, x->rep));
    for (unsigned i = 0; err == REEVE_OK && i < VERIFY_LEAVES && log->size < end; i++) {
        wr_reset(leaf);
        err = config_log_leaf(&sn.region, log->size, leaf);
        merkle_leaf_hash(&crypto_ops_real, &h, wr_slice(leaf));
        if (err == REEVE_OK)
            merkle_range_append(&crypto_ops_real, log, &h);
    }
    snap_close(&sn);
    if (err == REEVE_E_NOT_FOUND || err == REEVE_E_CORRUPT)
        report_set(x->rep, err, "change %llu of the config history is missing", (unsigned long long) log->size);
out:
    return err;
}

/* Where nothing has been attested there is nothing to compare with. */
enum reeve_err cmd_verify_config(struct cmd *x)
{
    struct snap sn;
    struct hash32 root;
    struct merkle_range log;
    enum reeve_err err;
    struct config_range *c = cmd_alloc(x, sizeof *c, &err);
    if (c == NULL)
        return err;
    TRY(snap_open_local(x->s, &sn, x->rep));
    err = checkpoint_read(x, &sn, c);
    snap_close(&sn);
    if (err == REEVE_E_WRONG_STATE) {
        report_clear(x->rep);
        return REEVE_OK;
    }
    if (err != REEVE_OK)
        return err;
    struct wr leaf = wr_heap(CONFIG_LEAF_MAX);
    merkle_range_init(&log);
    while (err == REEVE_OK && log.size < c->checkpoint.size)
        err = some_hashes(x, &log, c->checkpoint.size, &leaf);
    wr_free(&leaf);
    if (err != REEVE_OK)
        return err;
    merkle_range_root(&crypto_ops_real, &log, &root);
    if (!hash32_eq(&root, &c->checkpoint.root))
        err = report_set(x->rep, REEVE_E_V_CONSISTENCY, "the config history is not the one that update %llu attests: changes are "
                         "missing, added or rewritten", (unsigned long long) c->leaf_index);
out:
    return err;
}
