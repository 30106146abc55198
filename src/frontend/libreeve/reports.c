/* reports.c - what the node serves, told until the ring has committed it. Only the last word on an object matters. */
#include "agent_int.h"

#include "common/text.h"

static bool send_report(struct agent *a, struct slot *s)
{
    struct wire_frame f = wire_frame_of(WF_REPORT);
    struct wire_report *w = &f.u.report;
    struct request *r = request_new(a, RQ_REPORT, s, s->tried);
    if (r == NULL)
        return false;
    f.head.flags = WIRE_REQID;
    f.head.reqid = r->id;
    w->type = s->type;
    w->object = name_slice(&s->object);
    w->serving_gen = s->serving;
    w->tried_gen = s->tried;
    w->result = s->result;
    w->error_code = s->result >= RESULT_FAILED ? s->code : 0;
    w->error = slice_str(s->error);
    w->latency_ms = s->latency_ms;
    w->rollout_id = s->rollout_id;
    w->serial = slice_of(s->serial, s->serial_len);
    w->not_after_ms = (uint64_t) s->not_after_ms;
    s->report_due = false;
    s->report_reqid = r->id;
    return conn_send(a, &f);
}

void reports_run(struct agent *a)
{
    if (a->observe || a->phase != AP_READY || ag_mono(a) < a->reports_hold_ms)
        return;
    for (struct slot *s = a->slots; s != NULL && a->phase == AP_READY; s = s->next)
        if (s->report_due && s->result != RESULT_NONE && !send_report(a, s))
            return;
}

void on_report_ack(struct agent *a, uint64_t reqid)
{
    struct request *r = request_find(a, reqid);
    if (r == NULL || r->kind != RQ_REPORT)
        return;                         /* a report that a newer one has overtaken */
    if (r->slot->report_reqid == reqid) {
        r->slot->report_reqid = 0;
        cache_put_slot(a, r->slot);
    }
    request_end(a, r);
    a->stats.reports_acked++;
}
