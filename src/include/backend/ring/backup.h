/*
 * backup.h - a region's state as one file, and back
 *
 * FILE
 *   16 bytes "reeve-backup-1" and zeros
 *   u32 length | u32 CRC-32C | head: u8 1 | name region | u64 ring | u32 member | u64 revision | 32 chain id | u64 attested height |
 *                                    32 header hash there | i64 taken (ms) | str16 version of the programs
 *   the state (src/backend/ring/statefile.h)
 *   32 bytes SHA-256 of all before
 * It holds the rows of the region's store and nothing else: no private key, no last-sign state, no log, nothing of the ring that it
 * was taken in ('L' rows). It does hold the verifiers of passwords and the digests of tokens.
 *
 * Invariants
 *  K1 A file is complete and synced under its name, or not there under it.
 *  K2 A file is checked whole before anything is written; nothing of a damaged one is used.
 *  K3 A restored state begins a ring of its own. It is the state that was saved, but its revisions go on far above: nobody who knows
 *     a later state takes an older one for it.
 *  K4 It never lowers the attested height: beside a validator's chain that is another one, or that is shorter, nothing is restored;
 *     what a longer one has is applied again at the start.
 */
#ifndef REEVE_BACKEND_RING_BACKUP_H
#define REEVE_BACKEND_RING_BACKUP_H

#include "common/text.h"

#define BACKUP_VERSION_MAX 63

struct backup_head {
    struct name region;
    uint64_t ring;                      /* in which it was taken, and at which member */
    uint32_t member;
    uint64_t revision;
    struct hash32 chain_id, header_hash;
    uint64_t height;
    struct wall_ms taken;
    char version[BACKUP_VERSION_MAX + 1];
};

/*
 * Copies what the server in dir has, running or not, to a file of that name, which must not exist. UNDEFINED_OBJECT, DUPLICATE_OBJECT,
 * DISK_FULL, IO, CORRUPT with a report.
 */
enum reeve_err backup_make(const char *dir, const char *file, struct backup_head *head, struct report *rep) REEVE_MUST_CHECK;

/* An open backup whose every byte was checked. MALFORMED with a report that says where, NOT_FOUND, IO, UNSUPPORTED (a newer form). */
struct backup { int fd; uint64_t state_at, state_end; struct backup_head head; };
enum reeve_err backup_open(struct backup *b, const char *file, struct report *rep) REEVE_MUST_CHECK;
void backup_close(struct backup *b);
/* K4, for a directory that has a validator; OK for one that has none. WRONG_STATE with a report. */
enum reeve_err backup_check_chain(const struct backup *b, const char *dir, struct report *rep) REEVE_MUST_CHECK;
/* Into the store of dir, which must hold nothing (LOCKED): the state, in one transaction. Reports. */
enum reeve_err backup_restore(const struct backup *b, const char *dir, struct report *rep) REEVE_MUST_CHECK;

#endif
