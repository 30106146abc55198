/* verify.c - reeve-audit verify: is this sound, by the trust root alone? */
#include "mirror.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/ops.h"

/* ---- what it is ---- */

static bool begins(struct slice in, const char *with)
{
    size_t n = strlen(with);
    return in.len >= n && memcmp(in.p, with, n) == 0;
}

enum form form_of(struct slice in)
{
    if (begins(in, "reeve-history-bundle"))
        return FORM_BUNDLE;
    if (begins(in, "reeve-config-bundle"))
        return FORM_CONFIG;
    return begins(in, "c2sp.org/tlog-proof") ? FORM_PROOF : FORM_CHECKPOINT;
}

bool leaf_read(const struct options *o, struct slice *leaf)
{
    char path[4096];
    const char *dot = strrchr(o->file, '.');
    if (o->leaf != NULL)
        return file_read(o->leaf, leaf);
    if (dot == NULL || strchr(dot, '/') != NULL || (size_t) (dot - o->file) + sizeof ".leaf" > sizeof path) {
        fprintf(stderr, "reeve-audit: --leaf FILE is needed: the update that the proof is about\n");
        return false;
    }
    snprintf(path, sizeof path, "%.*s.leaf", (int) (dot - o->file), o->file);
    return file_read(path, leaf);
}

/* ---- refusals ---- */

static bool refuse(const char *file, const char *why)
{
    fprintf(stderr, "reeve-audit: %s: refused: %s\n", file, why);
    return false;
}

static bool refuse_err(const char *file, const char *what, enum reeve_err err)
{
    fprintf(stderr, "reeve-audit: %s: refused: %s: %s\n", file, what, reeve_err_text(err));
    return false;
}

/* ---- checkpoints ---- */

bool checkpoint_is_sound(const char *file, struct slice in, const struct trust_root *t, struct checkpoint *cp, unsigned *cosigned)
{
    static struct note note;
    enum reeve_err err = note_parse(&note, in);
    if (err != REEVE_OK)
        return refuse(file, "the checkpoint is no signed note");
    err = policy_check(&crypto_ops_real, &t->policy, &note, cp, cosigned);
    switch (err) {
    case REEVE_OK:            return true;
    case REEVE_E_MALFORMED:   return refuse(file, "the note is no checkpoint");
    case REEVE_E_V_CHAIN:     return refuse(file, "the checkpoint is of another log than the trust root's");
    case REEVE_E_V_SIGNATURE: return refuse(file, "a signature of the checkpoint does not verify, or the log's own is missing");
    case REEVE_E_V_QUORUM:    return refuse(file, "too few of those who are trusted have signed the checkpoint");
    default:                  return refuse_err(file, "the checkpoint", err);
    }
}

static int verify_checkpoint(const struct options *o, struct slice in, const struct trust_root *t)
{
    struct checkpoint cp;
    unsigned cosigned;
    if (!checkpoint_is_sound(o->file, in, t, &cp, &cosigned))
        return EXIT_UNSOUND;
    printf("%s: sound\n  log size %" PRIu64 ", cosigned by %u\n", o->file, cp.size, cosigned);
    return EXIT_SOUND;
}

/* ---- single proofs ---- */

static bool proof_is_sound(const char *file, struct slice in, struct slice leaf, const struct trust_root *t, struct checkpoint *cp,
                           struct tlog_proof *p, unsigned *cosigned)
{
    struct hash32 h;
    if (tlog_proof_parse(p, in) != REEVE_OK)
        return refuse(file, "this is no whole tlog-proof");
    if (!checkpoint_is_sound(file, p->note, t, cp, cosigned))
        return false;
    merkle_leaf_hash(&crypto_ops_real, &h, leaf);
    enum reeve_err err = merkle_inclusion_verify(&crypto_ops_real, p->index, cp->size, &h, p->path, p->n, &cp->root);
    return err == REEVE_OK || refuse(file, "the log does not have this leaf at that place");
}

static int verify_proof(const struct options *o, struct slice in, const struct trust_root *t)
{
    static struct tlog_proof p;
    struct checkpoint cp;
    struct slice leaf;
    unsigned cosigned;
    if (!leaf_read(o, &leaf))
        return EXIT_COULD_NOT;
    bool sound = proof_is_sound(o->file, in, leaf, t, &cp, &p, &cosigned);
    if (sound)
        printf("%s: sound\n  leaf %" PRIu64 " of a log of size %" PRIu64 ", cosigned by %u\n", o->file, p.index, cp.size, cosigned);
    file_free(&leaf);
    return sound ? EXIT_SOUND : EXIT_UNSOUND;
}

/* ---- bundles ---- */

static bool bundle_note_is_sound(const char *file, const struct trust_root *t, const struct history_facts *f, unsigned *cosigned)
{
    struct checkpoint cp;
    *cosigned = 0;
    if (f->note.len == 0)
        return true;                    /* the finalizations prove the head as well */
    if (!checkpoint_is_sound(file, f->note, t, &cp, cosigned))
        return false;
    if (!history_checkpoint_is(f, cp.size, &cp.root))
        return refuse(file, "the checkpoint is not that of the bundle's head");
    return true;
}

bool bundle_is_sound(const char *file, struct slice in, const struct trust_root *t, struct history_work *w, unsigned *cosigned)
{
    struct report rep = { .code = REEVE_OK };
    if (history_verify(&crypto_ops_real, &t->chain_id, in, w, &rep) != REEVE_OK)
        return refuse(file, rep.message);
    return bundle_note_is_sound(file, t, &w->facts, cosigned);
}

static void print_facts(const char *file, const struct history_facts *f, unsigned cosigned)
{
    char at[32] = "?";
    struct tm tm;
    time_t s = (time_t) (f->head.time.ms / 1000);
    if (gmtime_r(&s, &tm) != NULL)
        strftime(at, sizeof at, "%Y-%m-%d %H:%M:%S UTC", &tm);
    printf("%s: sound\n  chain   ", file);
    for (size_t i = 0; i < 32; i++)
        printf("%02x", f->head.chain_id.b[i]);
    printf(" (");
    put_safe(slice_of(f->genesis.chain.s, f->genesis.chain.len));
    printf(")\n  leaves  %" PRIu64 " to %" PRIu64 ", in %" PRIu64 " blocks\n", f->first, f->end - 1, f->blocks);
    printf("  head    height %" PRIu64 ", log size %" PRIu64 ", %s\n", f->head.height, f->head.log_size, at);
    printf("  signed  %" PRIu64 " signatures of %u validators, %u needed each time\n", f->signatures, (unsigned) f->set.n,
           valset_quorum(f->set.n));
    if (f->note.len > 0)
        printf("  checkpoint cosigned by %u\n", cosigned);
    else
        printf("  no checkpoint in it\n");
}

static int verify_bundle(const struct options *o, struct slice in, const struct trust_root *t)
{
    unsigned cosigned;
    struct history_work *w = calloc(1, sizeof *w);
    if (w == NULL) {
        fprintf(stderr, "reeve-audit: no memory\n");
        return EXIT_COULD_NOT;
    }
    bool sound = bundle_is_sound(o->file, in, t, w, &cosigned);
    if (sound)
        print_facts(o->file, &w->facts, cosigned);
    free(w);
    return sound ? EXIT_SOUND : EXIT_UNSOUND;
}

static int verify_form(const struct options *o, struct slice in, const struct trust_root *t)
{
    switch (form_of(in)) {
    case FORM_BUNDLE: return verify_bundle(o, in, t);
    case FORM_CONFIG: return verify_config(o, in, t);
    case FORM_PROOF:  return verify_proof(o, in, t);
    default:          return verify_checkpoint(o, in, t);
    }
}

int audit_verify(const struct options *o)
{
    static struct trust_root t;
    struct slice in;
    if (!trust_root_read(&t, o->trust_root))
        return EXIT_COULD_NOT;
    if (source_is(o->file))
        return audit_verify_mirror(o, &t);
    if (!file_read(o->file, &in))
        return EXIT_COULD_NOT;
    int code = verify_form(o, in, &t);
    file_free(&in);
    file_free(&t.text);
    return code;
}
