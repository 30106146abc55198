/*
 * attested_rollout.c - a new version of a rollout: wave rows, events, issues
 *
 * 'm' "step" 00 rollout u64 -> u8 state | u8 opened | u8 fired_gate remembers
 * the version before, because only the newest stands in the attested table.
 */
#include "engine/region/region_int.h"

struct seen { bool known; uint8_t state, opened, fired; };

enum reeve_err rollout_load(struct region *r, uint64_t id, struct rollout_doc *out)
{
    struct attest at = { .kv = r->kv, .c = r->c };
    struct attest_object o;
    struct name name;
    rollout_object_name(&name, id);
    enum reeve_err err = attest_get(&at, AT_ROLLOUT, &name, &o);
    if (err != REEVE_OK)
        return err;
    return rollout_doc_decode(out, o.update.payload) == REEVE_OK ? REEVE_OK : REEVE_E_CORRUPT;
}

static void seen_key(struct rkey *k, uint64_t id)
{
    rkey_bytes(k, 'm', "step", 5);
    wr_u64(&k->w, id);
}

static enum reeve_err seen_get(struct apply *a, uint64_t id, struct seen *out)
{
    struct rkey k;
    struct slice v;
    memset(out, 0, sizeof *out);
    seen_key(&k, id);
    enum reeve_err err = kv_get(a->kv, rkey_slice(&k), &v);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    struct rd r = rd_of(v);
    *out = (struct seen){ true, rd_u8(&r), rd_u8(&r), rd_u8(&r) };
    return rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err seen_put(struct apply *a, const struct rollout_doc *d)
{
    const uint8_t b[3] = { d->state, d->opened, d->fired_gate };
    struct rkey k;
    seen_key(&k, d->id);
    return put_bytes(a->kv, &k, slice_of(b, sizeof b));
}

/* ---- version 1 ---- */

static enum reeve_err wave_rows(struct apply *a, const struct rollout_doc *d)
{
    enum reeve_err err = REEVE_OK;
    for (unsigned g = 0; g < d->n_regions; g++)
        for (unsigned w = 0; w < d->n_waves; w++) {
            struct wave_row row = { .counts.nodes = d->region[g].nodes[w] };
            struct rkey k;
            rkey_wave(&k, d->id, &d->region[g].name, (uint8_t) (w + 1));
            TRY(store_wave(a, &k, &row));
        }
out:
    return err;
}

static enum reeve_err planned(struct apply *a, const struct rollout_doc *d, const struct update *u, uint64_t leaf)
{
    char detail[256];
    struct wr w = wr_fixed(detail, sizeof detail - 1);
    uint64_t last, nodes = 0;
    enum reeve_err err;
    for (unsigned g = 0; g < d->n_regions; g++)
        for (unsigned i = 0; i < d->n_waves; i++)
            nodes += d->region[g].nodes[i];
    wr_printf(&w, "%u waves, %llu nodes", d->n_waves, (unsigned long long) nodes);
    detail[w.len] = '\0';
    TRY(wave_rows(a, d));
    for (unsigned i = 0; i < d->n_targets; i++)
        TRY(meta_set_last_rollout(a->kv, d->target[i].type, &d->target[i].name, d->id));
    TRY(meta_get(a->kv, "last_rollout_id", &last));
    if (d->id > last)
        TRY(meta_put(a->kv, "last_rollout_id", d->id));
    TRY(event_add(a, d->id, &u->actor, "planned", detail, leaf));
out:
    return err;
}

/* ---- events ---- */

static void why_text(char out[256], const struct rollout_doc *d, const struct update *u)
{
    struct wr w = wr_fixed(out, 255);
    wr_text(&w, d->why);
    /* The region's own steps give the verdict as their reason too. */
    if (u->reason.len > 0 && u->reason.len < 255 - w.len - 2 && !slice_eq(u->reason, slice_str(d->why))) {
        wr_text(&w, w.len > 0 ? ": " : "");
        wr_bytes(&w, u->reason.p, u->reason.len);
    }
    out[w.len] = '\0';
}

/* Remembers in a wave's rows when it was opened, by header time: the attested table keeps that of the newest alone. */
static enum reeve_err wave_opened(struct apply *a, const struct rollout_doc *d, unsigned w, struct wall_ms at)
{
    enum reeve_err err = REEVE_OK;
    for (unsigned g = 0; g < d->n_regions; g++) {
        struct wave_row row;
        struct rkey k;
        rkey_wave(&k, d->id, &d->region[g].name, (uint8_t) (w + 1));
        TRY(load_wave(a->kv, &k, &row));
        row.opened = at;
        TRY(store_wave(a, &k, &row));
    }
out:
    return err;
}

static enum reeve_err opened_at(struct apply *a, const struct rollout_doc *d, struct wall_ms *out)
{
    struct attest at = apply_attest(a);
    struct attest_object o;
    struct name name;
    rollout_object_name(&name, d->id);
    enum reeve_err err = attest_get(&at, AT_ROLLOUT, &name, &o);
    if (err == REEVE_OK)
        *out = o.aux_time;
    return err == REEVE_E_NOT_FOUND ? REEVE_E_CORRUPT : err;
}

static void opening_text(char out[256], const struct rollout_doc *d, unsigned wave)
{
    struct wr t = wr_fixed(out, 255);
    wr_printf(&t, "wave %u of %u opened%s", wave, d->n_waves, d->promoted ? " by promotion" : "");
    out[t.len] = '\0';
}

static enum reeve_err opened_events(struct apply *a, const struct rollout_doc *d, const struct seen *s,
                                    const struct update *u, uint64_t leaf)
{
    enum reeve_err err = REEVE_OK;
    struct wall_ms at = { 0 };
    if (d->opened > s->opened)
        TRY(opened_at(a, d, &at));
    for (unsigned w = s->opened; w < d->opened; w++) {
        char detail[256];
        opening_text(detail, d, w + 1);
        TRY(wave_opened(a, d, w, at));
        if (strncmp(d->why, detail, strlen(detail)) == 0 && strncmp(d->why + strlen(detail), "; ", 2) == 0)
            TRY(event_add(a, d->id, &u->actor, "unanswered", d->why + strlen(detail) + 2, leaf));
        TRY(event_add(a, d->id, &u->actor, "wave_opened", detail, leaf));
    }
out:
    return err;
}

static enum reeve_err state_event(struct apply *a, const struct rollout_doc *d, const struct seen *s,
                                  const struct update *u, uint64_t leaf)
{
    char detail[256];
    /* A wave that opens says by itself that the rollout is running. */
    if (d->state == s->state || (d->state == RS_RUNNING && d->opened > s->opened))
        return REEVE_OK;
    why_text(detail, d, u);
    return event_add(a, d->id, &u->actor, rollout_state_name((enum rollout_state) d->state), detail, leaf);
}

/* ---- issues ---- */

static void issue_of(struct issue_row *i, const char *kind, const struct apply *a, const struct rollout_doc *d)
{
    memset(i, 0, sizeof *i);
    (void) name_set_str(&i->kind, kind);
    i->object = d->target[0].name;
    i->severity = 3;
    i->since = a->now;
}

static enum reeve_err gate_issue(struct apply *a, const struct rollout_doc *d, const struct seen *s)
{
    struct issue_row i;
    bool stopped = d->state == RS_PAUSED || d->state == RS_ROLLING_BACK;
    issue_of(&i, "rollout_gate", a, d);
    if (!stopped)
        return issue_clear(a, &i.kind, &i.object);
    if (d->fired_gate == 0 || d->fired_gate == s->fired)
        return REEVE_OK;
    struct wr m = wr_fixed(i.message, sizeof i.message - 1), h = wr_fixed(i.hint, sizeof i.hint - 1);
    wr_printf(&m, "rollout %llu: %.200s", (unsigned long long) d->id, d->why);
    wr_printf(&h, d->state == RS_PAUSED ? "RESUME ROLLOUT %llu or ROLLBACK ROLLOUT %llu" : "SHOW ROLLOUT %llu NODES",
              (unsigned long long) d->id, (unsigned long long) d->id);
    return issue_raise(a, &i);
}

static enum reeve_err failed_issue(struct apply *a, const struct rollout_doc *d)
{
    struct issue_row i;
    issue_of(&i, "rollback_failed", a, d);
    if (d->state == RS_SUCCEEDED || d->state == RS_ROLLED_BACK)
        return issue_clear(a, &i.kind, &i.object);
    if (d->state != RS_ROLLBACK_FAILED)
        return REEVE_OK;
    struct wr m = wr_fixed(i.message, sizeof i.message - 1), h = wr_fixed(i.hint, sizeof i.hint - 1);
    wr_printf(&m, "rollout %llu: %.200s", (unsigned long long) d->id, d->why);
    wr_printf(&h, "SHOW ROLLOUT %llu NODES", (unsigned long long) d->id);
    return issue_raise(a, &i);
}

enum reeve_err attested_rollout(struct apply *a, const struct update *u, uint64_t leaf)
{
    struct rollout_doc *d = &a->s->rollout2;
    struct seen s;
    enum reeve_err err;
    if (u->op != 1)
        return REEVE_OK;
    if (rollout_doc_decode(d, u->payload) != REEVE_OK || d->n_targets == 0)
        return REEVE_E_CORRUPT;
    TRY(seen_get(a, d->id, &s));
    if (!s.known) {
        TRY(planned(a, d, u, leaf));
        s.state = d->state;
    }
    TRY(opened_events(a, d, &s, u, leaf));
    TRY(state_event(a, d, &s, u, leaf));
    TRY(gate_issue(a, d, &s));
    TRY(failed_issue(a, d));
    TRY(seen_put(a, d));
out:
    return err;
}
