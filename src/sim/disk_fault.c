/* disk_fault.c - what the end of a life and the years do to a disk; see sim/disk.h. */
#include "disk_int.h"

#include <stdlib.h>

/* ---- power ---- */

static void file_lose_power(struct sim_disk *d, struct sim_file *f)
{
    while (f->first != NULL) {
        struct pending *p = sim__pending_take(f, &f->first);
        sim__file_put_torn(d, f, false, true, p);
        free(p);
    }
    f->cached_len = f->durable_len;
    if (f->cap > 0)
        memcpy(f->cached, f->durable, f->cap);
}

static void folder_lose_power(struct sim_disk *d)
{
    sim__dirops_apply(d, sim_rng_below(&d->w->rng, d->n_dirop + 1));
    d->dirops_durable += d->n_dirop;
    d->n_dirop = 0;
    for (size_t i = 0; i < SIM_FILES_MAX; i++) {
        struct sim_file *f = d->file[i];
        if (f == NULL)
            continue;
        if (f->durable_name[0] == '\0') {
            sim__file_free(f);
            d->file[i] = NULL;
            continue;
        }
        f->dead = false;
        memcpy(f->name, f->durable_name, sizeof f->name);
    }
}

/* ---- kill -9 ---- */

/* What was under way arrives by sectors; each that does is a completed write of its own, still at the mercy of power. */
static void write_cut_short(struct sim_disk *d, struct sim_file *f, const struct pending *p, struct pending ***tail)
{
    uint64_t end = p->off + p->len;
    for (uint64_t at = p->off, next; at < end; at = next) {
        next = at / SIM_SECTOR * SIM_SECTOR + SIM_SECTOR;
        if (next > end)
            next = end;
        if (sim_rng_below(&d->w->rng, 2) == 0)
            continue;
        struct pending *q = malloc(sizeof *q + (next - at));
        reeve_assert(q != NULL);
        *q = (struct pending){ .id = p->id, .off = at, .len = next - at, .completed = true };
        memcpy(q->bytes, p->bytes + (at - p->off), q->len);
        sim__file_put(f, false, at, q->bytes, q->len);
        **tail = q;
        *tail = &q->next;
    }
}

static void file_lose_process(struct sim_disk *d, struct sim_file *f)
{
    struct pending *old = f->first, **tail = &f->first;
    f->first = NULL;
    while (old != NULL) {
        struct pending *p = old;
        old = p->next;
        p->next = NULL;
        if (p->completed) {
            *tail = p;
            tail = &p->next;
            continue;
        }
        write_cut_short(d, f, p, &tail);
        free(p);
    }
    f->last = tail;
}

void sim_disk_crash(struct sim_disk *d, bool power)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++) {
        if (d->file[i] == NULL)
            continue;
        if (power)
            file_lose_power(d, d->file[i]);
        else
            file_lose_process(d, d->file[i]);
        d->file[i]->ops = 0;
    }
    if (power)
        folder_lose_power(d);
    sim_trace(d->w, d->node, SIM_KIND_DISK_FAULT, power, 0, 0);
}

/* ---- the rest ---- */

void sim_disk_settle(struct sim_disk *d)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++) {
        struct sim_file *f = d->file[i];
        if (f == NULL)
            continue;
        while (f->first != NULL) {
            struct pending *p = sim__pending_take(f, &f->first);
            reeve_assert(p->completed);
            sim__file_put(f, true, p->off, p->bytes, p->len);
            free(p);
        }
        if (f->cached_len > f->durable_len)
            f->durable_len = f->cached_len;
    }
    sim__dirops_apply(d, d->n_dirop);
}

void sim_disk_wipe(struct sim_disk *d)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++) {
        if (d->file[i] != NULL)
            sim__file_free(d->file[i]);
        d->file[i] = NULL;
    }
    d->dirops_durable += d->n_dirop;
    d->n_dirop = 0;
    sim_trace_text(d->w, d->node, SIM_KIND_DISK_FAULT, 0, 0, 1, "wiped");
}

void sim_disk_free(struct sim_disk *d)
{
    for (size_t i = 0; i < SIM_FILES_MAX; i++) {
        if (d->file[i] != NULL)
            sim__file_free(d->file[i]);
        d->file[i] = NULL;
    }
    free(d->dirop);
    d->dirop = NULL;
    d->n_dirop = d->cap_dirop = 0;
}

bool sim_disk_flip(struct sim_disk *d, const char *name, uint64_t off, unsigned bit)
{
    struct sim_file *f = sim__file_find(d, name);
    if (f == NULL || off >= f->cached_len)
        return false;
    f->cached[off] ^= (uint8_t) (1u << (bit & 7));
    if (off < f->durable_len)
        f->durable[off] ^= (uint8_t) (1u << (bit & 7));
    d->n_faults++;
    sim_trace_text(d->w, d->node, SIM_KIND_DISK_FAULT, off, bit, 2, "flip %s", name);
    return true;
}

bool sim_disk_overwrite(struct sim_disk *d, const char *name, uint64_t off, struct slice bytes)
{
    struct sim_file *f = sim__file_find(d, name);
    if (f == NULL || off + bytes.len > f->cached_len)
        return false;
    memcpy(f->cached + off, bytes.p, bytes.len);
    memcpy(f->durable + off, bytes.p, bytes.len);
    d->n_faults++;
    sim_trace_text(d->w, d->node, SIM_KIND_DISK_FAULT, off, bytes.len, 4, "overwritten %s", name);
    return true;
}

void sim_disk_hang(struct sim_disk *d, bool hung)
{
    d->hung = hung;
    sim_trace_text(d->w, d->node, SIM_KIND_DISK_FAULT, hung, 0, 3, "hung");
}

void sim_disk_heal(struct sim_disk *d)
{
    d->p.stall_ppm = d->p.eio_write_ppm = d->p.eio_sync_ppm = d->p.lost_ppm = d->p.misdirected_ppm = 0;
    d->p.capacity = 0;
    d->slow_us = 0;
    d->hung = d->damage = false;
}
