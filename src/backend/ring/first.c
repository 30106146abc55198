/* first.c - a new region says in the attested table that it is there. */
#include "backend/ring/driver_int.h"

#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define RETRY_MS 2000

struct first_call { struct ring *r; struct first *f; };

static void submitted(void *arg, enum reeve_err err, const struct report *rep, uint64_t height, uint64_t first_leaf)
{
    struct first *f = arg;
    f->asked = false;
    f->done = err == REEVE_OK;
    f->retry_ms = clock_wall().ms + RETRY_MS;
    if (err != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "the region's object is not attested yet: %s", rep->message);
}

static void submit_region(struct ring *r, struct first *f, struct ring_view *v)
{
    struct region_doc doc;
    struct update u = { 0 };
    uint8_t mem[256];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct report rep = { .code = REEVE_OK };
    if (attest_region(&v->attest, &r->region_name, &doc) != REEVE_OK) {
        log_limited(LOG_SEV_ERROR, "the chain knows no key of region \"%s\"", r->region_name.s);
        return;
    }
    doc.state = REGION_OK;
    region_doc_encode(&doc, &w);
    if (update_prepare(&v->attest, AT_REGION, &r->region_name, wr_slice(&w), &u) != REEVE_OK)
        return;
    name_set_str(&u.actor, DRIVER_ACTOR);
    u.reason = slice_str("the region's first start");
    f->asked = ring_submit_updates(r, &u, 1, submitted, f, &rep) == REEVE_OK;
}

void first_run(struct ring *r, struct first *f, struct ring_view *v)
{
    struct attest_object o;
    if (f->done || f->asked || clock_wall().ms < f->retry_ms)
        return;
    enum reeve_err err = attest_get(&v->attest, AT_REGION, &r->region_name, &o);
    if (err == REEVE_OK)
        f->done = true;
    else if (err == REEVE_E_NOT_FOUND)
        submit_region(r, f, v);
}
