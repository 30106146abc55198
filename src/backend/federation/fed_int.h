/*
 * fed_int.h - the federation process: links to servers of other regions, and what is done in a validator's place
 *
 * Invariants
 *  F1 Nothing that comes over a link reaches a ring before it was verified here: blocks by their finalization and leaves. Letters for
 *     the ring itself (RING) are passed on with the region they came from: it judges them, being the one that knows how.
 *  F2 A link proves a region, never a validator: letters of validators are passed on unjudged, with the link they came on.
 *  F3 Every list is bounded below; what does not fit is dropped, and whoever waits asks again.
 */
#ifndef REEVE_BACKEND_FED_INT_H
#define REEVE_BACKEND_FED_INT_H

#include "backend/federation/federation.h"
#include "backend/federation/letter.h"
#include "backend/ipc/child.h"
#include "backend/ipc/link.h"
#include "backend/storage/storage.h"

#define FED_LINKS_MAX   RAFT_MEMBERS_MAX
#define FED_ASKS_MAX    16
#define FED_HELD_MAX    64
#define FED_BLOCKS_MAX  (1u << 20)          /* bytes of blocks in one answer */
#define FED_COST_PER_S  5000                /* of one link's letters; twice as much at once */

/* A server of another region that we know. */
struct fed_link {
    uint32_t id;                            /* of the link: the beginning of its key's hash */
    uint64_t incarnation;
    struct name region, address;
    bool validates;                         /* its region has a validator */
    uint64_t way;                           /* as peers_way() said last; 0: no letters now */
    uint64_t head;                          /* as it says itself */
    int64_t tokens_milli, tokens_ms;        /* what its letters may still cost */
};

/* A ring beside us. Without a validator it follows the chain by us. */
struct fed_ring { struct fed *f; struct ipc_channel *ch; struct fed_ring *next; };

struct ask;
struct held;
struct cosigning;
struct fed {
    struct child *child;
    struct loop *loop;
    struct storage *storage;
    struct peers *peers;
    struct peer_identity identity;
    struct fed_link link[FED_LINKS_MAX];
    unsigned n_links;
    struct hash32 chain_id, set_hash;
    struct valset set;
    struct name region;
    uint64_t height;                        /* of our store, when it was looked at last */
    uint64_t ahead;                         /* the greatest height of others a tick ago */
    struct ipc_link *validator;             /* NULL: none here */
    struct cosigning *cosigning;
    struct fed_ring *rings;
    struct ask *asks;
    unsigned n_asks, turn;
    uint64_t requests;
    struct held *held;
    unsigned n_held;
    struct loop_timer tick, listen_retry;
    unsigned ticks;
};

/* ---- store.c: the region's store, for reading ---- */
struct fed_view { struct storage_txn *txn; struct attest attest; };
enum reeve_err fed_view_open(struct fed *f, struct fed_view *v) REEVE_MUST_CHECK;
void fed_view_close(struct fed_view *v);
/* Which chain and set, whom to link to, our own region's name. */
enum reeve_err fed_read_chain(struct fed *f, struct report *rep) REEVE_MUST_CHECK;
void fed_read_height(struct fed *f);
/*
 * The set that decides blocks of that epoch, as the store or what was pushed lately has it. NOT_FOUND: it is not known yet.
 */
enum reeve_err fed_set_of(struct fed *f, uint64_t epoch, struct valset *set, struct hash32 *hash) REEVE_MUST_CHECK;
/* This server's numbers on its links. */
void fed_own_numbers(const struct fed *f, uint32_t *id, uint64_t *incarnation);

/* ---- links.c ---- */
enum reeve_err fed_links_open(struct fed *f, struct report *rep) REEVE_MUST_CHECK;
struct fed_link *fed_link_find(struct fed *f, uint32_t id);
/* False: not now. */
bool fed_send(struct fed *f, const struct fed_link *k, struct slice letter);
void fed_send_validators(struct fed *f, struct slice letter);
/* From the validator: to one link, 0: all of regions with a validator. */
void fed_letter_out(struct fed *f, struct slice body);
/* From the ring beside us, to other regions' rings. */
void fed_ring_letter(struct fed *f, struct slice body);
/* Often: which links have come or gone. */
void fed_links_look(struct fed *f);
/* The validator is there: it hears of the links that stand. */
void fed_links_tell(struct fed *f);
/* Once a second: our height to all, theirs to whoever can use it. */
void fed_news(struct fed *f);
/* The validator beside us hears that somebody has that height. */
void fed_tell_ahead(struct fed *f, uint64_t height);
/* The validator here has finalized this. */
void fed_relay_block(struct fed *f, struct slice block);

/* ---- fetch.c: blocks by height ---- */
/* Answered in any case: ATTEST_FETCH. */
void fetch_ask(struct fed *f, struct ipc_channel *ch, struct ipc_msg *m);
void fetch_serve(struct fed *f, const struct fed_link *k, struct slice body);
void fetch_answered(struct fed *f, const struct fed_link *k, struct slice body);
/* BLOCK: pushed by a server with a validator. */
void fetch_pushed(struct fed *f, const struct fed_link *k, struct slice body);
/* Its channel is gone; NULL: all. */
void fetch_drop(struct fed *f, const struct ipc_channel *ch);

/* ---- cosign.c: cosignatures of other validators over a checkpoint, asked for and given ---- */
#define COSIGN_ASKS_MAX  16                 /* of rings beside us */
#define COSIGN_SERVES_MAX 32                /* of other regions, under way here */
#define COSIGN_WAIT_MS   1500               /* no checkpoint waits longer for a validator */
enum reeve_err cosign_open(struct fed *f) REEVE_MUST_CHECK;
void cosign_close(struct fed *f);
/* COSIGN of a ring: answered in any case. */
void cosign_ask(struct fed *f, struct ipc_channel *ch, struct ipc_msg *m);
void cosign_answered(struct fed *f, const struct fed_link *k, struct slice body);
/* LETTER_COSIGN of another region. */
void cosign_serve(struct fed *f, const struct fed_link *k, struct slice body);
/* Often: what waits. */
void cosign_look(struct fed *f);
/* Its channel is gone. */
void cosign_drop(struct fed *f, const struct ipc_channel *ch);

/* ---- submit.c: what a ring without a validator submits ---- */
void held_add(struct fed *f, struct ipc_channel *ch, struct ipc_msg *m);
void held_answer(struct fed *f, const struct fed_link *k, struct slice body);
/* Once a second; link: it has just come up, NULL: none has. */
void held_send_again(struct fed *f, const struct fed_link *link);
void held_drop(struct fed *f, const struct ipc_channel *ch);

#endif
