/*
 * queue.c - submissions that wait for a block
 *
 * First come, first served; several submissions share a block. Each is judged
 * on its own against the newest final state, when it comes and whenever that
 * state moves: what is not valid, or done, is answered and goes, so that
 * whoever waits here is work for a leader, and a leader who makes nothing of
 * it is at fault. Those of the ring beside us go to the other validators as
 * copies, again and again until they are done.
 */
#include "backend/validator/validator_int.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

#define AGAIN_MS 3000               /* copies go out again */
#define KEEP_MS  (3600 * 1000)      /* a copy of which nobody has spoken for so long is forgotten */

static struct submission *parse(struct slice body)
{
    struct submission *s = malloc(sizeof *s + body.len);
    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof *s);
    memcpy(s->mem, body.p, body.len);
    s->len = body.len;
    struct rd r = rd_of(slice_of(s->mem, body.len));
    s->n = rd_u16(&r);
    for (size_t i = 0; i < s->n && i < ATTEST_BLOCK_LEAVES_MAX; i++)
        s->leaf[i] = rd_str32(&r, ATTEST_LEAF_MAX);
    if (s->n > 0 && s->n <= ATTEST_BLOCK_LEAVES_MAX && rd_done(&r)) {
        sha256(&s->digest, body);
        s->since_ms = clock_mono().ms;
        return s;
    }
    free(s);
    return NULL;
}

/* ---- the list ---- */

static void append(struct voter *v, struct submission *s)
{
    *v->queue_tail = s;
    v->queue_tail = &s->next;
    v->n_queue++;
    v->queue_bytes += s->len;
}

static void submission_free(struct submission *s)
{
    if (s->ch != NULL)
        ipc_unref(s->ch);
    free(s);
}

/* Unlinks *at and frees it; *at is the next one then. */
static void queue_remove(struct voter *v, struct submission **at)
{
    struct submission *s = *at;
    *at = s->next;
    if (s->next == NULL)
        v->queue_tail = at;
    v->n_queue--;
    v->queue_bytes -= s->len;
    submission_free(s);
}

static struct submission *find_copy(const struct voter *v, const struct hash32 *digest)
{
    for (struct submission *s = v->queue; s; s = s->next)
        if (hash32_eq(&s->digest, digest))
            return s;
    return NULL;
}

/* ---- answers ---- */

static void tell(struct voter *v, struct submission *s, enum reeve_err err, struct report *rep)
{
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, v->chain.head.height);
    if (err != REEVE_OK)
        report_set(rep, err, "%s", reeve_err_text(err));
    if (s->ch == NULL)
        net_answer(v, s->from, &s->digest, err, err == REEVE_OK ? "" : rep->message);
    else if (err == REEVE_OK)
        ipc_reply(s->ch, s->id, wr_slice(&w));
    else
        ipc_reply_err(s->ch, s->id, err, rep);
}

/* ---- judging ---- */

static struct wall_ms judged_at(const struct voter *v)
{
    struct wall_ms now = clock_wall(), parent = v->chain.head.header.time;
    return (struct wall_ms){ now.ms > parent.ms ? now.ms : parent.ms + 1 };
}

/* False: answered, it goes. */
static bool judge(struct voter *v, struct submission *s)
{
    struct report rep = { .code = REEVE_OK };
    bool known = false;
    s->valid = false;
    if (s->height > v->chain.head.height) {     /* its sender knows more than we do */
        catchup_want(v, s->height);
        return s->ch != NULL || clock_mono().ms - s->since_ms < KEEP_MS;
    }
    enum reeve_err err = chain_judge(&v->chain, s->leaf, s->n, judged_at(v), &known, &rep);
    if (err == REEVE_OK && !known) {
        s->valid = true;
        return s->ch != NULL || clock_mono().ms - s->since_ms < KEEP_MS;
    }
    tell(v, s, err, &rep);
    return false;
}

void queue_sift(struct voter *v)
{
    for (struct submission **at = &v->queue; *at;) {
        if (judge(v, *at))
            at = &(*at)->next;
        else
            queue_remove(v, at);
    }
}

bool queue_has_work(const struct voter *v)
{
    for (const struct submission *s = v->queue; s; s = s->next)
        if (s->valid)
            return true;
    return false;
}

/* ---- coming in ---- */

static enum reeve_err take(struct voter *v, struct ipc_channel *ch, struct ipc_msg *m, struct report *rep)
{
    if (v->n_queue >= QUEUE_MAX || v->queue_bytes + m->body.len > QUEUE_BYTES_MAX)
        return report_set(rep, REEVE_E_BUSY, "too many security updates are waiting");
    struct submission *s = parse(m->body);
    if (s == NULL)
        return report_set(rep, REEVE_E_MALFORMED, "malformed submission");
    s->ch = ipc_ref(ch);
    s->id = m->id;
    if (!judge(v, s)) {
        submission_free(s);
        return REEVE_OK;
    }
    append(v, s);
    s->sent_ms = clock_mono().ms;
    net_send_submission(v, s, 0);
    drive_work(v);
    return REEVE_OK;
}

void queue_add(struct voter *v, struct ipc_channel *ch, struct ipc_msg *m)
{
    struct report rep = { .code = REEVE_OK };
    enum reeve_err err = take(v, ch, m, &rep);
    if (err != REEVE_OK)
        ipc_reply_err(ch, m->id, err, &rep);
}

static bool has_share(const struct voter *v, uint32_t from, size_t more)
{
    size_t n = 0, bytes = more;
    for (const struct submission *s = v->queue; s; s = s->next)
        if (s->ch == NULL && s->from == from) {
            n++;
            bytes += s->len;
        }
    return v->n_queue < QUEUE_MAX && v->queue_bytes + more <= QUEUE_BYTES_MAX && n < QUEUE_MAX / QUEUE_SHARE &&
           bytes <= QUEUE_BYTES_MAX / QUEUE_SHARE;
}

void queue_add_copy(struct voter *v, uint32_t from, const struct letter_submit *l)
{
    struct hash32 digest;
    sha256(&digest, l->leaves);
    struct submission *s = find_copy(v, &digest);
    if (s != NULL) {
        s->since_ms = clock_mono().ms;
        return;
    }
    if (!has_share(v, from, l->leaves.len)) {
        log_limited(LOG_SEV_WARNING, "too many security updates of another region are waiting");
        return;
    }
    s = parse(l->leaves);
    if (s == NULL)
        return;
    s->from = from;
    s->height = l->height;
    if (!judge(v, s)) {
        submission_free(s);
        return;
    }
    append(v, s);
    drive_work(v);
}

void queue_send_again(struct voter *v, uint32_t to)
{
    int64_t now = clock_mono().ms;
    for (struct submission *s = v->queue; s; s = s->next) {
        if (s->ch == NULL || (to == 0 && now - s->sent_ms < AGAIN_MS))
            continue;
        if (to == 0)
            s->sent_ms = now;
        net_send_submission(v, s, to);
    }
}

/* ---- into a block ---- */

/* What is no use on top of this draft stays: the state it was found valid on is the final one. */
void queue_fill_draft(struct voter *v, struct spec *spec)
{
    for (struct submission *s = v->queue; s; s = s->next) {
        struct report rep = { .code = REEVE_OK };
        bool known;
        if (!s->valid)
            continue;
        enum reeve_err err = spec_add(spec, &v->draft, s->leaf, s->n, &known, &rep);
        if (err == REEVE_E_TOO_COMPLEX && rep.code == REEVE_OK)
            return;                     /* this block is full */
        if (err != REEVE_OK)
            log_debug("a submission waits for the block under way: %s", rep.message);
    }
}

/* ---- the end ---- */

static void refuse_ours(struct voter *v, enum reeve_err err, const char *why)
{
    struct report rep = { .code = REEVE_OK };
    report_set(&rep, err, "%s", why);
    for (struct submission **at = &v->queue; *at;) {
        if ((*at)->ch == NULL) {
            at = &(*at)->next;
            continue;
        }
        ipc_reply_err((*at)->ch, (*at)->id, err, &rep);
        queue_remove(v, at);
    }
}

void queue_refuse_full(struct voter *v)
{
    /* Where others decide with us, copies of it may be decided all the same. */
    if (v->chain.set.n == 1)
        refuse_ours(v, REEVE_E_DISK_FULL, "the validator's disk is full; nothing was changed");
}

void queue_close(struct voter *v)
{
    refuse_ours(v, REEVE_E_SHUTDOWN, "the validator is shutting down");
    while (v->queue)
        queue_remove(v, &v->queue);
}
