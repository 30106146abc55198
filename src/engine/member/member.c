/* member.c - a member's door: one event in, effects out; then whatever follows from it. */
#include "member_int.h"

void member_config_default(struct member_config *c)
{
    *c = (struct member_config){ .window_entries = 65536, .window_bytes = 64u << 20, .batch_bytes = 256u << 10,
                                 .queue_bytes = 16u << 20, .tickets = 16384, .unknown_ms = 10000, .read_ms = 5000, .pipeline = 2 };
    raft_config_default(&c->raft);
}

/* ---- memory ---- */

static size_t aligned(size_t n) { return (n + 63) / 64 * 64; }
static size_t queue_cap(const struct member_config *c) { return 2 * (size_t) c->queue_bytes + 64; }

static bool config_sane(const struct member_config *c)
{
    bool power = c->window_entries >= 64 && (c->window_entries & (c->window_entries - 1)) == 0;
    return power && c->window_bytes >= (1u << 18) && c->window_bytes <= (1u << 30) && c->batch_bytes > 0 &&
           c->batch_bytes <= RAFT_ENTRY_MAX / 2 && c->batch_bytes <= c->window_bytes / 8 && c->queue_bytes >= 4096 &&
           c->queue_bytes <= (1u << 30) && c->tickets > 0 && c->tickets <= (1u << 24) && c->pipeline > 0 && c->origin != 0 &&
           c->unknown_ms > 0 && c->read_ms > 0;
}

size_t member_size(const struct member_config *c)
{
    if (!config_sane(c))
        return 0;
    return aligned(sizeof(struct member)) + aligned(raft_size()) + aligned(c->tickets * sizeof(struct ticket)) +
           aligned(c->window_entries * sizeof(struct window_slot)) + aligned(c->window_bytes) + aligned(queue_cap(c));
}

static void *carve(uint8_t **at, size_t n)
{
    void *p = *at;
    *at += aligned(n);
    return p;
}

enum reeve_err member_init(struct member **out, void *mem, size_t len, const struct member_config *c)
{
    uint8_t *at = mem;
    if (member_size(c) == 0 || len < member_size(c))
        return REEVE_E_INVALID_VALUE;
    struct member *m = carve(&at, sizeof *m);
    memset(m, 0, sizeof *m);
    m->c = *c;
    m->raft_mem = carve(&at, raft_size());
    m->ticket = carve(&at, c->tickets * sizeof *m->ticket);
    void *slots = carve(&at, c->window_entries * sizeof(struct window_slot));
    void *bytes = carve(&at, c->window_bytes);
    member_window_init(&m->window, slots, c->window_entries, bytes, c->window_bytes);
    m->queue = carve(&at, queue_cap(c));
    m->queue_cap = (uint32_t) queue_cap(c);
    m->start = m->end = QUEUE_FRONT;
    m->log = (struct raft_log){ &member_window_ops, &m->window };
    m->reads_asked = c->origin;         /* an answer to a question of an earlier life answers none of this one */
    member_tickets_init(m);
    *out = m;
    return REEVE_OK;
}

/* ---- what a disk gives back ---- */

/* The first entry may lie anywhere below the state: then only its term is of use, as the one before the window. */
enum reeve_err member_entry_restore(struct member *m, const struct raft_entry *e)
{
    struct window *w = &m->window;
    const struct raft_log_ops *ops = &member_window_ops;
    if (m->begun || e->index == 0 || e->data.len > RAFT_ENTRY_MAX)
        return REEVE_E_INVALID_VALUE;
    if (w->last == 0 && e->index != 1) {
        bool next = m->restored && e->index == m->handed + 1;
        ops->reset(w, next ? m->handed : e->index, next ? m->handed_term : e->term);
        if (!next)
            return REEVE_OK;
    }
    if (e->index != w->last + 1)
        return REEVE_E_CORRUPT;
    if (!member_window_fits(w, 1, e->data.len))
        member_window_trim(w, m->handed);
    if (!member_window_fits(w, 1, e->data.len))
        return REEVE_E_NOMEM;           /* a smaller window than the one this was written with */
    ops->append(w, e);
    return REEVE_OK;
}

enum reeve_err member_begin(struct member *m, const struct raft_start *s)
{
    struct raft_start start = *s;
    if (m->restored) {
        start.base_index = m->handed;
        start.base_term = m->handed_term;
    } else {
        m->handed = s->base_index;
        m->handed_term = s->base_term;
        if (s->conf)
            m->applied_conf = *s->conf;
        member_row_touch(m, 0);
    }
    start.conf = &m->applied_conf;
    m->applied = m->commit = m->state_durable = m->handed;
    if (m->window.last == 0 && m->handed > 0)
        member_window_ops.reset(&m->window, m->handed, m->handed_term);
    enum reeve_err err = raft_init(&m->raft, m->raft_mem, raft_size(), &m->c.raft, &m->log, &start);
    m->begun = err == REEVE_OK;
    return err;
}

/* ---- effects ---- */

struct member_effect *member_emit(struct member_effects *out, enum member_effect_type type)
{
    reeve_assert(out->n < MEMBER_EFFECTS_MAX);
    struct member_effect *f = &out->e[out->n++];
    *f = (struct member_effect){ .type = type };
    return f;
}

bool member_tight(struct member *m, const struct member_effects *out)
{
    if (out->n + RAFT_EFFECTS_MAX + 32 <= MEMBER_EFFECTS_MAX)
        return false;
    m->more = true;
    return true;
}

void member_pass(struct member *m, const struct raft_effect *f, struct member_effects *out)
{
    reeve_assert(m->n_pool < MEMBER_EFFECTS_MAX);
    struct raft_effect *kept = &m->pool[m->n_pool++];
    *kept = *f;
    member_emit(out, MEMBER_F_RAFT)->raft = kept;
}

bool member_leads(const struct member *m)
{
    struct raft_status st;
    raft_status(m->raft, &st);
    return st.role == RAFT_LEADER;
}

/* The state is about to be replaced: what is being applied to it ends first. */
static void on_install(struct member *m, const struct raft_effect *f, struct member_effects *out)
{
    m->installing = true;
    m->install_held = m->applying;
    m->install = *f;
    if (!m->applying)
        member_pass(m, f, out);
}

static void take_effect(struct member *m, const struct raft_effect *f, struct member_effects *out)
{
    switch (f->type) {
    case RAFT_F_COMMIT:
        m->commit = f->index;
        m->read_now = true;             /* a new leader may serve from its first commit on */
        break;
    case RAFT_F_READ_OK:
    case RAFT_F_READ_FAILED:
        member_read_answer(m, f);
        break;
    case RAFT_F_SNAP_INSTALL:
        on_install(m, f, out);
        break;
    case RAFT_F_ROLE:
        m->read_now = true;
        m->purge = !RAFT_BROKEN(FORWARD_ANY_TERM);
        member_pass(m, f, out);
        break;
    default:
        member_pass(m, f, out);
    }
}

enum reeve_err member_raft_step(struct member *m, struct raft_event *e, struct member_effects *out)
{
    struct raft_msg host = { .type = 0 };
    if (e->type != RAFT_E_CLOCK)        /* which has a time of its own (D5) */
        e->now = m->now;
    raft_step(m->raft, e, &m->rout);
    enum reeve_err verdict = m->rout.verdict;
    for (size_t i = 0; i < m->rout.n; i++) {
        if (m->rout.e[i].type == RAFT_F_HOST)
            host = m->rout.e[i].msg;
        else
            take_effect(m, &m->rout.e[i], out);
    }
    if (host.type)
        member_on_host(m, &host, out);
    return verdict;
}

static void bench(struct member *m, struct member_effects *out)
{
    struct raft_event e = { .type = RAFT_E_BENCH, .n = 1 };
    (void) member_raft_step(m, &e, out);
}

void member_quarantine(struct member *m, uint64_t index, enum reeve_err why, struct member_effects *out)
{
    if (m->quarantined)
        return;
    m->quarantined = true;
    struct member_effect *f = member_emit(out, MEMBER_F_QUARANTINE);
    f->index = index;
    f->err = why;
    bench(m, out);
}

/* ---- events ---- */

static uint32_t command_max(const struct member *m)
{
    uint32_t most = m->c.window_bytes / 8;
    if (m->c.queue_bytes / 2 < most)
        most = m->c.queue_bytes / 2;
    return most < MEMBER_COMMAND_MAX ? most : MEMBER_COMMAND_MAX;
}

static enum reeve_err propose(struct member *m, const struct member_event *e, bool open)
{
    struct item it = { .session = open ? 0 : e->session, .seq = open ? 1 : e->seq, .origin = m->c.origin };
    if (!open)
        it.command = e->data;
    if (m->quarantined || m->stopping)
        return REEVE_E_UNAVAILABLE;
    if (!open && (e->session == 0) != (e->seq == 0))
        return REEVE_E_INVALID_VALUE;
    if (it.command.len > command_max(m))
        return REEVE_E_TOO_BIG;
    it.handle = UINT64_MAX;             /* the longest it may become */
    if (!member_queue_room(m, member_item_size(&it)))
        return REEVE_E_BUSY;
    uint32_t t = member_ticket_new(m, e->ticket, &m->proposals, T_QUEUED, m->c.unknown_ms);
    if (t == NONE)
        return REEVE_E_BUSY;
    it.handle = member_ticket_handle(m, t);
    member_queue_put(m, &it);
    return REEVE_OK;
}

static void on_change(struct member *m, const struct member_event *e, struct member_effects *out)
{
    struct raft_event r = { .type = RAFT_E_CHANGE, .change = e->change, .n = e->n };
    if (m->change.ticket || m->quarantined || m->stopping) {
        out->verdict = REEVE_E_AGAIN;
        return;
    }
    out->verdict = member_raft_step(m, &r, out);
    if (out->verdict != REEVE_OK)
        return;
    m->change.ticket = e->ticket;
    m->change.index = m->rout.index;
    m->change.term = m->rout.term;
    m->change.until = (struct mono_ms){ m->now.ms + m->c.unknown_ms };
}

/* Its place is committed: with its term it is in force. */
void member_change_check(struct member *m, struct member_effects *out)
{
    bool known = m->change.index <= m->applied && m->change.index + 1 >= m->window.first;
    if (!m->change.ticket || (!known && m->now.ms < m->change.until.ms))
        return;
    bool same = known && member_window_ops.term(&m->window, m->change.index) == m->change.term;
    struct member_effect *f = member_emit(out, MEMBER_F_DONE);
    f->ticket = m->change.ticket;
    f->outcome = !known ? MEMBER_UNKNOWN : same ? MEMBER_APPLIED : MEMBER_NOT_APPLIED;
    f->err = !known ? REEVE_E_UNKNOWN_OUTCOME : same ? REEVE_OK : REEVE_E_NOT_LEADER;
    f->index = m->change.index;
    m->change.ticket = 0;
}

static void on_stop(struct member *m, struct member_effects *out)
{
    if (m->stopping)
        return;
    m->stopping = true;
    m->stop_until = (struct mono_ms){ m->now.ms + 4 * m->c.raft.election_ms };
    bench(m, out);
}

static bool others_vote(const struct member *m)
{
    const struct raft_conf *c = raft_conf(m->raft);
    for (unsigned i = 0; i < c->n; i++)
        if (c->m[i].id != m->c.raft.id && (c->m[i].role & RAFT_VOTER))
            return true;
    return false;
}

/* Leadership is handed over and every proposal has an end; or that has taken too long. */
static void check_stop(struct member *m, struct member_effects *out)
{
    if (!m->stopping || m->stopped || member_tight(m, out))
        return;
    bool late = m->now.ms >= m->stop_until.ms;
    for (uint32_t t = m->proposals.head; late && t != NONE; t = m->ticket[t].next)
        m->ticket[t].until = m->now;
    if (late)
        member_tickets_expire(m);
    member_tickets_flush(m, out);
    bool open = m->proposals.n > 0 || m->handed_out.n > 0 || m->finished.n > 0;
    if (!late && (open || (member_leads(m) && others_vote(m))))
        return;
    m->stopped = true;
    member_emit(out, MEMBER_F_STOPPED);
}

static void on_installed(struct member *m, const struct member_event *e, struct member_effects *out)
{
    struct raft_event r = { .type = RAFT_E_SNAP_INSTALLED, .snap = e->snap };
    if (!m->installing || m->install_held)
        return;
    m->installing = m->hash_wanted = false;
    if (m->handed != e->snap.index || m->applied_conf.n == 0) {
        member_quarantine(m, e->snap.index, REEVE_E_CORRUPT, out);
        return;
    }
    m->applied = m->state_durable = m->handed;
    member_tickets_blind(m, m->handed_term);
    memset(m->row_dirty, 0, sizeof m->row_dirty);
    m->rows_any = false;
    m->row_at = 0;
    (void) member_raft_step(m, &r, out);
}

static void on_failed(struct member *m, const struct member_event *e, struct member_effects *out)
{
    struct raft_event r = { .type = RAFT_E_SNAP_FAILED, .snap = e->snap };
    m->installing = m->install_held = false;
    (void) member_raft_step(m, &r, out);
}

static void on_state_durable(struct member *m, uint64_t index)
{
    if (index > m->state_durable && index <= m->handed)
        m->state_durable = index;
    m->flush_asked = false;
}

static void ask_flush(struct member *m, struct member_effects *out)
{
    if (m->flush_asked || m->applied <= m->state_durable || !member_window_half_full(&m->window))
        return;
    m->flush_asked = true;
    member_emit(out, MEMBER_F_FLUSH)->index = m->applied;
}

static void on_fill(struct member *m, const struct member_event *e, struct member_effects *out)
{
    struct raft_event r = { .type = RAFT_E_FILL, .id = e->index, .data = e->data };
    out->verdict = member_raft_step(m, &r, out);
}

/* Events that are raft's alone; 0: not one of them. */
static uint8_t raft_event_of(uint8_t type)
{
    switch (type) {
    case MEMBER_E_START:       return RAFT_E_START;
    case MEMBER_E_CLOCK:       return RAFT_E_CLOCK;
    case MEMBER_E_MESSAGE:     return RAFT_E_MESSAGE;
    case MEMBER_E_APPENDED:    return RAFT_E_APPENDED;
    case MEMBER_E_TRANSFER:    return RAFT_E_TRANSFER;
    case MEMBER_E_UNREACHABLE: return RAFT_E_UNREACHABLE;
    case MEMBER_E_REACHABLE:   return RAFT_E_REACHABLE;
    case MEMBER_E_SNAP_READY:  return RAFT_E_SNAP_READY;
    case MEMBER_E_SNAP_GONE:   return RAFT_E_SNAP_GONE;
    case MEMBER_E_SNAP_STORED: return RAFT_E_SNAP_STORED;
    case MEMBER_E_LOG_KEPT:    return RAFT_E_LOG_KEPT;
    case MEMBER_E_LOG_BACK:    return RAFT_E_LOG_BACK;
    default:                   return 0;
    }
}

static void pass_on(struct member *m, const struct member_event *e, uint8_t type, struct member_effects *out)
{
    struct raft_event r = { .type = type, .now = e->now, .peer = e->peer, .seq = e->seq, .offset = e->offset, .msg = e->msg, .snap = e->snap,
                            .index = e->index, .term = e->term, .data = e->data, .n = e->n };
    out->verdict = member_raft_step(m, &r, out);
}

static void dispatch(struct member *m, const struct member_event *e, struct member_effects *out)
{
    uint8_t type = raft_event_of(e->type);
    if (type) {
        pass_on(m, e, type, out);
        return;
    }
    switch (e->type) {
    case MEMBER_E_APPLIED:        member_on_applied(m, e->index, out); break;
    case MEMBER_E_STATE_DURABLE:  on_state_durable(m, e->index); break;
    case MEMBER_E_PROPOSE:        out->verdict = propose(m, e, false); break;
    case MEMBER_E_OPEN:           out->verdict = propose(m, e, true); break;
    case MEMBER_E_READ:           member_on_read(m, e, out); break;
    case MEMBER_E_CHANGE:         on_change(m, e, out); break;
    case MEMBER_E_HASHED:         member_on_hashed(m, e, out); break;
    case MEMBER_E_SNAP_INSTALLED: on_installed(m, e, out); break;
    case MEMBER_E_SNAP_FAILED:    on_failed(m, e, out); break;
    case MEMBER_E_STOP:           on_stop(m, out); break;
    case MEMBER_E_FILL:           on_fill(m, e, out); break;
    default:                      break;
    }
}

void member_step(struct member *m, const struct member_event *e, struct member_effects *out)
{
    out->n = 0;
    out->verdict = REEVE_OK;
    m->n_pool = 0;
    m->more = false;
    reeve_assert(m->begun);
    if (e->now.ms > m->now.ms)
        m->now = e->now;
    member_queue_rewind(m);
    if (m->purge)
        member_queue_purge(m);
    member_window_trim(&m->window, m->applied < m->state_durable ? m->applied : m->state_durable);
    dispatch(m, e, out);
    member_queue_pump(m, out);
    member_tickets_expire(m);
    member_apply_pump(m, out);
    member_reads_pump(m, out);
    member_change_check(m, out);
    member_tickets_flush(m, out);
    check_stop(m, out);
    ask_flush(m, out);
    member_check(m);
}

struct mono_ms member_wake(const struct member *m)
{
    int64_t at = raft_wake(m->raft).ms;
    struct mono_ms t = member_tickets_wake(m);
    if (m->more)
        return m->now;
    at = t.ms < at ? t.ms : at;
    if (member_queue_gathering(m) && m->now.ms + 1 < at)
        at = m->now.ms + 1;
    if ((m->reads_next.n > 0 || m->read_id) && m->read_at.ms + m->c.raft.heartbeat_ms < at)
        at = m->read_at.ms + m->c.raft.heartbeat_ms > m->now.ms ? m->read_at.ms + m->c.raft.heartbeat_ms : m->now.ms + 1;
    if (m->change.ticket && m->change.until.ms < at)
        at = m->change.until.ms;
    if (m->stopping && !m->stopped && m->stop_until.ms < at)
        at = m->stop_until.ms;
    return (struct mono_ms){ at };
}

/* ---- looking in ---- */

const struct raft *member_raft(const struct member *m) { return m->raft; }
const struct raft_log *member_log(const struct member *m) { return &m->log; }

void member_status(const struct member *m, struct member_status *out)
{
    *out = (struct member_status){ .applied = m->applied, .window_first = m->window.first, .queued_bytes = m->end - m->start,
        .tickets = m->c.tickets - m->free.n, .quarantined = m->quarantined, .stopping = m->stopping, .batches = m->batches,
        .commands = m->commands, .duplicates = m->duplicates };
    raft_status(m->raft, &out->raft);
}

uint64_t member_wal_keep(const struct member *m)
{
    struct raft_status st;
    raft_status(m->raft, &st);
    return (m->state_durable < st.durable ? m->state_durable : st.durable) + 1;
}

void member_check(const struct member *m)
{
    reeve_assert(m->window.first <= m->state_durable + 1 && m->state_durable <= m->handed);     /* M5 */
    reeve_assert(m->applied <= m->handed && m->handed <= m->commit);
    reeve_assert(m->handed <= m->target || !m->applying);
    reeve_assert(m->start >= QUEUE_FRONT && m->start <= m->end && m->end <= m->queue_cap);      /* M7 */
    reeve_assert(m->free.n + m->proposals.n + m->handed_out.n + m->finished.n + m->reads_next.n + m->reads_flight.n +
                 m->reads_apply.n == m->c.tickets);                                             /* M1 */
}
