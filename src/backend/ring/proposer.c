/* proposer.c - batches of commands, each one synced transaction. */
#include "backend/ring/proposer.h"

#include <stdlib.h>

#define RESULTS_MAX (64u << 20)

struct proposal {
    struct proposal *next;
    propose_done *done;
    void *arg;
    uint64_t index;
    size_t result_at, result_len;
    size_t len;
    uint8_t command[];
};

static void on_due(void *arg);

enum reeve_err proposer_init(struct proposer *p, struct loop *loop, struct storage *store, uint64_t applied,
                             const struct proposer_host *host)
{
    *p = (struct proposer){ .loop = loop, .store = store, .host = *host, .applied = applied };
    p->tail = &p->head;
    p->results = wr_heap(RESULTS_MAX);
    return REEVE_OK;
}

static void tell(struct proposal *q, enum reeve_err err, const struct report *rep, struct slice result)
{
    if (q->done)
        q->done(q->arg, err, rep, err == REEVE_OK ? q->index : 0, result);
}

static void tell_all_failed(struct proposal *list, enum reeve_err err, const struct report *rep)
{
    while (list) {
        struct proposal *next = list->next;
        tell(list, err, rep, slice_of(NULL, 0));
        free(list);
        list = next;
    }
}

void proposer_free(struct proposer *p)
{
    struct report rep = { .code = REEVE_OK };
    struct proposal *list = p->head;
    report_set(&rep, REEVE_E_SHUTDOWN, "the server is shutting down");
    p->head = NULL;
    p->tail = &p->head;
    p->n = 0;
    p->bytes = 0;
    loop_timer_cancel(p->loop, &p->timer);
    tell_all_failed(list, REEVE_E_SHUTDOWN, &rep);
    wr_free(&p->results);
}

static enum reeve_err schedule(struct proposer *p)
{
    if (loop_timer_is_set(&p->timer))
        return REEVE_OK;
    return loop_timer_in(p->loop, &p->timer, p->last_batch >= PROPOSER_GATHER_FROM ? PROPOSER_GATHER_MS : 0, on_due, p);
}

enum reeve_err ring_propose(struct proposer *p, struct slice command, propose_done *done, void *arg)
{
    if (command.len > REGION_COMMAND_MAX)
        return REEVE_E_TOO_BIG;
    if (p->n >= PROPOSER_QUEUE_MAX || p->bytes + command.len > PROPOSER_BYTES_MAX)
        return REEVE_E_BUSY;
    struct proposal *q = malloc(sizeof *q + command.len);
    if (q == NULL)
        return REEVE_E_NOMEM;
    *q = (struct proposal){ .done = done, .arg = arg, .len = command.len };
    memcpy(q->command, command.p, command.len);
    enum reeve_err err = schedule(p);
    if (err != REEVE_OK) {
        free(q);
        return err;
    }
    *p->tail = q;
    p->tail = &q->next;
    p->n++;
    p->bytes += command.len;
    return REEVE_OK;
}

static bool is_alone(struct proposer *p, const struct proposal *q)
{
    return p->host.alone && p->host.alone(p->host.arg, slice_of(q->command, q->len));
}

/* Cuts the next batch off the queue. */
static struct proposal *take_batch(struct proposer *p, unsigned *n)
{
    struct proposal *first = p->head, *last = NULL;
    size_t bytes = 0;
    *n = 0;
    for (struct proposal *q = first; q && *n < PROPOSER_BATCH_MAX; q = q->next) {
        if (last && (bytes + q->len > PROPOSER_BATCH_BYTES || is_alone(p, q) || is_alone(p, last)))
            break;
        bytes += q->len;
        last = q;
        ++*n;
    }
    p->head = last->next;
    if (p->head == NULL)
        p->tail = &p->head;
    last->next = NULL;
    p->n -= *n;
    p->bytes -= bytes;
    return first;
}

static enum reeve_err apply_list(struct proposer *p, struct kv *kv, struct proposal *list, struct report *rep)
{
    uint64_t index = p->applied;
    for (struct proposal *q = list; q; q = q->next) {
        q->index = ++index;
        q->result_at = p->results.len;
        enum reeve_err err = p->host.apply(p->host.arg, kv, q->index, slice_of(q->command, q->len), &p->results, rep);
        if (err == REEVE_OK && p->results.bad)
            err = report_set(rep, REEVE_E_NOMEM, "the results of a batch do not fit");
        if (err != REEVE_OK)
            return err;
        q->result_len = p->results.len - q->result_at;
    }
    return REEVE_OK;
}

/* One transaction. An error has changed nothing, but for IO at commit, which is fatal. */
static enum reeve_err run_list(struct proposer *p, struct proposal *list, unsigned n, struct report *rep)
{
    struct storage_txn *t;
    wr_reset(&p->results);
    enum reeve_err err = storage_begin(p->store, STORAGE_WRITE, &t);
    if (err == REEVE_E_DISK_FULL)
        return report_set(rep, err, "the disk is full; nothing was changed");
    if (err != REEVE_OK)
        return report_set(rep, err, "could not begin a transaction (%s)", reeve_err_text(err));
    err = apply_list(p, storage_kv(t), list, rep);
    if (err != REEVE_OK) {
        storage_abort(t);
        return report_set(rep, err, "could not apply (%s)", reeve_err_text(err));
    }
    err = storage_commit(t);
    if (err != REEVE_OK && err != REEVE_E_DISK_FULL)
        p->host.fatal(p->host.arg, err);
    if (err != REEVE_OK)
        return report_set(rep, err, "could not commit (%s)", reeve_err_text(err));
    p->applied += n;
    p->batches++;
    p->commands += n;
    p->host.committed(p->host.arg, p->applied);
    return REEVE_OK;
}

static void tell_results(struct proposer *p, struct proposal *list)
{
    while (list) {
        struct proposal *next = list->next;
        tell(list, REEVE_OK, NULL, slice_of(p->results.p + list->result_at, list->result_len));
        free(list);
        list = next;
    }
}

/* A batch that fails is tried again one by one: one bad command must not take its neighbours along. */
static void run_singly(struct proposer *p, struct proposal *list)
{
    while (list) {
        struct proposal *next = list->next;
        struct report rep = { .code = REEVE_OK };
        list->next = NULL;
        enum reeve_err err = run_list(p, list, 1, &rep);
        if (err == REEVE_OK)
            tell_results(p, list);
        else
            tell_all_failed(list, err, &rep);
        list = next;
    }
}

static void run_batch(struct proposer *p)
{
    struct report rep = { .code = REEVE_OK };
    unsigned n;
    struct proposal *list = take_batch(p, &n);
    enum reeve_err err = run_list(p, list, n, &rep);
    p->last_batch = n;
    if (err == REEVE_OK)
        tell_results(p, list);
    else if (n == 1)
        tell_all_failed(list, err, &rep);
    else
        run_singly(p, list);
}

static void on_due(void *arg)
{
    struct proposer *p = arg;
    if (p->head)
        run_batch(p);
    if (p->head && schedule(p) != REEVE_OK)
        proposer_flush(p);
}

void proposer_flush(struct proposer *p)
{
    while (p->head)
        run_batch(p);
}
