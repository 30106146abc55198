/* payload_approve.c - approvers, approval policies, vetoes. */
#include "codec_int.h"
#include "approve_int.h"
#include "common/text.h"

int at_name_order(const struct name *a, const struct name *b)
{
    size_t n = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->s, b->s, n);
    return c != 0 ? c : (int) a->len - (int) b->len;
}

/* ---- approvers ---- */

bool approver_name_ok(const struct name *n)
{
    for (uint8_t i = 0; i < n->len; i++)
        if (n->s[i] <= ' ' || n->s[i] > '~' || n->s[i] == '+')
            return false;
    return n->len > 0;
}

bool approver_in_group(const struct approver_doc *d, const struct name *group)
{
    for (uint8_t i = 0; i < d->n_groups; i++)
        if (name_eq(&d->group[i], group))
            return true;
    return false;
}

static void put_optname(struct wr *out, const struct name *n)
{
    wr_u8(out, n->len);
    wr_bytes(out, n->s, n->len);
}

void approver_doc_encode(const struct approver_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    wr_bytes(out, d->key.b, 32);
    put_optname(out, &d->jurisdiction);
    put_optname(out, &d->role);
    wr_u8(out, d->n_groups);
    for (uint8_t i = 0; i < d->n_groups; i++)
        wr_name(out, &d->group[i]);
}

enum reeve_err approver_doc_decode(struct approver_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    at_version(&r);
    rd_copy(&r, d->key.b, 32);
    at_optname(&r, &d->jurisdiction);
    at_optname(&r, &d->role);
    d->n_groups = at_kind(&r, APPROVER_GROUPS_MAX);
    for (uint8_t i = 0; i < d->n_groups && !r.bad; i++) {
        rd_name(&r, &d->group[i]);
        if (i > 0 && at_name_order(&d->group[i - 1], &d->group[i]) >= 0)
            r.bad = true;
    }
    return at_finish(&r);
}

/* ---- policies ---- */

unsigned policy_places(const struct policy_doc *p)
{
    unsigned n = 0;
    for (uint8_t i = 0; i < p->n_terms; i++)
        n += p->term[i].count;
    return n;
}

void policy_doc_encode(const struct policy_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    wr_u32(out, d->subjects);
    wr_u8(out, d->n_terms);
    for (uint8_t i = 0; i < d->n_terms; i++) {
        wr_u8(out, d->term[i].count);
        wr_name(out, &d->term[i].group);
    }
    wr_u8(out, d->distinct);
    wr_u8(out, d->exclude_proposer);
    wr_u32(out, d->expires_s);
    wr_u8(out, d->veto_count);
    if (d->veto_count > 0)
        wr_name(out, &d->veto_group);
}

static void terms_read(struct policy_doc *d, struct rd *r)
{
    d->n_terms = at_kind(r, POLICY_TERMS_MAX);
    for (uint8_t i = 0; i < d->n_terms && !r->bad; i++) {
        d->term[i].count = at_kind(r, APPROVALS_MAX);
        rd_name(r, &d->term[i].group);
        if (i > 0 && at_name_order(&d->term[i - 1].group, &d->term[i].group) >= 0)
            r->bad = true;
    }
}

/* A threshold of nothing and one that nobody can reach are no thresholds. */
static bool policy_ok(const struct policy_doc *d)
{
    unsigned places = policy_places(d);
    return d->subjects != 0 && (d->subjects & ~SUBJECTS_ALL) == 0 && places <= APPROVALS_MAX && d->distinct <= places &&
           d->expires_s > 0;
}

enum reeve_err policy_doc_decode(struct policy_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    at_version(&r);
    d->subjects = rd_u32(&r);
    terms_read(d, &r);
    d->distinct = rd_u8(&r);
    d->exclude_proposer = at_flag(&r);
    d->expires_s = rd_u32(&r);
    d->veto_count = at_count(&r, APPROVALS_MAX);
    if (d->veto_count > 0)
        rd_name(&r, &d->veto_group);
    return rd_done(&r) && policy_ok(d) ? REEVE_OK : REEVE_E_MALFORMED;
}

/* ---- lists of signatures, vetoes ---- */

void at_put_ref(struct wr *out, const struct approval_ref *ref)
{
    wr_name(out, &ref->proposal);
    wr_u64(out, ref->not_after_s);
    wr_name(out, &ref->policy);
    wr_u64(out, ref->policy_version);
}

void at_ref(struct rd *r, struct approval_ref *ref)
{
    rd_name(r, &ref->proposal);
    ref->not_after_s = rd_u64(r);
    rd_name(r, &ref->policy);
    ref->policy_version = rd_u64(r);
    if (ref->not_after_s == 0 || ref->not_after_s > INT64_MAX / 1000 || ref->policy_version == 0)
        r->bad = true;
}

void at_put_approvals(struct wr *out, const struct approval *a, uint8_t n)
{
    for (uint8_t i = 0; i < n; i++) {
        wr_name(out, &a[i].approver);
        wr_bytes(out, a[i].sig.b, 64);
    }
}

void at_approvals(struct rd *r, struct approval *a, uint8_t n)
{
    for (uint8_t i = 0; i < n && !r->bad; i++) {
        rd_name(r, &a[i].approver);
        rd_copy(r, a[i].sig.b, 64);
        if (!approver_name_ok(&a[i].approver) || (i > 0 && at_name_order(&a[i - 1].approver, &a[i].approver) >= 0))
            r->bad = true;
    }
}

void veto_doc_encode(const struct veto_doc *d, struct wr *out)
{
    wr_u8(out, 1);
    at_put_ref(out, &d->ref);
    wr_u8(out, d->n);
    at_put_approvals(out, d->a, d->n);
}

enum reeve_err veto_doc_decode(struct veto_doc *d, struct slice in)
{
    struct rd r = rd_of(in);
    memset(d, 0, sizeof *d);
    at_version(&r);
    at_ref(&r, &d->ref);
    d->n = at_kind(&r, APPROVALS_MAX);
    at_approvals(&r, d->a, d->n);
    return at_finish(&r);
}

void veto_object_name(struct name *out, const struct hash32 *digest)
{
    memset(out, 0, sizeof *out);
    hex_encode(out->s, digest->b, 32);
    out->len = 64;
}

/* One way to write it: what decodes encodes to the same digits. */
bool veto_object_digest(struct hash32 *out, const struct name *object)
{
    struct name again;
    if (object->len != 64 || !hex_decode(out->b, 32, name_slice(object)))
        return false;
    veto_object_name(&again, out);
    return name_eq(&again, object);
}
