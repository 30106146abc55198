/* test_kv_sim.c - the suite of kv_suite.h on the simulator's store. */
#include "kv_suite.h"

#include "sim/sim_kv.h"

static struct sim_kv *s;

static int suite_setup(void **state)
{
    s = sim_kv_new();
    return s == NULL;
}

static int suite_teardown(void **state)
{
    sim_kv_free(s);
    return 0;
}

static struct kv *suite_begin(void)
{
    sim_kv_begin(s);
    return sim_kv_handle(s);
}

static void suite_commit(void) { sim_kv_commit(s); }
static void suite_abort(void) { sim_kv_abort(s); }
