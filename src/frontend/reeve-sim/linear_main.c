/*
 * linear_main.c - reeve-sim linear FILE: is a recorded history linearizable, key by key?
 *
 * One JSON object a line, in order of time:
 *   {"process":3,"type":"invoke","op":"cas","key":"k7","value":[1,2],"time_ns":123}
 * type: invoke, then one of ok, fail, unknown by the same process; what has no second line is unknown, too. op: read
 * (ok: the value or null), write (the new value), cas (old, new). fail: certainly not done; of a cas: the old value
 * did not match. A process that met an unknown does not come again. Keys begin absent.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/linear.h"
#include "sim_int.h"

#define KEYS_MAX      65536u
#define PROCESSES_MAX (1u << 20)
#define STEPS_MAX     100000000u

static const char usage[] = "Usage: reeve-sim linear FILE [--quiet]\n";

struct key_history { char *name; struct linear_op *op; uint32_t n, room; };

/* What a process is at: an operation of a key, named by its number there. */
struct process { bool open, gone; uint32_t key, op; };

struct book {
    struct key_history *key;
    uint32_t n_keys;
    struct process *process;
    uint64_t line, n_ops, n_unknown, n_failed;
    int64_t last_ns;
    char why[200];
};

static bool wrong(struct book *b, const char *why)
{
    snprintf(b->why, sizeof b->why, "%s", why);
    return false;
}

/* ---- one line ---- */

struct event { uint64_t process; const char *type, *op, *key; json_t *value; int64_t time_ns; };

static bool read_event(struct book *b, json_t *o, struct event *e)
{
    json_t *process = json_object_get(o, "process"), *time = json_object_get(o, "time_ns");
    e->type = json_string_value(json_object_get(o, "type"));
    e->op = json_string_value(json_object_get(o, "op"));
    e->key = json_string_value(json_object_get(o, "key"));
    e->value = json_object_get(o, "value");
    if (!json_is_integer(process) || !json_is_integer(time) || e->type == NULL || e->op == NULL || e->key == NULL)
        return wrong(b, "process, type, op, key or time_ns is missing");
    e->time_ns = json_integer_value(time);
    e->process = (uint64_t) json_integer_value(process);
    if (e->process >= PROCESSES_MAX)
        return wrong(b, "a process has a number from 0 to 1048575");
    if (e->time_ns < b->last_ns)
        return wrong(b, "time runs backwards");
    b->last_ns = e->time_ns;
    return true;
}

static bool value_of(struct book *b, json_t *v, struct linear_value *out)
{
    if (json_is_integer(v))
        *out = (struct linear_value){ true, json_integer_value(v) };
    else if (v == NULL || json_is_null(v))
        *out = (struct linear_value){ false, 0 };
    else
        return wrong(b, "a value is an integer or null");
    return true;
}

static bool values_of(struct book *b, const struct event *e, struct linear_op *op)
{
    if (op->kind == LINEAR_READ)
        return true;
    if (op->kind == LINEAR_WRITE)
        return value_of(b, e->value, &op->value);
    if (json_array_size(e->value) != 2)
        return wrong(b, "the value of a cas is [old, new]");
    return value_of(b, json_array_get(e->value, 0), &op->expected) && value_of(b, json_array_get(e->value, 1), &op->value);
}

static struct key_history *key_named(struct book *b, const char *name)
{
    for (uint32_t i = 0; i < b->n_keys; i++)
        if (strcmp(b->key[i].name, name) == 0)
            return &b->key[i];
    struct key_history *k = b->n_keys < KEYS_MAX ? &b->key[b->n_keys] : NULL;
    if (k == NULL || (k->name = strdup(name)) == NULL)
        return NULL;
    b->n_keys++;
    return k;
}

static bool key_grow(struct key_history *k)
{
    uint32_t room = k->room ? k->room * 2 : 64;
    struct linear_op *op = k->n < k->room ? k->op : realloc(k->op, room * sizeof *op);
    if (op == NULL)
        return false;
    k->room = k->n < k->room ? k->room : room;
    k->op = op;
    return true;
}

static bool on_invoke(struct book *b, const struct event *e, struct process *p)
{
    struct linear_op op = { .call = e->time_ns, .ret = LINEAR_NEVER, .outcome = LINEAR_UNKNOWN };
    struct key_history *k = key_named(b, e->key);
    if (p->open || p->gone)
        return wrong(b, p->gone ? "a process that met an unknown came again" : "a process began before it had ended");
    if (k == NULL || k->n + 1 >= LINEAR_OPS_MAX || !key_grow(k))
        return wrong(b, "too many keys, or too many operations of one");
    op.kind = strcmp(e->op, "read") == 0 ? LINEAR_READ : strcmp(e->op, "write") == 0 ? LINEAR_WRITE : LINEAR_CAS;
    if (op.kind == LINEAR_CAS && strcmp(e->op, "cas") != 0)
        return wrong(b, "op is read, write or cas");
    if (!values_of(b, e, &op))
        return false;
    op.tag = k->n;
    *p = (struct process){ .open = true, .key = (uint32_t) (k - b->key), .op = k->n };
    k->op[k->n++] = op;
    b->n_ops++;
    return true;
}

static bool on_end(struct book *b, const struct event *e, struct process *p)
{
    if (!p->open || strcmp(b->key[p->key].name, e->key) != 0)
        return wrong(b, "an end without its beginning");
    struct linear_op *op = &b->key[p->key].op[p->op];
    bool ok = strcmp(e->type, "ok") == 0, fail = strcmp(e->type, "fail") == 0;
    p->open = false;
    p->gone = !ok && !fail;
    if (p->gone && strcmp(e->type, "unknown") != 0)
        return wrong(b, "type is invoke, ok, fail or unknown");
    b->n_unknown += p->gone;
    b->n_failed += fail;
    if (p->gone)
        return true;
    op->ret = e->time_ns;
    op->outcome = ok ? LINEAR_OK : LINEAR_FAILED;
    return !ok || op->kind != LINEAR_READ || value_of(b, e->value, &op->value);
}

static bool one_line(struct book *b, const char *text, size_t len)
{
    json_error_t why;
    struct event e = { 0 };
    json_t *o = json_loadb(text, len, 0, &why);
    if (!json_is_object(o)) {
        json_decref(o);
        return wrong(b, "not a JSON object");
    }
    bool ok = read_event(b, o, &e);
    if (ok && strcmp(e.type, "invoke") == 0)
        ok = on_invoke(b, &e, &b->process[e.process]);
    else if (ok)
        ok = on_end(b, &e, &b->process[e.process]);
    json_decref(o);
    return ok;
}

static bool read_all(struct book *b, FILE *f)
{
    char *text = NULL;
    size_t room = 0;
    bool ok = true;
    for (ssize_t n; ok && (n = getline(&text, &room, f)) > 0;) {
        b->line++;
        ok = one_line(b, text, (size_t) n);
    }
    free(text);
    return ok;
}

/* ---- the judgement ---- */

static void print_value(struct linear_value v)
{
    if (v.present)
        printf("%lld", (long long) v.v);
    else
        printf("null");
}

static void print_op(const struct linear_op *o)
{
    static const char *const kind[] = { "?", "read", "write", "cas" }, *const outcome[] = { "?", "ok", "fail", "unknown" };
    printf("    %s ", kind[o->kind]);
    if (o->kind == LINEAR_CAS) {
        print_value(o->expected);
        printf(" -> ");
    }
    print_value(o->value);
    printf(" %s, %lld", outcome[o->outcome], (long long) o->call);
    if (o->ret != LINEAR_NEVER)
        printf(" to %lld", (long long) o->ret);
    printf("\n");
}

static void print_violation(const struct key_history *k, const struct linear_evidence *ev)
{
    printf("key %s: not linearizable. %u operations stand in an order; then the value is ", k->name, ev->placed);
    print_value(ev->state);
    printf(", and there is no place for\n");
    for (uint32_t i = 0; i < ev->n_blocked; i++)
        print_op(&k->op[ev->blocked[i]]);
}

/* A failed read or write never happened; a failed cas has looked. */
static uint32_t what_counts(const struct key_history *k, struct linear_op *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->n; i++)
        if (k->op[i].outcome != LINEAR_FAILED || k->op[i].kind == LINEAR_CAS)
            out[n++] = k->op[i];
    return n;
}

static bool judge(const struct key_history *k)
{
    static struct linear_op ops[LINEAR_OPS_MAX];
    struct linear_evidence ev = { 0 };
    enum linear_verdict verdict = LINEAR_UNDECIDED;
    enum reeve_err err = linear_check(ops, what_counts(k, ops), STEPS_MAX, &verdict, &ev);
    if (err != REEVE_OK)
        printf("key %s: %s\n", k->name, reeve_err_text(err));
    else if (verdict == LINEAR_NO)
        print_violation(k, &ev);
    else if (verdict == LINEAR_UNDECIDED)
        printf("key %s: undecided within %u steps\n", k->name, STEPS_MAX);
    return err == REEVE_OK && verdict == LINEAR_YES;
}

static int judge_all(const struct book *b, bool quiet)
{
    uint32_t bad = 0, most = 0;
    for (uint32_t i = 0; i < b->n_keys; i++) {
        bad += !judge(&b->key[i]);
        most = b->key[i].n > most ? b->key[i].n : most;
    }
    if (!quiet || bad > 0)
        printf("%u keys, %llu operations (at most %u of a key, %llu failed, %llu unknown): %s\n", b->n_keys,
               (unsigned long long) b->n_ops, most, (unsigned long long) b->n_failed, (unsigned long long) b->n_unknown,
               bad > 0 ? "NOT linearizable" : "linearizable");
    return bad > 0;
}

static void book_free(struct book *b)
{
    for (uint32_t i = 0; i < b->n_keys; i++) {
        free(b->key[i].name);
        free(b->key[i].op);
    }
    free(b->key);
    free(b->process);
}

int linear_main(int argc, char **argv)
{
    bool quiet = argc == 3 && strcmp(argv[2], "--quiet") == 0;
    FILE *f = argc == 2 || quiet ? fopen(argv[1], "r") : NULL;
    if (f == NULL) {
        fputs(usage, stderr);
        if (argc > 1)
            perror(argv[1]);
        return 2;
    }
    struct book b = { .key = calloc(KEYS_MAX, sizeof *b.key), .process = calloc(PROCESSES_MAX, sizeof *b.process), .last_ns = INT64_MIN };
    int code = 2;
    if (b.key == NULL || b.process == NULL)
        fprintf(stderr, "reeve-sim: out of memory\n");
    else if (!read_all(&b, f))
        fprintf(stderr, "%s:%llu: %s\n", argv[1], (unsigned long long) b.line, b.why);
    else
        code = judge_all(&b, quiet);
    fclose(f);
    book_free(&b);
    return code;
}
