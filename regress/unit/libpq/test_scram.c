/* test_scram.c - SCRAM-SHA-256 against RFC 7677, and everything a client may get wrong. */
#include "../unit.h"
#include "backend/libpq/scram.h"
#include "crypto/hash.h"

#define NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

/* The verifier of RFC 7677's password "pencil". */
static struct scram_verifier rfc_verifier(void)
{
    struct scram_verifier v = { .iterations = 4096 };
    long n = base64_decode(v.salt, sizeof v.salt, slice_str("W22ZaJ0SNY7soEsUEjb6gQ=="));
    v.salt_len = (size_t) n;
    assert_ok(scram_keys(&v, slice_str("pencil")));
    return v;
}

static void start(struct scram *s, bool doomed, const char *binding)
{
    struct scram_verifier v = rfc_verifier();
    scram_init(s, &v, doomed, slice_str(binding));
    strcpy(s->server_nonce, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
}

static uint8_t mem[2048];
static struct wr out;
static struct report rep;

static enum reeve_err first(struct scram *s, const char *mechanism, const char *msg)
{
    out = wr_fixed(mem, sizeof mem);
    report_clear(&rep);
    return scram_first(s, slice_str(mechanism), slice_str(msg), &out, &rep);
}

static enum reeve_err last(struct scram *s, const char *msg)
{
    out = wr_fixed(mem, sizeof mem);
    report_clear(&rep);
    return scram_final(s, slice_str(msg), &out, &rep);
}

static bool said(const char *text) { return slice_eq(wr_slice(&out), slice_str(text)); }

static void the_exchange_of_rfc_7677_verifies(void **state)
{
    struct scram s;
    start(&s, false, "");
    assert_ok(first(&s, "SCRAM-SHA-256", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    assert_true(said("r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    assert_ok(last(&s, "c=biws,r=" NONCE ",p=" PROOF));
    assert_true(said("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
}

static void a_wrong_proof_or_a_role_that_may_not_log_in_is_refused_alike(void **state)
{
    struct scram s;
    start(&s, false, "");
    assert_ok(first(&s, "SCRAM-SHA-256", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    assert_int_equal(last(&s, "c=biws,r=" NONCE ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), REEVE_E_PASSWORD);
    start(&s, true, "");
    assert_ok(first(&s, "SCRAM-SHA-256", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    assert_int_equal(last(&s, "c=biws,r=" NONCE ",p=" PROOF), REEVE_E_PASSWORD);
}

static void another_nonce_or_binding_is_refused(void **state)
{
    struct scram s;
    start(&s, false, "");
    assert_ok(first(&s, "SCRAM-SHA-256", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    assert_int_equal(last(&s, "c=biws,r=other,p=" PROOF), REEVE_E_PROTOCOL);
    assert_int_equal(last(&s, "c=eSws,r=" NONCE ",p=" PROOF), REEVE_E_AUTH);
}

static void the_binding_flag_must_fit_what_was_offered(void **state)
{
    struct scram s;
    start(&s, false, "endpoint");
    assert_int_equal(first(&s, "SCRAM-SHA-256", "y,,n=,r=abc"), REEVE_E_AUTH);
    assert_ok(first(&s, "SCRAM-SHA-256", "n,,n=,r=abc"));
    assert_int_equal(first(&s, "SCRAM-SHA-256-PLUS", "n,,n=,r=abc"), REEVE_E_PROTOCOL);
    assert_int_equal(first(&s, "SCRAM-SHA-256-PLUS", "p=tls-unique,,n=,r=abc"), REEVE_E_PROTOCOL);
    assert_ok(first(&s, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc"));
    start(&s, false, "");
    assert_ok(first(&s, "SCRAM-SHA-256", "y,,n=,r=abc"));
    assert_int_equal(first(&s, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc"), REEVE_E_PROTOCOL);
}

static void with_plus_the_last_message_carries_the_binding(void **state)
{
    struct scram s;
    char text[1024], c[128];
    start(&s, false, "endpoint");
    assert_ok(first(&s, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc"));
    base64_encode(c, "p=tls-server-end-point,,elsewhere", 33);
    snprintf(text, sizeof text, "c=%s,r=%s,p=%s", c, s.nonce, PROOF);
    assert_int_equal(last(&s, text), REEVE_E_AUTH);
    base64_encode(c, "p=tls-server-end-point,,endpoint", 32);
    snprintf(text, sizeof text, "c=%s,r=%s,p=%s", c, s.nonce, PROOF);
    assert_int_equal(last(&s, text), REEVE_E_PASSWORD);
}

static void malformed_messages_are_refused(void **state)
{
    static const char *const bad_first[] = { "", "n", "n,", "x,,n=,r=a", "n,,r=a", "n,,n=a", "n,,n=a,r=", "n,a=b,n=a,r=b",
                                             "n,,m=x,n=a,r=b", "n,,n=a,r=\x01", "p=,,n=,r=a", "n,x,n=,r=a" };
    static const char *const bad_last[] = { "", "c=biws", "c=biws,r=" NONCE, "c=biws,r=" NONCE ",p=", "r=x,c=biws,p=a",
                                            "c=biws,r=" NONCE ",p=" PROOF ",x=y", "c=biws,r=" NONCE ",zz,p=" PROOF,
                                            "c=biws,r=" NONCE ",p=dHzb" };
    struct scram s;
    for (size_t i = 0; i < sizeof bad_first / sizeof *bad_first; i++) {
        start(&s, false, "");
        assert_int_not_equal(first(&s, "SCRAM-SHA-256", bad_first[i]), REEVE_OK);
    }
    for (size_t i = 0; i < sizeof bad_last / sizeof *bad_last; i++) {
        start(&s, false, "");
        assert_ok(first(&s, "SCRAM-SHA-256", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
        enum reeve_err err = last(&s, bad_last[i]);
        assert_true(err == REEVE_E_PROTOCOL || err == REEVE_E_AUTH);
    }
    start(&s, false, "");
    assert_int_equal(last(&s, "c=biws,r=,p=" PROOF), REEVE_E_PROTOCOL);
    assert_int_equal(first(&s, "SCRAM-SHA-1", "n,,n=,r=a"), REEVE_E_PROTOCOL);
}

static void a_verifier_reads_back_as_written_and_fits_its_password_only(void **state)
{
    char text[SCRAM_VERIFIER_MAX], again[SCRAM_VERIFIER_MAX];
    struct scram_verifier v;
    assert_ok(scram_verifier_make(text, slice_str("open sesame"), 0));
    assert_true(scram_verifier_parse(&v, slice_str(text)));
    assert_int_equal(v.iterations, 4096);
    scram_verifier_text(again, &v);
    assert_string_equal(text, again);
    assert_true(scram_verifier_check(&v, slice_str("open sesame")));
    assert_false(scram_verifier_check(&v, slice_str("open sesame ")));
}

static void verifiers_of_postgresql_15_are_understood(void **state)
{
    struct scram_verifier v;
    assert_true(scram_verifier_parse(&v, slice_str("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")));
    assert_true(scram_verifier_check(&v, slice_str("pencil")));
}

static void spoiled_verifiers_are_refused(void **state)
{
    static const char *const bad[] = { "", "md5abc", "SCRAM-SHA-256", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:AAAA$AAAA:AAAA",
        "SCRAM-SHA-256$4096:$AAAA:AAAA", "SCRAM-SHA-256$99999999999:W22ZaJ0SNY7soEsUEjb6gQ==$x:y",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:" };
    struct scram_verifier v;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(scram_verifier_parse(&v, slice_str(bad[i])));
}

static void an_unknown_user_sees_the_same_salt_each_time_and_others_another(void **state)
{
    struct scram_verifier a, b, c;
    uint8_t secret[32] = { 7 };
    scram_verifier_mock(&a, slice_str("nobody"), secret);
    scram_verifier_mock(&b, slice_str("nobody"), secret);
    scram_verifier_mock(&c, slice_str("somebody"), secret);
    assert_int_equal(a.salt_len, SCRAM_SALT_LEN);
    assert_memory_equal(a.salt, b.salt, a.salt_len);
    assert_memory_not_equal(a.salt, c.salt, a.salt_len);
    assert_int_equal(a.iterations, SCRAM_ITERATIONS_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exchange_of_rfc_7677_verifies),
        cmocka_unit_test(a_wrong_proof_or_a_role_that_may_not_log_in_is_refused_alike),
        cmocka_unit_test(another_nonce_or_binding_is_refused),
        cmocka_unit_test(the_binding_flag_must_fit_what_was_offered),
        cmocka_unit_test(with_plus_the_last_message_carries_the_binding),
        cmocka_unit_test(malformed_messages_are_refused),
        cmocka_unit_test(a_verifier_reads_back_as_written_and_fits_its_password_only),
        cmocka_unit_test(verifiers_of_postgresql_15_are_understood),
        cmocka_unit_test(spoiled_verifiers_are_refused),
        cmocka_unit_test(an_unknown_user_sees_the_same_salt_each_time_and_others_another),
    };
    assert_int_equal(crypto_init(), REEVE_OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
