/*
 * row_admin.c - config keys, roles, strategies, windows
 *
 *   config:   u8 type | u8 type_new | u8 absent | u32 gen | u32 gen_new | u64 version | u64 rollout |
 *             opt name updated_by | u64 updated
 *   role:     u32 attrs | chars verifier | u64 valid_until | u64 created | u32 connection limit (two's complement)
 *   strategy: str16 spec | str16 definition | opt name created_by | u64 created | u64 last_used | u32 uses | u8 builtin
 *   window:   chars cron | chars timezone | u32 duration_s
 */
#include "engine/region/region_int.h"

void config_row_encode(const struct config_row *c, struct wr *out)
{
    wr_u8(out, c->value_type);
    wr_u8(out, c->value_type_new);
    wr_u8(out, c->absent);
    wr_u32(out, c->gen);
    wr_u32(out, c->gen_new);
    wr_u64(out, c->version);
    wr_u64(out, c->rollout_id);
    wr_name(out, &c->updated_by);
    wr_time(out, c->updated);
}

static void config_row_read(struct config_row *c, struct rd *r)
{
    memset(c, 0, sizeof *c);
    c->value_type = rd_u8(r);
    c->value_type_new = rd_u8(r);
    c->absent = rd_row_flag(r);
    c->gen = rd_u32(r);
    c->gen_new = rd_u32(r);
    c->version = rd_u64(r);
    c->rollout_id = rd_u64(r);
    rd_row_name(r, &c->updated_by);
    c->updated = rd_time(r);
    if (c->value_type > VT_NULL || c->value_type_new > VT_NULL)
        r->bad = true;
}

void role_row_encode(const struct role_row *w, struct wr *out)
{
    wr_u32(out, w->attrs);
    wr_chars(out, w->verifier, sizeof w->verifier);
    wr_time(out, w->valid_until);
    wr_time(out, w->created);
    wr_u32(out, (uint32_t) w->connection_limit);
}

void role_row_read(struct role_row *w, struct rd *r)
{
    memset(w, 0, sizeof *w);
    w->attrs = rd_u32(r);
    rd_chars(r, w->verifier, sizeof w->verifier);
    w->valid_until = rd_time(r);
    w->created = rd_time(r);
    w->connection_limit = (int32_t) rd_u32(r);
}

void strategy_row_encode(const struct strategy_row *s, struct wr *out)
{
    wr_str16(out, s->spec);
    wr_str16(out, s->definition);
    wr_name(out, &s->created_by);
    wr_time(out, s->created);
    wr_time(out, s->last_used);
    wr_u32(out, s->uses);
    wr_u8(out, s->builtin);
}

void strategy_row_read(struct strategy_row *s, struct rd *r)
{
    memset(s, 0, sizeof *s);
    s->spec = rd_str16(r, TEXT16_MAX);
    s->definition = rd_text16(r, TEXT16_MAX);
    rd_row_name(r, &s->created_by);
    s->created = rd_time(r);
    s->last_used = rd_time(r);
    s->uses = rd_u32(r);
    s->builtin = rd_row_flag(r);
}

void window_row_encode(const struct window_row *w, struct wr *out)
{
    wr_chars(out, w->cron, sizeof w->cron);
    wr_chars(out, w->timezone, sizeof w->timezone);
    wr_u32(out, w->duration_s);
}

void window_row_read(struct window_row *w, struct rd *r)
{
    memset(w, 0, sizeof *w);
    rd_chars(r, w->cron, sizeof w->cron);
    rd_chars(r, w->timezone, sizeof w->timezone);
    w->duration_s = rd_u32(r);
}

#define DECODE(kind) \
    enum reeve_err kind##_row_decode(struct kind##_row *row, struct slice in) \
    { \
        struct rd r = rd_of(in); \
        kind##_row_read(row, &r); \
        return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED; \
    }
DECODE(config)
DECODE(role)
DECODE(strategy)
DECODE(window)
