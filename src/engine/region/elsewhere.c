/*
 * elsewhere.c - what other regions told this one, as notes of its ring, and which regions a plan names
 *
 *   "census/REGION"          u32: the ordinals that it has given so far
 *   "evidence/ROLLOUT/PLACE" a statement (engine/rollout.h), verified before it was written
 */
#include "engine/region/region_int.h"

bool region_census_note(struct name *out, const struct name *region)
{
    char text[NAME_MAX_LEN + 8];
    struct wr w = wr_fixed(text, NAME_MAX_LEN);
    wr_text(&w, "census/");
    wr_bytes(&w, region->s, region->len);
    return !w.bad && name_set(out, wr_slice(&w));
}

enum reeve_err region_census_get(struct region *r, const struct name *region, uint32_t *ordinals)
{
    struct name note;
    struct slice v;
    enum reeve_err err = region_census_note(&note, region) ? region_note_get(r, &note, &v) : REEVE_E_NOT_FOUND;
    if (err != REEVE_OK)
        return err;
    struct rd in = rd_of(v);
    *ordinals = rd_u32(&in);
    return rd_done(&in) ? REEVE_OK : REEVE_E_CORRUPT;
}

void region_evidence_note(struct name *out, uint64_t rollout, unsigned place)
{
    char text[64];
    struct wr w = wr_fixed(text, sizeof text);
    wr_printf(&w, "evidence/%llu/%u", (unsigned long long) rollout, place);
    bool ok = name_set(out, wr_slice(&w));
    reeve_assert(ok);
}

enum reeve_err region_evidence_get(struct region *r, const struct rollout_doc *d, unsigned place, struct rollout_evidence *e)
{
    struct name note;
    struct slice v, body;
    struct evidence_head h;
    memset(e, 0, sizeof *e);
    region_evidence_note(&note, d->id, place);
    enum reeve_err err = region_note_get(r, &note, &v);
    if (err != REEVE_OK)
        return err;
    if (evidence_decode(&h, e, &body, v) != REEVE_OK)
        return REEVE_E_CORRUPT;
    e->there = h.rollout == d->id && h.opened == d->opened && name_eq(&h.region, &d->region[place].name);
    return e->there ? REEVE_OK : REEVE_E_NOT_FOUND;
}

/* ---- the regions of a plan ---- */

#define ELSEWHERE_MAX 1000000u          /* nodes of another region, as far as a plan goes into them */

static bool is_frozen(const struct attest_object *o)
{
    struct region_doc d;
    return o->update.op == 1 && region_doc_decode(&d, o->update.payload) == REEVE_OK && d.state == REGION_FROZEN;
}

static enum reeve_err own_region(struct region *r, struct attest *a, struct region_plan *p)
{
    struct plan_region_info *info = &p->info[p->n++];
    struct attest_object o;
    enum reeve_err err;
    TRY(region_name(r, &info->name));
    TRY(region_node_count(r, &info->ordinal_max));
    err = attest_get(a, AT_REGION, &info->name, &o);
    info->frozen = err == REEVE_OK && is_frozen(&o);
    p->nodes += info->ordinal_max;
    err = err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
out:
    return err;
}

/* Of a region that never told how many nodes it has the plan knows of none: all are counted, as they answer. */
static enum reeve_err other_region(struct region *r, const struct attest_object *o, struct region_plan *p)
{
    uint32_t n = 0;
    if (p->n == ROLLOUT_REGIONS_MAX)
        return REEVE_E_TOO_COMPLEX;
    enum reeve_err err = region_census_get(r, &o->update.object, &n);
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return err;
    p->info[p->n++] = (struct plan_region_info){ .name = o->update.object, .ordinal_max = n > 0 ? n : UINT32_MAX,
                                                 .elsewhere = n < ELSEWHERE_MAX ? n : ELSEWHERE_MAX, .frozen = is_frozen(o) };
    p->nodes += p->info[p->n - 1].elsewhere;
    return REEVE_OK;
}

enum reeve_err region_plan_regions(struct region *r, const struct predicate *where, const struct predicate *carried,
                                   struct region_plan *p)
{
    struct attest a = { .kv = r->kv, .c = r->c };
    struct name after = { 0 };
    struct attest_object o;
    enum reeve_err err;
    memset(p, 0, sizeof *p);
    TRY(own_region(r, &a, p));
    while (carried != NULL && (err = attest_next(&a, AT_REGION, &after, &o)) == REEVE_OK) {
        after = o.update.object;
        if (o.update.op == 1 && !name_eq(&after, &p->info[0].name) && predicate_may_hold(where, &after) &&
            predicate_may_hold(carried, &after))
            TRY(other_region(r, &o, p));
    }
    err = err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
out:
    return err;
}
