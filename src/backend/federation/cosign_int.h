/* cosign_int.h - what the two halves of cosigning share: asked for (cosign.c), given (cosign_give.c) */
#ifndef REEVE_BACKEND_FEDERATION_COSIGN_INT_H
#define REEVE_BACKEND_FEDERATION_COSIGN_INT_H

#include "backend/federation/fed_int.h"
#include "engine/attest_history.h"
#include "engine/note.h"

#define COSIGN_RECENT 16                    /* own cosignatures kept, for who asks again */
#define COSIGN_FRESH_MS 20000               /* so long one is as good as a new one */

struct cosign_line { struct letter_cosign of; int64_t at_ms; size_t len; char text[LETTER_LINE_MAX]; };
struct cosign_wish { uint32_t link; struct letter_cosign of; int64_t until_ms; };

struct cosigning {
    struct fed *f;
    /* asked for */
    struct cosign_ask *asks;
    unsigned n_asks;
    /* given */
    struct ipc_link *signer;                /* NULL: no validator here, nothing is given */
    struct cosign_wish wish[COSIGN_SERVES_MAX];
    unsigned n_wishes;
    struct cosign_line recent[COSIGN_RECENT];
    unsigned next;
    bool asking;                            /* the signer, about this head: */
    struct letter_cosign asked;
    /* room for judging */
    struct note note;
    struct note_key key[ATTEST_VALIDATORS_MAX];
    char name[ATTEST_VALIDATORS_MAX][HISTORY_COSIGNER_MAX];
    bool seen[ATTEST_VALIDATORS_MAX];
};

bool cosign_same(const struct letter_cosign *a, const struct letter_cosign *b);
/* Whose signature line over that checkpoint is it? -1: nobody's of the set, not one line, or it does not verify. */
int cosign_whose(struct cosigning *c, const struct letter_cosign *of, struct slice line);
/* From time to time, and when something happened: the next wish that can be granted. */
void cosign_give(struct cosigning *c);

#endif
