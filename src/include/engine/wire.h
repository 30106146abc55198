/*
 * wire.h - the codec of the agents' protocol (reeve/1)
 *
 * docs/protocol/agent.md is the specification for other implementers; the
 * fields of every frame stand in engine/framelist.h alone. Here: structures
 * made from that table, one encoder and one decoder that walk it, and the
 * signed texts (delegation, gateway, agent, seal), join tokens and the
 * plaintext RETRY.
 *
 * Frame:  varint length of what follows | u8 type | u8 flags |
 *         [varint request id] | [varint deadline ms] | body
 * Body:   fixed fields in the table's order, then extensions
 *         { varint tag | varint length | bytes } by ascending tag.
 *
 * Invariants
 *  W1 canonical: decode(encode(x)) = x, and nothing else decodes to x, unknown
 *     extensions and unknown frame types aside (both are skipped; an odd tag
 *     that is unknown fails with UNSUPPORTED).
 *  W2 a decoder allocates nothing: slices borrow from the input, lists are
 *     checked whole while decoding and iterated later without failing.
 *  W3 a length above its bound is refused before anything of that length is
 *     waited for or read.
 *  W4 no decoder reads beyond the frame; no input makes one loop more than the
 *     input is long.
 */
#ifndef REEVE_ENGINE_WIRE_H
#define REEVE_ENGINE_WIRE_H

#include "common/buf.h"
#include "common/crypto_ops.h"

#define WIRE_ALPN           "reeve/1"
#define WIRE_VERSION        1
#define WIRE_MAGIC          "RVA1"
#define WIRE_FRAME_MAX      (16u << 20)     /* nobody may announce more */
#define WIRE_FRAME_MIN_MAX  262144u         /* nobody may announce less */
#define WIRE_FRAME_PRE_AUTH 20480u          /* gateways take no longer frame before AUTH_OK */
#define WIRE_HEAD_MAX       (4 + 2 + 10 + 10)

#define WIRE_FEATURES       UINT64_C(0)     /* none defined in version 1 */

enum wire_flag { WIRE_REQID = 0x01, WIRE_COMPRESSED = 0x02 /* reserved */, WIRE_DEADLINE = 0x04, WIRE_MORE = 0x08 };
#define WIRE_FLAGS_KNOWN (WIRE_REQID | WIRE_DEADLINE | WIRE_MORE)

struct wire_magic { uint8_t b[4]; };
struct wire_id8   { uint8_t b[8]; };
struct wire_id16  { uint8_t b[16]; };
/* family 0 none, 4, 6; an IPv4 address lies in the first four bytes. */
struct wire_addr  { uint8_t family; uint8_t b[16]; };
/* n encoded items; made with wire_list_add, read with wire_list_next. */
struct wire_list  { uint32_t n; struct slice bytes; };
struct wire_optvar { bool set; uint64_t v; };

/* One structure per group and frame: struct wire_label, struct wire_hello ... An absent byte extension has p == NULL. */
#define W_GROUP(SYM, sym, text) struct wire_##sym {
#define W_GEND(SYM, sym) };
#define W_FRAME(SYM, sym, code, from, states, reqid, body_max, text) struct wire_##sym {
#define W_END(SYM, sym) };
#define W_RAW(sym, ctype, field, text) ctype field;
#define W_U8(sym, field, min, max, text) uint8_t field;
#define W_VAR(sym, field, max, text) uint64_t field;
#define W_NAME(sym, field, text) struct slice field;
#define W_TEXT(sym, field, max, text) struct slice field;
#define W_BYTES(sym, field, max, text) struct slice field;
#define W_ADDR(sym, field, text) struct wire_addr field;
#define W_LIST(sym, field, GROUP, max, text) struct wire_list field;
#define W_XVAR(sym, tag, field, max, text) struct wire_optvar field;
#define W_XBYTES(sym, tag, field, max, text) struct slice field;
#include "engine/framelist.h"

enum wire_group {
    WG_NONE,
#define W_GROUP(SYM, sym, text) WG_##SYM,
#include "engine/framelist.h"
    WG__COUNT
};
enum wire_type {
    WF_NONE = 0,
#define W_FRAME(SYM, sym, code, from, states, reqid, body_max, text) WF_##SYM = code,
#include "engine/framelist.h"
};
#define WIRE_TYPE_MAX 0x7f

/* Codes of ERROR and REPORT frames (WE_*); stable numbers, not enum reeve_err. */
enum wire_code {
#define W_ERR(SYM, number, text) WE_##SYM = number,
#include "engine/framelist.h"
};
/* Symbol ("RELOAD_TIMEOUT") and sentence; "UNKNOWN" for others. */
const char *wire_error_name(unsigned code);
const char *wire_error_text(unsigned code);

enum wire_from { WIRE_AGENT = 1, WIRE_GATEWAY = 2, WIRE_BOTH = 3 };
/* States of a connection at the gateway, as a set. */
enum wire_state { WIRE_ST_HELLO = 1, WIRE_ST_AUTH = 2, WIRE_ST_ENROLL = 4, WIRE_ST_READY = 8, WIRE_ST_ANY = 15 };
enum wire_reqid { WIRE_REQID_NONE, WIRE_REQID_MAY, WIRE_REQID_MUST };

enum wire_kind { WK_END, WK_RAW, WK_U8, WK_VAR, WK_NAME, WK_TEXT, WK_BYTES, WK_ADDR, WK_LIST, WK_XVAR, WK_XBYTES };
struct wire_field {
    enum wire_kind kind;
    const char *name, *text;
    size_t at;                          /* offset in the structure */
    uint64_t min, max;                  /* WK_RAW: max is the size */
    uint32_t tag;                       /* extensions */
    enum wire_group group;              /* lists */
};
struct wire_type_info {
    const char *name, *text;            /* "HELLO" */
    uint8_t from, states, reqid;
    uint32_t body_max;
    size_t size;                        /* of the structure */
    const struct wire_field *fields;    /* ends with WK_END */
};
/* NULL for types nobody defined. */
const struct wire_type_info *wire_type_info(unsigned type);
struct wire_group_info { const char *name, *text; size_t size; const struct wire_field *fields; };
const struct wire_group_info *wire_group_info(enum wire_group g);

struct wire_head {
    uint8_t type, flags;
    uint64_t reqid, deadline_ms;        /* 0 where the flag is absent */
};

struct wire_frame {
    struct wire_head head;
    union {
#define W_FRAME(SYM, sym, code, from, states, reqid, body_max, text) struct wire_##sym sym;
#include "engine/framelist.h"
    } u;
};
/* A zeroed frame of that type, ready to be filled. */
struct wire_frame wire_frame_of(enum wire_type type);

/* ---- framing ---- */
/*
 * How long is the first frame in in, its length prefix included? *total is
 * set as soon as the prefix is whole. AGAIN: the prefix or the frame is not
 * whole yet (*total 0 or the length to wait for); TOO_BIG: longer than max or
 * than its type's body_max allows; MALFORMED: overlong prefix, or shorter than
 * type and flags. Look at type-dependent limits happens once 2 bytes more are there.
 */
enum reeve_err wire_frame_len(struct slice in, size_t max, size_t *total) REEVE_MUST_CHECK;
/*
 * Decodes one whole frame (length prefix included). MALFORMED, TRUNCATED,
 * TOO_BIG (a list, text or number above its bound), UNSUPPORTED (critical
 * extension or flag), NOT_FOUND (a type nobody defined: to be skipped; head
 * is filled). Slices borrow from in.
 */
enum reeve_err wire_decode(struct wire_frame *out, struct slice in) REEVE_MUST_CHECK;
/* May that type arrive from that side in that state, with these flags? PROTOCOL if not. */
enum reeve_err wire_check(const struct wire_head *h, enum wire_from from, enum wire_state state) REEVE_MUST_CHECK;
/* The code for an ERROR frame that tells the peer about a decoding failure. */
enum wire_code wire_error_of(enum reeve_err e);

/*
 * Appends the frame. Request id and deadline are written where their flags are
 * set. INVALID_VALUE when a field is out of its bounds (nothing is appended),
 * TOO_BIG when w is full.
 */
enum reeve_err wire_encode(struct wr *w, const struct wire_frame *f) REEVE_MUST_CHECK;
/* Bytes wire_encode would append; 0 when a field is out of its bounds. */
size_t wire_size(const struct wire_frame *f);

/* Appends one item (a struct wire_<group>) to the bytes of a list and counts it. INVALID_VALUE, TOO_BIG. */
enum reeve_err wire_list_add(struct wr *w, struct wire_list *l, enum wire_group g, const void *item) REEVE_MUST_CHECK;
/* Call after the last wire_list_add: the writer may have moved. */
static inline void wire_list_end(const struct wr *w, struct wire_list *l) { l->bytes = wr_slice(w); }
/* Takes the next item off a decoded list (a copy of it); false at the end. */
bool wire_list_next(struct wire_list *l, enum wire_group g, void *item);

/* ---- delegation: the region lends its name to a gateway's key for a while ---- */
/*
 * u8 1 | 32 chain id | name region | 32 gateway Ed25519 key | u64 not_before_ms | u64 not_after_ms |
 * 64 signature by a key that the REGION object lists over "reeve-delegation-v1" 00 | all bytes before the signature.
 * (big endian, name = u8 length + bytes)
 */
#define WIRE_DELEGATION_MAX 401
struct wire_delegation {
    struct hash32 chain_id;
    struct name region;
    struct pubkey gateway_key;
    struct wall_ms not_before, not_after;
    struct sig64 signature;
};
void wire_delegation_encode(const struct wire_delegation *d, struct wr *out);
enum reeve_err wire_delegation_decode(struct wire_delegation *d, struct slice in) REEVE_MUST_CHECK;
/* The bytes the region key signs. */
void wire_delegation_message(const struct wire_delegation *d, struct wr *out);
/*
 * Everything an agent checks: chain (V_CHAIN), region name and signature by
 * the attested region key (V_REGION), validity at now within skew_ms (V_TIME).
 */
enum reeve_err wire_delegation_verify(const struct crypto_ops *c, const struct wire_delegation *d,
                                      const struct hash32 *chain_id, const struct name *region,
                                      const struct pubkey *region_key, struct wall_ms now, int64_t skew_ms) REEVE_MUST_CHECK;

/* ---- signed texts of a connection ---- */
/* TLS exporter (RFC 8446 7.5): this label, no context, 32 bytes. */
#define WIRE_EXPORTER_LABEL "EXPORTER-reeve-agent-v1"
#define WIRE_MESSAGE_MAX 160
/* WELCOME.signature: "reeve-gateway-v1" 00 | exporter 32 | challenge 32. Returns the length. */
size_t wire_gateway_message(uint8_t out[WIRE_MESSAGE_MAX], const uint8_t exporter[32], const struct hash32 *challenge);
/* AUTH.signature: "reeve-agent-v1" 00 | exporter 32 | challenge 32 | X25519 key 32. */
size_t wire_agent_message(uint8_t out[WIRE_MESSAGE_MAX], const uint8_t exporter[32], const struct hash32 *challenge,
                          const struct pubkey *seal_key);
/*
 * KEY_REQUEST.signature, also checked by the signer (RESEAL_KEY):
 * "reeve-seal-v1" 00 | chain id 32 | X25519 key 32, by the node's Ed25519 key.
 */
size_t wire_seal_message(uint8_t out[WIRE_MESSAGE_MAX], const struct hash32 *chain_id, const struct pubkey *seal_key);

/* ---- join tokens ---- */
/*
 * "reeve1." + base64url without padding of
 *   u8 1 | 32 chain id | 32 set hash | name region | 8 token id | 16 secret.
 * The region keeps only SHA-256 of the secret.
 */
#define WIRE_TOKEN_PREFIX    "reeve1."
#define WIRE_TOKEN_TEXT_MAX  480        /* with the NUL */
struct wire_token {
    struct hash32 chain_id, set_hash;
    struct name region;
    uint8_t id[8], secret[16];
};
/* Terminated text; returns its length. The caller wipes it after use: it holds the secret. */
size_t wire_token_encode(char out[WIRE_TOKEN_TEXT_MAX], const struct wire_token *t);
/* Surrounding white space is not accepted. MALFORMED. */
enum reeve_err wire_token_decode(struct wire_token *t, struct slice text) REEVE_MUST_CHECK;

/* ---- shedding before TLS ---- */
/*
 * In place of a ServerHello a loaded gateway may send 8 plaintext bytes and
 * close: "RVRT" | u32 milliseconds. 'R' (0x52) begins no TLS record. Nobody
 * signed it: agents take at most WIRE_RETRY_MS_MAX from it.
 */
#define WIRE_RETRY_LEN    8
#define WIRE_RETRY_MS_MAX 60000
void wire_retry_encode(uint8_t out[WIRE_RETRY_LEN], uint32_t ms);
/* The delay (clamped), or -1 when in is not a plaintext RETRY. */
int64_t wire_retry_decode(struct slice in);

#endif
