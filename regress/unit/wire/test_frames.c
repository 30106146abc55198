/*
 * test_frames.c - the codec against docs/protocol/vectors/frames.json, and
 * against itself on random frames
 *
 * The vectors come from a second encoder (make.py), written from the
 * specification. Rules proved here: and R-019's flag.
 */
#include "vectors.h"

#include <time.h>

/* ---- a decoded frame as JSON, by the table ---- */

static json_t *hex_json(struct slice s)
{
    char *t = calloc(2, s.len + 1);
    hex_encode(t, s.p, s.len);
    json_t *j = json_string(t);
    free(t);
    return j;
}

static json_t *fields_json(const struct wire_field *f, const void *item);

static json_t *list_json(const struct wire_field *f, struct wire_list l)
{
    const struct wire_group_info *g = wire_group_info(f->group);
    json_t *a = json_array();
    void *item = malloc(g->size);
    while (wire_list_next(&l, f->group, item))
        json_array_append_new(a, fields_json(g->fields, item));
    assert_int_equal(l.n, 0);
    assert_int_equal(l.bytes.len, 0);
    free(item);
    return a;
}

static json_t *addr_json(const struct wire_addr *a)
{
    char t[40], h[33] = "";
    hex_encode(h, a->b, a->family == 4 ? 4 : a->family == 6 ? 16 : 0);
    snprintf(t, sizeof t, "%u:%s", a->family, h);
    return json_string(t);
}

static json_t *field_json(const struct wire_field *f, const uint8_t *at)
{
    const struct slice *s = (const void *) at;
    const struct wire_optvar *v = (const void *) at;
    switch (f->kind) {
    case WK_RAW:    return hex_json(slice_of(at, (size_t) f->max));
    case WK_U8:     return json_integer(*at);
    case WK_VAR:    return json_integer((json_int_t) *(const uint64_t *) (const void *) at);
    case WK_NAME:
    case WK_TEXT:   return json_stringn((const char *) s->p, s->len);
    case WK_BYTES:  return hex_json(*s);
    case WK_ADDR:   return addr_json((const void *) at);
    case WK_LIST:   return list_json(f, *(const struct wire_list *) (const void *) at);
    case WK_XVAR:   return v->set ? json_integer((json_int_t) v->v) : NULL;
    case WK_XBYTES: return s->p ? hex_json(*s) : NULL;
    default: return NULL;
    }
}

static json_t *fields_json(const struct wire_field *f, const void *item)
{
    json_t *o = json_object();
    for (; f->kind != WK_END; f++) {
        json_t *v = field_json(f, (const uint8_t *) item + f->at);
        if (v != NULL)
            json_object_set_new(o, f->name, v);
    }
    return o;
}

/* jansson keeps integers signed; numbers of 64 bits come as reals and are compared as such. */
static bool same_json(json_t *a, json_t *b)
{
    if (json_is_integer(a) && json_is_real(b))
        return (double) (uint64_t) json_integer_value(a) == json_real_value(b);
    if (json_is_object(a) && json_is_object(b)) {
        const char *k;
        json_t *v;
        if (json_object_size(a) != json_object_size(b))
            return false;
        json_object_foreach(a, k, v)
            if (!json_object_get(b, k) || !same_json(v, json_object_get(b, k)))
                return false;
        return true;
    }
    if (json_is_array(a) && json_is_array(b)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!same_json(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    }
    return json_equal(a, b);
}

static json_t *load(const char *name)
{
    char path[512];
    json_error_t e;
    snprintf(path, sizeof path, "%s/docs/protocol/vectors/%s", SRCDIR, name);
    json_t *j = json_load_file(path, JSON_DECODE_INT_AS_REAL, &e);
    assert_non_null(j);
    return j;
}

static uint64_t number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (v == NULL)
        return 0;
    double d = json_number_value(v);
    return d >= 18446744073709549568.0 ? UINT64_MAX : (uint64_t) d;
}

static void check_valid(json_t *v)
{
    struct slice in = hex_of(text_of(v, "hex"));
    struct wire_frame f;
    const char *name = text_of(v, "frame");
    enum reeve_err err = wire_decode(&f, in);
    if (err != REEVE_OK)
        fail_msg("%s (%s): %s", name, text_of(v, "note"), reeve_err_name(err));
    assert_string_equal(wire_type_info(f.head.type)->name, name);
    assert_int_equal(f.head.flags, number(v, "flags"));
    assert_int_equal(f.head.reqid, number(v, "reqid"));
    assert_int_equal(f.head.deadline_ms, number(v, "deadline"));
    json_t *got = fields_json(wire_type_info(f.head.type)->fields, &f.u);
    if (!same_json(got, json_object_get(v, "fields")))
        fail_msg("%s: decoded as %s", name, json_dumps(got, 0));
    json_decref(got);
    if (json_is_true(json_object_get(v, "skips")))
        return;
    struct wr w = wr_heap(1 << 20);
    assert_int_equal(wire_encode(&w, &f), REEVE_OK);
    assert_bytes(wr_slice(&w), in, name);
    assert_int_equal(wire_size(&f), in.len);
    wr_free(&w);
}

static void check_invalid(json_t *v)
{
    struct slice in = hex_of(text_of(v, "hex"));
    struct wire_frame f;
    enum reeve_err got = wire_decode(&f, in), want = err_of(text_of(v, "error"));
    if (got != want)
        fail_msg("%s: %s, expected %s", text_of(v, "note"), reeve_err_name(got), reeve_err_name(want));
}

static void test_vectors_hold(void **state)
{
    json_t *all = load("frames.json"), *v;
    size_t i, valid = 0;
    bool seen[WIRE_TYPE_MAX + 1] = { false };
    json_array_foreach(all, i, v) {
        if (text_of(v, "error") != NULL) {
            check_invalid(v);
            continue;
        }
        check_valid(v);
        valid++;
        for (unsigned t = 0; t <= WIRE_TYPE_MAX; t++)
            if (wire_type_info(t) && strcmp(wire_type_info(t)->name, text_of(v, "frame")) == 0)
                seen[t] = true;
    }
    for (unsigned t = 0; t <= WIRE_TYPE_MAX; t++)
        if (wire_type_info(t) != NULL && !seen[t])
            fail_msg("%s has no vector", wire_type_info(t)->name);
    assert_true(valid > 0 && i > valid);
    json_decref(all);
}

/* Every proper prefix of a valid frame is refused and told apart from a whole one. */
static void test_every_prefix_of_a_frame_waits_for_more(void **state)
{
    json_t *all = load("frames.json"), *v;
    size_t i;
    json_array_foreach(all, i, v) {
        if (text_of(v, "error") != NULL)
            continue;
        struct slice in = hex_of(text_of(v, "hex"));
        struct wire_frame f;
        size_t total;
        assert_int_equal(wire_frame_len(in, WIRE_FRAME_MAX, &total), REEVE_OK);
        assert_int_equal(total, in.len);
        for (size_t n = 0; n < in.len; n++) {
            struct slice cut = slice_of(in.p, n);
            assert_int_equal(wire_frame_len(cut, WIRE_FRAME_MAX, &total), REEVE_E_AGAIN);
            assert_int_not_equal(wire_decode(&f, cut), REEVE_OK);
        }
    }
    json_decref(all);
}

/* refused from its first bytes, without waiting for the rest. */
static void test_a_long_frame_is_refused_by_its_length(void **state)
{
    size_t total;
    const uint8_t big[] = { 0xff, 0xff, 0x7f };
    assert_int_equal(wire_frame_len(slice_of(big, 3), 20480, &total), REEVE_E_TOO_BIG);
    const uint8_t hello[] = { 0x80, 0x10, 0x01 };
    assert_int_equal(wire_frame_len(slice_of(hello, 2), 20480, &total), REEVE_E_AGAIN);
    assert_int_equal(wire_frame_len(slice_of(hello, 3), 20480, &total), REEVE_E_TOO_BIG);
    const uint8_t five[] = { 0x80, 0x80, 0x80, 0x80, 0x01 };
    assert_int_equal(wire_frame_len(slice_of(five, 5), WIRE_FRAME_MAX, &total), REEVE_E_TOO_BIG);
    const uint8_t zero[] = { 0x81, 0x00 };
    assert_int_equal(wire_frame_len(slice_of(zero, 2), 20480, &total), REEVE_E_MALFORMED);
}

/* ---- random frames: encode, decode, encode ---- */

static uint64_t seed;
static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(2685821657736338717);
}
static uint64_t rnd_to(uint64_t max)
{
    uint64_t r = rnd() >> (rnd() % 64);
    return max == UINT64_MAX ? r : r % (max + 1);
}

static uint8_t pool[1 << 16];

static void fill_fields(const struct wire_field *f, void *item);

static struct wire_list fill_list(const struct wire_field *f)
{
    struct wire_list l = { 0 };
    const struct wire_group_info *g = wire_group_info(f->group);
    struct wr mem = wr_fixed(keep(1 << 14), 1 << 14), *w = &mem;
    void *item = malloc(g->size);
    uint64_t n = 1 + rnd_to(f->max < 20 ? f->max - 1 : 19);
    for (uint64_t i = 0; i < n; i++) {
        fill_fields(g->fields, item);
        assert_int_equal(wire_list_add(w, &l, f->group, item), REEVE_OK);
    }
    wire_list_end(w, &l);
    free(item);
    return l;
}

static void fill_field(const struct wire_field *f, uint8_t *at)
{
    struct slice *s = (void *) at;
    struct wire_optvar *v = (void *) at;
    struct wire_addr *a = (void *) at;
    switch (f->kind) {
    case WK_RAW: for (size_t i = 0; i < f->max; i++) at[i] = (uint8_t) rnd(); break;
    case WK_U8: *at = (uint8_t) (f->min + rnd_to(f->max - f->min)); break;
    case WK_VAR: *(uint64_t *) (void *) at = rnd_to(f->max); break;
    case WK_NAME:
    case WK_TEXT: *s = slice_of("abcdefghijklmnopqrstuvwxyz", (size_t) (f->min + rnd_to(20))); break;
    case WK_BYTES: *s = slice_of(pool, (size_t) rnd_to(f->max < 300 ? f->max : 300)); break;
    case WK_ADDR: a->family = (uint8_t[]){ 0, 4, 6 }[rnd() % 3]; memset(a->b, 7, a->family == 4 ? 4 : a->family ? 16 : 0); break;
    case WK_LIST: *(struct wire_list *) (void *) at = fill_list(f); break;
    case WK_XVAR: v->set = rnd() & 1; v->v = v->set ? rnd_to(f->max) : 0; break;
    case WK_XBYTES: *s = rnd() & 1 ? slice_of(pool, (size_t) rnd_to(100)) : slice_of(NULL, 0); break;
    default: fail();
    }
    if (f->kind == WK_VAR && strcmp(f->name, "service") == 0)
        *(uint64_t *) (void *) at = 0;
}

static void fill_fields(const struct wire_field *f, void *item)
{
    for (; f->kind != WK_END; f++)
        fill_field(f, (uint8_t *) item + f->at);
}

static void make_valid(struct wire_frame *f)
{
    if (f->head.type == WF_HELLO) {
        memcpy(f->u.hello.magic.b, WIRE_MAGIC, 4);
        f->u.hello.version_min = f->u.hello.version_max;
        f->u.hello.max_frame |= WIRE_FRAME_MIN_MAX;
        if (f->u.hello.max_frame > WIRE_FRAME_MAX)
            f->u.hello.max_frame = WIRE_FRAME_MAX;
    }
}

static void test_random_frames_survive_the_round_trip(void **state)
{
    seed = getenv("REEVE_TEST_SEED") ? strtoull(getenv("REEVE_TEST_SEED"), NULL, 0) : (uint64_t) time(NULL) | 1;
    print_message("# REEVE_TEST_SEED=%llu\n", (unsigned long long) seed);
    for (int round = 0; round < 2000; round++) {
        unsigned t = (unsigned) (rnd() % (WIRE_TYPE_MAX + 1));
        const struct wire_type_info *info = wire_type_info(t);
        if (info == NULL)
            continue;
        struct wire_frame f = wire_frame_of((enum wire_type) t), g;
        f.head.flags = (uint8_t) (rnd() & WIRE_FLAGS_KNOWN);
        f.head.reqid = f.head.flags & WIRE_REQID ? rnd() : 0;
        f.head.deadline_ms = f.head.flags & WIRE_DEADLINE ? rnd() : 0;
        fill_fields(info->fields, &f.u);
        make_valid(&f);
        struct wr a = wr_heap(1 << 22), b = wr_heap(1 << 22);
        enum reeve_err err = wire_encode(&a, &f);
        if (err != REEVE_OK)
            fail_msg("%s: %s", info->name, reeve_err_name(err));
        assert_int_equal(wire_size(&f), a.len);
        err = wire_decode(&g, wr_slice(&a));
        if (err != REEVE_OK)
            fail_msg("%s: %s", info->name, reeve_err_name(err));
        assert_int_equal(wire_encode(&b, &g), REEVE_OK);
        assert_bytes(wr_slice(&b), wr_slice(&a), info->name);
        wr_free(&a);
        wr_free(&b);
    }
}

/* W1: whatever decodes encodes back to the same bytes, however it was made. */
static void test_mutated_frames_decode_canonically_or_not_at_all(void **state)
{
    json_t *all = load("frames.json"), *v;
    size_t i;
    unsigned long accepted = 0;
    json_array_foreach(all, i, v) {
        struct slice in = hex_of(text_of(v, "hex"));
        bool skips = json_is_true(json_object_get(v, "skips"));
        uint8_t *m = malloc(in.len + 1);
        for (size_t k = 0; k < in.len * 8 && k < 4000 && !skips; k++) {
            memcpy(m, in.p, in.len);
            m[k / 8] ^= (uint8_t) (1 << k % 8);
            struct wire_frame f;
            if (wire_decode(&f, slice_of(m, in.len)) != REEVE_OK)
                continue;
            struct wr w = wr_heap(1 << 20);
            assert_int_equal(wire_encode(&w, &f), REEVE_OK);
            /* An even unknown tag is skipped, so it is lost: shorter, never different. */
            if (w.len == in.len)
                assert_bytes(wr_slice(&w), slice_of(m, in.len), text_of(v, "note"));
            accepted++;
            wr_free(&w);
        }
        free(m);
    }
    assert_true(accepted > 100);
    json_decref(all);
}

static void test_the_encoder_refuses_what_the_decoder_would(void **state)
{
    struct wire_frame f = wire_frame_of(WF_AUTH);
    struct wr w = wr_heap(1000);
    assert_int_equal(wire_encode(&w, &f), REEVE_E_INVALID_VALUE);       /* mode 0 */
    f.u.auth.mode = 1;
    f.u.auth.agent_version = slice_str("\xff");
    assert_int_equal(wire_encode(&w, &f), REEVE_E_INVALID_VALUE);
    f.u.auth.agent_version = slice_str("0.1");
    assert_int_equal(wire_encode(&w, &f), REEVE_OK);
    uint8_t mem[10];
    struct wr small = wr_fixed(mem, sizeof mem);
    assert_int_equal(wire_encode(&small, &f), REEVE_E_TOO_BIG);
    struct wire_frame r = wire_frame_of(WF_REPORT);
    assert_int_equal(wire_encode(&w, &r), REEVE_E_INVALID_VALUE);       /* empty name */
    struct wire_list l = { 0 };
    struct wire_label label = { slice_str("k"), slice_str("") };
    assert_int_equal(wire_list_add(&w, &l, WG_LABEL, &label), REEVE_E_INVALID_VALUE);
    assert_int_equal(l.n, 0);
    wr_free(&w);
}

/* who, when, and with what id. */
static void test_frames_belong_to_a_side_and_a_state(void **state)
{
    struct wire_head h = { .type = WF_HELLO };
    assert_int_equal(wire_check(&h, WIRE_AGENT, WIRE_ST_HELLO), REEVE_OK);
    assert_int_equal(wire_check(&h, WIRE_AGENT, WIRE_ST_READY), REEVE_E_PROTOCOL);
    assert_int_equal(wire_check(&h, WIRE_GATEWAY, WIRE_ST_HELLO), REEVE_E_PROTOCOL);
    h.type = WF_REPORT;
    assert_int_equal(wire_check(&h, WIRE_AGENT, WIRE_ST_READY), REEVE_E_PROTOCOL);
    h.flags = WIRE_REQID;
    assert_int_equal(wire_check(&h, WIRE_AGENT, WIRE_ST_READY), REEVE_OK);
    h.type = WF_HEARTBEAT;
    assert_int_equal(wire_check(&h, WIRE_AGENT, WIRE_ST_READY), REEVE_E_PROTOCOL);
    h.type = WF_ERROR;
    for (int s = WIRE_ST_HELLO; s <= WIRE_ST_READY; s *= 2)
        assert_int_equal(wire_check(&h, WIRE_AGENT, (enum wire_state) s), REEVE_OK);
}

static void test_sizes_promised(void **state)
{
    struct wire_frame hb = wire_frame_of(WF_HEARTBEAT);
    assert_int_equal(wire_size(&hb), 3);
    struct wire_frame r = wire_frame_of(WF_REGISTER);
    r.u.register_one.service = slice_str("web");
    r.u.register_one.op = 1;
    r.u.register_one.addr.family = 4;
    r.u.register_one.port = 8080;
    r.u.register_one.ttl_s = 30;
    r.u.register_one.seq = 1;
    assert_in_range(wire_size(&r), 30, 44);
    assert_string_equal(wire_error_name(WE_RELOAD), "RELOAD");
    assert_string_equal(wire_error_name(9999), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_hold),
        cmocka_unit_test(test_every_prefix_of_a_frame_waits_for_more),
        cmocka_unit_test(test_a_long_frame_is_refused_by_its_length),
        cmocka_unit_test(test_random_frames_survive_the_round_trip),
        cmocka_unit_test(test_mutated_frames_decode_canonically_or_not_at_all),
        cmocka_unit_test(test_the_encoder_refuses_what_the_decoder_would),
        cmocka_unit_test(test_frames_belong_to_a_side_and_a_state),
        cmocka_unit_test(test_sizes_promised),
    };
    return cmocka_run_group_tests_name("wire frames", tests, NULL, NULL);
}
