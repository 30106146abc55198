/* vectors.h - the vectors of docs/protocol read as JSON (test_frames, test_token) */
#ifndef REEVE_TEST_VECTORS_H
#define REEVE_TEST_VECTORS_H

#include "common/text.h"
#include "engine/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <jansson.h>

static inline json_t *vectors_load(const char *name)
{
    char path[512];
    json_error_t e;
    snprintf(path, sizeof path, "%s/docs/protocol/vectors/%s", SRCDIR, name);
    json_t *j = json_load_file(path, 0, &e);
    if (j == NULL)
        fail_msg("%s: %s", path, e.text);
    return j;
}

static inline const char *text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return v ? json_string_value(v) : NULL;
}

/* Memory that lives as long as the test program; a list keeps it reachable. */
static inline void *keep(size_t len)
{
    static void *last;
    void **p = calloc(1, sizeof *p + len + 1);
    assert_non_null(p);
    *p = last;
    last = p;
    return p + 1;
}

/* Bytes of a hex member. */
static inline struct slice hex_of(const char *hex)
{
    size_t n = strlen(hex) / 2;
    uint8_t *p = keep(n);
    assert_true(hex_decode(p, n, slice_str(hex)));
    return slice_of(p, n);
}

static inline enum reeve_err err_of(const char *name)
{
    for (int e = 0; e < REEVE_E__COUNT; e++)
        if (strcmp(reeve_err_name((enum reeve_err) e), name) == 0)
            return (enum reeve_err) e;
    fail_msg("no error is called %s", name);
    return REEVE_E_BUG;
}

static inline void assert_bytes(struct slice got, struct slice want, const char *what)
{
    if (slice_eq(got, want))
        return;
    char *a = calloc(2, got.len + 1), *b = calloc(2, want.len + 1);
    hex_encode(a, got.p, got.len);
    hex_encode(b, want.p, want.len);
    fail_msg("%s\n got %s\nwant %s", what, a, b);
}

#endif
