/* attest_rig.c - one run: validators up, chaos, all faults lifted, everything final within a bound, the oracle's judgement. */
#include "attest_int.h"

#include <stdarg.h>
#include <stdlib.h>

#define SETTLE_US 3000000

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = { "event", "effect", "commit", "fault", "evil", "update", "fetch" };
    return kind - SIM_KIND_HOST < sizeof names / sizeof names[0] ? names[kind - SIM_KIND_HOST] : "?";
}

void aviolation(void *rig, const char *invariant, const char *fmt, ...)
{
    struct arig *r = rig;
    if (r->violated)
        return;
    r->violated = true;
    snprintf(r->invariant, sizeof r->invariant, "%s", invariant);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->evidence, sizeof r->evidence, fmt, ap);
    va_end(ap);
}

/* ---- who is faulty, and how ---- */

static void cast_roles(struct arig *r)
{
    uint64_t one_kind = sim_rng_below(&r->w.rng, 6);        /* 4, 5: mixed */
    r->n_machines = r->p.n;
    for (int v = 0; v < r->p.n; v++)
        r->twin_of[v] = -1;
    for (int i = 0; i < r->p.faulty; i++) {
        int v;
        do
            v = (int) sim_rng_below(&r->w.rng, (uint64_t) r->p.n);
        while (r->evil[v]);
        r->evil[v] = true;
        r->m[v]->evil = (enum evil) (1 + (one_kind < 4 ? one_kind : sim_rng_below(&r->w.rng, 4)));
        /* Who keeps still forks nothing; twins do it best. */
        if (r->p.over && (r->m[v]->evil == EVIL_SILENT || sim_rng_below(&r->w.rng, 2)))
            r->m[v]->evil = EVIL_TWIN;
        if (r->m[v]->evil == EVIL_TWIN && r->n_machines < RIG_MACHINES) {
            r->twin_of[v] = r->n_machines++;
            r->m[r->twin_of[v]] = machine_new(r, r->twin_of[v], (uint16_t) v);
            r->m[r->twin_of[v]]->evil = EVIL_TWIN;
        }
    }
}

/* They do not fork, but they stop at a block they cannot take: with the faulty ones no more than f. */
static void cast_versions(struct arig *r)
{
    for (int i = r->p.n - 1, left = r->p.other_rule; i >= 0 && left > 0; i--)
        if (honest(r->m[i])) {
            r->m[i]->other_rule = true;
            left--;
        }
}

static bool oracle_verify(void *arg, int who, const uint8_t *bytes, const uint8_t *sig)
{
    struct arig *r = arg;
    struct sig64 s;
    memcpy(s.b, sig, 64);
    return keys_verify(&r->keys, who, bytes, &s);
}

static void oracle_make(struct arig *r)
{
    static uint16_t validator[RIG_MACHINES];
    for (int i = 0; i < r->n_machines; i++)
        validator[i] = r->m[i]->me;
    struct oracle_host h = { .n = r->p.n, .q = r->p.n - (r->p.n - 1) / 3, .over = r->p.over, .faulty = r->evil,
                             .validator = validator, .machines = r->n_machines, .chain_id = r->chain_id, .set_hash = r->set_hash,
                             .arg = r, .verify = oracle_verify, .violation = aviolation };
    r->oracle = oracle_new(&h);
}

void arig_init(struct arig *r, uint64_t seed, const struct aprofile *asked, FILE *trace)
{
    memset(r, 0, sizeof *r);
    sim_world_init(&r->w, seed);
    r->w.trace = trace;
    r->w.kind_name = kind_name;
    aprofile_draw(&r->p, &r->w.rng, asked);
    keys_init(&r->keys, r->p.n, seed, r->p.real_keys);
    sim_rng_bytes(&r->w.rng, r->chain_id.b, 32);
    sim_rng_bytes(&r->w.rng, r->set_hash.b, 32);
    r->block = calloc(RIG_BLOCKS, sizeof *r->block);
    r->bucket = malloc(65536 * sizeof *r->bucket);
    reeve_assert(r->block != NULL && r->bucket != NULL);
    memset(r->bucket, 0xff, 65536 * sizeof *r->bucket);
    for (int i = 0; i < r->p.n; i++)
        r->m[i] = machine_new(r, i, (uint16_t) i);
    cast_roles(r);
    cast_versions(r);
    sim_net_init(&r->net, &r->w, r->n_machines, &r->p.net, machine_receive, r);
    places_draw(r);
    oracle_make(r);
}

void arig_free(struct arig *r)
{
    for (int i = 0; i < RIG_MACHINES; i++)
        machine_free(r->m[i]);
    for (unsigned i = 0; i < r->n_heard; i++)
        free((void *) r->heard[i].p);
    oracle_free(r->oracle);
    blame_free(r);
    free(r->block);
    free(r->bucket);
    sim_world_free(&r->w);
}

/* ---- the run ---- */

static void run_until(struct arig *r, int64_t until)
{
    while (!r->violated && sim_world_step(&r->w, until))
        ;
}

/* Every faulty leader in turn may cost a whole timeout, and each time twice: once for his silence, once for his half of a view. */
static int64_t heal_bound_us(const struct arig *r)
{
    return 30000000 + (int64_t) r->p.engine.timeout_ms_max * 1000 * 4 * (r->p.faulty + 2);
}

static bool heads_agree(const struct arig *r, char *why, size_t len)
{
    uint64_t low = UINT64_MAX, high = 0;
    for (int i = 0; i < r->n_machines; i++)
        if (honest(r->m[i])) {
            low = r->m[i]->height < low ? r->m[i]->height : low;
            high = r->m[i]->height > high ? r->m[i]->height : high;
        }
    snprintf(why, len, "heights from %llu to %llu", (unsigned long long) low, (unsigned long long) high);
    return high - low <= 1;
}

static bool all_up(const struct arig *r)
{
    for (int i = 0; i < r->n_machines; i++)
        if (!machine_up(r->m[i]))
            return false;
    return true;
}

/* A fresh update at every honest validator, one after the other: each of them must be heard. */
static void submit_fresh(struct arig *r)
{
    for (int i = 0; i < r->n_machines; i++)
        if (honest(r->m[i]) && r->n_updates < RIG_UPDATES) {
            r->update[r->n_updates].at_us = r->w.now_us;
            update_submit(r, r->n_updates++, r->m[i]);
        }
}

static void heal(struct arig *r)
{
    char why[256] = "somebody is down";
    int64_t began = r->w.now_us, bound = heal_bound_us(r);
    bool fresh = false;
    while (!r->violated && r->w.now_us - began < bound) {
        run_until(r, r->w.now_us + 200000);
        if (!fresh && r->w.now_us - began > SETTLE_US && all_up(r)) {
            fresh = true;
            submit_fresh(r);
        }
        if (fresh && updates_done(r, why, sizeof why) && heads_agree(r, why, sizeof why)) {
            r->healed_us = r->w.now_us - began;
            return;
        }
    }
    aviolation(r, "what was submitted becomes final", "%lld s after the last fault: %s", (long long) bound / 1000000, why);
}

bool arig_run(struct arig *r)
{
    r->chaos = true;
    for (int i = 0; i < r->n_machines; i++)
        machine_boot(r->m[i]);
    aclients_start(r);
    if (r->p.over)
        blame_start(r);
    run_until(r, 1000000);
    evil_start(r);
    afaults_start(r);
    run_until(r, r->w.now_us + r->p.chaos_us);
    if (!r->violated)
        afaults_lift(r);
    if (r->p.over)
        blame_judge(r);
    else
        heal(r);
    if (!r->violated)
        oracle_end(r->oracle);
    return !r->violated;
}
