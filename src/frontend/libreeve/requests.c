/* requests.c - frames that wait for an answer: certificates, keys, reports. */
#include "agent_int.h"

#include <stdio.h>

#define RETRY_BASE_MS   1000
#define RETRY_CAP_MS    30000
#define RETRY_FINAL_MS  60000
#define TRIES_TELL      3               /* so many failures, and the region hears of it */

#define N_REQUESTS (REQUESTS_MAX + REPORTS_MAX)

static unsigned *count_of(struct agent *a, uint8_t kind)
{
    return kind == RQ_REPORT ? &a->n_report_rq : &a->n_cert_rq;
}

struct request *request_new(struct agent *a, enum request_kind kind, struct slot *s, uint32_t gen)
{
    unsigned *n = count_of(a, kind);
    if (*n >= (kind == RQ_REPORT ? REPORTS_MAX : REQUESTS_MAX))
        return NULL;
    for (size_t i = 0; i < N_REQUESTS; i++)
        if (a->rq[i].kind == RQ_NONE) {
            a->rq[i] = (struct request){ a->next_reqid++, kind, s, gen, ag_mono(a) + REQUEST_MS };
            (*n)++;
            return &a->rq[i];
        }
    return NULL;
}

struct request *request_find(struct agent *a, uint64_t id)
{
    for (size_t i = 0; i < N_REQUESTS; i++)
        if (a->rq[i].kind != RQ_NONE && a->rq[i].id == id)
            return &a->rq[i];
    return NULL;
}

void request_end(struct agent *a, struct request *r)
{
    (*count_of(a, r->kind))--;
    r->kind = RQ_NONE;
}

/* Full jitter here too: a signer that comes back is not to meet everybody at once. */
static int64_t retry_wait(uint8_t tries, int64_t after_ms)
{
    int64_t top = (int64_t) RETRY_BASE_MS << (tries < 5 ? tries : 5);
    int64_t wait = RETRY_BASE_MS / 4 + ag_random_ms(top < RETRY_CAP_MS ? top : RETRY_CAP_MS);
    return after_ms > 0 ? after_ms + ag_random_ms(after_ms / 4) : wait;
}

static void material_failed(struct agent *a, struct slot *s, uint32_t gen, unsigned code, bool for_good, int64_t after_ms,
                            struct slice text)
{
    char why[120];
    struct material *m = material_find(s, gen);
    if (m == NULL || m->state != MAT_ASKED)
        return;
    m->state = MAT_DUE;
    m->tries = m->tries < 255 ? m->tries + 1 : 255;
    m->due_ms = ag_mono(a) + (for_good ? RETRY_FINAL_MS : retry_wait(m->tries, after_ms));
    snprintf(why, sizeof why, "%s: %.*s", wire_error_name(code), (int) text.len, (const char *) text.p);
    ag_log(a, for_good ? AGENT_LOG_WARNING : AGENT_LOG_DEBUG, "certificate \"%s\" generation %u was not issued: %s",
           s->object.s, gen, why);
    bool told = s->tried == gen && s->result == RESULT_FAILED;
    if (gen == s->want && !told && (for_good || m->tries >= TRIES_TELL))
        slot_result(a, s, gen, RESULT_FAILED, WE_ISSUE, why);
}

void request_failed(struct agent *a, struct request *r, unsigned code, bool for_good, int64_t after_ms, struct slice text)
{
    struct request was = *r;
    request_end(a, r);
    if (was.kind != RQ_REPORT) {
        material_failed(a, was.slot, was.gen, code, for_good, after_ms, text);
        return;
    }
    if (was.slot->report_reqid != was.id)
        return;
    was.slot->report_reqid = 0;
    was.slot->report_due = !for_good;
    a->reports_hold_ms = ag_mono(a) + (after_ms > 0 ? after_ms : RETRY_BASE_MS);
}

void requests_reset(struct agent *a)
{
    for (size_t i = 0; i < N_REQUESTS; i++) {
        struct request *r = &a->rq[i];
        struct material *m = r->kind == RQ_CERT || r->kind == RQ_KEY ? material_find(r->slot, r->gen) : NULL;
        if (m != NULL && m->state == MAT_ASKED) {
            m->state = MAT_DUE;
            m->due_ms = ag_mono(a);
        }
        if (r->kind == RQ_REPORT && r->slot->report_reqid == r->id) {
            r->slot->report_reqid = 0;
            r->slot->report_due = true;
        }
        r->kind = RQ_NONE;
    }
    a->n_cert_rq = a->n_report_rq = 0;
}

void requests_timers(struct agent *a)
{
    for (size_t i = 0; i < N_REQUESTS; i++)
        if (a->rq[i].kind != RQ_NONE && ag_mono(a) >= a->rq[i].deadline_ms)
            request_failed(a, &a->rq[i], WE_DEADLINE, false, 0, slice_str("no answer in time"));
}

int64_t requests_deadline(const struct agent *a)
{
    int64_t at = NEVER_MS;
    for (size_t i = 0; i < N_REQUESTS; i++)
        if (a->rq[i].kind != RQ_NONE && a->rq[i].deadline_ms < at)
            at = a->rq[i].deadline_ms;
    if (a->phase == AP_READY && a->reports_hold_ms > ag_mono(a) && a->reports_hold_ms < at)
        at = a->reports_hold_ms;
    return at;
}
