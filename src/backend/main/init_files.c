/* init_files.c - the folders and files of a new data directory that need no key. */
#include "backend/main/init_int.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/libpq/hba.h"
#include "backend/utils/datadir.h"
#include "crypto/hash.h"
#include "crypto/tls.h"

#define PEM_MAX 16384

/* ---- the directory itself ---- */

static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    bool empty = d != NULL;
    while (empty && (e = readdir(d)) != NULL)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (d != NULL)
        closedir(d);
    return empty;
}

enum reeve_err init_make_directory(const char *dir, struct report *rep)
{
    struct stat st;
    if (mkdir(dir, 0700) == 0)
        return REEVE_OK;
    if (errno != EEXIST)
        return report_set(rep, REEVE_E_IO, "could not create directory \"%s\": %s", dir, strerror(errno));
    if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
        return report_set(rep, REEVE_E_WRONG_STATE, "\"%s\" is not a directory", dir);
    if (!is_empty(dir)) {
        report_set(rep, REEVE_E_WRONG_STATE, "directory \"%s\" is not empty", dir);
        return report_hint(rep, "Choose another one, or empty it first.");
    }
    if (chmod(dir, 0700) < 0)
        return report_set(rep, REEVE_E_IO, "could not protect directory \"%s\": %s", dir, strerror(errno));
    return REEVE_OK;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return at->level == 0 ? 0 : remove(path);
}

void init_undo(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

enum reeve_err init_take_directory(const char *dir, struct report *rep)
{
    char keys[DATADIR_PATH_MAX], trust[DATADIR_PATH_MAX], version[DATADIR_PATH_MAX];
    if (!datadir_path(keys, sizeof keys, dir, "keys/region.key") || !datadir_path(trust, sizeof trust, dir, "keys/trust") ||
        !datadir_path(version, sizeof version, dir, "reeve.version"))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    if (access(keys, F_OK) == 0 && access(trust, F_OK) != 0 && access(version, F_OK) != 0)
        return REEVE_OK;
    report_set(rep, REEVE_E_WRONG_STATE, "directory \"%s\" does not hold the keys of a card and nothing else", dir);
    return report_hint(rep, "Make them first: reeve-ctl init -D DIR --region NAME --address HOST:PORT --card FILE. Only an empty region can join others.");
}

static int remove_any(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void) st;
    (void) type;
    (void) at;
    return remove(path);
}

void init_undo_founding(const char *dir)
{
    static const char *const made[] = { "data", "wal", "run", "log", "tls", "tmp", "peer", "validator", "reeve.conf", "reeve_hba.conf",
                                        "keys/trust", "keys/lastsign" };
    char path[DATADIR_PATH_MAX];
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        if (datadir_path(path, sizeof path, dir, made[i]))
            nftw(path, remove_any, 16, FTW_DEPTH | FTW_PHYS);
}

enum reeve_err init_make_folders(const char *dir, struct report *rep)
{
    static const char *const names[] = { "data", "wal", "run", "log", "tls", "tmp" };
    char path[DATADIR_PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!datadir_path(path, sizeof path, dir, names[i]) || mkdir(path, 0700) < 0)
            return report_set(rep, REEVE_E_IO, "could not create directory \"%s\": %s", path, strerror(errno));
    return REEVE_OK;
}

/* ---- files ---- */

static enum reeve_err put(const char *dir, const char *name, struct slice data, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    if (!datadir_path(path, sizeof path, dir, name))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    return file_replace(path, data, 0600, rep);
}

static const char conf_text[] =
    "# reeve.conf - settings of this server. The last line of a name wins;\n"
    "# reeve.auto.conf, written by ALTER SYSTEM, wins over this file.\n"
    "# Take changes over with: reeve-ctl reload -D DIR. Those marked (restart) need a restart.\n"
    "\n"
    "#listen_addresses = 'localhost'     # (restart) '*' is all; empty: only the local socket\n"
    "#port = 7432                        # (restart) statements, PostgreSQL protocol\n"
    "#agent_port = 7433                  # (restart) agents\n"
    "#peer_port = 7434                   # (restart) members of the ring\n"
    "#federation_port = 7435             # (restart) other regions\n"
    "#mirror_port = 0                    # (restart) the attested log over HTTP; 0: not served\n"
    "#max_connections = 100              # (restart)\n"
    "#gateways = 0                       # (restart) processes that serve agents; 0: one per core\n"
    "#log_level = info                   # debug, info, notice, warning, error, fatal\n"
    "#log_format = text                  # or json\n"
    "\n";

static enum reeve_err put_conf(const char *dir, const char *region, struct report *rep)
{
    struct wr w = wr_heap(1 << 16);
    wr_text(&w, conf_text);
    wr_text(&w, "region = '");
    for (const char *p = region; *p; p++) {
        if (*p == '\'')
            wr_u8(&w, '\'');
        wr_u8(&w, (uint8_t) *p);
    }
    wr_text(&w, "'\n");
    enum reeve_err err = w.bad ? REEVE_E_NOMEM : put(dir, "reeve.conf", wr_slice(&w), rep);
    wr_free(&w);
    return err;
}

/* The SQL listener's and the agents' listener's: one each, so that either can be replaced alone. */
static enum reeve_err put_certificate(const char *dir, const char *cert_name, const char *key_name, struct report *rep)
{
    struct wr cert = wr_heap(PEM_MAX), key = wr_heap(PEM_MAX);
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    enum reeve_err err = tls_self_signed(host[0] && strlen(host) <= 64 ? host : "localhost", &cert, &key);
    if (err != REEVE_OK)
        TRY(report_set(rep, err, "could not make a listener certificate: %s", reeve_err_text(err)));
    TRY(put(dir, cert_name, wr_slice(&cert), rep));
    TRY(put(dir, key_name, wr_slice(&key), rep));
out:
    if (key.p != NULL)
        secret_wipe(key.p, key.len);
    wr_free(&cert);
    wr_free(&key);
    return err;
}

enum reeve_err init_make_files(const char *dir, const char *region, struct report *rep)
{
    uint8_t secret[32];
    enum reeve_err err;
    random_bytes(secret, sizeof secret);
    TRY(put_conf(dir, region, rep));
    TRY(put(dir, "reeve_hba.conf", slice_str(hba_default_text), rep));
    TRY(put_certificate(dir, "tls/server.crt", "tls/server.key", rep));
    TRY(put_certificate(dir, "tls/agent.crt", "tls/agent.key", rep));
    TRY(put(dir, "tls/mock.secret", slice_of(secret, sizeof secret), rep));
out:
    secret_wipe(secret, sizeof secret);
    return err;
}
