/*
 * report.c - what nodes say about an object: their deployment row
 *
 * A "told" comes from the gateway that pushed and knows nothing of what the
 * node serves; it never overwrites an answer about the same generation.
 */
#include "engine/region/region_int.h"

struct report_item { uint32_t ordinal; struct name object; struct deploy_row row; };

static void item_read(struct report_item *it, struct rd *r)
{
    it->ordinal = rd_u32(r);
    rd_name(r, &it->object);
    deploy_row_read(&it->row, r);
}

static bool batch_ok(struct rd r, uint16_t n)
{
    struct report_item it;
    for (unsigned i = 0; i < n && !r.bad; i++)
        item_read(&it, &r);
    return rd_done(&r) && n <= REGION_BATCH_MAX;
}

static bool is_answer(uint8_t result)
{
    return result == DEPLOY_DONE || result == DEPLOY_FAILED || result == DEPLOY_REJECTED;
}

static void keep_served(struct deploy_row *row, const struct deploy_row *old)
{
    row->serving_gen = old->serving_gen;
    memcpy(row->serial, old->serial, sizeof row->serial);
    row->serial_len = old->serial_len;
    row->not_after = old->not_after;
}

/*
 * A node that could not take a generation says so once; what it says afterwards
 * (told to go back, still serving what it served) must not wipe out why. One
 * that served nothing for sure (its way back failed too) finds out later.
 */
static void keep_error(struct deploy_row *row, const struct deploy_row *old)
{
    bool back = row->serving_gen == old->serving_gen || (old->serving_gen == 0 && row->tried_gen != old->tried_gen);
    if (row->error[0] != '\0' || old->error[0] == '\0' || !back || (row->rollout_id != 0 && row->rollout_id != old->rollout_id))
        return;
    memcpy(row->error, old->error, sizeof row->error);
    row->error_code = old->error_code;
    row->rollout_id = old->rollout_id;
}

/* The row to store, from the old one and the report. */
static void merge(struct deploy_row *row, const struct deploy_row *old)
{
    bool same = old->tried_gen == row->tried_gen;
    if (row->result == DEPLOY_TOLD)
        keep_served(row, old);
    keep_error(row, old);
    if (row->result == DEPLOY_TOLD && same && is_answer(old->result))
        row->result = old->result;
    uint16_t before = same ? old->attempts : 0;
    row->attempts = is_answer(row->result) && before < UINT16_MAX ? (uint16_t) (before + 1) : before;
}

static enum reeve_err one(struct apply *a, struct report_item *it, uint32_t *done)
{
    struct node_row node;
    struct deploy_row old, stored = it->row;
    struct rkey k;
    rkey_u32(&k, 'n', it->ordinal);
    enum reeve_err err = load_node(a->kv, &k, &node);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    rkey_deploy(&k, it->row.type, &it->object, it->ordinal);
    err = load_deploy(a->kv, &k, &old);
    bool was = err == REEVE_OK;
    if (!was && err != REEVE_E_NOT_FOUND)
        return err;
    if (was)
        merge(&stored, &old);
    else
        stored.attempts = is_answer(stored.result);
    TRY(store_deploy(a, &k, &stored));
    TRY(account_report(a, it->ordinal, &node, &it->object, was ? &old : NULL, &it->row));
    ++*done;
out:
    return err;
}

enum reeve_err apply_report(struct apply *a, struct rd *r)
{
    enum reeve_err err = REEVE_OK;
    uint32_t done = 0;
    uint16_t n = rd_u16(r);
    if (r->bad || !batch_ok(*r, n))
        return refuse(a, REEVE_E_MALFORMED, "malformed batch of reports");
    if (a->dry)
        return REEVE_OK;
    for (unsigned i = 0; i < n; i++) {
        struct report_item it;
        item_read(&it, r);
        TRY(one(a, &it, &done));
    }
    TRY(account_flush(a));
    result_u32(a, done);
out:
    return err;
}
