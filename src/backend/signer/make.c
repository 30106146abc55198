/*
 * make.c - making the key folder: for a region with a chain of its own, for one that shall be in a genesis document, for
 * a member that joins a ring
 */
#include "backend/signer/signer_int.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/secret.h"

static enum reeve_err make_folder(int at, const char *name, int *out, struct report *rep)
{
    if (mkdirat(at, name, 0700) != 0)
        return report_set(rep, errno == EEXIST ? REEVE_E_LOCKED : REEVE_E_IO, "could not make the key folder \"%s\": it %s",
                          name, errno == EEXIST ? "exists already" : "cannot be made");
    return signer_folder_open(at, name, out, rep);
}

static enum reeve_err make_master(int dirfd)
{
    uint8_t key[32];
    random_bytes(key, sizeof key);
    enum reeve_err err = keydir_write(dirfd, "master.key", slice_of(key, sizeof key), true);
    secret_wipe(key, sizeof key);
    return err;
}

struct new_keys { struct pubkey region, validator, cosign; };

/* token: NULL, or the URI of the token they are made in. */
static enum reeve_err make_keys(int dirfd, const char *token, struct new_keys *k, struct report *rep)
{
    struct p11 *p = NULL;
    enum reeve_err err;
    TRY(own_key_make(&p, token, dirfd, "region.key", &k->region, rep));
    TRY(own_key_make(&p, token, dirfd, "validator.key", &k->validator, rep));
    TRY(own_key_make(&p, token, dirfd, "cosign.key", &k->cosign, rep));
    err = make_master(dirfd);
out:
    p11_close(p);
    return err;
}

/* A chain of its own: one region, one validator, no recovery keys. */
static void make_genesis(const struct new_keys *k, const struct name *region, struct wall_ms now, struct genesis *g)
{
    memset(g, 0, sizeof *g);
    name_set_str(&g->chain, "reeve");
    g->time = now;
    random_bytes(g->nonce, sizeof g->nonce);
    g->set.epoch = 1;
    g->set.n = 1;
    g->set.v[0] = (struct validator){ .name = *region, .key = k->validator, .cosign_key = k->cosign, .weight = 1 };
    g->n_regions = 1;
    g->region[0].name = *region;
    g->region[0].key = k->region;
}

static enum reeve_err make_trust(const struct genesis *g, struct slice doc, struct trust *t)
{
    struct wr set = wr_heap(ATTEST_LEAF_MAX);
    memset(t, 0, sizeof *t);
    genesis_chain_id(&crypto_ops_real, &t->chain_id, doc);
    t->set = g->set;
    t->time = g->time;
    valset_encode(&g->set, &set);
    enum reeve_err err = set.bad ? REEVE_E_NOMEM : REEVE_OK;
    valset_hash(&crypto_ops_real, &t->set_hash, wr_slice(&set));
    wr_free(&set);
    return err;
}

/* DIR/keys with its folders, empty. The caller closes *dirfd. */
static enum reeve_err make_folders(const char *dir, int *dirfd, struct report *rep)
{
    char path[PATH_MAX];
    int fd = -1;
    enum reeve_err err;
    snprintf(path, sizeof path, "%s/keys", dir);
    TRY(make_folder(AT_FDCWD, path, dirfd, rep));
    TRY(make_folder(*dirfd, "auth", &fd, rep));
    close(fd);
    fd = -1;
    err = make_folder(*dirfd, "shared", &fd, rep);
out:
    if (fd >= 0)
        close(fd);
    return err;
}

static enum reeve_err made(int dirfd, enum reeve_err err, struct report *rep)
{
    if (dirfd >= 0)
        close(dirfd);
    return err == REEVE_OK ? err : report_set(rep, err, "could not make the keys (%s)", reeve_err_name(err));
}

/* What the signer believes from now on, and that it has signed nothing. */
static enum reeve_err pin(int dirfd, const struct genesis *g, struct slice doc, const struct name *region)
{
    static struct trust t;
    enum reeve_err err;
    TRY(make_trust(g, doc, &t));
    TRY(trust_pin(dirfd, region, &t));
    err = laststate_create(dirfd, &t.chain_id);
out:
    return err;
}

enum reeve_err signer_init(const char *dir, const struct name *region, struct wall_ms now, const char *token, struct wr *genesis,
                           struct report *rep)
{
    static struct genesis g;
    struct new_keys k;
    int dirfd = -1;
    enum reeve_err err;
    TRY(make_folders(dir, &dirfd, rep));
    TRY(make_keys(dirfd, token, &k, rep));
    make_genesis(&k, region, now, &g);
    genesis_encode(&g, genesis);
    TRY(genesis->bad ? REEVE_E_NOMEM : REEVE_OK);
    err = pin(dirfd, &g, wr_slice(genesis), region);
out:
    return made(dirfd, err, rep);
}

/* ---- making, for a region that shall be in a genesis document ---- */

static enum reeve_err sign_with(struct p11 **p, int dirfd, const char *file, const struct hash32 *digest, struct sig64 *sig,
                                struct report *rep)
{
    struct own_key key;
    enum reeve_err err = own_key_read(p, dirfd, file, &key, rep);
    if (err == REEVE_OK)
        err = own_key_sign(*p, &key, slice_of(digest->b, 32), sig, rep);
    secret_wipe(&key, sizeof key);
    return err;
}

static enum reeve_err card_sign(int dirfd, struct region_card *card, struct report *rep)
{
    struct p11 *p = NULL;
    uint8_t mem[REGION_CARD_MAX];
    struct wr body = wr_fixed(mem, sizeof mem);
    struct hash32 digest;
    enum reeve_err err;
    card_encode(card, false, &body);
    TRY(body.bad ? REEVE_E_TOO_BIG : REEVE_OK);
    card_digest(&crypto_ops_real, &digest, wr_slice(&body));
    TRY(sign_with(&p, dirfd, "region.key", &digest, &card->sig[0], rep));
    if (card->validates) {
        TRY(sign_with(&p, dirfd, "validator.key", &digest, &card->sig[1], rep));
        err = sign_with(&p, dirfd, "cosign.key", &digest, &card->sig[2], rep);
    }
out:
    p11_close(p);
    return err;
}

enum reeve_err signer_card(const char *dir, const struct name *region, struct slice address, bool validates, const char *token,
                           struct wr *card, struct report *rep)
{
    struct region_card k = { .region = *region, .validates = validates };
    struct new_keys keys;
    int dirfd = -1;
    enum reeve_err err;
    TRY(name_set(&k.address, address) ? REEVE_OK : REEVE_E_INVALID_VALUE);
    TRY(make_folders(dir, &dirfd, rep));
    TRY(make_keys(dirfd, token, &keys, rep));
    k.key = keys.region;
    k.validator_key = keys.validator;
    k.cosign_key = keys.cosign;
    TRY(card_sign(dirfd, &k, rep));
    card_encode(&k, true, card);
    err = card->bad ? REEVE_E_TOO_BIG : REEVE_OK;
out:
    return made(dirfd, err, rep);
}

/* The entry of our key. Ours as a validator must be there or not as a whole: the card named both. */
static enum reeve_err find_self(int dirfd, const struct genesis *g, struct name *region, struct pubkey *validator,
                                bool *validates, struct report *rep)
{
    struct p11 *p = NULL;
    struct own_key key;
    struct pubkey pub;
    enum reeve_err err = own_key_read(&p, dirfd, "region.key", &key, rep);
    pub = key.pub;
    if (err == REEVE_OK)
        err = own_key_read(&p, dirfd, "validator.key", &key, rep);
    *validator = key.pub;
    secret_wipe(&key, sizeof key);
    p11_close(p);
    if (err != REEVE_OK)
        return report_set(rep, err, "could not read the keys that the card was made of");
    *validates = false;
    for (uint16_t i = 0; i < g->set.n; i++)
        *validates |= memcmp(g->set.v[i].key.b, validator->b, 32) == 0;
    for (uint16_t i = 0; i < g->n_regions; i++)
        if (memcmp(g->region[i].key.b, pub.b, 32) == 0) {
            *region = g->region[i].name;
            return REEVE_OK;
        }
    return report_set(rep, REEVE_E_V_REGION, "the genesis document does not name this directory's key");
}

enum reeve_err signer_found(const char *dir, struct slice genesis, struct name *region, struct pubkey *validator, bool *validates,
                            struct report *rep)
{
    static struct genesis g;
    char path[PATH_MAX];
    int dirfd = -1;
    enum reeve_err err;
    snprintf(path, sizeof path, "%s/keys", dir);
    if (genesis_decode(&g, genesis) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "that is no genesis document");
    TRY(signer_folder_open(AT_FDCWD, path, &dirfd, rep));
    if (faccessat(dirfd, "trust", F_OK, 0) == 0)
        TRY(report_set(rep, REEVE_E_LOCKED, "these keys serve a chain already"));
    TRY(find_self(dirfd, &g, region, validator, validates, rep));
    err = pin(dirfd, &g, genesis, region);
out:
    if (dirfd >= 0)
        close(dirfd);
    return err == REEVE_OK ? err : report_set(rep, err, "could not pin the chain (%s)", reeve_err_name(err));
}

/* ---- making, for a member that joins ---- */

static enum reeve_err make_seal_key(int dirfd)
{
    struct seal_key key;
    struct pubkey pub;
    seal_keygen(&key, &pub);
    enum reeve_err err = keydir_write(dirfd, "seal.key", slice_of(key.b, sizeof key.b), true);
    secret_wipe(&key, sizeof key);
    return err;
}

enum reeve_err signer_join(const char *dir, struct report *rep)
{
    struct pubkey pub;
    int dirfd = -1;
    enum reeve_err err;
    TRY(make_folders(dir, &dirfd, rep));
    TRY(own_key_make(NULL, NULL, dirfd, "member.key", &pub, rep));
    TRY(make_seal_key(dirfd));
    err = make_master(dirfd);
out:
    return made(dirfd, err, rep);
}
