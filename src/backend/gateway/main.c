/* main.c - the gateway's process: set-up, timers, reload, leaving */
#include "backend/gateway/gateway.h"
#include "backend/gateway/gateway_int.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

#define LEAVE_MS 700
#define CHURN_TRIM 64

static void on_ring_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    (void) ch;
    if (m->type == MSG_WAKE)
        facts_wake(arg);
}

static void on_ring_up(void *arg)
{
    struct gateway *g = arg;
    facts_wake(g);
    for (int i = 0; i < LANE__COUNT; i++)
        lane_kick(&g->lane[i]);
}

static void reap(void *arg)
{
    struct gateway *g = arg;
    struct conn **at = &g->dead;
    while (*at != NULL) {
        struct conn *c = *at;
        if (c->busy) {                  /* still on the busy list; that run drops it */
            at = &c->next;
            continue;
        }
        *at = c->next;
        free(c->in);
        free(c->subjects);
        free(c);
    }
}

/*
 * Handshakes and requests leave holes between what connections keep, as much
 * again as that itself; they go back to the system once a crowd has come.
 */
static void memory_return(struct gateway *g)
{
    bool quiet = g->churn == g->churn_seen && g->n_opening == 0;
    g->churn_seen = g->churn;
    if (!quiet || g->churn < CHURN_TRIM)
        return;
    g->churn = g->churn_seen = 0;
    malloc_trim(0);
}

static void sweep(void *arg)
{
    struct gateway *g = arg;
    conn_sweep(g);
    heads_sweep(g);
    listen_tell_shed(g);
    memory_return(g);
    reap(g);
    follow_push_start(g);               /* ticks that are due, readers that caught up */
    if (loop_timer_in(g->loop, &g->sweep_timer, GW_SWEEP_MS, sweep, g) != REEVE_OK)
        child_stop(g->child, 1);
}

/* ---- leaving ---- */

static void leave(void *arg)
{
    struct gateway *g = arg;
    while (g->conns != NULL)
        conn_close(g->conns, "the gateway stops");
    child_stop(g->child, 0);
}

static void on_shutdown(struct child *c, enum shutdown_mode mode)
{
    struct gateway *g = c->user;
    struct wire_frame f = wire_frame_of(WF_GOAWAY);
    (void) mode;
    if (g->stopping)
        return;
    g->stopping = true;
    listen_close(g);
    f.u.goaway.reason = 1;
    f.u.goaway.spread_ms = (uint64_t) gw_setting(g, SET_agent_reconnect_window);
    struct payload *p = payload_of_frame(&f);
    struct conn *next;
    for (struct conn *k = g->conns; p != NULL && k != NULL; k = next) {
        next = k->next;
        if (k->phase > CP_TLS && k->phase < CP_CLOSING)
            conn_send(k, payload_ref(p));
    }
    payload_unref(p);
    if (loop_timer_in(g->loop, &g->stop_timer, g->conns != NULL ? LEAVE_MS : 1, leave, g) != REEVE_OK)
        leave(g);
}

/* ---- set-up ---- */

static void on_reload(struct child *c)
{
    (void) c;                           /* every use reads the table */
}

static bool init_tasks(struct gateway *g)
{
    g->reap_task = (struct loop_task){ .fn = reap, .arg = g };
    g->busy_task = (struct loop_task){ .fn = conn_busy_run, .arg = g };
    g->push_task = (struct loop_task){ .fn = follow_push_run, .arg = g };
    g->refresh_task = (struct loop_task){ .fn = facts_refresh, .arg = g };
    for (int i = 0; i < LANE__COUNT; i++)
        lane_init(g, (enum lane_kind) i);
    sign_init(g);
    admission_init(&g->admission, loop_now(g->loop));
    g->region_scratch = malloc(region_scratch_size());
    return conns_init(g) && g->region_scratch != NULL;
}

static enum reeve_err open_links(struct gateway *g)
{
    struct ipc_link_handler ring = { g, on_ring_up, NULL, on_ring_message };
    struct ipc_link_handler signer = { g, identity_signer_up, NULL, NULL };
    enum reeve_err err = ipc_link_open(&g->ring, g->child->postmaster, g->loop, PROC_GATEWAY, PROC_RING, &ring);
    if (err == REEVE_OK)
        err = ipc_link_open(&g->signer, g->child->postmaster, g->loop, PROC_GATEWAY, PROC_SIGNER, &signer);
    return err;
}

static enum reeve_err set_up(struct gateway *g, struct report *rep)
{
    enum reeve_err err;
    if (!init_tasks(g))
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    TRY(identity_init(g, rep));
    TRY(liveness_open(&g->liveness, g->child->dir, true));
    TRY(listen_open(g, rep));
    TRY(open_links(g));
    facts_store_open(g);
    sweep(g);
out:
    if (err != REEVE_OK && rep->code == REEVE_OK)
        report_set(rep, err, "the gateway could not be set up: %s", reeve_err_text(err));
    return err;
}

int gateway_main(struct child *c)
{
    static const struct child_ops ops = { .reload = on_reload, .shutdown = on_shutdown };
    struct gateway *g = calloc(1, sizeof *g);
    struct report rep = { .code = REEVE_OK };
    if (g == NULL)
        return 1;
    g->child = c;
    c->user = g;
    if (child_start(c, &ops) != REEVE_OK)
        return 1;
    g->loop = c->loop;
    signal(SIGPIPE, SIG_IGN);
    if (crypto_init() != REEVE_OK || set_up(g, &rep) != REEVE_OK) {
        log_report(LOG_SEV_FATAL, &rep);
        return 1;
    }
    child_ready(c);
    return child_run(c);
}
