/* opening.c - HELLO and AUTH: both sides prove who they are (agent.md, section 4) */
#include "backend/gateway/gateway_int.h"

#include "crypto/x509.h"

#include <stdio.h>
#include <stdlib.h>

#define STARTING_RETRY_MS 500

/* ---- WELCOME ---- */

static void send_no_version(struct conn *c)
{
    struct wire_frame w = wire_frame_of(WF_WELCOME);
    w.u.welcome.version_min = w.u.welcome.version_max = WIRE_VERSION;
    conn_send_frame(c, &w);
    conn_fail(c, WE_VERSION, 0, 0, "no protocol version in common");
}

static bool sign_exporter(struct conn *c, struct sig64 *out)
{
    uint8_t exporter[32], msg[WIRE_MESSAGE_MAX];
    if (tls_exporter(c->tls, WIRE_EXPORTER_LABEL, exporter) != REEVE_OK)
        return false;
    size_t n = wire_gateway_message(msg, exporter, &c->challenge);
    sign_detached(out, slice_of(msg, n), &c->g->key);
    return true;
}

/* The REGION object with its proof from the agent's log size; bare bundle bytes, cached. */
static const struct payload *region_proof(struct gateway *g, struct view *v, uint64_t from)
{
    struct cache_key k = { .kind = CACHE_REGION, .from = from };
    const struct payload_list *l = cache_find(&g->cache, &k);
    if (l == NULL) {
        struct payload_list made = { 0 };
        struct object_key region = { .type = AT_REGION, .name = g->facts.region };
        struct wr w = wr_heap(128u << 10);
        bool ok = attest_bundle(&v->attest, from, &region, 1, &w) == REEVE_OK && !w.bad &&
                  payload_list_add(&made, payload_new(wr_slice(&w)));
        wr_free(&w);
        if (!ok)
            return NULL;
        l = cache_put(&g->cache, &k, made);
    }
    return l->p[0];
}

static void fill_welcome(struct gateway *g, const struct wire_hello *h, struct wire_welcome *w)
{
    w->version = w->version_min = w->version_max = WIRE_VERSION;
    w->features = h->features & WIRE_FEATURES;
    w->heartbeat_ms = (uint64_t) gw_setting(g, SET_agent_heartbeat_interval);
    w->reconnect_window_ms = (uint64_t) gw_setting(g, SET_agent_reconnect_window);
    w->max_frame = (uint64_t) gw_setting(g, SET_agent_frame_max);
    w->time_ms = (uint64_t) clock_wall().ms;
    w->epoch = GW_EPOCH;
    w->revision = g->facts.revision;
    w->height = g->facts.height;
    w->delegation = g->delegation;
    if (h->set_epoch == 0)
        w->genesis = g->facts.genesis;
    if (h->set_epoch != g->facts.set_epoch + 1)
        w->valset = g->facts.valset;
}

static bool send_welcome(struct conn *c, const struct wire_hello *h)
{
    struct gateway *g = c->g;
    struct wire_frame f = wire_frame_of(WF_WELCOME);
    fill_welcome(g, h, &f.u.welcome);
    random_bytes(c->challenge.b, 32);
    f.u.welcome.challenge = c->challenge;
    if (!sign_exporter(c, &f.u.welcome.signature))
        return false;
    if (h->set_epoch == 0 || h->region_version != g->facts.region_version) {
        struct view v;
        if (view_open(g, &v) != REEVE_OK)
            return false;
        const struct payload *p = region_proof(g, &v, h->log_size);
        view_close(&v);
        if (p == NULL)
            return false;
        f.u.welcome.region_proof = slice_of(p->b, p->len);
    }
    if (wire_size(&f) == 0)
        return false;
    conn_send_frame(c, &f);
    return true;
}

/* An older header than the one it knows would be refused, and rightly. */
static bool is_ahead(const struct gateway *g, const struct wire_hello *h)
{
    return h->log_size > g->facts.log_size || h->height > g->facts.height;
}

enum handled on_hello(struct conn *c, const struct wire_frame *f)
{
    const struct wire_hello *h = &f->u.hello;
    if (h->version_min > WIRE_VERSION || h->version_max < WIRE_VERSION) {
        send_no_version(c);
        return H_DONE;
    }
    c->peer_max_frame = (uint32_t) h->max_frame;
    c->id = h->node;
    /* It may come from a gateway that looked at the store a moment later than this one. */
    if (is_ahead(c->g, h))
        facts_refresh(c->g);
    /* Ahead of the store itself: another server may know as much. */
    if (is_ahead(c->g, h) || !c->g->speaks || !send_welcome(c, h)) {
        conn_retry_after(c, STARTING_RETRY_MS, 5);
        return H_DONE;
    }
    if (c->phase == CP_HELLO)
        conn_phase_set(c, CP_AUTH, GW_AUTH_MS);
    return H_DONE;
}

/* ---- AUTH ---- */

static bool proves_by_signature(struct conn *c, const struct wire_auth *a)
{
    uint8_t exporter[32], msg[WIRE_MESSAGE_MAX];
    if (tls_exporter(c->tls, WIRE_EXPORTER_LABEL, exporter) != REEVE_OK)
        return false;
    size_t n = wire_agent_message(msg, exporter, &c->challenge, &a->seal_key);
    return sign_verify(&a->signature, slice_of(msg, n), &a->key);
}

/* R-026, mode 2: TLS has proved possession of the certificate's key; it must be the node's. */
static bool proves_by_certificate(struct conn *c, const struct wire_auth *a)
{
    static const uint8_t prefix[12] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
    struct wr der = wr_heap(X509_DER_MAX);
    struct x509_info info;
    struct hash32 want;
    const struct slice spki[2] = { slice_of(prefix, sizeof prefix), slice_of(a->key.b, 32) };
    sha256_parts(&want, spki, 2);
    bool ok = sign_pubkey_ok(&a->key) && tls_peer_cert(c->tls, &der) == REEVE_OK &&
              x509_parse(&info, wr_slice(&der)) == REEVE_OK && info.key_type == KEY_ED25519 &&
              hash32_eq(&info.spki_hash, &want);
    wr_free(&der);
    return ok;
}

static bool claimed_another(const struct conn *c, const struct node_id *id)
{
    static const struct node_id none;
    return memcmp(c->id.b, none.b, 16) != 0 && memcmp(c->id.b, id->b, 16) != 0;
}

static bool proves(struct conn *c, const struct wire_auth *a)
{
    struct node_id id;
    bool ok = a->mode == 1 ? proves_by_signature(c, a) : proves_by_certificate(c, a);
    node_id_of_key(&id, &a->key);
    if (!ok || claimed_another(c, &id))
        return false;
    c->id = id;
    c->key = a->key;
    c->seal_key = a->seal_key;
    snprintf(c->agent_version, sizeof c->agent_version, "%.*s", (int) a->agent_version.len,
             (const char *) a->agent_version.p);
    return true;
}

enum handled on_auth(struct conn *c, const struct wire_frame *f)
{
    struct view v;
    if (!proves(c, &f->u.auth)) {
        conn_fail(c, WE_AUTH, 0, 0, "the proof of identity does not hold");
        return H_DONE;
    }
    if (view_open(c->g, &v) != REEVE_OK) {
        conn_retry_after(c, STARTING_RETRY_MS, 5);
        return H_DONE;
    }
    if (node_admit(c, &v) != NODE_REFUSED) {
        conn_phase_set(c, c->enrolled ? CP_READY : CP_ENROLL, c->enrolled ? 0 : GW_ENROLL_MS);
        send_auth_ok(c);
    }
    view_close(&v);
    return H_DONE;
}
