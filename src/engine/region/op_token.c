/* op_token.c - join tokens: only the hash of the secret is ever here. */
#include "engine/region/region_int.h"

static void token_name(struct name *out, const uint8_t id[8])
{
    char hex[17];
    hex_encode(hex, id, 8);
    (void) name_set_str(out, hex);
}

static enum reeve_err token_history(struct apply *a, const uint8_t id[8], const char *action)
{
    struct name n;
    token_name(&n, id);
    return history_add(a, "join_token", &n, action, (struct slice){ NULL, 0 }, (struct slice){ NULL, 0 });
}

enum reeve_err op_token_create(struct apply *a, struct rd *r, struct wr *out)
{
    uint8_t id[8];
    struct token_row row;
    struct rkey k;
    bool exists;
    enum reeve_err err;
    rd_copy(r, id, sizeof id);
    token_row_read(&row, r);
    if (r->bad || row.uses_left == 0)
        return refuse(a, REEVE_E_MALFORMED, "malformed join token");
    if (a->dry)
        return REEVE_OK;
    rkey_bytes(&k, 't', id, sizeof id);
    TRY(key_exists(a->kv, &k, &exists));
    if (exists)
        return refuse(a, REEVE_E_DUPLICATE_OBJECT, "the join token already exists");
    row.created = a->now;
    TRY(store_token(a, &k, &row));
    TRY(token_history(a, id, "create"));
out:
    return err;
}

enum reeve_err op_token_drop(struct apply *a, struct rd *r, struct wr *out)
{
    uint8_t id[8];
    struct rkey k;
    bool exists;
    enum reeve_err err;
    rd_copy(r, id, sizeof id);
    if (r->bad || a->dry)
        return REEVE_OK;
    rkey_bytes(&k, 't', id, sizeof id);
    TRY(key_exists(a->kv, &k, &exists));
    if (!exists)
        return refuse(a, REEVE_E_UNDEFINED_OBJECT, "the join token does not exist");
    TRY(kv_del(a->kv, rkey_slice(&k)));
    TRY(token_history(a, id, "drop"));
out:
    return err;
}
