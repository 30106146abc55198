/* identity.c - the node's keys, in a file made once. */
#include "frontend/libreeve/identity.h"
#include "files_int.h"

#include <errno.h>
#include <stdio.h>

#include "common/text.h"
#include "crypto/hash.h"

#define MAGIC    "reeve-node-key-1\n"
#define FILE_LEN (sizeof MAGIC - 1 + 65 + 65)

static void finish(struct agent_identity *id)
{
    seal_key_public(&id->seal_pub, &id->seal);
    node_id_of_key(&id->id, &id->pub);
    node_id_text(id->id_text, &id->id);
}

void identity_new(struct agent_identity *id)
{
    memset(id, 0, sizeof *id);
    sign_keygen(&id->sign, &id->pub);
    seal_keygen(&id->seal, &id->seal_pub);
    finish(id);
}

void identity_from_secrets(struct agent_identity *id, const uint8_t sign_seed[32], const uint8_t seal_secret[32])
{
    memset(id, 0, sizeof *id);
    sign_key_from_seed(&id->sign, &id->pub, sign_seed);
    memcpy(id->seal.b, seal_secret, 32);
    finish(id);
}

void identity_wipe(struct agent_identity *id)
{
    secret_wipe(id, sizeof *id);
}

static enum reeve_err decode(struct agent_identity *id, const char *text, size_t len)
{
    uint8_t seed[32], seal[32];
    const char *p = text + sizeof MAGIC - 1;
    bool ok = len == FILE_LEN && memcmp(text, MAGIC, sizeof MAGIC - 1) == 0 && p[64] == '\n' && p[129] == '\n'
           && hex_decode(seed, 32, slice_of(p, 64)) && hex_decode(seal, 32, slice_of(p + 65, 64));
    if (ok)
        identity_from_secrets(id, seed, seal);
    secret_wipe(seed, sizeof seed);
    secret_wipe(seal, sizeof seal);
    return ok ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err create(struct agent_identity *id, const char *path, struct report *rep)
{
    char text[FILE_LEN + 1];
    identity_new(id);
    memcpy(text, MAGIC, sizeof MAGIC - 1);
    char *p = text + sizeof MAGIC - 1;
    hex_encode(p, id->sign.seed_and_pub, 32);
    p[64] = '\n';
    hex_encode(p + 65, id->seal.b, 32);
    p[129] = '\n';
    /* Never over an existing one: two processes that start together agree on the first. */
    enum reeve_err err = file_create(path, slice_of(text, FILE_LEN), 0600, rep);
    secret_wipe(text, sizeof text);
    return err;
}

enum reeve_err identity_open(struct agent_identity *id, const char *dir, bool may_create, struct report *rep)
{
    char path[4096], text[FILE_LEN + 1];
    size_t len;
    snprintf(path, sizeof path, "%s/node.key", dir);
    enum reeve_err err = file_read(path, text, sizeof text, &len, rep);
    if (err == REEVE_E_NOT_FOUND && may_create) {
        report_forget(rep);
        TRY(dir_make(dir, 0700, rep));
        err = create(id, path, rep);
        if (err != REEVE_E_DUPLICATE_OBJECT)
            return err;
        report_forget(rep);
        err = file_read(path, text, sizeof text, &len, rep);
    }
    if (err == REEVE_OK && decode(id, text, len) != REEVE_OK)
        err = report_set(rep, REEVE_E_CORRUPT, "%s is no node key", path);
out:
    secret_wipe(text, sizeof text);
    return err;
}
