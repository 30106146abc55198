/* signer.c - opening the key folder, and the smallest requests. */
#include "backend/signer/signer_int.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "crypto/secret.h"

/* ---- opening ---- */

enum reeve_err signer_folder_open(int at, const char *name, int *out, struct report *rep)
{
    struct stat st;
    *out = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*out < 0)
        return report_set(rep, REEVE_E_IO, "could not open the key folder \"%s\"", name);
    if (fstat(*out, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return report_set(rep, REEVE_E_CONFIG, "the key folder \"%s\" must belong to the server's user alone (mode 0700)", name);
    keydir_sweep(*out);
    return REEVE_OK;
}

static enum reeve_err read_key(struct signer *s, const char *file, struct own_key *k, struct pubkey *pub, struct report *rep)
{
    enum reeve_err err = own_key_read(&s->token, s->dirfd, file, k, rep);
    *pub = k->pub;
    return err;
}

/* Folders of earlier versions have none. Never in a token: nobody believes it by itself. */
static enum reeve_err read_log_key(struct signer *s, struct report *rep)
{
    if (faccessat(s->dirfd, "log.key", F_OK, 0) != 0) {
        enum reeve_err err = own_key_make(NULL, NULL, s->dirfd, "log.key", &s->log_pub, rep);
        if (err != REEVE_OK)
            return report_set(rep, err, "could not make log.key");
    }
    return read_key(s, "log.key", &s->sec->log, &s->log_pub, rep);
}

static enum reeve_err read_first_keys(struct signer *s, struct report *rep)
{
    enum reeve_err err;
    TRY(read_key(s, "region.key", &s->sec->region, &s->region_pub, rep));
    TRY(read_key(s, "validator.key", &s->sec->validator, &s->validator_pub, rep));
    TRY(read_key(s, "cosign.key", &s->sec->cosign, &s->cosign_pub, rep));
    err = read_log_key(s, rep);
out:
    return err;
}

static enum reeve_err read_member_keys(struct signer *s, struct report *rep)
{
    size_t len = 0;
    enum reeve_err err;
    TRY(read_key(s, "member.key", &s->sec->region, &s->region_pub, rep));
    err = keydir_read(s->dirfd, "seal.key", s->sec->seal.b, sizeof s->sec->seal.b, &len);
    if (err == REEVE_OK && len != sizeof s->sec->seal.b)
        err = REEVE_E_CORRUPT;
    if (err != REEVE_OK)
        report_set(rep, err, "could not read seal.key");
out:
    return err;
}

static enum reeve_err read_keys(struct signer *s, struct report *rep)
{
    size_t len = 0;
    enum reeve_err err;
    s->sec = secret_alloc(sizeof *s->sec);
    if (s->sec == NULL)
        return report_set(rep, REEVE_E_NOMEM, "no memory for keys");
    s->member = faccessat(s->dirfd, "member.key", F_OK, 0) == 0;
    err = s->member ? read_member_keys(s, rep) : read_first_keys(s, rep);
    if (err != REEVE_OK)
        return err;
    TRY(keydir_read(s->dirfd, "master.key", s->sec->master.b, sizeof s->sec->master.b, &len));
    if (len != sizeof s->sec->master.b)
        err = REEVE_E_CORRUPT;
    random_bytes(s->sec->ticket, sizeof s->sec->ticket);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "could not read master.key");
}

enum reeve_err signer_open(struct signer *s, const char *dir, struct report *rep)
{
    char path[PATH_MAX];
    enum reeve_err err;
    int64_t (*now_ms)(void) = s->now_ms;
    memset(s, 0, sizeof *s);
    s->now_ms = now_ms;
    s->dirfd = s->authfd = s->sharedfd = s->last.fd = -1;
    snprintf(path, sizeof path, "%s/keys", dir);
    TRY(signer_folder_open(AT_FDCWD, path, &s->dirfd, rep));
    TRY(signer_folder_open(s->dirfd, "auth", &s->authfd, rep));
    TRY(signer_folder_open(s->dirfd, "shared", &s->sharedfd, rep));
    TRY(read_keys(s, rep));
    if (s->member && faccessat(s->dirfd, "trust", F_OK, 0) != 0)
        return REEVE_OK;                /* its ring tells it */
    TRY(trust_load(s->dirfd, &s->region, &s->trust, rep));
    s->pinned = true;
    if (!s->member)
        TRY(laststate_open(&s->last, s->dirfd, &s->trust.chain_id, rep));
out:
    if (err != REEVE_OK)
        signer_close(s);
    return err;
}

void signer_close(struct signer *s)
{
    proved_clear(&s->proved);
    opened_clear(&s->opened);
    secret_free(s->sec);
    s->sec = NULL;
    p11_close(s->token);
    s->token = NULL;
    laststate_close(&s->last);
    int *fds[] = { &s->sharedfd, &s->authfd, &s->dirfd };
    for (size_t i = 0; i < 3; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* ---- small requests ---- */

enum reeve_err signer_ticket_keys(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    if (!rd_done(in))
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for ticket keys");
    wr_bytes(out, s->sec->ticket, sizeof s->sec->ticket);
    return REEVE_OK;
}
