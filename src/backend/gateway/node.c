/* node.c - what the region knows of a node decides whether and with which labels it is let in */
#include "backend/gateway/gateway_int.h"

/* revoked for good, by the attested table. */
static bool is_revoked(struct conn *c, struct view *v)
{
    struct attest_object o;
    struct node_doc doc;
    struct name name;
    char text[NODE_ID_TEXT_LEN + 1];
    node_id_text(text, &c->id);
    if (!name_set_str(&name, text) || attest_get(&v->attest, AT_NODE, &name, &o) != REEVE_OK || o.update.op != 1)
        return false;
    return node_doc_decode(&doc, o.update.payload) != REEVE_OK || doc.revoked;
}

static enum node_verdict take_row(struct conn *c, struct view *v, const struct node_row *row)
{
    struct profile *p = profile_get(c->g, &row->region, &row->labels);
    if (p == NULL) {
        conn_close(c, "out of memory");
        return NODE_REFUSED;
    }
    bool same = p == c->profile;
    if (c->profile != NULL)
        profile_unref(c->g, c->profile);
    c->profile = p;
    if (!same)
        c->set_version = 0;             /* another set: it lacks everything of it */
    if (p->version == 0 && objects_refresh_one(c->g, v, p) != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "the attested objects could not be read");
    return same ? NODE_SAME : NODE_CHANGED;
}

static void refuse_revoked(struct conn *c)
{
    conn_fail(c, WE_REVOKED, 0, 0, "this node was revoked");
}

enum node_verdict node_admit(struct conn *c, struct view *v)
{
    struct gateway *g = c->g;
    uint32_t ordinal;
    if (is_revoked(c, v)) {
        refuse_revoked(c);
        return NODE_REFUSED;
    }
    enum reeve_err err = region_node_find(&v->region, &c->id, &ordinal);
    if (err == REEVE_E_NOT_FOUND && !c->enrolled)
        return NODE_SAME;               /* unknown: ENROLL must follow */
    if (err == REEVE_OK)
        err = region_node_get(&v->region, ordinal, &g->node);
    if (err == REEVE_OK && g->node.state == NODE_REVOKED) {
        refuse_revoked(c);
        return NODE_REFUSED;
    }
    if (err == REEVE_E_NOT_FOUND) {
        conn_fail(c, WE_NOT_ENROLLED, 1, 0, "this node was dropped; it may enrol again");
        return NODE_REFUSED;
    }
    if (err != REEVE_OK) {
        conn_retry_after(c, 1000, 5);
        return NODE_REFUSED;
    }
    enum node_verdict verdict = take_row(c, v, &g->node);
    if (verdict == NODE_REFUSED)
        return verdict;
    c->ordinal = ordinal;
    if (!c->enrolled) {
        conn_index_node(c);
        c->enrolled = true;
        c->touched_s = 0;
    }
    return verdict;
}

struct wire_list node_labels(const struct labels *l, struct wr *w)
{
    struct wire_list list = { 0 };
    for (size_t i = 0; i < l->n; i++) {
        struct wire_label item = { name_slice(&l->l[i].key), name_slice(&l->l[i].value) };
        if (wire_list_add(w, &list, WG_LABEL, &item) != REEVE_OK)
            log_limited(LOG_SEV_WARNING, "a label of a node cannot be sent");
    }
    wire_list_end(w, &list);
    return list;
}

void send_auth_ok(struct conn *c)
{
    struct wire_frame f = wire_frame_of(WF_AUTH_OK);
    static struct labels labels;
    struct wr w = wr_heap(16384);
    f.u.auth_ok.status = c->enrolled ? 1 : 2;
    if (c->enrolled && profile_labels(c->profile, &labels)) {
        f.u.auth_ok.ordinal = c->ordinal;
        f.u.auth_ok.region = name_slice(&c->profile->region);
        f.u.auth_ok.labels = node_labels(&labels, &w);
    }
    conn_send_frame(c, &f);
    wr_free(&w);
}
