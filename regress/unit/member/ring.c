/* ring.c - see ring.h */
#include "ring.h"

static struct mr_entry *entry(struct mr_node *n, uint64_t i)
{
    if (i >= MR_LOG)
        abort();
    return &n->log[i];
}

/* ---- disk ---- */

static void put_entry(struct mr_entry *to, const struct raft_entry *e)
{
    *to = (struct mr_entry){ e->term, e->kind, (uint32_t) e->data.len, malloc(e->data.len + 1) };
    if (e->data.len)
        memcpy(to->p, e->data.p, e->data.len);
}

static void on_append(struct mr_node *n, const struct raft_append *a)
{
    const struct raft_log *log = member_log(n->m);
    if (n->n_writes == 512)
        abort();
    struct mr_write *w = &n->write[n->n_writes++];
    *w = (struct mr_write){ .a = *a };
    if (a->first <= a->last)
        w->e = calloc(a->last - a->first + 1, sizeof *w->e);
    for (uint64_t i = a->first; i <= a->last; i++) {
        struct raft_entry e;
        log->ops->entry(log->arg, i, &e);
        put_entry(&w->e[i - a->first], &e);
    }
}

static void drop_entries(struct mr_node *n, uint64_t from)
{
    for (uint64_t i = from; i <= n->last; i++) {
        free(entry(n, i)->p);
        entry(n, i)->p = NULL;
    }
    if (n->last >= from)
        n->last = from - 1;
}

static void apply_write(struct mr_node *n, struct mr_write *w)
{
    const struct raft_append *a = &w->a;
    if (a->reset) {
        drop_entries(n, n->base + 1);
        n->base = n->last = a->reset_index;
    }
    if (a->truncate_from)
        drop_entries(n, a->truncate_from > n->base ? a->truncate_from : n->base + 1);
    for (uint64_t i = a->first; i <= a->last; i++) {
        assert_int_equal(i, n->last + 1);
        *entry(n, ++n->last) = w->e[i - a->first];
    }
    free(w->e);
    n->term = a->term;
    n->vote = a->vote;
    n->commit = a->commit;
}

static void complete(struct mr *s, uint32_t id)
{
    struct mr_node *n = &s->node[id];
    uint64_t seq = 0;
    for (unsigned i = 0; i < n->n_writes; i++) {
        apply_write(n, &n->write[i]);
        seq = n->write[i].a.seq;
    }
    n->n_writes = 0;
    struct mr_packet *p = s->net;
    for (; p; p = p->next)
        if (p->from == id && p->after <= seq)
            p->after = 0;
    if (seq)
        (void) mr_feed(s, id, (struct member_event){ .type = MEMBER_E_APPENDED, .seq = seq });
}

void mr_flush(struct mr *s, uint32_t id)
{
    struct mr_node *n = &s->node[id];
    uint64_t index, term;
    struct slice conf;
    n->disk = n->live;
    assert_ok(member_row_position(slice_of(n->disk.row[0].p, n->disk.row[0].len), &index, &term, &conf));
    (void) mr_feed(s, id, (struct member_event){ .type = MEMBER_E_STATE_DURABLE, .index = index });
    for (uint64_t i = n->base + 1; i < member_wal_keep(n->m) && i <= n->last; i++) {
        free(entry(n, i)->p);
        entry(n, i)->p = NULL;
        n->base = i;
    }
}

/* ---- state ---- */

static void run_apply(struct mr *s, uint32_t id)
{
    struct mr_node *n = &s->node[id];
    uint64_t upto = n->apply_to;
    n->apply_to = 0;
    if (upto)
        (void) mr_feed(s, id, (struct member_event){ .type = MEMBER_E_APPLIED, .index = upto });
}

static void on_apply(struct mr_node *n, uint64_t upto)
{
    struct member_command c;
    while (member_apply_next(n->m, &c)) {
        uint64_t v = 0;
        for (size_t i = 0; i < c.command.len; i++)
            v = v << 8 | c.command.p[i];
        assert_true(n->live.n < MR_STATE);
        n->live.value[n->live.n++] = v;
        n->applied_tickets += c.ticket != 0;
    }
    uint32_t row;
    uint8_t bytes[MEMBER_ROW_MAX];
    struct wr w = wr_fixed(bytes, sizeof bytes);
    while (member_row_next(n->m, &row, &w)) {
        assert_false(w.bad);
        n->live.row[row].len = (uint32_t) w.len;
        memcpy(n->live.row[row].p, bytes, w.len);
        wr_reset(&w);
    }
    n->apply_to = upto;
}

static struct hash32 hash_of(const struct mr_node *n)
{
    struct hash32 h = { { 0 } };
    uint64_t x = n->corrupt_state;
    for (uint64_t i = 0; i < n->live.n; i++)
        x = x * 31 + n->live.value[i];
    memcpy(h.b, &x, 8);
    return h;
}

static size_t rows_restore(struct mr_node *n, const struct mr_state *st)
{
    size_t rows = 0;
    for (uint32_t i = 0; i < MEMBER_ROWS_MAX; i++)
        if (st->row[i].len) {
            assert_ok(member_row_restore(n->m, i, slice_of(st->row[i].p, st->row[i].len)));
            rows++;
        }
    return rows;
}

/* ---- effects ---- */

static void post(struct mr *s, uint32_t id, const struct raft_effect *f)
{
    struct wr w = wr_heap(RAFT_MSG_MAX);
    raft_msg_encode(&f->msg, member_log(s->node[id].m), &w);
    assert_false(w.bad);
    struct mr_packet *p = malloc(sizeof *p + w.len);
    *p = (struct mr_packet){ .from = id, .to = f->msg.to, .after = f->after, .len = w.len };
    memcpy(p->p, w.p, w.len);
    wr_free(&w);
    *s->net_tail = p;
    s->net_tail = &p->next;
}

static void snap_need(struct mr *s, uint32_t id, uint32_t peer)
{
    struct mr_node *n = &s->node[id];
    struct member_event e = { .type = MEMBER_E_SNAP_READY, .peer = peer };
    if (n->live.row[0].len == 0)
        return;
    assert_ok(member_row_position(slice_of(n->live.row[0].p, n->live.row[0].len), &e.snap.index, &e.snap.term, &e.snap.conf));
    n->disk = n->live;
    e.snap.id = e.snap.index;
    e.snap.size = sizeof n->disk;
    struct mr_state *keep = malloc(sizeof *keep);
    *keep = n->live;
    free(n->snap_in);
    n->snap_in = (uint8_t *) keep;      /* what is being sent */
    (void) mr_feed(s, id, e);
}

static void snap_read(struct mr *s, uint32_t id, const struct raft_effect *f)
{
    struct raft_effect g = *f;
    uint64_t left = f->msg.size - f->msg.offset;
    g.msg.data = slice_of(s->node[id].snap_in + f->msg.offset, left < s->config.raft.chunk_bytes ? left : s->config.raft.chunk_bytes);
    post(s, id, &g);
}

static void snap_chunk(struct mr_node *n, const struct raft_msg *m)
{
    if (m->offset == 0) {
        free(n->snap_in);
        n->snap_in = malloc(m->size);
    }
    memcpy(n->snap_in + m->offset, m->data.p, m->data.len);
}

static void snap_install(struct mr *s, uint32_t id, const struct raft_snap *snap)
{
    struct mr_node *n = &s->node[id];
    memcpy(&n->live, n->snap_in, sizeof n->live);
    n->disk = n->live;
    rows_restore(n, &n->live);
    n->installs++;
    (void) mr_feed(s, id, (struct member_event){ .type = MEMBER_E_SNAP_INSTALLED, .snap = *snap });
}

static void note_done(struct mr_node *n, const struct member_effect *f)
{
    assert_true(n->n_done < MR_DONE);
    n->done[n->n_done++] = (struct mr_done){ f->ticket, f->index, f->id, f->nth, f->outcome, f->err, f->type == MEMBER_F_READ_DONE, n->live.n };
}

static void obey_raft(struct mr *s, uint32_t id, const struct raft_effect *f)
{
    struct mr_node *n = &s->node[id];
    if (f->type == RAFT_F_APPEND)
        on_append(n, &f->append);
    else if (f->type == RAFT_F_SEND)
        post(s, id, f);
    else if (f->type == RAFT_F_SNAP_READ)
        snap_read(s, id, f);
    else if (f->type == RAFT_F_SNAP_CHUNK)
        snap_chunk(n, &f->msg);
}

static void obey(struct mr *s, uint32_t id, const struct member_effect *f)
{
    struct mr_node *n = &s->node[id];
    switch (f->type) {
    case MEMBER_F_RAFT: obey_raft(s, id, f->raft); break;
    case MEMBER_F_APPLY: on_apply(n, f->index); break;
    case MEMBER_F_DONE:
    case MEMBER_F_READ_DONE: note_done(n, f); break;
    case MEMBER_F_QUARANTINE: n->quarantined = true; break;
    case MEMBER_F_STOPPED: n->stopped = true; break;
    default: break;
    }
}

static void obey_later(struct mr *s, uint32_t id, uint8_t type, const struct raft_effect *f, uint64_t index)
{
    if (type == MEMBER_F_FLUSH)
        mr_flush(s, id);
    else if (type == MEMBER_F_HASH)
        (void) mr_feed(s, id, (struct member_event){ .type = MEMBER_E_HASHED, .index = index, .hash = hash_of(&s->node[id]) });
    else if (f->type == RAFT_F_SNAP_NEED)
        snap_need(s, id, f->peer);
    else if (f->type == RAFT_F_SNAP_CHUNK)
        (void) mr_feed(s, id, (struct member_event){ .type = MEMBER_E_SNAP_STORED, .snap = { .id = f->msg.snap },
                                                     .offset = f->msg.offset + f->msg.data.len });
    else if (f->type == RAFT_F_SNAP_INSTALL)
        snap_install(s, id, &f->snap);
}

enum reeve_err mr_feed(struct mr *s, uint32_t id, struct member_event e)
{
    struct mr_node *n = &s->node[id];
    struct { uint8_t type; struct raft_effect f; uint64_t index; } later[8];
    unsigned n_later = 0;
    if (!n->up)
        return REEVE_E_UNAVAILABLE;
    e.now.ms = s->now;
    member_step(n->m, &e, &s->out);
    enum reeve_err verdict = s->out.verdict;
    for (size_t i = 0; i < s->out.n; i++) {
        const struct member_effect *f = &s->out.e[i];
        obey(s, id, f);
        bool more = f->type == MEMBER_F_HASH || f->type == MEMBER_F_FLUSH || (f->type == MEMBER_F_RAFT && (f->raft->type == RAFT_F_SNAP_NEED ||
            f->raft->type == RAFT_F_SNAP_CHUNK || f->raft->type == RAFT_F_SNAP_INSTALL));
        if (more && n_later < 8) {
            later[n_later].type = f->type;
            later[n_later].index = f->index;
            if (f->raft)
                later[n_later].f = *f->raft;
            n_later++;
        }
    }
    for (unsigned i = 0; i < n_later && n->up; i++)
        obey_later(s, id, later[i].type, &later[i].f, later[i].index);
    return verdict;
}

/* ---- members ---- */

struct mr *mr_new(unsigned n)
{
    struct mr *s = calloc(1, sizeof *s);
    s->n = n;
    s->net_tail = &s->net;
    member_config_default(&s->config);
    s->config.window_entries = 256;
    s->config.window_bytes = 1u << 18;
    s->config.batch_bytes = 8192;
    s->config.queue_bytes = 1u << 17;
    s->config.tickets = 2000;
    s->config.raft.chunk_bytes = 100000;
    s->config.raft.ring = 1;
    return s;
}

void mr_boot(struct mr *s, uint32_t id)
{
    struct mr_node *n = &s->node[id];
    struct member_config c = s->config;
    static uint64_t origin = 100;
    struct raft_conf conf = { .n = (uint16_t) s->n, .last_id = s->n };
    for (unsigned i = 0; i < s->n; i++)
        conf.m[i] = (struct raft_member){ .id = i + 1, .incarnation = i + 11, .role = RAFT_VOTER };
    c.raft.id = id;
    c.raft.incarnation = id + 10;
    c.raft.seed = id * 77 + origin;
    c.origin = ++origin;
    if (n->mem == NULL)
        n->mem = malloc(member_size(&c));
    assert_ok(member_init(&n->m, n->mem, member_size(&c), &c));
    n->live = n->disk;
    size_t rows = rows_restore(n, &n->live);
    for (uint64_t i = n->base + 1; i <= n->last; i++) {
        struct mr_entry *x = entry(n, i);
        assert_ok(member_entry_restore(n->m, &(struct raft_entry){ i, x->term, x->kind, slice_of(x->p, x->len) }));
    }
    struct raft_start st = { .mode = RAFT_START_CLEAN, .term = n->term, .vote = n->vote, .commit = n->commit,
                             .conf = rows ? NULL : &conf };
    assert_ok(member_begin(n->m, &st));
    n->up = true;
    n->stopped = n->quarantined = false;
    (void) mr_feed(s, id, (struct member_event){ .type = MEMBER_E_START });
}

void mr_start(struct mr *s)
{
    for (uint32_t i = 1; i <= s->n; i++)
        mr_boot(s, i);
}

void mr_crash(struct mr *s, uint32_t id)
{
    struct mr_node *n = &s->node[id];
    for (unsigned i = 0; i < n->n_writes; i++) {
        for (uint64_t k = n->write[i].a.first; k <= n->write[i].a.last; k++)
            free(n->write[i].e[k - n->write[i].a.first].p);
        free(n->write[i].e);
    }
    n->n_writes = 0;
    n->up = false;
    n->apply_to = 0;
    for (struct mr_packet **p = &s->net; *p;) {
        struct mr_packet *q = *p;
        if (q->from == id && q->after > 0) {
            *p = q->next;
            free(q);
        } else {
            p = &q->next;
        }
    }
    s->net_tail = &s->net;
    while (*s->net_tail)
        s->net_tail = &(*s->net_tail)->next;
}

void mr_free(struct mr *s)
{
    for (uint32_t i = 1; i <= s->n; i++) {
        struct mr_node *n = &s->node[i];
        mr_crash(s, i);
        drop_entries(n, n->base + 1);
        free(n->snap_in);
        free(n->mem);
    }
    for (struct mr_packet *p = s->net; p;) {
        struct mr_packet *next = p->next;
        free(p);
        p = next;
    }
    free(s);
}

/* ---- running ---- */

static void deliver(struct mr *s, struct mr_packet *p)
{
    struct raft_msg m;
    if (p->to <= s->n && s->node[p->to].up && !s->cut[p->from][p->to]) {
        assert_ok(raft_msg_decode(&m, slice_of(p->p, p->len)));
        (void) mr_feed(s, p->to, (struct member_event){ .type = MEMBER_E_MESSAGE, .msg = &m });
        if (s->twice)
            (void) mr_feed(s, p->to, (struct member_event){ .type = MEMBER_E_MESSAGE, .msg = &m });
    }
    free(p);
}

static void tick(struct mr *s)
{
    struct mr_packet *due = s->net, *held = NULL, **held_tail = &held;
    s->now++;
    for (uint32_t i = 1; i <= s->n; i++)
        if (s->node[i].up && !s->node[i].disk_stalled)
            complete(s, i);
    s->net = NULL;
    s->net_tail = &s->net;
    while (due) {
        struct mr_packet *p = due;
        due = p->next;
        p->next = NULL;
        if (p->after == 0) {
            deliver(s, p);
        } else {
            *held_tail = p;
            held_tail = &p->next;
        }
    }
    *held_tail = s->net;
    s->net = held;
    s->net_tail = &s->net;
    while (*s->net_tail)
        s->net_tail = &(*s->net_tail)->next;
    for (uint32_t i = 1; i <= s->n; i++) {
        if (s->node[i].up && !s->node[i].apply_stalled)
            run_apply(s, i);
        if (s->node[i].up && member_wake(s->node[i].m).ms <= s->now)
            (void) mr_feed(s, i, (struct member_event){ .type = MEMBER_E_CLOCK });
    }
}

void mr_run(struct mr *s, int64_t ms)
{
    while (ms-- > 0)
        tick(s);
}

struct member_status mr_status(struct mr *s, uint32_t id)
{
    struct member_status st;
    member_status(s->node[id].m, &st);
    return st;
}

uint32_t mr_leader(struct mr *s)
{
    uint32_t best = 0;
    uint64_t term = 0;
    for (uint32_t i = 1; i <= s->n; i++)
        if (s->node[i].up && mr_status(s, i).raft.role == RAFT_LEADER && mr_status(s, i).raft.term > term) {
            best = i;
            term = mr_status(s, i).raft.term;
        }
    return best;
}

uint32_t mr_elect(struct mr *s)
{
    for (int i = 0; i < 5000; i++) {
        uint32_t l = mr_leader(s);
        if (l && mr_status(s, l).raft.committed_in_term)
            return l;
        tick(s);
    }
    return 0;
}

enum reeve_err mr_propose(struct mr *s, uint32_t id, uint64_t ticket, uint64_t session, uint64_t seq, uint64_t value)
{
    uint8_t v[8];
    for (int i = 0; i < 8; i++)
        v[i] = (uint8_t) (value >> (56 - 8 * i));
    return mr_feed(s, id, (struct member_event){ .type = MEMBER_E_PROPOSE, .ticket = ticket, .session = session, .seq = seq,
                                                 .data = slice_of(v, 8) });
}

enum reeve_err mr_event(struct mr *s, uint32_t id, uint8_t type, uint64_t ticket)
{
    return mr_feed(s, id, (struct member_event){ .type = type, .ticket = ticket });
}

struct mr_done *mr_done(struct mr *s, uint32_t id, uint64_t ticket)
{
    struct mr_node *n = &s->node[id];
    struct mr_done *found = NULL;
    for (unsigned i = 0; i < n->n_done; i++)
        if (n->done[i].ticket == ticket) {
            assert_null(found);         /* M1 */
            found = &n->done[i];
        }
    return found;
}

struct mr_done *mr_wait(struct mr *s, uint32_t id, uint64_t ticket)
{
    for (int i = 0; i < 15000 && mr_done(s, id, ticket) == NULL; i++)
        tick(s);
    struct mr_done *d = mr_done(s, id, ticket);
    assert_non_null(d);
    return d;
}

void mr_isolate(struct mr *s, uint32_t id, bool yes)
{
    for (uint32_t i = 0; i < MR_NODES; i++)
        s->cut[id][i] = s->cut[i][id] = yes;
}

/* All that are up hold the same state. */
bool mr_same(struct mr *s)
{
    struct mr_node *first = NULL;
    for (uint32_t i = 1; i <= s->n; i++) {
        struct mr_node *n = &s->node[i];
        if (!n->up)
            continue;
        if (first && (first->live.n != n->live.n || memcmp(first->live.value, n->live.value, n->live.n * sizeof n->live.value[0]) != 0 ||
                      memcmp(first->live.row + 1, n->live.row + 1, sizeof n->live.row - sizeof n->live.row[0]) != 0))
            return false;
        first = n;
    }
    return true;
}
