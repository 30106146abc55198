/* audit.h - what the files of reeve-audit share */
#ifndef FRONTEND_REEVE_AUDIT_H
#define FRONTEND_REEVE_AUDIT_H

#include "common/buf.h"
#include "common/text.h"
#include "crypto/p11.h"
#include "engine/attest_history.h"
#include "engine/region_history.h"
#include "engine/note.h"

/* Fixed: scripts depend on them. */
enum { EXIT_SOUND = 0, EXIT_UNSOUND = 1, EXIT_COULD_NOT = 2, EXIT_STALLED = 3 };

struct options {
    const char *command, *file, *second;
    const char *trust_root, *leaf, *key, *pkcs11, *name;
    bool bare;                          /* sign: only the signature line */
    const char *state;                  /* monitor: what it keeps */
    bool once;                          /* monitor: one look */
    int interval_s, stalled_s;
};

/* ---- file.c ---- */
#define FILE_BYTES_MAX ((size_t) 4 << 30)
/* A whole file ("-": standard input), malloc'd; false: it was said on standard error. */
bool file_read(const char *path, struct slice *out);
void file_free(struct slice *s);
/* Text of others on a terminal: control characters as \xNN. */
void put_safe(struct slice s);

/* ---- trust.c ---- */
struct trust_root {
    struct slice text;
    struct policy policy;
    struct slice origin;
    struct hash32 chain_id;
};
/* A policy whose log is that of one chain, and which trusts more than the log's own signature. */
bool trust_root_read(struct trust_root *t, const char *path);

/* ---- token.c: a key in a PKCS#11 token; refusals say why, on standard error ---- */
struct token { struct p11 *p11; unsigned key; struct pubkey pub; char label[129]; };
/* make: a new one, whose label is name unless the URI has one. The PIN is that of its pin-source, else asked for at the terminal. */
bool token_key(struct token *t, const char *uri, const char *name, bool make);
bool token_sign(const struct token *t, struct slice text, struct sig64 *sig);
void token_close(struct token *t);

/* ---- verify.c, show.c, key.c: the commands; their answer is the exit code ---- */
int audit_verify(const struct options *o);
int audit_show(const struct options *o);
int audit_keygen(const struct options *o);
int audit_sign(const struct options *o);

enum form { FORM_BUNDLE, FORM_CONFIG, FORM_PROOF, FORM_CHECKPOINT };
/* By how it begins; what begins like nothing known is taken for a checkpoint. */
enum form form_of(struct slice in);
/* ---- config.c: a region's config history ---- */
int verify_config(const struct options *o, struct slice in, const struct trust_root *t);
int show_config(struct slice in);
/* show.c */
void put_time(struct wall_ms t);
void put_text(const char *what, struct slice s);
void put_hex(const struct hash32 *h);

/* The leaf of a proof: --leaf, else FILE with .leaf for its ending. */
bool leaf_read(const struct options *o, struct slice *leaf);
/* Refusals say why, on standard error. */
bool bundle_is_sound(const char *file, struct slice in, const struct trust_root *t, struct history_work *w, unsigned *cosigned);

#endif
