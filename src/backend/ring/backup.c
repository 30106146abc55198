/* backup.c - a region's store into a file and out of it; see the header. */
#include "backend/ring/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/ring/core.h"
#include "backend/ring/ring.h"
#include "backend/ring/statefile.h"
#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/utils/version.h"
#include "common/crc32c.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "engine/attest.h"
#include "engine/region.h"

#define MAGIC "reeve-backup-1\0"        /* 16 bytes with the terminator */
#define MAGIC_LEN 16u
#define HEAD_MAX 1024u
#define SUM_LEN 32u
#define CHUNK (1u << 20)
#define READERS 8
#define MAP_MIN (64u << 20)
#define REVISIONS_SKIPPED (UINT64_C(1) << 32)   /* more than a ring makes in years */

_Static_assert(sizeof MAGIC == MAGIC_LEN, "the first bytes of a backup");

/* What belongs to the ring that the state was in. */
static bool is_rings(struct slice key) { return key.len > 0 && key.p[0] == LOG_KV_PREFIX; }

/* ---- what a store says of itself ---- */

struct engines { void *region_scratch, *attest_scratch; struct region region; struct attest attest; struct attest_head *head; };

static void engines_free(struct engines *e)
{
    free(e->region_scratch);
    free(e->attest_scratch);
    free(e->head);
}

static enum reeve_err engines_over(struct engines *e, struct kv *kv)
{
    *e = (struct engines){ malloc(region_scratch_size()), malloc(attest_scratch_size()), .head = malloc(sizeof *e->head) };
    e->region = (struct region){ .kv = kv, .c = &crypto_ops_real, .scratch = e->region_scratch, .scratch_len = region_scratch_size() };
    e->attest = (struct attest){ .kv = kv, .c = &crypto_ops_real, .scratch = e->attest_scratch, .scratch_len = attest_scratch_size() };
    return e->region_scratch && e->attest_scratch && e->head ? REEVE_OK : REEVE_E_NOMEM;
}

static enum reeve_err read_chain(struct engines *e, struct backup_head *h)
{
    enum reeve_err err = attest_head(&e->attest, e->head);
    if (err != REEVE_OK)
        return err;
    h->chain_id = e->head->chain_id;
    h->header_hash = e->head->header_hash;
    h->height = e->head->height;
    return REEVE_OK;
}

static enum reeve_err read_state(struct kv *kv, struct backup_head *h)
{
    struct engines e;
    enum reeve_err err;
    TRY(engines_over(&e, kv));
    TRY(region_name(&e.region, &h->region));
    TRY(region_applied_index(&e.region, &h->revision));
    TRY(read_chain(&e, h));
out:
    engines_free(&e);
    return err;
}

/* ---- making ---- */

static bool put_head(int fd, const struct backup_head *h)
{
    uint8_t mem[HEAD_MAX], frame[8];
    struct wr w = wr_fixed(mem, sizeof mem), f = wr_fixed(frame, sizeof frame);
    wr_u8(&w, 1);
    wr_name(&w, &h->region);
    wr_u64(&w, h->ring);
    wr_u32(&w, h->member);
    wr_u64(&w, h->revision);
    wr_bytes(&w, h->chain_id.b, 32);
    wr_u64(&w, h->height);
    wr_bytes(&w, h->header_hash.b, 32);
    wr_u64(&w, (uint64_t) h->taken.ms);
    wr_str16(&w, slice_str(h->version));
    wr_u32(&f, (uint32_t) w.len);
    wr_u32(&f, crc32c(0, w.p, w.len));
    return !w.bad && file_write_all(fd, slice_of(MAGIC, MAGIC_LEN)) && file_write_all(fd, wr_slice(&f)) && file_write_all(fd, wr_slice(&w));
}

/* Of the file's first bytes. */
static enum reeve_err sum_of(int fd, uint64_t len, struct hash32 *out)
{
    struct sha256_stream s;
    uint8_t *mem = malloc(CHUNK);
    uint64_t at = 0;
    sha256_init(&s);
    while (mem && at < len) {
        size_t want = len - at < CHUNK ? (size_t) (len - at) : CHUNK;
        if (file_read_at(fd, mem, want, at) != want)
            break;
        sha256_add(&s, slice_of(mem, want));
        at += want;
    }
    sha256_end(&s, out);
    enum reeve_err err = mem == NULL ? REEVE_E_NOMEM : at == len ? REEVE_OK : REEVE_E_IO;
    free(mem);
    return err;
}

static enum reeve_err write_file(int fd, struct kv *kv, const struct backup_head *h)
{
    struct hash32 sum;
    uint64_t size;
    enum reeve_err err;
    if (!put_head(fd, h))
        return REEVE_E_IO;
    TRY(statefile_write(fd, kv, is_rings, NULL, &size));
    off_t end = lseek(fd, 0, SEEK_CUR);
    if (end < 0)
        return REEVE_E_IO;
    TRY(sum_of(fd, (uint64_t) end, &sum));
    if (!file_write_all(fd, slice_of(sum.b, SUM_LEN)) || fsync(fd) != 0)
        err = REEVE_E_IO;
out:
    return err;
}

static enum reeve_err sync_folder(const char *file)
{
    char folder[DATADIR_PATH_MAX];
    const char *slash = strrchr(file, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int) (slash - file) + 1 : 1, slash ? file : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum reeve_err err = fd >= 0 && fsync(fd) == 0 ? REEVE_OK : REEVE_E_IO;
    if (fd >= 0)
        close(fd);
    return err;
}

static enum reeve_err not_written(enum reeve_err err, int e, const char *file, struct report *rep)
{
    err = err == REEVE_E_IO && e == ENOSPC ? REEVE_E_DISK_FULL : err;
    return report_set(rep, err, "could not write \"%s\": %s", file, err == REEVE_E_IO && e ? strerror(e) : reeve_err_text(err));
}

/* Beside it first, and linked to its name when it is whole: link(2) takes no name that there is (K1). */
static enum reeve_err put_file(const char *file, struct kv *kv, const struct backup_head *h, struct report *rep)
{
    char part[DATADIR_PATH_MAX];
    if (snprintf(part, sizeof part, "%s.part", file) >= (int) sizeof part)
        return report_set(rep, REEVE_E_TOO_BIG, "the file's name is too long");
    if (access(file, F_OK) == 0)
        return report_set(rep, REEVE_E_DUPLICATE_OBJECT, "there is a file \"%s\" already", file);
    int fd = open(part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return not_written(REEVE_E_IO, errno, part, rep);
    errno = 0;
    enum reeve_err err = write_file(fd, kv, h);
    if (err == REEVE_OK && link(part, file) != 0)
        err = REEVE_E_IO;
    if (err == REEVE_OK)
        err = sync_folder(file);
    if (err != REEVE_OK)
        not_written(err, errno, file, rep);
    close(fd);
    unlink(part);
    return err;
}

/* Whose state was found to be another than the ring's is nobody's source. */
static bool has_diverged(struct kv *kv)
{
    static const uint8_t diverged_key[] = { LOG_KV_PREFIX, 'q' };
    struct slice v;
    return kv_get(kv, slice_of(diverged_key, sizeof diverged_key), &v) == REEVE_OK;
}

static enum reeve_err fill_head(struct kv *kv, struct backup_head *h, struct report *rep)
{
    if (has_diverged(kv)) {
        report_set(rep, REEVE_E_WRONG_STATE, "the state of this member is not the ring's");
        report_hint(rep, "Back up another member; drop this one, and join it anew.");
        return REEVE_E_WRONG_STATE;
    }
    struct ring_members *m = malloc(sizeof *m);
    *h = (struct backup_head){ .taken = clock_wall() };
    snprintf(h->version, sizeof h->version, "%s", reeve_version);
    enum reeve_err err = read_state(kv, h);
    if (err == REEVE_E_NOT_FOUND) {
        report_set(rep, REEVE_E_WRONG_STATE, "there is no region's state in the store yet");
        report_hint(rep, "A member that joined gets it when it is started.");
        err = REEVE_E_WRONG_STATE;
    }
    if (err == REEVE_OK && m && ring_members_read(kv, m) == REEVE_OK) {
        h->ring = m->ring;
        h->member = m->self;
    }
    free(m);
    return err == REEVE_OK ? err : report_set(rep, err, "the store cannot be read (%s)", reeve_err_text(err));
}

enum reeve_err backup_make(const char *dir, const char *file, struct backup_head *head, struct report *rep)
{
    struct storage *st = NULL;
    struct storage_txn *t = NULL;
    enum reeve_err err;
    TRY(storage_open(&st, dir, STORAGE_READ, 0, 0, rep));
    TRY(storage_begin(st, STORAGE_READ, &t));
    TRY(fill_head(storage_kv(t), head, rep));
    err = put_file(file, storage_kv(t), head, rep);
out:
    if (t)
        storage_abort(t);
    storage_close(st);
    return err == REEVE_OK ? err : report_set(rep, err, "the store cannot be read (%s)", reeve_err_text(err));
}

/* ---- checking ---- */

static enum reeve_err damaged(const char *what, uint64_t at, struct report *rep)
{
    report_set(rep, REEVE_E_MALFORMED, "the backup is damaged: %s at byte %llu", what, (unsigned long long) at);
    report_hint(rep, "Nothing was restored. Take another copy of the file, or another backup.");
    return REEVE_E_MALFORMED;
}

static bool get_head(struct slice in, struct backup_head *h)
{
    struct rd r = rd_of(in);
    *h = (struct backup_head){ .height = 0 };
    rd_u8(&r);
    rd_name(&r, &h->region);
    h->ring = rd_u64(&r);
    h->member = rd_u32(&r);
    h->revision = rd_u64(&r);
    struct slice chain = rd_bytes(&r, 32);
    h->height = rd_u64(&r);
    struct slice header = rd_bytes(&r, 32);
    h->taken.ms = (int64_t) rd_u64(&r);
    struct slice version = rd_str16(&r, BACKUP_VERSION_MAX);
    if (!rd_done(&r) || h->region.len == 0)
        return false;
    memcpy(h->chain_id.b, chain.p, 32);
    memcpy(h->header_hash.b, header.p, 32);
    snprintf(h->version, sizeof h->version, "%.*s", (int) version.len, (const char *) version.p);
    return true;
}

static enum reeve_err check_head(struct backup *b, struct report *rep)
{
    uint8_t mem[MAGIC_LEN + 8 + HEAD_MAX];
    size_t got = file_read_at(b->fd, mem, sizeof mem, 0);
    if (got < MAGIC_LEN + 8 || memcmp(mem, "reeve-backup-", 13) != 0)
        return report_set(rep, REEVE_E_MALFORMED, "that file is no backup of a region");
    if (memcmp(mem, MAGIC, MAGIC_LEN) != 0)
        return report_set(rep, REEVE_E_UNSUPPORTED, "that backup is of a form that this program does not know, or damaged at its beginning");
    struct rd r = rd_of(slice_of(mem + MAGIC_LEN, 8));
    uint32_t len = rd_u32(&r), sum = rd_u32(&r);
    if (len > HEAD_MAX || MAGIC_LEN + 8 + len > got || crc32c(0, mem + MAGIC_LEN + 8, len) != sum ||
        !get_head(slice_of(mem + MAGIC_LEN + 8, len), &b->head))
        return damaged("its head", MAGIC_LEN, rep);
    b->state_at = MAGIC_LEN + 8 + len;
    return REEVE_OK;
}

/* The blocks first: they say where. */
static enum reeve_err check_whole(struct backup *b, struct report *rep)
{
    struct stat st;
    struct hash32 is, said;
    uint64_t at;
    enum reeve_err err;
    if (fstat(b->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return report_set(rep, REEVE_E_IO, "that is no file");
    TRY(check_head(b, rep));
    if ((uint64_t) st.st_size < b->state_at + SUM_LEN)
        return damaged("it ends", (uint64_t) st.st_size, rep);
    b->state_end = (uint64_t) st.st_size - SUM_LEN;
    err = statefile_read(b->fd, b->state_at, b->state_end, NULL, is_rings, &at);
    if (err == REEVE_E_MALFORMED)
        return damaged("a block that begins", at, rep);
    TRY(err);
    TRY(sum_of(b->fd, b->state_end, &is));
    if (file_read_at(b->fd, said.b, SUM_LEN, b->state_end) != SUM_LEN || !hash32_eq(&is, &said))
        return damaged("its sum", b->state_end, rep);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "the backup cannot be read (%s)", reeve_err_text(err));
}

enum reeve_err backup_open(struct backup *b, const char *file, struct report *rep)
{
    *b = (struct backup){ .fd = open(file, O_RDONLY | O_CLOEXEC) };
    if (b->fd < 0)
        return report_set(rep, errno == ENOENT ? REEVE_E_NOT_FOUND : REEVE_E_IO, "could not open \"%s\": %s", file, strerror(errno));
    enum reeve_err err = check_whole(b, rep);
    if (err != REEVE_OK)
        backup_close(b);
    return err;
}

void backup_close(struct backup *b)
{
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
}

/* ---- restoring ---- */

static enum reeve_err read_validator(const char *dir, struct backup_head *h, bool *there, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    struct storage *st = NULL;
    struct storage_txn *t = NULL;
    struct engines e = { 0 };
    struct stat sb;
    enum reeve_err err;
    if (!datadir_path(path, sizeof path, dir, "validator"))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    *there = stat(path, &sb) == 0;
    if (!*there)
        return REEVE_OK;
    TRY(storage_open(&st, path, STORAGE_READ, 0, 0, rep));
    TRY(storage_begin(st, STORAGE_READ, &t));
    TRY(engines_over(&e, storage_kv(t)));
    TRY(read_chain(&e, h));
out:
    engines_free(&e);
    if (t)
        storage_abort(t);
    storage_close(st);
    return err == REEVE_OK ? err : report_set(rep, err, "the validator's chain in \"%s\" cannot be read (%s)", path, reeve_err_text(err));
}

enum reeve_err backup_check_chain(const struct backup *b, const char *dir, struct report *rep)
{
    struct backup_head v = { .height = 0 };
    bool there = false;
    enum reeve_err err;
    TRY(read_validator(dir, &v, &there, rep));
    if (!there)
        return REEVE_OK;
    if (!hash32_eq(&v.chain_id, &b->head.chain_id) ||
        (v.height == b->head.height && !hash32_eq(&v.header_hash, &b->head.header_hash)))
        err = report_set(rep, REEVE_E_WRONG_STATE, "the backup belongs to another chain than the validator here");
    else if (v.height < b->head.height)
        err = report_set(rep, REEVE_E_WRONG_STATE, "the validator's chain here ends at height %llu, before the backup's %llu",
                         (unsigned long long) v.height, (unsigned long long) b->head.height);
    if (err != REEVE_OK)
        report_hint(rep, "Agents would be shown another past than they know. Use the keys and the validator folder that belong to it.");
out:
    return err;
}

/* What came must be what the head says. */
static enum reeve_err check_restored(struct kv *kv, const struct backup_head *want)
{
    struct backup_head h = { .height = 0 };
    enum reeve_err err = read_state(kv, &h);
    if (err != REEVE_OK)
        return err;
    bool same = name_eq(&h.region, &want->region) && h.revision == want->revision && h.height == want->height &&
                hash32_eq(&h.chain_id, &want->chain_id) && hash32_eq(&h.header_hash, &want->header_hash);
    return same ? REEVE_OK : REEVE_E_MALFORMED;
}

static enum reeve_err skip_revisions(struct kv *kv)
{
    struct region r = { .kv = kv, .c = &crypto_ops_real };
    return region_revision_skip(&r, REVISIONS_SKIPPED);
}

static bool holds_rows(struct kv *kv)
{
    static const uint8_t first[] = { 0 };
    struct slice key, val;
    return kv_seek(kv, slice_of(first, sizeof first), 1, true, &key, &val) != REEVE_E_NOT_FOUND;
}

static enum reeve_err fill_store(const struct backup *b, struct kv *kv, struct report *rep)
{
    uint64_t at;
    enum reeve_err err;
    if (holds_rows(kv))
        return report_set(rep, REEVE_E_LOCKED, "there is a region's state already");
    err = statefile_read(b->fd, b->state_at, b->state_end, kv, is_rings, &at);
    if (err == REEVE_E_MALFORMED)
        return damaged("a block that begins", at, rep);
    TRY(err);
    err = check_restored(kv, &b->head);
    if (err != REEVE_OK && err != REEVE_E_NOMEM)
        return report_set(rep, REEVE_E_MALFORMED, "the backup's rows are not the state that its head names");
    TRY(err);
    err = skip_revisions(kv);
out:
    return err;
}

enum reeve_err backup_restore(const struct backup *b, const char *dir, struct report *rep)
{
    uint64_t map = MAP_MIN + 4 * (b->state_end - b->state_at);
    struct storage *st = NULL;
    struct storage_txn *t;
    enum reeve_err err;
    TRY(storage_open(&st, dir, STORAGE_WRITE, map, READERS, rep));
    TRY(storage_begin(st, STORAGE_WRITE, &t));
    err = fill_store(b, storage_kv(t), rep);
    if (err == REEVE_OK)
        err = storage_commit(t);
    else
        storage_abort(t);
out:
    storage_close(st);
    return err == REEVE_OK ? err : report_set(rep, err, "could not write the region's store (%s)", reeve_err_text(err));
}
