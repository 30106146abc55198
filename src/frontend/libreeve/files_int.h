/* files_int.h - small files, whole: read, made once, replaced by rename. */
#ifndef REEVE_LIBREEVE_FILES_INT_H
#define REEVE_LIBREEVE_FILES_INT_H

#include "common/err.h"
#include "common/types.h"

#include <sys/types.h>

/* NOT_FOUND, TOO_BIG (more than cap), IO. */
enum reeve_err file_read(const char *path, void *buf, size_t cap, size_t *len, struct report *rep) REEVE_MUST_CHECK;
/* Made with its content in place or not at all; DUPLICATE_OBJECT where it exists. */
enum reeve_err file_create(const char *path, struct slice content, mode_t mode, struct report *rep) REEVE_MUST_CHECK;
/* Written beside, synced, renamed over. DISK_FULL, IO. */
enum reeve_err file_replace(const char *path, struct slice content, mode_t mode, struct report *rep) REEVE_MUST_CHECK;
/* With its last component; parents must exist. */
enum reeve_err dir_make(const char *path, mode_t mode, struct report *rep) REEVE_MUST_CHECK;
enum reeve_err dir_sync(const char *path, struct report *rep) REEVE_MUST_CHECK;
/* A failure that was expected leaves no trace; NULL is fine. */
static inline void report_forget(struct report *rep)
{
    if (rep != NULL)
        report_clear(rep);
}
/* From errno, with a report "what: strerror". */
enum reeve_err errno_report(struct report *rep, const char *what, const char *path);

#endif
