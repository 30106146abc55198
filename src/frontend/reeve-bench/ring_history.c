/*
 * ring_history.c - concurrent reads, writes and compare-and-set, recorded for a linearizability checker
 *
 * One JSON object a line, in order of time:
 *   {"process":3,"type":"invoke","op":"cas","key":"k7","value":[1,2],"time_ns":123}
 * type: invoke, ok, fail (certainly not done; of a cas: the old value did not match) or unknown; op: read (ok carries
 * the value or null), write, cas. A process that met an unknown goes on under a new number.
 *
 * A compare-and-set is SET CONFIG k = new WITH (version = n), n being the version at which this client read old. No
 * value is written twice, so the version is n exactly as long as the value is old: the two conditions are one.
 *
 * Clients act in bursts, all at once on a few keys, so that operations meet.
 */
#include "ring_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TICK_NS    2000000ll
#define BURST_KEYS 6u

enum op { OP_READ, OP_WRITE, OP_CAS };
static const char *const op_name[] = { "read", "write", "cas" };

/* What a client read last of a key. */
struct seen { bool known; int64_t value, version; };

struct history_client {
    struct sql_conn c;
    uint64_t process;
    struct seen *seen;                  /* by key */
    enum op op;
    unsigned key;
    int64_t old, new, since_ns;
    bool busy, then_cas;                /* then_cas: what was read is to be changed next */
};

struct history {
    const struct ring_options *o;
    struct ring_totals *t;
    struct sql_pool *pool;
    struct history_client *client;
    unsigned *ops;                      /* begun, by key */
    FILE *out;
    uint64_t random, next_process;
    int64_t next_value;
    uint64_t n[3][4];                   /* by op and by ok, fail, unknown, invoke */
    char run[24];                       /* keys of this run: a history begins with keys that nobody ever wrote */
};

/* ---- lines ---- */

static void value_json(struct wr *w, enum op op, int64_t old, int64_t new)
{
    if (op == OP_CAS)
        wr_printf(w, "[%lld,%lld]", (long long) old, (long long) new);
    else if (op == OP_WRITE)
        wr_printf(w, "%lld", (long long) new);
    else
        wr_text(w, "null");
}

static void line(struct history *h, const struct history_client *hc, const char *type, const struct seen *read, int64_t now_ns)
{
    uint8_t mem[256];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_printf(&w, "{\"process\":%llu,\"type\":\"%s\",\"op\":\"%s\",\"key\":\"k%u\",\"value\":", (unsigned long long) hc->process,
              type, op_name[hc->op], hc->key);
    if (read != NULL && read->known)
        wr_printf(&w, "%lld", (long long) read->value);
    else
        value_json(&w, hc->op, hc->old, hc->new);
    wr_printf(&w, ",\"time_ns\":%lld}\n", (long long) now_ns);
    fwrite(w.p, 1, w.len, h->out);
}

/* ---- operations ---- */

static void begin_op(struct history *h, struct history_client *hc, unsigned key, int64_t now_ns)
{
    char text[256];
    struct seen *s = &hc->seen[key];
    unsigned dice = (unsigned) (ring_random(&h->random) % 100);
    hc->op = hc->then_cas ? OP_CAS : dice < 60 ? OP_READ : dice < 85 || !s->known ? OP_WRITE : OP_CAS;
    hc->then_cas = false;
    hc->key = key;
    hc->old = s->value;
    if (hc->op != OP_READ)
        hc->new = ++h->next_value;
    if (hc->op == OP_READ)
        snprintf(text, sizeof text, "SELECT value, version FROM sys.config WHERE key = 'history/%s/k%u'", h->run, key);
    else if (hc->op == OP_WRITE)
        snprintf(text, sizeof text, "SET CONFIG 'history/%s/k%u' = %lld", h->run, key, (long long) hc->new);
    else
        snprintf(text, sizeof text, "SET CONFIG 'history/%s/k%u' = %lld WITH (version = %lld)", h->run, key,
                 (long long) hc->new, (long long) s->version);
    h->ops[key]++;
    h->n[hc->op][3]++;
    hc->busy = true;
    hc->since_ns = now_ns;
    line(h, hc, "invoke", NULL, sql_now_ns());
    sql_conn_send(&hc->c, text, now_ns);
}

static struct seen read_of(const PGresult *res)
{
    if (PQntuples(res) != 1 || PQnfields(res) != 2 || PQgetisnull(res, 0, 0))
        return (struct seen){ 0 };
    return (struct seen){ true, strtoll(PQgetvalue(res, 0, 0), NULL, 10), strtoll(PQgetvalue(res, 0, 1), NULL, 10) };
}

static void on_done(void *arg, struct sql_conn *c, enum sql_outcome outcome, const PGresult *res, const char *state, int64_t now_ns)
{
    struct history *h = arg;
    struct history_client *hc = c->user;
    struct seen s = { 0 };
    (void) state;
    hc->busy = false;
    if (outcome == SQL_DONE && hc->op == OP_READ) {
        hc->seen[hc->key] = s = read_of(res);
        hc->then_cas = s.known && ring_random(&h->random) % 2 == 0;
    } else if (hc->op != OP_READ) {
        hc->seen[hc->key].known = false;
    }
    /* A change that was refused for another reason than its condition says nothing of the value: a failed cas would. */
    bool failed = outcome == SQL_CONFLICT || (outcome == SQL_REFUSED && hc->op != OP_CAS);
    const char *type = outcome == SQL_DONE ? "ok" : failed ? "fail" : "unknown";
    h->n[hc->op][outcome == SQL_DONE ? 0 : failed ? 1 : 2]++;
    line(h, hc, type, &s, sql_now_ns());
    if (outcome == SQL_DONE && hc->op != OP_READ)
        ring_note_write(h->t, hc->since_ns, now_ns);
    if (outcome != SQL_DONE && !failed)
        hc->process = h->next_process++;
}

static void on_idle(void *arg, struct sql_conn *c, int64_t now_ns)
{
    struct history *h = arg;
    struct history_client *hc = c->user;
    if (hc->then_cas && h->ops[hc->key] < h->o->history_ops)
        begin_op(h, hc, hc->key, now_ns);
    hc->then_cas = false;
}

/* A key that has operations left, from a random one on; keys: none has. */
static unsigned pick_key(struct history *h)
{
    unsigned at = (unsigned) (ring_random(&h->random) % h->o->keys);
    for (unsigned i = 0; i < h->o->keys; i++, at = (at + 1) % h->o->keys)
        if (h->ops[at] < h->o->history_ops)
            return at;
    return h->o->keys;
}

/* Who idles acts, on one of a few keys. False: every key has had its operations. */
static bool burst(struct history *h, int64_t now_ns)
{
    unsigned key[BURST_KEYS];
    for (unsigned i = 0; i < BURST_KEYS; i++)
        key[i] = pick_key(h);
    if (key[0] == h->o->keys)
        return false;
    for (unsigned i = 0; i < h->o->clients; i++) {
        struct history_client *hc = &h->client[i];
        unsigned k = key[ring_random(&h->random) % BURST_KEYS];
        if (hc->c.phase == SQL_IDLE && k < h->o->keys && h->ops[k] < h->o->history_ops)
            begin_op(h, hc, k, now_ns);
    }
    return true;
}

static bool any_busy(const struct history *h)
{
    for (unsigned i = 0; i < h->o->clients; i++)
        if (h->client[i].busy)
            return true;
    return false;
}

static void serve(struct history *h, int64_t *next_tick)
{
    struct epoll_event ev[256];
    int64_t now = sql_now_ns();
    if (now >= *next_tick) {
        for (unsigned i = 0; i < h->o->clients; i++)
            sql_conn_tick(&h->client[i].c, now);
        *next_tick = now + TICK_NS;
    }
    int n = epoll_wait(h->pool->epoll_fd, ev, 256, 1);
    now = sql_now_ns();
    for (int i = 0; i < n; i++)
        sql_conn_event(ev[i].data.ptr, now);
}

/* Bursts spread the operations of all keys over the time; then what is under way comes to its end. */
static void record(struct history *h)
{
    double total = (double) h->o->keys * h->o->history_ops, a_burst = 1.2 * h->o->clients;      /* some read, then change */
    double between_ns = h->o->duration_s * 1e9 / (total / a_burst + 1);
    int64_t start = sql_now_ns(), end = start + (int64_t) (h->o->duration_s * 1e9), next_tick = 0;
    uint64_t bursts = 0;
    bool left = true;
    for (int64_t now = start; !*h->o->stop && now < end && left; now = sql_now_ns()) {
        if (now >= start + (int64_t) ((double) bursts * between_ns)) {
            left = burst(h, now);
            bursts++;
        }
        serve(h, &next_tick);
    }
    h->pool->stopping = true;
    while (any_busy(h))
        serve(h, &next_tick);
    h->t->begin_ns = start;
    h->t->end_ns = sql_now_ns();
}

static bool all_there(const struct history *h)
{
    for (unsigned i = 0; i < h->o->clients; i++)
        if (h->client[i].c.phase < SQL_IDLE)
            return false;
    return true;
}

static bool set_up(struct history *h)
{
    int64_t next_tick = 0, give_up = sql_now_ns() + 60000000000ll;
    h->out = fopen(h->o->history, "w");
    h->client = calloc(h->o->clients, sizeof *h->client);
    h->ops = calloc(h->o->keys, sizeof *h->ops);
    if (h->out == NULL || h->client == NULL || h->ops == NULL)
        return false;
    snprintf(h->run, sizeof h->run, "%llx", (unsigned long long) sql_now_ns() ^ (unsigned long long) getpid() << 40);
    for (unsigned i = 0; i < h->o->clients; i++) {
        struct history_client *hc = &h->client[i];
        sql_conn_init(&hc->c, h->pool, i % h->pool->n_targets);
        hc->c.user = hc;
        hc->process = h->next_process++;
        if ((hc->seen = calloc(h->o->keys, sizeof *hc->seen)) == NULL)
            return false;
    }
    while (!all_there(h) && !*h->o->stop && sql_now_ns() < give_up)
        serve(h, &next_tick);
    return all_there(h);
}

static void summary(const struct history *h)
{
    for (int op = OP_READ; op <= OP_CAS; op++)
        fprintf(stderr, "%-5s %6llu ok %6llu fail %6llu unknown\n", op_name[op], (unsigned long long) h->n[op][0],
                (unsigned long long) h->n[op][1], (unsigned long long) h->n[op][2]);
}

int ring_history(const struct ring_options *o, struct ring_totals *t, struct sql_pool *pool)
{
    struct history h = { .o = o, .t = t, .pool = pool, .random = o->seed | 1 };
    pool->arg = &h;
    pool->idle = on_idle;
    pool->done = on_done;
    bool ok = set_up(&h);
    if (ok) {
        record(&h);
        summary(&h);
    } else {
        fprintf(stderr, "reeve-bench: the history could not begin: %s\n", pool->last_error);
    }
    for (int op = OP_READ; op <= OP_CAS; op++) {
        t->conflicts += h.n[op][1];
        t->unknown += h.n[op][2];
    }
    if (h.out != NULL)
        ok = fclose(h.out) == 0 && ok;
    for (unsigned i = 0; h.client != NULL && i < o->clients; i++) {
        sql_conn_close(&h.client[i].c);
        free(h.client[i].seen);
    }
    free(h.client);
    free(h.ops);
    return ok ? 0 : 2;
}
