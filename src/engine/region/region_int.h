/*
 * region_int.h - what the files of this folder share
 *
 * A command is applied through struct apply: the kv it writes to (the host's
 * transaction, or for RC_TXN an overlay over it that is flushed only when every
 * operation succeeded), its index and time, and what history rows repeat.
 */
#ifndef REEVE_ENGINE_REGION_INT_H
#define REEVE_ENGINE_REGION_INT_H

#include "engine/region.h"

#include "common/text.h"
#include "engine/region/runs.h"

#define ROLE_NAME_MAX     63        /* as PostgreSQL's; two of them fit one key */
#define TEXT16_MAX        65535
#define RESULT_MAX        (256u << 10)
#define ROW_MAX           (160u << 10)
#define OVERLAY_ENTRIES   4096
#define OVERLAY_BYTES     (4u << 20)
#define JSON_VALUE_MAX    4096      /* of a config value, as history shows it */

/* ---- keys (keys.c) ---- */
struct rkey { struct wr w; uint8_t b[KV_KEY_MAX]; };
void rkey_begin(struct rkey *k, uint8_t table);
struct slice rkey_slice(const struct rkey *k);
void rkey_name(struct rkey *k, uint8_t table, const struct name *name);
void rkey_u32(struct rkey *k, uint8_t table, uint32_t v);
void rkey_bytes(struct rkey *k, uint8_t table, const void *p, size_t len);
/* name 00 u32 */
void rkey_name_u32(struct rkey *k, uint8_t table, const struct name *name, uint32_t v);
/* role 00 member */
void rkey_pair(struct rkey *k, uint8_t table, const struct name *a, const struct name *b);
/* u8 type, name 00 u32 */
void rkey_deploy(struct rkey *k, uint8_t type, const struct name *object, uint32_t ordinal);
void rkey_grant(struct rkey *k, const struct name *grantee, uint8_t kind, struct slice object);
void rkey_wave(struct rkey *k, uint64_t rollout, const struct name *region, uint8_t wave);
void rkey_u64_u32(struct rkey *k, uint8_t table, uint64_t a, uint32_t b);
void rkey_u64_u16(struct rkey *k, uint8_t table, uint64_t a, uint16_t b);

/* Numbers in the meta table; absent reads as zero. */
enum reeve_err meta_get(struct kv *kv, const char *what, uint64_t *out) REEVE_MUST_CHECK;
enum reeve_err meta_put(struct kv *kv, const char *what, uint64_t v) REEVE_MUST_CHECK;
/* The newest rollout of an object, 0 if there never was one. */
enum reeve_err meta_last_rollout(struct kv *kv, uint8_t type, const struct name *object, uint64_t *id) REEVE_MUST_CHECK;
enum reeve_err meta_set_last_rollout(struct kv *kv, uint8_t type, const struct name *object, uint64_t id) REEVE_MUST_CHECK;

/* ---- reading and writing parts of rows (row_parts.c) ---- */
void rd_row_name(struct rd *r, struct name *out);
bool rd_row_flag(struct rd *r);
struct wall_ms rd_time(struct rd *r);
void wr_time(struct wr *w, struct wall_ms t);
/* u8 length + UTF-8 without NUL into a terminated array of cap bytes. */
void rd_chars(struct rd *r, char *dst, size_t cap);
void wr_chars(struct wr *w, const char *s, size_t cap);
/* u16 length + UTF-8 without NUL. */
struct slice rd_text16(struct rd *r, size_t max);
void rd_labels(struct rd *r, struct labels *l);
void wr_labels(struct wr *w, const struct labels *l);
/* Rows inside commands are self-delimiting: read without demanding the end. */
void node_row_read(struct node_row *n, struct rd *r);
void token_row_read(struct token_row *t, struct rd *r);
void workload_row_read(struct workload_row *w, struct rd *r);
#define WORKLOAD_ROW_REST       41      /* behind the service's name; the last 16 are epoch and since */
#define WORKLOAD_EPOCH_FROM_END 16
size_t workload_row_len(struct rd r);
void role_row_read(struct role_row *w, struct rd *r);
void strategy_row_read(struct strategy_row *s, struct rd *r);
void window_row_read(struct window_row *w, struct rd *r);
void deploy_row_read(struct deploy_row *d, struct rd *r);
void issue_row_read(struct issue_row *i, struct rd *r);
void proposal_row_read(struct proposal_row *p, struct rd *r);

/* ---- overlay (overlay.c): a kv whose writes reach the base only when flushed ---- */
struct overlay_entry { uint32_t key_at, val_at, val_len; uint16_t key_len; bool deleted; };
struct overlay {
    struct kv kv, *base;
    size_t n, used;
    bool full;
    struct overlay_entry entry[OVERLAY_ENTRIES];
    uint8_t bytes[OVERLAY_BYTES];
};
void overlay_begin(struct overlay *o, struct kv *base);
enum reeve_err overlay_flush(struct overlay *o) REEVE_MUST_CHECK;

/* ---- accounting of reports (account.c) ---- */
struct cached_wave { bool loaded, dirty; struct wave_row row; };
struct account {
    struct name object;             /* what the last report was about; len 0: nothing yet */
    uint8_t type;
    bool loaded;                    /* doc holds a rollout, and wave its rows */
    struct rollout_doc doc;
    int target;                     /* of doc, that the object is; -1: its newest rollout is none */
    uint32_t to_gen;
    struct cached_wave wave[ROLLOUT_REGIONS_MAX][ROLLOUT_WAVES_MAX];
};

struct scratch {
    struct overlay overlay;
    uint8_t result[RESULT_MAX];
    uint8_t row[ROW_MAX];
    uint8_t json[2][8 * JSON_VALUE_MAX];
    uint8_t leaf[ATTEST_LEAF_MAX];
    struct account account;
    struct runs_scratch runs;
    union { struct rollout_doc rollout; struct config_doc config; struct rollout_spec spec; } doc;
    struct rollout_doc rollout2;
    struct proposal_row proposal[2];
};

/* ---- one command under way ---- */
struct apply {
    struct region *r;
    struct scratch *s;
    struct kv *kv;
    uint64_t index;
    struct wall_ms now;
    bool dry;                       /* read the operation only (region_command_check) */
    uint16_t n_feed, n_history;
    struct name actor;
    struct slice client, statement, reason;
    struct report rep;              /* of the operation under way */
    struct wr result;               /* u16 count (patched) and items */
    size_t count_at;
    uint16_t n_results;
};
struct attest apply_attest(const struct apply *a);

/* results (result.c) */
void result_begin(struct apply *a);
void result_item(struct apply *a, enum reeve_err err, const char *message, struct slice data);
void result_u32(struct apply *a, uint32_t v);
void result_u64(struct apply *a, uint64_t v);
void result_end(struct apply *a);
/* Refuses an operation: message into the report, code back. */
#define refuse(a, code, ...) report_set(&(a)->rep, code, __VA_ARGS__)

/*
 * Errors of two kinds run through the same enum: a refusal filled a->rep and is
 * the proposer's; anything else is the storage's and ends the transaction.
 */
static inline bool refused(const struct apply *a, enum reeve_err err)
{
    return err != REEVE_OK && a->rep.code == err;
}

/* rows to and from kv (store.c) */
#define STORE_DECL(kind) \
    enum reeve_err store_##kind(struct apply *a, const struct rkey *k, const struct kind##_row *row) REEVE_MUST_CHECK; \
    enum reeve_err load_##kind(struct kv *kv, const struct rkey *k, struct kind##_row *row) REEVE_MUST_CHECK
STORE_DECL(node); STORE_DECL(config); STORE_DECL(role); STORE_DECL(token); STORE_DECL(strategy); STORE_DECL(window);
STORE_DECL(workload); STORE_DECL(deploy); STORE_DECL(rollout_node); STORE_DECL(wave); STORE_DECL(issue);
STORE_DECL(proposal);
#undef STORE_DECL
enum reeve_err key_exists(struct kv *kv, const struct rkey *k, bool *yes) REEVE_MUST_CHECK;
enum reeve_err put_bytes(struct kv *kv, const struct rkey *k, struct slice v) REEVE_MUST_CHECK;
/* Deletes every key of a table that begins with prefix. */
enum reeve_err del_prefix(struct kv *kv, const struct rkey *prefix) REEVE_MUST_CHECK;

/* trail (trail.c): feed, history, events */
enum { FEED_CONFIG = 100, FEED_NODE = 101, FEED_ISSUE = 102, FEED_SETTING = 103 };
enum reeve_err feed_add(struct apply *a, uint8_t kind, const struct name *name) REEVE_MUST_CHECK;
enum reeve_err feed_node(struct apply *a, const struct node_id *id) REEVE_MUST_CHECK;
enum reeve_err history_add(struct apply *a, const char *kind, const struct name *object, const char *action,
                           struct slice before, struct slice after) REEVE_MUST_CHECK;
enum reeve_err event_add(struct apply *a, uint64_t rollout, const struct name *actor, const char *event,
                         const char *detail, uint64_t leaf_index) REEVE_MUST_CHECK;

/* config_log.c: the log of config changes; index_n: which of this revision's history rows */
#define META_CONFIG_LOG      "config_log"           /* its size */
#define META_CONFIG_LOG_BACK "config_log_back"      /* 1 + its size when this state was brought back, until a later one is attested */
enum reeve_err config_log_add(struct apply *a, const struct name *key, uint16_t index_n, struct slice row) REEVE_MUST_CHECK;
/* Of a state that had none: all changes in the history so far. */
enum reeve_err config_log_begin(struct apply *a) REEVE_MUST_CHECK;

/* json.c: {"k": ...} pieces into a writer */
void json_text(struct wr *w, struct slice s);

/* issue.c */
enum reeve_err issue_raise(struct apply *a, const struct issue_row *issue) REEVE_MUST_CHECK;
enum reeve_err issue_clear(struct apply *a, const struct name *kind, const struct name *object) REEVE_MUST_CHECK;

/* commands: one function each */
enum reeve_err apply_txn(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_enroll(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_register(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_report(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_liveness(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_attested(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_reserve(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_issue(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_prune(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_builtin(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_noop(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_note(struct apply *a, struct rd *r) REEVE_MUST_CHECK;
enum reeve_err apply_level(struct apply *a, struct rd *r) REEVE_MUST_CHECK;

/* operations of RC_TXN; data into *out */
typedef enum reeve_err op_fn(struct apply *a, struct rd *r, struct wr *out);
op_fn op_config_set, op_config_reset, op_config_stage, op_role_create, op_role_alter, op_role_drop, op_member_add,
      op_member_remove, op_grant, op_revoke, op_token_create, op_token_drop, op_strategy_create, op_strategy_drop,
      op_window_create, op_window_drop, op_node_state, op_node_label, op_node_drop, op_setting, op_strategy_used,
      op_proposal_create, op_proposal_verdict, op_proposal_close;
/* NULL for an unknown operation. */
op_fn *op_find(uint8_t op);
const char *op_name(uint8_t op);

/* account.c */
void account_begin(struct apply *a);
/* old: the row before this report, NULL if there was none. */
enum reeve_err account_report(struct apply *a, uint32_t ordinal, const struct node_row *node, const struct name *object,
                              const struct deploy_row *old, const struct deploy_row *row) REEVE_MUST_CHECK;
enum reeve_err account_flush(struct apply *a) REEVE_MUST_CHECK;

/* attested_*.c: what one finalized update means for the region's rows */
enum reeve_err attested_rollout(struct apply *a, const struct update *u, uint64_t leaf_index) REEVE_MUST_CHECK;
enum reeve_err attested_config(struct apply *a, const struct update *u) REEVE_MUST_CHECK;
enum reeve_err attested_node(struct apply *a, const struct update *u) REEVE_MUST_CHECK;
enum reeve_err attested_checkpoint(struct apply *a, const struct update *u) REEVE_MUST_CHECK;
/* The newest version of a rollout; NOT_FOUND where there is none. */
enum reeve_err rollout_load(struct region *r, uint64_t id, struct rollout_doc *out) REEVE_MUST_CHECK;

/* op_config.c */
enum reeve_err config_type_get(struct kv *kv, const struct name *key, uint32_t gen, uint8_t *type, bool *absent) REEVE_MUST_CHECK;
/* {"value": ..., "type": ..., "version": ...} of a row as it stands; empty when absent. */
enum reeve_err config_json(struct apply *a, const struct name *key, const struct config_row *row, struct wr *out) REEVE_MUST_CHECK;

#endif
