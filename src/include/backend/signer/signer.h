/*
 * signer.h - the process that holds every long-lived private key
 *
 * DIR/keys (0700) belongs to it alone. It answers the fixed requests of
 * msglist.h and nothing else; src/backend/signer/README.md says what each
 * request must prove before a key is touched.
 */
#ifndef REEVE_BACKEND_SIGNER_H
#define REEVE_BACKEND_SIGNER_H

#include "common/buf.h"
#include "engine/attest.h"

struct child;

/* Runs until the postmaster says stop; the exit status. */
int signer_main(struct child *c);

/*
 * First of the three steps that make a data directory (signer, validator,
 * ring). Makes DIR/keys with every key, the empty last-sign state and the
 * pinned trust; genesis gets the document of a new chain with a validator set
 * of one, whose only member is this server, and of which the region's key is
 * part. DIR must exist; LOCKED when DIR/keys is there already. token: NULL, or the URI of a PKCS#11 token (crypto/p11.h), with a
 * pin-source: the region's, the validator's and the cosigning key are made there and never leave it.
 */
enum reeve_err signer_init(const char *dir, const struct name *region, struct wall_ms now, const char *token,
                           struct wr *genesis, struct report *rep) REEVE_MUST_CHECK;

/*
 * The same for a region that shall be in a genesis document with others: keys, and their card (engine/attest.h) appended.
 * INVALID_VALUE: an address that is no text of 1 to NAME_MAX_LEN bytes.
 */
enum reeve_err signer_card(const char *dir, const struct name *region, struct slice address, bool validates, const char *token,
                           struct wr *card, struct report *rep) REEVE_MUST_CHECK;
/*
 * Then, once: pins the chain of that document, which must name this folder's region key (V_REGION). Tells the region's name, the
 * validator's key and whether the document's set has it. LOCKED: a chain is pinned already.
 */
enum reeve_err signer_found(const char *dir, struct slice genesis, struct name *region, struct pubkey *validator, bool *validates,
                            struct report *rep) REEVE_MUST_CHECK;

/*
 * The same for a member that joins a ring: DIR/keys with a signing key and a
 * sealing key of its own. What chain they serve the signer hears once, from the
 * state that the ring gives this member.
 */
enum reeve_err signer_join(const char *dir, struct report *rep) REEVE_MUST_CHECK;

/*
 * A vote as SIGN_VOTE carries it: u8 type, u64 epoch, 32 set hash, u64 view,
 * u64 height, 32 block, u64 parent view, 32 parent. The chain is the signer's own.
 */
#define SIGNER_VOTE_LEN 129
void signer_vote_encode(const struct vote *v, struct wr *out);
/* Leaves chain_id alone; the reader's sticky failure tells whether it worked. */
void signer_vote_decode(struct vote *v, struct rd *in);

#endif
