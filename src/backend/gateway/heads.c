/*
 * heads.c - finalized heads that agents show: compared with the chain here, and a fork told to everybody
 *
 * An agreeing head costs one look into the store and no answer. A head that differs is answered with what stands here, so that the
 * agent has both; only then, and for evidence, are signatures verified: JUDGED_MAX times for a connection and some ten times a
 * second in all. So agents cannot make a gateway work, and one alone cannot keep evidence from being looked at.
 *
 * What one gateway finds it leaves in the region as two notes: the others, and those who are started later, judge them too.
 */
#include "backend/gateway/gateway_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/attest_fork.h"

#define HEADS_MAX       20              /* beyond: two a second, drained by the sweep */
#define JUDGED_MAX      4
#define JUDGE_EVERY_MS  100
#define RING_TIMEOUT_MS 30000

struct forks {
    struct fork k;
    struct valset set;
    struct fork_facts facts;
    struct wr evidence;                 /* empty: none */
    bool told, asking;                  /* the region has the issue and the notes; the last of them is under way */
    int64_t judged_ms;
    uint64_t looked;                    /* revision in which the notes were looked for */
};

static struct forks *forks_of(struct gateway *g)
{
    if (g->forks == NULL && (g->forks = calloc(1, sizeof *g->forks)) != NULL)
        g->forks->evidence = wr_heap(FORK_BYTES_MAX);
    return g->forks;
}

/* ---- a fork ---- */

static void on_told(void *arg, struct ipc_answer *a)
{
    struct gateway *g = arg;
    g->forks->asking = false;
    g->forks->told = a->err == REEVE_OK;
}

static void issue_write(struct forks *s, struct wr *w)
{
    char who[150];
    struct issue_row row = { .severity = 3, .since = clock_wall() };
    (void) name_set_str(&row.kind, "fork");
    (void) name_set_str(&row.object, "chain");
    fork_describe(&s->facts, &s->set, who, sizeof who);
    snprintf(row.message, sizeof row.message, "two histories were made final, at heights %llu and %llu; %s",
             (unsigned long long) s->k.a.header.height, (unsigned long long) s->k.b.header.height, who);
    snprintf(row.hint, sizeof row.hint, "Agents that saw both keep the evidence and accept nothing. Compare checkpoints with other regions.");
    wr_u8(w, 1);
    wr_u8(w, RC_ISSUE);
    wr_u8(w, 1);
    issue_row_encode(&row, w);
}

static void on_note(void *arg, struct ipc_answer *a)
{
    (void) arg;
    if (a->err != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "the evidence of a fork is not kept by the region: %s", reeve_err_text(a->err));
}

/* For the other gateways, which judge it themselves. A head too long for a note (many descendants) is told to our agents alone. */
static void leave_note(struct gateway *g, const char *name, const struct finalization *f)
{
    uint8_t mem[REGION_NOTE_MAX + 64], bytes[REGION_NOTE_MAX];
    struct wr w = wr_fixed(mem, sizeof mem), h = wr_fixed(bytes, sizeof bytes);
    struct name n;
    finalization_encode(f, &h);
    (void) name_set_str(&n, name);
    wr_u8(&w, 1);
    wr_u8(&w, RC_NOTE);
    wr_name(&w, &n);
    wr_str16(&w, wr_slice(&h));
    if (!w.bad && !h.bad && ipc_link_request(g->ring, MSG_PROPOSE, wr_slice(&w), RING_TIMEOUT_MS, on_note, g) != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "the evidence of a fork is not kept by the region yet");
}

static void tell_region(struct gateway *g)
{
    uint8_t mem[1024];
    struct wr w = wr_fixed(mem, sizeof mem);
    leave_note(g, FORK_NOTE_A, &g->forks->k.a);
    leave_note(g, FORK_NOTE_B, &g->forks->k.b);
    issue_write(g->forks, &w);
    if (!w.bad && ipc_link_request(g->ring, MSG_PROPOSE, wr_slice(&w), RING_TIMEOUT_MS, on_told, g) == REEVE_OK)
        g->forks->asking = true;
}

static struct payload *evidence_payload(struct gateway *g)
{
    struct wire_frame f = wire_frame_of(WF_HEADS);
    f.u.heads.kind = 3;
    f.u.heads.head = wr_slice(&g->forks->evidence);
    return payload_of_frame(&f);
}

static void tell_agents(struct gateway *g)
{
    struct payload *p = evidence_payload(g);
    for (struct conn *c = g->conns, *next; p != NULL && c != NULL; c = next) {
        next = c->next;
        if (c->phase == CP_READY)
            conn_push(c, payload_ref(p));
    }
    if (p != NULL)
        payload_unref(p);
}

/* Judged against the set in force. True: it is one, and the first of this process. */
static bool judge(struct gateway *g, const struct fork *k)
{
    struct forks *s = g->forks;
    struct hash32 set_hash;
    if (s->evidence.len > 0 || valset_decode(&s->set, g->facts.valset) != REEVE_OK)
        return false;
    valset_hash(&crypto_ops_real, &set_hash, g->facts.valset);
    if (fork_judge(&crypto_ops_real, k, &g->facts.chain_id, &s->set, &set_hash, &s->facts) != REEVE_OK)
        return false;
    s->k = *k;
    fork_encode(k, &s->evidence);
    return !s->evidence.bad;
}

static bool may_judge(struct conn *c)
{
    struct forks *s = forks_of(c->g);
    int64_t now = loop_now(c->g->loop).ms;
    if (s == NULL || s->evidence.len > 0 || c->judged >= JUDGED_MAX || now - s->judged_ms < JUDGE_EVERY_MS)
        return false;
    s->judged_ms = now;
    c->judged++;
    return true;
}

static void judge_and_tell(struct conn *c, const struct fork *k)
{
    struct gateway *g = c->g;
    char who[200];
    if (!may_judge(c) || !judge(g, k))
        return;
    fork_describe(&g->forks->facts, &g->forks->set, who, sizeof who);
    log_error("two histories were made final, at heights %llu and %llu; %s", (unsigned long long) k->a.header.height,
              (unsigned long long) k->b.header.height, who);
    tell_region(g);
    tell_agents(g);
}

/* ---- what another gateway, or this one before it ended, has found ---- */

static bool note_read(struct view *v, const char *name, struct finalization *f)
{
    struct name n;
    struct slice bytes;
    return name_set_str(&n, name) && region_note_get(&v->region, &n, &bytes) == REEVE_OK && head_decode(f, bytes) == REEVE_OK;
}

static void notes_look(struct gateway *g)
{
    struct fork *k = malloc(sizeof *k);
    struct view v;
    bool found = false;
    if (k != NULL && view_open(g, &v) == REEVE_OK) {
        found = note_read(&v, FORK_NOTE_A, &k->a) && note_read(&v, FORK_NOTE_B, &k->b);
        view_close(&v);
    }
    if (found && judge(g, k)) {
        g->forks->told = true;
        tell_agents(g);
    }
    free(k);
}

void heads_sweep(struct gateway *g)
{
    struct forks *s = g->facts.known ? forks_of(g) : NULL;
    if (s == NULL)
        return;
    if (s->evidence.len > 0 && !s->told && !s->asking)
        tell_region(g);
    if (s->evidence.len == 0 && s->looked != g->facts.revision) {
        s->looked = g->facts.revision;
        notes_look(g);
    }
}

/* ---- what an agent shows ---- */

static void answer_other(struct conn *c, struct slice mine)
{
    struct wire_frame f = wire_frame_of(WF_HEADS);
    f.u.heads.kind = 2;
    f.u.heads.head = mine;
    conn_send_frame(c, &f);
}

/* The finalization that is stored with the block. */
static bool stored_head(struct view *v, uint64_t height, struct finalization *f, struct slice *bytes)
{
    struct slice block;
    if (attest_block(&v->attest, height, &block) != REEVE_OK)
        return false;
    struct rd r = rd_of(block);
    if (finalization_decode(f, &r) != REEVE_OK)
        return false;
    *bytes = slice_of(block.p, (size_t) (r.p - block.p));
    return true;
}

static void compare(struct conn *c, struct view *v, struct slice head, struct fork *k)
{
    struct slice mine;
    if (head_decode(&k->a, head) != REEVE_OK || !stored_head(v, k->a.header.height, &k->b, &mine) ||
        headers_agree(&crypto_ops_real, &k->a.header, &k->b.header))
        return;
    answer_other(c, mine);
    judge_and_tell(c, k);
}

enum handled on_heads(struct conn *c, const struct wire_frame *f)
{
    struct fork *k;
    struct view v;
    if (c->heads >= HEADS_MAX || c->g->facts.height == 0 || (k = malloc(sizeof *k)) == NULL)
        return H_DONE;
    c->heads++;
    if (f->u.heads.kind == 1 && c->g->forks != NULL && c->g->forks->evidence.len > 0) {
        conn_send(c, evidence_payload(c->g));           /* it came after it was told to all */
    } else if (f->u.heads.kind == 3) {
        if (fork_decode(k, f->u.heads.head) == REEVE_OK)
            judge_and_tell(c, k);
    } else if (f->u.heads.kind == 1 && view_open(c->g, &v) == REEVE_OK) {
        compare(c, &v, f->u.heads.head, k);
        view_close(&v);
    }
    free(k);
    return H_DONE;
}
