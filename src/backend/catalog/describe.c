/* describe.c - attested documents in lines: what an approver reads, and what a diff compares. */
#include "cat_int.h"

#include "backend/catalog/proposals.h"
#include "backend/executor/datum.h"
#include "crypto/ops.h"

/* ---- subjects and terms ---- */

/* The first word of a bit is the one that is shown. */
static const struct { const char *word; uint32_t bit; } subjects[] = {
    { "authority", SUBJECT_BIT(AT_AUTHORITY) }, { "authorities", SUBJECT_BIT(AT_AUTHORITY) },
    { "trust root", SUBJECT_BIT(AT_AUTHORITY) }, { "trust roots", SUBJECT_BIT(AT_AUTHORITY) },
    { "validator set", SUBJECT_BIT(AT_VALSET) }, { "validator", SUBJECT_BIT(AT_VALSET) }, { "validators", SUBJECT_BIT(AT_VALSET) },
    { "region", SUBJECT_BIT(AT_REGION) }, { "regions", SUBJECT_BIT(AT_REGION) },
    { "approver", SUBJECT_BIT(AT_APPROVER) }, { "approvers", SUBJECT_BIT(AT_APPROVER) },
    { "approval policy", SUBJECT_BIT(AT_POLICY) }, { "approval policies", SUBJECT_BIT(AT_POLICY) },
    { "cert", SUBJECT_BIT(AT_CERT) }, { "certs", SUBJECT_BIT(AT_CERT) }, { "certificate", SUBJECT_BIT(AT_CERT) },
    { "certificates", SUBJECT_BIT(AT_CERT) }, { "rollout", SUBJECT_BIT(AT_ROLLOUT) }, { "rollouts", SUBJECT_BIT(AT_ROLLOUT) },
    { "config", SUBJECT_BIT(AT_CONFIG) }, { "class", SUBJECT_BIT(AT_CLASS) }, { "classes", SUBJECT_BIT(AT_CLASS) },
    { "revocation", SUBJECT_REVOCATION }, { "revocations", SUBJECT_REVOCATION },
};
#define N_SUBJECTS (sizeof subjects / sizeof subjects[0])

uint32_t policy_subject(struct slice word)
{
    for (size_t i = 0; i < N_SUBJECTS; i++)
        if (slice_eq(word, slice_str(subjects[i].word)))
            return subjects[i].bit;
    return 0;
}

void policy_subjects_describe(struct wr *out, uint32_t bits)
{
    bool any = false;
    for (size_t i = 0; i < N_SUBJECTS; i++) {
        if (!(bits & subjects[i].bit))
            continue;
        wr_text(out, any ? ", " : "");
        wr_text(out, subjects[i].word);
        bits &= ~subjects[i].bit;
        any = true;
    }
}

void policy_terms_describe(struct wr *out, const struct policy_doc *p)
{
    for (uint8_t i = 0; i < p->n_terms; i++)
        wr_printf(out, "%s%u of %s", i > 0 ? " and " : "", p->term[i].count, p->term[i].group.s);
}

/* ---- lines ---- */

static void line_hex(struct wr *out, const char *what, const void *p, size_t len)
{
    char hex[2 * 32 + 1];
    hex_encode(hex, p, len < 32 ? len : 32);
    wr_printf(out, "%s: %s\n", what, hex);
}

static void put_time(struct wr *out, struct wall_ms t)
{
    struct datum d = d_wall(t);
    if (d.kind == D_NULL || !datum_out_text(out, T_TIMESTAMPTZ, &d))
        wr_text(out, "never");
}

static void line_where(struct wr *out, const char *what, const struct predicate *p)
{
    if (p->len == 0)
        return;
    wr_printf(out, "%s: ", what);
    predicate_describe(p, out);
    wr_text(out, "\n");
}

static void rules(struct wr *out, const struct gen_rule *rule, uint8_t n)
{
    char what[40];
    for (uint8_t i = 0; i < n; i++) {
        snprintf(what, sizeof what, "generation %u where", rule[i].gen);
        line_where(out, what, &rule[i].where);
    }
}

static const char *gen_state(uint8_t s)
{
    static const char *const names[] = { "?", "prepared", "active", "retired", "withdrawn", "revoked" };
    return s < sizeof names / sizeof *names ? names[s] : names[0];
}

static const char *authority_state(uint8_t s)
{
    static const char *const names[] = { "?", "pending", "prepared", "active", "tainted", "revoked" };
    return s < sizeof names / sizeof *names ? names[s] : names[0];
}

/* ---- documents ---- */

static void region(struct wr *out, const struct region_doc *d)
{
    line_hex(out, "key", d->key.b, 32);
    wr_printf(out, "state: %s\n", d->state == REGION_FROZEN ? "frozen" : "ok");
    for (uint8_t i = 0; i < d->n_members; i++) {
        char what[32];
        snprintf(what, sizeof what, "member %u", d->member[i].id);
        line_hex(out, what, d->member[i].key.b, 32);
    }
}

static void authority(struct wr *out, const struct authority_doc *d)
{
    wr_printf(out, "region: %s\nsubject: %s\nlives: %u s\nexternal: %s\n", d->region.s, d->subject, d->ttl_s, d->external ? "yes" : "no");
    for (uint8_t i = 0; i < d->n; i++) {
        const struct authority_gen *g = &d->g[i];
        char what[48];
        wr_printf(out, "generation %u: %s, until ", g->gen, authority_state(g->state));
        put_time(out, g->not_after);
        wr_text(out, "\n");
        snprintf(what, sizeof what, "generation %u key (SHA-256 of SPKI)", g->gen);
        line_hex(out, what, g->spki_hash.b, 32);
    }
    if (d->n_inter > 0)
        wr_printf(out, "intermediates: %u\n", d->n_inter);
}

static void cert(struct wr *out, const struct cert_doc *d)
{
    static const char *const modes[] = { "?", "per node", "shared in a region", "shared by all" };
    wr_printf(out, "mode: %s\nauthority: %s\nsubject: %s\n", modes[d->mode & 3], d->authority.s, d->subject);
    for (uint8_t i = 0; i < d->n_sans; i++)
        wr_printf(out, "name: %s\n", d->san[i].s);
    wr_printf(out, "valid for: %u s\nrenewed before: %u s\noverlap: %u s\nstrategy: %s\n", d->validity_s, d->renew_before_s, d->overlap_s,
              d->strategy.s);
    line_where(out, "where", &d->where);
    wr_printf(out, "serves: generation %u\nrollout: %llu\n", d->active_gen, (unsigned long long) d->rollout_id);
    rules(out, d->rule, d->n_rules);
    for (uint8_t i = 0; i < d->n; i++) {
        wr_printf(out, "generation %u: %s, by generation %u of the authority, until ", d->g[i].gen, gen_state(d->g[i].state), d->g[i].authority_gen);
        put_time(out, d->g[i].not_after);
        wr_text(out, "\n");
        if (!hash32_is_zero(&d->g[i].spki_hash))
            line_hex(out, "key (SHA-256 of SPKI)", d->g[i].spki_hash.b, 32);
    }
}

static void config(struct wr *out, const struct config_doc *d)
{
    wr_printf(out, "serves: version %u\nrollout: %llu\n", d->active_gen, (unsigned long long) d->rollout_id);
    rules(out, d->rule, d->n_rules);
    for (uint8_t i = 0; i < d->n; i++) {
        char what[64];
        snprintf(what, sizeof what, "version %u: %s, %s", d->g[i].gen, gen_state(d->g[i].state), d->g[i].absent ? "absent" : "SHA-256");
        line_hex(out, what, d->g[i].digest.b, d->g[i].absent ? 0 : 32);
    }
}

static void rollout(struct wr *out, const struct rollout_doc *d)
{
    wr_printf(out, "state: %s\nwaves open: %u of %u\n", rollout_state_name((enum rollout_state) d->state), d->opened, d->n_waves);
    for (uint8_t i = 0; i < d->n_targets; i++)
        wr_printf(out, "target: %s '%s' from generation %u to %u\n", attest_type_name((enum attest_type) d->target[i].type),
                  d->target[i].name.s, d->target[i].from_gen, d->target[i].to_gen);
    for (uint8_t w = 0; w < d->n_waves; w++)
        wr_printf(out, "wave %u: %.4f%%, bakes %u ms\n", w + 1, d->wave[w].share_ppm / 10000.0, d->wave[w].bake_ms);
    for (uint8_t r = 0; r < d->n_regions; r++)
        wr_printf(out, "region: %s\n", d->region[r].name.s);
}

static void approver(struct wr *out, const struct approver_doc *d)
{
    line_hex(out, "key", d->key.b, 32);
    wr_printf(out, "jurisdiction: %s\nrole: %s\n", d->jurisdiction.s, d->role.s);
    for (uint8_t i = 0; i < d->n_groups; i++)
        wr_printf(out, "group: %s\n", d->group[i].s);
}

static void policy(struct wr *out, const struct policy_doc *d)
{
    wr_text(out, "for: ");
    policy_subjects_describe(out, d->subjects);
    wr_text(out, "\nrequires: ");
    policy_terms_describe(out, d);
    wr_printf(out, "\ndistinct jurisdictions: %u\nexcludes proposer: %s\nexpires: %u s\n", d->distinct, d->exclude_proposer ? "yes" : "no",
              d->expires_s);
    if (d->veto_count > 0)
        wr_printf(out, "veto: %u of %s\n", d->veto_count, d->veto_group.s);
}

#define ARM(TYPE, kind) \
    case TYPE: { \
        struct kind##_doc *d = malloc(sizeof *d); \
        bool ok = d != NULL && kind##_doc_decode(d, payload) == REEVE_OK; \
        if (ok) \
            kind(out, d); \
        free(d); \
        if (ok) \
            return; \
        break; \
    }

void attest_describe(struct wr *out, uint8_t type, struct slice payload)
{
    switch (type) {
    ARM(AT_REGION, region)
    ARM(AT_AUTHORITY, authority)
    ARM(AT_CERT, cert)
    ARM(AT_CONFIG, config)
    ARM(AT_ROLLOUT, rollout)
    ARM(AT_APPROVER, approver)
    ARM(AT_POLICY, policy)
    case AT_NODE:
        wr_text(out, "revoked: for good\n");
        return;
    case AT_CLASS:
        wr_printf(out, "attested: %s\n", payload.len == 2 && payload.p[1] ? "yes" : "no");
        return;
    default:
        break;
    }
    wr_printf(out, "%zu bytes that cannot be described\n", payload.len);
}
