/* mend.c - asking for entries that a damaged log has lost, and giving them: bytes and rules of engine/mend.h. */
#include "engine/mend.h"

static bool head(struct rd *in, uint8_t kind)
{
    uint8_t version = rd_u8(in), k = rd_u8(in);
    return !in->bad && version == 1 && k == kind;
}

uint8_t mend_kind(struct slice host)
{
    struct rd in = rd_of(host);
    uint8_t version = rd_u8(&in), kind = rd_u8(&in);
    return !in.bad && version == 1 && (kind == MEND_ASK || kind == MEND_HAVE) ? kind : 0;
}

/* ---- asking ---- */

/* The last place is the log's end, whatever had to be left out before it. */
static void add_mark(struct mend_want *w, const struct mend_mark *m)
{
    if (m->last < m->first || m->term == 0)
        return;
    if (w->n == MEND_MARKS_MAX)
        w->n--;
    w->mark[w->n++] = *m;
}

void mend_want(const struct mend_log *log, uint64_t first, uint64_t before, struct mend_want *out)
{
    struct mend_mark m = { first, first - 1, before };
    struct raft_entry e;
    *out = (struct mend_want){ .first = first };
    for (uint64_t i = first; i <= log->end; i++) {
        bool readable = log->entry(log->arg, i, &e);
        uint64_t term = readable ? e.term : i == log->end ? log->end_term : 0;
        if (readable && out->last == 0)
            out->last = i - 1;
        if (term == 0)
            continue;
        if (term != m.term) {
            add_mark(out, &m);
            m = (struct mend_mark){ i, i, term };
        }
        m.last = i;
    }
    add_mark(out, &m);
    if (out->last == 0)
        out->last = log->end;
}

void mend_ask_encode(const struct mend_want *w, struct wr *out)
{
    wr_u8(out, 1);
    wr_u8(out, MEND_ASK);
    wr_u64(out, w->first);
    wr_u64(out, w->last);
    wr_u8(out, w->n);
    for (unsigned i = 0; i < w->n; i++) {
        wr_u64(out, w->mark[i].first);
        wr_u64(out, w->mark[i].last);
        wr_u64(out, w->mark[i].term);
    }
}

static bool ask_decode(struct mend_want *w, struct slice ask)
{
    struct rd in = rd_of(ask);
    if (!head(&in, MEND_ASK))
        return false;
    *w = (struct mend_want){ .first = rd_u64(&in) };
    w->last = rd_u64(&in);
    w->n = rd_u8(&in);
    if (in.bad || w->n > MEND_MARKS_MAX || w->first == 0 || w->last < w->first)
        return false;
    for (unsigned i = 0; i < w->n; i++) {
        w->mark[i].first = rd_u64(&in);
        w->mark[i].last = rd_u64(&in);
        w->mark[i].term = rd_u64(&in);
    }
    return rd_done(&in);
}

/* ---- giving ---- */

/* An entry that both have: up to there this log is the asker's. */
struct common { uint64_t index, term; };

#define LOOK_MAX 65536                  /* places looked at for one ask */

static void higher(struct common *c, uint64_t index, uint64_t term)
{
    if (index > c->index)
        *c = (struct common){ index, term };
}

/* By what this log knows of itself: what it cannot read has a term all the same, at its end and between two of one term. */
static void common_known(const struct mend_log *log, const struct mend_want *w, struct common *out)
{
    struct raft_entry e;
    struct mend_want own;
    uint64_t first = log->end > LOOK_MAX && log->end - LOOK_MAX > w->first ? log->end - LOOK_MAX : w->first;
    if (log->end < first)
        return;
    mend_want(log, first, log->entry(log->arg, first - 1, &e) ? e.term : 0, &own);
    for (unsigned i = 0; i < w->n; i++)
        for (unsigned k = 0; k < own.n; k++) {
            const struct mend_mark *a = &w->mark[i], *b = &own.mark[k];
            uint64_t from = a->first > b->first ? a->first : b->first, to = a->last < b->last ? a->last : b->last;
            if (a->term == b->term && from <= to)
                higher(out, to, a->term);
        }
}

/* The highest that this log can read and that the asker has as well. */
static void common_read(const struct mend_log *log, const struct mend_want *w, struct common *out)
{
    struct raft_entry e;
    unsigned looks = 0;
    for (unsigned k = w->n; k-- > 0;) {
        const struct mend_mark *m = &w->mark[k];
        for (uint64_t i = m->last; i >= m->first && i >= w->first && looks < LOOK_MAX; i--, looks++)
            if (log->entry(log->arg, i, &e) && e.term == m->term) {
                higher(out, i, m->term);
                return;
            }
    }
}

/* Runs are a few only, single entries are looked for besides. */
static bool common(const struct mend_log *log, const struct mend_want *w, struct common *out)
{
    *out = (struct common){ 0, 0 };
    common_known(log, w, out);
    common_read(log, w, out);
    return out->index != 0;
}

static size_t run_length(const struct mend_log *log, uint64_t first, uint64_t last)
{
    struct raft_entry e;
    size_t n = 0, bytes = 0;
    while (n < MEND_ENTRIES_MAX && first + n <= last && log->entry(log->arg, first + n, &e)) {
        bytes += e.data.len;
        if (n > 0 && bytes > MEND_BYTES)
            break;
        n++;
    }
    return n;
}

size_t mend_run_encode(const struct mend_log *log, uint64_t first, uint64_t last, struct wr *out)
{
    size_t n = run_length(log, first, last);
    struct raft_entry e;
    for (size_t i = 0; i < n; i++) {
        reeve_assert(log->entry(log->arg, first + i, &e));
        wr_varint(out, e.term);
        wr_u8(out, e.kind);
        wr_vbytes(out, e.data);
    }
    return n;
}

bool mend_answer(const struct mend_log *log, struct slice ask, struct wr *out)
{
    struct mend_want w;
    if (!ask_decode(&w, ask))
        return false;
    struct common m;
    if (!common(log, &w, &m))
        return false;
    uint64_t last = m.index < w.last ? m.index : w.last;
    size_t n = run_length(log, w.first, last);
    if (n == 0)
        return false;
    wr_u8(out, 1);
    wr_u8(out, MEND_HAVE);
    wr_u64(out, w.first);
    wr_u64(out, m.index);
    wr_u64(out, m.term);
    wr_varint(out, n);
    mend_run_encode(log, w.first, last, out);
    return !out->bad;
}

/* ---- taking ---- */

static bool is_mark(const struct mend_want *w, const struct common *m)
{
    for (unsigned i = 0; i < w->n; i++)
        if (m->index >= w->mark[i].first && m->index <= w->mark[i].last && w->mark[i].term == m->term)
            return true;
    return false;
}

/* Exactly n entries, terms that rise to the mark's at most, and are the mark's at its place. */
static bool entries_sane(struct slice bytes, uint64_t first, size_t n, const struct common *m)
{
    struct rd in = rd_of(bytes);
    struct raft_entry e;
    uint64_t term = 0;
    for (size_t i = 0; i < n; i++) {
        if (!raft_msg_entry(&in, &e) || e.kind == 0 || e.term < term || e.term == 0 || e.term > m->term)
            return false;
        if (first + i == m->index && e.term != m->term)
            return false;
        term = e.term;
    }
    return rd_done(&in);
}

enum reeve_err mend_take(const struct mend_want *w, struct slice host, struct mend_have *out)
{
    struct rd in = rd_of(host);
    struct common m;
    if (!head(&in, MEND_HAVE))
        return REEVE_E_MALFORMED;
    out->first = rd_u64(&in);
    m.index = rd_u64(&in);
    m.term = rd_u64(&in);
    uint64_t n = rd_varint(&in);
    if (in.bad || n == 0 || n > MEND_ENTRIES_MAX || out->first != w->first || !is_mark(w, &m))
        return REEVE_E_MALFORMED;
    uint64_t last = out->first + n - 1;
    if (last > w->last || last > m.index)
        return REEVE_E_MALFORMED;
    out->n = (size_t) n;
    out->entries = rd_bytes(&in, rd_left(&in));
    return entries_sane(out->entries, out->first, out->n, &m) ? REEVE_OK : REEVE_E_MALFORMED;
}
