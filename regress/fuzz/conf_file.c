/* conf_file.c - fuzz target of reeve.conf: a value that is taken says the same when it is written and read again */
#include "backend/utils/settings_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void again(enum setting_id id, const struct setting_value *v)
{
    static struct conf_line l;
    char buf[64];
    const char *why;
    struct report rep = { 0 };
    struct setting_value back = { 0 };
    struct wr w = wr_heap(1u << 16);
    struct slice text, line;
    conf_line_write(&w, setting_def(id)->name, setting_text(id, v, buf));
    text = wr_slice(&w);
    reeve_assert(conf_next_line(&text, &line) && text.len == 0);
    reeve_assert(conf_line_parse(&l, line, &why) && slice_eq(l.name, slice_str(setting_def(id)->name)));
    reeve_assert(setting_parse(&back, id, slice_of(l.value, l.value_len), &rep) == REEVE_OK);
    reeve_assert(setting_eq(id, v, &back));
    setting_free(&back);
    wr_free(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct conf_line l;
    const char *why;
    struct slice text = slice_of(data, len), line;
    while (conf_next_line(&text, &line)) {
        enum setting_id id;
        struct setting_value v = { 0 };
        struct report rep = { 0 };
        if (!conf_line_parse(&l, line, &why) || l.name.len == 0 || !setting_find(&id, l.name))
            continue;
        if (setting_parse(&v, id, slice_of(l.value, l.value_len), &rep) == REEVE_OK)
            again(id, &v);
        setting_free(&v);
    }
    return 0;
}
