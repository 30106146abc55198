/* fork.c - two finalized heads that cannot both be true. */
#include "engine/attest_fork.h"

#include "codec_int.h"
#include "common/text.h"

enum reeve_err head_decode(struct finalization *f, struct slice in)
{
    struct rd r = rd_of(in);
    if (in.len > HEAD_BYTES_MAX)
        return REEVE_E_TOO_BIG;
    enum reeve_err err = finalization_decode(f, &r);
    return err == REEVE_OK ? at_finish(&r) : err;
}

static bool same(const struct crypto_ops *c, const struct block_header *a, const struct block_header *b)
{
    struct hash32 x, y;
    header_hash(c, &x, a);
    header_hash(c, &y, b);
    return hash32_eq(&x, &y);
}

/* lo is below hi: everything that only grows must have grown. */
static bool in_order(const struct block_header *lo, const struct block_header *hi)
{
    if (lo->view >= hi->view || lo->time.ms >= hi->time.ms || lo->log_size > hi->log_size)
        return false;
    return lo->log_size < hi->log_size || (hash32_eq(&lo->log_root, &hi->log_root) && hash32_eq(&lo->state_root, &hi->state_root));
}

bool headers_agree(const struct crypto_ops *c, const struct block_header *a, const struct block_header *b)
{
    if (a->height == b->height)
        return same(c, a, b);
    return a->height < b->height ? in_order(a, b) : in_order(b, a);
}

/* ---- evidence ---- */

static void head_put(const struct finalization *f, struct wr *out)
{
    size_t at = out->len;
    wr_u16(out, 0);
    finalization_encode(f, out);
    size_t len = out->len - at - 2;
    if (!out->bad) {
        out->p[at] = (uint8_t) (len >> 8);
        out->p[at + 1] = (uint8_t) len;
    }
}

static bool first(const struct finalization *a, const struct finalization *b)
{
    uint8_t x[ATTEST_HEADER_LEN], y[ATTEST_HEADER_LEN];
    if (a->header.height != b->header.height)
        return a->header.height < b->header.height;
    header_encode(&a->header, x);
    header_encode(&b->header, y);
    return memcmp(x, y, sizeof x) <= 0;
}

void fork_encode(const struct fork *k, struct wr *out)
{
    bool order = first(&k->a, &k->b);
    wr_u8(out, 1);
    head_put(order ? &k->a : &k->b, out);
    head_put(order ? &k->b : &k->a, out);
}

enum reeve_err fork_decode(struct fork *k, struct slice in)
{
    struct rd r = rd_of(in);
    enum reeve_err err;
    at_version(&r);
    struct slice a = rd_str16(&r, HEAD_BYTES_MAX), b = rd_str16(&r, HEAD_BYTES_MAX);
    TRY(at_finish(&r));
    TRY(head_decode(&k->a, a));
    TRY(head_decode(&k->b, b));
    err = first(&k->a, &k->b) ? REEVE_OK : REEVE_E_MALFORMED;
out:
    return err;
}

/* ---- judging ---- */

static const struct block_header *certified(const struct finalization *f)
{
    return f->n_links > 0 ? &f->link[f->n_links - 1] : &f->header;
}

enum reeve_err fork_judge(const struct crypto_ops *c, const struct fork *k, const struct hash32 *chain_id, const struct valset *set,
                          const struct hash32 *set_hash, struct fork_facts *out)
{
    enum reeve_err err;
    memset(out, 0, sizeof *out);
    TRY(finalization_verify(c, &k->a, chain_id, set, set_hash));
    TRY(finalization_verify(c, &k->b, chain_id, set, set_hash));
    if (headers_agree(c, &k->a.header, &k->b.header))
        return REEVE_E_NOT_FOUND;
    const struct block_header *x = certified(&k->a), *y = certified(&k->b);
    out->proven = x->view == y->view && !same(c, x, y);
    for (unsigned i = 0; i < set->n; i++)
        if (k->a.bitmap[i / 8] & k->b.bitmap[i / 8] & 1u << i % 8)
            out->signers |= UINT64_C(1) << i;
out:
    return err;
}

void fork_describe(const struct fork_facts *f, const struct valset *set, char *out, size_t cap)
{
    struct wr w = wr_fixed(out, cap);
    const char *between = "";
    wr_text(&w, f->proven ? "culprits: " : "suspects: ");
    for (unsigned i = 0; i < set->n; i++) {
        if ((f->signers >> i & 1) == 0)
            continue;
        if (w.len + set->v[i].name.len + 6 > cap) {
            wr_text(&w, " ...");
            break;
        }
        wr_text(&w, between);
        wr_bytes(&w, set->v[i].name.s, set->v[i].name.len);
        between = ", ";
    }
    out[w.len < cap ? w.len : cap - 1] = '\0';
}
