/*
 * raft_int.h - the harness of rings: what runs on a simulated node, and what must hold
 *
 * One rig is one run: a world, up to RIG_SLOTS machines of which some are
 * members of the ring, clients, an operator who changes members, and faults
 * drawn from the seed. A machine runs the real engine/member and engine/wal
 * over a simulated disk; its state lies in a store that commits as a whole
 * (what LMDB promises). The checker sees effects, messages and bytes on disk,
 * and what the engines' status functions say.
 *
 * Files: raft_main (the program), raft_rig (one run), raft_profile (what is
 * drawn), raft_node (a life), raft_wal (the log on disk), raft_mend (damaged logs), raft_state (the
 * state machine, snapshots), raft_client (the load), raft_fault (chaos, and the
 * atlas of what may be damaged), raft_astray (lost and misdirected writes), raft_admin (members come and go),
 * raft_kept (slow snapshots under load), raft_check (invariants), raft_oracle (what clients saw), raft_heal (the end).
 */
#ifndef REEVE_SIM_RAFT_INT_H
#define REEVE_SIM_RAFT_INT_H

#include "engine/member.h"
#include "engine/wal.h"
#include "sim/disk.h"
#include "sim/linear.h"
#include "sim/net.h"

#include <stdio.h>

#define RIG_SLOTS    10
#define RIG_KEYS     6
#define RIG_OPS      1600
#define RIG_CLIENTS  8
#define RIG_LOG_MAX  16384      /* entries in one run */
#define RIG_IDS_MAX  64         /* member ids ever given */
#define RIG_RING     0x52454556u

/* ---- what is drawn from the seed ---- */

struct rig_profile {
    int members;
    int clients;
    int64_t chaos_us, think_us;
    struct sim_net_profile net;
    struct sim_disk_profile disk;
    struct member_config member;
    struct wal_config wal;
    int64_t flush_us, apply_us, chunk_us;       /* mean delays of the store, of the applier, of a chunk of a snapshot */
    uint32_t drift_ppm;
    /* Mean time between two faults of a kind; 0: this run has none. */
    int64_t partition_us, oneway_us, badlink_us, kill_us, power_us, blackout_us, pause_us, leap_us, restart_us;
    int64_t hang_us, slow_us, eio_us, full_us, decay_us, wipe_us, change_us, transfer_us, amnesia_us, astray_us, flips_us;
};
/* Over what was drawn: no faults, a small window, a state that takes longer than it lasts. */
void profile_climb(struct rig_profile *p);
void profile_draw(struct rig_profile *p, struct sim_rng *r, int members);

/* ---- the state machine ---- */

struct row { uint32_t id, len; uint8_t *p; };
/* Copies are deep; rows are counted few. */
struct kv_state {
    uint64_t index;                     /* of the last entry whose commands are in it */
    int64_t value[RIG_KEYS];
    bool present[RIG_KEYS];
    uint8_t applied[RIG_OPS / 8 + 1];   /* which operations ever took effect or were refused by it */
    struct row *row;
    size_t n_rows;
};
enum op_kind { OP_READ = 1, OP_WRITE, OP_CAS };

void state_free(struct kv_state *s);
void state_copy(struct kv_state *to, const struct kv_state *from);
void state_row_set(struct kv_state *s, uint32_t id, struct slice value);
bool state_row(const struct kv_state *s, uint32_t id, struct slice *out);
uint64_t state_hash(const struct kv_state *s);          /* of the values and of what was applied */
bool state_equal(const struct kv_state *a, const struct kv_state *b);
void state_encode(const struct kv_state *s, struct wr *out);
bool state_decode(struct kv_state *s, struct slice in);

/* ---- a machine ---- */

/* What the checker knows of a member's log: what was handed to the disk, and how much of it is durable. */
struct shadow {
    uint64_t base, base_term;           /* replaced by a state */
    uint64_t last, durable;
    uint64_t term[RIG_LOG_MAX];
    uint64_t hash[RIG_LOG_MAX];
    bool conf[RIG_LOG_MAX];             /* a configuration */
    uint64_t hard_term, hard_commit;    /* durable */
    uint32_t hard_vote;
};

/* What a disk held that was lost as a whole. */
struct promise { uint64_t incarnation; struct shadow sh; };
struct held { struct held *next; uint64_t after; int to; int lane; struct raft_msg m; size_t len; uint8_t bytes[]; };

struct snap_out { uint64_t id, index, term; bool told; struct wr bytes; struct slice conf; uint8_t conf_bytes[RAFT_CONF_BYTES_MAX]; };
struct snap_in { uint64_t id, index; struct wr bytes; };

/* What came behind a snapshot: entry begin + i in e[i], encoded; below first nobody needs it. */
struct kept { uint64_t begin, first, prev_term; struct wr *e; uint64_t *term; size_t n, cap; };

struct wal_item;
struct wal_mark { uint32_t epoch; uint64_t off; };
struct wal_written { struct wal_mark at; uint64_t first, last; uint32_t bytes; };     /* a frame with entries, and how long it is */
#define WAL_WRITTEN_MAX 64
struct wal_run {                        /* raft_wal.c */
    struct wal *w;
    void *mem;
    bool busy[WAL_LANES];
    uint8_t steps[WAL_LANES];           /* of an OPEN: what is still to do */
    struct wal_file file[WAL_LANES];
    struct wal_item *first, **last;     /* appends not durable yet, in order */
    uint64_t term[RIG_LOG_MAX];         /* of the entries that the log holds; 0: none, or a hole */
    struct wal_mark recent[2];          /* where the newest frames were written, the newest first */
    struct wal_written written[WAL_WRITTEN_MAX];        /* of this life, the n-th at n % WAL_WRITTEN_MAX */
    uint64_t n_written;
    uint64_t seq_done;
    bool formatting;
    bool watching;                      /* an event is under way that looks whether the log rests */
    bool log_writes;                    /* a frame is under way */
    /* What the start has read, by index, to give to others and to oneself (engine/mend.h); NULL: not kept any more. */
    struct wal_kept *kept;
    uint64_t kept_last, kept_low;
    struct wal_holes holes;             /* as they were found */
    bool tail;                          /* the files hold more than the window, behind a hole: up to */
    uint64_t tail_last, tail_term;
    struct { uint64_t index, term; int64_t at_us; } cut_next[4];       /* cuts lag, as the server's do; the oldest first */
};

/* raft_astray.c: one write that goes nowhere or elsewhere */
struct astray {
    bool armed, lost, happened, of_log, was_damaged;
    uint64_t faults;                    /* of the disk, when it began */
    char name[SIM_NAME_MAX + 1];        /* the frame that was meant, and its file before */
    uint64_t off, seq;
    size_t len, before_len;
    uint8_t *bytes, *before;
};
struct wal_kept { uint64_t term; uint8_t kind; struct slice data; };

struct ticket { uint64_t ticket, committed; uint32_t op, attempt, client; uint8_t what; };
enum { TICKET_OP = 1, TICKET_READ, TICKET_OPEN, TICKET_CHANGE };

struct node {
    struct rig *rig;
    int slot;
    uint32_t id;                        /* 0: this machine is no member */
    uint64_t incarnation;
    bool bootstrap;                     /* knows the first configuration */
    bool fresh;                         /* no log yet */
    /* durable besides the log: the store, and the mark of a mute member */
    struct kv_state stored;
    bool mute_mark;
    uint64_t mute_term;
    uint64_t lost_index, lost_term;     /* what a damaged log held, until it holds as much again ('L' 'd') */
    uint64_t repaired_last;             /* of this life: it does, when that is durable; 0: not yet */
    /* this life */
    void *mem;
    struct member *m;
    struct wal_run wal;
    struct kv_state state;
    bool applying, flushing, stopping, quarantined;
    bool waking;
    int64_t wake_ms;                    /* of the clock event under way */
    uint64_t wake_gen;
    struct held *held, **held_last;
    struct snap_out *out[RIG_IDS_MAX];
    struct snap_in in;
    struct kept kept;
    uint64_t kept_told;
    struct kv_state installing;
    bool have_installing;
    struct ticket ticket[256];
    size_t n_tickets;
    uint64_t next_ticket;
    struct raft_status seen;            /* at the last check of this life */
    uint64_t seen_applied, seen_life;
    /* over all lives */
    struct sim_disk disk;
    struct shadow sh;
    uint64_t max_term;
    bool damaged, wiped;                /* the atlas: not whole again yet */
    bool was_damaged;                   /* ever, on this disk */
    struct astray astray;
    uint64_t damage_commit;             /* whole when it holds what was committed then */
    uint32_t damage_life;
    uint64_t bad_block_off;             /* a block that cannot be read */
    char bad_block_file[SIM_NAME_MAX + 1];
    int64_t ran_since_us;               /* the last pause ended */
    int64_t down_since_us;
    int64_t gone_since_us;              /* not in the ring any more since */
    bool want_up;                       /* a restart is under way */
};

/* ---- clients ---- */

struct op {
    uint32_t id, client;
    enum op_kind kind;
    uint8_t key;
    int64_t old, new_;                  /* cas: old < 0 means absent */
    bool invoked, done, failed, unknown;
    bool maybe;                         /* an attempt ended without a certain outcome */
    int64_t call_us, ret_us;
    struct linear_value result;         /* read */
    bool cas_hit;
    uint64_t session, seq;
    uint64_t index;                     /* where it took effect, when known */
};
enum client_state { CLIENT_IDLE = 1, CLIENT_OPENING, CLIENT_BUSY };
struct client {
    int i;
    enum client_state state;
    bool uses_session;
    uint64_t session, seq;
    uint32_t op, attempt;
    int target;
    int64_t deadline_us;
    bool final;                         /* of the healing phase */
};

/* What a command did, the first time any member applied it. */
struct result { bool known, hit; uint64_t index; };

/* ---- a run ---- */

struct conf_at { uint64_t index; struct raft_conf conf; };
struct rig {
    struct sim_world w;
    struct sim_net net;
    struct rig_profile p;
    struct node *node[RIG_SLOTS];
    int n_nodes;
    uint64_t first_incarnation[RIG_SLOTS];
    int slot_of[RIG_IDS_MAX];           /* by member id; -1 */
    struct promise *promise[RIG_IDS_MAX];
    uint32_t next_id;
    struct client client[RIG_CLIENTS];
    struct op *op;
    uint32_t n_ops;
    struct result result[RIG_OPS];
    int64_t guess[RIG_KEYS];            /* the newest value somebody was told of */
    bool final_wanted;                  /* a fresh write, then a read, must succeed */
    int final_stage;
    uint64_t n_undecided;
    bool climb;                         /* raft_kept.c: no faults, a slow snapshot under load */
    bool chaos;                         /* faults come */
    bool quiet;                         /* clients begin nothing new */
    struct member_effects fx;
    /* the checker's memory */
    uint64_t committed;
    uint64_t c_term[RIG_LOG_MAX], c_hash[RIG_LOG_MAX];
    uint64_t c_by[RIG_LOG_MAX];         /* the term of the leader who committed it */
    uint64_t state_hash[RIG_LOG_MAX];   /* after that entry; 0: nobody has been there */
    uint64_t leader_of[4096];           /* by term: 1 + slot and life of the leader */
    struct seen_entry { uint64_t index, term, hash, prev_term; } *seen;
    size_t n_seen;
    struct vote_seen { uint32_t id, vote; uint64_t incarnation, term; } *votes;
    size_t n_votes, cap_votes;
    struct raft_conf last_conf;         /* the newest that was committed */
    uint64_t last_conf_index;
    bool violated;
    char invariant[64], evidence[4096];
    uint64_t n_acked, n_unknown, n_reads, n_restarts, n_snapshots, n_changes, n_leaders, n_damage, n_astray, n_taken_back, n_mended, n_flips;
    int64_t healed_us;
    /* the admin */
    bool change_open;
    int64_t change_since_us;
    bool healing;
};

void rig_init(struct rig *r, uint64_t seed, int members, bool climb, FILE *trace);
void rig_free(struct rig *r);
/* Chaos, then healing; true when nothing was violated. */
bool rig_run(struct rig *r);
/* The first one counts; the run ends. */
void violation(struct rig *r, const char *invariant, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

enum rig_kind {
    K_EVENT = SIM_KIND_HOST, K_EFFECT, K_ROLE, K_COMMIT, K_APPLY, K_WAL, K_CLIENT, K_FAULT, K_ADMIN, K_SNAP, K_NOTE
};
const char *rig_kind_name(uint32_t kind);

/* ---- raft_node.c ---- */
struct node *node_new(struct rig *r, int slot);
void node_free(struct node *n);
/* A member of that id begins on an empty machine. */
void node_join(struct node *n, uint32_t id, bool bootstrap);
void node_boot(struct node *n);
/* The log is ready: the member begins. */
void node_start(struct node *n);
void node_wake(struct node *n);
enum death { DEATH_KILL, DEATH_POWER };
void node_die(struct node *n, enum death d);
void node_restart_after(struct node *n, int64_t us);
/* Feeds one event; effects are obeyed before it returns. The verdict is the event's. */
enum reeve_err node_step(struct node *n, struct member_event *e);
void node_receive(void *host, int from, int to, int lane, struct slice msg);
struct ticket *node_ticket(struct node *n, uint8_t what, uint32_t op, uint32_t attempt, uint32_t client);
static inline bool node_up(const struct node *n) { return n->id != 0 && n->rig->w.node[n->slot].up && n->m != NULL; }
struct node *rig_leader(struct rig *r);         /* the one of the highest term; NULL */
struct node *node_of(struct rig *r, uint32_t id);
void nodes_messages_durable(struct node *n);

/* ---- raft_wal.c ---- */
void wal_begin_format(struct node *n);
/* Reads the log; fills start and hands entries to the member. Beyond CORRUPT the log is not usable. */
enum wal_verdict wal_begin_recover(struct node *n, struct raft_start *s, uint64_t base, uint64_t base_term);
void wal_take(struct node *n, const struct raft_append *a);
void wal_pump(struct node *n);
void wal_done(void *host, int node, uint64_t cookie, enum reeve_err err);
/* For how long the oldest append has waited for the disk, not counting pauses. */
int64_t wal_waits_us(const struct node *n);
void wal_report_soon(struct node *n);
/* A state stands there instead of a log. */
void wal_base(struct node *n, uint64_t base, uint64_t base_term);
void wal_keep(struct node *n, uint64_t keep);
void wal_run_free(struct wal_run *w);

/* An entry that the start has read, as far as it is still this log's; false: none. */
bool wal_kept_entry(const struct node *n, uint64_t index, struct raft_entry *out);
void wal_kept_drop(struct node *n);
/* ---- raft_mend.c ---- */
void mend_start(struct node *n);
bool mend_message(struct node *n, const struct raft_msg *m);

/* ---- raft_apply.c: applying, the store, snapshots ---- */
void apply_upto(struct node *n, uint64_t index);
void store_flush_soon(struct node *n);
void store_flush_asked(struct node *n);
void state_rows_restore(struct node *n, const struct kv_state *s);
void snap_effect(struct node *n, const struct raft_effect *f);
void snaps_drop(struct node *n);
uint64_t command_encode(uint8_t *out, size_t cap, const struct op *o, uint32_t pad);

/* ---- raft_kept.c ---- */
void kept_begin(struct node *n, uint64_t index, uint64_t term);
void kept_append(struct node *n, const struct raft_append *a);
void kept_read(struct node *n, const struct raft_effect *f);
void kept_settle(struct node *n);
void kept_drop(struct node *n);
/* Load, a member cut off and back: in step within a bound while the load goes on. */
void rig_climb(struct rig *r);

/* ---- raft_client.c ---- */
void clients_start(struct rig *r);
void client_done(struct node *n, const struct member_effect *f);
/* ---- raft_fault.c, raft_admin.c, raft_heal.c ---- */
void faults_start(struct rig *r);
void faults_lift(struct rig *r);
void fault_isolate(struct rig *r, struct node *n);
void atlas_look(struct rig *r);
/* Where atlas_may_damage: the next write is lost, or goes elsewhere. */
void astray_arm(struct node *n, bool lost);
void astray_write(struct node *n, const char *name, const struct wal_effect *f);
void astray_done(struct node *n, enum wal_lane lane);
/* A life ends: is it to be taken back? Asked while the log is there, done when the disk has lost what it loses. */
bool astray_ends(struct node *n);
void astray_settle(struct node *n, bool back);
void astray_free(struct node *n);
/* Damaged from now on; or not after all. */
void atlas_mark_damaged(struct node *n);
void atlas_unmark(struct node *n, bool was_damaged);
bool atlas_may_damage(const struct rig *r, const struct node *n);
void admin_start(struct rig *r);
void admin_tick(struct rig *r);
void admin_change(struct rig *r);
bool rig_healed(struct rig *r, char *why, size_t len);

/* ---- raft_check.c, raft_oracle.c ---- */
/* term and hash of what was read, by index; 0: nothing trustworthy. */
void check_recovered(struct node *n, const struct wal_found *f, const uint64_t *term, const uint64_t *hash);
uint64_t entry_hash(uint64_t term, uint8_t kind, struct slice data);
void check_boot(struct node *n);
void check_installed(struct node *n);
/* A log in repair gives up what stands from there on: a leader's entries take its place. */
void check_given_up(struct node *n, uint64_t from);
void check_node(struct node *n);
void check_append(struct node *n, const struct raft_append *a);
void check_durable(struct node *n, const struct raft_append *a, uint64_t cap);
void check_sent(struct node *n, const struct raft_msg *m);
void check_applied(struct node *n, const struct member_command *c);
void check_state(struct node *n);
void check_wiped(struct node *n);
void check_will_be_wiped(struct node *n);
void oracle_check(struct rig *r);

#endif
