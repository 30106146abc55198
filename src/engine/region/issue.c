/* issue.c - what is wrong right now; empty when the region is healthy. One row per kind and object. */
#include "engine/region/region_int.h"

static enum reeve_err find(struct apply *a, const struct name *kind, const struct name *object, uint64_t *id,
                           struct issue_row *row)
{
    enum reeve_err err;
    *id = 0;
    while ((err = region_issue_next(&(struct region){ a->kv, a->r->c, a->r->scratch, a->r->scratch_len }, id, row)) == REEVE_OK)
        if (name_eq(&row->kind, kind) && name_eq(&row->object, object))
            break;
    return err;
}

static void issue_key(struct rkey *k, uint64_t id)
{
    rkey_begin(k, 'u');
    wr_u64(&k->w, id);
}

enum reeve_err issue_raise(struct apply *a, const struct issue_row *issue)
{
    struct issue_row old, row = *issue;
    struct rkey k;
    uint64_t id;
    enum reeve_err err = find(a, &issue->kind, &issue->object, &id, &old);
    if (err == REEVE_E_NOT_FOUND) {
        TRY(meta_get(a->kv, "next_issue", &id));
        TRY(meta_put(a->kv, "next_issue", ++id));
    } else if (err == REEVE_OK) {
        row.since = old.since;
    } else {
        goto out;
    }
    issue_key(&k, id);
    TRY(store_issue(a, &k, &row));
    TRY(feed_add(a, FEED_ISSUE, &row.kind));
out:
    return err;
}

enum reeve_err issue_clear(struct apply *a, const struct name *kind, const struct name *object)
{
    struct issue_row row;
    struct rkey k;
    uint64_t id;
    enum reeve_err err = find(a, kind, object, &id, &row);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    issue_key(&k, id);
    TRY(kv_del(a->kv, rkey_slice(&k)));
    TRY(feed_add(a, FEED_ISSUE, kind));
out:
    return err;
}

enum reeve_err apply_issue(struct apply *a, struct rd *r)
{
    struct issue_row row;
    uint8_t op = rd_u8(r);
    issue_row_read(&row, r);
    if (!rd_done(r) || op < 1 || op > 2)
        return refuse(a, REEVE_E_MALFORMED, "malformed command");
    if (a->dry)
        return REEVE_OK;
    a->now = row.since;
    enum reeve_err err = op == 1 ? issue_raise(a, &row) : issue_clear(a, &row.kind, &row.object);
    if (err == REEVE_OK)
        result_item(a, REEVE_OK, "", (struct slice){ NULL, 0 });
    return err;
}
