/* core_int.h - what the parts of the member's driver share */
#ifndef REEVE_BACKEND_RING_CORE_INT_H
#define REEVE_BACKEND_RING_CORE_INT_H

#include "backend/ring/backlog.h"
#include "backend/ring/core.h"
#include "backend/storage/walfile.h"

#define CORE_SEQS_MAX    1024           /* appends under way, in pieces; a power of two above RAFT_APPENDS_MAX */
#define CORE_LOG_RETRY_MS 100
#define CORE_CUT_MS      1000           /* the log is cut at most that often: each cut writes its metadata */
#define CORE_CUT_LAG     4              /* and so many of these behind the state: others, whose states are older, may have lost that */
#define CORE_YIELD_MS    5000
#define CORE_EARLY_BYTES (32u << 20)    /* so much before the store, and nobody is answered earlier than it has applied */
#define CORE_LATE_MS     30             /* for so long the clock waits for what is being read */
#define CORE_HASH_EVERY  512            /* entries between two comparisons of the members' states; the same everywhere */
#define CORE_READ_TICKET (1ULL << 63)   /* tickets of reads, apart from the host's */
#define CORE_CHANGE_TICKET (1ULL << 62) /* and of a change of members */
#define CORE_BACK_BYTES  (1u << 30)     /* entries kept in a file for members on their way up; at three quarters the ring is busy */
#define CORE_BACK_PENDING (64u << 20)   /* of them in memory; at a quarter likewise */
#define CORE_BACK_ROOM   (256u << 20)   /* what they leave free on the disk */
#define CORE_HELD_BYTES  (64u << 20)    /* messages that wait for the log's disk */
#define CORE_LATER_MAX   64             /* events that arose while effects were obeyed */
#define CORE_JOINS_MAX   8

/* Who this member is: row 'L' 'i'. */
struct core_identity { uint32_t id; uint64_t incarnation, ring; };

/* A command of a run, and who waits here for it. */
struct core_command {
    struct state_command c;
    size_t at;                          /* in bytes, until that is complete */
    uint64_t ticket;                    /* 0: nobody, or answered already */
    bool early;
};
/* Which term the log's entries have: one item where a term begins. Indexes below the first are not known. */
struct core_term { uint64_t first, term; };
struct core_terms { struct core_term *t; size_t n, cap; uint64_t last; };

/* What a start has read of the log (core_shelf.c), by index; term 0: nothing. */
struct core_shelf_item { uint64_t term; size_t at; uint32_t len; uint8_t kind; };
struct core_shelf {
    uint64_t above, low;                /* smaller indexes are not put here; not given out */
    uint64_t first;                     /* of item[0] */
    size_t n, cap;
    struct core_shelf_item *item;
    struct wr bytes;
    bool bad;                           /* not all of it found room */
    struct wal_holes holes;
};

/* A state from another member, on its way into the store. */
struct core_install { uint64_t id, index, term, size; int fd; size_t conf_len; uint8_t conf[RAFT_CONF_BYTES_MAX]; };

/* What one APPLY hands out: the commands up to an index of the log, and the member's rows of that moment. */
struct core_run {
    struct state_run run;               /* first: the two are one */
    uint64_t index, term;
    struct core_command *cmd;
    size_t cap;
    struct wr bytes;                    /* commands and rows */
    struct state_row *row;
    size_t n_rows, rows_cap;
    struct core_run *committed;         /* the list of those whose early commands are not answered yet */
    bool told;                          /* the member takes it for applied: all of it is early */
    bool own;                           /* a row of this member alone, nothing of the log */
    struct core_install *install;       /* instead of commands: the whole state (core_snap.c) */
    struct core *core;
};

/* A message that waits for the log's disk. */
struct core_held { struct core_held *next; uint64_t after; struct peer_parcel *parcel; };

/* Somebody who wants to be let in, while the change that names him is on its way. */
struct core_joiner { uint64_t ticket, incarnation; bool used; uint32_t above; size_t addr_len; char addr[RAFT_ADDR_MAX]; };

/* The state on its way to others: one at a time, for as many as it serves. */
struct snap_out;
/* What has come of another's state: in a file without a name. */
struct snap_in { int fd; uint64_t id, index, len; uint32_t from; };

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
    struct mono_ms late_until;          /* the clock waits until then for what is being read; 0: it does not */
    bool closing, stopped;              /* stopped: the member has said so */
    void (*stop_fn)(void *arg);
    void *stop_arg;
    struct loop_task stop_task;
    bool quiet;                         /* starting: the host reads the state when this is done */

    /* core_log.c */
    struct walfile *wal;
    uint32_t batch_bytes;               /* an append's entries, with their heads */
    struct { uint64_t ticket, seq; } seqs[CORE_SEQS_MAX];
    uint32_t seq_head, seq_tail;
    uint64_t durable_seq;
    struct core_terms terms;
    struct core_append *pending, **pending_tail;
    struct loop_timer log_retry;

    /* core_apply.c */
    struct state *state;
    uint64_t revision, synced_index, synced_term, early_index, start_index;
    uint64_t bytes;                     /* of commands that are not synced yet */
    struct core_run *committed, **committed_tail;   /* handed out in this step */
    struct state_sum sum;               /* of the newest run that was applied, */
    uint64_t sum_index;                 /* which ended there */
    uint64_t hash_index;                /* the member wants to know it there; 0: no */
    int64_t cut_ms;
    struct { uint64_t index, term; } cut_next[CORE_CUT_LAG];        /* the oldest first; index 0: none yet */
    int64_t yield_ms;                   /* leadership is not offered before */
    struct core_read *reads;
    uint64_t n_reads;

    /* core_links.c; NULL: a ring of one that nobody can reach */
    struct peers *peers;
    struct core_held *held, **held_tail;
    size_t held_bytes;
    bool conf_open;                     /* the configuration that the links know was not committed then */
    uint64_t conf_index;
    bool alone;                         /* at the start: the state's configuration names nobody else */
    bool follows;                       /* at the start: the log goes on where the state ends */
    uint64_t lost_index, lost_term;     /* the log held as much, and lost some of it; 0: it has not */
    uint64_t repaired_last;             /* it does again, when that is durable */

    /* core_shelf.c, core_mend.c */
    struct core_shelf shelf;
    bool tail;                          /* the log's files hold more than the window, behind a hole: it ends at */
    uint64_t tail_last, tail_term;
    bool gave_up;                       /* at the start: nothing above the state was kept */
    struct loop_timer mend_timer;

    bool joining;                       /* let in, and without a state yet: */
    uint64_t joined_index;
    struct raft_conf joined_conf;
    char addr[RAFT_ADDR_MAX + 1];       /* this member's, as it should stand in the configuration */
    size_t addr_len;
    bool leads;                         /* as the host was told */
    int64_t led_ms;                     /* when a leader was known last */

    /* core_change.c */
    uint64_t change_ticket, n_changes;
    core_read_done *change_fn;
    void *change_arg;
    struct loop_timer address_timer, join_timer;
    struct core_joiner joiner[CORE_JOINS_MAX];
    bool join_changing;

    /* core_back.c */
    struct backlog *back;               /* NULL: nobody is on the way up */
    uint64_t back_told;                 /* its first entry, as the member was told; 0: nothing is kept */
    bool back_full_told, back_read;
    uint64_t back_looked;               /* bytes put, when room on the disk was looked for */

    /* core_snap.c */
    char dir[1024];
    struct snap_out *out;
    struct snap_in in;
    struct loop_task later_task;
    struct member_event later[CORE_LATER_MAX];
    unsigned n_later;
};

/* core.c */
enum reeve_err core_step(struct core *c, struct member_event *e);
_Noreturn void core_die(struct core *c, enum reeve_err err, const char *what);

/* core_open.c */
enum reeve_err core_rows_restore(struct core *c, struct kv *kv) REEVE_MUST_CHECK;

/* core_shelf.c */
void core_shelf_init(struct core_shelf *s, uint64_t above);
void core_shelf_free(struct core_shelf *s);
void core_shelf_batch(struct core_shelf *s, const struct wal_frame *f, struct slice payload);
/* False: not readable, or not there. out is borrowed from the shelf. */
bool core_shelf_entry(const struct core_shelf *s, uint64_t index, struct raft_entry *out);
uint64_t core_shelf_last(const struct core_shelf *s);

/* core_mend.c */
void core_mend_start(struct core *c);
/* True: the message was of that kind. */
bool core_mend_message(struct core *c, const struct raft_msg *m);
void core_mend_free(struct core *c);

/* core_links.c */
enum reeve_err core_links_open(struct core *c, const struct core_net *net, struct report *rep) REEVE_MUST_CHECK;
void core_links_free(struct core *c);
void core_send(struct core *c, const struct raft_effect *f);
void core_links_durable(struct core *c);
void core_links_configure(struct core *c);
/* At the end of a step: what is queued leaves, and a configuration that was committed meanwhile is told. */
void core_links_settle(struct core *c);

/* core_change.c */
void core_change_ended(struct core *c, uint64_t ticket, enum reeve_err err);
void core_address_check(struct core *c);
void core_join_requested(void *core, uint64_t ticket, const struct peer_join_request *j);
void core_joins_resume(struct core *c);
void core_change_free(struct core *c);

/* core_back.c */
/* Another member is to get the state at index: what comes behind it is kept from now on. */
void core_back_begin(struct core *c, uint64_t index);
void core_back_append(struct core *c, const struct raft_append *ra);
void core_back_read(struct core *c, const struct raft_effect *f);
/* Of this leadership; or nobody needs it, or there is no room. */
void core_back_end(struct core *c);
/* At the end of a step: what nobody needs goes, and the member is told. */
void core_back_settle(struct core *c);

/* core_snap.c */
/* A file without a name in DIR/data; -1. */
int core_nameless_file(const struct core *c, const char *name);
/* The index of a state that is being written down for others, or that somebody is to be told of; UINT64_MAX: none. */
uint64_t core_snap_making(const struct core *c);
void core_snap_effect(struct core *c, const struct raft_effect *f);
/* An event that arose while effects were obeyed comes in the loop's next round; one that finds no room is lost. */
void core_later(struct core *c, const struct member_event *e);
/* A run that was an installation has ended. */
void core_snap_installed(struct core *c, struct core_run *r);
void core_snap_free(struct core *c);

/* core_log.c */
bool core_terms_put(struct core_terms *t, uint64_t index, uint64_t term);
/* 0: not known. */
uint64_t core_terms_at(const struct core_terms *t, uint64_t index);
void core_log_append(struct core *c, const struct raft_append *a);
void core_log_durable(void *core, uint64_t ticket);
void core_log_free(struct core *c);
/* The terms of the window, when the files hold nothing else any more. */
void core_terms_of_window(struct core *c);

/* core_apply.c */
void core_apply(struct core *c, uint64_t index);
/* What may be answered once it is committed. */
void core_committed(struct core *c);
/* The member wants the sum of a state: when the state is there. */
void core_tell_hash(struct core *c);
void core_run_applied(void *core, struct state_run *run);
void core_runs_synced(void *core, struct state_run *runs);
void core_run_free(struct core_run *r);
/* The log holds as much as it did once: when that is durable the note of it goes. */
void core_repaired(struct core *c);
void core_repaired_check(struct core *c);
/* Nothing is applied any more: the ring's state is another one, or an entry is a newer program's (which ends the process). */
void core_quarantine(struct core *c, const struct member_effect *f);
void core_reads_check(struct core *c);

#endif
