/*
 * wal.h - the write-ahead log of a ring's member: format, writer, recovery
 *
 * Sans-IO. The writer takes appends and yields effects (a write that is durable
 * when it is completed, a segment to make or to drop); the recovery is a
 * function over a reader of files. backend/storage/walfile.h drives both.
 *
 * Words: a batch is what one sync makes durable; a frame is its bytes; a block
 * is WAL_BLOCK bytes at a multiple of them; an epoch numbers the segments in the
 * order of their use, from 1, never twice; a hole is a range of indexes that
 * were durable once and cannot be read.
 *
 * ---- files (integers big endian, sums CRC-32C) ----
 *
 * segment EPOCH   frames from offset 0. A frame that does not fit begins the next
 *                 segment. Recycled files keep their old bytes: a frame counts only
 *                 with the epoch of the file's name, the salt, and its own place.
 * ident           WAL_IDENT_BLOCKS blocks written in turn: what was durable
 * meta A, meta B  one block each, written one after the other
 *
 * Frame: header, entries, zeros up to a whole block.
 *     0  u32 "RVWF"       4  u8  version     5  u8  flags     6  u16 0
 *     8  u64 salt        16  u32 epoch      20  u32 sum of the previous frame's header
 *    24  u64 sequence of the batch, from 1
 *    32  u64 first       the index of the first entry; without entries, of the one that would follow
 *    40  u32 count       44  u32 bytes of entries
 *    48  u64 term of the entry before first        56  u64 last index of the log after this batch
 *    64  u64 term of that entry
 *    72  u64 hard state: term   80  u64 vote   88  u64 commit
 *    96  u64 first of the previous batch (what a lost header would have truncated)
 *   104  u64 cut: index  112  u32 block of this frame in its segment
 *   116  u32 flags of the previous batch
 *   120  u32 sum of the entries   124  u32 sum of bytes 0..123
 * Entry: u64 term, u32 bytes, u8 kind, u24 0, data.
 *
 * Ident block: 0 u32 "RVWI"  4 u8 version  5 u8 0  6 u16 count  8 u64 salt  16 u64 number of the
 *   write  24 .. 59 zeros  60 u32 sum of the block without this field; from 64 on count records of
 *   WAL_RECORD_LEN bytes, the newest last:
 *     0 u64 sequence  8 u64 first  16 u64 last  24 u64 its term  32 u64 hard term  40 u64 vote
 *    48 u64 commit   56 u32 epoch  60 u32 block  64 u32 sum of the frame's header  68 u32 flags
 *   A block repeats what the one before it held, so the newest record stands twice once the log rests.
 *
 * Meta block: 0 u32 "RVWM"  4 u8 version  5..7 0  8 u64 number  16 u64 ring  24 u64 member
 *    32 u64 incarnation  40 u64 salt  48 u64 cut index  56 u64 cut term  64 u64 hard term
 *    72 u64 vote  80 u64 commit  88 u64 sequence of the oldest segment's first batch
 *    96 u32 its previous sum  100 u32 oldest epoch  104 u32 segment bytes
 *   108 u32 number of lost runs, at most WAL_LOST_MAX, then of each: u64 first sequence, u64 behind the
 *       last, u64 lowest index they may have superseded ... 4092 u32 sum of 0..4091
 *
 * ---- invariants ----
 *  W1 A block that was synced is not written again before its segment is dropped (frames) or the
 *     ring came round (ident). After a restart the log goes on in a new segment.
 *  W2 One batch is under way at a time; the next gathers meanwhile.
 *  W3 A record is written only after its batch is durable: at once where term or vote changed, otherwise
 *     after WAL_IDENT_EVERY batches or when the log rests (wal_rest). At most WAL_IDENT_LAG_MAX
 *     batches are durable without a durable record, or the next batch waits.
 *  W4 A segment is dropped only after both metas name a later oldest segment, and only
 *     when none of its entries is above the cut.
 *  W5 wal_durable() never counts an append whose frame is not completed.
 *  W6 Without WAL_REPAIR a batch's last entry is the log's last: a lower first supersedes what
 *     stood from there on. Nothing at or below commit is superseded.
 *  W7 Indexes have no gap: first <= last + 1, or first == cut + 1 after a cut above last.
 *  W8 The segment with the newest batch is never dropped (it has the hard state).
 *  W9 A cut is written into the metas only after all appends before it are durable, and a batch that
 *     begins right above its cut says so itself: what a snapshot replaced is never found beside it.
 *
 * ---- recovery ----
 *  R1 Batches are taken in order of sequence, each with the sum of the one before. The next one
 *     stands behind the last, or at the beginning of a later segment.
 *  R2 The first place without a good frame is the end of the log if nothing is known of a later
 *     batch: no record with that sequence or a higher one, no frame of a higher one anywhere after.
 *     If bytes of a broken frame stand there, it was torn: never acknowledged, ignored for ever after.
 *  R3 Otherwise something durable was damaged. It is never ignored: its range becomes a hole,
 *     reading goes on behind it, the member may not lead before it is repaired.
 *  R4 A range is taken from the frame's header, its record, or its successor; failing all three it
 *     reaches down to what was committed then. What was found so goes into the metas at the next
 *     start, so that the same run of lost batches has the same range again when the ring has forgotten.
 *  R5 A read error is never a torn write. Without a record to say what stood there, nothing is
 *     known of the end: the member may not vote either.
 *  R6 Last index, its term and hard state are those of the highest sequence known, frame or record.
 *
 * What this cannot tell: a batch that was acknowledged, not yet recorded, and damaged at that very
 * moment with nothing after it, from a torn one (W3 keeps this to the host's few milliseconds of rest).
 *
 * Sources: PAR and CTRL (FAST'18); ATC'20 on failed syncs; recovery tables of TigerBeetle's journal.
 */
#ifndef REEVE_ENGINE_WAL_H
#define REEVE_ENGINE_WAL_H

#include "common/buf.h"

#define WAL_VERSION        1
#define WAL_BLOCK          4096u
#define WAL_HEADER_LEN     128u
#define WAL_ENTRY_HEAD     16u
#define WAL_SEGMENT_BYTES  (64u << 20)
#define WAL_BATCH_MAX      (8u << 20)
#define WAL_SEGMENTS_MAX   1024
#define WAL_HOLES_MAX      64
#define WAL_LOST_MAX       16u
#define WAL_IDENT_BLOCKS   64u
#define WAL_IDENT_BYTES    (WAL_IDENT_BLOCKS * WAL_BLOCK)
#define WAL_IDENT_LAG_MAX  16u
#define WAL_IDENT_EVERY    8u
#define WAL_RECORD_LEN     72u
#define WAL_RECORDS_MAX    56u      /* in a block */
#define WAL_REASON_MAX     192

#define WAL_REPAIR         1        /* flag of a batch: fills holes, supersedes nothing */

/* The same from format on; both multiples of WAL_BLOCK, a batch at most half a segment. */
struct wal_config {
    uint32_t segment_bytes;
    uint32_t batch_bytes_max;       /* frame with header and padding */
};

struct wal_hard { uint64_t term, vote, commit; };
/* Whose log this is. In what recovery expects, 0 is any. */
struct wal_owner { uint64_t ring, member, incarnation; };
struct wal_entry { uint64_t term; uint8_t kind; struct slice data; };
struct wal_place { uint32_t epoch, block; };

enum wal_file_kind { WAL_FILE_SEGMENT = 1, WAL_FILE_IDENT, WAL_FILE_META_A, WAL_FILE_META_B };
struct wal_file { enum wal_file_kind kind; uint32_t epoch; };

/* A frame's header, decoded. */
struct wal_frame {
    uint8_t version, flags, prev_flags;
    struct wal_place at;
    uint32_t prev_sum, sum, payload_sum, count, payload_len;
    uint64_t salt, seq, first, prev_term, last, last_term, prev_first, cut;
    struct wal_hard hard;
};
/* What the ident ring knows of a batch. */
struct wal_record {
    uint64_t seq, first, last, last_term;
    struct wal_hard hard;
    struct wal_place at;
    uint32_t sum;
    uint8_t flags;
};
/* Batches from..to-1 cannot be read; they may have superseded what stands from low on. */
struct wal_lost { uint64_t from, to, low; };
struct wal_meta {
    uint64_t number, salt, cut, cut_term, start_seq;
    struct wal_owner owner;
    struct wal_hard hard;
    uint32_t start_sum, oldest_epoch, segment_bytes, n_lost;
    struct wal_lost lost[WAL_LOST_MAX];
};
struct wal_range { uint64_t first, last; };
struct wal_holes { uint32_t n; struct wal_range r[WAL_HOLES_MAX]; };   /* ascending, apart */
struct wal_segment { uint32_t epoch, start_sum; uint64_t start_seq, max_index; };

/* ---- codecs ---- */

/* Bytes of a frame on disk. */
static inline uint64_t wal_frame_bytes(uint32_t payload_len)
{
    return ((uint64_t) WAL_HEADER_LEN + payload_len + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
}
/* out has WAL_HEADER_LEN bytes; sets f->sum. */
void wal_frame_encode(uint8_t *out, struct wal_frame *f);
/*
 * MALFORMED: no header; CORRUPT: one whose sum is wrong; UNSUPPORTED: a newer version.
 * in has WAL_HEADER_LEN bytes. Only the sum and the counts' plausibility are judged here.
 */
enum reeve_err wal_frame_decode(struct wal_frame *f, const uint8_t *in) REEVE_MUST_CHECK;
/* The next entry of a payload whose sum was right; false at its end (r.bad: entries do not fill it exactly). */
bool wal_entry_next(struct rd *r, struct wal_entry *out);

/* out has WAL_BLOCK bytes. Decoders: MALFORMED, CORRUPT, UNSUPPORTED as above. */
void wal_meta_encode(uint8_t *out, const struct wal_meta *m);
enum reeve_err wal_meta_decode(struct wal_meta *m, const uint8_t *in) REEVE_MUST_CHECK;
struct wal_ident { uint64_t salt, number; uint32_t n; struct wal_record rec[WAL_RECORDS_MAX]; };
void wal_ident_encode(uint8_t *out, const struct wal_ident *b);
enum reeve_err wal_ident_decode(struct wal_ident *b, const uint8_t *in) REEVE_MUST_CHECK;

/* ---- holes: a full set grows by closing the smallest gap, so it never holds too little ---- */

void wal_holes_add(struct wal_holes *h, uint64_t first, uint64_t last);
void wal_holes_remove(struct wal_holes *h, uint64_t first, uint64_t last);
bool wal_holes_touch(const struct wal_holes *h, uint64_t first, uint64_t last);

/* ---- recovery ---- */

struct wal_reader {
    void *arg;
    /* The epochs of all segment files, ascending; at most max. */
    enum reeve_err (*list)(void *arg, uint32_t *epochs, size_t max, size_t *n);
    /* NOT_FOUND: no such file; IO: somewhere in this range it cannot be read. *got < len at the file's end. */
    enum reeve_err (*read)(void *arg, struct wal_file file, uint64_t offset, void *buf, size_t len, size_t *got);
};

enum wal_verdict {
    WAL_CLEAN,              /* every batch is there */
    WAL_TORN,               /* the same, and a batch that was never acknowledged was ignored */
    WAL_CORRUPT,            /* something durable is damaged: holes; may vote, may not lead before they are repaired */
    WAL_IDENTITY_UNKNOWN,   /* nobody knows what was durable: may not vote */
    WAL_MISSING,            /* there is no log here */
    WAL_FOREIGN,            /* another member's */
    WAL_NEWER               /* of a version this program does not know */
};
const char *wal_verdict_name(enum wal_verdict v);

/* All optional. Payloads are valid during the call; entries inside of holes must not be trusted. */
struct wal_visitor {
    void *arg;
    void (*batch)(void *arg, const struct wal_frame *f, struct slice payload);
    void (*record)(void *arg, const struct wal_record *r);
    void (*meta)(void *arg, enum wal_file_kind which, enum reeve_err state, const struct wal_meta *m);
    /* One line for the log: what is damaged, ignored or out of place, and where. */
    void (*note)(void *arg, struct wal_file file, uint64_t offset, const char *text);
};

struct wal_found {
    enum wal_verdict verdict;
    bool may_vote, may_lead;
    struct wal_file file;           /* the first place that made the verdict, and why */
    uint64_t offset;
    char reason[WAL_REASON_MAX];
    struct wal_meta meta;           /* the newest good one */
    bool meta_good[2];
    uint8_t meta_newest;            /* 0: A, 1: B */
    struct wal_hard hard;
    uint64_t cut, cut_term;         /* entries are wanted from cut + 1 on */
    uint64_t last, last_term;       /* cut, cut_term without entries */
    struct wal_holes holes;
    uint32_t n_lost;
    struct wal_lost lost[WAL_LOST_MAX];
    uint64_t next_seq;
    uint32_t prev_sum, epoch_max;
    uint64_t prev_first;
    uint8_t prev_flags;
    bool tail_good;                 /* the newest batch was read, at: */
    struct wal_place tail, end;     /* end: behind it */
    struct wal_ident ident;         /* the newest good block, for the writer to go on from */
    uint64_t batches, entries, damaged;
    uint32_t n_segments;
    struct wal_segment segment[WAL_SEGMENTS_MAX];
};

/* Bytes of scratch that wal_recover() wants, aligned to WAL_BLOCK; about 9 MB. */
size_t wal_recover_scratch(void);
/*
 * Reads everything once, writes nothing. v may be NULL. Never fails: what cannot be
 * read is part of the verdict. c->segment_bytes is the meta's where that is readable.
 */
void wal_recover(const struct wal_config *c, const struct wal_reader *r, const struct wal_owner *expect,
                 void *scratch, const struct wal_visitor *v, struct wal_found *out);

/* ---- the writer ---- */

enum wal_effect_type {
    WAL_DO_WRITE = 1,       /* data at offset of file; completed when durable. Aligned, whole blocks */
    WAL_DO_OPEN,            /* segment file.epoch exists with its full size, its name durable; old bytes may be in it */
    WAL_DO_DROP             /* segment file.epoch is no more needed; completed when its name is gone */
};
/* Effects of different lanes may be carried out at the same time, those of one lane in order. */
enum wal_lane { WAL_LANE_LOG, WAL_LANE_SIDE, WAL_LANE_FILES, WAL_LANES };
struct wal_effect {
    enum wal_effect_type type;
    enum wal_lane lane;
    struct wal_file file;
    uint64_t offset;
    struct slice data;      /* the engine's until completed */
};

/* first: index of entry[0]. n == 0: only the hard state, or, with first <= last, a truncation. */
struct wal_append {
    uint64_t first, prev_term;          /* prev_term: of the entry at first - 1 */
    const struct wal_entry *entry;
    size_t n;
    struct wal_hard hard;
    uint8_t flags;                      /* WAL_REPAIR or 0 */
};

struct wal;
/* Bytes the writer needs, aligned to WAL_BLOCK: two batches and some. */
size_t wal_size(const struct wal_config *c);
/* INVALID_VALUE for a bad config. Then one of the next two. */
enum reeve_err wal_init(struct wal **out, void *mem, size_t len, const struct wal_config *c) REEVE_MUST_CHECK;
/* A new, empty log; salt is random and secret. Usable once wal_idle(). */
void wal_format(struct wal *w, const struct wal_owner *owner, uint64_t salt);
/* Goes on where recovery ended: CLEAN, TORN or CORRUPT. WRONG_STATE for any other verdict. */
enum reeve_err wal_resume(struct wal *w, const struct wal_found *f) REEVE_MUST_CHECK;

/*
 * Takes everything or nothing; copies. *ticket counts appends. AGAIN: the batch that gathers has
 * no room (or is of the other kind): complete something first. TOO_BIG: it would never fit.
 */
enum reeve_err wal_append(struct wal *w, const struct wal_append *a, uint64_t *ticket) REEVE_MUST_CHECK;
/*
 * Entries up to index are durable elsewhere; the one at index has that term. index above the last: a
 * snapshot took the log's place; the next append begins at index + 1. Where the log at index has another
 * term, it must be truncated (an append of no entries) before.
 */
void wal_cut(struct wal *w, uint64_t index, uint64_t term);
/* The next effect of a lane; false: none now. Each is answered by wal_complete(lane) before the next of that lane. */
bool wal_next(struct wal *w, enum wal_lane lane, struct wal_effect *out);
/* Would wal_next() give one? */
bool wal_has(const struct wal *w, enum wal_lane lane);
void wal_complete(struct wal *w, enum wal_lane lane);

/*
 * The host's word that nothing went out for a while: what is not recorded yet becomes due, until the next
 * batch. Under load a sync beside every batch's own would cost as much as that. Nothing while a batch is
 * under way or gathers.
 */
void wal_rest(struct wal *w);
/* There is something that only wal_rest() makes due. */
bool wal_wants_rest(const struct wal *w);

/* All appends up to this ticket are durable, or superseded by a durable one. */
uint64_t wal_durable(const struct wal *w);
/* Nothing gathers, nothing is under way, every record is durable twice. */
bool wal_idle(const struct wal *w);

struct wal_status {
    uint64_t last, last_term, cut, seq, tickets, durable;
    uint64_t recorded;                  /* the newest batch of which there is a durable record (W3) */
    uint32_t epoch, block, n_segments;
    struct wal_hard hard;
    struct wal_holes holes;             /* not repaired yet */
};
void wal_status(const struct wal *w, struct wal_status *out);

/* ---- one line each, without line end ---- */

void wal_frame_describe(const struct wal_frame *f, struct wr *out);
void wal_record_describe(const struct wal_record *r, struct wr *out);
void wal_meta_describe(const struct wal_meta *m, struct wr *out);
void wal_entry_describe(uint64_t index, const struct wal_entry *e, struct wr *out);
void wal_file_describe(struct wal_file f, struct wr *out);
void wal_found_describe(const struct wal_found *f, struct wr *out);
void wal_effect_describe(const struct wal_effect *e, struct wr *out);

#endif
