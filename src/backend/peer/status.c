/* status.c - what is to be seen of the links, for relations and issues */
#include "backend/peer/peer_int.h"

const char *peer_link_state_name(uint8_t s)
{
    static const char *const names[] = { "idle", "resolving", "connecting", "opening", "up", "waiting" };
    return s < sizeof names / sizeof *names ? names[s] : "?";
}

static void fill(struct peer_status *out, const struct peer *peer, uint8_t purpose)
{
    const struct link *k = &peer->link[purpose];
    const struct link_counts *n = &peer->counts[purpose];
    const struct peer_name *name = &peer->name[k->at_name % peer->n_names];
    *out = (struct peer_status){
        .id = peer->id, .purpose = purpose, .state = k->state, .in_up = peer->in[purpose] != NULL, .since = k->since,
        .frames_out = n->frames_out, .bytes_out = n->bytes_out, .frames_in = n->frames_in, .bytes_in = n->bytes_in,
        .dropped = n->dropped, .replaced = n->replaced, .connects = n->connects,
        .queued_bytes = k->conn != NULL ? k->conn->q.bytes : 0, .rtt_us = n->rtt_us, .addr_len = name->text_len,
    };
    memcpy(out->addr, name->text, name->text_len);
    memcpy(out->error, k->error, sizeof out->error);
}

size_t peers_status(const struct peers *p, struct peer_status *out, size_t cap)
{
    size_t n = 0;
    for (unsigned i = 0; i < p->n_peers; i++)
        for (uint8_t purpose = 0; purpose < PEER_PURPOSES; purpose++, n++)
            if (n < cap)
                fill(&out[n], p->peer[i], purpose);
    return n;
}

void peers_counts(const struct peers *p, struct peers_counts *out)
{
    *out = p->n;
    out->opening = p->opening;
}
