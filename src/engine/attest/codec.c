/* codec.c - the small pieces that all formats of this folder share. */
#include "codec_int.h"
#include "common/text.h"

void at_version(struct rd *r)
{
    if (rd_u8(r) != 1)
        r->bad = true;
}

bool at_flag(struct rd *r)
{
    uint8_t v = rd_u8(r);
    if (v > 1)
        r->bad = true;
    return v == 1;
}

uint8_t at_kind(struct rd *r, uint8_t max)
{
    uint8_t v = rd_u8(r);
    if (v == 0 || v > max)
        r->bad = true;
    return v;
}

uint8_t at_count(struct rd *r, uint8_t max)
{
    uint8_t v = rd_u8(r);
    if (v > max)
        r->bad = true;
    return r->bad ? 0 : v;
}

struct wall_ms at_time(struct rd *r)
{
    uint64_t v = rd_u64(r);
    if (v > INT64_MAX)
        r->bad = true;
    return (struct wall_ms){ r->bad ? 0 : (int64_t) v };
}

void at_put_time(struct wr *w, struct wall_ms t)
{
    if (t.ms < 0)
        w->bad = true;
    wr_u64(w, (uint64_t) t.ms);
}

static bool text_ok(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return utf8_valid(s);
}

void at_text8(struct rd *r, char *out, size_t cap)
{
    uint8_t len = rd_u8(r);
    struct slice s = rd_bytes(r, len);
    memset(out, 0, cap);
    if (r->bad || s.len >= cap || !text_ok(s)) {
        r->bad = true;
        return;
    }
    if (s.len > 0)
        memcpy(out, s.p, s.len);
}

void at_put_text8(struct wr *w, const char *s)
{
    size_t len = strlen(s);
    if (len > UINT8_MAX)
        w->bad = true;
    wr_u8(w, (uint8_t) len);
    wr_bytes(w, s, len);
}

void at_optname(struct rd *r, struct name *out)
{
    if (rd_left(r) > 0 && *r->p == 0) {
        (void) rd_u8(r);
        memset(out, 0, sizeof *out);
        return;
    }
    rd_name(r, out);
}

void at_predicate(struct rd *r, struct predicate *p)
{
    struct slice s = rd_str16(r, ROLLOUT_PRED_MAX);
    memset(p, 0, sizeof *p);
    if (r->bad)
        return;
    p->len = (uint16_t) s.len;
    if (s.len > 0)
        memcpy(p->code, s.p, s.len);
    if (predicate_check(p) != REEVE_OK)
        r->bad = true;
}

void at_put_predicate(struct wr *w, const struct predicate *p)
{
    wr_str16(w, slice_of(p->code, p->len));
}

void at_rules(struct rd *r, struct gen_rule *rule, uint8_t *n)
{
    *n = at_count(r, OBJECT_RULES_MAX);
    for (uint8_t i = 0; i < *n; i++) {
        rule[i].gen = rd_u32(r);
        at_predicate(r, &rule[i].where);
    }
}

void at_put_rules(struct wr *w, const struct gen_rule *rule, uint8_t n)
{
    wr_u8(w, n);
    for (uint8_t i = 0; i < n; i++) {
        wr_u32(w, rule[i].gen);
        at_put_predicate(w, &rule[i].where);
    }
}

enum reeve_err at_finish(const struct rd *r)
{
    return rd_done(r) ? REEVE_OK : REEVE_E_MALFORMED;
}

void labelled_hash(const struct crypto_ops *c, struct hash32 *out, const char *label, struct slice a, struct slice b)
{
    const struct slice parts[] = { slice_of(label, strlen(label) + 1), a, b };
    c->sha256(out, parts, 3);
}

void object_map_key(const struct crypto_ops *c, struct hash32 *out, uint8_t type, const struct name *name)
{
    labelled_hash(c, out, "reeve-object-v1", slice_of(&type, 1), slice_of(name->s, name->len));
}

void object_map_value(const struct crypto_ops *c, struct hash32 *out, uint64_t version, const struct hash32 *leaf_hash)
{
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, version);
    labelled_hash(c, out, "reeve-value-v1", wr_slice(&w), slice_of(leaf_hash->b, 32));
}
