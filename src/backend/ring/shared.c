/*
 * shared.c - this region's part in rollouts that another one owns: its nodes counted, signed and told
 *
 * Counts are told when they change, when the newest wave's bake is over (the owner needs some from after that), and every few
 * seconds, since a letter may be lost. Everything follows from the store: who is restarted counts again.
 */
#include "backend/ring/regions.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/ops.h"

#define SHARED_MAX  64
#define LEAST_MS    300             /* between two statements about one rollout */
#define REFRESH_MS  3000
#define CENSUS_MS   2000
#define CENSUS_REFRESH_MS 30000

struct shared_run {
    uint64_t id;
    bool counted, asking;
    uint32_t nodes[ROLLOUT_WAVES_MAX];      /* of this region, exact where the plan has an estimate */
    int64_t looked_ms, told_ms;
    struct rollout_evidence told;           /* there: something was told */
    uint8_t told_opened;
};
struct shared_rollouts {
    struct shared_run run[SHARED_MAX];
    size_t n;
    int64_t census_ms;
    uint32_t census;
};

struct shared_rollouts *shared_new(void) { return calloc(1, sizeof(struct shared_rollouts)); }
void shared_free(struct shared_rollouts *s) { free(s); }

static struct shared_run *find_run(struct shared_rollouts *s, uint64_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->run[i].id == id)
            return &s->run[i];
    return NULL;
}

void shared_consider(struct ring *r, const struct rollout_doc *d)
{
    struct shared_rollouts *s = r->shared;
    struct shared_run *run = find_run(s, d->id);
    if (run)
        run->looked_ms = 0;
    else if (rollout_state_terminal((enum rollout_state) d->state) || rollout_region_place(d, &r->region_name) < 0)
        return;
    else if (s->n < SHARED_MAX)
        s->run[s->n++] = (struct shared_run){ .id = d->id };
    else
        log_limited(LOG_SEV_ERROR, "this region takes part in more than %d rollouts of others; rollout %llu is not counted", SHARED_MAX,
                    (unsigned long long) d->id);
}

/* ---- counting ---- */

struct counting { const struct rollout_doc *d; unsigned place; uint32_t *nodes; };

static void count_node(void *arg, const struct plan_node *n)
{
    struct counting *c = arg;
    const struct rollout_region *g = &c->d->region[c->place];
    if (n->ordinal >= g->ordinal_max || !name_eq(&n->region, &g->name))
        return;
    struct slice id = slice_str(n->id_text);
    uint64_t cohort = rollout_cohort(&crypto_ops_real, name_slice(&c->d->target[0].name), id);
    uint8_t w = rollout_wave_of(c->d, &n->region, n->labels, id, cohort);
    if (w > 0)
        c->nodes[w - 1]++;
}

static enum reeve_err count_nodes(struct shared_run *run, struct ring_view *v, const struct rollout_doc *d, unsigned place)
{
    struct counting c = { d, place, run->nodes };
    memset(run->nodes, 0, sizeof run->nodes);
    enum reeve_err err = region_plan_each(&v->region, count_node, &c);
    run->counted = err == REEVE_OK;
    return err;
}

static void without_percentiles(struct rollout_counts *c)
{
    c->p50_ms = c->p95_ms = c->p99_ms = 0;
}

enum reeve_err shared_count(struct ring *r, struct ring_view *v, const struct rollout_doc *d, const struct attest_object *o,
                            struct rollout_evidence *e)
{
    struct liveness_view live = { livewatch_is_live, r };
    struct rollout_view view = { .now = clock_wall(), .state_since = o->time, .wave_since = o->aux_time };
    view.report_timeout_ms = (uint32_t) settings_int(r->child->settings, SET_rollout_report_timeout);
    enum reeve_err err = region_rollout_view(&v->region, d, &live, &view);
    memset(e, 0, sizeof *e);
    e->there = true;
    e->at = view.now;
    e->opened = view.opened;
    e->newest = view.newest;
    e->still_new = view.still_new;
    memcpy(e->latency, view.latency, sizeof e->latency);
    without_percentiles(&e->opened);
    without_percentiles(&e->newest);
    return err;
}

/* ---- telling ---- */

static bool same_counts(const struct rollout_evidence *a, const struct rollout_evidence *b)
{
    uint8_t mem[2][EVIDENCE_BYTES_MAX];
    static const struct name nobody;
    struct wr x = wr_fixed(mem[0], sizeof mem[0]), y = wr_fixed(mem[1], sizeof mem[1]);
    struct rollout_evidence p = *a, q = *b;
    p.at = q.at = (struct wall_ms){ 0 };
    evidence_encode(&nobody, 0, 0, &p, &x);
    evidence_encode(&nobody, 0, 0, &q, &y);
    return slice_eq(wr_slice(&x), wr_slice(&y));
}

static bool worth_telling(const struct shared_run *run, const struct rollout_doc *d, const struct attest_object *o,
                          const struct rollout_evidence *e)
{
    int64_t due = rollout_counts_due_ms(d, rollout_state_withdraws((enum rollout_state) d->state) ? o->time : o->aux_time);
    if (!run->told.there || run->told_opened != d->opened || !same_counts(&run->told, e))
        return true;
    return (e->at.ms >= due && run->told.at.ms < due) || e->at.ms >= run->told_ms + REFRESH_MS;
}

struct telling { struct ring *r; struct name to; uint64_t id; uint8_t opened; struct rollout_evidence e; };

static void on_signed(void *arg, enum reeve_err err, const struct sig64 *sig)
{
    struct telling *t = arg;
    struct shared_run *run = t->r->shared ? find_run(t->r->shared, t->id) : NULL;
    uint8_t mem[EVIDENCE_BYTES_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (run)
        run->asking = false;
    if (err == REEVE_OK) {
        evidence_encode(&t->r->region_name, t->id, t->opened, &t->e, &w);
        wr_bytes(&w, sig->b, sizeof sig->b);
        regions_send(t->r, &t->to, REGION_EVIDENCE, wr_slice(&w));
    }
    if (err == REEVE_OK && run) {
        run->told = t->e;
        run->told_opened = t->opened;
        run->told_ms = t->e.at.ms;
    }
    free(t);
}

static void tell(struct ring *r, struct shared_run *run, const struct rollout_doc *d, const struct attest_object *o,
                 const struct rollout_evidence *e)
{
    uint8_t mem[EVIDENCE_BYTES_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct telling *t = malloc(sizeof *t);
    if (t == NULL)
        return;
    *t = (struct telling){ r, o->update.region, d->id, d->opened, *e };
    evidence_encode(&r->region_name, d->id, d->opened, e, &w);
    run->asking = !w.bad && statement_sign(r, STATEMENT_EVIDENCE, wr_slice(&w), on_signed, t) == REEVE_OK;
    if (!run->asking)
        free(t);
}

/* False when there is nothing more to count. */
static bool look(struct ring *r, struct shared_run *run, struct ring_view *v)
{
    static struct rollout_doc d;
    struct attest_object o;
    struct rollout_evidence e;
    enum reeve_err err = attest_get_rollout(&v->attest, run->id, &d, &o);
    if (err != REEVE_OK || rollout_state_terminal((enum rollout_state) d.state))
        return err != REEVE_OK && err != REEVE_E_UNDEFINED_OBJECT;
    int place = rollout_region_place(&d, &r->region_name);
    if (place < 0)
        return false;
    if (!run->counted && count_nodes(run, v, &d, (unsigned) place) != REEVE_OK)
        return true;
    memcpy(d.region[place].nodes, run->nodes, sizeof run->nodes);
    if (shared_count(r, v, &d, &o, &e) == REEVE_OK && worth_telling(run, &d, &o, &e))
        tell(r, run, &d, &o, &e);
    return true;
}

void shared_run(struct ring *r, struct ring_view *v)
{
    struct shared_rollouts *s = r->shared;
    int64_t now = clock_wall().ms;
    for (size_t i = 0; i < s->n && r->regions;) {
        struct shared_run *run = &s->run[i];
        bool due = !run->asking && now >= run->looked_ms + LEAST_MS;
        if (due)
            run->looked_ms = now;
        if (due && !look(r, run, v))
            s->run[i] = s->run[--s->n];
        else
            i++;
    }
}

/* ---- once a second ---- */

static void census(struct ring *r, struct ring_view *v)
{
    struct shared_rollouts *s = r->shared;
    uint8_t mem[4];
    struct wr w = wr_fixed(mem, sizeof mem);
    int64_t now = clock_wall().ms;
    uint32_t n;
    if (r->regions == NULL || region_node_count(&v->region, &n) != REEVE_OK ||
        now < s->census_ms + (n == s->census ? CENSUS_REFRESH_MS : CENSUS_MS))
        return;
    s->census_ms = now;
    s->census = n;
    wr_u32(&w, n);
    regions_send(r, NULL, REGION_CENSUS, wr_slice(&w));
}

/* Evidence of a rollout that is over stands in the log. One note a round. */
static void forget_past(struct ring *r, struct ring_view *v)
{
    static struct rollout_doc d;
    struct kv_iter it;
    struct slice key, val;
    struct name name;
    region_iter_init(&v->region, &it, 'q', slice_str("evidence/"));
    while (region_iter_next(&it, &key, &val) == REEVE_OK) {
        if (!name_set(&name, key))
            return;
        uint64_t id = strtoull(name.s + sizeof "evidence/" - 1, NULL, 10);
        enum reeve_err err = attest_get_rollout(&v->attest, id, &d, NULL);
        if (err == REEVE_OK && !rollout_state_terminal((enum rollout_state) d.state))
            continue;
        if (err == REEVE_OK || err == REEVE_E_UNDEFINED_OBJECT)
            (void) !note_put(r, &name, slice_of(NULL, 0));
        return;
    }
}

void shared_slow(struct ring *r, struct ring_view *v)
{
    census(r, v);
    forget_past(r, v);
}
