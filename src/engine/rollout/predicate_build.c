/* predicate_build.c - appending to a predicate; too long a one sets *bad and stays as it was. */
#include "engine/rollout/predicate_int.h"

static uint8_t *room(struct predicate *p, size_t n, bool *bad)
{
    if (*bad || n > (size_t) (ROLLOUT_PRED_MAX - p->len)) {
        *bad = true;
        return NULL;
    }
    uint8_t *at = p->code + p->len;
    p->len = (uint16_t) (p->len + n);
    return at;
}

static void push_counted(struct predicate *p, uint8_t op, struct slice text, bool *bad)
{
    if (text.len > UINT8_MAX)
        *bad = true;
    uint8_t *at = room(p, 2 + text.len, bad);
    if (at == NULL)
        return;
    at[0] = op;
    at[1] = (uint8_t) text.len;
    if (text.len > 0)
        memcpy(at + 2, text.p, text.len);
}

void predicate_push_const(struct predicate *p, struct slice text, bool *bad)
{
    push_counted(p, PRED_CONST, text, bad);
}

void predicate_push_label(struct predicate *p, struct slice key, bool *bad)
{
    push_counted(p, PRED_LABEL, key, bad);
}

void predicate_op(struct predicate *p, uint8_t op, bool *bad)
{
    uint8_t *at = room(p, 1, bad);
    if (at != NULL)
        at[0] = op;
}

void predicate_in(struct predicate *p, uint8_t count, bool *bad)
{
    uint8_t *at = room(p, 2, bad);
    if (at != NULL) {
        at[0] = PRED_IN;
        at[1] = count;
    }
}
