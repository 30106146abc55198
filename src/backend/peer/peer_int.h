/*
 * peer_int.h - inside the links: connections, queues, what is dialed, whom we know
 *
 * A conn is one TCP connection with TLS, whoever opened it; its role says what
 * frames mean. A link is what is dialed for one purpose, over and over. A peer
 * is a member that a configuration names.
 */
#ifndef REEVE_BACKEND_PEER_INT_H
#define REEVE_BACKEND_PEER_INT_H

#include <netinet/in.h>

#include "backend/peer/peer.h"
#include "crypto/tls.h"
#include "engine/backoff.h"

#define NAMES_MAX      3                /* addresses of one member: learned, in force, committed */
#define PEERS_MAX      (3 * RAFT_MEMBERS_MAX)
#define LISTEN_MAX     8
#define ADDRS_MAX      4
#define JOINING_MAX    4
#define STAGE_BYTES    16384            /* small frames share a TLS record */
#define SMALL_BYTES    4096
#define IN_BYTES       65536
#define BUDGET_LOG     (1u << 20)       /* bytes in one go; then others have their turn */
#define BUDGET_BULK    (256u << 10)

/* ---- what waits to be sent ---- */

/* Sent before all else at the next boundary of frames; a newer one replaces the one that waits. */
enum urgent { U_HEARTBEAT, U_HEARTBEAT_REPLY, U_PING, U_PONG, URGENT, NOT_URGENT = -1 };

struct frame { struct frame *next; struct wr w; };
struct sendq {
    struct frame *urgent[URGENT];
    struct frame *head, **tail;
    size_t bytes;                       /* queued and not yet in a piece */
    unsigned frames;
    struct frame *current;              /* the piece is this frame; NULL: it lies in stage */
    uint8_t *stage;
    struct slice piece;                 /* being written; empty: the next is taken */
    bool took_ping;                     /* the last piece held a PING */
};
bool sendq_init(struct sendq *q);
void sendq_end(struct sendq *q);
/* A frame with room for about that much, to be encoded into f->w and then put or dropped. NULL: no memory. */
struct frame *out_frame_new(size_t about, size_t max);
void out_frame_free(struct frame *f);
/* Takes f over. True when an older one was replaced. */
bool sendq_put(struct sendq *q, struct frame *f, enum urgent u);
/* The bytes to write next, false: none. They stay the same until sendq_wrote() has passed them. */
bool sendq_piece(struct sendq *q, struct slice *out);
void sendq_wrote(struct sendq *q, size_t n);

/* ---- names ---- */

struct resolved { unsigned n; struct sockaddr_storage addr[ADDRS_MAX]; socklen_t len[ADDRS_MAX]; };
struct resolve;
/* A numeric address, at once. */
bool resolve_numeric(struct resolved *out, const char *host, uint16_t port);
/* A name, by a thread of its own; fn comes from the loop unless cancelled. NULL: not possible now. */
struct resolve *resolve_start(struct loop *l, const char *host, uint16_t port,
                              void (*fn)(void *arg, const struct resolved *r, const char *error), void *arg);
void resolve_cancel(struct resolve *r);

/* ---- connections ---- */

enum conn_state { CONN_CONNECTING, CONN_SECURING, CONN_OPENING, CONN_JOINING, CONN_UP };

struct conn;
struct conn_role {
    /* TLS stands, c->key is proven. False: it was closed. */
    bool (*secured)(struct conn *c);
    void (*frame)(struct conn *c, uint8_t kind, struct slice body);
    /* Once, when it is closed, whoever did it. */
    void (*closed)(struct conn *c, const char *why);
};

struct link;
struct peer;
struct conn {
    struct peers *p;
    const struct conn_role *role;
    struct conn *next, **at;            /* among all, or among the dead */
    int fd;
    struct loop_io io;
    struct tls *tls;
    struct loop_timer deadline;
    uint64_t serial, turn;              /* turn: of peers_read(), in which it was read last */
    uint8_t state, purpose;
    bool dead, dirty, again, known, quiet;
    struct hash32 key;                  /* the other side's */
    struct link *link;                  /* dialed for it */
    struct peer *peer;                  /* whom it belongs to; accepted: once it is UP */
    struct peer_join *join;
    uint64_t peer_incarnation;
    struct sendq q;
    uint8_t *in;
    size_t in_len, in_cap, in_least, in_max;    /* in_max: length of a frame at most */
    struct mono_ms heard, wrote, ping_at;       /* ping_at 0: no PING is unanswered */
    char from[64];                      /* for the log */
};

/* Takes fd over, also when it answers NULL. */
struct conn *peer_conn_new(struct peers *p, int fd, const struct conn_role *role, uint8_t state, int64_t open_ms);
/* Does nothing on a dead one. The memory goes at the end of the dispatch. */
void peer_conn_close(struct conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The state after the opening: other limits, no deadline. */
void peer_conn_open_up(struct conn *c);
void peer_conn_put(struct conn *c, struct frame *f, enum urgent u);
/* A small frame that must not be lost: an opening, an answer. */
void peer_conn_put_small(struct conn *c, const struct wr *bytes);
/* Writes what it can; marks what is left. */
void peer_conn_flush(struct conn *c);
/* Tells the last word (REFUSED, JOINED ...) and closes when it is out. */
void peer_conn_last_word(struct conn *c, const struct wr *bytes, const char *why);
/* Reads until nothing is there, in the socket either; false: that was too much for one turn. */
bool peer_conn_drain(struct conn *c);
/* Reads on, what TLS holds back. */
void peer_conn_resume(struct conn *c);
void peer_conn_set_options(int fd, uint32_t dead_ms);
void peer_conns_reap(struct peers *p);

/* ---- what is dialed, whom we know ---- */

struct link {
    struct peer *peer;
    uint8_t purpose, state;
    struct conn *conn;
    struct resolve *asked;
    struct resolved to;
    unsigned at_name, at_addr;          /* which is tried next */
    struct backoff backoff;
    struct loop_timer retry;
    struct mono_ms since, tried;
    char error[96];
};
struct link_counts { uint64_t frames_out, bytes_out, frames_in, bytes_in, dropped, replaced, connects; uint32_t rtt_us; };

struct peer_name { struct peer_addr addr; uint64_t incarnation; uint8_t text_len; char text[RAFT_ADDR_MAX]; };
struct peer {
    struct peers *p;
    uint32_t id;
    struct peer_name name[NAMES_MAX];
    unsigned n_names;
    struct link link[PEER_PURPOSES];
    struct conn *in[PEER_PURPOSES];
    struct link_counts counts[PEER_PURPOSES];
    bool tell_lost, tell_up;            /* events that wait for the loop */
};

struct bucket { struct mono_ms at; int64_t milli; };

struct peers {
    struct loop *loop;
    struct peers_config c;
    struct peers_ops ops;
    void *arg;
    struct tls_ctx *server, *client;
    struct loop_io listener[LISTEN_MAX];
    unsigned n_listeners;
    struct peer *peer[PEERS_MAX];       /* by id */
    unsigned n_peers;
    struct conn *conns, *dead;
    unsigned n_conns, opening, joining, depth;
    uint64_t serial, turns;
    struct loop_timer tick, soon;
    struct mono_ms ticked;
    bool paused;                        /* the listeners, until the next tick */
    struct bucket members, strangers;
    struct raft_conf conf, committed, learned;
    uint64_t conf_index, committed_index, learned_index;
    struct peers_counts n;
};

/* peers.c */
struct peer *peers_find(const struct peers *p, uint32_t id);
void peers_rebuild(struct peers *p);
/* From the WELCOME or HELLO of one whom we know: a configuration newer than ours names whom to let in. */
void peers_learn(struct peers *p, uint64_t index, struct slice conf);
/* The committed configuration, as HELLO and WELCOME tell it. */
struct slice peers_conf_bytes(const struct peers *p, struct wr *w, uint64_t *index);
bool peers_name_matches(const struct peer *peer, const struct hash32 *key, uint64_t incarnation);
/* Around everything that the loop calls: flush, events, reaping happen when the outermost ends. */
void peers_enter(struct peers *p);
void peers_leave(struct peers *p);
/* Soon, from the loop: events, flush, resumed reading. */
void peers_soon(struct peers *p);

/* send.c: something that was to be sent to it is lost */
void peers_dropped(struct peer *peer, uint8_t purpose);

/* dial.c */
void peer_link_init(struct link *k, struct peer *peer, uint8_t purpose);
void peer_link_start(struct link *k);
void peer_link_stop(struct link *k, const char *why);
/* The other side has just shown that it lives: no need to wait. */
void peer_link_hurry(struct link *k);
/* open(2), connect(2) without waiting; -1. */
int dial_socket(const struct resolved *to, unsigned at, uint32_t dead_ms);

/* accept.c */
extern const struct conn_role accepted_role;
void accept_pause_end(struct peers *p);

/* frames.c: what arrives on a connection that is UP */
void frames_accepted(struct conn *c, uint8_t kind, struct slice body);
void frames_dialed(struct conn *c, uint8_t kind, struct slice body);
void ping_send(struct conn *c);
void ping_check(struct conn *c, struct mono_ms now);

/* serve_join.c */
void join_serve(struct conn *c, struct slice body);

#endif
