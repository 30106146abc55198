/* writer_int.h - the writer's state */
#ifndef REEVE_ENGINE_WAL_WRITER_INT_H
#define REEVE_ENGINE_WAL_WRITER_INT_H

#include "wal_int.h"

/* Appends that will be one batch. */
struct wal_gather {
    uint8_t *buf;           /* room for the header, then entries */
    bool used;
    uint8_t flags;
    uint32_t len, count;    /* of entries */
    uint32_t sum;           /* of the entries so far, so that sealing a batch costs no pass over it */
    uint64_t first, prev_term, ticket;
};

/* A cut waits until the appends before it are durable: it must not be found beside what they supersede. index 0: none. */
struct wal_cutting { uint64_t index, term, ticket; };

struct wal {
    struct wal_config c;
    uint32_t blocks;                    /* of a segment */
    struct wal_gather gather, flight;
    bool flying;
    struct wal_frame frame;             /* of flight */

    /* The log as asked for; the disk follows. */
    uint64_t last, last_term, cut, cut_term, tickets, durable;
    struct wal_hard hard;
    struct wal_holes holes;
    struct wal_cutting ripe, pending, next;     /* what metas may name; waiting; the newest, waiting behind that */

    /* The chain: what the next frame continues. */
    uint64_t seq, prev_first;           /* seq: of the newest batch given out */
    uint32_t prev_sum;
    uint8_t prev_flags;
    struct wal_place at;                /* epoch 0: no segment yet since the start */

    /* segs.c */
    uint32_t epoch_max, opened, drop_below;     /* opened: ready and not in use yet; 0: none */
    bool files_busy;
    struct wal_effect files;
    uint32_t n_segments;
    struct wal_segment segment[WAL_SEGMENTS_MAX];

    /* side.c */
    bool side_busy, ident_fresh, urgent, rests;        /* urgent: a record without which a vote could be forgotten */
    enum wal_file_kind side;
    struct wal_ident ident;
    uint64_t recorded, recording;       /* the newest batch with a durable record; with one under way */
    uint32_t copies;                    /* durable blocks that hold the newest record */
    struct wal_meta meta;
    uint8_t meta_first, meta_step;      /* meta_step 0: both say the same, 1: first is due, 2: second is due */
    bool meta_again, ready;             /* changed while being written; both were written once */
    uint32_t meta_oldest;               /* what this round's copies name */
    uint8_t *side_buf;
};

/* segs.c */
void wal_segs_use(struct wal *w, uint32_t epoch);
void wal_segs_reach(struct wal *w, uint64_t index);
uint32_t wal_segs_oldest(struct wal *w, uint64_t *start_seq, uint32_t *start_sum);
bool wal_files_due(const struct wal *w);
bool wal_files_next(struct wal *w, struct wal_effect *out);
void wal_files_complete(struct wal *w);
bool wal_needs_segment(const struct wal *w);

/* side.c */
void wal_side_record(struct wal *w, const struct wal_frame *f);
void wal_side_meta(struct wal *w);
void wal_side_cut(struct wal *w, uint64_t index, uint64_t term);
/* After more became durable. */
void wal_side_ripen(struct wal *w);
bool wal_side_due(const struct wal *w);
bool wal_side_next(struct wal *w, struct wal_effect *out);
void wal_side_complete(struct wal *w);
bool wal_side_idle(const struct wal *w);

#endif
