/* history_int.h - what the statements about the signed history share */
#ifndef REEVE_COMMANDS_HISTORY_INT_H
#define REEVE_COMMANDS_HISTORY_INT_H

#include "cmd_int.h"
#include "engine/attest_history.h"
#include "engine/note.h"

/* A head of the log, the note that was made over it, and the key of its plain line. */
struct head_note {
    struct block_header head;
    struct pubkey log_key;
    struct slice note;                  /* in the statement's arena */
};
/* Asks the signer, by way of the ring. What another session asked for meanwhile makes it ask again. */
enum reeve_err cmd_head_note(struct cmd *x, struct head_note *out) REEVE_MUST_CHECK;

/* [FROM VERSION a TO VERSION b | SINCE t] as leaves [from, to]; all of the log where nothing is said. Needs head. */
enum reeve_err cmd_history_range(struct cmd *x, const struct block_header *head, uint64_t *from, uint64_t *to) REEVE_MUST_CHECK;
/* One version of the log that has that size. */
enum reeve_err cmd_history_version(struct cmd *x, const struct pvalue *v, uint64_t size, uint64_t *out) REEVE_MUST_CHECK;
/* The newest head that is confirmed, without a note. */
enum reeve_err cmd_history_head(struct cmd *x, struct block_header *head) REEVE_MUST_CHECK;

enum reeve_err cmd_need_audit(struct cmd *x) REEVE_MUST_CHECK;
struct datum cmd_hex(struct cmd *x, const struct hash32 *h);

/* COPY HISTORY in a form that is one text; in forms that are about one version. */
enum reeve_err cmd_copy_text(struct cmd *x, struct slice text) REEVE_MUST_CHECK;
enum reeve_err cmd_copy_proof(struct cmd *x) REEVE_MUST_CHECK;
enum reeve_err cmd_copy_leaf(struct cmd *x) REEVE_MUST_CHECK;
enum reeve_err cmd_copy_consistency(struct cmd *x) REEVE_MUST_CHECK;

/* history_config.c: the region's own log. A change with its proof, a bundle, and whether the store is what was attested. */
enum reeve_err cmd_show_config_proof(struct cmd *x) REEVE_MUST_CHECK;
enum reeve_err cmd_copy_config(struct cmd *x) REEVE_MUST_CHECK;
enum reeve_err cmd_verify_config(struct cmd *x) REEVE_MUST_CHECK;

extern const struct dest_column cmd_checkpoint_columns[5], cmd_diff_columns[7], cmd_proof_columns[6], cmd_verify_columns[6];

#endif
