/*
 * msg.c - messages between members as bytes
 *
 * Which fields a type has stands in one table; encoding and decoding both
 * walk it, so they cannot disagree.
 */
#include "engine/raft.h"

enum field { F_INDEX = 1, F_LOG_TERM = 2, F_COMMIT = 4, F_HINT = 8, F_READ = 16, F_SNAP = 32, F_SIZE = 64, F_OFFSET = 128,
             F_ENTRIES = 256, F_CONF = 512, F_DATA = 1024 };

static const uint16_t fields[RAFT_M__COUNT] = {
    [RAFT_M_PREVOTE] = F_INDEX | F_LOG_TERM,
    [RAFT_M_PREVOTE_REPLY] = 0,
    [RAFT_M_VOTE] = F_INDEX | F_LOG_TERM,
    [RAFT_M_VOTE_REPLY] = 0,
    [RAFT_M_APPEND] = F_INDEX | F_LOG_TERM | F_COMMIT | F_ENTRIES,
    [RAFT_M_APPEND_REPLY] = F_INDEX | F_LOG_TERM | F_HINT,
    [RAFT_M_HEARTBEAT] = F_COMMIT | F_READ,
    [RAFT_M_HEARTBEAT_REPLY] = F_READ,
    [RAFT_M_SNAPSHOT] = F_INDEX | F_LOG_TERM | F_SNAP | F_SIZE | F_OFFSET | F_CONF | F_DATA,
    [RAFT_M_SNAPSHOT_REPLY] = F_INDEX | F_SNAP | F_OFFSET,
    [RAFT_M_TIMEOUT_NOW] = 0,
    [RAFT_M_READ] = F_READ,
    [RAFT_M_READ_REPLY] = F_READ | F_INDEX,
    [RAFT_M_HOST] = F_DATA,
};

struct number { uint16_t field; size_t at; };
static const struct number numbers[] = {
    { F_INDEX, offsetof(struct raft_msg, index) }, { F_LOG_TERM, offsetof(struct raft_msg, log_term) },
    { F_COMMIT, offsetof(struct raft_msg, commit) }, { F_HINT, offsetof(struct raft_msg, hint) },
    { F_READ, offsetof(struct raft_msg, read) }, { F_SNAP, offsetof(struct raft_msg, snap) },
    { F_SIZE, offsetof(struct raft_msg, size) }, { F_OFFSET, offsetof(struct raft_msg, offset) },
};
#define N_NUMBERS (sizeof numbers / sizeof *numbers)

static void encode_entries(const struct raft_msg *m, const struct raft_log *log, struct wr *out)
{
    wr_varint(out, m->n_entries);
    if (m->data.len > 0 || log == NULL) {
        wr_bytes(out, m->data.p, m->data.len);
        return;
    }
    for (uint32_t i = 1; i <= m->n_entries; i++) {
        struct raft_entry e;
        log->ops->entry(log->arg, m->index + i, &e);
        wr_varint(out, e.term);
        wr_u8(out, e.kind);
        wr_vbytes(out, e.data);
    }
}

void raft_msg_encode(const struct raft_msg *m, const struct raft_log *log, struct wr *out)
{
    reeve_assert(m->type > 0 && m->type < RAFT_M__COUNT);
    uint16_t has = fields[m->type];
    wr_u8(out, 1);
    wr_u8(out, m->type);
    wr_u8(out, m->flags);
    wr_varint(out, m->from);
    wr_varint(out, m->to);
    wr_u64(out, m->from_incarnation);
    wr_u64(out, m->to_incarnation);
    wr_u64(out, m->ring);
    wr_varint(out, m->term);
    for (size_t i = 0; i < N_NUMBERS; i++)
        if (has & numbers[i].field)
            wr_varint(out, *(const uint64_t *) ((const char *) m + numbers[i].at));
    if (has & F_ENTRIES)
        encode_entries(m, log, out);
    if (has & F_CONF)
        wr_vbytes(out, m->conf);
    if (has & F_DATA)
        wr_vbytes(out, m->data);
}

bool raft_msg_entry(struct rd *in, struct raft_entry *out)
{
    if (rd_left(in) == 0)
        return false;
    *out = (struct raft_entry){ .term = rd_varint(in), .kind = rd_u8(in) };
    out->data = rd_vbytes(in, RAFT_ENTRY_MAX);
    return !in->bad;
}

/* Everything left must be exactly n entries, so that raft_msg_entry() cannot fail later. */
static bool decode_entries(struct rd *in, struct raft_msg *m)
{
    uint64_t n = rd_varint(in);
    if (in->bad || n > RAFT_MSG_ENTRIES_MAX)
        return false;
    m->n_entries = (uint32_t) n;
    m->data = rd_bytes(in, rd_left(in));
    struct rd walk = rd_of(m->data);
    struct raft_entry e;
    while (n > 0 && raft_msg_entry(&walk, &e) && e.kind != 0)
        n--;
    return n == 0 && rd_done(&walk);
}

static void decode_head(struct rd *in, struct raft_msg *m)
{
    uint64_t from = rd_varint(in), to = rd_varint(in);
    m->from_incarnation = rd_u64(in);
    m->to_incarnation = rd_u64(in);
    m->ring = rd_u64(in);
    m->term = rd_varint(in);
    in->bad |= from == 0 || from > UINT32_MAX || to > UINT32_MAX;
    m->from = (uint32_t) from;
    m->to = (uint32_t) to;
}

/* Arithmetic on what a peer says must not wrap. */
static bool numbers_sane(const struct raft_msg *m)
{
    const uint64_t max = UINT64_MAX / 4;
    return m->term <= max && m->index <= max && m->log_term <= max && m->commit <= max && m->hint <= max && m->size <= max &&
           m->offset <= m->size + (m->type == RAFT_M_SNAPSHOT_REPLY ? max : 0);
}

enum reeve_err raft_msg_decode(struct raft_msg *m, struct slice bytes)
{
    if (bytes.len > RAFT_MSG_MAX)
        return REEVE_E_TOO_BIG;
    struct rd in = rd_of(bytes);
    memset(m, 0, sizeof *m);
    uint8_t version = rd_u8(&in);
    m->type = rd_u8(&in);
    m->flags = rd_u8(&in);
    if (in.bad || version != 1 || m->type == 0 || m->type >= RAFT_M__COUNT)
        return REEVE_E_MALFORMED;
    uint16_t has = fields[m->type];
    decode_head(&in, m);
    for (size_t i = 0; i < N_NUMBERS; i++)
        if (has & numbers[i].field)
            *(uint64_t *) ((char *) m + numbers[i].at) = rd_varint(&in);
    if ((has & F_ENTRIES) && !decode_entries(&in, m))
        return REEVE_E_MALFORMED;
    if (has & F_CONF)
        m->conf = rd_vbytes(&in, RAFT_CONF_BYTES_MAX);
    if (has & F_DATA)
        m->data = rd_vbytes(&in, RAFT_MSG_MAX);
    return rd_done(&in) && numbers_sane(m) ? REEVE_OK : REEVE_E_MALFORMED;
}
