/* frame.c - whole frames and lists */
#include "wire_int.h"

struct wire_frame wire_frame_of(enum wire_type type)
{
    struct wire_frame f;
    memset(&f, 0, sizeof f);
    f.head.type = (uint8_t) type;
    return f;
}

/* Reads the length prefix: at most four bytes, shortest form. AGAIN: not whole yet. */
static enum reeve_err prefix(struct slice in, uint64_t *len, size_t *n)
{
    *len = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i == in.len)
            return REEVE_E_AGAIN;
        *len |= (uint64_t) (in.p[i] & 0x7f) << 7 * i;
        if ((in.p[i] & 0x80) == 0) {
            *n = i + 1;
            return in.p[i] == 0 && i > 0 ? REEVE_E_MALFORMED : REEVE_OK;
        }
    }
    return REEVE_E_TOO_BIG;
}

enum reeve_err wire_frame_len(struct slice in, size_t max, size_t *total)
{
    uint64_t len;
    size_t n;
    *total = 0;
    enum reeve_err err = prefix(in, &len, &n);
    if (err != REEVE_OK)
        return err;
    if (len < 2)
        return REEVE_E_MALFORMED;
    if (n + len > max)
        return REEVE_E_TOO_BIG;
    if (in.len > n) {
        const struct wire_type_info *t = wire_type_info(in.p[n]);
        if (t != NULL && len > (uint64_t) t->body_max + 2 + 10 + 10)
            return REEVE_E_TOO_BIG;
    }
    *total = n + (size_t) len;
    return in.len < *total ? REEVE_E_AGAIN : REEVE_OK;
}

static enum reeve_err decode_head(struct wire_head *h, struct rd *r)
{
    h->type = rd_u8(r);
    h->flags = rd_u8(r);
    if ((h->flags & ~WIRE_FLAGS_KNOWN) != 0)
        return REEVE_E_UNSUPPORTED;
    h->reqid = h->flags & WIRE_REQID ? rd_varint(r) : 0;
    h->deadline_ms = h->flags & WIRE_DEADLINE ? rd_varint(r) : 0;
    return r->bad ? REEVE_E_MALFORMED : REEVE_OK;
}

/* Bounds that one field alone cannot tell. */
static enum reeve_err cross_check(const struct wire_frame *f)
{
    if (f->head.type == WF_HELLO) {
        const struct wire_hello *h = &f->u.hello;
        if (memcmp(h->magic.b, WIRE_MAGIC, 4) != 0 || h->version_min > h->version_max ||
            h->max_frame < WIRE_FRAME_MIN_MAX)
            return REEVE_E_MALFORMED;
    }
    if (f->head.type == WF_REGISTER_BATCH) {
        struct wire_list l = f->u.register_batch.workloads;
        struct wire_workload w;
        if (l.n == 0)
            return REEVE_E_MALFORMED;
        while (wire_list_next(&l, WG_WORKLOAD, &w))
            if (w.service >= f->u.register_batch.services.n)
                return REEVE_E_MALFORMED;
    }
    return REEVE_OK;
}

enum reeve_err wire_decode(struct wire_frame *out, struct slice in)
{
    uint64_t len;
    size_t n;
    memset(out, 0, sizeof *out);
    enum reeve_err err = prefix(in, &len, &n);
    if (err != REEVE_OK)
        return err == REEVE_E_AGAIN ? REEVE_E_TRUNCATED : err;
    if (len > in.len - n)
        return REEVE_E_TRUNCATED;
    if (len < 2 || len < in.len - n)
        return REEVE_E_MALFORMED;
    struct rd r = rd_of(slice_of(in.p + n, (size_t) len));
    if ((err = decode_head(&out->head, &r)) != REEVE_OK)
        return err;
    const struct wire_type_info *t = wire_type_info(out->head.type);
    if (t == NULL)
        return REEVE_E_NOT_FOUND;
    if (rd_left(&r) > t->body_max)
        return REEVE_E_TOO_BIG;
    if ((err = wire_fields_decode(t->fields, &out->u, &r, true)) != REEVE_OK)
        return err;
    return cross_check(out);
}

enum reeve_err wire_check(const struct wire_head *h, enum wire_from from, enum wire_state state)
{
    const struct wire_type_info *t = wire_type_info(h->type);
    if (t == NULL)
        return REEVE_E_PROTOCOL;
    bool has = (h->flags & WIRE_REQID) != 0;
    if ((t->from & from) == 0 || (t->states & state) == 0)
        return REEVE_E_PROTOCOL;
    if ((has && t->reqid == WIRE_REQID_NONE) || (!has && t->reqid == WIRE_REQID_MUST))
        return REEVE_E_PROTOCOL;
    return REEVE_OK;
}

/* Length without the prefix, or -1. */
static int64_t inner_size(const struct wire_frame *f)
{
    const struct wire_type_info *t = wire_type_info(f->head.type);
    if (t == NULL || (f->head.flags & ~WIRE_FLAGS_KNOWN) != 0)
        return -1;
    int64_t body = wire_fields_size(t->fields, &f->u);
    if (body < 0 || body > t->body_max || cross_check(f) != REEVE_OK)
        return -1;
    int64_t n = 2 + body;
    if (f->head.flags & WIRE_REQID)
        n += (int64_t) varint_len(f->head.reqid);
    if (f->head.flags & WIRE_DEADLINE)
        n += (int64_t) varint_len(f->head.deadline_ms);
    return n <= WIRE_FRAME_MAX ? n : -1;
}

size_t wire_size(const struct wire_frame *f)
{
    int64_t n = inner_size(f);
    return n < 0 ? 0 : varint_len((uint64_t) n) + (size_t) n;
}

enum reeve_err wire_encode(struct wr *w, const struct wire_frame *f)
{
    int64_t n = inner_size(f);
    if (n < 0)
        return REEVE_E_INVALID_VALUE;
    size_t start = w->len;
    wr_varint(w, (uint64_t) n);
    wr_u8(w, f->head.type);
    wr_u8(w, f->head.flags);
    if (f->head.flags & WIRE_REQID)
        wr_varint(w, f->head.reqid);
    if (f->head.flags & WIRE_DEADLINE)
        wr_varint(w, f->head.deadline_ms);
    wire_fields_encode(wire_type_info(f->head.type)->fields, &f->u, w);
    if (w->bad) {
        w->len = start;
        return REEVE_E_TOO_BIG;
    }
    reeve_assert(w->len - start == varint_len((uint64_t) n) + (size_t) n);
    return REEVE_OK;
}

enum reeve_err wire_list_add(struct wr *w, struct wire_list *l, enum wire_group g, const void *item)
{
    const struct wire_group_info *info = wire_group_info(g);
    if (info == NULL || wire_fields_size(info->fields, item) < 0)
        return REEVE_E_INVALID_VALUE;
    wire_fields_encode(info->fields, item, w);
    if (w->bad)
        return REEVE_E_TOO_BIG;
    l->n++;
    return REEVE_OK;
}

bool wire_list_next(struct wire_list *l, enum wire_group g, void *item)
{
    if (l->n == 0)
        return false;
    struct rd r = rd_of(l->bytes);
    enum reeve_err err = wire_fields_decode(wire_group_info(g)->fields, item, &r, false);
    /* Decoding checked the list; one made by hand ends early instead. */
    if (err != REEVE_OK) {
        l->n = 0;
        return false;
    }
    l->n--;
    l->bytes = slice_of(r.p, (size_t) (r.end - r.p));
    return true;
}
