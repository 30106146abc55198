/*
 * main.c - the signer's process: one request at a time, answered at once
 *
 * There is no queue of its own and no state between requests but what
 * signer_int.h names; a request that does not parse is answered, not logged
 * at length, because its bytes come from processes that may be taken over.
 */
#include "backend/signer/signer_int.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "backend/ipc/child.h"
#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

#define REPLY_MAX (256u << 10)

struct signer_process {
    struct child *child;
    struct signer signer;
    uint8_t reply[REPLY_MAX];
};

static signer_request *handler_of(enum msg_type type)
{
    switch (type) {
    case MSG_SIGN_VOTE: return signer_sign_vote;
    case MSG_SIGN_SEAT: return signer_sign_seat;
    case MSG_SIGNER_EPOCH: return signer_epoch;
    case MSG_SIGN_UPDATE: return signer_sign_update;
    case MSG_AUTHORITY_KEY: return signer_authority_key;
    case MSG_SHARED_KEY: return signer_shared_key;
    case MSG_GATEWAY_DELEGATE: return signer_gateway_delegate;
    case MSG_TICKET_KEYS: return signer_ticket_keys;
    case MSG_ISSUE_LEAF: return signer_issue_leaf;
    case MSG_RESEAL_KEY: return signer_reseal_key;
    case MSG_MEMBER_KEYS: return signer_member_keys;
    case MSG_MEMBER_PIN: return signer_member_pin;
    case MSG_INTERMEDIATE_KEY: return signer_intermediate_key;
    case MSG_INTERMEDIATE_ISSUE: return signer_intermediate_issue;
    case MSG_SHARED_EXPORT: return signer_shared_export;
    case MSG_SHARED_IMPORT: return signer_shared_import;
    case MSG_SIGN_STATEMENT: return signer_sign_statement;
    case MSG_SIGN_CHECKPOINT: return signer_sign_checkpoint;
    default: return NULL;
    }
}

/* Before it knows its chain a member's signer has nothing to say but who it is; votes it never casts. */
static enum reeve_err allowed(const struct signer *s, enum msg_type type, struct report *rep)
{
    bool always = type == MSG_MEMBER_KEYS || type == MSG_MEMBER_PIN || type == MSG_TICKET_KEYS;
    if (!s->pinned && !always)
        return report_set(rep, REEVE_E_UNAVAILABLE, "this signer does not know its chain yet");
    if (s->member && (type == MSG_SIGN_VOTE || type == MSG_SIGN_SEAT || type == MSG_SIGN_CHECKPOINT))
        return report_set(rep, REEVE_E_DENIED, "this signer has no validator's keys");
    return REEVE_OK;
}

static void on_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct signer_process *p = arg;
    signer_request *handler = handler_of(m->type);
    struct report rep = { .code = REEVE_OK };
    struct rd in = rd_of(m->body);
    struct wr out = wr_fixed(p->reply, sizeof p->reply);
    enum reeve_err err = handler ? allowed(&p->signer, m->type, &rep) : REEVE_E_DENIED;
    if (err == REEVE_OK)
        err = handler(&p->signer, &in, &out, &rep);
    if (err == REEVE_OK && out.bad)
        err = report_set(&rep, REEVE_E_TOO_BIG, "the answer is too long");
    if (err == REEVE_OK)
        ipc_reply(ch, m->id, wr_slice(&out));
    else {
        log_limited(err == REEVE_E_AGAIN ? LOG_SEV_DEBUG : LOG_SEV_WARNING, "%s from %s refused: %s", msg_name(m->type), proc_title(ipc_peer(ch)),
                    rep.code != REEVE_OK ? rep.message : reeve_err_text(err));
        ipc_reply_err(ch, m->id, err, &rep);
    }
    secret_wipe(p->reply, out.len);
    if (p->signer.broken) {
        log_fatal("the last-sign state could not be synced; nothing more is signed by this process");
        child_stop(p->child, 1);
    }
}

static void on_closed(void *arg, struct ipc_channel *ch, const char *why)
{
    (void) arg;
    log_debug("channel to %s (pid %u) closed: %s", proc_title(ipc_peer(ch)), ipc_peer_pid(ch), why);
}

static void on_peer(struct child *c, struct ipc_channel *ch)
{
    struct ipc_handler h = { c->user, on_message, on_closed };
    if (ipc_attach(ch, c->loop, &h) != REEVE_OK)
        ipc_close(ch);
}

static int64_t wall_now(void)
{
    return clock_wall().ms;
}

/* Before any key is read: no core file, no tracer, no /proc/self/mem. */
static bool harden(void)
{
    struct rlimit none = { 0, 0 };
    return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0;
}

int signer_main(struct child *c)
{
    static struct signer_process p;
    static const struct child_ops ops = { .peer = on_peer };
    struct report rep = { .code = REEVE_OK };
    p.child = c;
    p.signer.now_ms = wall_now;
    c->user = &p;
    if (child_start(c, &ops) != REEVE_OK)
        return 1;
    if (crypto_init() != REEVE_OK || !harden()) {
        log_fatal("could not protect the signer's memory");
        return 1;
    }
    if (signer_open(&p.signer, c->dir, &rep) != REEVE_OK) {
        log_report(LOG_SEV_FATAL, &rep);
        return 1;
    }
    child_ready(c);
    int code = child_run(c);
    signer_close(&p.signer);
    return code;
}
