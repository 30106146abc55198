/* op_node.c - drain, cordon, label and drop nodes. */
#include "engine/region/region_int.h"

static void node_key(struct rkey *k, uint32_t ordinal)
{
    rkey_u32(k, 'n', ordinal);
}

static enum reeve_err node_load(struct apply *a, uint32_t ordinal, struct node_row *row)
{
    struct rkey k;
    node_key(&k, ordinal);
    enum reeve_err err = load_node(a->kv, &k, row);
    return err == REEVE_E_NOT_FOUND ? refuse(a, REEVE_E_UNDEFINED_OBJECT, "the node does not exist") : err;
}

static enum reeve_err node_commit(struct apply *a, uint32_t ordinal, const struct node_row *row, const char *action,
                                  const struct wr *before, const struct wr *after)
{
    char text[NODE_ID_TEXT_LEN + 1];
    struct name name;
    struct rkey k;
    enum reeve_err err;
    node_id_text(text, &row->id);
    (void) name_set_str(&name, text);
    node_key(&k, ordinal);
    TRY(store_node(a, &k, row));
    TRY(history_add(a, "node", &name, action, wr_slice(before), wr_slice(after)));
    TRY(feed_add(a, FEED_NODE, &name));
out:
    return err;
}

enum reeve_err op_node_state(struct apply *a, struct rd *r, struct wr *out)
{
    struct wr before, after;
    struct node_row row;
    enum reeve_err err;
    uint32_t ordinal = rd_u32(r);
    uint8_t state = rd_u8(r);
    if (r->bad || (state != NODE_LIVE && state != NODE_DRAINED && state != NODE_CORDONED))
        return refuse(a, REEVE_E_MALFORMED, "a node can be drained, cordoned or returned to service");
    if (a->dry)
        return REEVE_OK;
    TRY(node_load(a, ordinal, &row));
    if (row.state == NODE_REVOKED)
        return refuse(a, REEVE_E_V_REVOKED, "the node is revoked");
    before = wr_fixed(a->s->json[0], sizeof a->s->json[0]);
    after = wr_fixed(a->s->json[1], sizeof a->s->json[1]);
    wr_printf(&before, "{\"state\":\"%s\"}", node_state_name((enum node_state) row.state));
    wr_printf(&after, "{\"state\":\"%s\"}", node_state_name((enum node_state) state));
    row.state = state;
    TRY(node_commit(a, ordinal, &row, state == NODE_DRAINED ? "drain" : state == NODE_CORDONED ? "cordon" : "uncordon",
                    &before, &after));
out:
    return err;
}

static unsigned label_find(const struct labels *l, const struct name *key)
{
    unsigned i = 0;
    while (i < l->n && !name_eq(&l->l[i].key, key))
        i++;
    return i;
}

static bool label_set(struct labels *l, const struct name *key, const struct name *value)
{
    unsigned i = label_find(l, key);
    if (i == ROLLOUT_LABELS_MAX)
        return false;
    if (i == l->n)
        l->n++;
    l->l[i].key = *key;
    l->l[i].value = *value;
    return true;
}

static void label_remove(struct labels *l, const struct name *key)
{
    unsigned i = label_find(l, key);
    if (i == l->n)
        return;
    memmove(&l->l[i], &l->l[i + 1], (l->n - i - 1u) * sizeof *l->l);
    memset(&l->l[--l->n], 0, sizeof *l->l);
}

static void label_json(struct wr *w, const struct labels *l, const struct name *key)
{
    unsigned i = label_find(l, key);
    if (i == l->n)
        return;
    wr_u8(w, '{');
    json_text(w, name_slice(key));
    wr_u8(w, ':');
    json_text(w, name_slice(&l->l[i].value));
    wr_u8(w, '}');
}

enum reeve_err op_node_label(struct apply *a, struct rd *r, struct wr *out)
{
    struct wr before, after;
    struct name key, value;
    struct node_row row;
    enum reeve_err err;
    uint32_t ordinal = rd_u32(r);
    rd_name(r, &key);
    rd_row_name(r, &value);
    if (r->bad || a->dry)
        return REEVE_OK;
    TRY(node_load(a, ordinal, &row));
    before = wr_fixed(a->s->json[0], sizeof a->s->json[0]);
    after = wr_fixed(a->s->json[1], sizeof a->s->json[1]);
    label_json(&before, &row.labels, &key);
    if (value.len == 0)
        label_remove(&row.labels, &key);
    else if (!label_set(&row.labels, &key, &value))
        return refuse(a, REEVE_E_TOO_COMPLEX, "a node carries at most %d labels", ROLLOUT_LABELS_MAX);
    label_json(&after, &row.labels, &key);
    TRY(node_commit(a, ordinal, &row, "label", &before, &after));
out:
    return err;
}

/* The ordinal is never given again (G3); deployment rows stay until their object goes. */
enum reeve_err op_node_drop(struct apply *a, struct rd *r, struct wr *out)
{
    static const struct wr empty;
    struct node_row row;
    struct rkey k;
    enum reeve_err err;
    uint32_t ordinal = rd_u32(r);
    if (r->bad || a->dry)
        return REEVE_OK;
    TRY(node_load(a, ordinal, &row));
    TRY(node_commit(a, ordinal, &row, "drop", &empty, &empty));
    node_key(&k, ordinal);
    TRY(kv_del(a->kv, rkey_slice(&k)));
    rkey_bytes(&k, 'i', row.id.b, sizeof row.id.b);
    TRY(kv_del(a->kv, rkey_slice(&k)));
    TRY(runs_drop(a->kv, ordinal));
    rkey_u32(&k, 'k', ordinal);
    TRY(del_prefix(a->kv, &k));
out:
    return err;
}
