/* issue.c - issues that the ring itself raises and clears. */
#include "backend/ring/driver_int.h"

#include <stdio.h>

#include "backend/utils/clock.h"

static bool find_issue(struct ring_view *v, const struct name *kind, const struct name *object, struct issue_row *out)
{
    uint64_t id = 0;
    while (region_issue_next(&v->region, &id, out) == REEVE_OK)
        if (name_eq(&out->kind, kind) && name_eq(&out->object, object))
            return true;
    return false;
}

static void propose_issue(struct ring *r, bool raise, const struct issue_row *row)
{
    uint8_t mem[2048];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u8(&w, 1);
    wr_u8(&w, RC_ISSUE);
    wr_u8(&w, raise ? 1 : 2);
    issue_row_encode(row, &w);
    /* A full queue: the next round finds the same difference. */
    if (!w.bad && ring_propose(&r->prop, wr_slice(&w), NULL, NULL) != REEVE_OK)
        return;
}

void issue_set(struct ring *r, struct ring_view *v, const char *kind, const struct name *object, uint8_t severity,
               const char *message, const char *hint)
{
    struct issue_row have, want = { .severity = severity ? severity : 1, .object = *object, .since = clock_wall() };
    name_set_str(&want.kind, kind);
    bool there = find_issue(v, &want.kind, object, &have);
    if (severity == 0) {
        if (there)
            propose_issue(r, false, &have);
        return;
    }
    if (there && have.severity == severity)
        return;
    snprintf(want.message, sizeof want.message, "%s", message);
    snprintf(want.hint, sizeof want.hint, "%s", hint);
    propose_issue(r, true, &want);
}
