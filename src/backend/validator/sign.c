/*
 * sign.c - votes on their way to the signer and back
 *
 * In the engine's order, one with the signer at a time; while he is away the
 * same vote is asked for again. A signature is synced before the engine hears
 * of it (D2), and looked at before that: with the chain of another validator
 * beside this signer we would count votes that nobody else does.
 */
#include "backend/validator/validator_int.h"

#include "backend/signer/signer.h"
#include "backend/utils/log.h"

#define RETRY_MS 100

static void on_retry(void *arg)
{
    sign_next(arg);
}

static void retry_later(struct voter *v)
{
    if (!loop_timer_is_set(&v->retry) && loop_timer_in(v->loop, &v->retry, RETRY_MS, on_retry, v) != REEVE_OK)
        log_error("no timer for the next try");
}

/* The vote at the head is answered: on to the next, then tell the engine. */
static void settle(struct voter *v, uint8_t event, const struct sig64 *sig)
{
    struct simplex_event e = { .type = event, .vote = v->sign[0] };
    if (sig)
        e.sig = *sig;
    memmove(v->sign, v->sign + 1, --v->n_signs * sizeof v->sign[0]);
    drive_event(v, &e);
    sign_next(v);
}

static void on_signed(struct voter *v, const uint8_t bytes[64])
{
    struct sig64 sig;
    enum reeve_err err = REEVE_OK;
    memcpy(sig.b, bytes, 64);
    if (!v->config.verify(v->config.arg, &v->sign[0], v->config.me, &sig)) {
        drive_die(v, REEVE_E_V_SIGNATURE, "the signer's key is not this validator's; is DIR/validator or DIR/keys another's?");
        return;
    }
    if (v->sign[0].type != SX_HEARTBEAT) {
        err = chain_vote_save(&v->chain, &v->sign[0], &sig, v->cert, v->n_certs);
        v->n_certs = err == REEVE_OK ? 0 : v->n_certs;
    }
    if (err == REEVE_OK)
        settle(v, SXE_SIGNED, &sig);
    else if (err == REEVE_E_DISK_FULL)
        retry_later(v);
    else
        drive_die(v, err, "a vote could not be saved");
}

static bool is_refusal(enum reeve_err err)
{
    return err == REEVE_E_CONFLICT || err == REEVE_E_V_SET || err == REEVE_E_MALFORMED;
}

static void on_vote(void *arg, struct ipc_answer *a)
{
    struct voter *v = arg;
    v->signing = false;
    if (v->sign_void) {                 /* of the epoch before */
        v->sign_void = false;
        sign_next(v);
        return;
    }
    if (v->n_signs == 0)
        return;
    if (a->err == REEVE_OK && a->result.len == 64)
        on_signed(v, a->result.p);
    else if (is_refusal(a->err)) {
        log_limited(LOG_SEV_WARNING, "the signer refuses: %s", a->rep.message);
        settle(v, SXE_REFUSED, NULL);
    } else
        retry_later(v);
}

void sign_next(struct voter *v)
{
    uint8_t mem[SIGNER_VOTE_LEN];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct vote vote;
    if (v->signing || v->n_signs == 0 || loop_is_stopped(v->loop))
        return;
    chain_vote_of(&v->chain, &v->sign[0], &vote);
    signer_vote_encode(&vote, &w);
    if (ipc_link_request(v->signer, MSG_SIGN_VOTE, wr_slice(&w), 0, on_vote, v) == REEVE_OK)
        v->signing = true;
    else
        retry_later(v);
}

/* The signer has been away for long: the oldest is of a view that the others have left by now. */
static void forget_oldest(struct voter *v)
{
    unsigned at = v->signing ? 1 : 0;
    memmove(v->sign + at, v->sign + at + 1, (--v->n_signs - at) * sizeof v->sign[0]);
}

void sign_ask(struct voter *v, const struct simplex_vote *vote)
{
    /* One heartbeat that waits is enough. */
    for (unsigned i = 0; vote->type == SX_HEARTBEAT && i < v->n_signs; i++)
        if (v->sign[i].type == SX_HEARTBEAT && (i > 0 || !v->signing)) {
            v->sign[i] = *vote;
            return;
        }
    if (v->n_signs == SIGNS_MAX)
        forget_oldest(v);
    v->sign[v->n_signs++] = *vote;
    sign_next(v);
}
