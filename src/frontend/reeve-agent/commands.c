/* commands.c - get, key, cohort: answered from the state directory, with or without a running agent. */
#include "daemon.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "crypto/ops.h"

bool name_of_argument(struct name *out, const char *text)
{
    return text != NULL && name_set_str(out, text);
}

static int complain(const struct report *rep)
{
    fprintf(stderr, "reeve-agent: %s\n", rep->message[0] ? rep->message : reeve_err_text(rep->code));
    return 2;
}

static void quiet(void *arg, struct agent *a, enum agent_level level, const char *text)
{
}

static bool never(void *arg, struct agent *a, const struct agent_cert *c, struct agent_install_result *res)
{
    res->code = WE_LOCAL;
    return true;
}

/* The cache as it stands on disk, through the same decisions the daemon makes. */
int get_command(const struct options *o)
{
    const struct agent_host host = { .log = quiet, .install = never };
    struct agent_identity id;
    struct agent_store *store;
    struct agent *a;
    struct agent_value v;
    struct name key;
    struct report rep;
    report_clear(&rep);
    if (!name_of_argument(&key, o->argument)) {
        fputs("reeve-agent: get needs a key\n", stderr);
        return 2;
    }
    if (identity_open(&id, o->state, false, &rep) != REEVE_OK || store_lmdb_open(&store, o->state, true, &rep) != REEVE_OK)
        return complain(&rep);
    struct agent_options ao = { .endpoints = "localhost:1", .identity = &id, .store = store, .observe = true, .config_ttl_ms = o->config_ttl_ms };
    if (agent_new(&a, &ao, &host, now_read(), &rep) != REEVE_OK)
        return complain(&rep);
    enum reeve_err err = agent_config_get(a, &key, &v);
    if (err == REEVE_OK && v.freshness == AGENT_EXPIRED)
        fprintf(stderr, "reeve-agent: \"%s\" is EXPIRED: not confirmed within config_ttl\n", key.s);
    if (err == REEVE_OK)
        printf("%.*s\n", (int) v.value.len, (const char *) v.value.p);
    else
        fprintf(stderr, "reeve-agent: \"%s\": %s\n", key.s,
                err == REEVE_E_NOT_FOUND ? "no such key" : "the value is not the attested one");
    agent_free(a);
    identity_wipe(&id);
    return err == REEVE_OK ? 0 : 1;
}

int key_command(const struct options *o)
{
    struct agent_identity id;
    struct report rep;
    report_clear(&rep);
    if (identity_open(&id, o->state, true, &rep) != REEVE_OK)
        return complain(&rep);
    printf("%s\n", id.id_text);
    identity_wipe(&id);
    return 0;
}

int cohort_command(const struct options *o)
{
    struct agent_identity id;
    struct name object;
    struct report rep;
    report_clear(&rep);
    if (!name_of_argument(&object, o->argument)) {
        fputs("reeve-agent: cohort needs the name of a certificate or key\n", stderr);
        return 2;
    }
    if (identity_open(&id, o->state, false, &rep) != REEVE_OK)
        return complain(&rep);
    uint64_t c = rollout_cohort(&crypto_ops_real, slice_of(object.s, object.len), slice_str(id.id_text));
    printf("%llu %.6f%%\n", (unsigned long long) c, 100.0 * (double) c / (double) COHORT_END);
    identity_wipe(&id);
    return 0;
}
