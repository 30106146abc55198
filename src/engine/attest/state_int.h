/*
 * state_int.h - the engine's tables in kv and the host's scratch
 *
 * Keys = 'A' + table byte + ...:
 *   'g'                -> genesis document      's' -> validator-set document in force
 *   'h'                -> head: 32 chain id | 32 set hash | 32 header hash | u8 has header | header, or u64 epoch | u64 time
 *   'o' u8 type name   -> object row: u64 version | u64 leaf index | u64 height | 32 leaf hash | u64 time |
 *                         u64 aux time | u32 gen_max
 *   'l' u64 index      -> u8 0 | u64 height | leaf bytes, until the block is stored; then
 *                         u8 1 | u64 height | u32 offset | u32 length within that block
 *   'e' u64 epoch      -> u64 height of the block that ended the one before; none for the first
 *   'b' u64 height     -> block: finalization | u16 n | n x str32 leaf
 *   'L', 'M'           -> the trees (engine/merkle)
 */
#ifndef ENGINE_ATTEST_STATE_INT_H
#define ENGINE_ATTEST_STATE_INT_H

#include "engine/approval.h"

struct attest_scratch {
    struct valset set;
    struct valset_doc valset;
    struct genesis genesis;
    struct finalization fin;
    struct slice leaves[ATTEST_BLOCK_LEAVES_MAX];
    struct attest_object seen[ATTEST_BLOCK_LEAVES_MAX];     /* what earlier updates of the list made of their objects */
    struct cert_doc cert[2];
    struct config_doc config[2];
    struct authority_doc authority[2];
    struct rollout_doc rollout[2];
    struct approver_doc approver[APPROVERS_MAX + 1];
    struct policy_doc policy[2];
    struct veto_doc veto;
    struct approval_set approvals;
    uint8_t payload[ATTEST_PAYLOAD_MAX];
    uint8_t block[ATTEST_BLOCK_MAX];
};
/* Asserts that the host gave one. */
struct attest_scratch *attest_scratch(struct attest *a);

enum reeve_err head_put(struct attest *a, const struct hash32 *chain_id, const struct hash32 *set_hash,
                        const struct hash32 *header_hash, const struct block_header *h) REEVE_MUST_CHECK;
/*
 * What u makes of an object that stood as prev (NULL: not at all): versions,
 * times, gen_max. leaf, leaf_index and height are the caller's. Decodes into
 * scratch->rollout[0] and the [0] documents.
 */
enum reeve_err object_derive(struct attest *a, const struct attest_object *prev, const struct update *u,
                             struct slice leaf, struct wall_ms time, struct attest_object *out) REEVE_MUST_CHECK;
/* The set document that decides what follows, and since which height. */
enum reeve_err epoch_put(struct attest *a, struct slice set_doc, uint64_t epoch, uint64_t height) REEVE_MUST_CHECK;
enum reeve_err object_put(struct attest *a, const struct attest_object *o) REEVE_MUST_CHECK;
enum reeve_err leaf_put(struct attest *a, uint64_t index, uint64_t height, struct slice leaf) REEVE_MUST_CHECK;
/* Stores a block and turns its leaves into references to it; the last leaf has index last. */
enum reeve_err block_put(struct attest *a, uint64_t height, uint64_t log_size, struct slice block) REEVE_MUST_CHECK;

#endif
