/*
 * validator_int.h - the validator's state and its parts
 *
 * Store DIR/validator (backend/storage): engine/attest's tables under 'A', and
 *   'V' 'k'                          32 own public key (stores made before sets of several have none)
 *   'V' 'p' view u64, 32 hash        a block under way: 275 header | u16 n | n x str32 leaf
 *   'V' 's' view u64, type u8        an own vote above the last final block: vote (backend/signer/signer.h) | 64 signature
 *   'V' 'c' view u64, type u8        a certificate above it (backend/federation/letter.h)
 *   'V' 'e' 32 key of a validator    name | when i64 ms | EVIDENCE (backend/federation/letter.h): the first pair of its votes that
 *                                    contradict each other; kept for good, of EVIDENCE_MAX validators at most
 *
 * What is durable when
 *  D1 A block's content is synced here before its first vote is asked for, so
 *     that after a crash at any point the same block is voted for again; the
 *     signer answers a vote it gave before with the same signature.
 *  D2 A vote with its signature is synced before the engine hears of it, and so
 *     before anybody could; all of them go back into the engine at a restart.
 *     Certificates are kept with the next vote, or when several have come: they
 *     show how far the views had come, and whoever lacks one can be shown it again.
 *  D3 A finalized block is synced with its finalization before anybody is told;
 *     blocks under way, votes and certificates up to its view go away in the
 *     same transaction.
 *
 * Others' bytes (net.c) are believed for their signatures only; nothing of them
 * is kept that is not bounded below.
 */
#ifndef REEVE_BACKEND_VALIDATOR_INT_H
#define REEVE_BACKEND_VALIDATOR_INT_H

#include "backend/federation/letter.h"
#include "backend/ipc/child.h"
#include "backend/ipc/link.h"
#include "backend/storage/storage.h"
#include "backend/validator/validator.h"
#include "engine/attest.h"
#include "engine/simplex.h"

/* A block without its finalization: under way, or being made. */
struct block_draft {
    struct block_header header;
    size_t n;
    struct slice leaf[ATTEST_BLOCK_LEAVES_MAX];     /* borrow from mem */
    uint8_t *mem;                                   /* ATTEST_BLOCK_MAX bytes */
    size_t used;
};
/* So much of leaves, that block and finalization fit into ATTEST_BLOCK_MAX and into one message. */
#define DRAFT_BYTES_MAX (ATTEST_BLOCK_MAX - (64u << 10))

/* ---- chain.c: the store ---- */
struct chain {
    struct storage *store;
    void *scratch;                                  /* attest_scratch_size() */
    struct attest_head head;
    struct valset set;
    uint16_t me;                                    /* our place in it; CHAIN_NOBODY: none */
    struct pubkey own;                              /* zero in stores that do not say */
    struct block_draft work;                        /* of the call under way */
};
#define CHAIN_NOBODY UINT16_MAX
static inline bool chain_votes_here(const struct chain *c) { return c->me != CHAIN_NOBODY; }
enum reeve_err chain_open(struct chain *c, const char *dir, struct report *rep) REEVE_MUST_CHECK;
void chain_close(struct chain *c);
struct attest chain_attest(struct chain *c, struct storage_txn *t);
/*
 * D3: the block of that view and hash, whose content is here and whose parent is the head, is final; f has everything
 * but the header. block gets the stored form, draft (may be NULL) the content. NOT_FOUND: no such content.
 */
enum reeve_err chain_commit(struct chain *c, const struct simplex_block *b, struct finalization *f, struct wr *block,
                            struct report *rep) REEVE_MUST_CHECK;
/* D3 for a block that others have finalized: verified, applied, stored. */
enum reeve_err chain_take(struct chain *c, struct slice block, struct report *rep) REEVE_MUST_CHECK;
/* Appends u64 head height, u16 n and as many blocks from a height as fit in max bytes (at least one). */
enum reeve_err chain_fetch(struct chain *c, uint64_t from, size_t max, struct wr *out) REEVE_MUST_CHECK;
/* The head as the engine names it. */
struct simplex_block chain_committed(const struct chain *c);

/* ---- content.c: blocks under way ---- */
bool draft_has_room(const struct block_draft *d, const struct slice *leaves, size_t n);
void draft_append(struct block_draft *d, const struct slice *leaves, size_t n);
void draft_encode(const struct block_draft *d, struct wr *out);
/* d->mem is there. CORRUPT. */
enum reeve_err draft_decode(struct block_draft *d, struct slice val) REEVE_MUST_CHECK;
/* D1. */
enum reeve_err content_save(struct chain *c, const struct block_draft *d) REEVE_MUST_CHECK;
enum reeve_err content_load(struct chain *c, uint64_t view, const struct hash32 *hash, struct block_draft *d) REEVE_MUST_CHECK;
/* The header alone. */
enum reeve_err content_header(struct kv *kv, uint64_t view, const struct hash32 *hash, struct block_header *h) REEVE_MUST_CHECK;
/* A block that this validator made for that view on that parent. NOT_FOUND. */
enum reeve_err content_own(struct chain *c, uint64_t view, const struct hash32 *parent, struct block_draft *d) REEVE_MUST_CHECK;
/* The newest view of which there is content; 0: none. */
uint64_t content_newest(struct chain *c);
/* What an older program had under way gets its new place. */
enum reeve_err content_upgrade(struct chain *c) REEVE_MUST_CHECK;
/* In a transaction that stores a final block. */
enum reeve_err content_drop(struct kv *kv, uint64_t up_to) REEVE_MUST_CHECK;

/*
 * The state after a block that is notarized at least, in a transaction that will be given up: the head's, with the blocks
 * between applied on top. AGAIN: content of one of them is missing, or it does not descend from the head.
 */
struct spec { struct storage_txn *txn; struct attest a; struct attest_head head; };
enum reeve_err spec_open(struct chain *c, uint64_t view, const struct hash32 *hash, struct spec *s) REEVE_MUST_CHECK;
void spec_close(struct spec *s);
/*
 * One submission on top of a draft whose header time is set: takes its leaves
 * over when all are valid there; *known is set instead when each of them is
 * the newest version of its object already. TOO_COMPLEX without a report: no room in this block.
 */
enum reeve_err spec_add(struct spec *s, struct block_draft *d, const struct slice *leaves, size_t n, bool *known,
                        struct report *rep) REEVE_MUST_CHECK;
/* Fills the header (view, proposer, time given). */
enum reeve_err spec_propose(struct spec *s, struct block_draft *d) REEVE_MUST_CHECK;
/* On the head alone, at that time, in a transaction of its own. */
enum reeve_err chain_judge(struct chain *c, const struct slice *leaves, size_t n, struct wall_ms time, bool *known,
                           struct report *rep) REEVE_MUST_CHECK;

/* ---- votes.c: own votes, and certificates ---- */
/* D2; certs: those that came since the last time. */
enum reeve_err chain_vote_save(struct chain *c, const struct simplex_vote *v, const struct sig64 *sig,
                               const struct simplex_cert *cert, size_t n_certs) REEVE_MUST_CHECK;
/* Every own vote kept, by view; stops and answers what fn answers when that is not OK. */
enum reeve_err chain_votes(struct chain *c, enum reeve_err (*fn)(void *arg, const struct simplex_vote *v, const struct sig64 *sig),
                           void *arg) REEVE_MUST_CHECK;
/* Those that do not wait for a vote. */
enum reeve_err chain_certs_save(struct chain *c, const struct simplex_cert *cert, size_t n) REEVE_MUST_CHECK;
/* The first of those kept, from a view on. */
enum reeve_err chain_certs(struct chain *c, uint64_t from, size_t max,
                           enum reeve_err (*fn)(void *arg, const struct simplex_cert *cert), void *arg) REEVE_MUST_CHECK;
/* The certificate of the head. NOT_FOUND: it has none of its own, or is genesis. */
enum reeve_err chain_head_cert(struct chain *c, struct simplex_cert *out) REEVE_MUST_CHECK;
/* In a transaction that stores a final block. */
enum reeve_err votes_drop(struct kv *kv, uint64_t up_to) REEVE_MUST_CHECK;
/* The vote as the signer is asked for it, in this chain and set; and back. */
void chain_vote_of(const struct chain *c, const struct simplex_vote *v, struct vote *out);
struct simplex_vote chain_vote_from(const struct vote *v);
bool chain_vote_is_ours(const struct chain *c, const struct vote *v);
void chain_cert_to(const struct chain *c, const struct simplex_cert *cert, struct letter_cert *out);
void chain_cert_from(const struct letter_cert *l, struct simplex_cert *out);

/* Who leads behind the head, as engine/simplex wants to hear it: the end of an epoch counts as led by validator 0. */
uint16_t chain_leader(const struct chain *c);

/* ---- the process ---- */
/* A set that is asked for its seats. */
struct seats {
    struct ipc_channel *ch;                         /* who asks, a reference; NULL: nobody */
    uint64_t id;
    struct valset_doc doc;
    struct hash32 hash;
    struct loop_timer timer;
    bool signing;                                   /* our own seat is with the signer: for whom, in which set */
    uint32_t own_to;
    struct hash32 own_hash;
    struct pubkey own_key;
};
#define QUEUE_MAX 256
#define QUEUE_BYTES_MAX (16u << 20)
#define QUEUE_SHARE 4               /* what came from one region has a quarter of either */
struct submission {
    struct submission *next;
    struct ipc_channel *ch;                         /* a reference; NULL: a copy from another region */
    uint64_t id;
    uint32_t from;                                  /* of a copy: the link it came on */
    uint64_t height;                                /* not judged before our chain has it */
    struct hash32 digest;
    int64_t sent_ms, since_ms;                      /* copies of it; monotonic */
    bool valid;                                     /* on the head, when it was judged last */
    size_t n;
    struct slice leaf[ATTEST_BLOCK_LEAVES_MAX];     /* borrow from mem */
    size_t len;
    uint8_t mem[];
};

/* Votes that the engine asked for and the signer has not answered; one is with him at a time, in order. */
#define SIGNS_MAX 64
/* Events that effects led to, not yet stepped. */
#define EVENTS_MAX 256
/* Certificates that were formed since the last vote. */
#define CERTS_MAX 8
#define CERTS_SEEN 128
struct seen { uint64_t view; uint8_t type; };

/* A block's content that nobody here has judged yet: proposals, the newest few of each signer, and what was asked for. */
#define OFFERS_EACH 3
struct offer { uint64_t view; struct hash32 hash; uint8_t *content; size_t len; struct sig64 sig; /* of a proposal */ };
/* Other servers that are linked; id 0: a free place. */
#define NET_LINKS_MAX 64

struct peer;
struct voter {
    struct child *child;
    struct loop *loop;
    struct chain chain;
    struct ipc_link *signer;
    struct peer *peers;                             /* rings that follow, and the federation process */
    struct ipc_channel *net;                        /* the federation process's; NULL: not there */
    struct submission *queue, **queue_tail;
    unsigned n_queue;
    size_t queue_bytes;
    struct block_draft draft;                       /* being made */
    void *engine_mem;
    struct simplex *engine;                         /* NULL: we are not in the set */
    uint64_t epoch;                                 /* the engine's */
    struct seats seats;
    struct simplex_config config;
    struct simplex_event event[EVENTS_MAX];
    unsigned event_head, n_events;
    bool stepping;
    struct simplex_vote sign[SIGNS_MAX];
    unsigned n_signs;
    bool signing;                                   /* sign[0] is with the signer */
    bool sign_void;                                 /* what is with him is of an epoch that is over */
    struct simplex_effects effects;                 /* of the step under way */
    struct simplex_cert cert[CERTS_MAX];
    unsigned n_certs;
    struct seen seen[CERTS_SEEN];                   /* certificates that were kept lately */
    unsigned seen_turn;
    struct offer offer[ATTEST_VALIDATORS_MAX][OFFERS_EACH], wanted_content;
    uint32_t link[NET_LINKS_MAX];
    unsigned want_turn;
    int64_t want_ms;
    uint64_t want_view;
    struct simplex_vote check;                      /* waits for its parent; view 0: none */
    struct simplex_block behind;                    /* final, and its content or that of blocks below is not here; view 0: none */
    struct simplex_cert behind_cert;                /* its certificate */
    uint64_t wanted;                                /* a height that is final somewhere; at most the head's: nothing is missing */
    bool fetching;
    struct loop_timer clock, retry, work_retry, fetch_retry, again, queue_again;
};

/* drive.c: the engine's events and effects */
enum reeve_err drive_start(struct voter *v, struct report *rep) REEVE_MUST_CHECK;
/* There are submissions, or none any more. */
void drive_work(struct voter *v);
void drive_event(struct voter *v, const struct simplex_event *e);
/* The head ended an epoch: as soon as no event is under way, epoch_turn(). */
void drive_turn(struct voter *v);
/* The engine of the epoch of the store. */
enum reeve_err drive_begin(struct voter *v, struct report *rep) REEVE_MUST_CHECK;
void drive_stop(struct voter *v);
/* Nothing can go on: the process ends. */
void drive_die(struct voter *v, enum reeve_err err, const char *what);

/* effect.c: what each effect does */
void effect_obey(struct voter *v, const struct simplex_effect *e);
/* The head has moved by other people's blocks: what waited for that goes on. */
void effect_caught_up(struct voter *v);

/* check.c: is a proposal valid on top of its parent? */
void check_run(struct voter *v, const struct simplex_vote *vote);

/* sign.c: votes on their way to the signer */
void sign_ask(struct voter *v, const struct simplex_vote *vote);
/* The signer is there. */
void sign_next(struct voter *v);

/* queue.c: submissions that wait */
/* Of the ring beside us. It is answered in any case. */
void queue_add(struct voter *v, struct ipc_channel *ch, struct ipc_msg *m);
/* A copy from another region. */
void queue_add_copy(struct voter *v, uint32_t from, const struct letter_submit *l);
/* Those that are valid on the head: is there work? */
bool queue_has_work(const struct voter *v);
/* Takes what fits and is valid into the draft, on top of that state. */
void queue_fill_draft(struct voter *v, struct spec *s);
/* The head has moved: what is done or not valid any more is answered and goes. */
void queue_sift(struct voter *v);
/* Copies of our own go out again; to: a link, 0: all that have not had one for a while. */
void queue_send_again(struct voter *v, uint32_t to);
/* No block can be made: whoever waits beside us is told. */
void queue_refuse_full(struct voter *v);
void queue_close(struct voter *v);

/* net.c: other validators and regions */
void net_send_vote(struct voter *v, const struct simplex_vote *vote, const struct sig64 *sig);
void net_send_proposal(struct voter *v, const struct simplex_vote *vote, const struct sig64 *sig);
void net_send_cert(struct voter *v, const struct simplex_vote *vote);
void net_send_submission(struct voter *v, const struct submission *s, uint32_t to);
void net_answer(struct voter *v, uint32_t to, const struct hash32 *digest, enum reeve_err err, const char *message);
/* LETTER_IN, LINK, CHAIN_AHEAD of the federation process. */
void net_message(struct voter *v, struct ipc_msg *m);
/* An EVIDENCE as it is kept; to 0: all. */
void net_send_evidence(struct voter *v, struct slice body, uint32_t to);
/* Asks one of the others for certificates from a view on. */
void net_want_certs(struct voter *v, uint64_t view);
/* Asks one of the others for the content of a block, another one each time. */
void net_want(struct voter *v, uint64_t view, const struct hash32 *hash);
/* The offer of that block; NULL: not here. */
const struct offer *net_offer(const struct voter *v, uint64_t view, const struct hash32 *hash);
void net_send_seats_wanted(struct voter *v, struct slice payload);
void net_send_seat(struct voter *v, const struct letter_seat *l, uint32_t to);
void net_forget_offers(struct voter *v);
void net_close(struct voter *v);

/* evidence.c: validators that contradicted themselves */
#define EVIDENCE_MAX ATTEST_VALIDATORS_MAX
/* Two signed votes of his, both verified. The first pair of each is kept, told to the ring and to the others. */
void evidence_found(struct voter *v, uint16_t signer, const struct simplex_vote *a, const struct sig64 *sig_a,
                    const struct simplex_vote *b, const struct sig64 *sig_b);
/* Found by another validator: nothing is believed. */
void evidence_heard(struct voter *v, struct slice body);
/* All that is kept, to a ring that follows. */
void evidence_tell(struct voter *v, struct ipc_channel *ring);
/* To a server that has just been linked. */
void evidence_send(struct voter *v, uint32_t to);

/* catchup.c: blocks that others have finalized */
/* Somebody has that height. */
void catchup_want(struct voter *v, uint64_t height);
/* That block is final, and this certificate says so, if it is not NULL (else the engine has it). */
void catchup_behind(struct voter *v, const struct simplex_block *b, const struct simplex_cert *cert);
/* The content of that block has come. */
void catchup_content(struct voter *v);
/* Asks for what is missing, or whether anything is. */
void catchup_ask(struct voter *v);

/* seats.c: who will serve in the next set */
/* Of the ring beside us: ATTEST_SEATS, answered in any case. */
void seats_ask(struct voter *v, struct ipc_channel *ch, struct ipc_msg *m);
/* Letters: somebody asks; a seat has come. */
void seats_wanted(struct voter *v, uint32_t from, struct slice body);
void seats_came(struct voter *v, struct slice body);
void seats_close(struct voter *v);

/* epoch.c: the set changes */
/* After the head has moved and what moved it is done: nothing, unless the store is in another epoch than the engine. */
void epoch_turn(struct voter *v);
/* Links to the sets it may not know yet. */
void epoch_tell_signer(struct voter *v);

/* main.c */
void peers_push(struct voter *v, struct slice block);
/* One-way, to those of that kind. */
void followers_tell(struct voter *v, enum proc_kind kind, enum msg_type type, struct slice body);

#endif
