/*
 * gateway_int.h - what the files of the gateway share
 *
 * Invariants
 *  GW1 Nothing here waits: ring and signer are asked by message with an answer
 *      later; a queue that is full refuses instead of growing.
 *  GW2 What one agent sends can end its own connection only.
 *  GW3 What an agent lacks follows from its own state (log size, set version,
 *      revision), never from a queue of events: a slow reader gets the newest
 *      state once it reads on, and there is no silent gap.
 *  GW4 A connection that was closed is freed only after the dispatch in
 *      progress; whoever keeps one for later keeps a conn_ref.
 */
#ifndef REEVE_GATEWAY_INT_H
#define REEVE_GATEWAY_INT_H

#include "backend/gateway/admission.h"
#include "backend/ipc/child.h"
#include "backend/ipc/link.h"
#include "backend/storage/storage.h"
#include "backend/utils/clock.h"
#include "backend/utils/liveness.h"
#include "backend/utils/log.h"
#include "backend/utils/loop.h"
#include "common/text.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/sign.h"
#include "crypto/tls.h"
#include "engine/attest.h"
#include "engine/region.h"
#include "engine/wire.h"

#define GW_LISTEN_MAX      8
#define GW_HANDSHAKE_MS    5000
#define GW_AUTH_MS         10000
#define GW_ENROLL_MS       30000
#define GW_CLOSING_MS      2000
#define GW_WRITE_STALL_MS  30000
#define GW_SWEEP_MS        500
#define GW_SCRATCH         65536
#define GW_READ_ROUNDS     8            /* reads of one connection before others have their turn */
#define GW_PUSH_CHUNK      256          /* connections looked at in one go of a push */
#define GW_OBJECTS_MAX     1024         /* objects that one agent follows */
#define GW_CACHE_MAX       64           /* encoded answers kept while the head stands */
#define GW_CHUNK_BYTES     180000       /* below the smallest max_frame of an agent */
#define GW_QUEUE_SKIP      65536        /* with more than this unsent no push is added */
#define GW_SEND_OVERHEAD   64           /* what a queued answer costs beside its bytes */
#define GW_SLOW_STALL_MS   10000        /* over its byte cap and nothing written for so long: too slow */
#define GW_SLOW_GRACE_MS   30000        /* beside which a set over the cap may take a second for each of */
#define GW_SLOW_BYTES_S    32768        /* these; slower than that is too slow */
#define GW_PINNED_CAPS     64           /* so many caps of queued bytes in all, and who is over its own and stalls has a second */
#define GW_SUBJECTS_MAX    128
#define GW_REQUESTS_MAX    4            /* */
#define GW_REPORTS_MAX     16           /* */
#define GW_REGISTERS_MAX   8            /* */

struct gateway;
struct forks;                           /* heads.c */

/* ---- payloads: bytes on their way to one or many connections (payload.c) ---- */
struct payload { uint32_t refs, len; uint8_t b[]; };
struct payload *payload_new(struct slice bytes);        /* NULL: no memory */
struct payload *payload_of_frame(const struct wire_frame *f);
struct payload *payload_ref(struct payload *p);
void payload_unref(struct payload *p);
/* Several payloads that belong together (a bundle in chunks, a snapshot). */
struct payload_list { uint32_t n, cap; struct payload **p; };
uint64_t payload_bytes_live(void);                      /* of all payloads that somebody still refers to */
bool payload_list_add(struct payload_list *l, struct payload *p);    /* takes the reference; false: no memory */
void payload_list_free(struct payload_list *l);

/* ---- the cache of encoded answers (cache.c): by what was asked, dropped when the state moves ---- */
struct cache_key { uint8_t kind; uint64_t from; struct hash32 what; };
enum { CACHE_BUNDLE = 1, CACHE_TICK, CACHE_REGION, CACHE_DELTA, CACHE_SNAPSHOT };
struct cache_entry { struct cache_key key; struct payload_list list; uint64_t used; };
struct cache { struct cache_entry e[GW_CACHE_MAX]; uint64_t clock; };
const struct payload_list *cache_find(struct cache *c, const struct cache_key *k);
/* Takes the list over; the result stays valid until the next put or drop. */
const struct payload_list *cache_put(struct cache *c, const struct cache_key *k, struct payload_list list);
void cache_drop(struct cache *c, uint8_t kind);
void cache_drop_all(struct cache *c);

/* ---- connections ---- */
enum conn_phase { CP_TLS, CP_HELLO, CP_AUTH, CP_ENROLL, CP_ENROLLING, CP_READY, CP_CLOSING, CP_DEAD };
struct conn_ref { uint32_t slot, gen; };
struct outq { struct payload *p; struct outq *next; bool push; };
struct subject { uint8_t type; bool prefix; struct name name; };
struct subjects { uint32_t n; struct subject s[]; };
struct profile;

struct conn {
    struct gateway *g;
    struct conn *prev, *next;           /* of all connections */
    struct conn *hash_next;             /* of those with one hash of the node id */
    struct conn *busy_next;             /* of those with bytes left to read */
    struct conn_ref ref;
    struct loop_io io;
    struct tls *tls;
    uint8_t phase;
    bool enrolled, paused, busy, following, want_objects, own, resync, config_known;
    uint8_t requests, reports, registers, heads, judged;
    struct mono_ms born, deadline, heard, wrote, header_sent;
    uint8_t *in;
    uint32_t in_len, in_cap;
    struct outq *out_head, **out_tail;
    uint32_t out_off;
    uint64_t out_bytes, out_own;        /* all that waits; of it answers to this agent alone, with their overhead */
    int64_t drain_by_ms;                /* when a queue over the cap must be below it; 0: it is */
    uint8_t slowed;                     /* 1: its queue was dropped once, 2: it is being closed for it */
    uint32_t peer_max_frame;
    uint32_t ordinal, touched_s;
    struct hash32 challenge;
    struct node_id id;
    struct pubkey key, seal_key;
    struct profile *profile;
    struct subjects *subjects;
    uint32_t set_version, subscribes;
    uint64_t log_size, height, revision;
    char agent_version[32];
};

/* ---- label profiles: agents with the same labels follow the same objects (profile.c) ---- */
struct profile {
    struct profile *next;
    uint32_t refs, version;             /* version grows when the set's content changed; 0: not signed yet */
    struct hash32 id, sig, was;         /* of the labels; of the objects and their versions, now and before */
    struct name region;
    struct slice labels;                /* encoded */
};

/* ---- one look at the store ---- */
struct view {
    struct storage_txn *txn;
    struct attest attest;
    struct region region;
};
/* UNAVAILABLE while there is no store. */
enum reeve_err view_open(struct gateway *g, struct view *v) REEVE_MUST_CHECK;
void view_close(struct view *v);

/* The change feed from a revision on (feed.c). */
enum { FEED_CONFIG = 100, FEED_NODE = 101 };
struct feed_entry { uint64_t revision; uint8_t kind; struct name name; };
struct feed_iter { struct kv *kv; bool first; uint8_t key[16]; };
void feed_iter_init(struct feed_iter *it, struct view *v, uint64_t after);
bool feed_iter_next(struct feed_iter *it, struct feed_entry *out);
/* Rows of revisions below this one are gone. */
uint64_t feed_retained(struct view *v);
/* Revisions are comparable within an epoch; it changes with a store that was set back. */
#define GW_EPOCH 1

/* What every answer needs, read once for each attested height (facts.c). */
struct facts {
    bool known;
    struct hash32 chain_id;
    struct name region;
    struct slice genesis, valset;       /* owned */
    uint64_t set_epoch, region_version;
    struct region_doc region_doc;       /* as attested; region_version 0: not yet */
    uint64_t height, log_size, revision;
    /* Last revision that changed config, and the one before it: nothing of config lies between. */
    uint64_t config_revision, config_before;
};

/* ---- batches to the ring (batch.c) ---- */
enum lane_kind { LANE_ENROLL, LANE_REPORT, LANE_REGISTER, LANE__COUNT };
struct batch_item { struct conn_ref ref; uint64_t id; uint32_t ordinal; uint16_t n; uint32_t len; };
struct batch;
struct lane {
    struct gateway *g;
    enum lane_kind kind;
    struct batch *head, **tail, *last;
    unsigned n, under_way;
    bool over;                          /* no memory for its timer: the process ends */
    struct loop_timer retry;
    uint64_t committed;                 /* items, for the statistics line */
};

/* ---- requests to the signer (cert.c) ---- */
struct sign_request;

struct gateway {
    struct child *child;
    struct loop *loop;
    struct storage *storage;
    struct liveness *liveness;
    struct ipc_link *ring, *signer;
    void *region_scratch;

    struct loop_io listeners[GW_LISTEN_MAX];
    unsigned n_listeners;
    struct tls_ctx *tls;
    struct admission admission;
    bool stopping, have_tickets;
    uint64_t shed, shed_told;           /* connections closed before TLS; as far as the log says */
    int64_t shed_told_ms;

    struct sign_key key;
    struct pubkey pub;
    struct slice delegation;            /* owned; empty until the signer gave one */
    bool speaks;                        /* a key of the attested region made it: agents will believe it */
    struct wall_ms delegation_until;
    struct loop_timer delegate_timer, ticket_timer, store_timer, sweep_timer, flush_timer, stop_timer;

    struct conn *conns;
    uint32_t n_conns, n_opening;
    uint32_t churn, churn_seen;         /* connections and requests since memory was given back; at the last sweep */
    struct conn **slots;
    uint32_t *slot_gen;
    uint32_t n_slots, free_hint;
    struct conn **by_node;              /* power of two buckets */
    uint32_t by_node_mask;
    struct conn *dead;
    struct loop_task reap_task, busy_task, push_task, refresh_task;
    struct conn *busy;
    uint32_t push_at;                   /* slot of the walk in progress */
    bool pushing, push_again;

    struct facts facts;
    struct profile *profiles;
    struct cache cache;
    struct lane lane[LANE__COUNT];
    struct forks *forks;
    struct sign_request *sign_head, **sign_tail;
    unsigned sign_waiting, sign_under_way;

    uint8_t scratch[GW_SCRATCH];
    struct object_key keys[GW_OBJECTS_MAX];
    /* Decoded documents are large: one of each, used within one call only. */
    struct cert_doc cert;
    struct config_doc config;
    struct node_row node;
};

/* conn.c */
struct conn *conn_new(struct gateway *g, int fd);
void conn_close(struct conn *c, const char *why);
/* Tells the peer, then closes once that is out. retry and after_ms as in ERROR. */
void conn_fail(struct conn *c, enum wire_code code, uint8_t retry, uint32_t after_ms, const char *why);
void conn_retry_after(struct conn *c, uint32_t after_ms, uint8_t reason);
void conn_phase_set(struct conn *c, enum conn_phase phase, int64_t deadline_ms);
struct conn *conn_of(struct gateway *g, struct conn_ref ref);       /* NULL when gone */
struct conn *conn_of_node(struct gateway *g, const struct node_id *id);
void conn_index_node(struct conn *c);
void conn_sweep(struct gateway *g);
bool conns_init(struct gateway *g);
/* Numeric address of the peer, for the log and node rows. */
void conn_peer_text(const struct conn *c, char out[64]);

/* conn_io.c */
void conn_on_io(void *arg, uint32_t revents);
void conn_send(struct conn *c, struct payload *p);                  /* takes the reference; NULL closes (no memory) */
/* The same for what can be had again by SUBSCRIBE: it may pass the byte cap, and is dropped when the agent is slow. */
void conn_push(struct conn *c, struct payload *p);
void conn_send_frame(struct conn *c, const struct wire_frame *f);
void conn_reply_error(struct conn *c, uint64_t reqid, enum wire_code code, uint8_t retry, uint32_t after_ms,
                      const char *why);
void conn_reply_retry(struct conn *c, uint64_t reqid, uint32_t after_ms, uint8_t reason);
void conn_pause(struct conn *c, bool paused);
void conn_busy_run(void *arg);

/* slow.c: agents that do not read */
void slow_note(struct conn *c);                                     /* the queue grew or shrank */
void slow_check(struct conn *c);                                    /* from the sweep */
/* Drops what can be had again and says RESYNC; the second time closes (SLOW). */
void slow_act(struct conn *c);

/* dispatch.c */
enum handled { H_DONE, H_LATER /* keep the frame, stop reading until conn_pause(false) */ };
enum handled dispatch_frame(struct conn *c, struct slice bytes);

/* opening.c, enroll.c */
enum handled on_hello(struct conn *c, const struct wire_frame *f);
enum handled on_auth(struct conn *c, const struct wire_frame *f);
enum handled on_enroll(struct conn *c, const struct wire_frame *f);

/* node.c */
enum node_verdict { NODE_REFUSED /* and closing */, NODE_SAME, NODE_CHANGED };
/* The node's row decides: labels, refusal. Used at AUTH, after ENROLL and when the row changes. */
enum node_verdict node_admit(struct conn *c, struct view *v);
struct wire_list node_labels(const struct labels *l, struct wr *w);
void send_auth_ok(struct conn *c);

/* follow.c, config.c */
enum handled on_subscribe(struct conn *c, const struct wire_frame *f);
/* Sends whatever the connection lacks, if it reads. */
void follow_catch_up(struct conn *c, bool tick_due);
void follow_push_start(struct gateway *g);
void follow_push_run(void *arg);
bool config_behind(const struct conn *c);
bool config_catch_up(struct conn *c, struct view *v);

/* objects.c */
enum reeve_err objects_gather(struct gateway *g, struct view *v, const struct profile *p,
                              const struct subjects *extra, bool own, size_t *n);
/* Signs the sets of all profiles anew; a profile whose set changed gets a new version. */
enum reeve_err objects_refresh(struct gateway *g, struct view *v);
/* The same for one that was made since. */
enum reeve_err objects_refresh_one(struct gateway *g, struct view *v, struct profile *p);
/* profile.c */
struct profile *profile_get(struct gateway *g, const struct name *region, const struct labels *labels);
void profile_unref(struct gateway *g, struct profile *p);
bool profile_labels(const struct profile *p, struct labels *out);

/* facts.c */
void facts_store_open(void *arg);
void facts_wake(struct gateway *g);
void facts_refresh(void *arg);

/* cert.c */
enum handled on_cert_request(struct conn *c, const struct wire_frame *f);
enum handled on_key_request(struct conn *c, const struct wire_frame *f);
void sign_init(struct gateway *g);
void sign_kick(struct gateway *g);

/* report.c, batch.c */
enum handled on_report(struct conn *c, const struct wire_frame *f);
enum handled on_register(struct conn *c, const struct wire_frame *f);
enum handled on_register_batch(struct conn *c, const struct wire_frame *f);
void lane_init(struct gateway *g, enum lane_kind kind);
/* BUSY when the queue is full; items are n encoded items of the lane's command. */
enum reeve_err lane_add(struct lane *l, struct slice items, const struct batch_item *item) REEVE_MUST_CHECK;
void lane_kick(struct lane *l);
/*
 * One item's answer; c is NULL when its connection is gone. err: the batch was
 * not taken (its fate may be unknown). word: the region's own on this item.
 */
void enroll_answer(struct conn *c, enum reeve_err err, enum reeve_err word, const struct batch_item *i);
void report_answer(struct conn *c, enum reeve_err err, enum reeve_err word, const struct batch_item *i);
void register_answer(struct conn *c, enum reeve_err err, enum reeve_err word, const struct batch_item *i);

/* identity.c */
enum reeve_err identity_init(struct gateway *g, struct report *rep) REEVE_MUST_CHECK;
void identity_signer_up(void *arg);
/* After the delegation or the attested region changed. */
void identity_judge(struct gateway *g);

/* heads.c */
enum handled on_heads(struct conn *c, const struct wire_frame *f);
void heads_sweep(struct gateway *g);

/* listen.c */
enum reeve_err listen_open(struct gateway *g, struct report *rep) REEVE_MUST_CHECK;
void listen_close(struct gateway *g);
void listen_tell_shed(struct gateway *g);

static inline int64_t gw_setting(const struct gateway *g, enum setting_id id)
{
    return settings_int(g->child->settings, id);
}

#endif
