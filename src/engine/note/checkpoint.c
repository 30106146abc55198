/* checkpoint.c - the text of a checkpoint, and the proof of a single leaf under one. */
#include "note_int.h"
#include "common/text.h"

static void put_decimal_line(struct wr *out, uint64_t v)
{
    wr_decimal(out, v);
    wr_u8(out, '\n');
}

static void put_hash_line(struct wr *out, const struct hash32 *h)
{
    wr_base64(out, h->b, sizeof h->b);
    wr_u8(out, '\n');
}

/* Each line ends, none is empty. */
static bool extensions_ok(struct slice s)
{
    struct slice line;
    while (s.len > 0)
        if (!line_take(&s, &line) || line.len == 0)
            return false;
    return true;
}

enum reeve_err checkpoint_parse(struct checkpoint *cp, struct slice text)
{
    struct slice size, root;
    if (!note_text_ok(text) || !line_take(&text, &cp->origin) || !line_take(&text, &size) || !line_take(&text, &root) ||
        cp->origin.len == 0 || !decimal_parse(size, &cp->size) || !hash_parse(root, &cp->root) || !extensions_ok(text))
        return REEVE_E_MALFORMED;
    cp->extensions = text;
    return REEVE_OK;
}

void checkpoint_format(const struct checkpoint *cp, struct wr *out)
{
    wr_bytes(out, cp->origin.p, cp->origin.len);
    wr_u8(out, '\n');
    put_decimal_line(out, cp->size);
    put_hash_line(out, &cp->root);
    wr_bytes(out, cp->extensions.p, cp->extensions.len);
}

/* ---- single proofs ---- */

#define PROOF_HEAD "c2sp.org/tlog-proof@v1\n"

/* Only whether it is base64: what it says is for others. */
static bool extra_ok(struct slice s)
{
    uint8_t bytes[NOTE_SIG_BYTES_MAX];
    return base64_decode(bytes, sizeof bytes, s) >= 0;
}

static bool path_parse(struct tlog_proof *p, struct slice *in)
{
    struct slice line;
    p->n = 0;
    while (line_take(in, &line)) {
        if (line.len == 0)
            return true;
        if (p->n == NOTE_PROOF_PATH_MAX || !hash_parse(line, &p->path[p->n]))
            return false;
        p->n++;
    }
    return false;
}

enum reeve_err tlog_proof_parse(struct tlog_proof *p, struct slice in)
{
    struct slice line;
    memset(p, 0, sizeof *p);
    if (in.len > NOTE_BYTES_MAX)
        return REEVE_E_TOO_BIG;
    if (!slice_skip(&in, PROOF_HEAD) || !line_take(&in, &line))
        return REEVE_E_MALFORMED;
    if (slice_skip(&line, "extra ")) {
        p->extra = line;
        if (!extra_ok(line) || line.len == 0 || !line_take(&in, &line))
            return REEVE_E_MALFORMED;
    }
    if (!slice_skip(&line, "index ") || !decimal_parse(line, &p->index) || !path_parse(p, &in))
        return REEVE_E_MALFORMED;
    p->note = in;
    return REEVE_OK;
}

void tlog_proof_format(const struct tlog_proof *p, struct wr *out)
{
    wr_text(out, PROOF_HEAD);
    if (p->extra.len > 0) {
        wr_text(out, "extra ");
        wr_bytes(out, p->extra.p, p->extra.len);
        wr_u8(out, '\n');
    }
    wr_text(out, "index ");
    put_decimal_line(out, p->index);
    for (size_t i = 0; i < p->n; i++)
        put_hash_line(out, &p->path[i]);
    wr_u8(out, '\n');
    wr_bytes(out, p->note.p, p->note.len);
}
