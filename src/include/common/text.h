/*
 * text.h - names, hex, base64, UTF-8: text helpers without locale or I/O
 */
#ifndef REEVE_COMMON_TEXT_H
#define REEVE_COMMON_TEXT_H

#include "common/err.h"
#include "common/types.h"

bool utf8_valid(struct slice s);
/* Sets a name from 1..NAME_MAX_LEN valid UTF-8 bytes without control characters. */
bool name_set(struct name *out, struct slice s);
static inline bool name_set_str(struct name *out, const char *s) { return name_set(out, slice_str(s)); }
static inline struct slice name_slice(const struct name *n) { return slice_of(n->s, n->len); }
static inline bool name_eq(const struct name *a, const struct name *b)
{
    return a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

/* out has room for 2*len+1 characters; terminated. */
void hex_encode(char *out, const void *p, size_t len);
/* Decodes exactly 2*len digits; false on anything else. */
bool hex_decode(void *out, size_t len, struct slice text);

/* Standard base64 with padding. out needs base64_len(n)+1 bytes; returns characters written. */
static inline size_t base64_len(size_t n) { return (n + 2) / 3 * 4; }
size_t base64_encode(char *out, const void *p, size_t len);
/* URL-safe alphabet without padding, as join tokens use it. */
size_t base64url_encode(char *out, const void *p, size_t len);
/* Both decoders accept only canonical input; -1 when malformed or larger than cap. */
long base64_decode(void *out, size_t cap, struct slice text);
long base64url_decode(void *out, size_t cap, struct slice text);

/* "n-" and 32 hex digits; out has NODE_ID_TEXT_LEN + 1 bytes. */
void node_id_text(char *out, const struct node_id *id);
bool node_id_parse(struct node_id *out, struct slice text);

#endif
