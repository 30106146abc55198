/* state.c - the states' names and which of them are ends. */
#include "engine/rollout.h"

static const char *const names[] = {
    [RS_PLANNED] = "planned", [RS_AWAITING_APPROVAL] = "awaiting_approval",
    [RS_WAITING_WINDOW] = "waiting_window", [RS_RUNNING] = "running", [RS_BAKING] = "baking",
    [RS_PAUSED] = "paused", [RS_PROMOTING] = "promoting", [RS_ROLLING_BACK] = "rolling_back",
    [RS_ROLLED_BACK] = "rolled_back", [RS_ROLLBACK_FAILED] = "rollback_failed",
    [RS_CANCELED] = "canceled", [RS_SUCCEEDED] = "succeeded", [RS_EXPIRED] = "expired",
};

const char *rollout_state_name(enum rollout_state s)
{
    return s >= RS_PLANNED && s <= RS_EXPIRED ? names[s] : "unknown";
}

bool rollout_state_parse(enum rollout_state *out, struct slice text)
{
    for (unsigned s = RS_PLANNED; s <= RS_EXPIRED; s++)
        if (slice_eq(text, slice_str(names[s]))) {
            *out = (enum rollout_state) s;
            return true;
        }
    return false;
}

bool rollout_state_terminal(enum rollout_state s)
{
    return s == RS_ROLLED_BACK || s == RS_ROLLBACK_FAILED || s == RS_CANCELED || s == RS_SUCCEEDED ||
           s == RS_EXPIRED;
}

bool rollout_state_withdraws(enum rollout_state s)
{
    return s == RS_ROLLING_BACK || (rollout_state_terminal(s) && s != RS_SUCCEEDED);
}

const char *rollout_kind_name(enum rollout_kind k)
{
    static const char *const kinds[] = { [ROLLOUT_CERT] = "cert", [ROLLOUT_CONFIG] = "config",
                                         [ROLLOUT_ROLLBACK] = "rollback" };
    return k >= ROLLOUT_CERT && k <= ROLLOUT_ROLLBACK ? kinds[k] : "unknown";
}
