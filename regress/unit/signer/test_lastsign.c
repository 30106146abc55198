/* The last-sign rule: what one key may sign, in every order of requests. */
#include "../unit.h"

#include "backend/signer/signer_int.h"

static struct vote vote_at(uint8_t type, uint64_t view, uint8_t block)
{
    struct vote v = { .type = type, .epoch = 1, .view = view };
    if (type != VOTE_NULLIFY) {
        v.height = view;
        memset(v.block_hash.b, block, 32);
        v.parent_view = view - 1;
    }
    return v;
}

static enum lastsign_verdict ask(struct lastsign *s, const struct vote *v)
{
    struct report rep = { .code = REEVE_OK };
    struct sig64 sig;
    enum lastsign_verdict verdict = lastsign_check(s, v, &sig, &rep);
    if (verdict == LASTSIGN_SIGN) {
        memset(sig.b, v->type * 16 + v->block_hash.b[0], sizeof sig.b);
        lastsign_record(s, v, &sig);
    }
    if (verdict == LASTSIGN_REPEAT)
        assert_int_equal(sig.b[0], v->type * 16 + v->block_hash.b[0]);
    if (verdict == LASTSIGN_REFUSE)
        assert_true(rep.code != REEVE_OK && rep.message[0] != '\0');
    return verdict;
}

static void the_ordinary_path_is_signed(void **state)
{
    struct lastsign s = { 0 };
    for (uint64_t view = 1; view < 5; view++)
        for (uint8_t t = VOTE_PROPOSE; t <= VOTE_FINALIZE; t++) {
            struct vote v = vote_at(t, view, (uint8_t) view);
            if (t != VOTE_NULLIFY)
                assert_int_equal(ask(&s, &v), LASTSIGN_SIGN);
        }
}

static void the_same_request_gets_the_same_signature(void **state)
{
    struct lastsign s = { 0 };
    struct vote p = vote_at(VOTE_PROPOSE, 1, 7), n = vote_at(VOTE_NOTARIZE, 1, 7), next = vote_at(VOTE_PROPOSE, 2, 8);
    assert_int_equal(ask(&s, &p), LASTSIGN_SIGN);
    assert_int_equal(ask(&s, &n), LASTSIGN_SIGN);
    assert_int_equal(ask(&s, &p), LASTSIGN_REPEAT);
    assert_int_equal(ask(&s, &n), LASTSIGN_REPEAT);
    assert_int_equal(ask(&s, &next), LASTSIGN_SIGN);
    assert_int_equal(ask(&s, &n), LASTSIGN_REPEAT);     /* the view before is still known */
}

static void an_older_view_is_refused(void **state)
{
    struct lastsign s = { 0 };
    struct vote late = vote_at(VOTE_NULLIFY, 4, 0), now = vote_at(VOTE_NOTARIZE, 5, 1);
    assert_int_equal(ask(&s, &now), LASTSIGN_SIGN);
    assert_int_equal(ask(&s, &late), LASTSIGN_REFUSE);
    struct vote epoch = vote_at(VOTE_NOTARIZE, 9, 1);
    epoch.epoch = 0;
    assert_int_equal(ask(&s, &epoch), LASTSIGN_REFUSE);
}

static void any_differing_field_is_a_contradiction(void **state)
{
    struct vote base = vote_at(VOTE_NOTARIZE, 3, 1);
    for (int field = 0; field < 5; field++) {
        struct lastsign s = { 0 };
        struct vote other = base;
        assert_int_equal(ask(&s, &base), LASTSIGN_SIGN);
        switch (field) {
        case 0: other.height++; break;
        case 1: other.block_hash.b[31] ^= 1; break;
        case 2: other.parent_view++; break;
        case 3: other.parent_hash.b[0] ^= 1; break;
        default: other.valset_hash.b[0] ^= 1; break;
        }
        assert_int_equal(ask(&s, &other), LASTSIGN_REFUSE);
    }
}

static void genesis_and_unknown_types_are_refused_and_heartbeats_free(void **state)
{
    struct lastsign s = { 0 };
    struct vote g = vote_at(VOTE_NOTARIZE, 0, 1), odd = vote_at(9, 1, 1), beat = vote_at(VOTE_HEARTBEAT, 1, 1);
    assert_int_equal(ask(&s, &g), LASTSIGN_REFUSE);
    assert_int_equal(ask(&s, &odd), LASTSIGN_REFUSE);
    assert_int_equal(ask(&s, &beat), LASTSIGN_SIGN);
    assert_int_equal(s.cur.view, 0);
}

/*
 * The dumb twin: everything ever signed is kept, and the two rules are looked
 * up in that list. It knows no order within a view but what S1 and S2 say.
 */
struct twin { struct vote v[64]; int n; };

static bool twin_same(const struct vote *a, const struct vote *b)
{
    return a->type == b->type && a->view == b->view && a->height == b->height && hash32_eq(&a->block_hash, &b->block_hash);
}

static void twin_holds(const struct twin *t, const struct vote *v)
{
    bool notarized = v->type != VOTE_FINALIZE;
    for (int i = 0; i < t->n; i++) {
        const struct vote *o = &t->v[i];
        if (o->view > v->view)
            fail_msg("signed view %d after view %d", (int) v->view, (int) o->view);
        if (o->view != v->view)
            continue;
        if (o->type == v->type && !twin_same(o, v))
            fail_msg("two votes of type %d in view %d", v->type, (int) v->view);
        if ((o->type == VOTE_NULLIFY && v->type == VOTE_FINALIZE) || (o->type == VOTE_FINALIZE && v->type == VOTE_NULLIFY))
            fail_msg("finalize and nullify in view %d", (int) v->view);
        if (v->type == VOTE_FINALIZE && o->type == VOTE_NOTARIZE && hash32_eq(&o->block_hash, &v->block_hash))
            notarized = true;
    }
    assert_true(notarized);
}

/* All sequences of 6 requests out of 4 kinds x 2 blocks x 2 views (16^6 is much; a random 200,000 of them and all of 4). */
static void run_sequence(const unsigned *pick, int len)
{
    struct lastsign s = { 0 };
    struct twin t = { .n = 0 };
    for (int i = 0; i < len; i++) {
        unsigned p = pick[i];
        struct vote v = vote_at((uint8_t) (VOTE_PROPOSE + (p & 3)), 1 + (p >> 3 & 1), (uint8_t) (1 + (p >> 2 & 1)));
        if (ask(&s, &v) == LASTSIGN_SIGN) {
            twin_holds(&t, &v);
            t.v[t.n++] = v;
        }
    }
}

static void no_order_of_requests_makes_it_contradict_itself(void **state)
{
    struct rng r = rng_seeded("lastsign");
    unsigned pick[6];
    for (unsigned all = 0; all < 65536; all++) {
        for (int i = 0; i < 4; i++)
            pick[i] = all >> 4 * i & 15;
        run_sequence(pick, 4);
    }
    for (int k = 0; k < 100000; k++) {
        for (int i = 0; i < 6; i++)
            pick[i] = rng_below(&r, 16);
        run_sequence(pick, 6);
    }
}

static void nullify_may_follow_notarize_but_not_finalize(void **state)
{
    struct lastsign s = { 0 };
    struct vote n = vote_at(VOTE_NOTARIZE, 1, 1), z = vote_at(VOTE_NULLIFY, 1, 0), f = vote_at(VOTE_FINALIZE, 1, 1);
    assert_int_equal(ask(&s, &n), LASTSIGN_SIGN);
    assert_int_equal(ask(&s, &z), LASTSIGN_SIGN);
    assert_int_equal(ask(&s, &f), LASTSIGN_REFUSE);
    memset(&s, 0, sizeof s);
    assert_int_equal(ask(&s, &n), LASTSIGN_SIGN);
    assert_int_equal(ask(&s, &f), LASTSIGN_SIGN);
    assert_int_equal(ask(&s, &z), LASTSIGN_REFUSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ordinary_path_is_signed),
        cmocka_unit_test(the_same_request_gets_the_same_signature),
        cmocka_unit_test(an_older_view_is_refused),
        cmocka_unit_test(any_differing_field_is_a_contradiction),
        cmocka_unit_test(genesis_and_unknown_types_are_refused_and_heartbeats_free),
        cmocka_unit_test(nullify_may_follow_notarize_but_not_finalize),
        cmocka_unit_test(no_order_of_requests_makes_it_contradict_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
