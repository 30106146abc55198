/*
 * region.h - the replicated state machine of a region
 *
 * Applies typed, versioned commands deterministically to kv (prefix 'R').
 * Nothing here reads a clock or a random number: times and ids come inside the
 * command. The same commands in the same order give the same bytes.
 *
 * Command: u8 1 (version) | u8 type | body. A command is one log entry; its
 * index is the region's revision. Invariants
 *  G1 applied_index grows by one per command; a command applies wholly or not at all.
 *  G2 (session, seq) applied once: a repeat returns the stored result.
 *  G3 ordinals are dense, given in enrolment order, never reused.
 *  G4 check before do: a refused operation changes nothing but applied_index and the session's result.
 *  G5 the change feed has one row per changed object and revision, pruned below the retained revision.
 *  G6 what an older program does not know, or would write otherwise, begins with a level that every member of the ring knows:
 *     what a command does follows from its bytes and the state, never from who applies it.
 *
 * Tables (key = 'R' + table byte + ...; integers big endian so that order is numeric):
 *   'm' meta name                      -> value (applied index, next ordinal, next ids, region name)
 *   'n' ordinal u32                    -> node row          'i' node id 16      -> ordinal u32
 *   'c' config key                     -> config row        'v' key 00 u32 gen  -> value bytes
 *   'y' key 00 u32 gen                 -> u8 type, u8 absent of that generation (8 are kept)
 *   'r' role name                      -> role row          'b' role 00 member  -> empty (membership)
 *   'g' grantee 00 u8 kind name        -> u32 privilege mask
 *   't' token id 8                     -> token row         's' strategy name   -> strategy row
 *   'w' window name                    -> window row        'a' setting name    -> value text
 *   'j' ordinal u32                    -> a node's workloads, as sorted runs of rows: engine/region/runs.h
 *   'k' u32 ordinal, 16 id             -> workload row, at level 0
 *   'd' u8 type, object, 00, u32 ordinal -> deployment row (what a node serves of an object; type as in attest.h)
 *   'x' rollout u64, region, 00, u8 wave -> wave counters
 *   'o' rollout u64, u32 ordinal       -> rollout-node row
 *   'p' rollout u64, u32 ordinal       -> u64 told: counted nodes that were told and have not answered
 *   'h' revision u64, u16 n            -> history row       'e' rollout u64, u32 seq -> rollout event
 *   'f' revision u64, u16 n            -> feed row          'u' issue id u64    -> issue row
 *   'l' proposal name                  -> proposal row (pending ones, and the last that ended)
 *   'q' name                           -> bytes: notes that the members of the ring leave for each other
 *   'H' index u64                      -> u64 revision, u16 n, 32 digest: the log of config changes, engine/region_history.h
 *   'L' level u8, index u64            -> its hashes (engine/merkle.h)
 *   'z' session 16                     -> last seq, result
 */
#ifndef REEVE_ENGINE_REGION_H
#define REEVE_ENGINE_REGION_H

#include "common/crypto_ops.h"
#include "common/kv.h"
#include "engine/approval.h"
#include "engine/rollout.h"

#define REGION_KV_PREFIX   'R'
#define REGION_COMMAND_MAX (1u << 20)
#define REGION_VALUE_MAX   65536        /* a config value */
#define REGION_BATCH_MAX   1000         /* items in one registration or report batch */
#define REGION_NOTE_MAX    4096
#define FORK_NOTE_A        "fork/a"     /* notes: the two heads of a fork, as gateways leave them for each other */
#define FORK_NOTE_B        "fork/b"
#define REGION_OPS_MAX     256          /* operations in one transaction */

/* ---- rows (encode/decode: canonical, as in attest.h) ---- */
enum node_state { NODE_LIVE = 1, NODE_LATE, NODE_DRAINED, NODE_CORDONED, NODE_LOST, NODE_REVOKED };
const char *node_state_name(enum node_state s);
struct node_row {
    struct node_id id;
    struct pubkey key, seal_key;        /* Ed25519 identity, X25519 for sealed keys */
    struct name region;
    struct labels labels;
    char agent_version[32], addr[64];
    struct wall_ms enrolled, last_connect;
    uint8_t state;
    uint8_t token[8];
};
enum value_type { VT_TEXT = 1, VT_INT, VT_FLOAT, VT_BOOL, VT_NULL };
/*
 * A config key. Its value is that of generation gen ('v' table); gen_new is the
 * one a running rollout brings (0: none). Attested keys are mirrored by an
 * AT_CONFIG object with the same generation numbers.
 */
struct config_row {
    uint8_t value_type, value_type_new;
    bool absent;                        /* reset: a later SET continues the numbers */
    uint32_t gen, gen_new;
    uint64_t version;                   /* revision of the last change */
    uint64_t rollout_id;
    struct name updated_by;
    struct wall_ms updated;
};
#define ROLE_ATTR_LOGIN       0x01
#define ROLE_ATTR_SUPERUSER   0x02
#define ROLE_ATTR_CREATEROLE  0x04
#define ROLE_ATTR_PREDEFINED  0x08
#define ROLE_ATTR_INHERIT     0x10
struct role_row {
    uint32_t attrs;
    char verifier[256];                 /* SCRAM-SHA-256$...; empty: no password */
    struct wall_ms valid_until;         /* 0: for ever */
    struct wall_ms created;
    int32_t connection_limit;           /* -1: none */
};
#define PRIV_SELECT 0x001
#define PRIV_ROTATE 0x002
#define PRIV_CONFIGURE 0x004
#define PRIV_ROLLBACK 0x008
#define PRIV_APPROVE 0x010
#define PRIV_OPERATE 0x020
#define PRIV_ENROLL 0x040
#define PRIV_AUDIT 0x080
#define PRIV_ADMIN 0x100
#define PRIV_ALL 0x1ff
/* What a grant is on: one object, all of a kind (optionally in a region), or the system. */
enum grant_kind { GK_SYSTEM = 1, GK_CERT, GK_AUTHORITY, GK_CONFIG, GK_NODE, GK_ROLLOUT, GK_STRATEGY, GK_REGION,
                  GK_SERVICE, GK_ROLE, GK_ALL = 0x80 /* flag: all of the kind; the name is the region or empty */ };
struct token_row {
    struct hash32 secret_hash;          /* SHA-256 of the 16-byte secret */
    uint32_t uses_left;
    struct wall_ms expires, created;    /* expires 0: never */
    struct name region, created_by;
    struct labels labels;               /* given to nodes that enrol with it */
};
struct strategy_row { struct slice spec; /* rollout_spec_encode */ struct slice definition; /* clause text */ struct name created_by; struct wall_ms created, last_used; uint32_t uses; bool builtin; };
/* A change that waits for approvals. Its parts are updates as update_encode writes them, without approvals and signature. */
#define PROPOSALS_MAX       64          /* rows; ended and expired ones give way, oldest first */
#define PROPOSAL_BYTES_MAX  100000      /* all parts together */
#define VERDICTS_MAX        32
enum proposal_state { PROPOSAL_PENDING = 1, PROPOSAL_APPLIED, PROPOSAL_WITHDRAWN, PROPOSAL_VETOED };
const char *proposal_state_name(enum proposal_state s);
enum { VERDICT_APPROVE = 1, VERDICT_REJECT };
struct verdict_row { struct name approver; uint8_t verdict; struct wall_ms at; struct sig64 sig; struct slice reason; };
struct proposal_row {
    uint8_t state;
    struct approval_ref ref;            /* proposal: the row's key */
    struct name proposer;
    struct wall_ms created, closed;     /* closed 0: pending */
    uint64_t leaf;                      /* of its first part, once applied */
    struct slice statement, reason;
    uint8_t n_parts;
    struct slice part[PROPOSAL_PARTS_MAX];
    uint8_t n_verdicts;                 /* in the order of their approvers' names, each once */
    struct verdict_row verdict[VERDICTS_MAX];
};
struct window_row { char cron[128], timezone[64]; uint32_t duration_s; };
struct workload_row { struct name service; uint8_t family; uint8_t addr[16]; uint16_t port; uint32_t ttl_s; uint8_t weight, health; uint64_t epoch; struct wall_ms since; };
enum deploy_result { DEPLOY_NONE = 0, DEPLOY_TOLD, DEPLOY_DONE, DEPLOY_FAILED, DEPLOY_REJECTED };
/* What one node says about one object: what it serves, and how the last attempt went. */
struct deploy_row {
    uint8_t type;                       /* enum attest_type: AT_CERT or AT_CONFIG */
    uint32_t serving_gen, tried_gen;
    uint8_t result;
    uint16_t error_code;                /* enum reeve_err of the agent's error list, engine/wire.h */
    char error[120];
    uint32_t latency_ms;
    uint64_t rollout_id;
    struct wall_ms at;
    uint8_t serial[20]; uint8_t serial_len;
    struct wall_ms not_after;
    uint16_t attempts;
};
/*
 * A node in a rollout. It stands once in the counts, with state, which follows from what it said of every target
 * (region_node_state): failed or rejected when one is, done when all are.
 */
#define NODE_REVERTED 9
struct rollout_node_row {
    uint8_t wave;
    bool counted;
    uint8_t state;                      /* deploy_result, or NODE_REVERTED */
    struct wall_ms told, acked;
    uint8_t n_targets;
    uint8_t target[ROLLOUT_TARGETS_MAX];/* likewise, by target of the plan; DEPLOY_NONE: nothing said yet */
};
uint8_t region_node_state(const uint8_t *target, unsigned n);
struct wave_row {
    struct rollout_counts counts;
    uint32_t latency_hist[24];          /* bucket i: < 2^i ms */
    struct wall_ms opened;              /* header time; 0: not yet */
};
struct issue_row { uint8_t severity; /* 1 info 2 warning 3 critical */ struct name kind, object; struct wall_ms since; char message[256], hint[256]; };
struct history_row {
    struct wall_ms at;
    struct name actor, object_kind, object, action;
    char client[64];
    struct slice statement, reason, before, after;      /* before/after: JSON text or empty */
    uint64_t version;                   /* region revision; attested leaves are read from the log itself */
};
struct event_row { struct wall_ms at; struct name actor, event; char detail[256]; uint64_t leaf_index; };
/* kind: attest_type for attested objects, 100 config key (value changed), 101 node row, 102 issues, 103 settings */
struct feed_row { uint8_t kind; struct name name; };

#define ROW_DECL(kind) \
    void kind##_row_encode(const struct kind##_row *r, struct wr *out); \
    enum reeve_err kind##_row_decode(struct kind##_row *r, struct slice in) REEVE_MUST_CHECK
ROW_DECL(node); ROW_DECL(config); ROW_DECL(role); ROW_DECL(token); ROW_DECL(strategy); ROW_DECL(window);
ROW_DECL(workload); ROW_DECL(deploy); ROW_DECL(rollout_node); ROW_DECL(wave); ROW_DECL(issue);
ROW_DECL(history); ROW_DECL(event); ROW_DECL(feed); ROW_DECL(proposal);
#undef ROW_DECL

/*
 * Levels of the state (G6). 1: workloads as runs. 2: config changes in a log with hashes. A new region begins at the newest; RC_LEVEL raises one that is older and
 * rewrites what it has to. A state of a level above region_level_max must not be touched.
 */
#define REGION_LEVEL_NEWEST 2
extern const uint32_t region_level_max;

/* ---- commands ---- */
enum region_cmd {
    RC_TXN = 1,         /* an operator's transaction, below */
    RC_ENROLL = 2,      /* u16 n, n x { token id 8, secret hash 32, node row } : per item result */
    RC_REGISTER = 3,    /* u16 n, n x { u32 ordinal, 16 workload id, u8 op (1 put 2 remove), workload row (put only) } */
    RC_REPORT = 4,      /* u16 n, n x { u32 ordinal, name object, deploy row }. DEPLOY_TOLD comes from the gateway that
                           pushed tried_gen (what it serves is kept); DEPLOY_NONE only says what is served */
    RC_LIVENESS = 5,    /* u64 now, u16 n, n x { u32 ordinal, u8 node_state } : transitions only */
    RC_ATTESTED = 6,    /* u64 height, u64 now: the blocks up to height are applied in this transaction by the host
                           first; region derives its rows (feed, rollout events, wave counters, rollout nodes, issues) */
    RC_RESERVE = 7,     /* u16 n: reserves rollout ids -> u64 first */
    RC_ISSUE = 8,       /* u8 op 1 raise 2 clear, issue row (identity: kind + object) */
    RC_NOOP = 9,        /* a barrier */
    RC_PRUNE = 10,      /* u64 revision: forget feed and session rows below */
    RC_BUILTIN = 11,    /* u64 now, name region, name superuser, str16 verifier: initial rows (roles, strategies) */
    RC_NOTE = 12,       /* name, str16 bytes (empty: the note goes): between members of the ring, see backend/ring */
    RC_LEVEL = 13       /* u32 level: from here on the state is of that level; one below changes nothing -> u32 level */
};
/*
 * Rows inside commands stand as their encoders write them, without a length.
 * Result, for every command: u16 n_results | n x { u16 reeve_err, str16 message, str16 data }. One item per
 * operation of RC_TXN, per node of RC_ENROLL (data: u32 ordinal; again for a node that is there already), else
 * one: RC_REGISTER, RC_REPORT, RC_LIVENESS u32 items applied (unknown nodes are passed over), RC_RESERVE u64 first
 * id, RC_ATTESTED u64 height. A command that is refused as a whole has one item with its error. RC_REGISTER and
 * RC_LIVENESS that passed region_command_check() are never refused and may be answered before they are applied: one item, OK,
 * without data (region_result_ok).
 *
 * RC_TXN body: 16 session | u64 seq | u64 now_ms | name actor | str16 client | str16 statement | str16 reason |
 *              u16 n_ops | n x { u8 op, body }
 * On the first error nothing is applied and the rest are missing. REGION_OP data is documented beside each.
 * A role's name has at most 63 bytes. Dropping a role drops its memberships and grants; predefined roles and the
 * last superuser stay. Strategies must pass rollout_spec_check.
 */
enum region_op {
    RO_CONFIG_SET = 1,      /* name key, u8 value_type, str32 value, u64 expected_version (0: any) -> u64 version. Immediate, regional keys */
    RO_CONFIG_RESET = 2,    /* name key -> u64 version */
    RO_CONFIG_STAGE = 3,    /* name key, u8 value_type, u8 absent, str32 value -> u32 gen: keeps a value for an attested change to come */
    RO_ROLE_CREATE = 4,     /* name, role row, u8 if_not_exists */
    RO_ROLE_ALTER = 5,      /* name, u32 attr mask, u32 attr bits, u8 set_verifier, str16 verifier, u8 set_valid, u64 valid_until, u8 set_limit, u32 limit */
    RO_ROLE_DROP = 6,       /* name, u8 if_exists */
    RO_MEMBER_ADD = 7, RO_MEMBER_REMOVE = 8,            /* name role, name member */
    RO_GRANT = 9, RO_REVOKE = 10,                       /* name grantee, u8 kind, u8 len + object name (may be empty), u32 mask */
    RO_TOKEN_CREATE = 11,   /* 8 id, token row */
    RO_TOKEN_DROP = 12,     /* 8 id */
    RO_STRATEGY_CREATE = 13,/* name, strategy row, u8 if_not_exists */
    RO_STRATEGY_DROP = 14,  /* name, u8 if_exists */
    RO_WINDOW_CREATE = 15,  /* name, window row */
    RO_WINDOW_DROP = 16,    /* name */
    RO_NODE_STATE = 17,     /* u32 ordinal, u8 node_state (drain, cordon, uncordon = live) */
    RO_NODE_LABEL = 18,     /* u32 ordinal, name key, u8 len + value (len 0: remove) */
    RO_NODE_DROP = 19,      /* u32 ordinal (the id itself is refused for good by an AT_NODE update) */
    RO_SETTING = 20,        /* name setting, u8 present, str16 value: ALTER SYSTEM */
    RO_STRATEGY_USED = 21,  /* name */
    RO_PROPOSAL_CREATE = 22,/* proposal row: pending, without verdicts. Time and proposer are the transaction's */
    RO_PROPOSAL_VERDICT = 23, /* name, 32 digest, name approver, u8 verdict, 64 signature, str16 reason: replaces his earlier one */
    RO_PROPOSAL_CLOSE = 24  /* name, 32 digest, u8 proposal_state, u64 leaf */
};

struct region { struct kv *kv; const struct crypto_ops *c; void *scratch; size_t scratch_len; /* region_scratch_size() bytes */ };
size_t region_scratch_size(void);
/*
 * Applies one command at index; now comes from the command. The result (for the
 * proposer) is appended to out. Errors in the result are the caller's; a return
 * other than OK means storage failed: abort the transaction.
 */
enum reeve_err region_apply(struct region *r, uint64_t index, struct slice command, struct wr *out) REEVE_MUST_CHECK;
enum reeve_err region_applied_index(struct region *r, uint64_t *out) REEVE_MUST_CHECK;
/*
 * Of a state that was brought back: its revisions go on n higher, above all that were ever given out after it was copied, and
 * the feed begins anew, so that whoever knows a later state than this is sent all of it. Its log of config changes may have
 * lost its end; the next checkpoint may say so. OUT_OF_RANGE.
 */
enum reeve_err region_revision_skip(struct region *r, uint64_t n) REEVE_MUST_CHECK;
/* A courtesy check of syntax and bounds before proposing. */
enum reeve_err region_command_check(struct slice command, struct report *rep) REEVE_MUST_CHECK;
void region_result_ok(struct wr *out);
/* One line of text for logs and dumps. */
void region_command_describe(struct slice command, struct wr *out);

/* Builders of commands. */
void region_txn_begin(struct wr *w, const uint8_t session[16], uint64_t seq, struct wall_ms now, const struct name *actor,
                      struct slice client, struct slice statement, struct slice reason, size_t *n_ops_at);
void region_txn_end(struct wr *w, size_t n_ops_at, uint16_t n_ops);

/* ---- readers (any kv snapshot) ---- */
enum reeve_err region_name(struct region *r, struct name *out) REEVE_MUST_CHECK;
enum reeve_err region_node_count(struct region *r, uint32_t *next_ordinal) REEVE_MUST_CHECK;
enum reeve_err region_node_get(struct region *r, uint32_t ordinal, struct node_row *out) REEVE_MUST_CHECK;
enum reeve_err region_node_find(struct region *r, const struct node_id *id, uint32_t *ordinal) REEVE_MUST_CHECK;
enum reeve_err region_config_get(struct region *r, const struct name *key, struct config_row *out) REEVE_MUST_CHECK;
/* Value bytes of a generation; borrowed per K2. */
enum reeve_err region_config_value(struct region *r, const struct name *key, uint32_t gen, struct slice *out) REEVE_MUST_CHECK;
/* Type of a generation's value and whether the generation means absent. */
enum reeve_err region_config_type(struct region *r, const struct name *key, uint32_t gen, uint8_t *type, bool *absent) REEVE_MUST_CHECK;
enum reeve_err region_role_get(struct region *r, const struct name *role, struct role_row *out) REEVE_MUST_CHECK;
bool region_role_is_member(struct region *r, const struct name *role, const struct name *member);   /* transitively */
/* Privileges of a role on an object: own and inherited grants, SYSTEM, ALL. */
enum reeve_err region_privileges(struct region *r, const struct name *role, enum grant_kind kind, const struct name *object, uint32_t *mask) REEVE_MUST_CHECK;
enum reeve_err region_token_get(struct region *r, const uint8_t id[8], struct token_row *out) REEVE_MUST_CHECK;
enum reeve_err region_strategy_get(struct region *r, const struct name *name, struct strategy_row *out) REEVE_MUST_CHECK;
enum reeve_err region_deploy_get(struct region *r, enum attest_type type, const struct name *object, uint32_t ordinal,
                                 struct deploy_row *out) REEVE_MUST_CHECK;
enum reeve_err region_wave_get(struct region *r, uint64_t rollout, const struct name *region, uint8_t wave, struct wave_row *out) REEVE_MUST_CHECK;
enum reeve_err region_issue_next(struct region *r, uint64_t *after_id, struct issue_row *out) REEVE_MUST_CHECK;
enum reeve_err region_proposal_get(struct region *r, const struct name *proposal, struct proposal_row *out) REEVE_MUST_CHECK;
/* NOT_FOUND where there is no such window. */
enum reeve_err region_window_get(struct region *r, const struct name *window, struct window_row *out) REEVE_MUST_CHECK;
/* Change windows (engine/region/window.c): is the cron text sound, is the window open now, when does it open next (0: never). */
bool window_cron_ok(const char *cron);
bool window_is_open(const struct window_row *w, struct wall_ms now);
struct wall_ms window_next_open(const struct window_row *w, struct wall_ms now);
enum reeve_err region_level(struct region *r, uint32_t *out) REEVE_MUST_CHECK;
/* A note of the ring's members; borrowed per K2. */
enum reeve_err region_note_get(struct region *r, const struct name *name, struct slice *out) REEVE_MUST_CHECK;
/*
 * What other regions told this one (elsewhere.c), by notes of the ring. The census: how many ordinals a region has given, for
 * planning. Evidence: of the waves that d has open now, verified when it came; NOT_FOUND: none of these waves.
 */
bool region_census_note(struct name *out, const struct name *region);
enum reeve_err region_census_get(struct region *r, const struct name *region, uint32_t *ordinals) REEVE_MUST_CHECK;
void region_evidence_note(struct name *out, uint64_t rollout, unsigned place);
enum reeve_err region_evidence_get(struct region *r, const struct rollout_doc *d, unsigned place,
                                   struct rollout_evidence *e) REEVE_MUST_CHECK;
/* Generic iteration: table byte + sub-prefix; key_out is what follows the table byte. */
void region_iter_init(struct region *r, struct kv_iter *it, uint8_t table, struct slice sub_prefix);
enum reeve_err region_iter_next(struct kv_iter *it, struct slice *key, struct slice *val) REEVE_MUST_CHECK;
/*
 * All workloads, by node, then by id, until NOT_FOUND. The iterator is region_workloads_size() bytes (some 50 KB) of the caller's;
 * id (16 bytes) and row (workload_row_decode) are valid until the next call.
 */
struct region_workloads;
size_t region_workloads_size(void);
void region_workloads_begin(struct region_workloads *w, struct region *r);
enum reeve_err region_workloads_next(struct region_workloads *w, uint32_t *ordinal, struct slice *id, struct slice *row) REEVE_MUST_CHECK;
/* A plan source over the node rows, for rollout_plan (engine/rollout.h). */
enum reeve_err region_plan_each(void *region, void (*visit)(void *arg, const struct plan_node *n), void *arg);
/*
 * The regions that a plan names: this one first, then those whose nodes where and carried (the object's own condition; NULL: its
 * values are in this region alone) may hold for. nodes: at most so many, all together. TOO_COMPLEX: more than ROLLOUT_REGIONS_MAX.
 */
struct region_plan { size_t n, nodes; struct plan_region_info info[ROLLOUT_REGIONS_MAX]; };
enum reeve_err region_plan_regions(struct region *r, const struct predicate *where, const struct predicate *carried,
                                   struct region_plan *p) REEVE_MUST_CHECK;
/* Counts of a rollout for rollout_step, of this region: fills the opened/newest counts, latency and still_new from the wave
 * rows, and the number of planned nodes from d (of another region's plan an estimate, which the caller makes exact). The
 * caller has filled the times, report_timeout_ms and window_open of *out before. Counted nodes that were not told
 * within report_timeout_ms of the newest wave's opening leave counts.nodes: they are not there.
 * live[ordinal] tells whether the node was heard of lately (may be NULL: all live). */
struct liveness_view { bool (*is_live)(void *h, uint32_t ordinal); void *h; };
enum reeve_err region_rollout_view(struct region *r, const struct rollout_doc *d, const struct liveness_view *live,
                                   struct rollout_view *out) REEVE_MUST_CHECK;

#endif
