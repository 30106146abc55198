/* core_links.c - messages to and from the other members: what waits for the log, whom the configuration names. */
#include <stdlib.h>

#include "backend/ring/core_int.h"
#include "backend/utils/log.h"

/* ---- out (D3) ---- */

/* Until then it is a frame: what it was encoded from may change. Too many are dropped, which is a loss like any other. */
static void hold(struct core *c, const struct raft_effect *f)
{
    struct peer_parcel *parcel = peers_pack(&f->msg, member_log(c->m));
    struct core_held *h = parcel ? malloc(sizeof *h) : NULL;
    if (h == NULL || c->held_bytes + peer_parcel_size(parcel) > CORE_HELD_BYTES) {
        peer_parcel_free(parcel);
        free(h);
        return;
    }
    *h = (struct core_held){ .after = f->after, .parcel = parcel };
    c->held_bytes += peer_parcel_size(parcel);
    *c->held_tail = h;
    c->held_tail = &h->next;
}

void core_send(struct core *c, const struct raft_effect *f)
{
    if (c->peers == NULL)
        return;
    if (f->after > c->durable_seq)
        hold(c, f);
    else
        peers_send(c->peers, &f->msg, member_log(c->m));
}

void core_links_durable(struct core *c)
{
    struct core_held **at = &c->held;
    while (*at) {
        struct core_held *h = *at;
        if (h->after > c->durable_seq) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        c->held_bytes -= peer_parcel_size(h->parcel);
        peers_post(c->peers, h->parcel);
        free(h);
    }
    c->held_tail = at;
}

/* ---- in ---- */

static void on_message(void *arg, const struct raft_msg *m)
{
    struct member_event e = { .type = MEMBER_E_MESSAGE, .msg = m };
    if (!core_mend_message(arg, m))
        (void) core_step(arg, &e);
}

static void on_reachable(void *arg, uint32_t id, bool yes)
{
    struct member_event e = { .type = yes ? MEMBER_E_REACHABLE : MEMBER_E_UNREACHABLE, .peer = id };
    (void) core_step(arg, &e);
}

static void on_news(void *arg, uint32_t from, struct slice bytes)
{
    struct core *c = arg;
    if (c->host.news && !c->quiet)
        c->host.news(c->host.arg, from, bytes);
}

static void on_letter(void *arg, uint32_t from, struct slice bytes)
{
    struct core *c = arg;
    if (c->host.letter && !c->quiet)
        c->host.letter(c->host.arg, from, bytes);
}

enum reeve_err core_letter(struct core *c, uint32_t id, struct slice head, struct slice body, uint64_t *way)
{
    if (c->peers == NULL)
        return REEVE_E_UNAVAILABLE;
    enum reeve_err err = peers_letter(c->peers, id, head, body, way);
    peers_flush(c->peers);
    return err;
}

uint64_t core_way(const struct core *c, uint32_t id) { return c->peers ? peers_way(c->peers, id) : 0; }

void core_tell(struct core *c, struct slice news)
{
    const struct raft_conf *conf = raft_conf(member_raft(c->m));
    for (unsigned i = 0; c->peers && i < conf->n; i++)
        if (conf->m[i].id != c->me.id)
            peers_tell(c->peers, conf->m[i].id, news);
    if (c->peers)
        peers_flush(c->peers);
}

/* ---- whom to know ---- */

void core_links_configure(struct core *c)
{
    const struct raft *r = member_raft(c->m);
    const struct raft_conf *conf = raft_conf(r);
    struct raft_status st;
    if (c->peers == NULL)
        return;
    raft_status(r, &st);
    c->conf_index = st.conf_index;
    c->conf_open = st.conf_index > st.commit;
    if (conf->n == 0 && c->joining)
        peers_configure(c->peers, &c->joined_conf, c->joined_index, &c->joined_conf);
    else if (conf->n > 0)
        peers_configure(c->peers, conf, st.conf_index, raft_conf_committed(r));
}

void core_links_settle(struct core *c)
{
    struct raft_status st;
    if (c->peers == NULL)
        return;
    if (c->conf_open) {
        raft_status(member_raft(c->m), &st);
        if (st.commit >= c->conf_index)
            core_links_configure(c);
    }
    peers_flush(c->peers);
}

/* ---- life ---- */

static enum reeve_err listen_all(struct core *c, const struct core_net *net, uint16_t *port, struct report *rep)
{
    enum reeve_err err = REEVE_OK;
    *port = net->port;
    for (size_t i = 0; i < net->n_listen && err == REEVE_OK; i++)
        err = peers_listen(c->peers, strcmp(net->listen[i], "*") == 0 ? NULL : net->listen[i], port, rep);
    return err;
}

/* The address is the operator's, or what this member listens on: others find it, or say in their logs that they do not. */
static enum reeve_err make_address(struct core *c, const struct core_net *net, uint16_t port, struct report *rep)
{
    char host[PEER_HOST_MAX + 1];
    enum reeve_err err = REEVE_OK;
    const char *h = net->host;
    if (net->address != NULL) {
        err = peer_hostport_parse(host, &port, slice_str(net->address));
        h = host;
    }
    if (err == REEVE_OK)
        err = peer_addr_format(c->addr, &c->addr_len, h, port, &net->identity->key);
    return err == REEVE_OK ? err : report_set(rep, err, "\"%s\" is no address for other members to find this one by",
                                              net->address ? net->address : net->host);
}

enum reeve_err core_links_open(struct core *c, const struct core_net *net, struct report *rep)
{
    struct peers_ops ops = { on_message, on_reachable, c->host.admit ? core_join_requested : NULL, on_news, on_letter };
    struct peers_config k;
    uint16_t port;
    enum reeve_err err;
    peers_config_default(&k);
    k.ring = c->me.ring;
    k.id = c->me.id;
    k.incarnation = c->me.incarnation;
    k.identity = net->identity;
    TRY(peers_new(&c->peers, c->loop, &k, &ops, c, rep));
    TRY(listen_all(c, net, &port, rep));
    TRY(make_address(c, net, port, rep));
out:
    /* Nobody misses the links of a ring of one, so they are no reason to stay down. */
    if (err != REEVE_OK && c->alone && c->peers) {
        log_report(LOG_SEV_WARNING, rep);
        log_warning("other members cannot reach this one");
        report_clear(rep);
        core_links_free(c);
        c->addr_len = 0;
        err = REEVE_OK;
    }
    return err;
}

void core_links_free(struct core *c)
{
    peers_free(c->peers);
    c->peers = NULL;
    while (c->held) {
        struct core_held *h = c->held;
        c->held = h->next;
        peer_parcel_free(h->parcel);
        free(h);
    }
    c->held_tail = &c->held;
}

struct peers *core_peers(struct core *c) { return c->peers; }
