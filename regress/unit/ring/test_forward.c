/* test_forward.c - letters between ring processes as bytes, who is let in with what, what a member may not have attested. */
#include "../unit.h"

#include "backend/ring/forward.h"

/* ---- letters ---- */

static struct slice put(const struct letter *l, struct slice rest, uint8_t *mem, size_t cap)
{
    struct wr w = wr_fixed(mem, cap);
    letter_encode(l, &w);
    wr_bytes(&w, rest.p, rest.len);
    assert_false(w.bad);
    return wr_slice(&w);
}

static struct letter answer_of(enum reeve_err err, const char *message, const char *hint)
{
    struct letter l = { .what = LETTER_ANSWER, .id = 7 };
    report_set(&l.rep, err, "%s", message);
    report_hint(&l.rep, "%s", hint);
    return l;
}

static void what_is_written_is_read(void **state)
{
    uint8_t mem[FORWARD_HEAD_MAX + 100];
    struct letter got, ask = { .what = LETTER_ASK, .id = 1, .kind = FORWARD_SUBMIT, .size = 77 };
    struct letter grant = { .what = LETTER_GRANT, .id = UINT64_MAX, .ticket = 5 };
    struct letter body = { .what = LETTER_BODY, .id = 3, .ticket = 6 };
    assert_ok(letter_decode(&got, put(&ask, slice_of(NULL, 0), mem, sizeof mem)));
    assert_true(got.what == LETTER_ASK && got.id == 1 && got.kind == FORWARD_SUBMIT && got.size == 77);
    assert_ok(letter_decode(&got, put(&grant, slice_of(NULL, 0), mem, sizeof mem)));
    assert_true(got.what == LETTER_GRANT && got.id == UINT64_MAX && got.ticket == 5);
    assert_ok(letter_decode(&got, put(&body, slice_str("request"), mem, sizeof mem)));
    assert_true(got.what == LETTER_BODY && got.ticket == 6 && slice_eq(got.rest, slice_str("request")));
    struct letter ok = { .what = LETTER_ANSWER, .id = 7 };
    assert_ok(letter_decode(&got, put(&ok, slice_str("result"), mem, sizeof mem)));
    assert_true(got.rep.code == REEVE_OK && slice_eq(got.rest, slice_str("result")));
}

static void every_error_travels_by_its_name(void **state)
{
    uint8_t mem[FORWARD_HEAD_MAX];
    for (unsigned e = 1; e < REEVE_E__COUNT; e++) {
        struct letter got, l = answer_of((enum reeve_err) e, "what happened", "what to do");
        assert_ok(letter_decode(&got, put(&l, slice_of(NULL, 0), mem, sizeof mem)));
        /* two errors never share a name, or one would come out as the other */
        assert_int_equal(got.rep.code, e);
        assert_string_equal(got.rep.message, "what happened");
        assert_string_equal(got.rep.detail, "");
        assert_string_equal(got.rep.hint, "what to do");
    }
}

static struct slice answer_raw(const char *name, struct slice message, uint8_t *mem, size_t cap)
{
    struct wr w = wr_fixed(mem, cap);
    wr_u8(&w, 1);
    wr_u8(&w, LETTER_ANSWER);
    wr_u64(&w, 9);
    wr_str16(&w, slice_str(name));
    wr_str16(&w, message);
    wr_str16(&w, slice_of(NULL, 0));
    wr_str16(&w, slice_of(NULL, 0));
    assert_false(w.bad);
    return wr_slice(&w);
}

static void an_error_of_a_newer_build_leaves_the_outcome_open(void **state)
{
    uint8_t mem[256];
    struct letter got;
    assert_ok(letter_decode(&got, answer_raw("NOT_INVENTED_YET", slice_str("something new"), mem, sizeof mem)));
    assert_int_equal(got.rep.code, REEVE_E_UNKNOWN_OUTCOME);
    assert_string_equal(got.rep.message, "something new");
}

static void what_a_person_reads_is_text(void **state)
{
    uint8_t mem[2048], all[511];
    struct letter got;
    assert_ok(letter_decode(&got, answer_raw("BUSY", slice_str("a\x1b[2Jb\nc\x7f" "d"), mem, sizeof mem)));
    assert_string_equal(got.rep.message, "a [2Jb c d");
    assert_ok(letter_decode(&got, answer_raw("BUSY", slice_str("gr\xc3\xbc\xc3\x9f"), mem, sizeof mem)));
    assert_string_equal(got.rep.message, "gr\xc3\xbc\xc3\x9f");
    assert_ok(letter_decode(&got, answer_raw("BUSY", slice_str("cut gr\xc3"), mem, sizeof mem)));
    assert_string_equal(got.rep.message, "cut gr?");
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t) i;
    assert_ok(letter_decode(&got, answer_raw("BUSY", slice_of(all, sizeof all), mem, sizeof mem)));
    assert_int_equal(strlen(got.rep.message), sizeof all);
}

static void what_does_not_fit_the_form_is_refused(void **state)
{
    static uint8_t mem[FORWARD_RESULT_MAX + FORWARD_HEAD_MAX], big[FORWARD_RESULT_MAX + 1], text[513];
    struct letter got, ok = { .what = LETTER_ANSWER, .id = 7 }, err = answer_of(REEVE_E_BUSY, "m", "h");
    struct letter none = { .what = LETTER_ASK, .kind = FORWARD_SUBMIT, .size = 1 }, free = { .what = LETTER_BODY, .id = 1 };
    memset(text, 'x', sizeof text);
    assert_ok(letter_decode(&got, put(&ok, slice_of(big, FORWARD_RESULT_MAX), mem, sizeof mem)));
    assert_err(letter_decode(&got, put(&ok, slice_of(big, FORWARD_RESULT_MAX + 1), mem, sizeof mem)), REEVE_E_MALFORMED);
    assert_err(letter_decode(&got, put(&err, slice_str("x"), mem, sizeof mem)), REEVE_E_MALFORMED);
    assert_err(letter_decode(&got, put(&none, slice_of(NULL, 0), mem, sizeof mem)), REEVE_E_MALFORMED);
    assert_err(letter_decode(&got, put(&free, slice_of(NULL, 0), mem, sizeof mem)), REEVE_E_MALFORMED);
    assert_err(letter_decode(&got, answer_raw("BUSY", slice_of(text, 512), mem, sizeof mem)), REEVE_E_MALFORMED);
    assert_err(letter_decode(&got, answer_raw("", slice_str("m"), mem, sizeof mem)), REEVE_E_MALFORMED);
    for (unsigned what = 0; what < 256; what++) {
        uint8_t head[] = { 1, (uint8_t) what, 0, 0, 0, 0, 0, 0, 0, 1 };
        assert_err(letter_decode(&got, slice_of(head, sizeof head)), REEVE_E_MALFORMED);
        head[0] = (uint8_t) what;
        head[1] = LETTER_GRANT;
        assert_err(letter_decode(&got, slice_of(head, sizeof head)), REEVE_E_MALFORMED);
    }
}

/* With ASan every read past the end is seen: each letter lies in memory of its own size. */
static void any_bytes_are_read_or_refused(void **state)
{
    struct rng rng = rng_seeded("any_bytes_are_read_or_refused");
    uint8_t mem[FORWARD_HEAD_MAX];
    struct letter got, some[] = { { .what = LETTER_ASK, .id = 1, .kind = 1, .size = 9 },
                                  { .what = LETTER_GRANT, .id = 2, .ticket = 3 },
                                  { .what = LETTER_BODY, .id = 2, .ticket = 3 },
                                  answer_of(REEVE_E_CONFLICT, "message", "hint") };
    for (unsigned i = 0; i < 100000; i++) {
        struct slice s = put(&some[i % 4], slice_str("rest"), mem, sizeof mem);
        if (i % 4 == 3)
            s.len -= 4;
        size_t len = rng_below(&rng, (uint32_t) s.len + 1);
        uint8_t *own = malloc(len + 1);
        memcpy(own, s.p, len);
        for (uint32_t k = rng_below(&rng, 4); k > 0 && len > 0; k--)
            own[rng_below(&rng, (uint32_t) len)] = (uint8_t) rng_next(&rng);
        uint8_t *tight = realloc(own, len ? len : 1);
        if (letter_decode(&got, slice_of(tight, len)) == REEVE_OK) {
            assert_true(got.id != 0 && got.what >= LETTER_ASK && got.what <= LETTER_ANSWER);
            assert_true(got.rest.len == 0 || (got.rest.p >= tight && got.rest.p + got.rest.len <= tight + len));
            assert_true(strlen(got.rep.message) < sizeof got.rep.message);
        }
        free(tight);
    }
}

static void a_result_has_the_form_of_its_kind(void **state)
{
    uint8_t mem[AUTHORITY_CHAIN_MAX + 100] = { 0 };
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_str16(&w, slice_str("0123456789abcdef0123456789abcdef"));
    wr_str32(&w, slice_str("a certificate"));
    assert_true(forward_result_is(FORWARD_AUTHORITY_KEY, wr_slice(&w)));
    for (size_t n = 0; n < w.len; n++)
        assert_false(forward_result_is(FORWARD_AUTHORITY_KEY, slice_of(mem, n)));
    assert_false(forward_result_is(FORWARD_AUTHORITY_KEY, slice_of(mem, w.len + 1)));
    for (size_t n = 0; n < 40; n++) {
        assert_int_equal(forward_result_is(FORWARD_SUBMIT, slice_of(mem, n)), n == 16);
        assert_int_equal(forward_result_is(FORWARD_RING_CHANGE, slice_of(mem, n)), n == 0);
        assert_int_equal(forward_result_is(FORWARD_SHARED_KEY, slice_of(mem, n)), n == 32);
        assert_false(forward_result_is(0, slice_of(mem, n)));
        assert_false(forward_result_is(FORWARD__COUNT, slice_of(mem, n)));
    }
}

static void what_ends_a_session_there_is_here_a_refusal_or_a_doubt(void **state)
{
    assert_err(forward_word(REEVE_E_SHUTDOWN, true), REEVE_E_UNAVAILABLE);      /* it gave up what it had not begun */
    assert_err(forward_word(REEVE_E_SHUTDOWN, false), REEVE_E_UNAVAILABLE);
    assert_err(forward_word(REEVE_E_TIMEOUT, true), REEVE_E_UNKNOWN_OUTCOME);
    assert_err(forward_word(REEVE_E_TIMEOUT, false), REEVE_E_UNAVAILABLE);
    assert_err(forward_word(REEVE_E_CONFLICT, true), REEVE_E_CONFLICT);
    for (unsigned e = 0; e < 2 * REEVE_E__COUNT; e++) {
        enum reeve_err here = forward_word((enum reeve_err) (e / 2), e % 2);
        assert_true(here != REEVE_E_SHUTDOWN && here != REEVE_E_MALFORMED && here != REEVE_E_CLOSED && here != REEVE_E_TIMEOUT &&
                    here != REEVE_E_CANCELED);
        assert_int_equal(here == REEVE_OK, e / 2 == REEVE_OK);
    }
}

/* ---- guests ---- */

static struct letter ask_of(uint64_t id, uint8_t kind, uint32_t size)
{
    return (struct letter){ .what = LETTER_ASK, .id = id, .kind = kind, .size = size };
}

static enum reeve_err admit(struct guests *gs, uint32_t from, uint64_t id, uint8_t kind, uint32_t size, int64_t now)
{
    struct letter l = ask_of(id, kind, size);
    struct guest *g;
    return guests_admit(gs, from, 10 + from, &l, 1000 + id, now, &g);
}

static const uint8_t zeros[IPC_BODY_MAX];
static struct guest *take(struct guests *gs, uint32_t from, uint64_t way, uint64_t id, uint64_t ticket, size_t size, int64_t now)
{
    struct letter l = { .what = LETTER_BODY, .id = id, .ticket = ticket, .rest = slice_of(zeros, size) };
    return guests_take(gs, from, way, &l, now);
}

static void a_ticket_is_taken_once_and_by_its_owner(void **state)
{
    struct guests gs = { 0 };
    assert_ok(admit(&gs, 2, 1, FORWARD_SUBMIT, 50, 0));
    assert_null(take(&gs, 3, 12, 1, 1001, 50, 0));         /* another member */
    assert_null(take(&gs, 2, 12, 1, 1002, 50, 0));         /* another ticket */
    assert_null(take(&gs, 2, 12, 2, 1001, 50, 0));         /* another request */
    struct guest *g = take(&gs, 2, 12, 1, 1001, 50, 0);
    assert_non_null(g);
    assert_int_equal(g->kind, FORWARD_SUBMIT);
    assert_null(take(&gs, 2, 12, 1, 1001, 50, 0));         /* again */
    assert_err(admit(&gs, 2, 1, FORWARD_SUBMIT, 50, 0), REEVE_E_MALFORMED);
    guest_end(g);
    assert_ok(admit(&gs, 2, 1, FORWARD_SUBMIT, 50, 0));
}

static void what_is_not_as_it_was_asked_for_loses_its_ticket(void **state)
{
    struct guests gs = { 0 };
    assert_ok(admit(&gs, 2, 1, FORWARD_SUBMIT, 50, 0));
    assert_null(take(&gs, 2, 12, 1, 1001, 51, 0));
    assert_null(take(&gs, 2, 12, 1, 1001, 50, 0));
    assert_ok(admit(&gs, 2, 2, FORWARD_SUBMIT, 50, 0));
    assert_null(take(&gs, 2, 13, 2, 1002, 50, 0));         /* other connections */
    assert_ok(admit(&gs, 2, 3, FORWARD_SUBMIT, 50, 0));
    assert_null(take(&gs, 2, 12, 3, 1003, 50, FORWARD_GRANT_MS));
    assert_ok(admit(&gs, 2, 4, FORWARD_SUBMIT, 50, 0));
    assert_non_null(take(&gs, 2, 12, 4, 1004, 50, FORWARD_GRANT_MS - 1));
}

static void each_kind_has_its_size(void **state)
{
    struct guests gs = { 0 };
    for (uint8_t kind = 1; kind < FORWARD__COUNT; kind++) {
        uint32_t max = forward_rule(kind)->size_max;
        assert_err(admit(&gs, kind, 1, kind, 0, 0), REEVE_E_MALFORMED);
        assert_err(admit(&gs, kind, 2, kind, max + 1, 0), REEVE_E_MALFORMED);
        assert_err(admit(&gs, kind, 3, kind, UINT32_MAX, 0), REEVE_E_MALFORMED);
        assert_ok(admit(&gs, kind, 4, kind, max, 0));
    }
    assert_err(admit(&gs, 9, 1, 0, 1, 0), REEVE_E_MALFORMED);
    assert_err(admit(&gs, 9, 1, FORWARD__COUNT, 1, 0), REEVE_E_MALFORMED);
    assert_null(forward_rule(255));
}

static void one_member_keeps_no_other_out(void **state)
{
    struct guests gs = { 0 };
    uint64_t id = 0;
    while (admit(&gs, 2, ++id, FORWARD_SUBMIT, 1, 0) == REEVE_OK)
        ;
    assert_int_equal(id - 1, FORWARD_MEMBER_MAX);
    while (admit(&gs, 3, ++id, FORWARD_SUBMIT, IPC_BODY_MAX, 0) == REEVE_OK)
        ;
    assert_int_equal(id - 2 - FORWARD_MEMBER_MAX, FORWARD_MEMBER_BYTES / IPC_BODY_MAX);
    assert_ok(admit(&gs, 4, ++id, FORWARD_SUBMIT, IPC_BODY_MAX, 0));
}

static uint64_t way_stands(void *arg, uint32_t from) { return *(bool *) arg ? 10 + from : 0; }

static void a_ticket_ends_with_its_time_or_its_connection_and_what_runs_stays(void **state)
{
    struct guests gs = { 0 };
    bool stands = true;
    for (uint64_t id = 1; id <= 4; id++)
        assert_ok(admit(&gs, 2, id, FORWARD_SUBMIT, 1, (int64_t) id));
    assert_non_null(take(&gs, 2, 12, 4, 1004, 1, 5));
    assert_int_equal(guests_expire(&gs, 5, way_stands, &stands), 4);
    assert_int_equal(guests_expire(&gs, FORWARD_GRANT_MS + 2, way_stands, &stands), 2);
    stands = false;
    assert_int_equal(guests_expire(&gs, FORWARD_GRANT_MS + 2, way_stands, &stands), 1);
    assert_int_equal(guests_expire(&gs, INT64_MAX, way_stands, &stands), 1);
}

static void keys_are_counted_by_the_minute_for_each_member(void **state)
{
    struct guests gs = { 0 };
    uint64_t id = 0;
    unsigned n = 0;
    for (int64_t now = 0; now < 60000; now += 100)
        if (admit(&gs, 2, ++id, FORWARD_SHARED_KEY, 10, now) == REEVE_OK) {
            n++;
            guest_end(take(&gs, 2, 12, id, 1000 + id, 10, now));
        }
    assert_int_equal(n, FORWARD_KEYS_MAX);
    assert_ok(admit(&gs, 3, 1, FORWARD_SHARED_KEY, 10, 59999));
    assert_ok(admit(&gs, 2, ++id, FORWARD_SUBMIT, 10, 59999));
    assert_err(admit(&gs, 2, ++id, FORWARD_SHARED_KEY, 10, 59999), REEVE_E_BUSY);
    assert_ok(admit(&gs, 2, ++id, FORWARD_SHARED_KEY, 10, 60000));
}

/* The table against a list that is searched for everything. */
struct twin { uint32_t from, size; uint64_t id, ticket; int64_t until; bool runs; struct guest *g; };

static enum reeve_err twin_admit(const struct twin *t, size_t n, uint32_t from, uint64_t id, uint32_t size)
{
    size_t own = 0;
    uint64_t bytes = size, own_bytes = size;
    for (size_t i = 0; i < n; i++) {
        if (t[i].from == from && t[i].id == id)
            return REEVE_E_MALFORMED;
        bytes += t[i].size;
        own += t[i].from == from;
        own_bytes += t[i].from == from ? t[i].size : 0;
    }
    bool full = n == FORWARD_MAX || bytes > FORWARD_BYTES_MAX;
    return full || own == FORWARD_MEMBER_MAX || own_bytes > FORWARD_MEMBER_BYTES ? REEVE_E_BUSY : REEVE_OK;
}

static void the_table_lets_in_whom_its_rules_let_in(void **state)
{
    struct rng rng = rng_seeded("the_table_lets_in_whom_its_rules_let_in");
    struct guests gs = { 0 };
    struct twin t[FORWARD_MAX];
    size_t n = 0;
    int64_t now = 0;
    bool stands = true;
    for (unsigned round = 0; round < 50000; round++) {
        now += rng_below(&rng, 100);
        unsigned left = guests_expire(&gs, now, way_stands, &stands);
        for (size_t i = 0; i < n;)
            if (!t[i].runs && now >= t[i].until)
                t[i] = t[--n];
            else
                i++;
        assert_int_equal(left, n);
        uint32_t what = rng_below(&rng, 10), from = 2 + rng_below(&rng, 6);
        if (what < 6) {
            uint32_t size = rng_below(&rng, 20) ? 1 + rng_below(&rng, 1000) : 1 + rng_below(&rng, IPC_BODY_MAX);
            uint64_t id = rng_below(&rng, 1000);
            struct letter l = ask_of(id, FORWARD_SUBMIT, size);
            struct guest *g;
            enum reeve_err want = twin_admit(t, n, from, id, size);
            assert_err(guests_admit(&gs, from, 10 + from, &l, round + 1, now, &g), want);
            if (want == REEVE_OK)
                t[n++] = (struct twin){ from, size, id, round + 1, now + FORWARD_GRANT_MS, false, g };
        } else if (n > 0) {
            struct twin *x = &t[rng_below(&rng, (uint32_t) n)];
            struct guest *g = what < 8 ? take(&gs, x->from, 10 + x->from, x->id, x->ticket, x->size, now) : NULL;
            if (what < 8) {
                assert_ptr_equal(g, x->runs ? NULL : x->g);
                x->runs = true;
            } else if (x->runs) {
                guest_end(x->g);
                *x = t[--n];
            }
        }
    }
}

/* ---- what another member may not have attested ---- */

static struct region_doc doc;
static uint8_t was[1024], is[1024];
static struct attest_object now_;

static struct update region_update(const struct region_doc *d, uint64_t version)
{
    struct wr w = wr_fixed(is, sizeof is);
    struct update u = { .type = AT_REGION, .op = 1, .version = version };
    region_doc_encode(d, &w);
    assert_false(w.bad);
    name_set_str(&u.object, "eu");
    u.payload = wr_slice(&w);
    u.prev = now_.leaf_hash;
    return u;
}

static int region_start(void **state)
{
    struct wr w = wr_fixed(was, sizeof was);
    doc = (struct region_doc){ .state = REGION_OK, .n_members = 2 };
    memset(&doc.key, 1, sizeof doc.key);
    for (unsigned i = 0; i < 2; i++) {
        doc.member[i].id = i + 2;
        memset(&doc.member[i].key, (int) i + 2, sizeof doc.member[i].key);
        memset(&doc.member[i].seal_key, (int) i + 12, sizeof doc.member[i].seal_key);
    }
    region_doc_encode(&doc, &w);
    now_ = (struct attest_object){ .version = 4 };
    memset(&now_.leaf_hash, 9, sizeof now_.leaf_hash);
    now_.update.payload = wr_slice(&w);
    return 0;
}

static void judged(const struct region_doc *d, enum reeve_err want)
{
    struct report rep = { 0 };
    struct update u = region_update(d, 5);
    assert_err(forward_judge_region(&u, &now_, &rep), want);
    assert_true(want == REEVE_OK || rep.message[0] != '\0');
}

static void a_member_may_freeze_the_region(void **state)
{
    struct region_doc d = doc;
    d.state = REGION_FROZEN;
    judged(&d, REEVE_OK);
}

static void who_speaks_for_the_region_is_not_said_by_another_member(void **state)
{
    struct region_doc d = doc;
    d.key.b[31] ^= 1;
    judged(&d, REEVE_E_DENIED);
    d = doc;
    d.n_members = 1;
    judged(&d, REEVE_E_DENIED);
    d = doc;
    d.member[2] = (struct region_member){ .id = 4 };
    d.n_members = 3;
    judged(&d, REEVE_E_DENIED);
    d = doc;
    d.member[1].key.b[0] ^= 1;
    judged(&d, REEVE_E_DENIED);
    d = doc;
    d.member[1].seal_key.b[0] ^= 1;
    judged(&d, REEVE_E_DENIED);
    d = doc;
    d.member[1].id = 4;
    judged(&d, REEVE_E_DENIED);
}

/* One that is judged by an older state than the one it will meet would pass with anything in it. */
static void a_change_of_the_region_follows_what_is_known(void **state)
{
    struct report rep = { 0 };
    struct region_doc d = doc;
    d.state = REGION_FROZEN;
    for (uint64_t version = 0; version < 10; version++) {
        struct update u = region_update(&d, version);
        assert_err(forward_judge_region(&u, &now_, &rep), version == 5 ? REEVE_OK : REEVE_E_CONFLICT);
    }
    struct update u = region_update(&d, 5);
    u.prev.b[3] ^= 1;
    assert_err(forward_judge_region(&u, &now_, &rep), REEVE_E_CONFLICT);
    u = region_update(&d, 5);
    u.op = 2;
    assert_err(forward_judge_region(&u, &now_, &rep), REEVE_E_DENIED);
    u = region_update(&d, 5);
    u.payload.len--;
    assert_err(forward_judge_region(&u, &now_, &rep), REEVE_E_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(every_error_travels_by_its_name),
        cmocka_unit_test(an_error_of_a_newer_build_leaves_the_outcome_open),
        cmocka_unit_test(what_a_person_reads_is_text),
        cmocka_unit_test(what_does_not_fit_the_form_is_refused),
        cmocka_unit_test(any_bytes_are_read_or_refused),
        cmocka_unit_test(a_result_has_the_form_of_its_kind),
        cmocka_unit_test(what_ends_a_session_there_is_here_a_refusal_or_a_doubt),
        cmocka_unit_test(a_ticket_is_taken_once_and_by_its_owner),
        cmocka_unit_test(what_is_not_as_it_was_asked_for_loses_its_ticket),
        cmocka_unit_test(each_kind_has_its_size),
        cmocka_unit_test(one_member_keeps_no_other_out),
        cmocka_unit_test(a_ticket_ends_with_its_time_or_its_connection_and_what_runs_stays),
        cmocka_unit_test(keys_are_counted_by_the_minute_for_each_member),
        cmocka_unit_test(the_table_lets_in_whom_its_rules_let_in),
        cmocka_unit_test_setup(a_member_may_freeze_the_region, region_start),
        cmocka_unit_test_setup(who_speaks_for_the_region_is_not_said_by_another_member, region_start),
        cmocka_unit_test_setup(a_change_of_the_region_follows_what_is_known, region_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
