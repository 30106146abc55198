/*
 * core_back.c - what comes behind a state that is on its way to another member
 *
 * The window of entries in memory lasts for seconds under full load; a state of
 * millions of rows takes a minute to be sent and installed. So a leader that
 * writes down a state for somebody also keeps what is appended behind it in a
 * file (backlog.h), until everybody on the way up has reached the window
 * (raft_needed()). It is bounded: where it comes near its end proposals are
 * refused while the other member moves (raft.h D9), and where it is at its end,
 * or the disk is, it is given up, and a transfer under way begins anew.
 */
#include <sys/statvfs.h>

#include "backend/ring/core_int.h"
#include "backend/utils/log.h"

static void read_back(void *arg, uint32_t peer, uint64_t index, uint64_t term, size_t n, struct slice data);

static void give_up(struct core *c, const char *why)
{
    log_limited(LOG_SEV_WARNING, "what another member needs to get in step is not kept any more: %s", why);
    core_back_end(c);
}

static void put(struct core *c, uint64_t first, uint64_t last)
{
    const struct raft_log *log = member_log(c->m);
    enum reeve_err err = REEVE_OK;
    for (uint64_t i = first; i <= last && err == REEVE_OK; i++) {
        struct raft_entry e;
        log->ops->entry(log->arg, i, &e);
        err = backlog_put(c->back, e.term, e.kind, e.data);
    }
    if (err == REEVE_OK)
        backlog_flush(c->back);
    else
        give_up(c, reeve_err_text(err));
}

/* Entries of this step that are in the window already are not put twice: core_back_append() goes on behind them. */
void core_back_begin(struct core *c, uint64_t index)
{
    const struct raft_log *log = member_log(c->m);
    uint64_t first = log->ops->first(log->arg), last = log->ops->last(log->arg);
    struct raft_status st;
    raft_status(member_raft(c->m), &st);
    if (c->back || st.role != RAFT_LEADER || index + 1 < first || index > last)
        return;
    int fd = core_nameless_file(c, "backlog");
    if (fd < 0 || backlog_open(&c->back, c->loop, fd, index + 1, log->ops->term(log->arg, index), read_back, c) != REEVE_OK) {
        log_limited(LOG_SEV_WARNING, "nothing can be kept for a member that gets the state");
        return;
    }
    c->back_looked = 0;
    c->back_read = false;
    put(c, index + 1, last);
}

void core_back_append(struct core *c, const struct raft_append *ra)
{
    if (c->back == NULL)
        return;
    uint64_t next = backlog_next(c->back);
    bool entries = ra->first <= ra->last && ra->last > 0;
    if (ra->reset || (ra->truncate_from && ra->truncate_from < next) || (entries && ra->first > next))
        core_back_end(c);               /* not by a leader */
    else if (entries && ra->last >= next)
        put(c, next, ra->last);
}

void core_back_end(struct core *c)
{
    if (c->back)
        backlog_close(c->back);
    c->back = NULL;
}

/* ---- read back ---- */

void core_back_read(struct core *c, const struct raft_effect *f)
{
    if (c->back && !c->back_read)
        log_info("member %u gets what came behind the state from where it was kept: the log in memory begins later", f->peer);
    c->back_read = c->back != NULL;
    if (c->back)
        backlog_read(c->back, f->peer, f->index, RAFT_CHUNK_MAX);
}

static void read_back(void *arg, uint32_t peer, uint64_t index, uint64_t term, size_t n, struct slice data)
{
    struct core *c = arg;
    struct member_event e = { .type = MEMBER_E_LOG_BACK, .peer = peer, .index = index, .term = term, .n = n, .data = data };
    (void) core_step(c, &e);
    if (n == 0 && c->back)
        give_up(c, "it cannot be read");
}

/* ---- bounds ---- */

static uint64_t needed(const struct core *c)
{
    uint64_t need = raft_needed(member_raft(c->m)), making = core_snap_making(c);
    return making < UINT64_MAX && making + 1 < need ? making + 1 : need;
}

/* Looked at once for each so many bytes. */
static bool disk_has_room(struct core *c, uint64_t next)
{
    struct statvfs v;
    if (next < c->back_looked + CORE_BACK_ROOM / 16)
        return true;
    c->back_looked = next;
    return statvfs(c->dir, &v) != 0 || (uint64_t) v.f_bavail * v.f_frsize >= CORE_BACK_ROOM;
}

static void trim(struct core *c)
{
    uint64_t need = needed(c), bytes = backlog_bytes(c->back);
    if (need == UINT64_MAX)
        core_back_end(c);
    else if (backlog_failed(c->back))
        give_up(c, "the file could not be written");
    else if (bytes > CORE_BACK_BYTES || backlog_pending(c->back) > CORE_BACK_PENDING)
        give_up(c, "it is too much");
    else if (!disk_has_room(c, backlog_written(c->back)))
        give_up(c, "the disk has no room");
    else
        backlog_trim(c->back, need);
}

void core_back_settle(struct core *c)
{
    if (c->back)
        trim(c);
    struct member_event e = { .type = MEMBER_E_LOG_KEPT };
    if (c->back) {
        e.index = backlog_first(c->back);
        e.n = backlog_bytes(c->back) > CORE_BACK_BYTES / 4 * 3ull || backlog_pending(c->back) > CORE_BACK_PENDING / 4;
    }
    if (e.index == c->back_told && (e.n != 0) == c->back_full_told)
        return;
    c->back_told = e.index;
    c->back_full_told = e.n != 0;
    (void) core_step(c, &e);
}
