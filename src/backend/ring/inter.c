/*
 * inter.c - intermediates of members under the region's authorities
 *
 *   member: for each authority's generation in use that has none for it yet: a key in its signer, and the request as the
 *   note "inter/MEMBER/GEN/HASH of the authority's name": name authority | u32 gen | str16 SPKI | 64 signature
 *   where the authority's key is: the signer issues (it proves the member's key by the attested region), AUTHORITY gets
 *   the certificate by a security update, the note goes
 *
 * From then on the member's signer issues leaves under it, whoever else is
 * dead. One of each is under way at a time; what is lost is begun again.
 */
#include "backend/ring/driver_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

#define ASK_TIMEOUT_MS 10000
#define RETRY_MS 1000
#define PREFIX "inter/"

struct inter {
    bool asking;                        /* the signer, or the validators */
    int64_t retry_ms;
    struct name authority;              /* what is asked for */
    uint32_t gen, member;
    struct authority_doc doc;           /* decoded for one call */
    uint8_t payload[ATTEST_PAYLOAD_MAX];
};

struct inter *inter_new(void) { return calloc(1, sizeof(struct inter)); }
void inter_free(struct inter *n) { free(n); }

static void later(struct inter *n)
{
    n->retry_ms = clock_wall().ms + RETRY_MS;
}

static void note_name(struct name *out, uint32_t member, uint32_t gen, const struct name *authority)
{
    char text[64], hex[17];
    struct hash32 h;
    sha256(&h, name_slice(authority));
    hex_encode(hex, h.b, 8);
    snprintf(text, sizeof text, PREFIX "%u/%u/%s", member, gen, hex);
    name_set_str(out, text);
}

static bool in_use(const struct authority_gen *g)
{
    return (g->state == AUTH_PREPARED || g->state == AUTH_ACTIVE) && g->chain_len > 0;
}

static bool doc_of(struct inter *n, struct ring *r, const struct attest_object *o)
{
    return o->update.op == 1 && authority_doc_decode(&n->doc, o->update.payload) == REEVE_OK &&
           name_eq(&n->doc.region, &r->region_name);
}

/* ---- a member: a key, and a request ---- */

static void on_key(void *arg, struct ipc_answer *a)
{
    struct ring *r = arg;
    struct inter *n = r->inter;
    struct name name;
    uint8_t mem[1024];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (n == NULL)
        return;
    n->asking = false;
    later(n);
    if (a->err != REEVE_OK) {
        log_limited(LOG_SEV_WARNING, "no key for an intermediate: %s", a->rep.message);
        return;
    }
    wr_name(&w, &n->authority);
    wr_u32(&w, n->gen);
    wr_bytes(&w, a->result.p, a->result.len);
    note_name(&name, core_id(r->prop.core), n->gen, &n->authority);
    if (w.bad || note_put(r, &name, wr_slice(&w)) != REEVE_OK)
        log_debug("a request for an intermediate is lost");
}

static void ask_key(struct ring *r, struct inter *n, const struct name *authority, const struct authority_gen *g)
{
    uint8_t mem[300];
    struct wr w = wr_fixed(mem, sizeof mem);
    n->authority = *authority;
    n->gen = g->gen;
    wr_name(&w, authority);
    wr_u32(&w, g->gen);
    wr_u8(&w, g->key_type);
    n->asking = ipc_link_request(r->signer, MSG_INTERMEDIATE_KEY, wr_slice(&w), ASK_TIMEOUT_MS, on_key, r) == REEVE_OK;
}

/* Where an external authority's chain ends there, its region's signer issues for it alone. */
static bool may_have(const struct authority_doc *d, const struct authority_gen *g)
{
    return !d->external || x509_may_certify(slice_of(g->chain, g->chain_len));
}

static const struct authority_gen *lacking(struct ring *r, struct inter *n, struct ring_view *v, const struct name *authority)
{
    uint32_t me = core_id(r->prop.core);
    for (uint8_t i = 0; i < n->doc.n; i++) {
        const struct authority_gen *g = &n->doc.g[i];
        struct name name;
        struct slice note;
        note_name(&name, me, g->gen, authority);
        if (in_use(g) && authority_inter_find(&n->doc, g->gen, me) == NULL &&
            region_note_get(&v->region, &name, &note) != REEVE_OK && may_have(&n->doc, g))
            return g;
    }
    return NULL;
}

static bool is_attested(struct ring *r, struct ring_view *v)
{
    static struct region_doc d;
    struct attest_object o;
    return attest_get(&v->attest, AT_REGION, &r->region_name, &o) == REEVE_OK &&
           region_doc_decode(&d, o.update.payload) == REEVE_OK && region_member_find(&d, core_id(r->prop.core)) != NULL;
}

static void run_joined(struct ring *r, struct inter *n, struct ring_view *v)
{
    struct name at = { 0 };
    struct attest_object o;
    if (!is_attested(r, v))
        return;
    while (!n->asking && attest_next(&v->attest, AT_AUTHORITY, &at, &o) == REEVE_OK) {
        const struct authority_gen *g = doc_of(n, r, &o) ? lacking(r, n, v, &at) : NULL;
        if (g)
            ask_key(r, n, &at, g);
    }
}

/* ---- where the authority's key is ---- */

static void submitted(void *arg, enum reeve_err err, const struct report *rep, uint64_t height, uint64_t first_leaf)
{
    struct ring *r = arg;
    (void) height;
    (void) first_leaf;
    if (err != REEVE_OK && err != REEVE_E_SHUTDOWN && err != REEVE_E_CONFLICT)
        log_limited(LOG_SEV_WARNING, "an authority's intermediates could not be changed: %s", rep->message);
    if (r->inter)
        r->inter->asking = false;
}

/* n->doc as the authority's next version. */
static bool submit(struct ring *r, struct inter *n, struct ring_view *v, const struct name *authority, const char *why)
{
    struct update u = { 0 };
    struct wr w = wr_fixed(n->payload, sizeof n->payload);
    struct report rep = { .code = REEVE_OK };
    authority_doc_encode(&n->doc, &w);
    if (w.bad || update_prepare(&v->attest, AT_AUTHORITY, authority, wr_slice(&w), &u) != REEVE_OK)
        return false;
    name_set_str(&u.actor, DRIVER_ACTOR);
    u.reason = slice_str(why);
    return ring_submit_updates(r, &u, 1, submitted, r, &rep) == REEVE_OK;
}

/* Room for one more: those of generations that nothing is issued under any more go first. */
static enum reeve_err put_inter(struct inter *n, struct slice der)
{
    enum reeve_err err = authority_inter_set(&n->doc, n->gen, n->member, der);
    for (uint8_t i = 0; err == REEVE_E_TOO_MANY && i < n->doc.n_inter; i++) {
        const struct authority_inter x = n->doc.inter[i];
        if (in_use(authority_gen_find(&n->doc, x.gen)))
            continue;
        err = authority_inter_set(&n->doc, x.gen, x.member, slice_of(NULL, 0));
        if (err == REEVE_OK)
            err = authority_inter_set(&n->doc, n->gen, n->member, der);
    }
    return err;
}

static void on_issued(void *arg, struct ipc_answer *a)
{
    struct ring *r = arg;
    struct inter *n = r->inter;
    struct rd in = rd_of(a->result);
    struct slice der = rd_str16(&in, AUTHORITY_INTER_BYTES);
    struct attest_object o;
    struct ring_view v;
    if (n == NULL)
        return;
    n->asking = false;
    later(n);
    if (a->err != REEVE_OK || !rd_done(&in)) {
        log_limited(LOG_SEV_WARNING, "no intermediate for member %u: %s", n->member,
                    a->err != REEVE_OK ? a->rep.message : "the answer does not parse");
        return;
    }
    if (ring_view_open(r, &v) != REEVE_OK)
        return;
    bool there = attest_get(&v.attest, AT_AUTHORITY, &n->authority, &o) == REEVE_OK && doc_of(n, r, &o);
    if (there && put_inter(n, der) == REEVE_OK)
        n->asking = submit(r, n, &v, &n->authority, "an intermediate for a member of the ring");
    else if (there)
        log_limited(LOG_SEV_WARNING, "authority \"%s\" has no room for an intermediate of member %u", n->authority.s, n->member);
    ring_view_close(&v);
}

struct request { struct name authority; uint32_t gen; struct slice rest; };

static bool read_request(struct slice note, struct request *q)
{
    struct rd in = rd_of(note);
    rd_name(&in, &q->authority);
    q->gen = rd_u32(&in);
    q->rest = slice_of(in.p, rd_left(&in));
    return !in.bad && q->rest.len > 0;
}

static void ask_issue(struct ring *r, struct inter *n, struct ring_view *v, uint32_t member, const struct request *q)
{
    struct wr w = wr_heap(1u << 20), b = wr_heap(1u << 20);
    struct object_key keys[2] = { { AT_AUTHORITY, q->authority }, { AT_REGION, r->region_name } };
    n->authority = q->authority;
    n->gen = q->gen;
    n->member = member;
    if (attest_bundle(&v->attest, 0, keys, 2, &b) == REEVE_OK && !b.bad) {
        wr_str32(&w, wr_slice(&b));
        wr_name(&w, &q->authority);
        wr_u32(&w, q->gen);
        wr_u32(&w, member);
        wr_bytes(&w, q->rest.p, q->rest.len);
        n->asking = !w.bad && ipc_link_request(r->signer, MSG_INTERMEDIATE_ISSUE, wr_slice(&w), ASK_TIMEOUT_MS, on_issued, r) == REEVE_OK;
    }
    wr_free(&w);
    wr_free(&b);
}

static bool is_member(struct ring *r, uint32_t id)
{
    return raft_conf_find(core_conf(r->prop.core), id) != NULL;
}

/* Answered, or of a member or a generation that is gone. */
static bool is_past(struct ring *r, struct inter *n, struct ring_view *v, uint32_t member, const struct request *q)
{
    struct attest_object o;
    enum reeve_err err = attest_get(&v->attest, AT_AUTHORITY, &q->authority, &o);
    if (!is_member(r, member) || err == REEVE_E_NOT_FOUND)
        return true;
    if (err != REEVE_OK || !doc_of(n, r, &o))
        return err == REEVE_OK;
    const struct authority_gen *g = authority_gen_find(&n->doc, q->gen);
    return g == NULL || !in_use(g) || authority_inter_find(&n->doc, q->gen, member) != NULL;
}

static void serve_note(struct ring *r, struct inter *n, struct ring_view *v, const struct name *name, struct slice note)
{
    struct request q;
    uint32_t member = (uint32_t) strtoul(name->s + sizeof PREFIX - 1, NULL, 10);
    struct name want;
    bool sound = read_request(note, &q);
    if (sound) {
        note_name(&want, member, q.gen, &q.authority);
        sound = name_eq(&want, name);
    }
    if (sound && !is_past(r, n, v, member, &q)) {
        ask_issue(r, n, v, member, &q);
        return;
    }
    later(n);
    if (note_put(r, name, slice_of(NULL, 0)) != REEVE_OK)
        log_debug("a note waits: the queue is full");
}

/* One at a time: the next round sees what came of it. */
static bool serve_notes(struct ring *r, struct inter *n, struct ring_view *v)
{
    struct kv_iter it;
    struct slice key, note;
    struct name name;
    region_iter_init(&v->region, &it, 'q', slice_str(PREFIX));
    if (region_iter_next(&it, &key, &note) != REEVE_OK || !name_set(&name, key))
        return false;
    serve_note(r, n, v, &name, note);
    return true;
}

/* Of members that went. Leaves under them are believed no more by who looks at them again. */
static void prune(struct ring *r, struct inter *n, struct ring_view *v)
{
    struct name at = { 0 };
    struct attest_object o;
    while (!n->asking && attest_next(&v->attest, AT_AUTHORITY, &at, &o) == REEVE_OK) {
        uint8_t before = doc_of(n, r, &o) ? n->doc.n_inter : 0;
        for (uint8_t i = before; i > 0; i--)
            if (!is_member(r, n->doc.inter[i - 1].member))
                (void) !authority_inter_set(&n->doc, n->doc.inter[i - 1].gen, n->doc.inter[i - 1].member, slice_of(NULL, 0));
        if (before != 0 && n->doc.n_inter < before) {
            later(n);
            n->asking = submit(r, n, v, &at, "a member left the ring");
        }
    }
}

uint32_t inter_last_id(struct ring *r, struct ring_view *v)
{
    struct name at = { 0 };
    struct attest_object o;
    uint32_t last = 0;
    while (r->inter != NULL && attest_next(&v->attest, AT_AUTHORITY, &at, &o) == REEVE_OK) {
        const struct authority_doc *d = &r->inter->doc;
        uint8_t n = doc_of(r->inter, r, &o) ? d->n_inter : 0;
        for (uint8_t i = 0; i < n; i++)
            last = d->inter[i].member > last ? d->inter[i].member : last;
    }
    return last;
}

static void run_first(struct ring *r, struct inter *n, struct ring_view *v)
{
    if (core_conf(r->prop.core)->n > 0 && !serve_notes(r, n, v))
        prune(r, n, v);
}

void inter_run(struct ring *r, struct ring_view *v)
{
    struct inter *n = r->inter;
    if (n->asking || clock_wall().ms < n->retry_ms)
        return;
    if (r->attests)
        run_first(r, n, v);
    else if (r->has_keys)
        run_joined(r, n, v);
}
