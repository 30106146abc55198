/*
 * gwprobe.c - an agent for tests that does one thing at a time and says so
 *
 *   gwprobe token DIR                 with the server stopped: writes a join token into the store, prints it
 *   gwprobe run PORT TOKEN SEED ACTION...
 * It verifies what an agent must verify and prints one line for each frame.
 * Actions: hello auth enroll subscribe heartbeat wait=FRAME drain=MS report=OBJ register=N
 *          connect reconnect mtls badauth subscribe0 cert=OBJ:GEN key=OBJ:GEN raw=HEX closed
 *          ask (SUBSCRIBE, reads nothing) whole (CONFIG to its last frame) file=PATH (waits for it, reads nothing)
 *          badkey=OBJ:GEN (sealing key signed by nobody) badcsr=OBJ:GEN (altered request) edcert=OBJ:GEN (of an Ed25519 key)
 *          flood (heartbeats without end, reads nothing, until it is cut off)
 * GWPROBE_RCVBUF: bytes of the socket's receive buffer.
 *   gwprobe run PORT TOKEN SEED many N    N agents; each line on standard input measures one push of config
 */
#include "backend/storage/storage.h"
#include "common/text.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/sign.h"
#include "crypto/tls.h"
#include "crypto/x509.h"
#include "engine/region.h"
#include "engine/wire.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_MAX (4u << 20)

#ifdef __SANITIZE_ADDRESS__
/* A tool that ends at once frees nothing. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

struct probe {
    int port, fd;
    struct tls_ctx *ctx;
    struct tls *tls;
    struct wire_token token;
    struct sign_key key;
    struct pubkey pub, seal_pub;
    struct seal_key seal;
    struct node_id id;
    struct hash32 challenge;
    struct trust trust;
    struct region_doc region_doc;
    uint64_t region_version, revision, epoch, reqid, seq;
    bool mtls, have_trust, spoil_auth, enrolled;
    uint8_t *in;
    size_t in_len;
};
static struct bundle_object objects[1024];
static bool quiet;

static void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("FAIL ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* ---- a token, offline ---- */

static void make_token(const char *dir)
{
    struct storage *st;
    struct storage_txn *txn;
    struct report rep = { 0 };
    struct wire_token t = { 0 };
    struct token_row row = { .uses_left = 1000000 };
    struct attest_head head;
    struct slice doc;
    struct valset *set = calloc(1, sizeof *set);
    struct wr w = wr_heap(1 << 20), out = wr_heap(1 << 20);
    uint8_t session[16];
    uint64_t applied;
    size_t at;
    if (storage_open(&st, dir, STORAGE_WRITE, UINT64_C(1) << 33, 1024, &rep) != REEVE_OK)
        die("%s", rep.message);
    if (storage_begin(st, STORAGE_WRITE, &txn) != REEVE_OK)
        die("no transaction");
    struct kv *kv = storage_kv(txn);
    struct attest a = { .kv = kv, .c = &crypto_ops_real };
    struct region r = { kv, &crypto_ops_real, malloc(region_scratch_size()), region_scratch_size() };
    if (attest_head(&a, &head) != REEVE_OK || attest_valset(&a, set, &doc) != REEVE_OK ||
        region_name(&r, &t.region) != REEVE_OK || region_applied_index(&r, &applied) != REEVE_OK)
        die("the store does not read");
    t.chain_id = head.chain_id;
    valset_hash(&crypto_ops_real, &t.set_hash, doc);
    random_bytes(t.id, 8);
    random_bytes(t.secret, 16);
    random_bytes(session, 16);
    sha256(&row.secret_hash, slice_of(t.secret, 16));
    row.region = t.region;
    row.created.ms = now_ms();
    struct name actor;
    if (!name_set_str(&actor, "test") || !name_set_str(&row.created_by, "test"))
        die("name");
    row.labels.n = 1;
    if (!name_set_str(&row.labels.l[0].key, "role") || !name_set_str(&row.labels.l[0].value, "edge"))
        die("label");
    region_txn_begin(&w, session, 1, row.created, &actor, slice_str(""), slice_str(""), slice_str(""), &at);
    wr_u8(&w, RO_TOKEN_CREATE);
    wr_bytes(&w, t.id, 8);
    token_row_encode(&row, &w);
    wr_u8(&w, RO_CONFIG_SET);
    struct name key;
    if (!name_set_str(&key, "app/limit"))
        die("key");
    wr_name(&w, &key);
    wr_u8(&w, VT_INT);
    wr_str32(&w, slice_str("50"));
    wr_u64(&w, 0);
    region_txn_end(&w, at, 2);
    if (region_apply(&r, applied + 1, wr_slice(&w), &out) != REEVE_OK)
        die("apply");
    struct rd res = rd_of(wr_slice(&out));
    uint16_t n = rd_u16(&res), e = rd_u16(&res);
    struct slice msg = rd_str16(&res, 1000);
    if (e != 0)
        die("refused (%u): %s %.*s", n, reeve_err_name((enum reeve_err) e), (int) msg.len, (const char *) msg.p);
    if (storage_commit(txn) != REEVE_OK)
        die("commit");
    storage_close(st);
    char text[WIRE_TOKEN_TEXT_MAX];
    wire_token_encode(text, &t);
    printf("%s\n", text);
    wr_free(&w);
    wr_free(&out);
    free(r.scratch);
    free(set);
}

/* ---- bytes ---- */

static bool wait_io(struct probe *p, short events, int64_t until)
{
    int64_t left = until - now_ms();
    struct pollfd f = { p->fd, events, 0 };
    return left > 0 && poll(&f, 1, (int) left) > 0;
}

static void send_all(struct probe *p, struct slice s)
{
    while (s.len > 0) {
        size_t n;
        enum tls_result r = tls_write(p->tls, s.p, s.len, &n);
        if (r == TLS_OK)
            s = slice_of(s.p + n, s.len - n);
        else if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
            wait_io(p, r == TLS_WANT_READ ? POLLIN : POLLOUT, now_ms() + 10000);
        else
            die("write: %s", tls_error(p->tls));
    }
}

static void send_frame(struct probe *p, const struct wire_frame *f)
{
    struct wr w = wr_heap(1 << 20);
    enum reeve_err err = wire_encode(&w, f);
    if (err != REEVE_OK)
        die("encode %u: %s", f->head.type, reeve_err_name(err));
    send_all(p, wr_slice(&w));
    wr_free(&w);
}

/* GWPROBE_RECEIVED names a file that gets every byte as it was inside TLS. */
static void keep_received(const uint8_t *bytes, size_t n)
{
    const char *path = getenv("GWPROBE_RECEIVED");
    FILE *f = path ? fopen(path, "ab") : NULL;
    if (f == NULL)
        return;
    if (fwrite(bytes, 1, n, f) != n)
        die("%s", path);
    fclose(f);
}

/* The next whole frame in p->in, or 0 when closed or nothing until then (-1). */
static size_t next_frame(struct probe *p, int64_t until)
{
    size_t total;
    for (;;) {
        if (p->in_len > 0) {
            enum reeve_err err = wire_frame_len(slice_of(p->in, p->in_len), IN_MAX, &total);
            if (err == REEVE_OK)
                return total;
            if (err != REEVE_E_AGAIN)
                die("bad frame from the gateway: %s", reeve_err_name(err));
        }
        size_t n;
        enum tls_result r = tls_read(p->tls, p->in + p->in_len, IN_MAX - p->in_len, &n);
        if (r == TLS_OK) {
            keep_received(p->in + p->in_len, n);
            p->in_len += n;
        }
        else if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
            if (!wait_io(p, POLLIN, until))
                return (size_t) -1;
        } else
            return 0;
    }
}

static void connect_tls(struct probe *p)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t) p->port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 100; i++) {
        p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (getenv("GWPROBE_RCVBUF") != NULL) {
            int bytes = atoi(getenv("GWPROBE_RCVBUF"));
            setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
        }
        if (connect(p->fd, (struct sockaddr *) &a, sizeof a) != 0)
            die("connect");
        struct timeval tv = { 10, 0 };
        setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
        if (tls_connect_new(&p->tls, p->ctx, p->fd, NULL) != REEVE_OK)
            die("tls");
        if (tls_handshake(p->tls) == TLS_OK)
            break;
        if (i == 99)
            die("handshake: %s", tls_error(p->tls));
        tls_free(p->tls);
        close(p->fd);
        usleep(100000);
    }
    if (fcntl(p->fd, F_SETFL, O_NONBLOCK) != 0)
        die("fcntl");
    p->in_len = 0;
}

/* ---- verifying ---- */

static void open_bundle(struct probe *p, struct slice bytes, bool print)
{
    size_t n = 0;
    enum reeve_err err = bundle_open(&crypto_ops_real, &p->trust, bytes, false, objects, 1024, &n);
    if (err != REEVE_OK)
        die("bundle: %s", reeve_err_name(err));
    for (size_t i = 0; i < n; i++) {
        struct bundle_object *o = &objects[i];
        if (print)
            printf("  object %s %s %s version %llu\n", attest_type_name(o->type), o->name.s,
                   o->present ? "present" : "absent", o->present ? (unsigned long long) o->update.version : 0ULL);
        struct region_doc d;
        if (o->type == AT_REGION && o->present && region_doc_decode(&d, o->update.payload) == REEVE_OK) {
            p->region_doc = d;
            p->region_version = o->update.version;
        }
    }
}

static void on_welcome(struct probe *p, const struct wire_welcome *w)
{
    struct wire_delegation d;
    uint8_t exporter[32], msg[WIRE_MESSAGE_MAX];
    printf("WELCOME version=%llu height=%llu revision=%llu genesis=%zu valset=%zu proof=%zu\n",
           (unsigned long long) w->version, (unsigned long long) w->height, (unsigned long long) w->revision,
           w->genesis.len, w->valset.len, w->region_proof.len);
    p->challenge = w->challenge;
    p->epoch = w->epoch;
    if (w->version == 0)
        return;
    if (w->valset.len > 0) {
        struct hash32 h;
        valset_hash(&crypto_ops_real, &h, w->valset);
        if (!hash32_eq(&h, &p->token.set_hash))
            die("another validator set");
        p->trust.chain_id = p->token.chain_id;
        p->trust.set_hash = h;
        if (valset_decode(&p->trust.set, w->valset) != REEVE_OK)
            die("valset");
        p->have_trust = true;
    }
    if (w->genesis.len > 0) {
        struct hash32 h;
        genesis_chain_id(&crypto_ops_real, &h, w->genesis);
        if (!hash32_eq(&h, &p->token.chain_id))
            die("another chain");
    }
    if (w->region_proof.len > 0)
        open_bundle(p, w->region_proof, true);
    if (wire_delegation_decode(&d, w->delegation) != REEVE_OK)
        die("delegation");
    enum reeve_err err = REEVE_E_V_REGION;
    const struct pubkey *key;
    for (unsigned i = 0; err == REEVE_E_V_REGION && (key = region_doc_key(&p->region_doc, i)) != NULL; i++)
        err = wire_delegation_verify(&crypto_ops_real, &d, &p->token.chain_id, &p->token.region, key,
                                     (struct wall_ms){ now_ms() }, 300000);
    if (err != REEVE_OK)
        die("delegation: %s", reeve_err_name(err));
    if (tls_exporter(p->tls, WIRE_EXPORTER_LABEL, exporter) != REEVE_OK)
        die("exporter");
    size_t n = wire_gateway_message(msg, exporter, &p->challenge);
    if (!sign_verify(&w->signature, slice_of(msg, n), &d.gateway_key))
        die("the gateway's signature");
}

static void on_config(struct probe *p, const struct wire_frame *f)
{
    struct wire_list l = f->u.config.values;
    struct wire_value v;
    printf("CONFIG kind=%u revision=%llu values=%u more=%d\n", f->u.config.kind,
           (unsigned long long) f->u.config.revision, l.n, (f->head.flags & WIRE_MORE) != 0);
    while (wire_list_next(&l, WG_VALUE, &v))
        printf("  value %.*s gen=%llu state=%u %.*s\n", (int) v.key.len, (const char *) v.key.p,
               (unsigned long long) v.gen, v.state, (int) v.value.len, (const char *) v.value.p);
    if ((f->head.flags & WIRE_MORE) == 0)
        p->revision = f->u.config.revision;
}

static void show_frame(struct probe *p, const struct wire_frame *f);

/* Everything is verified in either case. */
static void show(struct probe *p, const struct wire_frame *f)
{
    static FILE *null;
    FILE *out = stdout;
    if (quiet && null == NULL)
        null = fopen("/dev/null", "w");
    if (quiet && f->head.type != WF_ERROR)
        stdout = null;
    show_frame(p, f);
    stdout = out;
}

static void show_frame(struct probe *p, const struct wire_frame *f)
{
    const char *name = wire_type_info(f->head.type)->name;
    switch (f->head.type) {
    case WF_WELCOME: on_welcome(p, &f->u.welcome); break;
    case WF_AUTH_OK:
        p->enrolled = f->u.auth_ok.status == 1;
        printf("AUTH_OK status=%u ordinal=%llu labels=%u\n", f->u.auth_ok.status,
               (unsigned long long) f->u.auth_ok.ordinal, f->u.auth_ok.labels.n);
        break;
    case WF_ENROLLED:
        printf("ENROLLED ordinal=%llu labels=%u\n", (unsigned long long) f->u.enrolled.ordinal, f->u.enrolled.labels.n);
        break;
    case WF_BUNDLE:
        printf("BUNDLE scope=%u height=%llu more=%d\n", f->u.bundle.scope, (unsigned long long) f->u.bundle.height,
               (f->head.flags & WIRE_MORE) != 0);
        open_bundle(p, f->u.bundle.bundle, true);
        if (p->trust.log_size != f->u.bundle.log_size || p->trust.height != f->u.bundle.height)
            die("the bundle is not what its frame says");
        break;
    case WF_TICK:
        printf("TICK height=%llu\n", (unsigned long long) f->u.tick.height);
        open_bundle(p, f->u.tick.bundle, true);
        break;
    case WF_CONFIG: on_config(p, f); break;
    case WF_ERROR:
        printf("ERROR %s retry=%u reqid=%llu %.*s\n", wire_error_name((unsigned) f->u.error.code), f->u.error.retry,
               (unsigned long long) f->head.reqid, (int) f->u.error.message.len, (const char *) f->u.error.message.p);
        break;
    case WF_RETRY_AFTER:
        printf("RETRY_AFTER reason=%u reqid=%llu\n", f->u.retry_after.reason, (unsigned long long) f->head.reqid);
        break;
    case WF_RESYNC: printf("RESYNC reason=%u what=%u\n", f->u.resync.reason, f->u.resync.what); break;
    case WF_GOAWAY: printf("GOAWAY reason=%u\n", f->u.goaway.reason); break;
    case WF_REGISTER_ACK:
        printf("REGISTER_ACK seq=%llu refused=%zu\n", (unsigned long long) f->u.register_ack.seq,
               f->u.register_ack.refused.len);
        break;
    case WF_CERT_REPLY:
        printf("CERT_REPLY reqid=%llu leaf=%zu chain=%zu\n", (unsigned long long) f->head.reqid,
               f->u.cert_reply.leaf.len, f->u.cert_reply.chain.len);
        break;
    case WF_KEY_REPLY: {
        uint8_t plain[4096];
        struct xkey *k;
        struct slice box = f->u.key_reply.sealed;
        bool ok = box.len > SEAL_OVERHEAD && seal_open(plain, box, &p->seal) == REEVE_OK &&
                  xkey_from_der(&k, slice_of(plain, box.len - SEAL_OVERHEAD)) == REEVE_OK;
        if (ok)
            ok = x509_key_matches(f->u.key_reply.leaf, k) == REEVE_OK;
        printf("KEY_REPLY reqid=%llu %s\n", (unsigned long long) f->head.reqid, ok ? "opens and fits" : "IS WRONG");
        break;
    }
    default: printf("%s reqid=%llu\n", name, (unsigned long long) f->head.reqid);
    }
    fflush(stdout);
}

/* Reads and shows frames until the named one came, or for so long. False: closed. */
static bool read_until(struct probe *p, const char *name, int64_t ms)
{
    int64_t until = now_ms() + ms;
    for (;;) {
        size_t n = next_frame(p, until);
        if (n == 0) {
            printf("CLOSED\n");
            return false;
        }
        if (n == (size_t) -1) {
            if (name != NULL)
                die("no %s came", name);
            return true;
        }
        struct wire_frame f;
        enum reeve_err err = wire_decode(&f, slice_of(p->in, n));
        if (err != REEVE_OK)
            die("decode: %s", reeve_err_name(err));
        if (wire_check(&f.head, WIRE_GATEWAY, WIRE_ST_ANY) != REEVE_OK)
            die("a frame that does not belong here");
        show(p, &f);
        bool found = name != NULL && strcmp(wire_type_info(f.head.type)->name, name) == 0;
        memmove(p->in, p->in + n, p->in_len - n);
        p->in_len -= n;
        if (found)
            return true;
    }
}

/* ---- actions ---- */

static void do_hello(struct probe *p)
{
    struct wire_frame f = wire_frame_of(WF_HELLO);
    struct wire_hello *h = &f.u.hello;
    memcpy(h->magic.b, WIRE_MAGIC, 4);
    h->version_min = h->version_max = 1;
    h->max_frame = IN_MAX;
    h->epoch = p->epoch;
    h->revision = p->revision;
    h->height = p->trust.height;
    h->log_size = p->trust.log_size;
    h->region_version = p->region_version;
    h->set_epoch = p->have_trust ? p->trust.set.epoch + 1 : 0;
    send_frame(p, &f);
    read_until(p, "WELCOME", 10000);
}

static void do_auth(struct probe *p)
{
    struct wire_frame f = wire_frame_of(WF_AUTH);
    uint8_t exporter[32], msg[WIRE_MESSAGE_MAX];
    f.u.auth.mode = p->mtls ? 2 : 1;
    f.u.auth.key = p->pub;
    f.u.auth.seal_key = p->seal_pub;
    f.u.auth.agent_version = slice_str("gwprobe");
    if (tls_exporter(p->tls, WIRE_EXPORTER_LABEL, exporter) != REEVE_OK)
        die("exporter");
    size_t n = wire_agent_message(msg, exporter, &p->challenge, &p->seal_pub);
    if (p->spoil_auth)
        msg[30] ^= 1;
    if (!p->mtls)
        sign_detached(&f.u.auth.signature, slice_of(msg, n), &p->key);
    send_frame(p, &f);
    read_until(p, p->spoil_auth ? "ERROR" : "AUTH_OK", 10000);
}

static void do_enroll(struct probe *p)
{
    struct wire_frame f = wire_frame_of(WF_ENROLL);
    memcpy(f.u.enroll.token.b, p->token.id, 8);
    memcpy(f.u.enroll.secret.b, p->token.secret, 16);
    struct wr w = wr_heap(1000);
    struct wire_label l = { slice_str("rack"), slice_str("r1") };
    if (wire_list_add(&w, &f.u.enroll.labels, WG_LABEL, &l) != REEVE_OK)
        die("label");
    wire_list_end(&w, &f.u.enroll.labels);
    send_frame(p, &f);
    wr_free(&w);
    read_until(p, "ENROLLED", 10000);
}

static void do_ask(struct probe *p, bool nothing)
{
    struct wire_frame f = wire_frame_of(WF_SUBSCRIBE);
    f.u.subscribe.own = 1;
    f.u.subscribe.log_size = nothing ? 0 : p->trust.log_size;
    f.u.subscribe.epoch = p->epoch;
    f.u.subscribe.revision = nothing ? 0 : p->revision;
    send_frame(p, &f);
}

static void do_subscribe(struct probe *p, bool nothing)
{
    do_ask(p, nothing);
    read_until(p, "CONFIG", 10000);
}

static void do_whole(struct probe *p)
{
    uint64_t had = p->revision;
    while (p->revision == had)
        if (!read_until(p, "CONFIG", 20000))
            die("closed before the whole configuration came");
}

static void do_file(const char *path)
{
    for (int i = 0; i < 1200 && access(path, F_OK) != 0; i++)
        usleep(50000);
}

/* Until the gateway has had enough. */
static void do_flood(struct probe *p)
{
    uint8_t many[3 * 2000];
    int64_t until = now_ms() + 30000;
    for (size_t i = 0; i < sizeof many; i += 3)
        memcpy(many + i, "\x02\x08\x00", 3);
    while (now_ms() < until) {
        size_t n;
        enum tls_result r = tls_write(p->tls, many, sizeof many, &n);
        if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
            wait_io(p, POLLOUT, now_ms() + 100);
        else if (r != TLS_OK)
            break;
    }
    printf("FLOOD %s\n", now_ms() < until ? "was cut off" : "went on");
    fflush(stdout);
}

static void do_report(struct probe *p, const char *object)
{
    struct wire_frame f = wire_frame_of(WF_REPORT);
    f.head.flags = WIRE_REQID;
    f.head.reqid = ++p->reqid;
    f.u.report.type = 4;
    f.u.report.object = slice_str(object);
    f.u.report.result = 2;
    f.u.report.serving_gen = f.u.report.tried_gen = 1;
    send_frame(p, &f);
    read_until(p, "REPORT_ACK", 10000);
}

static void do_register(struct probe *p, unsigned n)
{
    struct wire_frame f = wire_frame_of(WF_REGISTER_BATCH);
    struct wr names = wr_heap(1 << 20), items = wr_heap(1 << 20);
    struct wire_service s = { slice_str("web") };
    if (wire_list_add(&names, &f.u.register_batch.services, WG_SERVICE, &s) != REEVE_OK)
        die("service");
    for (unsigned i = 0; i < n; i++) {
        struct wire_workload w = { .op = 1, .port = 80, .weight = 1, .epoch = 1, .addr = { 4, { 10, 0, 0, 1 } } };
        random_bytes(w.id.b, 16);
        if (wire_list_add(&items, &f.u.register_batch.workloads, WG_WORKLOAD, &w) != REEVE_OK)
            die("workload");
    }
    wire_list_end(&names, &f.u.register_batch.services);
    wire_list_end(&items, &f.u.register_batch.workloads);
    f.u.register_batch.seq = ++p->seq;
    send_frame(p, &f);
    wr_free(&names);
    wr_free(&items);
    read_until(p, "REGISTER_ACK", 10000);
}

static void do_mtls(struct probe *p, const uint8_t seed[32])
{
    struct x509_spec spec = { .subject = slice_str("CN=node"), .not_after = { 4102444800000 } };
    struct wr spki = wr_heap(1000), der = wr_heap(X509_DER_MAX);
    struct xkey *k;
    x509_serial_random(spec.serial);
    if (xkey_from_seed(&k, seed) != REEVE_OK || xkey_spki(k, &spki) != REEVE_OK ||
        x509_issue(&der, &spec, wr_slice(&spki), k, slice_of(NULL, 0)) != REEVE_OK ||
        tls_ctx_identity(p->ctx, wr_slice(&der), k) != REEVE_OK)
        die("identity");
    xkey_free(k);
    wr_free(&spki);
    wr_free(&der);
    p->mtls = true;
}

/* cert=OBJECT:GEN */
static void do_cert(struct probe *p, const char *arg, enum key_type type, bool spoil)
{
    struct wire_frame f = wire_frame_of(WF_CERT_REQUEST);
    struct wr csr = wr_heap(X509_DER_MAX);
    struct xkey *k;
    const char *colon = strchr(arg, ':');
    if (colon == NULL || xkey_generate(&k, type) != REEVE_OK ||
        csr_create(&csr, k, slice_str("CN=me")) != REEVE_OK)
        die("csr");
    f.head.flags = WIRE_REQID | WIRE_DEADLINE;
    f.head.reqid = ++p->reqid;
    f.head.deadline_ms = 5000;
    f.u.cert_request.object = slice_of(arg, (size_t) (colon - arg));
    f.u.cert_request.gen = (uint64_t) atoi(colon + 1);
    csr.p[csr.len - 1] ^= spoil;
    f.u.cert_request.csr = wr_slice(&csr);
    send_frame(p, &f);
    xkey_free(k);
    wr_free(&csr);
}

/* key=OBJECT:GEN */
static void do_key(struct probe *p, const char *arg, bool spoil)
{
    struct wire_frame f = wire_frame_of(WF_KEY_REQUEST);
    uint8_t msg[WIRE_MESSAGE_MAX];
    const char *colon = strchr(arg, ':');
    if (colon == NULL)
        die("key");
    f.head.flags = WIRE_REQID;
    f.head.reqid = ++p->reqid;
    f.u.key_request.object = slice_of(arg, (size_t) (colon - arg));
    f.u.key_request.gen = (uint64_t) atoi(colon + 1);
    f.u.key_request.seal_key = p->seal_pub;
    size_t n = wire_seal_message(msg, &p->token.chain_id, &p->seal_pub);
    sign_detached(&f.u.key_request.signature, slice_of(msg, n), &p->key);
    f.u.key_request.signature.b[0] ^= spoil;
    send_frame(p, &f);
}

static void act(struct probe *p, const char *a, const uint8_t seed[32])
{
    if (strcmp(a, "connect") == 0 || strcmp(a, "reconnect") == 0) {
        if (p->tls != NULL) {
            tls_free(p->tls);
            close(p->fd);
        }
        connect_tls(p);
    } else if (strcmp(a, "hello") == 0)
        do_hello(p);
    else if (strcmp(a, "auth") == 0)
        do_auth(p);
    else if (strcmp(a, "badauth") == 0) {
        p->spoil_auth = true;
        do_auth(p);
    } else if (strcmp(a, "enroll") == 0)
        do_enroll(p);
    else if (strcmp(a, "subscribe") == 0)
        do_subscribe(p, false);
    else if (strcmp(a, "subscribe0") == 0)
        do_subscribe(p, true);
    else if (strcmp(a, "ask") == 0)
        do_ask(p, false);
    else if (strcmp(a, "whole") == 0)
        do_whole(p);
    else if (strncmp(a, "file=", 5) == 0)
        do_file(a + 5);
    else if (strcmp(a, "flood") == 0)
        do_flood(p);
    else if (strcmp(a, "heartbeat") == 0) {
        struct wire_frame f = wire_frame_of(WF_HEARTBEAT);
        send_frame(p, &f);
        read_until(p, "HEARTBEAT_ACK", 10000);
    } else if (strcmp(a, "mtls") == 0)
        do_mtls(p, seed);
    else if (strncmp(a, "wait=", 5) == 0)
        read_until(p, a + 5, 30000);
    else if (strcmp(a, "closed") == 0) {
        if (read_until(p, NULL, 10000))
            die("not closed");
    } else if (strncmp(a, "drain=", 6) == 0)
        read_until(p, NULL, atoi(a + 6));
    else if (strncmp(a, "report=", 7) == 0)
        do_report(p, a + 7);
    else if (strncmp(a, "cert=", 5) == 0)
        do_cert(p, a + 5, KEY_ECDSA_P256, false);
    else if (strncmp(a, "edcert=", 7) == 0)
        do_cert(p, a + 7, KEY_ED25519, false);
    else if (strncmp(a, "badcsr=", 7) == 0)
        do_cert(p, a + 7, KEY_ECDSA_P256, true);
    else if (strncmp(a, "badkey=", 7) == 0)
        do_key(p, a + 7, true);
    else if (strncmp(a, "key=", 4) == 0)
        do_key(p, a + 4, false);
    else if (strncmp(a, "register=", 9) == 0)
        do_register(p, (unsigned) atoi(a + 9));
    else if (strncmp(a, "raw=", 4) == 0) {
        uint8_t raw[4096];
        size_t n = strlen(a + 4) / 2;
        if (n > sizeof raw || !hex_decode(raw, n, slice_str(a + 4)))
            die("hex");
        send_all(p, slice_of(raw, n));
    } else
        die("no such action: %s", a);
}

/* ---- many at once: N agents in this process, and how long a change takes to reach them all ---- */

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return x < y ? -1 : x > y;
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void open_many(struct probe *all, unsigned n, const struct probe *first)
{
    int64_t began = now_us();
    for (unsigned i = 0; i < n; i++) {
        struct probe *p = &all[i];
        uint8_t seed[32] = { 0 };
        *p = *first;
        p->in = malloc(1 << 20);
        snprintf((char *) seed, sizeof seed, "many-%u", i);
        sign_key_from_seed(&p->key, &p->pub, seed);
        seal_keygen(&p->seal, &p->seal_pub);
        connect_tls(p);
        do_hello(p);
        do_auth(p);
        if (!p->enrolled)
            do_enroll(p);
        do_subscribe(p, false);
    }
    printf("OPENED %u in %lld ms\n", n, (long long) ((now_us() - began) / 1000));
}

/* "push" on standard input begins a measurement: the time from there to each agent's next CONFIG. */
static void measure(struct probe *all, unsigned n)
{
    char line[64];
    int64_t *at = calloc(n, sizeof *at);
    struct pollfd *f = calloc(n, sizeof *f);
    while (fgets(line, sizeof line, stdin) != NULL) {
        int64_t began = now_us();
        unsigned left = n;
        memset(at, 0, n * sizeof *at);
        while (left > 0) {
            for (unsigned i = 0; i < n; i++)
                f[i] = (struct pollfd){ at[i] == 0 ? all[i].fd : -1, POLLIN, 0 };
            if (poll(f, n, 10000) <= 0)
                die("%u agents were not reached", left);
            for (unsigned i = 0; i < n; i++) {
                if (f[i].revents == 0)
                    continue;
                uint64_t had = all[i].revision;
                if (!read_until(&all[i], NULL, 0))
                    die("agent %u was cut off", i);
                if (all[i].revision != had) {
                    at[i] = now_us() - began;
                    left--;
                }
            }
        }
        qsort(at, n, sizeof *at, by_time);
        printf("PUSHED first %.1f median %.1f last %.1f ms\n", (double) at[0] / 1000, (double) at[n / 2] / 1000,
               (double) at[n - 1] / 1000);
    }
}

static void many(struct probe *first, unsigned n)
{
    struct probe *all = calloc(n, sizeof *all);
    quiet = true;
    open_many(all, n, first);
    measure(all, n);
}

int main(int argc, char **argv)
{
    static struct probe p;
    struct report rep = { 0 };
    uint8_t seed[32] = { 0 };
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (crypto_init() != REEVE_OK)
        return 2;
    if (argc == 3 && strcmp(argv[1], "token") == 0) {
        make_token(argv[2]);
        return 0;
    }
    if (argc < 5 || strcmp(argv[1], "run") != 0)
        return 2;
    p.port = atoi(argv[2]);
    if (wire_token_decode(&p.token, slice_str(argv[3])) != REEVE_OK)
        die("token");
    p.in = malloc(IN_MAX);
    snprintf((char *) seed, sizeof seed, "%s", argv[4]);
    sign_key_from_seed(&p.key, &p.pub, seed);
    node_id_of_key(&p.id, &p.pub);
    seal_keygen(&p.seal, &p.seal_pub);
    if (tls_ctx_client(&p.ctx, WIRE_ALPN, &rep) != REEVE_OK)
        die("tls");
    if (argc == 7 && strcmp(argv[5], "many") == 0) {
        many(&p, (unsigned) atoi(argv[6]));
        return 0;
    }
    for (int i = 5; i < argc; i++)
        act(&p, argv[i], seed);
    printf("END\n");
    return 0;
}
