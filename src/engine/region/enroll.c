/*
 * enroll.c - new nodes, and what they register
 *
 * Enrolment is idempotent: a node that is there already, with the same key,
 * gets its ordinal back and no use of the token is spent, so a lost answer can
 * be asked for again. Refusals are results of single items.
 */
#include "engine/region/region_int.h"

struct enroll_item { uint8_t token[8]; struct hash32 secret; struct node_row node; };

static const char node_id_domain[] = "reeve-node-v1";     /* with its NUL: the 00 of the format */

static bool id_matches_key(struct apply *a, const struct node_row *n)
{
    struct slice parts[2] = { slice_of(node_id_domain, sizeof node_id_domain), slice_of(n->key.b, 32) };
    struct hash32 h;
    a->r->c->sha256(&h, parts, 2);
    return memcmp(h.b, n->id.b, sizeof n->id.b) == 0;
}

/* An attested AT_NODE bars the id for good, whatever the region's own rows say. */
static enum reeve_err check_revoked(struct apply *a, const struct node_id *id)
{
    struct attest at = apply_attest(a);
    char text[NODE_ID_TEXT_LEN + 1];
    struct name name;
    struct attest_object o;
    struct node_doc d;
    node_id_text(text, id);
    (void) name_set_str(&name, text);
    enum reeve_err err = attest_get(&at, AT_NODE, &name, &o);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    if (o.update.op != 1 || node_doc_decode(&d, o.update.payload) != REEVE_OK || d.revoked)
        return refuse(a, REEVE_E_V_REVOKED, "the node is revoked");
    return REEVE_OK;
}

static enum reeve_err check_token(struct apply *a, const struct enroll_item *it, struct token_row *t)
{
    struct rkey k;
    rkey_bytes(&k, 't', it->token, sizeof it->token);
    enum reeve_err err = load_token(a->kv, &k, t);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && !hash32_eq(&t->secret_hash, &it->secret)))
        return refuse(a, REEVE_E_AUTH, "the join token is not valid");
    if (err != REEVE_OK)
        return err;
    if (t->expires.ms != 0 && it->node.enrolled.ms >= t->expires.ms)
        return refuse(a, REEVE_E_AUTH, "the join token has expired");
    if (t->uses_left == 0)
        return refuse(a, REEVE_E_AUTH, "the join token is used up");
    return REEVE_OK;
}

/* The token's labels come first and win: they are the operator's word. */
static void merge_labels(struct labels *node, const struct labels *token)
{
    struct labels merged = *token;
    for (unsigned i = 0; i < node->n && merged.n < ROLLOUT_LABELS_MAX; i++) {
        bool has = false;
        for (unsigned k = 0; k < token->n; k++)
            has = has || name_eq(&token->l[k].key, &node->l[i].key);
        if (!has)
            merged.l[merged.n++] = node->l[i];
    }
    *node = merged;
}

static enum reeve_err known_ordinal(struct apply *a, const struct node_id *id, bool *known, uint32_t *ordinal)
{
    struct rkey k;
    struct slice v;
    rkey_bytes(&k, 'i', id->b, sizeof id->b);
    enum reeve_err err = kv_get(a->kv, rkey_slice(&k), &v);
    *known = err == REEVE_OK;
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    struct rd r = rd_of(v);
    *ordinal = rd_u32(&r);
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err again(struct apply *a, const struct enroll_item *it, uint32_t ordinal)
{
    struct node_row row;
    struct rkey k;
    rkey_u32(&k, 'n', ordinal);
    enum reeve_err err = load_node(a->kv, &k, &row);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_E_CORRUPT : err;
    if (row.state == NODE_REVOKED)
        return refuse(a, REEVE_E_V_REVOKED, "the node is revoked");
    if (memcmp(row.key.b, it->node.key.b, 32) != 0)
        return refuse(a, REEVE_E_V_KEY, "the node id belongs to another key");
    row.seal_key = it->node.seal_key;
    row.last_connect = it->node.enrolled;
    return store_node(a, &k, &row);
}

static enum reeve_err add_node(struct apply *a, struct enroll_item *it, struct token_row *t, uint32_t *ordinal)
{
    uint8_t b[4];
    struct wr w = wr_fixed(b, sizeof b);
    struct rkey k;
    uint64_t next;
    enum reeve_err err;
    TRY(meta_get(a->kv, "next_ordinal", &next));
    if (next >= NODES_NONE)
        return refuse(a, REEVE_E_TOO_MANY, "the region has given out all its ordinals");
    TRY(meta_put(a->kv, "next_ordinal", next + 1));
    *ordinal = (uint32_t) next;
    wr_u32(&w, *ordinal);
    rkey_bytes(&k, 'i', it->node.id.b, sizeof it->node.id.b);
    TRY(put_bytes(a->kv, &k, wr_slice(&w)));
    rkey_u32(&k, 'n', *ordinal);
    TRY(store_node(a, &k, &it->node));
    t->uses_left--;
    rkey_bytes(&k, 't', it->token, sizeof it->token);
    TRY(store_token(a, &k, t));
    TRY(feed_node(a, &it->node.id));
out:
    return err;
}

static enum reeve_err node_region(struct apply *a, struct node_row *n, const struct token_row *t)
{
    struct region here = *a->r;
    here.kv = a->kv;
    if (t->region.len > 0) {
        n->region = t->region;
        return REEVE_OK;
    }
    enum reeve_err err = region_name(&here, &n->region);
    return err == REEVE_E_NOT_FOUND ? refuse(a, REEVE_E_WRONG_STATE, "the region has no name yet") : err;
}

static enum reeve_err enroll(struct apply *a, struct enroll_item *it, uint32_t *ordinal)
{
    struct token_row t;
    bool known;
    enum reeve_err err;
    if (!id_matches_key(a, &it->node))
        return refuse(a, REEVE_E_V_KEY, "the node id does not belong to the key");
    TRY(check_revoked(a, &it->node.id));
    TRY(known_ordinal(a, &it->node.id, &known, ordinal));
    if (known)
        return again(a, it, *ordinal);
    TRY(check_token(a, it, &t));
    TRY(node_region(a, &it->node, &t));
    merge_labels(&it->node.labels, &t.labels);
    it->node.state = NODE_LIVE;
    it->node.last_connect = it->node.enrolled;
    memcpy(it->node.token, it->token, sizeof it->token);
    TRY(add_node(a, it, &t, ordinal));
out:
    return err;
}

static void item_read(struct enroll_item *it, struct rd *r)
{
    rd_copy(r, it->token, sizeof it->token);
    rd_copy(r, it->secret.b, sizeof it->secret.b);
    node_row_read(&it->node, r);
}

/* Nothing is applied of a batch that does not decode to its end. */
static bool batch_ok(struct rd r, uint16_t n)
{
    struct enroll_item it;
    for (unsigned i = 0; i < n && !r.bad; i++)
        item_read(&it, &r);
    return rd_done(&r) && n <= REGION_BATCH_MAX;
}

enum reeve_err apply_enroll(struct apply *a, struct rd *r)
{
    uint16_t n = rd_u16(r);
    if (r->bad || !batch_ok(*r, n))
        return refuse(a, REEVE_E_MALFORMED, "malformed batch of enrolments");
    for (unsigned i = 0; i < n && !a->dry; i++) {
        struct enroll_item it;
        uint32_t ordinal = NODES_NONE;
        item_read(&it, r);
        report_clear(&a->rep);
        enum reeve_err err = enroll(a, &it, &ordinal);
        if (err == REEVE_OK)
            result_u32(a, ordinal);
        else if (refused(a, err))
            result_item(a, err, a->rep.message, (struct slice){ NULL, 0 });
        else
            return err;
    }
    report_clear(&a->rep);
    return REEVE_OK;
}
