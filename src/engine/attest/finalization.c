/* finalization.c - the proof that a quorum made a header final. */
#include "codec_int.h"
#include "recovery_int.h"

#define RECOVERY_DOC_MAX (64u << 10)     /* no genesis document is larger */

static bool bit_set(const struct finalization *f, unsigned i)
{
    return f->bitmap[i / 8] >> i % 8 & 1;
}

/* Set bits below n_bits; -1 when one stands beyond. */
static int signers(const struct finalization *f)
{
    int n = 0;
    for (unsigned i = 0; i < ATTEST_VALIDATORS_MAX; i++) {
        if (!bit_set(f, i))
            continue;
        if (i >= f->n_bits)
            return -1;
        n++;
    }
    return n;
}

static void links_encode(const struct finalization *f, struct wr *out)
{
    reeve_assert(f->n_links <= ATTEST_LINKS_MAX);
    wr_u16(out, 0);
    wr_u8(out, (uint8_t) f->n_links);
    for (uint16_t i = 0; i < f->n_links; i++) {
        uint8_t *h = wr_reserve(out, ATTEST_HEADER_LEN);
        if (h != NULL)
            header_encode(&f->link[i], h);
    }
}

static void links_decode(struct finalization *f, struct rd *in)
{
    uint8_t n = rd_u8(in);
    if (n > ATTEST_LINKS_MAX)
        in->bad = true;
    if (n == 0)
        f->recovery = rd_str32(in, RECOVERY_DOC_MAX);
    if (n == 0 && f->recovery.len == 0)
        in->bad = true;
    for (uint8_t i = 0; !in->bad && i < n; i++)
        if (header_decode(&f->link[i], rd_bytes(in, ATTEST_HEADER_LEN)) != REEVE_OK)
            in->bad = true;
    if (!in->bad)
        f->n_links = n;
}

void finalization_encode(const struct finalization *f, struct wr *out)
{
    uint8_t *h = wr_reserve(out, ATTEST_HEADER_LEN);
    reeve_assert(f->n_bits <= ATTEST_VALIDATORS_MAX && f->n_sigs <= ATTEST_VALIDATORS_MAX);
    if (h != NULL)
        header_encode(&f->header, h);
    wr_u64(out, f->view);
    if (f->recovery.len > 0) {
        wr_u16(out, 0);
        wr_u8(out, 0);
        wr_str32(out, f->recovery);
    } else if (f->n_links > 0)
        links_encode(f, out);
    wr_u16(out, f->n_bits);
    wr_bytes(out, f->bitmap, (f->n_bits + 7u) / 8);
    for (uint16_t i = 0; i < f->n_sigs; i++)
        wr_bytes(out, f->sig[i].b, 64);
}

enum reeve_err finalization_decode(struct finalization *f, struct rd *in)
{
    memset(f, 0, sizeof *f);
    struct slice h = rd_bytes(in, ATTEST_HEADER_LEN);
    f->view = rd_u64(in);
    f->n_bits = rd_u16(in);
    if (!in->bad && f->n_bits == 0) {
        links_decode(f, in);
        f->n_bits = rd_u16(in);
    }
    if (in->bad || header_decode(&f->header, h) != REEVE_OK || f->n_bits == 0 || f->n_bits > ATTEST_VALIDATORS_MAX) {
        in->bad = true;
        return REEVE_E_MALFORMED;
    }
    rd_copy(in, f->bitmap, (f->n_bits + 7u) / 8);
    int n = signers(f);
    if (n < 0 || f->view != f->header.view)
        in->bad = true;
    for (int i = 0; !in->bad && i < n; i++)
        rd_copy(in, f->sig[f->n_sigs++].b, 64);
    return in->bad ? REEVE_E_MALFORMED : REEVE_OK;
}

/* The header that the signatures speak of. */
static const struct block_header *certified(const struct finalization *f)
{
    return f->n_links > 0 ? &f->link[f->n_links - 1] : &f->header;
}

/* Is each descendant the next block on top of the one before, in the same chain, epoch and set? */
static bool links_ok(const struct crypto_ops *c, const struct finalization *f)
{
    const struct block_header *parent = &f->header;
    for (uint16_t i = 0; i < f->n_links; i++) {
        const struct block_header *h = &f->link[i];
        struct hash32 hash;
        header_hash(c, &hash, parent);
        if (!hash32_eq(&h->parent_hash, &hash) || h->parent_view != parent->view || h->height != parent->height + 1 ||
            !hash32_eq(&h->chain_id, &parent->chain_id) || h->epoch != parent->epoch ||
            !hash32_eq(&h->valset_hash, &parent->valset_hash))
            return false;
        parent = h;
    }
    return true;
}

/* Every signature counts, also those beyond the quorum: a bad one makes the whole bad. */
static bool signatures_ok(const struct crypto_ops *c, const struct finalization *f, const struct valset *set)
{
    struct vote v;
    uint8_t bytes[ATTEST_VOTE_LEN];
    unsigned at = 0;
    vote_of_header(c, &v, VOTE_FINALIZE, certified(f));
    vote_bytes(&v, bytes);
    for (unsigned i = 0; i < set->n; i++)
        if (bit_set(f, i) && !c->verify(&f->sig[at++], slice_of(bytes, sizeof bytes), &set->v[i].key))
            return false;
    return true;
}

enum reeve_err finalization_verify(const struct crypto_ops *c, const struct finalization *f,
                                   const struct hash32 *chain_id, const struct valset *set,
                                   const struct hash32 *set_hash)
{
    if (!hash32_eq(&f->header.chain_id, chain_id))
        return REEVE_E_V_CHAIN;
    if (f->header.epoch != set->epoch)
        return REEVE_E_V_EPOCH;
    if (!hash32_eq(&f->header.valset_hash, set_hash))
        return REEVE_E_V_SET;
    if (f->recovery.len > 0)
        return f->view == f->header.view ? recovery_verify(c, f) : REEVE_E_V_SIGNATURE;
    if (header_is_closer(c, &f->header) || !links_ok(c, f))
        return REEVE_E_V_CONSISTENCY;
    int n = signers(f);
    if (f->n_bits != set->n || n < 0 || n != f->n_sigs)
        return REEVE_E_V_SIGNER;
    if ((unsigned) n < valset_quorum(set->n))
        return REEVE_E_V_QUORUM;
    if (f->view != f->header.view || !signatures_ok(c, f, set))
        return REEVE_E_V_SIGNATURE;
    return REEVE_OK;
}
