/* env.c - opening and closing what a backend holds. */
#include "backend/catalog/env.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/ops.h"

static enum reeve_err open_parts(struct backend_env *e, struct report *rep)
{
    enum reeve_err err = storage_open(&e->store, e->dir, STORAGE_READ, 0, 0, rep);
    if (err != REEVE_OK)
        return err;
    e->region_scratch = malloc(region_scratch_size());
    e->attest_scratch = malloc(attest_scratch_size());
    if (e->region_scratch == NULL || e->attest_scratch == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    /* Both are for looking at; a session works without them. */
    if (liveness_open(&e->liveness, e->dir, false) != REEVE_OK)
        e->liveness = NULL;
    if (activity_open(&e->activity, e->dir) != REEVE_OK)
        e->activity = NULL;
    return REEVE_OK;
}

enum reeve_err env_open(struct backend_env **out, const char *dir, struct ipc_channel *postmaster,
                        const struct settings *settings, struct report *rep)
{
    struct backend_env *e = calloc(1, sizeof *e);
    *out = NULL;
    if (e == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    e->postmaster = postmaster;
    e->settings = settings;
    int n = snprintf(e->dir, sizeof e->dir, "%s", dir);
    enum reeve_err err = n < 0 || (size_t) n >= sizeof e->dir
                             ? report_set(rep, REEVE_E_INVALID_VALUE, "the data directory's path is too long")
                             : open_parts(e, rep);
    if (err != REEVE_OK) {
        env_close(e);
        return err;
    }
    *out = e;
    return REEVE_OK;
}

void env_close(struct backend_env *e)
{
    if (e == NULL)
        return;
    if (e->txn != NULL)
        storage_abort(e->txn);
    ipc_close(e->ring);
    storage_close(e->store);
    liveness_close(e->liveness);
    activity_close(e->activity);
    free(e->region_scratch);
    free(e->attest_scratch);
    free(e);
}
