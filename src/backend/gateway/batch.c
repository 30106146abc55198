/*
 * batch.c - what agents say, gathered into region commands
 *
 * While a lane has as many batches under way as it may, whatever arrives waits
 * in the next one, so that batches grow with the load by themselves. All three
 * commands may be repeated without harm, so a batch whose fate is unknown
 * (the ring went away) is sent again as it is.
 *
 * B1 Of one node at most one batch is under way. A batch that is repeated, or
 *    overtaken while the ring has no leader, never puts a node's words out of
 *    order, and its acknowledgements come in order.
 * B2 Beyond the first only full batches are sent: small ones cost the ring as much.
 */
#include "backend/gateway/gateway_int.h"

#include <stdlib.h>

#define RING_TIMEOUT_MS  30000
#define RETRY_MS         200
#define GIVE_UP_MS       15000
#define FULL             (REGION_BATCH_MAX / 10)
#define NODES            (2 * REGION_BATCH_MAX + 48)      /* a power of two, half empty */

struct batch {
    struct batch *next;
    struct lane *lane;
    struct wr cmd;                      /* u8 1 | u8 type | u16 n | items */
    struct mono_ms born;
    uint32_t n_ring, n_items;
    bool sealed;                        /* takes nothing more */
    bool follows;                       /* a node of it is in one before it: waits for all of them */
    bool sent;
    uint32_t node[NODES];               /* open addressing; ordinal + 1, 0: free */
    struct batch_item items[REGION_BATCH_MAX];
};
_Static_assert((NODES & (NODES - 1)) == 0, "a mask");

static const uint8_t command_of[LANE__COUNT] = {
    [LANE_ENROLL] = RC_ENROLL, [LANE_REPORT] = RC_REPORT, [LANE_REGISTER] = RC_REGISTER,
};

typedef void answer_fn(struct conn *c, enum reeve_err err, enum reeve_err word, const struct batch_item *i);
static answer_fn *const answer_of[LANE__COUNT] = {
    [LANE_ENROLL] = enroll_answer, [LANE_REPORT] = report_answer, [LANE_REGISTER] = register_answer,
};

/* Registrations come in masses. The others follow each other: a report's attempts are counted, an enrolment may wait. */
static const struct { unsigned under_way, batches; } lane_limit[LANE__COUNT] = {
    [LANE_ENROLL] = { 1, 8 }, [LANE_REPORT] = { 1, 8 }, [LANE_REGISTER] = { 8, 64 },
};

void lane_init(struct gateway *g, enum lane_kind kind)
{
    struct lane *l = &g->lane[kind];
    l->g = g;
    l->kind = kind;
    l->tail = &l->head;
}

/* ---- which nodes a batch speaks of ---- */

/* Where the node is, or would be. */
static uint32_t *node_slot(struct batch *b, uint32_t ordinal)
{
    uint32_t i = (ordinal * 2654435761u) & (NODES - 1);
    while (b->node[i] != 0 && b->node[i] != ordinal + 1)
        i = (i + 1) & (NODES - 1);
    return &b->node[i];
}

static bool speaks_of(struct batch *b, uint32_t ordinal) { return *node_slot(b, ordinal) != 0; }

static bool before_speaks_of(struct lane *l, const struct batch *end, uint32_t ordinal)
{
    for (struct batch *b = l->head; b != end; b = b->next)
        if (speaks_of(b, ordinal))
            return true;
    return false;
}

/* ---- batches ---- */

static struct batch *batch_new(struct lane *l)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->lane = l;
    b->cmd = wr_heap(REGION_COMMAND_MAX);
    b->born = loop_now(l->g->loop);
    wr_u8(&b->cmd, 1);
    wr_u8(&b->cmd, command_of[l->kind]);
    wr_u16(&b->cmd, 0);
    if (b->cmd.bad) {
        free(b);
        return NULL;
    }
    return b;
}

static void batch_free(struct batch *b)
{
    secret_wipe(b->cmd.p, b->cmd.len);
    wr_free(&b->cmd);
    free(b);
}

static bool fits(const struct batch *b, struct slice items, uint16_t n)
{
    return !b->sealed && b->n_ring + n <= REGION_BATCH_MAX && b->n_items < REGION_BATCH_MAX &&
           b->cmd.len + items.len <= REGION_COMMAND_MAX;
}

static void push(struct lane *l, struct batch *b)
{
    *l->tail = b;
    l->tail = &b->next;
    l->last = b;
    l->n++;
}

/* The last batch, unless it is under way or has no room. */
static struct batch *open_batch(struct lane *l, struct slice items, uint16_t n)
{
    if (l->last != NULL && !l->last->sent && fits(l->last, items, n))
        return l->last;
    if (l->n >= lane_limit[l->kind].batches)
        return NULL;
    struct batch *b = batch_new(l);
    if (b == NULL || !fits(b, items, n)) {
        if (b != NULL)
            batch_free(b);
        return NULL;
    }
    push(l, b);
    return b;
}

static bool batch_put(struct batch *b, struct slice items, const struct batch_item *item)
{
    wr_bytes(&b->cmd, items.p, items.len);
    if (b->cmd.bad) {
        b->cmd.bad = false;             /* nothing of it was written */
        return false;
    }
    b->n_ring += item->n;
    *node_slot(b, item->ordinal) = item->ordinal + 1;
    b->items[b->n_items] = *item;
    b->items[b->n_items++].len = (uint32_t) items.len;
    b->cmd.p[2] = (uint8_t) (b->n_ring >> 8);
    b->cmd.p[3] = (uint8_t) b->n_ring;
    return true;
}

enum reeve_err lane_add(struct lane *l, struct slice items, const struct batch_item *item)
{
    struct batch *b = open_batch(l, items, item->n);
    if (b == NULL)
        return REEVE_E_BUSY;
    if (!batch_put(b, items, item))
        return REEVE_E_NOMEM;
    b->follows = b->follows || before_speaks_of(l, b, item->ordinal);
    lane_kick(l);
    return REEVE_OK;
}

static void take_out(struct batch *b)
{
    struct lane *l = b->lane;
    struct batch **at = &l->head, *before = NULL;
    for (; *at != b; at = &(*at)->next)
        before = *at;
    *at = b->next;
    if (l->last == b) {
        l->last = before;
        l->tail = at;
    }
    l->n--;
}

/* ENROLL answers item by item; the others with one word for the whole batch. */
static enum reeve_err next_word(struct rd *r)
{
    enum reeve_err e = (enum reeve_err) rd_u16(r);
    (void) rd_str16(r, UINT16_MAX);
    (void) rd_str16(r, UINT16_MAX);
    return r->bad || e >= REEVE_E__COUNT ? REEVE_E_BUG : e;
}

static void answer_all(struct lane *l, struct batch *b, enum reeve_err err, struct rd *results)
{
    enum reeve_err word = REEVE_OK;
    for (uint32_t i = 0; i < b->n_items; i++) {
        if (results != NULL && (i == 0 || l->kind == LANE_ENROLL))
            word = next_word(results);
        answer_of[l->kind](conn_of(l->g, b->items[i].ref), err, word, &b->items[i]);
    }
}

static void append_all(struct lane *l, struct batch *b)
{
    *l->tail = b;
    for (; b != NULL; b = b->next) {
        l->tail = &b->next;
        l->last = b;
    }
}

/*
 * The region refuses a batch whole when one item is malformed to it. What the
 * codec let through should never be; if it is, each item goes alone, so that
 * it costs nobody else.
 */
static bool split(struct lane *l, struct batch *b)
{
    struct batch *later = l->head;
    const uint8_t *at = b->cmd.p + 4;
    if (b->n_items < 2)
        return false;
    log_limited(LOG_SEV_WARNING, "the region refused a batch of %u; its items go one by one", (unsigned) b->n_items);
    l->head = NULL;                     /* before all others: none of those is of its nodes and before it (B1) */
    l->tail = &l->head;
    for (uint32_t i = 0; i < b->n_items; i++) {
        struct slice item = slice_of(at, b->items[i].len);
        struct batch *one = batch_new(l);
        if (one != NULL && fits(one, item, b->items[i].n) && batch_put(one, item, &b->items[i])) {
            one->sealed = one->follows = true;
            push(l, one);
        } else {
            answer_of[l->kind](conn_of(l->g, b->items[i].ref), REEVE_E_NOMEM, REEVE_OK, &b->items[i]);
            if (one != NULL)
                batch_free(one);
        }
        at += b->items[i].len;
    }
    append_all(l, later);
    return true;
}

static bool may_repeat(enum reeve_err e)
{
    return e == REEVE_E_CLOSED || e == REEVE_E_UNAVAILABLE || e == REEVE_E_TIMEOUT || e == REEVE_E_BUSY ||
           e == REEVE_E_AGAIN || e == REEVE_E_NOT_LEADER || e == REEVE_E_CANNOT_CONNECT;
}

static void retry(void *arg)
{
    lane_kick(arg);
}

static void later(struct lane *l)
{
    if (loop_timer_in(l->g->loop, &l->retry, RETRY_MS, retry, l) != REEVE_OK) {
        l->over = true;
        child_stop(l->g->child, 1);
    }
}

static void failed(struct batch *b, enum reeve_err err, const char *why)
{
    struct lane *l = b->lane;
    bool old = loop_now(l->g->loop).ms - b->born.ms > GIVE_UP_MS;
    if (may_repeat(err) && !old) {
        later(l);
        return;
    }
    log_limited(LOG_SEV_WARNING, "the ring did not take a batch: %s", why[0] ? why : reeve_err_text(err));
    take_out(b);
    answer_all(l, b, err, NULL);
    batch_free(b);
}

static void take_results(struct lane *l, struct batch *b, struct slice result)
{
    struct rd r = rd_of(result);
    (void) rd_u64(&r);                  /* index */
    uint16_t n = rd_u16(&r);
    struct rd peek = r;
    enum reeve_err first = n > 0 ? next_word(&peek) : REEVE_E_BUG;
    bool refused = n == 1 && first == REEVE_E_MALFORMED;
    if (!refused || !split(l, b)) {
        bool whole = refused || n == (l->kind == LANE_ENROLL ? b->n_ring : 1);
        answer_all(l, b, whole ? REEVE_OK : REEVE_E_BUG, whole ? &r : NULL);
        l->committed += b->n_ring;
    }
    batch_free(b);
}

static void on_answer(void *arg, struct ipc_answer *a)
{
    struct batch *b = arg;
    struct lane *l = b->lane;
    b->sent = false;
    l->under_way--;
    if (a->err != REEVE_OK) {
        failed(b, a->err, a->rep.message);
    } else {
        take_out(b);
        take_results(l, b, a->result);
    }
    lane_kick(l);
}

static bool may_go(const struct lane *l, const struct batch *b)
{
    if (b->sent || (b->follows && b != l->head))
        return false;
    return l->under_way == 0 || b != l->last || b->sealed || b->n_ring >= FULL;
}

static struct batch *next_to_go(struct lane *l)
{
    bool rests = l->over || loop_timer_is_set(&l->retry) || l->under_way >= lane_limit[l->kind].under_way;
    struct batch *b = rests ? NULL : l->head;
    while (b != NULL && !may_go(l, b))
        b = b->next;
    return b;
}

static void send(struct batch *b)
{
    struct lane *l = b->lane;
    b->sent = true;
    l->under_way++;
    enum reeve_err err = ipc_link_request(l->g->ring, MSG_PROPOSE, wr_slice(&b->cmd), RING_TIMEOUT_MS, on_answer, b);
    if (err != REEVE_OK) {
        b->sent = false;
        l->under_way--;
        failed(b, err, "");
    }
}

/* Ends: what is not sent sets the timer or leaves the lane. */
void lane_kick(struct lane *l)
{
    struct batch *b;
    while ((b = next_to_go(l)) != NULL)
        send(b);
}
