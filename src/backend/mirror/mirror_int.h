/*
 * mirror_int.h - the mirror's process
 *
 * Invariants
 *  M1 A tile is answered only as wide as it was asked for, and only when the log has it all: so what is answered for a path
 *     never changes.
 *  M2 The checkpoint shown never goes back in size.
 *  M3 Connections, their time, and bytes under way are bounded; what does not fit is answered with 503.
 */
#ifndef REEVE_BACKEND_MIRROR_INT_H
#define REEVE_BACKEND_MIRROR_INT_H

#include "backend/ipc/child.h"
#include "backend/ipc/link.h"
#include "backend/mirror/mirror.h"
#include "backend/storage/storage.h"
#include "engine/attest_history.h"
#include "engine/note.h"
#include "engine/note_tile.h"

#define MIRROR_LISTEN_MAX       8
#define MIRROR_CONNECTIONS_MAX  128
#define MIRROR_OF_ONE_MAX       32              /* connections of one address */
#define MIRROR_IDLE_S           30
#define MIRROR_BYTES_MAX        (128u << 20)    /* of answers under way; one tile of entries is at most 16 MiB */

struct http;
struct mirror {
    struct child *child;
    struct loop *loop;
    struct storage *storage;
    struct ipc_link *ring;
    struct http *http;
    /* checkpoint.c */
    struct slice note;                  /* malloc'd; empty: none yet */
    uint64_t size;
    unsigned cosigned;
    int64_t made_ms;
    bool asking;
    struct loop_timer timer;
};

struct mirror_view { struct storage_txn *txn; struct attest attest; };
enum reeve_err mirror_view_open(struct mirror *m, struct mirror_view *v) REEVE_MUST_CHECK;
void mirror_view_close(struct mirror_view *v);

/* tiles.c: NOT_FOUND where the log is not so large. */
enum reeve_err mirror_tile(struct mirror *m, const struct tile *t, struct wr *out) REEVE_MUST_CHECK;

/* checkpoint.c */
enum reeve_err checkpoint_start(struct mirror *m) REEVE_MUST_CHECK;
void checkpoint_stop(struct mirror *m);

/* http.c */
enum reeve_err http_open(struct mirror *m, struct report *rep) REEVE_MUST_CHECK;
void http_close(struct mirror *m);

#endif
