/*
 * net.h - a network of links that delay, lose, repeat, reorder and cut
 *
 * A message is bytes on a link (from, to) and lane. Lanes are what production
 * keeps on connections of its own (log traffic, snapshots). An ordered lane
 * behaves like TCP while it lasts: what arrives keeps its order; a loss breaks
 * the connection and loses all that was under way (the host is told nothing,
 * as an engine is). An unordered one reorders freely.
 *
 * Invariants
 *  N1 Only bytes that were sent arrive, unaltered (TLS guards production's links): faults lose, repeat, delay.
 *  N2 A cut link delivers nothing that was sent or would arrive while it is cut.
 *  N3 With all faults off every message to a living node arrives within delay_max_us.
 */
#ifndef REEVE_SIM_NET_H
#define REEVE_SIM_NET_H

#include "sim/world.h"

#define SIM_LANES 2

struct sim_net_profile {
    int64_t delay_min_us, delay_mean_us, delay_max_us;  /* min + exponential, cut at max */
    int64_t us_per_kib;                                 /* serialisation, added */
    uint32_t loss_ppm, dup_ppm;                         /* per message */
    uint32_t slow_ppm;                                  /* a message that takes up to slow_max_us */
    int64_t slow_max_us;
    bool ordered;
};

/* Borrowed bytes, valid during the call. */
typedef void sim_net_recv(void *host, int from, int to, int lane, struct slice msg);

struct sim_net {
    struct sim_world *w;
    struct sim_net_profile p;
    int n;
    sim_net_recv *recv;
    void *host;
    uint8_t cut[SIM_NODES_MAX][SIM_NODES_MAX];          /* [from][to] */
    int64_t extra_us[SIM_NODES_MAX][SIM_NODES_MAX];     /* a slow link: added to every delay */
    uint32_t loss_ppm[SIM_NODES_MAX][SIM_NODES_MAX];    /* a bad link: added to the profile's */
    int64_t last_us[SIM_NODES_MAX][SIM_NODES_MAX][SIM_LANES];       /* ordered: arrival of the latest */
    uint32_t conn[SIM_NODES_MAX][SIM_NODES_MAX][SIM_LANES];         /* ordered: counts connections */
    uint64_t n_sent, n_lost, n_delivered;
};

void sim_net_init(struct sim_net *net, struct sim_world *w, int n, const struct sim_net_profile *p,
                  sim_net_recv *recv, void *host);
void sim_net_send(struct sim_net *net, int from, int to, int lane, struct slice msg);

void sim_net_cut(struct sim_net *net, int from, int to, bool cut);
/* Up to 32 nodes; bit i of side: node i stands on that side; links between the sides are cut both ways, all others mended. */
void sim_net_partition(struct sim_net *net, uint32_t side);
/* Node can no longer send / no longer receive. */
void sim_net_mute(struct sim_net *net, int node, bool sends, bool receives);
/* No cuts, no bad or slow links, no loss, no duplicates, no slow messages. */
void sim_net_heal(struct sim_net *net);
/* Connections of a node that died break: nothing sent before arrives on an ordered lane. */
void sim_net_reset(struct sim_net *net, int node);

#endif
