/* payload.c - the short payloads: regions, config classes, nodes. */
#include "codec_int.h"

void region_doc_encode(const struct region_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    wr_bytes(out, d->key.b, 32);
    wr_u8(out, d->state);
}

enum reeve_err region_doc_decode(struct region_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    at_version(&r);
    rd_copy(&r, d->key.b, 32);
    d->state = at_kind(&r, REGION_FROZEN);
    return at_finish(&r);
}

void class_doc_encode(const struct class_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    wr_u8(out, d->attested);
}

enum reeve_err class_doc_decode(struct class_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    at_version(&r);
    d->attested = at_flag(&r);
    return at_finish(&r);
}

void node_doc_encode(const struct node_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    wr_u8(out, d->revoked);
}

enum reeve_err node_doc_decode(struct node_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    at_version(&r);
    d->revoked = at_flag(&r);
    return rd_done(&r) && d->revoked == 1 ? REEVE_OK : REEVE_E_MALFORMED;
}
