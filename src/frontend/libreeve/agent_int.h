/*
 * agent_int.h - what the files of the agent share
 *
 * One step: conn_run (bytes in, frames handled) -> due timers -> decide (when
 * objects, labels or time demand it) -> certs_run, reports_run, workloads_run
 * (frames out) -> conn_flush -> the store's commit -> the next deadline.
 */
#ifndef REEVE_LIBREEVE_AGENT_INT_H
#define REEVE_LIBREEVE_AGENT_INT_H

#include "crypto/hash.h"
#include "crypto/ops.h"
#include "engine/attest_fork.h"
#include "engine/backoff.h"
#include "frontend/libreeve/agent.h"

#define NEVER_MS INT64_MAX

#define CONNECT_MS     5000
#define HANDSHAKE_MS   10000
#define OPENING_MS     30000            /* HELLO to READY */
#define LEAVING_MS     2000
#define REQUEST_MS     30000
#define SUBSCRIBE_MS   600000           /* */
#define REQUESTS_MAX   4                /* */
#define REPORTS_MAX    16               /* */
#define REGISTERS_MAX  8                /* */
#define MATERIALS_MAX  4
#define SKEW_MS        300000
#define OUT_MAX        (4u << 20)

/* ---- attested objects held (objects.c) ---- */
struct held {
    struct held *next;
    uint8_t type;
    bool seen;                          /* by the scope 1 list that is coming in */
    struct name name;
    uint64_t version;
    int64_t proved_ms;                  /* monotonic; -1: from the cache, not proved in this process */
    struct slice leaf;                  /* owned */
};

/* ---- finalized heads (gossip.c) ---- */
#define AGENT_HEADS_KNOWN 32
#define AGENT_HEADS_HEARD 4
struct known_head { uint64_t height; struct hash32 hash; };
struct heard_head { struct slice bytes; /* owned; from a peer, and final */ uint64_t height; bool asked; };

/* ---- config values held (values.c) ---- */
struct value {
    struct value *next;
    struct name key;
    uint32_t gen;
    uint8_t state, type;
    bool seen;
    uint64_t revision;
    struct slice bytes;                 /* owned */
};

/* ---- what is needed to serve a generation ---- */
enum material_state { MAT_NONE, MAT_DUE, MAT_ASKED, MAT_READY };
struct material {
    uint32_t gen;
    uint8_t state, tries;
    int64_t due_ms;                     /* MAT_DUE: when to ask */
    struct xkey *key;
    struct slice leaf;                  /* owned */
    struct x509_info *info;             /* owned; MAT_READY */
};

/* ---- one object whose generation this node serves: a certificate or a config key (certs.c, keys.c) ---- */
enum { RESULT_NONE, RESULT_TOLD, RESULT_DONE, RESULT_FAILED, RESULT_REJECTED };
struct slot {
    struct slot *next;
    uint8_t type;                       /* AT_CERT or AT_CONFIG */
    struct name object;
    bool applies, installing, seen;
    uint32_t want, serving, tried, prepare, installing_gen;
    uint8_t result, wave;
    uint16_t code;
    char error[120];
    uint64_t rollout_id, cohort;
    uint32_t latency_ms;
    struct mono_ms told;
    int64_t retry_ms, not_after_ms;     /* next try of a failed installation; of the certificate served */
    uint32_t retries;
    uint8_t serial[20], serial_len;
    bool report_due;
    uint64_t report_reqid;              /* 0: none under way */
    struct material m[MATERIALS_MAX];
};

enum request_kind { RQ_NONE, RQ_CERT, RQ_KEY, RQ_REPORT };
struct request { uint64_t id; uint8_t kind; struct slot *slot; uint32_t gen; int64_t deadline_ms; };

struct workload { struct agent_workload w; bool dirty; uint64_t seq; struct workload *next; };

struct endpoint { char host[256]; char port[8]; unsigned failed; };       /* failed: so often, and at another of its addresses next */

/* ---- the connection (conn.c) ---- */
struct conn {
    int fd;
    uint64_t serial;
    struct tls *tls;
    bool peeked, want_write, more_to_read;
    uint8_t *in;
    size_t in_len, in_cap;
    struct wr out;
    size_t out_off;
    int64_t since_ms, heard_ms, sent_ms, deadline_ms;
};

struct agent {
    struct agent_host host;
    struct agent_identity id;
    struct agent_store *store;
    bool store_dirty;
    struct tls_ctx *tls;
    bool own_tls, mtls, observe;
    struct agent_now now;
    struct mono_ms deadline;

    struct endpoint ep[AGENT_ENDPOINTS_MAX];
    unsigned n_ep, at_ep;
    char ep_text[300];
    bool have_token;
    struct wire_token token;
    struct labels asked, labels;
    char addr_hint[64];
    uint32_t tick_ms, config_ttl_ms, max_frame;

    enum agent_phase phase;
    struct conn c;
    struct backoff backoff;
    bool was_ready, leaving_for_good;
    int64_t attempt_ms;                 /* of the next connection */
    char halted[160], last_error[200];
    struct wr session;                  /* TLS */

    /* what the gateway said */
    uint32_t heartbeat_ms, window_ms, peer_max_frame;
    int64_t heartbeat_due_ms, subscribe_due_ms;
    struct hash32 challenge;
    uint8_t exporter[32];

    /* who I am here */
    bool enrolled;
    uint32_t ordinal;
    struct name region;
    struct wr resume;

    bool have_trust;
    struct trust *trust;
    int64_t header_ms;                  /* monotonic, when a newer header was verified; -1 never */
    struct known_head heads[AGENT_HEADS_KNOWN];
    struct heard_head heard[AGENT_HEADS_HEARD];
    unsigned n_heads, next_heard, verifies;
    int64_t verify_ms, ask_ms;
    struct wr head, fork;               /* the newest finalization; evidence, empty: none */
    char forked[300];
    struct held *held;
    unsigned n_held;
    bool list_open, list_known;         /* a scope 1 list is coming in; one came whole on this connection */

    struct value *values;
    unsigned n_values;
    bool snapshot_open, values_changed;
    uint64_t epoch, revision;
    int64_t config_ms;                  /* values confirmed; -1 not in this process */
    int64_t config_wall_ms;             /* by the wall clock, when they were last confirmed before this process; 0 never */

    struct x509_cert *root;             /* material.c: the authority's certificate used last, decoded */
    struct hash32 root_hash;
    struct slot *slots;
    bool decide_due;
    int64_t decide_ms;                  /* when time alone demands it */
    struct mono_ms told;                /* of the newest change of objects */
    struct hash32 trusted;              /* hash over the trusted authorities the host was told of */

    uint64_t next_reqid;
    struct request rq[REQUESTS_MAX + REPORTS_MAX];
    unsigned n_cert_rq, n_report_rq;
    int64_t reports_hold_ms;

    struct workload *workloads;
    unsigned n_workloads, n_dirty, n_registers;
    uint64_t register_seq;

    struct agent_stats stats;
};

/* agent.c */
void ag_log(struct agent *a, enum agent_level l, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static inline int64_t ag_mono(const struct agent *a) { return a->now.mono.ms; }
/* Uniform in 0..ms. */
int64_t ag_random_ms(int64_t ms);
/* Halts: no further attempt until kicked. */
void ag_halt(struct agent *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Counts, logs and tells the host about a refusal; the connection ends with ERROR VERIFY. */
void ag_refuse(struct agent *a, enum reeve_err code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
struct node_view ag_view(const struct agent *a, const struct name *seed);

/* look.c: by the wall clock, when the values were confirmed last; 0 never */
int64_t config_confirmed_ms(const struct agent *a);

/* change.c, agent.c */
enum reeve_err take_token(struct agent *a, const char *text, struct report *rep) REEVE_MUST_CHECK;
/* A client context of the agent's own, with its certificate where mtls. */
enum reeve_err own_context(const struct agent *a, bool mtls, struct tls_ctx **out, struct report *rep) REEVE_MUST_CHECK;

/* conn.c: the life of a connection; conn_io.c: bytes */
void conn_init(struct conn *c);
void conn_open(struct agent *a);
void conn_run(struct agent *a);
void conn_flush(struct agent *a);
/* Ends it and plans the next attempt. */
void conn_lost(struct agent *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void conn_drop(struct agent *a);
void conn_leave(struct agent *a);
void conn_timers(struct agent *a);
int64_t conn_deadline(const struct agent *a);
bool conn_send(struct agent *a, const struct wire_frame *f);
bool conn_read(struct agent *a);
bool conn_write(struct agent *a);
/* Tells the gateway why, then conn_lost. */
void conn_fail(struct agent *a, enum wire_code code, const char *why);
void conn_ready(struct agent *a);
void plan_attempt(struct agent *a, int64_t at_least_ms);

/* session.c: opening; frames.c: READY */
void session_hello(struct agent *a);
void on_frame(struct agent *a, struct slice bytes);
void on_welcome(struct agent *a, const struct wire_welcome *w);
void on_auth_ok(struct agent *a, const struct wire_auth_ok *w);
void on_enrolled(struct agent *a, const struct wire_enrolled *w);
void session_subscribe(struct agent *a);

/* endpoints.c */
enum reeve_err endpoints_parse(struct agent *a, const char *text, struct report *rep) REEVE_MUST_CHECK;
/* A non-blocking socket on its way; -1 with last_error set. */
int endpoint_connect(struct agent *a, const struct endpoint *e);

/* gossip.c */
/* Of a bundle that stands up against everything held: false where it makes a fork with the own head. */
bool gossip_taken(struct agent *a, struct slice bundle);
/* Of one that does not: is it the other half of a fork? */
void gossip_refused(struct agent *a, struct slice bundle);
/* The trust moved on. */
void gossip_advanced(struct agent *a);
void gossip_ready(struct agent *a);
void gossip_load(struct agent *a);
void gossip_free(struct agent *a);
void on_heads(struct agent *a, const struct wire_heads *w);

/* objects.c */
struct held *held_find(const struct agent *a, uint8_t type, const struct name *name);
/* A live object's payload (a put); false where absent or deleted. */
bool held_payload(const struct agent *a, uint8_t type, const struct name *name, struct slice *payload);
void held_drop(struct agent *a, struct held *h);
void held_free_all(struct agent *a);
enum reeve_err held_put(struct agent *a, uint8_t type, const struct name *name, uint64_t version, struct slice leaf) REEVE_MUST_CHECK;
/* Verifies and takes. scope as in BUNDLE; 0: a tick; 4: the region's proof. False: refused, the connection is gone. */
bool bundle_take(struct agent *a, struct slice bundle, uint8_t scope, bool more);

/* values.c */
void on_config(struct agent *a, const struct wire_config *w, bool more);
void values_free(struct agent *a);
enum reeve_err value_add(struct agent *a, const struct name *key, const struct value *like, struct slice bytes) REEVE_MUST_CHECK;
enum reeve_err value_pick(const struct agent *a, const struct name *key, const struct value **out) REEVE_MUST_CHECK;
bool key_attested(const struct agent *a, const struct name *key);

/* decide.c */
void decide(struct agent *a);
/* The ROLLOUT an object names, decoded; false where it names none or it is not held. */
bool rollout_of(const struct agent *a, uint64_t id, struct rollout_doc *r);
struct slot *slot_get(struct agent *a, uint8_t type, const struct name *object, bool create);
void slot_free(struct slot *s);

/* material.c, check.c */
struct material *material_find(struct slot *s, uint32_t gen);
/* a NULL: the store is left alone (while it is being read). */
struct material *material_make(struct agent *a, struct slot *s, uint32_t gen);
void material_clear(struct material *m);
enum reeve_err material_check(struct agent *a, const struct slot *s, const struct material *m, struct slice leaf,
                              const struct xkey *key, struct x509_info *info, unsigned *code, struct report *rep) REEVE_MUST_CHECK;
void authority_chain_of(const struct agent *a, const struct cert_doc *d, uint32_t gen, struct wr *out);
/* The certificates between the leaf and its root: an intermediate if it is under one, then the authority's chain; else nothing. */
void authority_path_of(struct agent *a, const struct cert_doc *d, uint32_t gen, struct slice leaf, const struct x509_info *info,
                       struct wr *out);
void authority_ca_of(const struct agent *a, const struct name *authority, struct wr *out);
/* First certificate of concatenated DER; len 0 when malformed. */
struct slice der_first(struct slice ders);

/* certs.c */
void certs_run(struct agent *a);
int64_t certs_deadline(const struct agent *a);
void on_cert_reply(struct agent *a, uint64_t reqid, const struct wire_cert_reply *w);
void on_key_reply(struct agent *a, uint64_t reqid, const struct wire_key_reply *w);
void slot_result(struct agent *a, struct slot *s, uint32_t gen, uint8_t result, unsigned code, const char *text);

/* requests.c */
struct request *request_new(struct agent *a, enum request_kind kind, struct slot *s, uint32_t gen);
struct request *request_find(struct agent *a, uint64_t id);
void request_end(struct agent *a, struct request *r);
void requests_reset(struct agent *a);
/* One failed: by ERROR (code), RETRY_AFTER (after_ms) or silence. */
void request_failed(struct agent *a, struct request *r, unsigned code, bool for_good, int64_t after_ms, struct slice text);
void requests_timers(struct agent *a);
int64_t requests_deadline(const struct agent *a);

/* reports.c */
void reports_run(struct agent *a);
void on_report_ack(struct agent *a, uint64_t reqid);

/* workloads.c */
void workloads_run(struct agent *a);
void workloads_reset(struct agent *a);
void on_register_ack(struct agent *a, const struct wire_register_ack *w);
void workloads_free(struct agent *a);

/* cache.c: what stands in the store */
enum reeve_err cache_load(struct agent *a) REEVE_MUST_CHECK;
void cache_commit(struct agent *a);
void cache_put_trust(struct agent *a);
void cache_put_meta(struct agent *a);
void cache_put_head(struct agent *a);
void cache_put_fork(struct agent *a);
void cache_put_session(struct agent *a);
void cache_put_held(struct agent *a, const struct held *h);
void cache_del_held(struct agent *a, const struct held *h);
void cache_put_value(struct agent *a, const struct value *v);
void cache_del_value(struct agent *a, const struct value *v);
void cache_put_slot(struct agent *a, const struct slot *s);
void cache_del_slot(struct agent *a, const struct slot *s);
void cache_put_material(struct agent *a, const struct slot *s, const struct material *m);
void cache_del_material(struct agent *a, const struct slot *s, uint32_t gen);

/* NULL on failure. */
void *bytes_copy(struct slice s);

#endif
