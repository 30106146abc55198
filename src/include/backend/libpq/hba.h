/*
 * hba.h - reeve_hba.conf: who may connect from where, and how they prove it
 *
 * PostgreSQL's pg_hba.conf form: one rule a line, # begins a comment, words
 * may stand in double quotes. The first rule that fits decides; none: refused.
 *   local      DATABASE USER METHOD
 *   host       DATABASE USER ADDRESS METHOD     with or without TLS
 *   hostssl    DATABASE USER ADDRESS METHOD     only with TLS
 *   hostnossl  DATABASE USER ADDRESS METHOD     only without
 * DATABASE and USER are lists with commas; all; USER may be +role (anybody in
 * that role). ADDRESS is a.b.c.d/n, x::y/n, an address and a mask in the next
 * word, all, samehost (and samenet, the same here: loopback).
 * METHOD is trust (local only), reject, scram-sha-256, cert (hostssl only: the
 * certificate's CN is the role) or peer (local only: the system user's name is
 * the role). Options after it are refused.
 */
#ifndef REEVE_BACKEND_LIBPQ_HBA_H
#define REEVE_BACKEND_LIBPQ_HBA_H

#include <sys/socket.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/types.h"

#define HBA_RULES_MAX 1000
#define HBA_FILE_MAX  (256u * 1024)

enum hba_method { HBA_REJECT, HBA_TRUST, HBA_SCRAM, HBA_CERT, HBA_PEER };
const char *hba_method_name(enum hba_method m);

struct hba_names {
    int n;
    struct slice *v;
    bool *quoted;               /* a quoted "all" is a name */
};

struct hba_rule {
    int line;
    enum { HBA_LOCAL, HBA_HOST, HBA_HOSTSSL, HBA_HOSTNOSSL } type;
    struct hba_names databases, users;
    enum { HBA_ADDR_ALL, HBA_ADDR_SAMEHOST, HBA_ADDR_NET } addr_kind;
    int family;
    uint8_t addr[16], mask[16];
    enum hba_method method;
};

struct hba {
    int n;
    struct hba_rule *rules;
};

/* Rules live in the arena and borrow from text. CONFIG with the line in the report. */
enum reeve_err hba_parse(struct hba *out, struct arena *a, struct slice text, struct report *rep) REEVE_MUST_CHECK;

struct hba_client {
    bool local, tls;
    struct sockaddr_storage peer;
    struct slice database, user;
    /* Is the user in that role? For +role; may be NULL. */
    bool (*member)(void *arg, struct slice user, struct slice role);
    void *arg;
};
/* The first rule that fits, or NULL. */
const struct hba_rule *hba_match(const struct hba *h, const struct hba_client *c);

/* What init writes. */
extern const char hba_default_text[];

#endif
