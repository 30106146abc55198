/*
 * attest_int.h - the harness of validators: what runs on a simulated machine
 *
 * One arig is one run: a world, n validators (4 to 50) on the delays of real
 * places, each the real engine/simplex over a simulated signer, store and
 * network; some of them Byzantine; clients; faults; then all faults are lifted
 * and the work must get done. A machine is one process with its store; a
 * validator is a key. Twins are two machines with one key.
 *
 * What a block says is real (headers and their hashes are engine/attest's, log
 * roots engine/merkle's), what it contains is not: an update is a number with
 * a tag that shows it was approved. Signatures are a stand-in, see
 * attest_sign.c, unless the run asks for real ones.
 *
 * The oracle (attest_oracle.h) is told every byte that leaves a machine and
 * every block a machine takes for final; it includes nothing of this file.
 *
 * Files: attest_main (the program), attest_rig (one run), attest_profile (what
 * is drawn), attest_place (delays), attest_sign (keys), attest_block (contents),
 * attest_wire (messages), attest_node (a life), attest_store (signer and
 * store), attest_chain (final blocks, fetching), attest_evil (Byzantine
 * machines), attest_fault (chaos), attest_client (updates), attest_oracle.
 */
#ifndef REEVE_SIM_ATTEST_INT_H
#define REEVE_SIM_ATTEST_INT_H

#include "attest_oracle.h"
#include "engine/attest.h"
#include "engine/simplex_blame.h"
#include "sim/net.h"

#include <stdio.h>

#define RIG_VALIDATORS  50
#define RIG_MACHINES    SIM_NODES_MAX
#define RIG_UPDATES     400
#define RIG_BLOCKS      20000
#define RIG_HEIGHTS     6000
#define RIG_PEERS_MAX   RIG_MACHINES
#define BLOCK_LEAVES    16
#define NO_BLOCK        UINT32_MAX
#define MESSAGE_MAX     16384

/* ---- keys and signatures: attest_sign.c ---- */
struct keys {
    bool real;
    uint64_t secret[RIG_VALIDATORS];
    struct pubkey pub[RIG_VALIDATORS];
};
void keys_init(struct keys *k, int n, uint64_t seed, bool real);
void keys_free(void);
void keys_sign(const struct keys *k, int who, const uint8_t bytes[ATTEST_VOTE_LEN], struct sig64 *out);
bool keys_verify(const struct keys *k, int who, const uint8_t bytes[ATTEST_VOTE_LEN], const struct sig64 *sig);

/* ---- blocks: attest_block.c ---- */
struct leaf { uint64_t id, tag; };
/* By content; the table is the run's, who holds it is a bit for each machine. */
struct block {
    struct block_header h;
    struct hash32 hash;
    uint32_t parent;                        /* NO_BLOCK: not in the table (yet), or genesis */
    uint16_t n;
    struct leaf leaf[BLOCK_LEAVES];
    uint8_t held[RIG_MACHINES], durable[RIG_MACHINES];
    bool judged, valid;
    bool has_after;
    struct merkle_range after;              /* of the log, when the parent's is known */
    uint8_t in_chain[RIG_UPDATES / 8 + 1];  /* updates in it and its ancestors, when judged */
};

/* ---- what is drawn ---- */
enum evil { EVIL_NONE, EVIL_TWIN, EVIL_MUTATOR, EVIL_SILENT, EVIL_AMNESIAC };
struct aprofile {
    bool fixed;                             /* nothing is drawn: the run is as asked */
    int n, faulty;                          /* validators; of them Byzantine */
    bool over;                              /* more than f */
    bool real_keys;
    bool cloud;                             /* the matrix: cloud regions, else cities */
    bool naive_signers;                     /* signers without memory: the engine must do alone */
    int64_t chaos_us, think_us;
    int updates;
    struct sim_net_profile net;
    struct simplex_config engine;
    int64_t sign_us, persist_us, work_us;   /* means */
    uint32_t drift_ppm;
    uint32_t mutate_ppm;                    /* of a mutator's messages */
    uint64_t mutations;                     /* which, a bit each */
    bool tardy;                             /* mutators that lead propose just before the others give them up, always */
    int other_rule;                         /* honest ones that refuse some updates which all others take */
    int64_t partition_us, oneway_us, isolate_us, badlink_us, kill_us, midstep_us, blackout_us, pause_us, leap_us, wall_us;
    int64_t signer_slow_us, signer_down_us, old_signer_us, old_store_us, disk_us;
};
/* asked: what the caller fixes (n 0: the seed's choice, over, real_keys), or all of it (fixed). */
void aprofile_draw(struct aprofile *p, struct sim_rng *r, const struct aprofile *asked);

/* ---- a machine ---- */
enum { LS_KINDS = 4 };                      /* propose, notarize, nullify, finalize */
struct last_view { uint64_t view; uint8_t have; struct simplex_vote vote[LS_KINDS]; };
struct signer { struct last_view cur, prev; };

struct own { struct simplex_vote vote; struct sig64 sig; };
#define OWN_MAX 512
struct store {                              /* what survives a crash */
    struct own own[OWN_MAX];
    size_t n_own;
    uint64_t height;                        /* final blocks on disk */
};

/* Certificates above the last final block, as D5 of the engine wants them kept. */
struct kept { uint8_t type; bool durable; uint64_t view; struct slice bytes; };
#define KEPT_MAX   4096
#define SIGNS_MAX  64
#define EVENTS_MAX 256
struct machine {
    struct arig *rig;
    int slot;
    uint16_t me;
    enum evil evil;
    /* durable */
    struct signer signer, old_signer;
    struct store store, old_store;
    uint32_t chain[RIG_HEIGHTS];            /* blocks by height; above store.height not durable yet */
    struct kept kept[KEPT_MAX];             /* by view */
    size_t n_kept;
    struct slice cert[RIG_HEIGHTS];         /* encoded certificates, owned; len 0: the descendant's */
    /* this life */
    void *mem;
    struct simplex *s;
    struct simplex_event event[EVENTS_MAX];
    unsigned event_head, n_events;
    bool stepping;
    uint64_t wake_gen;
    int64_t wake_ms;
    struct simplex_vote sign[SIGNS_MAX];
    unsigned n_signs;
    bool signing;
    uint64_t height;                        /* applied */
    struct simplex_block want[64];          /* final, contents not here yet, in order */
    unsigned n_want;
    struct simplex_block checking;          /* of a CHECK whose parent or contents are not here; view 0: none */
    uint64_t behind;                        /* a height known to be final */
    struct simplex_block final;             /* a block known to be final, some of its ancestors are not here; view 0: none */
    struct slice final_cert;                /* its certificate, owned */
    bool fetching;
    bool pending[RIG_UPDATES];              /* heard of, not final here */
    unsigned n_pending;
    uint8_t left_out[RIG_UPDATES];          /* final blocks since then that lack it */
    /* faults */
    bool want_up;
    int die_after;                          /* effects; 0: no such fault */
    bool dying;
    int64_t signer_slow_us, disk_slow_us;
    bool signer_down;
    bool silent;
    bool other_rule;                        /* its program is of another version, until the end of chaos */
    int64_t wall_off_us;
    uint64_t sent_window, sent_from_us;     /* I10: messages in the last second */
    uint32_t draft;                         /* block made for draft_view */
    uint64_t draft_view;
};

struct wanted { int submitter; int64_t at_us; };

struct arig {
    struct sim_world w;
    struct sim_net net;
    struct aprofile p;
    struct keys keys;
    struct hash32 chain_id, set_hash;
    int n_machines, place[RIG_MACHINES];
    struct machine *m[RIG_MACHINES];
    int twin_of[RIG_VALIDATORS];            /* slot of the second machine, or -1 */
    bool evil[RIG_VALIDATORS];
    bool wall[RIG_MACHINES][RIG_MACHINES];  /* twins and those they show themselves to */
    struct block *block;
    uint32_t n_blocks;
    uint32_t *bucket;
    struct wanted update[RIG_UPDATES];
    int n_updates;
    bool chaos, healing;
    struct oracle *oracle;
    struct simplex_signed *heard_votes;     /* over the threshold: what honest machines heard, each once */
    size_t n_heard_votes;
    uint32_t *heard_bucket;
    struct simplex_effects fx;
    struct slice heard[64];                 /* what a mutator may replay; owned */
    unsigned n_heard;
    bool violated;
    char invariant[64], evidence[2048];
    uint64_t n_culprits;
    uint64_t n_restarts, n_faults, n_mutated, n_evidence, n_gave_up;
    int64_t healed_us;
};

void arig_init(struct arig *r, uint64_t seed, const struct aprofile *asked, FILE *trace);
void arig_free(struct arig *r);
bool arig_run(struct arig *r);
void aviolation(void *arig, const char *invariant, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static inline bool honest(const struct machine *m) { return m->evil == EVIL_NONE; }

enum arig_kind { AK_EVENT = SIM_KIND_HOST, AK_EFFECT, AK_COMMIT, AK_FAULT, AK_EVIL, AK_UPDATE, AK_FETCH };

/* ---- attest_place.c ---- */
/* Sets the links' delays; validators stand in places drawn from the run's chance. */
void places_draw(struct arig *r);
void places_apply(struct arig *r);
int place_count(bool cloud);
const char *place_name(bool cloud, int i);
int64_t place_delay_us(bool cloud, int from, int to);

/* ---- attest_block.c ---- */
uint32_t block_find(const struct arig *r, const struct hash32 *hash);
/* Adds or finds; NO_BLOCK for what is no block. */
uint32_t block_read(struct arig *r, struct rd *in);
void block_write(const struct block *b, struct wr *out);
uint32_t block_add(struct arig *r, const struct block_header *h, const struct leaf *leaf, unsigned n);
/* Fills in what the content says: sizes, roots, hashes. */
void block_seal(struct arig *r, struct block_header *h, uint32_t parent, const struct leaf *leaf, unsigned n);
/* A matter of the content and its ancestors alone. */
bool block_valid(struct arig *r, uint32_t b);
/* What this machine's version of the rules thinks of an update, and of a block with it. */
static inline bool rule_takes(const struct machine *m, uint64_t update) { return !m->other_rule || update % 3 != 0; }
bool rule_takes_block(const struct machine *m, const struct block *k);
struct simplex_block block_of(const struct arig *r, uint32_t b);
uint64_t leaf_tag(uint64_t id);

/* ---- attest_wire.c ---- */
enum message_kind { M_PROPOSAL = 1, M_VOTE, M_CERT, M_SUBMIT, M_WANT_BLOCK, M_BLOCK, M_WANT_CHAIN, M_CHAIN, M_WANT_CERTS };
struct message {
    uint8_t kind;
    uint16_t signer;
    struct vote vote;                       /* PROPOSAL, VOTE; of a CERT what it is over */
    struct sig64 sig;
    uint8_t bitmap[8];
    uint16_t n_sigs;
    struct sig64 sigs[SIMPLEX_VALIDATORS_MAX];
    struct slice rest;                      /* contents */
    uint64_t a, b;                          /* SUBMIT: id, tag; WANT_CHAIN: from height; WANT_CERTS: from view */
    struct hash32 hash;                     /* WANT_BLOCK */
};
void message_encode(const struct message *m, struct wr *out);
bool message_decode(struct message *m, struct slice in);
void vote_fill(const struct arig *r, const struct simplex_vote *v, struct vote *out);
/* False when it is not of this chain, epoch and set. */
bool vote_take(const struct arig *r, const struct vote *v, struct simplex_vote *out);
void cert_fill(const struct arig *r, const struct simplex_cert *c, struct message *out);
bool cert_take(const struct arig *r, const struct message *m, struct simplex_cert *out);

/* ---- attest_node.c ---- */
struct machine *machine_new(struct arig *r, int slot, uint16_t me);
void machine_free(struct machine *m);
void machine_boot(struct machine *m);
void machine_die(struct machine *m);
void machine_restart_after(struct machine *m, int64_t us);
/* It ends itself, and is started again. */
void machine_give_up(struct machine *m);
void machine_event(struct machine *m, const struct simplex_event *e);
void machine_work(struct machine *m);
void machine_config(const struct machine *m, struct simplex_config *out);
void machine_receive(void *host, int from, int to, int lane, struct slice msg);
/* From one machine to every machine of all other validators. */
void machine_broadcast(struct machine *m, const struct message *msg);
void machine_send(struct machine *m, int to, const struct message *msg);
void bytes_send(struct machine *m, int to, struct slice bytes);
static inline bool machine_up(const struct machine *m) { return m->rig->w.node[m->slot].up && m->s != NULL; }

/* ---- attest_store.c: signer and store ---- */
void sign_ask(struct machine *m, const struct simplex_vote *v);
void sign_next(struct machine *m);
void store_back_up(struct machine *m);
/* The blocks above are durable soon. */
void store_height(struct machine *m, uint64_t height);
void kept_add(struct machine *m, const struct message *cert);
void certs_drop(struct machine *m, uint64_t upto_view);
void kept_crashed(struct machine *m);
void kept_serve(struct machine *m, int to, uint64_t from_view);
void kept_restore(struct machine *m);

/* ---- attest_chain.c ---- */
void chain_commit(struct machine *m, const struct simplex_effect *f);
void chain_behind(struct machine *m, const struct simplex_block *b);
void chain_final_cert(struct machine *m, const struct message *msg);
void chain_want_certs(struct machine *m, uint64_t view);
void chain_want_block(struct machine *m, const struct hash32 *hash);
void chain_content(struct machine *m, uint32_t b);
void chain_take(struct machine *m, const struct message *msg);
void chain_serve(struct machine *m, int to, uint64_t from);
void chain_crashed(struct machine *m);
void chain_build(struct machine *m, const struct simplex_vote *v);
void chain_check(struct machine *m, const struct simplex_vote *v);
uint32_t chain_head(const struct machine *m);
int64_t machine_wall_ms(const struct machine *m);

/* ---- attest_evil.c ---- */
void evil_send(struct machine *m, int to, const struct message *msg);
void evil_walls(struct arig *r);
void evil_start(struct arig *r);
/* Honest machines on two sides, and all who are faulty on both of them. */
void evil_split(struct arig *r);

/* ---- attest_blame.c ---- */
void blame_start(struct arig *r);
void blame_heard(struct arig *r, const struct message *m);
/* I9 */
void blame_judge(struct arig *r);
void blame_free(struct arig *r);

/* ---- attest_fault.c ---- */
void afaults_start(struct arig *r);
void afaults_lift(struct arig *r);

/* ---- attest_client.c ---- */
void aclients_start(struct arig *r);
void update_submit(struct arig *r, int id, struct machine *m);
void update_heard(struct machine *m, uint64_t id, uint64_t tag);
void update_final(struct machine *m, const struct block *b);
bool updates_done(const struct arig *r, char *why, size_t len);

#endif
