/* table.c - the tables made from engine/framelist.h */
#include "wire_int.h"

#define W_GROUP(SYM, sym, text) static const struct wire_field fields_##sym[] = {
#define W_GEND(SYM, sym) { WK_END, NULL, NULL, 0, 0, 0, 0, WG_NONE } };
#define W_FRAME(SYM, sym, code, from, states, reqid, body_max, text) static const struct wire_field fields_##sym[] = {
#define W_END(SYM, sym) { WK_END, NULL, NULL, 0, 0, 0, 0, WG_NONE } };
#define AT(sym, field) offsetof(struct wire_##sym, field)
#define W_RAW(sym, ctype, field, text) { WK_RAW, #field, text, AT(sym, field), 0, sizeof(ctype), 0, WG_NONE },
#define W_U8(sym, field, min, max, text) { WK_U8, #field, text, AT(sym, field), min, max, 0, WG_NONE },
#define W_VAR(sym, field, max, text) { WK_VAR, #field, text, AT(sym, field), 0, max, 0, WG_NONE },
#define W_NAME(sym, field, text) { WK_NAME, #field, text, AT(sym, field), 1, NAME_MAX_LEN, 0, WG_NONE },
#define W_TEXT(sym, field, max, text) { WK_TEXT, #field, text, AT(sym, field), 0, max, 0, WG_NONE },
#define W_BYTES(sym, field, max, text) { WK_BYTES, #field, text, AT(sym, field), 0, max, 0, WG_NONE },
#define W_ADDR(sym, field, text) { WK_ADDR, #field, text, AT(sym, field), 0, 16, 0, WG_NONE },
#define W_LIST(sym, field, GROUP, max, text) { WK_LIST, #field, text, AT(sym, field), 0, max, 0, WG_##GROUP },
#define W_XVAR(sym, tag, field, max, text) { WK_XVAR, #field, text, AT(sym, field), 0, max, tag, WG_NONE },
#define W_XBYTES(sym, tag, field, max, text) { WK_XBYTES, #field, text, AT(sym, field), 0, max, tag, WG_NONE },
#include "engine/framelist.h"

static const struct wire_group_info groups[WG__COUNT] = {
#define W_GROUP(SYM, sym, text) [WG_##SYM] = { #SYM, text, sizeof(struct wire_##sym), fields_##sym },
#include "engine/framelist.h"
};

/* The words of the frame table. */
enum { AGENT = WIRE_AGENT, GATEWAY = WIRE_GATEWAY, BOTH = WIRE_BOTH };
enum { ST_HELLO = WIRE_ST_HELLO, ST_AUTH = WIRE_ST_AUTH, ST_ENROLL = WIRE_ST_ENROLL, ST_READY = WIRE_ST_READY,
       ST_ANY = WIRE_ST_ANY };
enum { NONE = WIRE_REQID_NONE, MAY = WIRE_REQID_MAY, MUST = WIRE_REQID_MUST };

static const struct wire_type_info types[WIRE_TYPE_MAX + 1] = {
#define W_FRAME(SYM, sym, code, from, states, reqid, body_max, text) \
    [code] = { #SYM, text, from, states, reqid, body_max, sizeof(struct wire_##sym), fields_##sym },
#include "engine/framelist.h"
};

const struct wire_type_info *wire_type_info(unsigned type)
{
    return type <= WIRE_TYPE_MAX && types[type].name != NULL ? &types[type] : NULL;
}

const struct wire_group_info *wire_group_info(enum wire_group g)
{
    return g > WG_NONE && g < WG__COUNT ? &groups[g] : NULL;
}

/* Few rows, rarely asked: a scan will do. */
struct error_row { uint16_t code; const char *name, *text; };
static const struct error_row errors[] = {
#define W_ERR(SYM, number, text) { number, #SYM, text },
#include "engine/framelist.h"
};
#define N_ERRORS (sizeof errors / sizeof errors[0])

static const struct error_row *error_find(unsigned code)
{
    for (size_t i = 0; i < N_ERRORS; i++)
        if (errors[i].code == code)
            return &errors[i];
    return NULL;
}

const char *wire_error_name(unsigned code)
{
    const struct error_row *e = error_find(code);
    return e ? e->name : "UNKNOWN";
}

const char *wire_error_text(unsigned code)
{
    const struct error_row *e = error_find(code);
    return e ? e->text : "unknown error";
}

enum wire_code wire_error_of(enum reeve_err e)
{
    switch (e) {
    case REEVE_E_TOO_BIG:     return WE_TOO_BIG;
    case REEVE_E_UNSUPPORTED: return WE_CRITICAL;
    case REEVE_E_PROTOCOL:    return WE_UNEXPECTED;
    default:                  return WE_MALFORMED;
    }
}
