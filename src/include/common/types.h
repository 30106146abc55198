/*
 * types.h - the ids, digests and times that everything shares
 *
 * One-member structs, so that two kinds of 64-bit number cannot be mixed.
 */
#ifndef REEVE_COMMON_TYPES_H
#define REEVE_COMMON_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* SHA-256 digest. */
struct hash32 { uint8_t b[32]; };
/* Ed25519 public key, signature; X25519 public key. */
struct pubkey { uint8_t b[32]; };
struct sig64  { uint8_t b[64]; };

/*
 * Node id: the first 16 bytes of SHA-256("reeve-node-v1" 00 || Ed25519 key).
 * Its text form, used in SQL and in the cohort hash, is "n-" and 32 lower-case
 * hex digits (NODE_ID_TEXT_LEN characters).
 */
struct node_id { uint8_t b[16]; };
#define NODE_ID_TEXT_LEN 34

/* Wall-clock milliseconds since 1970-01-01 UTC. */
struct wall_ms { int64_t ms; };
/* Monotonic milliseconds; comparable only within one boot. */
struct mono_ms { int64_t ms; };

#define NAME_MAX_LEN   255      /* object names, config keys, labels, roles: bytes of UTF-8 */
#define NODES_NONE     UINT32_MAX

static inline bool hash32_eq(const struct hash32 *a, const struct hash32 *b)
{
    return memcmp(a->b, b->b, 32) == 0;
}

static inline bool hash32_is_zero(const struct hash32 *a)
{
    static const struct hash32 zero;
    return memcmp(a->b, zero.b, 32) == 0;
}

/* Borrowed bytes; the owner is named where a slice is handed out. */
struct slice { const uint8_t *p; size_t len; };

static inline struct slice slice_of(const void *p, size_t len)
{
    return (struct slice){ (const uint8_t *) p, len };
}

static inline struct slice slice_str(const char *s)
{
    return (struct slice){ (const uint8_t *) s, strlen(s) };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* A name stored by value: NUL-terminated, at most NAME_MAX_LEN bytes. */
struct name { uint8_t len; char s[NAME_MAX_LEN + 1]; };

#endif
