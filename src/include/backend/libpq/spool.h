/*
 * spool.h - a queue of bytes: memory first, then a file that has no name
 *
 * Results wait here for a slow client, so that no read transaction does.
 *
 * Invariants
 *  P1 Bytes come out in the order they went in.
 *  P2 At most mem_max bytes stand in memory (one put may exceed it once);
 *     what does not fit goes to an unlinked file in dir, made on first need.
 *  P3 While the file holds bytes, every put goes to the file.
 */
#ifndef REEVE_BACKEND_LIBPQ_SPOOL_H
#define REEVE_BACKEND_LIBPQ_SPOOL_H

#include "common/err.h"
#include "common/types.h"

struct spool {
    uint8_t *mem;
    size_t off, len, cap, mem_max;      /* mem[off..len) waits */
    const char *dir;                    /* borrowed */
    int fd;                             /* -1: no file */
    uint64_t file_off, file_len;        /* file[file_off..file_len) waits behind mem */
};

void spool_init(struct spool *s, const char *dir, size_t mem_max);
void spool_free(struct spool *s);
/* Drops what waits. */
void spool_clear(struct spool *s);
uint64_t spool_len(const struct spool *s);
/* DISK_FULL, IO, NOMEM; after an error the spool is good only for free. */
enum reeve_err spool_put(struct spool *s, const void *p, size_t len) REEVE_MUST_CHECK;
/* The bytes next to go, valid until the next call; empty only when nothing waits. */
enum reeve_err spool_peek(struct spool *s, struct slice *out) REEVE_MUST_CHECK;
void spool_skip(struct spool *s, size_t len);
/* Takes exactly len bytes; MALFORMED where fewer wait. */
enum reeve_err spool_take(struct spool *s, void *p, size_t len) REEVE_MUST_CHECK;

#endif
