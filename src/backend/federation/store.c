/* store.c - what the region's store says of the federation. */
#include "backend/federation/fed_int.h"

#include "backend/utils/log.h"
#include "crypto/ops.h"

enum reeve_err fed_view_open(struct fed *f, struct fed_view *v)
{
    enum reeve_err err = storage_begin(f->storage, STORAGE_READ, &v->txn);
    if (err == REEVE_OK)
        v->attest = (struct attest){ storage_kv(v->txn), &crypto_ops_real, NULL, 0 };
    return err;
}

void fed_view_close(struct fed_view *v)
{
    storage_abort(v->txn);
}

static bool has_validator(const struct valset *s, const struct name *region)
{
    for (uint16_t i = 0; i < s->n; i++)
        if (s->v[i].name.len == region->len && memcmp(s->v[i].name.s, region->s, region->len) == 0)
            return true;
    return false;
}

/* Regions get validators and lose them. */
static enum reeve_err next_set(struct fed *f, struct fed_view *v, const struct attest_head *head)
{
    struct slice doc;
    enum reeve_err err = attest_valset(&v->attest, &f->set, &doc);
    if (err != REEVE_OK)
        return err;
    f->set_hash = head->set_hash;
    for (unsigned i = 0; i < f->n_links; i++)
        f->link[i].validates = has_validator(&f->set, &f->link[i].region);
    fed_links_tell(f);
    log_info("epoch %llu: %u validators", (unsigned long long) f->set.epoch, f->set.n);
    return REEVE_OK;
}

static enum reeve_err read_set_of(struct fed_view *v, uint64_t epoch, struct valset *set, struct hash32 *hash)
{
    static struct genesis g;
    static struct finalization fin;
    static struct valset_doc d;
    struct slice doc, leaves[ATTEST_BLOCK_LEAVES_MAX];
    uint64_t height;
    size_t n;
    enum reeve_err err;
    TRY(attest_genesis(&v->attest, &doc));
    TRY(genesis_decode(&g, doc));
    memset(&d, 0, sizeof d);
    d.set = g.set;
    if (epoch != g.set.epoch) {
        TRY(attest_epoch_height(&v->attest, epoch, &height));
        TRY(attest_block(&v->attest, height, &doc));
        TRY(block_decode(&fin, leaves, ATTEST_BLOCK_LEAVES_MAX, &n, doc));
        TRY(valset_doc_decode(&d, valset_payload_find(leaves, n)));
    }
    *set = d.set;
    err = valset_doc_hash(&crypto_ops_real, hash, &d);
out:
    return err;
}

enum reeve_err fed_set_of(struct fed *f, uint64_t epoch, struct valset *set, struct hash32 *hash)
{
    struct fed_view v;
    if (epoch == f->set.epoch) {
        *set = f->set;
        *hash = f->set_hash;
        return REEVE_OK;
    }
    enum reeve_err err = fed_view_open(f, &v);
    if (err != REEVE_OK)
        return err;
    err = read_set_of(&v, epoch, set, hash);
    fed_view_close(&v);
    return err;
}

void fed_read_height(struct fed *f)
{
    struct fed_view v;
    struct attest_head head;
    if (fed_view_open(f, &v) != REEVE_OK)
        return;
    enum reeve_err err = attest_head(&v.attest, &head);
    if (err == REEVE_OK)
        f->height = head.height;
    if (err == REEVE_OK && head.epoch > f->set.epoch)
        err = next_set(f, &v, &head);
    if (err != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "the store does not say who decides (%s)", reeve_err_text(err));
    fed_view_close(&v);
}

static uint64_t number(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* Both ends make these of the key alone, so nobody has to give numbers. */
static void link_numbers(const struct hash32 *key, uint32_t *id, uint64_t *incarnation)
{
    *id = (uint32_t) number(key->b, 4) | 1;
    *incarnation = number(key->b + 4, 8) | 1;
}

void fed_own_numbers(const struct fed *f, uint32_t *id, uint64_t *incarnation)
{
    link_numbers(&f->identity.key, id, incarnation);
}

static void add_region(struct fed *f, const struct genesis *g, uint16_t i)
{
    struct fed_link *k = &f->link[f->n_links];
    struct peer_addr a;
    const struct name *address = &g->region[i].address;
    if (f->n_links == FED_LINKS_MAX || peer_addr_parse(&a, slice_of(address->s, address->len)) != REEVE_OK)
        return;
    if (hash32_eq(&a.key, &f->identity.key)) {
        f->region = g->region[i].name;
        return;
    }
    *k = (struct fed_link){ .region = g->region[i].name, .address = *address, .validates = has_validator(&f->set, &g->region[i].name) };
    link_numbers(&a.key, &k->id, &k->incarnation);
    if (fed_link_find(f, k->id) == NULL)    /* two keys that begin alike: the first in the document counts */
        f->n_links++;
}

static enum reeve_err read_documents(struct fed *f, struct fed_view *v)
{
    static struct genesis g;
    struct attest_head head;
    struct slice doc;
    enum reeve_err err;
    TRY(attest_head(&v->attest, &head));
    TRY(attest_valset(&v->attest, &f->set, &doc));
    TRY(attest_genesis(&v->attest, &doc));
    TRY(genesis_decode(&g, doc));
    f->chain_id = head.chain_id;
    f->set_hash = head.set_hash;
    f->height = head.height;
    f->n_links = 0;
    for (uint16_t i = 0; i < g.n_regions; i++)
        add_region(f, &g, i);
out:
    return err;
}

enum reeve_err fed_read_chain(struct fed *f, struct report *rep)
{
    struct fed_view v;
    enum reeve_err err = fed_view_open(f, &v);
    if (err == REEVE_OK) {
        err = read_documents(f, &v);
        fed_view_close(&v);
    }
    return err == REEVE_OK ? err : report_set(rep, err, "the store does not say who is in the federation (%s)", reeve_err_text(err));
}
