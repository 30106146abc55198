/* main.c - the process of the links between regions: who beside us it serves, and its clock. */
#include "backend/federation/fed_int.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "backend/utils/datadir.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

#define TICK_MS 200
#define TICKS_PER_NEWS 5

/* ---- the validator beside us ---- */

static void validator_up(void *arg)
{
    fed_links_tell(arg);
}

static void validator_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct fed *f = arg;
    struct rd in = rd_of(m->body);
    struct slice block;
    switch (m->type) {
    case MSG_LETTER_OUT: fed_letter_out(f, m->body); break;
    case MSG_ATTEST_FETCH: fetch_ask(f, ch, m); break;
    case MSG_ATTEST_BLOCK:
        block = rd_str32(&in, ATTEST_BLOCK_MAX);
        if (rd_done(&in))
            fed_relay_block(f, block);
        break;
    default: break;
    }
}

/* Whoever asked over that channel asks again over the next one. */
static void validator_down(void *arg, const char *why)
{
    struct fed *f = arg;
    (void) why;
    fetch_drop(f, NULL);
}

/* ---- the ring beside us: with no validator it follows the chain by us ---- */

static void on_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct fed_ring *r = arg;
    struct report rep = { .code = REEVE_OK };
    switch (m->type) {
    case MSG_ATTEST_SUBMIT: held_add(r->f, ch, m); break;
    case MSG_ATTEST_FETCH: fetch_ask(r->f, ch, m); break;
    case MSG_COSIGN: cosign_ask(r->f, ch, m); break;
    case MSG_RING_LETTER_OUT: fed_ring_letter(r->f, m->body); break;
    default: ipc_reply_err(ch, m->id, report_set(&rep, REEVE_E_DENIED, "no such request here"), &rep); break;
    }
}

static void ring_remove(struct fed_ring *r)
{
    struct fed_ring **at = &r->f->rings;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    free(r);
}

static void on_closed(void *arg, struct ipc_channel *ch, const char *why)
{
    struct fed_ring *r = arg;
    (void) why;
    fetch_drop(r->f, ch);
    held_drop(r->f, ch);
    cosign_drop(r->f, ch);
    ring_remove(r);
}

static void on_peer(struct child *c, struct ipc_channel *ch)
{
    struct fed *f = c->user;
    struct fed_ring *r = ipc_peer(ch) == PROC_RING ? calloc(1, sizeof *r) : NULL;
    struct ipc_handler h = { r, on_message, on_closed };
    if (r == NULL || ipc_attach(ch, c->loop, &h) != REEVE_OK) {
        free(r);
        ipc_close(ch);
        return;
    }
    *r = (struct fed_ring){ f, ch, f->rings };
    f->rings = r;
}

/* ---- the clock ---- */

static void on_tick(void *arg)
{
    struct fed *f = arg;
    fed_links_look(f);
    cosign_look(f);
    if (++f->ticks % TICKS_PER_NEWS == 0) {
        fed_news(f);
        held_send_again(f, NULL);
    }
    if (loop_timer_in(f->loop, &f->tick, TICK_MS, on_tick, f) != REEVE_OK)
        log_error("no timer for the links");
}

/* ---- opening ---- */

static bool has_validator(const struct child *c)
{
    char path[DATADIR_PATH_MAX];
    struct stat st;
    return datadir_path(path, sizeof path, c->dir, "validator") && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum reeve_err open_all(struct fed *f, struct report *rep)
{
    struct ipc_link_handler validator = { f, validator_up, validator_down, validator_message };
    enum reeve_err err;
    TRY(crypto_init());
    TRY(federation_identity_load(&f->identity, f->child->dir, rep));
    TRY(storage_open(&f->storage, f->child->dir, STORAGE_READ, 0, 0, rep));
    TRY(fed_read_chain(f, rep));
    TRY(fed_links_open(f, rep));
    if (has_validator(f->child))
        TRY(ipc_link_open(&f->validator, f->child->postmaster, f->loop, PROC_FEDERATION, PROC_VALIDATOR, &validator));
    TRY(cosign_open(f));
    on_tick(f);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "the links to other regions could not be opened (%s)", reeve_err_text(err));
}

static void close_all(struct fed *f)
{
    loop_timer_cancel(f->loop, &f->tick);
    loop_timer_cancel(f->loop, &f->listen_retry);
    cosign_close(f);
    ipc_link_close(f->validator);
    fetch_drop(f, NULL);
    held_drop(f, NULL);
    while (f->rings) {
        ipc_close(f->rings->ch);
        ring_remove(f->rings);
    }
    peers_free(f->peers);
    storage_close(f->storage);
    peer_identity_end(&f->identity);
}

int federation_main(struct child *c)
{
    static struct fed f;
    static const struct child_ops ops = { .peer = on_peer };
    struct report rep = { .code = REEVE_OK };
    f.child = c;
    c->user = &f;
    if (child_start(c, &ops) != REEVE_OK)
        return 1;
    f.loop = c->loop;
    if (open_all(&f, &rep) != REEVE_OK) {
        log_report(LOG_SEV_FATAL, &rep);
        return 1;
    }
    log_info("region \"%s\" of a federation with %u other%s, %u validators", f.region.s, f.n_links, f.n_links == 1 ? "" : "s", f.set.n);
    child_ready(c);
    int code = child_run(c);
    close_all(&f);
    return code;
}
