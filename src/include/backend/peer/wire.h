/*
 * wire.h - what members of a ring say to each other on a link, as bytes
 *
 * TLS 1.3, ALPN "reeve-ring/1", both sides known by their keys. Then frames:
 *   u32 length of what follows | u8 kind | body
 * The dialer speaks first (HELLO or JOIN) and is answered; after WELCOME it
 * sends RAFT and PING, and gets PONG. So a connection carries messages one way
 * only; the other way is the other member's own connection.
 *
 *   1 HELLO    u8 least, most version | u8 purpose | u64 ring | u32 from | u64 from's incarnation | u32 to |
 *              u64 to's incarnation | u64 configuration's index | str16 configuration (raft.h; empty: none)
 *   2 WELCOME  u8 version | u32 id | u64 incarnation | u64 configuration's index | str16 configuration
 *   3 REFUSED  u8 reason; then the connection ends
 *   4 RAFT     a message (raft.h)
 *   5 PING     u64, returned as is
 *   6 PONG     u64
 *   7 JOIN     u8 least, most version | u64 ring | 16 secret | u64 incarnation | str16 address
 *   8 JOINED   u64 ring | u32 id | u64 configuration's index | str16 configuration
 *   9 ELSEWHERE str16 address: ask that member (the leader), known by the key in it
 *  10 NEWS     bytes that the hosts understand: soft state, sent on the log connection once that stands, lost without harm
 *  11 LETTER   bytes that the hosts understand, on the bulk connection: hosts ask and answer each other (ring/forward.h). Sent
 *              to members that have said in their news that they read letters; those who do not would end the connection.
 *
 * A HELLO or JOIN whose most version is newer than ours may be longer than what we know; what is more is passed over.
 *
 * Address, as it stands in raft's configuration: "HOST:PORT#KEY", HOST a name, an IPv4 address or an IPv6 address in
 * brackets, KEY base64url of SHA-256 of the member's SubjectPublicKeyInfo. At most RAFT_ADDR_MAX bytes.
 *
 * Token, for one who wants to join, as a person carries it: "reeve-ring-1." and base64url of
 *   u64 ring | 32 key hash of the member that made it | 16 secret | u64 expiry (ms since 1970)
 *
 * Everything here is pure: no socket, no clock. Decoders borrow from the frame.
 */
#ifndef REEVE_BACKEND_PEER_WIRE_H
#define REEVE_BACKEND_PEER_WIRE_H

#include "engine/raft.h"

#define PEER_ALPN         "reeve-ring/1"
#define PEER_VERSION      1
#define PEER_FRAME_HEAD   5             /* length and kind */
#define PEER_OPENING_MAX  (RAFT_CONF_BYTES_MAX + 256)     /* length of a first frame and of its answer */
#define PEER_FRAME_MAX    (1 + RAFT_MSG_MAX)
#define PEER_NEWS_MAX     32768
#define PEER_LETTER_MAX   ((4u << 20) + 8192)
#define PEER_SECRET_LEN   16
#define PEER_TOKEN_PREFIX "reeve-ring-1."
#define PEER_TOKEN_TEXT_MAX 128         /* with the terminator */
#define PEER_HOST_MAX     70

enum peer_frame_kind { PEER_F_HELLO = 1, PEER_F_WELCOME, PEER_F_REFUSED, PEER_F_RAFT, PEER_F_PING, PEER_F_PONG, PEER_F_JOIN,
                       PEER_F_JOINED, PEER_F_ELSEWHERE, PEER_F_NEWS, PEER_F_LETTER, PEER_F__COUNT };
/* What a connection carries. */
enum peer_purpose { PEER_LOG = 0, PEER_BULK = 1, PEER_PURPOSES };
enum peer_refusal { PEER_R_VERSION = 1, PEER_R_MALFORMED, PEER_R_RING, PEER_R_STRANGER, PEER_R_KEY, PEER_R_INCARNATION,
                    PEER_R_NOT_ME, PEER_R_TOKEN, PEER_R_BUSY, PEER_R_NO_LEADER, PEER_R_FULL, PEER_R__COUNT };
/* As a person reads it, from the side that was refused. */
const char *peer_refusal_text(uint8_t reason);

struct peer_addr { char host[PEER_HOST_MAX + 1]; uint16_t port; struct hash32 key; };
/* MALFORMED. */
enum reeve_err peer_addr_parse(struct peer_addr *out, struct slice text) REEVE_MUST_CHECK;
/* out has RAFT_ADDR_MAX + 1 bytes; the length. INVALID_VALUE: a host that does not parse back. */
enum reeve_err peer_addr_format(char *out, size_t *len, const char *host, uint16_t port, const struct hash32 *key)
    REEVE_MUST_CHECK;
/* "HOST:PORT" alone, as people type it. MALFORMED. */
enum reeve_err peer_hostport_parse(char host[PEER_HOST_MAX + 1], uint16_t *port, struct slice text) REEVE_MUST_CHECK;

struct peer_hello {
    uint8_t least, most, purpose;
    uint64_t ring;
    uint32_t from, to;
    uint64_t from_incarnation, to_incarnation;
    uint64_t conf_index;
    struct slice conf;
};
struct peer_welcome { uint8_t version; uint32_t id; uint64_t incarnation, conf_index; struct slice conf; };
struct peer_join_request {
    uint8_t least, most;
    uint64_t ring, incarnation;
    uint8_t secret[PEER_SECRET_LEN];    /* wipe it */
    struct slice addr;
};
struct peer_joined { uint64_t ring; uint32_t id; uint64_t conf_index; struct slice conf; };
struct peer_token { uint64_t ring; struct hash32 key; uint8_t secret[PEER_SECRET_LEN]; struct wall_ms expires; };

/* Whole frames, appended. */
void peer_hello_encode(const struct peer_hello *h, struct wr *out);
void peer_welcome_encode(const struct peer_welcome *w, struct wr *out);
void peer_refused_encode(uint8_t reason, struct wr *out);
void peer_number_encode(uint8_t kind, uint64_t n, struct wr *out);     /* PING, PONG */
void peer_join_encode(const struct peer_join_request *j, struct wr *out);
void peer_joined_encode(const struct peer_joined *j, struct wr *out);
void peer_elsewhere_encode(struct slice addr, struct wr *out);

/*
 * The next frame at the start of bytes: OK with kind, body and its whole size; AGAIN when more bytes are needed (*size:
 * how many at least in all); MALFORMED (no such kind, empty) and TOO_BIG (length over max).
 */
enum reeve_err peer_frame_next(struct slice bytes, size_t max, uint8_t *kind, struct slice *body, size_t *size)
    REEVE_MUST_CHECK;
/* Bodies. UNSUPPORTED: no version in common, nothing else is set; MALFORMED. */
enum reeve_err peer_hello_decode(struct peer_hello *out, struct slice body) REEVE_MUST_CHECK;
enum reeve_err peer_welcome_decode(struct peer_welcome *out, struct slice body) REEVE_MUST_CHECK;
enum reeve_err peer_refused_decode(uint8_t *reason, struct slice body) REEVE_MUST_CHECK;
enum reeve_err peer_number_decode(uint64_t *n, struct slice body) REEVE_MUST_CHECK;
enum reeve_err peer_join_decode(struct peer_join_request *out, struct slice body) REEVE_MUST_CHECK;
enum reeve_err peer_joined_decode(struct peer_joined *out, struct slice body) REEVE_MUST_CHECK;
enum reeve_err peer_elsewhere_decode(struct slice *addr, struct slice body) REEVE_MUST_CHECK;

/* out is a secret. Returns the length; terminated. */
size_t peer_token_encode(char out[PEER_TOKEN_TEXT_MAX], const struct peer_token *t);
enum reeve_err peer_token_decode(struct peer_token *out, struct slice text) REEVE_MUST_CHECK;

#endif
