/*
 * pg_frames.c - fuzz target of what SQL clients send: frames, start-up
 * packets, messages, SCRAM, stored verifiers, hba files
 *
 * The first byte chooses: 0 the stream after log-in, 1 the stream before,
 * 2 SCRAM's two messages (split at the first newline), 3 a verifier, 4 an hba
 * file, 5 start-up options.
 */
#include "backend/libpq/frame.h"
#include "backend/libpq/hba.h"
#include "backend/libpq/scram.h"
#include "crypto/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void message(struct arena *a, uint8_t type, struct slice body)
{
    struct slice text;
    struct pq_parse p;
    struct pq_bind b;
    struct pq_execute e;
    struct pq_target t;
    struct pq_sasl_initial i;
    switch (type) {
    case 'Q':
        (void) !pq_query_parse(&text, body);
        break;
    case 'P':
        (void) !pq_parse_parse(a, &p, body);
        break;
    case 'B':
        if (pq_bind_parse(a, &b, body) == REEVE_OK)
            for (int k = 0; k < b.nparams; k++)
                reeve_assert(b.params[k].p == NULL || b.params[k].len <= body.len);
        break;
    case 'E':
        (void) !pq_execute_parse(&e, body);
        break;
    case 'C': case 'D':
        (void) !pq_target_parse(&t, body);
        break;
    case 'p':
        (void) !pq_sasl_initial_parse(&i, body);
        break;
    }
}

static void messages(struct arena *a, struct slice in)
{
    uint8_t type;
    struct slice body;
    size_t used;
    while (frame_message(in, PQ_FRAME_MAX, &type, &body, &used) == REEVE_OK) {
        reeve_assert(used <= in.len && body.len == used - 5);
        message(a, type, body);
        in = slice_of(in.p + used, in.len - used);
    }
}

static void options(struct arena *a, struct slice rest)
{
    struct slice name, value;
    bool more = true;
    while (more && pq_option_next(a, &rest, &name, &value, &more) == REEVE_OK)
        continue;
}

static void startup(struct arena *a, struct slice in)
{
    struct pq_startup s;
    struct slice body, name, value;
    size_t used, at = 0;
    if (frame_startup(in, &body, &used) != REEVE_OK || pq_startup_parse(&s, body) != REEVE_OK)
        return;
    if (s.code >> 16 != 3)
        return;
    while (pq_startup_param(&s, &at, &name, &value))
        reeve_assert(at <= s.params.len);
    options(a, s.options);
}

static void scram(struct slice in)
{
    struct scram x;
    struct scram_verifier v;
    struct report rep = { 0 };
    uint8_t mem[2048], secret[32] = { 1 };
    struct wr out = wr_fixed(mem, sizeof mem);
    const uint8_t *nl = in.len ? memchr(in.p, '\n', in.len) : NULL;
    struct slice first = slice_of(in.p, nl ? (size_t) (nl - in.p) : in.len);
    scram_verifier_mock(&v, first, secret);
    scram_init(&x, &v, true, slice_of(NULL, 0));
    if (scram_first(&x, slice_str(SCRAM_NAME), first, &out, &rep) == REEVE_OK && nl != NULL) {
        wr_reset(&out);
        reeve_assert(scram_final(&x, slice_of(nl + 1, in.len - first.len - 1), &out, &rep) != REEVE_OK);
    }
}

static void verifier(struct slice in)
{
    struct scram_verifier v;
    char text[SCRAM_VERIFIER_MAX];
    struct scram_verifier again;
    if (!scram_verifier_parse(&v, in))
        return;
    scram_verifier_text(text, &v);
    reeve_assert(scram_verifier_parse(&again, slice_str(text)) && memcmp(&v, &again, sizeof v) == 0);
}

static void rules(struct arena *a, struct slice in)
{
    struct hba h;
    struct report rep = { 0 };
    struct hba_client c = { .local = true, .database = slice_str("reeve"), .user = slice_str("ann") };
    if (hba_parse(&h, a, in, &rep) == REEVE_OK)
        (void) hba_match(&h, &c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static bool ready;
    struct arena a;
    if (!ready)
        ready = crypto_init() == REEVE_OK;
    if (len == 0)
        return 0;
    struct slice in = slice_of(data + 1, len - 1);
    arena_init(&a, 64u << 20);
    switch (data[0] % 6) {
    case 0: messages(&a, in); break;
    case 1: startup(&a, in); break;
    case 2: scram(in); break;
    case 3: verifier(in); break;
    case 4: rules(&a, in); break;
    case 5: options(&a, in); break;
    }
    arena_free(&a);
    return 0;
}
