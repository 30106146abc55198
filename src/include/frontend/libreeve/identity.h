/*
 * identity.h - who a node is: an Ed25519 key, and an X25519 key for sealed boxes
 *
 * The node id follows from the Ed25519 key (common/types.h). In a state
 * directory the two live in DIR/node.key (0600), made once and never replaced:
 *   "reeve-node-key-1" newline | 64 hex digits (Ed25519 seed) newline |
 *   64 hex digits (X25519 secret) newline
 */
#ifndef REEVE_LIBREEVE_IDENTITY_H
#define REEVE_LIBREEVE_IDENTITY_H

#include "crypto/sign.h"

struct agent_identity {
    struct sign_key sign;
    struct pubkey pub;
    struct seal_key seal;
    struct pubkey seal_pub;
    struct node_id id;
    char id_text[NODE_ID_TEXT_LEN + 1];
};

void identity_new(struct agent_identity *out);
/* Two secrets of 32 bytes, as a fleet keeps them. */
void identity_from_secrets(struct agent_identity *out, const uint8_t sign_seed[32], const uint8_t seal_secret[32]);
void identity_wipe(struct agent_identity *id);

/*
 * Reads DIR/node.key; with create it is made (and DIR, 0700) where absent.
 * NOT_FOUND, CORRUPT, IO with a report.
 */
enum reeve_err identity_open(struct agent_identity *out, const char *dir, bool create, struct report *rep) REEVE_MUST_CHECK;

#endif
