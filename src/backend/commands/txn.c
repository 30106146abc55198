/*
 * txn.c - changes that wait for their commit
 *
 * One transaction changes ring data or attested data, never both. Ring
 * operations become one RC_TXN command, updates of attested objects one
 * batch; either becomes true as a whole or not at all.
 *
 * Alone, a statement commits here before it answers; inside a block the
 * pending changes hang on the session until COMMIT calls back.
 */
#include "cmd_int.h"

#include "backend/ipc/ipc.h"
#include "crypto/hash.h"

#define PENDING_UPDATES_MAX 32
#define PENDING_BYTES_MAX   (900u << 10)

struct pending_update {
    uint8_t type;
    struct name name;
    struct slice bytes;                 /* update_encode() without signature */
};

struct pending {
    struct arena arena;
    struct wr ops;                      /* bodies of ring operations */
    uint16_t n_ops;
    size_t n_updates;
    struct pending_update update[PENDING_UPDATES_MAX];
    struct slice statement, reason;
    struct pending_rollout *rollout;    /* NULL: none */
    bool attached;
};

static struct pending *pending_new(struct session *s)
{
    struct pending *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    arena_init(&p->arena, 4u << 20);
    p->ops = wr_heap(PENDING_BYTES_MAX);
    return p;
}

static void pending_free(struct pending *p)
{
    if (p == NULL)
        return;
    wr_free(&p->ops);
    arena_free(&p->arena);
    free(p);
}

static enum reeve_err txn_commit(struct session *s, void *arg, struct report *rep);

static void txn_abort(struct session *s, void *arg)
{
    pending_free(arg);
}

struct pending *cmd_pending_of(struct session *s)
{
    return s->work.commit == txn_commit ? s->work.arg : NULL;
}

bool cmd_pending_touches(const struct pending *p, enum attest_type type, const struct name *name)
{
    for (size_t i = 0; p != NULL && i < p->n_updates; i++)
        if (p->update[i].type == type && name_eq(&p->update[i].name, name))
            return true;
    return false;
}

void cmd_pending_drop(struct cmd *x)
{
    if (x->p != NULL && !x->p->attached)
        pending_free(x->p);
    x->p = NULL;
}

/* Secrets in a statement are not for history. */
static struct slice statement_for_history(struct cmd *x)
{
    enum ast_kind k = x->stmt->kind;
    const char *tag = ast_tag(k);
    if (k == AST_CREATE_ROLE || k == AST_ALTER_ROLE)
        return slice_str(tag);
    size_t len = x->stmt->len > 0 ? (size_t) x->stmt->len : 0;
    if (x->stmt->pos < 0 || (size_t) x->stmt->pos + len > x->c->text.len)
        return slice_str(tag);
    if (len > ATTEST_TEXT_MAX)
        len = ATTEST_TEXT_MAX;
    while (len > 0 && !utf8_valid(slice_of(x->c->text.p + x->stmt->pos, len)))
        len--;
    return slice_of(x->c->text.p + x->stmt->pos, len);
}

/* History has one text for a ring transaction: those of its statements, as far as they fit. */
static void add_text(struct cmd *x, struct slice *all, struct slice one, const char *between)
{
    struct wr w = wr_heap(ATTEST_TEXT_MAX);
    if (slice_eq(*all, one))
        return;
    wr_bytes(&w, all->p, all->len);
    wr_text(&w, all->len > 0 ? between : "");
    wr_bytes(&w, one.p, one.len);
    if (!w.bad)
        *all = arena_copy(&x->p->arena, wr_slice(&w));
    wr_free(&w);
}

static enum reeve_err pending_get(struct cmd *x)
{
    if (x->p != NULL)
        return REEVE_OK;
    if (!x->c->alone)
        x->p = cmd_pending_of(x->s);
    if (x->p == NULL && (x->p = pending_new(x->s)) == NULL)
        return report_set(x->rep, REEVE_E_NOMEM, "out of memory");
    if (!x->noted)
        add_text(x, &x->p->statement, statement_for_history(x), "; ");
    if (!x->noted && x->reason.len > 0)
        add_text(x, &x->p->reason, x->reason, "; ");
    x->noted = true;
    return REEVE_OK;
}

static enum reeve_err mixed(struct cmd *x)
{
    report_set(x->rep, REEVE_E_UNSUPPORTED, "a transaction cannot change both regional and attested data");
    report_hint(x->rep, "Commit one before the other: they are agreed upon by different quorums.");
    return REEVE_E_UNSUPPORTED;
}

struct wr *cmd_op(struct cmd *x, uint8_t op, enum reeve_err *err)
{
    if ((*err = pending_get(x)) != REEVE_OK)
        return NULL;
    if (x->p->n_updates > 0) {
        *err = mixed(x);
        return NULL;
    }
    if (x->p->n_ops == REGION_OPS_MAX) {
        *err = report_set(x->rep, REEVE_E_TOO_COMPLEX, "a transaction has at most %d changes", REGION_OPS_MAX);
        return NULL;
    }
    x->p->n_ops++;
    wr_u8(&x->p->ops, op);
    return &x->p->ops;
}

enum reeve_err cmd_op_end(struct cmd *x)
{
    if (x->p->ops.bad)
        return report_set(x->rep, REEVE_E_TOO_COMPLEX, "the transaction is too large");
    return REEVE_OK;
}

enum reeve_err cmd_not_mixed(struct cmd *x)
{
    const struct pending *p = x->c->alone ? NULL : cmd_pending_of(x->s);
    return p != NULL && p->n_ops > 0 ? mixed(x) : REEVE_OK;
}

const struct pending_rollout *cmd_pending_rollout(struct cmd *x)
{
    const struct pending *p = x->c->alone ? NULL : cmd_pending_of(x->s);
    return p != NULL ? p->rollout : NULL;
}

static bool belongs_to(const struct pending_update *u, const struct rollout_doc *d)
{
    struct name id;
    rollout_object_name(&id, d->id);
    if (u->type == AT_ROLLOUT)
        return name_eq(&u->name, &id);
    for (uint8_t i = 0; i < d->n_targets; i++)
        if (u->type == d->target[i].type && name_eq(&u->name, &d->target[i].name))
            return true;
    return false;
}

enum reeve_err cmd_rollout_replace(struct cmd *x, const struct pending_rollout *r)
{
    size_t n = 0;
    enum reeve_err err = pending_get(x);
    if (err != REEVE_OK)
        return err;
    struct pending *p = x->p;
    for (size_t i = 0; p->rollout != NULL && i < p->n_updates; i++)
        if (!belongs_to(&p->update[i], &p->rollout->doc))
            p->update[n++] = p->update[i];
    if (p->rollout != NULL)
        p->n_updates = n;
    else if ((p->rollout = arena_alloc(&p->arena, sizeof *p->rollout)) == NULL)
        return report_set(x->rep, REEVE_E_NOMEM, "out of memory");
    *p->rollout = *r;
    p->rollout->spec = arena_copy(&p->arena, r->spec);
    return REEVE_OK;
}

/* What was decided on an older version than the one to be replaced must be decided again. */
static bool is_based_on(const struct cmd *x, const struct update *u)
{
    for (unsigned i = 0; i < x->n_seen; i++)
        if (x->seen[i].type == u->type && name_eq(&x->seen[i].name, &u->object))
            return x->seen[i].version + 1 == u->version;
    return true;
}

static enum reeve_err update_add(struct cmd *x, struct snap *sn, struct update *u)
{
    const char *type = attest_type_name(u->type);
    enum reeve_err err = pending_get(x);
    if (err != REEVE_OK)
        return err;
    if (x->p->n_ops > 0)
        return mixed(x);
    if (cmd_pending_touches(x->p, u->type, &u->object)) {
        report_set(x->rep, REEVE_E_UNSUPPORTED, "%s \"%s\" was already changed in this transaction", type, u->object.s);
        report_hint(x->rep, "Commit between the two changes.");
        return REEVE_E_UNSUPPORTED;
    }
    if (x->p->n_updates == PENDING_UPDATES_MAX)
        return report_set(x->rep, REEVE_E_TOO_COMPLEX, "too many attested changes in one transaction");
    if (!is_based_on(x, u))
        return report_set(x->rep, REEVE_E_CONFLICT, "%s \"%s\" was changed by somebody else meanwhile", type, u->object.s);
    if ((err = region_name(&sn->region, &u->region)) != REEVE_OK)
        return report_set(x->rep, err, "the region has no name");
    u->actor = x->proposing ? x->s->login_role : x->s->role;
    u->address = slice_str(x->s->client_addr);
    bool joint = x->p->rollout != NULL && belongs_to(&(struct pending_update){ .type = u->type, .name = u->object }, &x->p->rollout->doc);
    u->reason = joint ? x->p->reason : x->reason;
    u->statement = joint ? x->p->statement : statement_for_history(x);
    struct wr w = wr_heap(ATTEST_LEAF_MAX);
    update_encode(u, false, &w);
    bool bad = w.bad;
    struct slice bytes = arena_copy(&x->p->arena, wr_slice(&w));
    wr_free(&w);
    if (bad || bytes.p == NULL)
        return report_set(x->rep, REEVE_E_TOO_BIG, "%s \"%s\" has become too large", type, u->object.s);
    x->p->update[x->p->n_updates++] = (struct pending_update){ u->type, u->object, bytes };
    return REEVE_OK;
}

enum reeve_err cmd_update(struct cmd *x, struct snap *sn, enum attest_type type, const struct name *name,
                          struct slice payload)
{
    enum reeve_err err;
    struct update *u = cmd_alloc(x, sizeof *u, &err);
    if (u == NULL)
        return err;
    err = update_prepare(&sn->attest, type, name, payload, u);
    if (err != REEVE_OK)
        return report_set(x->rep, err, "could not read %s \"%s\"", attest_type_name(type), name->s);
    return update_add(x, sn, u);
}

enum reeve_err cmd_update_bytes(struct cmd *x, struct snap *sn, enum attest_type type, const struct name *name, struct slice payload,
                                struct slice *bytes)
{
    size_t n;
    struct slice statement;
    enum reeve_err err = cmd_update(x, sn, type, name, payload);
    return err == REEVE_OK ? cmd_pending_take(x, bytes, 1, &n, &statement) : err;
}

enum reeve_err cmd_update_set(struct cmd *x, struct snap *sn, struct update_set *set)
{
    enum reeve_err err = REEVE_OK;
    for (size_t i = 0; i < set->n && err == REEVE_OK; i++)
        err = update_add(x, sn, &set->u[i]);
    return err;
}

/* ---- commit ---- */

static uint64_t next_seq(struct session *s, uint8_t id[16])
{
    /* One region session per process: the dedup key of every command it proposes. */
    static uint8_t session_id[16];
    static uint64_t seq;
    if (seq == 0)
        random_bytes(session_id, sizeof session_id);
    memcpy(id, session_id, sizeof session_id);
    return ++seq;
}

static void command_build(struct session *s, const struct pending *p, struct wr *w)
{
    uint8_t id[16];
    uint64_t seq = next_seq(s, id);
    char client[96];
    snprintf(client, sizeof client, "%s", s->client_addr);
    size_t at;
    region_txn_begin(w, id, seq, session_wall_now(), &s->role, slice_str(client), p->statement, p->reason, &at);
    wr_bytes(w, p->ops.p, p->ops.len);
    region_txn_end(w, at, p->n_ops);
}

/* The first refused operation of a transaction is the transaction's error. */
static enum reeve_err txn_result_check(struct slice result, struct report *rep)
{
    struct rd r = rd_of(result);
    uint16_t n = rd_u16(&r);
    for (uint16_t i = 0; i < n; i++) {
        uint16_t code = rd_u16(&r);
        struct slice message = rd_str16(&r, UINT16_MAX);
        (void) rd_str16(&r, UINT16_MAX);
        if (r.bad)
            return report_set(rep, REEVE_E_BUG, "the ring answered with a malformed result");
        if (code != REEVE_OK)
            return report_set(rep, code < REEVE_E__COUNT ? code : REEVE_E_BUG, "%.*s",
                              (int) message.len, (const char *) message.p);
    }
    return r.bad ? report_set(rep, REEVE_E_BUG, "the ring answered with a malformed result") : REEVE_OK;
}

static enum reeve_err commit_ring(struct session *s, const struct pending *p, struct arena *arena,
                                  struct cmd_outcome *out, struct report *rep)
{
    struct wr body = wr_heap(REGION_COMMAND_MAX), reply = wr_heap(REGION_COMMAND_MAX);
    command_build(s, p, &body);
    enum reeve_err err = body.bad ? report_set(rep, REEVE_E_TOO_COMPLEX, "the transaction is too large")
                                  : ring_call(s, MSG_PROPOSE, wr_slice(&body), &reply, rep);
    if (err == REEVE_OK) {
        struct rd r = rd_of(wr_slice(&reply));
        out->version = rd_u64(&r);
        out->result = arena_copy(arena, slice_of(r.p, rd_left(&r)));
        out->known = true;
        err = txn_result_check(out->result, rep);
    }
    wr_free(&body);
    wr_free(&reply);
    return err;
}

enum reeve_err cmd_submit(struct session *s, const struct slice *updates, size_t n, struct cmd_outcome *out, struct report *rep)
{
    struct wr body = wr_heap(IPC_BODY_MAX), reply = wr_heap(4096);
    wr_u16(&body, (uint16_t) n);
    for (size_t i = 0; i < n; i++)
        wr_str32(&body, updates[i]);
    enum reeve_err err = body.bad ? report_set(rep, REEVE_E_TOO_COMPLEX, "the transaction is too large")
                                  : ring_call(s, MSG_SUBMIT, wr_slice(&body), &reply, rep);
    if (err == REEVE_OK) {
        struct rd r = rd_of(wr_slice(&reply));
        out->height = rd_u64(&r);
        out->version = rd_u64(&r);
        out->known = !r.bad;
    }
    if (err == REEVE_E_APPROVAL_NEEDED && rep->hint[0] == '\0')
        report_hint(rep, "PROPOSE SECURITY UPDATE name AS statement, then SHOW PROPOSAL name, and APPROVE PROPOSAL with each signature.");
    wr_free(&body);
    wr_free(&reply);
    return err;
}

static enum reeve_err commit_attested(struct session *s, const struct pending *p, struct cmd_outcome *out,
                                      struct report *rep)
{
    struct slice updates[PENDING_UPDATES_MAX];
    for (size_t i = 0; i < p->n_updates; i++)
        updates[i] = p->update[i].bytes;
    return cmd_submit(s, updates, p->n_updates, out, rep);
}

static enum reeve_err pending_commit(struct session *s, struct pending *p, struct arena *arena,
                                     struct cmd_outcome *out, struct report *rep)
{
    memset(out, 0, sizeof *out);
    if (p->n_updates > 0)
        return commit_attested(s, p, out, rep);
    return p->n_ops > 0 ? commit_ring(s, p, arena, out, rep) : REEVE_OK;
}

static enum reeve_err txn_commit(struct session *s, void *arg, struct report *rep)
{
    struct cmd_outcome out;
    struct pending *p = arg;
    enum reeve_err err = pending_commit(s, p, &p->arena, &out, rep);
    pending_free(p);
    return err;
}

enum reeve_err cmd_finish(struct cmd *x, struct cmd_outcome *out)
{
    memset(out, 0, sizeof *out);
    if (x->p == NULL)
        return REEVE_OK;
    if (x->proposing && x->p->n_updates > 0)
        return REEVE_OK;
    if (x->proposing && !x->staging)
        return report_set(x->rep, REEVE_E_UNSUPPORTED, "only attested changes are proposed; this one is the region's own");
    if (x->c->alone)
        return pending_commit(x->s, x->p, x->arena, out, x->rep);
    if (!x->p->attached) {
        x->p->attached = true;
        session_txn_attach(x->s, (struct txn_work){ txn_commit, txn_abort, x->p });
    }
    return REEVE_OK;
}

enum reeve_err cmd_pending_take(struct cmd *x, struct slice *updates, size_t max, size_t *n, struct slice *statement)
{
    *n = x->p != NULL ? x->p->n_updates : 0;
    if (*n == 0)
        return report_set(x->rep, REEVE_E_UNSUPPORTED, "the statement changes nothing attested");
    if (*n > max)
        return report_set(x->rep, REEVE_E_TOO_COMPLEX, "a proposal changes at most %zu objects", max);
    for (size_t i = 0; i < *n; i++)
        updates[i] = arena_copy(x->arena, x->p->update[i].bytes);
    *statement = arena_copy(x->arena, x->p->statement);
    cmd_pending_drop(x);
    x->noted = false;
    return REEVE_OK;
}

enum reeve_err cmd_outcome_data(const struct cmd_outcome *o, unsigned n, struct slice *data)
{
    struct rd r = rd_of(o->result);
    unsigned count = rd_u16(&r);
    for (unsigned i = 0; i < count; i++) {
        (void) rd_u16(&r);
        (void) rd_str16(&r, UINT16_MAX);
        struct slice d = rd_str16(&r, UINT16_MAX);
        if (r.bad)
            break;
        if (i == n) {
            *data = d;
            return REEVE_OK;
        }
    }
    return REEVE_E_NOT_FOUND;
}

enum reeve_err cmd_reserve_rollout(struct cmd *x, uint64_t *id)
{
    uint8_t mem[16];
    struct wr body = wr_fixed(mem, sizeof mem), reply = wr_heap(4096);
    wr_u8(&body, 1);
    wr_u8(&body, RC_RESERVE);
    wr_u16(&body, 1);
    enum reeve_err err = ring_call(x->s, MSG_PROPOSE, wr_slice(&body), &reply, x->rep);
    if (err == REEVE_OK) {
        struct rd r = rd_of(wr_slice(&reply));
        (void) rd_u64(&r);
        struct cmd_outcome o = { .result = slice_of(r.p, rd_left(&r)) };
        struct slice data;
        err = txn_result_check(o.result, x->rep);
        if (err == REEVE_OK && (err = cmd_outcome_data(&o, 0, &data)) == REEVE_OK) {
            r = rd_of(data);
            *id = rd_u64(&r);
        }
        if (err == REEVE_OK && (r.bad || *id == 0))
            err = report_set(x->rep, REEVE_E_BUG, "the ring gave no rollout id");
    }
    wr_free(&reply);
    return err;
}
