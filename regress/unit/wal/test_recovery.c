/* test_recovery.c - properties of recovery over random histories; scenarios by number stand in test_scenarios.c. */
#include "walproperty.h"

static void a_crash_at_any_moment_loses_nothing_acknowledged_and_invents_nothing(void **state)
{
    struct rng r = rng_seeded("crashes");
    for (int i = 0; i < 400; i++) {
        uint64_t seed = rng_next(&r);
        struct rng one = { seed };
        const char *bad = run_crashes(&one, 6);
        if (bad != NULL)
            fail_msg("history %d (seed %llu): %s", i, (unsigned long long) seed, bad);
    }
}

static void damage(bool at_rest, const char *name)
{
    struct rng r = rng_seeded(name);
    for (int i = 0; i < 1500; i++) {
        uint64_t seed = rng_next(&r);
        struct rng one = { seed };
        const char *bad = run_damage(&one, at_rest, -1);
        if (bad != NULL)
            fail_msg("history %d (seed %llu): %s", i, (unsigned long long) seed, bad);
    }
}

static void damage_of_a_log_at_rest_is_never_taken_for_a_torn_batch(void **state)
{
    damage(true, "damage at rest");
}

static void damage_and_a_crash_together_lose_nothing_but_what_is_named(void **state)
{
    damage(false, "damage and crash");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_crash_at_any_moment_loses_nothing_acknowledged_and_invents_nothing),
    cmocka_unit_test(damage_of_a_log_at_rest_is_never_taken_for_a_torn_batch),
    cmocka_unit_test(damage_and_a_crash_together_lose_nothing_but_what_is_named),
};

UNIT_MAIN(tests)
