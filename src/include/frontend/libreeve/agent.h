/*
 * agent.h - one node of the fleet, as a state machine that a host drives
 *
 * No threads, no signals, no global state: reeve-agent runs one, a fleet runs
 * thousands in one process. They share code and a TLS client context, nothing
 * else; each has its own connection, keys, trust, cache and counters.
 *
 * A host loops: watch agent_fd() for agent_events(), wake at agent_deadline(),
 * call agent_step(). A step reads, verifies, decides, installs by the host's
 * callbacks, reports and writes, and never waits (name resolution aside:
 * endpoints given as addresses do not wait at all).
 *
 * Invariants
 *  G1 Nothing is believed but what bundle_open verified against the pinned
 *     chain and set; a refused bundle leaves no trace but a count and a log
 *     line, and ends the connection.
 *  G2 A generation is installed only if the verified objects say, at that
 *     moment, that this node serves it (V_COHORT otherwise), and only after
 *     key, chain and template were checked.
 *  G3 What is served survives the loss of every server: install and start
 *     work from the cache alone.
 *  G4 An object never goes back to an earlier version (V_VERSION).
 *  G5 Nothing that identifies the node is sent before the gateway has proved
 *     the region's key on this very connection.
 *  G6 Two finalized heads that cannot both be true are kept as evidence, over restarts, and nothing is taken any more. No
 *     byte that a quorum has not signed leads there.
 *  G7 Queues, lists and lengths are bounded by the constants below.
 */
#ifndef REEVE_LIBREEVE_AGENT_H
#define REEVE_LIBREEVE_AGENT_H

#include "crypto/tls.h"
#include "crypto/x509.h"
#include "engine/attest.h"
#include "engine/wire.h"
#include "frontend/libreeve/identity.h"
#include "frontend/libreeve/store.h"

#define AGENT_ENDPOINTS_MAX   16
#define AGENT_OBJECTS_MAX     1024
#define AGENT_VALUES_MAX      100000
#define AGENT_CERTS_MAX       128
#define AGENT_WORKLOADS_MAX   100000
#define AGENT_CA_MAX          (AUTHORITY_GENS_MAX * AUTHORITY_CHAIN_MAX)
#define AGENT_TICK_MS         60000     /* of the validators when idle; three without one: STALE */
#define AGENT_TRUSTS_MS       (30LL * 86400 * 1000)     /* who has seen no newer header for so long follows no other validator set */
#define AGENT_PROVED_MS       1800000   /* an object not proved for so long is STALE */

enum agent_event { AGENT_READ = 1, AGENT_WRITE = 2 };
enum agent_level { AGENT_LOG_DEBUG, AGENT_LOG_INFO, AGENT_LOG_WARNING, AGENT_LOG_ERROR };
enum agent_phase { AP_WAITING, AP_CONNECTING, AP_TLS, AP_HELLO, AP_AUTH, AP_ENROLL, AP_READY, AP_LEAVING, AP_HALTED };
enum agent_freshness { AGENT_FRESH = 1, AGENT_STALE, AGENT_EXPIRED };
const char *agent_phase_name(enum agent_phase p);
const char *agent_freshness_name(enum agent_freshness f);

struct agent;
struct agent_now { struct mono_ms mono; struct wall_ms wall; };

/* A generation with everything that serving it takes. Borrowed during the callback. */
struct agent_cert {
    struct name object;
    uint32_t gen;
    const struct xkey *key;
    struct slice leaf;                  /* DER */
    struct slice chain;                 /* DER certificates one after another, issuer first, as attested */
    struct slice ca;                    /* the same of every trusted generation of the authority */
    const struct x509_info *info;
    uint32_t previous;                  /* generation served so far; 0 none */
    bool fallback_ok;                   /* it may come back: unrevoked and unexpired */
    struct mono_ms told;                /* when the objects that demand it were verified */
};

/* code 0: serves it now. else: what failed, and previous is served again (ROLLBACK: it is not). */
struct agent_install_result { unsigned code; char text[120]; };

struct agent_host {
    void *arg;
    void (*log)(void *arg, struct agent *a, enum agent_level level, const char *text);
    /* Does this host serve that certificate at all? NULL: yes. */
    bool (*wants)(void *arg, struct agent *a, const struct name *object);
    /*
     * Make the generation serve. True: done (or failed), result filled. False:
     * later, by agent_install_done(). One per object at a time.
     */
    bool (*install)(void *arg, struct agent *a, const struct agent_cert *c, struct agent_install_result *res);
    /* Values or the choice among them changed; read them by agent_config_each. May be NULL. */
    void (*config_changed)(void *arg, struct agent *a);
    /* The trusted authorities changed; read them by agent_trusted. May be NULL. */
    void (*trust_changed)(void *arg, struct agent *a);
    /* A refusal, also logged. May be NULL. */
    void (*refused)(void *arg, struct agent *a, enum reeve_err code, const char *what);
};

struct agent_options {
    const char *endpoints;              /* host:port[,host:port ...]; tried in order */
    const char *token;                  /* join token text, or NULL when enrolled already */
    struct tls_ctx *tls;                /* shared client context with ALPN reeve/1; NULL: the agent makes its own */
    bool mtls;                          /* identify by client certificate instead of a signature (own context) */
    const struct agent_identity *identity;      /* copied */
    struct agent_store *store;          /* owned by the agent from here on; NULL: nothing is kept */
    const struct labels *labels;        /* asked for at enrolment; may be NULL */
    const char *addr_hint;
    uint32_t start_delay_ms;            /* before the first attempt */
    uint32_t tick_ms;                   /* 0: AGENT_TICK_MS */
    uint32_t config_ttl_ms;             /* values unconfirmed for so long are EXPIRED; 0: never */
    uint32_t max_frame;                 /* 0: 1 MiB */
    bool observe;                       /* look only: ask for nothing, install nothing, report nothing */
};

/* INVALID_TEXT (endpoints, token), NOMEM, whatever the store says. The store is closed on failure too. */
enum reeve_err agent_new(struct agent **out, const struct agent_options *o, const struct agent_host *host,
                         struct agent_now now, struct report *rep) REEVE_MUST_CHECK;
void agent_free(struct agent *a);

/* -1: none. serial changes with each connection (a number may come back). */
int agent_fd(const struct agent *a, uint64_t *serial);
unsigned agent_events(const struct agent *a);
struct mono_ms agent_deadline(const struct agent *a);
void agent_step(struct agent *a, struct agent_now now);
/* Says good-bye: an orderly close, no further attempt. */
void agent_stop(struct agent *a, struct agent_now now);
/*
 * Another list of servers, another way to identify, other times: what may change
 * while the agent runs (endpoints, token, mtls, labels, addr_hint, tick_ms and
 * config_ttl_ms are read, the rest is ignored). A connection to a server that is
 * no longer listed, or made with the other identity, is given up and the next
 * one made within the reconnect window; dropped says whether. INVALID_TEXT, TOO_BIG,
 * NOMEM: nothing changed.
 */
enum reeve_err agent_change(struct agent *a, const struct agent_options *o, struct agent_now now, bool *dropped,
                            struct report *rep) REEVE_MUST_CHECK;
/* Try again at once after AP_HALTED or a long wait (an operator's wish). */
void agent_kick(struct agent *a, struct agent_now now);

void agent_install_done(struct agent *a, const struct name *object, uint32_t gen, const struct agent_install_result *res,
                        struct agent_now now);

/* ---- finalized heads, told among peers (docs/design/gossip.md) ---- */
/* The newest head verified, for peers: a finalization as in attest.h. Empty: none yet. Valid until the next step. */
struct slice agent_head(const struct agent *a);
/* What a peer told; anything may be in it. */
void agent_heard(struct agent *a, struct slice bytes, struct agent_now now);
/* Evidence of a fork (attest_fork.h); empty: there is none. */
struct slice agent_fork(const struct agent *a);

/* ---- workloads ---- */
struct agent_workload {
    uint8_t id[16];
    struct name service;
    struct wire_addr addr;
    uint16_t port;
    uint32_t ttl_s;
    uint8_t weight, health;
    uint64_t epoch;
};
/* Put or replaced by id; sent when READY and again after each reconnect until acknowledged. TOO_BIG, NOMEM. */
enum reeve_err agent_workload_put(struct agent *a, const struct agent_workload *w) REEVE_MUST_CHECK;
/* Drops from memory what was acknowledged; the region keeps it. For a load generator that registers without end. */
void agent_workloads_forget(struct agent *a);

/* ---- looking ---- */
struct agent_stats {
    uint64_t verified;                  /* finalizations, over the agent's whole life */
    uint64_t connects, resumed, losses;
    uint64_t bundles, ticks, objects;
    uint64_t installs, install_failures, reports_acked;
    uint64_t workloads_acked, workloads_refused;
    uint64_t heads_heard, heads_ignored;
    uint32_t refused[REEVE_E__COUNT];
};
const struct agent_stats *agent_stats(const struct agent *a);
enum agent_phase agent_phase(const struct agent *a);
enum agent_freshness agent_freshness(const struct agent *a);
const struct agent_identity *agent_identity(const struct agent *a);
bool agent_enrolled(const struct agent *a);
/* Connected, everything known, every certificate either serves or has failed, and the region was told. */
bool agent_settled(const struct agent *a);

struct agent_info {
    struct name region;
    const struct labels *labels;
    uint32_t ordinal;
    uint64_t height, log_size, epoch, revision;
    struct wall_ms header_time;
    int64_t header_age_ms;              /* since a newer header was verified in this process; -1: none yet */
    const char *endpoint;               /* of the present or next attempt */
    int64_t retry_in_ms;                /* until the next attempt; -1: connected or halted */
    const char *halted;                 /* why it does not come back, or "" */
    const char *last_error;
    enum agent_freshness config;        /* of the values */
    unsigned values, objects, workloads;
};
void agent_info(const struct agent *a, struct agent_info *out);

struct agent_cert_info {
    struct name object;
    uint32_t serving, want, tried;
    uint8_t result;                     /* as in REPORT */
    unsigned code;
    const char *error;
    uint64_t rollout_id, cohort;
    uint8_t wave;                       /* 1-based by the running plan; 0 none */
    bool applies, installing;
    struct wall_ms not_after;
    uint8_t serial[20];
    size_t serial_len;
    enum agent_freshness freshness;
};
/* The i-th certificate; false past the end. */
bool agent_cert_at(const struct agent *a, size_t i, struct agent_cert_info *out);

struct agent_value { struct name key; uint32_t gen; uint8_t type; struct slice value; enum agent_freshness freshness; };
/* The effective value of a key: what this node's cohort, region and labels make of it. NOT_FOUND, V_LEAF (digest). */
enum reeve_err agent_config_get(const struct agent *a, const struct name *key, struct agent_value *out) REEVE_MUST_CHECK;
void agent_config_each(const struct agent *a, void (*fn)(void *arg, const struct agent_value *v), void *arg);
/* PEM of every trusted generation of every authority held, appended. */
void agent_trusted(const struct agent *a, struct wr *pem);

/* May this node serve that generation now, by the verified objects? V_COHORT, V_REVOKED, V_EXPIRED, NOT_FOUND. */
enum reeve_err agent_permits(const struct agent *a, const struct name *object, uint32_t gen) REEVE_MUST_CHECK;

#endif
