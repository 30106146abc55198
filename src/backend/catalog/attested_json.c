/* attested_json.c - attested documents as JSON, for before and after in sys.history: what people decide about, no keys. */
#include "cat_int.h"

static void put_str(struct wr *w, const char *field, struct slice s)
{
    wr_printf(w, "\"%s\":", field);
    json_quote(w, s);
}

static void put_region(struct wr *w, const struct region_doc *d)
{
    wr_printf(w, "{\"state\":\"%s\",\"members\":[", d->state == REGION_FROZEN ? "frozen" : "ok");
    for (unsigned i = 0; i < d->n_members; i++)
        wr_printf(w, "%s%u", i ? "," : "", (unsigned) d->member[i].id);
    wr_text(w, "]}");
}

static void put_authority(struct wr *w, const struct authority_doc *d)
{
    wr_u8(w, '{');
    put_str(w, "region", name_slice(&d->region));
    wr_u8(w, ',');
    put_str(w, "subject", slice_str(d->subject));
    wr_printf(w, ",\"external\":%s,\"ttl_s\":%u,\"generations\":[", d->external ? "true" : "false", (unsigned) d->ttl_s);
    for (unsigned i = 0; i < d->n; i++)
        wr_printf(w, "%s{\"generation\":%u,\"state\":\"%s\"}", i ? "," : "", (unsigned) d->g[i].gen, cat_auth_state(d->g[i].state));
    wr_text(w, "]}");
}

static void put_cert(struct wr *w, const struct cert_doc *d)
{
    static const char *const modes[] = { "?", "per_node", "shared_region", "shared_global" };
    wr_u8(w, '{');
    put_str(w, "authority", name_slice(&d->authority));
    wr_u8(w, ',');
    put_str(w, "subject", slice_str(d->subject));
    wr_text(w, ",\"sans\":[");
    for (unsigned i = 0; i < d->n_sans; i++) {
        wr_text(w, i ? "," : "");
        json_quote(w, name_slice(&d->san[i]));
    }
    wr_printf(w, "],\"mode\":\"%s\",\"validity_s\":%u,\"renew_before_s\":%u,\"overlap_s\":%u",
              modes[d->mode <= CERT_SHARED_GLOBAL ? d->mode : 0], (unsigned) d->validity_s, (unsigned) d->renew_before_s,
              (unsigned) d->overlap_s);
    wr_printf(w, ",\"active\":%u,\"rollout_id\":%llu,\"generations\":[", (unsigned) d->active_gen, (unsigned long long) d->rollout_id);
    for (unsigned i = 0; i < d->n; i++)
        wr_printf(w, "%s{\"generation\":%u,\"state\":\"%s\"}", i ? "," : "", (unsigned) d->g[i].gen, cat_gen_state(d->g[i].state));
    wr_text(w, "]}");
}

static void put_rollout(struct wr *w, const struct rollout_doc *d)
{
    wr_printf(w, "{\"kind\":\"%s\",\"state\":\"%s\",\"targets\":[", rollout_kind_name((enum rollout_kind) d->kind),
              rollout_state_name((enum rollout_state) d->state));
    for (unsigned i = 0; i < d->n_targets; i++) {
        wr_printf(w, "%s{\"kind\":\"%s\",", i ? "," : "", attest_type_name((enum attest_type) d->target[i].type));
        put_str(w, "object", name_slice(&d->target[i].name));
        wr_printf(w, ",\"from\":%u,\"to\":%u}", (unsigned) d->target[i].from_gen, (unsigned) d->target[i].to_gen);
    }
    wr_printf(w, "],\"waves\":%u,\"opened\":%u,\"promoted\":%s,", (unsigned) d->n_waves, (unsigned) d->opened,
              d->promoted ? "true" : "false");
    put_str(w, "why", slice_str(d->why));
    wr_u8(w, '}');
}

static void put_config(struct wr *w, const struct config_doc *d)
{
    char hex[65];
    wr_printf(w, "{\"active\":%u,\"rollout_id\":%llu,\"generations\":[", (unsigned) d->active_gen, (unsigned long long) d->rollout_id);
    for (unsigned i = 0; i < d->n; i++) {
        hex_encode(hex, d->g[i].digest.b, 32);
        wr_printf(w, "%s{\"generation\":%u,\"state\":\"%s\",", i ? "," : "", (unsigned) d->g[i].gen, cat_gen_state(d->g[i].state));
        if (d->g[i].absent)
            wr_text(w, "\"digest\":null}");
        else
            wr_printf(w, "\"digest\":\"%s\"}", hex);
    }
    wr_text(w, "]}");
}

static void put_checkpoint(struct wr *w, const struct checkpoint_doc *d)
{
    char hex[65];
    hex_encode(hex, d->root.b, 32);
    wr_printf(w, "{\"size\":%llu,\"root\":\"%s\",\"anew\":%s}", (unsigned long long) d->size, hex, d->anew ? "true" : "false");
}

/* One at a time; too large for a stack. */
struct attested_docs {
    union {
        struct region_doc region;
        struct authority_doc authority;
        struct cert_doc cert;
        struct rollout_doc rollout;
        struct config_doc config;
        struct class_doc class;
        struct checkpoint_doc checkpoint;
    };
};
size_t attested_docs_size(void) { return sizeof(struct attested_docs); }

static bool put_doc(struct wr *w, struct attested_docs *d, const struct update *u)
{
    switch (u->type) {
    case AT_REGION:
        return region_doc_decode(&d->region, u->payload) == REEVE_OK && (put_region(w, &d->region), true);
    case AT_AUTHORITY:
        return authority_doc_decode(&d->authority, u->payload) == REEVE_OK && (put_authority(w, &d->authority), true);
    case AT_CERT:
        return cert_doc_decode(&d->cert, u->payload) == REEVE_OK && (put_cert(w, &d->cert), true);
    case AT_ROLLOUT:
        return rollout_doc_decode(&d->rollout, u->payload) == REEVE_OK && (put_rollout(w, &d->rollout), true);
    case AT_CONFIG:
        return config_doc_decode(&d->config, u->payload) == REEVE_OK && (put_config(w, &d->config), true);
    case AT_CLASS:
        return class_doc_decode(&d->class, u->payload) == REEVE_OK &&
               (wr_printf(w, "{\"attested\":%s}", d->class.attested ? "true" : "false"), true);
    case AT_CHECKPOINT:
        return checkpoint_doc_decode(&d->checkpoint, u->payload) == REEVE_OK && (put_checkpoint(w, &d->checkpoint), true);
    case AT_NODE:
        wr_text(w, "{\"revoked\":true}");
        return true;
    default:
        return false;
    }
}

#define JSON_MAX 65536

struct datum attested_json(struct vscan *s, struct attested_docs *docs, const struct update *u)
{
    if (u == NULL || u->op != 1)
        return d_null();
    struct wr w = wr_heap(JSON_MAX);
    bool made = put_doc(&w, docs, u) && !w.bad;
    struct slice text = made ? arena_copy(s->row, wr_slice(&w)) : slice_of(NULL, 0);
    wr_free(&w);
    return made && text.p != NULL ? d_json(text) : d_null();
}
