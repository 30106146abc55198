/*
 * apply.c - what is handed out to the state, its rows, state hashes
 *
 * One APPLY at a time; it never goes past an index where a hash of the state
 * is due, so that the hash can be taken of exactly that state.
 */
#include "member_int.h"

/* ---- rows ---- */

void member_row_touch(struct member *m, uint32_t row)
{
    m->row_dirty[row / 8] |= (uint8_t) (1u << row % 8);
    m->rows_any = true;
}

/* Row 0: u8 1 | u64 index | u64 term | vbytes conf */
static void encode_position(struct member *m, struct wr *out)
{
    uint8_t bytes[RAFT_CONF_BYTES_MAX];
    struct wr conf = wr_fixed(bytes, sizeof bytes);
    if (m->applied_conf.n > 0)
        raft_conf_encode(&m->applied_conf, &conf);
    wr_u8(out, 1);
    wr_u64(out, m->handed);
    wr_u64(out, m->handed_term);
    wr_vbytes(out, wr_slice(&conf));
}

enum reeve_err member_row_position(struct slice row0, uint64_t *index, uint64_t *term, struct slice *conf)
{
    struct rd in = rd_of(row0);
    uint8_t version = rd_u8(&in);
    *index = rd_u64(&in);
    *term = rd_u64(&in);
    *conf = rd_vbytes(&in, RAFT_CONF_BYTES_MAX);
    return rd_done(&in) && version == 1 ? REEVE_OK : REEVE_E_CORRUPT;
}

bool member_row_next(struct member *m, uint32_t *row, struct wr *out)
{
    for (; m->rows_any && m->row_at < MEMBER_ROWS_MAX; m->row_at++) {
        if (!(m->row_dirty[m->row_at / 8] & 1u << m->row_at % 8))
            continue;
        m->row_dirty[m->row_at / 8] &= (uint8_t) ~(1u << m->row_at % 8);
        *row = m->row_at;
        if (m->row_at == 0)
            encode_position(m, out);
        else
            member_session_encode(&m->session[m->row_at - 1], out);
        return true;
    }
    m->row_at = 0;
    m->rows_any = false;
    return false;
}

static enum reeve_err restore_position(struct member *m, struct slice value)
{
    struct slice conf;
    uint64_t index, term;
    enum reeve_err err = member_row_position(value, &index, &term, &conf);
    if (err != REEVE_OK)
        return err;
    struct raft_conf c = { .n = 0 };
    if (conf.len > 0 && raft_conf_decode(&c, conf) != REEVE_OK)
        return REEVE_E_CORRUPT;
    member_sessions_clear(m);
    m->restored = true;
    m->handed = index;
    m->handed_term = term;
    m->applied_conf = c;
    return REEVE_OK;
}

enum reeve_err member_row_restore(struct member *m, uint32_t row, struct slice value)
{
    if (row >= MEMBER_ROWS_MAX || (m->begun && !m->installing))
        return REEVE_E_INVALID_VALUE;
    return row == 0 ? restore_position(m, value) : member_session_restore(m, row - 1, value);
}

/* ---- handing out ---- */

static void close_entry(struct member *m)
{
    m->cur.open = false;
    m->handed++;
    m->handed_term = m->log.ops->term(m->log.arg, m->handed);
    member_row_touch(m, 0);
}

static struct own_hash *member_own_hash(struct member *m, uint64_t index)
{
    return &m->own_hash[m->c.hash_every ? index / m->c.hash_every % OWN_HASHES : 0];
}

/* The ring's hash at an index that this member has passed. */
static bool check_holds(struct member *m, struct slice data)
{
    struct rd in = rd_of(data);
    struct hash32 h;
    uint8_t version = rd_u8(&in);
    uint64_t index = rd_u64(&in);
    rd_copy(&in, h.b, sizeof h.b);
    if (!rd_done(&in) || version != 1)
        return false;
    const struct own_hash *own = member_own_hash(m, index);
    return own->index != index || hash32_eq(&h, &own->hash);
}

/* True when the entry holds commands; false: it is done with, or nobody can go on (quarantined). */
static bool open_entry(struct member *m)
{
    struct raft_entry e;
    m->log.ops->entry(m->log.arg, m->handed + 1, &e);
    switch (e.kind) {
    case MEMBER_K_BATCH:
        m->cur.nth = 0;
        m->cur.open = member_batch_open(e.data, &m->cur.in, &m->cur.n);
        m->quarantine_due |= !m->cur.open;
        return m->cur.open;
    case RAFT_CONF:
        m->quarantine_due |= raft_conf_decode(&m->applied_conf, e.data) != REEVE_OK;
        break;
    case MEMBER_K_CHECK:
        m->diverged = !check_holds(m, e.data);
        m->quarantine_due |= m->diverged;
        break;
    case RAFT_EMPTY:
        break;
    default:
        m->quarantine_due = true;       /* a newer version's: never skipped */
        return false;
    }
    if (!m->quarantine_due)
        close_entry(m);
    return false;
}

static void settle_ticket(struct member *m, uint32_t t, enum member_outcome outcome, enum reeve_err err, uint64_t index,
                          uint32_t nth, uint64_t session)
{
    if (t == NONE)
        return;
    struct ticket *x = &m->ticket[t];
    x->outcome = outcome;
    x->err = err;
    x->index = index;
    x->nth = nth;
    x->session = session;
    x->generation++;
    member_ticket_move(m, t, &m->handed_out, T_HANDED);
}

/* False: nothing to apply. */
static bool admit(struct member *m, const struct item *it, uint64_t index, uint32_t nth, uint32_t t)
{
    uint64_t where;
    uint32_t where_nth;
    if (it->session == 0 && it->seq == 1) {
        uint64_t id = member_session_open(m, index, nth);
        settle_ticket(m, t, MEMBER_APPLIED, REEVE_OK, index, nth, id);
        return false;
    }
    enum verdict v = it->session ? member_session_apply(m, it, index, nth, &where, &where_nth) : FRESH;
    switch (v) {
    case FRESH:
        settle_ticket(m, t, MEMBER_APPLIED, REEVE_OK, index, nth, it->session);
        return true;
    case DUPLICATE:
        m->duplicates++;
        settle_ticket(m, t, MEMBER_DUPLICATE, REEVE_OK, where, where_nth, it->session);
        return false;
    case FORGOTTEN:
        settle_ticket(m, t, MEMBER_UNKNOWN, REEVE_E_UNKNOWN_OUTCOME, 0, 0, it->session);
        return false;
    default:
        settle_ticket(m, t, MEMBER_NOT_APPLIED, REEVE_E_WRONG_STATE, 0, 0, it->session);
        return false;
    }
}

/* The next item of the open entry; false: it has no more. */
static bool next_item(struct member *m, struct member_command *out)
{
    struct item it;
    while (m->cur.nth < m->cur.n && member_item_next(&m->cur.in, &it)) {
        uint64_t index = m->handed + 1;
        uint32_t nth = m->cur.nth++, t = member_ticket_of(m, &it);
        *out = (struct member_command){ .index = index, .nth = nth, .ticket = t == NONE ? 0 : m->ticket[t].id,
                                        .session = it.session, .seq = it.seq, .command = it.command };
        if (admit(m, &it, index, nth, t)) {
            m->commands++;
            return true;
        }
    }
    if (m->cur.nth == m->cur.n && rd_done(&m->cur.in))
        close_entry(m);
    else
        m->quarantine_due = true;
    return false;
}

bool member_apply_next(struct member *m, struct member_command *out)
{
    while (m->applying && !m->quarantine_due) {
        if (m->cur.open && next_item(m, out))
            return true;
        if (m->cur.open || m->quarantine_due)
            continue;
        if (m->handed == m->target)
            return false;
        (void) open_entry(m);
    }
    return false;
}

static uint64_t hash_stop(const struct member *m, uint64_t upto)
{
    uint64_t every = m->c.hash_every;
    uint64_t stop = every ? (m->handed / every + 1) * every : UINT64_MAX;
    return stop < upto ? stop : upto;
}

void member_apply_pump(struct member *m, struct member_effects *out)
{
    if (m->applying || m->installing || m->hash_wanted || m->quarantined || m->commit <= m->handed || member_tight(m, out))
        return;
    m->applying = true;
    m->target = hash_stop(m, m->commit);
    member_emit(out, MEMBER_F_APPLY)->index = m->target;
}

static void applied_to(struct member *m, struct member_effects *out)
{
    m->applied = m->handed;
    m->applying = false;
    member_tickets_resolve(m, m->handed_term);
    while (m->handed_out.head != NONE)
        member_ticket_move(m, m->handed_out.head, &m->finished, T_FINISHED);
    if (m->c.hash_every && m->applied % m->c.hash_every == 0 && m->applied > 0 && !m->quarantine_due) {
        m->hash_wanted = true;
        member_emit(out, MEMBER_F_HASH)->index = m->applied;
    }
}

void member_on_applied(struct member *m, uint64_t index, struct member_effects *out)
{
    if (!m->applying || (index != m->target && !m->quarantine_due))
        return;
    reeve_assert(m->handed == m->target || m->quarantine_due);      /* E1: all was taken */
    applied_to(m, out);
    if (m->quarantine_due)
        member_quarantine(m, m->applied + 1, m->diverged ? REEVE_E_CORRUPT : REEVE_E_UNSUPPORTED, out);
    if (m->install_held && !m->quarantined) {
        m->install_held = false;
        member_pass(m, &m->install, out);
    }
}

/* ---- hashes ---- */

static void poll_result(struct member *m, struct member_effects *out)
{
    const struct raft_conf *c = raft_conf(m->raft);
    for (unsigned i = 0; i < m->poll.n && !m->poll.proposed; i++) {
        uint64_t value[RAFT_MEMBERS_MAX] = { 0 };
        for (unsigned k = 0; k < m->poll.n; k++) {
            const struct raft_member *who = raft_conf_find(c, m->poll.id[k]);
            if (who && hash32_eq(&m->poll.hash[i], &m->poll.hash[k]))
                value[who - c->m] = 1;
        }
        if (raft_conf_quorum(c, value) != 1)
            continue;
        uint8_t bytes[41];
        struct wr w = wr_fixed(bytes, sizeof bytes);
        wr_u8(&w, 1);
        wr_u64(&w, m->poll.index);
        wr_bytes(&w, m->poll.hash[i].b, 32);
        struct raft_event e = { .type = RAFT_E_PROPOSE, .kind = MEMBER_K_CHECK, .data = wr_slice(&w) };
        m->poll.proposed = member_raft_step(m, &e, out) == REEVE_OK;
        return;
    }
}

void member_hash_heard(struct member *m, uint32_t from, uint64_t index, const struct hash32 *h, struct member_effects *out)
{
    if (!member_leads(m) || index < m->poll.index)
        return;
    if (index > m->poll.index) {
        memset(&m->poll, 0, sizeof m->poll);
        m->poll.index = index;
    }
    for (unsigned i = 0; i < m->poll.n; i++)
        if (m->poll.id[i] == from)
            return;
    if (m->poll.n == RAFT_MEMBERS_MAX)
        return;
    m->poll.id[m->poll.n] = from;
    m->poll.hash[m->poll.n++] = *h;
    poll_result(m, out);
}

void member_on_hashed(struct member *m, const struct member_event *e, struct member_effects *out)
{
    struct raft_status st;
    if (!m->hash_wanted || e->index != m->applied)
        return;
    m->hash_wanted = false;
    *member_own_hash(m, e->index) = (struct own_hash){ e->index, e->hash };
    raft_status(m->raft, &st);
    if (st.role == RAFT_LEADER) {
        member_hash_heard(m, m->c.raft.id, e->index, &e->hash, out);
        return;
    }
    struct wr w = wr_fixed(m->hash_msg, sizeof m->hash_msg);
    wr_u8(&w, 1);
    wr_u8(&w, 3);
    wr_u64(&w, e->index);
    wr_bytes(&w, e->hash.b, 32);
    if (st.leader)
        member_send(m, st.leader, wr_slice(&w), out);
}
