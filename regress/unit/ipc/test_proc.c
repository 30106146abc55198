/* test_proc.c - who may talk to whom, as the lists say it. */
#include "../unit.h"

#include "backend/ipc/proc.h"

static void nobody_but_its_clients_reaches_the_signer(void **state)
{
    assert_false(proc_may_connect(PROC_BACKEND, PROC_SIGNER));
    assert_true(proc_may_connect(PROC_RING, PROC_SIGNER));
    assert_true(proc_may_connect(PROC_VALIDATOR, PROC_SIGNER));
    assert_true(proc_may_connect(PROC_GATEWAY, PROC_SIGNER));
    assert_false(proc_may_connect(PROC_BACKEND, PROC_VALIDATOR));
    assert_false(proc_may_connect(PROC_GATEWAY, PROC_VALIDATOR));
    assert_true(proc_may_connect(PROC_BACKEND, PROC_RING));
}

static void the_postmaster_gives_no_channel_to_itself(void **state)
{
    for (unsigned k = 0; k < PROC__COUNT; k++) {
        assert_false(proc_may_connect((enum proc_kind) k, PROC_POSTMASTER));
        assert_false(proc_may_connect(PROC_POSTMASTER, (enum proc_kind) k));
    }
}

static void a_message_goes_only_from_its_senders_to_its_receivers(void **state)
{
    assert_true(msg_allowed(MSG_SIGN_VOTE, PROC_VALIDATOR, PROC_SIGNER));
    assert_false(msg_allowed(MSG_SIGN_VOTE, PROC_RING, PROC_SIGNER));
    assert_false(msg_allowed(MSG_SIGN_VOTE, PROC_VALIDATOR, PROC_RING));
    assert_false(msg_allowed(MSG_PEER, PROC_RING, PROC_GATEWAY));
    assert_true(msg_allowed(MSG_PEER, PROC_POSTMASTER, PROC_GATEWAY));
    assert_false(msg_allowed(MSG_NONE, PROC_POSTMASTER, PROC_GATEWAY));
    assert_false(msg_allowed(MSG__COUNT, PROC_POSTMASTER, PROC_GATEWAY));
    assert_false(msg_allowed(65535, PROC_POSTMASTER, PROC_GATEWAY));
}

static void titles_and_kinds_name_each_other(void **state)
{
    for (unsigned k = 0; k < PROC__COUNT; k++) {
        enum proc_kind found;
        assert_true(proc_find(&found, proc_title((enum proc_kind) k)));
        assert_int_equal(found, k);
    }
    enum proc_kind none;
    assert_false(proc_find(&none, "walltest"));
}

static void one_kind_writes_the_store_and_the_signer_does_not_know_it(void **state)
{
    int writers = 0;
    for (unsigned k = 0; k < PROC__COUNT; k++)
        writers += proc_info((enum proc_kind) k)->kv == PROC_KV_WRITE;
    assert_int_equal(writers, 1);
    assert_int_equal(proc_info(PROC_SIGNER)->kv, PROC_KV_NONE);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nobody_but_its_clients_reaches_the_signer),
    cmocka_unit_test(the_postmaster_gives_no_channel_to_itself),
    cmocka_unit_test(a_message_goes_only_from_its_senders_to_its_receivers),
    cmocka_unit_test(titles_and_kinds_name_each_other),
    cmocka_unit_test(one_kind_writes_the_store_and_the_signer_does_not_know_it),
};
UNIT_MAIN(tests)
