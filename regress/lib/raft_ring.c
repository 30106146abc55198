/* raft_ring.c - see raft_ring.h */
#include "raft_ring.h"

#include "engine/raft_broken.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t rr_random(struct rr *s)
{
    s->rng ^= s->rng >> 12;
    s->rng ^= s->rng << 25;
    s->rng ^= s->rng >> 27;
    return (s->rng * 0x2545f4914f6cdd1dULL) >> 11;
}

static void broken(struct rr *s, const char *what, uint64_t a, uint64_t b)
{
    if (s->broken++ == 0)
        snprintf(s->text, sizeof s->text, "%s (%llu, %llu) at %lld ms", what, (unsigned long long) a, (unsigned long long) b,
                 (long long) s->now);
}

/* ---- the window ---- */

static struct rr_entry *at(struct rr_log *l, uint64_t i) { return &l->e[i % RR_LOG]; }
static uint64_t w_first(void *arg) { return ((struct rr_log *) arg)->base + 1; }
static uint64_t w_last(void *arg) { return ((struct rr_log *) arg)->last; }
static uint64_t w_term(void *arg, uint64_t i)
{
    struct rr_log *l = arg;
    if (i < l->base || i > l->last)
        abort();
    return i == l->base ? l->base_term : at(l, i)->term;
}
static void w_entry(void *arg, uint64_t i, struct raft_entry *out)
{
    struct rr_log *l = arg;
    if (i <= l->base || i > l->last)
        abort();
    *out = (struct raft_entry){ i, at(l, i)->term, at(l, i)->kind, slice_of(at(l, i)->data, at(l, i)->len) };
}
static bool w_room(void *arg, size_t n, size_t bytes)
{
    struct rr_log *l = arg;
    return l->last - l->base + n < RR_LOG - 8 && bytes <= RAFT_ENTRY_MAX;
}
static void w_append(void *arg, const struct raft_entry *e)
{
    struct rr_log *l = arg;
    if (e->index != l->last + 1 || e->data.len > RR_DATA)
        abort();
    struct rr_entry *x = at(l, ++l->last);
    x->term = e->term;
    x->kind = e->kind;
    x->len = (uint16_t) e->data.len;
    if (e->data.len)
        memcpy(x->data, e->data.p, e->data.len);
}
static void w_truncate(void *arg, uint64_t from) { ((struct rr_log *) arg)->last = from - 1; }
static void w_reset(void *arg, uint64_t index, uint64_t term)
{
    struct rr_log *l = arg;
    l->base = l->last = index;
    l->base_term = term;
}
static const struct raft_log_ops window = { w_first, w_last, w_term, w_entry, w_room, w_append, w_truncate, w_reset };

/* ---- the disk ---- */

static void write_begin(struct rr *s, struct rr_node *n, const struct raft_append *a)
{
    if (n->n_writes == RR_WRITES)
        abort();
    struct rr_write *w = &n->write[n->n_writes++];
    *w = (struct rr_write){ .a = *a, .at = s->now + s->disk_ms };
    if (a->first <= a->last) {
        w->e = malloc((a->last - a->first + 1) * sizeof *w->e);
        for (uint64_t i = a->first; i <= a->last; i++)
            w->e[i - a->first] = *at(&n->log, i);
    }
}

static void write_apply(struct rr_node *n, struct rr_write *w)
{
    const struct raft_append *a = &w->a;
    if (a->reset)
        w_reset(&n->disk, a->reset_index, a->reset_term);
    if (a->truncate_from && a->truncate_from <= n->disk.last)
        n->disk.last = a->truncate_from - 1;
    for (uint64_t i = a->first; i <= a->last; i++) {
        if (i != n->disk.last + 1)
            abort();
        *at(&n->disk, ++n->disk.last) = w->e[i - a->first];
    }
    n->disk_term = a->term;
    n->disk_vote = a->vote;
    n->disk_commit = a->commit;
}

static void writes_drop(struct rr_node *n)
{
    for (unsigned i = 0; i < n->n_writes; i++)
        free(n->write[i].e);
    n->n_writes = 0;
}

/* ---- the network ---- */

static void packet_free(struct rr_packet *p)
{
    free(p->p);
    p->used = false;
}

static void post(struct rr *s, const struct raft_effect *f, struct rr_node *n, const struct raft_msg *m)
{
    static uint8_t bytes[RAFT_MSG_MAX];
    if (m->to == 0 || m->to > s->n)
        return;
    if (rr_random(s) % 100 < s->loss)
        return;
    unsigned copies = rr_random(s) % 100 < s->dup ? 2 : 1;
    struct wr w = wr_fixed(bytes, sizeof bytes);
    raft_msg_encode(m, &(struct raft_log){ &window, &n->log }, &w);
    if (w.bad)
        abort();
    for (unsigned i = 0; i < RR_QUEUE && copies > 0; i++) {
        struct rr_packet *p = &s->net[i];
        if (p->used)
            continue;
        *p = (struct rr_packet){ .used = true, .from = m->from, .to = m->to, .after = f->after, .n = ++s->packets, .len = w.len };
        p->at = s->now + s->delay_ms + (s->delay_jitter_ms ? (int64_t) (rr_random(s) % (uint64_t) (s->delay_jitter_ms + 1)) : 0);
        p->p = malloc(w.len);
        memcpy(p->p, bytes, w.len);
        copies--;
    }
}

static bool ready(const struct rr *s, const struct rr_packet *p)
{
    return p->used && p->after <= s->node[p->from].done_seq;
}

static void arrive(struct rr *s, struct rr_packet *p)
{
    struct raft_msg m;
    struct rr_packet got = *p;
    p->used = false;
    if (!s->cut[got.from][got.to] && s->node[got.to].up) {
        if (raft_msg_decode(&m, slice_of(got.p, got.len)) != REEVE_OK)
            broken(s, "a message does not decode", got.from, got.to);
        else
            (void) rr_feed(s, got.to, (struct raft_event){ .type = RAFT_E_MESSAGE, .msg = &m });
    }
    free(got.p);
}

static struct rr_packet *oldest(struct rr *s, uint32_t from, uint32_t to)
{
    struct rr_packet *best = NULL;
    for (unsigned i = 0; i < RR_QUEUE; i++) {
        struct rr_packet *p = &s->net[i];
        if (ready(s, p) && (from == 0 || p->from == from) && (to == 0 || p->to == to) && (best == NULL || p->n < best->n))
            best = p;
    }
    return best;
}

unsigned rr_deliver(struct rr *s, uint32_t from, uint32_t to, unsigned n)
{
    unsigned done = 0;
    struct rr_packet *p;
    while (done < n && (p = oldest(s, from, to)) != NULL) {
        arrive(s, p);
        done++;
    }
    return done;
}

unsigned rr_drop(struct rr *s, uint32_t from, uint32_t to)
{
    unsigned done = 0;
    for (unsigned i = 0; i < RR_QUEUE; i++) {
        struct rr_packet *p = &s->net[i];
        if (p->used && (from == 0 || p->from == from) && (to == 0 || p->to == to)) {
            packet_free(p);
            done++;
        }
    }
    return done;
}

/* ---- the oracle ---- */

static bool entry_eq(const struct rr_entry *a, const struct rr_entry *b)
{
    return a->term == b->term && a->kind == b->kind && a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void on_role(struct rr *s, uint32_t id, const struct raft_effect *f)
{
    struct rr_node *n = &s->node[id];
    n->role = f->role;
    n->kept = 0;
    if (f->role != RAFT_LEADER || f->term >= 4096)
        return;
    if (s->leader_of[f->term] && s->leader_of[f->term] != id)
        broken(s, "two leaders in a term", f->term, id);
    s->leader_of[f->term] = id;
    for (uint64_t i = n->log.base + 1; i <= s->committed_last; i++)
        if (f->term > s->committed_in[i % RR_LOG] && (i > n->log.last || !entry_eq(at(&n->log, i), &s->committed[i % RR_LOG]))) {
            broken(s, "a leader lacks what is committed", id, i);
            return;
        }
}

static void on_commit(struct rr *s, uint32_t id, uint64_t upto)
{
    struct rr_node *n = &s->node[id];
    for (uint64_t i = n->applied + 1; i <= upto; i++) {
        struct rr_entry *e = at(&n->log, i);
        if (i <= s->committed_last && !entry_eq(e, &s->committed[i % RR_LOG]))
            broken(s, "another entry was committed there", id, i);
        if (i > s->committed_last) {
            s->committed[i % RR_LOG] = *e;
            s->committed_in[i % RR_LOG] = rr_status(s, id).term;
            s->committed_last = i;
        }
    }
    n->applied = upto;
}

/* ---- effects ---- */

static uint8_t snap_byte(uint64_t index, uint64_t offset) { return (uint8_t) (index * 7 + offset * 13 + 1); }

static void snap_need(struct rr *s, uint32_t id, uint32_t peer)
{
    struct rr_node *n = &s->node[id];
    struct raft_status st = rr_status(s, id);
    uint8_t conf[RAFT_CONF_BYTES_MAX];
    struct wr w = wr_fixed(conf, sizeof conf);
    raft_conf_encode(raft_conf_committed(n->r), &w);
    struct raft_event e = { .type = RAFT_E_SNAP_READY, .peer = peer };
    if (s->keeps && n->kept == 0) {
        n->kept = st.commit + 1;
        (void) rr_feed(s, id, (struct raft_event){ .type = RAFT_E_LOG_KEPT, .index = n->kept });
    }
    e.snap = (struct raft_snap){ .id = st.commit, .index = st.commit, .term = w_term(&n->log, st.commit), .size = RR_SNAP,
                                 .conf = wr_slice(&w) };
    (void) rr_feed(s, id, e);
}

/* What left the window lies in its array as long as nothing else was written there. */
static void log_read(struct rr *s, uint32_t id, uint32_t peer, uint64_t index)
{
    static uint8_t bytes[RAFT_MSG_MAX];
    struct rr_node *n = &s->node[id];
    struct wr w = wr_fixed(bytes, sizeof bytes);
    struct raft_event e = { .type = RAFT_E_LOG_BACK, .peer = peer, .index = index - 1, .term = at(&n->log, index - 1)->term };
    for (uint64_t i = index; n->kept && index >= n->kept && i <= n->log.last && w.len < s->config.append_bytes; i++, e.n++) {
        wr_varint(&w, at(&n->log, i)->term);
        wr_u8(&w, at(&n->log, i)->kind);
        wr_vbytes(&w, slice_of(at(&n->log, i)->data, at(&n->log, i)->len));
    }
    e.data = wr_slice(&w);
    n->reads_back++;
    (void) rr_feed(s, id, e);
}

static void snap_read(struct rr *s, uint32_t id, struct raft_effect *f)
{
    uint8_t chunk[RR_SNAP];
    size_t n = 0;
    while (n < s->config.chunk_bytes && f->msg.offset + n < f->msg.size) {
        chunk[n] = snap_byte(f->msg.index, f->msg.offset + n);
        n++;
    }
    f->msg.data = slice_of(chunk, n);
    post(s, f, &s->node[id], &f->msg);
}

static void snap_install(struct rr *s, uint32_t id, const struct raft_snap *snap)
{
    struct rr_node *n = &s->node[id];
    struct raft_conf c;
    for (unsigned i = 0; i < RR_SNAP; i++)
        if (n->snap_in[i] != snap_byte(snap->index, i))
            broken(s, "a snapshot came in with other bytes", id, i);
    if (raft_conf_decode(&c, snap->conf) != REEVE_OK)
        broken(s, "a snapshot's configuration does not decode", id, snap->index);
    n->base = n->applied = snap->index;
    n->base_term = snap->term;
    n->base_conf = c;
    n->snaps_installed++;
    (void) rr_feed(s, id, (struct raft_event){ .type = RAFT_E_SNAP_INSTALLED, .snap = *snap });
}

/* Effects that make further events are obeyed after all others of the step. */
static void obey(struct rr *s, uint32_t id, struct raft_effect *f)
{
    struct rr_node *n = &s->node[id];
    switch (f->type) {
    case RAFT_F_APPEND: write_begin(s, n, &f->append); break;
    case RAFT_F_SEND: post(s, f, n, &f->msg); break;
    case RAFT_F_COMMIT: on_commit(s, id, f->index); break;
    case RAFT_F_ROLE: on_role(s, id, f); break;
    case RAFT_F_READ_OK:
        n->read_index[n->n_ok % 64] = f->index;
        n->reads_ok[n->n_ok++ % 64] = f->id;
        break;
    case RAFT_F_READ_FAILED: n->reads_failed[n->n_failed++ % 64] = f->id; break;
    case RAFT_F_SNAP_READ: snap_read(s, id, f); break;
    case RAFT_F_SNAP_CHUNK: memcpy(n->snap_in + f->msg.offset, f->msg.data.p, f->msg.data.len); break;
    case RAFT_F_REPAIRED: n->repaired = true; break;
    default: break;
    }
}

static void obey_later(struct rr *s, uint32_t id, const struct raft_effect *f)
{
    if (f->type == RAFT_F_SNAP_NEED)
        snap_need(s, id, f->peer);
    else if (f->type == RAFT_F_SNAP_CHUNK)
        (void) rr_feed(s, id, (struct raft_event){ .type = RAFT_E_SNAP_STORED, .snap = { .id = f->msg.snap },
                                                   .offset = f->msg.offset + f->msg.data.len });
    else if (f->type == RAFT_F_SNAP_INSTALL)
        snap_install(s, id, &f->snap);
    else if (f->type == RAFT_F_LOG_READ)
        log_read(s, id, f->peer, f->index);
}

enum reeve_err rr_feed(struct rr *s, uint32_t id, struct raft_event e)
{
    struct rr_node *n = &s->node[id];
    struct raft_effect later[8];
    unsigned n_later = 0;
    if (!n->up)
        return REEVE_E_UNAVAILABLE;
    e.now.ms = s->now;
    if (s->trace && !(e.type == RAFT_E_CLOCK)) {
        wr_printf(s->trace, "[%u] ", id);
        raft_event_describe(&e, s->trace);
        wr_text(s->trace, "\n");
    }
    raft_step(n->r, &e, &s->out);
    if (s->trace && e.type == RAFT_E_CLOCK && s->out.n > 0)
        wr_printf(s->trace, "[%u] at %lld: clock\n", id, (long long) s->now);
    for (size_t i = 0; i < s->out.n; i++) {
        struct raft_effect *f = &s->out.e[i];
        if (s->trace) {
            raft_effect_describe(f, s->trace);
            wr_text(s->trace, "\n");
        }
        obey(s, id, f);
        if ((f->type == RAFT_F_SNAP_NEED || f->type == RAFT_F_SNAP_CHUNK || f->type == RAFT_F_SNAP_INSTALL ||
             f->type == RAFT_F_LOG_READ) && n_later < 8)
            later[n_later++] = *f;
    }
    enum reeve_err verdict = s->out.verdict;
    s->last_index = s->out.index;
    if (s->trace && verdict != REEVE_OK)
        wr_printf(s->trace, "  refused: %s\n", reeve_err_name(verdict));
    for (unsigned i = 0; i < n_later && n->up; i++)
        obey_later(s, id, &later[i]);
    return verdict;
}

/* ---- members ---- */

struct rr *rr_new(unsigned n, uint64_t seed)
{
    struct rr *s = calloc(1, sizeof *s);
    if (s == NULL || n >= RR_NODES)
        abort();
#ifdef REEVE_BROKEN
    if (getenv("RAFT_BROKEN"))          /* which test notices which broken rule? */
        raft_broken = (unsigned) atoi(getenv("RAFT_BROKEN"));
#endif
    s->n = n;
    s->rng = seed | 1;
    raft_config_default(&s->config);
    s->config.ring = 0x5249;
    s->config.chunk_bytes = 64;
    s->delay_ms = 1;
    s->disk_ms = 1;
    for (unsigned i = 1; i < RR_NODES; i++) {
        s->node[i].mem = malloc(raft_size());
        s->node[i].incarnation = 0x100 + i;
    }
    for (unsigned i = 1; i <= n; i++) {
        struct rr_node *x = &s->node[i];
        x->base_conf.n = (uint16_t) n;
        x->base_conf.last_id = n;
        for (unsigned k = 1; k <= n; k++)
            x->base_conf.m[k - 1] = (struct raft_member){ .id = k, .incarnation = 0x100 + k, .role = RAFT_VOTER };
    }
    return s;
}

void rr_free(struct rr *s)
{
    for (unsigned i = 1; i < RR_NODES; i++) {
        writes_drop(&s->node[i]);
        free(s->node[i].mem);
    }
    for (unsigned i = 0; i < RR_QUEUE; i++)
        if (s->net[i].used)
            packet_free(&s->net[i]);
    free(s);
}

enum reeve_err rr_try_boot(struct rr *s, uint32_t id, uint8_t mode, uint64_t last_index, uint64_t last_term)
{
    struct rr_node *n = &s->node[id];
    struct raft_config c = s->config;
    c.id = id;
    c.incarnation = n->incarnation;
    c.seed = rr_random(s);
    n->log = n->disk;
    n->applied = n->base;
    n->done_seq = 0;
    n->role = RAFT_FOLLOWER;
    struct raft_start start = { .mode = mode, .term = n->disk_term, .vote = n->disk_vote, .commit = n->disk_commit,
                                .base_index = n->base, .base_term = n->base_term, .conf = &n->base_conf,
                                .last_index = last_index, .last_term = last_term };
    enum reeve_err err = raft_init(&n->r, n->mem, raft_size(), &c, &(struct raft_log){ &window, &n->log }, &start);
    n->up = err == REEVE_OK;
    if (n->up)
        (void) rr_feed(s, id, (struct raft_event){ .type = RAFT_E_START });
    return err;
}

void rr_boot(struct rr *s, uint32_t id, uint8_t mode, uint64_t last_index, uint64_t last_term)
{
    enum reeve_err err = rr_try_boot(s, id, mode, last_index, last_term);
    if (err != REEVE_OK) {
        fprintf(stderr, "# raft_init: %s\n", reeve_err_name(err));
        abort();
    }
}

void rr_start(struct rr *s)
{
    for (unsigned i = 1; i <= s->n; i++)
        rr_boot(s, i, RAFT_START_CLEAN, 0, 0);
}

uint32_t rr_join(struct rr *s)
{
    rr_boot(s, ++s->n, RAFT_START_CLEAN, 0, 0);
    return s->n;
}

void rr_crash(struct rr *s, uint32_t id)
{
    struct rr_node *n = &s->node[id];
    writes_drop(n);
    n->up = false;
    for (unsigned i = 0; i < RR_QUEUE; i++)
        if (s->net[i].used && s->net[i].from == id && s->net[i].after > n->done_seq)
            packet_free(&s->net[i]);
        else if (s->net[i].used && s->net[i].from == id)
            s->net[i].after = 0;
}

void rr_restart(struct rr *s, uint32_t id)
{
    rr_crash(s, id);
    rr_boot(s, id, RAFT_START_CLEAN, 0, 0);
}

void rr_wipe(struct rr *s, uint32_t id)
{
    struct rr_node *n = &s->node[id];
    rr_crash(s, id);
    n->disk.base = n->disk.last = n->disk.base_term = 0;
    n->disk_term = n->disk_commit = n->disk_vote = 0;
    n->base = n->base_term = 0;
    n->base_conf.n = 0;
    n->incarnation += 0x1000;
}

/* ---- events by name ---- */

enum reeve_err rr_propose(struct rr *s, uint32_t id, uint64_t value)
{
    uint8_t data[8];
    for (int i = 0; i < 8; i++)
        data[i] = (uint8_t) (value >> (56 - 8 * i));
    return rr_feed(s, id, (struct raft_event){ .type = RAFT_E_PROPOSE, .kind = RAFT_HOST, .data = slice_of(data, 8) });
}

enum reeve_err rr_read(struct rr *s, uint32_t id, uint64_t read)
{
    return rr_feed(s, id, (struct raft_event){ .type = RAFT_E_READ, .id = read });
}

enum reeve_err rr_change_many(struct rr *s, uint32_t id, const struct raft_change *c, size_t n)
{
    return rr_feed(s, id, (struct raft_event){ .type = RAFT_E_CHANGE, .change = c, .n = n });
}

enum reeve_err rr_change(struct rr *s, uint32_t id, uint8_t kind, uint32_t whom)
{
    struct raft_change c = { .kind = kind, .id = whom, .incarnation = s->node[whom].incarnation };
    return rr_change_many(s, id, &c, 1);
}

/* The state as of upto becomes durable, the log before it goes. */
void rr_compact(struct rr *s, uint32_t id, uint64_t upto)
{
    struct rr_node *n = &s->node[id];
    if (upto > n->applied || upto <= n->log.base || upto > rr_status(s, id).durable || rr_status(s, id).conf_index > upto)
        return;
    n->base = upto;
    n->base_term = w_term(&n->log, upto);
    n->base_conf = *raft_conf_committed(n->r);
    n->log.base_term = n->disk.base_term = n->base_term;
    n->log.base = n->disk.base = upto;
}

void rr_complete(struct rr *s, uint32_t id, unsigned k)
{
    struct rr_node *n = &s->node[id];
    uint64_t seq = 0;
    if (k > n->n_writes)
        k = n->n_writes;
    for (unsigned i = 0; i < k; i++) {
        write_apply(n, &n->write[i]);
        seq = n->write[i].a.seq;
        free(n->write[i].e);
    }
    memmove(n->write, n->write + k, (n->n_writes - k) * sizeof n->write[0]);
    n->n_writes -= k;
    if (seq == 0)
        return;
    n->done_seq = seq;
    (void) rr_feed(s, id, (struct raft_event){ .type = RAFT_E_APPENDED, .seq = seq });
}

/* ---- running ---- */

void rr_settle(struct rr *s)
{
    bool busy = true;
    for (unsigned round = 0; busy && round < 10000; round++) {
        busy = rr_deliver(s, 0, 0, 1) > 0;
        for (unsigned i = 1; i <= s->n; i++)
            if (s->node[i].up && !s->node[i].disk_stalled && s->node[i].n_writes > 0) {
                rr_complete(s, i, s->node[i].n_writes);
                busy = true;
            }
    }
}

static void tick_disks(struct rr *s)
{
    for (unsigned i = 1; i <= s->n; i++) {
        struct rr_node *n = &s->node[i];
        unsigned k = 0;
        while (n->up && !n->disk_stalled && k < n->n_writes && n->write[k].at <= s->now)
            k++;
        if (k > 0)
            rr_complete(s, i, k);
    }
}

static void tick_net(struct rr *s)
{
    uint64_t upto = s->packets;
    for (;;) {
        struct rr_packet *best = NULL;
        for (unsigned i = 0; i < RR_QUEUE; i++) {
            struct rr_packet *p = &s->net[i];
            if (ready(s, p) && p->at <= s->now && p->n <= upto &&
                (best == NULL || p->at < best->at || (p->at == best->at && p->n < best->n)))
                best = p;
        }
        if (best == NULL)
            return;
        arrive(s, best);
    }
}

static void tick(struct rr *s)
{
    s->now++;
    if (!s->by_hand) {
        tick_disks(s);
        tick_net(s);
    }
    for (unsigned i = 1; i <= s->n; i++)
        if (s->node[i].up && raft_wake(s->node[i].r).ms <= s->now)
            (void) rr_feed(s, i, (struct raft_event){ .type = RAFT_E_CLOCK });
}

void rr_run(struct rr *s, int64_t ms)
{
    while (ms-- > 0)
        tick(s);
}

bool rr_run_until(struct rr *s, int64_t ms, bool (*done)(struct rr *s))
{
    while (!done(s)) {
        if (ms-- <= 0)
            return false;
        tick(s);
    }
    return true;
}

struct raft_status rr_status(struct rr *s, uint32_t id)
{
    struct raft_status st;
    raft_status(s->node[id].r, &st);
    return st;
}

uint32_t rr_leader(struct rr *s)
{
    uint32_t best = 0;
    uint64_t term = 0;
    for (unsigned i = 1; i <= s->n; i++) {
        if (!s->node[i].up)
            continue;
        struct raft_status st = rr_status(s, i);
        if (st.role == RAFT_LEADER && st.term > term) {
            best = i;
            term = st.term;
        }
    }
    return best;
}

bool rr_has_leader(struct rr *s)
{
    uint32_t id = rr_leader(s);
    return id && rr_status(s, id).committed_in_term;
}

uint32_t rr_elect(struct rr *s)
{
    return rr_run_until(s, 20000, rr_has_leader) ? rr_leader(s) : 0;
}

void rr_isolate(struct rr *s, uint32_t id, bool yes)
{
    for (unsigned i = 1; i < RR_NODES; i++)
        s->cut[id][i] = s->cut[i][id] = yes;
}
