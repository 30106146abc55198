/*
 * attest_wire.c - messages between simulated machines
 *
 *   u8 kind, then
 *   PROPOSAL   u16 signer | 175 signed bytes | 64 signature | content
 *   VOTE       u16 signer | 175 signed bytes | 64 signature
 *   CERT       175 signed bytes | 8 bitmap | u16 n | n x 64 signatures
 *   SUBMIT     u64 update | u64 tag
 *   WANT_BLOCK 32 hash            BLOCK  content
 *   WANT_CHAIN u64 height         CHAIN  a CERT's fields | contents
 *   WANT_CERTS u64 view           (CERTs follow)
 *
 * content: header | u16 n | n x { u64 update | u64 tag }
 */
#include "attest_int.h"

static void put_signed(const struct message *m, struct wr *out)
{
    uint8_t bytes[ATTEST_VOTE_LEN];
    vote_bytes(&m->vote, bytes);
    wr_bytes(out, bytes, sizeof bytes);
}

static void put_cert(const struct message *m, struct wr *out)
{
    put_signed(m, out);
    wr_bytes(out, m->bitmap, sizeof m->bitmap);
    wr_u16(out, m->n_sigs);
    for (unsigned i = 0; i < m->n_sigs; i++)
        wr_bytes(out, m->sigs[i].b, 64);
}

void message_encode(const struct message *m, struct wr *out)
{
    wr_u8(out, m->kind);
    switch (m->kind) {
    case M_PROPOSAL: case M_VOTE:
        wr_u16(out, m->signer);
        put_signed(m, out);
        wr_bytes(out, m->sig.b, 64);
        break;
    case M_CERT: case M_CHAIN:
        put_cert(m, out);
        break;
    case M_SUBMIT:
        wr_u64(out, m->a);
        wr_u64(out, m->b);
        break;
    case M_WANT_BLOCK:
        wr_bytes(out, m->hash.b, 32);
        break;
    case M_WANT_CHAIN: case M_WANT_CERTS:
        wr_u64(out, m->a);
        break;
    default:
        break;
    }
    wr_bytes(out, m->rest.p, m->rest.len);
}

static void get_signed(struct message *m, struct rd *r)
{
    static const uint8_t domain[14] = "\0reeve-bft-v1";
    struct slice d = rd_bytes(r, sizeof domain);
    if (r->bad || memcmp(d.p, domain, sizeof domain) != 0)
        r->bad = true;
    m->vote.type = rd_u8(r);
    rd_copy(r, m->vote.chain_id.b, 32);
    m->vote.epoch = rd_u64(r);
    rd_copy(r, m->vote.valset_hash.b, 32);
    m->vote.view = rd_u64(r);
    m->vote.height = rd_u64(r);
    rd_copy(r, m->vote.block_hash.b, 32);
    m->vote.parent_view = rd_u64(r);
    rd_copy(r, m->vote.parent_hash.b, 32);
}

static void get_cert(struct message *m, struct rd *r)
{
    get_signed(m, r);
    rd_copy(r, m->bitmap, sizeof m->bitmap);
    m->n_sigs = rd_u16(r);
    if (m->n_sigs > SIMPLEX_VALIDATORS_MAX)
        r->bad = true;
    for (unsigned i = 0; i < m->n_sigs && !r->bad; i++)
        rd_copy(r, m->sigs[i].b, 64);
}

bool message_decode(struct message *m, struct slice in)
{
    struct rd r = rd_of(in);
    m->kind = rd_u8(&r);
    switch (m->kind) {
    case M_PROPOSAL: case M_VOTE:
        m->signer = rd_u16(&r);
        get_signed(m, &r);
        rd_copy(&r, m->sig.b, 64);
        break;
    case M_CERT: case M_CHAIN:
        get_cert(m, &r);
        break;
    case M_SUBMIT:
        m->a = rd_u64(&r);
        m->b = rd_u64(&r);
        break;
    case M_WANT_BLOCK:
        rd_copy(&r, m->hash.b, 32);
        break;
    case M_BLOCK:
        break;
    case M_WANT_CHAIN: case M_WANT_CERTS:
        m->a = rd_u64(&r);
        break;
    default:
        return false;
    }
    m->rest = r.bad ? slice_of(NULL, 0) : rd_bytes(&r, rd_left(&r));
    return !r.bad;
}

void vote_fill(const struct arig *r, const struct simplex_vote *v, struct vote *out)
{
    *out = (struct vote){ .type = v->type, .chain_id = r->chain_id, .epoch = 1, .valset_hash = r->set_hash, .view = v->b.view,
                          .height = v->b.height, .block_hash = v->b.hash, .parent_view = v->b.parent_view,
                          .parent_hash = v->b.parent_hash };
}

bool vote_take(const struct arig *r, const struct vote *v, struct simplex_vote *out)
{
    *out = (struct simplex_vote){ v->type, { v->view, v->height, v->parent_view, v->block_hash, v->parent_hash } };
    return v->epoch == 1 && hash32_eq(&v->chain_id, &r->chain_id) && hash32_eq(&v->valset_hash, &r->set_hash);
}

void cert_fill(const struct arig *r, const struct simplex_cert *c, struct message *out)
{
    const struct simplex_vote v = { c->type, c->b };
    out->kind = M_CERT;
    vote_fill(r, &v, &out->vote);
    memcpy(out->bitmap, c->bitmap, sizeof out->bitmap);
    out->n_sigs = c->n_sigs;
    memcpy(out->sigs, c->sig, c->n_sigs * sizeof c->sig[0]);
    out->rest = slice_of(NULL, 0);
}

bool cert_take(const struct arig *r, const struct message *m, struct simplex_cert *out)
{
    struct simplex_vote v;
    bool ours = vote_take(r, &m->vote, &v);
    out->type = v.type;
    out->b = v.b;
    memcpy(out->bitmap, m->bitmap, sizeof out->bitmap);
    out->n_sigs = m->n_sigs;
    memcpy(out->sig, m->sigs, m->n_sigs * sizeof m->sigs[0]);
    return ours;
}
