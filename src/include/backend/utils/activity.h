/*
 * activity.h - DIR/run/sessions.shm: who is connected and doing what
 *
 * Fixed slots; the postmaster gives each backend the number of its own slot
 * and clears it when the backend is gone. A slot is written by its backend
 * alone, under a sequence number that is odd while it changes; readers retry
 * a bounded number of times, copy, and trust no length in it.
 */
#ifndef REEVE_BACKEND_UTILS_ACTIVITY_H
#define REEVE_BACKEND_UTILS_ACTIVITY_H

#include "common/err.h"
#include "common/types.h"

#define ACTIVITY_QUERY_MAX 1024
#define ACTIVITY_SLOTS_MAX 10016

enum act_state {
    ACT_NONE, ACT_STARTING, ACT_IDLE, ACT_ACTIVE, ACT_IDLE_IN_TXN, ACT_FAILED_TXN
};
const char *activity_state_name(unsigned s);

/* All text is terminated. Times 0: none. */
struct activity {
    int32_t pid;                        /* 0: free */
    uint32_t state;
    char user[256], app_name[64], client_addr[64];
    uint32_t client_port;
    uint8_t tls;
    struct wall_ms started, txn_started, stmt_started, state_changed;
    char query[ACTIVITY_QUERY_MAX];
};

struct activity_map;
/* Postmaster: makes the file anew. */
enum reeve_err activity_create(struct activity_map **out, const char *dir, unsigned slots) REEVE_MUST_CHECK;
/* A reader's or a backend's view; backends inherit the postmaster's and need not. */
enum reeve_err activity_open(struct activity_map **out, const char *dir) REEVE_MUST_CHECK;
void activity_close(struct activity_map *m);
unsigned activity_slots(const struct activity_map *m);
/* Out of range writes nothing. */
void activity_put(struct activity_map *m, unsigned slot, const struct activity *a);
void activity_clear(struct activity_map *m, unsigned slot);
/* False when the slot is free or would not hold still. */
bool activity_get(const struct activity_map *m, unsigned slot, struct activity *out);

#endif
