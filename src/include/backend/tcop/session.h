/*
 * session.h - one admin connection as everybody behind it sees it
 *
 * Invariants
 *  S1 There is one session per process, but nobody reaches it through a
 *     global: it is a parameter. (Signal flags are the exception; they stand
 *     in the one struct session_signals that handlers may touch.)
 *  S2 stmt_arena lives for one statement (simple query: one statement of the
 *     string; extended: one Execute); arena for the whole session.
 *  S3 Whoever loops over data or waits calls session_check_interrupts() at
 *     least every few milliseconds of work and returns what it answers.
 *  S4 Settings follow transactions: SET is undone by an abort, SET LOCAL also
 *     by the commit.
 *  S5 Changes wait in work until COMMIT. commit() is called exactly once for
 *     a work that was attached, or abort() exactly once, never both. After a
 *     refused commit the transaction is over and nothing of it happened
 *     (UNKNOWN_OUTCOME says where that is not known).
 */
#ifndef REEVE_BACKEND_TCOP_SESSION_H
#define REEVE_BACKEND_TCOP_SESSION_H

#include <signal.h>

#include "backend/utils/setting.h"
#include "common/arena.h"
#include "common/buf.h"

/* The byte of ReadyForQuery. */
enum txn_state { TXN_IDLE = 'I', TXN_BLOCK = 'T', TXN_FAILED = 'E' };

enum notice_level { NOTICE_DEBUG, NOTICE_LOG, NOTICE_INFO, NOTICE_NOTICE, NOTICE_WARNING };

/* Attributes of the role; a superuser has them all. */
#define ROLE_SUPERUSER   1u
#define ROLE_LOGIN       2u
#define ROLE_CREATEROLE  4u

struct session;
struct backend_env;     /* handles to storage and to the ring, made by backend_main.c */

/* Changes held back until the end of the transaction (S5). */
struct txn_work {
    enum reeve_err (*commit)(struct session *s, void *arg, struct report *rep);
    void (*abort)(struct session *s, void *arg);
    void *arg;
};

/* A setting with its way back (S4). */
struct session_setting {
    struct setting_value cur;
    struct setting_value reset;         /* what RESET returns to */
    struct setting_value prior;         /* before this transaction */
    struct setting_value masked;        /* under a SET LOCAL */
    bool touched, local;
    bool from_client;                   /* reset came with the start-up packet */
};

/* Flags that signal handlers set; nothing else is shared with them. */
struct session_signals {
    volatile sig_atomic_t cancel;       /* SIGINT */
    volatile sig_atomic_t die;          /* SIGTERM */
    volatile sig_atomic_t reload;       /* SIGHUP */
    volatile sig_atomic_t snapshot_old; /* SIGUSR1: of the snapshot that is open now (catalog/snap.c) */
    int wake_fd;                        /* eventfd a handler writes to; -1 none */
};

/* How a session reaches its client; tcop fills it, tests fake it. */
struct session_client {
    void *arg;
    /* Sends a NoticeResponse now (flushed), or drops it where the client is gone. */
    void (*notice)(void *arg, enum notice_level level, const struct report *rep);
    /* True when the client has hung up; asked by waits. */
    bool (*gone)(void *arg);
    /* A wait begins: what the client has a right to see goes out. May be NULL. */
    void (*waiting)(void *arg);
    int fd;                             /* to poll for hang-up; -1 none */
};

struct session {
    struct arena *arena, *stmt_arena;
    struct backend_env *env;
    struct session_client client;
    struct session_signals *signals;

    /* Who. role is what rights are checked for (SET ROLE may change it), login_role who logged in. */
    struct name role, login_role;
    uint32_t role_attributes;           /* ROLE_... of role */
    char client_addr[64];               /* "127.0.0.1", "[local]" */
    uint16_t client_port;
    char auth_method[16];               /* "scram-sha-256", "trust", ... */
    bool tls;
    int32_t pid;

    /* Since when. */
    struct wall_ms started, txn_started, stmt_started;
    struct mono_ms stmt_deadline;       /* 0: none */
    int64_t age_next_ms;                /* a local read asks how old it is then again */
    /*
     * A statement's snapshots hold all that was answered before it came. One question to the ring serves every SELECT whose last
     * byte was here when it was asked: of a pipeline, all of them. Counted in bytes received on this connection.
     */
    bool read_confirmed;                /* this statement's do */
    uint64_t received, confirmed_upto;  /* when it began; by the newest question, 0: none that serves others */

    struct session_setting settings[SET__COUNT];
    bool settings_changed;              /* some reported one may differ from what the client knows */

    enum txn_state txn;
    bool implicit;                      /* inside the implicit transaction of one query string */
    struct txn_work work;               /* work.commit == NULL: nothing pending */
};

/* ---- life ---- */

/* base: SET__COUNT values of the server (borrowed), NULL for the defaults. The session is zeroed by it. */
enum reeve_err session_init(struct session *s, struct arena *arena, struct arena *stmt_arena,
                            const struct setting_value *base) REEVE_MUST_CHECK;
void session_free(struct session *s);
static inline bool session_is_superuser(const struct session *s)
{
    return (s->role_attributes & ROLE_SUPERUSER) != 0;
}

/* ---- settings ---- */

bool session_bool(const struct session *s, enum setting_id id);
int64_t session_int(const struct session *s, enum setting_id id);       /* also the index of an ENUM's word */
const char *session_text(const struct session *s, enum setting_id id);  /* STRING only; never NULL */
/* As SHOW prints it; borrowed from the session or buf. */
const char *session_setting_text(const struct session *s, enum setting_id id, char buf[64]);
/* By name for SHOW and current_setting(): UNDEFINED_OBJECT with a report. Also "transaction isolation level"'s id. */
enum reeve_err session_setting_find(enum setting_id *out, struct slice name, struct report *rep) REEVE_MUST_CHECK;

/* SET and SET LOCAL. UNDEFINED_OBJECT, INVALID_VALUE, PRIVILEGE, WRONG_STATE (needs a restart) with a report. */
enum reeve_err session_set(struct session *s, struct slice name, struct slice text, bool local,
                           struct report *rep) REEVE_MUST_CHECK;
/* RESET name; RESET ALL. */
enum reeve_err session_reset(struct session *s, struct slice name, bool local, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err session_reset_all(struct session *s) REEVE_MUST_CHECK;
/* Sets a value and what RESET returns to, past the context rules but for INTERNAL (start-up packet). */
enum reeve_err session_set_startup(struct session *s, struct slice name, struct slice text,
                                   struct report *rep) REEVE_MUST_CHECK;
/* The server's settings have changed: where the session has not set its own, it takes the new one. */
void session_settings_reload(struct session *s, const struct setting_value *base);
/* For the server's own facts (is_superuser ...). */
enum reeve_err session_set_internal(struct session *s, enum setting_id id, const char *text) REEVE_MUST_CHECK;

/* ---- transactions ---- */

/* True inside BEGIN ... COMMIT (also when failed). */
static inline bool session_in_block(const struct session *s) { return s->txn != TXN_IDLE; }
/* Attaches the pending work of this transaction; only when none is attached. */
void session_txn_attach(struct session *s, struct txn_work work);
/* Commits: runs work.commit, then keeps or undoes settings; the session is idle afterwards either way. */
enum reeve_err session_txn_commit(struct session *s, struct report *rep) REEVE_MUST_CHECK;
void session_txn_abort(struct session *s);

/* ---- while a statement runs ---- */

/* CANCELED, TIMEOUT (57014), SNAPSHOT_OLD (40001), SHUTDOWN (57P01); report may be NULL. */
enum reeve_err session_check_interrupts(struct session *s, struct report *rep) REEVE_MUST_CHECK;
/*
 * Waits until fd (or nothing: -1) has one of the poll(2) events, or timeout_ms
 * (-1: no limit) has passed (AGAIN), or an interrupt came (as above), or the
 * client hung up (CLOSED).
 */
enum reeve_err session_wait(struct session *s, int fd, short events, int timeout_ms,
                            struct report *rep) REEVE_MUST_CHECK;
/* NOTICE and WARNING to the client at once; sqlstate NULL is 00000 or 01000. */
void session_notice(struct session *s, enum notice_level level, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void session_notice_report(struct session *s, enum notice_level level, const struct report *rep);

struct mono_ms session_mono_now(void);
struct wall_ms session_wall_now(void);

#endif
