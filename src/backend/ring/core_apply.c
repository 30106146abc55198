/* core_apply.c - committed commands to the state writer, their answers back. */
#include <stdlib.h>

#include "backend/ring/core_int.h"
#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define RUN_BYTES_MAX (1u << 30)

/* ---- a run is filled ---- */

static struct core_command *add_command(struct core_run *r)
{
    if (r->run.n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 16;
        struct core_command *cmd = realloc(r->cmd, cap * sizeof *cmd);
        if (cmd == NULL)
            return NULL;
        r->cmd = cmd;
        r->cap = cap;
    }
    struct core_command *k = &r->cmd[r->run.n++];
    *k = (struct core_command){ .at = r->bytes.len };
    return k;
}

static bool take_commands(struct core *c, struct core_run *r)
{
    struct member_command mc;
    while (member_apply_next(c->m, &mc)) {
        struct core_command *k = add_command(r);
        if (k == NULL)
            return false;
        k->ticket = mc.ticket;
        k->early = c->host.early(mc.command);
        k->c.command.len = mc.command.len;
        r->run.early &= k->early;
        wr_bytes(&r->bytes, mc.command.p, mc.command.len);
    }
    r->run.bytes = r->bytes.len;
    return !r->bytes.bad;
}

#define ROW_KEY_LEN 6u

/* Key and value one after the other; their places are known when all bytes are there. */
static bool take_rows(struct core *c, struct core_run *r)
{
    uint32_t row;
    for (;;) {
        size_t at = r->bytes.len;
        wr_u8(&r->bytes, LOG_KV_PREFIX);
        wr_u8(&r->bytes, 'r');
        wr_u32(&r->bytes, 0);
        if (r->bytes.bad)
            return false;
        if (!member_row_next(c->m, &row, &r->bytes)) {
            r->bytes.len = at;
            return true;
        }
        wr_patch_u32(&r->bytes, at + 2, row);
        if (r->n_rows == r->rows_cap) {
            size_t cap = r->rows_cap ? 2 * r->rows_cap : 4;
            struct state_row *more = realloc(r->row, cap * sizeof *more);
            if (more == NULL)
                return false;
            r->row = more;
            r->rows_cap = cap;
        }
        r->row[r->n_rows++] = (struct state_row){ slice_of(NULL, ROW_KEY_LEN), slice_of(NULL, r->bytes.len - at - ROW_KEY_LEN) };
    }
}

static void place(struct core_run *r)
{
    const uint8_t *at = r->bytes.p;
    for (size_t i = 0; i < r->run.n; i++) {
        r->cmd[i].c.command.p = r->bytes.p + r->cmd[i].at;
        r->cmd[i].c.next = i + 1 < r->run.n ? &r->cmd[i + 1].c : NULL;
        at = r->cmd[i].c.command.p + r->cmd[i].c.command.len;
    }
    for (size_t i = 0; i < r->n_rows; i++) {
        r->row[i].key.p = at;
        r->row[i].value.p = at + ROW_KEY_LEN;
        at += ROW_KEY_LEN + r->row[i].value.len;
    }
    r->run.first = r->run.n ? &r->cmd[0].c : NULL;
    r->run.row = r->row;
    r->run.n_rows = r->n_rows;
}

/* Handed out is handed out: without memory for it there is no going on. */
void core_apply(struct core *c, uint64_t index)
{
    const struct raft_log *log = member_log(c->m);
    struct core_run *r = calloc(1, sizeof *r);
    if (r == NULL)
        core_die(c, REEVE_E_NOMEM, "apply the log");
    r->bytes = wr_heap(RUN_BYTES_MAX);
    r->run.early = true;
    r->index = index;
    r->term = log->ops->term(log->arg, index);
    if (!take_commands(c, r) || !take_rows(c, r) || r->bytes.bad)
        core_die(c, REEVE_E_NOMEM, "apply the log");
    place(r);
    c->bytes += r->run.bytes;
    *c->committed_tail = r;
    c->committed_tail = &r->committed;
    state_put(c->state, &r->run);
}

/* ---- a state that is not the ring's ---- */

/* A run without commands that writes a row of this member's own; an empty value: that deletes it. */
static void note_own(struct core *c, uint8_t key, struct slice value)
{
    struct core_run *r = calloc(1, sizeof *r);
    if (r == NULL || (r->row = malloc(sizeof *r->row)) == NULL)
        core_die(c, REEVE_E_NOMEM, "note something in the store");
    r->bytes = wr_heap(64);
    wr_u8(&r->bytes, LOG_KV_PREFIX);
    wr_u8(&r->bytes, key);
    wr_bytes(&r->bytes, value.p, value.len);
    if (r->bytes.bad)
        core_die(c, REEVE_E_NOMEM, "note something in the store");
    r->own = true;
    r->row[0] = (struct state_row){ slice_of(r->bytes.p, 2), slice_of(r->bytes.p + 2, value.len) };
    r->run.row = r->row;
    r->run.n_rows = 1;
    state_put(c->state, &r->run);
}

static void mark_diverged(struct core *c, uint64_t index)
{
    uint8_t mem[9];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u8(&w, 1);
    wr_u64(&w, index);
    note_own(c, 'q', wr_slice(&w));
}

/* ---- a log that holds again what it had lost ---- */

void core_repaired(struct core *c)
{
    struct raft_status st;
    raft_status(member_raft(c->m), &st);
    c->repaired_last = c->lost_index != 0 ? st.last : 0;
}

void core_repaired_check(struct core *c)
{
    struct raft_status st;
    if (c->repaired_last == 0)
        return;
    raft_status(member_raft(c->m), &st);
    if (st.durable < c->repaired_last)
        return;
    log_info("the log holds again what it had lost");
    c->repaired_last = c->lost_index = 0;
    note_own(c, 'd', slice_of(NULL, 0));
}

void core_quarantine(struct core *c, const struct member_effect *f)
{
    if (f->err != REEVE_E_CORRUPT) {
        log_fatal("the log's entry %llu cannot be applied by this program", (unsigned long long) f->index);
        core_die(c, REEVE_E_UNSUPPORTED, "apply the log");
    }
    log_error("the state of this member is not the ring's (found at entry %llu): it serves nothing that must be right any more; "
              "drop it from the ring and join anew with an empty directory", (unsigned long long) f->index);
    mark_diverged(c, f->index);
}

void core_run_free(struct core_run *r)
{
    for (size_t i = 0; i < r->run.n; i++)
        state_command_clear(&r->cmd[i].c);
    wr_free(&r->bytes);
    free(r->cmd);
    free(r->row);
    free(r->install);
    free(r);
}

/* ---- answers ---- */

static void answer(struct core *c, struct core_command *k)
{
    uint64_t ticket = k->ticket;
    k->ticket = 0;
    if (ticket)
        c->host.done(c->host.arg, ticket, REEVE_OK, &k->c);
}

/* The thread may be at it: the host gets an answer that says nothing but OK. */
static void answer_unapplied(struct core *c, struct core_command *k)
{
    struct state_command nothing = { .command = k->c.command };
    uint64_t ticket = k->ticket;
    k->ticket = 0;
    c->host.done(c->host.arg, ticket, REEVE_OK, &nothing);
}

/*
 * The store may be at a sync for long; what needs none of its answers goes on meanwhile, and so does handing out. Nobody reads
 * what is not there yet: readers wait for synced_index (core_reads_check).
 */
static void take_for_applied(struct core *c, struct core_run *r)
{
    struct member_event e = { .type = MEMBER_E_APPLIED, .index = r->index };
    r->told = true;
    (void) core_step(c, &e);
    for (size_t i = 0; i < r->run.n; i++)
        if (r->cmd[i].ticket != 0) {
            c->early_index = r->index;
            answer_unapplied(c, &r->cmd[i]);
        }
}

/* Whoever writes faster than the store takes waits for it, as for everything else. */
void core_committed(struct core *c)
{
    struct core_run *r = c->committed, *next;
    c->committed = NULL;
    c->committed_tail = &c->committed;
    for (; r; r = next) {
        next = r->committed;
        if (r->run.early && r->run.n > 0 && c->bytes <= CORE_EARLY_BYTES)
            take_for_applied(c, r);
    }
}

/* The run that ended there is the newest that was handed out: the next one waits for this. */
void core_tell_hash(struct core *c)
{
    struct member_event e = { .type = MEMBER_E_HASHED, .index = c->hash_index };
    struct wr w = wr_fixed(e.hash.b, sizeof e.hash.b);
    if (c->hash_index == 0 || c->sum_index < c->hash_index)
        return;
    reeve_assert(c->hash_index == c->sum_index);
    wr_u32(&w, c->sum.crc);
    wr_u64(&w, c->sum.writes);
    wr_u64(&w, c->sum.bytes);
    c->hash_index = 0;
    (void) core_step(c, &e);
}

/* A command that may be answered before it is applied cannot be refused; one that was has been promised in vain. */
static void look_for_refused(const struct core_run *r)
{
    for (size_t i = 0; i < r->run.n; i++)
        if (r->cmd[i].early && r->cmd[i].c.err != REEVE_OK)
            log_error("a command of the log's entry %llu was answered and then refused by the state: %s",
                      (unsigned long long) r->index, reeve_err_text(r->cmd[i].c.err));
}

/* The thread may still need what is early: the host only looks. */
void core_run_applied(void *arg, struct state_run *run)
{
    struct core *c = arg;
    struct core_run *r = (struct core_run *) run;
    struct member_event e = { .type = MEMBER_E_APPLIED, .index = r->index };
    if (r->install || r->own)
        return;                         /* told when it is synced; nothing of the log's */
    c->sum = run->sum;
    c->sum_index = r->index;
    if (!r->told)
        (void) core_step(c, &e);
    core_tell_hash(c);
    for (size_t i = 0; i < r->run.n; i++) {
        if (!r->cmd[i].early || r->cmd[i].ticket == 0)
            continue;
        c->early_index = r->index;
        answer(c, &r->cmd[i]);
    }
}

static void cut_log(struct core *c, const struct core_run *r)
{
    int64_t now = clock_mono().ms;
    if (now - c->cut_ms < CORE_CUT_MS || r->index >= member_wal_keep(c->m))
        return;
    c->cut_ms = now;
    if (c->cut_next[0].index > 0)
        walfile_cut(c->wal, c->cut_next[0].index, c->cut_next[0].term);
    memmove(&c->cut_next[0], &c->cut_next[1], (CORE_CUT_LAG - 1) * sizeof c->cut_next[0]);
    c->cut_next[CORE_CUT_LAG - 1].index = r->index;
    c->cut_next[CORE_CUT_LAG - 1].term = r->term;
}

static void tell_applied(struct core *c, struct state_run *runs)
{
    uint64_t before = c->revision;
    for (struct state_run *run = runs; run; run = run->later)
        for (struct state_command *k = run->first; k; k = k->next)
            if (k->err == REEVE_OK) {
                c->revision = k->index;
                if (!c->quiet)
                    c->host.applied(c->host.arg, k->index, k->command);
            }
    if (c->revision != before && !c->quiet)
        c->host.committed(c->host.arg, c->revision);
}

static void log_synced(struct core *c, const struct core_run *last)
{
    struct member_event e = { .type = MEMBER_E_STATE_DURABLE, .index = last->index };
    c->synced_index = last->index;
    c->synced_term = last->term;
    (void) core_step(c, &e);
    cut_log(c, last);
}

static void commands_synced(struct core *c, struct state_run *runs)
{
    const struct core_run *last = NULL;
    for (struct state_run *run = runs; run; run = run->later)
        last = ((struct core_run *) run)->own ? last : (struct core_run *) run;
    if (last)
        log_synced(c, last);
    tell_applied(c, runs);
    for (struct state_run *run = runs, *next; run; run = next) {
        struct core_run *r = (struct core_run *) run;
        next = run->later;
        c->bytes -= run->bytes;
        look_for_refused(r);
        for (size_t i = 0; i < run->n; i++)
            answer(c, &r->cmd[i]);
        core_run_free(r);
    }
}

/* An installation is the last of its list: nothing is handed out while it is under way. */
static struct core_run *cut_install(struct state_run **runs)
{
    while (*runs && ((struct core_run *) *runs)->install == NULL)
        runs = &(*runs)->later;
    struct core_run *r = (struct core_run *) *runs;
    *runs = NULL;
    return r;
}

void core_runs_synced(void *arg, struct state_run *runs)
{
    struct core *c = arg;
    struct core_run *install = cut_install(&runs);
    if (runs)
        commands_synced(c, runs);
    if (install) {
        core_snap_installed(c, install);
        core_run_free(install);
    }
    core_reads_check(c);
}

/* ---- reads ---- */

void core_reads_check(struct core *c)
{
    struct core_read **at = &c->reads;
    while (*at) {
        struct core_read *r = *at;
        if (r->index == 0 || r->index > c->synced_index) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        r->fn(r->arg, REEVE_OK);
        free(r);
        at = &c->reads;                 /* fn may have changed the list */
    }
}
