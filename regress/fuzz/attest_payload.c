/* attest_payload.c - fuzz target of documents: the first byte is the kind, the rest the payload. */
#include "engine/approval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define KIND(TYPE, kind) \
    case TYPE: { \
        static struct kind##_doc d; \
        if (kind##_doc_decode(&d, in) != REEVE_OK) \
            return 0; \
        kind##_doc_encode(&d, &w); \
        break; \
    }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t mem[1 << 20];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (len == 0)
        return 0;
    struct slice in = slice_of(data + 1, len - 1);
    switch (data[0]) {
    KIND(AT_REGION, region)
    KIND(AT_AUTHORITY, authority)
    KIND(AT_CERT, cert)
    KIND(AT_CONFIG, config)
    KIND(AT_CLASS, class)
    KIND(AT_NODE, node)
    KIND(AT_APPROVER, approver)
    KIND(AT_POLICY, policy)
    KIND(AT_VETO, veto)
    default:
        return 0;
    }
    reeve_assert(slice_eq(wr_slice(&w), in));
    return 0;
}
