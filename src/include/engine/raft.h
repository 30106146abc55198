/*
 * raft.h - one order of entries for a ring: Raft (Ongaro's dissertation, 2014)
 *
 * Sans-IO: raft_step() takes one event with the time in it and returns effects
 * in the order the driver must obey. Storage is asynchronous: APPEND goes to
 * the log and is answered by APPENDED; a message names the append that must be
 * durable before it may leave. The engine keeps no payload: entries lie in a
 * window behind struct raft_log_ops, which the host owns.
 *
 * Words: the log is entries numbered by index, each of a term; the window is
 * the newest part of it, in memory; the base is a state at (index, term) that
 * replaces all entries up to it; durable is what would survive a crash now.
 *
 * Covered: elections with PreVote and CheckQuorum (9.6, 6.2), learners (4.2.1),
 * joint consensus with automatic leave (4.3), leadership transfer (3.10), reads
 * by ReadIndex (6.4) also from followers, pipelining with windows of messages
 * and bytes, snapshots in chunks that resume (5) with the entries behind them
 * read back from where the host keeps them, entries durable on a quorum
 * committed before they are so on the leader (10.2.1), incarnations, a repair
 * of logs with holes, a leader whose disk stalls hands over.
 * Not here: lease reads, witnesses, single-server changes of voters (a joint
 * configuration is always used), what an entry means (engine/member).
 *
 * Invariants
 *  R1 At most one leader per term; a vote is durable before its answer leaves,
 *     and a candidate counts its own only when it is durable.
 *  R2 term and commit never decrease in one life; a truncation never reaches
 *     down to commit.
 *  R3 durable <= last, and durable rises only by the completion of an append
 *     whose entries are still those of the log (no ABA: scenario 19).
 *  R4 A leader commits by counting only what is of its own term, in a majority
 *     of the voters and, while joint, of the old voters as well; itself counts
 *     as far as its own log is durable.
 *  R5 The configuration in force is the newest in the log, committed or not;
 *     truncation and snapshots bring the older one back. At most one is
 *     uncommitted at a leader, which must have committed in its term first.
 *  R6 A read is answered with a commit index that was the newest when the read
 *     came, confirmed by a quorum after that, never before the leader's first
 *     commit in its term. Positions of reads are used once in a term.
 *  R7 A heartbeat's commit is at most what that peer is known to hold.
 *  R8 Every queue is bounded: appends under way (RAFT_APPENDS_MAX), messages
 *     and bytes under way per peer, reads, uncommitted bytes, effects.
 *  R9 An id is never used again; (id, incarnation) names one data directory.
 *     A message to another incarnation, or from a member under an incarnation
 *     that is not the configuration's, is dropped.
 *  R10 A member in repair or mute never campaigns; a mute one grants no vote
 *     and is not counted.
 *  R11 FILL brings a log in repair back to what it was: only right behind its last entry, only up to the end that it is known
 *     to have had, only while no leader is heard and none has added anything since the start.
 *
 * Duties of the driver
 *  D1 Effects are obeyed in order, all of them before the next event.
 *  D2 APPEND: written to the log in order of seq. reset drops the whole log,
 *     truncate_from all entries from there on, then first..last (read them from
 *     the window now) and the hard state. When it, and all before it, are durable:
 *     APPENDED with the newest such seq. A failed write ends the process.
 *  D3 SEND: encoded at once (raft_msg_encode reads entries from the window),
 *     sent when append `after` is durable; 0: at once, whatever the disk does.
 *     Losing, repeating and reordering messages is allowed. Messages that wait for
 *     durability may be dropped, never sent earlier.
 *  D4 COMMIT: entries up to index are committed. Applying is the host's matter.
 *  D5 CLOCK at or soon after raft_wake(), with a time up to which every message that had come was handed in before:
 *     silence is counted up to there, never by another event. A clock that goes back stands still.
 *  D6 Heartbeats and their answers, votes and reads are handled by something
 *     that never waits for a disk.
 *  D7 The host may drop entries from the front of the window only up to what it
 *     has applied, and it keeps answering term(first - 1).
 *  D8 SNAP_NEED is answered by SNAP_READY (or never: it is asked again);
 *     SNAP_READ by sending the message with `data` filled from the snapshot at
 *     offset, or by SNAP_GONE; SNAP_CHUNK by SNAP_STORED; SNAP_INSTALL by
 *     SNAP_INSTALLED, after the new state is durable, or SNAP_FAILED.
 *  D9 The host may keep entries that leave the window (in a file, say) for peers on their way up, and says so with
 *     LOG_KEPT: from a snapshot's index on, before SNAP_READY of it, and up to the window without a gap. What it keeps is of
 *     one leadership: with any change of role or term nothing is kept any more, and LOG_KEPT begins anew. LOG_READ is
 *     answered by LOG_BACK (or never: it is asked again). What lies below raft_needed() may be dropped.
 */
#ifndef REEVE_ENGINE_RAFT_H
#define REEVE_ENGINE_RAFT_H

#include "common/buf.h"

#define RAFT_VOTERS_MAX   7
#define RAFT_LEARNERS_MAX 4
#define RAFT_MEMBERS_MAX  (2 * RAFT_VOTERS_MAX + RAFT_LEARNERS_MAX)     /* a joint configuration of strangers */
#define RAFT_ADDR_MAX     120
#define RAFT_CONF_BYTES_MAX (16 + RAFT_MEMBERS_MAX * (RAFT_ADDR_MAX + 20))
#define RAFT_INFLIGHT_MAX 128           /* append requests under way per peer */
#define RAFT_APPENDS_MAX  256           /* appends to the own log told apart */
#define RAFT_READS_MAX    1024          /* reads not confirmed yet */
#define RAFT_ENTRY_MAX    (6u << 20)    /* payload of one entry: a block of the attested chain and some */
#define RAFT_MSG_ENTRIES_MAX 1024
#define RAFT_MSG_MAX      (8u << 20)    /* an encoded message */
#define RAFT_CHUNK_MAX    (1u << 20)
#define RAFT_EFFECTS_MAX  192
#define RAFT_CLIMB_MS     300000        /* a peer on its way up that has not moved for so long is waited for no more */
#define RAFT_CLIMB_AWAY_MS 10000        /* nor is one that was not heard for so long */
#define RAFT_CLIMB_BUSY_MS 30000        /* and proposals are refused for its sake for so long at most */
#define RAFT_CLIMB_PACE_MS 2000         /* or slowed down */

/* ---- entries and the window ---- */

enum raft_entry_kind { RAFT_EMPTY = 1, RAFT_CONF, RAFT_HOST /* and above: the host's */ };
struct raft_entry {
    uint64_t index, term;
    uint8_t kind;
    struct slice data;                  /* borrowed until the window changes */
};

/* The window as the engine sees it. Calls come only from within raft_step() and raft_init(). */
struct raft_log_ops {
    uint64_t (*first)(void *arg);       /* smallest index held; last + 1 when there is none */
    uint64_t (*last)(void *arg);
    uint64_t (*term)(void *arg, uint64_t index);                        /* first - 1 <= index <= last */
    void (*entry)(void *arg, uint64_t index, struct raft_entry *out);   /* first <= index <= last */
    bool (*room)(void *arg, size_t n, size_t bytes);                    /* do n more entries with that payload fit? */
    void (*append)(void *arg, const struct raft_entry *e);              /* at last + 1; copies; there is room */
    void (*truncate)(void *arg, uint64_t from);                         /* drops from..last */
    void (*reset)(void *arg, uint64_t index, uint64_t term);            /* drops all; index + 1 comes next */
};
struct raft_log { const struct raft_log_ops *ops; void *arg; };

/* ---- configurations ---- */

/* Roles are bits: a voter on his way out of a joint configuration is VOTER_OLD, and LEARNER if he will stay as one. */
#define RAFT_VOTER     0x01
#define RAFT_VOTER_OLD 0x02
#define RAFT_LEARNER   0x04
struct raft_member {
    uint32_t id;                        /* from 1 */
    uint64_t incarnation;
    uint8_t role;
    uint8_t addr_len;
    char addr[RAFT_ADDR_MAX];           /* opaque */
};
struct raft_conf {
    bool joint;
    uint32_t last_id;                   /* the highest id ever given (R9) */
    uint16_t n;
    struct raft_member m[RAFT_MEMBERS_MAX];     /* by id */
};
/*
 * u8 1 | u8 joint | varint last_id | u8 n | n × (varint id | u64 incarnation | u8 role | vbytes addr)
 * decode refuses what no leader would write: MALFORMED.
 */
void raft_conf_encode(const struct raft_conf *c, struct wr *out);
enum reeve_err raft_conf_decode(struct raft_conf *out, struct slice in) REEVE_MUST_CHECK;
const struct raft_member *raft_conf_find(const struct raft_conf *c, uint32_t id);   /* NULL */

/* Several steps make one change; all or none. */
enum raft_change_kind { RAFT_ADD_LEARNER = 1, RAFT_PROMOTE, RAFT_DEMOTE, RAFT_REMOVE, RAFT_READDRESS };
#define RAFT_CHANGES_MAX 8
struct raft_change { uint8_t kind; uint32_t id; uint64_t incarnation; uint8_t addr_len; char addr[RAFT_ADDR_MAX]; };
/*
 * The configuration that follows from c: joint when the voters change. Pure.
 * DUPLICATE_OBJECT, UNDEFINED_OBJECT, TOO_MANY, INVALID_VALUE (an id used
 * before, no voter left), WRONG_STATE (c is joint).
 */
enum reeve_err raft_conf_change(struct raft_conf *out, const struct raft_conf *c, const struct raft_change *ch,
                                size_t n) REEVE_MUST_CHECK;
/* The end of a joint configuration. */
void raft_conf_leave(struct raft_conf *out, const struct raft_conf *joint);

/*
 * The largest value that a majority of the voters has reached, of the old ones
 * too while joint; UINT64_MAX where there is no voter. value[i] belongs to c->m[i].
 */
uint64_t raft_conf_quorum(const struct raft_conf *c, const uint64_t *value);

/* ---- messages ---- */

enum raft_msg_type {
    RAFT_M_PREVOTE = 1, RAFT_M_PREVOTE_REPLY, RAFT_M_VOTE, RAFT_M_VOTE_REPLY,
    RAFT_M_APPEND,          /* index, log_term: the entry before; commit; n_entries */
    RAFT_M_APPEND_REPLY,    /* index: held up to there; refused: the index asked for, hint, log_term: where to try */
    RAFT_M_HEARTBEAT,       /* commit (R7), read */
    RAFT_M_HEARTBEAT_REPLY, /* read */
    RAFT_M_SNAPSHOT,        /* index, log_term, snap, size, offset, conf, data: a chunk (or none: an offer) */
    RAFT_M_SNAPSHOT_REPLY,  /* index, snap, offset: bytes held; refused: start anew */
    RAFT_M_TIMEOUT_NOW,     /* campaign at once (3.10) */
    RAFT_M_READ,            /* read: the asker's id */
    RAFT_M_READ_REPLY,      /* read, index */
    RAFT_M_HOST,            /* data: not the engine's */
    RAFT_M__COUNT
};
#define RAFT_MF_REJECT   0x01
#define RAFT_MF_TRANSFER 0x02           /* a vote asked for by the leader's wish: no lease protects him */
#define RAFT_MF_REPAIR   0x04           /* from a member in repair: what it holds may have shrunk */
#define RAFT_MF_MUTE     0x08           /* from a mute member: do not count it */
#define RAFT_MF_NOTE     0x10           /* a heartbeat that only tells the commit: no answer wanted */
struct raft_msg {
    uint8_t type, flags;
    uint32_t from, to;
    uint64_t from_incarnation, to_incarnation;
    uint64_t ring, term;
    uint64_t index, log_term, commit, hint, read;
    uint64_t snap, size, offset;
    uint32_t n_entries;
    struct slice conf;
    struct slice data;                  /* APPEND as received: the entries, encoded */
};
/*
 * u8 1 | u8 type | u8 flags | varint from, to | u64 from_incarnation, to_incarnation, ring | varint term |
 * then, by type, varints in the order above, vbytes conf and data. An entry is varint term | u8 kind | vbytes.
 * encode takes the entries of an APPEND (index + 1 ...) from the log; log may be NULL for other types, and for
 * an APPEND whose entries are in data already.
 */
void raft_msg_encode(const struct raft_msg *m, const struct raft_log *log, struct wr *out);
/* Borrows from in. Checks every bound and walks the entries. MALFORMED, TOO_BIG. */
enum reeve_err raft_msg_decode(struct raft_msg *m, struct slice in) REEVE_MUST_CHECK;
/* The next entry of an APPEND that was received; in starts as rd_of(m->data). index is not set. False at the end. */
bool raft_msg_entry(struct rd *in, struct raft_entry *out);

/* ---- the engine ---- */

/*
 * A leader that a quorum has not answered for so many election timeouts steps down. Longer than a follower waits: it helps only
 * followers that hear the leader and are not heard, and on a machine without a free core answers come late.
 */
#define RAFT_UNHEARD_ELECTIONS 4
struct raft_config {
    uint32_t id;
    uint64_t incarnation, ring;
    uint64_t seed;                      /* jitter of elections */
    uint32_t heartbeat_ms;
    uint32_t election_ms;               /* a follower campaigns after 1 to 2 of these without a leader */
    uint32_t disk_ms;                   /* a leader's oldest append may be under way that long; 0: no limit */
    uint32_t append_bytes;              /* per append request, at least one entry */
    uint32_t window_msgs, window_bytes; /* append requests under way per peer */
    uint32_t uncommitted_bytes;         /* proposals are BUSY beyond */
    uint32_t chunk_bytes;
    uint32_t promote_lag;               /* a learner at most that many entries behind may become a voter */
};
/* 30 ms heartbeats, elections after 150 to 300 ms. */
void raft_config_default(struct raft_config *c);

enum raft_start_mode {
    RAFT_START_CLEAN = 1,
    /* (last_index, last_term) is what the log held, but entries after the window's last are unreadable. It votes by what
       it held, does not campaign, and takes entries from the leader until it holds as much again. */
    RAFT_START_REPAIR,
    /* What was promised is not known: neither votes nor counts until a quorum of the other voters has been heard in a
       higher term than the one found, and it holds all that was committed then. Never, if no higher term comes: see
       docs/design/raft.md. */
    RAFT_START_MUTE
};
struct raft_start {
    uint8_t mode;
    uint64_t term, commit;              /* the hard state */
    uint32_t vote;
    uint64_t base_index, base_term;     /* the durable applied state; 0, 0: none */
    const struct raft_conf *conf;       /* in force at base_index; n == 0: waits to be added by a ring */
    uint64_t last_index, last_term;     /* REPAIR */
};

enum raft_event_type {
    RAFT_E_START = 1,       /* first, once */
    RAFT_E_CLOCK,
    RAFT_E_MESSAGE,         /* msg */
    RAFT_E_APPENDED,        /* seq */
    RAFT_E_PROPOSE,         /* kind, data -> verdict, index, term */
    RAFT_E_CHANGE,          /* change, n -> verdict, index, term */
    RAFT_E_TRANSFER,        /* peer (0: the best) -> verdict */
    RAFT_E_READ,            /* id (never used before, not before a restart either) -> verdict; then READ_OK or READ_FAILED, or nothing when messages are lost */
    RAFT_E_UNREACHABLE,     /* peer: a message to it was lost for sure. Of the leader: stand soon, if others miss it too. */
    RAFT_E_REACHABLE,       /* peer: there is a new connection to it */
    RAFT_E_SNAP_READY,      /* peer, snap */
    RAFT_E_SNAP_GONE,       /* peer: the snapshot being sent is no more */
    RAFT_E_SNAP_STORED,     /* snap.id, offset: bytes held */
    RAFT_E_SNAP_INSTALLED,  /* snap */
    RAFT_E_SNAP_FAILED,     /* snap.id */
    RAFT_E_SEND,            /* peer, data: a HOST message, at once */
    RAFT_E_BENCH,           /* n != 0: lead no more (hand over, do not campaign), until n == 0 */
    RAFT_E_LOG_KEPT,        /* index: entries from there to the window can be read back, 0: none; n != 0: there is little room
                               for more, so proposals are BUSY while a peer on its way up moves */
    RAFT_E_LOG_BACK,        /* peer, data, n: n entries as in an APPEND behind (index, term); n == 0: they cannot be read */
    RAFT_E_FILL             /* id, data: this log's own entries from index id on, encoded as in an APPEND -> verdict; R11 */
};
/* A snapshot as the host knows it. id: chosen by the sender, other bytes, other id. */
struct raft_snap { uint64_t id, index, term, size; struct slice conf; };
struct raft_event {
    uint8_t type, kind;
    struct mono_ms now;
    uint32_t peer;
    uint64_t seq, id, offset, index, term;
    const struct raft_msg *msg;         /* all borrowed during the step */
    struct slice data;
    const struct raft_change *change;
    size_t n;
    struct raft_snap snap;
};

enum raft_effect_type {
    RAFT_F_APPEND = 1,      /* append; D2 */
    RAFT_F_SEND,            /* msg, after; D3 */
    RAFT_F_COMMIT,          /* index, term: committed up to there */
    RAFT_F_ROLE,            /* role, leader, term changed */
    RAFT_F_CONF,            /* the configuration in force changed (raft_conf()), index: its entry */
    RAFT_F_TRUNCATED,       /* entries from index on are gone from the log (they may still be committed by others) */
    RAFT_F_READ_OK,         /* id, index: the read may be served from a state that has applied index */
    RAFT_F_READ_FAILED,     /* id: ask again */
    RAFT_F_SNAP_NEED,       /* peer: needs a snapshot at or above index */
    RAFT_F_SNAP_READ,       /* msg: fill data from the snapshot, at most chunk_bytes at msg.offset, and send; at once */
    RAFT_F_SNAP_CHUNK,      /* msg: store data at offset; from another (index, snap) than before: begin anew */
    RAFT_F_SNAP_INSTALL,    /* snap: complete; install it */
    RAFT_F_SNAP_DONE,       /* peer: has it or has gone; the snapshot made for it may be dropped */
    RAFT_F_HOST,            /* msg: a HOST message came */
    RAFT_F_REPAIRED,        /* the start mode is over: a full member now */
    RAFT_F_LOG_READ         /* peer: is sent entries from index on, which left the window: at most append_bytes, at least one */
};
enum raft_role { RAFT_FOLLOWER = 1, RAFT_PRECANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };
struct raft_append {
    uint64_t seq;
    bool reset;                         /* the log begins anew after (reset_index, reset_term) */
    uint64_t reset_index, reset_term;
    uint64_t truncate_from;             /* 0: nothing */
    uint64_t first, last;               /* first > last: no entries */
    uint64_t term, commit;
    uint32_t vote;
    bool fill;                          /* first..last are what the log held there (FILL): nothing behind them is superseded */
};
struct raft_effect {
    uint8_t type, role;
    uint32_t peer, leader;
    uint64_t index, term, id, after;
    struct raft_append append;
    struct raft_snap snap;
    struct raft_msg msg;
};
struct raft_effects {
    /* Of PROPOSE, CHANGE, TRANSFER, READ. NOT_LEADER, BUSY (bounded, later), AGAIN (a transfer is under way, the
       first commit of the term is awaited, another change is uncommitted), others as raft_conf_change. */
    enum reeve_err verdict;
    uint64_t index, term;
    size_t n;
    struct raft_effect e[RAFT_EFFECTS_MAX];
};

struct raft;
size_t raft_size(void);
/*
 * The log's window holds what was recovered. CORRUPT: a gap between base and
 * window, a term that does not fit; INVALID_VALUE: the config.
 */
enum reeve_err raft_init(struct raft **out, void *mem, size_t len, const struct raft_config *c,
                         const struct raft_log *log, const struct raft_start *s) REEVE_MUST_CHECK;
/* Never fails; what peers send wrongly is dropped and counted. */
void raft_step(struct raft *r, const struct raft_event *e, struct raft_effects *out);
/* When the next CLOCK is due; INT64_MAX: not before another event. */
struct mono_ms raft_wake(const struct raft *r);

const struct raft_conf *raft_conf(const struct raft *r);                /* in force */
const struct raft_conf *raft_conf_committed(const struct raft *r);
struct raft_status {
    uint8_t role, mode;                 /* mode: raft_start_mode; CLEAN once repaired */
    uint32_t leader;                    /* 0: not known */
    uint32_t vote;
    uint64_t term, commit, last, last_term, durable, conf_index;
    bool committed_in_term, transferring, disk_slow, benched;
    bool led;                           /* somebody leads, and was heard within an election's time (or leads himself) */
    uint64_t uncommitted_bytes, dropped;
};
void raft_status(const struct raft *r, struct raft_status *out);
/* As the leader sees it; false for others and strangers. */
struct raft_peer_status { uint64_t match, next, snap_offset; uint8_t state; /* 1 probe 2 replicate 3 snapshot */ struct mono_ms heard; bool mute; };
bool raft_peer_status(const struct raft *r, uint32_t id, struct raft_peer_status *out);
/*
 * The lowest index that a peer on its way up still needs: one that is sent a snapshot, or what came after it, until it is in the
 * newer half of the window. UINT64_MAX: none, or none that is heard and has moved within
 * the times above.
 */
uint64_t raft_needed(const struct raft *r);
/* Asserts the invariants that one member alone can see. raft_step does so on its way out. */
void raft_check(const struct raft *r);

/* One line each, without line end. */
void raft_msg_describe(const struct raft_msg *m, struct wr *out);
void raft_event_describe(const struct raft_event *e, struct wr *out);
void raft_effect_describe(const struct raft_effect *e, struct wr *out);
void raft_conf_describe(const struct raft_conf *c, struct wr *out);
const char *raft_role_name(uint8_t role);

#endif
