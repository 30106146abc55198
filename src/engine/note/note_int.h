/* note_int.h - text in lines and words, shared by the formats of this folder */
#ifndef ENGINE_NOTE_NOTE_INT_H
#define ENGINE_NOTE_NOTE_INT_H

#include "engine/note.h"

/* Takes the next line off in, without its 0A; false at the end or where the 0A is missing. */
bool line_take(struct slice *in, struct slice *line);
/* Takes prefix off the front of s. */
bool slice_skip(struct slice *s, const char *prefix);
/* Text up to the first byte c, which is taken off too; false where there is none. */
bool slice_until(struct slice *s, uint8_t c, struct slice *out);
/* Decimal without leading zeros or sign, at most 2^63 - 1, the whole slice. */
bool decimal_parse(struct slice s, uint64_t *out);
void wr_decimal(struct wr *out, uint64_t v);
/* Base64 of exactly 32 bytes. */
bool hash_parse(struct slice s, struct hash32 *out);
void wr_base64(struct wr *out, const void *p, size_t len);
/* UTF-8 without control characters but 0A. */
bool note_text_ok(struct slice s);

#endif
