/* net.c - delays drawn at sending, cuts judged at both ends; see the header. */
#include "sim/net.h"

void sim_net_init(struct sim_net *net, struct sim_world *w, int n, const struct sim_net_profile *p,
                  sim_net_recv *recv, void *host)
{
    reeve_assert(n > 0 && n <= SIM_NODES_MAX);
    *net = (struct sim_net){ .w = w, .p = *p, .n = n, .recv = recv, .host = host };
}

/* What one event carries besides the bytes: a = from << 8 | lane, b = connection. */
static void deliver(void *ctx, struct sim_event *e)
{
    struct sim_net *net = ctx;
    int from = (int) (e->a >> 8), lane = (int) (e->a & 0xff), to = e->node;
    bool stale = net->p.ordered && e->b != net->conn[from][to][lane];
    if (net->cut[from][to] || stale) {
        net->n_lost++;
        sim_trace(net->w, to, SIM_KIND_NET_DROP, (uint64_t) from, e->len, stale);
        return;
    }
    net->n_delivered++;
    sim_trace(net->w, to, SIM_KIND_NET_DELIVER, (uint64_t) from, e->len, (uint64_t) lane);
    net->recv(net->host, from, to, lane, slice_of(e->bytes, e->len));
}

static int64_t delay_us(struct sim_net *net, int from, int to, size_t len)
{
    const struct sim_net_profile *p = &net->p;
    int64_t d = p->delay_min_us + sim_rng_exponential(&net->w->rng, p->delay_mean_us);
    if (d > p->delay_max_us)
        d = p->delay_max_us;
    if (sim_rng_chance(&net->w->rng, p->slow_ppm))
        d += sim_rng_between(&net->w->rng, 0, p->slow_max_us);
    return d + net->extra_us[from][to] + (int64_t) (len / 1024) * p->us_per_kib;
}

static void post(struct sim_net *net, int from, int to, int lane, struct slice msg)
{
    int64_t after = delay_us(net, from, to, msg.len);
    if (net->p.ordered) {
        int64_t *last = &net->last_us[from][to][lane];
        if (net->w->now_us + after < *last)
            after = *last - net->w->now_us;
        *last = net->w->now_us + after;
    }
    /* The receiver may have another life by then; on an ordered lane sim_net_reset has cut the connection. */
    struct sim_event *e = sim_after_any_life(net->w, after, to, deliver, net, msg.p, msg.len);
    e->a = (uint64_t) from << 8 | (uint64_t) lane;
    e->b = net->conn[from][to][lane];
}

static void drop(struct sim_net *net, int from, int to, int lane, size_t len)
{
    net->n_lost++;
    if (net->p.ordered)
        net->conn[from][to][lane]++;
    sim_trace(net->w, from, SIM_KIND_NET_DROP, (uint64_t) to, len, 2);
}

void sim_net_send(struct sim_net *net, int from, int to, int lane, struct slice msg)
{
    reeve_assert(from >= 0 && from < net->n && to >= 0 && to < net->n && from != to && lane >= 0 && lane < SIM_LANES);
    net->n_sent++;
    if (net->cut[from][to] || sim_rng_chance(&net->w->rng, net->p.loss_ppm + net->loss_ppm[from][to])) {
        drop(net, from, to, lane, msg.len);
        return;
    }
    post(net, from, to, lane, msg);
    if (sim_rng_chance(&net->w->rng, net->p.dup_ppm)) {
        sim_trace(net->w, from, SIM_KIND_NET_DUP, (uint64_t) to, msg.len, 0);
        post(net, from, to, lane, msg);
    }
}

void sim_net_cut(struct sim_net *net, int from, int to, bool cut)
{
    if (net->cut[from][to] == cut)
        return;
    net->cut[from][to] = cut;
    sim_trace(net->w, from, SIM_KIND_NET_CUT, (uint64_t) to, cut, 0);
}

void sim_net_partition(struct sim_net *net, uint32_t side)
{
    reeve_assert(net->n <= 32);
    for (int i = 0; i < net->n; i++)
        for (int j = 0; j < net->n; j++)
            if (i != j)
                sim_net_cut(net, i, j, ((side >> i ^ side >> j) & 1) != 0);
}

void sim_net_mute(struct sim_net *net, int node, bool sends, bool receives)
{
    for (int i = 0; i < net->n; i++) {
        if (i == node)
            continue;
        if (sends)
            sim_net_cut(net, node, i, true);
        if (receives)
            sim_net_cut(net, i, node, true);
    }
}

void sim_net_heal(struct sim_net *net)
{
    for (int i = 0; i < net->n; i++)
        for (int j = 0; j < net->n; j++)
            sim_net_cut(net, i, j, false);
    net->p.loss_ppm = net->p.dup_ppm = net->p.slow_ppm = 0;
    memset(net->extra_us, 0, sizeof net->extra_us);
    memset(net->loss_ppm, 0, sizeof net->loss_ppm);
}

void sim_net_reset(struct sim_net *net, int node)
{
    for (int i = 0; i < net->n; i++)
        for (int lane = 0; lane < SIM_LANES; lane++) {
            net->conn[i][node][lane]++;
            net->conn[node][i][lane]++;
        }
}
