/* node.c - join tokens; draining, labelling and dropping nodes. */
#include "cmd_int.h"

#include "backend/parser/parser.h"
#include "backend/peer/wire.h"
#include "crypto/hash.h"
#include "engine/wire.h"

/* ---- join tokens ---- */

static enum reeve_err token_labels(struct cmd *x, const struct ast_options *o, struct labels *out)
{
    out->n = 0;
    const struct pvalue *v = slot_option(o, "labels");
    struct slice text;
    if (v == NULL)
        return REEVE_OK;
    enum reeve_err err = slot_text(&x->slot, v, "labels", &text);
    if (err != REEVE_OK)
        return err;
    while (text.len > 0) {      /* key=value,key=value */
        const uint8_t *comma = memchr(text.p, ',', text.len);
        struct slice one = slice_of(text.p, comma ? (size_t) (comma - text.p) : text.len);
        const uint8_t *eq = memchr(one.p, '=', one.len);
        if (eq == NULL || out->n == ROLLOUT_LABELS_MAX ||
            !name_set(&out->l[out->n].key, slice_of(one.p, (size_t) (eq - one.p))) ||
            !name_set(&out->l[out->n].value, slice_of(eq + 1, one.len - (size_t) (eq - one.p) - 1)))
            return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "labels are key=value, separated by commas");
        out->n++;
        text = comma ? slice_of(comma + 1, text.len - one.len - 1) : slice_of(text.p, 0);
    }
    return REEVE_OK;
}

static enum reeve_err token_options(struct cmd *x, const struct ast_options *o, struct token_row *row)
{
    static const char *const allowed[] = { "region", "uses", "ttl", "labels", "kind", NULL };
    int64_t uses = 1, ttl_ms = 3600 * 1000;
    enum reeve_err err;
    TRY(slot_options_check(&x->slot, o, allowed));
    const struct pvalue *u = slot_option(o, "uses"), *t = slot_option(o, "ttl"), *r = slot_option(o, "region");
    if (u != NULL)
        TRY(slot_int(&x->slot, u, "uses", 1, UINT32_MAX - 1, &uses));
    if (t != NULL)
        TRY(slot_duration_ms(&x->slot, t, "ttl", &ttl_ms));
    if (r != NULL) {
        struct name region;
        TRY(slot_name(&x->slot, r, "region", &region));
        if (!name_eq(&region, &row->region))
            return slot_error(&x->slot, r, REEVE_E_UNDEFINED_OBJECT, "region \"%s\" does not exist here", region.s);
    }
    TRY(token_labels(x, o, &row->labels));
    row->uses_left = (uint32_t) uses;
    row->created = session_wall_now();
    row->expires.ms = ttl_ms > 0 ? row->created.ms + ttl_ms : 0;
    row->created_by = x->s->role;
out:
    return err;
}

static enum reeve_err token_context(struct cmd *x, struct wire_token *token)
{
    struct snap sn;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    struct attest_head *head = cmd_alloc(x, sizeof *head, &err);
    if (head == NULL)
        goto out;
    TRY(region_name(&sn.region, &token->region));
    TRY(attest_head(&sn.attest, head));
    token->chain_id = head->chain_id;
    token->set_hash = head->set_hash;
out:
    snap_close(&sn);
    return err;
}

static enum reeve_err token_text_out(struct cmd *x, const char *text, const struct token_row *row)
{
    static const struct dest_column cols[] = { { "token", T_TEXT }, { "expires", T_TIMESTAMPTZ }, { "uses", T_INT4 } };
    enum reeve_err err = dest_columns(x->dest, 3, cols);
    struct datum v[] = { d_str(text), d_wall(row->expires), d_int(row->uses_left) };
    if (err == REEVE_OK)
        err = dest_row(x->dest, 3, v);
    return err;
}

static enum reeve_err token_row_out(struct cmd *x, const struct wire_token *token, const struct token_row *row)
{
    char text[WIRE_TOKEN_TEXT_MAX];
    (void) wire_token_encode(text, token);
    enum reeve_err err = token_text_out(x, text, row);
    secret_wipe(text, sizeof text);
    return err;
}

/* Of an agent, or of a member of the ring. */
static enum reeve_err token_kind(struct cmd *x, const struct ast_options *o, bool *member)
{
    const struct pvalue *v = slot_option(o, "kind");
    struct slice text = slice_str("agent");
    enum reeve_err err = v ? slot_text(&x->slot, v, "kind", &text) : REEVE_OK;
    *member = slice_eq(text, slice_str("member"));
    if (err == REEVE_OK && !*member && !slice_eq(text, slice_str("agent")))
        return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "a token is of kind 'agent' or 'member'");
    return err;
}

static enum reeve_err member_token(struct cmd *x, struct token_row *row)
{
    char text[PEER_TOKEN_TEXT_MAX];
    if (x->explain)
        return cmd_explain_note(x, "makes a token with which one member joins the ring of region \"%s\"", row->region.s);
    enum reeve_err err = cmd_member_token(x, row, text);
    if (err == REEVE_OK)
        err = token_text_out(x, text, row);
    secret_wipe(text, sizeof text);
    return err;
}

enum reeve_err cmd_create_join_token(struct cmd *x)
{
    struct wire_token token;
    struct token_row row;
    struct cmd_outcome o;
    bool member;
    enum reeve_err err;
    memset(&token, 0, sizeof token);
    memset(&row, 0, sizeof row);
    TRY(cmd_need(x, PRIV_ENROLL, GK_SYSTEM, NULL));
    if (pv_present(&x->stmt->object.name))
        TRY(cmd_unsupported(x, "join tokens have no names yet", "Leave the name out; sys.join_tokens shows the id of each."));
    TRY(token_context(x, &token));
    row.region = token.region;
    TRY(token_options(x, &x->stmt->object.options, &row));
    TRY(token_kind(x, &x->stmt->object.options, &member));
    if (member)
        return member_token(x, &row);
    if (x->explain)
        return cmd_explain_note(x, "makes a join token for %u node(s) of region \"%s\"", row.uses_left, row.region.s);
    random_bytes(token.id, sizeof token.id);
    random_bytes(token.secret, sizeof token.secret);
    sha256(&row.secret_hash, slice_of(token.secret, sizeof token.secret));
    struct wr *w = cmd_op(x, RO_TOKEN_CREATE, &err);
    if (w == NULL)
        goto out;
    wr_bytes(w, token.id, sizeof token.id);
    token_row_encode(&row, w);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
    TRY(token_row_out(x, &token, &row));
out:
    secret_wipe(&token, sizeof token);
    return err;
}

/* REVOKE JOIN_TOKEN 'hex id' (the id that sys.join_tokens shows). */
enum reeve_err cmd_revoke_join_token(struct cmd *x)
{
    uint8_t id[8];
    struct slice text;
    struct cmd_outcome o;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ENROLL, GK_SYSTEM, NULL));
    TRY(cmd_reason(x, &x->stmt->object.reason, false));
    TRY(slot_text(&x->slot, &x->stmt->object.name, "token", &text));
    if (!hex_decode(id, sizeof id, text))
        return slot_error(&x->slot, &x->stmt->object.name, REEVE_E_INVALID_VALUE, "a token id has 16 hex digits");
    if (x->explain)
        return cmd_explain_note(x, "revokes the join token; nodes that used it stay");
    struct wr *w = cmd_op(x, RO_TOKEN_DROP, &err);
    if (w == NULL)
        return err;
    wr_bytes(w, id, sizeof id);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
out:
    return err;
}

/* ---- nodes ---- */

static enum reeve_err find_node(struct cmd *x, const struct pvalue *slot, struct name *name, uint32_t *ordinal)
{
    struct node_id id;
    struct snap sn;
    enum reeve_err err = slot_name(&x->slot, slot, "node", name);
    if (err != REEVE_OK)
        return err;
    if (!node_id_parse(&id, name_slice(name)))
        return slot_error(&x->slot, slot, REEVE_E_UNDEFINED_OBJECT, "node \"%s\" does not exist", name->s);
    if ((err = snap_open(x->s, &sn, x->rep)) != REEVE_OK)
        return err;
    err = region_node_find(&sn.region, &id, ordinal);
    snap_close(&sn);
    if (err == REEVE_E_NOT_FOUND)
        return slot_error(&x->slot, slot, REEVE_E_UNDEFINED_OBJECT, "node \"%s\" does not exist", name->s);
    return err == REEVE_OK ? err : report_set(x->rep, err, "could not read node \"%s\"", name->s);
}

struct node_change { uint8_t op, state; struct name key; struct name value; };

static enum reeve_err node_change_of(struct cmd *x, const struct ast_node *a, struct node_change *c)
{
    enum reeve_err err = REEVE_OK;
    memset(c, 0, sizeof *c);
    c->op = RO_NODE_STATE;
    switch (a->action) {
    case NODE_DRAIN:    c->state = NODE_DRAINED; break;
    case NODE_CORDON:   c->state = NODE_CORDONED; break;
    case NODE_UNCORDON: c->state = NODE_LIVE; break;
    case NODE_SET_LABEL:
    case NODE_RESET_LABEL:
        c->op = RO_NODE_LABEL;
        TRY(slot_name(&x->slot, &a->label, "label", &c->key));
        if (a->action == NODE_SET_LABEL)
            TRY(slot_name(&x->slot, &a->value, "label value", &c->value));
        break;
    }
out:
    return err;
}

static enum reeve_err node_change_add(struct cmd *x, const struct node_change *c, uint32_t ordinal)
{
    enum reeve_err err;
    struct wr *w = cmd_op(x, c->op, &err);
    if (w == NULL)
        return err;
    wr_u32(w, ordinal);
    if (c->op == RO_NODE_STATE) {
        wr_u8(w, c->state);
    } else {
        wr_name(w, &c->key);
        wr_name(w, &c->value);
    }
    return cmd_op_end(x);
}

enum reeve_err cmd_alter_node(struct cmd *x)
{
    const struct ast_node *a = &x->stmt->node;
    struct node_change c;
    struct cmd_outcome o;
    struct name name;
    uint32_t ordinal;
    enum reeve_err err;
    TRY(slot_name(&x->slot, &a->name, "node", &name));
    TRY(cmd_need(x, PRIV_OPERATE, GK_NODE, &name));
    TRY(cmd_reason(x, &a->reason, false));
    TRY(find_node(x, &a->name, &name, &ordinal));
    TRY(node_change_of(x, a, &c));
    if (x->explain)
        return cmd_explain_note(x, "changes node \"%s\"", name.s);
    TRY(node_change_add(x, &c, ordinal));
    TRY(cmd_finish(x, &o));
out:
    return err;
}

struct matching { const struct predicate *where; uint32_t *ordinals; size_t n, cap; };

static void collect(void *arg, const struct plan_node *n)
{
    struct matching *m = arg;
    if (m->n < m->cap && predicate_holds(m->where, &n->region, n->labels, slice_str(n->id_text)))
        m->ordinals[m->n++] = n->ordinal;
}

/* One transaction takes REGION_OPS_MAX nodes; more are changed in several, in ordinal order. */
enum reeve_err cmd_alter_nodes(struct cmd *x)
{
    const struct ast_node *a = &x->stmt->node;
    struct matching m = { 0 };
    struct node_change c;
    struct cmd_outcome o;
    struct predicate where;
    struct snap sn;
    uint32_t count = 0;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_OPERATE, GK_NODE | GK_ALL, NULL));
    TRY(cmd_reason(x, &a->reason, false));
    TRY(cmd_predicate(x, a->where, &where));
    TRY(node_change_of(x, a, &c));
    TRY(snap_open(x->s, &sn, x->rep));
    err = region_node_count(&sn.region, &count);
    m = (struct matching){ &where, calloc((size_t) count + 1, sizeof(uint32_t)), 0, count };
    if (err == REEVE_OK && m.ordinals == NULL)
        err = report_set(x->rep, REEVE_E_NOMEM, "out of memory");
    if (err == REEVE_OK)
        err = region_plan_each(&sn.region, collect, &m);
    snap_close(&sn);
    if (err == REEVE_OK && x->explain)
        err = cmd_explain_note(x, "changes %zu node(s)", m.n);
    for (size_t i = 0; i < m.n && err == REEVE_OK && !x->explain; i++) {
        err = node_change_add(x, &c, m.ordinals[i]);
        bool full = (i + 1) % REGION_OPS_MAX == 0 && x->c->alone;
        if (err == REEVE_OK && (full || i + 1 == m.n)) {
            err = cmd_finish(x, &o);
            if (x->c->alone)
                cmd_pending_drop(x);
        }
    }
out:
    free(m.ordinals);
    return err;
}

enum reeve_err cmd_drop_node(struct cmd *x)
{
    const struct ast_object *a = &x->stmt->object;
    struct cmd_outcome o;
    struct name name;
    uint32_t ordinal;
    enum reeve_err err;
    TRY(slot_name(&x->slot, &a->name, "node", &name));
    TRY(cmd_need(x, PRIV_ADMIN, GK_NODE, &name));
    TRY(cmd_reason(x, &a->reason, true));
    err = find_node(x, &a->name, &name, &ordinal);
    if (err == REEVE_E_UNDEFINED_OBJECT && a->if_exists) {
        report_clear(x->rep);
        cmd_skip_notice(x, "node \"%s\" does not exist, skipping", name.s);
        return REEVE_OK;
    }
    if (err != REEVE_OK || x->explain)
        return err != REEVE_OK ? err : cmd_explain_note(x, "forgets node \"%s\"; it may enrol again", name.s);
    struct wr *w = cmd_op(x, RO_NODE_DROP, &err);
    if (w == NULL)
        return err;
    wr_u32(w, ordinal);
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
out:
    return err;
}

/* REVOKE NODE: attested, for good. */
enum reeve_err cmd_revoke_node(struct cmd *x)
{
    const struct ast_object *a = &x->stmt->object;
    struct node_doc doc = { .revoked = 1 };
    struct cmd_outcome o;
    struct slice payload;
    struct node_id id;
    struct name name;
    struct snap sn = { 0 };
    enum reeve_err err;
    TRY(slot_name(&x->slot, &a->name, "node", &name));
    TRY(cmd_need(x, PRIV_ADMIN, GK_NODE, &name));
    TRY(cmd_reason(x, &a->reason, true));
    if (!node_id_parse(&id, name_slice(&name)))
        return slot_error(&x->slot, &a->name, REEVE_E_INVALID_VALUE, "\"%s\" is not a node id", name.s);
    if (x->explain)
        return cmd_explain_note(x, "revokes node \"%s\" for good", name.s);
    TRY(CMD_PAYLOAD(x, node_doc_encode, &doc, &payload));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_update(x, &sn, AT_NODE, &name, payload));
    snap_close(&sn);
    TRY(cmd_finish(x, &o));
out:
    snap_close(&sn);
    return err;
}
