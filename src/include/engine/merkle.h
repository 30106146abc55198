/*
 * merkle.h - the two trees: an RFC 6962 log and a sparse Merkle map
 *
 * Log (RFC 6962 2.1, RFC 9162 2.1): empty root SHA-256(""); leaf SHA-256(00 ||
 * data); node SHA-256(01 || left || right). Complete subtrees are stored in kv
 * under prefix || 'L' || level u8 || index u64, so that proofs of any earlier
 * size can be made; a compact range (at most 64 hashes) suffices to append.
 *
 * Map: 256-bit keys to 32-byte values, a binary trie in which a subtree with a
 * single entry is that entry's leaf (so a path has about log2(n) siblings):
 *   empty 32 zero bytes; leaf SHA-256(02 || key || value); inner SHA-256(03 || l || r).
 * Nodes lie in kv under prefix || 'M' || depth u8 || path bits (masked, 32 bytes).
 * Only the newest map is kept. A proof is: depth u8 of siblings, then the
 * siblings from the root downward (32 bytes each), then u8 kind of what ends
 * the path: 0 empty, 1 the leaf asked for, 2 another leaf (key, value follow),
 * which proves absence.
 *
 * Bounds: a log proof has at most 64 hashes, a map proof 255 siblings (keys that
 * share their first 255 bits are refused with TOO_COMPLEX; leaves lie in their
 * parent's record, see map.c).
 */
#ifndef REEVE_ENGINE_MERKLE_H
#define REEVE_ENGINE_MERKLE_H

#include "common/crypto_ops.h"
#include "common/kv.h"

#define MERKLE_PATH_MAX 64

void merkle_leaf_hash(const struct crypto_ops *c, struct hash32 *out, struct slice data);
void merkle_node_hash(const struct crypto_ops *c, struct hash32 *out, const struct hash32 *l, const struct hash32 *r);

/* Compact range: the roots of the complete subtrees of a log of that size, largest first. */
struct merkle_range {
    uint64_t size;
    struct hash32 h[64];
};
void merkle_range_init(struct merkle_range *r);
void merkle_range_append(const struct crypto_ops *c, struct merkle_range *r, const struct hash32 *leaf);
void merkle_range_root(const struct crypto_ops *c, const struct merkle_range *r, struct hash32 *out);

/* A log stored in kv under prefix (1 byte). size is kept by the caller. */
struct merkle_log { struct kv *kv; const struct crypto_ops *c; uint8_t prefix; };
/* The root of a complete subtree of 2^level leaves, that with this number. CORRUPT: the log is not so large. */
enum reeve_err merkle_log_node(struct merkle_log *l, uint8_t level, uint64_t index, struct hash32 *out) REEVE_MUST_CHECK;
enum reeve_err merkle_log_append(struct merkle_log *l, uint64_t size, const struct hash32 *leaf) REEVE_MUST_CHECK;
enum reeve_err merkle_log_root(struct merkle_log *l, uint64_t size, struct hash32 *out) REEVE_MUST_CHECK;
/* The compact range of the log as it was at that size. */
enum reeve_err merkle_log_range(struct merkle_log *l, uint64_t size, struct merkle_range *out) REEVE_MUST_CHECK;
enum reeve_err merkle_log_inclusion(struct merkle_log *l, uint64_t index, uint64_t size,
                                    struct hash32 path[MERKLE_PATH_MAX], size_t *n) REEVE_MUST_CHECK;
enum reeve_err merkle_log_consistency(struct merkle_log *l, uint64_t m, uint64_t n_size,
                                      struct hash32 path[MERKLE_PATH_MAX], size_t *n) REEVE_MUST_CHECK;
/* V_LEAF / V_CONSISTENCY when the proof does not hold; RFC 9162 2.1.3.2 and 2.1.4.2. */
enum reeve_err merkle_inclusion_verify(const struct crypto_ops *c, uint64_t index, uint64_t size,
                                       const struct hash32 *leaf, const struct hash32 *path, size_t n,
                                       const struct hash32 *root) REEVE_MUST_CHECK;
enum reeve_err merkle_consistency_verify(const struct crypto_ops *c, uint64_t m, uint64_t n_size,
                                         const struct hash32 *root_m, const struct hash32 *root_n,
                                         const struct hash32 *path, size_t n) REEVE_MUST_CHECK;

struct merkle_map { struct kv *kv; const struct crypto_ops *c; uint8_t prefix; };
/* Sets key to value (value all zero: removes it) and gives the new root. */
enum reeve_err merkle_map_set(struct merkle_map *m, const struct hash32 *key, const struct hash32 *value,
                              struct hash32 *root) REEVE_MUST_CHECK;
enum reeve_err merkle_map_root(struct merkle_map *m, struct hash32 *root) REEVE_MUST_CHECK;
/* Appends the proof for key (presence or absence) to out. */
enum reeve_err merkle_map_prove(struct merkle_map *m, const struct hash32 *key, struct wr *out) REEVE_MUST_CHECK;
/* value == NULL: verify absence. Reads exactly one proof from in. V_MAP otherwise. */
enum reeve_err merkle_map_verify(const struct crypto_ops *c, const struct hash32 *root, const struct hash32 *key,
                                 const struct hash32 *value, struct rd *in) REEVE_MUST_CHECK;

#endif
