/* main.c - reeve-sim SUBCOMMAND: the real engines in a world made from a seed. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sim_int.h"

static const struct { const char *name; int (*fn)(int, char **); const char *what; } subcommands[] = {
    { "raft", raft_main, "rings of 1, 3 or 5 members under faults, then healing" },
    { "attest", attest_main, "sets of 4 to 50 validators, Byzantine ones among them, then healing" },
    { "latency", latency_main, "how long an update takes to be final at every validator, on real delays" },
    { "linear", linear_main, "is a recorded history (reeve-bench ring --history) linearizable?" },
};

int main(int argc, char **argv)
{
    bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
    for (size_t i = 0; argc > 1 && i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return subcommands[i].fn(argc - 1, argv + 1);
    fprintf(help ? stdout : stderr, "Usage: reeve-sim SUBCOMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        fprintf(help ? stdout : stderr, "  %-7s %s\n", subcommands[i].name, subcommands[i].what);
    return help ? 0 : 2;
}
