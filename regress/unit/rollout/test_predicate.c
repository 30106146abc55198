/*
 * test_predicate.c - the canonical condition on nodes
 *
 * The dumb twin: a random tree is evaluated by recursion over the tree, its
 * postfix code by the engine.
 */
#include "../unit.h"
#include "engine/rollout.h"

enum { EQ = 0x10, NE, LT, LE, GT, GE, LIKE, IS_NULL = 0x18, AND = 0x20, OR, NOT };

/* ---- the twin ---- */

enum { F, U, T };
struct val { bool null; const char *s; };
struct tree { uint8_t op; int text[2]; struct tree *kid[2]; int n_in; int in[4]; };

static const char *const words[] = { "", "a", "ab", "abc", "b", "eu-west", "edge", "e%e", "_b", "a\\%", "%", "a%c" };
#define N_WORDS ((int) (sizeof words / sizeof *words))
static const char *const keys[] = { "tier", "os", "site" };
static struct labels node_labels;
static struct name node_region;
static const char node_text[] = "n-000102030405060708090a0b0c0d0e0f";
static struct tree pool[64];
static int pool_n;

/* operand codes: >= 0 a word; -1 NULL, -2 region, -3 node id, -4 .. -6 labels */
static struct val operand(int t)
{
    if (t >= 0)
        return (struct val){ false, words[t] };
    if (t == -1)
        return (struct val){ true, "" };
    if (t == -2)
        return (struct val){ false, node_region.s };
    if (t == -3)
        return (struct val){ false, node_text };
    for (int i = 0; i < node_labels.n; i++)
        if (strcmp(node_labels.l[i].key.s, keys[-4 - t]) == 0)
            return (struct val){ false, node_labels.l[i].value.s };
    return (struct val){ true, "" };
}

static bool twin_like(const char *t, const char *p)
{
    if (*p == '\0')
        return *t == '\0';
    if (*p == '%')
        return twin_like(t, p + 1) || (*t != '\0' && twin_like(t + 1, p));
    if (*p == '\\' && p[1] != '\0')
        return *t == p[1] && twin_like(t + 1, p + 2);
    return *t != '\0' && (*p == '_' || *p == *t) && twin_like(t + 1, p + 1);
}

static int twin_relation(uint8_t op, struct val a, struct val b)
{
    if (a.null || b.null)
        return U;
    int c = strcmp(a.s, b.s);
    bool r = op == EQ ? c == 0 : op == NE ? c != 0 : op == LT ? c < 0 : op == LE ? c <= 0 : op == GT ? c > 0 :
             op == GE ? c >= 0 : twin_like(a.s, b.s);
    return r ? T : F;
}

static int twin_in(const struct tree *t)
{
    struct val x = operand(t->text[0]);
    int r = F;
    for (int i = 0; i < t->n_in; i++) {
        int one = twin_relation(EQ, x, operand(t->in[i]));
        r = one > r ? one : r;
    }
    return r;
}

static int twin(const struct tree *t)
{
    if (t->op == AND || t->op == OR) {
        int a = twin(t->kid[0]), b = twin(t->kid[1]);
        return t->op == AND ? (a < b ? a : b) : (a > b ? a : b);
    }
    if (t->op == NOT)
        return T - twin(t->kid[0]);
    if (t->op == IS_NULL)
        return operand(t->text[0]).null ? T : F;
    return t->n_in > 0 ? twin_in(t) : twin_relation(t->op, operand(t->text[0]), operand(t->text[1]));
}

/* ---- random trees and their code ---- */

static int random_operand(struct rng *r)
{
    return rng_below(r, 2) ? (int) rng_below(r, (uint32_t) N_WORDS) : -1 - (int) rng_below(r, 6);
}

static struct tree *random_tree(struct rng *r, int depth)
{
    struct tree *t = &pool[pool_n++];
    memset(t, 0, sizeof *t);
    uint32_t kind = rng_below(r, depth > 0 ? 8 : 4);
    if (kind >= 4) {
        t->op = kind == 7 ? NOT : kind == 6 ? OR : AND;
        t->kid[0] = random_tree(r, depth - 1);
        if (t->op != NOT)
            t->kid[1] = random_tree(r, depth - 1);
        return t;
    }
    t->text[0] = random_operand(r);
    t->text[1] = random_operand(r);
    if (kind == 0)
        t->op = IS_NULL;
    else if (kind == 1)
        for (t->n_in = 1 + (int) rng_below(r, 4); t->op == 0; t->op = 0x19)
            for (int i = 0; i < t->n_in; i++)
                t->in[i] = rng_below(r, 5) ? (int) rng_below(r, (uint32_t) N_WORDS) : -1;
    else
        t->op = (uint8_t) (EQ + rng_below(r, 7));
    return t;
}

static void push(struct predicate *p, int t, bool *bad)
{
    if (t >= 0)
        predicate_push_const(p, slice_str(words[t]), bad);
    else if (t <= -4)
        predicate_push_label(p, slice_str(keys[-4 - t]), bad);
    else
        predicate_op(p, t == -1 ? 0x04 : t == -2 ? 0x02 : 0x05, bad);
}

static void compile(struct predicate *p, const struct tree *t, bool *bad)
{
    for (int i = 0; i < 2; i++)
        if (t->kid[i] != NULL)
            compile(p, t->kid[i], bad);
    if (t->kid[0] == NULL)
        push(p, t->text[0], bad);
    if (t->kid[0] == NULL && t->n_in == 0 && t->op != IS_NULL)
        push(p, t->text[1], bad);
    for (int i = 0; i < t->n_in; i++)
        push(p, t->in[i], bad);
    if (t->n_in > 0)
        predicate_in(p, (uint8_t) t->n_in, bad);
    else
        predicate_op(p, t->op, bad);
}

static void random_node(struct rng *r)
{
    assert_true(name_set_str(&node_region, rng_below(r, 2) ? "eu-west" : "ab"));
    memset(&node_labels, 0, sizeof node_labels);
    for (int i = 0; i < 3; i++)
        if (rng_below(r, 3) > 0) {
            struct label *l = &node_labels.l[node_labels.n++];
            assert_true(name_set_str(&l->key, keys[i]));
            (void) name_set_str(&l->value, words[1 + rng_below(r, (uint32_t) N_WORDS - 1)]);
        }
}

static void it_agrees_with_a_twin_that_walks_the_tree(void **state)
{
    struct rng rng = rng_seeded("predicate");
    unsigned seen[3] = { 0 };
    for (int round = 0; round < 20000; round++) {
        struct predicate p = { 0 };
        bool bad = false;
        pool_n = 0;
        struct tree *t = random_tree(&rng, 3);
        random_node(&rng);
        compile(&p, t, &bad);
        assert_false(bad);
        assert_ok(predicate_check(&p));
        int want = twin(t);
        seen[want]++;
        bool got = predicate_holds(&p, &node_region, &node_labels, slice_str(node_text));
        if (got != (want == T)) {
            char text[4096];
            struct wr w = wr_fixed(text, sizeof text - 1);
            predicate_describe(&p, &w);
            text[w.len] = '\0';
            fail_msg("round %d: %s", round, text);
        }
    }
    assert_true(seen[F] > 1000 && seen[U] > 1000 && seen[T] > 1000);
}

/* ---- what is refused ---- */

static struct predicate of_hex(const char *hex)
{
    struct predicate p = { .len = (uint16_t) (strlen(hex) / 2) };
    unhex(p.code, p.len, hex);
    return p;
}

static void malformed_code_is_refused(void **state)
{
    static const char *const bad[] = {
        "02",               /* a value, not a condition */
        "10", "20", "22", "18", "1901",
        "0202",             /* two things left */
        "020210" "020210",  /* two conditions left */
        "02" "020210" "10", /* a condition compared */
        "02" "22",          /* NOT of a value */
        "02" "0161" "10",   /* constant cut off: length 97 */
        "0102ff" "6110",    /* not UTF-8 */
        "0300" "18",        /* label without a key */
        "02" "1900",        /* IN of nothing */
        "02" "02" "1901",   /* IN of a column */
        "17", "ff",
        "02020202020202020202020202020202" "02" "18",    /* 17 deep */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct predicate p = of_hex(bad[i]);
        assert_err(predicate_check(&p), REEVE_E_MALFORMED);
    }
    struct predicate empty = { 0 };
    assert_ok(predicate_check(&empty));
    assert_true(predicate_holds(&empty, &node_region, NULL, slice_str("n-")));
}

/* Whatever the check lets through must neither assert nor read beyond its code. */
static void checked_random_code_evaluates(void **state)
{
    struct rng rng = rng_seeded("code");
    unsigned passed = 0;
    char text[8192];
    for (int round = 0; round < 200000; round++) {
        static const uint8_t ops[] = { 1, 2, 3, 4, 5, 0x10, 0x11, 0x14, 0x16, 0x18, 0x19, 0x20, 0x21, 0x22 };
        struct predicate p = { 0 };
        unsigned n = 1 + rng_below(&rng, 8);
        for (unsigned i = 0; i < n; i++) {
            uint8_t op = ops[rng_below(&rng, sizeof ops)];
            p.code[p.len++] = op;
            if (op == 1 || op == 3)
                memcpy(p.code + p.len, "\1x", 2), p.len += 2;
            else if (op == 0x19)
                p.code[p.len++] = (uint8_t) rng_below(&rng, 3);
        }
        if (predicate_check(&p) != REEVE_OK)
            continue;
        passed++;
        random_node(&rng);
        (void) predicate_holds(&p, &node_region, &node_labels, slice_str(node_text));
        struct wr w = wr_fixed(text, sizeof text);
        predicate_describe(&p, &w);
        assert_false(w.bad);
    }
    assert_true(passed > 500);
}

/* ---- text ---- */

static void assert_text(const struct predicate *p, const char *want)
{
    char text[1024];
    struct wr w = wr_fixed(text, sizeof text - 1);
    predicate_describe(p, &w);
    text[w.len] = '\0';
    assert_string_equal(text, want);
}

static void the_text_has_the_parentheses_it_needs(void **state)
{
    struct predicate p = { 0 };
    bool bad = false;
    assert_text(&p, "true");
    predicate_op(&p, 0x02, &bad);
    predicate_push_const(&p, slice_str("eu-west"), &bad);
    predicate_op(&p, EQ, &bad);
    assert_text(&p, "region = 'eu-west'");
    predicate_push_label(&p, slice_str("tier"), &bad);
    predicate_push_const(&p, slice_str("edge"), &bad);
    predicate_push_const(&p, slice_str("it's"), &bad);
    predicate_in(&p, 2, &bad);
    predicate_op(&p, OR, &bad);
    assert_text(&p, "region = 'eu-west' OR label('tier') IN ('edge', 'it''s')");
    predicate_op(&p, 0x05, &bad);
    predicate_op(&p, IS_NULL, &bad);
    predicate_op(&p, NOT, &bad);
    predicate_op(&p, AND, &bad);
    assert_text(&p, "(region = 'eu-west' OR label('tier') IN ('edge', 'it''s')) AND NOT node_id IS NULL");
    predicate_op(&p, NOT, &bad);
    assert_text(&p, "NOT ((region = 'eu-west' OR label('tier') IN ('edge', 'it''s')) AND NOT node_id IS NULL)");
    assert_false(bad);
}

static void a_predicate_that_grows_too_long_says_so(void **state)
{
    struct predicate p = { 0 };
    bool bad = false;
    char word[200];
    memset(word, 'x', sizeof word);
    for (int i = 0; i < 5; i++)
        predicate_push_const(&p, slice_of(word, sizeof word), &bad);
    assert_false(bad);
    predicate_push_const(&p, slice_of(word, sizeof word), &bad);
    assert_true(bad);
    assert_int_equal(p.len, 5 * 202);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_agrees_with_a_twin_that_walks_the_tree),
    cmocka_unit_test(malformed_code_is_refused),
    cmocka_unit_test(checked_random_code_evaluates),
    cmocka_unit_test(the_text_has_the_parentheses_it_needs),
    cmocka_unit_test(a_predicate_that_grows_too_long_says_so),
};
UNIT_MAIN(tests)
