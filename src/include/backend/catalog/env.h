/*
 * env.h - what one backend holds of the server: its store, its channels
 *
 * Opened after the fork and before anything is read from a client, so that an
 * LMDB environment never crosses a fork. The ring's channel is made on first
 * use and made again after the ring was restarted.
 */
#ifndef REEVE_BACKEND_CATALOG_ENV_H
#define REEVE_BACKEND_CATALOG_ENV_H

#include "backend/ipc/ipc.h"
#include "backend/storage/storage.h"
#include "backend/utils/activity.h"
#include "backend/utils/liveness.h"
#include "backend/utils/settings.h"
#include "engine/attest.h"
#include "engine/region.h"

struct backend_env {
    char dir[1024];
    struct storage *store;
    struct storage_txn *txn;            /* the open snapshot; at most one */
    struct ipc_channel *postmaster;     /* borrowed */
    struct ipc_channel *ring;           /* NULL until needed */
    struct liveness *liveness;          /* NULL: nothing known */
    struct activity_map *activity;      /* NULL: nothing known */
    const struct settings *settings;    /* of the server; borrowed */
    void *region_scratch;
    void *attest_scratch;
};

/* Gives *out, freed with env_close(). postmaster and settings outlive it. */
enum reeve_err env_open(struct backend_env **out, const char *dir, struct ipc_channel *postmaster,
                        const struct settings *settings, struct report *rep) REEVE_MUST_CHECK;
void env_close(struct backend_env *e);

#endif
