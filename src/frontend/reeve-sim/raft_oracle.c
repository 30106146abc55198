/* raft_oracle.c - what clients saw, judged at the end: nothing invented, nothing lost, nothing twice, linearizable. */
#include "raft_int.h"

static struct linear_value value_of(int64_t v) { return v < 0 ? (struct linear_value){ 0 } : (struct linear_value){ true, v }; }

/* False: the operation says nothing (a read without answer, what certainly never happened). */
static bool history_op(const struct op *o, struct linear_op *out)
{
    if (o->failed || (!o->done && o->kind == OP_READ))
        return false;
    *out = (struct linear_op){ .kind = o->kind == OP_READ ? LINEAR_READ : o->kind == OP_WRITE ? LINEAR_WRITE : LINEAR_CAS,
                               .outcome = o->done ? LINEAR_OK : LINEAR_UNKNOWN, .call = o->call_us,
                               .ret = o->done ? o->ret_us : LINEAR_NEVER, .expected = value_of(o->old), .value = value_of(o->new_),
                               .tag = o->id };
    if (o->kind == OP_READ)
        out->value = o->result;
    if (o->kind == OP_CAS && o->done && !o->cas_hit)
        out->outcome = LINEAR_FAILED;
    return true;
}

static size_t describe_op(const struct rig *r, uint32_t id, char *out, size_t len)
{
    const struct op *o = &r->op[id];
    const char *kind = o->kind == OP_READ ? "read" : o->kind == OP_WRITE ? "write" : "cas";
    int n = snprintf(out, len, "\n    op %u client %u %s key %u old %lld new %lld saw %lld [%lld, %lld] index %llu %s", id, o->client, kind, o->key,
                     (long long) o->old, (long long) o->new_, o->result.present ? (long long) o->result.v : -1LL, (long long) o->call_us,
                     o->done ? (long long) o->ret_us : -1LL, (unsigned long long) o->index,
                     o->done ? o->kind == OP_CAS && !o->cas_hit ? "miss" : "ok" : "unknown");
    return n < 0 || (size_t) n >= len ? len - 1 : (size_t) n;
}

static void not_linearizable(struct rig *r, uint8_t key, const struct linear_evidence *ev)
{
    char text[3000];
    size_t at = (size_t) snprintf(text, sizeof text, "key %u: %u operations in order, the value then %lld; no place for", key, ev->placed,
                                  ev->state.present ? (long long) ev->state.v : -1LL);
    for (uint32_t i = 0; i < ev->n_blocked && at < sizeof text - 1; i++)
        at += describe_op(r, ev->blocked[i], text + at, sizeof text - at);
    violation(r, "linearizable", "%s", text);
}

static void check_key(struct rig *r, uint8_t key)
{
    static struct linear_op ops[RIG_OPS];
    size_t n = 0;
    enum linear_verdict verdict;
    struct linear_evidence ev;
    for (uint32_t i = 0; i < r->n_ops; i++)
        if (r->op[i].key == key && history_op(&r->op[i], &ops[n]))
            n++;
    enum reeve_err err = linear_check(ops, n, 2000000, &verdict, &ev);
    if (err != REEVE_OK)
        violation(r, "linearizable", "key %u: %zu operations: %s", key, n, reeve_err_name(err));
    else if (verdict == LINEAR_NO)
        not_linearizable(r, key, &ev);
    else if (verdict == LINEAR_UNDECIDED)
        r->n_undecided++;
}

static void check_outcomes(struct rig *r)
{
    const struct node *n = rig_leader(r);
    for (uint32_t i = 0; i < r->n_ops && !r->violated; i++) {
        const struct op *o = &r->op[i];
        if (o->kind == OP_READ)
            continue;
        if (o->failed && r->result[i].known)
            violation(r, "not applied means not applied", "operation %u was said not to be applied; it was, at %llu", i,
                      (unsigned long long) r->result[i].index);
        if (o->done && n != NULL && !(n->state.applied[i / 8] >> i % 8 & 1))
            violation(r, "no acknowledged write is lost", "operation %u was acknowledged (index %llu) and is not in the state", i,
                      (unsigned long long) o->index);
    }
}

void oracle_check(struct rig *r)
{
    check_outcomes(r);
    for (int k = 0; k < RIG_KEYS && !r->violated; k++)
        check_key(r, (uint8_t) k);
}
