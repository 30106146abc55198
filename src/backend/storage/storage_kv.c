/*
 * storage_kv.c - the four operations over one transaction
 *
 * kv_iter asks "the next key after this one" each time. One cursor is kept
 * per transaction; when it still stands on the key asked about, the answer is
 * one step away instead of a search from the root.
 */
#include "backend/storage/storage_int.h"

enum reeve_err storage_code(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return REEVE_OK;
    case MDB_NOTFOUND:
        return REEVE_E_NOT_FOUND;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
        return REEVE_E_DISK_FULL;
    case MDB_READERS_FULL:
        return REEVE_E_BUSY;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return REEVE_E_CORRUPT;
    case MDB_TXN_FULL:
        return REEVE_E_TOO_BIG;
    case ENOMEM:
        return REEVE_E_NOMEM;
    case ENOENT:
        return REEVE_E_NOT_FOUND;
    case EIO:
        return REEVE_E_IO;
    default:
        return rc > 0 ? REEVE_E_IO : REEVE_E_BUG;
    }
}

static MDB_val val_of(struct slice s)
{
    return (MDB_val){ s.len, (void *) (uintptr_t) s.p };
}

static enum reeve_err op_get(void *h, struct slice key, struct slice *val)
{
    struct storage_txn *t = h;
    MDB_val k = val_of(key), v;
    int rc = mdb_get(t->txn, t->st->dbi, &k, &v);
    if (rc == MDB_SUCCESS)
        *val = slice_of(v.mv_data, v.mv_size);
    return storage_code(rc);
}

/* After a failed write only abort is left (K4): LMDB marks most of them itself, this covers the rest. */
static enum reeve_err written(struct storage_txn *t, int rc)
{
    t->placed = false;
    t->failed = t->failed || rc != MDB_SUCCESS;
    return storage_code(rc);
}

static enum reeve_err op_put(void *h, struct slice key, struct slice val)
{
    struct storage_txn *t = h;
    MDB_val k = val_of(key), v = val_of(val);
    if (!t->write || t->failed)
        return REEVE_E_BUG;
    return written(t, mdb_put(t->txn, t->st->dbi, &k, &v, 0));
}

static enum reeve_err op_del(void *h, struct slice key)
{
    struct storage_txn *t = h;
    MDB_val k = val_of(key);
    if (!t->write || t->failed)
        return REEVE_E_BUG;
    int rc = mdb_del(t->txn, t->st->dbi, &k, NULL);
    return written(t, rc == MDB_NOTFOUND ? MDB_SUCCESS : rc);
}

enum reeve_err storage_clear(struct storage_txn *t)
{
    if (!t->write || t->failed)
        return REEVE_E_BUG;
    if (t->cursor != NULL)
        mdb_cursor_close(t->cursor);
    t->cursor = NULL;
    t->placed = false;
    return written(t, mdb_drop(t->txn, t->st->dbi, 0));
}

static bool is_key(const MDB_val *k, struct slice key)
{
    return slice_eq(slice_of(k->mv_data, k->mv_size), key);
}

/* Does the cursor stand on exactly this key already? */
static bool stands_on(struct storage_txn *t, struct slice key)
{
    MDB_val k, v;
    return t->placed && mdb_cursor_get(t->cursor, &k, &v, MDB_GET_CURRENT) == MDB_SUCCESS && is_key(&k, key);
}

static int forward(struct storage_txn *t, struct slice key, bool inclusive, MDB_val *k, MDB_val *v)
{
    if (!inclusive && stands_on(t, key))
        return mdb_cursor_get(t->cursor, k, v, MDB_NEXT);
    *k = val_of(key);
    int rc = mdb_cursor_get(t->cursor, k, v, MDB_SET_RANGE);
    if (rc == MDB_SUCCESS && !inclusive && is_key(k, key))
        rc = mdb_cursor_get(t->cursor, k, v, MDB_NEXT);
    return rc;
}

static int backward(struct storage_txn *t, struct slice key, bool inclusive, MDB_val *k, MDB_val *v)
{
    if (!inclusive && stands_on(t, key))
        return mdb_cursor_get(t->cursor, k, v, MDB_PREV);
    *k = val_of(key);
    int rc = mdb_cursor_get(t->cursor, k, v, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        return mdb_cursor_get(t->cursor, k, v, MDB_LAST);
    if (rc == MDB_SUCCESS && !(inclusive && is_key(k, key)))
        rc = mdb_cursor_get(t->cursor, k, v, MDB_PREV);
    return rc;
}

static enum reeve_err op_seek(void *h, struct slice key, int dir, bool inclusive, struct slice *key_out,
                              struct slice *val)
{
    struct storage_txn *t = h;
    MDB_val k, v;
    if (t->cursor == NULL) {
        int rc = mdb_cursor_open(t->txn, t->st->dbi, &t->cursor);
        if (rc != MDB_SUCCESS)
            return storage_code(rc);
    }
    int rc = dir > 0 ? forward(t, key, inclusive, &k, &v) : backward(t, key, inclusive, &k, &v);
    t->placed = rc == MDB_SUCCESS;
    if (rc == MDB_SUCCESS) {
        *key_out = slice_of(k.mv_data, k.mv_size);
        *val = slice_of(v.mv_data, v.mv_size);
    }
    return storage_code(rc);
}

const struct kv_ops storage_kv_ops = { op_get, op_put, op_del, op_seek };
