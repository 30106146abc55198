/* main.c - reeve-agent: the command line leads to one function per command. */
#include "daemon.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "crypto/hash.h"

/* Keys are in this memory: no core files, no debugger of another process. */
static void seal_process(void)
{
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int dispatch(struct options *o)
{
    if (strcmp(o->command, "get") == 0)
        return get_command(o);
    if (strcmp(o->command, "status") == 0)
        return status_command(o);
    if (strcmp(o->command, "key") == 0)
        return key_command(o);
    if (strcmp(o->command, "cohort") == 0)
        return cohort_command(o);
    return run_command(o);
}

int main(int argc, char **argv)
{
    static struct options o;
    struct report rep;
    report_clear(&rep);
    seal_process();
    if (options_parse(&o, argc, argv, &rep) != REEVE_OK) {
        fprintf(stderr, "reeve-agent: %s\n", rep.message);
        return 2;
    }
    if (o.help || o.version) {
        if (o.help)
            options_usage();
        else
            puts("reeve-agent 0.1");
        return 0;
    }
    if (crypto_init() != REEVE_OK) {
        fputs("reeve-agent: the cryptographic library cannot be used\n", stderr);
        return 2;
    }
    return dispatch(&o);
}
