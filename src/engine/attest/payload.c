/* payload.c - the short payloads: regions, config classes, nodes. */
#include "codec_int.h"

static void put_member(const struct region_member *m, struct wr *out)
{
    wr_u32(out, m->id);
    wr_bytes(out, m->key.b, 32);
    wr_bytes(out, m->seal_key.b, 32);
}

void region_doc_encode(const struct region_doc *d, struct wr *out)
{
    wr_u8(out, d->n_members > 0 ? 2 : 1);
    wr_bytes(out, d->key.b, 32);
    wr_u8(out, d->state);
    if (d->n_members > 0)
        wr_u8(out, d->n_members);
    for (unsigned i = 0; i < d->n_members; i++)
        put_member(&d->member[i], out);
}

static void get_members(struct region_doc *d, struct rd *r)
{
    uint32_t before = 0;
    d->n_members = at_kind(r, REGION_MEMBERS_MAX);
    for (unsigned i = 0; i < d->n_members && !r->bad; i++) {
        struct region_member *m = &d->member[i];
        m->id = rd_u32(r);
        rd_copy(r, m->key.b, 32);
        rd_copy(r, m->seal_key.b, 32);
        if (m->id <= before)
            r->bad = true;
        before = m->id;
    }
}

enum reeve_err region_doc_decode(struct region_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    uint8_t version = at_kind(&r, 2);
    rd_copy(&r, d->key.b, 32);
    d->state = at_kind(&r, REGION_FROZEN);
    if (version == 2)
        get_members(d, &r);
    return at_finish(&r);
}

const struct pubkey *region_doc_key(const struct region_doc *d, unsigned i)
{
    return i == 0 ? &d->key : i <= d->n_members ? &d->member[i - 1].key : NULL;
}

struct region_member *region_member_find(struct region_doc *d, uint32_t id)
{
    for (unsigned i = 0; i < d->n_members; i++)
        if (d->member[i].id == id)
            return &d->member[i];
    return NULL;
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
