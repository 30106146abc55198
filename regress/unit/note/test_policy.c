/* test_policy.c - policies: what parses, and when a checkpoint satisfies one (against a recursive twin). */
#include "../unit.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/sign.h"
#include "engine/note.h"

#define N 6
static const struct crypto_ops *const c = &crypto_ops_real;
static struct sign_key log_secret, secret[N];
static struct note_key log_key, key[N];
static char log_text[NOTE_KEY_TEXT_MAX], key_text[N][NOTE_KEY_TEXT_MAX], name[N][32];
static struct policy policy;
static uint8_t mem[1 << 16];

static void key_make(struct sign_key *sk, struct note_key *k, const char *n, enum note_alg alg, char *text)
{
    struct pubkey pub;
    struct wr w = wr_fixed(text, NOTE_KEY_TEXT_MAX - 1);
    sign_keygen(sk, &pub);
    note_key_init(c, k, slice_str(n), alg, &pub);
    note_key_format(k, &w);
    text[w.len] = '\0';
}

static int setup(void **state)
{
    (void) state;
    if (crypto_init() != REEVE_OK)
        return 1;
    key_make(&log_secret, &log_key, "reeve/log", NOTE_ED25519, log_text);
    for (int i = 0; i < N; i++) {
        snprintf(name[i], sizeof name[i], "reeve/log/v%d", i + 1);
        key_make(&secret[i], &key[i], name[i], NOTE_COSIGNATURE, key_text[i]);
    }
    return 0;
}

/* L: the log's key, 1..6: the witnesses' keys. */
static struct slice expand(const char *form)
{
    struct wr w = wr_fixed(mem, sizeof mem);
    for (const char *p = form; *p; p++) {
        if (*p == '$' && p[1] == 'L')
            wr_text(&w, log_text), p++;
        else if (*p == '$')
            wr_text(&w, key_text[*++p - '1']);
        else
            wr_u8(&w, (uint8_t) *p);
    }
    assert_false(w.bad);
    return wr_slice(&w);
}

static enum reeve_err parse(const char *form) { return policy_parse(c, &policy, expand(form)); }

static void test_what_parses_and_what_does_not(void **state)
{
    assert_ok(parse("# whom we believe\n\nlog $L https://log.example/\nwitness a $1\n  \nwitness\tb $2 https://b.example\ngroup g 2 a b\nquorum g\n"));
    assert_int_equal(policy.n_witnesses, 2);
    assert_ok(parse("log $L\nquorum none"));
    assert_int_equal(policy.quorum, POLICY_NONE);
    static const struct { const char *form; enum reeve_err err; } bad[] = {
        { "", REEVE_E_MALFORMED }, { "quorum none\n", REEVE_E_MALFORMED }, { "log $L\n", REEVE_E_MALFORMED },
        { "log $L\nquorum a\n", REEVE_E_MALFORMED }, { "log $L\nquorum none\nquorum none\n", REEVE_E_DUPLICATE_OBJECT },
        { "log $L\nlog $L\nquorum none\n", REEVE_E_DUPLICATE_OBJECT }, { "log x\nquorum none\n", REEVE_E_MALFORMED },
        { "log $L\nwitness a $1\nwitness a $2\nquorum a\n", REEVE_E_DUPLICATE_OBJECT },
        { "log $L\nwitness a $1\nwitness b $1\nquorum a\n", REEVE_E_DUPLICATE_OBJECT },
        { "log $L\nwitness none $1\nquorum none\n", REEVE_E_MALFORMED },
        { "log $L\nwitness a $L\nquorum a\n", REEVE_E_UNSUPPORTED },
        { "log $L\nwitness a $1\ngroup g 0 a\nquorum g\n", REEVE_E_MALFORMED }, { "log $L\nwitness a $1\ngroup g 2 a\nquorum g\n", REEVE_E_MALFORMED },
        { "log $L\nwitness a $1\ngroup g -1 a\nquorum g\n", REEVE_E_MALFORMED }, { "log $L\nwitness a $1\ngroup g 1\nquorum g\n", REEVE_E_MALFORMED },
        { "log $L\nwitness a $1\ngroup g 1 a a\nquorum g\n", REEVE_E_DUPLICATE_OBJECT },
        { "log $L\nwitness a $1\ngroup g any a\ngroup h any a\nquorum h\n", REEVE_E_DUPLICATE_OBJECT },
        { "log $L\nwitness a $1\ngroup g any g\nquorum g\n", REEVE_E_MALFORMED }, { "log $L\nwitness a $1\ngroup a any a\nquorum a\n", REEVE_E_DUPLICATE_OBJECT },
        { "log $L\ngroup g any a\nwitness a $1\nquorum g\n", REEVE_E_MALFORMED }, { "log $L\nfoo\nquorum none\n", REEVE_E_MALFORMED },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (parse(bad[i].form) != bad[i].err)
            fail_msg("%s: not %s", bad[i].form, reeve_err_name(bad[i].err));
}

static const char text[] = "reeve/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

/* A checkpoint signed by the log (bit N) and witnesses. */
static enum reeve_err judge(const char *body, unsigned signers, unsigned *n)
{
    static uint8_t bytes[1 << 14], message[1024];
    static struct note note;
    struct wr w = wr_fixed(bytes, sizeof bytes);
    struct sig64 sig;
    struct checkpoint cp;
    struct sign_key stranger;
    struct pubkey pub;
    struct note_key k;
    note_put_text(&w, slice_str(body));
    sign_keygen(&stranger, &pub);
    note_key_init(c, &k, slice_str("stranger"), NOTE_ED25519, &pub);
    sign_detached(&sig, slice_str(body), &stranger);
    note_put_sig(&w, &k, &sig);
    if (signers >> N & 1) {
        sign_detached(&sig, slice_str(body), &log_secret);
        note_put_sig(&w, &log_key, &sig);
    }
    for (int i = 0; i < N; i++) {
        if ((signers >> i & 1) == 0)
            continue;
        struct wr m = wr_fixed(message, sizeof message);
        note_cosig_message(slice_str(body), 9, &m);
        sign_detached(&sig, wr_slice(&m), &secret[i]);
        note_put_cosig(&w, &key[i], 9, &sig);
        note_put_cosig(&w, &key[i], 9, &sig);       /* twice: counts once */
    }
    assert_ok(note_parse(&note, wr_slice(&w)));
    return policy_check(c, &policy, &note, &cp, n);
}

static void test_a_quorum_counts_witnesses_once(void **state)
{
    unsigned n;
    assert_ok(parse("log $L\nwitness a $1\nwitness b $2\nwitness c $3\nwitness d $4\ngroup validators 3 a b c d\nquorum validators\n"));
    assert_ok(judge(text, 1u << N | 7, &n));
    assert_int_equal(n, 3);
    assert_err(judge(text, 1u << N | 3, &n), REEVE_E_V_QUORUM);
    assert_err(judge(text, 1u << N | 3 | 1u << 5, &n), REEVE_E_V_QUORUM);       /* one whom the policy does not know */
    assert_err(judge(text, 7, &n), REEVE_E_V_SIGNATURE);                        /* not by the log */
    assert_err(judge("reeve/other\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 1u << N | 7, &n), REEVE_E_V_CHAIN);
    assert_err(judge("no checkpoint\n", 1u << N | 7, &n), REEVE_E_MALFORMED);
}

/* ---- the twin: groups by recursion over a random tree ---- */

struct tree { int leaf, k, n; struct tree *kid[N]; };

static bool twin(const struct tree *t, unsigned signers)
{
    int have = 0;
    if (t->n == 0)
        return signers >> t->leaf & 1;
    for (int i = 0; i < t->n; i++)
        have += twin(t->kid[i], signers);
    return have >= t->k;
}

/* Writes the definitions of t, leaves first; gives its name. */
static const char *define(struct wr *w, const struct tree *t, int *groups)
{
    static char names[N * 2][16];
    const char *kid[N];
    if (t->n == 0)
        return name[t->leaf] + strlen("reeve/log/");
    for (int i = 0; i < t->n; i++)
        kid[i] = define(w, t->kid[i], groups);
    char *own = names[*groups];
    snprintf(own, sizeof names[0], "g%d", (*groups)++);
    wr_printf(w, "group %s %d", own, t->k);
    for (int i = 0; i < t->n; i++)
        wr_printf(w, " %s", kid[i]);
    wr_text(w, "\n");
    return own;
}

/* A random tree over all witnesses: joins random members until one is left. */
static struct tree *grow(struct rng *r, struct tree *pool)
{
    struct tree *open[N];
    int n = N, used = N;
    for (int i = 0; i < N; i++) {
        pool[i] = (struct tree){ .leaf = i };
        open[i] = &pool[i];
    }
    while (n > 1) {
        struct tree *t = &pool[used++];
        *t = (struct tree){ .leaf = -1 };
        for (int want = 2 + (int) rng_below(r, 2); want > 0 && n > 0; want--) {
            uint32_t at = rng_below(r, (uint32_t) n);
            t->kid[t->n++] = open[at];
            open[at] = open[--n];
        }
        t->k = 1 + (int) rng_below(r, (uint32_t) t->n);
        open[n++] = t;
    }
    return open[0];
}

static void test_nested_groups_are_judged_as_a_twin_does(void **state)
{
    static char form[4096];
    struct rng r = rng_seeded("test_policy");
    for (int round = 0; round < 12; round++) {
        struct tree pool[2 * N];
        struct wr w = wr_fixed(form, sizeof form - 1);
        int groups = 0;
        const struct tree *t = grow(&r, pool);
        wr_text(&w, "log $L\n");
        for (int i = 0; i < N; i++)
            wr_printf(&w, "witness v%d $%d\n", i + 1, i + 1);
        wr_printf(&w, "quorum %s\n", define(&w, t, &groups));
        form[w.len] = '\0';
        assert_ok(parse(form));
        for (unsigned signers = 0; signers < 1u << N; signers++) {
            unsigned n;
            enum reeve_err want = twin(t, signers) ? REEVE_OK : REEVE_E_V_QUORUM;
            assert_err(judge(text, 1u << N | signers, &n), want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_parses_and_what_does_not),
        cmocka_unit_test(test_a_quorum_counts_witnesses_once),
        cmocka_unit_test(test_nested_groups_are_judged_as_a_twin_does),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
