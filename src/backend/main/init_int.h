/* init_int.h - the steps of `reeved --init` */
#ifndef REEVE_BACKEND_MAIN_INIT_INT_H
#define REEVE_BACKEND_MAIN_INIT_INT_H

#include "common/err.h"
#include "common/buf.h"
#include "common/types.h"

/* Makes dir, or takes an empty one; WRONG_STATE with a report for any other. */
enum reeve_err init_make_directory(const char *dir, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err init_make_folders(const char *dir, struct report *rep) REEVE_MUST_CHECK;
/*
 * reeve.conf, reeve_hba.conf, tls/{server,agent}.{crt,key} and tls/mock.secret: 32
 * random bytes, from which SCRAM salts of roles that do not exist are made.
 */
enum reeve_err init_make_files(const char *dir, const char *region, struct report *rep) REEVE_MUST_CHECK;
/*
 * found.c: a region that is in a genesis document with others, in two steps. card_make() fills an empty directory with keys
 * and the link's key, and writes their card to a file; found_keys() pins the chain in it and makes DIR/validator where the document's
 * set has this directory's validator. found_conf() appends the port of the links.
 */
struct founding {
    struct name region;
    bool validates;
    uint16_t port;
};
struct options;
enum reeve_err card_make(const char *dir, const struct options *o, const struct name *region, struct report *rep) REEVE_MUST_CHECK;
/* standby: a DIR/validator also where the set does not have this validator; f->validates says what there is in the end. */
enum reeve_err found_keys(const char *dir, struct slice genesis, bool standby, struct founding *f, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err found_conf(const char *dir, const struct founding *f, struct report *rep) REEVE_MUST_CHECK;
/* Reads the document out of its file; append to out. MALFORMED. */
enum reeve_err genesis_read(const char *file, struct wr *out, struct report *rep) REEVE_MUST_CHECK;
/* Files of one line: the prefix and base64url of the bytes; read: appended to out. */
enum reeve_err line_write(const char *file, const char *prefix, struct slice bytes, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err line_read(const char *file, const char *prefix, const char *what, struct wr *out, struct report *rep) REEVE_MUST_CHECK;
struct region_card;
enum reeve_err card_read(const char *file, struct region_card *out, struct report *rep) REEVE_MUST_CHECK;
struct genesis;
enum reeve_err recovery_keys_read(const char *file, struct genesis *g, struct report *rep) REEVE_MUST_CHECK;
/* Takes a directory with keys that serve no chain, and nothing that starts; WRONG_STATE with a report for any other. */
enum reeve_err init_take_directory(const char *dir, struct report *rep) REEVE_MUST_CHECK;
/* After a failure of the second step: all goes but what the card was made of. */
void init_undo_founding(const char *dir);
/* Prints why, with the hint; the exit code. */
int init_refuse(enum reeve_err err, const struct report *rep);

/* After a failure: empties the directory that init_make_directory() gave. */
void init_undo(const char *dir);

#endif
