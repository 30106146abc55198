/*
 * batch.c - what agents say, gathered into region commands
 *
 * A lane has one batch under way; whatever arrives meanwhile waits in the
 * next one, so that batches grow with the load by themselves. All three
 * commands may be repeated without harm, so a batch whose fate is unknown
 * (the ring went away) is sent again as it is.
 */
#include "backend/gateway/gateway_int.h"

#include <stdlib.h>

#define LANE_BATCHES_MAX 8
#define RING_TIMEOUT_MS  30000
#define RETRY_MS         200
#define GIVE_UP_MS       15000

struct batch {
    struct batch *next;
    struct wr cmd;                      /* u8 1 | u8 type | u16 n | items */
    struct mono_ms born;
    uint32_t n_ring, n_items;
    bool sealed;                        /* takes nothing more */
    struct batch_item items[REGION_BATCH_MAX];
};

static const uint8_t command_of[LANE__COUNT] = {
    [LANE_ENROLL] = RC_ENROLL, [LANE_REPORT] = RC_REPORT, [LANE_REGISTER] = RC_REGISTER,
};

typedef void answer_fn(struct conn *c, enum reeve_err err, enum reeve_err word, const struct batch_item *i);
static answer_fn *const answer_of[LANE__COUNT] = {
    [LANE_ENROLL] = enroll_answer, [LANE_REPORT] = report_answer, [LANE_REGISTER] = register_answer,
};

void lane_init(struct gateway *g, enum lane_kind kind)
{
    struct lane *l = &g->lane[kind];
    l->g = g;
    l->kind = kind;
    l->tail = &l->head;
}

static struct batch *batch_new(struct lane *l)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
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

/* The last batch, unless it is under way or has no room. */
static struct batch *open_batch(struct lane *l, struct slice items, uint16_t n)
{
    struct batch *last = l->head;
    while (last != NULL && last->next != NULL)
        last = last->next;
    if (last != NULL && !(last == l->head && l->in_flight) && fits(last, items, n))
        return last;
    if (l->n >= LANE_BATCHES_MAX)
        return NULL;
    struct batch *b = batch_new(l);
    if (b == NULL || !fits(b, items, n)) {
        if (b != NULL)
            batch_free(b);
        return NULL;
    }
    *l->tail = b;
    l->tail = &b->next;
    l->n++;
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
    lane_kick(l);
    return REEVE_OK;
}

static struct batch *pop(struct lane *l)
{
    struct batch *b = l->head;
    l->head = b->next;
    if (l->head == NULL)
        l->tail = &l->head;
    l->n--;
    return b;
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

/*
 * The region refuses a batch whole when one item is malformed to it. What the
 * codec let through should never be; if it is, each item goes alone, so that
 * it costs nobody else.
 */
static bool split(struct lane *l, struct batch *b)
{
    const uint8_t *at = b->cmd.p + 4;
    if (b->n_items < 2)
        return false;
    log_limited(LOG_SEV_WARNING, "the region refused a batch of %u; its items go one by one", (unsigned) b->n_items);
    for (uint32_t i = 0; i < b->n_items; i++) {
        struct batch *one = batch_new(l);
        if (one == NULL || !fits(one, slice_of(at, b->items[i].len), b->items[i].n)) {
            answer_of[l->kind](conn_of(l->g, b->items[i].ref), REEVE_E_NOMEM, REEVE_OK, &b->items[i]);
            if (one != NULL)
                batch_free(one);
        } else {
            batch_put(one, slice_of(at, b->items[i].len), &b->items[i]);
            one->sealed = true;
            *l->tail = one;
            l->tail = &one->next;
            l->n++;
        }
        at += b->items[i].len;
    }
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
    if (loop_timer_in(l->g->loop, &l->retry, RETRY_MS, retry, l) != REEVE_OK)
        child_stop(l->g->child, 1);
}

static void failed(struct lane *l, enum reeve_err err, const char *why)
{
    bool old = loop_now(l->g->loop).ms - l->head->born.ms > GIVE_UP_MS;
    if (may_repeat(err) && !old) {
        later(l);
        return;
    }
    log_limited(LOG_SEV_WARNING, "the ring did not take a batch: %s", why[0] ? why : reeve_err_text(err));
    struct batch *b = pop(l);
    answer_all(l, b, err, NULL);
    batch_free(b);
    lane_kick(l);
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
    struct lane *l = arg;
    l->in_flight = false;
    if (a->err != REEVE_OK) {
        failed(l, a->err, a->rep.message);
        return;
    }
    take_results(l, pop(l), a->result);
    lane_kick(l);
}

void lane_kick(struct lane *l)
{
    if (l->in_flight || l->head == NULL || loop_timer_is_set(&l->retry))
        return;
    l->in_flight = true;
    enum reeve_err err = ipc_link_request(l->g->ring, MSG_PROPOSE, wr_slice(&l->head->cmd), RING_TIMEOUT_MS, on_answer, l);
    if (err != REEVE_OK) {
        l->in_flight = false;
        failed(l, err, "");
    }
}
