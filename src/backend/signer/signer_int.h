/*
 * signer_int.h - the signer's state and its parts
 *
 * DIR/keys, all 0600, replaced only by rename:
 *   region.key validator.key cosign.key   32-byte Ed25519 seeds, or URIs of keys in a token (ownkey.c)
 *   log.key                               32-byte Ed25519 seed: the plain line of checkpoints, which proves nothing by itself; made
 *                                         where it is missing
 *   cosigned                              the largest tree that was cosigned, see cosign.c
 *   (a folder whose card was made and whose chain is not known yet has neither trust nor lastsign)
 *   member.key seal.key                   instead of those three, at a member that joined a ring: its Ed25519 seed and its
 *                                         X25519 key
 *   master.key                            32 bytes: seals what is below
 *   auth/NAME.GEN.SPKI                    an authority's private key, sealed
 *   shared/NAME.GEN.SPKI[.crt]            a shared certificate's key, sealed; the certificate once issued
 *   trust                                 what this signer believes, see trust.c
 *   lastsign                              the last-sign state, see laststate.c; not at a member that joined
 * NAME is the object's name with every byte outside [A-Za-z0-9_-] as %XX (a
 * digest when that gets long), SPKI the first 16 hex digits of the SPKI hash:
 * a key is chosen by what was attested, and none is ever overwritten.
 *
 * Invariants
 *  G1 no key leaves this process in the clear; sealed to a node's own key, or to an attested member's, is the only way out.
 *  G2 the last-sign state is synced before a vote's signature leaves.
 *  G3 nothing is issued from a template that was not proved under a finalization
 *     at a height not below the highest one ever seen.
 *  G4 the largest tree cosigned is synced before its cosignature leaves; what is cosigned later extends it, and is final.
 */
#ifndef REEVE_BACKEND_SIGNER_INT_H
#define REEVE_BACKEND_SIGNER_INT_H

#include "backend/signer/signer.h"
#include "common/text.h"
#include "crypto/p11.h"
#include "crypto/sign.h"
#include "crypto/x509.h"
#include "engine/attest.h"

/* ---- last-sign: the rule (lastsign.c) and its file (laststate.c) ---- */
enum { LS_PROPOSE, LS_NOTARIZE, LS_NULLIFY, LS_FINALIZE, LS_KINDS };
struct lastsign_view {
    uint64_t epoch, view;
    uint8_t have;                                   /* bit per kind */
    struct { struct vote vote; struct sig64 sig; } signed_vote[LS_KINDS];
};
/* The newest view voted in and the one before it; older ones are refused. */
struct lastsign { struct lastsign_view cur, prev; };
enum lastsign_verdict { LASTSIGN_SIGN, LASTSIGN_REPEAT, LASTSIGN_REFUSE };
/*
 * May v be signed after what was signed? REPEAT: exactly this was signed, sig
 * has the same signature. REFUSE: rep says against what.
 */
enum lastsign_verdict lastsign_check(const struct lastsign *s, const struct vote *v, struct sig64 *sig,
                                     struct report *rep);
/* Records a vote that lastsign_check let through. */
void lastsign_record(struct lastsign *s, const struct vote *v, const struct sig64 *sig);

struct laststate { int fd; uint64_t seq; struct lastsign state; };
#define LASTSTATE_SLOT 4096
enum reeve_err laststate_create(int dirfd, const struct hash32 *chain_id) REEVE_MUST_CHECK;
/* CORRUPT when the file is missing, short, of another chain, or neither slot is whole. */
enum reeve_err laststate_open(struct laststate *l, int dirfd, const struct hash32 *chain_id, struct report *rep)
    REEVE_MUST_CHECK;
/* Durable when it returns OK; after any error the process must end. */
enum reeve_err laststate_save(struct laststate *l, const struct hash32 *chain_id, const struct lastsign *next)
    REEVE_MUST_CHECK;
void laststate_close(struct laststate *l);

/* ---- files (keydir.c) ---- */
/* Reads a whole file of at most cap bytes. NOT_FOUND, TOO_BIG, IO. */
enum reeve_err keydir_read(int dirfd, const char *name, void *out, size_t cap, size_t *len) REEVE_MUST_CHECK;
/* Temp file, fsync, rename, fsync of the folder. excl: DUPLICATE_OBJECT when the name is taken. */
enum reeve_err keydir_write(int dirfd, const char *name, struct slice data, bool excl) REEVE_MUST_CHECK;
/* Removes what a crash left of keydir_write. */
void keydir_sweep(int dirfd);
unsigned keydir_count(int dirfd, const char *prefix);
#define KEY_FILE_NAME_MAX 240
/* Belongs to this user alone, or CONFIG; what a crash left is swept. */
enum reeve_err signer_folder_open(int at, const char *name, int *out, struct report *rep) REEVE_MUST_CHECK;
/* ---- own signing keys (ownkey.c) ---- */
struct own_key {
    struct pubkey pub;
    struct sign_key key;                            /* a secret, unless it is on_token */
    bool on_token;
    unsigned number;                                /* there */
};
/* *token is opened when the file names one and it is not open yet; the caller closes it. CORRUPT, CONFIG, or as p11.h says. */
enum reeve_err own_key_read(struct p11 **token, int dirfd, const char *file, struct own_key *k, struct report *rep) REEVE_MUST_CHECK;
/* A new key, in a file that is not there yet; uri not NULL: in that token, and the file names it. */
enum reeve_err own_key_make(struct p11 **token, const char *uri, int dirfd, const char *file, struct pubkey *pub, struct report *rep)
    REEVE_MUST_CHECK;
/* A signature that verifies, or an error. */
enum reeve_err own_key_sign(struct p11 *token, const struct own_key *k, struct slice msg, struct sig64 *sig, struct report *rep)
    REEVE_MUST_CHECK;

/* NAME.GEN.SPKI as above; spki NULL leaves the last part out (for counting). */
void key_file_name(char out[KEY_FILE_NAME_MAX], const struct name *name, uint32_t gen, const struct hash32 *spki);

/* ---- proved objects (proved.c): a bounded LRU of leaves under a finalization ---- */
#define PROVED_MAX 64
#define PROVED_AGE_MAX_MS 300000    /* then the proof is asked for again: it might say revoked by now */
struct proved_entry {
    uint8_t type;
    struct name name;
    struct hash32 leaf_hash;
    uint8_t *leaf;                  /* malloc; NULL: entry unused */
    size_t leaf_len;
    uint64_t used;
    int64_t at_ms;
};
struct proved { struct proved_entry e[PROVED_MAX]; uint64_t clock; };
enum reeve_err proved_put(struct proved *p, uint8_t type, const struct name *name, const struct hash32 *leaf_hash,
                          struct slice leaf, int64_t now_ms) REEVE_MUST_CHECK;
void proved_drop(struct proved *p, uint8_t type, const struct name *name);
/* NULL when absent or too old. */
const struct proved_entry *proved_by_hash(struct proved *p, uint8_t type, const struct hash32 *leaf_hash, int64_t now_ms);
const struct proved_entry *proved_by_name(struct proved *p, uint8_t type, const struct name *name, int64_t now_ms);
void proved_clear(struct proved *p);

/* ---- issuers and shared keys opened lately (opened.c): a bounded LRU, wiped ---- */
#define OPENED_MAX 32
struct opened_entry {
    uint8_t kind;                   /* OPENED_ISSUER, OPENED_SHARED; 0: entry unused */
    struct hash32 id;
    struct x509_issuer *issuer;
    struct xkey *key;
    uint64_t used;
};
struct opened { struct opened_entry e[OPENED_MAX]; uint64_t clock; };

/* ---- the whole ---- */
struct signer_secrets {
    struct own_key region, validator, cosign, log;       /* region: the key that this signer speaks for the region with */
    struct seal_key seal;           /* of a member that joined */
    struct aead_key master;
    uint8_t ticket[80];
};
struct signer {
    int dirfd, authfd, sharedfd;
    struct signer_secrets *sec;     /* secret_alloc */
    struct p11 *token;              /* NULL: no key lies in one */
    struct pubkey region_pub, validator_pub, cosign_pub, log_pub;
    bool member;                    /* joined a ring: no votes */
    bool pinned;                    /* knows its chain; region and trust are set */
    struct name region;
    struct trust trust;
    struct laststate last;
    struct proved proved;
    struct opened opened;
    int64_t (*now_ms)(void);        /* wall clock */
    bool broken;                    /* a sync failed: answer no more, end */
    /* decoded for one request; too large for a stack */
    struct cert_doc cert;
    struct authority_doc authority;
    uint8_t scratch[X509_DER_MAX + AEAD_OVERHEAD];
};
enum reeve_err signer_open(struct signer *s, const char *dir, struct report *rep) REEVE_MUST_CHECK;
void signer_close(struct signer *s);

/* trust.c */
enum reeve_err trust_pin(int dirfd, const struct name *region, const struct trust *t) REEVE_MUST_CHECK;
enum reeve_err trust_load(int dirfd, struct name *region, struct trust *t, struct report *rep) REEVE_MUST_CHECK;
/*
 * Opens a bundle against what is believed, remembers its CERT, AUTHORITY and
 * REGION objects, and makes the new height durable first. The bundle starts from log
 * size 0: what counts here is a quorum's word at a height not below ours; that
 * the log only grows is for auditors and agents to check. AGAIN: a height
 * below ours (a gateway that reads an older snapshot).
 */
enum reeve_err trust_prove(struct signer *s, struct slice bundle, struct report *rep) REEVE_MUST_CHECK;

/* sealed.c: private keys at rest. kind is "authority" or "shared". */
enum reeve_err sealed_store(struct signer *s, const char *kind, const struct name *name, uint32_t gen,
                            const struct xkey *key, struct hash32 *spki_hash, struct report *rep) REEVE_MUST_CHECK;
/* SHA-256 of the key's SPKI. */
enum reeve_err sealed_spki(const struct xkey *key, struct hash32 *out) REEVE_MUST_CHECK;
/* NOT_FOUND when this signer does not have it; the key must match spki_hash. Free with xkey_free. */
enum reeve_err sealed_load(struct signer *s, const char *kind, const struct name *name, uint32_t gen,
                           const struct hash32 *spki_hash, struct xkey **out, struct report *rep) REEVE_MUST_CHECK;

/* leaf.c: a private key as str16, sealed to an X25519 key: the only form in which one leaves (G1). */
enum reeve_err seal_key_to(const struct xkey *key, const struct pubkey *to, struct wr *out) REEVE_MUST_CHECK;

/*
 * opened.c: a key file costs 0.7 ms to open, a request for a leaf a quarter of
 * that. Whether a key may be used is asked of the proved documents each time;
 * these only keep what was opened. The answers borrow: what was used last is evicted last,
 * so two are good for the length of one request.
 */
struct template_ref;
/*
 * The authority's own key, or where this signer does not have it that of an
 * attested intermediate: *inter is its certificate then, else empty. inter
 * NULL: the authority's only. UNAVAILABLE: neither is here.
 */
enum reeve_err opened_issuer(struct signer *s, const struct template_ref *t, struct x509_issuer **out, struct slice *inter,
                             struct report *rep) REEVE_MUST_CHECK;
enum reeve_err opened_shared(struct signer *s, const struct template_ref *t, const struct xkey **out, struct report *rep)
    REEVE_MUST_CHECK;
void opened_clear(struct opened *o);

#define SIGNER_BUNDLE_MAX (512u << 10)
/* template.c: the proof part that ISSUE_LEAF and RESEAL_KEY share */
struct template_ref {
    struct name cert;
    const struct cert_gen *gen;
    const struct authority_gen *authority;
    struct name authority_name;
    struct slice issuer, chain;     /* DER: the authority's own certificate; all of its chain */
    struct slice inter;             /* set by template_issue(): what it was issued under, if not the authority itself */
};
/* The authority's part of it, from what was proved: AGAIN, or not one to issue under. */
enum reeve_err template_authority(struct signer *s, const struct name *name, uint32_t gen, struct template_ref *t,
                                  struct report *rep) REEVE_MUST_CHECK;
/* Reads "u8 have-proof, [str32 bundle], 32 leaf hash, u32 gen"; fills s->cert, s->authority and t. */
enum reeve_err template_read(struct signer *s, struct rd *in, struct template_ref *t, struct report *rep) REEVE_MUST_CHECK;
/* Issues a certificate of the template for spki; sets t->inter. */
enum reeve_err template_issue(struct signer *s, struct template_ref *t, struct slice spki, struct wr *der,
                              struct report *rep) REEVE_MUST_CHECK;

/*
 * Requests: body in, result appended to out (after the reply head). AGAIN
 * where a proof is needed, or one of a greater height than the one sent.
 */
typedef enum reeve_err signer_request(struct signer *s, struct rd *in, struct wr *out, struct report *rep);
signer_request signer_sign_seat, signer_epoch;
signer_request signer_sign_vote, signer_sign_update, signer_authority_key, signer_shared_key,
    signer_gateway_delegate, signer_ticket_keys, signer_issue_leaf, signer_reseal_key, signer_member_keys, signer_member_pin,
    signer_intermediate_key, signer_intermediate_issue, signer_shared_export, signer_shared_import, signer_sign_checkpoint,
    signer_sign_statement;

#endif
