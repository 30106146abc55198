/* fleet_main.c - reeve-bench fleet: options, run, report. */
#include "fleet_int.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

static volatile int stop;

static void on_stop(int sig)
{
    stop = 1;
}

static void usage(FILE *out)
{
    fputs("Usage: reeve-bench fleet --server HOST:PORT[,...] --token TEXT|--token-file FILE --count N [OPTION]...\n\n"
          "  --state DIR            keep the members' keys: the same fleet again after a restart\n"
          "  --ramp SECONDS         spread the first connections\n"
          "  --workloads K          each member registers K workloads\n"
          "  --label KEY=VALUE      of every member (repeatable)\n"
          "  --fail-share P         this share of members fails to install (0..1, the same members each time)\n"
          "  --fail-cert NAME --fail-generation G   only that certificate, only that generation\n"
          "  --silent-share P       this share never answers\n"
          "  --until-connected      end when all are connected\n"
          "  --until-generation NAME=G   end when all serve it (or a later one)\n"
          "  --duration SECONDS     end after that time\n"
          "  --status FILE          a JSON object, replaced several times a second\n"
          "  --json                 only the JSON object at the end\n\n"
          "Exit: 0 when the condition was met (or none was given), 1 otherwise.\n", out);
}

static const struct option longs[] = {
    { "server", 1, NULL, 's' }, { "token", 1, NULL, 't' }, { "token-file", 1, NULL, 'T' }, { "count", 1, NULL, 'n' },
    { "state", 1, NULL, 'S' }, { "ramp", 1, NULL, 'r' }, { "workloads", 1, NULL, 'w' }, { "label", 1, NULL, 'l' },
    { "fail-share", 1, NULL, 'f' }, { "fail-cert", 1, NULL, 'c' }, { "fail-generation", 1, NULL, 'g' },
    { "silent-share", 1, NULL, 'q' }, { "until-connected", 0, NULL, 'u' }, { "until-generation", 1, NULL, 'U' },
    { "duration", 1, NULL, 'd' }, { "status", 1, NULL, 'o' }, { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' }, { 0, 0, 0, 0 },
};

static bool read_token(const char *file, char out[WIRE_TOKEN_TEXT_MAX])
{
    FILE *f = fopen(file, "r");
    bool ok = f != NULL && fgets(out, WIRE_TOKEN_TEXT_MAX, f) != NULL;
    if (f != NULL)
        fclose(f);
    out[ok ? strcspn(out, " \r\n") : 0] = '\0';
    return ok;
}

static bool add_label(struct labels *l, const char *text)
{
    const char *eq = strchr(text, '=');
    if (eq == NULL || l->n == ROLLOUT_LABELS_MAX || !name_set(&l->l[l->n].key, slice_of(text, (size_t) (eq - text))) ||
        !name_set_str(&l->l[l->n].value, eq + 1))
        return false;
    l->n++;
    return true;
}

static bool until_generation(struct fleet_options *o, const char *text)
{
    const char *eq = strrchr(text, '=');
    o->until_generation = eq ? (uint32_t) strtoul(eq + 1, NULL, 10) : 0;
    return o->until_generation > 0 && name_set(&o->until_cert, slice_of(text, (size_t) (eq - text)));
}

static bool one_option(struct fleet_options *o, int c)
{
    switch (c) {
    case 's': o->server = optarg; return true;
    case 't': return (size_t) snprintf(o->token, sizeof o->token, "%s", optarg) < sizeof o->token;
    case 'T': return read_token(optarg, o->token);
    case 'n': o->count = (unsigned) strtoul(optarg, NULL, 10); return o->count > 0 && o->count <= FLEET_MAX;
    case 'S': o->state = optarg; return true;
    case 'r': o->ramp_ms = (unsigned) (atof(optarg) * 1000); return true;
    case 'w': o->workloads = (unsigned) strtoul(optarg, NULL, 10); return o->workloads <= AGENT_WORKLOADS_MAX;
    case 'l': return add_label(&o->labels, optarg);
    case 'f': o->fail_share = atof(optarg); return o->fail_share >= 0 && o->fail_share <= 1;
    case 'c': return name_set_str(&o->fail_cert, optarg);
    case 'g': o->fail_generation = (uint32_t) strtoul(optarg, NULL, 10); return true;
    case 'q': o->silent_share = atof(optarg); return o->silent_share >= 0 && o->silent_share <= 1;
    case 'u': o->until_connected = true; return true;
    case 'U': return until_generation(o, optarg);
    case 'd': o->duration_s = (unsigned) strtoul(optarg, NULL, 10); return true;
    case 'o': o->status_file = optarg; return true;
    case 'j': o->json = true; return true;
    default: return false;
    }
}

static void print_result(struct fleet *f)
{
    struct wr w = wr_heap(1u << 20);
    fleet_write_status(f);
    fleet_json(f, &w);
    fwrite(w.p, 1, w.len, stdout);
    fflush(stdout);
    wr_free(&w);
}

int fleet_main(int argc, char **argv)
{
    static struct fleet f = { .epoll_fd = -1 };
    struct report rep = { 0 };
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'h') {
            usage(stdout);
            return 0;
        }
        if (!one_option(&f.o, c)) {
            usage(stderr);
            return 2;
        }
    }
    if (f.o.server == NULL || f.o.count == 0) {
        usage(stderr);
        return 2;
    }
    f.stop = &stop;
    struct sigaction sa = { .sa_handler = on_stop };
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (fleet_start(&f, &rep) != REEVE_OK) {
        fprintf(stderr, "reeve-bench: %s\n", rep.message[0] ? rep.message : "could not start the fleet");
        fleet_end(&f);
        return 2;
    }
    bool met = fleet_run(&f);
    print_result(&f);
    fleet_end(&f);
    return met ? 0 : 1;
}
