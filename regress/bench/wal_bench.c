/*
 * wal_bench.c - one batch at a time: the log beside a plain file that grows, appended to and synced
 *
 *   wal_bench FOLDER [SECONDS]       both in FOLDER, in turn, round after round, so that both meet the same disk
 *
 * A batch of N bytes is one entry that fills a frame of N bytes; the plain file gets
 * N bytes and an fdatasync. Prints a table on stderr and one JSON object last.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/storage/walfile.h"
#include "backend/utils/log.h"

#define ROUNDS      6
#define SAMPLES_MAX 400000

struct series { double *us; size_t n; double seconds; };

static const uint32_t sizes[] = { 4096, 65536, 1 << 20 };
#define N_SIZES (sizeof sizes / sizeof *sizes)
static struct series wal_series[N_SIZES], plain_series[N_SIZES];
static uint8_t data[1 << 20];

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "wal_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void add(struct series *s, double us)
{
    if (s->us == NULL && (s->us = malloc(SAMPLES_MAX * sizeof *s->us)) == NULL)
        die("memory");
    if (s->n < SAMPLES_MAX)
        s->us[s->n++] = us;
}

static struct walfile *start(const char *folder)
{
    static struct wal_found found;
    static const struct wal_config c = { WAL_SEGMENT_BYTES, 2 << 20 };
    static const struct wal_owner owner = { 1, 1, 1 };
    struct walfile *f = NULL;
    struct report rep = { 0 };
    if (walfile_open(&f, folder, &c, &owner, NULL, &found, NULL, &rep) != REEVE_OK
        || walfile_format(f, &owner, 1, &rep) != REEVE_OK) {
        fprintf(stderr, "wal_bench: %s\n", rep.message);
        exit(1);
    }
    return f;
}

static void wait_for(struct walfile *f, uint64_t ticket)
{
    struct pollfd p = { walfile_fd(f), POLLIN, 0 };
    uint64_t n;
    while (walfile_durable(f) < ticket)
        if (poll(&p, 1, 10000) == 1 && read(p.fd, &n, sizeof n) < 0 && errno != EAGAIN)
            die("eventfd");
}

static void one_wal(struct walfile *f, uint64_t index, uint32_t size)
{
    struct wal_entry e = { 1, 0, slice_of(data, size - WAL_HEADER_LEN - WAL_ENTRY_HEAD) };
    struct wal_append a = { index, index > 1 ? 1 : 0, &e, 1, { 1, 0, index - 1 }, 0 };
    uint64_t ticket;
    if (walfile_append(f, &a, &ticket) != REEVE_OK)
        die("append refused");
    wait_for(f, ticket);
    if (index % 64 == 0)
        walfile_cut(f, index - 1, 1);
}

static void run_wal(struct walfile *f, uint64_t *index, uint32_t size, double seconds, struct series *s)
{
    double begin = now_s(), t = begin;
    while (t - begin < seconds) {
        one_wal(f, ++*index, size);
        double after = now_s();
        add(s, (after - t) * 1e6);
        t = after;
    }
    s->seconds += t - begin;
}

static void run_plain(const char *folder, uint32_t size, double seconds, struct series *s)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/plain", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    if (fd < 0)
        die(path);
    double begin = now_s(), t = begin;
    while (t - begin < seconds) {
        if (write(fd, data, size) != (ssize_t) size || fdatasync(fd) < 0)
            die(path);
        double after = now_s();
        add(s, (after - t) * 1e6);
        t = after;
    }
    s->seconds += t - begin;
    close(fd);
    unlink(path);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return x < y ? -1 : x > y;
}

static void print_series(const char *name, uint32_t size, struct series *s, bool comma)
{
    double rate = (double) s->n / s->seconds, p50 = s->us[s->n / 2], p99 = s->us[s->n * 99 / 100];
    fprintf(stderr, "%-20s %8u bytes %8.0f/s %8.1f MB/s  p50 %7.0f us  p99 %7.0f us\n", name, size, rate, rate * size / 1e6, p50, p99);
    printf("\"%s_%u\": {\"per_s\": %.0f, \"p50_us\": %.0f, \"p99_us\": %.0f}%s", name, size, rate, p50, p99, comma ? ", " : "");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) { return remove(path); }

int main(int argc, char **argv)
{
    char folder[1024], wal[1100];
    double seconds = argc > 2 ? atof(argv[2]) : 2, load = -1;
    uint64_t index = 0;
    if (argc < 2)
        return 2;
    getloadavg(&load, 1);
    log_init("bench");
    log_configure(LOG_SEV_INFO, LOG_FORM_TEXT);
    snprintf(folder, sizeof folder, "%s/wal-bench-XXXXXX", argv[1]);
    if (mkdtemp(folder) == NULL)
        die(folder);
    snprintf(wal, sizeof wal, "%s/wal", folder);
    memset(data, 0x5a, sizeof data);
    struct walfile *f = start(wal);
    sleep(1);                           /* the spares are filled */
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < N_SIZES; i++) {
            run_wal(f, &index, sizes[i], seconds / ROUNDS, &wal_series[i]);
            run_plain(folder, sizes[i], seconds / ROUNDS, &plain_series[i]);
        }
    walfile_close(f, true);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    printf("{");
    for (size_t i = 0; i < N_SIZES; i++) {
        qsort(wal_series[i].us, wal_series[i].n, sizeof(double), by_size);
        qsort(plain_series[i].us, plain_series[i].n, sizeof(double), by_size);
        print_series("wal", sizes[i], &wal_series[i], true);
        print_series("plain", sizes[i], &plain_series[i], true);
    }
    for (size_t i = 0; i < N_SIZES; i++)
        printf("\"ratio_%u\": %.2f, ", sizes[i], ((double) wal_series[i].n / wal_series[i].seconds)
                                               / ((double) plain_series[i].n / plain_series[i].seconds));
    printf("\"load\": %.1f}\n", load);
    return 0;
}
