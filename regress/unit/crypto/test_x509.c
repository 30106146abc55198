/*
 * test_x509.c - certificates and requests, cross-checked with the openssl command
 *
 * The openssl program is the second opinion: what we issue it must accept and
 * read the same way, what it makes we must be able to take.
 */
#include "../unit.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

#include <openssl/x509.h>

#include <unistd.h>

#define DAY_MS (24 * 3600 * 1000LL)
#define T0 1767225600000LL          /* 2026-01-01 */

static char dir[] = "/tmp/reeve-unit-x509-XXXXXX";
static const enum key_type kinds[] = { KEY_ECDSA_P256, KEY_ED25519 };

/* A key and its certificate. */
struct cert { struct xkey *key; struct wr der; };

static struct slice der_of(const struct cert *c) { return wr_slice(&c->der); }

static struct x509_spec spec_of(const char *subject, bool is_ca)
{
    struct x509_spec s = { .subject = slice_str(subject), .not_before = { T0 }, .not_after = { T0 + 100 * DAY_MS },
                           .is_ca = is_ca, .path_len = -1 };
    x509_serial_random(s.serial);
    return s;
}

/* Makes a key of that kind and has issuer (or itself) sign it. */
static void cert_make(struct cert *out, enum key_type type, const struct x509_spec *spec, const struct cert *issuer)
{
    struct wr spki = wr_heap(1000);
    out->der = wr_heap(X509_DER_MAX);
    assert_ok(xkey_generate(&out->key, type));
    assert_ok(xkey_spki(out->key, &spki));
    assert_ok(x509_issue(&out->der, spec, wr_slice(&spki), issuer ? issuer->key : out->key,
                         issuer ? der_of(issuer) : slice_of(NULL, 0)));
    wr_free(&spki);
}

static void cert_free(struct cert *c)
{
    xkey_free(c->key);
    wr_free(&c->der);
}

static enum reeve_err verify(const struct cert *leaf, const struct cert *inter, const struct cert *root, int64_t ms)
{
    struct slice i = inter ? der_of(inter) : slice_of(NULL, 0), r = der_of(root);
    return x509_verify_chain(der_of(leaf), &i, inter ? 1 : 0, &r, 1, (struct wall_ms){ ms });
}

static void save(const char *name, struct slice s)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(s.p, 1, s.len, f), s.len);
    fclose(f);
}

static void save_pem(const char *name, struct slice der)
{
    struct wr pem = wr_heap(40000);
    assert_ok(x509_to_pem(der, &pem));
    save(name, wr_slice(&pem));
    wr_free(&pem);
}

static size_t load(const char *name, uint8_t *out, size_t cap)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, cap, f);
    fclose(f);
    return n;
}

/* The first bytes a shell command in dir prints, both streams. */
static const char *run(const char *command)
{
    static char out[8192];
    char line[1000];
    snprintf(line, sizeof line, "cd %s && { %s; } 2>&1", dir, command);
    FILE *p = popen(line, "r");
    assert_non_null(p);
    size_t n = fread(out, 1, sizeof out - 1, p);
    out[n] = 0;
    pclose(p);
    return out;
}

static void assert_prints(const char *command, const char *part)
{
    const char *out = run(command);
    if (strstr(out, part) == NULL)
        fail_msg("%s\nprinted:\n%s\nbut not: %s", command, out, part);
}

/* ---- chains ---- */

static void a_leaf_chains_to_its_authority_for_every_pair_of_kinds(void **state)
{
    for (int a = 0; a < 2; a++) {
        for (int b = 0; b < 2; b++) {
            struct x509_spec root_spec = spec_of("CN=Root,O=Reeve", true), leaf_spec = spec_of("CN=leaf.test", false);
            struct cert root, leaf, stranger;
            leaf_spec.sans[leaf_spec.n_sans++] = slice_str("leaf.test");
            cert_make(&root, kinds[a], &root_spec, NULL);
            cert_make(&stranger, kinds[a], &root_spec, NULL);      /* same name, another key */
            cert_make(&leaf, kinds[b], &leaf_spec, &root);
            assert_ok(verify(&leaf, NULL, &root, T0 + DAY_MS));
            assert_err(verify(&leaf, NULL, &stranger, T0 + DAY_MS), REEVE_E_V_SIGNATURE);
            assert_ok(x509_key_matches(der_of(&leaf), leaf.key));
            assert_err(x509_key_matches(der_of(&leaf), root.key), REEVE_E_V_KEY);
            cert_free(&root);
            cert_free(&stranger);
            cert_free(&leaf);
        }
    }
}

static void an_intermediate_is_needed_and_its_path_length_counts(void **state)
{
    struct x509_spec root_spec = spec_of("CN=Root", true), inter_spec = spec_of("CN=Inter", true);
    struct x509_spec deep_spec = spec_of("CN=Deep", true), leaf_spec = spec_of("CN=leaf", false);
    struct cert root, inter, deep, leaf, deep_leaf;
    inter_spec.path_len = 0;
    cert_make(&root, KEY_ECDSA_P256, &root_spec, NULL);
    cert_make(&inter, KEY_ED25519, &inter_spec, &root);
    cert_make(&deep, KEY_ED25519, &deep_spec, &inter);
    cert_make(&leaf, KEY_ECDSA_P256, &leaf_spec, &inter);
    cert_make(&deep_leaf, KEY_ECDSA_P256, &leaf_spec, &deep);
    assert_ok(verify(&leaf, &inter, &root, T0 + DAY_MS));
    assert_err(verify(&leaf, NULL, &root, T0 + DAY_MS), REEVE_E_V_SIGNATURE);
    assert_ok(verify(&leaf, NULL, &inter, T0 + DAY_MS));        /* an anchor need not be self-signed */
    struct slice inters[] = { der_of(&deep), der_of(&inter) }, r = der_of(&root);
    assert_err(x509_verify_chain(der_of(&deep_leaf), inters, 2, &r, 1, (struct wall_ms){ T0 + DAY_MS }),
               REEVE_E_V_SIGNATURE);
    cert_free(&root);
    cert_free(&inter);
    cert_free(&deep);
    cert_free(&leaf);
    cert_free(&deep_leaf);
}

/* The certificates of a chain, this many, the first one below all others. */
static bool may_certify(const struct cert **c, size_t n)
{
    struct wr w = wr_heap(8 * X509_DER_MAX);
    for (size_t i = 0; i < n; i++)
        wr_bytes(&w, der_of(c[i]).p, der_of(c[i]).len);
    bool may = x509_may_certify(wr_slice(&w));
    assert_false(n > 0 && x509_may_certify(slice_of(w.p, w.len - 1)));
    wr_free(&w);
    return may;
}

static void an_authority_may_stand_below_where_all_path_lengths_allow_it(void **state)
{
    for (int root_len = -1; root_len <= 3; root_len++)
        for (int len = -1; len <= 2; len++) {
            struct x509_spec root_spec = spec_of("CN=Root", true), spec = spec_of("CN=Authority", true), leaf_spec = spec_of("CN=leaf", false);
            struct cert root, own, leaf;
            root_spec.path_len = root_len;
            spec.path_len = len;
            cert_make(&root, KEY_ED25519, &root_spec, NULL);
            cert_make(&own, KEY_ED25519, &spec, &root);
            cert_make(&leaf, KEY_ED25519, &leaf_spec, &own);
            assert_int_equal(may_certify((const struct cert *[]){ &own, &root }, 2), len != 0 && (root_len < 0 || root_len >= 2));
            assert_int_equal(may_certify((const struct cert *[]){ &own }, 1), len > 0);     /* what stands above is not known */
            assert_false(may_certify((const struct cert *[]){ &leaf, &own, &root }, 3));
            assert_false(may_certify(NULL, 0));
            cert_free(&root);
            cert_free(&own);
            cert_free(&leaf);
        }
}

static void validity_ends_to_the_second(void **state)
{
    struct x509_spec root_spec = spec_of("CN=Root", true), leaf_spec = spec_of("CN=leaf", false);
    struct cert root, leaf;
    leaf_spec.not_before.ms = T0 + DAY_MS;
    leaf_spec.not_after.ms = T0 + 2 * DAY_MS;
    cert_make(&root, KEY_ECDSA_P256, &root_spec, NULL);
    cert_make(&leaf, KEY_ECDSA_P256, &leaf_spec, &root);
    assert_err(verify(&leaf, NULL, &root, T0 + DAY_MS - 1000), REEVE_E_V_EXPIRED);
    assert_ok(verify(&leaf, NULL, &root, T0 + DAY_MS));
    assert_ok(verify(&leaf, NULL, &root, T0 + 2 * DAY_MS - 1000));
    assert_err(verify(&leaf, NULL, &root, T0 + 2 * DAY_MS + 1000), REEVE_E_V_EXPIRED);
    cert_free(&root);
    cert_free(&leaf);
}

static void an_authority_must_be_one_and_own_its_key(void **state)
{
    struct x509_spec root_spec = spec_of("CN=Root", true), leaf_spec = spec_of("CN=leaf", false);
    struct wr out = wr_heap(X509_DER_MAX), spki = wr_heap(1000);
    struct cert root, leaf;
    cert_make(&root, KEY_ECDSA_P256, &root_spec, NULL);
    cert_make(&leaf, KEY_ECDSA_P256, &leaf_spec, &root);
    assert_ok(xkey_spki(leaf.key, &spki));
    assert_err(x509_issue(&out, &leaf_spec, wr_slice(&spki), leaf.key, der_of(&leaf)), REEVE_E_INVALID_VALUE);
    assert_err(x509_issue(&out, &leaf_spec, wr_slice(&spki), leaf.key, der_of(&root)), REEVE_E_V_KEY);
    assert_err(x509_issue(&out, &leaf_spec, wr_slice(&spki), root.key, slice_of(NULL, 0)), REEVE_E_V_KEY);
    assert_err(x509_issue(&out, &leaf_spec, slice_of(spki.p, spki.len - 1), root.key, der_of(&root)), REEVE_E_MALFORMED);
    assert_int_equal(out.len, 0);
    wr_free(&out);
    wr_free(&spki);
    cert_free(&root);
    cert_free(&leaf);
}

/* ---- what a certificate says ---- */

static void the_certificate_says_what_the_spec_said(void **state)
{
    struct x509_spec s = spec_of("CN=a b\\, c,OU=Ops,O=Reeve \xc3\xa9,L=Lyon,ST=ARA,C=FR", true);
    struct cert c;
    struct x509_info i;
    struct hash32 h;
    cert_make(&c, KEY_ED25519, &s, NULL);
    assert_ok(x509_parse(&i, der_of(&c)));
    assert_string_equal(i.subject, "CN=a b\\, c,OU=Ops,O=Reeve \xc3\xa9,L=Lyon,ST=ARA,C=FR");
    assert_string_equal(i.issuer, i.subject);
    assert_int_equal(i.not_before.ms, T0);
    assert_int_equal(i.not_after.ms, T0 + 100 * DAY_MS);
    assert_int_equal(i.serial_len, 16);
    assert_memory_equal(i.serial, s.serial, 16);
    assert_int_equal(i.key_type, KEY_ED25519);
    assert_true(i.is_ca);
    sha256(&h, der_of(&c));
    assert_memory_equal(h.b, i.fingerprint.b, 32);
    struct wr spki = wr_heap(1000);
    assert_ok(xkey_spki(c.key, &spki));
    sha256(&h, wr_slice(&spki));
    assert_memory_equal(h.b, i.spki_hash.b, 32);
    wr_free(&spki);
    cert_free(&c);
}

static void openssl_reads_the_same(void **state)
{
    for (int k = 0; k < 2; k++) {
        struct x509_spec root_spec = spec_of("CN=Root,O=Reeve", true), s = spec_of("CN=edge.test,O=Reeve", false);
        struct cert root, leaf;
        root_spec.path_len = 1;
        s.sans[s.n_sans++] = slice_str("edge.test");
        s.sans[s.n_sans++] = slice_str("*.edge.test");
        s.sans[s.n_sans++] = slice_str("192.0.2.7");
        s.sans[s.n_sans++] = slice_str("2001:db8::1");
        cert_make(&root, kinds[k], &root_spec, NULL);
        cert_make(&leaf, kinds[k], &s, &root);
        save_pem("root.pem", der_of(&root));
        save_pem("leaf.pem", der_of(&leaf));
        assert_prints("openssl verify -x509_strict -attime 1767312000 -CAfile root.pem leaf.pem", "leaf.pem: OK");
        assert_prints("openssl verify -attime 1767312000 -verify_hostname a.edge.test -CAfile root.pem leaf.pem", ": OK");
        assert_prints("openssl verify -attime 1767312000 -verify_ip 192.0.2.7 -CAfile root.pem leaf.pem", ": OK");
        assert_prints("openssl verify -attime 1767312000 -verify_ip 2001:db8::1 -CAfile root.pem leaf.pem", ": OK");
        assert_prints("openssl verify -attime 1767312000 -verify_ip 192.0.2.8 -CAfile root.pem leaf.pem", "mismatch");
        assert_prints("openssl verify -attime 1767312000 -purpose sslserver -CAfile root.pem leaf.pem", ": OK");
        assert_prints("openssl verify -attime 1767312000 -purpose sslclient -CAfile root.pem leaf.pem", ": OK");
        assert_prints("openssl x509 -in leaf.pem -noout -subject -nameopt RFC2253", "subject=CN=edge.test,O=Reeve");
        assert_prints("openssl x509 -in leaf.pem -noout -ext subjectAltName",
                      "DNS:edge.test, DNS:*.edge.test, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:1");
        assert_prints("openssl x509 -in leaf.pem -noout -ext keyUsage", "critical\n    Digital Signature\n");
        assert_prints("openssl x509 -in root.pem -noout -ext basicConstraints", "critical\n    CA:TRUE, pathlen:1\n");
        assert_prints("openssl x509 -in root.pem -noout -ext keyUsage", "critical\n    Certificate Sign, CRL Sign\n");
        cert_free(&root);
        cert_free(&leaf);
    }
}

static void openssl_takes_our_key_file(void **state)
{
    for (int k = 0; k < 2; k++) {
        struct xkey *key;
        struct wr pem = wr_heap(10000);
        assert_ok(xkey_generate(&key, kinds[k]));
        assert_ok(xkey_to_pem(key, &pem));
        save("key.pem", wr_slice(&pem));
        assert_prints("openssl pkey -in key.pem -noout -check", "Key is valid");
        wr_free(&pem);
        xkey_free(key);
    }
}

static void we_take_openssl_key_files(void **state)
{
    static const struct { const char *command; enum reeve_err err; enum key_type type; } cases[] = {
        { "openssl genpkey -algorithm ed25519", REEVE_OK, KEY_ED25519 },
        { "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", REEVE_OK, KEY_ECDSA_P256 },
        { "openssl ecparam -name prime256v1 -genkey", REEVE_OK, KEY_ECDSA_P256 },      /* parameters, then SEC1 */
        { "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384", REEVE_E_MALFORMED, 0 },
        { "openssl genpkey -algorithm x25519", REEVE_E_MALFORMED, 0 },
        { "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024 2>/dev/null || echo none", REEVE_E_MALFORMED, 0 },
        { "openssl genpkey -algorithm ed25519 -aes128 -pass pass:x", REEVE_E_MALFORMED, 0 },
        { "echo nothing", REEVE_E_MALFORMED, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct xkey *key;
        const char *pem = run(cases[i].command);
        assert_err(xkey_from_pem(&key, slice_str(pem)), cases[i].err);
        if (cases[i].err == REEVE_OK)
            assert_int_equal(xkey_type(key), cases[i].type);
        xkey_free(key);
    }
}

static void a_foreign_rsa_root_may_certify_our_authority(void **state)
{
    uint8_t buf[X509_DER_MAX];
    struct x509_spec leaf_spec = spec_of("CN=leaf", false);
    struct wr req = wr_heap(X509_DER_MAX), root_der = wr_heap(X509_DER_MAX);
    struct x509_info info;
    struct cert leaf, inter = { NULL, wr_heap(X509_DER_MAX) };
    assert_ok(xkey_generate(&inter.key, KEY_ECDSA_P256));
    assert_ok(csr_create(&req, inter.key, slice_str("CN=Reeve authority,O=Reeve")));
    save("ca.csr", wr_slice(&req));
    run("openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.pem -subj /CN=Company -days 5000");
    assert_prints("openssl req -in ca.csr -inform DER -noout -verify", "OK");
    run("printf 'basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign,cRLSign\\n' > ext; "
        "openssl x509 -req -in ca.csr -inform DER -CA rsa.pem -CAkey rsa.key -CAcreateserial -days 5000 -extfile ext"
        " -outform DER -out inter.der; openssl x509 -in rsa.pem -outform DER -out rsa.der");
    wr_bytes(&inter.der, buf, load("inter.der", buf, sizeof buf));
    wr_bytes(&root_der, buf, load("rsa.der", buf, sizeof buf));
    assert_ok(x509_parse(&info, wr_slice(&root_der)));
    assert_int_equal(info.key_type, KEY_OTHER);
    assert_ok(x509_key_matches(der_of(&inter), inter.key));
    leaf_spec.not_before.ms = (int64_t) time(NULL) * 1000 - DAY_MS;
    leaf_spec.not_after.ms = leaf_spec.not_before.ms + 10 * DAY_MS;
    cert_make(&leaf, KEY_ED25519, &leaf_spec, &inter);
    struct slice i = der_of(&inter), r = wr_slice(&root_der);
    assert_ok(x509_verify_chain(der_of(&leaf), &i, 1, &r, 1, (struct wall_ms){ (int64_t) time(NULL) * 1000 + 60000 }));
    cert_free(&leaf);
    cert_free(&inter);
    wr_free(&req);
    wr_free(&root_der);
}

/* ---- specs that cannot be ---- */

static enum reeve_err check_with(const char *subject, const char *san)
{
    struct x509_spec s = spec_of(subject, false);
    struct report rep = { 0 };
    if (san != NULL)
        s.sans[s.n_sans++] = slice_str(san);
    enum reeve_err err = x509_spec_check(&s, &rep);
    if (err != REEVE_OK)
        assert_true(strlen(rep.message) > 0);
    return err;
}

static void subjects_that_cannot_be_used_are_refused(void **state)
{
    static const char *const bad[] = {
        "a", "CN", "CN=", "CN=a,", ",CN=a", "CN=a,,O=b", "XX=a", "cn=a", "CN=a+O=b", "CN=\"a\"", "CN=a;O=b", "CN=a\\",
        "CN=a\\41", "C=FRA", "C=fr", "CN=a\nb", "CN=\xff",
        "CN=12345678901234567890123456789012345678901234567890123456789012345",      /* 65 characters */
        "",                                                                           /* and no SAN either */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (check_with(bad[i], NULL) != REEVE_E_INVALID_VALUE)
            fail_msg("taken: %s", bad[i]);
    assert_ok(check_with("", "a.test"));
    assert_ok(check_with("CN=a, O=b", NULL));
    assert_ok(check_with("CN=a\\,b\\=c", NULL));
}

static void names_are_either_dns_or_addresses(void **state)
{
    static const char *const good[] = { "a", "a.b", "*.a.b", "xn--9ca.test", "_srv.a", "1.a", "10.0.0.1", "::1", "2001:db8::7" };
    static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "-a.b", "a-.b", "*", "*.", "a.*.b", "a*.b", "a b", "a,b", "10.0.0",
                                       "10.0.0.256", "1.2.3.4.5", "::g", "a/b", "http://a", "caf\xc3\xa9.test", "a@b",
                                       "1234567890123456789012345678901234567890123456789012345678901234.a" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (check_with("CN=x", good[i]) != REEVE_OK)
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (check_with("CN=x", bad[i]) != REEVE_E_INVALID_VALUE)
            fail_msg("taken: %s", bad[i]);
    struct x509_spec s = spec_of("CN=x", false);
    s.sans[s.n_sans++] = slice_of("a\0.b", 4);
    assert_err(x509_spec_check(&s, NULL), REEVE_E_INVALID_VALUE);
    s.n_sans = X509_SANS_MAX + 1;
    assert_err(x509_spec_check(&s, NULL), REEVE_E_INVALID_VALUE);
}

static void validity_must_not_be_empty(void **state)
{
    struct x509_spec s = spec_of("CN=x", false);
    s.not_after = s.not_before;
    assert_err(x509_spec_check(&s, NULL), REEVE_E_INVALID_VALUE);
    s.not_after.ms = INT64_MAX;
    assert_err(x509_spec_check(&s, NULL), REEVE_E_INVALID_VALUE);
    s = spec_of("CN=x", false);
    s.not_before.ms = -1;
    assert_err(x509_spec_check(&s, NULL), REEVE_E_INVALID_VALUE);
}

static void a_serial_is_positive(void **state)
{
    struct x509_spec s = spec_of("CN=x", false);
    struct x509_info info;
    struct cert c;
    memset(s.serial, 0xff, sizeof s.serial);
    cert_make(&c, KEY_ED25519, &s, NULL);
    assert_ok(x509_parse(&info, der_of(&c)));
    assert_int_equal(info.serial[0], 0x7f);
    assert_int_equal(info.serial_len, 16);
    struct wr out = wr_heap(X509_DER_MAX), spki = wr_heap(1000);
    memset(s.serial, 0, sizeof s.serial);
    assert_ok(xkey_spki(c.key, &spki));
    assert_err(x509_issue(&out, &s, wr_slice(&spki), c.key, slice_of(NULL, 0)), REEVE_E_INVALID_VALUE);
    wr_free(&out);
    wr_free(&spki);
    cert_free(&c);
}

/* ---- requests ---- */

static void a_request_is_checked_for_kind_and_signature(void **state)
{
    for (int k = 0; k < 2; k++) {
        struct xkey *key;
        struct wr req = wr_heap(X509_DER_MAX), spki = wr_heap(1000), got = wr_heap(1000);
        assert_ok(xkey_generate(&key, kinds[k]));
        assert_ok(xkey_spki(key, &spki));
        assert_ok(csr_create(&req, key, slice_str("CN=node")));
        assert_ok(csr_check(wr_slice(&req), kinds[k], &got));
        assert_true(slice_eq(wr_slice(&got), wr_slice(&spki)));
        wr_reset(&got);
        assert_err(csr_check(wr_slice(&req), kinds[!k], &got), REEVE_E_V_KEY);
        req.p[req.len - 1] ^= 1;
        assert_err(csr_check(wr_slice(&req), kinds[k], &got), REEVE_E_V_SIGNATURE);
        req.p[req.len - 1] ^= 1;
        for (size_t len = 0; len < req.len; len++)
            assert_err(csr_check(slice_of(req.p, len), kinds[k], &got), REEVE_E_MALFORMED);
        wr_u8(&req, 0);
        assert_err(csr_check(wr_slice(&req), kinds[k], &got), REEVE_E_MALFORMED);
        assert_int_equal(got.len, 0);
        xkey_free(key);
        wr_free(&req);
        wr_free(&spki);
        wr_free(&got);
    }
}

static void no_changed_bit_of_a_request_passes(void **state)
{
    struct xkey *key;
    struct wr req = wr_heap(X509_DER_MAX), got = wr_heap(1000);
    assert_ok(xkey_generate(&key, KEY_ED25519));
    assert_ok(csr_create(&req, key, slice_str("CN=node")));
    for (size_t bit = 0; bit < 8 * req.len; bit++) {
        req.p[bit / 8] ^= (uint8_t) (1 << bit % 8);
        if (csr_check(wr_slice(&req), KEY_ED25519, &got) == REEVE_OK)
            fail_msg("bit %zu", bit);
        req.p[bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
    xkey_free(key);
    wr_free(&req);
    wr_free(&got);
}

static void requests_of_openssl_are_taken_when_of_our_kinds(void **state)
{
    static const struct { const char *newkey; enum reeve_err err; } cases[] = {
        { "-newkey ec -pkeyopt ec_paramgen_curve:P-256", REEVE_OK },
        { "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha384", REEVE_OK },
        { "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha1", REEVE_E_V_SIGNATURE },
        { "-newkey ec -pkeyopt ec_paramgen_curve:P-384", REEVE_E_V_KEY },
        { "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit", REEVE_E_V_KEY },
        { "-newkey ed25519", REEVE_E_V_KEY },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t buf[X509_DER_MAX];
        char command[300];
        struct wr got = wr_heap(1000);
        snprintf(command, sizeof command, "openssl req -new -nodes -keyout r.key -subj /CN=x -outform DER -out r.csr %s",
                 cases[i].newkey);
        run(command);
        size_t n = load("r.csr", buf, sizeof buf);
        assert_true(n > 0);
        assert_err(csr_check(slice_of(buf, n), KEY_ECDSA_P256, &got), cases[i].err);
        wr_free(&got);
    }
}

/* ---- hostile bytes ---- */

static void malformed_der_never_harms(void **state)
{
    struct rng rng = rng_seeded("der");
    struct x509_spec s = spec_of("CN=victim,O=Reeve", false);
    struct wr req = wr_heap(X509_DER_MAX), got = wr_heap(1000), pkcs8 = wr_heap(1000);
    struct cert c;
    struct x509_info info;
    struct xkey *key;
    uint8_t buf[2000];
    s.sans[s.n_sans++] = slice_str("10.1.2.3");
    cert_make(&c, KEY_ECDSA_P256, &s, NULL);
    assert_ok(csr_create(&req, c.key, s.subject));
    assert_ok(xkey_to_der(c.key, &pkcs8));
    struct slice base[] = { der_of(&c), wr_slice(&req), wr_slice(&pkcs8) };
    for (int round = 0; round < 6000; round++) {
        struct slice b = base[round % 3];
        size_t len = rng_below(&rng, 8) ? b.len : rng_below(&rng, (uint32_t) b.len + 1);
        assert_true(b.len <= sizeof buf);
        memcpy(buf, b.p, b.len);
        for (uint32_t n = 1 + rng_below(&rng, 4); n > 0; n--)
            buf[rng_below(&rng, (uint32_t) b.len)] = (uint8_t) rng_next(&rng);
        if (x509_parse(&info, slice_of(buf, len)) == REEVE_OK)
            assert_true(utf8_valid(slice_str(info.subject)) && info.serial_len <= sizeof info.serial);
        wr_reset(&got);
        if (csr_check(slice_of(buf, len), KEY_ECDSA_P256, &got) == REEVE_OK)
            assert_int_equal(got.len, 91);
        if (xkey_from_der(&key, slice_of(buf, len)) == REEVE_OK)
            xkey_free(key);
    }
    cert_free(&c);
    wr_free(&req);
    wr_free(&got);
    wr_free(&pkcs8);
}

static void a_certificate_has_one_encoding(void **state)
{
    struct x509_spec s = spec_of("CN=x", false);
    struct x509_info info;
    struct cert c;
    cert_make(&c, KEY_ED25519, &s, NULL);
    assert_ok(x509_parse(&info, der_of(&c)));
    wr_u8(&c.der, 0);
    assert_err(x509_parse(&info, der_of(&c)), REEVE_E_MALFORMED);      /* trailing byte */
    c.der.len--;
    for (size_t len = 0; len < c.der.len; len++)
        assert_err(x509_parse(&info, slice_of(c.der.p, len)), REEVE_E_MALFORMED);
    /* the outer length in three bytes instead of two */
    struct wr longer = wr_heap(X509_DER_MAX);
    assert_int_equal(c.der.p[1], 0x82);
    wr_bytes(&longer, "\x30\x83\x00", 3);
    wr_bytes(&longer, c.der.p + 2, c.der.len - 2);
    assert_err(x509_parse(&info, wr_slice(&longer)), REEVE_E_MALFORMED);
    wr_free(&longer);
    cert_free(&c);
}

static void kinds_have_names(void **state)
{
    enum key_type t;
    assert_true(key_type_parse(&t, slice_str("ECDSA")) && t == KEY_ECDSA_P256);
    assert_true(key_type_parse(&t, slice_str("p256")) && t == KEY_ECDSA_P256);
    assert_true(key_type_parse(&t, slice_str("ed25519")) && t == KEY_ED25519);
    assert_false(key_type_parse(&t, slice_str("rsa")));
    assert_false(key_type_parse(&t, slice_str("")));
    assert_string_equal(key_type_name(KEY_ECDSA_P256), "ecdsa-p256");
}

static int set_up(void **state)
{
    return crypto_init() == REEVE_OK && mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    run("rm -f *");
    return rmdir(dir);
}

/* The twin is OpenSSL's own encoder and decoder. */
static void p256_keys_are_written_and_read_as_openssl_does(void **state)
{
    for (int round = 0; round < 20; round++) {
        struct xkey *key, *again;
        uint8_t mem[512], a[128], b[128], *theirs = NULL;
        struct wr w = wr_fixed(mem, sizeof mem), spki = wr_fixed(a, sizeof a), spki2 = wr_fixed(b, sizeof b);
        assert_int_equal(xkey_generate(&key, KEY_ECDSA_P256), REEVE_OK);
        assert_int_equal(xkey_to_der(key, &w), REEVE_OK);
        const unsigned char *p = mem;
        PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long) w.len);
        EVP_PKEY *pkey = EVP_PKCS82PKEY(p8);
        PKCS8_PRIV_KEY_INFO *back = EVP_PKEY2PKCS8(pkey);
        assert_int_equal(i2d_PKCS8_PRIV_KEY_INFO(back, &theirs), (int) w.len);
        assert_memory_equal(theirs, mem, w.len);
        assert_int_equal(xkey_from_der(&again, wr_slice(&w)), REEVE_OK);
        assert_int_equal(xkey_spki(key, &spki) | xkey_spki(again, &spki2), REEVE_OK);
        assert_true(slice_eq(wr_slice(&spki), wr_slice(&spki2)));
        xkey_free(again);
        mem[40] ^= 1;                   /* the scalar of another point */
        assert_int_equal(xkey_from_der(&again, wr_slice(&w)), REEVE_E_MALFORMED);
        mem[40] ^= 1;
        mem[100] ^= 1;                  /* off the curve */
        assert_int_equal(xkey_from_der(&again, wr_slice(&w)), REEVE_E_MALFORMED);
        OPENSSL_free(theirs);
        PKCS8_PRIV_KEY_INFO_free(p8);
        PKCS8_PRIV_KEY_INFO_free(back);
        EVP_PKEY_free(pkey);
        xkey_free(key);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(p256_keys_are_written_and_read_as_openssl_does),
    cmocka_unit_test(kinds_have_names),
    cmocka_unit_test(a_leaf_chains_to_its_authority_for_every_pair_of_kinds),
    cmocka_unit_test(an_intermediate_is_needed_and_its_path_length_counts),
    cmocka_unit_test(an_authority_may_stand_below_where_all_path_lengths_allow_it),
    cmocka_unit_test(validity_ends_to_the_second),
    cmocka_unit_test(an_authority_must_be_one_and_own_its_key),
    cmocka_unit_test(the_certificate_says_what_the_spec_said),
    cmocka_unit_test(openssl_reads_the_same),
    cmocka_unit_test(openssl_takes_our_key_file),
    cmocka_unit_test(we_take_openssl_key_files),
    cmocka_unit_test(a_foreign_rsa_root_may_certify_our_authority),
    cmocka_unit_test(subjects_that_cannot_be_used_are_refused),
    cmocka_unit_test(names_are_either_dns_or_addresses),
    cmocka_unit_test(validity_must_not_be_empty),
    cmocka_unit_test(a_serial_is_positive),
    cmocka_unit_test(a_request_is_checked_for_kind_and_signature),
    cmocka_unit_test(no_changed_bit_of_a_request_passes),
    cmocka_unit_test(requests_of_openssl_are_taken_when_of_our_kinds),
    cmocka_unit_test(a_certificate_has_one_encoding),
    cmocka_unit_test(malformed_der_never_harms),
};

int main(void)
{
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
