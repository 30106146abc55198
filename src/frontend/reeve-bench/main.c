/* main.c - reeve-bench SUBCOMMAND: load that is measured, one JSON object last. */
#include <stdio.h>
#include <string.h>

#include "crypto/hash.h"
#include "fleet_int.h"
#include "ring_int.h"

static const struct { const char *name; int (*fn)(int, char **); const char *what; } subcommands[] = {
    { "fleet", fleet_main, "thousands of agents in one process, each verifying for itself" },
    { "ring", ring_main, "changes, reads and registrations against the members of a ring; histories of them" },
};

int main(int argc, char **argv)
{
    if (crypto_init() != REEVE_OK) {
        fprintf(stderr, "reeve-bench: the crypto library does not start\n");
        return 2;
    }
    for (size_t i = 0; argc > 1 && i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return subcommands[i].fn(argc - 1, argv + 1);
    fprintf(argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr, "Usage: reeve-bench SUBCOMMAND ... --json\n\n");
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        printf("  %-8s %s\n", subcommands[i].name, subcommands[i].what);
    return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
