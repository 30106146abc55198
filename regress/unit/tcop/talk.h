/*
 * talk.h - a PostgreSQL client in a test: sends messages, prints what comes back
 *
 * serve_client() runs in a child over a socket pair with a stand-in for the
 * language (talk_ops.c); replies are printed one message after another:
 *   R0 R10[..] S(name=value) K Z(I) T(a:23:0,b:25:1) D(1,NULL,x) C(SELECT 1) E(42601 text) N(01000 text)
 *   1 2 3 n s I t(23,25) H(n) d(..) c v(196608;_pq_.x)
 */
#ifndef REEVE_UNIT_TALK_H
#define REEVE_UNIT_TALK_H

#include "../unit.h"
#include "backend/tcop/serve.h"
#include "backend/tcop/tcop.h"
#include "common/buf.h"

#define BYTES(text) slice_of(text, sizeof (text) - 1)

extern const struct tcop_ops talk_ops;
extern const struct serve_hooks talk_hooks;

struct talk {
    int fd;
    pid_t pid;
    struct wr out;
    char reply[65536];
};

/* change edits the start before the child takes it; NULL: a trusted local connection. */
void talk_open(struct talk *t, void (*change)(struct serve_start *));
/* Closes, reaps, and gives the exit code (negative: died by a signal). */
int talk_close(struct talk *t);

void talk_raw(struct talk *t, struct slice bytes);
void talk_startup(struct talk *t, const char *pairs, size_t len);
/* Start-up as a trusted superuser and everything up to ready, unprinted. */
void talk_login(struct talk *t, void (*change)(struct serve_start *));
/* A message with a body. */
void talk_message(struct talk *t, char type, struct slice body);
void talk_query(struct talk *t, const char *sql);
void talk_parse(struct talk *t, const char *name, const char *sql);
/* Text parameters, NULL-terminated; all results in the given format. */
void talk_bind(struct talk *t, const char *portal, const char *stmt, int result_format, ...);
void talk_execute(struct talk *t, const char *portal, uint32_t max);
void talk_describe(struct talk *t, char kind, const char *name);
void talk_close_name(struct talk *t, char kind, const char *name);
void talk_sync(struct talk *t);
void talk_flush(struct talk *t);

/* Reads until ReadyForQuery, the end of the connection ("EOF"), or n messages (0: no limit). */
const char *talk_reply(struct talk *t, int n);
void talk_expect(struct talk *t, const char *want);

#endif
