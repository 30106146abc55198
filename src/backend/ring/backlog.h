/*
 * backlog.h - entries of the log in a file without a name, for who is behind the window
 *
 * A leader puts there what it appends while another member is on its way up
 * (core_back.c), and reads it back piece by piece. A thread of its own writes
 * and reads; the owner's calls copy into a queue and wait for nothing.
 *
 * Record: u32 len | u32 crc | u64 term | len bytes: the entry as in an APPEND (raft_msg_entry); crc of term and entry.
 *
 * B1 Entries follow each other without a gap, from backlog_first() to the last one put.
 * B2 What is read back is what was put: a record whose sum is wrong ends it (n == 0).
 * B3 Bytes are counted; the owner gives up what grows too large. Trimmed bytes are given back to the disk.
 */
#ifndef REEVE_BACKEND_RING_BACKLOG_H
#define REEVE_BACKEND_RING_BACKLOG_H

#include "backend/utils/loop.h"
#include "engine/raft.h"

struct backlog;
/* n entries behind (index, term), as in an APPEND; n == 0: they cannot be read. data is valid during the call. */
typedef void backlog_back_fn(void *arg, uint32_t peer, uint64_t index, uint64_t term, size_t n, struct slice data);

/* fd: an empty file, the backlog's from now on, also after an error. The next entry is first, the one before it of that term. */
enum reeve_err backlog_open(struct backlog **out, struct loop *l, int fd, uint64_t first, uint64_t prev_term,
                            backlog_back_fn *fn, void *arg) REEVE_MUST_CHECK;
/* Returns at once; nothing of it is heard any more. */
void backlog_close(struct backlog *b);

/* The next entry. NOMEM: it is not there, and the backlog is of no use any more. */
enum reeve_err backlog_put(struct backlog *b, uint64_t term, uint8_t kind, struct slice data) REEVE_MUST_CHECK;
/* What was put since the last call is handed to the thread. */
void backlog_flush(struct backlog *b);
/* fn is called, later and in the loop, with entries from first on: at most so many bytes, at least one. */
void backlog_read(struct backlog *b, uint32_t peer, uint64_t first, uint32_t bytes);
/* Entries below are not needed any more; some of them may stay. */
void backlog_trim(struct backlog *b, uint64_t index);

uint64_t backlog_first(const struct backlog *b);
uint64_t backlog_next(const struct backlog *b);
uint64_t backlog_bytes(struct backlog *b);              /* in the file */
uint64_t backlog_written(const struct backlog *b);      /* in all */
uint64_t backlog_pending(struct backlog *b);            /* in memory, not written yet */
bool backlog_failed(struct backlog *b);                 /* a write did not come through */

#endif
