/*
 * simplex_trace.c - event in, expected trace out, for engine/simplex
 *
 * Plays NAME.in for a set of one and compares the trace with NAME.out. Lines
 * of the script (# begins a comment):
 *   start | work yes|no | clock MS (go forward) | answer (the oldest open question) | refuse | restart
 * With an argument it prints the trace of that script instead of comparing.
 */
#include "engine/simplex.h"

#include <stdio.h>
#include <stdlib.h>

#define TRACE_MAX (1 << 20)
#define OPEN_MAX  256

static struct simplex *s;
static void *mem;
static struct simplex_effects out;
static struct simplex_effect open_questions[OPEN_MAX];
static size_t n_open, n_signed;
static struct simplex_event own[OPEN_MAX];
static struct simplex_block committed = { .hash = { { 9 } } };
static int64_t now;
static struct wr trace;

static bool verify(void *arg, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig)
{
    return true;
}

static void boot(void)
{
    const struct simplex_config c = { .n = 1, .tick_ms = 60000, .standstill_ms = 1000, .verify = verify };
    if (simplex_init(&s, mem, simplex_size(), &c, &committed, 0) != REEVE_OK)
        abort();
    n_open = 0;
}

static void feed(struct simplex_event e)
{
    e.now.ms = now;
    simplex_event_describe(&e, &trace);
    wr_text(&trace, "\n");
    simplex_step(s, &e, &out);
    for (size_t i = 0; i < out.n; i++) {
        const struct simplex_effect *f = &out.e[i];
        simplex_effect_describe(f, &trace);
        wr_text(&trace, "\n");
        if (f->type == SXF_COMMIT)
            committed = f->vote.b;
        if ((f->type == SXF_BUILD || f->type == SXF_CHECK || f->type == SXF_SIGN) && n_open < OPEN_MAX)
            open_questions[n_open++] = *f;
    }
}

static void answer(bool yes)
{
    if (n_open == 0) {
        wr_text(&trace, "(no open question)\n");
        return;
    }
    struct simplex_effect f = open_questions[0];
    memmove(open_questions, open_questions + 1, --n_open * sizeof f);
    struct simplex_event e = { .vote = f.vote, .flag = yes };
    if (f.type == SXF_BUILD) {
        e.type = yes ? SXE_BUILT : SXE_NOT_BUILT;
        memset(e.vote.b.hash.b, (int) (0xa0 + f.vote.b.view), 32);
    } else if (f.type == SXF_CHECK) {
        e.type = SXE_CHECKED;
    } else {
        e.type = yes ? SXE_SIGNED : SXE_REFUSED;
        if (yes && n_signed < OPEN_MAX)
            own[n_signed++] = e;
    }
    feed(e);
}

/* Own votes and the committed block are what a restart finds. */
static void restart(void)
{
    wr_text(&trace, "-- restart\n");
    boot();
    for (size_t i = 0; i < n_signed; i++) {
        struct simplex_event e = own[i];
        e.type = SXE_RESTORE;
        if (e.vote.b.view > committed.view)
            feed(e);
    }
    feed((struct simplex_event){ .type = SXE_START });
}

static bool play_line(const char *line)
{
    long ms;
    if (line[0] == '#' || line[0] == '\n')
        return true;
    if (strcmp(line, "start\n") == 0)
        feed((struct simplex_event){ .type = SXE_START });
    else if (strcmp(line, "work yes\n") == 0 || strcmp(line, "work no\n") == 0)
        feed((struct simplex_event){ .type = SXE_WORK, .flag = line[5] == 'y' });
    else if (sscanf(line, "clock %ld", &ms) == 1) {
        now += ms;
        feed((struct simplex_event){ .type = SXE_CLOCK });
    } else if (strcmp(line, "answer\n") == 0)
        answer(true);
    else if (strcmp(line, "refuse\n") == 0)
        answer(false);
    else if (strcmp(line, "restart\n") == 0)
        restart();
    else
        return false;
    return true;
}

static bool play(const char *name)
{
    char path[1024], line[256];
    snprintf(path, sizeof path, "%s/%s.in", SCENARIO_DIR, name);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return false;
    boot();
    bool ok = true;
    while (ok && fgets(line, sizeof line, f) != NULL)
        ok = play_line(line);
    fclose(f);
    return ok;
}

static bool expected(const char *name)
{
    char path[1024];
    static char want[TRACE_MAX];
    snprintf(path, sizeof path, "%s/%s.out", SCENARIO_DIR, name);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return false;
    size_t n = fread(want, 1, sizeof want, f);
    fclose(f);
    return n == trace.len && memcmp(want, trace.p, n) == 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "simplex_alone";
    mem = malloc(simplex_size());
    trace = wr_heap(TRACE_MAX);
    bool played = mem != NULL && play(name);
    if (argc > 1) {
        fwrite(trace.p, 1, trace.len, stdout);
        return played ? 0 : 1;
    }
    bool same = played && expected(name);
    printf("1..1\n%s 1 - %s gives its expected trace\n", same ? "ok" : "not ok", name);
    if (!same)
        fprintf(stderr, "# got:\n%.*s", (int) trace.len, (const char *) trace.p);
    wr_free(&trace);
    free(mem);
    return same ? 0 : 1;
}
