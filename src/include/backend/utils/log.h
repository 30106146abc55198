/*
 * log.h - the server's log: DIR/log/reeve.log, text or JSON lines
 *
 * One line is one write(2) to a file opened for appending, so lines of many
 * processes do not mix; a line is at most LOG_LINE_MAX bytes, longer ones are
 * cut. Text: "time [pid] kind LEVEL: message key=value". Control characters
 * in what comes from outside are escaped. errno is preserved by every call.
 * The postmaster rotates by size; everybody notices within a second.
 * Until log_startup_done() lines also go to stderr. Never log a secret.
 */
#ifndef REEVE_BACKEND_UTILS_LOG_H
#define REEVE_BACKEND_UTILS_LOG_H

#include "common/err.h"
#include "common/types.h"

#define LOG_LINE_MAX 4096

/* In the order of the setting log_level's words. */
enum log_severity { LOG_SEV_DEBUG, LOG_SEV_INFO, LOG_SEV_NOTICE, LOG_SEV_WARNING, LOG_SEV_ERROR, LOG_SEV_FATAL };
enum log_form { LOG_FORM_TEXT, LOG_FORM_JSON };

struct log_field { const char *key; struct slice value; };

/* title is kept (borrowed). Before log_open() lines go to stderr only. */
void log_init(const char *title);
/* Opens DIR/log/reeve.log; stderr of the process goes there too once start-up is done. */
enum reeve_err log_open(const char *dir, struct report *rep) REEVE_MUST_CHECK;
void log_configure(enum log_severity least, enum log_form form);
void log_startup_done(void);
/* After fork: the line's pid and kind. */
void log_after_fork(const char *title);
/* The descriptor of the open file, for those who close the others; -1. */
int log_fd(void);
bool log_wants(enum log_severity s);

void log_write(enum log_severity s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_write_fields(enum log_severity s, const struct log_field *fields, size_t n, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* message, detail and hint of a report on one line, with its SQLSTATE. */
void log_report(enum log_severity s, const struct report *rep);

#define log_debug(...)   log_write(LOG_SEV_DEBUG, __VA_ARGS__)
#define log_info(...)    log_write(LOG_SEV_INFO, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_SEV_NOTICE, __VA_ARGS__)
#define log_warning(...) log_write(LOG_SEV_WARNING, __VA_ARGS__)
#define log_error(...)   log_write(LOG_SEV_ERROR, __VA_ARGS__)
#define log_fatal(...)   log_write(LOG_SEV_FATAL, __VA_ARGS__)

/* For what a peer can cause: at most 5 lines of one site in 10 s, then one line with the number left out. */
struct log_site { int64_t window_ms; unsigned seen, dropped; };
bool log_site_allows(struct log_site *site, enum log_severity s);
/*
 * Postmaster, before it forks: a site that all children forked afterwards
 * count in together; NULL without memory. A child that has gone mad can
 * silence this one site, nothing else.
 */
struct log_site *log_site_shared(void);
#define log_limited(sev, ...) do { \
        static struct log_site log_site_; \
        if (log_site_allows(&log_site_, (sev))) \
            log_write((sev), __VA_ARGS__); \
    } while (0)

/* Postmaster: begins a new file when the log has max_bytes or more (0: never). */
void log_rotate_if_big(int64_t max_bytes);

#endif
