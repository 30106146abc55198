/*
 * epoch.c - the set changes: another engine, and a signer that knows of it
 *
 * Once the block that ends an epoch is stored, everything of the engine before it is void: events, votes that wait for
 * the signer, proposals. Whoever is not in the new set goes on without an engine, and takes blocks as others finalize them.
 */
#include "backend/validator/validator_int.h"

#include <stdlib.h>

#include "backend/utils/log.h"

#define LINK_MAX (256u << 10)

/* ---- the signer follows the sets as agents do ---- */

static void on_told(void *arg, struct ipc_answer *a)
{
    (void) arg;
    if (a->err != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "the signer does not follow to the next validator set: %s",
                    a->rep.code != REEVE_OK ? a->rep.message : reeve_err_text(a->err));
}

static enum reeve_err tell_one(struct voter *v, struct attest *a, uint64_t epoch)
{
    struct wr w = wr_heap(LINK_MAX);
    enum reeve_err err = attest_epoch_link(a, epoch, &w);
    if (err == REEVE_OK && !w.bad && ipc_link_request(v->signer, MSG_SIGNER_EPOCH, wr_slice(&w), 0, on_told, v) != REEVE_OK)
        err = REEVE_E_UNAVAILABLE;
    wr_free(&w);
    return err;
}

void epoch_tell_signer(struct voter *v)
{
    struct storage_txn *t;
    uint64_t height, first = v->chain.set.epoch;
    if (storage_begin(v->chain.store, STORAGE_READ, &t) != REEVE_OK)
        return;
    struct attest a = chain_attest(&v->chain, t);
    while (attest_epoch_height(&a, first, &height) == REEVE_OK)
        first--;
    for (uint64_t e = first + 1; e <= v->chain.set.epoch; e++)
        if (tell_one(v, &a, e) != REEVE_OK)
            break;                      /* told again when he is there again */
    storage_abort(t);
}

/* ---- the turn ---- */

static void forget(struct voter *v)
{
    v->n_events = 0;
    v->n_signs = 0;
    v->sign_void = v->signing;
    v->n_certs = 0;
    memset(v->seen, 0, sizeof v->seen);
    v->check.b.view = v->behind.view = 0;
    v->wanted = 0;
    net_forget_offers(v);
}

void epoch_turn(struct voter *v)
{
    struct report rep = { .code = REEVE_OK };
    if (v->epoch == v->chain.set.epoch)
        return;
    forget(v);
    epoch_tell_signer(v);
    log_info("epoch %llu begins: %u validators, this one is %s", (unsigned long long) v->chain.set.epoch, v->chain.set.n,
             chain_votes_here(&v->chain) ? "one of them" : "none of them");
    if (drive_begin(v, &rep) != REEVE_OK) {
        log_report(LOG_SEV_FATAL, &rep);
        drive_die(v, rep.code, "the next epoch cannot begin");
    }
}
