/* wal_int.h - what the files of this folder share */
#ifndef REEVE_ENGINE_WAL_INT_H
#define REEVE_ENGINE_WAL_INT_H

#include "engine/wal.h"
#include "engine/wal_brokenlist.h"

#define WAL_MAGIC_FRAME 0x52565746u     /* "RVWF" */
#define WAL_MAGIC_IDENT 0x52565749u
#define WAL_MAGIC_META  0x5256574du
#define WAL_EPOCH_FAR   (UINT32_MAX / 2)        /* no log of 64 MiB segments gets there */

void wal_hard_encode(struct wr *w, const struct wal_hard *h);
void wal_hard_decode(struct rd *r, struct wal_hard *h);
/* out has WAL_ENTRY_HEAD and the data's bytes. */
void wal_entry_encode(uint8_t *out, const struct wal_entry *e);

#endif
