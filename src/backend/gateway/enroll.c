/* enroll.c - a new node with a join token, through the ring (RC_ENROLL) */
#include "backend/gateway/gateway_int.h"

#include "common/text.h"

#include <stdio.h>

#define ENROLL_RETRY_MS 2000

static bool take_labels(struct wire_list l, struct labels *out)
{
    struct wire_label w;
    while (wire_list_next(&l, WG_LABEL, &w)) {
        struct label *to = &out->l[out->n];
        if (out->n == ROLLOUT_LABELS_MAX || !name_set(&to->key, w.key) || !name_set(&to->value, w.value))
            return false;
        out->n++;
    }
    return true;
}

static bool fill_row(struct conn *c, const struct wire_enroll *e, struct node_row *row)
{
    memset(row, 0, sizeof *row);
    row->id = c->id;
    row->key = c->key;
    row->seal_key = c->seal_key;
    row->region = c->g->facts.region;
    row->state = NODE_LIVE;
    row->enrolled = row->last_connect = clock_wall();
    memcpy(row->token, e->token.b, 8);
    snprintf(row->agent_version, sizeof row->agent_version, "%s", c->agent_version);
    if (e->addr_hint.len > 0)
        snprintf(row->addr, sizeof row->addr, "%.*s", (int) e->addr_hint.len, (const char *) e->addr_hint.p);
    else
        conn_peer_text(c, row->addr);
    return take_labels(e->labels, &row->labels);
}

enum handled on_enroll(struct conn *c, const struct wire_frame *f)
{
    const struct wire_enroll *e = &f->u.enroll;
    struct gateway *g = c->g;
    struct hash32 secret_hash;
    struct wr w = wr_heap(32768);
    struct batch_item item = { .ref = c->ref, .n = 1 };
    bool ok = fill_row(c, e, &g->node);
    sha256(&secret_hash, slice_of(e->secret.b, sizeof e->secret.b));
    wr_bytes(&w, e->token.b, 8);
    wr_bytes(&w, secret_hash.b, 32);
    node_row_encode(&g->node, &w);
    if (!ok || w.bad)
        conn_fail(c, WE_MALFORMED, 0, 0, "labels that cannot be");
    else if (lane_add(&g->lane[LANE_ENROLL], wr_slice(&w), &item) != REEVE_OK)
        conn_retry_after(c, ENROLL_RETRY_MS, 1);
    else
        conn_phase_set(c, CP_ENROLLING, GW_ENROLL_MS);
    wr_free(&w);
    return H_DONE;
}

static void send_enrolled(struct conn *c)
{
    struct wire_frame f = wire_frame_of(WF_ENROLLED);
    static struct labels labels;
    struct wr w = wr_heap(16384);
    if (profile_labels(c->profile, &labels))
        f.u.enrolled.labels = node_labels(&labels, &w);
    f.u.enrolled.ordinal = c->ordinal;
    f.u.enrolled.region = name_slice(&c->profile->region);
    conn_send_frame(c, &f);
    wr_free(&w);
}

static void refuse(struct conn *c, enum reeve_err err)
{
    if (err == REEVE_E_V_REVOKED)
        conn_fail(c, WE_REVOKED, 0, 0, "this node was revoked");
    else
        conn_fail(c, WE_TOKEN, 0, 0, "the join token was refused");
}

void enroll_answer(struct conn *c, enum reeve_err err, enum reeve_err word, const struct batch_item *i)
{
    struct view v;
    (void) i;
    if (c == NULL || c->phase != CP_ENROLLING)
        return;
    if (err == REEVE_OK && word != REEVE_OK) {
        refuse(c, word);
        return;
    }
    if (err != REEVE_OK || view_open(c->g, &v) != REEVE_OK) {
        conn_retry_after(c, ENROLL_RETRY_MS, 2);
        return;
    }
    if (node_admit(c, &v) != NODE_REFUSED && c->enrolled) {
        conn_phase_set(c, CP_READY, 0);
        send_enrolled(c);
        conn_pause(c, false);
    } else if (c->phase == CP_ENROLLING)
        conn_retry_after(c, ENROLL_RETRY_MS, 2);
    view_close(&v);
}
