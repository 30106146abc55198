/* sys_rollouts.c - sys.rollouts, rollout_waves, rollout_regions, rollout_nodes, rollout_events, strategies, windows */
#include "cat_int.h"

#include "engine/wire.h"

/* ---- shared: all rollouts, or the one asked for ---- */

struct ro {
    struct cat c;
    struct rollout_doc *d;
    uint32_t skew_ms;                   /* by which bakes are lengthened, twice */
};

typedef enum reeve_err (*rollout_fn)(struct ro *r);

/* Whoever may see all that a rollout changes may see it. */
static bool visible(struct ro *r)
{
    struct name id;
    rollout_object_name(&id, r->d->id);
    if (cat_may_see(&r->c, GK_ROLLOUT, &id))
        return true;
    for (uint8_t i = 0; i < r->d->n_targets; i++)
        if (!cat_may_see(&r->c, r->d->target[i].type == AT_CERT ? GK_CERT : GK_CONFIG, &r->d->target[i].name))
            return false;
    return true;
}

static enum reeve_err each_rollout(struct vscan *s, rollout_fn fn)
{
    struct ro r = { 0 };
    struct name after = { 0 };
    enum reeve_err err = cat_open(&r.c, s);
    if (err != REEVE_OK)
        return err;
    if ((r.d = cat_alloc(&r.c, sizeof *r.d, &err)) == NULL)
        goto out;
    TRY(attest_skew_ms(&r.c.sn.attest, &r.skew_ms));
    if (s->has_key && s->key.kind == D_INT) {
        rollout_object_name(&after, (uint64_t) s->key.i);
        err = attest_get(&r.c.sn.attest, AT_ROLLOUT, &after, r.c.o);
        if (err == REEVE_OK)
            err = rollout_doc_decode(r.d, r.c.o->update.payload);
        if (err == REEVE_OK && visible(&r))
            err = fn(&r);
        goto out;
    }
    while ((err = cat_next_object(&r.c, AT_ROLLOUT, &after)) == REEVE_OK) {
        TRY(rollout_doc_decode(r.d, r.c.o->update.payload));
        if (visible(&r))
            TRY(fn(&r));
    }
out:
    cat_close(&r.c);
    return cat_end(err);
}

static void add(struct rollout_counts *sum, const struct rollout_counts *c)
{
    sum->nodes += c->nodes;
    sum->told += c->told;
    sum->done += c->done;
    sum->failed += c->failed;
    sum->rejected += c->rejected;
    sum->reverted += c->reverted;
    sum->silent += c->silent;
    if (c->p50_ms > sum->p50_ms)
        sum->p50_ms = c->p50_ms;
    if (c->p99_ms > sum->p99_ms)
        sum->p99_ms = c->p99_ms;
}

static bool node_is_live(void *h, uint32_t ordinal)
{
    struct session *s = h;
    uint32_t seen = snap_last_seen(s, ordinal);
    int64_t beat = settings_int(s->env->settings, SET_agent_heartbeat_interval);
    return seen != 0 && session_wall_now().ms - 1000ll * seen < 3 * beat + 2000;
}

/* A wave as one region has counted it. */
static void wave_get(struct ro *r, const struct name *region, uint8_t wave, struct wave_row *out)
{
    if (region_wave_get(&r->c.sn.region, r->d->id, region, wave, out) != REEVE_OK)
        memset(out, 0, sizeof *out);
}

static void wave_counts(struct ro *r, const struct name *region, uint8_t wave, struct rollout_counts *out)
{
    struct wave_row row;
    wave_get(r, region, wave, &row);
    *out = row.counts;
}

static void total_counts(struct ro *r, bool opened_only, struct rollout_counts *sum)
{
    memset(sum, 0, sizeof *sum);
    for (uint8_t i = 0; i < r->d->n_regions; i++)
        for (uint8_t w = 1; w <= r->d->n_waves; w++) {
            struct rollout_counts c;
            wave_counts(r, &r->d->region[i].name, w, &c);
            c.nodes = r->d->region[i].nodes[w - 1];
            if (w <= r->d->opened || !opened_only)
                add(sum, &c);
        }
}

/* Silence needs the clock: the engine's own view says it, of the newest wave or of all that are open. */
static uint32_t silent_now(struct ro *r, bool newest)
{
    struct liveness_view live = { node_is_live, r->c.s->session };
    struct rollout_view v;
    memset(&v, 0, sizeof v);
    struct session *s = r->c.s->session;
    v.now = session_wall_now();
    v.wave_since = r->c.o->aux_time;
    v.state_since = r->c.o->time;
    v.report_timeout_ms = (uint32_t) settings_int(s->env->settings, SET_rollout_report_timeout);
    if (rollout_state_terminal(r->d->state) || region_rollout_view(&r->c.sn.region, r->d, &live, &v) != REEVE_OK)
        return r->d->counts.silent;
    return newest ? v.newest.silent : v.opened.silent;
}

static bool first_event(struct ro *r, struct event_row *ev)
{
    uint8_t prefix[8];
    struct wr w = wr_fixed(prefix, sizeof prefix);
    struct kv_iter it;
    struct slice key, val;
    wr_u64(&w, r->d->id);
    region_iter_init(&r->c.sn.region, &it, 'e', wr_slice(&w));
    return region_iter_next(&it, &key, &val) == REEVE_OK && event_row_decode(ev, val) == REEVE_OK;
}

static struct wall_ms created_at(struct ro *r)
{
    struct event_row ev;
    return first_event(r, &ev) ? ev.at : (struct wall_ms){ 0 };
}

static const struct vcolumn rollouts_columns[] = {
    { "rollout_id", T_INT8, true }, { "kind", T_TEXT, true }, { "object", T_TEXT, true }, { "from_gen", T_INT4, false },
    { "to_gen", T_INT4, false }, { "state", T_TEXT, true }, { "phase", T_TEXT, false }, { "wave", T_INT4, true },
    { "waves", T_INT4, true }, { "targets", T_INT4, true }, { "done", T_INT4, true }, { "failed", T_INT4, true },
    { "silent", T_INT4, true }, { "fraction", T_FLOAT8, true }, { "rate_per_min", T_INT4, false },
    { "strategy", T_TEXT, false }, { "submitted_by", T_TEXT, true }, { "reason", T_TEXT, true },
    { "created", T_TIMESTAMPTZ, false }, { "started", T_TIMESTAMPTZ, false }, { "finished", T_TIMESTAMPTZ, false },
    { "deadline", T_TIMESTAMPTZ, false }, { "version", T_INT8, false }, { "evidence", T_JSONB, false },
    { "objects", T_TEXT_ARRAY, false },
    { "asked_because", T_TEXT, false },
};

static struct datum evidence(struct vscan *s, const struct rollout_doc *d)
{
    const struct rollout_counts *c = &d->counts;
    char *text = arena_printf(s->row,
        "{\"wave\": %u, \"nodes\": %u, \"told\": %u, \"done\": %u, \"failed\": %u, \"rejected\": %u, \"silent\": %u, "
        "\"reverted\": %u, \"p50_ms\": %u, \"p99_ms\": %u, \"fired_gate\": %u}", d->opened, c->nodes, c->told, c->done,
        c->failed, c->rejected, c->silent, c->reverted, c->p50_ms, c->p99_ms, d->fired_gate);
    return text ? d_json(slice_str(text)) : d_null();
}

static struct datum objects(struct vscan *s, const struct rollout_doc *d)
{
    struct name *v = arena_alloc(s->row, sizeof *v * ROLLOUT_TARGETS_MAX);
    for (uint8_t i = 0; v != NULL && i < d->n_targets; i++)
        v[i] = d->target[i].name;
    return v ? d_names(s, v, d->n_targets) : d_null();
}

/* REASON of the statement that began it: "reason" goes on to say what happened since. */
static struct datum asked_because(struct ro *r)
{
    struct event_row ev;
    struct slice leaf;
    uint64_t height;
    enum reeve_err err;
    struct update *u = cat_alloc(&r->c, sizeof *u, &err);
    if (u == NULL || !first_event(r, &ev) || attest_leaf(&r->c.sn.attest, ev.leaf_index, &leaf, &height) != REEVE_OK ||
        update_decode(u, leaf) != REEVE_OK || u->reason.len == 0)
        return d_null();
    return d_text(arena_copy(r->c.s->row, u->reason));
}

static const char *phase_of(const struct rollout_doc *d)
{
    switch (d->state) {
    case RS_PLANNED: return d->prepare_ms > 0 ? "preparing" : "starting";
    case RS_RUNNING: return "installing";
    case RS_BAKING:  return d->manual ? "waiting for promotion" : "baking";
    default:         return rollout_state_name(d->state);
    }
}

static enum reeve_err rollout_row(struct ro *r)
{
    const struct rollout_doc *d = r->d;
    struct vscan *s = r->c.s;
    struct rollout_counts all, open;
    total_counts(r, false, &all);
    total_counts(r, true, &open);
    struct wall_ms created = created_at(r), none = { 0 };
    struct wave_row first = { 0 };
    if (d->opened > 0)
        wave_get(r, &d->region[0].name, 1, &first);
    struct wall_ms deadline = { created.ms + 1000ll * d->deadline_s };
    struct datum v[] = {
        d_int((int64_t) d->id), d_str(rollout_kind_name(d->kind)), d_name(&d->target[0].name),
        d_int(d->target[0].from_gen), d_int(d->target[0].to_gen), d_str(rollout_state_name(d->state)), d_str(phase_of(d)),
        d_int(d->opened), d_int(d->n_waves), d_int(all.nodes), d_int(open.done), d_int(open.failed + open.rejected),
        vscan_needs(s, 12) ? d_int(silent_now(r, false)) : d_null(),
        d_float(all.nodes ? (double) open.done / all.nodes : d->state == RS_SUCCEEDED ? 1.0 : 0.0),
        d->rate_per_min ? d_int(d->rate_per_min) : d_null(), d_name(&d->strategy), d_name(&d->submitted_by),
        d->why[0] ? d_str(d->why) : d_null(), d_wall(created), d_wall(first.opened),
        d_wall(rollout_state_terminal(d->state) ? r->c.o->time : none), d_wall(d->deadline_s ? deadline : none),
        d_int((int64_t) r->c.o->leaf_index), evidence(s, d), objects(s, d),
        vscan_needs(s, 25) ? asked_because(r) : d_null(),
    };
    return vscan_row(s, v);
}

static enum reeve_err scan_rollouts(struct vscan *s)
{
    return each_rollout(s, rollout_row);
}
RELATION(sys_rollouts, "sys", "rollouts", rollouts_columns, 0, scan_rollouts, "rollout");

/* ---- waves ---- */

static const struct vcolumn waves_columns[] = {
    { "rollout_id", T_INT8, true }, { "region", T_TEXT, false }, { "wave", T_INT4, true }, { "share", T_FLOAT8, true },
    { "nodes_total", T_INT4, true }, { "nodes_told", T_INT4, false }, { "nodes_done", T_INT4, true },
    { "nodes_failed", T_INT4, true }, { "nodes_silent", T_INT4, true }, { "nodes_reverted", T_INT4, false },
    { "nodes_remaining", T_INT4, true }, { "state", T_TEXT, true }, { "started", T_TIMESTAMPTZ, false },
    { "bake_until", T_TIMESTAMPTZ, true }, { "p50_ms", T_INT4, false }, { "p99_ms", T_INT4, true },
    { "verdict", T_TEXT, true }, { "verdict_reason", T_TEXT, false },
};

static const char *wave_state(const struct rollout_doc *d, uint8_t w)
{
    if (w > d->opened)
        return rollout_state_terminal(d->state) || d->state == RS_ROLLING_BACK ? "skipped" : "waiting";
    if (w < d->opened)
        return d->state == RS_ROLLING_BACK || d->state == RS_ROLLED_BACK ? rollout_state_name(d->state) : "done";
    return d->state == RS_SUCCEEDED ? "done" : rollout_state_name(d->state);
}

static uint32_t less(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

static enum reeve_err wave_row(struct ro *r, uint8_t region, uint8_t w)
{
    const struct rollout_doc *d = r->d;
    struct wave_row row;
    wave_get(r, &d->region[region].name, w, &row);
    const struct rollout_counts c = row.counts;
    uint32_t nodes = d->region[region].nodes[w - 1], failed = c.failed + c.rejected;
    bool newest = w == d->opened;
    uint32_t silent = newest && vscan_needs(r->c.s, 8) ? silent_now(r, true) : 0;
    struct wall_ms until = { row.opened.ms ? rollout_wave_end_ms(d, w, row.opened, r->skew_ms) : 0 };
    struct datum v[] = {
        d_int((int64_t) d->id), d_name(&d->region[region].name), d_int(w),
        d->wave[w - 1].share_ppm ? d_float(d->wave[w - 1].share_ppm / 1e6) : d_null(),
        d_int(nodes), d_int(c.told), d_int(c.done), d_int(failed), d_int(silent), d_int(c.reverted),
        d_int(less(nodes, c.done + failed + silent + c.reverted)), d_str(wave_state(d, w)), d_wall(row.opened), d_wall(until),
        d_int(c.p50_ms), d_int(c.p99_ms),
        d_str(d->fired_gate && newest ? "failed" : w <= d->opened ? "pass" : "pending"),
        newest && d->why[0] ? d_str(d->why) : d_null(),
    };
    return vscan_row(r->c.s, v);
}

static enum reeve_err wave_rows(struct ro *r)
{
    enum reeve_err err = REEVE_OK;
    for (uint8_t i = 0; i < r->d->n_regions; i++)
        for (uint8_t w = 1; w <= r->d->n_waves && err == REEVE_OK; w++)
            err = wave_row(r, i, w);
    return err;
}

static enum reeve_err scan_waves(struct vscan *s)
{
    return each_rollout(s, wave_rows);
}
RELATION(sys_rollout_waves, "sys", "rollout_waves", waves_columns, 0, scan_waves, "rollout");

/* ---- regions ---- */

static const struct vcolumn rregions_columns[] = {
    { "rollout_id", T_INT8, true }, { "region", T_TEXT, true }, { "wave", T_INT4, true }, { "nodes_total", T_INT4, true },
    { "nodes_done", T_INT4, true }, { "nodes_failed", T_INT4, true }, { "state", T_TEXT, true },
};

static enum reeve_err region_rows(struct ro *r)
{
    enum reeve_err err = REEVE_OK;
    for (uint8_t i = 0; i < r->d->n_regions && err == REEVE_OK; i++) {
        struct rollout_counts sum = { 0 };
        for (uint8_t w = 1; w <= r->d->n_waves; w++) {
            struct rollout_counts c;
            wave_counts(r, &r->d->region[i].name, w, &c);
            c.nodes = r->d->region[i].nodes[w - 1];
            add(&sum, &c);
        }
        struct datum v[] = { d_int((int64_t) r->d->id), d_name(&r->d->region[i].name), d_int(r->d->opened), d_int(sum.nodes),
                             d_int(sum.done), d_int(sum.failed + sum.rejected), d_str(rollout_state_name(r->d->state)) };
        err = vscan_row(r->c.s, v);
    }
    return err;
}

static enum reeve_err scan_rregions(struct vscan *s)
{
    return each_rollout(s, region_rows);
}
RELATION(sys_rollout_regions, "sys", "rollout_regions", rregions_columns, 0, scan_rregions, "rollout");

/* ---- nodes of a rollout: what each has said ---- */

static const struct vcolumn rnodes_columns[] = {
    { "rollout_id", T_INT8, true }, { "node_id", T_TEXT, true }, { "region", T_TEXT, false }, { "wave", T_INT4, true },
    { "state", T_TEXT, true }, { "generation_seen", T_INT4, true }, { "told_at", T_TIMESTAMPTZ, false },
    { "ack_at", T_TIMESTAMPTZ, true }, { "attempts", T_INT4, false }, { "error_code", T_TEXT, true }, { "error", T_TEXT, true },
    { "latency_ms", T_INT4, false }, { "counted", T_BOOL, false },
};

static const char *node_rollout_state(uint8_t s)
{
    switch (s) {
    case DEPLOY_TOLD: return "told";
    case DEPLOY_DONE: return "done";
    case DEPLOY_FAILED: return "failed";
    case DEPLOY_REJECTED: return "rejected";
    case NODE_REVERTED: return "reverted";
    default: return "pending";
    }
}

/* Of several keys the one that says most about the node: that which failed, else the first. */
static const struct rollout_target *telling_target(const struct rollout_doc *d, const struct rollout_node_row *rn)
{
    for (uint8_t i = 0; i < d->n_targets && i < rn->n_targets; i++)
        if (rn->target[i] == rn->state && (rn->state == DEPLOY_FAILED || rn->state == DEPLOY_REJECTED))
            return &d->target[i];
    return &d->target[0];
}

/* The word that agents say too (docs/protocol/agent.md, Errors); a number where a newer agent knows more. */
static struct datum error_code(struct vscan *s, unsigned code)
{
    const char *name = wire_error_name(code);
    return strcmp(name, "UNKNOWN") == 0 ? d_fmt(s, "%u", code) : d_str(name);
}

static enum reeve_err rnode_row(struct ro *r, uint32_t ordinal, const struct rollout_node_row *rn, struct node_row *node)
{
    struct vscan *s = r->c.s;
    struct deploy_row dep;
    char id[NODE_ID_TEXT_LEN + 1] = "";
    const struct rollout_target *t = telling_target(r->d, rn);
    bool has = region_deploy_get(&r->c.sn.region, (enum attest_type) t->type, &t->name, ordinal, &dep) == REEVE_OK;
    if (region_node_get(&r->c.sn.region, ordinal, node) != REEVE_OK)
        return REEVE_OK;                /* dropped since */
    node_id_text(id, &node->id);
    bool bad = has && dep.error_code != 0 && dep.rollout_id == r->d->id;
    struct datum v[] = {
        d_int((int64_t) r->d->id), d_str(id), d_name(&node->region), d_int(rn->wave), d_str(node_rollout_state(rn->state)),
        has ? d_int(dep.serving_gen) : d_null(), d_wall(rn->told), d_wall(rn->acked), has ? d_int(dep.attempts) : d_null(),
        bad ? error_code(s, dep.error_code) : d_null(), bad && dep.error[0] ? d_str(dep.error) : d_null(),
        has ? d_int(dep.latency_ms) : d_null(), d_bool(rn->counted),
    };
    return vscan_row(s, v);
}

static enum reeve_err rnode_rows(struct ro *r)
{
    uint8_t prefix[8];
    struct wr w = wr_fixed(prefix, sizeof prefix);
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    struct node_row *node = cat_alloc(&r->c, sizeof *node, &err);
    if (node == NULL)
        return err;
    wr_u64(&w, r->d->id);
    region_iter_init(&r->c.sn.region, &it, 'o', wr_slice(&w));
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct rollout_node_row rn;
        struct rd k = rd_of(key);
        (void) rd_u64(&k);
        uint32_t ordinal = rd_u32(&k);
        if (k.bad || rollout_node_row_decode(&rn, val) != REEVE_OK)
            return report_set(r->c.s->report, REEVE_E_CORRUPT, "a row of rollout %llu does not decode", (unsigned long long) r->d->id);
        TRY(rnode_row(r, ordinal, &rn, node));
    }
out:
    return cat_end(err);
}

static enum reeve_err scan_rnodes(struct vscan *s)
{
    return each_rollout(s, rnode_rows);
}
RELATION(sys_rollout_nodes, "sys", "rollout_nodes", rnodes_columns, 0, scan_rnodes, "rollout");

/* ---- events ---- */

static const struct vcolumn events_columns[] = {
    { "rollout_id", T_INT8, true }, { "seq", T_INT4, true }, { "at", T_TIMESTAMPTZ, true }, { "actor", T_TEXT, true },
    { "event", T_TEXT, true }, { "detail", T_TEXT, true }, { "version", T_INT8, true },
};

static enum reeve_err event_rows(struct ro *r)
{
    uint8_t prefix[8];
    struct wr w = wr_fixed(prefix, sizeof prefix);
    struct kv_iter it;
    struct slice key, val;
    struct event_row ev;
    enum reeve_err err;
    wr_u64(&w, r->d->id);
    region_iter_init(&r->c.sn.region, &it, 'e', wr_slice(&w));
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct rd k = rd_of(key);
        (void) rd_u64(&k);
        uint32_t seq = rd_u32(&k);
        TRY(event_row_decode(&ev, val));
        struct datum v[] = { d_int((int64_t) r->d->id), d_int(seq), d_wall(ev.at), d_name(&ev.actor), d_name(&ev.event),
                             ev.detail[0] ? d_str(ev.detail) : d_null(), d_int((int64_t) ev.leaf_index) };
        TRY(vscan_row(r->c.s, v));
    }
out:
    return cat_end(err);
}

static enum reeve_err scan_events(struct vscan *s)
{
    return each_rollout(s, event_rows);
}
RELATION(sys_rollout_events, "sys", "rollout_events", events_columns, 0, scan_events, "rollout");

/* ---- strategies and windows ---- */

static const struct vcolumn strategies_columns[] = {
    { "name", T_TEXT, true }, { "definition", T_TEXT, true }, { "builtin", T_BOOL, true }, { "uses", T_INT4, true },
    { "last_used", T_TIMESTAMPTZ, true }, { "created_by", T_TEXT, false }, { "created", T_TIMESTAMPTZ, false },
};

static enum reeve_err scan_strategies(struct vscan *s)
{
    struct cat c;
    struct kv_iter it;
    struct slice key, val;
    struct strategy_row row;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    region_iter_init(&c.sn.region, &it, 's', (struct slice){ NULL, 0 });
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        TRY(strategy_row_decode(&row, val));
        struct datum v[] = { d_text(arena_copy(s->row, key)), d_text(row.definition), d_bool(row.builtin), d_int(row.uses),
                             d_wall(row.last_used), d_name(&row.created_by), d_wall(row.created) };
        TRY(vscan_row(s, v));
    }
out:
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_strategies, "sys", "strategies", strategies_columns, VKEY_NONE, scan_strategies, NULL);

static const struct vcolumn windows_columns[] = {
    { "name", T_TEXT, true }, { "cron", T_TEXT, true }, { "timezone", T_TEXT, true }, { "duration_s", T_INT4, true },
    { "open", T_BOOL, true }, { "next_open", T_TIMESTAMPTZ, true },
};

static enum reeve_err scan_windows(struct vscan *s)
{
    struct cat c;
    struct kv_iter it;
    struct slice key, val;
    struct window_row row;
    enum reeve_err err = cat_open(&c, s);
    if (err != REEVE_OK)
        return err;
    region_iter_init(&c.sn.region, &it, 'w', (struct slice){ NULL, 0 });
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        TRY(window_row_decode(&row, val));
        struct datum v[] = { d_text(arena_copy(s->row, key)), d_str(row.cron), d_str(row.timezone), d_int(row.duration_s),
                             d_bool(window_is_open(&row, session_wall_now())), d_wall(window_next_open(&row, session_wall_now())) };
        TRY(vscan_row(s, v));
    }
out:
    cat_close(&c);
    return cat_end(err);
}
RELATION(sys_windows, "sys", "windows", windows_columns, VKEY_NONE, scan_windows, NULL);
