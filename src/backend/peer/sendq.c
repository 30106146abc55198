/*
 * sendq.c - what waits to be sent on one connection
 *
 * A frame is encoded once, into memory of its own. Large ones are written to
 * TLS from there; small ones are put together first, because a TLS record and
 * a system call each cost more than copying them.
 */
#include "backend/peer/peer_int.h"

#include <stdlib.h>

bool sendq_init(struct sendq *q)
{
    *q = (struct sendq){ .tail = &q->head };
    q->stage = malloc(STAGE_BYTES);
    return q->stage != NULL;
}

struct frame *out_frame_new(size_t about, size_t max)
{
    struct frame *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->w = wr_heap(max);
    if (wr_reserve(&f->w, about < max ? about : max) == NULL) {
        out_frame_free(f);
        return NULL;
    }
    wr_reset(&f->w);
    return f;
}

void out_frame_free(struct frame *f)
{
    if (f == NULL)
        return;
    wr_free(&f->w);
    free(f);
}

void sendq_end(struct sendq *q)
{
    for (struct frame *f = q->head, *next; f != NULL; f = next) {
        next = f->next;
        out_frame_free(f);
    }
    for (int i = 0; i < URGENT; i++)
        out_frame_free(q->urgent[i]);
    out_frame_free(q->current);
    free(q->stage);
    *q = (struct sendq){ .tail = &q->head };
}

bool sendq_put(struct sendq *q, struct frame *f, enum urgent u)
{
    bool replaced = false;
    q->bytes += f->w.len;
    q->frames++;
    if (u != NOT_URGENT) {
        replaced = q->urgent[u] != NULL;
        if (replaced) {
            q->bytes -= q->urgent[u]->w.len;
            q->frames--;
            out_frame_free(q->urgent[u]);
        }
        q->urgent[u] = f;
        return replaced;
    }
    f->next = NULL;
    *q->tail = f;
    q->tail = &f->next;
    return false;
}

static bool stage_fits(const struct frame *f, size_t used)
{
    return f->w.len <= SMALL_BYTES && f->w.len <= STAGE_BYTES - used;
}

static size_t stage_take(struct sendq *q, struct frame *f, size_t used)
{
    memcpy(q->stage + used, f->w.p, f->w.len);
    q->bytes -= f->w.len;
    q->frames--;
    size_t len = f->w.len;
    out_frame_free(f);
    return used + len;
}

static struct frame *pop(struct sendq *q)
{
    struct frame *f = q->head;
    q->head = f->next;
    if (q->head == NULL)
        q->tail = &q->head;
    return f;
}

static size_t gather(struct sendq *q)
{
    size_t used = 0;
    q->took_ping = q->urgent[U_PING] != NULL;
    for (int i = 0; i < URGENT; i++) {          /* all of them are small, and fit together */
        if (q->urgent[i] == NULL)
            continue;
        reeve_assert(stage_fits(q->urgent[i], used));
        used = stage_take(q, q->urgent[i], used);
        q->urgent[i] = NULL;
    }
    while (q->head != NULL && stage_fits(q->head, used))
        used = stage_take(q, pop(q), used);
    return used;
}

bool sendq_piece(struct sendq *q, struct slice *out)
{
    if (q->piece.len == 0) {
        out_frame_free(q->current);
        q->current = NULL;
        size_t used = gather(q);
        if (used > 0) {
            q->piece = slice_of(q->stage, used);
        } else if (q->head != NULL) {
            q->current = pop(q);
            q->bytes -= q->current->w.len;
            q->frames--;
            q->piece = wr_slice(&q->current->w);
        }
    }
    *out = q->piece;
    return q->piece.len > 0;
}

void sendq_wrote(struct sendq *q, size_t n)
{
    reeve_assert(n <= q->piece.len);
    q->piece.p += n;
    q->piece.len -= n;
}
