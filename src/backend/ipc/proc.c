/* proc.c - the two lists as tables, and the question who may talk to whom. */
#include "backend/ipc/proc.h"

#include "common/err.h"

static const struct proc_info procs[PROC__COUNT] = {
#define PROC(sym, title, many, restart, kv) \
    [PROC_##sym] = { title, PROC_IS_##many, PROC_RESTART_##restart, PROC_KV_##kv },
#include "backend/proclist.h"
#undef PROC
};

struct msg_info {
    const char *name;
    unsigned from, to;
    bool fd;
};
static const struct msg_info msgs[MSG__COUNT] = {
    [MSG_NONE] = { "NONE", 0, 0, false },
#define MSG(sym, from, to, fd) [MSG_##sym] = { #sym, from, to, fd },
#include "backend/msglist.h"
#undef MSG
};

const struct proc_info *proc_info(enum proc_kind kind)
{
    reeve_assert(kind < PROC__COUNT);
    return &procs[kind];
}

const char *proc_title(enum proc_kind kind)
{
    return proc_info(kind)->title;
}

bool proc_find(enum proc_kind *out, const char *title)
{
    for (unsigned i = 0; i < PROC__COUNT; i++)
        if (strcmp(procs[i].title, title) == 0) {
            *out = (enum proc_kind) i;
            return true;
        }
    return false;
}

const char *msg_name(unsigned type)
{
    return type < MSG__COUNT ? msgs[type].name : "?";
}

bool msg_allowed(unsigned type, enum proc_kind from, enum proc_kind to)
{
    return type > MSG_NONE && type < MSG__COUNT && (msgs[type].from & 1u << from) && (msgs[type].to & 1u << to);
}

bool msg_carries_fd(unsigned type)
{
    return type < MSG__COUNT && msgs[type].fd;
}

bool proc_may_connect(enum proc_kind asker, enum proc_kind service)
{
    if (service == PROC_POSTMASTER || asker == PROC_POSTMASTER)
        return false;
    for (unsigned t = 0; t < MSG__COUNT; t++)
        if (t != MSG_REPLY && msgs[t].from != K_ANY && msg_allowed(t, asker, service))
            return true;
    return false;
}
