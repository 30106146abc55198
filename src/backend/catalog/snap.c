/* snap.c - snapshots of the store, and calls to the ring and the postmaster. */
#include "backend/catalog/snap.h"

#include "backend/catalog/env.h"
#include "crypto/ops.h"

#define RING_CALL_MS_MAX 30000

enum reeve_err snap_open(struct session *s, struct snap *out, struct report *rep)
{
    struct backend_env *e = s->env;
    memset(out, 0, sizeof *out);
    reeve_assert(e->txn == NULL);
    /*
     * A commit is answered only after LMDB synced it, and this ring has one
     * member: the newest snapshot holds every answered commit. With more
     * members a linearizable read asks the ring for a read point first.
     */
    enum reeve_err err = storage_begin(e->store, STORAGE_READ, &e->txn);
    if (err != REEVE_OK) {
        e->txn = NULL;
        return report_set(rep, err, "could not read the store: %s", reeve_err_text(err));
    }
    out->kv = *storage_kv(e->txn);
    out->region = (struct region){ .kv = &out->kv, .c = &crypto_ops_real, .scratch = e->region_scratch,
                                   .scratch_len = region_scratch_size() };
    out->attest = (struct attest){ .kv = &out->kv, .c = &crypto_ops_real, .scratch = e->attest_scratch, .scratch_len = attest_scratch_size() };
    out->session = s;
    out->open = true;
    return REEVE_OK;
}

void snap_close(struct snap *sn)
{
    if (!sn->open)
        return;
    storage_abort(sn->session->env->txn);
    sn->session->env->txn = NULL;
    sn->open = false;
}

static enum reeve_err wait_session(void *arg, int fd, short events, int timeout_ms, struct report *rep)
{
    return session_wait(arg, fd, events, timeout_ms, rep);
}

static enum reeve_err ring_channel(struct session *s, struct report *rep)
{
    struct backend_env *e = s->env;
    if (e->ring != NULL && ipc_is_open(e->ring))
        return REEVE_OK;
    ipc_close(e->ring);
    e->ring = NULL;
    struct mono_ms deadline = { session_mono_now().ms + RING_CALL_MS_MAX };
    for (;;) {
        struct report why = { 0 };
        enum reeve_err err = ipc_connect(e->postmaster, PROC_BACKEND, PROC_RING, deadline, &e->ring, &why);
        if (err == REEVE_OK)
            break;
        if (err != REEVE_E_AGAIN || session_mono_now().ms >= deadline.ms)
            return report_set(rep, REEVE_E_UNAVAILABLE, "the ring does not answer: %s", reeve_err_text(err));
        err = session_wait(s, -1, 0, 50, rep);
        if (err != REEVE_OK && err != REEVE_E_AGAIN)
            return err;
    }
    ipc_set_wait(e->ring, wait_session, s);
    return REEVE_OK;
}

/* A key that nobody names yet is no change: only these two may be given up without a doubt. */
static bool changes_nothing(uint16_t msg)
{
    return msg == MSG_CREATE_AUTHORITY_KEY || msg == MSG_CREATE_SHARED_KEY;
}

static const char *why_unanswered(enum reeve_err err)
{
    return err == REEVE_E_TIMEOUT ? "the ring did not answer in time"
         : err == REEVE_E_CANCELED ? "canceled while the ring was at it" : "the connection to the ring was lost";
}

/* After the request left, a lost connection or a given-up wait says nothing about what the ring did. */
static enum reeve_err unanswered(uint16_t msg, enum reeve_err err, struct report *rep)
{
    if (err != REEVE_E_CLOSED && err != REEVE_E_TIMEOUT && err != REEVE_E_MALFORMED && err != REEVE_E_CANCELED)
        return err;
    if (changes_nothing(msg) && err == REEVE_E_CANCELED)
        return err;
    report_clear(rep);
    if (changes_nothing(msg))
        return report_set(rep, REEVE_E_UNAVAILABLE, "%s; nothing was changed", why_unanswered(err));
    report_set(rep, REEVE_E_UNKNOWN_OUTCOME, "%s; whether the change was made is unknown", why_unanswered(err));
    report_hint(rep, "Look before you try again: SHOW HISTORY LIMIT 5.");
    return REEVE_E_UNKNOWN_OUTCOME;
}

enum reeve_err ring_call(struct session *s, uint16_t msg, struct slice body, struct wr *reply, struct report *rep)
{
    struct slice result;
    enum reeve_err err = ring_channel(s, rep);
    if (err != REEVE_OK)
        return err;
    struct mono_ms deadline = { session_mono_now().ms + RING_CALL_MS_MAX };
    err = ipc_call(s->env->ring, msg, body, deadline, &result, NULL, rep);
    if (err != REEVE_OK)
        return unanswered(msg, err, rep);
    wr_bytes(reply, result.p, result.len);
    return reply->bad ? report_set(rep, REEVE_E_TOO_BIG, "the ring's answer is too large") : REEVE_OK;
}

enum reeve_err postmaster_call(struct session *s, uint16_t msg, struct slice body, struct report *rep)
{
    struct mono_ms deadline = { session_mono_now().ms + 5000 };
    return ipc_call(s->env->postmaster, msg, body, deadline, NULL, NULL, rep);
}

uint32_t snap_last_seen(struct session *s, uint32_t ordinal)
{
    return s->env->liveness ? liveness_get(s->env->liveness, ordinal) : 0;
}
