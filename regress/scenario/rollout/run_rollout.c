/*
 * run_rollout.c - rollouts told as text: events in, expected trace out
 *
 *     run_rollout FILE...            compares (TAP)
 *     run_rollout --rewrite FILE...  writes the trace that came out into FILE
 *
 * A line that begins with '>' is an event, '#' a comment, everything else the
 * trace that the events before it left. Events:
 *     plan NODES COUNTED SHARE/BAKE_MS... [manual] [deadline=S] [prepare=MS] [window]
 *     time MS            the clock moves on, and the engine steps whenever it asked to be woken
 *     tell W N           N more nodes of wave W are told of the new generation
 *     answer W done|failed|rejected N      N told nodes of wave W answer
 *     late done|failed N N nodes that joined after planning answer
 *     return N           N nodes that serve the new generation serve the old one again
 *     window open|shut
 *     pause | resume | cancel | promote [W] | rollback
 *     restart            the doc is encoded, forgotten and decoded
 *     each               the engine restarts before every step from here on
 *     counts             prints the opened waves' counts
 * Every step is checked as a validator would. Nodes are numbers here: the
 * counting is the runner's own and knows nothing of the region's tables.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "engine/rollout.h"

#define SKEW    2000
#define TIMEOUT 10000
#define T0      1000000
#define NODES_MAX 5000

enum { IDLE, TOLD, DONE, FAILED, REJECTED, REVERTED };
struct node { uint8_t wave, state; bool counted; int64_t told; };

struct story {
    struct rollout_doc doc;
    struct node node[NODES_MAX];
    size_t n;
    int64_t now, state_since, wave_since, wake;
    bool window_open, each;
    struct wr out;
};

static void die(const char *what, const char *line)
{
    fprintf(stderr, "%s: %s\n", what, line);
    exit(2);
}

/* ---- what the engine sees ---- */

static void add(struct rollout_counts *c, const struct story *s, const struct node *n)
{
    c->nodes++;
    c->told += n->state != IDLE;
    c->done += n->state == DONE;
    c->failed += n->state == FAILED;
    c->rejected += n->state == REJECTED;
    c->reverted += n->state == REVERTED;
    c->silent += n->state == TOLD && s->now >= n->told + TIMEOUT;
}

static void look(const struct story *s, struct rollout_view *v)
{
    memset(v, 0, sizeof *v);
    v->now.ms = s->now;
    v->created.ms = T0;
    v->state_since.ms = s->state_since;
    v->wave_since.ms = s->wave_since;
    v->max_skew_ms = SKEW;
    v->report_timeout_ms = TIMEOUT;
    v->window_open = s->window_open;
    for (size_t i = 0; i < s->n; i++) {
        const struct node *n = &s->node[i];
        if (!n->counted || n->wave > s->doc.opened)
            continue;
        add(&v->opened, s, n);
        if (n->wave == s->doc.opened)
            add(&v->newest, s, n);
        v->still_new += n->state == DONE || (n->state == TOLD && s->now < n->told + TIMEOUT);
    }
}

static void restart(struct story *s)
{
    static uint8_t mem[65536];
    struct wr w = wr_fixed(mem, sizeof mem);
    rollout_doc_encode(&s->doc, &w);
    memset(&s->doc, 0x55, sizeof s->doc);
    if (w.bad || rollout_doc_decode(&s->doc, wr_slice(&w)) != REEVE_OK)
        die("the doc did not survive", "restart");
}

static void accept(struct story *s, const struct rollout_doc *next)
{
    struct report rep = { 0 };
    enum reeve_err err = rollout_check_step(&s->doc, next, (struct wall_ms){ s->wave_since }, (struct wall_ms){ s->now },
                                            SKEW, &rep);
    wr_printf(&s->out, "%lld %s %u/%u", (long long) (s->now - T0), rollout_state_name((enum rollout_state) next->state),
              next->opened, next->n_waves);
    if (next->fired_gate != s->doc.fired_gate && next->fired_gate != 0)
        wr_printf(&s->out, " gate %u", next->fired_gate);
    wr_printf(&s->out, ": %s\n", next->why);
    if (err != REEVE_OK)
        wr_printf(&s->out, "REFUSED by validators: %s\n", rep.message);
    s->state_since = s->now;
    if (next->opened > s->doc.opened)
        s->wave_since = s->now;
    s->doc = *next;
}

/* Steps until nothing changes at this time; remembers when to look again. */
static void settle(struct story *s)
{
    for (int i = 0; i < 20; i++) {
        struct rollout_view v;
        struct rollout_decision d;
        static struct rollout_doc next;
        if (s->each)
            restart(s);
        look(s, &v);
        rollout_step(&s->doc, &v, &d);
        s->wake = d.wake.ms;
        if (d.act == RA_NONE)
            return;
        rollout_decision_apply(&s->doc, &d, &v, &next);
        accept(s, &next);
    }
    die("the engine does not come to rest", "step");
}

/* ---- events ---- */

static void ev_plan(struct story *s, char *args)
{
    unsigned nodes, counted;
    int used;
    if (sscanf(args, "%u %u%n", &nodes, &counted, &used) != 2 || nodes > NODES_MAX || counted > nodes)
        die("bad plan", args);
    struct rollout_spec spec = { 0 };
    rollout_spec_default(&spec, NULL);
    struct rollout_doc *d = &s->doc;
    memcpy(d->gate, spec.gate, sizeof d->gate);
    d->n_gates = spec.n_gates;
    d->id = 1;
    d->kind = ROLLOUT_CERT;
    d->n_targets = d->n_regions = 1;
    d->target[0] = (struct rollout_target){ .type = 4, .name = { 3, "web" }, .from_gen = 1, .to_gen = 2 };
    d->region[0].name = (struct name){ 4, "home" };
    d->region[0].ordinal_max = counted;
    d->state = RS_PLANNED;
    for (char *t = strtok(args + used, " "); t != NULL; t = strtok(NULL, " ")) {
        unsigned share, bake;
        if (sscanf(t, "%u/%u", &share, &bake) == 2 && d->n_waves < ROLLOUT_WAVES_MAX) {
            d->wave[d->n_waves] = (struct rollout_wave){ share * 10000, bake };
            d->region[0].bound[d->n_waves++] = share == 100 ? COHORT_END : COHORT_END / 100 * share;
        } else if (strcmp(t, "manual") == 0) {
            d->manual = true;
        } else if (sscanf(t, "deadline=%u", &d->deadline_s) == 1 || sscanf(t, "prepare=%u", &d->prepare_ms) == 1) {
            continue;
        } else if (strcmp(t, "window") == 0) {
            d->window = (struct name){ 6, "nights" };
        } else {
            die("bad plan", t);
        }
    }
    s->n = nodes;
    for (size_t i = 0; i < nodes; i++) {        /* evenly: node i of n stands at i/n */
        unsigned w = 0;
        while (w + 1u < d->n_waves && i * 100 >= (size_t) d->wave[w].share_ppm / 10000 * nodes)
            w++;
        s->node[i] = (struct node){ .wave = (uint8_t) (w + 1), .counted = (i * 7919) % nodes < counted };
        d->region[0].nodes[w] += s->node[i].counted;
    }
    struct report rep = { 0 };
    if (rollout_doc_check(d, &rep) != REEVE_OK)
        die("unsound plan", rep.message);
    wr_printf(&s->out, "planned:");
    for (unsigned w = 0; w < d->n_waves; w++)
        wr_printf(&s->out, " %u", d->region[0].nodes[w]);
    wr_printf(&s->out, "\n");
}

static void ev_time(struct story *s, char *args)
{
    int64_t until = s->now + atoll(args);
    settle(s);
    while (s->wake <= until && s->wake > s->now) {
        s->now = s->wake;
        settle(s);
    }
    s->now = until;
    settle(s);
}

/* Moves n nodes that match from one state to another; says how many were short. */
static void move(struct story *s, unsigned wave, bool counted, uint8_t from, uint8_t to, unsigned n)
{
    for (size_t i = 0; i < s->n && n > 0; i++) {
        struct node *k = &s->node[i];
        if ((wave != 0 && k->wave != wave) || k->counted != counted || k->state != from)
            continue;
        k->state = to;
        if (to == TOLD)
            k->told = s->now;
        n--;
    }
    if (n > 0)
        wr_printf(&s->out, "(%u nodes short)\n", n);
    settle(s);
}

static uint8_t result_of(const char *word)
{
    return strcmp(word, "done") == 0 ? DONE : strcmp(word, "failed") == 0 ? FAILED : REJECTED;
}

static void ev_verb(struct story *s, enum rollout_verb v, unsigned wave)
{
    struct report rep = { 0 };
    struct rollout_doc next;
    struct rollout_view view;
    if (rollout_verb_apply(&s->doc, v, (uint8_t) wave, &next, &rep) != REEVE_OK) {
        wr_printf(&s->out, "refused: %s\n", rep.message);
        return;
    }
    look(s, &view);
    next.counts = view.opened;
    accept(s, &next);
    settle(s);
}

static void ev_counts(struct story *s)
{
    struct rollout_view v;
    look(s, &v);
    wr_printf(&s->out, "nodes %u told %u done %u failed %u rejected %u silent %u reverted %u\n", v.opened.nodes,
              v.opened.told, v.opened.done, v.opened.failed, v.opened.rejected, v.opened.silent, v.opened.reverted);
}

static bool verb_of(const char *word, enum rollout_verb *v)
{
    static const char *const verbs[] = { [RV_PAUSE] = "pause", [RV_RESUME] = "resume", [RV_CANCEL] = "cancel",
                                         [RV_PROMOTE] = "promote", [RV_ROLLBACK] = "rollback" };
    for (unsigned i = RV_PAUSE; i <= RV_ROLLBACK; i++)
        if (strcmp(word, verbs[i]) == 0) {
            *v = (enum rollout_verb) i;
            return true;
        }
    return false;
}

static void event(struct story *s, char *line)
{
    char word[32], result[32];
    int used = 0;
    unsigned wave = 0, n;
    enum rollout_verb v;
    if (sscanf(line, "%31s%n", word, &used) != 1)
        die("empty event", line);
    char *args = line + used;
    if (strcmp(word, "plan") == 0)
        ev_plan(s, args);
    else if (strcmp(word, "time") == 0)
        ev_time(s, args);
    else if (strcmp(word, "tell") == 0 && sscanf(args, "%u %u", &wave, &n) == 2)
        move(s, wave, true, IDLE, TOLD, n);
    else if (strcmp(word, "answer") == 0 && sscanf(args, "%u %31s %u", &wave, result, &n) == 3)
        move(s, wave, true, TOLD, result_of(result), n);
    else if (strcmp(word, "late") == 0 && sscanf(args, "%31s %u", result, &n) == 2)
        move(s, 0, false, IDLE, result_of(result), n);
    else if (strcmp(word, "return") == 0 && sscanf(args, "%u", &n) == 1)
        move(s, 0, true, DONE, REVERTED, n);
    else if (strcmp(word, "window") == 0) {
        s->window_open = strstr(args, "open") != NULL;
        settle(s);
    } else if (verb_of(word, &v)) {
        (void) sscanf(args, "%u", &wave);
        ev_verb(s, v, wave);
    } else if (strcmp(word, "restart") == 0)
        restart(s);
    else if (strcmp(word, "each") == 0)
        s->each = true;
    else if (strcmp(word, "counts") == 0)
        ev_counts(s);
    else
        die("unknown event", line);
}

/* Comments and events are kept, the old trace is dropped. */
static void play(FILE *f, struct story *s)
{
    char line[512], copy[512];
    s->now = s->state_since = s->wave_since = T0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (line[0] == '#' || line[0] == '>' || line[0] == '\n')
            wr_text(&s->out, line);
        if (line[0] != '>')
            continue;
        strcpy(copy, line + 1);
        copy[strcspn(copy, "\n")] = '\0';
        event(s, copy);
    }
}

static bool same_as_file(const char *path, struct slice text)
{
    static char old[1 << 20];
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(old, 1, sizeof old, f) : 0;
    if (f != NULL)
        fclose(f);
    return slice_eq(slice_of(old, n), text);
}

/* Prints the trace that came out, for comparison with the file. */
static void explain(struct slice text)
{
    const char *p = (const char *) text.p, *end = p + text.len;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t) (end - p));
        size_t len = nl != NULL ? (size_t) (nl - p) : (size_t) (end - p);
        fprintf(stderr, "# %.*s\n", (int) len, p);
        p += len + 1;
    }
}

static bool one_file(const char *path, bool rewrite)
{
    static struct story s;
    memset(&s, 0, sizeof s);
    s.out = wr_heap(1 << 20);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        die("cannot open", path);
    play(f, &s);
    fclose(f);
    bool ok = same_as_file(path, wr_slice(&s.out));
    if (rewrite && !ok && (f = fopen(path, "w")) != NULL) {
        fwrite(s.out.p, 1, s.out.len, f);
        fclose(f);
        ok = true;
    } else if (!ok) {
        explain(wr_slice(&s.out));
    }
    wr_free(&s.out);
    return ok;
}

int main(int argc, char **argv)
{
    bool rewrite = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
    const char *dir = getenv("srcdir");
    static const char *const stories[] = { SCENARIOS };
    int failed = 0, n = 0;
    if (argc > 1) {
        for (int i = rewrite ? 2 : 1; i < argc; i++, n++)
            failed += !one_file(argv[i], rewrite);
        return failed != 0;
    }
    printf("1..%zu\n", sizeof stories / sizeof *stories);
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/regress/scenario/rollout/%s.txt", dir != NULL ? dir : SRCDIR, stories[i]);
        bool ok = one_file(path, false);
        printf("%sok %zu - %s\n", ok ? "" : "not ", i + 1, stories[i]);
        failed += !ok;
    }
    return failed != 0;
}
