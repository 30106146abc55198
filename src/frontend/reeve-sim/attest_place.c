/* attest_place.c - where validators stand: cities or cloud regions, and the one-way delays between them. */
#include "attest_int.h"

#include "attest_delays.h"

/* Cities are drawn without return; there are fewer regions than validators of a large set. */
void places_draw(struct arig *r)
{
    int total = r->p.cloud ? CLOUD_N : CITIES_N, deck[CITIES_N];
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

void places_apply(struct arig *r)
{
    for (int i = 0; i < r->n_machines; i++)
        for (int k = 0; k < r->n_machines; k++)
            r->net.extra_us[i][k] = 10 * (r->p.cloud ? cloud_delay[r->place[i]][r->place[k]] : cities_delay[r->place[i]][r->place[k]]);
}
