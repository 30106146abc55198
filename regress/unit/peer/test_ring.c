/*
 * test_ring.c - a real ring of three over real links: engine/member with logs in memory, the peers' TLS connections
 * between them, one thread. The driver here is the smallest that obeys the contract of member.h.
 */
#include "world.h"

#include "backend/utils/clock.h"
#include "engine/member.h"
#include "crypto/hash.h"

#define MEMBERS   3
#define COMMANDS  10000
#define WINDOW    48                    /* under way per member; a session remembers MEMBER_SEQS */
#define LOG_MAX   65536
#define NUMBERS   (1 << 20)
#define HELD_MAX  4096

/* What a crash leaves: every entry ever appended, the hard state. */
struct disk_entry { uint64_t term; uint8_t kind; uint8_t *p; size_t len; };
struct disk { struct disk_entry e[LOG_MAX]; uint64_t last, term, commit; uint32_t vote; };

/* A command is "apply number k once". */
struct client { uint64_t session, seq; bool opening; struct { uint64_t seq; uint32_t k; bool used; } slot[WINDOW]; };

struct server {
    struct ring *ring;
    struct node *node;
    struct member *m;                   /* NULL: dead */
    void *mem;
    struct disk disk;
    struct loop_timer clock;
    uint64_t appended, apply;           /* events to feed after the effects: 0: none */
    uint64_t durable;                   /* the newest APPENDED that was fed */
    struct { uint64_t after; struct peer_parcel *parcel; } held[HELD_MAX];
    unsigned n_held, was_held;
    uint8_t *applied;                   /* times each number was */
    uint64_t n_applied, order;          /* order: a running hash */
    struct client client;
    bool cut;                           /* the test, not the configuration, says whom it is linked to */
    uint64_t reads_ok;
    struct raft_conf conf;
};
struct ring { struct world *w; struct server s[MEMBERS + 1]; uint32_t next, total; unsigned acked, duplicates, unknown; };

static void feed(struct server *s, struct member_event *e);

/* ---- the disk: durable at once, told later ---- */

static void disk_append(struct server *s, const struct raft_append *a)
{
    struct disk *d = &s->disk;
    const struct raft_log *log = member_log(s->m);
    assert_false(a->reset);
    if (a->truncate_from != 0 && a->truncate_from <= d->last)
        d->last = a->truncate_from - 1;
    for (uint64_t i = a->first; i <= a->last; i++) {
        struct raft_entry e;
        log->ops->entry(log->arg, i, &e);
        assert_true(i == d->last + 1 && i < LOG_MAX);
        struct disk_entry *x = &d->e[++d->last];
        free(x->p);
        *x = (struct disk_entry){ e.term, e.kind, malloc(e.data.len + 1), e.data.len };
        if (e.data.len > 0)
            memcpy(x->p, e.data.p, e.data.len);
    }
    d->term = a->term;
    d->vote = a->vote;
    d->commit = a->commit;
    s->appended = a->seq;
}

/* ---- the state ---- */

static void apply_all(struct server *s, uint64_t index)
{
    struct member_command c;
    uint8_t row_mem[MEMBER_ROW_MAX];
    struct wr row = wr_fixed(row_mem, sizeof row_mem);
    uint32_t n;
    while (member_apply_next(s->m, &c)) {
        struct rd in = rd_of(c.command);
        uint32_t k = rd_u32(&in);
        assert_true(rd_done(&in) && k < NUMBERS);
        s->applied[k]++;
        s->n_applied++;
        s->order = (s->order ^ k) * 0x100000001b3ULL;
    }
    while (member_row_next(s->m, &n, &row))
        wr_reset(&row);
    s->apply = index;
}

/* ---- clients ---- */

/* A session must not run ahead of what it may still have to ask again by more than is remembered. */
static uint64_t oldest(const struct client *c)
{
    uint64_t seq = c->seq + 1;
    for (unsigned i = 0; i < WINDOW; i++)
        if (c->slot[i].used && c->slot[i].seq < seq)
            seq = c->slot[i].seq;
    return seq;
}

static void take_up(struct server *s)
{
    struct client *c = &s->client;
    struct ring *r = s->ring;
    if (s->m == NULL)
        return;
    if (c->session == 0) {
        if (!c->opening)
            feed(s, &(struct member_event){ .type = MEMBER_E_OPEN, .ticket = 1 });
        return;
    }
    for (unsigned i = 0; i < WINDOW && r->next < r->total && c->seq + 1 < oldest(c) + MEMBER_SEQS - 1; i++) {
        if (c->slot[i].used)
            continue;
        uint32_t k = r->next++;
        uint8_t mem[4];
        struct wr w = wr_fixed(mem, sizeof mem);
        wr_u32(&w, k);
        c->slot[i].used = true;
        c->slot[i].k = k;
        c->slot[i].seq = ++c->seq;
        feed(s, &(struct member_event){ .type = MEMBER_E_PROPOSE, .ticket = 100 + i, .session = c->session, .seq = c->seq,
                                        .data = wr_slice(&w) });
    }
}

/* The same number again, under the same place in the session. */
static void propose_again(struct server *s, unsigned i)
{
    uint8_t mem[4];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u32(&w, s->client.slot[i].k);
    feed(s, &(struct member_event){ .type = MEMBER_E_PROPOSE, .ticket = 100 + i, .session = s->client.session,
                                    .seq = s->client.slot[i].seq, .data = wr_slice(&w) });
}

static struct { struct server *s; unsigned slot; } retry[1024];
static unsigned retries;

static void outcome(struct server *s, const struct member_effect *f)
{
    struct ring *r = s->ring;
    if (f->ticket == 1) {
        s->client.opening = false;
        s->client.session = f->outcome == MEMBER_APPLIED ? f->id : 0;
        return;
    }
    unsigned i = (unsigned) (f->ticket - 100);
    assert_true(i < WINDOW && s->client.slot[i].used);
    if (f->outcome == MEMBER_APPLIED || f->outcome == MEMBER_DUPLICATE) {
        r->acked++;
        r->duplicates += f->outcome == MEMBER_DUPLICATE;
        s->client.slot[i].used = false;
        return;
    }
    r->unknown += f->outcome == MEMBER_UNKNOWN;
    assert_true(retries < 1024);
    retry[retries].s = s;
    retry[retries++].slot = i;
}

/* ---- the driver ---- */

static void hold(struct server *s, const struct raft_effect *f)
{
    assert_true(s->n_held < HELD_MAX);
    s->held[s->n_held].after = f->after;
    s->held[s->n_held].parcel = peers_pack(&f->msg, member_log(s->m));
    assert_non_null(s->held[s->n_held++].parcel);
    s->was_held++;
}

static void release(struct server *s, uint64_t durable)
{
    unsigned kept = 0;
    s->durable = durable;
    for (unsigned i = 0; i < s->n_held; i++)
        if (s->held[i].after <= durable)
            peers_post(s->node->p, s->held[i].parcel);
        else
            s->held[kept++] = s->held[i];
    s->n_held = kept;
}

static void raft_effect(struct server *s, const struct raft_effect *f)
{
    switch (f->type) {
    case RAFT_F_APPEND:
        disk_append(s, &f->append);
        break;
    case RAFT_F_SEND:
        if (f->after <= s->durable)
            peers_send(s->node->p, &f->msg, member_log(s->m));
        else
            hold(s, f);
        break;
    case RAFT_F_CONF:
        s->conf = *raft_conf(member_raft(s->m));
        if (!s->cut)
            peers_configure(s->node->p, &s->conf, f->index, raft_conf_committed(member_raft(s->m)));
        break;
    case RAFT_F_ROLE:
    case RAFT_F_TRUNCATED:
    case RAFT_F_REPAIRED:
        break;
    default:
        fail_msg("an effect that this test does not expect: %u", f->type);
    }
}

static void on_clock(void *arg)
{
    feed(arg, &(struct member_event){ .type = MEMBER_E_CLOCK });
}

static void step(struct server *s, struct member_event *e)
{
    static struct member_effects out;   /* not nested: feed() goes on with what follows after it */
    e->now = clock_mono();
    member_step(s->m, e, &out);
    if (e->type == MEMBER_E_OPEN)
        s->client.opening = out.verdict == REEVE_OK;
    if (e->type == MEMBER_E_PROPOSE && out.verdict != REEVE_OK) {
        retry[retries].s = s;
        retry[retries++].slot = (unsigned) (e->ticket - 100);
    }
    for (size_t i = 0; i < out.n; i++) {
        const struct member_effect *f = &out.e[i];
        if (f->type == MEMBER_F_RAFT)
            raft_effect(s, f->raft);
        else if (f->type == MEMBER_F_APPLY)
            apply_all(s, f->index);
        else if (f->type == MEMBER_F_DONE)
            outcome(s, f);
        else if (f->type == MEMBER_F_READ_DONE)
            s->reads_ok += f->err == REEVE_OK;
        else if (f->type == MEMBER_F_FLUSH)
            continue;                   /* nothing but the log survives here, and its window is large enough */
        else
            fail_msg("an effect that this test does not expect: %u", f->type);
    }
}

static void feed(struct server *s, struct member_event *e)
{
    struct member_event next = *e;
    for (;;) {
        step(s, &next);
        if (s->appended != 0)
            next = (struct member_event){ .type = MEMBER_E_APPENDED, .seq = s->appended };
        else if (s->apply != 0)
            next = (struct member_event){ .type = MEMBER_E_APPLIED, .index = s->apply };
        else
            break;
        if (next.type == MEMBER_E_APPENDED) {
            release(s, s->appended);
            s->appended = 0;
        } else {
            s->apply = 0;
        }
    }
    assert_ok(loop_timer_at(s->ring->w->loop, &s->clock, member_wake(s->m), on_clock, s));
    peers_flush(s->node->p);
}

static struct server *server_of(void *node)
{
    struct node *n = node;
    return (struct server *) n->user;
}

static void on_message(void *arg, const struct raft_msg *m)
{
    feed(server_of(arg), &(struct member_event){ .type = MEMBER_E_MESSAGE, .msg = m });
}

static void on_reachable(void *arg, uint32_t id, bool yes)
{
    struct node *n = arg;
    n->reach[id] = yes;
    if (server_of(arg)->m != NULL)
        feed(server_of(arg), &(struct member_event){ .type = yes ? MEMBER_E_REACHABLE : MEMBER_E_UNREACHABLE, .peer = id });
}

/* ---- life and death ---- */

static void server_boot(struct server *s, bool with_links)
{
    struct member_config c;
    member_config_default(&c);
    c.window_entries = 1 << 15;
    c.window_bytes = 8 << 20;
    c.raft.id = s->node->id;
    c.raft.incarnation = s->node->incarnation;
    c.raft.ring = RING_ID;
    c.raft.seed = s->node->id + (uint64_t) now_ms();
    c.raft.election_ms = 300;           /* a busy machine with three members in one thread */
    c.unknown_ms = 400;                 /* what was forwarded to a leader that died is proposed again after that */
    random_bytes(&c.origin, sizeof c.origin);
    s->mem = malloc(member_size(&c));
    assert_ok(member_init(&s->m, s->mem, member_size(&c), &c));
    for (uint64_t i = 1; i <= s->disk.last; i++)
        assert_ok(member_entry_restore(s->m, &(struct raft_entry){ i, s->disk.e[i].term, s->disk.e[i].kind,
                                                                   slice_of(s->disk.e[i].p, s->disk.e[i].len) }));
    struct raft_start start = { .mode = RAFT_START_CLEAN, .term = s->disk.term, .vote = s->disk.vote,
                                .commit = s->disk.commit < s->disk.last ? s->disk.commit : s->disk.last, .conf = &s->conf,
                                .last_index = s->disk.last };
    start.last_term = s->disk.last ? s->disk.e[s->disk.last].term : 0;
    assert_ok(member_begin(s->m, &start));
    s->applied = calloc(NUMBERS, 1);
    s->n_applied = s->order = 0;
    memset(&s->client, 0, sizeof s->client);
    if (with_links)
        node_start(s->node);
    peers_configure(s->node->p, &s->conf, 1, &s->conf);
    feed(s, &(struct member_event){ .type = MEMBER_E_START });
}

/* As kill -9: what its clients had under way is taken up by others, whose numbers are new. */
static void server_kill(struct server *s)
{
    loop_timer_cancel(s->ring->w->loop, &s->clock);
    node_stop(s->node);
    free(s->mem);
    s->m = NULL;
    free(s->applied);
    s->applied = NULL;
    s->appended = s->apply = s->durable = 0;
    for (unsigned i = 0; i < s->n_held; i++)
        peer_parcel_free(s->held[i].parcel);
    s->n_held = 0;
    unsigned kept = 0;
    for (unsigned i = 0; i < retries; i++)
        if (retry[i].s != s)
            retry[kept++] = retry[i];
    retries = kept;
}

static struct ring *ring_new(void)
{
    struct ring *r = calloc(1, sizeof *r);
    struct raft_conf conf;
    r->total = 0;
    r->w = world_new(MEMBERS);
    retries = 0;
    world_conf(r->w, &conf, ~0u);
    for (unsigned i = 1; i <= MEMBERS; i++) {
        struct server *s = &r->s[i];
        *s = (struct server){ .ring = r, .node = &r->w->node[i], .conf = conf };
        s->node->user = s;
        s->node->message = on_message;
        s->node->reachable = on_reachable;
        node_stop(s->node);
        server_boot(s, true);
    }
    return r;
}

static void ring_free(struct ring *r)
{
    for (unsigned i = 1; i <= MEMBERS; i++) {
        if (r->s[i].m != NULL)
            server_kill(&r->s[i]);
        for (uint64_t k = 0; k < LOG_MAX; k++)
            free(r->s[i].disk.e[k].p);
    }
    world_free(r->w);
    free(r);
}

static struct server *leader(struct ring *r)
{
    struct server *found = NULL;
    uint64_t term = 0;
    for (unsigned i = 1; i <= MEMBERS; i++) {
        struct member_status st;
        if (r->s[i].m == NULL)
            continue;
        member_status(r->s[i].m, &st);
        if (st.raft.role == RAFT_LEADER && st.raft.term >= term && st.raft.committed_in_term) {
            found = &r->s[i];
            term = st.raft.term;
        }
    }
    return found;
}

static void turn(struct ring *r)
{
    for (unsigned i = 1; i <= MEMBERS; i++)
        take_up(&r->s[i]);
    loop_run_once(r->w->loop, 5);
    unsigned n = retries;
    struct { struct server *s; unsigned slot; } now[1024];
    memcpy(now, retry, n * sizeof *now);
    retries = 0;
    for (unsigned i = 0; i < n; i++)
        propose_again(now[i].s, now[i].slot);
}

#define ring_until(r, cond) do { \
        int64_t end_ = now_ms() + 60000; \
        while (!(cond)) { \
            turn(r); \
            if (now_ms() > end_) \
                fail_msg("%s:%d: waited in vain for %s", __FILE__, __LINE__, #cond); \
        } \
    } while (0)

/* n more commands through whoever lives, until all are acknowledged. */
static void drive(struct ring *r, unsigned n)
{
    unsigned target = r->acked + n;
    int64_t start = now_ms();
    r->total = r->next + n;
    ring_until(r, r->acked >= target);
    print_message("# %u commands in %lld ms\n", n, (long long) (now_ms() - start));
}

static bool same(struct ring *r)
{
    for (unsigned i = 1; i <= MEMBERS; i++)
        for (unsigned k = 1; k <= MEMBERS; k++)
            if (r->s[i].m != NULL && r->s[k].m != NULL &&
                (r->s[i].n_applied != r->s[k].n_applied || r->s[i].order != r->s[k].order))
                return false;
    return true;
}

/* Every acknowledged number is in the state once; those that died with their client at most once. */
static void check_state(struct ring *r, unsigned lost_at_most)
{
    ring_until(r, same(r));
    for (unsigned i = 1; i <= MEMBERS; i++) {
        unsigned missing = 0;
        if (r->s[i].m == NULL)
            continue;
        for (uint32_t k = 0; k < r->next; k++) {
            assert_true(r->s[i].applied[k] <= 1);
            missing += r->s[i].applied[k] == 0;
        }
        assert_true(missing <= lost_at_most);
        assert_true(r->s[i].n_applied >= r->acked);
    }
}

/* ---- stories ---- */

static void ten_thousand_commands_through_every_member(void **state)
{
    struct ring *r = ring_new();
    ring_until(r, leader(r) != NULL);
    drive(r, COMMANDS);
    check_state(r, 0);
    for (unsigned i = 1; i <= MEMBERS; i++) {
        feed(&r->s[i], &(struct member_event){ .type = MEMBER_E_READ, .ticket = 9 });
        ring_until(r, r->s[i].reads_ok == 1);
    }
    assert_true(r->s[1].was_held + r->s[2].was_held + r->s[3].was_held > 0);
    for (unsigned i = 1; i <= MEMBERS; i++)
        for (unsigned k = 1; k <= MEMBERS; k++)
            if (i != k)
                assert_int_equal(node_status(r->s[i].node, k, PEER_LOG).dropped > 50, false);
    ring_free(r);
}

static void links(struct ring *r, struct server *a, struct server *b, bool cut)
{
    struct raft_conf alone;
    struct server *two[2] = { a, b };
    for (int i = 0; i < 2; i++) {
        struct server *s = two[i], *other = two[1 - i];
        alone = s->conf;
        unsigned n = 0;
        for (unsigned k = 0; k < s->conf.n; k++)
            if (s->conf.m[k].id != other->node->id)
                alone.m[n++] = s->conf.m[k];
        alone.n = (uint16_t) n;
        s->cut = cut;
        peers_configure(s->node->p, cut ? &alone : &s->conf, cut ? 1000 : 1001, cut ? &alone : &s->conf);
    }
}

static struct server *other_than(struct ring *r, const struct server *s)
{
    for (unsigned i = 1; i <= MEMBERS; i++)
        if (&r->s[i] != s && r->s[i].m != NULL)
            return &r->s[i];
    return NULL;
}

static void a_cut_link_stops_nothing_and_heals(void **state)
{
    struct ring *r = ring_new();
    ring_until(r, leader(r) != NULL);
    drive(r, 500);
    struct server *l = leader(r), *f = other_than(r, l);
    links(r, l, f, true);
    assert_false(linked(l->node, f->node));
    uint64_t held = f->n_applied;
    f->client.session = 0;              /* whom it is linked to is no leader: its client rests */
    f->client.opening = true;
    memset(f->client.slot, 0, sizeof f->client.slot);
    unsigned kept = 0;
    for (unsigned i = 0; i < retries; i++)
        if (retry[i].s != f)
            retry[kept++] = retry[i];
    retries = kept;
    drive(r, 2000);
    assert_true(leader(r) == l || leader(r) == f || leader(r) != NULL);
    assert_true(l->n_applied > held);
    links(r, l, f, false);
    ring_until(r, linked(l->node, f->node) && linked(f->node, l->node));
    f->client.opening = false;
    check_state(r, 0);
    drive(r, 500);
    check_state(r, 0);
    ring_free(r);
}

static void a_killed_leader_is_replaced_and_comes_back(void **state)
{
    struct ring *r = ring_new();
    ring_until(r, leader(r) != NULL);
    unsigned lost = 0;
    for (unsigned round = 0; round < 3; round++) {
        drive(r, 1000);
        struct server *l = leader(r);
        ring_until(r, (l = leader(r)) != NULL);
        r->total = r->next + 300;       /* so that something is under way */
        turn(r);
        for (unsigned i = 0; i < WINDOW; i++)
            lost += l->client.slot[i].used;
        int64_t start = now_ms();
        server_kill(l);
        unsigned before = r->acked;
        ring_until(r, leader(r) != NULL && r->acked > before);
        print_message("# acknowledged again %lld ms after the death of the leader\n", (long long) (now_ms() - start));
        ring_until(r, r->acked + lost >= r->next);
        server_boot(l, true);
        ring_until(r, same(r));
        check_state(r, lost);
    }
    print_message("# %u acknowledged, %u of them as duplicates, %u unknown for a while\n", r->acked, r->duplicates, r->unknown);
    ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_commands_through_every_member),
        cmocka_unit_test(a_cut_link_stops_nothing_and_heals),
        cmocka_unit_test(a_killed_leader_is_replaced_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
