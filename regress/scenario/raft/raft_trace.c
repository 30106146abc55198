/*
 * raft_trace.c - event in, expected trace out, for a ring of engine/raft
 *
 * Plays each NAME.in and compares the trace with NAME.out. Nothing moves by
 * itself: the script delivers messages, completes writes, moves the clock.
 * Lines of the script (what begins with # goes into the trace):
 *   ring N              N voters, started
 *   clock MS            forward, each member's clock as it asks
 *   until ID ROLE       forward until that member is of that role
 *   deliver A B | drop A B    all messages from A to B that may leave (0: anybody)
 *   disk ID [N]         the N oldest writes (all) are durable
 *   settle              messages and writes until nothing is under way
 *   propose ID V | read ID N | transfer ID TO | compact ID INDEX
 *   change ID WHAT WHOM [WHAT WHOM]    WHAT: learner, promote, demote, remove
 *   crash ID | restart ID | join | isolate ID | heal ID
 *   quiet | loud        without, with a trace
 * With an argument it prints the trace of that script instead of comparing.
 */
#include "../../lib/raft_ring.h"

#include <stdio.h>
#include <stdlib.h>

#define TRACE_MAX (4u << 20)

static struct rr *s;
static struct wr trace;

static uint8_t change_kind(const char *what)
{
    static const char *const names[] = { "?", "learner", "promote", "demote", "remove" };
    for (uint8_t i = 1; i < 5; i++)
        if (strcmp(what, names[i]) == 0)
            return i;
    return 0;
}

static bool change(const char *line)
{
    struct raft_change c[2] = { { .kind = 0 } };
    char what[2][16];
    unsigned id, whom[2];
    int n = sscanf(line, "change %u %15s %u %15s %u", &id, what[0], &whom[0], what[1], &whom[1]);
    if (n != 3 && n != 5)
        return false;
    for (int i = 0; i < (n - 1) / 2; i++)
        c[i] = (struct raft_change){ .kind = change_kind(what[i]), .id = whom[i], .incarnation = 0x100 + whom[i] };
    (void) rr_change_many(s, id, c, (size_t) (n - 1) / 2);
    return true;
}

static bool until(unsigned id, const char *role)
{
    for (int i = 0; i < 10000; i++) {
        if (strcmp(raft_role_name(rr_status(s, id).role), role) == 0)
            return true;
        rr_run(s, 1);
    }
    return false;
}

static void all(unsigned from, unsigned to) { (void) rr_deliver(s, from, to, 1000); }

static bool play_two(const char *line)
{
    unsigned a, b;
    char word[32];
    if (sscanf(line, "deliver %u %u", &a, &b) == 2)
        all(a, b);
    else if (sscanf(line, "drop %u %u", &a, &b) == 2)
        rr_drop(s, a, b);
    else if (sscanf(line, "disk %u %u", &a, &b) == 2)
        rr_complete(s, a, b);
    else if (sscanf(line, "propose %u %u", &a, &b) == 2)
        (void) rr_propose(s, a, b);
    else if (sscanf(line, "read %u %u", &a, &b) == 2)
        (void) rr_read(s, a, b);
    else if (sscanf(line, "transfer %u %u", &a, &b) == 2)
        (void) rr_feed(s, a, (struct raft_event){ .type = RAFT_E_TRANSFER, .peer = b });
    else if (sscanf(line, "compact %u %u", &a, &b) == 2)
        rr_compact(s, a, b);
    else if (sscanf(line, "until %u %31s", &a, word) == 2)
        return until(a, word);
    else
        return change(line);
    return true;
}

static bool play_one(const char *line)
{
    unsigned a;
    if (sscanf(line, "clock %u", &a) == 1)
        rr_run(s, a);
    else if (sscanf(line, "crash %u", &a) == 1)
        rr_crash(s, a);
    else if (sscanf(line, "restart %u", &a) == 1)
        rr_restart(s, a);
    else if (sscanf(line, "isolate %u", &a) == 1)
        rr_isolate(s, a, true);
    else if (sscanf(line, "heal %u", &a) == 1)
        rr_isolate(s, a, false);
    else if (sscanf(line, "disk %u", &a) == 1)
        rr_complete(s, a, 1000);
    else
        return false;
    return true;
}

static bool ring(const char *line)
{
    unsigned n;
    if (sscanf(line, "ring %u", &n) != 1 || n == 0 || n >= RR_NODES || s != NULL)
        return false;
    s = rr_new(n, 1);
    s->by_hand = true;
    s->trace = &trace;
    rr_start(s);
    return true;
}

static bool play_line(const char *line)
{
    unsigned a, b;
    if (line[0] == '\n')
        return true;
    if (line[0] == '#') {
        wr_text(&trace, line);
        return true;
    }
    if (s == NULL)
        return ring(line);
    if (strcmp(line, "settle\n") == 0)
        rr_settle(s);
    else if (strcmp(line, "join\n") == 0)
        rr_join(s);
    else if (strcmp(line, "quiet\n") == 0)
        s->trace = NULL;
    else if (strcmp(line, "loud\n") == 0)
        s->trace = &trace;
    else if (sscanf(line, "disk %u %u", &a, &b) == 1)
        return play_one(line);
    else
        return play_two(line) || play_one(line);
    return true;
}

static bool play(const char *name)
{
    char path[1024], line[256];
    snprintf(path, sizeof path, "%s/%s.in", SCENARIO_DIR, name);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return false;
    bool ok = true;
    wr_reset(&trace);
    while (ok && fgets(line, sizeof line, f) != NULL)
        if (!(ok = play_line(line)))
            fprintf(stderr, "# %s: cannot play: %s", name, line);
    fclose(f);
    if (s && s->broken) {
        fprintf(stderr, "# %s: %s\n", name, s->text);
        ok = false;
    }
    if (s)
        rr_free(s);
    s = NULL;
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
    static const char *const names[] = { "election", "vote_waits_for_the_disk", "aba", "figure_8", "read_index", "joint", "snapshot",
                                         "transfer" };
    const unsigned n = sizeof names / sizeof *names;
    trace = wr_heap(TRACE_MAX);
    if (argc > 1) {
        bool played = play(argv[1]);
        fwrite(trace.p, 1, trace.len, stdout);
        return played ? 0 : 1;
    }
    bool all_same = true;
    printf("1..%u\n", n);
    for (unsigned i = 0; i < n; i++) {
        bool same = play(names[i]) && expected(names[i]);
        printf("%s %u - %s gives its expected trace\n", same ? "ok" : "not ok", i + 1, names[i]);
        if (!same)
            fprintf(stderr, "# %s got:\n%.*s", names[i], (int) trace.len, (const char *) trace.p);
        all_same &= same;
    }
    wr_free(&trace);
    return all_same ? 0 : 1;
}
