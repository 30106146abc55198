/* report.c - REPORT and REGISTER: checked, turned into rows, acknowledged after the ring */
#include "backend/gateway/gateway_int.h"

#include "common/text.h"

#include <stdio.h>

#define BUSY_RETRY_MS 1000

/* ---- REPORT ---- */

static bool fill_deploy(const struct wire_report *r, struct deploy_row *d)
{
    memset(d, 0, sizeof *d);
    if (r->result >= DEPLOY_FAILED && r->error_code < 100)
        return false;                   /* */
    d->type = r->type;
    d->serving_gen = (uint32_t) r->serving_gen;
    d->tried_gen = (uint32_t) r->tried_gen;
    d->result = r->result;
    d->error_code = (uint16_t) r->error_code;
    snprintf(d->error, sizeof d->error, "%.*s", (int) r->error.len, (const char *) r->error.p);
    d->latency_ms = (uint32_t) r->latency_ms;
    d->rollout_id = r->rollout_id;
    d->at = clock_wall();
    d->serial_len = (uint8_t) r->serial.len;
    if (r->serial.len > 0)
        memcpy(d->serial, r->serial.p, r->serial.len);
    d->not_after.ms = (int64_t) r->not_after_ms;
    return true;
}

enum handled on_report(struct conn *c, const struct wire_frame *f)
{
    static struct deploy_row row;
    struct name object;
    uint8_t mem[2048];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct batch_item item = { c->ref, f->head.reqid, c->ordinal, 1, 0 };
    if (!fill_deploy(&f->u.report, &row) || !name_set(&object, f->u.report.object)) {
        conn_reply_error(c, f->head.reqid, WE_MALFORMED, 0, 0, "a failure needs an error code of 100 and above");
        return H_DONE;
    }
    wr_u32(&w, c->ordinal);
    wr_name(&w, &object);
    deploy_row_encode(&row, &w);
    reeve_assert(!w.bad);
    if (c->reports >= GW_REPORTS_MAX)
        conn_reply_error(c, f->head.reqid, WE_BUSY, 1, BUSY_RETRY_MS, "too many reports wait");
    else if (lane_add(&c->g->lane[LANE_REPORT], wr_slice(&w), &item) != REEVE_OK)
        conn_reply_retry(c, f->head.reqid, BUSY_RETRY_MS, 1);
    else
        c->reports++;
    return H_DONE;
}

void report_answer(struct conn *c, enum reeve_err err, enum reeve_err word, const struct batch_item *i)
{
    struct wire_frame ack = wire_frame_of(WF_REPORT_ACK);
    if (c == NULL || c->phase != CP_READY)
        return;
    c->reports--;
    if (err != REEVE_OK) {
        conn_reply_retry(c, i->id, BUSY_RETRY_MS, 2);
        return;
    }
    if (word != REEVE_OK) {
        conn_reply_error(c, i->id, WE_REFUSED, 0, 0, reeve_err_text(word));
        return;
    }
    ack.head.flags = WIRE_REQID;
    ack.head.reqid = i->id;
    conn_send_frame(c, &ack);
}

/* ---- REGISTER, REGISTER_BATCH ---- */

static void put_item(struct conn *c, struct wr *w, const struct name *service, const struct wire_workload *i)
{
    static struct workload_row row;
    memset(&row, 0, sizeof row);
    row.service = *service;
    row.family = i->addr.family;
    memcpy(row.addr, i->addr.b, sizeof row.addr);
    row.port = (uint16_t) i->port;
    row.ttl_s = (uint32_t) i->ttl_s;
    row.weight = i->weight;
    row.health = i->health;
    row.epoch = i->epoch;
    row.since = clock_wall();
    wr_u32(w, c->ordinal);
    wr_bytes(w, i->id.b, 16);
    wr_u8(w, i->op);
    if (i->op == 1)
        workload_row_encode(&row, w);
}

static enum handled submit(struct conn *c, struct wr *w, uint64_t seq, uint32_t n)
{
    struct batch_item item = { c->ref, seq, c->ordinal, (uint16_t) n, 0 };
    enum handled h = H_DONE;
    if (w->bad)
        conn_fail(c, WE_INTERNAL, 1, BUSY_RETRY_MS, "the batch is too large for the ring");
    else if (c->registers >= GW_REGISTERS_MAX)
        conn_retry_after(c, BUSY_RETRY_MS, 1);
    else if (lane_add(&c->g->lane[LANE_REGISTER], wr_slice(w), &item) != REEVE_OK)
        conn_retry_after(c, BUSY_RETRY_MS, 2);
    else
        c->registers++;
    wr_free(w);
    return h;
}

enum handled on_register(struct conn *c, const struct wire_frame *f)
{
    const struct wire_register_one *r = &f->u.register_one;
    struct wire_workload i = { .id = r->id, .op = r->op, .addr = r->addr, .port = r->port, .ttl_s = r->ttl_s,
                               .weight = r->weight, .health = r->health, .epoch = r->epoch };
    struct name service;
    struct wr w = wr_heap(REGION_COMMAND_MAX / 2);
    if (!name_set(&service, r->service))
        w.bad = true;
    put_item(c, &w, &service, &i);
    return submit(c, &w, r->seq, 1);
}

enum handled on_register_batch(struct conn *c, const struct wire_frame *f)
{
    static struct name services[1000];
    struct wire_list list = f->u.register_batch.services;
    struct wire_service s;
    struct wire_workload i;
    struct wr w = wr_heap(REGION_COMMAND_MAX / 2);
    for (uint32_t n = 0; wire_list_next(&list, WG_SERVICE, &s); n++)
        if (!name_set(&services[n], s.name))
            w.bad = true;
    list = f->u.register_batch.workloads;
    uint32_t total = list.n;
    while (wire_list_next(&list, WG_WORKLOAD, &i))
        put_item(c, &w, &services[i.service], &i);
    return submit(c, &w, f->u.register_batch.seq, total);
}

/* The region takes a frame's workloads all or none of them. */
void register_answer(struct conn *c, enum reeve_err err, enum reeve_err word, const struct batch_item *i)
{
    uint8_t refused[125];
    struct wire_frame ack = wire_frame_of(WF_REGISTER_ACK);
    if (c == NULL || c->phase != CP_READY)
        return;
    c->registers--;
    if (err != REEVE_OK) {
        conn_retry_after(c, BUSY_RETRY_MS, 2);
        return;
    }
    ack.u.register_ack.seq = i->id;
    if (word != REEVE_OK) {
        memset(refused, 0xff, sizeof refused);
        ack.u.register_ack.refused = slice_of(refused, (i->n + 7u) / 8);
    }
    conn_send_frame(c, &ack);
}
