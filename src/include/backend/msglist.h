/*
 * msglist.h - MSG(symbol, allowed senders, allowed receivers, carries fd)
 *
 * Every message between processes. The receiver knows its peer's kind from the
 * postmaster (who made the channel), and the table is checked before any
 * handler runs. Frame: u32 length of what follows | u16 type | u16 flags |
 * u64 request id | body (at most IPC_BODY_MAX bytes). A reply has type REPLY
 * and the request's id; its body starts with
 *   u16 reeve_err | str16 message | str16 detail | str16 hint | then the result.
 * Bodies (big endian, names as u8 length + bytes):
 */
/* -- channels: child <-> postmaster -- */
MSG(REPLY,           K_ANY, K_ANY, 0)
MSG(READY,           K_ANY, K_POSTMASTER, 0)                    /* empty: serving now */
MSG(CONNECT,         K_ANY, K_POSTMASTER, 0)                    /* u8 kind wanted -> u32 pid and the fd, or AGAIN */
MSG(PEER,            K_POSTMASTER, K_ANY, 1)                    /* u8 peer kind, u32 peer pid; the fd is the new channel */
MSG(SHUTDOWN,        K_POSTMASTER, K_ANY, 0)                    /* u8 mode: 1 smart 2 fast 3 immediate */
MSG(RELOAD,          K_POSTMASTER, K_ANY, 0)                    /* empty: read the configuration again */
MSG(RELOAD_REQUEST,  K_BACKEND | K_RING, K_POSTMASTER, 0)          /* empty: RELOAD CONFIGURATION */
MSG(CANCEL,          K_BACKEND, K_POSTMASTER, 0)                /* u32 pid, u32 key: a CancelRequest somebody sent */
MSG(SIGNAL_BACKEND,  K_BACKEND, K_POSTMASTER, 0)                /* u32 pid, u8 1 cancel 2 terminate; already authorised */
MSG(OLD_SNAPSHOT,    K_RING, K_POSTMASTER, 0)                   /* u32 pid, u8 1 cancel 2 kill, u32 seconds that it has read an old state; no reply (backend/ring/oldread.c) */
MSG(AUTO_SETTINGS,   K_RING, K_POSTMASTER, 0)                   /* the whole text of reeve.auto.conf, to be written by rename */
/* -- ring: the proposer interface; what this member cannot do it asks another one for (backend/ring/forward.h) -- */
MSG(PROPOSE,         K_BACKEND | K_GATEWAY, K_RING, 0)          /* a region command (engine/region.h) -> u64 index, region result */
MSG(SUBMIT,          K_BACKEND, K_RING, 0)                      /* u16 n, n x str32 update without signature -> u64 height, u64 first leaf index */
MSG(BARRIER,         K_BACKEND, K_RING, 0)                      /* empty -> u64 applied index: a linearizable read point */
MSG(RING_CHANGE,     K_BACKEND, K_RING, 0)                      /* u8 1 voter 2 learner 3 drop 4 lead, u32 member -> empty, when it is in force */
MSG(RING_STATUS,     K_BACKEND, K_RING, 0)                      /* empty -> u32 leader (0: none known), u64 term, u64 last index, u32 ms without a leader, u8 own disk (enum ring_disk), u16 n, n x { u32 member, u64 match index (0: not known), u32 ms since it was heard (ffffffff: not known), u8 link up, u8 gets a snapshot, u8 behind }, u8 in quarantine itself, u64 last index of the leader (0: not known) */
MSG(WAKE,            K_RING, K_GATEWAY, 0)                      /* u64 revision, u64 attested height; no reply, may be coalesced */
MSG(CREATE_AUTHORITY_KEY, K_BACKEND, K_RING, 0)                 /* name authority, u32 gen, u8 key type, u8 external, u32 ttl_s, str16 subject -> str16 SPKI hash, str32 DER certificate or request; the ring asks the signer */
MSG(CREATE_SHARED_KEY,    K_BACKEND, K_RING, 0)                 /* name cert, u32 gen, u8 key type -> 32 SPKI hash; the ring asks the signer */
MSG(COLLECT_SEATS,        K_BACKEND, K_RING, 0)                 /* as ATTEST_SEATS; the ring asks the validator beside it */
MSG(CREATE_CHECKPOINT,    K_BACKEND | K_MIRROR, K_RING, 0)                 /* as SIGN_CHECKPOINT; the ring asks the signer */
/* -- validator; where a region has none, the federation process speaks to those of others in its place -- */
MSG(ATTEST_SUBMIT,   K_RING, K_VALIDATOR | K_FEDERATION, 0)                    /* u16 n, n x str32 signed leaf -> u64 height (after finalization) */
MSG(ATTEST_SEATS,   K_RING, K_VALIDATOR, 0)                    /* payload of a validator set without seats -> the same with those that its validators took */
MSG(ATTEST_FETCH,    K_RING | K_VALIDATOR, K_VALIDATOR | K_FEDERATION, 0)                    /* u64 from height -> u64 head height, u16 n, n x str32 block (as many as fit in 1 MiB) */
MSG(ATTEST_BLOCK,    K_VALIDATOR | K_FEDERATION, K_RING | K_FEDERATION, 0)     /* str32 block: newly finalized; no reply */
MSG(CHAIN_CULPRIT,   K_VALIDATOR, K_RING, 0)                    /* name validator, u64 view, u8 type, u8 type of the two votes in which it contradicted itself, u8 1 (0: it is in the set no more); no reply */
/* -- federation: letters to and from other regions (backend/federation/letter.h); all one-way -- */
MSG(LETTER_OUT,      K_VALIDATOR, K_FEDERATION, 0)              /* u32 link (0: every server of a region with a validator), letter */
MSG(LETTER_IN,       K_FEDERATION, K_VALIDATOR, 0)              /* u32 link, letter */
MSG(LINK,            K_FEDERATION, K_VALIDATOR, 0)              /* u32 link, u8 up: with a server of a region with a validator */
MSG(COSIGN,          K_RING, K_FEDERATION, 0)                   /* u64 log size, 32 root -> signature lines of other validators over that checkpoint, as far as they answer */
MSG(RING_LETTER_OUT, K_RING, K_FEDERATION, 0)                   /* u8 length + name of a region (0: every one), then what its ring shall hear */
MSG(RING_LETTER_IN,  K_FEDERATION, K_RING, 0)                   /* name of the region whose server sent it, then what it says */
MSG(CHAIN_AHEAD,     K_FEDERATION, K_RING | K_VALIDATOR, 0)     /* u64 height that another server says it has */
/* -- signer: the only holder of long-lived keys; fixed requests -- */
MSG(SIGN_VOTE,       K_VALIDATOR, K_SIGNER, 0)                  /* u8 type, u64 epoch, 32 set hash, u64 view, u64 height, 32 block, u64 parent view, 32 parent -> 64 signature; durable last-sign check first */
MSG(SIGN_SEAT,      K_VALIDATOR, K_SIGNER, 0)                   /* payload of a validator set that has these keys, of a later epoch -> 64 by the voting key, 64 by the cosigning key (attest.h) */
MSG(SIGNER_EPOCH,   K_VALIDATOR, K_SIGNER, 0)                   /* an epoch link -> empty: the signer follows to the next set, durably */
MSG(SIGN_UPDATE,     K_RING, K_SIGNER, 0)                       /* str32 unsigned update -> 64 region signature; the signer decodes it and signs only for its own region */
MSG(AUTHORITY_KEY,   K_RING, K_SIGNER, 0)                       /* as CREATE_AUTHORITY_KEY */
MSG(SHARED_KEY,      K_RING, K_SIGNER, 0)                       /* as CREATE_SHARED_KEY */
MSG(MEMBER_KEYS,     K_RING, K_SIGNER, 0)                       /* empty -> u8 knows its chain, 32 key that speaks for the region, 32 X25519 key (zero where the region was made) */
MSG(MEMBER_PIN,      K_RING, K_SIGNER, 0)                       /* name region, str32 genesis document -> empty: the chain that a joined member's signer believes in, once */
MSG(INTERMEDIATE_KEY, K_RING, K_SIGNER, 0)                      /* name authority, u32 gen, u8 key type -> str16 SPKI, 64 signature: a joined member's new key, and its request for an intermediate */
MSG(INTERMEDIATE_ISSUE, K_RING, K_SIGNER, 0)                    /* str32 bundle with the authority and the region, name authority, u32 gen, u32 member, str16 SPKI, 64 signature -> str16 DER under the authority's certificate, for that attested member's key */
MSG(SHARED_EXPORT,   K_RING, K_SIGNER, 0)                       /* str32 bundle with the cert and the region, name cert, u32 gen, u32 member -> str16 key sealed to that attested member */
MSG(SHARED_IMPORT,   K_RING, K_SIGNER, 0)                       /* str32 bundle with the cert, name cert, u32 gen, str16 sealed key -> empty */
MSG(SIGN_STATEMENT,  K_RING, K_SIGNER, 0)                       /* u8 kind (enum statement_kind), str16 bytes that begin with this signer's region -> 64 signature */
MSG(SIGN_CHECKPOINT, K_RING | K_FEDERATION, K_SIGNER, 0)        /* u8 0 -> u64 log size of the newest cosigned checkpoint; u8 1, u64 that size, str32 bundle from it -> 32 log key, str32 checkpoint note with the log's line and this validator's cosignature (a region without one: the log's line alone) */
MSG(GATEWAY_DELEGATE, K_GATEWAY, K_SIGNER, 0)                   /* 32 gateway Ed25519 key -> delegation (engine/wire.h) signed by the region key */
MSG(TICKET_KEYS,     K_GATEWAY, K_SIGNER, 0)                    /* empty -> 80 bytes: TLS ticket keys shared by the gateways */
MSG(ISSUE_LEAF,      K_GATEWAY, K_SIGNER, 0)                    /* u8 have-proof, [str32 bundle with the cert and authority objects], 32 cert leaf hash, u32 gen, 16 node id, str16 SPKI -> str32 leaf DER, str32 chain DER. Without proof: AGAIN unless that leaf hash was proved before */
MSG(RESEAL_KEY,      K_GATEWAY, K_SIGNER, 0)                    /* as ISSUE_LEAF's proof part, 32 cert leaf hash, u32 gen, 16 node id, 32 node Ed25519 key, 32 X25519 key, 64 node signature over it -> str16 sealed key, str32 leaf DER, str32 chain DER */
