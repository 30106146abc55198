/* core_int.h - what the parts of the member's driver share */
#ifndef REEVE_BACKEND_RING_CORE_INT_H
#define REEVE_BACKEND_RING_CORE_INT_H

#include "backend/ring/core.h"
#include "backend/storage/walfile.h"

#define CORE_SEQS_MAX    1024           /* appends under way, in pieces; a power of two above RAFT_APPENDS_MAX */
#define CORE_LOG_RETRY_MS 100
#define CORE_CUT_MS      1000           /* the log is cut at most that often: each cut writes its metadata */
#define CORE_READ_TICKET (1ULL << 63)   /* tickets of reads, apart from the host's */

/* Who this member is: row 'L' 'i'. */
struct core_identity { uint32_t id; uint64_t incarnation, ring; };

/* A command of a run, and who waits here for it. */
struct core_command {
    struct state_command c;
    size_t at;                          /* in bytes, until that is complete */
    uint64_t ticket;                    /* 0: nobody, or answered already */
    bool early;
};
/* What one APPLY hands out: the commands up to an index of the log, and the member's rows of that moment. */
struct core_run {
    struct state_run run;               /* first: the two are one */
    uint64_t index, term;
    struct core_command *cmd;
    size_t cap;
    struct wr bytes;                    /* commands and rows */
    struct state_row *row;
    size_t n_rows, rows_cap;
};

/* An append that the log had no room for: a copy, tried again. */
struct core_append {
    struct core_append *next;
    uint64_t seq;
    struct wal_append a;
    struct wal_entry entry[];
};

struct core_read {
    struct core_read *next;
    uint64_t ticket, index;             /* index 0: the member has not said yet */
    core_read_done *fn;
    void *arg;
};

struct core {
    struct loop *loop;
    struct storage *store;
    struct core_host host;
    struct core_identity me;
    struct member *m;
    void *mem;
    struct member_effects fx;
    struct loop_timer timer;            /* member_wake() */
    bool closing;
    bool quiet;                         /* starting: the host reads the state when this is done */

    /* core_log.c */
    struct walfile *wal;
    uint32_t batch_bytes;               /* an append's entries, with their heads */
    struct { uint64_t ticket, seq; } seqs[CORE_SEQS_MAX];
    uint32_t seq_head, seq_tail;
    struct core_append *pending, **pending_tail;
    struct loop_timer log_retry;

    /* core_apply.c */
    struct state *state;
    uint64_t revision, synced_index, synced_term, early_index, start_index;
    uint64_t bytes;                     /* of commands that are not synced yet */
    int64_t cut_ms;
    struct core_read *reads;
    uint64_t n_reads;
};

/* core.c */
enum reeve_err core_step(struct core *c, struct member_event *e);
_Noreturn void core_die(struct core *c, enum reeve_err err, const char *what);

/* core_log.c */
void core_log_append(struct core *c, const struct raft_append *a);
void core_log_durable(void *core, uint64_t ticket);
void core_log_free(struct core *c);

/* core_apply.c */
void core_apply(struct core *c, uint64_t index);
void core_run_applied(void *core, struct state_run *run);
void core_runs_synced(void *core, struct state_run *runs);
void core_run_free(struct core_run *r);
void core_reads_check(struct core *c);

#endif
