/*
 * check_checkpoint.c - a region's checkpoint: how far the log of its config changes has come
 *
 * Judged is that this log extends the one that was attested before, never what is in it: validators do not see it. So a
 * region cannot take back or change what it has once let be attested, other than by saying so.
 */
#include "codec_int.h"
#include "check_int.h"
#include "common/text.h"

void checkpoint_doc_encode(const struct checkpoint_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    wr_u8(out, d->anew);
    wr_u64(out, d->size);
    wr_bytes(out, d->root.b, 32);
    wr_u8(out, d->n);
    for (uint8_t i = 0; i < d->n; i++)
        wr_bytes(out, d->path[i].b, 32);
}

enum reeve_err checkpoint_doc_decode(struct checkpoint_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    at_version(&r);
    d->anew = at_flag(&r);
    d->size = rd_u64(&r);
    rd_copy(&r, d->root.b, 32);
    d->n = at_count(&r, MERKLE_PATH_MAX);
    for (uint8_t i = 0; i < d->n; i++)
        rd_copy(&r, d->path[i].b, 32);
    return rd_done(&r) && d->size > 0 && (!d->anew || d->n == 0) ? REEVE_OK : REEVE_E_MALFORMED;
}

static enum reeve_err extends(struct check *k, const struct checkpoint_doc *now)
{
    struct checkpoint_doc was;
    if (checkpoint_doc_decode(&was, k->prev.update.payload) != REEVE_OK)
        return REEVE_E_CORRUPT;
    if (k->time.ms - k->prev.time.ms < ATTEST_CHECKPOINT_MS)
        return refuse(k->rep, REEVE_E_V_TIME, "region '%s' had a checkpoint less than a minute ago", k->now.object.s);
    if (now->anew)
        return REEVE_OK;
    if (now->size <= was.size ||
        merkle_consistency_verify(k->a->c, was.size, now->size, &was.root, &now->root, now->path, now->n) != REEVE_OK)
        return refuse(k->rep, REEVE_E_V_CONSISTENCY, "the config history of region '%s' does not extend the one that is attested",
                      k->now.object.s);
    return REEVE_OK;
}

enum reeve_err check_checkpoint(struct check *k)
{
    struct checkpoint_doc now;
    if (!name_eq(&k->now.object, &k->now.region))
        return refuse(k->rep, REEVE_E_V_UPDATE, "a region speaks for its own config history only");
    if (checkpoint_doc_decode(&now, k->now.payload) != REEVE_OK)
        return refuse(k->rep, REEVE_E_MALFORMED, "checkpoint document");
    k->inner = k->brakes = true;        /* it moves nothing: no approvals, and a freeze does not hide what is changed */
    if (k->had)
        return extends(k, &now);
    if (now.anew || now.n > 0)
        return refuse(k->rep, REEVE_E_V_UPDATE, "region '%s' has no checkpoint yet that this one could follow", k->now.object.s);
    return REEVE_OK;
}
