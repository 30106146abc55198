/*
 * gossip.c - finalized heads are compared: with this gateway's by height, with what peers tell, with the own newest
 *
 * What a peer says is junk until a quorum of the set is found to have signed it. A head that is known already costs a hash; for
 * others VERIFY_MAX verifications a minute are spent, so a flood costs as much as a trickle. Two finalized heads that cannot
 * both be true are evidence (engine/attest_fork.h): it is kept, the region is told, and nothing more is accepted.
 */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"

#define VERIFY_MAX     6
#define VERIFY_PER_MS  10000
#define ASK_TICKS      10               /* between two questions about peers' heads */
#define OLD_MS         3600000          /* before our newest head: replayed, and nothing to stop for */

/* ---- what is known ---- */

static void remember(struct agent *a, const struct block_header *h)
{
    struct known_head *k = &a->heads[a->n_heads++ % AGENT_HEADS_KNOWN];
    k->height = h->height;
    header_hash(&crypto_ops_real, &k->hash, h);
}

static bool is_known(const struct agent *a, const struct block_header *h)
{
    struct hash32 hash;
    header_hash(&crypto_ops_real, &hash, h);
    for (unsigned i = 0; i < AGENT_HEADS_KNOWN; i++)
        if (a->heads[i].height == h->height && hash32_eq(&a->heads[i].hash, &hash))
            return true;
    return false;
}

static bool may_verify(struct agent *a)
{
    int64_t now = ag_mono(a);
    if (now - a->verify_ms >= VERIFY_PER_MS) {
        int64_t n = (now - a->verify_ms) / VERIFY_PER_MS;
        a->verifies = n >= a->verifies ? 0 : a->verifies - (unsigned) n;
        a->verify_ms = now;
    }
    return a->verifies < VERIFY_MAX && ++a->verifies > 0;
}

static bool same_head(const struct finalization *x, const struct finalization *y)
{
    uint8_t p[ATTEST_HEADER_LEN], q[ATTEST_HEADER_LEN];
    header_encode(&x->header, p);
    header_encode(&y->header, q);
    return memcmp(p, q, sizeof p) == 0;
}

static bool own_head(const struct agent *a, struct finalization *f)
{
    return a->head.len > 0 && head_decode(f, wr_slice(&a->head)) == REEVE_OK;
}

static bool is_final(const struct agent *a, const struct finalization *f)
{
    return finalization_verify(&crypto_ops_real, f, &a->trust->chain_id, &a->trust->set, &a->trust->set_hash) == REEVE_OK;
}

/* ---- a fork ---- */

static void tell_fork(struct agent *a)
{
    struct wire_frame f = wire_frame_of(WF_HEADS);
    f.u.heads.kind = 3;
    f.u.heads.head = wr_slice(&a->fork);
    if (a->phase == AP_READY)
        (void) conn_send(a, &f);
}

static void fork_found(struct agent *a, const struct fork *k)
{
    struct fork_facts facts;
    char who[200];
    if (a->fork.len > 0 || fork_judge(&crypto_ops_real, k, &a->trust->chain_id, &a->trust->set, &a->trust->set_hash, &facts) != REEVE_OK)
        return;
    fork_encode(k, &a->fork);
    if (a->fork.bad) {
        wr_reset(&a->fork);
        return;
    }
    cache_put_fork(a);
    fork_describe(&facts, &a->trust->set, who, sizeof who);
    snprintf(a->forked, sizeof a->forked, "heights %llu and %llu were made final in two histories; %s",
             (unsigned long long) k->a.header.height, (unsigned long long) k->b.header.height, who);
    ag_log(a, AGENT_LOG_ERROR, "nothing is accepted any more: %s", a->forked);
    if (a->host.refused != NULL)
        a->host.refused(a->host.arg, a, REEVE_E_V_CONSISTENCY, a->forked);
    tell_fork(a);
}

static void compare(struct agent *a, const struct finalization *x, const struct finalization *y)
{
    struct fork *k = headers_agree(&crypto_ops_real, &x->header, &y->header) ? NULL : malloc(sizeof *k);
    if (k == NULL)
        return;
    k->a = *x;
    k->b = *y;
    fork_found(a, k);
    free(k);
}

/* ---- asking the gateway ---- */

static void ask(struct agent *a, struct slice head)
{
    struct wire_frame f = wire_frame_of(WF_HEADS);
    f.u.heads.kind = 1;
    f.u.heads.head = head;
    if (a->phase == AP_READY && head.len > 0)
        (void) conn_send(a, &f);
}

/* One at a time: a gateway has a million agents. Most are settled by our own chain and need no question. */
static void ask_heard(struct agent *a)
{
    for (unsigned i = 0; i < AGENT_HEADS_HEARD && a->phase == AP_READY && ag_mono(a) >= a->ask_ms; i++) {
        struct heard_head *h = &a->heard[i];
        if (h->bytes.len == 0 || h->asked || h->height > a->trust->height)
            continue;
        h->asked = true;
        a->ask_ms = ag_mono(a) + ASK_TICKS * (int64_t) a->tick_ms;
        ask(a, h->bytes);
    }
}

void gossip_ready(struct agent *a)
{
    for (unsigned i = 0; i < AGENT_HEADS_HEARD; i++)
        a->heard[i].asked = false;
    if (a->fork.len > 0) {
        tell_fork(a);
        return;
    }
    ask(a, wr_slice(&a->head));
    ask_heard(a);
}

static void heard_clear(struct heard_head *h)
{
    free((void *) h->bytes.p);
    memset(h, 0, sizeof *h);
}

/* Our chain has come to that height: what peers told of it is true now, or evidence. */
static void settle(struct agent *a, const struct finalization *own)
{
    struct finalization *f = calloc(1, sizeof *f);
    for (unsigned i = 0; f != NULL && i < AGENT_HEADS_HEARD; i++) {
        struct heard_head *h = &a->heard[i];
        if (h->bytes.len == 0 || h->height != own->header.height)
            continue;
        if (head_decode(f, h->bytes) == REEVE_OK)
            compare(a, own, f);
        heard_clear(h);
    }
    free(f);
}

/* What a peer told is kept until another one takes its place: the gateway may have to be asked again, or another one. */
static void keep_heard(struct agent *a, const struct finalization *f, struct slice bytes)
{
    struct heard_head *h = &a->heard[a->next_heard++ % AGENT_HEADS_HEARD];
    uint8_t *copy = bytes_copy(bytes);
    if (copy == NULL)
        return;
    heard_clear(h);
    *h = (struct heard_head){ slice_of(copy, bytes.len), f->header.height, false };
    ask_heard(a);
}

static void hear(struct agent *a, struct finalization *f, struct finalization *own, struct slice bytes)
{
    bool readable = head_decode(f, bytes) == REEVE_OK, known = readable && is_known(a, &f->header);
    bool old = readable && f->header.time.ms < a->trust->time.ms - OLD_MS;
    if (!readable || old || (!known && (!may_verify(a) || !is_final(a, f)))) {
        a->stats.heads_ignored++;
        return;
    }
    a->stats.heads_heard++;
    if (known)
        return;
    remember(a, &f->header);
    if (own_head(a, own))
        compare(a, own, f);
    if (a->fork.len == 0)
        keep_heard(a, f, bytes);
}

void agent_heard(struct agent *a, struct slice bytes, struct agent_now now)
{
    struct finalization *f = calloc(2, sizeof *f);
    a->now = now;
    if (f != NULL && a->have_trust && a->fork.len == 0)
        hear(a, &f[0], &f[1], bytes);
    free(f);
}

struct slice agent_head(const struct agent *a)
{
    return wr_slice(&a->head);
}

struct slice agent_fork(const struct agent *a)
{
    return wr_slice(&a->fork);
}

/* ---- the gateway's word ---- */

/* It says what stands at a height we asked about: against that head, and against our own. */
static void on_other(struct agent *a, struct finalization *f, struct finalization *mine, struct slice bytes)
{
    if (head_decode(f, bytes) != REEVE_OK || !may_verify(a) || !is_final(a, f))
        return;
    if (own_head(a, mine))
        compare(a, mine, f);
    for (unsigned i = 0; i < AGENT_HEADS_HEARD; i++)
        if (a->heard[i].height == f->header.height && a->heard[i].bytes.len > 0 && head_decode(mine, a->heard[i].bytes) == REEVE_OK)
            compare(a, mine, f);
}

static void on_evidence(struct agent *a, struct slice bytes)
{
    struct fork *k = malloc(sizeof *k);
    if (k != NULL && fork_decode(k, bytes) == REEVE_OK && may_verify(a))
        fork_found(a, k);
    free(k);
}

void on_heads(struct agent *a, const struct wire_heads *w)
{
    if (a->fork.len > 0)
        return;
    if (w->kind == 3) {
        on_evidence(a, w->head);
        return;
    }
    struct finalization *f = calloc(2, sizeof *f);
    if (f != NULL && w->kind == 2)
        on_other(a, &f[0], &f[1], w->head);
    free(f);
}

/* ---- bundles ---- */

/* The finalization that a bundle begins with, behind its version. */
static bool bundle_head(struct finalization *f, struct slice bundle, size_t *len)
{
    struct rd r = rd_of(bundle);
    (void) rd_u8(&r);
    if (finalization_decode(f, &r) != REEVE_OK)
        return false;
    *len = (size_t) (r.p - bundle.p) - 1;
    return true;
}

void gossip_refused(struct agent *a, struct slice bundle)
{
    struct finalization *f = calloc(2, sizeof *f);
    size_t len;
    if (f != NULL && a->fork.len == 0 && bundle_head(&f[0], bundle, &len) && own_head(a, &f[1]) &&
        !headers_agree(&crypto_ops_real, &f[0].header, &f[1].header) && may_verify(a))
        compare(a, &f[0], &f[1]);
    free(f);
}

bool gossip_taken(struct agent *a, struct slice bundle)
{
    struct finalization *f = calloc(2, sizeof *f);
    size_t len;
    bool ok = f != NULL && bundle_head(&f[0], bundle, &len);
    if (ok && own_head(a, &f[1]))
        compare(a, &f[0], &f[1]);
    if (ok && a->fork.len == 0)
        settle(a, &f[0]);
    if (ok && a->fork.len == 0 && !same_head(&f[0], &f[1])) {
        if (!is_known(a, &f[0].header))
            remember(a, &f[0].header);
        wr_reset(&a->head);
        wr_bytes(&a->head, bundle.p + 1, len);
        cache_put_head(a);
    }
    free(f);
    return a->fork.len == 0;
}

void gossip_advanced(struct agent *a)
{
    ask_heard(a);
}

void gossip_load(struct agent *a)
{
    struct finalization *f = calloc(1, sizeof *f);
    if (f != NULL && own_head(a, f))
        remember(a, &f->header);
    free(f);
    if (a->fork.len > 0)
        snprintf(a->forked, sizeof a->forked, "two histories were made final; the evidence is kept");
}

void gossip_free(struct agent *a)
{
    for (unsigned i = 0; i < AGENT_HEADS_HEARD; i++)
        heard_clear(&a->heard[i]);
    wr_free(&a->head);
    wr_free(&a->fork);
}
