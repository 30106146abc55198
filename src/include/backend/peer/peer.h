/*
 * peer.h - the links of a member of a ring with the others
 *
 * Lives in one event loop (backend/utils/loop.h) and blocks nowhere. For every
 * other member it dials two connections, one for messages of raft, one for the
 * chunks of snapshots and the hosts' letters, and keeps them; it accepts the same
 * two from each.
 * Bytes: backend/peer/wire.h. Why it is so: docs/design/peer-links.md.
 *
 * There is no authority: the configuration of the ring is the list of keys. A
 * member's address in it ends in the hash of its key, and a link stands only
 * between two sides that find each other's key there, under the ids and
 * incarnations they claim. Whom the configuration no longer names is cut off.
 *
 * Invariants
 *  P1 A message is handed up only from a connection whose key, id, incarnation and ring the configuration names, and only
 *     with that id as its sender and this member as its receiver.
 *  P2 Callbacks come from the loop only, never from within a call of this header but peers_read(); so the driver may call anything here
 *     while it obeys effects (but not peers_free() from within a callback).
 *  P3 Every queue, buffer and number of connections is bounded. What does not fit is dropped and counted; the member
 *     concerned is reported unreachable once.
 *  P4 Heartbeats and their answers overtake what is queued, the newer replaces the older one not yet sent; and bulk never
 *     stands before them.
 *  P5 Nothing that a stranger sends reaches further than its own connection.
 *
 * Duties of the driver
 *  - peers_configure() at the start, at each RAFT_F_CONF, and when an index at or above that of the configuration in force
 *    commits.
 *  - peers_send() for RAFT_F_SEND, and for SNAP_READ with its data; where `after` is not durable yet peers_pack() at once,
 *    peers_post() when it is. peers_flush() when the effects of a step are obeyed (within the callbacks it is done on return).
 *  - reachable() becomes RAFT_E_REACHABLE and UNREACHABLE, message() RAFT_E_MESSAGE.
 */
#ifndef REEVE_BACKEND_PEER_H
#define REEVE_BACKEND_PEER_H

#include "backend/peer/wire.h"
#include "backend/utils/loop.h"

/* ---- who this member is ---- */

#define PEER_FOLDER     "peer"          /* DIR/peer/peer.crt, peer.key: the ring process reads it, nobody else */
#define PEER_CERT_BYTES 2048
struct xkey;
struct peer_identity {
    struct hash32 key;                  /* SHA-256 of the SPKI */
    struct xkey *secret;
    size_t cert_len;
    uint8_t cert[PEER_CERT_BYTES];      /* DER, self-signed: only its key means anything */
};
/* A new key and certificate as files in DIR/peer, which is made. */
enum reeve_err peer_identity_make(const char *dir, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err peer_identity_load(struct peer_identity *out, const char *dir, struct report *rep) REEVE_MUST_CHECK;
/* In memory only. */
enum reeve_err peer_identity_fresh(struct peer_identity *out) REEVE_MUST_CHECK;
void peer_identity_end(struct peer_identity *i);

/* ---- links ---- */

struct peers;

struct peers_config {
    const char *alpn;                   /* PEER_ALPN, or what other sort of links these are; outlives the links */
    bool fixed;                         /* whom to know is the host's to say alone: nothing is learned from greetings */
    uint64_t ring;
    uint32_t id;
    uint64_t incarnation;
    const struct peer_identity *identity;       /* borrowed during peers_new() */
    size_t queue_bytes[PEER_PURPOSES];          /* of one connection; the newest message is dropped when it does not fit */
    unsigned queue_frames[PEER_PURPOSES];
    uint32_t open_ms;                   /* connect, TLS and greeting, together */
    uint32_t ping_ms;                   /* a connection asks that often whether the other side lives */
    uint32_t dead_ms;                   /* no answer for so long: it is closed */
    uint32_t retry_ms_min, retry_ms_max;
    uint32_t join_ms;                   /* the host's time for join_requested() */
    unsigned opening_max;               /* accepted connections not yet authenticated; the oldest gives way */
    unsigned members_per_s, strangers_per_s;    /* new connections taken, from addresses of members and from others */
};
/* Everything but ring, id, incarnation, identity: as between members of a ring. */
void peers_config_default(struct peers_config *c);

struct peers_ops {
    /* Borrowed during the call. NULL: these links carry no messages of raft, and end where one comes. */
    void (*message)(void *arg, const struct raft_msg *m);
    /* The log connection to that member stands now; or was lost, or a message to it was. */
    void (*reachable)(void *arg, uint32_t id, bool yes);
    /*
     * Somebody who proved the key in its address asks to be let in; the host judges the token (ring, secret, expiry,
     * uses) and answers, now or later, with one of peers_join_*(). NULL: nobody joins through this member.
     */
    void (*join_requested)(void *arg, uint64_t ticket, const struct peer_join_request *j);
    /* What that member's host said with peers_tell(); borrowed. NULL: passed over. */
    void (*news)(void *arg, uint32_t from, struct slice bytes);
    /* What that member's host sent with peers_letter(); borrowed. NULL: passed over. */
    void (*letter)(void *arg, uint32_t from, struct slice bytes);
};

enum reeve_err peers_new(struct peers **out, struct loop *l, const struct peers_config *c, const struct peers_ops *ops,
                         void *arg, struct report *rep) REEVE_MUST_CHECK;
void peers_free(struct peers *p);

/* host NULL: every address. Several calls for several addresses. *port 0: chosen by the kernel, and told. */
enum reeve_err peers_listen(struct peers *p, const char *host, uint16_t *port, struct report *rep) REEVE_MUST_CHECK;

/*
 * The configuration in force with the index of its entry, and the committed one (the same, or the one before).
 * Links are made to all members of both; others end.
 */
void peers_configure(struct peers *p, const struct raft_conf *conf, uint64_t index, const struct raft_conf *committed);

/* Encoded at once; log as for raft_msg_encode(). Never fails: dropped and counted where there is no way. */
void peers_send(struct peers *p, const struct raft_msg *m, const struct raft_log *log);
/*
 * The two halves of it: encoded now, sent (or dropped) later. NULL: no memory, the message is lost. A parcel belongs to
 * nobody's links: it may outlive a connection, a member, and peers_free().
 */
struct peer_parcel;
struct peer_parcel *peers_pack(const struct raft_msg *m, const struct raft_log *log) REEVE_MUST_CHECK;
size_t peer_parcel_size(const struct peer_parcel *parcel);
void peers_post(struct peers *p, struct peer_parcel *parcel);  /* takes it over; NULL is fine */
void peer_parcel_free(struct peer_parcel *parcel);
void peers_flush(struct peers *p);
/*
 * Hands up at once, from within the call, what had come from members when it began (the exception to P2; not from within a
 * callback). False: a connection had more than its turn's worth, and there may be older messages than what was read.
 */
bool peers_read(struct peers *p) REEVE_MUST_CHECK;
/* Soft state for that member's host, at most PEER_NEWS_MAX bytes: lost where the link is down or anything much waits. */
void peers_tell(struct peers *p, uint32_t id, struct slice news);
/*
 * A letter for that member's host, in two parts, together at most PEER_LETTER_MAX. It arrives whole, once at most, behind what
 * waits on the bulk connection; heartbeats wait for none of it. Whether it arrived is not told: *way is what it was put on,
 * and while peers_way() still says that number neither it nor an answer to it was lost.
 * UNAVAILABLE (not both bulk connections stand), BUSY (no room in the queue), TOO_BIG, NOMEM: nothing was sent.
 */
enum reeve_err peers_letter(struct peers *p, uint32_t id, struct slice head, struct slice body, uint64_t *way) REEVE_MUST_CHECK;
/* The two bulk connections with that member, out and in, as a number that is never used again; 0: not both stand. */
uint64_t peers_way(const struct peers *p, uint32_t id);

/* Answers to join_requested(); a ticket whose asker is gone is passed over. ELSEWHERE: the leader's address. */
void peers_join_accept(struct peers *p, uint64_t ticket, const struct peer_joined *j);
void peers_join_refuse(struct peers *p, uint64_t ticket, enum peer_refusal reason);
void peers_join_elsewhere(struct peers *p, uint64_t ticket, struct slice addr);

/* ---- looking in ---- */

enum peer_link_state { PEER_L_IDLE, PEER_L_RESOLVING, PEER_L_CONNECTING, PEER_L_OPENING, PEER_L_UP, PEER_L_WAITING };
const char *peer_link_state_name(uint8_t s);

/* Of one member and purpose; the counts are of this process's life. */
struct peer_status {
    uint32_t id;
    uint8_t purpose, state;             /* of what we dial */
    bool in_up;                         /* and whether the other side's stands */
    struct mono_ms since;               /* in that state */
    uint64_t frames_out, bytes_out, frames_in, bytes_in;
    uint64_t dropped, replaced;         /* messages that were not sent; heartbeats that a newer one replaced */
    uint64_t connects;
    size_t queued_bytes;
    uint32_t rtt_us;                    /* smoothed; 0: not measured yet */
    uint16_t addr_len;
    char addr[RAFT_ADDR_MAX];
    char error[96];                     /* why the last connection ended, empty: none did */
};
/* At most cap; ordered by id and purpose. How many there are. */
size_t peers_status(const struct peers *p, struct peer_status *out, size_t cap);

struct peers_counts {
    uint64_t accepted, shed, crowded_out, refused, misbehaved, joins;
    unsigned opening;
};
void peers_counts(const struct peers *p, struct peers_counts *out);

/* ---- joining a ring ---- */

/*
 * Asks the member at host:port, and whom it names, to let this one in. The
 * answerer is known by the key in the token, whom it names by the key in that
 * address. Tries again, with backoff, until give_up_ms; done() comes once.
 * OK: with the configuration, which names this member under joined->id;
 * AUTH: the token is not taken; V_KEY: the answerer is not the token's;
 * V_CHAIN: another ring; TIMEOUT: with what happened last.
 */
struct peer_join;
struct peer_join_config {
    const struct peer_identity *identity;       /* borrowed until done() */
    const struct peer_token *token;     /* copied */
    const char *host;                   /* borrowed until peer_join_start() returns */
    uint16_t port;
    uint64_t incarnation;
    struct slice addr;                  /* this member's, as the configuration will hold it; copied */
    uint32_t try_ms, give_up_ms;
};
typedef void peer_join_done_fn(void *arg, enum reeve_err err, const struct peer_joined *joined, const char *text);
enum reeve_err peer_join_start(struct peer_join **out, struct loop *l, const struct peer_join_config *c,
                               peer_join_done_fn *done, void *arg, struct report *rep) REEVE_MUST_CHECK;
/* At any time but from within done(). */
void peer_join_free(struct peer_join *j);

#endif
