/* attest_main.c - reeve-sim attest: validator sets from seeds. */
#include "attest_int.h"
#include "crypto/hash.h"
#include "engine/simplex_broken.h"
#include "sim_int.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct args { uint64_t first, last; struct aprofile asked; unsigned broken; bool trace, quiet; };

static struct { char text[300]; size_t len; } last_words;

static const char usage[] =
    "Usage: reeve-sim attest [--seed N | --seeds A-B] [--validators 4..50] [--over] [--real] [--trace] [--quiet] [--broken N]\n"
    "  --over   more than f of them are Byzantine: forks must be proven against 2q - n of them\n"
    "  --real   real Ed25519 instead of the stand-in\n";

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

static bool parse_value(const char *name, const char *value, struct args *a)
{
    uint64_t v;
    if (strcmp(name, "--seeds") == 0)
        return parse_range(value, a);
    if (!parse_u64(value, &v))
        return false;
    if (strcmp(name, "--seed") == 0)
        a->first = a->last = v;
    else if (strcmp(name, "--validators") == 0 && v >= 4 && v <= RIG_VALIDATORS)
        a->asked.n = (int) v;
    else if (strcmp(name, "--broken") == 0)
        a->broken = (unsigned) v;
    else
        return false;
    return true;
}

static bool parse(int argc, char **argv, struct args *a)
{
    *a = (struct args){ .first = 1, .last = 1 };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            a->trace = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            a->quiet = true;
        else if (strcmp(argv[i], "--over") == 0)
            a->asked.over = true;
        else if (strcmp(argv[i], "--real") == 0)
            a->asked.real_keys = true;
        else if (i + 1 >= argc || !parse_value(argv[i], argv[i + 1], a))
            return false;
        else
            i++;
    }
    return true;
}

static bool break_rule(unsigned n)
{
#ifdef REEVE_BROKEN
    simplex_broken = n;
    return n < SIMPLEX_BROKEN__END;
#else
    return n == 0;
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
    char set[32] = "", broken[32] = "";
    if (a->asked.n)
        snprintf(set, sizeof set, " --validators %d", a->asked.n);
    if (a->broken)
        snprintf(broken, sizeof broken, " --broken %u", a->broken);
    snprintf(out, len, "reeve-sim%s attest --seed %llu%s%s%s%s --trace", a->broken ? "-broken" : "", (unsigned long long) seed, set,
             a->asked.over ? " --over" : "", a->asked.real_keys ? " --real" : "", broken);
}

static void tell(const struct arig *r, uint64_t seed, bool good)
{
    struct oracle_counts c;
    oracle_counts(r->oracle, &c);
    printf("seed %llu: %s, %d validators, %d faulty, %llu events, %llu blocks, %llu views, %llu votes, %d updates, %llu starts, "
           "%llu faults, %llu mutated, %d of another version, %llu times stopped by it, %llu forks, %llu culprits, "
           "healed in %lld ms, trace %016llx\n", (unsigned long long) seed,
           good ? "ok" : "FAILED", r->p.n, r->p.faulty, (unsigned long long) r->w.n_run, (unsigned long long) c.heights,
           (unsigned long long) c.views, (unsigned long long) c.votes, r->n_updates, (unsigned long long) r->n_restarts,
           (unsigned long long) r->n_faults, (unsigned long long) r->n_mutated, r->p.other_rule, (unsigned long long) r->n_gave_up,
           (unsigned long long) c.forks, (unsigned long long) r->n_culprits, (long long) r->healed_us / 1000, (unsigned long long) r->w.trace_hash);
}

static bool one(const struct args *a, uint64_t seed, struct arig *r)
{
    char replay[160];
    replay_text(replay, sizeof replay, a, seed);
    int len = snprintf(last_words.text, sizeof last_words.text, "seed %llu: violated: assertion of an engine\n  replay: %s\n",
                       (unsigned long long) seed, replay);
    last_words.len = (size_t) len;
    if (!a->quiet)
        printf("seed %llu\n", (unsigned long long) seed);
    fflush(stdout);
    arig_init(r, seed, &a->asked, a->trace ? stdout : NULL);
    bool good = arig_run(r);
    if (!good)
        printf("seed %llu: violated at %lld us: %s\n  %s\n  replay: %s\n", (unsigned long long) seed, (long long) r->w.now_us,
               r->invariant, r->evidence, replay);
    if (!a->quiet || !good)
        tell(r, seed, good);
    arig_free(r);
    return good;
}

int attest_main(int argc, char **argv)
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
    if (crypto_init() != REEVE_OK) {
        fputs("reeve-sim: no usable libsodium\n", stderr);
        return 2;
    }
    struct arig *r = malloc(sizeof *r);
    reeve_assert(r != NULL);
    signal(SIGABRT, on_abort);
    uint64_t runs = 0;
    bool good = true;
    for (uint64_t s = a.first; s <= a.last && good; s++, runs++)
        good = one(&a, s, r);
    if (a.first != a.last)
        printf("%llu runs, %s\n", (unsigned long long) runs, good ? "ok" : "FAILED");
    keys_free();
    free(r);
    return good ? 0 : 1;
}
