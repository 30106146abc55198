/*
 * world.h - signer, validator and ring as real processes, this test as their postmaster
 *
 * bin/reeved --child=... on the same channels as in a server, so that each can
 * be killed, stopped and started again at any moment; the test is one backend
 * of the ring as well. Helpers assert.
 */
#ifndef REEVE_UNIT_RING_WORLD_H
#define REEVE_UNIT_RING_WORLD_H

#include "../unit.h"
#include "backend/ipc/ipc.h"
#include "backend/storage/storage.h"
#include "engine/region.h"

enum { W_SIGNER, W_VALIDATOR, W_RING, W_KIDS };

struct kid {
    enum proc_kind kind;
    int pid;
    struct ipc_channel *ch;
    bool ready;
    bool absent;                        /* the directory has none of the kind */
};
struct world {
    char dir[128];
    struct loop *loop;
    int lock;
    struct kid kid[W_KIDS];
    struct ipc_channel *ring;           /* this test as a backend; NULL while there is none */
    struct ipc_channel *gateway;        /* this test as a gateway of the ring */
    bool as_gateway;                    /* which of the two world_ask uses */
    struct rng rng;
    bool given;                         /* directory and loop are somebody else's */
};

/* conf: lines for reeve.conf. */
void world_new(struct world *w, const char *conf);
/*
 * A member of a ring in a directory that is there, without a server on it: the kinds of processes that it has are started, and are
 * ready after world_ready(). Several may share a loop. They stay the caller's.
 */
void world_open(struct world *w, struct loop *loop, const char *dir);
void world_free(struct world *w);
void world_start(struct world *w, int which);
void world_kill(struct world *w, int which);
void world_signal(struct world *w, int which, int sig);
/* An orderly end, waited for. */
void world_shut_down(struct world *w, int which, int ms);
/* Runs the loop until all kids are ready and a channel to the ring is there. */
void world_ready(struct world *w);
void world_turn(struct world *w, int ms);
int64_t world_ms(void);

/* An answer that comes later. */
struct call { bool done; enum reeve_err err; struct report rep; uint8_t result[4096]; size_t len; };
/* True when it was sent. */
bool world_ask(struct world *w, enum msg_type type, struct slice body, struct call *c);
/* Waits; CLOSED at once when the ring is not there. */
enum reeve_err world_call(struct world *w, enum msg_type type, struct slice body, struct call *c, int ms);

/* SET CONFIG key = value as transaction seq of a session. */
void txn_set(struct wr *w, uint8_t session, uint64_t seq, const char *key, struct slice value);
/* A submission of one AT_CLASS update, version 1, for a new prefix. */
extern const char *class_actor;
void submit_class(struct wr *w, const char *prefix);

/* Looks into a store that no process holds: what="" is the region's, "/validator" the validator's. */
struct look { struct storage *st; struct storage_txn *t; struct region region; struct attest attest; };
void look_open(struct world *w, struct look *l, const char *what);
void look_close(struct look *l);

#endif
