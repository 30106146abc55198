/* proposer.c - commands to the state writer, answers back to whoever proposed. */
#include "backend/ring/proposer.h"

#include <stdlib.h>

/* One command and the run that it is by itself. */
struct proposal {
    struct state_run run;
    struct state_command c;
    propose_done *done;
    void *arg;
    uint8_t bytes[];
};

static struct proposal *of(struct state_run *run)
{
    return (struct proposal *) run;
}

static void finish(struct proposer *p, struct proposal *q)
{
    struct state_command *c = &q->c;
    struct report plain = { .code = REEVE_OK };
    if (c->err != REEVE_OK && c->rep == NULL)
        report_set(&plain, c->err, "could not commit (%s)", reeve_err_text(c->err));
    p->n--;
    p->bytes -= c->command.len;
    if (q->done)
        q->done(q->arg, c->err, c->err == REEVE_OK ? NULL : c->rep ? c->rep : &plain, c->index,
                c->err == REEVE_OK ? wr_slice(&c->result) : slice_of(NULL, 0));
    state_command_clear(c);
    free(q);
}

static void synced(void *arg, struct state_run *runs)
{
    struct proposer *p = arg;
    uint64_t before = p->applied;
    for (struct state_run *run = runs; run; run = run->later) {
        struct state_command *c = &of(run)->c;
        if (c->err != REEVE_OK)
            continue;
        p->applied = c->index;
        p->commands++;
        p->host.applied(p->host.arg, c->index, c->command);
    }
    if (p->applied != before) {
        p->batches++;
        p->host.committed(p->host.arg, p->applied);
    }
    for (struct state_run *run = runs, *next; run; run = next) {
        next = run->later;
        finish(p, of(run));
    }
}

static void fatal(void *arg, enum reeve_err err)
{
    struct proposer *p = arg;
    p->host.fatal(p->host.arg, err);
}

enum reeve_err proposer_init(struct proposer *p, struct loop *loop, struct storage *store, uint64_t applied,
                             const struct proposer_host *host)
{
    struct state_host h = { .arg = p, .apply_arg = host->apply_arg, .apply = host->apply, .synced = synced, .fatal = fatal };
    *p = (struct proposer){ .loop = loop, .host = *host, .applied = applied };
    return state_start(&p->state, loop, store, applied, false, &h);
}

void proposer_free(struct proposer *p)
{
    struct state_run *left;
    if (p->state == NULL)
        return;
    state_stop(p->state, &left);
    p->state = NULL;
    for (struct state_run *next; left; left = next) {
        next = left->later;
        state_command_clear(&of(left)->c);
        of(left)->c.err = REEVE_E_SHUTDOWN;
        finish(p, of(left));
    }
}

enum reeve_err ring_propose_parts(struct proposer *p, struct slice head, struct slice tail, propose_done *done, void *arg)
{
    size_t len = head.len + tail.len;
    if (len > PROPOSER_COMMAND_MAX)
        return REEVE_E_TOO_BIG;
    if (p->state == NULL)
        return REEVE_E_SHUTDOWN;
    if (p->n >= PROPOSER_QUEUE_MAX || p->bytes + len > PROPOSER_BYTES_MAX)
        return REEVE_E_BUSY;
    struct proposal *q = malloc(sizeof *q + len);
    if (q == NULL)
        return REEVE_E_NOMEM;
    *q = (struct proposal){ .done = done, .arg = arg };
    memcpy(q->bytes, head.p, head.len);
    if (tail.len > 0)
        memcpy(q->bytes + head.len, tail.p, tail.len);
    q->c.command = slice_of(q->bytes, len);
    q->run = (struct state_run){ .first = &q->c, .n = 1, .bytes = len };
    p->n++;
    p->bytes += len;
    state_put(p->state, &q->run);
    return REEVE_OK;
}

enum reeve_err ring_propose(struct proposer *p, struct slice command, propose_done *done, void *arg)
{
    return ring_propose_parts(p, command, slice_of(NULL, 0), done, arg);
}

void proposer_flush(struct proposer *p)
{
    if (p->state)
        state_drain(p->state);
}
