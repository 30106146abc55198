/* apply.c - one command inside the write transaction: region and attested table; what follows when readers see it. */
#include "backend/ring/ring_int.h"

#include <stdlib.h>
#include <unistd.h>

#include "backend/utils/log.h"
#include "crypto/ops.h"

uint8_t ring_command_type(struct slice command)
{
    return command.len >= 2 && command.p[0] == 1 ? command.p[1] : 0;
}

bool ring_command_block(struct slice command, uint64_t *height, struct slice *block)
{
    struct rd in = rd_of(command);
    if (ring_command_type(command) != RC_ATTESTED || command.len <= PROPOSER_ATTESTED_HEAD)
        return false;
    rd_bytes(&in, 2);
    *height = rd_u64(&in);
    *block = slice_of(command.p + PROPOSER_ATTESTED_HEAD, command.len - PROPOSER_ATTESTED_HEAD);
    return true;
}

/* ---- in the state writer's thread ---- */

/* Blocks come before the command that names their height (N2). */
static enum reeve_err apply_block(struct applier *ap, struct kv *kv, struct slice command, struct report *rep)
{
    struct attest a = { kv, &crypto_ops_real, ap->attest_scratch, attest_scratch_size() };
    struct block_header h;
    uint64_t height;
    struct slice block;
    if (!ring_command_block(command, &height, &block))
        return report_set(rep, REEVE_E_MALFORMED, "an attested command without its block");
    if (block.len < ATTEST_HEADER_LEN || header_decode(&h, slice_of(block.p, ATTEST_HEADER_LEN)) != REEVE_OK ||
        h.height != height)
        return report_set(rep, REEVE_E_MALFORMED, "the block of height %llu is not one", (unsigned long long) height);
    enum reeve_err err = attest_apply(&a, block, rep);
    return err == REEVE_OK ? err : report_set(rep, err, "block %llu was refused (%s)", (unsigned long long) height, reeve_err_name(err));
}

static enum reeve_err host_apply(void *arg, struct kv *kv, uint64_t index, struct slice command, struct wr *out,
                                 struct report *rep)
{
    struct applier *ap = arg;
    struct region region = { kv, &crypto_ops_real, ap->region_scratch, region_scratch_size() };
    if (ring_command_type(command) == RC_ATTESTED) {
        enum reeve_err err = apply_block(ap, kv, command, rep);
        if (err != REEVE_OK)
            return err;
        command.len = PROPOSER_ATTESTED_HEAD;
    }
    return region_apply(&region, index, command, out);
}

/* Nobody waits to read these back, and they come in masses. */
static bool host_early(struct slice command)
{
    uint8_t type = ring_command_type(command);
    return type == RC_REGISTER || type == RC_LIVENESS;
}

enum reeve_err applier_init(struct applier *ap)
{
    ap->region_scratch = malloc(region_scratch_size());
    ap->attest_scratch = malloc(attest_scratch_size());
    return ap->region_scratch && ap->attest_scratch ? REEVE_OK : REEVE_E_NOMEM;
}

void applier_free(struct applier *ap)
{
    free(ap->region_scratch);
    free(ap->attest_scratch);
}

/* ---- in the loop ---- */

static void host_applied(void *arg, uint64_t index, struct slice command)
{
    struct ring *r = arg;
    uint64_t height;
    struct slice block;
    r->txn_applied |= ring_command_type(command) == RC_TXN;
    if (ring_command_type(command) == RC_LEVEL)
        log_info("the state has its new level at revision %llu", (unsigned long long) index);
    if (ring_command_block(command, &height, &block))
        follow_applied(r, height, block);
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

/* Where this process's parts remember something of the state, they read it again. Early in the start there are none. */
static void host_replaced(void *arg, uint64_t index)
{
    struct ring *r = arg;
    (void) index;
    if (r->driver == NULL)
        return;
    follow_replaced(r);
    drivers_replaced(r);
    r->txn_applied = true;
    host_committed(r, index);
}

static void host_role(void *arg, bool leads)
{
    struct ring *r = arg;
    memset(r->watch, 0, sizeof r->watch);
    log_info(leads ? "this member leads the ring" : "this member does not lead the ring any more");
}

/* In the state writer's thread: of a state from another member. One of a newer program's is refused (region.h G6). */
static enum reeve_err host_revision(void *arg, struct kv *kv, uint64_t *out)
{
    struct applier *ap = arg;
    struct region region = { kv, &crypto_ops_real, ap->region_scratch, region_scratch_size() };
    uint32_t level;
    if (region_applied_index(&region, out) != REEVE_OK || *out == 0 || region_level(&region, &level) != REEVE_OK)
        return REEVE_E_MALFORMED;
    return level <= region_level_max ? REEVE_OK : REEVE_E_WRONG_STATE;
}

const struct proposer_host ring_host = { .apply = host_apply, .early = host_early, .applied = host_applied, .committed = host_committed,
                                         .fatal = host_fatal, .revision = host_revision, .replaced = host_replaced,
                                         .role = host_role, .admit = ring_admit, .news = ring_news,
                                         .letter = ring_letter };

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
