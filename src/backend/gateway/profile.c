/*
 * profile.c - connections with the same region and labels share one profile
 *
 * Which objects a node follows depends on its region and labels alone, so the
 * sets are computed and encoded per profile, and a connection costs a pointer.
 */
#include "backend/gateway/gateway_int.h"

#include <stdlib.h>

static void encode_labels(const struct labels *l, struct wr *w)
{
    wr_u8(w, l->n);
    for (size_t i = 0; i < l->n; i++) {
        wr_name(w, &l->l[i].key);
        wr_u8(w, l->l[i].value.len);
        wr_bytes(w, l->l[i].value.s, l->l[i].value.len);
    }
}

bool profile_labels(const struct profile *p, struct labels *out)
{
    struct rd r = rd_of(p->labels);
    memset(out, 0, sizeof *out);
    out->n = rd_u8(&r);
    for (size_t i = 0; i < out->n && i < ROLLOUT_LABELS_MAX; i++) {
        rd_name(&r, &out->l[i].key);
        out->l[i].value.len = rd_u8(&r);
        rd_copy(&r, out->l[i].value.s, out->l[i].value.len);
    }
    return rd_done(&r);
}

static struct profile *profile_new(const struct name *region, const struct hash32 *id, struct slice labels)
{
    struct profile *p = calloc(1, sizeof *p + labels.len);
    if (p == NULL)
        return NULL;
    memcpy(p + 1, labels.p, labels.len);
    p->labels = slice_of(p + 1, labels.len);
    p->region = *region;
    p->id = *id;
    return p;
}

struct profile *profile_get(struct gateway *g, const struct name *region, const struct labels *labels)
{
    uint8_t mem[1 + ROLLOUT_LABELS_MAX * 2 * (NAME_MAX_LEN + 1)];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct hash32 id;
    encode_labels(labels, &w);
    reeve_assert(!w.bad);
    const struct slice parts[2] = { slice_of(region->s, region->len + 1u), wr_slice(&w) };
    sha256_parts(&id, parts, 2);
    for (struct profile *p = g->profiles; p != NULL; p = p->next)
        if (hash32_eq(&p->id, &id)) {
            p->refs++;
            return p;
        }
    struct profile *p = profile_new(region, &id, wr_slice(&w));
    if (p == NULL)
        return NULL;
    p->refs = 1;
    p->next = g->profiles;
    g->profiles = p;
    return p;
}

void profile_unref(struct gateway *g, struct profile *p)
{
    if (--p->refs > 0)
        return;
    struct profile **at = &g->profiles;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    free(p);
}
