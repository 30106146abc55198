/* clock.c - the only reader of the system's clocks in the server. */
#include "backend/utils/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t now_ms(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct wall_ms clock_wall(void) { return (struct wall_ms){ now_ms(CLOCK_REALTIME) }; }
struct mono_ms clock_mono(void) { return (struct mono_ms){ now_ms(CLOCK_MONOTONIC) }; }

struct mono_ms clock_deadline(int64_t ms)
{
    return (struct mono_ms){ ms <= 0 ? 0 : clock_mono().ms + ms };
}

int clock_left(struct mono_ms deadline)
{
    if (deadline.ms == 0)
        return -1;
    int64_t left = deadline.ms - clock_mono().ms;
    return left <= 0 ? 0 : left > 1000000000 ? 1000000000 : (int) left;
}

void clock_text(char *out, struct wall_ms t)
{
    time_t s = (time_t) (t.ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    snprintf(out, CLOCK_TEXT_LEN + 1, "%04u-%02u-%02u %02u:%02u:%02u.%03u UTC", (unsigned) (tm.tm_year + 1900) % 10000,
             (unsigned) (tm.tm_mon + 1) % 100, (unsigned) tm.tm_mday % 100, (unsigned) tm.tm_hour % 100,
             (unsigned) tm.tm_min % 100, (unsigned) tm.tm_sec % 100, (unsigned) (t.ms % 1000) % 1000);
}
