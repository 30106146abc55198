/* main.c - the validator's process: who may ask what, and telling those who follow. */
#include "backend/validator/validator_int.h"

#include <stdlib.h>

#include "backend/utils/log.h"
#include "crypto/hash.h"

#define FETCH_BYTES_MAX (1u << 20)

/* A channel of somebody who follows the chain. */
struct peer {
    struct voter *v;
    struct ipc_channel *ch;
    struct peer *next;
};

/* A follower that cannot take a block now asks for it by height later. */
void peers_push(struct voter *v, struct slice block)
{
    struct wr w = wr_heap(ATTEST_BLOCK_MAX + 8192);
    wr_str32(&w, block);
    for (struct peer *p = v->peers; p && !w.bad; p = p->next) {
        enum reeve_err err = ipc_send(p->ch, MSG_ATTEST_BLOCK, wr_slice(&w), -1);
        if (err != REEVE_OK)
            log_debug("a block was not pushed to %s: %s", proc_title(ipc_peer(p->ch)), reeve_err_text(err));
    }
    wr_free(&w);
}

void followers_tell(struct voter *v, enum proc_kind kind, enum msg_type type, struct slice body)
{
    for (struct peer *p = v->peers; p; p = p->next)
        if (ipc_peer(p->ch) == kind && ipc_send(p->ch, type, body, -1) != REEVE_OK)
            log_warning("%s could not be told of evidence", proc_title(kind));
}

static void on_fetch(struct voter *v, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct report rep = { .code = REEVE_OK };
    struct wr out = wr_heap(IPC_BODY_MAX);
    struct rd in = rd_of(m->body);
    uint64_t from = rd_u64(&in);
    enum reeve_err err = rd_done(&in) && from > 0 ? chain_fetch(&v->chain, from, FETCH_BYTES_MAX, &out) : REEVE_E_MALFORMED;
    if (err == REEVE_OK)
        ipc_reply(ch, m->id, wr_slice(&out));
    else
        ipc_reply_err(ch, m->id, report_set(&rep, err, "could not read the chain (%s)", reeve_err_text(err)), &rep);
    wr_free(&out);
}

static void on_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct peer *p = arg;
    struct report rep = { .code = REEVE_OK };
    switch (m->type) {
    case MSG_ATTEST_SUBMIT: queue_add(p->v, ch, m); break;
    case MSG_ATTEST_FETCH: on_fetch(p->v, ch, m); break;
    case MSG_ATTEST_SEATS: seats_ask(p->v, ch, m); break;
    case MSG_LETTER_IN: case MSG_LINK: case MSG_CHAIN_AHEAD: net_message(p->v, m); break;
    default: ipc_reply_err(ch, m->id, report_set(&rep, REEVE_E_DENIED, "no such request here"), &rep); break;
    }
}

static void peer_remove(struct peer *p)
{
    struct peer **at = &p->v->peers;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    free(p);
}

static void on_closed(void *arg, struct ipc_channel *ch, const char *why)
{
    log_debug("channel to %s (pid %u) closed: %s", proc_title(ipc_peer(ch)), ipc_peer_pid(ch), why);
    struct peer *p = arg;
    if (p->v->net == ch) {
        p->v->net = NULL;
        memset(p->v->link, 0, sizeof p->v->link);
    }
    peer_remove(p);
}

static void on_peer(struct child *c, struct ipc_channel *ch)
{
    struct voter *v = c->user;
    struct peer *p = calloc(1, sizeof *p);
    struct ipc_handler h = { p, on_message, on_closed };
    if (p == NULL || ipc_attach(ch, c->loop, &h) != REEVE_OK) {
        free(p);
        ipc_close(ch);
        return;
    }
    *p = (struct peer){ v, ch, v->peers };
    v->peers = p;
    if (ipc_peer(ch) == PROC_RING)
        evidence_tell(v, ch);
    if (ipc_peer(ch) == PROC_FEDERATION) {
        v->net = ch;
        memset(v->link, 0, sizeof v->link);
        catchup_ask(v);
    }
}

static void signer_up(void *arg)
{
    epoch_tell_signer(arg);
    sign_next(arg);
}

static enum reeve_err open_all(struct voter *v, struct report *rep)
{
    struct ipc_link_handler signer = { .arg = v, .up = signer_up };
    enum reeve_err err;
    TRY(crypto_init());
    v->queue_tail = &v->queue;
    v->draft.mem = malloc(ATTEST_BLOCK_MAX);
    TRY(v->draft.mem ? REEVE_OK : REEVE_E_NOMEM);
    TRY(chain_open(&v->chain, v->child->dir, rep));
    err = ipc_link_open(&v->signer, v->child->postmaster, v->loop, PROC_VALIDATOR, PROC_SIGNER, &signer);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "the validator could not start (%s)", reeve_err_text(err));
}

static void close_all(struct voter *v)
{
    drive_stop(v);
    v->net = NULL;
    ipc_link_close(v->signer);
    while (v->peers) {
        ipc_close(v->peers->ch);
        peer_remove(v->peers);
    }
    chain_close(&v->chain);
    free(v->draft.mem);
    free(v->engine_mem);
}

int validator_main(struct child *c)
{
    static struct voter v;
    static const struct child_ops ops = { .peer = on_peer };
    struct report rep = { .code = REEVE_OK };
    v.child = c;
    c->user = &v;
    if (child_start(c, &ops) != REEVE_OK)
        return 1;
    v.loop = c->loop;
    if (open_all(&v, &rep) != REEVE_OK) {
        log_report(LOG_SEV_FATAL, &rep);
        return 1;
    }
    log_info("chain at height %llu", (unsigned long long) v.chain.head.height);
    if (drive_start(&v, &rep) != REEVE_OK) {
        log_report(LOG_SEV_FATAL, &rep);
        return 1;
    }
    child_ready(c);
    int code = child_run(c);
    close_all(&v);
    return code;
}
