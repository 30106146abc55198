/*
 * driver_int.h - what the region does by itself
 *
 * Each part is a function that looks at one snapshot and proposes or submits
 * at most what its own bound allows; what it asked for comes back as changed
 * state, never as memory. So a restart, or another leader, goes on from the
 * store alone.
 */
#ifndef REEVE_BACKEND_RING_DRIVER_INT_H
#define REEVE_BACKEND_RING_DRIVER_INT_H

#include "backend/ring/ring_int.h"
#include "common/text.h"

#define DRIVER_ACTOR "reeve"

/* first.c: the region's own REGION object, once */
struct first { bool done, asked; int64_t retry_ms; };
void first_run(struct ring *r, struct first *f, struct ring_view *v);

/* rollouts.c: running rollouts of this region step by step */
#define ROLLOUTS_RUNNING_MAX 256
struct rollout_run {
    uint64_t id;
    bool asked;                     /* a step is under way */
    int64_t wake_ms, retry_ms;      /* wall clock */
    int64_t missing_ms;             /* since when it waits for other regions' counts; 0: it does not */
};
struct rollouts {
    struct rollout_run run[ROLLOUTS_RUNNING_MAX];
    size_t n;
    bool scanned;                   /* the table was read once; then blocks tell */
};
void rollouts_run(struct ring *r, struct rollouts *s, struct ring_view *v);
void rollouts_block(struct ring *r, struct rollouts *s, const struct slice *leaves, size_t n);

/* shared.c: this region's part in rollouts of others */
struct shared_rollouts *shared_new(void);
void shared_free(struct shared_rollouts *s);
/* A version of a rollout that another region owns. */
void shared_consider(struct ring *r, const struct rollout_doc *d);
void shared_run(struct ring *r, struct ring_view *v);
void shared_slow(struct ring *r, struct ring_view *v);

/* renew.c: certificates past their renewal time get a new generation and a rollout */
struct renew;
struct renew *renew_new(void);
void renew_free(struct renew *n);
void renew_run(struct ring *r, struct renew *n, struct ring_view *v);

/* conflog.c: the log of config changes is attested */
struct conflog { bool asked; int64_t retry_ms; };
void conflog_run(struct ring *r, struct conflog *c, struct ring_view *v);

/* expiry.c: what is about to end unrenewed is an issue */
void expiry_run(struct ring *r, struct ring_view *v);

/* health.c: a member that is away or behind is an issue of the leader's, a slow disk one of its own member's */
void members_run(struct ring *r, struct ring_view *v);
void health_run(struct ring *r, struct ring_view *v);

/* kin.c: signing keys of members that joined */
struct kin *kin_new(void);
void kin_free(struct kin *k);
void kin_run(struct ring *r, struct ring_view *v);
void kin_note_name(struct name *out, uint32_t member);
/*
 * The highest id that the region's state names a member by, in the object or in notes: a restored state names those of
 * another ring, and no newcomer may be taken for one of them.
 */
uint32_t kin_last_id(struct ring *r, struct ring_view *v);
/* A note to the other members, of at most REGION_NOTE_MAX bytes; empty: it goes. */
enum reeve_err note_put(struct ring *r, const struct name *name, struct slice bytes) REEVE_MUST_CHECK;

/* inter.c: intermediates of members under the region's authorities */
struct inter *inter_new(void);
void inter_free(struct inter *n);
void inter_run(struct ring *r, struct ring_view *v);
/* The highest id of a member that an authority lists an intermediate of. */
uint32_t inter_last_id(struct ring *r, struct ring_view *v);

/* share.c: keys of shared certificates, brought to all members' signers */
struct share *share_new(void);
void share_free(struct share *s);
void share_run(struct ring *r, struct ring_view *v);

/* liveshare.c */
struct liveshare *liveshare_new(void);
void liveshare_free(struct liveshare *s);
void liveshare_run(struct ring *r, struct ring_view *v);

/* livewatch.c: LIVE, LATE, LOST */
struct livewatch *livewatch_new(void);
void livewatch_free(struct livewatch *w);
void livewatch_run(struct ring *r, struct livewatch *w, struct ring_view *v);
bool livewatch_is_live(void *ring, uint32_t ordinal);

/* culprit.c */
void culprits_run(struct ring *r, struct ring_view *v);

/* issue.c */
struct issue_row;
/* Raises or, with severity 0, clears; nothing is proposed when it stands so already. */
void issue_set(struct ring *r, struct ring_view *v, const char *kind, const struct name *object, uint8_t severity,
               const char *message, const char *hint);

#endif
