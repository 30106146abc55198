/* predicate_int.h - the predicate's byte code (engine/rollout.h lists it), one instruction at a time. */
#ifndef REEVE_ENGINE_PREDICATE_INT_H
#define REEVE_ENGINE_PREDICATE_INT_H

#include "engine/rollout/rollout_int.h"

#define PRED_STACK 16

enum {
    PRED_CONST = 0x01, PRED_REGION = 0x02, PRED_LABEL = 0x03, PRED_NULL = 0x04, PRED_NODE = 0x05,
    PRED_EQ = 0x10, PRED_NE = 0x11, PRED_LT = 0x12, PRED_LE = 0x13, PRED_GT = 0x14, PRED_GE = 0x15,
    PRED_LIKE = 0x16, PRED_IS_NULL = 0x18, PRED_IN = 0x19,
    PRED_AND = 0x20, PRED_OR = 0x21, PRED_NOT = 0x22
};

struct pred_ins { uint8_t op, count; struct slice text; /* borrowed from the code */ };

/* Reads the next instruction; false at the end or (r->bad) where it is cut off. */
bool pred_next(struct rd *r, struct pred_ins *in);

#endif
