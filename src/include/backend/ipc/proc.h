/*
 * proc.h - process kinds and message types, expanded from their two lists
 *
 * Who may send what to whom is answered from msglist.h alone, by
 * msg_allowed(); nobody writes a second table.
 */
#ifndef REEVE_BACKEND_IPC_PROC_H
#define REEVE_BACKEND_IPC_PROC_H

#include "common/types.h"

enum proc_many { PROC_IS_ONE, PROC_IS_MANY };
enum proc_restart { PROC_RESTART_ALWAYS, PROC_RESTART_NEVER, PROC_RESTART_FATAL };
enum proc_kv { PROC_KV_NONE, PROC_KV_READ, PROC_KV_WRITE };

enum proc_kind {
#define PROC(sym, title, many, restart, kv) PROC_##sym,
#include "backend/proclist.h"
#undef PROC
    PROC__COUNT
};

/* One bit a kind, for the sets in msglist.h. */
enum {
#define PROC(sym, title, many, restart, kv) K_##sym = 1u << PROC_##sym,
#include "backend/proclist.h"
#undef PROC
    K_ANY = (1u << PROC__COUNT) - 1
};

struct proc_info {
    const char *title;
    enum proc_many many;
    enum proc_restart restart;
    enum proc_kv kv;
};
/* kind below PROC__COUNT. */
const struct proc_info *proc_info(enum proc_kind kind);
const char *proc_title(enum proc_kind kind);
/* By title; false when there is none such. */
bool proc_find(enum proc_kind *out, const char *title);

enum msg_type {
    MSG_NONE,
#define MSG(sym, from, to, fd) MSG_##sym,
#include "backend/msglist.h"
#undef MSG
    MSG__COUNT
};

/* Symbol, "?" when unknown. */
const char *msg_name(unsigned type);
/* Known, and sent by a kind that may to a kind that may. */
bool msg_allowed(unsigned type, enum proc_kind from, enum proc_kind to);
bool msg_carries_fd(unsigned type);
/* May an asker be given a channel to this service? Only where some message goes from the one to the other. */
bool proc_may_connect(enum proc_kind asker, enum proc_kind service);

#endif
