/* card.c - a region shows its keys, and proves that it has them; cards become the beginning of a genesis document. */
#include "codec_int.h"
#include "common/text.h"

void card_encode(const struct region_card *k, bool with_sigs, struct wr *out)
{
    wr_u8(out, 1);
    wr_name(out, &k->region);
    wr_bytes(out, k->key.b, 32);
    wr_name(out, &k->address);
    wr_u8(out, k->validates);
    if (k->validates) {
        wr_bytes(out, k->validator_key.b, 32);
        wr_bytes(out, k->cosign_key.b, 32);
    }
    for (int i = 0; with_sigs && i < (k->validates ? 3 : 1); i++)
        wr_bytes(out, k->sig[i].b, 64);
}

void card_digest(const struct crypto_ops *c, struct hash32 *out, struct slice body)
{
    labelled_hash(c, out, "reeve-card-v1", body, slice_of(NULL, 0));
}

/* A key for two purposes would sign for the one what was meant for the other. */
static bool keys_differ(const struct region_card *k)
{
    return !k->validates || (memcmp(k->key.b, k->validator_key.b, 32) != 0 && memcmp(k->key.b, k->cosign_key.b, 32) != 0 &&
                             memcmp(k->validator_key.b, k->cosign_key.b, 32) != 0);
}

enum reeve_err card_decode(const struct crypto_ops *c, struct region_card *k, struct slice in)
{
    struct rd r = rd_of(in);
    struct hash32 digest;
    const struct pubkey *key[3] = { &k->key, &k->validator_key, &k->cosign_key };
    memset(k, 0, sizeof *k);
    at_version(&r);
    rd_name(&r, &k->region);
    rd_copy(&r, k->key.b, 32);
    at_optname(&r, &k->address);
    k->validates = at_flag(&r);
    if (!r.bad && k->validates) {
        rd_copy(&r, k->validator_key.b, 32);
        rd_copy(&r, k->cosign_key.b, 32);
    }
    struct slice body = slice_of(in.p, in.len - rd_left(&r));
    int n = k->validates ? 3 : 1;
    for (int i = 0; i < n; i++)
        rd_copy(&r, k->sig[i].b, 64);
    if (!rd_done(&r) || !keys_differ(k))
        return REEVE_E_MALFORMED;
    card_digest(c, &digest, body);
    for (int i = 0; i < n; i++)
        if (!c->verify(&k->sig[i], slice_of(digest.b, 32), key[i]))
            return REEVE_E_V_SIGNATURE;
    return REEVE_OK;
}

static int name_order(const struct name *a, const struct name *b)
{
    size_t n = a->len < b->len ? a->len : b->len;
    int d = memcmp(a->s, b->s, n);
    return d != 0 ? d : (int) a->len - (int) b->len;
}

/* Regions in order of their names. */
static enum reeve_err region_insert(struct genesis *g, const struct region_card *k)
{
    if (g->n_regions == ROLLOUT_REGIONS_MAX)
        return REEVE_E_TOO_COMPLEX;
    for (uint16_t i = 0; i < g->n_regions; i++)
        if (name_eq(&g->region[i].name, &k->region) || memcmp(g->region[i].key.b, k->key.b, 32) == 0)
            return REEVE_E_DUPLICATE_OBJECT;
    uint16_t at = g->n_regions++;
    for (; at > 0 && name_order(&g->region[at - 1].name, &k->region) > 0; at--)
        g->region[at] = g->region[at - 1];
    g->region[at].name = k->region;
    g->region[at].key = k->key;
    g->region[at].address = k->address;
    return REEVE_OK;
}

/* Validators in order of their keys, each named as its region. */
static enum reeve_err validator_insert(struct valset *s, const struct region_card *k)
{
    if (s->n == ATTEST_VALIDATORS_MAX)
        return REEVE_E_TOO_COMPLEX;
    for (uint16_t i = 0; i < s->n; i++)
        if (memcmp(s->v[i].key.b, k->validator_key.b, 32) == 0)
            return REEVE_E_DUPLICATE_OBJECT;
    uint16_t at = s->n++;
    for (; at > 0 && memcmp(s->v[at - 1].key.b, k->validator_key.b, 32) > 0; at--)
        s->v[at] = s->v[at - 1];
    s->v[at] = (struct validator){ .name = k->region, .key = k->validator_key, .cosign_key = k->cosign_key, .weight = 1 };
    return REEVE_OK;
}

enum reeve_err genesis_of_cards(struct genesis *g, const struct region_card *card, size_t n)
{
    enum reeve_err err = REEVE_OK;
    g->n_regions = 0;
    memset(&g->set, 0, sizeof g->set);
    g->set.epoch = 1;
    for (size_t i = 0; i < n; i++) {
        TRY(region_insert(g, &card[i]));
        if (card[i].validates)
            TRY(validator_insert(&g->set, &card[i]));
    }
    err = g->set.n > 0 ? REEVE_OK : REEVE_E_INVALID_VALUE;
out:
    return err;
}
