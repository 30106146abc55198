/* codec_int.h - the small pieces that all formats of this folder share; sticky failure as in common/buf.h. */
#ifndef ENGINE_ATTEST_CODEC_INT_H
#define ENGINE_ATTEST_CODEC_INT_H

#include "engine/attest.h"

/* The first byte of every document. */
void at_version(struct rd *r);
bool at_flag(struct rd *r);
/* A value of 1..max; enums here start at 1. */
uint8_t at_kind(struct rd *r, uint8_t max);
/* A count of 0..max. */
uint8_t at_count(struct rd *r, uint8_t max);
struct wall_ms at_time(struct rd *r);
void at_put_time(struct wr *w, struct wall_ms t);
/* u8 length + UTF-8 without control characters into a terminated array. */
void at_text8(struct rd *r, char *out, size_t cap);
void at_put_text8(struct wr *w, const char *s);
/* A name that may be empty. */
void at_optname(struct rd *r, struct name *out);
void at_predicate(struct rd *r, struct predicate *p);
void at_put_predicate(struct wr *w, const struct predicate *p);
void at_rules(struct rd *r, struct gen_rule *rule, uint8_t *n);
void at_put_rules(struct wr *w, const struct gen_rule *rule, uint8_t n);
/* OK when everything was read and nothing failed. */
enum reeve_err at_finish(const struct rd *r);

/* SHA-256(label 00 || a || b); b may be empty. */
void labelled_hash(const struct crypto_ops *c, struct hash32 *out, const char *label, struct slice a, struct slice b);
/* Map key and value of an object. */
void object_map_key(const struct crypto_ops *c, struct hash32 *out, uint8_t type, const struct name *name);
void object_map_value(const struct crypto_ops *c, struct hash32 *out, uint64_t version, const struct hash32 *leaf_hash);

#endif
