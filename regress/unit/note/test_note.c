/* test_note.c - notes, keys, cosignatures, checkpoints and single proofs: vectors of others, a dumb twin, hostile forms. */
#include "../unit.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/sign.h"
#include "engine/note.h"

static const struct crypto_ops *const c = &crypto_ops_real;

/* The example of Go's golang.org/x/mod/sumdb/note. */
#define PETER "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define PETER_SECRET "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
#define PETER_TEXT "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
#define PETER_LINE "\xe2\x80\x94 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"

static struct note note;
static uint8_t mem[1 << 16];

static int setup(void **state)
{
    (void) state;
    return crypto_init() == REEVE_OK ? 0 : 1;
}

static enum reeve_err judge(const char *text, const char *vkey, bool *seen)
{
    struct note_key k;
    enum reeve_err err;
    TRY(note_key_parse(c, &k, slice_str(vkey)));
    TRY(note_parse(&note, slice_str(text)));
    err = note_verify(c, &note, &k, 1, seen, NULL, NULL);
out:
    return err;
}

static void test_the_note_of_gos_documentation_verifies(void **state)
{
    bool seen = false;
    assert_ok(judge(PETER_TEXT "\n" PETER_LINE, PETER, &seen));
    assert_true(seen);
}

static void test_its_private_key_makes_the_same_note(void **state)
{
    struct wr w = wr_fixed(mem, sizeof mem);
    struct slice name;
    uint32_t id;
    uint8_t seed[32];
    struct sign_key key;
    struct pubkey pub;
    struct note_key k;
    struct sig64 sig;
    assert_ok(note_secret_parse(slice_str(PETER_SECRET), &name, &id, seed));
    sign_key_from_seed(&key, &pub, seed);
    note_key_init(c, &k, name, NOTE_ED25519, &pub);
    assert_int_equal(k.id, id);
    sign_detached(&sig, slice_str(PETER_TEXT), &key);
    note_put_text(&w, slice_str(PETER_TEXT));
    note_put_sig(&w, &k, &sig);
    assert_true(slice_eq(wr_slice(&w), slice_str(PETER_TEXT "\n" PETER_LINE)));
    wr_reset(&w);
    note_key_format(&k, &w);
    assert_true(slice_eq(wr_slice(&w), slice_str(PETER)));
    wr_reset(&w);
    note_secret_format(&k, seed, &w);
    assert_true(slice_eq(wr_slice(&w), slice_str(PETER_SECRET)));
}

static void test_a_changed_text_is_refused_and_an_unknown_key_says_nothing(void **state)
{
    bool seen = false;
    assert_err(judge("If not\n\n" PETER_LINE, PETER, &seen), REEVE_E_V_SIGNATURE);
    struct note_key other;
    struct pubkey pub = { { 1 } };
    unsigned unknown = 0;
    note_key_init(c, &other, slice_str("PeterNeumann"), NOTE_ED25519, &pub);
    assert_ok(note_parse(&note, slice_str(PETER_TEXT "\n" PETER_LINE)));
    assert_ok(note_verify(c, &note, &other, 1, &seen, NULL, &unknown));
    assert_false(seen);
    assert_int_equal(unknown, 1);
}

static void test_a_second_line_of_one_key_counts_once(void **state)
{
    bool seen = false;
    assert_ok(judge(PETER_TEXT "\n" PETER_LINE PETER_LINE, PETER, &seen));
    assert_true(seen);
    assert_int_equal(note.n, 2);
}

static void test_no_other_form_of_a_note_parses(void **state)
{
    static const char *const bad[] = {
        "", "\n", "\n\n", "text\n", "text\n\n", "text\n" PETER_LINE, "\n" PETER_LINE,
        "text\r\n\r\n" PETER_LINE,
        "text\n\n\xe2\x80\x93 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
        "text\n\n\xe2\x80\x94 Peter+Neumann x08go/ZJkuA=\n", "text\n\n\xe2\x80\x94  x08go/ZJkuA=\n",
        "text\n\n\xe2\x80\x94 Peter\xc2\xa0N x08go/ZJkuA=\n", "text\n\n\xe2\x80\x94 Peter x08go/ZJkuA\n",
        "text\n\n\xe2\x80\x94 Peter x08go/ZJkuB=\n", "text\n\n\xe2\x80\x94 Peter AAAAAA==\n",
        "text\n\n\xe2\x80\x94 Peter x08go/ZJkuA=", "text\n\n\xe2\x80\x94 Peter x08go/ZJkuA= \n", "te\xff" "xt\n\n\xe2\x80\x94 Peter x08go/ZJkuA=\n",
        "te\x01xt\n\n\xe2\x80\x94 Peter x08go/ZJkuA=\n", "text\n\n\xe2\x80\x94 Peter x08go/ZJkuA=\ntail\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (note_parse(&note, slice_str(bad[i])) != REEVE_E_MALFORMED)
            fail_msg("parsed: %s", bad[i]);
    assert_ok(note_parse(&note, slice_str("text\n\n\xe2\x80\x94 Peter x08go/ZJkuA=\n")));
}

static void test_a_hundred_lines_are_the_limit(void **state)
{
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_text(&w, "text\n\n");
    for (int i = 0; i < NOTE_SIGS_MAX; i++)
        wr_text(&w, "\xe2\x80\x94 Peter x08go/ZJkuA=\n");
    assert_ok(note_parse(&note, wr_slice(&w)));
    wr_text(&w, "\xe2\x80\x94 Peter x08go/ZJkuA=\n");
    assert_err(note_parse(&note, wr_slice(&w)), REEVE_E_TOO_BIG);
}

static void test_keys_have_one_form_and_the_right_id(void **state)
{
    static const char *const bad[] = {
        "", "+", "++", "PeterNeumann+c74f20a3", "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PETER "A", "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    };
    struct note_key k;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(note_key_parse(c, &k, slice_str(bad[i])), REEVE_E_MALFORMED);
    assert_err(note_key_parse(c, &k, slice_str("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")), REEVE_E_V_KEY);
    assert_err(note_key_parse(c, &k, slice_str("PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")), REEVE_E_UNSUPPORTED);
}

/* ---- cosignatures ---- */

struct cosigned { struct sign_key key; struct note_key log, cosigner; struct sig64 sig; };

static void cosign(struct cosigned *s, const char *text, uint64_t time_s, struct wr *out)
{
    struct pubkey pub;
    uint8_t message[512];
    struct wr w = wr_fixed(message, sizeof message);
    sign_keygen(&s->key, &pub);
    note_key_init(c, &s->cosigner, slice_str("cosigner.example"), NOTE_COSIGNATURE, &pub);
    note_key_init(c, &s->log, slice_str("cosigner.example"), NOTE_ED25519, &pub);
    note_cosig_message(slice_str(text), time_s, &w);
    assert_false(w.bad);
    sign_detached(&s->sig, wr_slice(&w), &s->key);
    note_put_text(out, slice_str(text));
    note_put_cosig(out, &s->cosigner, time_s, &s->sig);
}

static enum reeve_err judge_cosig(const struct cosigned *s, struct slice in, bool *seen, uint64_t *t)
{
    enum reeve_err err = note_parse(&note, in);
    return err == REEVE_OK ? note_verify(c, &note, &s->cosigner, 1, seen, t, NULL) : err;
}

#define CP "reeve/x\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"

static void test_a_cosignature_covers_text_and_time(void **state)
{
    struct wr w = wr_fixed(mem, sizeof mem);
    struct cosigned s;
    bool seen;
    uint64_t t = 0;
    cosign(&s, CP, 1700000000, &w);
    assert_ok(judge_cosig(&s, wr_slice(&w), &seen, &t));
    assert_true(seen);
    assert_int_equal(t, 1700000000);
    wr_reset(&w);
    note_put_text(&w, slice_str(CP));
    note_put_cosig(&w, &s.cosigner, 1700000001, &s.sig);
    assert_err(judge_cosig(&s, wr_slice(&w), &seen, &t), REEVE_E_V_SIGNATURE);
    wr_reset(&w);
    note_put_text(&w, slice_str("reeve/x\n8\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"));
    note_put_cosig(&w, &s.cosigner, 1700000000, &s.sig);
    assert_err(judge_cosig(&s, wr_slice(&w), &seen, &t), REEVE_E_V_SIGNATURE);
}

static void test_a_time_of_more_than_63_bits_is_refused(void **state)
{
    struct wr w = wr_fixed(mem, sizeof mem);
    struct cosigned s;
    bool seen;
    uint64_t t;
    cosign(&s, CP, UINT64_C(1) << 63, &w);
    assert_err(judge_cosig(&s, wr_slice(&w), &seen, &t), REEVE_E_V_SIGNATURE);
    wr_reset(&w);
    cosign(&s, CP, INT64_MAX, &w);
    assert_ok(judge_cosig(&s, wr_slice(&w), &seen, &t));
}

static void test_a_plain_signature_is_no_cosignature(void **state)
{
    struct wr w = wr_fixed(mem, sizeof mem);
    struct cosigned s;
    bool seen;
    uint64_t t;
    cosign(&s, CP, 5, &w);
    assert_int_not_equal(s.log.id, s.cosigner.id);      /* the type is part of the id */
    sign_detached(&s.sig, slice_str(CP), &s.key);
    wr_reset(&w);
    note_put_text(&w, slice_str(CP));
    note_put_sig(&w, &s.cosigner, &s.sig);              /* 64 bytes under the cosigner's id */
    assert_err(judge_cosig(&s, wr_slice(&w), &seen, &t), REEVE_E_V_SIGNATURE);
    wr_reset(&w);
    note_put_text(&w, slice_str(CP));
    note_put_cosig(&w, &s.cosigner, 5, &s.sig);         /* over the text alone */
    assert_err(judge_cosig(&s, wr_slice(&w), &seen, &t), REEVE_E_V_SIGNATURE);
}

/* ---- checkpoints and proofs ---- */

static void test_a_checkpoint_is_read_and_written_the_same(void **state)
{
    static const char *const good[] = {
        CP, "o\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "o\n9223372036854775807\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nmore\nlines\n",
    };
    static const char *const bad[] = {
        "", "o\n", "o\n1\n", "\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "o\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n+1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "o\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n9223372036854775808\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n",
        "o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n",
        "o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nmore", "o\r\n1\r\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
    };
    struct checkpoint cp;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct wr w = wr_fixed(mem, sizeof mem);
        assert_ok(checkpoint_parse(&cp, slice_str(good[i])));
        checkpoint_format(&cp, &w);
        assert_true(slice_eq(wr_slice(&w), slice_str(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (checkpoint_parse(&cp, slice_str(bad[i])) != REEVE_E_MALFORMED)
            fail_msg("parsed: %s", bad[i]);
}

#define H0 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
static void test_a_proof_is_read_and_written_the_same(void **state)
{
    static const char *const good[] = {
        "c2sp.org/tlog-proof@v1\nindex 0\n\n" CP "\n" PETER_LINE, "c2sp.org/tlog-proof@v1\nextra AAAA\nindex 12\n" H0 H0 "\nrest",
    };
    static const char *const bad[] = {
        "", "c2sp.org/tlog-proof@v2\nindex 0\n\nrest", "c2sp.org/tlog-proof@v1\n\nrest", "c2sp.org/tlog-proof@v1\nindex 00\n\nrest",
        "c2sp.org/tlog-proof@v1\nindex 0\nrest", "c2sp.org/tlog-proof@v1\nindex 0\n" H0 "rest", "c2sp.org/tlog-proof@v1\nextra ?\nindex 0\n\nrest",
        "c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nrest", "c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\nrest",
    };
    static struct tlog_proof p;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct wr w = wr_fixed(mem, sizeof mem);
        assert_ok(tlog_proof_parse(&p, slice_str(good[i])));
        tlog_proof_format(&p, &w);
        assert_true(slice_eq(wr_slice(&w), slice_str(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (tlog_proof_parse(&p, slice_str(bad[i])) != REEVE_E_MALFORMED)
            fail_msg("parsed: %s", bad[i]);
}

static void test_a_path_has_64_hashes_at_most(void **state)
{
    static struct tlog_proof p;
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_text(&w, "c2sp.org/tlog-proof@v1\nindex 1\n");
    for (int i = 0; i < NOTE_PROOF_PATH_MAX; i++)
        wr_text(&w, H0);
    size_t at = w.len;
    wr_text(&w, "\nrest");
    assert_ok(tlog_proof_parse(&p, wr_slice(&w)));
    assert_int_equal(p.n, NOTE_PROOF_PATH_MAX);
    w.len = at;
    wr_text(&w, H0 "\nrest");
    assert_err(tlog_proof_parse(&p, wr_slice(&w)), REEVE_E_MALFORMED);
}

/* ---- the dumb twin: a note by string functions, from the end of its text ---- */

static int twin_lines(const char *s)
{
    const char *split = NULL;
    for (const char *at = s; (at = strstr(at, "\n\n")) != NULL; at++)
        split = at;
    if (split == NULL || split[2] == '\0' || s[strlen(s) - 1] != '\n')
        return -1;
    int n = 0;
    for (const char *line = split + 2; *line; line = strchr(line, '\n') + 1, n++) {
        char name[80], payload[80];
        if (sscanf(line, "\xe2\x80\x94 %79[^ \n+] %79[A-Za-z0-9+/=]", name, payload) != 2 ||
            strlen("\xe2\x80\x94  ") + strlen(name) + strlen(payload) != (size_t) (strchr(line, '\n') - line))
            return -1;
        uint8_t bytes[80];
        if (base64_decode(bytes, sizeof bytes, slice_str(payload)) < 5)
            return -1;
    }
    return n;
}

static void test_parser_and_twin_agree_on_random_pieces(void **state)
{
    static const char *const pieces[] = {
        "text", "\n", "\n\n", "\xe2\x80\x94 ", "\xe2\x80\x94", " ", "name", "na+me", "x08go/ZJkuA=", "x08go/ZJ", "AAAA", "=", "\n\n\xe2\x80\x94 name x08go/ZJkuA=\n",
    };
    struct rng r = rng_seeded("test_note");
    int parsed = 0;
    for (int round = 0; round < 30000; round++) {
        char s[512] = "";
        for (uint32_t n = rng_below(&r, 8); n > 0; n--)
            strncat(s, pieces[rng_below(&r, sizeof pieces / sizeof pieces[0])], sizeof s - strlen(s) - 1);
        int want = twin_lines(s);
        enum reeve_err err = note_parse(&note, slice_str(s));
        if ((err == REEVE_OK) != (want > 0) || (want > 0 && note.n != (unsigned) want))
            fail_msg("twin says %d lines, parser %s, %u: %s", want, reeve_err_name(err), note.n, s);
        parsed += want > 0;
    }
    assert_true(parsed > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_note_of_gos_documentation_verifies),
        cmocka_unit_test(test_its_private_key_makes_the_same_note),
        cmocka_unit_test(test_a_changed_text_is_refused_and_an_unknown_key_says_nothing),
        cmocka_unit_test(test_a_second_line_of_one_key_counts_once),
        cmocka_unit_test(test_no_other_form_of_a_note_parses),
        cmocka_unit_test(test_a_hundred_lines_are_the_limit),
        cmocka_unit_test(test_keys_have_one_form_and_the_right_id),
        cmocka_unit_test(test_a_cosignature_covers_text_and_time),
        cmocka_unit_test(test_a_time_of_more_than_63_bits_is_refused),
        cmocka_unit_test(test_a_plain_signature_is_no_cosignature),
        cmocka_unit_test(test_a_checkpoint_is_read_and_written_the_same),
        cmocka_unit_test(test_a_proof_is_read_and_written_the_same),
        cmocka_unit_test(test_a_path_has_64_hashes_at_most),
        cmocka_unit_test(test_parser_and_twin_agree_on_random_pieces),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
