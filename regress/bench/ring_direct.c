/*
 * ring_direct.c - registrations straight into the ring processes of a ring's members, as gateways hand them over
 *
 *   ring_direct [OPTIONS] DIR [DIR ...]
 *
 * Each DIR is a member's data directory, without a server on it, all of one ring (ring_direct.pl makes them). This program takes
 * the postmaster's place at each: it starts the member's real processes but for gateways and sessions, and holds a gateway's
 * channel to each ring process. What is left out is what stands before that channel: agents, TLS, gateways. Peer links, log
 * and store are the members' own.
 *
 * Nodes are enrolled first. Then each member has --under-way commands under way, of --batch workloads of one node each, which is
 * what one agent's batch is at the ring; the next goes out when one is acknowledged, after a quorum's sync. Ids are drawn as
 * reeve-bench ring --agents draws them. The end waits for what is under way, so that rows_total is what the table must hold.
 */
#include "../unit/ring/world.h"

#include <getopt.h>

#include "frontend/reeve-bench/hist.h"
#include "frontend/reeve-bench/row_id.h"
#include "backend/ipc/child.h"
#include "backend/utils/clock.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

#define MEMBERS_MAX   5
#define PATIENCE_MS   60000
#define COMMAND_MS    30000

struct options { unsigned under_way, batch, nodes; uint64_t rows, seed; double duration_s, warmup_s; };

struct load;
struct member { struct world w; struct load *l; clockid_t cpu; };

/* A command and its place: acknowledged, the next one follows there. */
struct place { struct member *m; struct wr cmd; int64_t since_ns; bool again; };

struct load {
    struct options o;
    struct loop *loop;
    struct member m[MEMBERS_MAX];
    unsigned n, open;
    uint32_t *ordinal;                  /* of each node */
    uint64_t *next;                     /* its next workload */
    unsigned turn;
    uint64_t epoch, rows_total, rows, refused, again;
    struct hist batches;
    struct place *place;
    int64_t begin_ns;
    bool over;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t cpu_ns(clockid_t of)
{
    struct timespec t;
    return clock_gettime(of, &t) == 0 ? (int64_t) t.tv_sec * 1000000000 + t.tv_nsec : 0;
}

/* ---- nodes ---- */

/* What is refused for want of a leader is said again; the answer to the rest. */
static void propose(struct member *m, bool gateway, struct wr *body, struct call *c)
{
    int64_t end = world_ms() + PATIENCE_MS;
    assert_false(body->bad);
    m->w.as_gateway = gateway;
    while (world_call(&m->w, MSG_PROPOSE, wr_slice(body), c, COMMAND_MS) != REEVE_OK) {
        if (world_ms() > end)
            fail_msg("the ring takes nothing: %s %s", reeve_err_name(c->err), c->rep.message);
        world_turn(&m->w, 50);
    }
}

static struct rd results(const struct call *c, unsigned n)
{
    struct rd r = rd_of(slice_of(c->result, c->len));
    rd_u64(&r);
    assert_int_equal(rd_u16(&r), n);
    return r;
}

static struct slice next_result(struct rd *r)
{
    enum reeve_err err = (enum reeve_err) rd_u16(r);
    struct slice text = rd_str16(r, 1024), data = rd_str16(r, 1024);
    if (r->bad || err != REEVE_OK)
        fail_msg("refused: %s %.*s", reeve_err_name(err), (int) text.len, text.p);
    return data;
}

struct token { uint8_t id[8]; struct hash32 hash; struct name region; };

static void make_token(struct member *m, struct token *t, unsigned uses)
{
    struct token_row row = { .uses_left = uses, .created = clock_wall() };
    uint8_t session[16];
    struct name admin;
    struct wr w = wr_heap(1 << 16);
    struct call c;
    size_t at;
    random_bytes(session, sizeof session);
    random_bytes(t->id, sizeof t->id);
    random_bytes(t->hash.b, sizeof t->hash.b);
    (void) name_set_str(&admin, "admin");
    (void) name_set_str(&t->region, "eu");
    row.secret_hash = t->hash;
    row.region = t->region;
    row.created_by = admin;
    region_txn_begin(&w, session, 1, clock_wall(), &admin, slice_str("bench"), slice_str("bench"), slice_str(""), &at);
    wr_u8(&w, RO_TOKEN_CREATE);
    wr_bytes(&w, t->id, sizeof t->id);
    token_row_encode(&row, &w);
    region_txn_end(&w, at, 1);
    propose(m, false, &w, &c);
    struct rd r = results(&c, 1);
    (void) next_result(&r);
    wr_free(&w);
}

static void put_node(struct wr *w, const struct token *t)
{
    struct node_row n = { .state = NODE_LIVE, .enrolled = clock_wall(), .last_connect = clock_wall(), .region = t->region };
    struct sign_key key;
    struct seal_key seal;
    sign_keygen(&key, &n.key);
    seal_keygen(&seal, &n.seal_key);
    node_id_of_key(&n.id, &n.key);
    strcpy(n.agent_version, "bench");
    memcpy(n.token, t->id, sizeof t->id);
    wr_bytes(w, t->id, sizeof t->id);
    wr_bytes(w, t->hash.b, sizeof t->hash.b);
    node_row_encode(&n, w);
}

static void enrol(struct load *l)
{
    enum { AT_ONCE = 100 };             /* their results fit into a struct call */
    struct token t;
    make_token(&l->m[0], &t, l->o.nodes);
    for (unsigned done = 0; done < l->o.nodes;) {
        unsigned n = l->o.nodes - done < AT_ONCE ? l->o.nodes - done : AT_ONCE;
        struct wr w = wr_heap(REGION_COMMAND_MAX);
        struct call c;
        wr_u8(&w, 1);
        wr_u8(&w, RC_ENROLL);
        wr_u16(&w, (uint16_t) n);
        for (unsigned i = 0; i < n; i++)
            put_node(&w, &t);
        propose(&l->m[0], true, &w, &c);
        struct rd r = results(&c, n);
        for (unsigned i = 0; i < n; i++) {
            struct rd data = rd_of(next_result(&r));
            l->ordinal[done++] = rd_u32(&data);
            assert_true(rd_done(&data));
        }
        wr_free(&w);
    }
}

/* ---- registrations ---- */

static void put_row(struct load *l, struct wr *w, unsigned node)
{
    uint64_t nth = l->o.rows > 0 ? l->next[node] % l->o.rows : l->next[node];
    struct workload_row row = { .family = 4, .addr = { 10, (uint8_t) (node >> 8), (uint8_t) node, (uint8_t) nth }, .port = 8080,
                                .ttl_s = 60, .weight = 1, .health = 1, .epoch = ++l->epoch, .since = clock_wall() };
    uint8_t id[16];
    (void) name_set_str(&row.service, "bench");
    row_id(id, l->o.seed, node, nth);
    l->next[node]++;
    wr_u32(w, l->ordinal[node]);
    wr_bytes(w, id, sizeof id);
    wr_u8(w, 1);
    workload_row_encode(&row, w);
}

static void fill(struct place *p)
{
    struct load *l = p->m->l;
    unsigned node = l->turn++ % l->o.nodes;
    wr_reset(&p->cmd);
    wr_u8(&p->cmd, 1);
    wr_u8(&p->cmd, RC_REGISTER);
    wr_u16(&p->cmd, (uint16_t) l->o.batch);
    for (unsigned i = 0; i < l->o.batch; i++)
        put_row(l, &p->cmd, node);
    assert_false(p->cmd.bad);
    p->since_ns = now_ns();
}

static void acknowledged(void *arg, struct ipc_answer *a);

static void put(struct place *p)
{
    struct ipc_channel *ch = p->m->w.gateway;
    if (ch == NULL)
        fail_msg("a ring process has ended");
    p->again = ipc_request(ch, MSG_PROPOSE, wr_slice(&p->cmd), COMMAND_MS, acknowledged, p) != REEVE_OK;
}

static void count(struct load *l, const struct place *p, struct slice result)
{
    struct rd r = rd_of(result);
    rd_u64(&r);
    int64_t now = now_ns();
    if (rd_u16(&r) != 1 || rd_u16(&r) != REEVE_OK || r.bad) {
        l->refused += l->o.batch;
        return;
    }
    l->rows_total += l->o.batch;
    if (l->begin_ns == 0 || now < l->begin_ns || l->over)
        return;
    l->rows += l->o.batch;
    hist_add(&l->batches, now - p->since_ns);
}

/* A command that found no room, or lost its leader, is said again, as a gateway does: a registration twice is one. */
static void acknowledged(void *arg, struct ipc_answer *a)
{
    struct place *p = arg;
    struct load *l = p->m->l;
    if (a->err != REEVE_OK) {
        l->again++;
        p->again = true;
        return;
    }
    count(l, p, a->result);
    if (l->over) {
        l->open--;
        return;
    }
    fill(p);
    put(p);
}

static void turn(struct load *l)
{
    loop_run_once(l->loop, 10);
    for (unsigned i = 0; i < l->n * l->o.under_way; i++)
        if (l->place[i].again)
            put(&l->place[i]);
}

static void begin(struct load *l)
{
    l->open = l->n * l->o.under_way;
    l->place = calloc(l->open, sizeof *l->place);
    assert_non_null(l->place);
    for (unsigned i = 0; i < l->open; i++) {
        l->place[i] = (struct place){ .m = &l->m[i % l->n], .cmd = wr_heap(REGION_COMMAND_MAX) };
        fill(&l->place[i]);
        put(&l->place[i]);
    }
}

static void run_until(struct load *l, int64_t end_ns)
{
    while (now_ns() < end_ns)
        turn(l);
}

static int64_t rings_cpu_ns(const struct load *l)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < l->n; i++)
        sum += cpu_ns(l->m[i].cpu);
    return sum;
}

static void settle(struct load *l)
{
    int64_t end = world_ms() + PATIENCE_MS;
    l->over = true;
    while (l->open > 0 && world_ms() < end)
        turn(l);
    if (l->open > 0)
        fail_msg("%u commands have no answer after %d s", l->open, PATIENCE_MS / 1000);
}

/* ---- the run ---- */

static void print(const struct load *l, double seconds, double load_cores, double ring_cores)
{
    struct wr w = wr_heap(1 << 16);
    wr_printf(&w, "{\"bench\": \"ring-direct\", \"members\": %u, \"nodes\": %u, \"batch\": %u, \"under_way\": %u, \"seconds\": %.3f",
              l->n, l->o.nodes, l->o.batch, l->n * l->o.under_way, seconds);
    wr_printf(&w, ", \"rows\": %llu, \"rows_per_s\": %.1f, \"rows_total\": %llu", (unsigned long long) l->rows,
              (double) l->rows / seconds, (unsigned long long) l->rows_total);
    wr_printf(&w, ", \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f", (double) hist_at_ns(&l->batches, 0.5) / 1e6,
              (double) hist_at_ns(&l->batches, 0.99) / 1e6, (double) hist_at_ns(&l->batches, 0.999) / 1e6);
    wr_text(&w, ", \"batches\": ");
    hist_json(&l->batches, seconds, &w);
    wr_printf(&w, ", \"refused\": %llu, \"again\": %llu, \"load_cores\": %.2f, \"ring_cores\": %.2f}\n",
              (unsigned long long) l->refused, (unsigned long long) l->again, load_cores, ring_cores);
    fwrite(w.p, 1, w.len, stdout);
    wr_free(&w);
}

static void measure(struct load *l)
{
    begin(l);
    run_until(l, now_ns() + (int64_t) (l->o.warmup_s * 1e9));
    int64_t own = bench_cpu_ns(), rings = rings_cpu_ns(l);
    l->begin_ns = now_ns();
    run_until(l, l->begin_ns + (int64_t) (l->o.duration_s * 1e9));
    double seconds = (double) (now_ns() - l->begin_ns) / 1e9;
    own = bench_cpu_ns() - own;
    rings = rings_cpu_ns(l) - rings;
    settle(l);
    print(l, seconds, (double) own / 1e9 / seconds, (double) rings / 1e9 / seconds);
}

static void usage(void)
{
    fputs("Usage: ring_direct [OPTIONS] DIR [DIR ...]\n"
          "  --duration SECONDS (10)  --warmup SECONDS (2)  --under-way COMMANDS of each member (64)  --batch ROWS (100)\n"
          "  --nodes N (1000)  --rows N of a node, then they are changed (0: always new ones)  --seed N (1)\n", stderr);
    exit(2);
}

static double number(double min, double max)
{
    char *end;
    double x = strtod(optarg, &end);
    if (*end != '\0' || end == optarg || !(x >= min && x <= max))
        usage();
    return x;
}

static void read_options(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        { "duration", 1, NULL, 'd' }, { "warmup", 1, NULL, 'w' }, { "under-way", 1, NULL, 'u' }, { "batch", 1, NULL, 'b' },
        { "nodes", 1, NULL, 'n' }, { "rows", 1, NULL, 'W' }, { "seed", 1, NULL, 's' }, { 0, 0, 0, 0 } };
    int c;
    *o = (struct options){ .under_way = 64, .batch = 100, .nodes = 1000, .seed = 1, .duration_s = 10, .warmup_s = 2 };
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
        switch (c) {
        case 'd': o->duration_s = number(0.1, 1e6); break;
        case 'w': o->warmup_s = number(0, 1e6); break;
        case 'u': o->under_way = (unsigned) number(1, 256); break;
        case 'b': o->batch = (unsigned) number(1, REGION_BATCH_MAX); break;
        case 'n': o->nodes = (unsigned) number(1, 1e6); break;
        case 'W': o->rows = (uint64_t) number(0, 1e9); break;
        case 's': o->seed = (uint64_t) number(0, 4095); break;
        default: usage();
        }
    if (argc - optind < 1 || argc - optind > MEMBERS_MAX)
        usage();
}

static void open_members(struct load *l, char **dirs)
{
    for (unsigned i = 0; i < l->n; i++) {
        l->m[i].l = l;
        world_open(&l->m[i].w, l->loop, dirs[i]);
    }
    for (unsigned i = 0; i < l->n; i++) {
        world_ready(&l->m[i].w);
        assert_int_equal(clock_getcpuclockid(l->m[i].w.kid[W_RING].pid, &l->m[i].cpu), 0);
    }
}

static void close_members(struct load *l)
{
    for (unsigned i = l->n; i-- > 0;)
        world_shut_down(&l->m[i].w, W_RING, PATIENCE_MS);
    for (unsigned i = 0; i < l->n; i++)
        world_free(&l->m[i].w);
}

int main(int argc, char **argv)
{
    static struct load l;
    read_options(&l.o, argc, argv);
    l.n = (unsigned) (argc - optind);
    l.ordinal = calloc(l.o.nodes, sizeof *l.ordinal);
    l.next = calloc(l.o.nodes, sizeof *l.next);
    assert_true(l.ordinal != NULL && l.next != NULL);
    assert_ok(loop_new(&l.loop));
    open_members(&l, argv + optind);
    enrol(&l);
    measure(&l);
    fflush(stdout);
    close_members(&l);
    return 0;
}
