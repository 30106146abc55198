/*
 * buf.c - fuzz target: the reader that every decoder stands on, and the text helpers
 *
 * The first bytes choose a sequence of reads over the rest. What is read is
 * written again: a decoder without a second spelling gives back the same bytes.
 */
#include "common/buf.h"
#include "common/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One read of the kind chosen, written back by its twin. */
static void step(struct rd *r, struct wr *w, uint8_t kind)
{
    struct name name;
    switch (kind % 8) {
    case 0: wr_u8(w, rd_u8(r)); break;
    case 1: wr_u16(w, rd_u16(r)); break;
    case 2: wr_u32(w, rd_u32(r)); break;
    case 3: wr_u64(w, rd_u64(r)); break;
    case 4: wr_varint(w, rd_varint(r)); break;
    case 5: wr_str16(w, rd_str16(r, 300)); break;
    case 6: wr_vbytes(w, rd_vbytes(r, 300)); break;
    case 7:
        rd_name(r, &name);
        wr_name(w, &name);
        break;
    }
}

static void read_back(struct slice kinds, struct slice in)
{
    uint8_t mem[4096];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct rd r = rd_of(in);
    size_t good = 0;
    for (size_t i = 0; i < kinds.len; i++) {
        step(&r, &w, kinds.p[i]);
        if (r.bad || w.bad)
            break;
        good = w.len;
    }
    reeve_assert(good <= in.len && (good == 0 || memcmp(mem, in.p, good) == 0));
    reeve_assert(!r.bad || rd_left(&r) == 0);
}

/* Whatever a text decoder takes, its encoder gives back. */
static void text_back(struct slice in)
{
    uint8_t out[1024];
    char again[2048];
    struct node_id id;
    struct name name;
    if (in.len > 1024)
        return;
    long n = base64_decode(out, sizeof out, in);
    reeve_assert(n < 0 || slice_eq(in, slice_of(again, base64_encode(again, out, (size_t) n))));
    n = base64url_decode(out, sizeof out, in);
    reeve_assert(n < 0 || slice_eq(in, slice_of(again, base64url_encode(again, out, (size_t) n))));
    if (node_id_parse(&id, in)) {
        node_id_text(again, &id);
        reeve_assert(slice_eq(in, slice_str(again)));
    }
    reeve_assert(!name_set(&name, in) || (utf8_valid(in) && slice_eq(in, name_slice(&name))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t kinds = size > 0 ? data[0] % 16 : 0;
    text_back(slice_of(data, size));
    if (size > kinds)
        read_back(slice_of(data + 1, kinds), slice_of(data + 1 + kinds, size - 1 - kinds));
    return 0;
}
