/*
 * core_mend.c - a damaged log asks the other members for what it has lost, and gives them what they have lost
 *
 * docs/design/ring-driver.md, Repair; rules and bytes in engine/mend.h. What a start has read of the log is kept until
 * somebody leads and has committed more than that: then nobody needs it any more.
 */
#include <stdlib.h>

#include "backend/ring/core_int.h"
#include "backend/utils/log.h"
#include "engine/mend.h"

#define TICK_MS 200
/* Held beside the window at the most; what does not fit is not given to others. */
#define SHELF_BYTES_MAX (256u << 20)

/*
 * The log as it can be read: the window, what the files held below it (the state has that, so it is the ring's), and behind it
 * as long as no leader has changed anything (N3).
 */
static bool entry(void *arg, uint64_t index, struct raft_entry *out)
{
    struct core *c = arg;
    const struct raft_log *log = member_log(c->m);
    uint64_t first = log->ops->first(log->arg), last = log->ops->last(log->arg);
    if (index >= first && index <= last) {
        log->ops->entry(log->arg, index, out);
        return true;
    }
    return (index < first || (c->tail && index <= c->tail_last)) && core_shelf_entry(&c->shelf, index, out);
}

/* Its end is what the note of a damaged log says, as long as no leader has changed anything; of another it is at hand. */
static struct mend_log view(struct core *c)
{
    const struct raft_log *log = member_log(c->m);
    uint64_t last = log->ops->last(log->arg);
    struct raft_entry e;
    if (c->tail && c->tail_last >= last)
        return (struct mend_log){ c, entry, c->tail_last, c->tail_term };
    return (struct mend_log){ c, entry, entry(c, last, &e) ? last : 0, 0 };
}

static bool may_mend(const struct core *c, struct raft_status *st)
{
    raft_status(member_raft(c->m), st);
    return c->tail && st->mode == RAFT_START_REPAIR && !st->led && st->last < c->tail_last;
}

/* ---- its own entries, from behind the hole ---- */

static enum reeve_err fill(struct core *c, uint64_t first, struct slice entries)
{
    struct member_event e = { .type = MEMBER_E_FILL, .index = first, .data = entries };
    return core_step(c, &e);
}

/* The next hole is filled, what stands behind it follows. */
static void go_on(struct core *c)
{
    struct mend_log log = view(c);
    struct raft_status st;
    struct wr w = wr_heap(MEND_HAVE_MAX);
    enum reeve_err err = REEVE_OK;
    while (err == REEVE_OK && may_mend(c, &st) && mend_run_encode(&log, st.last + 1, c->tail_last, &w) > 0 && !w.bad) {
        err = fill(c, st.last + 1, wr_slice(&w));
        w.len = 0;
    }
    wr_free(&w);
}

/* ---- asking ---- */

static bool want_of(struct core *c, struct mend_want *w)
{
    struct mend_log log = view(c);
    struct raft_status st;
    if (!may_mend(c, &st))
        return false;
    mend_want(&log, st.last + 1, st.last_term, w);
    return true;
}

static void send(struct core *c, uint32_t to, struct slice bytes)
{
    const struct raft_member *m = raft_conf_find(raft_conf(member_raft(c->m)), to);
    struct raft_msg msg = { .type = RAFT_M_HOST, .from = c->me.id, .to = to, .from_incarnation = c->me.incarnation,
                            .ring = c->me.ring, .data = bytes };
    if (m == NULL || to == c->me.id)
        return;
    msg.to_incarnation = m->incarnation;
    peers_send(c->peers, &msg, NULL);
    peers_flush(c->peers);
}

/* 0: everybody. */
static void ask(struct core *c, uint32_t whom)
{
    uint8_t mem[MEND_ASK_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct mend_want want;
    const struct raft_conf *conf = raft_conf(member_raft(c->m));
    if (!want_of(c, &want))
        return;
    mend_ask_encode(&want, &w);
    for (unsigned i = 0; i < conf->n; i++)
        if (whom == 0 || conf->m[i].id == whom)
            send(c, conf->m[i].id, wr_slice(&w));
}

/* ---- messages ---- */

/* Where somebody leads he fills what is missing, and nobody needs this. */
static void asked(struct core *c, uint32_t from, struct slice bytes)
{
    struct mend_log log = view(c);
    struct raft_status st;
    struct wr w = wr_heap(MEND_HAVE_MAX);
    raft_status(member_raft(c->m), &st);
    if (!st.led && mend_answer(&log, bytes, &w) && !w.bad)
        send(c, from, wr_slice(&w));
    wr_free(&w);
}

static void answered(struct core *c, uint32_t from, struct slice bytes)
{
    struct mend_want want;
    struct mend_have have;
    if (!want_of(c, &want) || mend_take(&want, bytes, &have) != REEVE_OK)
        return;
    enum reeve_err err = fill(c, have.first, have.entries);
    if (err != REEVE_OK) {
        log_limited(LOG_SEV_WARNING, "entries of the log that member %u gave cannot be taken (%s)", from, reeve_err_text(err));
        return;
    }
    log_info("entries %llu to %llu, which the log had lost, came from member %u", (unsigned long long) have.first,
             (unsigned long long) (have.first + have.n - 1), from);
    go_on(c);
    ask(c, from);
}

bool core_mend_message(struct core *c, const struct raft_msg *m)
{
    uint8_t kind = m->type == RAFT_M_HOST && m->to == c->me.id && m->ring == c->me.ring ? mend_kind(m->data) : 0;
    if (kind == MEND_ASK)
        asked(c, m->from, m->data);
    else if (kind == MEND_HAVE)
        answered(c, m->from, m->data);
    return kind != 0;
}

/* ---- from the start until somebody leads ---- */

static void tick(void *arg)
{
    struct core *c = arg;
    struct raft_status st;
    go_on(c);
    ask(c, 0);
    raft_status(member_raft(c->m), &st);
    if (st.mode == RAFT_START_CLEAN && st.led && st.commit > core_shelf_last(&c->shelf)) {
        core_shelf_free(&c->shelf);
        return;
    }
    if (loop_timer_in(c->loop, &c->mend_timer, TICK_MS, tick, c) != REEVE_OK)
        core_die(c, REEVE_E_NOMEM, "set a timer");
}

void core_mend_start(struct core *c)
{
    if (c->alone || c->peers == NULL || (!c->tail && c->shelf.bytes.len > SHELF_BYTES_MAX))
        core_shelf_free(&c->shelf);
    else
        tick(c);
}

void core_mend_free(struct core *c)
{
    loop_timer_cancel(c->loop, &c->mend_timer);
    core_shelf_free(&c->shelf);
}
