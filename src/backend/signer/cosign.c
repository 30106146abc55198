/*
 * cosign.c - SIGN_CHECKPOINT: the log's head as a note, with this validator's cosignature where there is one
 *
 * File "cosigned": u8 1 | u64 log size | 32 root | 32 SHA-256 of all before: the largest tree that was cosigned. It is
 * synced before a cosignature leaves, and a head is cosigned only if a quorum has made it final and its log extends that
 * tree: whoever moves an old copy of this file in can have nothing cosigned that is not final.
 */
#include "backend/signer/signer_int.h"

#include "crypto/hash.h"
#include "crypto/ops.h"
#include "engine/attest_history.h"
#include "engine/note.h"

#define COSIGNED_FILE "cosigned"
#define COSIGNED_LEN  (1 + 8 + 32 + 32)

struct cosigned { uint64_t size; struct hash32 root; };

static enum reeve_err cosigned_parse(struct slice file, struct cosigned *c)
{
    struct hash32 sum, want;
    struct rd r = rd_of(file);
    uint8_t version = rd_u8(&r);
    c->size = rd_u64(&r);
    rd_copy(&r, c->root.b, 32);
    rd_copy(&r, want.b, 32);
    if (!rd_done(&r) || version != 1)
        return REEVE_E_CORRUPT;
    sha256(&sum, slice_of(file.p, file.len - 32));
    return hash32_eq(&sum, &want) ? REEVE_OK : REEVE_E_CORRUPT;
}

/* None yet is a tree of size 0. */
static enum reeve_err cosigned_read(const struct signer *s, struct cosigned *c, struct report *rep)
{
    uint8_t file[COSIGNED_LEN];
    size_t len = 0;
    memset(c, 0, sizeof *c);
    enum reeve_err err = keydir_read(s->dirfd, COSIGNED_FILE, file, sizeof file, &len);
    if (err == REEVE_E_NOT_FOUND)
        return REEVE_OK;
    if (err == REEVE_OK)
        err = cosigned_parse(slice_of(file, len), c);
    return err == REEVE_OK ? err : report_set(rep, REEVE_E_CORRUPT, "the signer's record of cosigned checkpoints is damaged");
}

static enum reeve_err cosigned_save(const struct signer *s, const struct cosigned *c)
{
    uint8_t file[COSIGNED_LEN];
    struct hash32 sum;
    struct wr w = wr_fixed(file, sizeof file);
    wr_u8(&w, 1);
    wr_u64(&w, c->size);
    wr_bytes(&w, c->root.b, 32);
    sha256(&sum, wr_slice(&w));
    wr_bytes(&w, sum.b, 32);
    return keydir_write(s->dirfd, COSIGNED_FILE, wr_slice(&w), false);
}

/* Final by a quorum, and an extension of what was cosigned: t says what the bundle proved. */
static enum reeve_err head_prove(const struct signer *s, const struct cosigned *had, struct slice bundle, struct trust *t,
                                 struct report *rep)
{
    size_t n;
    *t = s->trust;
    t->view = t->height = 0;            /* an older head is as final; what counts is the log */
    t->log_size = had->size;
    t->log_root = had->root;
    enum reeve_err err = bundle_open(&crypto_ops_real, t, bundle, false, NULL, 0, &n);
    return err == REEVE_OK ? err : report_set(rep, err, "the head is not cosigned (%s)", reeve_err_name(err));
}

/* Our entry in the validator set; NULL: this region has no validator. */
static const struct validator *own_entry(const struct signer *s)
{
    for (unsigned i = 0; i < s->trust.set.n; i++)
        if (memcmp(&s->trust.set.v[i].cosign_key, &s->cosign_pub, sizeof s->cosign_pub) == 0)
            return &s->trust.set.v[i];
    return NULL;
}

static enum reeve_err cosignature_put(const struct signer *s, const struct validator *v, struct slice text, struct wr *out,
                                      struct report *rep)
{
    char name[HISTORY_COSIGNER_MAX];
    uint8_t mem[1024];
    struct wr message = wr_fixed(mem, sizeof mem);
    struct note_key own;
    struct sig64 sig;
    uint64_t now_s = (uint64_t) (s->now_ms() / 1000);
    size_t len = history_cosigner(name, &s->trust.chain_id, &v->name);
    note_key_init(&crypto_ops_real, &own, slice_of(name, len), NOTE_COSIGNATURE, &s->cosign_pub);
    note_cosig_message(text, now_s, &message);
    if (message.bad)
        return REEVE_E_BUG;
    enum reeve_err err = own_key_sign(s->token, &s->sec->cosign, wr_slice(&message), &sig, rep);
    if (err == REEVE_OK)
        note_put_cosig(out, &own, now_s, &sig);
    return err;
}

static enum reeve_err note_write(const struct signer *s, const struct trust *t, struct wr *out, struct report *rep)
{
    char origin[HISTORY_ORIGIN_LEN + 1];
    uint8_t mem[512];
    struct wr text = wr_fixed(mem, sizeof mem);
    struct note_key log;
    struct sig64 sig;
    const struct validator *own = own_entry(s);
    history_origin(origin, &s->trust.chain_id);
    note_key_init(&crypto_ops_real, &log, slice_of(origin, HISTORY_ORIGIN_LEN), NOTE_ED25519, &s->log_pub);
    checkpoint_format(&(struct checkpoint){ .origin = log.name, .size = t->log_size, .root = t->log_root }, &text);
    if (text.bad)
        return REEVE_E_BUG;
    enum reeve_err err = own_key_sign(s->token, &s->sec->log, wr_slice(&text), &sig, rep);
    if (err != REEVE_OK)
        return err;
    note_put_text(out, wr_slice(&text));
    note_put_sig(out, &log, &sig);
    return own != NULL ? cosignature_put(s, own, wr_slice(&text), out, rep) : REEVE_OK;
}

static enum reeve_err cosign(struct signer *s, const struct cosigned *had, struct slice bundle, struct wr *out, struct report *rep)
{
    static struct trust t;
    static uint8_t note_mem[4096];
    struct wr note = wr_fixed(note_mem, sizeof note_mem);
    enum reeve_err err;
    TRY(head_prove(s, had, bundle, &t, rep));
    if (t.log_size != had->size) {
        err = cosigned_save(s, &(struct cosigned){ t.log_size, t.log_root });
        if (err != REEVE_OK)
            return report_set(rep, err, "could not sync the signer's record of cosigned checkpoints");
    }
    err = note_write(s, &t, &note, rep);
    if (err != REEVE_OK || note.bad)
        return report_set(rep, err != REEVE_OK ? err : REEVE_E_BUG, "the checkpoint could not be signed");
    wr_bytes(out, s->log_pub.b, 32);
    wr_str32(out, wr_slice(&note));
out:
    return err;
}

enum reeve_err signer_sign_checkpoint(struct signer *s, struct rd *in, struct wr *out, struct report *rep)
{
    struct cosigned had;
    enum reeve_err err;
    TRY(cosigned_read(s, &had, rep));
    if (rd_u8(in) == 0 && rd_done(in)) {        /* from which size is it to be proved? */
        wr_u64(out, had.size);
        return REEVE_OK;
    }
    uint64_t from = rd_u64(in);
    struct slice bundle = rd_str32(in, SIGNER_BUNDLE_MAX);
    if (!rd_done(in))
        return report_set(rep, REEVE_E_MALFORMED, "malformed request for a checkpoint");
    if (from != had.size)
        return report_set(rep, REEVE_E_AGAIN, "another checkpoint was cosigned meanwhile");
    err = cosign(s, &had, bundle, out, rep);
out:
    return err;
}
