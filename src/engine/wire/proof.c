/* proof.c - delegations and the texts that gateways and agents sign */
#include "wire_int.h"

static void put_label(struct wr *w, const char *label)
{
    wr_text(w, label);
    wr_u8(w, 0);
}

static void put_unsigned(const struct wire_delegation *d, struct wr *w)
{
    wr_u8(w, 1);
    wr_bytes(w, d->chain_id.b, 32);
    wr_name(w, &d->region);
    wr_bytes(w, d->gateway_key.b, 32);
    wr_u64(w, (uint64_t) d->not_before.ms);
    wr_u64(w, (uint64_t) d->not_after.ms);
}

void wire_delegation_encode(const struct wire_delegation *d, struct wr *out)
{
    put_unsigned(d, out);
    wr_bytes(out, d->signature.b, 64);
}

void wire_delegation_message(const struct wire_delegation *d, struct wr *out)
{
    put_label(out, "reeve-delegation-v1");
    put_unsigned(d, out);
}

enum reeve_err wire_delegation_decode(struct wire_delegation *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    uint8_t version = rd_u8(&r);
    rd_copy(&r, d->chain_id.b, 32);
    rd_name(&r, &d->region);
    rd_copy(&r, d->gateway_key.b, 32);
    uint64_t from = rd_u64(&r), to = rd_u64(&r);
    rd_copy(&r, d->signature.b, 64);
    if (!rd_done(&r) || version != 1 || from > INT64_MAX || to > INT64_MAX || from >= to)
        return REEVE_E_MALFORMED;
    d->not_before.ms = (int64_t) from;
    d->not_after.ms = (int64_t) to;
    return REEVE_OK;
}

enum reeve_err wire_delegation_verify(const struct crypto_ops *c, const struct wire_delegation *d,
                                      const struct hash32 *chain_id, const struct name *region,
                                      const struct pubkey *region_key, struct wall_ms now, int64_t skew_ms)
{
    uint8_t mem[WIRE_DELEGATION_MAX + 32];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (!hash32_eq(&d->chain_id, chain_id))
        return REEVE_E_V_CHAIN;
    if (!slice_eq(slice_of(d->region.s, d->region.len), slice_of(region->s, region->len)))
        return REEVE_E_V_REGION;
    wire_delegation_message(d, &w);
    if (w.bad || !c->verify(&d->signature, wr_slice(&w), region_key))
        return REEVE_E_V_REGION;
    if (now.ms < d->not_before.ms - skew_ms || now.ms > d->not_after.ms + skew_ms)
        return REEVE_E_V_TIME;
    return REEVE_OK;
}

static size_t message(uint8_t out[WIRE_MESSAGE_MAX], const char *label, const uint8_t *a, const uint8_t *b,
                      const uint8_t *c)
{
    struct wr w = wr_fixed(out, WIRE_MESSAGE_MAX);
    put_label(&w, label);
    wr_bytes(&w, a, 32);
    wr_bytes(&w, b, 32);
    if (c != NULL)
        wr_bytes(&w, c, 32);
    reeve_assert(!w.bad);
    return w.len;
}

size_t wire_gateway_message(uint8_t out[WIRE_MESSAGE_MAX], const uint8_t exporter[32], const struct hash32 *challenge)
{
    return message(out, "reeve-gateway-v1", exporter, challenge->b, NULL);
}

size_t wire_agent_message(uint8_t out[WIRE_MESSAGE_MAX], const uint8_t exporter[32], const struct hash32 *challenge,
                          const struct pubkey *seal_key)
{
    return message(out, "reeve-agent-v1", exporter, challenge->b, seal_key->b);
}

size_t wire_seal_message(uint8_t out[WIRE_MESSAGE_MAX], const struct hash32 *chain_id, const struct pubkey *seal_key)
{
    return message(out, "reeve-seal-v1", chain_id->b, seal_key->b, NULL);
}
