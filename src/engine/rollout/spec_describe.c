/*
 * spec_describe.c - a spec as the clauses that produce it
 *
 * What SHOW STRATEGY prints parses back to the same spec. Gates of one action
 * become one clause: `ROLLBACK IF a AND b OR c SAMPLE n`.
 */
#include "engine/rollout/rollout_int.h"

struct clauses { struct wr *out; bool any; };

static void clause(struct clauses *c)
{
    if (c->any)
        wr_u8(c->out, ' ');
    c->any = true;
}

static void duration(uint64_t ms, struct wr *out)
{
    static const struct { uint32_t ms; const char *unit; } units[] = {
        { 86400000, "day" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" }, { 1, "ms" },
    };
    unsigned i = 0;
    while (ms == 0 ? i < 3 : ms % units[i].ms != 0)
        i++;
    uint64_t n = ms / units[i].ms;
    wr_printf(out, "'%llu %s%s'", (unsigned long long) n, units[i].unit, i == 0 && n != 1 ? "s" : "");
}

static void quoted_name(const struct name *n, struct wr *out)
{
    wr_u8(out, '\'');
    for (unsigned i = 0; i < n->len; i++) {
        if (n->s[i] == '\'')
            wr_u8(out, '\'');
        wr_u8(out, (uint8_t) n->s[i]);
    }
    wr_u8(out, '\'');
}

static void wave(const struct wave_spec *w, struct wr *out)
{
    if (w->kind == SHARE_PPM) {
        percent_describe(w->amount, out);
        wr_u8(out, '%');
    } else {
        wr_printf(out, "%u NODES", w->amount);
    }
    if (w->bake_given || w->bake_ms > 0) {
        wr_text(out, " FOR ");
        duration(w->bake_ms, out);
    }
}

static void waves(const struct rollout_spec *s, struct clauses *c)
{
    if (s->immediate) {
        clause(c);
        wr_text(c->out, "IMMEDIATE");
    }
    for (unsigned i = 0; i < s->n_waves; i++) {
        if (i == 0) {
            clause(c);
            wr_text(c->out, "CANARY ");
        } else {
            wr_text(c->out, i == 1 ? " THEN " : ", ");
        }
        wave(&s->wave[i], c->out);
    }
}

static void by_region(const struct rollout_spec *s, struct clauses *c)
{
    if (!s->by_region)
        return;
    clause(c);
    wr_text(c->out, "BY REGION");
    for (unsigned i = 0; i < s->n_regions; i++) {
        wr_text(c->out, i == 0 ? " (" : ", ");
        quoted_name(&s->region[i], c->out);
    }
    if (s->n_regions > 0)
        wr_u8(c->out, ')');
}

static void named(struct clauses *c, const char *words, const struct name *n)
{
    if (n->len == 0)
        return;
    clause(c);
    wr_text(c->out, words);
    quoted_name(n, c->out);
}

static void timed(struct clauses *c, const char *words, uint32_t seconds)
{
    if (seconds == 0)
        return;
    clause(c);
    wr_text(c->out, words);
    duration((uint64_t) seconds * 1000, c->out);
}

static void gates(const struct rollout_spec *s, uint8_t action, struct clauses *c)
{
    uint32_t sample = 0;
    bool any = false;
    for (unsigned i = 0; i < s->n_gates; i++) {
        const struct gate *g = &s->gate[i];
        if (g->action != action)
            continue;
        if (any)
            wr_text(c->out, " OR ");
        else {
            clause(c);
            wr_text(c->out, action == GATE_ROLLBACK ? "ROLLBACK IF " : "PAUSE IF ");
        }
        for (unsigned k = 0; k < g->n_terms; k++) {
            wr_text(c->out, k > 0 ? " AND " : "");
            gate_term_describe(&g->term[k], c->out);
        }
        any = true;
        sample = g->sample;
    }
    if (sample > 0)
        wr_printf(c->out, " SAMPLE %u", sample);
}

void rollout_spec_describe(const struct rollout_spec *s, struct wr *out)
{
    struct clauses c = { .out = out };
    waves(s, &c);
    if (s->where.len > 0) {
        clause(&c);
        wr_text(out, "WHERE ");
        predicate_describe(&s->where, out);
    }
    if (s->n_waves == 0 && !s->immediate)       /* with waves the strategy is spelled out already */
        named(&c, "USING STRATEGY ", &s->strategy);
    by_region(s, &c);
    if (s->rate_per_min > 0) {
        clause(&c);
        wr_printf(out, "RATE %u PER MINUTE", s->rate_per_min);
    }
    timed(&c, "OVERLAP ", s->overlap_s);
    timed(&c, "VALID FOR ", s->valid_for_s);
    named(&c, "DURING WINDOW ", &s->window);
    timed(&c, "DEADLINE ", s->deadline_s);
    if (s->manual) {
        clause(&c);
        wr_text(out, "MANUAL");
    }
    gates(s, GATE_ROLLBACK, &c);
    gates(s, GATE_PAUSE, &c);
    if (s->approvals > 0) {
        clause(&c);
        wr_printf(out, "REQUIRE %u APPROVALS", s->approvals);
    }
}
