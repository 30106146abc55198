/*
 * store_lmdb.c - the store of one real agent: LMDB, values sealed under a machine key
 *
 * Fully synchronous commits: an agent writes a few items a minute. The
 * environment is one file; a second agent on the same folder is refused by a
 * lock on the machine key, not by LMDB, which would let both write.
 */
#include "frontend/libreeve/store.h"
#include "files_int.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

#define MAP_SIZE ((size_t) 1 << 30)

struct lmdb_store {
    struct agent_store base;
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *txn;                       /* the write transaction that put and del opened */
    struct aead_key *key;
    int lock_fd;
};

static struct lmdb_store *of(struct agent_store *s)
{
    return (struct lmdb_store *) s;
}

static enum reeve_err err_of(int rc)
{
    switch (rc) {
    case 0: return REEVE_OK;
    case MDB_NOTFOUND: return REEVE_E_NOT_FOUND;
    case MDB_MAP_FULL: case ENOSPC: return REEVE_E_DISK_FULL;
    case MDB_CORRUPTED: case MDB_INVALID: case MDB_VERSION_MISMATCH: case MDB_PAGE_NOTFOUND: return REEVE_E_CORRUPT;
    case ENOMEM: return REEVE_E_NOMEM;
    default: return REEVE_E_IO;
    }
}

static enum reeve_err begin(struct lmdb_store *s)
{
    return s->txn ? REEVE_OK : err_of(mdb_txn_begin(s->env, NULL, 0, &s->txn));
}

static enum reeve_err lmdb_put(struct agent_store *base, struct slice key, struct slice value)
{
    struct lmdb_store *s = of(base);
    if (key.len > STORE_KEY_MAX || value.len > STORE_VALUE_MAX)
        return REEVE_E_TOO_BIG;
    enum reeve_err err = begin(s);
    if (err != REEVE_OK)
        return err;
    MDB_val k = { key.len, (void *) key.p }, v = { value.len + AEAD_OVERHEAD, NULL };
    err = err_of(mdb_put(s->txn, s->dbi, &k, &v, MDB_RESERVE));
    if (err == REEVE_OK)
        aead_seal(v.mv_data, value, key, s->key);
    return err;
}

static enum reeve_err lmdb_del(struct agent_store *base, struct slice key)
{
    struct lmdb_store *s = of(base);
    MDB_val k = { key.len, (void *) key.p };
    enum reeve_err err = begin(s);
    if (err == REEVE_OK)
        err = err_of(mdb_del(s->txn, s->dbi, &k, NULL));
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err lmdb_commit(struct agent_store *base)
{
    struct lmdb_store *s = of(base);
    MDB_txn *txn = s->txn;
    s->txn = NULL;
    return txn ? err_of(mdb_txn_commit(txn)) : REEVE_OK;
}

static enum reeve_err open_item(struct lmdb_store *s, MDB_val k, MDB_val v, uint8_t *plain, agent_store_visit *visit, void *arg)
{
    struct slice key = slice_of(k.mv_data, k.mv_size);
    if (v.mv_size < AEAD_OVERHEAD || v.mv_size > STORE_VALUE_MAX + AEAD_OVERHEAD ||
        aead_open(plain, slice_of(v.mv_data, v.mv_size), key, s->key) != REEVE_OK) {
        s->base.unreadable++;
        return REEVE_OK;
    }
    return visit(arg, key, slice_of(plain, v.mv_size - AEAD_OVERHEAD));
}

static enum reeve_err load_all(struct lmdb_store *s, MDB_txn *txn, uint8_t *plain, agent_store_visit *visit, void *arg)
{
    MDB_cursor *c;
    MDB_val k, v;
    enum reeve_err err = err_of(mdb_cursor_open(txn, s->dbi, &c));
    if (err != REEVE_OK)
        return err;
    while (err == REEVE_OK && (err = err_of(mdb_cursor_get(c, &k, &v, MDB_NEXT))) == REEVE_OK)
        err = open_item(s, k, v, plain, visit, arg);
    mdb_cursor_close(c);
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

static enum reeve_err lmdb_load(struct agent_store *base, agent_store_visit *visit, void *arg)
{
    struct lmdb_store *s = of(base);
    MDB_txn *txn;
    uint8_t *plain = malloc(STORE_VALUE_MAX);
    if (plain == NULL)
        return REEVE_E_NOMEM;
    enum reeve_err err = err_of(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn));
    if (err == REEVE_OK) {
        err = load_all(s, txn, plain, visit, arg);
        mdb_txn_abort(txn);
    }
    secret_wipe(plain, STORE_VALUE_MAX);
    free(plain);
    return err;
}

static void lmdb_close(struct agent_store *base)
{
    struct lmdb_store *s = of(base);
    if (s->txn != NULL)
        mdb_txn_abort(s->txn);
    if (s->env != NULL)
        mdb_env_close(s->env);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    secret_free(s->key);
    free(s);
}

/* The key file is the lock as well: whoever holds it owns the folder. */
static enum reeve_err machine_key(struct lmdb_store *s, const char *dir, bool read_only, struct report *rep)
{
    char path[4096];
    size_t len;
    uint8_t raw[33];
    enum reeve_err err;
    snprintf(path, sizeof path, "%s/machine.key", dir);
    random_bytes(raw, 32);
    if (!read_only && access(path, F_OK) != 0) {
        err = file_create(path, slice_of(raw, 32), 0600, rep);
        if (err != REEVE_OK && err != REEVE_E_DUPLICATE_OBJECT)
            return err;
        report_forget(rep);
    }
    TRY(file_read(path, raw, sizeof raw, &len, rep));
    if (len != 32)
        TRY(report_set(rep, REEVE_E_CORRUPT, "%s is no machine key", path));
    memcpy(s->key->b, raw, 32);
    s->lock_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->lock_fd < 0)
        TRY(errno_report(rep, "could not open", path));
    if (!read_only && flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        TRY(report_set(rep, REEVE_E_LOCKED, "another agent uses \"%s\"", dir));
out:
    secret_wipe(raw, sizeof raw);
    return err;
}

static enum reeve_err env_open(struct lmdb_store *s, const char *dir, bool read_only, struct report *rep)
{
    char path[4096];
    MDB_txn *txn;
    snprintf(path, sizeof path, "%s/cache.mdb", dir);
    enum reeve_err err = err_of(mdb_env_create(&s->env));
    if (err != REEVE_OK)
        return err;
    mdb_env_set_mapsize(s->env, MAP_SIZE);
    unsigned flags = MDB_NOSUBDIR | (read_only ? MDB_RDONLY : 0u);
    TRY(err_of(mdb_env_open(s->env, path, flags, 0600)));
    TRY(err_of(mdb_txn_begin(s->env, NULL, read_only ? MDB_RDONLY : 0, &txn)));
    err = err_of(mdb_dbi_open(txn, NULL, 0, &s->dbi));
    if (err == REEVE_OK)
        err = err_of(mdb_txn_commit(txn));
    else
        mdb_txn_abort(txn);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "could not open \"%s\": %s", path, reeve_err_text(err));
}

enum reeve_err store_lmdb_open(struct agent_store **out, const char *dir, bool read_only, struct report *rep)
{
    static const struct agent_store_ops ops = { lmdb_load, lmdb_put, lmdb_del, lmdb_commit, lmdb_close };
    struct lmdb_store *s = calloc(1, sizeof *s);
    enum reeve_err err;
    *out = NULL;
    if (s == NULL)
        return REEVE_E_NOMEM;
    s->base.ops = &ops;
    s->lock_fd = -1;
    if ((s->key = secret_alloc(sizeof *s->key)) == NULL) {
        free(s);
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    }
    TRY(machine_key(s, dir, read_only, rep));
    TRY(env_open(s, dir, read_only, rep));
    *out = &s->base;
out:
    if (err != REEVE_OK)
        lmdb_close(&s->base);
    return err;
}
