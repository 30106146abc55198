/* storage_int.h - between the life of transactions and what happens inside them */
#ifndef REEVE_BACKEND_STORAGE_INT_H
#define REEVE_BACKEND_STORAGE_INT_H

#include <errno.h>
#include <lmdb.h>

#include "backend/storage/storage.h"
#include "backend/utils/clock.h"

struct storage {
    MDB_env *env;
    MDB_dbi dbi;
    enum storage_mode mode;
    int32_t pid;                        /* who opened it (L1) */
    int fd;                             /* of the data file, LMDB's own; for the room on its disk */
    unsigned open_reads;                /* of the reading thread, as is spare (L6) */
    struct storage_txn *spare;          /* a reset read transaction, for the next snapshot */
    bool open_write;                    /* of the writing thread */
};

struct storage_txn {
    struct storage *st;
    MDB_txn *txn;
    MDB_cursor *cursor;                 /* for seeks; made when first needed */
    struct kv kv;
    bool write, failed;
    bool placed;                        /* the cursor stands on last_key */
};

extern const struct kv_ops storage_kv_ops;
enum reeve_err storage_code(int rc);

#endif
