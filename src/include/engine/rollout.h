/*
 * rollout.h - staged introduction of a change: spec, plan, decision
 *
 * Three forms of one thing:
 *   spec      what an operator asked for (shares, counts, bakes, gates), also
 *             the stored form of a strategy;
 *   doc       the plan in absolute numbers plus its progress: the payload of an
 *             attested ROLLOUT object;
 *   decision  what the engine says should happen next, given time and counts.
 * The engine decides nothing in secret: validators recompute every decision
 * from the doc, header times and region-signed counts (rollout_check_step).
 *
 * Cohort: the first 53 bits of SHA-256(object name || 00 || node id text), an
 * integer below 2^53, nested and stable. A node is in wave w iff it satisfies
 * the predicate and cohort < bound[its region][w]; bounds never decrease in w.
 *
 * Invariants
 *  R1 bounds are non-decreasing over waves and <= 2^53; the last wave of a plan to 100% has 2^53.
 *  R2 wave (count of opened waves) never decreases; it grows by one at a time unless promoted.
 *  R3 no wave opens before its predecessor's bake time has passed by header time
 *     (lengthened by twice the skew of the validators' clocks, engine/attest.h), except by promotion.
 *  R4 terminal states never change.
 *  R5 a gate with fewer than min(sample, counted nodes of the opened waves) answers never fires.
 *  R6 nodes with ordinal >= ordinal_max of their region take part but are not counted.
 *  R7 `succeeded` means to_gen for every node that matches; rolling_back and every other end
 *     (rolled_back, rollback_failed, canceled, expired) mean from_gen for everybody. In between,
 *     exactly the nodes of the opened waves have to_gen, paused or not.
 *  R8 a step of a shared rollout goes on only with the counts of every region that has an opened wave and is not frozen.
 *
 * Which update carries which state (engine/rollout/step.c draws the machine)
 *  version 1     planned (awaiting_approval with approvals > 0), opened 0, counts zero.
 *  a new wave    running, opened + 1, fired_gate 0. A rollout of one wave may go running -> succeeded.
 *  baking        the newest wave's nodes answered, its bake is not over; or MANUAL waits for PROMOTE.
 *  waiting_window the next wave is due but the window is shut; also between waves.
 *  a gate        rolling_back or paused, fired_gate = its 1-based index, counts = the evidence.
 *  RESUME        running (planned before the first wave), fired_gate kept: while it is not 0 the
 *                PAUSE gates are mute, until the next wave opens. ROLLBACK gates are never mute.
 *  PROMOTE       promoting, promoted, opened may grow by more than one; goes on as running does.
 *  deadline      expired at once, from any state that is not rolling back: what was installed goes back.
 *  CANCEL        canceled at once, likewise. ROLLBACK: rolling_back, which waits until no counted live
 *                node serves to_gen (rolled_back) or report_timeout_ms is over (rollback_failed).
 * wave_since is the header time of the update that last changed `opened`, that of version 1 before.
 */
#ifndef REEVE_ENGINE_ROLLOUT_H
#define REEVE_ENGINE_ROLLOUT_H

#include "common/buf.h"
#include "common/crypto_ops.h"

#define ROLLOUT_WAVES_MAX    16
#define ROLLOUT_TARGETS_MAX  8
#define ROLLOUT_REGIONS_MAX  16
#define ROLLOUT_GATES_MAX    8
#define ROLLOUT_TERMS_MAX    4
#define ROLLOUT_PRED_MAX     1024
#define ROLLOUT_LABELS_MAX   16
#define COHORT_END           (UINT64_C(1) << 53)
#define PPM                  1000000u

uint64_t rollout_cohort(const struct crypto_ops *c, struct slice object, struct slice node_id_text);

/* ---- attributes of a node that predicates may read ---- */
struct label { struct name key, value; };
struct labels { uint8_t n; struct label l[ROLLOUT_LABELS_MAX]; };

/*
 * Canonical predicate: postfix byte code, at most ROLLOUT_PRED_MAX bytes and a
 * stack of 16; empty means true. Three-valued logic, only TRUE selects.
 *   01 push constant: u8 len + bytes     02 push region      03 push label: u8 len + key
 *   04 push NULL   05 push node id
 *   10 = 11 <> 12 < 13 <= 14 > 15 >= 16 LIKE (byte-wise on text)   18 IS NULL
 *   19 IN: u8 count, that many constants were pushed after the operand
 *   20 AND 21 OR 22 NOT
 */
struct predicate { uint16_t len; uint8_t code[ROLLOUT_PRED_MAX]; };
/* MALFORMED unless the code leaves exactly one truth value on the stack. */
enum reeve_err predicate_check(const struct predicate *p) REEVE_MUST_CHECK;
bool predicate_holds(const struct predicate *p, const struct name *region, const struct labels *labels,
                     struct slice node_id_text);
/* Could it hold for a node of that region, whatever the node's labels and id? */
bool predicate_may_hold(const struct predicate *p, const struct name *region);
/* SQL text of a checked predicate. */
void predicate_describe(const struct predicate *p, struct wr *out);
/* Builders used by the commands: append one operation; sticky failure through *bad. */
void predicate_push_const(struct predicate *p, struct slice text, bool *bad);
void predicate_push_label(struct predicate *p, struct slice key, bool *bad);
void predicate_op(struct predicate *p, uint8_t op, bool *bad);
void predicate_in(struct predicate *p, uint8_t count, bool *bad);

/* ---- gates: an OR of gates, each an AND of at most ROLLOUT_TERMS_MAX terms ---- */
enum gate_action { GATE_ROLLBACK = 1, GATE_PAUSE = 2 };
enum gate_var { GATE_FAILED = 1, GATE_SILENT, GATE_REJECTED, GATE_HANDSHAKE_FAIL,
                GATE_P50_MS, GATE_P95_MS, GATE_P99_MS };
enum gate_cmp { GATE_GT = 1, GATE_GE, GATE_LT, GATE_LE };
enum gate_unit { GATE_COUNT = 1, GATE_SHARE_PPM, GATE_MS };
struct gate_term { uint8_t var, cmp, unit; bool delta; /* against the control group */ uint32_t value; };
struct gate { uint8_t action; uint8_t n_terms; struct gate_term term[ROLLOUT_TERMS_MAX]; uint32_t sample; };

/* ---- spec ---- */
enum share_kind { SHARE_PPM = 1, SHARE_NODES = 2 };
struct wave_spec { uint8_t kind; uint32_t amount; uint32_t bake_ms; bool bake_given; };
struct rollout_spec {
    uint8_t n_waves;                    /* 0 with immediate */
    struct wave_spec wave[ROLLOUT_WAVES_MAX];
    bool immediate, manual, by_region;
    uint8_t n_regions;                  /* BY REGION (...), in that order */
    struct name region[ROLLOUT_REGIONS_MAX];
    struct predicate where;
    bool where_implied;                 /* not said by anybody, but the object's own; not encoded */
    uint8_t n_gates;
    struct gate gate[ROLLOUT_GATES_MAX];
    uint32_t rate_per_min;              /* 0: unlimited */
    uint32_t overlap_s, valid_for_s, deadline_s;    /* 0: not given */
    uint8_t approvals;
    struct name window, strategy;       /* len 0: none */
};
void rollout_spec_encode(const struct rollout_spec *s, struct wr *out);
enum reeve_err rollout_spec_decode(struct rollout_spec *s, struct slice in) REEVE_MUST_CHECK;
/* The clause text that would produce it, as SHOW STRATEGY prints it. */
void rollout_spec_describe(const struct rollout_spec *s, struct wr *out);
/* Fills what was left out: base (a strategy) under s, then the built-in defaults. */
void rollout_spec_default(struct rollout_spec *s, const struct rollout_spec *base);
/* INVALID_VALUE with a report: shares that shrink, over 100%, a canary of 0 ... */
enum reeve_err rollout_spec_check(const struct rollout_spec *s, struct report *rep) REEVE_MUST_CHECK;

/* ---- doc ---- */
enum rollout_kind { ROLLOUT_CERT = 1, ROLLOUT_CONFIG = 2, ROLLOUT_ROLLBACK = 3 };
enum rollout_state {
    RS_PLANNED = 1, RS_AWAITING_APPROVAL, RS_WAITING_WINDOW, RS_RUNNING, RS_BAKING, RS_PAUSED, RS_PROMOTING,
    RS_ROLLING_BACK, RS_ROLLED_BACK, RS_ROLLBACK_FAILED, RS_CANCELED, RS_SUCCEEDED, RS_EXPIRED
};
const char *rollout_state_name(enum rollout_state s);
/* The change is taken back from every node in this state (R7). */
bool rollout_state_withdraws(enum rollout_state s);
bool rollout_state_parse(enum rollout_state *out, struct slice text);
bool rollout_state_terminal(enum rollout_state s);
const char *rollout_kind_name(enum rollout_kind k);

struct rollout_target { uint8_t type; /* enum attest_type */ struct name name; uint32_t from_gen, to_gen; };
struct rollout_wave { uint32_t share_ppm; /* 0 where asked by count */ uint32_t bake_ms; };
struct rollout_region {
    struct name name;
    uint32_t ordinal_max;                       /* first ordinal not counted */
    uint64_t bound[ROLLOUT_WAVES_MAX];
    uint32_t nodes[ROLLOUT_WAVES_MAX];          /* counted nodes in wave w alone */
};
/* Counts over counted nodes of one region; the region signs them with the update that carries them. */
struct rollout_counts {
    uint32_t nodes, told, done, failed, rejected, silent, reverted;
    uint32_t p50_ms, p95_ms, p99_ms;
    uint32_t control_nodes, control_failed;     /* nodes outside the opened waves that report trouble */
};
/*
 * What a region counted over the opened waves at one moment, as it signs it for whoever owns the rollout (the digest:
 * evidence_digest in engine/attest.h). A statement, as it travels, is the signed bytes and the signature:
 *   name region | u64 rollout | u8 opened | rest | 64 signature
 *   rest: u64 at | u8 brake | counts of all opened waves | counts of the newest | 24 x u32 latencies | u32 still_new
 * Percentiles in counts are 0 there: they follow from the latencies of all regions joined (bucket i: < 2^i ms). No counter
 * exceeds EVIDENCE_NODES_MAX, so that sums over regions never wrap.
 */
#define LATENCY_BUCKETS    24
#define EVIDENCE_NODES_MAX (1u << 27)
#define EVIDENCE_BYTES_MAX 1024
enum evidence_brake { BRAKE_NONE, BRAKE_STOP, BRAKE_RETURN };
struct rollout_evidence {
    bool there;
    struct wall_ms at;                          /* by the region's clock */
    uint8_t brake;                              /* its own shard is held, or taken back, by its own word */
    struct rollout_counts opened, newest;
    uint32_t latency[LATENCY_BUCKETS];
    uint32_t still_new;
    struct sig64 sig;                           /* zero where the update's own signature says it: the owning region's part */
};
struct rollout_doc {
    /* plan: fixed at version 1 */
    uint64_t id;
    uint8_t kind;
    uint8_t n_targets;
    struct rollout_target target[ROLLOUT_TARGETS_MAX];
    struct predicate where;
    uint8_t n_waves;
    struct rollout_wave wave[ROLLOUT_WAVES_MAX];
    uint8_t n_regions;
    struct rollout_region region[ROLLOUT_REGIONS_MAX];
    uint8_t n_gates;
    struct gate gate[ROLLOUT_GATES_MAX];
    uint32_t rate_per_min;
    uint32_t prepare_ms;                        /* spread of the prepare phase before wave 1 */
    uint32_t deadline_s, overlap_s;
    bool manual;
    uint8_t approvals;
    struct name window, strategy, submitted_by;
    /* progress: changes with each version */
    uint8_t state;
    uint8_t opened;                             /* waves opened so far */
    bool promoted;                              /* this step was an operator's promotion */
    struct rollout_counts counts;               /* evidence for this step */
    uint8_t fired_gate;                         /* 1-based index of the gate that fired, 0 none */
    char why[256];                              /* verdict or reason, UTF-8 */
    /* By place in region[]: what counts is the sum of. None of it where the plan names the owning region alone. */
    struct rollout_evidence evidence[ROLLOUT_REGIONS_MAX];
};
void rollout_doc_encode(const struct rollout_doc *d, struct wr *out);
enum reeve_err rollout_doc_decode(struct rollout_doc *d, struct slice in) REEVE_MUST_CHECK;
/* Structure and R1; both planner and validators call it. */
enum reeve_err rollout_doc_check(const struct rollout_doc *d, struct report *rep) REEVE_MUST_CHECK;

/* The plan part alone: the bytes that stay the same over all versions. */
void rollout_plan_encode(const struct rollout_doc *d, struct wr *out);
bool rollout_plan_same(const struct rollout_doc *a, const struct rollout_doc *b);
/* 12 x u32 in the order of the struct. */
void rollout_counts_encode(const struct rollout_counts *c, struct wr *out);
void rollout_counts_decode(struct rollout_counts *c, struct rd *r);

uint32_t latency_percentile(const uint32_t latency[LATENCY_BUCKETS], unsigned percent);
/* The signed bytes of a statement. */
void evidence_encode(const struct name *region, uint64_t rollout, uint8_t opened, const struct rollout_evidence *e,
                     struct wr *out);
/* A whole statement; there is set. body: what is signed, borrowed. MALFORMED. */
struct evidence_head { struct name region; uint64_t rollout; uint8_t opened; };
enum reeve_err evidence_decode(struct evidence_head *h, struct rollout_evidence *e, struct slice *body,
                               struct slice statement) REEVE_MUST_CHECK;
/* Place of a region in the plan; -1: it is not in it. */
int rollout_region_place(const struct rollout_doc *d, const struct name *region);
/* Counts of other regions are needed: the plan names one. */
bool rollout_is_shared(const struct rollout_doc *d, const struct name *owner);
/* The counts of all parts that are there, joined. */
void evidence_sum(const struct rollout_evidence *part, unsigned n, struct rollout_counts *opened);
/*
 * From which regions a step that goes on needs counts, by place: those with an opened wave, but for the ones held back.
 * held: by place, the regions that are frozen as the attested table has it.
 */
uint16_t rollout_needs(const struct rollout_doc *d, uint16_t held);
/* Counts that let a step go on were taken at this moment or later: after the bake of the newest wave. */
int64_t rollout_counts_due_ms(const struct rollout_doc *d, struct wall_ms wave_since);

/* Wave (1-based) a node belongs to by the plan, 0 if none (predicate, region). */
uint8_t rollout_wave_of(const struct rollout_doc *d, const struct name *region, const struct labels *labels,
                        struct slice node_id_text, uint64_t cohort);
/* May the node have to_gen now? (a finalized, opened wave contains it and the rollout is not going back) */
bool rollout_includes(const struct rollout_doc *d, const struct name *region, const struct labels *labels,
                      struct slice node_id_text, uint64_t cohort);

/* ---- planning ---- */
/*
 * The planner reads the fleet twice through a callback that calls visit() for
 * every node (ordinal order). Region bounds for "n NODES" waves are exact order
 * statistics of the cohorts of matching nodes.
 */
struct plan_node { uint32_t ordinal; struct name region; const struct labels *labels; char id_text[NODE_ID_TEXT_LEN + 1]; };
struct plan_source {
    enum reeve_err (*each)(void *h, void (*visit)(void *arg, const struct plan_node *n), void *arg);
    void *h;
    /* scratch for cohorts, owned by the caller: room for this many uint64_t */
    uint64_t *scratch;
    size_t scratch_n;
};
/* elsewhere: nodes that the source does not have; their cohorts are taken to lie evenly. UINT32_MAX as ordinal_max: all count. */
struct plan_region_info { struct name name; uint32_t ordinal_max, elsewhere; bool frozen; };
/*
 * Fills d's plan fields and initial progress from a checked, defaulted spec;
 * id, kind, targets and submitted_by are the caller's, kind set before. object
 * is the first target's name (it seeds the cohorts). The caller has joined the
 * object's own condition (cert_doc.where) into s->where, and may overwrite
 * prepare_ms (certificates: 2 s + 1 ms per node; shared keys need none).
 * NOMEM when scratch holds fewer than the matching nodes of the regions that
 * advance together; INVALID_VALUE with a report when a WHERE matches nothing, a region
 * is unknown, or more waves are needed than there may be (RATE, BY REGION);
 * REGION_FROZEN when matching nodes live in a frozen region.
 */
enum reeve_err rollout_plan(const struct crypto_ops *c, struct rollout_doc *d, const struct rollout_spec *s,
                            struct slice object, const struct plan_region_info *regions, size_t n_regions,
                            struct plan_source *src, struct report *rep) REEVE_MUST_CHECK;

/* ---- deciding ---- */
/*
 * Counts in a view: every counted node of a wave stands in exactly one of done
 * (serves to_gen), failed, rejected, reverted, or is told and unanswered; silent
 * are those of the latter past report_timeout_ms. told >= the sum of all. A node
 * not told within report_timeout_ms of its wave's opening is not waited for.
 */
struct rollout_view {
    struct wall_ms now;
    struct wall_ms state_since;         /* header time of the update that set state/opened */
    struct wall_ms wave_since;          /* header time at which the newest wave was opened */
    struct wall_ms created;
    uint32_t max_skew_ms;
    uint32_t report_timeout_ms;         /* a told node without an answer is silent after this */
    bool window_open;
    struct rollout_counts opened;       /* all opened waves together */
    struct rollout_counts newest;       /* the newest wave alone */
    uint32_t still_new;                 /* counted live nodes that still serve to_gen (for rolling_back) */
    uint32_t latency[LATENCY_BUCKETS];  /* of the opened waves */
    /* Where regions share the rollout: their parts by place (what is not there has not been heard of), and who is held back. */
    bool shared;
    uint16_t held;
    struct rollout_evidence part[ROLLOUT_REGIONS_MAX];
};
/* Once parts, held and shared are filled: the sums over them become opened, newest and still_new. */
void rollout_view_join(const struct rollout_doc *d, struct rollout_view *v);
enum rollout_act { RA_NONE = 0, RA_UPDATE };
struct rollout_decision {
    uint8_t act;
    uint8_t state, opened, fired_gate;  /* the next progress, when act is RA_UPDATE */
    char why[256];
    struct wall_ms wake;                /* when to ask again if nothing happens before */
    uint16_t missing;                   /* by place: regions whose counts it would take to go on, and which are not there */
};
/* When the bake of a wave (1-based) that was opened at a header time is over, by header time. */
int64_t rollout_wave_end_ms(const struct rollout_doc *d, unsigned wave, struct wall_ms opened, uint32_t max_skew_ms);
/* Pure: the same doc and view give the same decision. */
void rollout_step(const struct rollout_doc *d, const struct rollout_view *v, struct rollout_decision *out);
/* The doc that a decision leads to, with the view's counts and parts as its evidence. next may be prev. */
void rollout_decision_apply(const struct rollout_doc *prev, const struct rollout_decision *dec,
                            const struct rollout_view *view, struct rollout_doc *next);
/*
 * Is next a lawful successor of prev, at header time now? Used by validators:
 * plan unchanged, state machine edge, R2-R5, gates recomputed from next->counts.
 */
enum reeve_err rollout_check_step(const struct rollout_doc *prev, const struct rollout_doc *next,
                                  struct wall_ms wave_since, struct wall_ms now, uint32_t max_skew_ms,
                                  struct report *rep) REEVE_MUST_CHECK;
/*
 * What a shared rollout's step must bring beside that: counts that are the sum of its regions' parts, or evidence that did not
 * change; and to go on, a part of every region that is needed, taken after the bake, none of which brakes, and of none that is
 * held back. The signatures are the caller's. owner: the region that makes the update; its part stands under the update's.
 */
enum reeve_err rollout_check_evidence(const struct rollout_doc *prev, const struct rollout_doc *next, const struct name *owner,
                                      uint16_t held, struct wall_ms wave_since, struct report *rep) REEVE_MUST_CHECK;
bool rollout_evidence_same(const struct rollout_doc *a, const struct rollout_doc *b);
/* Operators' verbs as a next doc: "pause", "resume", "cancel", "promote", "rollback". */
enum rollout_verb { RV_PAUSE = 1, RV_RESUME, RV_CANCEL, RV_PROMOTE, RV_ROLLBACK };
enum reeve_err rollout_verb_apply(const struct rollout_doc *prev, enum rollout_verb v, uint8_t to_wave,
                                  struct rollout_doc *next, struct report *rep) REEVE_MUST_CHECK;
/* Is the gate fired by these counts (R5 included)? why gets the verdict in words. */
bool rollout_gate_fires(const struct gate *g, const struct rollout_counts *c, char why[256]);

#endif
