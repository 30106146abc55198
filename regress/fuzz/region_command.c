/*
 * region_command.c - fuzz target: a region applies anything that comes out of its log
 *
 * The input is a list of commands, each u16 length + bytes; every one is
 * answered and none is the storage's fault.
 */
#include <stdlib.h>

#include "crypto/ops.h"
#include "engine/region.h"
#include "sim/sim_kv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void *scratch;
    static uint8_t result[1 << 20];
    static char text[4096];
    if (scratch == NULL)
        scratch = malloc(region_scratch_size());
    struct sim_kv *store = sim_kv_new();
    sim_kv_strict(store, true);
    struct region r = { sim_kv_handle(store), &crypto_ops_real, scratch, region_scratch_size() };
    struct rd in = rd_of(slice_of(data, size));
    for (uint64_t index = 1; index <= 64 && rd_left(&in) > 0; index++) {
        struct slice command = rd_str16(&in, UINT16_MAX);
        struct report rep = { 0 };
        if (in.bad)
            break;
        struct wr out = wr_fixed(result, sizeof result), t = wr_fixed(text, sizeof text);
        bool sound = region_command_check(command, &rep) == REEVE_OK;
        region_command_describe(command, &t);
        sim_kv_begin(store);
        enum reeve_err err = region_apply(&r, index, command, &out);
        if (err == REEVE_E_CORRUPT && command.len >= 2 && command.p[1] == RC_LEVEL) {
            sim_kv_abort(store);        /* a level that this program does not know ends its member (region.h G6) */
            break;
        }
        reeve_assert(err == REEVE_OK);
        sim_kv_commit(store);
        struct rd answer = rd_of(wr_slice(&out));
        uint16_t n = rd_u16(&answer);
        reeve_assert(sound || n > 0);
    }
    sim_kv_free(store);
    return 0;
}
