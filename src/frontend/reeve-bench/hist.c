/* hist.c - see the header */
#include "hist.h"

#include <time.h>

#include "common/text.h"

static unsigned bucket_of(uint64_t ns)
{
    if (ns < HIST_SUB)
        return (unsigned) ns;
    unsigned log2 = 63u - (unsigned) __builtin_clzll(ns);
    unsigned b = (log2 - 4) * HIST_SUB + (unsigned) (ns >> (log2 - 5) & (HIST_SUB - 1));
    return b < HIST_BUCKETS ? b : HIST_BUCKETS - 1;
}

static uint64_t bucket_end(unsigned b)
{
    unsigned row = b / HIST_SUB;
    uint64_t sub = b % HIST_SUB;
    return row == 0 ? sub : ((HIST_SUB + sub + 1) << (row - 1)) - 1;
}

void hist_add(struct hist *h, int64_t ns)
{
    ns = ns < 0 ? 0 : ns;
    h->bucket[bucket_of((uint64_t) ns)]++;
    h->n++;
    h->max_ns = ns > h->max_ns ? ns : h->max_ns;
}

int64_t hist_at_ns(const struct hist *h, double share)
{
    uint64_t want = (uint64_t) (share * (double) h->n), seen = 0;
    for (unsigned b = 0; b < HIST_BUCKETS; b++)
        if ((seen += h->bucket[b]) > want || (seen == h->n && seen > 0)) {
            int64_t end = (int64_t) bucket_end(b);
            return end < h->max_ns ? end : h->max_ns;
        }
    return 0;
}

void hist_json(const struct hist *h, double seconds, struct wr *w)
{
    wr_printf(w, "{\"n\": %llu, \"per_second\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f}",
              (unsigned long long) h->n, seconds > 0 ? (double) h->n / seconds : 0.0, (double) hist_at_ns(h, 0.5) / 1000,
              (double) hist_at_ns(h, 0.99) / 1000, (double) hist_at_ns(h, 0.999) / 1000, (double) h->max_ns / 1000);
}

int64_t bench_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}
