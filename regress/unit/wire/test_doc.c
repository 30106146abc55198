/*
 * test_doc.c - docs/protocol/agent.md says what engine/framelist.h says
 *
 * Run with WIRE_DOC_PRINT=1 to get the text to put between the two markers.
 */
#include "engine/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define DOC SRCDIR "/docs/protocol/agent.md"

static void put_kind(struct wr *w, const struct wire_field *f)
{
    unsigned long long min = f->min, max = f->max;
    switch (f->kind) {
    case WK_RAW:    wr_printf(w, "raw %llu", max); break;
    case WK_U8:     wr_printf(w, "u8 %llu..%llu", min, max); break;
    case WK_VAR:    wr_printf(w, "varint ..%llu", max); break;
    case WK_NAME:   wr_printf(w, "name"); break;
    case WK_TEXT:   wr_printf(w, "text ..%llu", max); break;
    case WK_BYTES:  wr_printf(w, "bytes ..%llu", max); break;
    case WK_ADDR:   wr_printf(w, "addr"); break;
    case WK_LIST:   wr_printf(w, "list ..%llu of %s", max, wire_group_info(f->group)->name); break;
    case WK_XVAR:   wr_printf(w, "ext %u varint ..%llu", f->tag, max); break;
    case WK_XBYTES: wr_printf(w, "ext %u bytes ..%llu", f->tag, max); break;
    default: fail();
    }
}

static void put_fields(struct wr *w, const struct wire_field *f)
{
    if (f->kind == WK_END)
        return;
    wr_text(w, "\n| field | kind | |\n| --- | --- | --- |\n");
    for (; f->kind != WK_END; f++) {
        wr_printf(w, "| %s | ", f->name);
        put_kind(w, f);
        wr_printf(w, " | %s |\n", f->text);
    }
}

static void put_states(struct wr *w, uint8_t states)
{
    static const char *const names[] = { "HELLO", "AUTH", "ENROLL", "READY" };
    if (states == WIRE_ST_ANY) {
        wr_text(w, "any state");
        return;
    }
    for (int i = 0; i < 4; i++)
        if (states & 1 << i)
            wr_printf(w, "%s", names[i]);
}

static void put_frame(struct wr *w, unsigned type, const struct wire_type_info *t)
{
    static const char *const from[] = { "", "agent", "gateway", "both" };
    static const char *const reqid[] = { "no request id", "may carry a request id", "carries a request id" };
    wr_printf(w, "\n#### 0x%02x %s\n\nFrom %s, ", type, t->name, from[t->from]);
    put_states(w, t->states);
    wr_printf(w, ", %s, body at most %u bytes. %s%s", reqid[t->reqid], (unsigned) t->body_max, t->text,
              t->text[0] ? ".\n" : "\n");
    put_fields(w, t->fields);
}

static void put_errors(struct wr *w)
{
    wr_text(w, "\n### Errors\n\n| code | name | |\n| --- | --- | --- |\n");
#define W_ERR(SYM, number, text) wr_printf(w, "| %d | %s | %s |\n", number, #SYM, text);
#include "engine/framelist.h"
}

static void render(struct wr *w)
{
    wr_text(w, "\n### Frames\n");
    for (unsigned t = 0; t <= WIRE_TYPE_MAX; t++)
        if (wire_type_info(t) != NULL)
            put_frame(w, t, wire_type_info(t));
    wr_text(w, "\n### Groups\n");
    for (int g = WG_NONE + 1; g < WG__COUNT; g++) {
        const struct wire_group_info *i = wire_group_info((enum wire_group) g);
        wr_printf(w, "\n#### %s\n\n%s.\n", i->name, i->text);
        put_fields(w, i->fields);
    }
    put_errors(w);
    wr_text(w, "\n");
    wr_u8(w, 0);
}

static char *read_doc(void)
{
    FILE *f = fopen(DOC, "rb");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    size_t n = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    assert_true(n > 0);
    return text;
}

static void test_the_document_has_the_table(void **state)
{
    struct wr w = wr_heap(1 << 20);
    render(&w);
    assert_false(w.bad);
    char *doc = read_doc();
    char *begin = strstr(doc, "<!-- table:begin"), *end = strstr(doc, "<!-- table:end");
    assert_non_null(begin);
    assert_non_null(end);
    begin = strchr(begin, '\n') + 1;
    *end = 0;
    assert_string_equal(begin, (const char *) w.p);
    free(doc);
    wr_free(&w);
}

static void test_every_rule_number_stands_once(void **state)
{
    char *doc = read_doc();
    int seen[100] = { 0 };
    for (const char *p = doc; (p = strstr(p, "**R-")) != NULL; p += 4)
        assert_int_equal(seen[atoi(p + 4)]++, 0);
    assert_int_equal(seen[1], 1);
    free(doc);
}

int main(void)
{
    if (getenv("WIRE_DOC_PRINT") != NULL) {
        struct wr w = wr_heap(1 << 20);
        render(&w);
        fputs((const char *) w.p, stdout);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_document_has_the_table),
        cmocka_unit_test(test_every_rule_number_stands_once),
    };
    return cmocka_run_group_tests_name("wire doc", tests, NULL, NULL);
}
