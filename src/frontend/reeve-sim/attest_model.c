/*
 * attest_model.c - two protocols as sums of delays
 *
 * Every step costs its mean, every message its delay, a quorum is complete when
 * its slowest member's vote is there. The five-delay one is spared what ours
 * pays: its certificates take no time to verify.
 */
#include "attest_latency.h"

#include <stdlib.h>

struct net { int n, q; const bool *dead; int64_t d[RIG_VALIDATORS][RIG_VALIDATORS]; };

static void net_of(const struct lat_places *p, const struct lat_costs *c, const bool *dead, struct net *out)
{
    out->n = p->n;
    out->q = 2 * p->n / 3 + 1;
    out->dead = dead;
    for (int i = 0; i < p->n; i++)
        for (int k = 0; k < p->n; k++)
            out->d[i][k] = i == k ? 0 : place_delay_us(p->cloud, p->place[i], p->place[k]) + c->jitter;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

/* When the q-th of the votes that were sent at `sent` is at `at`. */
static int64_t quorum_at(const struct net *net, const int64_t *sent, int at)
{
    int64_t t[RIG_VALIDATORS];
    int n = 0;
    for (int i = 0; i < net->n; i++)
        if (!net->dead[i])
            t[n++] = sent[i] + net->d[i][at];
    qsort(t, (size_t) n, sizeof t[0], by_value);
    return n < net->q ? LAT_NEVER : t[net->q - 1];
}

/* Who has a certificate hands it to all. */
static int64_t first_at(const struct net *net, const int64_t *has, int at)
{
    int64_t best = has[at];
    for (int i = 0; i < net->n; i++)
        if (!net->dead[i] && has[i] != LAT_NEVER && has[i] + net->d[i][at] < best)
            best = has[i] + net->d[i][at];
    return best;
}

/* One round of votes of all to all; in and out: when each is ready. */
static void round_of_votes(const struct net *net, int64_t step, int64_t ready[RIG_VALIDATORS])
{
    int64_t sent[RIG_VALIDATORS], has[RIG_VALIDATORS];
    for (int i = 0; i < net->n; i++)
        sent[i] = ready[i] + step;
    for (int i = 0; i < net->n; i++)
        has[i] = quorum_at(net, sent, i);
    for (int i = 0; i < net->n; i++)
        ready[i] = net->dead[i] ? 0 : first_at(net, has, i);
}

static int64_t last_of(const struct net *net, const int64_t *t)
{
    int64_t last = 0;
    for (int i = 0; i < net->n; i++)
        if (!net->dead[i] && t[i] > last)
            last = t[i];
    return last;
}

static int64_t vote_cost(const struct lat_costs *c)
{
    return c->sign + c->persist;
}

/* From the leader's proposal to everybody; ready: checked. */
static void propose(const struct net *net, const struct lat_costs *c, int leader, int64_t at, int64_t ready[RIG_VALIDATORS])
{
    for (int i = 0; i < net->n; i++)
        ready[i] = at + vote_cost(c) + net->d[leader][i] + (i == leader ? 0 : c->check + c->verify);
}

static void for_submitters(const struct net *net, int leader, int64_t after, struct lat_times *out)
{
    for (int s = 0; s < net->n; s++)
        out->us[s] = net->dead[s] ? LAT_NEVER : net->d[s][leader] + after;
}

void model_three(const struct lat_places *p, const struct lat_costs *c, int leader, const bool *dead, struct lat_times *out)
{
    struct net net;
    int64_t ready[RIG_VALIDATORS];
    net_of(p, c, dead, &net);
    propose(&net, c, leader, 0, ready);
    round_of_votes(&net, vote_cost(c), ready);
    round_of_votes(&net, vote_cost(c), ready);
    for_submitters(&net, leader, last_of(&net, ready), out);
}

void model_five(const struct lat_places *p, const struct lat_costs *c, int leader, const bool *dead, struct lat_times *out)
{
    struct net net;
    int64_t ready[RIG_VALIDATORS];
    net_of(p, c, dead, &net);
    propose(&net, c, leader, 0, ready);
    for (int phase = 0; phase < 2; phase++) {
        for (int i = 0; i < net.n; i++)
            ready[i] += vote_cost(c);
        int64_t formed = quorum_at(&net, ready, leader);
        for (int i = 0; i < net.n; i++)
            ready[i] = formed + net.d[leader][i];
    }
    for_submitters(&net, leader, last_of(&net, ready), out);
}
