/* letter.c - letters between ring processes as bytes, and what of each kind they may hold */
#include "backend/ring/forward.h"

#include "common/text.h"

#define LETTER_VERSION 1

/* ---- kinds ---- */

const struct forward_rule *forward_rule(uint8_t kind)
{
    static const struct forward_rule rules[FORWARD__COUNT] = {
        [FORWARD_SUBMIT] = { "security updates", IPC_BODY_MAX, false, false },
        [FORWARD_RING_CHANGE] = { "a change of the ring's members", 5, true, false },
        [FORWARD_AUTHORITY_KEY] = { "an authority's key", 2048, false, true },
        [FORWARD_SHARED_KEY] = { "a shared key", 1024, false, true },
        [FORWARD_CHECKPOINT] = { "a checkpoint", 16384, false, true },
    };
    return kind > 0 && kind < FORWARD__COUNT ? &rules[kind] : NULL;
}

static bool is_authority_key(struct slice result)
{
    struct rd in = rd_of(result);
    return rd_str16(&in, 32).len == 32 && rd_str32(&in, AUTHORITY_CHAIN_MAX).len > 0 && rd_done(&in);
}

/* The size asked for, or a log's key and a note. */
static bool is_checkpoint(struct slice result)
{
    struct rd in = rd_of(result);
    if (result.len == 8)
        return true;
    rd_bytes(&in, 32);
    return rd_str32(&in, CHECKPOINT_NOTE_MAX).len > 0 && rd_done(&in);
}

bool forward_result_is(uint8_t kind, struct slice result)
{
    switch (kind) {
    case FORWARD_SUBMIT: return result.len == 16;
    case FORWARD_RING_CHANGE: return result.len == 0;
    case FORWARD_AUTHORITY_KEY: return is_authority_key(result);
    case FORWARD_SHARED_KEY: return result.len == 32;
    case FORWARD_CHECKPOINT: return is_checkpoint(result);
    default: return false;
    }
}

/* ---- errors by name ---- */

static enum reeve_err err_named(struct slice name)
{
    for (unsigned e = 0; e < REEVE_E__COUNT; e++)
        if (slice_eq(name, slice_str(reeve_err_name((enum reeve_err) e))))
            return (enum reeve_err) e;
    return REEVE_E_UNKNOWN_OUTCOME;
}

/* A person reads it on some terminal: no control characters, and valid text, where a long one may have been cut as well. */
static void text_clean(char *s, size_t len)
{
    bool valid = utf8_valid(slice_of(s, len));
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t) s[i];
        if (c < 0x20 || c == 0x7f)
            s[i] = ' ';
        else if (c >= 0x80 && !valid)
            s[i] = '?';
    }
}

static void report_put(struct wr *out, const struct report *rep)
{
    wr_str16(out, slice_str(reeve_err_name(rep->code)));
    wr_str16(out, slice_str(rep->message));
    wr_str16(out, slice_str(rep->detail));
    wr_str16(out, slice_str(rep->hint));
}

static bool text_take(struct rd *in, char out[512])
{
    struct slice s = rd_str16(in, 511);
    if (in->bad)
        return false;
    memcpy(out, s.p, s.len);
    out[s.len] = '\0';
    text_clean(out, s.len);
    return true;
}

static bool report_take(struct rd *in, struct report *rep)
{
    struct slice name = rd_str16(in, 64);
    report_clear(rep);
    if (in->bad || name.len == 0 || !text_take(in, rep->message) || !text_take(in, rep->detail) || !text_take(in, rep->hint))
        return false;
    rep->code = err_named(name);
    return true;
}

/* ---- letters ---- */

void letter_encode(const struct letter *l, struct wr *out)
{
    wr_u8(out, LETTER_VERSION);
    wr_u8(out, l->what);
    wr_u64(out, l->id);
    switch (l->what) {
    case LETTER_ASK:
        wr_u8(out, l->kind);
        wr_u32(out, l->size);
        break;
    case LETTER_ANSWER:
        report_put(out, &l->rep);
        break;
    default:
        wr_u64(out, l->ticket);
        break;
    }
}

static bool inside_take(struct rd *in, struct letter *l)
{
    switch (l->what) {
    case LETTER_ASK:
        l->kind = rd_u8(in);
        l->size = rd_u32(in);
        return rd_done(in);
    case LETTER_GRANT:
        l->ticket = rd_u64(in);
        return rd_done(in) && l->ticket != 0;
    case LETTER_BODY:
        l->ticket = rd_u64(in);
        l->rest = slice_of(in->p, rd_left(in));
        return !in->bad && l->ticket != 0;
    case LETTER_ANSWER:
        if (!report_take(in, &l->rep))
            return false;
        l->rest = slice_of(in->p, rd_left(in));
        return l->rest.len <= FORWARD_RESULT_MAX && (l->rep.code == REEVE_OK || l->rest.len == 0);
    default:
        return false;
    }
}

enum reeve_err letter_decode(struct letter *l, struct slice bytes)
{
    struct rd in = rd_of(bytes);
    memset(l, 0, sizeof *l);
    uint8_t version = rd_u8(&in);
    l->what = rd_u8(&in);
    l->id = rd_u64(&in);
    return !in.bad && version == LETTER_VERSION && l->id != 0 && inside_take(&in, l) ? REEVE_OK : REEVE_E_MALFORMED;
}
