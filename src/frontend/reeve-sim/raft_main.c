/* raft_main.c - reeve-sim raft: whole rings from seeds. */
#include "raft_int.h"
#include "engine/raft_broken.h"
#include "engine/wal_brokenlist.h"
#include "sim_int.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct args { uint64_t first, last; int members; unsigned broken; bool trace, quiet, climb; };

static struct { char text[300]; size_t len; } last_words;

static const char usage[] =
    "Usage: reeve-sim raft [--seed N | --seeds A-B | --seed N --runs K] [--members 1|3|5 | --climb] [--trace] [--quiet] [--broken N]\n";

static bool parse_u64(const char *s, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(s, &end, 10);
    return errno == 0 && *end == '\0' && end != s;
}

static bool parse_range(const char *s, struct args *a)
{
    char *end;
    errno = 0;
    a->first = strtoull(s, &end, 10);
    if (errno != 0 || end == s || *end != '-')
        return false;
    return parse_u64(end + 1, &a->last) && a->last >= a->first;
}

static bool parse(int argc, char **argv, struct args *a)
{
    uint64_t v, runs = 1;
    *a = (struct args){ .first = 1, .last = 1 };
    bool range = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            a->trace = true;
        } else if (strcmp(argv[i], "--climb") == 0) {
            a->climb = true;
        } else if (strcmp(argv[i], "--quiet") == 0) {
            a->quiet = true;
        } else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0) {
            if (!parse_range(argv[++i], a))
                return false;
            range = true;
        } else if (i + 1 < argc && strncmp(argv[i], "--", 2) == 0) {
            if (!parse_u64(argv[i + 1], &v))
                return false;
            if (strcmp(argv[i], "--seed") == 0)
                a->first = v;
            else if (strcmp(argv[i], "--runs") == 0 && v > 0)
                runs = v;
            else if (strcmp(argv[i], "--members") == 0 && (v == 1 || v == 3 || v == 5))
                a->members = (int) v;
            else if (strcmp(argv[i], "--broken") == 0)
                a->broken = (unsigned) v;
            else
                return false;
            i++;
        } else {
            return false;
        }
    }
    if (!range)
        a->last = a->first + runs - 1;
    return true;
}

#ifdef WAL_BREAKABLE
unsigned wal_broken;
#endif

/* Rules of the log are numbered behind those of the engine. */
#define WAL_RULES_FROM 100

static bool break_rule(unsigned n)
{
    if (n == 0)
        return true;
#if defined REEVE_BROKEN && defined WAL_BREAKABLE
    if (n >= WAL_RULES_FROM)
        wal_broken = n - WAL_RULES_FROM;
    else
        raft_broken = n;
    return true;
#else
    return false;
#endif
}

/* An assertion of an engine is a catch as well; say which seed. */
static void on_abort(int sig)
{
    if (write(STDOUT_FILENO, last_words.text, last_words.len) < 0)
        _exit(3);
    _exit(1);
}

static void replay_text(char *out, size_t len, const struct args *a, uint64_t seed)
{
    char members[32] = "", broken[32] = "";
    if (a->members)
        snprintf(members, sizeof members, " --members %d", a->members);
    if (a->broken)
        snprintf(broken, sizeof broken, " --broken %u", a->broken);
    snprintf(out, len, "reeve-sim%s raft --seed %llu%s%s%s --trace", a->broken ? "-broken" : "", (unsigned long long) seed, members,
             a->climb ? " --climb" : "", broken);
}

static bool one(const struct args *a, uint64_t seed, struct rig *r)
{
    char replay[160];
    replay_text(replay, sizeof replay, a, seed);
    int len = snprintf(last_words.text, sizeof last_words.text, "seed %llu: violated: assertion of an engine\n  replay: %s\n",
                       (unsigned long long) seed, replay);
    last_words.len = (size_t) len;
    if (!a->quiet)
        printf("seed %llu\n", (unsigned long long) seed);
    fflush(stdout);
    rig_init(r, seed, a->members, a->climb, a->trace ? stdout : NULL);
    bool good = rig_run(r);
    if (!good)
        printf("seed %llu: violated at %lld us: %s\n  %s\n  replay: %s\n", (unsigned long long) seed, (long long) r->w.now_us, r->invariant,
               r->evidence, replay);
    if (!a->quiet || !good)
        printf("seed %llu: %s, %d members, %llu events, %llu entries, %u operations (%llu acknowledged, %llu unknown), %llu leaders, "
               "%llu starts, %llu snapshots, %llu changes, %llu damaged, %llu times all, %llu entries mended, %llu astray (%llu taken back), "
               "healed in %lld ms, trace %016llx\n", (unsigned long long) seed,
               good ? "ok" : "FAILED", r->p.members, (unsigned long long) r->w.n_run, (unsigned long long) r->committed, r->n_ops,
               (unsigned long long) r->n_acked, (unsigned long long) r->n_unknown, (unsigned long long) r->n_leaders,
               (unsigned long long) r->n_restarts, (unsigned long long) r->n_snapshots, (unsigned long long) r->n_changes,
               (unsigned long long) r->n_damage, (unsigned long long) r->n_flips, (unsigned long long) r->n_mended,
               (unsigned long long) r->n_astray, (unsigned long long) r->n_taken_back, (long long) r->healed_us / 1000,
               (unsigned long long) r->w.trace_hash);
    rig_free(r);
    return good;
}

int raft_main(int argc, char **argv)
{
    struct args a;
    if (!parse(argc, argv, &a)) {
        fputs(usage, stderr);
        return 2;
    }
    if (!break_rule(a.broken)) {
        fputs("reeve-sim: this program has no broken rules; reeve-sim-broken has\n", stderr);
        return 2;
    }
    struct rig *r = malloc(sizeof *r);
    reeve_assert(r != NULL);
    signal(SIGABRT, on_abort);
    uint64_t runs = 0;
    bool good = true;
    for (uint64_t s = a.first; s <= a.last && good; s++, runs++)
        good = one(&a, s, r);
    if (a.first != a.last)
        printf("%llu runs, %s\n", (unsigned long long) runs, good ? "ok" : "FAILED");
    free(r);
    return good ? 0 : 1;
}
