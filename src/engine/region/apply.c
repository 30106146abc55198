/*
 * apply.c - one command in, rows and a result out
 *
 * Every command raises applied_index by one, refused ones too (G1, G4). A
 * refusal is a result item; an error returned is the storage's.
 */
#include "engine/region/region_int.h"

typedef enum reeve_err apply_fn(struct apply *a, struct rd *r);

static const struct { apply_fn *fn; const char *name; } commands[] = {
    [RC_TXN] = { apply_txn, "txn" }, [RC_ENROLL] = { apply_enroll, "enroll" },
    [RC_REGISTER] = { apply_register, "register" }, [RC_REPORT] = { apply_report, "report" },
    [RC_LIVENESS] = { apply_liveness, "liveness" }, [RC_ATTESTED] = { apply_attested, "attested" },
    [RC_RESERVE] = { apply_reserve, "reserve" }, [RC_ISSUE] = { apply_issue, "issue" },
    [RC_NOOP] = { apply_noop, "noop" }, [RC_PRUNE] = { apply_prune, "prune" },
    [RC_BUILTIN] = { apply_builtin, "builtin" }, [RC_NOTE] = { apply_note, "note" },
    [RC_LEVEL] = { apply_level, "level" },
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

size_t region_scratch_size(void)
{
    return sizeof(struct scratch);
}

static void begin(struct apply *a, struct region *r, uint64_t index)
{
    reeve_assert(r->scratch != NULL && r->scratch_len >= sizeof(struct scratch));
    memset(a, 0, sizeof *a);
    a->r = r;
    a->s = r->scratch;
    a->kv = r->kv;
    a->index = index;
    account_begin(a);
    result_begin(a);
}

static enum reeve_err dispatch(struct apply *a, struct slice command)
{
    struct rd r = rd_of(command);
    uint8_t version = rd_u8(&r), type = rd_u8(&r);
    if (r.bad || version != 1 || command.len > REGION_COMMAND_MAX)
        return refuse(a, REEVE_E_MALFORMED, "malformed command");
    if (type >= N_COMMANDS || commands[type].fn == NULL)
        return refuse(a, REEVE_E_MALFORMED, "unknown command %u", type);
    return commands[type].fn(a, &r);
}

/* The reserved index is checked, so that a gap or a repeat in the log cannot pass unseen. */
static enum reeve_err advance(struct apply *a)
{
    uint64_t applied;
    enum reeve_err err = meta_get(a->kv, "applied", &applied);
    if (err != REEVE_OK)
        return err;
    return a->index == applied + 1 ? meta_put(a->kv, "applied", a->index) : REEVE_E_CORRUPT;
}

enum reeve_err region_apply(struct region *r, uint64_t index, struct slice command, struct wr *out)
{
    struct apply a;
    begin(&a, r, index);
    enum reeve_err err = advance(&a);
    if (err != REEVE_OK)
        return err;
    err = dispatch(&a, command);
    if (refused(&a, err)) {
        result_item(&a, err, a.rep.message, (struct slice){ NULL, 0 });
        err = REEVE_OK;
    }
    if (err != REEVE_OK)
        return err;
    result_end(&a);
    wr_bytes(out, a.result.p, a.result.len);
    return out->bad ? REEVE_E_TOO_BIG : REEVE_OK;
}

/* Reads the whole command without touching kv or scratch. */
enum reeve_err region_command_check(struct slice command, struct report *rep)
{
    struct apply a;
    memset(&a, 0, sizeof a);
    a.dry = true;
    enum reeve_err err = dispatch(&a, command);
    if (err != REEVE_OK)
        report_set(rep, err, "%s", a.rep.message);
    return err;
}

enum reeve_err apply_noop(struct apply *a, struct rd *r)
{
    if (!rd_done(r))
        return refuse(a, REEVE_E_MALFORMED, "malformed command");
    if (!a->dry)
        result_item(a, REEVE_OK, "", (struct slice){ NULL, 0 });
    return REEVE_OK;
}

enum reeve_err apply_reserve(struct apply *a, struct rd *r)
{
    uint64_t next;
    enum reeve_err err;
    uint16_t n = rd_u16(r);
    if (!rd_done(r) || n == 0)
        return refuse(a, REEVE_E_MALFORMED, "malformed command");
    if (a->dry)
        return REEVE_OK;
    TRY(meta_get(a->kv, "last_rollout_id", &next));
    TRY(meta_put(a->kv, "last_rollout_id", next + n));
    result_u64(a, next + 1);
out:
    return err;
}

/* The last one wins. Bounded by those who write them: only members of the ring do, a few for each of them. */
enum reeve_err apply_note(struct apply *a, struct rd *r)
{
    struct rkey k;
    struct name name;
    enum reeve_err err;
    rd_name(r, &name);
    struct slice bytes = rd_str16(r, REGION_NOTE_MAX);
    if (!rd_done(r))
        return refuse(a, REEVE_E_MALFORMED, "malformed command");
    if (a->dry)
        return REEVE_OK;
    rkey_name(&k, 'q', &name);
    err = bytes.len > 0 ? kv_put(a->kv, rkey_slice(&k), bytes) : kv_del(a->kv, rkey_slice(&k));
    if (err == REEVE_OK)
        result_item(a, REEVE_OK, "", (struct slice){ NULL, 0 });
    return err;
}

void region_command_describe(struct slice command, struct wr *out)
{
    struct rd r = rd_of(command);
    uint8_t version = rd_u8(&r), type = rd_u8(&r);
    if (r.bad || version != 1 || type >= N_COMMANDS || commands[type].fn == NULL) {
        wr_printf(out, "malformed command of %zu bytes", command.len);
        return;
    }
    wr_text(out, commands[type].name);
    if (type == RC_TXN) {
        struct name actor;
        (void) rd_bytes(&r, 16);
        uint64_t seq = rd_u64(&r);
        (void) rd_u64(&r);
        rd_name(&r, &actor);
        if (!r.bad)
            wr_printf(out, " seq %llu by %s", (unsigned long long) seq, actor.s);
    } else if (type >= RC_ENROLL && type <= RC_REPORT) {
        wr_printf(out, " of %u", rd_u16(&r));
    }
    wr_printf(out, ", %zu bytes", command.len);
}
