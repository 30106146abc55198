/* arena.c - blocks that double, clean-ups that run last-in first-out. */
#include "common/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_MIN 4096u

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(16) uint8_t mem[];
};

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*fn)(void *);
    void *arg;
};

void arena_init(struct arena *a, size_t max)
{
    memset(a, 0, sizeof *a);
    a->max = max;
}

void arena_reset(struct arena *a)
{
    while (a->cleanups != NULL) {
        struct arena_cleanup *c = a->cleanups;
        a->cleanups = c->next;
        c->fn(c->arg);
    }
    while (a->blocks != NULL) {
        struct arena_block *b = a->blocks;
        a->blocks = b->next;
        free(b);
    }
    a->used = 0;
}

void arena_free(struct arena *a)
{
    arena_reset(a);
}

static struct arena_block *add_block(struct arena *a, size_t size)
{
    size_t cap = a->blocks ? a->blocks->cap * 2 : BLOCK_MIN;
    if (cap > 1u << 20)
        cap = 1u << 20;
    if (cap < size)
        cap = size;
    struct arena_block *b = malloc(sizeof *b + cap);
    if (b == NULL)
        return NULL;
    b->next = a->blocks;
    b->used = 0;
    b->cap = cap;
    a->blocks = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > a->max)
        return NULL;
    size = (size + 15) & ~(size_t) 15;
    if (size > a->max - a->used)
        return NULL;
    struct arena_block *b = a->blocks;
    if ((b == NULL || b->cap - b->used < size) && (b = add_block(a, size)) == NULL)
        return NULL;
    void *p = b->mem + b->used;
    b->used += size;
    a->used += size;
    memset(p, 0, size);
    return p;
}

char *arena_strndup(struct arena *a, const void *p, size_t len)
{
    char *s = arena_alloc(a, len + 1);
    if (s != NULL && len > 0)
        memcpy(s, p, len);
    return s;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    return slice_of(arena_strndup(a, s.p, s.len), s.len);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : arena_alloc(a, (size_t) n + 1);
    if (s == NULL)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(s, (size_t) n + 1, fmt, ap);
    va_end(ap);
    return s;
}

bool arena_on_reset(struct arena *a, void (*fn)(void *), void *arg)
{
    struct arena_cleanup *c = arena_alloc(a, sizeof *c);
    if (c == NULL) {
        fn(arg);
        return false;
    }
    *c = (struct arena_cleanup){ a->cleanups, fn, arg };
    a->cleanups = c;
    return true;
}
