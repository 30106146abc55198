/*
 * attest.h - the attested table: formats, state machine, proofs
 *
 * All integers big endian; name = u8 length + bytes; str16/str32 = counted
 * bytes. Everything here is canonical: decode(encode(x)) = x and no other
 * byte string decodes to x.
 *
 * Validator-set document (hash: SHA-256("reeve-valset-v1" 00 || bytes)):
 *   u8 1 | u64 epoch | u16 n (1..64) | n x { name | 32 public key | 32 cosigning key | u32 weight (1) }
 *   ordered by public key, no key twice.
 * Genesis document (chain id = SHA-256("reeve-genesis-v1" 00 || bytes)):
 *   u8 1 | name chain | u64 time_ms | 16 random | str32 validator-set document |
 *   u16 n_regions { name | 32 region key } | u8 recovery_m | u8 recovery_n { 32 key }
 *   where regions have addresses: u8 2 instead of 1, and behind it n_regions x { u8 length + address, may be empty }, not
 *   all empty: where servers of that region are linked to, opaque here (backend/peer/wire.h)
 * Card, by which a region that shall be in a genesis document shows its keys (digest: SHA-256("reeve-card-v1" 00 || body)):
 *   body: u8 1 | name region | 32 region key | u8 length + address | u8 validates (0 or 1) | if so: 32 key | 32 cosigning key
 *   then 64 signature over the digest by each key in that order
 *
 * Security update (a log leaf; hash as an RFC 6962 leaf):
 *   u8 1 | u8 type | u8 op (1 put, 2 delete) | name object | u64 object_version |
 *   32 previous leaf hash (zero at version 1) | str32 payload (<= ATTEST_PAYLOAD_MAX) |
 *   name region | name actor | str16 address | str16 reason | str16 statement |
 *   approvals: u8 0, or what engine/approval.h says | 64 region signature
 *   The region signs SHA-256("reeve-update-v1" 00 || chain_id || all bytes before the signature).
 *
 * Block = header + leaves. Header (hash: SHA-256("reeve-header-v1" 00 || bytes)):
 *   u8 1 | 32 chain_id | u64 epoch | 32 valset_hash | 32 next_valset_hash | u64 view | u64 height |
 *   u64 parent_view | 32 parent_hash | u64 time_ms | u64 log_size | 32 log_root | 32 state_root |
 *   32 payload_root | u16 proposer           = ATTEST_HEADER_LEN bytes
 *   log_size/log_root/state_root are those AFTER the block; payload_root is the
 *   RFC 6962 root over the block's leaves. A block without leaves is a tick.
 * Signed bytes (research: fixed length, first byte 00):
 *   00 | "reeve-bft-v1" | 00 | u8 type | 32 chain_id | u64 epoch | 32 valset_hash | u64 view | u64 height |
 *   32 block_hash | u64 parent_view | 32 parent_hash      = ATTEST_VOTE_LEN bytes
 *   type 1 propose 2 notarize 3 nullify (height, block, parents zero) 4 finalize 5 heartbeat
 * Finalization: header | u64 view | u16 n_bits | ceil(n/8) bitmap (bit i = validator i, LSB first,
 *   padding zero) | q or more 64-byte signatures in index order, over the finalize bytes.
 *   Of a block that became final through a descendant only: header | u64 view | u16 0 | u8 k (1..ATTEST_LINKS_MAX) | k headers,
 *   each naming the one before as its parent | u16 n_bits | bitmap | signatures over the finalize bytes of the last of them.
 *   Of a block that recovers the chain (E4): header | u64 view | u16 0 | u8 0 | str32 genesis document | u16 recovery_n | bitmap
 *   of recovery keys | recovery_m or more signatures over SHA-256("reeve-recovery-v1" 00 || header).
 * Quorum q = floor(2n/3) + 1.
 *
 * Map key of an object: SHA-256("reeve-object-v1" 00 || u8 type || name bytes);
 * map value: SHA-256("reeve-value-v1" 00 || u64 object_version || leaf hash).
 * A deleted object keeps its last version in the map (the leaf says delete), so
 * that an old version can never come back as new.
 *
 * Trust (an agent's durable state): u8 1 | 32 chain_id | str32 set document | 32 set hash | u64 view |
 *   u64 height | u64 log_size | 32 log_root | u64 time_ms | u64 verified.
 *
 * Epochs. The set of the next epoch is the payload of the object "validators":
 *   u8 1 | str32 set document | u16 n_bits | bitmap | seats in index order { 64 by the key | 64 by the cosigning key }
 *   A seat is that validator's word that it will serve: both signatures over SHA-256("reeve-seat-v1" 00 || chain_id || set hash).
 *  E1 A block with such a leaf ends the epoch: its header names the new set in next_valset_hash, all others name their own there.
 *     Every block on top of it belongs to the next epoch (number + 1) and is decided by the new set.
 *  E2 So nothing is built on it before it is final. Where its own certificate cannot come any more (some notarized it too late),
 *     the old set makes it final through closers: blocks of the old epoch on top of it, without leaves, with its roots and its
 *     next_valset_hash. A closer is a link in that finalization and nothing else: it is never stored, served or believed as a head.
 *  E3 Seats of a quorum of the new set are there, and that of each validator who is new or has another key: a set that cannot
 *     decide, or knows nothing of it, is not begun.
 *  E4 Past a lost quorum: the block may be decided by M of the N recovery keys of genesis instead of the old set. It holds that
 *     leaf alone, without approvals, seats and the region's signature (zero), for who signs the header decides about all of it.
 * Whoever knows one set learns the next from an epoch link: finalization of the block that ended the epoch | str32 that payload.
 *
 * Payloads (text = u8 length + UTF-8 without control characters, may be empty;
 * pred = u16 length + predicate code; times u64 ms; flags 0 or 1):
 *   region     u8 1 | 32 key | u8 state, or with keys of the ring's other members
 *              u8 2 | 32 key | u8 state | u8 n (1..REGION_MEMBERS_MAX) { u32 member | 32 signing key | 32 sealing key },
 *              ascending members: each may sign what the region signs, but for changes of this object
 *   authority  u8 1 | name region | text subject | u32 ttl_s | u8 external | u8 n { u32 gen | u8 state |
 *              u8 key_type | 32 spki_hash | not_before | not_after | created | str16 chain }
 *              with intermediates: u8 2 instead of 1, and behind it u8 n (1..AUTHORITY_INTERS_MAX) { u32 gen | u32 member |
 *              str16 DER }, ascending gen and member, gen one of those above: certificates under the authority's own, for
 *              keys in the signers of members of the ring. A leaf may be by the authority or by one of them.
 *   cert       u8 1 | u8 mode | name authority | text subject | u8 n { name san } | u8 key_type | u32 validity_s |
 *              u32 renew_before_s | u32 overlap_s | text strategy | pred where | u32 active_gen | u64 rollout_id |
 *              rules | u8 n { u32 gen | u8 state | u32 authority_gen | not_before | not_after | created | 32 spki_hash }
 *   config     u8 1 | u32 active_gen | u64 rollout_id | rules | u8 n { u32 gen | u8 state | u8 absent | 32 digest }
 *   rules      u8 n { u32 gen | pred }
 *   class      u8 1 | u8 attested
 *   node       u8 1 | u8 revoked (1)
 *   region checkpoint  u8 1 | u8 anew | u64 size (1..) | 32 root | u8 n | n x 32: that the region's log of config changes with
 *              that size extends the log of the version before; none at version 1 and where it begins anew
 *   approver, policy, veto: engine/approval.h
 * Generations ascend. A generation is ACTIVE exactly when it is active_gen or a
 * rule names it; an authority has at most one ACTIVE generation; a chain is
 * there unless the request is still out (PENDING, or REVOKED before it came):
 * then both times are 0 and the field holds the request (DER), or nothing.
 *
 * Invariants
 *  A1 object_version is the parent's version + 1 and names its leaf hash.
 *  A2 header time exceeds the parent's; validity uses header time only.
 *  A3 height is the parent's + 1; log_size grows by the number of leaves.
 *  A4 applying the same block to the same state gives the same roots.
 *  A5 an object has at most one rollout at a time, and only the rollout moves what nodes serve.
 */
#ifndef REEVE_ENGINE_ATTEST_H
#define REEVE_ENGINE_ATTEST_H

#include "common/crypto_ops.h"
#include "common/kv.h"
#include "engine/merkle.h"
#include "engine/rollout.h"

#define ATTEST_PAYLOAD_MAX   60000
#define ATTEST_LEAF_MAX      65535
#define ATTEST_TEXT_MAX      1024      /* reason, statement, address */
#define ATTEST_HEADER_LEN    275
#define ATTEST_VOTE_LEN      175
#define ATTEST_VALIDATORS_MAX 64
#define ATTEST_BLOCK_LEAVES_MAX 64
#define ATTEST_BLOCK_MAX     (4u << 20)
#define ATTEST_MAX_SKEW_MS   2000      /* how far an honest validator's clock may be off; see attest_skew_ms */
#define ATTEST_LINKS_MAX     32        /* blocks between one that is final and the one whose certificate makes it so */
#define ATTEST_KV_PREFIX     'A'       /* first key byte of everything this engine stores */

enum attest_type {
    AT_VALSET = 1,      /* "validators": the set document of the next epoch */
    AT_REGION = 2,      /* a region: its key and state */
    AT_AUTHORITY = 3,
    AT_CERT = 4,
    AT_ROLLOUT = 5,     /* name is the decimal rollout id */
    AT_CONFIG = 6,      /* name is the config key: digests of its versions */
    AT_CLASS = 7,       /* name is a key prefix: regional or attested */
    AT_NODE = 8,        /* name is the node id text: revoked for good */
    AT_APPROVER = 9,    /* somebody whose signature counts */
    AT_POLICY = 10,     /* whose signatures a kind of change needs */
    AT_CHECKPOINT = 11, /* name is the region: how far its own log of config changes has come */
    AT_VETO = 12,       /* name is a proposal's digest in hex: it is refused for good */
    AT__MAX = 12
};
const char *attest_type_name(enum attest_type t);    /* "cert", "rollout", ... */

/* ---- sets, genesis ---- */
struct validator { struct name name; struct pubkey key, cosign_key; uint32_t weight; };
struct valset { uint64_t epoch; uint16_t n; struct validator v[ATTEST_VALIDATORS_MAX]; };
void valset_encode(const struct valset *s, struct wr *out);
enum reeve_err valset_decode(struct valset *s, struct slice in) REEVE_MUST_CHECK;
void valset_hash(const struct crypto_ops *c, struct hash32 *out, struct slice doc);
/* The place of a validator with that key; -1. */
int valset_find(const struct valset *s, const struct pubkey *key);
static inline unsigned valset_quorum(unsigned n) { return 2 * n / 3 + 1; }

struct genesis {
    struct name chain;
    struct wall_ms time;
    uint8_t nonce[16];
    struct valset set;
    uint16_t n_regions;
    struct { struct name name; struct pubkey key; struct name address; } region[ROLLOUT_REGIONS_MAX];  /* address.len 0: none */
    uint8_t recovery_m, recovery_n;
    struct pubkey recovery[16];
};
void genesis_encode(const struct genesis *g, struct wr *out);
enum reeve_err genesis_decode(struct genesis *g, struct slice in) REEVE_MUST_CHECK;
void genesis_chain_id(const struct crypto_ops *c, struct hash32 *out, struct slice doc);

struct region_card {
    struct name region, address;       /* address.len 0: none */
    struct pubkey key;
    bool validates;
    struct pubkey validator_key, cosign_key;
    struct sig64 sig[3];               /* by key, validator_key, cosign_key */
};
#define REGION_CARD_MAX 1024
/* With the signatures, or the body alone, whose digest they are made over. */
void card_encode(const struct region_card *k, bool with_sigs, struct wr *out);
void card_digest(const struct crypto_ops *c, struct hash32 *out, struct slice body);
/* MALFORMED; V_SIGNATURE unless each key has signed. */
enum reeve_err card_decode(const struct crypto_ops *c, struct region_card *k, struct slice in) REEVE_MUST_CHECK;
/*
 * The regions and the set of epoch 1; the rest of g is the caller's. Any order of the cards gives the same. INVALID_VALUE:
 * nobody validates; TOO_COMPLEX: too many; DUPLICATE_OBJECT: a name or key twice.
 */
enum reeve_err genesis_of_cards(struct genesis *g, const struct region_card *card, size_t n) REEVE_MUST_CHECK;

/* ---- the next set ---- */
struct seat { struct sig64 by_key, by_cosign; };
struct valset_doc {
    struct valset set;
    uint8_t bitmap[ATTEST_VALIDATORS_MAX / 8];
    struct seat seat[ATTEST_VALIDATORS_MAX];    /* by index; where the bit is set */
};
/* valset_doc_encode, valset_doc_decode: with the payloads below. The hash of d->set; INVALID_VALUE: too large. */
enum reeve_err valset_doc_hash(const struct crypto_ops *c, struct hash32 *out, const struct valset_doc *d) REEVE_MUST_CHECK;
/* What both keys of a validator sign. */
void seat_digest(const struct crypto_ops *c, struct hash32 *out, const struct hash32 *chain_id, const struct hash32 *set_hash);
bool seat_is_taken(const struct valset_doc *d, unsigned i);
/* E3: V_SIGNATURE (one is bad), V_QUORUM (too few, or one who is new to was has none). */
enum reeve_err seats_verify(const struct crypto_ops *c, const struct valset_doc *d, const struct hash32 *chain_id,
                            const struct valset *was) REEVE_MUST_CHECK;

/* ---- updates ---- */
struct update {
    uint8_t type, op;                  /* op: 1 put, 2 delete */
    struct name object;
    uint64_t version;
    struct hash32 prev;
    struct slice payload;              /* borrowed */
    struct name region, actor;
    struct slice address, reason, statement;    /* borrowed, <= ATTEST_TEXT_MAX each */
    struct slice approvals;            /* borrowed: an approval set's bytes (engine/approval.h), empty: none */
    struct sig64 region_sig;
};
/* Encodes; with_sig false leaves the signature out (the bytes the region signs). */
void update_encode(const struct update *u, bool with_sig, struct wr *out);
enum reeve_err update_decode(struct update *u, struct slice leaf) REEVE_MUST_CHECK;
/* Digest the region signs. */
void update_sign_digest(const struct crypto_ops *c, struct hash32 *out, const struct hash32 *chain_id,
                        struct slice unsigned_bytes);

/*
 * What a region says beside the log, signed by its key or a member's: SHA-256("reeve-evidence-v1" or "reeve-brake-v1", 00 ||
 * chain id || bytes), where the bytes begin with the region's name. Evidence: engine/rollout.h.
 */
enum statement_kind { STATEMENT_EVIDENCE = 1, STATEMENT_BRAKE, STATEMENT__COUNT };
void statement_digest(const struct crypto_ops *c, struct hash32 *out, enum statement_kind kind, const struct hash32 *chain_id,
                      struct slice bytes);

/* ---- payloads ---- */
enum region_state { REGION_OK = 1, REGION_FROZEN = 2 };
/* A member of the region's ring: its signer's Ed25519 key, and an X25519 key to seal secrets to. */
#define REGION_MEMBERS_MAX 8
struct region_member { uint32_t id; struct pubkey key, seal_key; };
struct region_doc { struct pubkey key; uint8_t state; uint8_t n_members; struct region_member member[REGION_MEMBERS_MAX]; };
/* The keys that speak for the region, one by one: its own first, then its members'. NULL: no more. */
const struct pubkey *region_doc_key(const struct region_doc *d, unsigned i);
/* Is it signed by one of them? */
bool region_doc_signed(const struct crypto_ops *c, const struct region_doc *d, const struct hash32 *digest, const struct sig64 *sig);
struct region_member *region_member_find(struct region_doc *d, uint32_t id);

enum authority_state { AUTH_PENDING = 1 /* request out, no chain yet */, AUTH_PREPARED, AUTH_ACTIVE, AUTH_TAINTED, AUTH_REVOKED };
#define AUTHORITY_GENS_MAX 8
#define AUTHORITY_CHAIN_MAX 6144
struct authority_gen {
    uint32_t gen;
    uint8_t state, key_type;
    struct hash32 spki_hash;
    struct wall_ms not_before, not_after, created;
    uint16_t chain_len;                /* DER certificates one after another, this authority's own first */
    uint8_t chain[AUTHORITY_CHAIN_MAX];     /* the request while not_after is 0 */
};
#define AUTHORITY_INTERS_MAX 8
#define AUTHORITY_INTER_BYTES 1024
struct authority_inter { uint32_t gen, member; uint16_t len; uint8_t der[AUTHORITY_INTER_BYTES]; };
struct authority_doc {
    struct name region;                /* whose signer holds the key */
    char subject[256];
    uint32_t ttl_s;
    uint8_t external;                  /* 1: signed by somebody outside (CSR out, chain in) */
    uint8_t n;
    struct authority_gen g[AUTHORITY_GENS_MAX];
    uint8_t n_inter;
    struct authority_inter inter[AUTHORITY_INTERS_MAX];
};
struct authority_inter *authority_inter_find(struct authority_doc *d, uint32_t gen, uint32_t member);
/* Puts one in its place, or in another's place; der empty: takes it out. TOO_MANY, TOO_BIG, UNDEFINED_OBJECT (the generation). */
enum reeve_err authority_inter_set(struct authority_doc *d, uint32_t gen, uint32_t member, struct slice der) REEVE_MUST_CHECK;

enum cert_mode { CERT_PER_NODE = 1, CERT_SHARED_REGION = 2, CERT_SHARED_GLOBAL = 3 };
enum gen_state { GEN_PREPARED = 1, GEN_ACTIVE, GEN_RETIRED, GEN_WITHDRAWN /* rolled back */, GEN_REVOKED };
#define CERT_GENS_MAX 12
#define OBJECT_RULES_MAX 8
struct cert_gen {
    uint32_t gen;
    uint8_t state;
    uint32_t authority_gen;
    struct wall_ms not_before, not_after, created;
    struct hash32 spki_hash;           /* shared modes; zero for per-node */
};
/* Who serves what when no rollout says otherwise: the last rule that matches, else active_gen. */
struct gen_rule { uint32_t gen; struct predicate where; };
struct cert_doc {
    uint8_t mode;
    struct name authority;
    char subject[256];
    uint8_t n_sans;
    struct name san[32];
    uint8_t key_type;
    uint32_t validity_s, renew_before_s, overlap_s;
    struct name strategy;              /* for automatic renewal; len 0: built-in default */
    struct predicate where;            /* which nodes carry this certificate at all */
    uint32_t active_gen;               /* 0: none yet */
    uint64_t rollout_id;               /* 0: none running */
    uint8_t n_rules;
    struct gen_rule rule[OBJECT_RULES_MAX];
    uint8_t n;
    struct cert_gen g[CERT_GENS_MAX];  /* ascending gen */
};
/* Config key under attestation: versions are its generations. gen 0 means absent. */
#define CONFIG_GENS_MAX 8
struct config_gen { uint32_t gen; uint8_t state; bool absent; struct hash32 digest; /* SHA-256 of the value */ };
struct config_doc {
    uint32_t active_gen;
    uint64_t rollout_id;
    uint8_t n_rules;
    struct gen_rule rule[OBJECT_RULES_MAX];
    uint8_t n;
    struct config_gen g[CONFIG_GENS_MAX];
};
struct class_doc { uint8_t attested; };
struct node_doc { uint8_t revoked; };

/*
 * A region's log of its config changes (engine/region_history.h), of which only size and root are here. anew: it does not
 * extend the one before, because the region's state was brought back from a copy; everybody can see that it says so.
 */
#define ATTEST_CHECKPOINT_MS 60000      /* between two of one region, by header times */
struct checkpoint_doc { bool anew; uint64_t size; struct hash32 root; uint8_t n; struct hash32 path[MERKLE_PATH_MAX]; };

#define PAYLOAD_DECL(kind) \
    void kind##_doc_encode(const struct kind##_doc *d, struct wr *out); \
    enum reeve_err kind##_doc_decode(struct kind##_doc *d, struct slice in) REEVE_MUST_CHECK
PAYLOAD_DECL(region);
PAYLOAD_DECL(authority);
PAYLOAD_DECL(cert);
PAYLOAD_DECL(config);
PAYLOAD_DECL(class);
PAYLOAD_DECL(node);
PAYLOAD_DECL(checkpoint);
PAYLOAD_DECL(valset);
#undef PAYLOAD_DECL
/* (rollout_doc_encode/decode: engine/rollout.h) */

/*
 * When a generation is to be renewed. One that its authority cut short is
 * renewed at the same share of the life it really has: otherwise it would be
 * due from its first second on, again and again. 0: never.
 */
struct wall_ms cert_renew_at(const struct cert_doc *d, const struct cert_gen *g);
struct cert_gen *cert_gen_find(struct cert_doc *d, uint32_t gen);

/*
 * Which generation of an object a node should serve: the base by rules, then
 * the running rollout. rollout NULL when rollout_id is 0. 0: none.
 */
struct node_view { struct name region; const struct labels *labels; char id_text[NODE_ID_TEXT_LEN + 1]; uint64_t cohort; };
uint32_t cert_gen_for(const struct cert_doc *d, const struct rollout_doc *r, const struct name *object,
                      const struct node_view *n);
uint32_t config_gen_for(const struct config_doc *d, const struct rollout_doc *r, const struct name *object,
                        const struct node_view *n);

/* ---- headers, votes, finalizations ---- */
struct block_header {
    struct hash32 chain_id;
    uint64_t epoch;
    struct hash32 valset_hash, next_valset_hash;
    uint64_t view, height, parent_view;
    struct hash32 parent_hash;
    struct wall_ms time;
    uint64_t log_size;
    struct hash32 log_root, state_root, payload_root;
    uint16_t proposer;
};
void header_encode(const struct block_header *h, uint8_t out[ATTEST_HEADER_LEN]);
enum reeve_err header_decode(struct block_header *h, struct slice in) REEVE_MUST_CHECK;
void header_hash(const struct crypto_ops *c, struct hash32 *out, const struct block_header *h);
/* E1: by a leaf of its own, or as a closer (E2). */
static inline bool header_ends_epoch(const struct block_header *h) { return !hash32_eq(&h->valset_hash, &h->next_valset_hash); }
bool header_is_closer(const struct crypto_ops *c, const struct block_header *h);
/* What recovery keys sign (E4). */
void recovery_digest(const struct crypto_ops *c, struct hash32 *out, const struct block_header *h);

enum vote_type { VOTE_PROPOSE = 1, VOTE_NOTARIZE, VOTE_NULLIFY, VOTE_FINALIZE, VOTE_HEARTBEAT };
struct vote {
    uint8_t type;
    struct hash32 chain_id;
    uint64_t epoch;
    struct hash32 valset_hash;
    uint64_t view, height;
    struct hash32 block_hash;
    uint64_t parent_view;
    struct hash32 parent_hash;
};
void vote_bytes(const struct vote *v, uint8_t out[ATTEST_VOTE_LEN]);
void vote_of_header(const struct crypto_ops *c, struct vote *v, enum vote_type type, const struct block_header *h);

struct finalization {
    struct block_header header;
    uint64_t view;
    uint16_t n_bits;
    uint8_t bitmap[ATTEST_VALIDATORS_MAX / 8];
    uint16_t n_sigs;
    struct sig64 sig[ATTEST_VALIDATORS_MAX];
    uint16_t n_links;                  /* 0: final by a certificate of its own */
    struct block_header link[ATTEST_LINKS_MAX];     /* its descendants, the last one certified */
    struct slice recovery;             /* E4: the genesis document, borrowed, and bits are recovery keys; empty: by validators */
};
void finalization_encode(const struct finalization *f, struct wr *out);
/* Reads one finalization from in; MALFORMED for wrong counts, set padding bits, indexes beyond n. */
enum reeve_err finalization_decode(struct finalization *f, struct rd *in) REEVE_MUST_CHECK;
/*
 * Everything a verifier needs to believe a header: chain, epoch and set hash,
 * quorum of distinct members, every signature. V_CHAIN, V_EPOCH, V_SET,
 * V_SIGNER, V_QUORUM, V_SIGNATURE.
 */
enum reeve_err finalization_verify(const struct crypto_ops *c, const struct finalization *f,
                                   const struct hash32 *chain_id, const struct valset *set,
                                   const struct hash32 *set_hash) REEVE_MUST_CHECK;
/*
 * One epoch on: f was verified under *set, ends its epoch, and payload names the set that its header announces. *set and
 * *set_hash become the new ones. V_SET, MALFORMED, V_QUORUM and V_SIGNATURE (seats, E3).
 */
enum reeve_err valset_advance(const struct crypto_ops *c, const struct finalization *f, struct slice payload, struct valset *set,
                              struct hash32 *set_hash) REEVE_MUST_CHECK;
/* The payload among a block's leaves; empty: none. */
struct slice valset_payload_find(const struct slice *leaves, size_t n);

/* ---- what a verifier remembers, and bundles for agents ---- */
struct trust {
    struct hash32 chain_id;
    struct valset set;
    struct hash32 set_hash;
    uint64_t view, height;             /* of the newest header believed; 0 at enrolment */
    uint64_t log_size;
    struct hash32 log_root;            /* valid when log_size > 0 */
    struct wall_ms time;
    uint64_t verified;                 /* finalizations verified so far */
};
void trust_encode(const struct trust *t, struct wr *out);
enum reeve_err trust_decode(struct trust *t, struct slice in) REEVE_MUST_CHECK;

/*
 * Bundle: u8 1 | finalization | u8 n consistency hashes (from the log size the
 * receiver said it has) | u16 n objects { u8 type | name | u8 present | [str32 leaf] | map proof }
 * Where the receiver may not know the set that decides now: u8 2 | u16 n (1..) epoch links, ascending | the same.
 */
/* One link: *t's set becomes the next; nothing where that epoch is over for t. As finalization_verify and valset_advance; V_HEIGHT. */
enum reeve_err trust_follow(const struct crypto_ops *c, struct trust *t, struct rd *r) REEVE_MUST_CHECK;
struct bundle_object { uint8_t type; struct name name; bool present; struct slice leaf; struct update update; };
/* V_VERSION unless the object is there in a version above known (0: nothing known). */
enum reeve_err bundle_object_newer(const struct bundle_object *o, uint64_t known) REEVE_MUST_CHECK;
/*
 * Does it bring t another set? Who has seen no newer header for longer than his trusting period does not follow one (the keys
 * of a set that was left long ago may be anybody's by now) and pins anew.
 */
bool bundle_changes_set(const struct trust *t, struct slice in);
/*
 * Verifies the whole bundle against t (map proofs included) BEFORE anything is
 * handed out, then updates t. want_newer: refuse a height not above t's with
 * V_HEIGHT (the same height again is otherwise accepted, an older one never).
 * objects/cap: the caller's array; slices borrow from in.
 */
enum reeve_err bundle_open(const struct crypto_ops *c, struct trust *t, struct slice in, bool want_newer,
                           struct bundle_object *objects, size_t cap, size_t *n) REEVE_MUST_CHECK;

/* ---- the replicated state machine over kv (prefix 'A'); host: one write transaction per block ---- */
/*
 * scratch: attest_scratch_size() bytes of the host's, aligned for any type, used
 * only during a call; needed by check, propose, apply and finalize (NULL is enough
 * for reading). One scratch serves one attest at a time.
 */
struct attest { struct kv *kv; const struct crypto_ops *c; void *scratch; size_t scratch_len; };
size_t attest_scratch_size(void);
struct attest_head {                   /* where the chain stands in this kv */
    struct hash32 chain_id;
    struct block_header header;        /* height 0: genesis, hash of it is the chain id */
    struct hash32 header_hash;
    uint64_t height, log_size;
    struct hash32 log_root, state_root;
    uint64_t epoch;                    /* of the next block: above header.epoch behind one that ended its epoch */
    struct hash32 set_hash;            /* who decides it */
};
/* Writes the initial state; DUPLICATE_OBJECT when one is there already. */
enum reeve_err attest_init(struct attest *a, struct slice genesis_doc) REEVE_MUST_CHECK;
enum reeve_err attest_head(struct attest *a, struct attest_head *out) REEVE_MUST_CHECK;
enum reeve_err attest_genesis(struct attest *a, struct slice *doc) REEVE_MUST_CHECK;
enum reeve_err attest_valset(struct attest *a, struct valset *set, struct slice *doc) REEVE_MUST_CHECK;
/* The height of the block that began that epoch by ending the one before (genesis' own has none). NOT_FOUND. */
enum reeve_err attest_epoch_height(struct attest *a, uint64_t epoch, uint64_t *height) REEVE_MUST_CHECK;
/* Appends the link to that epoch from the one before. NOT_FOUND. */
enum reeve_err attest_epoch_link(struct attest *a, uint64_t epoch, struct wr *out) REEVE_MUST_CHECK;
/*
 * How far the clocks behind two header times may be apart: a rule of the chain. Bakes are lengthened by twice this,
 * by attest_check, by who steps rollouts and by who foretells them, all with this function. ATTEST_MAX_SKEW_MS where
 * validators are several: then one may have stamped the opening early and another stamps the next step late. A set of
 * one has one clock, and a bake between two of its header times is as long as it says: 0.
 */
enum reeve_err attest_skew_ms(struct attest *a, uint32_t *ms) REEVE_MUST_CHECK;

/* One object as it stands. NOT_FOUND if it never was; deleted ones have op 2 in their leaf. */
struct attest_object {
    uint64_t version, leaf_index, height;
    struct hash32 leaf_hash;
    struct wall_ms time, aux_time;     /* header times: of this version; of the wave's opening (rollouts) */
    uint32_t gen_max;                  /* largest generation number ever given, also after DROP and re-creation */
    struct slice leaf;                 /* borrowed per kv rule K2 */
    struct update update;
};
enum reeve_err attest_get(struct attest *a, enum attest_type type, const struct name *name,
                          struct attest_object *out) REEVE_MUST_CHECK;
/* Iterates objects of one type by name; deleted ones included. after->len 0: from the start. */
enum reeve_err attest_next(struct attest *a, enum attest_type type, struct name *after,
                           struct attest_object *out) REEVE_MUST_CHECK;
enum reeve_err attest_leaf(struct attest *a, uint64_t index, struct slice *leaf, uint64_t *height) REEVE_MUST_CHECK;
/* Stored block at a height: header, finalization (finalization | u16 n | str32 leaves). */
enum reeve_err attest_block(struct attest *a, uint64_t height, struct slice *block) REEVE_MUST_CHECK;

/*
 * Would this list of updates be valid on top of the parent state at that
 * header time? All or nothing; the report (may be NULL) names the first that
 * is not. Updates are judged in order, each on top of those before it, so
 * lists may be joined. One thing binds neighbours, the group: a rollout that
 * begins (version 1) or ends (a terminal state) is followed at once by the
 * updates of its targets, in the plan's order, which say exactly what that
 * beginning or end makes of them.
 * V_SIGNATURE, V_TIME, V_UPDATE, V_REVOKED, V_EXPIRED, CONFLICT (stale version),
 * ROLLOUT_RUNNING, REGION_FROZEN, PLAN_STALE, UNDEFINED_OBJECT, DEPENDENT,
 * TOO_COMPLEX, UNSUPPORTED, MALFORMED.
 */
enum reeve_err attest_check(struct attest *a, const struct slice *leaves, size_t n, struct wall_ms time,
                            struct report *rep) REEVE_MUST_CHECK;
/*
 * Applies checked leaves inside the transaction. The caller gives h->view,
 * h->proposer and h->time, the rest of the new block's header is filled in.
 * h->epoch: 0, or the head's own where that ended it: then a closer is made (E2; n is 0).
 */
enum reeve_err attest_propose(struct attest *a, const struct slice *leaves, size_t n,
                              struct block_header *h) REEVE_MUST_CHECK;
/*
 * A validator's path: a proposed block is checked against the state (header
 * fields, updates), applied, its roots recomputed and compared. V_CHAIN,
 * V_EPOCH, V_SET, V_HEIGHT, V_CONSISTENCY (another parent), V_TIME, V_LEAF
 * (other leaves), CORRUPT (other roots), whatever attest_check says. After any
 * failure abort the transaction.
 */
enum reeve_err attest_extend(struct attest *a, const struct block_header *h, const struct slice *leaves, size_t n,
                             struct report *rep) REEVE_MUST_CHECK;
/* Follower's path: verifies the finalization of a block (as attest_block gives it), then attest_extend and attest_finalize. */
enum reeve_err attest_apply(struct attest *a, struct slice block, struct report *rep) REEVE_MUST_CHECK;
/* After attest_propose or attest_extend: stores the finalization so that attest_block and bundles can serve it. */
enum reeve_err attest_finalize(struct attest *a, const struct finalization *f, const struct slice *leaves,
                               size_t n) REEVE_MUST_CHECK;
void block_encode(const struct finalization *f, const struct slice *leaves, size_t n, struct wr *out);
enum reeve_err block_decode(struct finalization *f, struct slice *leaves, size_t cap, size_t *n,
                            struct slice in) REEVE_MUST_CHECK;
/*
 * For who passes blocks on without applying them: final under that set, and with the leaves of its header. Fills f.
 * MALFORMED, TOO_BIG, whatever finalization_verify says, V_LEAF.
 */
enum reeve_err block_verify(const struct crypto_ops *c, struct slice in, const struct hash32 *chain_id, const struct valset *set,
                            const struct hash32 *set_hash, struct finalization *f) REEVE_MUST_CHECK;
/* The same, and *set and *set_hash go on to the next epoch where the block ends theirs. */
enum reeve_err block_follow(const struct crypto_ops *c, struct slice in, const struct hash32 *chain_id, struct valset *set,
                            struct hash32 *set_hash, struct finalization *f) REEVE_MUST_CHECK;
/*
 * E4: the header of the block that puts the set of that payload in force on top of the head, and its only leaf (to leaf), applied
 * inside the transaction, which the caller gives up. region: who may act for the object, and stands in the leaf.
 */
enum reeve_err attest_recovery_draft(struct attest *a, struct slice payload, const struct name *region, struct wall_ms time,
                                     struct block_header *h, struct wr *leaf, struct report *rep) REEVE_MUST_CHECK;
/* RFC 6962 root over a block's leaves. */
void block_payload_root(const struct crypto_ops *c, const struct slice *leaves, size_t n, struct hash32 *out);

/* Is a config key attested? By the longest class prefix; "security/" always is. */
enum reeve_err attest_key_class(struct attest *a, const struct name *key, bool *attested) REEVE_MUST_CHECK;
/* A region's key and state: its REGION object, else genesis. UNDEFINED_OBJECT. Needs scratch. */
enum reeve_err attest_region(struct attest *a, const struct name *region, struct region_doc *out) REEVE_MUST_CHECK;

/* ---- building lawful updates: the rules' one home, for commands, the ring and the checks ---- */

/*
 * Fills type, op, object, version and prev from the state as it stands, and
 * borrows payload (empty: a deletion). Region, actor, texts and signature
 * remain the caller's. UNDEFINED_OBJECT when nothing is there to delete.
 */
enum reeve_err update_prepare(struct attest *a, enum attest_type type, const struct name *object, struct slice payload,
                              struct update *u) REEVE_MUST_CHECK;
/* The newest payload of a live object; UNDEFINED_OBJECT where it is absent or deleted. o may be NULL. */
enum reeve_err attest_get_cert(struct attest *a, const struct name *n, struct cert_doc *d,
                               struct attest_object *o) REEVE_MUST_CHECK;
enum reeve_err attest_get_authority(struct attest *a, const struct name *n, struct authority_doc *d,
                                    struct attest_object *o) REEVE_MUST_CHECK;
enum reeve_err attest_get_config(struct attest *a, const struct name *n, struct config_doc *d,
                                 struct attest_object *o) REEVE_MUST_CHECK;
enum reeve_err attest_get_rollout(struct attest *a, uint64_t id, struct rollout_doc *d,
                                  struct attest_object *o) REEVE_MUST_CHECK;
void rollout_object_name(struct name *out, uint64_t id);

/*
 * Edits of documents in place. gen_max is that of the attest_object (0 for a
 * new object). Appending gives the next number and state PREPARED, and drops the
 * oldest generation out of use when the list is full; TOO_COMPLEX when none is.
 */
enum reeve_err cert_gen_append(struct cert_doc *d, uint32_t gen_max, struct cert_gen *g,
                               struct report *rep) REEVE_MUST_CHECK;
/* CREATE CERT alone: the first generation needs no rollout, nobody serves another. */
enum reeve_err cert_gen_activate_first(struct cert_doc *d, struct report *rep) REEVE_MUST_CHECK;
/* Revokes; if gen is the active one, to_active (0: none; see cert_gen_fallback) takes its place. */
enum reeve_err cert_gen_revoke(struct cert_doc *d, uint32_t gen, uint32_t to_active, struct report *rep) REEVE_MUST_CHECK;
/* The newest generation that was in use, is neither without nor revoked, and is valid at now; 0: none. */
uint32_t cert_gen_fallback(const struct cert_doc *d, uint32_t without, struct wall_ms now);
/* number 0: the next one; else it must exceed every number given so far (a regional key's own count goes on). */
enum reeve_err config_gen_append(struct config_doc *d, uint32_t gen_max, uint32_t number, bool absent,
                                 const struct hash32 *digest, struct report *rep) REEVE_MUST_CHECK;
/* Regional keys only, between rollouts: what the region serves by its own word becomes the base. */
enum reeve_err config_rebase(struct config_doc *d, uint32_t gen_max, uint32_t number, bool absent,
                             const struct hash32 *digest, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err authority_gen_append(struct authority_doc *d, uint32_t gen_max, struct authority_gen *g,
                                    struct report *rep) REEVE_MUST_CHECK;
/* Activating taints the generation active before. WRONG_STATE where no edge leads. */
enum reeve_err authority_gen_set_state(struct authority_doc *d, uint32_t gen, enum authority_state to,
                                       struct report *rep) REEVE_MUST_CHECK;
/* PENDING to PREPARED: the signed chain has come. */
enum reeve_err authority_chain_set(struct authority_doc *d, uint32_t gen, struct wall_ms not_before,
                                   struct wall_ms not_after,
                                   struct slice chain, struct report *rep) REEVE_MUST_CHECK;
struct authority_gen *authority_gen_find(struct authority_doc *d, uint32_t gen);
/* What the beginning and the end of a rollout make of a target. PLAN_STALE when from_gen is not the active one. */
enum reeve_err cert_rollout_begin(struct cert_doc *d, const struct name *object, const struct rollout_doc *r,
                                  struct report *rep) REEVE_MUST_CHECK;
enum reeve_err cert_rollout_end(struct cert_doc *d, const struct name *object, const struct rollout_doc *r,
                                struct report *rep) REEVE_MUST_CHECK;
enum reeve_err config_rollout_begin(struct config_doc *d, const struct name *object, const struct rollout_doc *r,
                                    struct report *rep) REEVE_MUST_CHECK;
enum reeve_err config_rollout_end(struct config_doc *d, const struct name *object, const struct rollout_doc *r,
                                  struct report *rep) REEVE_MUST_CHECK;

/*
 * Whole groups. mem (the caller's, reset here; room for ATTEST_PAYLOAD_MAX per
 * update) receives the payloads that set->u borrow: encode and sign the updates
 * before mem changes. Needs scratch.
 */
struct update_set { size_t n; struct update u[1 + ROLLOUT_TARGETS_MAX]; };
/* Per target: does a new generation come with it, and (regional config) the base the region serves now. */
struct rollout_change {
    bool fresh;                        /* false: to_gen exists already */
    struct cert_gen cert;              /* AT_CERT: gen must come out as the target's to_gen */
    struct config_gen config, base;    /* AT_CONFIG; base.gen 0: none */
};
/* from_gen and the number a new generation will get, for planning; from 0 and to 1 for a new object. */
enum reeve_err attest_gen_numbers(struct attest *a, enum attest_type type, const struct name *object,
                                  uint32_t *from, uint32_t *next) REEVE_MUST_CHECK;
/* The ROLLOUT of version 1 and its targets' updates; change: one per target. */
enum reeve_err attest_rollout_begin(struct attest *a, const struct rollout_doc *r, const struct rollout_change *change,
                                    struct wr *mem, struct update_set *set, struct report *rep) REEVE_MUST_CHECK;
/* The next version of a ROLLOUT; with its targets' updates when next is a terminal state. */
enum reeve_err attest_rollout_step(struct attest *a, const struct rollout_doc *next, struct wr *mem,
                                   struct update_set *set, struct report *rep) REEVE_MUST_CHECK;

struct object_key { uint8_t type; struct name name; };
/* A bundle of the newest state for a receiver that knows the log up to from_size (0: nothing). */
enum reeve_err attest_bundle(struct attest *a, uint64_t from_size, const struct object_key *keys, size_t n,
                             struct wr *out) REEVE_MUST_CHECK;
/*
 * The same, without objects, of the block with whose leaves the log came to that size. NOT_FOUND: it is not here yet.
 * V_CONSISTENCY: no block ends there, or with another root.
 */
enum reeve_err attest_bundle_of_size(struct attest *a, uint64_t from_size, uint64_t size, const struct hash32 *root,
                                     struct wr *out) REEVE_MUST_CHECK;

#endif
