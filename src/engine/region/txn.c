/*
 * txn.c - an operator's transaction: all operations or none, once
 *
 * Session row ('z'): u64 seq | u64 revision | result bytes. A seq at or below
 * the stored one is a repeat: the stored result is the answer (G2); a client
 * has one transaction outstanding, so older ones than the last are not asked for.
 */
#include "engine/region/region_int.h"

struct txn_head { uint8_t session[16]; uint64_t seq; uint16_t n_ops; };

static const struct { op_fn *fn; const char *name; } ops[] = {
    [RO_CONFIG_SET] = { op_config_set, "config_set" }, [RO_CONFIG_RESET] = { op_config_reset, "config_reset" },
    [RO_CONFIG_STAGE] = { op_config_stage, "config_stage" }, [RO_ROLE_CREATE] = { op_role_create, "role_create" },
    [RO_ROLE_ALTER] = { op_role_alter, "role_alter" }, [RO_ROLE_DROP] = { op_role_drop, "role_drop" },
    [RO_MEMBER_ADD] = { op_member_add, "member_add" }, [RO_MEMBER_REMOVE] = { op_member_remove, "member_remove" },
    [RO_GRANT] = { op_grant, "grant" }, [RO_REVOKE] = { op_revoke, "revoke" },
    [RO_TOKEN_CREATE] = { op_token_create, "token_create" }, [RO_TOKEN_DROP] = { op_token_drop, "token_drop" },
    [RO_STRATEGY_CREATE] = { op_strategy_create, "strategy_create" },
    [RO_STRATEGY_DROP] = { op_strategy_drop, "strategy_drop" },
    [RO_WINDOW_CREATE] = { op_window_create, "window_create" }, [RO_WINDOW_DROP] = { op_window_drop, "window_drop" },
    [RO_NODE_STATE] = { op_node_state, "node_state" }, [RO_NODE_LABEL] = { op_node_label, "node_label" },
    [RO_NODE_DROP] = { op_node_drop, "node_drop" }, [RO_SETTING] = { op_setting, "setting" },
    [RO_STRATEGY_USED] = { op_strategy_used, "strategy_used" },
    [RO_PROPOSAL_CREATE] = { op_proposal_create, "proposal_create" },
    [RO_PROPOSAL_VERDICT] = { op_proposal_verdict, "proposal_verdict" },
    [RO_PROPOSAL_CLOSE] = { op_proposal_close, "proposal_close" },
};
#define N_OPS (sizeof ops / sizeof *ops)

op_fn *op_find(uint8_t op)
{
    return op < N_OPS ? ops[op].fn : NULL;
}

const char *op_name(uint8_t op)
{
    return op < N_OPS && ops[op].name != NULL ? ops[op].name : "unknown";
}

static void head_read(struct apply *a, struct txn_head *h, struct rd *r)
{
    rd_copy(r, h->session, sizeof h->session);
    h->seq = rd_u64(r);
    a->now = rd_time(r);
    rd_name(r, &a->actor);
    a->client = rd_text16(r, TEXT16_MAX);
    a->statement = rd_text16(r, TEXT16_MAX);
    a->reason = rd_text16(r, TEXT16_MAX);
    h->n_ops = rd_u16(r);
    if (h->n_ops > REGION_OPS_MAX)
        r->bad = true;
}

/* One operation; a->rep says why it was refused. */
static enum reeve_err one_op(struct apply *a, struct rd *r)
{
    uint8_t data[16];
    struct wr w = wr_fixed(data, sizeof data);
    uint8_t op = rd_u8(r);
    op_fn *fn = op_find(op);
    if (fn == NULL || r->bad)
        return refuse(a, REEVE_E_MALFORMED, "unknown operation %u", op);
    enum reeve_err err = fn(a, r, &w);
    if (r->bad && err == REEVE_OK)
        err = refuse(a, REEVE_E_MALFORMED, "malformed operation %s", op_name(op));
    if (a->s != NULL && a->s->overlay.full)
        err = refuse(a, REEVE_E_TOO_COMPLEX, "the transaction is too large");
    if (err == REEVE_OK && !a->dry)
        result_item(a, REEVE_OK, "", wr_slice(&w));
    return err;
}

static enum reeve_err all_ops(struct apply *a, struct rd *r, uint16_t n)
{
    enum reeve_err err = REEVE_OK;
    for (unsigned i = 0; i < n; i++)
        TRY(one_op(a, r));
    if (!rd_done(r))
        err = refuse(a, REEVE_E_MALFORMED, "malformed transaction");
out:
    return err;
}

/* The operations on an overlay that is flushed only when all succeeded. */
static enum reeve_err run(struct apply *a, struct rd *r, uint16_t n)
{
    struct kv *base = a->kv;
    overlay_begin(&a->s->overlay, base);
    a->kv = &a->s->overlay.kv;
    enum reeve_err err = all_ops(a, r, n);
    a->kv = base;
    if (err == REEVE_OK)
        return overlay_flush(&a->s->overlay);
    if (!refused(a, err))
        return err;
    result_item(a, err, a->rep.message, (struct slice){ NULL, 0 });
    return REEVE_OK;
}

static enum reeve_err repeat(struct apply *a, const struct rkey *k, uint64_t seq, bool *yes)
{
    struct slice v;
    *yes = false;
    enum reeve_err err = kv_get(a->kv, rkey_slice(k), &v);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    struct rd r = rd_of(v);
    uint64_t last = rd_u64(&r);
    (void) rd_u64(&r);
    if (r.bad || rd_left(&r) < 2)
        return REEVE_E_CORRUPT;
    *yes = seq <= last;
    if (*yes) {
        a->n_results = rd_u16(&r);
        struct slice rest = rd_bytes(&r, rd_left(&r));
        wr_bytes(&a->result, rest.p, rest.len);
    }
    return REEVE_OK;
}

static enum reeve_err remember(struct apply *a, const struct rkey *k, uint64_t seq)
{
    struct wr w = wr_fixed(a->s->row, sizeof a->s->row);
    wr_u64(&w, seq);
    wr_u64(&w, a->index);
    result_end(a);
    wr_bytes(&w, a->result.p, a->result.len);
    return w.bad ? REEVE_E_BUG : put_bytes(a->kv, k, wr_slice(&w));
}

enum reeve_err apply_txn(struct apply *a, struct rd *r)
{
    struct txn_head h;
    struct rkey k;
    bool again;
    enum reeve_err err;
    head_read(a, &h, r);
    if (r->bad)
        return refuse(a, REEVE_E_MALFORMED, "malformed transaction");
    if (a->dry)
        return all_ops(a, r, h.n_ops);
    rkey_bytes(&k, 'z', h.session, sizeof h.session);
    TRY(repeat(a, &k, h.seq, &again));
    if (again)
        return REEVE_OK;
    TRY(run(a, r, h.n_ops));
    TRY(remember(a, &k, h.seq));
out:
    return err;
}

void region_txn_begin(struct wr *w, const uint8_t session[16], uint64_t seq, struct wall_ms now,
                      const struct name *actor, struct slice client, struct slice statement, struct slice reason,
                      size_t *n_ops_at)
{
    wr_u8(w, 1);
    wr_u8(w, RC_TXN);
    wr_bytes(w, session, 16);
    wr_u64(w, seq);
    wr_time(w, now);
    wr_name(w, actor);
    wr_str16(w, client);
    wr_str16(w, statement);
    wr_str16(w, reason);
    *n_ops_at = w->len;
    wr_u16(w, 0);
}

void region_txn_end(struct wr *w, size_t n_ops_at, uint16_t n_ops)
{
    if (w->bad)
        return;
    w->p[n_ops_at] = (uint8_t) (n_ops >> 8);
    w->p[n_ops_at + 1] = (uint8_t) n_ops;
}
