/*
 * client.c - requests of backends and gateways: done here, or passed on to the member that can (forward.h)
 *
 * Each channel may have CLIENT_INFLIGHT_MAX requests under way; more are BUSY
 * at once, so that one greedy client takes its own share only.
 */
#include "backend/ring/ring_int.h"

#include <stdlib.h>

#include "backend/utils/log.h"
#include "common/text.h"

#define CLIENT_INFLIGHT_MAX 256

struct client {
    struct ring *ring;
    struct ipc_channel *ch;
    struct client *next;
    unsigned inflight;
    unsigned refs;              /* one for the channel, one per request under way */
};

/* A request whose answer comes later. */
struct pending_reply {
    struct client *client;
    struct ipc_channel *ch;     /* a reference */
    uint64_t id;
};

static void client_unref(struct client *c)
{
    if (--c->refs == 0)
        free(c);
}

static struct pending_reply *reply_later(struct client *c, struct ipc_channel *ch, uint64_t id)
{
    struct pending_reply *p = c->inflight < CLIENT_INFLIGHT_MAX ? malloc(sizeof *p) : NULL;
    if (p == NULL)
        return NULL;
    *p = (struct pending_reply){ c, ipc_ref(ch), id };
    c->inflight++;
    c->refs++;
    return p;
}

static void reply_done(struct pending_reply *p)
{
    p->client->inflight--;
    client_unref(p->client);
    ipc_unref(p->ch);
    free(p);
}

static void refuse(struct ipc_channel *ch, uint64_t id, enum reeve_err err, const char *why)
{
    struct report rep = { .code = REEVE_OK };
    report_set(&rep, err, "%s", why ? why : reeve_err_text(err));
    ipc_reply_err(ch, id, err, &rep);
}

/* The answer comes later; of what could not be begun it comes now. p: NULL where there was no room for it. */
static void begun(struct ipc_channel *ch, uint64_t id, struct pending_reply *p, enum reeve_err err)
{
    if (err == REEVE_OK)
        return;
    refuse(ch, id, err, NULL);
    if (p)
        reply_done(p);
}

/* ---- without a leader ---- */

/* Said at once when it is known: whoever waits out an election every time cannot work. */
#define LEADERLESS_MS 2000

bool ring_leaderless(struct ring *r, const char *what, struct report *rep)
{
    struct core_status st;
    if (r->prop.core == NULL)
        return false;
    core_status(r->prop.core, &st);
    if (st.leaderless_ms < LEADERLESS_MS)
        return false;
    report_set(rep, REEVE_E_QUORUM_LOST, "the ring has had no leader for %lld s; %s", (long long) (st.leaderless_ms / 1000), what);
    report_hint(rep, "SHOW MEMBERS tells who is there: most of the voters must be.");
    return true;
}

static bool leaderless(struct client *c, struct ipc_channel *ch, struct ipc_msg *m, const char *what)
{
    struct report rep = { .code = REEVE_OK };
    if (!ring_leaderless(c->ring, what, &rep))
        return false;
    ipc_reply_err(ch, m->id, rep.code, &rep);
    return true;
}

/* ---- PROPOSE ---- */

/* Which commands come from outside, and from whom; the rest only this process makes. */
static bool may_propose(enum proc_kind from, uint8_t type)
{
    switch (type) {
    case RC_TXN: case RC_RESERVE:
        return from == PROC_BACKEND;
    case RC_ENROLL: case RC_REGISTER: case RC_REPORT:
        return from == PROC_GATEWAY;
    case RC_NOOP: case RC_ISSUE:
        return true;
    default:
        return false;
    }
}

/* A gateway leaves the two heads of a fork for the others, and no other note: those are the members'. */
static bool is_fork_note(struct slice command)
{
    struct rd r = rd_of(command);
    struct name name;
    (void) rd_bytes(&r, 2);
    rd_name(&r, &name);
    return !r.bad && (slice_eq(name_slice(&name), slice_str(FORK_NOTE_A)) || slice_eq(name_slice(&name), slice_str(FORK_NOTE_B)));
}

static void proposed(void *arg, enum reeve_err err, const struct report *rep, uint64_t index, struct slice result)
{
    struct pending_reply *p = arg;
    if (err != REEVE_OK)
        ipc_reply_err(p->ch, p->id, err, rep);
    else {
        struct wr w = wr_heap(IPC_BODY_MAX);
        wr_u64(&w, index);
        if (result.len > 0)
            wr_bytes(&w, result.p, result.len);
        else
            region_result_ok(&w);       /* committed, and not applied yet */
        if (w.bad)
            refuse(p->ch, p->id, REEVE_E_UNKNOWN_OUTCOME, "the change was made, but its result is too long to send");
        else
            ipc_reply(p->ch, p->id, wr_slice(&w));
        wr_free(&w);
    }
    reply_done(p);
}

static void on_propose(struct client *c, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct report rep = { .code = REEVE_OK };
    bool note = ring_command_type(m->body) == RC_NOTE && ipc_peer(ch) == PROC_GATEWAY && is_fork_note(m->body);
    if (!note && !may_propose(ipc_peer(ch), ring_command_type(m->body))) {
        log_limited(LOG_SEV_WARNING, "%s proposed a command it may not (type %u)", proc_title(ipc_peer(ch)),
                    ring_command_type(m->body));
        refuse(ch, m->id, REEVE_E_DENIED, NULL);
        return;
    }
    enum reeve_err err = m->body.len <= REGION_COMMAND_MAX ? region_command_check(m->body, &rep) : REEVE_E_TOO_BIG;
    if (err != REEVE_OK) {
        report_set(&rep, err, "%s", reeve_err_text(err));
        ipc_reply_err(ch, m->id, err, &rep);
        return;
    }
    /* Gateways have rules of their own for a ring that does not answer. */
    if (ipc_peer(ch) == PROC_BACKEND && leaderless(c, ch, m, "nothing was changed"))
        return;
    struct pending_reply *p = reply_later(c, ch, m->id);
    err = p ? ring_propose(&c->ring->prop, m->body, proposed, p) : REEVE_E_BUSY;
    begun(ch, m->id, p, err);
}

/* ---- what another process does, or another member ---- */

static void answered(void *arg, enum reeve_err err, const struct report *rep, struct slice result)
{
    struct pending_reply *p = arg;
    if (err == REEVE_OK)
        ipc_reply(p->ch, p->id, result);
    else
        ipc_reply_err(p->ch, p->id, err, rep);
    reply_done(p);
}

/* To the member that can. */
static void pass_on(struct client *c, struct ipc_channel *ch, struct ipc_msg *m, enum forward_kind kind)
{
    struct pending_reply *p = reply_later(c, ch, m->id);
    enum reeve_err err = p ? forward_ask(c->ring, kind, m->body, answered, p) : REEVE_E_BUSY;
    begun(ch, m->id, p, err);
}

/* ---- SUBMIT ---- */

static void submitted(void *arg, enum reeve_err err, const struct report *rep, uint64_t height, uint64_t first_leaf)
{
    struct pending_reply *p = arg;
    uint8_t mem[16];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, height);
    wr_u64(&w, first_leaf);
    if (err == REEVE_OK)
        ipc_reply(p->ch, p->id, wr_slice(&w));
    else
        ipc_reply_err(p->ch, p->id, err, rep);
    reply_done(p);
}

static void on_submit(struct client *c, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct slice updates[SUBMIT_UPDATES_MAX];
    struct report rep = { .code = REEVE_OK };
    size_t n;
    if (!submit_body_read(m->body, updates, &n)) {
        refuse(ch, m->id, REEVE_E_MALFORMED, "malformed submission");
        return;
    }
    if (leaderless(c, ch, m, "nothing was changed"))
        return;
    if (!c->ring->attests) {
        pass_on(c, ch, m, FORWARD_SUBMIT);
        return;
    }
    struct pending_reply *p = reply_later(c, ch, m->id);
    enum reeve_err err = p ? ring_submit(c->ring, updates, n, submitted, p, &rep) : REEVE_E_BUSY;
    if (err != REEVE_OK) {
        report_set(&rep, err, "%s", reeve_err_text(err));
        ipc_reply_err(ch, m->id, err, &rep);
        if (p)
            reply_done(p);
    }
}

/* ---- BARRIER: what was acknowledged before can be read after ---- */

static void barrier_done(void *arg, enum reeve_err err)
{
    struct pending_reply *p = arg;
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, p->client->ring->prop.applied);
    if (err == REEVE_OK)
        ipc_reply(p->ch, p->id, wr_slice(&w));
    else
        refuse(p->ch, p->id, err, NULL);
    reply_done(p);
}

static void on_barrier(struct client *c, struct ipc_channel *ch, struct ipc_msg *m)
{
    if (leaderless(c, ch, m, "most members do not answer"))
        return;
    struct pending_reply *p = reply_later(c, ch, m->id);
    enum reeve_err err = p ? proposer_read(&c->ring->prop, barrier_done, p) : REEVE_E_BUSY;
    begun(ch, m->id, p, err);
}

/* ---- RING_CHANGE, RING_STATUS ---- */

static void changed(void *arg, enum reeve_err err)
{
    struct pending_reply *p = arg;
    if (err == REEVE_OK)
        ipc_reply(p->ch, p->id, slice_of(NULL, 0));
    else
        refuse(p->ch, p->id, err, err == REEVE_E_UNKNOWN_OUTCOME ? "whether the ring's members were changed is not known" : NULL);
    reply_done(p);
}

static void on_ring_change(struct client *c, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct report rep = { .code = REEVE_OK };
    struct rd in = rd_of(m->body);
    uint8_t what = rd_u8(&in);
    uint32_t id = rd_u32(&in);
    if (rd_done(&in) && !ring_leads(c->ring) && !ring_change_is_local(c->ring, what, id)) {
        if (!leaderless(c, ch, m, "nothing was changed"))
            pass_on(c, ch, m, FORWARD_RING_CHANGE);
        return;
    }
    struct pending_reply *p = rd_done(&in) ? reply_later(c, ch, m->id) : NULL;
    bool waits = false;
    enum reeve_err err = p ? ring_change(c->ring, what, id, changed, p, &waits, &rep) : REEVE_E_BUSY;
    if (waits)
        return;
    if (err == REEVE_OK)
        ipc_reply(ch, m->id, slice_of(NULL, 0));
    else {
        report_set(&rep, err, "%s", reeve_err_text(err));
        ipc_reply_err(ch, m->id, err, &rep);
    }
    if (p)
        reply_done(p);
}

static void on_ring_status(struct client *c, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct wr w = wr_heap(IPC_BODY_MAX);
    ring_status(c->ring, &w);
    if (w.bad)
        refuse(ch, m->id, REEVE_E_NOMEM, NULL);
    else
        ipc_reply(ch, m->id, wr_slice(&w));
    wr_free(&w);
}

/* ---- CREATE_AUTHORITY_KEY, CREATE_SHARED_KEY, CREATE_CHECKPOINT: the signer's work ---- */

static enum reeve_err call_of(struct ring *r, enum msg_type call, struct slice body, void *arg)
{
    return call == MSG_SIGN_CHECKPOINT ? checkpoint_call(r, body, answered, arg) : key_call(r, call, body, answered, arg);
}

static void on_create_key(struct client *c, struct ipc_channel *ch, struct ipc_msg *m, enum msg_type call, enum forward_kind kind)
{
    if (!c->ring->attests) {
        pass_on(c, ch, m, kind);
        return;
    }
    struct pending_reply *p = reply_later(c, ch, m->id);
    enum reeve_err err = p ? call_of(c->ring, call, m->body, p) : REEVE_E_BUSY;
    begun(ch, m->id, p, err);
}

/* Only beside a validator: whoever can ask the others. */
static void on_seats(struct client *c, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct report rep = { .code = REEVE_OK };
    if (!c->ring->attests || c->ring->chain_of != PROC_VALIDATOR) {
        report_set(&rep, REEVE_E_UNSUPPORTED, "validators are changed at a server that has one");
        ipc_reply_err(ch, m->id, rep.code, &rep);
        return;
    }
    struct pending_reply *p = reply_later(c, ch, m->id);
    enum reeve_err err = p ? key_call(c->ring, MSG_ATTEST_SEATS, m->body, answered, p) : REEVE_E_BUSY;
    begun(ch, m->id, p, err);
}

/* ---- the channel ---- */

static void on_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct client *c = arg;
    switch (m->type) {
    case MSG_PROPOSE: on_propose(c, ch, m); break;
    case MSG_SUBMIT: on_submit(c, ch, m); break;
    case MSG_BARRIER: on_barrier(c, ch, m); break;
    case MSG_RING_CHANGE: on_ring_change(c, ch, m); break;
    case MSG_RING_STATUS: on_ring_status(c, ch, m); break;
    case MSG_CREATE_AUTHORITY_KEY: on_create_key(c, ch, m, MSG_AUTHORITY_KEY, FORWARD_AUTHORITY_KEY); break;
    case MSG_CREATE_SHARED_KEY: on_create_key(c, ch, m, MSG_SHARED_KEY, FORWARD_SHARED_KEY); break;
    case MSG_CREATE_CHECKPOINT: on_create_key(c, ch, m, MSG_SIGN_CHECKPOINT, FORWARD_CHECKPOINT); break;
    case MSG_COLLECT_SEATS: on_seats(c, ch, m); break;
    default: refuse(ch, m->id, REEVE_E_DENIED, NULL); break;
    }
}

static void client_remove(struct client *c)
{
    struct client **at = &c->ring->clients;
    while (*at && *at != c)
        at = &(*at)->next;
    if (*at)
        *at = c->next;
    c->ch = NULL;
    client_unref(c);
}

static void on_closed(void *arg, struct ipc_channel *ch, const char *why)
{
    log_debug("channel to %s (pid %u) closed: %s", proc_title(ipc_peer(ch)), ipc_peer_pid(ch), why);
    client_remove(arg);
}

void ring_on_peer(struct child *child, struct ipc_channel *ch)
{
    struct ring *r = child->user;
    struct client *c = calloc(1, sizeof *c);
    if (c == NULL) {
        ipc_close(ch);
        return;
    }
    *c = (struct client){ .ring = r, .ch = ch, .next = r->clients, .refs = 1 };
    struct ipc_handler h = { c, on_message, on_closed };
    if (ipc_attach(ch, r->loop, &h) != REEVE_OK) {
        ipc_close(ch);
        free(c);
        return;
    }
    r->clients = c;
}

void clients_wake(struct ring *r, uint64_t revision, uint64_t height)
{
    uint8_t mem[16];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, revision);
    wr_u64(&w, height);
    for (struct client *c = r->clients; c; c = c->next)
        if (ipc_peer(c->ch) == PROC_GATEWAY && ipc_send(c->ch, MSG_WAKE, wr_slice(&w), -1) == REEVE_E_BUSY)
            r->wake_dirty = true;
}

void clients_close(struct ring *r)
{
    while (r->clients) {
        struct client *c = r->clients;
        ipc_close(c->ch);
        client_remove(c);
    }
}
