/*
 * wal_brokenlist.h - WAL_BROKEN_RULE(number, what is left out), included with the macro set
 *
 * Rules of the log that can be broken one at a time, so that tests and the
 * simulator can be shown to notice. In a program compiled with WAL_BREAKABLE the
 * variable wal_broken names the broken one (0: none); everywhere else
 * WAL_BROKEN(n) is the constant 0 and nothing of this is in the code.
 */
#ifdef WAL_BROKEN_RULE
WAL_BROKEN_RULE(1, "a torn last batch is taken for damage of something durable")
WAL_BROKEN_RULE(2, "the identity ring is ignored: damage at the end is taken for a torn batch")
WAL_BROKEN_RULE(3, "the sum of the previous batch is not checked")
WAL_BROKEN_RULE(4, "neither epoch nor sequence is checked: old frames of a recycled segment count")
WAL_BROKEN_RULE(5, "segments are dropped before the cut is durable")
WAL_BROKEN_RULE(6, "an append counts as durable when its write begins")
WAL_BROKEN_RULE(7, "the sum of the entries is not checked")
WAL_BROKEN_RULE(8, "nobody looks for later batches behind a bad one")
WAL_BROKEN_RULE(9, "a record is written before its batch is durable")
WAL_BROKEN_RULE(10, "a lower first does not supersede what stood there")
WAL_BROKEN_RULE(11, "only one of the two metas is written")
WAL_BROKEN_RULE(12, "after a restart the log goes on in the segment it ended in, at the next free block, whatever stands there")
WAL_BROKEN_RULE(13, "a cut is written into the metas before the appends that precede it are durable")
#else
#ifndef REEVE_ENGINE_WAL_BROKEN_H
#define REEVE_ENGINE_WAL_BROKEN_H
#ifdef WAL_BREAKABLE
extern unsigned wal_broken;
#define WAL_BROKEN(n) (wal_broken == (n))
#else
#define WAL_BROKEN(n) 0
#endif
#endif
#endif
