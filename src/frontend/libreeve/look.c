/* look.c - what a host may ask about an agent. */
#include "agent_int.h"

#include <stdlib.h>

#include "common/text.h"

const struct agent_stats *agent_stats(const struct agent *a)
{
    return &a->stats;
}

enum agent_phase agent_phase(const struct agent *a)
{
    return a->phase;
}

const struct agent_identity *agent_identity(const struct agent *a)
{
    return &a->id;
}

bool agent_enrolled(const struct agent *a)
{
    return a->enrolled;
}

static bool slot_settled(const struct agent *a, const struct slot *s)
{
    bool failed = s->tried == s->want && s->result >= RESULT_FAILED;
    bool serves = !s->applies || s->want == 0 || s->want == s->serving || failed;
    return a->observe || (serves && !s->installing && !s->report_due && s->report_reqid == 0);
}

bool agent_settled(const struct agent *a)
{
    if (a->phase != AP_READY || !a->list_known || a->config_ms < 0 || a->decide_due)
        return false;
    for (const struct slot *s = a->slots; s != NULL; s = s->next)
        if (!slot_settled(a, s))
            return false;
    return true;
}

static bool header_fresh(const struct agent *a)
{
    return a->fork.len == 0 && a->header_ms >= 0 && ag_mono(a) - a->header_ms < 3 * (int64_t) a->tick_ms;
}

static enum agent_freshness slot_freshness(const struct agent *a, const struct slot *s)
{
    if (s->serving != 0 && s->not_after_ms != 0 && a->now.wall.ms >= s->not_after_ms)
        return AGENT_EXPIRED;
    const struct held *h = held_find(a, s->type, &s->object);
    bool proved = h != NULL && h->proved_ms >= 0 && ag_mono(a) - h->proved_ms < AGENT_PROVED_MS;
    return proved && header_fresh(a) ? AGENT_FRESH : AGENT_STALE;
}

int64_t config_confirmed_ms(const struct agent *a)
{
    return a->config_ms < 0 ? a->config_wall_ms : a->now.wall.ms - (ag_mono(a) - a->config_ms);
}

static enum agent_freshness config_freshness(const struct agent *a)
{
    bool here = a->config_ms >= 0;
    int64_t at = config_confirmed_ms(a), age = at > 0 ? a->now.wall.ms - at : INT64_MAX;
    if (a->phase == AP_READY && here)
        return AGENT_FRESH;
    if (a->config_ttl_ms != 0 && age >= (int64_t) a->config_ttl_ms)
        return AGENT_EXPIRED;
    return here && age < 3 * (int64_t) a->tick_ms ? AGENT_FRESH : AGENT_STALE;
}

enum agent_freshness agent_freshness(const struct agent *a)
{
    if (a->n_values > 0 && config_freshness(a) == AGENT_EXPIRED)
        return AGENT_EXPIRED;
    for (const struct slot *s = a->slots; s != NULL; s = s->next)
        if (s->type == AT_CERT && s->applies && slot_freshness(a, s) == AGENT_EXPIRED)
            return AGENT_EXPIRED;
    return header_fresh(a) ? AGENT_FRESH : AGENT_STALE;
}

void agent_info(const struct agent *a, struct agent_info *out)
{
    *out = (struct agent_info){
        .region = a->region, .labels = &a->labels, .ordinal = a->ordinal, .height = a->trust->height,
        .log_size = a->trust->log_size, .epoch = a->epoch, .revision = a->revision, .header_time = a->trust->time,
        .header_age_ms = a->header_ms < 0 ? -1 : ag_mono(a) - a->header_ms, .endpoint = a->ep_text,
        .retry_in_ms = -1, .halted = a->fork.len > 0 ? a->forked : a->halted, .last_error = a->last_error,
        .config = config_freshness(a), .values = a->n_values, .objects = a->n_held, .workloads = a->n_workloads,
    };
    if (a->phase == AP_WAITING)
        out->retry_in_ms = a->attempt_ms > ag_mono(a) ? a->attempt_ms - ag_mono(a) : 0;
}

bool agent_cert_at(const struct agent *a, size_t i, struct agent_cert_info *out)
{
    const struct slot *s = a->slots;
    while (s != NULL && (s->type != AT_CERT || i-- > 0))
        s = s->next;
    if (s == NULL)
        return false;
    *out = (struct agent_cert_info){
        .object = s->object, .serving = s->serving, .want = s->want, .tried = s->tried, .result = s->result,
        .code = s->code, .error = s->error, .rollout_id = s->rollout_id, .cohort = s->cohort, .wave = s->wave,
        .applies = s->applies, .installing = s->installing, .not_after = { s->not_after_ms },
        .serial_len = s->serial_len, .freshness = slot_freshness(a, s),
    };
    memcpy(out->serial, s->serial, sizeof out->serial);
    return true;
}

static struct agent_value value_of(const struct agent *a, const struct value *v)
{
    return (struct agent_value){ .key = v->key, .gen = v->gen, .type = v->type, .value = v->bytes,
                                 .freshness = config_freshness(a) };
}

enum reeve_err agent_config_get(const struct agent *a, const struct name *key, struct agent_value *out)
{
    const struct value *v;
    enum reeve_err err = value_pick(a, key, &v);
    if (err == REEVE_OK)
        *out = value_of(a, v);
    return err;
}

void agent_config_each(const struct agent *a, void (*fn)(void *arg, const struct agent_value *v), void *arg)
{
    const struct name *last = NULL;
    for (const struct value *v = a->values; v != NULL; v = v->next) {
        const struct value *picked;
        if (last != NULL && name_eq(last, &v->key))
            continue;                   /* values of one key stand together */
        last = &v->key;
        if (value_pick(a, &v->key, &picked) != REEVE_OK)
            continue;
        struct agent_value view = value_of(a, picked);
        fn(arg, &view);
    }
}

void agent_trusted(const struct agent *a, struct wr *pem)
{
    struct wr der = wr_heap(AGENT_CA_MAX);
    for (const struct held *h = a->held; h != NULL; h = h->next) {
        if (h->type != AT_AUTHORITY)
            continue;
        wr_reset(&der);
        authority_ca_of(a, &h->name, &der);
        struct slice rest = wr_slice(&der), one;
        while ((one = der_first(rest)).len > 0) {
            if (x509_to_pem(one, pem) != REEVE_OK)
                break;
            rest = slice_of(rest.p + one.len, rest.len - one.len);
        }
    }
    wr_free(&der);
}
