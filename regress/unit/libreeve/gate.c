/* gate.c - a gateway inside the test. */
#include "gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROLLOUT_ID 50

/* ---- the chain ---- */

void gate_follow(struct stage *g, enum attest_type type, const char *name)
{
    assert_true(g->n_keys < KEYS_MAX);
    g->keys[g->n_keys++] = (struct object_key){ type, name_of(name) };
}

static void make_ca(struct stage *g)
{
    uint8_t mem[256];
    struct wr spki = wr_fixed(mem, sizeof mem);
    struct x509_spec spec = { .subject = slice_str("CN=Edge CA"), .not_before = { GENESIS_MS }, .is_ca = true, .path_len = 0,
                              .not_after = { GENESIS_MS + 730 * DAY_MS } };
    struct authority_gen *ag = &g->auth.g[0];
    assert_ok(xkey_generate(&g->ca, KEY_ED25519));
    assert_ok(xkey_spki(g->ca, &spki));
    x509_serial_random(spec.serial);
    g->ca_cert = wr_heap(X509_DER_MAX);
    assert_ok(x509_issue(&g->ca_cert, &spec, wr_slice(&spki), g->ca, slice_of(NULL, 0)));
    authority_doc_sample(&g->auth, g->w.now);
    sha256(&ag->spki_hash, wr_slice(&spki));
    ag->chain_len = (uint16_t) g->ca_cert.len;
    memcpy(ag->chain, g->ca_cert.p, g->ca_cert.len);
}

static struct cert_gen fresh_gen(struct stage *g)
{
    struct cert_gen cg = cert_gen_sample(g->w.now);
    uint8_t mem[256];
    struct wr spki = wr_fixed(mem, sizeof mem);
    if (g->cert.mode != CERT_PER_NODE) {
        assert_ok(xkey_spki(g->leaf_key, &spki));
        sha256(&cg.spki_hash, wr_slice(&spki));
    }
    return cg;
}

void gate_furnish(struct stage *g, uint8_t mode)
{
    struct region_doc home = { .key = g->w.genesis.region[0].key, .state = REGION_OK };
    block_of(&g->w, AT_REGION, "home", PAYLOAD(&g->w, region, &home));
    make_ca(g);
    block_of(&g->w, AT_AUTHORITY, "ca", PAYLOAD(&g->w, authority, &g->auth));
    cert_doc_sample(&g->cert, "ca");
    g->cert.mode = mode;
    struct cert_gen cg = fresh_gen(g);
    assert_ok(cert_gen_append(&g->cert, 0, &cg, NULL));
    assert_ok(cert_gen_activate_first(&g->cert, NULL));
    block_of(&g->w, AT_CERT, "web", PAYLOAD(&g->w, cert, &g->cert));
    gate_follow(g, AT_REGION, "home");
    gate_follow(g, AT_AUTHORITY, "ca");
    gate_follow(g, AT_CERT, "web");
}

static struct rollout_doc roll;
static struct update_set set;

void gate_rollout(struct stage *g, uint64_t bound0)
{
    struct name web = name_of("web");
    struct rollout_change change = { .fresh = true, .cert = fresh_gen(g) };
    uint32_t from, next;
    assert_ok(attest_gen_numbers(&g->w.a, AT_CERT, &web, &from, &next));
    rollout_doc_sample(&roll, ROLLOUT_ID, AT_CERT, "web", from, next);
    roll.region[0].bound[0] = bound0;
    roll.region[0].nodes[0] = bound0 == 0 ? 0 : 99;
    roll.region[0].nodes[1] = bound0 == 0 ? 100 : bound0 == COHORT_END ? 0 : 1;
    roll.prepare_ms = 3000;
    assert_ok(attest_rollout_begin(&g->w.a, &roll, &change, &g->w.mem, &set, &g->w.rep));
    block_of_set(&g->w, &set);
    gate_follow(g, AT_ROLLOUT, "50");
}

void gate_region(struct stage *g, uint8_t state)
{
    struct region_doc home = { .key = g->w.genesis.region[0].key, .state = state };
    block_of(&g->w, AT_REGION, "home", PAYLOAD(&g->w, region, &home));
}

void gate_rollout_step(struct stage *g, uint8_t state, uint8_t opened)
{
    assert_ok(attest_get_rollout(&g->w.a, ROLLOUT_ID, &roll, NULL));
    roll.state = state;
    roll.opened = opened;
    g->w.now.ms += 20000;
    assert_ok(attest_rollout_step(&g->w.a, &roll, &g->w.mem, &set, &g->w.rep));
    block_of_set(&g->w, &set);
}

void gate_config(struct stage *g, const char *key, const char *value)
{
    struct rollout_change change = { .fresh = true, .config = { .gen = 1 } };
    rollout_doc_sample(&roll, ROLLOUT_ID + 1, AT_CONFIG, key, 0, 1);
    sha256(&change.config.digest, slice_str(value));
    roll.n_waves = 1;
    roll.wave[0] = (struct rollout_wave){ 1000000, 0 };
    roll.region[0].bound[0] = COHORT_END;
    roll.region[0].nodes[0] = 100;
    roll.region[0].bound[1] = roll.region[0].nodes[1] = 0;
    assert_ok(attest_rollout_begin(&g->w.a, &roll, &change, &g->w.mem, &set, &g->w.rep));
    block_of_set(&g->w, &set);
    static const uint8_t states[] = { RS_RUNNING, RS_SUCCEEDED };
    for (size_t i = 0; i < 2; i++) {
        roll.state = states[i];
        roll.opened = 1;
        g->w.now.ms += 20000;
        assert_ok(attest_rollout_step(&g->w.a, &roll, &g->w.mem, &set, &g->w.rep));
        block_of_set(&g->w, &set);
    }
    gate_follow(g, AT_CONFIG, key);
}

/* ---- bytes out ---- */

void gate_send(struct stage *g, const struct wire_frame *f)
{
    if (g->tls != NULL)
        assert_ok(wire_encode(&g->out, f));
}

/* A finalization with one signature only, where more are needed. */
static void drop_signatures(struct wr *b)
{
    struct rd r = rd_of(wr_slice(b));
    struct finalization f;
    struct wr out = wr_heap(1 << 20);
    assert_int_equal(rd_u8(&r), 1);
    assert_ok(finalization_decode(&f, &r));
    memset(f.bitmap, 0, sizeof f.bitmap);
    f.bitmap[0] = 1;
    f.n_sigs = 1;
    wr_u8(&out, 1);
    finalization_encode(&f, &out);
    wr_bytes(&out, r.p, (size_t) (r.end - r.p));
    wr_free(b);
    *b = out;
}

static void bundle(struct stage *g, const struct object_key *keys, size_t n, struct wr *out)
{
    struct attest_head head;
    *out = wr_heap(1 << 20);
    assert_ok(attest_bundle(&g->w.a, g->log_size, keys, n, out));
    assert_ok(attest_head(&g->w.a, &head));
    g->log_size = head.log_size;
    if (g->lie == LIE_FEW)
        drop_signatures(out);
    if (g->mutate != NULL)
        g->mutate(g, out->p, out->len);
}

static void send_bundle(struct stage *g, const struct object_key *keys, size_t n, uint8_t scope)
{
    struct wr b;
    struct wire_frame f = wire_frame_of(scope ? WF_BUNDLE : WF_TICK);
    bundle(g, keys, n, &b);
    if (scope) {
        f.u.bundle.scope = scope;
        f.u.bundle.bundle = wr_slice(&b);
    } else {
        f.u.tick.bundle = wr_slice(&b);
    }
    gate_send(g, &f);
    wr_free(&b);
}

void gate_push(struct stage *g)
{
    send_bundle(g, g->keys, g->n_keys, 1);
}

void gate_tick(struct stage *g)
{
    block(&g->w, NULL, 0);
    send_bundle(g, NULL, 0, 0);
}

/* ---- frames in ---- */

static void delegation(struct stage *g, struct wr *out)
{
    uint8_t mem[512];
    struct wr m = wr_fixed(mem, sizeof mem);
    struct attest_head head;
    struct wire_delegation d = { .region = name_of(g->lie == LIE_DELEGATION_REGION ? "away" : "home"), .gateway_key = g->gw_pub,
                                 .not_before = { GENESIS_MS }, .not_after = { GENESIS_MS + DAY_MS } };
    if (g->lie == LIE_DELEGATION_OLD)
        d.not_before.ms -= 10 * DAY_MS, d.not_after.ms -= 2 * DAY_MS;
    assert_ok(attest_head(&g->w.a, &head));
    d.chain_id = head.chain_id;
    wire_delegation_message(&d, &m);
    sign_detached(&d.signature, wr_slice(&m), &g->w.region[g->lie == LIE_REGION_KEY ? 1 : 0]);
    wire_delegation_encode(&d, out);
}

static void on_hello(struct stage *g, const struct wire_hello *h)
{
    struct wire_frame f = wire_frame_of(WF_WELCOME);
    struct wire_welcome *w = &f.u.welcome;
    uint8_t exporter[32], msg[WIRE_MESSAGE_MAX], mem[512];
    struct wr dele = wr_fixed(mem, sizeof mem), set_doc = wr_heap(1 << 20), proof = { 0 };
    static struct genesis other;
    struct wr genesis = wr_heap(1 << 20);
    other = g->w.genesis;
    other.nonce[0] ^= g->lie == LIE_GENESIS;
    genesis_encode(&other, &genesis);
    other.set.v[0].name = g->lie == LIE_SET ? name_of("mallory") : other.set.v[0].name;
    valset_encode(&other.set, &set_doc);
    g->log_size = h->log_size;
    w->version = w->version_min = w->version_max = 1;
    w->heartbeat_ms = 1000;
    w->reconnect_window_ms = 5000;
    w->max_frame = 1 << 20;
    random_bytes(g->challenge.b, 32);
    w->challenge = g->challenge;
    assert_ok(tls_exporter(g->tls, WIRE_EXPORTER_LABEL, exporter));
    exporter[0] ^= g->lie == LIE_EXPORTER;
    sign_detached(&w->signature, slice_of(msg, wire_gateway_message(msg, exporter, &g->challenge)), &g->gw);
    delegation(g, &dele);
    w->delegation = wr_slice(&dele);
    if (h->set_epoch == 0) {
        w->genesis = wr_slice(&genesis);
        w->valset = wr_slice(&set_doc);
    }
    if (h->region_version == 0) {
        bundle(g, &(struct object_key){ AT_REGION, name_of("home") }, 1, &proof);
        w->region_proof = wr_slice(&proof);
    }
    gate_send(g, &f);
    wr_free(&genesis);
    wr_free(&set_doc);
    wr_free(&proof);
}

static void on_auth(struct stage *g, const struct wire_auth *a)
{
    struct wire_frame f = wire_frame_of(WF_AUTH_OK);
    uint8_t exporter[32], msg[WIRE_MESSAGE_MAX];
    assert_ok(tls_exporter(g->tls, WIRE_EXPORTER_LABEL, exporter));
    if (a->mode == 1)
        assert_true(sign_verify(&a->signature, slice_of(msg, wire_agent_message(msg, exporter, &g->challenge, &a->seal_key)), &a->key));
    g->auth_frame = *a;
    f.u.auth_ok.status = g->known ? 1 : 2;
    f.u.auth_ok.region = slice_str(g->known ? "home" : "");
    gate_send(g, &f);
}

static void on_enroll(struct stage *g, const struct wire_enroll *e)
{
    struct wire_frame f = wire_frame_of(WF_ENROLLED);
    assert_int_equal(e->token.b[0], 0x77);
    g->known = true;
    f.u.enrolled.ordinal = 7;
    f.u.enrolled.region = slice_str("home");
    gate_send(g, &f);
}

static void on_subscribe(struct stage *g, const struct wire_subscribe *s)
{
    char text[NODE_ID_TEXT_LEN + 1];
    struct wire_frame f = wire_frame_of(WF_CONFIG);
    g->subscribes++;
    g->log_size = s->log_size;
    gate_push(g);
    node_id_text(text, &g->id.id);
    send_bundle(g, &(struct object_key){ AT_NODE, name_of(text) }, 1, 3);
    f.u.config.kind = 2;
    f.u.config.epoch = f.u.config.revision = 1;
    gate_send(g, &f);
}

static void issue(struct stage *g, struct slice spki, struct wr *der)
{
    struct x509_spec spec = { .subject = slice_str(g->lie == LIE_TEMPLATE ? "CN=evil.example" : g->cert.subject), .n_sans = 2,
                              .not_before = g->cert.g[0].not_before, .not_after = g->cert.g[0].not_after };
    struct xkey *ca = g->ca;
    uint8_t mem[256];
    struct wr own = wr_fixed(mem, sizeof mem);
    struct name web = name_of("web");
    static struct cert_doc now;
    assert_ok(attest_get_cert(&g->w.a, &web, &now, NULL));
    spec.not_before = now.g[now.n - 1].not_before;
    spec.not_after = now.g[now.n - 1].not_after;
    for (size_t i = 0; i < 2; i++)
        spec.sans[i] = name_slice(&g->cert.san[i]);
    x509_serial_random(spec.serial);
    if (g->lie == LIE_OTHER_KEY) {
        assert_ok(xkey_spki(g->leaf_key, &own));
        spki = wr_slice(&own);
    }
    if (g->lie == LIE_CA) {             /* an authority of the same name that nobody attested */
        struct wr root = wr_heap(X509_DER_MAX), ca_spki = wr_heap(256);
        struct x509_spec cs = { .subject = slice_str("CN=Edge CA"), .not_before = { GENESIS_MS }, .is_ca = true,
                                .not_after = { GENESIS_MS + 730 * DAY_MS } };
        assert_ok(xkey_generate(&ca, KEY_ED25519));
        assert_ok(xkey_spki(ca, &ca_spki));
        x509_serial_random(cs.serial);
        assert_ok(x509_issue(&root, &cs, wr_slice(&ca_spki), ca, slice_of(NULL, 0)));
        assert_ok(x509_issue(der, &spec, spki, ca, wr_slice(&root)));
        xkey_free(ca);
        wr_free(&root);
        wr_free(&ca_spki);
        return;
    }
    assert_ok(x509_issue(der, &spec, spki, ca, wr_slice(&g->ca_cert)));
}

static void on_cert_request(struct stage *g, const struct wire_frame *in)
{
    struct wire_frame f = wire_frame_of(WF_CERT_REPLY);
    uint8_t mem[256];
    struct wr spki = wr_fixed(mem, sizeof mem), der = wr_heap(X509_DER_MAX);
    g->cert_requests++;
    assert_ok(csr_check(in->u.cert_request.csr, (enum key_type) g->cert.key_type, &spki));
    issue(g, wr_slice(&spki), &der);
    f.head.flags = WIRE_REQID;
    f.head.reqid = in->head.reqid;
    f.u.cert_reply.object = in->u.cert_request.object;
    f.u.cert_reply.gen = in->u.cert_request.gen;
    f.u.cert_reply.leaf = wr_slice(&der);
    f.u.cert_reply.chain = wr_slice(&g->ca_cert);
    gate_send(g, &f);
    wr_free(&der);
}

static void on_key_request(struct stage *g, const struct wire_frame *in)
{
    struct wire_frame f = wire_frame_of(WF_KEY_REPLY);
    struct xkey *key = g->leaf_key, *lie = NULL;
    uint8_t mem[256], plain[512], box[600];
    struct wr spki = wr_fixed(mem, sizeof mem), p = wr_fixed(plain, sizeof plain), der = wr_heap(X509_DER_MAX);
    struct pubkey to = in->u.key_request.seal_key;
    g->key_requests++;
    if (g->lie == LIE_OTHER_KEY)
        assert_ok(xkey_generate(&lie, KEY_ECDSA_P256));
    if (g->lie == LIE_NO_SEAL)
        to = g->w.genesis.region[0].key;
    if (lie != NULL)
        key = lie;
    assert_ok(xkey_spki(key, &spki));
    enum lie was = g->lie;
    g->lie = LIE_NOT;
    issue(g, wr_slice(&spki), &der);
    g->lie = was;
    assert_ok(xkey_to_der(key, &p));
    if (seal_box(box, wr_slice(&p), &to) != REEVE_OK)
        memset(box, 1, sizeof box);
    f.head.flags = WIRE_REQID;
    f.head.reqid = in->head.reqid;
    f.u.key_reply.object = in->u.key_request.object;
    f.u.key_reply.gen = in->u.key_request.gen;
    f.u.key_reply.sealed = slice_of(box, p.len + SEAL_OVERHEAD);
    f.u.key_reply.leaf = wr_slice(&der);
    gate_send(g, &f);
    wr_free(&der);
    xkey_free(lie);
}

static void on_report(struct stage *g, const struct wire_frame *in)
{
    struct wire_frame f = wire_frame_of(WF_REPORT_ACK);
    g->reports++;
    g->report = in->u.report;
    snprintf(g->report_object, sizeof g->report_object, "%.*s", (int) in->u.report.object.len, (const char *) in->u.report.object.p);
    f.head.flags = WIRE_REQID;
    f.head.reqid = in->head.reqid;
    gate_send(g, &f);
}

static void on_heads(struct stage *g, const struct wire_heads *h)
{
    g->heads[h->kind]++;
    if (h->kind != 3)
        return;
    wr_free(&g->evidence);
    g->evidence = wr_heap(1 << 16);
    wr_bytes(&g->evidence, h->head.p, h->head.len);
}

static void handle(struct stage *g, const struct wire_frame *f)
{
    struct wire_frame ack = wire_frame_of(WF_HEARTBEAT_ACK);
    switch (f->head.type) {
    case WF_HELLO:        on_hello(g, &f->u.hello); break;
    case WF_AUTH:         on_auth(g, &f->u.auth); break;
    case WF_ENROLL:       on_enroll(g, &f->u.enroll); break;
    case WF_SUBSCRIBE:    on_subscribe(g, &f->u.subscribe); break;
    case WF_CERT_REQUEST: on_cert_request(g, f); break;
    case WF_KEY_REQUEST:  on_key_request(g, f); break;
    case WF_REPORT:       on_report(g, f); break;
    case WF_HEARTBEAT:    if (!g->mute) gate_send(g, &ack); break;
    case WF_HEADS:        on_heads(g, &f->u.heads); break;
    case WF_ERROR:        g->last_error = (unsigned) f->u.error.code; break;
    default:              fail_msg("the agent sent type %u", f->head.type);
    }
}

static bool frames(struct stage *g)
{
    size_t at = 0, total;
    while (wire_frame_len(slice_of(g->in.p + at, g->in.len - at), WIRE_FRAME_MAX, &total) == REEVE_OK) {
        struct wire_frame f;
        assert_ok(wire_decode(&f, slice_of(g->in.p + at, total)));
        handle(g, &f);
        if (g->tls == NULL)
            return false;
        at += total;
    }
    memmove(g->in.p, g->in.p + at, g->in.len - at);
    g->in.len -= at;
    return true;
}

/* ---- the socket ---- */

void gate_cut(struct stage *g)
{
    if (g->tls != NULL) {
        tls_shutdown(g->tls);
        tls_free(g->tls);
    }
    if (g->fd >= 0)
        close(g->fd);
    g->tls = NULL;
    g->fd = -1;
    g->shaken = false;
    g->out_off = 0;
    wr_reset(&g->in);
    wr_reset(&g->out);
}

static void accept_one(struct stage *g)
{
    int fd = accept4(g->lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    g->accepted++;
    if (g->refuse_tcp || g->plain_retry) {
        uint8_t retry[WIRE_RETRY_LEN];
        wire_retry_encode(retry, 4000);
        if (g->plain_retry)
            assert_int_equal(write(fd, retry, sizeof retry), sizeof retry);
        struct pollfd p = { fd, POLLIN, 0 };
        char sink[4096];
        poll(&p, 1, 100);               /* unread bytes would turn the close into a reset */
        if (read(fd, sink, sizeof sink) < 0 && errno != EAGAIN)
            fail();
        close(fd);
        return;
    }
    int one = 1;                        /* our clock runs faster than a delayed acknowledgement */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    gate_cut(g);
    g->fd = fd;
    assert_ok(tls_accept_new(&g->tls, g->ctx, fd));
}

static void flush(struct stage *g)
{
    size_t n;
    while (g->tls != NULL && g->out_off < g->out.len && tls_write(g->tls, g->out.p + g->out_off, g->out.len - g->out_off, &n) == TLS_OK)
        g->out_off += n;
    if (g->out_off == g->out.len) {
        wr_reset(&g->out);
        g->out_off = 0;
    }
}

static void turn(struct stage *g)
{
    accept_one(g);
    if (g->tls == NULL)
        return;
    if (!g->shaken) {
        enum tls_result r = tls_handshake(g->tls);
        if (r == TLS_FAIL || r == TLS_EOF)
            gate_cut(g);
        g->shaken = r == TLS_OK;
        g->resumed += g->shaken && tls_resumed(g->tls);
        return;
    }
    for (;;) {
        uint8_t buf[16384];
        size_t n;
        enum tls_result r = tls_read(g->tls, buf, sizeof buf, &n);
        if (r == TLS_EOF || r == TLS_FAIL) {
            gate_cut(g);
            return;
        }
        if (r != TLS_OK)
            break;
        wr_bytes(&g->in, buf, n);
        if (!frames(g))
            return;
    }
    flush(g);
}

/* ---- the host ---- */

static bool host_install(void *arg, struct agent *a, const struct agent_cert *c, struct agent_install_result *res)
{
    struct stage *g = arg;
    g->installs++;
    assert_ok(x509_key_matches(c->leaf, c->key));
    if (g->install_later)
        return false;
    res->code = g->install_code;
    snprintf(res->text, sizeof res->text, "%s", g->install_code ? "as the test wants" : "");
    if (res->code == 0) {
        g->installed_gen = c->gen;
        g->installed_fp = c->info->fingerprint;
    }
    return true;
}

static void host_refused(void *arg, struct agent *a, enum reeve_err code, const char *what)
{
    ((struct stage *) arg)->refused[code]++;
}

static void host_log(void *arg, struct agent *a, enum agent_level level, const char *text)
{
    if (getenv("GATE_LOG") != NULL)
        fprintf(stderr, "# %d %s\n", level, text);
}

void gate_agent(struct stage *g, struct agent_store *store, bool with_token)
{
    const struct agent_host host = { .arg = g, .log = host_log, .install = host_install, .refused = host_refused };
    struct wire_token t = { .region = name_of("home"), .id = { 0x77 } };
    struct wr set_doc = wr_heap(1 << 20);
    char text[WIRE_TOKEN_TEXT_MAX];
    struct report rep;
    report_clear(&rep);
    valset_encode(&g->w.genesis.set, &set_doc);
    genesis_chain_id(&crypto_ops_real, &t.chain_id, wr_slice(&g->w.genesis_doc));
    valset_hash(&crypto_ops_real, &t.set_hash, wr_slice(&set_doc));
    wire_token_encode(text, &t);
    struct agent_options o = { .endpoints = g->endpoint, .token = with_token ? text : NULL, .identity = &g->id, .store = store };
    enum reeve_err err = agent_new(&g->a, &o, &host, g->now, &rep);
    if (err != REEVE_OK)
        fail_msg("agent_new: %s", rep.message);
    wr_free(&set_doc);
}

void gate_agent_end(struct stage *g)
{
    agent_free(g->a);
    g->a = NULL;
    gate_cut(g);
}

void gate_new(struct stage *g, unsigned n)
{
    uint8_t key[TLS_TICKET_KEY_LEN] = { 1 }, seeds[64] = { 42 };
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sa;
    const struct tls_config c = { .ephemeral_name = "gate", .alpn = WIRE_ALPN, .alpn_required = true, .min_tls13 = true,
                                  .ticket_key = key, .ask_cert = true };
    memset(g, 0, sizeof *g);
    g->fd = -1;
    assert_ok(crypto_init());
    world_new(&g->w, n);
    sign_keygen(&g->gw, &g->gw_pub);
    assert_ok(xkey_generate(&g->leaf_key, KEY_ECDSA_P256));
    assert_ok(tls_ctx_server(&g->ctx, &c, NULL));
    g->lfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(g->lfd, (struct sockaddr *) &sa, sizeof sa), 0);
    assert_int_equal(listen(g->lfd, 16), 0);
    assert_int_equal(getsockname(g->lfd, (struct sockaddr *) &sa, &len), 0);
    snprintf(g->endpoint, sizeof g->endpoint, "127.0.0.1:%u", ntohs(sa.sin_port));
    g->in = wr_heap(1 << 22);
    g->out = wr_heap(1 << 22);
    g->now.mono.ms = 1000000;
    g->now.wall.ms = GENESIS_MS + 60000;
    identity_from_secrets(&g->id, seeds, seeds + 32);
}

void gate_free(struct stage *g)
{
    wr_free(&g->evidence);
    if (g->a != NULL)
        gate_agent_end(g);
    gate_cut(g);
    close(g->lfd);
    tls_ctx_free(g->ctx);
    xkey_free(g->ca);
    xkey_free(g->leaf_key);
    wr_free(&g->ca_cert);
    wr_free(&g->in);
    wr_free(&g->out);
    world_free(&g->w);
}

/* ---- time ---- */

static void one(struct stage *g, int64_t ms)
{
    g->now.mono.ms += ms;
    g->now.wall.ms += ms;
    agent_step(g->a, g->now);
    turn(g);
}

bool gate_until(struct stage *g, bool (*cond)(struct stage *g))
{
    for (int i = 0; i < 20000; i++) {
        if (cond(g))
            return true;
        one(g, 1);
        if (i % 8 == 7)
            poll(NULL, 0, 0);
    }
    return false;
}

void gate_turns(struct stage *g, int n)
{
    for (int i = 0; i < n; i++)
        one(g, 1);
}

void gate_jump(struct stage *g, int64_t ms)
{
    one(g, ms);
}

bool ready(struct stage *g)     { return agent_phase(g->a) == AP_READY; }
bool installed(struct stage *g) { return g->installed_gen != 0; }
bool reported(struct stage *g)  { return g->report.result >= 2; }

bool refused(struct stage *g)
{
    for (int e = 0; e < REEVE_E__COUNT; e++)
        if (g->refused[e] > 0)
            return true;
    return false;
}
