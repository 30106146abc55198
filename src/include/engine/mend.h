/*
 * mend.h - members whose logs are damaged give each other back what they held
 *
 * A member that starts with holes in its log knows what stands behind them, or
 * at least index and term of the log's end. That is enough to know the right
 * entries again: two logs that have an entry of the same index and term (a
 * mark) have the same entries up to it (log matching; "protocol-aware recovery",
 * Alagappan et al., FAST'18). So it asks the others for the hole and names its
 * marks; whose log has (or had) one of them answers with what it can read there.
 *
 * Sans-IO, and without any state: an answer is judged by what is missing now,
 * so one that is late, repeated, or was never asked for does no harm. Bytes of
 * HOST messages of raft, beside those of member.h:
 *
 *   ask  = u8 1 | u8 MEND_ASK | u64 first | u64 last | u8 n | n x (u64 first | u64 last | u64 term), by index
 *   have = u8 1 | u8 MEND_HAVE | u64 first | u64 index, term of the mark | varint n | n x (varint term | u8 kind | vbytes)
 *
 * Invariants
 *  N1 An answer's entries begin at the first that is missing, do not go beyond the hole nor beyond the mark, and have terms
 *     that may stand there; the mark is one of the asker's own. What is not so is dropped whole.
 *  N2 Nobody holds anything for somebody else: an answer is made of what is at hand, one for each ask, and bounded.
 *  N3 Only entries of one log are given: whoever gives them must not mix what a new leader wrote with what stood behind it.
 *
 * What is trusted: the answerer's word that its log has the mark, as a leader's word is trusted for entries.
 */
#ifndef REEVE_ENGINE_MEND_H
#define REEVE_ENGINE_MEND_H

#include "engine/raft.h"

#define MEND_ASK       4
#define MEND_HAVE      5
#define MEND_MARKS_MAX 16
#define MEND_ENTRIES_MAX 512            /* of one answer */
#define MEND_BYTES     (1u << 20)       /* and their payload, but at least one entry */
#define MEND_ASK_MAX   (2 + 16 + 1 + MEND_MARKS_MAX * 24)
#define MEND_HAVE_MAX  (MEND_BYTES + RAFT_ENTRY_MAX + 64 + MEND_ENTRIES_MAX * 16)

/*
 * A log as far as it can be read; out is borrowed until the log changes. False: not readable, or not there. end and end_term:
 * its end where that is known, readable or not; else 0.
 */
struct mend_log {
    void *arg;
    bool (*entry)(void *arg, uint64_t index, struct raft_entry *out);
    uint64_t end, end_term;
};

/* This log has (or had, where it cannot be read now) an entry of that term at each index of first..last. */
struct mend_mark { uint64_t first, last, term; };
struct mend_want {
    uint64_t first, last;               /* of the hole */
    uint8_t n;
    struct mend_mark mark[MEND_MARKS_MAX];      /* by index; the last one reaches to the log's end */
};
/* As RAFT_E_FILL takes them. */
struct mend_have { uint64_t first; size_t n; struct slice entries; };

/* Is this HOST message one of these? 0, MEND_ASK, MEND_HAVE. */
uint8_t mend_kind(struct slice host);

/*
 * What to ask for: first is the first index that is missing, before the term of the one before it (0: not known). Terms only
 * rise, so a hole between two entries of one term has that term, too.
 */
void mend_want(const struct mend_log *log, uint64_t first, uint64_t before, struct mend_want *out);
void mend_ask_encode(const struct mend_want *w, struct wr *out);
/* The answer to an ask; false: nothing to say (malformed, no mark of it here, nothing to be read). */
bool mend_answer(const struct mend_log *log, struct slice ask, struct wr *out);
/* MALFORMED: not an answer to that want (N1). out borrows from host. */
enum reeve_err mend_take(const struct mend_want *w, struct slice host, struct mend_have *out) REEVE_MUST_CHECK;
/* From first on what the log holds without a gap, up to last: for RAFT_E_FILL, at most MEND_ENTRIES_MAX and MEND_BYTES. */
size_t mend_run_encode(const struct mend_log *log, uint64_t first, uint64_t last, struct wr *out);

#endif
