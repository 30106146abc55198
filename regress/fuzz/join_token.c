/* join_token.c - fuzz target of join tokens, which people paste: what decodes is spelled in one way only */
#include "engine/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct wire_token t;
    char text[WIRE_TOKEN_TEXT_MAX];
    if (wire_token_decode(&t, slice_of(data, len)) != REEVE_OK)
        return 0;
    reeve_assert(wire_token_encode(text, &t) == len && memcmp(text, data, len) == 0);
    return 0;
}
