/* stub_int.h - a child that serves nobody, but is there: starts, is ready, reloads, ends */
#ifndef REEVE_BACKEND_MAIN_STUB_INT_H
#define REEVE_BACKEND_MAIN_STUB_INT_H

#include "backend/ipc/child.h"

static inline int stub_child(struct child *c)
{
    static const struct child_ops ops = { 0 };
    if (child_start(c, &ops) != REEVE_OK)
        return 1;
    child_ready(c);
    return child_run(c);
}

#endif
