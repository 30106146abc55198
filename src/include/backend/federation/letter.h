/*
 * letter.h - what regions say to each other: letters (backend/peer/peer.h), as bytes
 *
 *   u8 1 | u8 kind | body
 *
 *   1 PROPOSAL  u16 signer | 64 signature | content: 275 header | u16 n | n x str32 leaf
 *   2 VOTE      u16 signer | 64 signature | vote (backend/signer/signer.h, SIGNER_VOTE_LEN bytes)
 *   3 CERT      vote | u16 n_bits | ceil(n/8) bitmap | a signature for each bit, in order
 *   4 SUBMIT    u64 height that its sender has | u16 n | n x str32 signed leaf
 *   5 ANSWER    32 digest of the SUBMIT (SHA-256 of what follows its height) | u16 reeve_err (0: it is done) | str16 message
 *   6 FETCH     u64 request | u64 from height
 *   7 BLOCKS    u64 request | u64 height of its sender | u16 n | n x str32 block (engine/attest.h), one height after another
 *   8 BLOCK     str32 block
 *   9 WANT      u64 view | 32 hash: of a block under way, whose content its sender lacks
 *  10 CONTENT   as in PROPOSAL; the hash says whether it is what was wanted
 *  11 CERTS     u64 view: its sender lacks certificates from there on; answered by CERTs
 *  12 EVIDENCE  u16 signer | vote | 64 signature | vote | 64 signature: two votes of one validator that exclude each other
 *  13 RING      bytes for the ring of the region it comes to (backend/ring/regions.h): what is signed in them says whose word it is
 *  14 COSIGN    u64 log size | 32 log root: asks a validator's region for its cosignature over that checkpoint
 *  15 COSIGNED  u64 log size | 32 log root | str16 signature line (engine/note.h)
 *  16 SEATS_WANTED  the payload of a validator set without seats: who of you would serve in it?
 *  17 SEAT      32 set hash | 32 voting key | 64 signature by it | 64 by the cosigning key
 *
 * News (soft state, once a second): u8 1 | u64 height of its sender.
 *
 * A letter proves that a server of its region sent it, and no more. 1 to 3 and 9 to 12 come from regions with a validator, of
 * whichever validator: the signature says whose word it is. A kind that is not known is passed over.
 *
 * Pure; decoders borrow.
 */
#ifndef REEVE_BACKEND_FEDERATION_LETTER_H
#define REEVE_BACKEND_FEDERATION_LETTER_H

#include "backend/signer/signer.h"
#include "engine/attest.h"

enum letter_kind { LETTER_PROPOSAL = 1, LETTER_VOTE, LETTER_CERT, LETTER_SUBMIT, LETTER_ANSWER, LETTER_FETCH, LETTER_BLOCKS,
                   LETTER_BLOCK, LETTER_WANT, LETTER_CONTENT, LETTER_CERTS, LETTER_EVIDENCE, LETTER_RING,
                   LETTER_COSIGN, LETTER_COSIGNED, LETTER_SEATS_WANTED, LETTER_SEAT, LETTER__COUNT };
#define LETTER_MESSAGE_MAX 512
#define LETTER_LINE_MAX    2048
/* In LETTER_OUT, instead of a link: every server that is linked. */
#define LETTER_TO_ALL      UINT32_MAX

/* Begins one; the body follows. */
void letter_begin(enum letter_kind kind, struct wr *out);
/* 0: malformed, of another version, or a kind that is not known. */
enum letter_kind letter_open(struct slice letter, struct slice *body);

struct letter_vote { uint16_t signer; struct sig64 sig; struct vote vote; };
void letter_vote_encode(const struct letter_vote *l, struct wr *out);
enum reeve_err letter_vote_decode(struct letter_vote *l, struct slice body) REEVE_MUST_CHECK;

struct letter_proposal { uint16_t signer; struct sig64 sig; struct slice content; };
void letter_proposal_encode(const struct letter_proposal *l, struct wr *out);
enum reeve_err letter_proposal_decode(struct letter_proposal *l, struct slice body) REEVE_MUST_CHECK;

struct letter_cert {
    struct vote vote;
    uint16_t n_bits, n_sigs;
    uint8_t bitmap[ATTEST_VALIDATORS_MAX / 8];
    struct sig64 sig[ATTEST_VALIDATORS_MAX];
};
/* The body alone, as stores keep it; letter_begin() first for a letter. */
void letter_cert_encode(const struct letter_cert *l, struct wr *out);
enum reeve_err letter_cert_decode(struct letter_cert *l, struct slice body) REEVE_MUST_CHECK;

/* As certificates: the body alone, as stores keep it. Decoding says nothing of the signatures, nor whether it is evidence. */
struct letter_evidence { uint16_t signer; struct vote vote[2]; struct sig64 sig[2]; };
#define LETTER_EVIDENCE_LEN (2 + 2 * (SIGNER_VOTE_LEN + 64))
void letter_evidence_encode(const struct letter_evidence *l, struct wr *out);
enum reeve_err letter_evidence_decode(struct letter_evidence *l, struct slice body) REEVE_MUST_CHECK;

struct letter_submit { uint64_t height; struct slice leaves; /* u16 n | n x str32 */ };
void letter_submit_encode(const struct letter_submit *l, struct wr *out);
enum reeve_err letter_submit_decode(struct letter_submit *l, struct slice body) REEVE_MUST_CHECK;

/* A validator's seat in a set that somebody asked about (LETTER_SEATS_WANTED: the payload of a validator set, without seats). */
struct letter_seat { struct hash32 set_hash; struct pubkey key; struct seat seat; };
void letter_seat_encode(const struct letter_seat *l, struct wr *out);
enum reeve_err letter_seat_decode(struct letter_seat *l, struct slice body) REEVE_MUST_CHECK;

struct letter_answer { struct hash32 digest; enum reeve_err err; struct slice message; };
void letter_answer_encode(const struct letter_answer *l, struct wr *out);
enum reeve_err letter_answer_decode(struct letter_answer *l, struct slice body) REEVE_MUST_CHECK;

struct letter_cosign { uint64_t size; struct hash32 root; };
void letter_cosign_encode(const struct letter_cosign *l, struct wr *out);
enum reeve_err letter_cosign_decode(struct letter_cosign *l, struct slice body) REEVE_MUST_CHECK;

struct letter_cosigned { struct letter_cosign of; struct slice line; };
void letter_cosigned_encode(const struct letter_cosigned *l, struct wr *out);
enum reeve_err letter_cosigned_decode(struct letter_cosigned *l, struct slice body) REEVE_MUST_CHECK;

#endif
