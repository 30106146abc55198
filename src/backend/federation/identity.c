/* identity.c - the key by which other regions know this one's links. */
#include "backend/federation/federation.h"

#include <errno.h>
#include <sys/stat.h>

#include "backend/utils/datadir.h"

static enum reeve_err folder(char out[DATADIR_PATH_MAX], const char *dir, struct report *rep)
{
    return datadir_path(out, DATADIR_PATH_MAX, dir, FEDERATION_FOLDER) ? REEVE_OK
        : report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
}

enum reeve_err federation_identity_make(const char *dir, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    enum reeve_err err = folder(path, dir, rep);
    if (err != REEVE_OK)
        return err;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return report_set(rep, REEVE_E_IO, "could not create directory \"%s\": %s", path, strerror(errno));
    return peer_identity_make(path, rep);
}

enum reeve_err federation_identity_load(struct peer_identity *out, const char *dir, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    enum reeve_err err = folder(path, dir, rep);
    return err == REEVE_OK ? peer_identity_load(out, path, rep) : err;
}
