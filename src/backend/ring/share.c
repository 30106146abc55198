/*
 * share.c - shared certificates' keys, brought to the signers of all members
 *
 *   where they are made: for each generation in use and each member whose key is attested the note
 *   "shared/MEMBER/GEN/HASH of the certificate's name": name cert | u32 gen | str16 key sealed to that member
 *   a member: hands each note of its own to its signer, once in this process's life
 *
 * So any member's signer can seal a shared key to an agent. What lies in the
 * store is sealed; a note goes with its generation, or with the member.
 */
#include "backend/ring/driver_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

#define ASK_TIMEOUT_MS 10000
#define RETRY_MS 1000
#define PREFIX "shared/"
#define TAKEN_MAX 256u

struct share {
    bool asking;
    int64_t retry_ms;
    struct name note;                   /* what is under way */
    struct hash32 taken[TAKEN_MAX];     /* notes that the signer has; the oldest gives way and is told again */
    unsigned n_taken;
    struct region_doc region;           /* decoded for one call */
    struct cert_doc cert;
};

struct share *share_new(void) { return calloc(1, sizeof(struct share)); }
void share_free(struct share *s) { free(s); }

static void note_name(struct name *out, uint32_t member, uint32_t gen, const struct name *cert)
{
    char text[64], hex[17];
    struct hash32 h;
    sha256(&h, name_slice(cert));
    hex_encode(hex, h.b, 8);
    snprintf(text, sizeof text, PREFIX "%u/%u/%s", member, gen, hex);
    name_set_str(out, text);
}

static bool read_region(struct ring *r, struct share *s, struct ring_view *v)
{
    struct attest_object o;
    return attest_get(&v->attest, AT_REGION, &r->region_name, &o) == REEVE_OK && o.update.op == 1 &&
           region_doc_decode(&s->region, o.update.payload) == REEVE_OK;
}

static bool read_cert(struct ring *r, struct share *s, const struct attest_object *o)
{
    return o->update.op == 1 && name_eq(&o->update.region, &r->region_name) &&
           cert_doc_decode(&s->cert, o->update.payload) == REEVE_OK && s->cert.mode != CERT_PER_NODE;
}

static bool in_use(const struct cert_gen *g)
{
    return g != NULL && (g->state == GEN_PREPARED || g->state == GEN_ACTIVE);
}

static bool put_bundle(struct ring_view *v, const struct object_key *keys, size_t n, struct wr *w)
{
    struct wr b = wr_heap(1u << 20);
    bool ok = attest_bundle(&v->attest, 0, keys, n, &b) == REEVE_OK && !b.bad;
    wr_str32(w, wr_slice(&b));
    wr_free(&b);
    return ok && !w->bad;
}

/* ---- where the keys are made ---- */

struct export_call { struct ring *r; struct name cert; uint32_t gen; };

static void on_exported(void *arg, struct ipc_answer *a)
{
    struct export_call *call = arg;
    struct share *s = call->r->share;
    struct wr w = wr_heap(REGION_NOTE_MAX);
    if (s != NULL) {
        s->asking = false;
        wr_name(&w, &call->cert);
        wr_u32(&w, call->gen);
        wr_bytes(&w, a->result.p, a->result.len);
        if (a->err != REEVE_OK || w.bad || note_put(call->r, &s->note, wr_slice(&w)) != REEVE_OK) {
            s->retry_ms = clock_wall().ms + RETRY_MS;
            log_limited(LOG_SEV_WARNING, "the key of certificate \"%s\" could not be shared: %s", call->cert.s,
                        a->err != REEVE_OK ? a->rep.message : "the queue is full");
        }
    }
    wr_free(&w);
    free(call);
}

static void ask_export(struct ring *r, struct share *s, struct ring_view *v, const struct name *cert, uint32_t gen, uint32_t member)
{
    struct object_key keys[2] = { { AT_CERT, *cert }, { AT_REGION, r->region_name } };
    struct wr w = wr_heap(1u << 20);
    struct export_call *call = malloc(sizeof *call);
    bool ok = call != NULL && put_bundle(v, keys, 2, &w);
    if (ok) {
        *call = (struct export_call){ r, *cert, gen };
        wr_name(&w, cert);
        wr_u32(&w, gen);
        wr_u32(&w, member);
        ok = !w.bad && ipc_link_request(r->signer, MSG_SHARED_EXPORT, wr_slice(&w), ASK_TIMEOUT_MS, on_exported, call) == REEVE_OK;
    }
    s->asking = ok;
    if (!ok)
        free(call);
    wr_free(&w);
}

static void export_lacking(struct ring *r, struct share *s, struct ring_view *v, const struct name *cert)
{
    for (uint8_t g = 0; g < s->cert.n; g++)
        for (unsigned i = 0; i < s->region.n_members && in_use(&s->cert.g[g]); i++) {
            struct slice note;
            note_name(&s->note, s->region.member[i].id, s->cert.g[g].gen, cert);
            if (region_note_get(&v->region, &s->note, &note) == REEVE_OK)
                continue;
            ask_export(r, s, v, cert, s->cert.g[g].gen, s->region.member[i].id);
            return;
        }
}

static bool is_past(struct ring *r, struct share *s, struct ring_view *v, uint32_t member, struct slice note)
{
    struct rd in = rd_of(note);
    struct name cert;
    struct attest_object o;
    rd_name(&in, &cert);
    uint32_t gen = rd_u32(&in);
    if (in.bad || region_member_find(&s->region, member) == NULL)
        return true;
    enum reeve_err err = attest_get(&v->attest, AT_CERT, &cert, &o);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND;
    return !read_cert(r, s, &o) || !in_use(cert_gen_find(&s->cert, gen));
}

static void forget_past(struct ring *r, struct share *s, struct ring_view *v)
{
    struct kv_iter it;
    struct slice key, note;
    struct name name;
    region_iter_init(&v->region, &it, 'q', slice_str(PREFIX));
    while (region_iter_next(&it, &key, &note) == REEVE_OK) {
        if (!name_set(&name, key) || !is_past(r, s, v, (uint32_t) strtoul(name.s + sizeof PREFIX - 1, NULL, 10), note))
            continue;
        s->retry_ms = clock_wall().ms + RETRY_MS;
        if (note_put(r, &name, slice_of(NULL, 0)) != REEVE_OK)
            return;
    }
}

static void run_first(struct ring *r, struct share *s, struct ring_view *v)
{
    struct name at = { 0 };
    struct attest_object o;
    while (!s->asking && attest_next(&v->attest, AT_CERT, &at, &o) == REEVE_OK)
        if (read_cert(r, s, &o))
            export_lacking(r, s, v, &at);
    forget_past(r, s, v);
}

/* ---- a member ---- */

static struct hash32 mark_of(const struct name *name, struct slice note)
{
    struct hash32 h;
    const struct slice parts[2] = { name_slice(name), note };
    sha256_parts(&h, parts, 2);
    return h;
}

static bool is_taken(const struct share *s, const struct hash32 *mark)
{
    for (unsigned i = 0; i < s->n_taken && i < TAKEN_MAX; i++)
        if (hash32_eq(&s->taken[i], mark))
            return true;
    return false;
}

struct import_call { struct ring *r; struct hash32 mark; };

static void on_imported(void *arg, struct ipc_answer *a)
{
    struct import_call *call = arg;
    struct share *s = call->r->share;
    if (s != NULL) {
        s->asking = false;
        if (a->err == REEVE_OK)
            s->taken[s->n_taken++ % TAKEN_MAX] = call->mark;
        else {
            s->retry_ms = clock_wall().ms + RETRY_MS;
            log_limited(LOG_SEV_WARNING, "the signer did not take a shared key: %s", a->rep.message);
        }
    }
    free(call);
}

static void ask_import(struct ring *r, struct share *s, struct ring_view *v, const struct hash32 *mark, struct slice note)
{
    struct rd in = rd_of(note);
    struct object_key key = { .type = AT_CERT };
    struct wr w = wr_heap(1u << 20);
    struct import_call *call = malloc(sizeof *call);
    rd_name(&in, &key.name);
    bool ok = call != NULL && !in.bad && put_bundle(v, &key, 1, &w);
    if (ok) {
        *call = (struct import_call){ r, *mark };
        wr_bytes(&w, note.p, note.len);
        ok = !w.bad && ipc_link_request(r->signer, MSG_SHARED_IMPORT, wr_slice(&w), ASK_TIMEOUT_MS, on_imported, call) == REEVE_OK;
    }
    s->asking = ok;
    if (!ok)
        free(call);
    wr_free(&w);
}

static void run_joined(struct ring *r, struct share *s, struct ring_view *v)
{
    char prefix[32];
    struct kv_iter it;
    struct slice key, note;
    struct name name;
    snprintf(prefix, sizeof prefix, PREFIX "%u/", core_id(r->prop.core));
    region_iter_init(&v->region, &it, 'q', slice_str(prefix));
    while (!s->asking && region_iter_next(&it, &key, &note) == REEVE_OK) {
        if (!name_set(&name, key))
            continue;
        struct hash32 mark = mark_of(&name, note);
        if (!is_taken(s, &mark))
            ask_import(r, s, v, &mark, note);
    }
}

void share_run(struct ring *r, struct ring_view *v)
{
    struct share *s = r->share;
    if (s->asking || clock_wall().ms < s->retry_ms)
        return;
    if (r->attests && read_region(r, s, v))
        run_first(r, s, v);
    else if (r->has_keys && !r->attests)
        run_joined(r, s, v);
}
