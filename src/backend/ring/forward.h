/*
 * forward.h - what a member cannot do itself and asks another one for
 *
 * Security updates and keys need the region's own key and a validator, changes of the ring's members the leader. A backend
 * asks its own ring process, as everywhere; that one asks the member that can, by letters (backend/peer, bulk connection):
 *
 *   asker                                   who can
 *   ASK     kind, size        ------->      may this member ask for it, is there room? a ticket for GRANT_MS
 *                             <-------      GRANT   ticket      (or ANSWER: refused, nothing happened)
 *   BODY    ticket, request   ------->      judged as if a stranger had written it, then done
 *                             <-------      ANSWER  the error with its report, or the result
 *
 * Letter: u8 1 | u8 what | u64 id | then
 *   ASK     u8 kind | u32 size of the request
 *   GRANT   u64 ticket
 *   BODY    u64 ticket | the request
 *   ANSWER  u16 length and name of the error (err.h; "OK") | str16 message | str16 detail | str16 hint | the result
 * Errors travel by name: members may be of different builds, where numbers differ.
 *
 *   kind            request                                result                       at
 *   SUBMIT          the body of SUBMIT (msglist.h)         u64 height | u64 first leaf  the member with key and validator
 *   RING_CHANGE     the body of RING_CHANGE                empty                        the leader
 *   AUTHORITY_KEY   the body of CREATE_AUTHORITY_KEY       its result                   the member with key and validator
 *   SHARED_KEY      the body of CREATE_SHARED_KEY          its result                   likewise
 *   CHECKPOINT      the body of CREATE_CHECKPOINT          its result                   likewise
 * Results are public: hashes of public keys, certificates, requests for them. Nothing secret crosses, sealed or not.
 *
 * News (ring_int.h): u8 NEWS_FORWARD | u8 1 | u8 flags (1: has key and validator), told by everybody once a second.
 * Who has not said it reads no letters.
 *
 * Invariants
 *  F1 A request is carried out once at most: nobody sends one again, and a ticket is taken once.
 *  F2 Before its BODY leaves, a request has changed nothing, and its end says so. After that an end without an ANSWER is
 *     UNKNOWN_OUTCOME, but for keys: one that nobody names changes nothing; and for security updates whose object tells, within
 *     the time that the request has, that it was made, or that another took its place, so that it never will be.
 *  F3 A ticket ends with its time, or with the connections it came by. So who stood still carries out nothing that was asked
 *     for before, and given up since.
 *  F4 Only members of the configuration are heard, each of what its connection proves it to be (P1 of peer.h). A request is
 *     never passed on: who cannot refuses.
 *  F5 What is under way is bounded, at the asker and where it is done, in number and in bytes, for each member and in all;
 *     more is BUSY. Keys are bounded in time as well, since each is a file.
 *  F6 Who asked for a change is answered when it can be read here, unless that takes longer than the request may.
 *  F7 Another member's word never changes who speaks for the region, nor who votes for it (forward_judge()).
 */
#ifndef REEVE_BACKEND_RING_FORWARD_H
#define REEVE_BACKEND_RING_FORWARD_H

#include "backend/ring/ring_int.h"

#define FORWARD_HEAD_MAX    2048        /* bytes of a letter before request or result */
#define FORWARD_RESULT_MAX  65536
#define FORWARD_BYTES_MAX   (32u << 20) /* of requests under way, on each side */
#define FORWARD_MAX         64          /* requests under way, on each side */
#define FORWARD_MEMBER_MAX  16          /* of them of one member, where they are done */
#define FORWARD_MEMBER_BYTES (8u << 20)
#define FORWARD_KEYS_MAX    120         /* keys that one member may ask for in a minute */
#define FORWARD_GRANT_MS    10000

/* ---- letter.c ---- */

enum letter_what { LETTER_ASK = 1, LETTER_GRANT, LETTER_BODY, LETTER_ANSWER };
struct letter {
    uint8_t what, kind;
    uint32_t size;
    uint64_t id, ticket;
    struct slice rest;                  /* request or result; borrowed */
    struct report rep;                  /* ANSWER: code, message, detail, hint */
};
/* All but rest. */
void letter_encode(const struct letter *l, struct wr *out);
/* MALFORMED. An error that this build does not know is UNKNOWN_OUTCOME, with what the other one said. */
enum reeve_err letter_decode(struct letter *l, struct slice bytes) REEVE_MUST_CHECK;

struct forward_rule { const char *name; uint32_t size_max; bool leader, key; };
/* NULL: no such kind. */
const struct forward_rule *forward_rule(uint8_t kind);
/* Is that a result of the kind? */
bool forward_result_is(uint8_t kind, struct slice result);

/* ---- guests.c: requests of other members, where they are carried out ---- */

enum guest_state { GUEST_NONE, GUEST_GRANTED, GUEST_RUNNING };
struct guest {
    uint8_t state, kind;
    uint32_t from, size;
    uint64_t id, ticket, way;
    int64_t until_ms;
    struct ring *ring;                  /* the host's own use */
};
struct guest_keys { uint32_t from; unsigned n; int64_t since_ms; };
struct guests { struct guest g[FORWARD_MAX]; struct guest_keys keys[RAFT_MEMBERS_MAX]; };

/* An ASK of that member, come on that way. BUSY; MALFORMED: no such kind, too large, an id that is under way. */
enum reeve_err guests_admit(struct guests *gs, uint32_t from, uint64_t way, const struct letter *ask, uint64_t ticket,
                            int64_t now_ms, struct guest **out) REEVE_MUST_CHECK;
/* A BODY: the guest runs from now on. NULL: no such ticket, or not this member's, or another size than was asked for. */
struct guest *guests_take(struct guests *gs, uint32_t from, uint64_t way, const struct letter *body, int64_t now_ms);
void guest_end(struct guest *g);
/* Tickets whose time or way has ended; how many guests are left. */
unsigned guests_expire(struct guests *gs, int64_t now_ms, uint64_t (*way)(void *arg, uint32_t from), void *arg);

struct forward;
struct forwards {
    struct loop_timer timer;            /* while anything is under way */
    struct forward *list;
    unsigned n;
    size_t bytes;
    uint64_t ids;
    int64_t linked_ms;                  /* when the member with key and validator was there last; at first: when this one began */
    struct { uint32_t id; uint8_t flags; } known[RAFT_MEMBERS_MAX];    /* who reads letters */
    unsigned n_known;
    struct guests guests;
};
/*
 * Another member's error as ours: what here ends a session, or a wait, is as its word about itself no more than that it was not
 * done, or a doubt (F2). in_doubt: it has a request that may have been carried out.
 */
enum reeve_err forward_word(enum reeve_err theirs, bool in_doubt);
/* The timer runs from now on, as long as it is needed. */
void forward_wake(struct ring *r);

/* ---- serve.c ---- */

/* Can security updates and keys be asked for here? */
bool forward_attests(struct ring *r);
/* ASK and BODY. */
void forward_serve(struct ring *r, uint32_t from, const struct letter *l);
/*
 * May that member of the ring have that attested (the leaf as it would be signed)? Not a validator set; of the region's own
 * object only the state, in the version that follows the one that is known here. DENIED, CONFLICT, else what reading said.
 */
enum reeve_err forward_judge(struct ring *r, uint32_t from, struct slice leaf, struct report *rep) REEVE_MUST_CHECK;
/* The same, of a region whose object is that one. */
enum reeve_err forward_judge_region(const struct update *u, const struct attest_object *now, struct report *rep) REEVE_MUST_CHECK;

#endif
