/* core_open.c - the first start, every other start, and what a damaged log means for a ring of one. */
#include <stdio.h>
#include <stdlib.h>

#include "backend/ring/core_int.h"
#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

#define CATCH_UP_MS 60000
#define FIRST_TERM 1
#define FIRST_ID 1
#define NOTES_MAX 16384

/* ---- rows in the store ---- */

static const uint8_t identity_key[] = { LOG_KV_PREFIX, 'i' };
static const uint8_t joined_key[] = { LOG_KV_PREFIX, 'j' };
static const uint8_t diverged_key[] = { LOG_KV_PREFIX, 'q' };
static const uint8_t damaged_key[] = { LOG_KV_PREFIX, 'd' };
static const uint8_t rows_prefix[] = { LOG_KV_PREFIX, 'r' };

static enum reeve_err identity_read(struct kv *kv, struct core_identity *id)
{
    struct slice v;
    enum reeve_err err = kv_get(kv, slice_of(identity_key, sizeof identity_key), &v);
    if (err != REEVE_OK)
        return err;
    struct rd r = rd_of(v);
    uint8_t version = rd_u8(&r);
    *id = (struct core_identity){ .id = rd_u32(&r) };
    id->incarnation = rd_u64(&r);
    id->ring = rd_u64(&r);
    return version == 1 && rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err put_identity(struct kv *kv, const struct core_identity *id)
{
    uint8_t mem[32];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u8(&w, 1);
    wr_u32(&w, id->id);
    wr_u64(&w, id->incarnation);
    wr_u64(&w, id->ring);
    return kv_put(kv, slice_of(identity_key, sizeof identity_key), wr_slice(&w));
}

static enum reeve_err put_first_rows(struct kv *kv, const struct core_identity *id, struct slice row0)
{
    static const uint8_t row0_key[] = { LOG_KV_PREFIX, 'r', 0, 0, 0, 0 };
    enum reeve_err err;
    TRY(put_identity(kv, id));
    TRY(kv_put(kv, slice_of(row0_key, sizeof row0_key), row0));
out:
    return err;
}

static enum reeve_err joined_read(struct core *c, struct kv *kv)
{
    struct slice v;
    enum reeve_err err = kv_get(kv, slice_of(joined_key, sizeof joined_key), &v);
    if (err != REEVE_OK)
        return err;
    struct rd r = rd_of(v);
    uint8_t version = rd_u8(&r);
    c->joined_index = rd_u64(&r);
    struct slice conf = rd_bytes(&r, rd_left(&r));
    c->joining = version == 1 && !r.bad && raft_conf_decode(&c->joined_conf, conf) == REEVE_OK;
    return c->joining ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err put_joined(struct kv *kv, uint64_t incarnation, const struct peer_joined *j)
{
    struct core_identity id = { j->id, incarnation, j->ring };
    static uint8_t mem[RAFT_CONF_BYTES_MAX + 16];
    struct wr w = wr_fixed(mem, sizeof mem);
    enum reeve_err err;
    wr_u8(&w, 1);
    wr_u64(&w, j->conf_index);
    wr_bytes(&w, j->conf.p, j->conf.len);
    if (w.bad)
        return REEVE_E_TOO_BIG;
    TRY(put_identity(kv, &id));
    TRY(kv_put(kv, slice_of(joined_key, sizeof joined_key), wr_slice(&w)));
out:
    return err;
}

enum reeve_err core_join_write(struct storage *store, uint64_t incarnation, const struct peer_joined *joined)
{
    struct storage_txn *t;
    enum reeve_err err = storage_begin(store, STORAGE_WRITE, &t);
    if (err != REEVE_OK)
        return err;
    err = put_joined(storage_kv(t), incarnation, joined);
    if (err == REEVE_OK)
        return storage_commit(t);
    storage_abort(t);
    return err;
}

enum reeve_err core_rows_restore(struct core *c, struct kv *kv)
{
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    kv_iter_init(&it, kv, slice_of(rows_prefix, sizeof rows_prefix));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        struct rd r = rd_of(key);
        rd_bytes(&r, sizeof rows_prefix);
        uint32_t row = rd_u32(&r);
        if (!rd_done(&r))
            return REEVE_E_CORRUPT;
        if ((err = member_row_restore(c->m, row, val)) != REEVE_OK)
            return err;
    }
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

/* ---- what is read of the log ---- */

struct collected { struct core_shelf *shelf; struct wr notes; unsigned notes_lost; };

static void on_batch(void *arg, const struct wal_frame *f, struct slice payload)
{
    struct collected *k = arg;
    core_shelf_batch(k->shelf, f, payload);
}

/* Above the log's cut: what the state has already may be what another member has lost. */
static void on_meta(void *arg, enum wal_file_kind which, enum reeve_err state, const struct wal_meta *m)
{
    struct collected *k = arg;
    if (state == REEVE_OK && m->cut < k->shelf->above)
        k->shelf->above = m->cut;
}

/* Kept until it is known whether there is a log at all. */
static void on_note(void *arg, struct wal_file file, uint64_t offset, const char *text)
{
    struct collected *k = arg;
    size_t at = k->notes.len;
    wal_file_describe(file, &k->notes);
    wr_printf(&k->notes, ", offset %llu: %s\n", (unsigned long long) offset, text);
    if (k->notes.bad) {
        k->notes.bad = false;
        k->notes.len = at;
        k->notes_lost++;
    }
}

static void log_notes(const struct collected *k)
{
    for (size_t at = 0, end; at < k->notes.len; at = end + 1) {
        for (end = at; k->notes.p[end] != '\n'; end++)
            ;
        log_warning("log: %.*s", (int) (end - at), (const char *) k->notes.p + at);
    }
    if (k->notes_lost > 0)
        log_warning("log: %u more of that kind", k->notes_lost);
}

/* Up to the first hole. What is missing without being one cannot be understood. */
static enum reeve_err restore_entries(struct core *c, const struct wal_found *f)
{
    struct raft_entry e;
    for (uint64_t i = c->synced_index + 1; i <= f->last && !wal_holes_touch(&f->holes, i, i); i++) {
        if (!core_shelf_entry(&c->shelf, i, &e))
            return REEVE_E_CORRUPT;
        enum reeve_err err = member_entry_restore(c->m, &e);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}

/* 0: not known. */
static uint64_t found_term(const struct core *c, const struct wal_found *f, uint64_t index)
{
    struct raft_entry e;
    if (index == f->cut)
        return f->cut_term;
    return core_shelf_entry(&c->shelf, index, &e) ? e.term : 0;
}

/* Now that all is read. */
static enum reeve_err shelf_settle(struct core *c, const struct wal_found *f)
{
    c->shelf.low = f->cut;
    c->shelf.holes = f->holes;
    c->terms.n = c->terms.last = 0;
    for (uint64_t i = f->cut; i <= f->last && (i <= core_shelf_last(&c->shelf) || i == f->cut); i++) {
        uint64_t term = found_term(c, f, i);
        if (term != 0 && !core_terms_put(&c->terms, i, term))
            return REEVE_E_NOMEM;
    }
    return REEVE_OK;
}

/* ---- the member ---- */

static enum reeve_err make_member(struct core *c)
{
    struct member_config k;
    member_config_default(&k);
    k.raft.id = c->me.id;
    k.raft.incarnation = c->me.incarnation;
    k.raft.ring = c->me.ring;
    random_bytes(&k.raft.seed, sizeof k.raft.seed);
    random_bytes(&k.origin, sizeof k.origin);
    k.origin |= 1;
    k.hash_every = c->host.hash_every ? c->host.hash_every : CORE_HASH_EVERY;
    /* a command may have an eighth of it: an attested block fits */
    k.window_bytes = c->host.window_bytes ? c->host.window_bytes : 48u << 20;
    k.queue_bytes = 32u << 20;          /* half of it */
    size_t len = member_size(&k);
    free(c->mem);
    c->mem = len ? malloc(len) : NULL;
    if (c->mem == NULL)
        return len ? REEVE_E_NOMEM : REEVE_E_BUG;
    return member_init(&c->m, c->mem, len, &k);
}

/* ---- the first start: of a new region, or of one made before there was a log ---- */

static void only_me(const struct core *c, struct raft_conf *conf)
{
    *conf = (struct raft_conf){ .last_id = c->me.id, .n = 1 };
    conf->m[0] = (struct raft_member){ .id = c->me.id, .incarnation = c->me.incarnation, .role = RAFT_VOTER,
                                       .addr_len = (uint8_t) c->addr_len };
    memcpy(conf->m[0].addr, c->addr, c->addr_len);
}

/* The state as it is becomes the log's base, at an index that is not 0: nobody can mistake it for nothing. */
static enum reeve_err first_rows(struct core *c, uint64_t base)
{
    static struct raft_conf conf;
    uint8_t mem[MEMBER_ROW_MAX];
    struct wr row0 = wr_fixed(mem, sizeof mem);
    struct storage_txn *t;
    uint32_t row;
    enum reeve_err err;
    only_me(c, &conf);
    struct raft_start s = { .mode = RAFT_START_CLEAN, .term = FIRST_TERM, .commit = base, .base_index = base,
                            .base_term = FIRST_TERM, .conf = &conf };
    TRY(make_member(c));
    TRY(member_begin(c->m, &s));
    if (!member_row_next(c->m, &row, &row0) || row != 0 || row0.bad)
        return REEVE_E_BUG;
    TRY(storage_begin(c->store, STORAGE_WRITE, &t));
    err = put_first_rows(storage_kv(t), &c->me, wr_slice(&row0));
    if (err == REEVE_OK)
        err = storage_commit(t);
    else
        storage_abort(t);
out:
    return err;
}

static enum reeve_err new_log(struct core *c, uint64_t base, const struct wal_found *found, struct report *rep)
{
    struct wal_owner owner = { c->me.ring, c->me.id, c->me.incarnation };
    uint64_t salt;
    enum reeve_err err;
    if (found->verdict == WAL_MISSING) {
        random_bytes(&salt, sizeof salt);
        TRY(walfile_format(c->wal, &owner, salt, rep));
    } else
        TRY(walfile_resume(c->wal, found, rep));
    walfile_cut(c->wal, base, FIRST_TERM);
    TRY(first_rows(c, base));
    log_info("began the log of member %u after revision %llu", c->me.id, (unsigned long long) base);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "could not begin the log (%s)", reeve_err_text(err));
}

static void new_identity(struct core *c)
{
    c->me.id = FIRST_ID;
    random_bytes(&c->me.incarnation, sizeof c->me.incarnation);
    random_bytes(&c->me.ring, sizeof c->me.ring);
    c->me.incarnation |= 1;
    c->me.ring |= 1;
}

/* A log that was begun and then nothing more: the process died before the state knew of it. */
static bool is_empty(const struct wal_found *f)
{
    return (f->verdict == WAL_CLEAN || f->verdict == WAL_TORN) && f->entries == 0 && f->last == f->cut;
}

/* ---- judging what was found ---- */

static enum reeve_err refuse_found(const struct wal_found *f, struct report *rep)
{
    char where[64];
    struct wr w = wr_fixed(where, sizeof where - 1);
    wal_file_describe(f->file, &w);
    where[w.len] = '\0';
    report_set(rep, REEVE_E_CORRUPT, "the write-ahead log cannot be used: %s", wal_verdict_name(f->verdict));
    report_detail(rep, "DIR/wal, %s, offset %llu: %.150s", where, (unsigned long long) f->offset, f->reason);
    report_hint(rep, "Nothing was changed. A ring of one has no other member to repair its log from: put back what is missing, "
                "or restore a backup. In a ring of several: drop this member and join anew with an empty directory. "
                "`reeve-ctl waldump DIR` shows what can be read.");
    return REEVE_E_CORRUPT;
}

/* ---- a log that has lost something, in a ring that has it (raft.h RAFT_START_REPAIR) ---- */

/* A short row of this member's own, as the start finds it. NOT_FOUND: there is none. */
struct note { uint8_t mem[32]; size_t len; };

static enum reeve_err note_read(struct core *c, struct slice key, struct note *n)
{
    struct storage_txn *t;
    struct slice v;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    err = kv_get(storage_kv(t), key, &v);
    if (err == REEVE_OK && v.len > sizeof n->mem)
        err = REEVE_E_CORRUPT;
    if (err == REEVE_OK) {
        memcpy(n->mem, v.p, v.len);
        n->len = v.len;
    }
    storage_abort(t);
    return err;
}

/* 'L' 'd' -> u8 1 | u64 index | u64 term: the log held as much, and does not again yet. Votes are judged by it. */
static enum reeve_err damaged_read(struct core *c)
{
    struct note n;
    enum reeve_err err = note_read(c, slice_of(damaged_key, sizeof damaged_key), &n);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    struct rd r = rd_of(slice_of(n.mem, n.len));
    uint8_t version = rd_u8(&r);
    c->lost_index = rd_u64(&r);
    c->lost_term = rd_u64(&r);
    return version == 1 && rd_done(&r) ? REEVE_OK : REEVE_E_CORRUPT;
}

static enum reeve_err damaged_write(struct core *c)
{
    uint8_t mem[17];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct storage_txn *t;
    enum reeve_err err = storage_begin(c->store, STORAGE_WRITE, &t);
    if (err != REEVE_OK)
        return err;
    wr_u8(&w, 1);
    wr_u64(&w, c->lost_index);
    wr_u64(&w, c->lost_term);
    err = kv_put(storage_kv(t), slice_of(damaged_key, sizeof damaged_key), wr_slice(&w));
    if (err == REEVE_OK)
        return storage_commit(t);
    storage_abort(t);
    return err;
}

static bool repairable(const struct core *c, const struct wal_found *f)
{
    return f->verdict == WAL_CORRUPT && f->may_vote && !c->alone && !c->joining && f->last > c->synced_index;
}

/* What the log held, durably in the store: until it holds as much again this member votes by it and does not stand. */
static enum reeve_err note_lost(struct core *c, struct wal_found *f)
{
    uint64_t base = c->synced_index;
    if (f->last_term > c->lost_term || (f->last_term == c->lost_term && f->last > c->lost_index)) {
        c->lost_index = f->last;
        c->lost_term = f->last_term;
    }
    log_warning("the log is damaged between %llu, which the state has, and %llu: the rest comes from the other members",
                (unsigned long long) base, (unsigned long long) f->last);
    if (f->hard.commit > base)
        f->hard.commit = base;          /* known again as soon as there is a leader */
    return damaged_write(c);
}

/*
 * Everything above the state goes: it is not known to be of the state's history, or not all that this member has promised. Nor is
 * what lies below it, so the log begins at the state: it is given to nobody.
 */
static enum reeve_err give_up_tail(struct core *c, struct wal_found *f, struct report *rep)
{
    uint64_t base = c->synced_index, ticket;
    bool all = base > f->cut;
    struct wal_append a = { .first = all ? base : base + 1, .prev_term = all ? found_term(c, f, base - 1) : c->synced_term };
    enum reeve_err err;
    if (f->hard.commit >= a.first)
        f->hard.commit = a.first - 1;
    a.hard = f->hard;
    TRY(walfile_resume(c->wal, f, rep));
    TRY(walfile_append(c->wal, &a, &ticket));
    if (all)
        walfile_cut(c->wal, base, c->synced_term);
    core_shelf_free(&c->shelf);
    c->gave_up = true;
    c->terms.n = 0;
    if (!core_terms_put(&c->terms, base, c->synced_term))
        err = REEVE_E_NOMEM;
out:
    return err;
}

/* All of it stays, in the files and at hand: others may have lost what is here, and have what is lost here (core_mend.c). */
static enum reeve_err keep_tail(struct core *c, struct wal_found *f, struct report *rep)
{
    c->tail = true;
    c->tail_last = f->last;
    c->tail_term = f->last_term;
    return walfile_resume(c->wal, f, rep);
}

/* Damage at or below what the store has synced has lost nothing. */
static bool harmless(const struct core *c, const struct wal_found *f)
{
    for (uint32_t i = 0; i < f->holes.n; i++)
        if (f->holes.r[i].last > c->synced_index)
            return false;
    return f->may_vote;
}

static enum reeve_err judge(struct core *c, const struct wal_found *f, struct report *rep)
{
    bool good = f->verdict == WAL_CLEAN || f->verdict == WAL_TORN || (f->verdict == WAL_CORRUPT && harmless(c, f));
    if (!good)
        return refuse_found(f, rep);
    if (c->shelf.bad)
        return report_set(rep, REEVE_E_NOMEM, "the log's entries could not be read into memory");
    if (f->last < c->synced_index && !is_empty(f) && c->alone) {
        report_set(rep, REEVE_E_CORRUPT, "the write-ahead log ends at %llu, before the state, which is at %llu",
                   (unsigned long long) f->last, (unsigned long long) c->synced_index);
        report_hint(rep, "DIR/wal and DIR/data are not of the same moment. Restore both from one backup.");
        return REEVE_E_CORRUPT;
    }
    return REEVE_OK;
}

/* ---- every start ---- */

static enum reeve_err begin(struct core *c, const struct wal_found *f, struct report *rep)
{
    struct raft_start s = { .mode = RAFT_START_CLEAN, .term = f->hard.term, .commit = f->hard.commit,
                            .vote = (uint32_t) f->hard.vote };
    static const struct raft_conf nobody;
    struct storage_txn *t;
    enum reeve_err err;
    s.conf = &nobody;                   /* where there are no rows yet */
    if (c->lost_index != 0) {
        s.mode = RAFT_START_REPAIR;
        s.last_index = c->lost_index;
        s.last_term = c->lost_term;
    }
    TRY(make_member(c));
    TRY(storage_begin(c->store, STORAGE_READ, &t));
    err = core_rows_restore(c, storage_kv(t));
    storage_abort(t);
    if (err == REEVE_OK && c->follows && !c->gave_up)
        err = restore_entries(c, f);
    if (err == REEVE_OK)
        err = member_begin(c->m, &s);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "the log does not fit the state (%s)", reeve_err_text(err));
}

static bool caught_up(struct core *c)
{
    struct member_status st;
    member_status(c->m, &st);
    return st.raft.role == RAFT_LEADER && st.raft.committed_in_term && c->synced_index >= c->start_index;
}

/* Who was let in waits until the ring has sent it a state: there is nothing to serve before. */
static enum reeve_err await_state(struct core *c, struct report *rep)
{
    log_info("member %u waits for the ring to send it the state", c->me.id);
    while (c->joining && !loop_is_stopped(c->loop))
        loop_run_once(c->loop, 100);
    return c->joining ? report_set(rep, REEVE_E_SHUTDOWN, "stopped before the ring had sent its state") : REEVE_OK;
}

/* Everything that was acknowledged is in the state before anybody looks; a store without room serves what it has. */
static enum reeve_err catch_up(struct core *c, struct report *rep)
{
    struct mono_ms until = clock_deadline(CATCH_UP_MS);
    struct wal_status wal;
    bool full = false;
    while (!caught_up(c) && !full && state_stalled(c->state) == REEVE_OK && clock_left(until) > 0 && !loop_is_stopped(c->loop)) {
        state_flush(c->state);
        loop_run_once(c->loop, 20);
        walfile_status(c->wal, &wal, &full);
    }
    if (caught_up(c) || loop_is_stopped(c->loop))
        return REEVE_OK;
    if (full || state_stalled(c->state) != REEVE_OK) {
        log_error("no room: the state stays at revision %llu until there is", (unsigned long long) c->revision);
        return REEVE_OK;
    }
    return report_set(rep, REEVE_E_TIMEOUT, "the log could not be applied within %d s", CATCH_UP_MS / 1000);
}

static enum reeve_err read_row0(struct core *c, struct slice row0)
{
    static struct raft_conf members;
    struct slice conf;
    enum reeve_err err;
    TRY(member_row_position(row0, &c->synced_index, &c->synced_term, &conf));
    TRY(raft_conf_decode(&members, conf));
    c->alone = members.n == 1 && members.m[0].id == c->me.id;
out:
    return err;
}

/* NOT_FOUND: there was no log yet. */
static enum reeve_err read_identity(struct core *c)
{
    static const uint8_t row0_key[] = { LOG_KV_PREFIX, 'r', 0, 0, 0, 0 };
    struct storage_txn *t;
    struct slice v;
    enum reeve_err err;
    TRY(storage_begin(c->store, STORAGE_READ, &t));
    err = identity_read(storage_kv(t), &c->me);
    if (err == REEVE_OK) {
        err = kv_get(storage_kv(t), slice_of(row0_key, sizeof row0_key), &v);
        if (err == REEVE_OK)
            err = read_row0(c, v);
        else if (err == REEVE_E_NOT_FOUND)
            err = joined_read(c, storage_kv(t));
        if (err == REEVE_E_NOT_FOUND)
            err = REEVE_E_CORRUPT;
    }
    storage_abort(t);
out:
    return err;
}

/* It put itself into quarantine, and a restart changes nothing about that. */
static enum reeve_err refuse_diverged(struct core *c, struct report *rep)
{
    struct note n;
    enum reeve_err err = note_read(c, slice_of(diverged_key, sizeof diverged_key), &n);
    if (err != REEVE_OK)
        return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
    struct rd r = rd_of(slice_of(n.mem, n.len));
    rd_u8(&r);
    report_set(rep, REEVE_E_CORRUPT, "the state of this member is not the ring's, which was found at entry %llu of the log",
               (unsigned long long) rd_u64(&r));
    report_hint(rep, "Keep a copy of the data directory for those who look for the cause. Drop this member from the ring "
                "(ALTER RING ... DROP MEMBER), and join anew with an empty directory.");
    return REEVE_E_CORRUPT;
}

static void collected_free(struct collected *k)
{
    wr_free(&k->notes);
}

static enum reeve_err open_log_once(struct core *c, const char *path, uint32_t segment_bytes, struct collected *k,
                                    struct wal_found *found, struct report *rep)
{
    struct wal_config wc = { segment_bytes, segment_bytes / 2 < WAL_BATCH_MAX ? segment_bytes / 2 : WAL_BATCH_MAX };
    struct wal_owner expect = { c->me.ring, c->me.id, c->me.incarnation };
    struct wal_visitor v = { .arg = k, .batch = on_batch, .meta = on_meta, .note = on_note };
    core_shelf_free(&c->shelf);
    core_shelf_init(&c->shelf, c->synced_index);
    *k = (struct collected){ .shelf = &c->shelf, .notes = wr_heap(NOTES_MAX) };
    c->batch_bytes = wc.batch_bytes_max - WAL_HEADER_LEN;
    return walfile_open(&c->wal, path, &wc, &expect, &v, found, NULL, rep);
}

/* A log keeps the size of segments that it was made with. */
static enum reeve_err open_log(struct core *c, const char *dir, uint32_t segment_bytes, struct collected *k,
                               struct wal_found *found, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    if (!datadir_path(path, sizeof path, dir, "wal"))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    enum reeve_err err = open_log_once(c, path, segment_bytes, k, found, rep);
    bool other = err == REEVE_OK && (found->meta_good[0] || found->meta_good[1]) && found->meta.segment_bytes != segment_bytes;
    if (!other)
        return err;
    walfile_close(c->wal, false);
    c->wal = NULL;
    collected_free(k);
    return open_log_once(c, path, found->meta.segment_bytes, k, found, rep);
}

static enum reeve_err open_links(struct core *c, const struct core_net *net, struct report *rep)
{
    return net ? core_links_open(c, net, rep) : REEVE_OK;
}

static enum reeve_err begin_new(struct core *c, uint64_t revision, struct wal_found *f, const struct core_net *net,
                                struct report *rep)
{
    if (f->verdict == WAL_MISSING)
        new_identity(c);
    else if (is_empty(f))
        c->me = (struct core_identity){ (uint32_t) f->meta.owner.member, f->meta.owner.incarnation, f->meta.owner.ring };
    else
        return refuse_found(f, rep);
    enum reeve_err err = open_links(c, net, rep);
    if (err == REEVE_OK)
        err = new_log(c, revision ? revision : 1, f, rep);
    f->hard = (struct wal_hard){ 0 };
    return err;
}

/*
 * Is what the log holds behind the state's index of the state's history? Where damage hides what stands at that index: an
 * entry behind it of the same term is by the same leader, and what was committed when the log wrote so is in every history.
 */
enum following { FOLLOWS, OVERRULED, UNPROVEN };
static enum following following(const struct core *c, const struct wal_found *f)
{
    uint64_t base = c->synced_index, known = found_term(c, f, base), next = 0;
    if (base == 0 || f->last <= base)
        return known == 0 || known == c->synced_term ? FOLLOWS : OVERRULED;
    if (known != 0)
        return known == c->synced_term ? FOLLOWS : OVERRULED;
    for (uint64_t i = base + 1; i <= f->last && next == 0; i++)
        next = i == f->last ? f->last_term : found_term(c, f, i);
    return next == c->synced_term || base <= f->hard.commit ? FOLLOWS : UNPROVEN;
}

/*
 * The state of a follower may be ahead of its own log (others held what was applied, or a state was installed as power
 * went), and what the log holds from there on may even be another history: it goes before the cut.
 */
static enum reeve_err overtake(struct core *c, const struct wal_found *f)
{
    uint64_t base = c->synced_index, ticket;
    enum reeve_err err = REEVE_OK;
    if (base <= f->cut)
        return err;
    if (!c->follows && base <= f->last) {
        struct wal_append a = { .first = base, .prev_term = base - 1 == f->cut ? f->cut_term : core_terms_at(&c->terms, base - 1),
                                .hard = f->hard };
        TRY(walfile_append(c->wal, &a, &ticket));
    }
    if (!c->follows || base > f->last) {
        walfile_cut(c->wal, base, c->synced_term);
        c->terms.n = 0;
        if (!core_terms_put(&c->terms, base, c->synced_term))
            err = REEVE_E_NOMEM;
    }
out:
    return err;
}

static enum reeve_err go_on(struct core *c, struct wal_found *f, struct report *rep)
{
    enum reeve_err err;
    TRY(shelf_settle(c, f));
    enum following how = following(c, f);
    bool lost = repairable(c, f) && !harmless(c, f);
    c->follows = how != OVERRULED;
    if (lost || (how == UNPROVEN && repairable(c, f))) {
        TRY(note_lost(c, f));
        bool end = c->lost_index == f->last && c->lost_term == f->last_term;
        return how == FOLLOWS && end && !c->shelf.bad ? keep_tail(c, f, rep) : give_up_tail(c, f, rep);
    }
    TRY(judge(c, f, rep));
    TRY(walfile_resume(c->wal, f, rep));
    TRY(overtake(c, f));
    if (!c->follows || c->synced_index > f->last)
        core_shelf_free(&c->shelf);     /* of another history, or not known to be of this one */
out:
    return err;
}

/* Let in and never started: the log of its own begins with nothing. */
static enum reeve_err begin_joined(struct core *c, struct wal_found *f, struct report *rep)
{
    struct wal_owner owner = { c->me.ring, c->me.id, c->me.incarnation };
    uint64_t salt;
    if (f->verdict != WAL_MISSING)
        return go_on(c, f, rep);
    random_bytes(&salt, sizeof salt);
    return walfile_format(c->wal, &owner, salt, rep);
}

static void on_state_fatal(void *arg, enum reeve_err err)
{
    struct core *c = arg;
    c->host.fatal(c->host.arg, err);
}

static enum reeve_err start(struct core *c)
{
    struct state_host h = { c->host.apply_arg, c->host.apply, c, core_run_applied, core_runs_synced, on_state_fatal };
    struct member_event e = { .type = MEMBER_E_START };
    struct member_status st;
    enum reeve_err err;
    TRY(walfile_watch(c->wal, c->loop, core_log_durable, c));
    TRY(state_start(&c->state, c->loop, c->store, c->revision, true, &h));
    core_links_configure(c);
    (void) core_step(c, &e);
    member_status(c->m, &st);
    if (c->alone)
        c->start_index = st.raft.last;
out:
    return err;
}

static enum reeve_err open_all(struct core *c, const char *dir, uint32_t segment_bytes, const struct core_net *net,
                               struct collected *k, struct wal_found *found, struct report *rep)
{
    enum reeve_err err = read_identity(c);
    bool fresh = err == REEVE_E_NOT_FOUND;
    if (err != REEVE_OK && !fresh)
        return report_set(rep, err, "the store does not say whose log it goes with (%s)", reeve_err_text(err));
    c->alone |= fresh;
    TRY(refuse_diverged(c, rep));
    TRY(damaged_read(c));
    TRY(open_log(c, dir, segment_bytes, k, found, rep));
    if (found->verdict != WAL_MISSING)
        log_notes(k);
    if (fresh)
        TRY(begin_new(c, c->revision, found, net, rep));
    else {
        TRY(c->joining ? begin_joined(c, found, rep) : go_on(c, found, rep));
        TRY(open_links(c, net, rep));
    }
    TRY(begin(c, found, rep));
    TRY(start(c));
    core_mend_start(c);
    TRY(c->joining ? await_state(c, rep) : c->alone ? catch_up(c, rep) : REEVE_OK);
out:
    return err;
}

enum reeve_err core_open(struct core **out, struct loop *loop, struct storage *store, const char *dir, uint32_t segment_bytes,
                         uint64_t revision, const struct core_host *host, const struct core_net *net, struct report *rep)
{
    struct core *c = calloc(1, sizeof *c);
    struct wal_found *found = malloc(sizeof *found);
    struct collected k = { .shelf = NULL };
    enum reeve_err err = REEVE_E_NOMEM;
    if (c && found) {
        c->loop = loop;
        c->led_ms = clock_mono().ms;
        c->store = store;
        c->host = *host;
        c->revision = revision;
        c->pending_tail = &c->pending;
        c->held_tail = &c->held;
        c->committed_tail = &c->committed;
        c->in.fd = -1;
        c->follows = true;
        c->quiet = true;
        snprintf(c->dir, sizeof c->dir, "%s", dir);
        err = open_all(c, dir, segment_bytes, net, &k, found, rep);
        c->quiet = false;
    }
    collected_free(&k);
    free(found);
    if (err == REEVE_OK) {
        *out = c;
        return err;
    }
    core_close(c);
    return report_set(rep, err, "the ring's log could not be opened (%s)", reeve_err_text(err));
}
