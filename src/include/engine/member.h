/*
 * member.h - one member of a ring: raft, the log's window, proposals, reads
 *
 * What stands between engine/raft and a driver that owns threads, sockets and
 * files: the same code runs in the server and in the simulator. An event goes
 * in with the time, effects come out in the order the driver must obey.
 *
 * Proposals. Any member takes commands. They are gathered while others are on
 * their way: the first goes at once, a crowd shares an entry (a batch) and so
 * a sync. A leader puts the batch into the log, a follower forwards it to the
 * leader, and while there is none it waits. Each command in a batch names its
 * origin (a random number of the life of the member that took it) and a handle
 * there, so that member recognizes it in its own log: it is applied HERE, the
 * result is at hand, and no message about its place is needed.
 *
 * Sessions. A command may carry (session, seq): then it is applied once,
 * however often it is proposed. A session is opened through the log, its id is
 * its place there and never used again. The table is part of the replicated
 * state: as many slots everywhere (MEMBER_SESSIONS_MAX), the one unused for
 * longest in log order gives way. It remembers the newest seq and which of the
 * MEMBER_SEQS before it were applied. engine/region stays free of it: a
 * duplicate never reaches the state machine. The rows of the table, of the
 * applied position and of the configuration are written by the driver in the
 * same transaction as the state (member_row_next), and are so in every snapshot.
 *
 * State hashes. Every hash_every entries each member tells the leader the hash
 * of its state there; what a majority agrees on goes into the log, and who has
 * another one puts itself into quarantine.
 *
 * Entry RAFT_HOST + 0: batch  = u8 1 | u16 n | n × (varint session | varint seq | u64 origin | varint handle | vbytes command)
 *                               session 0, seq 1: opens a session (no command); session 0, seq 0: no session
 *       RAFT_HOST + 1: check  = u8 1 | u64 index | 32 bytes state hash there
 * An unknown kind or version stops applying (quarantine): it is never skipped.
 * HOST messages: u8 1 | u8 kind | ...: 1 batch forwarded: u64 origin | u64 number | u16 n | items as above,
 *                each number of an origin taken once; 2 refused: u8 busy | u16 n | n × (u64 origin | u64 handle);
 *                3 hash: u64 index | 32 bytes
 *
 * Invariants
 *  M1 A ticket is answered exactly once (DONE, READ_DONE).
 *  M2 APPLIED: the command is in the state of this member, visible, and durable on a quorum. NOT_APPLIED: it never
 *     will be (also when its leader was lost with it: known when an entry of a later term is applied here). UNKNOWN: either; the caller may look, or try again with the same (session, seq).
 *  M3 Commands are handed out in log order, each fresh one exactly once in the life of the state.
 *  M4 A read is served by a state that holds everything acknowledged before the read came.
 *  M5 window.first <= durable state + 1, durable state <= applied <= handed out <= commit.
 *  M7 Memory is bounded: window, queue, tickets, sessions; what does not fit is refused (BUSY) before it is taken.
 *  M6 A member in quarantine applies nothing, answers no read, leads and campaigns not.
 *
 * Duties of the driver: those of raft.h (D1-D9), with the window kept here, and
 *  E1 APPLY: take commands with member_apply_next() until it has none, in the same step; apply them in that order; put
 *     the rows of member_row_next() into the same transaction. When readers see all that: APPLIED with the index.
 *     The durable state may lag behind what readers see; MEMBER_E_STATE_DURABLE says how far it is durable. Entries above
 *     that stay in the window, so that a restart finds room for them: a driver that does not heed FLUSH comes to BUSY.
 *     One APPLY at a time: the next comes after APPLIED. A driver whose readers wait for more than READ_DONE (until the
 *     durable state holds its index) may say APPLIED of commands whose answers need no state as soon as it has taken them.
 *  E2 A restart gives back the rows of the durable state (member_row_restore), then entries (member_entry_restore).
 *  E3 MEMBER_F_HASH: the hash of the state right after `index`, for event HASHED. APPLY never goes past such an index,
 *     so the state of that moment is at hand, or will be: nothing is handed out before HASHED.
 *  E4 An installed snapshot: its rows are restored, row 0 first, and SNAP_INSTALLED follows with no event between.
 *  E5 STOP: leadership is handed over first; STOPPED when the process may end.
 */
#ifndef REEVE_ENGINE_MEMBER_H
#define REEVE_ENGINE_MEMBER_H

#include "engine/raft.h"

#define MEMBER_SESSIONS_MAX 1024
#define MEMBER_SEQS         64
#define MEMBER_BATCH_MAX    1024        /* commands in one entry */
#define MEMBER_COMMAND_MAX  (5u << 20)    /* the largest: an attested block and its command */
#define MEMBER_EFFECTS_MAX  512
#define MEMBER_K_BATCH      (RAFT_HOST + 0)
#define MEMBER_PLACES       8           /* of its newest commands a session knows where they were applied */
#define MEMBER_K_CHECK      (RAFT_HOST + 1)

struct member_config {
    struct raft_config raft;
    uint32_t window_entries;            /* a power of two */
    uint32_t window_bytes;              /* payload kept in memory; a follower further behind gets a snapshot, or what the driver keeps */
    uint32_t batch_bytes;               /* an entry is cut at about this */
    uint32_t queue_bytes;               /* gathered, not yet in the log; BUSY beyond */
    uint32_t tickets;                   /* proposals and reads under way here, together; BUSY beyond */
    uint32_t unknown_ms;                /* a proposal without outcome ends as UNKNOWN */
    uint32_t read_ms;                   /* a read not confirmed ends as AGAIN */
    uint32_t pipeline;                  /* entries under way before commands are gathered */
    uint64_t origin;                    /* random, another one at each start */
    uint32_t hash_every;                /* entries between state hashes; 0: none. The same on all members. */
};
void member_config_default(struct member_config *c);

enum member_outcome {
    MEMBER_APPLIED = 1,
    MEMBER_DUPLICATE,       /* applied before; index, nth: where (index 0: no longer known) */
    MEMBER_NOT_APPLIED,     /* certainly not, by this proposal; err: NOT_LEADER (nobody took it), BUSY, WRONG_STATE (the
                               session is not known any more; what an earlier attempt did is not known either) */
    MEMBER_UNKNOWN
};

enum member_event_type {
    MEMBER_E_START = 1,
    MEMBER_E_CLOCK,
    MEMBER_E_MESSAGE,       /* msg, as decoded */
    MEMBER_E_APPENDED,      /* seq */
    MEMBER_E_APPLIED,       /* index */
    MEMBER_E_STATE_DURABLE, /* index: the state on disk has applied that much */
    MEMBER_E_PROPOSE,       /* ticket, session, seq, data -> verdict; later DONE */
    MEMBER_E_OPEN,          /* ticket -> verdict; later DONE, id: the session */
    MEMBER_E_READ,          /* ticket -> verdict; later READ_DONE */
    MEMBER_E_CHANGE,        /* ticket, change, n -> verdict; later DONE. On the leader only. */
    MEMBER_E_TRANSFER,      /* peer (0: the best) -> verdict */
    MEMBER_E_HASHED,        /* index, hash */
    MEMBER_E_UNREACHABLE, MEMBER_E_REACHABLE,   /* peer */
    MEMBER_E_SNAP_READY, MEMBER_E_SNAP_GONE, MEMBER_E_SNAP_STORED, MEMBER_E_SNAP_INSTALLED, MEMBER_E_SNAP_FAILED,
                            /* as in raft.h; before SNAP_INSTALLED the rows of the new state are restored, row 0 first */
    MEMBER_E_STOP,
    MEMBER_E_LOG_KEPT,      /* index, n: as in raft.h (D9) */
    MEMBER_E_LOG_BACK,      /* peer, index, term, data, n */
    MEMBER_E_FILL           /* index, data: RAFT_E_FILL -> verdict (engine/mend.h) */
};
struct member_event {
    uint8_t type;
    struct mono_ms now;
    uint32_t peer;
    uint64_t ticket;                    /* the driver's, not 0; returned, not looked at */
    uint64_t session, seq, index, term, offset;
    const struct raft_msg *msg;
    struct slice data;
    const struct raft_change *change;
    size_t n;
    struct raft_snap snap;
    struct hash32 hash;
};

enum member_effect_type {
    MEMBER_F_RAFT = 1,      /* raft: APPEND, SEND, ROLE, CONF, SNAP_*, LOG_READ, REPAIRED as in raft.h */
    MEMBER_F_APPLY,         /* index: hand out up to there; E1 */
    MEMBER_F_DONE,          /* ticket, outcome, err, index, nth; id: the session opened */
    MEMBER_F_READ_DONE,     /* ticket, err: OK: serve it from what is visible now; AGAIN otherwise; index */
    MEMBER_F_HASH,          /* index; E3 */
    MEMBER_F_QUARANTINE,    /* index, err: CORRUPT: this member's state is not the ring's; UNSUPPORTED: an entry that this program cannot apply */
    MEMBER_F_FLUSH,         /* make the state durable soon (STATE_DURABLE): the window fills with what a restart needs */
    MEMBER_F_STOPPED
};
struct member_effect {
    uint8_t type, outcome;
    enum reeve_err err;
    uint64_t ticket, index, id;
    uint32_t nth;
    const struct raft_effect *raft;     /* valid until the next step */
};
struct member_effects {
    enum reeve_err verdict;             /* not OK: the ticket was not taken, DONE will not come */
    size_t n;
    struct member_effect e[MEMBER_EFFECTS_MAX];
};

struct member;
/* Bytes of memory for that config; 0: the config is not valid. */
size_t member_size(const struct member_config *c);
enum reeve_err member_init(struct member **out, void *mem, size_t len, const struct member_config *c) REEVE_MUST_CHECK;
/*
 * Between init and START, in this order: rows of the durable state, row 0 first, if there is
 * one; entries above it in order of index (also some below it do no harm);
 * then begin with the hard state and mode. s->base_*, s->conf are taken from
 * the rows; where there are none from s. CORRUPT as raft_init.
 */
enum reeve_err member_row_restore(struct member *m, uint32_t row, struct slice value) REEVE_MUST_CHECK;
enum reeve_err member_entry_restore(struct member *m, const struct raft_entry *e) REEVE_MUST_CHECK;
enum reeve_err member_begin(struct member *m, const struct raft_start *s) REEVE_MUST_CHECK;

void member_step(struct member *m, const struct member_event *e, struct member_effects *out);
struct mono_ms member_wake(const struct member *m);

/* ---- applying ---- */
struct member_command {
    uint64_t index;                     /* the entry */
    uint32_t nth;                       /* in it, from 0 */
    uint64_t ticket;                    /* somebody here waits for it; 0: nobody */
    uint64_t session, seq;
    struct slice command;               /* borrowed until the next step */
};
/* The next command of this APPLY; false: no more. */
bool member_apply_next(struct member *m, struct member_command *out);
/* The rows of the member's own state changed since the last call round; false: no more. At most MEMBER_ROW_MAX bytes. */
#define MEMBER_ROW_MAX  (RAFT_CONF_BYTES_MAX + 128)
#define MEMBER_ROWS_MAX (1 + MEMBER_SESSIONS_MAX)
bool member_row_next(struct member *m, uint32_t *row, struct wr *out);
/* Row 0 of a state or snapshot: where it stands, and its configuration (a slice of row0) for struct raft_snap. */
enum reeve_err member_row_position(struct slice row0, uint64_t *index, uint64_t *term, struct slice *conf) REEVE_MUST_CHECK;

/* ---- looking in ---- */
const struct raft *member_raft(const struct member *m);
const struct raft_log *member_log(const struct member *m);      /* for raft_msg_encode, and the entries of an APPEND */
struct member_status { struct raft_status raft; uint64_t applied, window_first; uint64_t queued_bytes; uint32_t tickets; bool quarantined, stopping; uint64_t batches, commands, duplicates; };
void member_status(const struct member *m, struct member_status *out);
/*
 * Where the WAL may be cut: entries below are in the durable state, and the log on disk agrees with it there. (A state may be
 * durable before its own log is; until then the WAL may hold, at the same places, what the ring has overruled.)
 */
uint64_t member_wal_keep(const struct member *m);
void member_check(const struct member *m);

void member_event_describe(const struct member_event *e, struct wr *out);
void member_effect_describe(const struct member_effect *e, struct wr *out);

#endif
