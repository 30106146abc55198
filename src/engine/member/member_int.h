/* member_int.h - a member's state and its parts' calls. */
#ifndef ENGINE_MEMBER_INT_H
#define ENGINE_MEMBER_INT_H

#include "engine/member.h"
#include "engine/raft_broken.h"

/* ---- window.c: a ring of entries, their payload in a ring of bytes, each in one piece ---- */
struct window_slot { uint64_t term, at; uint32_t len; uint8_t kind; };
struct window {
    struct window_slot *slot;           /* entry i in slot[i & mask] */
    uint8_t *bytes;
    uint64_t cap, mask, head;           /* head: where the next payload may begin, counted without end */
    uint64_t first, last, before_term;  /* before_term: of entry first - 1 */
};
extern const struct raft_log_ops member_window_ops;
void member_window_init(struct window *w, void *slots, uint32_t n_slots, void *bytes, uint32_t n_bytes);
/* Drops the oldest entries up to limit until an ordinary append request fits. */
void member_window_trim(struct window *w, uint64_t limit);
bool member_window_half_full(const struct window *w);
bool member_window_fits(const struct window *w, uint64_t slots, uint64_t bytes);

/* ---- tickets.c ---- */
#define NONE UINT32_MAX
enum ticket_state { T_FREE = 0, T_QUEUED, T_SENT, T_HANDED, T_FINISHED, T_READ_NEXT, T_READ_FLIGHT, T_READ_APPLY };
struct ticket {
    uint64_t id;                        /* the driver's */
    uint64_t index, session;
    uint64_t term;                      /* T_SENT: it may be in an entry of that term only; TERM_BLIND: not known any more */
    uint32_t nth, generation;
    uint32_t next, prev;
    uint8_t state, outcome;
    enum reeve_err err;
    struct mono_ms until;
};
struct list { uint32_t head, tail, n; };
#define TERM_BLIND UINT64_MAX

/* ---- sessions.c ---- */
struct session {
    uint64_t id, top, mask, used;       /* mask bit i: top - i was applied; used: the newest place */
    struct { uint64_t index; uint32_t nth; } place[MEMBER_PLACES];     /* of seq % MEMBER_PLACES */
};
#define SESSION_BUCKETS (2 * MEMBER_SESSIONS_MAX)

struct item { uint64_t session, seq, origin, handle; struct slice command; };

#define LIVES_HEARD 64
#define QUEUE_FRONT 20                  /* room for a header before the items */

struct member {
    struct member_config c;
    struct raft *raft;
    void *raft_mem;
    struct raft_log log;
    struct window window;
    struct mono_ms now;
    bool begun, more, quarantined, stopping, stopped;
    struct mono_ms stop_until;

    /* gathered commands, encoded: queue[start..end) */
    uint8_t *queue;
    uint32_t queue_cap, start, end, queued;
    bool purge;                         /* others' commands in the queue are of a term that is over */
    bool forwarded;                     /* bytes of the queue are borrowed until the step is obeyed */
    struct mono_ms forwarded_at;
    uint64_t forwards;                  /* batches sent on, numbered */
    struct { uint64_t origin, number; } heard[LIVES_HEARD];    /* the newest of each life of a member */
    unsigned heard_next;

    struct ticket *ticket;
    struct list free, proposals, handed_out, finished, reads_next, reads_flight, reads_apply;

    uint64_t read_id, reads_asked;      /* of the group in flight, 0: none; of the newest */
    struct mono_ms read_at;
    bool read_now;                      /* try at once */

    struct { uint64_t ticket, index, term; struct mono_ms until; } change;

    /* applying */
    uint64_t commit, handed, applied, handed_term, state_durable, target;
    uint64_t resolved_term;             /* tickets sent in terms before it have an end */
    bool applying, installing, hash_wanted, restored, flush_asked, quarantine_due, diverged;
    struct raft_conf applied_conf;
    uint64_t applied_conf_index;
    struct { bool open; struct rd in; uint32_t n, nth; } cur;
    struct raft_effect install;         /* held back while an APPLY runs */
    bool install_held;

    /* state hashes */
    struct own_hash { uint64_t index; struct hash32 hash; } own_hash[4];
#define OWN_HASHES 4
    struct { uint64_t index; bool proposed; uint16_t n; uint32_t id[RAFT_MEMBERS_MAX]; struct hash32 hash[RAFT_MEMBERS_MAX]; } poll;

    struct session session[MEMBER_SESSIONS_MAX];
    uint16_t bucket[SESSION_BUCKETS];   /* slot + 1 */
    uint8_t row_dirty[(MEMBER_ROWS_MAX + 7) / 8];
    uint32_t row_at;
    bool rows_any;

    uint64_t batches, commands, duplicates;
    uint8_t reply[16 + 16 * MEMBER_BATCH_MAX];
    uint8_t hash_msg[42];
    struct raft_effects rout;
    struct raft_effect pool[MEMBER_EFFECTS_MAX];
    size_t n_pool;
};

/* ---- member.c ---- */
struct member_effect *member_emit(struct member_effects *out, enum member_effect_type type);
/* Is there room for all that a step of raft may give out? If not the rest waits for the next step. */
bool member_tight(struct member *m, const struct member_effects *out);
/* One step of raft; its effects go out or are taken in. */
enum reeve_err member_raft_step(struct member *m, struct raft_event *e, struct member_effects *out);
/* An effect of raft that the driver obeys. */
void member_pass(struct member *m, const struct raft_effect *f, struct member_effects *out);
bool member_leads(const struct member *m);
void member_quarantine(struct member *m, uint64_t index, enum reeve_err why, struct member_effects *out);

/* ---- batch.c ---- */
/* Takes one item off; false at the end or when malformed (in->bad). */
bool member_item_next(struct rd *in, struct item *out);
bool member_batch_open(struct slice entry, struct rd *in, uint32_t *n);
bool member_queue_room(const struct member *m, size_t bytes);
void member_queue_put(struct member *m, const struct item *it);
void member_queue_rewind(struct member *m);
/* Of a queue that nobody borrows from: what is not an open ticket's of this member goes. */
void member_queue_purge(struct member *m);
void member_queue_pump(struct member *m, struct member_effects *out);
bool member_queue_gathering(const struct member *m);
size_t member_item_size(const struct item *it);

/* ---- tickets.c ---- */
void member_tickets_init(struct member *m);
uint32_t member_ticket_new(struct member *m, uint64_t id, struct list *l, enum ticket_state state, uint32_t ms);    /* NONE: full */
void member_ticket_move(struct member *m, uint32_t t, struct list *to, enum ticket_state state);
void member_ticket_finish(struct member *m, uint32_t t, enum member_outcome outcome, enum reeve_err err);
/* The own ticket that an item belongs to; NONE. */
uint32_t member_ticket_of(const struct member *m, const struct item *it);
uint64_t member_ticket_handle(const struct member *m, uint32_t t);
void member_tickets_expire(struct member *m);
/* Entries of that term are applied: what was sent in an earlier one and is not applied by now never will be. */
void member_tickets_resolve(struct member *m, uint64_t term);
/* A state was installed whose last entry is of that term: what is in it was not seen here. */
void member_tickets_blind(struct member *m, uint64_t term);
void member_tickets_flush(struct member *m, struct member_effects *out);
struct mono_ms member_tickets_wake(const struct member *m);

/* ---- forward.c ---- */
void member_on_host(struct member *m, const struct raft_msg *msg, struct member_effects *out);
void member_send(struct member *m, uint32_t to, struct slice data, struct member_effects *out);

/* ---- reads.c ---- */
void member_on_read(struct member *m, const struct member_event *e, struct member_effects *out);
void member_read_answer(struct member *m, const struct raft_effect *f);
void member_reads_pump(struct member *m, struct member_effects *out);

/* ---- apply.c ---- */
void member_apply_pump(struct member *m, struct member_effects *out);
void member_on_applied(struct member *m, uint64_t index, struct member_effects *out);
void member_on_hashed(struct member *m, const struct member_event *e, struct member_effects *out);
void member_hash_heard(struct member *m, uint32_t from, uint64_t index, const struct hash32 *h, struct member_effects *out);
void member_row_touch(struct member *m, uint32_t row);
void member_change_check(struct member *m, struct member_effects *out);

/* ---- sessions.c ---- */
enum verdict { FRESH = 1, DUPLICATE, FORGOTTEN, EXPIRED };
enum verdict member_session_apply(struct member *m, const struct item *it, uint64_t index, uint32_t nth, uint64_t *where, uint32_t *where_nth);
uint64_t member_session_open(struct member *m, uint64_t index, uint32_t nth);
void member_sessions_clear(struct member *m);
void member_session_encode(const struct session *s, struct wr *out);
enum reeve_err member_session_restore(struct member *m, uint32_t slot, struct slice value) REEVE_MUST_CHECK;

#endif
