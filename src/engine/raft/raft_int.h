/* raft_int.h - the engine's state and its parts' calls. */
#ifndef ENGINE_RAFT_INT_H
#define ENGINE_RAFT_INT_H

#include "engine/raft.h"
#include "engine/raft_broken.h"

/* A step stops giving out what can wait when only this many effects are left; the rest comes with the next one. */
#define EFFECTS_RESERVE 96

enum progress_state { PROBE = 1, REPLICATE, SNAPSHOT };
struct inflight { uint64_t last; uint32_t bytes; };

/*
 * What the leader knows of one peer.
 *  PROBE     its log's end is not known: one request at a time
 *  REPLICATE requests follow each other within the windows; next runs ahead of match
 *  SNAPSHOT  it is behind the window: chunks, no entries
 */
struct progress {
    uint32_t id;                        /* 0: free */
    uint8_t state;
    bool paused;                        /* PROBE: a request is out */
    bool mute, repair;
    uint64_t match, next;
    uint64_t read_ack;                  /* newest position echoed in this term */
    uint64_t commit_told;
    struct mono_ms heard;               /* last answer in this term */
    struct inflight flight[RAFT_INFLIGHT_MAX];
    uint16_t flight_head, flight_n;
    uint32_t flight_bytes;
    struct {
        bool have;
        uint64_t id, index, term, size, offset;
        uint16_t conf_len;
        struct mono_ms at;              /* asked or sent last */
        uint8_t conf[RAFT_CONF_BYTES_MAX];
    } snap;
};

struct pending_append { uint64_t seq, last; struct mono_ms since; };
struct pending_read { uint64_t position, id, index; uint32_t from; };

struct raft {
    struct raft_config c;
    struct raft_log log;
    struct mono_ms now;
    bool started, more;
    uint64_t rng;

    /* hard state, and the append that makes it durable */
    uint64_t term, commit;
    uint32_t vote;
    bool hard_dirty;
    uint64_t hard_seq;

    uint8_t role, mode;
    uint32_t leader;
    struct mono_ms election_at;         /* campaign then */
    struct mono_ms leader_heard;
    struct { uint32_t id; uint64_t incarnation; } caller, lord;    /* who sent this message; the leader */
    uint8_t votes[RAFT_MEMBERS_MAX];    /* by place in conf: 0 nothing, 1 granted, 2 refused */

    /* appends.c */
    struct raft_append ap;              /* of this step, when ap_dirty */
    bool ap_dirty;
    uint64_t seq, done_seq, durable;
    struct pending_append pending[RAFT_APPENDS_MAX];
    uint16_t pending_head, pending_n;

    /* confs.c */
    struct raft_conf conf, committed_conf;
    uint64_t conf_index, committed_conf_index;
    bool conf_told;

    /* leader */
    struct progress peer[RAFT_MEMBERS_MAX];
    struct mono_ms heartbeat_at;
    uint64_t term_start;                /* index of the term's first entry */
    uint64_t uncommitted_bytes;
    uint64_t read_position;
    struct { uint32_t to; bool told; struct mono_ms until; } transfer;

    struct pending_read read[RAFT_READS_MAX];
    uint16_t read_head, read_n;
    bool reads_void;                    /* what waits is given up */

    /* a snapshot coming in */
    struct { bool have, asked; uint32_t from; uint64_t id, index, term, size, offset; uint16_t conf_len;
             uint8_t conf[RAFT_CONF_BYTES_MAX]; } in;

    /* repair.c */
    uint64_t shadow_index, shadow_term; /* REPAIR: the end of what it once held */
    uint64_t start_term;
    uint64_t heard_term[RAFT_MEMBERS_MAX];
    uint32_t heard_id[RAFT_MEMBERS_MAX];
    uint64_t mute_target;               /* hold that much before being released; 0: not known */

    /* as told by the last effects */
    uint8_t told_role;
    uint32_t told_leader;
    uint64_t told_term, told_commit;
    uint64_t dropped;
};

/* ---- the log behind its table ---- */
static inline uint64_t log_first(const struct raft *r) { return r->log.ops->first(r->log.arg); }
static inline uint64_t log_last(const struct raft *r) { return r->log.ops->last(r->log.arg); }
static inline uint64_t log_term(const struct raft *r, uint64_t i) { return r->log.ops->term(r->log.arg, i); }
static inline bool log_has_term(const struct raft *r, uint64_t i) { return i + 1 >= log_first(r) && i <= log_last(r); }
static inline uint64_t log_last_term(const struct raft *r) { return log_term(r, log_last(r)); }
static inline struct raft_entry log_entry(const struct raft *r, uint64_t i)
{
    struct raft_entry e;
    r->log.ops->entry(r->log.arg, i, &e);
    return e;
}
static inline bool log_room(const struct raft *r, size_t n, size_t bytes) { return r->log.ops->room(r->log.arg, n, bytes); }
/* The largest index <= i whose term is at most term; not below floor. */
uint64_t log_back_to_term(const struct raft *r, uint64_t i, uint64_t term, uint64_t floor);

/* ---- effects.c ---- */
struct raft_effect *emit(struct raft_effects *out, enum raft_effect_type type);
bool effects_tight(struct raft *r, const struct raft_effects *out);     /* sets more */
/* A message of our term to that member; after: 0 or an append. */
struct raft_msg *emit_msg(struct raft *r, struct raft_effects *out, enum raft_msg_type type, uint32_t to, uint64_t after);

/* ---- appends.c ---- */
void append_entry(struct raft *r, const struct raft_entry *e);
void append_truncate(struct raft *r, uint64_t from, struct raft_effects *out);
void append_reset(struct raft *r, uint64_t index, uint64_t term);
void hard_set(struct raft *r, uint64_t term, uint32_t vote);
/* The append after which index (the hard state) is durable; 0: it is. */
uint64_t append_after_index(const struct raft *r, uint64_t index);
uint64_t append_after_hard(const struct raft *r);
void append_flush(struct raft *r, struct raft_effects *out);
void append_done(struct raft *r, uint64_t seq);
bool disk_slow(const struct raft *r, uint32_t ms);

/* ---- role.c ---- */
void become_follower(struct raft *r, uint64_t term, uint32_t leader);
void become_leader(struct raft *r, struct raft_effects *out);
void role_tell(struct raft *r, struct raft_effects *out);
bool is_voter(const struct raft_conf *c, uint32_t id);

/* ---- election.c ---- */
void election_rearm(struct raft *r);
bool may_campaign(const struct raft *r);
void campaign(struct raft *r, bool transfer, struct raft_effects *out);
void campaign_prevote(struct raft *r, struct raft_effects *out);
void election_clock(struct raft *r, struct raft_effects *out);
void election_vote_durable(struct raft *r, struct raft_effects *out);
void on_vote_request(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void on_vote_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out);

/* ---- replicate.c ---- */
struct progress *progress_of(struct raft *r, uint32_t id);      /* NULL */
void progress_sync(struct raft *r, bool anew);
void progress_probe(struct progress *p, uint64_t next);
void progress_acked(struct progress *p, uint64_t index);        /* frees requests up to there */
void replicate_peer(struct raft *r, struct progress *p, struct raft_effects *out);
void replicate_empty(struct raft *r, struct progress *p, struct raft_effects *out);
void replicate_all(struct raft *r, struct raft_effects *out);
void heartbeat_peer(struct raft *r, struct progress *p, struct raft_effects *out);
void heartbeat_all(struct raft *r, struct raft_effects *out);
void leader_clock(struct raft *r, struct raft_effects *out);

/* ---- follow.c, answers.c ---- */
void on_append(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void on_heartbeat(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void on_append_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void on_heartbeat_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void follow_heard(struct raft *r, uint32_t leader);

/* ---- commit.c ---- */
void commit_to(struct raft *r, uint64_t index);
void commit_count(struct raft *r);
void commit_tell(struct raft *r, struct raft_effects *out);
bool committed_in_term(const struct raft *r);

/* ---- confs.c ---- */
void conf_take(struct raft *r, const struct raft_entry *e);
void conf_rollback(struct raft *r, uint64_t from);
void conf_commit(struct raft *r, uint64_t before);
void conf_install(struct raft *r, uint64_t index, const struct raft_conf *c);
enum reeve_err confs_init(struct raft *r, const struct raft_conf *c, uint64_t index);

/* ---- change.c ---- */
void on_change(struct raft *r, const struct raft_event *e, struct raft_effects *out);
void on_transfer(struct raft *r, uint32_t to, struct raft_effects *out);
void transfer_check(struct raft *r, struct raft_effects *out);
void change_leave(struct raft *r);
void change_retire(struct raft *r, struct raft_effects *out);
void leader_append(struct raft *r, uint8_t kind, struct slice data);
uint32_t transfer_best(struct raft *r);
void transfer_begin(struct raft *r, uint32_t to, struct raft_effects *out);
void timeout_now(struct raft *r, uint32_t to, struct raft_effects *out);

/* ---- reads.c ---- */
void on_read(struct raft *r, uint64_t id, struct raft_effects *out);
void on_read_request(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void on_read_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void reads_confirm(struct raft *r, struct raft_effects *out);
void reads_drop(struct raft *r);
void reads_flush(struct raft *r, struct raft_effects *out);

/* ---- snapshot.c ---- */
void snapshot_want(struct raft *r, struct progress *p, struct raft_effects *out);
void snapshot_resend(struct raft *r, struct progress *p, struct raft_effects *out);
void on_snap_ready(struct raft *r, const struct raft_event *e, struct raft_effects *out);
void on_snap_gone(struct raft *r, uint32_t peer, struct raft_effects *out);
void on_snapshot_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void snapshot_done(struct raft *r, struct progress *p, struct raft_effects *out);
void on_snapshot(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void on_snap_stored(struct raft *r, const struct raft_event *e, struct raft_effects *out);
void on_snap_installed(struct raft *r, const struct raft_event *e, struct raft_effects *out);
void on_snap_failed(struct raft *r, const struct raft_event *e, struct raft_effects *out);

/* ---- repair.c ---- */
void repair_check(struct raft *r, struct raft_effects *out);
void repair_heard(struct raft *r, const struct raft_msg *m);
void repair_clock(struct raft *r, struct raft_effects *out);
uint8_t repair_flags(const struct raft *r);
void vote_position(const struct raft *r, uint64_t *index, uint64_t *term);

static inline struct mono_ms later(struct mono_ms t, uint32_t ms) { return (struct mono_ms){ t.ms + ms }; }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

#endif
