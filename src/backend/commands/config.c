/*
 * config.c - SET CONFIG and RESET CONFIG
 *
 * SET CONFIG k = v WITH (version = n) is made only if sys.config.version is still n, else 40001.
 *
 * A regional key without rollout clauses is a plain write of the ring. Any
 * rollout of a key, and any change of an attested key, first leaves the value
 * with the ring (RO_CONFIG_STAGE: nobody reads it yet) and then attests its
 * digest.
 *
 * Several keys of one transaction become one rollout: the first statement
 * plans it, each later one adds its key to the pending plan and has the group
 * of updates made anew. A later statement gives no clauses, or the same ones.
 */
#include "fleet_int.h"

#include "backend/ipc/ipc.h"
#include "crypto/hash.h"

struct change {
    struct name key;
    uint8_t value_type;
    bool absent;
    struct slice value;
    uint64_t expected;                  /* the version it must still have; 0: any */
    uint32_t gen;                       /* once staged */
    struct hash32 digest;
};

/* A literal says by its spelling what it is, a parameter by the type that it was bound as. */
static uint8_t type_of(const struct cmd *x, const struct pvalue *v)
{
    const struct query_params *p = x->slot.params;
    if (v->kind != PV_PARAM || p == NULL || p->types == NULL || v->i < 1 || v->i > p->n)
        return v->kind == PV_INT ? VT_INT : v->kind == PV_FLOAT ? VT_FLOAT : v->kind == PV_BOOL ? VT_BOOL : VT_TEXT;
    switch (p->types[v->i - 1]) {
    case T_INT2: case T_INT4: case T_INT8: return VT_INT;
    case T_FLOAT4: case T_FLOAT8: return VT_FLOAT;
    case T_BOOL: return VT_BOOL;
    default: return VT_TEXT;
    }
}

static enum reeve_err read_value(struct cmd *x, const struct pvalue *v, struct change *c)
{
    struct slice s;
    if (slot_is_null(&x->slot, v)) {
        c->value_type = VT_NULL;
        c->value = slice_str("");
        return REEVE_OK;
    }
    enum reeve_err err = slot_text(&x->slot, v, "value", &s);
    if (err != REEVE_OK)
        return err;
    if (s.len > REGION_VALUE_MAX)
        return slot_error(&x->slot, v, REEVE_E_TOO_BIG, "a value has at most %d bytes", REGION_VALUE_MAX);
    c->value = s;
    c->value_type = type_of(x, v);
    return REEVE_OK;
}

static enum reeve_err read_change(struct cmd *x, struct change *c)
{
    enum reeve_err err = slot_name(&x->slot, &x->stmt->fleet.name, "config key", &c->key);
    if (err != REEVE_OK)
        return err;
    c->absent = x->stmt->kind == AST_RESET_CONFIG;
    if (!c->absent)
        return read_value(x, &x->stmt->fleet.value, c);
    c->value_type = VT_NULL;
    c->value = slice_str("");
    return REEVE_OK;
}

/* WITH (version = n), and nothing else in it, is no clause of a rollout. */
static bool asks_version(const struct ast_rollout *r)
{
    return roll_has(r, ROLL_WITH) && r->with.n == 1 && strcmp(r->with.v[0].name.s, "version") == 0;
}

static bool has_rollout_clauses(const struct ast_rollout *r)
{
    uint32_t plain = 1u << ROLL_REASON | 1u << ROLL_IMMEDIATE | (asks_version(r) ? 1u << ROLL_WITH : 0);
    return (r->present & ~plain) != 0;
}

/* Compare and set: the change is made only if the key's version is still the one that its author has read. */
static enum reeve_err read_expected(struct cmd *x, struct change *c)
{
    const struct ast_rollout *r = &x->stmt->fleet.rollout;
    int64_t n;
    if (!asks_version(r))
        return REEVE_OK;
    const struct pvalue *v = &r->with.v[0].value;
    enum reeve_err err = slot_int(&x->slot, v, "version", 1, INT64_MAX, &n);
    if (err != REEVE_OK)
        return err;
    if (c->absent || has_rollout_clauses(r) || cmd_pending_rollout(x) != NULL)
        return slot_error(&x->slot, v, REEVE_E_UNSUPPORTED, "a version can be asked for only where a value is set at once");
    c->expected = (uint64_t) n;
    return REEVE_OK;
}

/* ---- the plain way ---- */

/*
 * The row of every statement that changes the fleet, whose columns a driver was
 * told before the key was known: no rollout, the region's revision as version.
 * Half of it is empty, so a notice says what it means.
 */
static enum reeve_err plain_row(struct cmd *x, const struct change *c, const struct cmd_outcome *o)
{
    const char *done = c->absent ? "reset" : "set";
    if (!session_bool(x->s, SET_rollout_returning))
        return REEVE_OK;
    if (o->known)
        session_notice(x->s, NOTICE_NOTICE, NULL, "config key \"%s\" is %s for every node at once, without a rollout: revision %llu",
                       c->key.s, done, (unsigned long long) o->version);
    else
        session_notice(x->s, NOTICE_NOTICE, NULL, "config key \"%s\" will be %s for every node at COMMIT, without a rollout",
                       c->key.s, done);
    enum reeve_err err = dest_columns(x->dest, 6, cmd_fleet_columns);
    struct datum row[] = { d_null(), d_str(o->known ? "succeeded" : "planned"), o->known ? d_int((int64_t) o->version) : d_null(),
                           d_null(), d_int(0), d_null() };
    return err == REEVE_OK ? dest_row(x->dest, 6, row) : err;
}

static enum reeve_err set_plain(struct cmd *x, const struct change *c)
{
    struct cmd_outcome o;
    enum reeve_err err;
    if (x->explain)
        return cmd_explain_note(x, "%s config key \"%s\" in this region at once", c->absent ? "resets" : "sets", c->key.s);
    struct wr *w = cmd_op(x, c->absent ? RO_CONFIG_RESET : RO_CONFIG_SET, &err);
    if (w == NULL)
        return err;
    wr_name(w, &c->key);
    if (!c->absent) {
        wr_u8(w, c->value_type);
        wr_str32(w, c->value);
        wr_u64(w, c->expected);
    }
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
    TRY(plain_row(x, c, &o));
out:
    return err;
}

/* ---- the attested way ---- */

/* Leaves the value with the ring under a new generation number. */
static enum reeve_err stage(struct cmd *x, struct change *c)
{
    struct command alone = *x->c;
    alone.alone = true;
    struct cmd *y;
    struct cmd_outcome o;
    struct slice data;
    enum reeve_err err;
    if ((y = cmd_alloc(x, sizeof *y, &err)) == NULL)
        return err;
    *y = *x;
    y->c = &alone;
    y->p = NULL;
    y->staging = true;
    struct wr *w = cmd_op(y, RO_CONFIG_STAGE, &err);
    if (w == NULL)
        return err;
    wr_name(w, &c->key);
    wr_u8(w, c->value_type);
    wr_u8(w, c->absent);
    wr_str32(w, c->value);
    TRY(cmd_op_end(y));
    TRY(cmd_finish(y, &o));
    TRY(cmd_outcome_data(&o, 0, &data));
    struct rd r = rd_of(data);
    c->gen = rd_u32(&r);
    if (!rd_done(&r) || c->gen == 0)
        err = report_set(x->rep, REEVE_E_BUG, "the ring gave no generation");
    sha256(&c->digest, c->value);
out:
    cmd_pending_drop(y);
    return err;
}

/* What the region serves now by its own word: the base that the first attested history starts from. */
static enum reeve_err read_base(struct snap *sn, const struct change *c, struct config_gen *base)
{
    struct config_row row;
    struct slice value;
    memset(base, 0, sizeof *base);
    enum reeve_err err = region_config_get(&sn->region, &c->key, &row);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && row.gen == 0))
        return REEVE_OK;
    TRY(err);
    base->gen = row.gen;
    base->state = GEN_ACTIVE;
    base->absent = row.absent;
    if (!row.absent) {
        TRY(region_config_value(&sn->region, &c->key, row.gen, &value));
        sha256(&base->digest, value);
    }
out:
    return err;
}

/* Where the rollout starts from, and that none is running on the key. */
static enum reeve_err read_from(struct cmd *x, struct snap *sn, const struct change *c, const struct config_gen *base,
                                uint32_t *from)
{
    enum reeve_err err;
    struct config_doc *doc = cmd_alloc(x, sizeof *doc, &err);
    if (doc == NULL)
        return err;
    *from = base->gen;
    err = attest_get_config(&sn->attest, &c->key, doc, NULL);
    if (err != REEVE_OK && err != REEVE_E_UNDEFINED_OBJECT)
        return report_set(x->rep, err, "could not read config key \"%s\"", c->key.s);
    bool known = err == REEVE_OK;
    if (known && base->gen == 0)
        *from = doc->active_gen;
    bool running = known && doc->rollout_id != 0;
    if (!running && c->absent && (base->gen == 0 || base->absent))
        return report_set(x->rep, REEVE_E_UNDEFINED_OBJECT, "config key \"%s\" does not exist", c->key.s);
    if (!running)
        return REEVE_OK;
    report_set(x->rep, REEVE_E_ROLLOUT_RUNNING, "rollout %llu is running on config key \"%s\"",
               (unsigned long long) doc->rollout_id, c->key.s);
    report_hint(x->rep, "WAIT FOR ROLLOUT %llu, or CANCEL ROLLOUT %llu.", (unsigned long long) doc->rollout_id,
                (unsigned long long) doc->rollout_id);
    return REEVE_E_ROLLOUT_RUNNING;
}

/* Without clauses an attested key changes for everybody at once. */
static const struct ast_rollout *clauses(struct cmd *x)
{
    const struct ast_rollout *r = &x->stmt->fleet.rollout;
    enum reeve_err err;
    if (has_rollout_clauses(r) || roll_has(r, ROLL_IMMEDIATE))
        return r;
    struct ast_rollout *now = cmd_alloc(x, sizeof *now, &err);
    if (now != NULL) {
        *now = *r;
        now->present |= 1u << ROLL_IMMEDIATE;
    }
    return now;
}

static enum reeve_err other_clauses(struct cmd *x)
{
    report_set(x->rep, REEVE_E_UNSUPPORTED, "the rollout of a transaction has one set of clauses");
    return report_hint(x->rep, "Give them with the first statement; the later ones repeat them or leave them out.");
}

/* The plan of the transaction's first change of config; a later one must ask for the same, or for nothing. */
static enum reeve_err plan_first(struct cmd *x, struct snap *sn, const struct change *c, struct pending_rollout *r)
{
    enum reeve_err err;
    struct rollout_spec *spec = cmd_alloc(x, sizeof *spec, &err);
    const struct ast_rollout *asked = spec ? clauses(x) : NULL;
    if (asked == NULL)
        return report_set(x->rep, REEVE_E_NOMEM, "out of memory");
    TRY(cmd_spec(x, sn, asked, NULL, spec));
    TRY(cmd_check_window(x, sn, spec));
    TRY(CMD_PAYLOAD(x, rollout_spec_encode, spec, &r->spec));
    r->doc.kind = ROLLOUT_CONFIG;
    r->doc.n_targets = 1;
    r->doc.target[0] = (struct rollout_target){ AT_CONFIG, c->key, 0, 0 };
    TRY(cmd_plan(x, sn, spec, &r->doc));
    cmd_doc_start(x, &r->doc, spec);
out:
    return err;
}

static enum reeve_err same_clauses(struct cmd *x, struct snap *sn, const struct pending_rollout *r)
{
    const struct ast_rollout *asked = &x->stmt->fleet.rollout;
    struct slice bytes;
    enum reeve_err err;
    if (!has_rollout_clauses(asked) && !roll_has(asked, ROLL_IMMEDIATE))
        return REEVE_OK;
    struct rollout_spec *spec = cmd_alloc(x, sizeof *spec, &err);
    if (spec == NULL)
        return err;
    TRY(cmd_spec(x, sn, asked, NULL, spec));
    TRY(CMD_PAYLOAD(x, rollout_spec_encode, spec, &bytes));
    if (!slice_eq(bytes, r->spec))
        err = other_clauses(x);
out:
    return err;
}

/* Room for one more key, which is not there yet. */
static enum reeve_err add_target(struct cmd *x, const struct change *c, struct pending_rollout *r)
{
    for (uint8_t i = 0; i < r->doc.n_targets; i++)
        if (name_eq(&r->doc.target[i].name, &c->key)) {
            report_set(x->rep, REEVE_E_UNSUPPORTED, "config key \"%s\" was already changed in this transaction", c->key.s);
            return report_hint(x->rep, "Commit between the two changes.");
        }
    if (r->doc.n_targets == ROLLOUT_TARGETS_MAX)
        return report_set(x->rep, REEVE_E_TOO_COMPLEX, "a rollout changes at most %d keys", ROLLOUT_TARGETS_MAX);
    r->doc.target[r->doc.n_targets++] = (struct rollout_target){ AT_CONFIG, c->key, 0, 0 };
    if (r->doc.why[0] == '\0')
        cmd_doc_why(x, &r->doc);
    return REEVE_OK;
}

/* Checks and plans before anything is left with the ring. *r becomes a copy of the pending rollout, or a new one. */
static enum reeve_err prepare(struct cmd *x, const struct change *c, struct pending_rollout *r)
{
    const struct pending_rollout *before = cmd_pending_rollout(x);
    struct snap sn = { 0 };
    struct config_gen base;
    uint32_t from;
    enum reeve_err err;
    if (before != NULL)
        *r = *before;
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(read_base(&sn, c, &base));
    TRY(read_from(x, &sn, c, &base, &from));
    if (before == NULL) {
        TRY(plan_first(x, &sn, c, r));
    } else {
        TRY(same_clauses(x, &sn, r));
        TRY(add_target(x, c, r));
    }
out:
    snap_close(&sn);
    return err;
}

/* The newest target's generations, as they are now that its value lies with the ring. */
static enum reeve_err fill_target(struct cmd *x, struct snap *sn, const struct change *c, struct pending_rollout *r)
{
    struct rollout_target *t = &r->doc.target[r->doc.n_targets - 1];
    struct rollout_change *ch = &r->change[r->doc.n_targets - 1];
    enum reeve_err err = read_base(sn, c, &ch->base);
    if (err == REEVE_OK)
        err = read_from(x, sn, c, &ch->base, &t->from_gen);
    t->to_gen = c->gen;
    ch->fresh = true;
    ch->config = (struct config_gen){ .gen = c->gen, .state = GEN_PREPARED, .absent = c->absent, .digest = c->digest };
    return err;
}

static enum reeve_err set_rollout(struct cmd *x, struct change *c)
{
    struct snap sn = { 0 };
    struct cmd_outcome o;
    enum reeve_err err;
    struct pending_rollout *r = cmd_alloc(x, sizeof *r, &err);
    if (r == NULL)
        return err;
    TRY(cmd_not_mixed(x));
    TRY(prepare(x, c, r));
    if (x->explain)
        return cmd_explain_plan(x, &r->doc);
    TRY(stage(x, c));
    if (r->doc.id == 0)
        TRY(cmd_reserve_rollout(x, &r->doc.id));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(fill_target(x, &sn, c, r));
    TRY(cmd_rollout_replace(x, r));
    TRY(cmd_rollout_begin(x, &sn, &r->doc, r->change));
    snap_close(&sn);
    TRY(cmd_finish(x, &o));
    TRY(cmd_fleet_row(x, &r->doc, &o));
out:
    snap_close(&sn);
    return err;
}

static enum reeve_err is_attested(struct cmd *x, const struct change *c, bool *attested)
{
    struct snap sn;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    err = attest_key_class(&sn.attest, &c->key, attested);
    snap_close(&sn);
    return err == REEVE_OK ? err : report_set(x->rep, err, "could not read the class of \"%s\"", c->key.s);
}

static enum reeve_err change_config(struct cmd *x)
{
    const struct ast_rollout *r = &x->stmt->fleet.rollout;
    struct change c = { 0 };
    bool attested = false;
    enum reeve_err err;
    TRY(read_change(x, &c));
    TRY(read_expected(x, &c));
    TRY(cmd_need(x, PRIV_CONFIGURE, GK_CONFIG, &c.key));
    TRY(cmd_reason(x, roll_has(r, ROLL_REASON) ? &r->reason : NULL, true));
    if (has_rollout_clauses(r) || cmd_pending_rollout(x) != NULL)
        return set_rollout(x, &c);
    TRY(is_attested(x, &c, &attested));
    if (attested && c.expected != 0)
        return report_set(x->rep, REEVE_E_UNSUPPORTED, "config key \"%s\" is attested: its change is a rollout", c.key.s);
    return attested ? set_rollout(x, &c) : set_plain(x, &c);
out:
    return err;
}

enum reeve_err cmd_set_config(struct cmd *x)
{
    return change_config(x);
}

enum reeve_err cmd_reset_config(struct cmd *x)
{
    return change_config(x);
}
