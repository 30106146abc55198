/* disk.c - files with two contents and operations that take time; see the header. */
#include "disk_int.h"

#include <stdlib.h>

/* What an operation's event carries; a = cookie. */
struct op {
    enum { OP_WRITE, OP_SYNC, OP_SYNC_DIR } type;
    bool dsync;
    enum reeve_err err;
    uint64_t id;                /* the write's; of a sync: writes up to it are meant */
    uint64_t dirops;            /* of a sync of the folder: changes up to it are meant */
    struct sim_file *file;
};

void sim_disk_init(struct sim_disk *d, struct sim_world *w, int node, const struct sim_disk_profile *p,
                   sim_disk_done *done, void *host)
{
    *d = (struct sim_disk){ .w = w, .node = node, .p = *p, .done = done, .host = host };
}

/* ---- files ---- */

void sim__file_free(struct sim_file *f)
{
    while (f->first != NULL) {
        struct pending *p = f->first;
        f->first = p->next;
        free(p);
    }
    free(f->cached);
    free(f->durable);
    free(f);
}

struct sim_file *sim__file_find(const struct sim_disk *d, const char *name)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++)
        if (d->file[i] != NULL && !d->file[i]->dead && strcmp(d->file[i]->name, name) == 0)
            return d->file[i];
    return NULL;
}

static void dirop_add(struct sim_disk *d, enum dirop_type type, struct sim_file *f, const char *name)
{
    if (d->n_dirop == d->cap_dirop) {
        d->cap_dirop = d->cap_dirop ? d->cap_dirop * 2 : 16;
        d->dirop = realloc(d->dirop, d->cap_dirop * sizeof *d->dirop);
        reeve_assert(d->dirop != NULL);
    }
    struct sim_dirop *o = &d->dirop[d->n_dirop++];
    *o = (struct sim_dirop){ .type = type, .file = f };
    strncpy(o->name, name, SIM_NAME_MAX);
}

static struct sim_file *file_create(struct sim_disk *d, const char *name)
{
    reeve_assert(strlen(name) > 0 && strlen(name) <= SIM_NAME_MAX);
    for (size_t i = 0; i < SIM_FILES_MAX; i++) {
        if (d->file[i] != NULL)
            continue;
        struct sim_file *f = calloc(1, sizeof *f);
        reeve_assert(f != NULL);
        strncpy(f->name, name, SIM_NAME_MAX);
        f->last = &f->first;
        d->file[i] = f;
        dirop_add(d, DIROP_LINK, f, name);
        return f;
    }
    reeve_assert(!"room for one more file");
    return NULL;
}

static void file_reserve(struct sim_file *f, uint64_t size)
{
    if (size <= f->cap)
        return;
    uint64_t cap = f->cap ? f->cap : 4096;
    while (cap < size)
        cap *= 2;
    f->cached = realloc(f->cached, cap);
    f->durable = realloc(f->durable, cap);
    reeve_assert(f->cached != NULL && f->durable != NULL);
    memset(f->cached + f->cap, 0, cap - f->cap);
    memset(f->durable + f->cap, 0, cap - f->cap);
    f->cap = cap;
}

void sim__file_put(struct sim_file *f, bool durable, uint64_t off, const uint8_t *bytes, size_t len)
{
    file_reserve(f, off + len);
    memcpy((durable ? f->durable : f->cached) + off, bytes, len);
    uint64_t *size = durable ? &f->durable_len : &f->cached_len;
    if (off + len > *size)
        *size = off + len;
}

void sim__file_put_torn(struct sim_disk *d, struct sim_file *f, bool cached, bool durable, const struct pending *p)
{
    uint64_t end = p->off + p->len;
    for (uint64_t at = p->off, next; at < end; at = next) {
        next = at / SIM_SECTOR * SIM_SECTOR + SIM_SECTOR;
        if (next > end)
            next = end;
        if (sim_rng_below(&d->w->rng, 2) == 0)
            continue;
        if (cached)
            sim__file_put(f, false, at, p->bytes + (at - p->off), next - at);
        if (durable)
            sim__file_put(f, true, at, p->bytes + (at - p->off), next - at);
    }
}

struct pending *sim__pending_take(struct sim_file *f, struct pending **link)
{
    struct pending *p = *link;
    *link = p->next;
    if (p->next == NULL)
        f->last = link;
    return p;
}

static struct pending **pending_find(struct sim_file *f, uint64_t id)
{
    for (struct pending **l = &f->first; *l != NULL; l = &(*l)->next)
        if ((*l)->id == id)
            return l;
    return NULL;
}

/* ---- operations ---- */

static void op_done(void *ctx, struct sim_event *e);

static void op_start(struct sim_disk *d, int64_t after_us, struct op *o, uint64_t cookie)
{
    if (o->file != NULL)
        o->file->ops++;
    if (sim_rng_chance(&d->w->rng, d->p.stall_ppm))
        after_us += sim_rng_between(&d->w->rng, 0, d->p.stall_max_us);
    sim_after(d->w, after_us + d->slow_us, d->node, op_done, d, o, sizeof *o)->a = cookie;
}

static bool disk_full(const struct sim_disk *d, const struct sim_file *f, uint64_t end)
{
    if (d->p.capacity == 0 || end <= f->cached_len)
        return false;
    return sim_disk_used(d) + (end - f->cached_len) > d->p.capacity;
}

/* Another place of the same file, as a firmware that errs writes whole blocks to it. */
static uint64_t misdirect(struct sim_disk *d, const struct sim_file *f, size_t len)
{
    uint64_t blocks = f->cached_len > len ? (f->cached_len - len) / 4096 + 1 : 1;
    return sim_rng_below(&d->w->rng, blocks) * 4096;
}

static void fault_note(struct sim_disk *d, const char *what, const char *name, uint64_t off, uint64_t to)
{
    d->n_faults++;
    sim_trace_text(d->w, d->node, SIM_KIND_DISK_FAULT, off, to, (uint64_t) what[0], "%s %s", what, name);
}

void sim_disk_write(struct sim_disk *d, const char *name, uint64_t off, struct slice bytes, bool dsync, uint64_t cookie)
{
    struct sim_file *f = sim__file_find(d, name);
    if (f == NULL)
        f = file_create(d, name);
    struct op o = { .type = OP_WRITE, .dsync = dsync, .file = f, .id = ++d->n_writes };
    if (disk_full(d, f, off + bytes.len))
        o.err = REEVE_E_DISK_FULL;
    else if (sim_rng_chance(&d->w->rng, d->p.eio_write_ppm))
        o.err = REEVE_E_IO;
    struct pending *p = malloc(sizeof *p + bytes.len);
    reeve_assert(p != NULL);
    *p = (struct pending){ .id = o.id, .off = off, .len = bytes.len };
    memcpy(p->bytes, bytes.p, bytes.len);
    *f->last = p;
    f->last = &p->next;
    sim_trace_text(d->w, d->node, SIM_KIND_DISK_WRITE, off, bytes.len, dsync, "%s", name);
    op_start(d, d->p.write_min_us + sim_rng_exponential(&d->w->rng, d->p.write_mean_us) +
             (int64_t) (bytes.len / 1024) * d->p.us_per_kib, &o, cookie);
}

void sim_disk_sync(struct sim_disk *d, const char *name, uint64_t cookie)
{
    struct op o = { .type = name[0] ? OP_SYNC : OP_SYNC_DIR, .id = d->n_writes, .dirops = d->dirops_durable + d->n_dirop };
    o.file = name[0] ? sim__file_find(d, name) : NULL;
    d->n_syncs++;
    if (sim_rng_chance(&d->w->rng, d->p.eio_sync_ppm))
        o.err = REEVE_E_IO;
    sim_trace_text(d->w, d->node, SIM_KIND_DISK_SYNC, 0, 0, 0, "%s", name);
    op_start(d, d->p.sync_min_us + sim_rng_exponential(&d->w->rng, d->p.sync_mean_us), &o, cookie);
}

static void write_fails(struct sim_disk *d, struct op *o, struct pending *p)
{
    fault_note(d, o->err == REEVE_E_IO ? "eio-write" : "full", o->file->name, p->off, p->len);
    if (o->err == REEVE_E_IO)
        sim__file_put_torn(d, o->file, true, true, p);
    free(p);
}

static void write_done(struct sim_disk *d, struct op *o)
{
    struct sim_file *f = o->file;
    struct pending **l = pending_find(f, o->id);
    reeve_assert(l != NULL);
    if (o->err != REEVE_OK) {
        write_fails(d, o, sim__pending_take(f, l));
        return;
    }
    if (d->damage && sim_rng_chance(&d->w->rng, d->p.lost_ppm)) {
        fault_note(d, "lost", f->name, (*l)->off, 0);
        free(sim__pending_take(f, l));
        return;
    }
    if (d->damage && sim_rng_chance(&d->w->rng, d->p.misdirected_ppm)) {
        uint64_t to = misdirect(d, f, (*l)->len);
        fault_note(d, "misdirected", f->name, (*l)->off, to);
        (*l)->off = to;
    }
    sim__file_put(f, false, (*l)->off, (*l)->bytes, (*l)->len);
    (*l)->completed = true;
    if (o->dsync) {
        struct pending *p = sim__pending_take(f, l);
        sim__file_put(f, true, p->off, p->bytes, p->len);
        free(p);
    }
}

/* Every completed write up to id: durable, or dropped by chance when the sync failed. */
static void sync_done(struct sim_disk *d, struct op *o)
{
    if (o->err != REEVE_OK)
        fault_note(d, "eio-sync", o->file->name, 0, 0);
    for (struct pending **l = &o->file->first; *l != NULL;) {
        if (!(*l)->completed || (*l)->id > o->id) {
            l = &(*l)->next;
            continue;
        }
        struct pending *p = sim__pending_take(o->file, l);
        if (o->err == REEVE_OK)
            sim__file_put(o->file, true, p->off, p->bytes, p->len);
        else
            sim__file_put_torn(d, o->file, false, true, p);
        free(p);
    }
    if (o->err == REEVE_OK && o->file->cached_len > o->file->durable_len) {
        file_reserve(o->file, o->file->cached_len);
        o->file->durable_len = o->file->cached_len;
    }
}

/* ---- the folder ---- */

static void file_forget(struct sim_disk *d, struct sim_file *f)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++)
        if (d->file[i] == f)
            d->file[i] = NULL;
    sim__file_free(f);
}

static bool dirop_mentions(const struct sim_disk *d, const struct sim_file *f)
{
    for (size_t i = 0; i < d->n_dirop; i++)
        if (d->dirop[i].file == f)
            return true;
    return false;
}

/* Frees what neither folder knows any more; operations under way keep a file. */
static void files_sweep(struct sim_disk *d)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++) {
        struct sim_file *f = d->file[i];
        if (f != NULL && f->dead && f->durable_name[0] == '\0' && f->ops == 0 && f->first == NULL && !dirop_mentions(d, f))
            file_forget(d, f);
    }
}

void sim__dirops_apply(struct sim_disk *d, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct sim_dirop *o = &d->dirop[i];
        if (o->type == DIROP_LINK) {
            for (size_t j = 0; j < SIM_FILES_MAX; j++)      /* a rename replaces */
                if (d->file[j] != NULL && strcmp(d->file[j]->durable_name, o->name) == 0)
                    d->file[j]->durable_name[0] = '\0';
            memcpy(o->file->durable_name, o->name, sizeof o->name);
        } else {
            o->file->durable_name[0] = '\0';
        }
    }
    d->n_dirop -= n;
    d->dirops_durable += n;
    memmove(d->dirop, d->dirop + n, d->n_dirop * sizeof *d->dirop);
}

void sim_disk_remove(struct sim_disk *d, const char *name)
{
    struct sim_file *f = sim__file_find(d, name);
    if (f == NULL)
        return;
    f->dead = true;
    dirop_add(d, DIROP_UNLINK, f, name);
    sim_trace_text(d->w, d->node, SIM_KIND_DISK_WRITE, 0, 0, 2, "remove %s", name);
}

void sim_disk_rename(struct sim_disk *d, const char *from, const char *to)
{
    struct sim_file *f = sim__file_find(d, from), *old = sim__file_find(d, to);
    if (f == NULL || f == old)
        return;
    if (old != NULL)
        old->dead = true;
    memset(f->name, 0, sizeof f->name);
    strncpy(f->name, to, SIM_NAME_MAX);
    dirop_add(d, DIROP_LINK, f, to);            /* one step: the old name goes with it, see dirops_apply */
    sim_trace_text(d->w, d->node, SIM_KIND_DISK_WRITE, 0, 0, 3, "rename %s %s", from, to);
}

void sim_disk_extend(struct sim_disk *d, const char *name, uint64_t size)
{
    struct sim_file *f = sim__file_find(d, name);
    if (f == NULL)
        f = file_create(d, name);
    file_reserve(f, size);
    if (size > f->cached_len)
        f->cached_len = size;
}

/* ---- completion ---- */

static void op_apply(struct sim_disk *d, struct op *o)
{
    if (o->type == OP_WRITE) {
        write_done(d, o);
    } else if (o->type == OP_SYNC && o->file != NULL) {
        sync_done(d, o);
    } else if (o->type == OP_SYNC_DIR && o->err == REEVE_OK) {
        if (o->dirops > d->dirops_durable)
            sim__dirops_apply(d, o->dirops - d->dirops_durable);
        files_sweep(d);
    }
}

static void op_done(void *ctx, struct sim_event *e)
{
    struct sim_disk *d = ctx;
    if (d->hung) {
        /* Looked at again later; chance is not drawn, so the length of a hang changes nothing else. */
        struct sim_event *again = sim_after(d->w, 5000, d->node, op_done, d, e->bytes, e->len);
        again->a = e->a;
        return;
    }
    struct op o;
    memcpy(&o, e->bytes, sizeof o);
    if (o.file != NULL)
        o.file->ops--;
    op_apply(d, &o);
    sim_trace(d->w, d->node, SIM_KIND_DISK_DONE, e->a, o.err, o.type);
    d->done(d->host, d->node, e->a, o.err);
}

/* ---- reading ---- */

bool sim_disk_read(const struct sim_disk *d, const char *name, struct slice *out)
{
    const struct sim_file *f = sim__file_find(d, name);
    if (f == NULL)
        return false;
    *out = slice_of(f->cached, f->cached_len);
    return true;
}

const char *sim_disk_name(const struct sim_disk *d, size_t i)
{
    for (size_t j = 0; j < SIM_FILES_MAX; j++)
        if (d->file[j] != NULL && !d->file[j]->dead && i-- == 0)
            return d->file[j]->name;
    return NULL;
}

uint64_t sim_disk_used(const struct sim_disk *d)
{
    uint64_t used = 0;
    for (size_t i = 0; i < SIM_FILES_MAX; i++)
        if (d->file[i] != NULL && !d->file[i]->dead)
            used += d->file[i]->cached_len;
    return used;
}
