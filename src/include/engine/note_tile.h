/*
 * note_tile.h - where a mirror of the log has what (C2SP tlog-tiles v0.1.0)
 *
 *   checkpoint                     the newest checkpoint
 *   tile/<L>/<N>[.p/<W>]           hashes of level 8L: nodes 256N to 256N + W, 32 bytes each
 *   tile/entries/<N>[.p/<W>]       leaves 256N to 256N + W: u16 length | bytes, each
 * L: 0 to TILE_LEVEL_MAX. N: groups of three digits, all but the last with x before them (1234067: x001/x234/067), as few
 * as needed. W: 1 to 255, the tile as far as it went when the log had some size; without it the tile is full, 256.
 * A leaf hash of level 0 is RFC 6962's. No leading zeros but those.
 */
#ifndef REEVE_ENGINE_NOTE_TILE_H
#define REEVE_ENGINE_NOTE_TILE_H

#include "common/buf.h"

#define TILE_WIDTH     256
#define TILE_LEVEL_MAX 7                        /* 256^8 leaves are more than a u64 counts */
#define TILE_PATH_MAX  64
#define TILE_BYTES     (TILE_WIDTH * 32)
#define TILE_ENTRIES_BYTES_MAX ((size_t) TILE_WIDTH * (2 + 65535))

struct tile { bool entries; uint8_t level; uint64_t n; uint16_t width; };
/* MALFORMED: no such path. It begins with "tile/". */
enum reeve_err tile_path_parse(struct tile *t, struct slice path) REEVE_MUST_CHECK;
void tile_path_format(const struct tile *t, struct wr *out);
/* How wide that tile is in a log of this size; 0: there is none. */
uint16_t tile_width(uint64_t size, uint8_t level, uint64_t n);

#endif
