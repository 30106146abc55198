/* init.c - a region's first state: height 0 of the chain, the built-in rows. */
#include "backend/ring/ring_int.h"

#include <stdlib.h>

#include "crypto/hash.h"
#include "crypto/ops.h"

#define INIT_MAP_SIZE (64u << 20)
#define INIT_READERS 8

static enum reeve_err builtin_command(struct wr *w, const struct name *region, const struct name *superuser,
                                      struct slice verifier, struct wall_ms now)
{
    wr_u8(w, 1);
    wr_u8(w, RC_BUILTIN);
    wr_u64(w, (uint64_t) now.ms);
    wr_name(w, region);
    wr_name(w, superuser);
    wr_str16(w, verifier);
    return w->bad ? REEVE_E_TOO_BIG : REEVE_OK;
}

static enum reeve_err write_state(struct kv *kv, struct slice genesis, struct slice command)
{
    void *region_scratch = malloc(region_scratch_size()), *attest_scratch = malloc(attest_scratch_size());
    struct wr result = wr_heap(1u << 20);
    struct attest a = { kv, &crypto_ops_real, attest_scratch, attest_scratch_size() };
    struct region r = { kv, &crypto_ops_real, region_scratch, region_scratch_size() };
    uint64_t index;
    enum reeve_err err = region_scratch && attest_scratch ? REEVE_OK : REEVE_E_NOMEM;
    if (err == REEVE_OK)
        err = attest_init(&a, genesis);
    if (err == REEVE_OK)
        err = region_apply(&r, 1, command, &result);
    if (err == REEVE_OK)
        err = region_applied_index(&r, &index);
    if (err == REEVE_OK && index != 1)
        err = REEVE_E_BUG;
    wr_free(&result);
    free(region_scratch);
    free(attest_scratch);
    return err == REEVE_E_DUPLICATE_OBJECT ? REEVE_E_LOCKED : err;
}

enum reeve_err ring_init(const char *dir, struct slice genesis, const struct name *region, const struct name *superuser,
                         struct slice verifier, struct wall_ms now, struct report *rep)
{
    struct storage *st = NULL;
    struct storage_txn *t;
    uint8_t mem[2048];
    struct wr command = wr_fixed(mem, sizeof mem);
    enum reeve_err err;
    TRY(builtin_command(&command, region, superuser, verifier, now));
    TRY(storage_open(&st, dir, STORAGE_WRITE, INIT_MAP_SIZE, INIT_READERS, rep));
    TRY(storage_begin(st, STORAGE_WRITE, &t));
    err = write_state(storage_kv(t), genesis, wr_slice(&command));
    if (err == REEVE_OK)
        err = storage_commit(t);
    else
        storage_abort(t);
out:
    storage_close(st);
    return err == REEVE_OK ? err : report_set(rep, err, "could not make the region's store (%s)", reeve_err_text(err));
}
