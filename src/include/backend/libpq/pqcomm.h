/*
 * pqcomm.h - one client connection: bytes in, messages out, TLS in between
 *
 * The socket is non-blocking; calls that may wait say so and end early when
 * the server shuts the session down. Output is queued (spool.h), so writing a
 * message never waits for the client.
 *
 * Invariants
 *  C1 A message is queued whole or not at all.
 *  C2 After CLOSED, IO or a TLS failure the connection is dead: reads answer
 *     CLOSED, writes are dropped without complaint.
 *  C3 Nothing read in clear is ever taken for something said inside TLS.
 */
#ifndef REEVE_BACKEND_LIBPQ_PQCOMM_H
#define REEVE_BACKEND_LIBPQ_PQCOMM_H

#include "backend/libpq/frame.h"
#include "backend/libpq/spool.h"
#include "crypto/tls.h"

#define PQ_OUT_MEM_MAX  (1u << 20)      /* queued output kept in memory */
#define PQ_MESSAGE_MAX  (256u << 20)    /* longest message sent: one row */

struct session_signals;

struct pq_conn {
    int fd;
    struct tls *tls;                    /* NULL: in clear */
    bool dead, eof;                     /* eof: nothing comes any more, but what came is not all taken yet */
    uint8_t *in;
    size_t in_off, in_len, in_cap, in_max;
    uint64_t received;                  /* bytes, ever */
    struct spool out;
    struct wr msg;                      /* the message being built */
    size_t msg_at;                      /* of its length field */
    const struct session_signals *signals;  /* NULL: none; die ends waits */
    char why[128];                      /* reason of death, for the log */
};

/* Takes fd over (pq_free closes it) and makes it non-blocking. spool_dir is borrowed. */
enum reeve_err pq_init(struct pq_conn *c, int fd, const char *spool_dir) REEVE_MUST_CHECK;
void pq_free(struct pq_conn *c);

/* ---- in ---- */

/*
 * Waits for more bytes until deadline (0: none): OK, AGAIN (time is up or a
 * signal came: look at the flags), CLOSED (why says it; empty: the client left).
 */
enum reeve_err pq_fill(struct pq_conn *c, struct mono_ms deadline) REEVE_MUST_CHECK;
/* Takes what has arrived without waiting; OK also when nothing did. */
enum reeve_err pq_fill_now(struct pq_conn *c) REEVE_MUST_CHECK;
static inline struct slice pq_have(const struct pq_conn *c)
{
    return slice_of(c->in + c->in_off, c->in_len - c->in_off);
}
/* Bytes of all messages taken so far. */
static inline uint64_t pq_taken(const struct pq_conn *c) { return c->received - (c->in_len - c->in_off); }
/* Has another message arrived whole? */
bool pq_more(const struct pq_conn *c);
void pq_drop(struct pq_conn *c, size_t len);
/*
 * The next message; its body stays valid until the next pq_fill. Waits as
 * pq_fill does. MALFORMED and TOO_BIG with why filled.
 */
enum reeve_err pq_next(struct pq_conn *c, size_t max, struct mono_ms deadline, uint8_t *type, struct slice *body)
    REEVE_MUST_CHECK;
enum reeve_err pq_next_startup(struct pq_conn *c, struct mono_ms deadline, struct slice *body) REEVE_MUST_CHECK;
/* Is the first byte on the wire that of a TLS record? Waits; does not consume it. */
enum reeve_err pq_peek_tls(struct pq_conn *c, struct mono_ms deadline, bool *is_tls) REEVE_MUST_CHECK;
/* Drives the handshake to its end. CLOSED with why. */
enum reeve_err pq_tls_start(struct pq_conn *c, struct tls_ctx *ctx, struct mono_ms deadline) REEVE_MUST_CHECK;
/* Has the client hung up? Without waiting. */
bool pq_gone(struct pq_conn *c);

/* ---- out ---- */

/* Begins a message; append to the writer, then pq_end(). */
struct wr *pq_begin(struct pq_conn *c, uint8_t type);
/* TOO_COMPLEX for a message over its bound, else the spool's errors. */
enum reeve_err pq_end(struct pq_conn *c) REEVE_MUST_CHECK;
void pq_cstr(struct wr *w, const char *s);
/* One byte without a frame: the answer to SSLRequest. */
enum reeve_err pq_put_byte(struct pq_conn *c, uint8_t b) REEVE_MUST_CHECK;
/* Sends what the socket takes now. */
void pq_flush_some(struct pq_conn *c);
/* Sends everything, waiting for the client; gives up on die after a second. */
enum reeve_err pq_flush(struct pq_conn *c) REEVE_MUST_CHECK;

#endif
