/* main_int.h - what the binary can be told to do */
#ifndef REEVE_BACKEND_MAIN_INT_H
#define REEVE_BACKEND_MAIN_INT_H

#include "backend/ipc/child.h"

struct options {
    enum { RUN_SERVER, RUN_CHILD, RUN_INIT, RUN_JOIN, RUN_BACKUP, RUN_RESTORE, RUN_GENESIS, RUN_RECOVER, RUN_CHECK_CONFIG, RUN_WALDUMP, RUN_EVIDENCE, RUN_VERSION, RUN_HELP } what;
    const char *dir;                    /* -D, --waldump=, --evidence= */
    const char *child;                  /* --child= */
    unsigned index;                     /* --index= */
    const char *region, *superuser, *password_file;     /* --init */
    const char *card, *genesis;         /* --init: the two steps of a region that begins with others */
    const char *pkcs11;                 /* --init: the token in which keys are made */
    const char *recovery;               /* --make-genesis: file of recovery keys */
    const char *recover, *drop;         /* draft, sign or take; draft: validators that are lost, with commas between */
    bool follower;                      /* --card: brings no validator */
    bool standby;                       /* --genesis: with a validator that is not in the set; --make-genesis: that of --region */
    const char *ring, *token, *address;                 /* --join; address: --card, too */
    const char *to, *from;              /* --backup, --restore, --make-genesis: a file */
    char **args;                        /* --make-genesis: cards */
    int n_args;
    const char *walltest;               /* --child=walltest KIND */
};
/* False after having said on stderr what is wrong. */
bool options_parse(struct options *o, int argc, char **argv);

int init_main(const struct options *o);
/* Cards into a genesis document. */
int genesis_main(const struct options *o);
int recover_main(const struct options *o);
int join_main(const struct options *o);
int backup_main(const struct options *o);
int restore_main(const struct options *o);
/* A hidden kind: enters the sandbox of the kind named and tries what it must not be able to do. */
int walltest_main(const struct options *o);

/* The main function of a re-executed kind; NULL where it is none. */
child_main_fn *child_main_of(enum proc_kind kind);

#endif
