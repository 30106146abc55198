/* change.c - other servers, another way to identify, other times, while the agent runs. */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>

static bool listed(const struct agent *a, const struct endpoint *e, unsigned *at)
{
    for (unsigned i = 0; i < a->n_ep; i++)
        if (strcmp(a->ep[i].host, e->host) == 0 && strcmp(a->ep[i].port, e->port) == 0) {
            *at = i;
            return true;
        }
    return false;
}

/* The new list parsed into a copy first: one bad entry and the old list stays. */
static enum reeve_err take_endpoints(struct agent *a, const char *text, bool *gone, struct report *rep)
{
    struct agent *fresh = calloc(1, sizeof *fresh);
    struct endpoint present = a->ep[a->at_ep];
    if (fresh == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    enum reeve_err err = endpoints_parse(fresh, text, rep);
    if (err == REEVE_OK) {
        memcpy(a->ep, fresh->ep, sizeof a->ep);
        a->n_ep = fresh->n_ep;
        a->at_ep = 0;
        *gone = !listed(a, &present, &a->at_ep);
    }
    free(fresh);
    return err;
}

/* What a session remembers belongs to the identity it was made with. */
static void take_context(struct agent *a, struct tls_ctx *ctx, bool mtls)
{
    if (a->own_tls)
        tls_ctx_free(a->tls);
    a->tls = ctx;
    a->own_tls = true;
    a->mtls = mtls;
    wr_reset(&a->session);
}

static void take_rest(struct agent *a, const struct agent_options *o)
{
    a->tick_ms = o->tick_ms ? o->tick_ms : AGENT_TICK_MS;
    a->config_ttl_ms = o->config_ttl_ms;
    snprintf(a->addr_hint, sizeof a->addr_hint, "%s", o->addr_hint ? o->addr_hint : "");
    if (o->labels == NULL)
        return;
    a->asked = *o->labels;
    if (!a->enrolled)                   /* afterwards labels are the region's word */
        a->labels = *o->labels;
}

enum reeve_err agent_change(struct agent *a, const struct agent_options *o, struct agent_now now, bool *dropped,
                            struct report *rep)
{
    enum reeve_err err;
    struct tls_ctx *ctx = NULL;
    bool gone = false, other = o->mtls != a->mtls;
    a->now = now;
    *dropped = false;
    if (other)
        TRY(own_context(a, o->mtls, &ctx, rep));
    if (!a->enrolled && o->token != NULL)
        TRY(take_token(a, o->token, rep));
    TRY(take_endpoints(a, o->endpoints, &gone, rep));
    take_rest(a, o);
    *dropped = (gone || other) && a->c.fd >= 0;
    if (*dropped)
        conn_leave(a);
    if (other) {
        take_context(a, ctx, o->mtls);
        ctx = NULL;
    }
    if (a->c.fd < 0)
        snprintf(a->ep_text, sizeof a->ep_text, "%s:%s", a->ep[a->at_ep].host, a->ep[a->at_ep].port);
    a->deadline = now.mono;
out:
    tls_ctx_free(ctx);
    return err;
}
