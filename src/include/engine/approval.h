/*
 * approval.h - M of N: who may approve, what needs it, and what exactly is signed
 *
 * An approval is an Ed25519 signature by an approver over a text, the text of a
 * C2SP signed note (each line ends with LF):
 *
 *   reeve approval v1
 *   CHAIN                    chain id, 64 lower-case hex digits
 *   approve                  or: reject
 *   PROPOSAL                 the proposal's id
 *   DIGEST                   its digest, base64 of 32 bytes
 *   POLICY VERSION           the policy's name, a space, its object version
 *   NOT-AFTER                Unix seconds after which it is worth nothing
 *
 * so every tool that signs notes can make one, and names what was decided upon
 * to the last byte. The key is a plain Ed25519 note key whose name is the
 * approver's: key id = first 4 bytes of SHA-256(name LF 01 key).
 *
 * content hash of an update = SHA-256("reeve-content-v1" 00 || its leaf's bytes before the approvals)
 * digest of a proposal = SHA-256("reeve-proposal-v1" 00 || chain id || name proposal | u64 not_after_s | name policy |
 *   u64 policy version | u8 n_parts | n_parts x content hash)
 *   A proposal has one part per update. They stand in a block one behind another, in this order, all or none.
 * Approval set, in a leaf: u8 n (1..APPROVALS_MAX) | name proposal | u64 not_after_s | name policy | u64 policy version |
 *   u8 n_parts | u8 part (of this leaf, from 0) | n_parts x content hash | n x { name approver | 64 signature },
 *   ascending approvers. Each leaf of a proposal has it, so that each is believed by itself.
 *
 * Payloads:
 *   approver   u8 1 | 32 key | optional name jurisdiction | optional name role | u8 n (1..APPROVER_GROUPS_MAX) { name group }
 *   policy     u8 1 | u32 subjects | u8 n (1..POLICY_TERMS_MAX) { u8 count | name group } | u8 distinct jurisdictions |
 *              u8 exclude proposer | u32 expires_s | u8 veto count | name group (with a count only)
 *   veto       u8 1 | name proposal | u64 not_after_s | name policy | u64 policy version | u8 n { name approver | 64 signature }
 *   Groups ascend, and the approvers of a veto. The object's name of a veto is the digest in lower-case hex.
 *
 * Invariants
 *  P1 As long as a policy lives, one of them covers AT_POLICY; no subject is covered twice.
 *  P2 Every live policy can be met by the approvers there are; no two live approvers have the same key.
 *  P3 An approver counts once, and for one term only: there is a matching of approvers to the places of all terms.
 *  P4 What counts is the policy, the approvers and their keys as the updates before this one leave them; time is header time.
 */
#ifndef REEVE_ENGINE_APPROVAL_H
#define REEVE_ENGINE_APPROVAL_H

#include "engine/attest.h"

#define APPROVALS_MAX       16      /* in one set; also the places of all terms of a policy together */
#define APPROVERS_MAX       64      /* live ones */
#define APPROVER_GROUPS_MAX 8
#define POLICIES_MAX        16
#define POLICY_TERMS_MAX    8
#define PROPOSAL_PARTS_MAX  (1 + ROLLOUT_TARGETS_MAX)
#define APPROVAL_TEXT_MAX   1024

/* ---- documents ---- */
struct approver_doc {
    struct pubkey key;
    struct name jurisdiction;       /* len 0: none, counts for no jurisdiction */
    struct name role;               /* whom EXCLUDE PROPOSER means; len 0: nobody */
    uint8_t n_groups;
    struct name group[APPROVER_GROUPS_MAX];
};
/* One bit a kind of object, 1 << enum attest_type, and one for what only takes trust away, of whatever kind. */
#define SUBJECT_REVOCATION 1u
#define SUBJECT_BIT(type)  (1u << (type))
/* What needs approval by some policy as soon as there is one: what no policy covers is covered by that of AT_POLICY. */
#define SUBJECTS_ALWAYS (SUBJECT_BIT(AT_VALSET) | SUBJECT_BIT(AT_REGION) | SUBJECT_BIT(AT_AUTHORITY) | \
                         SUBJECT_BIT(AT_APPROVER) | SUBJECT_BIT(AT_POLICY))
#define SUBJECTS_ALL    (SUBJECTS_ALWAYS | SUBJECT_REVOCATION | SUBJECT_BIT(AT_CERT) | SUBJECT_BIT(AT_ROLLOUT) | \
                         SUBJECT_BIT(AT_CONFIG) | SUBJECT_BIT(AT_CLASS))
struct policy_term { uint8_t count; struct name group; };
struct policy_doc {
    uint32_t subjects;
    uint8_t n_terms;
    struct policy_term term[POLICY_TERMS_MAX];
    uint8_t distinct;               /* jurisdictions among those who fill the places; 0 or 1: any */
    uint8_t exclude_proposer;
    uint32_t expires_s;             /* what the region gives a proposal; the note says when it ends */
    uint8_t veto_count;             /* 0: no veto */
    struct name veto_group;
};
struct approval { struct name approver; struct sig64 sig; };
/* What a signer is told beside his verdict; the digest covers the rest of it. */
struct approval_ref {
    struct name proposal, policy;
    uint64_t policy_version, not_after_s;
    struct hash32 digest;
};
struct veto_doc { struct approval_ref ref; /* digest: not in the payload */ uint8_t n; struct approval a[APPROVALS_MAX]; };
struct approval_set {
    struct approval_ref ref;        /* digest: not in the bytes; approval_set_digest() */
    uint8_t n_parts, part;
    struct hash32 content[PROPOSAL_PARTS_MAX];
    uint8_t n;
    struct approval a[APPROVALS_MAX];
};

#define PAYLOAD_DECL(kind) \
    void kind##_doc_encode(const struct kind##_doc *d, struct wr *out); \
    enum reeve_err kind##_doc_decode(struct kind##_doc *d, struct slice in) REEVE_MUST_CHECK
PAYLOAD_DECL(approver);
PAYLOAD_DECL(policy);
PAYLOAD_DECL(veto);
#undef PAYLOAD_DECL
void approval_set_encode(const struct approval_set *s, struct wr *out);
enum reeve_err approval_set_decode(struct approval_set *s, struct slice in) REEVE_MUST_CHECK;

/* A note's key name in print: ASCII without spaces and '+'. */
bool approver_name_ok(const struct name *n);
bool approver_in_group(const struct approver_doc *d, const struct name *group);
void veto_object_name(struct name *out, const struct hash32 *digest);
bool veto_object_digest(struct hash32 *out, const struct name *object);
/* The approvals' bytes of a leaf being read: checked as a whole, empty where there are none. */
struct slice approval_section(struct rd *r);

/* ---- what is signed ---- */
/* leaf_or_unsigned: an update's bytes as update_encode makes them, with or without approvals and signature. MALFORMED. */
enum reeve_err update_content_hash(const struct crypto_ops *c, struct hash32 *out, struct slice leaf_or_unsigned) REEVE_MUST_CHECK;
void proposal_digest(const struct crypto_ops *c, struct approval_ref *ref, const struct hash32 *chain_id,
                     const struct hash32 *content, uint8_t n_parts);
/* The text above; out needs APPROVAL_TEXT_MAX. */
void approval_text(struct wr *out, const struct hash32 *chain_id, bool approve, const struct approval_ref *ref);
/* Did the key sign this verdict? */
bool approval_verify(const struct crypto_ops *c, const struct approval *a, const struct pubkey *key, const struct hash32 *chain_id,
                     bool approve, const struct approval_ref *ref);
/*
 * The signature of approver's key in a note: the whole note, or its signature line alone ("— name base64"). Finds the line of
 * that name and key; NOT_FOUND where there is none, MALFORMED for a line that cannot be read, V_UPDATE when a whole note's text
 * is not the one given.
 */
enum reeve_err approval_note_read(const struct crypto_ops *c, struct sig64 *out, struct slice note, struct slice text,
                                  const struct name *approver, const struct pubkey *key) REEVE_MUST_CHECK;
/* "name+hash+base64(01 key)" into a name and a key; MALFORMED, V_KEY where the hash is not that of name and key. */
enum reeve_err vkey_read(const struct crypto_ops *c, struct name *name, struct pubkey *key, struct slice vkey) REEVE_MUST_CHECK;
void vkey_write(const struct crypto_ops *c, struct wr *out, const struct name *name, const struct pubkey *key);

/* ---- who suffices ---- */
/*
 * Can these people fill the places of all terms, each at most one of them, so that those who do come from enough
 * jurisdictions? n <= APPROVERS_MAX.
 */
bool policy_met(const struct policy_doc *p, const struct approver_doc *who, unsigned n);
/* The places of all terms together. */
unsigned policy_places(const struct policy_doc *p);

/* ---- state ---- */
enum reeve_err attest_get_approver(struct attest *a, const struct name *n, struct approver_doc *d, struct attest_object *o) REEVE_MUST_CHECK;
enum reeve_err attest_get_policy(struct attest *a, const struct name *n, struct policy_doc *d, struct attest_object *o) REEVE_MUST_CHECK;

/* Which policy asks for approvals of a list; needed false: none does. */
struct proposal_need { bool needed; struct name policy; uint64_t version; uint32_t expires_s; };
/*
 * attest_check for updates that are not signed and not approved yet (their signature is not looked at): would they be
 * valid if they were, and whose approval do they need? Beside attest_check's errors: UNSUPPORTED where two policies ask.
 */
enum reeve_err attest_check_proposal(struct attest *a, const struct slice *leaves, size_t n, struct wall_ms time,
                                     struct proposal_need *need, struct report *rep) REEVE_MUST_CHECK;

#endif
