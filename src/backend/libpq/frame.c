/* frame.c - decoders of the client's messages; see the header. */
#include "backend/libpq/frame.h"

static struct slice rest_from(struct slice s, size_t off)
{
    return slice_of(s.p + off, s.len - off);
}

/* ---- cutting ---- */

enum reeve_err frame_startup(struct slice have, struct slice *body, size_t *used)
{
    if (have.len < 4)
        return REEVE_E_AGAIN;
    struct rd r = rd_of(have);
    uint32_t len = rd_u32(&r);
    if (len < 8)
        return REEVE_E_MALFORMED;
    if (len > PQ_STARTUP_MAX)
        return REEVE_E_TOO_BIG;
    if (have.len < len)
        return REEVE_E_AGAIN;
    *body = slice_of(have.p + 4, len - 4);
    *used = len;
    return REEVE_OK;
}

static bool type_known(uint8_t type)
{
    return memchr("QPBEDCSHXpFcdf", type, 14) != NULL;
}

enum reeve_err frame_message(struct slice have, size_t max, uint8_t *type, struct slice *body, size_t *used)
{
    if (have.len < 1)
        return REEVE_E_AGAIN;
    if (!type_known(have.p[0]))
        return REEVE_E_MALFORMED;
    if (have.len < 5)
        return REEVE_E_AGAIN;
    struct rd r = rd_of(rest_from(have, 1));
    uint32_t len = rd_u32(&r);
    if (len < 4)
        return REEVE_E_MALFORMED;
    if (len > max)
        return REEVE_E_TOO_BIG;
    if (have.len - 1 < len)
        return REEVE_E_AGAIN;
    *type = have.p[0];
    *body = slice_of(have.p + 5, len - 4);
    *used = 1 + (size_t) len;
    return REEVE_OK;
}

/* A NUL-terminated string, without its NUL. */
static struct slice rd_cstr(struct rd *r)
{
    const uint8_t *nul = rd_left(r) ? memchr(r->p, 0, rd_left(r)) : NULL;
    if (nul == NULL) {
        r->bad = true;
        return slice_of(NULL, 0);
    }
    struct slice s = rd_bytes(r, (size_t) (nul - r->p));
    rd_u8(r);
    return s;
}

/* ---- start-up ---- */

static bool is(struct slice s, const char *text) { return slice_eq(s, slice_str(text)); }

static void startup_note(struct pq_startup *out, struct slice name, struct slice value)
{
    if (is(name, "user"))
        out->user = value;
    else if (is(name, "database"))
        out->database = value;
    else if (is(name, "options"))
        out->options = value;
    else if (is(name, "replication"))
        out->replication = value;
    else if (name.len >= 5 && memcmp(name.p, "_pq_.", 5) == 0 && out->nunknown < PQ_UNKNOWN_OPTIONS_MAX)
        out->unknown[out->nunknown++] = name;
}

static enum reeve_err startup_pairs(struct pq_startup *out, struct rd *r)
{
    out->params = slice_of(r->p, rd_left(r));
    for (;;) {
        struct slice name = rd_cstr(r);
        if (r->bad)
            return REEVE_E_MALFORMED;
        if (name.len == 0)
            return rd_done(r) ? REEVE_OK : REEVE_E_MALFORMED;
        struct slice value = rd_cstr(r);
        if (r->bad)
            return REEVE_E_MALFORMED;
        startup_note(out, name, value);
    }
}

enum reeve_err pq_startup_parse(struct pq_startup *out, struct slice body)
{
    struct rd r = rd_of(body);
    *out = (struct pq_startup){ .code = rd_u32(&r) };
    switch (out->code) {
    case PQ_CODE_CANCEL:
        out->cancel_pid = rd_u32(&r);
        out->cancel_key = rd_u32(&r);
        return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
    case PQ_CODE_SSL:
    case PQ_CODE_GSS:
        return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
    }
    if (r.bad)
        return REEVE_E_MALFORMED;
    if (out->code >> 16 != 3)
        return REEVE_OK;        /* the caller refuses the version; nothing else can be read */
    return startup_pairs(out, &r);
}

bool pq_startup_param(const struct pq_startup *s, size_t *at, struct slice *name, struct slice *value)
{
    struct rd r = rd_of(rest_from(s->params, *at));
    *name = rd_cstr(&r);
    if (r.bad || name->len == 0)
        return false;
    *value = rd_cstr(&r);
    *at = (size_t) (r.p - s->params.p);
    return !r.bad;
}

/* ---- options=-c name=value ---- */

static bool blank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The next word, unescaped, into the arena; empty slice with p == NULL at the end. */
static enum reeve_err option_word(struct arena *a, struct slice *rest, struct slice *word)
{
    size_t i = 0, n = 0;
    while (i < rest->len && blank(rest->p[i]))
        i++;
    *word = slice_of(NULL, 0);
    if (i == rest->len)
        return REEVE_OK;
    char *to = arena_alloc(a, rest->len - i + 1);
    if (to == NULL)
        return REEVE_E_NOMEM;
    for (; i < rest->len && !blank(rest->p[i]); i++) {
        if (rest->p[i] == '\\' && i + 1 < rest->len)
            i++;
        to[n++] = (char) rest->p[i];
    }
    *rest = rest_from(*rest, i);
    *word = slice_of(to, n);
    return REEVE_OK;
}

enum reeve_err pq_option_next(struct arena *a, struct slice *rest, struct slice *name, struct slice *value, bool *more)
{
    struct slice word;
    enum reeve_err err = option_word(a, rest, &word);
    *more = err == REEVE_OK && word.p != NULL;
    if (!*more)
        return err;
    bool dashes = word.len > 2 && memcmp(word.p, "--", 2) == 0;
    if (!dashes && (word.len < 2 || memcmp(word.p, "-c", 2) != 0))
        return REEVE_E_MALFORMED;
    word = rest_from(word, 2);
    if (!dashes && word.len == 0 && ((err = option_word(a, rest, &word)) != REEVE_OK || word.p == NULL))
        return err != REEVE_OK ? err : REEVE_E_MALFORMED;
    const uint8_t *eq = memchr(word.p, '=', word.len);
    if (eq == NULL || eq == word.p)
        return REEVE_E_MALFORMED;
    *name = slice_of(word.p, (size_t) (eq - word.p));
    *value = slice_of(eq + 1, word.len - name->len - 1);
    for (size_t i = 0; i < name->len; i++)
        if (name->p[i] == '-')
            ((uint8_t *) name->p)[i] = '_';
    return REEVE_OK;
}

/* ---- messages ---- */

enum reeve_err pq_query_parse(struct slice *out, struct slice body)
{
    struct rd r = rd_of(body);
    *out = rd_cstr(&r);
    return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err pq_parse_parse(struct arena *a, struct pq_parse *out, struct slice body)
{
    struct rd r = rd_of(body);
    *out = (struct pq_parse){ 0 };
    out->name = rd_cstr(&r);
    out->query = rd_cstr(&r);
    out->ntypes = rd_u16(&r);
    if (r.bad || rd_left(&r) != (size_t) out->ntypes * 4)
        return REEVE_E_MALFORMED;
    out->types = arena_alloc(a, (size_t) (out->ntypes + 1) * sizeof *out->types);
    if (out->types == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < out->ntypes; i++)
        out->types[i] = rd_u32(&r);
    return REEVE_OK;
}

static enum reeve_err rd_formats(struct arena *a, struct rd *r, int *n, uint16_t **v)
{
    *n = rd_u16(r);
    if (r->bad || rd_left(r) < (size_t) *n * 2)
        return REEVE_E_MALFORMED;
    *v = arena_alloc(a, (size_t) (*n + 1) * sizeof **v);
    if (*v == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < *n; i++)
        (*v)[i] = rd_u16(r);
    return REEVE_OK;
}

static enum reeve_err rd_params(struct arena *a, struct rd *r, int *n, struct slice **v)
{
    *n = rd_u16(r);
    if (r->bad || rd_left(r) < (size_t) *n * 4)
        return REEVE_E_MALFORMED;
    *v = arena_alloc(a, (size_t) (*n + 1) * sizeof **v);
    if (*v == NULL)
        return REEVE_E_NOMEM;
    for (int i = 0; i < *n; i++) {
        uint32_t len = rd_u32(r);
        (*v)[i] = len == UINT32_MAX ? slice_of(NULL, 0) : rd_bytes(r, len);
        if (r->bad)
            return REEVE_E_MALFORMED;
    }
    return REEVE_OK;
}

enum reeve_err pq_bind_parse(struct arena *a, struct pq_bind *out, struct slice body)
{
    enum reeve_err err;
    struct rd r = rd_of(body);
    *out = (struct pq_bind){ 0 };
    out->portal = rd_cstr(&r);
    out->stmt = rd_cstr(&r);
    TRY(rd_formats(a, &r, &out->nformats, &out->formats));
    TRY(rd_params(a, &r, &out->nparams, &out->params));
    TRY(rd_formats(a, &r, &out->nresult, &out->result));
    err = rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
out:
    return err;
}

enum reeve_err pq_execute_parse(struct pq_execute *out, struct slice body)
{
    struct rd r = rd_of(body);
    out->portal = rd_cstr(&r);
    out->max_rows = rd_u32(&r);
    /* A negative count means no limit, as in PostgreSQL. */
    if (out->max_rows > INT32_MAX)
        out->max_rows = 0;
    return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err pq_target_parse(struct pq_target *out, struct slice body)
{
    struct rd r = rd_of(body);
    out->kind = rd_u8(&r);
    out->name = rd_cstr(&r);
    bool known = out->kind == 'S' || out->kind == 'P';
    return rd_done(&r) && known ? REEVE_OK : REEVE_E_MALFORMED;
}

enum reeve_err pq_sasl_initial_parse(struct pq_sasl_initial *out, struct slice body)
{
    struct rd r = rd_of(body);
    out->mechanism = rd_cstr(&r);
    uint32_t len = rd_u32(&r);
    out->has_data = len != UINT32_MAX;
    out->data = out->has_data ? rd_bytes(&r, len) : slice_of(NULL, 0);
    return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED;
}
