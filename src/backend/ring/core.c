/* core.c - the member's door in this process: events in, effects obeyed, proposals, reads, the end. */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/ring/core_int.h"
#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define DRAIN_MS 10000
#define DRAIN_POLL_MS 5
/* Above the reserve at which the store itself stops: what is under way has to find room yet. */
#define ROOM_SPARE (1u << 20)

_Noreturn void core_die(struct core *c, enum reeve_err err, const char *what)
{
    log_fatal("the ring could not %s: %s; ending", what, reeve_err_text(err));
    c->host.fatal(c->host.arg, err);
    abort();
}

/* ---- effects (D1: in order, before the next event) ---- */

/* The host is told when all effects are obeyed. */
static void note_role(struct core *c, const struct raft_effect *f)
{
    log_debug("ring: %s in term %llu, led by %u", raft_role_name(f->role), (unsigned long long) f->term, f->leader);
}

static void obey_raft(struct core *c, const struct raft_effect *f)
{
    switch (f->type) {
    case RAFT_F_APPEND:
        core_log_append(c, &f->append);
        break;
    case RAFT_F_SEND:
        core_send(c, f);
        break;
    case RAFT_F_CONF:
        core_links_configure(c);
        break;
    case RAFT_F_ROLE:
        note_role(c, f);
        core_back_end(c);
        c->back_told = 0;               /* the member forgets it by itself */
        c->back_full_told = false;
        break;
    case RAFT_F_LOG_READ:
        core_back_read(c, f);
        break;
    case RAFT_F_REPAIRED:
        core_repaired(c);
        break;
    default:
        core_snap_effect(c, f);
        break;
    }
}

/* An end other than APPLIED, or a read's; the host is called when all effects are obeyed. */
struct ended { uint64_t ticket, index; enum reeve_err err; };

static enum reeve_err error_of(const struct member_effect *f)
{
    if (f->type == MEMBER_F_READ_DONE)
        return f->err;
    return f->outcome == MEMBER_UNKNOWN ? REEVE_E_UNKNOWN_OUTCOME : f->err != REEVE_OK ? f->err : REEVE_E_UNAVAILABLE;
}

static void end_read(struct core *c, const struct ended *x)
{
    struct core_read **at = &c->reads;
    while (*at && (*at)->ticket != x->ticket)
        at = &(*at)->next;
    struct core_read *r = *at;
    if (r == NULL)
        return;
    if (x->err == REEVE_OK) {
        r->index = x->index;
        if (r->index > c->synced_index)
            state_flush(c->state);      /* not for nothing: it wakes a thread */
        return;
    }
    *at = r->next;
    r->fn(r->arg, x->err);
    free(r);
}

static void tell_ended(struct core *c, const struct ended *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (x[i].ticket & CORE_READ_TICKET)
            end_read(c, &x[i]);
        else if (x[i].ticket & CORE_CHANGE_TICKET)
            core_change_ended(c, x[i].ticket, x[i].err);
        else
            c->host.done(c->host.arg, x[i].ticket, x[i].err, NULL);
    }
    if (n > 0)
        core_reads_check(c);
}

static size_t obey(struct core *c, struct ended *x)
{
    size_t n = 0;
    for (size_t i = 0; i < c->fx.n; i++) {
        const struct member_effect *f = &c->fx.e[i];
        switch (f->type) {
        case MEMBER_F_RAFT: obey_raft(c, f->raft); break;
        case MEMBER_F_APPLY: core_apply(c, f->index); break;
        case MEMBER_F_DONE:
            if (f->ticket & CORE_CHANGE_TICKET)
                x[n++] = (struct ended){ f->ticket, 0, f->outcome == MEMBER_APPLIED ? REEVE_OK : error_of(f) };
            else if (f->outcome != MEMBER_APPLIED)  /* APPLIED is told with its answer (core_apply.c) */
                x[n++] = (struct ended){ f->ticket, 0, error_of(f) };
            break;
        case MEMBER_F_READ_DONE: x[n++] = (struct ended){ f->ticket, f->index, error_of(f) }; break;
        case MEMBER_F_STOPPED: c->stopped = true; break;
        case MEMBER_F_FLUSH: state_flush(c->state); break;
        case MEMBER_F_HASH: c->hash_index = f->index; break;
        case MEMBER_F_QUARANTINE: core_quarantine(c, f); break;
        default: break;
        }
    }
    return n;
}

static void on_wake(void *arg);
static void set_timer(struct core *c)
{
    struct mono_ms at = member_wake(c->m);
    if (at.ms == INT64_MAX)
        loop_timer_cancel(c->loop, &c->timer);
    else if ((!loop_timer_is_set(&c->timer) || c->timer.due.ms != at.ms) &&
             loop_timer_at(c->loop, &c->timer, at, on_wake, c) != REEVE_OK)
        core_die(c, REEVE_E_NOMEM, "set a timer");
}

/*
 * Whoever was given no core for a while wakes with the timer due and the heartbeats unread (D5): they come first. Who is sent more
 * than can be read at once reads on, with the timer still due, but not for long: some of that was heard, and a leader's own
 * heartbeats are due.
 */
static void on_wake(void *arg)
{
    struct core *c = arg;
    struct member_event e = { .type = MEMBER_E_CLOCK, .now = clock_mono() };
    bool more = c->peers && !peers_read(c->peers) && !c->leads;
    if (more && c->late_until.ms == 0)
        c->late_until = clock_deadline(CORE_LATE_MS);
    if (more && clock_left(c->late_until) > 0) {
        set_timer(c);
        return;
    }
    c->late_until.ms = 0;
    (void) core_step(c, &e);
}

/* A leader may act when it has committed in its term: then it knows what was decided before. */
static void tell_role(struct core *c)
{
    struct raft_status st;
    raft_status(member_raft(c->m), &st);
    bool leads = st.role == RAFT_LEADER && st.committed_in_term;
    if (st.leader != 0)
        c->led_ms = clock_mono().ms;
    if (leads == c->leads)
        return;
    c->leads = leads;
    if (c->host.role && !c->quiet)
        c->host.role(c->host.arg, leads);
    if (leads)
        core_address_check(c);
}

/*
 * Who cannot apply what it decides fills its window and takes nothing in the end: one who has room leads better. Not too often:
 * perhaps nobody has.
 */
static void yield_if_stalled(struct core *c)
{
    int64_t now = clock_mono().ms;
    if (!c->leads || now < c->yield_ms || c->closing || state_stalled(c->state) == REEVE_OK)
        return;
    c->yield_ms = now + CORE_YIELD_MS;
    log_limited(LOG_SEV_WARNING, "the store takes nothing (%s): leadership is offered to another member",
                reeve_err_text(state_stalled(c->state)));
    enum reeve_err err = core_transfer(c, 0);
    if (err != REEVE_OK)
        log_debug("nobody to offer leadership to: %s", reeve_err_text(err));
}

static void stopped_later(void *arg)
{
    struct core *c = arg;
    void (*fn)(void *arg) = c->stop_fn;
    if (!c->stopped || fn == NULL)
        return;
    c->stop_fn = NULL;
    fn(c->stop_arg);
}

/* Never inside a step: who hears of it drains and ends what callers of that step still hold. */
static void tell_stopped(struct core *c)
{
    if (!c->stopped || c->stop_fn == NULL)
        return;
    c->stop_task.fn = stopped_later;
    loop_post(c->loop, &c->stop_task);
}

enum reeve_err core_step(struct core *c, struct member_event *e)
{
    struct ended x[MEMBER_EFFECTS_MAX];
    if (e->type != MEMBER_E_CLOCK)
        e->now = clock_mono();
    member_step(c->m, e, &c->fx);
    enum reeve_err verdict = c->fx.verdict;
    size_t n = obey(c, x);
    core_links_settle(c);
    set_timer(c);
    tell_ended(c, x, n);
    core_committed(c);
    tell_role(c);
    yield_if_stalled(c);
    core_repaired_check(c);
    core_tell_hash(c);
    core_back_settle(c);
    tell_stopped(c);
    return verdict;
}

/* ---- proposals ---- */

/* What is in the log cannot be refused any more, so it is refused before. */
static enum reeve_err room(struct core *c, size_t len)
{
    struct wal_status wal;
    bool full;
    enum reeve_err err = state_stalled(c->state);
    if (err != REEVE_OK)
        return err;
    walfile_status(c->wal, &wal, &full);
    if (full)
        return REEVE_E_DISK_FULL;
    return storage_room(c->store, STORAGE_RESERVE + ROOM_SPARE + 2 * (c->bytes + len));
}

enum reeve_err core_propose(struct core *c, uint64_t ticket, struct slice command)
{
    struct member_event e = { .type = MEMBER_E_PROPOSE, .ticket = ticket, .data = command };
    if (c->closing)
        return REEVE_E_SHUTDOWN;
    enum reeve_err err = room(c, command.len);
    return err != REEVE_OK ? err : core_step(c, &e);
}

/* ---- reads ---- */

/* Nobody else can have acknowledged anything. */
static bool alone(const struct core *c)
{
    const struct raft_conf *conf = raft_conf(member_raft(c->m));
    struct member_status st;
    member_status(c->m, &st);
    return conf->n == 1 && st.raft.role == RAFT_LEADER;
}

/* What this member answered early, what was there at the start, and what the others answered while there were some. */
static uint64_t alone_from(const struct core *c)
{
    struct raft_status st;
    raft_status(member_raft(c->m), &st);
    uint64_t need = c->early_index > c->start_index ? c->early_index : c->start_index;
    return st.conf_index > need ? st.conf_index : need;
}

enum reeve_err core_read(struct core *c, core_read_done *fn, void *arg)
{
    struct member_event e = { .type = MEMBER_E_READ, .ticket = CORE_READ_TICKET | ++c->n_reads };
    uint64_t need = alone_from(c);
    if (alone(c) && need <= c->synced_index) {
        fn(arg, REEVE_OK);
        return REEVE_OK;
    }
    struct core_read *r = malloc(sizeof *r);
    if (r == NULL)
        return REEVE_E_NOMEM;
    *r = (struct core_read){ .next = c->reads, .ticket = e.ticket, .fn = fn, .arg = arg };
    c->reads = r;
    if (alone(c)) {
        r->index = need;
        state_flush(c->state);
        return REEVE_OK;
    }
    enum reeve_err err = core_step(c, &e);
    if (err == REEVE_OK)
        return err;
    struct core_read **at = &c->reads;
    while (*at && *at != r)
        at = &(*at)->next;
    if (*at) {
        *at = r->next;
        free(r);
    }
    return err;
}

/* ---- the end ---- */

static bool all_ended(struct core *c)
{
    struct member_status st;
    member_status(c->m, &st);
    return st.tickets == 0 && c->synced_index >= st.raft.last;
}

static void stop_later(void *arg)
{
    struct core *c = arg;
    struct member_event e = { .type = MEMBER_E_STOP };
    (void) core_step(c, &e);
}

/* Not from within a step. A ring of one has nobody to hand over to: draining is all. */
void core_stop(struct core *c, void (*fn)(void *arg), void *arg)
{
    c->stopped |= alone(c);
    c->stop_fn = fn;
    c->stop_arg = arg;
    c->stop_task = (struct loop_task){ .fn = c->stopped ? stopped_later : stop_later, .arg = c };
    loop_post(c->loop, &c->stop_task);
}

/* The loop stands still meanwhile: its watchers belong to others. With others nothing is committed meanwhile, so only what is
   applied already is synced. */
void core_drain(struct core *c)
{
    struct mono_ms until = clock_deadline(DRAIN_MS);
    struct pollfd p = { .fd = walfile_fd(c->wal), .events = POLLIN };
    c->closing = true;
    if (!alone(c)) {
        state_drain(c->state);
        return;
    }
    while (!all_ended(c) && state_stalled(c->state) == REEVE_OK && clock_left(until) > 0) {
        uint64_t n;
        core_log_durable(c, walfile_durable(c->wal));
        state_drain(c->state);
        if (!all_ended(c) && poll(&p, 1, DRAIN_POLL_MS) > 0 && read(p.fd, &n, sizeof n) < 0)
            break;
    }
}

static void free_reads(struct core *c)
{
    while (c->reads) {
        struct core_read *r = c->reads;
        c->reads = r->next;
        r->fn(r->arg, REEVE_E_SHUTDOWN);
        free(r);
    }
}

void core_close(struct core *c)
{
    struct state_run *left = NULL;
    if (c == NULL)
        return;
    c->closing = true;
    if (c->state)
        state_stop(c->state, &left);
    for (struct state_run *next; left; left = next) {
        next = left->later;
        core_run_free((struct core_run *) left);
    }
    loop_timer_cancel(c->loop, &c->timer);
    loop_unpost(c->loop, &c->stop_task);
    core_change_free(c);
    core_mend_free(c);
    core_links_free(c);
    core_snap_free(c);
    core_back_end(c);
    core_log_free(c);
    if (c->wal)
        walfile_close(c->wal, true);
    free_reads(c);
    free(c->mem);
    free(c);
}

const struct raft_conf *core_conf(const struct core *c) { return raft_conf(member_raft(c->m)); }
uint32_t core_id(const struct core *c) { return c->me.id; }
uint64_t core_ring(const struct core *c) { return c->me.ring; }

bool core_peer_status(const struct core *c, uint32_t id, struct raft_peer_status *out)
{
    return raft_peer_status(member_raft(c->m), id, out);
}

void core_status(struct core *c, struct core_status *out)
{
    *out = (struct core_status){ .revision = c->revision, .stalled = state_stalled(c->state) };
    out->leads = c->leads;
    member_status(c->m, &out->member);
    out->leaderless_ms = out->member.raft.leader ? 0 : clock_mono().ms - c->led_ms;
    walfile_status(c->wal, &out->wal, &out->wal_full);
}
