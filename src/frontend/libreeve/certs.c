/*
 * certs.c - certificates asked for, checked, installed
 *
 * A generation moves NONE -> DUE -> ASKED -> READY; whether it may serve is
 * asked of the verified objects again at the moment of installation (G2).
 */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"

#define RETRY_INSTALL_MS 30000
#define RETRY_REFUSED_MS 60000

void slot_result(struct agent *a, struct slot *s, uint32_t gen, uint8_t result, unsigned code, const char *text)
{
    s->tried = gen;
    s->result = result;
    s->code = (uint16_t) code;
    snprintf(s->error, sizeof s->error, "%s", text);
    if (result >= RESULT_DONE)
        s->latency_ms = (uint32_t) (ag_mono(a) - s->told.ms);
    s->report_due = true;
    cache_put_slot(a, s);
}

/* ---- asking ---- */

static void send_request(struct agent *a, struct slot *s, struct material *m, struct wire_frame *f)
{
    struct request *r = request_new(a, f->head.type == WF_CERT_REQUEST ? RQ_CERT : RQ_KEY, s, m->gen);
    if (r == NULL)
        return;
    f->head.flags = WIRE_REQID | WIRE_DEADLINE;
    f->head.reqid = r->id;
    f->head.deadline_ms = REQUEST_MS;
    m->state = MAT_ASKED;
    (void) conn_send(a, f);
}

static void ask_leaf(struct agent *a, struct slot *s, struct material *m, const struct cert_doc *d)
{
    struct wire_frame f = wire_frame_of(WF_CERT_REQUEST);
    uint8_t mem[2048];
    char subject[64];
    struct wr csr = wr_fixed(mem, sizeof mem);
    snprintf(subject, sizeof subject, "CN=%s", a->id.id_text);
    if ((m->key == NULL && xkey_generate(&m->key, (enum key_type) d->key_type) != REEVE_OK) ||
        csr_create(&csr, m->key, slice_str(subject)) != REEVE_OK) {
        ag_log(a, AGENT_LOG_ERROR, "certificate \"%s\": no key could be made", s->object.s);
        m->due_ms = ag_mono(a) + RETRY_REFUSED_MS;
        return;
    }
    f.u.cert_request.object = name_slice(&s->object);
    f.u.cert_request.gen = m->gen;
    f.u.cert_request.csr = wr_slice(&csr);
    send_request(a, s, m, &f);
}

static void ask_key(struct agent *a, struct slot *s, struct material *m)
{
    struct wire_frame f = wire_frame_of(WF_KEY_REQUEST);
    uint8_t msg[WIRE_MESSAGE_MAX];
    size_t len = wire_seal_message(msg, &a->trust->chain_id, &a->id.seal_pub);
    f.u.key_request.object = name_slice(&s->object);
    f.u.key_request.gen = m->gen;
    f.u.key_request.seal_key = a->id.seal_pub;
    sign_detached(&f.u.key_request.signature, slice_of(msg, len), &a->id.sign);
    send_request(a, s, m, &f);
}

static void ask(struct agent *a, struct slot *s, struct material *m)
{
    struct cert_doc d;
    struct slice payload;
    if (!held_payload(a, AT_CERT, &s->object, &payload) || cert_doc_decode(&d, payload) != REEVE_OK ||
        cert_gen_find(&d, m->gen) == NULL)
        material_clear(m);
    else if (d.mode == CERT_PER_NODE)
        ask_leaf(a, s, m, &d);
    else
        ask_key(a, s, m);
}

/* ---- answers ---- */

static void take_material(struct agent *a, struct slot *s, struct material *m, struct slice leaf)
{
    struct x509_info *info = calloc(1, sizeof *info);
    struct report rep;
    unsigned code = WE_ISSUE;
    report_clear(&rep);
    enum reeve_err err = info ? material_check(a, s, m, leaf, m->key, info, &code, &rep) : REEVE_E_NOMEM;
    uint8_t *copy = err == REEVE_OK ? bytes_copy(leaf) : NULL;
    if (copy != NULL) {
        m->leaf = slice_of(copy, leaf.len);
        m->info = info;
        m->state = MAT_READY;
        cache_put_material(a, s, m);
        return;
    }
    free(info);
    err = err == REEVE_OK ? REEVE_E_NOMEM : err;
    a->stats.refused[err]++;
    ag_log(a, AGENT_LOG_ERROR, "certificate \"%s\" generation %u refused: %s: %s", s->object.s, m->gen, reeve_err_name(err),
           rep.message[0] ? rep.message : wire_error_text(code));
    if (a->host.refused != NULL)
        a->host.refused(a->host.arg, a, err, "a certificate");
    uint32_t gen = m->gen;
    material_clear(m);
    m->gen = gen;
    m->state = MAT_DUE;
    m->tries = 1;
    m->due_ms = ag_mono(a) + RETRY_REFUSED_MS;
    if (gen == s->want)
        slot_result(a, s, gen, RESULT_REJECTED, code >= 100 ? code : WE_VERIFY, wire_error_text(code));
}

/* Nobody asked for it: a generation that no finalized wave grants this node, or just noise. */
static void unsolicited(struct agent *a, struct slice object, uint64_t gen)
{
    struct name name;
    enum reeve_err err = name_set(&name, object) ? agent_permits(a, &name, (uint32_t) gen) : REEVE_E_NOT_FOUND;
    if (err == REEVE_E_V_COHORT || err == REEVE_E_V_REVOKED)
        ag_refuse(a, err, "generation %u of \"%s\" pushed by the gateway", (unsigned) gen, name.s);
    else
        conn_fail(a, WE_UNEXPECTED, "an answer to no request");
}

static struct material *answered(struct agent *a, uint64_t reqid, enum request_kind kind, struct slice object, uint64_t gen,
                                 struct slot **slot)
{
    struct request *r = request_find(a, reqid);
    if (r == NULL || r->kind != kind || r->gen != gen || !slice_eq(name_slice(&r->slot->object), object)) {
        unsolicited(a, object, gen);
        return NULL;
    }
    *slot = r->slot;
    request_end(a, r);
    struct material *m = material_find(*slot, (uint32_t) gen);
    return m != NULL && m->state == MAT_ASKED ? m : NULL;
}

void on_cert_reply(struct agent *a, uint64_t reqid, const struct wire_cert_reply *w)
{
    struct slot *s;
    struct material *m = answered(a, reqid, RQ_CERT, w->object, w->gen, &s);
    if (m != NULL)
        take_material(a, s, m, w->leaf);
}

void on_key_reply(struct agent *a, uint64_t reqid, const struct wire_key_reply *w)
{
    struct slot *s;
    uint8_t plain[4096];
    struct material *m = answered(a, reqid, RQ_KEY, w->object, w->gen, &s);
    if (m == NULL)
        return;
    size_t len = w->sealed.len > SEAL_OVERHEAD ? w->sealed.len - SEAL_OVERHEAD : 0;
    bool ok = len > 0 && seal_open(plain, w->sealed, &a->id.seal) == REEVE_OK &&
              xkey_from_der(&m->key, slice_of(plain, len)) == REEVE_OK;
    secret_wipe(plain, sizeof plain);
    if (ok) {
        take_material(a, s, m, w->leaf);
        return;
    }
    a->stats.refused[REEVE_E_V_KEY]++;
    ag_log(a, AGENT_LOG_ERROR, "certificate \"%s\" generation %u: the sealed key does not open", s->object.s, m->gen);
    m->state = MAT_DUE;
    m->due_ms = ag_mono(a) + RETRY_REFUSED_MS;
    if (m->gen == s->want)
        slot_result(a, s, m->gen, RESULT_REJECTED, WE_OPEN_KEY, wire_error_text(WE_OPEN_KEY));
}

/* ---- installing ---- */

static void served(struct slot *s, uint32_t gen)
{
    const struct material *m = material_find(s, gen);
    s->serving = gen;
    s->serial_len = 0;
    s->not_after_ms = 0;
    if (m == NULL || m->info == NULL)
        return;
    s->serial_len = (uint8_t) m->info->serial_len;
    memcpy(s->serial, m->info->serial, m->info->serial_len);
    s->not_after_ms = m->info->not_after.ms;
}

static void installed(struct agent *a, struct slot *s, uint32_t gen, const struct agent_install_result *res)
{
    s->installing = false;
    s->installing_gen = 0;
    if (res->code == 0) {
        served(s, gen);
        s->retries = 0;
        a->stats.installs++;
        ag_log(a, AGENT_LOG_INFO, "certificate \"%s\" generation %u serves", s->object.s, gen);
        slot_result(a, s, gen, RESULT_DONE, 0, "");
        return;
    }
    if (res->code == WE_ROLLBACK)
        s->serving = 0;                 /* nobody knows: the next try finds out */
    a->stats.install_failures++;
    int64_t wait = (int64_t) RETRY_INSTALL_MS << (s->retries < 5 ? s->retries : 5);
    s->retries++;
    s->retry_ms = ag_mono(a) + wait;
    ag_log(a, AGENT_LOG_ERROR, "certificate \"%s\" generation %u failed: %s: %s; again in %lld s", s->object.s, gen,
           wire_error_name(res->code), res->text, (long long) wait / 1000);
    slot_result(a, s, gen, RESULT_FAILED, res->code >= 100 ? res->code : WE_LOCAL, res->text);
}

void agent_install_done(struct agent *a, const struct name *object, uint32_t gen, const struct agent_install_result *res,
                        struct agent_now now)
{
    struct slot *s = slot_get(a, AT_CERT, object, false);
    a->now = now;
    if (s != NULL && s->installing && s->installing_gen == gen)
        installed(a, s, gen, res);
    a->decide_due = true;
    a->deadline = now.mono;
}

static bool may_fall_back(const struct agent *a, const struct cert_doc *d, uint32_t gen)
{
    const struct cert_gen *g = cert_gen_find((struct cert_doc *) d, gen);
    return g != NULL && g->state != GEN_REVOKED && a->now.wall.ms < g->not_after.ms;
}

static void install(struct agent *a, struct slot *s, struct material *m)
{
    struct agent_install_result res = { 0 };
    struct cert_doc d;
    struct slice payload;
    uint8_t chain_mem[AUTHORITY_INTER_BYTES + AUTHORITY_CHAIN_MAX];
    struct wr chain = wr_fixed(chain_mem, sizeof chain_mem), ca = wr_heap(AGENT_CA_MAX);
    if (!held_payload(a, AT_CERT, &s->object, &payload) || cert_doc_decode(&d, payload) != REEVE_OK)
        return;
    if (m->info)
        authority_path_of(a, &d, m->gen, m->leaf, m->info, &chain);
    authority_ca_of(a, &d.authority, &ca);
    struct agent_cert c = {
        .object = s->object, .gen = m->gen, .key = m->key, .leaf = m->leaf, .chain = wr_slice(&chain), .ca = wr_slice(&ca),
        .info = m->info, .previous = s->serving, .fallback_ok = may_fall_back(a, &d, s->serving), .told = s->told,
    };
    s->installing = true;
    s->installing_gen = m->gen;
    if (chain.len == 0)
        res.code = WE_CHAIN;
    if (chain.len == 0 || a->host.install(a->host.arg, a, &c, &res))
        installed(a, s, m->gen, &res);
    wr_free(&ca);
}

static unsigned code_of(enum reeve_err e)
{
    return e == REEVE_E_V_COHORT ? WE_COHORT : e == REEVE_E_V_EXPIRED ? WE_EXPIRED : WE_VERIFY;
}

static void try_install(struct agent *a, struct slot *s, struct material *m)
{
    enum reeve_err err = agent_permits(a, &s->object, m->gen);
    if (err == REEVE_OK) {
        install(a, s, m);
        return;
    }
    s->retry_ms = ag_mono(a) + RETRY_REFUSED_MS;
    if (s->tried == m->gen && s->result == RESULT_REJECTED)
        return;
    a->stats.refused[err]++;
    ag_log(a, AGENT_LOG_ERROR, "certificate \"%s\" generation %u is not installed: %s", s->object.s, m->gen, reeve_err_text(err));
    slot_result(a, s, m->gen, RESULT_REJECTED, code_of(err), reeve_err_text(err));
}

static bool host_wants(struct agent *a, struct slot *s)
{
    if (a->host.wants == NULL || a->host.wants(a->host.arg, a, &s->object))
        return true;
    if (s->want != 0 && s->tried != s->want && a->phase == AP_READY)
        slot_result(a, s, s->want, RESULT_REJECTED, WE_LOCAL, "no folder is configured for this certificate");
    return false;
}

static void slot_run(struct agent *a, struct slot *s)
{
    if (!host_wants(a, s))
        return;
    for (size_t i = 0; i < MATERIALS_MAX; i++)
        if (s->m[i].state == MAT_DUE && ag_mono(a) >= s->m[i].due_ms && a->phase == AP_READY && a->n_cert_rq < REQUESTS_MAX)
            ask(a, s, &s->m[i]);
    if (s->want == 0 || s->want == s->serving || s->installing || ag_mono(a) < s->retry_ms)
        return;
    if (s->tried != s->want)            /* overwritten in this very step when the installation ends in it */
        slot_result(a, s, s->want, RESULT_TOLD, 0, "");
    struct material *m = material_find(s, s->want);
    if (m != NULL && m->state == MAT_READY)
        try_install(a, s, m);
}

void certs_run(struct agent *a)
{
    if (a->observe)
        return;
    for (struct slot *s = a->slots; s != NULL; s = s->next)
        if (s->type == AT_CERT && s->applies)
            slot_run(a, s);
}

static int64_t slot_deadline(const struct agent *a, const struct slot *s)
{
    int64_t at = NEVER_MS;
    bool may_ask = a->phase == AP_READY && a->n_cert_rq < REQUESTS_MAX;
    for (size_t i = 0; may_ask && i < MATERIALS_MAX; i++)
        if (s->m[i].state == MAT_DUE && s->m[i].due_ms < at)
            at = s->m[i].due_ms;
    if (s->want != 0 && s->want != s->serving && !s->installing && s->retry_ms > 0 && s->retry_ms < at)
        at = s->retry_ms > ag_mono(a) ? s->retry_ms : at;
    return at;
}

int64_t certs_deadline(const struct agent *a)
{
    int64_t at = NEVER_MS;
    if (a->observe)
        return at;
    for (const struct slot *s = a->slots; s != NULL; s = s->next) {
        if (s->type != AT_CERT || !s->applies || (a->host.wants && !a->host.wants(a->host.arg, (struct agent *) a, &s->object)))
            continue;
        int64_t t = slot_deadline(a, s);
        at = t < at ? t : at;
    }
    return at;
}
