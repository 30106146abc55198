/* payload.c - counted bytes: encoded once, encrypted for each connection */
#include "backend/gateway/gateway_int.h"

#include <stdlib.h>

static uint64_t live;

uint64_t payload_bytes_live(void)
{
    return live;
}

/* Its bytes are still to be filled in. */
static struct payload *make(size_t len)
{
    struct payload *p = malloc(sizeof *p + len);
    if (p == NULL)
        return NULL;
    p->refs = 1;
    p->len = (uint32_t) len;
    live += len;
    return p;
}

struct payload *payload_new(struct slice bytes)
{
    struct payload *p = make(bytes.len);
    if (p == NULL)
        return NULL;
    if (bytes.len > 0)
        memcpy(p->b, bytes.p, bytes.len);
    return p;
}

struct payload *payload_of_frame(const struct wire_frame *f)
{
    size_t n = wire_size(f);
    reeve_assert(n > 0);        /* what we send ourselves is within its bounds */
    struct payload *p = make(n);
    if (p == NULL)
        return NULL;
    struct wr w = wr_fixed(p->b, n);
    enum reeve_err err = wire_encode(&w, f);
    reeve_assert(err == REEVE_OK && w.len == n);
    return p;
}

struct payload *payload_ref(struct payload *p)
{
    p->refs++;
    return p;
}

void payload_unref(struct payload *p)
{
    if (p == NULL || --p->refs > 0)
        return;
    live -= p->len;
    free(p);
}

bool payload_list_add(struct payload_list *l, struct payload *p)
{
    if (p == NULL)
        return false;
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 2;
        struct payload **q = realloc(l->p, cap * sizeof *q);
        if (q == NULL) {
            payload_unref(p);
            return false;
        }
        l->p = q;
        l->cap = cap;
    }
    l->p[l->n++] = p;
    return true;
}

void payload_list_free(struct payload_list *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        payload_unref(l->p[i]);
    free(l->p);
    memset(l, 0, sizeof *l);
}
