/* log.c - one line, one write. What comes from outside is escaped. */
#include "log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool as_json, with_debug;

void log_set(bool json, bool debug)
{
    as_json = json;
    with_debug = debug;
}

static void escape(char *out, size_t cap, const char *in)
{
    size_t n = 0;
    for (; *in != '\0' && n + 7 < cap; in++) {
        unsigned char c = (unsigned char) *in;
        if (c < 0x20 || c == 0x7f)
            n += (size_t) snprintf(out + n, cap - n, "\\u%04x", c);
        else if (as_json && (c == '"' || c == '\\'))
            n += (size_t) snprintf(out + n, cap - n, "\\%c", c);
        else
            out[n++] = (char) c;
    }
    out[n] = '\0';
}

void log_line(enum agent_level level, const char *fmt, ...)
{
    static const char *const names[] = { "DEBUG", "INFO", "WARNING", "ERROR" };
    char text[1024], safe[2048], when[40], line[2200];
    struct timespec ts;
    struct tm tm;
    va_list ap;
    if (level == AGENT_LOG_DEBUG && !with_debug)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    escape(safe, sizeof safe, text);
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + n, sizeof when - n, ".%03ldZ", ts.tv_nsec / 1000000);
    int len = snprintf(line, sizeof line, as_json ? "{\"time\":\"%s\",\"pid\":%ld,\"level\":\"%s\",\"message\":\"%s\"}\n"
                                                  : "%s [%ld] %s: %s\n", when, (long) getpid(), names[level], safe);
    if (len > 0 && write(2, line, (size_t) len < sizeof line ? (size_t) len : sizeof line - 1) < 0)
        return;
}
