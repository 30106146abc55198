/* describe.c - events and effects as text, for traces and expected outputs. */
#include "member_int.h"

static const char *const event_names[] = { "?", "start", "clock", "message", "appended", "applied", "state_durable", "propose",
    "open", "read", "change", "transfer", "hashed", "unreachable", "reachable", "snap_ready", "snap_gone", "snap_stored",
    "snap_installed", "snap_failed", "stop", "log_kept", "log_back", "fill" };
static const char *const effect_names[] = { "?", "raft", "apply", "done", "read_done", "hash", "quarantine", "flush", "stopped" };
static const char *const outcome_names[] = { "none", "applied", "duplicate", "not_applied", "unknown" };
#define NAME(list, i) ((i) < sizeof (list) / sizeof *(list) ? (list)[i] : (list)[0])

static void field(struct wr *out, const char *name, uint64_t v)
{
    wr_printf(out, " %s=%llu", name, (unsigned long long) v);
}

static void some_field(struct wr *out, const char *name, uint64_t v)
{
    if (v)
        field(out, name, v);
}

void member_event_describe(const struct member_event *e, struct wr *out)
{
    wr_printf(out, "at %lld: %s", (long long) e->now.ms, NAME(event_names, e->type));
    if (e->type == MEMBER_E_MESSAGE) {
        wr_text(out, " ");
        raft_msg_describe(e->msg, out);
        return;
    }
    some_field(out, "ticket", e->ticket);
    some_field(out, "session", e->session);
    some_field(out, "seq", e->seq);
    some_field(out, "index", e->index);
    some_field(out, "peer", e->peer);
    some_field(out, "bytes", e->data.len);
    some_field(out, "snap", e->snap.index);
    some_field(out, "offset", e->offset);
}

void member_effect_describe(const struct member_effect *e, struct wr *out)
{
    if (e->type == MEMBER_F_RAFT) {
        raft_effect_describe(e->raft, out);
        return;
    }
    wr_printf(out, "  => %s", NAME(effect_names, e->type));
    some_field(out, "ticket", e->ticket);
    if (e->type == MEMBER_F_DONE)
        wr_printf(out, " %s", NAME(outcome_names, e->outcome));
    if (e->err != REEVE_OK)
        wr_printf(out, " %s", reeve_err_name(e->err));
    some_field(out, "index", e->index);
    if (e->type == MEMBER_F_DONE)
        field(out, "nth", e->nth);
    some_field(out, "session", e->id);
}
