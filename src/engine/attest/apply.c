/* apply.c - blocks change the state: propose, extend, apply, finalize. */
#include "codec_int.h"
#include "recovery_int.h"
#include "refuse_int.h"
#include "state_int.h"

/* One checked leaf: into the log, the map and the tables. */
static enum reeve_err leaf_apply(struct attest *a, struct slice leaf, uint64_t index, uint64_t height,
                                 struct wall_ms time,
                                 struct hash32 *state_root)
{
    enum reeve_err err;
    struct update u;
    struct attest_object prev, now;
    struct hash32 key, value;
    struct merkle_log log = { a->kv, a->c, ATTEST_KV_PREFIX };
    struct merkle_map map = { a->kv, a->c, ATTEST_KV_PREFIX };
    TRY(update_decode(&u, leaf));
    err = attest_get(a, (enum attest_type) u.type, &u.object, &prev);
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return err;
    TRY(object_derive(a, err == REEVE_OK ? &prev : NULL, &u, leaf, time, &now));
    now.leaf_index = index;
    now.height = height;
    TRY(leaf_put(a, index, height, leaf));
    TRY(object_put(a, &now));
    TRY(merkle_log_append(&log, index, &now.leaf_hash));
    object_map_key(a->c, &key, u.type, &u.object);
    object_map_value(a->c, &value, u.version, &now.leaf_hash);
    TRY(merkle_map_set(&map, &key, &value, state_root));
out:
    return err;
}

/* E1: the leaf that names the next set puts it in force. */
static enum reeve_err epoch_turn(struct attest *a, const struct slice *leaves, size_t n, struct block_header *h)
{
    uint8_t mem[11 + ATTEST_VALIDATORS_MAX * (256 + 68)];
    struct valset_doc *d = &attest_scratch(a)->valset;
    struct wr w = wr_fixed(mem, sizeof mem);
    enum reeve_err err;
    struct slice payload = valset_payload_find(leaves, n);
    if (payload.len == 0)
        return REEVE_OK;
    TRY(valset_doc_decode(d, payload));
    valset_encode(&d->set, &w);
    if (w.bad)
        return REEVE_E_BUG;
    valset_hash(a->c, &h->next_valset_hash, wr_slice(&w));
    err = epoch_put(a, wr_slice(&w), d->set.epoch, h->height);
out:
    return err;
}

/* E2: says again what the head said, one block higher. */
static enum reeve_err closer_make(struct attest *a, const struct attest_head *head, size_t n, struct block_header *h)
{
    struct hash32 hash;
    if (n > 0)
        return REEVE_E_BUG;
    h->epoch = head->header.epoch;
    h->valset_hash = head->header.valset_hash;
    h->next_valset_hash = head->header.next_valset_hash;
    h->log_root = head->log_root;
    header_hash(a->c, &hash, h);
    return head_put(a, &head->chain_id, &head->set_hash, &hash, h);
}

static bool closes(const struct attest_head *head, const struct block_header *h)
{
    return h->epoch == head->header.epoch && header_ends_epoch(&head->header);
}

enum reeve_err attest_propose(struct attest *a, const struct slice *leaves, size_t n, struct block_header *h)
{
    enum reeve_err err;
    struct attest_head head;
    struct hash32 hash;
    struct merkle_log log = { a->kv, a->c, ATTEST_KV_PREFIX };
    TRY(attest_head(a, &head));
    if (h->time.ms <= head.header.time.ms)
        return REEVE_E_V_TIME;
    if (n > ATTEST_BLOCK_LEAVES_MAX || h->view <= head.header.view)
        return REEVE_E_BUG;
    h->chain_id = head.chain_id;
    h->height = head.height + 1;
    h->parent_view = head.header.view;
    h->parent_hash = head.header_hash;
    h->state_root = head.state_root;
    h->log_size = head.log_size + n;
    block_payload_root(a->c, leaves, n, &h->payload_root);
    if (closes(&head, h))
        return closer_make(a, &head, n, h);
    h->epoch = head.epoch;
    h->valset_hash = h->next_valset_hash = head.set_hash;
    for (size_t i = 0; i < n; i++)
        TRY(leaf_apply(a, leaves[i], head.log_size + i, h->height, h->time, &h->state_root));
    TRY(merkle_log_root(&log, h->log_size, &h->log_root));
    TRY(epoch_turn(a, leaves, n, h));
    header_hash(a->c, &hash, h);
    TRY(head_put(a, &head.chain_id, &h->next_valset_hash, &hash, h));
out:
    return err;
}

/* Is the block its epoch's, and, as a closer, nothing more than one? */
static enum reeve_err epoch_check(const struct attest_head *head, const struct block_header *h, size_t n, struct report *rep)
{
    bool closer = closes(head, h);
    const struct hash32 *set = closer ? &head->header.valset_hash : &head->set_hash;
    if (!closer && h->epoch != head->epoch)
        return refuse(rep, REEVE_E_V_EPOCH, "the block belongs to another epoch");
    if (!hash32_eq(&h->valset_hash, set))
        return refuse(rep, REEVE_E_V_SET, "the block names another validator set");
    if (closer && n > 0)
        return refuse(rep, REEVE_E_V_EPOCH, "the epoch has ended");
    return REEVE_OK;
}

/* Does the header continue this chain? Roots and the next set are compared after applying. */
static enum reeve_err header_check(struct attest *a, const struct attest_head *head, const struct block_header *h,
                                   const struct slice *leaves, size_t n, struct report *rep)
{
    struct hash32 root;
    if (!hash32_eq(&h->chain_id, &head->chain_id))
        return refuse(rep, REEVE_E_V_CHAIN, "the block belongs to another chain");
    enum reeve_err err = epoch_check(head, h, n, rep);
    if (err != REEVE_OK)
        return err;
    if (h->height != head->height + 1)
        return refuse(rep, REEVE_E_V_HEIGHT, "the block does not have the next height");
    if (h->view <= head->header.view || h->parent_view != head->header.view || !hash32_eq(&h->parent_hash, &head->header_hash))
        return refuse(rep, REEVE_E_V_CONSISTENCY, "the block has another parent");
    if (h->time.ms <= head->header.time.ms)
        return refuse(rep, REEVE_E_V_TIME, "the block's time does not exceed its parent's");
    block_payload_root(a->c, leaves, n, &root);
    if (h->log_size != head->log_size + n || !hash32_eq(&root, &h->payload_root))
        return refuse(rep, REEVE_E_V_LEAF, "the block's leaves are not those of its header");
    return REEVE_OK;
}

static enum reeve_err extend(struct attest *a, const struct block_header *h, const struct slice *leaves, size_t n,
                             bool recovery, struct report *rep)
{
    enum reeve_err err;
    struct attest_head head;
    TRY(attest_head(a, &head));
    TRY(header_check(a, &head, h, leaves, n, rep));
    TRY(recovery ? attest_check_recovery(a, leaves, n, h->time, rep) : attest_check(a, leaves, n, h->time, rep));
    struct block_header mine = { .view = h->view, .time = h->time, .proposer = h->proposer, .epoch = h->epoch };
    TRY(attest_propose(a, leaves, n, &mine));
    if (!hash32_eq(&mine.next_valset_hash, &h->next_valset_hash))
        return refuse(rep, REEVE_E_V_SET, "the block names another set for the next epoch than its content");
    if (!hash32_eq(&mine.log_root, &h->log_root) || !hash32_eq(&mine.state_root, &h->state_root))
        return refuse(rep, REEVE_E_CORRUPT, "the block's roots are not those of its content");
out:
    return err;
}

enum reeve_err attest_extend(struct attest *a, const struct block_header *h, const struct slice *leaves, size_t n,
                             struct report *rep)
{
    return extend(a, h, leaves, n, false, rep);
}

enum reeve_err attest_finalize(struct attest *a, const struct finalization *f, const struct slice *leaves, size_t n)
{
    enum reeve_err err;
    struct attest_head head;
    struct hash32 hash;
    struct attest_scratch *s = attest_scratch(a);
    TRY(attest_head(a, &head));
    header_hash(a->c, &hash, &f->header);
    if (!hash32_eq(&hash, &head.header_hash))
        return REEVE_E_CONFLICT;
    struct wr w = wr_fixed(s->block, sizeof s->block);
    block_encode(f, leaves, n, &w);
    if (w.bad)
        return REEVE_E_TOO_BIG;
    TRY(block_put(a, head.height, head.log_size, wr_slice(&w)));
out:
    return err;
}

enum reeve_err attest_apply(struct attest *a, struct slice block, struct report *rep)
{
    enum reeve_err err;
    struct attest_head head;
    struct slice set_doc;
    struct block_header h;
    struct attest_scratch *s = attest_scratch(a);
    size_t n;
    TRY(attest_head(a, &head));
    TRY(attest_valset(a, &s->set, &set_doc));
    err = block_decode(&s->fin, s->leaves, ATTEST_BLOCK_LEAVES_MAX, &n, block);
    if (err != REEVE_OK)
        return refuse(rep, err, "the block cannot be read");
    err = finalization_verify(a->c, &s->fin, &head.chain_id, &s->set, &head.set_hash);
    if (err != REEVE_OK)
        return refuse(rep, err, "the block's finalization does not verify");
    h = s->fin.header;
    TRY(extend(a, &h, s->leaves, n, s->fin.recovery.len > 0, rep));
    TRY(block_put(a, h.height, h.log_size, block));
out:
    return err;
}
