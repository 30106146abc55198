/*
 * arena.h - memory that is freed together, with an ordered clean-up list
 *
 * A scope owns what is allocated from it and runs its clean-ups last-in
 * first-out when reset or freed. Chain: process -> session -> statement;
 * always a parameter, never a "current" global. Allocation beyond the bound
 * given at init, or a refusing malloc, returns NULL.
 */
#ifndef REEVE_COMMON_ARENA_H
#define REEVE_COMMON_ARENA_H

#include "common/types.h"

struct arena_block;
struct arena_cleanup;
struct arena {
    struct arena_block *blocks;
    struct arena_cleanup *cleanups;
    size_t used, max;
};

void arena_init(struct arena *a, size_t max);
/* Runs clean-ups and frees everything; the arena stays usable. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);
/* Zeroed, 16-byte aligned. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
/* Copies and terminates. */
char *arena_strndup(struct arena *a, const void *p, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct slice arena_copy(struct arena *a, struct slice s);
/* False (and fn is called at once) when memory is short. */
bool arena_on_reset(struct arena *a, void (*fn)(void *), void *arg);

#endif
