/* mirror.h - mirrors of the log: where they are, and reading all of one */
#ifndef FRONTEND_REEVE_AUDIT_MIRROR_H
#define FRONTEND_REEVE_AUDIT_MIRROR_H

#include "audit.h"
#include "engine/merkle.h"
#include "engine/note_tile.h"

/* ---- source.c: a folder, or http://HOST[:PORT][/PATH] ---- */
enum source_err { SOURCE_OK, SOURCE_MISSING, SOURCE_FAILED };
struct source {
    bool http;
    char host[256], port[8], base[1024];        /* base: the folder, or the path behind the host */
    char why[256];                              /* after FAILED */
};
/* Does this look like a mirror (a URL, or a folder) rather than a file? */
bool source_is(const char *where);
/* False: no such URL; it was said on standard error. */
bool source_open(struct source *s, const char *where);
/* A file of the mirror, of at most out's size. */
enum source_err source_read(struct source *s, const char *path, struct wr *out);

/* ---- http.c ---- */
/* One GET; MISSING: 404. Bytes, headers and time are bounded; redirections are not followed. */
enum source_err http_get(struct source *s, const char *path, struct wr *out);

/* ---- walk.c: from the log's leaves to its root, one tile in memory at a time ---- */
enum walk_result { WALK_OK, WALK_UNSOUND, WALK_FAILED };
struct walk {
    struct source *source;
    struct merkle_range range;                  /* of the leaves read so far */
    bool tiles;                                 /* hold the tiles of hashes against the leaves, too; from leaf 0 on */
    struct { uint16_t n; uint8_t bytes[TILE_BYTES]; } level[TILE_LEVEL_MAX + 1];
    uint64_t done[TILE_LEVEL_MAX + 1];          /* full tiles of each level */
    char why[512];                              /* after UNSOUND and FAILED */
};
/* Reads on to that size. UNSOUND: what is there does not fit together. FAILED: something is not there. */
enum walk_result walk_to(struct walk *w, uint64_t size);
/* Behind the last leaf: the tiles that are not full. */
enum walk_result walk_end(struct walk *w, uint64_t size);

/* ---- verify.c ---- */
/* One checkpoint under the trust root; refusals say why, on standard error. Borrows from in. */
bool checkpoint_is_sound(const char *file, struct slice in, const struct trust_root *t, struct checkpoint *cp, unsigned *cosigned);

/* ---- mirror.c, monitor.c ---- */
int audit_verify_mirror(const struct options *o, const struct trust_root *t);
int audit_monitor(const struct options *o);

#endif
