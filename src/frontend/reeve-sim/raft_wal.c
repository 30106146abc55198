/*
 * raft_wal.c - a member's log on its simulated disk: engine/wal driven as the server drives it, but for damage
 *
 * Holes are filled where they are (WAL_REPAIR); the server gives up everything
 * above its state instead (give_up_tail() in backend/ring/core_open.c).
 *
 * Segments that are dropped wait under the name spare-N and are taken again
 * with their old bytes, so that recovery meets stale frames. A write or sync
 * that fails ends the process.
 */
#include "raft_int.h"

#include <stdio.h>
#include <stdlib.h>

#define SPARES_MAX 2
#define REST_US 5000        /* as WALFILE_REST_MS */

/* An APPEND with its entries, copied when it was asked for: the window may change before the log has room. */
struct wal_item {
    struct wal_item *next;
    struct raft_append a;
    uint64_t cap;                       /* how far it may speak: a later truncation lowers it (see check_durable) */
    uint64_t prev_term;                 /* of the entry before truncate_from or first */
    size_t n, at;                       /* entries; how many are in the log */
    bool cut_done, reset_done;
    uint64_t ticket;
    int64_t since_us;
    bool taken;                         /* all of it is in the log, ticket is the last */
    struct wal_entry *entry;
};

static void item_free(struct wal_item *it)
{
    for (size_t i = 0; i < it->n; i++)
        free((void *) (uintptr_t) it->entry[i].data.p);
    free(it->entry);
    free(it);
}

void wal_run_free(struct wal_run *w)
{
    while (w->first != NULL) {
        struct wal_item *it = w->first;
        w->first = it->next;
        item_free(it);
    }
    for (uint64_t i = 0; w->kept != NULL && i < RIG_LOG_MAX; i++)
        free((void *) (uintptr_t) w->kept[i].data.p);
    free(w->kept);
    free(w->mem);
    *w = (struct wal_run){ 0 };
}

static void wal_alloc(struct node *n)
{
    const struct wal_config *c = &n->rig->p.wal;
    size_t size = (wal_size(c) + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
    n->wal.last = &n->wal.first;
    n->wal.watching = false;
    n->wal.mem = aligned_alloc(WAL_BLOCK, size);
    reeve_assert(n->wal.mem != NULL && wal_init(&n->wal.w, n->wal.mem, size, c) == REEVE_OK);
}

static struct wal_owner owner_of(const struct node *n)
{
    return (struct wal_owner){ RIG_RING, n->id, n->incarnation };
}

void wal_begin_format(struct node *n)
{
    struct wal_owner o = owner_of(n);
    wal_alloc(n);
    wal_format(n->wal.w, &o, sim_rng_next(&n->rig->w.rng));
    n->wal.formatting = true;
}

/* ---- files ---- */

static void file_name(char *out, struct wal_file f)
{
    switch (f.kind) {
    case WAL_FILE_SEGMENT: snprintf(out, SIM_NAME_MAX + 1, "seg-%06u", f.epoch); return;
    case WAL_FILE_IDENT:   snprintf(out, SIM_NAME_MAX + 1, "ident"); return;
    case WAL_FILE_META_A:  snprintf(out, SIM_NAME_MAX + 1, "meta-a"); return;
    case WAL_FILE_META_B:  snprintf(out, SIM_NAME_MAX + 1, "meta-b"); return;
    }
    reeve_assert(false);
}

static const char *spare_name(const struct node *n, unsigned *count)
{
    const char *found = NULL, *name;
    *count = 0;
    for (size_t i = 0; (name = sim_disk_name(&n->disk, i)) != NULL; i++)
        if (strncmp(name, "spare-", 6) == 0) {
            found = name;
            ++*count;
        }
    return found;
}

/* False: the disk is full. */
static bool segment_open(struct node *n, const char *name)
{
    unsigned spares;
    const char *spare = spare_name(n, &spares);
    char from[SIM_NAME_MAX + 1];
    if (spare == NULL && n->disk.p.capacity > 0 && sim_disk_used(&n->disk) + n->rig->p.wal.segment_bytes > n->disk.p.capacity)
        return false;
    if (spare != NULL) {
        snprintf(from, sizeof from, "%s", spare);
        sim_disk_rename(&n->disk, from, name);
        if (strcmp(from, n->bad_block_file) == 0)
            n->bad_block_file[0] = '\0';
    }
    sim_disk_extend(&n->disk, name, n->rig->p.wal.segment_bytes);
    return true;
}

static void segment_drop(struct node *n, const char *name)
{
    unsigned spares;
    char to[SIM_NAME_MAX + 1];
    spare_name(n, &spares);
    snprintf(to, sizeof to, "spare-%.30s", name + 4);
    if (spares < SPARES_MAX)
        sim_disk_rename(&n->disk, name, to);
    else
        sim_disk_remove(&n->disk, name);
}

/* ---- effects ---- */

static void died_of_disk(struct node *n, enum reeve_err err)
{
    sim_trace(&n->rig->w, n->slot, K_NOTE, 1, err, 0);
    node_die(n, DEATH_KILL);
    node_restart_after(n, sim_rng_between(&n->rig->w.rng, 200000, 2000000));
}

static void full_event(void *ctx, struct sim_event *e)
{
    died_of_disk(ctx, REEVE_E_DISK_FULL);
}

static void frame_written(struct node *n, const struct wal_effect *f)
{
    struct wal_frame h;
    if (wal_frame_decode(&h, f->data.p) != REEVE_OK || h.count == 0 || h.flags & WAL_REPAIR)
        return;
    n->wal.written[n->wal.n_written++ % WAL_WRITTEN_MAX] = (struct wal_written){ { f->file.epoch, f->offset }, h.first,
                                                                                 h.first + h.count - 1, WAL_HEADER_LEN + h.payload_len };
}

static void effect_start(struct node *n, const struct wal_effect *f)
{
    char name[SIM_NAME_MAX + 1];
    file_name(name, f->file);
    n->wal.busy[f->lane] = true;
    n->wal.file[f->lane] = f->file;
    n->wal.steps[f->lane] = 0;
    switch (f->type) {
    case WAL_DO_WRITE:
        if (f->file.kind == WAL_FILE_SEGMENT) {
            n->wal.recent[1] = n->wal.recent[0];
            n->wal.recent[0] = (struct wal_mark){ f->file.epoch, f->offset };
            frame_written(n, f);
        }
        if (strcmp(name, n->bad_block_file) == 0 && f->offset <= n->bad_block_off && n->bad_block_off < f->offset + f->data.len)
            n->bad_block_file[0] = '\0';        /* written again, it is good again */
        astray_write(n, name, f);
        n->wal.log_writes |= f->lane == WAL_LANE_LOG;
        sim_disk_write(&n->disk, name, f->offset, f->data, true, f->lane);
        /* A file that is new needs its name durable as well. */
        n->wal.steps[f->lane] = f->file.kind != WAL_FILE_SEGMENT;
        break;
    case WAL_DO_OPEN:
        if (!segment_open(n, name)) {
            sim_after(&n->rig->w, 100, n->slot, full_event, n, NULL, 0);
            break;
        }
        n->wal.steps[f->lane] = 1;
        sim_disk_sync(&n->disk, name, f->lane);
        break;
    case WAL_DO_DROP:
        segment_drop(n, name);
        sim_disk_sync(&n->disk, "", f->lane);
        break;
    }
}

/* As walfile_lane.c: a while without a batch, and the log rests. */
static void rest_event(void *ctx, struct sim_event *e)
{
    struct node *n = ctx;
    struct wal_status s;
    wal_status(n->wal.w, &s);
    n->wal.watching = false;
    if (s.seq == e->a)
        wal_rest(n->wal.w);
    wal_pump(n);
}

static void watch(struct node *n)
{
    struct wal_status s;
    wal_status(n->wal.w, &s);
    n->wal.watching = true;
    sim_after(&n->rig->w, REST_US, n->slot, rest_event, n, NULL, 0)->a = s.seq;
}

void wal_pump(struct node *n)
{
    struct wal_effect f;
    for (int lane = 0; lane < WAL_LANES; lane++)
        while (!n->wal.busy[lane] && wal_next(n->wal.w, (enum wal_lane) lane, &f))
            effect_start(n, &f);
    if (!n->wal.watching && wal_wants_rest(n->wal.w))
        watch(n);
}

/* ---- taking appends ---- */

static struct wal_entry entry_copy(const struct raft_entry *e)
{
    uint8_t *p = malloc(e->data.len + 1);
    reeve_assert(p != NULL);
    if (e->data.len > 0)
        memcpy(p, e->data.p, e->data.len);
    return (struct wal_entry){ e->term, e->kind, slice_of(p, e->data.len) };
}

static bool hard_changed(const struct wal_status *s, const struct raft_append *a)
{
    return s->hard.term != a->term || s->hard.vote != a->vote;
}

/* Up to `last` only: nothing at or below it is superseded any more, and a hole's filling has come no further. */
static struct wal_hard hard_of(const struct wal_status *s, const struct raft_append *a, uint64_t last)
{
    uint64_t commit = a->commit < last ? a->commit : last;
    return (struct wal_hard){ a->term, a->vote, commit > s->hard.commit ? commit : s->hard.commit };
}

static enum reeve_err put(struct node *n, struct wal_item *it, uint64_t first, uint64_t prev_term, const struct wal_entry *e,
                          size_t count, uint8_t flags)
{
    struct wal_status s;
    wal_status(n->wal.w, &s);
    struct wal_append a = { .first = first, .prev_term = prev_term, .entry = e, .n = count, .flags = flags,
                            .hard = hard_of(&s, &it->a, flags & WAL_REPAIR ? first + count - 1 : UINT64_MAX) };
    enum reeve_err err = wal_append(n->wal.w, &a, &it->ticket);
    reeve_assert(err == REEVE_OK || err == REEVE_E_AGAIN);
    if (err != REEVE_OK)
        return err;
    sim_trace(&n->rig->w, n->slot, K_WAL, first, count, flags);
    if (!(flags & WAL_REPAIR))
        for (uint64_t i = first; i <= s.last && i < RIG_LOG_MAX; i++)
            n->wal.term[i] = 0;
    for (size_t i = 0; i < count; i++)
        n->wal.term[first + i] = e[i].term;
    return REEVE_OK;
}

/* The state of a snapshot took the log's place: what stands at its index and behind is another history, or is known to the note. */
static enum reeve_err put_reset(struct node *n, struct wal_item *it)
{
    enum reeve_err err = REEVE_OK;
    struct wal_status s;
    wal_status(n->wal.w, &s);
    uint64_t at = it->a.reset_index;
    if (at <= s.last && at > s.cut)
        TRY(put(n, it, at, n->wal.term[at - 1], NULL, 0, 0));
    wal_cut(n->wal.w, at, it->a.reset_term);
    n->wal.term[at] = it->a.reset_term;
    it->reset_done = true;
out:
    return err;
}

static bool in_hole(const struct node *n, const struct wal_item *it, size_t i)
{
    return wal_holes_touch(&n->wal.holes, it->a.first + i, it->a.first + i);
}

/* How many entries from it->at on go together into one batch; of a fill: are all in a hole, or all stand in the files already. */
static size_t stretch(struct node *n, const struct wal_item *it)
{
    size_t count = 0, bytes = 0, max = n->rig->p.wal.batch_bytes_max - WAL_HEADER_LEN;
    for (size_t i = it->at; i < it->n; i++, count++) {
        bytes += WAL_ENTRY_HEAD + it->entry[i].data.len;
        if (count > 0 && (bytes > max || (it->a.fill && in_hole(n, it, i) != in_hole(n, it, it->at))))
            break;
    }
    return count;
}

static enum reeve_err put_entries(struct node *n, struct wal_item *it)
{
    enum reeve_err err = REEVE_OK;
    while (it->at < it->n) {
        size_t count = stretch(n, it);
        uint64_t prev = it->at == 0 ? it->prev_term : it->entry[it->at - 1].term;
        if (!it->a.fill || in_hole(n, it, it->at))
            TRY(put(n, it, it->a.first + it->at, prev, it->entry + it->at, count, it->a.fill ? WAL_REPAIR : 0));
        it->at += count;
    }
out:
    return err;
}

static enum reeve_err put_item(struct node *n, struct wal_item *it)
{
    enum reeve_err err = REEVE_OK;
    struct wal_status s;
    if (it->a.reset && !it->reset_done)
        TRY(put_reset(n, it));
    /* Entries from truncate_from on supersede by themselves. */
    if (it->a.truncate_from > 0 && !it->cut_done && (it->n == 0 || it->a.first != it->a.truncate_from))
        TRY(put(n, it, it->a.truncate_from, it->prev_term, NULL, 0, 0));
    if (it->a.truncate_from > 0 && !it->cut_done && it->n > 0)
        for (uint64_t i = it->a.truncate_from; i < RIG_LOG_MAX && n->wal.term[i] != 0; i++)
            n->wal.term[i] = 0;         /* nothing there counts as already written */
    it->cut_done = true;
    TRY(put_entries(n, it));
    wal_status(n->wal.w, &s);
    if (hard_changed(&s, &it->a))
        TRY(put(n, it, s.last + 1, s.last_term, NULL, 0, 0));
    if (it->ticket == 0)
        it->ticket = s.tickets;         /* nothing was left to write: as durable as what came before */
    it->taken = true;
out:
    return err;
}

static void items_put(struct node *n)
{
    for (struct wal_item *it = n->wal.first; it != NULL; it = it->next)
        if (!it->taken && put_item(n, it) != REEVE_OK)
            return;
}

void wal_take(struct node *n, const struct raft_append *a)
{
    const struct raft_log *log = member_log(n->m);
    struct wal_item *it = calloc(1, sizeof *it);
    reeve_assert(it != NULL);
    it->a = *a;
    it->since_us = n->rig->w.now_us;
    it->n = a->first <= a->last ? (size_t) (a->last - a->first + 1) : 0;
    it->entry = calloc(it->n + 1, sizeof *it->entry);
    reeve_assert(it->entry != NULL && a->last < RIG_LOG_MAX - 1);
    for (size_t i = 0; i < it->n; i++) {
        struct raft_entry e;
        log->ops->entry(log->arg, a->first + i, &e);
        it->entry[i] = entry_copy(&e);
    }
    uint64_t before = a->truncate_from > 0 ? a->truncate_from : it->n > 0 ? a->first : 0;
    if (before > 0)
        it->prev_term = log->ops->term(log->arg, before - 1);
    for (struct wal_item *p = n->wal.first; p != NULL; p = p->next) {
        uint64_t cap = a->reset ? a->reset_index : a->truncate_from > 0 ? a->truncate_from - 1 : UINT64_MAX;
        if (cap < p->cap)
            p->cap = cap;
    }
    if (n->wal.tail && a->fill && a->last >= n->wal.tail_last)
        n->wal.tail = false;
    else if (n->wal.tail && !a->fill && (it->n > 0 || a->truncate_from > 0 || a->reset)) {
        n->wal.tail = false;
        check_given_up(n, before > 0 ? before : a->reset_index + 1);
    }
    check_append(n, a);
    it->cap = n->sh.last;
    *n->wal.last = it;
    n->wal.last = &it->next;
    items_put(n);
    wal_pump(n);
}

/* ---- completion ---- */

/* Reports what became durable; true when there is news for the member. */
static bool items_done(struct node *n, uint64_t *seq)
{
    uint64_t durable = wal_durable(n->wal.w);
    bool news = false;
    while (n->wal.first != NULL && n->wal.first->taken && n->wal.first->ticket <= durable) {
        struct wal_item *it = n->wal.first;
        check_durable(n, &it->a, it->cap);
        *seq = it->a.seq;
        news = true;
        if ((n->wal.first = it->next) == NULL)
            n->wal.last = &n->wal.first;
        item_free(it);
    }
    return news;
}

static void report(struct node *n)
{
    uint64_t seq;
    while (n->m != NULL && items_done(n, &seq)) {
        n->wal.seq_done = seq;
        nodes_messages_durable(n);
        node_step(n, &(struct member_event){ .type = MEMBER_E_APPENDED, .seq = seq });
        items_put(n);
        wal_pump(n);
    }
}

/* A file or folder step of an effect with several; true while there are more. */
static bool next_step(struct node *n, enum wal_lane lane)
{
    if (n->wal.steps[lane] == 0)
        return false;
    n->wal.steps[lane]--;
    sim_disk_sync(&n->disk, "", lane);
    return true;
}

void wal_done(void *host, int node, uint64_t cookie, enum reeve_err err)
{
    struct node *n = host;
    enum wal_lane lane = (enum wal_lane) cookie;
    (void) node;
    if (n->wal.w == NULL)
        return;
    if (err != REEVE_OK) {
        died_of_disk(n, err);
        return;
    }
    astray_done(n, lane);
    if (next_step(n, lane))
        return;
    n->wal.busy[lane] = false;
    n->wal.log_writes &= lane != WAL_LANE_LOG;
    wal_complete(n->wal.w, lane);
    items_put(n);
    wal_pump(n);
    if (n->wal.formatting && wal_idle(n->wal.w)) {
        n->wal.formatting = false;
        node_start(n);
        return;
    }
    report(n);
}

int64_t wal_waits_us(const struct node *n)
{
    int64_t since = n->wal.first != NULL ? n->wal.first->since_us : INT64_MAX;
    if (n->ran_since_us > since)
        since = n->ran_since_us;
    return n->wal.first != NULL ? n->rig->w.now_us - since : 0;
}

/* An append that had nothing to write completes without a disk: soon, not within its own step. */
static void report_event(void *ctx, struct sim_event *e)
{
    report(ctx);
}

void wal_report_soon(struct node *n)
{
    if (n->wal.first != NULL && n->wal.first->taken && n->wal.first->ticket <= wal_durable(n->wal.w))
        sim_after(&n->rig->w, 0, n->slot, report_event, n, NULL, 0);
}

/* Others may have lost what this state has already (ring-driver.md, Repair). */
#define CUT_EVERY_US 250000
static void cut_later(struct node *n, uint64_t index, uint64_t term)
{
    struct wal_run *w = &n->wal;
    if (n->rig->w.now_us - w->cut_next[3].at_us < CUT_EVERY_US)
        return;
    if (w->cut_next[0].index > 0)
        wal_cut(w->w, w->cut_next[0].index, w->cut_next[0].term);
    memmove(&w->cut_next[0], &w->cut_next[1], 3 * sizeof w->cut_next[0]);
    w->cut_next[3].index = index;
    w->cut_next[3].term = term;
    w->cut_next[3].at_us = n->rig->w.now_us;
}

void wal_keep(struct node *n, uint64_t keep)
{
    struct wal_status s;
    wal_status(n->wal.w, &s);
    if (keep == 0 || keep - 1 <= s.cut || keep - 1 > s.last || n->wal.term[keep - 1] == 0)
        return;
    if (keep - 1 > n->stored.index)
        violation(n->rig, "purged <= stored", "n%d would cut its log at %llu, its store stands at %llu", n->slot,
                  (unsigned long long) keep - 1, (unsigned long long) n->stored.index);
    cut_later(n, keep - 1, n->wal.term[keep - 1]);
    wal_pump(n);
}

void wal_base(struct node *n, uint64_t base, uint64_t base_term)
{
    wal_cut(n->wal.w, base, base_term);
    n->wal.term[base] = base_term;
}

/* ---- recovery ---- */

struct found_entry { uint64_t term; uint8_t kind; struct slice data; };
struct reading { struct node *n; struct found_entry *e; uint64_t last; };

static enum reeve_err read_list(void *arg, uint32_t *epochs, size_t max, size_t *count)
{
    struct reading *rg = arg;
    const char *name;
    *count = 0;
    for (size_t i = 0; (name = sim_disk_name(&rg->n->disk, i)) != NULL; i++) {
        unsigned epoch;
        if (sscanf(name, "seg-%u", &epoch) != 1 || *count == max)
            continue;
        size_t at = (*count)++;
        for (; at > 0 && epochs[at - 1] > epoch; at--)
            epochs[at] = epochs[at - 1];
        epochs[at] = epoch;
    }
    return REEVE_OK;
}

static enum reeve_err read_some(void *arg, struct wal_file file, uint64_t off, void *buf, size_t len, size_t *got)
{
    struct reading *rg = arg;
    char name[SIM_NAME_MAX + 1];
    struct slice s;
    file_name(name, file);
    *got = 0;
    if (!sim_disk_read(&rg->n->disk, name, &s))
        return REEVE_E_NOT_FOUND;
    const struct node *n = rg->n;
    if (strcmp(name, n->bad_block_file) == 0 && off < n->bad_block_off + WAL_BLOCK && off + len > n->bad_block_off)
        return REEVE_E_IO;
    if (off < s.len)
        *got = s.len - off < len ? s.len - off : len;
    if (*got > 0)
        memcpy(buf, s.p + off, *got);
    return REEVE_OK;
}

static void forget_from(struct reading *rg, uint64_t from)
{
    for (uint64_t i = from; i <= rg->last && i < RIG_LOG_MAX; i++) {
        free((void *) (uintptr_t) rg->e[i].data.p);
        rg->e[i] = (struct found_entry){ 0 };
    }
}

static void read_batch(void *arg, const struct wal_frame *f, struct slice payload)
{
    struct reading *rg = arg;
    struct rd r = rd_of(payload);
    struct wal_entry e;
    uint64_t index = f->first;
    if (!(f->flags & WAL_REPAIR))
        forget_from(rg, f->first);
    while (wal_entry_next(&r, &e) && index < RIG_LOG_MAX) {
        struct raft_entry re = { index, e.term, e.kind, e.data };
        struct wal_entry copy = entry_copy(&re);
        free((void *) (uintptr_t) rg->e[index].data.p);
        rg->e[index++] = (struct found_entry){ copy.term, copy.kind, copy.data };
    }
    if (!(f->flags & WAL_REPAIR))
        rg->last = f->last;
    else if (index > 0 && index - 1 > rg->last)
        rg->last = index - 1;
}

static void read_note(void *arg, struct wal_file file, uint64_t offset, const char *text)
{
    struct reading *rg = arg;
    sim_trace_text(&rg->n->rig->w, rg->n->slot, K_NOTE, 2, file.epoch, offset, "%s", text);
}

/* ---- what was found, as the server judges it (core_open.c) ---- */

static uint64_t found_term(const struct reading *rg, const struct wal_found *f, uint64_t index)
{
    if (index == f->cut)
        return f->cut_term;
    return index < f->cut || index > f->last || index >= RIG_LOG_MAX || wal_holes_touch(&f->holes, index, index) ? 0 : rg->e[index].term;
}

enum following { FOLLOWS, OVERRULED, UNPROVEN };
static enum following following(const struct reading *rg, const struct wal_found *f, uint64_t base, uint64_t base_term)
{
    uint64_t known = found_term(rg, f, base), next = 0;
    if (base == 0 || f->last <= base)
        return known == 0 || known == base_term ? FOLLOWS : OVERRULED;
    if (known != 0)
        return known == base_term ? FOLLOWS : OVERRULED;
    for (uint64_t i = base + 1; i <= f->last && next == 0; i++)
        next = i == f->last ? f->last_term : found_term(rg, f, i);
    return next == base_term || base <= f->hard.commit ? FOLLOWS : UNPROVEN;
}

static bool damaged_above(const struct wal_found *f, uint64_t base)
{
    for (uint32_t i = 0; i < f->holes.n; i++)
        if (f->holes.r[i].last > base)
            return true;
    return false;
}

static void restore_entries(struct node *n, const struct reading *rg, const struct wal_found *f, uint64_t base)
{
    for (uint64_t i = base + 1; i <= f->last && i < RIG_LOG_MAX && !wal_holes_touch(&f->holes, i, i); i++) {
        if (rg->e[i].term == 0) {
            violation(n->rig, "log has no gap", "n%d: entry %llu of %llu is missing and nobody says so", n->slot,
                      (unsigned long long) i, (unsigned long long) f->last);
            return;
        }
        struct raft_entry e = { i, rg->e[i].term, rg->e[i].kind, rg->e[i].data };
        if (member_entry_restore(n->m, &e) != REEVE_OK)
            violation(n->rig, "restart", "n%d: entry %llu is refused", n->slot, (unsigned long long) i);
    }
}

static void note_lost(struct node *n, struct wal_found *f, uint64_t base)
{
    if (f->last_term > n->lost_term || (f->last_term == n->lost_term && f->last > n->lost_index)) {
        n->lost_index = f->last;
        n->lost_term = f->last_term;
    }
    if (f->hard.commit > base)
        f->hard.commit = base;
}

static void truncate_found(struct node *n, const struct wal_found *f, uint64_t from, uint64_t prev_term)
{
    struct wal_append a = { .first = from, .prev_term = prev_term, .hard = f->hard };
    uint64_t ticket;
    reeve_assert(wal_append(n->wal.w, &a, &ticket) == REEVE_OK);
    for (uint64_t i = from; i < RIG_LOG_MAX; i++)
        n->wal.term[i] = 0;
}

static void keep_read(struct node *n, struct reading *rg, const struct wal_found *f)
{
    n->wal.kept = calloc(RIG_LOG_MAX, sizeof *n->wal.kept);
    reeve_assert(n->wal.kept != NULL);
    for (uint64_t i = 0; i < RIG_LOG_MAX; i++) {
        n->wal.kept[i] = (struct wal_kept){ rg->e[i].term, rg->e[i].kind, rg->e[i].data };
        rg->e[i] = (struct found_entry){ 0 };
    }
    n->wal.kept_last = f->last;
    n->wal.kept_low = f->cut;
}

static void resume(struct node *n, struct reading *rg, struct wal_found *f, uint64_t base, uint64_t base_term)
{
    enum following how = following(rg, f, base, base_term);
    bool lost = f->verdict == WAL_CORRUPT && f->last > base && (damaged_above(f, base) || how == UNPROVEN), tail = false;
    if (lost) {
        note_lost(n, f, base);
        tail = how == FOLLOWS && n->lost_index == f->last && n->lost_term == f->last_term;
        if (!tail && base > f->cut && f->hard.commit >= base)
            f->hard.commit = base - 1;
    }
    wal_alloc(n);
    reeve_assert(wal_resume(n->wal.w, f) == REEVE_OK);
    for (uint64_t i = 0; i < RIG_LOG_MAX; i++)
        n->wal.term[i] = found_term(rg, f, i);
    n->wal.holes = f->holes;
    if (tail || (!lost && how != OVERRULED))
        restore_entries(n, rg, f, base);
    if (tail) {
        n->wal.tail = true;
        n->wal.tail_last = f->last;
        n->wal.tail_term = f->last_term;
    } else if (lost) {
        bool all = base > f->cut;
        uint64_t from = all ? base : base + 1;
        truncate_found(n, f, from, all ? n->wal.term[base - 1] : base_term);
        if (all)
            wal_base(n, base, base_term);
        check_given_up(n, base + 1);
    } else if (base > f->cut) {
        /* The store may be ahead of the log, and what the log holds from there on another history. */
        if (how == OVERRULED && base <= f->last)
            truncate_found(n, f, base, n->wal.term[base - 1]);
        if (how == OVERRULED || base > f->last)
            wal_base(n, base, base_term);
    }
    if (tail || (!lost && how != OVERRULED && base <= f->last))
        keep_read(n, rg, f);
}

bool wal_kept_entry(const struct node *n, uint64_t index, struct raft_entry *out)
{
    const struct wal_run *w = &n->wal;
    if (w->kept == NULL || index <= w->kept_low || index > w->kept_last || wal_holes_touch(&w->holes, index, index) || w->kept[index].term == 0)
        return false;
    *out = (struct raft_entry){ index, w->kept[index].term, w->kept[index].kind, w->kept[index].data };
    return true;
}

void wal_kept_drop(struct node *n)
{
    for (uint64_t i = 0; n->wal.kept != NULL && i < RIG_LOG_MAX; i++)
        free((void *) (uintptr_t) n->wal.kept[i].data.p);
    free(n->wal.kept);
    n->wal.kept = NULL;
}

enum wal_verdict wal_begin_recover(struct node *n, struct raft_start *s, uint64_t base, uint64_t base_term)
{
    static struct wal_found f;
    static _Alignas(WAL_BLOCK) uint8_t scratch[12u << 20];
    static struct found_entry entries[RIG_LOG_MAX];
    static uint64_t terms[RIG_LOG_MAX], hashes[RIG_LOG_MAX];
    struct reading rg = { .n = n, .e = entries };
    struct wal_reader reader = { &rg, read_list, read_some };
    struct wal_visitor visitor = { .arg = &rg, .batch = read_batch, .note = read_note };
    struct wal_owner owner = owner_of(n);
    reeve_assert(wal_recover_scratch() <= sizeof scratch);
    memset(entries, 0, sizeof entries);
    sim_disk_settle(&n->disk);          /* whoever died may have left what only reading shows: sync before judging */
    wal_recover(&n->rig->p.wal, &reader, &owner, scratch, &visitor, &f);
    sim_trace_text(&n->rig->w, n->slot, K_WAL, 100 + f.verdict, f.last, f.hard.term, "%s last %llu holes %u: %s",
                   wal_verdict_name(f.verdict), (unsigned long long) f.last, f.holes.n, f.reason);
    for (uint64_t i = 0; i < RIG_LOG_MAX; i++)
        terms[i] = wal_holes_touch(&f.holes, i, i) ? 0 : entries[i].term;
    for (uint64_t i = 0; i < RIG_LOG_MAX; i++)
        hashes[i] = terms[i] ? entry_hash(terms[i], entries[i].kind, entries[i].data) : 0;
    check_recovered(n, &f, terms, hashes);
    for (uint64_t i = f.cut + 1; i <= f.last && i < RIG_LOG_MAX; i++)
        if (terms[i] != 0)
            n->sh.conf[i] = entries[i].kind == RAFT_CONF;
    if (f.verdict <= WAL_CORRUPT && !n->rig->violated)
        resume(n, &rg, &f, base, base_term);
    s->term = f.hard.term;
    s->vote = (uint32_t) f.hard.vote;
    s->commit = f.hard.commit;
    if (n->lost_index != 0) {
        s->mode = RAFT_START_REPAIR;
        s->last_index = n->lost_index;
        s->last_term = n->lost_term;
    }
    forget_from(&rg, 0);
    for (uint64_t i = 0; i < RIG_LOG_MAX; i++)
        free((void *) (uintptr_t) entries[i].data.p);
    return f.verdict;
}
