/*
 * submit.c - security updates on their way: signed, decided, applied here
 *
 *   SIGNING --all signatures--> READY --link up, chain caught up--> SENT
 *      ^ retried while the signer is away   ^--- validator lost ----'
 *
 * It ends when one of the chain's blocks brings its first leaf (whatever the
 * validator said or could not say), when the validator refuses it, or at its
 * time limit. Handing the same signed leaves over twice is harmless: a leaf
 * names its object's version, so it can be applied once only, and the
 * validator answers OK for leaves that are already the newest.
 */
#include "backend/ring/forward.h"

#include <stdlib.h>

#include "backend/utils/log.h"
#include "crypto/ops.h"

#define SIGN_TIMEOUT_MS 60000       /* longer than any submission lives; a stopped signer is waited for */
#define RETRY_MS 100

enum submit_state { SIGNING, READY, SENT };

struct submit_leaf {
    struct submit *submit;
    uint8_t *p;                     /* the whole leaf, signature last */
    size_t len;
    bool asked, signed_;
};

struct submit {
    struct ring *r;
    struct submit *next;
    enum submit_state state;
    bool live;                      /* still in the list; false: only call-backs are left */
    bool handed;                    /* given to a validator at least once */
    bool doubt;                     /* one of them was lost, so it may be in a block */
    unsigned calls;                 /* requests under way that name this */
    unsigned n_signed;
    struct hash32 first;            /* leaf hash, once signed */
    struct report *refusal;         /* the validator's, told when readers see what it looked at, up to seen_at */
    uint64_t seen_at;
    struct loop_timer deadline, retry;
    submit_done *done;
    void *arg;
    size_t n;
    struct submit_leaf leaf[];
};

static void progress(struct submit *s);

/* ---- life ---- */

static void submit_free(struct submit *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->leaf[i].p);
    free(s->refusal);
    free(s);
}

static void call_ended(struct submit *s)
{
    if (--s->calls == 0 && !s->live)
        submit_free(s);
}

static void unlink_submit(struct submit *s)
{
    struct submit **at = &s->r->submits;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    s->r->n_submits--;
    s->live = false;
    loop_timer_cancel(s->r->loop, &s->deadline);
    loop_timer_cancel(s->r->loop, &s->retry);
}

static void finish(struct submit *s, enum reeve_err err, const struct report *rep, uint64_t height, uint64_t first_leaf)
{
    unlink_submit(s);
    s->done(s->arg, err, rep, height, first_leaf);
    if (s->calls == 0)
        submit_free(s);
}

static void finish_err(struct submit *s, enum reeve_err err, const char *message, const char *hint)
{
    struct report rep = { .code = REEVE_OK };
    report_set(&rep, err, "%s", message);
    report_hint(&rep, "%s", hint);
    finish(s, err, &rep, 0, 0);
}

static void on_deadline(void *arg)
{
    struct submit *s = arg;
    if (s->refusal)
        finish(s, s->refusal->code, s->refusal, 0, 0);
    else if (s->handed)
        finish_err(s, REEVE_E_UNKNOWN_OUTCOME, "the validators did not decide in time; the change may still become final",
                   "Look at the object before trying again; a change is never made twice.");
    else
        finish_err(s, REEVE_E_QUORUM_LOST, "the change could not be submitted in time: the signer or the validators do not answer",
                   "Nothing was changed. Try again when they are back.");
}

static void on_retry(void *arg)
{
    progress(arg);
}

static void retry_later(struct submit *s)
{
    if (!loop_timer_is_set(&s->retry) && loop_timer_in(s->r->loop, &s->retry, RETRY_MS, on_retry, s) != REEVE_OK)
        log_error("no timer for a submission");
}

/* Worth another try, as opposed to an answer. */
static bool passing(enum reeve_err err)
{
    return err == REEVE_E_CLOSED || err == REEVE_E_TIMEOUT || err == REEVE_E_UNAVAILABLE || err == REEVE_E_BUSY ||
           err == REEVE_E_AGAIN || err == REEVE_E_DISK_FULL || err == REEVE_E_IO || err == REEVE_E_SHUTDOWN ||
           err == REEVE_E_NOMEM;
}

/* ---- signing ---- */

static void on_signed(void *arg, struct ipc_answer *a)
{
    struct submit_leaf *l = arg;
    struct submit *s = l->submit;
    l->asked = false;
    if (!s->live)
        ;
    else if (a->err == REEVE_OK && a->result.len == 64) {
        memcpy(l->p + l->len - 64, a->result.p, 64);
        l->signed_ = true;
        s->n_signed++;
        progress(s);
    } else if (passing(a->err))
        retry_later(s);
    else
        finish(s, a->err == REEVE_OK ? REEVE_E_BUG : a->err, &a->rep, 0, 0);
    call_ended(s);
}

static void ask_signature(struct submit *s, struct submit_leaf *l)
{
    struct wr w = wr_heap(IPC_BODY_MAX);
    wr_str32(&w, slice_of(l->p, l->len - 64));
    enum reeve_err err = w.bad ? REEVE_E_NOMEM
                               : ipc_link_request(s->r->signer, MSG_SIGN_UPDATE, wr_slice(&w), SIGN_TIMEOUT_MS, on_signed, l);
    wr_free(&w);
    if (err == REEVE_OK) {
        l->asked = true;
        s->calls++;
    } else
        retry_later(s);
}

static void sign_all(struct submit *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->leaf[i].signed_ && !s->leaf[i].asked)
            ask_signature(s, &s->leaf[i]);
}

/* ---- handing over ---- */

/*
 * Final, says the validator: the block answers when it is applied here. One
 * that was applied before this was submitted (the very same leaf, from
 * somebody else or from before a restart) is looked up. The height answered is
 * that of the validator's head, which may be ahead of what is applied here:
 * only the object itself tells whether its block has come.
 */
static void on_final(struct submit *s, struct slice result)
{
    struct rd in = rd_of(result);
    struct ring_view v;
    struct update u;
    struct attest_object o;
    (void) rd_u64(&in);
    if (!rd_done(&in) || ring_view_open(s->r, &v) != REEVE_OK)
        return;
    bool found = update_decode(&u, slice_of(s->leaf[0].p, s->leaf[0].len)) == REEVE_OK &&
                 attest_get(&v.attest, u.type, &u.object, &o) == REEVE_OK && hash32_eq(&o.leaf_hash, &s->first);
    ring_view_close(&v);
    if (found)
        finish(s, REEVE_OK, NULL, o.height, o.leaf_index);
}

/*
 * Who is refused for what somebody else changed looks again and tries once
 * more: then the change must be there to see. The blocks that brought it came
 * before the refusal and are on their way into the store.
 */
static void refused(struct submit *s, enum reeve_err err, const struct report *rep)
{
    if (s->r->follow.queued > s->r->follow.applied && (s->refusal = malloc(sizeof *rep)) != NULL) {
        *s->refusal = *rep;
        report_set(s->refusal, err, "%s", reeve_err_text(err));
        s->seen_at = s->r->follow.queued;
        return;
    }
    finish(s, err, rep, 0, 0);
}

static void on_decided(void *arg, struct ipc_answer *a)
{
    struct submit *s = arg;
    if (!s->live)
        ;
    else if (a->err == REEVE_OK)
        on_final(s, a->result);
    else if (a->err == REEVE_E_DISK_FULL && !s->doubt)
        finish(s, a->err, &a->rep, 0, 0);
    else if (passing(a->err)) {
        s->doubt = true;
        s->state = READY;
        retry_later(s);
    } else
        refused(s, a->err, &a->rep);
    call_ended(s);
}

static void hand_over(struct submit *s)
{
    struct wr w = wr_heap(IPC_BODY_MAX);
    wr_u16(&w, (uint16_t) s->n);
    for (size_t i = 0; i < s->n; i++)
        wr_str32(&w, slice_of(s->leaf[i].p, s->leaf[i].len));
    enum reeve_err err = w.bad ? REEVE_E_TOO_BIG
                               : ipc_link_request(s->r->validator, MSG_ATTEST_SUBMIT, wr_slice(&w), 0, on_decided, s);
    wr_free(&w);
    if (err == REEVE_OK) {
        s->state = SENT;
        s->handed = true;
        s->calls++;
        log_debug("%u signed updates are with the validator", (unsigned) s->n);
    } else
        retry_later(s);
}

static void progress(struct submit *s)
{
    if (s->state == SIGNING && s->n_signed < s->n) {
        sign_all(s);
        return;
    }
    if (s->state == SIGNING) {
        merkle_leaf_hash(&crypto_ops_real, &s->first, slice_of(s->leaf[0].p, s->leaf[0].len));
        s->state = READY;
    }
    if (s->state == READY && s->r->follow.caught_up)
        hand_over(s);
}

void submits_poke(struct ring *r)
{
    for (struct submit *s = r->submits, *next; s; s = next) {
        next = s->next;
        if (s->state != SENT)
            progress(s);
        else if (s->refusal && r->follow.applied >= s->seen_at)
            finish(s, s->refusal->code, s->refusal, 0, 0);
    }
}

/* ---- the block ---- */

static struct submit *waiting_for(struct ring *r, const struct hash32 *leaf)
{
    for (struct submit *s = r->submits; s; s = s->next)
        if (s->state != SIGNING && hash32_eq(&s->first, leaf))
            return s;
    return NULL;
}

void submits_applied(struct ring *r, uint64_t height, uint64_t first_leaf, const struct slice *leaves, size_t n)
{
    for (size_t i = 0; i < n && r->submits; i++) {
        struct hash32 h;
        struct submit *s;
        merkle_leaf_hash(&crypto_ops_real, &h, leaves[i]);
        while ((s = waiting_for(r, &h)) != NULL)
            finish(s, REEVE_OK, NULL, height, first_leaf + i);
    }
}

/* ---- taking in ---- */

/* Length of an update's bytes before the region's name (format: engine/attest.h); 0 when they end too early. */
static size_t region_offset(struct slice bytes)
{
    struct rd r = rd_of(bytes);
    rd_bytes(&r, 3);                        /* version, type, op */
    rd_bytes(&r, rd_u8(&r));                /* object */
    rd_bytes(&r, 8 + 32);                   /* object version, previous leaf */
    rd_str32(&r, ATTEST_PAYLOAD_MAX);
    return r.bad ? 0 : (size_t) (r.p - bytes.p);
}

/* Puts this region's name in place of whatever the caller had there, and room for the signature at the end. */
static enum reeve_err leaf_make(struct ring *r, struct submit_leaf *l, struct slice bytes)
{
    static uint8_t whole[ATTEST_LEAF_MAX];
    static const uint8_t zero[64];
    struct wr w = wr_fixed(whole, sizeof whole);
    struct update u;
    size_t at = region_offset(bytes);
    struct rd rest = rd_of(slice_of(bytes.p + at, bytes.len - at));
    rd_bytes(&rest, rd_u8(&rest));
    if (at == 0 || rest.bad)
        return REEVE_E_MALFORMED;
    wr_bytes(&w, bytes.p, at);
    wr_name(&w, &r->region_name);
    wr_bytes(&w, rest.p, rd_left(&rest));
    wr_bytes(&w, zero, sizeof zero);
    if (w.bad)
        return REEVE_E_TOO_BIG;
    enum reeve_err err = update_decode(&u, wr_slice(&w));
    if (err != REEVE_OK)
        return err;
    l->p = malloc(w.len);
    if (l->p == NULL)
        return REEVE_E_NOMEM;
    memcpy(l->p, w.p, w.len);
    l->len = w.len;
    return REEVE_OK;
}

static enum reeve_err leaves_make(struct ring *r, struct submit *s, const struct slice *updates)
{
    for (size_t i = 0; i < s->n; i++) {
        s->leaf[i].submit = s;
        enum reeve_err err = leaf_make(r, &s->leaf[i], updates[i]);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

static enum reeve_err start(struct ring *r, struct submit *s)
{
    int64_t limit = settings_int(r->child->settings, SET_attest_submit_timeout);
    enum reeve_err err = loop_timer_in(r->loop, &s->deadline, limit, on_deadline, s);
    if (err != REEVE_OK)
        return err;
    /* At the end: first come, first handed over. */
    struct submit **at = &r->submits;
    while (*at)
        at = &(*at)->next;
    *at = s;
    r->n_submits++;
    s->live = true;
    return loop_timer_in(r->loop, &s->retry, 0, on_retry, s);
}

bool submit_body_read(struct slice body, struct slice updates[SUBMIT_UPDATES_MAX], size_t *n)
{
    struct rd in = rd_of(body);
    *n = rd_u16(&in);
    if (*n == 0 || *n > SUBMIT_UPDATES_MAX)
        return false;
    for (size_t i = 0; i < *n; i++)
        updates[i] = rd_str32(&in, ATTEST_LEAF_MAX);
    return rd_done(&in);
}

/* Versions of an object follow each other without a gap, so the leaf that has this one's version is this one or keeps it out. */
static enum reeve_err compare(const struct submit_leaf *l, const struct update *u, const struct attest_object *o)
{
    if (o->version != u->version)
        return REEVE_E_AGAIN;           /* not yet; or later ones are on top of it, and hide it */
    return o->leaf.len == l->len && memcmp(o->leaf.p, l->p, l->len - 64) == 0 ? REEVE_OK : REEVE_E_CONFLICT;
}

static enum reeve_err look_at(struct ring *r, struct ring_view *v, struct slice bytes, struct attest_object *o)
{
    struct submit_leaf l = { .p = NULL };
    struct update u;
    enum reeve_err err;
    TRY(leaf_make(r, &l, bytes));
    TRY(update_decode(&u, slice_of(l.p, l.len)));
    TRY(attest_get(&v->attest, u.type, &u.object, o));
    err = compare(&l, &u, o);
out:
    free(l.p);
    return err == REEVE_OK || err == REEVE_E_CONFLICT ? err : REEVE_E_AGAIN;
}

enum reeve_err submit_look(struct ring *r, struct slice body, uint64_t *height, uint64_t *first_leaf)
{
    struct slice updates[SUBMIT_UPDATES_MAX];
    enum reeve_err all = REEVE_OK;
    struct attest_object o;
    struct ring_view v;
    size_t n;
    if (!submit_body_read(body, updates, &n) || ring_view_open(r, &v) != REEVE_OK)
        return REEVE_E_AGAIN;
    for (size_t i = 0; i < n && all != REEVE_E_CONFLICT; i++) {
        enum reeve_err one = look_at(r, &v, updates[i], &o);
        if (one == REEVE_OK && i == 0) {
            *height = o.height;
            *first_leaf = o.leaf_index;
        } else if (one == REEVE_OK && o.height != *height)
            one = REEVE_E_AGAIN;        /* somebody submitted the same, piece by piece */
        if (one != REEVE_OK)
            all = one;
    }
    ring_view_close(&v);
    return all;
}

static enum reeve_err judge_all(struct ring *r, uint32_t from, const struct submit *s, struct report *rep)
{
    for (size_t i = 0; i < s->n; i++) {
        enum reeve_err err = forward_judge(r, from, slice_of(s->leaf[i].p, s->leaf[i].len), rep);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

/* from: the member of the ring that asks; 0: this one. */
static enum reeve_err submit(struct ring *r, uint32_t from, const struct slice *updates, size_t n, submit_done *done, void *arg,
                             struct report *rep)
{
    if (n == 0 || n > SUBMIT_UPDATES_MAX)
        return report_set(rep, REEVE_E_TOO_COMPLEX, "a submission has 1 to %d updates", SUBMIT_UPDATES_MAX);
    if (!r->attests)
        return report_set(rep, REEVE_E_UNAVAILABLE, "this member of the ring has no signing key and no validator");
    if (r->n_submits >= SUBMITS_MAX)
        return report_set(rep, REEVE_E_BUSY, "too many security updates are waiting for the validators");
    struct submit *s = calloc(1, sizeof *s + n * sizeof s->leaf[0]);
    if (s == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    s->r = r;
    s->n = n;
    s->done = done;
    s->arg = arg;
    enum reeve_err err = leaves_make(r, s, updates);
    if (err == REEVE_OK && from != 0)
        err = judge_all(r, from, s, rep);
    if (err == REEVE_OK)
        err = start(r, s);
    if (err == REEVE_OK)
        return err;
    if (s->live)
        unlink_submit(s);
    submit_free(s);
    return report_set(rep, err, "the security update cannot be submitted (%s)", reeve_err_text(err));
}

enum reeve_err ring_submit(struct ring *r, const struct slice *updates, size_t n, submit_done *done, void *arg,
                           struct report *rep)
{
    return submit(r, 0, updates, n, done, arg, rep);
}

enum reeve_err ring_submit_guest(struct ring *r, uint32_t from, const struct slice *updates, size_t n, submit_done *done, void *arg,
                                 struct report *rep)
{
    return submit(r, from, updates, n, done, arg, rep);
}

enum reeve_err ring_submit_updates(struct ring *r, const struct update *updates, size_t n, submit_done *done, void *arg,
                                   struct report *rep)
{
    struct wr w = wr_heap(ATTEST_BLOCK_MAX);
    struct slice parts[SUBMIT_UPDATES_MAX];
    size_t at[SUBMIT_UPDATES_MAX + 1] = { 0 };
    enum reeve_err err = n <= SUBMIT_UPDATES_MAX ? REEVE_OK : REEVE_E_TOO_COMPLEX;
    for (size_t i = 0; i < n && err == REEVE_OK; i++) {
        update_encode(&updates[i], false, &w);
        at[i + 1] = w.len;
    }
    if (w.bad)
        err = REEVE_E_TOO_BIG;
    for (size_t i = 0; i < n && err == REEVE_OK; i++)
        parts[i] = slice_of(w.p + at[i], at[i + 1] - at[i]);
    if (err == REEVE_OK)
        err = ring_submit(r, parts, n, done, arg, rep);
    wr_free(&w);
    return err;
}

void submits_close(struct ring *r)
{
    while (r->submits) {
        struct submit *s = r->submits;
        finish_err(s, s->handed ? REEVE_E_UNKNOWN_OUTCOME : REEVE_E_SHUTDOWN, "the server is shutting down",
                   s->handed ? "The change may still become final." : "Nothing was changed.");
    }
}
