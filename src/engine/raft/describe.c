/* describe.c - messages, events and effects as text, for traces and expected outputs. */
#include "raft_int.h"

static const char *const msg_names[RAFT_M__COUNT] = { "?", "prevote", "prevote_reply", "vote", "vote_reply", "append",
    "append_reply", "heartbeat", "heartbeat_reply", "snapshot", "snapshot_reply", "timeout_now", "read", "read_reply", "host" };
static const char *const event_names[] = { "?", "start", "clock", "message", "appended", "propose", "change", "transfer", "read",
    "unreachable", "reachable", "snap_ready", "snap_gone", "snap_stored", "snap_installed", "snap_failed", "send", "bench",
    "log_kept", "log_back", "fill" };
static const char *const effect_names[] = { "?", "append", "send", "commit", "role", "conf", "truncated", "read_ok",
    "read_failed", "snap_need", "snap_read", "snap_chunk", "snap_install", "snap_done", "host", "repaired", "log_read" };
static const char *const change_names[] = { "?", "add_learner", "promote", "demote", "remove", "readdress" };
#define NAME(list, i) ((i) < sizeof (list) / sizeof *(list) ? (list)[i] : (list)[0])

static void field(struct wr *out, const char *name, uint64_t v)
{
    wr_printf(out, " %s=%llu", name, (unsigned long long) v);
}

const char *raft_role_name(uint8_t role)
{
    static const char *const names[] = { "?", "follower", "precandidate", "candidate", "leader" };
    return NAME(names, role);
}

void raft_conf_describe(const struct raft_conf *c, struct wr *out)
{
    for (unsigned i = 0; i < c->n; i++) {
        uint8_t role = c->m[i].role;
        wr_printf(out, "%s%u%s%s%s", i ? "," : "", c->m[i].id, role & RAFT_VOTER ? "v" : "", role & RAFT_VOTER_OLD ? "o" : "",
                  role & RAFT_LEARNER ? "l" : "");
    }
    if (c->joint)
        wr_text(out, " joint");
}

static void flags(uint8_t f, struct wr *out)
{
    static const char *const names[] = { " REFUSED", " transfer", " repair", " mute", " note" };
    for (unsigned i = 0; i < 5; i++)
        if (f & (1u << i))
            wr_text(out, names[i]);
}

void raft_msg_describe(const struct raft_msg *m, struct wr *out)
{
    wr_printf(out, "%u>%u %s", m->from, m->to, NAME(msg_names, m->type));
    field(out, "term", m->term);
    flags(m->flags, out);
    switch (m->type) {
    case RAFT_M_PREVOTE:
    case RAFT_M_VOTE:
        wr_printf(out, " last=%llu/%llu", (unsigned long long) m->index, (unsigned long long) m->log_term);
        break;
    case RAFT_M_APPEND:
        wr_printf(out, " prev=%llu/%llu n=%u", (unsigned long long) m->index, (unsigned long long) m->log_term, m->n_entries);
        field(out, "commit", m->commit);
        break;
    case RAFT_M_APPEND_REPLY:
        field(out, "index", m->index);
        if (m->flags & RAFT_MF_REJECT)
            wr_printf(out, " hint=%llu/%llu", (unsigned long long) m->hint, (unsigned long long) m->log_term);
        break;
    case RAFT_M_HEARTBEAT:
        field(out, "commit", m->commit);
        field(out, "read", m->read);
        break;
    case RAFT_M_HEARTBEAT_REPLY:
    case RAFT_M_READ:
        field(out, "read", m->read);
        break;
    case RAFT_M_READ_REPLY:
        field(out, "read", m->read);
        field(out, "index", m->index);
        break;
    case RAFT_M_SNAPSHOT:
        wr_printf(out, " index=%llu/%llu", (unsigned long long) m->index, (unsigned long long) m->log_term);
        wr_printf(out, " at=%llu of %llu", (unsigned long long) m->offset, (unsigned long long) m->size);
        field(out, "bytes", m->data.len);
        break;
    case RAFT_M_SNAPSHOT_REPLY:
        field(out, "index", m->index);
        field(out, "holds", m->offset);
        break;
    case RAFT_M_HOST:
        field(out, "bytes", m->data.len);
        break;
    default:
        break;
    }
}

static void describe_append(const struct raft_append *a, struct wr *out)
{
    field(out, "seq", a->seq);
    if (a->reset)
        wr_printf(out, " reset=%llu/%llu", (unsigned long long) a->reset_index, (unsigned long long) a->reset_term);
    if (a->truncate_from)
        field(out, "truncate", a->truncate_from);
    if (a->first <= a->last)
        wr_printf(out, " entries=%llu..%llu", (unsigned long long) a->first, (unsigned long long) a->last);
    if (a->fill)
        wr_text(out, " fill");
    field(out, "term", a->term);
    field(out, "vote", a->vote);
    field(out, "commit", a->commit);
}

void raft_event_describe(const struct raft_event *e, struct wr *out)
{
    wr_printf(out, "at %lld: %s", (long long) e->now.ms, NAME(event_names, e->type));
    switch (e->type) {
    case RAFT_E_MESSAGE:
        wr_text(out, " ");
        raft_msg_describe(e->msg, out);
        break;
    case RAFT_E_APPENDED:
        field(out, "seq", e->seq);
        break;
    case RAFT_E_PROPOSE:
        field(out, "kind", e->kind);
        field(out, "bytes", e->data.len);
        break;
    case RAFT_E_CHANGE:
        for (size_t i = 0; i < e->n; i++)
            wr_printf(out, " %s %u", NAME(change_names, e->change[i].kind), e->change[i].id);
        break;
    case RAFT_E_READ:
        field(out, "id", e->id);
        break;
    case RAFT_E_LOG_KEPT:
        wr_printf(out, " from=%llu%s", (unsigned long long) e->index, e->n ? " full" : "");
        break;
    case RAFT_E_LOG_BACK:
        wr_printf(out, " peer=%u prev=%llu/%llu n=%zu", e->peer, (unsigned long long) e->index, (unsigned long long) e->term, e->n);
        break;
    case RAFT_E_SNAP_READY:
    case RAFT_E_SNAP_STORED:
    case RAFT_E_SNAP_INSTALLED:
        field(out, "id", e->snap.id);
        field(out, "index", e->snap.index);
        field(out, "offset", e->offset);
        break;
    default:
        if (e->peer)
            field(out, "peer", e->peer);
        break;
    }
}

void raft_effect_describe(const struct raft_effect *e, struct wr *out)
{
    wr_printf(out, "  -> %s", NAME(effect_names, e->type));
    switch (e->type) {
    case RAFT_F_APPEND:
        describe_append(&e->append, out);
        break;
    case RAFT_F_SEND:
    case RAFT_F_SNAP_READ:
    case RAFT_F_SNAP_CHUNK:
    case RAFT_F_HOST:
        wr_text(out, " ");
        raft_msg_describe(&e->msg, out);
        if (e->after)
            field(out, "after", e->after);
        break;
    case RAFT_F_ROLE:
        wr_printf(out, " %s term=%llu leader=%u", raft_role_name(e->role), (unsigned long long) e->term, e->leader);
        break;
    case RAFT_F_COMMIT:
    case RAFT_F_CONF:
    case RAFT_F_TRUNCATED:
        field(out, "index", e->index);
        break;
    case RAFT_F_READ_OK:
    case RAFT_F_READ_FAILED:
        field(out, "id", e->id);
        field(out, "index", e->index);
        break;
    case RAFT_F_LOG_READ:
        field(out, "peer", e->peer);
        field(out, "index", e->index);
        break;
    case RAFT_F_SNAP_NEED:
    case RAFT_F_SNAP_DONE:
        field(out, "peer", e->peer);
        break;
    case RAFT_F_SNAP_INSTALL:
        wr_printf(out, " index=%llu/%llu", (unsigned long long) e->snap.index, (unsigned long long) e->snap.term);
        break;
    default:
        break;
    }
}
