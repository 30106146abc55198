/* attest_history.c - fuzz target of history bundles: read to the end, and judged as those of whatever chain they name. */
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "engine/attest_history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_all(struct slice in, struct hash32 *chain)
{
    static struct history_block b;
    static struct history_tail t;
    struct history_reader h;
    enum reeve_err err;
    memset(chain, 0, sizeof *chain);
    if (history_open(&h, in) != REEVE_OK)
        return;
    genesis_chain_id(&crypto_ops_real, chain, h.genesis);
    while ((err = history_next(&h, &b)) == REEVE_OK)
        reeve_assert(b.first + b.n == h.next);
    if (err == REEVE_E_NOT_FOUND)
        (void) !history_tail(&h, &t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t mem[1 << 20];
    static struct history_work work;
    static bool ready;
    struct report rep = { .code = REEVE_OK };
    struct hash32 chain, sum;
    if (!ready)
        ready = crypto_init() == REEVE_OK;
    read_all(slice_of(data, len), &chain);
    if (len < 32 || len > sizeof mem)
        return 0;
    memcpy(mem, data, len);             /* with the right digest: the judgement goes further than that */
    sha256(&sum, slice_of(mem, len - 32));
    memcpy(mem + len - 32, sum.b, 32);
    if (history_verify(&crypto_ops_real, &chain, slice_of(mem, len), &work, &rep) == REEVE_OK)
        reeve_assert(work.facts.first <= work.facts.end && work.facts.end <= work.facts.head.log_size);
    else
        reeve_assert(rep.message[0] != '\0');
    return 0;
}
