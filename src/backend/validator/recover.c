/* recover.c - past a lost quorum, beside a server that stands still: the block of a recovery, drafted and taken (attest.h, E4). */
#include "backend/validator/validator_int.h"

enum reeve_err validator_set_read(const char *dir, struct valset *set, struct wr *genesis, struct report *rep)
{
    static struct chain c;
    struct storage_txn *t;
    struct slice doc;
    enum reeve_err err = chain_open(&c, dir, rep);
    if (err != REEVE_OK)
        return err;
    err = storage_begin(c.store, STORAGE_READ, &t);
    if (err == REEVE_OK) {
        struct attest a = chain_attest(&c, t);
        err = attest_genesis(&a, &doc);
        if (err == REEVE_OK)
            wr_bytes(genesis, doc.p, doc.len);
        storage_abort(t);
    }
    *set = c.set;
    chain_close(&c);
    return err == REEVE_OK && genesis->bad ? REEVE_E_NOMEM : err;
}

enum reeve_err validator_recovery_draft(const char *dir, const struct valset_doc *d, const struct name *region, struct wall_ms now,
                                        struct block_header *h, struct wr *leaf, struct report *rep)
{
    static struct chain c;
    struct storage_txn *t;
    struct wr payload = wr_heap(ATTEST_PAYLOAD_MAX);
    enum reeve_err err = chain_open(&c, dir, rep);
    if (err != REEVE_OK)
        return err;
    valset_doc_encode(d, &payload);
    if (now.ms <= c.head.header.time.ms)
        now.ms = c.head.header.time.ms + 1;
    err = payload.bad ? REEVE_E_NOMEM : storage_begin(c.store, STORAGE_WRITE, &t);
    if (err == REEVE_OK) {
        struct attest a = chain_attest(&c, t);
        err = attest_recovery_draft(&a, wr_slice(&payload), region, now, h, leaf, rep);
        storage_abort(t);
    }
    wr_free(&payload);
    chain_close(&c);
    return err;
}

enum reeve_err validator_take(const char *dir, struct slice block, uint64_t *height, struct report *rep)
{
    static struct chain c;
    enum reeve_err err = chain_open(&c, dir, rep);
    if (err != REEVE_OK)
        return err;
    err = chain_take(&c, block, rep);
    *height = c.head.height;
    chain_close(&c);
    return err;
}
