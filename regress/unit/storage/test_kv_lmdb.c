/* test_kv_lmdb.c - the suite of kv_suite.h on the server's store. */
#include "kv_suite.h"

#include "../utils/tmpdir.h"
#include "backend/storage/storage.h"

static struct storage *st;
static struct storage_txn *txn;

static int suite_setup(void **state)
{
    struct report rep = { 0 };
    return tmpdir_make(state) != 0 || storage_open(&st, tmpdir, STORAGE_WRITE, 16 << 20, 8, &rep) != REEVE_OK;
}

static int suite_teardown(void **state)
{
    storage_close(st);
    return tmpdir_remove(state);
}

static struct kv *suite_begin(void)
{
    assert_ok(storage_begin(st, STORAGE_WRITE, &txn));
    return storage_kv(txn);
}

static void suite_commit(void) { assert_ok(storage_commit(txn)); }
static void suite_abort(void) { storage_abort(txn); }
