/* init_int.h - the steps of `reeved --init` */
#ifndef REEVE_BACKEND_MAIN_INIT_INT_H
#define REEVE_BACKEND_MAIN_INIT_INT_H

#include "common/err.h"
#include "common/types.h"

/* Makes dir, or takes an empty one; WRONG_STATE with a report for any other. */
enum reeve_err init_make_directory(const char *dir, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err init_make_folders(const char *dir, struct report *rep) REEVE_MUST_CHECK;
/*
 * reeve.conf, reeve_hba.conf, tls/{server,agent}.{crt,key} and tls/mock.secret: 32
 * random bytes, from which SCRAM salts of roles that do not exist are made.
 */
enum reeve_err init_make_files(const char *dir, const char *region, struct report *rep) REEVE_MUST_CHECK;
/* After a failure: empties the directory that init_make_directory() gave. */
void init_undo(const char *dir);

#endif
