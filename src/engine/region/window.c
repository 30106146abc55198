/*
 * window.c - when a change window is open: cron in UTC
 *
 * Five fields: minute (0-59), hour (0-23), day of month (1-31), month (1-12),
 * weekday (0-7, 0 and 7 are Sunday); each a comma list of *, n, a-b, with /step.
 * As cron has it: when both days are restricted, either will do. A window is
 * open at t when it opened at some minute m with m <= t < m + duration.
 */
#include "engine/region/region_int.h"

#define MINUTE_MS 60000

static const struct { uint8_t min, max; } bounds[5] = { { 0, 59 }, { 0, 23 }, { 1, 31 }, { 1, 12 }, { 0, 7 } };

struct cron { uint64_t field[5]; bool any[5]; };

static bool number(const char **s, unsigned *out)
{
    unsigned n = 0, digits = 0;
    for (; **s >= '0' && **s <= '9' && digits < 3; ++*s, digits++)
        n = n * 10 + (unsigned) (**s - '0');
    *out = n;
    return digits > 0;
}

/* One element of a list: *, n, a-b, each with /step. */
static bool element(const char **s, unsigned f, uint64_t *set)
{
    unsigned lo = bounds[f].min, hi = bounds[f].max, step = 1;
    if (**s == '*') {
        ++*s;
    } else {
        if (!number(s, &lo))
            return false;
        hi = lo;
        if (**s == '-') {
            ++*s;
            if (!number(s, &hi))
                return false;
        }
    }
    if (**s == '/') {
        ++*s;
        if (!number(s, &step) || step == 0)
            return false;
    }
    if (lo < bounds[f].min || hi > bounds[f].max || lo > hi)
        return false;
    for (unsigned i = lo; i <= hi; i += step)
        *set |= UINT64_C(1) << i;
    return true;
}

static bool cron_read(const char *s, struct cron *c)
{
    memset(c, 0, sizeof *c);
    for (unsigned f = 0; f < 5; f++) {
        while (*s == ' ')
            s++;
        c->any[f] = *s == '*';
        do {
            if (!element(&s, f, &c->field[f]))
                return false;
        } while (*s == ',' && *++s);
        if (*s != ' ' && *s != '\0')
            return false;
    }
    while (*s == ' ')
        s++;
    if (c->field[4] & 1u << 7)
        c->field[4] |= 1;
    return *s == '\0';
}

bool window_cron_ok(const char *cron)
{
    struct cron c;
    return cron_read(cron, &c);
}

struct date { unsigned day, month, weekday; };

/* Days since 1970-01-01 to a date of the Gregorian calendar (the usual era arithmetic). */
static struct date date_of(int64_t days)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned) (z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    return (struct date){ doy - (153 * mp + 2) / 5 + 1, mp < 10 ? mp + 3 : mp - 9, (unsigned) ((days % 7 + 11) % 7) };
}

static bool opens_at(const struct cron *c, int64_t minute)
{
    struct date d = date_of(minute / 1440);
    unsigned m = (unsigned) (minute % 60), h = (unsigned) (minute / 60 % 24);
    bool day = c->field[2] >> d.day & 1, weekday = c->field[4] >> d.weekday & 1;
    bool either = !c->any[2] && !c->any[4];
    return c->field[0] >> m & 1 && c->field[1] >> h & 1 && c->field[3] >> d.month & 1 &&
           (either ? day || weekday : day && weekday);
}

bool window_is_open(const struct window_row *w, struct wall_ms now)
{
    struct cron c;
    if (now.ms < 0 || !cron_read(w->cron, &c))
        return false;
    int64_t duration_ms = (int64_t) w->duration_s * 1000;
    for (int64_t m = now.ms / MINUTE_MS; m >= 0 && now.ms < m * MINUTE_MS + duration_ms; m--)
        if (opens_at(&c, m))
            return true;
    return false;
}

#define LOOK_AHEAD (366 * 1440)

struct wall_ms window_next_open(const struct window_row *w, struct wall_ms now)
{
    struct cron c;
    if (now.ms < 0 || !cron_read(w->cron, &c))
        return (struct wall_ms){ 0 };
    int64_t first = now.ms / MINUTE_MS + 1;
    for (int64_t m = first; m < first + LOOK_AHEAD; m++)
        if (opens_at(&c, m))
            return (struct wall_ms){ m * MINUTE_MS };
    return (struct wall_ms){ 0 };
}
