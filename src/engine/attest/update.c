/* update.c - the security update: the bytes of a leaf. */
#include "codec_int.h"
#include "common/text.h"
#include "engine/approval.h"

static const char *const type_names[AT__MAX + 1] = {
    "?", "validators", "region", "authority", "cert", "rollout", "config", "class", "node",
    "approver", "approval policy", "region checkpoint", "veto",
};

const char *attest_type_name(enum attest_type t)
{
    return (unsigned) t <= AT__MAX ? type_names[t] : type_names[0];
}

void update_encode(const struct update *u, bool with_sig, struct wr *out)
{
    wr_u8(out, 1);
    wr_u8(out, u->type);
    wr_u8(out, u->op);
    wr_name(out, &u->object);
    wr_u64(out, u->version);
    wr_bytes(out, u->prev.b, 32);
    wr_str32(out, u->payload);
    wr_name(out, &u->region);
    wr_name(out, &u->actor);
    wr_str16(out, u->address);
    wr_str16(out, u->reason);
    wr_str16(out, u->statement);
    if (u->approvals.len == 0)
        wr_u8(out, 0);
    wr_bytes(out, u->approvals.p, u->approvals.len);
    if (with_sig)
        wr_bytes(out, u->region_sig.b, 64);
}

static bool decimal_id_ok(struct slice s)
{
    uint64_t v = 0;
    if (s.len == 0 || s.len > 20 || s.p[0] == '0')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t) (s.p[i] - '0'), &v))
            return false;
    }
    return true;
}

/* Some kinds of object have one way to write their name. */
static bool object_name_ok(uint8_t type, const struct name *n)
{
    struct node_id id;
    struct hash32 digest;
    switch (type) {
    case AT_VALSET:
        return slice_eq(name_slice(n), slice_str("validators"));
    case AT_ROLLOUT:
        return decimal_id_ok(name_slice(n));
    case AT_NODE:
        return node_id_parse(&id, name_slice(n));
    case AT_APPROVER:
        return approver_name_ok(n);
    case AT_VETO:
        return veto_object_digest(&digest, n);
    default:
        return n->len > 0;
    }
}

static struct slice rd_prose(struct rd *r)
{
    struct slice s = rd_str16(r, ATTEST_TEXT_MAX);
    if (s.len > 0 && (!utf8_valid(s) || memchr(s.p, 0, s.len) != NULL))
        r->bad = true;
    return s;
}

static bool update_ok(const struct update *u)
{
    if (u->type == 0 || u->type > AT__MAX || u->op == 0 || u->op > 2 || !object_name_ok(u->type, &u->object))
        return false;
    if (u->version == 0 || (u->version == 1) != hash32_is_zero(&u->prev))
        return false;
    return u->op == 1 ? u->payload.len > 0 : u->payload.len == 0 && u->version > 1;
}

enum reeve_err update_decode(struct update *u, struct slice leaf)
{
    struct rd r = rd_of(leaf);
    memset(u, 0, sizeof *u);
    if (leaf.len > ATTEST_LEAF_MAX)
        return REEVE_E_TOO_BIG;
    at_version(&r);
    u->type = rd_u8(&r);
    u->op = rd_u8(&r);
    rd_name(&r, &u->object);
    u->version = rd_u64(&r);
    rd_copy(&r, u->prev.b, 32);
    u->payload = rd_str32(&r, ATTEST_PAYLOAD_MAX);
    rd_name(&r, &u->region);
    rd_name(&r, &u->actor);
    u->address = rd_prose(&r);
    u->reason = rd_prose(&r);
    u->statement = rd_prose(&r);
    u->approvals = approval_section(&r);
    rd_copy(&r, u->region_sig.b, 64);
    return rd_done(&r) && update_ok(u) ? REEVE_OK : REEVE_E_MALFORMED;
}

void update_sign_digest(const struct crypto_ops *c, struct hash32 *out, const struct hash32 *chain_id,
                        struct slice unsigned_bytes)
{
    labelled_hash(c, out, "reeve-update-v1", slice_of(chain_id->b, 32), unsigned_bytes);
}

void statement_digest(const struct crypto_ops *c, struct hash32 *out, enum statement_kind kind, const struct hash32 *chain_id,
                      struct slice bytes)
{
    static const char *const tags[] = { [STATEMENT_EVIDENCE] = "reeve-evidence-v1", [STATEMENT_BRAKE] = "reeve-brake-v1" };
    reeve_assert(kind >= STATEMENT_EVIDENCE && kind < STATEMENT__COUNT);
    labelled_hash(c, out, tags[kind], slice_of(chain_id->b, 32), bytes);
}

bool region_doc_signed(const struct crypto_ops *c, const struct region_doc *d, const struct hash32 *digest, const struct sig64 *sig)
{
    const struct pubkey *key;
    for (unsigned i = 0; (key = region_doc_key(d, i)) != NULL; i++)
        if (c->verify(sig, slice_of(digest->b, 32), key))
            return true;
    return false;
}
