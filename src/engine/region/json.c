/* json.c - text as a JSON string, bounded: history shows the beginning of long values. */
#include "engine/region/region_int.h"

static void json_char(struct wr *w, uint8_t c)
{
    if (c == '"' || c == '\\') {
        wr_u8(w, '\\');
        wr_u8(w, c);
    } else if (c < 0x20) {
        wr_printf(w, "\\u%04x", c);
    } else {
        wr_u8(w, c);
    }
}

void json_text(struct wr *w, struct slice s)
{
    size_t len = s.len < JSON_VALUE_MAX ? s.len : JSON_VALUE_MAX;
    while (len < s.len && len > 0 && (s.p[len] & 0xc0) == 0x80)     /* no half characters */
        len--;
    wr_u8(w, '"');
    for (size_t i = 0; i < len; i++)
        json_char(w, s.p[i]);
    wr_text(w, len < s.len ? "\xe2\x80\xa6\"" : "\"");
}
