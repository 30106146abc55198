/*
 * identity.c - this process's own key, the region's word for it, ticket keys
 *
 * The key lives as long as the process. The signer lends it the region's name
 * for a day; half-way it is asked again, and while the signer is stopped the
 * word that we have is used until it ends.
 */
#include "backend/gateway/gateway_int.h"

#include <stdlib.h>

#define ASK_TIMEOUT_MS   10000
#define ASK_AGAIN_MS     1000
#define TICKETS_EVERY_MS (600 * 1000)

static void ask_delegation(void *arg);
static void ask_tickets(void *arg);

static void again(struct gateway *g, struct loop_timer *t, int64_t ms, void (*fn)(void *))
{
    if (loop_timer_in(g->loop, t, ms, fn, g) != REEVE_OK)
        child_stop(g->child, 1);
}

static bool take_delegation(struct gateway *g, struct slice bytes)
{
    struct wire_delegation d;
    if (wire_delegation_decode(&d, bytes) != REEVE_OK || memcmp(d.gateway_key.b, g->pub.b, 32) != 0)
        return false;
    uint8_t *p = malloc(bytes.len);
    if (p == NULL)
        return false;
    memcpy(p, bytes.p, bytes.len);
    free((void *) g->delegation.p);
    g->delegation = slice_of(p, bytes.len);
    g->delegation_until = d.not_after;
    identity_judge(g);
    return true;
}

/*
 * A member that has just joined has a key that nobody knows yet, and one that was dropped has one that counts no more:
 * agents would refuse its word, so they are not let in.
 */
void identity_judge(struct gateway *g)
{
    struct wire_delegation d;
    const struct pubkey *key;
    bool was = g->speaks;
    g->speaks = false;
    if (g->delegation.len == 0 || g->facts.region_version == 0 || wire_delegation_decode(&d, g->delegation) != REEVE_OK)
        return;
    for (unsigned i = 0; !g->speaks && (key = region_doc_key(&g->facts.region_doc, i)) != NULL; i++)
        g->speaks = wire_delegation_verify(&crypto_ops_real, &d, &g->facts.chain_id, &g->facts.region, key, clock_wall(), 0) ==
                    REEVE_OK;
    if (was && !g->speaks)
        log_warning("this member's key does not speak for the region any more; agents are not served");
}

static void on_delegation(void *arg, struct ipc_answer *a)
{
    struct gateway *g = arg;
    if (a->err != REEVE_OK || !take_delegation(g, a->result)) {
        log_limited(LOG_SEV_WARNING, "no delegation from the signer: %s",
                    a->err != REEVE_OK ? reeve_err_text(a->err) : "not usable");
        again(g, &g->delegate_timer, ASK_AGAIN_MS, ask_delegation);
        return;
    }
    int64_t left = g->delegation_until.ms - clock_wall().ms;
    again(g, &g->delegate_timer, left / 2 > ASK_AGAIN_MS ? left / 2 : ASK_AGAIN_MS, ask_delegation);
}

static void ask_delegation(void *arg)
{
    struct gateway *g = arg;
    if (ipc_link_request(g->signer, MSG_GATEWAY_DELEGATE, slice_of(g->pub.b, 32), ASK_TIMEOUT_MS, on_delegation, g) !=
        REEVE_OK)
        again(g, &g->delegate_timer, ASK_AGAIN_MS, ask_delegation);
}

static void on_tickets(void *arg, struct ipc_answer *a)
{
    struct gateway *g = arg;
    bool ok = a->err == REEVE_OK && a->result.len == TLS_TICKET_KEY_LEN;
    if (ok)
        tls_ctx_ticket_key(g->tls, a->result.p);
    again(g, &g->ticket_timer, ok ? TICKETS_EVERY_MS : ASK_AGAIN_MS, ask_tickets);
}

static void ask_tickets(void *arg)
{
    struct gateway *g = arg;
    if (ipc_link_request(g->signer, MSG_TICKET_KEYS, slice_of(NULL, 0), ASK_TIMEOUT_MS, on_tickets, g) != REEVE_OK)
        again(g, &g->ticket_timer, ASK_AGAIN_MS, ask_tickets);
}

void identity_signer_up(void *arg)
{
    struct gateway *g = arg;
    if (g->delegation.len == 0)
        ask_delegation(g);
    if (!g->have_tickets) {
        g->have_tickets = true;
        ask_tickets(g);
    }
    sign_kick(g);
}

enum reeve_err identity_init(struct gateway *g, struct report *rep)
{
    uint8_t own[TLS_TICKET_KEY_LEN];
    struct tls_config cfg = { .alpn = WIRE_ALPN, .alpn_required = true, .min_tls13 = true, .ticket_key = own,
                              .ephemeral_name = "reeve-gateway", .ask_cert = true };
    sign_keygen(&g->key, &g->pub);
    /* Until the signer gives the shared one; a context made without any could never have one. */
    random_bytes(own, sizeof own);
    enum reeve_err err = tls_ctx_server(&g->tls, &cfg, rep);
    secret_wipe(own, sizeof own);
    return err;
}
