/* fleet_int.h - what rotations, config rollouts and rollbacks share. */
#ifndef REEVE_COMMANDS_FLEET_INT_H
#define REEVE_COMMANDS_FLEET_INT_H

#include "cmd_int.h"

/* cert.c */
enum reeve_err cmd_shared_key(struct cmd *x, const struct name *cert, uint32_t gen, uint8_t key_type,
                              struct hash32 *spki) REEVE_MUST_CHECK;
/* A template that the authority's active generation may sign; validity_s from now. */
enum reeve_err cmd_new_generation(struct cmd *x, const struct cert_doc *doc, const struct authority_doc *auth,
                                  uint32_t gen, uint32_t validity_s, struct cert_gen *g) REEVE_MUST_CHECK;
/* ROLLOUT_RUNNING with a hint. */
enum reeve_err cmd_cert_not_running(struct cmd *x, const struct name *name, const struct cert_doc *doc) REEVE_MUST_CHECK;

/* rotate.c */
uint32_t cmd_prepare_ms(const struct cmd *x, const struct rollout_doc *d, const struct rollout_spec *spec);
/* Who, why and the first state of a planned rollout. */
void cmd_doc_start(const struct cmd *x, struct rollout_doc *d, const struct rollout_spec *spec);
void cmd_doc_why(const struct cmd *x, struct rollout_doc *d);     /* the statement's reason becomes the rollout's */
enum reeve_err cmd_rollout_begin(struct cmd *x, struct snap *sn, const struct rollout_doc *d,
                                 const struct rollout_change *change) REEVE_MUST_CHECK;
enum reeve_err cmd_check_window(struct cmd *x, struct snap *sn, const struct rollout_spec *spec) REEVE_MUST_CHECK;

#endif
