/*
 * note.h - signed notes, checkpoints, cosignatures, single proofs, policies
 *
 * The C2SP formats, so that other people's verifiers read what we export:
 * signed-note v1.0.0, tlog-checkpoint v1.0.0, tlog-cosignature v1.0.1, tlog-proof and tlog-policy (drafts of 2026-07).
 *
 * Note: text (UTF-8, no byte below 20 but 0A, ends in 0A) | 0A | 1..NOTE_SIGS_MAX signature lines. Split at the last
 *   0A 0A. Signature line: E2 80 94 20 | name | 20 | base64(u32 key id | signature) | 0A. What is signed is the text.
 *   name: not empty, no Unicode space, no '+'. key id: first 4 bytes of SHA-256(name | 0A | u8 type | key).
 * Key (vkey): name "+" 8 hex digits of the id "+" base64(u8 type | 32 key). Types: 1 Ed25519 over the text;
 *   4 cosignature/v1: u64 unix seconds | Ed25519 over "cosignature/v1" 0A "time " decimal 0A | text.
 * Private key (file of keygen, the form of Go's note package): "PRIVATE+KEY+" name "+" 8 hex digits "+"
 *   base64(u8 1 | 32 seed).
 * Checkpoint (the text of a note): origin 0A | size, decimal without leading zeros 0A | base64(32 root) 0A |
 *   extension lines, not empty, 0A each.
 * Proof: "c2sp.org/tlog-proof@v1" 0A | ["extra " base64 0A] | "index " decimal 0A | 0..64 lines base64(32 hash), from
 *   the leaf's sibling upward, 0A each | 0A | checkpoint note.
 * Policy: lines of words; # begins a comment line. "log" vkey [url] · "witness" name vkey [url] ·
 *   "group" name k|any|all member... · "quorum" name|none. A name is defined before it is used and is a member of at
 *   most one group; no two witnesses have one public key; exactly one quorum line, behind what it names.
 *
 * Verifier's rules
 *  N1 Signature lines of unknown (name, id) say nothing; a known key's line must verify, or the whole note is refused.
 *  N2 A witness counts once, however many lines it has.
 *  N3 Everything is bounded; whatever decodes encodes to the same bytes (policies excepted: comments and blanks).
 */
#ifndef REEVE_ENGINE_NOTE_H
#define REEVE_ENGINE_NOTE_H

#include "common/buf.h"
#include "common/crypto_ops.h"

#define NOTE_BYTES_MAX      (1u << 20)
#define NOTE_SIGS_MAX       100
#define NOTE_NAME_MAX       1024
#define NOTE_SIG_BYTES_MAX  4096        /* id and signature of one line; those of types unknown here may be long */
#define NOTE_COSIGNED_MAX   8192        /* text that a cosignature can cover here */
#define NOTE_KEY_TEXT_MAX   (NOTE_NAME_MAX + 96)
#define NOTE_PROOF_PATH_MAX 64

enum note_alg { NOTE_ED25519 = 1, NOTE_COSIGNATURE = 4 };

/* ---- keys ---- */
struct note_key { struct slice name; uint32_t id; uint8_t alg; struct pubkey key; };     /* name borrowed */
bool note_name_ok(struct slice name);
void note_key_init(const struct crypto_ops *c, struct note_key *k, struct slice name, enum note_alg alg,
                   const struct pubkey *key);
void note_key_format(const struct note_key *k, struct wr *out);
/* MALFORMED: no vkey. V_KEY: the id is not that of name and key. UNSUPPORTED: another type. */
enum reeve_err note_key_parse(const struct crypto_ops *c, struct note_key *k, struct slice text) REEVE_MUST_CHECK;
/* The private form; k is the public part, its id is written as it stands. */
void note_secret_format(const struct note_key *k, const uint8_t seed[32], struct wr *out);
/* MALFORMED. The id is returned unchecked: only who can derive the public key can check it. */
enum reeve_err note_secret_parse(struct slice text, struct slice *name, uint32_t *id, uint8_t seed[32]) REEVE_MUST_CHECK;

/* ---- notes ---- */
struct note_sig { struct slice name, payload; uint32_t id; };     /* payload: base64 text of id and signature */
struct note { struct slice text; unsigned n; struct note_sig sig[NOTE_SIGS_MAX]; };      /* borrows */
enum reeve_err note_parse(struct note *n, struct slice in) REEVE_MUST_CHECK;
/* text, and the blank line; signature lines follow, with note_put_sig. */
void note_put_text(struct wr *out, struct slice text);
void note_put_sig(struct wr *out, const struct note_key *k, const struct sig64 *sig);
void note_put_cosig(struct wr *out, const struct note_key *k, uint64_t time_s, const struct sig64 *sig);
/* What a cosigner signs. */
void note_cosig_message(struct slice text, uint64_t time_s, struct wr *out);
/*
 * Judges the signature lines of known keys (N1). seen[i]: keys[i] has signed; time_s[i]: when, for a cosignature (may be
 * NULL). V_SIGNATURE: a known key's line does not verify. *n_unknown (may be NULL): lines of unknown keys.
 */
enum reeve_err note_verify(const struct crypto_ops *c, const struct note *n, const struct note_key *keys, size_t n_keys,
                           bool *seen, uint64_t *time_s, unsigned *n_unknown) REEVE_MUST_CHECK;

/* ---- checkpoints ---- */
struct checkpoint { struct slice origin; uint64_t size; struct hash32 root; struct slice extensions; };
enum reeve_err checkpoint_parse(struct checkpoint *cp, struct slice text) REEVE_MUST_CHECK;
void checkpoint_format(const struct checkpoint *cp, struct wr *out);

/* ---- single proofs ---- */
struct tlog_proof { struct slice extra; uint64_t index; size_t n; struct hash32 path[NOTE_PROOF_PATH_MAX]; struct slice note; };
enum reeve_err tlog_proof_parse(struct tlog_proof *p, struct slice in) REEVE_MUST_CHECK;
void tlog_proof_format(const struct tlog_proof *p, struct wr *out);

/* ---- policies ---- */
#define POLICY_LOGS_MAX     8
#define POLICY_WITNESSES_MAX 96
#define POLICY_GROUPS_MAX   32
#define POLICY_NONE         UINT16_MAX
#define POLICY_GROUP        0x8000u     /* member numbers: witness i, or POLICY_GROUP | group i */
struct policy_group { struct slice name; uint16_t k, n, first; };      /* members: member[first .. first + n) */
struct policy {
    unsigned n_logs, n_witnesses, n_groups, n_members;
    struct note_key log[POLICY_LOGS_MAX];
    struct { struct slice name; struct note_key key; } witness[POLICY_WITNESSES_MAX];
    struct policy_group group[POLICY_GROUPS_MAX];
    uint16_t member[POLICY_WITNESSES_MAX + POLICY_GROUPS_MAX];
    uint16_t quorum;                    /* a member number, or POLICY_NONE */
    unsigned line;                      /* after a failure: where */
};
/* Borrows from text. MALFORMED, TOO_BIG, V_KEY, UNSUPPORTED (key types); DUPLICATE_OBJECT (a name or key twice). */
enum reeve_err policy_parse(const struct crypto_ops *c, struct policy *p, struct slice text) REEVE_MUST_CHECK;
/*
 * Does this note satisfy the policy? The log whose name is the checkpoint's origin must have signed, and the quorum.
 * V_CHAIN: no such log; V_SIGNATURE; V_QUORUM. cp is filled in where the text is a checkpoint, else MALFORMED.
 */
enum reeve_err policy_check(const struct crypto_ops *c, const struct policy *p, const struct note *n,
                            struct checkpoint *cp, unsigned *n_witnesses) REEVE_MUST_CHECK;

#endif
