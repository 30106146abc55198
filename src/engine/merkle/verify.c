/* verify.c - checking log proofs made by somebody else: RFC 9162 2.1.3.2 and 2.1.4.2. */
#include "engine/merkle.h"

/* Walks from leaf number fn of a level whose last number is sn to the root. */
struct climb { uint64_t fn, sn; };

/* Is the sibling on the left? Then also skips the levels where the node stands alone. */
static bool climb_left(struct climb *k)
{
    if ((k->fn & 1) == 0 && k->fn != k->sn)
        return false;
    while ((k->fn & 1) == 0 && k->fn != 0) {
        k->fn >>= 1;
        k->sn >>= 1;
    }
    return true;
}

static void climb_up(struct climb *k)
{
    k->fn >>= 1;
    k->sn >>= 1;
}

enum reeve_err merkle_inclusion_verify(const struct crypto_ops *c, uint64_t index, uint64_t size,
                                       const struct hash32 *leaf, const struct hash32 *path, size_t n,
                                       const struct hash32 *root)
{
    if (index >= size || n > MERKLE_PATH_MAX)
        return REEVE_E_V_LEAF;
    struct climb k = { index, size - 1 };
    struct hash32 h = *leaf;
    for (size_t i = 0; i < n; i++) {
        if (k.sn == 0)
            return REEVE_E_V_LEAF;
        if (climb_left(&k))
            merkle_node_hash(c, &h, &path[i], &h);
        else
            merkle_node_hash(c, &h, &h, &path[i]);
        climb_up(&k);
    }
    return k.sn == 0 && hash32_eq(&h, root) ? REEVE_OK : REEVE_E_V_LEAF;
}

static enum reeve_err consistency_walk(const struct crypto_ops *c, struct climb k, const struct hash32 *first,
                                       const struct hash32 *path, size_t n,
                                       const struct hash32 *root_m, const struct hash32 *root_n)
{
    struct hash32 fr = *first, sr = *first;
    for (size_t i = 0; i < n; i++) {
        if (k.sn == 0)
            return REEVE_E_V_CONSISTENCY;
        if (climb_left(&k)) {
            merkle_node_hash(c, &fr, &path[i], &fr);
            merkle_node_hash(c, &sr, &path[i], &sr);
        } else {
            merkle_node_hash(c, &sr, &sr, &path[i]);
        }
        climb_up(&k);
    }
    return k.sn == 0 && hash32_eq(&fr, root_m) && hash32_eq(&sr, root_n) ? REEVE_OK : REEVE_E_V_CONSISTENCY;
}

enum reeve_err merkle_consistency_verify(const struct crypto_ops *c, uint64_t m, uint64_t n_size,
                                         const struct hash32 *root_m, const struct hash32 *root_n,
                                         const struct hash32 *path, size_t n)
{
    if (m > n_size || n > MERKLE_PATH_MAX)
        return REEVE_E_V_CONSISTENCY;
    if (m == 0) {
        struct hash32 empty;
        c->sha256(&empty, NULL, 0);
        bool same = n == 0 && hash32_eq(&empty, root_m) && (n_size > 0 || hash32_eq(&empty, root_n));
        return same ? REEVE_OK : REEVE_E_V_CONSISTENCY;
    }
    if (m == n_size)
        return n == 0 && hash32_eq(root_m, root_n) ? REEVE_OK : REEVE_E_V_CONSISTENCY;
    if (n == 0)
        return REEVE_E_V_CONSISTENCY;
    struct climb k = { m - 1, n_size - 1 };
    while (k.fn & 1)
        climb_up(&k);
    /* A power of two is a subtree the verifier knows already: its root stands first. */
    if ((m & (m - 1)) == 0)
        return consistency_walk(c, k, root_m, path, n, root_m, root_n);
    return consistency_walk(c, k, &path[0], path + 1, n - 1, root_m, root_n);
}
