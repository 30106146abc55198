/* rights.c - who may, and the reason that was given. */
#include "cmd_int.h"

#include "backend/access/access.h"

enum reeve_err cmd_need(struct cmd *x, uint32_t privilege, enum grant_kind kind, const struct name *object)
{
    return access_check(x->s, privilege, kind, object, x->rep);
}

enum reeve_err cmd_need_in(struct cmd *x, struct snap *sn, uint32_t privilege, enum grant_kind kind, const struct name *object)
{
    return access_check_region(&sn->region, x->s, privilege, kind, object, x->rep);
}

enum reeve_err cmd_need_targets(struct cmd *x, struct snap *sn, uint32_t privilege, const struct rollout_doc *d)
{
    enum reeve_err err = REEVE_OK;
    struct name id;
    rollout_object_name(&id, d->id);
    if (access_check_region(&sn->region, x->s, privilege, GK_ROLLOUT, &id, NULL) == REEVE_OK)
        return REEVE_OK;
    for (uint8_t i = 0; i < d->n_targets && err == REEVE_OK; i++)
        err = access_check_region(&sn->region, x->s, privilege, d->target[i].type == AT_CERT ? GK_CERT : GK_CONFIG,
                                  &d->target[i].name, x->rep);
    return err;
}

enum reeve_err cmd_need_superuser(struct cmd *x, const char *what)
{
    if (session_is_superuser(x->s))
        return REEVE_OK;
    return report_set(x->rep, REEVE_E_PRIVILEGE, "must be superuser to %s", what);
}

enum reeve_err cmd_reason(struct cmd *x, const struct pvalue *reason, bool fleet)
{
    if (reason != NULL && !slot_is_null(&x->slot, reason)) {
        enum reeve_err err = slot_text(&x->slot, reason, "reason", &x->reason);
        if (err != REEVE_OK)
            return err;
        if (x->reason.len > ATTEST_TEXT_MAX)
            return slot_error(&x->slot, reason, REEVE_E_INVALID_VALUE, "a reason has at most %d bytes", ATTEST_TEXT_MAX);
    }
    if (fleet && x->reason.len == 0 && session_bool(x->s, SET_require_reason)) {
        report_set(x->rep, REEVE_E_INVALID_VALUE, "%s needs a reason", ast_tag(x->stmt->kind));
        report_hint(x->rep, "Add REASON '...'; the setting require_reason is on.");
        return REEVE_E_INVALID_VALUE;
    }
    return REEVE_OK;
}
