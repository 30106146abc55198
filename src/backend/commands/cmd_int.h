/*
 * cmd_int.h - what the files of this folder share
 *
 * A struct cmd is one execution of one statement. Memory comes from the
 * statement's arena; the pending changes have an arena of their own because
 * inside a block they outlive the statement.
 */
#ifndef REEVE_COMMANDS_CMD_INT_H
#define REEVE_COMMANDS_CMD_INT_H

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "backend/catalog/snap.h"
#include "backend/commands/commands.h"
#include "backend/executor/slot.h"
#include "common/text.h"
#include "crypto/hash.h"

#define CMD_SEEN_MAX 16

struct pending;

struct cmd {
    struct session *s;
    const struct command *c;
    const struct ast_stmt *stmt;
    struct dest *dest;
    struct report *rep;
    struct arena *arena;
    struct slot_ctx slot;
    struct pending *p;                  /* where changes gather: local when alone, the session's otherwise */
    struct slice reason;                /* of this statement, empty where none */
    bool explain, explain_json;         /* EXPLAIN: show the plan, change nothing */
    bool proposing;                     /* PROPOSE runs the statement: nothing is committed, who logged in is the actor */
    bool staging;                       /* leaves something with the ring for an attested change to come */
    bool noted;                         /* its text stands in the pending changes */
    uint32_t skew_ms;                   /* by which bakes are lengthened, twice; cmd_plan() fills it in */
    /* Versions of attested objects that decisions were based on: cmd_update() refuses a change built on an older one. */
    unsigned n_seen;
    struct cmd_seen { uint8_t type; struct name name; uint64_t version; } seen[CMD_SEEN_MAX];
};

typedef enum reeve_err (*command_fn)(struct cmd *x);

/* ---- txn.c: pending changes ---- */

/* Starts one operation of a ring transaction; write its body to the result, then cmd_op_end(). NULL after an error in *err. */
struct wr *cmd_op(struct cmd *x, uint8_t op, enum reeve_err *err);
enum reeve_err cmd_op_end(struct cmd *x) REEVE_MUST_CHECK;
/* Adds the next version of an attested object, as sn shows it; an empty payload drops the object. */
enum reeve_err cmd_update(struct cmd *x, struct snap *sn, enum attest_type type, const struct name *name,
                          struct slice payload) REEVE_MUST_CHECK;
/* A group that engine/attest made: the beginning or a step of a rollout. */
enum reeve_err cmd_update_set(struct cmd *x, struct snap *sn, struct update_set *set) REEVE_MUST_CHECK;
/*
 * Ends the statement's changes: alone, commits and fills *out; inside a
 * transaction, leaves them pending (out->known false).
 */
struct cmd_outcome {
    bool known;
    uint64_t version;                   /* ring: revision; attested: index of the first leaf */
    uint64_t height;
    struct slice result;                /* ring: the region's result bytes */
};
enum reeve_err cmd_finish(struct cmd *x, struct cmd_outcome *out) REEVE_MUST_CHECK;
/* Hands signed-off updates (update_encode() without signature) to the validators; fills *out. APPROVAL_NEEDED comes with a hint. */
enum reeve_err cmd_submit(struct session *s, const struct slice *updates, size_t n, struct cmd_outcome *out,
                          struct report *rep) REEVE_MUST_CHECK;
/* The next version of an object as cmd_update would leave it pending, but as bytes in the arena. */
enum reeve_err cmd_update_bytes(struct cmd *x, struct snap *sn, enum attest_type type, const struct name *name, struct slice payload,
                                struct slice *bytes) REEVE_MUST_CHECK;
/* PROPOSE: takes the pending updates out, copied into the statement's arena, with the statement's text. UNSUPPORTED where there are none. */
enum reeve_err cmd_pending_take(struct cmd *x, struct slice *updates, size_t max, size_t *n, struct slice *statement) REEVE_MUST_CHECK;
/* The data of the n-th operation of an outcome (region.h: RC_TXN result). */
enum reeve_err cmd_outcome_data(const struct cmd_outcome *o, unsigned n, struct slice *data) REEVE_MUST_CHECK;
/* A rollout id that nobody else gets. */
enum reeve_err cmd_reserve_rollout(struct cmd *x, uint64_t *id) REEVE_MUST_CHECK;
/* The changes of an open transaction that another statement of it began; NULL: none. */
struct pending *cmd_pending_of(struct session *s);
bool cmd_pending_touches(const struct pending *p, enum attest_type type, const struct name *name);
void cmd_pending_drop(struct cmd *x);
/*
 * The rollout of config keys that an open transaction has gathered so far:
 * plan, one change per target, and the spec (encoded) that it was planned by.
 */
struct pending_rollout {
    struct rollout_doc doc;
    struct rollout_change change[ROLLOUT_TARGETS_MAX];
    struct slice spec;
};
/* NULL where there is none, always when alone. */
const struct pending_rollout *cmd_pending_rollout(struct cmd *x);
/* Takes the updates of the earlier form out of the transaction and keeps a copy of r; its updates follow (cmd_update_set). */
enum reeve_err cmd_rollout_replace(struct cmd *x, const struct pending_rollout *r) REEVE_MUST_CHECK;
/* UNSUPPORTED when ring operations are pending: an attested change cannot join them. */
enum reeve_err cmd_not_mixed(struct cmd *x) REEVE_MUST_CHECK;

/* ---- rights.c ---- */

enum reeve_err cmd_need(struct cmd *x, uint32_t privilege, enum grant_kind kind, const struct name *object) REEVE_MUST_CHECK;
/* The same on a snapshot that is open. */
enum reeve_err cmd_need_in(struct cmd *x, struct snap *sn, uint32_t privilege, enum grant_kind kind, const struct name *object) REEVE_MUST_CHECK;
/* On the rollout itself, or on everything that it changes. */
enum reeve_err cmd_need_targets(struct cmd *x, struct snap *sn, uint32_t privilege, const struct rollout_doc *d) REEVE_MUST_CHECK;
/* ring.c. member_token: row has the expiry; text is a secret. */
enum reeve_err cmd_alter_ring(struct cmd *x) REEVE_MUST_CHECK;
struct token_row;
enum reeve_err cmd_member_token(struct cmd *x, struct token_row *row, char *text) REEVE_MUST_CHECK;
enum reeve_err cmd_need_superuser(struct cmd *x, const char *what) REEVE_MUST_CHECK;
/* Takes REASON from the slot and applies require_reason. */
enum reeve_err cmd_reason(struct cmd *x, const struct pvalue *reason, bool fleet) REEVE_MUST_CHECK;

/* ---- spec.c, predicate.c, gate.c: from syntax to the engine's forms ---- */

enum reeve_err cmd_spec(struct cmd *x, struct snap *sn, const struct ast_rollout *r, const struct name *own_strategy,
                        struct rollout_spec *out) REEVE_MUST_CHECK;
/* Without strategies and defaults: what a strategy itself keeps. */
enum reeve_err cmd_spec_raw(struct cmd *x, const struct ast_rollout *r, struct rollout_spec *out) REEVE_MUST_CHECK;
/* Would this text do as the setting rollout_default_canary? */
enum reeve_err cmd_check_canary(struct cmd *x, const char *text) REEVE_MUST_CHECK;
enum reeve_err cmd_predicate(struct cmd *x, const struct ast_expr *e, struct predicate *out) REEVE_MUST_CHECK;
enum reeve_err cmd_gates(struct cmd *x, const struct ast_expr *e, enum gate_action action, uint32_t sample,
                         struct rollout_spec *out) REEVE_MUST_CHECK;

/* ---- plan.c ---- */

/* Plans over the fleet of the snapshot; doc's targets are set by the caller before. */
enum reeve_err cmd_plan(struct cmd *x, struct snap *sn, const struct rollout_spec *spec, struct rollout_doc *doc) REEVE_MUST_CHECK;
/* The row every statement that changes the fleet answers with (unless rollout_returning is off). */
enum reeve_err cmd_fleet_row(struct cmd *x, const struct rollout_doc *doc, const struct cmd_outcome *o) REEVE_MUST_CHECK;
extern const struct dest_column cmd_fleet_columns[6];
/* PROPOSE, APPROVE, REJECT; SHOW PROPOSAL. */
#define CMD_PROPOSAL_COLUMNS 8
extern const struct dest_column cmd_proposal_columns[CMD_PROPOSAL_COLUMNS];
#define CMD_SHOW_PROPOSAL_COLUMNS 2
extern const struct dest_column cmd_show_proposal_columns[CMD_SHOW_PROPOSAL_COLUMNS];
/* EXPLAIN: the plan instead of the change. */
#define CMD_EXPLAIN_COLUMNS 8
extern const struct dest_column cmd_explain_columns[CMD_EXPLAIN_COLUMNS];
extern const struct dest_column cmd_explain_json_column;
bool cmd_explain_is_json(const struct ast_stmt *stmt);      /* as far as can be seen without running */
enum reeve_err cmd_explain_plan(struct cmd *x, const struct rollout_doc *doc) REEVE_MUST_CHECK;
/* EXPLAIN of a change without a plan: one row saying what would be done. */
enum reeve_err cmd_explain_note(struct cmd *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- lookups with the right SQLSTATE ---- */

enum reeve_err cmd_get_cert(struct cmd *x, struct snap *sn, const struct pvalue *slot, struct name *name, struct cert_doc *doc) REEVE_MUST_CHECK;
enum reeve_err cmd_get_authority(struct cmd *x, struct snap *sn, const struct pvalue *slot, struct name *name, struct authority_doc *doc) REEVE_MUST_CHECK;
enum reeve_err cmd_get_rollout(struct cmd *x, struct snap *sn, const struct pvalue *slot, struct rollout_doc *doc) REEVE_MUST_CHECK;
/* True when the object exists and was not dropped. */
enum reeve_err cmd_object_exists(struct cmd *x, struct snap *sn, enum attest_type type, const struct name *name, bool *exists) REEVE_MUST_CHECK;
/* Remembers the version (0: none) a decision is based on. */
void cmd_saw(struct cmd *x, enum attest_type type, const struct name *name, uint64_t version);
/* Encodes into the arena with a bound; TOO_BIG with a report. */
#define CMD_PAYLOAD(x, encode, doc, out) \
    cmd_payload(x, (void (*)(const void *, struct wr *)) (void (*)(void)) encode, doc, out)
enum reeve_err cmd_payload(struct cmd *x, void (*encode)(const void *, struct wr *), const void *doc, struct slice *out) REEVE_MUST_CHECK;
void *cmd_alloc(struct cmd *x, size_t size, enum reeve_err *err);
/* UNSUPPORTED with what and a hint. */
enum reeve_err cmd_unsupported(struct cmd *x, const char *what, const char *hint) REEVE_MUST_CHECK;
/* IF EXISTS / IF NOT EXISTS: a notice instead of an error. */
void cmd_skip_notice(struct cmd *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- the families ---- */

#define COMMAND(fn) enum reeve_err fn(struct cmd *x)
COMMAND(cmd_rotate_cert); COMMAND(cmd_set_config); COMMAND(cmd_reset_config); COMMAND(cmd_rollback_rollout);
COMMAND(cmd_rollout_verb); COMMAND(cmd_alter_rollout); COMMAND(cmd_wait_rollout);
COMMAND(cmd_create_strategy); COMMAND(cmd_drop_strategy); COMMAND(cmd_create_window); COMMAND(cmd_drop_window);
COMMAND(cmd_create_authority); COMMAND(cmd_alter_authority); COMMAND(cmd_drop_authority);
COMMAND(cmd_create_cert); COMMAND(cmd_alter_cert); COMMAND(cmd_drop_cert); COMMAND(cmd_revoke_cert);
COMMAND(cmd_create_join_token); COMMAND(cmd_revoke_join_token);
COMMAND(cmd_alter_node); COMMAND(cmd_alter_nodes); COMMAND(cmd_drop_node); COMMAND(cmd_revoke_node);
COMMAND(cmd_alter_region);
COMMAND(cmd_alter_system); COMMAND(cmd_reload); COMMAND(cmd_signal_session);
COMMAND(cmd_create_role); COMMAND(cmd_alter_role); COMMAND(cmd_drop_role);
COMMAND(cmd_create_validator); COMMAND(cmd_drop_validator);
COMMAND(cmd_create_approver); COMMAND(cmd_alter_approver); COMMAND(cmd_drop_approver);
COMMAND(cmd_create_policy); COMMAND(cmd_alter_policy); COMMAND(cmd_drop_policy);
COMMAND(cmd_propose); COMMAND(cmd_approve_proposal); COMMAND(cmd_reject_proposal); COMMAND(cmd_withdraw_proposal);
COMMAND(cmd_show_proposal);
COMMAND(cmd_grant); COMMAND(cmd_grant_role); COMMAND(cmd_explain); COMMAND(cmd_copy_query);
COMMAND(cmd_create_checkpoint); COMMAND(cmd_show_proof); COMMAND(cmd_verify_history); COMMAND(cmd_copy_history);
COMMAND(cmd_diff_config);
#undef COMMAND

command_fn command_function(enum ast_kind kind);
/* 0A000 for what is not built yet, with the reason. */
enum reeve_err cmd_refuse(struct cmd *x) REEVE_MUST_CHECK;

#endif
