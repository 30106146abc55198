/*
 * gate.c - the judge: do these counts stop the rollout?
 *
 * Shares are compared by cross multiplication in 128 bits, so that a validator
 * on another machine finds exactly the same. What a share is a share of:
 *   failed, rejected    the nodes that answered
 *   silent              the nodes that were told
 * A gate that asks for silence counts silence as an answer (R5), any other
 * gate only what nodes said.
 */
#include "engine/rollout/rollout_int.h"

const char *gate_var_name(uint8_t var)
{
    static const char *const names[] = {
        [GATE_FAILED] = "failed", [GATE_SILENT] = "silent", [GATE_REJECTED] = "rejected",
        [GATE_HANDSHAKE_FAIL] = "handshake_fail", [GATE_P50_MS] = "p50_ms", [GATE_P95_MS] = "p95_ms",
        [GATE_P99_MS] = "p99_ms",
    };
    return var >= GATE_FAILED && var <= GATE_P99_MS ? names[var] : "unknown";
}

static const char *cmp_text(uint8_t cmp)
{
    static const char *const text[] = { [GATE_GT] = ">", [GATE_GE] = ">=", [GATE_LT] = "<", [GATE_LE] = "<=" };
    return cmp >= GATE_GT && cmp <= GATE_LE ? text[cmp] : "?";
}

/* ---- well-formed and within what this version measures ---- */

static enum reeve_err fail(struct report *rep, enum reeve_err code, const char *what)
{
    return rep != NULL ? report_set(rep, code, "%s", what) : code;
}

static enum reeve_err term_check(const struct gate_term *t, struct report *rep)
{
    bool latency = t->var >= GATE_P50_MS && t->var <= GATE_P99_MS;
    if (t->var < GATE_FAILED || t->var > GATE_P99_MS || t->cmp < GATE_GT || t->cmp > GATE_LE)
        return fail(rep, REEVE_E_INVALID_VALUE, "a gate has an unknown variable or comparison");
    if (t->var == GATE_HANDSHAKE_FAIL)
        return fail(rep, REEVE_E_UNSUPPORTED, "handshake_fail is not measured yet");
    if (t->unit < GATE_COUNT || t->unit > GATE_MS || latency != (t->unit == GATE_MS))
        return fail(rep, REEVE_E_INVALID_VALUE, "failed, silent and rejected take a count or a share, latencies milliseconds");
    if (t->unit == GATE_SHARE_PPM && t->value > PPM)
        return fail(rep, REEVE_E_INVALID_VALUE, "a gate asks for more than 100%");
    if (t->delta && (t->var != GATE_FAILED || t->unit != GATE_SHARE_PPM))
        return fail(rep, REEVE_E_UNSUPPORTED, "delta() is measured for shares of failed only");
    return REEVE_OK;
}

enum reeve_err gate_check(const struct gate *g, struct report *rep)
{
    if (g->action != GATE_ROLLBACK && g->action != GATE_PAUSE)
        return fail(rep, REEVE_E_INVALID_VALUE, "a gate has no known action");
    if (g->n_terms == 0 || g->n_terms > ROLLOUT_TERMS_MAX)
        return fail(rep, REEVE_E_INVALID_VALUE, "a gate takes one to four comparisons");
    for (unsigned i = 0; i < g->n_terms; i++) {
        enum reeve_err err = term_check(&g->term[i], rep);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

/* ---- text ---- */

void percent_describe(uint64_t ppm, struct wr *out)
{
    unsigned whole = (unsigned) (ppm / 10000), frac = (unsigned) (ppm % 10000), width = 4;
    wr_printf(out, "%u", whole);
    if (frac == 0)
        return;
    while (frac % 10 == 0) {
        frac /= 10;
        width--;
    }
    wr_printf(out, ".%0*u", (int) width, frac);
}

void gate_term_describe(const struct gate_term *t, struct wr *out)
{
    wr_printf(out, t->delta ? "delta(%s) %s " : "%s %s ", gate_var_name(t->var), cmp_text(t->cmp));
    if (t->unit == GATE_SHARE_PPM) {
        percent_describe(t->value, out);
        wr_u8(out, '%');
    } else {
        wr_printf(out, "%u", t->value);
    }
}

struct why why_begin(char at[256])
{
    memset(at, 0, 256);
    return (struct why){ wr_fixed(at, 255), at };
}

void why_end(struct why *y)
{
    y->at[y->w.len] = '\0';
    while (!utf8_valid(slice_str(y->at)) && y->w.len > 0)   /* never half a character */
        y->at[--y->w.len] = '\0';
}

/* ---- evaluation ---- */

static uint64_t answers(const struct rollout_counts *c)
{
    return (uint64_t) c->done + c->failed + c->rejected + c->reverted;
}

struct ratio { uint64_t num, den; };

static struct ratio measure(uint8_t var, const struct rollout_counts *c)
{
    switch (var) {
    case GATE_FAILED:   return (struct ratio){ c->failed, answers(c) };
    case GATE_REJECTED: return (struct ratio){ c->rejected, answers(c) };
    case GATE_SILENT:   return (struct ratio){ c->silent, c->told };
    case GATE_P50_MS:   return (struct ratio){ c->p50_ms, 1 };
    case GATE_P95_MS:   return (struct ratio){ c->p95_ms, 1 };
    case GATE_P99_MS:   return (struct ratio){ c->p99_ms, 1 };
    default:            return (struct ratio){ 0, 1 };
    }
}

static bool compare(uint8_t cmp, __int128 a, __int128 b)
{
    switch (cmp) {
    case GATE_GT: return a > b;
    case GATE_GE: return a >= b;
    case GATE_LT: return a < b;
    default:      return a <= b;
    }
}

static bool term_holds(const struct gate_term *t, const struct rollout_counts *c)
{
    struct ratio m = measure(t->var, c);
    if (t->unit != GATE_SHARE_PPM)
        return compare(t->cmp, m.num, t->value);
    if (m.den == 0)
        return false;
    struct ratio ctl = { 0, 1 };
    if (t->delta && c->control_nodes > 0)
        ctl = (struct ratio){ c->control_failed, c->control_nodes };
    __int128 diff = (__int128) m.num * ctl.den - (__int128) ctl.num * m.den;
    return compare(t->cmp, diff * PPM, (__int128) t->value * m.den * ctl.den);
}

static bool sample_reached(const struct gate *g, const struct rollout_counts *c)
{
    uint64_t have = answers(c), need = g->sample < c->nodes ? g->sample : c->nodes;
    for (unsigned i = 0; i < g->n_terms; i++)
        if (g->term[i].var == GATE_SILENT) {
            have += c->silent;
            break;
        }
    return have >= need && have > 0;
}

static void term_verdict(const struct gate_term *t, const struct rollout_counts *c, struct wr *w)
{
    struct ratio m = measure(t->var, c);
    gate_term_describe(t, w);
    if (t->unit == GATE_MS) {
        wr_printf(w, " (%llu)", (unsigned long long) m.num);
        return;
    }
    wr_printf(w, " (%llu of %llu, ", (unsigned long long) m.num, (unsigned long long) m.den);
    percent_describe(m.den > 0 ? m.num * PPM / m.den : 0, w);
    wr_text(w, "%)");
}

bool rollout_gate_fires(const struct gate *g, const struct rollout_counts *c, char why[256])
{
    if (!sample_reached(g, c))
        return false;
    for (unsigned i = 0; i < g->n_terms; i++)
        if (!term_holds(&g->term[i], c))
            return false;
    struct why y = why_begin(why);
    wr_text(&y.w, g->action == GATE_ROLLBACK ? "rollback gate: " : "pause gate: ");
    for (unsigned i = 0; i < g->n_terms; i++) {
        if (i > 0)
            wr_text(&y.w, " AND ");
        term_verdict(&g->term[i], c, &y.w);
    }
    why_end(&y);
    return true;
}

uint8_t rollout_gate_first(const struct rollout_doc *d, uint8_t action, const struct rollout_counts *c, char why[256])
{
    if (action == GATE_PAUSE && d->fired_gate != 0)
        return 0;
    for (unsigned i = 0; i < d->n_gates; i++)
        if (d->gate[i].action == action && rollout_gate_fires(&d->gate[i], c, why))
            return (uint8_t) (i + 1);
    return 0;
}
