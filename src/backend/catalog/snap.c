/* snap.c - snapshots of the store, and calls to the ring and the postmaster. */
#include "backend/catalog/snap.h"

#include <stdio.h>

#include "backend/catalog/env.h"
#include "backend/ring/ring.h"
#include "crypto/ops.h"

#define RING_CALL_MS_MAX 30000
#define SUBMIT_SPARE_MS 5000
#define READ_ALONE_MS 500
#define READ_MS_MAX 3000                /* longer than a new leader takes */
#define READ_AGAIN_MS 20
#define AGE_EVERY_MS 1000
#define AGE_MS_MAX 100
#define AGE_TOLD_MS 2000
#define READ_LOCAL 1                    /* word of read_consistency */

/* Word that a snapshot is too old is about the one that was open when it came. */
static void not_old(struct session *s)
{
    if (s->signals != NULL)
        s->signals->snapshot_old = 0;
}

enum reeve_err snap_open_local(struct session *s, struct snap *out, struct report *rep)
{
    struct backend_env *e = s->env;
    memset(out, 0, sizeof *out);
    reeve_assert(e->txn == NULL);
    not_old(s);
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
    not_old(sn->session);
    sn->open = false;
}

static enum reeve_err wait_session(void *arg, int fd, short events, int timeout_ms, struct report *rep)
{
    return session_wait(arg, fd, events, timeout_ms, rep);
}

static enum reeve_err ring_channel(struct session *s, struct mono_ms deadline, struct report *rep)
{
    struct backend_env *e = s->env;
    if (e->ring != NULL && ipc_is_open(e->ring))
        return REEVE_OK;
    ipc_close(e->ring);
    e->ring = NULL;
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

/* A key that nobody names yet is no change, nor is a checkpoint: only these may be given up without a doubt. */
static bool changes_nothing(uint16_t msg)
{
    return msg == MSG_CREATE_AUTHORITY_KEY || msg == MSG_CREATE_SHARED_KEY || msg == MSG_CREATE_CHECKPOINT || msg == MSG_COLLECT_SEATS;
}

static const char *why_unanswered(enum reeve_err err)
{
    return err == REEVE_E_TIMEOUT ? "the ring did not answer in time"
         : err == REEVE_E_CANCELED || err == REEVE_E_SNAPSHOT_OLD ? "canceled while the ring was at it" : "the connection to the ring was lost";
}

/* After the request left, a lost connection or a given-up wait says nothing about what the ring did. */
static enum reeve_err unanswered(uint16_t msg, enum reeve_err err, struct report *rep)
{
    if (err != REEVE_E_CLOSED && err != REEVE_E_TIMEOUT && err != REEVE_E_MALFORMED && err != REEVE_E_CANCELED &&
        err != REEVE_E_SNAPSHOT_OLD)
        return err;
    if (changes_nothing(msg) && (err == REEVE_E_CANCELED || err == REEVE_E_SNAPSHOT_OLD))
        return err;
    report_clear(rep);
    if (changes_nothing(msg))
        return report_set(rep, REEVE_E_UNAVAILABLE, "%s; nothing was changed", why_unanswered(err));
    report_set(rep, REEVE_E_UNKNOWN_OUTCOME, "%s; whether the change was made is unknown", why_unanswered(err));
    report_hint(rep, "Look before you try again: SHOW HISTORY LIMIT 5.");
    return REEVE_E_UNKNOWN_OUTCOME;
}

/* The ring answers a submission within the operator's limit, and knows better than we what became of it. */
static int64_t call_ms_max(const struct session *s, uint16_t msg)
{
    int64_t limit = msg == MSG_SUBMIT ? settings_int(s->env->settings, SET_attest_submit_timeout) + SUBMIT_SPARE_MS : 0;
    return limit > RING_CALL_MS_MAX ? limit : RING_CALL_MS_MAX;
}

enum reeve_err ring_call(struct session *s, uint16_t msg, struct slice body, struct wr *reply, struct report *rep)
{
    struct slice result;
    struct mono_ms deadline = { session_mono_now().ms + call_ms_max(s, msg) };
    enum reeve_err err = ring_channel(s, deadline, rep);
    s->confirmed_upto = 0;              /* what is changed here is seen by the next statement */
    if (err != REEVE_OK)
        return err;
    err = ipc_call(s->env->ring, msg, body, deadline, &result, NULL, rep);
    if (err != REEVE_OK)
        return unanswered(msg, err, rep);
    wr_bytes(reply, result.p, result.len);
    return reply->bad ? report_set(rep, REEVE_E_TOO_BIG, "the ring's answer is too large") : REEVE_OK;
}

/* ---- linearizable reads ---- */

static bool is_past(struct mono_ms t) { return session_mono_now().ms >= t.ms; }

static enum reeve_err unconfirmed(enum reeve_err err, struct report *rep)
{
    char why[sizeof rep->message];
    bool said = err == REEVE_E_QUORUM_LOST;
    snprintf(why, sizeof why, "%s", rep->message);
    report_clear(rep);
    if (err == REEVE_E_UNAVAILABLE)
        report_set(rep, err, "the ring process of this server does not answer");
    else
        report_set(rep, REEVE_E_QUORUM_LOST, "%s", said ? why : "the ring did not confirm in time that this server is up to date");
    report_hint(rep, "SHOW MEMBERS tells who is there. SET read_consistency = local reads what this server has, however old.");
    return rep->code;
}

/* Asking changes nothing, so a ring process that is being replaced is asked again, until the deadline. */
static enum reeve_err ask(struct session *s, uint16_t msg, struct mono_ms deadline, struct wr *reply, struct report *rep)
{
    for (;;) {
        struct slice result = { NULL, 0 };
        report_clear(rep);
        enum reeve_err err = ring_channel(s, deadline, rep);
        if (err == REEVE_OK)
            err = ipc_call(s->env->ring, msg, slice_of(NULL, 0), deadline, &result, NULL, rep);
        if (err == REEVE_OK && reply != NULL)
            wr_bytes(reply, result.p, result.len);
        if ((err != REEVE_E_CLOSED && err != REEVE_E_SHUTDOWN) || is_past(deadline))
            return err == REEVE_E_CLOSED || err == REEVE_E_SHUTDOWN ? REEVE_E_UNAVAILABLE : err;
        report_clear(rep);
        err = session_wait(s, -1, 0, READ_AGAIN_MS, rep);
        if (err != REEVE_E_AGAIN)
            return err;
    }
}

enum reeve_err ring_ask(struct session *s, uint16_t msg, int ms_max, struct wr *reply, struct report *rep)
{
    struct mono_ms deadline = { session_mono_now().ms + ms_max };
    enum reeve_err err = ask(s, msg, deadline, reply, rep);
    return err == REEVE_E_TIMEOUT && is_past(deadline) ? REEVE_E_UNAVAILABLE : err;
}

/*
 * In a ring of one nobody else answers anybody, and what its ring process answered is in the store, but for registrations of
 * the last second: when that process does not answer, reading goes on without them.
 */
static bool open_alone(struct session *s, struct snap *out)
{
    struct ring_members *m = arena_alloc(s->stmt_arena, sizeof *m);
    struct report rep = { 0 };
    if (m == NULL || snap_open_local(s, out, &rep) != REEVE_OK)
        return false;
    if (ring_members_read(&out->kv, m) == REEVE_OK && m->conf.n == 1 && m->conf.m[0].id == m->self)
        return true;
    snap_close(out);
    return false;
}

/* Every member may have answered something: the ring is asked for a point behind all of it. */
static enum reeve_err confirm(struct session *s, struct snap *out, struct report *rep)
{
    int64_t now = session_mono_now().ms;
    struct mono_ms first = { now + READ_ALONE_MS }, last = { now + READ_MS_MAX };
    enum reeve_err err = ask(s, MSG_BARRIER, first, NULL, rep);
    bool silent = is_past(first) && (err == REEVE_E_TIMEOUT || err == REEVE_E_UNAVAILABLE);
    if (silent && open_alone(s, out))
        return REEVE_OK;
    if (silent)
        err = ask(s, MSG_BARRIER, last, NULL, rep);
    if (err == REEVE_E_AGAIN || err == REEVE_E_NOT_LEADER || err == REEVE_E_QUORUM_LOST || err == REEVE_E_UNAVAILABLE ||
        (err == REEVE_E_TIMEOUT && is_past(last)))
        return unconfirmed(err, rep);
    return err;
}

/*
 * A local read tells how old it may be, where that is more than a moment: with no leader for a while, others may have gone on. Asked
 * once a second at most, so that what is read meanwhile costs nothing.
 */
static enum reeve_err look_age(struct session *s, uint32_t *leaderless_ms, bool *silent, struct report *rep)
{
    struct wr reply = wr_heap(1 << 16);
    *leaderless_ms = 0;
    *silent = false;
    if (session_mono_now().ms < s->age_next_ms)
        return REEVE_OK;
    s->age_next_ms = session_mono_now().ms + AGE_EVERY_MS;
    enum reeve_err err = ring_ask(s, MSG_RING_STATUS, AGE_MS_MAX, &reply, rep);
    struct rd r = rd_of(wr_slice(&reply));
    *silent = err == REEVE_E_UNAVAILABLE;
    (void) rd_u32(&r);
    (void) rd_u64(&r);
    (void) rd_u64(&r);
    if (err == REEVE_OK)
        *leaderless_ms = rd_u32(&r);
    wr_free(&reply);
    if (*silent)
        report_clear(rep);
    return *silent ? REEVE_OK : err;
}

static enum reeve_err open_aged(struct session *s, struct snap *out, struct report *rep)
{
    uint32_t leaderless_ms;
    uint64_t revision = 0;
    bool silent;
    enum reeve_err err;
    TRY(look_age(s, &leaderless_ms, &silent, rep));
    TRY(snap_open_local(s, out, rep));
    if (leaderless_ms < AGE_TOLD_MS && !silent)
        return REEVE_OK;
    if (region_applied_index(&out->region, &revision) != REEVE_OK)
        revision = 0;
    if (silent)
        session_notice(s, NOTICE_NOTICE, NULL, "read as of revision %llu; the ring process of this server does not answer",
                       (unsigned long long) revision);
    else
        session_notice(s, NOTICE_NOTICE, NULL, "read as of revision %llu; this server has had no leader for %u s",
                       (unsigned long long) revision, leaderless_ms / 1000);
out:
    return err;
}

enum reeve_err snap_open(struct session *s, struct snap *out, struct report *rep)
{
    struct report why = { 0 };
    enum reeve_err err;
    memset(out, 0, sizeof *out);
    rep = rep ? rep : &why;
    if (session_int(s, SET_read_consistency) == READ_LOCAL)
        return open_aged(s, out, rep);
    if (!s->read_confirmed) {
        TRY(confirm(s, out, rep));
        s->read_confirmed = true;
        s->confirmed_upto = s->received;
    }
    err = out->open ? REEVE_OK : snap_open_local(s, out, rep);
out:
    return err;
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
