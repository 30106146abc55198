/*
 * row_node.c - nodes, tokens, workloads
 *
 *   node:     16 id | 32 key | 32 seal key | opt name region | labels | chars version | chars addr |
 *             u64 enrolled | u64 last_connect | u8 state | 8 token
 *   token:    32 secret hash | u32 uses_left | u64 expires | u64 created | opt name region |
 *             opt name created_by | labels
 *   workload: name service | u8 family | 16 addr | u16 port | u32 ttl_s | u8 weight | u8 health | u64 epoch | u64 since
 *   labels:   u8 n { name key | opt name value };  chars: u8 length + bytes
 */
#include "engine/region/region_int.h"

static const char *const states[] = { [NODE_LIVE] = "live", [NODE_LATE] = "late", [NODE_DRAINED] = "drained",
                                      [NODE_CORDONED] = "cordoned", [NODE_LOST] = "lost", [NODE_REVOKED] = "revoked" };

const char *node_state_name(enum node_state s)
{
    return s >= NODE_LIVE && s <= NODE_REVOKED ? states[s] : "unknown";
}

void node_row_encode(const struct node_row *n, struct wr *out)
{
    wr_bytes(out, n->id.b, sizeof n->id.b);
    wr_bytes(out, n->key.b, sizeof n->key.b);
    wr_bytes(out, n->seal_key.b, sizeof n->seal_key.b);
    wr_name(out, &n->region);
    wr_labels(out, &n->labels);
    wr_chars(out, n->agent_version, sizeof n->agent_version);
    wr_chars(out, n->addr, sizeof n->addr);
    wr_time(out, n->enrolled);
    wr_time(out, n->last_connect);
    wr_u8(out, n->state);
    wr_bytes(out, n->token, sizeof n->token);
}

void node_row_read(struct node_row *n, struct rd *r)
{
    memset(n, 0, sizeof *n);
    rd_copy(r, n->id.b, sizeof n->id.b);
    rd_copy(r, n->key.b, sizeof n->key.b);
    rd_copy(r, n->seal_key.b, sizeof n->seal_key.b);
    rd_row_name(r, &n->region);
    rd_labels(r, &n->labels);
    rd_chars(r, n->agent_version, sizeof n->agent_version);
    rd_chars(r, n->addr, sizeof n->addr);
    n->enrolled = rd_time(r);
    n->last_connect = rd_time(r);
    n->state = rd_u8(r);
    rd_copy(r, n->token, sizeof n->token);
    if (n->state < NODE_LIVE || n->state > NODE_REVOKED)
        r->bad = true;
}

void token_row_encode(const struct token_row *t, struct wr *out)
{
    wr_bytes(out, t->secret_hash.b, sizeof t->secret_hash.b);
    wr_u32(out, t->uses_left);
    wr_time(out, t->expires);
    wr_time(out, t->created);
    wr_name(out, &t->region);
    wr_name(out, &t->created_by);
    wr_labels(out, &t->labels);
}

void token_row_read(struct token_row *t, struct rd *r)
{
    memset(t, 0, sizeof *t);
    rd_copy(r, t->secret_hash.b, sizeof t->secret_hash.b);
    t->uses_left = rd_u32(r);
    t->expires = rd_time(r);
    t->created = rd_time(r);
    rd_row_name(r, &t->region);
    rd_row_name(r, &t->created_by);
    rd_labels(r, &t->labels);
}

void workload_row_encode(const struct workload_row *w, struct wr *out)
{
    wr_name(out, &w->service);
    wr_u8(out, w->family);
    wr_bytes(out, w->addr, sizeof w->addr);
    wr_u16(out, w->port);
    wr_u32(out, w->ttl_s);
    wr_u8(out, w->weight);
    wr_u8(out, w->health);
    wr_u64(out, w->epoch);
    wr_time(out, w->since);
}

void workload_row_read(struct workload_row *w, struct rd *r)
{
    memset(w, 0, sizeof *w);
    rd_name(r, &w->service);
    w->family = rd_u8(r);
    rd_copy(r, w->addr, sizeof w->addr);
    w->port = rd_u16(r);
    w->ttl_s = rd_u32(r);
    w->weight = rd_u8(r);
    w->health = rd_u8(r);
    w->epoch = rd_u64(r);
    w->since = rd_time(r);
}

/* Of the row that begins here, as far as its first byte tells. */
size_t workload_row_len(struct rd r)
{
    return 1 + rd_u8(&r) + WORKLOAD_ROW_REST;
}

#define DECODE(kind) \
    enum reeve_err kind##_row_decode(struct kind##_row *row, struct slice in) \
    { \
        struct rd r = rd_of(in); \
        kind##_row_read(row, &r); \
        return rd_done(&r) ? REEVE_OK : REEVE_E_MALFORMED; \
    }
DECODE(node)
DECODE(token)
DECODE(workload)
