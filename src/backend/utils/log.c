/* log.c - one line, one write; see the header for the form. */
#include "backend/utils/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/utils/clock.h"
#include "backend/utils/sanitize.h"
#include "common/buf.h"
#include "common/text.h"

#define RECHECK_MS 1000                 /* how soon a rotation by the postmaster is noticed */

static struct {
    const char *title;
    int32_t pid;
    char path[1024];
    int fd;                             /* -1: none yet */
    bool to_stderr;
    enum log_severity least;
    enum log_form form;
    int64_t checked_ms;
    bool torn;                          /* the last line was cut short by a full disk */
} lg = { .title = "reeved", .fd = -1, .to_stderr = true, .least = LOG_SEV_INFO };

static const char *const severities[] = { "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "FATAL" };

void log_init(const char *title)
{
    lg.title = title;
    lg.pid = (int32_t) getpid();
}

void log_after_fork(const char *title)
{
    log_init(title);
}

void log_configure(enum log_severity least, enum log_form form)
{
    lg.least = least;
    lg.form = form;
}

int log_fd(void)
{
    return lg.fd;
}

bool log_wants(enum log_severity s)
{
    return s >= lg.least;
}

/* ---- the file ---- */

static int open_file(void)
{
    return open(lg.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

/* stderr of a finished start-up is the log as well: assertions and sanitizers write there. */
static void take_stderr(void)
{
    if (!lg.to_stderr && lg.fd >= 0 && !sanitize_take_stderr())
        dup2(lg.fd, STDERR_FILENO);
}

enum reeve_err log_open(const char *dir, struct report *rep)
{
    if (snprintf(lg.path, sizeof lg.path, "%s/log/reeve.log", dir) >= (int) sizeof lg.path)
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    int fd = open_file();
    if (fd < 0)
        return report_set(rep, REEVE_E_IO, "could not open \"%s\": %s", lg.path, strerror(errno));
    if (lg.fd >= 0)
        close(lg.fd);
    lg.fd = fd;
    lg.checked_ms = clock_mono().ms;
    return REEVE_OK;
}

void log_startup_done(void)
{
    lg.to_stderr = false;
    take_stderr();
}

static bool same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static void follow_rotation(void)
{
    int64_t now = clock_mono().ms;
    if (lg.fd < 0 || now - lg.checked_ms < RECHECK_MS)
        return;
    lg.checked_ms = now;
    if (same_file(lg.fd, lg.path))
        return;
    int fd = open_file();
    if (fd < 0)
        return;
    close(lg.fd);
    lg.fd = fd;
    take_stderr();
}

void log_rotate_if_big(int64_t max_bytes)
{
    struct stat st;
    if (max_bytes <= 0 || lg.fd < 0 || fstat(lg.fd, &st) < 0 || st.st_size < max_bytes)
        return;
    time_t now = time(NULL);
    struct tm tm;
    char name[1100];
    gmtime_r(&now, &tm);
    int n = snprintf(name, sizeof name, "%s.", lg.path);
    strftime(name + n, sizeof name - (size_t) n, "%Y%m%dT%H%M%SZ", &tm);
    if (access(name, F_OK) == 0 || rename(lg.path, name) < 0)
        return;
    int fd = open_file();
    if (fd < 0)
        return;
    close(lg.fd);
    lg.fd = fd;
    take_stderr();
}

/* ---- a line ---- */

static void put_plain(struct wr *w, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) p[i];
        if (c < 0x20 || c == 0x7f)
            wr_printf(w, "\\x%02x", c);
        else
            wr_u8(w, c);
    }
}

static void put_json(struct wr *w, const char *p, size_t len)
{
    bool valid = utf8_valid(slice_of(p, len));
    wr_u8(w, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) p[i];
        if (c == '"' || c == '\\')
            wr_printf(w, "\\%c", c);
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !valid))
            wr_printf(w, "\\u%04x", c);
        else
            wr_u8(w, c);
    }
    wr_u8(w, '"');
}

static void put_text_line(struct wr *w, enum log_severity s, const char *msg, const struct log_field *f, size_t n)
{
    char when[CLOCK_TEXT_LEN + 1];
    clock_text(when, clock_wall());
    wr_printf(w, "%s [%d] %s %s: ", when, lg.pid, lg.title, severities[s]);
    put_plain(w, msg, strlen(msg));
    for (size_t i = 0; i < n; i++) {
        wr_printf(w, " %s=", f[i].key);
        put_plain(w, (const char *) f[i].value.p, f[i].value.len);
    }
}

static void put_json_line(struct wr *w, enum log_severity s, const char *msg, const struct log_field *f, size_t n)
{
    char when[CLOCK_TEXT_LEN + 1];
    clock_text(when, clock_wall());
    wr_printf(w, "{\"time\":\"%.10sT%.12sZ\",\"pid\":%d,\"process\":\"%s\",\"level\":\"%s\",\"message\":", when, when + 11,
              lg.pid, lg.title, severities[s]);
    put_json(w, msg, strlen(msg));
    for (size_t i = 0; i < n; i++) {
        wr_printf(w, ",\"%s\":", f[i].key);
        put_json(w, (const char *) f[i].value.p, f[i].value.len);
    }
    wr_text(w, "}");
}

static void emit(const char *p, size_t len)
{
    follow_rotation();
    bool twice = lg.to_stderr && (lg.fd < 0 || !same_file(STDERR_FILENO, lg.path)) && !sanitize_has_stderr();
    /* A log that cannot be written must not stop the server. */
    if (lg.torn && lg.fd >= 0)
        lg.torn = write(lg.fd, "\n", 1) != 1;
    ssize_t n = lg.fd >= 0 ? write(lg.fd, p, len) : (ssize_t) len;
    if (n < 0)
        lg.checked_ms = 0;
    else if ((size_t) n < len)
        lg.torn = true;
    if (twice && write(STDERR_FILENO, p, len) < 0)
        lg.checked_ms = 0;
}

static void write_line(enum log_severity s, const char *msg, const struct log_field *f, size_t n)
{
    char line[LOG_LINE_MAX];
    struct wr w = wr_fixed(line, sizeof line - 1);
    if (lg.form == LOG_FORM_JSON) {
        put_json_line(&w, s, msg, f, n);
        if (w.bad) {                    /* half an object is none: say less */
            char shorter[257];
            snprintf(shorter, sizeof shorter, "%.256s", msg);
            w = wr_fixed(line, sizeof line - 1);
            put_json_line(&w, s, shorter, NULL, 0);
        }
    } else {
        put_text_line(&w, s, msg, f, n);
    }
    line[w.len] = '\n';
    emit(line, w.len + 1);
}

static void write_va(enum log_severity s, const struct log_field *f, size_t n, const char *fmt, va_list ap)
{
    int saved = errno;
    char msg[LOG_LINE_MAX / 2];
    if (log_wants(s)) {
        if (lg.pid == 0)
            lg.pid = (int32_t) getpid();
        vsnprintf(msg, sizeof msg, fmt, ap);
        write_line(s, msg, f, n);
    }
    errno = saved;
}

void log_write(enum log_severity s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_va(s, NULL, 0, fmt, ap);
    va_end(ap);
}

void log_write_fields(enum log_severity s, const struct log_field *fields, size_t n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_va(s, fields, n, fmt, ap);
    va_end(ap);
}

void log_report(enum log_severity s, const struct report *rep)
{
    struct log_field f[3];
    size_t n = 0;
    f[n++] = (struct log_field){ "sqlstate", slice_str(report_sqlstate(rep)) };
    if (rep->detail[0])
        f[n++] = (struct log_field){ "detail", slice_str(rep->detail) };
    if (rep->hint[0])
        f[n++] = (struct log_field){ "hint", slice_str(rep->hint) };
    log_write_fields(s, f, n, "%s", rep->message);
}

/* ---- what peers can cause ---- */

#define SITE_LINES     5u
#define SITE_WINDOW_MS 10000

bool log_site_allows(struct log_site *site, enum log_severity s)
{
    int64_t now = clock_mono().ms;
    if (now - site->window_ms >= SITE_WINDOW_MS || site->window_ms == 0) {
        if (site->dropped > 0)
            log_write(s, "%u more lines like the next were left out", site->dropped);
        *site = (struct log_site){ .window_ms = now };
    }
    if (__atomic_fetch_add(&site->seen, 1, __ATOMIC_RELAXED) < SITE_LINES)
        return true;
    __atomic_fetch_add(&site->dropped, 1, __ATOMIC_RELAXED);
    return false;
}

struct log_site *log_site_shared(void)
{
    void *mem = mmap(NULL, sizeof(struct log_site), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return mem == MAP_FAILED ? NULL : mem;
}
