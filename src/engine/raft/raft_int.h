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
 *  SNAPSHOT  it is behind the window and what is kept before it: chunks, no entries
 * Climbing: from a snapshot until it is in the newer half of the window (kept.c).
 */
struct progress {
    uint32_t id;                        /* 0: free */
    uint8_t state;
    bool paused;                        /* PROBE: a request is out */
    bool mute, repair;
    bool climbing, reading;             /* reading: entries that left the window were asked of the host */
    struct mono_ms moved, read_at;      /* when it last took something, while climbing; when the host was asked */
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
    struct mono_ms listened;            /* D5: what had come by then was handed in, so silence is counted up to there */
    bool started, more, benched;
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
    bool leader_lost;                   /* the connection to it broke, and it was not heard since */
    struct mono_ms lost_at;             /* the first such news of this while, and how many */
    uint8_t lost_n;
    bool excused;                       /* this silence may be ours: it was given a heartbeat's time more, once */
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
    uint64_t kept;                      /* entries from there on can be read back; 0: what is in the window */
    bool kept_full;
    int64_t credit;                     /* bytes that may be proposed while somebody is climbing */

    struct pending_read read[RAFT_READS_MAX];
    uint16_t read_head, read_n;
    bool reads_void;                    /* what waits is given up */

    /* a snapshot coming in */
    struct { bool have, asked; uint32_t from; uint64_t id, index, term, size, offset; uint16_t conf_len;
             uint8_t conf[RAFT_CONF_BYTES_MAX]; } in;

    /* repair.c */
    uint64_t shadow_index, shadow_term; /* REPAIR: the end of what it once held */
    bool own;                           /* REPAIR: the log is the beginning of that one: no leader has changed it yet */
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
uint64_t raft_log_back_to_term(const struct raft *r, uint64_t i, uint64_t term, uint64_t floor);

/* ---- effects.c ---- */
struct raft_effect *raft_emit(struct raft_effects *out, enum raft_effect_type type);
bool raft_effects_tight(struct raft *r, const struct raft_effects *out);     /* sets more */
/* A message of our term to that member; after: 0 or an append. */
struct raft_msg *raft_emit_msg(struct raft *r, struct raft_effects *out, enum raft_msg_type type, uint32_t to, uint64_t after);

/* ---- appends.c ---- */
void raft_append_entry(struct raft *r, const struct raft_entry *e);
void raft_append_truncate(struct raft *r, uint64_t from, struct raft_effects *out);
void raft_append_reset(struct raft *r, uint64_t index, uint64_t term);
void raft_hard_set(struct raft *r, uint64_t term, uint32_t vote);
/* The append after which index (the hard state) is durable; 0: it is. */
uint64_t raft_append_after_index(const struct raft *r, uint64_t index);
uint64_t raft_append_after_hard(const struct raft *r);
void raft_append_flush(struct raft *r, struct raft_effects *out);
void raft_append_done(struct raft *r, uint64_t seq);
bool raft_disk_slow(const struct raft *r, uint32_t ms);

/* ---- role.c ---- */
void raft_become_follower(struct raft *r, uint64_t term, uint32_t leader);
void raft_become_leader(struct raft *r);
void raft_role_tell(struct raft *r, struct raft_effects *out);
bool raft_is_voter(const struct raft_conf *c, uint32_t id);

/* ---- election.c ---- */
void raft_election_rearm(struct raft *r);
/* CLOCK: up to when all was handed in. */
void raft_election_listened(struct raft *r, struct mono_ms upto);
struct mono_ms raft_election_wake(const struct raft *r);
/* The connection to the leader broke. */
void raft_election_leader_lost(struct raft *r);
bool raft_may_campaign(const struct raft *r);
bool raft_led(const struct raft *r);
void raft_campaign(struct raft *r, bool transfer, struct raft_effects *out);
void raft_campaign_prevote(struct raft *r, struct raft_effects *out);
void raft_election_clock(struct raft *r, struct raft_effects *out);
void raft_election_vote_durable(struct raft *r, struct raft_effects *out);
void raft_on_vote_request(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void raft_on_vote_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out);

/* ---- replicate.c ---- */
struct progress *raft_progress_of(struct raft *r, uint32_t id);      /* NULL */
void raft_progress_sync(struct raft *r, bool anew);
void raft_progress_excuse(struct raft *r, int64_t ms);
void raft_progress_probe(struct progress *p, uint64_t next);
void raft_progress_acked(struct progress *p, uint64_t index);        /* frees requests up to there */
void raft_replicate_peer(struct raft *r, struct progress *p, struct raft_effects *out);
void raft_replicate_empty(struct raft *r, struct progress *p, struct raft_effects *out);
void raft_replicate_all(struct raft *r, struct raft_effects *out);
void raft_heartbeat_peer(struct raft *r, struct progress *p, uint8_t flags, struct raft_effects *out);
void raft_heartbeat_all(struct raft *r, struct raft_effects *out);
void raft_leader_clock(struct raft *r, struct raft_effects *out);

void raft_replicate_kept(struct raft *r, struct progress *p, const struct raft_event *e, struct raft_effects *out);

/* ---- kept.c ---- */
/* The smallest index that can be sent: in the window, or kept before it. */
uint64_t raft_kept_first(const struct raft *r);
void raft_on_log_kept(struct raft *r, const struct raft_event *e);
void raft_on_log_back(struct raft *r, const struct raft_event *e, struct raft_effects *out);
void raft_kept_ask(struct raft *r, struct progress *p, struct raft_effects *out);
/* What was sent is not answered, and nothing else would find that out. */
bool raft_kept_lost(const struct raft *r, const struct progress *p);
void raft_climb_begin(struct raft *r, struct progress *p);
/* It holds bytes more: as much as half of that may be proposed. */
void raft_climb_moved(struct raft *r, struct progress *p, uint64_t bytes);
bool raft_climb_busy(const struct raft *r);

/* ---- follow.c, answers.c ---- */
void raft_on_append(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void raft_on_heartbeat(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void raft_on_append_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void raft_on_heartbeat_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void raft_follow_heard(struct raft *r, uint32_t leader);

/* ---- commit.c ---- */
void raft_commit_to(struct raft *r, uint64_t index);
void raft_commit_count(struct raft *r);
void raft_commit_tell(struct raft *r, struct raft_effects *out);
bool raft_committed_in_term(const struct raft *r);

/* ---- confs.c ---- */
void raft_conf_take(struct raft *r, const struct raft_entry *e);
void raft_conf_rollback(struct raft *r, uint64_t from);
void raft_conf_commit(struct raft *r, uint64_t before);
void raft_conf_install(struct raft *r, uint64_t index, const struct raft_conf *c);
enum reeve_err raft_confs_init(struct raft *r, const struct raft_conf *c, uint64_t index);

/* ---- change.c ---- */
void raft_on_change(struct raft *r, const struct raft_event *e, struct raft_effects *out);
void raft_on_transfer(struct raft *r, uint32_t to, struct raft_effects *out);
void raft_transfer_check(struct raft *r, struct raft_effects *out);
void raft_change_leave(struct raft *r);
void raft_change_retire(struct raft *r, struct raft_effects *out);
void raft_leader_append(struct raft *r, uint8_t kind, struct slice data);
uint32_t raft_transfer_best(struct raft *r);
void raft_transfer_begin(struct raft *r, uint32_t to, struct raft_effects *out);
void raft_timeout_now(struct raft *r, uint32_t to, struct raft_effects *out);

/* ---- reads.c ---- */
void raft_on_read(struct raft *r, uint64_t id, struct raft_effects *out);
void raft_on_read_request(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void raft_on_read_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void raft_reads_confirm(struct raft *r, struct raft_effects *out);
void raft_reads_drop(struct raft *r);
void raft_reads_flush(struct raft *r, struct raft_effects *out);

/* ---- snapshot.c ---- */
void raft_snapshot_want(struct raft *r, struct progress *p, struct raft_effects *out);
void raft_snapshot_resend(struct raft *r, struct progress *p, struct raft_effects *out);
void raft_on_snap_ready(struct raft *r, const struct raft_event *e, struct raft_effects *out);
void raft_on_snap_gone(struct raft *r, uint32_t peer, struct raft_effects *out);
void raft_on_snapshot_reply(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void raft_snapshot_done(struct raft *r, struct progress *p, struct raft_effects *out);
void raft_on_snapshot(struct raft *r, const struct raft_msg *m, struct raft_effects *out);
void raft_on_snap_stored(struct raft *r, const struct raft_event *e, struct raft_effects *out);
void raft_on_snap_installed(struct raft *r, const struct raft_event *e, struct raft_effects *out);
void raft_on_snap_failed(struct raft *r, const struct raft_event *e, struct raft_effects *out);

/* ---- repair.c ---- */
void raft_repair_check(struct raft *r, struct raft_effects *out);
void raft_repair_heard(struct raft *r, const struct raft_msg *m);
void raft_repair_clock(struct raft *r, struct raft_effects *out);
uint8_t raft_repair_flags(const struct raft *r);
void raft_on_fill(struct raft *r, const struct raft_event *e, struct raft_effects *out);
void raft_append_is_fill(struct raft *r);
void raft_vote_position(const struct raft *r, uint64_t *index, uint64_t *term);

static inline struct mono_ms later(struct mono_ms t, uint32_t ms) { return (struct mono_ms){ t.ms + ms }; }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

#endif
