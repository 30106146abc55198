/*
 * framelist.h - the one table of the agents' protocol: frames, groups, errors
 *
 * Included with some of the macros below set; each is undefined again at the
 * end. engine/wire.h makes the C structures from it, engine/wire/table.c the
 * tables that encode and decode, and a test renders it and compares the result
 * with docs/protocol/agent.md, so the three cannot drift.
 *
 *   W_FRAME(SYM, sym, code, from, states, reqid, body_max, text)
 *       from   AGENT, GATEWAY or BOTH: who sends it
 *       states the gateway's states of a connection in which it may arrive or leave
 *       reqid  NONE, MUST or MAY carry a request id
 *       body_max longest body in bytes (the negotiated max_frame bounds it too)
 *   W_GROUP(SYM, sym, text)              an item of a list; the same fields, no extensions
 *   W_END(SYM, sym), W_GEND(SYM, sym)    end a frame, a group
 * Fields, in wire order (first the fixed ones, then extensions by ascending tag):
 *   W_RAW(sym, ctype, field, text)       sizeof(ctype) bytes as they are
 *   W_U8(sym, field, min, max, text)     one byte
 *   W_VAR(sym, field, max, text)         varint
 *   W_NAME(sym, field, text)             varint 1..255 + UTF-8 without control characters
 *   W_TEXT(sym, field, max, text)        varint 0..max + UTF-8 without NUL
 *   W_BYTES(sym, field, max, text)       varint 0..max + bytes
 *   W_ADDR(sym, field, text)             u8 family 0, 4 or 6 + 0, 4 or 16 bytes
 *   W_LIST(sym, field, GROUP, max, text) varint count 0..max + that many items
 *   W_XVAR(sym, tag, field, max, text)   extension holding exactly one varint
 *   W_XBYTES(sym, tag, field, max, text) extension holding bytes
 *   W_ERR(SYM, number, text)             what ERROR and REPORT say went wrong
 * Numbers are for ever: append, never reuse. 0x18-0x1f are kept for the repair
 * of a drifted configuration by a keyed 16-ary Merkle trie, 0x60-0x7f for tests
 * of forward compatibility (never assigned).
 */
#ifndef W_FRAME
#define W_FRAME(SYM, sym, code, from, states, reqid, body_max, text)
#endif
#ifndef W_GROUP
#define W_GROUP(SYM, sym, text)
#endif
#ifndef W_END
#define W_END(SYM, sym)
#endif
#ifndef W_GEND
#define W_GEND(SYM, sym)
#endif
#ifndef W_RAW
#define W_RAW(sym, ctype, field, text)
#endif
#ifndef W_U8
#define W_U8(sym, field, min, max, text)
#endif
#ifndef W_VAR
#define W_VAR(sym, field, max, text)
#endif
#ifndef W_NAME
#define W_NAME(sym, field, text)
#endif
#ifndef W_TEXT
#define W_TEXT(sym, field, max, text)
#endif
#ifndef W_BYTES
#define W_BYTES(sym, field, max, text)
#endif
#ifndef W_ADDR
#define W_ADDR(sym, field, text)
#endif
#ifndef W_LIST
#define W_LIST(sym, field, GROUP, max, text)
#endif
#ifndef W_XVAR
#define W_XVAR(sym, tag, field, max, text)
#endif
#ifndef W_XBYTES
#define W_XBYTES(sym, tag, field, max, text)
#endif
#ifndef W_ERR
#define W_ERR(SYM, number, text)
#endif

/* ---- groups: items of lists ---- */

W_GROUP(LABEL, label, "a label of a node")
    W_NAME(label, key, "")
    W_NAME(label, value, "")
W_GEND(LABEL, label)

W_GROUP(SUBJECT, subject, "something an agent asks to follow beyond what is its own")
    W_U8(subject, type, 0, 8, "attested type as in attest.h; 0 a config key")
    W_NAME(subject, name, "")
    W_U8(subject, prefix, 0, 1, "1: every name that starts so")
W_GEND(SUBJECT, subject)

W_GROUP(VALUE, value, "one generation of one config key")
    W_NAME(value, key, "")
    W_VAR(value, gen, UINT32_MAX, "generation; orders nothing, names it")
    W_U8(value, state, 1, 3, "1 active, 2 staged for a rollout, 3 the key is gone (value empty)")
    W_U8(value, type, 1, 5, "1 text 2 int 3 float 4 bool 5 null")
    W_VAR(value, revision, UINT64_MAX, "region revision of its last change")
    W_BYTES(value, value, 65536, "unquoted text")
W_GEND(VALUE, value)

W_GROUP(SERVICE, service, "a service name that the workloads of the same frame refer to")
    W_NAME(service, name, "")
W_GEND(SERVICE, service)

W_GROUP(WORKLOAD, workload, "one container or process of the host")
    W_RAW(workload, struct wire_id16, id, "chosen by the agent, stable")
    W_U8(workload, op, 1, 2, "1 put, 2 remove")
    W_VAR(workload, service, 999, "index into services of the same frame")
    W_ADDR(workload, addr, "where it listens")
    W_VAR(workload, port, 65535, "")
    W_VAR(workload, ttl_s, 31536000, "0: as long as the agent lives")
    W_U8(workload, weight, 0, 255, "")
    W_U8(workload, health, 0, 2, "0 unknown 1 healthy 2 unhealthy")
    W_VAR(workload, epoch, UINT64_MAX, "grows with each restart; an older one changes nothing")
W_GEND(WORKLOAD, workload)

/* ---- opening ---- */

W_FRAME(HELLO, hello, 0x01, AGENT, ST_HELLO, NONE, 1024, "first frame of the agent")
    W_RAW(hello, struct wire_magic, magic, "52 56 41 31 (RVA1)")
    W_VAR(hello, version_min, 255, "")
    W_VAR(hello, version_max, 255, "not below version_min")
    W_VAR(hello, features, UINT64_MAX, "bit set of WIRE_FEATURE_*")
    W_VAR(hello, max_frame, 16777216, "longest frame the agent takes, at least 262144")
    W_RAW(hello, struct node_id, node, "zero: not enrolled yet")
    W_BYTES(hello, resume, 64, "the last resume token, or empty")
    W_VAR(hello, epoch, UINT64_MAX, "epoch of the revision below; 0 none")
    W_VAR(hello, revision, UINT64_MAX, "last config revision held whole; 0 none")
    W_VAR(hello, height, UINT64_MAX, "newest attested height verified; 0 none")
    W_VAR(hello, log_size, UINT64_MAX, "log size at that height; 0 none")
    W_VAR(hello, region_version, UINT64_MAX, "version of the REGION object held; 0 none")
    W_VAR(hello, set_epoch, UINT64_MAX, "epoch of the validator set held + 1; 0 none")
    W_RAW(hello, struct wire_id16, root, "root hash over the config held; zero: not kept")
W_END(HELLO, hello)

W_FRAME(WELCOME, welcome, 0x02, GATEWAY, ST_HELLO, NONE, 262144, "answer to HELLO")
    W_VAR(welcome, version, 255, "chosen; 0: none in common, the connection closes")
    W_VAR(welcome, version_min, 255, "")
    W_VAR(welcome, version_max, 255, "")
    W_VAR(welcome, features, UINT64_MAX, "those of HELLO that the gateway has too")
    W_VAR(welcome, heartbeat_ms, 3600000, "time between two heartbeats")
    W_VAR(welcome, reconnect_window_ms, 3600000, "spread of the first attempt after a loss")
    W_VAR(welcome, max_frame, 16777216, "longest frame the gateway takes")
    W_VAR(welcome, time_ms, INT64_MAX, "the gateway's wall clock")
    W_RAW(welcome, struct hash32, challenge, "random, for this connection")
    W_VAR(welcome, epoch, UINT64_MAX, "of the region's revisions")
    W_VAR(welcome, revision, UINT64_MAX, "the region's newest")
    W_VAR(welcome, height, UINT64_MAX, "the region's newest attested height")
    W_BYTES(welcome, delegation, 512, "see Delegation")
    W_RAW(welcome, struct sig64, signature, "by the delegated key over the gateway message")
    W_BYTES(welcome, genesis, 65536, "genesis document, when set_epoch was 0")
    W_BYTES(welcome, valset, 32768, "validator-set document, when the agent's is another")
    W_BYTES(welcome, region_proof, 131072, "bundle from log_size with the REGION object, when region_version differs")
W_END(WELCOME, welcome)

W_FRAME(AUTH, auth, 0x03, AGENT, ST_AUTH, NONE, 512, "who the agent is, and the proof")
    W_U8(auth, mode, 1, 2, "1 signature, 2 client certificate")
    W_RAW(auth, struct pubkey, key, "Ed25519; the node id follows from it")
    W_RAW(auth, struct pubkey, seal_key, "X25519, for sealed keys")
    W_RAW(auth, struct sig64, signature, "over the agent message; zero in mode 2")
    W_TEXT(auth, agent_version, 31, "")
W_END(AUTH, auth)

W_FRAME(AUTH_OK, auth_ok, 0x04, GATEWAY, ST_AUTH, NONE, 16384, "the proof holds")
    W_U8(auth_ok, status, 1, 2, "1 enrolled; 2 unknown node: ENROLL must follow, the rest is zero or empty")
    W_VAR(auth_ok, ordinal, UINT32_MAX, "")
    W_TEXT(auth_ok, region, 255, "")
    W_LIST(auth_ok, labels, LABEL, 16, "as the region has them")
    W_BYTES(auth_ok, resume, 64, "to be sent in the next HELLO")
W_END(AUTH_OK, auth_ok)

W_FRAME(ENROLL, enroll, 0x05, AGENT, ST_ENROLL, NONE, 16384, "a new node with a join token")
    W_RAW(enroll, struct wire_id8, token, "")
    W_RAW(enroll, struct wire_id16, secret, "")
    W_LIST(enroll, labels, LABEL, 16, "asked for; the token's win")
    W_TEXT(enroll, addr_hint, 63, "address others reach the host at")
W_END(ENROLL, enroll)

W_FRAME(ENROLLED, enrolled, 0x06, GATEWAY, ST_ENROLL, NONE, 16384, "the ring has committed the node")
    W_VAR(enrolled, ordinal, UINT32_MAX, "")
    W_NAME(enrolled, region, "")
    W_LIST(enrolled, labels, LABEL, 16, "")
    W_BYTES(enrolled, resume, 64, "")
W_END(ENROLLED, enrolled)

/* ---- life ---- */

W_FRAME(HEARTBEAT, heartbeat, 0x08, AGENT, ST_READY, NONE, 64, "I am here; 3 bytes")
W_END(HEARTBEAT, heartbeat)

W_FRAME(HEARTBEAT_ACK, heartbeat_ack, 0x09, GATEWAY, ST_READY, NONE, 64, "3 bytes unless there is news")
    W_XVAR(heartbeat_ack, 2, heartbeat_ms, 3600000, "new interval")
    W_XVAR(heartbeat_ack, 4, reconnect_window_ms, 3600000, "new window")
    W_XVAR(heartbeat_ack, 6, revision, UINT64_MAX, "the region's newest")
W_END(HEARTBEAT_ACK, heartbeat_ack)

W_FRAME(RETRY_AFTER, retry_after, 0x0a, GATEWAY, ST_ANY, MAY, 64, "not now: with a request id that request, without it this connection, which closes")
    W_VAR(retry_after, after_ms, 3600000, "wait at least this long")
    W_VAR(retry_after, spread_ms, 3600000, "plus a random time up to this")
    W_U8(retry_after, reason, 0, 255, "1 queue full 2 ring 3 signer 4 handshakes 5 starting")
W_END(RETRY_AFTER, retry_after)

W_FRAME(GOAWAY, goaway, 0x0b, GATEWAY, ST_ANY, NONE, 2048, "the gateway will close; come back later")
    W_U8(goaway, reason, 0, 255, "1 shutdown 2 drain 3 replaced by a newer connection of the node")
    W_VAR(goaway, not_before_ms, 3600000, "do not come back earlier")
    W_VAR(goaway, spread_ms, 3600000, "plus a random time up to this")
    W_XBYTES(goaway, 2, endpoints, 1024, "other addresses, host:port separated by commas")
W_END(GOAWAY, goaway)

W_FRAME(ERROR, error, 0x0c, BOTH, ST_ANY, MAY, 512, "with a request id that request failed; without it the connection closes")
    W_VAR(error, code, 65535, "see Errors")
    W_U8(error, retry, 0, 2, "0 never, 1 after after_ms, 2 at another gateway")
    W_VAR(error, after_ms, 3600000, "")
    W_TEXT(error, message, 255, "for people")
W_END(ERROR, error)

/* ---- following ---- */

W_FRAME(SUBSCRIBE, subscribe, 0x10, AGENT, ST_READY, NONE, 65536, "follow; again whenever the agent's state is not what the gateway assumes")
    W_VAR(subscribe, log_size, UINT64_MAX, "log size of the newest header verified")
    W_VAR(subscribe, epoch, UINT64_MAX, "")
    W_VAR(subscribe, revision, UINT64_MAX, "last config revision held whole")
    W_U8(subscribe, own, 0, 1, "1: everything the region says applies to this node")
    W_LIST(subscribe, subjects, SUBJECT, 128, "")
W_END(SUBSCRIBE, subscribe)

W_FRAME(BUNDLE, bundle, 0x11, GATEWAY, ST_READY, NONE, 16777216, "attested objects with their proofs")
    W_U8(bundle, scope, 1, 3, "1 all the agent follows (flag MORE: further frames belong to it), 2 objects beside it, 3 the node's own NODE object")
    W_VAR(bundle, height, UINT64_MAX, "of the header inside")
    W_VAR(bundle, log_size, UINT64_MAX, "of the header inside; the gateway assumes it from here on")
    W_BYTES(bundle, bundle, 16777216, "as in attest.h")
W_END(BUNDLE, bundle)

W_FRAME(TICK, tick, 0x12, GATEWAY, ST_READY, NONE, 262144, "a newer finalized header, none of the agent's objects changed")
    W_VAR(tick, height, UINT64_MAX, "")
    W_VAR(tick, log_size, UINT64_MAX, "")
    W_BYTES(tick, bundle, 262000, "a bundle without objects")
W_END(TICK, tick)

W_FRAME(CONFIG, config, 0x13, GATEWAY, ST_READY, NONE, 16777216, "values of config keys")
    W_U8(config, kind, 1, 2, "1 changes, 2 part of a snapshot; flag MORE: the same revision goes on")
    W_VAR(config, epoch, UINT64_MAX, "")
    W_VAR(config, revision, UINT64_MAX, "held whole once a frame without MORE was taken")
    W_LIST(config, values, VALUE, 4096, "")
W_END(CONFIG, config)

W_FRAME(RESYNC, resync, 0x14, GATEWAY, ST_READY, NONE, 64, "something was left out: a snapshot follows, or the agent asks anew")
    W_U8(resync, reason, 1, 3, "1 revision pruned or unknown, 2 the agent read too slowly, 3 the region's epoch changed")
    W_U8(resync, what, 1, 3, "1 config (a snapshot follows), 2 attested objects (SUBSCRIBE again), 3 both (SUBSCRIBE again)")
W_END(RESYNC, resync)

W_FRAME(HEADS, heads, 0x15, BOTH, ST_READY, NONE, 33024, "finalized heads, compared: whoever shows two histories is found out")
    W_U8(heads, kind, 1, 3, "1 somebody told the agent of this head: what stands at its height here? 2 this does, and it is another one; 3 two heads that cannot both be true")
    W_BYTES(heads, head, 32768, "kinds 1 and 2: a finalization as in attest.h; 3: evidence as in attest_fork.h")
W_END(HEADS, heads)

/* ---- certificates ---- */

W_FRAME(CERT_REQUEST, cert_request, 0x20, AGENT, ST_READY, MUST, 16384, "a leaf for the agent's own key")
    W_NAME(cert_request, object, "CERT object")
    W_VAR(cert_request, gen, UINT32_MAX, "generation wanted")
    W_BYTES(cert_request, csr, 8192, "PKCS#10, DER")
W_END(CERT_REQUEST, cert_request)

W_FRAME(CERT_REPLY, cert_reply, 0x21, GATEWAY, ST_READY, MUST, 65536, "")
    W_NAME(cert_reply, object, "")
    W_VAR(cert_reply, gen, UINT32_MAX, "")
    W_BYTES(cert_reply, leaf, 16384, "DER")
    W_BYTES(cert_reply, chain, 32768, "DER certificates one after another, the issuer first")
W_END(CERT_REPLY, cert_reply)

W_FRAME(KEY_REQUEST, key_request, 0x22, AGENT, ST_READY, MUST, 1024, "the shared key of a generation")
    W_NAME(key_request, object, "")
    W_VAR(key_request, gen, UINT32_MAX, "")
    W_RAW(key_request, struct pubkey, seal_key, "X25519, where to seal it to")
    W_RAW(key_request, struct sig64, signature, "by the node key over the seal message")
W_END(KEY_REQUEST, key_request)

W_FRAME(KEY_REPLY, key_reply, 0x23, GATEWAY, ST_READY, MUST, 65536, "")
    W_NAME(key_reply, object, "")
    W_VAR(key_reply, gen, UINT32_MAX, "")
    W_BYTES(key_reply, sealed, 4096, "crypto_box_seal of the PKCS#8 DER")
    W_BYTES(key_reply, leaf, 16384, "DER")
    W_BYTES(key_reply, chain, 32768, "DER certificates one after another")
W_END(KEY_REPLY, key_reply)

/* ---- what the agent says ---- */

W_FRAME(REPORT, report, 0x30, AGENT, ST_READY, MUST, 1024, "what the node serves of an object, and how the last attempt went")
    W_U8(report, type, 4, 6, "4 CERT, 6 CONFIG")
    W_NAME(report, object, "")
    W_VAR(report, serving_gen, UINT32_MAX, "0 none")
    W_VAR(report, tried_gen, UINT32_MAX, "0 none")
    W_U8(report, result, 0, 4, "0 nothing tried 1 told 2 done 3 failed 4 rejected")
    W_VAR(report, error_code, 65535, "see Errors; 0 with results below 3")
    W_TEXT(report, error, 119, "for people")
    W_VAR(report, latency_ms, UINT32_MAX, "from being told to serving")
    W_VAR(report, rollout_id, UINT64_MAX, "0 none")
    W_BYTES(report, serial, 20, "of the certificate served")
    W_VAR(report, not_after_ms, INT64_MAX, "of the certificate served; 0 none")
W_END(REPORT, report)

W_FRAME(REPORT_ACK, report_ack, 0x31, GATEWAY, ST_READY, MUST, 64, "the ring has committed it")
W_END(REPORT_ACK, report_ack)

W_FRAME(REGISTER, register_one, 0x32, AGENT, ST_READY, NONE, 512, "one workload")
    W_VAR(register_one, seq, UINT64_MAX, "grows with each REGISTER or REGISTER_BATCH of the connection")
    W_NAME(register_one, service, "")
    W_RAW(register_one, struct wire_id16, id, "")
    W_U8(register_one, op, 1, 2, "1 put, 2 remove")
    W_ADDR(register_one, addr, "")
    W_VAR(register_one, port, 65535, "")
    W_VAR(register_one, ttl_s, 31536000, "")
    W_U8(register_one, weight, 0, 255, "")
    W_U8(register_one, health, 0, 2, "")
    W_VAR(register_one, epoch, UINT64_MAX, "")
W_END(REGISTER, register_one)

W_FRAME(REGISTER_BATCH, register_batch, 0x33, AGENT, ST_READY, NONE, 524288, "many workloads of one host")
    W_VAR(register_batch, seq, UINT64_MAX, "")
    W_LIST(register_batch, services, SERVICE, 1000, "")
    W_LIST(register_batch, workloads, WORKLOAD, 1000, "at least one")
W_END(REGISTER_BATCH, register_batch)

W_FRAME(REGISTER_ACK, register_ack, 0x34, GATEWAY, ST_READY, NONE, 256, "committed by the ring's quorum")
    W_VAR(register_ack, seq, UINT64_MAX, "everything up to and with this one is decided")
    W_BYTES(register_ack, refused, 125, "of frame seq alone: bit i (LSB first) set: workload i was refused; empty: none")
W_END(REGISTER_ACK, register_ack)

/* ---- errors ---- */

/* of the protocol */
W_ERR(NONE,            0, "no error")
W_ERR(MALFORMED,       1, "a frame that does not decode")
W_ERR(TOO_BIG,         2, "a frame, list or text beyond its limit")
W_ERR(UNEXPECTED,      3, "a frame that does not belong here")
W_ERR(CRITICAL,        4, "an unknown critical extension or flag")
W_ERR(VERSION,         5, "no version in common")
W_ERR(SLOW,            6, "the peer read too slowly")
W_ERR(IDLE,            7, "too long without a sign of life")
/* of identity */
W_ERR(AUTH,           10, "the proof of identity does not hold")
W_ERR(REVOKED,        11, "this node id was revoked, for good")
W_ERR(TOKEN,          12, "the join token is unknown, used up, expired or of another region")
W_ERR(NOT_ENROLLED,   13, "this node is not enrolled here")
/* of requests */
W_ERR(UNKNOWN_OBJECT, 20, "there is no such object or generation for this node")
W_ERR(NOT_ALLOWED,    21, "this node may not have that")
W_ERR(BAD_REQUEST,    22, "the certificate request is not acceptable")
W_ERR(UNAVAILABLE,    23, "a part of the region's server is not available")
W_ERR(BUSY,           24, "too much is waiting")
W_ERR(DEADLINE,       25, "the deadline passed before it was done")
W_ERR(REFUSED,        26, "the region refused it")
W_ERR(INTERNAL,       30, "the gateway failed")
/* of what an agent does with what it got (REPORT) */
W_ERR(VERIFY,        100, "the attested proof does not verify")
W_ERR(KEY_MISMATCH,  101, "certificate and key do not belong together")
W_ERR(CHAIN,         102, "the chain does not lead to the attested authority")
W_ERR(TEMPLATE,      103, "the certificate is not what its template says")
W_ERR(ISSUE,         104, "no certificate was issued")
W_ERR(OPEN_KEY,      105, "the sealed key does not open")
W_ERR(WRITE,         106, "files could not be written")
W_ERR(RELOAD,        107, "the reload command failed")
W_ERR(RELOAD_TIMEOUT, 108, "the reload command took too long")
W_ERR(PROBE,         109, "the local service does not answer the probe")
W_ERR(PROBE_OTHER,   110, "the local service serves another certificate")
W_ERR(DIGEST,        111, "a config value does not match its attested digest")
W_ERR(COHORT,        112, "no finalized wave contains this node")
W_ERR(EXPIRED,       113, "expired")
W_ERR(LOCAL,         114, "refused by local policy")
W_ERR(ROLLBACK,      115, "the previous generation could not be put back")

#undef W_FRAME
#undef W_GROUP
#undef W_END
#undef W_GEND
#undef W_RAW
#undef W_U8
#undef W_VAR
#undef W_NAME
#undef W_TEXT
#undef W_BYTES
#undef W_ADDR
#undef W_LIST
#undef W_XVAR
#undef W_XBYTES
#undef W_ERR
