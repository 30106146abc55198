/*
 * recover.c - past a lost quorum: reeved --recover draft, sign, take
 *
 * draft, beside a server that is stopped: a file with the block that would begin the next epoch. sign, anywhere: a holder of
 * a recovery key looks at what the file says, and adds his signature. take, beside the stopped server of one survivor: it
 * counts once enough have signed; all others get it as they get every block.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/main/init_int.h"
#include "backend/main/main_int.h"
#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/validator/validator.h"
#include "common/text.h"
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/sign.h"
#include "engine/approval.h"
#include "engine/note.h"

#define PREFIX   "reeve-recovery-1."
#define FILE_MAX (256u << 10)

/* ---- the keys in genesis ---- */

/* How many must sign, then one public key a line, as reeve-audit keygen prints them. */
enum reeve_err recovery_keys_read(const char *file, struct genesis *g, struct report *rep)
{
    static char text[FILE_MAX];
    char *save = NULL;
    size_t len = 0;
    struct name name;
    enum reeve_err err = file_read(file, text, sizeof text - 1, &len);
    if (err != REEVE_OK)
        return report_set(rep, err, "could not read \"%s\": %s", file, reeve_err_text(err));
    text[len] = '\0';
    char *line = strtok_r(text, "\r\n", &save);
    long m = line != NULL ? strtol(line, NULL, 10) : 0;
    while ((line = strtok_r(NULL, "\r\n", &save)) != NULL) {
        if (g->recovery_n == sizeof g->recovery / sizeof g->recovery[0])
            return report_set(rep, REEVE_E_TOO_COMPLEX, "there are at most 16 recovery keys");
        struct pubkey *key = &g->recovery[g->recovery_n++];
        if (vkey_read(&crypto_ops_real, &name, key, slice_str(line)) != REEVE_OK || !sign_pubkey_ok(key))
            return report_set(rep, REEVE_E_INVALID_VALUE, "line %u of \"%s\" is no public key as reeve-audit keygen prints it",
                              g->recovery_n + 1u, file);
    }
    g->recovery_m = (uint8_t) (m >= 1 && m <= g->recovery_n ? m : 0);
    return g->recovery_m > 0 ? REEVE_OK
           : report_set(rep, REEVE_E_INVALID_VALUE, "\"%s\" begins with a number between 1 and that of the keys in it", file);
}

/* ---- draft ---- */

static bool is_named(const char *list, const struct name *name)
{
    for (const char *p = list; p != NULL && *p;) {
        size_t n = strcspn(p, ",");
        if (slice_eq(name_slice(name), slice_of(p, n)))
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

static void set_drop(struct valset *s, const char *names)
{
    uint16_t n = 0;
    for (uint16_t i = 0; i < s->n; i++)
        if (!is_named(names, &s->v[i].name))
            s->v[n++] = s->v[i];
    s->n = n;
}

static enum reeve_err set_add(struct valset *s, const char *file, struct report *rep)
{
    struct region_card card;
    enum reeve_err err = card_read(file, &card, rep);
    if (err != REEVE_OK)
        return err;
    if (!card.validates || s->n == ATTEST_VALIDATORS_MAX || valset_find(s, &card.validator_key) >= 0)
        return report_set(rep, REEVE_E_INVALID_VALUE, "the validator of \"%s\" cannot be added", file);
    uint16_t at = s->n++;
    for (; at > 0 && memcmp(s->v[at - 1].key.b, card.validator_key.b, 32) > 0; at--)
        s->v[at] = s->v[at - 1];
    s->v[at] = (struct validator){ .name = card.region, .key = card.validator_key, .cosign_key = card.cosign_key, .weight = 1 };
    return REEVE_OK;
}

static void print_set(const struct valset *s, const struct block_header *h)
{
    char hex[65];
    hex_encode(hex, h->parent_hash.b, 32);
    printf("epoch %llu on top of height %llu, block %s\n%u validators, %u of them decide:\n", (unsigned long long) s->epoch,
           (unsigned long long) h->height - 1, hex, s->n, valset_quorum(s->n));
    for (uint16_t i = 0; i < s->n; i++) {
        hex_encode(hex, s->v[i].key.b, 32);
        printf("  %s %s\n", hex, s->v[i].name.s);
    }
}

static enum reeve_err file_write(const char *file, const struct finalization *f, struct slice leaf, struct report *rep)
{
    struct wr block = wr_heap(FILE_MAX);
    block_encode(f, &leaf, 1, &block);
    enum reeve_err err = block.bad ? REEVE_E_TOO_BIG : line_write(file, PREFIX, wr_slice(&block), rep);
    wr_free(&block);
    return err;
}

static enum reeve_err draft(const struct options *o, struct report *rep)
{
    static struct valset_doc d;
    static struct genesis g;
    static struct finalization f;
    struct wr genesis = wr_heap(FILE_MAX), leaf = wr_heap(ATTEST_LEAF_MAX);
    enum reeve_err err;
    TRY(validator_set_read(o->dir, &d.set, &genesis, rep));
    TRY(genesis_decode(&g, wr_slice(&genesis)));
    if (g.recovery_n == 0)
        TRY(report_set(rep, REEVE_E_WRONG_STATE, "this chain's genesis has no recovery keys"));
    d.set.epoch++;
    set_drop(&d.set, o->drop);
    for (int i = 0; i < o->n_args; i++)
        TRY(set_add(&d.set, o->args[i], rep));
    if (d.set.n == 0)
        TRY(report_set(rep, REEVE_E_INVALID_VALUE, "nobody is left in the set"));
    TRY(validator_recovery_draft(o->dir, &d, &g.region[0].name, clock_wall(), &f.header, &leaf, rep));
    f.view = f.header.view;
    f.n_bits = g.recovery_n;
    f.recovery = wr_slice(&genesis);
    TRY(file_write(o->to, &f, wr_slice(&leaf), rep));
    print_set(&d.set, &f.header);
out:
    wr_free(&genesis);
    wr_free(&leaf);
    return err;
}

/* ---- sign ---- */

static enum reeve_err key_read(const char *file, struct sign_key *key, struct pubkey *pub, struct report *rep)
{
    char text[NOTE_KEY_TEXT_MAX + 2];
    struct slice name;
    uint8_t seed[32];
    uint32_t id;
    size_t len = 0;
    enum reeve_err err = file_read(file, text, sizeof text, &len);
    while (len > 0 && text[len - 1] == '\n')
        len--;
    if (err == REEVE_OK)
        err = note_secret_parse(slice_of(text, len), &name, &id, seed);
    if (err == REEVE_OK)
        sign_key_from_seed(key, pub, seed);
    secret_wipe(seed, sizeof seed);
    secret_wipe(text, sizeof text);
    return err == REEVE_OK ? err : report_set(rep, err, "\"%s\" holds no private key of reeve-audit keygen", file);
}

/* In its place among the signatures, once. */
static void signature_put(struct finalization *f, unsigned index, const struct sig64 *sig)
{
    unsigned at = 0;
    for (unsigned i = 0; i < index; i++)
        at += f->bitmap[i / 8] >> i % 8 & 1;
    if (!(f->bitmap[index / 8] >> index % 8 & 1)) {
        memmove(&f->sig[at + 1], &f->sig[at], sizeof f->sig[0] * (f->n_sigs - at));
        f->n_sigs++;
        f->bitmap[index / 8] |= (uint8_t) (1u << index % 8);
    }
    f->sig[at] = *sig;
}

static enum reeve_err sign_one(struct finalization *f, const struct genesis *g, const char *file, struct report *rep)
{
    struct sign_key key;
    struct pubkey pub;
    struct hash32 digest;
    struct sig64 sig;
    enum reeve_err err = key_read(file, &key, &pub, rep);
    if (err != REEVE_OK)
        return err;
    recovery_digest(&crypto_ops_real, &digest, &f->header);
    sign_detached(&sig, slice_of(digest.b, 32), &key);
    secret_wipe(&key, sizeof key);
    for (unsigned i = 0; i < g->recovery_n; i++)
        if (memcmp(g->recovery[i].b, pub.b, 32) == 0) {
            signature_put(f, i, &sig);
            return REEVE_OK;
        }
    return report_set(rep, REEVE_E_V_KEY, "the key in \"%s\" is no recovery key of this chain", file);
}

/* What is shown is what is signed: the leaf's set is the one that the header names, and the genesis document is the chain's. */
static enum reeve_err recovery_read(const char *file, struct wr *bytes, struct finalization *f, struct slice *leaf, struct genesis *g,
                                    struct valset_doc *d, struct report *rep)
{
    struct hash32 id, root, set_hash;
    size_t n;
    enum reeve_err err;
    TRY(line_read(file, PREFIX, "recovery", bytes, rep));
    TRY(block_decode(f, leaf, 1, &n, wr_slice(bytes)));
    TRY(genesis_decode(g, f->recovery));
    TRY(valset_doc_decode(d, valset_payload_find(leaf, n)));
    TRY(valset_doc_hash(&crypto_ops_real, &set_hash, d));
    genesis_chain_id(&crypto_ops_real, &id, f->recovery);
    block_payload_root(&crypto_ops_real, leaf, n, &root);
    if (!hash32_eq(&id, &f->header.chain_id) || !hash32_eq(&root, &f->header.payload_root) || f->n_bits != g->recovery_n ||
        !hash32_eq(&set_hash, &f->header.next_valset_hash))
        err = REEVE_E_MALFORMED;
out:
    return err == REEVE_OK || rep->code != REEVE_OK ? err : report_set(rep, err, "\"%s\" is no recovery, or was changed", file);
}

static enum reeve_err sign(const struct options *o, struct report *rep)
{
    static struct finalization f;
    static struct genesis g;
    static struct valset_doc d;
    struct wr bytes = wr_heap(FILE_MAX);
    struct slice leaf;
    enum reeve_err err;
    TRY(recovery_read(o->to, &bytes, &f, &leaf, &g, &d, rep));
    print_set(&d.set, &f.header);
    for (int i = 0; i < o->n_args; i++)
        TRY(sign_one(&f, &g, o->args[i], rep));
    printf("%u of %u have signed\n", f.n_sigs, g.recovery_m);
    err = file_write(o->to, &f, leaf, rep);
out:
    wr_free(&bytes);
    return err;
}

/* ---- take ---- */

static enum reeve_err take(const struct options *o, struct report *rep)
{
    struct wr bytes = wr_heap(FILE_MAX);
    uint64_t height = 0;
    enum reeve_err err;
    TRY(line_read(o->to, PREFIX, "recovery", &bytes, rep));
    TRY(validator_take(o->dir, wr_slice(&bytes), &height, rep));
    printf("taken at height %llu; start the server: the others follow it\n", (unsigned long long) height);
out:
    wr_free(&bytes);
    return err;
}

int recover_main(const struct options *o)
{
    struct report rep = { 0 };
    int lock = -1;
    enum reeve_err err = REEVE_OK;
    bool beside = strcmp(o->recover, "sign") != 0;
    if (o->to == NULL || (beside && o->dir == NULL))
        TRY(report_set(&rep, REEVE_E_INVALID_VALUE, "--to FILE%s is wanted", beside ? " and -D DIR" : ""));
    if (beside)
        TRY(datadir_lock(&lock, o->dir, 0, &rep));
    if (strcmp(o->recover, "draft") == 0)
        err = draft(o, &rep);
    else if (strcmp(o->recover, "take") == 0)
        err = take(o, &rep);
    else if (!beside)
        err = sign(o, &rep);
    else
        err = report_set(&rep, REEVE_E_INVALID_VALUE, "recover takes draft, sign or take");
out:
    if (lock >= 0)
        close(lock);
    return err == REEVE_OK ? 0 : init_refuse(err, &rep);
}
