/*
 * shutdown.c - the way down
 *
 * Sessions first (smart: when they end by themselves; fast: now), then those
 * that ask, then those that are asked: gateways, ring, validator, the links and the signer. Who
 * does not go in time is killed; nothing acknowledged depends on an orderly end.
 */
#include <signal.h>

#include "backend/postmaster/pm_int.h"
#include "backend/utils/log.h"

#define BACKEND_MS    10000
#define SERVICE_MS    20000
#define IMMEDIATE_MS  1000

static const unsigned phases[] = { K_BACKEND, K_GATEWAY | K_MIRROR, K_RING, K_VALIDATOR, K_FEDERATION | K_SIGNER };
#define PHASES (sizeof phases / sizeof *phases)

static void tell_services(struct pm *pm, unsigned kinds, enum shutdown_mode mode)
{
    uint8_t body = (uint8_t) mode;
    for (unsigned i = 0; i < pm->n_services; i++) {
        struct service *s = &pm->services[i];
        if (s->pid == 0 || (kinds & 1u << s->kind) == 0)
            continue;
        if (s->ch == NULL || ipc_send(s->ch, MSG_SHUTDOWN, slice_of(&body, 1), -1) != REEVE_OK)
            kill(s->pid, SIGTERM);
    }
}

static void kill_services(struct pm *pm, unsigned kinds)
{
    for (unsigned i = 0; i < pm->n_services; i++)
        if (pm->services[i].pid != 0 && (kinds & 1u << pm->services[i].kind) != 0) {
            log_warning("%s (pid %d) does not end; killing it", proc_title(pm->services[i].kind), pm->services[i].pid);
            kill(pm->services[i].pid, SIGKILL);
        }
}

static void escalate(void *arg)
{
    struct pm *pm = arg;
    if (pm->mode == SHUTDOWN_IMMEDIATE || (phases[pm->phase] & K_BACKEND)) {
        pm_backends_signal(pm, SIGKILL);
        log_limited(LOG_SEV_WARNING, "sessions do not end; killing them");
    }
    kill_services(pm, pm->mode == SHUTDOWN_IMMEDIATE ? (unsigned) K_ANY : phases[pm->phase]);
}

static void arm(struct pm *pm, int64_t ms)
{
    if (loop_timer_in(pm->loop, &pm->escalation, ms, escalate, pm) != REEVE_OK)
        escalate(pm);
}

static unsigned alive(const struct pm *pm, unsigned kinds)
{
    return pm_services_alive(pm, kinds) + (kinds & K_BACKEND ? pm->n_backends : 0);
}

static void begin_phase(struct pm *pm)
{
    if (phases[pm->phase] & K_BACKEND) {
        if (pm->mode == SHUTDOWN_SMART)
            return;
        pm_backends_signal(pm, SIGTERM);
        arm(pm, BACKEND_MS);
    } else {
        tell_services(pm, phases[pm->phase], SHUTDOWN_FAST);
        arm(pm, SERVICE_MS);
    }
}

void pm_shutdown_step(struct pm *pm)
{
    if (pm->state != PM_STOPPING)
        return;
    if (pm->mode == SHUTDOWN_IMMEDIATE) {
        if (alive(pm, K_ANY) == 0)
            loop_stop(pm->loop);
        return;
    }
    while (pm->phase < PHASES && alive(pm, phases[pm->phase]) == 0) {
        pm->phase++;
        if (pm->phase < PHASES)
            begin_phase(pm);
    }
    if (pm->phase == PHASES)
        loop_stop(pm->loop);
}

static const char *mode_name(enum shutdown_mode mode)
{
    return mode == SHUTDOWN_SMART ? "smart" : mode == SHUTDOWN_FAST ? "fast" : "immediate";
}

/* A later, harder wish replaces an earlier one; a softer one is ignored. */
void pm_shutdown(struct pm *pm, enum shutdown_mode mode)
{
    struct report rep = { 0 };
    if (pm->state == PM_STOPPING && mode <= pm->mode)
        return;
    log_info("received %s shutdown request", mode_name(mode));
    bool first = pm->state != PM_STOPPING;
    pm->state = PM_STOPPING;
    pm->mode = mode;
    memcpy(pm->pidfile.state, "stopping", sizeof "stopping");
    if (first && pidfile_write(pm->dir, &pm->pidfile, &rep) != REEVE_OK)
        log_report(LOG_SEV_WARNING, &rep);
    if (mode == SHUTDOWN_IMMEDIATE) {
        tell_services(pm, K_ANY, mode);
        pm_backends_signal(pm, SIGQUIT);
        arm(pm, IMMEDIATE_MS);
    } else if (phases[pm->phase] & K_BACKEND) {
        begin_phase(pm);
    }
    pm_shutdown_step(pm);
}
