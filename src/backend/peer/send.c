/*
 * send.c - messages of raft on their way out
 *
 * A parcel is the frame itself: encoded once, from the window into the memory
 * that TLS reads, whether it is sent now or when a disk has caught up.
 */
#include "backend/peer/peer_int.h"

#include <stdlib.h>

struct peer_parcel {
    uint32_t to;
    uint8_t purpose;
    int8_t urgent;                      /* enum urgent */
    struct frame *frame;
};

void peers_dropped(struct peer *peer, uint8_t purpose)
{
    if (purpose != PEER_LOG)            /* chunks are asked for again by those who miss them */
        return;
    peer->tell_lost = true;
    peers_soon(peer->p);
}

static enum urgent urgency(const struct raft_msg *m)
{
    return m->type == RAFT_M_HEARTBEAT ? U_HEARTBEAT : m->type == RAFT_M_HEARTBEAT_REPLY ? U_HEARTBEAT_REPLY : NOT_URGENT;
}

static uint8_t purpose_of(const struct raft_msg *m)
{
    return m->type == RAFT_M_SNAPSHOT && m->data.len > 0 ? PEER_BULK : PEER_LOG;
}

/* So that the frame's memory is taken once; a little too much does no harm. */
static size_t about(const struct raft_msg *m, const struct raft_log *log)
{
    size_t n = PEER_FRAME_HEAD + 128 + m->conf.len + m->data.len;
    if (m->type != RAFT_M_APPEND || m->data.len > 0 || log == NULL)
        return n;
    for (uint32_t i = 1; i <= m->n_entries; i++) {
        struct raft_entry e;
        log->ops->entry(log->arg, m->index + i, &e);
        n += e.data.len + 16;
    }
    return n;
}

static struct frame *encode(const struct raft_msg *m, const struct raft_log *log, size_t size)
{
    struct frame *f = out_frame_new(size, PEER_FRAME_HEAD + RAFT_MSG_MAX);
    if (f == NULL)
        return NULL;
    wr_u32(&f->w, 0);
    wr_u8(&f->w, PEER_F_RAFT);
    raft_msg_encode(m, log, &f->w);
    if (f->w.bad) {
        out_frame_free(f);
        return NULL;
    }
    wr_patch_u32(&f->w, 0, (uint32_t) (f->w.len - 4));
    return f;
}

static bool fits(const struct conn *c, enum urgent u, size_t more)
{
    const struct peers_config *k = &c->p->c;
    return u != NOT_URGENT || (c->q.frames < k->queue_frames[c->purpose] &&
                               (c->q.bytes == 0 || c->q.bytes + more <= k->queue_bytes[c->purpose]));
}

/* The connection that takes so much more now; NULL: dropped, and counted. peer may be NULL: nobody of ours. */
static struct conn *way(struct peer *peer, uint8_t purpose, enum urgent u, size_t more)
{
    if (peer == NULL)
        return NULL;
    struct link *k = &peer->link[purpose];
    bool up = k->state == PEER_L_UP;
    if (up && fits(k->conn, u, more))
        return k->conn;
    peer->counts[purpose].dropped++;
    if (up)                             /* of a link that is down they know */
        peers_dropped(peer, purpose);
    return NULL;
}

static void put(struct conn *c, struct frame *f, enum urgent u)
{
    c->peer->counts[c->purpose].frames_out++;
    peer_conn_put(c, f, u);
}

void peers_send(struct peers *p, const struct raft_msg *m, const struct raft_log *log)
{
    size_t size = about(m, log);
    struct conn *c = way(peers_find(p, m->to), purpose_of(m), urgency(m), size);
    struct frame *f = c != NULL ? encode(m, log, size) : NULL;
    if (f != NULL)
        put(c, f, urgency(m));
    else if (c != NULL)
        peers_dropped(c->peer, c->purpose);
}

struct peer_parcel *peers_pack(const struct raft_msg *m, const struct raft_log *log)
{
    struct peer_parcel *parcel = malloc(sizeof *parcel);
    if (parcel == NULL)
        return NULL;
    *parcel = (struct peer_parcel){ m->to, purpose_of(m), (int8_t) urgency(m), encode(m, log, about(m, log)) };
    if (parcel->frame != NULL)
        return parcel;
    free(parcel);
    return NULL;
}

size_t peer_parcel_size(const struct peer_parcel *parcel) { return parcel->frame->w.len; }

void peers_post(struct peers *p, struct peer_parcel *parcel)
{
    if (parcel == NULL)
        return;
    struct conn *c = way(peers_find(p, parcel->to), parcel->purpose, parcel->urgent, parcel->frame->w.len);
    if (c != NULL) {
        put(c, parcel->frame, parcel->urgent);
        parcel->frame = NULL;
    }
    peer_parcel_free(parcel);
}

void peer_parcel_free(struct peer_parcel *parcel)
{
    if (parcel == NULL)
        return;
    out_frame_free(parcel->frame);
    free(parcel);
}

/* What raft has to say comes first: news wait for nothing, and nothing waits for them. */
#define NEWS_BEHIND_BYTES (256u << 10)

void peers_tell(struct peers *p, uint32_t id, struct slice news)
{
    struct peer *peer = peers_find(p, id);
    struct link *k = peer ? &peer->link[PEER_LOG] : NULL;
    if (k == NULL || k->state != PEER_L_UP || news.len > PEER_NEWS_MAX || k->conn->q.bytes > NEWS_BEHIND_BYTES ||
        k->conn->q.frames >= p->c.queue_frames[PEER_LOG])
        return;
    struct frame *f = out_frame_new(PEER_FRAME_HEAD + news.len, PEER_FRAME_HEAD + PEER_NEWS_MAX);
    if (f == NULL)
        return;
    wr_u32(&f->w, (uint32_t) news.len + 1);
    wr_u8(&f->w, PEER_F_NEWS);
    wr_bytes(&f->w, news.p, news.len);
    put(k->conn, f, NOT_URGENT);
}

/* ---- letters ---- */

static uint64_t way_number(const struct peer *peer)
{
    const struct link *k = peer ? &peer->link[PEER_BULK] : NULL;
    const struct conn *in = peer ? peer->in[PEER_BULK] : NULL;
    return k != NULL && in != NULL && k->state == PEER_L_UP ? k->conn->serial << 32 | (uint32_t) in->serial : 0;
}

uint64_t peers_way(const struct peers *p, uint32_t id) { return way_number(peers_find(p, id)); }

enum reeve_err peers_letter(struct peers *p, uint32_t id, struct slice head, struct slice body, uint64_t *way)
{
    struct peer *peer = peers_find(p, id);
    size_t len = head.len + body.len;
    *way = way_number(peer);
    if (*way == 0)
        return REEVE_E_UNAVAILABLE;
    if (len > PEER_LETTER_MAX)
        return REEVE_E_TOO_BIG;
    struct conn *c = peer->link[PEER_BULK].conn;
    if (!fits(c, NOT_URGENT, PEER_FRAME_HEAD + len))
        return REEVE_E_BUSY;
    struct frame *f = out_frame_new(PEER_FRAME_HEAD + len, PEER_FRAME_HEAD + PEER_LETTER_MAX);
    if (f == NULL)
        return REEVE_E_NOMEM;
    wr_u32(&f->w, (uint32_t) len + 1);
    wr_u8(&f->w, PEER_F_LETTER);
    wr_bytes(&f->w, head.p, head.len);
    wr_bytes(&f->w, body.p, body.len);
    put(c, f, NOT_URGENT);
    return REEVE_OK;
}
