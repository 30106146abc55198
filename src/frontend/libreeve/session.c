/*
 * session.c - the opening: HELLO, who the gateway is, who the node is, enrolment
 *
 * Nothing that names the node leaves before on_welcome has verified the
 * region's key on this connection (R-022, R-025). HELLO's node id is therefore
 * sent as zero: the gateway learns it from AUTH.
 */
#include "agent_int.h"

#include <stdio.h>

#include "common/text.h"

static uint64_t region_version(const struct agent *a)
{
    const struct held *h = held_find(a, AT_REGION, &a->region);
    return h ? h->version : 0;
}

void session_hello(struct agent *a)
{
    struct wire_frame f = wire_frame_of(WF_HELLO);
    struct wire_hello *h = &f.u.hello;
    memcpy(h->magic.b, WIRE_MAGIC, 4);
    h->version_min = h->version_max = WIRE_VERSION;
    h->features = WIRE_FEATURES;
    h->max_frame = a->max_frame;
    h->resume = wr_slice(&a->resume);
    h->epoch = a->epoch;
    h->revision = a->revision;
    if (a->have_trust) {
        h->height = a->trust->height;
        h->log_size = a->trust->log_size;
        h->region_version = region_version(a);
        h->set_epoch = a->trust->set.epoch + 1;
    }
    a->phase = AP_HELLO;
    if (tls_exporter(a->c.tls, WIRE_EXPORTER_LABEL, a->exporter) != REEVE_OK)
        conn_lost(a, "no TLS exporter");
    else
        (void) conn_send(a, &f);
}

/* ---- WELCOME ---- */

/* The first time: chain and set from the token's pins. */
static enum reeve_err pin(struct agent *a, const struct wire_welcome *w)
{
    struct hash32 h;
    genesis_chain_id(&crypto_ops_real, &h, w->genesis);
    if (!hash32_eq(&h, &a->token.chain_id))
        return REEVE_E_V_CHAIN;
    valset_hash(&crypto_ops_real, &h, w->valset);
    if (!hash32_eq(&h, &a->token.set_hash))
        return REEVE_E_V_SET;
    memset(a->trust, 0, sizeof *a->trust);
    enum reeve_err err = valset_decode(&a->trust->set, w->valset);
    if (err != REEVE_OK)
        return err;
    a->trust->chain_id = a->token.chain_id;
    a->trust->set_hash = a->token.set_hash;
    a->have_trust = true;
    cache_put_trust(a);
    return REEVE_OK;
}

/* By one of the keys that the attested region lists, or V_REGION. */
static enum reeve_err delegation_check(const struct agent *a, const struct wire_delegation *d)
{
    struct region_doc region;
    struct slice payload;
    const struct pubkey *key;
    enum reeve_err err = REEVE_E_V_REGION;
    if (!held_payload(a, AT_REGION, &a->region, &payload) || region_doc_decode(&region, payload) != REEVE_OK)
        return err;
    for (unsigned i = 0; err == REEVE_E_V_REGION && (key = region_doc_key(&region, i)) != NULL; i++)
        err = wire_delegation_verify(&crypto_ops_real, d, &a->trust->chain_id, &a->region, key, a->now.wall, SKEW_MS);
    return err;
}

static enum reeve_err gateway_check(struct agent *a, const struct wire_welcome *w)
{
    struct wire_delegation d;
    uint8_t msg[WIRE_MESSAGE_MAX];
    enum reeve_err err;
    if (wire_delegation_decode(&d, w->delegation) != REEVE_OK)
        return REEVE_E_V_REGION;
    TRY(delegation_check(a, &d));
    size_t len = wire_gateway_message(msg, a->exporter, &w->challenge);
    if (!sign_verify(&w->signature, slice_of(msg, len), &d.gateway_key))
        err = REEVE_E_V_REGION;
out:
    return err;
}

static void send_auth(struct agent *a)
{
    struct wire_frame f = wire_frame_of(WF_AUTH);
    uint8_t msg[WIRE_MESSAGE_MAX];
    f.u.auth.mode = a->mtls ? 2 : 1;
    f.u.auth.key = a->id.pub;
    f.u.auth.seal_key = a->id.seal_pub;
    f.u.auth.agent_version = slice_str("reeve-agent 0.1");
    if (!a->mtls) {
        size_t len = wire_agent_message(msg, a->exporter, &a->challenge, &a->id.seal_pub);
        sign_detached(&f.u.auth.signature, slice_of(msg, len), &a->id.sign);
    }
    a->phase = AP_AUTH;
    (void) conn_send(a, &f);
}

static void take_limits(struct agent *a, const struct wire_welcome *w)
{
    a->heartbeat_ms = w->heartbeat_ms < 100 ? 100 : (uint32_t) w->heartbeat_ms;
    a->window_ms = (uint32_t) w->reconnect_window_ms;
    a->peer_max_frame = (uint32_t) w->max_frame;
    a->challenge = w->challenge;
}

void on_welcome(struct agent *a, const struct wire_welcome *w)
{
    enum reeve_err err = REEVE_OK;
    if (w->version != WIRE_VERSION) {
        conn_lost(a, "no version in common: the gateway speaks %u to %u", (unsigned) w->version_min, (unsigned) w->version_max);
        return;
    }
    take_limits(a, w);
    if (!a->have_trust)
        err = pin(a, w);
    else if (w->valset.len > 0)
        err = REEVE_E_V_SET;            /* a change of the set must come as a counter-signed leaf */
    if (err != REEVE_OK) {
        ag_refuse(a, err, "the gateway's chain");
        return;
    }
    if (w->region_proof.len > 0 && !bundle_take(a, w->region_proof, 4, false))
        return;
    err = gateway_check(a, w);
    if (err != REEVE_OK)
        ag_refuse(a, err, "the gateway's proof of region %s", a->region.s);
    else
        send_auth(a);
}

/* ---- AUTH_OK, ENROLLED ---- */

static bool labels_same(const struct labels *x, const struct labels *y)
{
    if (x->n != y->n)
        return false;
    for (uint8_t i = 0; i < x->n; i++)
        if (!name_eq(&x->l[i].key, &y->l[i].key) || !name_eq(&x->l[i].value, &y->l[i].value))
            return false;
    return true;
}

static void take_labels(struct agent *a, struct wire_list list)
{
    struct labels l = { 0 };
    struct wire_label w;
    while (l.n < ROLLOUT_LABELS_MAX && wire_list_next(&list, WG_LABEL, &w))
        if (name_set(&l.l[l.n].key, w.key) && name_set(&l.l[l.n].value, w.value))
            l.n++;
    if (labels_same(&l, &a->labels))
        return;
    a->labels = l;
    a->decide_due = true;
    a->values_changed = true;
    a->told = a->now.mono;
}

static void admitted(struct agent *a, uint64_t ordinal, struct wire_list labels, struct slice resume)
{
    bool first = !a->enrolled;
    a->enrolled = true;
    a->ordinal = (uint32_t) ordinal;
    take_labels(a, labels);
    wr_reset(&a->resume);
    wr_bytes(&a->resume, resume.p, resume.len);
    cache_put_meta(a);
    if (first)
        secret_wipe(a->token.secret, sizeof a->token.secret);
    if (a->phase == AP_READY)           /* labels changed while connected */
        return;
    backoff_connected(&a->backoff, a->now.mono, a->window_ms);
    conn_ready(a);
}

static void send_enroll(struct agent *a)
{
    struct wire_frame f = wire_frame_of(WF_ENROLL);
    uint8_t mem[ROLLOUT_LABELS_MAX * 520];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (!a->have_token) {
        ag_halt(a, "the region does not know this node, and there is no join token");
        return;
    }
    memcpy(f.u.enroll.token.b, a->token.id, 8);
    memcpy(f.u.enroll.secret.b, a->token.secret, 16);
    for (uint8_t i = 0; i < a->asked.n; i++) {
        struct wire_label l = { name_slice(&a->asked.l[i].key), name_slice(&a->asked.l[i].value) };
        if (wire_list_add(&w, &f.u.enroll.labels, WG_LABEL, &l) != REEVE_OK)
            break;
    }
    wire_list_end(&w, &f.u.enroll.labels);
    f.u.enroll.addr_hint = slice_str(a->addr_hint);
    a->phase = AP_ENROLL;
    (void) conn_send(a, &f);
    secret_wipe(f.u.enroll.secret.b, 16);
}

void on_auth_ok(struct agent *a, const struct wire_auth_ok *w)
{
    if (w->status == 2)
        send_enroll(a);
    else
        admitted(a, w->ordinal, w->labels, w->resume);
}

void on_enrolled(struct agent *a, const struct wire_enrolled *w)
{
    if (!slice_eq(w->region, name_slice(&a->region))) {
        ag_refuse(a, REEVE_E_V_REGION, "an enrolment in another region");
        return;
    }
    ag_log(a, AGENT_LOG_INFO, "enrolled as %s", a->id.id_text);
    admitted(a, w->ordinal, w->labels, w->resume);
}

/* ---- SUBSCRIBE ---- */

void session_subscribe(struct agent *a)
{
    struct wire_frame f = wire_frame_of(WF_SUBSCRIBE);
    f.u.subscribe.log_size = a->trust->log_size;
    f.u.subscribe.epoch = a->epoch;
    f.u.subscribe.revision = a->revision;
    f.u.subscribe.own = 1;
    a->list_open = a->snapshot_open = false;
    a->subscribe_due_ms = ag_mono(a) + SUBSCRIBE_MS * 8 / 10 + ag_random_ms(SUBSCRIBE_MS * 4 / 10);
    (void) conn_send(a, &f);
}
