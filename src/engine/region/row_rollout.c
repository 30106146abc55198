/*
 * row_rollout.c - what nodes serve, how rollouts stand, what happened
 *
 *   deploy:       u8 type | u32 serving | u32 tried | u8 result | u16 error code | chars error | u32 latency_ms |
 *                 u64 rollout | u64 at | u8 length + serial | u64 not_after | u16 attempts
 *   rollout node: u8 wave | u8 counted | u8 state | u64 told | u64 acked | u8 n, n x u8 state of a target
 *   wave:         12 x u32 counts | 24 x u32 histogram | u64 opened
 *   issue:        u8 severity | name kind | opt name object | u64 since | chars message | chars hint
 *   history:      u64 at | opt name actor | name object_kind | opt name object | name action | chars client |
 *                 str16 statement | str16 reason | str16 before | str16 after | u64 version
 *   event:        u64 at | opt name actor | name event | chars detail | u64 leaf index
 *   feed:         u8 kind | name
 */
#include "engine/region/region_int.h"

void deploy_row_encode(const struct deploy_row *d, struct wr *out)
{
    wr_u8(out, d->type);
    wr_u32(out, d->serving_gen);
    wr_u32(out, d->tried_gen);
    wr_u8(out, d->result);
    wr_u16(out, d->error_code);
    wr_chars(out, d->error, sizeof d->error);
    wr_u32(out, d->latency_ms);
    wr_u64(out, d->rollout_id);
    wr_time(out, d->at);
    wr_u8(out, d->serial_len);
    wr_bytes(out, d->serial, d->serial_len);
    wr_time(out, d->not_after);
    wr_u16(out, d->attempts);
}

void deploy_row_read(struct deploy_row *d, struct rd *r)
{
    memset(d, 0, sizeof *d);
    d->type = rd_u8(r);
    d->serving_gen = rd_u32(r);
    d->tried_gen = rd_u32(r);
    d->result = rd_u8(r);
    d->error_code = rd_u16(r);
    rd_chars(r, d->error, sizeof d->error);
    d->latency_ms = rd_u32(r);
    d->rollout_id = rd_u64(r);
    d->at = rd_time(r);
    uint8_t len = rd_u8(r);
    if (len > sizeof d->serial || d->result > DEPLOY_REJECTED || (d->type != AT_CERT && d->type != AT_CONFIG))
        r->bad = true;
    else
        rd_copy(r, d->serial, d->serial_len = len);
    d->not_after = rd_time(r);
    d->attempts = rd_u16(r);
}

void rollout_node_row_encode(const struct rollout_node_row *n, struct wr *out)
{
    wr_u8(out, n->wave);
    wr_u8(out, n->counted);
    wr_u8(out, n->state);
    wr_time(out, n->told);
    wr_time(out, n->acked);
    wr_u8(out, n->n_targets);
    wr_bytes(out, n->target, n->n_targets);
}

static void rollout_node_row_read(struct rollout_node_row *n, struct rd *r)
{
    memset(n, 0, sizeof *n);
    n->wave = rd_u8(r);
    n->counted = rd_row_flag(r);
    n->state = rd_u8(r);
    n->told = rd_time(r);
    n->acked = rd_time(r);
    n->n_targets = rd_u8(r);
    if (n->n_targets == 0 || n->n_targets > ROLLOUT_TARGETS_MAX)
        r->bad = true;
    else
        rd_copy(r, n->target, n->n_targets);
}

void wave_row_encode(const struct wave_row *w, struct wr *out)
{
    rollout_counts_encode(&w->counts, out);
    for (unsigned i = 0; i < 24; i++)
        wr_u32(out, w->latency_hist[i]);
    wr_time(out, w->opened);
}

static void wave_row_read(struct wave_row *w, struct rd *r)
{
    memset(w, 0, sizeof *w);
    rollout_counts_decode(&w->counts, r);
    for (unsigned i = 0; i < 24; i++)
        w->latency_hist[i] = rd_u32(r);
    w->opened = rd_time(r);
}

void issue_row_encode(const struct issue_row *i, struct wr *out)
{
    wr_u8(out, i->severity);
    wr_name(out, &i->kind);
    wr_name(out, &i->object);
    wr_time(out, i->since);
    wr_chars(out, i->message, sizeof i->message);
    wr_chars(out, i->hint, sizeof i->hint);
}

void issue_row_read(struct issue_row *i, struct rd *r)
{
    memset(i, 0, sizeof *i);
    i->severity = rd_u8(r);
    rd_name(r, &i->kind);
    rd_row_name(r, &i->object);
    i->since = rd_time(r);
    rd_chars(r, i->message, sizeof i->message);
    rd_chars(r, i->hint, sizeof i->hint);
    if (i->severity < 1 || i->severity > 3)
        r->bad = true;
}

void history_row_encode(const struct history_row *h, struct wr *out)
{
    wr_time(out, h->at);
    wr_name(out, &h->actor);
    wr_name(out, &h->object_kind);
    wr_name(out, &h->object);
    wr_name(out, &h->action);
    wr_chars(out, h->client, sizeof h->client);
    wr_str16(out, h->statement);
    wr_str16(out, h->reason);
    wr_str16(out, h->before);
    wr_str16(out, h->after);
    wr_u64(out, h->version);
}

static void history_row_read(struct history_row *h, struct rd *r)
{
    memset(h, 0, sizeof *h);
    h->at = rd_time(r);
    rd_row_name(r, &h->actor);
    rd_name(r, &h->object_kind);
    rd_row_name(r, &h->object);
    rd_name(r, &h->action);
    rd_chars(r, h->client, sizeof h->client);
    h->statement = rd_text16(r, TEXT16_MAX);
    h->reason = rd_text16(r, TEXT16_MAX);
    h->before = rd_text16(r, TEXT16_MAX);
    h->after = rd_text16(r, TEXT16_MAX);
    h->version = rd_u64(r);
}

void event_row_encode(const struct event_row *e, struct wr *out)
{
    wr_time(out, e->at);
    wr_name(out, &e->actor);
    wr_name(out, &e->event);
    wr_chars(out, e->detail, sizeof e->detail);
    wr_u64(out, e->leaf_index);
}

static void event_row_read(struct event_row *e, struct rd *r)
{
    memset(e, 0, sizeof *e);
    e->at = rd_time(r);
    rd_row_name(r, &e->actor);
    rd_name(r, &e->event);
    rd_chars(r, e->detail, sizeof e->detail);
    e->leaf_index = rd_u64(r);
}

void feed_row_encode(const struct feed_row *f, struct wr *out)
{
    wr_u8(out, f->kind);
    wr_name(out, &f->name);
}

static void feed_row_read(struct feed_row *f, struct rd *r)
{
    memset(f, 0, sizeof *f);
    f->kind = rd_u8(r);
    rd_name(r, &f->name);
}

#define DECODE(kind) \
    enum reeve_err kind##_row_decode(struct kind##_row *row, struct slice in) \
    { \
        struct rd r = rd_of(in); \
        kind##_row_read(row, &r); \
        return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED; \
    }
DECODE(deploy)
DECODE(rollout_node)
DECODE(wave)
DECODE(issue)
DECODE(history)
DECODE(event)
DECODE(feed)
