/* recover_int.h - one recovery under way */
#ifndef REEVE_ENGINE_WAL_RECOVER_INT_H
#define REEVE_ENGINE_WAL_RECOVER_INT_H

#include "wal_int.h"

#define WAL_CHUNK (64u * WAL_BLOCK)     /* read at once when looking for what comes later */

/* What stands in a block where a frame could begin. */
enum wal_sight {
    SIGHT_FRAME,        /* a header with its sum right, of this place, epoch and log */
    SIGHT_ZERO,
    SIGHT_OLD,          /* a header of an older epoch: a recycled segment */
    SIGHT_BYTES,        /* something else */
    SIGHT_BROKEN,       /* a header whose sum is wrong */
    SIGHT_STRAY,        /* a header that belongs to another place */
    SIGHT_OTHER_LOG,
    SIGHT_NEWER,
    SIGHT_UNREADABLE,
    SIGHT_NOTHING       /* no file, or its end */
};

/* The beginning of each segment, read once: a restart goes on there. */
struct wal_start { uint32_t epoch, prev_sum; uint64_t seq; };     /* seq 0: no frame */

struct wal_walk {
    const struct wal_reader *r;
    const struct wal_visitor *v;
    struct wal_found *f;
    uint32_t blocks;            /* of a segment */
    bool salt_known, prev_known, ident_good, damage, metas_lost, meta_absent;
    uint64_t salt;
    struct wal_place at;        /* where the next frame is expected; f->next_seq is its sequence */
    const char *why;            /* what is wrong there, after good_here() said no */
    enum wal_sight sight;
    struct wal_frame here;      /* valid when sight is SIGHT_FRAME */
    size_t n_starts;
    struct wal_start start[WAL_SEGMENTS_MAX];
    uint32_t epochs[WAL_SEGMENTS_MAX];
    uint8_t *block, *payload, *chunk;
};

/* scan.c */
const char *wal_sight_text(enum wal_sight s);
enum wal_sight wal_look(struct wal_walk *w, struct wal_place at, struct wal_frame *f);
enum wal_sight wal_judge(struct wal_walk *w, struct wal_place at, const uint8_t *block, struct wal_frame *f);
/* Entries of f into w->payload; NULL when they are what the header says, else why not. */
const char *wal_payload_wrong(struct wal_walk *w, const struct wal_frame *f);
/* The first frame behind at with the sequence least or a later one. */
bool wal_scan(struct wal_walk *w, struct wal_place at, uint64_t least, struct wal_frame *out);
void wal_read_starts(struct wal_walk *w);

/* recover_meta.c: false when the verdict is settled. */
bool wal_read_metas(struct wal_walk *w, const struct wal_owner *expect, uint32_t segment_bytes);
void wal_read_ident(struct wal_walk *w);
bool wal_is_missing(struct wal_walk *w);

/* recover_damage.c */
const struct wal_record *wal_record_of(const struct wal_walk *w, uint64_t seq);
uint64_t wal_newest_seq(const struct wal_walk *w);
/* The batches from the expected one up to next, or to the newest record, cannot be read. */
void wal_damage(struct wal_walk *w, const struct wal_frame *next);

void wal_note_text(struct wal_walk *w, struct wal_file file, uint64_t offset, const char *text);
/* The first reason stays. text is shorter than WAL_REASON_MAX. */
void wal_reason_text(struct wal_walk *w, struct wal_file file, uint64_t offset, const char *text);
#define WAL_SAY(say, w, file, offset, ...) do { \
        char text_[WAL_REASON_MAX] = ""; \
        struct wr out_ = wr_fixed(text_, sizeof text_ - 1); \
        wr_printf(&out_, __VA_ARGS__); \
        text_[out_.len] = '\0'; \
        say(w, file, offset, text_); \
    } while (0)
#define wal_note(w, file, offset, ...)   WAL_SAY(wal_note_text, w, file, offset, __VA_ARGS__)
#define wal_reason(w, file, offset, ...) WAL_SAY(wal_reason_text, w, file, offset, __VA_ARGS__)
static inline struct wal_file wal_segment_file(uint32_t epoch)
{
    return (struct wal_file){ WAL_FILE_SEGMENT, epoch };
}
static inline struct wal_file wal_side_file(enum wal_file_kind kind)
{
    return (struct wal_file){ kind, 0 };
}
struct wal_segment *wal_segment_at(struct wal_found *f, uint32_t epoch);

#endif
