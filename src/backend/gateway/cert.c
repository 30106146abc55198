/*
 * cert.c - CERT_REQUEST and KEY_REQUEST: parsed and judged here, signed by the signer
 *
 * The signer wants a proof of the certificate once; it says AGAIN and the
 * same request goes back with a bundle. Requests wait in one bounded queue;
 * a few are under way.
 */
#include "backend/gateway/gateway_int.h"

#include "common/text.h"
#include "crypto/x509.h"

#include <stdlib.h>

#define SIGN_UNDER_WAY_MAX 64
#define SIGN_WAITING_MAX   4096
#define SIGN_TIMEOUT_MS    10000
#define SIGN_RETRY_MS      2000

struct sign_request {
    struct gateway *g;
    struct sign_request *next;
    struct conn_ref ref;
    uint64_t reqid;
    struct mono_ms deadline;            /* 0: none */
    struct name object, authority;
    uint32_t gen;
    bool shared, proved;
    struct hash32 leaf_hash;
    struct slice tail;                  /* what follows the generation; owned, behind the structure */
};

static void answer_error(struct sign_request *r, enum wire_code code, uint8_t retry, uint32_t after_ms, const char *why)
{
    struct conn *c = conn_of(r->g, r->ref);
    if (c == NULL)
        return;
    c->requests--;
    conn_reply_error(c, r->reqid, code, retry, after_ms, why);
}

/* ---- the queue ---- */

void sign_init(struct gateway *g)
{
    g->sign_tail = &g->sign_head;
}

static void enqueue(struct sign_request *r)
{
    struct gateway *g = r->g;
    r->next = NULL;
    *g->sign_tail = r;
    g->sign_tail = &r->next;
    g->sign_waiting++;
}

static struct sign_request *dequeue(struct gateway *g)
{
    struct sign_request *r = g->sign_head;
    g->sign_head = r->next;
    if (g->sign_head == NULL)
        g->sign_tail = &g->sign_head;
    g->sign_waiting--;
    return r;
}

/* ---- asking the signer ---- */

static bool put_proof(struct sign_request *r, struct wr *w)
{
    struct view v;
    struct object_key keys[2] = { { AT_CERT, r->object }, { AT_AUTHORITY, r->authority } };
    struct wr b = wr_heap(1u << 20);
    if (view_open(r->g, &v) != REEVE_OK)
        return false;
    bool ok = attest_bundle(&v.attest, 0, keys, 2, &b) == REEVE_OK && !b.bad;
    view_close(&v);
    if (ok) {
        wr_u8(w, 1);
        wr_str32(w, wr_slice(&b));
    }
    wr_free(&b);
    return ok;
}

static void reply_cert(struct conn *c, const struct sign_request *r, struct slice leaf, struct slice chain)
{
    struct wire_frame f = wire_frame_of(WF_CERT_REPLY);
    f.head.flags = WIRE_REQID;
    f.head.reqid = r->reqid;
    f.u.cert_reply.object = name_slice(&r->object);
    f.u.cert_reply.gen = r->gen;
    f.u.cert_reply.leaf = leaf;
    f.u.cert_reply.chain = chain;
    conn_send_frame(c, &f);
}

static void reply_key(struct conn *c, const struct sign_request *r, struct slice sealed, struct slice leaf,
                      struct slice chain)
{
    struct wire_frame f = wire_frame_of(WF_KEY_REPLY);
    f.head.flags = WIRE_REQID;
    f.head.reqid = r->reqid;
    f.u.key_reply.object = name_slice(&r->object);
    f.u.key_reply.gen = r->gen;
    f.u.key_reply.sealed = sealed;
    f.u.key_reply.leaf = leaf;
    f.u.key_reply.chain = chain;
    conn_send_frame(c, &f);
}

static void answer_result(struct sign_request *r, struct slice result)
{
    struct rd in = rd_of(result);
    struct slice sealed = r->shared ? rd_str16(&in, 4096) : slice_of(NULL, 0);
    struct slice leaf = rd_str32(&in, 16384), chain = rd_str32(&in, 32768);
    struct conn *c = conn_of(r->g, r->ref);
    if (c == NULL)
        return;
    if (!rd_done(&in)) {
        answer_error(r, WE_INTERNAL, 1, SIGN_RETRY_MS, "the signer's answer does not parse");
        return;
    }
    c->requests--;
    if (r->shared)
        reply_key(c, r, sealed, leaf, chain);
    else
        reply_cert(c, r, leaf, chain);
}

static bool transient(enum reeve_err e)
{
    return e == REEVE_E_CLOSED || e == REEVE_E_UNAVAILABLE || e == REEVE_E_TIMEOUT || e == REEVE_E_BUSY ||
           e == REEVE_E_AGAIN;
}

static void on_signed(void *arg, struct ipc_answer *a)
{
    struct sign_request *r = arg;
    struct gateway *g = r->g;
    g->sign_under_way--;
    if (a->err == REEVE_E_AGAIN && !r->proved) {
        r->proved = true;
        enqueue(r);
    } else {
        if (a->err == REEVE_OK)
            answer_result(r, a->result);
        else if (transient(a->err))
            answer_error(r, WE_UNAVAILABLE, 1, SIGN_RETRY_MS, "the signer does not answer");
        else
            answer_error(r, WE_NOT_ALLOWED, 1, 10 * SIGN_RETRY_MS, a->rep.message);
        free(r);
    }
    sign_kick(g);
}

static bool ask(struct sign_request *r)
{
    struct wr w = wr_heap(1u << 20);
    if (r->proved && !put_proof(r, &w)) {
        wr_free(&w);
        return false;
    }
    if (!r->proved)
        wr_u8(&w, 0);
    wr_bytes(&w, r->leaf_hash.b, 32);
    wr_u32(&w, r->gen);
    wr_bytes(&w, r->tail.p, r->tail.len);
    enum reeve_err err = w.bad ? REEVE_E_NOMEM
                               : ipc_link_request(r->g->signer, r->shared ? MSG_RESEAL_KEY : MSG_ISSUE_LEAF, wr_slice(&w),
                                                  SIGN_TIMEOUT_MS, on_signed, r);
    wr_free(&w);
    return err == REEVE_OK;
}

static bool still_wanted(struct sign_request *r)
{
    if (conn_of(r->g, r->ref) == NULL)
        return false;
    if (r->deadline.ms == 0 || loop_now(r->g->loop).ms < r->deadline.ms)
        return true;
    answer_error(r, WE_DEADLINE, 1, SIGN_RETRY_MS, "too late");
    return false;
}

void sign_kick(struct gateway *g)
{
    while (g->sign_head != NULL && g->sign_under_way < SIGN_UNDER_WAY_MAX) {
        struct sign_request *r = dequeue(g);
        if (!still_wanted(r)) {
            free(r);
            continue;
        }
        if (ask(r)) {
            g->sign_under_way++;
            continue;
        }
        answer_error(r, WE_UNAVAILABLE, 1, SIGN_RETRY_MS, "the signer is not available");
        free(r);
    }
}

/* ---- judging a request ---- */

/* The certificate as attested: does it exist, is it for this node, is the generation one to be had? */
static enum wire_code judge(struct conn *c, struct view *v, const struct name *object, uint32_t gen, bool shared,
                            struct hash32 *leaf_hash)
{
    struct gateway *g = c->g;
    struct attest_object o;
    static struct labels labels;
    char text[NODE_ID_TEXT_LEN + 1];
    if (attest_get(&v->attest, AT_CERT, object, &o) != REEVE_OK || o.update.op != 1 ||
        cert_doc_decode(&g->cert, o.update.payload) != REEVE_OK)
        return WE_UNKNOWN_OBJECT;
    *leaf_hash = o.leaf_hash;
    node_id_text(text, &c->id);
    if (!profile_labels(c->profile, &labels) ||
        !predicate_holds(&g->cert.where, &c->profile->region, &labels, slice_str(text)))
        return WE_UNKNOWN_OBJECT;
    const struct cert_gen *cg = cert_gen_find(&g->cert, gen);
    if (cg == NULL)
        return WE_UNKNOWN_OBJECT;
    if (shared != (g->cert.mode != CERT_PER_NODE) || (cg->state != GEN_PREPARED && cg->state != GEN_ACTIVE))
        return WE_NOT_ALLOWED;
    return WE_NONE;
}

static struct sign_request *request_new(struct conn *c, const struct wire_frame *f, const struct name *object,
                                        uint64_t gen, struct slice tail)
{
    struct sign_request *r = calloc(1, sizeof *r + tail.len);
    if (r == NULL)
        return NULL;
    r->g = c->g;
    r->ref = c->ref;
    r->reqid = f->head.reqid;
    r->gen = (uint32_t) gen;
    r->object = *object;
    r->authority = c->g->cert.authority;
    if (f->head.flags & WIRE_DEADLINE)
        r->deadline.ms = loop_now(c->g->loop).ms + (int64_t) (f->head.deadline_ms < 3600000 ? f->head.deadline_ms : 3600000);
    memcpy(r + 1, tail.p, tail.len);
    r->tail = slice_of(r + 1, tail.len);
    return r;
}

static bool has_room(struct conn *c, uint64_t reqid)
{
    if (c->requests >= GW_REQUESTS_MAX) {
        conn_reply_error(c, reqid, WE_BUSY, 1, SIGN_RETRY_MS, "too many requests of this agent wait");
        return false;
    }
    if (c->g->sign_waiting >= SIGN_WAITING_MAX || !ipc_link_is_up(c->g->signer)) {
        conn_reply_retry(c, reqid, SIGN_RETRY_MS, 3);
        return false;
    }
    return true;
}

static void submit(struct conn *c, const struct wire_frame *f, struct slice object, uint64_t gen, bool shared,
                   struct slice tail, enum key_type *want)
{
    struct view v;
    struct name name;
    struct hash32 leaf_hash;
    if (!name_set(&name, object) || view_open(c->g, &v) != REEVE_OK) {
        conn_reply_error(c, f->head.reqid, WE_UNAVAILABLE, 1, SIGN_RETRY_MS, "the store is not available");
        return;
    }
    enum wire_code code = judge(c, &v, &name, (uint32_t) gen, shared, &leaf_hash);
    view_close(&v);
    if (code == WE_NONE && want != NULL && *want != (enum key_type) c->g->cert.key_type)
        code = WE_BAD_REQUEST;
    struct sign_request *r = code == WE_NONE ? request_new(c, f, &name, gen, tail) : NULL;
    if (r == NULL) {
        conn_reply_error(c, f->head.reqid, code != WE_NONE ? code : WE_BUSY, code != WE_NONE ? 0 : 1, SIGN_RETRY_MS,
                         wire_error_text(code != WE_NONE ? code : WE_BUSY));
        return;
    }
    r->shared = shared;
    r->leaf_hash = leaf_hash;
    c->requests++;
    c->g->churn++;
    enqueue(r);
    sign_kick(c->g);
}

/* The request's own key, whichever of the two kinds it is. */
static bool check_csr(struct slice csr, struct wr *spki, enum key_type *type)
{
    *type = KEY_ECDSA_P256;
    if (csr_check(csr, KEY_ECDSA_P256, spki) == REEVE_OK)
        return true;
    wr_reset(spki);
    *type = KEY_ED25519;
    return csr_check(csr, KEY_ED25519, spki) == REEVE_OK;
}

enum handled on_cert_request(struct conn *c, const struct wire_frame *f)
{
    const struct wire_cert_request *q = &f->u.cert_request;
    uint8_t spki_mem[512], mem[600];
    struct wr spki = wr_fixed(spki_mem, sizeof spki_mem), tail = wr_fixed(mem, sizeof mem);
    enum key_type type;
    if (!has_room(c, f->head.reqid))
        return H_DONE;
    if (!check_csr(q->csr, &spki, &type)) {
        conn_reply_error(c, f->head.reqid, WE_BAD_REQUEST, 0, 0, "the certificate request does not verify");
        return H_DONE;
    }
    wr_bytes(&tail, c->id.b, 16);
    wr_str16(&tail, wr_slice(&spki));
    submit(c, f, q->object, q->gen, false, wr_slice(&tail), &type);
    return H_DONE;
}

enum handled on_key_request(struct conn *c, const struct wire_frame *f)
{
    const struct wire_key_request *q = &f->u.key_request;
    uint8_t msg[WIRE_MESSAGE_MAX], mem[160];
    struct wr tail = wr_fixed(mem, sizeof mem);
    if (!has_room(c, f->head.reqid))
        return H_DONE;
    size_t n = wire_seal_message(msg, &c->g->facts.chain_id, &q->seal_key);
    if (!sign_verify(&q->signature, slice_of(msg, n), &c->key)) {
        conn_reply_error(c, f->head.reqid, WE_AUTH, 0, 0, "the sealing key is not signed by the node");
        return H_DONE;
    }
    wr_bytes(&tail, c->id.b, 16);
    wr_bytes(&tail, c->key.b, 32);
    wr_bytes(&tail, q->seal_key.b, 32);
    wr_bytes(&tail, q->signature.b, 64);
    submit(c, f, q->object, q->gen, true, wr_slice(&tail), NULL);
    return H_DONE;
}
