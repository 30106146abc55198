/*
 * backup.c - `reeved --backup` and `reeved --restore`
 *
 * A backup reads the store beside the server, which goes on. A restore makes a
 * new directory, or fills one whose keys and validator are left while data and
 * wal are gone; in both the server then begins a ring of its own.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/main/init_int.h"
#include "backend/main/main_int.h"
#include "backend/peer/peer.h"
#include "backend/ring/backup.h"
#include "backend/utils/datadir.h"
#include "backend/utils/log.h"

static int refuse(enum reeve_err err, const struct report *rep)
{
    fprintf(stderr, "reeved: %s\n", rep->message[0] ? rep->message : reeve_err_text(err));
    if (rep->hint[0])
        fprintf(stderr, "HINT: %s\n", rep->hint);
    return 1;
}

static void begin(const char *what)
{
    log_init(what);
    log_configure(LOG_SEV_WARNING, LOG_FORM_TEXT);
    umask(077);
}

static void print_head(const struct backup_head *h)
{
    char at[32] = "?";
    time_t t = (time_t) (h->taken.ms / 1000);
    struct tm tm;
    if (gmtime_r(&t, &tm) != NULL)
        strftime(at, sizeof at, "%Y-%m-%d %H:%M:%S+00", &tm);
    printf("region \"%s\", revision %llu, attested height %llu, taken %s by %s\n", h->region.s, (unsigned long long) h->revision,
           (unsigned long long) h->height, at, h->version);
}

int backup_main(const struct options *o)
{
    char dir[DATADIR_PATH_MAX];
    struct backup_head head;
    struct report rep = { 0 };
    enum reeve_err err;
    begin("backup");
    if (o->to == NULL)
        TRY(report_set(&rep, REEVE_E_INVALID_VALUE, "--to FILE is wanted"));
    TRY(datadir_resolve(dir, o->dir, &rep));
    TRY(datadir_check(dir, &rep));
    TRY(backup_make(dir, o->to, &head, &rep));
    print_head(&head);
out:
    return err == REEVE_OK ? 0 : refuse(err, &rep);
}

/* ---- restore ---- */

/* Any entry but the two dots? A folder that is not there has none. */
static bool has_entries(const char *dir, const char *name)
{
    char path[DATADIR_PATH_MAX];
    struct dirent *e;
    bool found = false;
    DIR *d = datadir_path(path, sizeof path, dir, name) ? opendir(path) : NULL;
    while (d && !found && (e = readdir(d)) != NULL)
        found = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d)
        closedir(d);
    return found;
}

static enum reeve_err restore_new(const char *dir, const struct backup *b, struct report *rep)
{
    enum reeve_err err;
    TRY(init_make_folders(dir, rep));
    TRY(init_make_files(dir, b->head.region.s, rep));
    TRY(peer_identity_make(dir, rep));
    TRY(backup_restore(b, dir, rep));
    TRY(datadir_write_version(dir, rep));
out:
    return err;
}

static enum reeve_err need_folder(const char *dir, const char *name, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    if (!datadir_path(path, sizeof path, dir, name))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    if (has_entries(dir, name)) {
        report_set(rep, REEVE_E_LOCKED, "there is something in \"%s\" already", path);
        report_hint(rep, "Move data and wal out of the way first; keys, validator and the configuration may stay.");
        return REEVE_E_LOCKED;
    }
    (void) mkdir(path, 0700);           /* writing there will tell */
    return REEVE_OK;
}

/* The keys are here yet, and the chain: the region goes on with them. */
static enum reeve_err restore_beside(const char *dir, const struct backup *b, struct report *rep)
{
    int lock = -1;
    enum reeve_err err;
    TRY(datadir_check(dir, rep));
    TRY(datadir_lock(&lock, dir, 1000, rep));
    TRY(need_folder(dir, "data", rep));
    TRY(need_folder(dir, "wal", rep));
    TRY(backup_check_chain(b, dir, rep));
    TRY(backup_restore(b, dir, rep));
out:
    if (lock >= 0)
        close(lock);
    return err;
}

static enum reeve_err restore(const struct options *o, const struct backup *b, struct report *rep)
{
    char dir[DATADIR_PATH_MAX];
    enum reeve_err err;
    bool beside = has_entries(o->dir, "keys") || has_entries(o->dir, "validator");
    if (beside) {
        TRY(datadir_resolve(dir, o->dir, rep));
        return restore_beside(dir, b, rep);
    }
    TRY(init_make_directory(o->dir, rep));
    err = datadir_resolve(dir, o->dir, rep);
    if (err == REEVE_OK)
        err = restore_new(dir, b, rep);
    if (err != REEVE_OK)
        init_undo(o->dir);
out:
    return err;
}

int restore_main(const struct options *o)
{
    struct backup b = { .fd = -1 };
    struct report rep = { 0 };
    enum reeve_err err;
    begin("restore");
    if (o->from == NULL)
        TRY(report_set(&rep, REEVE_E_INVALID_VALUE, "--from FILE is wanted"));
    TRY(backup_open(&b, o->from, &rep));
    TRY(restore(o, &b, &rep));
    print_head(&b.head);
out:
    backup_close(&b);
    return err == REEVE_OK ? 0 : refuse(err, &rep);
}
