/* options.c - the command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/main/main_int.h"

enum { OPT_CHILD = 256, OPT_INDEX, OPT_INIT, OPT_JOIN, OPT_BACKUP, OPT_RESTORE, OPT_TO, OPT_FROM, OPT_RING, OPT_TOKEN, OPT_ADDRESS, OPT_REGION, OPT_CARD, OPT_GENESIS, OPT_MAKE_GENESIS, OPT_FOLLOWER, OPT_STANDBY, OPT_RECOVERY, OPT_RECOVER, OPT_DROP, OPT_PKCS11, OPT_SUPERUSER, OPT_PASSWORD_FILE, OPT_CHECK, OPT_WALDUMP, OPT_EVIDENCE, OPT_VERSION, OPT_HELP };

static const struct option longs[] = {
    { "child", required_argument, NULL, OPT_CHILD },
    { "index", required_argument, NULL, OPT_INDEX },
    { "init", no_argument, NULL, OPT_INIT },
    { "join", no_argument, NULL, OPT_JOIN },
    { "backup", no_argument, NULL, OPT_BACKUP },
    { "restore", no_argument, NULL, OPT_RESTORE },
    { "to", required_argument, NULL, OPT_TO },
    { "from", required_argument, NULL, OPT_FROM },
    { "ring", required_argument, NULL, OPT_RING },
    { "token", required_argument, NULL, OPT_TOKEN },
    { "address", required_argument, NULL, OPT_ADDRESS },
    { "region", required_argument, NULL, OPT_REGION },
    { "card", required_argument, NULL, OPT_CARD },
    { "follower", no_argument, NULL, OPT_FOLLOWER },
    { "pkcs11", required_argument, NULL, OPT_PKCS11 },
    { "recovery", required_argument, NULL, OPT_RECOVERY },
    { "recover", required_argument, NULL, OPT_RECOVER },
    { "drop", required_argument, NULL, OPT_DROP },
    { "standby", no_argument, NULL, OPT_STANDBY },
    { "genesis", required_argument, NULL, OPT_GENESIS },
    { "make-genesis", no_argument, NULL, OPT_MAKE_GENESIS },
    { "superuser", required_argument, NULL, OPT_SUPERUSER },
    { "password-file", required_argument, NULL, OPT_PASSWORD_FILE },
    { "check-config", no_argument, NULL, OPT_CHECK },
    { "waldump", required_argument, NULL, OPT_WALDUMP },
    { "evidence", required_argument, NULL, OPT_EVIDENCE },
    { "version", no_argument, NULL, OPT_VERSION },
    { "help", no_argument, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 },
};

static bool take(struct options *o, int opt)
{
    switch (opt) {
    case 'D':               o->dir = optarg; return true;
    case OPT_CHILD:         o->what = RUN_CHILD; o->child = optarg; return true;
    case OPT_INDEX:         o->index = (unsigned) strtoul(optarg, NULL, 10); return true;
    case OPT_INIT:          o->what = RUN_INIT; return true;
    case OPT_JOIN:          o->what = RUN_JOIN; return true;
    case OPT_BACKUP:        o->what = RUN_BACKUP; return true;
    case OPT_RESTORE:       o->what = RUN_RESTORE; return true;
    case OPT_TO:            o->to = optarg; return true;
    case OPT_FROM:          o->from = optarg; return true;
    case OPT_RING:          o->ring = optarg; return true;
    case OPT_TOKEN:         o->token = optarg; return true;
    case OPT_ADDRESS:       o->address = optarg; return true;
    case OPT_REGION:        o->region = optarg; return true;
    case OPT_CARD:          o->card = optarg; return true;
    case OPT_RECOVERY:      o->recovery = optarg; return true;
    case OPT_RECOVER:       o->what = RUN_RECOVER; o->recover = optarg; return true;
    case OPT_DROP:          o->drop = optarg; return true;
    case OPT_STANDBY:       o->standby = true; return true;
    case OPT_FOLLOWER:      o->follower = true; return true;
    case OPT_PKCS11:        o->pkcs11 = optarg; return true;
    case OPT_GENESIS:       o->genesis = optarg; return true;
    case OPT_MAKE_GENESIS:  o->what = RUN_GENESIS; return true;
    case OPT_SUPERUSER:     o->superuser = optarg; return true;
    case OPT_PASSWORD_FILE: o->password_file = optarg; return true;
    case OPT_CHECK:         o->what = RUN_CHECK_CONFIG; return true;
    case OPT_WALDUMP:       o->what = RUN_WALDUMP; o->dir = optarg; return true;
    case OPT_EVIDENCE:      o->what = RUN_EVIDENCE; o->dir = optarg; return true;
    case OPT_VERSION:       o->what = RUN_VERSION; return true;
    case OPT_HELP:          o->what = RUN_HELP; return true;
    default:                return false;
    }
}

static bool takes_dir(const struct options *o)
{
    return o->what != RUN_VERSION && o->what != RUN_HELP && o->what != RUN_GENESIS && o->what != RUN_RECOVER;
}

bool options_parse(struct options *o, int argc, char **argv)
{
    int opt;
    *o = (struct options){ .what = RUN_SERVER, .region = "local", .superuser = "reeve" };
    while ((opt = getopt_long(argc, argv, "D:", longs, NULL)) != -1)
        if (!take(o, opt)) {
            fprintf(stderr, "Try \"reeved --help\".\n");
            return false;
        }
    if (o->what == RUN_CHILD && strcmp(o->child, "walltest") == 0 && optind < argc)
        o->walltest = argv[optind++];
    if (o->what == RUN_GENESIS || o->what == RUN_RECOVER) {
        o->args = argv + optind;
        o->n_args = argc - optind;
    } else if (optind < argc) {
        fprintf(stderr, "reeved: unexpected argument \"%s\"\n", argv[optind]);
        return false;
    }
    if (o->dir == NULL)
        o->dir = getenv("REEVE_DATA");
    if (takes_dir(o) && (o->dir == NULL || *o->dir == '\0')) {
        fprintf(stderr, "reeved: no data directory: use -D DIR\n");
        return false;
    }
    return true;
}
