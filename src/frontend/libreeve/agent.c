/* agent.c - an agent made, stepped and freed; what the other files lean on. */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"

const char *agent_phase_name(enum agent_phase p)
{
    static const char *const names[] = { "waiting", "connecting", "tls", "hello", "auth", "enroll", "ready", "leaving", "halted" };
    return (unsigned) p < sizeof names / sizeof *names ? names[p] : "?";
}

const char *agent_freshness_name(enum agent_freshness f)
{
    return f == AGENT_FRESH ? "FRESH" : f == AGENT_STALE ? "STALE" : "EXPIRED";
}

void *bytes_copy(struct slice s)
{
    void *p = malloc(s.len ? s.len : 1);
    if (p != NULL && s.len > 0)
        memcpy(p, s.p, s.len);
    return p;
}

int64_t ag_random_ms(int64_t ms)
{
    return ms <= 0 ? 0 : (int64_t) random_below(ms >= UINT32_MAX ? UINT32_MAX : (uint32_t) ms + 1);
}

void ag_log(struct agent *a, enum agent_level l, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    if (a->host.log == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    a->host.log(a->host.arg, a, l, text);
}

void ag_halt(struct agent *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(a->halted, sizeof a->halted, fmt, ap);
    va_end(ap);
    conn_drop(a);
    a->phase = AP_HALTED;
    ag_log(a, AGENT_LOG_ERROR, "not connecting any more: %s", a->halted);
}

void ag_refuse(struct agent *a, enum reeve_err code, const char *fmt, ...)
{
    char what[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    a->stats.refused[code]++;
    ag_log(a, AGENT_LOG_ERROR, "refused %s from %s: %s: %s", what, a->ep_text, reeve_err_name(code), reeve_err_text(code));
    if (a->host.refused != NULL)
        a->host.refused(a->host.arg, a, code, what);
    if (a->c.fd >= 0 && a->phase != AP_HALTED)
        conn_fail(a, WE_VERIFY, reeve_err_name(code));
}

struct node_view ag_view(const struct agent *a, const struct name *seed)
{
    struct node_view v = { .region = a->region, .labels = &a->labels };
    memcpy(v.id_text, a->id.id_text, sizeof v.id_text);
    v.cohort = rollout_cohort(&crypto_ops_real, name_slice(seed), slice_str(a->id.id_text));
    return v;
}

/* ---- made ---- */

enum reeve_err take_token(struct agent *a, const char *text, struct report *rep)
{
    if (text == NULL || *text == '\0')
        return REEVE_OK;
    if (wire_token_decode(&a->token, slice_str(text)) != REEVE_OK)
        return report_set(rep, REEVE_E_INVALID_TEXT, "the join token is malformed");
    a->have_token = true;
    return REEVE_OK;
}

/* Without trust from the cache the token's region is the one to ask for. */
static enum reeve_err take_pins(struct agent *a, struct report *rep)
{
    if (a->have_trust)
        return REEVE_OK;
    if (!a->have_token)
        return report_set(rep, REEVE_E_NOT_FOUND, "this node is not enrolled: a join token is needed");
    a->region = a->token.region;
    return REEVE_OK;
}

enum reeve_err own_context(const struct agent *a, bool mtls, struct tls_ctx **out, struct report *rep)
{
    enum reeve_err err;
    struct xkey *key = NULL;
    uint8_t mem[128];
    struct wr spki = wr_fixed(mem, sizeof mem), der = wr_heap(X509_DER_MAX);
    char subject[64];
    struct x509_spec spec = { .not_before = { a->now.wall.ms - 86400000 }, .not_after = { a->now.wall.ms + 3650LL * 86400000 } };
    *out = NULL;
    TRY(tls_ctx_client(out, WIRE_ALPN, rep));
    if (!mtls)
        return REEVE_OK;
    snprintf(subject, sizeof subject, "CN=%s", a->id.id_text);
    spec.subject = slice_str(subject);
    x509_serial_random(spec.serial);
    TRY(xkey_from_seed(&key, a->id.sign.seed_and_pub));
    TRY(xkey_spki(key, &spki));
    TRY(x509_issue(&der, &spec, wr_slice(&spki), key, slice_of(NULL, 0)));
    TRY(tls_ctx_identity(*out, wr_slice(&der), key));
out:
    xkey_free(key);
    wr_free(&der);
    if (err != REEVE_OK) {
        tls_ctx_free(*out);
        *out = NULL;
    }
    return err == REEVE_OK ? err : report_set(rep, err, "no TLS context: %s", reeve_err_text(err));
}

static void init(struct agent *a, const struct agent_options *o, const struct agent_host *host, struct agent_now now)
{
    a->host = *host;
    a->id = *o->identity;
    a->store = o->store;
    a->tls = o->tls;
    a->mtls = o->mtls;
    a->observe = o->observe;
    a->now = now;
    a->tick_ms = o->tick_ms ? o->tick_ms : AGENT_TICK_MS;
    a->config_ttl_ms = o->config_ttl_ms;
    a->max_frame = o->max_frame ? o->max_frame : 1u << 20;
    a->attempt_ms = now.mono.ms + o->start_delay_ms;
    a->header_ms = a->config_ms = -1;
    a->subscribe_due_ms = a->heartbeat_due_ms = NEVER_MS;
    a->decide_due = true;
    a->decide_ms = NEVER_MS;
    a->told = now.mono;
    a->next_reqid = 1;
    if (o->labels != NULL)
        a->asked = a->labels = *o->labels;
    snprintf(a->addr_hint, sizeof a->addr_hint, "%s", o->addr_hint ? o->addr_hint : "");
    a->session = wr_heap(8192);
    a->resume = wr_heap(64);
    a->head = wr_heap(HEAD_BYTES_MAX);
    a->fork = wr_heap(FORK_BYTES_MAX);
    a->verify_ms = now.mono.ms;
    backoff_init(&a->backoff);
    conn_init(&a->c);
}

enum reeve_err agent_new(struct agent **out, const struct agent_options *o, const struct agent_host *host,
                         struct agent_now now, struct report *rep)
{
    enum reeve_err err;
    struct agent *a = calloc(1, sizeof *a);
    *out = NULL;
    if (a == NULL || (a->trust = calloc(1, sizeof *a->trust)) == NULL) {
        free(a);
        store_close(o->store);
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    }
    init(a, o, host, now);
    TRY(endpoints_parse(a, o->endpoints, rep));
    TRY(take_token(a, o->token, rep));
    TRY(cache_load(a));
    TRY(take_pins(a, rep));
    if (a->tls == NULL || a->mtls) {
        TRY(own_context(a, a->mtls, &a->tls, rep));
        a->own_tls = true;
    }
    snprintf(a->ep_text, sizeof a->ep_text, "%s:%s", a->ep[0].host, a->ep[0].port);
    *out = a;
out:
    if (err != REEVE_OK)
        agent_free(a);
    return err;
}

void agent_free(struct agent *a)
{
    if (a == NULL)
        return;
    conn_drop(a);
    held_free_all(a);
    values_free(a);
    workloads_free(a);
    gossip_free(a);
    while (a->slots != NULL) {
        struct slot *s = a->slots;
        a->slots = s->next;
        slot_free(s);
    }
    if (a->own_tls)
        tls_ctx_free(a->tls);
    store_close(a->store);
    x509_close(a->root);
    secret_wipe(a->session.p, a->session.len);
    wr_free(&a->session);
    wr_free(&a->resume);
    free(a->trust);
    secret_wipe(a, sizeof *a);
    free(a);
}

/* ---- stepped ---- */

static int64_t least(int64_t x, int64_t y)
{
    return x < y ? x : y;
}

/* Freshness is computed when asked for, but a host that shows it wants to be woken when it turns. */
static int64_t stale_ms(const struct agent *a)
{
    int64_t at = a->header_ms < 0 ? NEVER_MS : a->header_ms + 3 * (int64_t) a->tick_ms;
    return at > ag_mono(a) ? at : NEVER_MS;
}

static void plan_deadline(struct agent *a)
{
    int64_t at = least(conn_deadline(a), stale_ms(a));
    if (a->phase != AP_HALTED) {
        at = least(at, a->decide_due ? ag_mono(a) : a->decide_ms);
        at = least(at, requests_deadline(a));
    }
    at = least(at, certs_deadline(a));
    a->deadline.ms = at;
}

static void work(struct agent *a)
{
    if (a->decide_due || ag_mono(a) >= a->decide_ms)
        decide(a);
    certs_run(a);
    reports_run(a);
    workloads_run(a);
    if (a->values_changed) {
        a->values_changed = false;
        if (a->host.config_changed != NULL)
            a->host.config_changed(a->host.arg, a);
    }
}

void agent_step(struct agent *a, struct agent_now now)
{
    a->now = now;
    conn_run(a);
    requests_timers(a);
    conn_timers(a);
    work(a);
    conn_flush(a);
    cache_commit(a);
    plan_deadline(a);
}

void agent_stop(struct agent *a, struct agent_now now)
{
    a->now = now;
    conn_drop(a);
    cache_commit(a);
    a->phase = AP_HALTED;
    snprintf(a->halted, sizeof a->halted, "stopped");
    plan_deadline(a);
}

void agent_kick(struct agent *a, struct agent_now now)
{
    a->now = now;
    if (a->phase != AP_HALTED && a->phase != AP_WAITING)
        return;
    a->halted[0] = '\0';
    a->phase = AP_WAITING;
    a->attempt_ms = now.mono.ms;
    plan_deadline(a);
}

int agent_fd(const struct agent *a, uint64_t *serial)
{
    if (serial != NULL)
        *serial = a->c.serial;
    return a->c.fd;
}

unsigned agent_events(const struct agent *a)
{
    if (a->c.fd < 0)
        return 0;
    return a->phase == AP_CONNECTING ? AGENT_WRITE : AGENT_READ | (a->c.want_write ? AGENT_WRITE : 0u);
}

struct mono_ms agent_deadline(const struct agent *a)
{
    return a->deadline;
}
