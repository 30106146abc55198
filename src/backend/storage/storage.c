/* storage.c - the environment and its transactions; see the header for the rules. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "backend/storage/storage_int.h"
#include "backend/utils/datadir.h"

#define OPEN_TRIES    50                /* opening may collide with another process's opening or closing */
#define OPEN_PAUSE_US 2000
#define READERS       10300u            /* every session the settings allow, and then some; unused places cost nothing */

static struct storage *of(struct storage *s)
{
    reeve_assert(s->pid == (int32_t) getpid());
    return s;
}

#define READER_BYTES  64u               /* a reader's place in lock.mdb, and its head */

/* ---- environment ---- */

static int env_open_once(MDB_env **env, const char *path, enum storage_mode mode, uint64_t map_size, unsigned readers_max)
{
    int rc = mdb_env_create(env);
    if (rc != MDB_SUCCESS)
        return rc;
    rc = mdb_env_set_maxreaders(*env, readers_max ? readers_max : READERS);
    if (rc == MDB_SUCCESS && map_size > 0)
        rc = mdb_env_set_mapsize(*env, map_size);
    if (rc == MDB_SUCCESS)
        rc = mdb_env_open(*env, path, MDB_NOTLS | (mode == STORAGE_READ ? MDB_RDONLY : 0), 0600);
    if (rc != MDB_SUCCESS)
        mdb_env_close(*env);
    return rc;
}

static int env_open(MDB_env **env, const char *path, enum storage_mode mode, uint64_t map_size, unsigned readers_max)
{
    int rc = 0;
    for (int i = 0; i < OPEN_TRIES; i++) {
        rc = env_open_once(env, path, mode, map_size, readers_max);
        if (rc == MDB_SUCCESS || (rc != EAGAIN && rc != EACCES && rc != EINVAL && rc != MDB_INVALID))
            return rc;
        usleep(OPEN_PAUSE_US);
    }
    return rc;
}

/* The one unnamed table; its handle is only valid everywhere after this transaction's commit. */
static int table_open(struct storage *s)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, s->mode == STORAGE_READ ? MDB_RDONLY : 0, &txn);
    if (rc != MDB_SUCCESS)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
    if (rc != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

/*
 * The reader table is mapped: the first reader in a hole of it would die by
 * SIGBUS on a full disk. Only before LMDB opens it: closing any descriptor of
 * that file drops this process's locks on it, and without the writer's lock
 * the next to open it takes itself for the first and clears the table.
 */
static void back_reader_table(const char *path, unsigned readers_max)
{
    char name[DATADIR_PATH_MAX];
    struct stat st;
    int fd = datadir_path(name, sizeof name, path, "lock.mdb") ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    off_t size = (off_t) ((readers_max ? readers_max : READERS) + 2u) * READER_BYTES;
    if (fstat(fd, &st) == 0)
        (void) !fallocate(fd, 0, 0, st.st_size > size ? st.st_size : size);
    close(fd);
}

static enum reeve_err open_failed(int rc, const char *path, struct report *rep)
{
    return report_set(rep, storage_code(rc), "could not open the store in \"%s\": %s", path, mdb_strerror(rc));
}

enum reeve_err storage_open(struct storage **out, const char *dir, enum storage_mode mode, uint64_t map_size,
                            unsigned readers_max, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    if (!datadir_path(path, sizeof path, dir, "data"))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    if (mode == STORAGE_WRITE && mkdir(path, 0700) < 0 && errno != EEXIST)
        return open_failed(errno, path, rep);
    if (mode == STORAGE_WRITE)
        back_reader_table(path, readers_max);
    struct storage *s = calloc(1, sizeof *s);
    if (s == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    s->mode = mode;
    s->pid = (int32_t) getpid();
    int rc = env_open(&s->env, path, mode, mode == STORAGE_WRITE ? map_size : 0, readers_max);
    if (rc != MDB_SUCCESS) {
        free(s);
        return open_failed(rc, path, rep);
    }
    rc = table_open(s);
    if (rc == MDB_READERS_FULL && storage_reader_check(s) > 0)
        rc = table_open(s);
    if (rc != MDB_SUCCESS) {
        storage_close(s);
        return open_failed(rc, path, rep);
    }
    if (mdb_env_get_fd(s->env, &s->fd) != MDB_SUCCESS)
        s->fd = -1;
    *out = s;
    return REEVE_OK;
}

static void txn_free(struct storage_txn *t)
{
    if (t->cursor != NULL)
        mdb_cursor_close(t->cursor);
    free(t);
}

void storage_close(struct storage *s)
{
    if (s == NULL)
        return;
    reeve_assert(of(s)->open_reads == 0 && !s->open_write);
    if (s->spare != NULL) {
        struct storage_txn *t = s->spare;
        if (t->cursor != NULL)
            mdb_cursor_close(t->cursor);
        t->cursor = NULL;
        mdb_txn_abort(t->txn);
        txn_free(t);
    }
    mdb_env_close(s->env);
    free(s);
}

/* ---- transactions ---- */

static struct storage_txn *txn_new(struct storage *s, bool write)
{
    struct storage_txn *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->st = s;
    t->write = write;
    t->kv = (struct kv){ &storage_kv_ops, t };
    return t;
}

/* Renewing a reset snapshot costs a tenth of beginning one. */
static int renew_spare(struct storage *s, struct storage_txn **out)
{
    struct storage_txn *t = s->spare;
    s->spare = NULL;
    int rc = mdb_txn_renew(t->txn);
    if (rc == MDB_SUCCESS && t->cursor != NULL)
        rc = mdb_cursor_renew(t->txn, t->cursor);
    if (rc != MDB_SUCCESS) {
        if (t->cursor != NULL)
            mdb_cursor_close(t->cursor);
        t->cursor = NULL;
        mdb_txn_abort(t->txn);
        txn_free(t);
        return rc;
    }
    *out = t;
    return MDB_SUCCESS;
}

static int begin_new(struct storage *s, bool write, struct storage_txn **out)
{
    struct storage_txn *t = txn_new(s, write);
    if (t == NULL)
        return ENOMEM;
    int rc = mdb_txn_begin(s->env, NULL, write ? 0 : MDB_RDONLY, &t->txn);
    if (rc != MDB_SUCCESS) {
        txn_free(t);
        return rc;
    }
    *out = t;
    return MDB_SUCCESS;
}

/* The writer may have opened with a larger map than this reader knew. */
static int adopt_map(struct storage *s)
{
    return s->mode == STORAGE_READ && s->open_reads == 0 ? mdb_env_set_mapsize(s->env, 0) : MDB_MAP_RESIZED;
}

/* A file system that does not tell is taken to have room. */
static bool disk_has(const struct storage *s, uint64_t bytes)
{
    struct statvfs st;
    return s->fd < 0 || fstatvfs(s->fd, &st) != 0 || st.f_blocks == 0 ||
           (uint64_t) st.f_bavail * st.f_frsize >= bytes;
}

enum reeve_err storage_begin(struct storage *s, enum storage_mode mode, struct storage_txn **out)
{
    bool write = mode != STORAGE_READ;
    reeve_assert(!write || of(s)->mode == STORAGE_WRITE);
    of(s);
    if (mode == STORAGE_WRITE && !disk_has(s, STORAGE_RESERVE))
        return REEVE_E_DISK_FULL;
    int rc = !write && s->spare != NULL ? renew_spare(s, out) : begin_new(s, write, out);
    if (rc == MDB_MAP_RESIZED && (rc = adopt_map(s)) == MDB_SUCCESS)
        rc = begin_new(s, write, out);
    if (rc == MDB_READERS_FULL && storage_reader_check(s) > 0)
        rc = begin_new(s, write, out);
    if (rc != MDB_SUCCESS)
        return storage_code(rc);
    (*out)->placed = false;
    if (write)
        s->open_write = true;
    else
        s->open_reads++;
    return REEVE_OK;
}

struct kv *storage_kv(struct storage_txn *t) { return &t->kv; }

static void end_read(struct storage_txn *t)
{
    struct storage *s = t->st;
    s->open_reads--;
    mdb_txn_reset(t->txn);
    if (s->spare == NULL) {
        s->spare = t;
        return;
    }
    if (t->cursor != NULL)
        mdb_cursor_close(t->cursor);
    t->cursor = NULL;
    mdb_txn_abort(t->txn);
    txn_free(t);
}

/* LMDB frees a write transaction's cursors with it only if they were closed before. */
static void end_write(struct storage_txn *t)
{
    t->st->open_write = false;
    if (t->cursor != NULL)
        mdb_cursor_close(t->cursor);
    t->cursor = NULL;
}

enum reeve_err storage_commit(struct storage_txn *t)
{
    of(t->st);
    if (!t->write) {
        end_read(t);
        return REEVE_OK;
    }
    end_write(t);
    int rc = MDB_BAD_TXN;
    if (t->failed)
        mdb_txn_abort(t->txn);
    else
        rc = mdb_txn_commit(t->txn);
    txn_free(t);
    return storage_code(rc);
}

void storage_abort(struct storage_txn *t)
{
    if (t == NULL)
        return;
    of(t->st);
    if (!t->write) {
        end_read(t);
        return;
    }
    end_write(t);
    mdb_txn_abort(t->txn);
    txn_free(t);
}

/* ---- room ---- */

/* Pages that were freed: table 0 has them by the transaction that freed them, a count before each list. */
static uint64_t freed_pages(struct storage *s)
{
    struct storage_txn *t;
    MDB_cursor *at;
    MDB_val k, v;
    size_t count;
    uint64_t n = 0;
    if (storage_begin(s, STORAGE_READ, &t) != REEVE_OK)
        return 0;
    if (mdb_cursor_open(t->txn, 0, &at) == MDB_SUCCESS) {
        while (mdb_cursor_get(at, &k, &v, MDB_NEXT) == MDB_SUCCESS) {
            memcpy(&count, v.mv_data, sizeof count);
            n += count;
        }
        mdb_cursor_close(at);
    }
    storage_abort(t);
    return n;
}

static bool map_has(struct storage *s, uint64_t bytes)
{
    MDB_envinfo info;
    MDB_stat st;
    if (mdb_env_info(s->env, &info) != MDB_SUCCESS || mdb_env_stat(s->env, &st) != MDB_SUCCESS)
        return true;
    uint64_t used = (uint64_t) (info.me_last_pgno + 1) * st.ms_psize;
    if (info.me_mapsize >= used + bytes)
        return true;
    return info.me_mapsize + freed_pages(s) * st.ms_psize >= used + bytes;
}

enum reeve_err storage_room(struct storage *s, uint64_t bytes)
{
    return disk_has(of(s), bytes) && map_has(s, bytes) ? REEVE_OK : REEVE_E_DISK_FULL;
}

/* ---- care ---- */

unsigned storage_reader_check(struct storage *s)
{
    int dead = 0;
    return mdb_reader_check(of(s)->env, &dead) == MDB_SUCCESS && dead > 0 ? (unsigned) dead : 0;
}

struct behind {
    struct storage_reader *out;
    unsigned n, max;
    uint64_t newest;
    int32_t self;
};

/* A line of the reader table as LMDB prints it: "pid thread txn", or a heading, or "-" for no snapshot. Negative ends it. */
static int behind_line(const char *line, void *arg)
{
    struct behind *b = arg;
    int pid;
    uintmax_t thread, txn;
    if (sscanf(line, "%d %jx %ju", &pid, &thread, &txn) != 3 || pid == b->self || txn >= b->newest)
        return 0;
    if (b->n == b->max)
        return -1;
    b->out[b->n++] = (struct storage_reader){ pid, txn };
    return 0;
}

unsigned storage_readers_behind(struct storage *s, struct storage_reader *out, unsigned max)
{
    MDB_envinfo info;
    struct behind b = { .out = out, .max = max, .self = of(s)->pid };
    if (mdb_env_info(s->env, &info) != MDB_SUCCESS)
        return 0;
    b.newest = info.me_last_txnid;
    (void) mdb_reader_list(s->env, behind_line, &b);
    return b.n;
}

enum reeve_err storage_stat(struct storage *s, struct storage_stat *out)
{
    MDB_envinfo info;
    MDB_stat st;
    int rc = mdb_env_info(of(s)->env, &info);
    if (rc == MDB_SUCCESS)
        rc = mdb_env_stat(s->env, &st);
    if (rc != MDB_SUCCESS)
        return storage_code(rc);
    *out = (struct storage_stat){ info.me_mapsize, (uint64_t) (info.me_last_pgno + 1) * st.ms_psize, info.me_last_txnid,
                                  info.me_numreaders, info.me_maxreaders };
    return REEVE_OK;
}
