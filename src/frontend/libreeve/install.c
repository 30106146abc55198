/* install.c - files of a generation, the link that names it, and the way back. */
#include "frontend/libreeve/install.h"
#include "install_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"
#include "crypto/hash.h"
#include "files_int.h"

#define LINK_MAX_LEN 256

static void fail(struct agent_install_result *res, unsigned code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void fail(struct agent_install_result *res, unsigned code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(res->text, sizeof res->text, fmt, ap);
    va_end(ap);
    res->code = code;
}

/* ---- what the files are like ---- */

struct look { uid_t uid; gid_t gid; mode_t mode; };

/* Owner and mode of the key served so far, unless the operator named others. */
static struct look look_of(const struct install_target *t)
{
    char path[2048];
    struct stat st;
    struct look l = { t->uid, t->gid, t->mode };
    snprintf(path, sizeof path, "%s/current/key.pem", t->dir);
    bool there = stat(path, &st) == 0;
    if (l.uid == (uid_t) -1)
        l.uid = there ? st.st_uid : geteuid();
    if (l.gid == (gid_t) -1)
        l.gid = there ? st.st_gid : getegid();
    if (l.mode == 0)
        l.mode = there ? st.st_mode & 0777 : 0600;
    return l;
}

static enum reeve_err write_file(const char *dir, const char *name, struct slice content, const struct look *l, mode_t mode,
                                 struct report *rep)
{
    char path[2200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    enum reeve_err err = file_replace(path, content, mode, rep);
    if (err == REEVE_OK && (l->uid != geteuid() || l->gid != getegid()) && chown(path, l->uid, l->gid) != 0)
        err = errno_report(rep, "could not give away", path);
    return err;
}

/* PEM of concatenated DER; without the self-signed ones if asked: a server does not send its root. */
static enum reeve_err pem_of(struct slice ders, bool skip_roots, struct wr *out)
{
    enum reeve_err err = REEVE_OK;
    struct slice one;
    struct x509_info info;
    while (err == REEVE_OK && (one = der_first(ders)).len > 0) {
        ders = slice_of(ders.p + one.len, ders.len - one.len);
        if (skip_roots && x509_parse(&info, one) == REEVE_OK && strcmp(info.subject, info.issuer) == 0)
            continue;
        err = x509_to_pem(one, out);
    }
    return err;
}

static enum reeve_err write_generation(const char *dir, const struct agent_cert *c, const struct look *l, struct report *rep)
{
    enum reeve_err err;
    uint8_t key_mem[1024];
    struct wr key = wr_fixed(key_mem, sizeof key_mem), cert = wr_heap(1 << 18), ca = wr_heap(1 << 20);
    TRY(xkey_to_pem(c->key, &key));
    TRY(x509_to_pem(c->leaf, &cert));
    TRY(pem_of(c->chain, true, &cert));
    TRY(pem_of(c->ca, false, &ca));
    TRY(write_file(dir, "key.pem", wr_slice(&key), l, l->mode, rep));
    TRY(write_file(dir, "cert.pem", wr_slice(&cert), l, 0644, rep));
    TRY(write_file(dir, "ca.pem", wr_slice(&ca), l, 0644, rep));
    TRY(dir_sync(dir, rep));
out:
    secret_wipe(key_mem, sizeof key_mem);
    wr_free(&cert);
    wr_free(&ca);
    return err;
}

/* ---- folders ---- */

static void remove_folder(const char *path)
{
    static const char *const names[] = { "key.pem", "cert.pem", "ca.pem" };
    char file[2200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
    }
    rmdir(path);
}

static void folder_name(char out[LINK_MAX_LEN], const struct agent_cert *c)
{
    char hex[9];
    hex_encode(hex, c->info->fingerprint.b, 4);
    snprintf(out, LINK_MAX_LEN, "gen-%u-%s", c->gen, hex);
}

/* Made beside and renamed, so that a folder with its final name is complete. */
static enum reeve_err make_folder(const struct install_target *t, const struct agent_cert *c, const char *name, struct report *rep)
{
    enum reeve_err err;
    char tmp[2048], path[2048];
    struct look l = look_of(t);
    snprintf(tmp, sizeof tmp, "%s/.new", t->dir);
    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    TRY(dir_make(t->dir, 0755, rep));
    remove_folder(tmp);
    TRY(dir_make(tmp, 0755, rep));
    TRY(write_generation(tmp, c, &l, rep));
    if (rename(tmp, path) == 0)
        return dir_sync(t->dir, rep);
    /* It is there from an earlier try; its files are replaced one by one while nobody is pointed at it. */
    if (errno != EEXIST && errno != ENOTEMPTY)
        TRY(errno_report(rep, "could not rename to", path));
    TRY(write_generation(path, c, &l, rep));
out:
    remove_folder(tmp);
    return err;
}

static bool link_read(const char *dir, char out[LINK_MAX_LEN])
{
    char path[2048];
    snprintf(path, sizeof path, "%s/current", dir);
    ssize_t n = readlink(path, out, LINK_MAX_LEN - 1);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The one rename that changes everything at once. */
static enum reeve_err link_swap(const char *dir, const char *to, struct report *rep)
{
    char tmp[2048], path[2048];
    snprintf(tmp, sizeof tmp, "%s/.current", dir);
    snprintf(path, sizeof path, "%s/current", dir);
    unlink(tmp);
    if (symlink(to, tmp) != 0)
        return errno_report(rep, "could not link", tmp);
    if (rename(tmp, path) != 0)
        return errno_report(rep, "could not replace", path);
    return dir_sync(dir, rep);
}

/* Generations but the present one and the one before. */
static void clean_up(const char *dir, const char *keep, const char *backup)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[2048];
    if (d == NULL)
        return;
    while ((e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, "gen-", 4) != 0 || strcmp(e->d_name, keep) == 0 || strcmp(e->d_name, backup) == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        remove_folder(path);
    }
    closedir(d);
}

/* ---- the whole ---- */

static void go_back(const struct install_target *t, const struct agent_cert *c, const char *before,
                    struct agent_install_result *res)
{
    struct agent_install_result again = { 0 }, first = *res;
    struct agent_cert back = *c;        /* the command is told which generation it is to take up */
    struct report rep;
    report_clear(&rep);
    if (before[0] == '\0')
        return;                         /* the first one: there is nothing to go back to */
    back.gen = strncmp(before, "gen-", 4) == 0 ? (uint32_t) strtoul(before + 4, NULL, 10) : 0;
    if (!c->fallback_ok) {
        fail(res, WE_ROLLBACK, "%.60s; the generation before is revoked or expired", first.text);
        return;
    }
    if (link_swap(t->dir, before, &rep) != REEVE_OK)
        fail(res, WE_ROLLBACK, "%.119s", rep.message);
    else if (!service_reload(t, &back, &again))
        fail(res, WE_ROLLBACK, "%.50s; then: %.50s", first.text, again.text);
}

void install_run(const struct install_target *t, const struct agent_cert *c, struct agent_install_result *res)
{
    char name[LINK_MAX_LEN], before[LINK_MAX_LEN];
    struct report rep;
    report_clear(&rep);
    memset(res, 0, sizeof *res);
    folder_name(name, c);
    bool had = link_read(t->dir, before), same = had && strcmp(before, name) == 0;
    if ((!same && make_folder(t, c, name, &rep) != REEVE_OK) || link_swap(t->dir, name, &rep) != REEVE_OK) {
        fail(res, WE_WRITE, "%.119s", rep.message[0] ? rep.message : "the files could not be made");
        return;
    }
    if (!service_reload(t, c, res) || !service_probe(t, c, res)) {
        if (!same)
            go_back(t, c, had ? before : "", res);
        return;
    }
    if (!same)
        clean_up(t->dir, name, had ? before : "");
}
