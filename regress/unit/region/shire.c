/* shire.c - a region for the tests; see the header. */
#include "shire.h"

#include "crypto/hash.h"

void shire_new(struct shire *s)
{
    memset(s, 0, sizeof *s);
    world_new(&s->w, 1);
    s->r = (struct region){ s->w.a.kv, &crypto_ops_real, malloc(region_scratch_size()), region_scratch_size() };
    s->cmd = wr_heap(REGION_COMMAND_MAX);
    s->out = wr_heap(4 << 20);
    memset(s->session, 's', sizeof s->session);
    struct wr *w = command(s, RC_BUILTIN);
    wr_u64(w, GENESIS_MS);
    put_name(w, "home");
    put_name(w, "root");
    wr_str16(w, slice_str("SCRAM-SHA-256$x"));
    run(s);
    assert_item(s, 0, REEVE_OK);
}

void shire_free(struct shire *s)
{
    world_free(&s->w);
    free(s->r.scratch);
    wr_free(&s->cmd);
    wr_free(&s->out);
}

struct wr *command(struct shire *s, enum region_cmd type)
{
    wr_reset(&s->cmd);
    wr_u8(&s->cmd, 1);
    wr_u8(&s->cmd, (uint8_t) type);
    return &s->cmd;
}

static void decode_results(struct shire *s)
{
    struct rd r = rd_of(wr_slice(&s->out));
    s->n_items = rd_u16(&r);
    assert_true(s->n_items <= RESULTS_MAX);
    memset(s->item, 0, sizeof s->item);
    for (size_t i = 0; i < s->n_items; i++) {
        s->item[i].err = (enum reeve_err) rd_u16(&r);
        struct slice m = rd_str16(&r, 511), d = rd_str16(&r, 16);
        if (m.len > 0)
            memcpy(s->item[i].message, m.p, m.len);
        if (d.len > 0)
            memcpy(s->item[i].data, d.p, d.len);
        s->item[i].data_len = d.len;
    }
    assert_true(rd_done(&r));
}

void run_bytes(struct shire *s, struct slice bytes)
{
    wr_reset(&s->out);
    sim_kv_begin(s->w.store);
    assert_ok(region_apply(&s->r, ++s->index, bytes, &s->out));
    sim_kv_commit(s->w.store);
    decode_results(s);
}

void run(struct shire *s)
{
    struct report rep = { 0 };
    assert_false(s->cmd.bad);
    if (region_command_check(wr_slice(&s->cmd), &rep) != REEVE_OK)
        fail_msg("command refused before applying: %s", rep.message);
    run_bytes(s, wr_slice(&s->cmd));
}

struct wr *txn(struct shire *s, const char *actor)
{
    struct name a = name_of(actor);
    wr_reset(&s->cmd);
    s->n_ops = 0;
    region_txn_begin(&s->cmd, s->session, ++s->seq, (struct wall_ms){ GENESIS_MS + (int64_t) s->seq }, &a,
                     slice_str("127.0.0.1"), slice_str("STATEMENT"), slice_str("CHG-1"), &s->n_ops_at);
    return &s->cmd;
}

struct wr *op(struct shire *s, enum region_op o)
{
    s->n_ops++;
    wr_u8(&s->cmd, (uint8_t) o);
    return &s->cmd;
}

void commit(struct shire *s)
{
    region_txn_end(&s->cmd, s->n_ops_at, s->n_ops);
    run(s);
}

void assert_item(struct shire *s, size_t i, enum reeve_err want)
{
    assert_true(i < s->n_items);
    if (s->item[i].err != want)
        fail_msg("item %zu: %s (%s), not %s", i, reeve_err_name(s->item[i].err), s->item[i].message, reeve_err_name(want));
}

uint64_t item_u64(const struct shire *s, size_t i)
{
    struct rd r = rd_of(slice_of(s->item[i].data, s->item[i].data_len));
    uint64_t v = rd_u64(&r);
    assert_true(rd_done(&r));
    return v;
}

uint32_t item_u32(const struct shire *s, size_t i)
{
    struct rd r = rd_of(slice_of(s->item[i].data, s->item[i].data_len));
    uint32_t v = rd_u32(&r);
    assert_true(rd_done(&r));
    return v;
}

void put_name(struct wr *w, const char *name)
{
    wr_u8(w, (uint8_t) strlen(name));
    wr_text(w, name);
}

void put_set(struct shire *s, const char *key, const char *value, uint64_t expected)
{
    struct wr *w = op(s, RO_CONFIG_SET);
    put_name(w, key);
    wr_u8(w, VT_TEXT);
    wr_str32(w, slice_str(value));
    wr_u64(w, expected);
}

void put_role(struct shire *s, const char *name, uint32_t attrs)
{
    struct role_row row = { .attrs = attrs, .connection_limit = -1 };
    struct wr *w = op(s, RO_ROLE_CREATE);
    put_name(w, name);
    role_row_encode(&row, w);
    wr_u8(w, 0);
}

void put_grant(struct shire *s, const char *to, uint8_t kind, const char *object, uint32_t mask)
{
    struct wr *w = op(s, RO_GRANT);
    put_name(w, to);
    wr_u8(w, kind);
    put_name(w, object);
    wr_u32(w, mask);
}

static void secret_hash(struct hash32 *out, uint8_t byte)
{
    uint8_t secret[16];
    memset(secret, byte, sizeof secret);
    struct slice part = slice_of(secret, sizeof secret);
    sha256_parts(out, &part, 1);
}

void put_token(struct shire *s, uint8_t byte, uint32_t uses, int64_t expires)
{
    struct token_row row = { .uses_left = uses, .expires.ms = expires, .region = name_of("home") };
    row.labels.n = 1;
    row.labels.l[0] = (struct label){ name_of("tier"), name_of("edge") };
    secret_hash(&row.secret_hash, byte);
    struct wr *w = op(s, RO_TOKEN_CREATE);
    for (int i = 0; i < 8; i++)
        wr_u8(w, byte);
    token_row_encode(&row, w);
}

struct node_row node_sample(struct shire *s, uint32_t n)
{
    struct node_row row = { .state = NODE_LIVE, .enrolled.ms = GENESIS_MS + 5 };
    struct hash32 h;
    memcpy(row.key.b, &n, sizeof n);
    struct slice parts[2] = { slice_of("reeve-node-v1", 14), slice_of(row.key.b, 32) };
    sha256_parts(&h, parts, 2);
    memcpy(row.id.b, h.b, sizeof row.id.b);
    strcpy(row.agent_version, "1.0");
    strcpy(row.addr, "127.0.0.1:4000");
    row.labels.n = 2;
    row.labels.l[0] = (struct label){ name_of("tier"), name_of("own") };
    row.labels.l[1] = (struct label){ name_of("os"), name_of("debian") };
    return row;
}

void add_enroll(struct shire *s, uint8_t token, const struct node_row *n)
{
    struct hash32 h;
    secret_hash(&h, token);
    for (int i = 0; i < 8; i++)
        wr_u8(&s->cmd, token);
    wr_bytes(&s->cmd, h.b, 32);
    node_row_encode(n, &s->cmd);
}

void enroll_many(struct shire *s, uint8_t token, uint32_t n)
{
    for (uint32_t at = 0; at < n;) {
        uint32_t batch = n - at < 500 ? n - at : 500;
        wr_u16(command(s, RC_ENROLL), (uint16_t) batch);
        for (uint32_t i = 0; i < batch; i++) {
            struct node_row row = node_sample(s, at + i);
            add_enroll(s, token, &row);
        }
        run(s);
        for (uint32_t i = 0; i < batch; i++)
            assert_item(s, i, REEVE_OK);
        at += batch;
    }
}

size_t rows_in(struct shire *s, char table)
{
    struct kv_iter it;
    struct slice key, val;
    size_t n = 0;
    region_iter_init(&s->r, &it, (uint8_t) table, (struct slice){ NULL, 0 });
    while (region_iter_next(&it, &key, &val) == REEVE_OK)
        n++;
    return n;
}
