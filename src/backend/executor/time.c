/* time.c - points in time and intervals, in and out; proleptic Gregorian, UTC */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/executor/datum_int.h"

/* Days since 2000-01-01; month from 1. After Howard Hinnant's days_from_civil. */
static int64_t days_of(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 730425;     /* 0000-03-01 to 2000-01-01 */
}

static void civil_of(int64_t days, int64_t *y, int *m, int *d)
{
    int64_t z = days + 730425;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *d = (int) (doy - (153 * mp + 2) / 5 + 1);
    *m = (int) (mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

static void print_clock(struct wr *w, int64_t us)
{
    int64_t s = us / 1000000, frac = us % 1000000;
    wr_printf(w, "%02lld:%02lld:%02lld", (long long) (s / 3600), (long long) (s / 60 % 60), (long long) (s % 60));
    if (frac != 0) {
        char f[8];
        snprintf(f, sizeof f, "%06lld", (long long) frac);
        for (size_t n = 6; n > 0 && f[n - 1] == '0'; n--)
            f[n - 1] = '\0';
        wr_printf(w, ".%s", f);
    }
}

void time_print(struct wr *w, uint32_t oid, int64_t us)
{
    if (us == INT64_MAX || us == INT64_MIN) {
        wr_text(w, us > 0 ? "infinity" : "-infinity");
        return;
    }
    int64_t days = us / DAY_US - (us % DAY_US < 0), y;
    int m, d;
    civil_of(days, &y, &m, &d);
    wr_printf(w, "%04lld-%02d-%02d", (long long) (y > 0 ? y : 1 - y), m, d);
    if (oid != T_DATE) {
        wr_u8(w, ' ');
        print_clock(w, us - days * DAY_US);
        if (oid == T_TIMESTAMPTZ)
            wr_text(w, "+00");
    }
    if (y <= 0)
        wr_text(w, " BC");
}

void interval_print(struct wr *w, const struct interval *iv)
{
    bool any = false;
    const struct { long long n; const char *unit; } parts[] = {
        { iv->months / 12, "year" }, { iv->months % 12, "mon" }, { iv->days, "day" }
    };
    for (size_t i = 0; i < 3; i++) {
        if (parts[i].n != 0) {
            wr_printf(w, "%s%lld %s%s", any ? " " : "", parts[i].n, parts[i].unit, parts[i].n == 1 ? "" : "s");
            any = true;
        }
    }
    if (iv->us == 0 && any)
        return;
    if (any)
        wr_u8(w, ' ');
    if (iv->us < 0)
        wr_u8(w, '-');
    uint64_t us = iv->us < 0 ? 0 - (uint64_t) iv->us : (uint64_t) iv->us;
    print_clock(w, us > INT64_MAX ? INT64_MAX : (int64_t) us);
}

/* ---- reading ---- */

struct cursor {
    const char *p, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
        c->p++;
}

/* Exactly or up to max digits; -1 where there is none. */
static int64_t take_int(struct cursor *c, int max)
{
    int64_t v = 0;
    int n = 0;
    while (c->p < c->end && isdigit((unsigned char) *c->p) && n < max) {
        v = v * 10 + (*c->p++ - '0');
        n++;
    }
    return n > 0 ? v : -1;
}

static bool take_char(struct cursor *c, char ch)
{
    if (c->p >= c->end || *c->p != ch)
        return false;
    c->p++;
    return true;
}

/* .123456 as microseconds; digits beyond six are dropped. */
static int64_t take_fraction(struct cursor *c)
{
    int64_t v = 0, unit = 100000;
    if (!take_char(c, '.'))
        return 0;
    for (; c->p < c->end && isdigit((unsigned char) *c->p); c->p++, unit /= 10)
        v += (*c->p - '0') * unit;
    return v;
}

/* hh:mm[:ss[.ffffff]] in microseconds. */
static bool take_clock(struct cursor *c, int64_t *us)
{
    int64_t h = take_int(c, 9), m, s = 0;
    if (h < 0 || !take_char(c, ':') || (m = take_int(c, 2)) < 0 || m > 59)
        return false;
    if (take_char(c, ':') && ((s = take_int(c, 2)) < 0 || s > 60))
        return false;
    *us = ((h * 60 + m) * 60 + s) * 1000000 + take_fraction(c);
    return true;
}

static bool take_zone(struct cursor *c, int64_t *offset_us)
{
    *offset_us = 0;
    skip_space(c);
    if (c->p >= c->end)
        return true;
    if (take_char(c, 'Z') || take_char(c, 'z'))
        return c->p == c->end;
    if (c->end - c->p == 3 && (strncasecmp(c->p, "utc", 3) == 0 || strncasecmp(c->p, "gmt", 3) == 0))
        return true;
    int sign = take_char(c, '+') ? 1 : take_char(c, '-') ? -1 : 0;
    int64_t h = take_int(c, 2), m = 0;
    if (sign == 0 || h < 0 || h > 15)
        return false;
    if (take_char(c, ':') || c->p < c->end)
        m = take_int(c, 2);
    *offset_us = sign * (h * 60 + m) * 60000000;
    return m >= 0 && m < 60 && c->p == c->end;
}

static bool is_word(struct slice s, const char *w)
{
    return s.len == strlen(w) && strncasecmp((const char *) s.p, w, s.len) == 0;
}

static bool take_special(struct slice s, int64_t now_us, int64_t *us)
{
    int64_t today = now_us - ((now_us % DAY_US) + DAY_US) % DAY_US;
    const struct { const char *word; int64_t us; } words[] = {
        { "now", now_us }, { "today", today }, { "yesterday", today - DAY_US }, { "tomorrow", today + DAY_US },
        { "infinity", INT64_MAX }, { "-infinity", INT64_MIN }, { "epoch", -EPOCH_MS * 1000 }
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (is_word(s, words[i].word)) {
            *us = words[i].us;
            return true;
        }
    }
    return false;
}

bool time_parse(struct slice text, int64_t now_us, int64_t *us)
{
    static const uint8_t month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    struct cursor c = { (const char *) text.p, (const char *) text.p + text.len };
    int64_t y, m, d, clock = 0, zone = 0;
    if (text.len == 0 || text.len > 64)
        return false;
    if (take_special(text, now_us, us))
        return true;
    skip_space(&c);
    if ((y = take_int(&c, 6)) < 1 || !take_char(&c, '-') || (m = take_int(&c, 2)) < 1 || m > 12 || !take_char(&c, '-') ||
        (d = take_int(&c, 2)) < 1 || d > month_days[m - 1] ||
        (m == 2 && d == 29 && !(y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))))
        return false;
    if (c.p < c.end && (*c.p == 'T' || *c.p == 't' || *c.p == ' ')) {
        c.p++;
        skip_space(&c);
        if (c.p < c.end && isdigit((unsigned char) *c.p) && (!take_clock(&c, &clock) || clock > DAY_US))
            return false;
    }
    if (!take_zone(&c, &zone))
        return false;
    *us = days_of(y, (int) m, (int) d) * DAY_US + clock - zone;
    return y <= 290000;
}

/* ---- intervals ---- */

static const struct {
    const char *word;
    int64_t us;
    int days, months;
} units[] = {
    { "us", 1, 0, 0 }, { "microsecond", 1, 0, 0 }, { "ms", 1000, 0, 0 }, { "millisecond", 1000, 0, 0 },
    { "s", 1000000, 0, 0 }, { "sec", 1000000, 0, 0 }, { "second", 1000000, 0, 0 },
    { "m", 60000000, 0, 0 }, { "min", 60000000, 0, 0 }, { "minute", 60000000, 0, 0 },
    { "h", 3600000000, 0, 0 }, { "hr", 3600000000, 0, 0 }, { "hour", 3600000000, 0, 0 },
    { "d", 0, 1, 0 }, { "day", 0, 1, 0 }, { "w", 0, 7, 0 }, { "week", 0, 7, 0 },
    { "mon", 0, 0, 1 }, { "month", 0, 0, 1 }, { "y", 0, 0, 12 }, { "yr", 0, 0, 12 }, { "year", 0, 0, 12 },
};

static int find_unit(const char *p, size_t len)
{
    char w[16];
    if (len == 0 || len >= sizeof w)
        return -1;
    for (size_t i = 0; i < len; i++)
        w[i] = (char) tolower((unsigned char) p[i]);
    w[len] = '\0';
    for (int plural = 0; plural < 2; plural++) {
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (strcmp(w, units[i].word) == 0)
                return (int) i;
        }
        if (len < 2 || w[len - 1] != 's')
            break;
        w[len - 1] = '\0';
    }
    return -1;
}

/* Adds n + frac/10^6 units; fractions of days and months spill into smaller units. */
static bool add_unit(struct interval *iv, int u, int64_t n, int64_t frac_us)
{
    int64_t us, days = n * units[u].days, months = n * units[u].months;
    if (n > 2000000000 || n < -2000000000)
        if (units[u].us == 0)
            return false;
    if (__builtin_mul_overflow(n, units[u].us, &us))
        return false;
    us += (int64_t) ((__int128) frac_us * units[u].us / 1000000);
    us += frac_us * units[u].days * 86400;
    us += frac_us * units[u].months * 30 * 86400;
    days += iv->days;
    months += iv->months;
    if (__builtin_add_overflow(us, iv->us, &iv->us) || days != (int32_t) days || months != (int32_t) months)
        return false;
    iv->days = (int32_t) days;
    iv->months = (int32_t) months;
    return true;
}

static bool take_clock_part(struct cursor *c, int sign, struct interval *iv)
{
    int64_t us;
    return take_clock(c, &us) && !__builtin_add_overflow(iv->us, sign * us, &iv->us);
}

static bool looks_like_clock(const struct cursor *c)
{
    const char *p = c->p;
    while (p < c->end && isdigit((unsigned char) *p))
        p++;
    return p < c->end && *p == ':';
}

/* One "[+-]n[.f] [unit]" or "[+-]hh:mm:ss"; iso_time: the T of P1DT2H was seen. */
static bool take_part(struct cursor *c, struct interval *iv, bool iso, bool iso_time)
{
    int sign = take_char(c, '-') ? -1 : 1;
    if (sign == 1)
        (void) take_char(c, '+');
    if (looks_like_clock(c))
        return take_clock_part(c, sign, iv);
    int64_t n = take_int(c, 18), frac;
    if (n < 0 && (c->p >= c->end || *c->p != '.'))
        return false;
    frac = take_fraction(c);
    if (!iso)
        skip_space(c);
    const char *word = c->p;
    while (c->p < c->end && isalpha((unsigned char) *c->p) && !(iso && c->p > word))
        c->p++;
    int u = find_unit(word, (size_t) (c->p - word));
    if (c->p == word && !iso)
        u = find_unit("s", 1);
    else if (iso && !iso_time && c->p > word && toupper((unsigned char) *word) == 'M')
        u = find_unit("mon", 3);
    return u >= 0 && add_unit(iv, u, sign * (n < 0 ? 0 : n), sign * frac);
}

bool interval_parse(struct slice text, struct interval *out)
{
    struct cursor c = { (const char *) text.p, (const char *) text.p + text.len };
    bool iso_time = false, any = false;
    *out = (struct interval){ 0 };
    if (text.len == 0 || text.len > 128)
        return false;
    skip_space(&c);
    bool iso = c.p < c.end && (*c.p == 'P' || *c.p == 'p');
    if (iso)
        c.p++;
    for (;;) {
        skip_space(&c);
        if (iso && c.p < c.end && (*c.p == 'T' || *c.p == 't')) {
            iso_time = true;
            c.p++;
        }
        if (c.p >= c.end)
            return any;
        if (c.end - c.p == 3 && strncasecmp(c.p, "ago", 3) == 0 && any) {
            *out = (struct interval){ -out->us, -out->days, -out->months };
            return true;
        }
        if (!take_part(&c, out, iso, iso_time))
            return false;
        any = true;
    }
}

bool interval_to_us(const struct interval *iv, int64_t *us)
{
    int64_t days = (int64_t) iv->months * 30 + iv->days;
    return !__builtin_mul_overflow(days, DAY_US, us) && !__builtin_add_overflow(*us, iv->us, us);
}
