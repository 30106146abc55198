/* history.c - history bundles: names, reading, judging. */
#include "engine/attest_history.h"

#include "codec_int.h"
#include "common/text.h"

/* ---- names ---- */

#define ORIGIN_PREFIX "reeve/"

void history_origin(char out[HISTORY_ORIGIN_LEN + 1], const struct hash32 *chain_id)
{
    memcpy(out, ORIGIN_PREFIX, sizeof ORIGIN_PREFIX - 1);
    hex_encode(out + sizeof ORIGIN_PREFIX - 1, chain_id->b, sizeof chain_id->b);
}

bool history_origin_parse(struct hash32 *chain_id, struct slice origin)
{
    char again[HISTORY_ORIGIN_LEN + 1];
    size_t n = sizeof ORIGIN_PREFIX - 1;
    if (origin.len != HISTORY_ORIGIN_LEN || !hex_decode(chain_id->b, 32, slice_of(origin.p + n, origin.len - n)))
        return false;
    history_origin(again, chain_id);
    return memcmp(again, origin.p, HISTORY_ORIGIN_LEN) == 0;
}

static bool plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

size_t history_cosigner(char *out, const struct hash32 *chain_id, const struct name *validator)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = HISTORY_ORIGIN_LEN;
    history_origin(out, chain_id);
    out[n++] = '/';
    for (size_t i = 0; i < validator->len; i++) {
        uint8_t c = (uint8_t) validator->s[i];
        if (plain((char) c)) {
            out[n++] = (char) c;
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[c >> 4];
        out[n++] = digits[c & 15];
    }
    out[n] = '\0';
    return n;
}

/* ---- reading ---- */

#define DIGEST_LEN 32

enum reeve_err history_open(struct history_reader *h, struct slice in)
{
    size_t magic = strlen(HISTORY_MAGIC);
    memset(h, 0, sizeof *h);
    if (in.len < magic + DIGEST_LEN || memcmp(in.p, HISTORY_MAGIC, magic) != 0)
        return REEVE_E_MALFORMED;
    h->r = rd_of(slice_of(in.p + magic, in.len - magic - DIGEST_LEN));
    h->genesis = rd_str32(&h->r, HISTORY_GENESIS_MAX);
    h->next = rd_u64(&h->r);
    merkle_range_init(&h->start);
    for (int i = 0; i < __builtin_popcountll(h->next); i++)
        rd_copy(&h->r, h->start.h[i].b, 32);
    h->start.size = h->next;
    return h->r.bad ? REEVE_E_MALFORMED : REEVE_OK;
}

/* Kind 2: as a block, with a header where the finalization would be. */
static enum reeve_err bare_block(struct history_block *b, struct slice in)
{
    struct rd r = rd_of(in);
    memset(&b->f, 0, sizeof b->f);
    struct slice head = rd_bytes(&r, ATTEST_HEADER_LEN);
    if (r.bad || header_decode(&b->f.header, head) != REEVE_OK)
        return REEVE_E_MALFORMED;
    b->n = rd_u16(&r);
    if (b->n > ATTEST_BLOCK_LEAVES_MAX)
        return REEVE_E_MALFORMED;
    for (size_t i = 0; i < b->n; i++)
        b->leaf[i] = rd_str32(&r, ATTEST_LEAF_MAX);
    return at_finish(&r);
}

/* Kind 3. */
static enum reeve_err link_read(struct history_block *b, struct slice in)
{
    struct rd r = rd_of(in);
    if (finalization_decode(&b->f, &r) != REEVE_OK)
        return REEVE_E_MALFORMED;
    b->payload = rd_str32(&r, ATTEST_PAYLOAD_MAX);
    return at_finish(&r);
}

enum reeve_err history_next(struct history_reader *h, struct history_block *b)
{
    uint8_t kind = rd_u8(&h->r);
    if (h->r.bad || kind > 3)
        return REEVE_E_MALFORMED;
    if (kind == 0)
        return REEVE_E_NOT_FOUND;
    struct slice bytes = rd_str32(&h->r, ATTEST_BLOCK_MAX);
    b->final = kind != 2;
    b->link = kind == 3;
    b->n = 0;
    b->first = h->next;
    if (h->r.bad)
        return REEVE_E_MALFORMED;
    if (b->link)
        return link_read(b, bytes);
    enum reeve_err err = kind == 2 ? bare_block(b, bytes)
                                   : block_decode(&b->f, b->leaf, ATTEST_BLOCK_LEAVES_MAX, &b->n, bytes);
    if (err != REEVE_OK || (b->final && b->n == 0) || h->next > UINT64_MAX - b->n)
        return REEVE_E_MALFORMED;
    h->next += b->n;
    return REEVE_OK;
}

enum reeve_err history_tail(struct history_reader *h, struct history_tail *t)
{
    if (finalization_decode(&t->head, &h->r) != REEVE_OK)
        return REEVE_E_MALFORMED;
    t->n = at_count(&h->r, MERKLE_PATH_MAX);
    for (size_t i = 0; i < t->n; i++)
        rd_copy(&h->r, t->path[i].b, 32);
    t->note = rd_str32(&h->r, HISTORY_NOTE_MAX);
    return at_finish(&h->r);
}

/* ---- judging ---- */

struct judge {
    const struct crypto_ops *c;
    const struct hash32 *chain_id;
    struct hash32 set_hash;
    struct merkle_range log;
    struct block_header last;           /* height 0: none yet */
    bool pending;                       /* last waits for its child */
    struct history_work *w;
    struct report *rep;
};

static unsigned long long ull(uint64_t v) { return (unsigned long long) v; }

static enum reeve_err digest_check(const struct crypto_ops *c, struct slice in, struct report *rep)
{
    struct hash32 sum;
    struct slice body = slice_of(in.p, in.len - DIGEST_LEN);
    c->sha256(&sum, &body, 1);
    if (memcmp(sum.b, in.p + body.len, DIGEST_LEN) != 0)
        return report_set(rep, REEVE_E_MALFORMED, "the bundle's bytes do not have the digest that it ends with");
    return REEVE_OK;
}

static enum reeve_err genesis_check(struct judge *j, struct slice doc)
{
    struct hash32 id;
    struct genesis *g = &j->w->facts.genesis;
    struct wr w = wr_fixed(&j->w->b, sizeof j->w->b);       /* free until the first block */
    genesis_chain_id(j->c, &id, doc);
    if (!hash32_eq(&id, j->chain_id))
        return report_set(j->rep, REEVE_E_V_CHAIN, "the genesis document is not that of the chain in the trust root");
    if (genesis_decode(g, doc) != REEVE_OK)
        return report_set(j->rep, REEVE_E_MALFORMED, "the genesis document does not parse");
    valset_encode(&g->set, &w);
    if (w.bad)
        return report_set(j->rep, REEVE_E_TOO_BIG, "the validator set is too large");
    valset_hash(j->c, &j->set_hash, wr_slice(&w));
    j->w->facts.set = g->set;
    return REEVE_OK;
}

/* A header behind the last one: by a quorum, or chained to the next. */
static enum reeve_err header_check(struct judge *j, const struct finalization *f, bool final, const char *what)
{
    const struct block_header *h = &f->header;
    enum reeve_err err = REEVE_OK;
    if (final)
        err = finalization_verify(j->c, f, j->chain_id, &j->w->facts.set, &j->set_hash);
    else if (!hash32_eq(&h->chain_id, j->chain_id))
        err = REEVE_E_V_CHAIN;
    if (err != REEVE_OK)
        return report_set(j->rep, err, "%s at height %llu: %s", what, ull(h->height), reeve_err_text(err));
    if (final)
        j->w->facts.signatures += f->n_sigs;
    return REEVE_OK;
}

static enum reeve_err order_check(struct judge *j, const struct block_header *h, const char *what)
{
    struct hash32 parent;
    if (j->last.height > 0 && (h->height <= j->last.height || h->view <= j->last.view || h->time.ms <= j->last.time.ms))
        return report_set(j->rep, REEVE_E_V_HEIGHT, "%s at height %llu does not come behind height %llu", what,
                          ull(h->height), ull(j->last.height));
    if (!j->pending)
        return REEVE_OK;
    header_hash(j->c, &parent, &j->last);
    if (h->height != j->last.height + 1 || !hash32_eq(&h->parent_hash, &parent))
        return report_set(j->rep, REEVE_E_V_QUORUM, "nothing makes the block at height %llu final", ull(j->last.height));
    return REEVE_OK;
}

static enum reeve_err leaves_check(struct judge *j, const struct history_block *b)
{
    struct hash32 h;
    struct update u;
    struct merkle_range payload;
    const struct block_header *head = &b->f.header;
    merkle_range_init(&payload);
    for (size_t i = 0; i < b->n; i++) {
        if (update_decode(&u, b->leaf[i]) != REEVE_OK)
            return report_set(j->rep, REEVE_E_V_LEAF, "leaf %llu is no security update", ull(b->first + i));
        merkle_leaf_hash(j->c, &h, b->leaf[i]);
        merkle_range_append(j->c, &payload, &h);
        merkle_range_append(j->c, &j->log, &h);
    }
    merkle_range_root(j->c, &payload, &h);
    if (!hash32_eq(&h, &head->payload_root))
        return report_set(j->rep, REEVE_E_V_LEAF, "the leaves of height %llu are not those that were made final",
                          ull(head->height));
    merkle_range_root(j->c, &j->log, &h);
    if (head->log_size != j->log.size || !hash32_eq(&h, &head->log_root))
        return report_set(j->rep, REEVE_E_V_CONSISTENCY, "the log behind height %llu is another one: leaves are missing, added or "
                          "changed", ull(head->height));
    return REEVE_OK;
}

/* Behind the end of an epoch the next set decides. */
static enum reeve_err epoch_check(struct judge *j, const struct history_block *b)
{
    const struct block_header *h = &b->f.header;
    if (!header_ends_epoch(h) && !b->link)
        return REEVE_OK;
    if (!b->final || j->pending)
        return report_set(j->rep, REEVE_E_V_QUORUM, "nothing makes the end of epoch %llu final", ull(h->epoch));
    enum reeve_err err = valset_advance(j->c, &b->f, b->link ? b->payload : valset_payload_find(b->leaf, b->n), &j->w->facts.set,
                                        &j->set_hash);
    if (err != REEVE_OK)
        return report_set(j->rep, err, "the set that follows epoch %llu: %s", ull(h->epoch), reeve_err_text(err));
    return REEVE_OK;
}

static enum reeve_err link_check(struct judge *j, const struct history_block *b)
{
    enum reeve_err err;
    TRY(header_check(j, &b->f, true, "the end of an epoch"));
    err = epoch_check(j, b);
out:
    return err;
}

static enum reeve_err block_check(struct judge *j, const struct history_block *b)
{
    enum reeve_err err;
    TRY(header_check(j, &b->f, b->final, "the block"));
    TRY(order_check(j, &b->f.header, "the block"));
    TRY(leaves_check(j, b));
    j->pending = false;
    TRY(epoch_check(j, b));
    j->last = b->f.header;
    j->pending = !b->final;
    j->w->facts.blocks++;
out:
    return err;
}

static enum reeve_err blocks_check(struct judge *j, struct history_reader *h)
{
    enum reeve_err err;
    if (h->next == UINT64_MAX)
        return report_set(j->rep, REEVE_E_MALFORMED, "no log is that long");
    while ((err = history_next(h, &j->w->b)) == REEVE_OK)
        TRY(j->w->b.link ? link_check(j, &j->w->b) : block_check(j, &j->w->b));
    if (err == REEVE_E_NOT_FOUND)
        return REEVE_OK;
    report_set(j->rep, err, "the block behind height %llu does not parse", ull(j->last.height));
out:
    return err;
}

/* The head may be the last block itself. */
static enum reeve_err head_order(struct judge *j, const struct block_header *h)
{
    struct hash32 a, b;
    if (h->height != j->last.height)
        return order_check(j, h, "the head");
    header_hash(j->c, &a, h);
    header_hash(j->c, &b, &j->last);
    if (!hash32_eq(&a, &b))
        return report_set(j->rep, REEVE_E_V_CONSISTENCY, "the head and the last block are two blocks of one height");
    return REEVE_OK;
}

static enum reeve_err head_check(struct judge *j, const struct history_tail *t)
{
    const struct block_header *h = &t->head.header;
    struct hash32 root;
    enum reeve_err err;
    if (!header_ends_epoch(h) || h->height != j->last.height)       /* else it is the last block, judged already: head_order */
        TRY(header_check(j, &t->head, true, "the head"));
    TRY(head_order(j, h));
    merkle_range_root(j->c, &j->log, &root);
    err = j->log.size == 0 ? (t->n == 0 ? REEVE_OK : REEVE_E_V_CONSISTENCY)
                           : merkle_consistency_verify(j->c, j->log.size, h->log_size, &root, &h->log_root, t->path, t->n);
    if (err != REEVE_OK)
        report_set(j->rep, err, "the log of the head does not extend that of the bundle");
out:
    return err;
}

enum reeve_err history_verify(const struct crypto_ops *c, const struct hash32 *chain_id, struct slice in,
                              struct history_work *w, struct report *rep)
{
    struct history_reader h;
    struct judge j = { .c = c, .chain_id = chain_id, .w = w, .rep = rep };
    struct history_facts *f = &w->facts;
    enum reeve_err err;
    memset(f, 0, sizeof *f);
    if (history_open(&h, in) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "this is no whole history bundle");
    TRY(digest_check(c, in, rep));
    TRY(genesis_check(&j, h.genesis));
    j.log = h.start;
    f->first = h.next;
    TRY(blocks_check(&j, &h));
    f->end = h.next;
    if (history_tail(&h, &w->t) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "what is behind the blocks does not parse");
    TRY(head_check(&j, &w->t));
    f->head = w->t.head.header;
    f->note = w->t.note;
out:
    return err;
}

bool history_checkpoint_is(const struct history_facts *f, uint64_t size, const struct hash32 *root)
{
    return f->head.log_size == size && hash32_eq(&f->head.log_root, root);
}
