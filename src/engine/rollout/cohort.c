/*
 * cohort.c - a node's place in the order in which a rollout reaches nodes
 *
 * 53 bits, because that many fit a double exactly: SQL clients and JSON show
 * a cohort without loss.
 */
#include "engine/rollout.h"

uint64_t rollout_cohort(const struct crypto_ops *c, struct slice object, struct slice node_id_text)
{
    static const uint8_t zero = 0;
    struct slice parts[3] = { object, slice_of(&zero, 1), node_id_text };
    struct hash32 h;
    uint64_t v = 0;
    c->sha256(&h, parts, 3);
    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | h.b[i];
    return v >> 11;
}
