/* apply.c - one command inside the write transaction: region and attested table. */
#include "backend/ring/ring_int.h"

#include <unistd.h>

#include "backend/utils/log.h"
#include "crypto/ops.h"

uint8_t ring_command_type(struct slice command)
{
    return command.len >= 2 && command.p[0] == 1 ? command.p[1] : 0;
}

/* Blocks come before the command that names their height (N2). */
static enum reeve_err apply_blocks(struct ring *r, struct kv *kv, struct slice command, struct report *rep)
{
    struct rd in = rd_of(slice_of(command.p + 2, command.len - 2));
    uint64_t height = rd_u64(&in);
    struct attest a = { kv, &crypto_ops_real, r->attest_scratch, attest_scratch_size() };
    struct slice block = follow_block(r, height);
    if (in.bad || block.len == 0)
        return report_set(rep, REEVE_E_BUG, "no block at height %llu", (unsigned long long) height);
    enum reeve_err err = attest_apply(&a, block, rep);
    return err == REEVE_OK ? err : report_set(rep, err, "block %llu was refused (%s)", (unsigned long long) height, reeve_err_name(err));
}

static enum reeve_err host_apply(void *arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out,
                                 struct report *rep)
{
    struct ring *r = arg;
    struct region region = { kv, &crypto_ops_real, r->region_scratch, region_scratch_size() };
    if (ring_command_type(command) == RC_ATTESTED) {
        enum reeve_err err = apply_blocks(r, kv, command, rep);
        if (err != REEVE_OK)
            return err;
    }
    r->txn_applied |= ring_command_type(command) == RC_TXN;
    return region_apply(&region, index, command, out);
}

static bool host_alone(void *arg, struct slice command)
{
    (void) arg;
    return ring_command_type(command) == RC_ATTESTED;
}

static void host_committed(void *arg, uint64_t index)
{
    struct ring *r = arg;
    struct ring_view v;
    (void) index;
    wake_later(r);
    if (r->txn_applied && ring_view_open(r, &v) == REEVE_OK) {
        autoconf_run(r, &v);
        ring_view_close(&v);
    }
    r->txn_applied = false;
}

/* Nothing is tried again on a store whose sync failed: the next start reads what is there. */
static void host_fatal(void *arg, enum reeve_err err)
{
    struct ring *r = arg;
    log_fatal("the store could not be synced (%s); ending", reeve_err_text(err));
    child_stop(r->child, 1);
    _exit(1);
}

const struct proposer_host ring_host = { NULL, host_apply, host_alone, host_committed, host_fatal };

enum reeve_err ring_view_open(struct ring *r, struct ring_view *v)
{
    enum reeve_err err = storage_begin(r->store, STORAGE_READ, &v->txn);
    if (err != REEVE_OK)
        return err;
    v->region = (struct region){ storage_kv(v->txn), &crypto_ops_real, r->region_scratch, region_scratch_size() };
    v->attest = (struct attest){ storage_kv(v->txn), &crypto_ops_real, r->attest_scratch, attest_scratch_size() };
    return REEVE_OK;
}

void ring_view_close(struct ring_view *v)
{
    storage_abort(v->txn);
}
