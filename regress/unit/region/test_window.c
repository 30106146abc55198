/* test_window.c - change windows: a table, and a twin that looks at every minute of the calendar. */
#include "../unit.h"
#include "engine/region.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct window_row window(const char *cron, uint32_t duration_s)
{
    struct window_row w = { .duration_s = duration_s };
    snprintf(w.cron, sizeof w.cron, "%s", cron);
    return w;
}

/* "2026-11-23 06:30:15" */
static struct wall_ms at(const char *text)
{
    struct tm tm = { 0 };
    assert_int_equal(sscanf(text, "%d-%d-%d %d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec), 6);
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (struct wall_ms){ (int64_t) timegm(&tm) * 1000 };
}

static void open_and_shut_by_the_table(void **state)
{
    static const struct { const char *cron; uint32_t duration_s; const char *now; bool open; const char *next; } t[] = {
        { "* * * * *", 60, "2026-11-23 06:30:15", true, "2026-11-23 06:31:00" },
        { "0 2 * * *", 3600, "2026-11-23 01:59:59", false, "2026-11-23 02:00:00" },
        { "0 2 * * *", 3600, "2026-11-23 02:00:00", true, "2026-11-24 02:00:00" },
        { "0 2 * * *", 3600, "2026-11-23 02:59:59", true, "2026-11-24 02:00:00" },
        { "0 2 * * *", 3600, "2026-11-23 03:00:00", false, "2026-11-24 02:00:00" },
        { "30 23 * * *", 7200, "2026-12-01 01:29:59", true, "2026-12-01 23:30:00" },      /* over midnight */
        { "30 23 31 12 *", 7200, "2027-01-01 00:10:00", true, "2027-12-31 23:30:00" },    /* over the year */
        { "0 0 * * 1", 60, "2026-11-23 00:00:30", true, "2026-11-30 00:00:00" },          /* a Monday */
        { "0 0 * * 7", 60, "2026-11-23 00:00:30", false, "2026-11-29 00:00:00" },         /* 7 is Sunday */
        { "0 0 13 * 5", 60, "2026-11-20 00:00:30", true, "2026-11-27 00:00:00" },         /* a Friday, or the 13th */
        { "0 0 29 2 *", 60, "2027-12-31 00:00:00", false, "2028-02-29 00:00:00" },
        { "*/20 8-10/2 * * 1-5", 1, "2026-11-20 08:40:00", true, "2026-11-20 10:00:00" },
        { "0 0 * * 0", 7 * 86400, "2026-11-28 23:59:59", true, "2026-11-29 00:00:00" },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct window_row w = window(t[i].cron, t[i].duration_s);
        assert_true(window_cron_ok(t[i].cron));
        if (window_is_open(&w, at(t[i].now)) != t[i].open || window_next_open(&w, at(t[i].now)).ms != at(t[i].next).ms)
            fail_msg("\"%s\" for %u s at %s", t[i].cron, t[i].duration_s, t[i].now);
    }
}

static void what_is_not_five_fields_is_refused(void **state)
{
    static const char *const bad[] = { "", "*", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
        "* * * 0 *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "1, * * * *", ",1 * * * *", "1-2-3 * * * *",
        "-1 * * * *", "a * * * *", "1000 * * * *", "* * * * *x", "4294967296 * * * *", "*/ * * * *" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (window_cron_ok(bad[i]))
            fail_msg("\"%s\" is taken", bad[i]);
}

/* ---- the twin: fields as lists of values, the calendar of the C library, minute by minute ---- */

struct plain { int n[5], value[5][8]; bool star[5]; };

static struct plain random_plain(void)
{
    static const int min[5] = { 0, 0, 1, 1, 0 }, max[5] = { 59, 23, 31, 12, 7 };
    struct plain p = { 0 };
    for (int f = 0; f < 5; f++) {
        p.star[f] = rand() % 100 < (f < 2 ? 20 : 60);
        p.n[f] = 1 + rand() % 4;
        for (int i = 0; i < p.n[f]; i++)
            p.value[f][i] = min[f] + rand() % (max[f] - min[f] + 1);
    }
    return p;
}

static void print_plain(const struct plain *p, char *out, size_t cap)
{
    size_t n = 0;
    for (int f = 0; f < 5; f++) {
        if (p->star[f])
            n += (size_t) snprintf(out + n, cap - n, "* ");
        for (int i = 0; i < p->n[f] && !p->star[f]; i++)
            n += (size_t) snprintf(out + n, cap - n, "%d%s", p->value[f][i], i + 1 < p->n[f] ? "," : " ");
    }
    out[n - 1] = '\0';
}

static bool has(const struct plain *p, int f, int v)
{
    for (int i = 0; i < p->n[f]; i++)
        if (p->value[f][i] == v || (f == 4 && v == 0 && p->value[f][i] == 7))
            return true;
    return p->star[f];
}

static bool twin_opens(const struct plain *p, time_t t)
{
    struct tm tm;
    gmtime_r(&t, &tm);
    bool day = has(p, 2, tm.tm_mday), weekday = has(p, 4, tm.tm_wday);
    return has(p, 0, tm.tm_min) && has(p, 1, tm.tm_hour) && has(p, 3, tm.tm_mon + 1) &&
           (!p->star[2] && !p->star[4] ? day || weekday : day && weekday);
}

static void it_agrees_with_a_twin_minute_by_minute(void **state)
{
    unsigned seed = (unsigned) time(NULL);
    print_message("# seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 40; round++) {
        struct plain p = random_plain();
        char cron[128];
        print_plain(&p, cron, sizeof cron);
        struct window_row w = window(cron, 1 + (uint32_t) (rand() % 14400));
        time_t start = (time_t) (1700000000 + (int64_t) rand() % 400000000) / 60 * 60, opened = 0;
        bool ever = false;
        assert_true(window_cron_ok(cron));
        for (time_t t = start; t < start + 20 * 86400; t += 60) {
            if (twin_opens(&p, t)) {
                opened = t;
                ever = true;
            }
            if (t < start + 14400)
                continue;           /* what began before the start is unknown to the twin */
            time_t now = t + rand() % 60;
            bool open = ever && now < opened + (time_t) w.duration_s;
            if (window_is_open(&w, (struct wall_ms){ (int64_t) now * 1000 }) != open)
                fail_msg("\"%s\" for %u s at %lld", cron, w.duration_s, (long long) now);
        }
        struct wall_ms next = window_next_open(&w, (struct wall_ms){ (int64_t) start * 1000 });
        time_t want = start + 60;
        while (want < start + 20 * 86400 && !twin_opens(&p, want))
            want += 60;
        if (want < start + 20 * 86400)
            assert_int_equal(next.ms, (int64_t) want * 1000);
        else
            assert_true(next.ms == 0 || next.ms >= (int64_t) want * 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_and_shut_by_the_table),
        cmocka_unit_test(what_is_not_five_fields_is_refused),
        cmocka_unit_test(it_agrees_with_a_twin_minute_by_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
