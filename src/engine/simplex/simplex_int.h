/* simplex_int.h - the engine's state: a window of views, votes by validator. */
#ifndef ENGINE_SIMPLEX_INT_H
#define ENGINE_SIMPLEX_INT_H

#include "engine/simplex.h"
#include "engine/simplex_broken.h"

#define WINDOW (2 * SIMPLEX_VIEWS_AHEAD)
/* The rules stop here and go on in the next step: a commit and the timers always find room. */
#define EFFECTS_SOFT_MAX (SIMPLEX_EFFECTS_MAX - WINDOW - 8)

struct cast { bool have; struct simplex_block b; struct sig64 sig; };
enum check_state { CHECK_NONE, CHECK_ASKED, CHECK_OK, CHECK_BAD };

/* One view. A slot is reused when the window moves. */
struct slot {
    uint64_t view;
    struct cast offer[SIMPLEX_VALIDATORS_MAX];      /* proposals, the first of each validator */
    struct cast notarize[SIMPLEX_VALIDATORS_MAX];
    struct cast finalize[SIMPLEX_VALIDATORS_MAX];
    struct cast nullify[SIMPLEX_VALIDATORS_MAX];
    uint16_t n_cast[SX_FINALIZE + 1];               /* how many of each kind there are, by type */
    bool notarized, nullified, finalized;           /* certificates held */
    struct simplex_block notar;                     /* of Notar or Final */
    /* what we did; "asked" stays true whatever the signer answers */
    bool given_up;                                  /* OVERDUE: no vote for his block */
    bool built;                                     /* in this life: we hold the content and know it valid */
    bool asked_build, asked_propose, asked_notarize, asked_nullify, asked_finalize;
    struct simplex_block mine;                      /* what we notarized */
    uint8_t check;
    struct simplex_block checking;
};

struct simplex {
    struct simplex_config c;
    unsigned q;
    bool started, work, overdue;
    bool more;                                      /* the last step stopped at EFFECTS_SOFT_MAX */
    struct mono_ms now;
    uint64_t view;
    struct simplex_block committed;
    uint16_t committed_leader;
    struct slot slot[WINDOW];
    /*
     * Views between committed and the window: the newest notarized one, if any; and whether all views after it (after
     * committed, if there is none) up to the window are nullified.
     */
    struct simplex_block old;
    uint16_t old_leader;
    bool old_known, gap_nullified;
    uint64_t sworn_from, sworn_to;                  /* own votes of these views did not fit the window at a restart */
    uint32_t failed;                                /* R4: doubles the timeout */
    bool timing;
    struct mono_ms timer_from, entered, heard, beat, commit_at, moved, helped, wanted;
    struct mono_ms unbuilt;                         /* the host could not build on a notarized block */
    struct simplex_block behind;                    /* final, but not committable here; view 0: none */
    struct slot final_slot;                         /* votes of the newest Final, after its slot is gone */
    uint64_t dropped;
    uint8_t blamed[SIMPLEX_VALIDATORS_MAX / 8];     /* EVIDENCE was told */
};

/* ---- slots.c ---- */
struct slot *slot_of(const struct simplex *s, uint64_t view);      /* NULL outside the window */
uint64_t window_first(const struct simplex *s);
/* Makes the window start at first (never moves back). */
void window_move(struct simplex *s, uint64_t first);
void window_committed(struct simplex *s, const struct simplex_block *b);
bool block_eq(const struct simplex_block *a, const struct simplex_block *b);
bool is_notarized(const struct simplex *s, uint64_t view, const struct hash32 *hash);
bool is_nullified(const struct simplex *s, uint64_t view);
/* Who leads view on top of the parent of that view; -1 where the parent's leader is not known. */
int leader_on(const struct simplex *s, uint64_t parent_view, uint64_t view);
/* The newest notarized block below the current view. */
struct simplex_block best_parent(const struct simplex *s);
/* Leader of the current view as we see it; -1 unknown. */
int leader_now(const struct simplex *s);

/* ---- votes.c ---- */
unsigned quorum_of(unsigned n);
/* Stores a verified vote; true when it is new. */
bool vote_store(struct simplex *s, const struct simplex_vote *v, uint16_t signer, const struct sig64 *sig,
                struct simplex_effects *out);
/* Takes in a verified certificate. */
void cert_store(struct simplex *s, const struct simplex_cert *c, struct simplex_effects *out);
/* The block that q votes of that kind name; false when there is none. */
bool quorum_for(const struct simplex *s, const struct slot *t, enum simplex_type type, struct simplex_block *b);
void cert_build(const struct simplex *s, const struct slot *t, enum simplex_type type, const struct simplex_block *b,
                struct simplex_cert *out);

/* ---- rules.c ---- */
/* Follows the rules until nothing more happens. */
void rules_run(struct simplex *s, struct simplex_effects *out);
/* S1 across a restart: not in a view whose own votes we may have forgotten. */
bool may_vote(const struct simplex *s, uint64_t view);
void nullify_ask(struct simplex *s, struct slot *t, struct simplex_effects *out);

/* ---- timers.c ---- */
void timers_enter_view(struct simplex *s);
void timers_committed(struct simplex *s);
bool has_work(const struct simplex *s);
bool tick_due(const struct simplex *s);
/* A notarized block does not become final by itself: time to build on it. */
bool stalled(const struct simplex *s);
/* The same, and when the host could not, it has had time. */
bool may_build_on_notarized(const struct simplex *s);
/* A peer votes in a view we have left: show him what lies there, seldom. */
void help(struct simplex *s, struct simplex_effects *out);
/* A peer speaks of a view beyond the window: certificates are missing here. */
void want(struct simplex *s, struct simplex_effects *out);
void timers_run(struct simplex *s, struct simplex_effects *out);

/* ---- effects ---- */
void emit(struct simplex_effects *out, enum simplex_effect_type type, const struct simplex_vote *v);
void emit_signed(struct simplex_effects *out, enum simplex_effect_type type, const struct simplex_vote *v,
                 const struct sig64 *sig);
struct simplex_vote vote_view(enum simplex_type type, uint64_t view);
struct simplex_vote vote_block(enum simplex_type type, const struct simplex_block *b);

#endif
