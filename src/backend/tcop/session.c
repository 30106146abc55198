/* session.c - life, transactions, interrupts and notices of a session; see the header. */
#include "backend/tcop/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "backend/tcop/session_int.h"

/* ---- time ---- */

static int64_t clock_ms(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct mono_ms session_mono_now(void) { return (struct mono_ms){ clock_ms(CLOCK_MONOTONIC) }; }
struct wall_ms session_wall_now(void) { return (struct wall_ms){ clock_ms(CLOCK_REALTIME) }; }

/* ---- life ---- */

enum reeve_err session_init(struct session *s, struct arena *arena, struct arena *stmt_arena,
                            const struct setting_value *base)
{
    memset(s, 0, sizeof *s);
    s->arena = arena;
    s->stmt_arena = stmt_arena;
    s->txn = TXN_IDLE;
    s->client.fd = -1;
    s->started = session_wall_now();
    return session_settings_init(s, base);
}

void session_free(struct session *s)
{
    if (s->work.abort != NULL)
        session_txn_abort(s);
    session_settings_free(s);
}

/* ---- transactions ---- */

void session_txn_attach(struct session *s, struct txn_work work)
{
    reeve_assert(s->work.commit == NULL && work.commit != NULL && work.abort != NULL);
    s->work = work;
}

static void txn_over(struct session *s, bool committed)
{
    session_settings_txn_end(s, committed);
    s->txn = TXN_IDLE;
    s->implicit = false;
}

enum reeve_err session_txn_commit(struct session *s, struct report *rep)
{
    struct txn_work work = s->work;
    s->work = (struct txn_work){ 0 };
    enum reeve_err err = work.commit ? work.commit(s, work.arg, rep) : REEVE_OK;
    txn_over(s, err == REEVE_OK);
    return err;
}

void session_txn_abort(struct session *s)
{
    struct txn_work work = s->work;
    s->work = (struct txn_work){ 0 };
    if (work.abort != NULL)
        work.abort(s, work.arg);
    txn_over(s, false);
}

/* ---- interrupts ---- */

static bool deadline_passed(const struct session *s)
{
    return s->stmt_deadline.ms != 0 && session_mono_now().ms >= s->stmt_deadline.ms;
}

static enum reeve_err snapshot_old(struct session *s, struct report *rep)
{
    s->signals->snapshot_old = 0;
    report_set(rep, REEVE_E_SNAPSHOT_OLD, "%s", reeve_err_text(REEVE_E_SNAPSHOT_OLD));
    report_hint(rep, "Try again; setting snapshot_timeout is how long one may be read while changes are made.");
    return REEVE_E_SNAPSHOT_OLD;
}

enum reeve_err session_check_interrupts(struct session *s, struct report *rep)
{
    struct report unused = { 0 };
    rep = rep ? rep : &unused;
    if (s->signals != NULL && s->signals->die)
        return report_set(rep, REEVE_E_SHUTDOWN, "terminating connection due to administrator command");
    if (s->signals != NULL && s->signals->cancel) {
        s->signals->cancel = 0;
        return report_set(rep, REEVE_E_CANCELED, "canceling statement due to user request");
    }
    if (s->signals != NULL && s->signals->snapshot_old)
        return snapshot_old(s, rep);
    if (deadline_passed(s)) {
        s->stmt_deadline.ms = 0;
        return report_set(rep, REEVE_E_TIMEOUT, "canceling statement due to statement timeout");
    }
    return REEVE_OK;
}

/* Milliseconds to sleep at most: the caller's end or the statement's, whichever is nearer; -1 no end. */
static int wait_ms(const struct session *s, int64_t end_ms)
{
    int64_t end = s->stmt_deadline.ms;
    if (end_ms != 0 && (end == 0 || end_ms < end))
        end = end_ms;
    if (end == 0)
        return -1;
    int64_t left = end - session_mono_now().ms;
    return left < 0 ? 0 : left > 60000 ? 60000 : (int) left;
}

void session_wake_drain(const struct session_signals *sig)
{
    uint64_t n;
    if (sig != NULL && sig->wake_fd >= 0)
        (void) !read(sig->wake_fd, &n, sizeof n);
}

static enum reeve_err poll_once(struct session *s, int fd, short events, int64_t end_ms, bool *ready)
{
    struct pollfd p[3] = {
        { .fd = fd, .events = events },
        { .fd = s->client.fd, .events = POLLRDHUP },
        { .fd = s->signals ? s->signals->wake_fd : -1, .events = POLLIN },
    };
    int n = poll(p, 3, wait_ms(s, end_ms));
    if (n < 0 && errno != EINTR)
        return REEVE_E_IO;
    if (n > 0 && p[2].revents)
        session_wake_drain(s->signals);
    if (n > 0 && p[1].revents && s->client.gone != NULL && s->client.gone(s->client.arg))
        return REEVE_E_CLOSED;
    *ready = n > 0 && p[0].revents != 0;
    return REEVE_OK;
}

enum reeve_err session_wait(struct session *s, int fd, short events, int timeout_ms, struct report *rep)
{
    int64_t end = timeout_ms < 0 ? 0 : session_mono_now().ms + timeout_ms;
    if (s->client.waiting != NULL)
        s->client.waiting(s->client.arg);
    for (;;) {
        bool ready = false;
        enum reeve_err err = session_check_interrupts(s, rep);
        if (err == REEVE_OK)
            err = poll_once(s, fd, events, end, &ready);
        if (err != REEVE_OK || ready)
            return err;
        if (end != 0 && session_mono_now().ms >= end)
            return REEVE_E_AGAIN;
    }
}

/* ---- notices ---- */

static bool level_wanted(const struct session *s, enum notice_level level)
{
    /* INFO always reaches the client, as in PostgreSQL; client_min_messages lists the others. */
    static const int rank[] = { [NOTICE_DEBUG] = 0, [NOTICE_LOG] = 1, [NOTICE_NOTICE] = 2, [NOTICE_WARNING] = 3 };
    return level == NOTICE_INFO || rank[level] >= session_int(s, SET_client_min_messages);
}

void session_notice_report(struct session *s, enum notice_level level, const struct report *rep)
{
    if (s->client.notice != NULL && level_wanted(s, level))
        s->client.notice(s->client.arg, level, rep);
}

void session_notice(struct session *s, enum notice_level level, const char *sqlstate, const char *fmt, ...)
{
    struct report rep = { 0 };
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(rep.message, sizeof rep.message, fmt, ap);
    va_end(ap);
    snprintf(rep.sqlstate, sizeof rep.sqlstate, "%s",
             sqlstate ? sqlstate : level == NOTICE_WARNING ? "01000" : "00000");
    session_notice_report(s, level, &rep);
}
