/*
 * trust.c - the trust root: a C2SP policy
 *
 * It names the log, whose name carries the chain id, and the witnesses: our
 * validators' cosigning keys and whoever else is believed. From the chain id
 * follows the genesis document and from that the validators' own keys, so the
 * one file pins everything.
 */
#include "audit.h"

#include <stdio.h>

#include "crypto/ops.h"

static bool refuse(const char *path, const char *why)
{
    fprintf(stderr, "reeve-audit: %s cannot serve as trust root: %s\n", path, why);
    return false;
}

bool trust_root_read(struct trust_root *t, const char *path)
{
    if (path == NULL) {
        fprintf(stderr, "reeve-audit: --trust-root FILE is needed: the policy of the chain that you believe in\n");
        return false;
    }
    if (!file_read(path, &t->text))
        return false;
    enum reeve_err err = policy_parse(&crypto_ops_real, &t->policy, t->text);
    if (err != REEVE_OK) {
        fprintf(stderr, "reeve-audit: %s:%u: this is no policy (%s)\n", path, t->policy.line, reeve_err_text(err));
        return false;
    }
    if (t->policy.n_logs != 1 || !history_origin_parse(&t->chain_id, t->policy.log[0].name))
        return refuse(path, "it must name one log, reeve/ and the chain's id");
    if (t->policy.quorum == POLICY_NONE)
        return refuse(path, "quorum none believes the log's own signature, which anybody with one server's key can make");
    t->origin = t->policy.log[0].name;
    return true;
}
