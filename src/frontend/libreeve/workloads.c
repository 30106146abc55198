/* workloads.c - containers and processes of the host, registered in batches. */
#include "agent_int.h"

#include <stdlib.h>

#define BATCH_MAX 1000

static struct workload *find(struct agent *a, const uint8_t id[16])
{
    for (struct workload *w = a->workloads; w != NULL; w = w->next)
        if (memcmp(w->w.id, id, 16) == 0)
            return w;
    return NULL;
}

enum reeve_err agent_workload_put(struct agent *a, const struct agent_workload *put)
{
    struct workload *w = find(a, put->id);
    if (w == NULL) {
        if (a->n_workloads >= AGENT_WORKLOADS_MAX)
            return REEVE_E_TOO_BIG;
        if ((w = calloc(1, sizeof *w)) == NULL)
            return REEVE_E_NOMEM;
        w->next = a->workloads;
        a->workloads = w;
        a->n_workloads++;
    }
    a->n_dirty += !w->dirty;
    w->w = *put;
    w->dirty = true;
    w->seq = 0;
    return REEVE_OK;
}

void agent_workloads_forget(struct agent *a)
{
    struct workload **at = &a->workloads;
    while (*at != NULL) {
        struct workload *w = *at;
        if (w->dirty || w->seq != 0) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        a->n_workloads--;
        free(w);
    }
}

void workloads_free(struct agent *a)
{
    while (a->workloads != NULL) {
        struct workload *w = a->workloads;
        a->workloads = w->next;
        free(w);
    }
}

/* A new connection: whatever was not acknowledged is sent again; seq begins anew. */
void workloads_reset(struct agent *a)
{
    a->register_seq = 0;
    a->n_registers = 0;
    a->n_dirty = 0;
    for (struct workload *w = a->workloads; w != NULL; w = w->next) {
        if (w->seq != 0)
            w->dirty = true;
        w->seq = 0;
        a->n_dirty += w->dirty;
    }
}

struct batch {
    struct wr services_mem, workloads_mem;
    struct wire_list services, workloads;
    struct name last;
};

/* Services are named once per run of equal names. */
static bool batch_add(struct batch *b, const struct agent_workload *w)
{
    if (b->services.n == 0 || !slice_eq(slice_of(b->last.s, b->last.len), slice_of(w->service.s, w->service.len))) {
        struct wire_service s = { slice_of(w->service.s, w->service.len) };
        if (wire_list_add(&b->services_mem, &b->services, WG_SERVICE, &s) != REEVE_OK)
            return false;
        b->last = w->service;
    }
    struct wire_workload item = { .op = 1, .service = b->services.n - 1, .addr = w->addr, .port = w->port, .ttl_s = w->ttl_s,
                                  .weight = w->weight, .health = w->health, .epoch = w->epoch };
    memcpy(item.id.b, w->id, 16);
    return wire_list_add(&b->workloads_mem, &b->workloads, WG_WORKLOAD, &item) == REEVE_OK;
}

static void send_batch(struct agent *a)
{
    struct batch b = { .services_mem = wr_heap(1 << 18), .workloads_mem = wr_heap(1 << 18) };
    struct wire_frame f = wire_frame_of(WF_REGISTER_BATCH);
    uint64_t seq = a->register_seq + 1;
    for (struct workload *w = a->workloads; w != NULL && b.workloads.n < BATCH_MAX && a->n_dirty > 0; w = w->next) {
        if (!w->dirty)
            continue;
        if (!batch_add(&b, &w->w))
            break;
        w->dirty = false;
        w->seq = seq;
        a->n_dirty--;
    }
    wire_list_end(&b.services_mem, &b.services);
    wire_list_end(&b.workloads_mem, &b.workloads);
    f.u.register_batch.seq = seq;
    f.u.register_batch.services = b.services;
    f.u.register_batch.workloads = b.workloads;
    if (b.workloads.n > 0 && conn_send(a, &f)) {
        a->register_seq = seq;
        a->n_registers++;
    }
    wr_free(&b.services_mem);
    wr_free(&b.workloads_mem);
}

void workloads_run(struct agent *a)
{
    while (a->phase == AP_READY && a->n_dirty > 0 && a->n_registers < REGISTERS_MAX) {
        unsigned before = a->n_dirty;
        send_batch(a);
        if (a->n_dirty == before)
            return;
    }
}

static unsigned bits(struct slice s)
{
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += (unsigned) __builtin_popcount(s.p[i]);
    return n;
}

void on_register_ack(struct agent *a, const struct wire_register_ack *ack)
{
    uint64_t acked = 0;
    if (ack->seq > a->register_seq) {
        conn_fail(a, WE_UNEXPECTED, "an acknowledgement of what was not sent");
        return;
    }
    uint64_t open = a->register_seq - ack->seq;
    a->n_registers = open < REGISTERS_MAX ? (unsigned) open : REGISTERS_MAX;
    for (struct workload *w = a->workloads; w != NULL; w = w->next)
        if (w->seq != 0 && w->seq <= ack->seq) {
            w->seq = 0;
            acked++;
        }
    unsigned refused = bits(ack->refused);
    a->stats.workloads_acked += acked > refused ? acked - refused : 0;
    a->stats.workloads_refused += refused;
}
