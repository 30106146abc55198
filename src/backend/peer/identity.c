/*
 * identity.c - the key by which the others know this member
 *
 * DIR/peer holds it alone: the ring process must have it at hand for every
 * handshake, and no other process may, because who holds it is a member.
 */
#include <errno.h>
#include <sys/stat.h>

#include "backend/peer/peer.h"
#include "backend/utils/datadir.h"
#include "crypto/hash.h"
#include "crypto/tls.h"
#include "crypto/x509.h"

#define PEM_MAX 8192
#define CERT_NAME PEER_FOLDER "/peer.crt"
#define KEY_NAME  PEER_FOLDER "/peer.key"

static enum reeve_err put(const char *dir, const char *name, struct slice data, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    if (!datadir_path(path, sizeof path, dir, name))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    return file_replace(path, data, 0600, rep);
}

enum reeve_err peer_identity_make(const char *dir, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    uint8_t key_mem[PEM_MAX];           /* fixed: a writer that grows leaves copies of the key behind */
    struct wr cert = wr_heap(PEM_MAX), key = wr_fixed(key_mem, sizeof key_mem);
    enum reeve_err err;
    if (!datadir_path(path, sizeof path, dir, PEER_FOLDER) || (mkdir(path, 0700) < 0 && errno != EEXIST))
        TRY(report_set(rep, REEVE_E_IO, "could not create directory \"%s\": %s", path, strerror(errno)));
    err = tls_self_signed("reeve-ring-member", &cert, &key);
    if (err != REEVE_OK)
        TRY(report_set(rep, err, "could not make this member's key: %s", reeve_err_text(err)));
    TRY(put(dir, KEY_NAME, wr_slice(&key), rep));
    TRY(put(dir, CERT_NAME, wr_slice(&cert), rep));
out:
    secret_wipe(key_mem, sizeof key_mem);
    wr_free(&cert);
    return err;
}

static enum reeve_err take(struct peer_identity *out, struct slice cert_pem, struct slice key_pem)
{
    enum reeve_err err;
    struct x509_info info;
    struct wr der = wr_fixed(out->cert, sizeof out->cert);
    *out = (struct peer_identity){ 0 };
    TRY(x509_pem_next(&cert_pem, &der));
    TRY(x509_parse(&info, wr_slice(&der)));
    TRY(xkey_from_pem(&out->secret, key_pem));
    TRY(x509_key_matches(wr_slice(&der), out->secret));
    out->key = info.spki_hash;
    out->cert_len = der.len;
out:
    if (err != REEVE_OK)
        peer_identity_end(out);
    return err;
}

static enum reeve_err get(const char *dir, const char *name, uint8_t mem[PEM_MAX], struct slice *out, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    size_t len = 0;
    if (!datadir_path(path, sizeof path, dir, name))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    enum reeve_err err = file_read(path, mem, PEM_MAX, &len);
    *out = slice_of(mem, len);
    return err == REEVE_OK ? err : report_set(rep, err, "could not read \"%s\": %s", path, reeve_err_text(err));
}

enum reeve_err peer_identity_load(struct peer_identity *out, const char *dir, struct report *rep)
{
    uint8_t cert_mem[PEM_MAX], key_mem[PEM_MAX];
    struct slice cert, key;
    enum reeve_err err;
    TRY(get(dir, CERT_NAME, cert_mem, &cert, rep));
    TRY(get(dir, KEY_NAME, key_mem, &key, rep));
    err = take(out, cert, key);
    if (err != REEVE_OK)
        report_set(rep, err, "\"%s/" PEER_FOLDER "\" does not hold a certificate and its key: %s", dir, reeve_err_text(err));
out:
    secret_wipe(key_mem, sizeof key_mem);
    return err;
}

enum reeve_err peer_identity_fresh(struct peer_identity *out)
{
    uint8_t key_mem[PEM_MAX];
    struct wr cert = wr_heap(PEM_MAX), key = wr_fixed(key_mem, sizeof key_mem);
    enum reeve_err err;
    TRY(tls_self_signed("reeve-ring-member", &cert, &key));
    TRY(take(out, wr_slice(&cert), wr_slice(&key)));
out:
    secret_wipe(key_mem, sizeof key_mem);
    wr_free(&cert);
    return err;
}

void peer_identity_end(struct peer_identity *i)
{
    xkey_free(i->secret);
    i->secret = NULL;
}
