/* fleet.c - starting a fleet and driving it with one epoll. */
#include "fleet_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"
#include "crypto/hash.h"

#define SCAN_MS   5
#define STATUS_MS 250
#define PRINT_MS  2000

static int64_t clock_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct agent_now fleet_now(void)
{
    return (struct agent_now){ { clock_ms(CLOCK_MONOTONIC) }, { clock_ms(CLOCK_REALTIME) } };
}

/* ---- keys: the same fleet again after a restart ---- */

static bool read_all(int fd, void *p, size_t n)
{
    for (ssize_t k; n > 0; n -= (size_t) k, p = (char *) p + k)
        if ((k = read(fd, p, n)) <= 0)
            return false;
    return true;
}

static bool write_all(int fd, const void *p, size_t n)
{
    for (ssize_t k; n > 0; n -= (size_t) k, p = (const char *) p + k)
        if ((k = write(fd, p, n)) <= 0)
            return false;
    return true;
}

/* STATE/fleet.keys: 64 bytes a member (Ed25519 seed, X25519 secret), extended when the fleet grows. */
static enum reeve_err load_secrets(struct fleet *f, uint8_t *secrets, struct report *rep)
{
    size_t have = 0, want = (size_t) f->o.count * 64;
    char path[1024];
    random_bytes(secrets, want);
    if (f->o.state == NULL)
        return REEVE_OK;
    if (mkdir(f->o.state, 0700) < 0 && errno != EEXIST)
        return report_set(rep, REEVE_E_IO, "%s: %s", f->o.state, strerror(errno));
    snprintf(path, sizeof path, "%s/fleet.keys", f->o.state);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return report_set(rep, REEVE_E_IO, "%s: %s", path, strerror(errno));
    off_t size = lseek(fd, 0, SEEK_END);
    have = size > 0 ? (size_t) size / 64 * 64 : 0;
    if (have > want)
        have = want;
    bool ok = lseek(fd, 0, SEEK_SET) == 0 && read_all(fd, secrets, have) &&
              lseek(fd, (off_t) have, SEEK_SET) == (off_t) have && write_all(fd, secrets + have, want - have) && fsync(fd) == 0;
    close(fd);
    return ok ? REEVE_OK : report_set(rep, REEVE_E_IO, "%s: %s", path, strerror(errno));
}

/* ---- start ---- */

static enum reeve_err member_start(struct fleet *f, unsigned i, const uint8_t secrets[64], struct report *rep)
{
    struct member *m = &f->m[i];
    struct agent_identity id;
    identity_from_secrets(&id, secrets, secrets + 32);
    struct agent_options o = {
        .endpoints = f->o.server, .token = f->o.token[0] ? f->o.token : NULL, .tls = f->tls, .identity = &id,
        .store = store_memory_new(), .labels = &f->o.labels,
        .start_delay_ms = f->o.ramp_ms ? (uint32_t) ((uint64_t) f->o.ramp_ms * i / f->o.count) : 0,
    };
    struct agent_host host = fleet_host;
    host.arg = m;
    m->fleet = f;
    m->fd = -1;
    m->faulty = fleet_in_share(&id, "fail", f->o.fail_share);
    m->silent = fleet_in_share(&id, "silent", f->o.silent_share);
    enum reeve_err err = agent_new(&m->agent, &o, &host, f->started, rep);
    identity_wipe(&id);
    return err;
}

static enum reeve_err add_workloads(struct fleet *f, struct member *m)
{
    enum reeve_err err = REEVE_OK;
    for (unsigned i = 0; i < f->o.workloads && err == REEVE_OK; i++) {
        struct agent_workload w = { .port = (uint16_t) (20000 + i % 40000), .ttl_s = 60, .weight = 1, .health = 1, .epoch = 1 };
        random_bytes(w.id, sizeof w.id);
        (void) name_set_str(&w.service, "bench");
        w.addr.family = 4;
        w.addr.b[0] = 127;
        w.addr.b[3] = 1;
        err = agent_workload_put(m->agent, &w);
    }
    return err;
}

enum reeve_err fleet_start(struct fleet *f, struct report *rep)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    uint8_t *secrets = calloc(f->o.count, 64);
    f->m = calloc(f->o.count, sizeof *f->m);
    f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    f->started = fleet_now();
    f->all_ready_ms = -1;
    if (secrets == NULL || f->m == NULL || f->epoll_fd < 0)
        return report_set(rep, REEVE_E_NOMEM, "out of memory or descriptors");
    enum reeve_err err;
    TRY(tls_ctx_client(&f->tls, WIRE_ALPN, rep));
    TRY(load_secrets(f, secrets, rep));
    for (unsigned i = 0; i < f->o.count; i++) {
        TRY(member_start(f, i, secrets + (size_t) i * 64, rep));
        TRY(add_workloads(f, &f->m[i]));
    }
out:
    secret_wipe(secrets, (size_t) f->o.count * 64);
    free(secrets);
    return err;
}

/* ---- driving ---- */

/* The kernel forgets a closed descriptor by itself; a reused number is a new registration. */
static void watch(struct fleet *f, struct member *m)
{
    uint64_t serial = 0;
    int fd = agent_fd(m->agent, &serial);
    unsigned want = fd < 0 ? 0 : agent_events(m->agent);
    bool fresh = fd >= 0 && (fd != m->fd || serial != m->fd_serial);
    if (!fresh && want == m->events && fd == m->fd)
        return;
    struct epoll_event ev = { .data.ptr = m };
    ev.events = (want & AGENT_READ ? EPOLLIN : 0u) | (want & AGENT_WRITE ? EPOLLOUT : 0u);
    if (fd >= 0 && epoll_ctl(f->epoll_fd, fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &ev) != 0 && errno == EEXIST)
        epoll_ctl(f->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
    m->fd = fd;
    m->fd_serial = serial;
    m->events = want;
}

static void step(struct fleet *f, struct member *m, struct agent_now now)
{
    agent_step(m->agent, now);
    if (f->stepped != NULL && f->stepped(f->stepped_arg, m))
        agent_step(m->agent, now);
    watch(f, m);
    fleet_heights_note(f, m);
    if (!m->was_ready && agent_phase(m->agent) == AP_READY) {
        m->was_ready = true;
        if (++f->ready_once == f->o.count)
            f->all_ready_ms = fleet_now().mono.ms - f->started.mono.ms;
    }
}

void fleet_step_one(struct fleet *f, unsigned i)
{
    step(f, &f->m[i], fleet_now());
}

void fleet_step_all(struct fleet *f)
{
    for (unsigned i = 0; i < f->o.count; i++)
        step(f, &f->m[i], fleet_now());
}

/* A member whose deadline has come; returns the nearest deadline of the others. */
static int64_t scan(struct fleet *f, struct agent_now now)
{
    int64_t next = now.mono.ms + 1000;
    for (unsigned i = 0; i < f->o.count; i++) {
        struct mono_ms d = agent_deadline(f->m[i].agent);
        if (d.ms <= now.mono.ms) {
            step(f, &f->m[i], now);
            d = agent_deadline(f->m[i].agent);
        }
        if (d.ms < next)
            next = d.ms;
    }
    return next;
}

static bool condition(struct fleet *f)
{
    if (f->o.until_connected && f->all_ready_ms < 0)
        return false;
    return f->o.until_generation == 0 ||
           fleet_count_serving(f, &f->o.until_cert, f->o.until_generation, true) == f->o.count;
}

static bool has_condition(const struct fleet *f)
{
    return f->o.until_connected || f->o.until_generation > 0;
}

bool fleet_run(struct fleet *f)
{
    struct epoll_event ev[256];
    int64_t next_scan = 0, next_status = 0, next_print = f->started.mono.ms + PRINT_MS;
    while (!*f->stop) {
        struct agent_now now = fleet_now();
        if (now.mono.ms >= next_scan) {
            int64_t near = scan(f, now);
            next_scan = near > now.mono.ms + SCAN_MS ? near : now.mono.ms + SCAN_MS;
        }
        if (now.mono.ms >= next_status) {
            fleet_write_status(f);
            next_status = now.mono.ms + STATUS_MS;
            if (has_condition(f) && condition(f))
                return true;
            if (f->o.duration_s > 0 && now.mono.ms - f->started.mono.ms >= 1000ll * f->o.duration_s)
                return !has_condition(f);
        }
        if (now.mono.ms >= next_print) {
            fleet_print_line(f);
            next_print = now.mono.ms + PRINT_MS;
        }
        int64_t sleep_ms = (next_scan < next_status ? next_scan : next_status) - now.mono.ms;
        if (f->tick != NULL && sleep_ms > 1)
            sleep_ms = 1;
        int n = epoll_wait(f->epoll_fd, ev, 256, sleep_ms < 0 ? 0 : (int) sleep_ms);
        if (f->tick != NULL)
            f->tick(f->stepped_arg);
        now = fleet_now();
        for (int i = 0; i < n; i++)
            step(f, ev[i].data.ptr, now);
        if (n > 0)
            next_scan = now.mono.ms < next_scan ? (now.mono.ms + SCAN_MS < next_scan ? now.mono.ms + SCAN_MS : next_scan) : next_scan;
    }
    return !has_condition(f);
}

void fleet_end(struct fleet *f)
{
    struct agent_now now = fleet_now();
    for (unsigned i = 0; f->m != NULL && i < f->o.count; i++)
        if (f->m[i].agent != NULL) {
            agent_stop(f->m[i].agent, now);
            agent_step(f->m[i].agent, now);
            agent_free(f->m[i].agent);
        }
    for (unsigned i = 0; i < f->n_times; i++) {
        free(f->times[i].wall_ms);
        free(f->times[i].latency_ms);
    }
    free(f->m);
    if (f->tls != NULL)
        tls_ctx_free(f->tls);
    if (f->epoll_fd >= 0)
        close(f->epoll_fd);
}
