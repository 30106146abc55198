/*
 * tcop_int.h - one connection's loop: shared by the files of this folder
 *
 * Invariants
 *  T1 An error in the extended protocol is answered once; everything up to the
 *     next Sync is then read and thrown away.
 *  T2 A portal lives at most as long as its transaction, unless it is a cursor
 *     WITH HOLD that a commit kept.
 *  T3 A portal holds a reference to its prepared statement, so replacing or
 *     closing the statement never pulls the tree from under it.
 */
#ifndef REEVE_BACKEND_TCOP_TCOP_INT_H
#define REEVE_BACKEND_TCOP_TCOP_INT_H

#include "backend/libpq/reply.h"
#include "backend/tcop/serve.h"
#include "backend/tcop/session_int.h"
#include "backend/tcop/tcop.h"

#define PREPARED_MAX   4096             /* per session */
#define PORTALS_MAX    1024
#define NAMED_ARENA_MAX (64u << 20)     /* of one prepared statement or portal */
#define STMT_ARENA_MAX (1u << 30)
#define TAG_MAX        80

/* ---- rows kept for later (rowstore.c) ---- */

struct rowstore {
    struct dest dest;                   /* give &rs->dest to the producer */
    struct arena *arena;                /* of the columns */
    struct spool spool;
    struct wr row;                      /* scratch */
    int ncols;
    struct dest_column *cols;
    uint64_t left;                      /* rows not yet handed out */
};
void rowstore_init(struct rowstore *rs, struct arena *a, const char *spool_dir);
void rowstore_free(struct rowstore *rs);
/* Hands out up to max rows (0: all) to a dest whose columns were announced, or drops them (to NULL). */
enum reeve_err rowstore_emit(struct rowstore *rs, struct arena *scratch, uint64_t max, struct dest *to,
                             uint64_t *count) REEVE_MUST_CHECK;

/* ---- prepared statements and portals (named.c) ---- */

struct prepared {
    struct prepared *next;
    int refs;
    struct arena arena;
    const char *name;                   /* "" unnamed */
    struct slice text;
    struct ast_list list;               /* n 0: the empty query */
    struct query_shape shape;
};

enum portal_state { PORTAL_NEW, PORTAL_STORED, PORTAL_DONE };

struct portal {
    struct portal *next;
    struct arena arena;
    const char *name;
    struct prepared *prepared;          /* NULL: an SQL cursor, STORED from the start */
    struct query_params params;
    int nformats;
    uint16_t *formats;
    enum portal_state state;
    struct rowstore rows;
    bool hold_wanted, hold;             /* WITH HOLD; and its transaction has committed */
    bool doomed;                        /* to be dropped when it stops running */
};

struct tcop;
struct prepared *prepared_find(struct tcop *t, struct slice name);
/* Allocates one that is not yet in the list; free with prepared_unref. NOMEM. */
enum reeve_err prepared_new(struct tcop *t, struct slice name, struct slice text, struct prepared **out) REEVE_MUST_CHECK;
/* Puts it into the list, replacing the unnamed one. DUPLICATE_PSTMT, TOO_COMPLEX. */
enum reeve_err prepared_add(struct tcop *t, struct prepared *p, struct report *rep) REEVE_MUST_CHECK;
void prepared_unref(struct prepared *p);
bool prepared_drop(struct tcop *t, struct slice name);
void prepared_drop_all(struct tcop *t);
enum reeve_err prepared_missing(struct slice name, struct report *rep);

struct portal *portal_find(struct tcop *t, struct slice name);
enum reeve_err portal_new(struct tcop *t, struct slice name, struct portal **out) REEVE_MUST_CHECK;
/* DUPLICATE_CURSOR, TOO_COMPLEX; on refusal the portal is freed. */
enum reeve_err portal_add(struct tcop *t, struct portal *p, struct report *rep) REEVE_MUST_CHECK;
void portal_drop(struct tcop *t, struct portal *p);
/* At a transaction's end: all but held cursors, or really all. The running one is only marked. */
void portals_drop(struct tcop *t, bool held_too);
void portal_drop_unnamed(struct tcop *t);

/* ---- the loop ---- */

struct tcop {
    struct pq_conn c;
    struct session s;
    const struct serve_start *start;
    const struct tcop_ops *ops;
    struct arena session_arena, query_arena, stmt_arena;
    struct session_signals *signals;

    struct prepared *prepared;
    int nprepared;
    struct portal *portals;
    int nportals;
    struct portal *running;

    bool skipping;                      /* T1 */
    bool held;                          /* answers that are whole wait to be sent; never while anything is waited for */
    bool ended;                         /* leave the loop */
    int exit_code;
    char *reported[SET__COUNT];         /* last ParameterStatus sent of each reported setting */
};

static inline bool slice_is(struct slice s, const char *text) { return slice_eq(s, slice_str(text)); }

/* serve.c */
void tcop_log(struct tcop *t, enum serve_log level, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void tcop_activity(struct tcop *t, enum serve_activity state, struct slice query);
/* Answers an error: sends it, fails or aborts the transaction, ends the session for FATAL ones. */
void tcop_error(struct tcop *t, struct report *rep, enum reeve_err err);
void tcop_fatal(struct tcop *t, const struct report *rep);
/* ParameterStatus of what changed since the client was last told. */
void tcop_report_settings(struct tcop *t);

/* Clock and deadline of a statement begin; end. */
void tcop_statement_begin(struct tcop *t);
/* Each statement of a string: does a question asked earlier serve it, too? */
void tcop_read_begin(struct tcop *t);
void tcop_statement_end(struct tcop *t);
/* Shows (sys.stat_activity) and logs what is about to run; statements that may hold a password by their tag only. */
void tcop_query_shown(struct tcop *t, const struct ast_list *list, struct slice text);

/* messages.c: reads and answers until the session ends */
void tcop_loop(struct tcop *t);
/* Sends the answers that wait for those of the same pipeline. */
void tcop_send_held(struct tcop *t);

/* simple.c */
void tcop_simple_query(struct tcop *t, struct slice text);

/* extended.c */
void tcop_parse(struct tcop *t, struct slice body);
void tcop_bind(struct tcop *t, struct slice body);
void tcop_describe(struct tcop *t, struct slice body);
void tcop_execute(struct tcop *t, struct slice body);
void tcop_close(struct tcop *t, struct slice body);
void tcop_sync(struct tcop *t);

/* run.c */
struct run {
    const struct ast_stmt *stmt;
    struct slice text;
    struct query_params params;
    bool alone;                         /* may commit itself (commands.h) */
    bool in_string;                     /* one of several statements of a simple query */
    char tag[TAG_MAX];                  /* out */
};
/* Runs one statement of any kind; rows go to dest. */
enum reeve_err tcop_run(struct tcop *t, struct run *r, struct dest *dest, struct report *rep) REEVE_MUST_CHECK;
/* The shape of any statement, also of those answered here. */
enum reeve_err tcop_shape(struct tcop *t, struct arena *a, const struct ast_stmt *stmt, struct slice text,
                          const uint32_t *hint, int nhint, struct query_shape *out, struct report *rep) REEVE_MUST_CHECK;
/* Is this statement answered by control.c? */
bool control_owns(enum ast_kind k);

/* control.c and its siblings: settings, transactions, cursors, prepared statements */
enum reeve_err control_run(struct tcop *t, struct run *r, struct dest *dest, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err control_settings(struct tcop *t, struct run *r, struct dest *dest, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err control_txn(struct tcop *t, struct run *r, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err control_cursor(struct tcop *t, struct run *r, struct dest *dest, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err control_prepare(struct tcop *t, struct run *r, struct dest *dest, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err control_copy(struct tcop *t, struct run *r, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err control_copy_history(struct tcop *t, struct run *r, struct report *rep) REEVE_MUST_CHECK;
/* Columns of SHOW setting, SHOW ALL, FETCH, EXECUTE; none for the others. */
enum reeve_err control_columns(struct tcop *t, struct arena *a, const struct ast_stmt *stmt,
                               struct query_shape *out, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err setting_find_words(enum setting_id *out, const char *name, struct report *rep) REEVE_MUST_CHECK;

/* txn.c */
/* Begins the implicit transaction where none is under way. */
enum reeve_err txn_ensure(struct tcop *t, struct report *rep) REEVE_MUST_CHECK;
/* Commits the implicit transaction, if that is what is under way. */
enum reeve_err txn_finish_implicit(struct tcop *t, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err txn_begin(struct tcop *t, const struct ast_txn *x, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err txn_commit(struct tcop *t, struct report *rep) REEVE_MUST_CHECK;
void txn_abort(struct tcop *t);
/* An error: a block fails, an implicit transaction is undone. */
void txn_error(struct tcop *t);
enum reeve_err txn_modes(struct tcop *t, const struct ast_txn *x, bool local, struct report *rep) REEVE_MUST_CHECK;

/* sink.c: rows to the client */
struct sink {
    struct dest dest;
    struct tcop *t;
    bool describe;                      /* send RowDescription: simple query */
    int nformats;
    const uint16_t *formats;
    int ncols;
    uint32_t *types;
};
void sink_init(struct sink *k, struct tcop *t, bool describe, int nformats, const uint16_t *formats);
enum reeve_err sink_row_description(struct tcop *t, int n, const struct dest_column *cols, int nformats,
                                    const uint16_t *formats) REEVE_MUST_CHECK;
static inline uint16_t format_of(int nformats, const uint16_t *formats, int i)
{
    return nformats == 0 ? 0 : nformats == 1 ? formats[0] : formats[i];
}

#endif
