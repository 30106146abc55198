/* attest_place.c - where validators stand: cities or cloud regions, and the one-way delays between them. */
#include "attest_int.h"

#include "attest_delays.h"

/* Cities are drawn without return; there are fewer regions than validators of a large set. */
void places_draw(struct arig *r)
{
    int total = place_count(r->p.cloud), deck[CITIES_N];
    for (int i = 0; i < r->n_machines; i++) {
        int at = i % total;
        if (at == 0)
            for (int k = 0; k < total; k++)
                deck[k] = k;
        int pick = at + (int) sim_rng_below(&r->w.rng, (uint64_t) (total - at));
        int t = deck[at];
        deck[at] = deck[pick];
        deck[pick] = t;
        r->place[i] = deck[at];
    }
    places_apply(r);
}

int place_count(bool cloud)
{
    return cloud ? CLOUD_N : CITIES_N;
}

const char *place_name(bool cloud, int i)
{
    return cloud ? cloud_name[i] : cities_name[i];
}

int64_t place_delay_us(bool cloud, int from, int to)
{
    return 10 * (int64_t) (cloud ? cloud_delay[from][to] : cities_delay[from][to]);
}

void places_apply(struct arig *r)
{
    for (int i = 0; i < r->n_machines; i++)
        for (int k = 0; k < r->n_machines; k++)
            r->net.extra_us[i][k] = place_delay_us(r->p.cloud, r->place[i], r->place[k]);
}
