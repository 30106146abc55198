/*
 * facts.c - what the store says that every connection needs, and what to do
 * when it moves
 */
#include "backend/gateway/gateway_int.h"

#include <stdlib.h>

#define STORE_RETRY_MS 100
#define FEED_ROWS_MAX  100000           /* looked at in one refresh */

enum reeve_err view_open(struct gateway *g, struct view *v)
{
    if (g->storage == NULL || storage_begin(g->storage, STORAGE_READ, &v->txn) != REEVE_OK)
        return REEVE_E_UNAVAILABLE;
    struct kv *kv = storage_kv(v->txn);
    v->attest = (struct attest){ kv, &crypto_ops_real, NULL, 0 };
    v->region = (struct region){ kv, &crypto_ops_real, g->region_scratch, region_scratch_size() };
    return REEVE_OK;
}

void view_close(struct view *v)
{
    storage_abort(v->txn);
}

static bool copy_doc(struct slice *to, struct slice from)
{
    uint8_t *p = malloc(from.len ? from.len : 1);
    if (p == NULL)
        return false;
    memcpy(p, from.p, from.len);
    free((void *) to->p);
    *to = slice_of(p, from.len);
    return true;
}

static enum reeve_err read_documents(struct gateway *g, struct view *v)
{
    struct facts *f = &g->facts;
    struct slice doc;
    static struct valset set;
    enum reeve_err err;
    TRY(attest_genesis(&v->attest, &doc));
    if (!copy_doc(&f->genesis, doc))
        return REEVE_E_NOMEM;
    TRY(attest_valset(&v->attest, &set, &doc));
    if (!copy_doc(&f->valset, doc))
        return REEVE_E_NOMEM;
    f->set_epoch = set.epoch;
    TRY(region_name(&v->region, &f->region));
out:
    return err;
}

static enum reeve_err read_facts(struct gateway *g, struct view *v, struct facts *was)
{
    struct facts *f = &g->facts;
    struct attest_head head;
    struct attest_object o;
    enum reeve_err err;
    *was = *f;
    TRY(attest_head(&v->attest, &head));
    TRY(region_applied_index(&v->region, &f->revision));
    if (!f->known || head.height != f->height) {
        TRY(read_documents(g, v));
        err = attest_get(&v->attest, AT_REGION, &f->region, &o);
        f->region_version = err == REEVE_OK && region_doc_decode(&f->region_doc, o.update.payload) == REEVE_OK ? o.version : 0;
        f->chain_id = head.chain_id;
        f->height = head.height;
        f->log_size = head.log_size;
    }
    err = REEVE_OK;
    f->known = true;
out:
    return err;
}

/* ---- nodes: a changed row, a revoked id ---- */

/* True when a connection follows another set from now on. */
static bool node_changed(struct gateway *g, struct view *v, const struct name *id_text)
{
    struct node_id id;
    if (!node_id_parse(&id, name_slice(id_text)))
        return false;
    struct conn *c = conn_of_node(g, &id);
    if (c == NULL || !c->enrolled || node_admit(c, v) != NODE_CHANGED)
        return false;
    send_auth_ok(c);
    return true;
}

static void check_revocations(struct gateway *g, struct view *v, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        struct slice leaf;
        struct update u;
        uint64_t height;
        if (attest_leaf(&v->attest, i, &leaf, &height) == REEVE_OK && update_decode(&u, leaf) == REEVE_OK &&
            u.type == AT_NODE)
            (void) node_changed(g, v, &u.object);
    }
}

/* True when there is something in it that a connection may lack now. */
static bool read_feed(struct gateway *g, struct view *v, uint64_t after)
{
    struct feed_entry e;
    struct feed_iter it;
    bool config = false, nodes = false;
    feed_iter_init(&it, v, after);
    for (int i = 0; i < FEED_ROWS_MAX && feed_iter_next(&it, &e); i++) {
        config |= e.kind == FEED_CONFIG;
        if (e.kind == FEED_NODE)
            nodes |= node_changed(g, v, &e.name);
    }
    if (config) {
        g->facts.config_before = g->facts.config_revision;
        g->facts.config_revision = g->facts.revision;
        cache_drop(&g->cache, CACHE_DELTA);
        cache_drop(&g->cache, CACHE_SNAPSHOT);
    }
    return config || nodes;
}

/* ---- moving on ---- */

/*
 * True when connections may lack something now: most revisions (enrolments,
 * reports, registrations of others) are none of an agent's business, and a
 * walk over all connections for each of them would be.
 */
static bool moved(struct gateway *g, struct view *v, const struct facts *was)
{
    bool lacking = !was->known || g->facts.height != was->height;
    if (g->facts.height != was->height) {
        identity_judge(g);
        cache_drop_all(&g->cache);
        if (objects_refresh(g, v) != REEVE_OK)
            log_limited(LOG_SEV_WARNING, "the attested objects could not be read");
        if (was->known)
            check_revocations(g, v, was->log_size, g->facts.log_size);
    }
    if (!was->known)
        g->facts.config_revision = g->facts.config_before = g->facts.revision;
    else if (g->facts.revision != was->revision)
        lacking |= read_feed(g, v, was->revision);
    return lacking;
}

void facts_refresh(void *arg)
{
    struct gateway *g = arg;
    struct view v;
    struct facts was;
    if (view_open(g, &v) != REEVE_OK)
        return;
    bool lacking = false;
    enum reeve_err err = read_facts(g, &v, &was);
    if (err == REEVE_OK)
        lacking = moved(g, &v, &was);
    else
        log_limited(LOG_SEV_WARNING, "the region's store could not be read: %s", reeve_err_text(err));
    view_close(&v);
    if (lacking)
        follow_push_start(g);
}

void facts_wake(struct gateway *g)
{
    loop_post(g->loop, &g->refresh_task);
}

/* The ring makes the store; until it has, agents are told to come back. */
void facts_store_open(void *arg)
{
    struct gateway *g = arg;
    struct report rep = { .code = REEVE_OK };
    if (g->storage == NULL) {
        enum reeve_err err = storage_open(&g->storage, g->child->dir, STORAGE_READ, 0, 1024, &rep);
        if (err != REEVE_OK) {
            g->storage = NULL;
            if (err != REEVE_E_NOT_FOUND)
                log_limited(LOG_SEV_WARNING, "%s", rep.message);
        }
    }
    facts_refresh(g);
    if (!g->facts.known && loop_timer_in(g->loop, &g->store_timer, STORE_RETRY_MS, facts_store_open, g) != REEVE_OK)
        child_stop(g->child, 1);
}
