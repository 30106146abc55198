/* fleet_heights.c - when the members had verified a height or a later one. */
#include "fleet_int.h"

#include <stdio.h>

#include "common/text.h"

static void reached(struct fleet *f, uint64_t height, int64_t wall_ms)
{
    struct fleet_height *h = &f->heights[height % FLEET_HEIGHTS];
    if (h->height > height)
        return;
    if (h->height < height)
        *h = (struct fleet_height){ .height = height };
    h->n++;
    h->last_wall_ms = wall_ms;
}

void fleet_heights_note(struct fleet *f, struct member *m)
{
    struct agent_info info;
    uint64_t verified = agent_stats(m->agent)->verified;
    if (verified == m->verified)
        return;
    m->verified = verified;
    agent_info(m->agent, &info);
    uint64_t from = info.height > FLEET_HEIGHTS && m->height < info.height - FLEET_HEIGHTS ? info.height - FLEET_HEIGHTS : m->height;
    int64_t now = fleet_now().wall.ms;
    for (uint64_t h = from + 1; h <= info.height; h++)
        reached(f, h, now);
    m->height = info.height;
}

void fleet_heights_json(const struct fleet *f, struct wr *w)
{
    bool any = false;
    wr_text(w, "\"heights\": [");
    for (unsigned i = 0; i < FLEET_HEIGHTS; i++) {
        const struct fleet_height *h = &f->heights[i];
        if (h->n > 0)
            wr_printf(w, "%s{\"height\": %llu, \"agents\": %u, \"last_wall_ms\": %lld}", any ? ", " : "",
                      (unsigned long long) h->height, h->n, (long long) h->last_wall_ms);
        any = any || h->n > 0;
    }
    wr_text(w, "]");
}
