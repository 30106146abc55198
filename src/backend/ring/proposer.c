/* proposer.c - who waits for which command; everything else is the core's. */
#include "backend/ring/proposer.h"

#include <stdlib.h>
#include <string.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define NONE PROPOSER_QUEUE_MAX

/* ---- slots: a ticket is slot + 1 and life ---- */

static uint64_t ticket_of(const struct proposer *p, uint16_t slot)
{
    return (uint64_t) p->slot[slot].life << 16 | (slot + 1u);
}

static struct proposal *find(struct proposer *p, uint64_t ticket)
{
    uint64_t slot = (ticket & 0xffff) - 1;
    if (slot >= PROPOSER_QUEUE_MAX)
        return NULL;
    struct proposal *q = &p->slot[slot];
    return q->used && q->life == (uint32_t) (ticket >> 16) ? q : NULL;
}

static struct proposal take(struct proposer *p, struct proposal *q)
{
    struct proposal was = *q;
    free(q->copy);
    was.copy = q->copy = NULL;
    q->used = false;
    q->next_free = p->free;
    p->free = (uint16_t) (q - p->slot);
    p->n--;
    p->bytes -= was.len;
    return was;
}

static uint16_t give(struct proposer *p, size_t len, propose_done *done, void *arg)
{
    reeve_assert(p->free != NONE);
    uint16_t slot = p->free;
    struct proposal *q = &p->slot[slot];
    p->free = q->next_free;
    *q = (struct proposal){ .done = done, .arg = arg, .len = len, .life = (q->life + 1) & 0x7fffffff, .used = true };
    p->n++;
    p->bytes += len;
    return slot;
}

/* ---- ends ---- */

static void tell(const struct proposal *q, enum reeve_err err, const struct report *rep, uint64_t index, struct slice result)
{
    struct report plain = { .code = REEVE_OK };
    if (q->done == NULL)
        return;
    if (err != REEVE_OK && rep == NULL) {
        report_set(&plain, err, err == REEVE_E_UNKNOWN_OUTCOME ? "the change may or may not have been made"
                                                               : "the change was not made (%s)", reeve_err_text(err));
        rep = &plain;
    }
    q->done(q->arg, err, err == REEVE_OK ? NULL : rep, index, result);
}

/* ---- again ---- */

static void again_due(void *arg);

static void again_soon(struct proposer *p)
{
    if (p->again != NONE && !loop_timer_is_set(&p->again_timer) &&
        loop_timer_in(p->loop, &p->again_timer, PROPOSER_PAUSE_MS, again_due, p) != REEVE_OK)
        log_error("out of memory: proposals wait for the next one");
}

/* True: the log says that it is not in it, nor will be; the next leader gets it. */
static bool put_off(struct proposer *p, struct proposal *q, enum reeve_err err)
{
    uint16_t slot = (uint16_t) (q - p->slot);
    if (err != REEVE_E_NOT_LEADER || q->copy == NULL || clock_left(q->until) <= 0)
        return false;
    q->next_free = NONE;
    *(p->again == NONE ? &p->again : &p->slot[p->again_last].next_free) = slot;
    p->again_last = slot;
    again_soon(p);
    return true;
}

static void repeat(struct proposer *p, struct proposal *q)
{
    uint64_t ticket = ticket_of(p, (uint16_t) (q - p->slot));
    p->repeated++;
    enum reeve_err err = p->core ? core_propose(p->core, ticket, slice_of(q->copy, q->len)) : REEVE_E_SHUTDOWN;
    if (err == REEVE_OK || find(p, ticket) != q)
        return;
    struct proposal was = take(p, q);
    tell(&was, err, NULL, 0, slice_of(NULL, 0));
}

static void again_due(void *arg)
{
    struct proposer *p = arg;
    uint16_t slot = p->again;
    p->again = NONE;                    /* who must wait once more comes in the next turn */
    while (slot != NONE) {
        struct proposal *q = &p->slot[slot];
        slot = q->next_free;
        repeat(p, q);
    }
}

static void on_done(void *arg, uint64_t ticket, enum reeve_err err, struct state_command *c)
{
    struct proposer *p = arg;
    struct proposal *q = find(p, ticket);
    if (q == NULL || (c == NULL && put_off(p, q, err)))
        return;
    struct proposal was = take(p, q);
    if (c == NULL)
        tell(&was, err, NULL, 0, slice_of(NULL, 0));
    else if (c->err != REEVE_OK)
        tell(&was, c->err, c->rep, 0, slice_of(NULL, 0));
    else
        tell(&was, REEVE_OK, NULL, c->index, wr_slice(&c->result));
}

static void on_applied(void *arg, uint64_t revision, struct slice command)
{
    struct proposer *p = arg;
    p->applied = revision;
    p->host.applied(p->host.arg, revision, command);
}

static void on_committed(void *arg, uint64_t revision)
{
    struct proposer *p = arg;
    p->host.committed(p->host.arg, revision);
}

static void on_fatal(void *arg, enum reeve_err err)
{
    struct proposer *p = arg;
    p->host.fatal(p->host.arg, err);
}

static void on_replaced(void *arg, uint64_t revision)
{
    struct proposer *p = arg;
    p->applied = revision;
    p->host.replaced(p->host.arg, revision);
}

static void on_role(void *arg, bool leads)
{
    struct proposer *p = arg;
    p->leads = leads;
    p->host.role(p->host.arg, leads);
}

static enum reeve_err on_admit(void *arg, const struct peer_join_request *j, uint32_t *last_id)
{
    struct proposer *p = arg;
    return p->host.admit(p->host.arg, j, last_id);
}

static void on_news(void *arg, uint32_t from, struct slice bytes)
{
    struct proposer *p = arg;
    if (p->host.news)
        p->host.news(p->host.arg, from, bytes);
}

static void on_letter(void *arg, uint32_t from, struct slice bytes)
{
    struct proposer *p = arg;
    if (p->host.letter)
        p->host.letter(p->host.arg, from, bytes);
}

/* ---- life ---- */

enum reeve_err proposer_init(struct proposer *p, struct loop *loop, struct storage *store, const char *dir,
                             uint32_t segment_bytes, uint64_t revision, const struct proposer_host *host,
                             const struct core_net *net, struct report *rep)
{
    struct core_host h = { .apply_arg = host->apply_arg, .apply = host->apply, .early = host->early, .arg = p, .done = on_done,
                           .applied = on_applied, .committed = on_committed, .fatal = on_fatal, .revision = host->revision,
                           .replaced = on_replaced, .role = on_role, .admit = host->admit ? on_admit : NULL, .news = on_news,
                           .letter = on_letter };
    struct core_status st;
    memset(p, 0, sizeof *p);
    p->host = *host;
    p->loop = loop;
    p->again = NONE;
    p->joined = wr_heap(PROPOSER_COMMAND_MAX);
    for (unsigned i = 0; i < PROPOSER_QUEUE_MAX; i++)
        p->slot[i].next_free = (uint16_t) (i + 1);
    enum reeve_err err = core_open(&p->core, loop, store, dir, segment_bytes, revision, &h, net, rep);
    if (err != REEVE_OK)
        return err;
    core_status(p->core, &st);
    p->applied = st.revision;
    p->leads = st.leads;
    return REEVE_OK;
}

void proposer_free(struct proposer *p)
{
    core_close(p->core);
    p->core = NULL;
    loop_timer_cancel(p->loop, &p->again_timer);
    for (unsigned i = 0; i < PROPOSER_QUEUE_MAX; i++)
        if (p->slot[i].used) {
            struct proposal was = take(p, &p->slot[i]);
            tell(&was, REEVE_E_SHUTDOWN, NULL, 0, slice_of(NULL, 0));
        }
    wr_free(&p->joined);
}

enum reeve_err ring_propose(struct proposer *p, struct slice command, propose_done *done, void *arg)
{
    if (command.len > PROPOSER_COMMAND_MAX)
        return REEVE_E_TOO_BIG;
    if (p->core == NULL)
        return REEVE_E_SHUTDOWN;
    if (p->free == NONE || p->bytes + command.len > PROPOSER_BYTES_MAX)
        return REEVE_E_BUSY;
    uint16_t slot = give(p, command.len, done, arg);
    if (core_conf(p->core)->n > 1 && (p->slot[slot].copy = malloc(command.len)) != NULL) {
        memcpy(p->slot[slot].copy, command.p, command.len);
        p->slot[slot].until = clock_deadline(PROPOSER_AGAIN_MS);
    }
    enum reeve_err err = core_propose(p->core, ticket_of(p, slot), command);
    if (err != REEVE_OK)
        take(p, &p->slot[slot]);
    return err;
}

enum reeve_err ring_propose_parts(struct proposer *p, struct slice head, struct slice tail, propose_done *done, void *arg)
{
    wr_reset(&p->joined);
    wr_bytes(&p->joined, head.p, head.len);
    wr_bytes(&p->joined, tail.p, tail.len);
    return p->joined.bad ? REEVE_E_TOO_BIG : ring_propose(p, wr_slice(&p->joined), done, arg);
}

enum reeve_err proposer_read(struct proposer *p, core_read_done *fn, void *arg)
{
    return p->core ? core_read(p->core, fn, arg) : REEVE_E_SHUTDOWN;
}

void proposer_stop(struct proposer *p, void (*fn)(void *arg), void *arg)
{
    if (p->core)
        core_stop(p->core, fn, arg);
    else
        fn(arg);                        /* still opening */
}

void proposer_flush(struct proposer *p)
{
    if (p->core)
        core_drain(p->core);
}
