/*
 * config.c - SET CONFIG and RESET CONFIG
 *
 * A regional key without rollout clauses is a plain write of the ring. Any
 * rollout of a key, and any change of an attested key, first leaves the value
 * with the ring (RO_CONFIG_STAGE: nobody reads it yet) and then attests its
 * digest; several keys of one transaction become one rollout.
 */
#include "fleet_int.h"

#include "backend/ipc/ipc.h"
#include "crypto/hash.h"

struct change {
    struct name key;
    uint8_t value_type;
    bool absent;
    struct slice value;
    uint32_t gen;                       /* once staged */
    struct hash32 digest;
};

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
    c->value_type = v->kind == PV_INT ? VT_INT : v->kind == PV_FLOAT ? VT_FLOAT : v->kind == PV_BOOL ? VT_BOOL : VT_TEXT;
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

static bool has_rollout_clauses(const struct ast_rollout *r)
{
    uint32_t plain = 1u << ROLL_REASON | 1u << ROLL_IMMEDIATE;
    return (r->present & ~plain) != 0;
}

/* ---- the plain way ---- */

static enum reeve_err plain_row(struct cmd *x, const struct cmd_outcome *o)
{
    if (!session_bool(x->s, SET_rollout_returning))
        return REEVE_OK;
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
        wr_u64(w, 0);
    }
    TRY(cmd_op_end(x));
    TRY(cmd_finish(x, &o));
    TRY(plain_row(x, &o));
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
    if (err == REEVE_E_UNDEFINED_OBJECT)
        return REEVE_OK;
    if (err != REEVE_OK)
        return report_set(x->rep, err, "could not read config key \"%s\"", c->key.s);
    if (base->gen == 0)
        *from = doc->active_gen;
    if (doc->rollout_id == 0)
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

static enum reeve_err plan_config(struct cmd *x, struct snap *sn, const struct change *c, struct rollout_doc *doc,
                                  struct rollout_change *change)
{
    enum reeve_err err;
    uint32_t from = 0;
    struct rollout_spec *spec = cmd_alloc(x, sizeof *spec, &err);
    const struct ast_rollout *r = spec ? clauses(x) : NULL;
    if (r == NULL)
        return report_set(x->rep, REEVE_E_NOMEM, "out of memory");
    TRY(cmd_spec(x, sn, r, NULL, spec));
    TRY(cmd_check_window(x, sn, spec));
    TRY(read_base(sn, c, &change->base));
    TRY(read_from(x, sn, c, &change->base, &from));
    change->fresh = true;
    change->config = (struct config_gen){ .gen = c->gen, .state = GEN_PREPARED, .absent = c->absent, .digest = c->digest };
    doc->kind = ROLLOUT_CONFIG;
    doc->n_targets = 1;
    doc->target[0] = (struct rollout_target){ AT_CONFIG, c->key, from, c->gen };
    TRY(cmd_plan(x, sn, spec, doc));
    cmd_doc_start(x, doc, spec);
out:
    return err;
}

static enum reeve_err explain_rollout(struct cmd *x, struct change *c, struct rollout_doc *doc, struct rollout_change *change)
{
    struct snap sn;
    enum reeve_err err = snap_open(x->s, &sn, x->rep);
    if (err != REEVE_OK)
        return err;
    c->gen = UINT32_MAX;                /* a number that nothing has */
    err = plan_config(x, &sn, c, doc, change);
    snap_close(&sn);
    return err == REEVE_OK ? cmd_explain_plan(x, doc) : err;
}

static enum reeve_err set_rollout(struct cmd *x, struct change *c)
{
    struct snap sn = { 0 };
    struct cmd_outcome o;
    enum reeve_err err;
    struct rollout_doc *doc = cmd_alloc(x, sizeof *doc, &err);
    struct rollout_change *change = doc ? cmd_alloc(x, sizeof *change, &err) : NULL;
    if (change == NULL)
        return err;
    if (x->explain)
        return explain_rollout(x, c, doc, change);
    TRY(cmd_reserve_rollout(x, &doc->id));
    TRY(stage(x, c));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(plan_config(x, &sn, c, doc, change));
    TRY(cmd_rollout_begin(x, &sn, doc, change));
    snap_close(&sn);
    TRY(cmd_finish(x, &o));
    TRY(cmd_fleet_row(x, doc, &o));
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
    TRY(cmd_need(x, PRIV_CONFIGURE, GK_CONFIG, &c.key));
    TRY(cmd_reason(x, roll_has(r, ROLL_REASON) ? &r->reason : NULL, true));
    if (has_rollout_clauses(r))
        return set_rollout(x, &c);
    TRY(is_attested(x, &c, &attested));
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
