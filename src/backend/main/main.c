/* main.c - one binary, many kinds of process: from the command line to that kind's main function. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/federation/federation.h"
#include "backend/gateway/gateway.h"
#include "backend/main/main_int.h"
#include "backend/mirror/mirror.h"
#include "backend/peer/peer.h"
#include "backend/postmaster/postmaster.h"
#include "backend/ring/ring.h"
#include "backend/signer/signer.h"
#include "backend/storage/walfile.h"
#include "backend/tcop/backend.h"
#include "backend/utils/datadir.h"
#include "backend/utils/log.h"
#include "backend/utils/title.h"
#include "backend/utils/version.h"
#include "backend/validator/validator.h"
#include "crypto/hash.h"

child_main_fn *child_main_of(enum proc_kind kind)
{
    switch (kind) {
    case PROC_RING:      return ring_main;
    case PROC_SIGNER:    return signer_main;
    case PROC_VALIDATOR: return validator_main;
    case PROC_GATEWAY:   return gateway_main;
    case PROC_FEDERATION: return federation_main;
    case PROC_MIRROR:    return mirror_main;
    default:             return NULL;
    }
}

static int run_child(const struct options *o)
{
    static struct child c;
    if (strcmp(o->child, "walltest") == 0)
        return walltest_main(o);
    child_main_fn *fn = proc_find(&c.kind, o->child) ? child_main_of(c.kind) : NULL;
    if (fn == NULL || strlen(o->dir) >= sizeof c.dir) {
        fprintf(stderr, "reeved: no such kind of child: \"%s\"\n", o->child);
        return 2;
    }
    struct stat st;
    if (fstat(CHILD_CHANNEL_FD, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        fprintf(stderr, "reeved: --child is for the server's own use\n");
        return 2;
    }
    memcpy(c.dir, o->dir, strlen(o->dir) + 1);
    c.index = o->index;
    return fn(&c);
}

static int check_config(const struct options *o)
{
    char dir[DATADIR_PATH_MAX];
    struct settings *s = NULL;
    struct report rep = { 0 };
    if (datadir_resolve(dir, o->dir, &rep) == REEVE_OK && settings_load(&s, dir, &rep) == REEVE_OK) {
        printf("the configuration is correct\n");
        settings_free(s);
        return 0;
    }
    fprintf(stderr, "%s\n", rep.message);
    if (rep.hint[0])
        fprintf(stderr, "HINT: %s\n", rep.hint);
    return 1;
}

/* A directory made before members had keys of their own gets one at its first start. */
static bool prepare(const char *dir, const struct settings *s, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    struct stat st;
    bool missing = datadir_path(path, sizeof path, dir, PEER_FOLDER "/peer.crt") && stat(path, &st) < 0;
    if (missing && peer_identity_make(dir, rep) != REEVE_OK)
        return false;
    return backend_prepare(dir, s, rep);
}

static int run_server(const struct options *o)
{
    static const struct postmaster_hooks hooks = { backend_main, prepare };
    return postmaster_main(o->dir, &hooks);
}

static int help(void)
{
    printf("reeved is the Reeve server; reeve-ctl starts and stops it.\n\n"
           "  reeved -D DIR                   run the server in the foreground\n"
           "  reeved --init -D DIR [--region NAME] [--superuser NAME] [--password-file FILE] [--pkcs11 URI]\n"
           "  reeved --init -D DIR --region NAME --address HOST:PORT --card FILE [--follower] [--pkcs11 URI]\n"
           "  reeved --init -D DIR --genesis FILE [--standby] [--superuser NAME] [--password-file FILE]\n"
           "  reeved --make-genesis --to FILE [--standby --region NAME] [--recovery FILE] CARD ...\n"
           "  reeved --recover draft -D DIR --to FILE [--drop NAMES] CARD ...\n"
           "  reeved --recover sign --to FILE KEY ...\n"
           "  reeved --recover take -D DIR --to FILE\n"
           "  reeved --join -D DIR --ring HOST:PORT --token TOKEN [--address HOST:PORT]\n"
           "  reeved --backup -D DIR --to FILE\n"
           "  reeved --restore -D DIR --from FILE\n"
           "  reeved --check-config -D DIR    read the configuration, say what is wrong with it\n"
           "  reeved --waldump DIR            print the log of a data directory\n"
           "  reeved --evidence DIR           print what is kept of validators that contradicted themselves\n"
           "  reeved --version\n");
    return 0;
}

int main(int argc, char **argv)
{
    struct options o;
    argv = title_init(argc, argv);
    if (!options_parse(&o, argc, argv))
        return 2;
    if (crypto_init() != REEVE_OK) {
        fprintf(stderr, "reeved: the crypto libraries do not work here\n");
        return 1;
    }
    switch (o.what) {
    case RUN_CHILD:        return run_child(&o);
    case RUN_INIT:         return init_main(&o);
    case RUN_JOIN:         return join_main(&o);
    case RUN_BACKUP:       return backup_main(&o);
    case RUN_GENESIS:      return genesis_main(&o);
    case RUN_RECOVER:      return recover_main(&o);
    case RUN_RESTORE:      return restore_main(&o);
    case RUN_CHECK_CONFIG: return check_config(&o);
    case RUN_WALDUMP:      return waldump(o.dir, stdout);
    case RUN_EVIDENCE:     return evidence_print(o.dir, stdout);
    case RUN_VERSION:      printf("%s\n", reeve_version); return 0;
    case RUN_HELP:         return help();
    case RUN_SERVER:       break;
    }
    return run_server(&o);
}
