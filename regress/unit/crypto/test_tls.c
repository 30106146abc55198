/* test_tls.c - both ends of a connection in one process, over a non-blocking socket pair. */
#include "../unit.h"
#include "crypto/hash.h"
#include "crypto/tls.h"
#include "crypto/x509.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/reeve-unit-tls-XXXXXX";
static char cert_file[64], key_file[64], ed_cert_file[64], ed_key_file[64];
static const uint8_t ticket_key_1[TLS_TICKET_KEY_LEN] = { 1, 2, 3 };
static const uint8_t ticket_key_2[TLS_TICKET_KEY_LEN] = { 9, 8, 7 };

struct pair {
    int fd[2];
    struct tls *client, *server;
    enum tls_result client_result, server_result;
};

static void write_file(const char *path, struct slice s)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(s.p, 1, s.len, f), s.len);
    fclose(f);
}

static struct tls_ctx *server_ctx(const char *alpn, bool required, const uint8_t *ticket_key)
{
    struct tls_config c = { cert_file, key_file, alpn, required, true, ticket_key, NULL, false };
    struct report rep = { 0 };
    struct tls_ctx *ctx;
    if (tls_ctx_server(&ctx, &c, &rep) != REEVE_OK)
        fail_msg("%s", rep.message);
    return ctx;
}

static struct tls_ctx *client_ctx(const char *alpn)
{
    struct report rep = { 0 };
    struct tls_ctx *ctx;
    assert_ok(tls_ctx_client(&ctx, alpn, &rep));
    return ctx;
}

static void pair_open(struct pair *p, struct tls_ctx *c, struct tls_ctx *s)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd), 0);
    assert_ok(tls_connect_new(&p->client, c, p->fd[0], "gateway.test"));
    assert_ok(tls_accept_new(&p->server, s, p->fd[1]));
}

static bool moving(enum tls_result r) { return r == TLS_WANT_READ || r == TLS_WANT_WRITE; }

static void pair_handshake(struct pair *p)
{
    p->client_result = p->server_result = TLS_WANT_READ;
    for (int i = 0; i < 20 && (moving(p->client_result) || moving(p->server_result)); i++) {
        if (moving(p->client_result))
            p->client_result = tls_handshake(p->client);
        if (moving(p->server_result))
            p->server_result = tls_handshake(p->server);
    }
}

static void pair_close(struct pair *p)
{
    tls_free(p->client);
    tls_free(p->server);
    close(p->fd[0]);
    close(p->fd[1]);
}

static void assert_done(struct pair *p)
{
    if (p->client_result != TLS_OK || p->server_result != TLS_OK)
        fail_msg("handshake: client %d (%s), server %d (%s)", p->client_result, tls_error(p->client),
                 p->server_result, tls_error(p->server));
}

/* One short message from one end to the other. */
static void send_text(struct tls *from, struct tls *to, const char *text)
{
    char buf[64];
    size_t n;
    assert_int_equal(tls_write(from, text, strlen(text), &n), TLS_OK);
    assert_int_equal(n, strlen(text));
    assert_int_equal(tls_read(to, buf, sizeof buf, &n), TLS_OK);
    assert_true(slice_eq(slice_of(buf, n), slice_str(text)));
}

static void bytes_go_both_ways_over_tls_1_3(void **state)
{
    struct tls_ctx *c = client_ctx("reeve/1"), *s = server_ctx("reeve/1", true, NULL);
    struct pair p;
    uint8_t byte;
    size_t n;
    pair_open(&p, c, s);
    pair_handshake(&p);
    assert_done(&p);
    assert_string_equal(tls_version(p.client), "TLSv1.3");
    assert_true(slice_eq(tls_alpn(p.client), slice_str("reeve/1")));
    assert_true(slice_eq(tls_alpn(p.server), slice_str("reeve/1")));
    assert_false(tls_resumed(p.client));
    send_text(p.client, p.server, "hello");
    send_text(p.server, p.client, "welcome");
    assert_int_equal(tls_read(p.server, &byte, 1, &n), TLS_WANT_READ);
    tls_shutdown(p.client);
    assert_int_equal(tls_read(p.server, &byte, 1, &n), TLS_EOF);
    pair_close(&p);
    tls_ctx_free(c);
    tls_ctx_free(s);
}

static void a_cut_connection_is_an_end(void **state)
{
    struct tls_ctx *c = client_ctx(NULL), *s = server_ctx(NULL, false, NULL);
    struct pair p;
    uint8_t byte;
    size_t n;
    pair_open(&p, c, s);
    pair_handshake(&p);
    assert_done(&p);
    shutdown(p.fd[0], SHUT_RDWR);
    assert_int_equal(tls_read(p.server, &byte, 1, &n), TLS_EOF);
    pair_close(&p);
    tls_ctx_free(c);
    tls_ctx_free(s);
}

static void a_full_socket_asks_to_wait_and_loses_nothing(void **state)
{
    struct tls_ctx *c = client_ctx(NULL), *s = server_ctx(NULL, false, NULL);
    struct pair p;
    size_t n, sent = 0, got = 0, total = 3 * 1000 * 1000;
    uint8_t *out = malloc(total), *in = malloc(total);
    bool waited = false;
    struct rng rng = rng_seeded("tls");
    for (size_t i = 0; i < total; i++)
        out[i] = (uint8_t) rng_next(&rng);
    pair_open(&p, c, s);
    pair_handshake(&p);
    assert_done(&p);
    while (got < total) {
        enum tls_result r;
        while ((r = tls_write(p.client, out + sent, total - sent, &n)) == TLS_OK && n > 0)
            sent += n;
        assert_true(r == TLS_OK || r == TLS_WANT_WRITE);
        waited = waited || r == TLS_WANT_WRITE;
        while (tls_read(p.server, in + got, total - got, &n) == TLS_OK && n > 0)
            got += n;
    }
    assert_true(waited);
    assert_int_equal(sent, total);
    assert_memory_equal(in, out, total);
    pair_close(&p);
    free(out);
    free(in);
    tls_ctx_free(c);
    tls_ctx_free(s);
}

static void both_ends_export_the_same_and_each_connection_its_own(void **state)
{
    struct tls_ctx *c = client_ctx("reeve/1"), *s = server_ctx("reeve/1", true, NULL);
    uint8_t e[4][32];
    struct pair p;
    for (int i = 0; i < 2; i++) {
        pair_open(&p, c, s);
        assert_err(tls_exporter(p.client, "EXPERIMENTAL reeve", e[0]), REEVE_E_WRONG_STATE);
        pair_handshake(&p);
        assert_done(&p);
        assert_ok(tls_exporter(p.client, "EXPERIMENTAL reeve", e[2 * i]));
        assert_ok(tls_exporter(p.server, "EXPERIMENTAL reeve", e[2 * i + 1]));
        assert_memory_equal(e[2 * i], e[2 * i + 1], 32);
        assert_ok(tls_exporter(p.server, "EXPERIMENTAL other", e[2 * i + 1]));
        assert_memory_not_equal(e[2 * i], e[2 * i + 1], 32);
        pair_close(&p);
    }
    assert_memory_not_equal(e[0], e[2], 32);
    tls_ctx_free(c);
    tls_ctx_free(s);
}

static void expect_refusal(const char *client_alpn, const char *server_alpn, bool required, bool client_too)
{
    struct tls_ctx *c = client_ctx(client_alpn), *s = server_ctx(server_alpn, required, NULL);
    struct pair p;
    pair_open(&p, c, s);
    pair_handshake(&p);
    if (required)
        assert_int_equal(p.server_result, TLS_FAIL);
    if (client_too)
        assert_int_equal(p.client_result, TLS_FAIL);
    assert_true(strlen(tls_error(required ? p.server : p.client)) > 0);
    pair_close(&p);
    tls_ctx_free(c);
    tls_ctx_free(s);
}

static void another_application_protocol_is_refused(void **state)
{
    expect_refusal("http/1.1", "reeve/1", true, true);      /* another name */
    expect_refusal(NULL, "reeve/1", true, true);            /* none offered */
    expect_refusal("reeve/1", "reeve/2", false, true);      /* a server that does not mind; our client does */
    expect_refusal("reeve/1", NULL, false, true);           /* a server that knows no ALPN */
}

/* Resumes with what is in session, keeps the new session there, and says whether it was resumed. */
static bool connect_once(struct tls_ctx *c, struct tls_ctx *s, struct wr *session)
{
    struct pair p;
    bool resumed;
    pair_open(&p, c, s);
    if (session->len > 0)
        assert_ok(tls_session_set(p.client, wr_slice(session)));
    pair_handshake(&p);
    assert_done(&p);
    resumed = tls_resumed(p.client);
    assert_int_equal(tls_resumed(p.server), resumed);
    send_text(p.server, p.client, "x");         /* reads the ticket that came before it */
    wr_reset(session);
    assert_ok(tls_session_get(p.client, session));
    pair_close(&p);
    return resumed;
}

static void a_ticket_of_one_worker_resumes_at_another(void **state)
{
    struct tls_ctx *c = client_ctx("reeve/1");
    struct tls_ctx *s1 = server_ctx("reeve/1", true, ticket_key_1), *s2 = server_ctx("reeve/1", true, ticket_key_1);
    struct tls_ctx *c2 = client_ctx("reeve/1");     /* the agent after a restart */
    struct wr session = wr_heap(10000);
    assert_false(connect_once(c, s1, &session));
    assert_true(connect_once(c, s2, &session));
    assert_true(connect_once(c2, s1, &session));
    assert_true(connect_once(c2, s2, &session));
    wr_free(&session);
    tls_ctx_free(c);
    tls_ctx_free(c2);
    tls_ctx_free(s1);
    tls_ctx_free(s2);
}

static void a_changed_ticket_key_keeps_the_tickets_of_the_one_before(void **state)
{
    struct tls_ctx *c = client_ctx("reeve/1");
    struct tls_ctx *s = server_ctx("reeve/1", true, ticket_key_1);
    struct tls_ctx *fresh = server_ctx("reeve/1", true, ticket_key_2);
    struct wr session = wr_heap(10000);
    assert_false(connect_once(c, s, &session));
    tls_ctx_ticket_key(s, ticket_key_2);
    assert_true(connect_once(c, s, &session));          /* the old ticket is taken … */
    assert_true(connect_once(c, fresh, &session));      /* … and replaced by one under the new key */
    wr_free(&session);
    tls_ctx_free(c);
    tls_ctx_free(s);
    tls_ctx_free(fresh);
}

static void a_ticket_under_an_unknown_key_means_a_full_handshake(void **state)
{
    struct tls_ctx *c = client_ctx("reeve/1");
    struct tls_ctx *s1 = server_ctx("reeve/1", true, ticket_key_1), *s2 = server_ctx("reeve/1", true, ticket_key_2);
    struct wr session = wr_heap(10000);
    assert_false(connect_once(c, s1, &session));
    assert_false(connect_once(c, s2, &session));
    wr_free(&session);
    tls_ctx_free(c);
    tls_ctx_free(s1);
    tls_ctx_free(s2);
}

static void resumed_connections_export_their_own_bytes(void **state)
{
    struct tls_ctx *c = client_ctx("reeve/1"), *s = server_ctx("reeve/1", true, ticket_key_1);
    struct wr session = wr_heap(10000);
    uint8_t e[3][32];
    connect_once(c, s, &session);
    for (int i = 0; i < 2; i++) {
        struct pair p;
        pair_open(&p, c, s);
        assert_ok(tls_session_set(p.client, wr_slice(&session)));       /* the same ticket twice */
        pair_handshake(&p);
        assert_done(&p);
        assert_true(tls_resumed(p.client));
        assert_ok(tls_exporter(p.client, "EXPERIMENTAL reeve", e[i]));
        assert_ok(tls_exporter(p.server, "EXPERIMENTAL reeve", e[2]));
        assert_memory_equal(e[i], e[2], 32);
        pair_close(&p);
    }
    assert_memory_not_equal(e[0], e[1], 32);
    wr_free(&session);
    tls_ctx_free(c);
    tls_ctx_free(s);
}

static void without_a_ticket_key_there_is_no_session(void **state)
{
    struct tls_ctx *c = client_ctx(NULL), *s = server_ctx(NULL, false, NULL);
    struct wr session = wr_heap(10000);
    struct pair p;
    pair_open(&p, c, s);
    pair_handshake(&p);
    assert_done(&p);
    send_text(p.server, p.client, "x");
    assert_err(tls_session_get(p.client, &session), REEVE_E_NOT_FOUND);
    assert_err(tls_session_set(p.client, slice_str("nonsense")), REEVE_E_MALFORMED);
    assert_err(tls_session_set(p.client, slice_of(NULL, 0)), REEVE_E_MALFORMED);
    pair_close(&p);
    tls_ctx_free(c);
    tls_ctx_free(s);
}

static void the_client_sees_the_certificate_and_the_server_knows_its_digest(void **state)
{
    struct tls_ctx *c = client_ctx(NULL), *s = server_ctx(NULL, false, NULL);
    struct wr der = wr_heap(X509_DER_MAX);
    struct x509_info info;
    uint8_t end_point[64];
    struct pair p;
    pair_open(&p, c, s);
    assert_err(tls_peer_cert(p.client, &der), REEVE_E_NOT_FOUND);
    pair_handshake(&p);
    assert_done(&p);
    assert_ok(tls_peer_cert(p.client, &der));
    assert_ok(x509_parse(&info, wr_slice(&der)));
    assert_int_equal(tls_ctx_end_point(s, end_point), 32);
    assert_memory_equal(end_point, info.fingerprint.b, 32);
    assert_string_equal(info.subject, "CN=gateway.test");
    pair_close(&p);
    wr_free(&der);
    tls_ctx_free(c);
    tls_ctx_free(s);
}

static void an_ed25519_certificate_has_no_end_point(void **state)
{
    struct tls_config cfg = { ed_cert_file, ed_key_file, NULL, false, false, NULL, NULL, false };
    struct report rep = { 0 };
    struct tls_ctx *s;
    uint8_t out[64];
    assert_ok(tls_ctx_server(&s, &cfg, &rep));
    assert_int_equal(tls_ctx_end_point(s, out), 0);
    tls_ctx_free(s);
}

/* A certificate of the client's own key, as an agent with mTLS shows it. */
static struct tls_ctx *client_ctx_with_key(struct xkey *key, struct wr *der)
{
    struct tls_ctx *c = client_ctx("reeve/1");
    struct x509_spec spec = { .subject = slice_str("CN=node"), .not_after = { 4000000000000 } };
    struct wr spki = wr_heap(1000);
    x509_serial_random(spec.serial);
    assert_ok(xkey_spki(key, &spki));
    assert_ok(x509_issue(der, &spec, wr_slice(&spki), key, slice_of(NULL, 0)));
    assert_ok(tls_ctx_identity(c, wr_slice(der), key));
    wr_free(&spki);
    return c;
}

static void a_server_that_asks_sees_the_client_certificate_even_when_resumed(void **state)
{
    struct tls_config cfg = { .ephemeral_name = "gateway.test", .alpn = "reeve/1", .alpn_required = true,
                              .min_tls13 = true, .ticket_key = ticket_key_1, .ask_cert = true };
    struct report rep = { 0 };
    struct wr der = wr_heap(X509_DER_MAX), seen = wr_heap(X509_DER_MAX), session = wr_heap(10000);
    struct tls_ctx *s, *with, *without = client_ctx("reeve/1");
    uint8_t seed[32] = { 7 };
    struct xkey *key, *other;
    struct pair p;
    assert_ok(tls_ctx_server(&s, &cfg, &rep));
    assert_ok(xkey_from_seed(&key, seed));
    assert_ok(xkey_generate(&other, KEY_ED25519));
    with = client_ctx_with_key(key, &der);
    assert_err(tls_ctx_identity(without, wr_slice(&der), other), REEVE_E_INVALID_VALUE);
    for (int i = 0; i < 2; i++) {
        pair_open(&p, with, s);
        if (i > 0)
            assert_ok(tls_session_set(p.client, wr_slice(&session)));
        pair_handshake(&p);
        assert_done(&p);
        assert_int_equal(tls_resumed(p.server), i > 0);
        wr_reset(&seen);
        assert_ok(tls_peer_cert(p.server, &seen));
        assert_true(slice_eq(wr_slice(&seen), wr_slice(&der)));
        send_text(p.client, p.server, "certificate");
        send_text(p.server, p.client, "x");
        wr_reset(&session);
        assert_ok(tls_session_get(p.client, &session));
        pair_close(&p);
    }
    tls_ctx_free(without);
    without = client_ctx("reeve/1");
    pair_open(&p, without, s);
    pair_handshake(&p);
    assert_done(&p);
    assert_err(tls_peer_cert(p.server, &seen), REEVE_E_NOT_FOUND);
    pair_close(&p);
    tls_ctx_free(without);
    tls_ctx_free(with);
    tls_ctx_free(s);
    xkey_free(key);
    xkey_free(other);
    wr_free(&der);
    wr_free(&seen);
    wr_free(&session);
}

static void a_wrong_file_is_named_in_the_report(void **state)
{
    struct tls_config cfg = { "/nonexistent/cert.pem", key_file, NULL, false, true, NULL, NULL, false };
    struct report rep = { 0 };
    struct tls_ctx *s = NULL;
    assert_err(tls_ctx_server(&s, &cfg, &rep), REEVE_E_CONFIG);
    assert_non_null(strstr(rep.message, "/nonexistent/cert.pem"));
    cfg.cert_file = cert_file;
    cfg.key_file = ed_key_file;         /* a key, but not this certificate's */
    report_clear(&rep);
    assert_err(tls_ctx_server(&s, &cfg, &rep), REEVE_E_CONFIG);
    assert_non_null(strstr(rep.message, ed_key_file));
    assert_null(s);
}

static void garbage_instead_of_a_hello_fails_and_is_explained(void **state)
{
    struct tls_ctx *c = client_ctx(NULL), *s = server_ctx(NULL, false, NULL);
    struct rng rng = rng_seeded("garbage");
    for (int round = 0; round < 500; round++) {
        struct pair p;
        uint8_t junk[200];
        pair_open(&p, c, s);
        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (uint8_t) rng_next(&rng);
        if (round % 2)
            memcpy(junk, "\x16\x03\x01\x00\xc0\x01\x00\x00\xbc\x03\x03", 11);
        assert_int_equal(write(p.fd[0], junk, sizeof junk), sizeof junk);
        shutdown(p.fd[0], SHUT_WR);
        enum tls_result r = tls_handshake(p.server);
        assert_true(r == TLS_FAIL || r == TLS_EOF);
        assert_true(strlen(tls_error(p.server)) > 0);
        pair_close(&p);
    }
    tls_ctx_free(c);
    tls_ctx_free(s);
}

static void make_ed25519_files(void)
{
    struct xkey *key;
    struct x509_spec spec = { .subject = slice_str("CN=ed"), .not_before = { 0 }, .not_after = { 4000000000000 } };
    struct wr spki = wr_heap(1000), der = wr_heap(X509_DER_MAX), pem = wr_heap(X509_DER_MAX * 2);
    x509_serial_random(spec.serial);
    if (xkey_generate(&key, KEY_ED25519) || xkey_spki(key, &spki) ||
        x509_issue(&der, &spec, wr_slice(&spki), key, slice_of(NULL, 0)) || x509_to_pem(wr_slice(&der), &pem))
        abort();
    write_file(ed_cert_file, wr_slice(&pem));
    wr_reset(&pem);
    if (xkey_to_pem(key, &pem))
        abort();
    write_file(ed_key_file, wr_slice(&pem));
    xkey_free(key);
    wr_free(&spki);
    wr_free(&der);
    wr_free(&pem);
}

static int set_up(void **state)
{
    struct wr cert = wr_heap(100000), key = wr_heap(100000);
    signal(SIGPIPE, SIG_IGN);
    if (crypto_init() != REEVE_OK || mkdtemp(dir) == NULL || tls_self_signed("gateway.test", &cert, &key) != REEVE_OK)
        return -1;
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", dir);
    snprintf(key_file, sizeof key_file, "%s/key.pem", dir);
    snprintf(ed_cert_file, sizeof ed_cert_file, "%s/ed.pem", dir);
    snprintf(ed_key_file, sizeof ed_key_file, "%s/ed-key.pem", dir);
    write_file(cert_file, wr_slice(&cert));
    write_file(key_file, wr_slice(&key));
    make_ed25519_files();
    wr_free(&cert);
    wr_free(&key);
    return 0;
}

static int tear_down(void **state)
{
    unlink(cert_file);
    unlink(key_file);
    unlink(ed_cert_file);
    unlink(ed_key_file);
    return rmdir(dir);
}

/* An agent's certificate: over the key that its node id comes from. */
static void make_identity(struct tls_ctx *c, const uint8_t seed[32], struct hash32 *spki_hash)
{
    struct x509_spec spec = { .subject = slice_str("CN=node"), .not_before = { 0 }, .not_after = { 4102444800000 } };
    struct wr spki = wr_heap(1000), der = wr_heap(X509_DER_MAX);
    struct xkey *key;
    x509_serial_random(spec.serial);
    assert_ok(xkey_from_seed(&key, seed));
    assert_ok(xkey_spki(key, &spki));
    sha256(spki_hash, wr_slice(&spki));
    assert_ok(x509_issue(&der, &spec, wr_slice(&spki), key, slice_of(NULL, 0)));
    assert_ok(tls_ctx_identity(c, wr_slice(&der), key));
    xkey_free(key);
    wr_free(&spki);
    wr_free(&der);
}

static struct tls_ctx *asking_ctx(void)
{
    struct tls_config cfg = { .alpn = "reeve/1", .alpn_required = true, .min_tls13 = true, .ticket_key = ticket_key_1,
                              .ephemeral_name = "gateway", .ask_cert = true };
    struct report rep = { 0 };
    struct tls_ctx *s;
    assert_ok(tls_ctx_server(&s, &cfg, &rep));
    return s;
}

static void expect_client_key(struct pair *p, const struct hash32 *spki_hash)
{
    struct wr der = wr_heap(X509_DER_MAX);
    struct x509_info info;
    assert_ok(tls_peer_cert(p->server, &der));
    assert_ok(x509_parse(&info, wr_slice(&der)));
    assert_memory_equal(info.spki_hash.b, spki_hash->b, 32);
    wr_free(&der);
}

static void a_server_that_asks_sees_the_clients_own_certificate_also_when_resumed(void **state)
{
    struct tls_ctx *s = asking_ctx(), *sibling = asking_ctx(), *c = client_ctx("reeve/1");
    struct wr session = wr_heap(10000);
    struct hash32 spki_hash;
    uint8_t seed[32] = { 42 };
    struct pair p;
    make_identity(c, seed, &spki_hash);
    assert_false(connect_once(c, s, &session));
    pair_open(&p, c, sibling);
    assert_ok(tls_session_set(p.client, wr_slice(&session)));
    pair_handshake(&p);
    assert_done(&p);
    assert_true(tls_resumed(p.server));
    expect_client_key(&p, &spki_hash);
    pair_close(&p);
    wr_free(&session);
    tls_ctx_free(c);
    tls_ctx_free(s);
    tls_ctx_free(sibling);
}

static void a_server_that_asks_lets_a_client_without_certificate_in(void **state)
{
    struct tls_ctx *s = asking_ctx(), *c = client_ctx("reeve/1");
    struct wr der = wr_heap(X509_DER_MAX);
    struct pair p;
    pair_open(&p, c, s);
    pair_handshake(&p);
    assert_done(&p);
    assert_err(tls_peer_cert(p.server, &der), REEVE_E_NOT_FOUND);
    pair_close(&p);
    wr_free(&der);
    tls_ctx_free(c);
    tls_ctx_free(s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bytes_go_both_ways_over_tls_1_3),
    cmocka_unit_test(a_cut_connection_is_an_end),
    cmocka_unit_test(a_full_socket_asks_to_wait_and_loses_nothing),
    cmocka_unit_test(both_ends_export_the_same_and_each_connection_its_own),
    cmocka_unit_test(another_application_protocol_is_refused),
    cmocka_unit_test(a_ticket_of_one_worker_resumes_at_another),
    cmocka_unit_test(a_changed_ticket_key_keeps_the_tickets_of_the_one_before),
    cmocka_unit_test(a_ticket_under_an_unknown_key_means_a_full_handshake),
    cmocka_unit_test(resumed_connections_export_their_own_bytes),
    cmocka_unit_test(without_a_ticket_key_there_is_no_session),
    cmocka_unit_test(the_client_sees_the_certificate_and_the_server_knows_its_digest),
    cmocka_unit_test(an_ed25519_certificate_has_no_end_point),
    cmocka_unit_test(a_server_that_asks_sees_the_client_certificate_even_when_resumed),
    cmocka_unit_test(a_wrong_file_is_named_in_the_report),
    cmocka_unit_test(garbage_instead_of_a_hello_fails_and_is_explained),
    cmocka_unit_test(a_server_that_asks_sees_the_clients_own_certificate_also_when_resumed),
    cmocka_unit_test(a_server_that_asks_lets_a_client_without_certificate_in),
};

int main(void)
{
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
