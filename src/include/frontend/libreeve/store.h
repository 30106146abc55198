/*
 * store.h - what an agent keeps over a restart: a few hundred small items
 *
 * Items are loaded whole at start and written through afterwards; put and del
 * take effect together at commit. Two implementations: LMDB in the state
 * directory, each value sealed under DIR/machine.key with its key as
 * associated data; and memory, for fleets and tests.
 *
 * Invariants
 *  S1 After commit returned REEVE_OK the items survive a crash.
 *  S2 A value that does not open (another machine key, a flipped bit) is left
 *     out of loading and counted: an agent forgets rather than believes.
 */
#ifndef REEVE_LIBREEVE_STORE_H
#define REEVE_LIBREEVE_STORE_H

#include "common/buf.h"

#define STORE_KEY_MAX   400
#define STORE_VALUE_MAX (1u << 20)

struct agent_store;
typedef enum reeve_err agent_store_visit(void *arg, struct slice key, struct slice value);
struct agent_store_ops {
    enum reeve_err (*load)(struct agent_store *s, agent_store_visit *visit, void *arg);
    enum reeve_err (*put)(struct agent_store *s, struct slice key, struct slice value);
    enum reeve_err (*del)(struct agent_store *s, struct slice key);
    enum reeve_err (*commit)(struct agent_store *s);
    void (*close)(struct agent_store *s);
};
struct agent_store { const struct agent_store_ops *ops; unsigned unreadable; };

/* DIR/cache.mdb and DIR/machine.key, both 0600, made where absent. IO, DISK_FULL, CORRUPT, IN_USE with a report. */
enum reeve_err store_lmdb_open(struct agent_store **out, const char *dir, bool read_only, struct report *rep) REEVE_MUST_CHECK;
/* NULL: no memory. */
struct agent_store *store_memory_new(void);
void store_close(struct agent_store *s);        /* NULL is fine; what was not committed is lost */

#endif
