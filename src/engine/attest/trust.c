/* trust.c - what a verifier remembers, and how a bundle changes it. */
#include "codec_int.h"
#include "common/text.h"

#define SET_DOC_MAX (11 + ATTEST_VALIDATORS_MAX * (256 + 68))

void trust_encode(const struct trust *t, struct wr *out)
{
    wr_u8(out, 1);
    wr_bytes(out, t->chain_id.b, 32);
    size_t at = out->len;
    wr_u32(out, 0);
    valset_encode(&t->set, out);
    if (!out->bad)
        wr_patch_u32(out, at, (uint32_t) (out->len - at - 4));
    wr_bytes(out, t->set_hash.b, 32);
    wr_u64(out, t->view);
    wr_u64(out, t->height);
    wr_u64(out, t->log_size);
    wr_bytes(out, t->log_root.b, 32);
    at_put_time(out, t->time);
    wr_u64(out, t->verified);
}

enum reeve_err trust_decode(struct trust *t, struct slice in)
{
    struct rd r = rd_of(in);
    memset(t, 0, sizeof *t);
    at_version(&r);
    rd_copy(&r, t->chain_id.b, 32);
    struct slice set = rd_str32(&r, SET_DOC_MAX);
    if (r.bad || valset_decode(&t->set, set) != REEVE_OK)
        return REEVE_E_MALFORMED;
    rd_copy(&r, t->set_hash.b, 32);
    t->view = rd_u64(&r);
    t->height = rd_u64(&r);
    t->log_size = rd_u64(&r);
    rd_copy(&r, t->log_root.b, 32);
    t->time = at_time(&r);
    t->verified = rd_u64(&r);
    return at_finish(&r);
}

/* A header may be the one known or a later one, never an earlier one or another of the same height. */
static enum reeve_err order_check(const struct trust *t, const struct block_header *h, bool want_newer)
{
    if (h->height < t->height || (want_newer && h->height == t->height))
        return REEVE_E_V_HEIGHT;
    if (t->height == 0)
        return REEVE_OK;
    if (h->height == t->height)
        return h->view == t->view && h->log_size == t->log_size && h->time.ms == t->time.ms ? REEVE_OK : REEVE_E_V_CONSISTENCY;
    if (h->view <= t->view)
        return REEVE_E_V_HEIGHT;
    return h->time.ms > t->time.ms ? REEVE_OK : REEVE_E_V_TIME;
}

static enum reeve_err consistency_read(const struct crypto_ops *c, const struct trust *t, const struct block_header *h,
                                       struct rd *r)
{
    struct hash32 path[MERKLE_PATH_MAX];
    uint8_t n = at_count(r, MERKLE_PATH_MAX);
    for (uint8_t i = 0; i < n; i++)
        rd_copy(r, path[i].b, 32);
    if (r->bad)
        return REEVE_E_MALFORMED;
    if (t->log_size == 0)       /* nothing known that could be contradicted */
        return n == 0 ? REEVE_OK : REEVE_E_V_CONSISTENCY;
    return merkle_consistency_verify(c, t->log_size, h->log_size, &t->log_root, &h->log_root, path, n);
}

/* A present object's leaf must be an update of that very object. */
static enum reeve_err leaf_read(const struct crypto_ops *c, struct rd *r, struct bundle_object *o, struct hash32 *value)
{
    struct hash32 leaf_hash;
    o->leaf = rd_str32(r, ATTEST_LEAF_MAX);
    if (r->bad)
        return REEVE_E_MALFORMED;
    if (update_decode(&o->update, o->leaf) != REEVE_OK || o->update.type != o->type || !name_eq(&o->update.object, &o->name))
        return REEVE_E_V_LEAF;
    merkle_leaf_hash(c, &leaf_hash, o->leaf);
    object_map_value(c, value, o->update.version, &leaf_hash);
    return REEVE_OK;
}

static enum reeve_err object_read(const struct crypto_ops *c, const struct hash32 *state_root, struct rd *r,
                                  struct bundle_object *o)
{
    enum reeve_err err = REEVE_OK;
    struct hash32 key, value;
    memset(o, 0, sizeof *o);
    o->type = at_kind(r, AT__MAX);
    rd_name(r, &o->name);
    o->present = at_flag(r);
    if (r->bad)
        return REEVE_E_MALFORMED;
    if (o->present)
        TRY(leaf_read(c, r, o, &value));
    object_map_key(c, &key, o->type, &o->name);
    TRY(merkle_map_verify(c, state_root, &key, o->present ? &value : NULL, r));
out:
    return err;
}

static enum reeve_err objects_read(const struct crypto_ops *c, const struct hash32 *state_root, struct rd *r,
                                   struct bundle_object *objects, size_t cap, size_t *n)
{
    enum reeve_err err = REEVE_OK;
    uint16_t count = rd_u16(r);
    if (count > cap)
        return REEVE_E_TOO_BIG;
    for (uint16_t i = 0; i < count; i++)
        TRY(object_read(c, state_root, r, &objects[i]));
    *n = count;
out:
    return err == REEVE_OK && !rd_done(r) ? REEVE_E_MALFORMED : err;
}

static void trust_advance(struct trust *t, const struct block_header *h)
{
    t->view = h->view;
    t->height = h->height;
    t->log_size = h->log_size;
    t->log_root = h->log_root;
    t->time = h->time;
    t->verified++;
}

enum reeve_err trust_follow(const struct crypto_ops *c, struct trust *t, struct rd *r)
{
    enum reeve_err err;
    struct finalization f;
    TRY(finalization_decode(&f, r));
    struct slice payload = rd_str32(r, ATTEST_PAYLOAD_MAX);
    if (r->bad)
        return REEVE_E_MALFORMED;
    if (f.header.epoch < t->set.epoch)
        return REEVE_OK;
    TRY(finalization_verify(c, &f, &t->chain_id, &t->set, &t->set_hash));
    if (f.header.height < t->height)
        return REEVE_E_V_HEIGHT;
    err = valset_advance(c, &f, payload, &t->set, &t->set_hash);
out:
    return err;
}

static enum reeve_err epochs_open(const struct crypto_ops *c, struct trust *t, struct rd *r)
{
    enum reeve_err err = REEVE_OK;
    uint8_t version = rd_u8(r);
    if (r->bad || version < 1 || version > 2)
        return REEVE_E_MALFORMED;
    unsigned n = version == 2 ? rd_u16(r) : 0;
    if (version == 2 && n == 0)
        return REEVE_E_MALFORMED;
    for (unsigned i = 0; i < n; i++)
        TRY(trust_follow(c, t, r));
out:
    return err;
}

bool bundle_changes_set(const struct trust *t, struct slice in)
{
    struct rd r = rd_of(in);
    uint8_t version = rd_u8(&r);
    unsigned n = version == 2 ? rd_u16(&r) : 0;
    for (unsigned i = 0; i < n && !r.bad; i++) {
        struct finalization f;
        if (finalization_decode(&f, &r) != REEVE_OK)
            return false;
        (void) rd_str32(&r, ATTEST_PAYLOAD_MAX);
        if (!r.bad && f.header.epoch >= t->set.epoch)
            return true;
    }
    return false;
}

enum reeve_err bundle_open(const struct crypto_ops *c, struct trust *t, struct slice in, bool want_newer,
                           struct bundle_object *objects, size_t cap, size_t *n)
{
    enum reeve_err err;
    struct rd r = rd_of(in);
    struct finalization f;
    struct trust now = *t;              /* moves only with a bundle that is good as a whole */
    *n = 0;
    TRY(epochs_open(c, &now, &r));
    TRY(finalization_decode(&f, &r));
    TRY(finalization_verify(c, &f, &now.chain_id, &now.set, &now.set_hash));
    TRY(order_check(&now, &f.header, want_newer));
    TRY(consistency_read(c, &now, &f.header, &r));
    TRY(objects_read(c, &f.header.state_root, &r, objects, cap, n));
    trust_advance(&now, &f.header);
    *t = now;
    return REEVE_OK;
out:
    if (cap > 0)        /* nothing of a bad bundle is handed out */
        memset(objects, 0, cap * sizeof *objects);
    *n = 0;
    return err;
}

enum reeve_err bundle_object_newer(const struct bundle_object *o, uint64_t known)
{
    return o->present && o->update.version > known ? REEVE_OK : REEVE_E_V_VERSION;
}
