/* fleet_host.c - what a member's host does: remembers instead of writing files, and fails where it was told to. */
#include "fleet_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "crypto/hash.h"

bool fleet_in_share(const struct agent_identity *id, const char *what, double share)
{
    struct hash32 h;
    if (share <= 0)
        return false;
    sha256_parts(&h, (struct slice[]){ slice_str(what), slice_of(id->id.b, sizeof id->id.b) }, 2);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | h.b[i];
    return (double) v / 18446744073709551616.0 < share;
}

struct fleet_times *fleet_times_of(struct fleet *f, const struct name *object, uint32_t gen)
{
    for (unsigned i = 0; i < f->n_times; i++)
        if (f->times[i].gen == gen && name_eq(&f->times[i].object, object))
            return &f->times[i];
    /* The oldest makes room: the last generations are what anybody asks about. */
    struct fleet_times *t = &f->times[f->n_times < FLEET_GENS ? f->n_times++ : 0];
    if (t->wall_ms == NULL) {
        t->wall_ms = calloc(FLEET_SAMPLES, sizeof *t->wall_ms);
        t->latency_ms = calloc(FLEET_SAMPLES, sizeof *t->latency_ms);
        if (t->wall_ms == NULL || t->latency_ms == NULL)
            abort();
    }
    t->object = *object;
    t->gen = gen;
    t->n = t->failed = 0;
    return t;
}

static bool must_fail(const struct member *m, const struct agent_cert *c)
{
    const struct fleet_options *o = &m->fleet->o;
    return m->faulty && (o->fail_cert.len == 0 || name_eq(&o->fail_cert, &c->object)) &&
           (o->fail_generation == 0 || o->fail_generation == c->gen);
}

static bool install(void *arg, struct agent *a, const struct agent_cert *c, struct agent_install_result *res)
{
    struct member *m = arg;
    struct fleet_times *t = fleet_times_of(m->fleet, &c->object, c->gen);
    if (m->silent && c->previous != 0)
        return false;                   /* never answers */
    if (must_fail(m, c)) {
        res->code = WE_RELOAD;
        snprintf(res->text, sizeof res->text, "the service did not take generation %u", c->gen);
        t->failed++;
        return true;
    }
    struct agent_now now = fleet_now();
    if (t->n < FLEET_SAMPLES) {
        t->wall_ms[t->n] = now.wall.ms;
        t->latency_ms[t->n] = (int32_t) (now.mono.ms - c->told.ms);
        t->n++;
    }
    res->code = 0;
    return true;
}

static void refused(void *arg, struct agent *a, enum reeve_err code, const char *what)
{
    struct member *m = arg;
    m->fleet->refusals++;
}

static void log_line(void *arg, struct agent *a, enum agent_level level, const char *text)
{
    static unsigned told;
    struct member *m = arg;
    if (level >= AGENT_LOG_WARNING && told < 200) {     /* a fleet in trouble must not fill the disk */
        told++;
        fprintf(stderr, "%s: %s\n", agent_identity(m->agent ? m->agent : a)->id_text, text);
    }
}

const struct agent_host fleet_host = { .install = install, .refused = refused, .log = log_line };
