/* delegate.c - GATEWAY_DELEGATE: the region lends its name to a gateway's key for a while. */
#include "backend/signer/signer_int.h"

#include "engine/wire.h"

/* A gateway asks again long before the end; one that was taken over loses the name by then. */
#define DELEGATION_MS (24 * 3600 * INT64_C(1000))
#define DELEGATION_BACKDATE_MS 300000

enum reeve_err signer_gateway_delegate(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct wire_delegation d = { .chain_id = s->trust.chain_id, .region = s->region };
    uint8_t mem[WIRE_DELEGATION_MAX + 64];
    struct wr message = wr_fixed(mem, sizeof mem);
    rd_copy(in, d.gateway_key.b, 32);
    if (!rd_done(in))
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for a delegation");
    if (!sign_pubkey_ok(&d.gateway_key))
        return report_set(rep, REEVE_E_V_KEY, "the gateway's key is not acceptable");
    int64_t now = s->now_ms();
    d.not_before.ms = now - DELEGATION_BACKDATE_MS;
    d.not_after.ms = now + DELEGATION_MS;
    wire_delegation_message(&d, &message);
    if (message.bad)
        return report_set(rep, REEVE_E_BUG, "the delegation does not fit");
    enum reeve_err err = own_key_sign(s->token, &s->sec->region, wr_slice(&message), &d.signature, rep);
    if (err == REEVE_OK)
        wire_delegation_encode(&d, out);
    return err;
}
