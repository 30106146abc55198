/* tiles.c - tiles of the log, out of the store */
#include "backend/mirror/mirror_int.h"

#include "crypto/ops.h"

enum reeve_err mirror_view_open(struct mirror *m, struct mirror_view *v)
{
    enum reeve_err err = storage_begin(m->storage, STORAGE_READ, &v->txn);
    if (err == REEVE_OK)
        v->attest = (struct attest){ storage_kv(v->txn), &crypto_ops_real, NULL, 0 };
    return err;
}

void mirror_view_close(struct mirror_view *v)
{
    storage_abort(v->txn);
}

static enum reeve_err hashes(struct attest *a, const struct tile *t, struct wr *out)
{
    struct merkle_log log = { a->kv, a->c, ATTEST_KV_PREFIX };
    struct hash32 h;
    enum reeve_err err = REEVE_OK;
    for (uint64_t i = 0; i < t->width; i++) {
        TRY(merkle_log_node(&log, (uint8_t) (8 * t->level), t->n * TILE_WIDTH + i, &h));
        wr_bytes(out, h.b, sizeof h.b);
    }
out:
    return err;
}

static enum reeve_err entries(struct attest *a, const struct tile *t, struct wr *out)
{
    struct slice leaf;
    uint64_t height;
    enum reeve_err err = REEVE_OK;
    for (uint64_t i = 0; i < t->width; i++) {
        TRY(attest_leaf(a, t->n * TILE_WIDTH + i, &leaf, &height));
        wr_u16(out, (uint16_t) leaf.len);       /* ATTEST_LEAF_MAX fits */
        wr_bytes(out, leaf.p, leaf.len);
    }
out:
    return err;
}

enum reeve_err mirror_tile(struct mirror *m, const struct tile *t, struct wr *out)
{
    struct mirror_view v;
    struct attest_head head;
    enum reeve_err err = mirror_view_open(m, &v);
    if (err != REEVE_OK)
        return err;
    err = attest_head(&v.attest, &head);
    if (err == REEVE_OK && tile_width(head.log_size, t->level, t->n) < t->width)
        err = REEVE_E_NOT_FOUND;
    if (err == REEVE_OK)
        err = t->entries ? entries(&v.attest, t, out) : hashes(&v.attest, t, out);
    mirror_view_close(&v);
    return err == REEVE_OK && out->bad ? REEVE_E_NOMEM : err;
}
