/*
 * hist.h - latencies, counted in buckets that grow with them
 *
 * 32 buckets to each power of two of nanoseconds: a percentile is right to 3 %,
 * a counter costs no memory per sample, and two histograms add up.
 */
#ifndef REEVE_BENCH_HIST_H
#define REEVE_BENCH_HIST_H

#include "common/buf.h"

#define HIST_SUB     32u
#define HIST_BUCKETS (HIST_SUB * 40u)

struct hist { uint64_t n, bucket[HIST_BUCKETS]; int64_t max_ns; };

void hist_add(struct hist *h, int64_t ns);
/* The upper end of the bucket in which share (0 to 1) of all samples is reached; 0 without samples. */
int64_t hist_at_ns(const struct hist *h, double share);
/* {"n": ..., "per_second": ..., "p50_us": ..., "p99_us": ..., "p999_us": ..., "max_us": ...} */
void hist_json(const struct hist *h, double seconds, struct wr *w);

/* CPU time of this process in nanoseconds: how much of the machine a load generator took from what it measures. */
int64_t bench_cpu_ns(void);

#endif
